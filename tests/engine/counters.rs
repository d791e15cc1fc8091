//! What a hub counts of each peer, and what it tells apps of its counters.

use std::collections::{BTreeMap, BTreeSet};

use nanostate::engine::hub::{HubStats, PeerStats, RouterConfig, Tokens};
use nanostate::engine::ConnId;
use nanostate::framing::{header, Version};
use nanostate::limits;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Hidden, Instance, Kind, Meta, Stamp};

use crate::sim::{body, stamp, value, Direct, World, MS, SEC};
use crate::words::join;

const HUB: &str = "tcp://hub";

/// A hub with an app that publishes, and one that takes nothing.
struct Scene {
    hub: Direct,
    sender: ConnId,
}

impl Scene {
    fn new() -> Scene {
        let config = RouterConfig { outbox: 2000, legacy_max: 1000, max_message: 4000, ..RouterConfig::default() };
        let mut hub = Direct::new(config);
        hub.router.capacity_mut().states = 100;
        let sender = join(&mut hub, "sender", HelloFlags(0), Features::ALL);
        join(&mut hub, "bystander", HelloFlags::LISTED, Features::ALL);
        Scene { hub, sender }
    }

    /// The sender publishes something of this kind.
    fn publishes(&mut self, kind: Kind, len: usize) {
        self.hub.pass(MS);
        let stamp = self.stamp();
        self.hub.publish_at(self.sender, "sender", "x", &value(kind, 1, len), stamp);
    }

    /// The sender says that a value is cleared.
    fn clears(&mut self) {
        let meta = Meta { stamp: Some(self.stamp()), flags: Meta::CLEAR, ..Meta::default() };
        self.hub.send(self.sender, &body(Form::V1, "sender", "gone", &[0xC0], &meta));
    }

    /// Of the sender, now.
    fn stamp(&self) -> Stamp {
        Stamp { instance: Instance([2; 16]), ..stamp(self.hub.now.wall.as_millis()) }
    }

    /// Each of the counters, by peer.
    fn counters(&self) -> BTreeMap<u64, BTreeMap<&'static str, u64>> {
        self.hub.router.peer_stats().map(|peer| (peer.connection, peer.numbers().collect())).collect()
    }

    fn totals(&self) -> BTreeMap<&'static str, u64> {
        self.hub.router.stats().numbers().collect()
    }
}

/// One more peer, an app.
fn app(scene: &mut Scene) -> ConnId {
    scene.hub.open_v1("it", 7)
}

/// One more peer, an old one.
fn old(scene: &mut Scene) -> ConnId {
    let conn = scene.hub.open_old();
    scene.hub.bodies(conn);
    conn
}

fn publishes(scene: &mut Scene, it: ConnId) {
    scene.hub.publish(it, "it", "y", &[1]);
}

/// One more peer, and what it does, or what happens to it, so that these counters of it count.
type Counts = (&'static [&'static str], fn(&mut Scene) -> ConnId, fn(&mut Scene, ConnId));

const COUNTS: &[Counts] = &[
    (&["messages_in", "bytes_in"], app, publishes),
    (&["messages_out", "bytes_out", "outbox_bytes"], app, |scene, _| scene.publishes(Kind::Int, 1)),
    (&["conflated"], app, |scene, it| {
        (0..100).for_each(|_| scene.publishes(Kind::Text, 100));
        scene.hub.bodies(it);
    }),
    (
        &["withheld", "withheld_unaccepted"],
        |scene| {
            let it = app(scene);
            scene.hub.control(it, "it", Control::Accept { mask: Kind::Text.mask() });
            it
        },
        |scene, _| scene.publishes(Kind::Int, 1),
    ),
    (&["withheld", "withheld_structured"], old, |scene, _| scene.publishes(Kind::Int, 1)),
    (&["withheld", "withheld_large"], old, |scene, _| scene.publishes(Kind::Text, 2000)),
    (&["withheld", "withheld_cleared"], old, |scene, _| scene.clears()),
    (&["refused", "refused_full"], app, |scene, it| {
        scene.hub.router.capacity_mut().states = 0;
        publishes(scene, it);
    }),
    (
        &["refused", "refused_rights"],
        |scene| join(&mut scene.hub, "it", HelloFlags::OBSERVER, Features::NONE),
        publishes,
    ),
    (&["stale"], app, |scene, it| {
        publishes(scene, it);
        scene.hub.publish_at(it, "it", "y", &[2], Stamp { instance: Instance([7; 16]), ..stamp(1) });
    }),
    (&["ahead"], app, |scene, it| {
        let year_2300 = stamp(10_413_792_000_000);
        scene.hub.publish_at(it, "it", "y", &[2], Stamp { instance: Instance([7; 16]), ..year_2300 });
    }),
    (&["too_large"], app, |scene, it| scene.hub.publish(it, "it", "y", &value(Kind::Text, 1, 8000))),
    (&["foreign_sender"], app, |scene, it| scene.hub.publish(it, "sender", "y", &[1])),
    (&["reserved"], old, |scene, it| {
        scene.hub.send(it, &body(Form::Old, "it", "$ns/ping", &[1], &Meta::default()));
    }),
    (&["malformed"], app, |scene, it| scene.hub.send(it, &[0xC1])),
];

#[test]
fn what_happens_to_a_peer_is_counted_for_it_by_its_reason_and_not_for_others() {
    let mut counted = BTreeSet::new();
    for (names, make, act) in COUNTS {
        let mut scene = Scene::new();
        let it = make(&mut scene).0;
        let (before, totals) = (scene.counters(), scene.totals());
        act(&mut scene, ConnId(it));
        let after = scene.counters();
        for name in *names {
            let grew = |peer: u64| after[&peer][name] - before[&peer][name];
            assert!(grew(it) > 0, "{name} of the peer");
            assert!(after.keys().filter(|&&other| other != it).all(|&other| grew(other) == 0), "{name} of the others");
            // Of the hub's, what is allocated counts.
            if *name != "outbox_bytes" {
                assert_eq!(scene.totals()[name] - totals[name], grew(it), "{name} of the hub");
            }
            counted.insert(*name);
        }
        for part in after[&it].keys().filter(|name| name.contains('_') && !names.contains(name)) {
            let is_reason = part.starts_with("withheld_") || part.starts_with("refused_");
            assert!(!is_reason || after[&it][part] == 0, "{part}, but {names:?}");
        }
    }
    // A number, a time, and what tests/memory has happen.
    counted.extend(["connection", "connected_ms", "refused_memory"]);
    let all: BTreeSet<_> = PeerStats::default().numbers().map(|(name, _)| name).collect();
    assert_eq!(counted, all);
}

#[test]
fn the_hub_counts_what_peers_did_that_are_gone() {
    let mut scene = Scene::new();
    for (_, make, act) in COUNTS {
        let it = make(&mut scene);
        act(&mut scene, it);
        scene.hub.router.capacity_mut().states = 100;
        let before = scene.totals();
        scene.hub.lose(it);
        for (name, number) in scene.totals() {
            let is_of_now =
                ["peers", "old_peers", "states", "departed_senders"].contains(&name) || name.ends_with("_bytes");
            assert!(is_of_now || number == before[name], "{name}: {number}");
        }
    }
}

/// Asks what the hub counts. Returns the answer, and how long it was.
fn ask(hub: &mut Direct, conn: ConnId, identity: &str, from: u64, most: Option<u64>) -> Part {
    hub.control(conn, identity, Control::Stats { token: 5, from, most });
    hub.settle();
    let mut answers: Vec<_> = hub.bodies(conn).iter().filter_map(|bytes| part(bytes)).collect();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// One answer.
struct Part {
    token: u64,
    next: Option<u64>,
    totals: Option<HubStats>,
    peers: Vec<PeerStats>,
    len: usize,
}

fn part(bytes: &[u8]) -> Option<Part> {
    let body = wire::decode(bytes, Form::V1).expect("a body");
    let Ok(Control::Counted { token, next, part }) = Control::decode(&body) else { return None };
    let totals = part.totals().expect("totals");
    let peers = part.peers().collect::<Result<_, _>>().expect("peers");
    Some(Part { token, next, totals, peers, len: body.data.len() })
}

#[test]
fn an_app_that_asks_is_told_what_the_hub_counts() {
    let mut scene = Scene::new();
    scene.publishes(Kind::Int, 1);
    let it = old(&mut scene);
    scene.hub.pass(3 * SEC);
    let (hub, asker) = (&mut scene.hub, scene.sender);
    let said = ask(hub, asker, "sender", 0, None);
    assert_eq!((said.token, said.next), (5, None));
    let now = hub.now;
    let (mut expected, mut totals) = (hub.router.stats_at(now), said.totals.expect("totals"));
    // The answer itself waited to be sent.
    for stats in [&mut expected, &mut totals] {
        (stats.outbox_bytes, stats.memory_bytes) = (0, 0);
    }
    assert_eq!(totals, expected);
    let peers: BTreeMap<_, _> = said.peers.iter().map(|peer| (peer.connection, peer)).collect();
    assert_eq!(peers.len(), 3);
    let expected = hub.router.peer_stats_at(now).find(|peer| peer.connection == it.0).expect("it");
    assert_eq!(*peers[&it.0], expected);
    assert_eq!((expected.connected_ms, expected.old, &*expected.from), (3000, true, &*format!("peer {}", it.0)));
    let stats = hub.router.stats();
    assert_eq!((stats.messages_in, stats.malformed, stats.states), (1, 0, 1), "a question is no state");
}

#[test]
fn many_peers_are_told_in_parts_and_each_that_stays_once() {
    let mut hub = Direct::new(RouterConfig::default());
    let asker = join(&mut hub, "asker", HelloFlags(0), Features::ALL);
    let conns: Vec<_> =
        (0..1000).map(|n| hub.hello(&format!("app{n}/{}", "i".repeat(200)), 7, 1, HelloFlags(0))).collect();
    hub.bodies(asker);
    let (mut next, mut told, mut parts) = (Some(0), BTreeMap::new(), 0);
    while let Some(from) = next {
        let part = ask(&mut hub, asker, "asker", from, None);
        assert!(part.len < limits::STATS + 64, "{} bytes", part.len);
        assert_eq!(part.totals.is_some(), from == 0);
        for peer in part.peers {
            assert_eq!(told.insert(peer.connection, peer), None);
        }
        // Meanwhile some leave, and others come.
        hub.lose(conns[500 + parts]);
        hub.hello(&format!("new{parts}"), 8, 1, HelloFlags(0));
        (next, parts) = (part.next, parts + 1);
    }
    assert!(parts > 5, "{parts}");
    assert!(conns[..500].iter().all(|conn| told.contains_key(&conn.0)));
    // As small as the app wants it, but with a peer.
    let one = ask(&mut hub, asker, "asker", 0, Some(1));
    assert_eq!((one.peers.len(), one.next.is_some()), (1, true));
    let none = ask(&mut hub, asker, "asker", u64::MAX, None);
    assert!(none.peers.is_empty() && none.next.is_none());
}

#[test]
fn who_does_not_read_the_answers_is_told_the_last_one_only() {
    let mut hub = Direct::new(RouterConfig { outbox: 1000, ..RouterConfig::default() });
    let asker = join(&mut hub, "asker", HelloFlags(0), Features::ALL);
    hub.bodies(asker);
    for n in 0..100 {
        hub.hello(&format!("app{n}"), 7, 1, HelloFlags(0));
    }
    for token in 0..1000 {
        hub.control(asker, "asker", Control::Stats { token, from: 0, most: None });
        hub.settle();
    }
    let waiting = hub.router.peer_stats().find(|peer| peer.identity == "asker").expect("it").outbox_bytes;
    assert!(waiting < 100_000, "{waiting} bytes wait");
    let mut tokens = Vec::new();
    loop {
        let bodies = hub.bodies(asker);
        if bodies.is_empty() {
            break;
        }
        tokens.extend(bodies.iter().filter_map(|bytes| part(bytes)).map(|part| part.token));
        hub.settle();
    }
    assert!(tokens.len() < 5 && tokens.last() == Some(&999), "{tokens:?}");
}

#[test]
fn addresses_are_told_to_those_only_that_may_publish() {
    const PANEL: &str = "the-token-of-the-panel";
    const ROBOT: &str = "the-token-of-the-robot";
    let mut hub = Direct::new(RouterConfig::default());
    let tokens = Tokens::parse(&format!("panel read {PANEL}\nrobot read-write {ROBOT}\n")).expect("tokens");
    let now = hub.now;
    hub.router.set_tokens(now, Some(tokens));
    hub.router.access_mut().read_without_token = true;
    let mut addresses = |identity: &str, token: Option<&str>, flags: HelloFlags| {
        let conn = hub.open();
        hub.bytes(conn, &header(Version::V1));
        let (instance, accept, token) = (Instance([1; 16]), wire::ACCEPT_ANY, token.map(Hidden));
        let features = Features::ALL;
        let hello = Control::Hello { instance, epoch: 1, accept, flags, time: None, secret: None, token, features };
        hub.control(conn, identity, hello);
        hub.bodies(conn);
        let peers = ask(&mut hub, conn, identity, 0, None).peers;
        assert!(peers.iter().any(|peer| peer.identity == identity));
        peers.iter().filter(|peer| peer.from.starts_with("peer ")).count()
    };
    assert_eq!(addresses("robot", Some(ROBOT), HelloFlags(0)), 1);
    assert_eq!(addresses("panel", Some(PANEL), HelloFlags(0)), 0);
    assert_eq!(addresses("nobody", None, HelloFlags(0)), 0);
    assert_eq!(addresses("robot's top", Some(ROBOT), HelloFlags::OBSERVER), 4);
    assert_eq!(addresses("panel's top", Some(PANEL), HelloFlags::OBSERVER), 0);
}

#[test]
fn who_has_not_announced_it_may_not_ask() {
    let mut hub = Direct::new(RouterConfig::default());
    let conn = join(&mut hub, "late", HelloFlags(0), Features::SYNCED);
    hub.control(conn, "late", Control::Stats { token: 1, from: 0, most: None });
    assert!(hub.is_closed(conn));
}

#[test]
fn an_app_puts_the_parts_together_and_asks_a_hub_that_takes_the_place_of_another() {
    let mut world = World::new(7);
    let hub = world.add_hub(HUB, RouterConfig::default());
    let apps: Vec<_> = (0..300).map(|n| world.add_app(&format!("app{n}/{}", "i".repeat(200)), HUB)).collect();
    world.settle();
    let told = |world: &mut World, token: u64| {
        let answer = world.app(apps[0]).session.counted(token)?;
        let (totals, peers) = answer.expect("the hub tells");
        let identities: BTreeSet<_> = peers.into_iter().map(|peer| peer.identity).collect();
        Some((totals.peers, identities.len()))
    };
    let first = world.with(apps[0], |app, _| app.session.ask_stats());
    world.settle();
    assert_eq!(told(&mut world, first), Some((300, 300)));
    let second = world.with(apps[0], |app, _| app.session.ask_stats());
    world.kill(hub);
    assert_eq!(told(&mut world, second), None);
    world.replace_hub(hub, HUB, RouterConfig::default());
    world.settle();
    assert!(told(&mut world, second).is_some_and(|(peers, _)| peers > 0));
}
