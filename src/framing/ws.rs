//! WebSocket, RFC 6455, after its [handshake](super::http): messages out of a byte stream and back.
//!
//! No extension is ever agreed on. A message is collected in one buffer, which grows with what comes, whatever its frames
//! claim; what is over the limit is skipped as it comes.

mod write;

use std::fmt;

use self::write::apply_mask;
pub use self::write::{close, head, message, ping, pong, text, Masks};
use super::{append, keep_start, Frame, FrameError, KEPT};
use crate::limits::ABSURD_FRAME;
use crate::memory::Bytes;

/// The most bytes that a ping, a pong, or a close carries.
pub const MAX_CONTROL: usize = 125;

/// Set in the first byte of the last frame of a message.
const FIN: u8 = 0x80;
/// For extensions, of which there are none.
const RESERVED: u8 = 0x70;
/// The opcode, in the first byte.
const OPCODE: u8 = 0x0F;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// Set in the opcodes of frames that may come between those of a message.
const CONTROL: u8 = 0x8;
/// Set in the second byte if the payload is masked.
const MASKED: u8 = 0x80;
/// In the place of a length: it follows in so many bytes.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
/// What a ping counts in [`Decoder::take_overhead`].
const PING_OVERHEAD: u32 = 16;
/// The length of a mask.
const MASK_LEN: usize = 4;
/// The longest head.
const HEAD_LEN: usize = 2 + 8 + MASK_LEN;

/// Why a WebSocket is closed: the code in its close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// Nothing is wrong.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// This side ends.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The other side does not keep to the protocol.
    pub const PROTOCOL: CloseCode = CloseCode(1002);
    /// A text is not UTF-8.
    pub const NOT_UTF8: CloseCode = CloseCode(1007);
    /// The other side does what it may not do; trying again is of no use.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// A message is longer than any may be.
    pub const TOO_BIG: CloseCode = CloseCode(1009);

    /// Whether a close frame may have it: registered, or left to applications.
    fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a WebSocket carries nothing any more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WsError {
    /// The other side closed it, with this code and reason.
    #[error("{}", closed(*.0, .1))]
    Closed(Option<CloseCode>, String),
    /// Bits that belong to extensions.
    #[error("a WebSocket frame uses an extension that was not agreed on: its first byte is {0:#04x}")]
    Extension(u8),
    /// No such frame.
    #[error("a WebSocket frame has the opcode {0:#x}, which does not exist")]
    Opcode(u8),
    /// What a client sends is not masked, or what a hub sends is.
    #[error("a WebSocket frame is {}", if *.0 { "masked, but comes from a server" } else { "not masked" })]
    Mask(bool),
    /// A ping, pong or close in fragments, or too long.
    #[error("a control frame of a WebSocket is fragmented, or longer than {MAX_CONTROL} bytes")]
    Control,
    /// A fragment of nothing.
    #[error("a WebSocket frame continues a message that was not begun")]
    Continuation,
    /// A message inside of another.
    #[error("a message begins on a WebSocket before the one before it has ended")]
    Interleaved,
    /// A length beyond any limit.
    #[error("a WebSocket frame claims {0} bytes")]
    Length(u64),
    /// A text, or a reason, is not UTF-8.
    #[error("a text on a WebSocket is not valid UTF-8")]
    Utf8,
    /// A close frame of one byte, or with a code that none may have.
    #[error("a close frame of a WebSocket has no valid code")]
    CloseFrame,
}

fn closed(code: Option<CloseCode>, reason: &str) -> String {
    match (code, reason) {
        (None | Some(CloseCode::NORMAL), "") => "the other side closed the WebSocket".into(),
        (None, reason) => format!("the other side closed the WebSocket: {reason}"),
        (Some(code), "") => format!("the other side closed the WebSocket with {code}"),
        (Some(code), reason) => format!("the other side closed the WebSocket with {code}: {reason}"),
    }
}

impl WsError {
    /// The code of the close frame that answers.
    pub fn code(&self) -> CloseCode {
        match self {
            WsError::Closed(code, _) => code.unwrap_or(CloseCode::NORMAL),
            WsError::Utf8 => CloseCode::NOT_UTF8,
            WsError::Length(_) => CloseCode::TOO_BIG,
            WsError::Extension(_)
            | WsError::Opcode(_)
            | WsError::Mask(_)
            | WsError::Control
            | WsError::Continuation
            | WsError::Interleaved
            | WsError::CloseFrame => CloseCode::PROTOCOL,
        }
    }
}

/// What a message that goes on comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Incoming {
    /// None goes on.
    None,
    Binary,
    Text,
    /// It was told that it is not taken.
    Skipped,
}

#[derive(Clone, Debug)]
enum Position {
    /// In a head, of which so many bytes came.
    Head([u8; HEAD_LEN], u8),
    /// In a frame of a message.
    Payload(Payload),
    /// In a control frame with this opcode; what came of it is in `control`.
    Control(u8, Payload),
    /// The message in the buffer was given out.
    Given,
    /// Nothing more comes.
    Broken(WsError),
}

/// What is left of a frame.
#[derive(Clone, Copy, Debug)]
struct Payload {
    left: u64,
    /// Turned by what came: its first byte is for the next byte.
    mask: [u8; MASK_LEN],
    /// Whether the message ends with it.
    last: bool,
}

/// Between two frames.
const START: Position = Position::Head([0; HEAD_LEN], 0);

/// Cuts messages out of a stream, after the handshake.
#[derive(Debug)]
pub struct Decoder {
    /// Whether what comes has to be masked, as from a client, or must not be.
    masked: bool,
    max: usize,
    position: Position,
    incoming: Incoming,
    /// What came of an unfinished message, unmasked.
    buffer: Bytes,
    /// How much of it, if it is a text, is known to be UTF-8.
    checked: usize,
    control: [u8; MAX_CONTROL],
    control_len: u8,
    pings: Pings,
    overhead: u32,
}

/// What pings carried that are to be answered: a length and so many bytes each.
#[derive(Debug, Default)]
pub struct Pings(Vec<u8>);

impl Pings {
    /// As much is kept of those that come faster than they are answered: the newest.
    const MOST: usize = 2 << 10;

    fn add(&mut self, payload: &[u8]) {
        if self.0.len() + 1 + payload.len() > Self::MOST {
            self.0.clear();
        }
        self.0.push(payload.len() as u8);
        self.0.extend_from_slice(payload);
    }

    /// Forgets all but the last.
    pub fn keep_newest(&mut self) {
        let newest = self.iter().last().map(<[u8]>::to_vec);
        self.0.clear();
        newest.iter().for_each(|payload| self.add(payload));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each of them carried.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&len, behind) = rest.split_first()?;
            let (payload, behind) = behind.split_at_checked(len.into())?;
            rest = behind;
            Some(payload)
        })
    }
}

impl Decoder {
    /// A decoder of what clients send if `masked`, else of what servers send. `max` is the largest message, in bytes.
    pub fn new(masked: bool, max: usize) -> Decoder {
        Decoder {
            masked,
            max,
            position: START,
            incoming: Incoming::None,
            buffer: Bytes::new(),
            checked: 0,
            control: [0; MAX_CONTROL],
            control_len: 0,
            pings: Pings::default(),
            overhead: 0,
        }
    }

    /// What came since this was last called in frames that carry no message, or hardly any of one: 1 for each pong, and for
    /// each fragment of fewer than 126 bytes that is not the last of its message; 16 for each ping, which costs an answer.
    pub fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    /// The pings that came since this was last called.
    pub fn take_pings(&mut self) -> Pings {
        std::mem::take(&mut self.pings)
    }

    /// The largest message from the next frame on, in bytes.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// As [`Decoder::next`](super::Decoder::next). Pings are kept for [`Decoder::take_pings`].
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        loop {
            match self.position {
                Position::Broken(ref error) => return Err(FrameError::Ws(Box::new(error.clone()))),
                Position::Given => {
                    if self.buffer.capacity() > KEPT {
                        self.buffer = Bytes::new();
                    }
                    self.buffer.clear();
                    self.position = START;
                }
                Position::Head(mut bytes, have) => {
                    let mut have = usize::from(have);
                    let wanted = loop {
                        let wanted = head_len(&bytes[..have]);
                        if have == wanted {
                            break wanted;
                        }
                        let (piece, rest) = input.split_at(input.len().min(wanted - have));
                        if piece.is_empty() {
                            self.position = Position::Head(bytes, have as u8);
                            return Ok(None);
                        }
                        bytes[have..have + piece.len()].copy_from_slice(piece);
                        have += piece.len();
                        *input = rest;
                        if have == 2 {
                            if let Err(error) = self.check(bytes[0], bytes[1]) {
                                self.position = Position::Broken(error);
                                break 0;
                            }
                        }
                    };
                    if wanted == 0 {
                        continue;
                    }
                    if let Some(len) = self.begin_frame(&bytes[..have]) {
                        return Ok(Some(Frame::TooLarge(len)));
                    }
                }
                Position::Control(opcode, mut payload) => {
                    let have = usize::from(self.control_len);
                    let piece = take(input, payload.left);
                    let into = &mut self.control[have..have + piece.len()];
                    into.copy_from_slice(piece);
                    apply_mask(into, payload.mask);
                    self.control_len += piece.len() as u8;
                    payload.advance(piece.len());
                    if payload.left > 0 {
                        self.position = Position::Control(opcode, payload);
                        return Ok(None);
                    }
                    self.position = START;
                    let len = usize::from(self.control_len);
                    match opcode {
                        PING => self.pings.add(&self.control[..len]),
                        PONG => {}
                        _ => self.position = Position::Broken(read_close(&self.control[..len])),
                    }
                }
                Position::Payload(mut payload) => {
                    // A whole message that needs no change is given out where it is.
                    if !self.masked && self.incoming == Incoming::Binary && payload.last && self.buffer.is_empty() {
                        if let Some((body, rest)) = input.split_at_checked(payload.left as usize) {
                            *input = rest;
                            self.position = START;
                            self.incoming = Incoming::None;
                            return Ok(Some(Frame::Body(body)));
                        }
                    }
                    let piece = take(input, payload.left);
                    if self.incoming != Incoming::Skipped {
                        let at = self.buffer.len();
                        let whole = at + payload.left as usize;
                        // More may follow: a buffer that grew by each fragment alone would be copied for each of them.
                        let bound = if payload.last { whole } else { self.max.max(whole) };
                        if !append(&mut self.buffer, piece, bound) {
                            let had = keep_start(&mut self.buffer, piece);
                            apply_mask(&mut self.buffer[had..], payload.mask);
                            payload.advance(piece.len());
                            self.skip(payload);
                            return Ok(Some(Frame::NoMemory { len: whole as u64, start: &self.buffer }));
                        }
                        if self.masked {
                            apply_mask(&mut self.buffer[at..], payload.mask);
                        }
                    } else {
                        // It may be large, and there may be no memory.
                        self.buffer = Bytes::new();
                    }
                    payload.advance(piece.len());
                    let ends = payload.left == 0 && payload.last;
                    if self.incoming == Incoming::Text && !self.check_text(ends) {
                        self.position = Position::Broken(WsError::Utf8);
                        continue;
                    }
                    if payload.left > 0 {
                        self.position = Position::Payload(payload);
                        return Ok(None);
                    }
                    self.position = START;
                    if !payload.last {
                        continue;
                    }
                    match std::mem::replace(&mut self.incoming, Incoming::None) {
                        Incoming::Binary if self.buffer.capacity() > KEPT => {
                            return Ok(Some(Frame::Large(std::mem::take(&mut self.buffer))));
                        }
                        Incoming::Binary => {
                            self.position = Position::Given;
                            return Ok(Some(Frame::Body(&self.buffer)));
                        }
                        Incoming::Text => {
                            self.position = Position::Given;
                            return Ok(Some(Frame::Text(&self.buffer)));
                        }
                        Incoming::Skipped | Incoming::None => self.buffer = Bytes::new(),
                    }
                }
            }
        }
    }

    /// Whether a frame may begin with these two bytes.
    fn check(&self, first: u8, second: u8) -> Result<(), WsError> {
        let (opcode, len) = (first & OPCODE, second & !MASKED);
        let amid = self.incoming != Incoming::None;
        if first & RESERVED != 0 {
            return Err(WsError::Extension(first));
        }
        if self.masked != (second & MASKED != 0) {
            return Err(WsError::Mask(!self.masked));
        }
        match opcode {
            CLOSE | PING | PONG if first & FIN == 0 || usize::from(len) > MAX_CONTROL => Err(WsError::Control),
            CLOSE | PING | PONG => Ok(()),
            CONTINUATION if !amid => Err(WsError::Continuation),
            TEXT | BINARY if amid => Err(WsError::Interleaved),
            CONTINUATION | TEXT | BINARY => Ok(()),
            _ => Err(WsError::Opcode(opcode)),
        }
    }

    /// The head of a frame has come. Returns how long its message is at least, if it is too long.
    fn begin_frame(&mut self, head: &[u8]) -> Option<u64> {
        let (opcode, len) = (head[0] & OPCODE, length(head));
        let mask = match self.masked {
            true => *head.last_chunk().unwrap_or(&[0; MASK_LEN]),
            false => [0; MASK_LEN],
        };
        let payload = Payload { left: len, mask, last: head[0] & FIN != 0 };
        if len > ABSURD_FRAME {
            self.position = Position::Broken(WsError::Length(len));
            return None;
        }
        if len <= MAX_CONTROL as u64 && !(payload.last && opcode & CONTROL == 0) {
            self.overhead = self.overhead.saturating_add(if opcode == PING { PING_OVERHEAD } else { 1 });
        }
        if opcode & CONTROL != 0 {
            self.control_len = 0;
            self.position = Position::Control(opcode, payload);
            return None;
        }
        match opcode {
            BINARY => self.incoming = Incoming::Binary,
            TEXT => (self.incoming, self.checked) = (Incoming::Text, 0),
            _ => {}
        }
        let whole = self.buffer.len() as u64 + len;
        if self.incoming != Incoming::Skipped && whole > self.max as u64 {
            self.buffer = Bytes::new();
            self.skip(payload);
            return Some(whole);
        }
        self.position = Position::Payload(payload);
        None
    }

    /// The rest of the message is skipped as it comes.
    fn skip(&mut self, payload: Payload) {
        self.incoming = Incoming::Skipped;
        self.position = Position::Payload(payload);
    }

    /// Whether the text in the buffer is UTF-8 as far as it came, or as a whole if it `ends` there.
    fn check_text(&mut self, ends: bool) -> bool {
        match std::str::from_utf8(&self.buffer[self.checked..]) {
            Ok(_) => self.checked = self.buffer.len(),
            // A character may be cut where the piece ends.
            Err(error) if error.error_len().is_none() && !ends => self.checked += error.valid_up_to(),
            Err(_) => return false,
        }
        true
    }

    /// Bytes allocated for the unfinished message.
    pub fn allocated(&self) -> usize {
        self.buffer.capacity()
    }

    /// Whether a message, or a frame, is unfinished.
    pub fn unfinished(&self) -> bool {
        self.incoming != Incoming::None || !matches!(self.position, Position::Given | Position::Head(_, 0))
    }
}

impl Payload {
    fn advance(&mut self, n: usize) {
        self.left -= n as u64;
        self.mask.rotate_left(n % MASK_LEN);
    }
}

/// How long a head is of which these bytes came; 2 while that is not known.
fn head_len(bytes: &[u8]) -> usize {
    let &[_, second, ..] = bytes else { return 2 };
    let length = match second & !MASKED {
        LENGTH_16 => 2,
        LENGTH_64 => 8,
        _ => 0,
    };
    2 + length + if second & MASKED != 0 { MASK_LEN } else { 0 }
}

/// The length in a whole head.
fn length(head: &[u8]) -> u64 {
    match (head[1] & !MASKED, &head[2..]) {
        (LENGTH_16, [a, b, ..]) => u16::from_be_bytes([*a, *b]).into(),
        (LENGTH_64, rest) => rest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)),
        (len, _) => len.into(),
    }
}

/// Takes at most `most` bytes of the input.
fn take<'i>(input: &mut &'i [u8], most: u64) -> &'i [u8] {
    let (piece, rest) = input.split_at((input.len() as u64).min(most) as usize);
    *input = rest;
    piece
}

fn read_close(payload: &[u8]) -> WsError {
    match payload.split_first_chunk() {
        None if payload.is_empty() => WsError::Closed(None, String::new()),
        None => WsError::CloseFrame,
        Some((code, reason)) => match (CloseCode(u16::from_be_bytes(*code)), std::str::from_utf8(reason)) {
            (_, Err(_)) => WsError::Utf8,
            (code, Ok(reason)) if code.may_be_sent() => WsError::Closed(Some(code), reason.to_owned()),
            (_, Ok(_)) => WsError::CloseFrame,
        },
    }
}

#[cfg(test)]
mod tests;
