//! What carries the bytes of a connection.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use crate::transport::socket::Stream;
use crate::transport::tls::TlsStream;
use crate::transport::{ByteStream, Notices};

/// What carries the bytes of a connection.
pub enum Channel {
    Socket(Stream),
    /// A socket, too. A read may have to write, and a write to read first.
    Tls(Box<TlsStream>),
    /// Not a socket of the system: it signals by itself that it is ready.
    Other(Box<dyn ByteStream>),
}

impl Channel {
    /// What the poller watches.
    pub fn fd(&self) -> Option<RawFd> {
        match self {
            Channel::Socket(stream) => Some(stream.as_raw_fd()),
            Channel::Tls(stream) => Some(stream.as_raw_fd()),
            Channel::Other(_) => None,
        }
    }

    /// It, if it is not a socket of the system.
    pub fn memory(&self) -> Option<&dyn ByteStream> {
        match self {
            Channel::Socket(_) | Channel::Tls(_) => None,
            Channel::Other(stream) => Some(&**stream),
        }
    }

    /// The address of the other side, if it has one.
    pub fn host(&self) -> Option<IpAddr> {
        match self {
            Channel::Socket(stream) => stream.host(),
            Channel::Tls(stream) => stream.host(),
            Channel::Other(_) => None,
        }
    }

    /// The socket alone, once the other side is told that nothing follows.
    pub fn end(self) -> Option<Stream> {
        match self {
            Channel::Socket(stream) => Some(stream),
            Channel::Tls(stream) => Some(stream.close()),
            Channel::Other(_) => None,
        }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Channel::Socket(stream) => stream.read(buffer),
            Channel::Tls(stream) => stream.read(buffer),
            Channel::Other(stream) => stream.read(buffer),
        }
    }

    /// What can read into memory that is not initialized.
    pub fn plain(&self) -> Option<&Stream> {
        match self {
            Channel::Socket(stream) => Some(stream),
            Channel::Tls(_) | Channel::Other(_) => None,
        }
    }

    /// Adds to `notices` the reader that has to hear of it.
    pub fn write(&mut self, slices: &[IoSlice<'_>], notices: &mut Notices) -> io::Result<usize> {
        match self {
            Channel::Socket(stream) => stream.write(slices),
            Channel::Tls(stream) => stream.write(slices),
            Channel::Other(stream) => stream.write(slices, notices),
        }
    }

    /// Writes what it has taken and not written.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Channel::Tls(stream) => stream.flush().map(drop),
            Channel::Socket(_) | Channel::Other(_) => Ok(()),
        }
    }

    /// Whether it has written all that it took.
    pub fn is_flushed(&self) -> bool {
        match self {
            Channel::Tls(stream) => stream.is_flushed(),
            Channel::Socket(_) | Channel::Other(_) => true,
        }
    }

    /// Whether a write that did not take everything goes on when the poller reports that it is writable.
    pub fn waits_to_be_writable(&self) -> bool {
        match self {
            Channel::Socket(_) => true,
            // Otherwise for a read.
            Channel::Tls(stream) => !stream.is_flushed(),
            Channel::Other(_) => false,
        }
    }

    /// Whether there is nothing more to read, after a read of `n` bytes into a buffer of `room`, until the poller reports
    /// it. Those that it does not watch notify only after a read that found nothing.
    pub fn is_drained(&self, n: usize, room: usize) -> bool {
        match self {
            Channel::Socket(_) => n < room,
            Channel::Tls(stream) => stream.is_drained(),
            Channel::Other(_) => false,
        }
    }

    /// How many bytes came for what was read. TLS has more than it passes on.
    pub fn received(&mut self, read: usize) -> usize {
        match self {
            Channel::Tls(stream) => read.max(stream.take_received()),
            Channel::Socket(_) | Channel::Other(_) => read,
        }
    }
}
