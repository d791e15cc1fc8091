//! Faults: what is killed, stopped, cut short, too large, in the way or wrong, and the bursts that were lost.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    self, app, c_program, hub, key, peer_program, receive, receive_until, send, until, waiting, Cli, Gate, Process,
    Raw, RawListener, TempDir, Transport, PATIENCE, TRANSPORTS,
};
use nanostate::framing::{self, Version};
use nanostate::{limits, App, AppOption, Hub, HubOption, Kind, State, Status, Value};

const MIB: usize = 1 << 20;

/// A C program that ends as C programs do when it writes to who is not there, if the library lets it.
fn c_app(url: &str, identity: &str) -> Process {
    let app = Process::run(&c_program("app"), [url, identity, "100"]);
    app.line("the link", |line| line.starts_with("link 2"));
    app
}

/// Waits for `n` answers to commands, at `*from` or later.
fn done(app: &Process, from: &mut usize, n: usize) {
    for _ in 0..n {
        let answer = app.line_from(from, "done", |line| line == "done" || line.starts_with("error"));
        assert_eq!(answer, "done", "{}", app.words());
    }
}

/// An app that comes back soon.
fn quick(identity: &str, url: &str) -> App {
    join(App::new(identity).unwrap(), url)
}

/// The same with queues for more than one of the largest messages, however late they are taken.
fn roomy(identity: &str, url: &str) -> App {
    let app = App::new(identity).unwrap();
    app.set(AppOption::RecvQueue, 4 * limits::MAX_MESSAGE as i64).unwrap();
    join(app, url)
}

fn join(app: App, url: &str) -> App {
    app.set(AppOption::BackoffMaxMs, 100).unwrap();
    app.connect(Some(url)).unwrap();
    app.wait_connected(Some(PATIENCE)).unwrap();
    app
}

fn text_len(state: &State) -> usize {
    state.text().unwrap().len()
}

/// As large as a text may be for a body of `body` bytes, from the sender `app` under the name `big`.
fn largest_text(body: usize) -> usize {
    // The array, `app` and `big` behind a byte each, and the head of a long text.
    body - 1 - 4 - 4 - 5
}

// The hub goes.

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

// A peer goes, or stops.

#[test]
fn an_app_killed_in_the_middle_of_a_message_leaves_its_last_whole_one() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let witness = app("witness", &url);
        let mut victim = c_app(&url, "app");
        let mut from = 0;
        victim.tell("text big whole");
        victim.tell("flush");
        done(&victim, &mut from, 2);
        // Stopped as often as needed until it is in the middle of a message.
        let size = largest_text(limits::MAX_MESSAGE);
        victim.tell(&format!("fill big {size}\nfill big {size}\nfill big {size}\nfill big {size}"));
        until("it is in the middle of a message", || {
            victim.signal("STOP");
            // What it wrote is taken by the hub.
            let mut before = None;
            until("the hub has read all", || {
                let now = Some((hub.stats().unfinished_bytes, hub.stats().bytes_in));
                let same = now == before;
                before = now;
                same
            });
            let half = hub.stats().unfinished_bytes > 0;
            if !half {
                victim.signal("CONT");
                victim.tell(&format!("fill big {size}"));
            }
            half
        });
        victim.kill();
        until("what is unfinished goes", || hub.stats().unfinished_bytes == 0);
        until("it left", || hub.stats().peers == 1);
        let newcomer = app("newcomer", &url);
        let newest = receive(&newcomer, "app", "big");
        for state in waiting(&witness).iter().chain([&newest]) {
            assert!(state.text().unwrap() == "whole" || text_len(state) == size, "{}", key(state));
        }
        // Nothing is left of it: another may use the name.
        let again = app("app", &url);
        send(&again, "big", "again");
        receive_until(&newcomer, "the new one", |state| state.text().unwrap() == "again");
    }
}

#[test]
fn a_peer_that_sends_half_a_frame_and_stops_is_closed_and_only_that_one() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let hub = Hub::new().unwrap();
        hub.set(HubOption::StalledFrameMs, 2000).unwrap();
        hub.listen(&transport.any(&dir)).unwrap();
        let url = hub.address(0).unwrap();
        let (a, b) = (app("a", &url), app("b", &url));
        for old in [false, true] {
            let mut raw = if old { Raw::old(&url, "half") } else { Raw::v1(&url, "half") };
            raw.send("before", Value::Text("whole"));
            receive(&a, "half", "before");
            receive(&b, "half", "before");
            // It claims a frame of the largest size, and sends a little of it.
            let mut head = framing::frame_head(raw.framing(), limits::MAX_MESSAGE).to_vec();
            head.extend(raw.body("half", Value::Text("x"), support::clock()));
            let start = Instant::now();
            raw.write(&head);
            until("the rest is waited for", || hub.stats().unfinished_bytes > 0);
            assert!(hub.stats().unfinished_bytes < 64 << 10, "{} bytes", hub.stats().unfinished_bytes);
            // Meanwhile the others go on.
            send(&a, "meanwhile", "a");
            assert_eq!(receive(&b, "a", "meanwhile").text().unwrap(), "a");
            raw.closed();
            assert!(start.elapsed() >= Duration::from_millis(1990), "{:?}", start.elapsed());
            until("all of it is gone", || hub.stats().unfinished_bytes == 0 && hub.stats().peers == 2);
            assert!(waiting(&a).is_empty() && waiting(&b).is_empty());
        }
    }
}

#[test]
fn half_a_length_is_half_a_frame() {
    let dir = TempDir::new();
    let hub = Hub::new().unwrap();
    hub.set(HubOption::StalledFrameMs, 200).unwrap();
    hub.listen(&dir.ipc()).unwrap();
    let mut raw = Raw::v1(&hub.address(0).unwrap(), "half");
    raw.write(&framing::frame_head(raw.framing(), 10)[..5]);
    raw.closed();
    until("it left", || hub.stats().peers == 0);
}

#[test]
fn unfinished_frames_of_all_peers_together_have_a_limit() {
    let dir = TempDir::new();
    let hub = Hub::new().unwrap();
    hub.set(HubOption::Unfinished, 4 * MIB as i64).unwrap();
    hub.listen(&dir.ipc()).unwrap();
    let url = hub.address(0).unwrap();
    let witness = app("witness", &url);
    let mut greedy: Vec<_> = (0..8).map(|i| Raw::old(&url, &format!("greedy-{i}"))).collect();
    for raw in &mut greedy {
        let mut bytes = framing::frame_head(raw.framing(), 2 * MIB).to_vec();
        bytes.resize(MIB, b'x');
        // Some are closed before they have said it all.
        let _ = raw.try_write(&bytes);
    }
    until("some are closed", || hub.stats().peers < 9);
    until("the limit is kept", || hub.stats().unfinished_bytes <= 4 * MIB as u64);
    let good = app("good", &url);
    send(&good, "still", "works");
    assert_eq!(receive(&witness, "good", "still").text().unwrap(), "works");
}

#[test]
fn a_peer_that_never_sends_its_header_is_closed_after_the_handshake_time() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let hub = Hub::new().unwrap();
        hub.set(HubOption::HandshakeMs, 2000).unwrap();
        hub.listen(&transport.any(&dir)).unwrap();
        let url = hub.address(0).unwrap();
        let steps: [&[u8]; 3] = [b"", &framing::header(Version::V1)[..5], &framing::header(Version::V1)];
        let mut raws = steps.map(|step| {
            let start = Instant::now();
            let mut raw = Raw::dial(&url);
            raw.write(step);
            (start, raw)
        });
        assert_eq!(raws[2].1.read_header(), Some(Version::V1));
        for (start, raw) in &mut raws {
            assert!(raw.closed().is_empty());
            assert!(start.elapsed() >= Duration::from_millis(1990), "{:?}", start.elapsed());
        }
        until("all are counted", || hub.stats().refused_peers == 3);
        assert_eq!(hub.stats().peers, 0);
    }
}

#[test]
fn a_stopped_receiver_costs_the_hub_no_more_than_its_outbox_and_ends_with_the_newest_values() {
    const NAMES: usize = 100;
    const UPDATES: usize = 1_000_000;
    let dir = TempDir::new();
    let (mut hub, urls) = Cli::hub(&[&dir.ipc(), "tcp://127.0.0.1:0"]);
    let stopped = c_app(&urls[0], "stopped");
    let witnesses = [app("witness-ipc", &urls[0]), app("witness-tcp", &urls[1])];
    let mut sender = Raw::v1(&urls[0], "flood");
    sender.send("first", Value::Nil);
    stopped.line("the first", |line| line.starts_with("state flood first"));
    for witness in &witnesses {
        receive(witness, "flood", "first");
    }
    stopped.signal("STOP");
    let before = hub.resident();

    let newest = |name: usize| (UPDATES - NAMES + name) as i64;
    let watchers: Vec<_> = witnesses
        .iter()
        .map(|witness| {
            let witness = witness.clone();
            thread::spawn(move || {
                let mut values = HashMap::new();
                receive_until_all(&witness, |state| {
                    let value = state.int().unwrap();
                    let before = values.insert(state.name().to_owned(), value);
                    assert!(before.is_none_or(|before| before < value), "{} after {before:?}", key(state));
                    values.len() == NAMES && (0..NAMES).all(|i| values[&format!("flood/{i}")] == newest(i))
                });
            })
        })
        .collect();
    let base = support::clock();
    let mut most = before;
    let mut out = Vec::new();
    for i in 0..UPDATES {
        let body = sender.body(&format!("flood/{}", i % NAMES), Value::Int(i as i64), base + i as u64);
        sender.frame(&body, &mut out);
        if out.len() > 1 << 16 || i == UPDATES - 1 {
            sender.write(&out);
            out.clear();
        }
        if i % 20_000 == 0 {
            most = most.max(hub.resident());
        }
    }
    sender.sync();
    for watcher in watchers {
        watcher.join().unwrap();
    }
    most = most.max(hub.resident());
    // 4 MiB for each receiver that keeps up or has just ceased to; the rest is the allocator's and the read buffers'.
    let allowed = 3 * 4 * MIB + 4 * MIB;
    let more = most.saturating_sub(before);
    println!("the hub took {} KiB more", more >> 10);
    assert!(more <= allowed, "{} KiB more, allowed are {}", more >> 10, allowed >> 10);

    stopped.signal("CONT");
    let mut from = 0;
    let mut values = HashMap::new();
    while values.len() < NAMES || (0..NAMES).any(|i| values[&i] != newest(i)) {
        let line =
            stopped.line_from(&mut from, "the newest value of all", |line| line.starts_with("state flood flood/"));
        let words: Vec<_> = line.split(' ').collect();
        let name: usize = words[2]["flood/".len()..].parse().unwrap();
        let value: i64 = words[5].parse().unwrap();
        let before = values.insert(name, value);
        assert!(before.is_none_or(|before| before < value), "{line} after {before:?}");
    }
    assert!(from < UPDATES, "what came between is gone");
    hub.signal("TERM");
    hub.error_line("its totals", |line| line.contains(&format!("{} messages in", UPDATES + 1)));
    assert!(hub.ended().success());
}

/// Receives until `last`, without keeping what came.
fn receive_until_all(app: &App, mut last: impl FnMut(&State) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let state = app.recv(Some(left)).unwrap_or_else(|error| panic!("{}: {error}", app.identity()));
        if last(&state) {
            return;
        }
    }
}

// Addresses.

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        // A port that no other program gets while it is free.
        let (first, url) = hub(&transport.free(&dir));
        let second = Hub::new().unwrap();
        let error = second.listen(&url).unwrap_err();
        assert_eq!(error.status(), Status::InUse, "{error}");
        assert!(error.to_string().contains(&url), "{error}");
        assert_eq!(second.address(0), None);
        let mut cli = Cli::run(&["hub", "--listen", &url]);
        assert_eq!(cli.ended().code(), Some(1));
        cli.error_line("which address", |line| line.contains(&url));
        // The one that was there first goes on, and so does the other elsewhere.
        let (a, b) = (app("a", &url), app("b", &url));
        send(&a, "still", "works");
        receive(&b, "a", "still");
        drop(first);
        second.listen(&url).unwrap();
        assert_eq!(second.address(0).as_deref(), Some(&url[..]));
    }
}

#[test]
fn what_is_no_socket_is_not_replaced_by_one() {
    let dir = TempDir::new();
    let path = dir.path().join("precious");
    fs::write(&path, "data").unwrap();
    let hub = Hub::new().unwrap();
    let url = format!("ipc://{}", path.display());
    let error = hub.listen(&url).unwrap_err();
    assert!(error.to_string().contains(&url), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");

    let url = format!("ipc://{}/no/such/directory.sock", dir.path().display());
    let error = hub.listen(&url).unwrap_err();
    assert_eq!(error.status(), Status::NotFound, "{error}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[test]
fn a_bad_url_is_an_error_that_names_it_for_hubs_and_apps() {
    let long = format!("ipc:///{}", "x".repeat(200));
    let bad = [
        "",
        "tcp",
        "tcp:",
        "tcp://",
        "tcp://:",
        "tcp://localhost",
        "tcp://localhost:",
        "tcp://localhost:http",
        "tcp://localhost:65536",
        "tcp://localhost:-1",
        "tcp://localhost:+80",
        "tcp://localhost:80/path",
        "tcp://[::1",
        "tcp://[::1]",
        "tcp://::1:80",
        "tcp:/localhost:80",
        "localhost:80",
        "//localhost:80",
        "ipc://",
        "ipc:",
        "inproc://",
        "nonsense://localhost:80",
        &long,
    ];
    let (hub, app) = (Hub::new().unwrap(), App::new("app").unwrap());
    for url in bad {
        for (what, result) in [("listen", hub.listen(url)), ("connect", app.connect(Some(url)))] {
            let error = result.err().unwrap_or_else(|| panic!("{what} takes {url:?}"));
            let expected = [Status::Url, Status::Unsupported];
            assert!(expected.contains(&error.status()), "{what} {url:?}: {error}");
            assert!(error.to_string().contains(url), "{what} {url:?}: {error}");
        }
    }
    assert_eq!(hub.address(0), None);
    for arguments in [["hub", "--listen", "tcp://localhost"], ["watch", "--connect", "nonsense://x"]] {
        let mut cli = Cli::run(&arguments);
        assert!(!cli.ended().success());
        cli.error_line("the URL", |line| line.contains(arguments[2]));
    }
    // None of it harmed any other peer.
    let dir = TempDir::new();
    hub.listen(&dir.ipc()).unwrap();
    app.connect(Some(&hub.address(0).unwrap())).unwrap();
    app.wait_connected(Some(PATIENCE)).unwrap();
}

// Sizes.

#[test]
fn sixteen_mebibytes_cross_and_one_byte_more_fails_at_its_send() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let (sender, receiver) = (app("app", &url), app("receiver", &url));
        let size = largest_text(limits::MAX_MESSAGE);
        let text = "é".repeat(size / 2) + &"x".repeat(size % 2);
        send(&sender, "big", &text);
        assert!(receive(&receiver, "app", "big").text().unwrap() == text, "not the same text");

        let error = sender.send("big", Value::Text(&(text + "x"))).unwrap_err();
        assert_eq!(error.status(), Status::TooLarge, "{error}");
        for part in ["big", &limits::MAX_MESSAGE.to_string()] {
            assert!(error.to_string().contains(part), "{error}");
        }
        send(&sender, "after", "it");
        let got = receive_until(&receiver, "what came after", |state| state.name() == "after");
        assert_eq!(got.len(), 1);
        assert_eq!((hub.stats().too_large, hub.stats().peers), (0, 2));

        let mut c_app = c_app(&url, "appc");
        let mut from = 0;
        c_app.tell(&format!("fill big {size}"));
        let answer = c_app.line_from(&mut from, "an answer", |line| line.starts_with("error") || line == "done");
        assert!(answer.starts_with("error -16 "), "{answer}");
        c_app.tell(&format!("fill big {}", size - 1));
        done(&c_app, &mut from, 1);
        assert_eq!(text_len(&receive(&receiver, "appc", "big")), size - 1);
    }
}

#[test]
fn a_frame_of_one_byte_too_many_is_counted_and_skipped() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let receiver = app("receiver", &url);
        for (n, old) in [false, true].into_iter().enumerate() {
            let mut raw = if old { Raw::old(&url, "app") } else { Raw::v1(&url, "app") };
            let size = largest_text(limits::MAX_MESSAGE);
            raw.send("big", Value::Text(&"x".repeat(size)));
            assert_eq!(text_len(&receive(&receiver, "app", "big")), size);
            raw.send("big", Value::Text(&"y".repeat(size + 1)));
            raw.send("after", Value::Text("it"));
            let got = receive_until(&receiver, "what came after", |state| state.name() == "after");
            assert_eq!(got.len(), 1, "{:?}", got.iter().map(key).collect::<Vec<_>>());
            assert_eq!(hub.stats().too_large, n as u64 + 1);
            drop(raw);
            until("it left", || hub.stats().peers == 1);
        }
    }
}

#[test]
fn a_hubs_own_limit_fails_a_too_large_state_at_its_send() {
    let dir = TempDir::new();
    let hub = Hub::new().unwrap();
    hub.set(HubOption::MaxMessage, 1000).unwrap();
    hub.listen(&dir.ipc()).unwrap();
    let url = hub.address(0).unwrap();
    let (sender, receiver) = (app("app", &url), app("receiver", &url));
    // The head of so short a text is two bytes shorter.
    let size = largest_text(1000) + 2;
    send(&sender, "big", &"x".repeat(size));
    assert_eq!(text_len(&receive(&receiver, "app", "big")), size);
    let error = sender.send("big", Value::Text(&"x".repeat(size + 1))).unwrap_err();
    assert_eq!(error.status(), Status::TooLarge, "{error}");
    assert!(error.to_string().contains("1000"), "{error}");
}

#[test]
fn a_mebibyte_reaches_a_stock_nanomsg_and_one_byte_more_is_withheld() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let (sender, witness) = (app("app", &url), app("witness", &url));
        let old = Process::run(&peer_program("nn_bus", "-lnanomsg"), [&url[..], "old"]);
        until("it joins", || hub.stats().old_peers == 1);
        let size = largest_text(limits::LEGACY_MAX);
        send(&sender, "big", &"x".repeat(size));
        let whole = format!("\tapp\tbig\ttext\t{}", "x".repeat(size));
        old.line("the whole mebibyte", |line| line.ends_with(&whole));
        send(&sender, "big", &"y".repeat(size + 1));
        send(&sender, "after", "it");
        old.line("what came after", |line| line.ends_with("\tapp\tafter\ttext\tit"));
        assert_eq!(old.printed(), 2);
        let stats = hub.stats();
        assert_eq!((stats.withheld, stats.old_peers, stats.joined), (1, 1, 3), "it was never closed");
        // Our own got both.
        let got = receive_until(&witness, "what came after", |state| state.name() == "after");
        assert_eq!(text_len(&got[got.len() - 2]), size + 1);
    }
}

#[test]
fn an_old_hub_is_sent_a_mebibyte_and_one_byte_more_fails_at_its_send() {
    let dir = TempDir::new();
    let url = Transport::Tcp.free(&dir);
    let plain_hub = Process::run(&peer_program("nn_hub", "-lnanomsg"), [&url]);
    plain_hub.line("that it listens", |line| line == "listening");
    let sender = app("app", &url);
    let size = largest_text(limits::LEGACY_MAX);
    send(&sender, "big", &"x".repeat(size));
    let whole = format!("\tapp\tbig\ttext\t{}", "x".repeat(size));
    plain_hub.line("the whole mebibyte", |line| line.ends_with(&whole));
    let error = sender.send("big", Value::Text(&"y".repeat(size + 1))).unwrap_err();
    assert_eq!(error.status(), Status::TooLarge, "{error}");
    send(&sender, "after", "it");
    plain_hub.line("what came after", |line| line.ends_with("\tapp\tafter\ttext\tit"));
}

// Numbers.

#[test]
fn five_hundred_apps_on_one_hub_all_hear_each_other() {
    const APPS: usize = 500;
    let dir = TempDir::new();
    let (hub, url) = hub(&dir.ipc());
    let mut many = Process::run(&c_program("many"), [&url[..], &APPS.to_string()]);
    many.line("that all heard all", |line| line == "all here");
    assert_eq!(hub.stats().peers, APPS as u64);
    let go = app("go", &url);
    let heard: usize = (0..APPS).map(|_| usize::from(support::next(&go).kind() == Kind::Int)).sum();
    assert_eq!(heard, APPS);
    send(&go, "go", "");
    many.line("that all went", |line| line == "all went");
    assert!(many.ended().success(), "{}", many.words());
    until("all left", || hub.stats().peers == 1);
}

const BURST: &str = "200000";

/// A burst from one C program through a hub to another, each a process of its own.
fn burst(transport: Transport, names: &str) {
    let dir = TempDir::new();
    let (_hub, urls) = Cli::hub(&[&transport.any(&dir)]);
    let program = c_program("burst");
    let mut receiver = Process::run(&program, [names, "recv", &urls[0], BURST]);
    receiver.line("that it is ready", |line| line == "ready");
    let mut sender = Process::run(&program, [names, "send", &urls[0], BURST]);
    let whole = receiver.line("that all came", |line| line.starts_with("whole"));
    if names == "distinct" {
        assert_eq!(whole, format!("whole {BURST}"));
    }
    sender.line("that the hub has it", |line| line == "sent");
    assert!(sender.ended().success(), "{}", sender.words());
    assert!(receiver.ended().success(), "{}", receiver.words());
}

#[test]
fn a_burst_of_two_hundred_thousand_names_arrives_whole_over_tcp() {
    burst(Transport::Tcp, "distinct");
}

#[test]
fn a_burst_of_two_hundred_thousand_names_arrives_whole_over_ipc() {
    burst(Transport::Ipc, "distinct");
}

#[test]
fn the_last_of_a_burst_under_one_name_arrives_over_tcp() {
    for _ in 0..5 {
        burst(Transport::Tcp, "one");
    }
}

#[test]
fn the_last_of_a_burst_under_one_name_arrives_over_ipc() {
    for _ in 0..5 {
        burst(Transport::Ipc, "one");
    }
}
