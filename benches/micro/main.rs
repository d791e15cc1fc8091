//! What one message costs in the engines, without sockets: time, instructions and allocations.
//!
//! `cargo run --release -p nanostate-bench-micro --`, and then
//!
//! ```text
//! (nothing)       the time per message, and the allocations
//! route send      the same, of the benchmarks whose names contain one of the words
//! --list          the names, and the number of messages per measurement
//! --allocations   the allocations per message
//! --run NAME N    N measurements of one benchmark, without output
//! ```
//!
//! The last is for `valgrind --tool=callgrind`: runs with different `N` differ only by the cost of the messages, since
//! everything else is the same. `tests/instructions.rs` counts in this way, and compares with `baseline.json`.

// A counting allocator is made of unsafe functions.
#![allow(unsafe_code)]

mod allocator;
mod benchmarks;
mod states;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use benchmarks::{Benchmark, Round, ALL, MEASURED};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// Rounds before anything is counted: buffers and tables have their sizes then.
const WARM_UP: u32 = 5;
/// Times are medians of so many samples, each of at least so long.
const SAMPLES: usize = 15;
const SAMPLE: Duration = Duration::from_millis(20);

fn started(benchmark: &Benchmark) -> Round {
    let mut round = (benchmark.start)();
    run(&mut round, WARM_UP);
    round
}

fn run(round: &mut Round, rounds: u32) {
    for _ in 0..rounds {
        round();
    }
}

/// Allocations per message.
fn allocations(benchmark: &Benchmark) -> f64 {
    let mut round = started(benchmark);
    let before = allocator::allocations();
    run(&mut round, benchmark.rounds());
    (allocator::allocations() - before) as f64 / f64::from(MEASURED)
}

/// Nanoseconds per message.
fn time(benchmark: &Benchmark) -> f64 {
    let mut round = started(benchmark);
    let mut timed = |rounds| {
        let before = Instant::now();
        run(&mut round, rounds);
        before.elapsed()
    };
    let mut rounds = 1;
    while timed(rounds) < SAMPLE {
        rounds *= 2;
    }
    let mut samples: Vec<Duration> = (0..SAMPLES).map(|_| timed(rounds)).collect();
    samples.sort();
    samples[SAMPLES / 2].as_nanos() as f64 / f64::from(rounds) / f64::from(benchmark.messages)
}

fn chosen<'a>(words: &'a [&str]) -> impl Iterator<Item = &'static Benchmark> + 'a {
    let is_chosen = |benchmark: &&Benchmark| words.is_empty() || words.iter().any(|word| benchmark.name.contains(word));
    ALL.iter().filter(is_chosen)
}

fn measure(words: &[&str]) {
    println!("{:<28}{:>14}{:>16}{:>22}", "", "ns/message", "messages/s", "allocations/message");
    for benchmark in chosen(words) {
        let (time, allocations) = (time(benchmark), allocations(benchmark));
        println!("{:<28}{time:>14.1}{:>16.0}{allocations:>22.3}", benchmark.name, 1e9 / time);
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--list"] => ALL.iter().for_each(|benchmark| println!("{} {MEASURED}", benchmark.name)),
        ["--allocations", ref words @ ..] => {
            chosen(words).for_each(|benchmark| println!("{} {}", benchmark.name, allocations(benchmark)));
        }
        ["--run", name, times] => {
            let benchmark = ALL.iter().find(|benchmark| benchmark.name == name);
            let (Some(benchmark), Ok(times)) = (benchmark, times.parse::<u32>()) else {
                eprintln!("nanostate-bench-micro: {name:?} is no benchmark, or {times:?} no number");
                return ExitCode::FAILURE;
            };
            run(&mut started(benchmark), benchmark.rounds() * times);
        }
        ref words if words.iter().all(|word| !word.starts_with('-')) => measure(words),
        _ => {
            eprintln!("nanostate-bench-micro: [WORD...] | --list | --allocations [WORD...] | --run NAME NUMBER");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
