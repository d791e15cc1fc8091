//! Values that expire: what is left of each, and the tombstone that it leaves.

use super::super::expiring::{end_of_life, left, Expiring};
use super::super::mutations::{is_on, Mutation};
use super::{Entry, Offer, Slot, Table};
use crate::time::MonoTime;
use crate::wire::{self, Form, Kind, Meta, Stamp, Value};

/// When the values of a table expire, and what time it is for those that are passed on.
#[derive(Default)]
pub(super) struct Lifetimes {
    pub ends: Expiring<()>,
    now: MonoTime,
}

impl Table {
    /// It is this time from now on, for what is [left](Table::lifetime) of values.
    #[inline]
    pub fn tell_time(&mut self, mono: MonoTime) {
        self.lifetimes.now = mono;
    }

    /// The value at `slot`, which came now, expires after so many milliseconds.
    pub fn set_lifetime(&mut self, slot: Slot, mono: MonoTime, lifetime: u64) {
        self.tell_time(mono);
        if self.get(slot).is_some_and(|entry| !entry.is_cleared()) && !is_on(Mutation::LifetimeForgotten) {
            self.lifetimes.ends.set(slot.0, end_of_life(mono, lifetime), ());
        }
    }

    /// How many milliseconds are left of a value; `None`: it does not expire.
    #[inline]
    pub fn lifetime(&self, entry: &Entry) -> Option<u64> {
        if entry.has_bare_meta() || self.lifetimes.ends.is_empty() {
            return None;
        }
        self.lifetime_left(entry)
    }

    #[cold]
    fn lifetime_left(&self, entry: &Entry) -> Option<u64> {
        let Slot(slot) = self.find_at(entry.sender(), entry.name())?;
        self.lifetimes.ends.at(slot).map(|end| left(self.lifetimes.now, end))
    }

    /// When the next value expires.
    pub fn next_to_expire(&self) -> Option<MonoTime> {
        self.lifetimes.ends.first()
    }

    /// Puts a tombstone in the place of the next value that has expired by then, if there is one. A value for whose tombstone
    /// there is no room is forgotten.
    pub fn expire_value(&mut self, mono: MonoTime) -> Option<Slot> {
        while let Some((slot, ())) = self.lifetimes.ends.take_due(mono) {
            let (slot, entry) = (Slot(slot), self.get(Slot(slot)).expect("what expires is there"));
            let (mut body, stamp, origin) = (Vec::new(), entry.stamp().expired(), entry.origin());
            let (sender, name) = (entry.sender().to_owned(), entry.name().to_owned());
            let meta_at = tombstone(&mut body, &sender, &name, entry.kind(), stamp);
            let (sender, name, kind) = (&*sender, &*name, Kind::Cleared);
            let offer = Offer {
                body: &body,
                shared: None,
                meta_at,
                sender: sender.as_bytes(),
                name: name.as_bytes(),
                kind,
                stamp,
                origin,
                mono,
            };
            match self.offer_by_another(offer) {
                Ok(slot) => return Some(slot),
                Err(_) => self.forget(slot),
            }
        }
        None
    }
}

/// Writes the tombstone of a value of this kind. Returns where its meta begins.
pub fn tombstone(out: &mut Vec<u8>, sender: &str, name: &str, kind: Kind, stamp: Stamp) -> usize {
    let meta = Meta { stamp: Some(stamp), flags: Meta::CLEAR, ..Meta::default() };
    wire::encode_value(out, Form::V1, sender, name, Value::Int(kind.code().into()), &meta)
}
