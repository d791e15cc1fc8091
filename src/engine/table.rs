//! The newest value of every key, in places that stay where they are.
//!
//! A value that changes keeps its slot, so that a [`Walk`](super::feed::Walk) over the slots meets every key once,
//! however often some of them change. Each change gets the table's next *version*; a page remembers the greatest
//! version in it, so that a walk skips what it has seen.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::mem::size_of;
use std::sync::Arc;

use hashbrown::HashTable;

use super::hash::{key_hasher, KeyHash, KeyHasher, KeyIndex};
use super::ConnId;
use crate::limits;
use crate::memory::{self, NoMemory};
use crate::wire::{Kind, Stamp};

/// Bodies from this size on are shared between the table and all outboxes; smaller ones are copied.
pub const SHARE_FROM: usize = 4 << 10;

/// Slots of one page.
pub const PAGE: usize = 64;

/// The end of a list of slots.
const NONE: u32 = u32::MAX;

/// The place of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u32);

/// The place of an owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnerId(u32);

enum Stored {
    Small(Vec<u8>),
    Shared(Arc<Vec<u8>>),
}

impl Stored {
    fn new(body: &[u8], shared: Option<&Arc<Vec<u8>>>) -> Result<Stored, NoMemory> {
        if body.len() < SHARE_FROM {
            return Ok(Stored::Small(body.to_vec()));
        }
        Ok(Stored::Shared(match shared {
            Some(shared) => shared.clone(),
            None => Arc::new(memory::copy(body)?),
        }))
    }

    /// Stays as it is if there is no memory.
    fn replace(&mut self, body: &[u8], shared: Option<&Arc<Vec<u8>>>) -> Result<(), NoMemory> {
        match self {
            Stored::Small(old) if body.len() < SHARE_FROM => {
                old.clear();
                if old.capacity() > 4 * body.len() + 64 {
                    old.shrink_to(body.len());
                }
                old.reserve_exact(body.len());
                old.extend_from_slice(body);
            }
            _ => *self = Stored::new(body, shared)?,
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Stored::Small(bytes) => bytes,
            Stored::Shared(bytes) => bytes,
        }
    }

    /// Overwrites some of the bytes. What waits to be written elsewhere stays as it is, and so does all of it if there is
    /// no memory.
    fn overwrite(&mut self, at: usize, with: &[u8]) -> Result<(), NoMemory> {
        let bytes = match self {
            Stored::Small(bytes) => bytes,
            Stored::Shared(shared) => {
                if Arc::get_mut(shared).is_none() {
                    *shared = Arc::new(memory::copy(shared)?);
                }
                Arc::make_mut(shared)
            }
        };
        bytes[at..at + with.len()].copy_from_slice(with);
        Ok(())
    }

    fn allocated(&self) -> usize {
        match self {
            Stored::Small(bytes) => bytes.capacity(),
            Stored::Shared(bytes) => bytes.capacity(),
        }
    }
}

/// A newest value.
pub struct Entry {
    body: Stored,
    meta_at: u32,
    sender_len: u8,
    name_len: u16,
    kind: Kind,
    stamp: Stamp,
    version: u64,
    origin: Option<ConnId>,
    hash: KeyHash,
    owner: OwnerId,
    previous: u32,
    next: u32,
}

/// The bytes of an entry's body, in the way they are to be passed on.
pub enum EntryBody<'a> {
    /// Copy it.
    Small(&'a [u8]),
    /// Share it.
    Shared(&'a Arc<Vec<u8>>),
}

impl Entry {
    /// The body: canonical, four elements.
    pub fn body(&self) -> EntryBody<'_> {
        match &self.body {
            Stored::Small(bytes) => EntryBody::Small(bytes),
            Stored::Shared(bytes) => EntryBody::Shared(bytes),
        }
    }

    /// The body's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.body.bytes()
    }

    /// Where `meta` begins in the body: the length of its form for old peers.
    pub fn meta_at(&self) -> usize {
        self.meta_at as usize
    }

    /// Who published it.
    pub fn sender(&self) -> &str {
        self.str_at(self.sender_at(), self.sender_len as usize)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.str_at(self.name_at(), self.name_len as usize)
    }

    /// Its encoded value.
    pub fn data(&self) -> &[u8] {
        &self.bytes()[self.name_at() + self.name_len as usize..self.meta_at()]
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// When and by which instance it was published.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The table's version at its last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The connection that it last came from.
    pub fn origin(&self) -> Option<ConnId> {
        self.origin
    }

    /// Compared as bytes: as text they would have to be checked again.
    fn is_of(&self, sender: &str, name: &str) -> bool {
        self.is_named(name) && self.is_from(sender)
    }

    /// Whether this one published it: costs less than a look at [`Entry::sender`].
    pub fn is_from(&self, sender: &str) -> bool {
        let sender_at = self.sender_at();
        self.bytes()[sender_at..sender_at + self.sender_len as usize] == *sender.as_bytes()
    }

    fn is_named(&self, name: &str) -> bool {
        let name_at = self.name_at();
        self.bytes()[name_at..name_at + self.name_len as usize] == *name.as_bytes()
    }

    fn sender_at(&self) -> usize {
        1 + str_head(self.sender_len as usize)
    }

    fn name_at(&self) -> usize {
        self.sender_at() + self.sender_len as usize + str_head(self.name_len as usize)
    }

    fn str_at(&self, at: usize, len: usize) -> &str {
        // Checked when the body was decoded; an entry never changes but as a whole.
        std::str::from_utf8(&self.bytes()[at..at + len]).unwrap_or_default()
    }
}

/// The length of what stands before a string of `len` bytes in a canonical body.
const fn str_head(len: usize) -> usize {
    match len {
        0..=31 => 1,
        32..=255 => 2,
        _ => 3,
    }
}

/// A value that is offered to a table.
pub struct Offer<'a> {
    /// A canonical v1 body.
    pub body: &'a [u8],
    /// The same, where it has an allocation that may be kept.
    pub shared: Option<&'a Arc<Vec<u8>>>,
    /// Where its `meta` begins.
    pub meta_at: usize,
    /// What the body says.
    pub sender: &'a str,
    /// What the body says.
    pub name: &'a str,
    /// What the body says.
    pub kind: Kind,
    /// What the body says.
    pub stamp: Stamp,
    /// Where it came from.
    pub origin: Option<ConnId>,
}

/// Why a value was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The one held is as new or newer.
    Stale,
    /// There is no room.
    Full,
    /// There is no memory.
    NoMemory,
}

impl From<NoMemory> for Refusal {
    fn from(NoMemory: NoMemory) -> Refusal {
        Refusal::NoMemory
    }
}

/// Who publishes: counts what the table holds of it.
pub struct Owner {
    name: Box<str>,
    states: usize,
    bytes: usize,
    first: u32,
    /// The connection that speaks for this sender now.
    holder: Option<ConnId>,
    departed: Option<u64>,
}

/// What a table may hold.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Entries.
    pub states: usize,
    /// Bytes.
    pub bytes: usize,
    /// The share of one sender, as a divisor of both.
    pub share: usize,
    /// How long a departed sender's entries stay, in nanoseconds.
    pub departed: u64,
}

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity {
            states: limits::TABLE_STATES,
            bytes: limits::TABLE_BYTES,
            share: 2,
            departed: limits::DEPARTED.as_nanos() as u64,
        }
    }
}

/// The entries of each name, whoever sent them. A change of a value does not touch it: which of them is the newest is
/// looked up when somebody asks.
struct NameIndex {
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
    const OVERHEAD: usize = size_of::<Neighbours>() + INDEXED;

    fn new() -> NameIndex {
        NameIndex { first: KeyIndex::new(), neighbours: Vec::new() }
    }

    fn hash(&self, name: &str) -> KeyHash {
        self.first.hash("", name)
    }

    fn first(&self, entries: &[Option<Entry>], hash: KeyHash, name: &str) -> Option<u32> {
        self.first.find(hash, |slot| entries[slot as usize].as_ref().is_some_and(|entry| entry.is_named(name)))
    }

    /// The entries of a name, in no particular order.
    fn named<'a>(&'a self, entries: &'a [Option<Entry>], name: &str) -> impl Iterator<Item = &'a Entry> {
        let next = |&slot: &u32| Some(self.neighbours[slot as usize].next).filter(|&next| next != NONE);
        std::iter::successors(self.first(entries, self.hash(name), name), next)
            .filter_map(|slot| entries[slot as usize].as_ref())
    }

    /// Adds the slot of an entry that is in `entries` already.
    fn insert(&mut self, entries: &[Option<Entry>], slot: u32, name: &str) {
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

    fn remove(&mut self, slot: u32, name: &str) {
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

/// What a slot costs in a [`KeyIndex`], which has room to spare.
const INDEXED: usize = 2 * size_of::<(KeyHash, u32)>();

/// Newest values by (sender, name).
pub struct Table {
    entries: Vec<Option<Entry>>,
    index: KeyIndex,
    /// None until somebody asks by name: most hubs are never asked.
    names: Option<NameIndex>,
    hasher: KeyHasher,
    /// The greatest version in each page.
    pages: Vec<u64>,
    free: Vec<u32>,
    version: u64,
    bytes: usize,
    owners: Vec<Owner>,
    owner_index: HashTable<u32>,
    free_owners: Vec<u32>,
    /// Owners in the order of their departure; an owner that came back is passed over.
    departed: VecDeque<(u64, OwnerId)>,
    /// What it may hold.
    pub capacity: Capacity,
}

impl Table {
    /// An empty table.
    pub fn new(capacity: Capacity) -> Table {
        Table {
            entries: Vec::new(),
            index: KeyIndex::new(),
            names: None,
            hasher: key_hasher(),
            pages: Vec::new(),
            free: Vec::new(),
            version: 0,
            bytes: 0,
            owners: Vec::new(),
            owner_index: HashTable::new(),
            free_owners: Vec::new(),
            departed: VecDeque::new(),
            capacity,
        }
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated for its entries.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of changes so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One past the last slot that was ever used.
    pub fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The entry at `slot`, if there is one.
    pub fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0 as usize)?.as_ref()
    }

    /// The greatest version in the page of `slot`, and the page's end.
    pub fn page(&self, slot: usize) -> (u64, usize) {
        let page = slot / PAGE;
        (self.pages[page], (page + 1) * PAGE)
    }

    /// The entry of a key.
    pub fn find(&self, sender: &str, name: &str) -> Option<&Entry> {
        self.get(self.find_at(sender, name)?)
    }

    /// The place of the entry of a key.
    pub fn find_at(&self, sender: &str, name: &str) -> Option<Slot> {
        self.find_slot(self.index.hash(sender, name), sender, name)
    }

    /// From here on [`Table::newest`] finds a name without a look at every entry.
    pub fn index_names(&mut self) {
        if self.names.is_some() {
            return;
        }
        let mut names = NameIndex::new();
        for (slot, entry) in self.entries.iter().enumerate() {
            if let Some(entry) = entry {
                names.insert(&self.entries, slot as u32, entry.name());
            }
        }
        self.names = Some(names);
        for owner in &mut self.owners {
            owner.bytes += owner.states * NameIndex::OVERHEAD;
        }
        self.bytes += self.len() * NameIndex::OVERHEAD;
    }

    /// The newest entry of a name, of any sender. Takes steps for each sender of that name; without
    /// [`Table::index_names`] for each entry.
    pub fn newest(&self, name: &str) -> Option<&Entry> {
        // Of equal stamps, which only a sender that makes its own wrong can give, always the same.
        let order = |a: &&Entry, b: &&Entry| a.stamp.cmp(&b.stamp).then_with(|| a.sender().cmp(b.sender()));
        match &self.names {
            Some(names) => names.named(&self.entries, name).max_by(order),
            None => self.iter().filter(|entry| entry.is_named(name)).max_by(order),
        }
    }

    /// Every entry, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    fn find_slot(&self, hash: KeyHash, sender: &str, name: &str) -> Option<Slot> {
        let same = |slot: u32| {
            let entry = self.entries[slot as usize].as_ref().expect("the index names entries only");
            entry.is_of(sender, name)
        };
        self.index.find(hash, same).map(Slot)
    }

    /// Takes a value if it is newer than the one held and there is room.
    pub fn offer(&mut self, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let hash = self.index.hash(offer.sender, offer.name);
        match self.find_slot(hash, offer.sender, offer.name) {
            Some(slot) if offer.stamp <= self.entries[slot.0 as usize].as_ref().expect("found in the index").stamp => {
                Err(Refusal::Stale)
            }
            Some(slot) => self.update(slot, offer),
            None => self.insert(hash, offer),
        }
    }

    /// Takes a value, whatever the stamp of the one held, if there is room.
    pub fn replace(&mut self, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let hash = self.index.hash(offer.sender, offer.name);
        match self.find_slot(hash, offer.sender, offer.name) {
            Some(slot) => self.update(slot, offer),
            None => self.insert(hash, offer),
        }
    }

    /// Gives the entry at `slot`, whose meta begins with its stamp, another one: a change.
    ///
    /// # Errors
    /// There is no memory, and nothing changed.
    pub(crate) fn restamp(&mut self, slot: Slot, stamp: Stamp) -> Result<(), NoMemory> {
        let Some(entry) = self.entries.get_mut(slot.0 as usize).and_then(Option::as_mut) else { return Ok(()) };
        let at = entry.meta_at() + Stamp::META_LEN - Stamp::LEN;
        entry.body.overwrite(at, &stamp.to_bytes())?;
        entry.stamp = stamp;
        self.version += 1;
        entry.version = self.version;
        self.pages[slot.0 as usize / PAGE] = self.version;
        Ok(())
    }

    /// Forgets the entry at `slot`.
    pub fn forget(&mut self, slot: Slot) {
        let Some(owner) = self.get(slot).map(|entry| entry.owner) else { return };
        self.remove(slot.0);
        self.forget_owner_if_empty(owner);
    }

    #[inline]
    fn update(&mut self, slot: Slot, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let entry = self.entries[slot.0 as usize].as_mut().expect("found in the index");
        let (before, owner) = (entry.body.allocated(), entry.owner);
        if offer.body.len() > before {
            let more = offer.body.len() - before;
            if self.owners[owner.0 as usize].bytes + more > self.capacity.bytes / self.capacity.share {
                return Err(Refusal::Full);
            }
            while self.bytes + more > self.capacity.bytes {
                if !self.evict_departed(Some(owner)) {
                    return Err(Refusal::Full);
                }
            }
        }
        let entry = self.entries[slot.0 as usize].as_mut().expect("found in the index");
        let owner = &mut self.owners[owner.0 as usize];
        entry.body.replace(offer.body, offer.shared)?;
        let after = entry.body.allocated();
        self.bytes = self.bytes - before + after;
        owner.bytes = owner.bytes - before + after;
        entry.meta_at = offer.meta_at as u32;
        entry.kind = offer.kind;
        entry.stamp = offer.stamp;
        entry.origin = offer.origin;
        self.version += 1;
        entry.version = self.version;
        self.pages[slot.0 as usize / PAGE] = self.version;
        if owner.holder != offer.origin || owner.departed.is_some() {
            let owner = entry.owner;
            self.hold(owner, offer.origin);
        }
        Ok(slot)
    }

    fn insert(&mut self, hash: KeyHash, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let overhead = self.overhead();
        let size = offer.body.len() + overhead;
        let owner = self.owner(offer.sender);
        let held = &self.owners[owner.0 as usize];
        if held.bytes + size > self.capacity.bytes / self.capacity.share
            || held.states >= self.capacity.states / self.capacity.share
        {
            self.forget_owner_if_empty(owner);
            return Err(Refusal::Full);
        }
        while self.bytes + size > self.capacity.bytes || self.len() >= self.capacity.states {
            if !self.evict_departed(Some(owner)) {
                self.forget_owner_if_empty(owner);
                return Err(Refusal::Full);
            }
        }
        let body = match Stored::new(offer.body, offer.shared) {
            Ok(body) => body,
            Err(NoMemory) => {
                self.forget_owner_if_empty(owner);
                return Err(Refusal::NoMemory);
            }
        };
        self.hold(owner, offer.origin);
        self.version += 1;
        let held = &mut self.owners[owner.0 as usize];
        let next = held.first;
        let entry = Entry {
            body,
            meta_at: offer.meta_at as u32,
            sender_len: offer.sender.len() as u8,
            name_len: offer.name.len() as u16,
            kind: offer.kind,
            stamp: offer.stamp,
            version: self.version,
            origin: offer.origin,
            hash,
            owner,
            previous: NONE,
            next,
        };
        let size = entry.body.allocated() + overhead;
        self.bytes += size;
        held.bytes += size;
        held.states += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = Some(entry);
                slot
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as u32
            }
        };
        held.first = slot;
        if next != NONE {
            self.entries[next as usize].as_mut().expect("a list names entries only").previous = slot;
        }
        let page = slot as usize / PAGE;
        if page == self.pages.len() {
            self.pages.push(0);
        }
        self.pages[page] = self.version;
        self.index.insert(hash, slot);
        if let Some(names) = &mut self.names {
            names.insert(&self.entries, slot, offer.name);
        }
        Ok(Slot(slot))
    }

    /// What an entry costs beside its body, with no more than the index of its keys.
    const OVERHEAD: usize = size_of::<Option<Entry>>() + INDEXED;

    /// What an entry costs beside its body.
    fn overhead(&self) -> usize {
        Self::OVERHEAD + self.names.as_ref().map_or(0, |_| NameIndex::OVERHEAD)
    }

    fn remove(&mut self, slot: u32) {
        let entry = self.entries[slot as usize].take().expect("a list names entries only");
        self.index.remove(entry.hash, slot);
        if let Some(names) = &mut self.names {
            names.remove(slot, entry.name());
        }
        let overhead = self.overhead();
        if entry.next != NONE {
            self.entries[entry.next as usize].as_mut().expect("a list names entries only").previous = entry.previous;
        }
        let owner = &mut self.owners[entry.owner.0 as usize];
        if entry.previous == NONE {
            owner.first = entry.next;
        } else {
            self.entries[entry.previous as usize].as_mut().expect("a list names entries only").next = entry.next;
        }
        let size = entry.body.allocated() + overhead;
        owner.bytes -= size;
        owner.states -= 1;
        self.bytes -= size;
        self.free.push(slot);
    }

    fn owner(&mut self, name: &str) -> OwnerId {
        let hash = self.hasher.hash_one(name);
        if let Some(&owner) = self.owner_index.find(hash, |&owner| &*self.owners[owner as usize].name == name) {
            return OwnerId(owner);
        }
        let owner = Owner { name: name.into(), states: 0, bytes: 0, first: NONE, holder: None, departed: None };
        let id = match self.free_owners.pop() {
            Some(id) => {
                self.owners[id as usize] = owner;
                id
            }
            None => {
                self.owners.push(owner);
                (self.owners.len() - 1) as u32
            }
        };
        let (owners, hasher) = (&self.owners, &self.hasher);
        self.owner_index.insert_unique(hash, id, |&id| hasher.hash_one(&*owners[id as usize].name));
        OwnerId(id)
    }

    fn forget_owner_if_empty(&mut self, id: OwnerId) {
        let owner = &self.owners[id.0 as usize];
        if owner.states == 0 {
            let hash = self.hasher.hash_one(&*owner.name);
            if let Ok(found) = self.owner_index.find_entry(hash, |&other| other == id.0) {
                found.remove();
                self.free_owners.push(id.0);
            }
        }
    }

    fn hold(&mut self, owner: OwnerId, origin: Option<ConnId>) {
        let owner = &mut self.owners[owner.0 as usize];
        owner.holder = origin;
        owner.departed = None;
    }

    /// `sender` has a connection that speaks for it.
    pub fn arrived(&mut self, sender: &str, conn: ConnId) {
        let hash = self.hasher.hash_one(sender);
        if let Some(&id) = self.owner_index.find(hash, |&id| &*self.owners[id as usize].name == sender) {
            self.hold(OwnerId(id), Some(conn));
        }
    }

    /// A connection is gone: the senders that it spoke for have departed.
    pub fn departed(&mut self, mono: u64, conn: ConnId) {
        for (id, owner) in self.owners.iter_mut().enumerate() {
            if owner.holder == Some(conn) {
                owner.holder = None;
                owner.departed = Some(mono);
                self.departed.push_back((mono, OwnerId(id as u32)));
            }
        }
        // Senders that come and go leave entries that count no more.
        if self.departed.len() > 2 * self.owners.len() + 64 {
            let owners = &self.owners;
            self.departed.retain(|&(since, id)| owners[id.0 as usize].departed == Some(since));
        }
    }

    /// Forgets the owner that departed first, other than `but`. False: there is none.
    fn evict_departed(&mut self, but: Option<OwnerId>) -> bool {
        let mut passed = None;
        let mut evicted = false;
        while let Some((since, id)) = self.departed.pop_front() {
            if self.owners[id.0 as usize].departed != Some(since) {
                continue;
            }
            if Some(id) == but {
                passed = Some((since, id));
                continue;
            }
            self.evict(id);
            evicted = true;
            break;
        }
        if let Some(passed) = passed {
            self.departed.push_front(passed);
        }
        evicted
    }

    fn evict(&mut self, id: OwnerId) {
        while self.owners[id.0 as usize].first != NONE {
            self.remove(self.owners[id.0 as usize].first);
        }
        self.owners[id.0 as usize].departed = None;
        self.forget_owner_if_empty(id);
    }

    /// When the next departed sender's values expire, in nanoseconds.
    pub fn next_expiry(&self) -> Option<u64> {
        self.departed.front().map(|(since, _)| since.saturating_add(self.capacity.departed))
    }

    /// Forgets the values of senders that departed too long ago.
    pub fn expire(&mut self, mono: u64) {
        while let Some(&(since, id)) = self.departed.front() {
            let valid = self.owners[id.0 as usize].departed == Some(since);
            if valid && since.saturating_add(self.capacity.departed) > mono {
                return;
            }
            self.departed.pop_front();
            if valid {
                self.evict(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{self, Form, Instance, Meta, Value};

    fn offer(table: &mut Table, sender: &str, name: &str, clock: u64, size: usize) -> Result<Slot, Refusal> {
        offer_by(ConnId(1), table, sender, name, clock, size)
    }

    fn offer_by(
        conn: ConnId,
        table: &mut Table,
        sender: &str,
        name: &str,
        clock: u64,
        size: usize,
    ) -> Result<Slot, Refusal> {
        let stamp = Stamp { clock, instance: Instance([1; 16]) };
        let (mut value, mut body) = (Vec::new(), Vec::new());
        Value::Bytes(&vec![7; size]).encode(&mut value);
        wire::encode(&mut body, Form::V1, sender, name, &value, &Meta { stamp: Some(stamp), ..Meta::default() });
        let meta_at = wire::decode(&body, Form::V1).expect("a body").meta_at;
        table.offer(Offer {
            body: &body,
            shared: None,
            meta_at,
            sender,
            name,
            kind: Kind::Bytes,
            stamp,
            origin: Some(conn),
        })
    }

    #[test]
    fn an_entry_gives_back_its_parts_whatever_their_lengths() {
        let mut table = Table::new(Capacity::default());
        for (sender, name) in [(1, 1), (31, 31), (32, 32), (255, 255), (3, 256), (255, 1024)] {
            let (sender, name) = ("s".repeat(sender), "n".repeat(name));
            let slot = offer(&mut table, &sender, &name, 1, 10).unwrap();
            let entry = table.get(slot).unwrap();
            assert_eq!((entry.sender(), entry.name(), entry.data().len()), (&*sender, &*name, 12));
            assert!(table.find(&sender, &name).is_some());
        }
    }

    #[test]
    fn a_value_keeps_its_slot_and_what_it_takes_is_counted_through_every_size() {
        let mut table = Table::new(Capacity::default());
        let slot = offer(&mut table, "a", "x", 1, 0).unwrap();
        for (clock, size) in [(2, 5000), (3, 100), (4, 4000), (5, 1), (6, SHARE_FROM), (7, 0)] {
            assert_eq!(offer(&mut table, "a", "x", clock, size), Ok(slot));
            let entry = table.get(slot).unwrap();
            assert_eq!((entry.version(), entry.stamp().clock), (clock, clock));
            let held = entry.bytes().len() + Table::OVERHEAD;
            assert!(table.bytes() >= held && table.bytes() <= 5 * held + 64, "{} for {held}", table.bytes());
        }
        table.departed(0, ConnId(1));
        table.expire(table.capacity.departed);
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn slots_of_forgotten_values_are_used_again() {
        let mut table = Table::new(Capacity::default());
        for round in 0..5 {
            for i in 0..200 {
                offer(&mut table, &format!("s{}", i % 7), &format!("n{i}"), 1, 10).unwrap();
            }
            assert_eq!((table.len(), table.slots()), (200, 200), "round {round}");
            table.departed(round, ConnId(1));
            table.expire(u64::MAX);
            assert!(table.is_empty() && table.find("s0", "n0").is_none());
        }
    }

    #[test]
    fn senders_that_come_and_go_leave_no_trail() {
        let mut table = Table::new(Capacity::default());
        offer(&mut table, "first", "x", 1, 1).unwrap();
        offer(&mut table, "flaps", "x", 1, 1).unwrap();
        table.departed(0, ConnId(1));
        for i in 0..10_000 {
            table.arrived("flaps", ConnId(i));
            table.departed(i, ConnId(i));
        }
        assert!(table.departed.len() < 100, "{} departures are remembered", table.departed.len());
        assert_eq!(table.next_expiry(), Some(table.capacity.departed));
    }

    #[test]
    fn the_newest_of_a_name_is_found_again_when_its_sender_is_forgotten() {
        for indexed in [false, true] {
            let mut table = Table::new(Capacity::default());
            if indexed {
                table.index_names();
            }
            for (conn, sender, clock) in [(1, "a", 5), (2, "b", 7), (3, "c", 6), (1, "a", 8), (4, "d", 4)] {
                offer_by(ConnId(conn), &mut table, sender, "x", clock, 1).unwrap();
            }
            offer_by(ConnId(2), &mut table, "b", "y", 9, 1).unwrap();
            // As they leave, newest, oldest, and what is between.
            for (conn, newest) in [(0, Some("a")), (1, Some("b")), (4, Some("b")), (2, Some("c")), (3, None)] {
                table.departed(conn, ConnId(conn));
                table.expire(table.capacity.departed + conn);
                assert_eq!(table.newest("x").map(Entry::sender), newest, "indexed: {indexed}");
            }
            assert!(table.newest("y").is_none() && table.is_empty() && table.bytes() == 0);
        }
    }

    #[test]
    fn the_index_of_names_is_counted_and_costs_nothing_until_it_is_made() {
        let (mut early, mut late) = (Table::new(Capacity::default()), Table::new(Capacity::default()));
        early.index_names();
        for table in [&mut early, &mut late] {
            for i in 0..100 {
                offer(table, &format!("s{}", i % 7), &format!("n{}", i % 30), i + 1, 10).unwrap();
            }
        }
        assert!(late.names.is_none());
        assert_eq!(early.bytes(), late.bytes() + 100 * NameIndex::OVERHEAD);
        late.index_names();
        late.index_names();
        assert_eq!(early.bytes(), late.bytes());
        for table in [&mut early, &mut late] {
            table.departed(0, ConnId(1));
            table.expire(u64::MAX);
            assert_eq!((table.len(), table.bytes()), (0, 0));
            assert!(table.owners.iter().all(|owner| owner.bytes == 0));
        }
    }

    /// What happens to a table. Senders, names and connections by their numbers.
    #[derive(Clone, Debug)]
    enum Event {
        Offer { conn: u64, sender: u8, name: u8, clock: u64 },
        Arrived { conn: u64, sender: u8 },
        Departed { conn: u64 },
        Expire,
        Index,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            12 => (0..4_u64, 0..6_u8, 0..5_u8, 0..50_u64)
                .prop_map(|(conn, sender, name, clock)| Event::Offer { conn, sender, name, clock }),
            1 => (0..4_u64, 0..6_u8).prop_map(|(conn, sender)| Event::Arrived { conn, sender }),
            3 => (0..4_u64).prop_map(|conn| Event::Departed { conn }),
            2 => Just(Event::Expire),
            1 => Just(Event::Index),
        ]
    }

    /// Carries it out at this time.
    fn happen(table: &mut Table, event: &Event, mono: u64) -> Option<Result<Slot, Refusal>> {
        match *event {
            Event::Offer { conn, sender, name, clock } => {
                let (sender, name) = (sender.to_string(), name.to_string());
                return Some(offer_by(ConnId(conn), table, &sender, &name, clock, 1));
            }
            Event::Arrived { conn, sender } => table.arrived(&sender.to_string(), ConnId(conn)),
            Event::Departed { conn } => table.departed(mono, ConnId(conn)),
            Event::Expire => table.expire(mono),
            Event::Index => table.index_names(),
        }
        None
    }

    /// A sender of the model: its values by name, who speaks for it, and since when nobody does.
    #[derive(Default)]
    struct Sender {
        clocks: BTreeMap<u8, u64>,
        holder: Option<u64>,
        departed: Option<u64>,
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_newest_of_each_name_agrees_with_a_plain_model(events in vec(event(), 0..200)) {
            const STAYS: u64 = 7;
            let mut table = Table::new(Capacity { departed: STAYS, ..Capacity::default() });
            let mut model: BTreeMap<u8, Sender> = BTreeMap::new();
            for (mono, event) in (0..).zip(&events) {
                let taken = happen(&mut table, event, mono).map(|taken| taken.is_ok());
                match *event {
                    Event::Offer { conn, sender, name, clock } => {
                        let held = model.get(&sender).and_then(|held| held.clocks.get(&name));
                        let newer = held.is_none_or(|&held| clock > held);
                        prop_assert_eq!(taken, Some(newer));
                        if newer {
                            let held = model.entry(sender).or_default();
                            held.clocks.insert(name, clock);
                            (held.holder, held.departed) = (Some(conn), None);
                        }
                    }
                    Event::Arrived { conn, sender } => {
                        if let Some(held) = model.get_mut(&sender) {
                            (held.holder, held.departed) = (Some(conn), None);
                        }
                    }
                    Event::Departed { conn } => {
                        for held in model.values_mut().filter(|held| held.holder == Some(conn)) {
                            (held.holder, held.departed) = (None, Some(mono));
                        }
                    }
                    Event::Expire => model.retain(|_, held| held.departed.is_none_or(|since| since + STAYS > mono)),
                    Event::Index => {}
                }
                for name in 0..5 {
                    // Of equal clocks that of the greatest sender.
                    let clocks = model.iter().filter_map(|(sender, held)| Some((*held.clocks.get(&name)?, *sender)));
                    let newest = clocks.max().map(|(clock, sender)| (sender.to_string(), clock));
                    let found = table.newest(&name.to_string());
                    prop_assert!(found.is_none_or(|entry| entry.name() == name.to_string()));
                    prop_assert_eq!(found.map(|entry| (entry.sender().to_owned(), entry.stamp().clock)), newest);
                }
            }
        }

        #[test]
        fn a_table_that_is_full_finds_the_same_with_the_index_and_without(events in vec(event(), 0..200)) {
            let room = Capacity { states: 9, share: 1, departed: 40, ..Capacity::default() };
            let (mut indexed, mut plain) = (Table::new(room), Table::new(room));
            indexed.index_names();
            for (mono, event) in (0..).zip(events.iter().filter(|event| !matches!(event, Event::Index))) {
                prop_assert_eq!(happen(&mut indexed, event, mono), happen(&mut plain, event, mono));
                for name in 0..5 {
                    let newest = |table: &Table| {
                        table.newest(&name.to_string()).map(|entry| (entry.sender().to_owned(), entry.stamp().clock))
                    };
                    prop_assert_eq!(newest(&indexed), newest(&plain));
                }
            }
            plain.index_names();
            prop_assert_eq!(indexed.bytes(), plain.bytes());
        }
    }
}
