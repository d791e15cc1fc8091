//! What a hub with a store has again when it is restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use nanostate::engine::hub::{Batch, Router, RouterConfig};
use nanostate::engine::ConnId;
use nanostate::limits;
use nanostate::time::{LogicalTime, WallTime};
use nanostate::wire::{Features, Form, HelloFlags, Instance, Meta, Stamp};
use nanostate::Kind;

use crate::sim::{after, body, each_seed, value, wall_after, Direct, OldPeer, Shelf, World, CLEARED, MS, SEC};
use crate::words::{join, said};

const HUB: &str = "tcp://hub";
const HOUR: u64 = 3600 * SEC;

/// A hub with an empty store.
pub(crate) fn hub_with(shelf: &mut Shelf) -> Direct {
    let mut hub = Direct::new(RouterConfig::default());
    shelf.begin(hub.now, &mut hub.router);
    hub
}

/// An app that knows of tombstones, of the instance 2.
fn app(hub: &mut Direct, identity: &str) -> ConnId {
    join(hub, identity, HelloFlags(0), Features::ALL)
}

/// Stores all that is to be stored, a while later.
pub(crate) fn store(hub: &mut Direct, shelf: &mut Shelf) -> Vec<Batch> {
    hub.pass(limits::STORE_EVERY.as_nanos() as u64);
    let mut batches = Vec::new();
    while let Some(batch) = hub.router.take_batch(hub.now) {
        shelf.put(&batch);
        hub.router.stored(batch.entries.len() as u64);
        batches.push(batch);
    }
    batches
}

/// A hub that begins so many nanoseconds after the other one was killed, on the same machine.
pub(crate) fn restarted(killed: &Direct, shelf: &mut Shelf, after_that: u64) -> Direct {
    let mut hub = Direct::new(RouterConfig::default());
    hub.now = after(killed.now, after_that);
    shelf.begin(hub.now, &mut hub.router);
    hub
}

/// The entries of a hub, by key: their stamps, and whether they are tombstones.
fn entries(router: &Router) -> BTreeMap<(String, String), (Stamp, bool)> {
    let entry = router.table().iter();
    entry.map(|e| ((e.sender().to_owned(), e.name().to_owned()), (e.stamp(), e.is_cleared()))).collect()
}

/// A body of an app that clears a value.
fn tombstone(sender: &str, name: &str, stamp: Stamp) -> Vec<u8> {
    body(Form::V1, sender, name, &[2], &Meta { stamp: Some(stamp), flags: Meta::CLEAR, ..Meta::default() })
}

fn by(hub: &Direct, instance: u8, millis: u64) -> Stamp {
    let clock = LogicalTime::from_millis(hub.now.wall.as_millis() + millis);
    Stamp { clock, instance: Instance([instance; 16]) }
}

#[test]
fn what_everybody_left_is_there_again_and_newcomers_are_sent_it_as_retained() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let (a, old) = (hub.open_v1("a", 1), hub.open_old());
    hub.publish(a, "a", "x", &value(Kind::Int, 1, 0));
    hub.publish(a, "a", "large", &value(Kind::Text, 2, 100_000));
    hub.send(old, &body(Form::Old, "old", "y", &value(Kind::Text, 3, 5), &Meta::default()));
    hub.pass(50 * MS);
    store(&mut hub, &mut shelf);
    let mut next = restarted(&hub, &mut shelf, SEC);
    assert_eq!(entries(&next.router), entries(&hub.router));
    assert_eq!(next.router.stats().states, 3);
    let late = join(&mut next, "late", HelloFlags(0), Features::ALL);
    assert_eq!(said(&mut next, late), ["x held", "large held", "y held", "synced 0"]);
    // Nothing of it is written once more.
    next.pass(SEC);
    let again: usize = store(&mut next, &mut shelf).iter().map(|batch| batch.entries.len()).sum();
    assert_eq!(again, 0);
}

#[test]
fn batches_come_at_most_so_often_and_only_while_none_is_being_stored() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "x", &value(Kind::Int, 1, 0));
    hub.pass(limits::STORE_EVERY.as_nanos() as u64);
    let first = hub.router.take_batch(hub.now).expect("there is something");
    hub.publish_at(a, "a", "x", &value(Kind::Int, 2, 0), by(&hub, 1, 1));
    hub.pass(HOUR);
    assert_eq!(hub.router.take_batch(hub.now), None, "the first is not stored");
    assert_eq!(hub.router.next_batch(), None);
    shelf.put(&first);
    hub.router.stored(1);
    let second = hub.router.take_batch(hub.now).expect("there is something");
    assert_eq!(second.entries.len(), 1);
    shelf.put(&second);
    hub.router.stored(1);
    hub.publish_at(a, "a", "x", &value(Kind::Int, 3, 0), by(&hub, 1, 2));
    assert_eq!(hub.router.next_batch(), Some(hub.now.mono + limits::STORE_EVERY));
    assert_eq!(hub.router.take_batch(hub.now), None);
    assert_eq!(store(&mut hub, &mut shelf).len(), 1);
    assert_eq!(hub.router.stats().stored, 3);
}

#[test]
fn a_large_table_is_stored_in_several_batches_one_behind_the_other() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = hub.open_v1("a", 1);
    for i in 0..100 {
        hub.publish(a, "a", &format!("n{i}"), &value(Kind::Text, i, 100_000));
    }
    let batches = store(&mut hub, &mut shelf);
    assert!((9..=12).contains(&batches.len()), "{} batches of 10 MB", batches.len());
    for batch in &batches {
        let bytes: usize = batch.entries.iter().map(|entry| entry.body.len()).sum();
        assert!(bytes <= limits::STORE_BATCH + 110_000, "{bytes} bytes in one batch");
    }
    assert_eq!(entries(&restarted(&hub, &mut shelf, 0).router).len(), 100);
}

#[test]
fn a_hub_stamps_above_all_that_it_has_stamped_whatever_its_clock_says_when_it_is_restarted() {
    each_seed(50, 1000, |seed| {
        let mut rng = crate::sim::Rng::new(seed);
        let mut shelf = Shelf::default();
        let mut hub = hub_with(&mut shelf);
        let old = hub.open_old();
        let mut latest = LogicalTime::default();
        for round in 0..20 {
            let killed_at = rng.below(100);
            for n in 0..=killed_at {
                hub.send(old, &body(Form::Old, "old", "x", &value(Kind::Int, round * 1000 + n, 0), &Meta::default()));
                let stamp = hub.router.table().find("old", "x").expect("it is held").stamp().clock;
                assert!(stamp > latest, "round {round}");
                latest = stamp;
                let time = rng.below(600 * MS);
                hub.pass(time);
                // The last may not be stored before it is killed.
                if n < killed_at || rng.one_in(2) {
                    store(&mut hub, &mut shelf);
                }
            }
            let wall = wall_after(hub.now.wall, -(rng.below(20 * 3_600_000) as i64));
            hub = Direct::new(RouterConfig::default());
            hub.now.wall = wall;
            shelf.begin(hub.now, &mut hub.router);
            let old = hub.open_old();
            hub.send(old, &body(Form::Old, "old", "y", &value(Kind::Int, round, 0), &Meta::default()));
            let stamp = hub.router.table().find("old", "y").expect("it is held").stamp().clock;
            assert!(stamp > latest, "round {round}: {stamp:?} is not above {latest:?}");
            latest = stamp;
            store(&mut hub, &mut shelf);
        }
    });
}

#[test]
fn a_hub_that_ends_in_good_order_reserves_no_time_ahead() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = hub.open_v1("a", 1);
    let stamp = by(&hub, 1, 5_000);
    hub.publish_at(a, "a", "x", &value(Kind::Int, 1, 0), stamp);
    store(&mut hub, &mut shelf);
    assert!(shelf.reserved > stamp.clock + Duration::from_secs(9));
    while let Some(batch) = hub.router.take_last_batch(hub.now) {
        shelf.put(&batch);
        hub.router.stored(0);
    }
    assert_eq!(shelf.reserved, stamp.clock);
}

#[test]
fn a_hub_without_peers_writes_nothing_however_much_time_passes() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    store(&mut hub, &mut shelf);
    let mut count = || {
        let before = hub.now;
        for _ in 0..1000 {
            hub.pass(SEC);
            assert_eq!(store(&mut hub, &mut shelf).len(), 0, "since {before:?}");
        }
    };
    count();
}

#[test]
fn values_of_senders_that_departed_expire_by_the_wall_clock_also_through_a_restart_of_the_machine() {
    let day = limits::DEPARTED.as_nanos() as u64;
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for (conn, sender) in [(a, "a"), (b, "b")] {
        hub.publish(conn, sender, "x", &value(Kind::Int, 1, 0));
    }
    hub.lose(a);
    store(&mut hub, &mut shelf);
    hub.pass(HOUR);
    store(&mut hub, &mut shelf);
    // The machine has just been started: its monotonic clock is younger than the departure.
    let mut next = Direct::new(RouterConfig::default());
    next.now.mono = Default::default();
    next.now.wall = wall_after(hub.now.wall, 3_600_000);
    shelf.begin(next.now, &mut next.router);
    store(&mut next, &mut shelf);
    next.pass(day - 2 * HOUR - SEC);
    next.settle_with(&mut shelf);
    assert_eq!(next.router.stats().states, 2);
    next.pass(2 * SEC);
    next.settle_with(&mut shelf);
    assert!(next.router.table().find("a", "x").is_none(), "a day after it departed");
    // The other departed with the hub, and is given its time from when there is a hub again.
    next.pass(2 * HOUR - 10 * SEC);
    next.settle_with(&mut shelf);
    assert_eq!(next.router.stats().states, 1);
    next.pass(20 * SEC);
    next.settle_with(&mut shelf);
    assert_eq!(next.router.stats().states, 0);
    next.pass(SEC);
    store(&mut next, &mut shelf);
    assert!(shelf.entries.is_empty() && shelf.senders.is_empty(), "{shelf:?}");
}

impl Direct {
    /// As [`Direct::settle`], with a store.
    fn settle_with(&mut self, shelf: &mut Shelf) {
        for _ in 0..10 {
            self.pass(0);
            store(self, shelf);
        }
    }
}

#[test]
fn a_clock_that_lies_makes_nothing_older_than_may_be_and_nothing_younger_than_now() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = app(&mut hub, "a");
    hub.send(a, &tombstone("a", "gone", by(&hub, 2, 1)));
    hub.publish_at(a, "a", "x", &value(Kind::Int, 1, 0), by(&hub, 2, 1));
    hub.lose(a);
    store(&mut hub, &mut shelf);
    assert_eq!((hub.router.table().len(), hub.router.stats().states), (2, 1));
    for wall in [0, u64::MAX] {
        let mut next = Direct::new(RouterConfig::default());
        next.now.wall = WallTime::from_millis(wall);
        shelf.begin(next.now, &mut next.router);
        let due = next.router.table().next_expiry().expect("something expires");
        let age = if wall == 0 { limits::DEPARTED } else { Duration::ZERO };
        assert_eq!(due, next.now.mono + age);
        // A sender that comes back is heard, whatever the time.
        let a = next.open_v1("a", 3);
        next.publish(a, "a", "x", &value(Kind::Int, 2, 0));
        assert_eq!(next.router.stats().peers, 1);
    }
}

#[test]
fn a_tombstone_wins_over_an_older_value_also_after_a_restart_and_is_gone_after_a_day() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = app(&mut hub, "a");
    let before = by(&hub, 2, 1);
    hub.publish_at(a, "a", "x", &value(Kind::Int, 1, 0), before);
    hub.send(a, &tombstone("a", "x", by(&hub, 2, 2)));
    store(&mut hub, &mut shelf);
    let mut next = restarted(&hub, &mut shelf, HOUR);
    let a = next.open_v1("a", 2);
    next.publish_at(a, "a", "x", &value(Kind::Int, 1, 0), before);
    assert_eq!((next.router.stats().states, next.router.stats().stale), (0, 1));
    let late = join(&mut next, "late", HelloFlags(0), Features::ALL);
    assert_eq!(said(&mut next, late), ["synced 0"]);
    next.pass(limits::CLEARED.as_nanos() as u64 - HOUR - SEC);
    store(&mut next, &mut shelf);
    assert_eq!(next.router.table().len(), 1);
    next.pass(2 * SEC);
    next.settle_with(&mut shelf);
    assert_eq!(next.router.table().len(), 0);
    next.pass(SEC);
    store(&mut next, &mut shelf);
    assert!(shelf.entries.is_empty());
}

#[test]
fn an_app_that_comes_back_wins_or_loses_by_its_stamps() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = hub.open_v1("a", 1);
    let (early, held, late) = (by(&hub, 1, 1), by(&hub, 1, 5), by(&hub, 1, 9));
    hub.publish_at(a, "a", "x", &value(Kind::Int, 1, 0), held);
    hub.publish_at(a, "a", "y", &value(Kind::Int, 1, 0), held);
    store(&mut hub, &mut shelf);
    let mut next = restarted(&hub, &mut shelf, SEC);
    let a = next.open_v1("a", 1);
    next.publish_at(a, "a", "x", &value(Kind::Int, 2, 0), early);
    next.publish_at(a, "a", "y", &value(Kind::Int, 2, 0), late);
    let all = entries(&next.router);
    let stamp = |name: &str| all[&("a".to_owned(), name.to_owned())].0;
    assert_eq!((stamp("x"), stamp("y"), next.router.stats().stale), (held, late, 1));
}

#[test]
fn a_store_holds_what_the_table_holds_and_a_hub_that_begins_with_it_holds_the_same() {
    each_seed(60, 1000, |seed| {
        let mut rng = crate::sim::Rng::new(seed);
        let mut shelf = Shelf::default();
        let mut hub = hub_with(&mut shelf);
        hub.router.capacity_mut().states = 300;
        let mut conns = Vec::new();
        for n in 0..400_u64 {
            match rng.below(10) {
                0 if conns.len() < 6 => {
                    let who = format!("s{}", rng.below(12));
                    let conn = hub.open_old();
                    conns.push((conn, who));
                }
                1 if !conns.is_empty() => {
                    let (conn, _) = conns.swap_remove(rng.index(conns.len()));
                    hub.lose(conn);
                }
                2 if rng.one_in(4) => {
                    // What is under way is lost, and all that follows.
                    let _ = hub.router.take_batch(hub.now);
                    let later = rng.below(3 * HOUR);
                    hub = restarted(&hub, &mut shelf, later);
                    hub.router.capacity_mut().states = 300;
                    conns.clear();
                }
                3 | 4 => {
                    let time = rng.pick(&[MS, 60 * MS, SEC, 2 * HOUR]);
                    hub.pass(time);
                    store(&mut hub, &mut shelf);
                }
                _ if !conns.is_empty() => {
                    let (conn, who) = conns[rng.index(conns.len())].clone();
                    for _ in 0..rng.length(60) {
                        let (name, size) = (format!("n{}", rng.below(120)), rng.length(6000));
                        let data = value(Kind::Text, n, size);
                        hub.send(conn, &body(Form::Old, &who, &name, &data, &Meta::default()));
                    }
                }
                _ => {}
            }
        }
        hub.settle_with(&mut shelf);
        hub.pass(SEC);
        store(&mut hub, &mut shelf);
        hub.settle_with(&mut shelf);
        let held: Vec<_> = hub.router.table().iter().map(|entry| entry.bytes().to_vec()).collect();
        let stored: Vec<_> = shelf.entries.values().map(|(body, _)| body.clone()).collect();
        assert!(held == stored, "{} held, {} stored", held.len(), stored.len());
        let most = *shelf.entries.keys().last().unwrap_or(&0);
        assert!(most < 300, "a place for each entry that there may be, and no more: {most}");
        let next = restarted(&hub, &mut shelf, 0);
        let again: Vec<_> = next.router.table().iter().map(|entry| entry.bytes().to_vec()).collect();
        assert!(held == again, "{} held, {} again", held.len(), again.len());
    });
}

#[test]
fn what_is_stored_at_places_that_make_no_sense_is_put_elsewhere_and_stored_anew() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = hub.open_v1("a", 1);
    for name in ["x", "y", "z"] {
        hub.publish(a, "a", name, &value(Kind::Int, 1, 0));
    }
    store(&mut hub, &mut shelf);
    let mut odd = shelf.clone();
    let z = odd.entries.remove(&2).expect("the third");
    odd.entries.insert(u32::MAX, z);
    // The same key twice: the later one counts.
    let stamp = by(&hub, 1, 5);
    let meta = Meta { stamp: Some(stamp), ..Meta::default() };
    odd.entries.insert(700, (body(Form::V1, "a", "y", &value(Kind::Int, 2, 0), &meta), None));
    let mut next = restarted(&hub, &mut odd, SEC);
    assert_eq!(next.router.stats().states, 3);
    assert!(next.router.table().slots() < 1024, "nothing is allocated for what a number claims");
    assert_eq!(entries(&next.router)[&("a".into(), "y".into())].0, stamp);
    next.pass(SEC);
    store(&mut next, &mut odd);
    assert_eq!(odd.entries.len(), 3);
    let last = restarted(&next, &mut odd, SEC);
    assert_eq!(entries(&last.router), entries(&next.router));
}

#[test]
fn what_is_no_state_of_a_hub_is_not_put_back() {
    let mut hub = Direct::new(RouterConfig::default());
    assert!(!hub.router.begin_restore(hub.now, LogicalTime::MAX), "a clock at its end would stay there");
    assert!(hub.router.begin_restore(hub.now, LogicalTime::from_millis(hub.now.wall.as_millis())));
    let stamped = Meta { stamp: Some(by(&hub, 1, 0)), ..Meta::default() };
    let ahead = Stamp { clock: LogicalTime::MAX, ..by(&hub, 1, 0) };
    let cases = [
        Vec::new(),
        vec![0xC1; 100],
        body(Form::V1, "a", "no stamp", &[7], &Meta::default()),
        body(Form::V1, "a", "ahead", &[7], &Meta { stamp: Some(ahead), ..Meta::default() }),
        body(Form::V1, "a", "$ns/hello", &[7], &stamped),
        body(Form::Old, "a", "old", &[7], &Meta::default()),
    ];
    for (slot, bytes) in cases.iter().enumerate() {
        assert!(!hub.router.restore(hub.now, slot as u32, bytes, None), "{bytes:?}");
    }
    assert!(hub.router.restore(hub.now, 10, &body(Form::V1, "a", "x", &[7], &stamped), None));
    let restored = hub.router.restored(hub.now, false);
    assert_eq!((restored.entries, restored.damaged, restored.refused), (1, 6, 0));
}

#[test]
fn a_store_that_was_lost_is_filled_anew() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    hub.publish(a, "a", "x", &value(Kind::Int, 1, 0));
    hub.publish(b, "b", "x", &value(Kind::Int, 1, 0));
    hub.lose(b);
    store(&mut hub, &mut shelf);
    hub.publish_at(a, "a", "x", &value(Kind::Int, 2, 0), by(&hub, 1, 1));
    hub.pass(SEC);
    let under_way = hub.router.take_batch(hub.now);
    assert!(under_way.is_some());
    hub.router.store_anew();
    let mut anew = Shelf::default();
    hub.pass(SEC);
    store(&mut hub, &mut anew);
    assert_eq!((anew.entries.len(), anew.senders.len()), (2, 1));
    assert_eq!(entries(&restarted(&hub, &mut anew, 0).router), entries(&hub.router));
}

#[test]
fn a_newcomer_finds_what_was_older_than_100_ms_when_the_hub_and_all_apps_were_killed_at_once() {
    each_seed(60, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig::default());
        world.give_store(hub, Shelf::default());
        for round in 0..4 {
            let apps: Vec<_> = (0..3).map(|n| world.add_app(&format!("app{n}"), HUB)).collect();
            let old = world.add_old_peer(OldPeer::new("old"), HUB);
            world.settle();
            let publish = |world: &mut World| {
                for _ in 0..world.rng.length(60) {
                    let (app, name) = (world.rng.pick(&apps), format!("n{}", world.rng.below(40)));
                    let (kind, size) = (world.rng.pick(Kind::ALL), world.rng.length(500));
                    world.publish(app, &name, kind, size).expect("there is room");
                }
                world.publish_old(old, "n1", Kind::Text, 10);
            };
            for _ in 0..world.rng.below(10) {
                publish(&mut world);
                let time = world.rng.below(60 * MS);
                world.run_for(time);
            }
            let held = entries(world.hub(hub));
            for _ in 0..5 {
                publish(&mut world);
                world.run_for(20 * MS);
            }
            for id in apps.into_iter().chain([old, hub]) {
                world.kill(id);
            }
            hub = world.replace_hub(hub, HUB, RouterConfig::default());
            let newcomer = world.add_app(&format!("newcomer{round}"), HUB);
            world.settle();
            let again = entries(world.hub(hub));
            for (key, (stamp, _)) in &held {
                let now = again.get(key).unwrap_or_else(|| panic!("{key:?} is forgotten"));
                assert!(now.0 >= *stamp, "{key:?} is older than it was");
                let given = world.app(newcomer).newest.get(key).map(|(stamp, _)| *stamp);
                assert!(now.1 || given == Some(now.0), "{key:?}: the newcomer was given {given:?}");
            }
            for (key, (_, given)) in world.app(newcomer).newest.clone() {
                assert!(given != CLEARED, "{key:?} is gone, and a newcomer does not know it");
            }
            world.kill(newcomer);
        }
    });
}

#[test]
fn a_transient_value_is_not_stored_nor_is_what_it_has_replaced() {
    let mut shelf = Shelf::default();
    let mut hub = hub_with(&mut shelf);
    let a = app(&mut hub, "a");
    let publish = |hub: &mut Direct, name: &str, millis: u64, flags: u32| {
        let meta = Meta { stamp: Some(by(hub, 2, millis)), flags, ..Meta::default() };
        hub.send(a, &body(Form::V1, "a", name, &[7], &meta));
    };
    publish(&mut hub, "x", 0, 0);
    publish(&mut hub, "y", 0, Meta::TRANSIENT);
    publish(&mut hub, "z", 0, Meta::TRANSIENT);
    store(&mut hub, &mut shelf);
    assert_eq!(shelf.entries.len(), 1);
    publish(&mut hub, "x", 1000, Meta::TRANSIENT);
    publish(&mut hub, "z", 1000, 0);
    store(&mut hub, &mut shelf);
    let names: Vec<_> = entries(&restarted(&hub, &mut shelf, 0).router).into_keys().map(|(_, name)| name).collect();
    assert_eq!(names, ["z"]);
    // When its sender has gone there is nothing left to write of it.
    hub.lose(a);
    hub.settle();
    store(&mut hub, &mut shelf);
    assert_eq!(entries(&restarted(&hub, &mut shelf, 0).router).len(), 1);
}
