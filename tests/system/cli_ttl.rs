//! `nanostate send --ttl`: values that expire.

use std::time::Duration;

use nanostate::{App, Kind};

use super::cli::old_hub;
use crate::support::{app, nanostate, run, CliHub, PATIENCE};

/// What comes next: the name, and whether it is a value.
fn next(app: &App) -> (String, bool) {
    let state = app.recv(Some(PATIENCE)).unwrap();
    (state.name().to_owned(), state.kind() != Kind::Cleared)
}

#[test]
fn a_value_that_is_sent_with_a_time_to_live_is_there_and_then_gone() {
    let hub = CliHub::start();
    let watcher = app("watcher", &hub.url);
    for (kind, value) in [("int", "5"), ("json", "[1]")] {
        hub.send(&["x", value, "--type", kind, "--ttl", "300ms"]);
        assert_eq!([next(&watcher), next(&watcher)], [("x".to_owned(), true), ("x".to_owned(), false)]);
        let gone = run(hub.nanostate(["get", "x", "--timeout", "50"]), b"");
        assert!(gone.code == Some(1) && gone.stdout.is_empty(), "{gone:?}");
    }
}

#[test]
fn a_value_whose_time_to_live_is_not_over_is_there_for_who_comes_later_and_the_next_one_has_its_own() {
    let hub = CliHub::start();
    hub.send(&["x", "1", "--ttl", "1000d"]);
    let value = || run(hub.nanostate(["get", "x", "--timeout", "50"]), b"").stdout;
    assert_eq!(value(), ["1"]);
    hub.send(&["x", "2", "--ttl", "1ms"]);
    let late = app("late", &hub.url);
    late.wait_synced(Some(PATIENCE)).unwrap();
    while late.get(None, "x").is_some() {
        late.recv(Some(PATIENCE)).unwrap();
    }
    assert_eq!(value(), [""; 0]);
    // Without one it is for ever.
    hub.send(&["x", "3"]);
    assert_eq!(value(), ["3"]);
}

#[test]
fn each_line_of_standard_input_has_the_time_to_live() {
    let hub = CliHub::start();
    let watcher = app("watcher", &hub.url);
    hub.send_input(&["--stdin", "--ttl", "300ms"], b"a 1\nb 2\n");
    let mut seen = [0; 4].map(|_| next(&watcher));
    seen.sort_by_key(|(name, is_value)| (!is_value, name.clone()));
    assert_eq!(seen, [("a", true), ("b", true), ("a", false), ("b", false)].map(|(name, is)| (name.to_owned(), is)));
    assert!(watcher.states(None).unwrap().is_empty());
}

#[test]
fn a_hub_that_does_not_let_values_expire_is_sent_none_and_named_as_the_reason() {
    let (url, bodies) = old_hub();
    for arguments in [&["x", "1"][..], &["--stdin"]] {
        let mut command = nanostate(["send", "--ttl", "30s", "--timeout", "50", "--connect", &url]);
        command.args(arguments);
        let ended = run(command, b"x 1\n");
        assert_eq!(ended.stderr, ["nanostate: the hub does not let values expire (--ttl)"]);
        assert_eq!(ended.code, Some(1));
    }
    assert!(bodies.recv_timeout(Duration::ZERO).is_err());
}

#[test]
fn a_time_to_live_that_is_none_is_named_and_ends_with_2() {
    for (ttl, words) in [
        ("0", "expected 1ms to 1000d"),
        ("0s", "expected 1ms to 1000d"),
        ("1001d", "expected 1ms to 1000d"),
        ("30", "expected a duration with its unit, like "),
        ("-5s", "expected a duration with its unit, like "),
    ] {
        let ended = run(nanostate(["send", "x", "1", &format!("--ttl={ttl}")]), b"");
        let told = ended.stderr.join(" ");
        let named = told.contains(&format!("'{ttl}' for '--ttl <DURATION>': {words}"));
        assert!(ended.code == Some(2) && named, "{ended:?}");
    }
}
