//! The way in: the handshake, and who holds an identity.

use log::debug;

use super::super::link::handshake::{Agreed, Opened};
use super::super::{Gateway, Now};
use super::access::{Allowed, Denied, ReadOnly, Tokens};
use super::audience::PeerKind;
use super::core::Timer;
use super::identities::{Claim, Hello, Unanswered};
use super::peer::{Peer, Stage};
use super::peers::PeerId;
use super::visitors::Visitor;
use super::Router;
use crate::framing::http::server::{Refusal, Rights};
use crate::options::HubOption;
use crate::visible::one_line;
use crate::wire::Control;
use crate::{framing, limits, Status};

/// Why a peer that cannot name a token is not let in.
fn no_token() -> String {
    let option = HubOption::ReadWithoutToken.about().name;
    format!("it cannot name a token, which is asked for here (to let such programs read: {option})")
}

impl Router {
    /// Asks for one of these access tokens from now on, or for none. Peers whose token is not among them have to leave.
    pub fn set_tokens(&mut self, now: Now, tokens: Option<Tokens>) {
        self.access.set(tokens);
        let access = &self.access;
        let ends = |peer: &Peer| peer.profile.grant.as_ref().is_some_and(|grant| !access.still_has(grant));
        let mut ended: Vec<_> =
            self.peers.iter_mut_with_places().filter(|(_, peer)| ends(peer)).map(|(i, _)| i).collect();
        // First those that wait for an identity, or they would get that of a holder who leaves here, too.
        ended.sort_by_key(|&i| self.peers[i].is_up());
        for i in ended {
            self.refuse(now, i, Status::Permission, "its token is no longer accepted".to_owned());
        }
    }

    /// The peer said hello. It is let in if its token allows it; a wrong one is not answered at once.
    pub(super) fn hello(&mut self, now: Now, i: usize, mut hello: Hello, token: Option<&str>) {
        let Router { peers, core, access, .. } = self;
        let peer = &mut peers[i];
        match access.check(token) {
            Ok(Allowed { read_only, grant }) => {
                if let Some(grant) = &grant {
                    debug!("{} has the token of {}", peer.profile.name(), one_line(grant.name()));
                }
                // An app of which the log says nothing must not change anything.
                let observes = peer.profile.is_observer.then_some(ReadOnly::Observer);
                peer.profile.read_only = peer.profile.read_only.or(read_only).or(observes);
                peer.profile.grant = grant;
                hello.reads = peer.profile.read_only.is_some();
                self.admit(now, i, &hello);
            }
            Err(why @ Denied::Missing) => self.refuse(now, i, Status::Permission, why.to_string()),
            Err(why @ Denied::Unknown) => {
                peer.stage = Stage::Denied(why.to_string().into());
                let wait = access.failed(now.mono, peer.profile.host);
                core.timers.set(Timer::Handshake(i as u32), now.mono + wait);
            }
        }
    }

    /// The time is over in which a peer should have been let in, or that the answer to a wrong token had to wait.
    pub(super) fn not_let_in(&mut self, now: Now, i: usize) {
        match &self.peers[i].stage {
            Stage::Denied(why) => self.refuse(now, i, Status::Permission, why.to_string()),
            _ => self.close(now, i, Status::Timeout, "no handshake in time".into()),
        }
    }

    /// Goes on with the handshake of a peer. Whether frames may follow.
    pub(super) fn greet(&mut self, now: Now, i: usize, input: &mut &[u8]) -> bool {
        let Router { peers, core, visitors, access, .. } = self;
        let peer = &mut peers[i];
        if peer.link.awaits_request() {
            let rate = core.config.http_rate;
            let visitor = peer.profile.host.map(Visitor::new);
            if let Some(visitor) = visitor.filter(|visitor| !visitors.asks(now.mono, *visitor, rate)) {
                let option = HubOption::HttpRate.about().name;
                let text = format!("more than {rate} HTTP requests a second from {visitor} ({option})");
                peer.link.refuse_request(Refusal::TooOften(text));
            }
        }
        let Opened { agreed, rights, said } = match peer.link.greet(input, &mut core.actions) {
            Ok(Some(opened)) => opened,
            Ok(None) => return false,
            Err(error) => {
                self.close(now, i, error.status(), error.to_string());
                return false;
            }
        };
        let is_v1 = agreed == Agreed::V1;
        debug!("{}: its header is {}: {agreed}", peer.profile.name(), framing::shown(&said));
        peer.profile.read_only = (rights == Rights::Read).then_some(ReadOnly::Page);
        if let Some(limit) = peer.surplus.filter(|_| agreed != Agreed::Served) {
            let text = self.full(limit);
            if is_v1 {
                self.refuse(now, i, Status::Full, text);
            } else {
                self.close(now, i, Status::Full, text);
            }
            return false;
        }
        if !matches!(agreed, Agreed::V1 | Agreed::Served) {
            let Some(read_only) = access.anonymous() else {
                self.close(now, i, Status::Permission, no_token());
                return false;
            };
            peer.profile.read_only = peer.profile.read_only.or(read_only);
        }
        match agreed {
            Agreed::V1 => {
                peer.stage = Stage::Hello;
                peer.link.set_max_frame(limits::MAX_HELLO);
            }
            Agreed::Client(role) => {
                let gateway = peer.profile.gateway().unwrap_or(Gateway { role, structured: false });
                peer.profile.kind = PeerKind::Client(gateway);
                peer.link.set_max_frame(peer.profile.max_frame(&core.config));
                core.join_gateway(i, peer, gateway);
            }
            Agreed::Served => {
                peer.stage = Stage::Served;
                core.timers.set(Timer::Handshake(i as u32), now.mono + limits::SERVED);
                return false;
            }
            Agreed::Old | Agreed::Plain | Agreed::NotV1 => {
                peer.profile.kind = if agreed == Agreed::Plain { PeerKind::Plain } else { PeerKind::Old };
                core.join_old(i, peer, core.config.legacy_snapshot);
            }
        }
        true
    }

    /// Closes the connection that came first of those that have not said what they are, so that another one may come,
    /// which may be a WebSocket. Whether there was one.
    pub(super) fn make_place(&mut self, now: Now, limit: HubOption, is_ws: bool) -> bool {
        let only_ws = is_ws && self.is_full(true);
        let is_silent = |peer: &Peer| {
            let counts = peer.surplus.is_none() && (!only_ws || peer.link.is_ws());
            counts && matches!(peer.stage, Stage::Handshake | Stage::Hello)
        };
        let silent = self.peers.iter_mut_with_places().filter(|(_, peer)| is_silent(peer));
        let Some(i) = silent.min_by_key(|(_, peer)| peer.profile.conn).map(|(i, _)| i) else { return false };
        // It does not count any more.
        self.peers[i].surplus = Some(limit);
        self.close(now, i, Status::Full, format!("it made room for others before its handshake: {}", self.full(limit)));
        true
    }

    /// Why nobody more is let in.
    pub(super) fn full(&self, limit: HubOption) -> String {
        let config = &self.core.config;
        let (most, what) = match limit {
            HubOption::MaxWebsockets => (config.max_websockets, "WebSockets"),
            _ => (config.max_peers, "peers"),
        };
        format!("at most {most} {what} may be connected ({})", limit.about().name)
    }

    /// Lets those in that waited for a holder that is gone, unless their identity is held by another.
    pub(super) fn admit_all(&mut self, now: Now, waited: Vec<(PeerId, Hello)>) {
        for &(peer, _) in &waited {
            self.core.timers.clear(Timer::Probe(peer.place() as u32));
        }
        for (peer, hello) in waited {
            if let Some(i) = self.peers.place(peer) {
                self.admit(now, i, &hello);
            }
        }
    }

    /// Lets an app in that has said hello, unless its identity is held by another.
    pub(super) fn admit(&mut self, now: Now, i: usize, hello: &Hello) {
        // A peer that waited for a holder that makes room for this peer waits for this peer from then on.
        let mut waited = Vec::new();
        if self.make_room(now, i, hello, &mut waited) {
            self.core.welcome(now, i, &mut self.peers[i], hello);
        }
        self.admit_all(now, waited);
    }

    /// Whether the peer holds its identity now. If not, it is refused, or the holder asked.
    fn make_room(&mut self, now: Now, i: usize, hello: &Hello, waited: &mut Vec<(PeerId, Hello)>) -> bool {
        let id = self.peers.id(i);
        // Asked anew each time: there may be more than one holder.
        loop {
            let Router { peers, core, .. } = self;
            let identity = &peers[i].profile.identity;
            match core.identities.claim(identity, id, hello) {
                Claim::Granted => return true,
                Claim::Outdated => {
                    self.refuse(now, i, Status::IdentityTaken, "a newer connection of the same app".into());
                    return false;
                }
                Claim::Renewed(holder) => {
                    waited.extend(core.identities.release(identity, holder));
                    core.roster.renew(holder.conn(), id.conn(), hello.reads);
                    let text = "replaced by a newer connection of the same app".into();
                    self.close(now, holder.place(), Status::Closed, text);
                }
                Claim::TakenOver(holder) => {
                    waited.extend(core.identities.release(identity, holder));
                    let text = format!("{} was taken over by {}", one_line(identity), peers[i].profile.from);
                    self.refuse(now, holder.place(), Status::IdentityTaken, text);
                }
                Claim::Asks { holder, token } => {
                    peers[i].stage = Stage::Claiming;
                    core.timers.clear(Timer::Handshake(i as u32));
                    core.timers.set(Timer::Probe(i as u32), now.mono + limits::IDENTITY_PROBE);
                    let (held, from) = (peers[holder.place()].profile.name(), &peers[i].profile.from);
                    debug!("{held} holds the identity of {from}, and is pinged");
                    let holder = &mut peers[holder.place()];
                    holder.probe(now);
                    core.send(holder, &Control::Ping { token });
                    return false;
                }
            }
        }
    }

    /// A holder answered: the peers that asked for its identity before that are refused.
    pub(super) fn answered(&mut self, now: Now, holder: usize, token: u64) {
        let id = self.peers.id(holder);
        for claimant in self.core.identities.answered(&self.peers[holder].profile.identity, id, token) {
            let text = format!("{} is held by another app", one_line(&self.peers[holder].profile.identity));
            self.refuse(now, claimant.place(), Status::IdentityTaken, text);
        }
    }

    /// The holder of the identity that this peer wants did not answer in time.
    pub(super) fn unanswered(&mut self, now: Now, i: usize) {
        let profile = &self.peers[i].profile;
        let is_lost = |holder: PeerId| self.peers[holder.place()].is_lost(now);
        match self.core.identities.unanswered(&profile.identity, self.peers.id(i), is_lost) {
            Some(Unanswered::Slow) => {
                let identity = one_line(&profile.identity);
                let text = format!("{identity} is held by another app, which is slow to answer");
                self.refuse(now, i, Status::IdentityTaken, text);
            }
            Some(Unanswered::Replaced(holder)) => {
                let text = format!("no answer in time; replaced by {}", profile.from);
                self.refuse(now, holder.place(), Status::IdentityTaken, text);
            }
            None => {}
        }
    }
}
