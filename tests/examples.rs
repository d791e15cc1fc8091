//! The programs of `examples-c/` and of the README: they compile as they stand, and do what they say.
#![cfg(all(feature = "cli", feature = "capi"))]

mod common;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Link, Standard};
use support::{run, CliHub, Process, TempDir};

/// The most lines of an example, and of a program in the README (those that are not blank).
const EXAMPLE_LINES: usize = 100;
const README_LINES: usize = 15;

/// Compiles an example for a test.
fn example(test: &str, name: &str) -> PathBuf {
    compile(test, &common::root().join("examples-c").join(name).with_extension("c"))
}

/// Compiles a program against the shared library, without any warning. Each test has programs of its own.
fn compile(test: &str, source: &Path) -> PathBuf {
    let name = format!("{test}-{}", source.file_stem().unwrap().to_str().unwrap());
    common::compile_c(&name, &[source.to_owned()], Standard::C99, Link::Shared, &[])
}

fn command<const N: usize>(program: &Path, arguments: [&str; N]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[test]
fn no_example_is_longer_than_a_hundred_lines() {
    for entry in fs::read_dir(common::root().join("examples-c")).unwrap() {
        let path = entry.unwrap().path();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= EXAMPLE_LINES, "{}: {lines}", path.display());
    }
}

#[test]
fn publish_sends_the_figures_of_this_machine() {
    let hub = CliHub::start();
    let ended = run(command(&example("publish", "publish"), [&hub.url, "1"]), b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");

    let figure = |name: &str| {
        let lines = hub.watched(&[name, "--count", "1", "--json"]);
        let state: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&state["sender"], &state["name"]), (&"publish".into(), &name.into()));
        (state["kind"].as_str().unwrap().to_owned(), state["data"].clone())
    };
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")).unwrap();
    let total: i64 = total.parse().unwrap();
    assert_eq!(figure("mem/total"), ("int".to_owned(), (total * 1024).into()));
    assert_eq!(figure("cpu/load").0, "double");
    let (kind, loads) = figure("cpu/loads");
    assert_eq!(kind, "text");
    assert_eq!(loads.as_str().unwrap().split(' ').count(), 3, "{loads}");
    let (kind, available) = figure("mem/available");
    assert!(kind == "int" && available.as_i64().unwrap() < total * 1024, "{available}");
    let (kind, received) = figure("net/lo/rx");
    assert!(kind == "int" && received.as_i64().unwrap() >= 0, "{received}");
}

#[test]
fn publish_goes_on_until_it_is_interrupted() {
    let hub = CliHub::start();
    let publish = Process::spawn(command(&example("publish-on", "publish"), [&hub.url]));
    assert_eq!(hub.watched(&["cpu/load", "--count", "2"]).len(), 2);
    let ended = publish.stop("INT");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn subscribe_prints_every_kind_and_ends_cleanly_by_a_signal() {
    let mut hub = CliHub::start();
    let mut subscribe = Process::spawn(command(&example("subscribe", "subscribe"), [&hub.url]));
    hub.joined("subscribe");
    for (value, kind, shown) in [
        ("two words", "text", "two words"),
        ("a\x1b[2J\n", "text", "a?[2J?"),
        ("abc", "bytes", "616263"),
        ("-5", "int", "-5"),
        ("18446744073709551615", "int", "18446744073709551615"),
        ("20.5", "double", "20.5"),
        ("true", "bool", "true"),
        ("nil", "nil", "null"),
        ("[1,{\"a\":2}]", "json", "[1,{\"a\":2}]"),
    ] {
        hub.send(&["x", "--type", kind, "--", value]);
        assert_eq!(subscribe.next_line(), format!("nanostate x = {shown}"));
    }
    let ended = subscribe.stop("INT");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn subscribe_says_what_is_wrong() {
    let ended = run(command(&example("wrong", "subscribe"), ["nowhere"]), b"");
    assert!(ended.code == Some(1) && ended.stderr.len() == 1 && ended.stderr[0].contains("nowhere"), "{ended:?}");
}

#[test]
fn two_polls_chat() {
    let program = example("poll", "poll");
    let mut hub = CliHub::start();
    let mut start = |name: &str| {
        let mut poll = Process::spawn(command(&program, [name, &hub.url]));
        poll.next_error_line_with("(connected)");
        hub.joined(name);
        poll
    };
    let (mut ada, mut bob) = (start("ada"), start("bob"));
    ada.write(b"hello bob\n");
    assert_eq!(bob.next_line(), "ada: hello bob");
    bob.write(b"hello ");
    bob.write(b"ada\n");
    assert_eq!(ada.next_line(), "bob: hello ada");
    // A line that is longer than what poll reads at once goes in pieces.
    ada.write(&[b"x".repeat(1000), b"end\n".to_vec()].concat());
    bob.next_line_with("ada: xxx");
    bob.next_line_with("ada: end");
    for poll in [ada, bob] {
        let ended = poll.wait();
        assert!(ended.code == Some(0) && ended.stdout.is_empty(), "{ended:?}");
    }
}

#[test]
fn a_hub_and_apps_live_in_one_program() {
    let ended = run(command(&example("embedded", "embedded_hub"), ["tcp://127.0.0.1:0"]), b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    for line in ["hub: sensor joined", "hub: display joined", "room/temperature of sensor: 22.5"] {
        assert!(ended.stdout.iter().any(|said| said == line), "{line}: {ended:?}");
    }
}

#[test]
fn the_programs_of_the_readme_work_as_they_stand() {
    let dir = TempDir::new();
    let readme = fs::read_to_string(common::root().join("README.md")).unwrap();
    let programs: Vec<_> = readme.split("```c\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [send, receive] = programs[..] else { panic!("{} programs", programs.len()) };
    let [send, receive] = [("thermometer", send), ("display", receive)].map(|(name, text)| {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= README_LINES, "{name} has {lines} lines");
        let source = dir.path().join(name).with_extension("c");
        fs::write(&source, text).unwrap();
        compile("readme", &source)
    });

    let mut hub = CliHub::start();
    // Where a user sees it on a terminal, line by line.
    let mut receive = command(Path::new("stdbuf"), ["-oL", receive.to_str().unwrap()]);
    receive.env("NANOSTATE_URL", &hub.url);
    let mut receive = Process::spawn(receive);
    hub.joined("display");
    let mut send = command(&send, []);
    send.env("NANOSTATE_URL", &hub.url);
    let ended = run(send, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    assert_eq!(receive.next_line(), "room/temperature of thermometer is 21.5");
}
