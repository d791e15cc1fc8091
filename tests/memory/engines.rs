//! The engines, each of whose large allocations is refused once.

use std::io::IoSlice;

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::RouterConfig;
use nanostate::engine::{ConnId, Protocol, Role};
use nanostate::framing::{frame_head, header, Framing, Version, HEADER_LEN};
use nanostate::wire::{self, Control, Form, Instance, Meta, Stamp};
use nanostate::{Kind, Status, Value};

use crate::allocator::{each_refused, engine, was_refused, ENGINE, VALUE};
use crate::sim::{self, body, Direct, DirectApp, SEC};

fn large_text() -> Vec<u8> {
    let mut value = Vec::new();
    Value::Text(&"x".repeat(VALUE)).encode(&mut value);
    value
}

/// Sends a message to the hub as a driver reads it, and lets the hub go on with what it left for later.
fn tell(hub: &mut Direct, conn: ConnId, message: &[u8]) {
    let frame = [&frame_head(Framing::Tcp, message.len())[..], message].concat();
    for piece in frame.chunks(64 << 10) {
        assert!(hub.router.reads(conn));
        engine(|| hub.bytes(conn, piece));
        engine(|| hub.settle());
    }
}

/// The messages that wait for a peer.
fn messages(hub: &mut Direct, conn: ConnId) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut slices: Vec<IoSlice> = Vec::with_capacity(64);
        ENGINE.set(true);
        hub.router.gather(hub.now, conn, &mut slices);
        ENGINE.set(false);
        let len = slices.iter().map(|slice| slice.len()).sum();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        if len == 0 {
            break;
        }
        engine(|| hub.router.wrote(hub.now, conn, len));
    }
    let input = if bytes.starts_with(b"\0SP\0") { &bytes[HEADER_LEN..] } else { &bytes };
    sim::whole_frames(Framing::Tcp, input)
}

/// The names of the states that a hub says it did not take.
fn rejected(messages: &[Vec<u8>]) -> Vec<String> {
    let rejected = |bytes: &Vec<u8>| match Control::decode(&wire::decode(bytes, Form::V1).expect("a body")) {
        Ok(Control::Rejected { status, name }) if status == Status::Full.code() => Some(name.to_owned()),
        _ => None,
    };
    messages.iter().filter_map(rejected).collect()
}

#[test]
fn a_hub_needs_no_large_allocation_to_succeed() {
    let value = large_text();
    each_refused(|| {
        let mut hub = Direct::new(RouterConfig::default());
        hub.router.serves(Role::Rep);
        let (app, display, old) = (hub.open_v1("app", 1), hub.open_v1("display", 2), hub.open_old());
        let client = hub.join_client(Role::Rep, false);
        messages(&mut hub, old);
        let stamp = |hub: &Direct| Stamp { instance: Instance([1; 16]), ..sim::stamp(hub.now.wall.as_millis()) };
        let states = |hub: &Direct| {
            let stamped = Meta { stamp: Some(stamp(hub)), ..Meta::default() };
            let other_keys = [&[0x81, 0x19, 0xA1][..], b"k"].concat();
            let mut odd = body(Form::V1, "app", "odd", &value, &Meta::default());
            odd.pop();
            odd.extend(other_keys);
            [
                ("stamped", body(Form::V1, "app", "stamped", &value, &stamped)),
                ("unstamped", body(Form::V1, "app", "unstamped", &value, &Meta::default())),
                ("small", body(Form::V1, "app", "small", &value, &Meta::default())),
                ("odd", odd),
            ]
        };
        let small = body(Form::V1, "app", "small", &[1], &Meta::default());
        tell(&mut hub, app, &small);
        let states = states(&hub);
        for (_, state) in &states {
            tell(&mut hub, app, state);
        }
        tell(&mut hub, old, &body(Form::Old, "old", "large", &value, &Meta::default()));
        let request = |json: &str| {
            let mut request = b"\x80\0\0\x01".to_vec();
            wire::to_msgpack(json, &mut request).unwrap();
            request
        };
        let publish = [b"\x80\0\0\x01", &body(Form::Old, "client", "large", &value, &Meta::default())[..]].concat();
        let mut answers = Vec::new();
        for request in [request(r#"["get", "stamped"]"#), request(r#"["list", "*stamped"]"#), publish] {
            tell(&mut hub, client, &request);
            answers.extend(messages(&mut hub, client));
        }
        let late = hub.open_v1("late", 3);
        for conn in [display, old, late] {
            messages(&mut hub, conn);
        }
        let rejected = rejected(&messages(&mut hub, app));

        // At most one of all that was refused; what is held and what is told of agree.
        let held = |hub: &Direct, sender: &str, name: &str| {
            hub.router.table().find(sender, name).is_some_and(|entry| entry.data().len() > VALUE)
        };
        for (name, _) in &states {
            assert_eq!(held(&hub, "app", name), !rejected.iter().any(|rejected| rejected == name), "{name}");
        }
        let missing = [("old", "large"), ("client", "large")].into_iter();
        let missing = missing.filter(|(sender, name)| !held(&hub, sender, name)).count() + rejected.len();
        let (stats, sender) = (hub.router.stats(), hub.peer(app));
        assert_eq!((stats.refused, stats.refused_memory), (missing as u64, missing as u64));
        assert_eq!((sender.refused, sender.refused_memory), (rejected.len() as u64, rejected.len() as u64));
        assert!(missing <= usize::from(was_refused()));
        let published = usize::from(held(&hub, "client", "large"));
        assert!((2 + published..=3).contains(&answers.len()), "what came whole is answered");
        assert!(answers.iter().all(|answer| wire::check(&answer[4..]).is_ok()));

        // The hub goes on, and takes what it did not before.
        hub.pass(SEC);
        hub.bytes(app, &[&frame_head(Framing::Tcp, small.len())[..], &small].concat());
        assert_eq!(hub.said(display), ["small"]);
        hub.pass(SEC);
        for name in ["stamped", "unstamped", "small", "odd"] {
            hub.publish(app, "app", name, &value);
            assert!(held(&hub, "app", name), "{name}");
        }
        assert_eq!(hub.bodies(display).len(), 4);
        assert!(!hub.is_closed(app) && !hub.is_closed(old) && !hub.is_closed(client));
    });
}

/// What the app hears from its hub, as a driver reads it.
fn hear(app: &mut DirectApp, body: &[u8]) {
    let frame = [&frame_head(Framing::Tcp, body.len())[..], body].concat();
    for piece in frame.chunks(64 << 10) {
        engine(|| app.bytes(piece));
    }
}

#[test]
fn an_app_needs_no_large_allocation_to_succeed() {
    let value = large_text();
    let of_another = |app: &DirectApp| sim::stamp(app.now.wall.as_millis() + 5);
    for shared in [false, true] {
        each_refused(|| {
            let mut app = DirectApp::new();
            app.session.config.shared = shared;
            app.link(1);
            let now = app.now;
            app.publish("shared", &[1]).unwrap();
            let sent = engine(|| app.session.publish(now, "own", Value::Msgpack(&value), Kind::Text));
            assert_eq!(
                sent.clone().map_err(|error| error.status()),
                match was_refused() {
                    true => Err(Status::NoMemory),
                    false => Ok(()),
                }
            );
            let version = app.session.request_ack();
            // The hub holds a later one, while the own one waits to be written: it gets another stamp, or gives way.
            if let Some(own) = app.session.get(None, "own").filter(|_| sent.is_ok()) {
                let (held, mut stale) = (of_another(&app), Vec::new());
                Control::Stale { name: "own", offered: own.stamp(), held: Some(held), time: held.clock }
                    .encode(wire::HUB_SENDER, &mut stale);
                let refused = was_refused();
                hear(&mut app, &stale);
                let lost = was_refused() && !refused;
                let why = app.session.check_taken(version).map_err(|error| error.status());
                assert_eq!(why, if lost { Err(Status::NoMemory) } else { Ok(()) });
            }
            // The value of another app, and one of another that shares the identity.
            let meta = Meta { stamp: Some(of_another(&app)), ..Meta::default() };
            for (sender, name) in [("b", "x"), ("a", "shared")] {
                hear(&mut app, &body(Form::V1, sender, name, &value, &meta));
            }
            let kept = engine(|| app.session.get(None, "own").is_some());
            assert!(kept || was_refused() || shared);
            drop(engine(|| app.session.states(|_| true)));
            let json = |app: &mut DirectApp| app.session.take_state().map(|state| engine(|| state.json().len()));
            while let Some(len) = json(&mut app) {
                assert!(len > VALUE || was_refused());
            }

            // The app goes on, and takes what it did not before.
            assert_eq!((app.session.link(), app.closed.len()), (LinkState::Connected, 0));
            let dropped = app.session.stats().too_large;
            assert!(dropped <= u64::from(was_refused()));
            app.pass(SEC);
            app.publish("own", &value).unwrap();
            assert!(app.session.get(Some("a"), "own").is_some_and(|state| state.msgpack() == value));
            let meta = Meta { stamp: Some(of_another(&app)), ..Meta::default() };
            for name in ["x", "y"] {
                app.receive(&body(Form::V1, "b", name, &value, &meta));
                assert!(app.session.take_state().is_some_and(|state| state.name() == name && state.msgpack() == value));
            }
        });
    }
}

#[test]
fn an_app_on_an_old_hub_needs_no_large_allocation_to_succeed() {
    let value = large_text();
    each_refused(|| {
        let mut app = DirectApp::new();
        app.open();
        app.bytes(&header(Version::Old));
        app.pass(0);
        app.open();
        app.bytes(&header(Version::Old));
        assert_eq!(app.session.link(), LinkState::Connected);
        hear(&mut app, &body(Form::Old, "b", "x", &value, &Meta::default()));
        let state = app.session.take_state();
        assert_eq!((state.is_none(), app.session.stats().too_large), (was_refused(), u64::from(was_refused())));
        assert!(state.is_none_or(|state| state.msgpack() == value && state.sender_c() == c"b"));
        assert_eq!(app.session.link(), LinkState::Connected);
    });
}

#[test]
fn json_needs_no_large_allocation_to_succeed() {
    let numbers = format!("[{}1]", "1.5,".repeat(VALUE));
    each_refused(|| {
        let mut value = vec![7];
        let done = engine(|| wire::to_msgpack(&numbers, &mut value).map_err(|error| error.status()));
        assert_eq!(done, if was_refused() { Err(Status::NoMemory) } else { Ok(()) });
        assert_eq!(value == [7], was_refused());
    });
}
