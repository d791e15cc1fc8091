//! Wills of a hub with a store, which is restarted.

use std::time::Duration;

use nanostate::engine::hub::{RouterConfig, Silence, StoredApp};
use nanostate::engine::ConnId;
use nanostate::limits;
use nanostate::wire::{Control, Digest, Features, Form, HelloFlags, Instance, Meta, Secret, WillMessage};
use nanostate::Kind;

use super::{bye, hello, join, join_shared, leave, of, publish, read, watcher, will_body, LOST};
use crate::presence::heard;
use crate::sim::{body, value, Direct, Shelf, SEC};
use crate::store::{hub_with, restarted, store};

/// As long as an app may be silent, those have to come back that were there before a hub was restarted.
pub const SILENT: u64 = limits::LOST.as_nanos() as u64;

/// The hub stores what there is, is killed with all connections, and starts again a second later.
fn restart(hub: &mut Direct, shelf: &mut Shelf) {
    store(hub, shelf);
    kill(hub, shelf);
}

/// The same, without the time to store anything.
fn kill(hub: &mut Direct, shelf: &mut Shelf) {
    *hub = restarted(hub, shelf, SEC);
}

/// What a peer is sent of few states. The hub always waits for its store.
fn told(hub: &mut Direct, conn: ConnId) -> Vec<(String, Option<u8>)> {
    (0..10).for_each(|_| hub.pass(0));
    read(hub, conn)
}

fn start() -> (Direct, Shelf) {
    let mut shelf = Shelf::default();
    (hub_with(&mut shelf), shelf)
}

#[test]
fn the_wills_of_an_app_that_is_killed_with_its_hub_are_published_once_when_it_has_not_come_back_in_time() {
    let (mut hub, mut shelf) = start();
    let a = join(&mut hub, "a", 1, 1);
    publish(&mut hub, a, "a", "name", &[3]);
    leave(&mut hub, a, "a", "on", Some(7));
    leave(&mut hub, a, "a", "on", Some(0));
    leave(&mut hub, a, "a", "name", None);
    restart(&mut hub, &mut shelf);
    // The time counts from the first connection: before that nobody could have come back.
    hub.pass(100 * SEC);
    let observer = watcher(&mut hub);
    hub.pass(SILENT - 1);
    assert_eq!(told(&mut hub, observer), of(&[]), "it may come back");
    hub.pass(1);
    assert_eq!(told(&mut hub, observer), of(&[("name", None), ("on", Some(0))]));
    restart(&mut hub, &mut shelf);
    let observer = watcher(&mut hub);
    hub.pass(10 * SILENT);
    assert_eq!(told(&mut hub, observer), of(&[]), "they were published");
    assert!(shelf.apps.is_empty());
}

#[test]
fn an_app_that_comes_back_to_a_restarted_hub_is_not_lost_and_what_it_does_not_tell_again_is_void() {
    let (mut hub, mut shelf) = start();
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "kept", Some(1));
    leave(&mut hub, a, "a", "changed", Some(1));
    leave(&mut hub, a, "a", "gone", Some(1));
    restart(&mut hub, &mut shelf);
    let (observer, a) = (watcher(&mut hub), join(&mut hub, "a", 1, 2));
    leave(&mut hub, a, "a", "kept", Some(1));
    leave(&mut hub, a, "a", "changed", Some(2));
    hub.control(a, "a", Control::Will(WillMessage::Complete));
    hub.pass(2 * SILENT);
    assert_eq!(told(&mut hub, observer), of(&[]));
    // Once more, and now it does not come back.
    restart(&mut hub, &mut shelf);
    let observer = watcher(&mut hub);
    hub.pass(SILENT);
    assert_eq!(told(&mut hub, observer), of(&[("changed", Some(2)), ("kept", Some(1))]));
}

#[test]
fn a_link_that_breaks_again_before_the_wills_are_told_leaves_those_that_were_stored() {
    let (mut hub, mut shelf) = start();
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    restart(&mut hub, &mut shelf);
    let (observer, a) = (watcher(&mut hub), join(&mut hub, "a", 1, 2));
    hub.lose(a);
    hub.pass(LOST);
    assert_eq!(told(&mut hub, observer), of(&[("on", Some(0))]));
}

#[test]
fn an_app_is_suspect_until_it_is_back_or_lost() {
    for is_back in [true, false] {
        let (mut hub, mut shelf) = start();
        let (a, _b) = (join(&mut hub, "a", 1, 1), join(&mut hub, "b", 2, 1));
        leave(&mut hub, a, "a", "on", Some(0));
        restart(&mut hub, &mut shelf);
        let observer = watcher(&mut hub);
        hub.control(observer, "watcher", Control::Watch);
        assert_eq!(heard(&mut hub, observer), ["begins", "a suspect", "complete, young"], "b has left nothing");
        if is_back {
            join(&mut hub, "a", 1, 2);
        }
        hub.pass(SILENT);
        let mut then = heard(&mut hub, observer);
        then.sort();
        assert_eq!(then, [if is_back { "a present" } else { "a lost" }, "complete"]);
    }
}

#[test]
fn what_was_taken_back_or_void_before_the_restart_stays_so() {
    let (mut hub, mut shelf) = start();
    let said = join(&mut hub, "said", 1, 1);
    let withdrew = join(&mut hub, "withdrew", 2, 1);
    let replaced = join(&mut hub, "replaced", 3, 1);
    let anew = join(&mut hub, "anew", 4, 1);
    for (conn, identity) in [(said, "said"), (withdrew, "withdrew"), (replaced, "replaced"), (anew, "anew")] {
        leave(&mut hub, conn, identity, identity, Some(1));
    }
    store(&mut hub, &mut shelf);
    assert_eq!(shelf.apps.len(), 4);
    bye(&mut hub, said, "said");
    hub.control(withdrew, "withdrew", Control::Will(WillMessage::Withdraws("withdrew")));
    hello(&mut hub, "replaced", 13, 1, HelloFlags::TAKE_OVER, Features::ALL, None);
    // It was started anew: its link is cut, and another instance has its identity.
    hub.lose(anew);
    join(&mut hub, "anew", 14, 1);
    restart(&mut hub, &mut shelf);
    assert!(shelf.apps.is_empty(), "{:?}", shelf.apps);
    let observer = watcher(&mut hub);
    hub.pass(2 * SILENT);
    assert_eq!(told(&mut hub, observer), of(&[]));
}

#[test]
fn one_that_has_the_identity_alone_after_the_restart_or_no_proof_is_not_the_app() {
    for (app, back) in [(1, true), (2, false)] {
        let (mut hub, mut shelf) = start();
        let a = join(&mut hub, "a", 1, 1);
        leave(&mut hub, a, "a", "on", Some(0));
        restart(&mut hub, &mut shelf);
        let observer = watcher(&mut hub);
        let next = join(&mut hub, "a", app, 2);
        hub.lose(next);
        hub.pass(2 * SILENT);
        assert_eq!(told(&mut hub, observer).len(), usize::from(back), "{app}");
    }
}

#[test]
fn of_apps_that_share_an_identity_the_last_has_to_be_lost_also_if_the_hub_is_restarted_in_between() {
    for others_return in [false, true] {
        let (mut hub, mut shelf) = start();
        let (first, second) = (join_shared(&mut hub, "s", 1, 1), join_shared(&mut hub, "s", 2, 1));
        join_shared(&mut hub, "s", 3, 1);
        leave(&mut hub, first, "s", "x", Some(1));
        leave(&mut hub, first, "s", "y", Some(1));
        leave(&mut hub, second, "s", "y", Some(2));
        hub.lose(first);
        hub.pass(LOST);
        hub.lose(second);
        hub.pass(LOST);
        restart(&mut hub, &mut shelf);
        let observer = watcher(&mut hub);
        let third = others_return.then(|| join_shared(&mut hub, "s", 3, 2));
        hub.pass(SILENT);
        let all = of(&[("x", Some(1)), ("y", Some(2))]);
        if let Some(third) = third {
            assert_eq!(told(&mut hub, observer), of(&[]), "one is there");
            hub.lose(third);
            hub.pass(LOST);
        }
        assert_eq!(told(&mut hub, observer), all, "{others_return}");
    }
}

#[test]
fn how_long_it_is_waited_for_apps_follows_from_how_long_they_may_be_silent() {
    let (mut hub, mut shelf) = start();
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    store(&mut hub, &mut shelf);
    let (young, never) = (limits::YOUNG.as_nanos() as u64, Duration::ZERO);
    for (lost, waited) in [(2 * limits::LOST, 2 * SILENT), (limits::YOUNG / 10, young), (never, SILENT)] {
        kill(&mut hub, &mut shelf);
        *hub.router.silence_mut() = Silence { suspect: lost / 2, lost };
        let observer = watcher(&mut hub);
        hub.pass(waited - 1);
        assert_eq!(told(&mut hub, observer), of(&[]));
        hub.pass(1);
        assert_eq!(told(&mut hub, observer), of(&[("on", Some(0))]));
    }
}

#[test]
fn a_will_is_forgotten_in_the_store_no_sooner_than_its_value_is_stored() {
    // The app is lost before the first batch or between two, and its value is in a slot of its own or one of the first.
    for (lost_in, has_value) in [(0, false), (0, true), (1, false), (1, true), (2, true)] {
        let (mut hub, mut shelf) = start();
        let (a, b) = (join(&mut hub, "a", 1, 1), join(&mut hub, "b", 2, 1));
        if has_value {
            publish(&mut hub, a, "a", "on", &[1]);
        }
        leave(&mut hub, a, "a", "on", Some(0));
        store(&mut hub, &mut shelf);
        // More than one batch takes.
        (0..30).for_each(|n| publish(&mut hub, b, "b", &n.to_string(), &value(Kind::Text, n, 100_000)));
        hub.pass(SEC);
        let mut batches = 0;
        while !shelf.apps.is_empty() {
            if batches == lost_in {
                hub.lose(a);
                hub.pass(LOST);
                hub.pass(0);
            }
            hub.pass(SEC);
            let batch = hub.router.take_batch(hub.now).expect("there is something");
            shelf.put(&batch);
            hub.router.stored(0);
            batches += 1;
            let mut next = Direct::new(RouterConfig::default());
            shelf.restore(next.now, &mut next.router);
            let is_published = next.router.table().find("a", "on").is_some_and(|value| value.data() == [0]);
            assert!(is_published || !shelf.apps.is_empty(), "it is in neither: {lost_in}, {has_value}, {batches}");
        }
        assert!(batches > lost_in + 1, "{batches} batches");
    }
}

#[test]
fn what_nobody_is_to_publish_any_more_leaves_no_trace_while_the_store_cannot_be_written() {
    let (mut hub, mut shelf) = start();
    let stays = join(&mut hub, "stays", 1, 1);
    leave(&mut hub, stays, "stays", "on", Some(0));
    hub.pass(SEC);
    let first = hub.router.take_batch(hub.now).expect("there is something");
    for n in 0..1000_u64 {
        let comes = join(&mut hub, "comes", 2, n + 1);
        leave(&mut hub, comes, "comes", "on", Some(0));
        match n % 3 {
            0 => bye(&mut hub, comes, "comes"),
            1 => hub.control(comes, "comes", Control::Will(WillMessage::Withdraws("on"))),
            _ => hub.lose(comes),
        }
        if n % 100 == 0 {
            hub.pass(LOST);
            hub.pass(0);
        }
    }
    shelf.put(&first);
    hub.router.stored(0);
    hub.pass(10 * LOST);
    hub.pass(0);
    let told: Vec<_> = store(&mut hub, &mut shelf).into_iter().flat_map(|batch| batch.apps).collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(shelf.apps.len(), 1);
}

#[test]
fn wills_that_are_put_back_take_no_more_room_than_the_hub_has_now() {
    let (mut hub, mut shelf) = start();
    let a = join(&mut hub, "a", 1, 1);
    for n in 0..8 {
        let body = body(Form::V1, "a", &n.to_string(), &value(Kind::Text, n, 100_000), &Meta::default());
        hub.control(a, "a", Control::Will(WillMessage::Leaves(&body)));
    }
    store(&mut hub, &mut shelf);
    // An eighth of the table may be wills, and the table has half of the memory.
    for (memory, is_put_back) in [(16 << 20, true), (12 << 20, false)] {
        let mut next = Direct::new(RouterConfig { memory, ..RouterConfig::default() });
        let restored = shelf.restore(next.now, &mut next.router);
        assert_eq!(restored.refused_apps, u64::from(!is_put_back), "{memory}");
    }
}

#[test]
fn wills_that_change_all_the_time_are_stored_beside_a_table_that_does_too() {
    let (mut hub, mut shelf) = start();
    let (a, b) = (join(&mut hub, "a", 1, 1), join(&mut hub, "b", 2, 1));
    for round in 0..20_u8 {
        // More than a batch has room for: a pass over the table takes several.
        let large = |n: u64| value(Kind::Text, n + u64::from(round), 100_000);
        (0..30).for_each(|n| publish(&mut hub, b, "b", &n.to_string(), &large(n)));
        leave(&mut hub, a, "a", "on", Some(round));
        hub.pass(limits::STORE_EVERY.as_nanos() as u64);
        let batch = hub.router.take_batch(hub.now).expect("there is something");
        shelf.put(&batch);
        hub.router.stored(0);
        let stored: Vec<_> = shelf.apps.values().flat_map(|app| app.wills.clone()).collect();
        assert_eq!(stored, [will_body("a", "on", Some(round)).into()]);
    }
}

#[test]
fn an_app_that_was_stored_at_a_new_place_and_not_yet_removed_at_the_old_one_is_one_app() {
    let (mut hub, mut shelf) = start();
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "x", Some(1));
    leave(&mut hub, a, "a", "y", Some(1));
    store(&mut hub, &mut shelf);
    let (old, before) = shelf.apps.pop_first().expect("it is stored");
    hub.lose(a);
    let a = join(&mut hub, "a", 1, 2);
    leave(&mut hub, a, "a", "x", Some(2));
    hub.control(a, "a", Control::Will(WillMessage::Complete));
    store(&mut hub, &mut shelf);
    shelf.apps.insert(old, before);
    assert_eq!(shelf.apps.len(), 2);
    kill(&mut hub, &mut shelf);
    let observer = watcher(&mut hub);
    hub.control(observer, "watcher", Control::Watch);
    assert_eq!(heard(&mut hub, observer), ["begins", "a suspect", "complete, young"]);
    hub.pass(SILENT);
    assert_eq!(told(&mut hub, observer), of(&[("x", Some(2))]));
}

#[test]
fn wills_that_are_told_again_as_they_were_are_not_stored_again() {
    let (mut hub, mut shelf) = start();
    let a = join(&mut hub, "a", 1, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    assert_eq!(store(&mut hub, &mut shelf).iter().map(|batch| batch.apps.len()).sum::<usize>(), 1);
    leave(&mut hub, a, "a", "on", Some(0));
    hub.control(a, "a", Control::Will(WillMessage::Complete));
    assert_eq!(store(&mut hub, &mut shelf).iter().map(|batch| batch.apps.len()).sum::<usize>(), 0);
}

#[test]
fn a_store_that_was_lost_has_the_wills_again() {
    let (mut hub, mut shelf) = start();
    let (a, s) = (join(&mut hub, "a", 1, 1), join_shared(&mut hub, "s", 2, 1));
    join_shared(&mut hub, "s", 3, 1);
    leave(&mut hub, a, "a", "on", Some(0));
    leave(&mut hub, s, "s", "on", Some(0));
    hub.lose(s);
    hub.pass(LOST);
    store(&mut hub, &mut shelf);
    hub.router.store_anew();
    let mut anew = Shelf::default();
    store(&mut hub, &mut anew);
    assert_eq!(anew.apps, shelf.apps);
    assert_eq!(anew.apps.len(), 2);
}

/// The hub that is asked, and what it makes of wills that are put back.
fn put_back(identity: &str, wills: Vec<Vec<u8>>, most: usize) -> (bool, u64) {
    let mut router = Direct::new(RouterConfig::default()).router;
    router.capacity_mut().bytes = most;
    let digest = Secret([1; 16]).digest();
    assert!(digest != Digest([1; 16]), "the secret is not in the store");
    let app = StoredApp {
        identity: identity.into(),
        instance: Instance([1; 16]),
        digest: Some(digest),
        is_alone: true,
        wills: wills.into_iter().map(Into::into).collect(),
    };
    let now = nanostate::engine::Now::default();
    router.begin_restore(now, Default::default());
    let whole = router.restore_app(&app);
    (whole, router.restored(now, whole).refused_apps)
}

#[test]
fn what_is_no_will_of_the_app_is_not_put_back_nor_what_there_is_no_room_for() {
    let will = |sender: &str, name: &str| will_body(sender, name, Some(1));
    let most = limits::TABLE_BYTES;
    assert_eq!(put_back("a", vec![will("a", "x"), will("a", "y")], most), (true, 0));
    assert_eq!(put_back("a", vec![will("a", "x"), will("b", "y")], most), (false, 0));
    assert_eq!(put_back("a", vec![will("a", "$ns/hello")], most), (false, 0));
    assert_eq!(put_back("a", vec![b"\xC1".to_vec()], most), (false, 0));
    assert_eq!(put_back("a", vec![], most), (false, 0));
    assert_eq!(put_back("a", vec![will("a", "x"), will("a", "x")], most), (false, 0));
    let of = |meta: &Meta| vec![body(Form::V1, "a", "x", &[7], meta)];
    assert_eq!(put_back("a", of(&Meta { lifetime: Some(7), ..Meta::default() }), most), (true, 0));
    assert_eq!(put_back("a", of(&Meta { flags: Meta::TRANSIENT, ..Meta::default() }), most), (false, 0));
    assert_eq!(put_back("a", of(&Meta { flags: Meta::RETAINED, ..Meta::default() }), most), (false, 0));
    let large = body(Form::V1, "a", "x", &value(Kind::Text, 1, RouterConfig::default().max_message), &Meta::default());
    assert_eq!(put_back("a", vec![large], most), (true, 1));
    assert_eq!(put_back("a", (0..100).map(|n| will("a", &n.to_string())).collect(), 10_000), (true, 1));
}
