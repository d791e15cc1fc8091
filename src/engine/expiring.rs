//! What lives for a limited time: when it is over, by place.

use std::collections::BTreeSet;
use std::mem::size_of;
use std::time::Duration;

use hashbrown::HashMap;

use crate::time::MonoTime;

/// When what is at some places expires, each with something to tell it by.
pub struct Expiring<T> {
    at: HashMap<u32, (MonoTime, T)>,
    /// From the first to expire on.
    queue: BTreeSet<(MonoTime, u32)>,
}

impl<T> Default for Expiring<T> {
    fn default() -> Expiring<T> {
        Expiring { at: HashMap::new(), queue: BTreeSet::new() }
    }
}

impl<T> Expiring<T> {
    /// What each costs: its places, in a map and a set that are half full.
    const COST: usize = size_of::<(u32, (MonoTime, T))>() + 2 * size_of::<(MonoTime, u32)>();

    /// Whether nothing expires.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Bytes allocated for all of them.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.at.len() * Self::COST
    }

    /// What is at `place` expires at this time, and no sooner.
    pub fn set(&mut self, place: u32, at: MonoTime, what: T) {
        self.remove(place);
        self.at.insert(place, (at, what));
        self.queue.insert((at, place));
    }

    /// What is at `place` does not expire.
    pub fn remove(&mut self, place: u32) {
        if let Some((at, _)) = self.at.remove(&place) {
            self.queue.remove(&(at, place));
        }
    }

    /// When what is at `place` expires.
    pub fn at(&self, place: u32) -> Option<MonoTime> {
        self.at.get(&place).map(|&(at, _)| at)
    }

    /// When the first expires.
    pub fn first(&self) -> Option<MonoTime> {
        self.queue.first().map(|&(at, _)| at)
    }

    /// Takes the first that has expired by then.
    pub fn take_due(&mut self, mono: MonoTime) -> Option<(u32, T)> {
        let &(at, place) = self.queue.first()?;
        if at > mono {
            return None;
        }
        self.queue.pop_first();
        self.at.remove(&place).map(|(_, what)| (place, what))
    }
}

/// When it expires what came now and lives for so many milliseconds.
pub fn end_of_life(mono: MonoTime, lifetime: u64) -> MonoTime {
    mono + Duration::from_millis(lifetime)
}

/// How many milliseconds are left at this time, rounded up: 0 if it is over.
pub fn left(mono: MonoTime, end: MonoTime) -> u64 {
    end.since(mono).as_nanos().div_ceil(1_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn what_expires_is_taken_in_its_order_and_not_before() {
        let mut expiring = Expiring::default();
        expiring.set(1, at(5), 'a');
        expiring.set(2, at(3), 'b');
        expiring.set(3, at(4), 'c');
        expiring.set(1, at(2), 'd');
        expiring.remove(3);
        assert_eq!((expiring.first(), expiring.at(2), expiring.at(3)), (Some(at(2)), Some(at(3)), None));
        assert_eq!((expiring.take_due(at(1)), expiring.take_due(at(9))), (None, Some((1, 'd'))));
        assert_eq!((expiring.take_due(at(3)), expiring.take_due(at(9))), (Some((2, 'b')), None));
        assert!(expiring.is_empty() && expiring.queue.is_empty() && expiring.bytes() == 0);
    }

    #[test]
    fn what_is_left_is_rounded_up_and_nothing_overflows() {
        let end = end_of_life(at(10), 5);
        assert_eq!((left(at(10), end), left(MonoTime::from_nanos(10_000_001), end)), (5, 5));
        assert_eq!((left(at(15), end), left(at(99), end)), (0, 0));
        assert_eq!(end_of_life(at(10), u64::MAX), MonoTime::MAX);
    }
}
