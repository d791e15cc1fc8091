//! `nanostate send --transient`: values for those who are there.

use std::time::Duration;

use super::cli::old_hub;
use crate::support::{app, nanostate, run, CliHub, PATIENCE};

#[test]
fn a_transient_value_reaches_who_is_there_and_is_not_found_later() {
    let hub = CliHub::start();
    let watcher = app("watcher", &hub.url);
    hub.send(&["x", "1"]);
    hub.send(&["x", "2", "--transient"]);
    hub.send_input(&["--stdin", "--transient", "--type", "json"], b"y [1]\nz [2]\n");
    let mut seen = [0; 4].map(|_| watcher.recv(Some(PATIENCE)).unwrap().name().to_owned());
    seen.sort();
    assert_eq!(seen, ["x", "x", "y", "z"]);
    let listed = run(hub.nanostate(["list"]), b"");
    assert!(listed.code == Some(0) && listed.stdout.iter().all(|line| !line.contains("nanostate")), "{listed:?}");
}

#[test]
fn a_hub_that_would_keep_the_values_is_sent_none_and_named_as_the_reason() {
    let (url, bodies) = old_hub();
    let ended = run(nanostate(["send", "x", "1", "--transient", "--timeout", "50", "--connect", &url]), b"");
    assert_eq!(
        (ended.stderr, ended.code),
        (vec!["nanostate: the hub would keep the values (--transient)".into()], Some(1))
    );
    assert!(bodies.recv_timeout(Duration::ZERO).is_err());
}
