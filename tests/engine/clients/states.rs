//! SUB and PUSH: clients that subscribe, and clients that push.

use std::collections::BTreeSet;

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::{Protocol, Role};
use nanostate::framing::{self, frame_head, gateway_header, Framing};
use nanostate::wire::{self, Form};
use nanostate::Kind;

use super::trace;
use crate::gateways::{json, named, old_state};
use crate::sim::{value, Direct, MS, SEC};

#[test]
fn a_subscriber_gets_the_newest_values_alone_and_then_what_changes_like_all() {
    for structured in [false, true] {
        let mut hub = Direct::new(RouterConfig::default());
        let a = hub.open_v1("a", 1);
        let publish = |hub: &mut Direct, number| {
            hub.pass(MS);
            for &kind in Kind::VALUES {
                hub.publish(a, "a", kind.name(), &value(kind, number, 10));
            }
            let taken = Kind::VALUES.iter().filter(|kind| structured || kind.is_plain());
            let message = |&kind: &Kind| named(kind.name(), &old_state("a", kind.name(), &value(kind, number, 10)));
            taken.map(message).collect::<Vec<_>>()
        };
        let first = hub.join_client(Role::Pub, structured);
        let states = publish(&mut hub, 0);
        assert_eq!(hub.bodies(first), states, "structured: {structured}");
        let states = publish(&mut hub, 1);
        assert_eq!(hub.bodies(first), states);
        let second = hub.join_client(Role::Pub, structured);
        assert_eq!(hub.bodies(second), states, "structured: {structured}");
        assert!(hub.bodies(first).is_empty(), "it has them");
        let states = publish(&mut hub, 2);
        assert_eq!((hub.bodies(first), hub.bodies(second)), (states.clone(), states));
        let (first, second) = (hub.peer(first), hub.peer(second));
        let (kinds, withheld) = if structured { (10, 0) } else { (2, 8) };
        assert_eq!((first.messages_out, first.withheld), (3 * kinds, 3 * withheld));
        assert_eq!((second.messages_out, second.withheld), (2 * kinds, 2 * withheld));
        // Each is reported once.
        assert_eq!(hub.warnings().len(), if structured { 0 } else { 2 });
    }
}

#[test]
fn a_state_for_a_subscriber_is_within_the_limit_with_its_name() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let (a, early) = (hub.open_v1("a", 1), hub.join_client(Role::Pub, false));
    // The heads of array, sender, name and text take 1, 2, 1 and 3 bytes.
    let text = |name: &str, len: usize| value(Kind::Text, 1, len - 4 - name.len() - 3);
    for (name, len) in [("L", 1000 - 2), ("long name", 1000 - 10), ("M", 1001 - 2), ("too long", 1001 - 9)] {
        hub.publish(a, "a", name, &text(name, len));
    }
    let late = hub.join_client(Role::Pub, false);
    for client in [early, late] {
        let frames = hub.bodies(client);
        assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000]);
        assert!(frames[0].starts_with(b"L\0") && frames[1].starts_with(b"long name\0"));
        assert_eq!(hub.peer(client).withheld, 2);
    }
    let warnings = hub.warnings();
    assert_eq!(warnings.len(), 2, "one of each: {warnings:?}");
    assert!(
        warnings.iter().all(|text| text.contains("\"M\" of 1001 bytes") && text.contains("NS_OPT_HUB_LEGACY_MAX")),
        "{warnings:?}"
    );
}

#[test]
fn a_subscriber_that_is_slow_catches_up_alone_with_the_newest_values() {
    const KEYS: u64 = 50;
    let mut hub = Direct::new(RouterConfig { outbox: 2000, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    let (slow, fast) = (hub.join_client(Role::Pub, false), hub.join_client(Role::Pub, false));
    let message = |i: u64| {
        let name = format!("k{}", i % KEYS);
        named(&name, &old_state("a", &name, &value(Kind::Text, i, 100)))
    };
    for i in 0..1000 {
        hub.pass(MS);
        hub.publish(a, "a", &format!("k{}", i % KEYS), &value(Kind::Text, i, 100));
        assert_eq!(hub.bodies(fast), [message(i)], "everything, in order");
        assert!(hub.peer(slow).outbox_bytes <= 2000 + 200);
    }
    assert!(!hub.peer(slow).live && hub.peer(fast).live);
    let before = hub.peer(slow).messages_out;
    let frames = hub.bodies(slow);
    let (waited, caught_up) = frames.split_at(before as usize);
    assert!(waited.iter().eq(&(0..before).map(message).collect::<Vec<_>>()), "what waited goes out as it is");
    assert_eq!(caught_up.len() as u64, KEYS);
    let newest: BTreeSet<_> = caught_up.iter().cloned().collect();
    assert_eq!(newest, (1000 - KEYS..1000).map(message).collect(), "of each key the newest");
    let (slow, fast) = (hub.peer(slow), hub.peer(fast));
    assert_eq!((slow.messages_out, slow.live), (before + KEYS, true));
    assert_eq!((slow.messages_out + slow.conflated, fast.messages_out, fast.conflated), (1000, 1000, 0));
}

#[test]
fn a_large_state_comes_out_whole_whatever_the_writes_take() {
    for framing in [Framing::Tcp, Framing::Ipc] {
        for piece in [1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 4095, 4096, 4097, 10_000, usize::MAX] {
            let mut hub = Direct::new(RouterConfig::default());
            let a = hub.open_v1("a", 1);
            let client = hub.open_client(framing, Role::Pub, false);
            hub.bytes(client, &gateway_header(framing::SUB));
            let mut expected = gateway_header(framing::PUB).to_vec();
            // Small and large next to each other; around the length from which bodies are shared.
            for (i, len) in [10, 4050, 4060, 4070, 10, 4080, 9000, 9000, 4090, 20_000, 10].into_iter().enumerate() {
                let (name, data) = (format!("k{i}"), value(Kind::Text, i as u64, len));
                hub.publish(a, "a", &name, &data);
                let message = named(&name, &old_state("a", &name, &data));
                expected.extend_from_slice(&frame_head(framing, message.len()));
                expected.extend(message);
            }
            let mut written = Vec::new();
            loop {
                let more = hub.read(client, piece);
                if more.is_empty() {
                    break;
                }
                written.extend(more);
            }
            assert!(written == expected, "{framing:?}, {piece} bytes at once");
            // The same for who joins now, in one piece.
            let late = hub.open_client(framing, Role::Pub, false);
            hub.bytes(late, &gateway_header(framing::SUB));
            assert!(hub.read(late, usize::MAX) == expected, "{framing:?}");
        }
    }
}

#[test]
fn what_a_subscriber_sends_is_left_alone() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, client) = (hub.open_v1("a", 1), hub.join_client(Role::Pub, false));
    hub.events();
    let state = old_state("s", "x", &value(Kind::Text, 1, 10_000));
    for bytes in [&b""[..], b"topic", &state, &trace(1, 1), &json(r#"["get", "x"]"#), &[0xC1; 100]] {
        hub.send(client, bytes);
    }
    let frame = [&frame_head(Framing::Tcp, state.len())[..], &state].concat();
    frame.chunks(7).for_each(|piece| hub.bytes(client, piece));
    assert!(hub.bodies(client).is_empty() && hub.bodies(a).iter().all(|body| body.starts_with(&[0x94])));
    let (stats, row) = (hub.router.stats(), hub.peer(client));
    assert_eq!((stats.messages_in, stats.malformed, stats.too_large, stats.states), (0, 0, 0, 0));
    assert_eq!((row.messages_in, row.malformed), (0, 0));
    assert!(hub.router.reads(client) && !hub.is_closed(client) && hub.warnings().is_empty());
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 10));
    assert_eq!(hub.bodies(client).len(), 1);
}

#[test]
fn each_client_that_pushes_is_a_peer_with_counters_of_its_own() {
    let mut hub = Direct::new(RouterConfig { max_message: 5000, legacy_max: 1000, ..RouterConfig::default() });
    let (app, old, subscriber) = (hub.open_v1("v", 1), hub.open_old(), hub.join_client(Role::Pub, false));
    hub.bodies(old);
    let clients = [hub.join_client(Role::Pull, false), hub.join_client(Role::Pull, false)];
    hub.events();
    for (i, &client) in clients.iter().enumerate() {
        let state = old_state("script", &format!("k{i}"), &value(Kind::Text, 1, 10));
        hub.send(client, &state);
        assert_eq!(hub.bodies(old), [&state[..]]);
        assert_eq!(hub.bodies(subscriber), [named(&format!("k{i}"), &state)]);
        let bodies = hub.bodies(app);
        let body = wire::decode(&bodies[0], Form::V1).expect("a body");
        assert_eq!((body.sender(), body.name()), ("script", &*format!("k{i}")));
        for malformed in [&[][..], &[0xC1], &[0x93, 0xA1, b'a']] {
            hub.send(client, malformed);
        }
        hub.send(client, &old_state("v", "x", &[1]));
        hub.send(client, &old_state("s", "$ns/ping", &[1]));
        // As much as an app may send, whatever goes out to old peers.
        hub.send(client, &old_state("script", "x", &value(Kind::Text, i as u64, 5000 - 13)));
        hub.send(client, &old_state("script", "x", &value(Kind::Text, i as u64, 5001 - 13)));
        hub.send(client, &[0; 10_000]);
        assert!(hub.bodies(client).is_empty() && hub.router.reads(client), "nobody reads there");
        hub.bodies(app);
    }
    for &client in &clients {
        let row = hub.peer(client);
        assert_eq!((row.malformed, row.too_large, row.messages_in, row.messages_out), (3, 2, 2, 0));
        assert!(row.old && row.from == format!("peer {}", client.0));
    }
    let stats = hub.router.stats();
    assert_eq!((stats.malformed, stats.too_large, stats.foreign_sender, stats.reserved), (6, 4, 2, 2));
    assert_eq!((stats.messages_in, stats.stale, stats.old_peers), (4, 0, 4));
    assert_eq!(stats.malformed_by.iter().sum::<u64>(), 6);
    let warnings = hub.warnings();
    for client in clients {
        let of = |words: &str| {
            let from = format!("peer {}: ", client.0);
            warnings.iter().filter(|text| text.starts_with(&from) && text.contains(words)).count()
        };
        assert_eq!((of("malformed"), of("refused")), (1, 1), "each sort once of each: {warnings:?}");
    }
}

#[test]
fn frames_of_clients_have_the_budget_and_the_time_of_all() {
    for role in Role::ALL {
        let mut hub = Direct::new(RouterConfig { unfinished: 130_000, ..RouterConfig::default() });
        let clients: Vec<_> = (0..4).map(|_| hub.join_client(role, false)).collect();
        for &client in &clients {
            hub.bytes(client, &frame_head(Framing::Tcp, 1 << 20));
            // It has allocated for as much again.
            hub.bytes(client, &[0; 20_000]);
            hub.bytes(client, &[0; 1]);
            hub.pass(MS);
        }
        assert_eq!(hub.closed, [clients[0]], "{role:?}: it holds as much as others, for longer");
        for _ in 0..29 {
            hub.pass(SEC);
            hub.bytes(clients[3], &[0]);
        }
        hub.pass(SEC);
        assert!(hub.is_closed(clients[1]) && hub.is_closed(clients[2]) && !hub.is_closed(clients[3]), "{role:?}");
        let marked = hub.open_client(Framing::Ipc, role, false);
        hub.bytes(marked, &gateway_header(role.hears()));
        hub.bytes(marked, &[2]);
        assert!(hub.is_closed(marked), "no frame of ipc");
        hub.lose(clients[3]);
        hub.open();
        assert_eq!(hub.router.stats().unfinished_bytes, 0);
    }
}
