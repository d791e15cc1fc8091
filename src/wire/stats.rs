//! What a hub counts, and how it tells that.

use super::token::{Token, ValueReader};
use super::value::{put_map, put_str, put_uint};
use super::Malformed;
use crate::limits;

/// Declares counters. Each has a number, which is that on the wire.
macro_rules! counters {
    (
        $(#[$about:meta])*
        pub struct $Stats:ident {
            $($(#[$doc:meta])* $key:literal = $counter:ident,)*
        } and {
            $($(#[$doc_of_other:meta])* $other:ident: $Type:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $Stats {
            $($(#[$doc])* pub $counter: u64,)*
            $($(#[$doc_of_other])* pub $other: $Type,)*
        }

        impl $Stats {
            /// Each of the plain numbers, with its name.
            pub fn numbers(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($counter), self.$counter),)*].into_iter()
            }

            fn keyed(&self) -> impl Iterator<Item = (u64, u64)> {
                [$(($key, self.$counter),)*].into_iter().filter(|&(_, number)| number != 0)
            }

            fn set(&mut self, key: u64, number: u64) {
                match key {
                    $($key => self.$counter = number,)*
                    _ => {}
                }
            }
        }
    };
}

counters! {
    /// Counters of a hub since it was made, what it holds now, and what it may hold.
    pub struct HubStats {
        /// Now: for how many milliseconds it has been there.
        1 = uptime_ms,
        /// Now: peers that take part.
        2 = peers,
        /// Now: old ones among them.
        3 = old_peers,
        /// Peers that were let in.
        4 = joined,
        /// Peers that were refused.
        5 = refused_peers,
        /// Now: entries of the table.
        6 = states,
        /// Now: bytes allocated for them.
        7 = table_bytes,
        /// Now: bytes allocated for unfinished incoming frames.
        8 = unfinished_bytes,
        /// Now: bytes allocated for what waits to be written.
        9 = outbox_bytes,
        /// Now: all of these bytes together.
        10 = memory_bytes,
        /// States that were taken.
        11 = messages_in,
        /// Bytes of their bodies.
        12 = bytes_in,
        /// States that were passed on, counted for each receiver.
        13 = messages_out,
        /// Bytes of their bodies.
        14 = bytes_out,
        /// States that a receiver was not sent because a newer one took their place.
        15 = conflated,
        /// States that a receiver was not sent, for the four reasons that follow.
        16 = withheld,
        /// Of these: of a kind that the app does not accept.
        17 = withheld_unaccepted,
        /// Of these: of a kind that is withheld from old peers.
        18 = withheld_structured,
        /// Of these: too large for an old peer.
        19 = withheld_large,
        /// Of these: that a value was cleared, which the peer cannot be told.
        20 = withheld_cleared,
        /// States and wills that were not taken, for the three reasons that follow.
        21 = refused,
        /// Of these: the hub had no room.
        22 = refused_full,
        /// Of these: there was no memory.
        23 = refused_memory,
        /// Of these: the sender may only read.
        24 = refused_rights,
        /// States that were not newer than the one held.
        25 = stale,
        /// States that were not taken because their stamp is too far in the future.
        26 = ahead,
        /// Frames over the limit.
        27 = too_large,
        /// States whose sender is another peer's identity, or which another instance has stamped.
        28 = foreign_sender,
        /// `$ns/` messages on old links.
        29 = reserved,
        /// Bodies that are malformed, all reasons together.
        30 = malformed,
        /// Entries of the table that were written to the store, each time.
        31 = stored,
        /// How often writing to the store failed.
        32 = store_failed,
        /// The most peers.
        33 = max_peers,
        /// The most entries of the table.
        34 = max_states,
        /// The most bytes allocated for them.
        35 = max_table_bytes,
        /// The most bytes that the hub holds.
        36 = max_memory_bytes,
        /// Now: senders that have departed of which the table has entries.
        37 = departed_senders,
    } and {
        /// The malformed bodies by reason, in the order of [`Malformed::ALL`]. Not told to apps.
        malformed_by: [u64; Malformed::COUNT],
    }
}

counters! {
    /// Counters of one peer since it connected.
    pub struct PeerStats {
        /// Now: for how many milliseconds it has been connected.
        1 = connected_ms,
        /// Bytes that wait for it now.
        9 = outbox_bytes,
        /// States taken from it.
        11 = messages_in,
        /// Bytes of their bodies.
        12 = bytes_in,
        /// States passed on to it.
        13 = messages_out,
        /// Bytes of their bodies.
        14 = bytes_out,
        /// States it was not sent because newer ones took their place.
        15 = conflated,
        /// States it was not sent, for the four reasons that follow.
        16 = withheld,
        /// Of these: of a kind that it does not accept.
        17 = withheld_unaccepted,
        /// Of these: of a kind that is withheld from old peers.
        18 = withheld_structured,
        /// Of these: too large for an old peer.
        19 = withheld_large,
        /// Of these: that a value was cleared, which it cannot be told.
        20 = withheld_cleared,
        /// Its states and wills that were not taken, for the three reasons that follow.
        21 = refused,
        /// Of these: the hub had no room.
        22 = refused_full,
        /// Of these: there was no memory.
        23 = refused_memory,
        /// Of these: it may only read.
        24 = refused_rights,
        /// Its states that were not newer than the one held.
        25 = stale,
        /// Its states whose stamp is too far in the future.
        26 = ahead,
        /// Its frames that were over the limit.
        27 = too_large,
        /// Its states in the name of another, or stamped by another instance.
        28 = foreign_sender,
        /// Its `$ns/` messages, if it is an old peer.
        29 = reserved,
        /// Its bodies that were malformed.
        30 = malformed,
        /// The number of its connection, which no other one of this hub has.
        40 = connection,
    } and {
        /// Its identity; empty for an old peer.
        identity: String,
        /// Where it is; empty if that is not told.
        from: String,
        /// Whether it is an old peer.
        old: bool,
        /// Whether it keeps up.
        live: bool,
        /// Whether nothing is heard of it.
        suspect: bool,
    }
}

/// The longest identity, and the longest address, of a peer, in bytes.
const MAX_TEXT: usize = limits::MAX_SENDER;

/// Keys of a peer beside those of numbers.
mod peer {
    pub const IDENTITY: u64 = 41;
    pub const FROM: u64 = 42;
    pub const FLAGS: u64 = 43;
    pub const OLD: u64 = 1;
    pub const BEHIND: u64 = 2;
    pub const SUSPECT: u64 = 4;
}

/// A part of what a hub tells of its counters: the totals, in the first one, and some of its peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatsPart<'a> {
    /// A map, or nothing.
    pub(super) totals: &'a [u8],
    /// Maps, and how many.
    pub(super) peers: &'a [u8],
    pub(super) count: u32,
}

impl<'a> StatsPart<'a> {
    /// The totals, if this is the first part.
    ///
    /// # Errors
    /// What is malformed.
    pub fn totals(self) -> Result<Option<HubStats>, Malformed> {
        if self.totals.is_empty() {
            return Ok(None);
        }
        let mut stats = HubStats::default();
        each_pair(&mut ValueReader::new(self.totals), |key, value| {
            value.as_uint().into_iter().for_each(|number| stats.set(key, number));
            Ok(())
        })?;
        Ok(Some(stats))
    }

    /// Each of the peers, up to one that is malformed.
    pub fn peers(self) -> impl Iterator<Item = Result<PeerStats, Malformed>> + 'a {
        let mut reader = ValueReader::new(self.peers);
        (0..self.count).map(move |_| PeerStats::decode(&mut reader))
    }
}

impl PeerStats {
    fn decode(reader: &mut ValueReader<'_>) -> Result<PeerStats, Malformed> {
        let mut stats = PeerStats { live: true, ..PeerStats::default() };
        each_pair(reader, |key, value| {
            match (key, value) {
                (peer::IDENTITY | peer::FROM, Token::Str(text)) => {
                    // No hub tells a longer one.
                    let text = if text.len() <= MAX_TEXT { text } else { b"" };
                    let text = std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?.to_owned();
                    *(if key == peer::FROM { &mut stats.from } else { &mut stats.identity }) = text;
                }
                (peer::FLAGS, value) => {
                    let has = |flag| value.as_uint().is_some_and(|flags| flags & flag != 0);
                    (stats.old, stats.live, stats.suspect) = (has(peer::OLD), !has(peer::BEHIND), has(peer::SUSPECT));
                }
                (key, value) => value.as_uint().into_iter().for_each(|number| stats.set(key, number)),
            }
            Ok(())
        })?;
        Ok(stats)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let flags = [(self.old, peer::OLD), (!self.live, peer::BEHIND), (self.suspect, peer::SUSPECT)];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
        let texts = [(peer::IDENTITY, &self.identity), (peer::FROM, &self.from)];
        let texts = || texts.iter().filter(|(_, text)| !text.is_empty());
        put_map(out, (self.keyed().count() + texts().count() + usize::from(flags != 0)) as u32);
        put_numbers(out, self.keyed().chain((flags != 0).then_some((peer::FLAGS, flags))));
        for (key, text) in texts() {
            put_uint(out, *key);
            put_str(out, text);
        }
    }
}

fn put_numbers(out: &mut Vec<u8>, numbers: impl Iterator<Item = (u64, u64)>) {
    for (key, number) in numbers {
        put_uint(out, key);
        put_uint(out, number);
    }
}

/// Each pair of a map whose key is a number and whose value is no container.
fn each_pair<'a>(
    reader: &mut ValueReader<'a>,
    mut pair: impl FnMut(u64, Token<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let Token::Map(pairs) = reader.token()? else { return Err(Malformed::Control) };
    for _ in 0..pairs {
        let key = ValueReader::new(reader.rest()).token()?;
        reader.value()?;
        let value = ValueReader::new(reader.rest()).token()?;
        reader.value()?;
        key.as_uint().map_or(Ok(()), |key| pair(key, value))?;
    }
    Ok(())
}

/// A [`StatsPart`] that is being made.
#[derive(Default)]
pub struct StatsDraft {
    totals: Vec<u8>,
    peers: Vec<u8>,
    count: u32,
}

impl StatsDraft {
    /// With these totals, if it is the first part.
    pub fn new(totals: Option<&HubStats>) -> StatsDraft {
        let mut draft = StatsDraft::default();
        if let Some(stats) = totals {
            put_map(&mut draft.totals, stats.keyed().count() as u32);
            put_numbers(&mut draft.totals, stats.keyed());
        }
        draft
    }

    /// Adds a peer, unless the part then has more than `most` bytes and has a peer already. Whether it was added.
    pub fn add(&mut self, peer: &PeerStats, most: usize) -> bool {
        let before = self.peers.len();
        peer.encode(&mut self.peers);
        let fits = before == 0 || self.bytes() <= most;
        if fits {
            self.count += 1;
        } else {
            self.peers.truncate(before);
        }
        fits
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.totals.len() + self.peers.len()
    }

    /// The part.
    pub fn part(&self) -> StatsPart<'_> {
        StatsPart { totals: &self.totals, peers: &self.peers, count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Counters that all have a value of their own.
    fn different() -> (HubStats, PeerStats) {
        let (mut hub, mut peer) = (HubStats::default(), PeerStats { live: true, ..PeerStats::default() });
        (0..100).for_each(|key| {
            hub.set(key, 1000 + key);
            peer.set(key, 2000 + key);
        });
        (hub, peer)
    }

    #[test]
    fn what_is_told_is_what_was_counted() {
        let (hub, mut peer) = different();
        assert!(hub.numbers().chain(peer.numbers()).all(|(name, number)| number > 1000 && !name.is_empty()));
        peer.identity = "b\u{e4}r".to_owned();
        peer.from = "127.0.0.1:7".to_owned();
        let mut peers = vec![peer.clone()];
        for (old, live, suspect) in [(true, true, false), (false, false, false), (false, true, true)] {
            peers.push(PeerStats { old, live, suspect, ..PeerStats::default() });
        }
        let mut draft = StatsDraft::new(Some(&hub));
        peers.iter().for_each(|peer| assert!(draft.add(peer, usize::MAX)));
        assert_eq!(draft.part().totals(), Ok(Some(hub)));
        assert_eq!(draft.part().peers().collect::<Result<Vec<_>, _>>(), Ok(peers));
        assert_eq!(StatsDraft::new(None).part().totals(), Ok(None));
    }

    #[test]
    fn a_counter_of_both_has_one_number() {
        let (hub, peer) = different();
        let key = |name: &str| hub.numbers().find(|(other, _)| *other == name).map(|(_, number)| number - 1000);
        for (name, number) in peer.numbers() {
            let expected = match name {
                "connected_ms" => key("uptime_ms"),
                "connection" => Some(40),
                name => key(name),
            };
            assert_eq!(Some(number - 2000), expected, "{name}");
        }
    }

    #[test]
    fn a_part_has_one_peer_at_least_and_no_more_than_fit() {
        let peer = PeerStats { identity: "i".repeat(255), ..different().1 };
        let mut draft = StatsDraft::new(None);
        assert!(draft.add(&peer, 0));
        let one = draft.bytes();
        assert!(!draft.add(&peer, 2 * one - 1) && draft.bytes() == one);
        assert!(draft.add(&peer, 2 * one) && draft.bytes() == 2 * one);
        assert_eq!(draft.part().peers().count(), 2);
    }

    #[test]
    fn a_text_that_is_longer_than_any_is_left_out() {
        let mut draft = StatsDraft::new(None);
        for len in [MAX_TEXT, MAX_TEXT + 1] {
            draft.add(&PeerStats { identity: "i".repeat(len), ..PeerStats::default() }, usize::MAX);
        }
        let identities = draft.part().peers().map(|peer| peer.map(|peer| peer.identity.len()));
        assert_eq!(identities.collect::<Vec<_>>(), [Ok(MAX_TEXT), Ok(0)]);
    }

    #[test]
    fn what_a_later_version_adds_is_left_out() {
        let peers = [0x84, 99, 7, 11, 5, 98, 0x91, 0xC0, 0xA1, b'x', 1];
        let part = StatsPart { totals: &[0x81, 77, 0xC0], peers: &peers, count: 1 };
        assert_eq!(part.totals(), Ok(Some(HubStats::default())));
        let expected = PeerStats { messages_in: 5, live: true, ..PeerStats::default() };
        assert_eq!(part.peers().collect::<Vec<_>>(), [Ok(expected)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_or_malformed(totals in vec(any::<u8>(), 0..40), peers in vec(any::<u8>(), 0..40)) {
            let part = StatsPart { totals: &totals, peers: &peers, count: 3 };
            let _ = part.totals();
            prop_assert_eq!(part.peers().count(), 3);
        }
    }
}
