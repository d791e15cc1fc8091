//! Stamps: the order of values, and what a hub says of a stamp that it does not take.

use nanostate::engine::hub::RouterConfig;
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Meta, Stamp};
use nanostate::Kind;

use crate::sim::{body, stamp, value, wall_after, Direct};

#[test]
fn an_old_peers_value_is_newer_than_all_that_the_hub_took_before_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, old) = (hub.open_v1("a", 1), hub.open_old());
    let ahead =
        Stamp { clock: LogicalTime::from_millis(hub.now.wall.as_millis() + 30_000), instance: Instance([1; 16]) };
    hub.publish_at(a, "a", "x", &[1], ahead);
    hub.send(old, &body(Form::Old, "o", "x", &value(Kind::Text, 1, 1), &Meta::default()));
    assert!(hub.router.table().find("o", "x").unwrap().stamp() > ahead);
}

#[test]
fn a_stamp_ahead_raises_the_hubs_time_and_one_beyond_2200_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    let (instance, year) = (Instance([1; 16]), 7_258_118_400_000_u64);
    let stamp = |ms: u64| Stamp { clock: LogicalTime::from_millis(ms), instance };
    let ahead = hub.now.wall.as_millis() + 9_999_999;
    hub.publish_at(a, "a", "x", &[1], stamp(ahead));
    // The hub's own clock goes on from there.
    let old = hub.open_old();
    hub.send(old, &body(Form::Old, "o", "z", &value(Kind::Text, 1, 1), &Meta::default()));
    assert!(hub.router.table().find("o", "z").unwrap().stamp() > stamp(ahead));
    hub.publish_at(a, "a", "y", &[2], stamp(year));
    assert_eq!(hub.said(b), ["x", "z", "y"], "as they came");
    hub.publish_at(a, "a", "y", &[3], stamp(year + 60_001));
    hub.publish_at(a, "a", "y", &[4], stamp(LogicalTime::LAST_MILLIS));
    assert_eq!((hub.router.stats().ahead, hub.router.stats().stale), (2, 0));
    assert!(hub.said(b).is_empty());
    let told = hub.stale(a);
    let time = LogicalTime::from_millis(year)..LogicalTime::from_millis(year + 1000);
    for (told, ms) in told.iter().zip([year + 60_001, LogicalTime::LAST_MILLIS]) {
        let (name, offered, held, at) = told;
        assert!(name == "y" && *offered == stamp(ms) && held.is_none() && time.contains(at), "{told:?}");
    }
    assert_eq!(told.len(), 2);
}

#[test]
fn a_name_that_is_not_visible_is_escaped_where_a_stamp_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    hub.publish_at(a, "a", "x\u{2800}", &[1], Stamp { clock: LogicalTime::MAX, instance: Instance([1; 16]) });
    let warnings = hub.warnings();
    assert!(
        warnings.iter().any(|text| text.ends_with(r#""x\u2800" not taken: its stamp is too far in the future"#)),
        "{warnings:?}"
    );
}

#[test]
fn an_app_is_told_before_the_pong_that_the_hub_holds_a_later_value() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.hello("s", 1, 1, HelloFlags::SHARED), hub.hello("s", 2, 1, HelloFlags::SHARED));
    let stamp =
        |millis, instance| Stamp { clock: LogicalTime::from_millis(millis), instance: Instance([instance; 16]) };
    let held = stamp(hub.now.wall.as_millis(), 1);
    hub.publish_at(a, "s", "x", &[1], held);
    hub.said(a);
    hub.said(b);
    let offered = stamp(hub.now.wall.as_millis() - 1, 2);
    hub.publish_at(b, "s", "x", &[2], offered);
    hub.control(b, "s", Control::Ping { token: 7 });
    let bodies = hub.bodies(b);
    let decoded: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body")).collect();
    assert_eq!(decoded.iter().map(|body| body.name()).collect::<Vec<_>>(), ["$ns/stale", "x", "$ns/pong"]);
    let Ok(Control::Stale { name: "x", offered: told, held: Some(later), time }) = Control::decode(&decoded[0]) else {
        panic!("{:?}", Control::decode(&decoded[0]));
    };
    assert!(told == offered && later == held && time >= held.clock);
    assert_eq!((decoded[1].data, decoded[1].meta.stamp), (&[1][..], Some(held)), "it is sent the one that is held");
    assert!(matches!(Control::decode(&decoded[2]), Ok(Control::Pong { token: 7, time: Some(at) }) if at >= held.clock));
    // The same value once more is not reported.
    hub.publish_at(a, "s", "x", &[1], held);
    assert!(hub.said(a).is_empty());
}

#[test]
fn a_clock_that_is_set_back_by_an_hour_freezes_nothing() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    let stamp = |clock| Stamp { clock, instance: Instance([1; 16]) };
    let before = LogicalTime::from_millis(hub.now.wall.as_millis());
    hub.publish_at(a, "a", "x", &[1], stamp(before));
    hub.now.wall = wall_after(hub.now.wall, -3_600_000);
    // The app's stamps go on from where they were.
    hub.publish_at(a, "a", "x", &[2], stamp(before.succ()));
    assert_eq!((hub.router.stats().ahead, hub.router.stats().stale), (0, 0));
    assert_eq!(hub.said(b), ["x", "x"]);
}

#[test]
fn a_value_that_is_not_newer_is_dropped_and_counted() {
    let mut hub = Direct::new(RouterConfig::default());
    let shared = |hub: &mut Direct, instance| hub.hello("a", instance, 1, HelloFlags::SHARED);
    let (a, greater, smaller) = (shared(&mut hub, 7), shared(&mut hub, 8), shared(&mut hub, 6));
    let b = hub.open_v1("b", 2);
    hub.publish_at(a, "a", "x", &[1], stamp(5));
    hub.publish_at(a, "a", "x", &[2], stamp(5));
    hub.publish_at(a, "a", "x", &[3], stamp(4));
    assert_eq!(hub.router.stats().stale, 2);
    assert_eq!(hub.said(b), ["x"]);
    // Of two that were made at the same time that of the greater instance is newer, whichever came first.
    let of = |instance| Stamp { instance: Instance([instance; 16]), ..stamp(5) };
    hub.publish_at(greater, "a", "x", &[4], of(8));
    hub.publish_at(smaller, "a", "x", &[5], of(6));
    assert_eq!(hub.router.table().find("a", "x").unwrap().data(), [4]);
}
