//! Which apps are there: what a hub tells of them, whom it takes for suspect and lost, and what programs hear.

use std::collections::{BTreeMap, BTreeSet};

use nanostate::engine::app::{Peer, PresenceEvent};
use nanostate::engine::hub::{RouterConfig, Silence, Tokens};
use nanostate::engine::{ConnId, Protocol};
use nanostate::framing::{header, Version};
use nanostate::limits;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Hidden, Instance, Presence, Secret};
use nanostate::{Kind, Status};

use crate::sim::{each_seed, value, Direct, DirectApp, Id, World, MS, SEC};
use crate::words;

const HUB: &str = "tcp://hub";

/// An app of this identity, instance and secret joins, over its link of this number.
fn link(hub: &mut Direct, identity: &str, app: u8, epoch: u64) -> ConnId {
    hub.hello_with(identity, app, epoch, HelloFlags(0), Some(app))
}

/// An app joins that asks who is there.
fn watcher(hub: &mut Direct) -> ConnId {
    let conn = words::join(hub, "watcher", HelloFlags(0), Features::ALL);
    hub.control(conn, "watcher", Control::Watch);
    conn
}

/// What a peer is told of others, in words.
fn told(hub: &mut Direct, conn: ConnId) -> Vec<String> {
    hub.settle();
    heard(hub, conn)
}

pub(crate) fn heard(hub: &mut Direct, conn: ConnId) -> Vec<String> {
    let words = |bytes: &Vec<u8>| {
        let body = wire::decode(bytes, Form::V1).expect("a body");
        match Control::decode(&body) {
            Ok(Control::Presence(Presence::Begins)) => Some("begins".to_owned()),
            Ok(Control::Presence(Presence::Complete { young })) => {
                Some(if young { "complete, young" } else { "complete" }.to_owned())
            }
            Ok(Control::Presence(Presence::Peer { identity: "watcher", .. })) => None,
            Ok(Control::Presence(Presence::Peer { state, identity, .. })) => {
                Some(format!("{identity} {}", state.name()))
            }
            _ => None,
        }
    };
    hub.bodies(conn).iter().filter_map(words).collect()
}

/// A hub that is not young any more, where somebody asks who is there.
fn watched() -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    hub.pass(limits::YOUNG.as_nanos() as u64);
    assert_eq!(told(&mut hub, watcher), ["begins", "complete, young", "complete"]);
    (hub, watcher)
}

#[test]
fn who_asks_is_told_who_is_there_and_who_comes_and_goes() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = link(&mut hub, "a", 1, 1);
    hub.pass(limits::YOUNG.as_nanos() as u64);
    let watcher = watcher(&mut hub);
    assert_eq!(told(&mut hub, watcher), ["begins", "a present", "complete"]);
    let b = link(&mut hub, "b", 2, 1);
    assert_eq!(told(&mut hub, watcher), ["b present"]);
    hub.control(a, "a", Control::Bye);
    assert!(told(&mut hub, watcher).is_empty(), "the link is still there");
    hub.lose(a);
    assert_eq!(told(&mut hub, watcher), ["a left"]);
    hub.control(watcher, "watcher", Control::Watch);
    assert!(told(&mut hub, watcher).is_empty(), "it knows that");
    hub.lose(watcher);
    hub.lose(b);
    hub.pass(60 * SEC);
    assert_eq!(hub.router.deadline(), None, "nothing is left to do");
}

#[test]
fn old_programs_observers_and_refused_apps_are_not_told_of() {
    let (mut hub, watcher) = watched();
    hub.open_old();
    let observer = words::join(&mut hub, "observer", HelloFlags::OBSERVER, Features::ALL);
    hub.control(observer, "observer", Control::Watch);
    assert!(told(&mut hub, observer).contains(&"complete".to_owned()), "but an observer may ask");
    link(&mut hub, "a", 1, 2);
    assert_eq!(told(&mut hub, watcher), ["a present"]);
    link(&mut hub, "a", 1, 1);
    assert!(told(&mut hub, watcher).is_empty(), "an older link of the same app");
}

#[test]
fn an_app_that_did_not_announce_it_may_not_ask() {
    let mut hub = Direct::new(RouterConfig::default());
    let conn = words::join(&mut hub, "late", HelloFlags(0), Features::SYNCED);
    hub.control(conn, "late", Control::Watch);
    assert!(hub.is_closed(conn));
}

/// An app joins with this token.
fn join_with(hub: &mut Direct, identity: &str, app: u8, token: &str) -> ConnId {
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    let hello = Control::Hello {
        instance: Instance([app; 16]),
        epoch: 1,
        accept: wire::ACCEPT_ANY,
        flags: HelloFlags(0),
        time: None,
        secret: Some(Secret([app; 16])),
        token: Some(Hidden(token)),
        features: Features::ALL,
    };
    hub.control(conn, identity, hello);
    conn
}

#[test]
fn those_who_watch_hear_at_once_that_a_token_was_taken_back() {
    const PANEL: &str = "the-token-of-the-panel";
    const ROBOT: &str = "the-token-of-the-robot";
    let mut hub = Direct::new(RouterConfig::default());
    let panel = format!("panel read {PANEL}\n");
    let both = format!("{panel}robot read-write {ROBOT}\n");
    let now = hub.now;
    hub.router.set_tokens(now, Some(Tokens::parse(&both).expect("tokens")));
    let watcher = join_with(&mut hub, "watcher", 1, PANEL);
    hub.control(watcher, "watcher", Control::Watch);
    join_with(&mut hub, "a", 2, ROBOT);
    assert_eq!(told(&mut hub, watcher), ["begins", "complete, young", "a present"]);
    hub.router.set_tokens(now, Some(Tokens::parse(&panel).expect("a token")));
    assert!(hub.router.is_ready(), "it goes on at once");
    assert_eq!(told(&mut hub, watcher), ["a left"]);
}

#[test]
fn an_app_whose_link_is_cut_is_suspect_until_it_is_back_or_lost() {
    let (mut hub, watcher) = watched();
    let a = link(&mut hub, "a", 1, 1);
    told(&mut hub, watcher);
    hub.lose(a);
    assert_eq!(told(&mut hub, watcher), ["a suspect"]);
    hub.pass(limits::CUT.as_nanos() as u64 - MS);
    let a = link(&mut hub, "a", 1, 2);
    assert_eq!(told(&mut hub, watcher), ["a present"]);
    hub.pass(60 * SEC);
    assert!(told(&mut hub, watcher).is_empty());
    hub.lose(a);
    hub.pass(limits::CUT.as_nanos() as u64);
    assert_eq!(told(&mut hub, watcher), ["a suspect", "a lost"]);
    link(&mut hub, "a", 1, 3);
    assert_eq!(told(&mut hub, watcher), ["a present"]);
}

#[test]
fn an_app_without_a_secret_that_is_back_is_not_lost_after_that() {
    let (mut hub, watcher) = watched();
    let link = |hub: &mut Direct, epoch| hub.hello_with("a", 1, epoch, HelloFlags(0), None);
    let a = link(&mut hub, 1);
    hub.lose(a);
    let a = link(&mut hub, 2);
    assert_eq!(told(&mut hub, watcher), ["a present", "a suspect", "a present"]);
    hub.pass(2 * limits::CUT.as_nanos() as u64);
    assert!(told(&mut hub, watcher).is_empty());
    hub.lose(a);
    hub.pass(2 * limits::CUT.as_nanos() as u64);
    assert_eq!(told(&mut hub, watcher), ["a suspect", "a lost"]);
}

#[test]
fn another_app_does_not_pass_for_one_whose_link_was_cut() {
    let (mut hub, watcher) = watched();
    let a = link(&mut hub, "a", 1, 1);
    told(&mut hub, watcher);
    hub.lose(a);
    let thief = hub.hello_with("a", 1, 2, HelloFlags(0), Some(9));
    assert_eq!(told(&mut hub, watcher), ["a suspect", "a present"], "that is another");
    hub.pass(limits::CUT.as_nanos() as u64);
    assert_eq!(told(&mut hub, watcher), ["a lost"], "the one that was cut");
    hub.control(thief, "a", Control::Bye);
    hub.lose(thief);
    assert_eq!(told(&mut hub, watcher), ["a left"]);
}

#[test]
fn a_newer_link_of_the_same_app_is_no_news_and_another_app_in_its_place_is() {
    let (mut hub, watcher) = watched();
    link(&mut hub, "a", 1, 1);
    told(&mut hub, watcher);
    link(&mut hub, "a", 1, 2);
    assert!(told(&mut hub, watcher).is_empty());
    hub.hello_with("a", 2, 1, HelloFlags::TAKE_OVER, Some(2));
    assert_eq!(told(&mut hub, watcher), ["a left", "a present"]);
}

#[test]
fn a_silent_app_over_a_network_is_asked_then_suspect_then_lost() {
    let (mut hub, watcher) = watched();
    *hub.router.silence_mut() = Silence::default();
    let [dead, alive, slow] = [("dead", 1), ("alive", 2), ("slow", 3)].map(|(name, n)| link(&mut hub, name, n, 1));
    told(&mut hub, watcher);
    let mut said = Vec::new();
    for second in 1..=21_u64 {
        for _ in 0..10 {
            hub.pass(SEC / 10);
            let pings = |hub: &mut Direct, conn| {
                let pings = hub.bodies(conn).into_iter().filter_map(|bytes| {
                    match Control::decode(&wire::decode(&bytes, Form::V1).expect("a body")) {
                        Ok(Control::Ping { token }) => Some(token),
                        _ => None,
                    }
                });
                pings.collect::<Vec<_>>()
            };
            for token in pings(&mut hub, alive) {
                hub.control(alive, "alive", Control::Pong { token, time: None });
            }
            if second == 7 {
                for token in pings(&mut hub, slow) {
                    hub.control(slow, "slow", Control::Pong { token, time: None });
                }
            }
        }
        said.extend(told(&mut hub, watcher).into_iter().map(|words| (second, words)));
    }
    let of = |name: &str| -> Vec<(u64, &str)> {
        let of = said.iter().filter(|(_, words)| words.starts_with(name));
        of.map(|(second, words)| (*second, words.split(' ').next_back().unwrap())).collect()
    };
    assert_eq!(of("dead"), [(5, "suspect"), (20, "lost")]);
    assert!(of("alive").is_empty(), "{said:?}");
    assert_eq!(of("slow")[..2], [(5, "suspect"), (7, "present")]);
    assert!(hub.is_closed(dead) && !hub.is_closed(alive) && !hub.is_closed(slow));
}

#[test]
fn one_that_does_not_read_is_told_all_when_it_does_in_bounded_memory() {
    let (mut hub, watcher) = watched();
    const APPS: usize = 2 * limits::PRESENCE_LOG;
    let identity = "x".repeat(200);
    for n in 0..APPS {
        let conn = hub.hello_with(&format!("{identity}{n}"), 1, 1, HelloFlags(0), None);
        hub.control(conn, &format!("{identity}{n}"), Control::Bye);
        hub.lose(conn);
    }
    link(&mut hub, "a", 1, 1);
    assert!(hub.peer(watcher).outbox_bytes < 300_000, "{} bytes wait", hub.peer(watcher).outbox_bytes);
    let said = told(&mut hub, watcher);
    let begins = said.iter().rposition(|words| words == "begins").expect("it is sent the list again");
    assert_eq!(said[begins..], ["begins", "a present", "complete"]);
}

#[test]
fn an_app_that_ends_says_goodbye_and_one_that_loses_its_link_does_not() {
    let said_bye = |app: &mut DirectApp| {
        let is_bye =
            |bytes: &Vec<u8>| Control::decode(&wire::decode(bytes, Form::V1).expect("a body")) == Ok(Control::Bye);
        app.bodies().iter().any(is_bye)
    };
    for features in [Features::ALL, Features::SYNCED] {
        let mut app = DirectApp::new();
        app.link_with(1, features);
        app.written();
        app.session.disconnect();
        assert_eq!(said_bye(&mut app), features == Features::ALL);
    }
}

#[test]
fn an_app_gives_up_a_hub_that_is_silent_and_keeps_one_that_answers() {
    for (answers, paused) in [(true, false), (false, false), (false, true)] {
        let mut app = DirectApp::new();
        app.link(1);
        app.written();
        if paused {
            // It takes nothing for a while, and leaves the hub's bytes unread. That is not the hub's silence.
            app.session.set_recv_queue(1);
            app.receive(&crate::sim::body(
                Form::V1,
                "b",
                "x",
                &[7],
                &wire::Meta { stamp: Some(crate::sim::stamp(1)), ..Default::default() },
            ));
        }
        for _ in 0..200 {
            app.pass(SEC / 10);
            if let (Some(token), true) = (app.ping(), answers) {
                app.hear(Control::Pong { token, time: None });
            }
        }
        let is_kept = app.closed.is_empty();
        assert_eq!(is_kept, answers, "paused: {paused}");
        if !is_kept {
            let why = app.session.last_failure().expect("a failure");
            assert_eq!(
                (why.status(), why.to_string()),
                (Status::Timeout, "nothing was heard of the hub for 20 s: tcp://hub".into())
            );
        }
    }
}

#[test]
fn a_hub_that_takes_what_had_to_wait_is_not_silent() {
    let mut app = DirectApp::new();
    app.link(1);
    app.written();
    app.publish("x", &value(Kind::Bytes, 1, 100_000)).unwrap();
    let conn = ConnId(app.conns);
    for _ in 0..100 {
        app.pass(SEC);
        // A slow network takes a little at a time, and the hub has nothing to say before it has all.
        let mut slices = Vec::new();
        app.session.gather(app.now, conn, &mut slices);
        let waits = slices.iter().map(|slice| slice.len()).sum::<usize>();
        drop(slices);
        assert!(waits > 900);
        app.session.wrote(app.now, conn, 900);
    }
    assert!(app.closed.is_empty());
}

/// What a program was told of the others, checked on the way.
#[derive(Default)]
struct View {
    apps: BTreeMap<(String, [u8; 16]), bool>,
}

impl View {
    fn told(&mut self, event: PresenceEvent, peer: Peer) {
        let key = (peer.identity, peer.instance);
        let before = self.apps.get(&key).copied();
        let after = match event {
            PresenceEvent::Here | PresenceEvent::Joined => {
                assert_eq!(before, None, "{key:?} is not there yet");
                Some(false)
            }
            PresenceEvent::Suspect => {
                assert_eq!(before, Some(false), "{key:?}");
                Some(true)
            }
            PresenceEvent::Recovered => {
                assert_eq!(before, Some(true), "{key:?}");
                Some(false)
            }
            PresenceEvent::Left | PresenceEvent::Lost => {
                assert!(before.is_some(), "{key:?} was there");
                None
            }
        };
        match after {
            Some(is_suspect) => drop(self.apps.insert(key, is_suspect)),
            None => drop(self.apps.remove(&key)),
        }
    }
}

/// An app that asks who is there.
fn add(world: &mut World, identity: &str) -> Id {
    world.add_app_with(identity, HUB, |app| app.session.set_tells_others(true))
}

#[test]
fn every_program_ends_with_those_who_are_there_whatever_breaks() {
    each_seed(300, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig::default());
        let mut alive: BTreeMap<Id, View> = BTreeMap::new();
        for n in 0..4 {
            alive.insert(add(&mut world, &format!("app{n}")), View::default());
        }
        for step in 0..30 {
            let ids: Vec<_> = alive.keys().copied().collect();
            match world.rng.below(9) {
                0 => drop(alive.insert(add(&mut world, &format!("late{step}")), View::default())),
                1 if ids.len() > 1 => {
                    let id = world.rng.pick(&ids);
                    alive.remove(&id);
                    world.kill(id);
                }
                2 if ids.len() > 1 => {
                    let id = world.rng.pick(&ids);
                    alive.remove(&id);
                    world.vanish(id);
                }
                3 if ids.len() > 1 => {
                    let id = world.rng.pick(&ids);
                    alive.remove(&id);
                    world.with(id, |app, _| app.session.disconnect());
                    world.run_for(SEC);
                    world.kill(id);
                }
                4 => {
                    let id = world.rng.pick(&ids);
                    world.break_one(id);
                }
                5 => {
                    world.kill(hub);
                    hub = world.replace_hub(hub, HUB, RouterConfig::default());
                }
                6 => {
                    let (id, time) = (world.rng.pick(&ids), world.rng.below(40 * SEC));
                    world.suspend(id, time);
                }
                7 => {
                    let (id, until) = (world.rng.pick(&ids), world.mono + world.rng.below(30 * SEC));
                    world.stall(id, until);
                }
                _ => {}
            }
            let pause = world.rng.below(8 * SEC);
            world.run_for(pause);
            let some: Vec<_> = alive.keys().copied().filter(|_| world.rng.one_in(2)).collect();
            some.into_iter().for_each(|id| take(&mut world, id, &mut alive));
        }
        world.settle();
        world.run_for(60 * SEC);
        world.settle();
        let all: BTreeSet<String> = alive.keys().map(|&id| world.app(id).identity.clone()).collect();
        for id in alive.keys().copied().collect::<Vec<_>>() {
            take(&mut world, id, &mut alive);
            let own = world.app(id).identity.clone();
            let others: BTreeSet<_> = all.iter().filter(|identity| **identity != own).cloned().collect();
            let told: BTreeSet<_> = alive[&id]
                .apps
                .iter()
                .map(|((identity, _), suspect)| {
                    assert!(!suspect, "{identity} is suspect for {own}");
                    identity.clone()
                })
                .collect();
            assert_eq!(told, others, "what {own} was told");
            let known = world.app(id).session.others().expect("a list").expect("a hub that tells");
            assert_eq!(known.iter().map(|peer| peer.identity.clone()).collect::<BTreeSet<_>>(), others);
        }
    });
}

/// The program of this app takes what it is told.
fn take(world: &mut World, id: Id, alive: &mut BTreeMap<Id, View>) {
    let view = alive.get_mut(&id).expect("an app that lives");
    let told = world.with(id, |app, _| {
        app.hear();
        std::mem::take(&mut app.told)
    });
    told.into_iter().for_each(|(event, peer)| view.told(event, peer));
}

#[test]
fn an_app_that_is_back_is_not_lost_because_another_has_used_its_instance() {
    let (mut hub, watcher) = watched();
    let a = link(&mut hub, "a", 1, 1);
    hub.lose(a);
    // An instance is in every stamp.
    let thief = hub.hello_with("thief", 1, 1, HelloFlags(0), Some(66));
    hub.lose(thief);
    link(&mut hub, "a", 1, 2);
    hub.pass(limits::CUT.as_nanos() as u64);
    let told = told(&mut hub, watcher);
    assert!(!told.contains(&"a lost".to_owned()), "{told:?}");
}
