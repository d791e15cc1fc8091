//! Every order in which threads may meet in what they share without a lock, tried out by `loom`: `make loom`.
//!
//! The library hands things to a loop in one way only: publish, then [`wake::WakeFlag::wake`]. The models are that, with
//! the real flag; `Notify` stands for the descriptor, which also remembers one notification. A lost wake is a deadlock,
//! which `loom` reports.
//!
//! And a thread that waits may read the connection in the loop's place: see `app`. One that sends may run the turn of the
//! loop that it sends to: see `serving`.
#![cfg(loom)]

mod app;
#[path = "../../src/runtime/deadline.rs"]
#[allow(dead_code)]
mod deadline;
mod serving;
/// `ReadyList` wakes a poller.
mod poller {
    pub use crate::Loop as Poller;
}
#[path = "../../src/runtime/reader.rs"]
#[allow(dead_code)]
mod reader;
#[path = "../../src/transport/ready.rs"]
#[allow(dead_code)]
mod ready;
#[path = "../../src/transport/sync.rs"]
#[allow(dead_code, unused_imports)]
mod sync;
#[path = "../../src/transport/wake.rs"]
#[allow(dead_code)]
mod wake;

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex, Notify};
use loom::thread;
use wake::WakeFlag;

pub struct Loop {
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
    pub fn wake(&self) {
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
