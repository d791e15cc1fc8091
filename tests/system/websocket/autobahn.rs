//! The cases of the Autobahn test suite, in both directions: an echo server and an echo client on the library's framing,
//! driven by kosoku, which runs the suite's own case files. Needed: what `scripts/setup test` installs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use nanostate::framing::http::client::Request;
use nanostate::framing::http::server::{serve, Site};
use nanostate::framing::ws::{self, CloseCode, Masks};
use nanostate::framing::{Decoder, Frame, FrameError, Framing};
use serde_json::Value as Json;

use crate::support::{self, python, Process, TempDir};

/// Larger than any message of the suite.
const MAX: usize = 32 << 20;

/// Reads from a socket until `ready` is satisfied with what came; returns how much of it that is.
fn read_until<T>(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    mut ready: impl FnMut(&[u8], usize) -> Option<(usize, T)>,
) -> std::io::Result<T> {
    let mut buffer = [0; 4096];
    let mut seen = 0;
    loop {
        if let Some((len, got)) = ready(input, seen) {
            input.drain(..len);
            return Ok(got);
        }
        seen = input.len();
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => input.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Sends back each message, answers pings, and ends as RFC 6455 demands.
fn echo(mut stream: TcpStream, framing: Framing, mut masks: Option<Masks>, first: Vec<u8>) -> std::io::Result<()> {
    let mut decoder = Decoder::new(framing, MAX);
    let (mut buffer, mut came) = (vec![0; 64 << 10], first);
    loop {
        let (mut out, mut input, mut ends) = (Vec::new(), &came[..], false);
        loop {
            match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Frame::Text(text))) => {
                    ws::text(std::str::from_utf8(text).expect("checked"), masks.as_mut(), &mut out);
                }
                Ok(Some(Frame::Body(body))) => binary(body, masks.as_mut(), &mut out),
                Ok(Some(Frame::Large(body))) => binary(&body, masks.as_mut(), &mut out),
                Ok(Some(other)) => panic!("{other:?}"),
                Err(FrameError::Ws(error)) => {
                    ws::close(error.code(), "", masks.as_mut(), &mut out);
                    ends = true;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        if let Decoder::Ws(decoder) = &mut decoder {
            let mut pongs = Vec::new();
            decoder.take_pings().iter().for_each(|payload| ws::pong(payload, masks.as_mut(), &mut pongs));
            // Before what follows them, if that is a close.
            out.splice(0..0, pongs);
        }
        stream.write_all(&out)?;
        if ends {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
            return Ok(());
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => came = buffer[..n].to_vec(),
        }
    }
}

fn binary(body: &[u8], masks: Option<&mut Masks>, out: &mut Vec<u8>) {
    match masks {
        Some(masks) => ws::message(&[body], masks, out),
        None => {
            out.extend_from_slice(&ws::head(body.len()));
            out.extend_from_slice(body);
        }
    }
}

/// An echo server for as long as the process lives; where it listens.
fn echo_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            thread::spawn(move || -> std::io::Result<()> {
                let site = Site { path: "/".into(), ..Site::default() };
                let (mut input, mut answer) = (Vec::new(), Vec::new());
                read_until(&mut stream, &mut input, |bytes, seen| {
                    serve(&site, bytes, seen, &mut answer).expect("a request")
                })?;
                stream.write_all(&answer)?;
                echo(stream, Framing::WsServer, None, input)
            });
        }
    });
    address
}

/// Connects to a path of the suite's server.
fn open(address: &str, path: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let (mut out, mut input) = (Vec::new(), Vec::new());
    let request = Request::write(address, path, "echo", *b"0123456789abcdef", &mut out);
    stream.write_all(&out).unwrap();
    read_until(&mut stream, &mut input, |bytes, seen| request.answer(bytes, seen).expect("an answer")).unwrap();
    (stream, input)
}

/// The cases of the suite but those of speed, and of extensions, which are never agreed on.
const CASES: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];

fn kosoku(mode: &str, address: &str, directory: &str, cases: &[&str]) -> Command {
    let mut command = Command::new(python().with_file_name("kosoku"));
    command.args(["--mode", mode, "--outdir", directory, address]);
    for case in cases {
        command.args(["--include", case]);
    }
    command
}

/// The report in `directory`, once it is whole.
fn report(directory: &str) -> Option<Json> {
    let bytes = std::fs::read(Path::new(directory).join("index.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// All cases of the report in `directory` were passed.
fn check(directory: &str, at_least: usize) {
    support::until("the report", || report(directory).is_some());
    let (report, mut passed) = (report(directory).unwrap(), 0);
    for (agent, cases) in report.as_object().unwrap() {
        for (case, result) in cases.as_object().unwrap() {
            for behaviour in ["behavior", "behaviorClose"] {
                let said = result[behaviour].as_str().unwrap();
                assert!(["OK", "INFORMATIONAL", "NON-STRICT"].contains(&said), "{agent}: {case}: {behaviour} {said}");
            }
            passed += 1;
        }
    }
    assert!(passed >= at_least, "{passed} cases");
}

fn serves(cases: &[&str], at_least: usize) {
    let (dir, address) = (TempDir::new(), echo_server());
    let directory = dir.path().display().to_string();
    let ended = support::run(kosoku("fuzzingclient", &format!("ws://{address}"), &directory, cases), b"");
    assert!(ended.code == Some(0), "{ended:?}");
    check(&directory, at_least);
}

#[test]
fn a_server_passes_the_cases_of_autobahn() {
    serves(&CASES, 230);
}

/// The first message that a path of the suite's server sends, as text; it closes behind it.
fn asked(address: &str, path: &str) -> String {
    let (mut stream, mut came) = open(address, path);
    let mut rest = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut rest) {
        came.extend_from_slice(&rest[..n]);
        let mut decoder = Decoder::new(Framing::WsClient, MAX);
        if let Ok(Some(Frame::Text(text))) = decoder.next(&mut &came[..]) {
            let mut out = Vec::new();
            ws::close(CloseCode::NORMAL, "", Some(&mut Masks::new([1; 16])), &mut out);
            let _ = stream.write_all(&out);
            return String::from_utf8(text.to_vec()).unwrap();
        }
    }
    String::new()
}

fn dials(cases: &[&str], at_least: usize) {
    let (dir, address) = (TempDir::new(), free_address());
    let directory = dir.path().display().to_string();
    let _server = Process::start("kosoku", &mut kosoku("fuzzingserver", &address, &directory, cases));
    support::until("the server of the suite", || TcpStream::connect(&address).is_ok());
    let count: usize = asked(&address, "/getCaseCount").parse().unwrap();
    for case in 1..=count {
        let (stream, input) = open(&address, &format!("/runCase?case={case}&agent=nanostate"));
        // The suite breaks connections off, too.
        let _ = echo(stream, Framing::WsClient, Some(Masks::new([case as u8; 16])), input);
    }
    asked(&address, "/updateReports?agent=nanostate");
    check(&directory, at_least);
}

/// Where nothing listens: the suite takes no port 0.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_client_passes_the_cases_of_autobahn() {
    dials(&CASES, 230);
}

/// Large messages, and many small ones.
#[test]
#[ignore = "for make test-long"]
fn both_sides_pass_the_cases_of_speed_of_autobahn() {
    serves(&["9.*"], 50);
    dials(&["9.*"], 50);
}
