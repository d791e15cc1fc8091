//! Which states reach which peers, in which form, and which are refused.

use nanostate::engine::hub::{Router, RouterConfig};
use nanostate::engine::Protocol;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Malformed, Meta, Stamp};
use nanostate::Kind;

use crate::sim::{body, stamp, value, Direct, MS};

#[test]
fn a_state_goes_not_back_to_the_connection_it_came_from_unless_echo_is_asked_for() {
    for (echo, flags, back) in
        [(false, HelloFlags(0), 0), (false, HelloFlags::ECHO, 1), (true, HelloFlags(0), 1), (true, HelloFlags::ECHO, 1)]
    {
        let mut hub = Direct::new(RouterConfig { echo, ..RouterConfig::default() });
        let a = hub.hello("a", 1, 1, flags);
        hub.bodies(a);
        hub.publish_at(a, "a", "x", &[1], Stamp { instance: Instance([1; 16]), ..stamp(hub.now.wall.as_millis()) });
        assert_eq!(hub.said(a).len(), back, "hub {echo}, app {flags:?}");
        let old = hub.open_old();
        hub.bodies(old);
        hub.send(old, &body(Form::Old, "old", "x", &value(Kind::Text, 1, 1), &Meta::default()));
        assert_eq!(hub.bodies(old).len(), usize::from(echo));
    }
}

#[test]
fn an_app_that_comes_back_is_not_sent_its_own_values() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish_at(a, "a", "own", &[1], Stamp { instance: Instance([1; 16]), ..stamp(1) });
    hub.publish(b, "b", "other", &[1]);
    hub.lose(a);
    let again = hub.hello("a", 1, 2, HelloFlags(0));
    assert_eq!(hub.said(again), ["welcome", "other"]);
    hub.lose(again);
    let another_run = hub.hello("a", 3, 1, HelloFlags(0));
    assert_eq!(hub.said(another_run), ["welcome", "own", "other"]);
}

#[test]
fn what_counts_is_the_connection_that_a_value_came_from_last() {
    let mut hub = Direct::new(RouterConfig::default());
    let (one, two) = (hub.open_old(), hub.open_old());
    hub.bodies(one);
    hub.bodies(two);
    let state = |number| body(Form::Old, "o", "x", &value(Kind::Text, number, 1), &Meta::default());
    hub.send(one, &state(1));
    assert_eq!((hub.bodies(one).len(), hub.bodies(two).len()), (0, 1));
    hub.send(two, &state(2));
    assert_eq!((hub.bodies(one).len(), hub.bodies(two).len()), (1, 0));
}

#[test]
fn an_old_peer_gets_three_elements_of_plain_kind_up_to_its_limit() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let old = hub.open_old();
    hub.bodies(old);
    let a = hub.open_v1("a", 1);
    for &kind in Kind::VALUES {
        hub.publish(a, "a", kind.name(), &value(kind, 1, 10));
    }
    // Array head, sender and name take 4 bytes; str 16 heads take 3.
    hub.publish(a, "a", "L", &value(Kind::Text, 1, 1000 - 5 - 3));
    hub.publish(a, "a", "M", &value(Kind::Text, 1, 1001 - 5 - 3));
    let bodies = hub.bodies(old);
    let names: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::Old).unwrap().name()).collect();
    assert_eq!(names, ["text", "bytes", "L"]);
    assert_eq!(bodies[2].len(), 1000);
    assert_eq!(hub.peer(old).withheld, 9);
    assert_eq!(hub.warnings().iter().filter(|text| text.contains("withheld")).count(), 1);

    let config = RouterConfig { legacy_structured: true, legacy_snapshot: true, ..RouterConfig::default() };
    let mut hub = Direct::new(config);
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
    let old = hub.open_old();
    assert_eq!(hub.bodies(old).len(), 1);
}

#[test]
fn malformed_and_reserved_messages_are_counted_by_reason_and_the_link_lives_on() {
    let mut hub = Direct::new(RouterConfig::default());
    let old = hub.open_old();
    let listener = hub.open_v1("v", 1);
    hub.send(old, &[]);
    hub.send(old, &[0xC1]);
    hub.send(old, &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]);
    hub.send(old, &[0x92, 0xA1, b'a', 0xA1, b'b']);
    hub.send(old, &body(Form::Old, "old", "$ns/ping", &[1], &Meta::default()));
    hub.send(old, &body(Form::Old, "v", "x", &[1], &Meta::default()));
    hub.send(old, &body(Form::Old, "old", "x", &[1], &Meta::default()));
    let stats = hub.router.stats();
    assert_eq!((stats.malformed, stats.reserved, stats.foreign_sender, stats.messages_in), (4, 1, 1, 1));
    assert_eq!(hub.said(listener), ["x"]);
    assert_eq!(hub.warnings().iter().filter(|text| text.contains("malformed")).count(), 1);
    assert_eq!(hub.peer(old).malformed, 4);
}

#[test]
fn a_v1_peer_speaks_for_its_own_identity_only() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    let b = hub.open_v1("b", 2);
    hub.publish(a, "b", "x", &[1]);
    hub.publish(a, "a", "x", &[1]);
    assert_eq!(hub.router.stats().foreign_sender, 1);
    assert_eq!((hub.said(b).len(), hub.router.table().len()), (1, 1));
}

#[test]
fn a_frame_over_the_limit_is_skipped_and_the_link_lives_on() {
    let mut hub = Direct::new(RouterConfig { max_message: 1000, ..RouterConfig::default() });
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish(a, "a", "at", &value(Kind::Text, 1, 1000 - 6 - 3));
    hub.publish(a, "a", "over", &value(Kind::Text, 1, 1001 - 8 - 3));
    hub.publish(a, "a", "far over", &value(Kind::Text, 1, 100_000));
    hub.publish(a, "a", "x", &[1]);
    assert_eq!(hub.said(b), ["at", "x"]);
    assert_eq!(hub.router.stats().too_large, 2);
    assert_eq!(hub.peer(a).too_large, 2);
}

#[test]
fn a_wider_accept_mask_brings_what_was_left_out() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    let b = hub.open_v1("b", 2);
    hub.control(b, "b", Control::Accept { mask: Kind::Text.mask() });
    hub.publish(a, "a", "t", &value(Kind::Text, 1, 1));
    hub.publish(a, "a", "i", &value(Kind::Int, 1, 1));
    assert_eq!(hub.said(b), ["t"]);
    assert_eq!(hub.peer(b).withheld, 1);
    hub.control(b, "b", Control::Accept { mask: wire::ACCEPT_ANY });
    assert!(hub.said(b).contains(&"i".to_owned()));
}

/// An app's state with this meta.
fn state(sender: &str, name: &str, meta: &Meta<'_>) -> Vec<u8> {
    body(Form::V1, sender, name, &[1], meta)
}

fn reasons(hub: &Direct) -> Vec<(&'static str, u64)> {
    let stats = hub.router.stats();
    Malformed::ALL
        .iter()
        .map(|reason| (reason.id(), stats.malformed_by[reason.index()]))
        .filter(|(_, n)| *n > 0)
        .collect()
}

#[test]
fn a_state_stamped_by_another_instance_is_refused_and_hides_from_nobody() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish_at(a, "a", "x", &[1], Stamp { instance: Instance([2; 16]), ..stamp(1) });
    assert!(hub.said(b).is_empty() && hub.router.table().is_empty());
    assert_eq!((hub.router.stats().foreign_sender, hub.router.stats().messages_in), (1, 0));
    assert!(hub.warnings().iter().any(|text| text.contains("another instance")));
    // Its own, and none: then the hub stamps it with that.
    hub.publish_at(a, "a", "x", &[2], Stamp { instance: Instance([1; 16]), ..stamp(2) });
    hub.send(a, &state("a", "y", &Meta::default()));
    assert_eq!(hub.said(b), ["x", "y"]);
    assert!(hub.router.table().iter().all(|entry| entry.stamp().instance == Instance([1; 16])));
}

#[test]
fn an_app_with_the_instance_of_another_hides_nothing_from_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let b = hub.hello_with("b", 2, 1, HelloFlags(0), Some(2));
    hub.said(b);
    let mimic = hub.hello_with("a", 2, 1, HelloFlags(0), Some(1));
    assert_eq!(hub.said(mimic), ["welcome"]);
    hub.publish(mimic, "a", "x", &[1]);
    assert_eq!(hub.said(b), ["x"]);
}

#[test]
fn what_no_feature_announced_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    let flags = [Meta::RETAINED, Meta::CLEAR, Meta::EVENT, Meta::TRANSIENT, 16, 1 << 31, u32::MAX];
    let mut metas: Vec<_> = flags.into_iter().map(|flags| Meta { flags, ..Meta::default() }).collect();
    metas.push(Meta { request: Some(0), ..Meta::default() });
    metas.push(Meta { target: Some("b"), ..Meta::default() });
    for meta in &metas {
        hub.send(a, &state("a", "x", meta));
    }
    // A flag of more than 32 bits: {2: 2^32}.
    let mut long = state("a", "x", &Meta::default());
    long.pop();
    long.extend(b"\x81\x02\xCF\0\0\0\x01\0\0\0\0");
    hub.send(a, &long);
    assert_eq!(reasons(&hub), [("feature", metas.len() as u64 + 1)]);
    assert!(hub.said(b).is_empty() && hub.router.table().is_empty());
    assert!(!hub.is_closed(a), "it is not fatal");
    hub.send(a, &state("a", "x", &Meta { sequence: Some(9), ..Meta::default() }));
    assert_eq!(hub.said(b), ["x"]);
}

#[test]
fn a_meta_is_at_most_one_kibibyte_and_stays_whole() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    // {77: bin}, of so many bytes together.
    let with = |len: usize| {
        let mut bytes = state("a", &format!("n{len}"), &Meta::default());
        bytes.pop();
        bytes.extend([0x81, 77, 0xC5, ((len - 5) >> 8) as u8, (len - 5) as u8]);
        bytes.resize(bytes.len() + len - 5, 7);
        bytes
    };
    hub.send(a, &with(1024));
    hub.send(a, &with(1025));
    assert_eq!(reasons(&hub), [("meta", 1)]);
    let bodies = hub.bodies(b);
    assert_eq!(bodies.len(), 1);
    // The hub's stamp comes on top.
    let body = wire::decode(&bodies[0], Form::V1).unwrap();
    assert!(body.name() == "n1024" && body.meta.stamp.is_some() && body.raw_meta.len() > 1024);
}

#[test]
fn what_the_hub_held_is_marked_as_retained_and_what_comes_later_is_not() {
    let flags = |hub: &mut Direct, conn| {
        let flag = |bytes: Vec<u8>| {
            let body = wire::decode(&bytes, Form::V1).unwrap();
            (!body.is_reserved()).then(|| (body.name().to_owned(), body.meta.flags, body.meta.stamp.is_some()))
        };
        hub.bodies(conn).into_iter().filter_map(flag).collect::<Vec<_>>()
    };
    let of = |name: &str, flags| (name.to_owned(), flags, true);
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "small", &[1]);
    hub.publish(a, "a", "large", &value(Kind::Text, 1, 100_000));
    // Before it reads anything, a change comes.
    let b = hub.hello("b", 2, 1, HelloFlags(0));
    hub.pass(MS);
    hub.publish(a, "a", "small", &[2]);
    hub.publish(a, "a", "new", &[3]);
    let mut got = flags(&mut hub, b);
    got.sort();
    assert_eq!(got, [of("large", Meta::RETAINED), of("new", 0), of("small", 0)]);
    hub.pass(MS);
    hub.publish(a, "a", "small", &[4]);
    assert_eq!(flags(&mut hub, b), [of("small", 0)]);
    // Asked for once more.
    hub.control(b, "b", Control::Accept { mask: wire::ACCEPT_ANY });
    let mut got = flags(&mut hub, b);
    got.sort();
    assert_eq!(got, ["large", "new", "small"].map(|name| of(name, Meta::RETAINED)));
}

#[test]
fn a_router_asks_for_nothing_when_nobody_is_there() {
    let mut router = Router::new(Instance([1; 16]), RouterConfig::default());
    assert_eq!((router.next_action(), router.deadline()), (None, None));
}
