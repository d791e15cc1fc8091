//! Which errors an app gets that is refused or finds no hub, and how it gets in at last.

#![allow(unsafe_code)] // poll

use std::sync::mpsc;
use std::time::Duration;

use nanostate::wire::{Control, HelloFlags, Secret};
use nanostate::{App, AppOption, Hub, HubOption, LinkState, Status, Value};

use crate::support::{self, app, hub, until, Raw, RawListener, TempDir, Transport};

/// Longer than anything here takes.
const PATIENCE: Option<Duration> = Some(support::PATIENCE);

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

/// An app, and its hub, which the test plays itself.
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
        assert_eq!(app.link(), LinkState::Refused);
        assert_eq!(app.flush(PATIENCE).unwrap_err().status(), Status::IdentityTaken);
        assert_eq!(app.wait_connected(PATIENCE).unwrap_err().status(), Status::IdentityTaken);
        refuse(&mut raw, Status::IdentityTaken.code());
    }
    let (mut raw, _) = listener.accept_hello();
    raw.welcome(1 << 20);
    until("it is let in", || app.link() == LinkState::Connected);
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
    until("it is let in", || app.link() == LinkState::Connected);
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
    assert_eq!(links, [(LinkState::Connecting, Status::Ok), (LinkState::Refused, Status::IdentityTaken)]);
}

#[test]
fn a_refusal_is_an_error_whatever_it_says() {
    // Statuses that calls use for themselves, and unknown ones.
    let statuses = [Status::Ok, Status::Timeout, Status::Interrupted, Status::Closed, Status::State, Status::Internal];
    for status in statuses.map(Status::code).into_iter().chain([1, -1000, i32::MIN]) {
        let (app, listener, _dir) = app_of_raw_hub(|_| {});
        refuse(&mut listener.accept_hello().0, status);
        until("it is refused", || app.link() == LinkState::Refused);
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
    until("it is let in", || app.link() == LinkState::Connected);
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
    assert_eq!(app.link(), LinkState::Connecting);
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
        (status == Status::IdentityTaken && holder.link() == LinkState::Connected).then_some((hub, holder, second, dir))
    };
    (0..5).find_map(|_| attempt()).expect("a holder that answers")
}

#[test]
fn a_second_instance_is_told_and_gets_in_when_the_first_leaves() {
    let (hub, holder, second, _dir) = holder_and_refused();
    assert_eq!(second.link(), LinkState::Refused);
    second.send("x", Value::Int(2)).unwrap();
    let other = app("other", &hub.address(0).unwrap());
    drop(holder);
    assert_eq!(other.recv(PATIENCE).unwrap().int().unwrap(), 2);
    assert_eq!(second.link(), LinkState::Connected);
}

#[test]
fn a_refused_app_that_loses_its_hub_says_so() {
    let (hub, _holder, second, _dir) = holder_and_refused();
    drop(hub);
    until("it is not the hub's word any more", || second.link() == LinkState::Connecting);
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
        assert!(error.to_string().starts_with("at most 1 peers may be connected (NS_OPT_HUB_MAX_PEERS)"), "{error}");
        assert_eq!(second.link(), LinkState::Refused);
        assert!(hub.stats().refused_peers >= 1);
        drop(first);
        until("there is room", || second.link() == LinkState::Connected);
    }
}

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
