//! REP and RESPONDENT: requests, surveys and their answers.

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::{Protocol, Role};
use nanostate::framing::{frame_head, Framing};
use nanostate::wire::{self, Instance, Stamp};
use nanostate::Kind;

use super::{answered, fault, json, old_state, str_value};
use crate::sim::{stamp, value, Direct, MS, SEC};

#[test]
fn each_request_is_answered_with_what_it_asks_for() {
    let mut hub = Direct::new(RouterConfig::default());
    let rep = hub.join_client(Role::Rep, false);
    assert_eq!(answered(&mut hub, rep, r#"["get", "x"]"#), "null");
    assert_eq!(answered(&mut hub, rep, r#"["list", "*"]"#), "[]");
    assert_eq!(answered(&mut hub, rep, r#"["peers"]"#), "[]");
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.open_old();
    hub.publish(a, "a", "x", &json(r#""older""#));
    hub.publish(a, "a", "m", &json(r#"{"k": 1}"#));
    hub.pass(MS);
    hub.publish(b, "b", "x", &json(r#""newer""#));
    assert_eq!(answered(&mut hub, rep, r#"["get", "x"]"#), r#"["b","x","newer"]"#);
    assert_eq!(answered(&mut hub, rep, r#"["c", "x", "newest"]"#), r#""ok""#);
    assert_eq!(answered(&mut hub, rep, r#"["get", "x"]"#), r#"["c","x","newest"]"#);
    // Who asks takes plain values, but may publish whatever it likes.
    assert_eq!(answered(&mut hub, rep, r#"["c", "i", 5]"#), r#""ok""#);
    let listed = hub.ask(rep, &json(r#"["list", "*"]"#));
    for state in ["older", "newer", "newest"] {
        assert!(wire::from_msgpack(&listed).contains(state));
    }
    assert_eq!(listed[0], 0x93, "{}", wire::from_msgpack(&listed));
    for name in ["m", "i"] {
        let fault = fault(&mut hub, rep, &json(&format!(r#"["get", "{name}"]"#)));
        assert!(fault.contains(&format!("{name:?}")) && fault.contains("?structured=1"), "{fault}");
    }
    let peers = answered(&mut hub, rep, r#"["peers"]"#);
    assert!([r#"["a","b"]"#, r#"["b","a"]"#].contains(&&*peers), "{peers}");
    let structured = hub.join_client(Role::Rep, true);
    assert_eq!(answered(&mut hub, structured, r#"["get", "m"]"#), r#"["a","m",{"k":1}]"#);
    assert_eq!(hub.ask(structured, &json(r#"["list", "*"]"#))[0], 0x95);
    // What an app that is gone has left is found as long as it stays.
    hub.lose(b);
    assert_eq!(answered(&mut hub, rep, r#"["peers"]"#), r#"["a"]"#);
    assert_eq!(hub.peer(rep).messages_in, 2);
}

#[test]
fn a_list_that_would_be_too_large_is_answered_with_how_large() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000 + 4, ..RouterConfig::default() });
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    // Bodies of 100 bytes: the heads of array, sender, name and text take 1, 2, 3 and 2.
    for key in 0..9 {
        hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, key, 100 - 8));
    }
    hub.publish(a, "a", "one more", &value(Kind::Text, 1, 100 - 14));
    // Not in a list at all, because it is not for old peers.
    hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
    assert_eq!(hub.ask(rep, &json(r#"["list", "k*"]"#)).len(), 901);
    let fault = fault(&mut hub, rep, &json(r#"["list", "*"]"#));
    assert!(fault.contains("1001 bytes, at most 1000") && fault.contains("10 states"), "{fault}");
}

#[test]
fn a_state_that_is_not_taken_is_answered_with_the_reason() {
    let mut hub = Direct::new(RouterConfig { max_message: 1000, ..RouterConfig::default() });
    hub.router.capacity_mut().states = 2;
    let (_app, rep) = (hub.open_v1("v", 1), hub.join_client(Role::Rep, false));
    let ok = str_value("ok");
    assert_eq!(hub.ask(rep, &old_state("s", "x", &[1])), ok);
    assert_eq!(hub.ask(rep, &old_state("s", "x", &[2])), ok, "what is there may change");
    let cases = [
        (old_state("s", "y", &[1]), r#""y" not taken: the hub's table is full"#),
        (old_state("s", "$ns/ping", &[1]), r#""$ns/ping" refused: reserved"#),
        (old_state("v", "x", &[1]), r#"states sent as "v" refused: not its identity"#),
        (old_state("s", "x", &value(Kind::Text, 1, 1001 - 5 - 3)), "message of 1001 bytes refused: the limit is 1000"),
        (vec![0x93, 0xA1, b's', 0xA1, b'x'], "malformed message: the bytes end inside a value"),
        (vec![0x93, 0xA1, b's', 0x01, 0x01], "malformed message: the name is not a str"),
        ([&old_state("s", "x", &[1])[..], &[0]].concat(), "malformed message: bytes follow the array"),
    ];
    for (request, words) in &cases {
        let fault = fault(&mut hub, rep, request);
        assert!(fault.contains(words), "{fault}, not {words}");
    }
    let stats = hub.router.stats();
    assert_eq!((stats.messages_in, stats.refused, stats.reserved, stats.foreign_sender), (2, 1, 1, 1));
    assert_eq!((stats.too_large, stats.malformed), (1, 3));
    assert_eq!((hub.peer(rep).malformed, hub.peer(rep).too_large), (3, 1));
    assert_eq!(hub.router.table().find("s", "x").expect("taken").data(), [2]);
}

#[test]
fn a_state_that_is_older_than_the_one_held_is_not_answered_with_ok() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    // From a clock that is an hour ahead.
    let ahead = Stamp { instance: Instance([1; 16]), ..stamp(hub.now.wall.as_millis() + 3_600_000) };
    hub.publish_at(a, "a", "x", &[1], ahead);
    hub.lose(a);
    hub.pass(SEC);
    let answer = hub.ask(rep, &old_state("a", "x", &[2]));
    let held = hub.router.table().find("a", "x").expect("it stays").data() == [2];
    assert!(held || answer != str_value("ok"), "answered ok, and not taken: {:?} stale", hub.router.stats().stale);
}

#[test]
fn a_request_that_is_none_is_answered_with_what_is_wrong_and_no_fault_of_the_hub() {
    let mut hub = Direct::new(RouterConfig::default());
    let rep = hub.join_client(Role::Rep, false);
    hub.events();
    let cases = [
        (vec![], "the message is empty"),
        (vec![0xC1], "the reserved byte C1"),
        (vec![0x92, 0xA3, b'g'], "the bytes end inside a value"),
        ([json(r#"["peers"]"#), vec![0]].concat(), "bytes follow the array"),
        (vec![0x91; 100], "nested too deeply"),
        (json(r#""get""#), r#"unknown request "get""#),
        (json("[]"), "unknown request of 0 elements"),
        (json(r#"["get", "x", "y", "z"]"#), "unknown request of 4 elements"),
        (json(r#"["gets", "x"]"#), r#"unknown request "gets""#),
        (json(r#"["get"]"#), r#"expected ["get", name]"#),
        (json(r#"["list"]"#), r#"expected ["list", pattern]"#),
        (json(r#"["peers", 1]"#), r#"expected ["peers"]"#),
        (json(r#"["get", 7]"#), "get: the name is not a str: 7"),
        (json(r#"["get", ""]"#), "empty"),
        (json(r#"["get", "$ns/ping"]"#), "begins with $ns/"),
        (json(r#"["list", ""]"#), "list: "),
    ];
    for (request, words) in &cases {
        let fault = fault(&mut hub, rep, request);
        assert!(fault.contains(words), "{fault:?}, not {words:?}");
        assert!(!fault.contains(char::is_control) && fault.chars().count() <= 1001, "{fault:?}");
    }
    assert_eq!((hub.peer(rep).messages_in, hub.peer(rep).malformed, hub.router.stats().malformed), (0, 0, 0));
    assert!(hub.warnings().is_empty());
    assert_eq!(hub.ask(rep, &old_state("s", "x", &[1])), str_value("ok"));
}

#[test]
fn lists_that_take_many_turns_are_answered_by_their_traces_in_their_order() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    (0..9000).for_each(|i| hub.publish(a, "a", &format!("k{i}"), &value(Kind::Text, i, 1)));
    let asks = [r#"["list", "k1"]"#, r#"["list", "k*"]"#, r#"["get", "k2"]"#, r#"["list", "k3"]"#];
    for (tag, ask) in asks.iter().enumerate() {
        hub.message(rep, &[0x80, 0, 0, tag as u8], &json(ask));
    }
    assert!(hub.answers(rep).is_empty() && hub.router.is_ready(), "it takes more than one turn");
    hub.settle();
    let answers = hub.answers(rep);
    let tags: Vec<_> = answers.iter().map(|(trace, _)| trace[3]).collect();
    assert_eq!(tags, [0, 1, 2, 3]);
    assert_eq!(wire::from_msgpack(&answers[0].1), r#"[["a","k1","1"]]"#);
    assert_eq!(answers[1].1[..3], [0xDC, 0x23, 0x28], "9,000 of them");
    assert_eq!(wire::from_msgpack(&answers[3].1), r#"[["a","k3","3"]]"#);
}

#[test]
fn a_reader_that_does_not_keep_up_is_read_all_the_same() {
    let mut hub = Direct::new(RouterConfig { outbox: 100, ..RouterConfig::default() });
    let (a, subscribers) = (hub.open_v1("a", 1), hub.open_pub(false));
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 1000));
    assert!(hub.peer(subscribers).outbox_bytes > 1000);
    assert!(hub.router.reads(subscribers), "or the hub would not hear that its clients are gone");
}

#[test]
fn many_requests_that_come_at_once_take_bounded_memory() {
    const OUTBOX: usize = 10_000;
    const LARGEST: usize = 20_000;
    let mut hub = Direct::new(RouterConfig { outbox: OUTBOX, legacy_max: LARGEST, ..RouterConfig::default() });
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    hub.publish(a, "a", "x", &value(Kind::Text, 1, LARGEST - 100));
    // As many as one read may give: whether the hub reads is asked before it.
    let request = [&b"\x80\0\0\x01"[..], &json(r#"["list", "*"]"#)].concat();
    let frame = [&frame_head(Framing::Tcp, request.len())[..], &request].concat();
    let requests = frame.repeat((64 << 10) / frame.len());
    assert!(hub.router.reads(rep));
    hub.bytes(rep, &requests);
    let waits = hub.peer(rep).outbox_bytes as usize;
    // Nothing larger than the requests themselves, beyond one answer.
    assert!(waits <= OUTBOX + LARGEST + 10 * requests.len(), "{waits} bytes wait for {} of requests", requests.len());
}

#[test]
fn a_survey_is_answered_with_who_the_hub_is_whatever_it_asks() {
    let mut hub = Direct::new(RouterConfig::default());
    let about = hub.router.about_mut();
    (about.host, about.pid) = ("a host".into(), 4711);
    about.addresses = (0..20).map(|i| format!("tcp://127.0.0.1:{i}")).collect();
    let (respondent, a) = (hub.join_client(Role::Respondent, false), hub.open_v1("a", 1));
    // Apps and old peers count, gateways do not.
    hub.open_old();
    hub.publish(a, "a", "x", &[1]);
    let surveys = [vec![], vec![0xC1], json(r#"["peers"]"#), vec![0x91; 1000], old_state("s", "y", &[1])];
    let mut answers: Vec<_> = surveys.iter().map(|survey| hub.ask(respondent, survey)).collect();
    assert_eq!(wire::check(&answers[0]), Ok(Kind::Map));
    let words = wire::from_msgpack(&answers[0]);
    for part in [
        r#""host":"a host""#,
        r#""pid":4711"#,
        r#""peers":2"#,
        r#""states":1"#,
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:19",
        concat!('"', env!("CARGO_PKG_VERSION"), '"'),
    ] {
        assert!(words.contains(part), "{words} has no {part}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same answer to every survey");
    let stats = hub.router.stats();
    assert_eq!((stats.messages_in, stats.malformed, stats.states), (1, 0, 1), "a survey publishes nothing");
}

#[test]
fn a_client_withdraws_the_newest_value_of_a_name_unless_its_sender_is_connected_elsewhere() {
    let mut hub = Direct::new(RouterConfig::default());
    let (rep, subscriber) = (hub.join_client(Role::Rep, false), hub.open_pub(true));
    let app = hub.open_v1("app", 1);
    let none = r#""\"x\" is not held by the hub""#;
    assert_eq!(answered(&mut hub, rep, r#"["clear", "x"]"#), none);
    // Of this connection, and of one that is gone.
    assert_eq!(answered(&mut hub, rep, r#"["me", "x", "1"]"#), r#""ok""#);
    hub.read(subscriber, usize::MAX);
    assert_eq!(answered(&mut hub, rep, r#"["clear", "x"]"#), r#""ok""#);
    assert!(hub.read(subscriber, usize::MAX).is_empty(), "its protocol has no word for it");
    assert_eq!(
        (answered(&mut hub, rep, r#"["get", "x"]"#), answered(&mut hub, rep, r#"["clear", "x"]"#)),
        ("null".into(), none.into())
    );
    assert_eq!(answered(&mut hub, rep, r#"["list", "**"]"#), "[]");
    let other = hub.join_client(Role::Rep, false);
    assert_eq!(answered(&mut hub, other, r#"["me", "x", "2"]"#), r#""ok""#);
    let elsewhere =
        |who: &str| format!(r#""\"x\" of \"{who}\" is not withdrawn: its sender is connected, clear it there""#);
    assert_eq!(answered(&mut hub, rep, r#"["clear", "x"]"#), elsewhere("me"));
    hub.lose(other);
    assert_eq!(answered(&mut hub, rep, r#"["clear", "x"]"#), r#""ok""#);
    // Of an app, when it has left.
    hub.publish(app, "app", "x", &[7]);
    assert_eq!(answered(&mut hub, rep, r#"["clear", "x"]"#), elsewhere("app"));
    hub.lose(app);
    assert_eq!(answered(&mut hub, rep, r#"["clear", "x"]"#), r#""ok""#);
    assert_eq!(hub.router.table().values(), 0);
    // An array of three elements publishes, whatever it begins with.
    assert_eq!(answered(&mut hub, rep, r#"["clear", "x", "y"]"#), r#""ok""#);
    assert_eq!(answered(&mut hub, rep, r#"["get", "x"]"#), r#"["clear","x","y"]"#);
}
