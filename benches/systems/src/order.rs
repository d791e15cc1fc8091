//! What the driver and its child processes say to each other, one line of JSON each.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a client does in a figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Job {
    /// Publishes what it gets.
    Echo,
    /// Publishes, and waits for the echo.
    Pinger,
    /// Publishes.
    Source,
    /// Receives.
    Sink,
    /// Receives over many connections.
    Crowd,
    /// Is connected, and waits for what does not come.
    Idle,
    /// Is not connected.
    Empty,
    /// Connects when the others are at it already.
    Latecomer,
}

impl Job {
    /// As on the command line and in errors.
    pub fn name(self) -> &'static str {
        match self {
            Job::Echo => "echo",
            Job::Pinger => "pinger",
            Job::Source => "source",
            Job::Sink => "sink",
            Job::Crowd => "crowd",
            Job::Idle => "idle",
            Job::Empty => "empty",
            Job::Latecomer => "latecomer",
        }
    }
}

/// From the driver.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Pinger: go on when an echo comes. Sink and idle: when a probe of each source has come.
    Settle { sources: usize },
    /// Source: publish one probe.
    Probe,
    /// Source: what it publishes will go through `count` names.
    Names { prefix: String, count: usize },
    /// Source: publish states, numbered from `first`, with `interval` nanoseconds between two, or as fast as they are
    /// taken if that is 0. Paced ones end also with the next order.
    Publish { states: u64, first: u64, payload: usize, interval: u64 },
    /// Source: publish states, numbered from 0, as fast as they are taken, but a name only after its state before was seen.
    PublishInTurn { states: u64, payload: usize },
    /// Sink: receive, until `states` numbered from 0 have come, or with `names` the last value of each of them.
    /// Each has a payload of so many bytes. With `tells` tell the source what was seen.
    Collect { states: u64, names: u64, payload: usize, tells: bool },
    /// Sink: the sources are done. Paced source: it is enough.
    Finished,
    /// Pinger: measure `trips` after `warm_up`.
    Trips { payload: usize, warm_up: usize, trips: usize },
    /// Crowd: connect.
    Connect { connections: usize },
    /// Crowd: read until each connection has `states`, or nothing comes for `patience` milliseconds.
    Drain { states: u64, payload: usize, patience: u64 },
    /// Idle: wait for ever, as an app does.
    Rest,
    /// Latecomer: connect, wait until so many states have arrived, and leave again; so many times.
    Join { times: usize, states: u64 },
}

/// The names that a source goes through: all as long as the last one.
pub fn names(prefix: &str, count: usize) -> impl Iterator<Item = String> + '_ {
    let digits = count.saturating_sub(1).to_string().len();
    (0..count).map(move |i| format!("{prefix}{i:0digits$}"))
}

/// To the driver. Times are nanoseconds of the clock that all processes share.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done, and ready for more.
    Ready,
    /// From before the first state until after the last.
    Published { started: u64, ended: u64 },
    /// States that arrived, how often one came that had come before, wanted ones that did not come, and when the last
    /// one arrived.
    Collected { arrived: u64, repeated: u64, missing: u64, last: u64 },
    /// Percentiles in nanoseconds.
    Trips { p50: u64, p99: u64, p99_9: u64 },
    /// States of all connections.
    Drained { arrived: u64 },
    /// Nanoseconds, for each time.
    Joined { times: Vec<u64> },
    /// It is over, and why.
    Failed { text: String },
}

/// An order with the job that it is for, or an answer with the job that it is from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line<T> {
    /// Counted in the process.
    pub job: usize,
    pub says: T,
}
