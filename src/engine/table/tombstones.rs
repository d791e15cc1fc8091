//! The entries that say that a key has no value any more: how old each is, and whose.

use std::collections::BTreeSet;
use std::mem::size_of;

use hashbrown::HashMap;

use super::owners::OwnerId;
use super::since::Since;
use super::Slot;

/// What a tombstone costs beside its entry: its places, in sets that are half full.
const COST: usize =
    size_of::<(Slot, Made)>() + 2 * size_of::<(Since, Slot)>() + 2 * size_of::<(OwnerId, Since, Slot)>();

/// When a tombstone was made, and whose it is.
type Made = (Since, OwnerId);

/// Tombstones, by their place in the table.
#[derive(Default)]
pub struct Tombstones {
    made: HashMap<Slot, Made>,
    /// From the oldest on.
    by_age: BTreeSet<(Since, Slot)>,
    by_owner: BTreeSet<(OwnerId, Since, Slot)>,
}

impl Tombstones {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// Bytes allocated for all of them, without their entries.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.made.len() * COST
    }

    /// The entry at `slot` is a tombstone, which was made at this time.
    #[cold]
    pub fn insert(&mut self, slot: Slot, made: Since, owner: OwnerId) {
        self.remove(slot);
        self.made.insert(slot, (made, owner));
        self.by_age.insert((made, slot));
        self.by_owner.insert((owner, made, slot));
    }

    /// The entry at `slot` is not a tombstone any more.
    #[cold]
    pub fn remove(&mut self, slot: Slot) {
        if let Some((made, owner)) = self.made.remove(&slot) {
            self.by_age.remove(&(made, slot));
            self.by_owner.remove(&(owner, made, slot));
        }
    }

    /// The oldest, other than `but`.
    pub fn oldest(&self, but: Option<Slot>) -> Option<Slot> {
        self.by_age.iter().map(|&(_, slot)| slot).find(|&slot| Some(slot) != but)
    }

    /// The oldest of an owner, other than `but`.
    pub fn oldest_of(&self, owner: OwnerId, but: Option<Slot>) -> Option<Slot> {
        let own = self.by_owner.range((owner, Since::default(), Slot(0))..);
        let own = own.take_while(|&&(other, ..)| other == owner).map(|&(.., slot)| slot);
        own.into_iter().find(|&slot| Some(slot) != but)
    }

    /// When the oldest was made.
    pub fn since(&self) -> Option<Since> {
        self.by_age.first().map(|&(made, _)| made)
    }

    /// When the one at `slot` was made.
    pub fn made(&self, slot: Slot) -> Option<Since> {
        self.made.get(&slot).map(|&(made, _)| made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MonoTime;

    #[test]
    fn the_oldest_of_all_and_of_an_owner_are_found_whatever_was_made_anew_since() {
        let (a, b) = (OwnerId(1), OwnerId(2));
        let at = |nanos| Since::from(MonoTime::from_nanos(nanos));
        let mut tombstones = Tombstones::default();
        for (slot, mono, owner) in [(5, 1, a), (6, 2, b), (7, 3, a), (8, 3, b)] {
            tombstones.insert(Slot(slot), at(mono), owner);
        }
        assert_eq!((tombstones.oldest(None), tombstones.since()), (Some(Slot(5)), Some(at(1))));
        assert_eq!((tombstones.made(Slot(6)), tombstones.made(Slot(9))), (Some(at(2)), None));
        assert_eq!((tombstones.oldest(Some(Slot(5))), tombstones.oldest_of(b, None)), (Some(Slot(6)), Some(Slot(6))));
        assert_eq!(tombstones.oldest_of(b, Some(Slot(6))), Some(Slot(8)));
        tombstones.insert(Slot(5), at(4), a);
        assert_eq!((tombstones.oldest(None), tombstones.oldest_of(a, None)), (Some(Slot(6)), Some(Slot(7))));
        assert_eq!((tombstones.len(), tombstones.bytes()), (4, 4 * COST));
        (5..9).for_each(|slot| tombstones.remove(Slot(slot)));
        tombstones.remove(Slot(5));
        assert_eq!((tombstones.len(), tombstones.oldest(None), tombstones.oldest_of(a, None)), (0, None, None));
        assert!(tombstones.by_owner.is_empty() && tombstones.since().is_none());
    }
}
