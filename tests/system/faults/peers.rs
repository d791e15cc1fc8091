//! Peers that end, or stop in the middle.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use nanostate::framing::{self, Version};
use nanostate::{limits, App, Hub, HubOption, State, Value};

use super::{c_app, done, largest_text, text_len, MIB};
use crate::support::{
    self, app, hub, key, receive, receive_until, send, until, waiting, Cli, Raw, TempDir, PATIENCE, TRANSPORTS,
};

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
