//! The processes of a world.

use std::collections::BTreeMap;

use nanostate::engine::app::{Notice, Peer, PresenceEvent, Session};
use nanostate::engine::hub::Router;
use nanostate::engine::Protocol;
use nanostate::pattern::Pattern;
use nanostate::wire::{Instance, Stamp, ACCEPT_ANY};
use nanostate::Kind;

use crate::sim::{given, OldHub, OldPeer, RawPeer};

/// What runs in a process.
pub enum Process {
    Hub(Box<Router>),
    App(Box<App>),
    OldPeer(Box<OldPeer>),
    OldHub(OldHub),
    Raw(RawPeer),
}

impl Process {
    pub(super) fn protocol(&mut self) -> &mut dyn Protocol {
        match self {
            Process::Hub(router) => &mut **router,
            Process::App(app) => &mut app.session,
            Process::OldPeer(peer) => &mut **peer,
            Process::OldHub(hub) => hub,
            Process::Raw(peer) => peer,
        }
    }
}

/// An app and the program around it.
pub struct App {
    pub session: Session,
    pub identity: String,
    pub accept: u32,
    /// What it has subscribed to, if it ever has.
    pub patterns: Option<BTreeMap<String, Pattern>>,
    /// Whether its program takes what it received at once.
    pub(super) takes: bool,
    /// Whether its program has ever let states wait.
    has_paused: bool,
    /// What its program was given last of each key.
    pub newest: BTreeMap<(String, String), (Stamp, Vec<u8>)>,
    /// What it was given, in order, if that is kept.
    pub log: Option<Vec<(String, String, Vec<u8>)>>,
    pub taken: u64,
    /// What it was told of others.
    pub told: Vec<(PresenceEvent, Peer)>,
    /// The senders of whose values it was told that they may be stale, or no longer; `None`: all.
    pub told_stale: Vec<Option<String>>,
    /// What it sent last of each name, the sends that were refused not counted.
    pub sent: BTreeMap<String, (Kind, Vec<u8>)>,
    /// An acknowledgement that is waited for.
    pub(super) ack: Option<Ack>,
    pub acked: u64,
    /// On which of its links each of `newest` came.
    pub(super) given: BTreeMap<(String, String), u64>,
    /// The world's [`super::World::hubs`].
    pub(super) hubs: u64,
    /// Whether hubs have stores.
    pub(super) stores: bool,
}

impl App {
    pub(super) fn new(identity: &str, session: Session) -> App {
        App {
            session,
            identity: identity.into(),
            accept: ACCEPT_ANY,
            patterns: None,
            takes: true,
            has_paused: false,
            newest: BTreeMap::new(),
            log: None,
            taken: 0,
            told: Vec::new(),
            told_stale: Vec::new(),
            sent: BTreeMap::new(),
            ack: None,
            acked: 0,
            given: BTreeMap::new(),
            hubs: 0,
            stores: false,
        }
    }

    /// Its program takes nothing from now on, until it goes on with [`App::goes_on`].
    pub fn pauses(&mut self) {
        (self.takes, self.has_paused) = (false, true);
    }

    /// Its program takes what it receives at once from now on.
    pub fn goes_on(&mut self) {
        self.takes = true;
        self.take();
    }

    /// Whether its program is given states of this name.
    pub fn is_given(&self, name: &str) -> bool {
        self.patterns.as_ref().is_none_or(|patterns| patterns.values().any(|pattern| pattern.matches(name)))
    }

    /// Its program has taken what waits, and subscribes to a pattern, or gives it up.
    pub fn subscribe(&mut self, text: &str, also: bool) {
        self.take();
        let pattern = Pattern::new(text).expect("a pattern");
        if also {
            self.session.subscribe(Some(&pattern)).expect("there is room");
            self.patterns.get_or_insert_default().insert(text.to_owned(), pattern);
        } else {
            let had = self.patterns.as_mut().is_some_and(|patterns| patterns.remove(text).is_some());
            assert_eq!(self.session.unsubscribe(text).is_ok(), had);
        }
        let newest = std::mem::take(&mut self.newest);
        self.newest = newest.into_iter().filter(|((_, name), _)| self.is_given(name)).collect();
        self.given.retain(|key, _| self.newest.contains_key(key));
    }

    /// Takes what it is told beside states.
    pub fn hear(&mut self) {
        while let Some(notice) = self.session.next_notice() {
            match notice {
                Notice::Presence(event, peer) => self.told.push((event, peer)),
                Notice::Stale(sender) => self.told_stale.push(sender),
                _ => {}
            }
        }
    }

    /// Takes what waits, and checks each.
    pub fn take(&mut self) {
        let link = self.session.stats().connects;
        while let Some(state) = self.session.take_state() {
            self.taken += 1;
            let key = (state.sender().to_owned(), state.name().to_owned());
            let who = &self.identity;
            let takes = self.accept & state.kind().mask() != 0 || state.kind() == Kind::Cleared;
            assert!(takes, "{who} got a {}", state.kind().name());
            assert!(!key.1.starts_with("$ns/") && self.is_given(&key.1), "{who} got {}", key.1);
            if let Some(log) = &mut self.log {
                log.push((key.0.clone(), key.1.clone(), given(&state)));
            }
            if let Some((stamp, _)) = self.newest.get(&key) {
                // A hub that was killed takes the stamps it knew of with it. What waited may be of an earlier link.
                let may_be = self.hubs > 0 && (self.has_paused || self.given.get(&key) != Some(&link));
                // What a store has may be older than what was given before, and may have been conflated since.
                let again = self.stores && may_be;
                assert!(state.stamp() != *stamp || again, "{who} got {key:?} twice");
                let older = state.stamp() < *stamp && !may_be;
                assert!(!older, "{who} got {key:?} with an older stamp than before");
            }
            // What has expired has done so here, perhaps between two links.
            if state.stamp().instance != Instance::default() {
                self.given.insert(key.clone(), link);
            }
            self.newest.insert(key, (state.stamp(), given(&state)));
        }
    }
}

pub(super) struct Ack {
    pub(super) version: u64,
    /// What it covers: names and values.
    pub(super) sent: Vec<(String, Vec<u8>)>,
    /// The number of the last value that was sent before.
    pub(super) number: u64,
}
