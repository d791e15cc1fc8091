//! How a thread of the program waits for a connection of the driver, and has it.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use super::Conns;
use crate::engine::ConnId;
use crate::runtime::reader::{Lender, Sleeper, Wait};
use crate::transport::waiter::{MemoryWaiter, SocketWaiter};
use crate::transport::wake::Woken;
use crate::transport::Wake;

/// What a thread waits for.
#[derive(Clone, Copy)]
pub enum Source {
    Socket(RawFd),
    /// It wakes the thread, unless it has something to read already.
    Memory {
        has_more: bool,
    },
}

/// How a thread waits for a connection: each kind has its own.
pub enum Waiter {
    Socket(SocketWaiter),
    Memory(MemoryWaiter),
}

impl Waiter {
    /// In a child after `fork`: closes its copy of the descriptor.
    pub fn abandon(&self) {
        if let Waiter::Socket(waiter) = self {
            waiter.abandon();
        }
    }
}

impl Wait for Waiter {
    type Source = Source;

    fn wait(&self, source: Source, timeout: Option<Duration>) -> io::Result<Woken> {
        match (self, source) {
            (Waiter::Socket(waiter), Source::Socket(fd)) => waiter.wait(fd, timeout),
            (Waiter::Memory(waiter), Source::Memory { has_more: false }) => Ok(waiter.wait(timeout)),
            (_, Source::Memory { .. }) => Ok(Woken::Readable),
            (Waiter::Memory(_), Source::Socket(_)) => Ok(Woken::Otherwise),
        }
    }

    fn wake(&self) {
        match self {
            Waiter::Socket(waiter) => waiter.wake(),
            Waiter::Memory(waiter) => waiter.wake(),
        }
    }
}

impl Wake for Sleeper<Waiter> {
    fn wake(&self) {
        Sleeper::wake(self);
    }
}

impl Lender for Conns {
    type Conn = ConnId;
    type Wait = Waiter;

    fn can_lend(&self, conn: ConnId) -> bool {
        let Some(c) = self.conns.get(&conn.0) else { return false };
        // With TLS there may be more to read than the socket has, but then it waits for the loop.
        let only_loop = c.paused || c.broken || c.reads.waits();
        !only_loop && (c.channel.memory().is_some() || self.poller.tells_once())
    }

    fn lend(&mut self, conn: ConnId, sleeper: &Arc<Sleeper<Waiter>>) -> bool {
        if !self.can_lend(conn) {
            return false;
        }
        let Some(c) = self.conns.get_mut(&conn.0) else { return false };
        if std::mem::replace(&mut c.lent, true) {
            return true;
        }
        if c.channel.memory().is_some() {
            self.ready.lend(conn.0, sleeper.clone());
        } else if c.watch(&self.poller, conn.0).is_err() {
            c.lent = false;
        }
        c.lent
    }

    fn take_back(&mut self, conn: ConnId) {
        let Some(c) = self.conns.get_mut(&conn.0) else { return };
        c.lent = false;
        let Some(stream) = c.channel.memory() else { return drop(c.watch(&self.poller, conn.0)) };
        self.ready.take_back(conn.0);
        // What came before was reported to the thread.
        if !c.paused && !stream.is_drained() {
            self.reading.wait(conn.0, &mut c.reads);
            self.poller.wake();
        }
    }

    fn show(&mut self, conn: ConnId) -> bool {
        let Some(c) = self.conns.get_mut(&conn.0) else { return false };
        if let (Some(readiness), Some(fd)) = (&self.readiness, c.channel.fd()) {
            c.shown = c.shown || readiness.watch(fd).is_ok();
            return c.shown;
        }
        // What is in memory cannot be watched.
        self.readiness.is_none()
    }

    fn hide(&mut self, conn: ConnId) {
        let Some(c) = self.conns.get_mut(&conn.0) else { return };
        if let (true, Some(readiness), Some(fd)) = (std::mem::take(&mut c.shown), &self.readiness, c.channel.fd()) {
            readiness.unwatch(fd);
        }
    }

    fn is_due(&self, conn: ConnId) -> bool {
        self.conns.get(&conn.0).is_some_and(|conn| conn.reads.waits() || conn.hung || conn.broken)
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        self.conns.get(&conn.0).is_some_and(|conn| conn.paused)
    }

    fn source(&self, conn: ConnId) -> Option<Source> {
        let channel = &self.conns.get(&conn.0)?.channel;
        let memory = || Some(Source::Memory { has_more: !channel.memory()?.is_drained() });
        channel.fd().map(Source::Socket).or_else(memory)
    }

    fn waiter(&self, conn: ConnId) -> io::Result<Waiter> {
        match self.conns.get(&conn.0).and_then(|conn| conn.channel.memory()) {
            Some(_) => Ok(Waiter::Memory(MemoryWaiter::default())),
            None => SocketWaiter::new().map(Waiter::Socket),
        }
    }
}
