//! The engine from outside: hubs, apps, old peers and attackers, by hand and in a simulated network.

mod sim;

use std::collections::{BTreeMap, BTreeSet};

use nanostate::engine::gateway::{self, MAX_TRACE};
use nanostate::engine::router::{PeerEvent, Router, RouterConfig};
use nanostate::engine::session::{Link, Notice};
use nanostate::engine::{ConnId, Protocol, Role};
use nanostate::framing::{self, frame_head, gateway_header, header, Decoder, Frame, Framing, Sp, Version, HEADER_LEN};
use nanostate::limits;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Malformed, Meta, Stamp};
use nanostate::{Kind, Status, Value};
use sim::chaos::{self, Chaos};
use sim::{body, each_seed, note, value, whole_frames, Direct, DirectApp, OldHub, OldPeer, World, MS, SEC};

const HUB: &str = "tcp://hub";

// ---- the promise, in a simulated network

const QUIET: Chaos =
    Chaos { operations: 60, breaks: false, hub_kills: false, deaths: false, skew: true, old_peers: 0, attackers: 0 };

#[test]
fn the_promise_holds_when_nothing_breaks() {
    each_seed(100, 1000, |seed| chaos::run(seed, &QUIET));
}

#[test]
fn the_promise_holds_through_breaks_and_hub_kills() {
    let chaos = Chaos { operations: 120, breaks: true, hub_kills: true, ..QUIET };
    each_seed(200, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_apps_die_and_come_back() {
    let chaos = Chaos { operations: 120, breaks: true, deaths: true, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_among_old_peers_and_attackers() {
    let chaos = Chaos { operations: 120, old_peers: 2, attackers: 2, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_through_hub_kills_among_old_peers_and_attackers() {
    let chaos = Chaos { operations: 200, breaks: true, hub_kills: true, old_peers: 2, attackers: 2, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_apps_die_among_old_peers_and_attackers() {
    let chaos = Chaos { operations: 200, breaks: true, deaths: true, old_peers: 2, attackers: 2, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_hubs_and_apps_die() {
    // Without skew: a hub that dies together with an app takes along what it knew of that app's clock.
    let chaos = Chaos { operations: 200, breaks: true, hub_kills: true, deaths: true, skew: false, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn a_receiver_that_keeps_up_gets_every_state_of_a_sender_in_order() {
    each_seed(20, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        let b = world.add_app_with("b", HUB, |app| app.log = Some(Vec::new()));
        world.settle();
        let mut expected = Vec::new();
        for i in 0..300 {
            let (name, kind) = (format!("n{}", i % 7), world.rng.pick(Kind::ALL));
            let size = world.rng.length(9000);
            world.publish(a, &name, kind, size).unwrap();
            expected.push(("a".to_owned(), name.clone(), world.app(a).sent[&name].1.clone()));
            if i % 20 == 0 {
                world.settle();
            }
        }
        world.settle();
        assert!(world.app(b).log.as_ref() == Some(&expected), "all of them, in order");
        assert_eq!(world.app(a).session.stats().conflated_out, 0);
    });
}

#[test]
fn two_writers_of_one_name_end_the_same_when_the_slower_one_comes_back_last() {
    each_seed(100, 1000, |seed| {
        let mut world = World::new(seed);
        let hub = world.add_hub(HUB, RouterConfig::default());
        let (a, b) = (world.add_app("a", HUB), world.add_app("b", HUB));
        world.settle();
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.settle();
        world.publish(b, "x", Kind::Int, 0).unwrap();
        world.settle();
        let last = world.app(b).sent["x"].1.clone();
        world.kill(hub);
        world.run_for(world.mono % SEC);
        let away = world.mono + 30 * SEC;
        world.stall(a, away);
        world.replace_hub(hub, HUB, RouterConfig::default());
        world.run_for(20 * SEC);
        world.settle();
        let newcomer = world.add_app("c", HUB);
        world.settle();
        world.check_promise();
        for id in [a, b, newcomer] {
            assert_eq!(world.app(id).session.get(None, "x").unwrap().msgpack(), last);
        }
    });
}

#[test]
fn a_sender_that_restarts_with_its_clock_behind_is_heard() {
    each_seed(50, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        world.set_skew(a, 20_000);
        let b = world.add_app("b", HUB);
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.settle();
        world.kill(a);
        world.settle();
        // Also if it takes no values of that kind.
        let accept = world.rng.pick(&[wire::ACCEPT_ANY, Kind::Text.mask(), 0]);
        let a = world.add_app_with("a", HUB, |app| app.accept = accept);
        // At once, before it knows anything of the others' clocks.
        world.publish(a, "x", Kind::Int, 0).unwrap();
        let last = world.app(a).sent["x"].1.clone();
        world.settle();
        let c = world.add_app("c", HUB);
        world.settle();
        for id in [b, c] {
            assert_eq!(world.app(id).newest[&("a".to_owned(), "x".to_owned())].1, last);
        }
        assert_eq!(world.app(a).session.get(None, "x").unwrap().msgpack(), last);
    });
}

// ---- walks

/// What a v1 receiver is given: the names, in order.
struct Reader {
    decoder: Decoder,
    header: usize,
    names: Vec<String>,
}

impl Reader {
    fn new() -> Reader {
        Reader { decoder: Decoder::new(Framing::Tcp, 1 << 20), header: HEADER_LEN, names: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        let skip = self.header.min(bytes.len());
        self.header -= skip;
        let mut input = &bytes[skip..];
        while let Some(Frame::Body(body)) = self.decoder.next(&mut input).expect("frames") {
            let name = wire::decode(body, Form::V1).expect("a body").name;
            if !name.starts_with(wire::RESERVED) {
                self.names.push(name.to_owned());
            }
        }
    }
}

#[test]
fn every_key_reaches_a_slow_receiver_once_per_walk_however_often_others_change() {
    const KEYS: usize = 3000;
    let mut hub = Direct::new(RouterConfig { outbox: 10_000, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let slow = hub.hello("slow", 2, 1, HelloFlags(0));
    for key in 0..KEYS {
        hub.publish(sender, "a", &format!("k{key}"), &value(Kind::Text, 0, 80));
    }
    let mut reader = Reader::new();
    // Of every ten keys nine change all the time, the first ones most; one never does.
    for round in 0..6000 {
        hub.pass(MS);
        for change in 0..40 {
            let key = if change % 2 == 0 { (round * 21 + change) % KEYS } else { change };
            if key % 10 != 0 {
                hub.publish(sender, "a", &format!("k{key}"), &value(Kind::Text, round as u64, 80));
            }
        }
        let bytes = hub.read(slow, 1500);
        reader.take(&bytes);
    }
    let mut last = vec![None; KEYS];
    let mut counts = vec![0; KEYS];
    for (at, name) in reader.names.iter().enumerate() {
        let key: usize = name[1..].parse().unwrap();
        counts[key] += 1;
        if let Some(before) = last[key].replace(at) {
            assert!(at - before > 0 && (key % 10 == 0 || at - before <= 2 * KEYS), "{name} waited {}", at - before);
        }
    }
    assert!(reader.names.len() > 5 * KEYS, "several walks: {}", reader.names.len());
    for (key, &count) in counts.iter().enumerate() {
        assert!(if key % 10 == 0 { count == 1 } else { count > 1 }, "k{key} came {count} times");
    }
}

#[test]
fn a_receiver_that_fell_behind_gets_the_newest_of_each_key_once_and_is_live_again() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let receiver = hub.open_v1("b", 2);
    for i in 0..1000 {
        hub.pass(MS);
        hub.publish(sender, "a", &format!("k{}", i % 50), &value(Kind::Text, i, 100));
    }
    assert!(!hub.peer(receiver).live);
    assert!(hub.peer(receiver).outbox_bytes < 2000 + 200);
    let before = hub.peer(receiver).messages_out;
    let mut newest = BTreeMap::new();
    for bytes in hub.bodies(receiver) {
        let body = wire::decode(&bytes, Form::V1).unwrap();
        newest.insert(body.name.to_owned(), body.data.to_vec());
    }
    let stats = hub.peer(receiver);
    assert!(stats.live);
    assert_eq!(stats.messages_out - before, 50, "each key once");
    assert_eq!(stats.messages_out + stats.conflated, 1000);
    for i in 950..1000 {
        assert_eq!(newest[&format!("k{}", i % 50)], value(Kind::Text, i, 100));
    }
}

#[test]
fn what_a_receiver_does_not_take_is_counted_once_also_while_it_catches_up() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let old = hub.open_old();
    hub.bodies(old);
    let sender = hub.open_v1("a", 1);
    for i in 0..600 {
        hub.pass(MS);
        let kind = if i % 3 == 0 { Kind::Int } else { Kind::Text };
        hub.publish(sender, "a", &format!("k{}", i % 60), &value(kind, i, 100));
    }
    assert!(!hub.peer(old).live);
    hub.bodies(old);
    let stats = hub.peer(old);
    assert_eq!((stats.live, stats.withheld), (true, 200));
    assert_eq!(stats.messages_out + stats.conflated + stats.withheld, 600);
    assert_eq!(hub.router.stats().withheld, 200);
}

#[test]
fn a_walk_that_takes_for_ever_keeps_little_memory_of_where_it_was() {
    // Seen from outside: a receiver that takes a byte at a time gets the newest values in the end.
    let mut hub = Direct::new(RouterConfig { outbox: 300, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let receiver = hub.hello("b", 2, 1, HelloFlags(0));
    let mut reader = Reader::new();
    for i in 0..20_000 {
        hub.pass(MS);
        hub.publish(sender, "a", &format!("k{}", i % 10), &value(Kind::Text, i, 50));
        let bytes = hub.read(receiver, 1);
        reader.take(&bytes);
    }
    let rest = hub.read(receiver, usize::MAX);
    reader.take(&rest);
    assert!(hub.peer(receiver).live);
}

#[test]
fn an_outbox_of_no_bytes_still_moves() {
    let mut hub = Direct::new(RouterConfig { outbox: 0, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let receiver = hub.open_v1("b", 2);
    for i in 0..10 {
        hub.publish(sender, "a", &format!("k{i}"), &value(Kind::Int, i, 0));
    }
    assert_eq!(hub.said(receiver).len(), 10);
}

// ---- what a hub says to peers

#[test]
fn pings_of_a_peer_that_does_not_read_take_bounded_memory_and_the_last_is_answered() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let peer = hub.open_v1("a", 1);
    for token in 0..10_000 {
        hub.control(peer, "a", Control::Ping { token });
    }
    assert!(hub.peer(peer).outbox_bytes < 3000, "{} bytes wait", hub.peer(peer).outbox_bytes);
    let last = hub.bodies(peer).pop().expect("answers");
    let answer = Control::decode(&wire::decode(&last, Form::V1).unwrap()).unwrap();
    assert!(matches!(answer, Control::Pong { token: 9999, .. }), "{answer:?}");
}

#[test]
fn a_peer_that_does_not_read_its_refusals_is_not_read_and_is_told_of_each() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    hub.router.room_mut().states = 2;
    let peer = hub.open_v1("a", 1);
    let mut sent = 0;
    for _ in 0..5 {
        let before = sent;
        while hub.router.reads(peer) {
            hub.publish(peer, "a", &format!("k{sent}"), &value(Kind::Int, sent, 0));
            sent += 1;
            assert!(hub.peer(peer).outbox_bytes < 3000, "{} bytes wait", hub.peer(peer).outbox_bytes);
        }
        let told = hub.said(peer).iter().filter(|name| *name == "rejected").count() as u64;
        assert_eq!(told, sent - before.max(1), "all but the first found no room");
    }
    assert_eq!(hub.router.stats().refused, sent - 1);
}

#[test]
fn a_state_goes_not_back_to_the_connection_it_came_from_unless_echo_is_asked_for() {
    for (echo, flags, back) in
        [(false, HelloFlags(0), 0), (false, HelloFlags::ECHO, 1), (true, HelloFlags(0), 1), (true, HelloFlags::ECHO, 1)]
    {
        let mut hub = Direct::new(RouterConfig { echo, ..RouterConfig::default() });
        let a = hub.hello("a", 1, 1, flags);
        hub.bodies(a);
        hub.publish_at(a, "a", "x", &[1], Stamp { clock: hub.now.wall << 16, instance: Instance([1; 16]) });
        assert_eq!(hub.said(a).len(), back, "hub {echo}, app {flags:?}");
        let old = hub.open_old();
        hub.bodies(old);
        hub.send(old, &body(Form::Old, "old", "x", &value(Kind::Text, 1, 1), &Meta::default()));
        assert_eq!(hub.bodies(old).len(), usize::from(echo));
    }
}

#[test]
fn an_app_that_comes_back_is_not_sent_its_own_values() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish_at(a, "a", "own", &[1], Stamp { clock: 1 << 16, instance: Instance([1; 16]) });
    hub.publish(b, "b", "other", &[1]);
    hub.lose(a);
    let again = hub.hello("a", 1, 2, HelloFlags(0));
    assert_eq!(hub.said(again), ["welcome", "other"]);
    hub.lose(again);
    let another_run = hub.hello("a", 3, 1, HelloFlags(0));
    assert_eq!(hub.said(another_run), ["welcome", "own", "other"]);
}

#[test]
fn what_counts_is_the_connection_that_a_value_came_from_last() {
    let mut hub = Direct::new(RouterConfig::default());
    let (one, two) = (hub.open_old(), hub.open_old());
    hub.bodies(one);
    hub.bodies(two);
    let state = |number| body(Form::Old, "o", "x", &value(Kind::Text, number, 1), &Meta::default());
    hub.send(one, &state(1));
    assert_eq!((hub.bodies(one).len(), hub.bodies(two).len()), (0, 1));
    hub.send(two, &state(2));
    assert_eq!((hub.bodies(one).len(), hub.bodies(two).len()), (1, 0));
}

#[test]
fn an_old_peers_value_is_newer_than_all_that_the_hub_took_before_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, old) = (hub.open_v1("a", 1), hub.open_old());
    let ahead = Stamp { clock: (hub.now.wall + 30_000) << 16, instance: Instance([1; 16]) };
    hub.publish_at(a, "a", "x", &[1], ahead);
    hub.send(old, &body(Form::Old, "o", "x", &value(Kind::Text, 1, 1), &Meta::default()));
    assert!(hub.router.table().find("o", "x").unwrap().stamp() > ahead);
}

#[test]
fn an_old_peer_gets_three_elements_of_plain_kind_up_to_its_limit() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let old = hub.open_old();
    hub.bodies(old);
    let a = hub.open_v1("a", 1);
    for &kind in Kind::ALL {
        hub.publish(a, "a", kind.name(), &value(kind, 1, 10));
    }
    // Array head, sender and name take 4 bytes; str 16 heads take 3.
    hub.publish(a, "a", "L", &value(Kind::Text, 1, 1000 - 5 - 3));
    hub.publish(a, "a", "M", &value(Kind::Text, 1, 1001 - 5 - 3));
    let bodies = hub.bodies(old);
    let names: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::Old).unwrap().name).collect();
    assert_eq!(names, ["text", "bytes", "L"]);
    assert_eq!(bodies[2].len(), 1000);
    assert_eq!(hub.peer(old).withheld, 9);
    assert_eq!(hub.warnings().iter().filter(|text| text.contains("withheld")).count(), 1);

    let config = RouterConfig { legacy_structured: true, legacy_snapshot: true, ..RouterConfig::default() };
    let mut hub = Direct::new(config);
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
    let old = hub.open_old();
    assert_eq!(hub.bodies(old).len(), 1);
}

#[test]
fn malformed_and_reserved_messages_are_counted_by_reason_and_the_link_lives_on() {
    let mut hub = Direct::new(RouterConfig::default());
    let old = hub.open_old();
    let listener = hub.open_v1("v", 1);
    hub.send(old, &[]);
    hub.send(old, &[0xC1]);
    hub.send(old, &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]);
    hub.send(old, &[0x92, 0xA1, b'a', 0xA1, b'b']);
    hub.send(old, &body(Form::Old, "old", "$ns/ping", &[1], &Meta::default()));
    hub.send(old, &body(Form::Old, "v", "x", &[1], &Meta::default()));
    hub.send(old, &body(Form::Old, "old", "x", &[1], &Meta::default()));
    let stats = hub.router.stats();
    assert_eq!((stats.malformed, stats.reserved, stats.foreign_sender, stats.messages_in), (4, 1, 1, 1));
    assert_eq!(hub.said(listener), ["x"]);
    assert_eq!(hub.warnings().iter().filter(|text| text.contains("malformed")).count(), 1);
    assert_eq!(hub.peer(old).malformed, 4);
}

#[test]
fn a_v1_peer_speaks_for_its_own_identity_only() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    let b = hub.open_v1("b", 2);
    hub.publish(a, "b", "x", &[1]);
    hub.publish(a, "a", "x", &[1]);
    assert_eq!(hub.router.stats().foreign_sender, 1);
    assert_eq!((hub.said(b).len(), hub.router.table().len()), (1, 1));
}

#[test]
fn a_frame_over_the_limit_is_skipped_and_the_link_lives_on() {
    let mut hub = Direct::new(RouterConfig { max_message: 1000, ..RouterConfig::default() });
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish(a, "a", "at", &value(Kind::Text, 1, 1000 - 6 - 3));
    hub.publish(a, "a", "over", &value(Kind::Text, 1, 1001 - 8 - 3));
    hub.publish(a, "a", "far over", &value(Kind::Text, 1, 100_000));
    hub.publish(a, "a", "x", &[1]);
    assert_eq!(hub.said(b), ["at", "x"]);
    assert_eq!(hub.router.stats().too_large, 2);
    assert_eq!(hub.peer(a).too_large, 2);
}

#[test]
fn a_stamp_ahead_raises_the_hubs_time_and_one_beyond_2200_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    let (instance, year) = (Instance([1; 16]), 7_258_118_400_000_u64);
    let stamp = |ms: u64| Stamp { clock: ms << 16, instance };
    let ahead = hub.now.wall + 9_999_999;
    hub.publish_at(a, "a", "x", &[1], stamp(ahead));
    // The hub's own clock goes on from there.
    let old = hub.open_old();
    hub.send(old, &body(Form::Old, "o", "z", &value(Kind::Text, 1, 1), &Meta::default()));
    assert!(hub.router.table().find("o", "z").unwrap().stamp() > stamp(ahead));
    hub.publish_at(a, "a", "y", &[2], stamp(year));
    assert_eq!(hub.said(b), ["x", "z", "y"], "as they came");
    hub.publish_at(a, "a", "y", &[3], stamp(year + 60_001));
    hub.publish_at(a, "a", "y", &[4], stamp(u64::MAX >> 16));
    assert_eq!((hub.router.stats().ahead, hub.router.stats().stale), (2, 0));
    assert!(hub.said(b).is_empty());
    let told = hub.stale(a);
    let time = (year << 16)..((year + 1000) << 16);
    for (told, ms) in told.iter().zip([year + 60_001, u64::MAX >> 16]) {
        let (name, offered, held, at) = told;
        assert!(name == "y" && *offered == stamp(ms) && held.is_none() && time.contains(at), "{told:?}");
    }
    assert_eq!(told.len(), 2);
}

#[test]
fn a_name_that_is_not_visible_is_escaped_where_a_stamp_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    hub.publish_at(a, "a", "x\u{2800}", &[1], Stamp { clock: u64::MAX, instance: Instance([1; 16]) });
    let warnings = hub.warnings();
    assert!(
        warnings.iter().any(|text| text.ends_with(r#""x\u2800" not taken: its stamp is too far in the future"#)),
        "{warnings:?}"
    );
}

#[test]
fn an_app_is_told_before_the_pong_that_the_hub_holds_a_later_value() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.hello("s", 1, 1, HelloFlags::SHARED), hub.hello("s", 2, 1, HelloFlags::SHARED));
    let stamp = |clock, instance| Stamp { clock: clock << 16, instance: Instance([instance; 16]) };
    let held = stamp(hub.now.wall, 1);
    hub.publish_at(a, "s", "x", &[1], held);
    hub.said(a);
    hub.said(b);
    let offered = stamp(hub.now.wall - 1, 2);
    hub.publish_at(b, "s", "x", &[2], offered);
    hub.control(b, "s", Control::Ping { token: 7 });
    let bodies = hub.bodies(b);
    let decoded: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body")).collect();
    assert_eq!(decoded.iter().map(|body| body.name).collect::<Vec<_>>(), ["$ns/stale", "x", "$ns/pong"]);
    let Ok(Control::Stale { name: "x", offered: told, held: Some(later), time }) = Control::decode(&decoded[0]) else {
        panic!("{:?}", Control::decode(&decoded[0]));
    };
    assert!(told == offered && later == held && time >= held.clock);
    assert_eq!((decoded[1].data, decoded[1].meta.stamp), (&[1][..], Some(held)), "it is sent the one that is held");
    assert!(matches!(Control::decode(&decoded[2]), Ok(Control::Pong { token: 7, time: Some(at) }) if at >= held.clock));
    // Nothing is told of the same value once more.
    hub.publish_at(a, "s", "x", &[1], held);
    assert!(hub.said(a).is_empty());
}

#[test]
fn an_app_that_does_not_read_what_it_is_told_is_not_read() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    let stamp = |clock| Stamp { clock, instance: Instance([1; 16]) };
    let long = "n".repeat(1000);
    hub.publish_at(a, "a", &long, &[1], stamp(1000));
    let mut sent = 0;
    while hub.router.reads(a) {
        hub.publish_at(a, "a", &long, &[2], stamp(sent % 999));
        sent += 1;
        assert!(sent < 1000, "{} bytes wait", hub.peer(a).outbox_bytes);
    }
    assert!(hub.peer(a).outbox_bytes < 300_000);
    assert_eq!(hub.stale(a).len(), sent as usize);
    assert!(hub.router.reads(a), "once it has read");
}

#[test]
fn a_clock_that_is_set_back_by_an_hour_freezes_nothing() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    let stamp = |clock| Stamp { clock, instance: Instance([1; 16]) };
    let before = hub.now.wall << 16;
    hub.publish_at(a, "a", "x", &[1], stamp(before));
    hub.now.wall -= 3_600_000;
    // The app's stamps go on from where they were.
    hub.publish_at(a, "a", "x", &[2], stamp(before + 1));
    assert_eq!((hub.router.stats().ahead, hub.router.stats().stale), (0, 0));
    assert_eq!(hub.said(b), ["x", "x"]);
}

#[test]
fn a_wider_accept_mask_brings_what_was_left_out() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    let b = hub.open_v1("b", 2);
    hub.control(b, "b", Control::Accept { mask: Kind::Text.mask() });
    hub.publish(a, "a", "t", &value(Kind::Text, 1, 1));
    hub.publish(a, "a", "i", &value(Kind::Int, 1, 1));
    assert_eq!(hub.said(b), ["t"]);
    assert_eq!(hub.peer(b).withheld, 1);
    hub.control(b, "b", Control::Accept { mask: wire::ACCEPT_ANY });
    assert!(hub.said(b).contains(&"i".to_owned()));
}

// ---- who is let in

#[test]
fn a_newer_connection_of_the_same_app_replaces_at_once_and_an_older_one_does_not() {
    let mut hub = Direct::new(RouterConfig::default());
    let first = hub.hello("a", 1, 5, HelloFlags(0));
    let second = hub.hello("a", 1, 6, HelloFlags(0));
    assert!(hub.is_closed(first));
    assert_eq!(hub.said(second), ["welcome"]);
    let late = hub.hello("a", 1, 5, HelloFlags(0));
    assert_eq!(hub.refusal(late), Some(Status::IdentityTaken));
    assert!(!hub.is_closed(second) && hub.is_closed(late));
    assert_eq!(hub.router.stats().peers, 1);
}

#[test]
fn another_app_with_a_held_identity_is_refused_while_the_holder_answers() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    let token = hub.ping(holder).expect("the holder is asked");
    assert!(!hub.is_closed(other) && hub.bodies(other).is_empty());
    hub.pass(SEC / 2);
    hub.control(holder, "a", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(other), Some(Status::IdentityTaken));
    hub.pass(2 * SEC);
    assert!(!hub.is_closed(holder));
    hub.publish(holder, "a", "x", &[1]);
    assert_eq!(hub.router.stats().messages_in, 1);
}

#[test]
fn a_holder_that_answers_the_last_of_several_pings_keeps_its_identity_from_all_who_asked() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let first = hub.hello("a", 2, 1, HelloFlags(0));
    hub.ping(holder).expect("the holder is asked");
    let second = hub.hello("a", 3, 1, HelloFlags(0));
    let token = hub.ping(holder).expect("it is asked again");
    hub.control(holder, "a", Control::Pong { token, time: None });
    assert_eq!([first, second].map(|other| hub.refusal(other)), [Some(Status::IdentityTaken); 2]);
    hub.pass(2 * SEC);
    assert!(!hub.is_closed(holder));
}

#[test]
fn another_app_takes_the_identity_of_a_holder_that_is_silent_for_a_second() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    hub.pass(SEC - 1);
    assert!(!hub.is_closed(holder));
    hub.pass(1);
    assert!(hub.is_closed(holder));
    assert_eq!(hub.refusal(holder), Some(Status::IdentityTaken));
    assert_eq!(hub.said(other), ["welcome"]);
    // What the silent one still sends counts for nothing.
    hub.publish(holder, "a", "x", &[1]);
    assert_eq!(hub.router.stats().messages_in, 0);
}

#[test]
fn nobody_but_the_holder_answers_for_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let evil = hub.open_v1("evil", 3);
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    for token in 0..10 {
        hub.control(evil, "evil", Control::Pong { token, time: None });
    }
    hub.pass(SEC);
    assert!(hub.is_closed(holder) && !hub.is_closed(other));
    assert_eq!(hub.said(other), ["welcome"]);
}

#[test]
fn a_holder_that_leaves_while_it_is_asked_makes_room() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let (second, third) = (hub.hello("a", 2, 1, HelloFlags(0)), hub.hello("a", 3, 1, HelloFlags(0)));
    hub.lose(holder);
    assert_eq!(hub.said(second).first().map(String::as_str), Some("welcome"));
    // The third waits for the second now.
    let _ = hub.said(third);
    hub.pass(SEC);
    hub.pass(SEC);
    assert_eq!(hub.router.stats().peers, 1);
}

#[test]
fn a_holder_that_reconnects_while_another_waits_for_its_identity_keeps_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let broken = hub.hello("a", 1, 1, HelloFlags(0));
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    let again = hub.hello("a", 1, 2, HelloFlags(0));
    assert!(hub.is_closed(broken));
    let bodies = hub.bodies(again);
    let controls: Vec<_> =
        bodies.iter().map(|bytes| Control::decode(&wire::decode(bytes, Form::V1).unwrap()).unwrap()).collect();
    assert!(matches!(controls[0], Control::Welcome { .. }), "{controls:?}");
    let Some(Control::Ping { token }) = controls.get(1).copied() else { panic!("the new link is asked: {controls:?}") };
    hub.control(again, "a", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(other), Some(Status::IdentityTaken));
}

#[test]
fn who_takes_over_an_identity_gets_it_at_once_also_if_another_waits() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let waits = hub.hello("a", 2, 1, HelloFlags(0));
    let takes = hub.hello("a", 3, 1, HelloFlags::TAKE_OVER);
    assert_eq!(hub.refusal(holder), Some(Status::IdentityTaken));
    assert_eq!(hub.said(takes).first().map(String::as_str), Some("welcome"));
    assert!(!hub.is_closed(takes) && !hub.is_closed(waits));
}

#[test]
fn shared_apps_hold_an_identity_together_and_only_with_each_other() {
    let mut hub = Direct::new(RouterConfig::default());
    let (one, two) = (hub.hello("cli", 1, 1, HelloFlags::SHARED), hub.hello("cli", 2, 1, HelloFlags::SHARED));
    assert_eq!((hub.said(one), hub.said(two)), (vec!["welcome".into()], vec!["welcome".into()]));
    hub.publish_at(one, "cli", "x", &[1], Stamp { clock: 1 << 16, instance: Instance([1; 16]) });
    assert_eq!(hub.said(two), ["x"]);
    let alone = hub.hello("cli", 3, 1, HelloFlags(0));
    assert!(hub.bodies(alone).is_empty() && !hub.is_closed(alone), "it waits for the holders' answer");
    let token = hub.ping(one).expect("asked");
    hub.control(one, "cli", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(alone), Some(Status::IdentityTaken));
}

#[test]
fn values_of_a_shared_identity_stay_while_one_of_its_holders_is_there() {
    let mut hub = Direct::new(RouterConfig::default());
    let (one, two) = (hub.hello("cli", 1, 1, HelloFlags::SHARED), hub.hello("cli", 2, 1, HelloFlags::SHARED));
    hub.publish_at(one, "cli", "x", &[1], Stamp { clock: 1 << 16, instance: Instance([1; 16]) });
    hub.lose(one);
    hub.pass(25 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 1);
    hub.lose(two);
    hub.pass(23 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 1);
    hub.pass(SEC * 3600);
    assert_eq!(hub.router.table().len(), 0);
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let mut hub = Direct::new(RouterConfig::default());
    let silent = hub.open();
    let half = hub.open();
    hub.bytes(half, &header(Version::V1)[..5]);
    let no_hello = hub.open();
    hub.bytes(no_hello, &header(Version::V1));
    hub.pass(5 * SEC - 1);
    assert!(hub.closed.is_empty());
    hub.pass(1);
    assert_eq!(hub.closed, [silent, half, no_hello]);
    assert_eq!(hub.router.stats().refused_peers, 3);
    assert!(hub.events().iter().all(|event| *event == (PeerEvent::Refused, Status::Timeout)));
}

#[test]
fn what_is_no_bus_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    for bytes in [b"GET / HT", b"\0SP\0\0\x10\0\0", b"\0SP\0\0\x70\x01\0"] {
        let conn = hub.open();
        hub.bytes(conn, bytes);
        assert!(hub.is_closed(conn));
    }
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    hub.send(conn, &body(Form::V1, "a", "x", &[1], &Meta::default()));
    assert!(hub.is_closed(conn), "a state before hello");
    assert_eq!(hub.router.stats().refused_peers, 4);
}

#[test]
fn a_frame_without_progress_ends_its_peer() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for conn in [a, b] {
        hub.bytes(conn, &frame_head(Framing::Tcp, 1000));
    }
    for _ in 0..29 {
        hub.pass(SEC);
        hub.bytes(a, &[0]);
    }
    hub.pass(SEC);
    assert!(hub.is_closed(b) && !hub.is_closed(a));
    hub.pass(29 * SEC);
    assert!(hub.is_closed(a));
    hub.open();
    assert_eq!(hub.router.stats().unfinished_bytes, 0);
}

#[test]
fn unfinished_frames_have_a_budget_together() {
    let mut hub = Direct::new(RouterConfig { unfinished: 100_000, ..RouterConfig::default() });
    let peers: Vec<_> = (0..4).map(|i| hub.open_v1(&format!("p{i}"), i + 1)).collect();
    for &peer in &peers {
        hub.bytes(peer, &frame_head(Framing::Tcp, 1 << 20));
        hub.bytes(peer, &[0; 30_000]);
    }
    assert_eq!(hub.closed, [peers[3]]);
    // A claim alone costs nothing.
    for i in 10..30 {
        let peer = hub.open_v1(&format!("p{i}"), i);
        hub.bytes(peer, &frame_head(Framing::Tcp, 16 << 20));
    }
    assert_eq!(hub.closed.len(), 1);
    assert!(hub.router.stats().unfinished_bytes <= 100_000);
}

#[test]
fn a_hub_that_is_full_refuses_and_has_room_again_when_one_leaves() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let (a, _b) = (hub.open_v1("a", 1), hub.open_old());
    let c = hub.hello("c", 3, 1, HelloFlags(0));
    assert_eq!(hub.refusal(c), Some(Status::Full));
    assert!(hub.is_closed(c));
    assert!(hub.events().contains(&(PeerEvent::Refused, Status::Full)));
    hub.lose(a);
    hub.open_v1("c", 3);
}

#[test]
fn an_app_that_a_full_hub_turned_away_is_a_v1_peer_once_there_is_room() {
    each_seed(20, 1000, |seed| {
        let mut world = World::new(seed);
        let hub = world.add_hub(HUB, RouterConfig { max_peers: 1, ..RouterConfig::default() });
        let a = world.add_app("a", HUB);
        world.settle();
        let b = world.add_app("b", HUB);
        world.run_for(3 * SEC);
        assert_ne!(world.app(b).session.link(), Link::Connected);
        world.kill(a);
        world.run_for(20 * SEC);
        assert_eq!(world.app(b).session.link(), Link::Connected);
        assert_eq!(world.hub(hub).stats().old_peers, 0);
    });
}

// ---- the table's room

fn stamp(clock: u64) -> Stamp {
    Stamp { clock: clock << 16, instance: Instance([7; 16]) }
}

#[test]
fn one_sender_may_hold_half_of_the_table() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.room_mut().states = 10;
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for i in 0..8 {
        hub.publish(a, "a", &format!("k{i}"), &[1]);
    }
    assert_eq!((hub.router.table().len(), hub.router.stats().refused), (5, 3));
    assert_eq!(hub.said(a), ["rejected"; 3]);
    for i in 0..8 {
        hub.publish(b, "b", &format!("k{i}"), &[1]);
    }
    assert_eq!((hub.router.table().len(), hub.router.stats().refused), (10, 6));
    // What is there may change all the same.
    hub.pass(MS);
    hub.publish(a, "a", "k0", &[2]);
    assert_eq!(hub.router.table().find("a", "k0").unwrap().data(), [2]);
}

#[test]
fn the_states_of_departed_senders_go_first_and_the_longest_departed_at_first() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.room_mut().states = 8;
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for i in 0..4 {
        hub.publish(a, "a", &format!("k{i}"), &[1]);
        hub.publish(b, "b", &format!("k{i}"), &[1]);
    }
    hub.lose(b);
    hub.pass(SEC);
    hub.lose(a);
    let c = hub.open_v1("c", 3);
    hub.publish(c, "c", "x", &[1]);
    let table = hub.router.table();
    assert!(table.find("b", "k0").is_none() && table.find("a", "k0").is_some() && table.find("c", "x").is_some());
    assert_eq!(hub.router.stats().refused, 0);
}

#[test]
fn a_value_that_grows_takes_the_room_of_departed_senders() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.room_mut().bytes = 40_000;
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish(b, "b", "x", &value(Kind::Bytes, 1, 10));
    hub.publish(a, "a", "x", &value(Kind::Bytes, 1, 19_000));
    hub.lose(a);
    let c = hub.open_v1("c", 3);
    hub.publish(c, "c", "x", &value(Kind::Bytes, 1, 10_000));
    hub.pass(MS);
    hub.publish(b, "b", "x", &value(Kind::Bytes, 2, 15_000));
    assert_eq!(hub.router.stats().refused, 0);
    assert!(hub.router.table().find("a", "x").is_none());
    assert!(hub.router.table().bytes() <= 40_000);
}

#[test]
fn the_table_stays_within_its_bytes() {
    each_seed(20, 1000, |seed| {
        let mut rng = sim::Rng::new(seed);
        let mut hub = Direct::new(RouterConfig::default());
        hub.router.room_mut().bytes = 100_000;
        let mut conns: Vec<_> = (0..4u8).map(|i| (i, hub.open_v1(&format!("s{i}"), i + 1))).collect();
        for _ in 0..500 {
            hub.pass(MS);
            let at = rng.index(conns.len());
            let (i, conn) = conns[at];
            let (name, size) = (format!("k{}", rng.below(40)), rng.length(9000));
            hub.publish(conn, &format!("s{i}"), &name, &value(Kind::Bytes, 1, size));
            if rng.one_in(30) {
                hub.lose(conn);
                conns[at] = (i, hub.open_v1(&format!("s{i}"), i + 1));
            }
            let table = hub.router.table();
            assert!(table.bytes() <= 100_000, "{} bytes", table.bytes());
            let held: usize = table.iter().map(|entry| entry.bytes().len()).sum();
            assert!(held <= table.bytes(), "at least what it holds is counted");
        }
        for (i, conn) in conns {
            hub.lose(conn);
            let _ = i;
        }
        hub.pass(25 * 3600 * SEC);
        assert_eq!((hub.router.table().len(), hub.router.table().bytes()), (0, 0));
    });
}

#[test]
fn values_of_a_departed_sender_expire_unless_it_comes_back() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b, old) = (hub.open_v1("a", 1), hub.open_v1("b", 2), hub.open_old());
    hub.publish(a, "a", "x", &[1]);
    hub.publish(b, "b", "x", &[1]);
    hub.send(old, &body(Form::Old, "o", "x", &value(Kind::Text, 1, 1), &Meta::default()));
    for conn in [a, b, old] {
        hub.lose(conn);
    }
    hub.pass(3600 * SEC);
    hub.open_v1("a", 1);
    hub.pass(23 * 3600 * SEC);
    let left: Vec<_> = hub.router.table().iter().map(|entry| entry.sender().to_owned()).collect();
    assert_eq!(left, ["a"]);
    assert_eq!(hub.router.table().find("a", "x").unwrap().data(), [1]);
}

#[test]
fn a_value_that_is_not_newer_is_dropped_and_counted() {
    let mut hub = Direct::new(RouterConfig::default());
    let shared = |hub: &mut Direct, instance| hub.hello("a", instance, 1, HelloFlags::SHARED);
    let (a, greater, smaller) = (shared(&mut hub, 7), shared(&mut hub, 8), shared(&mut hub, 6));
    let b = hub.open_v1("b", 2);
    hub.publish_at(a, "a", "x", &[1], stamp(5));
    hub.publish_at(a, "a", "x", &[2], stamp(5));
    hub.publish_at(a, "a", "x", &[3], stamp(4));
    assert_eq!(hub.router.stats().stale, 2);
    assert_eq!(hub.said(b), ["x"]);
    // Of two that were made at the same time that of the greater instance is newer, whichever came first.
    let of = |instance| Stamp { instance: Instance([instance; 16]), ..stamp(5) };
    hub.publish_at(greater, "a", "x", &[4], of(8));
    hub.publish_at(smaller, "a", "x", &[5], of(6));
    assert_eq!(hub.router.table().find("a", "x").unwrap().data(), [4]);
}

// ---- gateways

/// A state as clients of gateways send it.
fn old_state(sender: &str, name: &str, value: &[u8]) -> Vec<u8> {
    body(Form::Old, sender, name, value, &Meta::default())
}

/// A message for subscribers: the name, a NUL, the body.
fn named(name: &str, body: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\0", body].concat()
}

/// The state in a message for subscribers.
fn published(message: &[u8]) -> wire::Body<'_> {
    let nul = message.iter().position(|&byte| byte == 0).expect("a NUL behind the name");
    let body = wire::decode(&message[nul + 1..], Form::Old).expect("three elements");
    assert_eq!(body.name.as_bytes(), &message[..nul]);
    body
}

/// The names in the frames of a pub gateway, in order.
fn names(frames: &[Vec<u8>]) -> Vec<&str> {
    frames.iter().map(|frame| published(frame).name).collect()
}

/// A value from its JSON.
fn json(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::to_msgpack(json, &mut out).expect(json);
    out
}

/// A str.
fn str_value(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Value::Text(text).encode(&mut out);
    out
}

/// An answer as JSON.
fn answered(hub: &mut Direct, gateway: ConnId, request: &str) -> String {
    let answer = hub.ask(gateway, &json(request));
    assert!(wire::check(&answer).is_ok(), "{request} is answered with one value");
    wire::from_msgpack(&answer)
}

/// The text of a fault.
fn fault(hub: &mut Direct, gateway: ConnId, request: &[u8]) -> String {
    let answer = hub.ask(gateway, request);
    wire::text(&answer).unwrap_or_else(|| panic!("no fault: {}", wire::from_msgpack(&answer))).to_owned()
}

#[test]
fn a_gateway_with_nobody_to_send_to_is_fed_nothing_and_counts_nothing() {
    let mut hub = Direct::new(RouterConfig { legacy_snapshot: true, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "early", &value(Kind::Text, 1, 10));
    let gateways: Vec<_> = Role::ALL.iter().map(|&role| (role, hub.open_gateway(role, false))).collect();
    let publish = |hub: &mut Direct| {
        hub.pass(MS);
        for &kind in Kind::ALL {
            hub.publish(a, "a", kind.name(), &value(kind, 1, 10));
        }
    };
    publish(&mut hub);
    for &(role, gateway) in &gateways {
        assert!(hub.frames(gateway).is_empty(), "{role:?}");
        // The other side of only one of them wants to hear.
        if role != Role::Pub {
            hub.client_comes(gateway, 3);
        }
    }
    let publisher = gateways.iter().find(|(role, _)| *role == Role::Pub).expect("one of all roles").1;
    hub.client_comes(publisher, 1);
    assert_eq!(hub.frames(publisher).len(), 3);
    let before = hub.peer(publisher);
    hub.status(publisher, gateway::Status::default());
    publish(&mut hub);
    for &(role, gateway) in &gateways {
        assert!(hub.frames(gateway).is_empty(), "{role:?}");
        let stats = hub.peer(gateway);
        assert_eq!((stats.conflated, stats.outbox_bytes, stats.live), (0, 0, true), "{role:?}");
        let expected = if role == Role::Pub { (before.messages_out, before.withheld) } else { (0, 0) };
        assert_eq!((stats.messages_out, stats.withheld), expected, "{role:?}");
    }
}

#[test]
fn who_subscribes_gets_the_newest_values_and_then_what_changes() {
    for structured in [false, true] {
        let mut hub = Direct::new(RouterConfig::default());
        let a = hub.open_v1("a", 1);
        let gateway = hub.open_gateway(Role::Pub, structured);
        for number in 0..2 {
            hub.pass(MS);
            for &kind in Kind::ALL {
                hub.publish(a, "a", kind.name(), &value(kind, number, 10));
            }
        }
        let taken = |kind: &&Kind| structured || kind.is_plain();
        let kinds: Vec<_> = Kind::ALL.iter().filter(taken).collect();
        hub.client_comes(gateway, 1);
        let messages = |number| -> Vec<_> {
            let state = |kind: &&Kind| old_state("a", kind.name(), &value(**kind, number, 10));
            kinds.iter().map(|kind| named(kind.name(), &state(kind))).collect()
        };
        assert_eq!(hub.frames(gateway), messages(1), "structured: {structured}");
        hub.pass(MS);
        for &kind in Kind::ALL {
            hub.publish(a, "a", kind.name(), &value(kind, 2, 10));
        }
        assert_eq!(hub.frames(gateway), messages(2), "structured: {structured}");
        // A status without news of clients changes nothing.
        hub.status(gateway, gateway::Status { clients: 1, dropped: 0, again: false });
        assert!(hub.frames(gateway).is_empty());
        // Who lost something gets everything again, like who is new.
        hub.client_comes(gateway, 1);
        assert_eq!(hub.frames(gateway), messages(2), "structured: {structured}");
    }
}

/// A hub with `keys` states `k0` and so on of about 110 bytes, and its app.
fn hub_with_states(outbox: usize, keys: usize) -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig { outbox, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    for key in 0..keys {
        hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, 0, 100));
    }
    (hub, a)
}

/// What has come out of a gateway that is read in pieces.
struct Outgoing {
    gateway: ConnId,
    bytes: Vec<u8>,
}

impl Outgoing {
    fn new(gateway: ConnId) -> Outgoing {
        Outgoing { gateway, bytes: Vec::new() }
    }

    fn read(&mut self, hub: &mut Direct, most: usize) {
        let more = hub.read(self.gateway, most);
        self.bytes.extend(more);
    }

    /// Everything, up to the end of what waits, as frames.
    fn frames(mut self, hub: &mut Direct) -> Vec<Vec<u8>> {
        self.read(hub, usize::MAX);
        whole_frames(Framing::Inproc, &self.bytes)
    }

    /// How many frames have begun so far.
    fn begun(&self) -> usize {
        let (mut count, mut at) = (0, 0);
        while let Some(head) = self.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            at += head.len() + u64::from_be_bytes(*head) as usize;
            count += 1;
        }
        count
    }
}

/// Of each name the data that came last.
fn newest_of(frames: &[Vec<u8>]) -> BTreeMap<&str, &[u8]> {
    frames.iter().map(|frame| published(frame)).map(|body| (body.name, body.data)).collect()
}

#[test]
fn who_subscribes_while_another_is_being_sent_everything_is_sent_everything() {
    const KEYS: usize = 200;
    for read in [0, 1, 1000, 10_000, 20_000, 1_000_000] {
        let (mut hub, _) = hub_with_states(2000, KEYS);
        let gateway = hub.open_gateway(Role::Pub, false);
        let mut outgoing = Outgoing::new(gateway);
        hub.client_comes(gateway, 1);
        outgoing.read(&mut hub, read);
        let before = outgoing.begun();
        hub.client_comes(gateway, 2);
        let frames = outgoing.frames(&mut hub);
        assert_eq!(newest_of(&frames[before..]).len(), KEYS, "after {read} bytes");
        assert!(frames.len() <= 2 * KEYS, "{} frames after {read} bytes", frames.len());
        assert!(hub.peer(gateway).live);
    }
}

#[test]
fn who_subscribes_while_a_gateway_catches_up_is_sent_everything() {
    const KEYS: usize = 200;
    for read in [0, 1000, 3000, 5000, 10_000] {
        let (mut hub, a) = hub_with_states(2000, KEYS);
        let gateway = hub.open_pub(false);
        let mut outgoing = Outgoing::new(gateway);
        // More than may wait: from here on it catches up.
        for round in 1..=3 {
            hub.pass(MS);
            for key in (50..150).step_by(2) {
                hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, round, 100));
            }
        }
        assert!(!hub.peer(gateway).live);
        outgoing.read(&mut hub, read);
        let before = outgoing.begun();
        hub.client_comes(gateway, 2);
        let frames = outgoing.frames(&mut hub);
        assert_eq!(newest_of(&frames[before..]).len(), KEYS, "after {read} bytes");
    }
}

#[test]
fn who_subscribes_while_a_walk_goes_over_what_changed_meanwhile_is_sent_everything() {
    const KEYS: usize = 200;
    for read in [500, 1500, 3000, 4500] {
        let (mut hub, a) = hub_with_states(1000, KEYS);
        let gateway = hub.open_gateway(Role::Pub, false);
        let mut outgoing = Outgoing::new(gateway);
        hub.client_comes(gateway, 1);
        outgoing.read(&mut hub, 20_000);
        // Behind the walk's cursor, but for the last one: the rest of this walk is short, the next one sends these.
        hub.pass(MS);
        for key in 0..60 {
            hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, 1, 100));
        }
        outgoing.read(&mut hub, KEYS * 125 - 20_000 + read);
        let before = outgoing.begun();
        hub.client_comes(gateway, 2);
        let frames = outgoing.frames(&mut hub);
        assert_eq!(newest_of(&frames[before..]).len(), KEYS, "after {read} bytes of the second walk");
        assert!(newest_of(&frames).iter().all(|(name, data)| {
            let key: usize = name[1..].parse().expect("a key's number");
            *data == value(Kind::Text, u64::from(key < 60), 100)
        }));
    }
}

#[test]
fn a_walk_comes_to_the_tables_end_however_often_clients_come() {
    const KEYS: usize = 300;
    let (mut hub, a) = hub_with_states(1000, KEYS);
    let gateway = hub.open_gateway(Role::Pub, false);
    let mut outgoing = Outgoing::new(gateway);
    // Each reads about five states before the next one comes; nine keys change all the time.
    for client in 0..KEYS {
        hub.pass(MS);
        hub.client_comes(gateway, client as u32 + 1);
        hub.publish(a, "a", &format!("k{}", client % 9), &value(Kind::Text, client as u64, 100));
        outgoing.read(&mut hub, 600);
    }
    let mut counts = vec![0; KEYS];
    let frames = outgoing.frames(&mut hub);
    for name in names(&frames) {
        counts[name[1..].parse::<usize>().expect("a key's number")] += 1;
    }
    assert!(counts.iter().all(|&count| (2..60).contains(&count)), "every key comes with every walk: {counts:?}");
    assert!(hub.peer(gateway).live, "and they end");
    hub.pass(MS);
    hub.publish(a, "a", "k0", &value(Kind::Text, 1, 1));
    assert_eq!(hub.frames(gateway).len(), 1);
}

#[test]
fn a_state_for_subscribers_has_its_name_in_front_and_both_within_the_limit() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let (a, gateway, requests) = (hub.open_v1("a", 1), hub.open_pub(false), hub.open_gateway(Role::Rep, false));
    // As many bytes of text as make a body of `len`: array head, sender and the name's head take 4 bytes, a str 16
    // head takes 3.
    let text = |name: &str, len: usize| value(Kind::Text, 1, len - 4 - name.len() - 3);
    hub.publish(a, "a", "L", &text("L", 1000 - 2));
    hub.publish(a, "a", "long name", &text("long name", 1000 - 10));
    hub.publish(a, "a", "M", &text("M", 1000 - 1));
    hub.publish(a, "a", "N", &text("N", 1001));
    let frames = hub.frames(gateway);
    assert_eq!(names(&frames), ["L", "long name"]);
    assert!(frames.iter().all(|frame| frame.len() == 1000));
    assert_eq!((hub.peer(gateway).withheld, hub.router.stats().withheld), (2, 2));
    let warnings = hub.warnings();
    assert!(
        matches!(&warnings[..], [text] if text.contains("\"M\"") && text.contains("NS_OPT_HUB_LEGACY_MAX")),
        "{warnings:?}"
    );
    // An answer has the longest trace in front.
    hub.publish(a, "a", "O", &text("O", 1000 - MAX_TRACE));
    hub.publish(a, "a", "P", &text("P", 1001 - MAX_TRACE));
    assert_eq!(hub.ask(requests, &json(r#"["get", "O"]"#)).len(), 964);
    for (request, words) in
        [(r#"["get", "P"]"#, "965 bytes, at most 964"), (r#"["get", "N"]"#, "1001 bytes, at most 1000")]
    {
        let refused = fault(&mut hub, requests, &json(request));
        assert!(refused.contains(words) && refused.contains("NS_OPT_HUB_LEGACY_MAX"), "{refused}");
    }
}

#[test]
fn what_a_gateway_withholds_is_counted_and_logged_once_with_what_allows_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, gateway, structured) = (hub.open_v1("a", 1), hub.open_pub(false), hub.open_pub(true));
    hub.warnings();
    for number in 0..5 {
        hub.pass(MS);
        hub.publish(a, "a", "m", &value(Kind::Map, number, 10));
        hub.publish(a, "a", "i", &value(Kind::Int, number, 10));
    }
    assert_eq!((hub.frames(gateway).len(), hub.frames(structured).len()), (0, 10));
    assert_eq!((hub.peer(gateway).withheld, hub.peer(structured).withheld, hub.router.stats().withheld), (10, 0, 10));
    let warnings = hub.warnings();
    let [text] = &warnings[..] else { panic!("one line: {warnings:?}") };
    assert!(text.contains("\"m\" (map)") && text.contains("?structured=1"), "{text}");
    assert!(!text.contains("NS_OPT_HUB_LEGACY_STRUCTURED"), "{text}");
    // What is asked of all old peers is so of gateways.
    let mut hub = Direct::new(RouterConfig { legacy_structured: true, ..RouterConfig::default() });
    let (a, gateway) = (hub.open_v1("a", 1), hub.open_pub(false));
    hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
    assert_eq!((hub.frames(gateway).len(), hub.peer(gateway).withheld), (1, 0));
}

#[test]
fn a_gateway_that_takes_nothing_is_sent_the_newest_of_each_key_once() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let (a, gateway) = (hub.open_v1("a", 1), hub.open_pub(false));
    for i in 0..1000 {
        hub.pass(MS);
        hub.publish(a, "a", &format!("k{}", i % 50), &value(Kind::Text, i, 100));
        assert!(hub.peer(gateway).outbox_bytes <= 2000 + 200);
    }
    assert!(!hub.peer(gateway).live);
    let before = hub.peer(gateway).messages_out;
    let frames = hub.frames(gateway);
    let newest = newest_of(&frames);
    for i in 950..1000 {
        assert_eq!(newest[&*format!("k{}", i % 50)], value(Kind::Text, i, 100));
    }
    let stats = hub.peer(gateway);
    assert_eq!((stats.messages_out - before, stats.live), (50, true));
    assert_eq!(stats.messages_out + stats.conflated, 1000);
}

#[test]
fn what_is_sent_once_more_to_who_is_new_hides_none_of_what_was_conflated() {
    let (mut hub, a) = hub_with_states(1000, 50);
    let gateway = hub.open_pub(false);
    let mut outgoing = Outgoing::new(gateway);
    let sent_before = hub.peer(gateway).messages_out;
    for round in 1..=4 {
        hub.pass(MS);
        for key in 0..50 {
            hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, round, 100));
        }
    }
    outgoing.read(&mut hub, 4000);
    hub.client_comes(gateway, 2);
    let frames = outgoing.frames(&mut hub);
    let states: BTreeSet<_> = frames.iter().collect();
    let stats = hub.peer(gateway);
    assert_eq!(stats.messages_out - sent_before, frames.len() as u64);
    assert_eq!(stats.conflated, 200 - states.len() as u64, "of 200 changes {} came through", states.len());
}

#[test]
fn what_is_pushed_goes_to_apps_to_old_peers_and_to_subscribers() {
    let mut hub = Direct::new(RouterConfig::default());
    let (app, old, subscribers) = (hub.open_v1("v", 1), hub.open_old(), hub.open_pub(false));
    hub.bodies(old);
    let pull = hub.open_gateway(Role::Pull, false);
    let state = old_state("script", "x", &value(Kind::Text, 1, 10));
    hub.message(pull, b"", &state);
    // From whom and by which way does not matter.
    hub.message(pull, b"any route", &old_state("another", "y", &[7]));
    let bodies = hub.bodies(app);
    let names: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body")).collect();
    assert_eq!([names[0].name, names[1].name], ["x", "y"]);
    assert!(names[0].meta.stamp.is_some_and(|stamp| stamp.millis() >= hub.now.wall), "the hub has stamped it");
    assert_eq!((hub.bodies(old), hub.frames(subscribers)), (vec![state.clone()], vec![named("x", &state)]));
    assert!(hub.frames(pull).is_empty(), "nobody reads there");
    let stats = hub.peer(pull);
    assert_eq!((stats.messages_in, stats.messages_out, stats.old), (2, 0, true));
    assert!(stats.bytes_in >= state.len() as u64);
}

#[test]
fn what_is_pushed_and_not_taken_is_counted_and_the_hub_goes_on() {
    let mut hub = Direct::new(RouterConfig { max_message: 1000, ..RouterConfig::default() });
    hub.router.room_mut().states = 4;
    let (listener, pull) = (hub.open_v1("v", 1), hub.open_gateway(Role::Pull, false));
    hub.events();
    for malformed in
        [&[][..], &[0xC1], &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF], &[0x92, 0xA1, b'a', 0xA1, b'b'], &[0x93, 0xA1, b'a']]
    {
        hub.message(pull, b"", malformed);
    }
    hub.message(pull, b"", &body(Form::V1, "s", "v1", &[1], &Meta::default()));
    hub.message(pull, b"", &old_state("s", "$ns/ping", &[1]));
    hub.message(pull, b"", &old_state("v", "x", &[1]));
    // Over the limit, but a frame that is taken; a frame that is not.
    hub.message(pull, b"", &old_state("s", "x", &value(Kind::Text, 1, 1001 - 5 - 3)));
    hub.message(pull, b"", &old_state("s", "x", &value(Kind::Text, 1, 100_000)));
    hub.message(pull, b"", &old_state("s", "at the limit", &value(Kind::Text, 1, 1000 - 4 - 12 - 3)));
    for i in 0..4 {
        hub.message(pull, b"", &old_state("s", &format!("k{i}"), &[1]));
    }
    let stats = hub.router.stats();
    assert_eq!((stats.malformed, stats.reserved, stats.foreign_sender, stats.too_large), (6, 1, 1, 2));
    // One sender may have half of the table.
    assert_eq!((stats.messages_in, stats.refused, stats.stale), (2, 3, 0));
    assert_eq!(hub.said(listener), ["at the limit", "k0"]);
    assert_eq!((hub.peer(pull).malformed, hub.peer(pull).too_large, hub.peer(pull).messages_in), (6, 2, 2));
    let warnings = hub.warnings();
    assert_eq!(warnings.len(), 3, "each sort once: {warnings:?}");
    for words in ["malformed", "reserved", "table is full"] {
        assert_eq!(warnings.iter().filter(|text| text.contains(words)).count(), 1, "{warnings:?}");
    }
    assert!(!hub.is_closed(pull));
}

#[test]
fn what_comes_in_by_a_gateway_may_be_as_large_as_what_goes_out() {
    let mut hub = Direct::new(RouterConfig { max_message: 5000, legacy_max: 1000, ..RouterConfig::default() });
    let (pull, rep, app) =
        (hub.open_gateway(Role::Pull, false), hub.open_gateway(Role::Rep, false), hub.open_v1("v", 1));
    let state = |len: usize| old_state("s", "x", &value(Kind::Text, len as u64, len - 5 - 3));
    hub.message(pull, b"", &state(1001));
    assert!(fault(&mut hub, rep, &state(1001)).contains("1001 bytes refused: the limit is 1000"));
    assert_eq!((hub.router.stats().too_large, hub.router.stats().messages_in), (2, 0));
    hub.message(pull, b"", &state(1000));
    assert_eq!(hub.ask(rep, &state(1000)), str_value("ok"));
    // Apps have the limit of apps.
    hub.publish(app, "v", "x", &value(Kind::Text, 1, 4000));
    assert_eq!((hub.router.stats().too_large, hub.router.stats().messages_in), (2, 3));
}

#[test]
fn each_request_is_answered_with_what_it_asks_for() {
    let mut hub = Direct::new(RouterConfig::default());
    let rep = hub.open_gateway(Role::Rep, false);
    assert_eq!(answered(&mut hub, rep, r#"["get", "x"]"#), "null");
    assert_eq!(answered(&mut hub, rep, r#"["list", "*"]"#), "[]");
    assert_eq!(answered(&mut hub, rep, r#"["peers"]"#), "[]");
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.open_old();
    hub.publish(a, "a", "x", &json(r#""older""#));
    hub.publish(a, "a", "m", &json(r#"{"k": 1}"#));
    hub.pass(MS);
    hub.publish(b, "b", "x", &json(r#""newer""#));
    assert_eq!(answered(&mut hub, rep, r#"["get", "x"]"#), r#"["b","x","newer"]"#);
    assert_eq!(answered(&mut hub, rep, r#"["c", "x", "newest"]"#), r#""ok""#);
    assert_eq!(answered(&mut hub, rep, r#"["get", "x"]"#), r#"["c","x","newest"]"#);
    // Who asks takes plain values, but may publish whatever it likes.
    assert_eq!(answered(&mut hub, rep, r#"["c", "i", 5]"#), r#""ok""#);
    let listed = hub.ask(rep, &json(r#"["list", "*"]"#));
    for state in ["older", "newer", "newest"] {
        assert!(wire::from_msgpack(&listed).contains(state));
    }
    assert_eq!(listed[0], 0x93, "{}", wire::from_msgpack(&listed));
    for name in ["m", "i"] {
        let fault = fault(&mut hub, rep, &json(&format!(r#"["get", "{name}"]"#)));
        assert!(fault.contains(&format!("{name:?}")) && fault.contains("?structured=1"), "{fault}");
    }
    let peers = answered(&mut hub, rep, r#"["peers"]"#);
    assert!([r#"["a","b"]"#, r#"["b","a"]"#].contains(&&*peers), "{peers}");
    let structured = hub.open_gateway(Role::Rep, true);
    assert_eq!(answered(&mut hub, structured, r#"["get", "m"]"#), r#"["a","m",{"k":1}]"#);
    assert_eq!(hub.ask(structured, &json(r#"["list", "*"]"#))[0], 0x95);
    // What an app that is gone has left is found as long as it stays.
    hub.lose(b);
    assert_eq!(answered(&mut hub, rep, r#"["peers"]"#), r#"["a"]"#);
    assert_eq!(hub.peer(rep).messages_in, 2);
}

#[test]
fn a_list_that_would_be_too_large_is_answered_with_how_large() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000 + MAX_TRACE, ..RouterConfig::default() });
    let (a, rep) = (hub.open_v1("a", 1), hub.open_gateway(Role::Rep, false));
    // Bodies of 100 bytes: the heads of array, sender, name and text take 1, 2, 3 and 2.
    for key in 0..9 {
        hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, key, 100 - 8));
    }
    hub.publish(a, "a", "one more", &value(Kind::Text, 1, 100 - 14));
    // Not in a list at all, because it is not for old peers.
    hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
    assert_eq!(hub.ask(rep, &json(r#"["list", "k*"]"#)).len(), 901);
    let fault = fault(&mut hub, rep, &json(r#"["list", "*"]"#));
    assert!(fault.contains("1001 bytes, at most 1000") && fault.contains("10 states"), "{fault}");
}

#[test]
fn a_state_that_is_not_taken_is_answered_with_the_reason() {
    let mut hub = Direct::new(RouterConfig { max_message: 1000, ..RouterConfig::default() });
    hub.router.room_mut().states = 2;
    let (_app, rep) = (hub.open_v1("v", 1), hub.open_gateway(Role::Rep, false));
    let ok = str_value("ok");
    assert_eq!(hub.ask(rep, &old_state("s", "x", &[1])), ok);
    assert_eq!(hub.ask(rep, &old_state("s", "x", &[2])), ok, "what is there may change");
    let cases = [
        (old_state("s", "y", &[1]), r#""y" not taken: the hub's table is full"#),
        (old_state("s", "$ns/ping", &[1]), r#""$ns/ping" refused: reserved"#),
        (old_state("v", "x", &[1]), r#"states sent as "v" refused: not its identity"#),
        (old_state("s", "x", &value(Kind::Text, 1, 1001 - 5 - 3)), "message of 1001 bytes refused: the limit is 1000"),
        (vec![0x93, 0xA1, b's', 0xA1, b'x'], "malformed message: the bytes end inside a value"),
        (vec![0x93, 0xA1, b's', 0x01, 0x01], "malformed message: the name is not a str"),
        ([&old_state("s", "x", &[1])[..], &[0]].concat(), "malformed message: bytes follow behind the end"),
    ];
    for (request, words) in &cases {
        let fault = fault(&mut hub, rep, request);
        assert!(fault.contains(words), "{fault}, not {words}");
    }
    let stats = hub.router.stats();
    assert_eq!((stats.messages_in, stats.refused, stats.reserved, stats.foreign_sender), (2, 1, 1, 1));
    assert_eq!((stats.too_large, stats.malformed), (1, 3));
    assert_eq!((hub.peer(rep).malformed, hub.peer(rep).too_large), (3, 1));
    assert_eq!(hub.router.table().find("s", "x").expect("taken").data(), [2]);
}

#[test]
fn a_state_that_is_older_than_the_one_held_is_not_answered_with_ok() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, rep) = (hub.open_v1("a", 1), hub.open_gateway(Role::Rep, false));
    // From a clock that is an hour ahead.
    let ahead = Stamp { clock: (hub.now.wall + 3_600_000) << 16, instance: Instance([1; 16]) };
    hub.publish_at(a, "a", "x", &[1], ahead);
    hub.lose(a);
    hub.pass(SEC);
    let answer = hub.ask(rep, &old_state("a", "x", &[2]));
    let held = hub.router.table().find("a", "x").expect("it stays").data() == [2];
    assert!(held || answer != str_value("ok"), "answered ok, and not taken: {:?} stale", hub.router.stats().stale);
}

#[test]
fn a_request_that_is_none_is_answered_with_what_is_wrong_and_no_fault_of_the_hub() {
    let mut hub = Direct::new(RouterConfig::default());
    let rep = hub.open_gateway(Role::Rep, false);
    hub.events();
    let cases = [
        (vec![], "the message is empty"),
        (vec![0xC1], "the reserved byte C1"),
        (vec![0x92, 0xA3, b'g'], "the bytes end inside a value"),
        ([json(r#"["peers"]"#), vec![0]].concat(), "bytes follow behind the end"),
        (vec![0x91; 100], "nested too deep"),
        (json(r#""get""#), r#"unknown request "get""#),
        (json("[]"), "unknown request of 0 elements"),
        (json(r#"["get", "x", "y", "z"]"#), "unknown request of 4 elements"),
        (json(r#"["gets", "x"]"#), r#"unknown request "gets""#),
        (json(r#"["get"]"#), r#"expected ["get", name]"#),
        (json(r#"["list"]"#), r#"expected ["list", pattern]"#),
        (json(r#"["peers", 1]"#), r#"expected ["peers"]"#),
        (json(r#"["get", 7]"#), "get: the name is no str: 7"),
        (json(r#"["get", ""]"#), "empty"),
        (json(r#"["get", "$ns/ping"]"#), "begins with $ns/"),
        (json(r#"["list", ""]"#), "list: "),
    ];
    for (request, words) in &cases {
        let fault = fault(&mut hub, rep, request);
        assert!(fault.contains(words), "{fault:?}, not {words:?}");
        assert!(!fault.contains(char::is_control) && fault.chars().count() <= 1001, "{fault:?}");
    }
    assert_eq!((hub.peer(rep).messages_in, hub.peer(rep).malformed, hub.router.stats().malformed), (0, 0, 0));
    assert!(hub.warnings().is_empty());
    assert_eq!(hub.ask(rep, &old_state("s", "x", &[1])), str_value("ok"));
}

#[test]
fn answers_go_back_by_the_routes_of_their_requests_in_their_order() {
    let mut hub = Direct::new(RouterConfig::default());
    let rep = hub.open_gateway(Role::Rep, false);
    let routes: Vec<Vec<u8>> = (0..=255).map(|len| (0..len).map(|i| (7 * i + len) as u8).collect()).collect();
    let frame = |(i, route): (usize, &Vec<u8>)| {
        let note = note(route, &old_state("s", &format!("k{i}"), &[i as u8 & 0x7F]));
        [&frame_head(Framing::Inproc, note.len())[..], &note].concat()
    };
    // In pieces, all of them before one answer is taken.
    let stream: Vec<u8> = routes.iter().enumerate().flat_map(frame).collect();
    stream.chunks(777).for_each(|piece| hub.bytes(rep, piece));
    let ask = |(i, route): (usize, &Vec<u8>)| hub.message(rep, route, &json(&format!(r#"["get", "k{i}"]"#)));
    routes.iter().enumerate().for_each(ask);
    hub.settle();
    let answers = hub.answers(rep);
    assert_eq!(answers.len(), 2 * routes.len());
    let (published, got) = answers.split_at(routes.len());
    for (i, route) in routes.iter().enumerate() {
        assert_eq!(published[i], (route.clone(), str_value("ok")));
        assert_eq!(got[i].0, *route);
    }
    // These are withheld, and each answer names its own.
    assert!(got
        .iter()
        .enumerate()
        .all(|(i, (_, answer))| { wire::text(answer).is_some_and(|fault| fault.contains(&format!("\"k{i}\""))) }));
}

#[test]
fn who_asks_and_takes_no_answers_is_not_read_until_it_does() {
    const OUTBOX: usize = 10_000;
    for role in [Role::Rep, Role::Respondent] {
        let mut hub = Direct::new(RouterConfig { outbox: OUTBOX, ..RouterConfig::default() });
        hub.router.about.host = "h".repeat(1000);
        let (a, app) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
        hub.publish(a, "a", "x", &value(Kind::Text, 1, 1000));
        let (gateway, pull, subscribers) =
            (hub.open_gateway(role, false), hub.open_gateway(Role::Pull, false), hub.open_pub(false));
        let mut asked = 0;
        while hub.router.reads(gateway) {
            hub.message(gateway, &[asked], &json(r#"["get", "x"]"#));
            asked += 1;
            assert!(asked < 20, "each answer has more than 1000 bytes");
        }
        let waits = hub.peer(gateway).outbox_bytes as usize;
        assert!((OUTBOX + 1..OUTBOX + 1500).contains(&waits), "{waits} bytes wait");
        // The others are read as before, whatever waits for them.
        assert!([a, app, pull, subscribers].iter().all(|&conn| hub.router.reads(conn)));
        let mut outgoing = Outgoing::new(gateway);
        outgoing.read(&mut hub, waits - OUTBOX - 1);
        assert!(!hub.router.reads(gateway), "one byte too many");
        outgoing.read(&mut hub, 1);
        assert!(hub.router.reads(gateway));
        let answers = outgoing.frames(&mut hub);
        let routes: Vec<_> = answers.iter().map(|frame| gateway::split_answer(frame).expect("an answer").0).collect();
        assert!(routes.iter().enumerate().all(|(i, route)| *route == [i as u8]) && routes.len() == asked as usize);
    }
}

#[test]
fn a_reader_that_does_not_keep_up_is_read_all_the_same() {
    let mut hub = Direct::new(RouterConfig { outbox: 100, ..RouterConfig::default() });
    let (a, subscribers) = (hub.open_v1("a", 1), hub.open_pub(false));
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 1000));
    assert!(hub.peer(subscribers).outbox_bytes > 1000);
    assert!(hub.router.reads(subscribers), "or the hub would not hear that its clients are gone");
}

#[test]
fn many_requests_that_come_at_once_take_bounded_memory() {
    const OUTBOX: usize = 10_000;
    const LARGEST: usize = 20_000;
    let mut hub = Direct::new(RouterConfig { outbox: OUTBOX, legacy_max: LARGEST, ..RouterConfig::default() });
    let (a, rep) = (hub.open_v1("a", 1), hub.open_gateway(Role::Rep, false));
    hub.publish(a, "a", "x", &value(Kind::Text, 1, LARGEST - 100));
    // As many as one read may give: whether the hub reads is asked before it.
    let note = note(b"route", &json(r#"["list", "*"]"#));
    let frame = [&frame_head(Framing::Inproc, note.len())[..], &note].concat();
    let requests = frame.repeat((64 << 10) / frame.len());
    assert!(hub.router.reads(rep));
    hub.bytes(rep, &requests);
    let waits = hub.peer(rep).outbox_bytes as usize;
    // Nothing larger than the requests themselves, beyond one answer.
    assert!(waits <= OUTBOX + LARGEST + 10 * requests.len(), "{waits} bytes wait for {} of requests", requests.len());
}

#[test]
fn a_survey_is_answered_with_who_the_hub_is_whatever_it_asks() {
    let mut hub = Direct::new(RouterConfig::default());
    let about = &mut hub.router.about;
    (about.host, about.pid) = ("a host".into(), 4711);
    about.addresses = (0..20).map(|i| format!("tcp://127.0.0.1:{i}")).collect();
    let (respondent, a) = (hub.open_gateway(Role::Respondent, false), hub.open_v1("a", 1));
    // Apps and old peers count, gateways do not.
    hub.open_old();
    hub.publish(a, "a", "x", &[1]);
    let surveys = [vec![], vec![0xC1], json(r#"["peers"]"#), vec![0x91; 1000], old_state("s", "y", &[1])];
    let mut answers: Vec<_> = surveys.iter().map(|survey| hub.ask(respondent, survey)).collect();
    assert_eq!(wire::check(&answers[0]), Ok(Kind::Map));
    let words = wire::from_msgpack(&answers[0]);
    for part in [
        r#""host":"a host""#,
        r#""pid":4711"#,
        r#""peers":2"#,
        r#""states":1"#,
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:19",
        concat!('"', env!("CARGO_PKG_VERSION"), '"'),
    ] {
        assert!(words.contains(part), "{words} has no {part}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same answer to every survey");
    let stats = hub.router.stats();
    assert_eq!((stats.messages_in, stats.malformed, stats.states), (1, 0, 1), "a survey publishes nothing");
}

#[test]
fn a_gateway_is_a_peer_with_its_clients_and_what_they_missed() {
    let mut hub = Direct::new(RouterConfig::default());
    let (publisher, pull) = (hub.open_gateway(Role::Pub, false), hub.open_gateway(Role::Pull, false));
    assert_eq!(hub.events(), [(PeerEvent::Joined, Status::Ok); 2]);
    hub.status(publisher, gateway::Status { clients: 3, dropped: 10, again: true });
    hub.status(pull, gateway::Status { clients: 2, dropped: 0, again: true });
    hub.status(publisher, gateway::Status { clients: 2, dropped: 12, again: false });
    assert!(hub.frames(publisher).is_empty());
    let stats = hub.peer(publisher);
    assert_eq!((stats.clients, stats.dropped, stats.old, stats.live), (2, 12, true, true));
    assert_eq!((stats.identity.as_str(), stats.from), ("", format!("peer {}", publisher.0)));
    assert_eq!((hub.peer(pull).clients, hub.peer(pull).dropped), (2, 0));
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.old_peers, stats.joined, stats.dropped), (2, 2, 2, 12));
    // The number is of all since it was opened; what it was at last stays when the gateway is gone.
    hub.lose(publisher);
    assert_eq!(hub.events(), [(PeerEvent::Left, Status::Closed)]);
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.old_peers, stats.dropped), (1, 1, 12));
    let again = hub.open_gateway(Role::Pub, false);
    hub.status(again, gateway::Status { clients: 1, dropped: 5, again: true });
    assert_eq!(hub.router.stats().dropped, 17);
    hub.lose(again);
    hub.lose(pull);
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.joined, stats.dropped), (0, 3, 17));
}

#[test]
fn a_hub_that_is_full_refuses_a_gateway() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let (a, gateway) = (hub.open_v1("a", 1), hub.open_gateway(Role::Rep, false));
    hub.events();
    for role in Role::ALL {
        let refused = hub.open_gateway(role, false);
        assert!(hub.is_closed(refused), "{role:?}");
        // What it still tells counts for nothing.
        hub.message(refused, b"", &old_state("s", "x", &[1]));
        hub.client_comes(refused, 1);
        assert!(hub.frames(refused).is_empty());
        assert_eq!(hub.events(), [(PeerEvent::Refused, Status::Full)], "{role:?}");
    }
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.refused_peers, stats.messages_in), (2, 4, 0));
    // It counts as one peer itself.
    let app = hub.hello("b", 2, 1, HelloFlags(0));
    assert_eq!(hub.refusal(app), Some(Status::Full));
    hub.lose(gateway);
    hub.open_gateway(Role::Pub, false);
    hub.lose(a);
    hub.open_v1("b", 2);
}

#[test]
fn a_gateway_needs_no_handshake_and_may_be_silent_for_ever() {
    let mut hub = Direct::new(RouterConfig::default());
    let gateways: Vec<_> = Role::ALL.iter().map(|&role| hub.open_gateway(role, false)).collect();
    assert_eq!(hub.router.deadline(), None);
    hub.pass(100 * 3600 * SEC);
    assert!(hub.closed.is_empty());
    assert_eq!(hub.router.stats().peers, gateways.len() as u64);
}

#[test]
fn what_is_no_note_is_left_alone() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, subscribers) = (hub.open_v1("a", 1), hub.open_pub(false));
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 1));
    hub.frames(subscribers);
    let gateways: Vec<_> = Role::ALL.iter().map(|&role| hub.open_gateway(role, false)).collect();
    let status = gateway::Status { clients: 1, dropped: 9, again: true }.encode();
    let message = note(b"route", &old_state("s", "y", &value(Kind::Text, 1, 1)));
    let strange = [
        &[][..],
        &message[..1],
        &message[..5],
        &status[..13],
        &[&status[..], &[0]].concat(),
        &[&[2], &message[1..]].concat(),
        &old_state("s", "y", &value(Kind::Text, 1, 1)),
        &header(Version::Old),
    ];
    for &gateway in gateways.iter().chain([&subscribers]) {
        strange.iter().for_each(|bytes| hub.tell(gateway, bytes));
        assert!(hub.frames(gateway).is_empty() && !hub.is_closed(gateway));
        assert_eq!(hub.peer(gateway).malformed, 0);
    }
    // Nor does anybody publish through a socket that only sends.
    hub.tell(subscribers, &message);
    let stats = hub.router.stats();
    assert_eq!((stats.messages_in, stats.malformed, stats.dropped), (1, 0, 0));
    assert!(hub.warnings().is_empty());
}

#[test]
fn a_message_that_a_gateway_could_not_hand_on_counts_once() {
    let mut hub = Direct::new(RouterConfig::default());
    let mut note = Vec::new();
    assert!(gateway::too_large(b"route", 1 << 40, &mut note));
    for (counted, role) in (1..).zip(Role::ALL) {
        let gateway = hub.open_gateway(role, false);
        hub.events();
        hub.tell(gateway, &note);
        let answers = hub.answers(gateway);
        assert_eq!(answers.len(), usize::from(role.answers()), "{role:?}");
        assert!(answers.iter().all(|(route, answer)| route == b"route" && wire::check(answer).is_ok()), "{role:?}");
        if role == Role::Rep {
            let text = wire::text(&answers[0].1).expect("a fault");
            assert!(text.contains("message of 1099511627776 bytes refused: the limit is"), "{text}");
        }
        let stats = hub.router.stats();
        assert_eq!((stats.too_large, stats.malformed, stats.messages_in), (counted, 0, 0), "{role:?}");
        assert_eq!((hub.peer(gateway).too_large, hub.warnings().len()), (1, 1), "{role:?}");
    }
}

#[test]
fn what_was_pushed_expires_when_its_gateway_is_gone() {
    let mut hub = Direct::new(RouterConfig::default());
    let (pull, rep) = (hub.open_gateway(Role::Pull, false), hub.open_gateway(Role::Rep, false));
    hub.message(pull, b"", &old_state("one", "x", &[1]));
    hub.message(pull, b"", &old_state("two", "x", &[1]));
    assert_eq!(hub.ask(rep, &old_state("three", "x", &[1])), str_value("ok"));
    hub.pass(25 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 3, "as long as it is there");
    // Who is heard by another way stays.
    assert_eq!(hub.ask(rep, &old_state("two", "y", &[1])), str_value("ok"));
    hub.lose(pull);
    hub.pass(23 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 4);
    hub.pass(3600 * SEC);
    let table = hub.router.table();
    assert!(table.find("one", "x").is_none());
    assert!([("two", "x"), ("two", "y"), ("three", "x")]
        .iter()
        .all(|(sender, name)| table.find(sender, name).is_some()));
    hub.lose(rep);
    hub.pass(24 * 3600 * SEC);
    assert_eq!((hub.router.table().len(), hub.router.table().bytes()), (0, 0));
}

// ---- clients of gateways that have connections of their own

/// Every protocol that has a name here.
const PROTOCOLS: [Sp; 9] = [
    framing::BUS,
    framing::PUB,
    framing::SUB,
    framing::REQ,
    framing::REP,
    framing::PUSH,
    framing::PULL,
    framing::SURVEYOR,
    framing::RESPONDENT,
];

/// The number of a protocol, as its header has it.
fn number(protocol: Sp) -> u16 {
    let header = gateway_header(protocol);
    u16::from_be_bytes([header[4], header[5]])
}

/// A trace of so many steps, told from others by `tag`.
fn trace(steps: usize, tag: u8) -> Vec<u8> {
    let mut trace: Vec<u8> = (0..steps).flat_map(|step| [0x7F, step as u8, tag, 0xFF]).collect();
    if let Some(last) = steps.checked_sub(1) {
        trace[4 * last] = 0x80;
    }
    trace
}

/// A request over TCP, in its frame.
fn request(trace: &[u8], asks: &[u8]) -> Vec<u8> {
    [&frame_head(Framing::Tcp, trace.len() + asks.len())[..], trace, asks].concat()
}

/// What waits for a client that asked with a trace of one step, without the traces; these are those of `tags`.
fn answers_to(hub: &mut Direct, client: ConnId, tags: impl IntoIterator<Item = u8>) -> Vec<Vec<u8>> {
    let bodies = hub.bodies(client);
    let tags: Vec<_> = tags.into_iter().collect();
    assert_eq!(bodies.len(), tags.len(), "an answer to each");
    let behind = |(body, tag): (&Vec<u8>, u8)| body.strip_prefix(&trace(1, tag)[..]).expect("its trace").to_vec();
    bodies.iter().zip(tags).map(behind).collect()
}

/// The answer to a request, the only one that waits.
fn asked(hub: &mut Direct, client: ConnId, asks: &[u8]) -> Vec<u8> {
    hub.bytes(client, &request(&trace(1, 9), asks));
    hub.settle();
    answers_to(hub, client, [9]).remove(0)
}

#[test]
fn a_client_of_each_protocol_exchanges_headers_and_takes_part() {
    for (framing, role) in Role::ALL.into_iter().flat_map(|role| [(Framing::Tcp, role), (Framing::Ipc, role)]) {
        let mut hub = Direct::new(RouterConfig { legacy_snapshot: true, ..RouterConfig::default() });
        let a = hub.open_v1("a", 1);
        hub.publish(a, "a", "x", &value(Kind::Text, 1, 10));
        hub.events();
        let client = hub.open_client(framing, role, false);
        let header = gateway_header(role.hears());
        let (most, last) = header.split_at(HEADER_LEN - 1);
        hub.bytes(client, most);
        assert!(hub.read(client, usize::MAX).is_empty() && hub.events().is_empty(), "{role:?}");
        assert_eq!(hub.router.stats().peers, 1);
        hub.bytes(client, last);
        assert_eq!(hub.events(), [(PeerEvent::Joined, Status::Ok)], "{role:?}");
        let written = hub.read(client, usize::MAX);
        let (theirs, rest) = written.split_at(HEADER_LEN);
        assert_eq!(theirs, gateway_header(role.speaks()), "{role:?}");
        let states = whole_frames(framing, rest).len();
        assert_eq!(states, usize::from(role == Role::Pub), "only who listens is sent states");
        hub.publish(a, "a", "y", &value(Kind::Text, 1, 10));
        hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
        assert_eq!(whole_frames(framing, &hub.read(client, usize::MAX)).len(), states);
        let stats = hub.peer(client);
        assert_eq!((stats.identity.as_str(), stats.old, stats.live), ("", true, true), "{role:?}");
        assert_eq!((stats.clients, stats.dropped, stats.conflated), (0, 0, 0), "{role:?}");
        assert_eq!((stats.messages_out, stats.withheld), (2 * states as u64, states as u64), "{role:?}");
        let stats = hub.router.stats();
        assert_eq!((stats.peers, stats.old_peers, stats.joined, stats.refused_peers), (2, 1, 2, 0));
        // From here on it may be silent.
        hub.pass(100 * 3600 * SEC);
        assert!(hub.closed.is_empty(), "{role:?}");
        hub.lose(client);
        assert_eq!(hub.events(), [(PeerEvent::Left, Status::Closed)]);
        assert_eq!((hub.router.stats().peers, hub.router.stats().old_peers), (1, 0));
    }
}

#[test]
fn who_does_not_speak_a_gateways_protocol_is_refused_with_what_is_wrong() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 10));
    hub.events();
    for role in Role::ALL {
        let hears = gateway_header(role.hears());
        let with = |at: usize, byte: u8| {
            let mut bytes = hears;
            bytes[at] = byte;
            bytes
        };
        let others = PROTOCOLS.into_iter().filter(|&protocol| protocol != role.hears());
        let other = |protocol| {
            let (number, hears) = (number(protocol), number(role.hears()));
            (gateway_header(protocol), format!("protocol {number:#04x}, not "), format!(" ({hears:#04x})"))
        };
        let own = |bytes: [u8; HEADER_LEN], words: &str| (bytes, words.to_owned(), String::new());
        let cases = others.map(other).chain([
            own(with(7, 1), "the reserved bytes of the SP header are 00 01"),
            own(with(6, 1), "the reserved bytes of the SP header are 01 00"),
            own(with(3, 1), "not an SP header: it begins with 00 53 50 01"),
            own(*b"GET / HT", "not an SP header: it begins with \"GET \""),
            // Apps, and what they would say to a hub of their own.
            own(header(Version::V1), "protocol 0x70, not "),
        ]);
        for (bytes, words, more) in cases {
            let client = hub.open_client(Framing::Tcp, role, false);
            // What comes behind it, at once or later, counts for nothing.
            let state = old_state("s", "y", &[1]);
            let behind = match bytes {
                [b'G', ..] => [&bytes[..], b"TP/1.1\r\nHost: hub\r\n\r\n"].concat(),
                _ => [&bytes[..], &request(&[], &state), &request(&trace(1, 1), &state)].concat(),
            };
            hub.bytes(client, &behind);
            assert!(hub.is_closed(client), "{role:?}: {bytes:02X?}");
            hub.send(client, &state);
            assert!(hub.read(client, usize::MAX).is_empty(), "it is told nothing");
            let refusals = hub.refusals();
            let [(Status::Invalid, text)] = &refusals[..] else { panic!("{role:?}: {bytes:02X?}: {refusals:?}") };
            assert!(text.contains(&words) && text.contains(&more), "{role:?}: {text}, not {words}");
        }
    }
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.messages_in, stats.malformed, stats.too_large), (1, 1, 0, 0));
    assert_eq!((stats.joined, stats.refused_peers), (1, 4 * 13));
}

#[test]
fn a_client_that_does_not_say_what_it_speaks_is_refused_in_time() {
    let mut hub = Direct::new(RouterConfig::default());
    let clients: Vec<_> = Role::ALL
        .into_iter()
        .flat_map(|role| {
            let (silent, half) =
                (hub.open_client(Framing::Tcp, role, false), hub.open_client(Framing::Ipc, role, false));
            hub.bytes(half, &gateway_header(role.hears())[..7]);
            [silent, half]
        })
        .collect();
    hub.pass(limits::HANDSHAKE.as_nanos() as u64 - 1);
    assert!(hub.closed.is_empty());
    hub.pass(1);
    assert_eq!(hub.closed, clients);
    let refusals = hub.refusals();
    assert_eq!(refusals, vec![(Status::Timeout, "no handshake in time".to_owned()); clients.len()]);
    assert!(clients.iter().all(|&client| hub.read(client, usize::MAX).is_empty()));
}

#[test]
fn a_hub_that_is_full_refuses_clients_until_one_leaves() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let (client, _app) = (hub.join_client(Role::Rep, false), hub.open_v1("a", 1));
    hub.events();
    for role in Role::ALL {
        let refused = hub.open_client(Framing::Tcp, role, false);
        assert!(hub.is_closed(refused), "{role:?}");
        hub.bytes(refused, &gateway_header(role.hears()));
        assert!(hub.read(refused, usize::MAX).is_empty());
        assert_eq!(hub.refusals(), [(Status::Full, "there are 2 peers already".to_owned())], "{role:?}");
    }
    assert_eq!(asked(&mut hub, client, &json(r#"["get", "x"]"#)), json("null"), "who is there stays");
    hub.lose(client);
    hub.join_client(Role::Pub, false);
    assert_eq!((hub.router.stats().peers, hub.router.stats().refused_peers), (2, 4));
}

#[test]
fn a_subscriber_gets_the_newest_values_alone_and_then_what_changes_like_all() {
    for structured in [false, true] {
        let mut hub = Direct::new(RouterConfig::default());
        let a = hub.open_v1("a", 1);
        let publish = |hub: &mut Direct, number| {
            hub.pass(MS);
            for &kind in Kind::ALL {
                hub.publish(a, "a", kind.name(), &value(kind, number, 10));
            }
            let taken = Kind::ALL.iter().filter(|kind| structured || kind.is_plain());
            let message = |&kind: &Kind| named(kind.name(), &old_state("a", kind.name(), &value(kind, number, 10)));
            taken.map(message).collect::<Vec<_>>()
        };
        let first = hub.join_client(Role::Pub, structured);
        let states = publish(&mut hub, 0);
        assert_eq!(hub.bodies(first), states, "structured: {structured}");
        let states = publish(&mut hub, 1);
        assert_eq!(hub.bodies(first), states);
        let second = hub.join_client(Role::Pub, structured);
        assert_eq!(hub.bodies(second), states, "structured: {structured}");
        assert!(hub.bodies(first).is_empty(), "it has them");
        let states = publish(&mut hub, 2);
        assert_eq!((hub.bodies(first), hub.bodies(second)), (states.clone(), states));
        let (first, second) = (hub.peer(first), hub.peer(second));
        let (kinds, withheld) = if structured { (10, 0) } else { (2, 8) };
        assert_eq!((first.messages_out, first.withheld), (3 * kinds, 3 * withheld));
        assert_eq!((second.messages_out, second.withheld), (2 * kinds, 2 * withheld));
        // Each is told of once.
        assert_eq!(hub.warnings().len(), if structured { 0 } else { 2 });
    }
}

#[test]
fn a_state_for_a_subscriber_is_within_the_limit_with_its_name() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let (a, early) = (hub.open_v1("a", 1), hub.join_client(Role::Pub, false));
    // The heads of array, sender, name and text take 1, 2, 1 and 3 bytes.
    let text = |name: &str, len: usize| value(Kind::Text, 1, len - 4 - name.len() - 3);
    for (name, len) in [("L", 1000 - 2), ("long name", 1000 - 10), ("M", 1001 - 2), ("too long", 1001 - 9)] {
        hub.publish(a, "a", name, &text(name, len));
    }
    let late = hub.join_client(Role::Pub, false);
    for client in [early, late] {
        let frames = hub.bodies(client);
        assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000]);
        assert!(frames[0].starts_with(b"L\0") && frames[1].starts_with(b"long name\0"));
        assert_eq!(hub.peer(client).withheld, 2);
    }
    let warnings = hub.warnings();
    assert_eq!(warnings.len(), 2, "one of each: {warnings:?}");
    assert!(
        warnings.iter().all(|text| text.contains("\"M\" of 1001 bytes") && text.contains("NS_OPT_HUB_LEGACY_MAX")),
        "{warnings:?}"
    );
}

#[test]
fn a_subscriber_that_is_slow_catches_up_alone_with_the_newest_values() {
    const KEYS: u64 = 50;
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    let (slow, fast) = (hub.join_client(Role::Pub, false), hub.join_client(Role::Pub, false));
    let message = |i: u64| {
        let name = format!("k{}", i % KEYS);
        named(&name, &old_state("a", &name, &value(Kind::Text, i, 100)))
    };
    for i in 0..1000 {
        hub.pass(MS);
        hub.publish(a, "a", &format!("k{}", i % KEYS), &value(Kind::Text, i, 100));
        assert_eq!(hub.bodies(fast), [message(i)], "everything, in order");
        assert!(hub.peer(slow).outbox_bytes <= 2000 + 200);
    }
    assert!(!hub.peer(slow).live && hub.peer(fast).live);
    let before = hub.peer(slow).messages_out;
    let frames = hub.bodies(slow);
    let (waited, caught_up) = frames.split_at(before as usize);
    assert!(waited.iter().eq(&(0..before).map(message).collect::<Vec<_>>()), "what waited goes out as it is");
    assert_eq!(caught_up.len() as u64, KEYS);
    let newest: BTreeSet<_> = caught_up.iter().cloned().collect();
    assert_eq!(newest, (1000 - KEYS..1000).map(message).collect(), "of each key the newest");
    let (slow, fast) = (hub.peer(slow), hub.peer(fast));
    assert_eq!((slow.messages_out, slow.live), (before + KEYS, true));
    assert_eq!((slow.messages_out + slow.conflated, fast.messages_out, fast.conflated), (1000, 1000, 0));
}

#[test]
fn a_large_state_comes_out_whole_whatever_the_writes_take() {
    for framing in [Framing::Tcp, Framing::Ipc] {
        for piece in [1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 4095, 4096, 4097, 10_000, usize::MAX] {
            let mut hub = Direct::new(RouterConfig::default());
            let a = hub.open_v1("a", 1);
            let client = hub.open_client(framing, Role::Pub, false);
            hub.bytes(client, &gateway_header(framing::SUB));
            let mut expected = gateway_header(framing::PUB).to_vec();
            // Small and large next to each other; around the length from which bodies are shared.
            for (i, len) in [10, 4050, 4060, 4070, 10, 4080, 9000, 9000, 4090, 20_000, 10].into_iter().enumerate() {
                let (name, data) = (format!("k{i}"), value(Kind::Text, i as u64, len));
                hub.publish(a, "a", &name, &data);
                let message = named(&name, &old_state("a", &name, &data));
                expected.extend_from_slice(&frame_head(framing, message.len()));
                expected.extend(message);
            }
            let mut written = Vec::new();
            loop {
                let more = hub.read(client, piece);
                if more.is_empty() {
                    break;
                }
                written.extend(more);
            }
            assert!(written == expected, "{framing:?}, {piece} bytes at once");
            // The same for who joins now, in one piece.
            let late = hub.open_client(framing, Role::Pub, false);
            hub.bytes(late, &gateway_header(framing::SUB));
            assert!(hub.read(late, usize::MAX) == expected, "{framing:?}");
        }
    }
}

#[test]
fn what_a_subscriber_sends_is_left_alone() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, client) = (hub.open_v1("a", 1), hub.join_client(Role::Pub, false));
    hub.events();
    let state = old_state("s", "x", &value(Kind::Text, 1, 10_000));
    for bytes in [&b""[..], b"topic", &state, &trace(1, 1), &json(r#"["get", "x"]"#), &[0xC1; 100]] {
        hub.send(client, bytes);
    }
    let frame = [&frame_head(Framing::Tcp, state.len())[..], &state].concat();
    frame.chunks(7).for_each(|piece| hub.bytes(client, piece));
    assert!(hub.bodies(client).is_empty() && hub.bodies(a).iter().all(|body| body.starts_with(&[0x94])));
    let (stats, row) = (hub.router.stats(), hub.peer(client));
    assert_eq!((stats.messages_in, stats.malformed, stats.too_large, stats.states), (0, 0, 0, 0));
    assert_eq!((row.messages_in, row.malformed), (0, 0));
    assert!(hub.router.reads(client) && !hub.is_closed(client) && hub.warnings().is_empty());
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 10));
    assert_eq!(hub.bodies(client).len(), 1);
}

#[test]
fn each_client_that_pushes_is_a_peer_with_counters_of_its_own() {
    let mut hub = Direct::new(RouterConfig { max_message: 5000, legacy_max: 1000, ..RouterConfig::default() });
    let (app, old, subscriber) = (hub.open_v1("v", 1), hub.open_old(), hub.join_client(Role::Pub, false));
    hub.bodies(old);
    let clients = [hub.join_client(Role::Pull, false), hub.join_client(Role::Pull, false)];
    hub.events();
    for (i, &client) in clients.iter().enumerate() {
        let state = old_state("script", &format!("k{i}"), &value(Kind::Text, 1, 10));
        hub.send(client, &state);
        assert_eq!(hub.bodies(old), [&state[..]]);
        assert_eq!(hub.bodies(subscriber), [named(&format!("k{i}"), &state)]);
        let bodies = hub.bodies(app);
        let body = wire::decode(&bodies[0], Form::V1).expect("a body");
        assert_eq!((body.sender, body.name), ("script", &*format!("k{i}")));
        for malformed in [&[][..], &[0xC1], &[0x93, 0xA1, b'a']] {
            hub.send(client, malformed);
        }
        hub.send(client, &old_state("v", "x", &[1]));
        hub.send(client, &old_state("s", "$ns/ping", &[1]));
        // As much as an app may send, whatever goes out to old peers.
        hub.send(client, &old_state("script", "x", &value(Kind::Text, i as u64, 5000 - 13)));
        hub.send(client, &old_state("script", "x", &value(Kind::Text, i as u64, 5001 - 13)));
        hub.send(client, &[0; 10_000]);
        assert!(hub.bodies(client).is_empty() && hub.router.reads(client), "nobody reads there");
        hub.bodies(app);
    }
    for &client in &clients {
        let row = hub.peer(client);
        assert_eq!((row.malformed, row.too_large, row.messages_in, row.messages_out), (3, 2, 2, 0));
        assert!(row.old && row.from == format!("peer {}", client.0));
    }
    let stats = hub.router.stats();
    assert_eq!((stats.malformed, stats.too_large, stats.foreign_sender, stats.reserved), (6, 4, 2, 2));
    assert_eq!((stats.messages_in, stats.stale, stats.old_peers), (4, 0, 4));
    assert_eq!(stats.malformed_by.iter().sum::<u64>(), 6);
    let warnings = hub.warnings();
    for client in clients {
        let of = |words: &str| {
            let from = format!("peer {}: ", client.0);
            warnings.iter().filter(|text| text.starts_with(&from) && text.contains(words)).count()
        };
        assert_eq!((of("malformed"), of("refused")), (1, 1), "each sort once of each: {warnings:?}");
    }
}

#[test]
fn frames_of_clients_have_the_budget_and_the_time_of_all() {
    for role in Role::ALL {
        let mut hub = Direct::new(RouterConfig { unfinished: 130_000, ..RouterConfig::default() });
        let clients: Vec<_> = (0..4).map(|_| hub.join_client(role, false)).collect();
        for &client in &clients {
            hub.bytes(client, &frame_head(Framing::Tcp, 1 << 20));
            // It has allocated for as much again.
            hub.bytes(client, &[0; 20_000]);
            hub.bytes(client, &[0; 1]);
        }
        assert_eq!(hub.closed, [clients[3]], "{role:?}");
        for _ in 0..29 {
            hub.pass(SEC);
            hub.bytes(clients[0], &[0]);
        }
        hub.pass(SEC);
        assert!(hub.is_closed(clients[1]) && hub.is_closed(clients[2]) && !hub.is_closed(clients[0]), "{role:?}");
        let marked = hub.open_client(Framing::Ipc, role, false);
        hub.bytes(marked, &gateway_header(role.hears()));
        hub.bytes(marked, &[2]);
        assert!(hub.is_closed(marked), "no frame of ipc");
        hub.lose(clients[0]);
        hub.open();
        assert_eq!(hub.router.stats().unfinished_bytes, 0);
    }
}

#[test]
fn the_trace_of_a_question_stands_unchanged_before_the_answer() {
    for (role, framing) in
        [Role::Rep, Role::Respondent].into_iter().flat_map(|role| [(role, Framing::Tcp), (role, Framing::Ipc)])
    {
        let mut hub = Direct::new(RouterConfig::default());
        let client = hub.open_client(framing, role, false);
        hub.bytes(client, &gateway_header(role.hears()));
        assert_eq!(hub.read(client, usize::MAX), gateway_header(role.speaks()));
        let mut ask = |message: &[u8]| {
            hub.bytes(client, &[&frame_head(framing, message.len())[..], message].concat());
            whole_frames(framing, &hub.read(client, usize::MAX))
        };
        for steps in 1..=9 {
            // What is asked looks like one more step.
            let (trace, asks) = (trace(steps, steps as u8), json(r#"["get", "x"]"#));
            let answers = ask(&[&trace[..], &asks].concat());
            let [answer] = &answers[..] else { panic!("one answer: {answers:02x?}") };
            let answer = answer.strip_prefix(&trace[..]).unwrap_or_else(|| panic!("{steps} steps: {answer:02x?}"));
            let kind = if role == Role::Rep { Kind::Nil } else { Kind::Map };
            assert_eq!(wire::check(answer), Ok(kind), "{steps} steps");
            // Every bit of it.
            let every = [&[0x00, 0xFF, 0x00, 0xFF].repeat(steps - 1)[..], &[0xFF; 4], &asks].concat();
            assert!(ask(&every)[0].starts_with(&every[..4 * steps]));
        }
        let no_end = [&b""[..], &[0x80], &[0x80, 0, 0], &[0; 4], &[0x7F; 40], &trace(10, 1), b"\x01\x02\x03\x04\x81"];
        for message in no_end {
            assert!(ask(message).is_empty(), "nobody can be answered: {message:02x?}");
        }
        assert_eq!(ask(&[&trace(1, 1)[..], &json(r#"["peers"]"#)].concat()).len(), 1, "it lives on");
        let (stats, row) = (hub.router.stats(), hub.peer(client));
        assert_eq!((stats.malformed, stats.malformed_by[Malformed::Truncated.index()], row.malformed), (7, 7, 7));
        assert_eq!(hub.warnings().len(), 1);
    }
}

#[test]
fn a_client_that_asks_is_answered_whatever_it_asks_for() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    let structured = hub.join_client(Role::Rep, true);
    hub.publish(a, "a", "x", &json(r#""text""#));
    hub.publish(a, "a", "m", &json(r#"{"k": 1}"#));
    let mut ask = |client, asks: &str| wire::from_msgpack(&asked(&mut hub, client, &json(asks)));
    assert_eq!(ask(rep, r#"["get", "x"]"#), r#"["a","x","text"]"#);
    assert_eq!(ask(rep, r#"["get", "none"]"#), "null");
    assert!(ask(rep, r#"["get", "m"]"#).contains("?structured=1"));
    assert_eq!(ask(structured, r#"["get", "m"]"#), r#"["a","m",{"k":1}]"#);
    assert_eq!(ask(rep, r#"["list", "*"]"#), r#"[["a","x","text"]]"#);
    assert_eq!(ask(rep, r#"["peers"]"#), r#"["a"]"#, "apps only");
    assert_eq!(ask(rep, r#"["script", "y", "new"]"#), r#""ok""#);
    assert_eq!(ask(structured, r#"["get", "y"]"#), r#"["script","y","new"]"#);
    assert!(ask(rep, r#"["a", "y", "new"]"#).contains(r#"states sent as \"a\" refused"#));
    assert!(ask(rep, r#"["gets", "y"]"#).contains("unknown request"));
    assert!(asked(&mut hub, rep, b"").len() > 10, "nothing is asked, and that is answered");
    assert_eq!((hub.peer(rep).messages_in, hub.peer(rep).malformed, hub.peer(structured).messages_in), (1, 0, 0));
}

/// A hub with so many states that to list them takes a whole turn, and the app that they are of.
fn hub_of_many_states(config: RouterConfig) -> (Direct, ConnId) {
    let mut hub = Direct::new(config);
    let a = hub.open_v1("a", 1);
    (0..2000).for_each(|i| hub.publish(a, "a", &format!("k{i}"), &value(Kind::Text, i, 1)));
    (hub, a)
}

#[test]
fn what_asks_much_at_once_is_answered_in_order_one_in_each_turn() {
    let (mut hub, a) = hub_of_many_states(RouterConfig::default());
    let rep = hub.join_client(Role::Rep, false);
    let stream: Vec<u8> = (0..12).flat_map(|tag| request(&trace(1, tag), &json(r#"["list", "x"]"#))).collect();
    hub.bytes(rep, &stream);
    let mut answers = Vec::new();
    for turn in 0..12 {
        if turn > 0 {
            assert!(hub.router.is_ready(), "the rest of it has not to wait");
            // The others have their turns: what they say now is known to the next answer.
            hub.publish_at(
                a,
                "a",
                "x",
                &value(Kind::Text, turn, 1),
                Stamp { clock: turn, instance: Instance([1; 16]) },
            );
            assert!(hub.bodies(rep).is_empty());
            hub.pass(0);
        }
        assert_eq!(hub.router.reads(rep), turn == 11, "nothing more is read before all is answered");
        answers.extend(answers_to(&mut hub, rep, [turn as u8]));
    }
    for (turn, answer) in answers.iter().enumerate() {
        let expected = if turn == 0 { "[]".to_owned() } else { format!(r#"[["a","x","{turn}"]]"#) };
        assert_eq!(wire::from_msgpack(answer), expected, "turn {turn}");
    }
    hub.settle();
    assert!(hub.bodies(rep).is_empty() && !hub.router.is_due(hub.now));
}

#[test]
fn those_who_ask_much_share_the_turns_and_none_waits_for_all_of_another() {
    let (mut hub, _) = hub_of_many_states(RouterConfig::default());
    let clients: [ConnId; 4] = std::array::from_fn(|_| hub.join_client(Role::Rep, false));
    let answered =
        |hub: &mut Direct| -> Vec<usize> { clients.iter().map(|&client| hub.bodies(client).len()).collect() };
    let stream = |asks: &str, n| -> Vec<u8> { (0..n).flat_map(|tag| request(&trace(1, tag), &json(asks))).collect() };
    for client in clients {
        hub.bytes(client, &stream(r#"["list", "x"]"#, 3));
    }
    assert_eq!(answered(&mut hub), [1, 0, 0, 0], "the others wait, and not in vain");
    let mut served = Vec::new();
    while hub.router.is_ready() {
        hub.pass(0);
        let now = answered(&mut hub);
        assert_eq!(now.iter().sum::<usize>(), 1, "one in each turn");
        served.extend(now.iter().position(|&n| n == 1));
    }
    let mut counts = [1, 0, 0, 0];
    for &client in &served {
        counts[client] += 1;
        let waiting = (0..4).filter(|&other| counts[other] < 3).map(|other| counts[other]);
        assert!(counts[client] <= waiting.min().unwrap_or(3) + 2, "{served:?}");
    }
    assert_eq!(counts, [3; 4]);
    // Of what costs little there are many in a turn, and no more than that however many ask.
    for client in clients {
        hub.bytes(client, &stream(r#"["get", "x"]"#, 200));
    }
    let mut total = answered(&mut hub).iter().sum::<usize>();
    assert!(total < 100, "{total} at once");
    while hub.router.is_ready() {
        hub.pass(0);
        let now = answered(&mut hub).iter().sum::<usize>();
        assert!((1..100).contains(&now), "{now} in a turn");
        total += now;
    }
    assert_eq!(total, 800);
}

#[test]
fn what_costs_little_is_answered_at_once_behind_what_does_not() {
    let (mut hub, _) = hub_of_many_states(RouterConfig::default());
    let rep = hub.join_client(Role::Rep, false);
    let publish = |tag: u8| request(&trace(1, tag), &old_state("s", &format!("s{tag}"), &[tag]));
    let stream: Vec<u8> = (0..50)
        .chain(60..100)
        .flat_map(|tag| match tag {
            49 | 60 | 70 => request(&trace(1, tag), &json(r#"["list", "x"]"#)),
            5 | 80 => request(&trace(1, tag), &json(r#"["none"]"#)),
            _ => publish(tag),
        })
        .collect();
    hub.bytes(rep, &stream);
    answers_to(&mut hub, rep, 0..50);
    for tags in [60..61, 61..71, 71..100] {
        hub.pass(0);
        answers_to(&mut hub, rep, tags);
    }
    assert_eq!((hub.peer(rep).messages_in, hub.router.table().len()), (85, 2085));
    let surveyor = hub.join_client(Role::Respondent, false);
    let surveys: Vec<u8> = (0..20).flat_map(|tag| request(&trace(1, tag), b"")).collect();
    hub.bytes(surveyor, &surveys);
    answers_to(&mut hub, surveyor, 0..20);
}

#[test]
fn what_is_asked_in_pieces_is_answered_the_same() {
    let stream: Vec<u8> = (0..30)
        .flat_map(|tag| match tag % 3 {
            0 => request(&trace(1, tag), &old_state("s", "x", &value(Kind::Text, tag.into(), 5000))),
            1 => request(&trace(1, tag), &json(r#"["get", "x"]"#)),
            _ => request(&trace(1, tag), &json(r#"["list", "**"]"#)),
        })
        .collect();
    let run = |piece: usize| {
        let mut hub = Direct::new(RouterConfig::default());
        let rep = hub.join_client(Role::Rep, false);
        let mut bodies = Vec::new();
        for piece in stream.chunks(piece) {
            assert!(hub.router.reads(rep));
            hub.bytes(rep, piece);
            hub.settle();
            bodies.extend(hub.bodies(rep));
        }
        bodies
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.len(), 30);
    for piece in [1, 7, 100, 5000, 5021, 5022, 60_000] {
        assert!(run(piece) == whole, "{piece} bytes at once");
    }
}

#[test]
fn a_client_that_reads_no_answers_is_not_read_and_goes_on_when_it_does() {
    const OUTBOX: usize = 10_000;
    for role in [Role::Rep, Role::Respondent] {
        let mut hub = Direct::new(RouterConfig { outbox: OUTBOX, ..RouterConfig::default() });
        hub.router.about.host = "h".repeat(1000);
        let (a, client) = (hub.open_v1("a", 1), hub.join_client(role, false));
        let (other, subscriber) = (hub.join_client(role, false), hub.join_client(Role::Pub, false));
        hub.publish(a, "a", "x", &value(Kind::Text, 1, 1000));
        let stream: Vec<u8> = (0..100).flat_map(|tag| request(&trace(1, tag), &json(r#"["get", "x"]"#))).collect();
        // The last one is not there yet as a whole.
        let (now, later) = stream.split_at(stream.len() - 1);
        hub.bytes(client, now);
        hub.settle();
        let waits = hub.peer(client).outbox_bytes as usize;
        assert!((OUTBOX + 1..OUTBOX + 1500).contains(&waits), "{waits} bytes wait");
        assert!(!hub.router.reads(client), "{role:?}");
        assert!([a, other, subscriber].iter().all(|&conn| hub.router.reads(conn)));
        // However long it takes: nobody waits for a client that does not read.
        hub.pass(3600 * SEC);
        assert!(!hub.is_closed(client) && hub.peer(client).outbox_bytes as usize == waits);
        hub.bytes(other, &request(&trace(1, 7), &json(r#"["peers"]"#)));
        answers_to(&mut hub, other, [7]);
        let mut outgoing = Outgoing::new(client);
        outgoing.read(&mut hub, waits - OUTBOX - 1);
        hub.settle();
        assert_eq!(hub.peer(client).outbox_bytes as usize, OUTBOX + 1, "one byte too many");
        outgoing.read(&mut hub, 1);
        assert!(hub.router.is_ready(), "it goes on");
        hub.settle();
        assert!(hub.peer(client).outbox_bytes as usize > OUTBOX && !hub.router.reads(client));
        for _ in 0..100 {
            outgoing.read(&mut hub, 3000);
            hub.settle();
            assert!((hub.peer(client).outbox_bytes as usize) < OUTBOX + 1500);
        }
        assert!(hub.router.reads(client));
        hub.bytes(client, later);
        let answers = outgoing.frames(&mut hub);
        assert_eq!(answers.len(), 100, "{role:?}");
        assert!((0..).zip(&answers).all(|(tag, answer)| answer.starts_with(&trace(1, tag)) && answer.len() > 1000));
        assert!(answers.iter().all(|answer| answer[4..] == answers[0][4..]));
    }
}

#[test]
fn a_frame_that_stalls_behind_what_was_left_for_later_has_its_time_from_then_on() {
    let mut hub = Direct::new(RouterConfig { outbox: 1, ..RouterConfig::default() });
    let rep = hub.join_client(Role::Rep, false);
    let stream: Vec<u8> = (0..3).flat_map(|tag| request(&trace(1, tag), &json(r#"["peers"]"#))).collect();
    hub.bytes(rep, &stream[..stream.len() - 1]);
    hub.pass(100 * SEC);
    for tag in 0..2 {
        answers_to(&mut hub, rep, [tag]);
        hub.settle();
    }
    hub.pass(limits::STALLED_FRAME.as_nanos() as u64 - 1);
    assert!(!hub.is_closed(rep));
    hub.pass(1);
    assert!(hub.is_closed(rep));
}

#[test]
fn who_leaves_takes_what_he_asked_along_and_the_others_are_answered() {
    let (mut hub, _) = hub_of_many_states(RouterConfig { outbox: 1000, ..RouterConfig::default() });
    let clients: Vec<_> = (0..5).map(|_| hub.join_client(Role::Rep, false)).collect();
    let stream: Vec<u8> = (0..10).flat_map(|tag| request(&trace(1, tag), &json(r#"["list", "x"]"#))).collect();
    for &client in &clients {
        hub.bytes(client, &stream);
    }
    hub.pass(0);
    // Some leave, and with them what they asked.
    hub.lose(clients[0]);
    hub.pass(0);
    hub.lose(clients[3]);
    hub.bytes(clients[2], &frame_head(Framing::Tcp, 1 << 40));
    hub.settle();
    for &client in &[clients[1], clients[2], clients[4]] {
        answers_to(&mut hub, client, 0..10);
    }
    assert_eq!(hub.router.stats().peers, 4);
    // What followed was a frame over the limit, which the others have nothing to do with.
    assert_eq!((hub.peer(clients[2]).too_large, hub.router.stats().too_large), (1, 1));
    assert!(hub.router.reads(clients[1]) && hub.router.reads(clients[4]));
}

#[test]
fn who_leaves_with_questions_that_are_not_answered_leaves_nothing_behind() {
    let mut hub = Direct::new(RouterConfig { outbox: 100, ..RouterConfig::default() });
    let (asks, half) = (request(&trace(1, 1), &json(r#"["peers"]"#)), request(&trace(1, 1), &[0xC1; 10_000]));
    for reads in [false, true] {
        let rep = hub.join_client(Role::Rep, false);
        hub.bytes(rep, &[&asks.repeat(100)[..], &half[..9000]].concat());
        if reads {
            hub.bodies(rep);
        } else {
            hub.settle();
        }
        assert!(!hub.router.reads(rep));
        hub.lose(rep);
        assert_eq!(hub.events(), [(PeerEvent::Joined, Status::Ok), (PeerEvent::Left, Status::Closed)]);
        hub.settle();
        hub.pass(3600 * SEC);
        let stats = hub.router.stats();
        assert_eq!((stats.peers, stats.unfinished_bytes, stats.malformed), (0, 0, 0));
        assert!(
            hub.closed.is_empty() && hub.router.deadline().is_none() && !hub.router.is_ready(),
            "there is nothing to do"
        );
    }
}

#[test]
fn an_answer_is_within_the_limit_with_its_trace() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    for steps in 1..=9 {
        // Two bodies in an array head of one byte, and one body: the heads of a body take 4 bytes, those of names and
        // texts 2 and 3.
        let (most, trace) = (1000 - 4 * steps, trace(steps, 1));
        for over in [0, 1] {
            hub.pass(MS);
            hub.publish(a, "a", "l1", &value(Kind::Text, 1, 400 - 6 - 3));
            hub.publish(a, "a", "l2", &value(Kind::Text, 1, most - 1 - 400 - 6 - 3 + over));
            hub.publish(a, "a", "g", &value(Kind::Text, 1, most - 5 - 3 + over));
            for asks in [r#"["list", "l*"]"#, r#"["get", "g"]"#] {
                hub.bytes(rep, &request(&trace, &json(asks)));
                hub.settle();
                let answer = hub.bodies(rep).remove(0);
                if over == 0 {
                    assert_eq!(answer.len(), 1000, "{asks} in {steps} steps");
                    continue;
                }
                let text = wire::text(&answer[trace.len()..]).expect("a fault").to_owned();
                assert!(text.contains(&format!("{} bytes, at most {most}", most + 1)), "{steps} steps: {text}");
            }
        }
    }
}

#[test]
fn a_survey_of_a_client_counts_apps_and_is_answered_whatever_it_says() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.about.host = "a host".into();
    let (client, a) = (hub.join_client(Role::Respondent, false), hub.open_v1("a", 1));
    for role in Role::ALL {
        hub.join_client(role, false);
    }
    hub.publish(a, "a", "x", &[1]);
    let surveys = [vec![], vec![0xC1], json(r#"["peers"]"#), vec![0x91; 1000], old_state("s", "y", &[1])];
    let mut answers: Vec<_> = surveys.iter().map(|survey| asked(&mut hub, client, survey)).collect();
    let words = wire::from_msgpack(&answers[0]);
    assert!(
        [r#""host":"a host""#, r#""peers":1,"#, r#""states":1,"#].iter().all(|part| words.contains(part)),
        "{words}"
    );
    answers.dedup();
    assert_eq!((answers.len(), hub.router.stats().malformed, hub.router.stats().messages_in), (1, 0, 1));
}

// ---- an app

#[test]
fn an_acknowledgement_comes_behind_everything_it_covers() {
    let mut app = DirectApp::new();
    app.publish("x", &[1]).unwrap();
    app.link(1);
    app.publish("y", &[2]).unwrap();
    let version = app.session.request_ack();
    assert!(!app.session.is_acked(version));
    let bodies = app.bodies();
    let names: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).unwrap().name).collect();
    assert_eq!(names.last(), Some(&"$ns/ping"));
    assert!(names.contains(&"x") && names.contains(&"y"));
    let Ok(Control::Ping { token }) = Control::decode(&wire::decode(bodies.last().unwrap(), Form::V1).unwrap()) else {
        panic!("a ping")
    };
    // What comes later is not covered.
    app.publish("z", &[3]).unwrap();
    let later = app.session.request_ack();
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version) && !app.session.is_acked(later));
}

#[test]
fn an_acknowledgement_that_a_break_took_is_asked_for_again() {
    let mut app = DirectApp::new();
    app.link(1);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    assert!(app.ping().is_some());
    app.closed();
    app.pass(SEC);
    app.link(1);
    let token = app.ping().expect("asked again");
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version));
}

#[test]
fn what_a_hub_acknowledged_is_not_acknowledged_by_the_one_that_took_its_place() {
    let mut app = DirectApp::new();
    app.link(1);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    let token = app.ping().unwrap();
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version));
    app.closed();
    app.pass(SEC);
    app.link(1);
    assert!(app.session.is_acked(version), "the same hub still has it");
    app.closed();
    app.pass(SEC);
    app.link(2);
    let version = app.session.request_ack();
    assert!(!app.session.is_acked(version), "another hub has to get it first");
    let token = app.ping().expect("asked again");
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version));
}

#[test]
fn values_that_are_withheld_from_an_old_hub_do_not_hold_up_a_flush() {
    let mut app = DirectApp::new();
    app.publish("i", &[1]).unwrap();
    app.open();
    app.bytes(&header(Version::Old));
    // The header that told of v1 may have been too much for the hub: the app comes again as an old peer.
    if app.session.link() != Link::Connected {
        app.pass(SEC);
        app.open();
        app.bytes(&header(Version::Old));
    }
    assert_eq!(app.session.link(), Link::Connected);
    let version = app.session.request_ack();
    app.written();
    assert!(app.session.is_acked(version));
    app.publish("j", &[2]).unwrap();
    let version = app.session.request_ack();
    app.written();
    assert!(app.session.is_acked(version));
    assert_eq!(app.session.stats().withheld, 2);
}

#[test]
fn an_acknowledgement_comes_while_others_go_on_publishing_over_a_slow_link_and_covers_no_more_than_it_says() {
    const KEYS: usize = 6000;
    let mut app = DirectApp::new();
    // The key of each version; its value is the version.
    let mut published = Vec::new();
    let publish = |app: &mut DirectApp, published: &mut Vec<usize>, key: usize| {
        published.push(key);
        app.publish(&format!("k{key}"), &value(Kind::Text, published.len() as u64, 1000)).unwrap();
    };
    for key in 0..KEYS {
        publish(&mut app, &mut published, key);
    }
    app.link(1);
    let version = app.session.request_ack();
    assert_eq!(version, KEYS as u64);
    let mut reader = Decoder::new(Framing::Tcp, usize::MAX);
    let (mut header, mut seen, mut pings) = (HEADER_LEN, vec![0; KEYS], 0);
    for round in 0..1000 {
        // About as much as is read in that time, so that there is always more.
        for i in 0..30 {
            app.pass(1000);
            publish(&mut app, &mut published, (round * 40 + i * 131) % KEYS);
        }
        app.session.request_ack();
        let mut slices = Vec::new();
        app.session.gather(app.now, ConnId(app.conns), &mut slices);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(30_000).collect();
        app.session.wrote(app.now, ConnId(app.conns), bytes.len());
        let mut input = &bytes[header.min(bytes.len())..];
        header = header.saturating_sub(bytes.len());
        while let Ok(Some(Frame::Body(bytes))) = reader.next(&mut input) {
            let body = wire::decode(bytes, Form::V1).unwrap();
            if let Some(key) = body.name.strip_prefix('k') {
                let number = wire::text(body.data).unwrap().trim_end_matches('.');
                seen[key.parse::<usize>().unwrap()] = number.parse::<usize>().unwrap();
            } else if let Ok(Control::Ping { token }) = Control::decode(&body) {
                pings += 1;
                for (i, &key) in published[..token as usize].iter().enumerate() {
                    assert!(seen[key] > i, "ping {token} came before value {} of key {key}", i + 1);
                }
                assert!(token >= version || pings > 1);
            }
        }
    }
    assert!(pings > 1, "{pings} pings in several walks");
}

#[test]
fn a_full_send_queue_refuses_and_loses_nothing_that_was_taken() {
    let mut world = World::new(1);
    let a = world.add_app_with("a", HUB, |app| app.session.set_send_queue(50_000));
    let mut taken = 0;
    for i in 0..100 {
        match world.publish(a, &format!("k{i}"), Kind::Bytes, 2000) {
            Ok(()) => taken += 1,
            Err(status) => assert_eq!(status, Status::Full),
        }
    }
    assert!((15..25).contains(&taken), "{taken} taken");
    assert!(world.app(a).session.stats().own_bytes <= 50_000);
    // A key that is there may still change.
    world.publish(a, "k0", Kind::Bytes, 2000).unwrap();
    world.add_hub(HUB, RouterConfig::default());
    world.add_app("b", HUB);
    world.settle();
    world.check_promise();
}

#[test]
fn a_message_over_the_hubs_limit_fails_at_send() {
    each_seed(5, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig { max_message: 5000, ..RouterConfig::default() });
        let (a, b) = (world.add_app("a", HUB), world.add_app("b", HUB));
        // Not known yet: taken, and withheld later.
        world.publish(a, "early", Kind::Text, 6000).unwrap();
        world.app(a).sent.clear();
        world.settle();
        assert_eq!(world.publish(a, "late", Kind::Text, 6000), Err(Status::TooLarge));
        world.publish(a, "fits", Kind::Text, 4000).unwrap();
        world.settle();
        assert_eq!(world.app(b).newest.len(), 1);
        assert_eq!(world.app(a).session.stats().withheld, 1);
        world.check_promise();
    });
}

#[test]
fn a_receive_queue_conflates_and_then_drops_the_oldest_and_counts_both() {
    let mut app = DirectApp::new();
    app.session.inbox.set_limit(20_000);
    app.link(1);
    let mut clock = 1_800_000_000_000;
    let mut send = |app: &mut DirectApp, name: &str, number: u64| {
        clock += 1;
        let meta = Meta { stamp: Some(stamp(clock)), ..Meta::default() };
        app.receive(&body(Form::V1, "b", name, &value(Kind::Bytes, number, 1000), &meta));
    };
    for i in 0..100 {
        send(&mut app, &format!("k{}", i % 5), i);
    }
    let stats = app.session.stats();
    assert_eq!(stats.dropped_in, 0);
    assert!(stats.conflated_in >= 80 && stats.queued_bytes <= 20_000, "{stats:?}");
    assert_eq!(stats.received, stats.conflated_in + stats.queued);
    for i in 0..100 {
        send(&mut app, &format!("d{i}"), i);
    }
    let stats = app.session.stats();
    assert!(stats.dropped_in >= 80 && stats.queued_bytes <= 20_000, "{stats:?}");
    assert_eq!(stats.received, stats.conflated_in + stats.dropped_in + stats.queued);
    let mut left = Vec::new();
    while let Some(state) = app.session.inbox.pop() {
        left.push(state.name().to_owned());
    }
    let newest: Vec<_> = (100 - left.len()..100).map(|i| format!("d{i}")).collect();
    assert_eq!(left, newest, "the newest are left, in order");
    assert_eq!(app.session.stats().queued_bytes, 0);
}

#[test]
fn kinds_that_are_not_accepted_are_counted_and_told_if_asked() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        let b = world.add_app_with("b", HUB, |app| app.accept = Kind::Text.mask());
        world.publish(a, "t", Kind::Text, 5).unwrap();
        world.publish(a, "i", Kind::Int, 5).unwrap();
        world.settle();
        assert_eq!(world.app(b).newest.len(), 1);
        assert_eq!(world.app(b).session.stats().rejected, 0, "the hub did not even send it");
        world.with(b, |app, _| app.session.set_tells_rejects(true));
        world.settle();
        assert_eq!(world.app(b).session.stats().rejected, 1);
        world.with(b, |app, _| {
            app.accept = wire::ACCEPT_ANY;
            app.session.set_accept(wire::ACCEPT_ANY);
        });
        world.settle();
        world.check_promise();
    });
    let mut app = DirectApp::new();
    app.link(1);
    app.session.set_accept(0);
    app.session.set_tells_rejects(true);
    while app.session.next_notice().is_some() {}
    app.receive(&body(Form::V1, "b", "n", &[1], &Meta::default()));
    let told = Notice::Reject { sender: "b".into(), name: "n".into(), kind: Kind::Int };
    assert_eq!((app.session.next_notice(), app.session.inbox.len()), (Some(told), 0));
}

#[test]
fn each_new_reason_why_there_is_no_link_is_told_once() {
    let mut app = DirectApp::new();
    app.session.set_tells_links(true);
    // Each attempt in turn, then what the program is told.
    let attempt = |app: &mut DirectApp, status: Status| {
        while app.dials.is_empty() {
            app.pass(SEC);
        }
        let token = app.dials.pop().unwrap();
        app.session.dial_failed(app.now, token, nanostate::Error::from(status));
        app.actions();
        let told = std::iter::from_fn(|| app.session.next_notice());
        told.map(|notice| match notice {
            Notice::Link { link: Link::Connecting, why, text } if text.starts_with(why.text()) => why,
            other => panic!("{other:?}"),
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);
    assert_eq!(attempt(&mut app, Status::Refused), []);
    assert_eq!(attempt(&mut app, Status::Refused), []);
    assert_eq!(attempt(&mut app, Status::Resolve), [Status::Resolve]);
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);

    // After a link they are news again.
    app.pass(10 * SEC);
    app.link(1);
    app.closed();
    while app.session.next_notice().is_some() {}
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);

    // Of several addresses that of the last, when all were tried.
    app.session.disconnect();
    app.session.connect(vec![HUB.into(), HUB.into()]);
    app.dials.clear();
    app.actions();
    while app.session.next_notice().is_some() {}
    assert_eq!(attempt(&mut app, Status::Resolve), []);
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);
    assert_eq!(attempt(&mut app, Status::Resolve), []);
    assert_eq!(attempt(&mut app, Status::Refused), []);
}

#[test]
fn a_refused_app_does_not_fight() {
    let mut app = DirectApp::new();
    app.link(1);
    app.hear(Control::Refuse { status: Status::IdentityTaken.code(), text: "taken" });
    assert_eq!(app.session.link(), Link::Refused);
    assert_eq!(app.session.last_failure().map(|error| error.status()), Some(Status::IdentityTaken));
    // It asks again, now and then.
    let mut tries = 0;
    for _ in 0..360 {
        app.pass(10 * SEC);
        if !app.dials.is_empty() {
            tries += 1;
            app.open();
            app.bytes(&header(Version::V1));
            assert_eq!(app.session.link(), Link::Refused);
            app.hear(Control::Refuse { status: Status::IdentityTaken.code(), text: "taken" });
        }
    }
    assert!(tries > 100 && app.session.take_refusal().is_some() && app.session.take_refusal().is_none());
    app.session.connect(vec![HUB.into()]);
    app.actions();
    assert_eq!((app.dials.len(), app.session.link()), (1, Link::Connecting));
}

#[test]
fn the_waits_between_attempts_grow_to_the_longest_and_start_again_after_a_link() {
    let mut app = DirectApp::new();
    let refuse = |app: &mut DirectApp| {
        let token = app.dials.pop().expect("it dials");
        app.session.dial_failed(app.now, token, Status::Refused.into());
        app.actions();
        let wait = app.session.deadline().expect("it waits") - app.now.mono;
        app.pass(wait);
        wait
    };
    let waits: Vec<_> = (0..20).map(|_| refuse(&mut app)).collect();
    for (i, wait) in waits.iter().enumerate() {
        let full = ((50 * MS) << i.min(20)).min(5 * SEC);
        assert!((full / 2..=full).contains(wait), "wait {i} is {wait}");
    }
    app.link(1);
    app.closed();
    assert!(app.session.deadline().unwrap() - app.now.mono <= 50 * MS);
}

#[test]
fn a_hub_that_does_not_answer_is_given_up_after_the_handshakes_time() {
    let mut app = DirectApp::new();
    let conn = app.open();
    app.pass(5 * SEC);
    assert_eq!(app.closed, [conn]);
    assert_eq!(app.session.last_failure().map(|error| error.status()), Some(Status::Timeout));
}

#[test]
fn an_app_whose_program_takes_nothing_comes_back_to_its_hub() {
    let mut app = DirectApp::new();
    app.session.inbox.set_limit(10_000);
    app.link(1);
    for number in 0..20 {
        let meta = Meta { stamp: Some(stamp(1_800_000_000_000)), ..Meta::default() };
        app.receive(&body(Form::V1, "b", &format!("n{number}"), &value(Kind::Text, number, 300), &meta));
    }
    assert!(!app.session.reads(ConnId(app.conns)), "the program has enough to take");
    app.closed();
    app.pass(SEC);
    let conn = app.open();
    app.bytes(&header(Version::V1));
    app.pass(SEC);
    assert!(app.session.reads(conn), "the welcome is behind nothing that the program would have to take");
    app.pass(10 * SEC);
    assert_eq!(app.closed, [conn], "a hub that says nothing is given up all the same");
}

#[test]
fn the_addresses_of_a_hub_are_tried_in_order() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let a = world.add_app("a", "tcp://nobody,tcp://hub");
        world.run_for(SEC);
        assert_eq!(world.app(a).session.link(), Link::Connecting);
        world.add_hub(HUB, RouterConfig::default());
        world.settle();
        assert_eq!(world.app(a).session.link(), Link::Connected);
    });
}

// ---- old hubs

#[test]
fn apps_on_an_old_hub_share_plain_states_and_withhold_the_others() {
    // As nanomsg, the original and NNG do it: who closes a connection for its header has sent its own.
    for (echo, strict, header_first) in [(false, false, false), (true, false, true), (false, true, true)] {
        each_seed(5, 1000, |seed| {
            let mut world = World::new(seed);
            world.add_old_hub(HUB, OldHub::new(echo, strict, header_first));
            let apps: Vec<_> = (0..3).map(|i| world.add_app(&format!("app{i}"), HUB)).collect();
            let old = world.add_old_peer(OldPeer { echo: true, ..OldPeer::new("old") }, HUB);
            world.run_for(3 * SEC);
            world.settle();
            for i in 0..60 {
                let (app, kind) = (apps[i % 3], world.rng.pick(&[Kind::Text, Kind::Bytes]));
                let size = world.rng.length(9000);
                world.publish(app, &format!("n{}", i % 5), kind, size).unwrap();
            }
            world.publish_old(old, "o", Kind::Text, 10);
            world.settle();
            // Without stamps each app orders what it gets as it comes.
            world.orphans.extend((0..5).map(|i| format!("n{i}")));
            world.check_promise();
            for &app in &apps {
                assert!(world.app(app).newest.contains_key(&("old".to_owned(), "o".to_owned())));
            }
            let sent = world.app(apps[0]).sent.clone();
            assert!(sent.iter().all(|(name, (_, value))| {
                world.old_peer(old).newest.get(&("app0".to_owned(), name.clone())) == Some(value)
            }));
            world.publish(apps[0], "structured", Kind::Map, 10).unwrap();
            world.settle();
            assert_eq!(world.app(apps[0]).session.stats().withheld, 1);
            assert_eq!(world.app(apps[0]).session.stats().echoes > 0, echo);
            assert_eq!(world.publish(apps[0], "big", Kind::Text, limits::LEGACY_MAX), Err(Status::TooLarge));
            assert!(world.app(apps[0]).session.stats().connects <= 2, "it stays");
        });
    }
}

#[test]
fn what_is_acknowledged_on_an_old_hub_was_not_written_to_a_link_that_it_closes() {
    // NNG sends its header first and then closes the connection for what stands in ours.
    each_seed(30, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_old_hub(HUB, OldHub::new(false, true, true));
        let old = world.add_old_peer(OldPeer::new("old"), HUB);
        world.settle();
        let a = world.add_app("a", HUB);
        world.publish(a, "x", Kind::Text, 10).unwrap();
        let version = world.with(a, |app, _| app.session.request_ack());
        let end = world.mono + 20 * SEC;
        while !world.app(a).session.is_acked(version) {
            assert!(world.step(end), "it is written at last");
        }
        // `send` ends here.
        world.with(a, |app, _| app.session.disconnect());
        world.settle();
        assert_eq!(world.old_peer(old).newest.len(), 1);
    });
}

#[test]
fn an_app_that_knew_states_through_an_old_hub_takes_them_from_ours() {
    let mut app = DirectApp::new();
    // The sender's clock is behind this app's.
    let meta = |ms: u64| Meta { stamp: Some(stamp(1_799_999_990_000 + ms)), ..Meta::default() };
    app.open();
    app.bytes(&header(Version::Old));
    if app.session.link() != Link::Connected {
        app.pass(SEC);
        app.open();
        app.bytes(&header(Version::Old));
    }
    app.receive(&body(Form::Old, "b", "x", &value(Kind::Text, 1, 1), &Meta::default()));
    assert!(app.session.inbox.pop().is_some());
    app.closed();
    app.pass(120 * SEC);
    app.link(1);
    app.receive(&body(Form::V1, "b", "x", &value(Kind::Text, 2, 1), &meta(1)));
    let state = app.session.inbox.pop().expect("the newer value of x");
    assert_eq!(state.text().unwrap(), "2");
}

#[test]
fn a_hub_that_is_killed_while_an_app_dials_is_not_taken_for_an_old_one() {
    each_seed(30, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        for _ in 0..5 {
            let time = world.rng.below(8 * MS);
            world.run_for(time);
            world.kill(hub);
            let time = world.rng.below(200 * MS);
            world.run_for(time);
            hub = world.replace_hub(hub, HUB, RouterConfig::default());
        }
        world.settle();
        assert_eq!(world.app(a).session.link(), Link::Connected);
        assert_eq!(world.hub(hub).stats().old_peers, 0);
    });
}

// ---- small things

#[test]
fn a_router_asks_for_nothing_when_nobody_is_there() {
    let mut router = Router::new(Instance([1; 16]), RouterConfig::default());
    assert_eq!((router.next_action(), router.deadline()), (None, None));
}
