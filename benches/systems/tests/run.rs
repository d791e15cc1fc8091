//! The program as a whole, with the systems that need nothing to be installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_nanostate-bench-systems");

/// For what happens in the end, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("nsb-{}-{test}", std::process::id()));
        // Left behind by one that was killed and had the same process ID.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("TMPDIR", &self.0).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < end, "{what} has not happened");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_leaves_every_sample_and_nothing_else() {
    let directory = Directory::new("run");
    let file = directory.0.join("results.json");
    let output = directory.run(&[
        "run",
        "--quick",
        "--pairs",
        "2",
        "--systems",
        "floor ipc,nanostate ipc callback,nanostate inproc",
        "--figures",
        "round_trip,round_trip_pinned,known_names,many_to_one,large,camera,first_state",
        "--output",
        file.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(directory.entries(), std::slice::from_ref(&file));
    let results: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(results["notes"].as_array().unwrap().len(), 0, "{}", results["notes"]);
    let series = results["series"].as_array().unwrap();
    for system in ["floor ipc", "nanostate ipc callback", "nanostate inproc recv"] {
        let ours: Vec<_> = series.iter().filter(|series| series["system"] == system).collect();
        assert!(ours.iter().any(|series| series["figure"] == "round_trip" && series["metric"] == "p50"), "{system}");
        for series in ours {
            let rounds: Vec<_> =
                series["samples"].as_array().unwrap().iter().map(|sample| sample["round"].as_u64().unwrap()).collect();
            assert_eq!(rounds, [1, 2], "{series}");
            if series["metric"] == "delivered" {
                assert!(
                    series["samples"].as_array().unwrap().iter().all(|sample| sample["value"] == 100.0),
                    "{series}"
                );
            }
        }
    }
    let in_one_process = ["round_trip", "round_trip_pinned", "known_names"];
    assert!(series.iter().all(|series| {
        in_one_process.iter().any(|figure| series["figure"] == *figure) || series["system"] != "nanostate inproc recv"
    }));
    let shown = directory.run(&["report", "--input", file.to_str().unwrap()]);
    assert!(shown.status.success());
    assert_eq!(text(&shown.stdout), text(&output.stdout));
}

#[test]
fn a_client_that_reads_and_writes_in_turn_makes_two_system_calls_for_a_round_trip() {
    let directory = Directory::new("calls");
    let file = directory.0.join("results.json");
    let arguments = ["run", "--quick", "--systems", "floor ipc", "--figures", "round_trip_calls", "--output"];
    let output = directory.run(&[&arguments[..], &[file.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let results: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let value = |metric: &str| {
        let mut series = results["series"].as_array().unwrap().iter();
        let found = series.find(|series| series["metric"] == metric);
        found.unwrap_or_else(|| panic!("no {metric}: {}", results["notes"]))["samples"][0]["value"].as_f64().unwrap()
    };
    // And one or two around all of them.
    assert!((2.0..2.01).contains(&value("system_calls")), "{}", value("system_calls"));
    assert!(value("switches") > 0.0);
    assert_eq!(value("other_threads"), 0.0);
}

#[test]
fn a_system_or_figure_that_is_not_there_is_named() {
    let directory = Directory::new("unknown");
    for arguments in [["run", "--systems", "carrier pigeon"], ["run", "--figures", "carrier pigeon"]] {
        let output = directory.run(&arguments);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains("carrier pigeon"), "{}", text(&output.stderr));
    }
    assert!(directory.entries().is_empty());
}

#[test]
fn every_figure_and_the_systems_that_are_always_here_are_listed() {
    let listed = text(&Directory::new("list").run(&["list"]).stdout);
    for name in ["floor ipc", "floor tcp", "nanostate ipc recv", "round_trip", "first_state"] {
        assert!(listed.lines().any(|line| line.trim_start().starts_with(name)), "{name} in {listed}");
    }
}

/// A run that has children.
fn long_run(directory: &Directory) -> (Child, Vec<u32>) {
    let mut run = directory.command(&["run", "--systems", "floor ipc", "--figures", "round_trip", "--pairs", "10000"]);
    let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut found = Vec::new();
    eventually("a hub, an echo and a pinger", || {
        found = children(run.id());
        found.len() == 3
    });
    (run, found)
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|pid| status(*pid, "PPid").as_deref() == Some(&parent.to_string())).collect()
}

/// A field of what the kernel says of a process.
fn status(pid: u32, key: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(|value| value.trim().to_string())
}

/// One whose parent has not asked how it ended is over too.
fn is_over(pid: u32) -> bool {
    status(pid, "State").is_none_or(|state| state.starts_with(['Z', 'X']))
}

#[test]
fn children_end_with_a_run_that_is_killed() {
    let directory = Directory::new("killed");
    let (mut run, children) = long_run(&directory);
    run.kill().unwrap();
    run.wait().unwrap();
    eventually("the end of the children", || children.iter().all(|pid| is_over(*pid)));
}

#[test]
fn a_run_that_is_interrupted_leaves_neither_children_nor_files() {
    let directory = Directory::new("interrupted");
    let (mut run, children) = long_run(&directory);
    let signalled = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    eventually("the end of the children", || children.iter().all(|pid| is_over(*pid)));
    assert_eq!(directory.entries(), Vec::<PathBuf>::new());
}
