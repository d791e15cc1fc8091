//! Turns: work that is left for later, so that no peer holds up the others.

use std::collections::VecDeque;
use std::mem;

use super::peers::PeerId;
use crate::effort::{did, Work};

/// What a turn may cost, in steps: some 0.2 ms. A step is a look at one entry of the table, or as much work.
pub const TURN: usize = 4096;
/// What an answer to a request costs beside its bytes.
pub const REQUEST: usize = 64;
/// What the messages of a peer may cost before the others follow, in steps: some 3 ms. So much that only few are left for
/// later, and what is written to their receivers is not in small pieces.
pub const MESSAGES: usize = 16 * TURN;
/// What a message costs beside its bytes and its receivers.
pub const MESSAGE: usize = 8;
/// A step for each so many bytes that come, or are written.
const BYTES: usize = 64;

/// What so many bytes cost to take or to write, in steps.
pub fn steps_of(bytes: usize) -> usize {
    bytes / BYTES
}

/// What it costs to decide for so many peers whether they are sent a value, and to copy its bytes for so many of them.
pub fn steps_to_route(peers: usize, receivers: usize, bytes: usize) -> usize {
    /// So many peers for a step.
    const PEERS: usize = 8;
    peers / PEERS + receivers * (1 + steps_of(bytes))
}

/// The peers that wait for a turn, and what is left of this one. Requests, lists, walks over the table, and messages
/// that were left for later are charged to the turn in which they are carried out; what does not fit waits for the next,
/// behind the others.
pub struct Turns {
    queue: VecDeque<PeerId>,
    /// Whether the peer at a place is in the queue.
    queued: Vec<bool>,
    left: usize,
    /// What was spent in all turns together.
    #[cfg(test)]
    pub spent: usize,
}

impl Turns {
    /// A turn has begun, and nobody waits.
    pub fn new() -> Turns {
        Turns {
            queue: VecDeque::new(),
            queued: Vec::new(),
            left: TURN,
            #[cfg(test)]
            spent: 0,
        }
    }

    /// Whether a peer waits for a turn: another one is to begin at once.
    pub fn are_waited_for(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether some of this turn is spent.
    pub fn has_begun(&self) -> bool {
        self.left < TURN
    }

    /// A turn begins.
    pub fn begin(&mut self) {
        self.left = TURN;
    }

    /// How many steps are left of this turn.
    pub fn left(&self) -> usize {
        self.left
    }

    /// So many steps were taken.
    pub fn spend(&mut self, steps: usize) {
        self.left = self.left.saturating_sub(steps);
        #[cfg(test)]
        {
            self.spent += steps;
        }
    }

    /// Charges this turn for `work`, which is given what is left of it, but at most so many steps, and takes from that.
    pub fn charge<T>(&mut self, most: usize, work: impl FnOnce(&mut usize) -> T) -> T {
        let given = self.left.min(most);
        let mut steps = given;
        let result = work(&mut steps);
        self.spend(given - steps);
        result
    }

    /// Whether the rest is to be left for the next turn.
    pub fn is_over(&self) -> bool {
        self.left == 0
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
            did(Work::Peer, self.queue.len());
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
        let mut turns = Turns::new();
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
