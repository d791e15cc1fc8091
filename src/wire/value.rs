//! One MessagePack value: its kind, its checks, and the readers of its top level.

use rmp::encode as put;

use super::body::str_head_len;
use super::time::Time;
use super::token::{integer, Token, ValueReader};
use super::Malformed;
use crate::numbered::numbered;

numbered! {
    /// What a value is. The wire alone decides it; the numbers are those of the C API and never change.
    pub enum Kind {
        /// str: text in UTF-8.
        Text = 1, "text";
        /// bin: bytes.
        Bytes = 2, "bytes";
        /// nil.
        Nil = 3, "nil";
        /// A truth value.
        Bool = 4, "bool";
        /// An integer that fits [`i64`], in whatever form it was sent.
        Int = 5, "int";
        /// An integer above [`i64::MAX`].
        Uint = 6, "uint";
        /// A float of 32 or 64 bits.
        Double = 7, "double";
        /// An array.
        Array = 8, "array";
        /// A map.
        Map = 9, "map";
        /// An extension: a type number and bytes.
        Ext = 10, "ext";
        /// No value any more: the app has withdrawn the one that it sent.
        Cleared = 11, "cleared";
    }
}

/// The accept mask that has every kind.
pub const ACCEPT_ANY: u32 = u32::MAX;

impl Kind {
    /// The number of the C API.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The kinds of values: all but [`Kind::Cleared`].
    pub const VALUES: &'static [Kind] = Kind::ALL.split_at(Kind::ALL.len() - 1).0;

    /// The kind's bit in an accept mask. [`Kind::Cleared`] has none: whoever takes the kind that was cleared is told.
    pub const fn mask(self) -> u32 {
        (1 << self as i32) & !(1 << Kind::Cleared as i32)
    }

    /// The kind that was cleared, as a tombstone's data says it; `None` if it does not say it.
    ///
    /// # Errors
    /// [`Malformed::Clear`]: it is neither the number of a kind of values nor nil.
    pub(crate) fn cleared(data: &[u8]) -> Result<Option<Kind>, Malformed> {
        match ValueReader::new(data).token() {
            Ok(Token::Nil) => Ok(None),
            Ok(Token::Int(code)) => {
                let kind = i32::try_from(code).ok().and_then(Kind::from_code);
                kind.filter(|&kind| kind != Kind::Cleared).map(Some).ok_or(Malformed::Clear)
            }
            _ => Err(Malformed::Clear),
        }
    }

    /// The bits of an accept mask of which one is enough for a value of this kind, with this data. Where the kind that was
    /// cleared is not known, any is.
    #[inline]
    pub fn accepted_by(self, data: &[u8]) -> u32 {
        match self {
            Kind::Cleared => Kind::cleared(data).ok().flatten().map_or(ACCEPT_ANY, Kind::mask),
            kind => kind.mask(),
        }
    }

    /// Whether old peers accept it. They crash on everything but text and bytes.
    pub const fn is_plain(self) -> bool {
        matches!(self, Kind::Text | Kind::Bytes)
    }
}

/// One value to send, borrowed from its owner.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value<'a> {
    /// Text, sent as str.
    Text(&'a str),
    /// Bytes, sent as bin.
    Bytes(&'a [u8]),
    /// nil.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer, sent in its shortest form.
    Int(i64),
    /// An integer, sent as [`Value::Int`] is where it fits.
    Uint(u64),
    /// A float, sent with 64 bits.
    Double(f64),
    /// An extension: its type, and its bytes.
    Ext(i8, &'a [u8]),
    /// A time, sent as the extension that MessagePack has for it: [`Kind::Ext`] for receivers.
    Time(Time),
    /// One value that is MessagePack already. [`Value::kind`] checks it, [`Value::encode`] does not.
    Msgpack(&'a [u8]),
}

impl Value<'_> {
    /// Appends the value as MessagePack.
    ///
    /// Text and bytes must be within the message limit, which is below MessagePack's own of 4 GiB.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Value::Text(text) => put_str(out, text),
            Value::Bytes(bytes) => put_bin(out, bytes),
            Value::Nil => infallible(put::write_nil(out)),
            Value::Bool(value) => infallible(put::write_bool(out, value)),
            Value::Int(value) => put_int(out, value),
            Value::Uint(value) => put_uint(out, value),
            Value::Double(value) => infallible(put::write_f64(out, value)),
            Value::Ext(number, bytes) => put_ext(out, number, bytes),
            Value::Time(time) => {
                let (number, bytes, len) = time.to_ext();
                put_ext(out, number, &bytes[..len]);
            }
            Value::Msgpack(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// As [`Value::encode`], but what this returns is not appended: the bytes of a text and of their like.
    pub fn encode_start(&self, out: &mut Vec<u8>) -> &[u8] {
        match *self {
            Value::Text(text) => {
                infallible(put::write_str_len(out, len_of(text.as_bytes())));
                text.as_bytes()
            }
            Value::Bytes(bytes) => {
                infallible(put::write_bin_len(out, len_of(bytes)));
                bytes
            }
            Value::Ext(number, bytes) => {
                infallible(put::write_ext_meta(out, len_of(bytes), number));
                bytes
            }
            Value::Msgpack(bytes) => bytes,
            _ => {
                self.encode(out);
                &[]
            }
        }
    }

    /// How much [`Value::encode`] appends, so that a limit can be checked before anything is copied; of an extension or a
    /// time an upper bound, at most 9 bytes too high.
    #[inline]
    pub fn max_encoded_len(&self) -> usize {
        match *self {
            Value::Text(text) => text.len().saturating_add(str_head_len(text.len())),
            Value::Bytes(bytes) => bytes.len().saturating_add(bin_head_len(bytes.len())),
            Value::Ext(_, bytes) => bytes.len().saturating_add(6),
            Value::Msgpack(bytes) => bytes.len(),
            Value::Time(_) => 15,
            Value::Nil | Value::Bool(_) => 1,
            Value::Int(value) => match u64::try_from(value) {
                Ok(value) => uint_len(value),
                // As long as the positive number with as many bits, but that five bits and the sign are in the head.
                Err(_) if value >= -32 => 1,
                Err(_) => uint_len((!(value as u64) << 1).max(0x80)),
            },
            Value::Uint(value) => uint_len(value),
            Value::Double(_) => 9,
        }
    }

    /// The kind that a receiver sees.
    ///
    /// # Errors
    /// A [`Value::Msgpack`] that [`check`] refuses.
    pub fn kind(&self) -> Result<Kind, Malformed> {
        Ok(match *self {
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::Nil => Kind::Nil,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Uint(value) => integer(value).kind(),
            Value::Double(_) => Kind::Double,
            Value::Ext(..) | Value::Time(_) => Kind::Ext,
            Value::Msgpack(bytes) => return check(bytes),
        })
    }
}

/// A number, as it was sent. An integer that fits [`i64`] is always [`Number::Int`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// An integer that fits.
    Int(i64),
    /// An integer above [`i64::MAX`].
    Uint(u64),
    /// A float; one of 32 bits widened.
    Double(f64),
}

impl Number {
    /// The number as an [`i64`], if that holds it exactly.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Number::Int(value) => Some(value),
            Number::Uint(_) => None,
            Number::Double(value) => {
                // -2^63 and 2^63 are exact as doubles, i64::MAX is not.
                let fits = value.trunc() == value && value >= i64::MIN as f64 && value < -(i64::MIN as f64);
                fits.then_some(value as i64)
            }
        }
    }

    /// The number as a [`u64`], if that holds it exactly.
    pub fn as_uint(self) -> Option<u64> {
        match self {
            Number::Int(value) => u64::try_from(value).ok(),
            Number::Uint(value) => Some(value),
            Number::Double(value) => {
                // 2^64, which is exact as a double; u64::MAX is not.
                let fits = value.trunc() == value && value >= 0.0 && value < -2.0 * i64::MIN as f64;
                fits.then_some(value as u64)
            }
        }
    }

    /// The number as an [`f64`], if that holds it exactly. A NaN stays one.
    pub fn as_double(self) -> Option<f64> {
        // Compared in 128 bits: a cast back to 64 would saturate at the ends and call them equal.
        match self {
            Number::Int(value) => (value as f64 as i128 == i128::from(value)).then_some(value as f64),
            Number::Uint(value) => (value as f64 as i128 == i128::from(value)).then_some(value as f64),
            Number::Double(value) => Some(value),
        }
    }
}

/// Checks that `bytes` is exactly one well-formed value and tells its kind: nesting within
/// [`MAX_DEPTH`](crate::limits::MAX_DEPTH), every str valid UTF-8, no reserved byte, nothing behind it.
///
/// # Errors
/// The first fault in the order of the bytes.
pub fn check(bytes: &[u8]) -> Result<Kind, Malformed> {
    let (kind, len) = skip(bytes)?;
    if len < bytes.len() {
        return Err(Malformed::Trailing);
    }
    Ok(kind)
}

/// The kind and the length of the first value in `bytes`, checked as [`check`] does; anything may follow it.
///
/// # Errors
/// The first fault in the order of the bytes.
pub fn skip(bytes: &[u8]) -> Result<(Kind, usize), Malformed> {
    let mut reader = ValueReader::new(bytes);
    let kind = reader.value()?;
    Ok((kind, bytes.len() - reader.rest().len()))
}

/// The text of a checked value, if it is text.
pub fn text(value: &[u8]) -> Option<&str> {
    match ValueReader::new(value).token() {
        Ok(Token::Str(text)) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The bytes of a checked value, if it is bytes.
pub fn bytes(value: &[u8]) -> Option<&[u8]> {
    match ValueReader::new(value).token() {
        Ok(Token::Bin(bytes)) => Some(bytes),
        _ => None,
    }
}

/// The truth value of a checked value, if it is one.
pub fn bool_(value: &[u8]) -> Option<bool> {
    match ValueReader::new(value).token() {
        Ok(Token::Bool(value)) => Some(value),
        _ => None,
    }
}

/// The number of a checked value, if it is an integer or a float.
pub fn number(value: &[u8]) -> Option<Number> {
    match ValueReader::new(value).token() {
        Ok(Token::Int(value)) => Some(Number::Int(value)),
        Ok(Token::Uint(value)) => Some(Number::Uint(value)),
        Ok(Token::Double(value)) => Some(Number::Double(value)),
        _ => None,
    }
}

/// Type number and bytes of a checked value, if it is an extension.
pub fn ext(value: &[u8]) -> Option<(i8, &[u8])> {
    match ValueReader::new(value).token() {
        Ok(Token::Ext(number, bytes)) => Some((number, bytes)),
        _ => None,
    }
}

/// Where in a checked value the text, the bytes or the extension's bytes begin; they reach to its end.
pub fn payload(value: &[u8]) -> Option<usize> {
    match ValueReader::new(value).token() {
        Ok(Token::Str(bytes) | Token::Bin(bytes) | Token::Ext(_, bytes)) => Some(value.len() - bytes.len()),
        _ => None,
    }
}

/// The length of the shortest head of a bin of `len` bytes, which is the one that is written.
const fn bin_head_len(len: usize) -> usize {
    match len {
        0..=0xFF => 2,
        0x100..=0xFFFF => 3,
        _ => 5,
    }
}

/// The length of an integer in its shortest form.
const fn uint_len(value: u64) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0xFF => 2,
        0x100..=0xFFFF => 3,
        0x1_0000..=0xFFFF_FFFF => 5,
        _ => 9,
    }
}

/// Takes the result of a write to a [`Vec`], which cannot fail.
#[inline]
pub(super) fn infallible<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok());
}

// The shortest heads, which nearly all bodies consist of, are written here: `rmp` makes several calls for each. The tests
// compare them with what it writes.

/// Appends a str.
#[inline]
pub(super) fn put_str(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..=31 => {
            out.push(0xA0 | len as u8);
            out.extend_from_slice(text.as_bytes());
        }
        _ => infallible(put::write_str(out, text)),
    }
}

/// Appends a bin.
#[inline]
pub(super) fn put_bin(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..=0xFF => {
            out.extend_from_slice(&[0xC4, len as u8]);
            out.extend_from_slice(bytes);
        }
        _ => infallible(put::write_bin(out, bytes)),
    }
}

/// Appends nil.
pub(super) fn put_nil(out: &mut Vec<u8>) {
    infallible(put::write_nil(out));
}

/// Appends an integer in its shortest form.
#[inline]
pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    infallible(put::write_sint(out, value));
}

/// Appends an integer in its shortest form.
#[inline]
pub(super) fn put_uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7F => out.push(value as u8),
        _ => infallible(put::write_uint(out, value)),
    }
}

/// Their number, which is below the message limit, as that of all values.
fn len_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Appends an extension.
pub(super) fn put_ext(out: &mut Vec<u8>, number: i8, bytes: &[u8]) {
    infallible(put::write_ext_meta(out, len_of(bytes), number));
    out.extend_from_slice(bytes);
}

/// Appends the head of an array.
#[inline]
pub(super) fn put_array(out: &mut Vec<u8>, count: u32) {
    infallible(put::write_array_len(out, count));
}

/// Appends the head of a map.
#[inline]
pub(super) fn put_map(out: &mut Vec<u8>, pairs: u32) {
    match pairs {
        0..=15 => out.push(0x80 | pairs as u8),
        _ => infallible(put::write_map_len(out, pairs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }

    #[test]
    fn heads_are_the_shortest_as_rmp_writes_them() {
        fn both<T: Copy>(value: T, ours: fn(&mut Vec<u8>, T), theirs: fn(&mut Vec<u8>, T)) {
            let (mut a, mut b) = (vec![1], vec![1]);
            ours(&mut a, value);
            theirs(&mut b, value);
            assert_eq!(a, b);
        }
        let text = "x".repeat(70_000);
        for len in [0, 1, 31, 32, 255, 256, 65_535, 65_536] {
            both(&text[..len], put_str, |out, text| infallible(put::write_str(out, text)));
            both(&text.as_bytes()[..len], put_bin, |out, bytes| infallible(put::write_bin(out, bytes)));
            both(len as u32, put_map, |out, pairs| infallible(put::write_map_len(out, pairs)));
        }
        for value in (0..70_000).chain([u64::from(u32::MAX), 1 << 32, u64::MAX]) {
            both(value, put_uint, |out, value| infallible(put::write_uint(out, value)));
        }
        for pairs in 0..20 {
            both(pairs, put_map, |out, pairs| infallible(put::write_map_len(out, pairs)));
        }
    }

    #[test]
    fn the_numbers_of_the_kinds_are_those_of_the_c_api() {
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind.code(), i as i32 + 1);
            assert_eq!(Kind::from_code(kind.code()), Some(*kind));
            assert_eq!(kind.mask(), if *kind == Kind::Cleared { 0 } else { 1 << (i + 1) });
            assert_eq!(kind.mask() & ACCEPT_ANY, kind.mask());
            assert_eq!(Kind::VALUES.contains(kind), *kind != Kind::Cleared);
            assert_eq!(kind.is_plain(), matches!(kind.name(), "text" | "bytes"));
        }
        assert_eq!(Kind::from_code(0), None);
        assert_eq!(Kind::from_code(Kind::ALL.len() as i32 + 1), None);
    }

    #[test]
    fn a_value_is_of_the_kind_it_says_and_no_longer_than_it_says() {
        let long = "x".repeat(70_000);
        let mut msgpack = Vec::new();
        Value::Bytes(long.as_bytes()).encode(&mut msgpack);
        let values = [
            Value::Text(""),
            Value::Text(&long[..31]),
            Value::Text(&long[..255]),
            Value::Text(&long),
            Value::Bytes(&[]),
            Value::Bytes(long.as_bytes()),
            Value::Nil,
            Value::Bool(true),
            Value::Int(i64::MIN),
            Value::Int(0),
            Value::Uint(i64::MAX as u64),
            Value::Uint(i64::MAX as u64 + 1),
            Value::Uint(u64::MAX),
            Value::Double(0.5),
            Value::Msgpack(&msgpack),
        ];
        for value in values {
            let bytes = encoded(value);
            assert_eq!(check(&bytes), value.kind());
            assert!(value.kind().is_ok());
            assert_eq!(value.max_encoded_len(), bytes.len(), "{:?}", value.kind());
        }
        for len in (0..20).chain([255, 256, 65_535, 65_536]) {
            let value = Value::Ext(1, &long.as_bytes()[..len]);
            assert!((0..=9).contains(&(value.max_encoded_len() as isize - encoded(value).len() as isize)));
        }
        for value in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]) {
            for value in [Value::Uint(value), Value::Int(value as i64), Value::Int((value as i64).wrapping_neg())] {
                assert_eq!(value.max_encoded_len(), encoded(value).len(), "{value:?}");
            }
        }
        assert_eq!(Value::Msgpack(&[0xC1]).kind(), Err(Malformed::Reserved));
    }

    #[test]
    fn integers_take_their_shortest_form_from_either_side() {
        for (value, len) in [(0, 1), (127, 1), (128, 2), (256, 3), (65_536, 5), (1 << 32, 9), (i64::MAX, 9)] {
            assert_eq!(encoded(Value::Int(value)).len(), len);
            assert_eq!(encoded(Value::Int(value)), encoded(Value::Uint(value as u64)));
        }
        for (value, len) in [(-1, 1), (-32, 1), (-33, 2), (-129, 3), (-32_769, 5), (i64::MIN, 9)] {
            assert_eq!(encoded(Value::Int(value)).len(), len);
        }
    }

    #[test]
    fn a_reader_takes_its_own_kind_only() {
        let text_value = encoded(Value::Text("abc"));
        let bytes_value = encoded(Value::Bytes(b"abc"));
        let ext_value = [0xC7, 3, 0xFE, b'a', b'b', b'c'];
        assert_eq!((text(&text_value), bytes(&text_value), payload(&text_value)), (Some("abc"), None, Some(1)));
        assert_eq!(
            (text(&bytes_value), bytes(&bytes_value), payload(&bytes_value)),
            (None, Some(&b"abc"[..]), Some(2))
        );
        assert_eq!((ext(&ext_value), payload(&ext_value)), (Some((-2, &b"abc"[..])), Some(3)));
        assert_eq!((bool_(&[0xC3]), bool_(&[0xC2]), bool_(&[0x01])), (Some(true), Some(false), None));
        assert_eq!((number(&[0xC3]), number(&[0xC0]), number(&text_value)), (None, None, None));
        assert_eq!((payload(&[0x01]), ext(&bytes_value)), (None, None));
    }

    #[test]
    fn a_number_is_given_where_it_is_held_exactly() {
        const TWO_63: f64 = 9_223_372_036_854_775_808.0;
        const TWO_53: i64 = 1 << 53;
        let ints = [
            (Number::Int(-5), Some(-5)),
            (Number::Uint(1 << 63), None),
            (Number::Double(20.0), Some(20)),
            (Number::Double(-0.0), Some(0)),
            (Number::Double(20.5), None),
            (Number::Double(-TWO_63), Some(i64::MIN)),
            (Number::Double(TWO_63), None),
            (Number::Double(f64::NAN), None),
            (Number::Double(f64::NEG_INFINITY), None),
        ];
        for (number, int) in ints {
            assert_eq!(number.as_int(), int, "{number:?}");
        }
        let uints = [
            (Number::Int(5), Some(5)),
            (Number::Int(-5), None),
            (Number::Uint(u64::MAX), Some(u64::MAX)),
            (Number::Double(TWO_63), Some(1 << 63)),
            (Number::Double(2.0 * TWO_63), None),
            (Number::Double(-1.0), None),
            (Number::Double(0.1), None),
            (Number::Double(f64::INFINITY), None),
        ];
        for (number, uint) in uints {
            assert_eq!(number.as_uint(), uint, "{number:?}");
        }
        let doubles = [
            (Number::Int(20), Some(20.0)),
            (Number::Int(TWO_53), Some(TWO_53 as f64)),
            (Number::Int(TWO_53 + 1), None),
            (Number::Int(-TWO_53 - 1), None),
            (Number::Int(i64::MIN), Some(-TWO_63)),
            (Number::Int(i64::MAX), None),
            (Number::Uint(1 << 63), Some(TWO_63)),
            (Number::Uint(u64::MAX), None),
            (Number::Double(0.1), Some(0.1)),
        ];
        for (number, double) in doubles {
            assert_eq!(number.as_double(), double, "{number:?}");
        }
        assert!(Number::Double(f64::NAN).as_double().is_some_and(f64::is_nan));
    }

    #[test]
    fn wide_and_deep_values_are_gone_over_without_a_stack_of_calls() {
        let mut wide = vec![0xDD, 0x00, 0x10, 0x00, 0x00];
        wide.extend(std::iter::repeat_n(0x90, 1 << 20));
        assert_eq!(check(&wide), Ok(Kind::Array));
        assert_eq!(check(&vec![0x91; 1 << 20]), Err(Malformed::Depth));
    }
}
