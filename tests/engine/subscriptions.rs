//! Apps that are sent only the names that they subscribe to.

use std::collections::BTreeMap;

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::ConnId;
use nanostate::framing::{header, Version};
use nanostate::pattern::Pattern;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta, Texts};
use nanostate::{limits, Kind, Status};

use crate::sim::{body, stamp, value, Direct, DirectApp, World, MS, SEC};
use crate::words::{self, said};

const HUB: &str = "tcp://hub";

/// A hub that holds these of one sender, which is returned, too.
fn hub_with(held: &[&str]) -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig::default());
    let sender = hub.open_v1("a", 1);
    held.iter().for_each(|name| hub.publish(sender, "a", name, &value(Kind::Int, 0, 0)));
    (hub, sender)
}

/// An app joins that says in its hello that it will subscribe, or does not.
fn join(hub: &mut Direct, flags: HelloFlags) -> ConnId {
    words::join(hub, "reader", flags, Features::ALL)
}

fn subscribe(hub: &mut Direct, conn: ConnId, patterns: &[&str]) {
    let mut encoded = Vec::new();
    let patterns = Texts::encode(patterns.iter().copied(), &mut encoded);
    hub.control(conn, "reader", Control::Subscribe { patterns });
}

#[test]
fn an_app_that_subscribes_to_nothing_is_sent_no_states() {
    let (mut hub, sender) = hub_with(&["camera", "x"]);
    let reader = join(&mut hub, HelloFlags::LISTED);
    assert_eq!(said(&mut hub, reader), ["synced 0"]);
    let before = hub.peer(reader).bytes_out;
    hub.pass(MS);
    hub.publish(sender, "a", "camera", &value(Kind::Bytes, 1, 100_000));
    assert_eq!((said(&mut hub, reader).len(), hub.peer(reader).bytes_out - before), (0, 0));
}

#[test]
fn a_new_pattern_brings_what_is_held_of_it_and_no_more_than_that() {
    let (mut hub, sender) = hub_with(&["x/1", "x/2", "y/1", "z"]);
    let reader = join(&mut hub, HelloFlags::LISTED);
    said(&mut hub, reader);
    subscribe(&mut hub, reader, &["x/*"]);
    assert_eq!(said(&mut hub, reader), ["x/1 held", "x/2 held", "synced 1"]);
    subscribe(&mut hub, reader, &["*/1", "z"]);
    assert_eq!(said(&mut hub, reader), ["y/1 held", "z held", "synced 2"], "what it has is not sent again");
    subscribe(&mut hub, reader, &["x/*"]);
    assert_eq!(said(&mut hub, reader), ["synced 3"]);
    for name in ["x/1", "x/3", "y/2", "z", "z/2"] {
        hub.pass(MS);
        hub.publish(sender, "a", name, &value(Kind::Int, 1, 0));
    }
    assert_eq!(said(&mut hub, reader), ["x/1", "x/3", "z"]);
    hub.control(reader, "reader", Control::Unsubscribe { pattern: "x/*" });
    hub.control(reader, "reader", Control::Unsubscribe { pattern: "never" });
    for name in ["x/1", "x/3"] {
        hub.pass(MS);
        hub.publish(sender, "a", name, &value(Kind::Int, 2, 0));
    }
    assert_eq!(said(&mut hub, reader), ["x/1"], "another of its patterns matches");
}

#[test]
fn names_that_an_app_does_not_subscribe_to_are_not_withheld_from_it() {
    let (mut hub, sender) = hub_with(&["x/1", "x/2", "y"]);
    let reader = hub.open();
    hub.bytes(reader, &header(Version::V1));
    let (instance, accept, flags) = (Instance([2; 16]), Kind::Text.mask(), HelloFlags::LISTED);
    let features = Features::ALL;
    let hello = Control::Hello { instance, epoch: 1, accept, flags, time: None, secret: None, token: None, features };
    hub.control(reader, "reader", hello);
    subscribe(&mut hub, reader, &["x/*"]);
    assert_eq!((said(&mut hub, reader), hub.peer(reader).withheld), (vec!["synced 1".to_owned()], 2));
    subscribe(&mut hub, reader, &["z"]);
    said(&mut hub, reader);
    for name in ["x/1", "y"] {
        hub.pass(MS);
        hub.publish(sender, "a", name, &value(Kind::Int, 1, 0));
    }
    assert_eq!(hub.peer(reader).withheld, 3, "each once");
}

#[test]
fn who_had_everything_keeps_what_it_subscribes_to_and_is_sent_no_more_of_the_rest() {
    let (mut hub, sender) = hub_with(&["x", "y"]);
    let reader = join(&mut hub, HelloFlags(0));
    assert_eq!(said(&mut hub, reader), ["x held", "y held", "synced 0"]);
    subscribe(&mut hub, reader, &["x"]);
    assert_eq!(said(&mut hub, reader), ["synced 1"], "it has that");
    hub.pass(MS);
    hub.publish(sender, "a", "x", &value(Kind::Int, 1, 0));
    hub.publish(sender, "a", "y", &value(Kind::Int, 1, 0));
    assert_eq!(said(&mut hub, reader), ["x"]);
}

#[test]
fn a_slow_app_that_subscribes_again_and_again_misses_nothing() {
    const NAMES: usize = 200;
    let names: Vec<_> = (0..NAMES).map(|n| format!("{}/{n}", n % 10)).collect();
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    names.iter().for_each(|name| hub.publish(sender, "a", name, &value(Kind::Int, 0, 0)));
    let reader = join(&mut hub, HelloFlags::LISTED);
    let (mut bytes, mut n) = (Vec::new(), 0_usize);
    for round in 0..10 {
        subscribe(&mut hub, reader, &[&format!("{round}/*")]);
        for _ in 0..5 {
            for _ in 0..20 {
                n += 1;
                hub.pass(MS);
                hub.publish(sender, "a", &names[n * 7 % NAMES], &value(Kind::Int, n as u64, 0));
            }
            bytes.extend(hub.read(reader, 700));
        }
    }
    hub.settle();
    bytes.extend(hub.read(reader, usize::MAX));
    let mut newest = BTreeMap::new();
    let mut synced = None;
    for frame in crate::sim::whole_frames(nanostate::framing::Framing::Tcp, &bytes[header(Version::V1).len()..]) {
        let body = wire::decode(&frame, Form::V1).expect("a body");
        match Control::decode(&body) {
            Ok(Control::Synced { asks }) => synced = Some(asks),
            _ if body.is_reserved() => {}
            _ => _ = newest.insert(body.name().to_owned(), body.data.to_vec()),
        }
    }
    assert_eq!((newest.len(), synced), (NAMES, Some(10)));
    for name in &names {
        let held = hub.router.table().find("a", name).expect("it is held");
        let data = wire::decode(held.bytes(), Form::V1).expect("a body").data.to_vec();
        assert_eq!(newest[name], data, "{name}");
    }
}

#[test]
fn an_app_with_more_patterns_than_there_may_be_is_refused_with_the_number() {
    let (mut hub, _) = hub_with(&[]);
    let reader = join(&mut hub, HelloFlags::LISTED);
    let texts: Vec<_> = (0..=limits::PATTERNS).map(|n| format!("{n}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    subscribe(&mut hub, reader, &texts[..limits::PATTERNS]);
    assert!(!hub.is_closed(reader));
    subscribe(&mut hub, reader, &texts);
    assert!(hub.is_closed(reader));
    assert_eq!(hub.refusal(reader), Some(Status::Full));

    let reader = join(&mut hub, HelloFlags::LISTED);
    subscribe(&mut hub, reader, &["a/**/1/2/3/4/5/6/7/8/9/**/b"]);
    assert_eq!(hub.refusal(reader), Some(Status::Invalid));
}

#[test]
fn an_app_is_refused_when_the_hub_has_no_room_for_its_patterns() {
    let (mut hub, _) = hub_with(&[]);
    let texts: Vec<_> = (0..limits::PATTERNS).map(|n| format!("*/{n}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let app = |hub: &mut Direct, n: usize| {
        let conn = words::join(hub, &format!("reader{n}"), HelloFlags::LISTED, Features::ALL);
        subscribe(hub, conn, &texts);
        (conn, hub.refusal(conn))
    };
    let full = limits::HUB_STARS / limits::PATTERNS;
    let apps: Vec<_> = (0..full).map(|n| app(&mut hub, n)).collect();
    assert!(apps.iter().all(|(_, refusal)| refusal.is_none()));
    assert_eq!(app(&mut hub, full).1, Some(Status::Full));
    let reader = join(&mut hub, HelloFlags::LISTED);
    subscribe(&mut hub, reader, &["x"]);
    assert!(!hub.is_closed(reader), "names are no such patterns");
    hub.lose(apps[0].0);
    assert_eq!(app(&mut hub, full).1, None, "one that leaves makes room");
}

#[test]
fn who_did_not_announce_that_it_subscribes_may_not() {
    let (mut hub, _) = hub_with(&[]);
    let reader = hub.hello("reader", 2, 1, HelloFlags::LISTED);
    subscribe(&mut hub, reader, &["x"]);
    assert!(hub.is_closed(reader));
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).expect("a pattern")
}

#[test]
fn an_app_has_its_patterns_again_on_every_link_and_knows_when_it_has_what_they_match() {
    let mut world = World::new(1);
    let hub = world.add_hub(HUB, RouterConfig::default());
    let publisher = world.add_app("publisher", HUB);
    for name in ["x/1", "x/2", "y"] {
        world.publish(publisher, name, Kind::Int, 0).unwrap();
    }
    world.settle();
    let reader = world.add_app_with("reader", HUB, |app| app.subscribe("x/*", true));
    world.settle();
    world.check_promise();
    assert_eq!(world.app(reader).newest.len(), 2);
    assert_eq!(world.app(reader).session.stats().received, 2, "nothing else came");
    world.kill(hub);
    world.run_for(SEC);
    world.with(reader, |app, _| app.subscribe("y", true));
    world.with(reader, |app, _| app.subscribe("x/*", false));
    world.replace_hub(hub, HUB, RouterConfig::default());
    world.run_for(20 * SEC);
    world.settle();
    world.publish(publisher, "x/1", Kind::Int, 0).unwrap();
    world.publish(publisher, "y", Kind::Int, 0).unwrap();
    world.settle();
    world.check_promise();
    assert_eq!(world.app(reader).newest.keys().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["y"]);
}

#[test]
fn who_shares_an_identity_hears_of_it_whatever_it_subscribes_to_and_brings_nothing_back() {
    let mut world = World::new(1);
    let hub = world.add_hub(HUB, RouterConfig::default());
    let shared = |world: &mut World, only_sends: bool| {
        world.add_app_with("a", HUB, |app| {
            app.session.config.shared = true;
            if only_sends {
                app.session.subscribe(None).expect("an empty list");
            }
        })
    };
    let (first, second) = (shared(&mut world, true), shared(&mut world, false));
    for name in ["x", "y"] {
        world.publish(first, name, Kind::Int, 0).unwrap();
    }
    world.settle();
    world.publish(second, "x", Kind::Cleared, 0).unwrap();
    world.publish(second, "y", Kind::Text, 0).unwrap();
    world.settle();
    assert!(world.app(first).session.get(None, "x").is_none());
    assert_eq!(world.app(first).session.get(None, "y").map(|state| state.kind()), Some(Kind::Text));
    assert_eq!(world.app(first).taken, 0, "its program does not subscribe to it");
    world.kill(second);
    world.kill(hub);
    let hub = world.replace_hub(hub, HUB, RouterConfig::default());
    world.run_for(60 * SEC);
    world.settle();
    let held = |name: &str, world: &mut World| world.hub(hub).table().find("a", name).map(|entry| entry.kind());
    assert_eq!(["x", "y"].map(|name| held(name, &mut world)), [Some(Kind::Cleared), Some(Kind::Text)]);
}

#[test]
fn who_shares_an_identity_and_does_not_keep_up_hears_of_it_later() {
    let (mut hub, _) = hub_with(&[]);
    hub.router.config_mut().outbox = 1000;
    let share = |hub: &mut Direct, instance: u8, flags: HelloFlags| {
        let conn = hub.open();
        hub.bytes(conn, &header(Version::V1));
        let (instance, accept, features) = (Instance([instance; 16]), wire::ACCEPT_ANY, Features::ALL);
        let hello =
            Control::Hello { instance, epoch: 1, accept, flags, time: None, secret: None, token: None, features };
        hub.control(conn, "shared", hello);
        conn
    };
    let reader = share(&mut hub, 2, HelloFlags::SHARED | HelloFlags::LISTED);
    let sender = share(&mut hub, 3, HelloFlags::SHARED);
    said(&mut hub, reader);
    for name in ["x", "large", "x", "y"] {
        hub.pass(MS);
        hub.publish(sender, "shared", name, &value(Kind::Bytes, 1, if name == "large" { 10_000 } else { 0 }));
    }
    let said = said(&mut hub, reader);
    assert_eq!(said.iter().filter(|name| *name == "y").count(), 1, "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("y"));
    let other = hub.open_v1("other", 9);
    hub.publish(other, "other", "x", &value(Kind::Int, 1, 0));
    assert!(words::said(&mut hub, reader).is_empty(), "only of its identity");
}

#[test]
fn what_is_no_longer_subscribed_to_is_no_longer_known() {
    let mut app = DirectApp::new();
    app.session.subscribe(Some(&pattern("x/*"))).unwrap();
    app.session.subscribe(Some(&pattern("y"))).unwrap();
    app.link(1);
    let state = |name: &str, ms: u64| {
        let meta = Meta { stamp: Some(stamp(1_800_000_000_000 + ms)), ..Meta::default() };
        body(Form::V1, "b", name, &[7], &meta)
    };
    for name in ["x/1", "y", "z"] {
        app.receive(&state(name, 1));
    }
    let known = |app: &mut DirectApp| ["x/1", "y", "z"].map(|name| app.session.get(None, name).is_some());
    assert_eq!(known(&mut app), [true, true, false], "whatever the hub sends");
    app.session.unsubscribe("x/*").unwrap();
    assert_eq!(known(&mut app), [false, true, false]);
    app.receive(&state("x/1", 2));
    assert_eq!(known(&mut app), [false, true, false], "it was on its way");
    assert_eq!(app.session.unsubscribe("x/*").unwrap_err().status(), Status::NotFound);
    app.session.subscribe(None).unwrap();
    assert_eq!(known(&mut app), [false, true, false], "it is a list already");
}

#[test]
fn the_first_subscription_ends_what_came_for_all_names() {
    let mut app = DirectApp::new();
    app.link(1);
    for name in ["x", "y"] {
        let meta = Meta { stamp: Some(stamp(1_800_000_000_001)), ..Meta::default() };
        app.receive(&body(Form::V1, "b", name, &[7], &meta));
    }
    app.session.subscribe(Some(&pattern("x"))).unwrap();
    assert!(app.session.get(None, "x").is_some() && app.session.get(None, "y").is_none());
    // What waits is the program's.
    assert_eq!(std::iter::from_fn(|| app.session.take_state()).count(), 2);
}

/// What the app says about its patterns, in words.
fn said_of_patterns(app: &mut DirectApp) -> Vec<String> {
    let bytes = app.written();
    let mut said = Vec::new();
    for frame in crate::sim::whole_frames(nanostate::framing::Framing::Tcp, &bytes) {
        let body = wire::decode(&frame, Form::V1).expect("a body");
        match Control::decode(&body).expect("a control message") {
            Control::Subscribe { patterns } => said.push(format!("+{}", patterns.iter().collect::<Vec<_>>().join(" "))),
            Control::Unsubscribe { pattern } => said.push(format!("-{pattern}")),
            _ => {}
        }
    }
    said
}

#[test]
fn a_list_of_patterns_is_told_in_one_message_and_what_is_given_up_behind_it() {
    let mut app = DirectApp::new();
    app.link(1);
    app.written();
    let set = |app: &mut DirectApp, texts: &[&str]| {
        app.session.set_subscriptions(texts.iter().map(|text| pattern(text)).collect()).unwrap();
        app.actions();
        said_of_patterns(app)
    };
    assert_eq!(set(&mut app, &["x/*", "y", "z"]), ["+x/* y z"]);
    assert_eq!(set(&mut app, &["z", "y", "x/*"]), [""; 0], "they are the same");
    assert_eq!(set(&mut app, &["x/1", "y", "w"]), ["+x/1 w", "-z", "-x/*"]);
    assert_eq!(set(&mut app, &["y"]), ["-x/1", "-w"]);
    assert_eq!(set(&mut app, &[]), ["-y"]);
    // A hub refuses an app that has too many for a moment, too.
    let many: Vec<_> = (0..limits::PATTERNS).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    set(&mut app, &many);
    let others: Vec<_> = many.iter().skip(1).copied().chain(["x"]).collect();
    assert_eq!(set(&mut app, &others), ["-0", "+x"]);
    let full = app.session.set_subscriptions(many.iter().chain(&["x"]).map(|text| pattern(text)).collect());
    assert_eq!(full.unwrap_err().status(), Status::Full);
    let mut app = DirectApp::new();
    app.link(1);
    app.written();
    assert_eq!(set(&mut app, &[]), ["+"], "the list begins");
}

#[test]
fn a_list_of_patterns_begins_and_ends_what_is_known() {
    let mut app = DirectApp::new();
    app.link(1);
    for name in ["x/1", "y", "z"] {
        let meta = Meta { stamp: Some(stamp(1_800_000_000_001)), ..Meta::default() };
        app.receive(&body(Form::V1, "b", name, &[7], &meta));
    }
    let known = |app: &mut DirectApp| ["x/1", "y", "z"].map(|name| app.session.get(None, name).is_some());
    app.session.set_subscriptions(vec![pattern("x/*"), pattern("y")]).unwrap();
    assert_eq!(known(&mut app), [true, true, false]);
    app.session.set_subscriptions(vec![pattern("*/1")]).unwrap();
    assert_eq!(known(&mut app), [true, false, false], "another of the patterns matches");
}
