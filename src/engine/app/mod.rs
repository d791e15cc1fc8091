//! An app: keeps its own newest values, announces them to the hub on every new link, and takes what the hub sends.

mod config;
mod draft;
mod inbox;
mod lookup;
mod notices;
mod own;
mod publish;
mod receive;
mod received;
mod stats;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use log::debug;

pub use self::config::SessionConfig;
pub use self::draft::Draft;
use self::inbox::Inbox;
pub use self::notices::{LinkState, Notice};
use self::own::Own;
use self::received::Received;
pub use self::stats::AppStats;
use super::clock::{is_beyond, Clock};
use super::link::handshake::{Agreed, Side};
use super::link::{Link, LinkLimits};
use super::outbox::Pool;
use super::table::Entry;
use super::timers::{TimerKey, Timers};
use super::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use crate::framing::{Frame, Version};
use crate::state::State;
use crate::visible::{one_line, sentence, Quoted};
use crate::wire::{self, Control, HelloFlags, Instance};
use crate::{limits, Error, Status};

/// How often the hub of one link may set the clock of an app back.
const MAX_REBASES: u32 = 3;

/// How many notices wait at most; the oldest goes.
const MAX_NOTICES: usize = 1024;

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
}

impl TimerKey for Timer {
    fn index(self) -> usize {
        self as usize
    }
}

/// What is left of a refusal by the hub.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Refused {
    /// The last attempt was refused: the link is [`LinkState::Refused`], also while it is tried again.
    now: bool,
    /// The identity was taken when the hub was last asked: the next attempt leaves it to a holder that is not lost.
    retries: bool,
    /// Another app had or got the identity since the program asked to connect: it is not taken over any more.
    displaced: bool,
}

/// An address of the hub, and what is known of it.
struct Target {
    url: String,
    /// Until when it is dialled as an old hub.
    old_until: u64,
}

/// A program that took no state for so long, in nanoseconds, does not hold up the link. Shorter than the time in which
/// a probed app has to answer.
const PATIENCE: u64 = limits::IDENTITY_PROBE.as_nanos() as u64 / 2;

/// Chunks of each size that an app keeps for later of what waited to be written: 1.3 MiB.
const POOLED: usize = 16;

/// An app's engine.
pub struct Session {
    identity: String,
    instance: Instance,
    /// What can be set; before connect.
    pub config: SessionConfig,
    clock: Clock,
    /// Whether a v1 hub told the time: until then own values have a stamp for now, and get theirs then.
    has_hub_time: bool,
    /// How often the hub of this link set the clock back.
    rebases: u32,
    /// When hello was said, in nanoseconds of the boot clock.
    hello_at: u64,
    own: Own,
    /// The connection to the hub, in the phases that have one.
    link: Option<Link>,
    phase: Phase,
    targets: Vec<Target>,
    target: usize,
    attempt: u32,
    epoch: u64,
    next_token: u64,
    random: u64,
    /// The hub of the last link; none for an old one.
    hub: Option<Instance>,
    /// The hub's limit, once it is known.
    hub_limit: usize,
    accept: u32,
    tells_rejects: bool,
    tells_links: bool,
    actions: VecDeque<Action>,
    /// The versions of `own` that are asked to be acknowledged, are being asked for, and have been.
    ack_wanted: u64,
    ack_asked: u64,
    acked: u64,
    /// What the program has not taken.
    pub inbox: Inbox,
    timers: Timers<Timer>,
    /// States taken by the program, and how many and when that was last looked at.
    taken: u64,
    taken_seen: u64,
    taken_at: u64,
    wrote_at: u64,
    notices: VecDeque<Notice>,
    received: Received,
    refused: Refused,
    /// The refusal that the program has not been told of.
    refusal: Option<Error>,
    last_failure: Option<Error>,
    /// Why there is no link, as far as the program was told.
    told_failure: String,
    stats: AppStats,
    warned_withheld: bool,
    warned_no_memory: bool,
    warnings: VecDeque<String>,
    scratch: Vec<u8>,
    pool: Pool,
}

impl Session {
    /// An app that is not connected. `instance` is random and made for it; the identity is checked.
    pub fn new(identity: &str, instance: Instance) -> Session {
        let pool = Pool::new(POOLED);
        let mut seed = [0; 8];
        seed.copy_from_slice(&instance.0[..8]);
        Session {
            identity: identity.to_owned(),
            instance,
            config: SessionConfig::default(),
            clock: Clock::default(),
            has_hub_time: false,
            rebases: 0,
            hello_at: 0,
            own: Own::new(limits::SEND_QUEUE),
            link: None,
            phase: Phase::Idle,
            targets: Vec::new(),
            target: 0,
            attempt: 0,
            epoch: 0,
            next_token: 1,
            random: u64::from_le_bytes(seed) | 1,
            hub: None,
            hub_limit: usize::MAX,
            accept: wire::ACCEPT_ANY,
            tells_rejects: false,
            tells_links: false,
            actions: VecDeque::new(),
            ack_wanted: 0,
            ack_asked: 0,
            acked: 0,
            inbox: Inbox::new(limits::RECV_QUEUE),
            timers: Timers::new(),
            taken: 0,
            taken_seen: 0,
            taken_at: 0,
            wrote_at: 0,
            notices: VecDeque::new(),
            received: Received::new(limits::RECEIVED),
            refused: Refused::default(),
            refusal: None,
            last_failure: None,
            told_failure: String::new(),
            stats: AppStats::default(),
            warned_withheld: false,
            warned_no_memory: false,
            warnings: VecDeque::new(),
            scratch: Vec::new(),
            pool,
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

    /// Where the link stands.
    pub fn link(&self) -> LinkState {
        match self.phase {
            Phase::Idle => LinkState::Idle,
            Phase::Up => LinkState::Connected,
            _ if self.refused.now => LinkState::Refused,
            _ => LinkState::Connecting,
        }
    }

    /// The last failure to connect, for who waits.
    pub fn last_failure(&self) -> Option<&Error> {
        self.last_failure.as_ref()
    }

    /// Why nothing came of a wait whose time is up, in words.
    pub fn why_timed_out(&self) -> String {
        match (self.link(), &self.last_failure) {
            (LinkState::Connecting, Some(failure)) => failure.to_string(),
            (LinkState::Connecting, None) => "no answer from the hub yet".to_owned(),
            _ => Status::Timeout.text().to_owned(),
        }
    }

    /// The address of the hub that has welcomed this app, and for how long nothing has been heard of it, in nanoseconds.
    pub fn silence(&self, now: Now) -> Option<(&str, u64)> {
        let link = self.link.as_ref().filter(|_| matches!(self.phase, Phase::Up))?;
        Some((self.targets[self.target].url.as_str(), now.mono.saturating_sub(link.progress())))
    }

    /// The next notice.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The refusal that the program has not been told of: each is told once, and not again while attempts end the same.
    pub fn take_refusal(&mut self) -> Option<Error> {
        self.refusal.take()
    }

    /// Takes back what [`Session::take_refusal`] gave: the program was not told.
    pub fn keep_refusal(&mut self, refusal: Error) {
        self.refusal.get_or_insert(refusal);
    }

    /// Whether a notice or a refusal waits.
    pub fn has_notice(&self) -> bool {
        !self.notices.is_empty() || self.refusal.is_some()
    }

    /// The next thing that the operator should know.
    pub fn next_warning(&mut self) -> Option<String> {
        self.warnings.pop_front()
    }

    /// Counters.
    pub fn stats(&self) -> AppStats {
        AppStats {
            conflated_out: self.stats.conflated_out + self.link.as_ref().map_or(0, |link| link.feed.conflated()),
            conflated_in: self.inbox.conflated,
            dropped_in: self.inbox.dropped,
            own_bytes: self.own.table.bytes() as u64,
            queued: self.inbox.len() as u64,
            queued_bytes: self.inbox.bytes() as u64,
            ..self.stats
        }
    }

    /// Starts connecting to one of `urls`, which are addresses of one hub.
    pub fn connect(&mut self, urls: Vec<String>) {
        if let Some(conn) = self.conn() {
            // A refused app was trying again.
            self.actions.push_back(Action::Close(conn));
            self.unlink();
        }
        self.refused = Refused::default();
        self.refusal = None;
        self.targets = urls.into_iter().map(|url| Target { url, old_until: 0 }).collect();
        self.target = 0;
        self.attempt = 0;
        self.last_failure = None;
        self.told_failure.clear();
        self.received.clear();
        self.hub_limit = usize::MAX;
        self.forget_acks();
        self.dial();
        self.notice_link(Status::Ok, String::new());
    }

    /// Ends the link, or the attempts to get one.
    pub fn disconnect(&mut self) {
        if let Some(conn) = self.conn() {
            self.actions.push_back(Action::Close(conn));
        }
        if !matches!(self.phase, Phase::Idle) {
            self.unlink();
            self.phase = Phase::Idle;
            self.refused = Refused::default();
            self.refusal = None;
            self.notice_link(Status::Ok, String::new());
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
    fn is_old(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_old)
    }

    /// The largest body that the hub takes, as far as it is known.
    fn limit(&self) -> usize {
        limit(self.is_old(), &self.config, self.hub_limit)
    }

    fn notice(&mut self, notice: Notice) {
        if self.notices.len() == MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    fn notice_link(&mut self, why: Status, text: String) {
        if self.tells_links {
            self.notice(Notice::Link { link: self.link(), why, text });
        }
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
        self.ack_wanted = self.ack_wanted.max(version);
        if !self.is_acked(version) {
            self.timers.clear(Timer::Patience);
            if matches!(self.phase, Phase::Up) {
                self.flush();
            }
        }
        version
    }

    /// The next state for the program. [`Protocol::reads`] may say something else afterwards.
    pub fn take_state(&mut self) -> Option<State> {
        let state = self.inbox.pop()?;
        self.taken += 1;
        if self.is_paused() && self.inbox.bytes() <= self.inbox.limit() / 4 {
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
        if self.taken != self.taken_seen {
            self.taken_seen = self.taken;
            self.taken_at = now.mono;
        }
        let until = self.taken_at + PATIENCE;
        if self.inbox.bytes() >= self.inbox.limit() / 2 && now.mono < until && self.ack_wanted <= self.acked {
            self.timers.set(Timer::Patience, until);
        } else {
            self.timers.clear(Timer::Patience);
        }
    }

    /// Until when the link should not be closed, for what was written to an old hub to be handed on.
    pub fn settles_until(&self) -> Option<u64> {
        let old = matches!(self.phase, Phase::Up) && self.is_old() && self.own.table.version() > 0;
        old.then(|| self.wrote_at + limits::OLD_HUB_SETTLES.as_nanos() as u64)
    }

    /// Whether the hub has dealt with all that was published up to then.
    pub fn is_acked(&self, version: u64) -> bool {
        self.acked >= version
    }

    /// Takes only these kinds from now on.
    pub fn set_accept(&mut self, mask: u32) {
        let (before, wider) = (self.accept_for_hub(), mask & !self.accept != 0);
        self.accept = mask;
        // Said again although it is the same for the hub, it brings what was rejected here.
        if wider || self.accept_for_hub() != before {
            self.announce_accept();
        }
    }

    /// Whether states of other kinds give a [`Notice::Reject`].
    pub fn set_tells_rejects(&mut self, tells: bool) {
        let before = self.accept_for_hub();
        self.tells_rejects = tells;
        if self.accept_for_hub() != before {
            self.announce_accept();
        }
    }

    /// Whether changes of the link give a [`Notice::Link`].
    pub fn set_tells_links(&mut self, tells: bool) {
        self.tells_links = tells;
    }

    /// What the hub is to send: also what is to be told as rejected.
    fn accept_for_hub(&self) -> u32 {
        if self.tells_rejects {
            wire::ACCEPT_ANY
        } else {
            self.accept
        }
    }

    fn announce_accept(&mut self) {
        if matches!(self.phase, Phase::Up) && !self.is_old() {
            self.control(&Control::Accept { mask: self.accept_for_hub() });
        }
    }

    /// Sends a control message, if there is a link.
    fn control(&mut self, control: &Control<'_>) {
        if let Some(link) = &mut self.link {
            link.enqueue(&self.identity, control, &mut self.scratch);
            link.flush(&mut self.actions);
        }
    }

    fn dial(&mut self) {
        let token = self.next_token;
        self.next_token += 1;
        self.phase = Phase::Dialling { token };
        self.timers.clear(Timer::Backoff);
        debug!("{}: connecting to {}", one_line(&self.identity), self.targets[self.target].url);
        self.actions.push_back(Action::Dial { token, url: self.targets[self.target].url.clone() });
    }

    /// A number below `bound`, for jitter.
    fn random(&mut self, bound: u64) -> u64 {
        // xorshift64: spreads reconnects, hides nothing.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound.max(1)
    }

    /// The address did not lead to a link: the next one, after a wait once all were tried.
    fn failed(&mut self, now: Now, error: Error) {
        let error = with_hint(error, &self.targets[self.target].url);
        let (status, text) = (error.status(), error.to_string());
        debug!("{}: {text}", one_line(&self.identity));
        self.last_failure = Some(error);
        self.target = (self.target + 1) % self.targets.len();
        if self.target != 0 {
            return self.dial();
        }
        self.wait(now);
        self.refused.now = false;
        // Each reason once, not with every attempt.
        if text != self.told_failure {
            self.told_failure.clone_from(&text);
            self.notice_link(status, text);
        }
    }

    fn wait(&mut self, now: Now) {
        let full = (self.config.backoff_min << self.attempt.min(20)).min(self.config.backoff_max);
        self.attempt += 1;
        let delay = full / 2 + self.random(full / 2 + 1);
        debug!("{}: tries again in {} ms", one_line(&self.identity), delay / 1_000_000);
        self.phase = Phase::Waiting;
        self.timers.set(Timer::Backoff, now.mono + delay);
    }

    /// Forgets the connection.
    fn unlink(&mut self) {
        if let Some(link) = self.link.take() {
            self.stats.conflated_out += link.feed.conflated();
        }
        self.timers.clear_all();
        self.ack_asked = self.acked;
        self.rebases = 0;
        self.own.unlink();
    }

    /// What a hub acknowledged another need not have.
    fn forget_acks(&mut self) {
        self.acked = 0;
        self.ack_asked = 0;
    }

    /// The connection ended, or is ended here.
    fn lost(&mut self, now: Now, error: Error) {
        let was_up = matches!(self.phase, Phase::Up);
        self.unlink();
        let text = format!("{error}: {}", self.targets[self.target].url);
        if was_up {
            debug!("{}: {text}", one_line(&self.identity));
            self.attempt = 0;
            self.last_failure = Some(Error::new(error.status(), text.clone()));
            self.wait(now);
            self.told_failure.clone_from(&text);
            self.notice_link(error.status(), text);
        } else {
            self.failed(now, Error::new(error.status(), text));
        }
    }

    fn drop_link(&mut self, now: Now, error: Error) {
        if let Some(conn) = self.conn() {
            self.actions.push_back(Action::Close(conn));
            self.lost(now, error);
        }
    }

    fn say_hello(&mut self, now: Now) {
        let mut flags = HelloFlags(0);
        for (asked, flag) in [
            (self.config.take_over && !self.refused.displaced, HelloFlags::TAKE_OVER),
            (self.config.shared, HelloFlags::SHARED),
            (self.config.echo, HelloFlags::ECHO),
            (self.refused.retries, HelloFlags::RETRY),
        ] {
            if asked {
                flags |= flag;
            }
        }
        let (instance, epoch, accept) = (self.instance, self.epoch, self.accept_for_hub());
        let time = Some(self.clock.read(now));
        self.hello_at = now.boot;
        self.phase = Phase::Hello;
        self.expect_answer(now);
        debug!("{}: hello, connection {epoch}, accepts {accept:#x}, flags {:#x}", one_line(&self.identity), flags.0);
        let secret = self.config.secret;
        self.control(&Control::Hello { instance, epoch, accept, flags, time, secret });
    }

    /// The hub has its time to answer what it is sent now.
    fn expect_answer(&mut self, now: Now) {
        self.timers.set(Timer::Handshake, now.mono + limits::HANDSHAKE.as_nanos() as u64);
    }

    /// The link is there, to the hub of this instance or to an old one.
    fn up(&mut self, hub: Option<Instance>) {
        self.phase = Phase::Up;
        self.timers.clear(Timer::Handshake);
        if self.hub != hub {
            self.forget_acks();
            if self.hub.is_none() {
                // What came through an old hub has this app's stamps, which say nothing beside those of the senders.
                self.received.clear();
            }
            self.hub = hub;
        }
        self.attempt = 0;
        self.refused = Refused { displaced: self.refused.displaced, ..Refused::default() };
        self.refusal = None;
        self.last_failure = None;
        self.told_failure.clear();
        self.stats.connects += 1;
        self.warned_withheld = false;
        if let Some(link) = &mut self.link {
            link.feed.walk_all(&self.own.table);
        }
        debug!(
            "{}: {} {}, announces {} own states",
            one_line(&self.identity),
            if hub.is_some() { "welcome at" } else { "at an old hub," },
            self.targets[self.target].url,
            self.own.table.len()
        );
        self.flush();
        self.notice_link(Status::Ok, self.targets[self.target].url.clone());
    }

    /// Goes on with the handshake. Whether it has led to a link that frames come by.
    fn greet(&mut self, now: Now, input: &mut &[u8]) -> bool {
        let Some(link) = &mut self.link else { return false };
        match link.greet(input, &mut self.actions) {
            Ok(None) => return false,
            Ok(Some(opened)) => match opened.agreed {
                Agreed::V1 => self.say_hello(now),
                Agreed::Old => self.up(None),
                Agreed::NotV1 => {
                    // Nothing that is written here is sure to arrive.
                    self.actions.extend(self.conn().map(Action::Close));
                    self.take_for_old(now);
                }
            },
            Err(error) => self.drop_link(now, Error::new(Status::Invalid, error.to_string())),
        }
        self.link.is_some()
    }

    /// This address is an old hub's: dials it as such, for a while.
    fn take_for_old(&mut self, now: Now) {
        let target = &mut self.targets[self.target];
        target.old_until = now.mono + limits::OLD_PEER_REMEMBERED.as_nanos() as u64;
        self.unlink();
        self.dial();
    }

    /// Something large was left out. The first is logged.
    fn warn_no_memory(&mut self, what: &str) {
        debug!("{}: {what}: {}", one_line(&self.identity), Status::NoMemory.text());
        if !mem::replace(&mut self.warned_no_memory, true) {
            self.warnings.push_back(format!("{what}: {}", Status::NoMemory.text()));
        }
    }

    /// The hub does not let this app in, or no longer. It is asked again later: the reason may pass.
    fn refused_by_hub(&mut self, now: Now, status: i32, text: &str) {
        let status = Status::from_code(status).filter(|&status| may_be_refusal(status)).unwrap_or(Status::Refused);
        let text = if text.is_empty() { status.text() } else { text };
        let text = format!("{}: {}", sentence(text), self.targets[self.target].url);
        self.actions.extend(self.conn().map(Action::Close));
        self.unlink();
        self.wait(now);
        let taken = status == Status::IdentityTaken;
        let known = self.refused.now && text == self.told_failure;
        self.refused = Refused { now: true, retries: taken, displaced: self.refused.displaced || taken };
        let error = Error::new(status, text.clone());
        self.last_failure = Some(error.clone());
        if !known {
            self.told_failure.clone_from(&text);
            self.warnings.push_back(format!("refused: {text}"));
            self.refusal = Some(error);
            self.notice_link(status, text);
        }
    }

    /// Learns another clock's reading.
    fn observe(&mut self, now: Now, reading: u64) {
        if self.clock.observe(now, reading) {
            self.warnings.extend(self.clock.ahead_of_wall(now));
        }
    }

    /// The hub lets this app in, and tells its time.
    fn welcomed(&mut self, now: Now, time: Option<u64>) {
        let is_first = !mem::replace(&mut self.has_hub_time, true);
        let Some(time) = time else { return };
        if is_first || is_beyond(self.clock.read(now), time) {
            self.rebase(now, time, is_first);
        } else {
            self.observe(now, time);
        }
        self.warnings.extend(self.clock.ahead_of_wall(now));
    }
}

/// Adds what is most likely wrong where nobody listens at all.
fn with_hint(error: Error, url: &str) -> Error {
    match error.status() {
        status @ (Status::Refused | Status::NotFound) if !url.starts_with("inproc:") => {
            Error::new(status, format!("{error} (is \"nanostate hub\" running?)"))
        }
        _ => error,
    }
}

/// Whether a hub may refuse an app with this status. The others mean something else to the calls that return it: success,
/// a time-out, an end of the handle.
fn may_be_refusal(status: Status) -> bool {
    matches!(
        status,
        Status::Invalid
            | Status::Unsupported
            | Status::Identity
            | Status::TooLarge
            | Status::Full
            | Status::Refused
            | Status::Permission
            | Status::IdentityTaken
            | Status::NotFound
    )
}

/// The largest body that the hub takes, as far as it is known.
fn limit(is_old: bool, config: &SessionConfig, hub_limit: usize) -> usize {
    if is_old {
        limits::LEGACY_MAX
    } else {
        config.max_message.min(hub_limit)
    }
}

/// Whether the hub is sent this value.
fn wanted(is_old: bool, entry: &Entry, limit: usize) -> bool {
    entry.meta_at() <= limit && (!is_old || entry.kind().is_plain())
}

fn withhold(stats: &mut AppStats, warned: &mut bool, warnings: &mut VecDeque<String>, entry: &Entry) {
    stats.withheld += 1;
    if !mem::replace(warned, true) {
        let (name, kind, len) = (Quoted(entry.name()), entry.kind().name(), entry.meta_at());
        warnings.push_back(format!("{name} ({kind}, {len} bytes) withheld: the hub does not take it"));
    }
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
        self.epoch += 1;
        self.taken_at = now.mono;
        let old = self.targets[self.target].old_until > now.mono;
        let side = Side::Dialler(if old { Version::Old } else { Version::V1 });
        let frame = self.config.max_message + limits::META_ROOM;
        let limits = LinkLimits { frame, outbox: limits::OUTBOX, answers: limits::OUTBOX };
        let link = self.link.insert(Link::new(now, conn, info.framing, side, limits, &self.pool));
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
        if !link.is_open() && !self.greet(now, &mut input) {
            return;
        }
        let Some(link) = &mut self.link else { return };
        let mut decoder = link.take_decoder();
        while let Some(link) = self.link.as_mut().filter(|link| link.conn() == conn) {
            match link.next(&mut decoder, &mut input) {
                Ok(Some(Frame::Body(body))) => self.body(now, Cow::Borrowed(body)),
                Ok(Some(Frame::Large(body))) => self.body(now, Cow::Owned(body)),
                Ok(Some(Frame::TooLarge(len))) => {
                    self.stats.too_large += 1;
                    if self.stats.too_large == 1 {
                        self.warnings.push_back(format!("message of {len} bytes dropped: over the limit"));
                    }
                }
                Ok(Some(Frame::NoMemory { len, .. })) => {
                    self.stats.too_large += 1;
                    self.warn_no_memory(&format!("message of {len} bytes dropped"));
                }
                Ok(None) => {
                    link.put_decoder(decoder);
                    return self.pause_if_full(now);
                }
                Err(error) => return self.drop_link(now, Error::new(Status::Invalid, error.to_string())),
            }
        }
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

    fn gather<'a>(&'a mut self, _now: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
        let Session { link, identity, own, config, hub_limit, stats, warned_withheld, warnings, scratch, .. } = self;
        let Some(link) = link.as_mut().filter(|link| link.conn() == conn) else { return };
        link.begin_write();
        if let Some(token) = link.due_pong() {
            link.enqueue(identity, &Control::Pong { token, time: None }, scratch);
        }
        if matches!(self.phase, Phase::Up) {
            let (own, is_old) = (&own.table, link.is_old());
            let limit = limit(is_old, config, *hub_limit);
            let was_live = link.feed.is_live();
            link.feed.fill(own, |feed, entry| {
                let wanted = wanted(is_old, entry, limit);
                if !wanted && !feed.came_while_behind(entry) {
                    withhold(stats, warned_withheld, warnings, entry);
                }
                wanted
            });
            if !was_live && link.feed.is_live() {
                let conflated = link.feed.conflated();
                debug!("{}: all own states are on their way, {conflated} conflated so far", one_line(identity));
            }
            // Behind all that is to be acknowledged.
            let through = link.feed.through(own);
            if is_old && link.feed.is_drained() {
                self.acked = through;
            } else if !is_old && self.ack_wanted > self.ack_asked && through > self.ack_asked {
                self.ack_asked = through;
                link.enqueue(identity, &Control::Ping { token: through }, scratch);
            }
        }
        link.gather(slices);
    }

    fn wrote(&mut self, now: Now, conn: ConnId, n: usize) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| link.conn() == conn) else { return false };
        let more = link.wrote(n);
        self.wrote_at = now.mono;
        if link.is_old() && link.feed.is_drained() {
            self.acked = self.own.table.version();
        }
        // An acknowledgement is asked for behind what was written.
        more || self.ack_wanted > self.ack_asked
    }

    fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<u64> {
        self.timers.earliest()
    }

    fn tick(&mut self, now: Now) {
        while let Some(timer) = self.timers.take_due(now.mono) {
            match timer {
                Timer::Backoff => self.dial(),
                Timer::Patience => self.pause_if_full(now),
                Timer::Handshake => {
                    self.drop_link(now, Error::new(Status::Timeout, "the hub did not answer in time"));
                }
            }
        }
    }
}
