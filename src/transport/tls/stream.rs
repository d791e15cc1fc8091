//! A TLS connection over a socket, read and written like the socket itself.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use super::machine::{Machine, BATCH};
use super::words;
use crate::transport::socket::Stream;
use crate::{Error, Status};

/// A TLS connection. Dropping it ends the connection without saying so; [`close`](TlsStream::close) says so first.
///
/// A read may have to write, in the handshake and for an error: what the socket does not take then is sent by the next
/// [`write`](TlsStream::write) or [`flush`](TlsStream::flush). A write may have to read first: it takes nothing before the
/// handshake is over. And there may be more to read when the socket has nothing: not if [it is
/// drained](TlsStream::is_drained).
pub struct TlsStream {
    socket: Stream,
    machine: Box<Machine>,
    /// The last read of the socket found less than there was room for.
    short: bool,
    /// Bytes of the network that came since they were last counted.
    received: usize,
}

impl TlsStream {
    pub(super) fn new(socket: Stream, machine: Machine) -> TlsStream {
        TlsStream { socket, machine: Box::new(machine), short: false, received: 0 }
    }

    /// Begins the handshake, if that is for this side to do.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.machine.begin().map_err(|error| self.failed(&error))?;
        self.flush().map(drop)
    }

    /// As [`Stream::read`]: 0 is the end of the stream, whether or not the other side has said so.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        /// How often the socket is read for a single byte. A peer that sends much that contains nothing waits for its
        /// next turn.
        const ROUNDS: usize = 4;
        for round in 0.. {
            match self.machine.read(buffer) {
                Ok(0) => {}
                Ok(n) => {
                    let _ = self.flush();
                    return Ok(n);
                }
                Err(error) => return Err(self.failed(&error)),
            }
            // An error is that of the next write.
            let _ = self.flush();
            if self.machine.has_ended() {
                return Ok(0);
            }
            if round == ROUNDS {
                // Nothing is left of what came: the poller reports what there is.
                break;
            }
            match self.receive() {
                Ok(0) if self.machine.is_app() && !self.machine.is_established() => {
                    return Err(told(words::CLOSED.to_owned()));
                }
                Ok(0) => return Ok(0),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Whether a read would find nothing until the socket is readable again. True only after a read.
    pub fn is_drained(&self) -> bool {
        self.short && self.machine.needs_more()
    }

    /// How many bytes of the network came since this was last asked.
    pub fn take_received(&mut self) -> usize {
        std::mem::take(&mut self.received)
    }

    /// As [`Stream::write`]. What it takes may still be [unsent](TlsStream::is_flushed). It takes nothing while the
    /// handshake goes on, and can then go on after a read.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.machine.begin().map_err(|error| self.failed(&error))?;
        let (mut written, mut at) = (0, (0, 0));
        while self.flush()? {
            let batch = gather(slices, &mut at);
            if batch.is_empty() || !self.machine.write(&batch).map_err(|error| self.failed(&error))? {
                break;
            }
            written += batch.len();
        }
        match written {
            0 if slices.iter().any(|slice| !slice.is_empty()) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(written),
        }
    }

    /// Sends what was written. False: the socket does not take all of it now.
    pub fn flush(&mut self) -> io::Result<bool> {
        while !self.machine.outgoing().is_empty() {
            match self.socket.write(&[IoSlice::new(self.machine.outgoing())]) {
                Ok(n) => self.machine.sent(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether all is sent that was written. If not, the next thing to do is to wait until the socket is writable.
    pub fn is_flushed(&self) -> bool {
        self.machine.outgoing().is_empty()
    }

    /// As [`Stream::from`].
    pub fn from(&self) -> Option<String> {
        self.socket.from().map(|from| format!("tls+{from}"))
    }

    /// As [`Stream::host`].
    pub fn host(&self) -> Option<IpAddr> {
        self.socket.host()
    }

    /// Says that nothing follows, if that can be said at once, and gives the socket back.
    pub fn close(mut self) -> Stream {
        self.machine.end();
        let _ = self.flush();
        self.socket
    }

    fn receive(&mut self) -> io::Result<usize> {
        let (buffer, room) = self.machine.room().map_err(|error| told(error.to_string()))?;
        let result = self.socket.read_to(buffer, room);
        if let Ok(n) = result {
            self.received += n;
            self.short = n < room;
        }
        if self.short || result.is_err() {
            self.machine.spare_memory();
        }
        result
    }

    /// An error of the machine: the other side is told, and then the program.
    fn failed(&mut self, error: &rustls::Error) -> io::Error {
        let text = words::of(error, self.machine.is_app(), self.machine.unread());
        self.machine.last_words();
        let _ = self.flush();
        // Bytes that were not read would take back what was just said.
        self.socket.discard_unread();
        told(text)
    }
}

impl AsRawFd for TlsStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The error of a connection that is not secure.
fn told(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Error::new(Status::Tls, text))
}

/// What stands in `slices` from the byte `at` of one of them on, as much as one write takes. Advances `at` over it.
fn gather(slices: &[IoSlice<'_>], at: &mut (usize, usize)) -> Vec<u8> {
    let left: usize = slices[at.0..].iter().map(|slice| slice.len()).sum::<usize>() - at.1;
    let mut batch = Vec::with_capacity(left.min(BATCH));
    while let (true, Some(slice)) = (batch.len() < BATCH, slices.get(at.0)) {
        let rest = &slice[at.1..];
        let n = rest.len().min(BATCH - batch.len());
        batch.extend_from_slice(&rest[..n]);
        *at = if n == rest.len() { (at.0 + 1, 0) } else { (at.0, at.1 + n) };
    }
    batch
}
