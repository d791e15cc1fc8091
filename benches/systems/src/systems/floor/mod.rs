//! The floor: a relay that does nothing else, and clients that read their own socket. What a hub can cost at least. In one
//! process it is no relay at all: see [`inproc`].
//!
//! On the wire: a client begins with one byte, whether it wants to receive; then messages, each the length of its body
//! as 8 bytes, big-endian, and the body: the length of the name as 2 bytes, the name, the payload.

mod inproc;
mod lengths;
mod relay;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lengths::Lengths;
use relay::Relay;

use crate::drain::Drain;
use crate::system::{hub_role, Crowd, Flow, Handler, Place, Publisher, Result, Role, Subscriber, System};

/// First byte of a client that only publishes.
const PUBLISHES: u8 = b'p';
/// First byte of a client that gets everything that others publish.
const SUBSCRIBES: u8 = b's';
const LENGTH: usize = 8;
const NAME_LENGTH: usize = 2;
/// Bytes of one read.
const READ: usize = 256 * 1024;
/// A hub that starts is there by then.
const START: Duration = Duration::from_secs(10);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(5);

pub fn systems() -> Vec<Box<dyn System>> {
    vec![
        Box::new(Floor { name: "floor ipc", transport: Transport::Ipc }),
        Box::new(Floor { name: "floor tcp", transport: Transport::Tcp }),
        Box::new(inproc::Inproc),
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
