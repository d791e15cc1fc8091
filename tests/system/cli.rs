//! The command `nanostate`, as processes.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use crate::support::{complaints, nanostate, run, CliHub, Ended, Process, TempDir, Transport, PATIENCE};
use nanostate::HubOption;
use serde_json::{json, Value};

/// The one complaint of a program that ended with `code`.
fn complaint(ended: &Ended, code: i32) -> &str {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    match &ended.stderr[..] {
        [line] => line.strip_prefix("nanostate: ").unwrap_or_else(|| panic!("{ended:?}")),
        _ => panic!("not one line: {ended:?}"),
    }
}

#[test]
fn a_hub_tells_its_addresses_and_stops_cleanly_by_either_signal() {
    let dir = TempDir::new();
    for signal in ["TERM", "INT"] {
        let socket = dir.path().join("hub");
        let url = format!("ipc://{}", socket.display());
        let mut hub = CliHub::start_with(["-b", "tcp://127.0.0.1:0", "--listen", &url]);
        assert!(hub.url.starts_with("tcp://127.0.0.1:") && !hub.url.ends_with(":0"), "{}", hub.url);
        assert_eq!(hub.process.next_line(), format!("listening on {url}"));
        assert!(fs::metadata(&socket).is_ok());
        let ended = hub.process.stop(signal);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(fs::metadata(&socket).is_err(), "the hub left its socket behind");
    }
}

#[test]
fn a_hub_on_a_busy_address_says_so() {
    let hub = CliHub::start();
    let ended = run(nanostate(["hub", "--listen", &hub.url]), b"");
    assert_eq!(complaint(&ended, 1), format!("address in use: {}", hub.url));
}

#[test]
fn a_hub_gives_its_socket_the_mode_that_was_asked_for() {
    let dir = TempDir::new();
    for (arguments, mode) in [(&[][..], 0o600), (&["--ipc-mode", "0660"], 0o660)] {
        let socket = dir.path().join("hub");
        let url = format!("ipc://{}", socket.display());
        let hub = CliHub::start_with(arguments.iter().copied().chain(["--listen", &url]));
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, mode);
        drop(hub.process.stop("TERM"));
    }
}

#[test]
fn a_hub_logs_who_comes_and_goes_with_the_time() {
    let mut hub = CliHub::start();
    hub.send(&["x", "1", "--as", "visitor\nforged"]);
    let line = hub.process.next_error_line_with("joined");
    // 2025-01-31T12:00:00.000Z info  visitor (127.0.0.1:40000) joined
    let digits: String = line.chars().take(24).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(digits, "0000-00-00T00:00:00.000Z", "{line}");
    assert!(line[24..].starts_with(" info  visitor\\nforged (") && line.ends_with(") joined"), "{line}");
    let line = hub.process.next_error_line_with(") left");
    assert!(line.contains("visitor\\nforged ("), "{line}");
    let ended = hub.process.stop("TERM");
    assert!(ended.stderr.iter().any(|line| line.contains(" messages in, ")), "{ended:?}");
}

#[test]
fn a_hub_says_as_little_as_it_is_told_to() {
    let hub = CliHub::start_with(["--listen", "tcp://127.0.0.1:0", "--log", "off"]);
    hub.send(&["x", "1"]);
    assert!(hub.process.stop("TERM").stderr.is_empty());
}

#[test]
fn every_type_arrives_as_it_was_sent() {
    let hub = CliHub::start();
    let largest = u64::MAX.to_string();
    for (name, arguments, input, shown, kind, data) in [
        ("text", &["21.5"][..], &b""[..], "21.5", "text", json!("21.5")),
        ("words", &["two words"], b"", "two words", "text", json!("two words")),
        ("empty", &[""], b"", r#""""#, "text", json!("")),
        (
            "hidden",
            &["\u{3164}\u{ad}\u{e0041}"],
            b"",
            r#""\u3164\u00ad\U000e0041""#,
            "text",
            json!("\u{3164}\u{ad}\u{e0041}"),
        ),
        ("lines", &["a\n\x1b[2Jb"], b"", r#""a\n\x1b[2Jb""#, "text", json!("a\n\x1b[2Jb")),
        ("input", &["-"], b"a line\n", r#""a line\n""#, "text", json!("a line\n")),
        ("dash", &["--", "--type"], b"", "--type", "text", json!("--type")),
        ("bytes", &["-", "--type", "bytes"], b"\x00\xff", "0x00ff", "bytes", json!("AP8=")),
        ("line", &["abc", "--type", "bytes"], b"", "abc", "bytes", json!("YWJj")),
        ("int", &["-5", "--type", "int"], b"", "-5", "int", json!(-5)),
        ("int-input", &["-", "--type", "int"], b"42\n", "42", "int", json!(42)),
        ("uint", &[&largest, "--type", "int"], b"", &largest, "uint", json!(u64::MAX)),
        ("double", &["2", "--type", "double"], b"", "2.0", "double", json!(2.0)),
        ("infinite", &["-inf", "--type", "double"], b"", "-inf", "double", Value::Null),
        ("small", &["-1.5e-9", "--type", "double"], b"", "-1.5e-9", "double", json!(-1.5e-9)),
        ("bool", &["true", "--type", "bool"], b"", "true", "bool", json!(true)),
        ("nil", &["--type", "nil"], b"", "nil", "nil", Value::Null),
        ("array", &["[1, \"a\"]", "--type", "json"], b"", r#"[1,"a"]"#, "array", json!([1, "a"])),
        (
            "map",
            &["{\"a\":{\"b\":null}}", "--type", "json"],
            b"",
            r#"{"a":{"b":null}}"#,
            "map",
            json!({"a": {"b": null}}),
        ),
        ("json-text", &["\"\\u009b\"", "--type", "json"], b"", r#""\u009b""#, "text", json!("\u{9b}")),
    ] {
        hub.send_input(&[&[name], arguments].concat(), input);
        assert_eq!(hub.watched(&[name, "--count", "1"]), [format!("nanostate {name} {shown}")]);
        let lines = hub.watched(&[name, "--count", "1", "--json"]);
        let mut state: Value = serde_json::from_str(&lines[0]).unwrap_or_else(|error| panic!("{error}: {lines:?}"));
        assert!(!lines[0].contains(|c: char| c.is_control()), "{lines:?}");
        // Milliseconds since 1970: between 2020 and 2100.
        let time = state["time"].take().as_i64().unwrap();
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&time), "{time}");
        let whole =
            json!({"sender": "nanostate", "name": name, "kind": kind, "time": null, "retained": true, "data": data});
        assert_eq!(state, whole);
    }
}

#[test]
fn what_others_send_can_not_forge_a_line_or_a_column() {
    let hub = CliHub::start();
    hub.send(&["a name", "\u{9b}31m\u{202e}", "--as", "x\ny 1"]);
    assert_eq!(hub.watched(&["--count", "1"]), [r#""x\ny 1" "a name" "\u009b31m\u202e""#]);
}

#[test]
fn watch_shows_states_as_they_come_and_ends_cleanly_by_a_signal() {
    let mut hub = CliHub::start();
    for signal in ["TERM", "INT"] {
        let mut watch = hub.watch(&[]);
        hub.send(&[signal, "1"]);
        watch.next_line_with(&format!("nanostate {signal} 1"));
        let ended = watch.stop(signal);
        assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
    }
}

#[test]
fn watch_that_is_stopped_before_its_count_says_so_by_its_exit_code() {
    let mut hub = CliHub::start();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let ended = hub.watch(&["--count", "1"]).stop(signal);
        assert!(ended.code == Some(code) && ended.stdout.is_empty(), "{ended:?}");
    }
}

#[test]
fn watch_shows_what_matches_a_pattern_and_nothing_else() {
    let hub = CliHub::start();
    for name in ["b/y", "a/z/1", "a/x", "ab", "a"] {
        hub.send(&[name, "1"]);
    }
    for (patterns, names) in [
        (&["a/*"][..], &["a/x"][..]),
        (&["a/**"], &["a", "a/x", "a/z/1"]),
        (&["**/1", "*/y"], &["a/z/1", "b/y"]),
        (&["a*"], &["a", "ab"]),
        (&["a/x", "a/x", "**/x"], &["a/x"]),
        (&[], &["a", "a/x", "a/z/1", "ab", "b/y"]),
    ] {
        let count = names.len().to_string();
        let mut lines = hub.watched(&[patterns, &["--count", &count]].concat());
        lines.sort();
        assert_eq!(lines, names.iter().map(|name| format!("nanostate {name} 1")).collect::<Vec<_>>());
    }
}

#[test]
fn watch_ends_quietly_when_nobody_reads_it_any_more() {
    let mut hub = CliHub::start();
    let mut command = hub.nanostate(["watch"]);
    let mut watch = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    hub.joined_by("watch", watch.id());
    hub.send(&["first", "1"]);
    // As `| head -1` does.
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "nanostate first 1\n");
    let end = Instant::now() + PATIENCE;
    while watch.try_wait().unwrap().is_none() && Instant::now() < end {
        hub.send(&["next", "1"]);
    }
    let _ = watch.kill();
    let ended = watch.wait_with_output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap().lines().map(str::to_owned).collect();
    let ended = Ended { code: ended.status.code(), stdout: Vec::new(), stderr };
    assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
}

#[test]
fn watch_waits_for_a_hub_and_says_so_once() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut watch = Process::spawn(nanostate(["watch", "--connect", &url, "--count", "1"]));
    let complaint = watch.next_error_line_with("waiting for the hub");
    assert!(complaint.starts_with("nanostate: ") && complaint.contains(&url), "{complaint}");
    let hub = CliHub::start_with(["--listen", &url]);
    hub.send(&["x", "1"]);
    assert_eq!(watch.next_line(), "nanostate x 1");
    let ended = watch.wait();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stderr, ["nanostate: connected"]);
}

#[test]
fn watch_goes_on_when_the_hub_was_killed_and_is_back() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut hub = CliHub::start_with(["--listen", &url]);
    let mut watch = hub.watch(&["--count", "2"]);
    hub.send(&["before", "1"]);
    assert_eq!(watch.next_line(), "nanostate before 1");
    hub.process.stop("KILL");
    watch.next_error_line_with("connecting again");
    let hub = CliHub::start_with(["--listen", &url]);
    watch.next_error_line_with("nanostate: connected");
    hub.send(&["after", "2"]);
    assert_eq!(watch.next_line(), "nanostate after 2");
    assert_eq!(watch.wait().code, Some(0));
}

#[test]
fn send_without_a_hub_fails_with_the_reason() {
    let dir = TempDir::new();
    let url = Transport::Tcp.free(&dir);
    let ended = run(nanostate(["send", "x", "1", "--timeout", "5", "--connect", &url]), b"");
    let complaint = complaint(&ended, 1);
    assert!(complaint.contains("connection refused") && complaint.contains(&url), "{complaint}");
}

/// The address of a hub of the original's kind, and the bodies that it gets.
pub fn old_hub() -> (String, mpsc::Receiver<Vec<u8>>) {
    const HEADER: [u8; 8] = *b"\0SP\0\0\x70\0\0";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let (sender, bodies) = mpsc::channel();
    let serve = move |mut link: TcpStream| -> io::Result<()> {
        link.write_all(&HEADER)?;
        let mut eight = [0; 8];
        link.read_exact(&mut eight)?;
        assert_eq!(eight[..6], HEADER[..6]);
        loop {
            link.read_exact(&mut eight)?;
            let mut body = vec![0; u64::from_be_bytes(eight).try_into().unwrap()];
            link.read_exact(&mut body)?;
            let _ = sender.send(body);
        }
    };
    thread::spawn(move || {
        for link in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(link.unwrap()));
        }
    });
    (url, bodies)
}

#[test]
fn send_to_an_old_hub_sends_text_and_refuses_what_would_crash_it() {
    let (url, bodies) = old_hub();
    let mut command = nanostate(["send", "x", "21.5", "--connect", &url, "--timeout", "50"]);
    assert_eq!(run(command, b"").code, Some(0));
    assert_eq!(bodies.recv_timeout(PATIENCE).unwrap(), b"\x93\xa9nanostate\xa1x\xa421.5");
    for (kind, value) in [("int", "5"), ("json", "[1]"), ("nil", "nil")] {
        command = nanostate(["send", "x", value, "--type", kind, "--connect", &url, "--timeout", "20"]);
        let ended = run(command, b"");
        let complaint = complaint(&ended, 1);
        assert!(complaint.starts_with(&format!("the hub does not accept this {kind}")), "{complaint}");
    }
    assert!(bodies.try_recv().is_err());
}

#[test]
fn a_wrong_command_line_is_named_and_ends_with_2() {
    let long = "x".repeat(1025);
    for (arguments, words) in [
        (&["send", "x"][..], "VALUE is missing"),
        (&["send", "x", "warm", "--type", "double"], "expected a number, not \"warm\""),
        (&["send", "x", "1.5", "--type", "int"], "expected a 64-bit integer, not \"1.5\""),
        (&["send", "x", "yes", "--type", "bool"], "expected true or false, not \"yes\""),
        (&["send", "x", "--typ=nil"], "--typ=nil"),
        (&["send", "x", "-v"], "-v"),
        (&["send", "", "1"], "name"),
        (&["send", "$ns/x", "1"], "$ns/x"),
        (&["send", &long, "1"], "1024"),
        (&["send", "x", "1", "--as", ""], "identity"),
        (&["send", "x", "[1,", "--type", "json"], "offset"),
        (&["send", "x", "1", "--connect", "nowhere"], "nowhere"),
        (&["watch", "--connect", "tcp://127.0.0.1"], "tcp://127.0.0.1"),
        (&["watch", ""], "pattern is empty"),
        (&["hub", "--listen", "smoke://signals"], "smoke://signals"),
        (&["hub", "--listen", "tcp://127.0.0.1:99999"], "99999"),
    ] {
        // With a hub where one is needed to get as far.
        let hub = CliHub::start();
        let mut command = nanostate(arguments);
        command.env("NANOSTATE_URL", &hub.url);
        let ended = run(command, b"");
        let complaint = complaint(&ended, 2);
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

#[test]
fn options_that_do_not_exist_end_with_2_and_a_hint() {
    for arguments in [
        &["send", "x", "1", "--type", "number"][..],
        &["send", "x", "1", "--timeout", "-1"],
        &["watch", "--count", "0"],
        &["hub", "--ipc-mode", "0888"],
        &["hub", "--ipc-mode", "1777"],
        &["hub", "--max-peers", "0"],
        &["hub", "--outbox", "4MB"],
        &["hub", "--handshake", "5000"],
        &["hub", "--log", "loud"],
        &["listen"],
        &[],
    ] {
        let ended = run(nanostate(arguments), b"");
        assert!(
            ended.code == Some(2) && ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{arguments:?}: {ended:?}"
        );
        assert!(arguments.is_empty() || ended.stderr[0].starts_with("nanostate: "), "{ended:?}");
    }
}

#[test]
fn standard_input_that_is_not_the_type_is_a_failure() {
    let hub = CliHub::start();
    for (arguments, input, words) in [
        (&["x", "-"][..], &b"ab\xff"[..], "not valid UTF-8 at byte 2"),
        (&["x", "-", "--type", "int"], b"five\n", "not \"five\""),
        (&["x", "-", "--type", "json"], b"{", "offset"),
        (&["x", "-", "--type", "bytes"], &vec![0; (16 << 20) + 1], "16777216"),
    ] {
        let mut command = hub.nanostate(["send", "--timeout", "50"]);
        command.args(arguments);
        let ended = run(command, input);
        let complaint = complaint(&ended, 1);
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

#[test]
fn arguments_that_are_not_text_are_sent_as_bytes_only() {
    let hub = CliHub::start();
    let value = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let mut command = hub.nanostate(["send", "x", "--type", "bytes", "--timeout", "50"]);
    command.arg(value);
    assert_eq!(run(command, b"").code, Some(0));
    assert_eq!(hub.watched(&["--count", "1"]), ["nanostate x 0xfffe"]);
    let mut command = hub.nanostate(["send", "x"]);
    command.arg(value);
    assert!(complaint(&run(command, b""), 2).contains("not valid UTF-8"));
}

#[test]
fn the_environment_names_the_hub() {
    let hub = CliHub::start();
    for arguments in [&["send", "x", "1", "--timeout", "50"][..], &["watch", "--count", "1"]] {
        let mut command = nanostate(arguments);
        command.env("NANOSTATE_URL", &hub.url);
        assert_eq!(run(command, b"").code, Some(0));
    }
}

#[test]
fn many_runs_send_under_one_identity_at_once() {
    let hub = CliHub::start();
    let runs: Vec<_> =
        (0..8).map(|i| Process::spawn(hub.nanostate(["send", &format!("run/{i}"), "1", "--timeout", "50"]))).collect();
    for run in runs {
        let ended = run.wait();
        assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    }
    assert_eq!(hub.watched(&["run/*", "--count", "8"]).len(), 8);
}

#[test]
fn every_option_of_the_hub_has_a_flag_in_a_group_of_the_help() {
    let help = run(nanostate(["hub", "--help"]), b"").stdout;
    for option in HubOption::ALL {
        let name = option.about().name.strip_prefix("NS_OPT_HUB_").unwrap().to_lowercase().replace('_', "-");
        let flag = format!("--{}", name.strip_suffix("-ms").unwrap_or(&name));
        let line = help.iter().position(|line| line.split_whitespace().next() == Some(&flag));
        let line = line.unwrap_or_else(|| panic!("{flag}: {help:#?}"));
        // The help names flags where the text names options.
        let begin = option.about().text.split("NS_OPT_").next().unwrap();
        let told = help[line..].iter().take(4).any(|line| line.contains(begin) && !line.contains("NS_OPT_"));
        assert!(told, "{flag}: {help:#?}");
    }
    for heading in ["Limits:", "Kept states:", "Old programs:"] {
        assert!(help.iter().any(|line| line == heading), "{heading} {help:#?}");
    }
    // The manual page and the completions are made of the same.
    let dir = TempDir::new();
    assert_eq!(run(nanostate(["man", dir.path().to_str().unwrap()]), b"").code, Some(0));
    let page = fs::read_to_string(dir.path().join("nanostate-hub.1")).unwrap().replace('\\', "");
    let completions = run(nanostate(["completions", "bash"]), b"").stdout.concat();
    for text in [&page, &completions] {
        assert!(text.contains("--table-bytes") && text.contains("--departed"), "{text}");
    }
}

#[test]
fn an_error_of_the_system_is_told_in_its_words() {
    let ended = run(nanostate(["man", "/dev/null"]), b"");
    let complaint = complaint(&ended, 1);
    assert!(complaint.contains("Not a directory") && !complaint.contains("os error"), "{complaint}");
}

#[test]
fn flags_of_the_hub_set_its_options() {
    let hub = CliHub::start_with(["--listen", "tcp://127.0.0.1:0", "--max-message", "1KiB", "--stalled-frame", "24h"]);
    assert_eq!(run(hub.nanostate(["send", "x", &"x".repeat(900), "--timeout", "50"]), b"").code, Some(0));
    let ended = run(hub.nanostate(["send", "x", &"x".repeat(2000), "--timeout", "50"]), b"");
    assert!(complaint(&ended, 1).contains("1024"), "{ended:?}");
    let ended = run(nanostate(["hub", "--outbox", "2GiB"]), b"");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr[0].contains("'2GiB' for '--outbox <SIZE>': expected 1B to 1GiB"), "{ended:?}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [
        &["--help"][..],
        &["hub", "--help"],
        &["send", "--help"],
        &["watch", "--help"],
        &["get", "--help"],
        &["list", "--help"],
        &["peers", "--help"],
        &["--version"],
    ] {
        let ended = run(nanostate(arguments), b"");
        assert!(ended.code == Some(0) && !ended.stdout.is_empty() && ended.stderr.is_empty(), "{ended:?}");
    }
    let version = run(nanostate(["--version"]), b"");
    assert_eq!(version.stdout, [concat!("nanostate ", env!("CARGO_PKG_VERSION"))]);
}
