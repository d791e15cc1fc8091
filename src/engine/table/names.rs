//! The entries of each name.

use std::mem::size_of;

use super::super::hash::{KeyHash, KeyIndex};
use super::super::slots::Slots;
use super::entry::Entry;
use super::{INDEXED, NONE};

/// The entries of each name, from all senders. A change of a value does not touch it: which of them is the newest is
/// looked up when somebody asks.
pub struct NameIndex {
    /// The first entry of each name's list, under the key of that name and no sender.
    first: KeyIndex,
    /// The neighbours of each slot in the list of its name.
    neighbours: Vec<Neighbours>,
}

#[derive(Clone, Copy)]
struct Neighbours {
    previous: u32,
    next: u32,
}

impl NameIndex {
    /// What it costs for an entry, if each has a name of its own.
    pub const OVERHEAD: usize = size_of::<Neighbours>() + INDEXED;

    pub fn new() -> NameIndex {
        NameIndex { first: KeyIndex::new(), neighbours: Vec::new() }
    }

    fn hash(&self, name: &str) -> KeyHash {
        self.first.hash("", name)
    }

    fn first(&self, entries: &Slots<Entry>, hash: KeyHash, name: &str) -> Option<u32> {
        self.first.find(hash, |slot| entries.get(slot).is_some_and(|entry| entry.is_named(name)))
    }

    /// The entries of a name, in no particular order.
    pub fn named<'a>(&'a self, entries: &'a Slots<Entry>, name: &str) -> impl Iterator<Item = &'a Entry> {
        let next = |&slot: &u32| Some(self.neighbours[slot as usize].next).filter(|&next| next != NONE);
        std::iter::successors(self.first(entries, self.hash(name), name), next).filter_map(|slot| entries.get(slot))
    }

    /// Adds the slot of an entry that is in `entries` already.
    pub fn insert(&mut self, entries: &Slots<Entry>, slot: u32, name: &str) {
        let at = slot as usize;
        if at >= self.neighbours.len() {
            self.neighbours.resize(at + 1, Neighbours { previous: NONE, next: NONE });
        }
        let hash = self.hash(name);
        // Never before the first: that one is in the index.
        match self.first(entries, hash, name) {
            Some(first) => {
                let next = std::mem::replace(&mut self.neighbours[first as usize].next, slot);
                self.neighbours[at] = Neighbours { previous: first, next };
                if next != NONE {
                    self.neighbours[next as usize].previous = slot;
                }
            }
            None => {
                self.neighbours[at] = Neighbours { previous: NONE, next: NONE };
                self.first.insert(hash, slot);
            }
        }
    }

    pub fn remove(&mut self, slot: u32, name: &str) {
        let Neighbours { previous, next } = self.neighbours[slot as usize];
        if next != NONE {
            self.neighbours[next as usize].previous = previous;
        }
        if previous != NONE {
            self.neighbours[previous as usize].next = next;
            return;
        }
        let hash = self.hash(name);
        self.first.remove(hash, slot);
        if next != NONE {
            self.first.insert(hash, next);
        }
    }
}
