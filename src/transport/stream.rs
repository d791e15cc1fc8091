//! Streams of bytes that are no sockets of the system: in memory, or another library's.

use std::io::{self, IoSlice};

use super::ready::Ready;

/// The bytes of one connection, in both directions. Whoever has it closes the connection by dropping it.
pub trait ByteStream: Send {
    /// Gives it to a loop. It is then read and written as if it were ready.
    fn attach(&mut self, ready: Ready);

    /// As of a socket that does not block: 0 is the end of the stream. After [`io::ErrorKind::WouldBlock`] the loop is
    /// told once there is something.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// As of a socket that does not block. After less than all of `slices` the loop is told once there is room.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}
