//! What a hub does costs what is due, also under attack.
//!
//! For each row of `benches/hostile` there is a test that plays it without sockets, threads or time, and counts: a
//! [`Storm`] has the attackers, and an honest pair beside them.

mod connections;
mod floods;
mod pages;
mod readers;
mod requests;
mod senders;
mod storm;

use std::collections::BTreeSet;
use std::time::Duration;

use self::storm::{Storm, CALL, READ};
use super::*;
use crate::framing::http::client::Request;
use crate::framing::http::PROTOCOL;
use crate::framing::ws::{self, Masks};
use crate::framing::{frame_head, header, Framing, Version};
use crate::time::LogicalTime;
use crate::wire::{self, Features, Form, HelloFlags, Kind, Meta, Stamp, Value};

fn open(router: &mut Router, now: Now, conn: ConnId) {
    let info = ConnInfo { framing: Framing::Tcp, from: String::new(), host: None, gateway: None, web: None };
    router.opened(now, conn, info, None);
}

fn act(router: &mut Router) -> Vec<Action> {
    let actions = std::iter::from_fn(|| router.next_action()).collect();
    while router.next_event().is_some() {}
    actions
}

/// A frame of TCP.
fn frame(body: &[u8]) -> Vec<u8> {
    [&frame_head(Framing::Tcp, body.len())[..], body].concat()
}

/// The frame of a control message that an app sends.
fn control(conn: u64, control: &Control<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    control.encode(&format!("app{conn}"), &mut body);
    frame(&body)
}

/// The hello of an app.
fn hello(conn: u64, identity: &str, accept: u32) -> Vec<u8> {
    let (instance, flags) = (instance(conn), HelloFlags(0));
    let hello = Control::Hello {
        instance,
        epoch: 1,
        accept,
        flags,
        time: None,
        secret: None,
        token: None,
        features: Features::NONE,
    };
    let mut body = Vec::new();
    hello.encode(identity, &mut body);
    frame(&body)
}

fn instance(conn: u64) -> Instance {
    Instance((u128::from(conn) << 64 | 1).to_be_bytes())
}

/// An app joins.
fn join(router: &mut Router, now: Now, conn: u64, accept: u32) {
    open(router, now, ConnId(conn));
    router.bytes(now, ConnId(conn), &header(Version::V1));
    router.bytes(now, ConnId(conn), &hello(conn, &format!("app{conn}"), accept));
}

/// The frame of a state of this app, of the logical time `n`.
fn value(conn: u64, name: &str, value: &Value<'_>, n: u64) -> Vec<u8> {
    let stamp = Stamp { clock: LogicalTime::from_bits(n), instance: instance(conn) };
    let (mut data, mut body) = (Vec::new(), Vec::new());
    value.encode(&mut data);
    wire::encode(
        &mut body,
        Form::V1,
        &format!("app{conn}"),
        name,
        &data,
        &Meta { stamp: Some(stamp), ..Meta::default() },
    );
    frame(&body)
}

/// The frame of a state of this app, under a name of its own.
fn state(conn: u64, n: u64) -> Vec<u8> {
    value(conn, &n.to_string(), &Value::Bool(true), n)
}

/// The frame of a state of an old program.
fn old(sender: &str, name: &str, value: &Value<'_>) -> Vec<u8> {
    let (mut data, mut body) = (Vec::new(), Vec::new());
    value.encode(&mut data);
    wire::encode(&mut body, Form::Old, sender, name, &data, &Meta::default());
    frame(&body)
}

/// An app joins, and the table is filled with so many of its states.
fn fill(storm: &mut Storm, states: u64, text: &str) {
    storm.join(10, 0);
    let frames = (1..=states).map(|n| value(10, &format!("filled/{n}"), &Value::Text(text), n));
    batch(frames).for_each(|input| assert!(storm.bytes(10, &input)));
    storm.settle();
    assert_eq!(storm.router.table().len() as u64, states);
}

/// A state of each of so many senders, all of one name, in what is read together.
fn of_senders(senders: u64) -> impl Iterator<Item = Vec<u8>> {
    batch((0..senders).map(|n| old(&format!("sender-{n}"), "same", &Value::Text("x"))))
}

/// The frame of a request of a client of a gateway.
fn request(words: &[&str]) -> Vec<u8> {
    let mut body = vec![0x80, 0, 0, 1, 0x90 | words.len() as u8];
    words.iter().for_each(|word| Value::Text(word).encode(&mut body));
    frame(&body)
}

/// As many frames as are read together, or fewer if there are no more.
fn batch(frames: impl Iterator<Item = Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    let mut frames = frames.peekable();
    std::iter::from_fn(move || {
        let mut batch = frames.next()?;
        while let Some(more) = frames.next_if(|next| batch.len() + next.len() <= READ) {
            batch.extend(more);
        }
        Some(batch)
    })
}

#[test]
fn each_row_of_the_benchmark_is_played() {
    let read = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    // The texts that stand first in calls of this function.
    let names = |source: &str, call: &str| -> BTreeSet<String> {
        let calls = source.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        calls.filter_map(|text| text.split_once('"')).map(|(name, _)| name.to_owned()).collect()
    };
    let mut rows = names(&read("benches/hostile/attacks/mod.rs"), "attack(");
    rows.retain(|row| !row.starts_with("none"));
    assert!(rows.len() >= 19, "{rows:?}");
    let files = ["connections", "floods", "pages", "readers", "requests", "senders"];
    let played = files.iter().flat_map(|file| names(&read(&format!("src/engine/hub/tests/{file}.rs")), "Storm::of("));
    assert_eq!(rows, played.collect());
}
