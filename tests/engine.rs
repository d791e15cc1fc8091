//! The engine from outside: hubs, apps, old peers and attackers, by hand and in a simulated network.

mod sim;

use std::collections::BTreeMap;

use nanostate::engine::router::{PeerEvent, Router, RouterConfig};
use nanostate::engine::session::{Link, Notice, Session};
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use nanostate::framing::{frame_head, header, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::limits;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Meta, Stamp};
use nanostate::{Kind, Status, Value};
use sim::chaos::{self, Chaos};
use sim::{body, each_seed, value, Direct, OldHub, OldPeer, World, MS, SEC};

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
    assert_eq!(answer, Control::Pong { token: 9999 });
}

#[test]
fn refusals_to_a_peer_that_does_not_read_take_bounded_memory() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    hub.router.room_mut().states = 2;
    let peer = hub.open_v1("a", 1);
    for i in 0..5000 {
        hub.publish(peer, "a", &format!("k{i}"), &value(Kind::Int, i, 0));
    }
    assert_eq!(hub.router.stats().refused, 4999);
    assert!(hub.peer(peer).outbox_bytes < 3000, "{} bytes wait", hub.peer(peer).outbox_bytes);
    assert!(hub.said(peer).contains(&"rejected".to_owned()));
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
fn a_stamp_far_ahead_is_clamped_and_counted_and_stays_in_order() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    let instance = Instance([1; 16]);
    let ahead = |ms: u64| Stamp { clock: (1_800_000_000_000 + ms) << 16, instance };
    hub.publish_at(a, "a", "x", &[1], ahead(60_000));
    assert_eq!(hub.router.stats().clamped, 0);
    hub.publish_at(a, "a", "y", &[1], ahead(60_001));
    hub.publish_at(a, "a", "y", &[2], ahead(9_999_999));
    hub.publish_at(a, "a", "y", &[3], ahead(9_000_000));
    assert_eq!(hub.router.stats().clamped, 3);
    let bodies = hub.bodies(b);
    let stamps: Vec<_> =
        bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).unwrap().meta.stamp.unwrap()).collect();
    assert_eq!(stamps.len(), 4);
    assert!(stamps[1..].windows(2).all(|pair| pair[0] < pair[1]));
    assert!(stamps.iter().all(|stamp| stamp.instance == instance && stamp.millis() <= 1_800_000_060_001));
    // The hub's own clock is not pulled along.
    let old = hub.open_old();
    hub.send(old, &body(Form::Old, "o", "z", &value(Kind::Text, 1, 1), &Meta::default()));
    assert!(hub.router.table().find("o", "z").unwrap().stamp().millis() <= 1_800_000_060_001);
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
    assert_eq!((hub.router.stats().clamped, hub.router.stats().stale), (0, 0));
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
    hub.control(holder, "a", Control::Pong { token });
    assert_eq!(hub.refusal(other), Some(Status::IdentityTaken));
    hub.pass(2 * SEC);
    assert!(!hub.is_closed(holder));
    hub.publish(holder, "a", "x", &[1]);
    assert_eq!(hub.router.stats().messages_in, 1);
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
        hub.control(evil, "evil", Control::Pong { token });
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
    hub.control(again, "a", Control::Pong { token });
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
    hub.control(one, "cli", Control::Pong { token });
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
    let c = hub.open();
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
        assert_eq!(world.app(b).session.link(), Link::Connecting);
        world.kill(a);
        world.settle();
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
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish_at(a, "a", "x", &[1], stamp(5));
    hub.publish_at(a, "a", "x", &[2], stamp(5));
    hub.publish_at(a, "a", "x", &[3], stamp(4));
    assert_eq!(hub.router.stats().stale, 2);
    assert_eq!(hub.said(b), ["x"]);
    // Of two that were made at the same time that of the greater instance is newer, whichever came first.
    let of = |instance| Stamp { instance: Instance([instance; 16]), ..stamp(5) };
    hub.publish_at(a, "a", "x", &[4], of(8));
    hub.publish_at(a, "a", "x", &[5], of(6));
    assert_eq!(hub.router.table().find("a", "x").unwrap().data(), [4]);
}

// ---- an app

/// An app whose connection is read and written by hand.
struct DirectApp {
    session: Session,
    now: Now,
    conns: u64,
    dials: Vec<u64>,
    closed: Vec<ConnId>,
}

impl DirectApp {
    fn new() -> DirectApp {
        let mut session = Session::new("a", Instance([1; 16]));
        session.connect(vec![HUB.into()]);
        let now = Now { mono: 100 * SEC, wall: 1_800_000_000_000 };
        let mut app = DirectApp { session, now, conns: 0, dials: Vec::new(), closed: Vec::new() };
        app.actions();
        app
    }

    fn actions(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Dial { token, .. } => self.dials.push(token),
                Action::Close(conn) => self.closed.push(conn),
                Action::Flush(_) => {}
            }
        }
    }

    fn pass(&mut self, time: u64) {
        self.now.mono += time;
        self.now.wall += time / MS;
        if self.session.deadline().is_some_and(|deadline| deadline <= self.now.mono) {
            self.session.tick(self.now);
        }
        self.actions();
    }

    fn open(&mut self) -> ConnId {
        self.conns += 1;
        let token = self.dials.pop().expect("it dials");
        let info = ConnInfo { framing: Framing::Tcp, from: HUB.into(), local: true, dialled: true };
        self.session.opened(self.now, ConnId(self.conns), info, Some(token));
        self.actions();
        ConnId(self.conns)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.session.bytes(self.now, ConnId(self.conns), bytes);
        self.actions();
    }

    fn hear(&mut self, control: Control<'_>) {
        let mut body = Vec::new();
        control.encode(wire::HUB_SENDER, &mut body);
        self.receive(&body);
    }

    fn receive(&mut self, body: &[u8]) {
        let frame = [&frame_head(Framing::Tcp, body.len())[..], body].concat();
        self.bytes(&frame);
    }

    fn closed(&mut self) {
        self.session.closed(self.now, ConnId(self.conns), Closed::ByPeer);
        self.actions();
    }

    /// A v1 link to this hub.
    fn link(&mut self, hub: u8) {
        self.open();
        self.bytes(&header(Version::V1));
        self.hear(Control::Welcome { instance: Instance([hub; 16]), max_message: 1 << 20, wall: self.now.wall });
        assert_eq!(self.session.link(), Link::Connected);
    }

    /// What it writes.
    fn written(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let mut slices = Vec::new();
            self.session.gather(self.now, ConnId(self.conns), &mut slices);
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            if bytes.is_empty() {
                return out;
            }
            self.session.wrote(self.now, ConnId(self.conns), bytes.len());
            out.extend(bytes);
        }
    }

    fn bodies(&mut self) -> Vec<Vec<u8>> {
        let bytes = self.written();
        let mut input = if bytes.starts_with(b"\0SP\0") { &bytes[HEADER_LEN..] } else { &bytes };
        let mut decoder = Decoder::new(Framing::Tcp, usize::MAX);
        let mut bodies = Vec::new();
        while let Ok(Some(Frame::Body(body))) = decoder.next(&mut input) {
            bodies.push(body.to_vec());
        }
        bodies
    }

    fn publish(&mut self, name: &str, value: &[u8]) -> Result<(), Status> {
        let kind = wire::check(value).unwrap();
        let done = self.session.publish(self.now, name, Value::Msgpack(value), kind);
        self.actions();
        done.map_err(|error| error.status())
    }

    fn ping(&mut self) -> Option<u64> {
        self.bodies().iter().rev().find_map(|bytes| {
            match Control::decode(&wire::decode(bytes, Form::V1).expect("a body")) {
                Ok(Control::Ping { token }) => Some(token),
                _ => None,
            }
        })
    }
}

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
    app.hear(Control::Pong { token });
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
    app.hear(Control::Pong { token });
    assert!(app.session.is_acked(version));
}

#[test]
fn what_a_hub_acknowledged_is_not_acknowledged_by_the_one_that_took_its_place() {
    let mut app = DirectApp::new();
    app.link(1);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    let token = app.ping().unwrap();
    app.hear(Control::Pong { token });
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
    app.hear(Control::Pong { token });
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
            Notice::Link { link: Link::Connecting, why, text } if text == why.text() => why,
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
    app.pass(3600 * SEC);
    assert!(app.dials.is_empty() && app.session.deadline().is_none());
    app.session.connect(vec![HUB.into()]);
    app.actions();
    assert_eq!(app.dials.len(), 1);
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
