//! Values that are withdrawn: who is told, who is not, and what is held of them.

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::ConnId;
use nanostate::framing::{header, Version};
use nanostate::limits;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta, Stamp};
use nanostate::{Kind, State, Status};

use crate::sim::{body, given, stamp, value, Direct, DirectApp, Id, World, CLEARED, SEC};

const HUB: &str = "tcp://hub";

/// An app of this identity joins.
fn join(hub: &mut Direct, identity: &str, instance: u8, epoch: u64, accept: u32, features: Features) -> ConnId {
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    let (instance, flags) = (Instance([instance; 16]), HelloFlags(0));
    let hello = Control::Hello { instance, epoch, accept, flags, time: None, secret: None, token: None, features };
    hub.control(conn, identity, hello);
    conn
}

/// An app that takes everything and knows of all.
fn app(hub: &mut Direct, identity: &str, instance: u8) -> ConnId {
    let conn = join(hub, identity, instance, 1, wire::ACCEPT_ANY, Features::ALL);
    said(hub, conn);
    conn
}

/// The body by which an app clears a value of this kind.
fn tombstone(sender: &str, name: &str, data: &[u8], stamp: Stamp) -> Vec<u8> {
    body(Form::V1, sender, name, data, &Meta { stamp: Some(stamp), flags: Meta::CLEAR, ..Meta::default() })
}

fn by(instance: u8, millis: u64) -> Stamp {
    Stamp { instance: Instance([instance; 16]), ..stamp(millis) }
}

/// What a peer is sent of states: their names, with a sign for what is cleared, and a word for what is held.
fn said(hub: &mut Direct, conn: ConnId) -> Vec<String> {
    let words = |bytes: Vec<u8>| {
        let body = wire::decode(&bytes, Form::V1).expect("a body");
        let sign = if body.kind == Kind::Cleared { "-" } else { "" };
        let held = if body.meta.flags & Meta::RETAINED != 0 { " held" } else { "" };
        (!body.is_reserved()).then(|| format!("{sign}{}{held}", body.name()))
    };
    hub.bodies(conn).into_iter().filter_map(words).collect()
}

#[test]
fn who_is_there_is_told_and_who_comes_later_is_not() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (app(&mut hub, "a", 1), app(&mut hub, "b", 2));
    hub.publish_at(a, "a", "x", &[7], by(1, 1));
    hub.publish_at(a, "a", "y", &[7], by(1, 1));
    hub.send(a, &tombstone("a", "x", &[5], by(1, 2)));
    assert_eq!(said(&mut hub, b), ["x", "y", "-x"]);
    assert!(said(&mut hub, a).is_empty(), "it is its own");
    assert_eq!((hub.router.stats().states, hub.router.table().len()), (1, 2));
    let late = join(&mut hub, "late", 3, 1, wire::ACCEPT_ANY, Features::ALL);
    assert_eq!(said(&mut hub, late), ["y held"]);
    hub.send(a, &tombstone("a", "y", &[0xC0], by(1, 2)));
    assert_eq!(said(&mut hub, late), ["-y"]);
    // One that was there before may still show both.
    let back = join(&mut hub, "back", 4, 2, wire::ACCEPT_ANY, Features::ALL);
    assert_eq!(said(&mut hub, back), ["-x held", "-y held"]);
    // So may one that did not take their kind for a while.
    hub.control(late, "late", Control::Accept { mask: 0 });
    hub.control(late, "late", Control::Accept { mask: Kind::Int.mask() });
    assert_eq!(said(&mut hub, late), ["-x held", "-y held"]);
}

#[test]
fn the_later_stamp_wins_whether_it_sets_or_clears() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (app(&mut hub, "a", 1), app(&mut hub, "b", 2));
    hub.send(a, &tombstone("a", "x", &[5], by(1, 20)));
    hub.publish_at(a, "a", "x", &[7], by(1, 10));
    let (name, offered, held, _) = hub.stale(a).remove(0);
    assert_eq!((&*name, offered, held), ("x", by(1, 10), Some(by(1, 20))));
    hub.publish_at(a, "a", "x", &[7], by(1, 30));
    hub.send(a, &tombstone("a", "x", &[5], by(1, 25)));
    assert_eq!(said(&mut hub, b), ["-x", "x"]);
    assert!(hub.router.table().newest("x").is_some());
}

#[test]
fn a_program_is_told_if_it_takes_the_kind_that_was_cleared_or_if_that_is_not_known() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = app(&mut hub, "a", 1);
    let ints = join(&mut hub, "ints", 2, 1, Kind::Int.mask(), Features::ALL);
    let texts = join(&mut hub, "texts", 3, 1, Kind::Text.mask(), Features::ALL);
    hub.send(a, &tombstone("a", "x", &[Kind::Int.code() as u8], by(1, 1)));
    hub.send(a, &tombstone("a", "y", &[Kind::Text.code() as u8], by(1, 1)));
    hub.send(a, &tombstone("a", "z", &[0xC0], by(1, 1)));
    assert_eq!(
        (said(&mut hub, ints), said(&mut hub, texts)),
        (vec!["-x".into(), "-z".into()], vec!["-y".into(), "-z".into()])
    );
    assert_eq!(hub.router.stats().withheld, 2);
}

#[test]
fn who_does_not_know_of_it_neither_clears_nor_is_told() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = app(&mut hub, "a", 1);
    let earlier = join(&mut hub, "earlier", 2, 1, wire::ACCEPT_ANY, Features::SYNCED);
    let old = hub.open_old();
    let subscriber = hub.open_pub(true);
    hub.publish_at(a, "a", "x", &[0xA1, b'x'], by(1, 1));
    assert_eq!(said(&mut hub, earlier), ["x"]);
    assert!([old, subscriber].iter().all(|&conn| !hub.read(conn, usize::MAX).is_empty()));
    hub.send(a, &tombstone("a", "x", &[1], by(1, 2)));
    assert!([earlier, old, subscriber].iter().all(|&conn| hub.read(conn, usize::MAX).is_empty()));
    hub.send(earlier, &tombstone("earlier", "x", &[5], by(2, 2)));
    hub.send(a, &tombstone("a", "x", &[0xA1, b'x'], by(1, 3)));
    let stats = hub.router.stats();
    let reasons = [wire::Malformed::Feature, wire::Malformed::Clear].map(|reason| stats.malformed_by[reason.index()]);
    assert_eq!((reasons, stats.withheld), ([1, 1], 3));
    // An old program that joins is not even counted.
    let config = RouterConfig { legacy_snapshot: true, ..RouterConfig::default() };
    *hub.router.config_mut() = config;
    let late = hub.open_old();
    hub.read(late, usize::MAX);
    assert_eq!(hub.router.stats().withheld, 3);
    assert_eq!(hub.router.table().values(), 0);
}

#[test]
fn one_that_shares_the_identity_and_is_late_is_sent_what_is_held_instead_unless_it_does_not_know_of_it() {
    for (features, told) in [(Features::ALL, &["-x"][..]), (Features::SYNCED, &[])] {
        let mut hub = Direct::new(RouterConfig::default());
        let shared = |hub: &mut Direct, instance: u8, features| {
            let conn = hub.open();
            hub.bytes(conn, &header(Version::V1));
            let (instance, flags, accept) = (Instance([instance; 16]), HelloFlags::SHARED, wire::ACCEPT_ANY);
            let (time, secret, token) = (None, None, None);
            hub.control(conn, "s", Control::Hello { instance, epoch: 1, accept, flags, time, secret, token, features });
            said(hub, conn);
            conn
        };
        let first = shared(&mut hub, 1, Features::ALL);
        hub.send(first, &tombstone("s", "x", &[5], by(1, 20)));
        let second = shared(&mut hub, 2, features);
        hub.publish_at(second, "s", "x", &[7], by(2, 10));
        assert_eq!(said(&mut hub, second), told);
    }
}

#[test]
fn a_hub_remembers_it_for_24_hours() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = app(&mut hub, "a", 1);
    hub.send(a, &tombstone("a", "x", &[5], by(1, 1)));
    let day = limits::CLEARED.as_nanos() as u64;
    hub.pass(day - SEC);
    hub.settle();
    assert_eq!(hub.router.table().len(), 1);
    hub.pass(SEC);
    hub.settle();
    assert!(hub.router.table().is_empty());
}

/// What its program is given now.
fn told(app: &mut DirectApp) -> Vec<(String, Vec<u8>)> {
    let next = |app: &mut DirectApp| app.session.take_state();
    std::iter::from_fn(|| next(app)).map(|state: State| (state.name().to_owned(), given(&state))).collect()
}

#[test]
fn a_program_is_given_a_state_without_a_value_and_finds_none_any_more() {
    let mut app = DirectApp::new();
    app.link(9);
    app.receive(&body(Form::V1, "b", "x", &[7], &Meta { stamp: Some(stamp(1)), ..Meta::default() }));
    app.receive(&body(Form::V1, "c", "x", &[8], &Meta { stamp: Some(stamp(2)), ..Meta::default() }));
    app.receive(&tombstone("c", "x", &[5], stamp(3)));
    let names: Vec<_> = std::iter::from_fn(|| app.session.take_state()).collect();
    let last = names.last().expect("three states");
    assert_eq!((names.len(), last.sender(), last.kind(), last.time()), (3, "c", Kind::Cleared, 3));
    assert_eq!((last.json(), last.int().map_err(|error| error.status())), ("null", Err(Status::Kind)));
    assert!(last.text().is_err() && last.bytes().is_err() && last.bool().is_err() && last.ext().is_err());
    assert!(app.session.get(Some("c"), "x").is_none());
    assert_eq!(app.session.get(None, "x").map(|state| state.sender().to_owned()).as_deref(), Some("b"));
    assert_eq!(app.session.states(|_| true).expect("there is memory").len(), 1);
    // Once more, of a key that is not known, and of a large message.
    app.receive(&tombstone("c", "x", &[5], stamp(3)));
    app.receive(&tombstone("c", "y", &[0xC0], stamp(3)));
    let mut large = body(Form::V1, "c", "z", &[5], &Meta::default());
    large.pop();
    // {2: 2, 77: bin}
    large.extend([0x82, 2, 2, 77, 0xC6, 0, 4, 0, 0]);
    large.resize(large.len() + 0x4_0000, 1);
    app.receive(&large);
    assert_eq!(told(&mut app), [("y".to_owned(), CLEARED.to_vec()), ("z".to_owned(), CLEARED.to_vec())]);
}

#[test]
fn a_slow_program_is_given_the_last_word_only() {
    let mut app = DirectApp::new();
    app.session.set_recv_queue(1);
    app.link(9);
    app.receive(&body(Form::V1, "b", "x", &[7], &Meta { stamp: Some(stamp(1)), ..Meta::default() }));
    app.receive(&tombstone("b", "x", &[5], stamp(2)));
    assert_eq!(told(&mut app), [("x".to_owned(), CLEARED.to_vec())]);
}

/// The states that an app writes: name, kind, data.
fn written(app: &mut DirectApp) -> Vec<(String, Kind, Vec<u8>)> {
    let bodies = app.bodies();
    let states = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body"));
    let states = states.filter(|body| !body.is_reserved());
    states.map(|body| (body.name().to_owned(), body.kind, body.data.to_vec())).collect()
}

#[test]
fn an_app_says_which_kind_it_cleared_as_far_as_it_knows_and_says_it_again_on_every_link() {
    let mut app = DirectApp::new();
    app.publish("x", &[7]).expect("there is room");
    app.session.clear(app.now, "x").expect("there is room");
    assert!(app.session.get(None, "x").is_none() && app.session.get(Some("a"), "x").is_none());
    app.link(9);
    let cleared = |name: &str, data: u8| (name.to_owned(), Kind::Cleared, vec![data]);
    assert_eq!(written(&mut app), [cleared("x", Kind::Int.code() as u8)]);
    // Again, of a name that has none; and of one of which nothing is known.
    app.session.clear(app.now, "x").expect("there is room");
    app.session.clear(app.now, "y").expect("there is room");
    // What an earlier run left.
    app.receive(&body(Form::V1, "a", "z", &[0xC3], &Meta { stamp: Some(stamp(1)), ..Meta::default() }));
    assert!(app.session.get(None, "z").is_some());
    app.session.clear(app.now, "z").expect("there is room");
    assert!(app.session.get(None, "z").is_none());
    let expected = [cleared("x", 5), cleared("y", 0xC0), cleared("z", Kind::Bool.code() as u8)];
    assert_eq!(written(&mut app), expected);
    app.closed();
    app.pass(10 * SEC);
    app.link(10);
    assert_eq!(written(&mut app), expected);
    assert_eq!(app.session.clear(app.now, "").map_err(|error| error.status()), Err(Status::Name));
    // It is forgotten after a day, at the next chance.
    app.closed();
    app.pass(limits::CLEARED.as_nanos() as u64);
    app.link(10);
    assert!(written(&mut app).is_empty());
    assert_eq!(app.session.stats().own_bytes, 0);
}

#[test]
fn an_app_keeps_it_to_itself_where_the_hub_does_not_know_of_it() {
    let mut app = DirectApp::new();
    app.link_with(9, Features::SYNCED);
    app.publish("x", &[7]).expect("there is room");
    app.session.clear(app.now, "x").expect("it is taken all the same");
    assert_eq!(written(&mut app).len(), 0, "the value was not written yet");
    assert!(app.session.get(None, "x").is_none());
    assert_eq!(app.session.stats().withheld, 1);
    app.receive(&tombstone("b", "x", &[5], stamp(1)));
    assert_eq!((app.session.stats().malformed, app.session.has_state()), (1, false));
    app.closed();
    app.pass(10 * SEC);
    app.link(9);
    assert_eq!(written(&mut app).len(), 1, "this one does");
}

#[test]
fn own_values_that_are_cleared_make_room() {
    let mut app = DirectApp::new();
    let mut n = 0;
    while app.publish(&format!("n{n}"), &value(Kind::Bytes, 0, 1000)).is_ok() {
        n += 1;
        if n == 100 {
            app.session.set_send_queue(app.session.stats().own_bytes as usize + 500);
        }
    }
    assert_eq!(n, 100);
    assert_eq!(app.publish("more", &value(Kind::Bytes, 0, 1000)), Err(Status::Full));
    (0..100).for_each(|n| app.session.clear(app.now, &format!("n{n}")).expect("it takes no more than before"));
    for n in 0..90 {
        app.publish(&format!("other{n}"), &value(Kind::Bytes, 0, 1000)).expect("tombstones go for it");
    }
    assert_eq!(app.session.states(|_| true).expect("there is memory").len(), 90);
}

#[test]
fn it_is_acknowledged_as_a_value() {
    let mut world = World::new(1);
    let hub = world.add_hub(HUB, RouterConfig::default());
    let (a, b) = (world.add_app("a", HUB), world.add_app("b", HUB));
    world.publish(a, "x", Kind::Int, 0).expect("there is room");
    world.settle();
    world.publish(a, "x", Kind::Cleared, 0).expect("there is room");
    world.request_ack(a);
    world.settle();
    assert_eq!((world.app(a).acked, world.hub(hub).table().values()), (1, 0));
    assert_eq!(last(&mut world, b), CLEARED);
}

/// What the program of an app was given last of a's x.
fn last(world: &mut World, id: Id) -> Vec<u8> {
    world.app(id).newest[&("a".to_owned(), "x".to_owned())].1.clone()
}

#[test]
fn a_hub_that_takes_the_place_of_a_killed_one_hears_it_again_and_it_wins_over_an_older_value() {
    let mut world = World::new(1);
    let hub = world.add_hub(HUB, RouterConfig::default());
    let shared = |world: &mut World| world.add_app_with("a", HUB, |app| app.session.config.shared = true);
    let (a, also) = (shared(&mut world), shared(&mut world));
    let b = world.add_app("b", HUB);
    world.publish(also, "x", Kind::Int, 0).expect("there is room");
    world.settle();
    // It does not hear of what follows before the hub is killed.
    let away = world.mono + 30 * SEC;
    world.stall(also, away);
    world.publish(a, "x", Kind::Cleared, 0).expect("there is room");
    world.run_for(5 * SEC);
    world.kill(hub);
    let hub = world.replace_hub(hub, HUB, RouterConfig::default());
    world.run_for(60 * SEC);
    world.settle();
    assert_eq!((last(&mut world, b), world.hub(hub).table().values()), (CLEARED.to_vec(), 0));
    assert!(world.app(also).session.get(None, "x").is_none());
}

#[test]
fn a_program_does_not_hear_that_a_value_is_gone_that_it_does_not_take() {
    let mut app = DirectApp::new();
    app.session.set_accept(Kind::Text.mask());
    app.session.set_tells_rejects(true);
    app.link(1);
    let gone = |name, kind: Kind| tombstone("b", name, &[kind as u8], stamp(1_800_000_000_001));
    app.receive(&gone("number", Kind::Int));
    assert!(app.session.next_notice().is_none() && app.session.take_state().is_none());
    assert_eq!(app.session.stats().rejected, 0);
    app.receive(&gone("text", Kind::Text));
    assert_eq!(app.session.take_state().map(|state| state.kind()), Some(Kind::Cleared));
}
