//! Apps on old hubs, which know neither stamps nor acknowledgements.

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::RouterConfig;
use nanostate::framing::{header, Version};
use nanostate::wire::{Form, Meta};
use nanostate::{limits, Kind, Status};

use crate::sim::{body, each_seed, stamp, value, DirectApp, OldHub, OldPeer, World, MS, SEC};

const HUB: &str = "tcp://hub";

#[test]
fn apps_on_an_old_hub_share_plain_states_and_withhold_the_others() {
    // As nanomsg, the original and NNG do it: who closes a connection for its header has sent its own.
    for (echo, strict, header_first) in [(false, false, false), (true, false, true), (false, true, true)] {
        each_seed(5, 1000, |seed| {
            let mut world = World::new(seed);
            world.add_old_hub(HUB, OldHub::new(echo, strict, header_first));
            let apps: Vec<_> = (0..3).map(|i| world.add_app(&format!("app{i}"), HUB)).collect();
            let old = world.add_old_peer(OldPeer { echo: true, ..OldPeer::new("old") }, HUB);
            world.run_for(3 * SEC);
            world.settle();
            for i in 0..60 {
                let (app, kind) = (apps[i % 3], world.rng.pick(&[Kind::Text, Kind::Bytes]));
                let size = world.rng.length(9000);
                world.publish(app, &format!("n{}", i % 5), kind, size).unwrap();
            }
            world.publish_old(old, "o", Kind::Text, 10);
            world.settle();
            // Without stamps each app orders what it gets as it comes.
            world.orphans.extend((0..5).map(|i| format!("n{i}")));
            world.check_promise();
            for &app in &apps {
                assert!(world.app(app).newest.contains_key(&("old".to_owned(), "o".to_owned())));
            }
            let sent = world.app(apps[0]).sent.clone();
            assert!(sent.iter().all(|(name, (_, value))| {
                world.old_peer(old).newest.get(&("app0".to_owned(), name.clone())) == Some(value)
            }));
            world.publish(apps[0], "structured", Kind::Map, 10).unwrap();
            world.settle();
            assert_eq!(world.app(apps[0]).session.stats().withheld, 1);
            assert_eq!(world.app(apps[0]).session.stats().echoes > 0, echo);
            assert_eq!(world.publish(apps[0], "big", Kind::Text, limits::LEGACY_MAX), Err(Status::TooLarge));
            assert!(world.app(apps[0]).session.stats().connects <= 2, "it stays");
        });
    }
}

#[test]
fn an_app_that_knew_states_through_an_old_hub_takes_them_from_ours() {
    let mut app = DirectApp::new();
    // The sender's clock is behind this app's.
    let meta = |ms: u64| Meta { stamp: Some(stamp(1_799_999_990_000 + ms)), ..Meta::default() };
    app.open();
    app.bytes(&header(Version::Old));
    if app.session.link() != LinkState::Connected {
        app.pass(SEC);
        app.open();
        app.bytes(&header(Version::Old));
    }
    app.receive(&body(Form::Old, "b", "x", &value(Kind::Text, 1, 1), &Meta::default()));
    assert!(app.session.take_state().is_some());
    app.closed();
    app.pass(120 * SEC);
    app.link(1);
    app.receive(&body(Form::V1, "b", "x", &value(Kind::Text, 2, 1), &meta(1)));
    let state = app.session.take_state().expect("the newer value of x");
    assert_eq!(state.text().unwrap(), "2");
}

#[test]
fn a_hub_that_is_killed_while_an_app_dials_is_not_taken_for_an_old_one() {
    each_seed(30, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        for _ in 0..5 {
            let time = world.rng.below(8 * MS);
            world.run_for(time);
            world.kill(hub);
            let time = world.rng.below(200 * MS);
            world.run_for(time);
            hub = world.replace_hub(hub, HUB, RouterConfig::default());
        }
        world.settle();
        assert_eq!(world.app(a).session.link(), LinkState::Connected);
        assert_eq!(world.hub(hub).stats().old_peers, 0);
    });
}
