//! Every order in which threads may meet in what they share without a lock, tried out by `loom`: `make loom`.
//!
//! The library hands things to a loop in one way only: publish, then [`wake::WakeFlag::wake`]. The models are that, with
//! the real flag; `Notify` stands for the descriptor, which also remembers one notification. A lost wake is a deadlock,
//! which `loom` reports.
//!
//! And a thread that waits may read the connection in the loop's place: the model is that of `App::recv`, with the real
//! [`token::Token`], over a socket of one counter.
#![cfg(loom)]

#[path = "../src/transport/sync.rs"]
mod sync;
#[path = "../src/runtime/token.rs"]
mod token;
#[path = "../src/transport/wake.rs"]
mod wake;

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex, MutexGuard, Notify};
use loom::thread;
use token::{Left, Token};
use wake::WakeFlag;

struct Loop {
    flag: WakeFlag,
    descriptor: Notify,
    /// How often the descriptor was written to, and slept on.
    writes: AtomicUsize,
    sleeps: AtomicUsize,
}

impl Loop {
    fn new() -> Loop {
        Loop {
            flag: WakeFlag::new(),
            descriptor: Notify::new(),
            writes: AtomicUsize::new(0),
            sleeps: AtomicUsize::new(0),
        }
    }

    /// As `Poller::wake`.
    fn wake(&self) {
        if self.flag.wake() {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.descriptor.notify();
        }
    }

    /// As `Poller::wait`, without or with a timeout of nothing.
    fn wait(&self, at_once: bool) {
        if !at_once && self.flag.sleep() {
            self.sleeps.fetch_add(1, Ordering::Relaxed);
            self.descriptor.wait();
        }
        self.flag.woke();
    }
}

/// Three preemptions are enough for every known way to lose a wake.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn every_letter_in_a_mailbox_is_taken_by_a_loop_that_sleeps_between() {
    check(|| {
        let (shared, letters) = (Arc::new(Loop::new()), Arc::new(Mutex::new(Vec::new())));
        let posters: Vec<_> = (0..2)
            .map(|letter| {
                let (shared, letters) = (shared.clone(), letters.clone());
                thread::spawn(move || {
                    letters.lock().unwrap().push(letter);
                    shared.wake();
                })
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < 2 {
            shared.wait(false);
            taken.append(&mut letters.lock().unwrap());
        }
        for poster in posters {
            poster.join().unwrap();
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}

#[test]
fn a_sleeping_loop_costs_one_write_and_a_running_one_none() {
    check(|| {
        let (shared, work) = (Arc::new(Loop::new()), Arc::new(AtomicUsize::new(0)));
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let (shared, work) = (shared.clone(), work.clone());
                thread::spawn(move || {
                    work.fetch_add(1, Ordering::Relaxed);
                    shared.wake();
                })
            })
            .collect();
        while work.load(Ordering::Relaxed) < 2 {
            shared.wait(false);
        }
        for waker in wakers {
            waker.join().unwrap();
        }
        assert!(shared.writes.load(Ordering::Relaxed) <= shared.sleeps.load(Ordering::Relaxed));
    });
}

#[test]
fn a_stop_is_seen_by_a_loop_that_also_looks_without_sleeping() {
    check(|| {
        let (shared, stopped) = (Arc::new(Loop::new()), Arc::new(AtomicBool::new(false)));
        let stopper = {
            let (shared, stopped) = (shared.clone(), stopped.clone());
            thread::spawn(move || {
                // What came before, and then the stop: two wakes of one thread.
                shared.wake();
                stopped.store(true, Ordering::Relaxed);
                shared.wake();
            })
        };
        let mut at_once = true;
        while !stopped.load(Ordering::Relaxed) {
            shared.wait(at_once);
            at_once = false;
        }
        stopper.join().unwrap();
    });
}

/// What the kernel knows of the connection.
#[derive(Default)]
struct Socket {
    unread: usize,
    closed: bool,
    /// The loop's poller tells of it.
    armed: bool,
    /// A thread of the program sleeps on it.
    polled: bool,
}

/// What is behind the driver's lock.
#[derive(Default)]
struct Driver {
    token: Token,
    lent: bool,
    connected: bool,
    inbox: usize,
    interrupted: bool,
    /// Reads that ran at the same time would be one too many.
    reads: usize,
}

/// An app: its loop, its connection, and what wakes whom.
struct App {
    driver: Mutex<Driver>,
    changed: Condvar,
    socket: Mutex<Socket>,
    poller: Loop,
    sleeper: WakeFlag,
    /// Both of what a thread that reads sleeps on: the socket and its descriptor.
    slept_on: Notify,
    stopped: AtomicBool,
}

impl App {
    fn new() -> Arc<App> {
        let driver = Driver { connected: true, ..Driver::default() };
        Arc::new(App {
            driver: Mutex::new(driver),
            changed: Condvar::new(),
            socket: Mutex::new(Socket { armed: true, ..Socket::default() }),
            poller: Loop::new(),
            sleeper: WakeFlag::new(),
            slept_on: Notify::new(),
            stopped: AtomicBool::new(false),
        })
    }

    /// The hub's part: a message, or the end.
    fn arrives(&self, change: impl FnOnce(&mut Socket)) {
        let mut socket = self.socket.lock().unwrap();
        change(&mut socket);
        if socket.armed {
            self.poller.descriptor.notify();
        }
        if socket.polled {
            self.slept_on.notify();
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

    fn wake_reader(&self, driver: &Driver) {
        if driver.token.is_with_caller() && self.sleeper.wake() {
            self.slept_on.notify();
        }
    }

    fn return_to_loop(&self, driver: &mut Driver) {
        driver.lent = false;
        if driver.connected {
            self.arm(true);
        }
    }

    /// `Driver::read`, whoever reads: everything that is there.
    fn read(&self, driver: &mut Driver) {
        assert!(driver.connected);
        driver.reads += 1;
        assert_eq!(driver.reads, 1, "two threads read");
        let mut socket = self.socket.lock().unwrap();
        driver.inbox += std::mem::take(&mut socket.unread);
        if socket.closed {
            driver.connected = false;
            driver.lent = false;
            if driver.token.void() && self.sleeper.wake() {
                self.slept_on.notify();
            }
        }
        driver.reads -= 1;
    }

    /// The loop's thread.
    fn run(&self) {
        while !self.stopped.load(Ordering::SeqCst) {
            if self.poller.flag.sleep() {
                self.poller.descriptor.wait();
            }
            self.poller.flag.woke();
            let mut driver = self.driver.lock().unwrap();
            let told = {
                let socket = self.socket.lock().unwrap();
                socket.armed && (socket.unread > 0 || socket.closed)
            };
            if told && driver.connected && !driver.lent {
                self.read(&mut driver);
            }
            self.changed.notify_all();
            if driver.interrupted || driver.inbox > 0 || !driver.connected {
                self.wake_reader(&driver);
            }
        }
    }

    /// `Shared::read_borrowed`.
    fn read_borrowed<'a>(&'a self, driver: MutexGuard<'a, Driver>) -> MutexGuard<'a, Driver> {
        drop(driver);
        if self.sleeper.sleep() {
            let ready = {
                let mut socket = self.socket.lock().unwrap();
                socket.polled = true;
                socket.unread > 0 || socket.closed
            };
            if !ready {
                self.slept_on.wait();
            }
        }
        self.sleeper.woke();
        let readable = {
            let mut socket = self.socket.lock().unwrap();
            socket.polled = false;
            socket.unread > 0 || socket.closed
        };
        let mut driver = self.driver.lock().unwrap();
        if readable && driver.lent && !driver.token.is_kept() {
            self.read(&mut driver);
        }
        driver
    }

    /// `App::recv`: true for a message, false if the connection is closed or it was interrupted.
    fn recv(&self) -> bool {
        let mut driver = self.driver.lock().unwrap();
        let mut reads = false;
        let outcome = loop {
            if std::mem::take(&mut driver.interrupted) {
                break false;
            }
            if driver.inbox > 0 {
                driver.inbox -= 1;
                break true;
            }
            if !driver.connected {
                break false;
            }
            if reads && driver.token.is_kept() {
                self.stop_reading(&mut driver, &mut reads);
            }
            if !reads && driver.token.is_free() {
                if !std::mem::replace(&mut driver.lent, true) {
                    self.arm(false);
                }
                driver.token.take();
                reads = true;
            }
            if reads {
                driver = self.read_borrowed(driver);
                self.changed.notify_all();
            } else {
                driver.token.wait();
                driver = self.changed.wait(driver).unwrap();
                driver.token.waited();
            }
        };
        self.stop_reading(&mut driver, &mut reads);
        if driver.token.settle() {
            self.return_to_loop(&mut driver);
        }
        outcome
    }

    fn stop_reading(&self, driver: &mut Driver, reads: &mut bool) {
        if std::mem::take(reads) && driver.lent {
            match driver.token.leave() {
                Left::ToWaiters => self.changed.notify_all(),
                Left::ToLoop => self.return_to_loop(driver),
            }
        }
    }

    /// Ends the loop.
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.poller.wake();
    }
}

type Act = fn(&App);

/// Runs these threads beside the loop, which the last of them stops.
fn check_app(preemptions: usize, acts: &'static [Act]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        let (app, left) = (App::new(), Arc::new(AtomicUsize::new(acts.len())));
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
        let driver = app.driver.lock().unwrap();
        assert!(!driver.lent || !driver.connected, "nobody reads any more");
    });
}

fn receives(app: &App) {
    assert!(app.recv());
}

fn receives_nothing(app: &App) {
    assert!(!app.recv());
}

fn receives_twice(app: &App) {
    (0..2).for_each(|_| receives(app));
}

fn a_message_arrives(app: &App) {
    app.arrives(|socket| socket.unread += 1);
}

fn two_messages_arrive(app: &App) {
    (0..2).for_each(|_| a_message_arrives(app));
}

fn the_connection_ends(app: &App) {
    app.arrives(|socket| socket.closed = true);
}

/// As `App::interrupt`, which only has the loop look.
fn interrupts(app: &App) {
    app.driver.lock().unwrap().interrupted = true;
    app.poller.wake();
}

fn keeps_the_token(app: &App) {
    let mut driver = app.driver.lock().unwrap();
    if driver.token.keep() {
        app.return_to_loop(&mut driver);
    }
    app.wake_reader(&driver);
}

#[test]
fn a_thread_that_waits_gets_each_message_whoever_reads_it() {
    check_app(2, &[two_messages_arrive, receives_twice]);
}

#[test]
fn two_threads_that_wait_get_a_message_each() {
    check_app(1, &[two_messages_arrive, receives, receives]);
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
fn once_the_loop_keeps_the_token_it_reads_for_a_thread_that_waits() {
    check_app(
        2,
        &[receives, |app| {
            keeps_the_token(app);
            a_message_arrives(app);
        }],
    );
}

/// As `App::disconnect`: another thread closes the connection, of which the kernel need not tell who sleeps on it.
fn disconnects(app: &App) {
    let mut driver = app.driver.lock().unwrap();
    driver.connected = false;
    driver.lent = false;
    if driver.token.void() && app.sleeper.wake() {
        app.slept_on.notify();
    }
    app.changed.notify_all();
}

#[test]
fn a_connection_that_another_thread_closes_ends_every_wait() {
    check_app(1, &[disconnects, receives_nothing, receives_nothing]);
}

#[test]
fn once_the_loop_keeps_the_token_it_reads_for_every_thread_that_waits() {
    check_app(
        1,
        &[receives, receives, |app| {
            a_message_arrives(app);
            keeps_the_token(app);
            a_message_arrives(app);
        }],
    );
}
