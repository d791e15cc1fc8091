//! The newest value of every key, in places that stay where they are.
//!
//! A value that changes keeps its slot, so that a walk over the slots meets every key once,
//! however often some of them change. Each change gets the table's next *version*; a page remembers the greatest
//! version in it, so that a walk skips what it has seen.

mod entry;
mod lifetimes;
mod offer;
mod owners;
mod pinned;
mod rewrite;
mod since;
mod stored;
#[cfg(test)]
pub(super) mod tests;
mod tombstones;
mod transients;

use std::cell::Cell;
use std::mem;
use std::time::Duration;

use self::entry::Stored;
pub use self::entry::{Audience, Entry, EntryBody};
pub use self::lifetimes::tombstone;
use self::lifetimes::Lifetimes;
pub use self::offer::{Offer, Refusal};
use self::owners::{OwnerId, Owners};
use self::pinned::Pinned;
pub use self::rewrite::{Found, Rewrite};
use self::stored::Freed;
pub use self::stored::StoredSender;
use self::tombstones::Tombstones;
use self::transients::Transients;
use super::hash::KeyHash;
use super::mutations::{is_on, Mutation};
use super::newest::{Newest, Place};
use super::slots::NONE;
use super::ConnId;
use crate::limits;
use crate::memory::NoMemory;
use crate::time::MonoTime;
use crate::wire::{Kind, Stamp};

/// Bodies from this size on are shared between the table and all outboxes; smaller ones are copied.
pub const SHARE_FROM: usize = 4 << 10;

/// What it costs to forget an entry, in steps.
const FORGET: usize = 4;

/// Slots of one page.
pub const PAGE: usize = 64;

/// The place of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u32);

/// What a table may hold.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Entries.
    pub states: usize,
    /// Bytes.
    pub bytes: usize,
    /// The share of one sender, as a divisor of both.
    pub share: usize,
    /// How long a departed sender's entries stay.
    pub departed: Duration,
    /// How long tombstones stay.
    pub cleared: Duration,
}

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity {
            states: limits::TABLE_STATES,
            bytes: limits::TABLE_BYTES,
            share: 2,
            departed: limits::DEPARTED,
            cleared: limits::CLEARED,
        }
    }
}

/// Newest values by (sender, name). That of a key without a value any more is a tombstone, which has a stamp as any other:
/// it stays for some time, and goes before all others where there is no room.
pub struct Table {
    entries: Newest<Entry>,
    /// The greatest version in each page.
    pages: Vec<u64>,
    version: u64,
    /// Bytes allocated for its entries.
    bytes: usize,
    owners: Owners,
    tombstones: Tombstones,
    lifetimes: Lifetimes,
    transients: Transients,
    /// Departures, and tombstones, of so long before this time have expired.
    expired: Option<MonoTime>,
    freed: Freed,
    /// Entries that were restored to other slots than they had; while a table is restored.
    moved: Vec<Slot>,
    /// Bodies that it held, and that wait to be written.
    pub pinned: Pinned,
    /// The most that it may hold, in bytes, if its capacity is larger.
    pub ceiling: usize,
    /// Bytes of what it may hold that are taken up by something else.
    pub reserved: usize,
    /// What it may hold.
    pub capacity: Capacity,
}

impl Table {
    /// An empty table.
    pub fn new(mut capacity: Capacity) -> Table {
        if is_on(Mutation::TombstoneForgotten) {
            capacity.cleared = Duration::ZERO;
        }
        Table {
            entries: Newest::new(),
            pages: Vec::new(),
            version: 0,
            bytes: 0,
            owners: Owners::new(),
            tombstones: Tombstones::default(),
            lifetimes: Lifetimes::default(),
            transients: Transients::default(),
            expired: None,
            freed: Freed::default(),
            moved: Vec::new(),
            pinned: Pinned::default(),
            ceiling: usize::MAX,
            reserved: 0,
            capacity,
        }
    }

    /// How many entries it holds, tombstones among them.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many values it holds.
    pub fn values(&self) -> usize {
        self.len() - self.tombstones.len()
    }

    /// How many senders have departed of which it holds something.
    pub fn departed_senders(&self) -> usize {
        self.owners.gone()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated for its entries and their senders.
    #[inline]
    pub fn bytes(&self) -> usize {
        let others = self.tombstones.bytes() + self.lifetimes.ends.bytes() + self.transients.bytes();
        self.bytes + self.owners.bytes() + others
    }

    /// Bytes that it and what is reserved may hold.
    pub fn room(&self) -> usize {
        self.capacity.bytes.min(self.ceiling)
    }

    /// Bytes that it may hold.
    fn most_bytes(&self) -> usize {
        self.room().saturating_sub(self.reserved)
    }

    /// The number of changes so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One past the last slot that was ever used.
    pub fn slots(&self) -> usize {
        self.entries.end()
    }

    /// The entry at `slot`, if there is one.
    pub fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0)
    }

    /// The greatest version in the page of `slot`, and the page's end.
    pub fn page(&self, slot: usize) -> (u64, usize) {
        let page = slot / PAGE;
        (self.pages[page], (page + 1) * PAGE)
    }

    /// The entry of a key.
    pub fn find(&self, sender: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Option<&Entry> {
        self.entries.find(sender, name)
    }

    /// The place of the entry of a key.
    pub fn find_at(&self, sender: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Option<Slot> {
        self.entries.place(sender, name).slot.map(Slot)
    }

    /// From here on [`Table::newest`] finds a name without a look at every entry.
    pub fn index_names(&mut self) {
        let before = self.entries.overhead();
        self.entries.index_names();
        let more = self.entries.overhead() - before;
        for owner in self.owners.iter_mut() {
            owner.bytes += owner.states * more;
        }
        self.bytes += self.len() * more;
    }

    /// The newest value of a name, of any sender. Without [`Table::index_names`] it is looked for among all entries.
    pub fn newest(&self, name: &str) -> Option<&Entry> {
        self.entries.newest(name)
    }

    /// Every entry, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Takes a value if it is newer than the one held and there is room.
    pub fn offer(&mut self, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let place = self.place_of(&offer);
        match place.slot {
            Some(slot) if !offer.is_newer_than(self.entries.get(slot).expect("found in the index")) => {
                Err(Refusal::Stale)
            }
            Some(slot) => self.update(slot, offer),
            None => self.add(place.hash, offer),
        }
    }

    /// As [`Table::offer`], by another than its sender: who speaks for the sender, and whether it has departed, stays as it
    /// is. A sender that is new has departed now.
    pub fn offer_by_another(&mut self, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let (place, mono) = (self.place_of(&offer), offer.mono);
        match place.slot {
            Some(slot) if !offer.is_newer_than(self.entries.get(slot).expect("found in the index")) => {
                Err(Refusal::Stale)
            }
            Some(slot) => self.put(slot, offer),
            None => {
                let slot = self.insert(place.hash, offer)?;
                self.owners.depart_if_new(self.entries.get(slot.0).expect("it was just added").owner, mono);
                Ok(slot)
            }
        }
    }

    /// No value, but a change: what was there before it has a lower version.
    pub fn advance(&mut self) {
        self.version += 1;
    }

    /// The connection that speaks for the sender of the entry at `slot`.
    pub fn speaker(&self, slot: Slot) -> Option<ConnId> {
        self.owners.speaker(self.get(slot)?.owner)
    }

    /// Takes a value, whatever the stamp of the one held, if there is room.
    pub fn replace(&mut self, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let place = self.place_of(&offer);
        self.replace_at(place, offer)
    }

    /// As [`Table::replace`], where the place of the key is known.
    #[inline]
    pub fn replace_at(&mut self, place: Place, offer: Offer<'_>) -> Result<Slot, Refusal> {
        match place.slot {
            Some(slot) => self.update(slot, offer),
            None => self.add(place.hash, offer),
        }
    }

    /// Gives the entry at `slot`, whose meta begins with its stamp, another one: a change.
    ///
    /// # Errors
    /// There is no memory, and nothing changed.
    pub(crate) fn restamp(&mut self, slot: Slot, stamp: Stamp) -> Result<(), NoMemory> {
        let Some(entry) = self.entries.get_mut(slot.0) else { return Ok(()) };
        let at = entry.meta_at() + Stamp::META_LEN - Stamp::LEN;
        entry.body.overwrite(at, &stamp.to_bytes())?;
        entry.stamp = stamp;
        self.touch(slot);
        self.entries.restamped(slot.0);
        Ok(())
    }

    /// The entry at `slot` counts as changed.
    fn touch(&mut self, slot: Slot) {
        if let Some(entry) = self.entries.get_mut(slot.0) {
            self.version += 1;
            entry.version = self.version;
            self.pages[slot.0 as usize / PAGE] = self.version;
        }
    }

    /// Forgets the entry at `slot`.
    pub fn forget(&mut self, slot: Slot) {
        let Some(owner) = self.get(slot).map(|entry| entry.owner) else { return };
        self.remove(slot.0);
        self.owners.forget_if_empty(owner);
    }

    #[inline]
    fn update(&mut self, slot: u32, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let origin = offer.origin;
        let slot = self.put(slot, offer)?;
        let id = self.entries.get(slot.0).expect("found in the index").owner;
        if !self.owners.get(id).is_held_by(origin) {
            self.owners.hold(id, origin);
        }
        Ok(slot)
    }

    /// Puts a value in the place of the one at `slot`.
    #[inline]
    fn put(&mut self, slot: u32, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let entry = self.entries.get_mut(slot).expect("found in the index");
        let (before, owner) = (entry.body.capacity(), entry.owner);
        if offer.body.len() > before {
            let more = Stored::cost(offer.body.len()) - Stored::cost(before);
            while self.owners.get(owner).bytes + more > self.most_bytes() / self.capacity.share {
                self.evict_tombstone_of(owner, Some(Slot(slot)))?;
            }
            while self.bytes() + more > self.most_bytes() {
                self.evict(owner, Some(Slot(slot)))?;
            }
        }
        let entry = self.entries.get_mut(slot).expect("found in the index");
        let (pinned, was_transient) = (entry.body.pinned().cloned(), entry.is_transient());
        entry.body.replace(offer.body, offer.shared)?;
        pinned.iter().for_each(|body| self.pinned.add(body));
        let after = entry.body.capacity();
        if after != before {
            let owner = self.owners.get_mut(owner);
            let (before, after) = (Stored::cost(before), Stored::cost(after));
            self.bytes = self.bytes - before + after;
            owner.bytes = owner.bytes - before + after;
        }
        entry.meta_at = offer.meta_at as u32;
        entry.origin = offer.origin.into();
        self.changed(slot, was_transient, offer.kind, offer.stamp, offer.mono);
        Ok(Slot(slot))
    }

    /// The entry at `slot` has another body, which says this.
    #[inline]
    fn changed(&mut self, slot: u32, was_transient: bool, kind: Kind, stamp: Stamp, mono: MonoTime) {
        let entry = self.entries.get_mut(slot).expect("found in the index");
        let was_cleared = mem::replace(&mut entry.kind, kind) == Kind::Cleared;
        entry.stamp = stamp;
        self.version += 1;
        entry.version = self.version;
        self.pages[slot as usize / PAGE] = self.version;
        let (id, is_transient) = (entry.owner, entry.is_transient());
        if is_transient != was_transient {
            self.transients.set(id, Slot(slot), is_transient);
        }
        if kind == Kind::Cleared {
            self.tombstones.insert(Slot(slot), mono.into(), id);
        } else if was_cleared {
            self.tombstones.remove(Slot(slot));
        }
        if !self.lifetimes.ends.is_empty() {
            self.lifetimes.ends.remove(slot);
        }
        self.entries.restamped(slot);
    }

    fn add(&mut self, hash: KeyHash, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let origin = offer.origin;
        let slot = self.insert(hash, offer)?;
        self.owners.hold(self.entries.get(slot.0).expect("it was just added").owner, origin);
        Ok(slot)
    }

    /// Puts the first value of a key into a place of its own.
    #[inline]
    fn insert(&mut self, hash: KeyHash, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let overhead = self.entries.overhead();
        let size = Stored::cost(offer.body.len()) + overhead;
        let owner = self.owners.find_or_add(offer.sender);
        let room = self.make_room(owner, size);
        let body = match room.and_then(|()| Ok(Stored::new(offer.body, offer.shared)?)) {
            Ok(body) => body,
            Err(why) => {
                self.owners.forget_if_empty(owner);
                return Err(why);
            }
        };
        self.version += 1;
        let held = self.owners.get_mut(owner);
        let next = held.first;
        let entry = Entry {
            body,
            meta_at: offer.meta_at as u32,
            sender_len: offer.sender.len() as u8,
            name_len: offer.name.len() as u16,
            kind: offer.kind,
            stamp: offer.stamp,
            version: self.version,
            origin: offer.origin.into(),
            audience: Cell::default(),
            hash,
            owner,
            previous: NONE,
            next,
        };
        let (capacity, is_transient) = (entry.body.capacity(), entry.is_transient());
        let size = if capacity == offer.body.len() { size } else { Stored::cost(capacity) + overhead };
        self.bytes += size;
        held.bytes += size;
        held.states += 1;
        let slot = self.entries.insert(entry);
        held.first = slot;
        if is_transient {
            self.transients.set(owner, Slot(slot), true);
        }
        if offer.kind == Kind::Cleared {
            self.tombstones.insert(Slot(slot), offer.mono.into(), owner);
        }
        if next != NONE {
            self.entries.get_mut(next).expect("a list names entries only").previous = slot;
        }
        let page = slot as usize / PAGE;
        if page >= self.pages.len() {
            self.pages.resize(page + 1, 0);
        }
        self.pages[page] = self.version;
        Ok(Slot(slot))
    }

    /// Makes room for an entry of this owner.
    #[inline]
    fn make_room(&mut self, owner: OwnerId, size: usize) -> Result<(), Refusal> {
        let Capacity { states, share, .. } = self.capacity;
        loop {
            let held = self.owners.get(owner);
            if held.bytes + size <= self.most_bytes() / share && held.states < states / share {
                break;
            }
            self.evict_tombstone_of(owner, None)?;
        }
        while self.bytes() + size > self.most_bytes() || self.len() >= states {
            self.evict(owner, None)?;
        }
        Ok(())
    }

    fn remove(&mut self, slot: u32) {
        let entry = self.entries.remove(slot).expect("a list names entries only");
        if entry.is_cleared() {
            self.tombstones.remove(Slot(slot));
        } else if entry.is_transient() {
            self.transients.set(entry.owner, Slot(slot), false);
        }
        self.lifetimes.ends.remove(slot);
        entry.body.pinned().into_iter().for_each(|body| self.pinned.add(body));
        self.freed.note(slot);
        let overhead = self.entries.overhead();
        if entry.next != NONE {
            self.entries.get_mut(entry.next).expect("a list names entries only").previous = entry.previous;
        }
        let owner = self.owners.get_mut(entry.owner);
        if entry.previous == NONE {
            owner.first = entry.next;
        } else {
            self.entries.get_mut(entry.previous).expect("a list names entries only").next = entry.next;
        }
        let size = Stored::cost(entry.body.capacity()) + overhead;
        owner.bytes -= size;
        owner.states -= 1;
        self.bytes -= size;
    }

    /// `sender` has a connection that speaks for it.
    pub fn arrived(&mut self, sender: &str, conn: ConnId) {
        self.owners.arrived(sender, conn);
    }

    /// A connection is gone: the senders that it spoke for have departed. Goes on with that as [`Table::tidy`] does.
    pub fn departed(&mut self, mono: MonoTime, conn: ConnId, steps: &mut usize) {
        self.owners.departed(mono, conn);
        self.tidy(steps);
    }

    /// When the next value or tombstone expires, or the values of the next departed sender do.
    pub fn next_expiry(&self) -> Option<MonoTime> {
        let cleared = self.tombstones.since().map(|since| since.plus(self.capacity.cleared));
        let departed = self.owners.next_expiry(self.capacity.departed);
        departed.into_iter().chain(cleared).chain(self.next_to_expire()).min()
    }

    /// The values of senders that departed too long ago, and old tombstones, are to be forgotten, by [`Table::tidy`].
    pub fn expire(&mut self, mono: MonoTime) {
        self.expired = Some(mono);
    }

    /// Whether there is something for [`Table::tidy`] to do.
    pub fn is_untidy(&self) -> bool {
        let leaves = self.owners.are_leaving() || self.transients.are_leaving();
        leaves || self.expired.is_some() || self.owners.are_doomed()
    }

    /// Goes on with what departures and expiries leave to do. Takes `steps`: one for each owner, more for each entry that
    /// is forgotten.
    pub fn tidy(&mut self, steps: &mut usize) {
        while *steps > 0 {
            if self.owners.are_leaving() {
                *steps -= 1;
                self.depart_one();
                continue;
            }
            if self.transients.are_leaving() {
                self.forget_transient(steps);
                continue;
            }
            if let Some(mono) = self.expired {
                *steps -= 1;
                let is_over = self.tombstones.since().is_some_and(|since| since.plus(self.capacity.cleared) <= mono);
                if let Some(slot) = self.tombstones.oldest(None).filter(|_| is_over) {
                    *steps = steps.saturating_sub(FORGET);
                    self.forget(slot);
                } else if self.owners.doom_expired(mono, self.capacity.departed).is_none() {
                    self.expired = None;
                }
                continue;
            }
            let Some(owner) = self.owners.next_doomed(None) else { return };
            *steps = steps.saturating_sub(FORGET);
            self.forget_one(owner);
        }
    }

    /// Forgets one entry: the oldest tombstone other than `but`, else one of a sender that has departed, other than `owner`:
    /// of the one that departed first. The owner itself stays.
    ///
    /// # Errors
    /// [`Refusal::Full`]: there is none.
    #[cold]
    fn evict(&mut self, owner: OwnerId, but: Option<Slot>) -> Result<(), Refusal> {
        if let Some(slot) = self.tombstones.oldest(but) {
            self.evict_at(slot, owner);
            return Ok(());
        }
        loop {
            if let Some(owner) = self.owners.next_doomed(Some(owner)) {
                self.forget_one(owner);
                return Ok(());
            }
            if self.owners.doom_first(owner).is_none() {
                if !self.owners.are_leaving() {
                    return Err(Refusal::Full);
                }
                self.depart_one();
            }
        }
    }

    /// Forgets the oldest tombstone of an owner, which stays itself.
    ///
    /// # Errors
    /// [`Refusal::Full`]: there is none.
    #[cold]
    fn evict_tombstone_of(&mut self, owner: OwnerId, but: Option<Slot>) -> Result<(), Refusal> {
        let slot = self.tombstones.oldest_of(owner, but).ok_or(Refusal::Full)?;
        self.evict_at(slot, owner);
        Ok(())
    }

    fn evict_at(&mut self, slot: Slot, stays: OwnerId) {
        let owner = self.get(slot).map(|entry| entry.owner);
        self.remove(slot.0);
        if let Some(owner) = owner.filter(|&owner| owner != stays) {
            self.owners.forget_if_empty(owner);
        }
    }

    /// Forgets one entry of an owner, and the owner if it has no more.
    fn forget_one(&mut self, owner: OwnerId) {
        let first = self.owners.get(owner).first;
        if first != NONE {
            self.remove(first);
        }
        self.owners.forget_if_empty(owner);
    }
}
