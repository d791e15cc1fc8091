//! What a hub's engine tells its owner.

use super::Router;
use crate::numbered::numbered;
use crate::Status;

numbered! {
    /// What happened to a peer. The numbers are those of the C API.
    pub enum PeerEvent {
        /// It takes part.
        Joined = 1, "joined";
        /// It took part and is gone.
        Left = 2, "left";
        /// It was not let in.
        Refused = 3, "refused";
    }
}

/// What a router tells its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouterEvent {
    /// A peer came or went.
    Peer {
        /// Its identity; empty for an old peer, whose messages each name a sender.
        identity: String,
        /// Where it is.
        from: String,
        /// Whether it is an observer: that it comes and goes is no news.
        is_observer: bool,
        /// What happened.
        event: PeerEvent,
        /// Why; [`Status::Ok`] when it came.
        why: Status,
        /// Why, in words.
        text: String,
    },
    /// Something that the operator should know, once per peer.
    Warning(String),
    /// A state was not taken because there is no memory for it. Each time.
    NoMemory(String),
    /// Something that the operator may want to know.
    Info(String),
    /// Much memory was freed. What the allocator keeps of it is to go back to the system.
    Freed,
}

impl Router {
    /// The next thing that the owner should hear of.
    pub fn next_event(&mut self) -> Option<RouterEvent> {
        self.core.reports.next()
    }
}
