//! What is measured: the engines and what is below them, without sockets.

use std::hint::black_box;
use std::io::IoSlice;

use nanostate::engine::app::{Found, Policy, Session};
use nanostate::engine::hub::{Router, RouterConfig};
use nanostate::engine::link::feed::Feed;
use nanostate::engine::link::outbox::Pool;
use nanostate::engine::{Action, ConnId, ConnInfo, Protocol};
use nanostate::framing::{frame_head, header, Decoder, Frame, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Stamp, Texts};
use nanostate::{limits, Kind, Value};

use crate::states::{body, bytes_value, name, Frames, FRAMING, NOW, PAYLOAD};

/// States of one round of most benchmarks, and the names that are updated.
const NAMES: u32 = 100;
/// States of one round of those that take one at a time, or large ones.
const FEW: u32 = 10;
/// Messages of one measurement: a number of whole rounds in each benchmark. Those that bring new names begin anew with
/// an empty table after so many.
pub const MEASURED: u32 = 10_000;
/// What a driver reads at once.
const READ: usize = 256 << 10;
/// About as many states as one read holds.
const FULL_READ: u32 = 2_000;
/// The sender of the states.
const SENDER: &str = "sender";
/// Its connection to a hub.
const PUBLISHER: ConnId = ConnId(1);

/// One benchmark.
pub struct Benchmark {
    /// What it is called.
    pub name: &'static str,
    /// The messages of one round.
    pub messages: u32,
    /// Makes everything ready; what it returns runs one round.
    pub start: fn() -> Round,
}

impl Benchmark {
    /// Rounds of one measurement.
    pub const fn rounds(&self) -> u32 {
        assert!(MEASURED % self.messages == 0);
        MEASURED / self.messages
    }
}

/// Runs one round.
pub type Round = Box<dyn FnMut()>;

const fn benchmark(name: &'static str, messages: u32, start: fn() -> Round) -> Benchmark {
    Benchmark { name, messages, start }
}

/// All of them.
pub const ALL: &[Benchmark] = &[
    benchmark("decode/bytes-64", NAMES, || decode(bytes_value(PAYLOAD))),
    benchmark("decode/text-1k", NAMES, || decode(text_value(1 << 10))),
    benchmark("decode/map-20", NAMES, || decode(map_value(20))),
    benchmark("frames/cut", MEASURED, cut),
    benchmark("outbox/copied", NAMES, || feed(NAMES, PAYLOAD)),
    benchmark("outbox/shared", FEW, || feed(FEW, 64 << 10)),
    benchmark("route/one-at-a-time", FEW, route_one_at_a_time),
    benchmark("route/updates-to-1", NAMES, || route_updates(NAMES, 1)),
    benchmark("route/updates-to-8", NAMES, || route_updates(NAMES, 8)),
    benchmark("route/updates-to-64", NAMES, || route_updates(NAMES, 64)),
    benchmark("route/subscribed", NAMES, || route_subscribed(0)),
    benchmark("route/subscribed-beside-10000", NAMES, || route_subscribed(10_000)),
    benchmark("route/full-reads-to-8", FULL_READ, || route_updates(FULL_READ, 8)),
    benchmark("route/new-names-to-1", NAMES, || route_new_names(1)),
    benchmark("route/new-names-to-8", NAMES, || route_new_names(8)),
    benchmark("route/to-one-catching-up", NAMES, route_to_one_catching_up),
    benchmark("receive/one-at-a-time", FEW, receive_one_at_a_time),
    benchmark("receive/updates", NAMES, receive_updates),
    benchmark("receive/new-names", NAMES, receive_new_names),
    benchmark("send/one-at-a-time", FEW, || send(FEW, 1)),
    benchmark("send/updates", NAMES, || send(NAMES, NAMES)),
    benchmark("send/updates-by-key", NAMES, send_by_key),
];

fn instance(number: u8) -> Instance {
    Instance([number; 16])
}

/// Everything of a slice of slices, for the next use of its memory.
fn recycle<'b>(mut slices: Vec<IoSlice<'_>>) -> Vec<IoSlice<'b>> {
    slices.clear();
    // Collected in place.
    slices.into_iter().map(|_| IoSlice::new(&[])).collect()
}

/// The driver of one engine, whose sockets take everything.
struct Driver<P> {
    engine: P,
    flushes: Vec<ConnId>,
    slices: Vec<IoSlice<'static>>,
    dialled: Option<u64>,
}

impl<P: Protocol> Driver<P> {
    fn new(engine: P) -> Driver<P> {
        Driver { engine, flushes: Vec::new(), slices: Vec::new(), dialled: None }
    }

    fn open(&mut self, conn: ConnId, token: Option<u64>) {
        let info = ConnInfo { framing: FRAMING, from: String::new(), host: None, gateway: None, web: None };
        self.engine.opened(NOW, conn, info, token);
    }

    fn read(&mut self, conn: ConnId, bytes: &[u8]) {
        self.engine.bytes(NOW, conn, bytes);
    }

    /// Carries out what the engine asks for, but writes nothing to `unread`. The bytes that were written.
    fn run_but(&mut self, unread: Option<ConnId>) -> usize {
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::Flush(conn) if Some(conn) != unread => self.flushes.push(conn),
                Action::Flush(_) => {}
                Action::Dial { token, .. } => self.dialled = Some(token),
                Action::Close(conn) => panic!("{conn:?} is to be closed"),
            }
        }
        let mut flushes = std::mem::take(&mut self.flushes);
        let written = flushes.drain(..).map(|conn| self.write(conn)).sum();
        self.flushes = flushes;
        written
    }

    fn run(&mut self) -> usize {
        self.run_but(None)
    }

    /// Writes until nothing is left. The bytes that were written.
    fn write(&mut self, conn: ConnId) -> usize {
        let mut written = 0;
        loop {
            let mut slices = recycle(std::mem::take(&mut self.slices));
            self.engine.gather(NOW, conn, &mut slices);
            let len: usize = black_box(&slices).iter().map(|slice| slice.len()).sum();
            self.slices = recycle(slices);
            written += len;
            if len == 0 && self.engine.is_ready() {
                // The rest waits for another turn.
                self.engine.tick(NOW);
            } else if len == 0 || !self.engine.wrote(NOW, conn, len) {
                return written;
            }
        }
    }
}

/// Frames of the publisher.
fn published(count: u32, payload: usize) -> Frames {
    Frames::new(SENDER, instance(PUBLISHER.0 as u8), count, payload)
}

/// The frame of a control message.
fn control_frame(sender: &str, control: &Control<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    control.encode(sender, &mut body);
    [&frame_head(FRAMING, body.len())[..], &body].concat()
}

// ---- bodies and frames

fn text_value(len: usize) -> Vec<u8> {
    let mut value = Vec::new();
    Value::Text(&"state ".repeat(len.div_ceil(6))[..len]).encode(&mut value);
    value
}

/// A map from short texts to numbers of all kinds.
fn map_value(pairs: u16) -> Vec<u8> {
    let [high, low] = pairs.to_be_bytes();
    let mut value = vec![0xDE, high, low];
    for i in 0..u64::from(pairs) {
        Value::Text(&format!("key-{i}")).encode(&mut value);
        match i % 4 {
            0 => Value::Uint(1 << (3 * i)).encode(&mut value),
            1 => Value::Int(-1 - i as i64).encode(&mut value),
            2 => Value::Double(i as f64 / 3.0).encode(&mut value),
            _ => Value::Bool(true).encode(&mut value),
        }
    }
    value
}

fn decode(value: Vec<u8>) -> Round {
    let stamp = Stamp { clock: LogicalTime::from_millis(NOW.wall.as_millis()), instance: instance(1) };
    let body = body(SENDER, &name(0), &value, stamp);
    Box::new(move || {
        for _ in 0..NAMES {
            black_box(wire::decode(black_box(&body), Form::V1).expect("a body"));
        }
    })
}

fn cut() -> Round {
    let frames = published(MEASURED, PAYLOAD);
    let mut decoder = Decoder::new(FRAMING, limits::MAX_MESSAGE);
    Box::new(move || {
        let mut count = 0;
        // All reads but the last end inside a frame.
        for mut input in frames.bytes().chunks(READ) {
            while let Some(Frame::Body(body)) = decoder.next(&mut input).expect("frames") {
                black_box(body);
                count += 1;
            }
        }
        assert_eq!(count, MEASURED);
    })
}

// ---- the outbox

/// Entries go into an outbox, then all is written.
fn feed(count: u32, payload: usize) -> Round {
    let mut hub = hub(0, RouterConfig::default());
    hub.read(PUBLISHER, published(count, payload).bytes());
    assert_eq!(hub.engine.table().len(), count as usize);
    let mut feed = Feed::new(FRAMING, limits::OUTBOX, &Pool::new(1));
    let mut kept = Vec::new();
    Box::new(move || {
        let table = hub.engine.table();
        for entry in table.iter() {
            feed.change(table, entry, usize::MAX);
        }
        let mut written = 0;
        loop {
            let mut slices = recycle(std::mem::take(&mut kept));
            feed.gather(&mut slices);
            let len: usize = black_box(&slices).iter().map(|slice| slice.len()).sum();
            kept = recycle(slices);
            written += len;
            if len == 0 || !feed.wrote(len) {
                break;
            }
        }
        assert!(written > count as usize * payload);
    })
}

// ---- a hub

/// A hub that a publisher and so many receivers have joined, and all that has been said to them is written.
fn hub(receivers: u8, config: RouterConfig) -> Driver<Router> {
    let mut hub = Driver::new(Router::new(instance(0xFF), config));
    join(&mut hub, PUBLISHER, SENDER);
    for number in 0..receivers {
        join(&mut hub, receiver(number), &format!("receiver-{number}"));
    }
    while hub.engine.next_event().is_some() {}
    hub
}

fn receiver(number: u8) -> ConnId {
    ConnId(PUBLISHER.0 + 1 + u64::from(number))
}

fn join(hub: &mut Driver<Router>, conn: ConnId, identity: &str) {
    join_with(hub, conn, identity, HelloFlags(0), Features::NONE);
}

fn join_with(hub: &mut Driver<Router>, conn: ConnId, identity: &str, flags: HelloFlags, features: Features) {
    hub.open(conn, None);
    hub.read(conn, &header(Version::V1));
    let (instance, accept) = (instance(conn.0 as u8), wire::ACCEPT_ANY);
    let hello = Control::Hello { instance, epoch: 1, accept, flags, time: None, secret: None, token: None, features };
    hub.read(conn, &control_frame(identity, &hello));
    hub.run();
}

fn route(hub: &mut Driver<Router>, receivers: u8, frames: &Frames) {
    hub.read(PUBLISHER, frames.bytes());
    let written = hub.run();
    assert_eq!(written, frames.bytes().len() * usize::from(receivers));
}

/// One read holds new values of known names, which go to every receiver.
fn route_updates(names: u32, receivers: u8) -> Round {
    let mut hub = hub(receivers, RouterConfig::default());
    let mut frames = published(names, PAYLOAD);
    Box::new(move || {
        frames.newer();
        route(&mut hub, receivers, &frames);
    })
}

/// The same to one receiver that has subscribed to them, while others have so many patterns that match none.
fn route_subscribed(others: usize) -> Round {
    /// Patterns of one receiver.
    const EACH: usize = 64;
    let mut hub = hub(0, RouterConfig::default());
    let mut frames = published(NAMES, PAYLOAD);
    let first = name(0);
    let subscribes = |hub: &mut Driver<Router>, number: usize, patterns: &[String]| {
        let (conn, identity) = (ConnId(PUBLISHER.0 + 1 + number as u64), format!("receiver-{number}"));
        join_with(hub, conn, &identity, HelloFlags::LISTED, Features::SUBSCRIBE);
        let mut encoded = Vec::new();
        let patterns = Texts::encode(patterns.iter().map(String::as_str), &mut encoded);
        hub.read(conn, &control_frame(&identity, &Control::Subscribe { patterns }));
        hub.run();
    };
    let segment = first.split('/').next().unwrap_or_default();
    subscribes(&mut hub, 0, &["**".to_owned()]);
    for number in 0..others.div_ceil(EACH) {
        let of = |n| format!("{segment}/*/nothing-{number}-{n}");
        subscribes(&mut hub, number + 1, &(0..EACH).map(of).collect::<Vec<_>>());
    }
    while hub.engine.next_event().is_some() {}
    // The receivers of a name are looked up once. That costs so much that a hub leaves the rest of a large read for later.
    frames.newer();
    for frame in frames.each() {
        hub.read(PUBLISHER, frame);
        hub.run();
    }
    Box::new(move || {
        frames.newer();
        route(&mut hub, 1, &frames);
    })
}

/// One read holds states whose names the hub has not seen.
fn route_new_names(receivers: u8) -> Round {
    let mut frames = published(NAMES, PAYLOAD);
    renewed(
        move || hub(receivers, RouterConfig::default()),
        move |hub| {
            frames.renamed();
            route(hub, receivers, &frames);
        },
    )
}

/// Rounds of [`NAMES`] messages, with another engine for each measurement.
fn renewed<T: 'static>(make: impl Fn() -> T + 'static, mut round: impl FnMut(&mut T) + 'static) -> Round {
    let (mut engine, mut left) = (make(), MEASURED);
    Box::new(move || {
        if left == 0 {
            (engine, left) = (make(), MEASURED);
        }
        left -= NAMES;
        round(&mut engine);
    })
}

/// Each read holds one state: a round trip's part in a hub.
fn route_one_at_a_time() -> Round {
    let mut hub = hub(1, RouterConfig::default());
    let mut frames = published(FEW, PAYLOAD);
    Box::new(move || {
        frames.newer();
        for frame in frames.each() {
            hub.read(PUBLISHER, frame);
            assert_eq!(hub.run(), frame.len());
        }
    })
}

/// The receiver reads nothing until it is far behind, then all. It is sent newest values out of a table in which most
/// did not change.
fn route_to_one_catching_up() -> Round {
    const UNCHANGED: u32 = 900;
    let frame = published(1, PAYLOAD).bytes().len();
    let config = RouterConfig { outbox: frame * NAMES as usize / 4, ..RouterConfig::default() };
    let (mut hub, slow) = (hub(1, config), receiver(0));
    hub.read(PUBLISHER, published(NAMES + UNCHANGED, PAYLOAD).bytes());
    hub.run();
    let mut frames = published(NAMES, PAYLOAD);
    let mut change = move |hub: &mut Driver<Router>| {
        frames.newer();
        hub.read(PUBLISHER, frames.bytes());
        hub.run_but(Some(slow));
        frames.bytes().len()
    };
    change(&mut hub);
    assert!(hub.engine.peer_stats().nth(1).is_some_and(|peer| !peer.live), "it is far behind");
    hub.write(slow);
    assert!(hub.engine.peer_stats().nth(1).is_some_and(|peer| peer.live), "it has everything");
    Box::new(move || {
        let len = change(&mut hub);
        assert_eq!(hub.write(slow), len);
    })
}

// ---- an app

const LINK: ConnId = ConnId(1);

/// An app that a hub has welcomed, and all that it says to the hub is written.
fn app(identity: &str) -> Driver<Session> {
    let mut app = Driver::new(Session::new(identity, instance(7)));
    app.engine.connect(vec!["ipc:///hub".to_owned()]);
    app.run();
    let token = app.dialled;
    app.open(LINK, token);
    app.read(LINK, &header(Version::V1));
    let max_message = limits::MAX_MESSAGE as u64;
    let welcome = Control::Welcome {
        instance: instance(0xFF),
        max_message,
        wall: NOW.wall,
        time: None,
        features: Features::NONE,
    };
    app.read(LINK, &control_frame(wire::HUB_SENDER, &welcome));
    app.run();
    app
}

fn receive(app: &mut Driver<Session>, bytes: &[u8]) -> u32 {
    app.read(LINK, bytes);
    let mut taken = 0;
    while let Some(state) = app.engine.take_state() {
        black_box(state.msgpack());
        taken += 1;
    }
    taken
}

/// One read holds new values of known names, which the program takes.
fn receive_updates() -> Round {
    let mut app = app("receiver");
    let mut frames = published(NAMES, PAYLOAD);
    Box::new(move || {
        frames.newer();
        assert_eq!(receive(&mut app, frames.bytes()), NAMES);
    })
}

/// One read holds states whose names the app has not seen.
fn receive_new_names() -> Round {
    let mut frames = published(NAMES, PAYLOAD);
    renewed(
        || app("receiver"),
        move |app| {
            frames.renamed();
            assert_eq!(receive(app, frames.bytes()), NAMES);
        },
    )
}

/// Each read holds one state: a round trip's part in the receiving app.
fn receive_one_at_a_time() -> Round {
    let mut app = app("receiver");
    let mut frames = published(FEW, PAYLOAD);
    Box::new(move || {
        frames.newer();
        for frame in frames.each() {
            assert_eq!(receive(&mut app, frame), 1);
        }
    })
}

/// The program publishes new values of `names` names, and after so many of them all is written.
fn send(names: u32, at_once: u32) -> Round {
    let mut app = app(SENDER);
    let names: Vec<String> = (0..names).map(name).collect();
    let value = [0xA5; PAYLOAD];
    Box::new(move || {
        for names in names.chunks(at_once as usize) {
            for name in names {
                app.engine.publish(NOW, name, Value::Bytes(&value), Kind::Bytes).expect("published");
            }
            assert!(app.run() > names.len() * value.len());
        }
    })
}

/// The same of names that were declared, all at once.
fn send_by_key() -> Round {
    let mut app = app(SENDER);
    let mut names: Vec<_> = (0..NAMES).map(|number| (name(number), Found::default())).collect();
    let value = Value::Bytes(&[0xA5; PAYLOAD]);
    Box::new(move || {
        for (name, found) in &mut names {
            let policy = Policy::default();
            app.engine.publish_at(NOW, found, name, value, Kind::Bytes, policy).expect("published");
        }
        assert!(app.run() > NAMES as usize * PAYLOAD);
    })
}
