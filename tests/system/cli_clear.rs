//! `nanostate clear`, and which states the commands that look at states are sent.

use nanostate::{Kind, Value};

use crate::support::{app, complaints, nanostate, run, CliHub, TempDir, PATIENCE};

/// What a command comes to: its exit code, and the lines that it prints on both outputs.
fn ended(hub: &CliHub, arguments: &[&str]) -> (Option<i32>, Vec<String>, Vec<String>) {
    let mut command = hub.nanostate(arguments);
    command.args(["--timeout", "50"]);
    let ended = run(command, b"");
    let told = complaints(&ended).into_iter().map(str::to_owned).collect();
    (ended.code, ended.stdout, told)
}

#[test]
fn clear_withdraws_what_departed_senders_left_and_names_each_of_them() {
    let hub = CliHub::start();
    for sender in ["b", "a c", "d"] {
        hub.send(&["cpu/load", "1", "--as", sender]);
    }
    hub.send(&["cpu/loads", "2"]);
    let watcher = app("watcher", &hub.url);
    watcher.wait_synced(Some(PATIENCE)).unwrap();
    let done = ended(&hub, &["clear", "cpu/load", "--sender", "d"]);
    assert_eq!(done, (Some(0), vec!["d cpu/load cleared".into()], vec![]));
    let lines = vec![r#""a c" cpu/load cleared"#.to_owned(), "b cpu/load cleared".to_owned()];
    assert_eq!(ended(&hub, &["clear", "cpu/load"]), (Some(0), lines, vec![]));
    let none = "nanostate: the hub holds no state \"cpu/load\"".to_owned();
    assert_eq!(ended(&hub, &["clear", "cpu/load"]), (Some(1), vec![], vec![none.clone()]));
    assert_eq!(ended(&hub, &["clear", "cpu/load", "--sender", "d"]), (Some(1), vec![], vec![none + " of \"d\""]));
    assert_eq!(ended(&hub, &["get", "cpu/loads"]), (Some(0), vec!["2".into()], vec![]));
    // Who is there is told, and finds it no more.
    let mut cleared = 0;
    while cleared < 3 {
        cleared += usize::from(watcher.recv(Some(PATIENCE)).unwrap().kind() == Kind::Cleared);
    }
    assert!(watcher.get(None, "cpu/load").is_none() && watcher.get(None, "cpu/loads").is_some());
}

#[test]
fn clear_leaves_what_a_sender_has_that_is_connected_and_says_so() {
    let hub = CliHub::start();
    let here = app("here", &hub.url);
    here.send("x", Value::Int(1)).unwrap();
    here.flush(Some(PATIENCE)).unwrap();
    let told = r#"nanostate: "x" of "here" is not withdrawn: its sender is connected, clear it there"#.to_owned();
    assert_eq!(ended(&hub, &["clear", "x"]), (Some(1), vec![], vec![told.clone()]));
    hub.send(&["x", "2"]);
    assert_eq!(ended(&hub, &["clear", "x"]), (Some(1), vec!["nanostate x cleared".into()], vec![told]));
    assert_eq!(ended(&hub, &["get", "x"]), (Some(0), vec!["1".into()], vec![]));
}

#[test]
fn clear_needs_a_hub_a_name_and_the_right_to_publish() {
    let none = run(nanostate(["clear", "x", "--timeout", "0.2", "--connect", &TempDir::new().ipc()]), b"");
    assert!(none.code == Some(1) && none.stdout.is_empty(), "{none:?}");
    let hub = CliHub::start();
    for wrong in [&["clear", ""][..], &["clear", "$ns/x"], &["clear", "x", "--sender", ""], &["clear"]] {
        assert_eq!(ended(&hub, wrong).0, Some(2), "{wrong:?}");
    }
    let dir = TempDir::new();
    let file = dir.path().join("tokens");
    let (reader, writer) = ("the-token-of-the-panel", "the-token-of-the-robot");
    std::fs::write(&file, format!("panel read {reader}\nrobot read-write {writer}\n")).unwrap();
    let hub = CliHub::start_with([
        "--listen".as_ref(),
        "tcp://127.0.0.1:0".as_ref(),
        "--token-file".as_ref(),
        file.as_os_str(),
    ]);
    hub.send(&["x", "1", "--token", writer]);
    let (code, lines, told) = ended(&hub, &["clear", "x", "--token", reader]);
    assert_eq!((code, lines), (Some(1), vec![]));
    assert_eq!(told, ["nanostate: \"x\" is not withdrawn: its token is for reading only"]);
    assert_eq!(ended(&hub, &["clear", "x", "--token", writer]).0, Some(0));
}

#[test]
fn a_command_that_looks_is_sent_the_names_that_it_asks_for_and_no_others() {
    let mut hub = CliHub::start();
    let sender = app("sender", &hub.url);
    for name in ["x/1", "x/2", "y", "y*"] {
        sender.send(name, Value::Text(name)).unwrap();
    }
    sender.flush(Some(PATIENCE)).unwrap();
    let subscribes = |hub: &mut CliHub, patterns: usize| {
        let line = hub.process.next_error_line("who subscribes", |line| line.contains(" subscribes to "));
        assert!(line.ends_with(&format!(" subscribes to {patterns} more patterns")), "{line}");
    };
    for (arguments, printed, patterns) in [
        (&["get", "x/1"][..], &["x/1"][..], 1),
        (&["get", "y*"], &["y*"], 1),
        (&["watch", "x/*", "--retained"], &["sender x/1 x/1", "sender x/2 x/2"], 1),
        (&["watch", "x/1", "y", "--retained"], &["sender x/1 x/1", "sender y y"], 2),
    ] {
        let (code, mut lines, told) = ended(&hub, arguments);
        lines.sort();
        assert!(code == Some(0) && told.is_empty(), "{arguments:?}: {told:?}");
        assert_eq!(lines, printed, "{arguments:?}");
        subscribes(&mut hub, patterns);
    }
    let (code, lines, _) = ended(&hub, &["list", "x/2"]);
    assert!(code == Some(0) && lines.len() == 2 && lines[1].starts_with("x/2 "), "{lines:?}");
    subscribes(&mut hub, 1);
    assert_eq!(ended(&hub, &["watch", "--retained"]).1.len(), 4);
    // More patterns than an app may have, and a name that is no pattern.
    let many: Vec<_> = (0..1100).map(|n| format!("x/{n}")).collect();
    let many: Vec<_> = ["watch", "--retained"].into_iter().chain(many.iter().map(String::as_str)).collect();
    assert_eq!(ended(&hub, &many).1.len(), 2);
    let odd = format!("**/{}**", "a/".repeat(9));
    sender.send(&odd, Value::Int(7)).unwrap();
    sender.flush(Some(PATIENCE)).unwrap();
    assert_eq!(ended(&hub, &["get", &odd]).1, ["7"]);
}
