//! One app, a hand that plays its driver and the hub, and a record of what it is told and does.

use std::time::Duration;

use nanostate::engine::app::{Notice, Policy, Session, SessionConfig, Will};
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use nanostate::framing::{frame_head, header, Framing, Version};
use nanostate::pattern::Pattern;
use nanostate::time::{BootTime, LogicalTime, MonoTime, WallTime};
use nanostate::wire::{self, Control, Features, Form, Hidden, Instance, Meta, Secret, Stamp, Value};
use nanostate::{Error, Status};
use serde_json::{json, Map, Value as Json};

use crate::sim::{self, body, wall_after};

pub const IDENTITY: &str = "a";
pub const HUB: &str = "tcp://hub";
/// The wall clock at the beginning, in milliseconds since 1970.
pub const WALL: u64 = 1_800_000_000_000;

/// Bytes in hexadecimal, with `(78x4096)` for a byte that is repeated many times.
fn hex(bytes: &[u8]) -> String {
    let runs = bytes.chunk_by(|a, b| a == b).map(|run| match run.len() {
        length @ 65.. => format!("({:02x}x{length})", run[0]),
        length => format!("{:02x}", run[0]).repeat(length),
    });
    runs.collect()
}

/// The stamp of the last body that was written.
fn last_stamp(written: &[u8]) -> Option<Stamp> {
    let frames = sim::whole_frames(Framing::Tcp, written);
    frames.last().and_then(|frame| wire::decode(frame, Form::V1).ok()?.meta.stamp)
}

pub struct Trace {
    pub session: Session,
    now: Now,
    lines: Vec<String>,
    conns: u64,
    dialled: Option<u64>,
    /// The tokens of pings that are not answered.
    pings: Vec<u64>,
    /// Those of requests to withdraw values of others.
    forgets: Vec<u64>,
    /// Whether the transport takes nothing.
    pub is_congested: bool,
}

/// What the client in JavaScript can do.
pub const KNOWN: Features = Features::ALL;

impl Trace {
    pub fn new() -> Trace {
        let instance: [u8; 16] = std::array::from_fn(|i| 0xA0 + i as u8);
        let mut session = Session::new(IDENTITY, Instance(instance));
        session.config.secret = Some(Secret([0x5E; 16]));
        session.config.features = KNOWN;
        session.set_tells_links(true);
        session.set_tells_synced(true);
        // It does not ask whether its hub lives, unless a scenario is about that.
        session.config.silence = Duration::ZERO;
        let now = Now {
            mono: MonoTime::from_nanos(100_000_000_000),
            wall: WallTime::from_millis(WALL),
            boot: BootTime::from_nanos(500_000_000_000),
        };
        let about = [
            "What an app is told and does. identity, instance, secret: its own. accept: every kind.",
            "A step: at: mono, wall and boot clock in milliseconds. Then what it is told or asked for: config; connect, to \
             these addresses; disconnect; publish and data, transient if it is, and ttl, after how many milliseconds it expires; clear, a name; will and data, will_clear and no_will, a name; \
             subscribe, to a pattern, or null to none; unsubscribe, from a pattern; forget, a sender and a name; watch, who else is there; ping; flush, and ack in the output for the newest version that was \
             acknowledged; open, the connection that it dialled; dial_failed; in, bytes that come; closed; congested, \
             whether nothing is written; tick.",
            "out: what it does: dial, close, link changes, states, synced, bytes that it writes, and the deadline that it \
             has in nanoseconds, or null. A state that was retained says so. synced: behind how many of these states it \
             is told that it has what the hub held. others: what it is told of other apps. pinged: how long answers to pings took, in nanoseconds. forgot: what came of requests to forget. Bytes are \
             hexadecimal; (78x4096) is a byte that is repeated.",
        ];
        let mut lines = vec!["{".to_owned(), format!("\"about\": {},", json!(about))];
        lines.push(format!("\"identity\": \"{IDENTITY}\", \"instance\": \"{}\",", hex(&instance)));
        lines.push(format!("\"secret\": \"{}\",", "5e".repeat(16)));
        lines.push("\"steps\": [".to_owned());
        Trace {
            session,
            now,
            lines,
            conns: 0,
            dialled: None,
            pings: Vec::new(),
            forgets: Vec::new(),
            is_congested: false,
        }
    }

    pub fn finish(mut self) -> String {
        let last = self.lines.last_mut().unwrap();
        last.truncate(last.len() - 1);
        self.lines.push("]}".to_owned());
        self.lines.join("\n") + "\n"
    }

    /// Lets time pass, in milliseconds, on all clocks.
    pub fn pass(&mut self, millis: u64) {
        self.pass_nanos(millis * 1_000_000);
    }

    fn pass_nanos(&mut self, nanos: u64) {
        let passed = Duration::from_nanos(nanos);
        self.now.mono += passed;
        self.now.boot += passed;
        self.now.wall = wall_after(self.now.wall, (nanos / 1_000_000) as i64);
    }

    /// The wall clock is set forward or back.
    pub fn set_wall(&mut self, millis: i64) {
        self.now.wall = wall_after(self.now.wall, millis);
    }

    /// The machine is suspended for so long.
    pub fn suspend(&mut self, millis: u64) {
        self.now.boot += Duration::from_millis(millis);
        self.set_wall(millis as i64);
    }

    pub fn wall(&self) -> u64 {
        self.now.wall.as_millis()
    }

    /// A time of the hub's clock, which is ahead of the wall clock by so much.
    pub fn hub_time(&self, ahead: i64) -> LogicalTime {
        LogicalTime::from_millis(self.wall().saturating_add_signed(ahead))
    }

    /// Records a step, and what came of it. Returns what was written.
    fn step(&mut self, step: Json) -> Vec<u8> {
        let mut out = Map::new();
        let (mut dials, mut closes) = (Vec::new(), Vec::new());
        let mut written = Vec::new();
        loop {
            while let Some(action) = self.session.next_action() {
                match action {
                    Action::Dial { token, url } => {
                        self.dialled = Some(token);
                        dials.push(url);
                    }
                    Action::Close(conn) => {
                        // What it has to say last.
                        if !self.is_congested {
                            written.extend(sim::written(&mut self.session, self.now, conn));
                        }
                        closes.push(conn.0);
                    }
                    Action::Flush(_) => {}
                }
            }
            let bytes = if self.is_congested {
                Vec::new()
            } else {
                sim::written(&mut self.session, self.now, ConnId(self.conns))
            };
            let is_over = bytes.is_empty() && !self.session.has_action();
            written.extend(bytes);
            if is_over {
                break;
            }
        }
        let (mut links, mut states, mut synced, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut may_be_stale = Vec::new();
        loop {
            while let Some(notice) = self.session.next_notice() {
                match notice {
                    Notice::Link { link, why, .. } => {
                        let why = if why == Status::Ok { Json::Null } else { why.name().into() };
                        links.push(json!([link.name(), why]));
                    }
                    Notice::Synced => synced.push(states.len()),
                    Notice::Stale(sender) => may_be_stale.push(sender),
                    Notice::Reject { .. } => panic!("every kind is accepted"),
                    Notice::Presence(event, peer) => {
                        others.push(json!([event.name(), peer.identity, hex(&peer.instance)]));
                    }
                }
            }
            let Some(state) = self.session.take_state() else { break };
            let (sender, name, kind) = (state.sender(), state.name(), state.kind().name());
            let mut told = json!([sender, name, kind, hex(state.msgpack()), state.time()]);
            if state.retained() {
                told.as_array_mut().unwrap().push("retained".into());
            }
            states.push(told);
        }
        self.session.take_refusal();
        let mut put = |name: &str, what: Json, empty: bool| {
            if !empty {
                out.insert(name.to_owned(), what);
            }
        };
        put("dial", json!(dials), dials.is_empty());
        put("close", json!(closes), closes.is_empty());
        put("links", json!(links), links.is_empty());
        put("states", json!(states), states.is_empty());
        put("synced", json!(synced), synced.is_empty());
        put("others", json!(others), others.is_empty());
        put("may_be_stale", json!(may_be_stale), may_be_stale.is_empty());
        put("write", json!(hex(&written)), written.is_empty());
        let took: Vec<_> = self.pings.iter().filter_map(|&token| self.session.pinged(token)).collect();
        self.pings.retain(|&token| self.session.pinged(token).is_none());
        put("pinged", json!(took.iter().map(|took| took.as_nanos() as u64).collect::<Vec<_>>()), took.is_empty());
        let forgot: Vec<_> = self.forgets.iter().filter_map(|&token| self.session.forgot(token)).collect();
        self.forgets.retain(|&token| self.session.forgot(token).is_none());
        let status =
            |outcome: &nanostate::Result<()>| outcome.as_ref().map_or_else(|error| error.status().name(), |()| "NS_OK");
        put("forgot", json!(forgot.iter().map(status).collect::<Vec<_>>()), forgot.is_empty());
        let acked = (0..1_000).rev().find(|&version| self.session.is_acked(version)).unwrap_or(0);
        put("ack", json!(acked), acked == 0);
        put("deadline", json!(self.session.deadline().map(MonoTime::as_nanos)), false);
        let millis = |nanos: u64| json!(nanos as f64 / 1e6);
        let at = json!([millis(self.now.mono.as_nanos()), self.wall(), millis(self.now.boot.as_nanos())]);
        let step = step.to_string();
        self.lines.push(format!("{{\"at\": {at}, {}, \"out\": {}}},", &step[1..step.len() - 1], Json::from(out)));
        written
    }

    pub fn configure(&mut self, change: impl FnOnce(&mut SessionConfig)) {
        change(&mut self.session.config);
        let SessionConfig { max_message, echo, take_over, shared, token, silence, .. } = &self.session.config;
        let mut config = json!({"maxMessage": max_message, "echo": echo, "takeOver": take_over, "shared": shared});
        if !silence.is_zero() {
            config["silence"] = json!(silence.as_millis() as u64);
        }
        if let Some(Hidden(token)) = token {
            config["token"] = json!(token);
        }
        self.step(json!({ "config": config }));
    }

    pub fn connect(&mut self, urls: &[&str]) {
        self.session.connect(urls.iter().map(|&url| url.to_owned()).collect());
        self.step(json!({ "connect": urls }));
    }

    pub fn disconnect(&mut self) {
        self.session.disconnect();
        self.step(json!({"disconnect": true}));
    }

    pub fn publish(&mut self, name: &str, value: Value<'_>) {
        self.publish_as(name, value, Policy::default());
    }

    pub fn publish_transient(&mut self, name: &str, value: Value<'_>) {
        self.publish_as(name, value, Policy { is_transient: true, ..Policy::default() });
    }

    /// A value that expires after so many milliseconds.
    pub fn publish_for(&mut self, name: &str, value: Value<'_>, millis: u64) {
        self.publish_as(name, value, Policy { lifetime: Some(millis), ..Policy::default() });
    }

    /// Returns the stamp with which that was written, if it was.
    pub fn publish_as(&mut self, name: &str, value: Value<'_>, policy: Policy) -> Option<Stamp> {
        let mut data = Vec::new();
        value.encode(&mut data);
        let kind = wire::check(&data).unwrap();
        self.session.publish_as(self.now, name, Value::Msgpack(&data), kind, policy).unwrap();
        let mut step = json!({"publish": name, "data": hex(&data)});
        if policy.is_transient {
            step["transient"] = json!(true);
        }
        if let Some(lifetime) = policy.lifetime {
            step["ttl"] = json!(lifetime);
        }
        last_stamp(&self.step(step))
    }

    /// Returns the stamp with which that was written, if it was.
    pub fn clear(&mut self, name: &str) -> Option<Stamp> {
        self.session.clear(self.now, name).unwrap();
        last_stamp(&self.step(json!({ "clear": name })))
    }

    pub fn will(&mut self, name: &str, value: Value<'_>) {
        let mut data = Vec::new();
        value.encode(&mut data);
        self.session.set_will(name, Value::Msgpack(&data).into()).unwrap();
        self.step(json!({"will": name, "data": hex(&data)}));
    }

    pub fn will_clear(&mut self, name: &str) {
        self.session.set_will(name, Will::Clear).unwrap();
        self.step(json!({ "will_clear": name }));
    }

    pub fn no_will(&mut self, name: &str) {
        self.session.set_will(name, Will::None).unwrap();
        self.step(json!({ "no_will": name }));
    }

    /// `None`: it takes no names, until there is a pattern.
    pub fn subscribe(&mut self, pattern: Option<&str>) {
        let parsed = pattern.map(|pattern| Pattern::new(pattern).expect("a pattern"));
        self.session.subscribe(parsed.as_ref()).unwrap();
        self.step(json!({ "subscribe": pattern }));
    }

    pub fn unsubscribe(&mut self, pattern: &str) {
        self.session.unsubscribe(pattern).unwrap();
        self.step(json!({ "unsubscribe": pattern }));
    }

    /// The program wants to know which other apps are there.
    pub fn watch(&mut self) {
        self.session.set_tells_others(true);
        self.step(json!({"watch": true}));
    }

    /// The program wants to know of whom values may be stale.
    pub fn watch_stale(&mut self) {
        self.session.set_tells_stale(true);
        self.step(json!({"watch_stale": true}));
    }

    /// The program asks whether a value is stale.
    pub fn asks_stale(&mut self, sender: &str, name: &str) {
        let state = self.session.get(Some(sender), name);
        let is_stale = state.is_some_and(|state| self.session.is_stale(&state));
        self.step(json!({"asks_stale": [sender, name], "is_stale": is_stale}));
    }

    pub fn forget(&mut self, sender: &str, name: &str) {
        self.forgets.extend(self.session.forget(sender, name).expect("the hub knows of it"));
        self.step(json!({"forget": [sender, name]}));
    }

    pub fn ping(&mut self) {
        self.pings.extend(self.session.ping(self.now).expect("no old hub"));
        self.step(json!({"ping": true}));
    }

    pub fn flush(&mut self) {
        self.session.request_ack();
        self.step(json!({"flush": true}));
    }

    /// The connection that it dialled is there.
    pub fn open(&mut self) {
        self.conns += 1;
        let info = ConnInfo { framing: Framing::Tcp, from: HUB.into(), host: None, gateway: None, web: None };
        self.session.opened(self.now, ConnId(self.conns), info, self.dialled.take());
        self.step(json!({ "open": self.conns }));
    }

    pub fn dial_fails(&mut self) {
        let error = Error::new(Status::Refused, "connection refused");
        self.session.dial_failed(self.now, self.dialled.take().unwrap(), error);
        self.step(json!({"dial_failed": "NS_ERR_REFUSED"}));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.session.bytes(self.now, ConnId(self.conns), bytes);
        self.step(json!({ "in": hex(bytes) }));
    }

    pub fn closed(&mut self) {
        self.session.closed(self.now, ConnId(self.conns), Closed::ByPeer);
        self.step(json!({"closed": true}));
    }

    pub fn congested(&mut self, congested: bool) {
        self.is_congested = congested;
        self.step(json!({ "congested": congested }));
    }

    /// Whether it waits for a deadline.
    pub fn waits(&self) -> bool {
        self.session.deadline().is_some()
    }

    /// Waits until it dials.
    pub fn tick_until_dialled(&mut self) {
        while self.dialled.is_none() {
            self.tick();
        }
    }

    /// Waits for the next deadline.
    pub fn tick(&mut self) {
        let deadline = self.session.deadline().expect("a deadline");
        self.pass_nanos(deadline.since(self.now.mono).as_nanos() as u64);
        self.session.tick(self.now);
        self.step(json!({"tick": true}));
    }

    // What a hub sends.

    pub fn frame(&mut self, body: &[u8]) {
        self.frames(&[body]);
    }

    /// Frames in one piece.
    pub fn frames(&mut self, bodies: &[&[u8]]) {
        let frames = bodies.iter().flat_map(|&body| [&frame_head(Framing::Tcp, body.len())[..], body].concat());
        self.bytes(&frames.collect::<Vec<_>>());
    }

    pub fn hears(&mut self, control: Control<'_>) {
        let mut body = Vec::new();
        control.encode(wire::HUB_SENDER, &mut body);
        self.frame(&body);
    }

    /// The hub's part up to the welcome, with a time that is ahead of the wall clock by so much.
    pub fn welcome(&mut self, hub: u8, ahead: i64) {
        self.bytes(&header(Version::V1));
        self.lets_in(hub, ahead, Features::NONE);
    }

    /// The welcome of a hub with these features.
    pub fn lets_in(&mut self, hub: u8, ahead: i64, features: Features) {
        let (instance, wall, time) = (Instance([hub; 16]), self.now.wall, Some(self.hub_time(ahead)));
        self.hears(Control::Welcome { instance, max_message: 1 << 24, wall, time, features });
    }

    /// A state of another program, which its hub has stamped, or that program.
    pub fn state(&mut self, sender: &str, name: &str, data: &[u8], stamp: Stamp) {
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        self.frame(&body(Form::V1, sender, name, data, &meta));
    }

    /// A state of another program, which its hub held.
    pub fn held(&mut self, sender: &str, name: &str, data: &[u8], stamp: Stamp) {
        let meta = Meta { stamp: Some(stamp), flags: Meta::RETAINED, ..Meta::default() };
        self.frame(&body(Form::V1, sender, name, data, &meta));
    }

    /// The stamp of an own value.
    pub fn own_stamp(&mut self, name: &str) -> Stamp {
        self.session.get(Some(IDENTITY), name).expect("an own value").stamp()
    }
}
