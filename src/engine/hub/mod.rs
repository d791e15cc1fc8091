//! A hub: takes every value once, keeps the newest of each key, and feeds the peers.

mod audience;
mod config;
mod events;
mod intake;
mod peer;
mod peers;
pub mod queries;
mod stats;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;
use log::{debug, log_enabled, trace, Level};

use self::audience::{Profile, Verdict};
pub use self::config::{About, RouterConfig};
pub use self::events::{PeerEvent, RouterEvent};
use self::intake::NotTaken;
use self::peer::{Peer, Stage, Warned};
use self::peers::Peers;
use self::queries::{Query, Survey, Takes};
pub use self::stats::{HubStats, PeerStats};
use self::turns::Turns;
use super::clock::Clock;
use super::feed::Feed;
use super::gateway::{self, Gateway, GatewayEvent, Role};
use super::hash::{key_hasher, KeyHasher};
use super::outbox::Pool;
use super::table::{Capacity, Entry, Offer, Refusal, Slot, Table, SHARE_FROM};
use super::timers::{TimerKey, Timers};
use super::told::Told;
use super::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use crate::framing::{
    self, gateway_header, header, parse_gateway_header, parse_header, Decoder, Frame, Version, HEADER_LEN,
};
use crate::options::HubOption;
use crate::visible::{one_line, Quoted};
use crate::wire::{self, Body, Control, Form, HelloFlags, Instance, Malformed, Meta, Stamp, Value};
use crate::{limits, memory, Error, Status};

/// What a deadline of a hub is for; a peer is named by its place.
#[derive(Clone, Copy)]
enum Timer {
    /// Values of a departed sender expire.
    Expiry,
    /// The peer has not joined.
    Handshake(u32),
    /// The peer has sent a part of a frame.
    Stalled(u32),
    /// The holder of the identity that the peer wants has not answered.
    Probe(u32),
}

impl TimerKey for Timer {
    fn index(self) -> usize {
        let (place, kind) = match self {
            Timer::Expiry => return 0,
            Timer::Handshake(place) => (place, 1),
            Timer::Stalled(place) => (place, 2),
            Timer::Probe(place) => (place, 3),
        };
        3 * place as usize + kind
    }
}

/// Chunks of each size that a hub keeps for later of what waited to be written: 5.3 MiB.
const POOLED: usize = 64;

/// This many bytes of answers, or things looked at for them, count as one more request in a [turn](Turns).
const TURN_BYTES: usize = 4096;
const TURN_LOOKS: usize = 16;

/// A hub's engine.
pub struct Router {
    /// What can be set; changes count from then on.
    pub config: RouterConfig,
    /// What is told to who looks for hubs.
    pub about: About,
    instance: Instance,
    clock: Clock,
    table: Table,
    peers: Peers<Peer>,
    identities: HashMap<Box<str>, Vec<ConnId>, KeyHasher>,
    actions: VecDeque<Action>,
    /// The peer whose [`Action::Close`] was handed out last, and is being carried out.
    closing: Option<ConnId>,
    events: VecDeque<RouterEvent>,
    stats: HubStats,
    unfinished: usize,
    timers: Timers<Timer>,
    next_token: u64,
    /// Whether there was a peer that is not always read.
    holds_back: bool,
    turns: Turns,
    scratch: Vec<u8>,
    pool: Pool,
}

impl Router {
    /// A hub without peers. `instance` is random and made for it.
    pub fn new(instance: Instance, config: RouterConfig) -> Router {
        Router {
            config,
            instance,
            clock: Clock::default(),
            table: Table::new(Capacity::default()),
            peers: Peers::new(),
            identities: HashMap::with_hasher(key_hasher()),
            actions: VecDeque::new(),
            closing: None,
            events: VecDeque::new(),
            stats: HubStats::default(),
            unfinished: 0,
            timers: Timers::new(),
            next_token: 1,
            holds_back: false,
            turns: Turns::default(),
            about: About::default(),
            scratch: Vec::new(),
            pool: Pool::new(POOLED),
        }
    }

    /// What the table may hold.
    pub fn capacity_mut(&mut self) -> &mut Capacity {
        &mut self.table.capacity
    }

    /// What the table may take.
    pub fn capacity(&self) -> &Capacity {
        &self.table.capacity
    }

    /// There is a gateway of this role from now on.
    pub fn serves(&mut self, role: Role) {
        if role == Role::Rep {
            self.table.index_names();
        }
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
            stats.dropped += peer.counters.dropped;
        }
        stats
    }

    /// Counters of each peer that takes part.
    pub fn peer_stats(&self) -> impl Iterator<Item = PeerStats> + '_ {
        self.peers.iter().filter(|peer| peer.is_up()).map(|peer| PeerStats {
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

    /// Sees to it that values of departed senders expire in time.
    fn set_expiry(&mut self) {
        match self.table.next_expiry() {
            Some(at) => self.timers.set(Timer::Expiry, at),
            None => self.timers.clear(Timer::Expiry),
        }
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

    fn remove(&mut self, conn: ConnId) {
        if let Some(peer) = self.peers.remove(conn) {
            self.unfinished -= peer.unfinished;
        }
    }

    /// The peer is no longer one: tells the owner, frees its identity. Nothing remembers it from here on.
    fn leave(&mut self, now: Now, i: usize, why: Status, text: String) {
        let id = self.peers.id(i);
        let event = match mem::replace(&mut self.peers[i].stage, Stage::Closing) {
            Stage::Closing => return,
            Stage::Up => PeerEvent::Left,
            Stage::Probing { holder, .. } => {
                if let Some(h) = self.peers.place(holder) {
                    self.peers[h].claimants.retain(|&claimant| claimant != id);
                }
                PeerEvent::Refused
            }
            Stage::Header(..) | Stage::Hello => PeerEvent::Refused,
        };
        for timer in [Timer::Handshake, Timer::Stalled, Timer::Probe] {
            self.timers.clear(timer(i as u32));
        }
        self.turns.leave(id);
        let peer = &mut self.peers[i];
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
        self.stats.dropped += peer.counters.dropped;
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
        self.set_expiry();
        let claimants = self.take_claimants(i);
        claimants.into_iter().for_each(|claimant| self.admit(now, claimant));
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
        let gateway = peer.profile.gateway;
        let parsed = match gateway {
            Some(Gateway { role, .. }) => parse_gateway_header(&bytes, role.hears()).map(|()| Version::Old),
            None => parse_header(&bytes),
        };
        let version = match parsed {
            Ok(version) => version,
            Err(error) => return self.close(now, i, Status::Invalid, error.to_string()),
        };
        debug!("{}: its header is {}: {version}", peer.name(), framing::shown(&bytes));
        peer.feed.raw(&gateway.map_or(header(version), |gateway| gateway_header(gateway.role.speaks())));
        Self::flush(&mut self.actions, peer);
        let surplus = peer.surplus;
        match (version, gateway) {
            (Version::V1, _) if surplus => self.refuse(now, i, Status::Full, self.full()),
            (Version::Old, _) if surplus => self.close(now, i, Status::Full, self.full()),
            (Version::V1, _) => self.peers[i].stage = Stage::Hello,
            (Version::Old, Some(gateway)) => self.join_gateway(i, gateway),
            (Version::Old, None) => self.join_old(i, self.config.legacy_snapshot),
        }
    }

    /// Why nobody more is let in.
    fn full(&self) -> String {
        format!("there are {} peers already", self.config.max_peers)
    }

    fn join(&mut self, i: usize, snapshot: bool) {
        let peer = &mut self.peers[i];
        peer.stage = Stage::Up;
        self.timers.clear(Timer::Handshake(i as u32));
        if peer.decoder.unfinished() {
            // It came while the peer waited to be let in.
            self.timers.set(Timer::Stalled(i as u32), peer.progress + self.config.stalled_frame);
        }
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

    fn join_gateway(&mut self, i: usize, gateway: Gateway) {
        if gateway.role == Role::Pub {
            self.peers[i].feed.set_named();
            // In notes it is told when somebody does.
            self.peers[i].profile.listens = !self.peers[i].profile.notes;
        }
        self.holds_back = true;
        let snapshot = self.peers[i].profile.listens;
        self.join_old(i, snapshot);
    }

    fn join_old(&mut self, i: usize, snapshot: bool) {
        let peer = &mut self.peers[i];
        peer.profile.old = true;
        peer.counters.old = true;
        peer.feed.set_old();
        self.join(i, snapshot);
    }

    /// The largest body that this peer may send.
    fn max_body(&self, i: usize) -> usize {
        if self.peers[i].profile.notes {
            self.config.max_gateway()
        } else {
            self.config.max_message
        }
    }

    /// The largest frame that this peer may send.
    fn max_frame(&self, i: usize) -> usize {
        let head = match self.peers[i].profile {
            Profile { notes: true, .. } => gateway::MAX_MESSAGE_HEAD,
            Profile { gateway: Some(_), .. } => gateway::MAX_TRACE,
            _ => 0,
        };
        self.max_body(i) + limits::META_ROOM + head
    }

    /// `shared`: the same bytes, where they have an allocation that may be kept.
    fn body(&mut self, now: Now, i: usize, bytes: &[u8], shared: Option<&Arc<Vec<u8>>>) {
        match self.peers[i].stage {
            Stage::Closing => {}
            Stage::Up if self.peers[i].profile.notes => self.note(now, i, bytes),
            Stage::Up if self.peers[i].profile.gateway.is_some() => self.gateway_message(now, i, bytes),
            Stage::Up if self.peers[i].profile.old => drop(self.old_body(now, i, bytes)),
            _ => self.v1_body(now, i, bytes, shared),
        }
    }

    /// Counts a body that is not taken. The first of a peer is logged.
    fn count(&mut self, i: usize, why: &NotTaken<'_>) {
        debug!("{}: {why}", self.peers[i].name());
        let (stats, counters) = (&mut self.stats, &mut self.peers[i].counters);
        match why {
            NotTaken::Malformed(reason) => {
                stats.malformed += 1;
                stats.malformed_by[reason.index()] += 1;
                counters.malformed += 1;
            }
            NotTaken::TooLarge { .. } => {
                stats.too_large += 1;
                counters.too_large += 1;
            }
            NotTaken::ForeignSender(_) | NotTaken::ForeignInstance(_) => stats.foreign_sender += 1,
            NotTaken::Reserved(_) => stats.reserved += 1,
            NotTaken::Full(_) => stats.refused += 1,
            NotTaken::NoMemory { .. } | NotTaken::NoMemoryForFrame(_) => {
                stats.refused += 1;
                let text = format!("{}: {why}", self.peers[i].name());
                return self.events.push_back(RouterEvent::NoMemory(text));
            }
            NotTaken::Ahead(_) => stats.ahead += 1,
            // Nobody's fault.
            NotTaken::Stale(_) => {
                stats.stale += 1;
                return;
            }
        }
        let once: fn(&mut Warned) -> &mut bool = match why {
            NotTaken::Malformed(_) => |warned| &mut warned.malformed,
            NotTaken::Full(_) => |warned| &mut warned.refused,
            _ => |warned| &mut warned.other,
        };
        self.warn(i, once, || why.to_string());
    }

    fn too_large(&self, i: usize, len: u64) -> NotTaken<'static> {
        NotTaken::TooLarge { len, max: self.max_body(i) }
    }

    /// Publishes what an old peer sent, or counts it.
    fn old_body<'b>(&mut self, now: Now, i: usize, bytes: &'b [u8]) -> Result<(), NotTaken<'b>> {
        let taken = self.take_old(now, i, bytes);
        if let Err(why) = &taken {
            self.count(i, why);
        }
        taken
    }

    fn take_old<'b>(&mut self, now: Now, i: usize, bytes: &'b [u8]) -> Result<(), NotTaken<'b>> {
        let body = wire::decode(bytes, Form::Old).map_err(NotTaken::Malformed)?;
        if body.is_reserved() {
            return Err(NotTaken::Reserved(body.name));
        }
        if self.identities.contains_key(body.sender) {
            return Err(NotTaken::ForeignSender(body.sender));
        }
        if body.meta_at > self.max_body(i) {
            return Err(self.too_large(i, body.meta_at as u64));
        }
        let stamp = Stamp { clock: self.clock.tick(now), instance: self.instance };
        self.take(i, &body, stamp, None)
    }

    fn v1_body(&mut self, now: Now, i: usize, bytes: &[u8], shared: Option<&Arc<Vec<u8>>>) {
        let body = match wire::decode(bytes, Form::V1) {
            Ok(body) => body,
            Err(reason) => return self.count(i, &NotTaken::Malformed(reason)),
        };
        if body.is_reserved() {
            return match Control::decode(&body) {
                Ok(control) => self.control(now, i, body.sender, control),
                Err(reason) => self.count(i, &NotTaken::Malformed(reason)),
            };
        }
        if !self.peers[i].is_up() {
            return self.close(now, i, Status::Invalid, "a state before the welcome".into());
        }
        match self.take_v1(now, i, &body, bytes, shared) {
            Ok(()) => {}
            Err(why) => {
                self.tell_not_taken(now, i, body.meta.stamp, &why);
                self.count(i, &why);
            }
        }
    }

    /// There was no memory for a message that begins so.
    fn no_memory(&mut self, now: Now, i: usize, len: u64, start: &[u8]) {
        let peer = &self.peers[i];
        let named = match wire::decode_start(start, Form::V1) {
            Some((sender, name)) if peer.is_up() && !peer.profile.old && *sender == *peer.profile.identity => {
                Some(name)
            }
            _ => None,
        };
        let why = named.map_or(NotTaken::NoMemoryForFrame(len), |name| NotTaken::NoMemory { name, len });
        self.tell_not_taken(now, i, None, &why);
        self.count(i, &why);
    }

    /// Tells an app that its state was not taken, before the answer to any ping that comes behind that.
    fn tell_not_taken(&mut self, now: Now, i: usize, offered: Option<Stamp>, why: &NotTaken<'_>) {
        let time = self.clock.read(now);
        match (why, offered) {
            (NotTaken::Full(name) | NotTaken::NoMemory { name, .. }, _) => {
                self.control_to(i, &Control::Rejected { status: Status::Full.code(), name });
            }
            (NotTaken::Ahead(name), Some(offered)) => {
                self.control_to(i, &Control::Stale { name, offered, held: None, time });
            }
            (NotTaken::Stale(name), Some(offered)) => {
                let Some(slot) = self.table.find_at(&self.peers[i].profile.identity, name) else { return };
                let held = self.table.get(slot).map(|entry| entry.stamp());
                if held.is_none_or(|held| held == offered) {
                    // The same, once more.
                    return;
                }
                self.control_to(i, &Control::Stale { name, offered, held, time });
                let peer = &mut self.peers[i];
                let of_another = held.is_some_and(|held| held.instance != peer.profile.instance);
                if let (Some(entry), true) =
                    (self.table.get(slot), of_another && peer.flags.contains(HelloFlags::SHARED))
                {
                    // It may have dropped that for its own.
                    peer.feed.again(entry);
                }
            }
            _ => return,
        }
        if !self.peers[i].has_room(&self.config) {
            self.peers[i].behind = true;
            self.holds_back = true;
        }
    }

    /// The time from which an app that is let in stamps the values that it set before its first welcome: later than all
    /// stamps so far. The app's own clock raises it only while the table has never held anything; otherwise its values
    /// would seem younger, compared with those of others, than they are.
    fn welcome_time(&mut self, now: Now, i: usize) -> u64 {
        let theirs = self.peers[i].time.filter(|&theirs| !self.clock.is_beyond(now, theirs));
        if let (Some(theirs), true) = (theirs, self.table.version() == 0) {
            self.observe(now, i, theirs);
        }
        let time = self.clock.tick(now);
        theirs.into_iter().for_each(|theirs| self.observe(now, i, theirs));
        time
    }

    /// Learns another clock's reading.
    fn observe(&mut self, now: Now, i: usize, reading: u64) {
        if self.clock.observe(now, reading) {
            if let Some(text) = self.clock.ahead_of_wall(now) {
                self.events.push_back(RouterEvent::Warning(format!("{}: {text}", self.peers[i].name())));
            }
        }
    }

    fn take_v1<'b>(
        &mut self,
        now: Now,
        i: usize,
        body: &Body<'b>,
        bytes: &[u8],
        shared: Option<&Arc<Vec<u8>>>,
    ) -> Result<(), NotTaken<'b>> {
        let peer = &self.peers[i];
        if body.sender != &*peer.profile.identity {
            return Err(NotTaken::ForeignSender(body.sender));
        }
        if body.meta_at > self.max_body(i) {
            return Err(self.too_large(i, body.meta_at as u64));
        }
        // No feature is announced yet, and only a hub says that it held a value.
        body.meta.check_features(0).map_err(NotTaken::Malformed)?;
        if body.raw_meta.len() > limits::MAX_META {
            return Err(NotTaken::Malformed(Malformed::Meta));
        }
        let Some(stamp) = body.meta.stamp else {
            let stamp = Stamp { clock: self.clock.tick(now), instance: peer.profile.instance };
            return self.take(i, body, stamp, None);
        };
        // Who shares an identity also announces what others under it have sent last.
        if stamp.instance != peer.profile.instance && !peer.flags.contains(HelloFlags::SHARED) {
            return Err(NotTaken::ForeignInstance(body.name));
        }
        if self.clock.is_beyond(now, stamp.clock) {
            return Err(NotTaken::Ahead(body.name));
        }
        self.observe(now, i, stamp.clock);
        self.take(i, body, stamp, body.canonical.then_some((bytes, shared)))
    }

    /// Puts a value into the table and passes it on. `bytes`: the body as it came, and where it may be kept, if it is
    /// to be passed on as it is.
    fn take<'b>(
        &mut self,
        i: usize,
        body: &Body<'b>,
        stamp: Stamp,
        bytes: Option<Canonical<'_>>,
    ) -> Result<(), NotTaken<'b>> {
        let (sender, name, kind) = (body.sender, body.name, body.kind);
        let mut scratch = mem::take(&mut self.scratch);
        let large;
        let (bytes, shared, meta_at) = match bytes {
            Some((bytes, shared)) => (bytes, shared, body.meta_at),
            None if body.data.len() < SHARE_FROM => {
                scratch.clear();
                let meta_at = stamped(body, stamp, &mut scratch);
                (&scratch[..], None, meta_at)
            }
            // Written where it stays.
            None => {
                let data = Value::Msgpack(body.data);
                let len = wire::max_head_len(sender, name, &data) + body.raw_meta.len() + Stamp::MAX_ADDED;
                let Ok(mut room) = memory::with_capacity(len) else {
                    self.scratch = scratch;
                    return Err(NotTaken::NoMemory { name, len: len as u64 });
                };
                let meta_at = stamped(body, stamp, &mut room);
                large = Arc::new(room);
                (&large[..], Some(&large), meta_at)
            }
        };
        let origin = Some(self.peers[i].profile.conn);
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
                if log_enabled!(Level::Trace) {
                    if let Some(entry) = self.table.get(slot) {
                        trace!("from {}: {}", self.peers[i].name(), Told::entry(entry));
                    }
                }
                self.route(slot);
            }
            Err(Refusal::Stale) => return Err(NotTaken::Stale(name)),
            Err(Refusal::Full) => return Err(NotTaken::Full(name)),
            Err(Refusal::NoMemory) => return Err(NotTaken::NoMemory { name, len }),
        }
        Ok(())
    }

    /// A message of a program that speaks another protocol.
    fn gateway_message(&mut self, now: Now, i: usize, message: &[u8]) {
        let Some(Gateway { role, .. }) = self.peers[i].profile.gateway else { return };
        let (route, message) = if role.answers() {
            match gateway::split_trace(message) {
                Some(split) => split,
                None => return self.count(i, &NotTaken::Malformed(Malformed::Truncated)),
            }
        } else {
            (&[][..], message)
        };
        self.heard(now, i, role, route, message);
    }

    /// What a gateway tells.
    fn note(&mut self, now: Now, i: usize, frame: &[u8]) {
        let Some(Gateway { role, .. }) = self.peers[i].profile.gateway else { return };
        match GatewayEvent::decode(frame) {
            Some(GatewayEvent::Message { route, message }) => self.heard(now, i, role, route, message),
            Some(GatewayEvent::TooLarge { route, len }) => {
                let why = self.too_large(i, len);
                self.count(i, &why);
                match role {
                    Role::Rep => {
                        let mut answer = Vec::new();
                        queries::fault(&why.to_string(), &mut answer);
                        self.answer_to(i, route, answer);
                    }
                    Role::Respondent => self.heard(now, i, role, route, &[]),
                    Role::Pub | Role::Pull => {}
                }
            }
            Some(GatewayEvent::Status(status)) => {
                let peer = &mut self.peers[i];
                peer.counters.clients = status.clients.into();
                peer.counters.dropped = status.dropped;
                peer.profile.listens = role == Role::Pub && status.clients > 0;
                if peer.profile.listens && status.again {
                    peer.feed.walk_again(&self.table);
                    Self::flush(&mut self.actions, peer);
                }
            }
            Some(GatewayEvent::Words(text)) => {
                let text = format!("{}: {text}", self.peers[i].name());
                self.events.push_back(RouterEvent::Info(text));
            }
            None => {}
        }
    }

    fn heard(&mut self, now: Now, i: usize, role: Role, route: &[u8], message: &[u8]) {
        let answer = match role {
            // A SUB says nothing; whatever it is, nobody is to be told.
            Role::Pub => return,
            Role::Pull => return drop(self.old_body(now, i, message)),
            Role::Rep => self.answer(now, i, route.len(), message),
            Role::Respondent => self.introduction(),
        };
        self.turns.spend(1 + answer.len() / TURN_BYTES);
        self.answer_to(i, route, answer);
    }

    /// The answer to a request, which goes out behind a trace of so many bytes.
    fn answer(&mut self, now: Now, i: usize, trace: usize, request: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        let done = queries::parse(request).and_then(|parsed| match parsed {
            Query::Publish => self.old_body(now, i, request).map(|()| parsed).map_err(|why| why.to_string()),
            Query::Get(_) | Query::List(_) | Query::Peers => Ok(parsed),
        });
        match done {
            Ok(request) => {
                self.turns.spend(match request {
                    Query::List(_) => self.table.len() / TURN_LOOKS,
                    Query::Peers => self.identities.len() / TURN_LOOKS,
                    Query::Get(_) | Query::Publish => 0,
                });
                let (config, profile) = (&self.config, &self.peers[i].profile);
                let trace = if profile.notes { gateway::MAX_TRACE } else { trace };
                let limit = config.legacy_max.saturating_sub(trace);
                let takes = |entry: &Entry| match profile.takes_as_old(config, entry) {
                    Takes::Yes if entry.meta_at() > limit => Takes::TooLarge(limit),
                    takes => takes,
                };
                queries::answer(&request, &self.table, takes, self.identities.keys(), limit, &mut answer);
            }
            Err(fault) => queries::fault(&fault, &mut answer),
        }
        answer
    }

    /// The answer to who looks for hubs.
    fn introduction(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        let About { host, pid, addresses } = &self.about;
        let apps = self.peers.iter().filter(|peer| peer.is_up() && peer.profile.gateway.is_none());
        let (peers, states) = (apps.count() as u64, self.table.len() as u64);
        queries::survey(&Survey { host, pid: *pid, addresses, peers, states }, &mut answer);
        answer
    }

    fn answer_to(&mut self, i: usize, route: &[u8], answer: Vec<u8>) {
        self.scratch.clear();
        let peer = &mut self.peers[i];
        if peer.profile.notes {
            gateway::answer_head(route, &mut self.scratch);
        } else {
            self.scratch.extend_from_slice(route);
        }
        peer.feed.message_behind(&mut self.scratch, answer);
        Self::flush(&mut self.actions, peer);
    }

    fn route(&mut self, slot: Slot) {
        let Router { table, peers, config, actions, stats, events, .. } = self;
        let Some(entry) = table.get(slot) else { return };
        let each = log_enabled!(Level::Trace);
        for peer in peers.iter_mut().filter(|peer| peer.is_up()) {
            match peer.profile.verdict(config, entry) {
                Verdict::Send => {
                    if peer.feed.change(table, entry) {
                        debug!("{} does not keep up: it gets newest values only", peer.name());
                    }
                    if each {
                        trace!("to {}: {}", peer.name(), Told::entry(entry));
                    }
                    Self::flush(actions, peer);
                }
                Verdict::Skip => {}
                Verdict::Withhold => withheld(peer, entry, config, stats, events),
            }
        }
    }

    fn control(&mut self, now: Now, i: usize, sender: &str, control: Control<'_>) {
        let up = self.peers[i].is_up();
        match control {
            Control::Hello { instance, epoch, accept, flags, secret, time }
                if matches!(self.peers[i].stage, Stage::Hello) =>
            {
                let peer = &mut self.peers[i];
                peer.profile.identity = sender.into();
                peer.epoch = epoch;
                peer.secret = secret;
                peer.flags = flags;
                peer.time = time;
                peer.profile.instance = instance;
                peer.profile.accept = accept;
                peer.profile.echo = flags.contains(HelloFlags::ECHO);
                debug!("{}: hello, connection {epoch}, accepts {accept:#x}, flags {:#x}", peer.name(), flags.0);
                match wire::check_identity(sender) {
                    Ok(()) => self.admit(now, i),
                    Err(error) => self.refuse(now, i, error.status(), error.to_string()),
                }
            }
            Control::Ping { token } if up && self.peers[i].has_room(&self.config) => {
                self.peers[i].pong = None;
                let time = Some(self.clock.read(now));
                self.control_to(i, &Control::Pong { token, time });
            }
            Control::Ping { token } if up => self.peers[i].pong = Some(token),
            Control::Pong { token, .. } if up => self.holder_lives(now, i, token),
            Control::Accept { mask } if up => {
                let peer = &mut self.peers[i];
                // Said again, it asks for what the app itself left out.
                let more = mask & !peer.profile.accept != 0 || mask == peer.profile.accept;
                peer.profile.accept = mask;
                debug!("{} accepts {mask:#x} from now on", peer.name());
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
            debug!("{} is welcomed, and sent {} states that are held", self.peers[i].name(), self.table.len());
            let time = Some(self.welcome_time(now, i));
            self.control_to(i, &Control::Welcome { instance, max_message, wall: now.wall, time });
            self.peers[i].feed.mark_retained();
            self.join(i, true);
        }
        for waits in waiting {
            self.admit(now, waits);
        }
    }

    /// Whether nobody is left who holds the identity of this peer for himself. If not, the peer is refused, or the
    /// holder asked.
    fn make_room(&mut self, now: Now, i: usize, waiting: &mut Vec<usize>) -> bool {
        let (epoch, flags) = (self.peers[i].epoch, self.peers[i].flags);
        let identity = self.peers[i].profile.identity.clone();
        let holds_alone = |router: &Router, holder: ConnId| {
            let Some(held) = router.peers.find(holder).map(|h| &router.peers[h]) else { return false };
            !(flags.contains(HelloFlags::SHARED) && held.flags.contains(HelloFlags::SHARED))
                || held.is_same_app(&router.peers[i])
        };
        // Asked anew each time: closing one holder may let in another that waited.
        while let Some(holder) =
            self.identities.get(&identity).and_then(|held| held.iter().copied().find(|&h| holds_alone(self, h)))
        {
            let Some(h) = self.peers.find(holder) else { break };
            let held = &self.peers[h];
            if held.is_same_app(&self.peers[i]) {
                if epoch <= held.epoch {
                    self.refuse(now, i, Status::IdentityTaken, "a newer connection of the same app".into());
                    return false;
                }
                waiting.extend(self.take_claimants(h));
                self.close(now, h, Status::Closed, "replaced by a newer connection of the same app".into());
            } else if flags.contains(HelloFlags::TAKE_OVER) && !flags.contains(HelloFlags::RETRY) {
                let text = format!("{} was taken over by {}", one_line(&identity), self.peers[i].info.from);
                waiting.extend(self.take_claimants(h));
                self.refuse(now, h, Status::IdentityTaken, text);
            } else {
                let token = self.next_token;
                self.next_token += 1;
                self.peers[i].stage = Stage::Probing { holder: self.peers.id(h), token };
                let claimant = self.peers.id(i);
                self.peers[h].claimants.push(claimant);
                self.peers[h].probe(now);
                self.timers.clear(Timer::Handshake(i as u32));
                self.timers.set(Timer::Probe(i as u32), now.mono + limits::IDENTITY_PROBE.as_nanos() as u64);
                debug!(
                    "{} holds the identity of {}, and is asked whether it lives",
                    self.peers[h].name(),
                    self.peers[i].info.from
                );
                self.control_to(h, &Control::Ping { token });
                return false;
            }
        }
        true
    }

    /// Takes those who wait for this holder, whose identity they are to be admitted to.
    fn take_claimants(&mut self, holder: usize) -> Vec<usize> {
        let claimants = mem::take(&mut self.peers[holder].claimants);
        let places: Vec<_> = claimants.into_iter().filter_map(|claimant| self.peers.place(claimant)).collect();
        for &i in &places {
            self.peers[i].stage = Stage::Hello;
            self.timers.clear(Timer::Probe(i as u32));
        }
        places
    }

    /// A probed holder answered: whoever asked for its identity up to then is refused. Tokens only grow, and a holder
    /// that is behind answers the last ping alone.
    fn holder_lives(&mut self, now: Now, holder: usize, answered: u64) {
        for claimant in self.peers[holder].claimants.clone() {
            let Some(i) = self.peers.place(claimant) else { continue };
            if matches!(self.peers[i].stage, Stage::Probing { token, .. } if token <= answered) {
                let text = format!("{} is held by another app", one_line(&self.peers[i].profile.identity));
                self.refuse(now, i, Status::IdentityTaken, text);
            }
        }
    }

    /// The holder of the identity that this peer wants did not answer in time.
    fn probe_unanswered(&mut self, now: Now, i: usize) {
        let Stage::Probing { holder, .. } = self.peers[i].stage else { return };
        let Some(h) = self.peers.place(holder) else { return };
        if self.peers[i].flags.contains(HelloFlags::RETRY) && !self.peers[h].is_lost(now) {
            let identity = one_line(&self.peers[i].profile.identity);
            let text = format!("{identity} is held by another app, which is slow to answer");
            self.refuse(now, i, Status::IdentityTaken, text);
        } else {
            let text = format!("no answer in time; replaced by {}", self.peers[i].info.from);
            self.refuse(now, h, Status::IdentityTaken, text);
        }
    }

    fn frames(&mut self, now: Now, i: usize, input: &[u8]) {
        let taken = self.take_frames(now, i, input);
        if taken < input.len() {
            self.defer(now, i, input[taken..].to_vec(), 0);
        }
    }

    /// Goes on with what was deferred.
    fn resume(&mut self, now: Now, i: usize) {
        let (input, at) = mem::take(&mut self.peers[i].deferred);
        let taken = self.take_frames(now, i, &input[at..]);
        if at + taken < input.len() {
            self.defer(now, i, input, at + taken);
        }
    }

    /// Leaves the rest of what a peer asks for later, when others had their turn: at once, or when it has taken answers.
    fn defer(&mut self, now: Now, i: usize, input: Vec<u8>, at: usize) {
        let peer = &mut self.peers[i];
        if matches!(peer.stage, Stage::Closing) {
            return;
        }
        let held = input.capacity();
        peer.deferred = (input, at);
        if peer.has_room(&self.config) {
            self.turns.wait(self.peers.id(i));
        }
        self.holds(now, i, held);
    }

    /// A peer holds so many bytes more of what is unfinished.
    fn holds(&mut self, now: Now, i: usize, more: usize) {
        self.peers[i].unfinished += more;
        self.unfinished += more;
        self.check_unfinished(now, i);
    }

    fn check_unfinished(&mut self, now: Now, i: usize) {
        if self.unfinished > self.config.unfinished {
            let text = format!("unfinished messages of all peers exceed {} bytes", self.config.unfinished);
            self.close(now, i, Status::NoMemory, text);
        }
    }

    /// Takes frames, and returns how many bytes of them. Leaves the rest of a peer that sends many requests, or does not
    /// read the answers, for later.
    fn take_frames(&mut self, now: Now, i: usize, all: &[u8]) -> usize {
        let mut input = all;
        let framing = self.peers[i].info.framing;
        let max = self.max_frame(i);
        let answers = self.peers[i].profile.gateway.is_some_and(|gateway| gateway.role.answers());
        let mut decoder = mem::replace(&mut self.peers[i].decoder, Decoder::new(framing, max));
        loop {
            if answers && !input.is_empty() && (self.turns.is_over() || !self.peers[i].has_room(&self.config)) {
                break;
            }
            match decoder.next(&mut input) {
                Ok(Some(Frame::Body(body))) => self.body(now, i, body, None),
                Ok(Some(Frame::Large(body))) => {
                    let body = Arc::new(body);
                    self.body(now, i, &body, Some(&body));
                }
                Ok(Some(Frame::TooLarge(len))) => self.count(i, &self.too_large(i, len)),
                Ok(Some(Frame::NoMemory { len, start })) => self.no_memory(now, i, len, start),
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
        if unfinished && peer.is_up() {
            self.timers.set(Timer::Stalled(i as u32), now.mono + self.config.stalled_frame);
        } else {
            self.timers.clear(Timer::Stalled(i as u32));
        }
        self.check_unfinished(now, i);
        all.len() - input.len()
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
        let (len, gateway) = (peer.profile.len_as_old(entry), peer.profile.gateway.is_some());
        let (peer, name, kind) = (peer.name(), Quoted(entry.name()), entry.kind().name());
        let text = if len > config.legacy_max {
            let option = HubOption::LegacyMax.about().name;
            format!("{peer}: {name} of {len} bytes withheld from an old peer; {option} allows it")
        } else {
            let option = if gateway { "?structured=1" } else { HubOption::LegacyStructured.about().name };
            format!("{peer}: {name} ({kind}) withheld from an old peer; {option} allows it")
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
        let feed = Feed::new(info.framing, self.config.outbox, &self.pool);
        let stage = if info.framing.has_header() { Stage::Header([0; HEADER_LEN], 0) } else { Stage::Hello };
        debug!("{} connected", info.from);
        let gateway = info.gateway;
        let has_header = info.framing.has_header();
        let notes = gateway.is_some() && !info.framing.has_header();
        let surplus = |router: &Router| router.peers.iter().filter(|peer| peer.surplus).count();
        let full =
            self.peers.len() >= self.config.max_peers && self.peers.len() - surplus(self) >= self.config.max_peers;
        let peer = Peer {
            stage,
            profile: Profile {
                conn,
                old: false,
                identity: "".into(),
                instance: Instance([0; 16]),
                accept: 0,
                echo: false,
                gateway,
                notes,
                listens: gateway.is_none(),
            },
            feed,
            decoder: Decoder::new(info.framing, 0),
            deferred: Default::default(),
            unfinished: 0,
            epoch: 0,
            secret: None,
            flags: HelloFlags(0),
            probed: None,
            surplus: full,
            claimants: Vec::new(),
            progress: now.mono,
            flushing: false,
            pong: None,
            behind: false,
            time: None,
            counters: PeerStats::default(),
            warned: Warned::default(),
            info,
        };
        let i = self.peers.insert(conn, peer);
        // Who speaks v1 is told why: at once, or when the header says so.
        if full && (gateway.is_some() || surplus(self) > limits::SURPLUS_PEERS) {
            return self.close(now, i, Status::Full, self.full());
        }
        if full && !has_header {
            return self.refuse(now, i, Status::Full, self.full());
        }
        let max = self.max_frame(i);
        self.peers[i].decoder.set_max(max);
        match gateway {
            Some(gateway) if notes => self.join_gateway(i, gateway),
            _ => self.timers.set(Timer::Handshake(i as u32), now.mono + self.config.handshake),
        }
    }

    fn dial_failed(&mut self, _now: Now, _token: u64, _error: Error) {}

    fn bytes(&mut self, now: Now, conn: ConnId, mut input: &[u8]) {
        let Some(i) = self.peers.find(conn) else { return };
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
        if matches!(self.peers[i].stage, Stage::Closing) {
            return;
        }
        if self.peers[i].deferred.0.is_empty() {
            self.frames(now, i, input);
        } else {
            let (deferred, _) = &mut self.peers[i].deferred;
            let before = deferred.capacity();
            deferred.extend_from_slice(input);
            let more = deferred.capacity() - before;
            self.holds(now, i, more);
        }
    }

    fn reads(&self, conn: ConnId) -> bool {
        // Asked before every read: mostly there is no such peer.
        if !self.holds_back {
            return true;
        }
        let Some(i) = self.peers.find(conn) else { return true };
        let peer = &self.peers[i];
        if peer.behind && !peer.has_room(&self.config) {
            return false;
        }
        // Who asks and does not take the answers is not read.
        let answers = peer.profile.gateway.is_some_and(|gateway| gateway.role.answers());
        !answers || (peer.deferred.0.is_empty() && peer.has_room(&self.config))
    }

    fn closed(&mut self, now: Now, conn: ConnId, why: Closed) {
        let Some(i) = self.peers.find(conn) else { return };
        let (status, text) = match why {
            Closed::ByPeer => (Status::Closed, Status::Closed.text().to_owned()),
            Closed::Failed(error) => (error.status(), error.to_string()),
        };
        self.leave(now, i, status, text);
        self.remove(conn);
    }

    fn gather<'a>(&'a mut self, now: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
        let Router { table, peers, config, stats, events, scratch, pool, clock, .. } = self;
        let Some(i) = peers.find(conn) else { return };
        let peer = &mut peers[i];
        peer.flushing = false;
        if let (Some(token), true) = (peer.pong, peer.has_room(config)) {
            peer.pong = None;
            scratch.clear();
            Control::Pong { token, time: Some(clock.read(now)) }.encode(wire::HUB_SENDER, scratch);
            peer.feed.message(scratch);
        }
        if peer.is_up() && !peer.feed.is_live() {
            let mut feed = mem::replace(&mut peer.feed, Feed::new(peer.info.framing, 0, pool));
            feed.fill(table, |feed, entry| match peer.profile.verdict(config, entry) {
                Verdict::Send => true,
                Verdict::Skip => false,
                Verdict::Withhold => {
                    if !feed.came_while_behind(entry) {
                        withheld(peer, entry, config, stats, events);
                    }
                    false
                }
            });
            peer.feed = feed;
            if peer.feed.is_live() {
                debug!("{} has what is held, {} states conflated so far", peer.name(), peer.feed.conflated());
            }
        }
        peer.feed.gather(slices);
    }

    fn wrote(&mut self, _now: Now, conn: ConnId, n: usize) -> bool {
        let Some(i) = self.peers.find(conn) else { return false };
        let peer = &mut self.peers[i];
        let more = peer.feed.wrote(n) || peer.pong.is_some();
        peer.behind &= !peer.has_room(&self.config);
        if !peer.deferred.0.is_empty() && peer.is_up() && peer.has_room(&self.config) {
            self.turns.wait(self.peers.id(i));
        }
        more
    }

    fn next_action(&mut self) -> Option<Action> {
        if let Some(closed) = self.closing.take() {
            self.remove(closed);
        }
        let action = self.actions.pop_front()?;
        if let Action::Close(conn) = action {
            self.closing = Some(conn);
        }
        Some(action)
    }

    fn deadline(&self) -> Option<u64> {
        self.timers.earliest()
    }

    fn is_ready(&self) -> bool {
        self.turns.are_waited_for()
    }

    fn tick(&mut self, now: Now) {
        if !self.is_due(now) {
            return;
        }
        while let Some(timer) = self.timers.take_due(now.mono) {
            match timer {
                Timer::Expiry => {
                    self.table.expire(now.mono);
                    self.set_expiry();
                }
                Timer::Handshake(i) => self.close(now, i as usize, Status::Timeout, "no handshake in time".into()),
                Timer::Stalled(i) => {
                    let text = "an unfinished message made no progress".into();
                    self.close(now, i as usize, Status::Timeout, text);
                }
                Timer::Probe(i) => self.probe_unanswered(now, i as usize),
            }
        }
        self.turns.begin();
        while let Some(id) = self.turns.next() {
            if let Some(i) = self.peers.place(id).filter(|&i| self.peers[i].has_room(&self.config)) {
                self.resume(now, i);
            }
        }
    }
}
