//! PULL: states that clients push.

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::Role;
use nanostate::wire::{self, Form, Meta};
use nanostate::Kind;

use super::{named, old_state, str_value};
use crate::sim::{body, value, Direct, SEC};

#[test]
fn what_is_pushed_goes_to_apps_to_old_peers_and_to_subscribers() {
    let mut hub = Direct::new(RouterConfig::default());
    let (app, old, subscribers) = (hub.open_v1("v", 1), hub.open_old(), hub.open_pub(false));
    hub.bodies(old);
    let pull = hub.join_client(Role::Pull, false);
    let state = old_state("script", "x", &value(Kind::Text, 1, 10));
    hub.message(pull, b"", &state);
    // From whom does not matter.
    hub.message(pull, b"", &old_state("another", "y", &[7]));
    let bodies = hub.bodies(app);
    let names: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body")).collect();
    assert_eq!([names[0].name(), names[1].name()], ["x", "y"]);
    assert!(
        names[0].meta.stamp.is_some_and(|stamp| stamp.millis() >= hub.now.wall.as_millis()),
        "the hub has stamped it"
    );
    assert_eq!((hub.bodies(old), hub.frames(subscribers)), (vec![state.clone()], vec![named("x", &state)]));
    assert!(hub.frames(pull).is_empty(), "nobody reads there");
    let stats = hub.peer(pull);
    assert_eq!((stats.messages_in, stats.messages_out, stats.old), (2, 0, true));
    assert!(stats.bytes_in >= state.len() as u64);
}

#[test]
fn what_is_pushed_and_not_taken_is_counted_and_the_hub_goes_on() {
    let mut hub = Direct::new(RouterConfig { max_message: 1000, ..RouterConfig::default() });
    hub.router.capacity_mut().states = 4;
    let (listener, pull) = (hub.open_v1("v", 1), hub.join_client(Role::Pull, false));
    hub.events();
    for malformed in
        [&[][..], &[0xC1], &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF], &[0x92, 0xA1, b'a', 0xA1, b'b'], &[0x93, 0xA1, b'a']]
    {
        hub.message(pull, b"", malformed);
    }
    hub.message(pull, b"", &body(Form::V1, "s", "v1", &[1], &Meta::default()));
    hub.message(pull, b"", &old_state("s", "$ns/ping", &[1]));
    hub.message(pull, b"", &old_state("v", "x", &[1]));
    // Over the limit, but a frame that is taken; a frame that is not.
    hub.message(pull, b"", &old_state("s", "x", &value(Kind::Text, 1, 1001 - 5 - 3)));
    hub.message(pull, b"", &old_state("s", "x", &value(Kind::Text, 1, 100_000)));
    hub.message(pull, b"", &old_state("s", "at the limit", &value(Kind::Text, 1, 1000 - 4 - 12 - 3)));
    for i in 0..4 {
        hub.message(pull, b"", &old_state("s", &format!("k{i}"), &[1]));
    }
    let stats = hub.router.stats();
    assert_eq!((stats.malformed, stats.reserved, stats.foreign_sender, stats.too_large), (6, 1, 1, 2));
    // One sender may have half of the table.
    assert_eq!((stats.messages_in, stats.refused, stats.stale), (2, 3, 0));
    assert_eq!(hub.said(listener), ["at the limit", "k0"]);
    assert_eq!((hub.peer(pull).malformed, hub.peer(pull).too_large, hub.peer(pull).messages_in), (6, 2, 2));
    let warnings = hub.warnings();
    assert_eq!(warnings.len(), 3, "each sort once: {warnings:?}");
    for words in ["malformed", "reserved", "table is full"] {
        assert_eq!(warnings.iter().filter(|text| text.contains(words)).count(), 1, "{warnings:?}");
    }
    assert!(!hub.is_closed(pull));
}

#[test]
fn what_was_pushed_expires_when_its_gateway_is_gone() {
    let mut hub = Direct::new(RouterConfig::default());
    let (pull, rep) = (hub.join_client(Role::Pull, false), hub.join_client(Role::Rep, false));
    hub.message(pull, b"", &old_state("one", "x", &[1]));
    hub.message(pull, b"", &old_state("two", "x", &[1]));
    assert_eq!(hub.ask(rep, &old_state("three", "x", &[1])), str_value("ok"));
    hub.pass(25 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 3, "as long as it is there");
    // Who is heard by another way stays.
    assert_eq!(hub.ask(rep, &old_state("two", "y", &[1])), str_value("ok"));
    hub.lose(pull);
    hub.pass(23 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 4);
    hub.pass(3600 * SEC);
    let table = hub.router.table();
    assert!(table.find("one", "x").is_none());
    assert!([("two", "x"), ("two", "y"), ("three", "x")]
        .iter()
        .all(|(sender, name)| table.find(sender, name).is_some()));
    hub.lose(rep);
    hub.pass(24 * 3600 * SEC);
    assert_eq!((hub.router.table().len(), hub.router.table().bytes()), (0, 0));
}
