//! Threads that wait for states read the socket themselves: whoever comes, goes, interrupts or takes over meanwhile,
//! each state reaches one of them, and none is lost.

#![allow(unsafe_code)] // poll, gettid

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{self, app, hub, until, TempDir};
use nanostate::{App, AppOption, LinkState, State, Status, Value};

/// Longer than anything here takes.
const PATIENCE: Option<Duration> = Some(support::PATIENCE);

fn number(state: &State) -> i64 {
    state.int().unwrap()
}

/// How much longer the lengthy ones take.
fn load() -> usize {
    std::env::var("NANOSTATE_LOAD").ok().and_then(|load| load.parse().ok()).unwrap_or(1)
}

fn readable(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one element, for the length of the call.
    (unsafe { libc::poll(&mut poll, 1, 60_000) }) == 1
}

/// Runs `f` in a thread, and returns once that sleeps, as it does where it waits.
fn waits<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // SAFETY: no arguments.
        tell.send(unsafe { libc::gettid() }).unwrap();
        f()
    });
    let stat = format!("/proc/self/task/{}/stat", told.recv().unwrap());
    // Several looks: a lock on the way to where it waits does not last.
    let mut asleep = 0;
    until("a thread that sleeps", || {
        asleep = if std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S ")) { asleep + 1 } else { 0 };
        thread.is_finished() || asleep == 5
    });
    thread
}

#[test]
fn each_state_reaches_one_of_the_threads_that_wait_however_they_come_and_go() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let (sender, receiver) = (app("sender", &url), app("receiver", &url));
    let states = 20_000 * load().min(10);
    let (taken, done) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(AtomicBool::new(false)));
    let receivers: Vec<_> = (0..4)
        .map(|i: u64| {
            let (app, taken, done) = (receiver.clone(), taken.clone(), done.clone());
            std::thread::spawn(move || {
                let mut round = i;
                while !done.load(Ordering::SeqCst) {
                    // Every kind of wait: none, one that soon ends, one that only a state or an interrupt ends.
                    round = round.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let timeout = match round >> 60 {
                        0..4 => Some(Duration::ZERO),
                        4..10 => Some(Duration::from_millis(round >> 32 & 1)),
                        _ => None,
                    };
                    match app.recv(timeout) {
                        Ok(state) => {
                            let new = taken.lock().unwrap().insert(number(&state));
                            assert!(new, "{} was received twice", number(&state));
                        }
                        Err(error) => {
                            assert!(matches!(error.status(), Status::Timeout | Status::Interrupted), "{error}")
                        }
                    }
                }
            })
        })
        .collect();
    for i in 0..states {
        sender.send(&format!("n/{i}"), Value::Int(i as i64)).unwrap();
        if i % 100 == 0 {
            receiver.interrupt();
            // What comes after a pause finds everybody waiting.
            std::thread::yield_now();
        }
    }
    until("all states", || taken.lock().unwrap().len() == states);
    done.store(true, Ordering::SeqCst);
    until("the end of the receivers", || {
        receiver.interrupt();
        receivers.iter().all(JoinHandle::is_finished)
    });
    receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
}

#[test]
fn a_thread_that_waits_receives_across_restarts_of_the_hub() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let first = hub(&url);
    let (sender, receiver) = (app("sender", &url), app("receiver", &url));
    let rounds = 20 * load() as i64;
    let waits = {
        let receiver = receiver.clone();
        std::thread::spawn(move || {
            let mut next = 0;
            while next < rounds {
                let state = receiver.recv(PATIENCE).unwrap();
                // A restarted hub sends again what was received before, if that is all it has: never what is older.
                assert!(number(&state) >= next, "{} after {next}", number(&state));
                next = number(&state) + 1;
            }
        })
    };
    let mut hubs = vec![first];
    for i in 0..rounds {
        sender.send("x", Value::Int(i)).unwrap();
        sender.flush(PATIENCE).unwrap();
        hubs.clear();
        hubs.push(hub(&url));
    }
    waits.join().unwrap();
}

#[test]
fn a_thread_that_waits_answers_for_its_app() {
    let dir = TempDir::new();
    let hold = || {
        let (hub, url) = hub(&dir.ipc());
        let holder = app("held", &url);
        let waits = {
            let holder = holder.clone();
            std::thread::spawn(move || holder.recv(PATIENCE).map(|state| number(&state)))
        };
        let newcomer = App::new("held").unwrap();
        newcomer.connect(Some(&url)).unwrap();
        match newcomer.wait_connected(PATIENCE) {
            // Rightly so if the machine had no time for the holder for as long as a probe waits.
            Ok(()) => None,
            Err(error) => {
                assert_eq!(error.status(), Status::IdentityTaken);
                Some((hub, url, holder, waits))
            }
        }
    };
    let (_hub, url, holder, waits) = (0..5).find_map(|_| hold()).expect("a holder that answers");
    assert_eq!(holder.link(), LinkState::Connected);
    // An acknowledgement is read by the thread that waits, too.
    holder.send("x", Value::Int(1)).unwrap();
    holder.flush(PATIENCE).unwrap();
    app("other", &url).send("y", Value::Int(7)).unwrap();
    assert_eq!(waits.join().unwrap(), Ok(7));
}

#[test]
fn a_descriptor_asked_for_while_a_thread_waits_tells_of_what_comes() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let (sender, receiver) = (app("sender", &url), app("receiver", &url));
    let wait = || {
        let receiver = receiver.clone();
        std::thread::spawn(move || receiver.recv(PATIENCE).map(|state| number(&state)))
    };
    let waits = wait();
    sender.send("x", Value::Int(1)).unwrap();
    assert_eq!(waits.join().unwrap(), Ok(1));
    let waits = wait();
    let fd = receiver.fd().unwrap();
    sender.send("x", Value::Int(2)).unwrap();
    assert_eq!(waits.join().unwrap(), Ok(2));
    // Nobody waits in the library any more.
    sender.send("x", Value::Int(3)).unwrap();
    let last = loop {
        assert!(readable(fd));
        match receiver.recv(Some(Duration::ZERO)) {
            // It may wake for nothing.
            Err(error) if error.status() == Status::Timeout => {}
            last => break last,
        }
    };
    assert_eq!(last.map(|state| number(&state)), Ok(3));
}

#[test]
fn dispatch_runs_callbacks_for_what_it_reads_itself() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let (sender, receiver) = (app("sender", &url), app("receiver", &url));
    let seen = Arc::new(Mutex::new(Vec::new()));
    {
        let (seen, answers) = (seen.clone(), receiver.clone());
        let heard = move |state: &State| {
            seen.lock().unwrap().push(number(state));
            answers.send("answer", Value::Int(number(state))).unwrap();
        };
        receiver.on_state(Some(Box::new(heard))).unwrap();
    }
    for i in 0..1000 * load() as i64 {
        sender.send("x", Value::Int(i)).unwrap();
        while seen.lock().unwrap().last() != Some(&i) {
            receiver.dispatch(PATIENCE, 10).unwrap();
        }
        assert_eq!(sender.recv(PATIENCE).map(|state| number(&state)), Ok(i));
    }
}

#[test]
fn a_thread_that_waits_is_woken_by_close_disconnect_and_another_address() {
    let dir = TempDir::new();
    let (url, other) = (dir.ipc(), dir.ipc());
    let (_first, _second) = (hub(&url), hub(&other));
    for round in 0..50 * load() as i64 {
        let (receiver, got) = (app("receiver", &url), Arc::new(AtomicBool::new(false)));
        let waits = {
            let (receiver, got) = (receiver.clone(), got.clone());
            std::thread::spawn(move || loop {
                match receiver.recv(None) {
                    // The hub also has that of the last round.
                    Ok(state) => got.store(number(&state) == round, Ordering::SeqCst),
                    Err(error) => return error.status(),
                }
            })
        };
        receiver.disconnect().unwrap();
        receiver.connect(Some(&other)).unwrap();
        receiver.wait_connected(PATIENCE).unwrap();
        let sender = app("sender", &other);
        sender.send("x", Value::Int(round)).unwrap();
        until("the state", || {
            assert!(!waits.is_finished(), "it waits no more");
            got.load(Ordering::SeqCst)
        });
        receiver.close(Some(Duration::ZERO)).unwrap();
        assert_eq!(waits.join().unwrap(), Status::Closed);
    }
}

#[test]
fn a_thread_with_many_short_waits_loses_nothing_to_the_loop() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let (sender, receiver) = (app("sender", &url), app("receiver", &url));
    receiver.set(AppOption::RecvQueue, 1 << 30).unwrap();
    let states = 100_000;
    let sends = std::thread::spawn(move || {
        for i in 0..states {
            sender.send(&format!("n/{i}"), Value::Int(i)).unwrap();
        }
        sender.flush(PATIENCE).unwrap();
    });
    let mut next = 0;
    while next < states {
        match receiver.recv(Some(Duration::from_micros(next as u64 % 3 * 500))) {
            Ok(state) => {
                assert_eq!(number(&state), next, "in order, and none missing");
                next += 1;
            }
            Err(error) => assert_eq!(error.status(), Status::Timeout),
        }
    }
    sends.join().unwrap();
}

#[test]
fn a_callback_that_is_set_while_dispatch_waits_gets_what_comes() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let (sender, receiver) = (app("sender", &url), app("receiver", &url));
    let dispatch = {
        let receiver = receiver.clone();
        waits(move || receiver.dispatch(PATIENCE, 1))
    };
    let (tell, told) = mpsc::channel();
    receiver.on_state(Some(Box::new(move |state| tell.send(number(state)).unwrap()))).unwrap();
    sender.send("x", Value::Int(3)).unwrap();
    assert_eq!(dispatch.join().unwrap(), Ok(1));
    assert_eq!(told.recv(), Ok(3));
}

#[test]
fn a_callback_that_is_set_while_recv_waits_ends_it() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let receiver = app("receiver", &url);
    let recv = {
        let receiver = receiver.clone();
        waits(move || receiver.recv(PATIENCE).map(drop).map_err(|error| error.status()))
    };
    receiver.on_state(Some(Box::new(|_| ()))).unwrap();
    assert_eq!(recv.join().unwrap(), Err(Status::State));
}

#[test]
fn interrupts_end_the_waits_of_threads_that_went_from_one_connection_to_the_next() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let receiver = app("receiver", &url);
    for _ in 0..100 * load() {
        let threads = [(); 2].map(|()| {
            let receiver = receiver.clone();
            waits(move || receiver.recv(PATIENCE).map(drop).map_err(|error| error.status()))
        });
        receiver.disconnect().unwrap();
        receiver.connect(Some(&url)).unwrap();
        receiver.wait_connected(PATIENCE).unwrap();
        for ended in 1..=2 {
            receiver.interrupt();
            until("the end of a wait", || threads.iter().filter(|thread| thread.is_finished()).count() >= ended);
        }
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), Err(Status::Interrupted)));
    }
}

/// A logger of the program that panics when the app `panics` tells it of a message that is too large.
struct Panics;

impl log::Log for Panics {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let line = record.args().to_string();
        assert!(!(line.starts_with("panics: ") && line.contains("over the limit")), "the program's logger panics");
    }

    fn flush(&self) {}
}

#[test]
fn a_panic_in_the_thread_that_reads_closes_the_app_and_ends_the_waits_of_the_others() {
    log::set_logger(&Panics).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = hub(&url);
    let sender = app("sender", &url);
    let receiver = App::new("panics").unwrap();
    receiver.set(AppOption::MaxMessage, 1000).unwrap();
    receiver.connect(Some(&url)).unwrap();
    receiver.wait_connected(PATIENCE).unwrap();
    let threads = [(); 2].map(|()| {
        let receiver = receiver.clone();
        waits(move || catch_unwind(AssertUnwindSafe(|| receiver.recv(PATIENCE).map(drop))))
    });
    sender.send("x", Value::Bytes(&[0; 100_000])).unwrap();
    let outcomes = threads.map(|thread| thread.join().unwrap());
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1, "one of them reads");
    for outcome in outcomes.into_iter().flatten() {
        assert_eq!(outcome.unwrap_err().status(), Status::Internal);
    }
    assert_eq!(receiver.send("y", Value::Nil).unwrap_err().status(), Status::Internal);
}

#[test]
fn a_connection_that_takes_no_more_is_given_up_while_a_thread_reads_it() {
    let dir = TempDir::new();
    let (front, back) = (dir.ipc(), dir.ipc());
    let _hub = hub(&back);
    let socket_of = |url: &str| url.trim_start_matches("ipc://").to_owned();
    // Between the app and the hub; after a word it reads no more from the first connection, and leaves it open.
    let listener = UnixListener::bind(socket_of(&front)).unwrap();
    let (say, heard) = mpsc::channel::<()>();
    let (done, is_done) = mpsc::channel();
    let socket = socket_of(&back);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = UnixStream::connect(&socket).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(n) = from.read(&mut bytes) {
                        if n == 0 || to.write_all(&bytes[..n]).is_err() {
                            return;
                        }
                    }
                });
            }
            if kept.is_empty() {
                heard.recv().unwrap();
                client.shutdown(Shutdown::Read).unwrap();
                done.send(()).unwrap();
            }
            kept.push((client, server));
        }
    });
    let (sender, receiver) = (app("sender", &front), app("receiver", &back));
    let reads = {
        let sender = sender.clone();
        waits(move || sender.recv(PATIENCE).map(drop).map_err(|error| error.status()))
    };
    say.send(()).unwrap();
    is_done.recv().unwrap();
    sender.send("x", Value::Int(5)).unwrap();
    // On its next connection.
    assert_eq!(receiver.recv(PATIENCE).map(|state| number(&state)), Ok(5));
    sender.close(Some(Duration::ZERO)).unwrap();
    assert_eq!(reads.join().unwrap(), Err(Status::Closed));
}
