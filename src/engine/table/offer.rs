//! A value that comes to a table, and why it may not be taken.

use std::sync::Arc;

use super::super::mutations::{is_on, Mutation};
use super::super::ConnId;
use super::Entry;
use crate::memory::{Bytes, NoMemory};
use crate::time::MonoTime;
use crate::wire::{Kind, Stamp};

/// A value that is offered to a table, or the word that there is none any more.
pub struct Offer<'a> {
    /// A canonical v1 body.
    pub body: &'a [u8],
    /// The same, where it has an allocation that may be kept.
    pub shared: Option<&'a Arc<Bytes>>,
    /// Where its `meta` begins.
    pub meta_at: usize,
    /// What the body says, as its bytes.
    pub sender: &'a [u8],
    /// What the body says, as its bytes.
    pub name: &'a [u8],
    /// What the body says.
    pub kind: Kind,
    /// What the body says.
    pub stamp: Stamp,
    /// Where it came from.
    pub origin: Option<ConnId>,
    /// When it came.
    pub mono: MonoTime,
}

impl Offer<'_> {
    /// Whether it takes the place of this entry.
    #[inline]
    pub(super) fn is_newer_than(&self, held: &Entry) -> bool {
        if is_on(Mutation::StampsReversed) {
            return self.stamp < held.stamp;
        }
        self.stamp > held.stamp
    }
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
