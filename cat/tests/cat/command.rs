//! The command line: what is wrong with it, how it ends, and the names that select a protocol.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::{cat, cat_words, eventually, failure, lines, listening, run, Process, TempDir};

#[test]
fn wrong_usage_names_what_is_wrong() {
    for (line, words) in [
        ("--dial tcp://127.0.0.1:1", "no protocol: one of --pair, "),
        ("--sub", "no address: "),
        ("--pub --sub --dial tcp://127.0.0.1:1", "the argument '--pub' cannot be used with '--sub'"),
        ("--sub --dial nowhere", "nowhere: an address is like tcp://"),
        ("--sub --dial tcp://127.0.0.1:99999", "tcp://127.0.0.1:99999: not an address that NNG takes"),
        ("--sub --dial foo://127.0.0.1:1", "foo://127.0.0.1:1: not an address that NNG takes (not supported)"),
        ("--sub --dial tcp://127.0.0.1:1 --data x", "--data: --sub only receives"),
        ("--push --dial tcp://127.0.0.1:1", "--push has nothing to send: --data DATA or --file PATH"),
        ("--push --dial tcp://127.0.0.1:1 --json --data [1,", "--data: JSON: EOF while parsing a value at offset 3"),
    ] {
        let ended = run(cat_words(line), b"");
        assert!(ended.code == Some(2) && ended.stdout.is_empty(), "{line}: {ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("nanostate-cat: {words}")), "{line}: {ended:?}");
    }
}

#[test]
fn a_failure_names_what_failed() {
    let dir = TempDir::new();
    let (_pull, url) = listening("--pull", "tcp://127.0.0.1:0");
    let missing = dir.path().join("missing").display().to_string();
    for (line, words) in [
        (format!("--push --dial {url} --file {missing}"), format!("{missing}: No such file or directory")),
        (format!("--push --dial {url} --file /"), "/: Is a directory".to_owned()),
        (format!("--push --dial {url} --json --file -"), "standard input: JSON: EOF while parsing".to_owned()),
        (format!("--pull --listen {url}"), format!("{url}: address in use")),
        (format!("--pull --listen ipc://{missing}/s"), format!("ipc://{missing}/s: ")),
    ] {
        let (code, said) = failure(cat_words(&line));
        assert_eq!(code, Some(1), "{line}: {said}");
        assert!(said.starts_with(&format!("nanostate-cat: {words}")), "{line}: {said}");
    }
}

#[test]
fn a_time_out_has_an_exit_code_of_its_own() {
    let (_silent, url) = listening("--rep", "tcp://127.0.0.1:0");
    for (line, words) in [
        ("--pull --listen tcp://127.0.0.1:0 --recv-timeout 0.1".to_owned(), "no message came"),
        ("--sub --listen tcp://127.0.0.1:0 --count 2 --timeout 0.1".to_owned(), "0 of 2 messages came"),
        ("--push --data x --listen tcp://127.0.0.1:0 --send-timeout 0.1".to_owned(), "no peer to send to"),
        ("--req --data x --dial tcp://127.0.0.1:1 --timeout 0.1".to_owned(), "no peer to send to"),
        (format!("--req --data x --dial {url} --recv-timeout 0.1"), "no message came"),
        ("--surveyor --data x -d 0 --listen tcp://127.0.0.1:0".to_owned(), "no message came"),
        ("--push --data x -d 0 --listen tcp://127.0.0.1:0 --send-timeout 0.1".to_owned(), "no peer takes the message"),
    ] {
        let (code, said) = failure(cat_words(&line));
        assert_eq!((code, said), (Some(3), format!("nanostate-cat: timed out: {words}")), "{line}");
    }
    // Enough came.
    let (pull, url) = listening("--pull --recv-timeout 5", "tcp://127.0.0.1:0");
    lines(cat_words(&format!("--push --data x --dial {url}")));
    let ended = pull.wait();
    assert_eq!((ended.code, ended.stdout), (Some(0), vec!["\"x\"".to_owned()]));
}

#[test]
fn an_address_that_does_not_answer_is_named_once() {
    let mut push = Process::spawn(cat_words("--push --data x --dial tcp://127.0.0.1:1 --send-timeout 1"));
    push.next_error_line_with("nanostate-cat: tcp://127.0.0.1:1: connection refused; waiting for it");
    assert_eq!(push.wait().stderr, ["nanostate-cat: timed out: no peer to send to"]);
    let ended = run(cat_words("--push -q --data x --dial tcp://127.0.0.1:1 --send-timeout 0.2"), b"");
    assert_eq!(ended.stderr, ["nanostate-cat: timed out: no peer to send to"]);
}

#[test]
fn the_other_protocol_of_a_peer_is_named() {
    let (pull, url) = listening("--pull", "tcp://127.0.0.1:0");
    let _ = run(cat_words(&format!("--req --data x --dial {url} --timeout 0.5")), b"");
    let line = pull.error_line("another protocol", |line| line.contains("another protocol"));
    assert_eq!(line, "nanostate-cat: a peer speaks another protocol: REQ, where PUSH was expected");
}

#[test]
fn a_message_over_the_limit_is_named() {
    let (pull, url) = listening("--pull --recv-maxsz 10", "tcp://127.0.0.1:0");
    let _ = run(cat_words(&format!("--push --data longer-than-ten-bytes --dial {url}")), b"");
    let line = pull.error_line("the size", |line| line.contains("over the limit"));
    assert!(line.contains("a message of 21 bytes from ") && line.ends_with("closed"), "{line}");
}

#[test]
fn it_ends_quietly_when_nobody_reads_it_any_more() {
    let (_push, url) = listening("--push --data x -i 0.01", "tcp://127.0.0.1:0");
    let mut pull =
        cat_words(&format!("--pull --dial {url}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(pull.stdout.take());
    let ended = eventually("the end", || pull.try_wait().unwrap());
    let mut words = String::new();
    std::io::Read::read_to_string(&mut pull.stderr.take().unwrap(), &mut words).unwrap();
    assert!(ended.success() && words.is_empty(), "{ended} {words}");
}

#[test]
fn a_signal_ends_it_at_once_and_removes_its_socket() {
    use std::os::unix::process::ExitStatusExt as _;
    for (name, signal) in [("INT", 2), ("TERM", 15)] {
        let dir = TempDir::new();
        let socket = dir.path().join("s");
        let (mut pull, _) = listening("--pull", &format!("ipc://{}", socket.display()));
        assert!(socket.exists());
        pull.signal(name);
        assert_eq!(pull.ended().signal(), Some(signal));
        assert!(!socket.exists());
    }
}

#[test]
fn a_socket_of_one_that_ends_is_removed() {
    let dir = TempDir::new();
    let socket = dir.path().join("s");
    let ended = run(cat_words(&format!("--pull --recv-timeout 0.1 -X {}", socket.display())), b"");
    assert_eq!(ended.code, Some(3));
    assert!(!socket.exists());
}

#[test]
fn the_name_of_a_link_selects_the_protocol() {
    let dir = TempDir::new();
    let link = |name: &str| {
        let link = dir.path().join(name);
        symlink(env!("CARGO_BIN_EXE_nanostate-cat"), &link).unwrap();
        Command::new(link)
    };
    let (mut pull, url) = listening("--pull", "tcp://127.0.0.1:0");
    let mut push = link("nn_push");
    push.args(["--data", "x", "--dial", &url]);
    lines(push);
    assert_eq!(pull.next_line(), "\"x\"");
    let mut sub = link("nn_sub");
    sub.args(["--pull", "--dial", &url]);
    assert_eq!(failure(sub), (Some(2), "nanostate-cat: --pull: this name of the program selects --sub".to_owned()));
}

#[test]
fn closed_standard_streams_are_not_mistaken_for_sockets() {
    let (_push, url) = listening("--push --data x -i 0.02", "tcp://127.0.0.1:0");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{} --pull --count 3 --dial {url} <&- 2>&-", env!("CARGO_BIN_EXE_nanostate-cat")));
    assert_eq!(lines(shell), ["\"x\""; 3]);
}

#[test]
fn help_version_manual_page_and_completions_are_complete() {
    let help = lines(cat(["--help"])).join("\n");
    assert!(lines(cat(["--version"]))[0].starts_with("nanostate-cat "));
    let options: Vec<_> = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split([' ', ',', '=']).find(|word| word.starts_with("--")))
        .collect();
    assert!(options.len() > 35, "{options:?}");
    let dir = TempDir::new();
    lines(cat(["--man", dir.path().to_str().unwrap()]));
    let page = fs::read_to_string(dir.path().join("nanostate-cat.1")).unwrap();
    let completions = ["bash", "zsh", "fish"].map(|shell| lines(cat(["--completions", shell])).join("\n"));
    for option in options {
        assert!(page.contains(&option.replace('-', "\\-")), "{option}");
        for script in &completions {
            assert!(script.contains(option.trim_start_matches('-')), "{option}");
        }
    }
    for code in ["0 done", "1 failed", "2 wrong usage", "3 timed out"] {
        assert!(help.contains(code) && page.contains(code), "{code}");
    }
    let ended = run(cat(["--completions", "nosuchshell"]), b"");
    assert!(ended.code == Some(2) && ended.stderr[0].contains("nosuchshell"), "{ended:?}");
}
