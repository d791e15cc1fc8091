//! Standard input, output and error, which wait even where they are non-blocking: another process that shares the
//! terminal or the pipe may have made them so.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};

/// Standard input.
pub fn input() -> io::Result<Waiting> {
    Waiting::of(&io::stdin())
}

/// Standard output, without a buffer.
pub fn output() -> io::Result<Waiting> {
    Waiting::of(&io::stdout())
}

/// Standard error.
pub fn error() -> io::Result<Waiting> {
    Waiting::of(&io::stderr())
}

/// A descriptor whose reads and writes wait, even if it is non-blocking.
pub struct Waiting(File);

impl Waiting {
    /// The same stream, under another number.
    pub fn of(stream: &impl AsFd) -> io::Result<Waiting> {
        Ok(Waiting(stream.as_fd().try_clone_to_owned()?.into()))
    }

    /// Repeats `io` whenever the descriptor becomes ready, as long as it would block.
    fn retry<T>(&mut self, ready: libc::c_short, mut io: impl FnMut(&mut File) -> io::Result<T>) -> io::Result<T> {
        loop {
            match io(&mut self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&self.0, ready)?,
                result => return result,
            }
        }
    }
}

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(libc::POLLIN, |file| file.read(buffer))
    }
}

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(libc::POLLOUT, |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until a descriptor is ready or broken; the next read or write reports which.
fn wait(file: &File, ready: libc::c_short) -> io::Result<()> {
    let mut polled = libc::pollfd { fd: file.as_raw_fd(), events: ready, revents: 0 };
    // SAFETY: it is one structure, and lives through the call.
    if unsafe { libc::poll(&mut polled, 1, -1) } >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}
