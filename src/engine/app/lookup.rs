//! Looking up the values that an app holds, received and own.

use super::super::table::{Entry, SHARE_FROM};
use super::{Own, Session};
use crate::memory::{self, Bytes, NoMemory};
use crate::state::{Outline, State};
use crate::wire::{self, Form};
use crate::Result;

impl Session {
    /// As [`Session::find`]; none without memory, too.
    pub fn get(&mut self, sender: Option<&str>, name: &str) -> Option<State> {
        self.find(sender, name).ok().flatten()
    }

    /// The value of a key, or with no sender the newest of any sender, own values included; none that is cleared.
    ///
    /// # Errors
    /// [`Status::NoMemory`]: for a copy of a large own value.
    pub fn find(&mut self, sender: Option<&str>, name: &str) -> Result<Option<State>> {
        let own = match sender {
            Some(sender) => self.own.table.find(sender, name),
            // If it has none any more, others may have one.
            None => self.own.table.find(&self.identity, name).filter(|own| !own.is_cleared()),
        };
        let kept = match sender {
            Some(sender) => self.received.find(sender, name),
            None => self.received.newest(name),
        };
        match (own, kept) {
            (Some(own), kept) if kept.is_none_or(|kept| own.stamp() >= kept.stamp()) => {
                own_state(own, &mut self.buffers.scratch)
            }
            (_, kept) => Ok(kept.filter(|kept| !kept.is_cleared()).cloned()),
        }
    }

    /// The newest value of each key whose name is wanted, own values included, in no particular order.
    ///
    /// # Errors
    /// [`Status::NoMemory`]: for a copy of a large own value.
    pub fn states(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Vec<State>> {
        let Session { own: Own { table: own, .. }, received, buffers, .. } = self;
        let newer_is_own =
            |state: &&State| own.find(state.sender(), state.name()).is_some_and(|own| own.stamp() >= state.stamp());
        let newer_is_kept = |entry: &&Entry| {
            received.find(entry.sender(), entry.name()).is_some_and(|kept| kept.stamp() > entry.stamp())
        };
        let received = received.iter().filter(|state| !state.is_cleared() && wanted(state.name()));
        let received = received.filter(|state| !newer_is_own(state)).cloned();
        let published = own.iter().filter(|entry| wanted(entry.name()) && !newer_is_kept(entry));
        received
            .map(Ok)
            .chain(published.filter_map(|entry| own_state(entry, &mut buffers.scratch).transpose()))
            .collect()
    }
}

/// An own value in the form in which the program gets states.
fn own_state(own: &Entry, scratch: &mut Vec<u8>) -> Result<Option<State>> {
    if own.is_cleared() {
        return Ok(None);
    }
    let (bytes, stamp) = (own.bytes(), own.stamp());
    let Ok(body) = wire::decode(bytes, Form::V1) else { return Ok(None) };
    let time = stamp.millis() as i64;
    if bytes.len() < SHARE_FROM {
        return Ok(Some(State::new(scratch, &body, stamp, time)));
    }
    // Copied once, and not by way of what stays.
    let copy = Bytes::copy(bytes).map_err(|NoMemory| memory::none_for(bytes.len(), body.name()))?;
    Ok(Some(State::in_place(copy, &Outline::of(&body, bytes), stamp, time)))
}
