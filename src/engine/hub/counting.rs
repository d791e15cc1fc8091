//! What a hub counts, all together, and what it tells apps of that.

use super::super::Now;
use super::access::ReadOnly;
use super::audience::Profile;
use super::peer::Peer;
use super::turns;
use super::Router;
use crate::limits;
use crate::wire::{Control, HubStats, PeerStats, StatsDraft};

/// What an app has asked for, and was not told yet.
#[derive(Clone, Copy)]
pub struct Ask {
    /// The answer repeats it.
    pub token: u64,
    /// From which place among the peers on.
    pub from: u64,
    /// How many bytes the answer may have.
    pub most: Option<u64>,
}

/// Whether a peer may know where the others are: who may only read is told what is published, and by whom.
fn may_know_addresses(profile: &Profile) -> bool {
    matches!(profile.read_only, None | Some(ReadOnly::Observer))
}

impl Router {
    /// Counters of the whole hub, without the time that it has been there.
    pub fn stats(&self) -> HubStats {
        let mut stats = self.core.reports.stats.clone();
        let (config, capacity) = (&self.core.config, self.capacity());
        stats.max_peers = config.max_peers as u64;
        stats.max_states = capacity.states as u64;
        stats.max_table_bytes = capacity.bytes as u64;
        stats.max_memory_bytes = self.core.most_memory() as u64;
        stats.states = self.table().values() as u64;
        stats.departed_senders = self.table().departed_senders() as u64;
        stats.table_bytes = self.table().bytes() as u64;
        stats.unfinished_bytes = self.core.unfinished.bytes() as u64;
        stats.outbox_bytes = self.core.queued() as u64;
        stats.memory_bytes = self.core.held() as u64;
        for peer in self.peers.iter().filter(|peer| peer.is_up()) {
            stats.peers += 1;
            stats.old_peers += u64::from(peer.profile.is_old());
            stats.messages_out += peer.link.feed.sent;
            stats.bytes_out += peer.link.feed.sent_bytes;
            stats.conflated += peer.link.feed.conflated();
        }
        stats
    }

    /// Counters of the whole hub.
    pub fn stats_at(&self, now: Now) -> HubStats {
        HubStats { uptime_ms: now.mono.since(self.core.about.since).as_millis() as u64, ..self.stats() }
    }

    /// Counters of each peer that takes part, without the time that it has been connected.
    pub fn peer_stats(&self) -> impl Iterator<Item = PeerStats> + '_ {
        self.peers.iter().filter(|peer| peer.is_up()).map(Peer::stats)
    }

    /// Counters of each peer that takes part.
    pub fn peer_stats_at(&self, now: Now) -> impl Iterator<Item = PeerStats> + '_ {
        self.peers.iter().filter(|peer| peer.is_up()).map(move |peer| peer.stats_at(now))
    }

    /// Tells a peer what it has asked for, if there is room: with the place of the first peer that did not fit, from which
    /// it may ask on. A peer stays at its place, so whoever is there all the time is told once.
    pub(super) fn tell_stats(&mut self, now: Now, i: usize) {
        let peer = &mut self.peers[i];
        if !peer.is_up() || !peer.link.has_room() {
            return;
        }
        let Some(Ask { token, from, most }) = peer.owed.stats.take() else { return };
        let tells_addresses = may_know_addresses(&peer.profile);
        let most = most.map_or(limits::STATS, |most| usize::try_from(most).unwrap_or(usize::MAX).min(limits::STATS));
        let is_first = from == 0;
        let mut draft = StatsDraft::new(is_first.then(|| self.stats_at(now)).as_ref());
        let mut looked = if is_first { self.peers.len() } else { 0 };
        let mut next = None;
        for (place, peer) in self.peers.iter_from(usize::try_from(from).unwrap_or(usize::MAX)) {
            looked += 1;
            if !peer.is_up() {
                continue;
            }
            let mut stats = peer.stats_at(now);
            if !tells_addresses {
                stats.from.clear();
            }
            if !draft.add(&stats, most) {
                next = Some(place as u64);
                break;
            }
        }
        let Router { peers, core, .. } = self;
        core.send(&mut peers[i], &Control::Counted { token, next, part: draft.part() });
        core.turns.spend(looked + turns::steps_of(draft.bytes()));
    }
}
