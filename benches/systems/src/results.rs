//! What a run leaves: every sample, and in words what is missing. Medians and ratios are made from it when it is shown.

use std::fmt;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::system::{Result, Role};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Figure {
    /// Client → hub → echo → hub → client. Parameter: bytes of payload.
    RoundTrip,
    /// The same with the hub and all clients on one core.
    RoundTripPinned,
    /// What a program that sends and receives in turn asks of the system, on one core. Parameter: bytes of payload.
    RoundTripCalls,
    /// States of distinct names, 1 → 1. Parameter: states.
    Burst,
    /// States of 1,000 names that are known, 1 → 1, each name again once its state before was seen. Parameter: states.
    KnownNames,
    /// Updates of 100 names, 1 → 1, until the last value of each is there. Parameter: updates.
    Updates,
    /// 1 → many at a fixed rate. Parameter: receivers.
    FanOut,
    /// Several sources → 1. Parameter: sources.
    ManyToOne,
    /// Large states, 1 → 1. Parameter: bytes of payload.
    Large,
    /// One large state that is replaced, 1 → 1, until the last value is there. Parameter: bytes of payload.
    Camera,
    /// Memory and wake-ups of what is connected and idle. Parameter: connections, those of a hub or the one of an app.
    Memory,
    /// Memory of the hub for what it keeps, and what that costs others. Parameter: states.
    StateMemory,
    /// A new subscriber, until something arrives. Parameter: microseconds between two states of the publisher.
    FirstState,
}

impl Figure {
    /// As on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Figure::RoundTrip => "round_trip",
            Figure::RoundTripPinned => "round_trip_pinned",
            Figure::RoundTripCalls => "round_trip_calls",
            Figure::Burst => "burst",
            Figure::KnownNames => "known_names",
            Figure::Updates => "updates",
            Figure::FanOut => "fan_out",
            Figure::ManyToOne => "many_to_one",
            Figure::Large => "large",
            Figure::Camera => "camera",
            Figure::Memory => "memory",
            Figure::StateMemory => "state_memory",
            Figure::FirstState => "first_state",
        }
    }

    /// What its parameter counts.
    pub fn parameter(self) -> &'static str {
        match self {
            Figure::RoundTrip | Figure::RoundTripPinned | Figure::RoundTripCalls => "B",
            Figure::Large | Figure::Camera => "B",
            Figure::Burst | Figure::KnownNames | Figure::StateMemory => "states",
            Figure::Updates => "updates",
            Figure::FanOut => "receivers",
            Figure::ManyToOne => "sources",
            Figure::Memory => "connections",
            Figure::FirstState => "µs between states",
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One number of a figure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Median of the trips of a sample.
    P50,
    /// 99 of 100 trips were faster.
    P99,
    /// 999 of 1000 trips were faster.
    #[serde(rename = "p99_9")]
    P999,
    /// System calls of the program for one round trip.
    SystemCalls,
    /// How often its threads left the processor for one round trip.
    Switches,
    /// How often its other threads went to sleep, beside the one that measures.
    OtherThreads,
    /// States that arrived, per second.
    Rate,
    /// Share of the states that arrived.
    Delivered,
    /// From before the first publish until the last value of each name was seen.
    WallTime,
    /// Share of the updates that the receiver did not see.
    Skipped,
    /// CPU time of the hub for one state to one receiver.
    HubCpu,
    /// Payload that arrived, per second.
    Throughput,
    /// Private memory of an app over an empty process.
    AppMemory,
    /// Voluntary context switches of an idle app.
    WakeUps,
    /// Private memory of a hub for one idle connection.
    HubMemory,
    /// Private memory of a hub for one state, over its name and its payload.
    StateMemory,
    /// From the start of connecting until a newcomer has every state.
    Join,
    /// From the start of connecting until the first state.
    FirstState,
}

impl Metric {
    /// As in results and on the terminal.
    pub fn name(self) -> &'static str {
        match self {
            Metric::P50 => "p50",
            Metric::P99 => "p99",
            Metric::P999 => "p99.9",
            Metric::SystemCalls => "system calls",
            Metric::Switches => "context switches",
            Metric::OtherThreads => "wake-ups of other threads",
            Metric::Rate => "rate",
            Metric::Delivered => "delivered",
            Metric::WallTime => "wall time",
            Metric::Skipped => "skipped",
            Metric::HubCpu => "hub CPU",
            Metric::Throughput => "throughput",
            Metric::AppMemory => "app memory",
            Metric::WakeUps => "wake-ups",
            Metric::HubMemory => "hub memory",
            Metric::StateMemory => "over name and payload",
            Metric::Join => "newcomer has all",
            Metric::FirstState => "first state",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> &'static str {
        match self {
            Metric::P50 | Metric::P99 | Metric::P999 | Metric::FirstState => "µs",
            Metric::SystemCalls | Metric::Switches => "per trip",
            Metric::OtherThreads => "in 10,000 trips",
            Metric::Rate => "states/s",
            Metric::Delivered | Metric::Skipped => "%",
            Metric::WallTime => "s",
            Metric::HubCpu => "ns/delivery",
            Metric::Throughput => "MB/s",
            Metric::AppMemory => "KiB",
            Metric::HubMemory => "KiB/connection",
            Metric::StateMemory => "B/state",
            Metric::Join => "ms",
            Metric::WakeUps => "in 2 s",
        }
    }

    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        matches!(self, Metric::Rate | Metric::Delivered | Metric::Throughput)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where and when it was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// As /proc/cpuinfo calls it.
    pub cpu: String,
    /// CPUs that this process may use.
    pub cores: usize,
    /// In bytes.
    pub memory: u64,
    /// `uname -sr`.
    pub kernel: String,
    /// The distribution, by its own name.
    pub system: String,
    /// `rustc --version` of the build.
    pub rustc: String,
    /// UTC, `2026-01-31T12:00:00Z`.
    pub date: String,
}

/// How it was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Shorter samples and fewer rounds.
    pub quick: bool,
    /// Samples of each system in each figure, at most.
    pub rounds: u32,
    /// Of the generator that shuffles the order in a round.
    pub seed: u64,
    /// Of the whole run.
    pub seconds: f64,
}

/// One system of the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Its name in every sample.
    pub name: String,
    /// What it is compared as.
    pub role: Role,
    /// `None`: it is not here.
    pub version: Option<String>,
    /// Why it is not here, and what to install.
    pub skipped: Option<String>,
    /// It may lose states, by its own documentation.
    pub lossy: bool,
}

/// One measured value.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// In which round: values of two systems in one round are a pair.
    pub round: u32,
    /// In the unit of its series.
    pub value: f64,
}

/// All samples of one number.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Series {
    pub figure: Figure,
    pub parameter: u64,
    pub system: String,
    pub metric: Metric,
    pub unit: String,
    /// In the order of rounds; a round may be missing.
    pub samples: Vec<Sample>,
}

/// What is not a number: a failed sample, a system that a figure skips, fewer rounds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Note {
    pub figure: Figure,
    pub parameter: Option<u64>,
    pub system: String,
    pub round: Option<u32>,
    pub text: String,
}

/// Everything that a run leaves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub run: Run,
    /// In the order of tables.
    pub systems: Vec<Measured>,
    pub series: Vec<Series>,
    pub notes: Vec<Note>,
}

impl Results {
    /// Adds a sample to its series.
    pub fn add(&mut self, figure: Figure, parameter: u64, system: &str, metric: Metric, round: u32, value: f64) {
        let sample = Sample { round, value };
        let same = |s: &&mut Series| {
            s.figure == figure && s.parameter == parameter && s.system == system && s.metric == metric
        };
        if let Some(series) = self.series.iter_mut().find(same) {
            series.samples.push(sample);
            return;
        }
        let (system, unit) = (system.to_string(), metric.unit().to_string());
        self.series.push(Series { figure, parameter, system, metric, unit, samples: vec![sample] });
    }

    /// The samples of one number, none if it was not measured.
    pub fn samples(&self, figure: Figure, parameter: u64, system: &str, metric: Metric) -> &[Sample] {
        let same =
            |s: &&Series| s.figure == figure && s.parameter == parameter && s.system == system && s.metric == metric;
        self.series.iter().find(same).map_or(&[], |s| &s.samples)
    }

    /// The parameters that a figure was measured with, ascending.
    pub fn parameters(&self, figure: Figure) -> Vec<u64> {
        let mut all: Vec<u64> = self.series.iter().filter(|s| s.figure == figure).map(|s| s.parameter).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Reads what [`Results::write`] wrote.
    pub fn read(path: &Path) -> Result<Results> {
        let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{} is no results file: {e}", path.display()))
    }

    /// Writes everything as JSON, in one step: a reader sees the old file or the new one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e: &dyn fmt::Display| format!("cannot write {}: {e}", path.display());
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(|e| failed(&e))?;
        }
        let mut text = serde_json::to_string_pretty(self).map_err(|e| failed(&e))?;
        text.push('\n');
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, text).map_err(|e| failed(&e))?;
        fs::rename(&unfinished, path).map_err(|e| failed(&e))
    }
}
