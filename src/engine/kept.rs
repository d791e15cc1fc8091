//! The newest values that an app received: to answer `get`, and to know what it had already.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::state::State;

/// Newest values by (sender, name), and for each name which is the newest of any sender. Over its limit it forgets the
/// keys it has known longest.
pub struct Kept {
    states: Vec<Option<State>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    /// For each name the newest value of any sender.
    by_name: HashTable<u32>,
    hasher: RandomState,
    bytes: usize,
    limit: usize,
    /// The slot to be forgotten next.
    hand: usize,
}

impl Kept {
    /// Nothing yet, and never more than `limit` bytes.
    pub fn new(limit: usize) -> Kept {
        Kept {
            states: Vec::new(),
            free: Vec::new(),
            by_key: HashTable::new(),
            by_name: HashTable::new(),
            hasher: RandomState::new(),
            bytes: 0,
            limit,
            hand: 0,
        }
    }

    fn at(&self, slot: u32) -> &State {
        self.states[slot as usize].as_ref().expect("the indices name states only")
    }

    fn key_hash(&self, sender: &str, name: &str) -> u64 {
        self.hasher.hash_one((sender, name))
    }

    fn slot_of(&self, sender: &str, name: &str) -> Option<u32> {
        let same = |&slot: &u32| self.at(slot).name() == name && self.at(slot).sender() == sender;
        self.by_key.find(self.key_hash(sender, name), same).copied()
    }

    fn newest_slot(&self, name: &str) -> Option<u32> {
        self.by_name.find(self.hasher.hash_one(name), |&slot| self.at(slot).name() == name).copied()
    }

    /// The value of a key.
    pub fn find(&self, sender: &str, name: &str) -> Option<&State> {
        self.slot_of(sender, name).map(|slot| self.at(slot))
    }

    /// The newest value of any sender.
    pub fn newest(&self, name: &str) -> Option<&State> {
        self.newest_slot(name).map(|slot| self.at(slot))
    }

    /// Every value, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &State> {
        self.states.iter().flatten()
    }

    /// Remembers a value; the one held of its key is older.
    pub fn insert(&mut self, state: State) {
        self.bytes += state.allocated();
        let (stamp, name_hash) = (state.stamp(), self.hasher.hash_one(state.name()));
        let newest = self.newest_slot(state.name());
        let slot = match self.slot_of(state.sender(), state.name()) {
            Some(slot) => {
                let old = self.states[slot as usize].replace(state);
                self.bytes -= old.map_or(0, |old| old.allocated());
                slot
            }
            None => self.add(state),
        };
        match newest {
            Some(newest) if newest == slot || self.at(newest).stamp() > stamp => {}
            Some(newest) => {
                if let Some(held) = self.by_name.find_mut(name_hash, |&other| other == newest) {
                    *held = slot;
                }
            }
            None => {
                let Kept { states, by_name, hasher, .. } = self;
                by_name.insert_unique(name_hash, slot, |&slot| {
                    states[slot as usize].as_ref().map_or(0, |state| hasher.hash_one(state.name()))
                });
            }
        }
        while self.bytes > self.limit && self.by_key.len() > 1 {
            self.forget_next(slot);
        }
    }

    fn add(&mut self, state: State) -> u32 {
        let hash = self.key_hash(state.sender(), state.name());
        let slot = match self.free.pop() {
            Some(slot) => {
                self.states[slot as usize] = Some(state);
                slot
            }
            None => {
                self.states.push(Some(state));
                (self.states.len() - 1) as u32
            }
        };
        let Kept { states, by_key, hasher, .. } = self;
        by_key.insert_unique(hash, slot, |&slot| {
            states[slot as usize].as_ref().map_or(0, |state| hasher.hash_one((state.sender(), state.name())))
        });
        slot
    }

    fn forget_next(&mut self, but: u32) {
        self.hand = (self.hand + 1) % self.states.len();
        let slot = self.hand as u32;
        if slot == but {
            return;
        }
        let Some(state) = self.states[self.hand].take() else { return };
        self.bytes -= state.allocated();
        let key = self.key_hash(state.sender(), state.name());
        if let Ok(found) = self.by_key.find_entry(key, |&other| other == slot) {
            found.remove();
        }
        if let Ok(found) = self.by_name.find_entry(self.hasher.hash_one(state.name()), |&other| other == slot) {
            found.remove();
        }
        self.free.push(slot);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Kept::new(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Form, Meta, Stamp};

    fn state(sender: &str, name: &str, clock: u64) -> State {
        let mut body = Vec::new();
        wire::encode(&mut body, Form::Old, sender, name, &[0xC3], &Meta::default());
        let body = wire::decode(&body, Form::Old).expect("a body");
        State::new(&mut Vec::new(), &body, Stamp { clock, ..Stamp::default() }, 0)
    }

    #[test]
    fn the_newest_of_a_name_is_that_with_the_greatest_stamp() {
        let mut kept = Kept::new(1 << 20);
        for (sender, clock, newest) in [("a", 5, "a"), ("b", 3, "a"), ("b", 7, "b"), ("a", 6, "b"), ("c", 8, "c")] {
            kept.insert(state(sender, "x", clock));
            assert_eq!(kept.newest("x").map(State::sender), Some(newest));
        }
        assert_eq!(kept.find("a", "x").map(|state| state.stamp().clock), Some(6));
        assert!(kept.newest("y").is_none() && kept.find("d", "x").is_none());
    }

    #[test]
    fn over_its_limit_it_forgets_and_stays_whole() {
        let limit = 50 * state("a", "n100", 1).allocated();
        let mut kept = Kept::new(limit);
        for i in 0..1000 {
            let (sender, name) = (["a", "b"][i % 2], format!("n{}", i % 200));
            kept.insert(state(sender, &name, i as u64));
            assert!(kept.bytes <= limit);
            assert_eq!(kept.find(sender, &name).map(|state| state.stamp().clock), Some(i as u64));
            assert!(kept.newest(&name).is_some());
        }
        assert!(kept.states.len() <= 60, "slots are used again");
        kept.clear();
        assert_eq!((kept.bytes, kept.by_key.len(), kept.by_name.len()), (0, 0, 0));
    }
}
