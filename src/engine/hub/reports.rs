//! What a hub counts, and what it tells its owner.

use std::collections::VecDeque;
use std::mem;

use log::debug;

use super::super::table::Entry;
use super::audience::Profile;
use super::config::RouterConfig;
use super::events::{PeerEvent, RouterEvent};
use super::intake::NotTaken;
use super::peer::{Peer, Tally, Warned};
use super::queries::Takes;
use crate::options::HubOption;
use crate::visible::Quoted;
use crate::wire::HubStats;
use crate::Status;

/// Counts something for the hub and for one of its peers.
macro_rules! count {
    ($stats:expr, $counters:expr; $($counter:ident),*) => {{
        $($stats.$counter += 1; $counters.$counter += 1;)*
    }};
}

/// Counters, and events that the owner has not taken yet.
#[derive(Default)]
pub struct Reports {
    /// Without what peers that take part count themselves.
    pub stats: HubStats,
    /// How many peers take part that are no gateways and not behind one.
    pub programs: u64,
    events: VecDeque<RouterEvent>,
}

impl Reports {
    /// The next thing that the owner should hear of.
    pub fn next(&mut self) -> Option<RouterEvent> {
        self.events.pop_front()
    }

    /// Whether the owner has not taken all of them yet.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Something that the operator should know.
    pub fn warning(&mut self, peer: &Profile, text: &str) {
        self.warning_of(format!("{}: {text}", peer.name()));
    }

    /// As [`Reports::warning`], of no peer.
    pub fn warning_of(&mut self, text: String) {
        self.events.push_back(RouterEvent::Warning(text));
    }

    /// Counts a body that is not taken. The first of a peer is logged.
    pub fn not_taken(&mut self, peer: &Profile, tally: &mut Tally, why: &NotTaken<'_>) {
        debug!("{}: {why}", peer.name());
        let (stats, Tally { counters, warned, .. }) = (&mut self.stats, tally);
        match why {
            NotTaken::Malformed(reason) => {
                stats.malformed_by[reason.index()] += 1;
                count!(stats, counters; malformed);
            }
            NotTaken::TooLarge { .. } => count!(stats, counters; too_large),
            NotTaken::ForeignSender(_) | NotTaken::ForeignInstance(_) => count!(stats, counters; foreign_sender),
            NotTaken::Reserved(_) => count!(stats, counters; reserved),
            NotTaken::Full(_) | NotTaken::WillFull(_) => count!(stats, counters; refused, refused_full),
            NotTaken::ReadOnly { .. } => count!(stats, counters; refused, refused_rights),
            NotTaken::NoMemory { .. } | NotTaken::NoMemoryForFrame(_) => {
                count!(stats, counters; refused, refused_memory);
                let text = format!("{}: {why}", peer.name());
                return self.events.push_back(RouterEvent::NoMemory(text));
            }
            NotTaken::Ahead(_) => count!(stats, counters; ahead),
            // Nobody's fault.
            NotTaken::Stale(_) => {
                count!(stats, counters; stale);
                return;
            }
        }
        let Warned { malformed, refused, other, .. } = warned;
        let warned = match why {
            NotTaken::Malformed(_) => malformed,
            NotTaken::Full(_) | NotTaken::WillFull(_) | NotTaken::ReadOnly { .. } => refused,
            _ => other,
        };
        if !mem::replace(warned, true) {
            self.warning(peer, &why.to_string());
        }
    }

    /// Counts a will of a lost app that cannot be published.
    pub fn lost_will(&mut self, why: &NotTaken<'_>) {
        self.stats.refused += 1;
        match why {
            NotTaken::NoMemory { .. } => self.stats.refused_memory += 1,
            _ => self.stats.refused_full += 1,
        }
    }

    /// Counts an entry that a peer is not sent. The first to an old peer is logged.
    pub fn withheld(&mut self, peer: &Profile, tally: &mut Tally, entry: &Entry, config: &RouterConfig) {
        let (stats, counters) = (&mut self.stats, &mut tally.counters);
        count!(stats, counters; withheld);
        let takes = peer.takes_as_old(config, entry);
        match takes {
            _ if !peer.understands(entry) => count!(stats, counters; withheld_cleared),
            _ if !peer.is_old() => count!(stats, counters; withheld_unaccepted),
            Takes::TooLarge(_) => count!(stats, counters; withheld_large),
            _ => count!(stats, counters; withheld_structured),
        }
        if peer.is_old() && !entry.is_cleared() && !mem::replace(&mut tally.warned.withheld, true) {
            let (len, name, kind) = (peer.len_as_old(entry), Quoted(entry.name()), entry.kind().name());
            let text = if matches!(takes, Takes::TooLarge(_)) {
                let option = HubOption::LegacyMax.about().name;
                format!("{name} of {len} bytes withheld from an old peer; {option} allows it")
            } else {
                let of_gateway = peer.gateway().map(|_| "?structured=1");
                let option = of_gateway.unwrap_or(HubOption::LegacyStructured.about().name);
                format!("{name} ({kind}) withheld from an old peer; {option} allows it")
            };
            self.warning(peer, &text);
        }
    }

    /// Much memory was freed.
    pub fn freed(&mut self) {
        self.events.push_back(RouterEvent::Freed);
    }

    /// A peer takes part.
    pub fn joined(&mut self, peer: &Profile) {
        self.stats.joined += 1;
        self.programs += u64::from(peer.gateway().is_none());
        self.event(peer, PeerEvent::Joined, Status::Ok, String::new());
    }

    /// A peer that took part is gone; its counters are kept.
    pub fn left(&mut self, peer: &Peer, why: Status, text: String) {
        let (profile, feed) = (&peer.profile, &peer.link.feed);
        self.programs -= u64::from(profile.gateway().is_none());
        self.event(profile, PeerEvent::Left, why, text);
        self.stats.messages_out += feed.sent;
        self.stats.bytes_out += feed.sent_bytes;
        self.stats.conflated += feed.conflated();
    }

    /// A peer that never took part is gone.
    pub fn refused(&mut self, peer: &Profile, why: Status, text: String) {
        self.event(peer, PeerEvent::Refused, why, text);
        self.stats.refused_peers += 1;
    }

    fn event(&mut self, peer: &Profile, event: PeerEvent, why: Status, text: String) {
        let (identity, from, is_observer) = (peer.identity.to_string(), peer.from.clone(), peer.is_observer);
        self.events.push_back(RouterEvent::Peer { identity, from, is_observer, event, why, text });
    }
}
