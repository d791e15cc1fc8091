//! What an app says about the names that it is sent.

use std::sync::Arc;

use log::debug;

use super::super::table::Slot;
use super::audience::Verdict;
use super::core::{Core, Next};
use super::peer::Peer;
use super::peers::Peers;
use super::subscriptions::Subscriptions;
use super::turns;
use crate::effort::{did, Work};
use crate::pattern::Pattern;
use crate::wire::{Features, Texts};
use crate::{limits, Status};

/// What changes in the list of an app.
pub enum Change {
    /// It has these, too.
    Add(Vec<Arc<Pattern>>),
    /// It has this one no longer.
    Remove(Box<str>),
}

/// `$ns/subscribe`, as far as that is known without the place of the peer.
pub fn adds(peer: &Peer, patterns: Texts<'_>, subscriptions: &Subscriptions) -> Next {
    let has = peer.profile.listed.as_ref().map_or(&[][..], |listed| listed.patterns());
    let mut news: Vec<Arc<Pattern>> = Vec::new();
    for text in patterns.iter() {
        if has.iter().chain(&news).any(|pattern| pattern.as_str() == text) {
            continue;
        }
        if has.len() + news.len() == limits::PATTERNS {
            let text = format!("more than {} patterns are subscribed to", limits::PATTERNS);
            return Next::Refuse(Box::new((Status::Full, text)));
        }
        match Pattern::new(text) {
            Ok(pattern) => news.push(Arc::new(pattern)),
            Err(error) => return Next::Refuse(Box::new((Status::Invalid, error.to_string()))),
        }
    }
    if !subscriptions.have_room_for(&news) {
        return Next::Refuse(Box::new((Status::Full, "the hub has no room for more patterns".into())));
    }
    Next::List(Box::new(Change::Add(news)))
}

impl Core {
    /// The list of the app at this place changes. Returns what that took, in steps.
    pub fn change_list(&mut self, place: usize, peer: &mut Peer, change: Change) -> usize {
        match change {
            Change::Add(patterns) => {
                let steps = patterns.len();
                self.subscribe(place, peer, patterns);
                steps
            }
            Change::Remove(pattern) => self.unsubscribe(place, peer, &pattern),
        }
    }

    fn subscribe(&mut self, place: usize, peer: &mut Peer, patterns: Vec<Arc<Pattern>>) {
        self.subscriptions.leave(place);
        patterns.iter().for_each(|pattern| self.subscriptions.add(place, pattern));
        debug!("{} subscribes to {} more patterns", peer.profile.name(), patterns.len());
        let (feed, table) = (&mut peer.link.feed, &self.intake.table);
        let (was_everything, is_new) = (peer.profile.listed.is_none(), !patterns.is_empty());
        let listed = peer.profile.listed.get_or_insert_default();
        listed.add(patterns, feed.is_live().then(|| table.version()));
        // Of what it has missed it may know values that were cleared since.
        peer.profile.returns |= !feed.is_live();
        if was_everything && feed.is_live() {
            // It has all of them.
            listed.settle();
        } else if is_new {
            feed.walk_all(table);
        }
        peer.owed.asks += 1;
        peer.asks_for_all();
        self.flush(peer);
    }

    fn unsubscribe(&mut self, place: usize, peer: &mut Peer, pattern: &str) -> usize {
        let listed = peer.profile.listed.as_mut();
        let Some(pattern) = listed.and_then(|listed| listed.remove(pattern)) else { return 0 };
        debug!("{} does not subscribe to {} any more", peer.profile.name(), pattern.as_str());
        self.subscriptions.remove(place, &[pattern])
    }

    /// Passes a value on to those that share the identity of its sender and do not subscribe to its name: what they announce
    /// of that key would be out of date. Returns what that cost, in steps.
    pub fn route_to_sharers(&mut self, peers: &mut Peers<Peer>, slot: Slot) -> usize {
        let share = self.share(peers.len());
        let Core { intake, identities, config, actions, .. } = self;
        let Some(entry) = intake.table.get(slot) else { return 0 };
        let (mut looked, mut receivers) = (0, 0);
        for id in identities.holders(entry.sender()) {
            looked += 1;
            did(Work::Peer, 1);
            let Some(place) = peers.place(id) else { continue };
            let peer = &mut peers[place];
            let is_left_out = peer.profile.listed.as_ref().is_some_and(|listed| !listed.has(entry.name()));
            let is_left_out = is_left_out && peer.profile.shares;
            if is_left_out && peer.is_up() && peer.profile.verdict(config, entry) == Verdict::Send {
                receivers += 1;
                peer.link.feed.change(&intake.table, entry, share);
                peer.link.flush(actions);
            }
        }
        turns::steps_to_route(looked, receivers, entry.bytes().len())
    }

    /// The peer at this place is gone.
    pub fn unsubscribe_all(&mut self, place: usize, peer: &mut Peer) {
        self.subscriptions.leave(place);
        if let Some(listed) = peer.profile.listed.take() {
            self.subscriptions.remove(place, listed.patterns());
        }
    }
}

/// Whether an app may say what it is sent.
pub fn may_subscribe(peer: &Peer) -> bool {
    peer.is_up() && peer.profile.features.contains(Features::SUBSCRIBE)
}
