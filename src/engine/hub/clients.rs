//! Programs that speak other scalability protocols: what they send, and how they are answered.

use super::super::gateway::{self, Gateway, Role};
use super::super::table::Entry;
use super::super::Now;
use super::audience::Profile;
use super::config::{About, RouterConfig};
use super::core::{Core, Next};
use super::intake::NotTaken;
use super::peer::Peer;
use super::queries::{self, Answer, Query, Survey, Takes};
use super::turns;
use crate::wire::Malformed;

impl Core {
    /// A program behind a gateway takes part from now on.
    pub fn join_gateway(&mut self, place: usize, peer: &mut Peer, gateway: Gateway) {
        match gateway.role {
            Role::Pub => peer.link.feed.set_named(),
            Role::Rep => self.intake.table.index_names(),
            Role::Pull | Role::Respondent => {}
        }
        self.holds_back = true;
        let snapshot = peer.profile.listens();
        self.join_old(place, peer, snapshot);
    }

    /// A peer whose bodies have three elements takes part from now on.
    pub fn join_old(&mut self, place: usize, peer: &mut Peer, snapshot: bool) {
        peer.link.feed.set_old();
        self.join(place, peer, snapshot);
    }

    /// A message of a program that speaks another protocol.
    pub fn client_message(&mut self, now: Now, peer: &mut Peer, role: Role, message: &[u8]) -> Next {
        if !role.answers() {
            return self.heard(now, peer, role, &[], message);
        }
        match gateway::split_trace(message) {
            Some((trace, message)) => self.heard(now, peer, role, trace, message),
            None => {
                let why = NotTaken::Malformed(Malformed::Truncated);
                self.reports.not_taken(&peer.profile, &mut peer.tally, &why);
                Next::Nothing
            }
        }
    }

    fn heard(&mut self, now: Now, peer: &mut Peer, role: Role, trace: &[u8], message: &[u8]) -> Next {
        let mut next = Next::Nothing;
        let answer = match role {
            // A SUB says nothing; whatever it is, nobody is to be told.
            Role::Pub => return Next::Nothing,
            Role::Pull => return self.old_body(now, peer, message).map_or(Next::Nothing, Next::from),
            Role::Rep => self.answer(now, peer, trace.len(), message, &mut next),
            Role::Respondent => Answer::Whole(self.introduction()),
        };
        self.turns.spend(turns::REQUEST);
        match answer {
            Answer::Whole(answer) => self.answer_to(peer, trace, answer),
            Answer::List(listing) => {
                self.memory.listings += listing.allocated();
                peer.listing = Some((listing, trace.to_vec()));
                peer.backlog.get_or_insert(now.mono);
                self.go_on_listing(peer);
            }
        }
        next
    }

    /// Goes on with the list that a peer asked for, if there is one, as far as the turn allows. Whether it is answered.
    pub fn go_on_listing(&mut self, peer: &mut Peer) -> bool {
        let Some((mut listing, trace)) = peer.listing.take() else { return true };
        self.memory.listings -= listing.allocated();
        let Core { config, intake, turns, .. } = self;
        let (profile, limit) = (&peer.profile, answer_limit(config, trace.len()));
        let whole = turns.charge(usize::MAX, |steps| {
            listing.go_on(&intake.table, steps, |entry| takes(profile, config, entry, limit))
        });
        if whole {
            self.answer_to(peer, &trace, listing.finish());
        } else {
            self.memory.listings += listing.allocated();
            peer.listing = Some((listing, trace));
        }
        whole
    }

    /// The answer to a request, which goes out behind a trace of so many bytes.
    fn answer(&mut self, now: Now, peer: &mut Peer, trace: usize, request: &[u8], next: &mut Next) -> Answer {
        let done = queries::parse(request).and_then(|parsed| {
            match parsed {
                Query::Publish => *next = self.old_body(now, peer, request).map_err(|why| why.to_string())?.into(),
                Query::Clear(name) => *next = Next::Route(self.clear_newest(now, peer, name)?),
                Query::Get(_) | Query::List(_) | Query::Peers => {}
            }
            Ok(parsed)
        });
        match done {
            Ok(request) => {
                let Core { config, intake, identities, turns, .. } = self;
                if request == Query::Peers {
                    turns.spend(identities.len());
                }
                let (profile, limit) = (&peer.profile, answer_limit(config, trace));
                let takes = |entry: &Entry| takes(profile, config, entry, limit);
                queries::answer(request, &intake.table, takes, identities.names(), limit)
            }
            Err(fault) => {
                let mut answer = Vec::new();
                queries::fault(&fault, &mut answer);
                Answer::Whole(answer)
            }
        }
    }

    /// The answer to a program that looks for hubs.
    fn introduction(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        let About { host, pid, addresses, .. } = &self.about;
        let (peers, states) = (self.reports.programs, self.intake.table.values() as u64);
        queries::survey(&Survey { host, pid: *pid, addresses, peers, states }, &mut answer);
        answer
    }

    fn answer_to(&mut self, peer: &mut Peer, trace: &[u8], answer: Vec<u8>) {
        self.turns.spend(turns::steps_of(answer.len()));
        self.scratch.clear();
        self.scratch.extend_from_slice(trace);
        peer.link.feed.message_behind(&mut self.scratch, answer);
        self.flush(peer);
    }
}

/// How long an answer may be that goes out behind a trace of so many bytes.
fn answer_limit(config: &RouterConfig, trace: usize) -> usize {
    config.legacy_max.saturating_sub(trace)
}

/// Whether an answer of at most `limit` bytes may have this state in it.
fn takes(profile: &Profile, config: &RouterConfig, entry: &Entry, limit: usize) -> Takes {
    match profile.takes_as_old(config, entry) {
        Takes::Yes if entry.meta_at() > limit => Takes::TooLarge(limit),
        takes => takes,
    }
}
