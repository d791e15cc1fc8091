//! A received state.

use std::ffi::CStr;
use std::fmt;
use std::sync::OnceLock;

use triomphe::ThinArc;

use crate::wire::{self, Kind, Number, Stamp};
use crate::{Error, Result, Status};

/// What stands before the bytes of a [`State`], in the same allocation.
pub struct Head {
    stamp: Stamp,
    time: i64,
    kind: Kind,
    sender_len: u8,
    name_len: u16,
    /// Made when first asked for, with a NUL behind it.
    json: OnceLock<Box<[u8]>>,
}

/// A state: who sent it, its name, its value. Immutable; a clone is a reference to the same allocation, which outlives
/// the app that received it. May be used from any thread.
///
/// Its bytes are `sender NUL name NUL value NUL`, so that C can read sender, name and text in place.
#[derive(Clone)]
#[repr(transparent)]
pub struct State(ThinArc<Head, u8>);

impl State {
    /// A state out of a checked body. `time` is in milliseconds since 1970, 0 if unknown.
    pub(crate) fn new(scratch: &mut Vec<u8>, body: &wire::Body<'_>, stamp: Stamp, time: i64) -> State {
        scratch.clear();
        for piece in [body.sender.as_bytes(), body.name.as_bytes(), body.data] {
            scratch.extend_from_slice(piece);
            scratch.push(0);
        }
        let head = Head {
            stamp,
            time,
            kind: body.kind,
            sender_len: body.sender.len() as u8,
            name_len: body.name.len() as u16,
            json: OnceLock::new(),
        };
        State(ThinArc::from_header_and_slice(head, scratch))
    }

    /// For the C layer: the allocation itself.
    #[cfg(feature = "capi")]
    pub(crate) fn into_arc(self) -> ThinArc<Head, u8> {
        self.0
    }

    /// For the C layer: undoes [`State::into_arc`].
    #[cfg(feature = "capi")]
    pub(crate) fn from_arc(arc: ThinArc<Head, u8>) -> State {
        State(arc)
    }

    fn sender_len(&self) -> usize {
        self.0.header.header.sender_len as usize
    }

    fn name_len(&self) -> usize {
        self.0.header.header.name_len as usize
    }

    fn text_at(&self, from: usize, len: usize) -> &str {
        // Checked when the body was decoded.
        std::str::from_utf8(&self.0.slice[from..from + len]).unwrap_or_default()
    }

    /// The identity of the app that published it.
    pub fn sender(&self) -> &str {
        self.text_at(0, self.sender_len())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text_at(self.sender_len() + 1, self.name_len())
    }

    /// The sender with its NUL.
    pub fn sender_c(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.0.slice[..self.sender_len() + 1]).unwrap_or_default()
    }

    /// The name with its NUL.
    pub fn name_c(&self) -> &CStr {
        let from = self.sender_len() + 1;
        CStr::from_bytes_with_nul(&self.0.slice[from..from + self.name_len() + 1]).unwrap_or_default()
    }

    /// When it was published, in milliseconds since 1970; 0 if unknown (it came through an old hub).
    pub fn time(&self) -> i64 {
        self.0.header.header.time
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.0.header.header.kind
    }

    /// What orders it among values of the same name. A value that came through an old hub has the stamp of its arrival.
    pub fn stamp(&self) -> Stamp {
        self.0.header.header.stamp
    }

    /// Its value as MessagePack.
    pub fn msgpack(&self) -> &[u8] {
        let from = self.value_at();
        &self.0.slice[from..self.0.slice.len() - 1]
    }

    fn value_at(&self) -> usize {
        self.sender_len() + 1 + self.name_len() + 1
    }

    /// How many bytes it occupies.
    pub(crate) fn allocated(&self) -> usize {
        std::mem::size_of::<Head>() + 2 * std::mem::size_of::<usize>() + self.0.slice.len()
    }

    fn wrong_kind(&self, wanted: &str) -> Error {
        Error::new(
            Status::Kind,
            format!("{} of {} is {}, not {wanted}", self.name(), self.sender(), self.kind().name()),
        )
    }

    /// Its text. The one exception to strict kinds: bytes that are valid UTF-8 are read too, as the original's text is.
    pub fn text(&self) -> Result<&str> {
        let with_nul = self.text_c()?;
        Ok(std::str::from_utf8(&with_nul[..with_nul.len() - 1]).unwrap_or_default())
    }

    /// As [`State::text`], with a NUL behind it.
    pub fn text_c(&self) -> Result<&[u8]> {
        let wanted = Kind::Text.name();
        let payload = match self.kind() {
            Kind::Text => self.payload(),
            Kind::Bytes => {
                let payload = self.payload();
                if std::str::from_utf8(&payload[..payload.len() - 1]).is_err() {
                    return Err(self.wrong_kind(wanted));
                }
                payload
            }
            _ => return Err(self.wrong_kind(wanted)),
        };
        Ok(payload)
    }

    /// What a str, bin or ext holds, and the NUL behind it.
    fn payload(&self) -> &[u8] {
        let at = wire::payload(self.msgpack()).unwrap_or(0);
        &self.0.slice[self.value_at() + at..]
    }

    /// Its bytes.
    pub fn bytes(&self) -> Result<&[u8]> {
        wire::bytes(self.msgpack()).ok_or_else(|| self.wrong_kind(Kind::Bytes.name()))
    }

    /// Its truth value.
    pub fn bool(&self) -> Result<bool> {
        wire::bool_(self.msgpack()).ok_or_else(|| self.wrong_kind(Kind::Bool.name()))
    }

    fn number<T>(&self, wanted: &str, exact: impl FnOnce(Number) -> Option<T>) -> Result<T> {
        let number = wire::number(self.msgpack()).ok_or_else(|| self.wrong_kind("a number"))?;
        exact(number).ok_or_else(|| {
            let text = format!("{} of {} is {}, which {wanted} does not hold", self.name(), self.sender(), self.json());
            Error::new(Status::Range, text)
        })
    }

    /// Its number, if an `i64` holds it exactly.
    pub fn int(&self) -> Result<i64> {
        self.number("int64_t", |number| number.as_int())
    }

    /// Its number, if a `u64` holds it exactly.
    pub fn uint(&self) -> Result<u64> {
        self.number("uint64_t", |number| number.as_uint())
    }

    /// Its number, if an `f64` holds it exactly.
    pub fn double(&self) -> Result<f64> {
        self.number("double", |number| number.as_double())
    }

    /// The type and bytes of an extension value.
    pub fn ext(&self) -> Result<(i8, &[u8])> {
        wire::ext(self.msgpack()).ok_or_else(|| self.wrong_kind(Kind::Ext.name()))
    }

    /// Its value as JSON, made when first asked for.
    pub fn json(&self) -> &str {
        let json = self.json_c();
        std::str::from_utf8(&json[..json.len() - 1]).unwrap_or_default()
    }

    /// As [`State::json`], with a NUL behind it.
    pub fn json_c(&self) -> &[u8] {
        self.0.header.header.json.get_or_init(|| {
            let mut json = wire::from_msgpack(self.msgpack()).into_bytes();
            json.push(0);
            json.into()
        })
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?}, {:?}, {})", self.sender(), self.name(), self.json())
    }
}
