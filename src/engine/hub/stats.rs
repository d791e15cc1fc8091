//! Counters of a hub and of its peers.

use crate::wire::Malformed;

/// Counters of a hub since it was made, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Now: peers that take part.
    pub peers: u64,
    /// Now: old ones among them.
    pub old_peers: u64,
    /// Peers that were let in.
    pub joined: u64,
    /// Peers that were refused.
    pub refused_peers: u64,
    /// Now: entries of the table.
    pub states: u64,
    /// Now: bytes allocated for them.
    pub table_bytes: u64,
    /// Now: bytes allocated for unfinished incoming frames.
    pub unfinished_bytes: u64,
    /// Now: bytes allocated for what waits to be written.
    pub outbox_bytes: u64,
    /// Now: all of these bytes together.
    pub memory_bytes: u64,
    /// States that were taken.
    pub messages_in: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// States that were passed on, counted for each receiver.
    pub messages_out: u64,
    /// Bytes of their bodies.
    pub bytes_out: u64,
    /// States that a receiver was not sent because a newer one took their place.
    pub conflated: u64,
    /// States that a receiver was not sent: of a kind it does not take, or too large for an old peer.
    pub withheld: u64,
    /// States that were not taken for lack of room or memory, or because their sender may only read.
    pub refused: u64,
    /// States that were not newer than the one held.
    pub stale: u64,
    /// States that were not taken because their stamp is too far in the future.
    pub ahead: u64,
    /// Frames over the limit.
    pub too_large: u64,
    /// States whose sender is another peer's identity, or which another instance has stamped.
    pub foreign_sender: u64,
    /// `$ns/` messages on old links.
    pub reserved: u64,
    /// Bodies that are malformed, all reasons together.
    pub malformed: u64,
    /// The same by reason, in the order of [`Malformed::ALL`].
    pub malformed_by: [u64; Malformed::COUNT],
    /// Entries of the table that were written to the store, each time.
    pub stored: u64,
    /// How often writing to the store failed.
    pub store_failed: u64,
}

/// Counters of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// Its identity; empty for an old peer.
    pub identity: String,
    /// Where it is.
    pub from: String,
    /// Whether it is an old peer.
    pub old: bool,
    /// Whether it keeps up.
    pub live: bool,
    /// States taken from it.
    pub messages_in: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// States passed on to it.
    pub messages_out: u64,
    /// Bytes of their bodies.
    pub bytes_out: u64,
    /// States it was not sent because newer ones took their place.
    pub conflated: u64,
    /// States it was not sent because of their kind or size.
    pub withheld: u64,
    /// Its bodies that were malformed.
    pub malformed: u64,
    /// Its frames that were over the limit.
    pub too_large: u64,
    /// Bytes that wait for it now.
    pub outbox_bytes: u64,
}
