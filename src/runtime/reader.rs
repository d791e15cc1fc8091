//! Which thread reads a connection: the loop, or a thread of the program that waits for what arrives.
//!
//! A thread that waits for the loop to read for it is woken twice: the kernel wakes the loop, and the loop wakes the
//! thread. So a thread that waits may *borrow* the connection and read it itself; the loop then leaves it alone. A
//! thread that stops reading passes the connection on to the other threads that wait, or gives it back to the loop. A
//! connection that was passed on belongs to the threads that were waiting at that time: the first of them that finds
//! nothing to return borrows it, and the last of them that leaves without borrowing it gives it back to the loop. So
//! there is always somebody who will read.
//!
//! A thread that stops reading and is expected back soon, by [`Monitor::is_expected_back`], keeps the connection while it
//! is away. Whoever needs what the connection brings meanwhile reads it itself ([`read_kept`]) or
//! [recalls](Reader::recall) it for the loop, which also does so itself once the thread has been away for too long.
//!
//! A program with an event loop of its own does not wait here. While it often takes what the loop has read, the connection
//! is [set aside](Reader::set_aside) for it, as for a thread that is away: its event loop watches the connection, and the
//! calls that it then makes read it, as look-ups do.
//!
//! [`Reader`] is behind the lock of the driver, and everything here except the sleep happens under that lock. Its needs
//! are traits, [`Lender`] for the connections and [`Monitor`] for the lock, so that `make loom` runs this file in every
//! order of its threads.

use std::io;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::deadline::Deadline;
use super::wake::{WakeFlag, Woken};

/// How a thread waits for something to read, and is woken.
pub trait Wait {
    /// What is waited for, as the system names it.
    type Source: Copy;

    /// Waits until `source` is readable, for a [`wake`](Wait::wake) since the last wait, on a socket for a signal, or
    /// until `timeout` has passed.
    fn wait(&self, source: Self::Source, timeout: Option<Duration>) -> io::Result<Woken>;

    /// Ends the current or the next wait.
    fn wake(&self);
}

/// The connections of a loop, which leaves one of them to a thread.
pub trait Lender {
    /// Identifies a connection.
    type Conn: Copy + PartialEq;
    /// How a thread waits for one of them.
    type Wait: Wait;

    /// Whether threads can wait for the connection.
    fn can_lend(&self, conn: Self::Conn) -> bool;

    /// The loop stops watching the connection, if it still does, so that a thread can read it, which sleeps on `sleeper`.
    /// False if only the loop can wait for it.
    fn lend(&mut self, conn: Self::Conn, sleeper: &Arc<Sleeper<Self::Wait>>) -> bool;

    /// The loop watches the connection again, if it still exists, and learns at once of what is there.
    fn take_back(&mut self, conn: Self::Conn);

    /// The program's own event loop, if it has one, watches the connection. False: it cannot.
    fn show(&mut self, conn: Self::Conn) -> bool;

    /// It does so no longer.
    fn hide(&mut self, conn: Self::Conn);

    /// Whether the loop has something to read of the connection, or knows that it has ended.
    fn is_due(&self, conn: Self::Conn) -> bool;

    /// Whether the engine accepts no bytes of the connection for now.
    fn is_paused(&self, conn: Self::Conn) -> bool;

    /// What a thread that reads the connection waits for.
    fn source(&self, conn: Self::Conn) -> Option<<Self::Wait as Wait>::Source>;

    /// A new object to wait for the connection with. Fails if there are no descriptors left.
    fn waiter(&self, conn: Self::Conn) -> io::Result<Self::Wait>;
}

/// The lock around a driver, for threads that wait.
pub trait Monitor {
    /// The driver's connections.
    type Conns: Lender;
    /// What the lock protects.
    type Driver;
    /// The lock, held.
    type Guard<'a>: DerefMut<Target = Self::Driver>
    where
        Self: 'a;

    /// The parts that decide which thread reads.
    fn parts(driver: &mut Self::Driver) -> (&mut Reader<Self::Conns>, &mut Self::Conns);

    /// The connection that brings what threads wait for.
    fn connection(&self, driver: &Self::Driver) -> Option<<Self::Conns as Lender>::Conn>;

    /// Runs `f` without the lock.
    fn unlocked<T>(&self, guard: &mut Self::Guard<'_>, f: impl FnOnce() -> T) -> T;

    /// Waits without the lock for a [`notify`](Monitor::notify), or until `until`.
    fn wait(&self, guard: &mut Self::Guard<'_>, until: Option<Instant>);

    /// Wakes every thread in [`wait`](Monitor::wait).
    fn notify(&self);

    /// Reads at most one round of the connection, which the calling thread borrowed. `broken`: the other side is gone,
    /// so it is read whether or not the engine accepts bytes.
    fn read(&self, guard: &mut Self::Guard<'_>, conn: <Self::Conns as Lender>::Conn, broken: bool);

    /// Whether the calling thread, which stops reading, will soon read again. If so, the loop [recalls](Reader::recall)
    /// the connection if it does not.
    fn is_expected_back(&self, driver: &mut Self::Driver) -> bool;

    /// The connection that is kept for a thread that is away, if the calling thread is to read it. `receives`: it takes
    /// what the connection brings, and calls again if the connection is still readable.
    fn kept(&self, driver: &mut Self::Driver, receives: bool) -> Option<<Self::Conns as Lender>::Conn>;

    /// Has the program's own event loop know whether there is something to take. True if there is such a loop, which knew of
    /// something that has now been taken.
    fn show(&self, driver: &mut Self::Driver) -> bool;

    /// Threads cannot wait for connections, so the loop reads from now on.
    fn cannot_wait(&self, error: &io::Error);
}

/// The thread that reads the connection that was lent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Holder {
    #[default]
    Loop,
    Thread,
    /// Passed on to the threads that wait.
    Waiting,
    /// Kept for a thread that will read again.
    Away,
}

/// A connection, and what the thread that reads it sleeps on.
type Place<L> = (<L as Lender>::Conn, Arc<Sleeper<<L as Lender>::Wait>>);

/// The right to read one connection, and what the thread with that right sleeps on.
pub struct Reader<L: Lender> {
    holder: Holder,
    /// The connection that the loop leaves alone.
    lent: Option<L::Conn>,
    /// Threads that wait while another reads.
    waiting: usize,
    /// Threads that wait for what others read.
    relying: usize,
    /// The loop reads permanently.
    kept: bool,
    /// Created for the first thread that reads the connection.
    sleeper: Option<Place<L>>,
}

impl<L: Lender> Default for Reader<L> {
    fn default() -> Reader<L> {
        Reader { holder: Holder::Loop, lent: None, waiting: 0, relying: 0, kept: false, sleeper: None }
    }
}

impl<L: Lender> Reader<L> {
    /// Lets the calling thread read `conn` in the loop's place, until it [gives it back](Reader::give_back). False if
    /// another thread does so already, if the loop keeps it, or if only the loop can wait for it.
    pub fn borrow(&mut self, conns: &mut L, conn: L::Conn) -> bool {
        if self.kept || self.holder == Holder::Thread {
            return false;
        }
        if self.lend(conns, conn) {
            if self.is_away() {
                conns.hide(conn);
            }
            (self.holder, self.lent) = (Holder::Thread, Some(conn));
            return true;
        }
        self.decline(conns);
        false
    }

    fn lend(&mut self, conns: &mut L, conn: L::Conn) -> bool {
        if !conns.can_lend(conn) {
            return false;
        }
        if self.sleeper.as_ref().is_none_or(|(of, _)| *of != conn) {
            let waiter = conns.waiter(conn).ok();
            self.sleeper = waiter.map(|waiter| (conn, Arc::new(Sleeper { flag: WakeFlag::new(), waiter })));
        }
        self.sleeper.as_ref().is_some_and(|(_, sleeper)| conns.lend(conn, sleeper))
    }

    /// Whether the calling thread, which borrowed `conn`, still reads it: not once it is closed, the loop wants it
    /// back, or the engine accepts no bytes.
    pub fn is_borrowed(&self, conns: &L, conn: L::Conn) -> bool {
        self.lent == Some(conn) && !self.kept && !conns.is_paused(conn)
    }

    /// Ends the calling thread's [`borrow`](Reader::borrow) of `conn`, closed or not. `is_expected_back`: nobody else reads
    /// until it does so again, if nobody waits. Returns whether the waiting threads have to be woken, so that one of them
    /// reads.
    #[must_use]
    pub fn give_back(&mut self, conns: &mut L, conn: L::Conn, is_expected_back: bool) -> bool {
        if self.lent != Some(conn) {
            return false;
        }
        if self.holder == Holder::Thread && self.waiting > 0 && !self.kept {
            self.holder = Holder::Waiting;
            if conns.is_paused(conn) {
                // None of them could read it.
                self.decline(conns);
            }
            return true;
        }
        let keeps = is_expected_back && self.may_keep() && self.is_borrowed(conns, conn) && !conns.is_due(conn);
        if keeps && conns.show(conn) {
            self.holder = Holder::Away;
        } else {
            self.return_to_loop(conns);
        }
        false
    }

    /// Whether `conn`, which the loop reads, may be [set aside](Reader::set_aside): nobody waits.
    pub fn may_set_aside(&self, conns: &L, conn: L::Conn) -> bool {
        let is_idle = self.holder == Holder::Loop && self.waiting == 0 && self.relying == 0 && !self.kept;
        is_idle && conns.can_lend(conn) && !conns.is_due(conn)
    }

    /// Keeps `conn`, which the loop reads, for a thread of a program with an event loop of its own: it will read when that
    /// loop tells it to.
    pub fn set_aside(&mut self, conns: &mut L, conn: L::Conn) {
        if self.lend(conns, conn) {
            (self.holder, self.lent) = (Holder::Away, Some(conn));
            self.show(conns);
        }
    }

    /// If the connection is kept for a thread that is away, the program's own event loop, if it has one, watches it.
    pub fn show(&mut self, conns: &mut L) {
        if self.kept().is_some_and(|conn| !conns.show(conn)) {
            self.return_to_loop(conns);
        }
    }

    /// Whether the calling thread, which reads, may keep the connection when it stops: nobody else waits.
    pub fn may_keep(&self) -> bool {
        self.holder == Holder::Thread && self.waiting == 0 && self.relying == 0
    }

    /// Whether the connection is kept for a thread that is away.
    pub fn is_away(&self) -> bool {
        self.holder == Holder::Away
    }

    /// That connection.
    pub fn kept(&self) -> Option<L::Conn> {
        self.lent.filter(|_| self.is_away())
    }

    /// If the connection is kept for a thread that is away, the loop reads it again.
    pub fn recall(&mut self, conns: &mut L) {
        if self.is_away() {
            self.return_to_loop(conns);
        }
    }

    /// The calling thread begins to wait for what others read.
    pub fn begin_to_rely(&mut self, conns: &mut L) {
        self.relying += 1;
        self.recall(conns);
    }

    /// It stops waiting.
    pub fn end_to_rely(&mut self) {
        self.relying -= 1;
    }

    /// The calling thread begins to wait while another reads.
    pub fn begin_wait(&mut self) {
        self.waiting += 1;
    }

    /// The calling thread stops waiting: it was woken, or its time is up.
    pub fn end_wait(&mut self) {
        self.waiting -= 1;
    }

    /// The calling thread leaves without reading. If it was the last of those that the connection was passed on to, the
    /// loop reads again.
    pub fn leave(&mut self, conns: &mut L) {
        if self.waiting == 0 && self.holder == Holder::Waiting {
            self.return_to_loop(conns);
        }
    }

    /// The loop reads from now on, permanently. A thread that reads is woken and stops.
    pub fn keep(&mut self, conns: &mut L) {
        self.kept = true;
        self.decline(conns);
        self.wake();
    }

    /// Has the thread that reads, if there is one, check whether it has something to return, and otherwise read on.
    pub fn wake(&self) {
        if let (Holder::Thread, Some((_, sleeper))) = (self.holder, &self.sleeper) {
            sleeper.wake();
        }
    }

    /// The connection that was lent is closed; the next one belongs to the loop. Wakes a thread that reads it.
    pub fn close(&mut self) {
        self.lent = None;
        if std::mem::take(&mut self.holder) == Holder::Thread {
            // It may still sleep when another thread reads the next connection, which therefore gets a sleeper of its
            // own.
            if let Some((_, sleeper)) = self.sleeper.take() {
                sleeper.wake();
            }
        }
    }

    /// Whether the loop leaves a connection alone.
    #[cfg(test)]
    pub fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// What the thread that reads sleeps on.
    pub fn waiter(&self) -> Option<&L::Wait> {
        self.sleeper.as_ref().map(|(_, sleeper)| &sleeper.waiter)
    }

    /// No thread borrows a connection that was passed on, or kept: the loop reads again.
    fn decline(&mut self, conns: &mut L) {
        if matches!(self.holder, Holder::Waiting | Holder::Away) {
            self.return_to_loop(conns);
        }
    }

    fn return_to_loop(&mut self, conns: &mut L) {
        let was_away = std::mem::take(&mut self.holder) == Holder::Away;
        if let Some(conn) = self.lent.take() {
            if was_away {
                conns.hide(conn);
            }
            conns.take_back(conn);
        }
    }
}

/// Waits until `look` finds something, and returns it; `None` once `deadline` has passed, after a last call of `look`,
/// which is called again whenever something changed.
pub fn wait<M: Monitor, T>(
    monitor: &M,
    guard: &mut M::Guard<'_>,
    deadline: &mut Deadline,
    mut look: impl FnMut(&mut M::Driver) -> Option<T>,
) -> Option<T> {
    loop {
        if let Some(found) = look(guard) {
            return Some(found);
        }
        if deadline.is_over() {
            return if read_kept(monitor, guard, false) { look(guard) } else { None };
        }
        wait_for_others(monitor, guard, deadline.at());
    }
}

/// As [`Monitor::wait`], in a thread that relies on others to read.
pub fn wait_for_others<M: Monitor>(monitor: &M, guard: &mut M::Guard<'_>, until: Option<Instant>) {
    let (reader, conns) = M::parts(guard);
    reader.begin_to_rely(conns);
    monitor.wait(guard, until);
    M::parts(guard).0.end_to_rely();
}

/// As [`wait`], for something that comes by the connection: the calling thread reads the connection if no other does.
pub fn wait_reading<M: Monitor, T>(
    monitor: &M,
    guard: &mut M::Guard<'_>,
    deadline: &mut Deadline,
    mut look: impl FnMut(&mut M::Driver) -> Option<T>,
) -> Option<T> {
    let (mut reads, mut has_waited) = (None, false);
    let found = loop {
        if let Some(found) = look(guard) {
            break Some(found);
        }
        if deadline.is_over() {
            break if read_kept(monitor, guard, true) { look(guard) } else { None };
        }
        if reads.is_some_and(|conn| !is_borrowed::<M>(guard, conn)) {
            stop_reading(monitor, guard, &mut reads, false);
        }
        has_waited = true;
        if reads.is_none() {
            reads = monitor.connection(guard).filter(|&conn| {
                let (reader, conns) = M::parts(guard);
                reader.borrow(conns, conn)
            });
        }
        // What others take may have come, for which this thread goes on waiting.
        monitor.show(guard);
        match reads {
            Some(conn) => {
                read_borrowed(monitor, guard, conn, deadline.left());
                monitor.notify();
            }
            None => {
                M::parts(guard).0.begin_wait();
                monitor.wait(guard, deadline.at());
                M::parts(guard).0.end_wait();
            }
        }
    };
    if reads.is_some() {
        let is_expected_back = M::parts(guard).0.may_keep() && monitor.is_expected_back(guard);
        stop_reading(monitor, guard, &mut reads, is_expected_back);
    }
    let (reader, conns) = M::parts(guard);
    reader.leave(conns);
    if monitor.show(guard) && !has_waited {
        set_aside(monitor, guard);
    }
    found
}

/// The program has taken what its own event loop has told it of: if it is expected back, the connection is kept for it.
fn set_aside<M: Monitor>(monitor: &M, guard: &mut M::Guard<'_>) {
    let Some(conn) = monitor.connection(guard) else { return };
    let (reader, conns) = M::parts(guard);
    if reader.may_set_aside(conns, conn) && monitor.is_expected_back(guard) {
        let (reader, conns) = M::parts(guard);
        reader.set_aside(conns, conn);
    }
}

/// Informs the waiting threads that something changed. `news`: also the one that reads, since the connection does not
/// tell it.
pub fn tell<M: Monitor>(monitor: &M, reader: &Reader<M::Conns>, news: bool) {
    monitor.notify();
    if news {
        reader.wake();
    }
}

/// Reads at most one round of a connection that is kept for a thread that is away, without waiting, if the calling thread is
/// to do that, by [`Monitor::kept`]. What is left, the loop reads. False: there is none.
pub fn read_kept<M: Monitor>(monitor: &M, guard: &mut M::Guard<'_>, receives: bool) -> bool {
    let Some(conn) = monitor.kept(guard, receives) else { return false };
    monitor.read(guard, conn, false);
    let (reader, conns) = M::parts(guard);
    if !reader.is_borrowed(conns, conn) || conns.is_due(conn) {
        reader.recall(conns);
    }
    if !receives {
        monitor.show(guard);
    }
    monitor.notify();
    true
}

fn is_borrowed<M: Monitor>(driver: &mut M::Driver, conn: <M::Conns as Lender>::Conn) -> bool {
    let (reader, conns) = M::parts(driver);
    reader.is_borrowed(conns, conn)
}

fn stop_reading<M: Monitor>(
    monitor: &M,
    driver: &mut M::Driver,
    reads: &mut Option<<M::Conns as Lender>::Conn>,
    is_expected_back: bool,
) {
    let Some(conn) = reads.take() else { return };
    let (reader, conns) = M::parts(driver);
    if reader.give_back(conns, conn, is_expected_back) {
        monitor.notify();
    }
}

/// Sleeps without the lock until `conn`, which the calling thread borrowed, is readable, until a [wake](Reader::wake),
/// or for `timeout`; then reads at most one round of it.
pub fn read_borrowed<M: Monitor>(
    monitor: &M,
    guard: &mut M::Guard<'_>,
    conn: <M::Conns as Lender>::Conn,
    timeout: Option<Duration>,
) {
    let (reader, conns) = M::parts(guard);
    let (Some(source), Some((_, sleeper))) = (conns.source(conn), reader.sleeper.clone()) else { return };
    // If the connection is closed meanwhile and its number is reused, it is not read below.
    let woken = monitor.unlocked(guard, || sleeper.wait(source, timeout));
    let broken = match woken {
        Ok(Woken::Readable) => false,
        Ok(Woken::Broken) => true,
        Ok(Woken::Otherwise) => return,
        Err(error) => {
            // A process that may open no more descriptors cannot poll two.
            monitor.cannot_wait(&error);
            let (reader, conns) = M::parts(guard);
            return reader.keep(conns);
        }
    };
    if is_borrowed::<M>(guard, conn) {
        monitor.read(guard, conn, broken);
    }
}

/// What one thread at a time sleeps on; any thread may wake it.
pub struct Sleeper<W> {
    flag: WakeFlag,
    waiter: W,
}

impl<W: Wait> Sleeper<W> {
    /// As [`Wait::wait`]. What other threads published before their [`wake`](Sleeper::wake) is visible afterwards.
    fn wait(&self, source: W::Source, timeout: Option<Duration>) -> io::Result<Woken> {
        let timeout = if self.flag.sleep() { timeout } else { Some(Duration::ZERO) };
        let woken = self.waiter.wait(source, timeout);
        self.flag.woke();
        woken
    }

    /// Ends the current or the next wait. Several wakes before the thread runs cost one write.
    pub fn wake(&self) {
        if self.flag.wake() {
            self.waiter.wake();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
