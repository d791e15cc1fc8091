//! A received state.

use std::ffi::CStr;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use triomphe::ThinArc;

use crate::memory::{Bytes, NoMemory};
use crate::wire::{self, Kind, Meta, Number, Stamp, Time};
use crate::{Error, Result, Status};

/// The fields in front of the bytes of a [`State`], in the same allocation.
pub struct Metadata {
    stamp: Stamp,
    time: i64,
    kind: Kind,
    sender_len: u8,
    name_len: u16,
    retained: bool,
    /// Created on first use, with a NUL at the end.
    json: OnceLock<Box<[u8]>>,
    /// The bytes, if they have an allocation of their own.
    large: Option<Box<Large>>,
}

/// The message in which a large state came, rearranged in place.
struct Large {
    bytes: Bytes,
    /// Offset of the state in it.
    start: usize,
}

/// Offsets of the parts of a body.
pub(crate) struct Outline {
    sender: Range<usize>,
    name: Range<usize>,
    data_end: usize,
    kind: Kind,
    retained: bool,
}

/// What a cleared value is as MessagePack.
const NIL: &[u8] = &[0xC0];

fn is_retained(body: &wire::Body<'_>) -> bool {
    body.meta.flags & Meta::RETAINED != 0
}

impl Outline {
    /// Of a body that was decoded from these bytes.
    pub fn of(body: &wire::Body<'_>, bytes: &[u8]) -> Outline {
        let place = |part: &[u8]| {
            let at = part.as_ptr() as usize - bytes.as_ptr() as usize;
            at..at + part.len()
        };
        let (sender, name, retained) = (place(body.sender_bytes()), place(body.name_bytes()), is_retained(body));
        Outline { sender, name, data_end: body.meta_at, kind: body.kind, retained }
    }
}

/// A received state: its sender, its name and its value.
///
/// Immutable. A clone is a reference to the same allocation, which outlives the app that received it. May be used from
/// any thread. Each function that reads the value fails if the value is of another kind; nothing is converted silently.
///
/// ```
/// use std::time::Duration;
///
/// use nanostate::{App, Hub, Kind, Status, Value};
///
/// # fn main() -> nanostate::Result<()> {
/// # let hub = Hub::new()?;
/// # hub.listen("inproc://state")?;
/// # let (sender, app) = (App::new("counter")?, App::new("display")?);
/// # sender.connect(Some("inproc://state"))?;
/// # app.connect(Some("inproc://state"))?;
/// sender.send("jobs/done", Value::Int(-3))?;
///
/// let state = app.recv(Some(Duration::from_secs(60)))?;
/// assert_eq!((state.sender(), state.name(), state.kind()), ("counter", "jobs/done", Kind::Int));
/// assert_eq!(state.int()?, -3);
/// assert_eq!(state.double()?, -3.0); // A number is read as any type that holds it exactly;
/// assert_eq!(state.uint().unwrap_err().status(), Status::Range); // this one does not.
/// assert_eq!(state.text().unwrap_err().status(), Status::Kind);
/// assert_eq!(state.json(), "-3"); // Every value has a JSON text.
/// # Ok(())
/// # }
/// ```
// Its bytes are `sender NUL name NUL value NUL`, so that C can read sender, name and text in place.
#[derive(Clone)]
#[repr(transparent)]
pub struct State(ThinArc<Metadata, u8>);

impl State {
    /// A state from a checked body. `time` is in milliseconds since 1970, 0 if unknown.
    pub(crate) fn new(scratch: &mut Vec<u8>, body: &wire::Body<'_>, stamp: Stamp, time: i64) -> State {
        scratch.clear();
        // The data of a tombstone is for hubs.
        let data = if body.kind == Kind::Cleared { NIL } else { body.data };
        for piece in [body.sender_bytes(), body.name_bytes(), data] {
            scratch.extend_from_slice(piece);
            scratch.push(0);
        }
        let head = Metadata {
            stamp,
            time,
            kind: body.kind,
            sender_len: body.sender_bytes().len() as u8,
            name_len: body.name_bytes().len() as u16,
            retained: is_retained(body),
            json: OnceLock::new(),
            large: None,
        };
        State(ThinArc::from_header_and_slice(head, scratch))
    }

    /// As [`State::new`], in place in the bytes of the body: of a v1 body only its names are moved. Not of a tombstone.
    pub(crate) fn in_place(mut bytes: Bytes, body: &Outline, stamp: Stamp, time: i64) -> State {
        let (sender_len, name_len) = (body.sender.len(), body.name.len());
        // The value follows the name. At least three bytes, the heads of the array and of both strings, become free for
        // the two NULs.
        let value_at = body.name.end;
        let start = value_at - (sender_len + name_len + 2);
        bytes.copy_within(body.sender.clone(), start);
        bytes[start + sender_len] = 0;
        bytes.copy_within(body.name.clone(), value_at - 1 - name_len);
        bytes[value_at - 1] = 0;
        // The last NUL replaces the first byte of meta if there is one, else everything moves into the third of those bytes.
        bytes.truncate(body.data_end);
        let start = if bytes.len() < bytes.capacity() {
            bytes.extend_from_slice(&[0]);
            start
        } else {
            bytes.copy_within(start.., start - 1);
            let last = bytes.len() - 1;
            bytes[last] = 0;
            start - 1
        };
        let head = Metadata {
            stamp,
            time,
            kind: body.kind,
            sender_len: sender_len as u8,
            name_len: name_len as u16,
            retained: body.retained,
            json: OnceLock::new(),
            large: Some(Box::new(Large { bytes, start })),
        };
        State(ThinArc::from_header_and_slice(head, &[]))
    }

    /// `sender NUL name NUL value NUL`.
    fn all(&self) -> &[u8] {
        match &self.0.header.header.large {
            None => &self.0.slice,
            Some(large) => &large.bytes[large.start..],
        }
    }

    /// For the C layer: the allocation itself.
    #[cfg(feature = "capi")]
    pub(crate) fn into_arc(self) -> ThinArc<Metadata, u8> {
        self.0
    }

    /// For the C layer: undoes [`State::into_arc`].
    #[cfg(feature = "capi")]
    pub(crate) fn from_arc(arc: ThinArc<Metadata, u8>) -> State {
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
        std::str::from_utf8(&self.all()[from..from + len]).unwrap_or_default()
    }

    /// Whether these are its sender and name. Compared as bytes, since a comparison as text would check UTF-8 again.
    pub(crate) fn is_of(&self, sender: &[u8], name: &[u8]) -> bool {
        self.is_named(name) && self.all()[..self.sender_len()] == *sender
    }

    /// Whether this is its name.
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        let from = self.sender_len() + 1;
        self.all()[from..from + self.name_len()] == *name
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
        CStr::from_bytes_with_nul(&self.all()[..self.sender_len() + 1]).unwrap_or_default()
    }

    /// The name with its NUL.
    pub fn name_c(&self) -> &CStr {
        let from = self.sender_len() + 1;
        CStr::from_bytes_with_nul(&self.all()[from..from + self.name_len() + 1]).unwrap_or_default()
    }

    /// When it was published, in milliseconds since 1970; 0 if unknown (it came through an old hub).
    pub fn time(&self) -> i64 {
        self.0.header.header.time
    }

    /// Whether the hub held it and handed it out because this app joined, or asked for more: it may be of any age. Else it
    /// was published since. One that came through an old hub was.
    pub fn retained(&self) -> bool {
        self.0.header.header.retained
    }

    /// Its kind. [`Kind::Cleared`]: its sender has withdrawn the value. Then there is none to read; as JSON it is null.
    pub fn kind(&self) -> Kind {
        self.0.header.header.kind
    }

    /// Whether its sender has withdrawn the value.
    #[inline]
    pub(crate) fn is_cleared(&self) -> bool {
        self.kind() == Kind::Cleared
    }

    /// Orders it among values of the same name. A value that came through an old hub has the stamp of its arrival.
    pub fn stamp(&self) -> Stamp {
        self.0.header.header.stamp
    }

    /// Its value as MessagePack.
    pub fn msgpack(&self) -> &[u8] {
        let from = self.value_at();
        &self.all()[from..self.all().len() - 1]
    }

    fn value_at(&self) -> usize {
        self.sender_len() + 1 + self.name_len() + 1
    }

    /// How many bytes it occupies.
    pub(crate) fn allocated(&self) -> usize {
        let bytes = match &self.0.header.header.large {
            None => self.0.slice.len(),
            Some(large) => std::mem::size_of::<Large>() + large.bytes.capacity(),
        };
        std::mem::size_of::<Metadata>() + 2 * std::mem::size_of::<usize>() + bytes
    }

    fn wrong_kind(&self, wanted: &str) -> Error {
        Error::new(
            Status::Kind,
            format!("{} of {} is {}, not {wanted}", self.name(), self.sender(), self.kind().name()),
        )
    }

    /// Its text. The one exception to strict kinds: bytes that are valid UTF-8 are text too, since the original sends
    /// text so.
    pub fn text(&self) -> Result<&str> {
        let with_nul = self.text_c()?;
        Ok(std::str::from_utf8(&with_nul[..with_nul.len() - 1]).unwrap_or_default())
    }

    /// As [`State::text`], with a NUL at the end.
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

    /// The content of a str, bin or ext, with a NUL at the end.
    fn payload(&self) -> &[u8] {
        let at = wire::payload(self.msgpack()).unwrap_or(0);
        &self.all()[self.value_at() + at..]
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
            let text = format!("{} of {} is {}, which does not fit {wanted}", self.name(), self.sender(), self.json());
            Error::new(Status::Range, text)
        })
    }

    /// Its number, if an `i64` can hold it exactly.
    pub fn int(&self) -> Result<i64> {
        self.number("int64_t", |number| number.as_int())
    }

    /// Its number, if a `u64` can hold it exactly.
    pub fn uint(&self) -> Result<u64> {
        self.number("uint64_t", |number| number.as_uint())
    }

    /// Its number, if an `f64` can hold it exactly.
    pub fn double(&self) -> Result<f64> {
        self.number("double", |number| number.as_double())
    }

    /// The type and bytes of an extension value.
    pub fn ext(&self) -> Result<(i8, &[u8])> {
        wire::ext(self.msgpack()).ok_or_else(|| self.wrong_kind(Kind::Ext.name()))
    }

    /// Its time, in any of the three forms that MessagePack has for one; [`Kind::Ext`] is its kind.
    ///
    /// # Errors
    /// [`Status::Kind`]: not a time.
    pub fn time_value(&self) -> Result<Time> {
        let time = wire::ext(self.msgpack()).and_then(|(number, data)| Time::from_ext(number, data));
        time.ok_or_else(|| self.wrong_kind("a time"))
    }

    /// Its time as milliseconds since 1970 that have passed, and the nanoseconds behind them.
    ///
    /// # Errors
    /// [`Status::Kind`]: not a time; [`Status::Range`]: the milliseconds need more than 64 bits.
    pub fn time_millis(&self) -> Result<(i64, u32)> {
        let time = self.time_value()?;
        time.as_millis().ok_or_else(|| {
            let text = format!("{} of {} is {time}, whose milliseconds do not fit int64_t", self.name(), self.sender());
            Error::new(Status::Range, text)
        })
    }

    /// Its value as JSON, created on first use. Empty if there is no memory for it.
    pub fn json(&self) -> &str {
        let json = self.json_c().unwrap_or(&[0]);
        std::str::from_utf8(&json[..json.len() - 1]).unwrap_or_default()
    }

    /// As [`State::json`], with a NUL at the end.
    ///
    /// # Errors
    /// [`Status::NoMemory`].
    pub fn json_c(&self) -> Result<&[u8]> {
        let made = &self.0.header.header.json;
        if let Some(json) = made.get() {
            return Ok(json);
        }
        let mut json = wire::json_text(self.msgpack()).map_err(|NoMemory| {
            let text = format!("{}: the JSON text of {} of {}", Status::NoMemory.text(), self.name(), self.sender());
            Error::new(Status::NoMemory, text)
        })?;
        json.push(0);
        Ok(made.get_or_init(|| json.into()))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?}, {:?}, {})", self.sender(), self.name(), self.json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::LogicalTime;
    use crate::wire::{Form, Meta, Value};

    #[test]
    fn a_state_made_in_the_bytes_of_its_body_is_the_one_that_is_copied() {
        let stamp = Stamp { clock: LogicalTime::from_bits(7), ..Stamp::default() };
        for (sender, name) in [(1, 1), (31, 31), (32, 32), (255, 256), (1, 1024), (255, 1)] {
            for (form, meta) in [(Form::Old, None), (Form::V1, None), (Form::V1, Some(stamp))] {
                for value in [Value::Bytes(&[9; 300]), Value::Text("x"), Value::Nil] {
                    let mut bytes = Vec::new();
                    let meta = Meta { stamp: meta, ..Meta::default() };
                    wire::encode_value(&mut bytes, form, &"s".repeat(sender), &"n".repeat(name), value, &meta);
                    let body = wire::decode(&bytes, form).expect("a body");
                    let copied = State::new(&mut Vec::new(), &body, stamp, 5);
                    let outline = Outline::of(&body, &bytes);
                    let made = State::in_place(bytes.into(), &outline, stamp, 5);
                    assert_eq!(made.all(), copied.all());
                    assert_eq!((made.sender(), made.name()), (copied.sender(), copied.name()));
                    assert_eq!((made.msgpack(), made.kind()), (copied.msgpack(), copied.kind()));
                    assert!(
                        made.is_of(copied.sender().as_bytes(), copied.name().as_bytes())
                            && made.allocated() > copied.allocated()
                    );
                }
            }
        }
    }
}
