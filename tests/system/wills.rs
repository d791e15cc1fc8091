//! What processes leave for the time when they are lost.

use nanostate::{App, Hub, HubOption, Kind, Value, Will};

use crate::support::{app, c_program, hub, receive, receive_until, send, waiting, Process, PATIENCE};

/// A process with a value and a will for it, which the hub has.
fn process(url: &str, identity: &str, will: &str) -> Process {
    let mut process = Process::run(&c_program("app"), [url, identity]);
    for line in ["text on yes", &format!("will on {will}"), "will seen", "text seen yes", "flush"] {
        let mut from = process.printed();
        process.tell(line);
        process.line_from(&mut from, line, |line| line == "done");
    }
    process
}

#[test]
fn the_will_of_a_process_that_is_killed_or_hangs_is_published_once_and_that_of_one_that_ends_is_not() {
    let hub = Hub::new().unwrap();
    hub.set(HubOption::LostMs, 3000).unwrap();
    hub.listen("tcp://127.0.0.1:0").unwrap();
    let url = hub.address(0).unwrap();
    let observer = app("observer", &url);
    let mut killed = process(&url, "killed", "killed");
    let mut ends = process(&url, "ends", "ended");
    let stopped = process(&url, "stopped", "hangs");
    killed.kill();
    ends.end_of_input();
    assert!(ends.ended().success());
    stopped.signal("STOP");
    let (mut said, mut lost) = (Vec::new(), 0);
    receive_until(&observer, "both wills", |state| {
        let value = if state.kind() == Kind::Cleared { "cleared" } else { state.text().unwrap() };
        said.push(format!("{} {} {value}", state.sender(), state.name()));
        lost += usize::from(value != "yes");
        lost == 4
    });
    said.retain(|line| !line.ends_with("yes"));
    said.sort();
    assert_eq!(said, ["killed on killed", "killed seen cleared", "stopped on hangs", "stopped seen cleared"]);
    // It goes on, finds that its link is gone, and has the last word on its names.
    stopped.signal("CONT");
    assert_eq!(receive(&observer, "stopped", "on").text().unwrap(), "yes");
    assert_eq!(receive(&observer, "stopped", "seen").text().unwrap(), "yes");
    assert_eq!(observer.get(Some("ends"), "on").unwrap().text().unwrap(), "yes");
    send(&app("last", &url), "n", "last");
    receive(&observer, "last", "n");
    assert!(waiting(&observer).is_empty());
}

#[cfg(all(feature = "cli", target_os = "linux"))]
#[test]
fn the_wills_of_processes_that_are_killed_together_with_a_hub_that_has_a_store_are_published_by_the_next_one() {
    use crate::store::stored;
    use crate::support::{key, until, CliHub, TempDir};

    let dir = TempDir::new();
    let arguments = ["--store", dir.path().to_str().unwrap(), "--lost", "3s", "--listen"];
    let mut hub = CliHub::start_with(arguments.into_iter().chain(["tcp://127.0.0.1:0"]));
    let url = hub.url.clone();
    let mut killed = process(&url, "killed", "killed");
    let mut ends = process(&url, "ends", "ended");
    let _stays = process(&url, "stays", "lost");
    ends.end_of_input();
    assert!(ends.ended().success());
    let witness = app("witness", &url);
    let is_gone = || !witness.peers(Some(PATIENCE)).unwrap().iter().any(|peer| peer.identity == "ends");
    until("the hub knows that one has ended", is_gone);
    send(&witness, "LAST-OF-ALL", "x");
    stored(dir.path(), "LAST-OF-ALL");
    drop(witness);
    hub.process.kill();
    killed.kill();
    let next = CliHub::start_with(arguments.into_iter().chain([url.as_str()]));
    let observer = app("observer", &next.url);
    let mut said = Vec::new();
    receive_until(&observer, "both wills", |state| {
        let value = if state.kind() == Kind::Cleared { "cleared" } else { state.text().unwrap() };
        said.push(format!("{} {} {value}", state.sender(), state.name()));
        said.iter().filter(|line| line.starts_with("killed") && !line.ends_with("yes")).count() == 2
    });
    // The other one is back.
    send(&app("last", &url), "n", "last");
    receive(&observer, "last", "n");
    said.extend(waiting(&observer).iter().map(key));
    assert!(!said.iter().any(|line| line.contains("lost") || line.contains("ended")), "{said:?}");
}

#[test]
fn a_rust_app_leaves_changes_and_takes_back_wills_and_says_goodbye_when_it_is_dropped() {
    let (_hub, url) = hub("tcp://127.0.0.1:0");
    let observer = app("observer", &url);
    let left = App::new("app").unwrap();
    left.set_will("on", Value::Bool(false)).unwrap();
    left.connect(Some(&url)).unwrap();
    let key = left.key("on").unwrap();
    key.set_will(Will::Clear).unwrap();
    left.flush(Some(PATIENCE)).unwrap();
    key.set_will(Will::None).unwrap();
    key.set_will(Value::Text("gone")).unwrap();
    send(&left, "on", "yes");
    left.flush(Some(PATIENCE)).unwrap();
    drop(left);
    assert!(key.set_will(Will::None).is_err(), "it is closed");
    assert_eq!(receive(&observer, "app", "on").text().unwrap(), "yes");
    send(&app("last", &url), "n", "last");
    receive(&observer, "last", "n");
    assert!(waiting(&observer).is_empty());
}
