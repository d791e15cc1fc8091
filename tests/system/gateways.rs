//! Gateways with real programs of the other side: libnanomsg, `nanocat`, libnng and pynng over `tcp`, `ipc` and `ws`,
//! and the programs of docs/gateways.md as they stand.
//!
//! Needed: what `scripts/setup test` installs (nanocat, libnanomsg, libnng, Python with pynng and msgpack).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use crate::support;
use crate::support::build::{self, Link, Standard};
use crate::support::{
    app, c_program, eventually, hub, key, peer_program, python, receive, receive_until, run, send, until, Ended,
    Process, TempDir, Transport, PATIENCE,
};
use nanostate::wire::{self, Form, Malformed};
use nanostate::{Hub, HubOption, HubStats, Status, Value};
use serde_json::{json, Value as Json};
use socket2::{Domain, SockAddr, Socket, Type};

// ---- a hub with gateways

/// Where a gateway listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Tcp,
    Ipc,
    Ws,
}

/// A hub for apps, with gateways.
struct Site {
    hub: Hub,
    /// Where apps connect.
    url: String,
    dir: TempDir,
}

impl Site {
    fn new() -> Site {
        let (hub, url) = hub("tcp://127.0.0.1:0");
        Site { hub, url, dir: TempDir::new() }
    }

    fn with(options: &[(HubOption, i64)]) -> Site {
        let hub = Hub::new().unwrap();
        for (option, value) in options {
            hub.set(*option, *value).unwrap();
        }
        hub.listen("tcp://127.0.0.1:0").unwrap();
        let url = hub.address(0).unwrap();
        Site { hub, url, dir: TempDir::new() }
    }

    /// Opens a gateway; gives what its other side dials.
    fn open(&self, role: &str, place: Place) -> String {
        self.open_with(role, place, "")
    }

    fn open_with(&self, role: &str, place: Place, query: &str) -> String {
        let address = match place {
            Place::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Place::Ipc => self.dir.ipc(),
            Place::Ws => "ws://127.0.0.1:0/states".to_owned(),
        };
        self.open_at(role, &format!("{address}{query}"))
    }

    /// As [`Site::open`], where a hub can come back: nobody else gets the port while it is away.
    fn open_for_long(&self, role: &str, place: Place) -> String {
        let address = match place {
            Place::Tcp => Transport::Tcp.free(&self.dir),
            Place::Ipc => self.dir.ipc(),
            Place::Ws => Transport::Tcp.free(&self.dir).replace("tcp:", "ws:") + "/states",
        };
        self.open_at(role, &address)
    }

    fn open_at(&self, role: &str, address: &str) -> String {
        self.hub.listen(&format!("{role}+{address}")).unwrap();
        let opened = (0..).map_while(|i| self.hub.address(i)).last().unwrap();
        assert!(!opened.contains(":0"), "not where it listens: {opened}");
        dialled(&opened, role).to_owned()
    }

    fn stats(&self) -> HubStats {
        self.hub.stats()
    }
}

/// What the other side dials of a gateway's address.
fn dialled<'a>(address: &'a str, role: &str) -> &'a str {
    let rest = address.strip_prefix(role).and_then(|rest| rest.strip_prefix('+'));
    let rest = rest.unwrap_or_else(|| panic!("not a {role} gateway: {address}"));
    rest.split('?').next().unwrap()
}

// ---- what clients say and hear

/// A value of MessagePack.
fn msgpack(json: &Json) -> Vec<u8> {
    let mut value = Vec::new();
    wire::to_msgpack(&json.to_string(), &mut value).unwrap();
    value
}

/// One whole value of MessagePack, as JSON.
fn read(value: &[u8]) -> Json {
    wire::check(value).unwrap_or_else(|error| panic!("{error}: {value:02x?}"));
    serde_json::from_str(&wire::from_msgpack(value)).unwrap()
}

/// What a SUB got, as `[sender, name, data]`; what stands before the state is its name and a NUL.
fn published(message: &[u8]) -> Json {
    let end = message.iter().position(|byte| *byte == 0).expect("a NUL behind the name");
    let (name, state) = (&message[..end], &message[end + 1..]);
    let body = wire::decode(state, Form::Old).unwrap_or_else(|error| panic!("{error}: {state:02x?}"));
    assert_eq!(body.name.as_bytes(), name);
    read(state)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let hex = if hex == "-" { "" } else { hex };
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The bytes that `nanocat --hex` printed: `"\x93\xa1…"`.
fn nanocat_message(line: &str) -> Vec<u8> {
    let hex = line.strip_prefix('"').and_then(|line| line.strip_suffix('"'));
    unhex(&hex.unwrap_or_else(|| panic!("no message: {line}")).replace("\\x", ""))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Library {
    Nng,
    Pynng,
}

/// A program that is the other side of a gateway and does what it is told.
struct Client {
    process: Process,
    at: usize,
}

impl Client {
    /// Starts it; it is connected.
    fn start(library: Library, pattern: &str, url: &str) -> Client {
        let arguments = [pattern, url, "client"];
        let process = match library {
            Library::Nng => Process::run(&peer_program("nng_client", "-lnng"), arguments),
            Library::Pynng => {
                let script = build::root().join("tests/peers/pynng_client.py");
                Process::start("pynng_client.py", Command::new(python()).arg(script).args(arguments))
            }
        };
        let mut at = 0;
        process.line_from(&mut at, "that it is connected", |line| line == "connected");
        Client { process, at }
    }

    fn say(&mut self, message: &[u8]) {
        self.process.tell(&format!("raw {}", hex(message)));
    }

    /// The next message that it gets.
    fn message(&mut self) -> Vec<u8> {
        let line = self.process.line_from(&mut self.at, "a message", |line| line.starts_with("message "));
        unhex(line.strip_prefix("message ").unwrap())
    }

    /// As a REQ or SURVEYOR: the answer.
    fn ask(&mut self, request: &[u8]) -> Json {
        self.say(request);
        read(&self.message())
    }

    fn request(&mut self, request: Json) -> Json {
        self.ask(&msgpack(&request))
    }

    /// As a SUB: waits for a state, and gives those before it.
    fn state(&mut self, wanted: Json) -> Vec<Json> {
        let mut before = Vec::new();
        loop {
            let got = published(&self.message());
            if got == wanted {
                return before;
            }
            before.push(got);
        }
    }
}

// ---- the programs of the guide

/// A program of the guide.
#[derive(Clone, Debug)]
enum Program {
    C(PathBuf),
    Python(PathBuf),
}

impl Program {
    fn command(&self, url: &str) -> Command {
        let mut command = match self {
            Program::C(program) => Command::new(program),
            Program::Python(script) => {
                let mut command = Command::new(python());
                command.arg(script);
                command
            }
        };
        command.arg(url);
        command
    }

    fn start(&self, url: &str) -> Process {
        Process::spawn(self.command(url))
    }
}

/// The most lines of a program in the guide that do something: neither blank, nor a comment, an inclusion or a brace.
const GUIDE_LINES: usize = 14;

fn does_something(line: &str) -> bool {
    let line = line.trim();
    let idle = ["/*", "#", "import ", "{", "}"];
    !line.is_empty() && !idle.iter().any(|beginning| line.starts_with(beginning))
}

/// The programs of docs/gateways.md by the names in their first lines; those in C compiled without a warning.
fn guide() -> &'static BTreeMap<String, Program> {
    static GUIDE: OnceLock<BTreeMap<String, Program>> = OnceLock::new();
    GUIDE.get_or_init(|| {
        let text = fs::read_to_string(build::root().join("docs/gateways.md")).unwrap();
        let blocks = ["c", "python"].map(|language| format!("\n```{language}\n"));
        let blocks = blocks.iter().flat_map(|fence| text.split(fence.as_str()).skip(1));
        let programs: BTreeMap<_, _> = blocks
            .map(|rest| {
                let code = rest.split("```").next().unwrap();
                let file = code.trim_start_matches(['/', '*', '#', ' ']).split(':').next().unwrap();
                let lines = code.lines().filter(|line| does_something(line)).count();
                assert!(lines <= GUIDE_LINES, "{file} has {lines} lines");
                let source = build::scratch("guide").join(file);
                fs::write(&source, code).unwrap();
                let name = source.file_stem().unwrap().to_str().unwrap().to_owned();
                let Some(library) = name.split('-').nth(1) else { return (name, Program::Python(source)) };
                let program = source.with_extension("");
                let mut compiler = build::compiler(Standard::C11);
                compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]).arg(&source);
                build::run(compiler.arg("-o").arg(&program).arg(format!("-l{library}")));
                (name, Program::C(program))
            })
            .collect();
        let names = ["sub", "push", "req", "surveyor"];
        let expected: BTreeSet<_> =
            ["", "-nng", "-nanomsg"].iter().flat_map(|library| names.map(|name| format!("{name}{library}"))).collect();
        assert_eq!(programs.keys().cloned().collect::<BTreeSet<_>>(), expected);
        programs
    })
}

/// The programs of the guide over one library do what it says of them.
fn the_programs_work(library: &str, place: Place) {
    let site = Site::new();
    let watch = app("watch", &site.url);
    let program = |name: &str| &guide()[&format!("{name}{library}")];

    let mut push = program("push").start(&site.open("pull", place));
    let line = push.next_line();
    let load = line.strip_prefix("cpu/load is ").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(receive(&watch, "me", "cpu/load").text().unwrap(), load);
    push.kill();

    let mut sub = program("sub").start(&site.open("pub", place));
    // The newest is sent to who joins.
    sub.next_line_with("cpu/load");
    send(&watch, "mem/free", "all of it");
    send(&watch, "cpu/idle", "for long");
    let line = match library {
        "" => "cpu/idle of watch is for long".to_owned(),
        _ => format!("cpu/idle: a body of {} bytes", state("watch", "cpu/idle", "for long").len()),
    };
    assert_eq!(sub.next_line_with("cpu/idle"), line);
    assert!(sub.lines().iter().all(|line| line.starts_with("cpu/")), "{:?}", sub.lines());

    let req = run(program("req").command(&site.open("rep", place)), b"");
    assert!(req.code == Some(0) && req.stderr.is_empty(), "{req:?}");
    match (library, &req.stdout[..]) {
        ("", [published, got, list, peers]) => {
            assert_eq!([published, got, peers], ["ok", "['me', 'cpu/load', '0.25']", "['watch']"]);
            assert!(list.contains(got) && list.contains("['watch', 'cpu/idle', 'for long']"), "{list}");
        }
        (_, [answer]) => {
            let load = answer.strip_prefix("..me.cpu/load.").unwrap_or_else(|| panic!("{answer}"));
            assert!(load.parse::<f64>().is_ok(), "{answer}");
        }
        _ => panic!("{req:?}"),
    }

    let mut surveyor = program("surveyor").start(&site.open("respondent", place));
    // It asks again and again.
    for _ in 0..2 {
        let answer = surveyor.next_line();
        let identifier =
            ["hub", "nanostate"].map(|text| format!("{}{text}", if library.is_empty() { "'" } else { "." }));
        assert!(identifier.iter().all(|part| answer.contains(part)), "{answer}");
    }
}

macro_rules! the_programs_of_the_guide_work {
    ($($test:ident: $library:literal, $place:ident;)*) => {$(
        #[test]
        fn $test() {
            the_programs_work($library, Place::$place);
        }
    )*};
}

the_programs_of_the_guide_work! {
    the_programs_of_the_guide_with_libnng_work_over_tcp: "-nng", Tcp;
    the_programs_of_the_guide_with_libnng_work_over_ipc: "-nng", Ipc;
    the_programs_of_the_guide_with_libnanomsg_work_over_tcp: "-nanomsg", Tcp;
    the_programs_of_the_guide_with_libnanomsg_work_over_ipc: "-nanomsg", Ipc;
    the_programs_of_the_guide_in_python_work_over_tcp: "", Tcp;
    the_programs_of_the_guide_in_python_work_over_ipc: "", Ipc;
}

/// The lines of the guide for a shell, with other addresses.
#[test]
fn the_lines_of_the_guide_for_a_shell_work() {
    let site = Site::new();
    let watch = app("watch", &site.url);
    let text = fs::read_to_string(build::root().join("docs/gateways.md")).unwrap();
    let ports = [("15001", "pub"), ("15002", "pull"), ("15003", "rep"), ("15004", "respondent")];
    let lines: BTreeMap<_, _> = text
        .lines()
        .filter(|line| line.starts_with("    nanocat "))
        .map(|line| {
            let (port, role) = ports.into_iter().find(|(port, _)| line.contains(port)).unwrap();
            let line = line.replace(&format!("tcp://127.0.0.1:{port}"), &site.open(role, Place::Tcp));
            (role, format!("exec{}", line.strip_prefix("   ").unwrap()))
        })
        .collect();
    assert_eq!(lines.len(), ports.len());
    let shell = |role: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&lines[role]);
        shell
    };

    let pushed = run(shell("pull"), b"");
    assert!(pushed.code == Some(0) && pushed.stderr.is_empty(), "{pushed:?}");
    assert_eq!(receive(&watch, "me", "cpu/load").text().unwrap(), "0.25");
    let asked = run(shell("rep"), b"");
    assert_eq!((asked.code, asked.stdout), (Some(0), vec!["..me.cpu/load.0.25".to_owned()]));
    let mut sub = Process::spawn(shell("pub"));
    assert_eq!(sub.next_line(), "cpu/load...me.cpu/load.0.25");
    // Asked once, a second after it was started, and answered within another: a busy machine may need more.
    let found = eventually("an answer to a survey", || run(shell("respondent"), b"").stdout.pop());
    assert!(found.contains("hub.nanostate"), "{found}");
}

// ---- every library, every transport

/// A state as the programs send it.
fn state(sender: &str, name: &str, text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    wire::encode_value(&mut body, Form::Old, sender, name, Value::Text(text), &Default::default());
    body
}

fn takes_part_in_every_pattern(library: Library, place: Place) {
    let site = Site::new();
    let ours = app("ours", &site.url);
    send(&ours, "before", "käse");
    ours.flush(Some(PATIENCE)).unwrap();

    let mut sub = Client::start(library, "sub", &site.open("pub", place));
    sub.state(json!(["ours", "before", "käse"]));
    for i in 0..100 {
        send(&ours, &format!("to/{i}"), &format!("gruß {i}"));
    }
    for i in 0..100 {
        sub.state(json!(["ours", format!("to/{i}"), format!("gruß {i}")]));
    }

    let mut push = Client::start(library, "push", &site.open("pull", place));
    for i in 0..100 {
        push.process.tell(&format!("text from/{i} grüße {i}"));
    }
    let got = receive_until(&ours, "the last push", |state| state.name() == "from/99");
    let expected: Vec<_> = (0..100).map(|i| format!("client from/{i} \"grüße {i}\"")).collect();
    assert_eq!(got.iter().map(key).collect::<Vec<_>>(), expected, "whole and in order");
    sub.state(json!(["client", "from/99", "grüße 99"]));

    let mut req = Client::start(library, "req", &site.open("rep", place));
    assert_eq!(req.request(json!(["client", "asked", "yes"])), "ok");
    assert_eq!(receive(&ours, "client", "asked").text().unwrap(), "yes");
    for i in 0..100 {
        let (name, text) = (format!("from/{i}"), format!("grüße {i}"));
        assert_eq!(req.request(json!(["get", name])), json!(["client", name, text]));
    }

    let mut surveyor = Client::start(library, "surveyor", &site.open("respondent", place));
    let answer = surveyor.ask(&msgpack(&json!("who")));
    assert_eq!(answer["hub"], "nanostate");
    assert_eq!(answer["states"], site.stats().states);
}

macro_rules! over_every_transport {
    ($($library:ident: $module:ident),*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn takes_part_in_every_pattern_over_tcp() {
                takes_part_in_every_pattern(Library::$library, Place::Tcp);
            }

            #[test]
            fn takes_part_in_every_pattern_over_ipc() {
                takes_part_in_every_pattern(Library::$library, Place::Ipc);
            }

            #[test]
            fn takes_part_in_every_pattern_over_ws() {
                takes_part_in_every_pattern(Library::$library, Place::Ws);
            }
        }
    )*};
}

over_every_transport!(Nng: a_program_with_libnng, Pynng: a_program_with_pynng);

fn nanocat<'a>(pattern: &'a str, url: &'a str, more: &[&'a str]) -> Command {
    let mut command = Command::new("nanocat");
    command.args([pattern, "--connect", url]).args(more);
    if pattern != "--push" {
        command.arg("--hex");
    }
    command
}

/// What nanocat prints for its one request.
fn asked_by_nanocat(url: &str, request: &Path) -> Json {
    let Ended { code, stdout, stderr } = run(nanocat("--req", url, &["--file", request.to_str().unwrap()]), b"");
    assert!(code == Some(0) && stdout.len() == 1 && stderr.is_empty(), "{stdout:?} {stderr:?}");
    read(&nanocat_message(&stdout[0]))
}

fn nanocat_takes_part_in_every_pattern(place: Place) {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let file = |name: &str, message: &[u8]| {
        let path = site.dir.path().join(name);
        fs::write(&path, message).unwrap();
        path
    };

    let said = file("said", &state("cat", "said", "miaou"));
    let pull = site.open("pull", place);
    let mut push = nanocat("--push", &pull, &["--file", said.to_str().unwrap()]);
    if place == Place::Ipc {
        // NNG does not read what is still in a Unix socket once the other side has closed it.
        push.args(["--interval", "0.1"]);
    }
    let mut push = Process::spawn(push);
    assert_eq!(receive(&ours, "cat", "said").text().unwrap(), "miaou");
    if place != Place::Ipc {
        assert_eq!(push.ended().code(), Some(0), "{}", push.words());
    }

    let rep = site.open("rep", place);
    assert_eq!(
        asked_by_nanocat(&rep, &file("get", &msgpack(&json!(["get", "said"])))),
        json!(["cat", "said", "miaou"])
    );
    assert_eq!(asked_by_nanocat(&rep, &file("purrs", &state("cat", "purrs", "loudly"))), "ok");
    assert_eq!(receive(&ours, "cat", "purrs").text().unwrap(), "loudly");

    let mut sub = Process::spawn(nanocat("--sub", &site.open("pub", place), &["--subscribe", "purrs"]));
    assert_eq!(published(&nanocat_message(&sub.next_line())), json!(["cat", "purrs", "loudly"]));
    send(&ours, "said", "not asked for");
    send(&ours, "purrs/still", "yes");
    let got = loop {
        let got = published(&nanocat_message(&sub.next_line()));
        // It may come twice.
        if got != json!(["cat", "purrs", "loudly"]) {
            break got;
        }
    };
    assert_eq!(got, json!(["ours", "purrs/still", "yes"]));

    // A survey reaches those who are connected: asked again until one is.
    let respondent = site.open("respondent", place);
    let mut surveyor = Process::spawn(nanocat("--surveyor", &respondent, &["--data", "who", "--interval", "0.1"]));
    assert_eq!(read(&nanocat_message(&surveyor.next_line()))["hub"], "nanostate");
}

#[test]
fn nanocat_takes_part_in_every_pattern_over_tcp() {
    nanocat_takes_part_in_every_pattern(Place::Tcp);
}

#[test]
fn nanocat_takes_part_in_every_pattern_over_ipc() {
    nanocat_takes_part_in_every_pattern(Place::Ipc);
}

#[test]
fn nanocat_takes_part_in_every_pattern_over_ws() {
    nanocat_takes_part_in_every_pattern(Place::Ws);
}

// ---- requests and surveys

/// What a request may be, as the answer to what is none tells it.
const EXPECTED: &str = r#"expected ["get", name], ["list", pattern], ["peers"], or a state [sender, name, data]"#;

#[test]
fn a_request_is_answered_with_one_value() {
    let site = Site::new();
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    assert_eq!(req.request(json!(["get", "cpu/load"])), Json::Null);
    assert_eq!(req.request(json!(["list", "**"])), json!([]));
    assert_eq!(req.request(json!(["peers"])), json!([]));

    let (one, two) = (app("one", &site.url), app("two", &site.url));
    for (app, other, name, text) in [
        (&one, &two, "cpu/load", "0.1"),
        (&two, &one, "cpu/load", "0.2"),
        (&one, &two, "cpu/0/load", "0.3"),
        (&one, &two, "mem", "4"),
    ] {
        send(app, name, text);
        // What it sends from then on is newer.
        receive(other, app.identity(), name);
    }
    let sorted = |answer: Json| {
        let mut states = answer.as_array().unwrap().clone();
        states.sort_by_key(Json::to_string);
        Json::from(states)
    };
    // The newest, of whichever sender.
    assert_eq!(req.request(json!(["get", "cpu/load"])), json!(["two", "cpu/load", "0.2"]));
    assert_eq!(req.request(json!(["client", "cpu/load", "0.5"])), "ok");
    assert_eq!(req.request(json!(["get", "cpu/load"])), json!(["client", "cpu/load", "0.5"]));
    assert_eq!(receive(&two, "client", "cpu/load").text().unwrap(), "0.5");
    let of_cpu = json!([["client", "cpu/load", "0.5"], ["one", "cpu/load", "0.1"], ["two", "cpu/load", "0.2"]]);
    assert_eq!(sorted(req.request(json!(["list", "cpu/*"]))), of_cpu);
    assert_eq!(req.request(json!(["list", "cpu/**"])).as_array().unwrap().len(), 4);
    assert_eq!(req.request(json!(["list", "m*"])), json!([["one", "mem", "4"]]));
    assert_eq!(sorted(req.request(json!(["peers"]))), json!(["one", "two"]));
}

#[test]
fn what_is_no_request_is_answered_with_what_is_wrong() {
    let site = Site::new();
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    for (request, answer) in [
        (json!(["gte", "x"]), format!(r#"unknown request "gte": {EXPECTED}"#)),
        (json!([]), format!("unknown request of 0 elements: {EXPECTED}")),
        (json!(["get", "a", "b", "c"]), format!("unknown request of 4 elements: {EXPECTED}")),
        (json!("get"), format!(r#"unknown request "get": {EXPECTED}"#)),
        (json!({"get": "x"}), format!(r#"unknown request {{"get":"x"}}: {EXPECTED}"#)),
        (json!([1]), format!("unknown request 1: {EXPECTED}")),
        (json!(["get"]), r#"get: one element is too few: expected ["get", name]"#.to_owned()),
        (json!(["get", 1]), "get: the name is no str: 1".to_owned()),
        (json!(["peers", 1]), r#"peers: 1 is too much: expected ["peers"]"#.to_owned()),
    ] {
        assert_eq!(req.request(request.clone()), answer, "{request}");
    }
    for (request, what) in [(json!(["get", ""]), "get: "), (json!(["list", ""]), "list: ")] {
        let answer = req.request(request);
        assert!(answer.as_str().unwrap().starts_with(what), "{answer}");
    }
    let answer = req.ask(b"");
    assert!(answer.as_str().unwrap().contains(Malformed::Empty.text()), "{answer}");
    // Nothing of this was published, and it goes on.
    assert_eq!(site.stats().messages_in, 0);
    assert_eq!(req.request(json!(["client", "x", "y"])), "ok");
}

#[test]
fn a_survey_is_answered_whatever_it_asks() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    send(&ours, "x", "1");
    ours.flush(Some(PATIENCE)).unwrap();
    let respondent = site.open("respondent", Place::Tcp);
    let mut surveyor = Client::start(Library::Nng, "surveyor", &respondent);
    for survey in [&b"who"[..], b"", b"\xc1", &msgpack(&json!(["get", "x"]))] {
        let answer = surveyor.ask(survey);
        assert_eq!(answer["hub"], "nanostate");
        assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(answer["pid"], std::process::id());
        // Gateways are no peers to who looks for them.
        assert_eq!((&answer["peers"], &answer["states"]), (&1.into(), &1.into()));
        assert_eq!(answer["addresses"], json!([site.url, format!("respondent+{respondent}")]));
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(answer["host"], host.trim_end());
    }
}

// ---- what is refused

/// Messages that are no states, and why.
fn no_states() -> Vec<(Vec<u8>, Malformed)> {
    let deep = [&b"\x93\xa1s\xa1n"[..], &[0x91; 33], b"\x01"].concat();
    let long = state(&"s".repeat(256), "n", "x");
    [
        (&b""[..], Malformed::Empty),
        (b"\xa1x", Malformed::NotArray),
        (b"\x92\xa1s\xa1n", Malformed::WrongCount),
        (b"\x94\xa1s\xa1n\xa1x\x80", Malformed::WrongCount),
        (b"\x93\x01\xa1n\xa1x", Malformed::Sender),
        (&long, Malformed::Sender),
        (b"\x93\xa1s\xa0\xa1x", Malformed::Name),
        (b"\x93\xa1s\xa1\0\xa1x", Malformed::Name),
        (b"\x93\xa1s\xa1n\xa1\xff", Malformed::Utf8),
        (b"\x93\xa1s\xa1n", Malformed::Truncated),
        (b"\x93\xa1s\xa1n\xdd\xff\xff\xff\xff", Malformed::Truncated),
        (b"\x93\xa1s\xa1n\xa1xy", Malformed::Trailing),
        (&deep, Malformed::Depth),
        (b"\x93\xa1s\xa1n\xc1", Malformed::Reserved),
    ]
    .map(|(message, why)| (message.to_vec(), why))
    .into()
}

#[test]
fn what_is_no_state_is_counted_when_it_is_pushed() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let mut push = Client::start(Library::Nng, "push", &site.open("pull", Place::Tcp));
    let mut expected = [0; Malformed::COUNT];
    for (message, why) in no_states() {
        push.say(&message);
        expected[why.index()] += 1;
    }
    push.say(&state("client", "good", "yes"));
    let got = receive_until(&ours, "the good one", |state| state.name() == "good");
    assert_eq!(got.len(), 1);
    let stats = site.stats();
    assert_eq!(stats.malformed_by, expected);
    assert_eq!((stats.malformed, stats.messages_in), (expected.iter().sum(), 1));
}

#[test]
fn what_is_no_state_is_counted_and_answered_when_it_is_a_request() {
    let site = Site::new();
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    let mut expected = [0; Malformed::COUNT];
    // What is no array of three is a request of another sort.
    for (message, why) in no_states().iter().filter(|(message, _)| message.first() == Some(&0x93)) {
        let answer = req.ask(message);
        assert_eq!(answer, format!("malformed message: {}", why.text()));
        expected[why.index()] += 1;
    }
    assert_eq!(site.stats().malformed_by, expected);
    assert_eq!(site.stats().messages_in, 0);
}

#[test]
fn reserved_names_and_the_identities_of_apps_are_refused() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let mut push = Client::start(Library::Nng, "push", &site.open("pull", Place::Tcp));
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    let reserved = state("client", "$ns/hello", "x");
    let foreign = state("ours", "x", "forged");
    for message in [&reserved, &foreign, &state("client", "good", "pushed")] {
        push.say(message);
    }
    assert_eq!(receive_until(&ours, "the good one", |_| true)[0].name(), "good");
    assert_eq!((site.stats().reserved, site.stats().foreign_sender), (1, 1));

    assert_eq!(req.ask(&reserved), r#""$ns/hello" refused: reserved"#);
    assert_eq!(req.ask(&foreign), r#"states sent as "ours" refused: not its identity"#);
    assert_eq!((site.stats().reserved, site.stats().foreign_sender), (2, 2));
    assert_eq!((site.stats().messages_in, site.stats().states), (1, 1));
    // Once that app has left its identity is free.
    drop(ours);
    until("the app has left", || req.request(json!(["peers"])) == json!([]));
    assert_eq!(req.ask(&foreign), "ok");
}

#[test]
fn only_a_gateway_that_was_told_so_hands_out_structured_states() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let [mut plain, mut structured] = ["", "?structured=1"].map(|query| {
        let client = |pattern, role| Client::start(Library::Nng, pattern, &site.open_with(role, Place::Tcp, query));
        (client("sub", "pub"), client("req", "rep"))
    });
    let (array, map) = (msgpack(&json!([1, "x"])), msgpack(&json!({"k": 1})));
    let values = [
        Value::Text("text"),
        Value::Nil,
        Value::Bool(true),
        Value::Int(-7),
        Value::Uint(u64::MAX),
        Value::Double(0.5),
        Value::Msgpack(&array),
        Value::Msgpack(&map),
        Value::Msgpack(b"\xd4\x05x"),
        Value::Bytes(b"raw"),
    ];
    let mut all = Vec::new();
    let mut kinds = Vec::new();
    // What is sent to who joins is behind both.
    for sub in [&mut plain.0, &mut structured.0] {
        until_it_listens(&ours, sub);
    }
    for (i, value) in values.iter().enumerate() {
        let name = format!("value/{i}");
        ours.send(&name, *value).unwrap();
        let mut body = Vec::new();
        wire::encode_value(&mut body, Form::Old, "ours", &name, *value, &Default::default());
        all.push(read(&body));
        kinds.push(value.kind().unwrap());
    }
    send(&ours, "end", "");
    let end = json!(["ours", "end", ""]);
    let of_values = |states: Vec<Json>| -> Vec<Json> {
        states.into_iter().filter(|state| state[1].as_str().unwrap().starts_with("value/")).collect()
    };
    assert_eq!(of_values(structured.0.state(end.clone())), all);
    assert_eq!(of_values(plain.0.state(end)), [all[0].clone(), all[9].clone()]);
    assert!(site.stats().withheld >= 8);

    for (i, state) in all.iter().enumerate() {
        let get = json!(["get", format!("value/{i}")]);
        assert_eq!(structured.1.request(get.clone()), *state);
        let answer = if kinds[i].is_plain() {
            state.clone()
        } else {
            let kind = kinds[i].name();
            json!(format!(
                "\"value/{i}\" of \"ours\" ({kind}) is withheld: ?structured=1 in the hub's address allows it"
            ))
        };
        assert_eq!(plain.1.request(get), answer);
    }
    let count = |req: &mut Client| req.request(json!(["list", "value/*"])).as_array().unwrap().len();
    assert_eq!((count(&mut plain.1), count(&mut structured.1)), (2, 10));

    // Every kind comes in.
    assert_eq!(plain.1.request(json!(["client", "number", 21.5])), "ok");
    assert_eq!(receive(&ours, "client", "number").double().unwrap(), 21.5);
}

/// Waits until a SUB gets what an app sends.
fn until_it_listens(app: &nanostate::App, sub: &mut Client) {
    send(app, "start", "now");
    sub.state(json!([app.identity(), "start", "now"]));
}

#[test]
fn nothing_over_the_limits_crosses_a_gateway() {
    const LIMIT: usize = 2000;
    // A state of this many bytes.
    let of = |len: usize, sender: &str, name: &str| {
        let head = state(sender, name, &"x".repeat(len)).len() - len;
        let text = "x".repeat(len - head);
        assert_eq!(state(sender, name, &text).len(), len);
        text
    };

    // In: exactly the limit is taken, one byte more is not.
    let site = Site::with(&[(HubOption::MaxMessage, LIMIT as i64)]);
    let ours = app("ours", &site.url);
    let [mut push, mut req] = [("push", "pull"), ("req", "rep")]
        .map(|(pattern, role)| Client::start(Library::Nng, pattern, &site.open(role, Place::Tcp)));
    let text = of(LIMIT, "client", "in");
    assert_eq!(req.ask(&state("client", "in", &text)), "ok");
    assert_eq!(receive(&ours, "client", "in").text().unwrap(), text);
    let more = state("client", "in", &of(LIMIT + 1, "client", "in"));
    assert_eq!(req.ask(&more), format!("message of {} bytes refused: the limit is {LIMIT}", LIMIT + 1));
    push.say(&more);
    until("both are counted", || site.stats().too_large == 2);

    // Out: a SUB gets the name and a NUL besides.
    let site = Site::with(&[(HubOption::LegacyMax, LIMIT as i64)]);
    let ours = app("ours", &site.url);
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    let mut sub = Client::start(Library::Nng, "sub", &site.open("pub", Place::Tcp));
    until_it_listens(&ours, &mut sub);
    let name = "out/whole";
    let whole = of(LIMIT - name.len() - 1, "ours", name);
    send(&ours, "out/large", &of(LIMIT - name.len(), "ours", "out/large"));
    send(&ours, name, &whole);
    send(&ours, "out/larger", &of(LIMIT + 1, "ours", "out/larger"));
    send(&ours, "out/last", "x");
    let got = sub.state(json!(["ours", "out/last", "x"]));
    let got: BTreeSet<_> = got.iter().filter_map(|state| state[1].as_str()?.strip_prefix("out/")).collect();
    assert_eq!(got, BTreeSet::from(["whole"]));
    assert_eq!(req.request(json!(["get", name])), json!(["ours", name, whole]));
    let withheld = r#""out/larger" of "ours" is withheld"#;
    let answer = format!("{withheld}: {} bytes, at most {LIMIT}; NS_OPT_HUB_LEGACY_MAX allows more", LIMIT + 1);
    assert_eq!(req.request(json!(["get", "out/larger"])), answer);
    assert_eq!(req.request(json!(["list", "out/las*"])), json!([["ours", "out/last", "x"]]));
    // One that fits by itself, and all of them together do not.
    let answer = req.request(json!(["list", "out/**"]));
    assert!(answer.as_str().is_some_and(|text| text.contains(&format!("at most {}", LIMIT - 4))), "{answer}");
}

#[test]
fn what_is_far_over_the_limit_is_skipped_and_what_follows_arrives() {
    let site = Site::with(&[(HubOption::MaxMessage, 100_000)]);
    let ours = app("ours", &site.url);
    let mut push = Client::start(Library::Nng, "push", &site.open("pull", Place::Tcp));
    push.process.tell("fill large 1000000");
    push.process.tell("text small x");
    assert_eq!(receive_until(&ours, "the small one", |_| true)[0].name(), "small");
    assert_eq!(site.stats().too_large, 1);
}

// ---- many, much, slow

#[test]
fn two_hundred_requests_at_once_are_all_answered() {
    const CLIENTS: u64 = 200;
    const ROUNDS: u64 = 5;
    let site = Site::new();
    let mut command = Command::new(peer_program("nng_reqs", "-lnng"));
    command.args([&site.open("rep", Place::Tcp), &CLIENTS.to_string(), &ROUNDS.to_string()]);
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    assert_eq!(ended.stdout.last().unwrap(), &format!("round {}", ROUNDS - 1));
    let stats = site.stats();
    assert_eq!((stats.messages_in, stats.states, stats.malformed), (CLIENTS * ROUNDS, CLIENTS, 0));
}

/// What a program pushes at full speed arrives, all of it.
fn a_burst_arrives(program: &Path, count: u64) {
    const NAMES: u64 = 100;
    let site = Site::new();
    let ours = app("ours", &site.url);
    let pull = site.open("pull", Place::Tcp);
    let push = Process::run(program, [&pull, &count.to_string(), &NAMES.to_string()]);
    // Taken as they come: a program that takes nothing loses the oldest.
    let mut last = BTreeMap::new();
    receive_until(&ours, "the last of every name", |state| {
        assert_eq!(state.sender(), "push");
        last.insert(state.name().to_owned(), state.text().unwrap().parse::<u64>().unwrap());
        last.len() as u64 == NAMES && last.values().all(|i| *i >= count - NAMES)
    });
    for (name, i) in last {
        assert_eq!(name, format!("n/{}", i % NAMES));
    }
    push.line("that all is sent", |line| line == "sent");
    let stats = site.stats();
    assert_eq!((stats.messages_in, stats.malformed, stats.refused), (count, 0, 0));
}

#[test]
fn a_million_states_that_libnanomsg_pushes_arrive() {
    a_burst_arrives(&peer_program("nn_push", "-lnanomsg"), 1_000_000);
}

/// Fewer: a PUSH of NNG itself takes five times as long for each.
#[test]
fn a_hundred_thousand_states_that_libnng_pushes_arrive() {
    a_burst_arrives(&peer_program("nng_push", "-lnng"), 100_000);
}

#[test]
#[ignore = "for make test-long"]
fn a_million_states_that_libnng_pushes_arrive() {
    a_burst_arrives(&peer_program("nng_push", "-lnng"), 1_000_000);
}

#[test]
fn a_subscriber_that_stops_does_not_hold_the_others_up_and_ends_with_the_newest() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let publisher = site.open("pub", Place::Tcp);
    let (mut stopped, mut lively) = (Brief::start(&publisher), Brief::start(&publisher));
    let value = publish_round(&ours, 1);
    stopped.ends_with(&value);
    stopped.process.signal("STOP");
    let mut rounds = 1;
    until("something is conflated for the one that is stopped", || {
        rounds += 1;
        let value = publish_round(&ours, rounds);
        // The other one is served in every round.
        lively.ends_with(&value);
        site.stats().conflated > 0
    });
    let value = publish_round(&ours, rounds + 1);
    lively.ends_with(&value);
    stopped.process.signal("CONT");
    stopped.ends_with(&value);
}

#[test]
fn subscribers_that_join_while_states_flow_end_with_the_newest() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let publisher = site.open("pub", Place::Ipc);
    let mut rounds = 0;
    let mut subs = Vec::new();
    for _ in 0..8 {
        publish_round(&ours, rounds + 1);
        subs.push(Brief::start(&publisher));
        rounds += 2;
        publish_round(&ours, rounds);
    }
    // Also those that none of them has heard of since.
    let value = rounds.to_string();
    for sub in &mut subs {
        sub.ends_with(&value);
    }
}

/// The names of one round.
const NAMES: usize = 300;

/// Publishes this number under every name, at a length that fills queues.
fn publish_round(app: &nanostate::App, number: u32) -> String {
    for i in 0..NAMES {
        send(app, &format!("n/{i}"), &format!("{number} {}", "x".repeat(2000)));
    }
    app.flush(Some(PATIENCE)).unwrap();
    number.to_string()
}

/// A SUB that tells name and number of each state.
struct Brief {
    process: Process,
    at: usize,
    newest: BTreeMap<String, String>,
}

impl Brief {
    fn start(url: &str) -> Brief {
        let process = Process::run(&peer_program("nng_client", "-lnng"), ["brief", url, "client"]);
        process.line("that it is connected", |line| line == "connected");
        Brief { process, at: 0, newest: BTreeMap::new() }
    }

    /// Waits until this value of every name is the last that it got.
    fn ends_with(&mut self, value: &str) {
        while self.newest.len() < NAMES || self.newest.values().any(|got| got != value) {
            let line = self.process.line_from(&mut self.at, value, |line| line.starts_with("name "));
            let (name, value) = line["name ".len()..].split_once(' ').unwrap();
            self.newest.insert(name.to_owned(), value.to_owned());
        }
    }
}

// ---- opening and closing

/// A URL that is a gateway's, and asks a question there where a program can.
const IN_USE: [(&str, Option<Place>); 4] =
    [("tcp", Some(Place::Tcp)), ("ipc", Some(Place::Ipc)), ("ws", Some(Place::Ws)), ("inproc", None)];

#[test]
fn an_address_in_use_is_refused_by_name_and_the_hub_goes_on() {
    for (transport, place) in IN_USE {
        let site = Site::new();
        let url = match place {
            Some(place) => site.open("rep", place),
            None => {
                let url = format!("inproc://{}-gateway", std::process::id());
                site.hub.listen(&format!("rep+{url}")).unwrap();
                url
            }
        };
        assert!(url.starts_with(transport));
        let other = Site::new();
        for hub in [&site.hub, &other.hub] {
            for role in ["rep", "pub"] {
                let address = format!("{role}+{url}");
                let error = hub.listen(&address).unwrap_err();
                assert_eq!(error.status(), Status::InUse, "{error}");
                assert!(error.to_string().starts_with(&format!("address in use: {address}")), "{error}");
            }
        }
        for site in [&site, &other] {
            let ours = app("ours", &site.url);
            send(&ours, "still", "here");
            ours.flush(Some(PATIENCE)).unwrap();
        }
        let again = if place.is_some() { url } else { site.open("rep", Place::Tcp) };
        let mut req = Client::start(Library::Nng, "req", &again);
        assert_eq!(req.request(json!(["get", "still"])), json!(["ours", "still", "here"]));
        let mut req = Client::start(Library::Nng, "req", &other.open("rep", Place::Tcp));
        assert_eq!(req.request(json!(["get", "still"])), json!(["ours", "still", "here"]));
    }
}

#[test]
fn a_gateway_does_not_take_the_address_of_apps_nor_the_other_way_round() {
    for place in [Place::Tcp, Place::Ipc] {
        let site = Site::new();
        let taken = match place {
            Place::Ipc => {
                let url = site.dir.ipc();
                site.hub.listen(&url).unwrap();
                url
            }
            _ => site.url.clone(),
        };
        let error = site.hub.listen(&format!("pull+{taken}")).unwrap_err();
        assert!(error.to_string().starts_with(&format!("address in use: pull+{taken}")), "{error}");
        let gateway = site.open("pull", place);
        let error = site.hub.listen(&gateway).unwrap_err();
        assert!(error.to_string().starts_with(&format!("address in use: {gateway}")), "{error}");
        let ours = app("ours", &taken);
        let mut push = Client::start(Library::Nng, "push", &gateway);
        push.process.tell("text x y");
        receive(&ours, "client", "x");
    }
}

#[test]
fn the_socket_of_a_gateway_has_its_mode_and_goes_with_the_hub() {
    for mode in [0o600, 0o660] {
        let site = Site::with(&[(HubOption::IpcMode, mode)]);
        let url = site.open("rep", Place::Ipc);
        let path = PathBuf::from(url.strip_prefix("ipc://").unwrap());
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(i64::from(metadata.permissions().mode() & 0o777), mode);
        // One that a killed hub left behind is replaced: nobody holds its lock.
        let Site { hub, dir, .. } = site;
        drop(hub);
        assert!(fs::symlink_metadata(&path).is_err(), "it left its socket behind");
        // It never listened: a program that another test is just starting has a copy of it, for a moment.
        let left = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        left.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        drop(left);
        let (hub, _) = support::hub("tcp://127.0.0.1:0");
        hub.listen(&format!("rep+{url}")).unwrap();
        let mut req = Client::start(Library::Nng, "req", &url);
        assert_eq!(req.request(json!(["peers"])), json!([]));
        drop(dir);
    }
}

#[test]
fn a_hub_that_ends_while_it_is_asked_ends_at_once_and_its_clients_see_it() {
    for place in [Place::Tcp, Place::Ipc] {
        let site = Site::new();
        let rep = site.open("rep", place);
        let mut reqs = Process::run(&peer_program("nng_reqs", "-lnng"), [&rep, "50", "1000000"]);
        let mut others: Vec<_> = [("sub", "pub"), ("push", "pull"), ("surveyor", "respondent")]
            .map(|(pattern, role)| Client::start(Library::Nng, pattern, &site.open(role, place)))
            .into();
        reqs.line("that it asks", |line| line == "round 3");
        let Site { hub, dir, .. } = site;
        // In a thread of its own: a test that hangs tells nothing.
        let end = thread::spawn(move || drop(hub));
        until("the end of the hub", || end.is_finished());
        end.join().unwrap();
        reqs.line("the end of the connections", |line| line == "gone");
        assert_eq!(reqs.ended().code(), Some(0));
        for other in &mut others {
            other.process.line_from(&mut other.at, "the end of the connection", |line| line == "gone");
        }
        drop(dir);
    }
}

#[test]
fn clients_connect_again_when_a_hub_was_away() {
    for place in [Place::Tcp, Place::Ipc, Place::Ws] {
        let dir = TempDir::new();
        let (hub, url) = hub(&Transport::Tcp.free(&dir));
        let site = Site { hub, url, dir };
        let urls = ["pub", "pull", "rep", "respondent"].map(|role| (role, site.open_for_long(role, place)));
        let [mut sub, mut push, mut req, mut surveyor] = ["sub", "push", "req", "surveyor"]
            .into_iter()
            .zip(&urls)
            .map(|(pattern, (_, url))| Client::start(Library::Nng, pattern, url))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| unreachable!());
        let Site { hub, url, dir } = site;
        drop(hub);
        for client in [&mut sub, &mut push, &mut req, &mut surveyor] {
            client.process.line_from(&mut client.at, "the end of the connection", |line| line == "gone");
        }
        // Asked while nobody is there.
        req.say(&msgpack(&json!(["peers"])));

        let (hub, _) = support::hub(&url);
        for (role, url) in &urls {
            hub.listen(&format!("{role}+{url}")).unwrap();
        }
        let ours = app("ours", &url);
        for client in [&mut sub, &mut push, &mut surveyor] {
            client.process.line_from(&mut client.at, "that it is connected again", |line| line == "connected");
        }
        let peers = read(&req.message());
        assert!(peers == json!([]) || peers == json!(["ours"]), "{peers}");
        send(&ours, "x", "to all");
        sub.state(json!(["ours", "x", "to all"]));
        push.process.tell("text y from one");
        assert_eq!(receive(&ours, "client", "y").text().unwrap(), "from one");
        assert_eq!(surveyor.ask(b"who")["hub"], "nanostate");
        drop(dir);
    }
}

#[test]
fn a_survey_finds_every_hub() {
    let sites: Vec<_> = (0..3).map(|_| Site::new()).collect();
    let places = [Place::Tcp, Place::Ipc, Place::Ws];
    let urls: Vec<_> = sites.iter().zip(places).map(|(site, place)| site.open("respondent", place)).collect();
    let mut surveyor = Client::start(Library::Nng, "surveyor", &urls.join(","));
    surveyor.say(b"who");
    let found: BTreeSet<_> = (0..3).map(|_| read(&surveyor.message())["addresses"][0].to_string()).collect();
    assert_eq!(found, sites.iter().map(|site| json!(site.url).to_string()).collect());
}

#[test]
fn a_client_of_another_pattern_is_turned_away() {
    let site = Site::new();
    let program = peer_program("nng_client", "-lnng");
    for (pattern, role) in [("sub", "pull"), ("push", "rep"), ("req", "respondent"), ("surveyor", "pub")] {
        let url = site.open(role, Place::Tcp);
        let client = Process::run(&program, [pattern, &url, "client"]).wait();
        assert!(client.code == Some(1) && client.stdout.is_empty(), "{client:?}");
        assert!(client.stderr[0].ends_with("Connection shutdown"), "{client:?}");
    }
    assert!(site.stats().refused_peers >= 4 && site.stats().peers == 0);
    // An app is none, either.
    let url = site.open("pub", Place::Tcp);
    let lost = nanostate::App::new("lost").unwrap();
    lost.connect(Some(&url)).unwrap();
    let mut sub = Client::start(Library::Nng, "sub", &url);
    let ours = app("ours", &site.url);
    send(&ours, "x", "y");
    sub.state(json!(["ours", "x", "y"]));
    assert_ne!(lost.link(), nanostate::LinkState::Connected);
}

#[test]
fn gateways_that_open_and_close_leave_no_thread_and_no_descriptor_behind() {
    let dir = TempDir::new();
    let mut command = Command::new(c_program("gateway_cycles"));
    command.arg("1000").arg(dir.path());
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
}

fn nothing_leaks_in(cycles: &str) {
    let dir = TempDir::new();
    let mut command = build::valgrind();
    command.arg(c_program("gateway_cycles")).arg(cycles).arg(dir.path());
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn gateways_that_open_and_close_leak_nothing_under_valgrind() {
    nothing_leaks_in("60");
}

#[test]
#[ignore = "for make test-long"]
fn gateways_that_open_and_close_a_thousand_times_leak_nothing_under_valgrind() {
    nothing_leaks_in("1000");
}

/// The threads of a process, without that of the log, which the first line starts; one that has just begun has the name
/// of its parent.
fn threads(process: &Process) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let name = |path: PathBuf| Some(fs::read_to_string(path.join("comm")).ok()?.trim_end().to_owned());
    let mut names: Vec<_> =
        tasks.filter_map(|task| name(task.unwrap().path())).filter(|name| name != "ns-log").collect();
    names.sort();
    names
}

#[test]
fn a_hub_without_a_gateway_has_no_thread_of_nng() {
    const OWN: [&str; 3] = ["nanostate", "nanostate-hub", "signals"];
    let (hub, _) = support::Cli::hub(&["tcp://127.0.0.1:0"]);
    until("the threads of a hub", || threads(&hub) == OWN);
    let (hub, _) = support::Cli::hub(&["tcp://127.0.0.1:0", "pub+tcp://127.0.0.1:0", "rep+tcp://127.0.0.1:0"]);
    until("the threads of a hub", || threads(&hub) == OWN);
    let (hub, _) = support::Cli::hub(&["tcp://127.0.0.1:0", "pub+ws://127.0.0.1:0/states"]);
    until("those of NNG besides", || {
        let (of_nng, own): (Vec<_>, Vec<_>) = threads(&hub).into_iter().partition(|name| name.starts_with("nng:"));
        !of_nng.is_empty() && own == OWN
    });
}

// ---- browsers

/// What a PUB gateway answers to a WebSocket that says this of itself: everything until it closes, or until `enough`.
fn web_socket(url: &str, host: &str, more: &str, enough: &[u8]) -> Vec<u8> {
    let (authority, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: pub.sp.nanomsg.org\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !answer.windows(enough.len()).any(|part| part == enough) {
        match stream.read(&mut buffer) {
            // A connection with something unread in it is reset.
            Ok(0) | Err(_) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
        }
    }
    answer
}

#[test]
fn a_page_of_another_origin_gets_nothing_over_a_web_socket() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    send(&ours, "secret", "none of a page's business");
    ours.flush(Some(PATIENCE)).unwrap();
    let url = site.open("pub", Place::Ws);
    let own = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
    let secret = b"none of a page's business";
    let gets = |origin: &str| {
        let answer = web_socket(&url, own, origin, secret);
        answer.windows(secret.len()).any(|part| part == secret)
    };
    // Nobody but a browser sends one.
    assert!(gets(""));
    assert!(gets(&format!("Origin: http://{own}\r\n")));
    for origin in ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "http://localhost"] {
        assert!(!gets(&format!("Origin: {origin}\r\n")), "{origin}");
    }
}

// ---- the command line

#[test]
fn nanocat_shows_what_publish_sends_and_is_told_what_it_asks_for() {
    let dir = TempDir::new();
    let (_hub, addresses) = support::Cli::hub(&[
        "tcp://127.0.0.1:0",
        "pub+tcp://127.0.0.1:0",
        "pub+tcp://127.0.0.1:0?structured=1",
        "rep+tcp://127.0.0.1:0?structured=1",
    ]);
    let source = build::root().join("examples-c/publish.c");
    let publish = build::compile_c("gateways-publish", &[source], Standard::C99, Link::Shared, &[]);
    let [texts, all] =
        [1, 2].map(|i| Process::spawn(nanocat("--sub", dialled(&addresses[i], "pub"), &["--subscribe", "cpu/"])));
    let mut publish = Process::run(&publish, [&addresses[0]]);
    let shown = |nanocat: &Process, name: &str| {
        let is_it = |line: &str| published(&nanocat_message(line))[1] == name;
        published(&nanocat_message(&nanocat.line(name, is_it)))
    };
    // publish sends the load as a number, and the three loads as a text.
    assert!(shown(&all, "cpu/load")[2].is_number());
    let loads = shown(&texts, "cpu/loads");
    assert_eq!(loads[0], "publish");
    assert_eq!(loads[2].as_str().unwrap().split(' ').count(), 3);
    assert!(texts.lines().iter().all(|line| published(&nanocat_message(line))[1] == "cpu/loads"));

    let request = dir.path().join("request");
    fs::write(&request, b"\x92\xa3get\xa8cpu/load").unwrap();
    let answer = asked_by_nanocat(dialled(&addresses[3], "rep"), &request);
    assert!(answer[0] == "publish" && answer[1] == "cpu/load" && answer[2].is_number(), "{answer}");
    publish.kill();
}

#[test]
fn what_python_pushes_appears_in_watch() {
    let (_hub, addresses) = support::Cli::hub(&["tcp://127.0.0.1:0", "pull+tcp://127.0.0.1:0"]);
    let mut watch = support::Cli::run(&["watch", "--connect", &addresses[0], "cpu/*"]);
    let mut push = guide()["push"].start(dialled(&addresses[1], "pull"));
    let load = push.next_line().split_off("cpu/load is ".len());
    assert_eq!(watch.next_line(), format!("me cpu/load {load}"));
}
