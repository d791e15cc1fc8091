//! `nanostate peers`

use serde_json::Value as Json;

use super::cli::old_hub;
use crate::support::{app, complaints, nanostate, run, CliHub, Process, TempDir, PATIENCE};

/// What `nanostate peers` prints at this hub.
fn peers(hub: &CliHub, arguments: &[&str]) -> Vec<String> {
    let mut command = hub.nanostate(["peers", "--timeout", "50"]);
    command.args(arguments);
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
    ended.stdout
}

/// A `nanostate peers --watch` that the hub has let in.
fn watch(hub: &mut CliHub, arguments: &[&str]) -> Process {
    let mut command = hub.nanostate(["peers", "--watch"]);
    command.args(arguments);
    let watch = Process::spawn(command);
    hub.joined_by("peers", watch.id());
    watch
}

/// The line says that this app has come. To a hub that was just started it may have come back: then it was here.
fn came(line: &str, identity: &str) {
    assert!(["joined", "here"].iter().any(|word| line == format!("{identity} {word}")), "{line}");
}

#[test]
fn peers_lists_the_apps_that_are_there_in_the_order_of_their_identities() {
    let mut hub = CliHub::start();
    assert!(peers(&hub, &[]).is_empty(), "it does not list itself");
    let _watch = hub.watch(&[]);
    let _apps = ["b", "a b\n", "a"].map(|identity| app(identity, &hub.url));
    assert_eq!(peers(&hub, &[]), ["a here", "\"a b\\n\" here", "b here"]);
}

#[test]
fn peers_prints_a_json_object_a_line_and_tells_apps_apart_that_share_an_identity() {
    let hub = CliHub::start();
    let [_one, _other] = [0, 1].map(|_| {
        let app = nanostate::App::new("shared").unwrap();
        app.set(nanostate::AppOption::Shared, 1).unwrap();
        app.connect(Some(&hub.url)).unwrap();
        app.wait_connected(Some(PATIENCE)).unwrap();
        app
    });
    let apps: Vec<Json> = peers(&hub, &["--json"]).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [one, other] = &apps[..] else { panic!("{apps:?}") };
    for app in [one, other] {
        assert!(app["identity"] == "shared" && app["presence"] == "here", "{app}");
        let instance = app["instance"].as_str().unwrap();
        assert!(instance.len() == 32 && instance.bytes().all(|b| b.is_ascii_hexdigit()), "{instance}");
    }
    assert_ne!(one["instance"], other["instance"]);
}

#[test]
fn peers_says_which_app_is_suspect_and_the_watch_how_it_ends() {
    let mut hub = CliHub::start();
    let mut changes = watch(&mut hub, &[]);
    let _here = app("here", &hub.url);
    came(&changes.next_line(), "here");
    let mut killed = Process::spawn(hub.nanostate(["send", "--stdin", "--as", "killed"]));
    came(&changes.next_line(), "killed");
    killed.kill();
    assert_eq!(changes.next_line(), "killed suspect");
    // On a machine that does much else, its time may be over before the list is made.
    let listed = peers(&hub, &[]);
    assert!(listed == ["here here", "killed suspect"] || listed == ["here here"], "{listed:?}");
    assert_eq!(changes.next_line(), "killed lost");
}

#[test]
fn the_watch_tells_each_change_and_stops_with_0_at_a_signal() {
    let mut hub = CliHub::start();
    let first = app("first", &hub.url);
    let mut changes = watch(&mut hub, &["--json"]);
    let mut next = || -> Json { serde_json::from_str(&changes.next_line()).unwrap() };
    let here = next();
    assert!(here["identity"] == "first" && here["presence"] == "here", "{here}");
    let second = app("second", &hub.url);
    let joined = next();
    came(&format!("{} {}", joined["identity"].as_str().unwrap(), joined["presence"].as_str().unwrap()), "second");
    drop(first);
    let left = next();
    assert!(left["presence"] == "left" && left["instance"] == here["instance"], "{left}");
    drop(second);
    next();
    let ended = changes.stop("TERM");
    assert!(ended.code == Some(0) && ended.stdout.is_empty() && complaints(&ended).is_empty(), "{ended:?}");
}

#[test]
fn the_watch_waits_for_a_hub_and_stops_after_its_time() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut changes = Process::spawn(nanostate(["peers", "-w", "--connect", &url]));
    changes.next_error_line_with("waiting for the hub");
    let mut hub = CliHub::start_with(["--listen", &url]);
    hub.joined_by("peers", changes.id());
    let _app = app("app", &url);
    came(&changes.next_line(), "app");
    hub.process.stop("KILL");
    changes.next_error_line_with("connecting again");
    assert_eq!(changes.stop("INT").code, Some(0));
    let hub = CliHub::start();
    let ended = run(hub.nanostate(["peers", "--watch", "--timeout", "0.5"]), b"");
    assert!(ended.code == Some(0) && ended.stdout.is_empty(), "{ended:?}");
    let ended = run(nanostate(["peers", "--watch", "--timeout", "0.1", "--connect", &dir.ipc()]), b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn a_hub_that_does_not_tell_is_named_as_the_reason() {
    let (url, _bodies) = old_hub();
    for arguments in [&["peers"][..], &["peers", "--watch"]] {
        let mut command = nanostate(arguments);
        command.args(["--timeout", "50", "--connect", &url]);
        let ended = run(command, b"");
        assert!(ended.code == Some(1) && ended.stdout.is_empty(), "{ended:?}");
        assert!(complaints(&ended).concat().contains("does not say which apps are there"), "{ended:?}");
    }
}
