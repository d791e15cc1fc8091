//! A descriptor that is readable while something waits.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use crate::transport::{above_standard, Lenient};
use crate::{Error, Result};

/// Readable while set. One byte in a socket pair says so; calls are made under the lock of the handle.
pub(super) struct Readiness {
    reader: Lenient<UnixStream>,
    writer: Lenient<UnixStream>,
    set: bool,
}

impl Readiness {
    pub fn new() -> Result<Readiness> {
        let pair = || {
            let (reader, writer) = UnixStream::pair()?;
            let (reader, writer) = (above_standard(reader), above_standard(writer));
            Ok(Readiness { reader: Lenient::new(reader?), writer: Lenient::new(writer?), set: false })
        };
        pair().map_err(|error| Error::io(&error, "creating the descriptor of ns_app_fd"))
    }

    pub fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Makes it readable, or not.
    pub fn set(&mut self, ready: bool) {
        if ready == self.set {
            return;
        }
        // One byte at most is ever in it, so neither call can block or fall short.
        let moved = if ready { (&*self.writer).write(&[1]) } else { (&*self.reader).read(&mut [0]) };
        if moved.is_ok_and(|n| n == 1) {
            self.set = ready;
        }
    }
}
