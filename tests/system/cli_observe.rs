//! The commands that look at a hub and leave nothing there: `get`, `list`, `watch`, and `peers` with them.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nanostate::{App, Hub, Value};
use serde_json::{json, Value as Json};

use crate::support::{app, complaints, nanostate, run, until, CliHub, Ended, Process, TempDir, Transport, PATIENCE};

/// What a command printed that succeeded without a complaint.
fn printed(command: Command) -> Vec<String> {
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
    ended.stdout
}

/// The one complaint of a command that printed nothing and ended with `code`.
fn complaint(ended: &Ended, code: i32) -> &str {
    assert!(ended.code == Some(code) && ended.stdout.is_empty(), "{ended:?}");
    match &complaints(ended)[..] {
        [line] => line.strip_prefix("nanostate: ").unwrap_or_else(|| panic!("{ended:?}")),
        _ => panic!("not one line: {ended:?}"),
    }
}

/// A command at this hub, with time enough for a machine that does other things as well.
fn patient(hub: &CliHub, arguments: &[&str]) -> Command {
    let mut command = hub.nanostate(arguments);
    command.args(["--timeout", "50"]);
    command
}

/// The bytes that a command prints.
fn bytes(mut command: Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn sender(hub: &CliHub, identity: &str, states: &[(&str, Value<'_>)]) -> App {
    let app = app(identity, &hub.url);
    states.iter().for_each(|(name, value)| app.send(name, *value).unwrap());
    app.flush(Some(PATIENCE)).unwrap();
    app
}

#[test]
fn get_prints_the_newest_value_of_a_name() {
    let hub = CliHub::start();
    let names = [("x", Value::Text("old")), ("y", Value::Double(2.0)), ("x/z", Value::Text("another name"))];
    let _old = sender(&hub, "old", &names);
    let _new = sender(&hub, "new", &[("x", Value::Text("a\nb"))]);
    for (arguments, lines) in [
        (&["x"][..], &[r#""a\nb""#][..]),
        (&["x", "--sender", "old"], &["old"]),
        (&["y"], &["2.0"]),
        (&["x", "--wait"], &[r#""a\nb""#]),
        (&["x", "--raw"], &["a", "b"]),
        (&["y", "--raw"], &["2.0"]),
    ] {
        assert_eq!(printed(patient(&hub, &[&["get"], arguments].concat())), lines, "{arguments:?}");
    }
    let lines = printed(patient(&hub, &["get", "x", "--json"]));
    let mut state: Json = serde_json::from_str(&lines[0]).unwrap();
    assert!(state["time"].take().is_i64(), "{lines:?}");
    let whole = json!({"sender": "new", "name": "x", "kind": "text", "time": null, "retained": true, "data": "a\nb"});
    assert_eq!(state, whole);
}

#[test]
fn get_prints_raw_texts_and_bytes_as_they_are() {
    let hub = CliHub::start();
    let values = [("text", Value::Text("a\x1b\n")), ("bytes", Value::Bytes(b"\0\xff\n")), ("int", Value::Int(-3))];
    let _sender = sender(&hub, "sender", &values);
    for (name, raw) in [("text", &b"a\x1b\n"[..]), ("bytes", b"\0\xff\n"), ("int", b"-3")] {
        assert_eq!(bytes(patient(&hub, &["get", name, "--raw"])), raw);
    }
    assert_eq!(bytes(patient(&hub, &["get", "bytes"])), b"0x00ff0a\n");
}

#[test]
fn get_of_a_name_that_the_hub_does_not_hold_ends_with_1() {
    let hub = CliHub::start();
    let _sender = sender(&hub, "sender", &[("x/y", Value::Int(1)), ("z", Value::Int(2))]);
    for (arguments, words) in [
        (&["x"][..], "the hub holds no state \"x\""),
        (&["x/*"], "the hub holds no state \"x/*\""),
        (&["z", "--sender", "nobody\n"], "the hub holds no state \"z\" of \"nobody\\n\""),
    ] {
        let ended = run(patient(&hub, &[&["get"], arguments].concat()), b"");
        assert_eq!(complaint(&ended, 1), words);
    }
}

#[test]
fn get_waits_for_a_state_and_for_a_hub() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut get = Process::spawn(nanostate(["get", "x", "--wait", "--sender", "b", "--connect", &url]));
    get.next_error_line_with("waiting for the hub");
    let mut hub = CliHub::start_with(["--listen", &url]);
    hub.joined_by("get", get.id());
    hub.send(&["x", "of another", "--as", "a"]);
    let b = sender(&hub, "b", &[("other", Value::Int(1))]);
    // What is withdrawn is no state.
    b.clear("x").unwrap();
    b.flush(Some(PATIENCE)).unwrap();
    b.send("x", Value::Text("it")).unwrap();
    assert_eq!(get.next_line(), "it");
    let ended = get.wait();
    assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
    let ended = run(nanostate(["get", "no", "--wait", "--timeout", "0.1", "--connect", &url]), b"");
    assert!(complaint(&ended, 1).contains("timed out"), "{ended:?}");
}

#[test]
fn get_and_list_find_what_is_wanted_among_many_states() {
    let hub = CliHub::start();
    let many = app("many", &hub.url);
    for i in 0..10_000 {
        many.send(&format!("many/{i}"), Value::Int(i)).unwrap();
    }
    many.flush(Some(PATIENCE)).unwrap();
    assert_eq!(printed(patient(&hub, &["get", "many/7654"])), ["7654"]);
    assert_eq!(printed(patient(&hub, &["list", "many/**"])).len(), 10_001);
}

#[test]
fn list_shows_each_state_once_sorted_by_name_and_sender() {
    let hub = CliHub::start();
    let a = [("x/é", Value::Text("four")), ("a b", Value::Bytes(&[0; 2048])), ("n", Value::Nil)];
    let _a = sender(&hub, "one", &a);
    let _b = sender(&hub, "another", &[("n", Value::Uint(300)), ("x/1/2", Value::Bool(true))]);
    let table = |arguments: &[&str]| -> Vec<Vec<String>> {
        let lines = printed(patient(&hub, &[&["list"], arguments].concat()));
        lines
            .iter()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect())
            .collect()
    };
    let whole = table(&[]);
    let ages: Vec<_> = whole[1..].iter().map(|row| row[3].clone()).collect();
    assert!(ages.iter().all(|age| age.starts_with(|c: char| c.is_ascii_digit())), "{ages:?}");
    let without_ages: Vec<_> = whole.iter().map(|row| [&row[..3], &row[4..]].concat().join("|")).collect();
    let expected = [
        "NAME|KIND|SIZE|STALE|SENDER",
        "\"a b\"|bytes|2.0KiB|-|one",
        "n|int|3B|-|another",
        "n|nil|1B|-|one",
        "x/1/2|bool|1B|-|another",
        "x/é|text|4B|-|one",
    ];
    assert_eq!(without_ages, expected);
    let names = |arguments: &[&str]| -> Vec<String> {
        table(arguments).iter().skip(1).map(|row| format!("{} {}", row[0], row[5])).collect()
    };
    assert_eq!(names(&["x/*"]), ["x/é one"]);
    assert_eq!(names(&["x/**", "n", "--sender", "another"]), ["n another", "x/1/2 another"]);
    assert!(table(&["nothing/*"]).is_empty());
}

#[test]
fn list_prints_a_json_object_a_line() {
    let hub = CliHub::start();
    let _sender = sender(&hub, "a\u{9b}", &[("x", Value::Text("käse")), ("y", Value::Double(1.5))]);
    let lines = printed(patient(&hub, &["list", "--json"]));
    let mut states: Vec<Json> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.concat().contains(|c: char| c.is_control()), "{lines:?}");
    for state in &mut states {
        let (time, age) = (state["time"].take().as_i64().unwrap(), state["age"].take().as_i64().unwrap());
        // Both in milliseconds: it is from this century, and not older than this test may take.
        assert!(time > 1_577_836_800_000 && (0..3_600_000).contains(&age), "{time} {age}");
    }
    let expected = [
        json!({"name": "x", "kind": "text", "size": 5, "time": null, "age": null, "stale": false, "sender": "a\u{9b}"}),
        json!({"name": "y", "kind": "double", "size": 9, "time": null, "age": null, "stale": false, "sender": "a\u{9b}"}),
    ];
    assert_eq!(states, expected);
}

#[test]
fn list_shows_as_stale_what_programs_left_that_are_gone_once_the_hub_can_tell() {
    let hub = CliHub::start();
    hub.send(&["left", "1"]);
    let _stays = sender(&hub, "stays", &[("x", Value::Int(1))]);
    // A hub that was just started does not know who is on the way to it.
    let deadline = Instant::now() + PATIENCE;
    let lines = loop {
        let lines = printed(patient(&hub, &["list", "--json"]));
        if lines[0].contains(r#""stale":true,"sender":"nanostate""#) {
            break printed(patient(&hub, &["list"]));
        }
        assert!(Instant::now() < deadline, "{lines:?}");
    };
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let stale: Vec<_> = lines[1..].iter().map(|line| cells(line)).map(|row| [&*row[0], &*row[4]].join(" ")).collect();
    assert_eq!(stale, ["left yes", "x -"]);
}

#[test]
fn watch_prints_only_what_the_hub_holds_and_ends() {
    let hub = CliHub::start();
    let states = [("x", Value::Int(1)), ("y", Value::Int(2))];
    let _sender = sender(&hub, "sender", &states);
    let _other = sender(&hub, "other", &states);
    let watched = |arguments: &[&str]| {
        let mut lines = printed(patient(&hub, &[&["watch", "--retained"], arguments].concat()));
        lines.sort();
        lines
    };
    assert_eq!(watched(&[]), ["other x 1", "other y 2", "sender x 1", "sender y 2"]);
    assert_eq!(watched(&["y", "--sender", "sender"]), ["sender y 2"]);
    assert_eq!(watched(&["--count", "1", "--sender", "other"]).len(), 1);
    assert!(watched(&["nothing"]).is_empty());
    let lines = watched(&["x", "--sender", "other", "--json"]);
    assert!(lines[0].contains(r#","retained":true,"#), "{lines:?}");
}

#[test]
fn watch_prints_only_what_is_published_from_now_on() {
    let mut hub = CliHub::start();
    let sender = sender(&hub, "sender", &[("x", Value::Int(1))]);
    let mut watch = hub.watch(&["--no-retained", "--json", "--count", "1"]);
    // Behind what was held, and so published since, whether it is sent in the first pass over the table or later.
    sender.send("x", Value::Int(2)).unwrap();
    let line = watch.next_line();
    assert!(line.contains(r#""data":2"#) && !line.contains("retained"), "{line}");
    assert_eq!(watch.wait().code, Some(0));
}

#[test]
fn watch_prints_what_was_published_while_there_was_no_link() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut hub = CliHub::start_with(["--listen", &url]);
    let sender = sender(&hub, "sender", &[("held", Value::Int(1)), ("x", Value::Int(2))]);
    let mut watch = hub.watch(&["--no-retained"]);
    sender.send("x", Value::Int(3)).unwrap();
    assert_eq!(watch.next_line(), "sender x 3");
    hub.process.stop("KILL");
    watch.next_error_line_with("connecting again");
    sender.send("x", Value::Int(4)).unwrap();
    let _hub = CliHub::start_with(["--listen", &url]);
    assert_eq!(watch.next_line(), "sender x 4");
    let ended = watch.stop("TERM");
    assert!(ended.code == Some(0) && ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn a_time_out_ends_watch_with_1_if_something_is_missing() {
    let mut hub = CliHub::start();
    let sender = sender(&hub, "sender", &[("x", Value::Int(1))]);
    let ended = run(hub.nanostate(["watch", "--timeout", "0.5", "--count", "2"]), b"");
    assert!(ended.code == Some(1) && ended.stderr.concat().contains("timed out"), "{ended:?}");
    let watch = Process::spawn(hub.nanostate(["watch", "--timeout", "0.5"]));
    hub.joined_by("watch", watch.id());
    // Also while states come without a pause.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let busy = std::thread::spawn(move || {
        let busy = |i: &i64| matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) && *i < i64::MAX;
        (0..).take_while(busy).for_each(|i| sender.send("x", Value::Int(i)).unwrap());
    });
    let ended = watch.wait();
    drop(stop);
    busy.join().unwrap();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    let url = TempDir::new().ipc();
    for time in ["0.1", "1.2"] {
        let ended = run(nanostate(["watch", "--timeout", time, "--connect", &url]), b"");
        assert!(complaint(&ended, 1).contains(&url), "there is no hub: {ended:?}");
    }
}

#[test]
fn without_a_hub_get_list_and_peers_fail_with_the_reason() {
    let url = Transport::Tcp.free(&TempDir::new());
    for arguments in [&["get", "x"][..], &["list"], &["peers"]] {
        let mut command = nanostate(arguments);
        command.args(["--timeout", "2", "--connect", &url]);
        let ended = run(command, b"");
        let words = complaint(&ended, 1);
        assert!(words.contains("connection refused") && words.contains(&url), "{words}");
    }
}

#[test]
fn a_token_that_the_hub_does_not_know_ends_the_commands_with_1() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "panel read the-token-of-the-panel\n").unwrap();
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).unwrap();
    let tokens = tokens.to_str().unwrap();
    let hub = CliHub::start_with(["--listen", "tcp://127.0.0.1:0", "--token-file", tokens]);
    for arguments in [&["get", "x"][..], &["get", "x", "--wait"], &["list"], &["watch", "--retained"], &["peers"]] {
        let mut command = patient(&hub, arguments);
        command.env("NANOSTATE_TOKEN", "another-token-altogether");
        let ended = run(command, b"");
        assert!(complaint(&ended, 1).contains("does not know this token"), "{ended:?}");
    }
    let mut command = patient(&hub, &["list"]);
    command.env("NANOSTATE_TOKEN", "the-token-of-the-panel");
    assert!(printed(command).is_empty());
}

#[test]
fn a_signal_ends_the_commands_with_the_code_of_that_signal() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for arguments in [&["get", "x", "--wait"][..], &["watch", "--count", "1"]] {
            let mut hub = CliHub::start();
            let command = Process::spawn(hub.nanostate(arguments));
            hub.joined_by(arguments[0], command.id());
            let ended = command.stop(signal);
            assert!(ended.code == Some(code) && ended.stdout.is_empty(), "{ended:?}");
        }
    }
    // A hub that never answers: the header stays unread.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let list = Process::spawn(nanostate(["list", "--timeout", "50", "--connect", &url]));
    let _link = silent.accept().unwrap();
    assert_eq!(list.stop("INT").code, Some(130));
}

#[test]
fn a_reader_of_their_output_that_has_gone_is_no_failure() {
    let hub = CliHub::start();
    let _sender = sender(&hub, "sender", &[("x", Value::Text("1"))]);
    for arguments in [
        &["get", "x"][..],
        &["get", "x", "--raw"],
        &["list"],
        &["list", "--json"],
        &["watch", "--retained"],
        &["peers"],
        &["peers", "--watch"],
    ] {
        let (reader, writer) = UnixStream::pair().unwrap();
        drop(reader);
        let mut command = patient(&hub, arguments);
        let child: Child =
            command.stdin(Stdio::null()).stdout(OwnedFd::from(writer)).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    let mut command = patient(&hub, &["list"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
    let output = output.unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && words.contains("standard output: No space left"), "{words}");
}

#[test]
fn a_command_that_waits_ends_when_nobody_reads_its_output_any_more() {
    for arguments in [&["watch", "no/such"][..], &["peers", "--watch"]] {
        let mut hub = CliHub::start();
        let (reader, writer) = UnixStream::pair().unwrap();
        let mut command = hub.nanostate(arguments);
        let mut child: Child =
            command.stdin(Stdio::null()).stdout(OwnedFd::from(writer)).stderr(Stdio::null()).spawn().unwrap();
        // It holds the other end, too.
        drop(command);
        hub.joined_by(arguments[0], child.id());
        drop(reader);
        until("the command has ended", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn what_a_command_line_of_them_lacks_or_has_too_much_is_named() {
    let hub = CliHub::start();
    for (arguments, words) in [
        (&["get"][..], "NAME"),
        (&["get", ""], "name"),
        (&["get", "x", "--raw", "--json"], "--raw"),
        (&["get", "x", "--sender", ""], "identity"),
        (&["get", "x", "--timeout", "soon"], "expected a number of seconds"),
        (&["list", ""], "pattern is empty"),
        (&["list", "--sender", ""], "identity"),
        (&["watch", "--retained", "--no-retained"], "--no-retained"),
    ] {
        let ended = run(hub.nanostate(arguments), b"");
        assert!(ended.code == Some(2) && ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
        assert!(ended.stderr[0].starts_with("nanostate: "), "{ended:?}");
        assert!(ended.stderr.join(" ").contains(words), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn commands_that_only_look_leave_no_state_and_no_log_line_of_the_default_level() {
    let hub = CliHub::start();
    let _sender = sender(&hub, "sender", &[("x", Value::Int(1))]);
    let before = printed(patient(&hub, &["list", "--json"])).len();
    let commands: [&[&str]; 7] = [
        &["get", "x"],
        &["get", "x", "--wait"],
        &["list"],
        &["watch", "--count", "1"],
        &["peers"],
        &["top", "--once"],
        &["ping", "--count", "1"],
    ];
    for arguments in commands {
        printed(patient(&hub, arguments));
    }
    assert_eq!(printed(patient(&hub, &["list", "--json"])).len(), before);
    let ended = hub.process.stop("TERM");
    let came: Vec<_> = ended.stderr.iter().filter(|line| line.contains(" nanostate-")).collect();
    assert!(came.iter().filter(|line| line.ends_with(") joined")).count() == 9, "{ended:?}");
    assert!(came.iter().all(|line| line.contains(" debug ")), "{ended:?}");
}

#[test]
fn an_observer_has_no_states_taken_from_it() {
    let hub = Hub::new().unwrap();
    hub.listen("inproc://observer").unwrap();
    let tool = App::new("tool").unwrap();
    tool.set(nanostate::AppOption::Observer, 1).unwrap();
    tool.connect(Some("inproc://observer")).unwrap();
    tool.send("x", Value::Int(1)).unwrap();
    let error = tool.flush(Some(PATIENCE)).unwrap_err();
    assert_eq!(error.status(), nanostate::Status::Permission, "{error}");
    assert_eq!((hub.stats().states, hub.stats().refused), (0, 1));
}
