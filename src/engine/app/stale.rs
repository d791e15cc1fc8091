//! Whether values are stale: whether the apps that set them are gone, as far as the hub tells.

use std::collections::BTreeSet;

use super::super::mutations::{is_on, Mutation};
use super::{HubInfo, Notice, Session};
use crate::limits;
use crate::state::State;
use crate::wire::{Instance, Presence};

/// What is remembered of stale values while it is not known who is there, and what the program is to be told.
#[derive(Default)]
pub struct Stale {
    /// Whether the program has ever asked.
    is_asked: bool,
    /// Whether the program hears of changes.
    tells: bool,
    /// While it is not known of all who is there: the apps that are gone, since the hub has said so, or since they were when
    /// it was known.
    kept: BTreeSet<(Box<str>, Instance)>,
    /// The senders of whose values the program is to be told.
    owed: BTreeSet<Box<str>>,
    /// It is to be told of those of all senders.
    owes_all: bool,
}

impl Stale {
    /// Values of this sender, or of all, may be stale now, or no longer.
    fn may_change(&mut self, sender: Option<&str>) {
        match sender.filter(|_| !self.owes_all && self.owed.len() < limits::STALE_SENDERS) {
            _ if !self.tells => {}
            Some(sender) => drop(self.owed.insert(sender.into())),
            None => (self.owed, self.owes_all) = (BTreeSet::new(), true),
        }
    }

    /// The next sender that the program is told of; the inner `None` is all of them.
    fn next(&mut self) -> Option<Option<String>> {
        if std::mem::take(&mut self.owes_all) {
            return Some(None);
        }
        self.owed.pop_first().map(|sender| Some(sender.into()))
    }

    fn has_news(&self) -> bool {
        self.owes_all || !self.owed.is_empty()
    }
}

/// Whether nobody vouches for this value: neither is the app there that set it, nor has this hub stamped it.
fn is_left(hub: &HubInfo, own: (&str, Instance), state: &State) -> bool {
    if is_on(Mutation::StaleMissed) {
        return false;
    }
    let (sender, setter) = (state.sender(), state.stamp().instance);
    !state.is_cleared()
        && (sender, setter) != own
        && hub.instance != Some(setter)
        && !hub.others.is_there(sender, setter)
}

impl Session {
    /// Whether the app that set this value is known to be gone. The hub is asked from the first call on.
    pub fn is_stale(&mut self, state: &State) -> bool {
        self.hub.stale.is_asked = true;
        self.watch_others();
        let hub = &self.hub;
        let was_stale = || hub.stale.kept.contains(&(state.sender().into(), state.stamp().instance));
        is_left(hub, (&self.identity, self.stamper.instance), state) && (hub.others.are_certain() || was_stale())
    }

    /// Whether the program is told of senders whose values may be stale now, or no longer.
    pub fn set_tells_stale(&mut self, tells: bool) {
        let Stale { tells: told, owed, owes_all, .. } = &mut self.hub.stale;
        (*told, *owed, *owes_all) = (tells, BTreeSet::new(), false);
        if tells {
            self.hub.stale.is_asked = true;
            self.watch_others();
            if self.hub.others.are_certain() {
                self.hub.stale.may_change(None);
            }
        }
    }

    /// From here on it is not known who is there: what is stale stays so until then.
    pub(super) fn keep_stale(&mut self) {
        let Session { hub, received, identity, stamper, .. } = self;
        if hub.stale.is_asked && hub.others.are_certain() {
            let left = received.iter().filter(|state| is_left(hub, (identity, stamper.instance), state));
            hub.stale.kept = left.map(|state| (state.sender().into(), state.stamp().instance)).collect();
        }
    }

    /// The hub has said this of other apps. `was_there`: whether the one that it names was there before.
    pub(super) fn stale_heard(&mut self, said: Presence<'_>, was_there: bool) {
        let HubInfo { others, stale, .. } = &mut self.hub;
        match said {
            Presence::Peer { identity, instance, .. } if others.is_there(identity, instance) != was_there => {
                if was_there && stale.is_asked && !others.are_certain() && stale.kept.len() < limits::OTHERS {
                    stale.kept.insert((identity.into(), instance));
                }
                stale.may_change(Some(identity));
            }
            Presence::Complete { .. } if others.are_certain() => {
                stale.kept = BTreeSet::new();
                stale.may_change(None);
            }
            _ => {}
        }
    }

    pub(super) fn next_stale(&mut self) -> Option<Notice> {
        self.hub.stale.next().map(Notice::Stale)
    }

    pub(super) fn has_news_of_stale(&self) -> bool {
        self.hub.stale.has_news()
    }
}
