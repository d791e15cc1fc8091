//! Threads that wait for states read the socket themselves: whoever comes, goes, interrupts or takes over meanwhile,
//! each state reaches one of them, and none is lost.

#![allow(unsafe_code)] // poll

use std::collections::HashSet;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nanostate::{App, AppOption, Hub, Link, State, Status, Value};

/// Longer than anything here takes.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

/// A directory for sockets, removed with its content.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("receive-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn url(&self) -> String {
        format!("ipc://{}/hub", self.0.display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn hub(url: &str) -> Hub {
    let hub = Hub::new().unwrap();
    hub.listen(url).unwrap();
    hub
}

fn app(identity: &str, url: &str) -> App {
    let app = App::new(identity).unwrap();
    app.connect(Some(url)).unwrap();
    app.wait_connected(PATIENCE).unwrap();
    app
}

fn number(state: &State) -> i64 {
    state.int().unwrap()
}

/// How often the lengthy ones are repeated.
fn load() -> usize {
    std::env::var("NANOSTATE_LOAD").ok().and_then(|load| load.parse().ok()).unwrap_or(1)
}

fn readable(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one element, for the length of the call.
    (unsafe { libc::poll(&mut poll, 1, 60_000) }) == 1
}

#[test]
fn each_state_reaches_one_of_the_threads_that_wait_however_they_come_and_go() {
    let directory = Directory::new();
    let _hub = hub(&directory.url());
    let (sender, receiver) = (app("sender", &directory.url()), app("receiver", &directory.url()));
    let states = 50_000 * load();
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
    let begin = std::time::Instant::now();
    while taken.lock().unwrap().len() < states {
        assert!(begin.elapsed() < Duration::from_secs(120), "{} of {states}", taken.lock().unwrap().len());
        std::thread::yield_now();
    }
    done.store(true, Ordering::SeqCst);
    while receivers.iter().any(|receiver| !receiver.is_finished()) {
        receiver.interrupt();
        std::thread::yield_now();
    }
    receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
}

#[test]
fn a_thread_that_waits_receives_across_restarts_of_the_hub() {
    let directory = Directory::new();
    let url = directory.url();
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
    let directory = Directory::new();
    let _hub = hub(&directory.url());
    let holder = app("held", &directory.url());
    let waits = {
        let holder = holder.clone();
        std::thread::spawn(move || holder.recv(PATIENCE).map(|state| number(&state)))
    };
    let newcomer = App::new("held").unwrap();
    newcomer.connect(Some(&directory.url())).unwrap();
    assert_eq!(newcomer.wait_connected(PATIENCE).unwrap_err().status(), Status::IdentityTaken);
    assert_eq!(holder.link(), Link::Connected);
    // An acknowledgement is read by the thread that waits, too.
    holder.send("x", Value::Int(1)).unwrap();
    holder.flush(PATIENCE).unwrap();
    app("other", &directory.url()).send("y", Value::Int(7)).unwrap();
    assert_eq!(waits.join().unwrap(), Ok(7));
}

#[test]
fn a_descriptor_asked_for_while_a_thread_waits_tells_of_what_comes() {
    let directory = Directory::new();
    let _hub = hub(&directory.url());
    let (sender, receiver) = (app("sender", &directory.url()), app("receiver", &directory.url()));
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
    assert!(readable(fd));
    assert_eq!(receiver.recv(Some(Duration::ZERO)).map(|state| number(&state)), Ok(3));
}

#[test]
fn dispatch_runs_callbacks_for_what_it_reads_itself() {
    let directory = Directory::new();
    let _hub = hub(&directory.url());
    let (sender, receiver) = (app("sender", &directory.url()), app("receiver", &directory.url()));
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
    let (directory, other) = (Directory::new(), Directory::new());
    let (_first, _second) = (hub(&directory.url()), hub(&other.url()));
    for round in 0..50 * load() as i64 {
        let (receiver, got) = (app("receiver", &directory.url()), Arc::new(AtomicBool::new(false)));
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
        receiver.connect(Some(&other.url())).unwrap();
        receiver.wait_connected(PATIENCE).unwrap();
        let sender = app("sender", &other.url());
        sender.send("x", Value::Int(round)).unwrap();
        while !got.load(Ordering::SeqCst) {
            assert!(!waits.is_finished(), "it waits no more");
            std::thread::yield_now();
        }
        receiver.close(Some(Duration::ZERO)).unwrap();
        assert_eq!(waits.join().unwrap(), Status::Closed);
    }
}

#[test]
fn a_thread_with_many_short_waits_loses_nothing_to_the_loop() {
    let directory = Directory::new();
    let _hub = hub(&directory.url());
    let (sender, receiver) = (app("sender", &directory.url()), app("receiver", &directory.url()));
    receiver.set(AppOption::RecvQueue, 1 << 30).unwrap();
    let states = 100_000 * load() as i64;
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
