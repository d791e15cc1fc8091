//! A hub: takes every value once, keeps the newest of each key, and feeds the peers.
//!
//! A [`Router`] is its peers, and what they have in common. A body of one peer is taken while only that peer is
//! borrowed; what follows for others is returned, and done afterwards.

mod access;
mod admission;
mod audience;
mod clients;
mod config;
mod core;
mod counting;
mod events;
mod forgetting;
mod groups;
mod identities;
mod intake;
mod life;
mod overhead;
mod peer;
mod peers;
mod presence;
mod pressure;
pub mod queries;
mod reclaim;
mod reports;
mod stored_wills;
mod storing;
mod subscribing;
mod subscriptions;
#[cfg(test)]
mod tests;
mod turns;
mod unfinished;
mod visitors;
mod wills;

use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use log::debug;

pub use self::access::{Access, Tokens};
pub use self::config::{About, RouterConfig};
use self::core::{Core, Next, Timer};
pub use self::events::{PeerEvent, RouterEvent};
use self::intake::NotTaken;
pub use self::life::Silence;
use self::peer::{Peer, Stage};
use self::peers::{PeerId, Peers};
pub use self::stored_wills::StoredApp;
use self::storing::Unstored;
pub use self::storing::{Batch, Restored, StoredBody, StoredEntry};
use self::visitors::Visitors;
use super::gateway::Role;
use super::link::end_of;
use super::table::{Capacity, Table};
use super::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use crate::effort::{did, Work};
use crate::framing::http::server::Refusal;
use crate::framing::ws::CloseCode;
use crate::framing::{Frame, Room};
use crate::options::HubOption;
use crate::time::MonoTime;
use crate::wire::{Control, Instance, Malformed};
pub use crate::wire::{HubStats, PeerStats};
use crate::{limits, Error, Status};

/// A hub's engine.
pub struct Router {
    peers: Peers<Peer>,
    core: Core,
    /// The peer whose [`Action::Close`] was handed out last, and is being carried out.
    closing: Option<ConnId>,
    /// How many peers are connected to addresses for WebSockets.
    websockets: usize,
    visitors: Visitors,
    access: Access,
    /// If there is a store.
    unstored: Option<Box<Unstored>>,
}

impl Router {
    /// A hub without peers. `instance` is random and made for it.
    pub fn new(instance: Instance, config: RouterConfig) -> Router {
        Router {
            peers: Peers::new(),
            core: Core::new(instance, config),
            closing: None,
            websockets: 0,
            visitors: Visitors::default(),
            access: Access::default(),
            unstored: None,
        }
    }

    /// What is set.
    pub fn config(&self) -> &RouterConfig {
        &self.core.config
    }

    /// What can be set; changes count from then on.
    pub fn config_mut(&mut self) -> &mut RouterConfig {
        &mut self.core.config
    }

    /// The rules for who is let in; changes apply to the peers that come later.
    pub fn access_mut(&mut self) -> &mut Access {
        &mut self.access
    }

    /// The rules for who is let in.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What is told to programs that look for hubs.
    pub fn about_mut(&mut self) -> &mut About {
        &mut self.core.about
    }

    /// What the table may hold.
    pub fn capacity_mut(&mut self) -> &mut Capacity {
        &mut self.core.intake.table.capacity
    }

    /// What the table may hold.
    pub fn capacity(&self) -> &Capacity {
        &self.table().capacity
    }

    /// There is a gateway of this role from now on. What its programs need of the table is made before there is much in it.
    pub fn serves(&mut self, role: Role) {
        if role == Role::Rep {
            self.core.intake.table.index_names();
        }
    }

    /// The newest values.
    pub fn table(&self) -> &Table {
        &self.core.intake.table
    }

    /// How many peers, or WebSockets alone, wait to be refused.
    fn surplus(&self, only_ws: bool) -> usize {
        let counts = |peer: &&Peer| peer.surplus.is_some() && (!only_ws || peer.link.is_ws());
        self.peers.iter().filter(counts).count()
    }

    /// Whether there are as many peers, or WebSockets alone, as there may be.
    fn is_full(&self, only_ws: bool) -> bool {
        let config = &self.core.config;
        let (count, most) = match only_ws {
            true => (self.websockets, config.max_websockets),
            false => (self.peers.len(), config.max_peers),
        };
        count >= most && count - self.surplus(only_ws) >= most
    }

    /// The limit that one more peer is beyond.
    fn limit(&self, is_ws: bool) -> Option<HubOption> {
        if self.is_full(false) {
            return Some(HubOption::MaxPeers);
        }
        (is_ws && self.is_full(true)).then_some(HubOption::MaxWebsockets)
    }

    fn remove(&mut self, conn: ConnId) {
        if let Some(mut peer) = self.peers.remove(conn) {
            self.core.unfinished.release(mem::take(&mut peer.unfinished));
            self.websockets -= usize::from(peer.link.is_ws());
            drop(peer);
            self.core.intake.table.pinned.sweep();
        }
    }

    /// The peer is no longer one: tells the owner, frees its identity. Nothing remembers it from here on.
    fn leave(&mut self, now: Now, i: usize, why: Status, text: String) {
        let id = self.peers.id(i);
        let Router { peers, core, .. } = self;
        let peer = &mut peers[i];
        let stage = mem::replace(&mut peer.stage, Stage::Closing);
        if matches!(stage, Stage::Closing) {
            return;
        }
        did(Work::Look, 1);
        // What it holds is gone with the connection, which is closed before anything else happens.
        core.unfinished.release(mem::take(&mut peer.unfinished));
        core.drop_listing(peer);
        core.unsubscribe_all(i, peer);
        core.unwatch(i, peer);
        core.unlink(now, peer, why);
        for timer in [Timer::Handshake, Timer::Stalled, Timer::Probe, Timer::KeepAlive, Timer::Rest, Timer::Silence] {
            core.timers.clear(timer(i as u32));
        }
        core.turns.leave(id);
        if matches!(stage, Stage::Served) {
            debug!("{} asked for a page", peer.profile.name());
        } else if matches!(stage, Stage::Up) {
            let waited = core.left(now, id, peer, why, text);
            self.admit_all(now, waited);
        } else {
            core.identities.withdraw(&peer.profile.identity, id);
            // However it ended.
            let (why, text) = match stage {
                Stage::Denied(denied) => (Status::Permission, denied.into()),
                _ => (why, text),
            };
            core.reports.refused(&peer.profile, why, text);
        }
    }

    /// The hub ends: each WebSocket is told so, behind what waits for it. What is no WebSocket has no word for that.
    pub fn say_goodbye(&mut self) {
        let Router { peers, core, .. } = self;
        for peer in peers.iter_mut().filter(|peer| peer.link.is_ws()) {
            peer.link.say_close(CloseCode::GOING_AWAY, "the hub ends");
            core.flush(peer);
        }
    }

    /// Ends the connection from this side.
    fn close(&mut self, now: Now, i: usize, why: Status, text: String) {
        if !self.peers[i].is_closing() {
            self.peers[i].link.say_close(CloseCode::NORMAL, &text);
            self.core.actions.push_back(Action::Close(self.peers[i].profile.conn));
            self.leave(now, i, why, text);
        }
    }

    /// Tells the app why, and ends the connection.
    fn refuse(&mut self, now: Now, i: usize, status: Status, text: String) {
        self.core.send(&mut self.peers[i], &Control::Refuse { status: status.code(), text: &text });
        self.close(now, i, status, text);
    }

    fn frames(&mut self, now: Now, i: usize, input: &[u8]) {
        let (taken, _) = self.take_frames(now, i, input);
        if taken < input.len() {
            did(Work::Byte, input.len() - taken);
            self.defer(now, i, input[taken..].to_vec(), 0);
        }
    }

    /// It is the turn of a peer: it is sent more, or goes on with what was left for later.
    fn resume(&mut self, now: Now, i: usize) {
        self.tell_stats(now, i);
        let Router { peers, core, .. } = self;
        let (id, share) = (peers.id(i), core.share(peers.len()));
        let peer = &mut peers[i];
        if peer.is_up() && peer.link.feed.wants_more(share) {
            core.catch_up(id, peer, share);
            core.flush(peer);
        }
        if !peer.may_go_on() {
            return;
        }
        if !core.go_on_listing(peer) {
            return core.turns.wait(id);
        }
        if peer.deferred.0.is_empty() {
            return;
        }
        let (input, at) = mem::take(&mut self.peers[i].deferred);
        let (taken, steps) = self.take_frames(now, i, &input[at..]);
        self.core.turns.spend(steps);
        if at + taken < input.len() {
            self.defer(now, i, input, at + taken);
        } else if let Some((why, text)) = self.peers[i].ended.take() {
            self.leave(now, i, why, text);
            self.remove(id.conn());
        }
    }

    /// Leaves the rest of what a peer sent for later, when others had their turn: at once, or when it has taken answers.
    fn defer(&mut self, now: Now, i: usize, input: Vec<u8>, at: usize) {
        let peer = &mut self.peers[i];
        if peer.is_closing() {
            return;
        }
        let held = input.capacity();
        peer.deferred = (input, at);
        self.core.holds_back = true;
        if peer.may_go_on() {
            self.core.turns.wait(self.peers.id(i));
        }
        self.holds(now, i, held);
    }

    /// A peer holds so many bytes more of what is unfinished.
    fn holds(&mut self, now: Now, i: usize, more: usize) {
        self.core.unfinished.add(now, &mut self.peers[i].unfinished, more);
        self.relieve(now);
    }

    /// Takes frames. Returns how many bytes of them, and what that cost in steps, beside what is charged to the turn. The
    /// rest is left for later: of a peer whose messages cost much, that sends many requests, or that does not read the
    /// answers.
    fn take_frames(&mut self, now: Now, i: usize, all: &[u8]) -> (usize, usize) {
        let (mut input, mut steps) = (all, 0);
        let answers = self.peers[i].profile.is_answered();
        let mut decoder = self.peers[i].link.take_decoder();
        loop {
            let Router { peers, core, .. } = self;
            let peer = &mut peers[i];
            let holds_up = |peer: &Peer| peer.listing.is_some() || core.turns.is_over() || !peer.link.has_room();
            if !input.is_empty() && (steps >= core.config.messages || answers && holds_up(peer)) {
                break;
            }
            let before = input.len();
            let next = match peer.link.next(&mut decoder, &mut input) {
                Ok(Some(Frame::Body(body))) => core.body(now, peer, body, None),
                Ok(Some(Frame::Large(body))) => {
                    let body = Arc::new(body);
                    core.body(now, peer, &body, Some(&body))
                }
                Ok(Some(Frame::TooLarge(len))) if !peer.is_up() => {
                    let max = limits::MAX_HELLO;
                    Next::close(Status::TooLarge, format!("a message of {len} bytes before the welcome, at most {max}"))
                }
                Ok(Some(Frame::TooLarge(len))) => {
                    let why = NotTaken::TooLarge { len, max: core.config.max_message };
                    core.reports.not_taken(&peer.profile, &mut peer.tally, &why);
                    Next::Nothing
                }
                Ok(Some(Frame::NoMemory { len, start })) => {
                    core.no_memory(now, peer, len, start);
                    Next::Nothing
                }
                Ok(Some(Frame::Text(_))) => {
                    let why = NotTaken::Malformed(Malformed::Text);
                    core.reports.not_taken(&peer.profile, &mut peer.tally, &why);
                    Next::Nothing
                }
                Ok(None) => break,
                Err(error) => Next::close(end_of(&error), error.to_string()),
            };
            did(Work::Look, 1);
            steps += turns::MESSAGE + turns::steps_of(before - input.len());
            let shares = peer.profile.shares;
            match next {
                Next::Nothing => {}
                Next::Route(slot) => {
                    steps += core.route(peers, slot);
                    if shares {
                        steps += core.route_to_sharers(peers, slot);
                    }
                }
                Next::Admit(said) => {
                    self.hello(now, i, said.0, said.1.as_deref());
                    // Its values may follow in `input`.
                    self.tell_all_presence(now);
                    // The link cannot tell the decoder, which is not in it here, and larger frames may follow in `input`.
                    if self.peers[i].is_up() {
                        decoder.set_max(self.peers[i].profile.max_frame(&self.core.config));
                    }
                }
                Next::List(change) => steps += core.change_list(i, peer, *change),
                Next::Forgot { slot, token } => {
                    steps += core.route(peers, slot);
                    core.forgot(&mut peers[i], token);
                }
                Next::Watch => core.watch(now, i, peer),
                Next::Stats => core.turns.wait(PeerId::new(i, peer.profile.conn)),
                Next::Answered(token) => self.answered(now, i, token),
                Next::Refuse(why) => self.refuse(now, i, why.0, why.1),
                Next::Close(why) => self.close(now, i, why.0, why.1),
            }
            if self.peers[i].is_closing() {
                break;
            }
        }
        let taken = all.len() - input.len();
        did(Work::Byte, taken);
        let Router { peers, core, .. } = self;
        let peer = &mut peers[i];
        if peer.is_closing() {
            return (taken, steps);
        }
        if peer.listing.is_some() {
            core.turns.wait(PeerId::new(i, peer.profile.conn));
        }
        let is_unfinished = decoder.unfinished() && peer.is_up();
        if core.unfinished.set(now, &mut peer.unfinished, decoder.allocated()) {
            peer.unfinished.came(now, taken, core.config.floor());
        }
        peer.link.heard(now);
        if peer.life.heard() {
            core.roster.recovered(peer.profile.conn);
        }
        core.rest(now, i, peer, decoder.take_overhead());
        peer.link.put_decoder(decoder, &mut core.actions);
        if is_unfinished {
            core.timers.set(Timer::Stalled(i as u32), now.mono + core.config.stalled_frame);
        } else {
            core.timers.clear(Timer::Stalled(i as u32));
        }
        self.relieve(now);
        (taken, steps)
    }
}

impl Protocol for Router {
    fn opened(&mut self, now: Now, conn: ConnId, info: ConnInfo, _token: Option<u64>) {
        debug!("{} connected", info.from);
        if self.core.roster.begins(now) {
            self.core.set_presence(now);
        }
        let (has_header, is_ws) = (info.framing.has_handshake(), info.framing.is_ws());
        self.core.set_ceilings();
        let limit = self.limit(is_ws).filter(|limit| !self.make_place(now, *limit, is_ws));
        let Router { peers, core, .. } = self;
        let mut peer = Peer::new(now, conn, info, &core.config, &core.pool);
        peer.surplus = limit;
        let gateway = peer.profile.gateway();
        let i = peers.insert(conn, peer);
        self.websockets += usize::from(is_ws);
        // A peer that speaks v1 is told why, at once or when the header says so, and so is who asks for a WebSocket.
        if let Some(limit) = limit {
            let text = self.full(limit);
            if gateway.is_some() && !is_ws || self.surplus(false) > limits::SURPLUS_PEERS {
                return self.close(now, i, Status::Full, text);
            }
            if !has_header {
                return self.refuse(now, i, Status::Full, text);
            }
            self.peers[i].link.refuse_request(Refusal::Full(text));
        }
        self.core.timers.set(Timer::Handshake(i as u32), now.mono + self.core.config.handshake);
    }

    fn dial_failed(&mut self, _now: Now, _token: u64, _error: Error) {}

    fn bytes(&mut self, now: Now, conn: ConnId, mut input: &[u8]) {
        let Some(i) = self.peers.find(conn) else { return };
        self.core.intake.table.tell_time(now.mono);
        if matches!(self.peers[i].stage, Stage::Handshake) && !self.greet(now, i, &mut input) {
            return;
        }
        let peer = &mut self.peers[i];
        if peer.is_closing() || matches!(peer.stage, Stage::Served) {
            return;
        }
        let (deferred, _) = &mut peer.deferred;
        if deferred.is_empty() {
            self.frames(now, i, input);
            self.tell_all_presence(now);
        } else {
            did(Work::Byte, input.len());
            let before = deferred.capacity();
            deferred.extend_from_slice(input);
            let more = deferred.capacity() - before;
            self.holds(now, i, more);
        }
    }

    fn room(&mut self, now: Now, conn: ConnId) -> Option<Room<'_>> {
        let Router { peers, core, .. } = self;
        let i = peers.find(conn)?;
        let peer = &mut peers[i];
        if peer.is_closing() {
            return None;
        }
        let room = peer.link.room()?;
        core.unfinished.set(now, &mut peer.unfinished, room.body.capacity());
        Some(room)
    }

    fn placed(&mut self, now: Now, conn: ConnId, n: usize) {
        let Some(i) = self.peers.find(conn) else { return };
        did(Work::Byte, n);
        self.core.intake.table.tell_time(now.mono);
        self.peers[i].unfinished.came(now, n, self.core.config.floor());
        self.frames(now, i, &[]);
        self.tell_all_presence(now);
    }

    fn reads(&self, conn: ConnId) -> bool {
        // Asked before every read: mostly there is no such peer.
        if !self.core.holds_back {
            return true;
        }
        self.peers.find(conn).is_none_or(|i| self.peers[i].is_read())
    }

    fn closed(&mut self, now: Now, conn: ConnId, why: Closed) {
        let Some(i) = self.peers.find(conn) else { return };
        let (status, text) = match why {
            Closed::ByPeer => (Status::Closed, Status::Closed.text().to_owned()),
            Closed::Failed(error) => (error.status(), error.to_string()),
        };
        let peer = &mut self.peers[i];
        if peer.is_up() && !peer.deferred.0.is_empty() && !peer.profile.is_answered() {
            // It leaves when it has had its turns.
            peer.ended = Some((status, text));
            return;
        }
        self.leave(now, i, status, text);
        self.remove(conn);
        self.tell_all_presence(now);
    }

    fn gather<'a>(&'a mut self, now: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
        let Some(i) = self.peers.find(conn) else { return };
        self.core.intake.table.tell_time(now.mono);
        let peers = self.peers.len();
        let peer = &mut self.peers[i];
        self.core.fill(now, PeerId::new(i, conn), peer, peers);
        peer.backlog.get_or_insert(now.mono);
        peer.link.gather(slices);
    }

    fn wrote(&mut self, now: Now, conn: ConnId, n: usize) -> bool {
        let Some(i) = self.peers.find(conn) else { return false };
        let peer = &mut self.peers[i];
        let more = peer.link.wrote(now, n) || peer.owed.synced || self.core.owes_presence(now, peer);
        if !more && matches!(peer.stage, Stage::Served) {
            self.close(now, i, Status::Ok, String::new());
            return false;
        }
        if peer.held() == 0 {
            peer.backlog = None;
            self.core.intake.table.pinned.sweep();
        }
        peer.behind &= !peer.link.has_room();
        if peer.is_up() && (peer.has_left_over() && peer.may_go_on() || peer.owed.stats.is_some()) {
            self.core.turns.wait(PeerId::new(i, conn));
        }
        more
    }

    fn next_action(&mut self) -> Option<Action> {
        if let Some(closed) = self.closing.take() {
            self.remove(closed);
        }
        let action = self.core.actions.pop_front()?;
        if let Action::Close(conn) = action {
            self.closing = Some(conn);
        }
        Some(action)
    }

    fn deadline(&self) -> Option<MonoTime> {
        self.core.timers.earliest().into_iter().chain(self.next_batch()).min()
    }

    fn is_ready(&self) -> bool {
        self.core.turns.are_waited_for()
            || self.table().is_untidy()
            || self.core.roster.has_news()
            || self.core.roster.wills.are_due()
    }

    fn has_news(&self) -> bool {
        self.core.reports.has_events()
    }

    fn is_due(&self, now: Now) -> bool {
        self.is_ready() || self.core.turns.has_begun() || self.deadline().is_some_and(|deadline| deadline <= now.mono)
    }

    fn tick(&mut self, now: Now) {
        if !self.is_due(now) {
            return;
        }
        while let Some(timer) = self.core.timers.take_due(now.mono) {
            match timer {
                Timer::Expiry => self.core.intake.table.expire(now.mono),
                Timer::Reclaim => self.core.reclaim(),
                Timer::Handshake(i) => self.not_let_in(now, i as usize),
                Timer::Stalled(i) => {
                    let text = "an unfinished message made no progress".into();
                    self.close(now, i as usize, Status::Timeout, text);
                }
                Timer::Probe(i) => self.unanswered(now, i as usize),
                Timer::Rest(i) => self.peers[i as usize].overhead.is_paid(),
                Timer::Presence => self.core.expire_presence(now),
                Timer::Silence(i) => self.look_at(now, i as usize),
                Timer::KeepAlive(i) => self.core.keep_alive(now, i, &mut self.peers[i as usize]),
            }
        }
        self.core.turns.begin();
        self.core.intake.table.tell_time(now.mono);
        self.core.expire_values(now, &mut self.peers);
        self.core.tidy();
        self.run_wills(now);
        while let Some(id) = self.core.turns.next() {
            if let Some(i) = self.peers.place(id) {
                self.resume(now, i);
            }
        }
        self.relieve(now);
        self.tell_all_presence(now);
    }
}
