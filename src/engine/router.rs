//! A hub: takes every value once, keeps the newest of each key, and feeds the peers.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;

use super::clock::HybridClock;
use super::feed::Feed;
use super::hash::{key_hasher, KeyHasher};
use super::outbox::Pool;
use super::table::{Entry, Offer, Refusal, Room, Slot, Table};
use super::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use crate::framing::{header, parse_header, Decoder, Frame, Version, HEADER_LEN};
use crate::wire::{self, Body, Control, Form, HelloFlags, Instance, Malformed, Meta, Stamp};
use crate::{limits, Error, Status};

/// What can be set. Times are in nanoseconds but for `clock_ahead`, in milliseconds.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// The largest body without its meta.
    pub max_message: usize,
    /// The largest body towards an old peer.
    pub legacy_max: usize,
    /// Peers.
    pub max_peers: usize,
    /// What may wait for a live peer.
    pub outbox: usize,
    /// Unfinished incoming frames, together.
    pub unfinished: usize,
    /// How long one of them may make no progress.
    pub stalled_frame: u64,
    /// How long a handshake may take.
    pub handshake: u64,
    /// How far a stamp may be ahead.
    pub clock_ahead: u64,
    /// Whether states go back to where they came from.
    pub echo: bool,
    /// Whether old peers get structured and scalar states.
    pub legacy_structured: bool,
    /// Whether an old peer that joins gets what is in the table.
    pub legacy_snapshot: bool,
}

impl Default for RouterConfig {
    fn default() -> RouterConfig {
        RouterConfig {
            max_message: limits::MAX_MESSAGE,
            legacy_max: limits::LEGACY_MAX,
            max_peers: limits::MAX_PEERS,
            outbox: limits::OUTBOX,
            unfinished: limits::UNFINISHED,
            stalled_frame: limits::STALLED_FRAME.as_nanos() as u64,
            handshake: limits::HANDSHAKE.as_nanos() as u64,
            clock_ahead: limits::CLOCK_AHEAD.as_millis() as u64,
            echo: false,
            legacy_structured: false,
            legacy_snapshot: false,
        }
    }
}

/// What happened to a peer. The numbers are those of the C API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum PeerEvent {
    /// It takes part.
    Joined = 1,
    /// It took part and is gone.
    Left = 2,
    /// It was not let in.
    Refused = 3,
}

/// What a router tells its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouterEvent {
    /// A peer came or went.
    Peer {
        /// Its identity; empty for an old peer, whose messages each name a sender.
        identity: String,
        /// Where it is.
        from: String,
        /// What happened.
        event: PeerEvent,
        /// Why; [`Status::Ok`] when it came.
        why: Status,
        /// Why, in words.
        text: String,
    },
    /// Something that the operator should know, once per peer.
    Warning(String),
}

/// Counters of a hub since it was made, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Now: peers that take part.
    pub peers: u64,
    /// Now: old ones among them.
    pub old_peers: u64,
    /// Peers that were let in.
    pub joined: u64,
    /// Peers that were not.
    pub refused_peers: u64,
    /// Now: entries of the table.
    pub states: u64,
    /// Now: bytes allocated for them.
    pub table_bytes: u64,
    /// Now: bytes allocated for unfinished incoming frames.
    pub unfinished_bytes: u64,
    /// States that were taken.
    pub messages_in: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// States that were passed on, counted for each receiver.
    pub messages_out: u64,
    /// Bytes of their bodies.
    pub bytes_out: u64,
    /// States that a receiver was not sent because a newer one took their place.
    pub conflated: u64,
    /// States that a receiver was not sent: of a kind it does not take, or too large for an old peer.
    pub withheld: u64,
    /// States that were not taken for want of room.
    pub refused: u64,
    /// States that were not newer than the one held.
    pub stale: u64,
    /// Stamps that were too far ahead.
    pub clamped: u64,
    /// Frames over the limit.
    pub too_large: u64,
    /// States whose sender is another peer's identity.
    pub foreign_sender: u64,
    /// `$ns/` messages on old links.
    pub reserved: u64,
    /// Bodies that are malformed, all reasons together.
    pub malformed: u64,
    /// The same by reason, in the order of [`Malformed::ALL`].
    pub malformed_by: [u64; Malformed::COUNT],
}

/// Counters of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// Its identity; empty for an old peer.
    pub identity: String,
    /// Where it is.
    pub from: String,
    /// Whether it is an old peer.
    pub old: bool,
    /// Whether it keeps up.
    pub live: bool,
    /// States taken from it.
    pub messages_in: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// States passed on to it.
    pub messages_out: u64,
    /// Bytes of their bodies.
    pub bytes_out: u64,
    /// States it was not sent because newer ones took their place.
    pub conflated: u64,
    /// States it was not sent because of their kind or size.
    pub withheld: u64,
    /// Its bodies that were malformed.
    pub malformed: u64,
    /// Its frames that were over the limit.
    pub too_large: u64,
    /// Bytes that wait for it now.
    pub outbox_bytes: u64,
}

enum Stage {
    /// Its SP header is being read.
    Header([u8; HEADER_LEN], usize),
    /// A v1 link that has not said hello.
    Hello,
    /// Its identity is held by `holder`, who is being asked whether it lives.
    Probing { holder: ConnId, token: u64, until: u64 },
    /// It takes part.
    Up,
    /// To be closed.
    Closing,
}

/// What decides which entries a peer is sent.
struct Profile {
    conn: ConnId,
    old: bool,
    identity: Box<str>,
    instance: Instance,
    accept: u32,
    echo: bool,
}

enum Verdict {
    Send,
    /// It came from there.
    Own,
    /// Of a kind that it does not take, or too large for it.
    Withhold,
}

impl Profile {
    fn verdict(&self, config: &RouterConfig, entry: &Entry) -> Verdict {
        let own = entry.origin() == Some(self.conn) || (!self.old && entry.stamp().instance == self.instance);
        if own && !config.echo && !self.echo {
            return Verdict::Own;
        }
        let takes = if self.old {
            (entry.kind().is_plain() || config.legacy_structured) && entry.meta_at() <= config.legacy_max
        } else {
            // An app has to know of the values of an earlier run under its identity, to make newer ones.
            entry.kind().mask() & self.accept != 0 || entry.sender() == &*self.identity
        };
        if takes {
            Verdict::Send
        } else {
            Verdict::Withhold
        }
    }
}

struct Peer {
    info: ConnInfo,
    stage: Stage,
    profile: Profile,
    feed: Feed,
    decoder: Decoder,
    /// What the decoder had allocated when last looked at.
    unfinished: usize,
    epoch: u64,
    flags: HelloFlags,
    opened: u64,
    progress: u64,
    flushing: bool,
    /// The newest ping that found no room for its answer.
    pong: Option<u64>,
    counters: PeerStats,
    warned: Warned,
}

/// What was logged of a peer: each once.
#[derive(Default)]
struct Warned {
    malformed: bool,
    withheld: bool,
    refused: bool,
    other: bool,
}

impl Peer {
    fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    /// Whether an answer may be added: who asks and does not read must not fill memory.
    fn has_room(&self, config: &RouterConfig) -> bool {
        self.feed.waiting() <= config.outbox
    }

    fn name(&self) -> String {
        if self.profile.identity.is_empty() {
            self.info.from.clone()
        } else {
            // Escaped: a name of the other side must not forge a line of the log.
            format!("{} ({})", self.profile.identity.escape_debug(), self.info.from)
        }
    }
}

/// Chunks of each size that a hub keeps for later of what waited to be written: 5.3 MiB.
const POOLED: usize = 64;

/// A hub's engine.
pub struct Router {
    /// What can be set; changes count from then on.
    pub config: RouterConfig,
    instance: Instance,
    clock: HybridClock,
    /// The latest that the wall clock said: set back, it must not make what was right look too far ahead.
    latest_wall: u64,
    last_clamped: u64,
    table: Table,
    peers: Vec<Peer>,
    by_conn: HashMap<ConnId, usize>,
    identities: HashMap<Box<str>, Vec<ConnId>, KeyHasher>,
    actions: VecDeque<Action>,
    /// Closing peers whose [`Action::Close`] was handed out.
    gone: Vec<ConnId>,
    events: VecDeque<RouterEvent>,
    stats: HubStats,
    unfinished: usize,
    deadline: Option<u64>,
    next_token: u64,
    scratch: Vec<u8>,
    pool: Pool,
}

impl Router {
    /// A hub without peers. `instance` is random and made for it.
    pub fn new(instance: Instance, config: RouterConfig) -> Router {
        Router {
            config,
            instance,
            clock: HybridClock::default(),
            latest_wall: 0,
            last_clamped: 0,
            table: Table::new(Room::default()),
            peers: Vec::new(),
            by_conn: HashMap::new(),
            identities: HashMap::with_hasher(key_hasher()),
            actions: VecDeque::new(),
            gone: Vec::new(),
            events: VecDeque::new(),
            stats: HubStats::default(),
            unfinished: 0,
            deadline: None,
            next_token: 1,
            scratch: Vec::new(),
            pool: Pool::new(POOLED),
        }
    }

    /// What the table may hold.
    pub fn room_mut(&mut self) -> &mut Room {
        &mut self.table.room
    }

    /// The newest values.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The next thing that the owner should hear of.
    pub fn next_event(&mut self) -> Option<RouterEvent> {
        self.events.pop_front()
    }

    /// Counters of the whole hub.
    pub fn stats(&self) -> HubStats {
        let mut stats = self.stats.clone();
        stats.states = self.table.len() as u64;
        stats.table_bytes = self.table.bytes() as u64;
        stats.unfinished_bytes = self.unfinished as u64;
        for peer in self.peers.iter().filter(|peer| peer.is_up()) {
            stats.peers += 1;
            stats.old_peers += u64::from(peer.profile.old);
            stats.messages_out += peer.feed.sent;
            stats.bytes_out += peer.feed.sent_bytes;
            stats.conflated += peer.feed.conflated();
        }
        stats
    }

    /// Counters of the `i`th peer that takes part.
    pub fn peer_stats(&self, i: usize) -> Option<PeerStats> {
        let peer = self.peers.iter().filter(|peer| peer.is_up()).nth(i)?;
        Some(PeerStats {
            identity: peer.profile.identity.to_string(),
            from: peer.info.from.clone(),
            old: peer.profile.old,
            live: peer.feed.is_live(),
            messages_out: peer.feed.sent,
            bytes_out: peer.feed.sent_bytes,
            conflated: peer.feed.conflated(),
            outbox_bytes: peer.feed.waiting() as u64,
            ..peer.counters.clone()
        })
    }

    fn set_deadline(&mut self, at: u64) {
        self.deadline = Some(self.deadline.map_or(at, |deadline| deadline.min(at)));
    }

    fn flush(actions: &mut VecDeque<Action>, peer: &mut Peer) {
        if !mem::replace(&mut peer.flushing, true) {
            actions.push_back(Action::Flush(peer.profile.conn));
        }
    }

    /// Sends a control message, or, to a peer that is not yet asked to, nothing.
    fn control_to(&mut self, i: usize, control: &Control<'_>) {
        self.scratch.clear();
        control.encode(wire::HUB_SENDER, &mut self.scratch);
        let peer = &mut self.peers[i];
        peer.feed.message(&self.scratch);
        Self::flush(&mut self.actions, peer);
    }

    fn warn(&mut self, i: usize, once: impl FnOnce(&mut Warned) -> &mut bool, text: impl FnOnce() -> String) {
        let peer = &mut self.peers[i];
        if !mem::replace(once(&mut peer.warned), true) {
            self.events.push_back(RouterEvent::Warning(format!("{}: {}", peer.name(), text())));
        }
    }

    /// Removes peers whose close was carried out.
    fn reap(&mut self) {
        while let Some(conn) = self.gone.pop() {
            self.remove(conn);
        }
    }

    fn remove(&mut self, conn: ConnId) {
        let Some(i) = self.by_conn.remove(&conn) else { return };
        let peer = self.peers.swap_remove(i);
        self.unfinished -= peer.unfinished;
        if let Some(moved) = self.peers.get(i) {
            self.by_conn.insert(moved.profile.conn, i);
        }
    }

    /// The peer is no longer one: tells the owner, frees its identity.
    fn leave(&mut self, now: Now, i: usize, why: Status, text: String) {
        let peer = &mut self.peers[i];
        let event = match mem::replace(&mut peer.stage, Stage::Closing) {
            Stage::Closing => return,
            Stage::Up => PeerEvent::Left,
            _ => PeerEvent::Refused,
        };
        let (conn, identity) = (peer.profile.conn, peer.profile.identity.to_string());
        self.events.push_back(RouterEvent::Peer {
            identity: identity.clone(),
            from: peer.info.from.clone(),
            event,
            why,
            text,
        });
        if event == PeerEvent::Refused {
            self.stats.refused_peers += 1;
            return;
        }
        self.stats.messages_out += peer.feed.sent;
        self.stats.bytes_out += peer.feed.sent_bytes;
        self.stats.conflated += peer.feed.conflated();
        if let Some(holders) = self.identities.get_mut(identity.as_str()) {
            holders.retain(|&holder| holder != conn);
            if holders.is_empty() {
                self.identities.remove(identity.as_str());
            }
        }
        self.table.departed(now.mono, conn);
        if let Some(&other) = self.identities.get(identity.as_str()).and_then(|holders| holders.first()) {
            self.table.arrived(&identity, other);
        }
        if let Some(at) = self.table.next_expiry() {
            self.set_deadline(at);
        }
        self.admit_waiting(now, conn);
    }

    /// Ends the connection from this side.
    fn close(&mut self, now: Now, i: usize, why: Status, text: String) {
        if !matches!(self.peers[i].stage, Stage::Closing) {
            self.actions.push_back(Action::Close(self.peers[i].profile.conn));
            self.leave(now, i, why, text);
        }
    }

    /// Tells the app why, and ends the connection.
    fn refuse(&mut self, now: Now, i: usize, status: Status, text: String) {
        self.control_to(i, &Control::Refuse { status: status.code(), text: &text });
        self.close(now, i, status, text);
    }

    fn header_done(&mut self, now: Now, i: usize, bytes: [u8; HEADER_LEN]) {
        let peer = &mut self.peers[i];
        let version = match parse_header(&bytes) {
            Ok(version) => version,
            Err(error) => return self.close(now, i, Status::Invalid, error.to_string()),
        };
        peer.feed.raw(&header(version));
        Self::flush(&mut self.actions, peer);
        match version {
            Version::V1 => peer.stage = Stage::Hello,
            Version::Old => {
                peer.profile.old = true;
                peer.counters.old = true;
                peer.feed.set_old();
                let snapshot = self.config.legacy_snapshot;
                self.join(i, snapshot);
            }
        }
    }

    fn join(&mut self, i: usize, snapshot: bool) {
        let peer = &mut self.peers[i];
        peer.stage = Stage::Up;
        if snapshot {
            peer.feed.walk_all(&self.table);
        }
        self.stats.joined += 1;
        self.events.push_back(RouterEvent::Peer {
            identity: peer.profile.identity.to_string(),
            from: peer.info.from.clone(),
            event: PeerEvent::Joined,
            why: Status::Ok,
            text: String::new(),
        });
        Self::flush(&mut self.actions, peer);
    }

    /// `shared`: the same bytes, where they have an allocation that may be kept.
    fn body(&mut self, now: Now, i: usize, bytes: &[u8], shared: Option<&Arc<Vec<u8>>>) {
        match self.peers[i].stage {
            Stage::Closing => {}
            Stage::Up if self.peers[i].profile.old => self.old_body(now, i, bytes),
            _ => self.v1_body(now, i, bytes, shared),
        }
    }

    fn malformed(&mut self, i: usize, reason: Malformed) {
        self.stats.malformed += 1;
        self.stats.malformed_by[reason.index()] += 1;
        self.peers[i].counters.malformed += 1;
        self.warn(i, |warned| &mut warned.malformed, || format!("malformed message: {reason}"));
    }

    fn too_large(&mut self, i: usize, len: u64) {
        self.stats.too_large += 1;
        self.peers[i].counters.too_large += 1;
        let max = self.config.max_message;
        self.warn(i, |warned| &mut warned.other, || format!("message of {len} bytes refused: the limit is {max}"));
    }

    fn foreign_sender(&mut self, i: usize, sender: &str) {
        self.stats.foreign_sender += 1;
        self.warn(i, |warned| &mut warned.other, || format!("states sent as {sender:?} refused: not its identity"));
    }

    fn old_body(&mut self, now: Now, i: usize, bytes: &[u8]) {
        let body = match wire::decode(bytes, Form::Old) {
            Ok(body) => body,
            Err(reason) => return self.malformed(i, reason),
        };
        if body.is_reserved() {
            self.stats.reserved += 1;
            return self.warn(i, |warned| &mut warned.other, || format!("{:?} refused: reserved", body.name));
        }
        if self.identities.contains_key(body.sender) {
            return self.foreign_sender(i, body.sender);
        }
        if body.meta_at > self.config.max_message {
            return self.too_large(i, body.meta_at as u64);
        }
        let stamp = Stamp { clock: self.clock.tick(now.wall), instance: self.instance };
        self.take(i, &body, stamp, None);
    }

    fn v1_body(&mut self, now: Now, i: usize, bytes: &[u8], shared: Option<&Arc<Vec<u8>>>) {
        let body = match wire::decode(bytes, Form::V1) {
            Ok(body) => body,
            Err(reason) => return self.malformed(i, reason),
        };
        if body.is_reserved() {
            return match Control::decode(&body) {
                Ok(control) => self.control(now, i, body.sender, control),
                Err(reason) => self.malformed(i, reason),
            };
        }
        let peer = &self.peers[i];
        if !peer.is_up() {
            return self.close(now, i, Status::Invalid, "a state before the welcome".into());
        }
        if body.sender != &*peer.profile.identity {
            return self.foreign_sender(i, body.sender);
        }
        if body.meta_at > self.config.max_message {
            return self.too_large(i, body.meta_at as u64);
        }
        let Some(stamp) = body.meta.stamp else {
            let stamp = Stamp { clock: self.clock.tick(now.wall), instance: peer.profile.instance };
            return self.take(i, &body, stamp, None);
        };
        self.latest_wall = self.latest_wall.max(now.wall);
        let latest = self.latest_wall.saturating_add(self.config.clock_ahead);
        if stamp.millis() > latest {
            self.stats.clamped += 1;
            // Newer than all that was not clamped, in the order of their arrival, and never newer than it says.
            self.last_clamped = ((latest + 1) << 16).max(self.last_clamped + 1);
            let clock = self.last_clamped.min(stamp.clock);
            return self.take(i, &body, Stamp { clock, ..stamp }, None);
        }
        self.clock.observe(stamp.clock);
        self.take(i, &body, stamp, body.canonical.then_some((bytes, shared)));
    }

    /// Puts a value into the table and passes it on. `bytes`: the body as it came, and where it may be kept, if it is
    /// to be passed on as it is.
    fn take(&mut self, i: usize, body: &Body<'_>, stamp: Stamp, bytes: Option<Canonical<'_>>) {
        let mut scratch = mem::take(&mut self.scratch);
        let (bytes, shared, meta_at) = match bytes {
            Some((bytes, shared)) => (bytes, shared, body.meta_at),
            None => {
                scratch.clear();
                let meta_at = stamped(body, stamp, &mut scratch);
                (&scratch[..], None, meta_at)
            }
        };
        let origin = Some(self.peers[i].profile.conn);
        let (sender, name, kind) = (body.sender, body.name, body.kind);
        let offer = Offer { body: bytes, shared, meta_at, sender, name, kind, stamp, origin };
        let len = bytes.len() as u64;
        let taken = self.table.offer(offer);
        self.scratch = scratch;
        match taken {
            Ok(slot) => {
                self.stats.messages_in += 1;
                self.stats.bytes_in += len;
                let counters = &mut self.peers[i].counters;
                counters.messages_in += 1;
                counters.bytes_in += len;
                self.route(slot);
            }
            Err(Refusal::Stale) => self.stats.stale += 1,
            Err(Refusal::Full) => {
                self.stats.refused += 1;
                if !self.peers[i].profile.old && self.peers[i].has_room(&self.config) {
                    self.control_to(i, &Control::Rejected { status: Status::Full.code(), name });
                }
                self.warn(i, |warned| &mut warned.refused, || format!("{name:?} not taken: the hub's table is full"));
            }
        }
    }

    fn route(&mut self, slot: Slot) {
        let Router { table, peers, config, actions, stats, events, .. } = self;
        let Some(entry) = table.get(slot) else { return };
        for peer in peers.iter_mut().filter(|peer| peer.is_up()) {
            match peer.profile.verdict(config, entry) {
                Verdict::Send => {
                    peer.feed.change(table, entry);
                    Self::flush(actions, peer);
                }
                Verdict::Own => {}
                Verdict::Withhold => withheld(peer, entry, config, stats, events),
            }
        }
    }

    fn control(&mut self, now: Now, i: usize, sender: &str, control: Control<'_>) {
        let up = self.peers[i].is_up();
        match control {
            Control::Hello { instance, epoch, accept, flags } if matches!(self.peers[i].stage, Stage::Hello) => {
                let peer = &mut self.peers[i];
                peer.profile.identity = sender.into();
                peer.epoch = epoch;
                peer.flags = flags;
                peer.profile.instance = instance;
                peer.profile.accept = accept;
                peer.profile.echo = flags.contains(HelloFlags::ECHO);
                match wire::check_identity(sender) {
                    Ok(()) if sender != wire::HUB_SENDER => self.admit(now, i),
                    Ok(()) => self.refuse(now, i, Status::Identity, format!("the identity {sender:?} is reserved")),
                    Err(error) => self.refuse(now, i, error.status(), error.to_string()),
                }
            }
            Control::Ping { token } if up && self.peers[i].has_room(&self.config) => {
                self.peers[i].pong = None;
                self.control_to(i, &Control::Pong { token });
            }
            Control::Ping { token } if up => self.peers[i].pong = Some(token),
            Control::Pong { token } if up => self.holder_lives(now, self.peers[i].profile.conn, token),
            Control::Accept { mask } if up => {
                let peer = &mut self.peers[i];
                // Said again, it asks for what the app itself left out.
                let more = mask & !peer.profile.accept != 0 || mask == peer.profile.accept;
                peer.profile.accept = mask;
                if more {
                    peer.feed.walk_all(&self.table);
                    Self::flush(&mut self.actions, peer);
                }
            }
            Control::Unknown if up => {}
            _ => self.close(now, i, Status::Invalid, "a $ns/ message out of place".into()),
        }
    }

    /// Lets a v1 peer in that has said hello, unless its identity is held by another.
    fn admit(&mut self, now: Now, i: usize) {
        // Who waited for a holder that makes room for this peer waits for this peer from then on.
        let mut waiting = Vec::new();
        if self.make_room(now, i, &mut waiting) {
            let (conn, identity) = (self.peers[i].profile.conn, self.peers[i].profile.identity.clone());
            self.table.arrived(&identity, conn);
            self.identities.entry(identity).or_default().push(conn);
            let (instance, max_message) = (self.instance, self.config.max_message as u64);
            self.control_to(i, &Control::Welcome { instance, max_message, wall: now.wall });
            self.join(i, true);
        }
        for waits in waiting {
            self.admit(now, waits);
        }
    }

    /// Whether nobody is left who holds the identity of this peer for himself. If not, the peer is refused, or the
    /// holder asked.
    fn make_room(&mut self, now: Now, i: usize, waiting: &mut Vec<usize>) -> bool {
        let (instance, epoch, flags) = {
            let peer = &self.peers[i];
            (peer.profile.instance, peer.epoch, peer.flags)
        };
        let identity = self.peers[i].profile.identity.clone();
        let holds_alone = |router: &Router, holder: ConnId| {
            let held = &router.peers[router.by_conn[&holder]];
            !(flags.contains(HelloFlags::SHARED) && held.flags.contains(HelloFlags::SHARED))
                || held.profile.instance == instance
        };
        // Asked anew each time: closing one holder may let in another that waited.
        while let Some(holder) =
            self.identities.get(&identity).and_then(|held| held.iter().copied().find(|&h| holds_alone(self, h)))
        {
            let h = self.by_conn[&holder];
            let held = &self.peers[h];
            if held.profile.instance == instance {
                if epoch <= held.epoch {
                    self.refuse(now, i, Status::IdentityTaken, "a newer connection of the same app".into());
                    return false;
                }
                self.set_aside(holder, waiting);
                self.close(now, h, Status::Closed, "replaced by a newer connection of the same app".into());
            } else if flags.contains(HelloFlags::TAKE_OVER) {
                let text = format!("{identity} was taken over by {}", self.peers[i].info.from);
                self.set_aside(holder, waiting);
                self.refuse(now, h, Status::IdentityTaken, text);
            } else {
                let token = self.next_token;
                self.next_token += 1;
                let until = now.mono + limits::IDENTITY_PROBE.as_nanos() as u64;
                self.peers[i].stage = Stage::Probing { holder, token, until };
                self.set_deadline(until);
                self.control_to(h, &Control::Ping { token });
                return false;
            }
        }
        true
    }

    /// Takes out who waits for this holder, so that its leaving does not let them in.
    fn set_aside(&mut self, gone: ConnId, waiting: &mut Vec<usize>) {
        for (i, peer) in self.peers.iter_mut().enumerate() {
            if matches!(peer.stage, Stage::Probing { holder, .. } if holder == gone) {
                peer.stage = Stage::Hello;
                waiting.push(i);
            }
        }
    }

    /// A probed holder answered: who asked for its identity is refused.
    fn holder_lives(&mut self, now: Now, conn: ConnId, answered: u64) {
        for i in 0..self.peers.len() {
            let stage = &self.peers[i].stage;
            if matches!(stage, Stage::Probing { holder, token, .. } if *holder == conn && *token == answered) {
                let text = format!("{} is held by another app", self.peers[i].profile.identity);
                self.refuse(now, i, Status::IdentityTaken, text);
            }
        }
    }

    /// `gone` left: who waited for its identity is let in.
    fn admit_waiting(&mut self, now: Now, gone: ConnId) {
        for i in 0..self.peers.len() {
            if matches!(self.peers[i].stage, Stage::Probing { holder, .. } if holder == gone) {
                self.peers[i].stage = Stage::Hello;
                self.admit(now, i);
            }
        }
    }

    fn frames(&mut self, now: Now, i: usize, mut input: &[u8]) {
        let framing = self.peers[i].info.framing;
        let max = self.config.max_message + limits::MAX_META;
        let mut decoder = mem::replace(&mut self.peers[i].decoder, Decoder::new(framing, max));
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Frame::Body(body))) => self.body(now, i, body, None),
                Ok(Some(Frame::Large(body))) => {
                    let body = Arc::new(body);
                    self.body(now, i, &body, Some(&body));
                }
                Ok(Some(Frame::TooLarge(len))) => self.too_large(i, len),
                Ok(None) => break,
                Err(error) => {
                    self.close(now, i, Status::Invalid, error.to_string());
                    break;
                }
            }
            if matches!(self.peers[i].stage, Stage::Closing) {
                break;
            }
        }
        let unfinished = decoder.unfinished();
        let peer = &mut self.peers[i];
        peer.progress = now.mono;
        self.unfinished = self.unfinished - peer.unfinished + decoder.allocated();
        peer.unfinished = decoder.allocated();
        peer.decoder = decoder;
        if unfinished {
            self.set_deadline(now.mono + self.config.stalled_frame);
        }
        if self.unfinished > self.config.unfinished {
            let text = format!("unfinished messages of all peers exceed {} bytes", self.config.unfinished);
            self.close(now, i, Status::NoMemory, text);
        }
    }
}

fn withheld(
    peer: &mut Peer,
    entry: &Entry,
    config: &RouterConfig,
    stats: &mut HubStats,
    events: &mut VecDeque<RouterEvent>,
) {
    stats.withheld += 1;
    peer.counters.withheld += 1;
    if peer.profile.old && !mem::replace(&mut peer.warned.withheld, true) {
        let (peer, name, kind) = (peer.name(), entry.name(), entry.kind().name());
        let text = if entry.meta_at() > config.legacy_max {
            format!("{peer}: {name:?} of {} bytes withheld from an old peer; --legacy-max allows it", entry.meta_at())
        } else {
            format!("{peer}: {name:?} ({kind}) withheld from an old peer; --legacy-structured allows it")
        };
        events.push_back(RouterEvent::Warning(text));
    }
}

/// A body as it is to be passed on, and the allocation that holds it, if that may be kept.
type Canonical<'a> = (&'a [u8], Option<&'a Arc<Vec<u8>>>);

/// Writes a body again, canonical and with this stamp; returns where its meta begins.
fn stamped(body: &Body<'_>, stamp: Stamp, out: &mut Vec<u8>) -> usize {
    let meta = Meta { stamp: Some(stamp), ..Meta::default() };
    let meta_at = wire::encode(out, Form::V1, body.sender, body.name, body.data, &meta);
    if !body.raw_meta.is_empty() {
        out.truncate(meta_at);
        wire::with_stamp(body.raw_meta, stamp, out);
    }
    meta_at
}

impl Protocol for Router {
    fn opened(&mut self, now: Now, conn: ConnId, info: ConnInfo, _token: Option<u64>) {
        self.reap();
        let feed = Feed::new(info.framing, self.config.outbox, &self.pool);
        let stage = if info.framing.has_header() { Stage::Header([0; HEADER_LEN], 0) } else { Stage::Hello };
        let full = self.by_conn.len() >= self.config.max_peers;
        self.by_conn.insert(conn, self.peers.len());
        self.peers.push(Peer {
            stage,
            profile: Profile {
                conn,
                old: false,
                identity: "".into(),
                instance: Instance([0; 16]),
                accept: 0,
                echo: false,
            },
            feed,
            decoder: Decoder::new(info.framing, 0),
            unfinished: 0,
            epoch: 0,
            flags: HelloFlags(0),
            opened: now.mono,
            progress: now.mono,
            flushing: false,
            pong: None,
            counters: PeerStats::default(),
            warned: Warned::default(),
            info,
        });
        if full {
            let text = format!("there are {} peers already", self.config.max_peers);
            return self.close(now, self.peers.len() - 1, Status::Full, text);
        }
        let max = self.config.max_message + limits::MAX_META;
        if let Some(peer) = self.peers.last_mut() {
            peer.decoder.set_max(max);
        }
        self.set_deadline(now.mono + self.config.handshake);
    }

    fn dial_failed(&mut self, _now: Now, _token: u64, _error: Error) {}

    fn bytes(&mut self, now: Now, conn: ConnId, mut input: &[u8]) {
        self.reap();
        let Some(&i) = self.by_conn.get(&conn) else { return };
        if let Stage::Header(bytes, have) = &mut self.peers[i].stage {
            let n = input.len().min(HEADER_LEN - *have);
            bytes[*have..*have + n].copy_from_slice(&input[..n]);
            *have += n;
            input = &input[n..];
            if *have < HEADER_LEN {
                return;
            }
            let bytes = *bytes;
            self.header_done(now, i, bytes);
        }
        self.frames(now, i, input);
    }

    fn closed(&mut self, now: Now, conn: ConnId, why: Closed) {
        self.reap();
        let Some(&i) = self.by_conn.get(&conn) else { return };
        let (status, text) = match why {
            Closed::ByPeer => (Status::Closed, Status::Closed.text().to_owned()),
            Closed::Failed(error) => (error.status(), error.to_string()),
        };
        self.leave(now, i, status, text);
        self.remove(conn);
    }

    fn gather<'a>(&'a mut self, _now: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
        let Router { table, peers, by_conn, config, stats, events, scratch, pool, .. } = self;
        let Some(&i) = by_conn.get(&conn) else { return };
        let peer = &mut peers[i];
        peer.flushing = false;
        if let (Some(token), true) = (peer.pong, peer.has_room(config)) {
            peer.pong = None;
            scratch.clear();
            Control::Pong { token }.encode(wire::HUB_SENDER, scratch);
            peer.feed.message(scratch);
        }
        if peer.is_up() && !peer.feed.is_live() {
            let mut feed = mem::replace(&mut peer.feed, Feed::new(peer.info.framing, 0, pool));
            feed.fill(table, |feed, entry| match peer.profile.verdict(config, entry) {
                Verdict::Send => true,
                Verdict::Own => false,
                Verdict::Withhold => {
                    if !feed.came_while_behind(entry) {
                        withheld(peer, entry, config, stats, events);
                    }
                    false
                }
            });
            peer.feed = feed;
        }
        peer.feed.gather(slices);
    }

    fn wrote(&mut self, _now: Now, conn: ConnId, n: usize) -> bool {
        let Some(&i) = self.by_conn.get(&conn) else { return false };
        let peer = &mut self.peers[i];
        peer.feed.wrote(n) || peer.pong.is_some()
    }

    fn next_action(&mut self) -> Option<Action> {
        let Some(action) = self.actions.pop_front() else {
            // All was carried out.
            self.reap();
            return None;
        };
        if let Action::Close(conn) = action {
            self.gone.push(conn);
        }
        Some(action)
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    fn tick(&mut self, now: Now) {
        self.reap();
        if self.deadline.is_none_or(|deadline| deadline > now.mono) {
            return;
        }
        self.deadline = None;
        self.table.expire(now.mono);
        if let Some(at) = self.table.next_expiry() {
            self.set_deadline(at);
        }
        for i in 0..self.peers.len() {
            let peer = &self.peers[i];
            match peer.stage {
                Stage::Closing => {}
                Stage::Header(..) | Stage::Hello => {
                    let until = peer.opened + self.config.handshake;
                    if until <= now.mono {
                        self.close(now, i, Status::Timeout, "no handshake in time".into());
                    } else {
                        self.set_deadline(until);
                    }
                }
                Stage::Probing { holder, until, .. } if until <= now.mono => {
                    let h = self.by_conn[&holder];
                    let text = format!("no answer in time; replaced by {}", self.peers[i].info.from);
                    self.refuse(now, h, Status::IdentityTaken, text);
                }
                Stage::Probing { until, .. } => self.set_deadline(until),
                Stage::Up => {
                    let until = peer.progress + self.config.stalled_frame;
                    if !peer.decoder.unfinished() {
                        continue;
                    }
                    if until <= now.mono {
                        self.close(now, i, Status::Timeout, "an unfinished message made no progress".into());
                    } else {
                        self.set_deadline(until);
                    }
                }
            }
        }
    }
}
