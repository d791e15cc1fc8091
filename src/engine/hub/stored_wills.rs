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
use crate::wire::{self, Digest, Form, Instance, Meta};

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
        self.wills.unstored = None;
    }

    /// Whether changes are noted that the store does not have.
    pub fn has_notes(&self) -> bool {
        self.wills.unstored.as_ref().is_some_and(|unstored| !unstored.is_empty())
    }

    /// The next app whose wills have changed: its place, and what is to be stored there instead of what was; `None`: nothing.
    pub fn take_unstored(&mut self) -> Option<(u64, Option<StoredApp>)> {
        let (seat, identity) = self.wills.unstored.as_mut()?.pop_first()?;
        let stored = self.stored(seat, &identity);
        if let Some(held) = self.wills.held.get_mut(&identity).filter(|_| stored.is_none()) {
            held.stored.remove(&seat);
        }
        Some((place(seat), stored))
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

    fn put_back(&mut self, app: &StoredApp, most: usize) -> Result<(), NotPutBack> {
        let mut left = Left::default();
        for bytes in &app.wills {
            let body = wire::decode(bytes, Form::V1).map_err(|_| NotPutBack::Damaged)?;
            let fits = !body.is_reserved() && body.sender == &*app.identity && body.meta.flags & Meta::TRANSIENT == 0;
            if !fits {
                return Err(NotPutBack::Damaged);
            }
            if !left.put_back(body.name, bytes) {
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
    fn note_all(&mut self, mut all: BTreeMap<Seat, Box<str>>) {
        for (identity, held) in &self.held {
            all.extend(held.lost.map(|(seat, _)| (seat, identity.clone())));
        }
        self.unstored = Some(BTreeMap::new());
        all.iter().for_each(|(&seat, identity)| self.note(identity, seat));
    }
}

impl Core {
    /// Puts back an app of an earlier hub, with its wills.
    pub(super) fn restore_app(&mut self, app: &StoredApp) -> Result<(), NotPutBack> {
        let most = self.intake.table.room() / limits::TABLE_BYTES_PER_WILL_BYTE;
        let result = self.roster.put_back(app, most);
        self.reserve_for_wills();
        result
    }
}
