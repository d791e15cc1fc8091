//! What strangers may send: bodies, streams, whole conversations with a hub and with an app.
//!
//! Each target runs a bounded number of inputs, each made from its seed. `NANOSTATE_FUZZ_RUNS` and
//! `NANOSTATE_FUZZ_SEED` say how many and from which seed on; a failure names the seed that shows it again.

mod sim;

use std::io::IoSlice;

use nanostate::engine::router::{Router, RouterConfig};
use nanostate::engine::session::{Link, Session};
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use nanostate::framing::{frame_head, header, parse_header, Decoder, Frame, Framing, Version};
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Meta, Stamp};
use nanostate::{Kind, Value};
use sim::chaos::{self, Chaos};
use sim::{body, each_seed, value, Rng, MS, SEC};

const FORMS: [Form; 2] = [Form::Old, Form::V1];
const FRAMINGS: [Framing; 3] = [Framing::Tcp, Framing::Ipc, Framing::Inproc];

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
            let (kind, number, size) = (rng.pick(Kind::ALL), rng.any() >> rng.below(64), rng.length(300));
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
        let reserved = ["hello", "welcome", "refuse", "ping", "pong", "accept", "rejected", "later"];
        name = format!("$ns/{}", rng.pick(&reserved));
    }
    let stamp = Stamp { clock: rng.any(), instance: rng.instance() };
    let meta = Meta {
        stamp: rng.one_in(2).then_some(stamp),
        sequence: rng.one_in(4).then(|| rng.any()),
        flags: if rng.one_in(4) { rng.any() as u32 } else { 0 },
        request: rng.one_in(8).then(|| rng.any()),
        target: rng.one_in(8).then_some("target"),
    };
    let mut bytes = match rng.below(10) {
        0 => {
            let len = rng.length(200);
            rng.bytes(len)
        }
        1 => {
            let mut out = Vec::new();
            let instance = rng.instance();
            let control = match rng.below(7) {
                0 => Control::Hello { instance, epoch: rng.any(), accept: rng.any() as u32, flags: HelloFlags(7) },
                1 => Control::Welcome { instance, max_message: rng.any(), wall: rng.any() },
                2 => Control::Refuse { status: rng.any() as i32, text: "why" },
                3 => Control::Ping { token: rng.any() },
                4 => Control::Pong { token: rng.any() },
                5 => Control::Accept { mask: rng.any() as u32 },
                _ => Control::Rejected { status: rng.any() as i32, name: "n" },
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

fn check_body(bytes: &[u8], form: Form) {
    let Ok(body) = wire::decode(bytes, form) else { return };
    assert!(wire::check(body.data) == Ok(body.kind), "the data is one value");
    assert!(!body.sender.is_empty() && !body.sender.contains('\0') && !body.name.contains('\0'));
    let json = wire::from_msgpack(body.data);
    let mut again = Vec::new();
    wire::to_msgpack(&json, &mut again).unwrap_or_else(|error| panic!("JSON that reads back: {error}: {json}"));
    assert!(wire::check(&again).is_ok());
    // Written again it is the same, with what is known of its meta.
    let mut out = Vec::new();
    wire::encode(&mut out, form, body.sender, body.name, body.data, &body.meta);
    let second = wire::decode(&out, form).expect("what was written reads back");
    assert_eq!((second.sender, second.name, second.data, second.kind), (body.sender, body.name, body.data, body.kind));
    assert_eq!(second.meta, body.meta);
    assert!(second.canonical);
    if body.canonical {
        assert_eq!(&out[..second.meta_at], &bytes[..body.meta_at]);
        let old = [&[0x93], &bytes[1..body.meta_at]].concat();
        assert!(wire::decode(&old, Form::Old).is_ok(), "its old form is a slice of it");
    }
    let stamp = Stamp { clock: 77, instance: Instance([7; 16]) };
    let mut meta = Vec::new();
    wire::with_stamp(body.raw_meta, stamp, &mut meta);
    assert_eq!(Meta::decode(&meta).map(|(meta, len)| (meta.stamp, len)), Ok((Some(stamp), meta.len())));
    if let (true, Ok(control)) = (body.is_reserved(), Control::decode(&body)) {
        let mut out = Vec::new();
        control.encode(body.sender, &mut out);
        if control != Control::Unknown {
            let again = wire::decode(&out, Form::V1).expect("a body");
            assert_eq!(Control::decode(&again), Ok(control));
        }
    }
}

#[test]
fn any_body_gets_a_verdict_and_reads_back_as_it_was_written() {
    each_seed(200_000, 1, |seed| {
        let mut rng = Rng::new(seed);
        let form = rng.pick(&FORMS);
        let bytes = any_body(&mut rng, form);
        for form in FORMS {
            check_body(&bytes, form);
        }
        // Bytes and texts that are no value, either.
        let _ = wire::from_msgpack(&bytes);
        let _ = wire::to_msgpack(&String::from_utf8_lossy(&bytes), &mut Vec::new());
    });
}

#[test]
fn a_stream_gives_the_same_bodies_however_it_is_cut() {
    const MAX: usize = 3000;
    #[derive(PartialEq, Debug)]
    enum Got {
        Body(Vec<u8>),
        TooLarge(u64),
        Broken,
    }
    let run = |framing, stream: &[u8], mut piece: Box<dyn FnMut() -> usize>| {
        let (mut decoder, mut got, mut received) = (Decoder::new(framing, MAX), Vec::new(), 0);
        let mut rest = stream;
        while !rest.is_empty() {
            let (mut input, behind) = rest.split_at(piece().clamp(1, rest.len()));
            rest = behind;
            received += input.len();
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(Frame::Body(body))) => got.push(Got::Body(body.to_vec())),
                    Ok(Some(Frame::Large(body))) => got.push(Got::Body(body)),
                    Ok(Some(Frame::TooLarge(len))) => got.push(Got::TooLarge(len)),
                    Ok(None) => break,
                    Err(_) => {
                        got.push(Got::Broken);
                        return got;
                    }
                }
            }
            assert!(input.is_empty(), "everything was taken");
            assert!(decoder.allocated() <= 2 * received + 64, "{} of {received}", decoder.allocated());
            assert!(decoder.allocated() <= MAX);
        }
        got
    };
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
        let whole = run(framing, &stream, Box::new(|| usize::MAX));
        assert!(run(framing, &stream, Box::new(|| 1)) == whole, "byte by byte");
        let most = 1 + rng.length(MAX);
        let any = Box::new(move || 1 + rng.index(most));
        assert!(run(framing, &stream, any) == whole, "in pieces");
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
    });
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
fn a_hub_stays_within_its_limits_whatever_its_peers_send() {
    const OUTBOX: usize = 5000;
    const UNFINISHED: usize = 20_000;
    const TABLE: usize = 60_000;
    each_seed(1_500, 500, |seed| {
        let mut rng = Rng::new(seed);
        let config = RouterConfig {
            max_message: 8000,
            legacy_max: 3000,
            max_peers: 6,
            outbox: OUTBOX,
            unfinished: UNFINISHED,
            echo: rng.one_in(4),
            legacy_structured: rng.one_in(2),
            legacy_snapshot: rng.one_in(2),
            ..RouterConfig::default()
        };
        let mut router = Router::new(rng.instance(), config);
        router.room_mut().bytes = TABLE;
        router.room_mut().states = 40;
        let mut now = Now { mono: SEC, wall: 1_800_000_000_000 };
        let (mut conns, mut next) = (Vec::new(), 0);
        for _ in 0..200 {
            now.mono += rng.below(200 * MS);
            now.wall = (now.wall + rng.below(400)).saturating_sub(rng.below(300));
            match rng.below(12) {
                0 => {
                    next += 1;
                    let conn = ConnId(next);
                    let framing = rng.pick(&FRAMINGS);
                    let info = ConnInfo { framing, from: "a stranger".into(), local: false, dialled: false };
                    conns.push(conn);
                    router.opened(now, conn, info, None);
                    let (first, _) = chaos::attackers_header(&mut rng, framing);
                    router.bytes(now, conn, &first);
                }
                1 if !conns.is_empty() => {
                    let conn = conns.swap_remove(rng.index(conns.len()));
                    router.closed(now, conn, Closed::ByPeer);
                }
                2 if router.deadline().is_some_and(|deadline| deadline <= now.mono) => router.tick(now),
                _ if !conns.is_empty() => {
                    let conn = rng.pick(&conns);
                    let (framing, v1) = (rng.pick(&FRAMINGS), rng.one_in(2));
                    let mut bytes = Vec::new();
                    for _ in 0..rng.below(6) {
                        bytes.extend(chaos::attack(&mut rng, framing, v1));
                    }
                    let mut rest = &bytes[..];
                    while !rest.is_empty() && conns.contains(&conn) {
                        let (piece, behind) = rest.split_at(1 + rng.index(rest.len()));
                        rest = behind;
                        router.bytes(now, conn, piece);
                        turn(&mut router, now, &mut conns, &mut Vec::new(), 0);
                    }
                }
                _ => {}
            }
            let most = rng.pick(&[0, 0, 1, 100, usize::MAX]);
            turn(&mut router, now, &mut conns, &mut Vec::new(), most);
            while router.next_event().is_some() {}
            let mut i = 0;
            while let Some(peer) = router.peer_stats(i) {
                assert!(peer.outbox_bytes as usize <= 2 * OUTBOX + 8000 + 4096, "{} bytes wait", peer.outbox_bytes);
                i += 1;
            }
            assert!(i <= 6);
            let table = router.table();
            assert!(table.bytes() <= TABLE && table.len() <= 40);
            assert_eq!(table.len(), table.iter().count());
            for entry in table.iter() {
                let body = wire::decode(entry.bytes(), Form::V1).expect("the table holds valid bodies");
                assert!(body.canonical && body.meta.stamp == Some(entry.stamp()));
                assert_eq!((body.sender, body.name, body.kind), (entry.sender(), entry.name(), entry.kind()));
                assert_eq!((body.data, body.meta_at), (entry.data(), entry.meta_at()));
            }
        }
        for conn in conns {
            router.closed(now, conn, Closed::ByPeer);
        }
        while router.next_action().is_some() {}
        now.mono += 25 * 3600 * SEC;
        router.tick(now);
        let stats = router.stats();
        assert_eq!((stats.peers, stats.states, stats.table_bytes, stats.unfinished_bytes), (0, 0, 0, 0));
    });
}

#[test]
fn an_app_bears_whatever_its_hub_sends() {
    each_seed(2_000, 100, |seed| {
        let mut rng = Rng::new(seed);
        let mut app = Session::new("app0", rng.instance());
        app.config.echo = rng.one_in(4);
        app.config.shared = rng.one_in(4);
        app.inbox.set_limit(20_000);
        app.set_tells_rejects(rng.one_in(2));
        app.connect(vec!["tcp://one".into(), "tcp://two".into()]);
        let mut now = Now { mono: SEC, wall: 1_800_000_000_000 };
        let (mut conns, mut dials, mut next) = (Vec::new(), Vec::new(), 0);
        let mut framing = Framing::Tcp;
        for step in 0..150 {
            now.mono += rng.below(300 * MS);
            now.wall = (now.wall + rng.below(400)).saturating_sub(rng.below(300));
            turn(&mut app, now, &mut conns, &mut dials, usize::MAX);
            if let Some(token) = dials.pop() {
                next += 1;
                framing = rng.pick(&FRAMINGS);
                let info = ConnInfo { framing, from: "a hub".into(), local: true, dialled: true };
                conns.push(ConnId(next));
                app.opened(now, ConnId(next), info, Some(token));
                let mut first = if framing.has_header() {
                    header(rng.pick(&[Version::V1, Version::V1, Version::Old])).to_vec()
                } else {
                    Vec::new()
                };
                if rng.one_in(2) {
                    let mut welcome = Vec::new();
                    let max_message = rng.any() >> rng.below(64);
                    Control::Welcome { instance: rng.instance(), max_message, wall: now.wall }
                        .encode(wire::HUB_SENDER, &mut welcome);
                    first.extend(&*frame_head(framing, welcome.len()));
                    first.extend(welcome);
                }
                app.bytes(now, ConnId(next), &first);
            } else if let Some(&conn) = conns.last() {
                match rng.below(10) {
                    0 => {
                        conns.clear();
                        app.closed(now, conn, Closed::ByPeer);
                    }
                    1 => {
                        let (name, kind) = (format!("n{}", rng.below(3)), rng.pick(Kind::ALL));
                        let _ = app.publish(now, &name, Value::Msgpack(&value(kind, step, 10)), kind);
                        app.request_ack();
                    }
                    2 => app.set_accept(rng.any() as u32),
                    _ => {
                        let (v1, mut bytes) = (rng.one_in(2), Vec::new());
                        for _ in 0..rng.below(4) {
                            bytes.extend(chaos::attack(&mut rng, framing, v1));
                        }
                        app.bytes(now, conn, &bytes);
                    }
                }
            }
            if app.deadline().is_some_and(|deadline| deadline <= now.mono) {
                app.tick(now);
            }
            if rng.one_in(10) {
                app.disconnect();
                dials.clear();
            }
            if matches!(app.link(), Link::Refused | Link::Idle) {
                conns.clear();
                app.connect(vec!["tcp://one".into()]);
            }
            if rng.one_in(4) {
                while let Some(state) = app.inbox.pop() {
                    assert!(!state.name().starts_with(wire::RESERVED));
                    let _ = (state.text(), state.int(), state.json());
                }
            }
            while app.next_notice().is_some() {}
            while app.next_warning().is_some() {}
            assert!(app.stats().queued_bytes <= 20_000 + 21_000);
        }
    });
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
            deaths,
            skew: !(deaths && hub_kills),
            old_peers: rng.below(3),
            attackers: if deaths && hub_kills { 0 } else { rng.below(3) },
        };
        chaos::run(seed, &chaos);
    });
}
