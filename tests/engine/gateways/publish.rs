//! PUB: what a gateway is fed, when clients come, and when it is slow.

use std::collections::{BTreeMap, BTreeSet};

use nanostate::engine::gateway::{self, MAX_TRACE};
use nanostate::engine::hub::RouterConfig;
use nanostate::engine::{ConnId, Role};
use nanostate::Kind;

use super::{fault, json, named, names, old_state, published, Outgoing};
use crate::sim::{value, Direct, MS};

#[test]
fn a_gateway_with_nobody_to_send_to_is_fed_nothing_and_counts_nothing() {
    let mut hub = Direct::new(RouterConfig { legacy_snapshot: true, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "early", &value(Kind::Text, 1, 10));
    let gateways: Vec<_> = Role::ALL.iter().map(|&role| (role, hub.open_gateway(role, false))).collect();
    let publish = |hub: &mut Direct| {
        hub.pass(MS);
        for &kind in Kind::ALL {
            hub.publish(a, "a", kind.name(), &value(kind, 1, 10));
        }
    };
    publish(&mut hub);
    for &(role, gateway) in &gateways {
        assert!(hub.frames(gateway).is_empty(), "{role:?}");
        // The other side of only one of them wants to hear.
        if role != Role::Pub {
            hub.client_comes(gateway, 3);
        }
    }
    let publisher = gateways.iter().find(|(role, _)| *role == Role::Pub).expect("one of all roles").1;
    hub.client_comes(publisher, 1);
    assert_eq!(hub.frames(publisher).len(), 3);
    let before = hub.peer(publisher);
    hub.status(publisher, gateway::GatewayStatus::default());
    publish(&mut hub);
    for &(role, gateway) in &gateways {
        assert!(hub.frames(gateway).is_empty(), "{role:?}");
        let stats = hub.peer(gateway);
        assert_eq!((stats.conflated, stats.outbox_bytes, stats.live), (0, 0, true), "{role:?}");
        let expected = if role == Role::Pub { (before.messages_out, before.withheld) } else { (0, 0) };
        assert_eq!((stats.messages_out, stats.withheld), expected, "{role:?}");
    }
}

#[test]
fn who_subscribes_gets_the_newest_values_and_then_what_changes() {
    for structured in [false, true] {
        let mut hub = Direct::new(RouterConfig::default());
        let a = hub.open_v1("a", 1);
        let gateway = hub.open_gateway(Role::Pub, structured);
        for number in 0..2 {
            hub.pass(MS);
            for &kind in Kind::ALL {
                hub.publish(a, "a", kind.name(), &value(kind, number, 10));
            }
        }
        let taken = |kind: &&Kind| structured || kind.is_plain();
        let kinds: Vec<_> = Kind::ALL.iter().filter(taken).collect();
        hub.client_comes(gateway, 1);
        let messages = |number| -> Vec<_> {
            let state = |kind: &&Kind| old_state("a", kind.name(), &value(**kind, number, 10));
            kinds.iter().map(|kind| named(kind.name(), &state(kind))).collect()
        };
        assert_eq!(hub.frames(gateway), messages(1), "structured: {structured}");
        hub.pass(MS);
        for &kind in Kind::ALL {
            hub.publish(a, "a", kind.name(), &value(kind, 2, 10));
        }
        assert_eq!(hub.frames(gateway), messages(2), "structured: {structured}");
        // A status without news of clients changes nothing.
        hub.status(gateway, gateway::GatewayStatus { clients: 1, dropped: 0, again: false });
        assert!(hub.frames(gateway).is_empty());
        // Who lost something gets everything again, like who is new.
        hub.client_comes(gateway, 1);
        assert_eq!(hub.frames(gateway), messages(2), "structured: {structured}");
    }
}

/// A hub with `keys` states `k0` and so on of about 110 bytes, and its app.
fn hub_with_states(outbox: usize, keys: usize) -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig { outbox, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    for key in 0..keys {
        hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, 0, 100));
    }
    (hub, a)
}

/// Of each name the data that came last.
fn newest_of(frames: &[Vec<u8>]) -> BTreeMap<&str, &[u8]> {
    frames.iter().map(|frame| published(frame)).map(|body| (body.name, body.data)).collect()
}

#[test]
fn who_subscribes_while_another_is_being_sent_everything_is_sent_everything() {
    const KEYS: usize = 200;
    for read in [0, 1, 1000, 10_000, 20_000, 1_000_000] {
        let (mut hub, _) = hub_with_states(2000, KEYS);
        let gateway = hub.open_gateway(Role::Pub, false);
        let mut outgoing = Outgoing::new(gateway);
        hub.client_comes(gateway, 1);
        outgoing.read(&mut hub, read);
        let before = outgoing.begun();
        hub.client_comes(gateway, 2);
        let frames = outgoing.frames(&mut hub);
        assert_eq!(newest_of(&frames[before..]).len(), KEYS, "after {read} bytes");
        assert!(frames.len() <= 2 * KEYS, "{} frames after {read} bytes", frames.len());
        assert!(hub.peer(gateway).live);
    }
}

#[test]
fn who_subscribes_while_a_gateway_catches_up_is_sent_everything() {
    const KEYS: usize = 200;
    for read in [0, 1000, 3000, 5000, 10_000] {
        let (mut hub, a) = hub_with_states(2000, KEYS);
        let gateway = hub.open_pub(false);
        let mut outgoing = Outgoing::new(gateway);
        // More than may wait: from here on it catches up.
        for round in 1..=3 {
            hub.pass(MS);
            for key in (50..150).step_by(2) {
                hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, round, 100));
            }
        }
        assert!(!hub.peer(gateway).live);
        outgoing.read(&mut hub, read);
        let before = outgoing.begun();
        hub.client_comes(gateway, 2);
        let frames = outgoing.frames(&mut hub);
        assert_eq!(newest_of(&frames[before..]).len(), KEYS, "after {read} bytes");
    }
}

#[test]
fn who_subscribes_while_a_walk_goes_over_what_changed_meanwhile_is_sent_everything() {
    const KEYS: usize = 200;
    for read in [500, 1500, 3000, 4500] {
        let (mut hub, a) = hub_with_states(1000, KEYS);
        let gateway = hub.open_gateway(Role::Pub, false);
        let mut outgoing = Outgoing::new(gateway);
        hub.client_comes(gateway, 1);
        outgoing.read(&mut hub, 20_000);
        // Behind the walk's cursor, but for the last one: the rest of this walk is short, the next one sends these.
        hub.pass(MS);
        for key in 0..60 {
            hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, 1, 100));
        }
        outgoing.read(&mut hub, KEYS * 125 - 20_000 + read);
        let before = outgoing.begun();
        hub.client_comes(gateway, 2);
        let frames = outgoing.frames(&mut hub);
        assert_eq!(newest_of(&frames[before..]).len(), KEYS, "after {read} bytes of the second walk");
        assert!(newest_of(&frames).iter().all(|(name, data)| {
            let key: usize = name[1..].parse().expect("a key's number");
            *data == value(Kind::Text, u64::from(key < 60), 100)
        }));
    }
}

#[test]
fn a_walk_comes_to_the_tables_end_however_often_clients_come() {
    const KEYS: usize = 300;
    let (mut hub, a) = hub_with_states(1000, KEYS);
    let gateway = hub.open_gateway(Role::Pub, false);
    let mut outgoing = Outgoing::new(gateway);
    // Each reads about five states before the next one comes; nine keys change all the time.
    for client in 0..KEYS {
        hub.pass(MS);
        hub.client_comes(gateway, client as u32 + 1);
        hub.publish(a, "a", &format!("k{}", client % 9), &value(Kind::Text, client as u64, 100));
        outgoing.read(&mut hub, 600);
    }
    let mut counts = vec![0; KEYS];
    let frames = outgoing.frames(&mut hub);
    for name in names(&frames) {
        counts[name[1..].parse::<usize>().expect("a key's number")] += 1;
    }
    assert!(counts.iter().all(|&count| (2..60).contains(&count)), "every key comes with every walk: {counts:?}");
    assert!(hub.peer(gateway).live, "and they end");
    hub.pass(MS);
    hub.publish(a, "a", "k0", &value(Kind::Text, 1, 1));
    assert_eq!(hub.frames(gateway).len(), 1);
}

#[test]
fn a_state_for_subscribers_has_its_name_in_front_and_both_within_the_limit() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let (a, gateway, requests) = (hub.open_v1("a", 1), hub.open_pub(false), hub.open_gateway(Role::Rep, false));
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
    // An answer has the longest trace in front.
    hub.publish(a, "a", "O", &text("O", 1000 - MAX_TRACE));
    hub.publish(a, "a", "P", &text("P", 1001 - MAX_TRACE));
    assert_eq!(hub.ask(requests, &json(r#"["get", "O"]"#)).len(), 964);
    for (request, words) in
        [(r#"["get", "P"]"#, "965 bytes, at most 964"), (r#"["get", "N"]"#, "1001 bytes, at most 1000")]
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

#[test]
fn what_is_sent_once_more_to_who_is_new_hides_none_of_what_was_conflated() {
    let (mut hub, a) = hub_with_states(1000, 50);
    let gateway = hub.open_pub(false);
    let mut outgoing = Outgoing::new(gateway);
    let sent_before = hub.peer(gateway).messages_out;
    for round in 1..=4 {
        hub.pass(MS);
        for key in 0..50 {
            hub.publish(a, "a", &format!("k{key}"), &value(Kind::Text, round, 100));
        }
    }
    outgoing.read(&mut hub, 4000);
    hub.client_comes(gateway, 2);
    let frames = outgoing.frames(&mut hub);
    let states: BTreeSet<_> = frames.iter().collect();
    let stats = hub.peer(gateway);
    assert_eq!(stats.messages_out - sent_before, frames.len() as u64);
    assert_eq!(stats.conflated, 200 - states.len() as u64, "of 200 changes {} came through", states.len());
}
