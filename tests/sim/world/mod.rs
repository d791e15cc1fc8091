//! The network, and the processes that it connects.

mod checks;
mod driver;
mod faults;
mod processes;
mod shelf;
mod time;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nanostate::engine::app::Session;
use nanostate::engine::hub::{Router, RouterConfig};
use nanostate::engine::{Closed, ConnId, Now};
use nanostate::time::{BootTime, MonoTime, WallTime};
use nanostate::wire::Secret;
use nanostate::{Kind, Status, Value};

use super::{value, OldHub, OldPeer, RawPeer, Rng};
use processes::Ack;
pub use processes::{App, Process};
use shelf::Disk;
pub use shelf::Shelf;

/// A millisecond and a second, in nanoseconds.
pub const MS: u64 = 1_000_000;
pub const SEC: u64 = 1000 * MS;

/// When the world began, in milliseconds since 1970.
const EPOCH: u64 = 1_800_000_000_000;

/// What a hub adds to a full outbox at most: one walk fill and what frames and answers need.
const SLACK: usize = (256 << 10) + (8 << 10);

/// The name of a process.
pub type Id = usize;

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
    Written(Id),
}

/// All there is.
pub struct World {
    pub rng: Rng,
    pub mono: u64,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    dials: Vec<Dial>,
    listeners: BTreeMap<String, Id>,
    disks: BTreeMap<Id, Disk>,
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
            disks: BTreeMap::new(),
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

    /// The hub may leave messages for later turns much sooner than usual.
    pub fn add_hub(&mut self, url: &str, mut config: RouterConfig) -> Id {
        config.messages = self.rng.pick(&[1, 100, config.messages]);
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

    /// Publishes the next value of this kind and size, or clears the one before, and waits for nothing.
    pub fn publish(&mut self, id: Id, name: &str, kind: Kind, size: usize) -> Result<(), Status> {
        self.number += 1;
        let value = value(kind, self.number, size);
        let now = self.now(id);
        let app = self.app(id);
        let done = match kind {
            Kind::Cleared => app.session.clear(now, name),
            kind => app.session.publish(now, name, Value::Msgpack(&value), kind),
        };
        let done = done.map_err(|error| error.status());
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
        let number = self.number;
        let app = self.app(id);
        let version = app.session.request_ack();
        if !app.session.is_acked(version) {
            let sent = app.sent.iter().map(|(name, (_, value))| (name.clone(), value.clone())).collect();
            app.ack = Some(Ack { version, sent, number });
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
}
