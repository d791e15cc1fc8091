//! The command `nanostate` with standard streams that are non-blocking, beside its like on other machines, and with
//! values that other programs send.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};

use crate::support::{app, complaints, eventually, nanostate, run, CliHub, Process, TempDir, PATIENCE};
use nanostate::{App, Value};
use serde_json::{json, Value as Json};

/// A process that ends with its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both ends of a pipe: the one to read, and the one to write.
fn pipe() -> (File, File) {
    let mut ends = [-1; 2];
    // SAFETY: the array holds two descriptors, and nothing else has them.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// Makes reads or writes of a descriptor fail instead of waiting, for every process that has it.
fn never_waits(descriptor: &impl AsRawFd) {
    // SAFETY: a descriptor of this test.
    unsafe {
        let flags = libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL);
        assert_eq!(libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK), 0);
    }
}

/// How many bytes are in a pipe.
fn waiting_in(pipe: &impl AsRawFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: a descriptor of this test, and a number for the result.
    assert_eq!(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut bytes) }, 0);
    bytes as usize
}

/// How many bytes a pipe takes.
fn room_of(pipe: &impl AsRawFd) -> usize {
    // SAFETY: a descriptor of this test.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_GETPIPE_SZ) as usize }
}

/// Whether a write to a pipe would have to wait.
fn is_full(pipe: &impl AsRawFd) -> bool {
    let mut polled = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: it is one structure.
    unsafe { libc::poll(&mut polled, 1, 0) == 0 }
}

/// `command` with standard output in a pipe in which writes never wait.
fn into_a_pipe_that_never_waits(mut command: Command) -> (Guard, File, File) {
    let (reader, writer) = pipe();
    never_waits(&writer);
    let output = OwnedFd::from(writer.try_clone().unwrap());
    let child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn().unwrap();
    (Guard(child), reader, writer)
}

#[test]
fn watch_waits_for_whoever_reads_a_non_blocking_output() {
    const COUNT: usize = 20_000;
    let mut hub = CliHub::start();
    let sender = app("sender", &hub.url);
    let (mut watch, reader, writer) = into_a_pipe_that_never_waits(hub.nanostate(["watch", "-n", &COUNT.to_string()]));
    hub.joined_by("watch", watch.0.id());
    for i in 0..COUNT {
        sender.send("number", Value::Int(i as i64)).unwrap();
    }
    sender.flush(Some(PATIENCE)).unwrap();
    // Not before it has had to wait.
    eventually("a pipe that is full", || (is_full(&writer) || watch.0.try_wait().unwrap().is_some()).then_some(()));
    drop(writer);
    let lines: Vec<String> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    let expected = (0..COUNT).map(|i| format!("sender number {i}"));
    assert!(lines.iter().cloned().eq(expected), "{} lines, the last {:?}", lines.len(), lines.last());
    assert!(watch.0.wait().unwrap().success());
}

#[test]
fn send_waits_for_whoever_writes_a_non_blocking_input() {
    let hub = CliHub::start();
    let (reader, mut writer) = pipe();
    never_waits(&reader);
    let kept = reader.try_clone().unwrap();
    let mut command = hub.nanostate(["send", "read", "-"]);
    let child = command.stdin(OwnedFd::from(reader)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut send = Guard(child);
    writer.write_all(b"one ").unwrap();
    // It has read that, and there is no more yet.
    eventually("a pipe that is empty", || (waiting_in(&kept) == 0).then_some(()));
    drop(kept);
    let _ = writer.write_all(b"two");
    drop(writer);
    let mut complaint = String::new();
    send.0.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert!(send.0.wait().unwrap().success(), "{complaint}");
    assert_eq!(hub.watched(&["read", "-n", "1"]), ["nanostate read one two"]);
}

#[test]
fn a_hub_tells_its_addresses_to_whoever_reads_a_non_blocking_output_late() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let (mut reader, mut writer) = pipe();
    never_waits(&writer);
    let full = vec![b'\n'; room_of(&writer)];
    writer.write_all(&full).unwrap();
    let mut command = nanostate(["hub", "--listen", &url]);
    let child = command.stdin(Stdio::null()).stdout(OwnedFd::from(writer)).stderr(Stdio::null()).spawn().unwrap();
    let _hub = Guard(child);
    drop(command);
    // It listens before it tells.
    drop(app("early", &url));
    reader.read_exact(&mut vec![0; full.len()]).unwrap();
    eventually("its address", || (waiting_in(&reader) > 0).then_some(()));
    let line = BufReader::new(reader).lines().next().unwrap().unwrap();
    assert_eq!(line, format!("listening on {url}"));
}

#[test]
fn a_run_is_not_refused_for_one_elsewhere_with_its_process_id() {
    let mut hub = CliHub::start();
    for (command, suffixes) in [("watch", &[""][..]), ("bench", &["-a", "-b"])] {
        // A process whose ID is known before it runs the command.
        let script = format!("read line; exec {} {command} --connect {}", env!("CARGO_BIN_EXE_nanostate"), hub.url);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        let mut process = Process::spawn(shell);
        // What tells such a run from others on its own machine.
        let own = format!("nanostate-{command}-{}", process.id());
        let elsewhere = suffixes.iter().map(|suffix| {
            let identity = own.clone() + suffix;
            let app = app(&identity, &hub.url);
            hub.joined(&identity);
            app
        });
        let _elsewhere: Vec<App> = elsewhere.collect();
        process.tell("go");
        hub.joined_by(command, process.id());
        process.kill();
    }
}

#[test]
fn runs_at_the_same_time_on_a_machine_have_identities_of_their_own() {
    let mut hub = CliHub::start();
    let host = nanostate::transport::host_name();
    let mut suffixes = Vec::new();
    for _ in 0..2 {
        let watch = Process::spawn(hub.nanostate(["watch"]));
        let identity = hub.joined_by("watch", watch.id());
        let random = identity.strip_prefix(&format!("nanostate-watch-{host}-{}-", watch.id()));
        suffixes.push(random.unwrap_or_else(|| panic!("{identity}")).to_owned());
        let ended = watch.stop("TERM");
        assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
    }
    assert_ne!(suffixes[0], suffixes[1]);
}

#[test]
fn a_timestamp_is_printed_as_a_time() {
    let hub = CliHub::start();
    let sender = app("clock", &hub.url);
    // Of MessagePack, in its three forms; in a list; and what is none.
    for (name, msgpack, plain, json) in [
        ("seconds", &b"\xd6\xff\x6a\x0b\x4e\x81"[..], "2026-05-18T17:38:09Z", json!("2026-05-18T17:38:09Z")),
        (
            "nanoseconds",
            b"\xd7\xff\xee\x6b\x27\xfc\x00\x00\x00\x00",
            "1970-01-01T00:00:00.999999999Z",
            json!("1970-01-01T00:00:00.999999999Z"),
        ),
        (
            "before",
            b"\xc7\x0c\xff\x1d\xcd\x65\x00\xff\xff\xff\xff\xff\xff\xff\xff",
            "1969-12-31T23:59:59.500Z",
            json!("1969-12-31T23:59:59.500Z"),
        ),
        ("list", b"\x91\xd6\xff\0\0\0\0", r#"["1970-01-01T00:00:00Z"]"#, json!(["1970-01-01T00:00:00Z"])),
        (
            "beyond",
            b"\xc7\x0c\xff\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
            r#"{"ext":-1,"data":"AAAAAH//////////"}"#,
            json!({"ext": -1, "data": "AAAAAH//////////"}),
        ),
        ("other", b"\xd4\x05\x01", r#"{"ext":5,"data":"AQ=="}"#, json!({"ext": 5, "data": "AQ=="})),
    ] {
        sender.send(name, Value::Msgpack(msgpack)).unwrap();
        sender.flush(Some(PATIENCE)).unwrap();
        assert_eq!(hub.watched(&[name, "-n", "1"]), [format!("clock {name} {plain}")]);
        let lines = hub.watched(&[name, "-n", "1", "--json"]);
        let state: Json = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(state["data"], json);
    }
}

#[test]
fn completions_come_whole_from_a_non_blocking_output() {
    let expected = run(nanostate(["completions", "bash"]), b"");
    let (mut completions, mut reader, writer) = into_a_pipe_that_never_waits(nanostate(["completions", "bash"]));
    drop(writer);
    let mut script = String::new();
    reader.read_to_string(&mut script).unwrap();
    assert!(completions.0.wait().unwrap().success());
    assert_eq!(script.lines().collect::<Vec<_>>(), expected.stdout);
}
