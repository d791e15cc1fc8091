//! The room of the table: whose values go when it is full, and when those of departed senders expire.

use nanostate::engine::hub::RouterConfig;
use nanostate::wire::{Form, Meta};
use nanostate::Kind;

use crate::sim::{self, body, each_seed, value, Direct, MS, SEC};

#[test]
fn one_sender_may_hold_half_of_the_table() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.capacity_mut().states = 10;
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for i in 0..8 {
        hub.publish(a, "a", &format!("k{i}"), &[1]);
    }
    assert_eq!((hub.router.table().len(), hub.router.stats().refused), (5, 3));
    assert_eq!(hub.said(a), ["rejected"; 3]);
    for i in 0..8 {
        hub.publish(b, "b", &format!("k{i}"), &[1]);
    }
    assert_eq!((hub.router.table().len(), hub.router.stats().refused), (10, 6));
    // What is there may change all the same.
    hub.pass(MS);
    hub.publish(a, "a", "k0", &[2]);
    assert_eq!(hub.router.table().find("a", "k0").unwrap().data(), [2]);
}

#[test]
fn the_states_of_departed_senders_go_first_and_the_longest_departed_at_first() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.capacity_mut().states = 8;
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for i in 0..4 {
        hub.publish(a, "a", &format!("k{i}"), &[1]);
        hub.publish(b, "b", &format!("k{i}"), &[1]);
    }
    hub.lose(b);
    hub.pass(SEC);
    hub.lose(a);
    let c = hub.open_v1("c", 3);
    hub.publish(c, "c", "x", &[1]);
    // The first of them at once, for the room; the others follow.
    assert_eq!(hub.router.table().len(), 8);
    hub.settle();
    let table = hub.router.table();
    assert!(table.find("b", "k0").is_none() && table.find("a", "k0").is_some() && table.find("c", "x").is_some());
    assert_eq!(hub.router.stats().refused, 0);
}

#[test]
fn a_value_that_grows_takes_the_room_of_departed_senders() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.capacity_mut().bytes = 40_000;
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish(b, "b", "x", &value(Kind::Bytes, 1, 10));
    hub.publish(a, "a", "x", &value(Kind::Bytes, 1, 19_000));
    hub.lose(a);
    let c = hub.open_v1("c", 3);
    hub.publish(c, "c", "x", &value(Kind::Bytes, 1, 10_000));
    hub.pass(MS);
    hub.publish(b, "b", "x", &value(Kind::Bytes, 2, 15_000));
    assert_eq!(hub.router.stats().refused, 0);
    assert!(hub.router.table().find("a", "x").is_none());
    assert!(hub.router.table().bytes() <= 40_000);
}

#[test]
fn the_table_stays_within_its_bytes() {
    each_seed(20, 1000, |seed| {
        let mut rng = sim::Rng::new(seed);
        let mut hub = Direct::new(RouterConfig::default());
        hub.router.capacity_mut().bytes = 100_000;
        let mut conns: Vec<_> = (0..4u8).map(|i| (i, hub.open_v1(&format!("s{i}"), i + 1))).collect();
        for _ in 0..500 {
            hub.pass(MS);
            let at = rng.index(conns.len());
            let (i, conn) = conns[at];
            let (name, size) = (format!("k{}", rng.below(40)), rng.length(9000));
            hub.publish(conn, &format!("s{i}"), &name, &value(Kind::Bytes, 1, size));
            if rng.one_in(30) {
                hub.lose(conn);
                conns[at] = (i, hub.open_v1(&format!("s{i}"), i + 1));
            }
            let table = hub.router.table();
            assert!(table.bytes() <= 100_000, "{} bytes", table.bytes());
            let held: usize = table.iter().map(|entry| entry.bytes().len()).sum();
            assert!(held <= table.bytes(), "at least what it holds is counted");
        }
        for (i, conn) in conns {
            hub.lose(conn);
            let _ = i;
        }
        hub.pass(25 * 3600 * SEC);
        assert_eq!((hub.router.table().len(), hub.router.table().bytes()), (0, 0));
    });
}

#[test]
fn values_of_a_departed_sender_expire_unless_it_comes_back() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b, old) = (hub.open_v1("a", 1), hub.open_v1("b", 2), hub.open_old());
    hub.publish(a, "a", "x", &[1]);
    hub.publish(b, "b", "x", &[1]);
    hub.send(old, &body(Form::Old, "o", "x", &value(Kind::Text, 1, 1), &Meta::default()));
    for conn in [a, b, old] {
        hub.lose(conn);
    }
    hub.pass(3600 * SEC);
    assert_eq!((hub.router.stats().states, hub.router.stats().departed_senders), (3, 3));
    hub.open_v1("a", 1);
    assert_eq!(hub.router.stats().departed_senders, 2);
    hub.pass(23 * 3600 * SEC);
    let left: Vec<_> = hub.router.table().iter().map(|entry| entry.sender().to_owned()).collect();
    assert_eq!(left, ["a"]);
    assert_eq!(hub.router.table().find("a", "x").unwrap().data(), [1]);
}
