//! The fourth element of a v1 body: who made the value, when, and how it is to be treated.

use super::token::{Token, ValueReader};
use super::value::{put_bin, put_map, put_str, put_uint};
use super::{Features, Malformed};
use crate::limits::MAX_SENDER;
use crate::time::LogicalTime;

/// The keys of the map.
mod key {
    pub const STAMP: u64 = 0;
    pub const SEQUENCE: u64 = 1;
    pub const FLAGS: u64 = 2;
    pub const REQUEST: u64 = 3;
    pub const TARGET: u64 = 4;
    pub const LIFETIME: u64 = 5;
}

/// The random number of one app or hub object, which keeps it as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instance(pub [u8; 16]);

/// When and by whom a value was made. Stamps of one key are compared to find the newest value: by clock, then by
/// instance, which is also the order of their bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp {
    /// The time of the hybrid logical clock.
    pub clock: LogicalTime,
    /// The instance that made the value.
    pub instance: Instance,
}

impl Stamp {
    /// The length on the wire.
    pub const LEN: usize = 24;
    /// The length of a meta that has a stamp and nothing else: the heads of map and bin, and the key.
    pub const META_LEN: usize = 1 + 1 + 2 + Stamp::LEN;

    /// The stamp of the tombstone that a value leaves when it expires, whoever makes it: later than the value's, and earlier
    /// than that of every value that is set after it, since the instance of an app or a hub is not 0.
    pub fn expired(self) -> Stamp {
        Stamp { clock: self.clock.succ(), instance: Instance::default() }
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.clock.as_millis()
    }

    /// The bytes on the wire: the clock, big-endian, then the instance.
    pub fn to_bytes(self) -> [u8; Stamp::LEN] {
        let mut bytes = [0; Stamp::LEN];
        bytes[..8].copy_from_slice(&self.clock.to_bits().to_be_bytes());
        bytes[8..].copy_from_slice(&self.instance.0);
        bytes
    }

    /// The stamp in these bytes, if they have the right length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Stamp> {
        bytes.try_into().ok().map(Stamp::of_bytes)
    }

    #[inline]
    fn of_bytes(bytes: &[u8; Stamp::LEN]) -> Stamp {
        let (mut clock, mut instance) = ([0; 8], [0; 16]);
        clock.copy_from_slice(&bytes[..8]);
        instance.copy_from_slice(&bytes[8..]);
        Stamp { clock: LogicalTime::from_bits(u64::from_be_bytes(clock)), instance: Instance(instance) }
    }
}

/// What a meta begins with that has a stamp and nothing else, as that of nearly all bodies: the heads of map and bin, and the
/// key.
const BARE: [u8; Stamp::META_LEN - Stamp::LEN] = [0x81, key::STAMP as u8, 0xC4, Stamp::LEN as u8];

/// Such a meta, in one piece.
#[inline]
fn bare(stamp: Stamp) -> [u8; Stamp::META_LEN] {
    let mut bytes = [0; Stamp::META_LEN];
    bytes[..BARE.len()].copy_from_slice(&BARE);
    bytes[BARE.len()..].copy_from_slice(&stamp.to_bytes());
    bytes
}

/// The known keys of a body's `meta`. Unknown keys stay in [`super::Body::raw_meta`] and are passed on with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meta<'a> {
    /// When and by whom the value was made.
    pub stamp: Option<Stamp>,
    /// The number of the body on its way from one app.
    pub sequence: Option<u64>,
    /// [`Meta::RETAINED`], [`Meta::CLEAR`], [`Meta::EVENT`], [`Meta::TRANSIENT`].
    pub flags: u32,
    /// The number that ties an answer to its request.
    pub request: Option<u64>,
    /// The identity of the only receiver; 1 to 255 bytes.
    pub target: Option<&'a str>,
    /// After how many milliseconds the value expires.
    pub lifetime: Option<u64>,
}

impl<'a> Meta<'a> {
    /// The hub held the value, and hands it out to a newcomer.
    pub const RETAINED: u32 = 1;
    /// The key has no value any more.
    pub const CLEAR: u32 = 2;
    /// Not a state: every one counts, none is held.
    pub const EVENT: u32 = 4;
    /// A value that newcomers are not sent, and that ends with its sender.
    pub const TRANSIENT: u32 = 8;

    /// What these flags add to the length on the wire.
    pub const FLAGS_LEN: usize = 2;
    /// The most that a lifetime adds to it.
    pub const LIFETIME_LEN: usize = 10;

    /// Checks that it has nothing but these flags and what belongs to these features, which both sides have announced.
    ///
    /// # Errors
    /// [`Malformed::Feature`].
    pub fn check_features(&self, features: Features, flags: u32) -> Result<(), Malformed> {
        let is_unknown = self.flags & !(features.state_flags() | flags) != 0;
        let expires = self.lifetime.is_some() && !features.contains(Features::LIFETIME);
        if is_unknown || self.request.is_some() || self.target.is_some() || expires {
            return Err(Malformed::Feature);
        }
        Ok(())
    }

    /// Appends the map, with what is set in the order of the keys.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Meta { stamp: Some(stamp), sequence: None, flags: 0, request: None, target: None, lifetime: None } => {
                out.extend_from_slice(&bare(stamp));
            }
            _ => self.encode_any(out),
        }
    }

    fn encode_any(&self, out: &mut Vec<u8>) {
        let pairs = [self.stamp.is_some(), self.sequence.is_some(), self.flags != 0, self.request.is_some()];
        let others = u32::from(self.target.is_some()) + u32::from(self.lifetime.is_some());
        put_map(out, pairs.iter().filter(|set| **set).count() as u32 + others);
        if let Some(stamp) = self.stamp {
            put_stamp(out, stamp);
        }
        if let Some(sequence) = self.sequence {
            put_uint(out, key::SEQUENCE);
            put_uint(out, sequence);
        }
        if self.flags != 0 {
            put_flags(out, self.flags);
        }
        if let Some(request) = self.request {
            put_uint(out, key::REQUEST);
            put_uint(out, request);
        }
        if let Some(target) = self.target {
            put_uint(out, key::TARGET);
            put_str(out, target);
        }
        if let Some(lifetime) = self.lifetime {
            put_lifetime(out, lifetime);
        }
    }

    /// Reads the map at the front of `bytes` and tells its length. A key is an integer of at least 0; a known key
    /// occurs at most once and has a value of its type.
    ///
    /// # Errors
    /// [`Malformed::Meta`] if that does not hold, else what [`super::skip`] finds.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<(Meta<'a>, usize), Malformed> {
        if let Some(stamp) = bytes.strip_prefix(&BARE).and_then(<[u8]>::first_chunk) {
            let stamp = Some(Stamp::of_bytes(stamp));
            return Ok((Meta { stamp, ..Meta::default() }, Stamp::META_LEN));
        }
        Meta::decode_any(bytes)
    }

    fn decode_any(bytes: &'a [u8]) -> Result<(Meta<'a>, usize), Malformed> {
        let mut meta = Meta::default();
        let mut reader = ValueReader::new(bytes);
        // Bit n: key n was there.
        let mut seen = 0u8;
        for _ in 0..pairs(&mut reader)? {
            let key = reader.token()?.as_uint().ok_or(Malformed::Meta)?;
            if key <= key::LIFETIME {
                if seen & 1 << key != 0 {
                    return Err(Malformed::Meta);
                }
                seen |= 1 << key;
            }
            match key {
                key::STAMP => {
                    let Token::Bin(bytes) = reader.token()? else {
                        return Err(Malformed::Meta);
                    };
                    meta.stamp = Some(Stamp::from_bytes(bytes).ok_or(Malformed::Meta)?);
                }
                key::SEQUENCE => meta.sequence = Some(uint(&mut reader)?),
                // The upper half has no flags that anybody could have announced.
                key::FLAGS => meta.flags = uint(&mut reader)?.try_into().map_err(|_| Malformed::Feature)?,
                key::REQUEST => meta.request = Some(uint(&mut reader)?),
                key::TARGET => {
                    let Token::Str(target) = reader.token()? else {
                        return Err(Malformed::Meta);
                    };
                    if target.is_empty() || target.len() > MAX_SENDER || target.contains(&0) {
                        return Err(Malformed::Meta);
                    }
                    meta.target = Some(std::str::from_utf8(target).map_err(|_| Malformed::Utf8)?);
                }
                key::LIFETIME => meta.lifetime = Some(uint(&mut reader)?),
                _ => {
                    reader.value()?;
                }
            }
        }
        Ok((meta, bytes.len() - reader.rest().len()))
    }
}

/// Appends `raw_meta`, as [`super::decode`] gave it, with another stamp: in its place, or at the front if there was
/// none. All other keys stay as they are, byte for byte. An empty `raw_meta` (that of an old body) is an empty map.
pub fn with_stamp(raw_meta: &[u8], stamp: Stamp, out: &mut Vec<u8>) {
    let start = out.len();
    if replace(raw_meta, key::STAMP, |out| put_stamp(out, stamp), out).is_err() {
        out.truncate(start);
        Meta { stamp: Some(stamp), ..Meta::default() }.encode(out);
    }
}

/// Appends `raw_meta`, as [`super::decode`] gave it, with these flags, all other keys as they are. None: it loses those
/// that it has.
pub fn with_flags(raw_meta: &[u8], flags: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let done = match flags {
        0 => remove(raw_meta, key::FLAGS, out),
        flags => replace(raw_meta, key::FLAGS, |out| put_flags(out, flags), out),
    };
    if done.is_err() {
        out.truncate(start);
        out.extend_from_slice(raw_meta);
    }
}

/// Appends `raw_meta`, as [`super::decode`] gave it, with so many milliseconds to live, or without that key, all other keys
/// as they are.
pub fn with_lifetime(raw_meta: &[u8], lifetime: Option<u64>, out: &mut Vec<u8>) {
    let start = out.len();
    let done = match lifetime {
        Some(lifetime) => replace(raw_meta, key::LIFETIME, |out| put_lifetime(out, lifetime), out),
        None => remove(raw_meta, key::LIFETIME, out),
    };
    if done.is_err() {
        out.truncate(start);
        out.extend_from_slice(raw_meta);
    }
}

/// Appends a map without this key, which it has.
fn remove(raw_meta: &[u8], unwanted: u64, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut reader = ValueReader::new(raw_meta);
    let pairs = pairs(&mut reader)?;
    put_map(out, pairs.saturating_sub(1));
    for _ in 0..pairs {
        let before = reader.rest();
        let is_unwanted = reader.token()?.as_uint() == Some(unwanted);
        reader.value()?;
        if !is_unwanted {
            out.extend_from_slice(&before[..before.len() - reader.rest().len()]);
        }
    }
    Ok(())
}

/// Appends a map with the key and value that `put` writes: in the place of that key, or at the front if there was none.
fn replace(raw_meta: &[u8], wanted: u64, put: impl Fn(&mut Vec<u8>), out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut reader = ValueReader::new(raw_meta);
    let pairs = pairs(&mut reader)?;
    let entries = reader.rest();
    for _ in 0..pairs {
        let before = reader.rest();
        let is_wanted = reader.token()?.as_uint() == Some(wanted);
        reader.value()?;
        if is_wanted {
            out.extend_from_slice(&raw_meta[..raw_meta.len() - before.len()]);
            put(out);
            out.extend_from_slice(reader.rest());
            return Ok(());
        }
    }
    put_map(out, pairs.saturating_add(1));
    put(out);
    out.extend_from_slice(entries);
    Ok(())
}

fn put_flags(out: &mut Vec<u8>, flags: u32) {
    put_uint(out, key::FLAGS);
    put_uint(out, u64::from(flags));
}

fn put_lifetime(out: &mut Vec<u8>, lifetime: u64) {
    put_uint(out, key::LIFETIME);
    put_uint(out, lifetime);
}

fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    put_uint(out, key::STAMP);
    put_bin(out, &stamp.to_bytes());
}

fn pairs(reader: &mut ValueReader) -> Result<u32, Malformed> {
    match reader.token()? {
        Token::Map(pairs) => Ok(pairs),
        _ => Err(Malformed::Meta),
    }
}

fn uint(reader: &mut ValueReader) -> Result<u64, Malformed> {
    reader.token()?.as_uint().ok_or(Malformed::Meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDER: Stamp = Stamp { clock: LogicalTime::from_bits(0x0102), instance: Instance([0xFF; 16]) };
    const NEWER: Stamp = Stamp { clock: LogicalTime::from_bits(0x0200), instance: Instance([0; 16]) };

    #[test]
    fn stamps_are_ordered_by_clock_then_instance_as_are_their_bytes() {
        let same_clock = Stamp { instance: Instance([1; 16]), ..NEWER };
        assert!(OLDER < NEWER && NEWER < same_clock);
        assert!(OLDER.to_bytes() < NEWER.to_bytes() && NEWER.to_bytes() < same_clock.to_bytes());
        assert_eq!(Stamp::from_bytes(&OLDER.to_bytes()), Some(OLDER));
        assert_eq!(Stamp::from_bytes(&OLDER.to_bytes()[1..]), None);
        assert_eq!(Stamp::from_bytes(&[0; Stamp::LEN + 1]), None);
        let clock = LogicalTime::from_bits(1_700_000_000_000 << 16 | 0xFFFF);
        assert_eq!(Stamp { clock, ..NEWER }.millis(), 1_700_000_000_000);
    }

    #[test]
    fn a_bare_meta_is_written_and_read_as_any_other() {
        let meta = Meta { stamp: Some(OLDER), ..Meta::default() };
        let (mut bare, mut any) = (Vec::new(), Vec::new());
        meta.encode(&mut bare);
        meta.encode_any(&mut any);
        assert_eq!(bare, any);
        for len in 0..=bare.len() {
            assert_eq!(Meta::decode(&bare[..len]), Meta::decode_any(&bare[..len]), "{len} bytes");
        }
        bare.push(0xC0);
        assert_eq!(Meta::decode(&bare), Meta::decode_any(&bare));
        for at in 0..bare.len() {
            for byte in 0..=0xFF {
                let bytes = [&bare[..at], &[byte], &bare[at + 1..]].concat();
                assert_eq!(Meta::decode(&bytes), Meta::decode_any(&bytes), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn an_empty_meta_is_one_byte() {
        let mut out = Vec::new();
        Meta::default().encode(&mut out);
        assert_eq!(out, [0x80]);
        assert_eq!(Meta::decode(&out), Ok((Meta::default(), 1)));
    }

    #[test]
    fn a_stamp_is_put_where_none_was() {
        let mut expected = Vec::new();
        Meta { stamp: Some(NEWER), ..Meta::default() }.encode(&mut expected);
        // The raw meta of an old body, an empty one, and bytes that are none.
        for raw in [&[][..], &[0x80], &[0xC0], &[0x81, 0x00]] {
            let mut out = Vec::new();
            with_stamp(raw, NEWER, &mut out);
            assert_eq!(out, expected, "{raw:02x?}");
        }
    }

    #[test]
    fn flags_are_put_beside_all_other_keys() {
        let mut raw = Vec::new();
        let meta = Meta { stamp: Some(NEWER), sequence: Some(7), ..Meta::default() };
        meta.encode(&mut raw);
        let mut out = Vec::new();
        with_flags(&raw, Meta::RETAINED, &mut out);
        let flagged = Meta { flags: Meta::RETAINED, ..meta };
        assert_eq!(Meta::decode(&out), Ok((flagged, raw.len() + 2)));
        // In the place of others.
        let mut again = Vec::new();
        with_flags(&out, Meta::CLEAR, &mut again);
        assert_eq!(Meta::decode(&again).map(|(meta, len)| (meta.flags, len)), Ok((Meta::CLEAR, out.len())));
        let mut none = Vec::new();
        with_flags(&again, 0, &mut none);
        assert_eq!(Meta::decode(&none), Ok((meta, raw.len())));
    }

    #[test]
    fn a_lifetime_is_put_replaced_and_taken_out_beside_all_other_keys() {
        let meta = Meta { stamp: Some(NEWER), flags: Meta::RETAINED, lifetime: Some(70_000), ..Meta::default() };
        let (mut raw, mut out) = (Vec::new(), Vec::new());
        meta.encode(&mut raw);
        assert_eq!(Meta::decode(&raw), Ok((meta, raw.len())));
        with_lifetime(&raw, Some(3), &mut out);
        assert_eq!(Meta::decode(&out), Ok((Meta { lifetime: Some(3), ..meta }, out.len())));
        let mut bare = Vec::new();
        with_lifetime(&out, None, &mut bare);
        assert_eq!(Meta::decode(&bare), Ok((Meta { lifetime: None, ..meta }, bare.len())));
        assert_eq!(bare.len(), out.len() - 2);
    }

    #[test]
    fn what_is_not_announced_is_refused() {
        let meta = Meta { stamp: Some(NEWER), lifetime: Some(1), ..Meta::default() };
        assert_eq!(meta.check_features(Features::LIFETIME, 0), Ok(()));
        assert_eq!(meta.check_features(Features::CLEAR, 0), Err(Malformed::Feature));
        let retained = Meta { flags: Meta::RETAINED, ..Meta::default() };
        assert_eq!(retained.check_features(Features::ALL, Meta::RETAINED), Ok(()));
        assert_eq!(retained.check_features(Features::ALL, 0), Err(Malformed::Feature));
    }

    #[test]
    fn the_stamp_of_an_expiry_is_between_the_value_and_every_later_one() {
        let later =
            Stamp { clock: NEWER.clock.succ(), instance: Instance([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) };
        assert!(NEWER < NEWER.expired() && NEWER.expired() < later);
    }

    #[test]
    fn a_meta_of_15_keys_gets_a_sixteenth() {
        let mut raw = vec![0x8F];
        (10..25).for_each(|key| raw.extend([key, 0xC0]));
        let mut out = Vec::new();
        with_stamp(&raw, NEWER, &mut out);
        assert_eq!(out[..3], [0xDE, 0, 16]);
        assert!(out.ends_with(&raw[1..]));
        assert_eq!(Meta::decode(&out).map(|(meta, len)| (meta.stamp, len)), Ok((Some(NEWER), out.len())));
    }
}
