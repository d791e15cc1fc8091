//! Connections of attackers: they say what they like, and read only if they like.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nanostate::framing::http::client::{AnswerError, Request};
use nanostate::framing::http::PROTOCOL;
use nanostate::framing::ws::{self, Masks};
use nanostate::framing::{self, Decoder, Frame, Framing, Sp, Version, HEADER_LEN};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta, Stamp, Value};
use nanostate::Kind;
use socket2::{Domain, SockAddr, Socket, Type};

/// Accepts no kind that anybody sends: for a publisher.
pub const ACCEPT_NONE: u32 = Kind::Nil.mask();
/// Accepts what attackers send, and nothing of the honest programs.
pub const ACCEPT_ATTACKS: u32 = Kind::Text.mask();

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Peer {
    socket: Socket,
    framing: Framing,
    /// Those of a WebSocket.
    masks: Option<Masks>,
    form: Form,
    identity: String,
    decoder: Decoder,
    /// Bytes that wait to be written, of which those before `written` are.
    output: Vec<u8>,
    written: usize,
}

impl Peer {
    /// Connects and says nothing.
    pub fn silent(url: &str) -> io::Result<Peer> {
        let url = url.split_once('+').map_or(url, |(_, url)| url);
        let (domain, address, framing) = match url.split_once("://") {
            Some(("ipc", path)) => (Domain::UNIX, SockAddr::unix(path)?, Framing::Ipc),
            Some((scheme, place)) => {
                let address = place.split('/').next().and_then(|address| address.parse().ok());
                let address: std::net::SocketAddr = address.ok_or(ErrorKind::InvalidInput)?;
                let framing = if scheme == "ws" { Framing::WsClient } else { Framing::Tcp };
                (Domain::for_address(address), address.into(), framing)
            }
            None => return Err(ErrorKind::InvalidInput.into()),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.connect(&address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        if domain != Domain::UNIX {
            socket.set_tcp_nodelay(true)?;
        }
        let decoder = Decoder::new(framing, usize::MAX);
        let identity = String::new();
        Ok(Peer { socket, framing, masks: None, form: Form::Old, identity, decoder, output: Vec::new(), written: 0 })
    }

    /// An app, whose hello is written and whose welcome is not read.
    pub fn app(url: &str, identity: &str, accept: u32) -> io::Result<Peer> {
        let mut peer = Peer::silent(url)?;
        if peer.framing == Framing::WsClient {
            peer = peer.upgraded(url)?;
        } else {
            peer.output.extend_from_slice(&framing::header(Version::V1));
        }
        peer.form = Form::V1;
        identity.clone_into(&mut peer.identity);
        peer.put_control(&Control::Hello {
            instance: peer.instance(),
            epoch: 1,
            accept,
            flags: HelloFlags::default(),
            time: None,
            secret: None,
            token: None,
            features: Features::NONE,
        });
        peer.write()?;
        if peer.masks.is_none() {
            peer.read_header()?;
        }
        Ok(peer)
    }

    /// Asks for a WebSocket, again and again: the hub hears one address only so often.
    fn upgraded(mut self, url: &str) -> io::Result<Peer> {
        const AGAIN: Duration = Duration::from_millis(50);
        let (host, path) = url.trim_start_matches("ws://").split_once('/').ok_or(ErrorKind::InvalidInput)?;
        loop {
            let request = Request::write(host, &format!("/{path}"), PROTOCOL, [7; 16], &mut self.output);
            self.write()?;
            let mut answer = Vec::new();
            loop {
                // What follows the answer is left where it is.
                answer.push(0);
                let last = answer.len() - 1;
                (&self.socket).read_exact(&mut answer[last..])?;
                match request.answer(&answer, last) {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        self.masks = Some(Masks::new([7; 16]));
                        return Ok(self);
                    }
                    Err(AnswerError::Status(429, _)) => break,
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            std::thread::sleep(AGAIN);
            self = Peer::silent(url)?;
        }
    }

    /// A program of the original. It may name any sender.
    pub fn old(url: &str) -> io::Result<Peer> {
        let mut peer = Peer::silent(url)?;
        peer.send(&framing::header(Version::Old))?;
        peer.read_header()?;
        Ok(peer)
    }

    /// A client of a gateway, which speaks this protocol.
    pub fn client(url: &str, protocol: Sp) -> io::Result<Peer> {
        let mut peer = Peer::silent(url)?;
        peer.send(&framing::gateway_header(protocol))?;
        peer.read_header()?;
        Ok(peer)
    }

    fn read_header(&mut self) -> io::Result<()> {
        (&self.socket).read_exact(&mut [0; HEADER_LEN])
    }

    /// Made of the identity, so that attackers differ.
    fn instance(&self) -> Instance {
        let mut bytes = [0; 16];
        for (i, byte) in self.identity.bytes().enumerate() {
            bytes[i % 16] ^= byte.rotate_left((i / 16) as u32);
        }
        Instance(bytes)
    }

    /// Adds a frame to what is written next.
    pub fn put(&mut self, body: &[u8]) {
        if let Some(masks) = &mut self.masks {
            return ws::message(&[body], masks, &mut self.output);
        }
        self.output.extend_from_slice(&framing::frame_head(self.framing, body.len()));
        self.output.extend_from_slice(body);
    }

    /// Adds a state of this app over a WebSocket, in fragments of one byte.
    pub fn put_fragments(&mut self, name: &str, text: &str) {
        // Not masked, which is a mask of zeros.
        const FRAGMENT: [u8; 6] = [0, 0x81, 0, 0, 0, 0];
        let body = self.state(name, text);
        let at = self.output.len();
        for byte in body {
            self.output.extend_from_slice(&FRAGMENT);
            self.output.push(byte);
        }
        self.output[at] = 0x02;
        let last = self.output.len() - FRAGMENT.len() - 1;
        self.output[last] |= 0x80;
    }

    /// Adds a ping of a WebSocket.
    pub fn put_web_ping(&mut self) {
        ws::ping(self.masks.as_mut(), &mut self.output);
    }

    /// Adds the head of a frame whose body comes some other time, or never.
    pub fn put_head(&mut self, len: usize) {
        self.output.extend_from_slice(&framing::frame_head(self.framing, len));
    }

    /// Adds bytes as they are.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    pub fn put_control(&mut self, control: &Control<'_>) {
        let mut body = Vec::new();
        control.encode(&self.identity, &mut body);
        self.put(&body);
    }

    /// Adds a state of this app.
    pub fn put_state(&mut self, name: &str, text: &str) {
        let body = self.state(name, text);
        self.put(&body);
    }

    fn state(&self, name: &str, text: &str) -> Vec<u8> {
        let stamp = Stamp { clock: now(), instance: self.instance() };
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        let mut body = Vec::new();
        wire::encode_value(&mut body, Form::V1, &self.identity, name, Value::Text(text), &meta);
        body
    }

    /// Adds a state of any sender, from an old program.
    pub fn put_state_of(&mut self, sender: &str, name: &str, text: &str) {
        let mut body = Vec::new();
        wire::encode_value(&mut body, Form::Old, sender, name, Value::Text(text), &Meta::default());
        self.put(&body);
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.output.len() - self.written
    }

    /// Writes what was added.
    pub fn write(&mut self) -> io::Result<()> {
        let result = (&self.socket).write_all(&self.output[self.written..]);
        self.output.clear();
        self.written = 0;
        result
    }

    /// Writes what the connection takes at once, and says how much.
    pub fn write_some(&mut self) -> io::Result<usize> {
        self.socket.set_nonblocking(true)?;
        let result = (&self.socket).write(&self.output[self.written..]);
        self.socket.set_nonblocking(false)?;
        let written = match result {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.written += written;
        if self.waiting() == 0 {
            self.output.clear();
            self.written = 0;
        }
        Ok(written)
    }

    /// Writes bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put_bytes(bytes);
        self.write()
    }

    /// Reads so many bytes and forgets them.
    pub fn skip(&mut self, n: usize) -> io::Result<()> {
        (&self.socket).read_exact(&mut vec![0; n])
    }

    /// Makes its system keep few unread bytes for it.
    pub fn keep_little(&self) -> io::Result<()> {
        self.socket.set_recv_buffer_size(4096)
    }

    /// Says that nothing more comes, and waits until the hub has read all and closed.
    pub fn leave(self) -> io::Result<()> {
        self.socket.shutdown(std::net::Shutdown::Write)?;
        let mut bytes = vec![0; 1 << 16];
        while (&self.socket).read(&mut bytes)? > 0 {}
        Ok(())
    }

    /// Reads messages until one is `wanted`, and gives its length.
    fn read_until(&mut self, wanted: impl Fn(&[u8]) -> bool) -> io::Result<usize> {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let n = (&self.socket).read(&mut bytes)?;
            if n == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let mut rest = &bytes[..n];
            while let Some(frame) = self.decoder.next(&mut rest).map_err(io::Error::other)? {
                let body: &[u8] = match &frame {
                    Frame::Body(body) => body,
                    Frame::Large(body) => body,
                    Frame::TooLarge(_) | Frame::NoMemory { .. } | Frame::Text(_) => continue,
                };
                if wanted(body) {
                    return Ok(body.len());
                }
            }
        }
    }

    /// Waits until the hub has done all that this app sent; reads what comes meanwhile.
    pub fn sync(&mut self) -> io::Result<()> {
        const TOKEN: u64 = 0x5359_4E43;
        self.put_control(&Control::Ping { token: TOKEN });
        self.write()?;
        self.read_until(|body| {
            let body = wire::decode(body, Form::V1).ok().filter(|body| body.is_reserved());
            matches!(body.map(|body| Control::decode(&body)), Some(Ok(Control::Pong { token: TOKEN, .. })))
        })
        .map(drop)
    }

    /// Asks the hub for a sign of life.
    pub fn ping(&mut self) -> io::Result<()> {
        self.put_control(&Control::Ping { token: 1 });
        self.write()
    }

    /// Reads once, and asks anew for each answer to [`Peer::ping`] that came. Returns how many those are.
    pub fn ping_again(&mut self, buffer: &mut [u8]) -> io::Result<u64> {
        /// An answer is shorter, and the states of the publisher are longer.
        const ANSWER: usize = 100;
        let n = (&self.socket).read(buffer)?;
        if n == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (mut rest, mut answers) = (&buffer[..n], 0);
        while let Some(frame) = self.decoder.next(&mut rest).map_err(io::Error::other)? {
            let Frame::Body(body) = frame else { continue };
            let body = Some(body).filter(|body| body.len() < ANSWER).and_then(|body| wire::decode(body, Form::V1).ok());
            answers += u64::from(matches!(body.map(|body| Control::decode(&body)), Some(Ok(Control::Pong { .. }))));
        }
        for _ in 0..answers {
            self.ping()?;
        }
        Ok(answers)
    }

    /// Adds a request, in JSON.
    pub fn put_request(&mut self, request: &str) {
        // The number of a request, with the bit that ends a trace.
        let mut message = 0x8000_0001_u32.to_be_bytes().to_vec();
        wire::to_msgpack(request, &mut message).expect("requests are JSON");
        self.put(&message);
    }

    /// Asks, and gives the length of the answer.
    pub fn ask(&mut self, request: &str) -> io::Result<usize> {
        self.put_request(request);
        self.write()?;
        self.read_until(|_| true)
    }
}

impl AsRawFd for Peer {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The logical time of a stamp made now.
fn now() -> LogicalTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogicalTime::from_bits((since.as_micros() as u64 / 1000) << 16 | (since.subsec_nanos() as u64 % 1_000_000) >> 4)
}
