//! Results of no machine, for tests: every value is the same in each round, times what a round has in common.

use crate::results::{Figure, Machine, Measured, Metric, Note, Results, Run};
use crate::system::Role;

/// What all samples of a round have in common: a machine that is busy at times. Ratios in a round do not see it.
const ROUNDS: [f64; 3] = [1.0, 0.9, 1.1];

/// Two systems of nanostate, the floor, and peers of which one is not here and one loses states.
pub fn results() -> Results {
    let mut results = Results {
        machine: Machine {
            cpu: "Imaginary & Sons <64>".into(),
            cores: 2,
            memory: 4 << 30,
            kernel: "Linux 6.1.0".into(),
            system: "Debian GNU/Linux 12".into(),
            rustc: "rustc 1.95.0".into(),
            date: "2026-01-31T12:00:00Z".into(),
        },
        run: Run { quick: false, rounds: ROUNDS.len() as u32, seed: 1, seconds: 61.0 },
        systems: vec![
            measured("floor ipc", Role::Floor),
            measured("floor tcp", Role::Floor),
            measured("floor inproc", Role::Floor),
            measured("nanostate ipc recv", Role::Nanostate),
            measured("nanostate ipc callback", Role::Nanostate),
            measured("nanostate ipc fd", Role::Nanostate),
            measured("nanostate ipc key", Role::Nanostate),
            measured("nanostate tcp recv", Role::Nanostate),
            measured("nanostate ws recv", Role::Nanostate),
            measured("nanostate wss recv", Role::Nanostate),
            measured("nanostate inproc recv", Role::Nanostate),
            measured("zeromq ipc", Role::Peer),
            measured("redis unix", Role::Peer),
            Measured { lossy: true, ..measured("nanomsg ipc", Role::Peer) },
            Measured { lossy: true, ..measured("nng ipc", Role::Peer) },
            Measured {
                version: None,
                skipped: Some("built without the feature zenoh".into()),
                ..measured("zenoh tcp", Role::Peer)
            },
        ],
        series: Vec::new(),
        notes: Vec::new(),
    };
    let trips = [
        ("floor ipc", 32.0),
        ("floor tcp", 40.0),
        ("nanostate ipc recv", 40.0),
        ("nanostate ipc callback", 48.0),
        ("nanostate tcp recv", 50.0),
        ("nanostate inproc recv", 30.0),
        ("zeromq ipc", 240.0),
        ("redis unix", 60.0),
        ("nanomsg ipc", 250.0),
    ];
    for (system, trip) in trips {
        for (metric, times) in [(Metric::P50, 1.0), (Metric::P99, 2.0), (Metric::P999, 10.0)] {
            add(&mut results, Figure::RoundTrip, 64, system, metric, trip * times);
        }
    }
    for (system, trip) in [
        ("floor ipc", 32.0),
        ("floor tcp", 40.0),
        ("floor inproc", 10.0),
        ("nanostate ipc recv", 33.6),
        ("nanostate ipc callback", 40.0),
        ("nanostate ipc fd", 64.0),
        ("nanostate tcp recv", 44.0),
        ("nanostate inproc recv", 20.0),
        ("zeromq ipc", 240.0),
        ("redis unix", 40.0),
    ] {
        add(&mut results, Figure::RoundTripPinned, 64, system, Metric::P50, trip);
    }
    for (system, calls, wake_ups) in [("nanostate ipc recv", 3.0, 4.0), ("nanostate ipc fd", 6.1, 30.0)] {
        always(&mut results, Figure::RoundTripCalls, 64, system, Metric::SystemCalls, calls);
        always(&mut results, Figure::RoundTripCalls, 64, system, Metric::OtherThreads, wake_ups);
    }
    for (system, rate) in [("nanostate ipc recv", 1.2e6), ("zeromq ipc", 1e6)] {
        add(&mut results, Figure::KnownNames, 200_000, system, Metric::Rate, rate);
        always(&mut results, Figure::KnownNames, 200_000, system, Metric::Delivered, 100.0);
    }
    for (system, throughput) in [("floor ipc", 2000.0), ("nanostate ipc recv", 1000.0), ("zeromq ipc", 800.0)] {
        add(&mut results, Figure::Camera, 1 << 20, system, Metric::Throughput, throughput);
    }
    for (system, memory) in [("nanostate ws recv", 6.0), ("nanostate wss recv", 20.0)] {
        always(&mut results, Figure::Memory, 1000, system, Metric::HubMemory, memory);
    }
    always(&mut results, Figure::StateMemory, 100_000, "nanostate ipc recv", Metric::StateMemory, 190.0);
    for (system, rate, delivered) in [
        ("floor ipc", 600e3, 100.0),
        ("nanostate ipc recv", 4e6, 100.0),
        ("zeromq ipc", 1e6, 100.0),
        ("redis unix", 120e3, 100.0),
        ("nanomsg ipc", 5e6, 14.0),
    ] {
        add(&mut results, Figure::Burst, 200_000, system, Metric::Rate, rate);
        always(&mut results, Figure::Burst, 200_000, system, Metric::Delivered, delivered);
    }
    let updates = [("floor ipc", 4.0), ("nanostate ipc recv", 1.0), ("nanostate ipc key", 0.4), ("zeromq ipc", 1.6)];
    for (system, time) in updates {
        add(&mut results, Figure::Updates, 2_000_000, system, Metric::WallTime, time);
    }
    for (receivers, nanostate) in [(8, 200.0), (32, 180.0), (1000, 240.0)] {
        add(&mut results, Figure::FanOut, receivers, "floor ipc", Metric::HubCpu, 1000.0);
        add(&mut results, Figure::FanOut, receivers, "nanostate ipc recv", Metric::HubCpu, nanostate);
        add(&mut results, Figure::FanOut, receivers, "zeromq ipc", Metric::HubCpu, 600.0);
        add(&mut results, Figure::FanOut, receivers, "redis unix", Metric::HubCpu, 800.0);
    }
    for (system, throughput) in [("floor ipc", 2000.0), ("nanostate ipc recv", 1600.0), ("zeromq ipc", 1500.0)] {
        add(&mut results, Figure::Large, 1 << 20, system, Metric::Throughput, throughput);
    }
    for (system, memory, wake_ups, per_peer) in
        [("nanostate ipc recv", 300.0, 0.0, 4.0), ("zeromq ipc", 900.0, 3.0, 20.0)]
    {
        always(&mut results, Figure::Memory, 1, system, Metric::AppMemory, memory);
        always(&mut results, Figure::Memory, 1, system, Metric::WakeUps, wake_ups);
        always(&mut results, Figure::Memory, 1000, system, Metric::HubMemory, per_peer);
    }
    for round in 1..=2 {
        results.notes.push(Note {
            figure: Figure::RoundTrip,
            parameter: Some(64),
            system: "nng ipc".into(),
            round: Some(round),
            text: "no answer in 120 s".into(),
        });
    }
    results
}

/// The results without the samples of a system.
pub fn without(system: &str) -> Results {
    let mut results = results();
    results.series.retain(|s| s.system != system);
    results
}

/// The results with other samples of a number.
pub fn with(figure: Figure, parameter: u64, system: &str, metric: Metric, values: &[f64]) -> Results {
    let mut results = results();
    results
        .series
        .retain(|s| s.figure != figure || s.parameter != parameter || s.system != system || s.metric != metric);
    for (round, value) in (1..).zip(values) {
        results.add(figure, parameter, system, metric, round, *value);
    }
    results
}

fn measured(name: &str, role: Role) -> Measured {
    Measured { name: name.into(), role, version: Some("1.0".into()), skipped: None, lossy: false }
}

fn add(results: &mut Results, figure: Figure, parameter: u64, system: &str, metric: Metric, value: f64) {
    for (round, times) in (1..).zip(ROUNDS) {
        results.add(figure, parameter, system, metric, round, value * times);
    }
}

fn always(results: &mut Results, figure: Figure, parameter: u64, system: &str, metric: Metric, value: f64) {
    for round in 1..=ROUNDS.len() as u32 {
        results.add(figure, parameter, system, metric, round, value);
    }
}
