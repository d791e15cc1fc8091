//! Values that apps leave for the time when they are lost: when a hub publishes them, and what apps say of them.

use nanostate::engine::app::Will;
use nanostate::engine::hub::{RouterConfig, Silence, Tokens};
use nanostate::engine::{ConnId, Protocol};
use nanostate::framing::{header, Version, HEADER_LEN};
use nanostate::limits;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Hidden, Instance, Meta, Secret, WillMessage};
use nanostate::{Kind, Status, Value};

use crate::sim::{body, stamp, Direct, DirectApp, SEC};

mod many;
mod simulated;
mod stored;
mod tokens;

const LOST: u64 = limits::CUT.as_nanos() as u64;

/// A connection whose hello says this, and a token if there is one.
fn hello(
    hub: &mut Direct,
    identity: &str,
    app: u8,
    epoch: u64,
    flags: HelloFlags,
    features: Features,
    token: Option<&str>,
) -> ConnId {
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    let (instance, secret) = (Instance([app; 16]), Some(Secret([app; 16])));
    let (accept, time, token) = (wire::ACCEPT_ANY, None, token.map(Hidden));
    hub.control(conn, identity, Control::Hello { instance, epoch, accept, flags, time, secret, token, features });
    conn
}

/// An app joins that knows of wills, over its link of this number.
fn join(hub: &mut Direct, identity: &str, app: u8, epoch: u64) -> ConnId {
    hello(hub, identity, app, epoch, HelloFlags(0), Features::ALL, None)
}

fn join_shared(hub: &mut Direct, identity: &str, app: u8, epoch: u64) -> ConnId {
    hello(hub, identity, app, epoch, HelloFlags::SHARED, Features::ALL, None)
}

/// A state without a stamp.
fn publish(hub: &mut Direct, conn: ConnId, sender: &str, name: &str, value: &[u8]) {
    hub.send(conn, &body(Form::V1, sender, name, value, &Meta::default()));
}

fn will_body(sender: &str, name: &str, value: Option<u8>) -> Vec<u8> {
    match value {
        Some(value) => body(Form::V1, sender, name, &[value], &Meta::default()),
        None => body(Form::V1, sender, name, &[0xC0], &Meta { flags: Meta::CLEAR, ..Meta::default() }),
    }
}

/// The app leaves a number, or that the name be cleared.
fn leave(hub: &mut Direct, conn: ConnId, sender: &str, name: &str, value: Option<u8>) {
    let body = will_body(sender, name, value);
    hub.control(conn, sender, Control::Will(WillMessage::Leaves(&body)));
}

fn bye(hub: &mut Direct, conn: ConnId, sender: &str) {
    hub.control(conn, sender, Control::Bye);
    hub.lose(conn);
}

/// An app that sees everything.
fn watcher(hub: &mut Direct) -> ConnId {
    let conn = join(hub, "watcher", 99, 1);
    hub.bodies(conn);
    conn
}

/// What a peer is sent: names and their values, which are small numbers, or none if they are cleared.
fn told(hub: &mut Direct, conn: ConnId) -> Vec<(String, Option<u8>)> {
    hub.settle();
    read(hub, conn)
}

fn read(hub: &mut Direct, conn: ConnId) -> Vec<(String, Option<u8>)> {
    let mut told = Vec::new();
    for bytes in hub.bodies(conn) {
        let body = wire::decode(&bytes, Form::V1).expect("a body");
        if !body.is_reserved() {
            told.push((body.name().to_owned(), (body.kind != Kind::Cleared).then(|| body.data[0])));
        }
    }
    told
}

fn of(told: &[(&str, Option<u8>)]) -> Vec<(String, Option<u8>)> {
    told.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
}

/// The answers to wills that were not taken: status, name and number.
fn rejected(hub: &mut Direct, conn: ConnId) -> Vec<(i32, String, u64)> {
    let answers = hub.bodies(conn).into_iter().filter_map(|bytes| {
        match Control::decode(&wire::decode(&bytes, Form::V1).expect("a body")) {
            Ok(Control::WillRejected { status, name, nth }) => Some((status, name.to_owned(), nth)),
            _ => None,
        }
    });
    answers.collect()
}

#[test]
fn what_a_lost_app_has_left_is_published_once_to_everybody_as_any_other_value() {
    let mut hub = Direct::new(RouterConfig::default());
    let (watcher, old) = (watcher(&mut hub), hub.open_old());
    let a = join(&mut hub, "a", 1, 1);
    publish(&mut hub, a, "a", "on", &[1]);
    leave(&mut hub, a, "a", "on", Some(7));
    leave(&mut hub, a, "a", "on", Some(0));
    leave(&mut hub, a, "a", "why", Some(2));
    let text = body(Form::V1, "a", "text", b"\xA3bye", &Meta::default());
    hub.control(a, "a", Control::Will(WillMessage::Leaves(&text)));
    assert_eq!(told(&mut hub, watcher), of(&[("on", Some(1))]));
    hub.lose(a);
    hub.pass(LOST - 1);
    assert_eq!(told(&mut hub, watcher), of(&[]), "it may come back");
    assert_eq!(hub.read(old, HEADER_LEN), header(Version::Old));
    hub.frames(old);
    hub.pass(1);
    assert_eq!(told(&mut hub, watcher), of(&[("on", Some(0)), ("text", Some(0xA3)), ("why", Some(2))]));
    assert_eq!(hub.frames(old), [b"\x93\xA1a\xA4text\xA3bye"], "an old program is sent what it is sent of others");
    let on = hub.router.table().find("a", "on").expect("it is held");
    assert_eq!((on.data(), on.stamp().instance), (&[0][..], Instance([9; 16])));
    assert!(on.stamp().millis() >= hub.now.wall.as_millis(), "of now");
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]));
    let late = join(&mut hub, "late", 5, 1);
    assert_eq!(told(&mut hub, late).len(), 3, "it is held for those who come later");
}

#[test]
fn a_goodbye_takes_all_wills_along() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    bye(&mut hub, a, "a");
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]));
    assert_eq!((hub.router.stats().memory_bytes, hub.router.deadline()), (empty(), None), "nothing is left of it");
}

/// What a hub holds at which one app is, and has been told nothing.
fn empty() -> u64 {
    let mut hub = Direct::new(RouterConfig::default());
    watcher(&mut hub);
    hub.router.stats().memory_bytes
}

#[test]
fn an_app_that_is_back_in_time_is_not_lost_and_one_that_is_not_stamps_over_its_will() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    let a = join(&mut hub, "a", 1, 1);
    publish(&mut hub, a, "a", "on", &[1]);
    leave(&mut hub, a, "a", "on", Some(0));
    told(&mut hub, watcher);
    hub.lose(a);
    hub.pass(LOST - 1);
    let a = join(&mut hub, "a", 1, 2);
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]));
    // It has not said its wills again, and they are still there.
    hub.lose(a);
    hub.pass(LOST);
    assert_eq!(told(&mut hub, watcher), of(&[("on", Some(0))]));
    let back = join(&mut hub, "a", 1, 3);
    let held = hub.router.table().find("a", "on").expect("it is held").stamp();
    let offered = stamp(1_000);
    hub.publish_at(back, "a", "on", &[1], wire::Stamp { instance: Instance([1; 16]), ..offered });
    let stale = hub.bodies(back).iter().any(|bytes| {
        let body = wire::decode(bytes, Form::V1).expect("a body");
        matches!(Control::decode(&body), Ok(Control::Stale { held: Some(other), .. }) if other == held)
    });
    assert!(stale, "it learns which stamp it has to be later than");
    hub.pass(100 * SEC);
    hub.lose(back);
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]), "each runs once");
}

#[test]
fn whoever_is_replaced_has_no_will() {
    for (flags, after) in [(HelloFlags::TAKE_OVER, None), (HelloFlags(0), Some(SEC))] {
        let mut hub = Direct::new(RouterConfig::default());
        let watcher = watcher(&mut hub);
        let a = join(&mut hub, "a", 1, 1);
        leave(&mut hub, a, "a", "on", Some(0));
        if let Some(time) = after {
            // Its program was killed, and is started again.
            hub.lose(a);
            hub.pass(time);
        }
        let b = hello(&mut hub, "a", 2, 1, flags, Features::ALL, None);
        leave(&mut hub, b, "a", "off", Some(5));
        hub.pass(100 * SEC);
        assert_eq!(told(&mut hub, watcher), of(&[]));
        hub.lose(b);
        hub.pass(LOST);
        assert_eq!(told(&mut hub, watcher), of(&[("off", Some(5))]), "that of the newer one only");
    }
}

#[test]
fn the_second_run_may_end_before_the_first_counts_as_lost() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    hub.lose(a);
    hub.pass(SEC);
    let b = join(&mut hub, "a", 2, 1);
    bye(&mut hub, b, "a");
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]), "the last of them said goodbye");
}

#[test]
fn of_apps_that_share_an_identity_the_last_has_to_be_lost() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    let [a, b] = [1, 2].map(|app| join_shared(&mut hub, "s", app, 1));
    leave(&mut hub, a, "s", "on", Some(1));
    leave(&mut hub, a, "s", "a", Some(1));
    leave(&mut hub, b, "s", "on", Some(2));
    hub.lose(a);
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]), "another one is there");
    hub.lose(b);
    hub.pass(LOST);
    assert_eq!(told(&mut hub, watcher), of(&[("a", Some(1)), ("on", Some(2))]), "each name once, by the last");

    let [a, b] = [3, 4].map(|app| join_shared(&mut hub, "s", app, 1));
    leave(&mut hub, a, "s", "on", Some(3));
    hub.lose(a);
    hub.pass(100 * SEC);
    bye(&mut hub, b, "s");
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]), "the last one said goodbye");

    // All at once, as when their machine is gone.
    let both = [5, 6].map(|app| join_shared(&mut hub, "s", app, 1));
    for (conn, value) in both.into_iter().zip([5, 6]) {
        leave(&mut hub, conn, "s", "on", Some(value));
        hub.lose(conn);
        hub.pass(1);
    }
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[("on", Some(6))]));
}

#[test]
fn a_reader_of_the_same_identity_keeps_no_will_back() {
    const PANEL: &str = "the-token-of-the-panel";
    const ROBOT: &str = "the-token-of-the-robot";
    let mut hub = Direct::new(RouterConfig::default());
    let (now, tokens) = (hub.now, format!("panel read {PANEL}\nrobot read-write {ROBOT}\n"));
    hub.router.set_tokens(now, Some(Tokens::parse(&tokens).expect("tokens")));
    let watcher = hello(&mut hub, "watcher", 99, 1, HelloFlags(0), Features::ALL, Some(PANEL));
    hub.bodies(watcher);
    leave(&mut hub, watcher, "watcher", "x", Some(1));
    leave(&mut hub, watcher, "watcher", "y", Some(1));
    let no = Status::Permission.code();
    assert_eq!(rejected(&mut hub, watcher), [(no, "x".into(), 1), (no, "y".into(), 2)]);
    let robot = hello(&mut hub, "a", 1, 1, HelloFlags::SHARED, Features::ALL, Some(ROBOT));
    leave(&mut hub, robot, "a", "on", Some(0));
    assert!(rejected(&mut hub, robot).is_empty());
    hello(&mut hub, "a", 2, 1, HelloFlags::SHARED, Features::ALL, Some(PANEL));
    hub.lose(robot);
    hub.pass(SEC);
    hello(&mut hub, "a", 3, 1, HelloFlags::SHARED, Features::ALL, Some(PANEL));
    hub.pass(LOST);
    assert_eq!(told(&mut hub, watcher), of(&[("on", Some(0))]));
    // One whose token is taken back may not speak any more.
    let robot = hello(&mut hub, "b", 4, 1, HelloFlags(0), Features::ALL, Some(ROBOT));
    leave(&mut hub, robot, "b", "on", Some(0));
    let now = hub.now;
    hub.router.set_tokens(now, Some(Tokens::parse(&format!("panel read {PANEL}\n")).expect("a token")));
    hub.pass(100 * SEC);
    assert_eq!(told(&mut hub, watcher), of(&[]));
}

#[test]
fn an_app_of_which_nothing_is_heard_is_lost_at_once() {
    let mut hub = Direct::new(RouterConfig::default());
    *hub.router.silence_mut() = Silence::default();
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    let step = SEC / 10;
    for _ in 0..limits::LOST.as_nanos() as u64 / step - 1 {
        hub.pass(step);
        hub.settle();
    }
    assert!(!hub.is_closed(a) && hub.router.table().is_empty());
    hub.pass(step);
    hub.settle();
    assert!(hub.is_closed(a));
    let version = hub.router.table().version();
    assert_eq!((hub.router.table().values(), version), (1, 1));
    hub.pass(100 * SEC);
    assert_eq!(hub.router.table().version(), version, "once");
}

#[test]
fn a_name_may_be_withdrawn_instead() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    let a = join(&mut hub, "a", 1, 1);
    publish(&mut hub, a, "a", "on", &[1]);
    for name in ["on", "never"] {
        leave(&mut hub, a, "a", name, None);
    }
    told(&mut hub, watcher);
    hub.lose(a);
    hub.pass(LOST);
    assert_eq!(told(&mut hub, watcher), of(&[("on", None)]), "what has no value stays as it is");
    let entry = hub.router.table().find("a", "on").expect("a tombstone");
    assert_eq!((entry.is_cleared(), entry.value_kind()), (true, Some(Kind::Int)));
    assert!(hub.router.table().find("a", "never").is_none());
}

#[test]
fn wills_are_changed_and_withdrawn_and_those_of_an_earlier_link_hold_until_all_are_told() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    let a = join(&mut hub, "a", 1, 1);
    for (name, value) in [("x", 1), ("y", 2), ("z", 3)] {
        leave(&mut hub, a, "a", name, Some(value));
    }
    hub.control(a, "a", Control::Will(WillMessage::Withdraws("x")));
    hub.control(a, "a", Control::Will(WillMessage::Withdraws("x")));
    // A newer link, at once or after the older one is gone.
    let a = join(&mut hub, "a", 1, 2);
    hub.lose(a);
    let a = join(&mut hub, "a", 1, 3);
    leave(&mut hub, a, "a", "z", Some(4));
    hub.lose(a);
    hub.pass(LOST);
    assert_eq!(told(&mut hub, watcher), of(&[("y", Some(2)), ("z", Some(4))]), "it had not told all");
    let a = join(&mut hub, "a", 1, 4);
    for name in ["x", "y"] {
        leave(&mut hub, a, "a", name, Some(1));
    }
    let a = join(&mut hub, "a", 1, 5);
    leave(&mut hub, a, "a", "y", Some(6));
    hub.control(a, "a", Control::Will(WillMessage::Complete));
    hub.lose(a);
    hub.pass(LOST);
    assert_eq!(told(&mut hub, watcher), of(&[("y", Some(6))]), "x is not among those it has told");
}

#[test]
fn a_sender_that_is_known_by_its_will_only_counts_as_departed() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.capacity_mut().departed = std::time::Duration::from_secs(60);
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    hub.lose(a);
    hub.pass(LOST);
    hub.settle();
    assert_eq!(hub.router.table().values(), 1);
    hub.pass(60 * SEC);
    hub.settle();
    assert_eq!(hub.router.table().values(), 0);
    assert_eq!(hub.router.deadline(), None, "nothing is left to do");
}

#[test]
fn what_is_no_will_is_counted_and_not_kept() {
    let mut hub = Direct::new(RouterConfig { max_message: 1000, ..RouterConfig::default() });
    let a = join(&mut hub, "a", 1, 1);
    let long = body(Form::V1, "a", "x", &[&[0xDA, 0x03, 0xE8][..], &[b'x'; 1000]].concat(), &Meta::default());
    let event = body(Form::V1, "a", "x", &[1], &Meta { flags: 4, ..Meta::default() });
    let cases: [&[u8]; 6] = [
        b"",
        b"\x93\xA1a\xA1x\x01",
        &will_body("b", "x", Some(1)),
        &will_body("a", "$ns/ping", Some(1)),
        &long,
        &event,
    ];
    for bytes in cases {
        hub.control(a, "a", Control::Will(WillMessage::Leaves(bytes)));
    }
    let stats = hub.router.stats();
    let counted = (stats.malformed, stats.foreign_sender, stats.reserved, stats.too_large);
    assert_eq!(counted, (3, 1, 1, 1));
    hub.lose(a);
    hub.pass(LOST);
    hub.settle();
    assert!(hub.router.table().is_empty());
    let silent = hello(&mut hub, "b", 2, 1, HelloFlags(0), Features::NONE, None);
    leave(&mut hub, silent, "b", "x", Some(1));
    assert!(hub.is_closed(silent), "it did not announce them");
}

/// What an app says of its wills, in words, and of states.
fn app_said(app: &mut DirectApp) -> Vec<String> {
    let words = |bytes: &Vec<u8>| {
        let body = wire::decode(bytes, Form::V1).expect("a body");
        match Control::decode(&body) {
            Ok(Control::Will(WillMessage::Leaves(bytes))) => {
                let body = wire::decode(bytes, Form::V1).expect("a body");
                assert_eq!(body.meta.stamp, None);
                let value = if body.kind == Kind::Cleared { "nothing".into() } else { wire::from_msgpack(body.data) };
                Some(format!("leaves {} {value}", body.name()))
            }
            Ok(Control::Will(WillMessage::Withdraws(name))) => Some(format!("withdraws {name}")),
            Ok(Control::Will(WillMessage::Complete)) => Some("complete".to_owned()),
            Ok(Control::Bye) => Some("bye".to_owned()),
            Ok(Control::Ping { .. }) => Some("ping".to_owned()),
            _ if body.is_reserved() => None,
            _ => Some(body.name().to_owned()),
        }
    };
    app.bodies().iter().filter_map(words).collect()
}

#[test]
fn an_app_tells_its_wills_on_each_link_before_its_states() {
    let mut app = DirectApp::new();
    app.publish("on", &[1]).unwrap();
    app.session.set_will("on", Value::Int(0).into()).unwrap();
    app.session.set_will("why", Will::Clear).unwrap();
    app.session.set_will("no", Value::Int(0).into()).unwrap();
    app.session.set_will("no", Will::None).unwrap();
    app.link(1);
    assert_eq!(app_said(&mut app), ["leaves on 0", "leaves why nothing", "complete", "on"]);
    app.session.set_will("on", Value::Text("gone").into()).unwrap();
    app.session.set_will("why", Will::None).unwrap();
    app.session.set_will("why", Will::None).unwrap();
    assert_eq!(app_said(&mut app), [r#"leaves on "gone""#, "withdraws why"]);
    app.closed();
    app.session.set_will("on", Will::None).unwrap();
    app.pass(10 * SEC);
    app.link(1);
    assert_eq!(app_said(&mut app), ["complete", "on"], "the hub may know of one that is no more");
    app.session.disconnect();
    assert_eq!(app_said(&mut app), ["bye"]);
}

#[test]
fn an_app_without_wills_says_nothing_of_them_and_a_hub_that_keeps_none_hears_nothing() {
    let mut app = DirectApp::new();
    app.session.set_will("on", Will::None).unwrap();
    app.link(1);
    assert_eq!(app_said(&mut app), Vec::<String>::new());
    app.closed();
    app.session.set_will("on", Value::Int(0).into()).unwrap();
    app.pass(10 * SEC);
    app.link_with(2, Features::SYNCED);
    app.session.set_will("on", Value::Int(1).into()).unwrap();
    app.session.set_will("on", Will::None).unwrap();
    assert_eq!(app_said(&mut app), Vec::<String>::new());
    let warnings: Vec<_> = std::iter::from_fn(|| app.session.next_warning()).collect();
    assert_eq!(warnings, ["the hub keeps no wills: nothing is published when this app is lost"]);
    app.closed();
    app.session.set_will("on", Value::Int(2).into()).unwrap();
    app.pass(10 * SEC);
    app.link(3);
    assert_eq!(app_said(&mut app), ["leaves on 2", "complete"], "one that does is told");
}

#[test]
fn flush_waits_until_the_hub_has_the_wills_and_says_which_it_did_not_take() {
    let mut app = DirectApp::new();
    app.link(1);
    app.written();
    app.session.set_will("on", Value::Int(0).into()).unwrap();
    let version = app.session.request_ack();
    assert!(!app.session.is_acked(version));
    app.actions();
    let token = app.ping().expect("the hub is asked");
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version) && app.session.check_taken(version).is_ok());
    app.session.set_will("x", Value::Int(0).into()).unwrap();
    app.session.set_will("x", Value::Int(1).into()).unwrap();
    let later = app.session.request_ack();
    // The answer to the first one: on, x, x.
    app.hear(Control::WillRejected { status: Status::Full.code(), name: "x", nth: 2 });
    assert!(app.session.check_taken(later).is_ok(), "it was replaced since");
    app.hear(Control::WillRejected { status: Status::Full.code(), name: "x", nth: 3 });
    let refused = app.session.check_taken(later).unwrap_err();
    let text = format!(r#"the will for "x" was not taken by the hub: {}"#, Status::Full.text());
    assert_eq!((refused.status(), refused.to_string()), (Status::Full, text));
    assert!(app.session.check_taken(version).is_ok(), "it was left later");
    app.session.set_will("x", Will::None).unwrap();
    assert!(app.session.check_taken(later).is_ok());
}

#[test]
fn an_app_may_leave_so_much_and_is_told_what_is_too_much() {
    let mut app = DirectApp::new();
    let status = |app: &mut DirectApp, name: &str, value: Value<'_>| {
        app.session.set_will(name, value.into()).map_err(|error| (error.status(), error.to_string()))
    };
    for n in 0..limits::WILLS {
        assert_eq!(status(&mut app, &n.to_string(), Value::Nil), Ok(()));
    }
    let text = r#""x" would be one will too many: 1000 are left"#.to_owned();
    assert_eq!(status(&mut app, "x", Value::Nil), Err((Status::Full, text)));
    assert_eq!(status(&mut app, "7", Value::Int(7)), Ok(()), "one may be changed");
    let mut app = DirectApp::new();
    for (name, size, fits) in
        [("x", 600 << 10, true), ("y", 600 << 10, false), ("x", 900 << 10, true), ("z", 3 << 20, false)]
    {
        let text = format!(r#"the will for "{name}" does not fit: all may have 1048576 bytes"#);
        let expected = if fits { Ok(()) } else { Err((Status::Full, text)) };
        assert_eq!(status(&mut app, name, Value::Bytes(&vec![0; size])), expected);
    }
    let name = app.session.set_will("", Will::Clear).unwrap_err();
    let bad = app.session.set_will("x", Value::Msgpack(&[0xC1]).into()).unwrap_err();
    assert_eq!((name.status(), bad.status()), (Status::Name, Status::Msgpack));
    // A hub that takes only shorter messages does not get a longer will.
    app.link_to(1, Features::ALL, 1000);
    assert_eq!(app_said(&mut app), ["complete"]);
    let refused = {
        let version = app.session.request_ack();
        app.session.check_taken(version).unwrap_err()
    };
    assert_eq!(refused.status(), Status::TooLarge);
    let long = app.session.set_will("x", Value::Bytes(&[0; 2000]).into()).unwrap_err();
    let text = r#"the will for "x" would be a message of 2008 bytes; the limit is 1000"#;
    assert_eq!((long.status(), &*long.to_string()), (Status::TooLarge, text));
}
