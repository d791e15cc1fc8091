//! When the memory that a hub has freed is to go back to the system.
//!
//! The allocator keeps what is freed, since it is mostly needed again at once. After a storm that may be most of what the
//! process has. To give it back takes time, and so does memory that is new: it is worth it only where there is much.

use std::time::Duration;

/// How long a hub waits before it looks whether much was freed. Nothing is given back more often.
pub const PAUSE: Duration = Duration::from_secs(2);

/// Less is not worth it.
const MUCH: usize = 32 << 20;

/// Remembers how much the hub held.
#[derive(Default)]
pub struct Reclaim {
    /// The most since memory was last given back.
    peak: usize,
}

impl Reclaim {
    /// So many bytes are held, `passing` of them only until they are taken or the peer leaves. Whether
    /// [`Reclaim::take`] is to be called after a [`PAUSE`]: much has been freed, or soon may be.
    #[inline]
    pub fn holds(&mut self, held: usize, passing: usize) -> bool {
        self.peak = self.peak.max(held);
        passing >= MUCH || self.peak - held >= MUCH
    }

    /// Whether so much has been freed that it is to be given back now. It counts as given back from then on.
    pub fn take(&mut self, held: usize) -> bool {
        let is_much = self.peak >= held + MUCH;
        if is_much {
            self.peak = held;
        }
        is_much
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn what_was_freed_is_given_back_once_and_only_if_it_is_much() {
        let mut reclaim = Reclaim::default();
        assert!(!reclaim.holds(10 * MIB, 10 * MIB) && !reclaim.holds(0, 0) && !reclaim.take(0));
        assert!(reclaim.holds(300 * MIB, 290 * MIB), "it soon may be freed");
        assert!(!reclaim.take(280 * MIB), "most of it is there still");
        assert!(reclaim.holds(10 * MIB, 0));
        assert!(reclaim.take(10 * MIB) && !reclaim.take(10 * MIB));
        assert!(!reclaim.holds(20 * MIB, 10 * MIB), "the next storm is measured anew");
    }

    #[test]
    fn a_full_table_that_stays_is_not_looked_at_and_one_that_empties_is() {
        let mut reclaim = Reclaim::default();
        assert!(!reclaim.holds(512 * MIB, MIB) && !reclaim.holds(500 * MIB, 0));
        for held in (0..500).rev().step_by(5).map(|mib| mib * MIB) {
            assert_eq!(reclaim.holds(held, 0), held <= 480 * MIB);
        }
        assert!(reclaim.take(4 * MIB) && !reclaim.holds(4 * MIB, 0));
    }
}
