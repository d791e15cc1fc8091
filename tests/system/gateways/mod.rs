//! Gateways with real programs of the other side: libnanomsg, `nanocat`, libnng and pynng over `tcp`, `ipc` and `ws`,
//! and the programs of docs/gateways.md as they stand.
//!
//! Needed: what `scripts/setup test` installs (nanocat, libnanomsg, libnng, Python with pynng and msgpack).

mod guide;
mod lifecycle;
mod load;
mod patterns;
mod requests;

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

    /// As [`Site::open`], where a hub can come back: no other program gets the port while it is away.
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
    assert_eq!(body.name().as_bytes(), name);
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

/// A program that is the other side of a gateway and does what the test says.
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

/// A state as the programs send it.
fn state(sender: &str, name: &str, text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    wire::encode_value(&mut body, Form::Old, sender, name, Value::Text(text), &Default::default());
    body
}

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

/// Waits until a SUB gets what an app sends.
fn until_it_listens(app: &nanostate::App, sub: &mut Client) {
    send(app, "start", "now");
    sub.state(json!([app.identity(), "start", "now"]));
}
