//! Values that live for a limited time: where they expire, and who is told.

use std::collections::BTreeMap;

use nanostate::engine::app::Policy;
use nanostate::engine::hub::RouterConfig;
use nanostate::engine::ConnId;
use nanostate::framing::{header, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Malformed, Meta, Stamp};
use nanostate::{Kind, Value};

use crate::sim::{body, each_seed, given, Direct, DirectApp, Id, World, CLEARED, SEC};
use crate::words;

const HUB: &str = "tcp://hub";
const MS: u64 = SEC / 1000;

/// A body with the integer 7 that lives for so many milliseconds.
fn mortal(sender: &str, name: &str, stamp: Stamp, lifetime: u64) -> Vec<u8> {
    let meta = Meta { stamp: Some(stamp), lifetime: Some(lifetime), ..Meta::default() };
    body(Form::V1, sender, name, &[7], &meta)
}

/// What the hub sends a peer of states: name, kind, stamp and lifetime.
fn said(hub: &mut Direct, conn: ConnId) -> Vec<(String, Kind, Stamp, Option<u64>)> {
    states(hub.bodies(conn))
}

fn states(bodies: Vec<Vec<u8>>) -> Vec<(String, Kind, Stamp, Option<u64>)> {
    let state = |bytes: Vec<u8>| {
        let body = wire::decode(&bytes, Form::V1).expect("a body");
        let stamp = body.meta.stamp.unwrap_or_default();
        (!body.is_reserved()).then(|| (body.name().to_owned(), body.kind, stamp, body.meta.lifetime))
    };
    bodies.into_iter().filter_map(state).collect()
}

fn join(hub: &mut Direct, identity: &str, features: Features) -> ConnId {
    let conn = words::join(hub, identity, HelloFlags(0), features);
    hub.bodies(conn);
    conn
}

/// A hub, and the app `a` of instance 1 on it.
fn hub() -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig::default());
    let a = join(&mut hub, "a", Features::ALL);
    (hub, a)
}

/// A stamp of the apps that join by [`words::join`].
const AT: Stamp = Stamp { clock: LogicalTime::from_millis(5), instance: Instance([2; 16]) };

#[test]
fn a_value_expires_at_the_hub_and_everybody_is_told_as_if_it_had_been_cleared() {
    let (mut hub, a) = hub();
    let b = join(&mut hub, "b", Features::ALL);
    let at = AT;
    hub.send(a, &mortal("a", "x", at, 1000));
    assert_eq!(said(&mut hub, b), [("x".to_owned(), Kind::Int, at, Some(1000))]);
    hub.pass(999 * MS);
    assert_eq!(said(&mut hub, b), []);
    hub.pass(MS);
    assert_eq!(said(&mut hub, b), [("x".to_owned(), Kind::Cleared, at.expired(), None)]);
    assert_eq!((hub.router.table().values(), said(&mut hub, a)), (0, vec![]), "the sender knows");
    // A tombstone as any other.
    let late = join(&mut hub, "late", Features::ALL);
    assert_eq!(said(&mut hub, late), []);
}

#[test]
fn who_comes_later_is_told_how_much_is_left_and_who_does_not_know_of_it_is_not() {
    let (mut hub, a) = hub();
    let (at, earlier) = (AT, Features(Features::ALL.0 & !Features::LIFETIME.0));
    hub.send(a, &mortal("a", "x", at, 10_000));
    hub.pass(4 * SEC + MS / 2);
    let lifetimes = |hub: &mut Direct, features: Features| {
        let conn = words::join(hub, &format!("reader{}", features.0), HelloFlags(0), features);
        said(hub, conn).into_iter().map(|(.., lifetime)| lifetime).collect::<Vec<_>>()
    };
    assert_eq!(lifetimes(&mut hub, Features::ALL), [Some(6000)]);
    assert_eq!(lifetimes(&mut hub, earlier), [None]);
    let old = join(&mut hub, "old", earlier);
    let bus = hub.open_old();
    hub.send(a, &mortal("a", "y", at, 500));
    assert_eq!(said(&mut hub, old), [("y".to_owned(), Kind::Int, at, None)]);
    assert!(!hub.read(bus, usize::MAX).is_empty());
    hub.pass(SEC);
    assert_eq!(said(&mut hub, old), [("y".to_owned(), Kind::Cleared, at.expired(), None)]);
    assert!(hub.read(bus, usize::MAX).is_empty(), "its protocol has no word for it");
    // Nor does one say it that has not announced it.
    hub.send(old, &mortal("old", "x", at, 500));
    assert_eq!(hub.router.stats().malformed_by[Malformed::Feature.index()], 1);
}

#[test]
fn a_value_that_is_set_again_just_before_it_expires_lives_on_and_every_later_one_wins_over_the_expiry() {
    let (mut hub, a) = hub();
    let b = join(&mut hub, "b", Features::ALL);
    let at = AT;
    hub.send(a, &mortal("a", "x", at, 1000));
    hub.pass(999 * MS);
    let again = Stamp { clock: at.clock.succ(), ..at };
    hub.send(a, &mortal("a", "x", again, 1000));
    said(&mut hub, b);
    hub.pass(999 * MS);
    assert_eq!((said(&mut hub, b), hub.router.table().values()), (vec![], 1));
    hub.pass(MS);
    assert_eq!(said(&mut hub, b), [("x".to_owned(), Kind::Cleared, again.expired(), None)]);
    // The next stamp that there is.
    let next = Stamp { clock: again.clock.succ(), ..again };
    hub.publish_at(a, "a", "x", &[8], next);
    assert_eq!(said(&mut hub, b), [("x".to_owned(), Kind::Int, next, None)]);
    hub.pass(10 * SEC);
    assert_eq!((said(&mut hub, b), hub.router.table().values()), (vec![], 1), "this one is for ever");
}

#[test]
fn many_values_that_expire_at_once_are_withdrawn_in_turns() {
    let (mut hub, a) = hub();
    let at = AT;
    for n in 0..5000 {
        hub.send(a, &mortal("a", &format!("n{n}"), at, 1000));
    }
    hub.pass(SEC);
    assert!((1..5000).contains(&hub.router.table().values()), "others had a turn, too");
    hub.settle();
    assert_eq!(hub.router.table().values(), 0);
}

fn told(app: &mut DirectApp) -> Vec<(String, Vec<u8>)> {
    let states = std::iter::from_fn(|| app.session.take_state());
    states.map(|state| (state.name().to_owned(), given(&state))).collect()
}

fn send(app: &mut DirectApp, name: &str, lifetime: u64) {
    let policy = Policy { lifetime: Some(lifetime), ..Policy::default() };
    app.session.publish_as(app.now, name, Value::Int(7), Kind::Int, policy).expect("there is room");
    app.actions();
}

#[test]
fn an_app_that_is_cut_off_sees_values_expire_by_itself() {
    let mut app = DirectApp::new();
    app.link(9);
    app.receive(&mortal("b", "x", AT, 1000));
    app.closed();
    app.pass(SEC - MS);
    assert!(app.session.get(Some("b"), "x").is_some());
    app.pass(MS);
    assert_eq!(told(&mut app), [("x".to_owned(), vec![7]), ("x".to_owned(), CLEARED.to_vec())]);
    assert!(app.session.get(Some("b"), "x").is_none() && app.session.get(None, "x").is_none());
    // What the hub says of it is not new.
    app.pass(10 * SEC);
    app.link(9);
    let meta = Meta { stamp: Some(AT.expired()), flags: Meta::CLEAR, ..Meta::default() };
    app.receive(&body(Form::V1, "b", "x", &[5], &meta));
    // Nor is the value, which was on its way.
    app.receive(&mortal("b", "x", AT, 1));
    assert_eq!(told(&mut app), []);
}

#[test]
fn an_own_value_is_announced_with_what_is_left_of_it_and_not_again_once_it_has_expired() {
    let mut app = DirectApp::new();
    send(&mut app, "x", 10_000);
    app.pass(4 * SEC);
    app.link(9);
    let lifetimes = |app: &mut DirectApp| {
        states(app.bodies()).into_iter().map(|(_, kind, _, lifetime)| (kind, lifetime)).collect::<Vec<_>>()
    };
    assert_eq!(lifetimes(&mut app), [(Kind::Int, Some(6000))]);
    app.closed();
    app.pass(6 * SEC);
    assert!(app.session.get(None, "x").is_none());
    app.link(9);
    assert_eq!(lifetimes(&mut app), [(Kind::Cleared, None)]);
    // One that is set again has its own time.
    send(&mut app, "x", 1000);
    app.pass(SEC / 2);
    send(&mut app, "x", 1000);
    app.pass(SEC - MS);
    assert!(app.session.get(None, "x").is_some());
    app.pass(MS);
    assert!(app.session.get(None, "x").is_none());
}

#[test]
fn an_app_clears_its_values_itself_where_the_hub_does_not_know_of_it() {
    let mut app = DirectApp::new();
    app.link_with(9, Features(Features::ALL.0 & !Features::LIFETIME.0));
    send(&mut app, "x", 1000);
    let said = states(app.bodies());
    assert!(matches!(&said[..], [(_, Kind::Int, _, None)]), "{said:?}");
    app.pass(SEC);
    let cleared = states(app.bodies());
    assert_eq!(cleared, [("x".to_owned(), Kind::Cleared, said[0].2.expired(), None)]);
}

#[test]
fn the_holder_of_an_identity_believes_its_hub_that_a_value_has_expired_and_brings_it_back_for_nothing_else() {
    let mut app = DirectApp::new();
    app.link(9);
    send(&mut app, "x", 10_000);
    let at = states(app.bodies())[0].2;
    // Of an earlier value of another instance, and of this one.
    let expiry = |stamp: Stamp| {
        let meta = Meta { stamp: Some(stamp.expired()), flags: Meta::CLEAR, ..Meta::default() };
        body(Form::V1, "a", "x", &[5], &meta)
    };
    app.receive(&expiry(Stamp { clock: at.clock.succ(), ..at }));
    let anew = states(app.bodies());
    assert!(matches!(&anew[..], [(_, Kind::Int, _, Some(10_000))]), "it is stamped anew: {anew:?}");
    app.receive(&expiry(anew[0].2));
    assert!(app.session.get(None, "x").is_none() && states(app.bodies()).is_empty());
    assert_eq!(told(&mut app), [], "its own values are not given to a program");
}

#[test]
fn a_value_that_has_expired_at_the_hub_is_not_brought_back_by_its_sender_which_has_not_heard_of_it() {
    let mut app = DirectApp::new();
    app.link(9);
    send(&mut app, "x", 10_000);
    let at = states(app.bodies())[0].2;
    let time = at.clock.succ();
    app.hear(Control::Stale { name: "x", offered: at, held: Some(at.expired()), time });
    assert!(app.session.get(None, "x").is_none());
    let anew = states(app.bodies());
    assert!(anew.iter().all(|(_, kind, stamp, _)| (*kind, *stamp) == (Kind::Cleared, at.expired())), "{anew:?}");
}

#[test]
fn who_shares_the_identity_and_does_not_know_of_this_hears_that_a_value_has_expired_whatever_it_subscribes_to() {
    let mut hub = Direct::new(RouterConfig::default());
    let earlier = Features(Features::ALL.0 & !Features::LIFETIME.0);
    let a = words::join(&mut hub, "a", HelloFlags::SHARED, Features::ALL);
    let other = hub.open();
    hub.bytes(other, &header(Version::V1));
    let hello = Control::Hello {
        instance: Instance([3; 16]),
        epoch: 1,
        accept: wire::ACCEPT_ANY,
        flags: HelloFlags::SHARED | HelloFlags::LISTED,
        time: None,
        secret: None,
        token: None,
        features: earlier,
    };
    hub.control(other, "a", hello);
    hub.bodies(other);
    let at = AT;
    hub.send(a, &mortal("a", "x", at, 1000));
    assert_eq!(said(&mut hub, other), [("x".to_owned(), Kind::Int, at, None)]);
    hub.pass(SEC);
    assert_eq!(said(&mut hub, other), [("x".to_owned(), Kind::Cleared, at.expired(), None)]);
}

/// What was sent last of each name, if it lives for ever.
type Lasting = BTreeMap<String, Option<i64>>;

fn publish(world: &mut World, id: Id, name: &str, lifetime: Option<u64>) -> i64 {
    world.number += 1;
    let number = world.number as i64;
    let policy = Policy { lifetime, ..Policy::default() };
    world.with(id, |app, now| {
        app.session.publish_as(now, name, Value::Int(number), Kind::Int, policy).expect("there is room");
    });
    number
}

#[test]
fn what_expired_is_gone_for_all_and_what_was_set_since_is_there_whatever_breaks() {
    each_seed(150, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig::default());
        let alone = world.add_app("alone", HUB);
        let shared = |world: &mut World| world.add_app_with("both", HUB, |app| app.session.config.shared = true);
        let (first, second) = (shared(&mut world), shared(&mut world));
        let reader = world.add_app("reader", HUB);
        let apps = [alone, first, second, reader];
        let (mut last, mut lasting) = (Lasting::new(), Vec::new());
        for _ in 0..60 {
            let lifetime = 1 + world.rng.below(8000);
            let name = format!("n{}", world.rng.below(4));
            match world.rng.below(12) {
                0..4 => {
                    let lifetime = (!world.rng.one_in(4)).then_some(lifetime);
                    let number = publish(&mut world, alone, &name, lifetime);
                    last.insert(name, lifetime.is_none().then_some(number));
                }
                4..7 => {
                    let id = world.rng.pick(&[first, second]);
                    publish(&mut world, id, &name, Some(lifetime));
                }
                7 => {
                    let id = world.rng.pick(&[first, second]);
                    lasting.push(publish(&mut world, id, "mixed", None));
                    let id = world.rng.pick(&[first, second]);
                    publish(&mut world, id, "mixed", Some(lifetime));
                }
                8 => {
                    let id = world.rng.pick(&apps);
                    world.break_one(id);
                }
                9 => {
                    let (id, until) = (world.rng.pick(&apps), world.mono + world.rng.below(10 * SEC));
                    world.stall(id, until);
                }
                10 if world.rng.one_in(3) => {
                    world.kill(hub);
                    let away = world.rng.below(5 * SEC);
                    world.run_for(away);
                    hub = world.replace_hub(hub, HUB, RouterConfig::default());
                }
                _ => {
                    let time = world.rng.below(3 * SEC);
                    world.run_for(time);
                }
            }
        }
        world.settle();
        world.run_for(9 * SEC);
        world.settle();
        let late = world.add_app("late", HUB);
        world.settle();
        for id in [alone, first, second, reader, late] {
            let mut number = |sender: &str, name: &str| {
                let app = world.app(id);
                app.take();
                let found = app.session.get(Some(sender), name).map(|state| state.int().expect("an integer"));
                let given = app.newest.get(&(sender.to_owned(), name.to_owned())).map(|(_, value)| value.clone());
                // Of what it has sent itself a program is not told.
                let is_told = found.is_some() || app.identity == sender || given.is_none_or(|value| value == CLEARED);
                assert!(is_told, "{} is not told of the end of {name}", app.identity);
                found
            };
            for (name, value) in &last {
                assert_eq!(number("alone", name), *value, "{name} at {id}");
            }
            for name in (0..4).map(|n| format!("n{n}")) {
                assert_eq!(number("both", &name), None, "{name} at {id}");
            }
            let mixed = number("both", "mixed");
            assert!(mixed.is_none_or(|value| lasting.contains(&value)), "{mixed:?} at {id}");
        }
        let held = world.hub(hub).table().find("both", "mixed").is_some_and(|entry| !entry.is_cleared());
        for id in [first, second, reader, late] {
            assert_eq!(world.app(id).session.get(Some("both"), "mixed").is_some(), held, "all agree");
        }
    });
}
