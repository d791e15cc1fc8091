//! What a hub has beside its peers: takes bodies of one peer, and passes values on to all.

use std::collections::VecDeque;
use std::sync::Arc;

use log::{debug, log_enabled, trace, Level};

use super::super::link::outbox::Pool;
use super::super::table::Slot;
use super::super::timers::{TimerKey, Timers};
use super::super::told::Told;
use super::super::{Action, Now};
use super::audience::{PeerKind, Verdict};
use super::config::{About, RouterConfig};
use super::counting::Ask;
use super::identities::{Hello, Identities};
use super::intake::{Intake, NotTaken, Taken};
use super::peer::{Peer, Stage};
use super::peers::{PeerId, Peers};
use super::presence::Roster;
use super::pressure::Memory;
use super::reports::Reports;
use super::subscribing::{self, may_subscribe, Change};
use super::subscriptions::Subscriptions;
use super::turns::{self, Turns};
use super::unfinished::Unfinished;
use crate::effort::{did, Work};
use crate::memory::Bytes;
use crate::wire::{self, Body, Control, Features, Form, HelloFlags, Hidden, Instance, Kind, Stamp};
use crate::{limits, Status};

/// Chunks of each size that a hub keeps for later of what waited to be written: 5.3 MiB.
const POOLED: usize = 64;

/// What a deadline of a hub is for; a peer is named by its place.
#[derive(Clone, Copy)]
pub enum Timer {
    /// Values or tombstones expire, or those of a departed sender.
    Expiry,
    /// Much memory may have been freed.
    Reclaim,
    /// An app whose link was cut has not come back, or the hub is not young any more.
    Presence,
    /// The peer has not joined.
    Handshake(u32),
    /// The peer has sent a part of a frame.
    Stalled(u32),
    /// The holder of the identity that the peer wants has not answered.
    Probe(u32),
    /// The peer is a WebSocket, and is pinged.
    KeepAlive(u32),
    /// The peer has sent too much beside messages, and is not read.
    Rest(u32),
    /// The peer may have been silent for long.
    Silence(u32),
}

impl TimerKey for Timer {
    fn index(self) -> usize {
        let (place, kind) = match self {
            Timer::Expiry => return 0,
            Timer::Reclaim => return 1,
            Timer::Presence => return 2,
            Timer::Handshake(place) => (place, 3),
            Timer::Stalled(place) => (place, 4),
            Timer::Probe(place) => (place, 5),
            Timer::KeepAlive(place) => (place, 6),
            Timer::Rest(place) => (place, 7),
            Timer::Silence(place) => (place, 8),
        };
        6 * place as usize + kind
    }
}

/// What follows from a body, beside what was done with it and with the peer that sent it. Small, since one is returned for
/// each body.
pub enum Next {
    /// Nothing.
    Nothing,
    /// A value was taken, and is to be passed on.
    Route(Slot),
    /// The peer said hello, and wants to be let in under its identity; with a token, if it named one.
    Admit(Box<(Hello, Option<Box<str>>)>),
    /// The list of the names that the peer is sent changes.
    List(Box<Change>),
    /// A value was withdrawn, which is to be passed on and then told to the peer, that asked for it with this token.
    Forgot { slot: Slot, token: u64 },
    /// The peer is told which apps are there.
    Watch,
    /// The peer has asked what the hub counts: it is told in a turn.
    Stats,
    /// The peer answered the ping with this token.
    Answered(u64),
    /// The peer is not let in.
    Refuse(Box<(Status, String)>),
    /// The connection is to be closed.
    Close(Box<(Status, String)>),
}

impl Next {
    /// The connection is to be closed.
    pub fn close(status: Status, text: impl Into<String>) -> Next {
        Next::Close(Box::new((status, text.into())))
    }
}

impl From<Taken> for Next {
    fn from(taken: Taken) -> Next {
        Next::Route(taken.slot)
    }
}

/// All of a hub but its peers.
pub struct Core {
    pub config: RouterConfig,
    pub about: About,
    pub intake: Intake,
    pub identities: Identities,
    pub reports: Reports,
    pub unfinished: Unfinished,
    pub timers: Timers<Timer>,
    pub turns: Turns,
    pub subscriptions: Subscriptions,
    pub roster: Roster,
    pub actions: VecDeque<Action>,
    pub pool: Pool,
    pub memory: Memory,
    /// Whether there was a peer that is not always read.
    pub holds_back: bool,
    pub(super) scratch: Vec<u8>,
}

impl Core {
    /// A hub that holds nothing.
    pub fn new(instance: Instance, config: RouterConfig) -> Core {
        Core {
            config,
            about: About::default(),
            intake: Intake::new(instance),
            identities: Identities::new(),
            reports: Reports::default(),
            unfinished: Unfinished::default(),
            timers: Timers::new(),
            turns: Turns::new(),
            subscriptions: Subscriptions::new(),
            roster: Roster::new(),
            actions: VecDeque::new(),
            pool: Pool::new(POOLED),
            memory: Memory::default(),
            holds_back: false,
            scratch: Vec::new(),
        }
    }

    /// The driver is to write what the peer has.
    pub fn flush(&mut self, peer: &mut Peer) {
        peer.link.flush(&mut self.actions);
    }

    /// Sends a control message.
    pub fn send(&mut self, peer: &mut Peer, control: &Control<'_>) {
        peer.link.enqueue(wire::HUB_SENDER, control, &mut self.scratch);
        self.flush(peer);
    }

    /// Sees to it that values, tombstones, and what departed senders left expire in time.
    pub fn set_expiry(&mut self) {
        match self.intake.table.next_expiry() {
            Some(at) => self.timers.set(Timer::Expiry, at),
            None => self.timers.clear(Timer::Expiry),
        }
    }

    /// Withdraws values that have expired, with at most half of the turn. The rest follows in the next.
    pub fn expire_values(&mut self, now: Now, peers: &mut Peers<Peer>) {
        if self.intake.table.next_to_expire().is_none_or(|at| at > now.mono) {
            return;
        }
        let half = self.turns.left() / 2;
        while self.turns.left() > half {
            let Some(slot) = self.intake.table.expire_value(now.mono) else { break };
            let steps = self.route(peers, slot) + self.route_to_sharers(peers, slot);
            self.turns.spend(turns::MESSAGE + steps);
        }
        self.set_expiry();
    }

    /// Goes on with what departures leave to do, with at most half of the turn.
    pub fn tidy(&mut self) {
        if !self.intake.table.is_untidy() {
            return;
        }
        let half = self.turns.left().div_ceil(2);
        self.turns.charge(half, |steps| self.intake.table.tidy(steps));
        if !self.intake.table.is_untidy() {
            self.set_expiry();
        }
    }

    /// A peer takes part from now on.
    pub fn join(&mut self, place: usize, peer: &mut Peer, snapshot: bool) {
        peer.stage = Stage::Up;
        self.timers.clear(Timer::Handshake(place as u32));
        if peer.link.is_amid_frame() {
            // It came while the peer waited to be let in.
            self.timers.set(Timer::Stalled(place as u32), peer.link.progress() + self.config.stalled_frame);
        }
        if peer.link.is_ws() {
            self.timers.set(Timer::KeepAlive(place as u32), peer.link.progress() + limits::KEEP_ALIVE);
        }
        // One that will subscribe is sent nothing yet.
        if peer.profile.listed.is_none() {
            if peer.profile.listens() {
                self.subscriptions.enter(place);
            }
            if snapshot {
                peer.link.feed.walk_all(&self.intake.table);
            }
        }
        self.reports.joined(&peer.profile);
        self.flush(peer);
    }

    /// An app takes part from now on: it is welcomed.
    pub fn welcome(&mut self, now: Now, place: usize, peer: &mut Peer, hello: &Hello) {
        if peer.profile.read_only.is_none() {
            self.intake.table.arrived(&peer.profile.identity, peer.profile.conn);
        }
        let states = self.intake.table.values();
        debug!("{} is welcomed, and is sent the {states} states held", peer.profile.name());
        // Who publishes nothing has no say in the order of states.
        let time = Some(self.intake.welcome_time(now, hello.time.filter(|_| !hello.reads)));
        self.warn_of_clock(peer);
        let (instance, max_message) = (self.intake.instance(), self.config.max_message as u64);
        peer.link.set_max_frame(peer.profile.max_frame(&self.config));
        self.send(peer, &Control::Welcome { instance, max_message, wall: now.wall, time, features: Features::ALL });
        peer.link.feed.mark_retained();
        peer.link.feed.tell_features(peer.profile.features);
        peer.asks_for_all();
        if !peer.profile.is_observer {
            self.roster.join(peer.profile.conn, &peer.profile.identity, hello);
            self.reserve_for_wills();
        }
        self.watch_over(now, place, peer);
        self.join(place, peer, true);
    }

    /// A peer that took part is gone. Returns the peers that waited for its identity.
    pub fn left(&mut self, now: Now, id: PeerId, peer: &Peer, why: Status, text: String) -> Vec<(PeerId, Hello)> {
        let profile = &peer.profile;
        self.reports.left(peer, why, text);
        let (other, waited) = self.identities.leave(&profile.identity, id);
        // Before it departs: what is there for another to speak for stays.
        if let Some(other) = other {
            self.intake.table.arrived(&profile.identity, other.conn());
        }
        self.turns.charge(usize::MAX, |steps| self.intake.table.departed(now.mono, profile.conn, steps));
        self.set_expiry();
        waited
    }

    /// Takes a body from a peer. `shared`: the same bytes, where they have an allocation that may be kept.
    pub fn body(&mut self, now: Now, peer: &mut Peer, bytes: &[u8], shared: Option<&Arc<Bytes>>) -> Next {
        match (&peer.stage, peer.profile.kind) {
            (Stage::Closing | Stage::Denied(_), _) => Next::Nothing,
            (Stage::Up, PeerKind::Old | PeerKind::Plain) => {
                self.old_body(now, peer, bytes).map_or(Next::Nothing, Next::from)
            }
            (Stage::Up, PeerKind::Client(gateway)) => self.client_message(now, peer, gateway.role, bytes),
            _ => self.v1_body(now, peer, bytes, shared),
        }
    }

    /// Takes what an old peer sent, or counts it.
    pub fn old_body<'b>(&mut self, now: Now, peer: &mut Peer, bytes: &'b [u8]) -> Result<Taken, NotTaken<'b>> {
        let max = self.config.max_message;
        let taken = self.intake.old(now, &peer.profile, bytes, max, |sender| self.identities.is_held(sender));
        match &taken {
            Ok(taken) => self.count(peer, *taken),
            Err(why) => self.reports.not_taken(&peer.profile, &mut peer.tally, why),
        }
        taken
    }

    fn v1_body(&mut self, now: Now, peer: &mut Peer, bytes: &[u8], shared: Option<&Arc<Bytes>>) -> Next {
        // Looked at where it is: a copy of it would cost more than taking it.
        let decoded = wire::decode(bytes, Form::V1);
        let body = match &decoded {
            Ok(body) => body,
            Err(reason) => {
                self.reports.not_taken(&peer.profile, &mut peer.tally, &NotTaken::Malformed(*reason));
                return Next::Nothing;
            }
        };
        if body.is_reserved() {
            return self.reserved(now, peer, body);
        }
        if !peer.is_up() {
            return Next::close(Status::Invalid, "a state before the welcome");
        }
        let max = self.config.max_message;
        let taken = self.intake.v1(now, &peer.profile, body, (bytes, shared), max);
        self.warn_of_clock(peer);
        match taken {
            Ok(taken) => {
                self.count(peer, taken);
                if body.kind == Kind::Cleared || body.meta.lifetime.is_some() {
                    self.set_expiry();
                }
                taken.into()
            }
            Err(why) => {
                self.tell_not_taken(now, peer, body.meta.stamp, &why);
                self.reports.not_taken(&peer.profile, &mut peer.tally, &why);
                Next::Nothing
            }
        }
    }

    #[inline]
    fn warn_of_clock(&mut self, peer: &Peer) {
        if self.intake.warning.is_some() {
            let text = self.intake.warning.take().unwrap_or_default();
            self.reports.warning(&peer.profile, &text);
        }
    }

    #[inline]
    fn count(&mut self, peer: &mut Peer, taken: Taken) {
        self.reports.stats.messages_in += 1;
        self.reports.stats.bytes_in += taken.len;
        let counters = &mut peer.tally.counters;
        counters.messages_in += 1;
        counters.bytes_in += taken.len;
        if log_enabled!(Level::Trace) {
            if let Some(entry) = self.intake.table.get(taken.slot) {
                trace!("from {}: {}", peer.profile.name(), Told::entry(entry));
            }
        }
    }

    /// There was no memory for a message that begins so.
    pub fn no_memory(&mut self, now: Now, peer: &mut Peer, len: u64, start: &[u8]) {
        let named = match wire::decode_start(start, Form::V1) {
            Some((sender, name)) if peer.is_up() && !peer.profile.is_old() && *sender == *peer.profile.identity => {
                Some(name)
            }
            _ => None,
        };
        let why = named.map_or(NotTaken::NoMemoryForFrame(len), |name| NotTaken::NoMemory { name, len });
        self.tell_not_taken(now, peer, None, &why);
        self.reports.not_taken(&peer.profile, &mut peer.tally, &why);
    }

    /// Tells an app that its state was not taken, before the answer to any ping that comes behind that.
    fn tell_not_taken(&mut self, now: Now, peer: &mut Peer, offered: Option<Stamp>, why: &NotTaken<'_>) {
        let time = self.intake.time(now);
        match (why, offered) {
            (NotTaken::Full(name) | NotTaken::NoMemory { name, .. }, _) => {
                self.send(peer, &Control::Rejected { status: Status::Full.code(), name });
            }
            (NotTaken::ReadOnly { name, .. }, _) => {
                self.send(peer, &Control::Rejected { status: Status::Permission.code(), name });
            }
            (NotTaken::Ahead(name), Some(offered)) => {
                self.send(peer, &Control::Stale { name, offered, held: None, time });
            }
            (NotTaken::Stale(name), Some(offered)) => {
                let held = self.intake.held_instead(&peer.profile.identity, name, offered).map(|entry| entry.stamp());
                let Some(held) = held else { return };
                self.send(peer, &Control::Stale { name, offered, held: Some(held), time });
                if held.instance != peer.profile.instance && peer.profile.shares {
                    // It may have dropped that for its own.
                    let entry = self.intake.held_instead(&peer.profile.identity, name, offered);
                    let entry = entry.filter(|entry| peer.profile.understands(entry));
                    entry.into_iter().for_each(|entry| peer.link.feed.again(&self.intake.table, entry));
                }
            }
            _ => return,
        }
        self.hold_back_if_full(peer);
    }

    /// A peer was told that something was not taken: if it does not read that, it is not read either.
    pub(super) fn hold_back_if_full(&mut self, peer: &mut Peer) {
        if !peer.link.has_room() {
            peer.behind = true;
            self.holds_back = true;
        }
    }

    /// A `$ns/` message.
    fn reserved(&mut self, now: Now, peer: &mut Peer, body: &Body<'_>) -> Next {
        let up = peer.is_up();
        let control = match Control::decode(body) {
            Ok(control) => control,
            Err(reason) => {
                self.reports.not_taken(&peer.profile, &mut peer.tally, &NotTaken::Malformed(reason));
                return Next::Nothing;
            }
        };
        match control {
            Control::Hello { instance, epoch, accept, flags, secret, time, token, features }
                if matches!(peer.stage, Stage::Hello) =>
            {
                let profile = &mut peer.profile;
                profile.identity = body.sender().into();
                profile.instance = instance;
                profile.accept = accept;
                profile.features = features.and(Features::ALL);
                profile.echo = flags.contains(HelloFlags::ECHO);
                profile.shares = flags.contains(HelloFlags::SHARED);
                profile.is_observer = flags.contains(HelloFlags::OBSERVER);
                profile.returns = epoch > 1;
                if flags.contains(HelloFlags::LISTED) && profile.features.contains(Features::SUBSCRIBE) {
                    profile.listed = Some(Box::default());
                }
                let (name, flag_bits) = (profile.name(), flags.0);
                debug!("{name}: hello, connection {epoch}, accepts {accept:#x}, flags {flag_bits:#x}");
                if let Err(error) = wire::check_identity(body.sender()) {
                    return Next::Refuse(Box::new((error.status(), error.to_string())));
                }
                let hello = Hello { instance, epoch, secret, flags, time, reads: false };
                let token = token.map(|Hidden(token)| token.into());
                return Next::Admit(Box::new((hello, token)));
            }
            Control::Ping { token } if up => {
                if let Some(token) = peer.link.take_ping(token) {
                    let time = Some(self.intake.time(now));
                    self.send(peer, &Control::Pong { token, time });
                }
            }
            Control::Pong { token, .. } if up => return Next::Answered(token),
            Control::Accept { mask } if up => {
                let accepts = std::mem::replace(&mut peer.profile.accept, mask);
                debug!("{} accepts {mask:#x} from now on", peer.profile.name());
                // Said again, it asks for what the app itself left out.
                if mask & !accepts != 0 || mask == accepts {
                    // Of what it left out, or did not take, it may know values that were cleared since.
                    peer.profile.returns = true;
                    peer.profile.listed.iter_mut().for_each(|listed| listed.restart());
                    peer.link.feed.walk_all(&self.intake.table);
                }
                peer.owed.asks += 1;
                peer.asks_for_all();
                self.flush(peer);
            }
            Control::Subscribe { patterns } if may_subscribe(peer) => {
                return subscribing::adds(peer, patterns, &self.subscriptions);
            }
            Control::Unsubscribe { pattern } if may_subscribe(peer) => {
                return Next::List(Box::new(Change::Remove(pattern.into())));
            }
            Control::Forget { token, sender, name } if up && peer.profile.features.contains(Features::FORGET) => {
                return self.forget(now, peer, token, sender, name);
            }
            Control::Watch if up && peer.profile.features.contains(Features::PRESENCE) => return Next::Watch,
            Control::Stats { token, from, most } if up && peer.profile.features.contains(Features::STATS) => {
                peer.owed.stats = Some(Ask { token, from, most });
                return Next::Stats;
            }
            Control::Bye if up => peer.life.said_bye = true,
            Control::Will(said) if up && peer.profile.features.contains(Features::WILL) => self.hear_will(peer, said),
            Control::Unknown if up => {}
            _ => return Next::close(Status::Invalid, "an unexpected $ns/ message"),
        }
        Next::Nothing
    }

    /// Pings a WebSocket, now and then.
    pub fn keep_alive(&mut self, now: Now, place: u32, peer: &mut Peer) {
        self.timers.set(Timer::KeepAlive(place), now.mono + limits::KEEP_ALIVE);
        // What waits shows that it is there.
        if peer.link.feed.is_drained() {
            peer.link.ping();
            self.flush(peer);
        }
    }

    /// So much came beside messages. If that is too much, the peer is not read for a while.
    pub fn rest(&mut self, now: Now, place: usize, peer: &mut Peer, overhead: u32) {
        if overhead == 0 {
            return;
        }
        if let Some(until) = peer.overhead.came(now.mono, overhead) {
            self.holds_back = true;
            self.timers.set(Timer::Rest(place as u32), until);
        }
    }

    /// Passes a value on. Returns what that cost, in steps.
    pub fn route(&mut self, peers: &mut Peers<Peer>, slot: Slot) -> usize {
        let share = self.share(peers.len());
        let Core { intake, subscriptions, config, reports, actions, .. } = self;
        let table = &intake.table;
        let Some(entry) = table.get(slot) else { return 0 };
        let each = log_enabled!(Level::Trace);
        let (mut looked, mut receivers) = (0, 0);
        let (everyone, listed, steps) = subscriptions.audience(entry);
        for places in [everyone, listed] {
            looked += places.len();
            did(Work::Peer, places.len());
            for &place in places {
                let peer = &mut peers[place as usize];
                match peer.profile.verdict(config, entry) {
                    Verdict::Send => {
                        receivers += 1;
                        if peer.link.feed.change(table, entry, share) {
                            debug!("{} does not keep up: it gets newest values only", peer.profile.name());
                        }
                        if each {
                            trace!("to {}: {}", peer.profile.name(), Told::entry(entry));
                        }
                        peer.link.flush(actions);
                    }
                    Verdict::Skip => {}
                    Verdict::Withhold => reports.withheld(&peer.profile, &mut peer.tally, entry, config),
                }
            }
        }
        steps + turns::steps_to_route(looked, receivers, entry.bytes().len())
    }

    /// Before one of so many peers is written to: adds the answer that found no room, and what a peer that catches up has
    /// not been sent.
    pub fn fill(&mut self, now: Now, id: PeerId, peer: &mut Peer, peers: usize) {
        peer.link.begin_write();
        if let Some(token) = peer.link.due_pong() {
            let pong = Control::Pong { token, time: Some(self.intake.time(now)) };
            peer.link.enqueue(wire::HUB_SENDER, &pong, &mut self.scratch);
        }
        if !peer.link.feed.is_live() {
            // Before values that may take all the room each time, and seem stale as long as their app is not known.
            self.add_due(now, peer);
            self.catch_up(id, peer, self.share(peers));
        }
        self.add_due(now, peer);
    }

    /// Adds what the hub has to tell a peer beside values, as far as there is room.
    fn add_due(&mut self, now: Now, peer: &mut Peer) {
        if let Some(synced) = peer.due_synced() {
            peer.link.enqueue(wire::HUB_SENDER, &synced, &mut self.scratch);
        }
        self.add_presence(now, peer);
    }

    /// Adds what a peer that catches up has not been sent, while less than `most` waits, and as far as the turn allows. The
    /// rest waits for another turn, unless it waits for room.
    pub fn catch_up(&mut self, id: PeerId, peer: &mut Peer, most: usize) {
        let is_held_up = peer.owed.watch.as_ref().is_some_and(|watch| watch.is_held_up);
        if !peer.is_up() || is_held_up || !peer.link.feed.wants_more(most) {
            return;
        }
        let Peer { link, profile, tally, .. } = peer;
        let waiting = link.feed.waiting();
        let Core { turns, intake, config, reports, .. } = self;
        turns.charge(usize::MAX, |steps| {
            link.feed.fill(&intake.table, steps, most, |feed, entry, steps| match profile.verdict(config, entry) {
                // A newcomer knows no value that is gone, and the transient ones that there are mean nothing to it.
                Verdict::Send if !profile.returns && !feed.came_while_behind(entry) && !entry.is_for_newcomers() => {
                    false
                }
                Verdict::Send
                    if profile.shares
                        && feed.came_while_behind(entry)
                        && entry.is_from(profile.identity.as_bytes()) =>
                {
                    true
                }
                Verdict::Send => profile.listed.as_ref().is_none_or(|listed| listed.wants(entry, steps)),
                Verdict::Skip => false,
                Verdict::Withhold => {
                    let is_named = |steps| profile.listed.as_ref().is_none_or(|listed| listed.wants(entry, steps));
                    if !feed.came_while_behind(entry) && !entry.is_cleared() && is_named(steps) {
                        reports.withheld(profile, tally, entry, config);
                    }
                    false
                }
            });
        });
        if let (Some(listed), false) = (&mut profile.listed, link.feed.owes_what_was_held()) {
            listed.settle();
        }
        turns.spend(turns::steps_of(link.feed.waiting() - waiting));
        if link.feed.wants_more(most) {
            self.turns.wait(id);
        }
        if link.feed.is_live() {
            debug!("{} has caught up, {} states conflated so far", profile.name(), link.feed.conflated());
        }
    }
}
