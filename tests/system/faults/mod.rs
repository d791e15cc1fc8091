//! Faults: what is killed, stopped, cut short, too large, in the way or wrong, and the bursts that were lost.

mod addresses;
mod bursts;
mod hubs;
mod many;
mod network;
mod peers;
mod sizes;

use nanostate::{limits, App, AppOption, State};

use crate::support::{c_program, Process, PATIENCE};

const MIB: usize = 1 << 20;

/// A C program that ends as C programs do when it writes to who is not there, if the library lets it.
fn c_app(url: &str, identity: &str) -> Process {
    let app = Process::run(&c_program("app"), [url, identity, "100"]);
    app.line("the link", |line| line.starts_with("link 2"));
    app
}

/// Waits for `n` answers to commands, at `*from` or later.
fn done(app: &Process, from: &mut usize, n: usize) {
    for _ in 0..n {
        let answer = app.line_from(from, "done", |line| line == "done" || line.starts_with("error"));
        assert_eq!(answer, "done", "{}", app.words());
    }
}

/// An app that comes back soon.
fn quick(identity: &str, url: &str) -> App {
    join(App::new(identity).unwrap(), url)
}

/// The same with queues for more than one of the largest messages, however late they are taken.
fn roomy(identity: &str, url: &str) -> App {
    let app = App::new(identity).unwrap();
    app.set(AppOption::RecvQueue, 4 * limits::MAX_MESSAGE as i64).unwrap();
    join(app, url)
}

fn join(app: App, url: &str) -> App {
    app.set(AppOption::BackoffMaxMs, 100).unwrap();
    app.connect(Some(url)).unwrap();
    app.wait_connected(Some(PATIENCE)).unwrap();
    app
}

fn text_len(state: &State) -> usize {
    state.text().unwrap().len()
}

/// As large as a text may be for a body of `body` bytes, from the sender `app` under the name `big`.
fn largest_text(body: usize) -> usize {
    // The array, `app` and `big` behind a byte each, and the head of a long text.
    body - 1 - 4 - 4 - 5
}
