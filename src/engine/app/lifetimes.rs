//! Values that expire: an app's own, and those that it received, for which it does not depend on the hub.

use log::trace;

use super::super::expiring::end_of_life;
use super::super::newest::Place;
use super::super::table::tombstone;
use super::super::Now;
use super::{Session, Timer};
use crate::state::State;
use crate::visible::{one_line, Quoted};
use crate::wire::{self, Features, Form, Stamp};

impl Session {
    /// Whether the hub of this link, or of the last one, lets values expire.
    pub fn hub_expires_values(&self) -> bool {
        self.hub.features.contains(Features::LIFETIME)
    }

    /// Whether the hub of this link, or of the last one, knows of transient values.
    pub fn hub_knows_transient_values(&self) -> bool {
        self.hub.features.contains(Features::TRANSIENT)
    }

    /// Sees to it that values expire in time.
    pub(super) fn set_expiry(&mut self) {
        let first = self.own.table.next_to_expire().into_iter().chain(self.received.next_to_expire()).min();
        match first {
            Some(at) => self.timers.set(Timer::Expiry, at),
            None => self.timers.clear(Timer::Expiry),
        }
    }

    /// A value that was received now lives for so many milliseconds.
    pub(super) fn received_for(&mut self, now: Now, place: Place, stamp: Stamp, lifetime: u64) {
        self.received.set_end(place, stamp, end_of_life(now.mono, lifetime));
        self.set_expiry();
    }

    /// Withdraws the values that have expired: own ones also at the hub, which does so by itself if it knows of this.
    pub(super) fn expire_values(&mut self, now: Now) {
        let limit = self.limit();
        while let Some(slot) = self.own.table.expire_value(now.mono) {
            self.change(slot, limit);
        }
        while let Some(state) = self.received.take_expired(now.mono) {
            self.received_expired(&state);
        }
        self.set_expiry();
    }

    /// The program is told of a value that has expired as if it had been cleared.
    fn received_expired(&mut self, state: &State) {
        let (sender, name, stamp) = (state.sender(), state.name(), state.stamp().expired());
        trace!("{}: {} of {} has expired", one_line(&self.identity), Quoted(name), Quoted(sender));
        if !self.accepted.takes(state.kind().mask()) {
            // As of what others clear.
            return self.received.forget_key(sender, name);
        }
        let mut body = Vec::new();
        tombstone(&mut body, sender, name, state.kind(), stamp);
        let Ok(body) = wire::decode(&body, Form::V1) else { return };
        let cleared = State::new(&mut self.buffers.scratch, &body, stamp, stamp.millis() as i64);
        let place = self.received.place(sender, name);
        if self.received.insert(place, cleared) {
            self.reports.dropped(self.received.waiting_bytes());
        }
    }
}
