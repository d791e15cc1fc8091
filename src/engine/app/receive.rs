//! What the hub sends: states and control messages.

use std::ops::Deref;
use std::sync::Arc;

use log::trace;

use super::super::link::end_of;
use super::super::newest::Place;
use super::super::table::{Offer, Refusal};
use super::super::told::Told;
use super::super::{ConnId, Now};
use super::{Notice, Phase, Policy, Session};
use crate::framing::Frame;
use crate::memory::{self, Bytes};
use crate::state::{Outline, State};
use crate::visible::{one_line, Quoted};
use crate::wire::{self, Body, Control, Features, Form, Kind, Malformed, Meta, Stamp, Value};
use crate::{Error, Status};

/// How a body came.
enum Came<'a> {
    /// Within what was read.
    Within(&'a [u8]),
    /// In an allocation of its own.
    Apart(Bytes),
}

impl Deref for Came<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Came::Within(bytes) => bytes,
            Came::Apart(bytes) => bytes,
        }
    }
}

impl Session {
    /// Takes the frames in `input`, behind what has come of the first one.
    pub(super) fn frames(&mut self, now: Now, conn: ConnId, mut input: &[u8]) {
        let Some(link) = &mut self.link else { return };
        let mut decoder = link.take_decoder();
        while let Some(link) = self.link.as_mut().filter(|link| link.conn() == conn) {
            match link.next(&mut decoder, &mut input) {
                Ok(Some(Frame::Body(body))) => self.body(now, Came::Within(body)),
                Ok(Some(Frame::Large(body))) => self.body(now, Came::Apart(body)),
                Ok(Some(Frame::TooLarge(len))) => self.reports.too_large(len),
                Ok(Some(Frame::NoMemory { len, .. })) => {
                    self.reports.stats.too_large += 1;
                    self.reports.no_memory(&self.identity, &format!("message of {len} bytes dropped"));
                }
                Ok(Some(Frame::Text(_))) => self.reports.malformed(Malformed::Text),
                Ok(None) => {
                    link.put_decoder(decoder, &mut self.actions);
                    return self.pause_if_full(now);
                }
                Err(error) => return self.drop_link(now, Error::new(end_of(&error), error.to_string())),
            }
        }
    }

    fn body(&mut self, now: Now, bytes: Came<'_>) {
        let form = if self.is_old() { Form::Old } else { Form::V1 };
        // Looked at where it is: a copy of it costs as much as some of the steps.
        let decoded = wire::decode(&bytes, form);
        let body = match &decoded {
            Ok(body) => body,
            Err(reason) => return self.reports.malformed(*reason),
        };
        match (body.is_reserved(), form) {
            (false, _) => {
                if let Err(reason) = body.meta.check_features(self.hub.features, Meta::RETAINED) {
                    return self.reports.malformed(reason);
                }
                let Some((place, stamp, time)) = self.receive(now, body) else { return };
                trace!("{}: receives {}", one_line(&self.identity), Told::body(body));
                let lifetime = body.meta.lifetime;
                let key = lifetime.map(|_| (body.sender().to_owned(), body.name().to_owned()));
                let stays = matches!(bytes, Came::Apart(_)) && body.kind != Kind::Cleared;
                let state = match stays.then(|| Outline::of(body, &bytes)) {
                    // It lay whole in what one read gave, which is no more than `memory::LARGE`, or has no value.
                    None => State::new(&mut self.buffers.scratch, body, stamp, time),
                    Some(outline) => {
                        let Came::Apart(bytes) = bytes else { return };
                        State::in_place(bytes, &outline, stamp, time)
                    }
                };
                if self.received.insert(place, state) {
                    self.reports.dropped(self.received.waiting_bytes());
                }
                if let (Some(lifetime), Some((sender, name))) = (lifetime, key) {
                    let place = self.received.place(&sender, &name);
                    self.received_for(now, place, stamp, lifetime);
                }
            }
            (true, Form::V1) => match Control::decode(body) {
                Ok(control) => self.hear(now, control),
                Err(reason) => self.reports.malformed(reason),
            },
            (true, Form::Old) => self.reports.malformed(Malformed::Name),
        }
    }

    /// Whether the program gets this value: where it is kept, its stamp, and when it was made.
    pub(super) fn receive(&mut self, now: Now, body: &Body<'_>) -> Option<(Place, Stamp, i64)> {
        if !matches!(self.phase, Phase::Up) {
            return None;
        }
        if self.is_old() && body.sender_bytes() == self.identity.as_bytes() && !self.config.echo {
            self.reports.stats.echoes += 1;
            return None;
        }
        let (stamp, time) = match body.meta.stamp {
            Some(stamp) => {
                self.observe(now, stamp.clock);
                (stamp, stamp.millis() as i64)
            }
            None => (self.stamper.next(now), 0),
        };
        let own = match body.sender_bytes() == self.identity.as_bytes() {
            true => self.own.table.find_at(body.sender_bytes(), body.name_bytes()),
            false => None,
        };
        let own = own.and_then(|slot| Some((slot, self.own.table.get(slot)?.stamp())));
        // Its own value has expired at the hub; it is about to do so here.
        let is_expiry = body.kind == Kind::Cleared && own.is_some_and(|(_, own)| stamp == own.expired());
        let is_own = stamp.instance == self.stamper.instance || self.config.shared || is_expiry;
        if let (Some((slot, own)), false) = (own, is_own) {
            self.reports.stats.stale += 1;
            if stamp > own {
                // An earlier run under this identity: what this run says counts.
                self.restamp(now, slot);
            }
            return None;
        }
        let own = own.map(|(_, stamp)| stamp);
        if own.is_some_and(|own| stamp > own) {
            self.adopt(now, body, stamp);
            if is_expiry && !self.config.shared && !self.config.echo {
                return None;
            }
        }
        let place = self.received.place(body.sender_bytes(), body.name_bytes());
        // What is known is taken: keys of other names are forgotten.
        if self.received.at(place).is_none() && !self.accepted.names.takes(body.name()) {
            return None;
        }
        if !self.accepted.takes(body.accepted_by()) {
            if body.kind == Kind::Cleared {
                // The program was not given the value either.
                return None;
            }
            self.reports.stats.rejected += 1;
            if self.accepted.tells_rejects() {
                let (sender, name) = (body.sender().to_owned(), body.name().to_owned());
                self.reports.notice(Notice::Reject { sender, name, kind: body.kind });
            }
            return None;
        }
        // One's own value comes back with its own stamp, if that was asked for.
        let older_than_own = own.is_some_and(|own| stamp < own || (stamp == own && !self.config.echo));
        // An older value than before is what the hub knows: one that was killed took the newer one with it.
        // Nor does one come back that has expired here: it was on its way then.
        let is_known = |kept: &State| stamp == kept.stamp() || kept.is_cleared() && kept.stamp() == stamp.expired();
        if older_than_own || self.received.at(place).is_some_and(is_known) {
            self.reports.stats.stale += 1;
            return None;
        }
        self.reports.stats.received += 1;
        self.reports.stats.received_bytes += body.meta_at as u64;
        Some((place, stamp, time))
    }

    /// Another app that shares the identity has sent a newer value of a key of this one: it is announced in the own
    /// one's place, so that a hub that is killed gets it back also without that app.
    pub(super) fn adopt(&mut self, now: Now, body: &Body<'_>, stamp: Stamp) {
        let (sender, name, kind) = (body.sender(), body.name(), body.kind);
        let value = Value::Msgpack(body.data);
        let copied = memory::with_capacity(wire::max_head_len(sender, name, &value) + Stamp::META_LEN + Policy::LEN);
        let adopted = copied.map_err(Refusal::from).and_then(|mut bytes| {
            let kept = if kind == Kind::Cleared { Meta::CLEAR } else { Meta::TRANSIENT };
            let flags = body.meta.flags & kept;
            let lifetime = body.meta.lifetime;
            let meta = Meta { stamp: Some(stamp), flags, lifetime, ..Meta::default() };
            let meta_at = wire::encode_value(&mut bytes, Form::V1, sender, name, value, &meta);
            let bytes = Arc::new(Bytes::from(bytes));
            let (shared, origin, mono) = (Some(&bytes), None, now.mono);
            let (sender, name) = (body.sender_bytes(), body.name_bytes());
            let offer = Offer { body: &bytes, shared, meta_at, sender, name, kind, stamp, origin, mono };
            let slot = self.own.put(now, offer)?;
            if let Some(lifetime) = lifetime {
                self.own.table.set_lifetime(slot, now.mono, lifetime);
            }
            Ok(slot)
        });
        self.set_expiry();
        if let Err(why) = adopted {
            if why == Refusal::NoMemory {
                self.reports.no_memory(
                    &self.identity,
                    &format!("{} is not announced instead of the app's own value", Quoted(name)),
                );
            }
            self.own.table.find_at(sender, name).into_iter().for_each(|slot| self.own.forget(slot));
        }
    }

    pub(super) fn hear(&mut self, now: Now, control: Control<'_>) {
        match control {
            Control::Welcome { instance, max_message, time, features, .. } if matches!(self.phase, Phase::Hello) => {
                self.hub.limit = usize::try_from(max_message).unwrap_or(usize::MAX);
                self.welcomed(now, time);
                self.up(now, Some(instance), features);
                let asks = self.tell_kinds() + self.tell_all_patterns();
                self.hub.synced.begin(asks);
            }
            Control::Refuse { status, text } => self.refused_by_hub(now, status, text),
            Control::Ping { token } => {
                if let Some(token) = self.link.as_mut().and_then(|link| link.take_ping(token)) {
                    self.control(&Control::Pong { token, time: None });
                }
            }
            Control::Pong { token, time } => {
                time.into_iter().for_each(|time| self.observe(now, time));
                let asked = self.hub.pings.answered(now, token).unwrap_or(token);
                if self.hub.acks.answered(asked, self.own.table.version(), self.own.restamped()) {
                    self.flush();
                }
            }
            Control::Rejected { status, name } => {
                let why = Status::from_code(status).filter(|&why| why != Status::Ok).unwrap_or(Status::Full);
                self.not_taken(name, self.own.table.find_at(&self.identity, name), why);
            }
            Control::WillRejected { status, name, nth } if matches!(self.phase, Phase::Up) => {
                self.will_was_rejected(status, name, nth);
            }
            Control::Synced { asks }
                if matches!(self.phase, Phase::Up) && self.hub.features.contains(Features::SYNCED) =>
            {
                self.hub.synced.answered(asks, self.received.waiting());
            }
            Control::Forgotten { token, status, text } => self.heard_forgotten(token, status, text),
            Control::Counted { token, next, part }
                if matches!(self.phase, Phase::Up) && self.hub.features.contains(Features::STATS) =>
            {
                self.heard_counted(token, next, part);
            }
            Control::Presence(said)
                if matches!(self.phase, Phase::Up) && self.hub.features.contains(Features::PRESENCE) =>
            {
                self.hear_of_others(said);
            }
            Control::Stale { name, offered, held, time } if matches!(self.phase, Phase::Up) => {
                self.was_stale(now, name, offered, held, time);
            }
            _ => {}
        }
    }
}
