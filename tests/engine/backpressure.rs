//! Peers that are slower than what is sent to them: they get the newest values, in bounded memory, and are never dropped.

use std::collections::BTreeMap;

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::Protocol;
use nanostate::framing::{Decoder, Frame, Framing, HEADER_LEN};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Stamp};
use nanostate::Kind;

use crate::sim::{value, Direct, MS};

/// What a v1 receiver is given: the names, in order.
struct Reader {
    decoder: Decoder,
    header: usize,
    names: Vec<String>,
}

impl Reader {
    fn new() -> Reader {
        Reader { decoder: Decoder::new(Framing::Tcp, 1 << 20), header: HEADER_LEN, names: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        let skip = self.header.min(bytes.len());
        self.header -= skip;
        let mut input = &bytes[skip..];
        while let Some(Frame::Body(body)) = self.decoder.next(&mut input).expect("frames") {
            let name = wire::decode(body, Form::V1).expect("a body").name();
            if !name.starts_with(wire::RESERVED) {
                self.names.push(name.to_owned());
            }
        }
    }
}

#[test]
fn every_key_reaches_a_slow_receiver_once_per_walk_however_often_others_change() {
    const KEYS: usize = 3000;
    let mut hub = Direct::new(RouterConfig { outbox: 10_000, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let slow = hub.hello("slow", 2, 1, HelloFlags(0));
    for key in 0..KEYS {
        hub.publish(sender, "a", &format!("k{key}"), &value(Kind::Text, 0, 80));
    }
    let mut reader = Reader::new();
    // Of every ten keys nine change all the time, the first ones most; one never does.
    for round in 0..6000 {
        hub.pass(MS);
        for change in 0..40 {
            let key = if change % 2 == 0 { (round * 21 + change) % KEYS } else { change };
            if key % 10 != 0 {
                hub.publish(sender, "a", &format!("k{key}"), &value(Kind::Text, round as u64, 80));
            }
        }
        let bytes = hub.read(slow, 1500);
        reader.take(&bytes);
    }
    let mut last = vec![None; KEYS];
    let mut counts = vec![0; KEYS];
    for (at, name) in reader.names.iter().enumerate() {
        let key: usize = name[1..].parse().unwrap();
        counts[key] += 1;
        if let Some(before) = last[key].replace(at) {
            assert!(at - before > 0 && (key % 10 == 0 || at - before <= 2 * KEYS), "{name} waited {}", at - before);
        }
    }
    assert!(reader.names.len() > 5 * KEYS, "several walks: {}", reader.names.len());
    for (key, &count) in counts.iter().enumerate() {
        assert!(if key % 10 == 0 { count == 1 } else { count > 1 }, "k{key} came {count} times");
    }
}

#[test]
fn a_receiver_that_fell_behind_gets_the_newest_of_each_key_once_and_is_live_again() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let receiver = hub.open_v1("b", 2);
    for i in 0..1000 {
        hub.pass(MS);
        hub.publish(sender, "a", &format!("k{}", i % 50), &value(Kind::Text, i, 100));
    }
    assert!(!hub.peer(receiver).live);
    assert!(hub.peer(receiver).outbox_bytes < 2000 + 200);
    let before = hub.peer(receiver).messages_out;
    let mut newest = BTreeMap::new();
    for bytes in hub.bodies(receiver) {
        let body = wire::decode(&bytes, Form::V1).unwrap();
        newest.insert(body.name().to_owned(), body.data.to_vec());
    }
    let stats = hub.peer(receiver);
    assert!(stats.live);
    assert_eq!(stats.messages_out - before, 50, "each key once");
    assert_eq!(stats.messages_out + stats.conflated, 1000);
    for i in 950..1000 {
        assert_eq!(newest[&format!("k{}", i % 50)], value(Kind::Text, i, 100));
    }
}

#[test]
fn what_a_receiver_does_not_take_is_counted_once_also_while_it_catches_up() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let old = hub.open_old();
    hub.bodies(old);
    let sender = hub.open_v1("a", 1);
    for i in 0..600 {
        hub.pass(MS);
        let kind = if i % 3 == 0 { Kind::Int } else { Kind::Text };
        hub.publish(sender, "a", &format!("k{}", i % 60), &value(kind, i, 100));
    }
    assert!(!hub.peer(old).live);
    hub.bodies(old);
    let stats = hub.peer(old);
    assert_eq!((stats.live, stats.withheld), (true, 200));
    assert_eq!(stats.messages_out + stats.conflated + stats.withheld, 600);
    assert_eq!(hub.router.stats().withheld, 200);
}

#[test]
fn a_walk_that_takes_for_ever_keeps_little_memory_of_where_it_was() {
    // Seen from outside: a receiver that takes a byte at a time gets the newest values in the end.
    let mut hub = Direct::new(RouterConfig { outbox: 300, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let receiver = hub.hello("b", 2, 1, HelloFlags(0));
    let mut reader = Reader::new();
    for i in 0..20_000 {
        hub.pass(MS);
        hub.publish(sender, "a", &format!("k{}", i % 10), &value(Kind::Text, i, 50));
        let bytes = hub.read(receiver, 1);
        reader.take(&bytes);
    }
    let rest = hub.read(receiver, usize::MAX);
    reader.take(&rest);
    assert!(hub.peer(receiver).live);
}

#[test]
fn an_outbox_of_no_bytes_still_moves() {
    let mut hub = Direct::new(RouterConfig { outbox: 0, ..RouterConfig::default() });
    let sender = hub.open_v1("a", 1);
    let receiver = hub.open_v1("b", 2);
    for i in 0..10 {
        hub.publish(sender, "a", &format!("k{i}"), &value(Kind::Int, i, 0));
    }
    assert_eq!(hub.said(receiver).len(), 10);
}

#[test]
fn pings_of_a_peer_that_does_not_read_take_bounded_memory_and_the_last_is_answered() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let peer = hub.open_v1("a", 1);
    for token in 0..10_000 {
        hub.control(peer, "a", Control::Ping { token });
    }
    assert!(hub.peer(peer).outbox_bytes < 3000, "{} bytes wait", hub.peer(peer).outbox_bytes);
    let last = hub.bodies(peer).pop().expect("answers");
    let answer = Control::decode(&wire::decode(&last, Form::V1).unwrap()).unwrap();
    assert!(matches!(answer, Control::Pong { token: 9999, .. }), "{answer:?}");
}

#[test]
fn a_peer_that_does_not_read_its_refusals_is_not_read_and_is_told_of_each() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    hub.router.capacity_mut().states = 2;
    let peer = hub.open_v1("a", 1);
    let mut sent = 0;
    for _ in 0..5 {
        let before = sent;
        while hub.router.reads(peer) {
            hub.publish(peer, "a", &format!("k{sent}"), &value(Kind::Int, sent, 0));
            sent += 1;
            assert!(hub.peer(peer).outbox_bytes < 3000, "{} bytes wait", hub.peer(peer).outbox_bytes);
        }
        let told = hub.said(peer).iter().filter(|name| *name == "rejected").count() as u64;
        assert_eq!(told, sent - before.max(1), "all but the first found no room");
    }
    assert_eq!(hub.router.stats().refused, sent - 1);
}

#[test]
fn an_app_that_does_not_read_what_it_is_told_is_not_read() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    let stamp = |bits| Stamp { clock: LogicalTime::from_bits(bits), instance: Instance([1; 16]) };
    let long = "n".repeat(1000);
    hub.publish_at(a, "a", &long, &[1], stamp(1000));
    let mut sent = 0;
    while hub.router.reads(a) {
        hub.publish_at(a, "a", &long, &[2], stamp(sent % 999));
        sent += 1;
        assert!(sent < 1000, "{} bytes wait", hub.peer(a).outbox_bytes);
    }
    assert!(hub.peer(a).outbox_bytes < 300_000);
    assert_eq!(hub.stale(a).len(), sent as usize);
    assert!(hub.router.reads(a), "once it has read");
}
