//! An app: keeps its own newest values, announces them to the hub on every new link, and takes what the hub sends.

mod accepted;
mod acks;
mod config;
mod connect;
mod counted;
mod dialler;
mod draft;
mod forgets;
mod lifetimes;
mod lookup;
mod notices;
mod others;
mod own;
mod pings;
mod publish;
mod receive;
mod received;
mod stale;
mod stamper;
mod stats;
mod subscribed;
mod synced;
mod uptake;
mod wills;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use log::debug;

use self::accepted::Accepted;
use self::acks::Acks;
pub use self::config::SessionConfig;
pub use self::counted::Counted;
use self::counted::Counts;
use self::dialler::Dialler;
pub use self::draft::{Draft, Policy};
use self::forgets::Forgets;
use self::notices::Reports;
pub use self::notices::{LinkState, Notice};
use self::others::Others;
pub use self::others::{Peer, PresenceEvent};
use self::own::Own;
use self::pings::Pings;
use self::received::Received;
use self::stale::Stale;
use self::stamper::{Stamper, Welcomed};
pub use self::stats::AppStats;
use self::synced::Synced;
pub use self::wills::Will;
use super::link::handshake::Side;
use super::link::outbox::Pool;
use super::link::{Link, LinkLimits};
use super::mutations::{is_on, Mutation};
use super::table::Entry;
pub use super::table::Found;
use super::timers::{TimerKey, Timers};
use super::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use crate::framing::Room;
use crate::state::State;
use crate::time::{LogicalTime, MonoTime};
use crate::visible::one_line;
use crate::wire::{Control, Features, Instance};
use crate::{limits, Error, Status};

enum Phase {
    Idle,
    /// For the next attempt.
    Waiting,
    Dialling {
        token: u64,
    },
    /// There is a link, whose handshake goes on.
    Handshake,
    /// There is a link, and hello is sent.
    Hello,
    /// There is a link, and the hub has welcomed this app.
    Up,
}

/// What a deadline of an app is for.
#[derive(Clone, Copy)]
enum Timer {
    /// The next attempt to connect.
    Backoff,
    /// The hub has not answered.
    Handshake,
    /// Bytes of the hub are left unread, and the program takes nothing. Set exactly while they are.
    Patience,
    /// The hub may have been silent for long.
    Silence,
    /// Values expire.
    Expiry,
}

impl TimerKey for Timer {
    fn index(self) -> usize {
        self as usize
    }
}

/// Chunks of each size that an app keeps for later of what waited to be written: 1.3 MiB.
const POOLED: usize = 16;

/// What an app knows of the hub of its last link.
struct HubInfo {
    /// None for an old one.
    instance: Option<Instance>,
    /// The largest body that it takes, once it is known.
    limit: usize,
    /// What both it and this app can do.
    features: Features,
    acks: Acks,
    synced: Synced,
    pings: Pings,
    forgets: Forgets,
    others: Others,
    counts: Counts,
    stale: Stale,
}

/// Kept for their allocations.
struct Buffers {
    scratch: Vec<u8>,
    pool: Pool,
}

/// An app's engine.
pub struct Session {
    identity: String,
    /// What can be set; before connect.
    pub config: SessionConfig,
    stamper: Stamper,
    own: Own,
    dialler: Dialler,
    phase: Phase,
    /// The connection to the hub, in the phases that have one.
    link: Option<Link>,
    /// The connection that is ended here, until it is closed: what it has to say last.
    last: Option<Link>,
    hub: HubInfo,
    received: Received,
    accepted: Accepted,
    reports: Reports,
    timers: Timers<Timer>,
    actions: VecDeque<Action>,
    buffers: Buffers,
}

impl Session {
    /// An app that is not connected. `instance` is random and made for it; the identity is checked.
    pub fn new(identity: &str, instance: Instance) -> Session {
        let mut seed = [0; 8];
        seed.copy_from_slice(&instance.0[..8]);
        Session {
            identity: identity.to_owned(),
            config: SessionConfig::default(),
            stamper: Stamper::new(instance),
            own: Own::new(limits::SEND_QUEUE),
            dialler: Dialler::new(u64::from_le_bytes(seed)),
            phase: Phase::Idle,
            link: None,
            last: None,
            hub: HubInfo {
                instance: None,
                limit: usize::MAX,
                features: Features::NONE,
                acks: Acks::default(),
                synced: Synced::default(),
                pings: Pings::default(),
                forgets: Forgets::default(),
                others: Others::default(),
                counts: Counts::default(),
                stale: Stale::default(),
            },
            received: Received::new(limits::RECEIVED, limits::RECV_QUEUE),
            accepted: Accepted::all(),
            reports: Reports::default(),
            timers: Timers::new(),
            actions: VecDeque::new(),
            buffers: Buffers { scratch: Vec::new(), pool: Pool::new(POOLED) },
        }
    }

    /// Its identity.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Bytes that own values may take.
    pub fn set_send_queue(&mut self, bytes: usize) {
        self.own.table.capacity.bytes = bytes;
    }

    /// How many bytes of own values are kept.
    pub fn send_queue(&self) -> usize {
        self.own.table.capacity.bytes
    }

    /// Bytes of states that may wait for the program before they are conflated.
    pub fn set_recv_queue(&mut self, bytes: usize) {
        self.received.set_queue_limit(bytes);
    }

    /// How many bytes of states may wait for the program before they are conflated.
    pub fn recv_queue(&self) -> usize {
        self.received.queue_limit()
    }

    /// Where the link stands.
    pub fn link(&self) -> LinkState {
        match self.phase {
            Phase::Idle => LinkState::Idle,
            Phase::Up => LinkState::Connected,
            _ if self.dialler.is_refused() => LinkState::Refused,
            _ => LinkState::Connecting,
        }
    }

    /// The last failure to connect, for calls that wait for the link.
    pub fn last_failure(&self) -> Option<&Error> {
        self.reports.last_failure.as_ref()
    }

    /// Why nothing came of a wait whose time is up, in words.
    pub fn why_timed_out(&self) -> String {
        match (self.link(), &self.reports.last_failure) {
            (LinkState::Connecting, Some(failure)) => failure.to_string(),
            (LinkState::Connecting, None) => "no answer from the hub yet".to_owned(),
            _ => Status::Timeout.text().to_owned(),
        }
    }

    /// The address of the hub that has welcomed this app, and for how long nothing has been heard of it.
    pub fn silence(&self, now: Now) -> Option<(&str, Duration)> {
        let link = self.link.as_ref().filter(|_| matches!(self.phase, Phase::Up))?;
        Some((self.dialler.url(), now.mono.since(link.progress())))
    }

    /// The next notice.
    pub fn next_notice(&mut self) -> Option<Notice> {
        let notice = self.reports.next_notice().or_else(|| self.next_of_others()).or_else(|| self.next_stale());
        notice.or_else(|| self.next_synced(self.received.waiting()))
    }

    /// The refusal that the program has not got yet: each is returned once, and not again while attempts end the same.
    pub fn take_refusal(&mut self) -> Option<Error> {
        self.reports.take_refusal()
    }

    /// Takes back what [`Session::take_refusal`] gave: the program was not told.
    pub fn keep_refusal(&mut self, refusal: Error) {
        self.reports.keep_refusal(refusal);
    }

    /// Whether a notice or a refusal waits.
    pub fn has_notice(&self) -> bool {
        self.reports.has_notice()
            || self.has_news_of_others()
            || self.has_news_of_stale()
            || self.hub.synced.is_due(self.received.waiting())
    }

    /// The next thing that the operator should know.
    pub fn next_warning(&mut self) -> Option<String> {
        self.reports.next_warning()
    }

    /// Counters.
    pub fn stats(&self) -> AppStats {
        AppStats {
            conflated_out: self.reports.stats.conflated_out
                + self.link.as_ref().map_or(0, |link| link.feed.conflated()),
            conflated_in: self.received.conflated,
            dropped_in: self.received.dropped,
            own_bytes: self.own.table.bytes() as u64,
            queued: self.received.waiting() as u64,
            queued_bytes: self.received.waiting_bytes() as u64,
            ..self.reports.stats
        }
    }

    /// The connection to the hub that has welcomed this app.
    pub fn linked(&self) -> Option<ConnId> {
        self.conn().filter(|_| matches!(self.phase, Phase::Up))
    }

    fn conn(&self) -> Option<ConnId> {
        self.link.as_ref().map(Link::conn)
    }

    /// Whether the hub of the link is an old one.
    pub fn is_old(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_old)
    }

    /// The largest body that the hub takes, as far as it is known.
    fn limit(&self) -> usize {
        limit(self.is_old(), &self.config, self.hub.limit)
    }

    fn notice_link(&mut self, why: Status, text: String) {
        self.reports.notice_link(self.link(), why, text);
    }

    /// Asks the driver to write, if there is a link.
    fn flush(&mut self) {
        if let Some(link) = &mut self.link {
            link.flush(&mut self.actions);
        }
    }

    /// Whether the driver has something to do.
    pub fn has_action(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.feed.waiting())
    }

    /// What [`Session::is_acked`] takes for all that was published so far.
    pub fn request_ack(&mut self) -> u64 {
        let version = self.own.table.version();
        if !self.hub.acks.request(version) {
            self.timers.clear(Timer::Patience);
            if matches!(self.phase, Phase::Up) {
                self.flush();
            }
        }
        version
    }

    /// Whether a state waits for the program.
    pub fn has_state(&self) -> bool {
        self.received.waiting() > 0
    }

    /// The next state for the program. [`Protocol::reads`] may say something else afterwards.
    pub fn take_state(&mut self) -> Option<State> {
        let state = self.received.take()?;
        self.hub.synced.took();
        if self.is_paused() && self.received.waiting_bytes() <= self.received.queue_limit() / 4 {
            self.timers.clear(Timer::Patience);
        }
        Some(state)
    }

    /// Whether bytes of the hub are left unread, so that it conflates and nothing has to be dropped here.
    pub fn is_paused(&self) -> bool {
        self.timers.is_set(Timer::Patience)
    }

    /// Stops reading while a program that takes its states has as many as it may have. One that takes none, or waits
    /// for an acknowledgement that comes behind them, has them conflated.
    fn pause_if_full(&mut self, now: Now) {
        match self.received.full_until(now.mono).filter(|_| !self.hub.acks.are_waited_for()) {
            Some(until) => self.timers.set(Timer::Patience, until),
            None => self.timers.clear(Timer::Patience),
        }
    }

    /// Until when the link should not be closed, for what was written to an old hub to be handed on.
    pub fn settles_until(&self) -> Option<MonoTime> {
        let old = matches!(self.phase, Phase::Up) && self.is_old() && self.own.table.version() > 0;
        old.then(|| self.hub.acks.settles_until())
    }

    /// Whether the hub has dealt with all that was published up to then.
    pub fn is_acked(&self, version: u64) -> bool {
        self.hub.acks.has(version)
    }

    /// Takes only these kinds from now on.
    pub fn set_accept(&mut self, mask: u32) {
        if self.accepted.set(mask) {
            self.announce_accept();
        }
    }

    /// Whether states of other kinds give a [`Notice::Reject`].
    pub fn set_tells_rejects(&mut self, tells: bool) {
        if self.accepted.set_tells_rejects(tells) {
            self.announce_accept();
        }
    }

    /// Whether changes of the link give a [`Notice::Link`].
    pub fn set_tells_links(&mut self, tells: bool) {
        self.reports.tells_links = tells;
    }

    fn announce_accept(&mut self) {
        if matches!(self.phase, Phase::Up) && !self.is_old() {
            let mask = self.accepted.tell();
            self.control(&Control::Accept { mask });
            self.hub.synced.ask();
        }
    }

    /// The link is there: the hub is told which kinds are taken if that has changed since the hello. Returns in how many
    /// messages.
    fn tell_kinds(&mut self) -> u64 {
        if !self.accepted.is_to_be_told() {
            return 0;
        }
        let mask = self.accepted.tell();
        self.control(&Control::Accept { mask });
        1
    }

    /// Sends a control message, if there is a link.
    fn control(&mut self, control: &Control<'_>) {
        if let Some(link) = &mut self.link {
            link.enqueue(&self.identity, control, &mut self.buffers.scratch);
            link.flush(&mut self.actions);
        }
    }

    /// Learns another clock's reading.
    fn observe(&mut self, now: Now, reading: LogicalTime) {
        if self.stamper.observe(now, reading) {
            self.reports.warn(self.stamper.ahead_of_wall(now));
        }
    }
}

/// The largest body that the hub takes, as far as it is known.
fn limit(is_old: bool, config: &SessionConfig, hub_limit: usize) -> usize {
    if is_old {
        limits::LEGACY_MAX
    } else {
        config.max_message.min(hub_limit)
    }
}

/// Whether the hub, which has these features, is sent this value.
fn wanted(is_old: bool, features: Features, entry: &Entry, limit: usize) -> bool {
    let knows =
        if is_old { entry.kind().is_plain() } else { !entry.is_cleared() || features.contains(Features::CLEAR) };
    entry.meta_at() <= limit && knows
}

impl Protocol for Session {
    fn opened(&mut self, now: Now, conn: ConnId, info: ConnInfo, token: Option<u64>) {
        let dialled = match self.phase {
            Phase::Dialling { token } => Some(token),
            _ => None,
        };
        if token.is_none() || token != dialled {
            self.actions.push_back(Action::Close(conn));
            return;
        }
        self.received.begin(now.mono);
        let side = Side::Dialler(self.dialler.opened(now));
        let frame = self.config.max_message + limits::META_ROOM;
        let limits = LinkLimits { frame, outbox: self.config.outbox, answers: limits::OUTBOX };
        let link = self.link.insert(Link::new(now, conn, &info, side, limits, &self.buffers.pool));
        if link.is_open() {
            return self.say_hello(now);
        }
        link.flush(&mut self.actions);
        self.phase = Phase::Handshake;
        self.expect_answer(now);
    }

    fn dial_failed(&mut self, now: Now, token: u64, error: Error) {
        if matches!(self.phase, Phase::Dialling { token: dialled } if dialled == token) {
            self.failed(now, error);
        }
    }

    fn bytes(&mut self, now: Now, conn: ConnId, mut input: &[u8]) {
        let Some(link) = self.link.as_mut().filter(|link| link.conn() == conn) else { return };
        link.heard(now);
        self.own.table.tell_time(now.mono);
        if !link.is_open() && !self.greet(now, &mut input) {
            return;
        }
        self.frames(now, conn, input);
    }

    fn room(&mut self, _now: Now, conn: ConnId) -> Option<Room<'_>> {
        self.link.as_mut().filter(|link| link.conn() == conn)?.room()
    }

    fn placed(&mut self, now: Now, conn: ConnId, _n: usize) {
        self.bytes(now, conn, &[]);
    }

    fn reads(&self, _conn: ConnId) -> bool {
        !self.is_paused()
    }

    fn closed(&mut self, now: Now, conn: ConnId, why: Closed) {
        if self.conn() != Some(conn) {
            return;
        }
        let error = match why {
            Closed::ByPeer => Error::new(Status::Closed, "the hub closed the connection"),
            Closed::Failed(error) => error,
        };
        self.lost(now, error);
    }

    fn gather<'a>(&'a mut self, now: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
        self.own.table.tell_time(now.mono);
        let Session { link, last, identity, own, config, hub, reports, buffers, .. } = self;
        let Some(link) = link.as_mut().filter(|link| link.conn() == conn) else {
            return last.iter().filter(|last| last.conn() == conn).for_each(|last| last.gather(slices));
        };
        link.begin_write();
        if let Some(token) = link.due_pong() {
            link.enqueue(identity, &Control::Pong { token, time: None }, &mut buffers.scratch);
        }
        if matches!(self.phase, Phase::Up) {
            let (own, is_old) = (&own.table, link.is_old());
            let limit = limit(is_old, config, hub.limit);
            let was_live = link.feed.is_live();
            // Without a bound: the feed of an app has its own states only, and no other link waits.
            let mut steps = usize::MAX;
            link.feed.fill(own, &mut steps, usize::MAX, |feed, entry, _| {
                let wanted = wanted(is_old, hub.features, entry, limit);
                if !wanted && !feed.came_while_behind(entry) {
                    reports.withheld(entry);
                }
                wanted
            });
            if !was_live && link.feed.is_live() {
                let conflated = link.feed.conflated();
                debug!("{}: all own states are on their way, {conflated} conflated so far", one_line(identity));
            }
            // Behind all that is to be acknowledged.
            let through = if is_on(Mutation::AckedEarly) { own.version() } else { link.feed.through(own) };
            if is_old && link.feed.is_drained() {
                hub.acks.written_to_old(through);
            } else if !is_old && hub.acks.ask(through) {
                link.enqueue(identity, &Control::Ping { token: through }, &mut buffers.scratch);
            }
        }
        link.gather(slices);
    }

    fn wrote(&mut self, now: Now, conn: ConnId, n: usize) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| link.conn() == conn) else {
            let last = self.last.as_mut().filter(|last| last.conn() == conn);
            return last.is_some_and(|last| last.feed.wrote(n));
        };
        let more = link.wrote(now, n);
        self.hub.acks.wrote(now.mono);
        if link.is_old() && link.feed.is_drained() {
            self.hub.acks.written_to_old(self.own.table.version());
        }
        // An acknowledgement is asked for behind what was written.
        more || self.hub.acks.is_to_be_asked()
    }

    fn next_action(&mut self) -> Option<Action> {
        let Some(action) = self.actions.pop_front() else {
            // It was closed with the action before.
            self.last = None;
            return None;
        };
        Some(action)
    }

    fn deadline(&self) -> Option<MonoTime> {
        self.timers.earliest()
    }

    fn tick(&mut self, now: Now) {
        self.own.table.tell_time(now.mono);
        while let Some(timer) = self.timers.take_due(now.mono) {
            match timer {
                Timer::Backoff => self.dial(),
                Timer::Patience => self.pause_if_full(now),
                Timer::Silence => self.look_at_hub(now),
                Timer::Expiry => self.expire_values(now),
                Timer::Handshake => {
                    self.drop_link(now, Error::new(Status::Timeout, "the hub did not answer in time"));
                }
            }
        }
    }
}
