//! Byte streams to bodies and back, sans-IO: what stands before the first frame, and frames.

pub mod http;
mod sp;
pub mod ws;

use std::ops::Deref;

pub use self::sp::{
    gateway_header, header, opening_len, parse_gateway_header, parse_header, HeaderError, Sp, Version, BUS, HEADER_LEN,
    PUB, PULL, PUSH, REP, REQ, RESPONDENT, SUB, SURVEYOR,
};
use crate::limits::{MAX_NAME, MAX_SENDER};
use crate::memory::Bytes;

/// How bodies are cut out of a stream of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// `tcp://`: the SP header, then per body a 64-bit big-endian length.
    Tcp,
    /// `ipc://`: the SP header, then per body the byte 1 and a 64-bit big-endian length.
    Ipc,
    /// `inproc://`: no header (always v1); per body a 64-bit big-endian length, in memory.
    Inproc,
    /// `ws://`, where this side was connected to: an HTTP request and its answer, then per body a binary message.
    WsServer,
    /// `ws://`, where this side connected: what it sends is masked.
    WsClient,
}

impl Framing {
    /// Whether something stands before the first frame.
    pub const fn has_handshake(self) -> bool {
        !matches!(self, Framing::Inproc)
    }

    /// Whether its connections are WebSockets.
    pub const fn is_ws(self) -> bool {
        matches!(self, Framing::WsServer | Framing::WsClient)
    }
}

/// The byte before the length of an `ipc` frame.
const IPC_MARK: u8 = 1;
/// The length of the bytes before a body.
const LENGTH_LEN: usize = 8;
/// The longest head of a frame in any framing: that of WebSocket is two bytes and a length.
pub const MAX_HEAD: usize = LENGTH_LEN + 2;

/// The bytes before a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHead {
    bytes: [u8; MAX_HEAD],
    /// Where in `bytes` it begins; it reaches to the end.
    start: u8,
}

impl Deref for FrameHead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// The bytes before a body of `len` bytes. Those of a client of a WebSocket are masked: [`ws::message`] writes the whole
/// frame.
#[inline]
pub fn frame_head(framing: Framing, len: usize) -> FrameHead {
    if framing.is_ws() {
        debug_assert!(framing == Framing::WsServer, "a client masks what it sends");
        return ws::head(len);
    }
    let mut bytes = [IPC_MARK; MAX_HEAD];
    bytes[MAX_HEAD - LENGTH_LEN..].copy_from_slice(&(len as u64).to_be_bytes());
    FrameHead { bytes, start: (MAX_HEAD - frame_head_len(framing)) as u8 }
}

/// The length of the bytes before a body; on a WebSocket at least.
pub const fn frame_head_len(framing: Framing) -> usize {
    match framing {
        Framing::Ipc => LENGTH_LEN + 1,
        Framing::Tcp | Framing::Inproc => LENGTH_LEN,
        Framing::WsServer | Framing::WsClient => 2,
    }
}

/// What a [`Decoder`] found.
#[derive(PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// A whole body.
    Body(&'a [u8]),
    /// A whole body that came in pieces, in an allocation of its own, since it is too large to be copied again.
    Large(Bytes),
    /// A frame over the limit, with its length in bytes; they are skipped as they come.
    TooLarge(u64),
    /// A frame for which there is no memory; it is skipped as it comes.
    NoMemory {
        /// Its length in bytes.
        len: u64,
        /// The beginning of its body: at least sender and name, if that much has come.
        start: &'a [u8],
    },
    /// A whole text message of a WebSocket.
    Text(&'a [u8]),
}

/// Why a stream cannot be cut any further; the connection is of no use from there on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// An `ipc` frame that does not begin with the byte 1.
    #[error("an ipc frame begins with {0:#04x} instead of 0x01")]
    BadMark(u8),
    /// A length beyond any limit, [`ABSURD_FRAME`](crate::limits::ABSURD_FRAME): these bytes are of another protocol.
    #[error("not a frame: its length would be {}, in the bytes {}", u64::from_be_bytes(*.0), shown(.0))]
    NoLength([u8; LENGTH_LEN]),
    /// A WebSocket was closed, or does not keep to its protocol.
    #[error(transparent)]
    Ws(Box<ws::WsError>),
}

impl FrameError {
    /// Whether it is the regular end of a WebSocket.
    pub fn is_close(&self) -> bool {
        matches!(self, FrameError::Ws(error) if matches!(**error, ws::WsError::Closed(..)))
    }
}

/// Cuts bodies out of a stream, after the handshake. It buffers only an unfinished message.
#[derive(Debug)]
pub enum Decoder {
    /// Of frames that begin with their length.
    Sp(Box<sp::Decoder>),
    /// Of a WebSocket's.
    Ws(Box<ws::Decoder>),
    /// Stands in the place of one that is in use.
    InUse,
}

impl Decoder {
    /// A decoder for a stream whose handshake, if it has one, is over. `max` is the largest body, in bytes.
    pub fn new(framing: Framing, max: usize) -> Decoder {
        match framing {
            Framing::Tcp | Framing::Ipc | Framing::Inproc => Decoder::Sp(Box::new(sp::Decoder::new(framing, max))),
            Framing::WsServer => Decoder::Ws(Box::new(ws::Decoder::new(true, max))),
            Framing::WsClient => Decoder::Ws(Box::new(ws::Decoder::new(false, max))),
        }
    }

    /// The largest body from the next frame on, in bytes.
    pub fn set_max(&mut self, max: usize) {
        match self {
            Decoder::Sp(decoder) => decoder.set_max(max),
            Decoder::Ws(decoder) => decoder.set_max(max),
            Decoder::InUse => {}
        }
    }

    /// Takes the next frame out of `input`, which advances over it. `None` means that all of `input` was taken and more
    /// is needed; call it until then.
    ///
    /// # Errors
    /// The stream is broken; every further call gives the same.
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        match self {
            Decoder::Sp(decoder) => decoder.next(input),
            Decoder::Ws(decoder) => decoder.next(input),
            Decoder::InUse => {
                debug_assert!(false, "asked for a frame while it is in use");
                Ok(None)
            }
        }
    }

    /// Whether it is known to be between two frames: without input there is none.
    #[inline]
    pub fn is_between(&self) -> bool {
        match self {
            Decoder::Sp(decoder) => decoder.is_between(),
            Decoder::Ws(_) | Decoder::InUse => false,
        }
    }

    /// What came since this was last called in frames beside messages: see [`ws::Decoder::take_overhead`].
    #[inline]
    pub fn take_overhead(&mut self) -> u32 {
        match self {
            Decoder::Sp(_) | Decoder::InUse => 0,
            Decoder::Ws(decoder) => decoder.take_overhead(),
        }
    }

    /// Where the rest of a large body may be put by itself instead of being given to [`Decoder::next`], if one is
    /// unfinished. That is to be called then, without input if there is none.
    #[inline]
    pub fn room(&mut self) -> Option<Room<'_>> {
        match self {
            Decoder::Sp(decoder) => decoder.room(),
            // What a WebSocket carries may be masked, and in pieces.
            Decoder::Ws(_) | Decoder::InUse => None,
        }
    }

    /// Bytes allocated for the unfinished frame. They grow with the bytes that came, and are freed with the frame,
    /// except for a small buffer.
    pub fn allocated(&self) -> usize {
        match self {
            Decoder::Sp(decoder) => decoder.allocated(),
            Decoder::Ws(decoder) => decoder.allocated(),
            Decoder::InUse => 0,
        }
    }

    /// Whether a frame, or its head, is unfinished.
    pub fn unfinished(&self) -> bool {
        match self {
            Decoder::Sp(decoder) => decoder.unfinished(),
            Decoder::Ws(decoder) => decoder.unfinished(),
            Decoder::InUse => false,
        }
    }
}

/// The place of the rest of an unfinished large body.
#[derive(Debug)]
pub struct Room<'a> {
    /// What came of it. The rest is to be appended.
    pub body: &'a mut Bytes,
    /// At most so many bytes may be appended now, for which there is memory. More may be missing.
    pub most: usize,
}

/// Unexpected bytes in a form for the log: as text if they look like text, else in hexadecimal.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    if bytes.iter().all(printable) {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

/// A buffer up to this size is kept for the next unfinished frame; a larger one is given out.
const KEPT: usize = 4096;

/// What is kept of a frame for which there is no memory: the heads of array, sender and name, and the latter two.
const START_LEN: usize = 5 + 5 + MAX_SENDER + 5 + MAX_NAME;

/// Adds to a body of at most `len` bytes; false if there is no memory for it.
fn append(buffer: &mut Bytes, piece: &[u8], len: usize) -> bool {
    let has_room = make_room(buffer, piece.len(), len);
    if has_room {
        buffer.extend_from_slice(piece);
    }
    has_room
}

/// Makes room for `more` bytes of a body of at most `len` bytes; false if there is no memory for it. The claimed length is
/// only a bound: allocations follow the bytes that came.
fn make_room(buffer: &mut Bytes, more: usize, len: usize) -> bool {
    let needed = buffer.len() + more;
    if needed <= buffer.capacity() {
        return true;
    }
    // In halves of the whole, so that the last one is not followed by a small rest for which all is copied again.
    let mut capacity = len;
    while capacity > 1 && capacity.div_ceil(2) >= needed {
        capacity = capacity.div_ceil(2);
    }
    buffer.reserve(capacity - buffer.len()).is_ok()
}

/// Keeps the start of a body for which there is no memory: of what came and of the next piece, as far as there is room in the
/// same allocation, or memory for a small one. Returns how much of it came before.
fn keep_start(buffer: &mut Bytes, piece: &[u8]) -> usize {
    buffer.truncate(START_LEN);
    let had = buffer.len();
    let more = &piece[..piece.len().min(START_LEN - had)];
    if buffer.reserve(more.len()).is_ok() {
        buffer.extend_from_slice(more);
    }
    had
}
