//! Hubs that end, are absent, or do not answer.

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nanostate::framing::Version;
use nanostate::{limits, App, AppOption, Status, Value};

use super::{c_app, done, largest_text, quick, roomy, text_len};
use crate::support::{
    app, c_program, hub, receive, receive_until, send, until, Cli, Gate, Process, RawListener, TempDir, Transport,
    PATIENCE, TRANSPORTS,
};

fn a_hub_killed_in_the_middle_of_a_message_comes_back(transport: Transport) {
    let dir = TempDir::new();
    let url = transport.free(&dir);
    let (mut hub, _) = Cli::hub(&[&url]);
    let mut c_app = c_app(&url, "app");
    let mut from = 0;
    let size = largest_text(limits::MAX_MESSAGE);

    // Stopped, the hub takes what the system buffers, a part of the message; so it dies in the middle of it.
    hub.signal("STOP");
    c_app.tell("text small before");
    c_app.tell(&format!("fill big {size}"));
    done(&c_app, &mut from, 2);
    hub.kill();
    c_app.line("the loss", |line| line.starts_with("link 1"));
    assert!(c_app.is_running(), "{}", c_app.words());
    if let Some(path) = url.strip_prefix("ipc://") {
        assert!(Path::new(path).exists(), "a killed hub leaves its socket");
    }
    let (mut hub, _) = Cli::hub(&[&url]);
    let witness = roomy("witness", &url);
    assert_eq!(text_len(&receive(&witness, "app", "big")), size);
    c_app.tell("flush");
    done(&c_app, &mut from, 1);

    // Killed at any moment of it.
    for round in 1..=5 {
        c_app.tell(&format!("text round {round}"));
        c_app.tell(&format!("fill big {}", size - round));
        thread::sleep(Duration::from_millis(2 * round as u64));
        hub.kill();
        done(&c_app, &mut from, 2);
        hub = Cli::hub(&[&url]).0;
    }
    c_app.tell("text end here");
    c_app.tell("flush");
    done(&c_app, &mut from, 2);
    receive_until(&witness, "the newest big state", |state| state.name() == "big" && text_len(state) == size - 5);
    // What was sent before all the kills is there, too.
    let newcomer = roomy("newcomer", &url);
    let mut missing = vec!["small", "round", "end", "big"];
    let got = receive_until(&newcomer, "all", |state| {
        missing.retain(|name| state.name() != *name);
        missing.is_empty()
    });
    let texts: HashMap<_, _> = got.iter().map(|state| (state.name(), state.text().unwrap())).collect();
    assert_eq!((texts["small"], texts["round"], texts["end"]), ("before", "5", "here"));
    assert_eq!(texts["big"].len(), size - 5);
    assert!(c_app.is_running(), "{}", c_app.words());
    c_app.end_of_input();
    assert!(c_app.ended().success(), "{}", c_app.words());
}

#[test]
fn a_hub_killed_in_the_middle_of_a_message_comes_back_on_its_tcp_address() {
    a_hub_killed_in_the_middle_of_a_message_comes_back(Transport::Tcp);
}

#[test]
fn a_hub_killed_in_the_middle_of_a_message_comes_back_on_its_stale_socket() {
    a_hub_killed_in_the_middle_of_a_message_comes_back(Transport::Ipc);
}

#[test]
fn a_send_to_a_hub_that_has_just_died_raises_no_signal() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (mut hub, urls) = Cli::hub(&[&transport.any(&dir)]);
        let mut sender = Process::run(&c_program("sigpipe"), [&urls[0]]);
        let holder = app("holder", &urls[0]);
        send(&holder, "hold", "it");
        sender.line("that its thread is held up", |line| line == "held");
        hub.kill();
        sender.tell("send");
        sender.line("that it lives", |line| line == "alive");
        assert!(sender.ended().success(), "{}", sender.words());
    }
}

#[test]
fn the_newer_of_two_values_wins_when_the_older_reconnects_last_a_hundred_times() {
    let dir = TempDir::new();
    let url = Transport::Tcp.free(&dir);
    let (mut hub, _) = Cli::hub(&[&url]);
    let gate = Gate::open_to(url.trim_start_matches("tcp://"));
    let (a, b) = (quick("a", gate.url()), quick("b", &url));
    let value = |app: &App, sender: Option<&str>| app.get(sender, "level").and_then(|state| state.int().ok());
    let sees = |app: &App, sender: &str, wanted: i64| {
        let what = format!("{} sees {wanted} of {sender}", app.identity());
        until(&what, || value(app, Some(sender)) == Some(wanted));
    };
    for round in 0..100 {
        let (ten, ninety) = (round * 100 + 10, round * 100 + 90);
        a.send("level", Value::Int(ten)).unwrap();
        sees(&b, "a", ten);
        b.send("level", Value::Int(ninety)).unwrap();
        sees(&a, "b", ninety);

        gate.shut();
        hub.kill();
        hub = Cli::hub(&[&url]).0;
        let early = quick("early", &url);
        sees(&early, "b", ninety);
        assert_eq!(value(&early, Some("a")), None, "nobody has told it");
        gate.open();
        sees(&early, "a", ten);
        let late = quick("late", &url);
        sees(&late, "a", ten);
        sees(&late, "b", ninety);
        for app in [&a, &b, &early, &late] {
            assert_eq!(value(app, None), Some(ninety), "{} in round {round}", app.identity());
        }
    }
}

#[test]
fn an_app_without_a_hub_says_why_and_finds_it_when_it_comes() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let url = transport.free(&dir);
        let app = App::new("app").unwrap();
        app.set(AppOption::BackoffMaxMs, 100).unwrap();
        app.connect(Some(&url)).unwrap();
        send(&app, "before", "the hub");
        // Once it has tried.
        until("the reason", || {
            let error = app.wait_connected(Some(Duration::from_millis(100))).unwrap_err();
            assert_eq!(error.status(), Status::Timeout);
            error.to_string().contains(&url)
        });
        let error = app.flush(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(error.status(), Status::Timeout);

        let (_hub, _) = hub(&url);
        app.flush(Some(PATIENCE)).unwrap();
        let witness = quick("witness", &url);
        assert_eq!(receive(&witness, "app", "before").text().unwrap(), "the hub");
    }
}

#[test]
fn a_door_that_opens_on_nobody_does_not_make_an_app_an_old_one() {
    // What stands in front of a hub that is away (a port that is forwarded, a hub that is just being killed) takes
    // connections and closes them without a byte.
    let listener = RawListener::new("tcp://127.0.0.1:0");
    let app = App::new("app").unwrap();
    app.set(AppOption::BackoffMaxMs, 100).unwrap();
    app.connect(Some(listener.url())).unwrap();
    for _ in 0..5 {
        drop(listener.accept());
    }
    let (_raw, identity) = listener.accept_v1(limits::MAX_MESSAGE as u64);
    assert_eq!(identity, "app");
    app.wait_connected(Some(PATIENCE)).unwrap();
}

#[test]
fn a_hub_that_never_answers_is_left_and_tried_again() {
    let listener = RawListener::new("tcp://127.0.0.1:0");
    let app = App::new("app").unwrap();
    app.set(AppOption::BackoffMaxMs, 100).unwrap();
    app.connect(Some(listener.url())).unwrap();
    let mut silent = listener.accept();
    assert_eq!(silent.read_header(), Some(Version::V1));
    assert!(silent.closed().is_empty(), "nothing is said before the header");
    let (_raw, identity) = listener.accept_v1(limits::MAX_MESSAGE as u64);
    assert_eq!(identity, "app");
    app.wait_connected(Some(PATIENCE)).unwrap();
}
