//! Bodies that the table has no longer, and that wait to be written to peers.

use std::sync::{Arc, Weak};

use crate::effort::{did, Work};
use crate::memory::Bytes;

/// Bodies that were replaced or forgotten while they waited to be written.
#[derive(Default)]
pub struct Pinned {
    bodies: Vec<(Weak<Bytes>, usize)>,
    bytes: usize,
    /// With so many bodies, it is time to look which of them are gone.
    sweep_at: usize,
}

impl Pinned {
    /// The table has this body no longer.
    pub fn add(&mut self, body: &Arc<Bytes>) {
        self.bodies.push((Arc::downgrade(body), body.capacity()));
        self.bytes += body.capacity();
        if self.bodies.len() > self.sweep_at {
            self.sweep();
        }
    }

    /// At most so many bytes are allocated for them; as many, behind a [`Pinned::sweep`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets those that are gone.
    #[inline]
    pub fn sweep(&mut self) {
        /// Fewer are not worth a look.
        const FEW: usize = 64;
        if self.bodies.is_empty() {
            return;
        }
        did(Work::Look, self.bodies.len());
        self.bodies.retain(|(body, _)| body.strong_count() > 0);
        self.bytes = self.bodies.iter().map(|(_, bytes)| bytes).sum();
        self.sweep_at = FEW.max(2 * self.bodies.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_counted_once_while_anybody_holds_it() {
        let mut pinned = Pinned::default();
        let bodies: Vec<_> = (0..3).map(|_| Arc::new(Bytes::from(vec![0; 1000]))).collect();
        let others = bodies.clone();
        bodies.iter().for_each(|body| pinned.add(body));
        drop(bodies);
        pinned.sweep();
        assert_eq!(pinned.bytes(), 3000);
        drop(others);
        assert_eq!(pinned.bytes(), 3000, "nobody has looked");
        pinned.sweep();
        assert_eq!(pinned.bytes(), 0);
    }

    #[test]
    fn bodies_that_are_gone_are_not_remembered_without_end() {
        let mut pinned = Pinned::default();
        let kept = Arc::new(vec![0; 10].into());
        pinned.add(&kept);
        for _ in 0..10_000 {
            pinned.add(&Arc::new(vec![0; 1000].into()));
            assert!(pinned.bodies.len() <= 64);
        }
        assert!((10..=64_010).contains(&pinned.bytes()));
    }
}
