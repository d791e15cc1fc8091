//! A thread that waits may read the connection in the loop's place, and one that comes when its program's own event loop
//! tells it to: the models run the loop of `App::recv`, the file that is shipped, with a connection that is a counter and a
//! kernel that reports it.

#[cfg(test)]
mod scenarios;

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex, MutexGuard, Notify};
use loom::thread;

use crate::deadline::Deadline;
use crate::reader::{self, Lender, Monitor, Reader, Sleeper, Wait};
use crate::ready::{Ready, ReadyList, Wake};
use crate::wake::Woken;
use crate::Loop;

/// The state of the connection in the kernel.
#[derive(Default)]
struct Socket {
    unread: usize,
    closed: bool,
    /// The loop's poller reports it.
    armed: bool,
    /// Threads of the program that sleep on it.
    polled: Vec<Arc<Notify>>,
    /// `Readiness` watches it.
    watched: bool,
    /// Event loops of the program that sleep on `Readiness`.
    pollers: Vec<Arc<Notify>>,
    /// If it is a pipe in memory, as `inproc`: the last read found nothing, and nobody has been told of more.
    reader_waits: Option<Ready>,
}

impl Socket {
    /// `Readiness` may be readable now.
    fn tell_pollers(&self) {
        self.pollers.iter().for_each(|poller| poller.notify());
    }
}

/// The kernel's part of the connection, and of the loop's sleep.
struct Kernel {
    socket: Mutex<Socket>,
    poller: std::sync::Arc<Loop>,
    /// The program has an event loop of its own.
    polls: bool,
    /// The connection is one in memory, which reports here.
    memory: Option<std::sync::Arc<ReadyList>>,
}

/// The key of the connection.
const KEY: u64 = 1;

impl Kernel {
    /// The hub's part: a message, or the end.
    fn arrives(&self, change: impl FnOnce(&mut Socket)) {
        let mut socket = self.socket.lock().unwrap();
        change(&mut socket);
        if self.memory.is_some() {
            let reader = socket.reader_waits.take();
            drop(socket);
            return reader.into_iter().for_each(|reader| reader.notify_reader());
        }
        if socket.armed {
            self.poller.descriptor.notify();
        }
        socket.polled.iter().for_each(|thread| thread.notify());
        if socket.watched {
            socket.tell_pollers();
        }
    }

    /// `Readiness::watch` and `unwatch`.
    fn watch(&self, watched: bool) {
        let mut socket = self.socket.lock().unwrap();
        socket.watched = watched && self.polls;
        if socket.watched && (socket.unread > 0 || socket.closed) {
            socket.tell_pollers();
        }
    }

    /// `ByteStream::is_drained`.
    fn is_drained(&self) -> bool {
        self.socket.lock().unwrap().reader_waits.is_some()
    }

    /// `Poller::set`: level-triggered, it tells at once of what is there.
    fn arm(&self, armed: bool) {
        let mut socket = self.socket.lock().unwrap();
        socket.armed = armed;
        if armed && (socket.unread > 0 || socket.closed) {
            self.poller.descriptor.notify();
        }
    }
}

/// `SocketWaiter`: waits for the socket and for its own descriptor; or `MemoryWaiter`, which is told of what comes.
struct Waiter {
    kernel: Arc<Kernel>,
    woken: Arc<Notify>,
}

impl Wait for Waiter {
    /// Whether there is more to read, in memory.
    type Source = bool;

    fn wait(&self, has_more: bool, timeout: Option<Duration>) -> io::Result<Woken> {
        if self.kernel.memory.is_some() {
            if !has_more && timeout != Some(Duration::ZERO) {
                self.woken.wait();
            }
            return Ok(Woken::Readable);
        }
        let ready = {
            let mut socket = self.kernel.socket.lock().unwrap();
            socket.polled.push(self.woken.clone());
            socket.unread > 0 || socket.closed
        };
        if !ready && timeout != Some(Duration::ZERO) {
            self.woken.wait();
        }
        let mut socket = self.kernel.socket.lock().unwrap();
        socket.polled.retain(|thread| !Arc::ptr_eq(thread, &self.woken));
        let ready = socket.unread > 0 || socket.closed;
        Ok(if ready { Woken::Readable } else { Woken::Otherwise })
    }

    fn wake(&self) {
        self.woken.notify();
    }
}

impl Wake for Sleeper<Waiter> {
    fn wake(&self) {
        Sleeper::wake(self);
    }
}

/// `Conns`, with one connection.
struct Connection {
    kernel: Arc<Kernel>,
    open: bool,
    lent: bool,
    /// The loop is to read it.
    waits: bool,
}

impl Lender for Connection {
    type Conn = ();
    type Wait = Waiter;

    fn can_lend(&self, (): ()) -> bool {
        self.open && !self.waits
    }

    fn lend(&mut self, (): (), sleeper: &std::sync::Arc<Sleeper<Waiter>>) -> bool {
        if self.can_lend(()) && !std::mem::replace(&mut self.lent, true) {
            match &self.kernel.memory {
                Some(list) => list.lend(KEY, sleeper.clone()),
                None => self.kernel.arm(false),
            }
        }
        self.can_lend(())
    }

    fn take_back(&mut self, (): ()) {
        if self.open {
            self.lent = false;
            let Some(list) = &self.kernel.memory else { return self.kernel.arm(true) };
            list.take_back(KEY);
            if !self.kernel.is_drained() {
                self.waits = true;
                self.kernel.poller.wake();
            }
        }
    }

    fn show(&mut self, (): ()) -> bool {
        if self.kernel.memory.is_some() {
            return !self.kernel.polls;
        }
        self.kernel.watch(true);
        true
    }

    fn hide(&mut self, (): ()) {
        self.kernel.watch(false);
    }

    fn is_due(&self, (): ()) -> bool {
        self.waits
    }

    fn is_paused(&self, (): ()) -> bool {
        false
    }

    fn source(&self, (): ()) -> Option<bool> {
        self.open.then(|| self.kernel.memory.is_some() && !self.kernel.is_drained())
    }

    fn waiter(&self, (): ()) -> io::Result<Waiter> {
        Ok(Waiter { kernel: self.kernel.clone(), woken: Arc::new(Notify::new()) })
    }
}

/// What is behind the driver's lock.
struct Driver {
    reader: Reader<Connection>,
    connection: Connection,
    inbox: usize,
    interrupted: bool,
    /// Reads that ran at the same time would be one too many.
    reads: usize,
    /// `Readiness` is set.
    ready: bool,
    /// The next call that does not wait need not read.
    skips: bool,
}

impl Driver {
    /// `Driver::take`.
    fn close(&mut self) {
        self.connection.open = false;
        if std::mem::take(&mut self.connection.lent) {
            match &self.connection.kernel.memory {
                Some(list) => list.take_back(KEY),
                None => self.connection.kernel.watch(false),
            }
            self.reader.close();
        }
    }

    /// `Driver::read`, by any thread: everything that is there.
    fn read(&mut self) {
        assert!(self.connection.open);
        self.reads += 1;
        assert_eq!(self.reads, 1, "two threads read");
        let kernel = self.connection.kernel.clone();
        let (unread, closed) = {
            let mut socket = kernel.socket.lock().unwrap();
            let is_open = |_: &_| !socket.closed;
            socket.reader_waits = kernel.memory.as_ref().filter(is_open).map(|list| Ready::new(list, KEY));
            (std::mem::take(&mut socket.unread), socket.closed)
        };
        self.inbox += unread;
        self.skips = unread > 0;
        if closed {
            self.close();
        }
        self.reads -= 1;
    }
}

/// The lock, which a wait lets go.
struct Guard<'a> {
    lock: &'a Mutex<Driver>,
    held: Option<MutexGuard<'a, Driver>>,
}

impl Deref for Guard<'_> {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        self.held.as_ref().expect("held")
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Driver {
        self.held.as_mut().expect("held")
    }
}

/// An app: its loop, its connection, and what wakes whom.
struct App {
    driver: Mutex<Driver>,
    changed: Condvar,
    kernel: Arc<Kernel>,
    stopped: AtomicBool,
    /// Threads that stop reading are expected back.
    expects: bool,
}

impl Monitor for App {
    type Conns = Connection;
    type Driver = Driver;
    type Guard<'a> = Guard<'a>;

    fn parts(driver: &mut Driver) -> (&mut Reader<Connection>, &mut Connection) {
        (&mut driver.reader, &mut driver.connection)
    }

    fn connection(&self, driver: &Driver) -> Option<()> {
        driver.connection.open.then_some(())
    }

    fn unlocked<T>(&self, guard: &mut Guard<'_>, f: impl FnOnce() -> T) -> T {
        drop(guard.held.take());
        let result = f();
        guard.held = Some(guard.lock.lock().unwrap());
        result
    }

    fn wait(&self, guard: &mut Guard<'_>, until: Option<Instant>) {
        assert_eq!(until, None, "there is no time here");
        let held = guard.held.take().expect("held");
        guard.held = Some(self.changed.wait(held).unwrap());
    }

    fn notify(&self) {
        self.changed.notify_all();
    }

    fn read(&self, guard: &mut Guard<'_>, (): (), _: bool) {
        guard.read();
    }

    fn is_expected_back(&self, _: &mut Driver) -> bool {
        self.expects
    }

    fn kept(&self, driver: &mut Driver, receives: bool) -> Option<()> {
        let skips = receives && std::mem::take(&mut driver.skips);
        driver.reader.kept().filter(|()| !skips)
    }

    fn show(&self, driver: &mut Driver) -> bool {
        if !self.kernel.polls {
            return false;
        }
        let ready = driver.inbox > 0 || !driver.connection.open;
        let was_ready = std::mem::replace(&mut driver.ready, ready);
        if ready && !was_ready {
            self.kernel.socket.lock().unwrap().tell_pollers();
        }
        was_ready && !ready
    }

    fn cannot_wait(&self, error: &io::Error) {
        panic!("{error}");
    }
}

impl App {
    fn new(expects: bool, polls: bool, in_memory: bool) -> Arc<App> {
        let poller = std::sync::Arc::new(Loop::new());
        let memory = in_memory.then(|| std::sync::Arc::new(ReadyList::new(poller.clone())));
        let reader_waits = memory.as_ref().map(|list| Ready::new(list, KEY));
        let socket = Mutex::new(Socket { armed: true, reader_waits, ..Socket::default() });
        let kernel = Arc::new(Kernel { socket, poller, polls, memory });
        let connection = Connection { kernel: kernel.clone(), open: true, lent: false, waits: false };
        let (ready, skips) = (false, false);
        let driver =
            Driver { reader: Reader::default(), connection, inbox: 0, interrupted: false, reads: 0, ready, skips };
        let (driver, changed) = (Mutex::new(driver), Condvar::new());
        Arc::new(App { driver, changed, kernel, stopped: AtomicBool::new(false), expects })
    }

    fn lock(&self) -> Guard<'_> {
        Guard { lock: &self.driver, held: Some(self.driver.lock().unwrap()) }
    }

    /// The loop's thread.
    fn run(&self) {
        while !self.stopped.load(Ordering::SeqCst) {
            self.kernel.poller.wait(false);
            let mut driver = self.lock();
            let told = if let Some(list) = &self.kernel.memory {
                let mut keys = Vec::new();
                list.take(&mut keys);
                std::mem::take(&mut driver.connection.waits) || !keys.is_empty()
            } else {
                let socket = self.kernel.socket.lock().unwrap();
                socket.armed && (socket.unread > 0 || socket.closed)
            };
            if told && driver.connection.open && !driver.connection.lent {
                driver.read();
            }
            let news = driver.interrupted || driver.inbox > 0 || !driver.connection.open;
            self.show(&mut driver);
            reader::tell(self, &driver.reader, news);
        }
    }

    /// `App::recv` without waiting: a message, if there is one.
    fn try_recv(&self) -> bool {
        let take = |driver: &mut Driver| (driver.inbox > 0).then(|| driver.inbox -= 1);
        reader::wait_reading(self, &mut self.lock(), &mut Deadline::after(Some(Duration::ZERO)), take).is_some()
    }

    /// `poll` of the descriptor: it returns at once while there is something, and remembers nothing.
    fn poll(&self) {
        let woken = Arc::new(Notify::new());
        self.kernel.socket.lock().unwrap().pollers.push(woken.clone());
        let is_readable = {
            let driver = self.lock();
            let socket = self.kernel.socket.lock().unwrap();
            driver.ready || (socket.watched && (socket.unread > 0 || socket.closed))
        };
        if !is_readable {
            woken.wait();
        }
        self.kernel.socket.lock().unwrap().pollers.retain(|poller| !Arc::ptr_eq(poller, &woken));
    }

    /// A program with an event loop of its own, which takes so many messages, or all until the connection ends.
    fn polls_for(&self, messages: Option<usize>) {
        let mut taken = 0;
        let wants = |taken| messages.is_none_or(|messages| taken < messages);
        while wants(taken) {
            self.poll();
            while wants(taken) && self.try_recv() {
                taken += 1;
            }
            if !self.lock().connection.open && messages.is_none() {
                return;
            }
        }
    }

    /// `App::recv`: true for a message, false if the connection is closed or it was interrupted.
    fn recv(&self) -> bool {
        reader::wait_reading(self, &mut self.lock(), &mut Deadline::after(None), |driver| {
            if std::mem::take(&mut driver.interrupted) {
                return Some(false);
            }
            if driver.inbox > 0 {
                driver.inbox -= 1;
                return Some(true);
            }
            (!driver.connection.open).then_some(false)
        })
        .expect("there is no time here")
    }

    /// `App::dispatch` where only callbacks for the link are set: until there is no connection.
    fn waits_for_the_end(&self) {
        reader::wait_reading(self, &mut self.lock(), &mut Deadline::after(None), |driver| {
            (!driver.connection.open).then_some(())
        })
        .expect("there is no time here");
    }

    /// `App::flush` without waiting: it finds out whether something has come, and takes nothing.
    fn looks(&self) {
        reader::wait(self, &mut self.lock(), &mut Deadline::after(Some(Duration::ZERO)), |_| None::<()>);
    }

    /// `App::flush`: for a message that another thread takes, or until there is no connection.
    fn waits_for_a_message(&self) {
        reader::wait(self, &mut self.lock(), &mut Deadline::after(None), |driver| {
            (driver.inbox > 0 || !driver.connection.open).then_some(())
        })
        .expect("there is no time here");
    }

    /// Ends the loop.
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.kernel.poller.wake();
    }
}
