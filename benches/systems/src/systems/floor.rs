//! The floor: a relay that does nothing else, and clients that read their own socket. What a hub can cost at least.
//!
//! On the wire: a client begins with one byte, whether it wants to receive; then messages, each the length of its body
//! as 8 bytes, big-endian, and the body: the length of the name as 2 bytes, the name, the payload.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::drain::{Drain, FrameCounter};
use crate::system::{hub_role, Crowd, Flow, Handler, Place, Publisher, Result, Role, Subscriber, System};

/// First byte of a client that only publishes.
const PUBLISHES: u8 = b'p';
/// First byte of a client that gets everything that others publish.
const SUBSCRIBES: u8 = b's';

const LENGTH: usize = 8;
const NAME_LENGTH: usize = 2;

/// Bytes of one read.
const READ: usize = 256 * 1024;
/// With more than this for a receiver nothing is read until it has taken it.
const FULL: usize = 4 << 20;
/// Descriptors of one wait.
const EVENTS: usize = 256;
/// A hub that starts is there by then.
const START: Duration = Duration::from_secs(10);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(5);

pub fn systems() -> Vec<Box<dyn System>> {
    vec![
        Box::new(Floor { name: "floor ipc", transport: Transport::Ipc }),
        Box::new(Floor { name: "floor tcp", transport: Transport::Tcp }),
    ]
}

#[derive(Clone, Copy)]
enum Transport {
    Ipc,
    Tcp,
}

struct Floor {
    name: &'static str,
    transport: Transport,
}

fn socket_path(place: &Place) -> PathBuf {
    place.directory.join("relay.sock")
}

fn address(place: &Place) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, place.port).into()
}

impl Floor {
    fn connect(&self, place: &Place, first: u8) -> Result<Connection> {
        let began = Instant::now();
        loop {
            let connected = match self.transport {
                Transport::Ipc => UnixStream::connect(socket_path(place)).map(OwnedFd::from),
                Transport::Tcp => TcpStream::connect(address(place))
                    .and_then(|stream| stream.set_nodelay(true).map(|()| OwnedFd::from(stream))),
            };
            match connected {
                Ok(socket) => {
                    // Only what both kinds of sockets can do is used.
                    let mut socket = UnixStream::from(socket);
                    socket.write_all(&[first]).map_err(|e| format!("cannot write to the relay: {e}"))?;
                    return Ok(Connection { socket, head: Vec::new() });
                }
                Err(error) if began.elapsed() > START => return Err(format!("cannot connect to the relay: {error}")),
                Err(_) => thread::sleep(RETRY),
            }
        }
    }
}

impl System for Floor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        Role::Floor
    }

    fn version(&self) -> Result<String> {
        Ok(env!("CARGO_PKG_VERSION").to_string())
    }

    fn hub(&self, place: &Place) -> Option<Result<Command>> {
        Some(hub_role(self.name, place))
    }

    fn serve_hub(&self, place: &Place) -> Result<()> {
        let listener = match self.transport {
            Transport::Ipc => UnixListener::bind(socket_path(place)).map(OwnedFd::from).and_then(more_backlog),
            Transport::Tcp => TcpListener::bind(address(place)).map(OwnedFd::from).and_then(more_backlog),
        };
        let listener = listener.map_err(|e| format!("cannot listen in {place:?}: {e}"))?;
        let nodelay = matches!(self.transport, Transport::Tcp);
        let relay = listener.try_clone().and_then(|listener| Relay::new(listener, nodelay));
        relay.and_then(|mut relay| relay.run()).map_err(|e| format!("the relay cannot go on: {e}"))
    }

    fn publisher(&self, place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
        Ok(Box::new(self.connect(place, PUBLISHES)?))
    }

    fn subscriber(&self, place: &Place, _identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
        let writer = self.connect(place, SUBSCRIBES)?;
        let reader = writer.socket.try_clone().map_err(|e| format!("cannot share a connection: {e}"))?;
        let names = names.iter().map(ToString::to_string).collect();
        Ok(Box::new(Reader { writer, reader, names, input: vec![0; READ], start: 0, end: 0 }))
    }

    fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
        let connection = |_| Ok((self.connect(place, SUBSCRIBES)?.socket.into(), Box::new(Lengths::default()) as _));
        Ok(Box::new(Drain::new((0..n).map(connection).collect::<Result<Vec<_>>>()?)?))
    }
}

/// The standard library's listen has a backlog of 128 or 4096.
fn more_backlog(listener: OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is an open listener.
    match unsafe { libc::listen(listener.as_raw_fd(), libc::SOMAXCONN) } {
        0 => Ok(listener),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Writes messages, each with one call.
struct Connection {
    socket: UnixStream,
    head: Vec<u8>,
}

impl Publisher for Connection {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        put_head(&mut self.head, name, payload)?;
        let mut slices = &mut [IoSlice::new(&self.head), IoSlice::new(payload)][..];
        while !slices.is_empty() {
            match self.socket.write_vectored(slices) {
                Ok(0) => return Err("the relay takes no bytes".to_string()),
                Ok(n) => IoSlice::advance_slices(&mut slices, n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot write to the relay: {error}")),
            }
        }
        Ok(())
    }
}

/// Makes `head` what stands before a payload.
fn put_head(head: &mut Vec<u8>, name: &str, payload: &[u8]) -> Result<()> {
    let length = u16::try_from(name.len()).map_err(|_| format!("a name of {} bytes", name.len()))?;
    let body = (NAME_LENGTH + name.len() + payload.len()) as u64;
    head.clear();
    head.extend_from_slice(&body.to_be_bytes());
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(name.as_bytes());
    Ok(())
}

/// Reads its own socket.
struct Reader {
    writer: Connection,
    reader: UnixStream,
    names: Vec<String>,
    input: Vec<u8>,
    /// What was read and not looked at.
    start: usize,
    end: usize,
}

impl Publisher for Reader {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        self.writer.publish(name, payload)
    }
}

/// The body of the message at the beginning, or how many bytes the message has, as far as that is known.
fn first_body(bytes: &[u8]) -> std::result::Result<&[u8], usize> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else { return Err(LENGTH) };
    let length = u64::from_be_bytes(*length) as usize;
    rest.get(..length).ok_or(LENGTH + length)
}

fn parts(body: &[u8]) -> Result<(&str, &[u8])> {
    let cut = body.split_first_chunk::<NAME_LENGTH>().and_then(|(length, rest)| {
        let (name, payload) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some((std::str::from_utf8(name).ok()?, payload))
    });
    cut.ok_or_else(|| format!("a body of {} bytes without a name", body.len()))
}

impl Subscriber for Reader {
    fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
        self.reader.set_read_timeout(Some(patience)).map_err(|e| format!("cannot set a time-out: {e}"))?;
        loop {
            let wanted = match first_body(&self.input[self.start..self.end]) {
                Ok(body) => {
                    self.start += LENGTH + body.len();
                    let (name, payload) = parts(body)?;
                    let ours = self.names.is_empty() || self.names.iter().any(|wanted| wanted == name);
                    if ours && handler(&mut self.writer, name, payload) == Flow::Stop {
                        return Ok(true);
                    }
                    continue;
                }
                Err(wanted) => wanted,
            };
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.input.len() < wanted {
                self.input.resize(wanted, 0);
            }
            match self.reader.read(&mut self.input[self.end..]) {
                Ok(0) => return Err("the relay has closed the connection".to_string()),
                Ok(n) => self.end += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(format!("cannot read from the relay: {error}")),
            }
        }
    }
}

/// Where a stream stands, told by lengths only.
#[derive(Clone, Default)]
struct Lengths {
    head: [u8; LENGTH],
    /// Bytes of the head that came.
    have: usize,
    /// Bytes of the body that have not come.
    left: usize,
}

impl Lengths {
    /// Takes bytes; how many messages ended in them, and where the last one did.
    fn advance(&mut self, bytes: &[u8]) -> (u64, usize) {
        let (mut count, mut ended, mut at) = (0, 0, 0);
        while at < bytes.len() {
            if self.have < LENGTH {
                let n = (LENGTH - self.have).min(bytes.len() - at);
                self.head[self.have..self.have + n].copy_from_slice(&bytes[at..at + n]);
                self.have += n;
                at += n;
                if self.have < LENGTH {
                    break;
                }
                self.left = u64::from_be_bytes(self.head) as usize;
            }
            let n = self.left.min(bytes.len() - at);
            self.left -= n;
            at += n;
            if self.left == 0 {
                self.have = 0;
                count += 1;
                ended = at;
            }
        }
        (count, ended)
    }

    /// Whether it stands inside a message.
    fn inside(&self) -> bool {
        self.have > 0
    }
}

impl FrameCounter for Lengths {
    fn count(&mut self, bytes: &[u8]) -> u64 {
        self.advance(bytes).0
    }
}

/// A client of the relay.
struct Peer {
    socket: OwnedFd,
    /// Unknown until its first byte has come.
    receives: Option<bool>,
    stream: Lengths,
    /// What it has sent while somebody else was in the middle of a message.
    held: Vec<u8>,
    /// What it has not taken.
    out: VecDeque<u8>,
    /// What epoll waits for.
    interest: u32,
}

/// One thread: reads from a connection, writes to every other one.
///
/// Parts of messages are passed on as they come. Until the end of a message nothing of others goes out.
struct Relay {
    epoll: OwnedFd,
    listener: OwnedFd,
    nodelay: bool,
    peers: Vec<Option<Peer>>,
    /// Who is in the middle of a message.
    speaker: Option<usize>,
    /// Receivers with too much waiting for them.
    full: usize,
    buffer: Vec<u8>,
}

/// What epoll tells of the listener.
const LISTENER: u64 = u64::MAX;

impl Relay {
    fn new(listener: OwnedFd, nodelay: bool) -> io::Result<Relay> {
        // SAFETY: no memory is passed.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open and owned by nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let buffer = vec![0; READ];
        let relay = Relay { epoll, listener, nodelay, peers: Vec::new(), speaker: None, full: 0, buffer };
        relay.control(libc::EPOLL_CTL_ADD, relay.listener.as_raw_fd(), libc::EPOLLIN as u32, LISTENER)?;
        Ok(relay)
    }

    fn control(&self, what: i32, fd: RawFd, events: u32, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: key };
        // SAFETY: both descriptors are open; the event lives until the call returns.
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        loop {
            // SAFETY: the array has EVENTS elements.
            let ready = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, -1) };
            if ready < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            for event in &events[..ready.max(0) as usize] {
                let (key, what) = (event.u64, event.events);
                if key == LISTENER {
                    self.accept()?;
                    continue;
                }
                if what & libc::EPOLLOUT as u32 != 0 {
                    self.write_rest(key as usize)?;
                }
                if what & !(libc::EPOLLOUT as u32) != 0 {
                    self.read(key as usize)?;
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let null = std::ptr::null_mut();
        // SAFETY: no address is asked for.
        let socket = unsafe { libc::accept4(self.listener.as_raw_fd(), null, null.cast(), flags) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open and owned by nobody else.
        let mut socket = unsafe { OwnedFd::from_raw_fd(socket) };
        if self.nodelay {
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            socket = stream.into();
        }
        let index = self.peers.iter().position(Option::is_none).unwrap_or_else(|| {
            self.peers.push(None);
            self.peers.len() - 1
        });
        let interest = self.reading(false);
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), interest, index as u64)?;
        let (held, out) = (Vec::new(), VecDeque::new());
        let stream = Lengths::default();
        self.peers[index] = Some(Peer { socket, receives: None, stream, held, out, interest });
        Ok(())
    }

    /// What is waited for to read from somebody, of whom something may be held.
    fn reading(&self, held: bool) -> u32 {
        if self.full > 0 || held {
            0
        } else {
            libc::EPOLLIN as u32
        }
    }

    fn update_interest(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = &self.peers[index] else { return Ok(()) };
        let writing = if peer.out.is_empty() { 0 } else { libc::EPOLLOUT as u32 };
        let interest = self.reading(!peer.held.is_empty()) | writing;
        if interest != peer.interest {
            self.control(libc::EPOLL_CTL_MOD, peer.socket.as_raw_fd(), interest, index as u64)?;
        }
        if let Some(peer) = &mut self.peers[index] {
            peer.interest = interest;
        }
        Ok(())
    }

    fn update_all(&mut self) -> io::Result<()> {
        (0..self.peers.len()).try_for_each(|index| self.update_interest(index))
    }

    fn read(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = &mut self.peers[index] else { return Ok(()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = receive(&peer.socket, &mut buffer);
        let outcome = match read {
            Ok(0) => self.close(index),
            Ok(n) => self.take(index, &buffer[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(_) => self.close(index),
        };
        self.buffer = buffer;
        outcome
    }

    /// Passes on what came from somebody, or holds it while it is not his turn.
    fn take(&mut self, index: usize, mut bytes: &[u8]) -> io::Result<()> {
        let Some(peer) = &mut self.peers[index] else { return Ok(()) };
        if peer.receives.is_none() {
            peer.receives = Some(bytes[0] == SUBSCRIBES);
            bytes = &bytes[1..];
            if bytes.is_empty() {
                return Ok(());
            }
        }
        if self.speaker.is_some_and(|speaker| speaker != index) {
            peer.held.extend_from_slice(bytes);
            return self.update_interest(index);
        }
        peer.stream.advance(bytes);
        let inside = peer.stream.inside();
        self.pass_on(index, bytes)?;
        let spoke = std::mem::replace(&mut self.speaker, inside.then_some(index));
        if spoke.is_some() && !inside {
            self.release()?;
        }
        Ok(())
    }

    /// Takes what was held, until somebody is in the middle of a message again.
    fn release(&mut self) -> io::Result<()> {
        for index in 0..self.peers.len() {
            if self.speaker.is_some() {
                break;
            }
            let held = self.peers[index].as_mut().map(|peer| std::mem::take(&mut peer.held)).unwrap_or_default();
            if !held.is_empty() {
                self.take(index, &held)?;
                self.update_interest(index)?;
            }
        }
        Ok(())
    }

    fn pass_on(&mut self, from: usize, bytes: &[u8]) -> io::Result<()> {
        let full = self.full;
        for index in 0..self.peers.len() {
            let Some(peer) = self.peers[index].as_mut().filter(|peer| index != from && peer.receives == Some(true))
            else {
                continue;
            };
            if !peer.out.is_empty() {
                let was_full = peer.out.len() > FULL;
                peer.out.extend(bytes);
                self.full += usize::from(!was_full && peer.out.len() > FULL);
                continue;
            }
            match send(&peer.socket, bytes) {
                Ok(n) if n == bytes.len() => {}
                Ok(n) => {
                    peer.out.extend(&bytes[n..]);
                    self.full += usize::from(peer.out.len() > FULL);
                    self.update_interest(index)?;
                }
                Err(_) => self.close(index)?,
            }
        }
        if (full > 0) != (self.full > 0) {
            self.update_all()?;
        }
        Ok(())
    }

    fn write_rest(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = &mut self.peers[index] else { return Ok(()) };
        let was_full = peer.out.len() > FULL;
        while !peer.out.is_empty() {
            let (first, _) = peer.out.as_slices();
            match send(&peer.socket, first) {
                Ok(0) => break,
                Ok(n) => drop(peer.out.drain(..n)),
                Err(_) => return self.close(index),
            }
        }
        if was_full && peer.out.len() <= FULL {
            self.full -= 1;
            if self.full == 0 {
                return self.update_all();
            }
        }
        self.update_interest(index)
    }

    fn close(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = self.peers[index].take() else { return Ok(()) };
        if peer.out.len() > FULL {
            self.full -= 1;
            self.update_all()?;
        }
        if self.speaker == Some(index) {
            self.speaker = None;
            self.release()?;
        }
        Ok(())
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer has that many bytes.
    let n = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// How many bytes were taken, also none.
fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the slice has that many bytes.
    let n = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    usize::try_from(n).or_else(|_| match io::Error::last_os_error() {
        error if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        error => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, payload: &[u8]) -> Vec<u8> {
        let mut head = Vec::new();
        put_head(&mut head, name, payload).unwrap();
        [&head, payload].concat()
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let stream = [message("a", b"1"), message("b", b""), message("long", &[7; 300])].concat();
        for size in 1..stream.len() {
            let mut lengths = Lengths::default();
            assert_eq!(stream.chunks(size).map(|chunk| lengths.count(chunk)).sum::<u64>(), 3, "{size} bytes at a time");
            assert!(!lengths.inside());
        }
    }

    #[test]
    fn an_unfinished_message_does_not_count() {
        let stream = message("a", b"payload");
        let mut lengths = Lengths::default();
        assert_eq!(lengths.advance(&stream[..stream.len() - 1]), (0, 0));
        assert!(lengths.inside());
        assert_eq!(lengths.advance(&stream[stream.len() - 1..]), (1, 1));
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let stream = message("name", b"payload");
        let body = first_body(&stream).unwrap();
        assert_eq!(parts(body), Ok(("name", &b"payload"[..])));
        assert_eq!(first_body(&stream[..stream.len() - 1]), Err(stream.len()));
        assert_eq!(first_body(&stream[..3]), Err(LENGTH));
    }

    #[test]
    fn messages_of_several_sources_arrive_whole_also_when_they_come_in_parts() {
        let directory = std::env::temp_dir().join(format!("nanostate-relay-test-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let place = Place { directory: directory.clone(), port: 0 };
        let floor = Floor { name: "floor ipc", transport: Transport::Ipc };
        let listener = OwnedFd::from(UnixListener::bind(socket_path(&place)).unwrap());
        thread::spawn(move || Relay::new(listener, false).and_then(|mut relay| relay.run()));
        let mut sink = floor.subscriber(&place, "sink", &[]).unwrap();
        let mut slow = floor.connect(&place, PUBLISHES).unwrap();
        let mut quick = floor.publisher(&place, "quick").unwrap();
        let mut settled = |name: &str, publish: &mut dyn FnMut()| loop {
            publish();
            let found = sink.serve(Duration::from_millis(50), &mut |_, arrived, _| match arrived == name {
                true => Flow::Stop,
                false => Flow::More,
            });
            if found.unwrap() {
                return;
            }
        };
        settled("slow", &mut || slow.publish("slow", b"").unwrap());
        settled("quick", &mut || quick.publish("quick", b"").unwrap());

        let large = message("large", &[1; 1 << 20]);
        slow.socket.write_all(&large[..1000]).unwrap();
        for _ in 0..100 {
            quick.publish("small", b"2").unwrap();
        }
        slow.socket.write_all(&large[1000..]).unwrap();
        let mut seen = Vec::new();
        let all = sink.serve(Duration::from_secs(60), &mut |_, name, payload| {
            if name != "slow" && name != "quick" {
                seen.push((name.to_string(), payload.len()));
            }
            match seen.len() {
                101 => Flow::Stop,
                _ => Flow::More,
            }
        });
        assert_eq!(all, Ok(true), "{} of 101 arrived", seen.len());
        assert_eq!(seen.iter().filter(|(name, size)| name == "large" && *size == 1 << 20).count(), 1);
        assert_eq!(seen.iter().filter(|(name, size)| name == "small" && *size == 1).count(), 100);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
