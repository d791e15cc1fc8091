//! Which descriptors are ready, and a wake from any thread.
//!
//! Bare epoll on Linux, `poll` elsewhere (and on Linux on request, so that the tests cover it). With the crate
//! `polling` each wait would cost at least two more system calls, to re-arm its notifier and its timer; here a wait is
//! one call, and a wake at most one write.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::descriptor::WakeFd;
use super::fork::Birth;
use super::wake::WakeFlag;

/// The key of the wake descriptor.
const WAKE: u64 = u64::MAX;

/// The system's means to learn of readiness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The best of this platform.
    Best,
    /// `poll`, which every Unix has.
    Poll,
}

/// The readiness to report. Errors and hang-ups are always reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    /// Readable, or closed by the other side.
    pub read: bool,
    /// Writable, or a connect has ended.
    pub write: bool,
}

impl Interest {
    /// Neither.
    pub const NONE: Interest = Interest { read: false, write: false };
    /// Readable.
    pub const READ: Interest = Interest { read: true, write: false };
    /// Writable.
    pub const WRITE: Interest = Interest { read: false, write: true };
    /// Both.
    pub const BOTH: Interest = Interest { read: true, write: true };
}

/// A descriptor is ready. An error or a hang-up is reported as both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// What the descriptor was added as.
    pub key: u64,
    /// A read will not block.
    pub read: bool,
    /// A write will not block.
    pub write: bool,
    /// The other side is gone, or the connection broke; then it is readable and writable too.
    pub broken: bool,
}

/// Level-triggered readiness of many descriptors. One thread waits; every method may be called from any thread.
///
/// In a child after `fork` nothing here touches what the child shares with its parent.
pub struct Poller {
    backend: Implementation,
    flag: WakeFlag,
    wake: WakeFd,
    deaf: AtomicBool,
    birth: Birth,
}

enum Implementation {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Epoll(epoll::Epoll),
    Poll(Mutex<PollSet>),
}

impl Poller {
    /// A poller without descriptors.
    pub fn new(backend: Backend) -> io::Result<Poller> {
        let wake = WakeFd::new()?;
        let birth = Birth::here();
        let flag = WakeFlag::new();
        let deaf = AtomicBool::new(false);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if backend == Backend::Best {
            let epoll = epoll::Epoll::new()?;
            epoll.add_wake(wake.reader())?;
            return Ok(Poller { backend: Implementation::Epoll(epoll), flag, wake, deaf, birth });
        }
        // Here the two are the same, or `poll` was asked for.
        let _ = backend;
        let mut set = PollSet::default();
        set.add(wake.reader(), WAKE, Interest::READ);
        Ok(Poller { backend: Implementation::Poll(Mutex::new(set)), flag, wake, deaf, birth })
    }

    /// Watches `fd`, which stays open until it is removed. `key` is below `u64::MAX` and in use once.
    pub fn add(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        if self.birth.forked() {
            return Ok(());
        }
        match &self.backend {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Implementation::Epoll(epoll) => epoll.add(fd, key, interest),
            Implementation::Poll(set) => {
                self.change(set, |set| set.add(fd, key, interest));
                Ok(())
            }
        }
    }

    /// Changes what is reported of `fd`, even while another thread waits.
    pub fn set(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        if self.birth.forked() {
            return Ok(());
        }
        match &self.backend {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Implementation::Epoll(epoll) => epoll.set(fd, key, interest),
            Implementation::Poll(set) => {
                // The key is the one that it was added with.
                let _ = key;
                self.change(set, |set| set.set(fd, interest));
                Ok(())
            }
        }
    }

    /// Whether [`set_once`](Poller::set_once) can be called.
    pub fn tells_once(&self) -> bool {
        !matches!(self.backend, Implementation::Poll(_))
    }

    /// Like [`set`](Poller::set), but after one event of any kind nothing more is reported of `fd` until it is set
    /// again. For a descriptor that another thread deals with.
    pub fn set_once(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        match &self.backend {
            _ if self.birth.forked() => Ok(()),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Implementation::Epoll(epoll) => epoll.set_once(fd, key, interest),
            Implementation::Poll(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Stops watching `fd`. A wait that runs in another thread may still report its key.
    pub fn remove(&self, fd: RawFd) {
        if self.birth.forked() {
            return;
        }
        match &self.backend {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Implementation::Epoll(epoll) => epoll.remove(fd),
            Implementation::Poll(set) => self.change(set, |set| set.remove(fd)),
        }
    }

    /// Puts what is ready into `events`. Returns when something is ready, when it is woken, when `timeout` is over, and
    /// after a signal. What other threads published before their [`wake`](Poller::wake) is visible afterwards.
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let at_once = timeout == Some(Duration::ZERO) || !self.flag.sleep();
        let timeout = milliseconds(if at_once { Some(Duration::ZERO) } else { timeout });
        let result = match &self.backend {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Implementation::Epoll(epoll) => epoll.wait(events, timeout),
            Implementation::Poll(set) => self.poll(set, events, timeout),
        };
        self.flag.woke();
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    /// Ends the running or the next wait. Many wakes of a loop that has not looked yet cost one write.
    /// Async-signal-safe.
    pub fn wake(&self) {
        if !self.birth.forked() && self.flag.wake() && !self.wake.write() {
            self.deaf.store(true, Ordering::Release);
        }
    }

    /// Whether a wake failed because its descriptor no longer exists.
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    /// In a child after `fork`: closes its copies of the descriptors.
    pub fn abandon(&self) {
        if !self.birth.forked() {
            return;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Implementation::Epoll(epoll) = &self.backend {
            epoll.close();
        }
        self.wake.close();
    }

    fn change(&self, set: &Mutex<PollSet>, change: impl FnOnce(&mut PollSet)) {
        let waits = {
            let mut set = set.lock();
            change(&mut set);
            set.waits
        };
        if waits {
            self.wake();
        }
    }

    fn poll(&self, set: &Mutex<PollSet>, events: &mut Vec<Event>, timeout: i32) -> io::Result<()> {
        let (mut fds, mut keys) = {
            let mut set = set.lock();
            set.waits = true;
            let (mut fds, mut keys) = std::mem::take(&mut set.copy);
            fds.clone_from(&set.fds);
            keys.clone_from(&set.keys);
            (fds, keys)
        };
        // SAFETY: `fds` is an array of that many elements for the length of the call.
        let n = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
        let result = if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        if n > 0 {
            for (fd, &key) in fds.iter().zip(&keys).filter(|(fd, _)| fd.revents != 0) {
                if key == WAKE {
                    self.wake.drain();
                    continue;
                }
                let broken = fd.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0;
                events.push(Event {
                    key,
                    read: broken || fd.revents & libc::POLLIN != 0,
                    write: broken || fd.revents & libc::POLLOUT != 0,
                    broken,
                });
            }
        }
        fds.clear();
        keys.clear();
        let mut set = set.lock();
        set.waits = false;
        set.copy = (fds, keys);
        result
    }
}

/// The time-out for a system call, never shorter than requested.
pub fn milliseconds(timeout: Option<Duration>) -> i32 {
    match timeout {
        None => -1,
        Some(timeout) => timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) mod epoll {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::transport::descriptor::Fd;

    /// How many events one wait takes.
    const EVENTS: usize = 256;

    pub struct Epoll(Fd);

    fn check(result: libc::c_int) -> io::Result<libc::c_int> {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result)
        }
    }

    fn flags(interest: Interest) -> u32 {
        let mut flags = 0;
        if interest.read {
            flags |= libc::EPOLLIN;
        }
        if interest.write {
            flags |= libc::EPOLLOUT;
        }
        flags as u32
    }

    impl Epoll {
        pub fn new() -> io::Result<Epoll> {
            // SAFETY: no pointers.
            Ok(Epoll(Fd::made(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?))
        }

        pub fn raw(&self) -> RawFd {
            self.0.raw()
        }

        pub fn close(&self) {
            self.0.close();
        }

        fn control(&self, operation: libc::c_int, fd: RawFd, key: u64, events: u32) -> io::Result<()> {
            let mut event = libc::epoll_event { events, u64: key };
            // SAFETY: `event` lives during the call; the kernel checks the descriptors.
            check(unsafe { libc::epoll_ctl(self.0.raw(), operation, fd, &mut event) }).map(drop)
        }

        /// Edge-triggered: each write to the descriptor is one event, and nobody needs to read it.
        pub fn add_wake(&self, fd: RawFd) -> io::Result<()> {
            self.control(libc::EPOLL_CTL_ADD, fd, WAKE, (libc::EPOLLIN | libc::EPOLLET) as u32)
        }

        pub fn add(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
            self.control(libc::EPOLL_CTL_ADD, fd, key, flags(interest))
        }

        pub fn set(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
            self.control(libc::EPOLL_CTL_MOD, fd, key, flags(interest))
        }

        pub fn set_once(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
            self.control(libc::EPOLL_CTL_MOD, fd, key, flags(interest) | libc::EPOLLONESHOT as u32)
        }

        pub fn remove(&self, fd: RawFd) {
            // Closing it would do too, unless a child holds a copy of it.
            let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
        }

        pub fn wait(&self, events: &mut Vec<Event>, timeout: i32) -> io::Result<()> {
            // Not filled with zeros: it has three kilobytes, and usually there is one event.
            let mut ready = [const { MaybeUninit::<libc::epoll_event>::uninit() }; EVENTS];
            let room = ready.as_mut_ptr().cast();
            // SAFETY: `ready` has room for that many events.
            let n = check(unsafe { libc::epoll_wait(self.0.raw(), room, EVENTS as libc::c_int, timeout) })?;
            for event in &ready[..n as usize] {
                // SAFETY: the kernel has filled in the first `n`.
                let event = unsafe { event.assume_init() };
                let (key, flags) = (event.u64, event.events as libc::c_int);
                let broken = flags & (libc::EPOLLERR | libc::EPOLLHUP) != 0;
                if key != WAKE {
                    events.push(Event {
                        key,
                        read: broken || flags & libc::EPOLLIN != 0,
                        write: broken || flags & libc::EPOLLOUT != 0,
                        broken,
                    });
                }
            }
            Ok(())
        }
    }
}

/// The argument of `poll`.
#[derive(Default)]
struct PollSet {
    fds: Vec<libc::pollfd>,
    /// The key of each.
    keys: Vec<u64>,
    /// A wait works on a copy: changes come while it runs.
    copy: (Vec<libc::pollfd>, Vec<u64>),
    /// Whether a wait runs, which a change has to end.
    waits: bool,
}

fn poll_flags(interest: Interest) -> libc::c_short {
    let mut flags = 0;
    if interest.read {
        flags |= libc::POLLIN;
    }
    if interest.write {
        flags |= libc::POLLOUT;
    }
    flags
}

impl PollSet {
    fn at(&self, fd: RawFd) -> Option<usize> {
        self.fds.iter().position(|entry| entry.fd == fd)
    }

    fn add(&mut self, fd: RawFd, key: u64, interest: Interest) {
        self.fds.push(libc::pollfd { fd, events: poll_flags(interest), revents: 0 });
        self.keys.push(key);
    }

    fn set(&mut self, fd: RawFd, interest: Interest) {
        if let Some(at) = self.at(fd) {
            self.fds[at].events = poll_flags(interest);
        }
    }

    fn remove(&mut self, fd: RawFd) {
        if let Some(at) = self.at(fd) {
            self.fds.swap_remove(at);
            self.keys.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    const BACKENDS: [Backend; 2] = [Backend::Best, Backend::Poll];

    fn wait(poller: &Poller, timeout: Option<Duration>) -> Vec<Event> {
        let mut events = Vec::new();
        poller.wait(&mut events, timeout).unwrap();
        events
    }

    #[test]
    fn only_what_is_asked_for_is_told_for_as_long_as_it_holds() {
        for backend in BACKENDS {
            let poller = Poller::new(backend).unwrap();
            let (a, mut b) = UnixStream::pair().unwrap();
            poller.add(a.as_raw_fd(), 7, Interest::READ).unwrap();
            assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
            b.write_all(b"x").unwrap();
            for _ in 0..2 {
                assert_eq!(wait(&poller, None), [Event { key: 7, read: true, write: false, broken: false }]);
            }
            poller.set(a.as_raw_fd(), 7, Interest::BOTH).unwrap();
            assert_eq!(wait(&poller, None), [Event { key: 7, read: true, write: true, broken: false }]);
            poller.set(a.as_raw_fd(), 7, Interest::NONE).unwrap();
            assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
            drop(b);
            assert_eq!(
                wait(&poller, None),
                [Event { key: 7, read: true, write: true, broken: true }],
                "a hang-up is always told"
            );
            poller.remove(a.as_raw_fd());
            assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
        }
    }

    #[test]
    fn a_descriptor_set_once_is_told_once_even_when_the_other_side_is_gone() {
        let poller = Poller::new(Backend::Best).unwrap();
        if !poller.tells_once() {
            return;
        }
        let (a, mut b) = UnixStream::pair().unwrap();
        poller.add(a.as_raw_fd(), 7, Interest::READ).unwrap();
        b.write_all(b"x").unwrap();
        poller.set_once(a.as_raw_fd(), 7, Interest::WRITE).unwrap();
        assert_eq!(wait(&poller, None), [Event { key: 7, read: false, write: true, broken: false }]);
        drop(b);
        assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
        poller.set(a.as_raw_fd(), 7, Interest::READ).unwrap();
        assert_eq!(wait(&poller, None), [Event { key: 7, read: true, write: true, broken: true }]);
    }

    #[test]
    fn a_change_from_another_thread_reaches_a_wait_that_runs() {
        for backend in BACKENDS {
            let poller = Arc::new(Poller::new(backend).unwrap());
            let (a, _b) = UnixStream::pair().unwrap();
            let fd = a.as_raw_fd();
            poller.add(fd, 1, Interest::READ).unwrap();
            let waits = {
                let poller = poller.clone();
                std::thread::spawn(move || loop {
                    let events = wait(&poller, None);
                    if !events.is_empty() {
                        return events;
                    }
                })
            };
            poller.set(fd, 1, Interest::WRITE).unwrap();
            assert_eq!(waits.join().unwrap(), [Event { key: 1, read: false, write: true, broken: false }]);
        }
    }

    #[test]
    fn ten_thousand_wakes_from_many_threads_lose_nothing() {
        const THREADS: usize = 4;
        const EACH: usize = 10_000;
        for backend in BACKENDS {
            let poller = Arc::new(Poller::new(backend).unwrap());
            let work = Arc::new(AtomicUsize::new(0));
            let wakers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let (poller, work) = (poller.clone(), work.clone());
                    std::thread::spawn(move || {
                        for i in 0..EACH {
                            work.fetch_add(1, Ordering::Relaxed);
                            poller.wake();
                            if i % 64 == 0 {
                                std::thread::yield_now();
                            }
                        }
                    })
                })
                .collect();
            // After a lost wake this waits indefinitely.
            while work.load(Ordering::Relaxed) < THREADS * EACH {
                wait(&poller, None);
            }
            wakers.into_iter().for_each(|waker| waker.join().unwrap());
        }
    }

    #[test]
    fn a_wait_is_not_shorter_than_asked_for() {
        for backend in BACKENDS {
            let poller = Poller::new(backend).unwrap();
            let begin = std::time::Instant::now();
            assert_eq!(wait(&poller, Some(Duration::from_micros(10_100))), []);
            assert!(begin.elapsed() >= Duration::from_micros(10_100));
        }
    }
}
