//! Requests and answers.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::super::table::{Capacity, Entry, Offer, Table};
use super::parts::MAX_FAULT;
use super::*;
use crate::limits::{LEGACY_MAX, MAX_NAME};
use crate::time::{LogicalTime, MonoTime};
use crate::wire::{Instance, Kind, Meta, Stamp, Value};

fn request(json: &str) -> Vec<u8> {
    let mut request = Vec::new();
    wire::to_msgpack(json, &mut request).expect(json);
    request
}

/// What is said of a request that is none.
fn refused(request: &[u8]) -> String {
    parse(request).map(|request| panic!("{request:?} was taken")).unwrap_err()
}

/// The one value that `write` appends behind what is there.
fn answered(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = b"before".to_vec();
    write(&mut out);
    let answer = out.strip_prefix(b"before").expect("answers are appended").to_vec();
    assert!(wire::check(&answer).is_ok(), "{answer:02x?}");
    answer
}

fn fault_text(answer: &[u8]) -> &str {
    wire::text(answer).unwrap_or_else(|| panic!("no fault: {}", wire::from_msgpack(answer)))
}

/// Offers `(sender, name, data)`, each newer than the one before.
fn table(states: &[(&str, &str, Vec<u8>)]) -> Table {
    let mut table = Table::new(Capacity::default());
    table.index_names();
    for (bits, (sender, name, data)) in (1..).zip(states) {
        let stamp = Stamp { clock: LogicalTime::from_bits(bits), instance: Instance([1; 16]) };
        let mut body = Vec::new();
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        let meta_at = wire::encode(&mut body, Form::V1, sender, name, data, &meta);
        let kind = wire::check(data).expect("one value");
        let mono = MonoTime::default();
        let offer = Offer {
            body: &body,
            shared: None,
            meta_at,
            sender: sender.as_bytes(),
            name: name.as_bytes(),
            kind,
            stamp,
            origin: None,
            mono,
        };
        table.offer(offer).expect("newer, and there is room");
    }
    table
}

fn text(text: &str) -> Vec<u8> {
    let mut value = Vec::new();
    Value::Text(text).encode(&mut value);
    value
}

/// What a gateway without `?structured=1` takes, up to a size.
fn plain(limit: usize) -> impl Fn(&Entry) -> Takes {
    move |entry| match entry.kind() {
        kind if !kind.is_plain() => Takes::NotKind,
        _ if entry.meta_at() > limit => Takes::TooLarge(limit),
        _ => Takes::Yes,
    }
}

/// Appends the whole answer, with a list made in many parts.
fn answer(
    request: &Query<'_>,
    table: &Table,
    takes: impl Fn(&Entry) -> Takes,
    identities: impl IntoIterator<Item = impl AsRef<str>>,
    limit: usize,
    out: &mut Vec<u8>,
) {
    match super::answer(request.clone(), table, &takes, identities, limit) {
        Answer::Whole(answer) => out.extend(answer),
        Answer::List(mut listing) => {
            while !listing.go_on(table, &mut 3, &takes) {}
            out.extend(listing.finish());
        }
    }
}

fn answer_of(request: &Query<'_>, table: &Table, limit: usize) -> Vec<u8> {
    answered(|out| answer(request, table, plain(LEGACY_MAX), [""; 0], limit, out))
}

/// The elements of an array.
fn elements(array: &[u8]) -> Vec<&[u8]> {
    let mut rest = array;
    let count = rmp::decode::read_array_len(&mut rest).expect("an array");
    let elements = (0..count).map(|_| {
        let (element, behind) = rest.split_at(wire::skip(rest).expect("one value").1);
        rest = behind;
        element
    });
    let elements = elements.collect();
    assert!(rest.is_empty());
    elements
}

#[test]
fn every_verb_is_understood() {
    assert_eq!(parse(&request(r#"["get", "cpu/load"]"#)), Ok(Query::Get("cpu/load")));
    let pattern = Pattern::new("cpu/*").expect("a pattern");
    assert_eq!(parse(&request(r#"["list", "cpu/*"]"#)), Ok(Query::List(pattern)));
    assert_eq!(parse(&request(r#"["clear", "x/y"]"#)), Ok(Query::Clear("x/y")));
    assert_eq!(parse(&request(r#"["peers"]"#)), Ok(Query::Peers));
}

#[test]
fn text_may_be_bin_as_python_2_sends_it() {
    assert_eq!(parse(b"\x92\xC4\x03get\xC4\x01x"), Ok(Query::Get("x")));
    assert_eq!(parse(b"\x91\xC4\x05peers"), Ok(Query::Peers));
}

#[test]
fn three_elements_are_a_body_whatever_they_are() {
    for body in [&b"\x93"[..], b"\x93\xA1a\xA1x\xC0", b"\xDC\x00\x03\xC1", b"\xDD\x00\x00\x00\x03", b"\x93\xA3get"] {
        assert_eq!(parse(body), Ok(Query::Publish), "{body:02x?}");
    }
}

#[test]
fn what_is_no_request_is_answered_with_what_one_may_be() {
    let long = request(&format!("[{:?}]", "x".repeat(1000)));
    let cases = [
        (&b""[..], "the message is empty"),
        (b"\x92\xA3get", "the bytes end inside a value"),
        (b"\x91\xA5peers\xC0", "bytes follow the array"),
        (b"\x91\xC1", "the reserved byte C1"),
        (b"\x91\xA1\xFF", "a str is not valid UTF-8"),
        (b"get x", "bytes follow the array"),
        (b"\xDC\x00", "the bytes end inside a value"),
        (&[0x91; 100], "nested too deeply"),
        (b"\x90", "unknown request of 0 elements"),
        (b"\x94\xA3get\xC0\xC0\xC0", "unknown request of 4 elements"),
        (b"\x2A", "unknown request 42:"),
        (b"\x81\xA3get\xA1x", r#"unknown request {"get":"x"}:"#),
        (b"\xA3get", r#"unknown request "get":"#),
        (b"\x92\xA3gte\xA1x", r#"unknown request "gte":"#),
        (b"\x91\xA3Get", r#"unknown request "Get":"#),
        (b"\x92\x05\xA1x", "unknown request 5:"),
        (b"\x91\xC4\x01\xFF", "unknown request \"\u{FFFD}\":"),
        (b"\x91\xA2\x00\n", r#"unknown request "\x00\n":"#),
        (&long, "xxx\"…:"),
    ];
    for (request, words) in cases {
        let text = refused(request);
        assert!(text.contains(words), "{text:?} does not say {words:?}");
        let expected = r#": expected ["get", name], ["clear", name], ["list", pattern], ["peers"], or a state [sender, name, data]"#;
        assert!(text.ends_with(expected), "{text}");
        assert!(text.chars().count() < 300, "a long value is not shown whole: {text}");
    }
    for (verb, _) in VERBS {
        assert!(expected().contains(&format!("[{verb:?}")));
    }
}

#[test]
fn an_argument_that_does_not_fit_is_named() {
    let long = request(&format!(r#"["get", {:?}]"#, "x".repeat(MAX_NAME + 1)));
    let long_pattern = request(&format!(r#"["list", {:?}]"#, "x".repeat(MAX_NAME + 1)));
    let map = request(&format!(r#"["get", {{"a":{:?}}}]"#, "x".repeat(2000)));
    let cases = [
        (&b"\x91\xA3get"[..], r#"get: one element is too few: expected ["get", name]"#),
        (b"\x91\xA4list", r#"list: one element is too few: expected ["list", pattern]"#),
        (b"\x92\xA5peers\xA1x", r#"peers: "x" is one element too many: expected ["peers"]"#),
        (b"\x92\xA3get\x05", "get: the name is not a str: 5"),
        (b"\x92\xA3get\xC0", "get: the name is not a str: null"),
        (b"\x92\xA4list\x92\x01\x02", "list: the pattern is not a str: [1,2]"),
        (b"\x92\xA3get\xC4\x02x\xFF", "get: the name is not valid UTF-8: \"x\u{FFFD}\""),
        (b"\x92\xA3get\xA0", r#"get: name not allowed: "": empty"#),
        (b"\x92\xA3get\xA3a\0b", r#"get: name not allowed: "a\x00b": contains NUL"#),
        (b"\x92\xA3get\xA8$ns/ping", r#"get: name not allowed: "$ns/ping": begins with $ns/"#),
        (b"\x92\xA4list\xA0", r#"list: pattern is empty: """#),
        (b"\x92\xA4list\xA1\0", r#"list: pattern contains NUL: "\x00""#),
        (&long, "get: name not allowed: \"xxx"),
        (&long_pattern, "list: pattern has 1025 bytes, at most 1024 are allowed: \"xxx"),
        (&map, "get: the name is not a str: map of 2006 bytes"),
    ];
    for (request, words) in cases {
        let text = refused(request);
        assert!(text.starts_with(words), "{text:?} does not begin with {words:?}");
        assert!(text.chars().count() < 300, "a long value is not shown whole: {text}");
    }
}

#[test]
fn what_was_done_is_answered_with_ok() {
    assert_eq!(answer_of(&Query::Publish, &table(&[]), LEGACY_MAX), b"\xA2ok");
}

#[test]
fn a_fault_is_one_short_line() {
    let answer = answered(|out| fault("a\nb\0 \"ü\" \u{1B}[0m", out));
    assert_eq!(fault_text(&answer), "a\\nb\\x00 \"ü\" \\x1b[0m");
    for long in ["ü".repeat(5000), "\0".repeat(5000)] {
        let answer = answered(|out| fault(&long, out));
        assert!(fault_text(&answer).ends_with('…') && fault_text(&answer).chars().count() == MAX_FAULT + 1);
    }
}

#[test]
fn get_gives_the_newest_body_of_any_sender() {
    let table = table(&[("a", "x", text("1")), ("b", "x", text("2")), ("c", "y", text("3"))]);
    assert_eq!(answer_of(&Query::Get("x"), &table, LEGACY_MAX), b"\x93\xA1b\xA1x\xA12");
    assert_eq!(answer_of(&Query::Get("z"), &table, LEGACY_MAX), b"\xC0");
}

#[test]
fn what_the_asker_may_not_have_is_withheld_with_the_reason() {
    let states =
        [("a", "x", text("1")), ("a", "m", vec![0x80]), ("b", "x", vec![0x05]), ("a", "l", text(&"l".repeat(99)))];
    let table = table(&states);
    let asked = |request: &Query| answered(|out| answer(request, &table, plain(50), [""; 0], LEGACY_MAX, out));
    let texts = [
        ("x", r#""x" of "b" (int) is withheld: ?structured=1 in the hub's address allows it"#),
        ("m", r#""m" of "a" (map) is withheld: ?structured=1 in the hub's address allows it"#),
        ("l", r#""l" of "a" is withheld: 106 bytes, at most 50; NS_OPT_HUB_LEGACY_MAX allows more"#),
    ];
    for (name, text) in texts {
        assert_eq!(fault_text(&asked(&Query::Get(name))), text);
    }
    let all = asked(&Query::List(Pattern::new("**").expect("a pattern")));
    assert_eq!(elements(&all), [b"\x93\xA1a\xA1x\xA11"]);
}

#[test]
fn peers_are_their_identities() {
    let none = table(&[]);
    let asked =
        |identities: &[&str], limit| answered(|out| answer(&Query::Peers, &none, plain(0), identities, limit, out));
    assert_eq!(asked(&[], LEGACY_MAX), b"\x90");
    assert_eq!(asked(&["a", "bc"], LEGACY_MAX), b"\x92\xA1a\xA2bc");
    assert_eq!(asked(&["a", "bc"], 6), b"\x92\xA1a\xA2bc");
    let text = "the answer would have 6 bytes, at most 5 are allowed: 2 peers";
    assert_eq!(fault_text(&asked(&["a", "bc"], 5)), text);
}

#[test]
fn an_answer_over_the_limit_is_never_built_and_says_how_large_it_would_be() {
    let names: Vec<_> = (0..100).map(|i| format!("n{i:02}")).collect();
    let states: Vec<_> = names.iter().map(|name| ("a", &**name, text(&"x".repeat(1000)))).collect();
    let table = table(&states);
    let all = Query::List(Pattern::new("**").expect("a pattern"));
    // An array's head, then bodies of a head, "a", a name of 3 bytes and a text of 1000.
    let size = 3 + 100 * (1 + 2 + 4 + 1003);
    let mut out = Vec::new();
    answer(&all, &table, plain(LEGACY_MAX), [""; 0], size, &mut out);
    assert_eq!((out.len(), elements(&out).len()), (size, 100));
    for limit in [size - 1, 5000, 0] {
        let mut out = Vec::new();
        answer(&all, &table, plain(LEGACY_MAX), [""; 0], limit, &mut out);
        let states = "100 states that match \"**\"";
        let text = format!("the answer would have {size} bytes, at most {limit} are allowed: {states}");
        assert_eq!(fault_text(&out), text);
        // A vector that grows may take twice what is in it.
        assert!(out.capacity() <= 2 * limit + 2 * MAX_FAULT, "{} bytes for {limit}", out.capacity());
    }
}

#[test]
fn a_list_takes_no_more_steps_at_a_time_than_it_is_given_and_more_for_long_names() {
    let names: Vec<_> = (0..140).map(|i| format!("{i:0>1000}")).collect();
    let states: Vec<_> = names.iter().map(|name| ("a", name.as_str(), text("x"))).collect();
    let table = table(&states);
    let mut listing = Listing::new(Pattern::new("*0").expect("a pattern"), usize::MAX);
    let looked_at = std::cell::Cell::new(0);
    let takes = |_: &Entry| {
        looked_at.set(looked_at.get() + 1);
        Takes::Yes
    };
    let mut parts = 1;
    while !listing.go_on(&table, &mut 320, takes) {
        parts += 1;
    }
    // A name of 1,000 bytes takes 32 steps: ten of them are one part.
    assert_eq!((parts, looked_at.get()), (14, 14));
    assert_eq!(elements(&listing.finish()).len(), 14);
}

#[test]
fn a_survey_is_answered_with_who_the_hub_is() {
    let addresses = ["tcp://127.0.0.1:15000".to_owned(), "ipc:///run/hub".to_owned()];
    let told = Survey { host: "box", pid: 7, addresses: &addresses, peers: 3, states: 1 << 40 };
    let answer = answered(|out| survey(&told, out));
    let json: serde_json::Value = serde_json::from_str(&wire::from_msgpack(&answer)).expect("JSON");
    let expected = serde_json::json!({
        "hub": "nanostate",
        "version": env!("CARGO_PKG_VERSION"),
        "host": "box",
        "pid": 7,
        "addresses": ["tcp://127.0.0.1:15000", "ipc:///run/hub"],
        "peers": 3,
        "states": 1_u64 << 40,
    });
    assert_eq!(json, expected);
}

/// Senders and names that meet often.
const SENDERS: [&str; 3] = ["a", "b", "a long sender, so that its str has a head of two bytes"];
const NAMES: [&str; 5] = ["x", "y", "a/x", "a/y", "a/b/x"];

/// What requests are made of, and what nearly is.
const PARTS: &[&[u8]] = &[
    b"\xA3get",
    b"\xA4list",
    b"\xA5peers",
    b"\xC4\x05peers",
    b"\xA1*",
    b"\xA0",
    b"\xA1\xFF",
    b"\xC0",
    b"\xC1",
    b"\x91",
    b"\xD9",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        ".{0,40}".prop_map(|value| text(&value)),
        vec(any::<u8>(), 0..400).prop_map(|bytes| {
            let mut value = Vec::new();
            Value::Bytes(&bytes).encode(&mut value);
            value
        }),
        Just(vec![0xC0]),
        Just(vec![0x92, 0x01, 0x80]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered_with_one_value(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..60),
            (0x90_u8..0x95, vec(select(PARTS), 0..5))
                .prop_map(|(head, parts)| [&[head], &*parts.concat()].concat()),
        ],
        limit in 0_usize..100,
    ) {
        let table = table(&[("a", "x", text("1")), ("b", "*", vec![0xC0])]);
        let answer = answered(|out| match parse(&bytes) {
            Ok(request) => answer(&request, &table, plain(20), ["a", "b"], limit, out),
            Err(text) => {
                assert!(wire::decode(&bytes, Form::Old).is_err(), "{text}");
                fault(&text, out);
            }
        });
        prop_assert!(answer.len() < 5 * MAX_FAULT);
    }

    #[test]
    fn get_and_list_agree_with_a_plain_model(
        offers in vec((0..SENDERS.len(), 0..NAMES.len(), value()), 0..60),
        pattern in prop_oneof![Just("**"), Just("*"), Just("a/*"), Just("a/**"), Just("**/x"), Just("x")],
        limit in 0_usize..4000,
    ) {
        let offers: Vec<_> = offers.into_iter().map(|(s, n, data)| (SENDERS[s], NAMES[n], data)).collect();
        let table = table(&offers);
        let takes = |data: &[u8]| wire::check(data).is_ok_and(Kind::is_plain);
        let body = |(sender, name, data): &(&str, &str, Vec<u8>)| {
            let mut body = Vec::new();
            wire::encode(&mut body, Form::Old, sender, name, data, &Meta::default());
            body
        };
        for name in NAMES {
            let answer = answer_of(&Query::Get(name), &table, LEGACY_MAX);
            match offers.iter().rfind(|offer| offer.1 == name) {
                None => prop_assert_eq!(answer, vec![0xC0]),
                Some(newest) if takes(&newest.2) => prop_assert_eq!(answer, body(newest)),
                Some(_) => prop_assert!(fault_text(&answer).contains("is withheld")),
            }
        }
        let pattern = Pattern::new(pattern).expect("a pattern");
        let newest = |i: &usize| {
            let (sender, name, _) = &offers[*i];
            !offers[i + 1..].iter().any(|later| (&later.0, &later.1) == (sender, name))
        };
        let listed = |i: &usize| newest(i) && pattern.matches(offers[*i].1) && takes(&offers[*i].2);
        let mut expected: Vec<_> = (0..offers.len()).filter(listed).map(|i| body(&offers[i])).collect();
        let size = if expected.len() < 16 { 1 } else { 3 } + expected.concat().len();
        let answer = answer_of(&Query::List(pattern), &table, limit);
        if size <= limit {
            let mut bodies = elements(&answer);
            bodies.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(bodies, expected);
            prop_assert_eq!(answer.len(), size);
        } else {
            let words = format!("the answer would have {size} bytes, at most {limit} are allowed");
            prop_assert!(fault_text(&answer).starts_with(&words), "{}", fault_text(&answer));
        }
    }
}
