//! A thread that sends something to a hub in its own process may run the hub's turn: the models run the file that decides
//! who does, with a hub that counts what it takes.

use std::sync::{Arc as Plain, OnceLock};

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex, Notify};
use loom::thread;

use crate::ready::{Notices, Ready, ReadyList, Turns};
use crate::Loop;

/// What one app has sent, as `inproc`.
#[derive(Default)]
struct Pipe {
    unread: usize,
    reader_waits: Option<Ready>,
}

struct Hub {
    /// How much it has taken, which its lock guards.
    taken: Mutex<usize>,
    expected: usize,
    pipes: Vec<Mutex<Pipe>>,
    list: Plain<ReadyList>,
    poller: Plain<Loop>,
    stopped: AtomicBool,
    /// It has taken everything.
    done: Notify,
}

impl Hub {
    fn take(&self, taken: &mut usize) {
        let mut keys = Vec::new();
        self.list.take(&mut keys);
        for key in keys {
            let mut pipe = self.pipes[key as usize].lock().unwrap();
            *taken += std::mem::take(&mut pipe.unread);
            pipe.reader_waits = Some(Ready::new(&self.list, key));
        }
        if *taken == self.expected {
            self.done.notify();
        }
    }

    /// The loop's thread.
    fn run(&self) {
        loop {
            self.poller.wait(false);
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            self.take(&mut self.taken.lock().unwrap());
        }
    }

    /// As `End::write`.
    fn send(&self, app: usize) -> Notices {
        let mut notices = Notices::default();
        let mut pipe = self.pipes[app].lock().unwrap();
        pipe.unread += 1;
        pipe.reader_waits.take().into_iter().for_each(|reader| notices.add(reader));
        notices
    }
}

/// `Shared`, which the list refers to.
struct Served(OnceLock<Arc<Hub>>);

impl Turns for Served {
    fn turn(&self) -> bool {
        let hub = self.0.get().unwrap();
        let Ok(mut taken) = hub.taken.try_lock() else { return false };
        hub.take(&mut taken);
        true
    }
}

type Send = fn(&Hub, usize);

fn serves(hub: &Hub, app: usize) {
    hub.send(app).serve();
}

/// As the loop of an app, and a thread in `recv`.
fn tells(hub: &Hub, app: usize) {
    hub.send(app).tell();
}

fn serves_twice(hub: &Hub, app: usize) {
    (0..2).for_each(|_| serves(hub, app));
}

/// Has these apps send so much, which must be taken without more.
fn check(expected: usize, sends: &'static [Send]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let poller = Plain::new(Loop::new());
        let list = Plain::new(ReadyList::new(poller.clone()));
        let pipes = (0..sends.len() as u64)
            .map(|key| Mutex::new(Pipe { unread: 0, reader_waits: Some(Ready::new(&list, key)) }));
        let pipes = pipes.collect();
        let (taken, stopped, done) = (Mutex::new(0), AtomicBool::new(false), Notify::new());
        let hub = Arc::new(Hub { taken, expected, pipes, list: list.clone(), poller, stopped, done });
        let served: Plain<dyn Turns> = {
            let served = Served(OnceLock::new());
            let _ = served.0.set(hub.clone());
            Plain::new(served)
        };
        list.set_turns(Plain::downgrade(&served));
        let apps: Vec<_> = sends
            .iter()
            .enumerate()
            .map(|(app, send)| {
                let hub = hub.clone();
                thread::spawn(move || send(&hub, app))
            })
            .collect();
        let runs = {
            let hub = hub.clone();
            thread::spawn(move || hub.run())
        };
        // For ever, if something was left that nobody knows of.
        hub.done.wait();
        apps.into_iter().for_each(|app| app.join().unwrap());
        hub.stopped.store(true, Ordering::SeqCst);
        hub.poller.wake();
        runs.join().unwrap();
        drop(served);
    });
}

#[test]
fn what_a_thread_sends_is_taken_by_it_or_by_the_loop() {
    check(2, &[serves_twice]);
}

#[test]
fn what_two_threads_send_is_taken_by_one_of_them_or_by_the_loop() {
    check(2, &[serves, serves]);
}

#[test]
fn what_is_sent_beside_a_thread_that_runs_turns_is_taken() {
    check(3, &[serves_twice, tells]);
}
