//! What strangers may send: bodies, streams, whole conversations with a hub and with an app.
//!
//! Each target runs a bounded number of inputs, each made from its seed. `NANOSTATE_FUZZ_RUNS` and
//! `NANOSTATE_FUZZ_SEED` say how many and from which seed on; a failure names the seed that shows it again.

#[path = "../fuzz/src/lib.rs"]
mod checks;
mod sim;

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::mem;

use checks::{FORMS, FRAMINGS};
use nanostate::engine::app::{LinkState, Session};
use nanostate::engine::gateway::{self, GatewayEvent};
use nanostate::engine::hub::queries::{self, Query};
use nanostate::engine::hub::{PeerEvent, PeerStats, Router, RouterConfig, RouterEvent};
use nanostate::engine::table::Entry;
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Gateway, Now, Protocol, Role};
use nanostate::framing::{
    frame_head, gateway_header, header, parse_gateway_header, parse_header, Decoder, Frame, Framing, Version,
    HEADER_LEN,
};
use nanostate::limits;
use nanostate::wire::{self, Control, Form, HelloFlags, Meta, Secret, Stamp};
use nanostate::{Kind, Status, Value};
use sim::chaos::{self, Chaos};
use sim::{body, each_seed, note, value, Rng, MS, SEC};

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
        flags: if rng.one_in(8) { rng.any() as u32 } else { 0 },
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
            let time = rng.one_in(2).then(|| rng.any() >> rng.below(64));
            let control = match rng.below(8) {
                0 => {
                    let secret = rng.one_in(2).then(|| Secret(rng.instance().0));
                    let (epoch, accept) = (rng.any(), rng.any() as u32);
                    Control::Hello { instance, epoch, accept, flags: HelloFlags(15), time, secret }
                }
                1 => Control::Welcome { instance, max_message: rng.any(), wall: rng.any(), time },
                2 => Control::Refuse { status: rng.any() as i32, text: "why" },
                3 => Control::Ping { token: rng.any() },
                4 => Control::Pong { token: rng.any(), time },
                5 => Control::Accept { mask: rng.any() as u32 },
                6 => Control::Rejected { status: rng.any() as i32, name: "n" },
                _ => Control::Stale {
                    name: "n",
                    offered: stamp,
                    held: time.map(|clock| Stamp { clock, ..stamp }),
                    time: rng.any(),
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
        router.capacity_mut().bytes = TABLE;
        router.capacity_mut().states = 40;
        let mut now = Now { mono: SEC, wall: 1_800_000_000_000, boot: 500 * SEC };
        let (mut conns, mut next) = (Vec::new(), 0);
        for _ in 0..200 {
            now.mono += rng.below(200 * MS);
            now.wall = (now.wall + rng.below(400)).saturating_sub(rng.below(300));
            now.boot += rng.below(400_000_000);
            match rng.below(12) {
                0 => {
                    next += 1;
                    let conn = ConnId(next);
                    let framing = rng.pick(&FRAMINGS);
                    let gateway = (framing.has_header() && rng.one_in(2))
                        .then(|| Gateway { role: rng.pick(&Role::ALL), structured: rng.one_in(2) });
                    let info = ConnInfo { framing, from: "a stranger".into(), gateway };
                    conns.push(conn);
                    router.opened(now, conn, info, None);
                    let first = match gateway {
                        Some(gateway) => client_header(&mut rng, gateway.role).to_vec(),
                        None => chaos::attackers_header(&mut rng, framing).0,
                    };
                    router.bytes(now, conn, &first);
                }
                1 if !conns.is_empty() => {
                    let conn = conns.swap_remove(rng.index(conns.len()));
                    router.closed(now, conn, Closed::ByPeer);
                }
                2 if router.is_due(now) => router.tick(now),
                _ if !conns.is_empty() => {
                    let conn = rng.pick(&conns);
                    let (framing, v1) = (rng.pick(&FRAMINGS), rng.one_in(2));
                    let mut bytes = Vec::new();
                    for _ in 0..rng.below(6) {
                        if rng.one_in(3) {
                            let message = [any_trace(&mut rng), any_request(&mut rng)].concat();
                            bytes.extend_from_slice(&frame_head(framing, message.len()));
                            bytes.extend(message);
                        } else {
                            bytes.extend(chaos::attack(&mut rng, framing, v1));
                        }
                    }
                    let mut rest = &bytes[..];
                    while !rest.is_empty() && conns.contains(&conn) && router.reads(conn) {
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
            for peer in router.peer_stats() {
                assert!(peer.outbox_bytes as usize <= 2 * OUTBOX + 8000 + 4096, "{} bytes wait", peer.outbox_bytes);
            }
            assert!(router.peer_stats().count() <= 6);
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
        assert_eq!(router.deadline(), None);
    });
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
        4 => array(&["peers"]),
        5 => {
            let (verb, argument) = (text(rng, 8), text(rng, 1100));
            let parts = [rng.pick(&["get", "list", "peers", &verb]), rng.pick(&[name, &argument]), "more"];
            array(&parts[..rng.index(parts.len() + 1)])
        }
        6 => any_body(rng, Form::Old),
        7 => any_value(rng, 0),
        _ => {
            let (kind, number, size) = (rng.pick(Kind::ALL), rng.any() >> rng.below(64), rng.length(9000));
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

/// What a gateway may tell, and things that none does.
fn any_note(rng: &mut Rng) -> Vec<u8> {
    let mut note = match rng.below(10) {
        0 | 1 => {
            let (clients, dropped) = (rng.length(3) as u32, rng.length(1 << 20) as u64);
            gateway::GatewayStatus { clients, dropped, again: rng.one_in(2) }.encode().to_vec()
        }
        2 => {
            let len = rng.length(300);
            rng.bytes(len)
        }
        3 => {
            let (len, mut note) = (rng.length(255), Vec::new());
            assert!(gateway::too_large(&rng.bytes(len), rng.any(), &mut note));
            note
        }
        _ => {
            let len = if rng.one_in(4) { rng.index(256) } else { rng.index(10) };
            let (route, request) = (rng.bytes(len), any_request(rng));
            note(&route, &request)
        }
    };
    if rng.one_in(8) && !note.is_empty() {
        let at = rng.index(note.len());
        match rng.below(3) {
            0 => note[at] = rng.any() as u8,
            1 => note.truncate(at),
            _ => note.push(rng.any() as u8),
        }
    }
    match GatewayEvent::decode(&note) {
        // Nothing has dropped so many, and the sum is counted.
        Some(GatewayEvent::Status(status)) if status.dropped > 1 << 32 => Vec::new(),
        _ => note,
    }
}

/// A gateway, or a client of one with a connection of its own, and what a hub owes it.
struct Door {
    conn: ConnId,
    gateway: Gateway,
    /// That of a client has a header, a gateway speaks in notes.
    framing: Framing,
    /// What it is going to send: a client the header first.
    unsent: Vec<u8>,
    /// Whether it takes part, and how much of the hub's header it has not got.
    joined: bool,
    header: usize,
    /// Bodies that the hub is to count, in all that it sends.
    published: u64,
    /// What it said last.
    status: gateway::GatewayStatus,
    /// The routes of what is not answered yet.
    routes: VecDeque<Vec<u8>>,
    /// The beginning of a frame.
    out: Vec<u8>,
    frames: u64,
    /// Of each key the data that came since a client asked for everything; none if nobody did.
    newest: Option<BTreeMap<(String, String), Vec<u8>>>,
    /// The frame in `out` began before that.
    began_before: bool,
}

impl Door {
    fn new(conn: ConnId, gateway: Gateway, framing: Framing) -> Door {
        let native = framing.has_header();
        let unsent = if native { gateway_header(gateway.role.hears()).to_vec() } else { Vec::new() };
        Door {
            conn,
            gateway,
            framing,
            joined: !native,
            header: unsent.len(),
            unsent,
            published: 0,
            status: gateway::GatewayStatus::default(),
            routes: VecDeque::new(),
            out: Vec::new(),
            frames: 0,
            newest: (native && gateway.role == Role::Pub).then(BTreeMap::new),
            began_before: false,
        }
    }

    fn from(conn: ConnId) -> String {
        format!("gateway {}", conn.0)
    }

    fn is_native(&self) -> bool {
        self.framing.has_header()
    }

    /// One more message or note, where frames of at most `max` bytes are taken.
    fn says(&mut self, rng: &mut Rng, max: usize) {
        let frame = match (self.is_native(), self.gateway.role.answers()) {
            (false, _) => any_note(rng),
            (true, true) => [any_trace(rng), any_request(rng)].concat(),
            (true, false) => any_request(rng),
        };
        self.published += u64::from(if self.is_native() { self.asks(&frame, max) } else { self.tells(&frame, max) });
        self.unsent.extend_from_slice(&frame_head(self.framing, frame.len()));
        self.unsent.extend(frame);
    }

    /// It sends what it has to, a client perhaps not all of it, as long as the hub reads.
    fn writes(&mut self, router: &mut Router, now: Now, rng: &mut Rng) {
        while !self.unsent.is_empty() && router.reads(self.conn) && !(self.is_native() && rng.one_in(8)) {
            let most = if rng.one_in(2) { self.unsent.len() } else { 1 + rng.index(self.unsent.len()) };
            let piece: Vec<u8> = self.unsent.drain(..most).collect();
            router.bytes(now, self.conn, &piece);
        }
    }

    /// It sends this message. Whether the hub is to count a body.
    fn asks(&mut self, message: &[u8], max: usize) -> bool {
        if message.len() > max {
            return true;
        }
        match (self.gateway.role, trace_len(message)) {
            (Role::Pub, _) => false,
            (Role::Pull, _) | (Role::Rep | Role::Respondent, None) => true,
            (role, Some(len)) => {
                let (trace, asks) = message.split_at(len);
                self.routes.push_back(trace.to_vec());
                role == Role::Rep && queries::parse(asks) == Ok(Query::Publish)
            }
        }
    }

    fn listens(&self) -> bool {
        self.gateway.role == Role::Pub && self.status.clients > 0
    }

    /// It tells this, where frames of at most `max` bytes are taken. Whether the hub is to count a body.
    fn tells(&mut self, frame: &[u8], max: usize) -> bool {
        if frame.len() > max {
            return true;
        }
        match (self.gateway.role, GatewayEvent::decode(frame)) {
            (_, Some(GatewayEvent::Status(status))) => {
                self.status = status;
                if !self.listens() {
                    self.newest = None;
                } else if status.again {
                    self.newest = Some(BTreeMap::new());
                    self.began_before = !self.out.is_empty();
                }
            }
            (Role::Pull, Some(GatewayEvent::Message { .. })) => return true,
            (role, Some(GatewayEvent::Message { route, message })) if role.answers() => {
                self.routes.push_back(route.to_vec());
                return role == Role::Rep && queries::parse(message) == Ok(Query::Publish);
            }
            (role, Some(GatewayEvent::TooLarge { route, .. })) => {
                if role.answers() {
                    self.routes.push_back(route.to_vec());
                }
                return true;
            }
            _ => {}
        }
        false
    }

    /// Whether it has everything, in both directions.
    fn is_done(&self, router: &Router) -> bool {
        self.unsent.is_empty() && router.reads(self.conn)
    }

    /// The hub writes it at most `most` bytes, once. How many it wrote.
    fn reads(&mut self, router: &mut Router, now: Now, most: usize) -> usize {
        let mut slices: Vec<IoSlice> = Vec::new();
        router.gather(now, self.conn, &mut slices);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        if !bytes.is_empty() {
            router.wrote(now, self.conn, bytes.len());
            self.gets(&bytes, router.config());
        }
        bytes.len()
    }

    /// The hub has written this to it.
    fn gets(&mut self, bytes: &[u8], config: &RouterConfig) {
        let (header, bytes) = bytes.split_at(self.header.min(bytes.len()));
        assert!(gateway_header(self.gateway.role.speaks())[HEADER_LEN - self.header..].starts_with(header));
        self.header -= header.len();
        self.out.extend_from_slice(bytes);
        let native = self.is_native();
        let (mut rest, mut decoder) = (&self.out[..], Decoder::new(self.framing, usize::MAX));
        let mut begun = 0;
        while let Ok(Some(Frame::Body(frame))) = decoder.next(&mut rest) {
            begun = self.out.len() - rest.len();
            self.frames += 1;
            let before = mem::take(&mut self.began_before);
            if self.gateway.role.answers() {
                let route = self.routes.pop_front().expect("an answer to each request, and no more");
                let answer = if native {
                    frame.strip_prefix(&route[..]).expect("in the order of the requests")
                } else {
                    let (to, answer) = gateway::split_answer(frame).expect("an answer");
                    assert_eq!(to, route, "in the order of the requests");
                    answer
                };
                let kind = wire::check(answer).unwrap_or_else(|why| panic!("{why}: {answer:02x?}"));
                let trace = if native { route.len() } else { gateway::MAX_TRACE };
                assert!(trace + answer.len() <= config.legacy_max, "an answer of {} bytes", answer.len());
                assert!(self.gateway.role == Role::Rep || kind == Kind::Map);
                continue;
            }
            assert_eq!(self.gateway.role, Role::Pub, "only who listens is sent states");
            let nul = frame.iter().position(|&byte| byte == 0).expect("a NUL behind the name");
            let (name, bytes) = (&frame[..nul], &frame[nul + 1..]);
            let body = wire::decode(bytes, Form::Old).unwrap_or_else(|why| panic!("{why}: {frame:02x?}"));
            assert!(body.canonical && !body.is_reserved() && name == body.name.as_bytes());
            assert!(body.kind.is_plain() || self.gateway.structured || config.legacy_structured, "{:?}", body.kind);
            assert!(gateway::prefix_len(body.name) + bytes.len() <= config.legacy_max, "{} bytes", bytes.len());
            if let (Some(newest), false) = (&mut self.newest, before) {
                newest.insert((body.sender.to_owned(), body.name.to_owned()), body.data.to_vec());
            }
        }
        self.out.drain(..begun);
    }

    /// Everything was written: who asked for everything has it.
    fn check_drained(&self, router: &Router) {
        assert!(self.out.is_empty() && self.routes.is_empty(), "whole frames, and an answer to each request");
        assert!(self.header == 0 || !self.is_native(), "the hub's header");
        let Some(newest) = &self.newest else { return };
        let config = router.config();
        let allowed = |entry: &&Entry| {
            (entry.kind().is_plain() || self.gateway.structured || config.legacy_structured)
                && gateway::prefix_len(entry.name()) + entry.meta_at() <= config.legacy_max
        };
        for entry in router.table().iter().filter(allowed) {
            let got = newest.get(&(entry.sender().to_owned(), entry.name().to_owned()));
            assert_eq!(got.map(Vec::as_slice), Some(entry.data()), "{:?} of {:?}", entry.name(), entry.sender());
        }
    }
}

/// How many bodies a hub has had, taken or not.
fn bodies(router: &Router) -> u64 {
    let stats = router.stats();
    let not_taken = stats.malformed + stats.reserved + stats.foreign_sender + stats.too_large;
    stats.messages_in + stats.stale + stats.refused + not_taken
}

#[test]
fn a_hub_bears_whatever_comes_in_by_its_gateways() {
    const OUTBOX: usize = 5000;
    const TABLE: usize = 60_000;
    const MAX: usize = 8000;
    /// More than the text of a fault.
    const LEGACY_MAX: usize = 5000;
    /// Notes in one read.
    const NOTES: usize = 4;
    each_seed(1_500, 500, |seed| {
        let mut rng = Rng::new(seed);
        let config = RouterConfig {
            max_message: MAX,
            legacy_max: LEGACY_MAX,
            max_peers: 10,
            outbox: rng.pick(&[0, 300, OUTBOX]),
            echo: rng.one_in(4),
            legacy_structured: rng.one_in(4),
            legacy_snapshot: rng.one_in(2),
            // A client may be slow with the rest of its frame.
            stalled_frame: 3600 * SEC,
            ..RouterConfig::default()
        };
        let max_outbox = config.outbox;
        let max_note = config.max_gateway() + limits::META_ROOM + gateway::MAX_MESSAGE_HEAD;
        let max_message = config.max_message + limits::META_ROOM + gateway::MAX_TRACE;
        let mut router = Router::new(rng.instance(), config);
        let about = router.about_mut();
        (about.host, about.addresses) = ("host".into(), vec!["tcp://hub".into(), "ipc:///hub".into()]);
        (router.capacity_mut().bytes, router.capacity_mut().states) = (TABLE, 40);
        let mut now = Now { mono: SEC, wall: 1_800_000_000_000, boot: 500 * SEC };
        let (mut doors, mut strangers, mut next) = (Vec::<Door>::new(), Vec::new(), 0);
        // Peers that take part; what gateways dropped that are gone.
        let (mut peers, mut dropped) = (0, 0);
        // Bodies of gateways and clients that the hub has counted; of those that are gone, how many there were at most.
        let (mut counted, mut gone) = (0, 0);
        for _ in 0..200 {
            now.mono += rng.below(200 * MS);
            now.wall = (now.wall + rng.below(400)).saturating_sub(rng.below(300));
            now.boot += rng.below(400_000_000);
            match rng.below(16) {
                0 => {
                    next += 1;
                    let conn = ConnId(next);
                    let gateway = Gateway { role: rng.pick(&Role::ALL), structured: rng.one_in(2) };
                    let framing = rng.pick(&FRAMINGS);
                    doors.push(Door::new(conn, gateway, framing));
                    let from = Door::from(conn);
                    let info = ConnInfo { framing, from, gateway: Some(gateway) };
                    router.opened(now, conn, info, None);
                }
                1 => {
                    next += 1;
                    let conn = ConnId(next);
                    let framing = rng.pick(&FRAMINGS);
                    let role = rng.pick(&Role::ALL);
                    let wrong = client_header(&mut rng, role);
                    let gateway = (framing.has_header() && wrong != gateway_header(role.hears()))
                        .then_some(Gateway { role, structured: rng.one_in(2) });
                    let info = ConnInfo { framing, from: "a stranger".into(), gateway };
                    strangers.push(conn);
                    router.opened(now, conn, info, None);
                    if gateway.is_some() {
                        let state = body(Form::Old, "evil", "n0", &value(Kind::Text, 1, 5), &Meta::default());
                        let first = [&wrong[..], &frame_head(framing, state.len()), &state].concat();
                        let before = (router.stats().joined, router.stats().messages_in);
                        router.bytes(now, conn, &first);
                        assert_eq!((router.stats().joined, router.stats().messages_in), before, "it is not let in");
                    } else {
                        let (first, _) = chaos::attackers_header(&mut rng, framing);
                        router.bytes(now, conn, &first);
                    }
                }
                2 if !strangers.is_empty() => {
                    let conn = strangers.swap_remove(rng.index(strangers.len()));
                    router.closed(now, conn, Closed::ByPeer);
                }
                3 if !doors.is_empty() && rng.one_in(3) => {
                    let door = doors.swap_remove(rng.index(doors.len()));
                    gone += door.published;
                    let row = router.peer_stats().find(|row| row.from == Door::from(door.conn));
                    dropped += row.map_or(0, |row| row.dropped);
                    router.closed(now, door.conn, Closed::ByPeer);
                }
                4 if router.is_due(now) => {
                    let before = bodies(&router);
                    router.tick(now);
                    counted += bodies(&router) - before;
                }
                5 | 6 if !strangers.is_empty() => {
                    let conn = rng.pick(&strangers);
                    let (framing, v1) = (rng.pick(&FRAMINGS), rng.one_in(2));
                    let bytes = chaos::attack(&mut rng, framing, v1);
                    router.bytes(now, conn, &bytes);
                }
                _ if !doors.is_empty() => {
                    let i = rng.index(doors.len());
                    let door = &mut doors[i];
                    for _ in 0..rng.index(NOTES + 1) {
                        door.says(&mut rng, if door.is_native() { max_message } else { max_note });
                    }
                    if !router.reads(door.conn) {
                        let goes_on = router.is_due(now);
                        let takes = !door.routes.is_empty() || door.header > 0;
                        assert!(takes || goes_on, "only who has answers to take is not read");
                    }
                    let before = bodies(&router);
                    door.writes(&mut router, now, &mut rng);
                    counted += bodies(&router) - before;
                }
                _ => {}
            }
            while let Some(action) = router.next_action() {
                if let Action::Close(conn) = action {
                    strangers.retain(|&other| other != conn);
                    gone += doors.iter().find(|door| door.conn == conn).map_or(0, |door| door.published);
                    doors.retain(|door| door.conn != conn);
                }
            }
            while let Some(event) = router.next_event() {
                match event {
                    RouterEvent::Peer { event: PeerEvent::Joined, from, .. } => {
                        peers += 1;
                        let joined = doors.iter_mut().find(|door| Door::from(door.conn) == from);
                        joined.into_iter().for_each(|door| door.joined = true);
                    }
                    RouterEvent::Peer { event: PeerEvent::Left, .. } => peers -= 1,
                    RouterEvent::Peer { from, why, .. } => {
                        assert!(
                            matches!(why, Status::Full | Status::Timeout | Status::Closed) || from == "a stranger",
                            "{from}: {why:?}"
                        );
                    }
                    RouterEvent::Warning(text) => assert!(!text.contains(char::is_control), "{text:?}"),
                    RouterEvent::NoMemory(text) => panic!("{text}"),
                    RouterEvent::Info(_) => {}
                }
            }
            for door in &mut doors {
                let most = rng.pick(&[0, 0, 1, 100, 3000, usize::MAX]);
                door.reads(&mut router, now, most);
            }
            for &conn in &strangers {
                let mut slices: Vec<IoSlice> = Vec::new();
                router.gather(now, conn, &mut slices);
                let n = slices.iter().map(|slice| slice.len()).sum::<usize>().min(rng.pick(&[0, 1, 3000]));
                if n > 0 {
                    router.wrote(now, conn, n);
                }
            }
            let rows: Vec<_> = router.peer_stats().collect();
            let stats = router.stats();
            assert!(rows.len() as u64 == stats.peers && stats.peers == peers && peers <= 10);
            assert_eq!(stats.malformed, stats.malformed_by.iter().sum::<u64>());
            let sum = |of: fn(&PeerStats) -> u64| rows.iter().map(of).sum::<u64>();
            assert_eq!(stats.dropped, dropped + sum(|row| row.dropped));
            assert!(sum(|row| row.messages_in) <= stats.messages_in && sum(|row| row.withheld) <= stats.withheld);
            assert!(sum(|row| row.messages_out) <= stats.messages_out && sum(|row| row.bytes_out) <= stats.bytes_out);
            assert!(sum(|row| row.malformed) <= stats.malformed && sum(|row| row.too_large) <= stats.too_large);
            for row in &rows {
                // What came in one read of an app, behind what may wait.
                assert!(row.outbox_bytes as usize <= OUTBOX + 4 * (LEGACY_MAX + 300), "{row:?}");
            }
            for door in doors.iter().filter(|door| door.joined) {
                let row = rows.iter().find(|row| row.from == Door::from(door.conn)).expect("it takes part");
                assert!(row.old && row.identity.is_empty());
                assert!(row.outbox_bytes as usize <= max_outbox + LEGACY_MAX + 300, "one answer or state: {row:?}");
                if door.is_done(&router) {
                    assert_eq!((row.clients, row.dropped), (door.status.clients.into(), door.status.dropped));
                }
                let is_pub = door.gateway.role == Role::Pub;
                assert!(if is_pub { row.messages_out >= door.frames } else { row.messages_out == 0 });
                assert!(is_pub || (row.live && row.withheld == 0 && row.conflated == 0));
                assert!(!is_pub || row.messages_in == 0);
            }
            let table = router.table();
            assert!(table.bytes() <= TABLE && table.len() <= 40);
            for entry in table.iter() {
                let body = wire::decode(entry.bytes(), Form::V1).expect("the table holds valid bodies");
                assert_eq!((body.sender, body.name, body.kind), (entry.sender(), entry.name(), entry.kind()));
            }
        }
        // Everything is said and answered.
        for turn in 0.. {
            assert!(turn < 100_000, "it comes to an end");
            let before = bodies(&router);
            for door in &mut doors {
                door.writes(&mut router, now, &mut rng);
                while door.reads(&mut router, now, usize::MAX) > 0 {}
            }
            let goes_on = router.is_due(now);
            if goes_on {
                router.tick(now);
            }
            counted += bodies(&router) - before;
            let mut closed = Vec::new();
            while let Some(action) = router.next_action() {
                closed.extend(matches!(action, Action::Close(_)).then_some(action));
            }
            let is_closed = |door: &Door| closed.contains(&Action::Close(door.conn));
            gone += doors.iter().filter(|door| is_closed(door)).map(|door| door.published).sum::<u64>();
            doors.retain(|door| !is_closed(door));
            if !goes_on && doors.iter().all(|door| door.is_done(&router)) {
                break;
            }
        }
        for door in &mut doors {
            while door.reads(&mut router, now, usize::MAX) > 0 {}
            door.check_drained(&router);
        }
        let published = doors.iter().map(|door| door.published).sum::<u64>();
        assert!((published..=published + gone).contains(&counted), "each body counts once: {counted} of {published}");
        for conn in doors.iter().map(|door| door.conn).chain(strangers) {
            router.closed(now, conn, Closed::ByPeer);
        }
        while router.next_action().is_some() {}
        now.mono += 25 * 3600 * SEC;
        router.tick(now);
        let stats = router.stats();
        assert_eq!((stats.peers, stats.states, stats.table_bytes, stats.unfinished_bytes), (0, 0, 0, 0));
        assert_eq!(router.deadline(), None);
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
        let mut now = Now { mono: SEC, wall: 1_800_000_000_000, boot: 500 * SEC };
        let (mut conns, mut dials, mut next) = (Vec::new(), Vec::new(), 0);
        let mut framing = Framing::Tcp;
        for step in 0..150 {
            now.mono += rng.below(300 * MS);
            now.wall = (now.wall + rng.below(400)).saturating_sub(rng.below(300));
            now.boot += rng.below(400_000_000);
            turn(&mut app, now, &mut conns, &mut dials, usize::MAX);
            if let Some(token) = dials.pop() {
                next += 1;
                framing = rng.pick(&FRAMINGS);
                let info = ConnInfo { framing, from: "a hub".into(), gateway: None };
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
                    Control::Welcome { instance: rng.instance(), max_message, wall: now.wall, time: None }
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
            if app.is_due(now) {
                app.tick(now);
            }
            if rng.one_in(10) {
                app.disconnect();
                dials.clear();
            }
            if matches!(app.link(), LinkState::Refused | LinkState::Idle) {
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
