//! How an app learns that it has everything that its hub held, and which states these were.

use nanostate::engine::app::{LinkState, Notice};
use nanostate::engine::hub::RouterConfig;
use nanostate::engine::ConnId;
use nanostate::framing::{header, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta};
use nanostate::{Kind, State, Status};

use crate::sim::{body, each_seed, stamp, value, Direct, DirectApp, World, MS};
use crate::words::{self, said};

const HUB: &str = "tcp://hub";

/// A hub that holds these, which take a kind each.
fn hub_with(held: &[(&str, Kind)]) -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig::default());
    let sender = hub.open_v1("a", 1);
    for (name, kind) in held {
        hub.publish(sender, "a", name, &value(*kind, 0, 10));
    }
    (hub, sender)
}

/// An app joins that has these features.
fn join(hub: &mut Direct, features: Features) -> ConnId {
    words::join(hub, "late", HelloFlags(0), features)
}

#[test]
fn the_marker_follows_what_the_hub_held_and_each_of_these_is_marked() {
    let (mut hub, sender) = hub_with(&[("x", Kind::Text), ("y", Kind::Int)]);
    let late = join(&mut hub, Features::ALL);
    assert_eq!(said(&mut hub, late), ["x held", "y held", "synced 0"]);
    hub.pass(MS);
    hub.publish(sender, "a", "x", &value(Kind::Text, 1, 10));
    assert_eq!(said(&mut hub, late), ["x"]);
    let (mut hub, _) = hub_with(&[]);
    let late = join(&mut hub, Features::ALL);
    assert_eq!(said(&mut hub, late), ["synced 0"], "also when there is nothing");
}

#[test]
fn each_time_that_an_app_asks_for_more_it_is_told_when_it_has_that() {
    let (mut hub, _) = hub_with(&[("x", Kind::Text), ("y", Kind::Int)]);
    let late = join(&mut hub, Features::ALL);
    said(&mut hub, late);
    let accept = |hub: &mut Direct, kinds: &[Kind]| {
        let mask = kinds.iter().map(|kind| kind.mask()).sum();
        hub.control(late, "late", Control::Accept { mask });
    };
    accept(&mut hub, &[Kind::Int]);
    assert_eq!(said(&mut hub, late), ["synced 1"], "it asks for less, and has that");
    accept(&mut hub, &[Kind::Int, Kind::Text]);
    assert_eq!(said(&mut hub, late), ["x held", "y held", "synced 2"]);
    // Several before it reads.
    for _ in 0..100 {
        accept(&mut hub, &[Kind::Int]);
        accept(&mut hub, &[Kind::Int, Kind::Text]);
    }
    assert_eq!(said(&mut hub, late), ["x held", "y held", "synced 202"]);
}

#[test]
fn an_app_that_asks_and_does_not_read_is_told_once_it_does() {
    let (mut hub, sender) = hub_with(&[("x", Kind::Int)]);
    hub.router.config_mut().outbox = 1000;
    let late = join(&mut hub, Features::ALL);
    for n in 0..1000 {
        hub.pass(MS);
        hub.publish(sender, "a", "x", &value(Kind::Int, n, 0));
        let mask = if n % 2 == 0 { Kind::Text.mask() } else { Kind::Nil.mask() };
        hub.control(late, "late", Control::Accept { mask });
    }
    assert!(hub.peer(late).outbox_bytes < 4000, "{} bytes wait", hub.peer(late).outbox_bytes);
    assert_eq!(said(&mut hub, late).last().map(String::as_str), Some("synced 1000"));
}

#[test]
fn a_stream_at_full_speed_does_not_put_the_marker_off() {
    // With each of these another part of a value is over the limit.
    (5000..5040).for_each(stream_with_outbox);
}

fn stream_with_outbox(outbox: usize) {
    const KEYS: usize = 300;
    let mut hub = Direct::new(RouterConfig { outbox, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let names: Vec<_> = (0..KEYS).map(|key| format!("k{key}")).collect();
    names.iter().for_each(|name| hub.publish(sender, "a", name, &value(Kind::Text, 0, 50)));
    let late = join(&mut hub, Features::ALL);
    let (mut bytes, mut n) = (Vec::new(), 0);
    let all = KEYS * 150;
    while bytes.len() < 3 * all {
        hub.pass(MS);
        // More than it reads.
        for _ in 0..20 {
            n += 1;
            hub.publish(sender, "a", &names[n * 7 % KEYS], &value(Kind::Text, n as u64, 50));
        }
        bytes.extend(hub.read(late, 1000));
    }
    let (mut decoder, mut input, mut said) = (Decoder::new(Framing::Tcp, 1 << 20), &bytes[HEADER_LEN..], Vec::new());
    while let Some(Frame::Body(body)) = decoder.next(&mut input).expect("frames") {
        said.extend(words::words(body));
    }
    let at = said.iter().position(|word| word == "synced 0").expect("the marker has come");
    assert!(at <= 2 * KEYS, "behind {at} states, where {KEYS} were held");
    assert!(said[at..].iter().all(|word| !word.ends_with("held")), "nothing that was held comes behind it");
}

#[test]
fn a_hub_says_nothing_that_an_app_does_not_know() {
    let (mut hub, _) = hub_with(&[("x", Kind::Text)]);
    let conn = join(&mut hub, Features(0x8000_0000));
    assert_eq!(said(&mut hub, conn), ["x held"]);
}

#[test]
fn an_app_that_joins_late_has_what_the_hub_held_once_it_is_synced() {
    each_seed(20, 500, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let early = world.add_app("early", HUB);
        for n in 0..200 {
            world.publish(early, &format!("k{n}"), Kind::Int, 0).unwrap();
        }
        world.settle();
        let late = world.add_app("late", HUB);
        while !world.app(late).session.is_synced() {
            let until = world.mono + 60_000 * MS;
            assert!(world.step(until), "it is told");
            if world.rng.one_in(3) {
                let n = world.rng.below(200);
                world.publish(early, &format!("k{n}"), Kind::Int, 0).unwrap();
            }
        }
        world.with(late, |app, _| {
            let known = (0..200).filter(|n| app.session.get(Some("early"), &format!("k{n}")).is_some()).count();
            assert_eq!(known, 200);
        });
        world.settle();
        world.check_promise();
    });
}

/// A state of another app, which the hub held.
fn held(name: &str) -> Vec<u8> {
    let meta = Meta { stamp: Some(stamp(1_800_000_000_001)), flags: Meta::RETAINED, ..Meta::default() };
    body(Form::V1, "b", name, &[7], &meta)
}

#[test]
fn a_program_is_told_behind_the_states_that_came_before() {
    let mut app = DirectApp::new();
    app.session.set_tells_synced(true);
    app.link(1);
    app.receive(&held("x"));
    app.receive(&held("y"));
    assert!(!app.session.is_synced());
    app.hear(Control::Synced { asks: 0 });
    assert!(app.session.is_synced() && app.session.next_notice().is_none() && !app.session.has_notice());
    let live = Meta { stamp: Some(stamp(1_800_000_000_002)), ..Meta::default() };
    app.receive(&body(Form::V1, "b", "x", &[8], &live));
    let took =
        |app: &mut DirectApp| app.session.take_state().map(|state: State| (state.name().to_owned(), state.retained()));
    assert_eq!(took(&mut app), Some(("x".to_owned(), true)));
    assert!(app.session.next_notice().is_none());
    assert_eq!(took(&mut app), Some(("y".to_owned(), true)));
    assert!(app.session.has_notice() && app.session.next_notice() == Some(Notice::Synced));
    assert_eq!(took(&mut app), Some(("x".to_owned(), false)));
    assert!(app.session.next_notice().is_none(), "once");
    // Set when it is so already.
    app.session.set_tells_synced(false);
    app.session.set_tells_synced(true);
    assert_eq!(app.session.next_notice(), Some(Notice::Synced));
}

#[test]
fn an_app_waits_for_what_it_asked_for_before_and_a_new_link_asks_for_all_of_it() {
    let mut app = DirectApp::new();
    let first = app.session.asked();
    assert!(app.session.has_synced(first).is_none(), "there is no link");
    app.link(1);
    app.session.set_accept(Kind::Int.mask());
    app.actions();
    let second = app.session.asked();
    app.hear(Control::Synced { asks: 0 });
    assert_eq!(app.session.has_synced(first), Some(Ok(())));
    assert!(app.session.has_synced(second).is_none() && !app.session.is_synced());
    app.closed();
    assert!(app.session.has_synced(first).is_none(), "a hub that is gone has sent nothing");
    app.pass(100_000 * MS);
    app.link(1);
    assert!(app.session.has_synced(second).is_none());
    app.hear(Control::Synced { asks: 0 });
    assert_eq!(app.session.has_synced(second), Some(Ok(())));
    assert!(app.session.is_synced());
}

#[test]
fn kinds_that_are_set_between_hello_and_welcome_reach_the_hub_and_are_waited_for() {
    let mut app = DirectApp::new();
    app.session.set_accept(Kind::Text.mask());
    app.open();
    app.bytes(&header(Version::V1));
    let accepts = |app: &mut DirectApp| {
        let controls = app.bodies();
        let controls = controls.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body"));
        let masks = controls.filter_map(|body| match Control::decode(&body) {
            Ok(Control::Hello { accept: mask, .. } | Control::Accept { mask }) => Some(mask),
            _ => None,
        });
        masks.collect::<Vec<_>>()
    };
    assert_eq!(accepts(&mut app), [Kind::Text.mask()]);
    app.session.set_accept(Kind::Int.mask());
    let asked = app.session.asked();
    let (instance, wall) = (Instance([1; 16]), app.now.wall);
    app.hear(Control::Welcome { instance, max_message: 1 << 20, wall, time: None, features: Features::ALL });
    assert_eq!(accepts(&mut app), [Kind::Int.mask()]);
    app.hear(Control::Synced { asks: 0 });
    assert!(app.session.has_synced(asked).is_none(), "that was for texts");
    app.hear(Control::Synced { asks: 1 });
    assert_eq!(app.session.has_synced(asked), Some(Ok(())));
    app.closed();
    app.pass(100_000 * MS);
    app.link(1);
    assert_eq!(accepts(&mut app), [Kind::Int.mask()], "the hello has said it");
}

#[test]
fn a_hub_that_does_not_tell_is_named_and_an_old_one_holds_nothing() {
    let mut app = DirectApp::new();
    app.open();
    app.bytes(&header(Version::V1));
    let (instance, wall) = (Instance([1; 16]), app.now.wall);
    app.hear(Control::Welcome { instance, max_message: 1 << 20, wall, time: None, features: Features::NONE });
    let asked = app.session.asked();
    let error = app.session.has_synced(asked).expect("a verdict").unwrap_err();
    assert_eq!(error.status(), Status::Unsupported);
    app.hear(Control::Synced { asks: 0 });
    assert!(!app.session.is_synced(), "it says what it did not announce");

    let mut app = DirectApp::new();
    app.session.set_tells_synced(true);
    app.open();
    app.bytes(&header(Version::Old));
    if app.session.link() != LinkState::Connected {
        app.pass(1000 * MS);
        app.open();
        app.bytes(&header(Version::Old));
    }
    assert!(app.session.is_synced() && app.session.has_synced(app.session.asked()) == Some(Ok(())));
    assert_eq!(app.session.next_notice(), Some(Notice::Synced));
}
