//! What a hub counts, in the form of C.

use std::ffi::{c_char, c_int};

use super::super::counters::counters;
use super::super::invalid;
use crate::{HubStats, PeerStats, Result};

/// Why a message is malformed, as an index of malformed_by in ns_hub_stats_t. It is empty.
pub const NS_MALFORMED_EMPTY: c_int = 0;
/// It is not an array.
pub const NS_MALFORMED_NOT_ARRAY: c_int = 1;
/// The array has the wrong number of elements.
pub const NS_MALFORMED_WRONG_COUNT: c_int = 2;
/// The sender is no text of 1 to 255 bytes without NUL.
pub const NS_MALFORMED_SENDER: c_int = 3;
/// The name is no text of 1 to 1024 bytes without NUL.
pub const NS_MALFORMED_NAME: c_int = 4;
/// A text is not UTF-8.
pub const NS_MALFORMED_UTF8: c_int = 5;
/// It ends inside a value.
pub const NS_MALFORMED_TRUNCATED: c_int = 6;
/// Bytes follow behind its end.
pub const NS_MALFORMED_TRAILING: c_int = 7;
/// It is nested too deeply.
pub const NS_MALFORMED_DEPTH: c_int = 8;
/// It has the byte that MessagePack never uses.
pub const NS_MALFORMED_RESERVED: c_int = 9;
/// Its fourth element is not of the known form.
pub const NS_MALFORMED_META: c_int = 10;
/// It is a message between app and hub whose data has the wrong form.
pub const NS_MALFORMED_CONTROL: c_int = 11;
/// It uses a feature that was not announced: a flag, a request or a target.
pub const NS_MALFORMED_FEATURE: c_int = 12;
/// It is a text message of a WebSocket, not a binary one.
pub const NS_MALFORMED_TEXT: c_int = 13;
/// The data of a value that is cleared is neither the number of a kind nor nil.
pub const NS_MALFORMED_CLEAR: c_int = 14;

/// Counters of a hub since ns_hub_new. Later versions append fields.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ns_hub_stats_t {
    /// Now: peers that take part.
    pub peers: u64,
    /// Now: old ones among them: programs of the original, and nanomsg or NNG sockets.
    pub old_peers: u64,
    /// Peers that were let in.
    pub joined: u64,
    /// Peers that were refused.
    pub refused_peers: u64,
    /// Now: states kept.
    pub states: u64,
    /// Now: their bytes.
    pub table_bytes: u64,
    /// Now: bytes of unfinished incoming messages.
    pub unfinished_bytes: u64,
    /// States taken.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// States passed on, counted for each receiver.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// States that a receiver was not sent because a newer one took their place.
    pub conflated: u64,
    /// States that a receiver was not sent: of a kind that it does not take, or too large for it.
    pub withheld: u64,
    /// States and wills not taken: no room, no memory, or the sender may only read.
    pub refused: u64,
    /// States not newer than the one held.
    pub stale: u64,
    /// States not taken because their stamp is both beyond the year 2200 and more than a minute ahead
    /// of the hub's time.
    pub ahead: u64,
    /// Messages over the limit.
    pub too_large: u64,
    /// States in the name of another peer, or stamped by another instance.
    pub foreign_sender: u64,
    /// Messages of old peers with a reserved name.
    pub reserved: u64,
    /// Malformed messages, for whatever reason.
    pub malformed: u64,
    /// Malformed messages by reason: NS_MALFORMED_ numbers are the indices, the others are 0.
    pub malformed_by: [u64; 32],
    /// Now: bytes that wait to be written.
    pub outbox_bytes: u64,
    /// Now: bytes of states and messages, all together.
    pub memory_bytes: u64,
    /// States written to the store, counted each time.
    pub stored: u64,
    /// How often writing to the store failed. It is tried again until it succeeds.
    pub store_failed: u64,
    /// Now: for how many milliseconds the hub has been there.
    pub uptime_ms: u64,
    /// Of withheld: of a kind that the app does not accept (ns_app_set_accept).
    pub withheld_unaccepted: u64,
    /// Of withheld: of a kind that is withheld from old peers (NS_OPT_HUB_LEGACY_STRUCTURED).
    pub withheld_structured: u64,
    /// Of withheld: too large for an old peer (NS_OPT_HUB_LEGACY_MAX).
    pub withheld_large: u64,
    /// Of withheld: that a value was cleared, which the peer cannot be told.
    pub withheld_cleared: u64,
    /// Of refused: the hub had no room.
    pub refused_full: u64,
    /// Of refused: there was no memory.
    pub refused_memory: u64,
    /// Of refused: the sender may only read.
    pub refused_rights: u64,
    /// The most peers (NS_OPT_HUB_MAX_PEERS).
    pub max_peers: u64,
    /// The most states (NS_OPT_HUB_TABLE_STATES).
    pub max_states: u64,
    /// The most bytes of states (NS_OPT_HUB_TABLE_BYTES).
    pub max_table_bytes: u64,
    /// The most bytes of states and messages (NS_OPT_HUB_MEMORY).
    pub max_memory_bytes: u64,
    /// Now: senders that are gone, of which something is kept: no connection speaks for them.
    pub departed_senders: u64,
}

counters!(HubStats as ns_hub_stats_t {
    peers, old_peers, joined, refused_peers, states, table_bytes, unfinished_bytes, messages_in, bytes_in,
    messages_out, bytes_out, conflated, withheld, refused, stale, ahead, too_large, foreign_sender, reserved,
    malformed, outbox_bytes, memory_bytes, stored, store_failed, uptime_ms, withheld_unaccepted, withheld_structured,
    withheld_large, withheld_cleared, refused_full, refused_memory, refused_rights, max_peers, max_states,
    max_table_bytes, max_memory_bytes, departed_senders;
    malformed_by: padded(&malformed_by)
});

/// One peer of a hub. Later versions append fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ns_peer_stats_t {
    /// Its identity, NUL-terminated; "" if it is not known.
    pub identity: [c_char; 256],
    /// Where it comes from, NUL-terminated, cut if longer.
    pub from: [c_char; 128],
    /// 1: it is an old peer.
    pub old: u64,
    /// 1: it keeps up. 0: it is being caught up from the table.
    pub live: u64,
    /// States taken from it.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// States passed on to it.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// States that it did not get because a newer one took their place.
    pub conflated: u64,
    /// States withheld from it: of a kind that it does not take, or too large for it.
    pub withheld: u64,
    /// Malformed messages from it.
    pub malformed: u64,
    /// Messages from it over the limit.
    pub too_large: u64,
    /// Now: bytes that wait for it.
    pub outbox_bytes: u64,
    /// The number of its connection, which no other one of this hub has.
    pub connection: u64,
    /// Now: for how many milliseconds it has been connected.
    pub connected_ms: u64,
    /// 1: nothing is heard of it (NS_OPT_HUB_SUSPECT_MS).
    pub suspect: u64,
    /// Of withheld: of a kind that it does not accept (ns_app_set_accept).
    pub withheld_unaccepted: u64,
    /// Of withheld: of a kind that is withheld from old peers (NS_OPT_HUB_LEGACY_STRUCTURED).
    pub withheld_structured: u64,
    /// Of withheld: too large for an old peer (NS_OPT_HUB_LEGACY_MAX).
    pub withheld_large: u64,
    /// Of withheld: that a value was cleared, which it cannot be told.
    pub withheld_cleared: u64,
    /// Its states and wills that were not taken: no room, no memory, or it may only read.
    pub refused: u64,
    /// Of refused: the hub had no room.
    pub refused_full: u64,
    /// Of refused: there was no memory.
    pub refused_memory: u64,
    /// Of refused: it may only read.
    pub refused_rights: u64,
    /// Its states that were not newer than the one held.
    pub stale: u64,
    /// Its states whose stamp is too far in the future, as in ns_hub_stats_t.
    pub ahead: u64,
    /// Its states in the name of another peer, or stamped by another instance.
    pub foreign_sender: u64,
    /// Its messages with a reserved name, if it is an old peer.
    pub reserved: u64,
}

counters!(PeerStats as ns_peer_stats_t {
    messages_in, bytes_in, messages_out, bytes_out, conflated, withheld, malformed, too_large, outbox_bytes,
    connection, connected_ms, withheld_unaccepted, withheld_structured, withheld_large, withheld_cleared, refused,
    refused_full, refused_memory, refused_rights, stale, ahead, foreign_sender, reserved;
    identity: fixed(&identity),
    from: fixed(&from),
    old: old.into(),
    live: live.into(),
    suspect: suspect.into()
});

/// An array with room for later counters, which are 0.
fn padded<const N: usize>(counts: &[u64]) -> [u64; N] {
    let mut padded = [0; N];
    padded[..counts.len()].copy_from_slice(counts);
    padded
}

/// NUL-terminated text in an array, cut between characters if it is too long.
fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = *from as c_char;
    }
    out
}

/// No struct of a later version is larger.
const LARGEST_STRUCT: usize = 65536;

/// Room for the counters of a peer, reused for the next one, as large as the program says that its struct is. A program made for
/// a later version finds zeros behind the fields that are known here.
pub(super) struct ShownPeer(Vec<u64>);

impl ShownPeer {
    pub(super) fn new(size: usize) -> Result<ShownPeer> {
        if size == 0 || size > LARGEST_STRUCT {
            return Err(invalid(format!("size is {size}")));
        }
        Ok(ShownPeer(vec![0; size.max(size_of::<ns_peer_stats_t>()).div_ceil(8)]))
    }

    pub(super) fn put(&mut self, stats: PeerStats) -> *const ns_peer_stats_t {
        let place = self.0.as_mut_ptr().cast::<ns_peer_stats_t>();
        // SAFETY: large enough and aligned as above.
        unsafe { place.write(stats.into()) };
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_cut_between_characters() {
        let bytes = |text: [c_char; 4]| text.map(|c| c as u8);
        assert_eq!(bytes(fixed("ab")), *b"ab\0\0");
        assert_eq!(bytes(fixed("abc")), *b"abc\0");
        assert_eq!(bytes(fixed("abcd")), *b"abc\0");
        assert_eq!(bytes(fixed("ab\u{e4}")), *b"ab\0\0");
    }

    #[test]
    fn structs_have_no_padding() {
        assert_eq!(size_of::<ns_peer_stats_t>(), 256 + 128 + 26 * 8);
        assert_eq!(size_of::<ns_hub_stats_t>(), (37 + 32) * 8);
    }
}
