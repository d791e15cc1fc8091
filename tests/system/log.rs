//! What the command and the library log, when, and for whom it does not wait.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nanostate::App;

use crate::support::{app, eventually, nanostate, run, send, CliHub, Ended, Process, TempDir, PATIENCE};

#[test]
fn a_hub_whose_standard_error_nobody_reads_serves_and_stops_as_others_do() {
    let (theirs, _unread) = UnixStream::pair().unwrap();
    socket2::SockRef::from(&theirs).set_send_buffer_size(4096).unwrap();
    let mut command = nanostate(["hub", "--listen", "tcp://127.0.0.1:0", "--log", "trace"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(OwnedFd::from(theirs));
    let mut process = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim_end().strip_prefix("listening on ").unwrap();
    // Each leaves lines about its coming and going.
    for i in 0..100 {
        let visitor = app(&format!("visitor-{i}"), url);
        send(&visitor, "n", "value");
        visitor.flush(Some(PATIENCE)).unwrap();
    }
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    // Ended by its own decision: after the grace the code would be that of the signal.
    let status = eventually("the end of the hub", || process.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

/// The standard library sees to it; without it the hub's log would go to a peer.
#[test]
fn a_hub_without_standard_descriptors_has_no_socket_in_their_place() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" hub --listen \"$1\" <&- >&- 2>&-", env!("CARGO_BIN_EXE_nanostate"), &url]);
    let mut process = command.spawn().unwrap();
    drop(app("visitor", &url));
    for fd in 0..3 {
        let target = std::fs::read_link(format!("/proc/{}/fd/{fd}", process.id())).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"));
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_hub_survives_a_hang_up_and_tells_how_it_is_on_request() {
    let mut hub = CliHub::start();
    let visitor = app("visitor\u{2800}", &hub.url);
    send(&visitor, "n", "value");
    visitor.flush(Some(PATIENCE)).unwrap();
    hub.process.signal("HUP");
    hub.process.next_error_line_with("SIGHUP: nothing to reload");
    hub.process.signal("USR1");
    hub.process.next_error_line_with("SIGUSR1: 1 peers, 0 of them old; 1 joined so far");
    hub.process.next_error_line_with("1 messages in, 0 out, 1 states held, 0 senders are gone, 0 peers refused");
    hub.process.next_error_line_with(" of unfinished messages, 0 queued");
    let peer = hub.process.next_error_line_with("peer visitor\\u2800 (");
    assert!(peer.ends_with("): 1 in, 0 out, 0 bytes queued"), "{peer}");
    hub.send(&["still", "there"]);
    let ended = hub.process.stop("TERM");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_summary_says_of_what_was_not_passed_on_why() {
    let mut hub = CliHub::start();
    let (sender, deaf) = (app("sender", &hub.url), App::new("deaf").unwrap());
    deaf.set_accept(0).unwrap();
    deaf.connect(Some(&hub.url)).unwrap();
    deaf.wait_connected(Some(PATIENCE)).unwrap();
    send(&sender, "n", "value");
    sender.flush(Some(PATIENCE)).unwrap();
    hub.process.signal("USR1");
    let line = hub.process.next_error_line_with("not passed on: ");
    assert!(line.ends_with("not passed on: 1 of kinds that the receiver does not accept"), "{line}");
    let deaf = hub.process.next_error_line_with("peer deaf (");
    assert!(deaf.ends_with("; not passed on: 1 of kinds that the receiver does not accept"), "{deaf}");
}

/// How many times something was said, by the lines about it: a line is once, or as often as it says.
fn times(lines: &[String], about: &str) -> (usize, u64) {
    let lines: Vec<_> = lines.iter().filter(|line| line.contains(about)).collect();
    let times = |line: &str| match line
        .rsplit_once(" (")
        .and_then(|(_, end)| end.strip_suffix(" like this since the last line)"))
    {
        Some(count) => count.parse().unwrap(),
        None => 1,
    };
    (lines.len(), lines.iter().map(|line| times(line)).sum())
}

#[test]
fn strangers_are_counted_and_not_a_line_each() {
    const STRANGERS: u64 = 100;
    let hub = CliHub::start();
    let address = hub.url.strip_prefix("tcp://").unwrap();
    let begin = Instant::now();
    for _ in 0..STRANGERS {
        let mut stranger = TcpStream::connect(address).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stranger.write_all(b"GET / HTTP/1.1\r\n\r\n");
        // The end, or a reset for what it has not read.
        let _ = stranger.read(&mut [0]);
    }
    let ended = hub.process.stop("TERM");
    let (lines, said) = times(&ended.stderr, " refused: ");
    assert_eq!(said, STRANGERS, "{ended:?}");
    // One at once, one at the end, and one in ten seconds.
    assert!(lines as u64 <= 3 + begin.elapsed().as_secs() / 10, "{ended:?}");
}

#[test]
fn a_lack_of_descriptors_is_told_once_and_then_counted() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 24; exec \"$0\" hub --listen tcp://127.0.0.1:0", env!("CARGO_BIN_EXE_nanostate")]);
    let mut process = Process::start("hub", &mut command);
    let line = process.next_line();
    let address = line.strip_prefix("listening on tcp://").unwrap();
    let clients: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    process.next_error_line_with("accepting is paused: ");
    // Ten attempts and more.
    let begin = Instant::now();
    std::thread::sleep(Duration::from_millis(1500));
    let lines = process.error_lines();
    let (lines, _) = times(&lines, "accepting is paused: ");
    assert!(lines as u64 <= 1 + begin.elapsed().as_secs() / 10, "{}", process.words());
    drop(clients);
    process.stop("TERM");
}

/// The log of an app, as a process, and of a hub, both at this level.
fn logs(level: &str) -> (Vec<String>, Vec<String>) {
    let hub = CliHub::start_with(["--listen", "tcp://127.0.0.1:0", "--log", level]);
    let ended = run(hub.nanostate(["send", "room/temperature", "21.5", "--log", level]), b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // An app that is sent what the hub holds, which the one above is not.
    app("reader", &hub.url).wait_synced(Some(PATIENCE)).unwrap();
    (ended.stderr, hub.process.stop("TERM").stderr)
}

fn says(lines: &[String], level: &str, part: &str) -> bool {
    lines.iter().any(|line| line.contains(&format!(" {level:<5} ")) && line.contains(part))
}

#[test]
fn each_level_says_what_the_header_says_of_it() {
    let (app, hub) = logs("info");
    assert!(app.is_empty(), "{app:?}");
    assert!(says(&hub, "info", "joined") && !hub.iter().any(|line| line.contains(" debug ")), "{hub:?}");

    let (app, hub) = logs("debug");
    for part in ["connecting to tcp://", "hello", "welcome at tcp://", "announces ", "on their way"] {
        assert!(says(&app, "debug", part), "{part}: {app:?}");
    }
    for part in ["connected", "header is 00 53 50 00 00 70 4E 01: v1", "hello", "welcomed", "has caught up"] {
        assert!(says(&hub, "debug", part), "{part}: {hub:?}");
    }
    assert!(!app.iter().chain(&hub).any(|line| line.contains(" trace ")), "{app:?} {hub:?}");

    let (app, hub) = logs("trace");
    assert!(says(&hub, "trace", "room/temperature (text, "), "{hub:?}");
    assert!(!app.iter().chain(&hub).any(|line| line.contains("21.5")), "values are nobody's business: {app:?} {hub:?}");
}

#[test]
fn an_app_says_why_it_does_not_come_to_a_hub() {
    let mut command = nanostate(["send", "n", "v", "--connect", "tcp://127.0.0.1:1", "--timeout", "0.3"]);
    command.env("NANOSTATE_LOG", "debug");
    let ended: Ended = run(command, b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(says(&ended.stderr, "debug", "connection refused: tcp://127.0.0.1:1"), "{ended:?}");
    assert!(says(&ended.stderr, "debug", "retries in "), "{ended:?}");
}
