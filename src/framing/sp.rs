//! The scalability protocols: their header, and the frames after it, which begin with their length.

use std::fmt;

use super::{
    append, frame_head_len, keep_start, make_room, shown, Frame, FrameError, Framing, Room, IPC_MARK, KEPT, MAX_HEAD,
};
use crate::limits::ABSURD_FRAME;
use crate::memory::Bytes;

/// The length of an SP header.
pub const HEADER_LEN: usize = 8;

/// What every SP header begins with.
const MAGIC: [u8; 4] = [0x00, b'S', b'P', 0x00];
/// A scalability protocol, version 0, as SP headers name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sp {
    number: u16,
    name: &'static str,
}

impl fmt::Display for Sp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All to all: what apps and hubs speak.
pub const BUS: Sp = Sp { number: 0x70, name: "BUS" };
/// To many.
pub const PUB: Sp = Sp { number: 0x20, name: "PUB" };
/// From one.
pub const SUB: Sp = Sp { number: 0x21, name: "SUB" };
/// Asks.
pub const REQ: Sp = Sp { number: 0x30, name: "REQ" };
/// Answers.
pub const REP: Sp = Sp { number: 0x31, name: "REP" };
/// To one.
pub const PUSH: Sp = Sp { number: 0x50, name: "PUSH" };
/// From many.
pub const PULL: Sp = Sp { number: 0x51, name: "PULL" };
/// Asks many.
pub const SURVEYOR: Sp = Sp { number: 0x62, name: "SURVEYOR" };
/// Answers one side that asks many.
pub const RESPONDENT: Sp = Sp { number: 0x63, name: "RESPONDENT" };

/// The reserved bytes of an old header.
const RESERVED_OLD: [u8; 2] = [0, 0];
/// The first of the reserved bytes in a header of nanostate; the version follows.
const RESERVED_OURS: u8 = 0x4E;

/// What the two reserved bytes of an SP header say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// Two zeros: nanomsg, NNG.
    Old,
    /// `4E 01`.
    V1,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Old => "old",
            Version::V1 => "v1",
        })
    }
}

/// Why 8 bytes are not an acceptable header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Another protocol altogether; its first bytes.
    #[error("not an SP header: {}", began(.0))]
    NotSp([u8; 4]),
    /// Another scalability protocol: its number, and the one that was expected.
    #[error("the other side speaks the scalability protocol {0:#04x}, not {1} ({number:#04x})", number = .1.number)]
    OtherProtocol(u16, Sp),
    /// The reserved bytes are neither zero nor, where nanostate is spoken, a version.
    #[error("the reserved bytes of the SP header are {}: not a known version", shown(.0))]
    Reserved([u8; 2]),
}

/// The first byte of an alert of TLS.
const TLS_ALERT: u8 = 21;
/// The first byte of a record of TLS that belongs to a handshake.
const TLS_HANDSHAKE: u8 = 22;

fn began(bytes: &[u8; 4]) -> String {
    match bytes {
        [TLS_ALERT | TLS_HANDSHAKE, 3, ..] => {
            "the other side speaks TLS, and this one does not at this address".to_owned()
        }
        _ => format!("it begins with {}", shown(bytes)),
    }
}

/// How many bytes come that begin with this one, at least: a header, or what is shorter than that and not followed by
/// anything.
pub fn opening_len(first: u8) -> usize {
    match first {
        TLS_ALERT => 7,
        _ => HEADER_LEN,
    }
}

/// The 8 bytes `00 53 50 00 00 70 vv vv`.
pub fn header(version: Version) -> [u8; HEADER_LEN] {
    header_of(BUS, version)
}

/// The header of another protocol, which only old programs speak: `00 53 50 00 pp pp 00 00`.
pub fn gateway_header(protocol: Sp) -> [u8; HEADER_LEN] {
    header_of(protocol, Version::Old)
}

fn header_of(protocol: Sp, version: Version) -> [u8; HEADER_LEN] {
    let [m0, m1, m2, m3] = MAGIC;
    let [p0, p1] = protocol.number.to_be_bytes();
    let [r0, r1] = match version {
        Version::Old => RESERVED_OLD,
        Version::V1 => [RESERVED_OURS, 1],
    };
    [m0, m1, m2, m3, p0, p1, r0, r1]
}

/// Reads a header. A version above 1 is read as [`Version::V1`], since the lower version of the two sides applies.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_header(bytes: &[u8; HEADER_LEN]) -> Result<Version, HeaderError> {
    match reserved(bytes, BUS)? {
        RESERVED_OLD => Ok(Version::Old),
        [RESERVED_OURS, version] if version >= 1 => Ok(Version::V1),
        reserved => Err(HeaderError::Reserved(reserved)),
    }
}

/// Reads the header of a program that has to speak `protocol`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_gateway_header(bytes: &[u8; HEADER_LEN], protocol: Sp) -> Result<(), HeaderError> {
    match reserved(bytes, protocol)? {
        RESERVED_OLD => Ok(()),
        reserved => Err(HeaderError::Reserved(reserved)),
    }
}

/// The reserved bytes of a header of `protocol`.
fn reserved(bytes: &[u8; HEADER_LEN], protocol: Sp) -> Result<[u8; 2], HeaderError> {
    let [m0, m1, m2, m3, p0, p1, r0, r1] = *bytes;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(HeaderError::NotSp([m0, m1, m2, m3]));
    }
    match u16::from_be_bytes([p0, p1]) {
        number if number == protocol.number => Ok([r0, r1]),
        number => Err(HeaderError::OtherProtocol(number, protocol)),
    }
}

/// Cuts bodies out of a stream, after the SP header. It buffers only an unfinished frame; a body that lies in the input
/// as a whole is not copied.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    max: usize,
    state: Position,
    /// The bytes that came of an unfinished frame.
    buffer: Bytes,
    /// The length of the last large body, until room for another one is made by it.
    credit: usize,
}

#[derive(Clone, Debug)]
enum Position {
    /// In a head, of which `have` bytes came.
    Head { bytes: [u8; MAX_HEAD], have: u8 },
    /// In a body of so many bytes; those that came are in the buffer.
    Body(usize),
    /// In a frame over the limit; so many bytes of it are still to come.
    Skip(u64),
    /// The body in the buffer was given out.
    Given,
    /// Something other than a frame came.
    Broken(FrameError),
}

/// If fewer bytes of a body are missing, they are copied: what follows them comes in the same read.
const WORTH_A_READ: usize = 16 << 10;

/// Between two frames.
const START: Position = Position::Head { bytes: [0; MAX_HEAD], have: 0 };

impl Decoder {
    /// A decoder for a stream whose SP header, if it has one, was already read. `max` is the largest body, in bytes.
    pub fn new(framing: Framing, max: usize) -> Decoder {
        Decoder { framing, max, state: START, buffer: Bytes::new(), credit: 0 }
    }

    /// The largest body from the next frame on, in bytes.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// As [`Decoder::next`](super::Decoder::next).
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        if let (Position::Head { have: 0, .. }, Some((len, rest))) = (&self.state, whole_head(self.framing, input)) {
            if len <= self.max as u64 {
                if let Some((body, rest)) = rest.split_at_checked(len as usize) {
                    *input = rest;
                    return Ok(Some(Frame::Body(body)));
                }
            }
        }
        self.next_in_pieces(input)
    }

    /// Like [`Decoder::next`], for any input.
    fn next_in_pieces<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        loop {
            match self.state {
                Position::Broken(ref error) => return Err(error.clone()),
                Position::Given => {
                    self.buffer.clear();
                    self.state = START;
                }
                Position::Skip(left) => {
                    // It may be large, and there may be no memory.
                    self.buffer = Bytes::new();
                    let taken = left.min(input.len() as u64);
                    *input = &input[taken as usize..];
                    if taken < left {
                        self.state = Position::Skip(left - taken);
                        return Ok(None);
                    }
                    self.state = START;
                }
                Position::Head { mut bytes, have } => {
                    let wanted = &mut bytes[..frame_head_len(self.framing)];
                    let have = usize::from(have);
                    let (piece, rest) = input.split_at(input.len().min(wanted.len() - have));
                    wanted[have..have + piece.len()].copy_from_slice(piece);
                    let have = have + piece.len();
                    let mut head = &wanted[..have];
                    if let (Framing::Ipc, Some((&mark, behind))) = (self.framing, head.split_first()) {
                        if mark != IPC_MARK {
                            self.state = Position::Broken(FrameError::BadMark(mark));
                            continue;
                        }
                        head = behind;
                    }
                    *input = rest;
                    let Ok(len) = head.try_into().map(u64::from_be_bytes) else {
                        self.state = Position::Head { bytes, have: have as u8 };
                        return Ok(None);
                    };
                    if len > ABSURD_FRAME {
                        self.state = Position::Broken(FrameError::NoLength(len.to_be_bytes()));
                        continue;
                    }
                    if len > self.max as u64 {
                        self.state = Position::Skip(len);
                        return Ok(Some(Frame::TooLarge(len)));
                    }
                    let len = len as usize;
                    if let Some((body, rest)) = rest.split_at_checked(len) {
                        *input = rest;
                        self.state = START;
                        return Ok(Some(Frame::Body(body)));
                    }
                    self.state = Position::Body(len);
                    if len > KEPT {
                        // One that is as large as the one before is not moved while it grows. Without memory it grows as
                        // any other.
                        let credit = std::mem::take(&mut self.credit).min(len);
                        make_room(&mut self.buffer, credit, len);
                    }
                }
                Position::Body(len) => {
                    let (piece, rest) = input.split_at(input.len().min(len - self.buffer.len()));
                    if !append(&mut self.buffer, piece, len) {
                        self.state = Position::Skip((len - self.buffer.len()) as u64);
                        keep_start(&mut self.buffer, piece);
                        return Ok(Some(Frame::NoMemory { len: len as u64, start: &self.buffer }));
                    }
                    *input = rest;
                    if self.buffer.len() < len {
                        return Ok(None);
                    }
                    if self.buffer.capacity() > KEPT {
                        self.state = START;
                        self.credit = len;
                        return Ok(Some(Frame::Large(std::mem::take(&mut self.buffer))));
                    }
                    self.state = Position::Given;
                    return Ok(Some(Frame::Body(&self.buffer)));
                }
            }
        }
    }

    /// As [`Decoder::is_between`](super::Decoder::is_between).
    #[inline]
    pub fn is_between(&self) -> bool {
        matches!(self.state, Position::Head { have: 0, .. })
    }

    /// As [`Decoder::room`](super::Decoder::room).
    #[inline]
    pub fn room(&mut self) -> Option<Room<'_>> {
        match self.state {
            Position::Body(len) if self.is_worth_a_read(len) => self.more_room(len),
            _ => None,
        }
    }

    fn is_worth_a_read(&self, len: usize) -> bool {
        let have = self.buffer.len();
        len - have >= WORTH_A_READ && self.buffer.capacity() >= WORTH_A_READ
    }

    fn more_room(&mut self, len: usize) -> Option<Room<'_>> {
        // Without memory the next input is told so.
        if !make_room(&mut self.buffer, 1, len) {
            return None;
        }
        let most = self.buffer.capacity().min(len) - self.buffer.len();
        Some(Room { body: &mut self.buffer, most })
    }

    /// Bytes allocated for the unfinished frame.
    pub fn allocated(&self) -> usize {
        self.buffer.capacity()
    }

    /// Whether a frame, or its head, is unfinished.
    pub fn unfinished(&self) -> bool {
        !matches!(self.state, Position::Given | Position::Head { have: 0, .. })
    }
}

/// The length that the next frame claims, and the bytes after its head, if the whole head is there and valid.
#[inline]
fn whole_head(framing: Framing, input: &[u8]) -> Option<(u64, &[u8])> {
    let input = match framing {
        Framing::Ipc => input.strip_prefix(&[IPC_MARK])?,
        // No decoder of this kind is made for a WebSocket.
        Framing::Tcp | Framing::Inproc | Framing::WsServer | Framing::WsClient => input,
    };
    let (len, rest) = input.split_first_chunk()?;
    Some((u64::from_be_bytes(*len), rest))
}

#[cfg(test)]
mod tests {
    use super::super::frame_head;
    use super::*;

    const MAX: usize = 16 << 20;

    #[test]
    fn a_whole_body_is_a_slice_of_the_input() {
        let stream = [&frame_head(Framing::Ipc, 3)[..], b"abc", &frame_head(Framing::Ipc, 0)].concat();
        let mut decoder = Decoder::new(Framing::Ipc, MAX);
        let mut input = &stream[..];
        let Ok(Some(Frame::Body(body))) = decoder.next(&mut input) else { panic!("a body") };
        assert!(std::ptr::eq(body, &stream[9..12]));
        assert_eq!(decoder.next(&mut input), Ok(Some(Frame::Body(&[]))));
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert_eq!((decoder.allocated(), decoder.unfinished()), (0, false));
    }

    #[test]
    fn memory_follows_what_came_and_not_what_is_claimed() {
        let mut decoder = Decoder::new(Framing::Tcp, MAX);
        assert_eq!(decoder.next(&mut &frame_head(Framing::Tcp, MAX)[..]), Ok(None));
        assert_eq!((decoder.allocated(), decoder.unfinished()), (0, true));
        let piece = [7; 1000];
        let mut received = 0;
        while received + piece.len() < MAX {
            assert_eq!(decoder.next(&mut &piece[..]), Ok(None));
            received += piece.len();
            assert!(decoder.allocated() >= received && decoder.allocated() <= (2 * received).min(MAX));
        }
        // The end of it, and the beginning of the next one.
        let last = [&piece[..MAX - received], &[0, 0]].concat();
        let mut input = &last[..];
        // It comes in the allocation that it was collected in.
        let Ok(Some(Frame::Large(body))) = decoder.next(&mut input) else { panic!("a large body") };
        assert!(body[..] == vec![7; MAX] && body.capacity() == MAX);
        assert_eq!((decoder.allocated(), decoder.unfinished()), (0, false));
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert_eq!((decoder.allocated(), decoder.unfinished()), (0, true));
    }

    /// A frame with a body of so many bytes, which do not repeat.
    fn frame(len: usize) -> Vec<u8> {
        let body = (0..len).map(|at| (at % 251) as u8 ^ (at / 65_521) as u8);
        frame_head(Framing::Tcp, len).iter().copied().chain(body).collect()
    }

    /// Takes a frame whose first piece is given to it, and whose rest is put where there is room, so many bytes at a time.
    /// Returns its body, and how often that was moved meanwhile.
    fn place(decoder: &mut Decoder, frame: &[u8], first: usize, most: usize) -> (Bytes, usize) {
        let (mut first, mut rest) = frame.split_at(first);
        assert_eq!(decoder.next(&mut first), Ok(None));
        let (mut at, mut moved) = (decoder.buffer.as_ptr(), 0);
        loop {
            let Some(room) = decoder.room() else {
                let Ok(Some(Frame::Large(body))) = decoder.next(&mut rest) else { panic!("a large body") };
                assert!(rest.is_empty());
                moved += usize::from(body.as_ptr() != at);
                return (body, moved);
            };
            let (piece, behind) = rest.split_at(most.min(room.most));
            room.body.extend_from_slice(piece);
            moved += usize::from(std::mem::replace(&mut at, room.body.as_ptr()) != room.body.as_ptr());
            rest = behind;
            let came = frame.len() - rest.len();
            assert!(decoder.allocated() >= came - 8, "{} of {came}", decoder.allocated());
            if !rest.is_empty() {
                assert_eq!(decoder.next(&mut &[][..]), Ok(None));
            }
        }
    }

    #[test]
    fn the_rest_of_a_large_body_is_put_where_it_stays() {
        for (first, most) in [(WORTH_A_READ + 8, 1), (64 << 10, 5_000), (100_000, usize::MAX)] {
            let frame = frame(300_000);
            let mut decoder = Decoder::new(Framing::Tcp, MAX);
            let (body, _) = place(&mut decoder, &frame, first, most);
            assert!(body[..] == frame[8..] && body.capacity() == body.len());
            assert_eq!((decoder.allocated(), decoder.unfinished(), decoder.room().is_none()), (0, false, true));
        }
    }

    #[test]
    fn a_body_of_the_size_of_the_one_before_is_never_moved_and_nothing_else_is_allocated_by_a_claim() {
        const LEN: usize = 1 << 20;
        let (mut decoder, first) = (Decoder::new(Framing::Tcp, MAX), 64 << 10);
        place(&mut decoder, &frame(LEN), first, usize::MAX);
        // Values of a camera, of which no two are of the same length.
        for len in [LEN, LEN + 20, LEN - 20, LEN / 2] {
            let (body, moved) = place(&mut decoder, &frame(len), first, usize::MAX);
            assert_eq!((body.len(), body.capacity(), moved), (len, len, 0));
        }
        // One that claims more has no more than came before, twice at most, and only once.
        let claim = frame_head(Framing::Tcp, MAX);
        assert_eq!(decoder.next(&mut &claim[..]), Ok(None));
        assert!(decoder.allocated() <= LEN, "{} bytes", decoder.allocated());
        let mut rest = &vec![0; MAX][..];
        assert!(matches!(decoder.next(&mut rest), Ok(Some(Frame::Large(_)))));
        decoder.credit = 0;
        assert_eq!(decoder.next(&mut &claim[..]), Ok(None));
        assert_eq!((decoder.allocated(), decoder.room().is_none()), (0, true));
    }

    #[test]
    fn a_small_buffer_is_kept() {
        let mut decoder = Decoder::new(Framing::Tcp, MAX);
        let stream = [&frame_head(Framing::Tcp, 100)[..], &[7; 100]].concat();
        for _ in 0..3 {
            assert_eq!(decoder.next(&mut &stream[..50]), Ok(None));
            let mut input = &stream[50..];
            assert_eq!(decoder.next(&mut input), Ok(Some(Frame::Body(&[7; 100]))));
            assert_eq!(decoder.next(&mut input), Ok(None));
            assert_eq!(decoder.allocated(), 100);
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_told_once_and_skipped() {
        let mut decoder = Decoder::new(Framing::Tcp, 10);
        let stream = [&frame_head(Framing::Tcp, 11)[..], &[7; 11], &frame_head(Framing::Tcp, 1), b"a"].concat();
        let mut input = &stream[..10];
        assert_eq!(decoder.next(&mut input), Ok(Some(Frame::TooLarge(11))));
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert!(decoder.unfinished());
        let mut input = &stream[10..];
        assert_eq!(decoder.next(&mut input), Ok(Some(Frame::Body(b"a"))));
        assert_eq!(decoder.allocated(), 0);
    }

    #[test]
    fn a_new_limit_holds_from_the_next_frame_on() {
        let mut decoder = Decoder::new(Framing::Tcp, 10);
        let stream = [&frame_head(Framing::Tcp, 5)[..], b"hello"].concat();
        assert_eq!(decoder.next(&mut &stream[..9]), Ok(None));
        decoder.set_max(4);
        assert_eq!(decoder.next(&mut &stream[9..]), Ok(Some(Frame::Body(b"hello"))));
        assert_eq!(decoder.next(&mut &stream[..]), Ok(Some(Frame::TooLarge(5))));
    }

    #[test]
    fn the_errors_say_what_is_wrong() {
        let words = |bytes: &[u8; 8]| parse_header(bytes).expect_err("not a header").to_string();
        assert_eq!(words(b"HTTP/1.1"), "not an SP header: it begins with \"HTTP\"");
        let tls = "not an SP header: the other side speaks TLS, and this one does not at this address";
        assert_eq!(words(b"\x16\x03\x01\x00\xf4\x01\x00\x00"), tls);
        assert!(words(b"\0SP\0\0\x10\0\0").contains("protocol 0x10, not BUS (0x70)"));
        assert!(words(b"\0SP\0\0\x70\x01\0").contains("are 01 00: "));
        assert!(FrameError::BadMark(2).to_string().contains("0x02"));
        let text = FrameError::NoLength(*b"GET / HT").to_string();
        assert_eq!(text, "not a frame: its length would be 5135603447292250196, in the bytes \"GET / HT\"");
        let hex = FrameError::NoLength([0xFF, 0, 1, 2, 3, 4, 5, 6]).to_string();
        assert!(hex.ends_with("in the bytes FF 00 01 02 03 04 05 06"), "{hex}");
    }

    #[test]
    fn a_length_beyond_any_limit_breaks_the_stream() {
        for framing in [Framing::Tcp, Framing::Ipc, Framing::Inproc] {
            for (len, absurd) in [(ABSURD_FRAME, false), (ABSURD_FRAME + 1, true), (7 * 10u64.pow(18), true)] {
                let mut decoder = Decoder::new(framing, MAX);
                let head = frame_head(framing, len as usize);
                let found = decoder.next(&mut &head[..]);
                if absurd {
                    assert_eq!(found, Err(FrameError::NoLength(len.to_be_bytes())));
                    assert!(decoder.next(&mut &frame_head(framing, 0)[..]).is_err());
                } else {
                    assert_eq!(found, Ok(Some(Frame::TooLarge(len))));
                }
            }
        }
    }
}
