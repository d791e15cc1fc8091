//! A newest value, and where its bytes are.

use std::cell::Cell;
use std::mem::size_of;
use std::sync::Arc;

use super::super::hash::KeyHash;
use super::super::mutations::{is_on, Mutation};
use super::super::newest::Keyed;
use super::super::ConnId;
use super::owners::OwnerId;
use super::{Offer, SHARE_FROM};
use crate::memory::{self, Bytes, NoMemory};
use crate::wire::{str_head_len, Kind, Meta, Stamp};

pub(super) enum Stored {
    Small(Vec<u8>),
    Shared(Arc<Bytes>),
}

/// What a shared body costs beside its bytes: its counters, and where the bytes are.
const SHARED: usize = memory::allocated(2 * size_of::<usize>() + size_of::<Bytes>());

impl Stored {
    pub(super) fn new(body: &[u8], shared: Option<&Arc<Bytes>>) -> Result<Stored, NoMemory> {
        if body.len() < SHARE_FROM {
            return Ok(Stored::Small(body.to_vec()));
        }
        Ok(Stored::Shared(match shared {
            Some(shared) => shared.clone(),
            None => Arc::new(Bytes::copy(body)?),
        }))
    }

    /// Stays as it is if there is no memory.
    pub(super) fn replace(&mut self, body: &[u8], shared: Option<&Arc<Bytes>>) -> Result<(), NoMemory> {
        match self {
            Stored::Small(old) if body.len() < SHARE_FROM => {
                old.clear();
                if is_too_much(old, body.len()) {
                    old.shrink_to(body.len());
                }
                old.reserve_exact(body.len());
                old.extend_from_slice(body);
            }
            _ => *self = Stored::new(body, shared)?,
        }
        Ok(())
    }

    /// Its allocation, if a body of this length is written where this one is.
    #[inline]
    pub(super) fn room_for(&mut self, len: usize) -> Option<&mut Vec<u8>> {
        match self {
            Stored::Small(bytes) if len <= bytes.capacity() && len < SHARE_FROM && !is_too_much(bytes, len) => {
                Some(bytes)
            }
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Stored::Small(bytes) => bytes,
            Stored::Shared(bytes) => bytes,
        }
    }

    /// Overwrites some of the bytes. What waits to be written elsewhere stays as it is, and so does all of it if there is
    /// no memory.
    pub(super) fn overwrite(&mut self, at: usize, with: &[u8]) -> Result<(), NoMemory> {
        let bytes = match self {
            Stored::Small(bytes) => &mut bytes[..],
            Stored::Shared(shared) => {
                if Arc::get_mut(shared).is_none() {
                    *shared = Arc::new(Bytes::copy(shared)?);
                }
                Arc::get_mut(shared).expect("nobody else has the copy")
            }
        };
        bytes[at..at + with.len()].copy_from_slice(with);
        Ok(())
    }

    /// The body, if others than the table hold it, too.
    pub(super) fn pinned(&self) -> Option<&Arc<Bytes>> {
        match self {
            Stored::Shared(bytes) if Arc::strong_count(bytes) > 1 => Some(bytes),
            _ => None,
        }
    }

    /// The size of the allocation that its bytes are in.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        match self {
            Stored::Small(bytes) => bytes.capacity(),
            Stored::Shared(bytes) => bytes.capacity(),
        }
    }

    /// What a body takes in all whose bytes are in an allocation of this size.
    #[inline]
    pub(super) fn cost(capacity: usize) -> usize {
        memory::allocated(capacity) + if capacity < SHARE_FROM { 0 } else { SHARED }
    }
}

/// Whether an allocation gives up what a body of this length leaves of it.
#[inline]
fn is_too_much(bytes: &Vec<u8>, len: usize) -> bool {
    bytes.capacity() > 4 * len + 64
}

/// A connection, or none, in eight bytes.
#[derive(Clone, Copy)]
pub(super) struct Origin(u64);

impl From<Option<ConnId>> for Origin {
    fn from(conn: Option<ConnId>) -> Origin {
        Origin(conn.map_or(u64::MAX, |ConnId(conn)| conn))
    }
}

impl Origin {
    fn conn(self) -> Option<ConnId> {
        (self.0 != u64::MAX).then_some(ConnId(self.0))
    }
}

/// The number of a set of peers that a name is sent to, as the hub's `Groups` give it. The default is that of no set.
#[derive(Clone, Copy, Default)]
pub struct Audience(pub u64);

/// A newest value.
pub struct Entry {
    pub(super) body: Stored,
    pub(super) meta_at: u32,
    pub(super) sender_len: u8,
    pub(super) name_len: u16,
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    pub(super) version: u64,
    pub(super) origin: Origin,
    pub(super) audience: Cell<Audience>,
    pub(super) hash: KeyHash,
    pub(super) owner: OwnerId,
    pub(super) previous: u32,
    pub(super) next: u32,
}

/// The bytes of an entry's body, in the way they are to be passed on.
pub enum EntryBody<'a> {
    /// Copy it.
    Small(&'a [u8]),
    /// Share it.
    Shared(&'a Arc<Bytes>),
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

    /// Its sender.
    pub fn sender(&self) -> &str {
        self.str_at(self.sender_at(), self.sender_len as usize)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.str_at(self.name_at(), self.name_len as usize)
    }

    /// Its encoded value.
    pub fn data(&self) -> &[u8] {
        &self.bytes()[self.data_at()..self.meta_at()]
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its kind; of a tombstone, that of the value that was cleared, if it says so.
    pub fn value_kind(&self) -> Option<Kind> {
        match self.kind {
            Kind::Cleared => Kind::cleared(self.data()).ok().flatten(),
            kind => Some(kind),
        }
    }

    /// Whether it is a tombstone: its key has no value any more.
    #[inline]
    pub fn is_cleared(&self) -> bool {
        self.kind == Kind::Cleared
    }

    /// Whether newcomers are not sent it, and it ends with its sender.
    #[inline]
    pub fn is_transient(&self) -> bool {
        !self.has_bare_meta() && !self.is_cleared() && self.flags() & Meta::TRANSIENT != 0
    }

    /// Whether those are sent it that come after it.
    #[inline]
    pub fn is_for_newcomers(&self) -> bool {
        !self.is_cleared() && (!self.is_transient() || is_on(Mutation::TransientRetained))
    }

    /// Whether its meta has a stamp and nothing else, as that of nearly all.
    #[inline]
    pub fn has_bare_meta(&self) -> bool {
        self.bytes().len() - self.meta_at() == Stamp::META_LEN
    }

    /// The flags of its meta.
    #[cold]
    fn flags(&self) -> u32 {
        Meta::decode(&self.bytes()[self.meta_at()..]).map_or(0, |(meta, _)| meta.flags)
    }

    /// The bits of an accept mask of which one is enough for it.
    #[inline]
    pub fn accepted_by(&self) -> u32 {
        match self.kind {
            Kind::Cleared => self.kind.accepted_by(self.data()),
            kind => kind.mask(),
        }
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
        self.origin.conn()
    }

    /// The set of peers that was last found for its name.
    #[inline]
    pub fn audience(&self) -> Audience {
        self.audience.get()
    }

    /// Remembers the set that was found for its name. Whether the number is still good, `Groups` say.
    pub fn set_audience(&self, audience: Audience) {
        self.audience.set(audience);
    }

    /// Whether this one published it: costs less than a look at [`Entry::sender`].
    #[inline]
    pub fn is_from(&self, sender: &[u8]) -> bool {
        let sender_at = self.sender_at();
        self.bytes()[sender_at..sender_at + self.sender_len as usize] == *sender
    }

    fn sender_at(&self) -> usize {
        1 + str_head_len(self.sender_len as usize)
    }

    fn name_at(&self) -> usize {
        self.sender_at() + self.sender_len as usize + str_head_len(self.name_len as usize)
    }

    /// Where its value begins.
    #[inline]
    pub(super) fn data_at(&self) -> usize {
        self.name_at() + self.name_len as usize
    }

    /// Whether it is of the key of this offer: what stands before their values is the same.
    #[inline]
    pub(super) fn begins_as(&self, offer: &Offer<'_>) -> bool {
        let is_as_long = self.sender_len as usize == offer.sender.len() && self.name_len as usize == offer.name.len();
        is_as_long && self.bytes()[..self.data_at()] == offer.body[..self.data_at()]
    }

    fn str_at(&self, at: usize, len: usize) -> &str {
        // Checked when the body was decoded; an entry never changes but as a whole.
        std::str::from_utf8(&self.bytes()[at..at + len]).unwrap_or_default()
    }
}

// Compared as bytes: as text they would have to be checked again.
impl Keyed for Entry {
    fn key_hash(&self) -> KeyHash {
        self.hash
    }

    fn sender(&self) -> &str {
        self.sender()
    }

    fn name(&self) -> &str {
        self.name()
    }

    #[inline]
    fn is_of(&self, sender: &[u8], name: &[u8]) -> bool {
        self.is_named(name) && self.is_from(sender)
    }

    #[inline]
    fn is_named(&self, name: &[u8]) -> bool {
        let name_at = self.name_at();
        self.bytes()[name_at..name_at + self.name_len as usize] == *name
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn is_cleared(&self) -> bool {
        self.is_cleared()
    }
}
