//! `nanostate send --stdin --will`: what is published when the command is lost.

use std::time::Duration;

use nanostate::{HubOption, Kind};

use super::cli::old_hub;
use crate::support::{app, hub, nanostate, receive, receive_until, run, send, waiting, Process};

/// A command with these wills, which has sent a value.
fn sender(url: &str, identity: &str, arguments: &[&str]) -> Process {
    let mut command = nanostate(["send", "--stdin", "--as", identity, "--timeout", "50", "--connect", url]);
    command.args(arguments);
    let mut process = Process::spawn(command);
    process.write(b"on true\nseen true\n");
    process
}

#[test]
fn the_wills_of_a_command_that_is_killed_are_published_and_those_of_one_that_ends_are_not() {
    let wills = ["--type", "json", "--will", "on", "false", "--will", "why", "{\"exit\": -9}", "--will-clear", "seen"];
    let hub = nanostate::Hub::new().unwrap();
    hub.set(HubOption::LostMs, 3000).unwrap();
    hub.listen("tcp://127.0.0.1:0").unwrap();
    let url = hub.address(0).unwrap();
    let observer = app("observer", &url);
    let mut killed = sender(&url, "killed", &wills);
    let mut at_end = sender(&url, "at-end", &wills);
    let stopped = sender(&url, "stopped", &wills);
    let mut values = 0;
    receive_until(&observer, "the values of all", |_| {
        values += 1;
        values == 6
    });
    at_end.end_of_input();
    assert!(at_end.ended().success());
    let mut faulty = sender(&url, "faulty", &wills);
    faulty.write(b"line without a value that is JSON\n");
    faulty.end_of_input();
    assert_eq!(faulty.ended().code(), Some(1));
    assert_eq!(stopped.stop("TERM").code, Some(143));
    // The last of all: the wills of the others would be published before its own.
    killed.kill();
    let mut told = receive_until(&observer, "all wills of the one that was killed", |state| state.name() == "why");
    told.extend(waiting(&observer));
    let all = told.iter().map(|state| {
        let value = if state.kind() == Kind::Cleared { "cleared".to_owned() } else { state.json().to_owned() };
        format!("{} {} {value}", state.sender(), state.name())
    });
    let mut all: Vec<_> = all.filter(|line| !line.ends_with("true")).collect();
    all.sort();
    assert_eq!(all, ["killed on false", "killed seen cleared", "killed why {\"exit\":-9}"]);
    send(&app("last", &url), "n", "last");
    receive(&observer, "last", "n");
    assert!(waiting(&observer).is_empty());
}

#[test]
fn a_will_that_cannot_be_left_is_wrong_usage_or_names_the_hub_as_the_reason() {
    let (_hub, url) = hub("tcp://127.0.0.1:0");
    let failed = |url: &str, arguments: &[&str]| {
        let mut command = nanostate(["send", "--timeout", "50", "--connect", url]);
        command.args(arguments);
        let ended = run(command, b"");
        (ended.stderr.join("\n"), ended.code)
    };
    for (arguments, error) in [
        (
            &["--stdin", "--as", "a", "--type", "int", "--will", "n", "x"][..],
            "--will \"n\": expected a 64-bit integer, not \"x\"",
        ),
        (&["--stdin", "--as", "a", "--type", "json", "--will", "n", "{"], "--will \"n\": JSON: EOF"),
        (&["--stdin", "--as", "a", "--will", "", "x"], "name not allowed: \"\": empty"),
        (&["--stdin", "--as", "a", "--will-clear", "$ns/x"], "name not allowed: \"$ns/x\""),
        (&["--stdin", "--will", "n"], "2 values required for '--will <NAME> <VALUE>' but 1 was provided"),
        (&["--stdin", "--will", "n", "x"], "--as <IDENTITY>"),
        (&["--stdin", "--will-clear", "n"], "--as <IDENTITY>"),
        (&["--stdin", "--as", "nanostate", "--will", "n", "x"], "an identity other than nanostate (--as)"),
        (&["n", "x", "--will", "n", "y"], "the argument '[NAME]' cannot be used with '--will <NAME> <VALUE>'"),
    ] {
        let (line, code) = failed(&url, arguments);
        assert!(code == Some(2) && line.contains(error), "{arguments:?}: {line} {code:?}");
    }
    let (url, bodies) = old_hub();
    let told = failed(&url, &["--stdin", "--as", "a", "--will", "n", "x"]);
    assert_eq!(told, ("nanostate: the hub keeps no wills (--will, --will-clear)".to_owned(), Some(1)));
    assert!(bodies.recv_timeout(Duration::ZERO).is_err());
}
