//! What strangers may send: bodies, streams, whole conversations with a hub and with an app.
//!
//! Each target runs a bounded number of inputs, each made from its seed. `NANOSTATE_FUZZ_RUNS` and
//! `NANOSTATE_FUZZ_SEED` say how many and from which seed on; a failure names the seed that shows it again.

mod app;
#[path = "../../fuzz/src/lib.rs"]
mod checks;
mod gateways;
mod hub;
#[path = "../sim/mod.rs"]
mod sim;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use checks::{FORMS, FRAMINGS};
use nanostate::engine::app::{LinkState, Session};
use nanostate::engine::gateway;
use nanostate::engine::hub::queries::{self, Query};
use nanostate::engine::hub::{PeerEvent, PeerStats, Router, RouterConfig, RouterEvent, Tokens};
use nanostate::engine::table::Entry;
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Gateway, Now, Protocol, Role, Web};
use nanostate::framing::http::client::Request;
use nanostate::framing::http::server::{serve, Site};
use nanostate::framing::ws::{self, Masks};
use nanostate::framing::{
    frame_head, gateway_header, header, parse_gateway_header, parse_header, Decoder, Frame, Framing, Version,
    HEADER_LEN,
};
use nanostate::limits;
use nanostate::time::{LogicalTime, WallTime};
use nanostate::wire::{
    self, Control, Features, Form, HelloFlags, Hidden, HubStats, Meta, PeerState, Presence, Secret, Stamp, StatsDraft,
    WillMessage,
};
use nanostate::{Kind, Status, Value};
use sim::chaos::{self, Chaos};
use sim::{body, each_seed, value, Rng, MS, SEC};

/// A wall clock that goes on, or back.
fn jumped(wall: WallTime, rng: &mut Rng) -> WallTime {
    WallTime::from_millis((wall.as_millis() + rng.below(400)).saturating_sub(rng.below(300)))
}

/// Any text, of few different characters.
fn text(rng: &mut Rng, most: usize) -> String {
    (0..rng.length(most)).map(|_| rng.pick(&['a', '/', '$', '*', '\0', 'é', '\u{1F980}', '"'])).collect()
}

/// One value, mostly well-formed.
fn any_value(rng: &mut Rng, depth: u32) -> Vec<u8> {
    let mut out = Vec::new();
    match rng.below(if depth > 40 { 4 } else { 7 }) {
        0 => out = rng.bytes(1),
        1 => {
            let (kind, number, size) = (rng.pick(Kind::VALUES), rng.any() >> rng.below(64), rng.length(300));
            out = value(kind, number, size);
        }
        2 => wire::Value::Text(&text(rng, 40)).encode(&mut out),
        3 => {
            out.push(rng.any() as u8);
            let more = rng.length(12);
            out.extend(rng.bytes(more));
        }
        4 => {
            out.push(0x91);
            out.extend(any_value(rng, depth + 1));
        }
        5 => {
            let count = rng.below(6);
            out.push(0x90 | count as u8);
            (0..count).for_each(|_| out.extend(any_value(rng, depth + 1)));
        }
        _ => {
            let pairs = rng.below(4);
            out.push(0x80 | pairs as u8);
            (0..2 * pairs).for_each(|_| out.extend(any_value(rng, depth + 1)));
        }
    }
    out
}

/// A body, mostly valid, perhaps damaged.
fn any_body(rng: &mut Rng, form: Form) -> Vec<u8> {
    let (sender, mut name) = (text(rng, 300), text(rng, 1100));
    if rng.one_in(4) {
        let reserved = [
            "hello",
            "welcome",
            "refuse",
            "ping",
            "pong",
            "accept",
            "rejected",
            "synced",
            "subscribe",
            "unsubscribe",
            "watch",
            "presence",
            "bye",
            "will",
            "stats",
            "counted",
            "later",
        ];
        name = format!("$ns/{}", rng.pick(&reserved));
    }
    let stamp = Stamp { clock: LogicalTime::from_bits(rng.any()), instance: rng.instance() };
    let meta = Meta {
        stamp: rng.one_in(2).then_some(stamp),
        sequence: rng.one_in(4).then(|| rng.any()),
        flags: if rng.one_in(8) { rng.any() as u32 } else { 0 },
        request: rng.one_in(8).then(|| rng.any()),
        target: rng.one_in(8).then_some("target"),
        lifetime: rng.one_in(8).then(|| rng.any() >> rng.below(64)),
    };
    let mut bytes = match rng.below(10) {
        0 => {
            let len = rng.length(200);
            rng.bytes(len)
        }
        1 => {
            let mut out = Vec::new();
            let instance = rng.instance();
            let time = rng.one_in(2).then(|| LogicalTime::from_bits(rng.any() >> rng.below(64)));
            let presence = match rng.below(4) {
                0 => Presence::Begins,
                1 => Presence::Complete { young: rng.one_in(2) },
                _ => Presence::Peer { state: rng.pick(PeerState::ALL), identity: rng.pick(&["a", "b", "c"]), instance },
            };
            let will = body(Form::V1, &sender, &name, &any_value(rng, 0), &meta);
            let mut counted = StatsDraft::new(rng.one_in(2).then(HubStats::default).as_ref());
            for _ in 0..rng.below(3) {
                counted.add(&PeerStats::default(), usize::MAX);
            }
            let control = match rng.below(20) {
                0 => {
                    let secret = rng.one_in(2).then(|| Secret(rng.instance().0));
                    let (epoch, accept) = (rng.any(), rng.any() as u32);
                    let hidden = rng.one_in(2).then_some(Hidden("a-token-for-peers"));
                    Control::Hello {
                        instance,
                        epoch,
                        accept,
                        flags: HelloFlags(15),
                        time,
                        secret,
                        token: hidden,
                        features: rng.pick(&[Features::NONE, Features::ALL]),
                    }
                }
                1 => Control::Welcome {
                    instance,
                    max_message: rng.any(),
                    wall: WallTime::from_millis(rng.any()),
                    time,
                    features: rng.pick(&[Features::NONE, Features::ALL]),
                },
                2 => Control::Refuse { status: rng.any() as i32, text: "why" },
                3 => Control::Ping { token: rng.any() },
                4 => Control::Pong { token: rng.any(), time },
                5 => Control::Accept { mask: rng.any() as u32 },
                6 => Control::Synced { asks: rng.below(3) },
                7 => Control::Unsubscribe { pattern: rng.pick(&["*", "n", "**", "a**"]) },
                8 => Control::Watch,
                9 | 10 => Control::Presence(presence),
                11 if rng.one_in(4) => Control::Bye,
                11 => Control::Rejected { status: rng.any() as i32, name: "n" },
                12 => Control::Forget { token: rng.any(), sender: "s", name: "n" },
                13 => Control::Forgotten { token: rng.any(), status: rng.any() as i32, text: "why" },
                14 => Control::Will(WillMessage::Leaves(&will)),
                15 => Control::Will(rng.pick(&[WillMessage::Withdraws("n"), WillMessage::Complete])),
                17 => Control::Stats {
                    token: rng.below(3),
                    from: rng.any() >> rng.below(64),
                    most: rng.one_in(2).then(|| rng.any() >> rng.below(64)),
                },
                18 => {
                    let next = rng.one_in(2).then(|| rng.below(9));
                    Control::Counted { token: rng.below(3), next, part: counted.part() }
                }
                16 => Control::WillRejected { status: rng.any() as i32, name: "n", nth: rng.below(3) },
                _ => Control::Stale {
                    name: "n",
                    offered: stamp,
                    held: time.map(|clock| Stamp { clock, ..stamp }),
                    time: LogicalTime::from_bits(rng.any()),
                },
            };
            control.encode("s", &mut out);
            out
        }
        _ => body(form, &sender, &name, &any_value(rng, 0), &meta),
    };
    for _ in 0..rng.below(3) {
        match (rng.below(4), bytes.is_empty()) {
            (0, _) => bytes.push(rng.any() as u8),
            (_, true) => {}
            (1, _) => bytes.truncate(rng.index(bytes.len())),
            (2, _) => {
                let at = rng.index(bytes.len());
                bytes[at] = rng.any() as u8;
            }
            _ => {
                bytes.remove(rng.index(bytes.len()));
            }
        }
    }
    bytes
}

#[test]
fn any_body_gets_a_verdict_and_reads_back_as_it_was_written() {
    each_seed(200_000, 1, |seed| {
        let mut rng = Rng::new(seed);
        let form = rng.pick(&FORMS);
        let bytes = any_body(&mut rng, form);
        checks::body(&bytes);
        // Bytes and texts that are no value, either.
        checks::value(&bytes);
        checks::json(&bytes);
        checks::control(&bytes);
        checks::stream(&bytes);
    });
}

#[test]
fn a_stream_gives_the_same_bodies_however_it_is_cut() {
    const MAX: usize = 3000;
    each_seed(5_000, 20, |seed| {
        let mut rng = Rng::new(seed);
        let framing = rng.pick(&FRAMINGS);
        let mut stream = Vec::new();
        for _ in 0..rng.below(12) {
            let len = rng.length(2 * MAX);
            stream.extend(&*frame_head(framing, len));
            stream.extend(rng.bytes(len));
        }
        if rng.one_in(3) && !stream.is_empty() {
            let at = rng.index(stream.len());
            stream[at] ^= 1 << rng.below(8);
        }
        stream.truncate(stream.len() - rng.index(stream.len() / 8 + 1));
        let most = 1 + rng.length(MAX);
        checks::stream_in_pieces(framing, MAX, &stream, &mut || 1 + rng.index(most));
    });
}

/// A head of HTTP, mostly right: a request, or an answer.
fn any_head(rng: &mut Rng, is_request: bool) -> Vec<u8> {
    const FIELDS: [&str; 16] = [
        "Host: hub",
        "Host: localhost:8000",
        "Host: evil.test",
        "Upgrade: websocket",
        "Upgrade: h2c, WebSocket",
        "Connection: Upgrade",
        "Connection: keep-alive, upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: nanostate.v1",
        "Sec-WebSocket-Protocol: x, bus.sp.nanomsg.org",
        "Origin: http://localhost:8000",
        "Origin: https://example.org",
        "Origin: null",
        "Content-Length: 3",
    ];
    let first = match is_request {
        true => {
            rng.pick(&["GET /ws HTTP/1.1", "GET / HTTP/1.1", "GET /page.html HTTP/1.0", "POST /ws HTTP/1.1", "GET"])
        }
        false => {
            rng.pick(&["HTTP/1.1 101 Switching Protocols", "HTTP/1.1 403 Forbidden", "HTTP/1.0 503 No", "HTTP/2 1"])
        }
    };
    let mut head = format!("{first}\r\n");
    for field in FIELDS {
        if rng.one_in(2) {
            head += field;
            head += "\r\n";
        }
    }
    if rng.one_in(20) {
        let many = rng.length(9000);
        head += &format!("Cookie: {}\r\n", "x".repeat(many));
    }
    head += "\r\nwhat follows";
    let mut head = head.into_bytes();
    for _ in 0..rng.below(3) {
        let at = rng.index(head.len());
        match rng.below(3) {
            0 => head.truncate(at),
            1 => head[at] = rng.any() as u8,
            _ => drop(head.remove(at)),
        }
        if head.is_empty() {
            break;
        }
    }
    head
}

#[test]
fn any_head_of_http_gets_the_same_verdict_however_it_comes() {
    each_seed(20_000, 10, |seed| {
        let mut rng = Rng::new(seed);
        for is_request in [true, false] {
            let mut bytes = rng.bytes(2);
            bytes.extend(any_head(&mut rng, is_request));
            // Each is read as the other, too.
            checks::request(&bytes);
            checks::answer(&bytes);
        }
    });
}

#[test]
fn any_header_gets_a_verdict() {
    each_seed(50_000, 1, |seed| {
        let mut rng = Rng::new(seed);
        let mut bytes = header(rng.pick(&[Version::Old, Version::V1]));
        for _ in 0..rng.below(3) {
            bytes[rng.index(8)] = rng.any() as u8;
        }
        match parse_header(&bytes) {
            Ok(version) => assert!(bytes[7] > 1 || header(version) == bytes),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let role = rng.pick(&Role::ALL);
        let bytes = client_header(&mut rng, role);
        for role in Role::ALL {
            match parse_gateway_header(&bytes, role.hears()) {
                Ok(()) => assert_eq!(gateway_header(role.hears()), bytes),
                Err(error) => {
                    assert_ne!(gateway_header(role.hears()), bytes);
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    });
}

/// What a client of a gateway sends first; mostly right.
fn client_header(rng: &mut Rng, role: Role) -> [u8; HEADER_LEN] {
    let mut bytes = gateway_header(role.hears());
    match rng.below(12) {
        0 => bytes = gateway_header(rng.pick(&Role::ALL).hears()),
        1 => bytes = gateway_header(rng.pick(&Role::ALL).speaks()),
        2 => bytes = header(rng.pick(&[Version::Old, Version::V1])),
        3 => bytes[rng.index(HEADER_LEN)] = rng.any() as u8,
        _ => {}
    }
    bytes
}

/// What may stand before a question: mostly a trace, of any length.
fn any_trace(rng: &mut Rng) -> Vec<u8> {
    let steps = rng.pick(&[0, 1, 1, 1, 2, 3, 8, 9, 10]);
    let mut trace = rng.bytes(4 * steps);
    trace.iter_mut().step_by(4).for_each(|first| *first &= 0x7F);
    if let (Some(last), false) = (steps.checked_sub(1), rng.one_in(10)) {
        trace[4 * last] |= 0x80;
    }
    if rng.one_in(20) {
        trace.truncate(rng.index(trace.len() + 1));
    }
    trace
}

/// What a program may ask, mostly well-formed, of names and senders that there may be.
fn any_request(rng: &mut Rng) -> Vec<u8> {
    let name = rng.pick(&["n0", "n1", "x", "", "$ns/ping", "none"]);
    let pattern = rng.pick(&["*", "n*", "**", "*1", "x", "none/**", ""]);
    let array = |parts: &[&str]| {
        let mut out = vec![0x90 | parts.len() as u8];
        parts.iter().for_each(|part| Value::Text(part).encode(&mut out));
        out
    };
    let mut request = match rng.below(9) {
        0 | 1 => array(&["get", name]),
        2 | 3 => array(&["list", pattern]),
        4 if rng.one_in(2) => array(&["clear", "x"]),
        4 => array(&["peers"]),
        5 => {
            let (verb, argument) = (text(rng, 8), text(rng, 1100));
            let parts = [rng.pick(&["get", "list", "peers", &verb]), rng.pick(&[name, &argument]), "more"];
            array(&parts[..rng.index(parts.len() + 1)])
        }
        6 => any_body(rng, Form::Old),
        7 => any_value(rng, 0),
        _ => {
            let (kind, number, size) = (rng.pick(Kind::VALUES), rng.any() >> rng.below(64), rng.length(9000));
            body(
                Form::Old,
                rng.pick(&["app0", "app1", "evil", "script"]),
                name,
                &value(kind, number, size),
                &Meta::default(),
            )
        }
    };
    if rng.one_in(6) && !request.is_empty() {
        let at = rng.index(request.len());
        match rng.below(3) {
            0 => request[at] = rng.any() as u8,
            1 => request.truncate(at),
            _ => request.push(rng.any() as u8),
        }
    }
    request
}

/// How long the trace of a message is: up to the step whose first bit is set, which is the ninth at the latest.
fn trace_len(message: &[u8]) -> Option<usize> {
    (1..=9).map(|steps| 4 * steps).find(|&len| message.get(len - 4..len).is_some_and(|step| step[0] >= 0x80))
}

/// Takes all actions of an engine, and at most `most` bytes of what it would write.
fn turn(engine: &mut dyn Protocol, now: Now, conns: &mut Vec<ConnId>, dials: &mut Vec<u64>, most: usize) {
    while let Some(action) = engine.next_action() {
        match action {
            Action::Flush(_) => {}
            Action::Close(conn) => conns.retain(|&other| other != conn),
            Action::Dial { token, .. } => dials.push(token),
        }
    }
    for &conn in conns.iter() {
        let mut slices: Vec<IoSlice> = Vec::new();
        engine.gather(now, conn, &mut slices);
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let n = offered.min(most);
        if n > 0 {
            engine.wrote(now, conn, n);
        }
    }
}

#[test]
fn a_hub_keeps_the_promise_of_the_design() {
    each_seed(150, 1000, |seed| {
        let mut rng = Rng::new(seed);
        let deaths = rng.one_in(2);
        let hub_kills = rng.one_in(2);
        let chaos = Chaos {
            operations: 20 + rng.below(200),
            breaks: rng.one_in(2),
            hub_kills,
            store: rng.one_in(2),
            deaths,
            skew: !(deaths && hub_kills),
            old_peers: rng.below(3),
            attackers: if deaths && hub_kills { 0 } else { rng.below(3) },
        };
        chaos::run(seed, &chaos);
    });
}
