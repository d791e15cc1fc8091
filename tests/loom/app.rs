//! A thread that waits may read the connection in the loop's place, and one that comes when its program's own event loop
//! tells it to: the models run the loop of `App::recv`, the file that is shipped, with a connection that is a counter and a
//! kernel that reports it.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex, MutexGuard, Notify};
use loom::thread;

use crate::deadline::Deadline;
use crate::reader::{self, Lender, Monitor, Reader, Wait};
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
    poller: Loop,
    /// The program has an event loop of its own.
    polls: bool,
}

impl Kernel {
    /// The hub's part: a message, or the end.
    fn arrives(&self, change: impl FnOnce(&mut Socket)) {
        let mut socket = self.socket.lock().unwrap();
        change(&mut socket);
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

    /// `Poller::set`: level-triggered, it tells at once of what is there.
    fn arm(&self, armed: bool) {
        let mut socket = self.socket.lock().unwrap();
        socket.armed = armed;
        if armed && (socket.unread > 0 || socket.closed) {
            self.poller.descriptor.notify();
        }
    }
}

/// `SocketWaiter`: waits for the socket and for its own descriptor.
struct Waiter {
    kernel: Arc<Kernel>,
    woken: Arc<Notify>,
}

impl Wait for Waiter {
    type Source = ();

    fn wait(&self, (): (), timeout: Option<Duration>) -> io::Result<Woken> {
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

/// `Conns`, with one connection.
struct Connection {
    kernel: Arc<Kernel>,
    open: bool,
    lent: bool,
}

impl Lender for Connection {
    type Conn = ();
    type Wait = Waiter;

    fn can_lend(&self, (): ()) -> bool {
        self.open
    }

    fn lend(&mut self, (): ()) -> bool {
        if self.open && !std::mem::replace(&mut self.lent, true) {
            self.kernel.arm(false);
        }
        self.open
    }

    fn take_back(&mut self, (): ()) {
        if self.open {
            self.lent = false;
            self.kernel.arm(true);
        }
    }

    fn show(&mut self, (): ()) -> bool {
        self.kernel.watch(true);
        true
    }

    fn hide(&mut self, (): ()) {
        self.kernel.watch(false);
    }

    fn is_due(&self, (): ()) -> bool {
        false
    }

    fn is_paused(&self, (): ()) -> bool {
        false
    }

    fn source(&self, (): ()) -> Option<()> {
        self.open.then_some(())
    }

    fn waiter(&self) -> io::Result<Waiter> {
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
            self.connection.kernel.watch(false);
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
    fn new(expects: bool, polls: bool) -> Arc<App> {
        let socket = Mutex::new(Socket { armed: true, ..Socket::default() });
        let kernel = Arc::new(Kernel { socket, poller: Loop::new(), polls });
        let connection = Connection { kernel: kernel.clone(), open: true, lent: false };
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
            let told = {
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
        let take = |driver: &mut Driver| {
            (driver.inbox > 0).then(|| driver.inbox -= 1)
        };
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

type Act = fn(&App);

/// Runs these threads beside the loop, which the last of them stops.
fn check_app(preemptions: usize, acts: &'static [Act]) {
    check_app_with(false, false, preemptions, acts);
}

/// The same where threads that stop reading keep the connection, since they are expected back.
fn check_app_that_expects(preemptions: usize, acts: &'static [Act]) {
    check_app_with(true, false, preemptions, acts);
}

/// The same where the program has an event loop of its own, too.
fn check_app_that_polls(preemptions: usize, acts: &'static [Act]) {
    check_app_with(true, true, preemptions, acts);
}

fn check_app_with(expects: bool, polls: bool, preemptions: usize, acts: &'static [Act]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        let (app, left) = (App::new(expects, polls), Arc::new(AtomicUsize::new(acts.len())));
        let threads: Vec<_> = acts
            .iter()
            .map(|act| {
                let (app, left) = (app.clone(), left.clone());
                thread::spawn(move || {
                    act(&app);
                    if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                        app.stop();
                    }
                })
            })
            .collect();
        app.run();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        is_away_for_too_long(&app);
        assert!(!app.lock().connection.lent, "nobody reads any more");
    });
}

/// The loop's part, once a thread that is expected back has not come for long.
fn is_away_for_too_long(app: &App) {
    let mut driver = app.lock();
    let (reader, connection) = App::parts(&mut driver);
    reader.recall(connection);
}

fn receives(app: &App) {
    assert!(app.recv());
}

fn receives_nothing(app: &App) {
    assert!(!app.recv());
}

fn receives_or_not(app: &App) {
    let _ = app.recv();
}

fn receives_twice(app: &App) {
    (0..2).for_each(|_| receives(app));
}

fn a_message_arrives(app: &App) {
    app.kernel.arrives(|socket| socket.unread += 1);
}

fn two_messages_arrive(app: &App) {
    (0..2).for_each(|_| a_message_arrives(app));
}

fn the_connection_ends(app: &App) {
    app.kernel.arrives(|socket| socket.closed = true);
}

/// As `App::interrupt`, which only has the loop look.
fn interrupts(app: &App) {
    app.lock().interrupted = true;
    app.kernel.poller.wake();
}

fn keeps_reading(app: &App) {
    let mut driver = app.lock();
    let (reader, connection) = App::parts(&mut driver);
    reader.keep(connection);
}

#[test]
fn a_thread_that_waits_gets_each_message_whoever_reads_it() {
    check_app(2, &[two_messages_arrive, receives_twice]);
}

#[test]
fn a_thread_that_waits_without_reading_hears_of_what_the_loop_reads() {
    check_app(2, &[a_message_arrives, App::waits_for_a_message]);
}

#[test]
fn two_threads_that_wait_get_a_message_each() {
    check_app(1, &[two_messages_arrive, receives, receives]);
}

#[test]
fn a_thread_that_is_expected_back_gets_each_message() {
    check_app_that_expects(2, &[two_messages_arrive, receives_twice]);
}

#[test]
fn two_threads_get_a_message_each_while_each_is_expected_back() {
    check_app_that_expects(1, &[two_messages_arrive, receives, receives]);
}

#[test]
fn a_thread_that_waits_without_reading_hears_of_a_message_while_another_is_expected_back() {
    check_app_that_expects(2, &[two_messages_arrive, receives, App::waits_for_a_message]);
}

#[test]
fn a_connection_that_is_kept_for_a_thread_that_stays_away_is_read_by_the_loop() {
    check_app_that_expects(
        2,
        &[two_messages_arrive, |app| {
            receives(app);
            is_away_for_too_long(app);
            // It relies on the loop, and recalls nothing.
            let mut driver = app.lock();
            while driver.inbox == 0 {
                Monitor::wait(app, &mut driver, None);
            }
        }],
    );
}

#[test]
fn the_end_of_a_connection_ends_every_wait_while_a_thread_is_expected_back() {
    check_app_that_expects(
        1,
        &[receives_or_not, receives_or_not, |app| {
            a_message_arrives(app);
            the_connection_ends(app);
        }],
    );
}

#[test]
fn an_interrupt_ends_a_wait() {
    check_app(2, &[interrupts, receives_nothing]);
}

#[test]
fn the_end_of_the_connection_ends_every_wait() {
    check_app(1, &[the_connection_ends, receives_nothing, receives_nothing]);
}

#[test]
fn once_the_loop_keeps_reading_it_reads_for_a_thread_that_waits() {
    check_app(
        2,
        &[receives, |app| {
            keeps_reading(app);
            a_message_arrives(app);
        }],
    );
}

/// As `App::disconnect`: another thread closes the connection, of which the kernel need not tell who sleeps on it.
fn disconnects(app: &App) {
    let mut driver = app.lock();
    driver.close();
    app.notify();
}

#[test]
fn a_connection_that_is_closed_before_its_thread_has_the_lock_is_not_read() {
    check_app(
        2,
        &[receives_or_not, |app| {
            a_message_arrives(app);
            disconnects(app);
        }],
    );
}

#[test]
fn a_connection_that_another_thread_closes_ends_every_wait() {
    check_app(1, &[disconnects, receives_nothing, receives_nothing]);
}

#[test]
fn once_the_loop_keeps_reading_it_reads_for_every_thread_that_waits() {
    check_app(
        1,
        &[receives, receives, |app| {
            a_message_arrives(app);
            keeps_reading(app);
            a_message_arrives(app);
        }],
    );
}

fn polls_for_two(app: &App) {
    app.polls_for(Some(2));
}

fn polls_for_one(app: &App) {
    app.polls_for(Some(1));
}

#[test]
fn a_program_with_an_event_loop_of_its_own_gets_each_message_whoever_reads_it() {
    check_app_that_polls(2, &[two_messages_arrive, polls_for_two]);
}

#[test]
fn it_gets_a_message_that_came_when_it_had_stayed_away_for_too_long() {
    check_app_that_polls(
        2,
        &[two_messages_arrive, |app| {
            polls_for_one(app);
            is_away_for_too_long(app);
            polls_for_one(app);
        }],
    );
}

#[test]
fn it_gets_a_message_beside_a_thread_that_waits_for_another() {
    check_app_that_polls(1, &[two_messages_arrive, polls_for_one, receives]);
}

#[test]
fn a_thread_that_waits_without_reading_hears_of_a_message_beside_it() {
    check_app_that_polls(1, &[a_message_arrives, App::waits_for_a_message, polls_for_none]);
}

#[test]
fn it_learns_of_the_end_of_the_connection() {
    check_app_that_polls(
        2,
        &[|app| app.polls_for(None), |app| {
            a_message_arrives(app);
            the_connection_ends(app);
        }],
    );
}

#[test]
fn it_gets_a_message_beside_a_thread_that_reads_and_takes_none() {
    check_app_that_polls(
        1,
        &[App::waits_for_the_end, |app| {
            a_message_arrives(app);
            polls_for_one(app);
            the_connection_ends(app);
        }],
    );
}

#[test]
fn it_gets_a_message_after_a_call_that_has_only_looked() {
    check_app_that_polls(
        2,
        &[two_messages_arrive, |app| {
            polls_for_one(app);
            app.looks();
            polls_for_one(app);
        }],
    );
}

/// As a program whose own event loop has woken it for nothing.
fn polls_for_none(app: &App) {
    if app.try_recv() {
        app.lock().inbox += 1;
        app.notify();
    }
}
