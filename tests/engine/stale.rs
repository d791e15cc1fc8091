//! Which values are stale: those of apps that are gone, as far as the hub tells.

use std::collections::{BTreeMap, BTreeSet};

use nanostate::engine::hub::RouterConfig;
use nanostate::framing::{frame_head, header, Framing, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta, PeerState, Presence, Secret, Stamp};
use nanostate::{limits, Kind};

use crate::sim::{body, each_seed, Direct, DirectApp, Id, OldPeer, Shelf, World, SEC};
use crate::words;

const HUB: &str = "tcp://hub";
/// The instance of the hub in the tests with one app.
const HUB_INSTANCE: u8 = 9;

/// A value of this sender, set by this instance at this time, arrives.
fn value(app: &mut DirectApp, sender: &str, name: &str, time: u64, instance: u8) {
    let clock = LogicalTime::from_millis(app.now.wall.as_millis() + time);
    let meta = Meta { stamp: Some(Stamp { clock, instance: Instance([instance; 16]) }), ..Meta::default() };
    app.receive(&body(Form::V1, sender, name, &[7], &meta));
}

fn says(app: &mut DirectApp, state: PeerState, identity: &str, instance: u8) {
    app.hear(Control::Presence(Presence::Peer { state, identity, instance: Instance([instance; 16]) }));
}

/// The hub tells which apps are there.
fn lists(app: &mut DirectApp, apps: &[(&str, u8)], young: bool) {
    app.hear(Control::Presence(Presence::Begins));
    apps.iter().for_each(|&(identity, instance)| says(app, PeerState::Present, identity, instance));
    app.hear(Control::Presence(Presence::Complete { young }));
}

fn is_stale(app: &mut DirectApp, sender: &str, name: &str) -> bool {
    let state = app.session.get(Some(sender), name).expect("a value");
    app.session.is_stale(&state)
}

/// The senders of whose values the program is told.
fn told(app: &mut DirectApp) -> Vec<Option<String>> {
    let mut told = Vec::new();
    while let Some(notice) = app.session.next_notice() {
        if let nanostate::engine::app::Notice::Stale(sender) = notice {
            told.push(sender);
        }
    }
    told
}

/// An app that has values of `b`, which is there, and of `c`, which is not.
fn knows_who_is_there() -> DirectApp {
    let mut app = DirectApp::new();
    app.session.set_tells_stale(true);
    app.link(HUB_INSTANCE);
    value(&mut app, "b", "x", 1, 2);
    value(&mut app, "c", "x", 2, 3);
    lists(&mut app, &[("b", 2)], false);
    assert_eq!(told(&mut app), [None]);
    assert!(!is_stale(&mut app, "b", "x") && is_stale(&mut app, "c", "x"));
    app
}

#[test]
fn a_value_is_stale_once_the_hub_has_told_that_its_app_is_not_there_and_fresh_when_it_is_back() {
    let mut app = knows_who_is_there();
    says(&mut app, PeerState::Suspect, "b", 2);
    assert!(told(&mut app).is_empty() && !is_stale(&mut app, "b", "x"), "suspect is not gone");
    says(&mut app, PeerState::Lost, "b", 2);
    assert_eq!(told(&mut app), [Some("b".to_owned())]);
    assert!(is_stale(&mut app, "b", "x"));
    says(&mut app, PeerState::Present, "b", 2);
    assert_eq!(told(&mut app), [Some("b".to_owned())]);
    assert!(!is_stale(&mut app, "b", "x"));
}

#[test]
fn an_app_that_was_started_anew_confirms_only_what_it_has_set_since() {
    let mut app = knows_who_is_there();
    value(&mut app, "b", "y", 3, 2);
    says(&mut app, PeerState::Left, "b", 2);
    says(&mut app, PeerState::Present, "b", 4);
    value(&mut app, "b", "y", 5, 4);
    assert!(is_stale(&mut app, "b", "x") && !is_stale(&mut app, "b", "y"));
}

#[test]
fn what_its_hub_has_stamped_and_what_the_program_has_set_is_not_stale() {
    let mut app = knows_who_is_there();
    value(&mut app, "old", "x", 3, HUB_INSTANCE);
    app.publish("x", &[1]).unwrap();
    value(&mut app, "a", "left", 4, 77);
    assert!(!is_stale(&mut app, "old", "x") && !is_stale(&mut app, "a", "x"));
    assert!(is_stale(&mut app, "a", "left"), "an earlier run under this identity has set it");
    app.session.clear(app.now, "x").unwrap();
    assert!(app.session.get(Some("a"), "x").is_none());
}

#[test]
fn nothing_becomes_stale_while_it_is_not_known_who_is_there_and_what_is_stale_stays_so() {
    let mut app = knows_who_is_there();
    value(&mut app, "old", "x", 3, HUB_INSTANCE);
    let check = |app: &mut DirectApp| {
        assert!(!is_stale(app, "b", "x") && is_stale(app, "c", "x") && !is_stale(app, "old", "x"));
    };
    app.closed();
    check(&mut app);
    app.pass(60 * SEC);
    app.link(8);
    value(&mut app, "d", "x", 4, 5);
    check(&mut app);
    app.hear(Control::Presence(Presence::Begins));
    check(&mut app);
    app.hear(Control::Presence(Presence::Complete { young: true }));
    check(&mut app);
    assert!(!is_stale(&mut app, "d", "x"), "it may be on its way to a hub that was just started");
    assert!(told(&mut app).is_empty());
    says(&mut app, PeerState::Present, "c", 3);
    assert_eq!(told(&mut app), [Some("c".to_owned())]);
    assert!(!is_stale(&mut app, "c", "x"), "it is back");
    app.hear(Control::Presence(Presence::Complete { young: false }));
    assert_eq!(told(&mut app), [None]);
    assert!(is_stale(&mut app, "b", "x") && is_stale(&mut app, "d", "x"));
    assert!(is_stale(&mut app, "old", "x"), "another hub has stamped it, and nobody has confirmed it to this one");
}

#[test]
fn of_whom_a_hub_says_that_it_is_gone_the_values_are_stale_also_while_the_hub_is_young() {
    let mut app = DirectApp::new();
    app.session.set_tells_stale(true);
    app.link(HUB_INSTANCE);
    value(&mut app, "b", "x", 1, 2);
    lists(&mut app, &[("b", 2)], true);
    assert_eq!(told(&mut app), [Some("b".to_owned())]);
    says(&mut app, PeerState::Left, "b", 2);
    assert_eq!(told(&mut app), [Some("b".to_owned())]);
    assert!(is_stale(&mut app, "b", "x"));
    app.closed();
    assert!(is_stale(&mut app, "b", "x"));
}

#[test]
fn a_program_that_never_asks_has_the_hub_tell_nothing() {
    let mut app = DirectApp::new();
    app.link(HUB_INSTANCE);
    value(&mut app, "b", "x", 1, 2);
    let asks = |app: &mut DirectApp| {
        let bodies = app.bodies();
        bodies.iter().filter(|bytes| wire::decode(bytes, Form::V1).is_ok_and(|body| body.name() == "$ns/watch")).count()
    };
    assert_eq!(asks(&mut app), 0);
    assert!(!is_stale(&mut app, "b", "x"));
    assert_eq!(asks(&mut app), 1);
    lists(&mut app, &[], false);
    assert!(is_stale(&mut app, "b", "x") && asks(&mut app) == 0 && told(&mut app).is_empty());
    app.session.set_tells_stale(true);
    assert_eq!(told(&mut app), [None], "a function that is set later is told at once");
}

#[test]
fn nothing_is_stale_at_a_hub_that_does_not_tell_who_is_there() {
    let mut app = DirectApp::new();
    app.session.set_tells_stale(true);
    app.link_with(HUB_INSTANCE, Features::SYNCED);
    value(&mut app, "b", "x", 1, 2);
    assert!(!is_stale(&mut app, "b", "x") && told(&mut app).is_empty());
}

#[test]
fn a_list_that_is_longer_than_an_app_may_know_makes_nothing_stale() {
    let mut app = knows_who_is_there();
    app.hear(Control::Presence(Presence::Begins));
    for n in 0..=limits::OTHERS {
        says(&mut app, PeerState::Present, &n.to_string(), 1);
    }
    app.hear(Control::Presence(Presence::Complete { young: false }));
    value(&mut app, "d", "x", 3, 5);
    assert!(!is_stale(&mut app, "d", "x") && is_stale(&mut app, "c", "x"));
}

#[test]
fn of_many_that_come_and_go_the_program_is_told_at_once() {
    let mut app = knows_who_is_there();
    for n in 0..=limits::STALE_SENDERS {
        says(&mut app, PeerState::Present, &format!("n{n}"), 1);
        says(&mut app, PeerState::Left, &format!("n{n}"), 1);
    }
    assert_eq!(told(&mut app), [None]);
}

#[test]
fn a_hub_tells_that_an_app_is_there_before_it_passes_on_its_values() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = words::join(&mut hub, "watcher", HelloFlags(0), Features::ALL);
    hub.control(watcher, "watcher", Control::Watch);
    hub.settle();
    // In one piece with its hello, which it has no answer to yet.
    let conn = hub.open();
    let (instance, secret) = (Instance([7; 16]), Some(Secret([7; 16])));
    let (accept, flags, features) = (wire::ACCEPT_ANY, HelloFlags(0), Features::ALL);
    let hello = Control::Hello { instance, epoch: 1, accept, flags, time: None, secret, token: None, features };
    let mut first = Vec::new();
    hello.encode("b", &mut first);
    let second = body(Form::V1, "b", "x", &[7], &Meta::default());
    let frames = [&first, &second].map(|body| [&frame_head(Framing::Tcp, body.len())[..], body].concat());
    hub.bodies(watcher);
    hub.bytes(conn, &[&header(Version::V1)[..], &frames.concat()].concat());
    assert_eq!(order(&mut hub, watcher), ["b present", "b x"]);
}

/// What a peer is sent of apps and values, in words, until there is no more.
fn order(hub: &mut Direct, conn: nanostate::engine::ConnId) -> Vec<String> {
    let words = |bytes: &Vec<u8>| {
        let body = wire::decode(bytes, Form::V1).expect("a body");
        match Control::decode(&body) {
            Ok(Control::Presence(Presence::Peer { state, identity, .. })) => {
                Some(format!("{identity} {}", state.name()))
            }
            _ if body.is_reserved() => None,
            _ => Some(format!("{} {}", body.sender(), body.name())),
        }
    };
    let mut order = Vec::new();
    loop {
        hub.settle();
        let bodies = hub.bodies(conn);
        if bodies.is_empty() {
            return order;
        }
        order.extend(bodies.iter().filter_map(words));
    }
}

#[test]
fn so_it_does_with_an_app_that_does_not_keep_up() {
    let large = [&[0xC6, 0, 2, 0, 0][..], &vec![7; 128 << 10]].concat();
    // From few that wait up to more than fit.
    for waiting in 0..40 {
        let mut hub = Direct::new(RouterConfig::default());
        let watcher = words::join(&mut hub, "watcher", HelloFlags(0), Features::ALL);
        hub.control(watcher, "watcher", Control::Watch);
        order(&mut hub, watcher);
        let a = hub.open_v1("a", 5);
        for n in 0..waiting {
            hub.publish(a, "a", &format!("large{n}"), &large);
        }
        let b = hub.open_v1("b", 6);
        hub.publish(b, "b", "x", &[7]);
        let order = order(&mut hub, watcher);
        let at = |what: &str| order.iter().position(|said| said == what).unwrap_or_else(|| panic!("{what}: {order:?}"));
        assert!(at("b present") < at("b x"), "{order:?}");
        assert!(waiting == 0 || at("a present") < at("a large0"), "{order:?}");
    }
}

/// A program that shows which values are stale, as it would be done: it asks of each that comes, and again when it is told.
#[derive(Default)]
struct Shows {
    instance: Instance,
    states: BTreeMap<(String, String), (Stamp, bool)>,
}

impl Shows {
    fn look(&mut self, world: &mut World, id: Id) {
        let Shows { states, .. } = self;
        world.with(id, |app, _| {
            app.hear();
            let told = std::mem::take(&mut app.told_stale);
            let known = app.session.states(|_| true).expect("there is memory");
            let mut shown = BTreeMap::new();
            for state in known {
                let key = (state.sender().to_owned(), state.name().to_owned());
                let is_told = told.iter().any(|sender| sender.as_ref().is_none_or(|sender| *sender == key.0));
                let before = states.get(&key).filter(|(stamp, _)| *stamp == state.stamp() && !is_told);
                let is_stale = before.map_or_else(|| app.session.is_stale(&state), |(_, is_stale)| *is_stale);
                shown.insert(key, (state.stamp(), is_stale));
            }
            *states = shown;
        });
    }
}

/// An app that shows which values are stale, and has set one.
fn add(world: &mut World, identity: &str) -> (Id, Shows) {
    let id = world.add_app_with(identity, HUB, |app| app.session.set_tells_stale(true));
    world.publish(id, "alive", Kind::Int, 0).expect("there is room");
    let instance = world.app(id).session.get(Some(identity), "alive").expect("it was set").stamp().instance;
    (id, Shows { instance, ..Shows::default() })
}

#[test]
fn in_the_end_exactly_the_values_of_apps_that_live_are_not_stale_whatever_breaks() {
    each_seed(200, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig::default());
        if world.rng.one_in(2) {
            world.give_store(hub, Shelf::default());
        }
        let old = world.add_old_peer(OldPeer::new("old"), HUB);
        let mut alive: BTreeMap<Id, Shows> = (0..4).map(|n| add(&mut world, &format!("app{n}"))).collect();
        for step in 0..30 {
            let ids: Vec<_> = alive.keys().copied().collect();
            let id = world.rng.pick(&ids);
            match world.rng.below(11) {
                // Also under an identity that another app has, or has had.
                0 if ids.len() < 8 => {
                    let n = world.rng.below(8);
                    let is_held = ids.iter().any(|&id| world.app(id).identity == format!("app{n}"));
                    let (id, shows) = add(&mut world, &if is_held { format!("late{step}") } else { format!("app{n}") });
                    alive.insert(id, shows);
                }
                1 if ids.len() > 1 => {
                    alive.remove(&id);
                    world.kill(id);
                }
                2 if ids.len() > 1 => {
                    alive.remove(&id);
                    world.vanish(id);
                }
                3 if ids.len() > 1 => {
                    alive.remove(&id);
                    world.with(id, |app, _| app.session.disconnect());
                    world.run_for(SEC);
                    world.kill(id);
                }
                4 => world.break_one(id),
                5 => {
                    world.kill(hub);
                    hub = world.replace_hub(hub, HUB, RouterConfig::default());
                }
                6 => {
                    let time = world.rng.below(40 * SEC);
                    world.suspend(id, time);
                }
                7 => {
                    let until = world.mono + world.rng.below(30 * SEC);
                    world.stall(id, until);
                }
                8 => {
                    let name = format!("old{}", world.rng.below(3));
                    world.publish_old(old, &name, Kind::Text, 0);
                }
                _ => {
                    let name = format!("n{}", world.rng.below(4));
                    world.publish(id, &name, Kind::Int, 0).expect("there is room");
                }
            }
            let pause = world.rng.below(8 * SEC);
            world.run_for(pause);
            let some: Vec<_> = alive.keys().copied().filter(|_| world.rng.one_in(2)).collect();
            some.into_iter().for_each(|id| alive.get_mut(&id).expect("it lives").look(&mut world, id));
        }
        let last = world.add_old_peer(OldPeer::new("last"), HUB);
        world.settle();
        world.publish_old(last, "last", Kind::Text, 0);
        world.run_for(60 * SEC);
        world.settle();
        let ids: Vec<_> = alive.keys().copied().collect();
        let mut live: BTreeSet<(String, Instance)> = BTreeSet::new();
        for id in &ids {
            live.insert((world.app(*id).identity.clone(), alive[id].instance));
        }
        let hub_instance = world.hub(hub).table().find("last", "last").expect("the hub has it").stamp().instance;
        for id in ids {
            let shows = alive.get_mut(&id).expect("it lives");
            shows.look(&mut world, id);
            let own = world.app(id).identity.clone();
            for ((sender, name), (stamp, is_stale)) in &shows.states {
                let is_vouched = live.contains(&(sender.clone(), stamp.instance)) || stamp.instance == hub_instance;
                assert_eq!(*is_stale, !is_vouched, "{name:?} of {sender:?}, as {own:?} shows it");
            }
            let senders: BTreeSet<_> = shows.states.keys().map(|(sender, _)| sender).collect();
            assert!(senders.len() >= live.len(), "all that live are shown");
        }
    });
}
