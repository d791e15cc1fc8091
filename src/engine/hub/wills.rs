//! Values that apps leave with the hub, which publishes them when they are lost.
//!
//! A will is the body that the app would send. Those of an app are its own, and go with its goodbye. Once it is lost they
//! belong to its identity: they are published when nobody holds that any more, each once, and are void when an app
//! holds it that does not share it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::size_of;

use hashbrown::HashMap;
use log::info;

use super::super::hash::{key_hasher, KeyHasher};
use super::super::mutations::{is_on, Mutation};
use super::super::table::{Refusal, Slot};
use super::super::Now;
use super::core::Core;
use super::intake::{check, Intake, NotTaken};
use super::peer::Peer;
use super::presence::{Holder, Seat};
use super::stored_wills::Notes;
use super::{turns, Router};
use crate::effort::{did, Work};
use crate::visible::one_line;
use crate::wire::{self, Control, Form, Kind, Malformed, Meta, WillMessage};
use crate::{limits, memory, Status};

/// What wills may cost of a turn, in steps: others have the rest.
const STEPS: usize = turns::TURN / 2;

struct Will {
    body: Box<[u8]>,
    /// Whether the app has told it on its present link.
    is_told: bool,
}

/// What a will costs, in a map that is half full.
fn cost(name: &str, body: &[u8]) -> usize {
    2 * size_of::<(Box<str>, Will)>() + memory::allocated(name.len()) + memory::allocated(body.len())
}

/// What an app leaves, or apps of one identity that are lost: a body for each name.
#[derive(Default)]
pub struct Left {
    wills: BTreeMap<Box<str>, Will>,
    /// Of all bodies.
    bytes: usize,
    /// Of all that they cost.
    cost: usize,
    /// Whether there may be some that the app has not told on its present link.
    has_untold: bool,
}

impl Left {
    /// Whether an app may leave so many bytes more, under a name that is new here or not.
    fn has_room(&self, is_new: bool, more: usize) -> bool {
        self.wills.len() + usize::from(is_new) <= limits::WILLS && self.bytes + more <= limits::WILL_BYTES
    }

    fn remove(&mut self, name: &str) {
        if let Some(Will { body, .. }) = self.wills.remove(name) {
            self.bytes -= body.len();
            self.cost -= cost(name, &body);
        }
    }

    fn insert(&mut self, name: Box<str>, will: Will) {
        self.remove(&name);
        self.bytes += will.body.len();
        self.cost += cost(&name, &will.body);
        self.wills.insert(name, will);
    }

    fn take_first(&mut self) -> Option<Will> {
        let (name, will) = self.wills.pop_first()?;
        self.bytes -= will.body.len();
        self.cost -= cost(&name, &will.body);
        Some(will)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wills.is_empty()
    }

    pub(super) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        self.wills.values().map(|will| &*will.body)
    }

    /// Puts a stored will back. False: no app could have left it beside the others.
    pub(super) fn put_back(&mut self, name: &str, body: &[u8]) -> bool {
        let fits = !self.wills.contains_key(name) && self.has_room(true, body.len());
        if fits {
            self.insert(name.into(), Will { body: body.into(), is_told: false });
        }
        fits
    }

    /// The app has not told its wills on its new link.
    fn on_new_link(&mut self) {
        self.has_untold = true;
        self.wills.values_mut().for_each(|will| will.is_told = false);
    }

    /// Those that the app has not told on its present link are void.
    fn drop_untold(&mut self) {
        if !std::mem::take(&mut self.has_untold) {
            return;
        }
        did(Work::Look, self.wills.len());
        let untold: Vec<_> =
            self.wills.iter().filter(|(_, will)| !will.is_told).map(|(name, _)| name.clone()).collect();
        untold.iter().for_each(|name| self.remove(name));
    }

    /// Takes what apps left that were lost before, for names that it has not, as far as there is room.
    fn inherit(&mut self, before: Left) {
        for (name, will) in before.wills {
            if !self.wills.contains_key(&name) && self.has_room(true, will.body.len()) {
                self.insert(name, will);
            }
        }
    }
}

/// An identity that apps hold who publish, those that are lost left something for, or both.
pub(super) struct Held {
    /// How many hold it, those among them whose links were cut.
    apps: usize,
    /// Whoever came before has been replaced.
    pub since: Seat,
    /// What those left that are lost.
    pub left: Left,
    /// The last of those that were lost, if they left wills.
    pub lost: Option<(Seat, Holder)>,
    /// Apps whose wills may be in the store.
    pub stored: BTreeSet<Seat>,
}

impl Held {
    fn new(since: Seat) -> Held {
        Held { apps: 0, since, left: Left::default(), lost: None, stored: BTreeSet::new() }
    }
}

/// What has become of wills.
#[derive(Default)]
struct Outcome {
    published: usize,
    failed: usize,
    /// Why the first failed.
    why: String,
}

/// What is to be done with wills that are due.
enum Due {
    /// This body is to be published.
    Publish(Box<[u8]>),
    /// Nothing of this identity is left; what has become of its wills.
    Tell(Box<str>, Outcome),
}

/// What is known of wills, beside those of each app that is there.
pub struct Wills {
    pub(super) held: HashMap<Box<str>, Held, KeyHasher>,
    /// Identities that nobody holds any more, and for which something was left.
    due: VecDeque<Box<str>>,
    /// What has become so far of those of the first of these.
    outcome: Outcome,
    /// What all wills cost, those of apps that are there among them, in bytes.
    cost: usize,
    /// The apps whose wills the store does not have as they are, if there is a store.
    pub(super) notes: Option<Notes>,
}

impl Default for Wills {
    fn default() -> Wills {
        let held = HashMap::with_hasher(key_hasher());
        Wills { held, due: VecDeque::new(), outcome: Outcome::default(), cost: 0, notes: None }
    }
}

impl Wills {
    /// Whether there is something to publish.
    pub fn are_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Notes for the store that the wills of this app have changed, and whether any `is_left`.
    pub(super) fn note(&mut self, identity: &str, seat: Seat, is_left: bool) {
        let Some(notes) = self.notes.as_mut().filter(|_| !is_on(Mutation::WillsNotStored)) else { return };
        let is_stored = self.held.get(identity).is_some_and(|held| held.stored.contains(&seat));
        notes.add(identity, seat, is_left, is_stored);
    }

    /// Voids all wills of this identity.
    fn forget(&mut self, identity: &str) {
        let Some(held) = self.held.remove(identity) else { return };
        self.cost -= held.left.cost;
        if let Some(notes) = &mut self.notes {
            held.stored.into_iter().for_each(|seat| notes.add(identity, seat, false, true));
        }
    }

    /// An app holds an identity at this seat, alone or with others.
    pub fn joined(&mut self, identity: &str, seat: Seat, is_alone: bool) {
        if is_alone {
            self.forget(identity);
        }
        let held = self.held.entry_ref(identity).or_insert_with(|| Held::new(seat));
        if held.apps == 0 {
            held.since = seat;
        }
        held.apps += 1;
    }

    /// As [`Wills::joined`], for an app of an earlier hub that has left these wills.
    pub(super) fn restored(&mut self, identity: &str, seat: Seat, is_alone: bool, left: &Left) {
        self.joined(identity, seat, is_alone);
        self.cost += left.cost;
        self.note(identity, seat, true);
    }

    /// Whether all wills, including these, cost no more than `most` bytes.
    pub(super) fn has_room_for(&self, left: &Left, most: usize) -> bool {
        self.cost + left.cost <= most
    }

    /// An app has a newer seat, and has left this. Others may have replaced it in between.
    pub fn moved(&mut self, identity: &str, old: Seat, seat: Seat, is_alone: bool, left: &mut Left) {
        if self.held.get(identity).is_some_and(|held| held.apps > 0 && old >= held.since) {
            if !left.wills.is_empty() {
                self.note(identity, old, false);
                self.note(identity, seat, true);
            }
            return left.on_new_link();
        }
        self.cost -= std::mem::take(left).cost;
        self.joined(identity, seat, is_alone);
    }

    /// An app does not hold its identity any more, and has left this. Its wills and those of others that were lost before
    /// are due if it is lost, and the last.
    pub fn ended(&mut self, identity: &str, seat: Seat, holder: Holder, mut left: Left, is_lost: bool) {
        let held = self.held.get_mut(identity).filter(|held| held.apps > 0 && seat >= held.since);
        let Some(held) = held else {
            self.cost -= left.cost;
            return self.note(identity, seat, false);
        };
        held.apps -= 1;
        let others = held.apps;
        let mut before = None;
        if is_lost {
            self.cost -= held.left.cost + left.cost;
            left.inherit(std::mem::take(&mut held.left));
            self.cost += left.cost;
            held.left = left;
            before = held.lost.take();
            held.lost = (!held.left.is_empty()).then_some((seat, holder));
        } else {
            self.cost -= left.cost;
        }
        let is_left = is_lost && !held.left.is_empty();
        self.note(identity, seat, is_left);
        if let Some((before, _)) = before {
            self.note(identity, before, false);
        }
        match (others, is_left) {
            (0, true) => self.due.push_back(identity.into()),
            (0, false) => self.forget(identity),
            _ => {}
        }
    }

    /// What is to be done next.
    fn next(&mut self) -> Option<Due> {
        let identity = self.due.front()?;
        // Otherwise it is held again.
        if let Some(held) = self.held.get_mut(identity).filter(|held| held.apps == 0) {
            let (before, lost) = (held.left.cost, held.lost);
            if let Some(Will { body, .. }) = held.left.take_first() {
                self.cost -= before - held.left.cost;
                if let Some((seat, _)) = lost {
                    let (identity, is_stored) = (identity.clone(), held.stored.contains(&seat));
                    if let Some(notes) = &mut self.notes {
                        notes.add_published(&identity, seat, is_stored);
                    }
                }
                return Some(Due::Publish(body));
            }
            let identity = identity.clone();
            self.forget(&identity);
        }
        let identity = self.due.pop_front()?;
        Some(Due::Tell(identity, std::mem::take(&mut self.outcome)))
    }

    /// The app at this seat leaves a will, if it may and all wills then cost no more than `most` bytes. It may be the same will
    /// as before.
    fn leave(&mut self, whose: (&str, Seat), left: &mut Left, name: &str, body: &[u8], most: usize) -> bool {
        if let Some(will) = left.wills.get_mut(name).filter(|will| *will.body == *body) {
            will.is_told = true;
            return true;
        }
        self.cost -= left.cost;
        let is_new = |left: &Left| !left.wills.contains_key(name);
        if !left.has_room(is_new(left), body.len()) {
            left.drop_untold();
        }
        left.remove(name);
        let fits = left.has_room(true, body.len()) && self.cost + left.cost + cost(name, body) <= most;
        if fits {
            left.insert(name.into(), Will { body: body.into(), is_told: true });
        }
        self.cost += left.cost;
        self.note(whose.0, whose.1, !left.is_empty());
        fits
    }

    /// The app at this seat takes a will back, or has told all its wills.
    fn change(&mut self, whose: (&str, Seat), left: &mut Left, change: impl FnOnce(&mut Left)) {
        let before = left.wills.len();
        self.cost -= left.cost;
        change(left);
        self.cost += left.cost;
        if left.wills.len() != before {
            self.note(whose.0, whose.1, !left.is_empty());
        }
    }
}

/// The identity and the seat of a peer.
fn whose(peer: &Peer) -> (&str, Seat) {
    (&peer.profile.identity, Seat::Here(peer.profile.conn))
}

impl Core {
    /// The table leaves room for all wills.
    pub fn reserve_for_wills(&mut self) {
        self.intake.table.reserved = self.roster.wills.cost;
    }

    /// Apps have not come back in time, and are lost.
    pub fn expire_presence(&mut self, now: Now) {
        self.roster.expire(now);
        self.reserve_for_wills();
    }

    /// `$ns/will`.
    pub fn hear_will(&mut self, peer: &mut Peer, said: WillMessage<'_>) {
        let done = match said {
            WillMessage::Leaves(bytes) => {
                peer.owed.wills += 1;
                self.leave_will(peer, bytes)
            }
            WillMessage::Withdraws(name) => {
                self.change_wills(peer, |left| left.remove(name));
                Ok(())
            }
            WillMessage::Complete => {
                self.change_wills(peer, Left::drop_untold);
                Ok(())
            }
        };
        self.reserve_for_wills();
        if let Err(why) = done {
            let told = match why {
                NotTaken::ReadOnly { name, .. } => Some((Status::Permission, name)),
                NotTaken::WillFull(name) => Some((Status::Full, name)),
                _ => None,
            };
            if let Some((status, name)) = told {
                let (status, nth) = (status.code(), peer.owed.wills);
                self.send(peer, &Control::WillRejected { status, name, nth });
                self.hold_back_if_full(peer);
            }
            self.reports.not_taken(&peer.profile, &mut peer.tally, &why);
        }
    }

    fn change_wills(&mut self, peer: &Peer, change: impl FnOnce(&mut Left)) {
        if let Some((left, all)) = self.roster.wills_of(peer.profile.conn) {
            all.change(whose(peer), left, change);
        }
    }

    fn leave_will<'b>(&mut self, peer: &Peer, bytes: &'b [u8]) -> Result<(), NotTaken<'b>> {
        let body = wire::decode(bytes, Form::V1).map_err(NotTaken::Malformed)?;
        if body.is_reserved() {
            return Err(NotTaken::Reserved(body.name()));
        }
        check(&peer.profile, &body, self.config.max_message)?;
        if body.meta.flags & Meta::TRANSIENT != 0 {
            // Its sender is gone.
            return Err(NotTaken::Malformed(Malformed::Feature));
        }
        let most = self.intake.table.room() / limits::TABLE_BYTES_PER_WILL_BYTE;
        // An observer is no member, and may not publish either.
        let (left, all) = self.roster.wills_of(peer.profile.conn).ok_or(NotTaken::Malformed(Malformed::Control))?;
        let is_left = all.leave(whose(peer), left, body.name(), bytes, most);
        is_left.then_some(()).ok_or(NotTaken::WillFull(body.name()))
    }

    /// Publishes a will. Where it is, if that changes anything.
    fn publish_will(&mut self, now: Now, bytes: &[u8]) -> Option<Slot> {
        // It was decoded when it came.
        let body = wire::decode(bytes, Form::V1).ok()?;
        let published = self.intake.will(now, &body);
        let outcome = &mut self.roster.wills.outcome;
        match published {
            Ok(slot) => {
                outcome.published += usize::from(slot.is_some());
                slot
            }
            Err(why) => {
                outcome.failed += 1;
                if outcome.failed == 1 {
                    outcome.why = why.to_string();
                }
                self.reports.lost_will(&why);
                None
            }
        }
    }

    /// An app may leave a thousand: of all there is one line.
    fn tell_of_wills(&mut self, identity: &str, outcome: &Outcome) {
        let (identity, Outcome { published, failed, why }) = (one_line(identity), outcome);
        if *published > 0 {
            info!("{identity} is lost: {published} of its wills are published");
        }
        if *failed > 0 {
            self.reports.warning_of(format!("{identity} is lost: {failed} of its wills cannot be published: {why}"));
        }
    }
}

impl Intake {
    /// Publishes what an app has left that is lost, with a stamp of the hub. A tombstone only where there is a value.
    fn will<'b>(&mut self, now: Now, body: &wire::Body<'b>) -> Result<Option<Slot>, NotTaken<'b>> {
        if body.kind != Kind::Cleared {
            let stamp = self.stamp(now);
            return self.take(now, None, body, stamp, None).map(|taken| Some(taken.slot));
        }
        let (sender, name) = (body.sender(), body.name());
        let Some((_, kind)) = self.held_value(sender, name) else { return Ok(None) };
        match self.bury(now, sender, name, kind) {
            Ok(slot) => Ok(Some(slot)),
            Err(Refusal::Stale) => Err(NotTaken::Stale(name)),
            Err(Refusal::Full) => Err(NotTaken::Full(name)),
            Err(Refusal::NoMemory) => Err(NotTaken::NoMemory { name, len: 0 }),
        }
    }
}

impl Router {
    /// Publishes what apps have left that are lost, as far as their part of the turn allows.
    #[inline]
    pub(super) fn run_wills(&mut self, now: Now) {
        if self.core.roster.wills.are_due() {
            self.run_due_wills(now);
        }
    }

    #[cold]
    fn run_due_wills(&mut self, now: Now) {
        let Router { peers, core, .. } = self;
        let mut left = STEPS;
        while left > 0 {
            let body = match core.roster.wills.next() {
                Some(Due::Publish(body)) => body,
                Some(Due::Tell(identity, outcome)) => {
                    core.tell_of_wills(&identity, &outcome);
                    left = left.saturating_sub(turns::MESSAGE);
                    continue;
                }
                None => break,
            };
            // Its room is that of the value.
            core.reserve_for_wills();
            let mut routed = core.publish_will(now, &body).map_or(0, |slot| core.route(peers, slot));
            if is_on(Mutation::WillTwice) {
                routed += core.publish_will(now, &body).map_or(0, |slot| core.route(peers, slot));
            }
            let steps = turns::MESSAGE + turns::steps_of(body.len()) + routed;
            core.turns.spend(steps);
            left = left.saturating_sub(steps);
        }
        core.set_expiry();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort;

    #[test]
    fn an_app_that_says_again_and_again_that_it_has_told_all_has_its_wills_looked_at_once() {
        let (mut wills, mut left) = (Wills::default(), Left::default());
        let whose = ("a", Seat::Earlier(0));
        (0..500).for_each(|n| assert!(wills.leave(whose, &mut left, &n.to_string(), b"x", usize::MAX)));
        left.on_new_link();
        assert!(wills.leave(whose, &mut left, "7", b"y", usize::MAX));
        let before = effort::steps();
        (0..1000).for_each(|_| wills.change(whose, &mut left, Left::drop_untold));
        assert!(effort::steps() - before <= 500);
        assert_eq!((left.wills.len(), left.bytes, wills.cost), (1, 1, left.cost));
    }
}
