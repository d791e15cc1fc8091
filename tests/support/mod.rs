//! What the tests with other processes and raw connections share: children that end with their test, peers that speak
//! the scalability protocols by hand, free addresses, waiting with a bound.

// Without some features part of it is not used.
#![cfg_attr(not(all(feature = "cli", feature = "capi")), allow(dead_code, unused_imports))]

mod basics;
pub mod build;
#[cfg(feature = "tls")]
pub mod certificates;
mod cli;
mod process;
mod proxy;
mod raw;

pub use basics::{eventually, until, TempDir, Transport, PATIENCE, TRANSPORTS};
pub use cli::{complaints, nanostate, Cli, CliHub};
pub use process::{allow_descriptors, run, Ended, Process};
pub use proxy::Gate;
pub use raw::{clock, Raw, RawListener};

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use build::Standard;
use nanostate::{App, Hub, State, Status, Value};

/// A hub of ours and where it listens.
pub fn hub(url: &str) -> (Hub, String) {
    let hub = Hub::new().unwrap();
    hub.listen(url).unwrap();
    let address = hub.address(0).unwrap();
    (hub, address)
}

/// An app of ours that a hub has welcomed.
pub fn app(identity: &str, url: &str) -> App {
    let app = App::new(identity).unwrap();
    app.connect(Some(url)).unwrap();
    app.wait_connected(Some(PATIENCE)).unwrap();
    app
}

/// Sends text.
pub fn send(app: &App, name: &str, text: &str) {
    app.send(name, Value::Text(text)).unwrap();
}

/// The next state that `app` receives.
pub fn next(app: &App) -> State {
    app.recv(Some(PATIENCE)).unwrap_or_else(|error| panic!("{}: {error}", app.identity()))
}

/// Everything that `app` received and the test has not taken.
pub fn waiting(app: &App) -> Vec<State> {
    let mut states = Vec::new();
    loop {
        match app.recv(Some(Duration::ZERO)) {
            Ok(state) => states.push(state),
            Err(error) => {
                assert_eq!(error.status(), Status::Timeout, "{error}");
                return states;
            }
        }
    }
}

/// Receives until a state satisfies `last`; gives all up to it.
pub fn receive_until(app: &App, what: &str, mut last: impl FnMut(&State) -> bool) -> Vec<State> {
    let end = Instant::now() + PATIENCE;
    let mut states = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let state = app.recv(Some(left)).unwrap_or_else(|error| {
            let got: Vec<_> = states.iter().rev().take(5).map(key).collect();
            panic!("{} waits for {what}: {error}; the last it got: {got:?}", app.identity())
        });
        let done = last(&state);
        states.push(state);
        if done {
            return states;
        }
    }
}

/// Receives until the state `(sender, name)` comes.
pub fn receive(app: &App, sender: &str, name: &str) -> State {
    let is_it = |state: &State| state.sender() == sender && state.name() == name;
    receive_until(app, &format!("{name} of {sender}"), is_it).pop().unwrap()
}

/// Sender, name and value in words.
pub fn key(state: &State) -> String {
    let mut json = state.json().to_owned();
    if json.len() > 80 {
        json = format!("{}… ({} bytes)", &json[..60], json.len());
    }
    format!("{} {} {json}", state.sender(), state.name())
}

/// Random numbers that are the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// The program of `tests/peers/NAME.c`, which uses a library of the scalability protocols.
pub fn peer_program(name: &str, library: &str) -> PathBuf {
    made_once(name, || {
        let program = build::scratch("bin").join(name);
        let mut compiler = build::compiler(Standard::C11);
        compiler.args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1"]);
        compiler.args(["-Wall", "-Wextra", "-Werror", "-pedantic"]);
        compiler.arg(source(name)).arg("-o").arg(&program).arg(library);
        build::run(&mut compiler);
        program
    })
}

/// The program of `tests/peers/NAME.c`, which uses our C API.
pub fn c_program(name: &str) -> PathBuf {
    made_once(name, || build::compile_c(name, &[source(name)], Standard::C11, build::Link::Shared, &[]))
}

fn source(name: &str) -> PathBuf {
    build::root().join(format!("tests/peers/{name}.c"))
}

/// What `make` makes, unless this test program has made it before.
fn made_once(name: &str, make: impl FnOnce() -> PathBuf) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(name.to_owned()).or_insert_with(make).clone()
}

/// The Python that has pynng and msgpack.
pub fn python() -> PathBuf {
    // Where scripts/setup makes it: below the target directory.
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv").join("bin/python");
    let python = env::var_os("NANOSTATE_PYTHON").map_or(venv, PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: `scripts/setup test` makes it, or NANOSTATE_PYTHON names another that has pynng and msgpack",
        python.display()
    );
    python
}
