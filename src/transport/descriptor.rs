//! Descriptors of our own, and the one that a thread is woken by.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, Ordering};

/// A descriptor of our own, which can be closed before it is dropped.
pub struct Fd(AtomicI32);

impl Fd {
    /// Owns `fd`.
    pub fn new(fd: RawFd) -> Fd {
        Fd(AtomicI32::new(fd))
    }

    /// Its number; -1 once closed.
    pub fn raw(&self) -> RawFd {
        self.0.load(Ordering::Relaxed)
    }

    /// Closes it; nobody may be using it.
    pub fn close(&self) {
        let fd = self.0.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: it was open, ours alone, and nobody finds its number here any more.
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
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(WakeFd { read: Fd::new(fd) })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn new() -> io::Result<WakeFd> {
        let mut fds = [0; 2];
        // SAFETY: `fds` has room for two descriptors.
        if unsafe { libc::pipe(fds.as_mut_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let (read, write) = (Fd::new(fds[0]), Fd::new(fds[1]));
        for fd in fds {
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

    /// Makes it readable. Async-signal-safe. It fails only when the descriptor is full, and then it is readable already.
    pub fn write(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the descriptor is open as long as `self`, and `one` has that many bytes.
        unsafe { libc::write(self.writer(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it not readable.
    pub fn drain(&self) {
        let mut bytes = [0u8; 64];
        // SAFETY: the descriptor is open and does not block, and `bytes` has that much room.
        while unsafe { libc::read(self.read.raw(), bytes.as_mut_ptr().cast(), bytes.len()) } == bytes.len() as isize {}
    }

    /// Closes it; nobody may be using it.
    pub fn close(&self) {
        self.read.close();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        self.write.close();
    }
}
