//! How a thread waits for one connection, or for another thread.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::descriptor::WakeFd;
use super::wake::Woken;

/// One thread at a time waits for a socket and for a wake; any thread wakes it.
pub struct SocketWaiter {
    wake: WakeFd,
}

impl SocketWaiter {
    /// Fails for lack of descriptors.
    pub fn new() -> io::Result<SocketWaiter> {
        Ok(SocketWaiter { wake: WakeFd::new()? })
    }

    /// Waits until `fd` is readable, for a wake, a signal, or until `timeout` is over.
    pub fn wait(&self, fd: RawFd, timeout: Option<Duration>) -> io::Result<Woken> {
        let readable = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = [readable(fd), readable(self.wake.reader())];
        if poll(&mut fds, timeout) < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(Woken::Otherwise) } else { Err(error) };
        }
        let [socket, wake] = fds.map(|fd| fd.revents);
        if wake & libc::POLLNVAL != 0 {
            // Something else has closed it, so this thread could no longer be woken.
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

    /// Ends the running or the next wait. If something else has closed its descriptor, the next wait fails, and the
    /// running one ends when its time is over.
    pub fn wake(&self) {
        let _ = self.wake.write();
    }

    /// In a child after `fork`: closes its copy of the descriptor.
    pub fn abandon(&self) {
        self.wake.close();
    }
}

/// One thread at a time waits for a connection in memory, which wakes it as any other thread does.
#[derive(Default)]
pub struct MemoryWaiter {
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl MemoryWaiter {
    /// Waits for a wake, or until `timeout` is over; if that is zero, it is as if there had been one.
    pub fn wait(&self, timeout: Option<Duration>) -> Woken {
        let mut woken = self.woken.lock();
        // Beyond the range of the clock is for ever.
        match timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| Instant::now().checked_add(timeout)) {
            Some(Some(until)) => drop(self.wakes.wait_while_until(&mut woken, |woken| !*woken, until)),
            _ if timeout == Some(Duration::ZERO) => *woken = true,
            _ => self.wakes.wait_while(&mut woken, |woken| !*woken),
        }
        if std::mem::take(&mut *woken) {
            Woken::Readable
        } else {
            Woken::Otherwise
        }
    }

    /// Ends the running or the next wait.
    pub fn wake(&self) {
        *self.woken.lock() = true;
        // Without the lock, which the thread takes first of all.
        self.wakes.notify_one();
    }
}

/// With microseconds, which a wait in milliseconds would round up.
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
