//! What the command does for a program that starts it as its child.

use std::fs;

use crate::support::{nanostate, run, CliHub, Process, TempDir};

#[test]
fn the_output_of_a_hub_ends_with_its_addresses() {
    let urls = ["tcp://127.0.0.1:0", "ws://127.0.0.1:0/ws", "pub+tcp://127.0.0.1:0"];
    let hub = CliHub::start_with(urls.iter().flat_map(|url| ["--listen", *url]));
    let addresses = hub.process.whole_output();
    assert_eq!(addresses.len(), urls.len(), "{addresses:?}");
    for (line, url) in addresses.iter().zip(urls) {
        let (scheme, _) = url.split_once(":0").unwrap();
        assert!(line.starts_with(&format!("listening on {scheme}:")) && !line.contains(":0"), "{line}");
    }
    hub.send(&["x", "still here"]);
    assert_eq!(hub.process.stop("TERM").code, Some(0));
}

#[test]
fn a_hub_ends_with_the_program_that_holds_its_pipe() {
    let dir = TempDir::new();
    let socket = dir.path().join("hub");
    let url = format!("ipc://{}", socket.display());
    let mut process = Process::spawn(nanostate(["--until-eof", "0", "hub", "--listen", &url]));
    assert_eq!(process.next_line(), format!("listening on {url}"));
    process.tell("what comes before the end means nothing");
    let mut hub = CliHub { process, url };
    hub.send(&["x", "1"]);
    hub.process.end_of_input();
    hub.process.next_error_line_with("--until-eof: descriptor 0 is at its end");
    assert_eq!(hub.process.ended().code(), Some(0));
    assert!(fs::metadata(&socket).is_err(), "the hub left its socket behind");
}

#[test]
fn other_commands_end_like_that_too() {
    let mut hub = CliHub::start();
    let mut command = nanostate(["--until-eof", "0", "watch"]);
    command.args(["--connect", &hub.url]);
    let watch = Process::spawn(command);
    hub.joined_by("watch", watch.id());
    assert_eq!(watch.wait().code, Some(0));
}

#[test]
fn a_descriptor_that_cannot_be_read_is_named() {
    for (descriptor, words) in [
        ("99", "nanostate: --until-eof 99: Bad file descriptor"),
        ("1", "nanostate: --until-eof 1: Bad file descriptor"),
        ("stdin", "nanostate: invalid value 'stdin' for '--until-eof <FD>': invalid digit found in string"),
    ] {
        let ended = run(nanostate(["--until-eof", descriptor, "hub", "--listen", "tcp://127.0.0.1:0"]), b"");
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert_eq!(ended.stderr[0], words);
        assert!(ended.stdout.is_empty(), "{ended:?}");
    }
}
