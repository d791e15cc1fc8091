//! Transient values: who is sent them, and when they are gone.

use std::collections::BTreeMap;

use nanostate::engine::app::Policy;
use nanostate::engine::hub::RouterConfig;
use nanostate::engine::ConnId;
use nanostate::framing::{header, Version};
use nanostate::limits;
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Malformed, Meta, Stamp, WillMessage};
use nanostate::{Kind, Value};

use crate::sim::{body, each_seed, Direct, DirectApp, Id, OldPeer, World, SEC};
use crate::words;

const HUB: &str = "tcp://hub";
const EARLIER: Features = Features(Features::ALL.0 & !Features::TRANSIENT.0);
const TRANSIENT: Policy = Policy { lifetime: None, is_transient: true };

/// The stamp that is later by so much than the first of the apps that join by [`words::join`].
fn stamp(by: u64) -> Stamp {
    Stamp { clock: LogicalTime::from_millis(5 + by), instance: Instance([2; 16]) }
}

/// A body with the integer 7.
fn transient(sender: &str, name: &str, by: u64) -> Vec<u8> {
    let meta = Meta { stamp: Some(stamp(by)), flags: Meta::TRANSIENT, ..Meta::default() };
    body(Form::V1, sender, name, &[7], &meta)
}

/// What a peer is sent of states: the names, and the flags.
fn states(bodies: Vec<Vec<u8>>) -> Vec<(String, u32)> {
    let state = |bytes: Vec<u8>| {
        let body = wire::decode(&bytes, Form::V1).expect("a body");
        (!body.is_reserved()).then(|| (body.name().to_owned(), body.meta.flags))
    };
    bodies.into_iter().filter_map(state).collect()
}

fn said(hub: &mut Direct, conn: ConnId) -> Vec<(String, u32)> {
    states(hub.bodies(conn))
}

fn join(hub: &mut Direct, identity: &str, features: Features) -> ConnId {
    words::join(hub, identity, HelloFlags(0), features)
}

fn hello(hub: &mut Direct, identity: &str, instance: u8, epoch: u64, flags: HelloFlags) -> ConnId {
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    let (instance, accept, features) = (Instance([instance; 16]), wire::ACCEPT_ANY, Features::ALL);
    let (time, secret, token) = (None, None, None);
    hub.control(conn, identity, Control::Hello { instance, epoch, accept, flags, time, secret, token, features });
    conn
}

/// A hub, and the app `a` on it.
fn hub() -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig::default());
    let a = join(&mut hub, "a", Features::ALL);
    (hub, a)
}

fn x(flags: u32) -> Vec<(String, u32)> {
    vec![("x".to_owned(), flags)]
}

#[test]
fn who_is_there_is_sent_a_transient_value_and_who_comes_later_is_not() {
    let (mut hub, a) = hub();
    let (b, earlier, old) = (join(&mut hub, "b", Features::ALL), join(&mut hub, "e", EARLIER), hub.open_old());
    [b, earlier].iter().for_each(|&conn| drop(hub.bodies(conn)));
    hub.send(a, &transient("a", "x", 0));
    assert_eq!((said(&mut hub, b), said(&mut hub, earlier)), (x(Meta::TRANSIENT), x(0)), "without an unknown flag");
    assert!(!hub.read(old, usize::MAX).is_empty());
    for features in [Features::ALL, EARLIER] {
        let late = join(&mut hub, "late", features);
        assert_eq!(said(&mut hub, late), []);
        hub.lose(late);
    }
    // What comes then, it is sent, also if it has more than a stamp and is large.
    let late = join(&mut hub, "late", Features::ALL);
    let meta = Meta { stamp: Some(stamp(1)), flags: Meta::TRANSIENT, lifetime: Some(9), ..Meta::default() };
    let large = [&[0xC5, 0x20, 0][..], &[7; 0x2000]].concat();
    hub.send(a, &body(Form::V1, "a", "x", &large, &meta));
    assert_eq!((said(&mut hub, late), said(&mut hub, earlier)), (x(Meta::TRANSIENT), x(0)));
}

#[test]
fn an_old_program_that_is_sent_a_snapshot_is_sent_no_transient_value() {
    let mut hub = Direct::new(RouterConfig { legacy_snapshot: true, ..RouterConfig::default() });
    let a = join(&mut hub, "a", Features::ALL);
    let text = |name: &str, flags: u32| {
        let meta = Meta { stamp: Some(stamp(0)), flags, ..Meta::default() };
        body(Form::V1, "a", name, b"\xA1t", &meta)
    };
    hub.send(a, &text("stays", 0));
    hub.send(a, &text("passes", Meta::TRANSIENT));
    let old = hub.open_old();
    let bytes = hub.read(old, usize::MAX);
    let has = |name: &str| bytes.windows(name.len()).any(|part| part == name.as_bytes());
    assert!(has("stays") && !has("passes"));
}

#[test]
fn a_transient_value_goes_with_its_sender_and_nobody_is_told() {
    let (mut hub, a) = hub();
    let b = join(&mut hub, "b", Features::ALL);
    hub.send(a, &transient("a", "x", 0));
    hub.send(a, &body(Form::V1, "a", "y", &[7], &Meta { stamp: Some(stamp(0)), ..Meta::default() }));
    hub.bodies(b);
    hub.lose(a);
    hub.settle();
    assert_eq!((hub.router.table().len(), said(&mut hub, b)), (1, vec![]));
    // The same value again, from the same app.
    let a = join(&mut hub, "a", Features::ALL);
    hub.send(a, &transient("a", "x", 0));
    assert_eq!(said(&mut hub, b), x(Meta::TRANSIENT));
    hub.lose(a);
    hub.settle();
    assert_eq!(hub.router.table().values(), 1);
}

#[test]
fn of_apps_that_share_an_identity_the_last_takes_the_transient_values_along() {
    let mut hub = Direct::new(RouterConfig::default());
    let [a, other] = [2, 3].map(|instance| hello(&mut hub, "a", instance, 1, HelloFlags::SHARED));
    hub.send(a, &transient("a", "x", 0));
    hub.lose(a);
    hub.settle();
    assert_eq!(hub.router.table().values(), 1);
    hub.lose(other);
    hub.settle();
    assert_eq!((hub.router.table().values(), hub.router.table().bytes()), (0, 0));
}

#[test]
fn many_transient_values_go_in_turns_and_not_those_that_their_sender_has_sent_again_meanwhile() {
    let (mut hub, a) = hub();
    let names: Vec<_> = (0..5000).map(|n| format!("n{n}")).collect();
    names.iter().for_each(|name| hub.send(a, &transient("a", name, 0)));
    hub.lose(a);
    assert!((1..5000).contains(&hub.router.table().values()), "others had a turn, too");
    let a = join(&mut hub, "a", Features::ALL);
    names.iter().for_each(|name| hub.send(a, &transient("a", name, 1)));
    hub.settle();
    assert_eq!(hub.router.table().values(), 5000);
    hub.lose(a);
    hub.settle();
    assert_eq!(hub.router.table().values(), 0);
}

#[test]
fn a_transient_value_and_a_lasting_one_take_each_others_place() {
    let (mut hub, a) = hub();
    let lasting = |by: u64| body(Form::V1, "a", "x", &[8], &Meta { stamp: Some(stamp(by)), ..Meta::default() });
    let late = |hub: &mut Direct| {
        let late = join(hub, "late", Features::ALL);
        let said = said(hub, late);
        hub.lose(late);
        said
    };
    hub.send(a, &lasting(0));
    assert_eq!(late(&mut hub), x(Meta::RETAINED));
    hub.send(a, &transient("a", "x", 1));
    assert_eq!(late(&mut hub), []);
    hub.send(a, &lasting(2));
    assert_eq!(late(&mut hub), x(Meta::RETAINED));
    hub.lose(a);
    hub.settle();
    assert_eq!(late(&mut hub), x(Meta::RETAINED), "it is not transient any more");
}

#[test]
fn a_slow_receiver_and_one_that_comes_back_are_sent_the_newest() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let a = join(&mut hub, "a", Features::ALL);
    let b = join(&mut hub, "b", Features::ALL);
    for n in 0..1000 {
        hub.send(a, &transient("a", &format!("n{}", n % 50), n));
    }
    assert!(!hub.peer(b).live);
    // It asks for more while it is behind.
    hub.control(b, "b", Control::Accept { mask: wire::ACCEPT_ANY });
    let newest: BTreeMap<_, _> = hub
        .bodies(b)
        .iter()
        .map(|bytes| wire::decode(bytes, Form::V1).expect("a body"))
        .filter_map(|body| Some((body.name().to_owned(), body.meta.stamp?)))
        .collect();
    let expected = (950..1000).map(|n| (format!("n{}", n % 50), stamp(n)));
    assert_eq!(newest, expected.collect());
    hub.lose(b);
    let back = hello(&mut hub, "b", 2, 2, HelloFlags(0));
    let again = said(&mut hub, back);
    assert_eq!(again.len(), 50);
    assert!(again.iter().all(|(_, flags)| *flags == Meta::TRANSIENT | Meta::RETAINED));
}

#[test]
fn who_has_not_announced_it_and_a_will_and_a_tombstone_may_not_be_transient() {
    let (mut hub, a) = hub();
    let e = join(&mut hub, "e", EARLIER);
    hub.send(e, &transient("e", "x", 0));
    let will = body(Form::V1, "a", "x", &[7], &Meta { flags: Meta::TRANSIENT, ..Meta::default() });
    hub.control(a, "a", Control::Will(WillMessage::Leaves(&will)));
    let stamp = Some(stamp(0));
    let tombstone = Meta { stamp, flags: Meta::CLEAR | Meta::TRANSIENT, ..Meta::default() };
    hub.send(a, &body(Form::V1, "a", "x", &[0xC0], &tombstone));
    let by = hub.router.stats().malformed_by;
    assert_eq!((by[Malformed::Feature.index()], by[Malformed::Meta.index()]), (2, 1));
    assert!(hub.router.table().is_empty());
}

fn send(app: &mut DirectApp, name: &str) {
    app.session.publish_as(app.now, name, Value::Int(7), Kind::Int, TRANSIENT).expect("there is room");
    app.actions();
}

#[test]
fn an_app_announces_it_on_a_new_link_only_for_some_time_unless_a_flush_waits_for_it() {
    let mut app = DirectApp::new();
    send(&mut app, "x");
    app.link(9);
    assert_eq!(states(app.bodies()), x(Meta::TRANSIENT), "it was sent while there was no link");
    let relink = |app: &mut DirectApp, time: u64| {
        app.closed();
        app.pass(time);
        app.link(9);
        states(app.bodies())
    };
    let most = limits::TRANSIENT.as_nanos() as u64;
    assert_eq!(relink(&mut app, most), x(Meta::TRANSIENT), "it may have been lost with the link");
    assert_eq!(relink(&mut app, SEC), []);
    assert!(app.session.get(None, "x").is_none());
    // One that the hub has not acknowledged, and one that it has.
    send(&mut app, "x");
    let version = app.session.request_ack();
    app.closed();
    send(&mut app, "y");
    app.pass(most + SEC);
    app.link(9);
    assert_eq!(states(app.bodies()), x(Meta::TRANSIENT));
    app.hear(Control::Pong { token: version, time: None });
    assert!(app.session.is_acked(version));
    assert_eq!(relink(&mut app, SEC), []);
}

#[test]
fn a_hub_that_does_not_know_of_transient_values_is_sent_others() {
    let mut app = DirectApp::new();
    app.link_with(9, EARLIER);
    send(&mut app, "x");
    assert_eq!(states(app.bodies()), x(0));
    app.closed();
    app.pass(SEC);
    app.link(9);
    assert_eq!(states(app.bodies()), x(Meta::TRANSIENT));
}

#[test]
fn who_shares_an_identity_announces_what_it_received_under_it_as_transient() {
    let mut app = DirectApp::new();
    app.session.config.shared = true;
    app.link(9);
    app.session.publish(app.now, "x", Value::Int(1), Kind::Int).expect("there is room");
    let clock = LogicalTime::from_millis(app.now.wall.as_millis() + 1000);
    let meta = Meta { stamp: Some(Stamp { clock, ..stamp(0) }), flags: Meta::TRANSIENT, ..Meta::default() };
    app.receive(&body(Form::V1, "a", "x", &[7], &meta));
    app.bodies();
    app.closed();
    app.pass(SEC);
    app.link(9);
    assert_eq!(states(app.bodies()), x(Meta::TRANSIENT));
}

/// What was sent last of each name: the number, and whether it is transient.
type Last = BTreeMap<String, (i64, bool)>;

fn publish(world: &mut World, id: Id, last: &mut Last) {
    world.number += 1;
    let (number, is_transient) = (world.number as i64, !world.rng.one_in(4));
    let name = format!("n{}", world.rng.below(4));
    let policy = Policy { is_transient, ..Policy::default() };
    world.with(id, |app, now| {
        app.session.publish_as(now, &name, Value::Int(number), Kind::Int, policy).expect("there is room");
    });
    last.insert(name, (number, is_transient));
}

/// Something goes wrong, or time passes: never so long that an app does not announce what it has sent.
fn trouble(world: &mut World, hub: &mut Id, apps: &[Id]) {
    match world.rng.below(6) {
        0 => {
            let id = world.rng.pick(apps);
            world.break_one(id);
        }
        1 => {
            let (id, until) = (world.rng.pick(apps), world.mono + world.rng.below(3 * SEC));
            world.stall(id, until);
        }
        2 if world.rng.one_in(3) => {
            world.kill(*hub);
            let away = world.rng.below(2 * SEC);
            world.run_for(away);
            *hub = world.replace_hub(*hub, HUB, RouterConfig::default());
        }
        _ => {
            let time = world.rng.below(SEC);
            world.run_for(time);
        }
    }
}

fn number(world: &mut World, id: Id, sender: &str, name: &str) -> Option<i64> {
    let app = world.app(id);
    app.take();
    app.session.get(Some(sender), name).map(|state| state.int().expect("an integer"))
}

#[test]
fn who_is_there_ends_with_the_newest_transient_values_and_newcomers_without_whatever_breaks() {
    each_seed(150, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig { outbox: 300, ..RouterConfig::default() });
        let old = world.add_old_peer(OldPeer::new("old"), HUB);
        let mut sources = [0, 1].map(|n| (world.add_app(&format!("s{n}"), HUB), Last::new()));
        let readers = ["r0", "r1"].map(|identity| world.add_app(identity, HUB));
        world.settle();
        for round in 0..4 {
            let apps = [sources[0].0, sources[1].0, readers[0], readers[1], old];
            for _ in 0..10 {
                for (id, last) in &mut sources {
                    (0..world.rng.below(20)).for_each(|_| publish(&mut world, *id, last));
                }
                trouble(&mut world, &mut hub, &apps);
            }
            // All that counts is new, and so whatever breaks now is over before it is too old.
            for (id, last) in &mut sources {
                (0..20).for_each(|_| publish(&mut world, *id, last));
            }
            (0..3).for_each(|_| trouble(&mut world, &mut hub, &apps));
            let before: Vec<_> = sources.iter().map(|(_, last)| last.clone()).collect();
            let since = world.number as i64 - 40;
            world.settle();
            let late = world.add_app(&format!("late{round}"), HUB);
            world.settle();
            for (n, last) in before.iter().enumerate() {
                let sender = format!("s{n}");
                for (name, &(value, is_transient)) in last.iter().filter(|(_, (value, _))| *value > since) {
                    for reader in readers {
                        let has = number(&mut world, reader, &sender, name);
                        assert_eq!(has, Some(value), "{name} of {sender} at {reader}");
                    }
                    let newcomer = number(&mut world, late, &sender, name);
                    assert_eq!(newcomer, (!is_transient).then_some(value), "{name} of {sender} at a newcomer");
                }
            }
            // One of them departs, and its transient values with it.
            let gone = world.rng.index(2);
            world.kill(sources[gone].0);
            world.kill(late);
            world.settle();
            let identity = format!("s{gone}");
            let held: BTreeMap<_, _> = world
                .hub(hub)
                .table()
                .iter()
                .filter(|entry| entry.is_from(identity.as_bytes()))
                .map(|entry| (entry.name().to_owned(), entry.is_transient()))
                .collect();
            assert!(held.values().all(|is_transient| !is_transient), "{held:?}");
            for (name, (_, is_transient)) in &sources[gone].1 {
                assert!(!is_transient || !held.contains_key(name), "{name} was replaced by a transient value");
            }
            sources[gone] = (world.add_app(&identity, HUB), Last::new());
            world.settle();
        }
    });
}
