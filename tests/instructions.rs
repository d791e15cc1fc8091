//! What a message costs in the engines does not grow unseen: the benchmarks of `benches/micro`, in instructions under
//! callgrind, against `benches/micro/baseline.json`, and in allocations.
//!
//! Instructions, since a noisy machine cannot blur them. The count of one message is the difference of a run with
//! messages and one without, so that start-up and set-up cancel out. Over five runs it repeated within 0.3 %, with hash
//! tables whose random seeds differ from run to run.
//!
//! Callgrind is driven from here: `gungraun` (`iai-callgrind`) needs a runner of its own exact version, to be installed
//! beside.

#[path = "support/build.rs"]
#[allow(dead_code)] // Only a part is used here.
mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread;

use serde_json::{json, Value};

/// What is written where the counts are as they should be, and by whom.
const BASELINE: &str = "benches/micro/baseline.json";
const WRITES_BASELINE: &str = "make bench-baseline";
/// Set by it: the baseline is written instead of compared with.
const WRITE_VARIABLE: &str = "NANOSTATE_WRITE_BASELINE";

/// How far a count may lie above the baseline.
const LIMIT: f64 = 0.10;
/// The same where another compiler or for another target it was measured: they inline otherwise, and their instructions
/// do more or less at once. Only a change of what is done stands out then.
const LIMIT_ELSEWHERE: f64 = 0.30;

/// What allocates, and how often at most per message. A state that a program is given is an allocation, and so is an
/// entry of a table; tables and buffers that grow add a little. Everything else allocates nothing.
const ALLOCATES: &[(&str, f64)] = &[
    ("route/new-names-to-1", 1.05),
    ("route/new-names-to-8", 1.05),
    ("route/to-one-catching-up", 0.05),
    ("receive/one-at-a-time", 1.01),
    ("receive/updates", 1.01),
    ("receive/new-names", 1.05),
];

/// glibc chooses how to copy and compare by the processor, which would show in the counts.
const SAME_EVERYWHERE: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM");

/// The compiler and the target of a measurement.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Toolchain {
    rustc: String,
    target: String,
}

impl Toolchain {
    /// Those that cargo builds with here, and the machine's own target.
    fn here() -> (Toolchain, String) {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let words = String::from_utf8(build::run(Command::new(rustc).arg("-vV")).stdout).unwrap();
        let field = |name: &str| words.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        (Toolchain { rustc: field("release: "), target: env!("NANOSTATE_TARGET").to_owned() }, field("host: "))
    }
}

/// Instructions per message of each benchmark.
struct Counts {
    toolchain: Toolchain,
    instructions: BTreeMap<String, f64>,
}

impl Counts {
    fn from_json(text: &str) -> Counts {
        let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{BASELINE}: {error}"));
        let word = |key: &str| {
            json[key].as_str().unwrap_or_else(|| panic!("{BASELINE}: {key} is not a text: {}", json[key])).to_owned()
        };
        let toolchain = Toolchain { rustc: word("rustc"), target: word("target") };
        let counts = json["instructions"].as_object().unwrap_or_else(|| panic!("{BASELINE}: no instructions"));
        let count = |(name, count): (&String, &Value)| {
            let count = count.as_f64().unwrap_or_else(|| panic!("{BASELINE}: {name} is not a number: {count}"));
            (name.clone(), count)
        };
        Counts { toolchain, instructions: counts.iter().map(count).collect() }
    }

    fn to_json(&self) -> String {
        let Toolchain { rustc, target } = &self.toolchain;
        let json = json!({ "rustc": rustc, "target": target, "instructions": self.instructions });
        format!("{json:#}\n")
    }

    /// What is wrong with these counts beside those of the baseline, one line each.
    fn faults(&self, baseline: &Counts) -> Vec<String> {
        let limit = if self.toolchain == baseline.toolchain { LIMIT } else { LIMIT_ELSEWHERE };
        let names: BTreeSet<_> = self.instructions.keys().chain(baseline.instructions.keys()).collect();
        let fault = |name: &String| match (self.instructions.get(name), baseline.instructions.get(name)) {
            (Some(count), Some(held)) if *count > held * (1.0 + limit) => {
                let (more, limit) = ((count / held - 1.0) * 100.0, limit * 100.0);
                Some(format!(
                    "{name}: {count:.1} instructions per message, {more:.1} % above the {held:.1} of the baseline; \
                     the limit is {limit:.0} %"
                ))
            }
            (Some(count), None) => Some(format!("{name}: {count:.1} instructions per message, not in the baseline")),
            (None, Some(_)) => Some(format!("{name}: in the baseline, but there is no such benchmark")),
            _ => None,
        };
        names.into_iter().filter_map(fault).collect()
    }
}

/// The benchmarks' package, and its program.
const PACKAGE: &str = "nanostate-bench-micro";

/// The benchmarks' program, built in the profile of releases.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--release", "--package", PACKAGE]);
        cargo.arg("--message-format=json-render-diagnostics");
        cargo.arg("--manifest-path").arg(build::root().join("Cargo.toml"));
        // Beside those of other builds, which have other features.
        cargo.arg("--target-dir").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("instructions"));
        let (toolchain, host) = Toolchain::here();
        if toolchain.target != host {
            cargo.arg("--target").arg(toolchain.target);
        }
        let output = String::from_utf8(build::run(&mut cargo).stdout).unwrap();
        let mut messages = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let made = |message: Value| match &message["target"]["name"] {
            name if name == PACKAGE => message["executable"].as_str().map(PathBuf::from),
            _ => None,
        };
        messages.find_map(made).unwrap_or_else(|| panic!("cargo names no program: {output}"))
    })
}

/// What the program reports of each benchmark.
fn told(argument: &str) -> Vec<(String, f64)> {
    let output = String::from_utf8(build::run(Command::new(program()).arg(argument)).stdout).unwrap();
    let line = |line: &str| {
        let (name, number) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        (name.to_owned(), number.parse().unwrap_or_else(|error| panic!("{line:?}: {error}")))
    };
    output.lines().map(line).collect()
}

/// Where callgrind writes what it found in a run of a benchmark with messages.
fn profile(name: &str) -> PathBuf {
    build::scratch("callgrind").join(format!("{}.out", name.replace('/', "-")))
}

/// Instructions of a run of so many measurements.
fn instructions(name: &str, times: u32) -> f64 {
    let file = if times == 0 { profile(&format!("{name}-empty")) } else { profile(name) };
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", file.display()));
    valgrind.arg(program()).args(["--run", name]).arg(times.to_string()).env(SAME_EVERYWHERE.0, SAME_EVERYWHERE.1);
    build::run(&mut valgrind);
    let text = fs::read_to_string(&file).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok());
    total.unwrap_or_else(|| panic!("{}: no totals", file.display()))
}

/// The counts of all benchmarks.
fn counted() -> Counts {
    let left = Mutex::new(told("--list"));
    let instructions = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| loop {
                let next = left.lock().unwrap().pop();
                let Some((name, messages)) = next else { return };
                let count = (self::instructions(&name, 1) - self::instructions(&name, 0)) / messages;
                instructions.lock().unwrap().insert(name, (count * 10.0).round() / 10.0);
            });
        }
    });
    Counts { toolchain: Toolchain::here().0, instructions: instructions.into_inner().unwrap() }
}

#[test]
fn no_message_costs_more_instructions_than_the_baseline_allows() {
    let counts = counted();
    let [alone, beside] = ["route/subscribed", "route/subscribed-beside-10000"].map(|name| counts.instructions[name]);
    assert!(
        (0.95..1.05).contains(&(beside / alone)),
        "a state costs {beside} instructions beside patterns that do not match, and {alone} without them"
    );
    let path = build::root().join(BASELINE);
    if env::var_os(WRITE_VARIABLE).is_some() {
        return fs::write(&path, counts.to_json()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let baseline = Counts::from_json(&text);
    let faults = counts.faults(&baseline);
    assert!(
        faults.is_empty(),
        "{}\nmeasured with {:?}, the baseline {BASELINE} with {:?}.\n`callgrind_annotate {}` shows what is run. If it is \
         to be so, `{WRITES_BASELINE}` writes the baseline anew.",
        faults.join("\n"),
        counts.toolchain,
        baseline.toolchain,
        profile("BENCHMARK").display()
    );
}

#[test]
fn a_hub_that_knows_the_names_and_an_app_that_sends_allocate_nothing() {
    let mut report = String::new();
    let mut wrong = false;
    let allocations: BTreeMap<_, _> = told("--allocations").into_iter().collect();
    for (name, count) in &allocations {
        let most = ALLOCATES.iter().find(|(other, _)| other == name).map_or(0.0, |(_, most)| *most);
        let fault = if *count > most { format!(", at most {most} allowed") } else { String::new() };
        wrong |= !fault.is_empty();
        writeln!(report, "{name}: {count} allocations per message{fault}").unwrap();
    }
    println!("{report}");
    assert!(!wrong, "{report}");
    assert_eq!(allocations["route/updates-to-8"], 0.0);
    for (name, _) in ALLOCATES {
        assert!(allocations.contains_key(*name), "there is no benchmark {name}");
    }
}

// ---- the gate itself

fn counts(rustc: &str, target: &str, instructions: &[(&str, f64)]) -> Counts {
    let toolchain = Toolchain { rustc: rustc.to_owned(), target: target.to_owned() };
    Counts { toolchain, instructions: instructions.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect() }
}

#[test]
fn a_count_over_the_limit_is_told_with_both_counts() {
    let baseline = counts("1.90.0", "x", &[("route", 1000.0), ("send", 500.0)]);
    let measured = |route| counts("1.90.0", "x", &[("route", route), ("send", 400.0)]);
    assert!(measured(1099.9).faults(&baseline).is_empty());
    let faults = measured(1123.0).faults(&baseline);
    let words = "route: 1123.0 instructions per message, 12.3 % above the 1000.0 of the baseline; the limit is 10 %";
    assert_eq!(faults, [words]);
}

#[test]
fn another_compiler_or_target_has_the_wider_limit() {
    let baseline = counts("1.90.0", "x", &[("route", 1000.0)]);
    for (rustc, target) in [("1.91.0", "x"), ("1.90.0", "y")] {
        assert!(counts(rustc, target, &[("route", 1299.0)]).faults(&baseline).is_empty());
        let faults = counts(rustc, target, &[("route", 1301.0)]).faults(&baseline);
        assert!(faults.len() == 1 && faults[0].ends_with("the limit is 30 %"), "{faults:?}");
    }
}

#[test]
fn a_benchmark_without_an_entry_and_an_entry_without_a_benchmark_are_faults() {
    let baseline = counts("1.90.0", "x", &[("gone", 1.0), ("route", 1.0)]);
    let faults = counts("1.90.0", "x", &[("new", 2.0), ("route", 1.0)]).faults(&baseline);
    let words = [
        "gone: in the baseline, but there is no such benchmark",
        "new: 2.0 instructions per message, not in the baseline",
    ];
    assert_eq!(faults, words);
}

#[test]
fn a_baseline_that_is_written_is_read_the_same() {
    let written = counts("1.90.0", "x", &[("frames/cut", 37.2), ("route", 2328.0)]);
    let read = Counts::from_json(&written.to_json());
    assert_eq!((read.toolchain, read.instructions), (written.toolchain, written.instructions));
}
