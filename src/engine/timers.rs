//! Many deadlines in one queue.

use crate::time::MonoTime;

/// What has at most one deadline at a time.
pub trait TimerKey: Copy {
    /// A small number that no other key of the same [`Timers`] has: room is made up to the greatest.
    fn index(self) -> usize;
}

struct Pending<K> {
    at: MonoTime,
    key: K,
}

impl<K: TimerKey> Pending<K> {
    fn is_before(&self, other: &Pending<K>) -> bool {
        self.at < other.at || (self.at == other.at && self.key.index() < other.key.index())
    }
}

/// The place of a key that has no deadline.
const UNSET: u32 = u32::MAX;

/// The deadlines of many keys.
///
/// They form a binary heap that knows the place of each key. The earliest deadline is therefore always known, a
/// deadline that is moved or cleared leaves nothing behind, and either takes a number of steps that grows with the
/// logarithm of the number of deadlines. To clear what is not set costs one look.
pub struct Timers<K> {
    /// Each is not before the one at half its index.
    heap: Vec<Pending<K>>,
    /// Where each key stands in the heap.
    places: Vec<u32>,
    /// How many deadlines were moved or compared.
    #[cfg(test)]
    pub looked_at: usize,
}

impl<K: TimerKey> Timers<K> {
    /// None.
    pub fn new() -> Timers<K> {
        Timers {
            heap: Vec::new(),
            places: Vec::new(),
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// The earliest deadline.
    pub fn earliest(&self) -> Option<MonoTime> {
        self.heap.first().map(|deadline| deadline.at)
    }

    /// Whether this key has a deadline.
    pub fn is_set(&self, key: K) -> bool {
        self.place(key).is_some()
    }

    /// Gives a key its deadline, in the place of any that it had.
    pub fn set(&mut self, key: K, at: MonoTime) {
        let deadline = Pending { at, key };
        match self.place(key) {
            Some(place) => {
                let is_sooner = deadline.is_before(&self.heap[place]);
                self.heap[place] = deadline;
                if is_sooner {
                    self.rise(place);
                } else {
                    self.sink(place);
                }
            }
            None => {
                let index = key.index();
                if index >= self.places.len() {
                    self.places.resize(index + 1, UNSET);
                }
                self.heap.push(deadline);
                self.rise(self.heap.len() - 1);
            }
        }
    }

    /// The key has no deadline from here on.
    #[inline]
    pub fn clear(&mut self, key: K) {
        if let Some(place) = self.place(key) {
            self.remove(place);
        }
    }

    /// No key has a deadline from here on.
    pub fn clear_all(&mut self) {
        for deadline in self.heap.drain(..) {
            self.places[deadline.key.index()] = UNSET;
        }
    }

    /// Takes the earliest deadline that has come by `now`.
    pub fn take_due(&mut self, now: MonoTime) -> Option<K> {
        self.earliest().filter(|&at| at <= now).map(|_| self.remove(0))
    }

    #[inline]
    fn place(&self, key: K) -> Option<usize> {
        self.places.get(key.index()).filter(|&&place| place != UNSET).map(|&place| place as usize)
    }

    fn remove(&mut self, place: usize) -> K {
        let removed = self.heap.swap_remove(place);
        self.places[removed.key.index()] = UNSET;
        // The last one stands there now, which may belong on either side of it.
        if place < self.heap.len() {
            if self.heap[place].is_before(&removed) {
                self.rise(place);
            } else {
                self.sink(place);
            }
        }
        removed.key
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !self.is_before(place, parent) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        self.settle(place);
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let mut child = 2 * place + 1;
            if child >= self.heap.len() {
                break;
            }
            if child + 1 < self.heap.len() && self.is_before(child + 1, child) {
                child += 1;
            }
            if !self.is_before(child, place) {
                break;
            }
            self.swap(place, child);
            place = child;
        }
        self.settle(place);
    }

    fn is_before(&mut self, place: usize, other: usize) -> bool {
        #[cfg(test)]
        {
            self.looked_at += 1;
        }
        self.heap[place].is_before(&self.heap[other])
    }

    /// Swaps a deadline that is still on its way with one that has found its place.
    fn swap(&mut self, moving: usize, other: usize) {
        self.heap.swap(moving, other);
        self.settle(moving);
    }

    fn settle(&mut self, place: usize) {
        self.places[self.heap[place].key.index()] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    impl TimerKey for usize {
        fn index(self) -> usize {
            self
        }
    }

    fn at(nanos: u64) -> MonoTime {
        MonoTime::from_nanos(nanos)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize, MonoTime),
        Clear(usize),
        ClearAll,
        Due(MonoTime),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (0_usize..40, 0_u64..100).prop_map(|(key, nanos)| Step::Set(key, at(nanos))),
            4 => (0_usize..50).prop_map(Step::Clear),
            1 => Just(Step::ClearAll),
            2 => (0_u64..60).prop_map(|nanos| Step::Due(at(nanos))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn timers_agree_with_a_sorted_map(steps in vec(step(), 0..300)) {
            let mut timers = Timers::new();
            let mut of_key = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(key, at) => {
                        timers.set(key, at);
                        of_key.insert(key, at);
                    }
                    Step::Clear(key) => {
                        timers.clear(key);
                        of_key.remove(&key);
                    }
                    Step::ClearAll => {
                        timers.clear_all();
                        of_key.clear();
                    }
                    Step::Due(now) => {
                        let due: BTreeSet<_> = of_key.iter().map(|(&key, &at)| (at, key)).filter(|&(at, _)| at <= now).collect();
                        for (_, key) in due {
                            prop_assert_eq!(timers.take_due(now), Some(key));
                            of_key.remove(&key);
                        }
                        prop_assert_eq!(timers.take_due(now), None);
                    }
                }
                prop_assert_eq!(timers.earliest(), of_key.values().min().copied());
                prop_assert!((0..50).all(|key| timers.is_set(key) == of_key.contains_key(&key)));
                // However often they were moved.
                prop_assert_eq!(timers.heap.len(), of_key.len());
                prop_assert!(timers.places.len() <= 40);
            }
        }
    }

    #[test]
    fn a_deadline_among_many_costs_a_few_looks() {
        const KEYS: usize = 10_000;
        let mut timers = Timers::new();
        (0..KEYS).for_each(|key| timers.set(key, at(1000 + key as u64)));
        let mut cost = |what: &mut dyn FnMut(&mut Timers<usize>)| {
            let before = timers.looked_at;
            what(&mut timers);
            timers.looked_at - before
        };
        // 2^14 exceeds their number, and on the way down two are compared with each other and one of them with what sinks.
        const MOST: usize = 2 * 14;
        assert!(cost(&mut |timers| timers.set(5000, at(1))) <= MOST);
        assert!(cost(&mut |timers| timers.set(5000, MonoTime::MAX)) <= MOST);
        assert!(cost(&mut |timers| timers.clear(77)) <= MOST);
        assert_eq!(cost(&mut |timers| timers.clear(77)), 0);
        assert_eq!(cost(&mut |timers| assert_eq!(timers.take_due(at(999)), None)), 0);
        assert!(cost(&mut |timers| assert_eq!(timers.take_due(at(1000)), Some(0))) <= MOST);
        // As it is mostly set: the latest of all.
        assert_eq!(cost(&mut |timers| timers.set(77, at(100_000))), 1);
    }
}
