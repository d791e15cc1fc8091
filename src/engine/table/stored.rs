//! What a table tells a store, and takes back from it.
//!
//! What changes in the table is found by a walk, as for a peer. Only what leaves it, entries and senders, has to be noted:
//! places in the table, each once however often something happens there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::since::Since;
use super::{Offer, Refusal, Slot, Table};
use crate::time::MonoTime;

/// So many slots beyond twice those in use are left free for an entry that is to have the slot that it had.
const GAP: usize = 1024;

/// Slots whose entries were forgotten, if that is to be known.
#[derive(Default)]
pub(super) struct Freed(Option<BTreeSet<u32>>);

impl Freed {
    /// There is no entry at this slot any more.
    pub fn note(&mut self, slot: u32) {
        if let Some(freed) = &mut self.0 {
            freed.insert(slot);
        }
    }
}

/// A sender, as a store is told of it.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredSender<'a> {
    /// Its place.
    pub place: u32,
    /// Its name, and for how long it has departed. None: it has not, or there is none at this place.
    pub departed: Option<(&'a str, Duration)>,
}

impl Table {
    /// From here on it is noted which entries and senders are gone; all senders count as changed.
    pub fn note_for_store(&mut self) {
        self.freed.0.get_or_insert_default();
        self.owners.note_changes();
    }

    /// Whether something is noted.
    pub fn has_notes(&self) -> bool {
        self.freed.0.as_ref().is_some_and(|freed| !freed.is_empty()) || self.owners.have_changed()
    }

    /// The next slot whose entry was forgotten and that has none now.
    pub fn take_freed(&mut self) -> Option<Slot> {
        let freed = self.freed.0.as_mut()?;
        std::iter::from_fn(|| freed.pop_first()).map(Slot).find(|slot| self.entries.get(slot.0).is_none())
    }

    /// The next sender that has departed, has come back or is gone.
    pub fn take_sender(&mut self, mono: MonoTime) -> Option<StoredSender<'_>> {
        let (owner, departed) = self.owners.take_changed()?;
        Some(StoredSender { place: owner.0, departed: departed.map(|(name, since)| (name, since.age(mono))) })
    }

    /// For how long the entry at `slot` has been a tombstone, if it is one.
    pub fn cleared_for(&self, slot: Slot, mono: MonoTime) -> Option<Duration> {
        self.tombstones.made(slot).map(|made| made.age(mono))
    }

    /// Puts an entry back, at the slot that it had if that is free and not far beyond the others, unless a later one of its
    /// key is there. A tombstone has been one for `age`. Slots come in ascending order, and before them there was nothing in
    /// the table.
    ///
    /// An entry that is at another slot than it was counts as changed, and the one that it had as free.
    pub fn restore(&mut self, slot: Slot, offer: Offer<'_>, age: Duration) -> Result<Slot, Refusal> {
        let (mono, had) = (offer.mono, self.find_at(offer.sender, offer.name).is_some());
        let near = (slot.0 as usize) < 2 * self.len() + GAP;
        let is_next = !had && near && self.entries.use_next(slot.0);
        let restored = self.offer(offer);
        match restored {
            Ok(at) => {
                if self.tombstones.made(at).is_some() {
                    let owner = self.get(at).expect("it was restored").owner;
                    self.tombstones.insert(at, Since::before(mono, age), owner);
                }
                if at != slot {
                    self.freed.note(slot.0);
                    self.moved.push(at);
                }
            }
            Err(_) => self.freed.note(slot.0),
        }
        debug_assert!(!is_next || restored.is_err() || restored == Ok(slot));
        restored
    }

    /// A sender whose entries were restored had departed so long before.
    pub fn restore_sender(&mut self, name: &str, mono: MonoTime, age: Duration) {
        self.owners.restore(name, Since::before(mono, age));
    }

    /// All is restored. Senders of which nothing was said depart now. Returns the version up to which everything is stored
    /// as it is; entries at other slots than before have a later one.
    pub fn restored(&mut self, mono: MonoTime) -> u64 {
        self.owners.restored(mono);
        let through = self.version;
        for slot in std::mem::take(&mut self.moved) {
            self.touch(slot);
        }
        through
    }
}
