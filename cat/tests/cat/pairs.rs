//! Every protocol against itself, over every transport, whichever side listens.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::support::{bytes, cat, cat_words, complaints, eventually, lines, listening, Process, TempDir};

/// Where they meet.
const PLACES: [&str; 3] = ["tcp", "ipc", "ws"];

/// An address of this kind to listen at.
fn address(place: &str, dir: &TempDir) -> String {
    match place {
        "tcp" => "tcp://127.0.0.1:0".to_owned(),
        "ws" => "ws://127.0.0.1:0/some/path".to_owned(),
        _ => dir.ipc(),
    }
}

/// More than the buffers of the system hold, and not a multiple of anything.
fn large() -> Vec<u8> {
    (0..5_000_011_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// `sender` sends a file, `receiver` writes what it gets; first the one listens, then the other.
fn travels(sender: &str, receiver: &str) {
    let dir = TempDir::new();
    let file = dir.path().join("message");
    for message in [Vec::new(), b"hello\n\0\xff".to_vec(), large()] {
        fs::write(&file, &message).unwrap();
        let sends = format!("--{sender} --file {}", file.display());
        let receives = format!("--{receiver} --raw --count 1");
        for place in PLACES {
            let (mut listens, url) = listening(&sends, &address(place, &dir));
            let got = bytes(cat_words(&format!("{receives} --dial {url}")));
            assert!(got == message, "{receiver} dials {place}: {} of {} bytes", got.len(), message.len());
            assert!(listens.ended().success(), "{sender}: {}", listens.words());

            let got = dir.path().join("got");
            let mut listens = cat_words(&format!("{receives} --verbose --listen {}", address(place, &dir)));
            listens.stdout(fs::File::create(&got).unwrap());
            let mut child = listens.stderr(Stdio::piped()).spawn().unwrap();
            let url = {
                let mut line = String::new();
                BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
                line.trim().split_once("listening on ").unwrap().1.to_owned()
            };
            assert_eq!(lines(cat_words(&format!("{sends} --dial {url}"))), Vec::<String>::new());
            let ended = eventually("the end of the receiver", || child.try_wait().unwrap());
            let got = fs::read(&got).unwrap();
            assert!(ended.success() && got == message, "{sender} dials {place}: {} bytes", got.len());
        }
    }
}

#[test]
fn push_and_pull() {
    travels("push", "pull");
}

#[test]
fn pub_and_sub() {
    travels("pub", "sub");
}

#[test]
fn bus_and_pair_that_only_send() {
    for protocol in ["bus", "pair", "pair1"] {
        travels(&format!("{protocol} --recv-timeout 0"), protocol);
    }
}

/// Each prints one message of the other.
fn exchange(first: &str, second: &str, printed: [&str; 2]) {
    let dir = TempDir::new();
    for place in PLACES {
        let (listens, url) = listening(first, &address(place, &dir));
        assert_eq!(lines(cat_words(&format!("{second} --dial {url}"))), [printed[1]], "{place}");
        let ended = listens.wait();
        assert!(
            ended.code == Some(0) && ended.stdout == [printed[0]] && complaints(&ended).is_empty(),
            "{place}: {ended:?}"
        );
    }
}

#[test]
fn both_sides_speak() {
    for protocol in ["bus", "pair", "pair1"] {
        let with = |data: &str| format!("--{protocol} --count 1 --data {data}");
        exchange(&with("first"), &with("second"), ["\"second\"", "\"first\""]);
    }
    exchange("--rep --data pong --count 1", "--req --data ping", ["\"ping\"", "\"pong\""]);
    exchange("--req --data ping", "--rep --data pong --count 1", ["\"pong\"", "\"ping\""]);
    let survey = "--surveyor --data who --count 1 --recv-timeout 50";
    exchange("--respondent --data me --count 1", survey, ["\"who\"", "\"me\""]);
    exchange(survey, "--respondent --data me --count 1", ["\"me\"", "\"who\""]);
}

#[test]
fn a_survey_asks_everybody_that_is_dialled() {
    let answers = ["one", "two"].map(|answer| listening(&format!("--respondent --data {answer}"), "tcp://127.0.0.1:0"));
    let dial = answers.iter().flat_map(|(_, url)| ["--dial", url]);
    let mut got = lines(cat("--surveyor --data who --recv-timeout 50 --count 2".split(' ').chain(dial)));
    got.sort();
    assert_eq!(got, ["\"one\"", "\"two\""]);
}

#[test]
fn a_burst_reaches_every_subscriber_that_reads() {
    const MANY: usize = 3000;
    let count = format!("--count {MANY}");
    let (sub, url) = listening(&format!("--sub {count}"), "tcp://127.0.0.1:0");
    let (other, other_url) = listening(&format!("--sub {count}"), "tcp://127.0.0.1:0");
    let publish = format!("--pub --data x {count} --dial {url} --dial {other_url}");
    assert_eq!(lines(cat_words(&publish)), Vec::<String>::new());
    for sub in [sub, other] {
        let ended = sub.wait();
        assert_eq!((ended.code, ended.stdout.len()), (Some(0), MANY));
    }
}

#[test]
fn a_subscriber_gets_what_begins_with_its_prefixes() {
    let (mut sub, url) = listening("--sub --subscribe a/ --subscribe b", "tcp://127.0.0.1:0");
    for data in ["a", "a/1", "c", "b", "xa/", "b2"] {
        lines(cat_words(&format!("--pub --data {data} --dial {url}")));
    }
    for line in ["\"a/1\"", "\"b\"", "\"b2\""] {
        assert_eq!(sub.next_line(), line);
    }
}

#[test]
fn requests_repeat_until_the_count_of_answers() {
    let (mut rep, url) = listening("--rep --data pong", "tcp://127.0.0.1:0");
    assert_eq!(lines(cat_words(&format!("--req --data ping --count 3 --dial {url}"))), ["\"pong\""; 3]);
    assert_eq!(lines(cat_words(&format!("--req --data ping -C 2 -i 0.05 --dial {url}"))), ["\"pong\""; 2]);
    for _ in 0..5 {
        assert_eq!(rep.next_line(), "\"ping\"");
    }
}

#[test]
fn an_interval_repeats_what_is_sent() {
    for (sender, receiver) in [("pub", "sub"), ("push", "pull"), ("bus", "bus"), ("pair", "pair")] {
        let (mut receives, url) = listening(&format!("--{receiver} --ascii"), "tcp://127.0.0.1:0");
        let mut sends = Process::spawn(cat_words(&format!("--{sender} --data tick -i 0.02 --dial {url}")));
        for _ in 0..4 {
            assert_eq!(receives.next_line(), "tick");
        }
        assert!(sends.is_running());
    }
    let (_rep, url) = listening("--rep --data pong", "tcp://127.0.0.1:0");
    let mut req = Process::spawn(cat_words(&format!("--req --data ping -i 0.02 --dial {url}")));
    for _ in 0..4 {
        assert_eq!(req.next_line(), "\"pong\"");
    }
}

#[test]
fn whoever_comes_first_waits_for_the_other() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut pull = Process::spawn(cat_words(&format!("--pull --count 1 --dial {url}")));
    assert!(pull.next_error_line_with(&url).ends_with("; waiting for it"));
    assert_eq!(lines(cat_words(&format!("--push --data late --listen {url}"))), Vec::<String>::new());
    let ended = pull.wait();
    assert_eq!((ended.code, ended.stdout, ended.stderr), (Some(0), vec!["\"late\"".to_owned()], vec![]));
}

#[test]
fn a_peer_that_dies_is_found_again() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let (mut pull, _) = listening("--pull", &url);
    let mut push = Process::spawn(cat_words(&format!("--push --data tick -i 0.02 --dial {url}")));
    assert_eq!(pull.next_line(), "\"tick\"");
    pull.kill();
    // At the socket that the dead one has left behind.
    let (mut pull, _) = listening("--pull", &url);
    assert_eq!(pull.next_line(), "\"tick\"");
    push.kill();
    let mut push = Process::spawn(cat_words(&format!("--push --data tock -i 0.02 --dial {url}")));
    pull.next_line_with("\"tock\"");
    assert!(push.is_running());
    // It was told to say so.
    for words in ["a peer came; 1 connected", "a peer went; 0 connected", "a peer came; 1 connected"] {
        pull.next_error_line_with(words);
    }
}

#[test]
fn a_request_survives_the_death_of_who_was_to_answer() {
    let dir = TempDir::new();
    let url = dir.ipc();
    // It answers nothing.
    let (mut silent, _) = listening("--rep", &url);
    let req = Process::spawn(cat_words(&format!("--req --data ping --dial {url}")));
    assert_eq!(silent.next_line(), "\"ping\"");
    silent.kill();
    let (mut rep, _) = listening("--rep --data pong", &url);
    assert_eq!(rep.next_line(), "\"ping\"");
    assert_eq!(req.wait().stdout, ["\"pong\""]);
}

/// Listens as a PULL, and reads only the header of each connection.
fn pull_that_does_not_read() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"\0SP\0\0\x51\0\0").unwrap();
    let mut header = [0; 8];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header, *b"\0SP\0\0\x50\0\0");
    stream
}

#[test]
fn what_a_peer_does_not_read_is_a_time_out() {
    let dir = TempDir::new();
    let file = dir.path().join("large");
    fs::write(&file, vec![0; 50_000_000]).unwrap();
    for repeat in ["", "--interval 0"] {
        let (listener, url) = pull_that_does_not_read();
        let line = format!("--push --file {} --dial {url} --send-timeout 1 {repeat}", file.display());
        let push = Process::spawn(cat_words(line.trim_end()));
        let _stream = accept(&listener);
        let ended = push.wait();
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let words =
            if repeat.is_empty() { "a peer does not read, and lacks messages" } else { "no peer takes the message" };
        assert_eq!(ended.stderr, [format!("nanostate-cat: timed out: {words}")]);
    }
}

#[test]
fn what_a_peer_that_dies_did_not_get_is_a_failure() {
    let dir = TempDir::new();
    let file = dir.path().join("large");
    fs::write(&file, vec![0; 50_000_000]).unwrap();
    let (listener, url) = pull_that_does_not_read();
    let push = Process::spawn(cat_words(&format!("--push --file {} --dial {url}", file.display())));
    let mut stream = accept(&listener);
    stream.read_exact(&mut [0; 1000]).unwrap();
    // It does not come back.
    drop((listener, stream));
    let ended = push.wait();
    let words = "nanostate-cat: the peer went away before it had the message";
    assert_eq!((ended.code, ended.stderr), (Some(1), vec![words.to_owned()]));
}

/// nanostate-cat, for which a memory error or a leak is a failure.
fn watched(words: &str) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--fair-sched=yes", "--leak-check=full"]);
    command.args(["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
    command.arg(env!("CARGO_BIN_EXE_nanostate-cat")).args(words.split(' '));
    command
}

#[test]
fn valgrind_finds_nothing() {
    let dir = TempDir::new();
    for (listens, dials, printed) in [
        (
            "--sub --json --count 2",
            "--pub --json --data [\"a\",\"b\",[1,{\"c\":2}]] --count 2",
            "[\"a\",\"b\",[1,{\"c\":2}]]",
        ),
        ("--rep --data pong --count 2", "--req --data ping --count 2", "\"ping\""),
    ] {
        let url = dir.ipc();
        let mut first = Process::spawn(watched(&format!("{listens} --verbose --listen {url}")));
        first.next_error_line_with("listening on ");
        lines(watched(&format!("{dials} --dial {url}")));
        let ended = first.wait();
        assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
        assert_eq!(ended.stdout, [printed; 2]);
    }
}
