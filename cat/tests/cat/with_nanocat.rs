//! Every protocol against nanocat, over tcp and ipc, and the formats that both have.

use std::fs;

use crate::support::{bytes, cat, cat_words, eventually, lines, listening, nanocat, Process, TempDir, Transport};

/// Where nanocat and nanostate-cat meet, each with an address that is free now.
fn places(dir: &TempDir) -> [String; 2] {
    [Transport::Tcp.free(dir), Transport::Ipc.free(dir)]
}

/// nanocat sends or answers `theirs`; we print what comes.
fn we_receive(theirs: &str, ours: &str, printed: &str) {
    let dir = TempDir::new();
    for url in places(&dir) {
        // It sends until somebody is there.
        let _nanocat = Process::spawn(nanocat(&format!("{theirs} --bind {url}")));
        assert_eq!(lines(cat_words(&format!("{ours} --dial {url}"))), [printed], "it listens at {url}");
    }
    for url in ["tcp://127.0.0.1:0".to_owned(), dir.ipc()] {
        let (ours, url) = listening(ours, &url);
        let _nanocat = Process::spawn(nanocat(&format!("{theirs} --connect {url}")));
        let ended = ours.wait();
        assert_eq!((ended.code, ended.stdout), (Some(0), vec![printed.to_owned()]), "it dials {url}");
    }
}

/// We send or answer `ours`; nanocat prints what comes.
fn nanocat_receives(ours: &str, theirs: &str, printed: &str) {
    let dir = TempDir::new();
    for url in places(&dir) {
        let mut nanocat = Process::spawn(nanocat(&format!("{theirs} --bind {url}")));
        let _ours = Process::spawn(cat_words(&format!("{ours} --dial {url}")));
        assert_eq!(nanocat.next_line(), printed, "it listens at {url}");
    }
    for url in ["tcp://127.0.0.1:0".to_owned(), dir.ipc()] {
        let (_ours, url) = listening(ours, &url);
        let mut nanocat = Process::spawn(nanocat(&format!("{theirs} --connect {url}")));
        assert_eq!(nanocat.next_line(), printed, "it dials {url}");
    }
}

#[test]
fn it_sends_and_we_receive() {
    for (theirs, ours) in [("pub", "sub"), ("push", "pull"), ("bus", "bus"), ("pair", "pair")] {
        we_receive(&format!("--{theirs} --data tick -i 0.05"), &format!("--{ours} --count 1"), "\"tick\"");
    }
}

#[test]
fn we_send_and_it_receives() {
    for (ours, theirs) in [("pub", "sub"), ("push", "pull"), ("bus", "bus"), ("pair", "pair")] {
        // Its interval makes up for what is sent before it is ready.
        nanocat_receives(&format!("--{ours} --data tick -i 0.05"), &format!("--{theirs} --ascii"), "tick");
    }
}

#[test]
fn it_answers_what_we_ask() {
    we_receive("--rep --data pong", "--req --data ping", "\"pong\"");
    we_receive("--respondent --data me", "--surveyor --data who --count 1 -i 1 --recv-timeout 1", "\"me\"");
}

#[test]
fn we_answer_what_it_asks() {
    nanocat_receives("--rep --data pong", "--req --data ping --ascii", "pong");
    nanocat_receives("--respondent --data me", "--surveyor --data who --ascii -i 1", "me");
}

#[test]
fn we_print_what_it_asks() {
    we_receive("--req --data ping", "--rep --data pong --count 1", "\"ping\"");
    we_receive("--surveyor --data who -i 0.5", "--respondent --data me --count 1", "\"who\"");
}

#[test]
fn a_message_that_is_sent_once_arrives() {
    let dir = TempDir::new();
    for url in places(&dir) {
        for (ours, theirs) in [("push", "pull"), ("pub", "sub"), ("pair", "pair"), ("bus", "bus")] {
            let more = if ours == "bus" || ours == "pair" { "--recv-timeout 0" } else { "--count 1" };
            let mut nanocat = Process::spawn(nanocat(&format!("--{theirs} --bind {url} --ascii")));
            lines(cat_words(&format!("--{ours} --data once --dial {url} {more}")));
            assert_eq!(nanocat.next_line(), "once", "{ours} {url}");
        }
    }
}

#[test]
fn formats_are_the_same_byte_for_byte() {
    let dir = TempDir::new();
    // Without a tab, which nanocat prints as \x09.
    let message: Vec<u8> = (0..=255).filter(|byte| *byte != b'\t').collect();
    let file = dir.path().join("message");
    fs::write(&file, &message).unwrap();
    for length in [message.len(), 300, 70_000] {
        fs::write(&file, message.iter().cycle().take(length).copied().collect::<Vec<_>>()).unwrap();
        for format in ["raw", "ascii", "quoted", "msgpack", "hex"] {
            let sends = format!("--push --file {}", file.display());
            let (_ours, url) = listening(&sends, &dir.ipc());
            let ours = bytes(cat_words(&format!("--pull --{format} --count 1 --dial {url}")));

            let theirs = dir.path().join("theirs");
            let url = dir.ipc();
            let mut command = nanocat(&format!("--pull --{format} --bind {url}"));
            command.stdout(fs::File::create(&theirs).unwrap());
            let mut process = command.spawn().unwrap();
            lines(cat_words(&format!("{sends} --dial {url}")));
            let read = || Some(fs::read(&theirs).unwrap()).filter(|theirs| theirs.len() >= ours.len());
            let theirs = eventually("nanocat's output", read);
            process.kill().unwrap();
            process.wait().unwrap();
            assert!(ours == theirs, "{format} of {length} bytes");
        }
    }
}

#[test]
fn its_own_habits_work() {
    let dir = TempDir::new();
    let port = Transport::Tcp.free(&dir).rsplit(':').next().unwrap().to_owned();
    let _rep = Process::spawn(nanocat(&format!("--rep -L{port} -Dpong")));
    assert_eq!(lines(cat([format!("-l{port}"), "--req".to_owned(), "-Dping".to_owned(), "-A".to_owned()])), ["pong"]);
    let socket = dir.path().join("s");
    let pull = Process::spawn(cat_words(&format!("--pull -X {} -Q -C 1 -v", socket.display())));
    pull.error_line("listening on", |line| line.contains("listening on"));
    // It may end before it is connected, so it goes on.
    let mut push = Process::spawn(nanocat(&format!("--push -x {} -F- -i 0.1", socket.display())));
    push.tell("from a pipe");
    push.end_of_input();
    assert_eq!(pull.wait().stdout, ["\"from a pipe\\n\""]);
}
