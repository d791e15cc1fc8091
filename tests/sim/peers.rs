//! The others: old peers, an old hub, and who sends whatever it likes.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;

use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use nanostate::framing::{frame_head, header, parse_header, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::time::MonoTime;
use nanostate::wire::{self, Form, Meta};
use nanostate::{Error, Kind};

use super::{body, value};

/// One connection of a scripted process.
pub struct Line {
    pub framing: Framing,
    pub header: Vec<u8>,
    pub decoder: Decoder,
    pub out: VecDeque<u8>,
    pub flushing: bool,
}

impl Line {
    fn new(framing: Framing) -> Line {
        let decoder = Decoder::new(framing, 64 << 20);
        Line { framing, header: Vec::new(), decoder, out: VecDeque::new(), flushing: false }
    }

    fn frame(&mut self, body: &[u8]) {
        self.out.extend(&*frame_head(self.framing, body.len()));
        self.out.extend(body);
    }

    /// What came behind the header, body by body.
    fn bodies(&mut self, mut input: &[u8], mut each: impl FnMut(&[u8])) {
        if self.framing.has_handshake() && self.header.len() < HEADER_LEN {
            let n = input.len().min(HEADER_LEN - self.header.len());
            self.header.extend_from_slice(&input[..n]);
            input = &input[n..];
            if self.header.len() < HEADER_LEN {
                return;
            }
        }
        loop {
            match self.decoder.next(&mut input).expect("whole frames only") {
                Some(Frame::Body(body)) => each(body),
                Some(Frame::Large(body)) => each(&body),
                Some(other) => panic!("{other:?}"),
                None => return,
            }
        }
    }

    fn header(&self) -> Option<Version> {
        let bytes: [u8; HEADER_LEN] = self.header[..].try_into().ok()?;
        Some(parse_header(&bytes).expect("a header"))
    }
}

/// The lines of a scripted process, and what it asks its driver for.
#[derive(Default)]
pub struct Lines {
    pub lines: BTreeMap<ConnId, Line>,
    actions: VecDeque<Action>,
}

impl Lines {
    fn flush(&mut self, conn: ConnId) {
        if let Some(line) = self.lines.get_mut(&conn) {
            if !std::mem::replace(&mut line.flushing, true) {
                self.actions.push_back(Action::Flush(conn));
            }
        }
    }

    fn gather<'a>(&'a mut self, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
        if let Some(line) = self.lines.get_mut(&conn) {
            line.flushing = false;
            let (a, b) = line.out.as_slices();
            slices.extend([a, b].into_iter().filter(|slice| !slice.is_empty()).map(IoSlice::new));
        }
    }

    fn wrote(&mut self, conn: ConnId, n: usize) -> bool {
        let Some(line) = self.lines.get_mut(&conn) else { return false };
        line.out.drain(..n);
        !line.out.is_empty()
    }
}

/// What is the same for every script.
macro_rules! script {
    () => {
        fn gather<'a>(&'a mut self, _now: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
            self.lines.gather(conn, slices);
        }

        fn wrote(&mut self, _now: Now, conn: ConnId, n: usize) -> bool {
            self.lines.wrote(conn, n)
        }

        fn next_action(&mut self) -> Option<Action> {
            self.lines.actions.pop_front()
        }

        fn deadline(&self) -> Option<MonoTime> {
            None
        }

        fn tick(&mut self, _now: Now) {}

        fn dial_failed(&mut self, _now: Now, _token: u64, _error: Error) {}
    };
}

/// A program of the original: three elements, plain kinds. It stays away once its connection is gone.
pub struct OldPeer {
    pub lines: Lines,
    pub identity: String,
    pub structured: bool,
    pub legacy_max: usize,
    /// The newest value of each key it received.
    pub newest: BTreeMap<(String, String), Vec<u8>>,
    pub received: u64,
    /// The newest values it sent.
    pub sent: BTreeMap<String, Vec<u8>>,
    /// Whether its own states are to come back.
    pub echo: bool,
    pub lost: bool,
}

impl OldPeer {
    pub fn new(identity: &str) -> OldPeer {
        OldPeer {
            lines: Lines::default(),
            identity: identity.into(),
            structured: false,
            legacy_max: nanostate::limits::LEGACY_MAX,
            newest: BTreeMap::new(),
            received: 0,
            sent: BTreeMap::new(),
            echo: false,
            lost: false,
        }
    }

    /// Sends any body.
    pub fn send(&mut self, body: &[u8]) {
        let conns: Vec<_> = self.lines.lines.keys().copied().collect();
        for conn in conns {
            self.lines.lines.get_mut(&conn).expect("a line").frame(body);
            self.lines.flush(conn);
        }
    }

    pub fn publish(&mut self, name: &str, kind: Kind, number: u64, size: usize) {
        let value = value(kind, number, size);
        let body = body(Form::Old, &self.identity, name, &value, &Meta::default());
        self.sent.insert(name.into(), value);
        self.send(&body);
    }
}

impl Protocol for OldPeer {
    fn opened(&mut self, _now: Now, conn: ConnId, info: ConnInfo, _token: Option<u64>) {
        let mut line = Line::new(info.framing);
        line.out.extend(header(Version::Old));
        self.lines.lines.insert(conn, line);
        self.lines.flush(conn);
    }

    fn bytes(&mut self, _now: Now, conn: ConnId, input: &[u8]) {
        let Some(line) = self.lines.lines.get_mut(&conn) else { return };
        let mut bodies = Vec::new();
        line.bodies(input, |body| bodies.push(body.to_vec()));
        for bytes in bodies {
            assert!(bytes.len() <= self.legacy_max, "an old peer gets at most {} bytes", self.legacy_max);
            let body = wire::decode(&bytes, Form::Old).expect("an old peer gets three elements");
            assert!(!body.is_reserved(), "an old peer never gets {}", body.name());
            assert!(body.kind.is_plain() || self.structured, "an old peer never gets a {}", body.kind.name());
            assert!(body.sender() != self.identity || self.echo, "a state goes not back to where it came from");
            self.received += 1;
            self.newest.insert((body.sender().into(), body.name().into()), body.data.to_vec());
        }
    }

    fn closed(&mut self, _now: Now, conn: ConnId, _why: Closed) {
        self.lines.lines.remove(&conn);
        self.lost = true;
    }

    script!();
}

/// A plain BUS hub: passes every body to all others, and keeps nothing for latecomers.
pub struct OldHub {
    pub lines: Lines,
    /// Whether the sender gets it too, as from the original's hub.
    pub echo: bool,
    /// Whether it closes connections whose header has something in the reserved bytes.
    pub strict: bool,
    /// Whether it sends its header before it reads the other one, as NNG does.
    pub header_first: bool,
}

impl OldHub {
    pub fn new(echo: bool, strict: bool, header_first: bool) -> OldHub {
        OldHub { lines: Lines::default(), echo, strict, header_first }
    }
}

impl Protocol for OldHub {
    fn opened(&mut self, _now: Now, conn: ConnId, info: ConnInfo, _token: Option<u64>) {
        let mut line = Line::new(info.framing);
        if self.header_first {
            line.out.extend(header(Version::Old));
        }
        self.lines.lines.insert(conn, line);
        self.lines.flush(conn);
    }

    fn bytes(&mut self, _now: Now, conn: ConnId, input: &[u8]) {
        let Some(line) = self.lines.lines.get_mut(&conn) else { return };
        let mut bodies = Vec::new();
        let had_header = line.header().is_some();
        line.bodies(input, |body| bodies.push(body.to_vec()));
        let version = line.header();
        if !had_header && version.is_some() {
            if self.strict && version == Some(Version::V1) {
                self.lines.lines.remove(&conn);
                self.lines.actions.push_back(Action::Close(conn));
                return;
            }
            if !self.header_first {
                line.out.extend(header(Version::Old));
                self.lines.flush(conn);
            }
        }
        for bytes in bodies {
            let body = wire::decode(&bytes, Form::Old).expect("an old hub gets three elements");
            assert!(!body.is_reserved(), "an old hub never gets {}", body.name());
            assert!(body.kind.is_plain(), "an old hub never gets a {}", body.kind.name());
            assert!(bytes.len() <= nanostate::limits::LEGACY_MAX);
            let others: Vec<_> = self.lines.lines.keys().copied().filter(|&to| to != conn || self.echo).collect();
            for to in others {
                self.lines.lines.get_mut(&to).expect("a line").frame(&bytes);
                self.lines.flush(to);
            }
        }
    }

    fn closed(&mut self, _now: Now, conn: ConnId, _why: Closed) {
        self.lines.lines.remove(&conn);
    }

    script!();
}

/// Sends what the test wants, and ignores what it receives.
#[derive(Default)]
pub struct RawPeer {
    lines: Lines,
    /// Sent once it is connected.
    first: Vec<u8>,
    /// Whether its connection was closed by the other side.
    pub closed: bool,
}

impl RawPeer {
    /// Sends `first` as it is once it is connected.
    pub fn new(first: Vec<u8>) -> RawPeer {
        RawPeer { first, ..RawPeer::default() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        let conns: Vec<_> = self.lines.lines.keys().copied().collect();
        for conn in conns {
            self.lines.lines.get_mut(&conn).expect("a line").out.extend(bytes);
            self.lines.flush(conn);
        }
    }
}

impl Protocol for RawPeer {
    fn opened(&mut self, _now: Now, conn: ConnId, info: ConnInfo, _token: Option<u64>) {
        let mut line = Line::new(info.framing);
        line.out.extend(&self.first);
        self.lines.lines.insert(conn, line);
        self.lines.flush(conn);
    }

    fn bytes(&mut self, _now: Now, _conn: ConnId, _input: &[u8]) {}

    fn closed(&mut self, _now: Now, conn: ConnId, _why: Closed) {
        self.lines.lines.remove(&conn);
        self.closed = true;
    }

    script!();
}
