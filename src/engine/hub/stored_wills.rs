//! Wills in the store, by which they outlive the hub.
//!
//! A row of the store has all wills of an app. After a restart the app is suspect: it comes back and tells its wills again, or
//! is lost.

use std::collections::BTreeMap;

use super::super::ConnId;
use super::core::Core;
use super::presence::{Holder, Roster, Seat};
use super::wills::{Left, Wills};
use crate::limits;
use crate::wire::{self, Digest, Features, Form, Instance, Meta};

/// An app and its wills, as they are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredApp {
    pub identity: Box<str>,
    pub instance: Instance,
    /// The digest of its secret, by which the app is recognised when it comes back.
    pub digest: Option<Digest>,
    /// Whether it holds its identity alone.
    pub is_alone: bool,
    /// The wills: v1 bodies.
    pub wills: Vec<Box<[u8]>>,
}

impl StoredApp {
    fn new(identity: &str, holder: &Holder, left: &Left) -> StoredApp {
        let Holder { instance, digest, is_alone } = *holder;
        StoredApp {
            identity: identity.into(),
            instance,
            digest,
            is_alone,
            wills: left.bodies().map(Box::from).collect(),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.identity.len() + self.wills.iter().map(|will| will.len()).sum::<usize>()
    }
}

/// An app whose wills have changed.
struct Note {
    identity: Box<str>,
    /// Whether the store may have something of it.
    is_stored: bool,
}

/// The apps whose wills have changed since the store was told of them.
#[derive(Default)]
pub(super) struct Notes {
    /// Apps that have wills.
    left: BTreeMap<Seat, Note>,
    /// Apps that have none any more.
    gone: BTreeMap<Seat, Note>,
    /// Lost apps of which wills were published since the present pass over the table began.
    fresh: BTreeMap<Seat, Note>,
    /// The same before that: the pass finds the values.
    ripe: BTreeMap<Seat, Note>,
}

impl Notes {
    fn is_empty(&self) -> bool {
        [&self.left, &self.gone, &self.fresh, &self.ripe].iter().all(|notes| notes.is_empty())
    }

    /// The wills of this app have changed. If none `is_left`, there is nothing to do unless it `is_stored`.
    pub fn add(&mut self, identity: &str, seat: Seat, is_left: bool, is_stored: bool) {
        if let Some(note) = self.fresh.get_mut(&seat).or_else(|| self.ripe.get_mut(&seat)) {
            note.is_stored |= is_stored;
            return;
        }
        let is_stored = is_stored || self.remove(seat);
        let notes = match (is_left, is_stored) {
            (true, _) => &mut self.left,
            (false, true) => &mut self.gone,
            (false, false) => return,
        };
        notes.insert(seat, Note { identity: identity.into(), is_stored });
    }

    /// A will of this app was published.
    pub fn add_published(&mut self, identity: &str, seat: Seat, is_stored: bool) {
        let before = self.ripe.remove(&seat).or_else(|| self.fresh.remove(&seat)).is_some_and(|note| note.is_stored);
        let is_stored = is_stored | before | self.remove(seat);
        self.fresh.insert(seat, Note { identity: identity.into(), is_stored });
    }

    /// Whether what is removed may be stored.
    fn remove(&mut self, seat: Seat) -> bool {
        let note = self.left.remove(&seat).or_else(|| self.gone.remove(&seat));
        note.is_some_and(|note| note.is_stored)
    }
}

/// The place of an app in the store. Seats are unique within one hub, and a store has the apps of one.
fn place(seat: Seat) -> u64 {
    match seat {
        Seat::Earlier(n) => n.into(),
        Seat::Here(ConnId(conn)) => (1 << 32) + conn,
    }
}

/// Why an app is not put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotPutBack {
    /// No hub has written it like this.
    Damaged,
    NoRoom,
}

impl Roster {
    /// Begins to note whose wills change. At first, all count as changed.
    pub fn note_for_store(&mut self) {
        let mut all = BTreeMap::new();
        for (&seat, member) in self.members.iter().filter(|(_, member)| !member.wills.is_empty()) {
            all.insert(seat, member.identity.clone());
        }
        self.wills.note_all(all);
    }

    /// Drops the apps of an earlier hub. Called before the first peer.
    pub fn forget_earlier(&mut self) {
        let silence = self.silence;
        *self = Roster::new();
        self.silence = silence;
    }

    /// Stops noting changes.
    pub fn stop_noting(&mut self) {
        self.wills.notes = None;
    }

    /// Whether changes are noted that the store does not have.
    pub fn has_notes(&self) -> bool {
        self.wills.notes.as_ref().is_some_and(|notes| !notes.is_empty())
    }

    /// The store begins a pass over the table.
    pub fn begin_pass(&mut self) {
        if let Some(notes) = &mut self.wills.notes {
            notes.ripe.append(&mut notes.fresh);
        }
    }

    /// The next app whose wills have changed: its place, and what is to be stored there instead of what was; `None`: nothing.
    /// One that takes the place of another comes before that is removed.
    pub fn take_unstored(&mut self) -> Option<(u64, Option<StoredApp>)> {
        self.take_noted(|notes| notes.left.pop_first().or_else(|| notes.gone.pop_first()))
    }

    /// The same for an app of which wills were published before the pass began that is over now.
    pub fn take_published(&mut self) -> Option<(u64, Option<StoredApp>)> {
        self.take_noted(|notes| notes.ripe.pop_first())
    }

    fn take_noted(&mut self, next: impl Fn(&mut Notes) -> Option<(Seat, Note)>) -> Option<(u64, Option<StoredApp>)> {
        loop {
            let (seat, Note { identity, is_stored }) = next(self.wills.notes.as_mut()?)?;
            let stored = self.stored(seat, &identity);
            if let Some(held) = self.wills.held.get_mut(&identity) {
                match stored {
                    Some(_) => held.stored.insert(seat),
                    None => held.stored.remove(&seat),
                };
            }
            if stored.is_some() || is_stored {
                return Some((place(seat), stored));
            }
        }
    }

    /// What is to be stored of the app of this identity that has this seat, or had it when it was lost.
    fn stored(&self, seat: Seat, identity: &str) -> Option<StoredApp> {
        let held = self.wills.held.get(identity)?;
        if let Some((_, holder)) = held.lost.filter(|&(lost, _)| lost == seat) {
            return (!held.left.is_empty()).then(|| StoredApp::new(identity, &holder, &held.left));
        }
        let is_it = |member: &&super::presence::Member| {
            member.publishes && seat >= held.since && !member.wills.is_empty() && *member.identity == *identity
        };
        let member = self.members.get(&seat).filter(is_it)?;
        Some(StoredApp::new(identity, &member.holder, &member.wills))
    }

    /// Puts an app back, unless all wills would cost more than `most` bytes, or one has more than `max`.
    fn put_back(&mut self, app: &StoredApp, most: usize, max: usize) -> Result<(), NotPutBack> {
        let mut left = Left::default();
        for bytes in &app.wills {
            let body = wire::decode(bytes, Form::V1).map_err(|_| NotPutBack::Damaged)?;
            if body.meta_at > max {
                return Err(NotPutBack::NoRoom);
            }
            let is_of_app = !body.is_reserved() && body.sender() == &*app.identity;
            let is_known =
                body.raw_meta.len() <= limits::MAX_META && body.meta.check_features(Features::ALL, 0).is_ok();
            let lasts = body.meta.flags & Meta::TRANSIENT == 0;
            if !is_of_app || !is_known || !lasts || !left.put_back(body.name(), bytes) {
                return Err(NotPutBack::Damaged);
            }
        }
        if left.is_empty() {
            return Err(NotPutBack::Damaged);
        }
        if !self.wills.has_room_for(&left, most) {
            return Err(NotPutBack::NoRoom);
        }
        let StoredApp { identity, instance, digest, is_alone, .. } = app;
        self.restore(identity, Holder { instance: *instance, digest: *digest, is_alone: *is_alone }, left);
        Ok(())
    }
}

impl Wills {
    /// Notes all of these, and the wills of apps that are lost: the store has none of them.
    fn note_all(&mut self, mut all: BTreeMap<Seat, Box<str>>) {
        for (identity, held) in &mut self.held {
            held.stored.clear();
            all.extend(held.lost.map(|(seat, _)| (seat, identity.clone())));
        }
        self.notes = Some(Notes::default());
        all.iter().for_each(|(&seat, identity)| self.note(identity, seat, true));
    }
}

impl Core {
    /// Puts back an app of an earlier hub, with its wills.
    pub(super) fn restore_app(&mut self, app: &StoredApp) -> Result<(), NotPutBack> {
        let most = self.intake.table.room() / limits::TABLE_BYTES_PER_WILL_BYTE;
        let result = self.roster.put_back(app, most, self.config.max_message);
        self.reserve_for_wills();
        result
    }
}
