//! The network and who is in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::IoSlice;

use nanostate::engine::app::{LinkState, Session};
use nanostate::engine::hub::{Router, RouterConfig};
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use nanostate::framing::Framing;
use nanostate::time::{BootTime, MonoTime, WallTime};
use nanostate::wire::{Secret, Stamp, ACCEPT_ANY};
use nanostate::{Error, Kind, Status, Value};

use super::{number_of, value, OldHub, OldPeer, RawPeer, Rng};

/// A millisecond and a second, in nanoseconds.
pub const MS: u64 = 1_000_000;
pub const SEC: u64 = 1000 * MS;

/// When the world began, in milliseconds since 1970.
const EPOCH: u64 = 1_800_000_000_000;

/// What a hub adds to a full outbox at most: one walk fill and what frames and answers need.
const SLACK: usize = (256 << 10) + (8 << 10);

/// The name of a process.
pub type Id = usize;

/// What runs in a process.
pub enum Process {
    Hub(Box<Router>),
    App(Box<App>),
    OldPeer(Box<OldPeer>),
    OldHub(OldHub),
    Raw(RawPeer),
}

impl Process {
    fn protocol(&mut self) -> &mut dyn Protocol {
        match self {
            Process::Hub(router) => &mut **router,
            Process::App(app) => &mut app.session,
            Process::OldPeer(peer) => &mut **peer,
            Process::OldHub(hub) => hub,
            Process::Raw(peer) => peer,
        }
    }
}

/// An app and the program around it.
pub struct App {
    pub session: Session,
    pub identity: String,
    pub accept: u32,
    /// Whether its program takes what it received at once.
    pub takes: bool,
    /// What its program was given last of each key.
    pub newest: BTreeMap<(String, String), (Stamp, Vec<u8>)>,
    /// What it was given, in order, if that is kept.
    pub log: Option<Vec<(String, String, Vec<u8>)>>,
    pub taken: u64,
    /// What it sent last of each name, the sends that were refused not counted.
    pub sent: BTreeMap<String, (Kind, Vec<u8>)>,
    /// An acknowledgement that is waited for.
    ack: Option<Ack>,
    pub acked: u64,
    /// On which of its links each of `newest` came.
    given: BTreeMap<(String, String), u64>,
    /// The world's [`World::hubs`].
    hubs: u64,
}

impl App {
    fn new(identity: &str, session: Session) -> App {
        App {
            session,
            identity: identity.into(),
            accept: ACCEPT_ANY,
            takes: true,
            newest: BTreeMap::new(),
            log: None,
            taken: 0,
            sent: BTreeMap::new(),
            ack: None,
            acked: 0,
            given: BTreeMap::new(),
            hubs: 0,
        }
    }

    /// Takes what waits, and checks each.
    pub fn take(&mut self) {
        let link = self.session.stats().connects;
        while let Some(state) = self.session.inbox.pop() {
            self.taken += 1;
            let key = (state.sender().to_owned(), state.name().to_owned());
            let who = &self.identity;
            assert!(self.accept & state.kind().mask() != 0, "{who} got a {}", state.kind().name());
            assert!(!key.1.starts_with("$ns/"), "{who} got {}", key.1);
            if let Some(log) = &mut self.log {
                log.push((key.0.clone(), key.1.clone(), state.msgpack().to_vec()));
            }
            if let Some((stamp, _)) = self.newest.get(&key) {
                assert!(state.stamp() != *stamp, "{who} got {key:?} twice");
                // A hub that was killed takes the stamps it knew of with it.
                let may_be = self.hubs > 0 && self.given.get(&key) != Some(&link);
                let older = state.stamp() < *stamp && !may_be;
                assert!(!older, "{who} got {key:?} with an older stamp than before");
            }
            self.given.insert(key.clone(), link);
            self.newest.insert(key, (state.stamp(), state.msgpack().to_vec()));
        }
    }
}

struct Ack {
    version: u64,
    /// What it covers: names and values.
    sent: Vec<(String, Vec<u8>)>,
}

struct Node {
    /// None: it is dead.
    process: Option<Process>,
    /// How far its wall clock is off, in milliseconds.
    skew: i64,
    /// What its boot clock said when the world began, in nanoseconds.
    boot: u64,
    /// For how long its machine was suspended, in nanoseconds: its monotonic clock stood still.
    suspended: u64,
    /// Its machine is suspended: since when, and until when.
    asleep: Option<(u64, u64)>,
}

impl Node {
    fn now(&self, mono: u64) -> Now {
        let asleep = self.asleep.map_or(0, |(since, _)| mono - since);
        let wall = (EPOCH + mono / MS) as i64 + self.skew;
        Now {
            mono: MonoTime::from_nanos(mono - self.suspended - asleep),
            wall: WallTime::from_millis(wall.max(0) as u64),
            boot: BootTime::from_nanos(self.boot + mono),
        }
    }

    /// When the world's time is that of this machine's monotonic clock.
    fn at(&self, deadline: MonoTime) -> u64 {
        deadline.as_nanos().saturating_add(self.suspended)
    }
}

struct End {
    node: Id,
    conn: ConnId,
    /// Whether the process has it.
    open: bool,
    /// Bytes on the way to it.
    pipe: VecDeque<u8>,
    /// What it hears once the pipe is empty.
    end: Option<Closed>,
    /// Its last write did not take everything.
    blocked: bool,
    /// It is to write, later.
    later: bool,
    reads_from: u64,
}

struct Wire {
    ends: [End; 2],
    capacity: usize,
}

struct Dial {
    node: Id,
    token: u64,
    url: String,
    at: u64,
}

#[derive(Clone, Copy)]
enum Event {
    Read(usize, usize),
    Write(usize, usize),
    Dial(usize),
    Tick(Id),
}

/// All there is.
pub struct World {
    pub rng: Rng,
    pub mono: u64,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    dials: Vec<Dial>,
    listeners: BTreeMap<String, Id>,
    next_conn: u64,
    /// What a pipe holds at most.
    pub capacity: usize,
    /// Whether bytes come in pieces of any size, and writes take any part.
    pub pieces: bool,
    /// Counts what is sent, so that no two values are the same.
    pub number: u64,
    /// Names of which a sender died, or is no v1 app: their newest value of any sender is not promised.
    pub orphans: BTreeSet<String>,
    events: Vec<Event>,
    steps: u64,
    /// Hubs that took the place of one that was killed.
    pub hubs: u64,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let capacity = rng.pick(&[300, 5_000, 64 << 10, 212_992]);
        World {
            rng,
            mono: SEC,
            nodes: Vec::new(),
            wires: Vec::new(),
            dials: Vec::new(),
            listeners: BTreeMap::new(),
            next_conn: 1,
            capacity,
            pieces: true,
            number: 0,
            orphans: BTreeSet::new(),
            events: Vec::new(),
            steps: 0,
            hubs: 0,
        }
    }

    pub fn now(&self, id: Id) -> Now {
        self.nodes[id].now(self.mono)
    }

    /// Sets a process's wall clock, forth or back, in milliseconds against the true time.
    pub fn set_skew(&mut self, id: Id, skew: i64) {
        self.nodes[id].skew = skew;
    }

    fn add(&mut self, process: Process) -> Id {
        // Not drawn from the world's random numbers, which would change for every seed.
        let number = self.nodes.len() as u64;
        // Their milliseconds begin at different times, too.
        let boot = 86_400_000 * MS * (number * 7919 % 500) + number * 377_003 % MS;
        self.nodes.push(Node { process: Some(process), skew: 0, boot, suspended: 0, asleep: None });
        self.nodes.len() - 1
    }

    // ---- processes

    pub fn add_hub(&mut self, url: &str, config: RouterConfig) -> Id {
        let router = Router::new(self.rng.instance(), config);
        let id = self.add(Process::Hub(Box::new(router)));
        self.listeners.insert(url.into(), id);
        id
    }

    pub fn add_old_hub(&mut self, url: &str, hub: OldHub) -> Id {
        let id = self.add(Process::OldHub(hub));
        self.listeners.insert(url.into(), id);
        id
    }

    /// An app that connects, after `setup`.
    pub fn add_app_with(&mut self, identity: &str, url: &str, setup: impl FnOnce(&mut App)) -> Id {
        let mut session = Session::new(identity, self.rng.instance());
        session.config.secret = Some(Secret(self.rng.instance().0));
        let mut app = App::new(identity, session);
        setup(&mut app);
        app.session.set_accept(app.accept);
        app.session.connect(url.split(',').map(str::to_owned).collect());
        let id = self.add(Process::App(Box::new(app)));
        self.act(id);
        id
    }

    pub fn add_app(&mut self, identity: &str, url: &str) -> Id {
        self.add_app_with(identity, url, |_| {})
    }

    pub fn add_old_peer(&mut self, peer: OldPeer, url: &str) -> Id {
        let id = self.add(Process::OldPeer(Box::new(peer)));
        self.dial(id, 0, url.into());
        id
    }

    pub fn add_raw(&mut self, peer: RawPeer, url: &str) -> Id {
        let id = self.add(Process::Raw(peer));
        self.dial(id, 0, url.into());
        id
    }

    pub fn hub(&mut self, id: Id) -> &mut Router {
        match &mut self.nodes[id].process {
            Some(Process::Hub(router)) => router,
            _ => panic!("process {id} is no hub"),
        }
    }

    pub fn app(&mut self, id: Id) -> &mut App {
        match &mut self.nodes[id].process {
            Some(Process::App(app)) => app,
            _ => panic!("process {id} is no app"),
        }
    }

    pub fn old_peer(&mut self, id: Id) -> &mut OldPeer {
        match &mut self.nodes[id].process {
            Some(Process::OldPeer(peer)) => peer,
            _ => panic!("process {id} is no old peer"),
        }
    }

    pub fn old_hub(&mut self, id: Id) -> &mut OldHub {
        match &mut self.nodes[id].process {
            Some(Process::OldHub(hub)) => hub,
            _ => panic!("process {id} is no old hub"),
        }
    }

    pub fn raw(&mut self, id: Id) -> &mut RawPeer {
        match &mut self.nodes[id].process {
            Some(Process::Raw(peer)) => peer,
            _ => panic!("process {id} is no raw peer"),
        }
    }

    fn alive_apps(&self) -> Vec<Id> {
        let is_app = |id: &Id| matches!(self.nodes[*id].process, Some(Process::App(_)));
        (0..self.nodes.len()).filter(is_app).collect()
    }

    // ---- what programs do

    /// Publishes the next value of this kind and size, and waits for nothing.
    pub fn publish(&mut self, id: Id, name: &str, kind: Kind, size: usize) -> Result<(), Status> {
        self.number += 1;
        let value = value(kind, self.number, size);
        let now = self.now(id);
        let app = self.app(id);
        let done = app.session.publish(now, name, Value::Msgpack(&value), kind).map_err(|error| error.status());
        if done.is_ok() {
            app.sent.insert(name.into(), (kind, value));
        }
        self.act(id);
        done
    }

    /// As [`World::publish`], from an old peer.
    pub fn publish_old(&mut self, id: Id, name: &str, kind: Kind, size: usize) {
        self.number += 1;
        let number = self.number;
        self.old_peer(id).publish(name, kind, number, size);
        self.orphans.insert(name.into());
        self.act(id);
    }

    /// Asks the hub to acknowledge; [`World`] checks that it holds everything when it does.
    pub fn request_ack(&mut self, id: Id) {
        let app = self.app(id);
        let version = app.session.request_ack();
        if !app.session.is_acked(version) {
            let sent = app.sent.iter().map(|(name, (_, value))| (name.clone(), value.clone())).collect();
            app.ack = Some(Ack { version, sent });
        }
        self.act(id);
    }

    /// Lets a program use its session, and does what that asks for.
    pub fn with<T>(&mut self, id: Id, use_it: impl FnOnce(&mut App, Now) -> T) -> T {
        let now = self.now(id);
        let result = use_it(self.app(id), now);
        self.act(id);
        result
    }

    /// Lets a raw peer send bytes as they are.
    pub fn raw_send(&mut self, id: Id, bytes: &[u8]) {
        self.raw(id).send(bytes);
        self.act(id);
    }

    // ---- faults

    /// Ends a process. What it had written arrives, or a part of it.
    pub fn kill(&mut self, id: Id) {
        if let Some(Process::App(app)) = self.nodes[id].process.take() {
            self.orphans.extend(app.sent.into_keys());
        }
        self.listeners.retain(|_, listener| *listener != id);
        self.dials.retain(|dial| dial.node != id);
        for w in 0..self.wires.len() {
            for side in 0..2 {
                if self.wires[w].ends[side].node == id && self.wires[w].ends[side].open {
                    self.wires[w].ends[side].open = false;
                    let keep = self.rng.one_in(2);
                    let other = &mut self.wires[w].ends[1 - side];
                    if !keep {
                        other.pipe.truncate(self.rng.index(other.pipe.len() + 1));
                    }
                    other.end.get_or_insert(Closed::ByPeer);
                }
            }
        }
    }

    /// Ends a process without a trace for its peers: its machine is gone.
    pub fn vanish(&mut self, id: Id) {
        if let Some(Process::App(app)) = self.nodes[id].process.take() {
            self.orphans.extend(app.sent.into_keys());
        }
        for end in self.wires.iter_mut().flat_map(|wire| &mut wire.ends) {
            if end.node == id {
                end.reads_from = u64::MAX;
            }
        }
    }

    /// A hub at the URL of the one that was killed, with nothing in its table.
    pub fn replace_hub(&mut self, old: Id, url: &str, config: RouterConfig) -> Id {
        let id = self.add_hub(url, config);
        self.nodes[id].skew = self.nodes[old].skew;
        self.hubs += 1;
        id
    }

    /// Suspends the machine of a process for so long: it does nothing, its monotonic clock stands still, and its other
    /// clocks go on.
    pub fn suspend(&mut self, id: Id, time: u64) {
        if self.nodes[id].asleep.is_none() {
            self.nodes[id].asleep = Some((self.mono, self.mono + time));
        }
    }

    pub fn is_asleep(&self, id: Id) -> bool {
        self.nodes[id].asleep.is_some()
    }

    /// Wakes the machines whose time has come, or all.
    fn wake(&mut self, all: bool) {
        for node in &mut self.nodes {
            if let Some((since, until)) = node.asleep {
                if all || until <= self.mono {
                    node.suspended += self.mono - since;
                    node.asleep = None;
                }
            }
        }
    }

    /// Breaks a connection of this process, if it has one; of many, any.
    pub fn break_one(&mut self, id: Id) {
        let has = |wire: &Wire| wire.ends.iter().any(|end| end.node == id && end.open);
        let wires: Vec<_> = (0..self.wires.len()).filter(|&w| has(&self.wires[w])).collect();
        if wires.is_empty() {
            return;
        }
        let w = self.rng.pick(&wires);
        for end in &mut self.wires[w].ends {
            end.pipe.truncate(self.rng.index(end.pipe.len() + 1));
            end.end.get_or_insert(Closed::Failed(Error::new(Status::Io, "broken")));
        }
    }

    /// This process reads nothing until then.
    pub fn stall(&mut self, id: Id, until: u64) {
        for end in self.wires.iter_mut().flat_map(|wire| &mut wire.ends) {
            if end.node == id {
                end.reads_from = until;
            }
        }
    }

    // ---- the driver

    fn dial(&mut self, node: Id, token: u64, url: String) {
        let at = self.mono + self.rng.below(5 * MS);
        self.dials.push(Dial { node, token, url, at });
    }

    /// Does what a process asks for.
    fn act(&mut self, id: Id) {
        loop {
            let Some(process) = &mut self.nodes[id].process else { return };
            let Some(action) = process.protocol().next_action() else { break };
            match action {
                Action::Dial { token, url } => self.dial(id, token, url),
                Action::Flush(conn) => {
                    if let Some((w, side)) = self.find(id, conn) {
                        if self.rng.one_in(2) {
                            self.wires[w].ends[side].later = true;
                        } else {
                            self.write(w, side);
                        }
                    }
                }
                Action::Close(conn) => {
                    if let Some((w, side)) = self.find(id, conn) {
                        self.wires[w].ends[side].blocked = false;
                        self.write(w, side);
                        let [a, b] = &mut self.wires[w].ends;
                        let (end, other) = if side == 0 { (a, b) } else { (b, a) };
                        end.open = false;
                        other.end.get_or_insert(Closed::ByPeer);
                    }
                }
            }
        }
        self.after(id);
    }

    fn find(&self, id: Id, conn: ConnId) -> Option<(usize, usize)> {
        let is_it = |end: &End| end.node == id && end.conn == conn && end.open;
        self.wires.iter().enumerate().find_map(|(w, wire)| Some((w, wire.ends.iter().position(is_it)?)))
    }

    /// Writes until nothing is left or nothing more is taken.
    fn write(&mut self, w: usize, side: usize) {
        let World { wires, nodes, rng, mono, pieces, .. } = self;
        let Wire { ends: [a, b], capacity } = &mut wires[w];
        let (end, other) = if side == 0 { (a, b) } else { (b, a) };
        end.later = false;
        let node = &mut nodes[end.node];
        let now = node.now(*mono);
        let Some(process) = &mut node.process else { return };
        let protocol = process.protocol();
        while !end.blocked && end.open {
            let mut slices: Vec<IoSlice> = Vec::new();
            protocol.gather(now, end.conn, &mut slices);
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            if offered == 0 {
                return;
            }
            // What is written to a connection that is gone is gone.
            let gone = other.end.is_some() || end.end.is_some() || !other.open;
            let room = if gone { offered } else { capacity.saturating_sub(other.pipe.len()) };
            let mut n = offered.min(room);
            if *pieces && n > 0 && rng.one_in(4) {
                n = 1 + rng.index(n);
            }
            let mut left = n;
            for slice in &slices {
                let part = left.min(slice.len());
                if !gone {
                    other.pipe.extend(&slice[..part]);
                }
                left -= part;
            }
            end.blocked = n < offered;
            let more = n > 0 && protocol.wrote(now, end.conn, n);
            if n == offered && !more {
                return;
            }
        }
    }

    fn read(&mut self, w: usize, side: usize) {
        let end = &mut self.wires[w].ends[side];
        let (id, conn) = (end.node, end.conn);
        if end.pipe.is_empty() {
            if let Some(why) = end.end.clone() {
                end.open = false;
                let now = self.now(id);
                if let Some(process) = &mut self.nodes[id].process {
                    process.protocol().closed(now, conn, why);
                    self.act(id);
                }
            }
            return;
        }
        let n = if self.pieces && self.rng.one_in(3) {
            1 + self.rng.length(end.pipe.len() - 1)
        } else {
            end.pipe.len().min(256 << 10)
        };
        let piece: Vec<u8> = end.pipe.drain(..n).collect();
        let now = self.now(id);
        if let Some(process) = &mut self.nodes[id].process {
            process.protocol().bytes(now, conn, &piece);
            self.act(id);
        }
    }

    fn connect(&mut self, dial: Dial) {
        let listener = self.listeners.get(&dial.url).copied();
        let now = self.now(dial.node);
        let Some(process) = &mut self.nodes[dial.node].process else { return };
        let Some(listener) = listener else {
            process.protocol().dial_failed(now, dial.token, Error::new(Status::Refused, dial.url));
            return self.act(dial.node);
        };
        let framing = match dial.url.split(':').next() {
            Some("ipc") => Framing::Ipc,
            Some("inproc") => Framing::Inproc,
            _ => Framing::Tcp,
        };
        let mut end = |node| {
            self.next_conn += 1;
            End {
                node,
                conn: ConnId(self.next_conn),
                open: true,
                pipe: VecDeque::new(),
                end: None,
                blocked: false,
                later: false,
                reads_from: 0,
            }
        };
        let ends = [end(dial.node), end(listener)];
        let conns = [ends[0].conn, ends[1].conn];
        self.wires.retain(|wire| wire.ends.iter().any(|end| end.open));
        self.wires.push(Wire { ends, capacity: self.capacity });
        for (id, conn, token) in [(dial.node, conns[0], Some(dial.token)), (listener, conns[1], None)] {
            let info = ConnInfo { framing, from: format!("process {id}"), gateway: None };
            let now = self.now(id);
            if let Some(process) = &mut self.nodes[id].process {
                process.protocol().opened(now, conn, info, token);
                self.act(id);
            }
        }
    }

    /// What is looked at after a process did anything.
    fn after(&mut self, id: Id) {
        let mono = self.mono;
        match &mut self.nodes[id].process {
            Some(Process::App(app)) => {
                app.hubs = self.hubs;
                if app.takes {
                    app.take();
                }
                app.session.next_notice();
                app.session.next_warning();
                if app.ack.as_ref().is_some_and(|ack| app.session.is_acked(ack.version)) {
                    self.check_ack(id);
                }
            }
            Some(Process::Hub(router)) => {
                router.next_event();
                self.steps += 1;
                if self.steps % 32 == 0 {
                    let most = router.config().outbox + router.config().max_message.min(64 << 10) + SLACK;
                    for peer in router.peer_stats() {
                        let waiting = peer.outbox_bytes as usize;
                        assert!(waiting <= most, "{waiting} bytes wait for {} at {mono}, {most} at most", peer.from);
                    }
                }
            }
            _ => {}
        }
    }

    fn check_ack(&mut self, id: Id) {
        let app = self.app(id);
        let Some(Ack { sent, .. }) = app.ack.take() else { return };
        app.acked += 1;
        let identity = app.identity.clone();
        let hub = self.wires.iter().rev().find_map(|wire| {
            let side = wire.ends.iter().position(|end| end.node == id && end.open)?;
            Some(&wire.ends[1 - side])
        });
        // A hub that lost the link since it answered may hold what an old peer has sent in this name.
        let linked = hub.filter(|hub| hub.open).map(|hub| hub.node);
        // A hub that was killed since it answered holds nothing.
        let Some(Some(Process::Hub(router))) = linked.map(|hub| &self.nodes[hub].process) else { return };
        let held: Vec<_> = sent
            .iter()
            .map(|(name, _)| router.table().find(&identity, name).map(|held| held.data().to_vec()))
            .collect();
        let app = self.app(id);
        for ((name, value), held) in sent.iter().zip(held) {
            let Some(held) = held else { panic!("{name} of {identity} is acked and not held") };
            let (Some(asked), Some(number)) = (number_of(value), number_of(&held)) else { continue };
            // A value of another program with this identity may have come to the hub since, and be on its way here.
            let told = app.session.config.shared;
            let text = |value| nanostate::wire::from_msgpack(value).chars().take(40).collect::<String>();
            assert!(
                number >= asked || told,
                "{name} of {identity} is acked with {}, and the hub holds {}",
                text(value),
                text(&held)
            );
        }
    }

    // ---- time

    fn gather_events(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        for (w, wire) in self.wires.iter().enumerate() {
            for side in 0..2 {
                let end = &wire.ends[side];
                if !end.open || self.nodes[end.node].process.is_none() || self.is_asleep(end.node) {
                    continue;
                }
                if end.reads_from <= self.mono && (!end.pipe.is_empty() || end.end.is_some()) {
                    events.push(Event::Read(w, side));
                }
                let other = &wire.ends[1 - side];
                let room = other.pipe.len() < wire.capacity || other.end.is_some() || !other.open;
                if (end.blocked && room) || (end.later && !end.blocked) {
                    events.push(Event::Write(w, side));
                }
            }
        }
        let due = |dial: &Dial| dial.at <= self.mono && !self.is_asleep(dial.node) && !self.listener_sleeps(&dial.url);
        events.extend((0..self.dials.len()).filter(|&d| due(&self.dials[d])).map(Event::Dial));
        for (id, node) in self.nodes.iter_mut().enumerate().filter(|(_, node)| node.asleep.is_none()) {
            let Some(process) = node.process.as_mut() else { continue };
            let (is_ready, deadline) = (process.protocol().is_ready(), process.protocol().deadline());
            if is_ready || deadline.is_some_and(|at| node.at(at) <= self.mono) {
                events.push(Event::Tick(id));
            }
        }
        self.events = events;
    }

    fn listener_sleeps(&self, url: &str) -> bool {
        self.listeners.get(url).is_some_and(|&id| self.is_asleep(id))
    }

    /// When anything happens next by itself.
    fn next_time(&mut self) -> Option<u64> {
        let mut next: Option<u64> = None;
        let mut at = |time: u64| {
            if time != u64::MAX {
                next = Some(next.map_or(time, |next| next.min(time)));
            }
        };
        for end in self.wires.iter().flat_map(|wire| &wire.ends) {
            let asleep = self.nodes[end.node].asleep.is_some();
            if end.open && !asleep && end.reads_from > self.mono && (!end.pipe.is_empty() || end.end.is_some()) {
                at(end.reads_from);
            }
        }
        let awake = |dial: &&Dial| !self.is_asleep(dial.node) && !self.listener_sleeps(&dial.url);
        self.dials.iter().filter(awake).for_each(|dial| at(dial.at));
        for node in &mut self.nodes {
            if let Some((_, until)) = node.asleep {
                at(until);
            } else if let Some(deadline) = node.process.as_mut().and_then(|process| process.protocol().deadline()) {
                at(node.at(deadline));
            }
        }
        next
    }

    /// Lets one thing happen, any of those that can. False: nothing can before `until`.
    pub fn step(&mut self, until: u64) -> bool {
        self.wake(false);
        self.gather_events();
        if self.events.is_empty() {
            match self.next_time() {
                Some(time) if time <= until => self.mono = self.mono.max(time),
                _ => {
                    self.mono = self.mono.max(until);
                    return false;
                }
            }
            return true;
        }
        let event = self.events[self.rng.index(self.events.len())];
        self.mono += self.rng.below(20_000);
        match event {
            Event::Read(w, side) => self.read(w, side),
            Event::Write(w, side) => {
                self.wires[w].ends[side].blocked = false;
                self.write(w, side);
            }
            Event::Dial(d) => {
                let dial = self.dials.swap_remove(d);
                self.connect(dial);
            }
            Event::Tick(id) => {
                let now = self.now(id);
                if let Some(process) = &mut self.nodes[id].process {
                    process.protocol().tick(now);
                    self.act(id);
                }
            }
        }
        true
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: u64) {
        let until = self.mono + time;
        let mut steps = 0u64;
        while self.mono < until && self.step(until) {
            steps += 1;
            assert!(steps < 5_000_000, "something happens without end");
        }
    }

    /// Lets everything happen that happens without a fault: nobody stalls, and every app that is not refused gets its
    /// link. Gives up after ten minutes.
    pub fn settle(&mut self) {
        self.wake(true);
        for end in self.wires.iter_mut().flat_map(|wire| &mut wire.ends) {
            if end.reads_from != u64::MAX {
                end.reads_from = 0;
            }
        }
        let until = self.mono + 600 * SEC;
        loop {
            self.gather_events();
            let ready = |node: &mut Node| node.process.as_mut().is_some_and(|process| process.protocol().is_ready());
            let busy =
                self.events.iter().any(|event| !matches!(event, Event::Tick(_))) || self.nodes.iter_mut().any(ready);
            if !busy && self.dials.is_empty() && self.alive_apps().into_iter().all(|id| self.is_linked(id)) {
                return;
            }
            assert!(self.mono < until, "it does not settle");
            self.step(until);
        }
    }

    fn is_linked(&mut self, id: Id) -> bool {
        matches!(self.app(id).session.link(), LinkState::Connected | LinkState::Refused | LinkState::Idle)
    }

    // ---- the promise

    /// Every app has the last value of each key of every other that lives, and the newest of any sender is the same
    /// for all.
    pub fn check_promise(&mut self) {
        let apps = self.alive_apps();
        for &id in &apps {
            self.app(id).take();
        }
        let sent: Vec<_> = apps
            .iter()
            .filter(|&&id| matches!(self.nodes[id].process, Some(Process::App(_))))
            .map(|&id| {
                let app = match &self.nodes[id].process {
                    Some(Process::App(app)) => app,
                    _ => unreachable!("filtered"),
                };
                (id, app.identity.clone(), app.sent.clone(), app.session.link())
            })
            .collect();
        for &receiver in &apps {
            if self.app(receiver).session.link() != LinkState::Connected {
                continue;
            }
            for (sender, identity, values, link) in &sent {
                if *sender == receiver || *link != LinkState::Connected {
                    continue;
                }
                for (name, (kind, value)) in values {
                    let app = self.app(receiver);
                    let key = (identity.clone(), name.clone());
                    let got = app.newest.get(&key).map(|(_, value)| value);
                    if kind.mask() & app.accept != 0 && got != Some(value) {
                        self.tell_what_is_missing(receiver, *sender, &key);
                    }
                }
            }
        }
        self.check_newest_of_any(&apps);
    }

    fn tell_what_is_missing(&mut self, receiver: Id, sender: Id, key: &(String, String)) -> ! {
        let short = |value: &[u8]| nanostate::wire::from_msgpack(value).chars().take(40).collect::<String>();
        let app = self.app(receiver);
        let got = app.newest.get(key).map(|(stamp, value)| (short(value), *stamp));
        let who = app.identity.clone();
        let app = self.app(sender);
        let own = app.session.get(Some(&key.0), &key.1).map(|state| state.stamp());
        let sent = (short(&app.sent[&key.1].1), own);
        let held = self.nodes.iter().filter_map(|node| match &node.process {
            Some(Process::Hub(router)) => router.table().find(&key.0, &key.1).map(|entry| entry.stamp()),
            _ => None,
        });
        panic!("{key:?}: {who} got {got:?}, sent was {sent:?}, the hub holds {:?}", held.collect::<Vec<_>>());
    }

    /// The counters of a hub agree with each other.
    pub fn check_counters(&mut self, id: Id) {
        let router = self.hub(id);
        let stats = router.stats();
        assert_eq!(stats.malformed, stats.malformed_by.iter().sum::<u64>());
        assert_eq!(stats.states, router.table().iter().count() as u64);
        let mut peers = 0;
        for peer in router.peer_stats() {
            assert!(peer.outbox_bytes == 0 || !peer.live, "{}: {} bytes wait", peer.from, peer.outbox_bytes);
            peers += 1;
        }
        assert_eq!(stats.peers, peers);
    }

    fn check_newest_of_any(&mut self, apps: &[Id]) {
        let mut names = BTreeSet::new();
        for &id in apps {
            names.extend(self.app(id).sent.keys().cloned());
        }
        let full: Vec<_> = apps
            .iter()
            .copied()
            .filter(|&id| {
                let app = self.app(id);
                app.accept == ACCEPT_ANY && app.session.link() == LinkState::Connected
            })
            .collect();
        for name in names.difference(&self.orphans.clone()) {
            let newest: Vec<_> = full
                .iter()
                .map(|&id| self.app(id).session.get(None, name).map(|state| (state.stamp(), state.msgpack().to_vec())))
                .collect();
            assert!(newest.windows(2).all(|pair| pair[0] == pair[1]), "the newest {name} is not the same for all");
        }
    }
}
