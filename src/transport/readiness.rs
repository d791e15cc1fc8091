//! What a program waits for in its own event loop.

use std::io;
use std::os::fd::RawFd;

use super::descriptor::WakeFd;
#[cfg(any(target_os = "linux", target_os = "android"))]
use super::poller::epoll::Epoll;

/// A descriptor that is readable while it is set, and while a socket is that it watches. In a child after `fork` it may
/// only be dropped.
pub struct Readiness {
    wake: WakeFd,
    set: bool,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    epoll: Epoll,
}

impl Readiness {
    /// Neither set nor watching. Fails for lack of descriptors.
    pub fn new() -> io::Result<Readiness> {
        let wake = WakeFd::new()?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let epoll = Epoll::new()?;
            epoll.add(wake.reader(), wake.reader() as u64, super::poller::Interest::READ)?;
            Ok(Readiness { wake, set: false, epoll })
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Ok(Readiness { wake, set: false })
    }

    /// What the program waits for, the same all the time.
    pub fn fd(&self) -> RawFd {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.epoll.raw();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        return self.wake.reader();
    }

    /// Sets it, or not. True if it was set and is so no longer.
    pub fn set(&mut self, ready: bool) -> bool {
        if ready == self.set {
            return false;
        }
        if ready {
            self.set = self.wake.write();
            return false;
        }
        self.wake.drain();
        self.set = false;
        true
    }

    /// Watches a socket, too, which stays open until it is [left alone](Readiness::unwatch).
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn watch(&self, socket: RawFd) -> io::Result<()> {
        self.epoll.add(socket, socket as u64, super::poller::Interest::READ)
    }

    /// Only epoll can watch.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn watch(&self, _: RawFd) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Watches it no longer.
    pub fn unwatch(&self, socket: RawFd) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        self.epoll.remove(socket);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = socket;
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn is_readable(readiness: &Readiness) -> bool {
        let mut fds = [libc::pollfd { fd: readiness.fd(), events: libc::POLLIN, revents: 0 }];
        // SAFETY: `fds` is an array of one element.
        assert!(unsafe { libc::poll(fds.as_mut_ptr(), 1, 0) } >= 0);
        fds[0].revents == libc::POLLIN
    }

    #[test]
    fn it_is_readable_while_it_is_set_or_while_what_it_watches_is() {
        let mut readiness = Readiness::new().unwrap();
        let is = is_readable;
        assert!(!is(&readiness) && !readiness.set(false) && !readiness.set(true));
        assert!(is(&readiness) && !readiness.set(true) && readiness.set(false) && !is(&readiness));
        let (mut mine, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"ab").unwrap();
        readiness.watch(mine.as_raw_fd()).unwrap();
        assert!(is(&readiness), "it tells of what was there before");
        mine.read_exact(&mut [0]).unwrap();
        assert!(is(&readiness) && !readiness.set(true) && readiness.set(false) && is(&readiness));
        mine.read_exact(&mut [0]).unwrap();
        assert!(!is(&readiness));
        theirs.write_all(b"c").unwrap();
        assert!(is(&readiness));
        readiness.unwatch(mine.as_raw_fd());
        assert!(!is(&readiness));
    }
}
