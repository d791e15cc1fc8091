//! `nanostate send --stdin`: a state for each line.

use std::process::Command;

use crate::support::{self, app, hub, nanostate, receive, run, CliHub, Process, TempDir, PATIENCE};

/// `send --stdin` at this hub, with time enough for a machine that does other things as well.
fn send(hub: &CliHub, arguments: &[&str]) -> Command {
    let mut command = hub.nanostate(["send", "--stdin", "--timeout", "50"]);
    command.args(arguments);
    command
}

/// What the hub holds, as `watch` prints it.
fn held(hub: &CliHub) -> Vec<String> {
    let mut lines = hub.watched(&["--retained"]);
    lines.sort();
    lines
}

#[test]
fn each_line_is_sent_as_a_state() {
    let hub = CliHub::start();
    let input = "a/x 21.5\n\n  b two  words\n\"c d\" \"quoted\"\ne \na/x newer\nlast 1";
    let ended = run(send(&hub, &[]), input.as_bytes());
    assert!(ended.code == Some(0) && ended.stdout.is_empty() && ended.stderr.is_empty(), "{ended:?}");
    let expected = [
        r#"nanostate "c d" "\"quoted\"""#,
        "nanostate a/x newer",
        "nanostate b two  words",
        "nanostate e \"\"",
        "nanostate last 1",
    ];
    assert_eq!(held(&hub), expected);
}

#[test]
fn all_lines_have_the_type_that_was_asked_for() {
    for (kind, input, shown) in [
        ("int", &b"x 5\n"[..], "nanostate x 5"),
        ("double", b"x  2 \r\n", "nanostate x 2.0"),
        ("json", b"x {\"a\": [1, 2]}\n", r#"nanostate x {"a":[1,2]}"#),
        ("bytes", b"x \xff\0\n", "nanostate x 0xff00"),
        ("nil", b"x\n", "nanostate x nil"),
        ("bool", b"x true\n", "nanostate x true"),
    ] {
        let hub = CliHub::start();
        let ended = run(send(&hub, &["--type", kind]), input);
        assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{kind}: {ended:?}");
        assert_eq!(held(&hub), [shown]);
    }
}

#[test]
fn a_bad_line_is_named_by_its_number_and_the_others_are_sent() {
    let hub = CliHub::start_with(["--listen", "tcp://127.0.0.1:0", "--max-message", "1KiB"]);
    let long = "9".repeat(2000);
    let input = format!("x 1\n\ny warm\n$ns/z 1\nw\nbig \"{long}\"\n\"v 1\nz 2\n");
    let ended = run(send(&hub, &["--type", "json", "--as", "someone"]), input.as_bytes());
    assert!(ended.code == Some(1) && ended.stdout.is_empty(), "{ended:?}");
    let faults = ["line 3: ", "line 4: ", "line 5: VALUE is missing", "line 6: ", "line 7: the name in quotes"];
    for (line, fault) in ended.stderr.iter().zip(faults) {
        assert!(line.starts_with(&format!("nanostate: {fault}")), "{ended:?}");
    }
    assert_eq!(ended.stderr[faults.len()..], ["nanostate: 5 lines were not sent"]);
    assert_eq!(held(&hub), ["someone x 1", "someone z 2"]);
}

#[test]
fn a_line_is_sent_before_the_next_one_comes() {
    let mut hub = CliHub::start();
    let mut watch = hub.watch(&[]);
    let mut send = Process::spawn(send(&hub, &["--type", "int"]));
    for i in 0..3 {
        send.tell(&format!("x {i}"));
        assert_eq!(watch.next_line(), format!("nanostate x {i}"));
    }
    assert_eq!(send.wait().code, Some(0));
}

#[test]
fn many_lines_arrive() {
    let hub = CliHub::start();
    let input: String = (0..20_000).map(|i| format!("many/{i} {i}\n")).collect();
    let ended = run(send(&hub, &["--type", "int"]), input.as_bytes());
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    assert_eq!(held(&hub).len(), 20_000);
}

#[test]
fn a_signal_ends_it_while_it_waits_for_a_line_and_what_was_sent_stays() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut hub = CliHub::start();
        let mut watch = hub.watch(&[]);
        let mut send = Process::spawn(send(&hub, &[]));
        send.tell("x 1");
        watch.next_line_with("nanostate x 1");
        // Its input stays open until it has ended.
        send.signal(signal);
        assert_eq!(send.ended().code(), Some(code));
        assert_eq!(held(&hub), ["nanostate x 1"]);
    }
}

#[test]
fn without_a_hub_or_with_both_inputs_it_fails() {
    let url = TempDir::new().ipc();
    let ended = run(nanostate(["send", "--stdin", "--timeout", "0.2", "--connect", &url]), b"x 1\n");
    assert!(ended.code == Some(1) && ended.stderr.concat().contains(&url), "{ended:?}");
    for arguments in [&["send", "--stdin", "x", "1"][..], &["send"]] {
        let ended = run(nanostate(arguments), b"");
        assert!(ended.code == Some(2) && ended.stderr.concat().contains("NAME"), "{ended:?}");
    }
}

#[test]
fn states_that_the_hub_does_not_take_are_counted() {
    let hub = CliHub::start_with(["--listen", "tcp://127.0.0.1:0", "--table-states", "4"]);
    // One sender may have half of the table.
    let ended = run(send(&hub, &[]), b"a 1\nb 1\nc 1\n");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stderr, ["nanostate: 1 states were not taken by the hub"]);
    assert_eq!(held(&hub), ["nanostate a 1", "nanostate b 1"]);
}

#[test]
fn what_others_publish_is_not_sent_to_it_and_is_not_counted_as_withheld_from_it() {
    let (hub, url) = hub("tcp://127.0.0.1:0");
    let other = app("other", &url);
    for n in 0..100 {
        support::send(&other, &n.to_string(), "x");
    }
    other.flush(Some(PATIENCE)).unwrap();
    let ended = run(nanostate(["send", "--timeout", "50", "x", "1", "--connect", &url]), b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(receive(&other, "nanostate", "x").text().unwrap(), "1");
    assert_eq!(hub.stats().withheld, 0);
}
