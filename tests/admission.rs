//! Who is let in, who is replaced by whom, and what an app is told that is not let in.

#![allow(unsafe_code)] // poll

mod common;
mod sim;
mod support;

use std::sync::mpsc;
use std::time::Duration;

use nanostate::engine::router::{PeerEvent, RouterConfig, RouterEvent};
use nanostate::engine::ConnId;
use nanostate::framing::{frame_head, Framing};
use nanostate::limits;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Malformed, Meta, Secret, Stamp};
use nanostate::{App, AppOption, Hub, HubOption, Kind, Link, Status, Value};
use sim::{body, value, Direct, MS, SEC};
use support::{app, hub, until, Raw, RawListener, TempDir, Transport};

/// Longer than anything here takes.
const PATIENCE: Option<Duration> = Some(support::PATIENCE);

// ---- a hub

/// The holder answers the question whether it lives.
fn answer(hub: &mut Direct, holder: ConnId, identity: &str) {
    let token = hub.ping(holder).expect("the holder is asked");
    hub.control(holder, identity, Control::Pong { token, time: None });
}

#[test]
fn an_instance_without_its_secret_replaces_nobody() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.hello_with("a", 1, 5, HelloFlags(0), Some(7));
    assert_eq!(hub.said(holder), ["welcome"]);
    for secret in [None, Some(8)] {
        let thief = hub.hello_with("a", 1, u64::MAX, HelloFlags(0), secret);
        assert!(!hub.is_closed(holder) && !hub.is_closed(thief), "the holder is asked first");
        answer(&mut hub, holder, "a");
        assert_eq!(hub.refusal(thief), Some(Status::IdentityTaken));
    }
    // The app itself comes back at once.
    let again = hub.hello_with("a", 1, 6, HelloFlags(0), Some(7));
    assert!(hub.is_closed(holder));
    assert_eq!(hub.said(again), ["welcome"]);
}

#[test]
fn a_secret_proves_nothing_to_a_link_that_has_none() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.hello("a", 1, 5, HelloFlags(0));
    let other = hub.hello_with("a", 1, 6, HelloFlags(0), Some(7));
    assert!(!hub.is_closed(holder) && !hub.is_closed(other));
}

#[test]
fn shared_holders_with_one_instance_and_different_secrets_do_not_disturb_each_other() {
    let mut hub = Direct::new(RouterConfig::default());
    let one = hub.hello_with("cli", 1, 1, HelloFlags::SHARED, Some(1));
    let two = hub.hello_with("cli", 1, u64::MAX, HelloFlags::SHARED, Some(2));
    assert!(!hub.is_closed(one) && !hub.is_closed(two));
    let one_again = hub.hello_with("cli", 1, 2, HelloFlags::SHARED, Some(1));
    assert!(hub.is_closed(one) && !hub.is_closed(two) && !hub.is_closed(one_again));
}

#[test]
fn a_repeated_hello_is_no_newer_connection() {
    let mut hub = Direct::new(RouterConfig::default());
    let first = hub.hello_with("a", 1, 5, HelloFlags(0), Some(7));
    let repeated = hub.hello_with("a", 1, 5, HelloFlags(0), Some(7));
    assert_eq!(hub.refusal(repeated), Some(Status::IdentityTaken));
    assert!(!hub.is_closed(first));
}

#[test]
fn a_retry_gets_the_identity_of_a_lost_holder_and_not_of_a_slow_one() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.hello_with("a", 1, 1, HelloFlags(0), Some(1));
    let retry = |hub: &mut Direct, epoch: u64| {
        let conn = hub.hello_with("a", 2, epoch, HelloFlags::RETRY | HelloFlags::TAKE_OVER, Some(2));
        hub.pass(SEC);
        conn
    };
    // It is stopped, or its program is slow to take states.
    for epoch in 0..4 {
        let slow = retry(&mut hub, epoch);
        assert_eq!(hub.refusal(slow), Some(Status::IdentityTaken));
        hub.pass(4 * SEC);
    }
    // It says something, although it is no answer.
    hub.publish(holder, "a", "x", &[1]);
    for epoch in 4..8 {
        let slow = retry(&mut hub, epoch);
        assert_eq!(hub.refusal(slow), Some(Status::IdentityTaken));
        assert!(!hub.is_closed(holder));
        hub.pass(4 * SEC);
    }
    let heir = retry(&mut hub, 8);
    assert!(hub.is_closed(holder));
    assert_eq!(hub.said(heir).first().map(String::as_str), Some("welcome"));
}

// ---- an app

/// What an app says in its hello.
fn hello_of(raw: &Raw, bytes: &[u8]) -> (u64, HelloFlags, Option<Secret>) {
    match Control::decode(&raw.decode(bytes)) {
        Ok(Control::Hello { epoch, flags, secret, .. }) => (epoch, flags, secret),
        other => panic!("{other:?}"),
    }
}

fn refuse(raw: &mut Raw, status: i32) {
    raw.send_control(&Control::Refuse { status, text: "no room for you" });
    raw.closed();
}

/// An app whose hub is played by hand, and that hub.
fn app_of_raw_hub(setup: impl FnOnce(&App)) -> (App, RawListener, TempDir) {
    let dir = TempDir::new();
    let listener = RawListener::new(&dir.ipc());
    let app = App::new("a").unwrap();
    setup(&app);
    app.connect(Some(listener.url())).unwrap();
    (app, listener, dir)
}

#[test]
fn a_refused_app_tries_again_with_its_secret_and_stays_refused_until_it_is_let_in() {
    let (app, listener, _dir) = app_of_raw_hub(|_| {});
    let (mut raw, hello) = listener.accept_hello();
    let (first_epoch, flags, secret) = hello_of(&raw, &hello);
    assert!(secret.is_some() && flags == HelloFlags(0));
    refuse(&mut raw, Status::IdentityTaken.code());
    app.send("x", Value::Nil).unwrap();
    for _ in 0..3 {
        let (mut raw, hello) = listener.accept_hello();
        let (epoch, flags, again) = hello_of(&raw, &hello);
        assert!(epoch > first_epoch && again == secret && flags == HelloFlags::RETRY);
        // While it asks, too.
        assert_eq!(app.link(), Link::Refused);
        assert_eq!(app.flush(PATIENCE).unwrap_err().status(), Status::IdentityTaken);
        assert_eq!(app.wait_connected(PATIENCE).unwrap_err().status(), Status::IdentityTaken);
        refuse(&mut raw, Status::IdentityTaken.code());
    }
    let (mut raw, _) = listener.accept_hello();
    raw.welcome(1 << 20);
    until("it is let in", || app.link() == Link::Connected);
    app.wait_connected(PATIENCE).unwrap();
    // From then on it is as every app.
    drop(raw);
    let (raw, hello) = listener.accept_hello();
    assert_eq!(hello_of(&raw, &hello).1, HelloFlags(0));
}

#[test]
fn a_refusal_is_told_once_by_recv_and_by_the_descriptor() {
    let (app, listener, _dir) = app_of_raw_hub(|_| {});
    let waits = {
        let app = app.clone();
        std::thread::spawn(move || app.recv(PATIENCE).map(|state| state.name().to_owned()))
    };
    let refuse_one = || refuse(&mut listener.accept_hello().0, Status::IdentityTaken.code());
    refuse_one();
    let error = waits.join().unwrap().unwrap_err();
    assert_eq!(error.status(), Status::IdentityTaken);
    assert!(error.to_string().starts_with("no room for you: ipc://"), "{error}");
    // Refused again for the same reason: nothing new.
    refuse_one();
    refuse_one();
    assert_eq!(app.recv(Some(Duration::ZERO)).unwrap_err().status(), Status::Timeout);
    // After a link it is.
    let (mut raw, _) = listener.accept_hello();
    raw.welcome(1 << 20);
    until("it is let in", || app.link() == Link::Connected);
    let fd = app.fd().unwrap();
    refuse(&mut raw, Status::Full.code());
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    until("the descriptor tells", || {
        // SAFETY: one element, for the length of the call.
        let ready = (unsafe { libc::poll(&mut poll, 1, 60_000) }) == 1;
        // It may wake for nothing.
        ready && app.recv(Some(Duration::ZERO)).unwrap_err().status() == Status::Full
    });
}

#[test]
fn a_refusal_is_told_once_by_dispatch_after_the_callback_for_the_link() {
    let (told, links) = mpsc::channel();
    let (app, listener, _dir) = app_of_raw_hub(|app| {
        app.on_state(Some(Box::new(|_| {}))).unwrap();
        let tell = move |link, why, _: &str| told.send((link, why)).unwrap();
        app.on_link(Some(Box::new(tell))).unwrap();
    });
    let refuse_one = || refuse(&mut listener.accept_hello().0, Status::IdentityTaken.code());
    refuse_one();
    let status = loop {
        match app.dispatch(PATIENCE, 10) {
            Ok(_) => {}
            Err(error) => break error.status(),
        }
    };
    assert_eq!(status, Status::IdentityTaken);
    refuse_one();
    refuse_one();
    assert_eq!(app.dispatch(Some(Duration::ZERO), 10).unwrap_err().status(), Status::Timeout);
    let links: Vec<_> = links.try_iter().collect();
    assert_eq!(links, [(Link::Connecting, Status::Ok), (Link::Refused, Status::IdentityTaken)]);
}

#[test]
fn a_refusal_is_an_error_whatever_it_says() {
    // What the calls say of themselves, and what nobody knows.
    let statuses = [Status::Ok, Status::Timeout, Status::Interrupted, Status::Closed, Status::State, Status::Internal];
    for status in statuses.map(Status::code).into_iter().chain([1, -1000, i32::MIN]) {
        let (app, listener, _dir) = app_of_raw_hub(|_| {});
        refuse(&mut listener.accept_hello().0, status);
        until("it is refused", || app.link() == Link::Refused);
        app.send("x", Value::Nil).unwrap();
        let results = [app.wait_connected(PATIENCE), app.flush(PATIENCE), app.recv(PATIENCE).map(drop)];
        for result in results {
            assert_eq!(result.map_err(|error| error.status()), Err(Status::Refused), "{status}");
        }
    }
}

#[test]
fn a_displaced_app_never_takes_over_again_by_itself() {
    let (app, listener, _dir) = app_of_raw_hub(|app| app.set(AppOption::TakeOver, 1).unwrap());
    let (mut raw, hello) = listener.accept_hello();
    assert!(hello_of(&raw, &hello).1 == HelloFlags::TAKE_OVER);
    raw.welcome(1 << 20);
    app.wait_connected(PATIENCE).unwrap();
    refuse(&mut raw, Status::IdentityTaken.code());
    let (mut raw, hello) = listener.accept_hello();
    assert_eq!(hello_of(&raw, &hello).1, HelloFlags::RETRY);
    raw.welcome(1 << 20);
    until("it is let in", || app.link() == Link::Connected);
    drop(raw);
    // Nor after it was let in again, until the program connects.
    let (raw, hello) = listener.accept_hello();
    assert_eq!(hello_of(&raw, &hello).1, HelloFlags(0));
    drop(raw);
    app.disconnect().unwrap();
    app.connect(Some(listener.url())).unwrap();
    let take_over = std::iter::repeat_with(|| listener.accept_hello()).find(|(raw, hello)| {
        // What it dialled before it was disconnected may come first.
        hello_of(raw, hello).1 == HelloFlags::TAKE_OVER
    });
    assert!(take_over.is_some());
}

#[test]
fn a_program_that_connects_again_while_it_is_refused_does() {
    let (app, listener, dir) = app_of_raw_hub(|_| {});
    refuse(&mut listener.accept_hello().0, Status::IdentityTaken.code());
    // In the middle of an attempt.
    let (mut asking, _) = listener.accept_hello();
    let other = RawListener::new(&dir.ipc());
    app.connect(Some(other.url())).unwrap();
    assert_eq!(app.link(), Link::Connecting);
    asking.closed();
    let (mut raw, hello) = other.accept_hello();
    assert_eq!(hello_of(&raw, &hello).1, HelloFlags(0));
    raw.welcome(1 << 20);
    app.wait_connected(PATIENCE).unwrap();
}

/// A hub with an app that holds the identity `one`, and a second that was refused.
fn holder_and_refused() -> (Hub, App, App, TempDir) {
    let attempt = || {
        let dir = TempDir::new();
        let (hub, url) = hub(&dir.ipc());
        let holder = app("one", &url);
        let second = App::new("one").unwrap();
        second.connect(Some(&url)).unwrap();
        // Rightly let in if the machine had no time for the holder for as long as a probe waits.
        let status = second.recv(PATIENCE).unwrap_err().status();
        (status == Status::IdentityTaken && holder.link() == Link::Connected).then_some((hub, holder, second, dir))
    };
    (0..5).find_map(|_| attempt()).expect("a holder that answers")
}

#[test]
fn a_second_instance_is_told_and_gets_in_when_the_first_leaves() {
    let (hub, holder, second, _dir) = holder_and_refused();
    assert_eq!(second.link(), Link::Refused);
    second.send("x", Value::Int(2)).unwrap();
    let other = app("other", &hub.address(0).unwrap());
    drop(holder);
    assert_eq!(other.recv(PATIENCE).unwrap().int().unwrap(), 2);
    assert_eq!(second.link(), Link::Connected);
}

#[test]
fn a_refused_app_that_loses_its_hub_says_so() {
    let (hub, _holder, second, _dir) = holder_and_refused();
    drop(hub);
    until("it is not the hub's word any more", || second.link() == Link::Connecting);
}

// ---- what a hub takes from an app

/// An app's state with this meta.
fn state(sender: &str, name: &str, meta: &Meta<'_>) -> Vec<u8> {
    body(Form::V1, sender, name, &[1], meta)
}

fn reasons(hub: &Direct) -> Vec<(&'static str, u64)> {
    let stats = hub.router.stats();
    Malformed::ALL
        .iter()
        .map(|reason| (reason.id(), stats.malformed_by[reason.index()]))
        .filter(|(_, n)| *n > 0)
        .collect()
}

#[test]
fn a_state_stamped_by_another_instance_is_refused_and_hides_from_nobody() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish_at(a, "a", "x", &[1], Stamp { clock: 1 << 16, instance: Instance([2; 16]) });
    assert!(hub.said(b).is_empty() && hub.router.table().is_empty());
    assert_eq!((hub.router.stats().foreign_sender, hub.router.stats().messages_in), (1, 0));
    assert!(hub.warnings().iter().any(|text| text.contains("another instance")));
    // Its own, and none: then the hub stamps it with that.
    hub.publish_at(a, "a", "x", &[2], Stamp { clock: 2 << 16, instance: Instance([1; 16]) });
    hub.send(a, &state("a", "y", &Meta::default()));
    assert_eq!(hub.said(b), ["x", "y"]);
    assert!(hub.router.table().iter().all(|entry| entry.stamp().instance == Instance([1; 16])));
}

#[test]
fn an_app_with_the_instance_of_another_hides_nothing_from_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let b = hub.hello_with("b", 2, 1, HelloFlags(0), Some(2));
    hub.said(b);
    let mimic = hub.hello_with("a", 2, 1, HelloFlags(0), Some(1));
    assert_eq!(hub.said(mimic), ["welcome"]);
    hub.publish(mimic, "a", "x", &[1]);
    assert_eq!(hub.said(b), ["x"]);
}

#[test]
fn what_no_feature_announced_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    let flags = [Meta::RETAINED, Meta::CLEAR, Meta::EVENT, Meta::TRANSIENT, 16, 1 << 31, u32::MAX];
    let mut metas: Vec<_> = flags.into_iter().map(|flags| Meta { flags, ..Meta::default() }).collect();
    metas.push(Meta { request: Some(0), ..Meta::default() });
    metas.push(Meta { target: Some("b"), ..Meta::default() });
    for meta in &metas {
        hub.send(a, &state("a", "x", meta));
    }
    // A flag of more than 32 bits: {2: 2^32}.
    let mut long = state("a", "x", &Meta::default());
    long.pop();
    long.extend(b"\x81\x02\xCF\0\0\0\x01\0\0\0\0");
    hub.send(a, &long);
    assert_eq!(reasons(&hub), [("feature", metas.len() as u64 + 1)]);
    assert!(hub.said(b).is_empty() && hub.router.table().is_empty());
    assert!(!hub.is_closed(a), "it is not fatal");
    hub.send(a, &state("a", "x", &Meta { sequence: Some(9), ..Meta::default() }));
    assert_eq!(hub.said(b), ["x"]);
}

#[test]
fn a_meta_is_at_most_one_kibibyte_and_stays_whole() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    // {77: bin}, of so many bytes together.
    let with = |len: usize| {
        let mut bytes = state("a", &format!("n{len}"), &Meta::default());
        bytes.pop();
        bytes.extend([0x81, 77, 0xC5, ((len - 5) >> 8) as u8, (len - 5) as u8]);
        bytes.resize(bytes.len() + len - 5, 7);
        bytes
    };
    hub.send(a, &with(1024));
    hub.send(a, &with(1025));
    assert_eq!(reasons(&hub), [("meta", 1)]);
    let bodies = hub.bodies(b);
    assert_eq!(bodies.len(), 1);
    // The hub's stamp comes on top.
    let body = wire::decode(&bodies[0], Form::V1).unwrap();
    assert!(body.name == "n1024" && body.meta.stamp.is_some() && body.raw_meta.len() > 1024);
}

#[test]
fn what_the_hub_held_is_marked_as_retained_and_what_comes_later_is_not() {
    let flags = |hub: &mut Direct, conn| {
        let flag = |bytes: Vec<u8>| {
            let body = wire::decode(&bytes, Form::V1).unwrap();
            (!body.is_reserved()).then(|| (body.name.to_owned(), body.meta.flags, body.meta.stamp.is_some()))
        };
        hub.bodies(conn).into_iter().filter_map(flag).collect::<Vec<_>>()
    };
    let of = |name: &str, flags| (name.to_owned(), flags, true);
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "small", &[1]);
    hub.publish(a, "a", "large", &value(Kind::Text, 1, 100_000));
    // Before it reads anything, a change comes.
    let b = hub.hello("b", 2, 1, HelloFlags(0));
    hub.pass(MS);
    hub.publish(a, "a", "small", &[2]);
    hub.publish(a, "a", "new", &[3]);
    let mut got = flags(&mut hub, b);
    got.sort();
    assert_eq!(got, [of("large", Meta::RETAINED), of("new", 0), of("small", 0)]);
    hub.pass(MS);
    hub.publish(a, "a", "small", &[4]);
    assert_eq!(flags(&mut hub, b), [of("small", 0)]);
    // Asked for once more.
    hub.control(b, "b", Control::Accept { mask: wire::ACCEPT_ANY });
    let mut got = flags(&mut hub, b);
    got.sort();
    assert_eq!(got, ["large", "new", "small"].map(|name| of(name, Meta::RETAINED)));
}

// ---- streams that are none

#[test]
fn a_length_that_no_limit_explains_ends_the_link_with_a_line_that_shows_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let (v1, old) = (hub.open_v1("a", 1), hub.open_old());
    hub.events();
    hub.bytes(v1, b"GET / HTTP/1.1\r\n");
    hub.bytes(old, &[0x7F; 8]);
    assert!(hub.is_closed(v1) && hub.is_closed(old));
    let told: Vec<_> = std::iter::from_fn(|| hub.router.next_event())
        .map(|event| match event {
            RouterEvent::Peer { event: PeerEvent::Left, why: Status::Invalid, text, .. } => text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(told[0].contains(r#""GET / HT""#), "{told:?}");
    assert!(told[1].contains("7F 7F 7F 7F 7F 7F 7F 7F"), "{told:?}");
    // One that is merely too large is skipped.
    let over = hub.open_v1("c", 3);
    hub.bytes(over, &frame_head(Framing::Tcp, 1 << 40));
    assert!(!hub.is_closed(over));
    assert_eq!(hub.router.stats().too_large, 1);
}

#[test]
fn an_app_that_is_sent_no_frame_looks_for_its_hub_again() {
    let (app, listener, _dir) = app_of_raw_hub(|_| {});
    let (mut raw, _) = listener.accept_v1(1 << 20);
    app.wait_connected(PATIENCE).unwrap();
    raw.write(b"\x01some text that strayed into the stream");
    raw.closed();
    let _link = listener.accept_v1(1 << 20);
    app.wait_connected(PATIENCE).unwrap();
}

// ---- a hub that is full

#[test]
fn a_full_hub_says_so_and_lets_in_who_asks_again_when_there_is_room() {
    let dir = TempDir::new();
    for url in ["tcp://127.0.0.1:0".to_owned(), dir.ipc(), format!("inproc://full-{}", std::process::id())] {
        let hub = Hub::new().unwrap();
        hub.set(HubOption::MaxPeers, 1).unwrap();
        hub.listen(&url).unwrap();
        let url = hub.address(0).unwrap();
        let first = app("first", &url);
        let second = App::new("second").unwrap();
        second.connect(Some(&url)).unwrap();
        let error = second.wait_connected(PATIENCE).unwrap_err();
        assert_eq!(error.status(), Status::Full, "{error}");
        assert!(error.to_string().starts_with("there are 1 peers already"), "{error}");
        assert_eq!(second.link(), Link::Refused);
        assert!(hub.stats().refused_peers >= 1);
        drop(first);
        until("there is room", || second.link() == Link::Connected);
    }
}

#[test]
fn connections_that_wait_to_be_refused_keep_nobody_out_and_are_few() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    hub.open_v1("b", 2);
    let silent: Vec<_> = (0..200).map(|_| hub.open()).collect();
    let kept = silent.iter().filter(|&&conn| !hub.is_closed(conn)).count();
    assert_eq!(kept, limits::SURPLUS_PEERS);
    hub.lose(a);
    hub.open_v1("c", 3);
    // They have the time of a handshake, as everybody.
    hub.pass(5 * SEC);
    assert!(silent.iter().all(|&conn| hub.is_closed(conn)));
    let old = hub.open_old();
    assert!(hub.is_closed(old));
}

// ---- what a program is told

#[test]
fn without_a_hub_every_call_that_waits_says_why() {
    let dir = TempDir::new();
    for url in [Transport::Tcp.free(&dir), dir.ipc()] {
        let app = App::new("a").unwrap();
        app.send("x", Value::Nil).unwrap();
        app.connect(Some(&url)).unwrap();
        let says = |what: &str, call: &dyn Fn() -> Result<(), nanostate::Error>| {
            until(what, || {
                let error = call().unwrap_err();
                assert_eq!(error.status(), Status::Timeout, "{what}: {error}");
                let text = error.to_string();
                let why = if url.starts_with("tcp") { "connection refused" } else { "not found" };
                // The first attempt takes a moment.
                text == format!("{why}: {url} (is \"nanostate hub\" running?)")
            });
        };
        let moment = Some(Duration::from_millis(1));
        says("flush", &|| app.flush(moment));
        says("wait_connected", &|| app.wait_connected(moment));
        says("recv", &|| app.recv(moment).map(drop));
        app.on_state(Some(Box::new(|_| {}))).unwrap();
        says("dispatch", &|| app.dispatch(moment, 1).map(drop));
    }
}

#[test]
fn a_flush_over_a_link_that_is_silent_says_for_how_long() {
    let (app, listener, _dir) = app_of_raw_hub(|_| {});
    let (_raw, _) = listener.accept_v1(1 << 20);
    app.wait_connected(PATIENCE).unwrap();
    app.send("x", Value::Nil).unwrap();
    let error = app.flush(Some(Duration::from_millis(200))).unwrap_err();
    assert_eq!(error.status(), Status::Timeout);
    let text = error.to_string();
    let seconds =
        text.strip_prefix("timed out: nothing heard for ").and_then(|text| text.split_once(" s from the hub at "));
    let (seconds, url) = seconds.unwrap_or_else(|| panic!("{text}"));
    assert!(seconds.parse::<f64>().unwrap() >= 0.2 && url == listener.url(), "{text}");
}
