//! The scalability protocols, written and read by the test itself, on both ends of a connection.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use nanostate::framing::{self, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::time::{LogicalTime, WallTime};
use nanostate::wire::{self, Body, Control, Features, Form, HelloFlags, Instance, Meta, Stamp, Value};
use socket2::{Domain, SockAddr, Socket, Type};

use super::PATIENCE;

/// A connection that does what the test says.
pub struct Raw {
    socket: Socket,
    framing: Framing,
    form: Form,
    identity: String,
    decoder: Decoder,
    /// Bytes that came, of which those before `taken` are done with.
    input: Vec<u8>,
    taken: usize,
}

fn address(url: &str) -> (Domain, SockAddr, Framing) {
    if let Some(path) = url.strip_prefix("ipc://") {
        (Domain::UNIX, SockAddr::unix(path).unwrap(), Framing::Ipc)
    } else {
        let address: std::net::SocketAddr = url.strip_prefix("tcp://").unwrap().parse().unwrap();
        (Domain::for_address(address), address.into(), Framing::Tcp)
    }
}

impl Raw {
    fn new(socket: Socket, framing: Framing, form: Form, identity: &str) -> Raw {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Raw {
            socket,
            framing,
            form,
            identity: identity.to_owned(),
            decoder: Decoder::new(framing, usize::MAX),
            input: Vec::new(),
            taken: 0,
        }
    }

    /// Connects and says nothing.
    pub fn dial(url: &str) -> Raw {
        let (domain, address, framing) = address(url);
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        socket.connect(&address).unwrap_or_else(|error| panic!("{url}: {error}"));
        if framing == Framing::Tcp {
            socket.set_tcp_nodelay(true).unwrap();
        }
        Raw::new(socket, framing, Form::Old, "")
    }

    /// An old program: the header is exchanged.
    pub fn old(url: &str, identity: &str) -> Raw {
        let mut raw = Raw::dial(url);
        raw.identity = identity.to_owned();
        raw.write(&framing::header(Version::Old));
        assert_eq!(raw.read_header(), Some(Version::Old));
        raw
    }

    /// An app: header and hello are exchanged.
    pub fn v1(url: &str, identity: &str) -> Raw {
        let mut raw = Raw::dial(url);
        identity.clone_into(&mut raw.identity);
        raw.form = Form::V1;
        raw.write(&framing::header(Version::V1));
        assert_eq!(raw.read_header(), Some(Version::V1));
        raw.send_control(&Control::Hello {
            instance: raw.instance(),
            epoch: 1,
            accept: wire::ACCEPT_ANY,
            flags: HelloFlags::default(),
            time: None,
            secret: None,
            token: None,
            features: Features::NONE,
        });
        let bytes = raw.receive().unwrap_or_else(|| panic!("{identity} is not welcome"));
        let body = raw.decode(&bytes);
        assert!(matches!(Control::decode(&body), Ok(Control::Welcome { .. })), "{body:?}");
        raw
    }

    /// The instance of this identity.
    pub fn instance(&self) -> Instance {
        let mut bytes = [0; 16];
        let identity = self.identity.as_bytes();
        let n = identity.len().min(16);
        bytes[..n].copy_from_slice(&identity[..n]);
        Instance(bytes)
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap_or_else(|error| panic!("{}: {error}", self.identity));
    }

    /// Writes bytes as they are, and tells whether that was possible.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// The header of the other side; none when it closed before.
    pub fn read_header(&mut self) -> Option<Version> {
        while self.input.len() - self.taken < HEADER_LEN {
            if !self.fill(PATIENCE) {
                return None;
            }
        }
        let header = self.input[self.taken..self.taken + HEADER_LEN].try_into().unwrap();
        self.taken += HEADER_LEN;
        Some(framing::parse_header(&header).unwrap())
    }

    /// Appends the frame of a body, for many in one write.
    pub fn frame(&self, body: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&framing::frame_head(self.framing, body.len()));
        out.extend_from_slice(body);
    }

    /// Sends any bytes as a message.
    pub fn send_raw(&mut self, body: &[u8]) {
        let mut out = Vec::with_capacity(body.len() + 16);
        self.frame(body, &mut out);
        self.write(&out);
    }

    /// A body in the form of this link. `clock` is that of the stamp.
    pub fn body(&self, name: &str, value: Value<'_>, clock: u64) -> Vec<u8> {
        let mut data = Vec::new();
        value.encode(&mut data);
        let stamp = Stamp { clock: LogicalTime::from_bits(clock), instance: self.instance() };
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        let mut out = Vec::new();
        wire::encode(&mut out, self.form, &self.identity, name, &data, &meta);
        out
    }

    /// Sends a state, stamped with now.
    pub fn send(&mut self, name: &str, value: Value<'_>) {
        let body = self.body(name, value, clock());
        self.send_raw(&body);
    }

    pub fn send_control(&mut self, control: &Control<'_>) {
        let mut body = Vec::new();
        control.encode(&self.identity, &mut body);
        self.send_raw(&body);
    }

    /// As a hub: lets the app in.
    pub fn welcome(&mut self, max_message: u64) {
        self.send_control(&Control::Welcome {
            instance: self.instance(),
            max_message,
            wall: WallTime::from_millis(clock() >> 16),
            time: None,
            features: Features::NONE,
        });
    }

    /// Waits until the hub has done all that was sent before; other messages that come are thrown away.
    pub fn sync(&mut self) {
        let token = 0x5359_4E43;
        self.send_control(&Control::Ping { token });
        loop {
            let bytes = self.receive().expect("the hub answers a ping");
            let body = wire::decode(&bytes, Form::V1).unwrap();
            let control = body.is_reserved().then(|| Control::decode(&body));
            if matches!(control, Some(Ok(Control::Pong { token: answered, .. })) if answered == token) {
                return;
            }
        }
    }

    /// The next message; none when the other side has closed.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        self.receive_within(PATIENCE).unwrap_or_else(|| panic!("{} gets nothing", self.identity))
    }

    /// The next message; `Some(None)` when the other side has closed, `None` when none came.
    pub fn receive_within(&mut self, time: Duration) -> Option<Option<Vec<u8>>> {
        let end = Instant::now() + time;
        loop {
            let mut rest = &self.input[self.taken..];
            let frame = self.decoder.next(&mut rest).unwrap().map(|frame| match frame {
                Frame::Body(body) => body.to_vec(),
                Frame::Large(body) => body.to_vec(),
                other => panic!("{other:?}"),
            });
            self.taken = self.input.len() - rest.len();
            if frame.is_some() {
                return Some(frame);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            match self.try_fill(left) {
                Ok(true) => {}
                Ok(false) => return Some(None),
                Err(_) => return None,
            }
        }
    }

    /// Waits for the state `name`; gives all messages up to it.
    pub fn receive_until(&mut self, name: &str) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let bytes = self.receive().unwrap_or_else(|| panic!("{}: closed", self.identity));
            let found = self.decode(&bytes).name() == name;
            all.push(bytes);
            if found {
                return all;
            }
        }
    }

    /// Waits until the other side closes; gives the messages before.
    pub fn closed(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive()).collect()
    }

    /// A body of this link.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Body<'a> {
        wire::decode(bytes, self.form).unwrap_or_else(|error| panic!("{}: {error}: {bytes:02x?}", self.identity))
    }

    fn fill(&mut self, time: Duration) -> bool {
        self.try_fill(time).unwrap_or_else(|error| panic!("{}: {error}", self.identity))
    }

    /// Reads some; `false` when the other side has closed.
    fn try_fill(&mut self, time: Duration) -> io::Result<bool> {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1))))?;
        let mut bytes = vec![0; 1 << 16];
        match self.socket.read(&mut bytes) {
            Ok(n) => {
                self.input.extend_from_slice(&bytes[..n]);
                Ok(n > 0)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The clock of a stamp made now.
pub fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (now.as_millis() as u64) << 16
}

/// A hub that does what the test says.
pub struct RawListener {
    socket: Socket,
    framing: Framing,
    url: String,
}

impl RawListener {
    pub fn new(url: &str) -> RawListener {
        let (domain, address, framing) = address(url);
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        if framing == Framing::Tcp {
            socket.set_reuse_address(true).unwrap();
        }
        socket.bind(&address).unwrap_or_else(|error| panic!("{url}: {error}"));
        socket.listen(64).unwrap();
        let url = match socket.local_addr().unwrap().as_socket() {
            Some(address) => format!("tcp://{address}"),
            None => url.to_owned(),
        };
        RawListener { socket, framing, url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next connection, on which nothing has been said.
    pub fn accept(&self) -> Raw {
        self.socket.set_nonblocking(true).unwrap();
        let socket = super::eventually("a connection", || self.socket.accept().ok()).0;
        socket.set_nonblocking(false).unwrap();
        Raw::new(socket, self.framing, Form::Old, "$ns")
    }

    /// The next connection as an old hub, which closes what comes with a header that it does not know, as NNG does.
    pub fn accept_old(&self) -> Raw {
        loop {
            let mut raw = self.accept();
            raw.write(&framing::header(Version::Old));
            if raw.read_header() == Some(Version::Old) {
                return raw;
            }
        }
    }

    /// The next connection of an app that has said hello and been told nothing; gives also that body.
    pub fn accept_hello(&self) -> (Raw, Vec<u8>) {
        let mut raw = self.accept();
        assert_eq!(raw.read_header(), Some(Version::V1));
        raw.form = Form::V1;
        raw.write(&framing::header(Version::V1));
        let hello = raw.receive().expect("a hello");
        let body = wire::decode(&hello, Form::V1).unwrap();
        assert!(matches!(Control::decode(&body), Ok(Control::Hello { .. })));
        (raw, hello)
    }

    /// The next connection as a hub of ours; gives also the identity of the app.
    pub fn accept_v1(&self, max_message: u64) -> (Raw, String) {
        let (mut raw, hello) = self.accept_hello();
        raw.welcome(max_message);
        let identity = raw.decode(&hello).sender().to_owned();
        (raw, identity)
    }
}
