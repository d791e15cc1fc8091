//! Real programs of the scalability protocols: libnanomsg, `nanocat`, libnng and pynng as apps on our hub, and our apps
//! on plain hubs of libnanomsg and libnng, over `tcp` and `ipc`.
//!
//! Every body that such a program gets is printed by it and looked at here: three elements, text or bytes, nothing
//! that is reserved.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::build;
use crate::support::{
    app, hub, key, peer_program, python, receive, receive_until, send, until, waiting, Cli, Process, TempDir,
    Transport, PATIENCE,
};
use nanostate::wire::{self, Form, RESERVED};
use nanostate::{App, HubOption, Kind, LinkState, State, Value};

/// A program that takes part in a BUS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    Nanomsg,
    Nng,
    Pynng,
}

impl Peer {
    /// Starts it as an app.
    fn join(self, url: &str, identity: &str) -> Process {
        let program = match self {
            Peer::Nanomsg => peer_program("nn_bus", "-lnanomsg"),
            Peer::Nng => peer_program("nng_bus", "-lnng"),
            Peer::Pynng => {
                let script = build::root().join("tests/peers/pynng_bus.py");
                return Process::start("pynng_bus.py", Command::new(python()).arg(script).args([url, identity]));
            }
        };
        Process::run(&program, [url, identity])
    }

    /// Starts it as a hub.
    fn serve(self, url: &str) -> Process {
        let hub = Process::run(&self.hub(), [url]);
        hub.line("that it listens", |line| line == "listening");
        hub
    }

    fn hub(self) -> PathBuf {
        match self {
            Peer::Nanomsg => peer_program("nn_hub", "-lnanomsg"),
            Peer::Nng | Peer::Pynng => peer_program("nng_hub", "-lnng"),
        }
    }
}

/// The bytes of a body that a peer program printed.
fn body_of(line: &str) -> Option<Vec<u8>> {
    let hex = line.strip_prefix("body ")?.split('\t').next()?;
    let hex = if hex == "-" { "" } else { hex };
    let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    Some((0..hex.len()).step_by(2).map(byte).collect())
}

/// The bytes of a body that `nanocat --hex` printed: `"\x93\xa1…"`.
fn nanocat_body_of(line: &str) -> Option<Vec<u8>> {
    let hex = line.strip_prefix('"')?.strip_suffix('"')?;
    Some(hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect())
}

/// A body in the words of a peer program.
fn printed(sender: &str, name: &str, kind: &str, data: &str) -> String {
    format!("\t{sender}\t{name}\t{kind}\t{data}")
}

/// Looks at everything that a program ever got: bodies of three elements of which the last is of one of `kinds`, and
/// no name that is reserved. Gives how many there were.
fn look_at_all(bodies: impl IntoIterator<Item = Vec<u8>>, kinds: &[Kind]) -> usize {
    let mut n = 0;
    for bytes in bodies {
        let words = format!("{bytes:02x?}");
        assert_eq!(bytes.first(), Some(&0x93), "not three elements: {words}");
        let body = wire::decode(&bytes, Form::Old).unwrap_or_else(|error| panic!("{error}: {words}"));
        assert!(!body.name().starts_with(RESERVED), "{words}");
        assert!(kinds.contains(&body.kind), "a state that is {}: {words}", body.kind.name());
        // A name cannot hide in a body's other parts either.
        let reserved = RESERVED.as_bytes();
        assert!(!bytes.windows(reserved.len()).any(|part| part == reserved), "{words}");
        n += 1;
    }
    n
}

const PLAIN: [Kind; 2] = [Kind::Text, Kind::Bytes];

/// An array, a map, an extension.
const STRUCTURED: [&[u8]; 3] = [b"\x92\x01\xa1x", b"\x81\xa1k\x01", b"\xd4\x05x"];

fn send_what_old_programs_cannot_take(app: &App) -> u64 {
    let values = [
        Value::Nil,
        Value::Bool(true),
        Value::Int(-7),
        Value::Uint(u64::MAX),
        Value::Double(0.5),
        Value::Msgpack(STRUCTURED[0]),
        Value::Msgpack(STRUCTURED[1]),
        Value::Msgpack(STRUCTURED[2]),
    ];
    for (i, value) in values.iter().enumerate() {
        app.send(&format!("no/{i}"), *value).unwrap();
    }
    values.len() as u64
}

fn wait_for_old_peers(hub: &nanostate::Hub, n: u64) {
    until("old programs join", || hub.stats().old_peers == n);
}

/// An old program and our apps on our hub.
fn takes_part_in_our_hub(peer: Peer, transport: Transport) {
    let dir = TempDir::new();
    let (hub, url) = hub(&transport.any(&dir));
    let (ours, witness) = (app("ours", &url), app("witness", &url));

    let mut old = peer.join(&url, "old");
    let mut at = 0;
    let mut wait_for = |old: &Process, line: String| {
        let what = line.clone();
        old.line_from(&mut at, &what, |printed| printed.ends_with(&line));
    };
    wait_for_old_peers(&hub, 1);

    // From us to it: text as text, bytes as bytes, all of it in order, nothing that would crash it.
    for i in 0..500 {
        send(&ours, &format!("to/{i}"), &format!("käse {i}"));
    }
    ours.send("to/bytes", Value::Bytes(b"raw")).unwrap();
    let withheld = send_what_old_programs_cannot_take(&ours);
    send(&ours, "to/end", "");
    for i in 0..500 {
        wait_for(&old, printed("ours", &format!("to/{i}"), "text", &format!("käse {i}")));
    }
    wait_for(&old, printed("ours", "to/bytes", "bin", "raw"));
    wait_for(&old, printed("ours", "to/end", "text", ""));
    assert_eq!(hub.stats().withheld, withheld);
    // Our other app got the same and the rest.
    let got = receive_until(&witness, "the end", |state| state.name() == "to/end");
    let structured = got.iter().filter(|state| !state.kind().is_plain()).count();
    assert_eq!(structured as u64, withheld);

    // From it to us: text is readable however it sends it.
    for i in 0..50 {
        let (command, kind) = if i % 2 == 0 { ("text", Kind::Text) } else { ("bin", Kind::Bytes) };
        old.tell(&format!("{command} from/{i} gruß {i}"));
        for app in [&ours, &witness] {
            let state = receive(app, "old", &format!("from/{i}"));
            assert_eq!(state.text().unwrap(), format!("gruß {i}"));
            assert_eq!(state.kind(), kind);
            assert_ne!(state.time(), 0, "the hub stamps what has no stamp");
        }
    }

    // BUS drops what it cannot write at once, but it keeps the order.
    for i in 0..200 {
        old.tell(&format!("text burst/{i} {i}"));
    }
    let end = once_it_crosses(&witness, "old", "end", |i| old.tell(&format!("text end {i}")));
    let numbers: Vec<u32> = end
        .iter()
        .filter(|state| state.name().starts_with("burst/"))
        .map(|state| state.text().unwrap().parse().unwrap())
        .collect();
    assert!(!numbers.is_empty() && numbers.is_sorted(), "{numbers:?}");

    // What is reserved ends at the hub when an old program says it.
    old.tell(&format!("raw {}", hex(&old_body("old", "$ns/hello", b"\x80"))));
    old.tell(&format!("raw {}", hex(&old_body("old", "$ns/x", b"\xa1x"))));
    until("both are counted", || hub.stats().reserved == 2);
    once_it_crosses(&witness, "old", "after", |i| old.tell(&format!("text after {i}")));

    let got = look_at_all(old.lines().iter().filter_map(|line| body_of(line)), &PLAIN);
    assert_eq!(got, 502, "500, bytes, end, and nothing of its own");
    assert!(waiting(&witness).iter().all(|state| !state.name().starts_with(RESERVED)));
    assert!(old.is_running());
}

/// Has `say` called with other numbers until the state `(sender, name)` comes, since a BUS may drop a message. Gives
/// all that came up to it.
fn once_it_crosses(app: &App, sender: &str, name: &str, mut say: impl FnMut(u32)) -> Vec<State> {
    let mut all = Vec::new();
    for i in 0.. {
        assert!(i < 300, "{name} of {sender} does not cross");
        say(i);
        while let Ok(state) = app.recv(Some(Duration::from_millis(200))) {
            let found = state.sender() == sender && state.name() == name;
            all.push(state);
            if found {
                return all;
            }
        }
    }
    unreachable!()
}

fn old_body(sender: &str, name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    wire::encode(&mut body, Form::Old, sender, name, data, &Default::default());
    body
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Our apps on a plain hub of another library.
fn serves_our_apps(peer: Peer, transport: Transport) {
    let dir = TempDir::new();
    let url = transport.free(&dir);
    let mut plain_hub = peer.serve(&url);

    // Said before anything is known of the hub.
    let (a, b) = (App::new("a").unwrap(), app("b", &url));
    send(&a, "early", "bird");
    a.connect(Some(&url)).unwrap();
    a.wait_connected(Some(PATIENCE)).unwrap();
    a.flush(Some(PATIENCE)).unwrap();
    let early = printed("a", "early", "text", "bird");
    plain_hub.line("what was sent before", |line| line.ends_with(&early));

    let meet = |hello: &str| {
        for (from, to) in [(&a, &b), (&b, &a)] {
            once_it_crosses(to, from.identity(), hello, |i| send(from, hello, &i.to_string()));
        }
    };
    meet("hello");
    for i in 0..50 {
        let (name, text) = (format!("to/{i}"), format!("grüße {i}"));
        send(&a, &name, &text);
        assert_eq!(receive(&b, "a", &name).text().unwrap(), text);
        a.send(&name, Value::Bytes(text.as_bytes())).unwrap();
        let state = receive(&b, "a", &name);
        assert_eq!((state.kind(), state.text().unwrap()), (Kind::Bytes, &text[..]));
    }

    // The hub sends everything back. No app sees its own states, and none sees what old programs cannot take.
    let withheld = send_what_old_programs_cannot_take(&a);
    send(&a, "last", "");
    receive(&b, "a", "last");
    send(&b, "last", "");
    let got = receive_until(&a, "last of b", |state| state.name() == "last");
    assert!(got.iter().all(|state| state.sender() == "b"), "{:?}", got.iter().map(key).collect::<Vec<_>>());
    assert_eq!(a.stats().withheld, withheld);
    assert!(a.stats().echoes > 0);
    look_at_all(plain_hub.lines().iter().filter_map(|line| body_of(line)), &PLAIN);

    // It goes, and comes back.
    plain_hub.kill();
    for app in [&a, &b] {
        until("the loss is seen", || app.link() != LinkState::Connected);
    }
    send(&a, "while it was away", "yes");
    let plain_hub = peer.serve(&url);
    let kept = printed("a", "while it was away", "text", "yes");
    plain_hub.line("what was sent meanwhile", |line| line.ends_with(&kept));
    // The newest of before is said again, because this hub knows nothing.
    plain_hub.line("what was sent before", |line| line.ends_with(&early));
    meet("hello again");
    for state in waiting(&a).iter().chain(&waiting(&b)) {
        assert!(state.kind().is_plain() && !state.name().starts_with(RESERVED), "{}", key(state));
    }
    assert!(a.stats().connects >= 2);
    look_at_all(plain_hub.lines().iter().filter_map(|line| body_of(line)), &PLAIN);
}

/// Old programs and ours together on a plain hub: what ours says, the others can read.
fn is_read_on_a_plain_hub(hub: Peer, peer: Peer, transport: Transport) {
    let dir = TempDir::new();
    let url = transport.free(&dir);
    let plain_hub = hub.serve(&url);
    let mut old = peer.join(&url, "old");
    let ours = app("ours", &url);
    once_it_crosses(&ours, "old", "hello", |i| old.tell(&format!("text hello {i}")));

    let mut at = 0;
    for i in 0..20 {
        send(&ours, &format!("to/{i}"), &format!("käse {i}"));
        let line = printed("ours", &format!("to/{i}"), "text", &format!("käse {i}"));
        old.line_from(&mut at, &line, |got| got.ends_with(&line));
        old.tell(&format!("bin from/{i} gruß {i}"));
        assert_eq!(receive(&ours, "old", &format!("from/{i}")).text().unwrap(), format!("gruß {i}"));
    }
    look_at_all(plain_hub.lines().iter().filter_map(|line| body_of(line)), &PLAIN);
    look_at_all(old.lines().iter().filter_map(|line| body_of(line)), &PLAIN);
}

macro_rules! over_both_transports {
    ($($peer:ident: $module:ident),*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn takes_part_in_our_hub_over_tcp() {
                takes_part_in_our_hub(Peer::$peer, Transport::Tcp);
            }

            #[test]
            fn takes_part_in_our_hub_over_ipc() {
                takes_part_in_our_hub(Peer::$peer, Transport::Ipc);
            }
        }
    )*};
}

over_both_transports!(Nanomsg: a_nanomsg_program, Nng: an_nng_program, Pynng: a_pynng_program);

#[test]
fn a_plain_nanomsg_hub_serves_our_apps_over_tcp() {
    serves_our_apps(Peer::Nanomsg, Transport::Tcp);
}

#[test]
fn a_plain_nanomsg_hub_serves_our_apps_over_ipc() {
    serves_our_apps(Peer::Nanomsg, Transport::Ipc);
}

#[test]
fn a_plain_nng_hub_serves_our_apps_over_tcp() {
    serves_our_apps(Peer::Nng, Transport::Tcp);
}

#[test]
fn a_plain_nng_hub_serves_our_apps_over_ipc() {
    serves_our_apps(Peer::Nng, Transport::Ipc);
}

#[test]
fn a_nanomsg_program_and_our_app_understand_each_other_on_a_plain_nanomsg_hub() {
    is_read_on_a_plain_hub(Peer::Nanomsg, Peer::Nanomsg, Transport::Tcp);
}

#[test]
fn an_nng_program_and_our_app_understand_each_other_on_a_plain_nng_hub() {
    is_read_on_a_plain_hub(Peer::Nng, Peer::Nng, Transport::Ipc);
}

#[test]
fn a_pynng_program_and_our_app_understand_each_other_on_a_plain_nanomsg_hub() {
    is_read_on_a_plain_hub(Peer::Nanomsg, Peer::Pynng, Transport::Ipc);
}

/// nanocat, which can send only one thing, and sends it indefinitely.
fn nanocat_talks_with_our_apps(transport: Transport) {
    let dir = TempDir::new();
    let (hub, url) = hub(&transport.any(&dir));
    let ours = app("ours", &url);
    let said = dir.path().join("said");
    std::fs::write(&said, old_body("cat", "said", b"\xa5miaou")).unwrap();
    let nanocat = Process::run(
        Path::new("nanocat"),
        ["--bus", "--connect", &url, "--hex", "--interval", "0.1", "--file", said.to_str().unwrap()],
    );
    wait_for_old_peers(&hub, 1);
    assert_eq!(receive(&ours, "cat", "said").text().unwrap(), "miaou");

    let withheld = send_what_old_programs_cannot_take(&ours);
    for i in 0..100 {
        send(&ours, &format!("to/{i}"), &format!("käse {i}"));
    }
    send(&ours, "to/end", "");
    nanocat
        .line("the end", |line| nanocat_body_of(line).is_some_and(|body| body == old_body("ours", "to/end", b"\xa0")));
    let bodies: Vec<_> = nanocat.lines().iter().filter_map(|line| nanocat_body_of(line)).collect();
    let names: Vec<_> = bodies.iter().map(|body| wire::decode(body, Form::Old).unwrap().name().to_owned()).collect();
    let expected: Vec<_> = (0..100).map(|i| format!("to/{i}")).chain(["to/end".to_owned()]).collect();
    assert_eq!(names, expected, "whole, in order, and nothing of its own");
    look_at_all(bodies, &PLAIN);
    assert_eq!(hub.stats().withheld, withheld);
}

#[test]
fn nanocat_talks_with_our_apps_over_tcp() {
    nanocat_talks_with_our_apps(Transport::Tcp);
}

#[test]
fn nanocat_talks_with_our_apps_over_ipc() {
    nanocat_talks_with_our_apps(Transport::Ipc);
}

#[test]
fn nanostate_watch_beside_nanocat_shows_the_same_texts() {
    let dir = TempDir::new();
    let (hub, url) = hub(&Transport::Tcp.any(&dir));
    let url = &url[..];
    let nanocat = Process::run(Path::new("nanocat"), ["--bus", "--connect", url, "--hex"]);
    let watch = Cli::run(&["watch", "--connect", url]);
    let mut old = Peer::Nanomsg.join(url, "old");
    let ours = app("ours", url);

    let is_last = |line: &str| line.ends_with("last one");
    let shown = |line: &str| {
        let body = nanocat_body_of(line)?;
        let body = wire::decode(&body, Form::Old).unwrap();
        let text = wire::text(body.data).or_else(|| std::str::from_utf8(wire::bytes(body.data)?).ok())?;
        Some(format!("{} {} {text}", body.sender(), body.name()))
    };
    until("all join", || hub.stats().peers == 4);
    // A BUS drops what is said before the other side has answered.
    send(&ours, "start", "now");
    old.line("the start", |line| line.ends_with(&printed("ours", "start", "text", "now")));
    nanocat.line("the start", |line| shown(line).as_deref() == Some("ours start now"));
    for i in 0..20 {
        send(&ours, &format!("new/{i}"), &format!("21.{i} °C"));
        old.tell(&format!("text old/{i} still {i}"));
        // One after the other: two senders have no order between them.
        for line in [format!("ours new/{i} 21.{i} °C"), format!("old old/{i} still {i}")] {
            watch.line(&line, |got| got == line);
            nanocat.line(&line, |got| shown(got).as_deref() == Some(&line[..]));
        }
    }
    old.tell("bin last last one");
    watch.line("the last", is_last);
    nanocat.line("the last", |line| shown(line).is_some_and(|text| is_last(&text)));
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let of_nanocat = sorted(nanocat.lines().iter().map(|line| shown(line).expect("a text")).collect());
    assert_eq!(sorted(watch.lines()), of_nanocat);
}

#[test]
fn an_old_program_gets_structured_states_from_a_hub_that_was_told_so() {
    let dir = TempDir::new();
    let hub = nanostate::Hub::new().unwrap();
    hub.set(HubOption::LegacyStructured, 1).unwrap();
    hub.listen(&dir.ipc()).unwrap();
    let url = hub.address(0).unwrap();
    let ours = app("ours", &url);
    let old = Peer::Nanomsg.join(&url, "old");
    wait_for_old_peers(&hub, 1);
    send_what_old_programs_cannot_take(&ours);
    let map = hex(&old_body("ours", "no/6", STRUCTURED[1]));
    old.line("the map", |line| line == format!("body {map}"));
    let number = hex(&old_body("ours", "no/2", b"\xf9"));
    old.line("the number", |line| line == format!("body {number}"));
    assert_eq!(hub.stats().withheld, 0);
    look_at_all(old.lines().iter().filter_map(|line| body_of(line)), Kind::VALUES);
}

#[test]
fn old_programs_of_every_library_hear_each_other_through_our_hub() {
    let dir = TempDir::new();
    let (hub, url) = hub(&dir.ipc());
    const PEERS: [Peer; 3] = [Peer::Nanomsg, Peer::Nng, Peer::Pynng];
    let join = |peer: Peer| (format!("{peer:?}"), peer.join(&url, &format!("{peer:?}")));
    let mut peers = PEERS.map(join);
    wait_for_old_peers(&hub, 3);
    // A BUS drops what is said before the other side has answered.
    let ours = app("ours", &url);
    send(&ours, "start", "");
    for (_, peer) in &peers {
        peer.line("the start", |line| line.ends_with(&printed("ours", "start", "text", "")));
    }
    let mut turn = 0;
    for from in 0..peers.len() {
        for kind in ["text", "bin"] {
            turn += 1;
            let (sender, process) = &mut peers[from];
            process.tell(&format!("{kind} turn/{turn} gruß"));
            let line = printed(sender, &format!("turn/{turn}"), kind, "gruß");
            for (_, (_, other)) in peers.iter().enumerate().filter(|(i, _)| *i != from) {
                other.line(&line, |got| got.ends_with(&line));
            }
            assert_eq!(receive(&ours, &format!("{:?}", PEERS[from]), &format!("turn/{turn}")).text().unwrap(), "gruß");
        }
    }
    for (_, peer) in &peers {
        let got = look_at_all(peer.lines().iter().filter_map(|line| body_of(line)), &PLAIN);
        assert_eq!(got, 5, "the start and two of each other");
    }
}
