//! The library's own descriptors, and the descriptor by which a thread is woken.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Moves a descriptor that a system call has just made above standard input, output and error. A program that was
/// started with one of these closed would otherwise write its messages to a peer.
pub fn above_standard<T>(made: T) -> io::Result<T>
where
    T: AsRawFd + From<OwnedFd> + Into<OwnedFd>,
{
    if made.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(made);
    }
    let low: OwnedFd = made.into();
    // SAFETY: the descriptor is open; no pointers.
    let fd = unsafe { libc::fcntl(low.as_raw_fd(), libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

/// A socket or file of the standard library. With debug assertions, the standard library ends the process if something
/// else has closed the descriptor. That is the program's mistake; here it is ignored, since there is nothing left to
/// close.
#[derive(Debug)]
pub struct Lenient<T: AsRawFd + IntoRawFd>(ManuallyDrop<T>);

impl<T: AsRawFd + IntoRawFd> Lenient<T> {
    /// Takes ownership.
    pub fn new(owned: T) -> Lenient<T> {
        Lenient(ManuallyDrop::new(owned))
    }
}

impl<T: AsRawFd + IntoRawFd> Deref for Lenient<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: AsRawFd + IntoRawFd> Drop for Lenient<T> {
    fn drop(&mut self) {
        // SAFETY: it is taken once, here.
        let owned = unsafe { ManuallyDrop::take(&mut self.0) };
        // SAFETY: no pointers; the system checks the number.
        if unsafe { libc::fcntl(owned.as_raw_fd(), libc::F_GETFD) } < 0 {
            let _ = owned.into_raw_fd();
        }
    }
}

/// Opens `/dev/null` for good in place of any of standard input, output and error that is closed. Called before the
/// start of a library that takes the lowest free descriptors, at any time and in its own threads.
pub fn occupy_standard() -> io::Result<()> {
    loop {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > libc::STDERR_FILENO {
            return Ok(());
        }
        let _ = null.into_raw_fd();
    }
}

/// A descriptor of the library, which can be closed before it is dropped.
pub struct Fd(AtomicI32);

impl Fd {
    /// Takes ownership of `fd`.
    pub fn new(fd: RawFd) -> Fd {
        Fd(AtomicI32::new(fd))
    }

    /// Takes ownership of the descriptor that a system call has just made, [moved](above_standard), or returns the
    /// error of the call.
    pub fn made(result: libc::c_int) -> io::Result<Fd> {
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let fd = above_standard(unsafe { OwnedFd::from_raw_fd(result) })?;
        Ok(Fd::new(fd.into_raw_fd()))
    }

    /// Its number; -1 once closed.
    pub fn raw(&self) -> RawFd {
        self.0.load(Ordering::Relaxed)
    }

    /// Closes it. No other thread may be using it.
    pub fn close(&self) {
        let fd = self.0.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: it was open, belongs to this value alone, and its number can no longer be found here.
            unsafe { libc::close(fd) };
        }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        self.close();
    }
}

/// The descriptor behind a wake: an eventfd, or a pipe where there is none.
pub struct WakeFd {
    read: Fd,
    /// The pipe's other end.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    write: Fd,
}

impl WakeFd {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn new() -> io::Result<WakeFd> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        Ok(WakeFd { read: Fd::made(fd)? })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn new() -> io::Result<WakeFd> {
        let mut fds = [0; 2];
        // SAFETY: `fds` has room for two descriptors.
        if unsafe { libc::pipe(fds.as_mut_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let (read, write) = (Fd::made(fds[0]), Fd::made(fds[1]));
        let (read, write) = (read?, write?);
        for fd in [read.raw(), write.raw()] {
            // SAFETY: both descriptors are open; no pointers.
            let ok = unsafe {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) >= 0
                    && libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) >= 0
            };
            if !ok {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(WakeFd { read, write })
    }

    /// What is readable after a [`write`](WakeFd::write).
    pub fn reader(&self) -> RawFd {
        self.read.raw()
    }

    fn writer(&self) -> RawFd {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.read.raw();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        return self.write.raw();
    }

    /// Makes it readable. False if something else has closed it. Async-signal-safe.
    pub fn write(&self) -> bool {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the descriptor is open as long as `self`, and `one` has that many bytes.
        let written = unsafe { libc::write(self.writer(), one.as_ptr().cast(), one.len()) };
        // If it is full, it is readable already.
        written >= 0 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
    }

    /// Makes it not readable.
    pub fn drain(&self) {
        let mut bytes = [0u8; 64];
        // SAFETY: the descriptor is open and does not block, and `bytes` has that much room.
        while unsafe { libc::read(self.read.raw(), bytes.as_mut_ptr().cast(), bytes.len()) } == bytes.len() as isize {}
    }

    /// Closes it. No other thread may be using it.
    pub fn close(&self) {
        self.read.close();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        self.write.close();
    }
}
