//! What a program that sends and receives in turn costs the system.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::support::build::{self, Link, Standard};
use crate::support::{run, Cli, Process, TempDir};

/// System calls of 1,000 round trips: one each to wait, to read and to write, and those of the app's own thread, which looks
/// now and then whether the program still receives.
const MOST: usize = 3_000 + 10;

/// A machine that is busy makes a program come back late, and then the app's own thread reads for a while. So this is looked
/// at until a thousand round trips went undisturbed.
const TRIES: usize = 60;

#[test]
fn a_round_trip_takes_three_system_calls_and_leaves_the_apps_own_thread_asleep() {
    assert_costs("wait");
}

#[test]
fn so_it_does_in_a_program_with_an_event_loop_that_takes_all_there_is() {
    assert_costs("poll");
}

#[test]
fn so_it_does_in_a_program_with_an_event_loop_that_takes_one_state_and_waits_again() {
    assert_costs("pick");
}

fn assert_costs(how: &str) {
    // They would disturb each other.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = TempDir::new();
    let url = dir.ipc();
    let _hub = Cli::hub(&[&url]);
    let source = build::root().join("tests/peers/round_trips.c");
    let program = build::compile_c("round_trips", &[source], Standard::C11, Link::Shared, &["-rdynamic", "-ldl"]);
    let mut echo = Command::new(&program);
    echo.args([&*url, how, "echo"]);
    let echo = Process::spawn(echo);
    echo.line("that it answers", |line| line == "ready");
    let mut ask = Command::new(&program);
    ask.args([&*url, how, "ask", &MOST.to_string(), &TRIES.to_string()]);
    let ended = run(ask, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    let counts = |line: &String| line.split_once(' ').map(|(calls, sleeps)| (calls.parse(), sleeps.parse()));
    let Some((Ok(calls), Ok(sleeps))) = ended.stdout.last().and_then(counts) else { panic!("{ended:?}") };
    let (calls, sleeps): (usize, usize) = (calls, sleeps);
    // One that looks before it waits sometimes finds the answer there.
    assert!((2_000..=MOST).contains(&calls), "calls and sleeps in 1,000 round trips: {:?}", ended.stdout);
    assert!(sleeps <= MOST - 3_000, "calls and sleeps in 1,000 round trips: {:?}", ended.stdout);
}
