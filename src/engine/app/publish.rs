//! Own values: they are published, and announced, stamped anew or given up as the hub answers.

use std::mem;
use std::sync::Arc;

use log::{debug, trace};

use super::super::clock::is_beyond;
use super::super::newest::Place;
use super::super::table::{Found, Offer, Refusal, Rewrite, Slot};
use super::super::told::Told;
use super::super::Now;
use super::{wanted, Draft, Phase, Policy, Session};
use crate::memory::{self, Bytes};
use crate::state::State;
use crate::time::LogicalTime;
use crate::visible::{one_line, Quoted};
use crate::wire::{self, Form, Kind, Meta, Stamp, Value};
use crate::{Error, Result, Status};

impl Session {
    /// Publishes a value, which is checked. Its kind is `kind`.
    pub fn publish(&mut self, now: Now, name: &str, value: Value<'_>, kind: Kind) -> Result<()> {
        self.publish_as(now, name, value, kind, Policy::default())
    }

    /// As [`Session::publish`], in this way.
    #[inline]
    pub fn publish_as(&mut self, now: Now, name: &str, value: Value<'_>, kind: Kind, policy: Policy) -> Result<()> {
        self.publish_at(now, &mut Found::default(), name, value, kind, policy)
    }

    /// As [`Session::publish_as`], where the value before it was found. Of nothing but this name.
    pub fn publish_at(
        &mut self,
        now: Now,
        found: &mut Found,
        name: &str,
        value: Value<'_>,
        kind: Kind,
        policy: Policy,
    ) -> Result<()> {
        if Draft::is_worthwhile(&value) {
            return self.publish_draft(now, Draft::new(&self.identity, name, value, kind)?.with_policy(policy));
        }
        let place = self.own.table.place(found, &self.identity, name);
        if place.slot.is_none() {
            wire::check_name(name)?;
        }
        let stamp = self.stamper.next(now);
        let meta = policy.meta(stamp);
        if let Some(slot) = place.slot.map(Slot) {
            let (meta_room, mono, limit) = (Stamp::META_LEN + policy.len(), now.mono, self.limit());
            let new = Rewrite { value, kind, stamp, meta, meta_room, mono };
            if let Some(len) = self.own.rewrite(now, slot, &new, limit) {
                self.published(now, slot, policy.lifetime, limit);
                self.reports.sent(len);
                return Ok(());
            }
        }
        self.publish_anew(now, place, name, value, kind, (meta, stamp, policy.lifetime))
    }

    /// One that is not written where one before it is.
    #[inline(never)]
    fn publish_anew(
        &mut self,
        now: Now,
        place: Place,
        name: &str,
        value: Value<'_>,
        kind: Kind,
        (meta, stamp, lifetime): (Meta<'_>, Stamp, Option<u64>),
    ) -> Result<()> {
        let mut body = mem::take(&mut self.buffers.scratch);
        body.clear();
        let meta_at = wire::encode_value(&mut body, Form::V1, &self.identity, name, value, &meta);
        let done = self.publish_body(now, place, (&body, None, meta_at), name, kind, stamp, lifetime);
        let len = body.len();
        self.buffers.scratch = body;
        done.inspect(|()| self.reports.sent(len))
    }

    /// Withdraws the value of a name: its key has none from now on, whether or not it had one.
    pub fn clear(&mut self, now: Now, name: &str) -> Result<()> {
        wire::check_name(name)?;
        self.own.expire(now.mono);
        let kind = match self.own.table.find(&self.identity, name) {
            Some(own) => own.value_kind(),
            // One that an earlier run under this identity left.
            None => self.received.find(&self.identity, name).map(State::kind).filter(|&kind| kind != Kind::Cleared),
        };
        let value = kind.map_or(Value::Nil, |kind| Value::Int(kind.code().into()));
        let stamp = self.stamper.next(now);
        let meta = Meta { stamp: Some(stamp), flags: Meta::CLEAR, ..Meta::default() };
        let mut body = Vec::new();
        let meta_at = wire::encode_value(&mut body, Form::V1, &self.identity, name, value, &meta);
        let place = self.own.table.place(&mut Found::default(), &self.identity, name);
        self.publish_body(now, place, (&body, None, meta_at), name, Kind::Cleared, stamp, None)?;
        self.received.forget_key(&self.identity, name);
        self.reports.sent(body.len());
        Ok(())
    }

    /// Publishes a value that was encoded beforehand.
    pub fn publish_draft(&mut self, now: Now, draft: Draft<'_>) -> Result<()> {
        let Draft { mut body, name, kind, policy } = draft;
        let stamp = self.stamper.next(now);
        let meta_at = body.len();
        let meta = &mut self.buffers.scratch;
        meta.clear();
        policy.meta(stamp).encode(meta);
        body.extend_from_slice(meta);
        let body = Arc::new(body);
        let place = self.own.table.place(&mut Found::default(), &self.identity, name);
        let encoded = (&body[..], Some(&body), meta_at);
        let done = self.publish_body(now, place, encoded, name, kind, stamp, policy.lifetime);
        done.inspect(|()| self.reports.sent(body.len()))
    }

    /// A body, once more where it has an allocation that may be kept, and where its meta begins. `place`: of its key.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn publish_body(
        &mut self,
        now: Now,
        place: Place,
        (body, shared, meta_at): (&[u8], Option<&Arc<Bytes>>, usize),
        name: &str,
        kind: Kind,
        stamp: Stamp,
        lifetime: Option<u64>,
    ) -> Result<()> {
        let limit = self.limit();
        if meta_at > limit {
            let text = format!("{} would be a message of {meta_at} bytes; the limit is {limit}", Quoted(name));
            return Err(Error::new(Status::TooLarge, text));
        }
        let (sender, origin, mono) = (self.identity.as_bytes(), None, now.mono);
        let key = name.as_bytes();
        let offer = Offer { body, shared, meta_at, sender, name: key, kind, stamp, origin, mono };
        let slot = match self.own.put_at(now, place, offer) {
            Ok(slot) => slot,
            Err(Refusal::NoMemory) => return Err(memory::none_for(body.len(), name)),
            Err(Refusal::Full | Refusal::Stale) => {
                let (held, room) = (self.own.table.bytes(), self.own.table.capacity.bytes);
                let text =
                    format!("{} ({} bytes) does not fit: {held} of {room} bytes are in use", Quoted(name), body.len());
                return Err(Error::new(Status::Full, text));
            }
        };
        self.published(now, slot, lifetime, limit);
        Ok(())
    }

    /// An own value was set: it is sent, and expires after so many milliseconds.
    #[inline]
    fn published(&mut self, now: Now, slot: Slot, lifetime: Option<u64>, limit: usize) {
        if let Some(lifetime) = lifetime {
            self.own.table.set_lifetime(slot, now.mono, lifetime);
            self.set_expiry();
        }
        self.change(slot, limit);
    }

    /// Sends an own value that changed, if there is a link.
    pub(super) fn change(&mut self, slot: Slot, limit: usize) {
        let (Phase::Up, Some(link)) = (&self.phase, &mut self.link) else { return };
        let Some(entry) = self.own.table.get(slot) else { return };
        if wanted(link.is_old(), self.hub.features, entry, limit) {
            trace!("{}: sends {}", one_line(&self.identity), Told::entry(entry));
            if link.feed.change(&self.own.table, entry, usize::MAX) {
                debug!("{}: the hub does not keep up: it gets newest values only", one_line(&self.identity));
            }
            link.flush(&mut self.actions);
        } else {
            self.reports.withheld(entry);
        }
    }

    /// Whether the hub holds all that was published up to then, or something newer, once [`Session::is_acked`].
    ///
    /// # Errors
    /// Why one of them was not taken, if it still is the newest of its name.
    pub fn check_taken(&self, version: u64) -> Result<()> {
        if let Some((name, why)) = self.own.refused(version) {
            return Err(Error::new(why, format!("{} was not taken by the hub: {}", Quoted(name), why.text())));
        }
        if let Some((name, why)) = self.own.wills.refused(version) {
            let text = format!("the will for {} was not taken by the hub: {}", Quoted(name), why.text());
            return Err(Error::new(why, text));
        }
        if self.reports.warned_withheld && !self.is_old() {
            let limit = self.limit();
            if let Some(entry) = self.own.over(version, limit) {
                let (name, len) = (entry.name(), entry.meta_at());
                let text = format!("{} was not sent: a message of {len} bytes; the limit is {limit}", Quoted(name));
                return Err(Error::new(Status::TooLarge, text));
            }
        }
        Ok(())
    }

    /// Gives an own value a stamp that is newer than all that is known, and sends it again.
    pub(super) fn restamp(&mut self, now: Now, slot: Slot) {
        let stamp = self.stamper.next(now);
        match self.own.restamp(slot, stamp) {
            Ok(()) => self.change(slot, self.limit()),
            Err(why) => {
                if let Some(name) = self.own.table.get(slot).map(|entry| entry.name().to_owned()) {
                    self.not_taken(&name, Some(slot), why);
                }
            }
        }
    }

    /// Goes by the hub's time from now on. Own values with a later stamp, or all, are stamped by their age.
    pub(super) fn rebase(&mut self, now: Now, time: LogicalTime, all: bool) {
        self.stamper.rebase(now, time);
        let limit = self.limit();
        // The hub told the time after it had heard the hello, or the value that it did not take.
        let at = if matches!(self.phase, Phase::Hello) { self.stamper.hello_at() } else { now.boot };
        let (changed, last) = self.own.rebase(at, self.stamper.instance, time, all);
        self.stamper.made(now, last);
        for slot in changed {
            self.change(slot, limit);
        }
        self.received.forget_if(|state| is_beyond(state.stamp().clock, time));
    }

    /// The hub holds a later value of this key, or finds the stamp too far in the future. `offered` is the stamp that it
    /// did not take.
    pub(super) fn was_stale(&mut self, now: Now, name: &str, offered: Stamp, held: Option<Stamp>, time: LogicalTime) {
        let current = self.own.current(&self.identity, name, offered);
        match (held, current) {
            (None, Some(_)) if self.stamper.may_rebase() => self.rebase(now, time, false),
            (None, Some(slot)) => self.not_taken(name, Some(slot), Status::Refused),
            // It was replaced since, and another answer is on its way.
            (_, None) => self.observe(now, time),
            (Some(held), Some(slot)) if self.config.shared && held.instance != self.stamper.instance => {
                // Nobody's word is the last but by its stamp.
                self.observe(now, time);
                debug!("{}: {} is dropped for a newer value", one_line(&self.identity), Quoted(name));
                self.own.forget(slot);
                self.reports.stats.superseded += 1;
            }
            (Some(held), Some(slot)) if held == offered.expired() => {
                // It is about to do so here.
                self.observe(now, time);
                self.own.table.set_lifetime(slot, now.mono, 0);
                self.expire_values(now);
            }
            (Some(held), Some(slot)) => {
                self.observe(now, time.max(held.clock));
                self.restamp(now, slot);
            }
        }
    }

    /// The hub did not take an own value.
    pub(super) fn not_taken(&mut self, name: &str, slot: Option<Slot>, why: Status) {
        slot.into_iter().for_each(|slot| self.own.refuse(slot, why));
        self.reports.not_taken(&self.identity, name, why);
    }
}
