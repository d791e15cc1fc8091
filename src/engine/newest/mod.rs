//! Newest values by (sender, name).

mod names;
#[cfg(test)]
mod tests;

use std::mem::size_of;

use self::names::NameIndex;
use super::hash::{KeyHash, KeyIndex};
use super::slots::Slots;
use crate::wire::Stamp;

/// A value of a (sender, name).
pub trait Keyed {
    /// The hash of its key, in the [`Newest`] that it is in.
    fn key_hash(&self) -> KeyHash;
    /// Its sender.
    fn sender(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
    /// Whether these are its sender and name.
    fn is_of(&self, sender: &[u8], name: &[u8]) -> bool;
    /// Whether this is its name.
    fn is_named(&self, name: &[u8]) -> bool;
    /// Its stamp.
    fn stamp(&self) -> Stamp;
    /// Whether it says that its key has no value any more.
    fn is_cleared(&self) -> bool;

    /// What orders the values of a name by their age; what is cleared is before all that is not. Equal stamps, which only
    /// a sender that forges its own can make, are ordered too: everybody then finds the same value.
    fn age_order(&self) -> (bool, Stamp, &str) {
        (!self.is_cleared(), self.stamp(), self.sender())
    }
}

/// The place of a key, until the next change.
#[derive(Clone, Copy)]
pub struct Place {
    /// Its hash.
    pub hash: KeyHash,
    /// Where its value is, if there is one.
    pub slot: Option<u32>,
}

/// One value for each key, in a slot that it keeps, found by key and, once somebody has asked, by name.
pub struct Newest<T> {
    values: Slots<T>,
    keys: KeyIndex,
    /// Most hubs and apps are never asked for a name without a sender.
    names: Option<NameIndex>,
    removed: u64,
}

impl<T: Keyed> Newest<T> {
    /// No values.
    pub fn new() -> Newest<T> {
        Newest { values: Slots::new(), keys: KeyIndex::new(), names: None, removed: 0 }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// One past the last slot that was ever used.
    pub fn end(&self) -> usize {
        self.values.end()
    }

    /// What a value costs beside its own allocations.
    pub fn overhead(&self) -> usize {
        size_of::<Option<T>>() + KeyIndex::COST + self.names.as_ref().map_or(0, |_| NameIndex::OVERHEAD)
    }

    /// The place of a key.
    #[inline]
    pub fn place(&self, sender: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Place {
        let (sender, name) = (sender.as_ref(), name.as_ref());
        self.place_by(sender, name, |value| value.is_of(sender, name))
    }

    /// The same, of the key for whose value `same` says yes.
    #[inline]
    pub fn place_by(&self, sender: &[u8], name: &[u8], same: impl Fn(&T) -> bool) -> Place {
        let hash = self.keys.hash(sender, name);
        let same = |slot| same(self.values.get(slot).expect("the index names values only"));
        Place { hash, slot: self.keys.find(hash, same) }
    }

    /// How many values were taken out so far: a slot is that of another key only after that.
    #[inline]
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// The value of a key.
    pub fn find(&self, sender: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Option<&T> {
        self.get(self.place(sender, name).slot?)
    }

    /// The value in a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.values.get(slot)
    }

    /// The value in a slot. Its key stays; after any other change: [`Newest::restamped`].
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.values.get_mut(slot)
    }

    /// The value in this slot has another stamp than before, or is another one.
    #[inline]
    pub fn restamped(&mut self, slot: u32) {
        if let Some(names) = &mut self.names {
            names.restamped(&self.values, slot);
        }
    }

    /// Adds the value of a key that has none, and returns its slot.
    #[inline]
    pub fn insert(&mut self, value: T) -> u32 {
        let hash = value.key_hash();
        let slot = self.values.insert(value);
        self.keys.insert(hash, slot);
        if let Some(names) = &mut self.names {
            names.insert(&self.values, slot);
        }
        slot
    }

    /// As [`Slots::use_next`].
    pub fn use_next(&mut self, slot: u32) -> bool {
        self.values.use_next(slot)
    }

    /// Takes the value out of a slot.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.values.remove(slot)?;
        self.removed += 1;
        self.keys.remove(value.key_hash(), slot);
        if let Some(names) = &mut self.names {
            names.remove(&self.values, slot, value.name());
        }
        Some(value)
    }

    /// Every value, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    /// From here on [`Newest::newest`] does not look at every value.
    pub fn index_names(&mut self) {
        if self.names.is_none() {
            self.names = Some(NameIndex::of(&self.values));
        }
    }

    /// The newest value of a name, of any sender that has one: none that is cleared.
    pub fn newest(&self, name: &str) -> Option<&T> {
        let newest = match &self.names {
            Some(names) => self.get(names.newest(&self.values, name)?),
            None => self
                .iter()
                .filter(|value| value.is_named(name.as_bytes()))
                .max_by(|a, b| a.age_order().cmp(&b.age_order())),
        };
        newest.filter(|value| !value.is_cleared())
    }
}

impl<T: Keyed> Slots<T> {
    /// The name of the value in a slot.
    fn name(&self, slot: u32) -> &str {
        self.get(slot).map_or("", Keyed::name)
    }
}
