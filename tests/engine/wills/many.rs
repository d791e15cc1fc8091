//! How many wills there may be, and what becomes of many at once.

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::Protocol;
use nanostate::wire::{Control, Form, Meta, WillMessage};
use nanostate::{limits, Status};

use super::{bye, join, leave, rejected, told, watcher, LOST};
use crate::sim::{body, Direct};

#[test]
fn wills_have_limits_and_take_their_room_from_the_table() {
    let full = Status::Full.code();
    let mut hub = Direct::new(RouterConfig::default());
    let a = join(&mut hub, "a", 1, 1);
    hub.bodies(a);
    for n in 0..=limits::WILLS {
        leave(&mut hub, a, "a", &n.to_string(), Some(1));
    }
    assert_eq!(rejected(&mut hub, a), [(full, limits::WILLS.to_string(), limits::WILLS as u64 + 1)]);
    leave(&mut hub, a, "a", "0", Some(2));
    assert!(rejected(&mut hub, a).is_empty(), "one may be changed");
    let b = join(&mut hub, "b", 2, 1);
    hub.bodies(b);
    let large = |name: &str| {
        let value = [&[0xC6, 0, 6, 0, 0][..], &vec![0; 6 << 16]].concat();
        body(Form::V1, "b", name, &value, &Meta::default())
    };
    for name in ["x", "y", "z", "x"] {
        hub.control(b, "b", Control::Will(WillMessage::Leaves(&large(name))));
    }
    assert_eq!(rejected(&mut hub, b), [(full, "z".into(), 3)]);
    assert!(hub.router.stats().memory_bytes > 12 << 16);
    // A table of 2 MiB has room for 256 KiB of wills.
    hub.router.capacity_mut().bytes = 2 << 20;
    let c = join(&mut hub, "c", 3, 1);
    hub.bodies(c);
    leave(&mut hub, c, "c", "x", Some(1));
    assert_eq!(rejected(&mut hub, c), [(full, "x".into(), 1)]);
    bye(&mut hub, b, "b");
    leave(&mut hub, c, "c", "x", Some(1));
    assert!(rejected(&mut hub, c).is_empty());
}

#[test]
fn many_wills_at_once_hold_nobody_up() {
    let mut hub = Direct::new(RouterConfig::default());
    let watcher = watcher(&mut hub);
    let a = join(&mut hub, "a", 1, 1);
    for n in 0..limits::WILLS {
        leave(&mut hub, a, "a", &n.to_string(), Some(1));
    }
    hub.lose(a);
    hub.pass(LOST);
    let first = hub.router.table().values();
    assert!((1..limits::WILLS).contains(&first), "{first} in one turn");
    assert!(hub.router.is_ready(), "it goes on at once");
    assert_eq!(told(&mut hub, watcher).len(), limits::WILLS);
    // An app that comes back meanwhile takes the rest along.
    let a = join(&mut hub, "a", 1, 2);
    for n in 0..limits::WILLS {
        leave(&mut hub, a, "a", &n.to_string(), Some(2));
    }
    hub.lose(a);
    hub.pass(LOST);
    join(&mut hub, "a", 1, 3);
    let some = told(&mut hub, watcher).len();
    assert!((1..limits::WILLS).contains(&some), "{some} of them");
}

#[test]
fn of_all_wills_that_cannot_be_published_the_operator_is_told_at_once() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = join(&mut hub, "a", 1, 1);
    for n in 0..5 {
        leave(&mut hub, a, "a", &n.to_string(), Some(1));
    }
    hub.router.capacity_mut().states = 4;
    hub.lose(a);
    hub.pass(LOST);
    // A sender may have half of it.
    assert_eq!((hub.router.table().values(), hub.router.stats().refused), (2, 3));
    let told = hub.warnings();
    assert!(told.len() == 1 && told[0].starts_with("a is lost: 3 of its wills cannot be published: "), "{told:?}");
}
