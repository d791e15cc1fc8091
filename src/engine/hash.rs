//! The hash of keys that come from the network, and slots by them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::size_of;
use std::sync::OnceLock;

use foldhash::fast::SeedableRandomState;
use foldhash::SharedSeed;
use hashbrown::HashTable;

/// A fast hash that cannot be predicted without its seeds.
pub type KeyHasher = SeedableRandomState;

/// A hasher with a seed of its own, made of the system's randomness by way of the standard library: what `foldhash`
/// takes by itself, addresses and the time, can be guessed.
pub fn key_hasher() -> KeyHasher {
    static SHARED: OnceLock<SharedSeed> = OnceLock::new();
    let random = || RandomState::new().hash_one(());
    SeedableRandomState::with_seed(random(), SHARED.get_or_init(|| SharedSeed::from_u64(random())))
}

/// The hash of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(u32);

impl KeyHash {
    /// In a table of fewer than 2^25 keys the bits that choose the place are not those that are compared.
    fn spread(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

/// Slots by the hashes of their keys: each a sender and a name, or each one text. The hashes are in it: growing it touches nothing else, and neither does
/// looking for what is not there.
pub struct KeyIndex {
    slots: HashTable<(KeyHash, u32)>,
    hasher: KeyHasher,
}

impl KeyIndex {
    /// What a slot costs in it: it has room to spare, and a byte beside each place.
    pub const COST: usize = 2 * (size_of::<(KeyHash, u32)>() + 1);

    /// An empty one.
    pub fn new() -> KeyIndex {
        KeyIndex { slots: HashTable::new(), hasher: key_hasher() }
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The hash of one text, in this index.
    pub fn hash_text(&self, text: &[u8]) -> KeyHash {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        KeyHash(hasher.finish() as u32)
    }

    /// The hash of a sender and a name, in this index.
    #[inline]
    pub fn hash(&self, sender: &[u8], name: &[u8]) -> KeyHash {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(sender);
        // No text has this byte.
        hasher.write_u8(0xFF);
        hasher.write(name);
        KeyHash(hasher.finish() as u32)
    }

    /// The slot of the key with this hash for which `same` says yes.
    pub fn find(&self, hash: KeyHash, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.slots.find(hash.spread(), |&(other, slot)| other == hash && same(slot)).map(|&(_, slot)| slot)
    }

    /// Adds the slot of a key that is not in it.
    pub fn insert(&mut self, hash: KeyHash, slot: u32) {
        self.slots.insert_unique(hash.spread(), (hash, slot), |(hash, _)| hash.spread());
    }

    /// The key with this hash has another slot from now on.
    pub fn replace(&mut self, hash: KeyHash, slot: u32, other: u32) {
        if let Some(found) = self.slots.find_mut(hash.spread(), |&held| held == (hash, slot)) {
            found.1 = other;
        }
    }

    /// Takes out a slot whose key has this hash.
    pub fn remove(&mut self, hash: KeyHash, slot: u32) {
        if let Ok(found) = self.slots.find_entry(hash.spread(), |&other| other == (hash, slot)) {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_slot_also_where_hashes_are_equal() {
        let mut index = KeyIndex::new();
        let hash = index.hash(b"a", b"x");
        (0..3).for_each(|slot| index.insert(hash, slot));
        assert_eq!(index.find(hash, |slot| slot == 1), Some(1));
        index.remove(hash, 1);
        assert_eq!((index.find(hash, |slot| slot == 1), index.find(hash, |slot| slot == 2)), (None, Some(2)));
        index.replace(hash, 2, 9);
        assert_eq!((index.find(hash, |slot| slot == 2), index.find(hash, |slot| slot == 9)), (None, Some(9)));
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn the_end_of_the_sender_counts() {
        let index = KeyIndex::new();
        assert!(index.hash(b"ab", b"c") != index.hash(b"a", b"bc"));
        assert!(index.hash(b"a", b"x") != KeyIndex::new().hash(b"a", b"x"), "each index has its seed");
    }
}
