//! Byte streams that are not sockets of the system: in memory, or of another library.

use std::io::{self, IoSlice};

use super::ready::Ready;

/// The bytes of one connection, in both directions. Dropping it closes the connection.
pub trait ByteStream: Send {
    /// Attaches it to a loop. It is then read and written as if it were ready.
    fn attach(&mut self, ready: Ready);

    /// Like a read of a non-blocking socket: 0 is the end of the stream. After [`io::ErrorKind::WouldBlock`] the loop
    /// is notified once there is something to read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Like a write to a non-blocking socket. If it takes less than all of `slices`, the loop is notified once there is
    /// room.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}
