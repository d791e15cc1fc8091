//! The newest values that an app received: to answer `get`, and to know what it had already.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::super::hash::{key_hasher, KeyHash, KeyHasher, KeyIndex};
use crate::state::State;
use crate::wire::Stamp;

/// Newest values by (sender, name), and for each name which is the newest of any sender. Over its limit it forgets the
/// keys it has known longest.
pub struct Received {
    slots: Vec<Option<Known>>,
    free: Vec<u32>,
    by_key: KeyIndex,
    /// For each name the newest value of any sender. Made when first asked for: most programs never ask.
    by_name: Option<HashTable<u32>>,
    hasher: KeyHasher,
    bytes: usize,
    limit: usize,
    /// The slot to be forgotten next.
    hand: usize,
}

struct Known {
    state: State,
    key_hash: KeyHash,
    /// Whether `by_name` has it.
    newest: bool,
}

/// Where a key stands, or would.
#[derive(Clone, Copy)]
pub struct Position {
    key_hash: KeyHash,
    slot: Option<u32>,
}

fn known(slots: &[Option<Known>], slot: u32) -> &Known {
    slots[slot as usize].as_ref().expect("the indices name states only")
}

impl Received {
    /// Nothing yet, and never more than `limit` bytes.
    pub fn new(limit: usize) -> Received {
        Received {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: KeyIndex::new(),
            by_name: None,
            hasher: key_hasher(),
            bytes: 0,
            limit,
            hand: 0,
        }
    }

    /// The place of a key; good until the next change.
    pub fn place(&self, sender: &str, name: &str) -> Position {
        let key_hash = self.by_key.hash(sender, name);
        let same = |slot| known(&self.slots, slot).state.is_of(sender, name);
        Position { key_hash, slot: self.by_key.find(key_hash, same) }
    }

    /// The value there.
    pub fn at(&self, place: Position) -> Option<&State> {
        place.slot.map(|slot| &known(&self.slots, slot).state)
    }

    /// The value of a key.
    pub fn find(&self, sender: &str, name: &str) -> Option<&State> {
        self.at(self.place(sender, name))
    }

    /// The newest value of any sender.
    pub fn newest(&mut self, name: &str) -> Option<&State> {
        if self.by_name.is_none() {
            self.by_name = Some(HashTable::new());
            for slot in 0..self.slots.len() as u32 {
                if self.slots[slot as usize].is_some() {
                    self.compare(slot);
                }
            }
        }
        let (_, slot) = self.newest_slot(name);
        slot.map(|slot| &known(&self.slots, slot).state)
    }

    /// The hash of a name, and where its newest value is.
    fn newest_slot(&self, name: &str) -> (u64, Option<u32>) {
        let hash = self.hasher.hash_one(name);
        let same = |&slot: &u32| known(&self.slots, slot).state.is_named(name);
        (hash, self.by_name.as_ref().and_then(|by_name| by_name.find(hash, same)).copied())
    }

    /// Every value, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &State> {
        self.slots.iter().flatten().map(|held| &held.state)
    }

    /// Remembers a value at the place of its key.
    pub fn insert(&mut self, place: Position, state: State) {
        self.bytes += state.allocated();
        let slot = match place.slot {
            Some(slot) => {
                let held = self.slots[slot as usize].as_mut().expect("the indices name states only");
                self.bytes -= held.state.allocated();
                let lowered = held.newest && state.stamp() < held.state.stamp();
                held.state = state;
                if lowered {
                    self.forget_newest();
                }
                slot
            }
            None => self.add(place.key_hash, state),
        };
        // Of a key that had the newest value of its name this is the newest too.
        if self.by_name.is_some() && !known(&self.slots, slot).newest {
            self.compare(slot);
        }
        while self.bytes > self.limit && self.by_key.len() > 1 {
            self.forget_next(slot);
        }
    }

    fn add(&mut self, key_hash: KeyHash, state: State) -> u32 {
        let new = Some(Known { state, key_hash, newest: false });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = new;
                slot
            }
            None => {
                self.slots.push(new);
                (self.slots.len() - 1) as u32
            }
        };
        self.by_key.insert(key_hash, slot);
        slot
    }

    /// Puts the value into `by_name`, if that is there, and if it is the newest of its name.
    fn compare(&mut self, slot: u32) {
        let state = &known(&self.slots, slot).state;
        let (hash, newest) = self.newest_slot(state.name());
        let Received { slots, by_name: Some(by_name), hasher, .. } = self else { return };
        match newest {
            Some(newest) if known(slots, newest).state.stamp() > known(slots, slot).state.stamp() => return,
            Some(newest) => {
                if let Some(held) = by_name.find_mut(hash, |&other| other == newest) {
                    *held = slot;
                }
                self.mark(newest, false);
            }
            None => {
                by_name.insert_unique(hash, slot, |&slot| hasher.hash_one(known(slots, slot).state.name()));
            }
        }
        self.mark(slot, true);
    }

    /// Another value of some name may be the newest: to be found out when somebody asks.
    fn forget_newest(&mut self) {
        self.by_name = None;
        self.slots.iter_mut().flatten().for_each(|held| held.newest = false);
    }

    fn mark(&mut self, slot: u32, newest: bool) {
        if let Some(held) = &mut self.slots[slot as usize] {
            held.newest = newest;
        }
    }

    fn forget_next(&mut self, but: u32) {
        self.hand = (self.hand + 1) % self.slots.len();
        let slot = self.hand as u32;
        if slot != but {
            self.forget(slot);
        }
    }

    /// Forgets values whose stamp is not to be trusted.
    pub fn forget_if(&mut self, astray: impl Fn(Stamp) -> bool) {
        self.forget_newest();
        for slot in 0..self.slots.len() as u32 {
            if self.slots[slot as usize].as_ref().is_some_and(|held| astray(held.state.stamp())) {
                self.forget(slot);
            }
        }
    }

    fn forget(&mut self, slot: u32) {
        let Some(held) = self.slots[slot as usize].take() else { return };
        self.bytes -= held.state.allocated();
        self.by_key.remove(held.key_hash, slot);
        if let (Some(by_name), true) = (&mut self.by_name, held.newest) {
            let hash = self.hasher.hash_one(held.state.name());
            if let Ok(found) = by_name.find_entry(hash, |&other| other == slot) {
                found.remove();
            }
        }
        self.free.push(slot);
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
        assert!(kept.slots.len() <= 60, "slots are used again");
        kept.clear();
        assert!(kept.bytes == 0 && kept.find("a", "n0").is_none() && kept.newest("n0").is_none());
    }
}
