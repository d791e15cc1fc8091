//! PUB: what a subscriber is sent, at first and then, and when it is slow.

use std::collections::BTreeMap;

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::Role;
use nanostate::Kind;

use super::{fault, json, named, names, old_state, published};
use crate::sim::{value, Direct, MS};

#[test]
fn who_subscribes_gets_the_newest_values_and_then_what_changes() {
    for structured in [false, true] {
        let mut hub = Direct::new(RouterConfig::default());
        let a = hub.open_v1("a", 1);
        for number in 0..2 {
            hub.pass(MS);
            for &kind in Kind::VALUES {
                hub.publish(a, "a", kind.name(), &value(kind, number, 10));
            }
        }
        let taken = |kind: &&Kind| structured || kind.is_plain();
        let kinds: Vec<_> = Kind::VALUES.iter().filter(taken).collect();
        let gateway = hub.join_client(Role::Pub, structured);
        let messages = |number| -> Vec<_> {
            let state = |kind: &&Kind| old_state("a", kind.name(), &value(**kind, number, 10));
            kinds.iter().map(|kind| named(kind.name(), &state(kind))).collect()
        };
        assert_eq!(hub.frames(gateway), messages(1), "structured: {structured}");
        hub.pass(MS);
        for &kind in Kind::VALUES {
            hub.publish(a, "a", kind.name(), &value(kind, 2, 10));
        }
        assert_eq!(hub.frames(gateway), messages(2), "structured: {structured}");
    }
}

/// Of each name the data that came last.
fn newest_of(frames: &[Vec<u8>]) -> BTreeMap<&str, &[u8]> {
    frames.iter().map(|frame| published(frame)).map(|body| (body.name(), body.data)).collect()
}

#[test]
fn a_state_for_subscribers_has_its_name_in_front_and_both_within_the_limit() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let (a, gateway, requests) = (hub.open_v1("a", 1), hub.open_pub(false), hub.join_client(Role::Rep, false));
    // As many bytes of text as make a body of `len`: array head, sender and the name's head take 4 bytes, a str 16
    // head takes 3.
    let text = |name: &str, len: usize| value(Kind::Text, 1, len - 4 - name.len() - 3);
    hub.publish(a, "a", "L", &text("L", 1000 - 2));
    hub.publish(a, "a", "long name", &text("long name", 1000 - 10));
    hub.publish(a, "a", "M", &text("M", 1000 - 1));
    hub.publish(a, "a", "N", &text("N", 1001));
    let frames = hub.frames(gateway);
    assert_eq!(names(&frames), ["L", "long name"]);
    assert!(frames.iter().all(|frame| frame.len() == 1000));
    assert_eq!((hub.peer(gateway).withheld, hub.router.stats().withheld), (2, 2));
    let warnings = hub.warnings();
    assert!(
        matches!(&warnings[..], [text] if text.contains("\"M\"") && text.contains("NS_OPT_HUB_LEGACY_MAX")),
        "{warnings:?}"
    );
    // An answer has a trace of four bytes in front.
    hub.publish(a, "a", "O", &text("O", 1000 - 4));
    hub.publish(a, "a", "P", &text("P", 1001 - 4));
    assert_eq!(hub.ask(requests, &json(r#"["get", "O"]"#)).len(), 996);
    for (request, words) in
        [(r#"["get", "P"]"#, "997 bytes, at most 996"), (r#"["get", "N"]"#, "1001 bytes, at most 1000")]
    {
        let refused = fault(&mut hub, requests, &json(request));
        assert!(refused.contains(words) && refused.contains("NS_OPT_HUB_LEGACY_MAX"), "{refused}");
    }
}

#[test]
fn what_a_gateway_withholds_is_counted_and_logged_once_with_what_allows_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, gateway, structured) = (hub.open_v1("a", 1), hub.open_pub(false), hub.open_pub(true));
    hub.warnings();
    for number in 0..5 {
        hub.pass(MS);
        hub.publish(a, "a", "m", &value(Kind::Map, number, 10));
        hub.publish(a, "a", "i", &value(Kind::Int, number, 10));
    }
    assert_eq!((hub.frames(gateway).len(), hub.frames(structured).len()), (0, 10));
    assert_eq!((hub.peer(gateway).withheld, hub.peer(structured).withheld, hub.router.stats().withheld), (10, 0, 10));
    let warnings = hub.warnings();
    let [text] = &warnings[..] else { panic!("one line: {warnings:?}") };
    assert!(text.contains("\"m\" (map)") && text.contains("?structured=1"), "{text}");
    assert!(!text.contains("NS_OPT_HUB_LEGACY_STRUCTURED"), "{text}");
    // What is asked of all old peers is so of gateways.
    let mut hub = Direct::new(RouterConfig { legacy_structured: true, ..RouterConfig::default() });
    let (a, gateway) = (hub.open_v1("a", 1), hub.open_pub(false));
    hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
    assert_eq!((hub.frames(gateway).len(), hub.peer(gateway).withheld), (1, 0));
}

#[test]
fn a_gateway_that_takes_nothing_is_sent_the_newest_of_each_key_once() {
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let (a, gateway) = (hub.open_v1("a", 1), hub.open_pub(false));
    for i in 0..1000 {
        hub.pass(MS);
        hub.publish(a, "a", &format!("k{}", i % 50), &value(Kind::Text, i, 100));
        assert!(hub.peer(gateway).outbox_bytes <= 2000 + 200);
    }
    assert!(!hub.peer(gateway).live);
    let before = hub.peer(gateway).messages_out;
    let frames = hub.frames(gateway);
    let newest = newest_of(&frames);
    for i in 950..1000 {
        assert_eq!(newest[&*format!("k{}", i % 50)], value(Kind::Text, i, 100));
    }
    let stats = hub.peer(gateway);
    assert_eq!((stats.messages_out - before, stats.live), (50, true));
    assert_eq!(stats.messages_out + stats.conflated, 1000);
}
