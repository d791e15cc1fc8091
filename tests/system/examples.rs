//! The programs of `examples-c/` and of the README: they compile as they stand, and do what they say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;

use crate::support::build::{self, Link, Standard};
use crate::support::{run, CliHub, Process, TempDir};

/// The most lines of an example, and of a program in the README (those that are not blank).
const EXAMPLE_LINES: usize = 100;
const README_LINES: usize = 15;

/// Compiles an example for a test.
fn example(test: &str, name: &str) -> PathBuf {
    compile(test, &build::root().join("examples-c").join(name).with_extension("c"))
}

/// Compiles a program against the shared library, without any warning. Each test has programs of its own.
fn compile(test: &str, source: &Path) -> PathBuf {
    let name = format!("{test}-{}", source.file_stem().unwrap().to_str().unwrap());
    build::compile_c(&name, &[source.to_owned()], Standard::C99, Link::Shared, &[])
}

fn command<const N: usize>(program: &Path, arguments: [&str; N]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[test]
fn no_example_is_longer_than_a_hundred_lines() {
    for entry in fs::read_dir(build::root().join("examples-c")).unwrap() {
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
fn a_slider_moves_the_others_and_takes_doubles_only() {
    let program = example("slider", "slider");
    let mut hub = CliHub::start();
    let mut start = |name: &str| {
        let mut slider = Process::spawn(command(&program, [name, &hub.url]));
        slider.next_error_line_with("(connected)");
        hub.joined(name);
        slider
    };
    let (mut ada, mut bob) = (start("ada"), start("bob"));
    let drawn = |filled: usize, of: &str| format!("[{:50}] {of}", "#".repeat(filled));
    ada.write(b"22\n");
    assert_eq!(ada.next_line(), drawn(11, "22 of ada"));
    assert_eq!(bob.next_line(), drawn(11, "22 of ada"));
    // Neither another kind nor another name.
    hub.send(&["volume", "30", "--type", "int"]);
    hub.send(&["cpu/load", "30", "--type", "double"]);
    for wrong in ["loud\n", "101\n", "nan\n", "\n", "5 6\n"] {
        bob.write(wrong.as_bytes());
        bob.next_error_line_with("a number from 0 to 100");
    }
    hub.send(&["volume", "1e9", "--type", "double"]);
    assert_eq!(ada.next_line(), drawn(50, "1e+09 of nanostate"));
    assert_eq!(bob.next_line(), drawn(50, "1e+09 of nanostate"));
    bob.write(b"7.5\n");
    assert_eq!(ada.next_line(), drawn(3, "7.5 of bob"));
    for slider in [ada, bob] {
        let ended = slider.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
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
    let readme = fs::read_to_string(build::root().join("README.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    };
    let programs = [("thermometer", "c", 0, Standard::C99), ("display", "c", 1, Standard::C99)];
    let programs = programs.into_iter().chain([("panel", "cpp", 0, Standard::Cpp17)]);
    let programs: BTreeMap<_, _> = programs
        .map(|(name, language, i, standard)| {
            let text = &blocks(language)[i];
            let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
            assert!(lines <= README_LINES && text.contains(&format!("\"{name}\"")), "{name} has {lines} lines");
            let source = dir.path().join(name).with_extension(language);
            fs::write(&source, text).unwrap();
            (name, build::compile_c(&format!("readme-{name}"), &[source], standard, Link::Shared, &[]))
        })
        .collect();
    assert_eq!((blocks("c").len(), blocks("cpp").len()), (2, 1));

    let mut hub = CliHub::start();
    let [mut display, mut panel] = ["display", "panel"].map(|name| {
        // Into a pipe, as with `| tee`: what comes is seen when it comes.
        let mut program = command(&programs[name], []);
        program.env("NANOSTATE_URL", &hub.url);
        let program = Process::spawn(program);
        hub.joined(name);
        program
    });
    let mut send = command(&programs["thermometer"], []);
    send.env("NANOSTATE_URL", &hub.url);
    let ended = run(send, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    assert_eq!(display.next_line(), "room/temperature of thermometer is 21.5");
    assert_eq!(panel.next_line(), "room/temperature of thermometer is 21.5");
    assert_eq!(panel.next_line(), "room/comment of thermometer is \"window open\"");
}

/// The programs of a guide by their names: its code blocks that begin with a comment that names a file.
fn guide_programs(guide: &str, dir: &TempDir) -> BTreeMap<String, PathBuf> {
    let text = fs::read_to_string(build::root().join("docs").join(guide)).unwrap();
    let blocks = text.split("\n```c").skip(1).filter_map(|rest| rest.split_once('\n'));
    let blocks = blocks.map(|(_, code)| code.split("```").next().unwrap()).filter(|code| code.contains("int main("));
    let programs: BTreeMap<_, _> = blocks
        .map(|code| {
            let file = code.trim_start_matches("/* ").trim_start_matches("// ").split(':').next().unwrap();
            let source = dir.path().join(file);
            fs::write(&source, code).unwrap();
            let standard = if file.ends_with(".cpp") { Standard::Cpp17 } else { Standard::C99 };
            let name = format!("guide-{}", source.file_stem().unwrap().to_str().unwrap());
            let program = build::compile_c(&name, slice::from_ref(&source), standard, Link::Shared, &[]);
            (source.file_stem().unwrap().to_str().unwrap().to_owned(), program)
        })
        .collect();
    assert_eq!(programs.keys().collect::<Vec<_>>(), ["loop", "room", "show", "together"], "{guide}");
    programs
}

/// The programs of a guide do what it says of them, with each other.
fn the_programs_of_a_guide_work(guide: &str) {
    let dir = TempDir::new();
    let programs = guide_programs(guide, &dir);
    let mut hub = CliHub::start();
    let at_hub = |name: &str| {
        let mut program = command(&programs[name], []);
        program.env("NANOSTATE_URL", &hub.url);
        program
    };
    let (mut show, mut numbers) = (Process::spawn(at_hub("show")), Process::spawn(at_hub("loop")));
    let room = at_hub("room");
    numbers.next_error_line_with("connected");
    // They join in any order.
    let joined: Vec<_> = (0..2).map(|_| hub.process.next_error_line_with(") joined")).collect();
    assert!(joined.iter().any(|line| line.contains(" show (")), "{joined:?}");

    let ended = run(room, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    for line in [
        "room/comment of room: text window open",
        "room/temperature of room: number 21.5",
        "room/people of room: integer 3",
        "room/occupied of room: true",
        "room/picture of room: 3 bytes",
        "room/sensor of room: json {\"id\":7,\"ok\":true}",
    ] {
        assert_eq!(show.next_line(), line);
    }
    assert_eq!(numbers.next_line(), "room/temperature is 21.5");
    assert_eq!(numbers.next_line(), "room/people is 3");
    for ended in [show.stop("INT"), numbers.wait()] {
        assert!(ended.code == Some(0) && ended.stdout.is_empty() && ended.stderr.is_empty(), "{ended:?}");
    }

    let ended = run(command(&programs["together"], []), b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    assert_eq!(ended.stdout, ["room/temperature of sensor is 22.5"]);
}

#[test]
fn the_programs_of_the_guide_for_c_work_as_they_stand() {
    the_programs_of_a_guide_work("c.md");
}

#[test]
fn the_programs_of_the_guide_for_cpp_work_as_they_stand() {
    the_programs_of_a_guide_work("cpp.md");
}
