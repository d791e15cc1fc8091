//! Whether these tests find faults: each [`Mutation`] of the engine is switched on for a run of all of them, with as many seeds
//! as they try by default, and some have to fail.

use std::env;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nanostate::engine::mutations::Mutation;

/// A fault may keep a test from its end: so much longer than without one the others may take.
const SLOWER: u32 = 8;

/// The tests that fail with a mutation.
struct Failures {
    /// How many do.
    tests: usize,
    /// Those among them that are simulated, with the seeds with which they do.
    simulated: Vec<(u64, String)>,
    time: Duration,
}

/// Runs all tests with this mutation, for as long as `most`.
fn run(mutation: Option<Mutation>, most: Duration) -> Failures {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--nocapture", "--skip", module_path!().split_once("::").unwrap().1]);
    command.env_remove("NANOSTATE_FUZZ_RUNS").env_remove("NANOSTATE_FUZZ_SEED").env_remove("PROPTEST_CASES");
    command.env("RUST_BACKTRACE", "0");
    command.envs(mutation.map(|mutation| (Mutation::VARIABLE, format!("{mutation:?}"))));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let texts =
        [Box::new(child.stdout.take().unwrap()) as Box<dyn Read + Send>, Box::new(child.stderr.take().unwrap())].map(
            |mut output| {
                thread::spawn(move || {
                    let mut text = Vec::new();
                    output.read_to_end(&mut text).unwrap();
                    String::from_utf8_lossy(&text).into_owned()
                })
            },
        );
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > most {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(50));
    }
    let time = begun.elapsed();
    let [results, told] = texts.map(|text| text.join().unwrap());
    let tests = results.lines().filter(|line| line.ends_with("FAILED") && !line.starts_with("test result")).count();
    let seed = |line: &str| {
        let (test, rest) = line.strip_prefix("to see ")?.split_once(" fail again: NANOSTATE_FUZZ_SEED=")?;
        Some((rest.split(' ').next()?.parse().ok()?, test.to_owned()))
    };
    Failures { tests, simulated: told.lines().filter_map(seed).collect(), time }
}

#[test]
fn each_fault_that_is_put_into_the_engine_is_found() {
    assert!(env::var_os(Mutation::VARIABLE).is_none());
    let sound = run(None, Duration::MAX);
    assert!((sound.tests, sound.simulated.len()) == (0, 0), "all tests pass without a fault");
    let mut missed = Vec::new();
    println!("{:<20} {:>5} {:>9}  the simulation with the first seed that finds it", "fault", "tests", "simulated");
    for mutation in Mutation::ALL {
        let Failures { tests, mut simulated, .. } = run(Some(mutation), sound.time * SLOWER);
        simulated.sort();
        let first = simulated.first().map(|(seed, test)| format!("{test}, {seed}")).unwrap_or_default();
        println!("{:<20} {tests:>5} {:>9}  {first}", format!("{mutation:?}"), simulated.len());
        if simulated.is_empty() {
            missed.push(mutation);
        }
    }
    assert!(missed.is_empty(), "no simulation finds {missed:?}");
}
