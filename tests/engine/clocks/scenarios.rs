//! Faults of clocks that were seen, one by one.

use nanostate::time::LogicalTime;
use nanostate::Kind;

use super::{
    app, check_last_word, check_one_value, hub, replace, shared, shown, table, v1_peer, HOUR, HUB, MINUTE, TO_1970,
};
use crate::sim::{self, each_seed, number_of, RawPeer, World, SEC};

/// Two writers of one name, in turn, with the hub's clock so far off, and that of the second.
fn two_writers(seed: u64, hub_skew: i64, second_skew: i64, then_killed: bool) {
    let mut world = World::new(seed);
    let mut h = hub(&mut world, hub_skew);
    let mut apps = vec![app(&mut world, "a", 0), app(&mut world, "b", second_skew), app(&mut world, "reader", 0)];
    world.settle();
    for turn in 0..4 {
        check_last_word(&mut world, h, &apps.clone(), apps[turn % 2], "x");
        world.run_for(SEC);
    }
    if then_killed {
        h = replace(&mut world, h, hub_skew);
        world.settle();
    }
    apps.push(app(&mut world, "late", 0));
    world.settle();
    check_one_value(&mut world, h, &apps);
    check_last_word(&mut world, h, &apps.clone(), apps[0], "x");
}

#[test]
fn two_writers_on_a_hub_that_is_70_seconds_behind_see_the_same() {
    each_seed(10, 1000, |seed| two_writers(seed, -70_000, 0, false));
}

#[test]
fn the_last_value_wins_on_a_hub_that_is_an_hour_behind_and_killed() {
    each_seed(10, 1000, |seed| two_writers(seed, -HOUR, 0, true));
}

#[test]
fn the_last_value_wins_although_one_writer_is_five_minutes_ahead() {
    each_seed(10, 1000, |seed| two_writers(seed, 0, 5 * MINUTE, true));
}

#[test]
fn a_reconnect_to_a_hub_that_is_an_hour_behind_delivers_nothing_again() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let mut h = hub(&mut world, -HOUR);
        let a = app(&mut world, "a", 0);
        let b = world.add_app_with("b", HUB, |app| app.log = Some(Vec::new()));
        world.settle();
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.settle();
        for _ in 0..3 {
            world.break_one(a);
            world.settle();
            h = replace(&mut world, h, -HOUR);
            world.settle();
        }
        assert_eq!(world.app(b).log.as_ref().map(Vec::len), Some(1));
        check_one_value(&mut world, h, &[a, b]);
    });
}

#[test]
fn a_shared_identity_that_comes_back_with_its_clock_30_seconds_behind_is_heard() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let h = hub(&mut world, 0);
        let reader = app(&mut world, "reader", 0);
        for (skew, before_the_link) in [(0, true), (-30_000, true), (-60_000, false), (TO_1970, true)] {
            let id = shared(&mut world, "command", skew);
            if !before_the_link {
                world.settle();
            }
            check_last_word(&mut world, h, &[reader, id], id, "x");
            world.kill(id);
            world.settle();
        }
    });
}

#[test]
fn what_was_set_first_before_the_link_does_not_win_over_what_was_set_since() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        // Sent before there is a hub, with a clock that is ahead.
        let early = shared(&mut world, "s", HOUR);
        world.publish(early, "x", Kind::Int, 0).unwrap();
        world.publish(early, "y", Kind::Int, 0).unwrap();
        world.suspend(early, 100 * SEC);
        let h = hub(&mut world, 0);
        let other = shared(&mut world, "s", -HOUR);
        world.run_for(10 * SEC);
        world.publish(other, "x", Kind::Int, 0).unwrap();
        let last = world.app(other).sent["x"].1.clone();
        world.run_for(300 * SEC);
        world.request_ack(early);
        world.settle();
        check_one_value(&mut world, h, &[early, other]);
        let held = table(&mut world, h);
        assert!(held[&("s".to_owned(), "x".to_owned())].1 == last, "the one that was sent last");
        assert!(held[&("s".to_owned(), "x".to_owned())].0 > held[&("s".to_owned(), "y".to_owned())].0);
    });
}

#[test]
fn nobody_is_deaf_once_the_hubs_clock_was_set_back_and_it_came_back() {
    each_seed(10, 1000, |seed| {
        for back in [90_000, HOUR, -TO_1970] {
            let mut world = World::new(seed);
            let mut h = hub(&mut world, 0);
            let apps = [app(&mut world, "a", 0), app(&mut world, "b", 0)];
            world.settle();
            for round in 0..3 {
                let skew = if round == 0 { 0 } else { -back };
                if round == 1 {
                    world.run_for(20 * SEC);
                    for id in apps.into_iter().chain([h]) {
                        world.set_skew(id, skew);
                    }
                    h = replace(&mut world, h, skew);
                    world.settle();
                }
                for writer in apps {
                    check_last_word(&mut world, h, &apps, writer, "x");
                }
            }
        }
    });
}

#[test]
fn a_hub_and_an_app_that_both_come_back_with_their_clocks_behind_are_heard() {
    each_seed(20, 1000, |seed| {
        let mut world = World::new(seed);
        let mut h = hub(&mut world, 0);
        let (a, reader) = (app(&mut world, "a", 0), app(&mut world, "reader", 0));
        world.settle();
        check_last_word(&mut world, h, &[a, reader], a, "x");
        let until = world.mono + 20 * SEC;
        world.stall(reader, until);
        world.kill(a);
        h = replace(&mut world, h, -HOUR);
        let a = app(&mut world, "a", -2 * HOUR);
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.run_for(SEC);
        world.settle();
        for _ in 0..3 {
            world.publish(a, "x", Kind::Int, 0).unwrap();
            world.settle();
            check_one_value(&mut world, h, &[a, reader]);
        }
    });
}

#[test]
fn a_hub_whose_clock_is_at_its_end_is_outlived() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        // The last milliseconds that a stamp can hold.
        let end = (u64::MAX >> 16) as i64 + TO_1970;
        let mut h = hub(&mut world, end);
        let apps = [app(&mut world, "a", 0), app(&mut world, "b", 0), shared(&mut world, "s", 0)];
        world.settle();
        let first = v1_peer("evil", &[("z", LogicalTime::MAX), ("x", LogicalTime::MAX)]);
        world.add_raw(RawPeer::new(first), HUB);
        world.settle();
        assert_eq!(shown(&mut world, apps[0], Some("evil"), "z").map(|(stamp, _)| stamp.clock), Some(LogicalTime::MAX));
        for &id in apps.iter().cycle().take(9) {
            world.publish(id, "x", Kind::Int, 0).unwrap_or_else(|status| panic!("a send fails: {status:?}"));
            world.publish(id, "y", Kind::Int, 0).unwrap_or_else(|status| panic!("a send fails: {status:?}"));
            world.run_for(SEC);
        }
        h = replace(&mut world, h, 0);
        world.settle();
        check_one_value(&mut world, h, &apps);
        for &id in apps.iter().cycle().take(6) {
            check_last_word(&mut world, h, &apps, id, "x");
        }
        let newest = table(&mut world, h).into_values().map(|(stamp, _)| stamp.millis()).max();
        assert!(newest.is_some_and(|newest| newest < 1_900_000_000_000), "{newest:?}: no longer at its end");
    });
}

#[test]
fn values_are_numbered_where_their_kind_has_room() {
    for kind in [Kind::Text, Kind::Int, Kind::Uint] {
        assert_eq!(number_of(&sim::value(kind, 4711, 30)), Some(4711));
    }
}

#[test]
fn a_hub_that_is_killed_gets_the_newest_value_back_from_whoever_shares_the_identity() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let mut h = hub(&mut world, 0);
        let (one, other) = (shared(&mut world, "s", 0), shared(&mut world, "s", -HOUR));
        let reader = app(&mut world, "reader", 0);
        world.settle();
        for id in [one, other] {
            world.publish(id, "x", Kind::Int, 0).unwrap();
            world.settle();
        }
        let last = world.app(other).sent["x"].1.clone();
        world.kill(other);
        for _ in 0..2 {
            h = replace(&mut world, h, -HOUR);
            world.settle();
            world.break_one(one);
            world.settle();
        }
        let late = app(&mut world, "late", 0);
        world.settle();
        for id in [one, reader, late] {
            assert_eq!(shown(&mut world, id, Some("s"), "x").map(|(_, value)| value), Some(last.clone()));
        }
        assert_eq!(world.app(reader).taken, 2, "and nobody gets it again");
    });
}
