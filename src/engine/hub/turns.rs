//! Turns: requests that are left for later, so that no peer holds up the others.

use std::collections::VecDeque;
use std::mem;

use super::peers::PeerId;

/// How many requests are answered before it is the turn of others, some 0.1 ms.
const TURN: usize = 64;

/// The peers whose requests are left for a later turn, and how much of this turn is spent.
#[derive(Default)]
pub struct Turns {
    queue: VecDeque<PeerId>,
    /// Whether the peer at a place is in the queue.
    queued: Vec<bool>,
    spent: usize,
}

impl Turns {
    /// Whether a peer waits for a turn: another one is to begin at once.
    pub fn are_waited_for(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A turn begins.
    pub fn begin(&mut self) {
        self.spent = 0;
    }

    /// So many requests were answered, or as much done as for so many.
    pub fn spend(&mut self, requests: usize) {
        self.spent += requests;
    }

    /// Whether the rest is to be left for the next turn.
    pub fn is_over(&self) -> bool {
        self.spent >= TURN
    }

    /// A peer waits for a turn, behind those that do so already.
    pub fn wait(&mut self, peer: PeerId) {
        let place = peer.place();
        if place >= self.queued.len() {
            self.queued.resize(place + 1, false);
        }
        if !mem::replace(&mut self.queued[place], true) {
            self.queue.push_back(peer);
        }
    }

    /// The peer that goes on in this turn, if it is not over.
    pub fn next(&mut self) -> Option<PeerId> {
        if self.is_over() {
            return None;
        }
        let peer = self.queue.pop_front()?;
        self.queued[peer.place()] = false;
        Some(peer)
    }

    /// A peer waits no longer. To be called before its place is another's.
    pub fn leave(&mut self, peer: PeerId) {
        if self.queued.get_mut(peer.place()).is_some_and(mem::take) {
            self.queue.retain(|&other| other != peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ConnId;
    use super::super::peers::Peers;
    use super::*;

    #[test]
    fn those_who_wait_take_turns_in_order() {
        let mut peers = Peers::new();
        let ids: [PeerId; 3] = std::array::from_fn(|n| {
            let place = peers.insert(ConnId(n as u64), ());
            peers.id(place)
        });
        let mut turns = Turns::default();
        assert!(!turns.are_waited_for());
        ids.iter().for_each(|&id| turns.wait(id));
        turns.wait(ids[0]);
        turns.leave(ids[1]);
        assert_eq!(turns.next(), Some(ids[0]));
        turns.spend(TURN - 1);
        turns.wait(ids[0]);
        assert_eq!(turns.next(), Some(ids[2]));
        turns.spend(1);
        assert!(turns.is_over() && turns.are_waited_for());
        assert_eq!(turns.next(), None);
        turns.begin();
        assert_eq!((turns.next(), turns.next()), (Some(ids[0]), None));
        assert!(!turns.are_waited_for());
    }
}
