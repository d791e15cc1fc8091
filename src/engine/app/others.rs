//! Which other apps are there, as far as the hub tells.

use std::collections::{BTreeMap, VecDeque};

use super::{Notice, Phase, Session};
use crate::numbered::numbered;
use crate::wire::{Control, Features, Instance, PeerState, Presence};
use crate::{limits, Error, Result, Status};

numbered! {
    /// What a program is told of another app. The numbers are those of the C API.
    pub enum PresenceEvent {
        /// It was there before this app asked.
        Here = 1, "here";
        /// It has come.
        Joined = 2, "joined";
        /// Nothing is heard of it, or its connection has broken.
        Suspect = 3, "suspect";
        /// It is not suspect any more.
        Recovered = 4, "recovered";
        /// It has left on purpose, or was gone when this app had its hub back.
        Left = 5, "left";
        /// It was suspect for too long.
        Lost = 6, "lost";
    }
}

/// Another app.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Its identity, which several may share.
    pub identity: String,
    /// Random, and its own as long as it lives.
    pub instance: [u8; 16],
    /// Whether nothing is heard of it, or its connection has broken.
    pub is_suspect: bool,
}

type Key = (Box<str>, Instance);

struct Known {
    state: PeerState,
    /// What the program was told last.
    told: Option<PeerState>,
    /// Whether it waits to be told.
    is_owed: bool,
    /// Whether the present list has it.
    is_listed: bool,
    /// Whether it was there before this app asked.
    was_here: bool,
}

/// The other apps, and what the program is to be told of them: each app's last state, so that what waits is bounded by
/// their number.
#[derive(Default)]
pub struct Others {
    known: BTreeMap<Key, Known>,
    owed: VecDeque<Key>,
    /// Whether the hub is to tell.
    is_wanted: bool,
    /// Whether the program hears of changes.
    tells: bool,
    /// Whether the list of this link has come, for the first time or once more.
    is_complete: bool,
    /// Whether a list of a hub that is not young was ever complete.
    was_complete: bool,
    /// Whether that of this link was.
    is_old: bool,
    /// Whether the present list has more apps than may be known.
    is_over: bool,
}

impl Others {
    /// The hub says this.
    fn heard(&mut self, said: Presence<'_>, own: (&str, Instance)) {
        match said {
            Presence::Begins => {
                (self.is_complete, self.is_old, self.is_over) = (false, false, false);
                self.known.values_mut().for_each(|known| known.is_listed = false);
            }
            Presence::Peer { identity, instance, .. } if (identity, instance) == own => {}
            Presence::Peer { state, identity, instance } => self.is(state, (identity.into(), instance)),
            Presence::Complete { young } => {
                self.is_complete = true;
                if young {
                    return;
                }
                (self.was_complete, self.is_old) = (true, true);
                let gone = self.known.iter().filter(|(_, known)| !known.is_listed && !known.state.is_gone());
                let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
                gone.into_iter().for_each(|key| self.is(PeerState::Left, key));
            }
        }
    }

    /// Whether this app is there, as far as is known.
    pub fn is_there(&self, identity: &str, instance: Instance) -> bool {
        self.known.get(&(identity.into(), instance)).is_some_and(|known| !known.state.is_gone())
    }

    /// Whether an app that is not known is not there: the hub of this link has told all, and is not young.
    pub fn are_certain(&self) -> bool {
        self.is_old && !self.is_over
    }

    fn is(&mut self, state: PeerState, key: Key) {
        if !self.known.contains_key(&key) && (state.is_gone() || self.known.len() >= limits::OTHERS) {
            self.is_over |= !state.is_gone();
            return;
        }
        let was_here = !self.was_complete;
        let new = || Known { state, told: None, is_owed: false, is_listed: true, was_here };
        let known = self.known.entry(key.clone()).or_insert_with(new);
        (known.state, known.is_listed) = (state, true);
        self.settle(key);
    }

    /// Has the program told of this one if there is something to tell. Forgets it if it is gone and there is nothing.
    fn settle(&mut self, key: Key) {
        let Some(known) = self.known.get_mut(&key) else { return };
        let has_news = match known.told {
            None => !known.state.is_gone(),
            Some(told) => told != known.state,
        };
        if self.tells && has_news {
            if !std::mem::replace(&mut known.is_owed, true) {
                self.owed.push_back(key);
            }
        } else if known.state.is_gone() && !known.is_owed {
            self.known.remove(&key);
        }
    }

    /// The next thing that the program is told.
    fn next(&mut self) -> Option<(PresenceEvent, Peer)> {
        while let Some(key) = self.owed.pop_front() {
            let Some(known) = self.known.get_mut(&key) else { continue };
            known.is_owed = false;
            let event = match (known.told, known.state) {
                (None, PeerState::Left | PeerState::Lost) => None,
                (None, _) if known.was_here => Some(PresenceEvent::Here),
                (None, _) => Some(PresenceEvent::Joined),
                (Some(told), state) if told == state => None,
                (_, PeerState::Present) => Some(PresenceEvent::Recovered),
                (_, PeerState::Suspect) => Some(PresenceEvent::Suspect),
                (_, PeerState::Left) => Some(PresenceEvent::Left),
                (_, PeerState::Lost) => Some(PresenceEvent::Lost),
            };
            if event.is_some() {
                // One that it hears of for the first time is there; that it is suspect follows.
                known.told = Some(if known.told.is_none() { PeerState::Present } else { known.state });
            }
            let peer = peer_of(&key, known.state);
            self.settle(key);
            if let Some(event) = event {
                return Some((event, peer));
            }
        }
        None
    }

    /// Whether something is to be told.
    fn has_news(&self) -> bool {
        !self.owed.is_empty()
    }

    fn set_tells(&mut self, tells: bool) {
        self.tells = tells;
        self.owed.clear();
        let keys: Vec<_> = self.known.keys().cloned().collect();
        for known in self.known.values_mut() {
            // A function that is new hears of all as of those that were there.
            (known.told, known.is_owed, known.was_here) = (None, false, true);
        }
        keys.into_iter().for_each(|key| self.settle(key));
    }

    fn all(&self) -> Vec<Peer> {
        let here = self.known.iter().filter(|(_, known)| !known.state.is_gone());
        here.map(|(key, known)| peer_of(key, known.state)).collect()
    }
}

fn peer_of((identity, instance): &Key, state: PeerState) -> Peer {
    Peer { identity: identity.to_string(), instance: instance.0, is_suspect: state == PeerState::Suspect }
}

impl Session {
    /// The hub is to tell from now on which other apps are there.
    pub fn watch_others(&mut self) {
        if !std::mem::replace(&mut self.hub.others.is_wanted, true) {
            self.ask_for_others();
        }
    }

    /// Whether the program is told of other apps. It is told at once of those that are there.
    pub fn set_tells_others(&mut self, tells: bool) {
        self.hub.others.set_tells(tells);
        if tells {
            self.watch_others();
        }
    }

    /// There is a link, or the hub is to tell.
    pub(super) fn ask_for_others(&mut self) {
        if self.hub.others.is_wanted
            && matches!(self.phase, Phase::Up)
            && self.hub.features.contains(Features::PRESENCE)
        {
            self.control(&Control::Watch);
        }
    }

    /// There is no link any more.
    pub(super) fn others_are_unknown(&mut self) {
        self.keep_stale();
        (self.hub.others.is_complete, self.hub.others.is_old) = (false, false);
    }

    pub(super) fn hear_of_others(&mut self, said: Presence<'_>) {
        if !self.hub.others.is_wanted {
            return;
        }
        let was_there = match said {
            Presence::Begins => {
                self.keep_stale();
                false
            }
            Presence::Peer { identity, instance, .. } => self.hub.others.is_there(identity, instance),
            Presence::Complete { .. } => false,
        };
        self.hub.others.heard(said, (&self.identity, self.stamper.instance));
        self.stale_heard(said, was_there);
    }

    /// The other apps that are there, once the hub has told all; `None` if that may still be.
    pub fn others(&self) -> Option<Result<Vec<Peer>>> {
        if self.hub.others.is_complete {
            return Some(Ok(self.hub.others.all()));
        }
        let told = matches!(self.phase, Phase::Up) && !self.hub.features.contains(Features::PRESENCE);
        told.then(|| Err(Error::new(Status::Unsupported, "the hub does not say which apps are there")))
    }

    pub(super) fn next_of_others(&mut self) -> Option<Notice> {
        self.hub.others.next().map(|(event, peer)| Notice::Presence(event, peer))
    }

    pub(super) fn has_news_of_others(&self) -> bool {
        self.hub.others.has_news()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: (&str, Instance) = ("me", Instance([0; 16]));

    fn tells() -> Others {
        Others { tells: true, ..Others::default() }
    }

    fn says(others: &mut Others, state: PeerState, identity: &str, instance: u8) {
        others.heard(Presence::Peer { state, identity, instance: Instance([instance; 16]) }, OWN);
    }

    fn list(others: &mut Others, young: bool, apps: &[(&str, u8)]) {
        others.heard(Presence::Begins, OWN);
        apps.iter().for_each(|&(identity, instance)| says(others, PeerState::Present, identity, instance));
        others.heard(Presence::Complete { young }, OWN);
    }

    fn told(others: &mut Others) -> Vec<(&'static str, String)> {
        std::iter::from_fn(|| others.next()).map(|(event, peer)| (event.name(), peer.identity)).collect()
    }

    fn of(told: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        told.iter().map(|&(event, identity)| (event, identity.to_owned())).collect()
    }

    #[test]
    fn those_who_are_there_are_told_first_and_then_who_comes_and_goes() {
        let mut others = tells();
        list(&mut others, false, &[("a", 1), ("me", 0), ("b", 2)]);
        assert_eq!(told(&mut others), of(&[("here", "a"), ("here", "b")]));
        says(&mut others, PeerState::Present, "c", 3);
        says(&mut others, PeerState::Suspect, "a", 1);
        assert_eq!(told(&mut others), of(&[("joined", "c"), ("suspect", "a")]));
        says(&mut others, PeerState::Present, "a", 1);
        says(&mut others, PeerState::Left, "b", 2);
        says(&mut others, PeerState::Lost, "c", 3);
        assert_eq!(told(&mut others), of(&[("recovered", "a"), ("left", "b"), ("lost", "c")]));
        assert_eq!(others.all().len(), 1);
        assert_eq!(others.known.len(), 1, "those that are gone are forgotten");
    }

    #[test]
    fn what_passed_before_the_program_looked_is_not_told() {
        let mut others = tells();
        list(&mut others, false, &[("a", 1)]);
        assert_eq!(told(&mut others), of(&[("here", "a")]));
        says(&mut others, PeerState::Present, "b", 2);
        says(&mut others, PeerState::Lost, "b", 2);
        says(&mut others, PeerState::Suspect, "a", 1);
        says(&mut others, PeerState::Present, "a", 1);
        assert!(others.has_news());
        assert_eq!(told(&mut others), of(&[]));
        assert_eq!((others.known.len(), others.has_news()), (1, false));
    }

    #[test]
    fn one_that_is_suspect_when_it_is_first_heard_of_is_there_and_suspect() {
        let mut others = tells();
        says(&mut others, PeerState::Suspect, "a", 1);
        assert_eq!(told(&mut others), of(&[("here", "a"), ("suspect", "a")]));
    }

    #[test]
    fn after_a_reconnect_only_the_difference_is_told() {
        let mut others = tells();
        list(&mut others, false, &[("a", 1), ("b", 2), ("c", 3)]);
        told(&mut others);
        list(&mut others, true, &[("b", 2), ("c", 4), ("d", 5)]);
        assert_eq!(told(&mut others), of(&[("joined", "c"), ("joined", "d")]), "nobody is lost at a young hub");
        says(&mut others, PeerState::Present, "a", 1);
        others.heard(Presence::Complete { young: false }, OWN);
        assert_eq!(told(&mut others), of(&[("left", "c")]), "the app that had this identity before");
        assert_eq!(others.all().iter().map(|peer| &*peer.identity).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_function_that_is_set_later_hears_of_all_that_are_there() {
        let mut others = Others::default();
        list(&mut others, false, &[("a", 1), ("b", 2)]);
        says(&mut others, PeerState::Lost, "b", 2);
        assert!(!others.has_news() && others.known.len() == 1);
        others.set_tells(true);
        assert_eq!(told(&mut others), of(&[("here", "a")]));
        others.set_tells(true);
        says(&mut others, PeerState::Left, "a", 1);
        others.set_tells(false);
        assert!(told(&mut others).is_empty() && others.known.is_empty());
    }

    #[test]
    fn a_hub_that_makes_up_apps_fills_no_memory() {
        let mut others = tells();
        for n in 0..limits::OTHERS + 10 {
            says(&mut others, PeerState::Present, &n.to_string(), 1);
            says(&mut others, PeerState::Left, &format!("never {n}"), 1);
        }
        assert_eq!((others.known.len(), others.owed.len()), (limits::OTHERS, limits::OTHERS));
    }
}
