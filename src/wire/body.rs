//! A message body: `[sender, name, data]`, on v1 links `[sender, name, data, meta]`.

use super::token::{StringType, Token, ValueReader};
use super::value::put_str;
use super::{Kind, Meta, Value, HUB_SENDER};
use crate::limits::{MAX_NAME, MAX_SENDER};
use crate::memory::{Bytes, NoMemory};
use crate::visible::Quoted;
use crate::{Error, Result, Status};

/// The prefix of names between an app and its hub. Such bodies are never forwarded.
pub const RESERVED: &str = "$ns/";

/// The form of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Three elements, as since 2015.
    Old,
    /// Four elements: a v1 link.
    V1,
}

impl Form {
    /// The number of elements.
    pub const fn elements(self) -> u8 {
        match self {
            Form::Old => 3,
            Form::V1 => 4,
        }
    }

    /// The first byte of a canonical body: the head of an array of so many.
    pub const fn head(self) -> u8 {
        0x90 | self.elements()
    }
}

/// Declares [`Malformed`] once: variant, stable identifier, text.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $text:literal;)*) => {
        /// Why bytes are not a body, or not a value.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
        pub enum Malformed { $($(#[$doc])* #[error($text)] $variant,)* }

        impl Malformed {
            /// Every reason, in the order of its index.
            pub const ALL: &'static [Malformed] = &[$(Malformed::$variant,)*];

            /// The identifier, one word that never changes.
            pub const fn id(self) -> &'static str {
                match self { $(Malformed::$variant => $id,)* }
            }

            /// The reason in words.
            pub const fn text(self) -> &'static str {
                match self { $(Malformed::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    /// There are no bytes.
    Empty = "empty", "the message is empty";
    /// It does not begin with an array.
    NotArray = "not-array", "the message is not an array";
    /// The array does not have as many elements as bodies on this link.
    WrongCount = "wrong-count", "the array has the wrong number of elements";
    /// The sender is of another type or length, or has a NUL.
    Sender = "sender", "the sender is not a str of 1 to 255 bytes without NUL";
    /// The name is of another type or length, or has a NUL.
    Name = "name", "the name is not a str of 1 to 1024 bytes without NUL";
    /// A str, at any depth.
    Utf8 = "utf8", "a str is not valid UTF-8";
    /// The bytes end inside a value.
    Truncated = "truncated", "the bytes end inside a value";
    /// Something follows the end.
    Trailing = "trailing", "bytes follow the array";
    /// Nested beyond [`crate::limits::MAX_DEPTH`].
    Depth = "depth", "nested too deeply";
    /// The byte that MessagePack never uses.
    Reserved = "reserved", "the reserved byte C1";
    /// The fourth element.
    Meta = "meta", "the meta element is not a map of the known form";
    /// The data of a `$ns/` message.
    Control = "control", "the data of a $ns/ message is malformed";
    /// A flag, a request or a target that neither side announced.
    Feature = "feature", "it uses a feature that was not announced";
    /// A text message of a WebSocket.
    Text = "text", "a text message of a WebSocket, not a binary one";
    /// The data of a value that is cleared.
    Clear = "clear", "the data of a value that is cleared is neither the number of a kind nor nil";
}

impl Malformed {
    /// How many reasons there are.
    pub const COUNT: usize = Malformed::ALL.len();

    /// Its place in [`Malformed::ALL`], for counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        let status = match malformed {
            Malformed::Utf8 => Status::Utf8,
            _ => Status::Msgpack,
        };
        Error::new(status, format!("{}: {}", Status::Msgpack.text(), malformed.text()))
    }
}

/// A body that was checked, borrowed from the bytes it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Body<'a> {
    sender: &'a [u8],
    name: &'a [u8],
    /// The value, as MessagePack.
    pub data: &'a [u8],
    /// What `data` is; [`Kind::Cleared`] with [`Meta::CLEAR`], when `data` is the number of the kind that was cleared, or
    /// nil.
    pub kind: Kind,
    /// The known keys of `raw_meta`; empty in an old body.
    pub meta: Meta<'a>,
    /// The fourth element, as MessagePack; empty in an old body.
    pub raw_meta: &'a [u8],
    /// Where in the bytes `raw_meta` begins; the end of an old body.
    pub meta_at: usize,
    /// Whether array head, sender and name are as [`encode`] writes them, so that the bytes can be forwarded as they
    /// are. Then `93` and the bytes from 1 to `meta_at` are the body's old form.
    pub canonical: bool,
}

impl<'a> Body<'a> {
    /// The identity that published it; 1 to 255 bytes without NUL. What only compares or copies it, as on the way of a
    /// state, takes [`Body::sender_bytes`]: a `str` costs another check.
    pub fn sender(&self) -> &'a str {
        std::str::from_utf8(self.sender).unwrap_or_default()
    }

    /// Its name; 1 to 1024 bytes without NUL. For its cost see [`Body::sender`].
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.name).unwrap_or_default()
    }

    /// The bytes of [`Body::sender`].
    #[inline]
    pub fn sender_bytes(&self) -> &'a [u8] {
        self.sender
    }

    /// The bytes of [`Body::name`].
    #[inline]
    pub fn name_bytes(&self) -> &'a [u8] {
        self.name
    }

    /// The bits of an accept mask of which one is enough for it.
    #[inline]
    pub fn accepted_by(&self) -> u32 {
        self.kind.accepted_by(self.data)
    }

    /// Whether it is a message between an app and its hub.
    pub fn is_reserved(&self) -> bool {
        self.name.starts_with(RESERVED.as_bytes())
    }
}

/// Checks a body and finds its parts. In an old body sender and name may be bin, if that is valid UTF-8.
///
/// # Errors
/// The first fault in the order of the bytes.
#[inline]
pub fn decode(bytes: &[u8], form: Form) -> Result<Body<'_>, Malformed> {
    let mut reader = ValueReader::new(bytes);
    let short_head = array_head(bytes, &mut reader, form)?;
    let (sender, sender_canonical) = key(&mut reader, form, MAX_SENDER, Malformed::Sender)?;
    let (name, name_canonical) = key(&mut reader, form, MAX_NAME, Malformed::Name)?;
    let rest = reader.rest();
    let kind = reader.value()?;
    let data = &rest[..rest.len() - reader.rest().len()];
    let rest = reader.rest();
    let (meta, meta_len) = match form {
        Form::Old => (Meta::default(), 0),
        Form::V1 => Meta::decode(rest)?,
    };
    if meta_len < rest.len() {
        return Err(Malformed::Trailing);
    }
    let kind = if meta.flags & Meta::CLEAR == 0 { kind } else { Kind::cleared(data).map(|_| Kind::Cleared)? };
    Ok(Body {
        sender,
        name,
        data,
        kind,
        meta,
        raw_meta: rest,
        meta_at: bytes.len() - rest.len(),
        canonical: short_head && sender_canonical && name_canonical,
    })
}

/// Sender and name of a body that begins with these bytes, if they are valid. Nothing after them is looked at.
pub fn decode_start(bytes: &[u8], form: Form) -> Option<(&str, &str)> {
    let mut reader = ValueReader::new(bytes);
    array_head(bytes, &mut reader, form).ok()?;
    let (sender, _) = key(&mut reader, form, MAX_SENDER, Malformed::Sender).ok()?;
    let (name, _) = key(&mut reader, form, MAX_NAME, Malformed::Name).ok()?;
    Some((std::str::from_utf8(sender).ok()?, std::str::from_utf8(name).ok()?))
}

/// Reads the head of the outer array. True if it is the one byte that [`encode`] writes.
#[inline(always)]
fn array_head(bytes: &[u8], reader: &mut ValueReader, form: Form) -> Result<bool, Malformed> {
    match bytes.first() {
        None => return Err(Malformed::Empty),
        Some(&first) if first == form.head() => {
            reader.take(1)?;
            return Ok(true);
        }
        Some(_) => {}
    }
    match reader.token()? {
        Token::Array(count) if count == u32::from(form.elements()) => Ok(false),
        Token::Array(_) => Err(Malformed::WrongCount),
        _ => Err(Malformed::NotArray),
    }
}

/// A sender or name, and whether it has the form that [`encode`] writes.
#[inline(always)]
fn key<'a>(
    reader: &mut ValueReader<'a>,
    form: Form,
    max: usize,
    fault: Malformed,
) -> Result<(&'a [u8], bool), Malformed> {
    // As nearly all: of 1 to 31 bytes behind a head of one.
    if let Some((&head @ 0xA1..=0xBF, rest)) = reader.rest().split_first() {
        if let Some(bytes) = rest.get(..usize::from(head & 0x1F)).filter(|bytes| is_plain(bytes)) {
            reader.take(1 + bytes.len())?;
            return Ok((bytes, true));
        }
    }
    any_key(reader, form, max, fault)
}

/// The same of any.
fn any_key<'a>(
    reader: &mut ValueReader<'a>,
    form: Form,
    max: usize,
    fault: Malformed,
) -> Result<(&'a [u8], bool), Malformed> {
    let before = reader.rest().len();
    let (string, len) = reader.string_head()?.ok_or(fault)?;
    let head_len = before - reader.rest().len();
    if len == 0 || len > max || (string == StringType::Bin && form == Form::V1) {
        return Err(fault);
    }
    let bytes = reader.take(len)?;
    if !is_plain(bytes) {
        std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8)?;
        if has_nul(bytes) {
            return Err(fault);
        }
    }
    Ok((bytes, string == StringType::Str && head_len == str_head_len(len)))
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether it is ASCII without NUL, as nearly all keys are. Eight bytes at a time, the last eight perhaps twice: keys are too
/// short for the standard library's check to pay off.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    // The borrow of a subtraction sets the top bit of a byte that was zero.
    let plain = |word: u64| (word | word.wrapping_sub(ONES)) & TOPS == 0;
    if let Some(last) = bytes.last_chunk() {
        let mut words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")));
        return plain(u64::from_ne_bytes(*last)) && words.all(plain);
    }
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(&first), Some(&last)) => {
            plain(u64::from(u32::from_ne_bytes(first)) << 32 | u64::from(u32::from_ne_bytes(last)))
        }
        _ => bytes.iter().all(|byte| (0x01..0x80).contains(byte)),
    }
}

/// As [`is_plain`], for the NUL alone.
fn has_nul(bytes: &[u8]) -> bool {
    // The borrow of a subtraction sets the top bit of a byte that was zero, or of one behind it.
    let zero = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        word.wrapping_sub(ONES) & !word & TOPS != 0
    };
    let Some(last) = bytes.last_chunk() else { return bytes.contains(&0) };
    zero(last) || bytes.chunks_exact(8).any(|word| zero(word.try_into().expect("eight bytes")))
}

/// The length of the shortest head of a str of `len` bytes, which is the one that is written.
pub(crate) const fn str_head_len(len: usize) -> usize {
    match len {
        0..=31 => 1,
        32..=0xFF => 2,
        0x100..=0xFFFF => 3,
        _ => 5,
    }
}

/// Appends a body. `data` is one checked value; sender and name are what [`check_identity`] and [`check_name`] accept,
/// or a control name. The old form has no `meta`. Returns the length of `out` where `meta` begins, or would.
pub fn encode(out: &mut Vec<u8>, form: Form, sender: &str, name: &str, data: &[u8], meta: &Meta) -> usize {
    encode_value(out, form, sender, name, Value::Msgpack(data), meta)
}

/// Like [`encode`], with a value that is not encoded yet.
pub fn encode_value(out: &mut Vec<u8>, form: Form, sender: &str, name: &str, value: Value<'_>, meta: &Meta) -> usize {
    encode_head(out, form, sender, name, value);
    let meta_at = out.len();
    if form == Form::V1 {
        meta.encode(out);
    }
    meta_at
}

/// An upper bound of what [`encode_head`] appends, as good as that of [`Value::max_encoded_len`].
pub fn max_head_len(sender: &str, name: &str, value: &Value<'_>) -> usize {
    let heads = 1 + str_head_len(sender.len()) + str_head_len(name.len());
    heads + sender.len() + name.len() + value.max_encoded_len()
}

/// Like [`encode_head`], into an allocation of its own, in which there is room for `more` bytes.
pub fn encode_apart(form: Form, sender: &str, name: &str, value: &Value<'_>, more: usize) -> Result<Bytes, NoMemory> {
    let mut start = vec![form.head()];
    put_str(&mut start, sender);
    put_str(&mut start, name);
    let rest = value.encode_start(&mut start);
    let mut body = Bytes::with_capacity(start.len() + rest.len() + more)?;
    body.extend_from_slice(&start);
    body.extend_from_slice(rest);
    Ok(body)
}

/// Like [`encode_value`], up to where `meta` begins.
pub fn encode_head(out: &mut Vec<u8>, form: Form, sender: &str, name: &str, value: Value<'_>) {
    out.reserve(max_head_len(sender, name, &value));
    out.push(form.head());
    put_str(out, sender);
    put_str(out, name);
    value.encode(out);
}

/// Checks an identity: 1 to 255 bytes without NUL, not [`HUB_SENDER`].
///
/// # Errors
/// [`Status::Identity`], with words that name the value.
pub fn check_identity(identity: &str) -> Result<()> {
    check_key(identity, MAX_SENDER, Status::Identity)?;
    if identity == HUB_SENDER {
        return Err(refusal(Status::Identity, "reserved for the hub", identity));
    }
    Ok(())
}

/// Checks the name of a state: 1 to 1024 bytes without NUL, not beginning with [`RESERVED`].
///
/// # Errors
/// [`Status::Name`], with words that name the value.
pub fn check_name(name: &str) -> Result<()> {
    check_key(name, MAX_NAME, Status::Name)?;
    if name.starts_with(RESERVED) {
        return Err(refusal(Status::Name, &format!("begins with {RESERVED}"), name));
    }
    Ok(())
}

fn check_key(value: &str, max: usize, status: Status) -> Result<()> {
    if value.is_empty() {
        return Err(refusal(status, "empty", value));
    }
    if value.len() > max {
        return Err(refusal(status, &format!("{} bytes, at most {max}", value.len()), value));
    }
    if has_nul(value.as_bytes()) {
        return Err(refusal(status, "contains NUL", value));
    }
    Ok(())
}

fn refusal(status: Status, why: &str, value: &str) -> Error {
    /// As much of a value as an error text shows.
    const SHOWN: usize = 64;
    let more = if value.chars().count() > SHOWN { "…" } else { "" };
    let shown: String = value.chars().take(SHOWN).collect();
    Error::new(status, format!("{}: {}{more}: {why}", status.text(), Quoted(&shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_have_indices_identifiers_and_texts_of_their_own() {
        for (i, reason) in Malformed::ALL.iter().enumerate() {
            assert_eq!(reason.index(), i);
            assert_eq!(reason.to_string(), reason.text());
            let same = |other: &&Malformed| other.id() == reason.id() || other.text() == reason.text();
            assert_eq!(Malformed::ALL.iter().filter(same).count(), 1);
        }
        assert_eq!(Error::from(Malformed::Utf8).status(), Status::Utf8);
        assert_eq!(Error::from(Malformed::Depth).status(), Status::Msgpack);
    }

    #[test]
    fn a_nul_is_found_wherever_it_stands() {
        for len in 0..40 {
            let mut bytes = vec![0x01; len];
            bytes.iter_mut().step_by(3).for_each(|byte| *byte = 0x80);
            assert!(!has_nul(&bytes));
            for at in 0..len {
                let before = std::mem::replace(&mut bytes[at], 0);
                assert!(has_nul(&bytes), "at {at} of {len}");
                bytes[at] = before;
            }
        }
    }

    #[test]
    fn a_body_that_is_encoded_apart_is_the_one_that_is_appended_and_has_room_for_more() {
        let text = "x".repeat(600_000);
        let values = [0, 31, 32, 255, 256, 65_535, 65_536, 600_000].into_iter().flat_map(|len| {
            let (text, bytes) = (&text[..len], &text.as_bytes()[..len]);
            [Value::Text(text), Value::Bytes(bytes), Value::Ext(7, bytes), Value::Msgpack(bytes)]
        });
        let others = [Value::Nil, Value::Bool(true), Value::Int(-3), Value::Uint(u64::MAX), Value::Double(0.5)];
        let times = [Value::Time(super::super::Time::from_millis(1))];
        for value in values.chain(others).chain(times) {
            for form in [Form::Old, Form::V1] {
                let mut appended = Vec::new();
                encode_head(&mut appended, form, "sender", &"n".repeat(300), value);
                let apart = encode_apart(form, "sender", &"n".repeat(300), &value, 50).expect("memory");
                assert!(apart[..] == appended[..], "{:?} of {} bytes", value.kind(), appended.len());
                assert!(apart.capacity() >= apart.len() + 50);
            }
        }
    }

    #[test]
    fn a_short_key_is_read_as_any_other() {
        for len in 0..40 {
            let mut bytes = Vec::new();
            put_str(&mut bytes, &"x".repeat(len));
            for at in 0..bytes.len() {
                for byte in 0..=0xFF {
                    let key_bytes = [&bytes[..at], &[byte], &bytes[at + 1..]].concat();
                    for (form, end) in [(Form::Old, len), (Form::V1, key_bytes.len())] {
                        let mut readers = [ValueReader::new(&key_bytes[..end]), ValueReader::new(&key_bytes[..end])];
                        let [one, other] = &mut readers;
                        let read = key(one, form, MAX_SENDER, Malformed::Sender);
                        assert_eq!(read, any_key(other, form, MAX_SENDER, Malformed::Sender), "{key_bytes:02x?}");
                        assert!(read.is_err() || one.rest() == other.rest());
                    }
                }
            }
        }
    }

    #[test]
    fn keys_are_plain_without_nul_and_without_a_byte_beyond_ascii() {
        for len in 0..40 {
            for around in [0x01, 0x02, 0x7E, 0x7F] {
                let mut bytes = vec![around; len];
                assert!(is_plain(&bytes));
                for at in 0..len {
                    for byte in 0..=0xFF {
                        bytes[at] = byte;
                        assert_eq!(is_plain(&bytes), (0x01..0x80).contains(&byte), "{byte} at {at} of {len}");
                    }
                    bytes[at] = around;
                }
            }
        }
    }

    #[test]
    fn the_old_form_of_a_v1_body_is_a_slice_of_it() {
        let (mut v1, mut old) = (Vec::new(), Vec::new());
        let meta = Meta { sequence: Some(9), ..Meta::default() };
        let (sender, name) = ("s".repeat(255), "n".repeat(1024));
        encode(&mut v1, Form::V1, &sender, &name, &[0xC0], &meta);
        encode(&mut old, Form::Old, &sender, &name, &[0xC0], &meta);
        let body = decode(&v1, Form::V1).expect("valid");
        assert!(body.canonical);
        assert_eq!([&[0x93], &v1[1..body.meta_at]].concat(), old);
        let body = decode(&old, Form::Old).expect("valid");
        assert_eq!((body.meta_at, body.meta), (old.len(), Meta::default()));
    }

    #[test]
    fn a_name_that_is_refused_is_named() {
        let cases = [
            (String::new(), "empty"),
            ("x".repeat(MAX_NAME + 1), "1025 bytes, at most 1024"),
            ("a\0b".to_owned(), r#""a\x00b": contains NUL"#),
            ("$ns/ping".to_owned(), r#""$ns/ping": begins with $ns/"#),
        ];
        for (name, words) in cases {
            let error = check_name(&name).expect_err(words);
            assert_eq!(error.status(), Status::Name);
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.to_string().len() < 200, "a long value is not shown whole: {error}");
        }
        for name in ["x", "$ns", "a/b", "für", &"x".repeat(MAX_NAME)] {
            check_name(name).expect(name);
        }
    }

    #[test]
    fn an_identity_that_is_refused_is_named() {
        for identity in ["", "a\0", HUB_SENDER, &"x".repeat(MAX_SENDER + 1)] {
            assert_eq!(check_identity(identity).map_err(|error| error.status()), Err(Status::Identity));
        }
        check_identity(&"x".repeat(MAX_SENDER)).expect("at the limit");
        check_identity("$ns/x").expect("only names are reserved");
    }
}
