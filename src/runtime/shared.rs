//! A driver that many threads share, and its loop.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::address::accepted;
use super::clock::now;
use super::driver::{Driver, Sleep};
use super::listeners::Service;
use super::stint::Stint;
use crate::engine::Protocol;
use crate::time::MonoTime;
use crate::transport::fork::Birth;
use crate::transport::listener::Listener;
use crate::transport::poller::{Event, Poller};
use crate::transport::{Address, Backend, Turns};
use crate::{Error, Result, Status};

/// A [`Driver`] that many threads share, one of which runs its loop.
pub struct Shared<P> {
    driver: Mutex<Driver<P>>,
    poller: Arc<Poller>,
    stopped: AtomicBool,
    /// The engine has panicked in another thread than the loop's.
    panicked: AtomicBool,
    birth: Birth,
}

impl<P: Protocol> Shared<P> {
    /// The engine, without connections. Fails if there are no descriptors or no memory left.
    pub fn new(protocol: P, backend: Backend) -> Result<Shared<P>> {
        let birth = Birth::here();
        let poller = Poller::new(backend).map_err(|error| Error::io(&error, "the poller"))?;
        let poller = Arc::new(poller);
        let driver = Mutex::new(Driver::new(protocol, poller.clone()));
        let (stopped, panicked) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Shared { driver, poller, stopped, panicked, birth })
    }

    /// The driver, once it has no other owner. Must not be called in a child after `fork`.
    pub fn lock(&self) -> MutexGuard<'_, Driver<P>> {
        self.driver.lock()
    }

    /// Lets threads that send something to this engine in this process run its turns, while nobody else does. Not for an
    /// engine whose own sends could end up with itself.
    pub fn serve_in_senders(self: &Arc<Self>)
    where
        P: Send + 'static,
    {
        let turns: Weak<Self> = Arc::downgrade(self);
        self.lock().reactor.ready.set_turns(turns);
    }

    /// Has the loop do one more turn, which runs the engine's actions. Async-signal-safe; does nothing in a child
    /// after `fork`.
    pub fn wake(&self) {
        self.poller.wake();
    }

    /// Has [`Shared::run`] return after its turn. Async-signal-safe.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the loop can no longer be woken, because the program closed a descriptor of the library. Then its thread
    /// must not be waited for.
    pub fn is_deaf(&self) -> bool {
        self.poller.is_deaf()
    }

    /// Whether [`Shared::stop`] was called.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether this process is a `fork` child of the process that created this. Async-signal-safe.
    pub fn forked(&self) -> bool {
        self.birth.forked()
    }

    /// In a child after `fork`: closes the inherited descriptors, and does nothing else. Those of connections stay open
    /// until `exec` if the loop was running at the time of the fork. Nothing may be called afterwards. In the parent it
    /// does nothing.
    pub fn abandon(&self) {
        if !self.forked() {
            return;
        }
        // The thread that held the lock, if one did, is not in this process.
        if let Some(mut driver) = self.driver.try_lock() {
            driver.abandon();
        }
        self.poller.abandon();
    }

    /// Binds in the calling thread; the loop accepts. `ipc_mode` are the permission bits of a socket file. Returns the
    /// URL with the actual port or path. Waits, without the lock, while a host name is resolved. There are no gateways in
    /// memory.
    pub fn listen(&self, address: &Address, ipc_mode: u32, service: Service) -> Result<String> {
        let Service { gateway, pages, tls } = service;
        if let (Address::Inproc(name), None) = (address, gateway) {
            return self.lock().listen_inproc(name);
        }
        let listener = Listener::bind(address, ipc_mode)?;
        let encoding = accepted(address, listener.url(), gateway, pages);
        self.lock().add_listener(listener, encoding, gateway, tls)
    }

    /// The loop: waits, moves bytes, calls `after` without the lock, until [`Shared::stop`]. `after` returns the latest
    /// time of its next call. A panic of the engine or of `after` passes through.
    ///
    /// # Errors
    /// [`Status::Io`]: waiting fails, because the program closed a descriptor of the library; [`Status::Internal`]: the
    /// engine has panicked in a thread that [served](Shared::serve_in_senders) it.
    pub fn run(&self, mut after: impl FnMut() -> Option<MonoTime>) -> Result<()> {
        let mut turns = Loop::new(self);
        let mut again = None;
        while !self.stopped() {
            turns.turn(again.map(|at: MonoTime| at.since(now().mono)))?;
            again = after();
        }
        Ok(())
    }
}

impl<P: Protocol + Send> Turns for Shared<P> {
    fn turn(&self) -> bool {
        let Some(mut driver) = self.driver.try_lock() else { return false };
        if self.stopped() || self.forked() || self.panicked.load(Ordering::Acquire) {
            return false;
        }
        let served = catch_unwind(AssertUnwindSafe(|| driver.serve(now())));
        self.panicked.fetch_or(served.is_err(), Ordering::AcqRel);
        let is_served = matches!(served, Ok(Some(_)));
        // Who was written to before a panic is told, too.
        let mut notices = served.ok().flatten().unwrap_or_else(|| driver.take_notices());
        // With the lock released: who is told may run at once, and need it.
        drop(driver);
        notices.tell();
        is_served
    }
}

/// Data that only the thread of the loop uses.
pub struct Loop<'a, P> {
    shared: &'a Shared<P>,
    events: Vec<Event>,
    /// Keys that were reported ready by something other than the poller.
    told: Vec<u64>,
    /// Until when the next turn may wait.
    until: Option<MonoTime>,
    /// Whether the next turn waits at all.
    idle: bool,
}

impl<'a, P: Protocol> Loop<'a, P> {
    /// A loop for `shared`, which has no other.
    pub fn new(shared: &'a Shared<P>) -> Loop<'a, P> {
        Loop { shared, events: Vec::new(), told: Vec::new(), until: None, idle: false }
    }

    /// One turn: waits until something is ready, the engine's deadline has passed, a wake, or `timeout`; then handles
    /// it.
    ///
    /// # Errors
    /// As [`Shared::run`]. A failure to wait is not a panic, and must not become a busy loop that nobody notices.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<()> {
        let until = match (self.idle, self.until) {
            (false, _) => Some(Duration::ZERO),
            (true, None) => None,
            (true, Some(until)) => Some(until.since(now().mono)),
        };
        let timeout = match (timeout, until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let waited = self.shared.poller.wait(&mut self.events, timeout);
        waited.map_err(|error| Error::io(&error, "waiting for descriptors, which something else has closed"))?;

        let mut driver = self.shared.driver.lock();
        if self.shared.panicked.load(Ordering::Acquire) {
            return Err(Error::new(Status::Internal, "its engine panicked in the thread of a sender"));
        }
        let driver = &mut *driver;
        driver.sleeps = None;
        let now = now();
        driver.reactor.ready.take(&mut self.told);
        let idle = self.events.is_empty() && self.told.is_empty() && !driver.conns.are_waiting();
        let mut buffer = if idle { Vec::new() } else { driver.conns.take_buffer() };
        for &event in &self.events {
            driver.ready(now, event, &mut buffer);
        }
        for key in self.told.drain(..) {
            driver.ready(now, Event { key, read: true, write: true, broken: false }, &mut buffer);
        }
        driver.read_some(now, &mut buffer, Stint::begin());
        driver.run_timers(now);
        driver.write_some(now, Stint::begin());
        if !idle {
            driver.conns.put_buffer(buffer);
        }
        self.until = driver.next_time();
        self.idle = !driver.goes_on();
        driver.sleeps = Some(Sleep { until: self.until });
        Ok(())
    }
}
