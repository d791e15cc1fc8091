//! Byte streams that are not sockets of the system: in memory, or of another library.

use std::io::{self, IoSlice};

use super::ready::{Notices, Ready};

/// The bytes of one connection, in both directions. Dropping it closes the connection.
pub trait ByteStream: Send {
    /// Attaches it to a loop. It is then read and written as if it were ready.
    fn attach(&mut self, ready: Ready);

    /// Like a read of a non-blocking socket: 0 is the end of the stream. After [`io::ErrorKind::WouldBlock`] the loop
    /// is notified once there is something to read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Whether there is nothing to read: the last read found nothing, and whoever reads has not been notified since.
    fn is_drained(&self) -> bool;

    /// Like a write to a non-blocking socket. If it takes less than all of `slices`, the loop is notified once there is
    /// room. Who reads on the other side, and waits for it, is added to `notices`.
    fn write(&mut self, slices: &[IoSlice<'_>], notices: &mut Notices) -> io::Result<usize>;
}
