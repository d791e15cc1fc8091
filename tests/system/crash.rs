//! What crashed the original: messages that are not states, or states of other kinds than text. Here they come from old
//! programs and from apps gone mad through a hub, and from a hub gone mad; everybody stays up, every good state in
//! between arrives, and each refusal is counted in the right place.

use std::collections::BTreeMap;

use crate::support::{
    self, app, c_program, hub, key, receive, receive_until, send, until, waiting, Process, Random, Raw, RawListener,
    TempDir, Transport, PATIENCE, TRANSPORTS,
};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, Instance, Malformed, Meta, Stamp, Value};
use nanostate::{App, Hub};

/// How many random messages each hub and app gets.
const RANDOM: usize = 100_000;
/// In that many of them there is a good one.
const GOOD_IN: usize = 100;

/// What who sends all this calls itself.
const ATTACKER: &str = "attacker";

/// One msgpack str.
fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Value::Text(text).encode(&mut out);
    out
}

/// A body of these parts, however wrong they are.
fn of_parts(form: Form, sender: &[u8], name: &[u8], data: &[u8]) -> Vec<u8> {
    let meta: &[u8] = if form == Form::V1 { b"\x80" } else { b"" };
    [&[0x90 | form.elements()], sender, name, data, meta].concat()
}

/// Messages that are not states, in words, and what each is to be counted as.
fn bad_messages(form: Form) -> Vec<(&'static str, Vec<u8>, Malformed)> {
    use Malformed as M;
    let own = text(ATTACKER);
    let with_data = |data: &[u8]| of_parts(form, &own, b"\xa1n", data);
    let with_sender = |sender: &[u8]| of_parts(form, sender, b"\xa1n", b"\xa1v");
    let with_name = |name: &[u8]| of_parts(form, &own, name, b"\xa1v");
    let good = with_data(b"\xa1v");
    let deep = [vec![0x91; 40], vec![0xc0]].concat();
    let deep_map = [[0x81, 0xc0].repeat(33), vec![0xc0]].concat();
    let mut bad = vec![
        ("an object", b"\x81\xa1a\x01".to_vec(), M::NotArray),
        ("an int", b"\x2a".to_vec(), M::NotArray),
        ("a text", b"\xa5hello".to_vec(), M::NotArray),
        ("nil", b"\xc0".to_vec(), M::NotArray),
        ("an empty array", b"\x90".to_vec(), M::WrongCount),
        ("an array of two", b"\x92\xa1s\xa1n".to_vec(), M::WrongCount),
        ("an array of five", b"\x95\xa1s\xa1n\xa1v\x80\x80".to_vec(), M::WrongCount),
        ("C1", b"\xc1".to_vec(), M::Reserved),
        ("C1 as data", with_data(b"\xc1"), M::Reserved),
        ("C1 as a sender", with_sender(b"\xc1"), M::Reserved),
        ("an empty message", Vec::new(), M::Empty),
        ("an array of four thousand million", b"\xdd\xff\xff\xff\xff".to_vec(), M::WrongCount),
        ("a map of four thousand million", b"\xdf\xff\xff\xff\xff".to_vec(), M::NotArray),
        (
            "data of four thousand million elements",
            of_parts(Form::Old, &own, b"\xa1n", b"\xdd\xff\xff\xff\xff"),
            M::Truncated,
        ),
        (
            "a text of four thousand million bytes",
            of_parts(Form::Old, &own, b"\xa1n", b"\xdb\xff\xff\xff\xff"),
            M::Truncated,
        ),
        ("half a message", good[..good.len() / 2].to_vec(), M::Truncated),
        ("a 40-deep array", with_data(&deep), M::Depth),
        ("a 33-deep map", with_data(&deep_map), M::Depth),
        ("a text that is not UTF-8", with_data(b"\xa2\xc3\x28"), M::Utf8),
        ("a text inside that is not UTF-8", with_data(b"\x91\x81\xa1\xff\x01"), M::Utf8),
        ("a surrogate", with_data(b"\xa3\xed\xa0\x80"), M::Utf8),
        ("a sender that is not UTF-8", with_sender(b"\xa2\xff\xfe"), M::Utf8),
        ("a name that is not UTF-8", with_name(b"\xa2\xff\xfe"), M::Utf8),
        ("an empty sender", with_sender(b"\xa0"), M::Sender),
        ("a number as sender", with_sender(b"\x07"), M::Sender),
        ("a sender with a NUL", with_sender(b"\xa3a\0b"), M::Sender),
        ("a sender of 256 bytes", with_sender(&text(&"s".repeat(256))), M::Sender),
        ("an empty name", with_name(b"\xa0"), M::Name),
        ("nil as name", with_name(b"\xc0"), M::Name),
        ("a name with a NUL", with_name(b"\xa3a\0b"), M::Name),
        ("a name of 1025 bytes", with_name(&text(&"n".repeat(1025))), M::Name),
        ("a message and more", [&good[..], b"\xc0"].concat(), M::Trailing),
        ("two messages in one", good.repeat(2), M::Trailing),
    ];
    if form == Form::V1 {
        // What is cut short above is an old body; on this link its head is wrong before its end.
        for (_, body, _) in bad.iter_mut().filter(|(_, body, reason)| *reason == M::Truncated && body[0] == 0x93) {
            body[0] = 0x94;
        }
        bad.extend([
            ("an old body on a new link", of_parts(Form::Old, &own, b"\xa1n", b"\xa1v"), M::WrongCount),
            ("bytes as sender", with_sender(b"\xc4\x01s"), M::Sender),
            ("a text as meta", [&b"\x94"[..], &own, b"\xa1n\xa1v\xa1m"].concat(), M::Meta),
            ("a stamp that is none", [&b"\x94"[..], &own, b"\xa1n\xa1v\x81\x00\x01"].concat(), M::Meta),
            ("a hello that says nothing", of_parts(form, &own, &text("$ns/hello"), b"\xa1v"), M::Control),
            ("a ping that asks nothing", of_parts(form, &own, &text("$ns/ping"), b"\xc0"), M::Control),
        ]);
    } else {
        bad.push(("a new body on an old link", of_parts(Form::V1, &own, b"\xa1n", b"\xa1v"), M::WrongCount));
    }
    bad
}

/// Counts by reason, as the hub has them.
fn counts<'a>(reasons: impl IntoIterator<Item = &'a Malformed>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason.id()).or_default() += 1;
    }
    counts
}

fn counts_of(hub: &Hub) -> BTreeMap<&'static str, u64> {
    let by_reason = hub.stats().malformed_by;
    let named = Malformed::ALL.iter().map(|reason| (reason.id(), by_reason[reason.index()]));
    named.filter(|(_, n)| *n > 0).collect()
}

/// Everything random that may be a message. About a fifth of it is one.
fn random_message(random: &mut Random, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    match random.below(6) {
        0 => {
            let n = random.below(64);
            return random.bytes(n);
        }
        1 => bytes.truncate(random.below(good.len())),
        2 => {
            let n = 1 + random.below(8);
            bytes.extend(random.bytes(n));
        }
        3 => {
            // Another value where the last bytes were.
            bytes.truncate(good.len() - random.below(good.len() / 2));
            let n = random.below(32);
            bytes.extend(random.bytes(n));
        }
        _ => {
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
        }
    }
    bytes
}

/// A state of every kind, small.
fn random_state(random: &mut Random, raw: &Raw, i: usize) -> Vec<u8> {
    let name = format!("random/{}", random.below(50));
    let values = [
        Value::Text("some text"),
        Value::Bytes(b"\x00\xff"),
        Value::Int(-1000),
        Value::Double(1.5),
        Value::Bool(true),
        Value::Nil,
        Value::Msgpack(b"\x93\x01\xa1x\x81\xa1k\xc0"),
        Value::Msgpack(b"\xd6\x01abcd"),
    ];
    raw.body(&name, values[random.below(values.len())], support::clock() + i as u64)
}

/// What a hub is to make of a message.
#[derive(Default, Debug)]
struct Expected {
    malformed: Vec<Malformed>,
    reserved: u64,
    foreign: u64,
    states: u64,
}

impl Expected {
    /// Counts a message of the program with this instance; `false` if it says something on a v1 link, which this is not
    /// about.
    fn add(&mut self, bytes: &[u8], form: Form, instance: Instance, held: &[&str]) -> bool {
        let others = |stamp: Option<Stamp>| stamp.is_some_and(|stamp| stamp.instance != instance);
        match wire::decode(bytes, form) {
            Err(reason) => self.malformed.push(reason),
            Ok(body) if body.is_reserved() && form == Form::Old => self.reserved += 1,
            Ok(body) if body.is_reserved() => match Control::decode(&body) {
                Ok(_) => return false,
                Err(reason) => self.malformed.push(reason),
            },
            Ok(body) if form == Form::V1 && body.sender() != ATTACKER => self.foreign += 1,
            Ok(body) if form == Form::V1 && body.meta.check_features(Features::NONE, 0).is_err() => {
                self.malformed.push(Malformed::Feature)
            }
            Ok(body) if form == Form::V1 && others(body.meta.stamp) => self.foreign += 1,
            Ok(body) if form == Form::Old && held.contains(&body.sender()) => self.foreign += 1,
            Ok(_) => self.states += 1,
        }
        true
    }
}

/// Writes `RANDOM` random messages, with a good state `good/N` behind each `GOOD_IN` of them.
fn rage(raw: &mut Raw, form: Form, seed: u64, expected: &mut Expected, held: &[&str]) {
    let mut random = Random::new(seed);
    let mut out = Vec::new();
    for i in 0..RANDOM {
        let state = random_state(&mut random, raw, i);
        let message = random_message(&mut random, &state);
        if expected.add(&message, form, raw.instance(), held) {
            raw.frame(&message, &mut out);
        }
        if i % GOOD_IN == GOOD_IN - 1 {
            let good = raw.body(&format!("good/{}", i / GOOD_IN), Value::Text("good"), support::clock() + i as u64);
            assert!(expected.add(&good, form, raw.instance(), held));
            raw.frame(&good, &mut out);
        }
        if out.len() > 1 << 16 || i == RANDOM - 1 {
            raw.write(&out);
            out.clear();
        }
    }
}

/// Looks at everything a raw old program got: no state of a kind that crashes it.
fn only_text_and_bytes(raw: &mut Raw, bodies: &[Vec<u8>]) {
    for bytes in bodies {
        let body = raw.decode(bytes);
        assert!(body.kind.is_plain() && !body.is_reserved(), "{body:?}");
    }
}

/// The C app, joined.
fn c_app(url: &str) -> Process {
    let app = Process::run(&c_program("app"), [url, "c-app"]);
    app.line("the link", |line| line.starts_with("link 2"));
    app
}

fn c_app_ends_well(mut app: Process) {
    assert!(app.is_running(), "{}", app.words());
    app.end_of_input();
    assert!(app.ended().success(), "{}", app.words());
}

fn every_bad_message_is_counted_and_nobody_falls(transport: Transport, form: Form) {
    let dir = TempDir::new();
    let (hub, url) = hub(&transport.any(&dir));
    let c_app = c_app(&url);
    let rust_app = app("rust-app", &url);
    let mut old_witness = Raw::old(&url, "witness");
    until("the witness joins", || hub.stats().old_peers == 1);
    let mut attacker = match form {
        Form::Old => Raw::old(&url, ATTACKER),
        Form::V1 => Raw::v1(&url, ATTACKER),
    };
    let mut expected = Vec::new();
    for (i, (what, message, reason)) in bad_messages(form).into_iter().enumerate() {
        attacker.send_raw(&message);
        expected.push(reason);
        let good = format!("good/{i}");
        attacker.send(&good, Value::Text(what));
        // Also from who is not mad.
        send(&rust_app, &good, what);
        assert_eq!(receive(&rust_app, ATTACKER, &good).text().unwrap(), what, "behind {what}");
        for sender in [ATTACKER, "rust-app"] {
            let line = format!("state {sender} {good} 1 {} {what}", what.len());
            c_app.line(&line, |got| got == line);
        }
        assert_eq!(counts_of(&hub), counts(&expected), "behind {what}");
    }
    let stats = hub.stats();
    assert_eq!(stats.malformed, expected.len() as u64);
    assert_eq!(stats.messages_in, 2 * expected.len() as u64);
    assert_eq!((stats.reserved, stats.foreign_sender, stats.too_large), (0, 0, 0));

    let last = format!("good/{}", expected.len() - 1);
    let bodies: Vec<_> = [(); 2].iter().flat_map(|()| old_witness.receive_until(&last)).collect();
    assert_eq!(bodies.len(), 2 * expected.len());
    only_text_and_bytes(&mut old_witness, &bodies);
    assert_eq!(rust_app.stats().malformed, 0, "nothing of it was passed on");
    c_app_ends_well(c_app);
}

#[test]
fn every_bad_message_of_an_old_program_is_counted_and_nobody_falls_over_tcp() {
    every_bad_message_is_counted_and_nobody_falls(Transport::Tcp, Form::Old);
}

#[test]
fn every_bad_message_of_an_old_program_is_counted_and_nobody_falls_over_ipc() {
    every_bad_message_is_counted_and_nobody_falls(Transport::Ipc, Form::Old);
}

#[test]
fn every_bad_message_of_a_new_program_is_counted_and_nobody_falls_over_tcp() {
    every_bad_message_is_counted_and_nobody_falls(Transport::Tcp, Form::V1);
}

#[test]
fn every_bad_message_of_a_new_program_is_counted_and_nobody_falls_over_ipc() {
    every_bad_message_is_counted_and_nobody_falls(Transport::Ipc, Form::V1);
}

#[test]
fn a_structured_state_of_an_old_program_reaches_our_apps_and_no_old_one() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let c_app = c_app(&url);
        let rust_app = app("rust-app", &url);
        let mut witness = Raw::old(&url, "witness");
        let mut browser = Raw::old(&url, "javascript");
        until("both join", || hub.stats().old_peers == 2);
        // What a browser sends for an object, an array, numbers, a truth value and null; and an extension.
        let values: [&[u8]; 8] = [
            b"\x81\xa1a\x01",
            b"\x92\x01\x02",
            b"\x2a",
            b"\xcb\x3f\xf8\0\0\0\0\0\0",
            b"\xc3",
            b"\xc0",
            b"\xd4\x01x",
            b"\x90",
        ];
        let kinds = [9, 8, 5, 7, 4, 3, 10, 8];
        for (i, value) in values.iter().enumerate() {
            browser.send(&format!("object/{i}"), Value::Msgpack(value));
            browser.send(&format!("text/{i}"), Value::Text("t"));
            assert_eq!(receive(&rust_app, "javascript", &format!("object/{i}")).kind() as i32, kinds[i]);
            let line = format!("state javascript object/{i} {} ", kinds[i]);
            c_app.line(&line, |got| got.starts_with(&line));
        }
        let bodies = witness.receive_until("text/7");
        assert_eq!(bodies.len(), values.len());
        only_text_and_bytes(&mut witness, &bodies);
        let stats = hub.stats();
        assert_eq!((stats.withheld, stats.malformed), (values.len() as u64, 0));
        c_app_ends_well(c_app);
    }
}

#[test]
fn reserved_names_and_foreign_senders_of_an_old_program_are_counted_and_go_nowhere() {
    let dir = TempDir::new();
    let (hub, url) = hub(&dir.ipc());
    let rust_app = app("rust-app", &url);
    let mut attacker = Raw::old(&url, ATTACKER);
    attacker.send("$ns/welcome", Value::Nil);
    attacker.send("$ns/", Value::Text("x"));
    attacker.send_raw(&of_parts(Form::Old, &text("rust-app"), b"\xa1n", b"\xa6forged"));
    attacker.send("good", Value::Text("good"));
    let got = receive_until(&rust_app, "the good one", |state| state.name() == "good");
    assert_eq!(got.iter().map(key).collect::<Vec<_>>(), ["attacker good \"good\""]);
    let stats = hub.stats();
    assert_eq!((stats.reserved, stats.foreign_sender, stats.malformed), (2, 1, 0));
    assert_eq!(stats.messages_in, 1);
}

#[test]
fn a_new_program_cannot_speak_for_another() {
    let dir = TempDir::new();
    let (hub, url) = hub(&dir.ipc());
    let rust_app = app("rust-app", &url);
    let mut attacker = Raw::v1(&url, ATTACKER);
    attacker.send_raw(&of_parts(Form::V1, &text("rust-app"), b"\xa1n", b"\xa6forged"));
    attacker.send_raw(&of_parts(Form::V1, &text("nobody"), b"\xa1n", b"\xa6forged"));
    attacker.send("good", Value::Text("good"));
    let got = receive_until(&rust_app, "the good one", |state| state.name() == "good");
    assert_eq!(got.len(), 1);
    assert_eq!(hub.stats().foreign_sender, 2);
}

fn random_messages_harm_nobody(transport: Transport, form: Form) {
    let dir = TempDir::new();
    let (hub, url) = hub(&transport.any(&dir));
    let c_app = c_app(&url);
    let rust_app = app("rust-app", &url);
    let mut attacker = match form {
        Form::Old => Raw::old(&url, ATTACKER),
        Form::V1 => Raw::v1(&url, ATTACKER),
    };
    let mut expected = Expected::default();
    rage(&mut attacker, form, 0x6E61_6E6F, &mut expected, &["c-app", "rust-app"]);

    let good = RANDOM / GOOD_IN;
    let mut from = 0;
    let mut next_good = 0;
    receive_until(&rust_app, "every good state", |state| {
        if state.sender() == ATTACKER && state.name() == format!("good/{next_good}") {
            next_good += 1;
        }
        next_good == good
    });
    for i in 0..good {
        let line = format!("state {ATTACKER} good/{i} 1 4 good");
        c_app.line_from(&mut from, &line, |got| got == line);
    }
    let stats = hub.stats();
    assert_eq!(counts_of(&hub), counts(&expected.malformed));
    assert_eq!(stats.malformed, expected.malformed.len() as u64);
    assert_eq!((stats.reserved, stats.foreign_sender, stats.too_large), (expected.reserved, expected.foreign, 0));
    assert_eq!(stats.messages_in + stats.stale + stats.ahead + stats.refused, expected.states);
    assert!(expected.malformed.len() > RANDOM / 4 && expected.states > RANDOM as u64 / 20, "{}", expected.states);
    assert_eq!(rust_app.stats().malformed, 0);
    c_app_ends_well(c_app);
}

#[test]
fn a_hundred_thousand_random_messages_of_an_old_program_harm_nobody() {
    random_messages_harm_nobody(Transport::Tcp, Form::Old);
}

#[test]
fn a_hundred_thousand_random_messages_of_a_new_program_harm_nobody() {
    random_messages_harm_nobody(Transport::Ipc, Form::V1);
}

/// What an app is to count as malformed.
fn is_malformed_for_an_app(bytes: &[u8], form: Form) -> bool {
    match wire::decode(bytes, form) {
        Err(_) => true,
        Ok(body) if body.is_reserved() => form == Form::Old || Control::decode(&body).is_err(),
        Ok(_) => false,
    }
}

/// A hub gone mad: a plain hub forwards whatever any program sent.
fn an_app_survives_its_hub(transport: Transport, form: Form) {
    let dir = TempDir::new();
    let listener = RawListener::new(&transport.any(&dir));
    let accept = || match form {
        Form::Old => listener.accept_old(),
        Form::V1 => listener.accept_v1(16 << 20).0,
    };
    let mut c_app = Process::run(&c_program("app"), [listener.url(), "c-app"]);
    let mut to_c = accept();
    c_app.line("the link", |line| line.starts_with("link 2"));
    let rust_app = App::new("rust-app").unwrap();
    rust_app.connect(Some(listener.url())).unwrap();
    let mut to_rust = accept();
    rust_app.wait_connected(Some(PATIENCE)).unwrap();

    let mut random = Random::new(7);
    let mut malformed = 0;
    let mut messages = Vec::new();
    for (_, message, _) in bad_messages(form) {
        messages.push(message);
    }
    for i in 0..RANDOM {
        let state = random_state(&mut random, &to_c, i);
        messages.push(random_message(&mut random, &state));
    }
    let mut out = Vec::new();
    let mut good = 0;
    let base = support::clock();
    for (i, message) in messages.iter().enumerate() {
        let speaks = form == Form::V1
            && wire::decode(message, form).is_ok_and(|body| body.is_reserved() && Control::decode(&body).is_ok());
        if !speaks {
            malformed += u64::from(is_malformed_for_an_app(message, form));
            to_c.frame(message, &mut out);
        }
        if i % GOOD_IN == 0 || i == messages.len() - 1 {
            let mut body = Vec::new();
            let stamp = wire::Stamp { clock: LogicalTime::from_bits(base + i as u64), instance: to_c.instance() };
            let meta = Meta { stamp: Some(stamp), ..Meta::default() };
            wire::encode(&mut body, form, "good-app", &format!("good/{good}"), &text("good"), &meta);
            to_c.frame(&body, &mut out);
            good += 1;
            to_c.write(&out);
            to_rust.write(&out);
            out.clear();
        }
    }
    let mut from = 0;
    for i in 0..good {
        let line = format!("state good-app good/{i} 1 4 good");
        c_app.line_from(&mut from, &line, |got| got == line);
    }
    let last = format!("good/{}", good - 1);
    let got = receive_until(&rust_app, "the last good state", |state| state.name() == last);
    assert_eq!(got.iter().filter(|state| state.sender() == "good-app").count(), good);
    assert_eq!(rust_app.stats().malformed, malformed);
    assert!(waiting(&rust_app).is_empty());
    c_app.tell("stats");
    c_app.line("the count of the malformed", |line| line.contains(&format!(" malformed {malformed} ")));
    c_app_ends_well(c_app);
}

#[test]
fn an_app_survives_an_old_hub_that_passes_on_anything_over_tcp() {
    an_app_survives_its_hub(Transport::Tcp, Form::Old);
}

#[test]
fn an_app_survives_an_old_hub_that_passes_on_anything_over_ipc() {
    an_app_survives_its_hub(Transport::Ipc, Form::Old);
}

#[test]
fn an_app_survives_a_new_hub_gone_mad() {
    an_app_survives_its_hub(Transport::Ipc, Form::V1);
}

#[test]
fn what_is_no_bus_at_all_is_refused_and_counted() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let witness = app("witness", &url);
        let strangers: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\n\r\n",
            // The header of another protocol (PAIR), reserved bytes that mean nothing, another version of SP.
            b"\0SP\0\0\x10\0\0",
            b"\0SP\0\0\x70\x12\x34",
            b"\0SP\x01\0\x70\0\0",
        ];
        for (i, stranger) in strangers.iter().enumerate() {
            let mut raw = Raw::dial(&url);
            raw.write(stranger);
            assert!(raw.closed().is_empty());
            until("it is counted", || hub.stats().refused_peers == i as u64 + 1);
        }
        // A frame that is none ends its connection, and only that.
        let mut attacker = Raw::old(&url, ATTACKER);
        attacker.send("before", Value::Text(""));
        if transport == Transport::Ipc {
            attacker.write(b"\x02\0\0\0\0\0\0\0\x01x");
            attacker.closed();
        }
        receive(&witness, ATTACKER, "before");
        assert_eq!(hub.stats().peers, if transport == Transport::Ipc { 1 } else { 2 });
    }
}
