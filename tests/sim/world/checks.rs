//! What a world checks: acknowledgements, the promise of the newest values, counters.

use std::collections::BTreeSet;

use nanostate::engine::app::LinkState;
use nanostate::wire::ACCEPT_ANY;
use nanostate::Kind;

use super::{Ack, Id, Process, World};
use crate::sim::{number_of, CLEARED};

impl World {
    pub(super) fn check_ack(&mut self, id: Id) {
        let app = self.app(id);
        let Some(Ack { sent, number, .. }) = app.ack.take() else { return };
        app.acked += 1;
        let identity = app.identity.clone();
        let hub = self.wires.iter().rev().find_map(|wire| {
            let side = wire.ends.iter().position(|end| end.node == id && end.open)?;
            Some(&wire.ends[1 - side])
        });
        // A hub that lost the link since it answered may hold what an old peer has sent in this name.
        let linked = hub.filter(|hub| hub.open).map(|hub| hub.node);
        // A hub that was killed since it answered holds nothing.
        let Some(Some(Process::Hub(router))) = linked.map(|hub| &self.nodes[hub].process) else { return };
        let held: Vec<_> = sent
            .iter()
            .map(|(name, _)| router.table().find(&identity, name))
            .map(|held| held.map(|held| if held.is_cleared() { CLEARED.to_vec() } else { held.data().to_vec() }))
            .collect();
        let app = self.app(id);
        for ((name, value), held) in sent.iter().zip(held) {
            let Some(held) = held else { panic!("{name} of {identity} is acked and not held") };
            if value == CLEARED {
                let later = app.session.config.shared || number_of(&held).is_none_or(|held| held > number);
                assert!(held == CLEARED || later, "{name} of {identity} is acked as cleared, and the hub has a value");
            }
            let (Some(asked), Some(number)) = (number_of(value), number_of(&held)) else { continue };
            // A value of another program with this identity may have come to the hub since, and be on its way here.
            let told = app.session.config.shared;
            let text = |value| nanostate::wire::from_msgpack(value).chars().take(40).collect::<String>();
            assert!(
                number >= asked || told,
                "{name} of {identity} is acked with {}, and the hub holds {}",
                text(value),
                text(&held)
            );
        }
    }

    /// Every app is given the last value of each key of every other that lives, also one whose program let them wait, and
    /// the newest of any sender is the same for all.
    pub fn check_promise(&mut self) {
        let apps = self.alive_apps();
        for &id in &apps {
            let app = self.app(id);
            app.take();
            let stats = app.session.stats();
            assert_eq!((stats.dropped_in, stats.queued, stats.queued_bytes), (0, 0, 0), "{}", app.identity);
            assert_eq!(stats.received, app.taken + stats.conflated_in, "{}", app.identity);
            let is_linked = app.session.link() == LinkState::Connected;
            assert_eq!(app.session.is_synced(), is_linked, "{} knows when it has everything", app.identity);
        }
        let sent: Vec<_> = apps
            .iter()
            .filter(|&&id| matches!(self.nodes[id].process, Some(Process::App(_))))
            .map(|&id| {
                let app = match &self.nodes[id].process {
                    Some(Process::App(app)) => app,
                    _ => unreachable!("filtered"),
                };
                (id, app.identity.clone(), app.sent.clone(), app.session.link())
            })
            .collect();
        for &receiver in &apps {
            if self.app(receiver).session.link() != LinkState::Connected {
                continue;
            }
            for (sender, identity, values, link) in &sent {
                if *sender == receiver || *link != LinkState::Connected {
                    continue;
                }
                for (name, (kind, value)) in values {
                    let app = self.app(receiver);
                    let key = (identity.clone(), name.clone());
                    let got = app.newest.get(&key).map(|(_, value)| value);
                    let is_given = app.is_given(name);
                    assert!(is_given || got.is_none(), "{key:?} is not subscribed to");
                    let is_right = match kind {
                        // Whoever came later is not told.
                        Kind::Cleared => got.is_none_or(|got| got == CLEARED) || app.accept != ACCEPT_ANY,
                        kind => kind.mask() & app.accept == 0 || got == Some(value),
                    };
                    let is_gone = *kind != Kind::Cleared || app.session.get(Some(identity), name).is_none();
                    if is_given && (!is_right || !is_gone && app.accept == ACCEPT_ANY) {
                        self.tell_what_is_missing(receiver, *sender, &key);
                    }
                }
            }
        }
        self.check_newest_of_any(&apps);
    }

    fn tell_what_is_missing(&mut self, receiver: Id, sender: Id, key: &(String, String)) -> ! {
        let short = |value: &[u8]| nanostate::wire::from_msgpack(value).chars().take(40).collect::<String>();
        let app = self.app(receiver);
        let got = app.newest.get(key).map(|(stamp, value)| (short(value), *stamp));
        let who = app.identity.clone();
        let app = self.app(sender);
        let own = app.session.get(Some(&key.0), &key.1).map(|state| state.stamp());
        let sent = (short(&app.sent[&key.1].1), own);
        let held = self.nodes.iter().filter_map(|node| match &node.process {
            Some(Process::Hub(router)) => router.table().find(&key.0, &key.1).map(|entry| entry.stamp()),
            _ => None,
        });
        panic!("{key:?}: {who} got {got:?}, sent was {sent:?}, the hub holds {:?}", held.collect::<Vec<_>>());
    }

    /// The counters of a hub agree with each other.
    pub fn check_counters(&mut self, id: Id) {
        let router = self.hub(id);
        let stats = router.stats();
        assert_eq!(stats.malformed, stats.malformed_by.iter().sum::<u64>());
        assert_eq!(stats.states, router.table().iter().filter(|entry| !entry.is_cleared()).count() as u64);
        let mut peers = 0;
        for peer in router.peer_stats() {
            assert!(peer.outbox_bytes == 0 || !peer.live, "{}: {} bytes wait", peer.from, peer.outbox_bytes);
            peers += 1;
        }
        assert_eq!(stats.peers, peers);
    }

    fn check_newest_of_any(&mut self, apps: &[Id]) {
        let mut names = BTreeSet::new();
        for &id in apps {
            names.extend(self.app(id).sent.keys().cloned());
        }
        let full: Vec<_> = apps
            .iter()
            .copied()
            .filter(|&id| {
                let app = self.app(id);
                app.accept == ACCEPT_ANY && app.patterns.is_none() && app.session.link() == LinkState::Connected
            })
            .collect();
        for name in names.difference(&self.orphans.clone()) {
            let newest: Vec<_> = full
                .iter()
                .map(|&id| self.app(id).session.get(None, name).map(|state| (state.stamp(), state.msgpack().to_vec())))
                .collect();
            assert!(newest.windows(2).all(|pair| pair[0] == pair[1]), "the newest {name} is not the same for all");
        }
    }
}
