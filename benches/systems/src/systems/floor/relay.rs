//! The relay: one thread, and epoll.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::lengths::Lengths;
use super::{READ, SUBSCRIBES};

/// With more than this for a receiver nothing is read until it has taken it.
pub(super) const FULL: usize = 4 << 20;
/// Descriptors of one wait.
const EVENTS: usize = 256;

/// A client of the relay.
struct Peer {
    socket: OwnedFd,
    /// Unknown until its first byte has arrived.
    receives: Option<bool>,
    stream: Lengths,
    /// What it has sent while another client was in the middle of a message.
    held: Vec<u8>,
    /// What it has not taken.
    out: VecDeque<u8>,
    /// What epoll waits for.
    interest: u32,
}

/// One thread: reads from a connection, writes to every other one.
///
/// Parts of messages are passed on as they come. Until the end of a message, nothing from other clients goes out.
pub(super) struct Relay {
    epoll: OwnedFd,
    listener: OwnedFd,
    nodelay: bool,
    peers: Vec<Option<Peer>>,
    /// The client that is in the middle of a message.
    speaker: Option<usize>,
    /// Receivers with too much waiting for them.
    full: usize,
    buffer: Vec<u8>,
}

/// The key of the listener in events of epoll.
const LISTENER: u64 = u64::MAX;

impl Relay {
    pub(super) fn new(listener: OwnedFd, nodelay: bool) -> io::Result<Relay> {
        // SAFETY: no memory is passed.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open, and has no other owner.
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

    pub(super) fn run(&mut self) -> io::Result<()> {
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
        // SAFETY: it is open, and has no other owner.
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

    /// The events that a client is read on: none while bytes of it are held, or while a receiver has too much waiting.
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

    /// Passes on what came from a client, or holds it while another one is in the middle of a message.
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

    /// Takes what was held, until a client is in the middle of a message again.
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
