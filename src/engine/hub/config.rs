//! What can be set at a hub's engine.

use std::time::Duration;

use super::turns::MESSAGES;
use super::unfinished::Floor;
use crate::limits;
use crate::time::MonoTime;

/// What can be set.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// The largest body without its meta.
    pub max_message: usize,
    /// The largest body towards an old peer.
    pub legacy_max: usize,
    /// Peers.
    pub max_peers: usize,
    /// Those of them that are connected to addresses for WebSockets.
    pub max_websockets: usize,
    /// HTTP requests of one address in a second; 0: any number.
    pub http_rate: usize,
    /// What may wait for a live peer.
    pub outbox: usize,
    /// All that is held for states and messages, in bytes; 0: twice what the table may hold.
    pub memory: usize,
    /// Unfinished incoming frames, together.
    pub unfinished: usize,
    /// How long one of them may make no progress.
    pub stalled_frame: Duration,
    /// The bytes that have to come of one in this time; it gives way to others otherwise, when they need its room.
    pub progress: usize,
    /// What the messages of a peer may cost before the others follow, in steps of a turn.
    pub messages: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// Whether states go back to where they came from.
    pub echo: bool,
    /// Whether old peers get structured and scalar states.
    pub legacy_structured: bool,
    /// Whether an old peer that joins gets what is in the table.
    pub legacy_snapshot: bool,
}

impl RouterConfig {
    /// What an unfinished incoming frame has to make progress by.
    pub fn floor(&self) -> Floor {
        Floor { bytes: self.progress as u64, interval: self.stalled_frame }
    }
}

impl Default for RouterConfig {
    fn default() -> RouterConfig {
        RouterConfig {
            max_message: limits::MAX_MESSAGE,
            legacy_max: limits::LEGACY_MAX,
            max_peers: limits::MAX_PEERS,
            max_websockets: limits::MAX_WEBSOCKETS,
            http_rate: limits::HTTP_RATE,
            outbox: limits::OUTBOX,
            memory: 0,
            unfinished: limits::UNFINISHED,
            stalled_frame: limits::STALLED_FRAME,
            progress: limits::PROGRESS,
            messages: MESSAGES,
            handshake: limits::HANDSHAKE,
            echo: false,
            legacy_structured: false,
            legacy_snapshot: false,
        }
    }
}

/// What a hub tells of itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The name of its machine.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// When it was made.
    pub since: MonoTime,
    /// Where it listens.
    pub addresses: Vec<String>,
}
