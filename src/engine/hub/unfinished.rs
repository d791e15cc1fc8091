//! The memory that unfinished messages of all peers take, and which of them gives way when it runs out.

use std::mem;
use std::time::Duration;

use super::super::Now;
use crate::time::MonoTime;

/// The memory that unfinished messages of all peers take.
#[derive(Default)]
pub struct Unfinished {
    bytes: usize,
}

/// What one peer has of it. To be [given back](Unfinished::release).
#[derive(Default)]
pub struct Share {
    bytes: usize,
    /// Since when it has any.
    since: MonoTime,
    /// When the present interval of its progress began, and the bytes that have come in it.
    interval: (MonoTime, u64),
    /// Whether fewer bytes came in the last whole interval than a message has to make progress by.
    slow: bool,
}

/// What an unfinished message has to make progress by, or it gives way first: so many bytes in so long.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// Bytes.
    pub bytes: u64,
    /// In this time.
    pub interval: Duration,
}

impl Unfinished {
    /// All of it, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A peer takes so much more.
    pub fn add(&mut self, now: Now, share: &mut Share, more: usize) {
        self.set(now, share, share.bytes + more);
    }

    /// A peer takes so much now. Whether that is anything.
    #[inline]
    pub fn set(&mut self, now: Now, share: &mut Share, bytes: usize) -> bool {
        if share.bytes | bytes == 0 {
            return false;
        }
        if share.bytes == 0 {
            *share = Share { since: now.mono, interval: (now.mono, 0), ..Share::default() };
        }
        self.bytes = self.bytes - mem::replace(&mut share.bytes, bytes) + bytes;
        bytes > 0
    }

    /// A peer is gone, or about to be.
    pub fn release(&mut self, share: Share) {
        self.bytes -= share.bytes;
    }
}

impl Share {
    /// So many bytes have come from the peer.
    pub fn came(&mut self, now: Now, bytes: usize, floor: Floor) {
        if self.bytes > 0 {
            self.look(now, floor);
            self.interval.1 += bytes as u64;
        }
    }

    /// Ends the interval of its progress if it is over.
    fn look(&mut self, now: Now, floor: Floor) {
        let (began, came) = self.interval;
        let took = now.mono.since(began);
        if took >= floor.interval {
            // No byte came in those after the first.
            self.slow = came < floor.bytes || took >= 2 * floor.interval;
            self.interval = (now.mono, 0);
        }
    }

    /// What decides which peer gives way: one that makes too little progress, then the one that holds most for the longest.
    /// `None`: it holds nothing.
    pub fn weight(&mut self, now: Now, floor: Floor) -> Option<(bool, u128)> {
        self.look(now, floor);
        let age = now.mono.since(self.since).as_nanos() + 1;
        (self.bytes > 0).then(|| (self.slow, self.bytes as u128 * age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Floor = Floor { bytes: 1000, interval: Duration::from_secs(30) };

    fn at(seconds: u64) -> Now {
        Now { mono: MonoTime::from_nanos(seconds * 1_000_000_000), ..Now::default() }
    }

    #[test]
    fn what_peers_have_unfinished_is_counted_together() {
        let (mut unfinished, mut one, mut other) = (Unfinished::default(), Share::default(), Share::default());
        unfinished.add(at(0), &mut one, 10);
        unfinished.set(at(0), &mut other, 7);
        unfinished.add(at(0), &mut other, 3);
        assert_eq!(unfinished.bytes(), 20);
        unfinished.set(at(0), &mut other, 4);
        unfinished.release(one);
        assert_eq!(unfinished.bytes(), 4);
        unfinished.release(other);
        assert_eq!(unfinished.bytes(), 0);
    }

    #[test]
    fn a_peer_that_holds_most_for_the_longest_gives_way_before_others() {
        let mut unfinished = Unfinished::default();
        let [mut old, mut large, mut young, mut none] = [(); 4].map(|()| Share::default());
        unfinished.set(at(0), &mut old, 100);
        unfinished.set(at(8), &mut large, 900);
        unfinished.set(at(9), &mut young, 999);
        let weights = [&mut old, &mut large, &mut young, &mut none].map(|share| share.weight(at(10), FLOOR));
        assert!(weights[1] > weights[0] && weights[1] > weights[2] && weights[3].is_none(), "{weights:?}");
    }

    #[test]
    fn a_byte_now_and_then_is_no_progress_and_a_thousand_in_each_interval_are() {
        let mut unfinished = Unfinished::default();
        let [mut drips, mut flows, mut silent] = [(); 3].map(|()| Share::default());
        // The first comes fast, and then a byte every nine seconds.
        for share in [&mut drips, &mut flows, &mut silent] {
            unfinished.set(at(0), share, 5000);
        }
        drips.came(at(0), 5000, FLOOR);
        let slow = |share: &mut Share, now| share.weight(at(now), FLOOR).is_some_and(|weight| weight.0);
        for now in (9..=90).step_by(9) {
            drips.came(at(now), 1, FLOOR);
            flows.came(at(now), 400, FLOOR);
            assert_eq!(slow(&mut drips, now), now > 70, "{now} s");
            assert!(!slow(&mut flows, now), "{now} s");
        }
        assert!(slow(&mut silent, 90));
        // The message is whole; the next one is judged anew.
        unfinished.set(at(91), &mut drips, 0);
        unfinished.set(at(92), &mut drips, 10);
        assert!(!slow(&mut drips, 93));
    }
}
