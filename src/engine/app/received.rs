//! The newest values that an app received: to answer `get`, and to know what it had already.

use super::super::hash::KeyHash;
use super::super::newest::{Keyed, Newest, Place};
use crate::state::State;
use crate::wire::Stamp;

/// Newest values by (sender, name). Over its limit it forgets the keys it has known longest.
pub struct Received {
    values: Newest<Known>,
    bytes: usize,
    limit: usize,
    /// The slot to be forgotten next.
    hand: usize,
}

struct Known {
    state: State,
    key_hash: KeyHash,
}

impl Keyed for Known {
    fn key_hash(&self) -> KeyHash {
        self.key_hash
    }

    fn sender(&self) -> &str {
        self.state.sender()
    }

    fn name(&self) -> &str {
        self.state.name()
    }

    fn is_of(&self, sender: &str, name: &str) -> bool {
        self.state.is_of(sender, name)
    }

    fn is_named(&self, name: &str) -> bool {
        self.state.is_named(name)
    }

    fn stamp(&self) -> Stamp {
        self.state.stamp()
    }
}

impl Received {
    /// Nothing yet, and never more than `limit` bytes.
    pub fn new(limit: usize) -> Received {
        Received { values: Newest::new(), bytes: 0, limit, hand: 0 }
    }

    /// The place of a key.
    pub fn place(&self, sender: &str, name: &str) -> Place {
        self.values.place(sender, name)
    }

    /// The value there.
    pub fn at(&self, place: Place) -> Option<&State> {
        self.values.get(place.slot?).map(|known| &known.state)
    }

    /// The value of a key.
    pub fn find(&self, sender: &str, name: &str) -> Option<&State> {
        self.at(self.place(sender, name))
    }

    /// The newest value of any sender. Values are indexed by name from the first time on.
    pub fn newest(&mut self, name: &str) -> Option<&State> {
        self.values.index_names();
        self.values.newest(name).map(|known| &known.state)
    }

    /// Every value, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &State> {
        self.values.iter().map(|known| &known.state)
    }

    /// Remembers a value at the place of its key.
    pub fn insert(&mut self, place: Place, state: State) {
        self.bytes += state.allocated();
        let slot = match place.slot {
            Some(slot) => {
                let known = self.values.get_mut(slot).expect("nothing has changed since");
                self.bytes -= known.state.allocated();
                known.state = state;
                self.values.restamped(slot);
                slot
            }
            None => self.values.insert(Known { state, key_hash: place.hash }),
        };
        while self.bytes > self.limit && self.values.len() > 1 {
            self.forget_next(slot);
        }
    }

    fn forget_next(&mut self, but: u32) {
        self.hand = (self.hand + 1) % self.values.end();
        let slot = self.hand as u32;
        if slot != but {
            self.forget(slot);
        }
    }

    /// Forgets values whose stamp is not to be trusted.
    pub fn forget_if(&mut self, astray: impl Fn(Stamp) -> bool) {
        for slot in 0..self.values.end() as u32 {
            if self.values.get(slot).is_some_and(|known| astray(known.stamp())) {
                self.forget(slot);
            }
        }
    }

    fn forget(&mut self, slot: u32) {
        if let Some(known) = self.values.remove(slot) {
            self.bytes -= known.state.allocated();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Received::new(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::LogicalTime;
    use crate::wire::{self, Form, Meta};

    fn state(sender: &str, name: &str, bits: u64) -> State {
        let mut body = Vec::new();
        wire::encode(&mut body, Form::Old, sender, name, &[0xC3], &Meta::default());
        let body = wire::decode(&body, Form::Old).expect("a body");
        State::new(&mut Vec::new(), &body, Stamp { clock: LogicalTime::from_bits(bits), ..Stamp::default() }, 0)
    }

    fn insert(kept: &mut Received, state: State) {
        kept.insert(kept.place(state.sender(), state.name()), state);
    }

    #[test]
    fn the_newest_of_a_name_is_that_with_the_greatest_stamp() {
        let mut kept = Received::new(1 << 20);
        for (sender, clock, newest) in [("a", 5, "a"), ("b", 3, "a"), ("b", 7, "b"), ("a", 6, "b"), ("c", 8, "c")] {
            insert(&mut kept, state(sender, "x", clock));
            assert_eq!(kept.newest("x").map(State::sender), Some(newest));
        }
        assert_eq!(kept.find("a", "x").map(|state| state.stamp().clock.to_bits()), Some(6));
        assert!(kept.newest("y").is_none() && kept.find("d", "x").is_none());
    }

    #[test]
    fn a_value_with_an_older_stamp_than_before_is_no_longer_the_newest() {
        let mut kept = Received::new(1 << 20);
        for (sender, clock, newest) in [("a", 5, "a"), ("b", 3, "a"), ("a", 2, "b"), ("a", 1, "b"), ("a", 4, "a")] {
            insert(&mut kept, state(sender, "x", clock));
            assert_eq!(kept.newest("x").map(State::sender), Some(newest), "{sender} {clock}");
        }
        kept.forget_if(|stamp| stamp.clock.to_bits() == 4);
        assert_eq!(kept.newest("x").map(State::sender), Some("b"));
        assert!(kept.find("a", "x").is_none());
    }

    #[test]
    fn the_newest_of_a_name_is_the_same_whether_asked_for_early_or_late() {
        let states: Vec<_> = (0..300u64)
            .map(|i| state(["a", "b", "c"][(i % 3) as usize], &format!("n{}", i * i % 17), i * 7919 % 301))
            .collect();
        let (mut early, mut late) = (Received::new(1 << 20), Received::new(1 << 20));
        early.newest("n0");
        for state in states {
            let newer = |kept: &Received| {
                kept.find(state.sender(), state.name()).is_none_or(|held| state.stamp() > held.stamp())
            };
            if newer(&late) {
                insert(&mut early, state.clone());
                insert(&mut late, state);
            }
        }
        for i in 0..17 {
            let name = format!("n{i}");
            assert_eq!(early.newest(&name).map(State::stamp), late.newest(&name).map(State::stamp));
        }
    }

    #[test]
    fn over_its_limit_it_forgets_and_stays_whole() {
        let limit = 50 * state("a", "n100", 1).allocated();
        let mut kept = Received::new(limit);
        for i in 0..1000 {
            let (sender, name) = (["a", "b"][i % 2], format!("n{}", i % 200));
            insert(&mut kept, state(sender, &name, i as u64));
            assert!(kept.bytes <= limit);
            assert_eq!(kept.find(sender, &name).map(|state| state.stamp().clock.to_bits()), Some(i as u64));
            // From the middle on: what is made late is the same.
            assert!(i < 500 || kept.newest(&name).is_some());
        }
        assert!(kept.values.end() <= 60, "slots are used again");
        kept.clear();
        assert!(kept.bytes == 0 && kept.find("a", "n0").is_none() && kept.newest("n0").is_none());
    }
}
