//! How a thread of the program waits for a socket that it reads itself.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::descriptor::WakeFd;
use super::wake::WakeFlag;

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The socket is readable.
    Readable,
    /// It is too, and the other side is gone.
    Broken,
    /// A wake, a signal, or the end of the time.
    Otherwise,
}

/// One thread at a time waits for a socket and for a wake; any thread wakes it.
pub struct Sleeper {
    flag: WakeFlag,
    wake: WakeFd,
}

impl Sleeper {
    /// Fails for lack of descriptors.
    pub fn new() -> io::Result<Sleeper> {
        Ok(Sleeper { flag: WakeFlag::new(), wake: WakeFd::new()? })
    }

    /// Waits until `fd` is readable, for a wake, a signal, or until `timeout` is over. What other threads published
    /// before their [`wake`](Sleeper::wake) is visible afterwards.
    pub fn wait(&self, fd: RawFd, timeout: Option<Duration>) -> io::Result<Woken> {
        let timeout = if self.flag.sleep() { timeout } else { Some(Duration::ZERO) };
        let readable = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = [readable(fd), readable(self.wake.reader())];
        let n = poll(&mut fds, timeout);
        let error = io::Error::last_os_error();
        self.flag.woke();
        if n < 0 {
            return if error.kind() == io::ErrorKind::Interrupted { Ok(Woken::Otherwise) } else { Err(error) };
        }
        let [socket, wake] = fds.map(|fd| fd.revents);
        if wake & libc::POLLNVAL != 0 {
            // Something else has closed it: this thread could not be woken any more.
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        if wake != 0 {
            self.wake.drain();
        }
        Ok(match socket {
            0 => Woken::Otherwise,
            libc::POLLIN => Woken::Readable,
            _ => Woken::Broken,
        })
    }

    /// Ends the running or the next wait.
    pub fn wake(&self) {
        if self.flag.wake() {
            // Without its descriptor the next wait fails, and this one is to be ended by its time.
            let _ = self.wake.write();
        }
    }

    /// In a child after `fork`: closes its copy of the descriptor.
    pub fn abandon(&self) {
        self.wake.close();
    }
}

/// A wait of microseconds is not one of a millisecond.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> libc::c_int {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().min(libc::time_t::MAX as u64) as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as _,
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `fds` is an array of that many elements, and `timeout` null or a time, for the length of the call; the
    // signal mask stays.
    unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout, std::ptr::null()) }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> libc::c_int {
    // SAFETY: `fds` is an array of that many elements for the length of the call.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, super::poller::milliseconds(timeout)) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn bytes_a_hang_up_and_a_wake_each_end_a_wait() {
        let sleeper = Sleeper::new().unwrap();
        let (mine, mut theirs) = UnixStream::pair().unwrap();
        let wait = |timeout| sleeper.wait(mine.as_raw_fd(), timeout).unwrap();
        assert_eq!(wait(Some(Duration::ZERO)), Woken::Otherwise);
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(None), Woken::Readable);
        drop(theirs);
        assert_eq!(wait(None), Woken::Broken);
    }

    #[test]
    fn a_wait_is_not_shorter_than_asked_for() {
        let sleeper = Sleeper::new().unwrap();
        let (mine, _theirs) = UnixStream::pair().unwrap();
        let begin = std::time::Instant::now();
        assert_eq!(sleeper.wait(mine.as_raw_fd(), Some(Duration::from_micros(10_100))).unwrap(), Woken::Otherwise);
        assert!(begin.elapsed() >= Duration::from_micros(10_100));
        sleeper.wake();
        assert_eq!(sleeper.wait(mine.as_raw_fd(), Some(Duration::MAX)).unwrap(), Woken::Otherwise);
    }

    #[test]
    fn a_wake_that_came_before_the_wait_ends_it() {
        let sleeper = Arc::new(Sleeper::new().unwrap());
        let (mine, _theirs) = UnixStream::pair().unwrap();
        sleeper.wake();
        assert_eq!(sleeper.wait(mine.as_raw_fd(), None).unwrap(), Woken::Otherwise);
        for _ in 0..1000 {
            let waker = {
                let sleeper = sleeper.clone();
                std::thread::spawn(move || sleeper.wake())
            };
            // For ever, if the wake was lost.
            assert_eq!(sleeper.wait(mine.as_raw_fd(), None).unwrap(), Woken::Otherwise);
            waker.join().unwrap();
        }
    }
}
