//! The promise: the newest value of each key reaches everybody, in a simulated network in which links break, hubs and apps
//! are killed, and old peers and attackers take part.

use nanostate::engine::hub::RouterConfig;
use nanostate::wire;
use nanostate::Kind;

use crate::sim::chaos::Chaos;
use crate::sim::{chaos, each_seed, World, SEC};

const HUB: &str = "tcp://hub";

const QUIET: Chaos = Chaos {
    operations: 60,
    breaks: false,
    hub_kills: false,
    store: false,
    deaths: false,
    skew: true,
    old_peers: 0,
    attackers: 0,
};

#[test]
fn the_promise_holds_when_nothing_breaks() {
    each_seed(100, 1000, |seed| chaos::run(seed, &QUIET));
}

#[test]
fn the_promise_holds_through_breaks_and_hub_kills() {
    let chaos = Chaos { operations: 120, breaks: true, hub_kills: true, ..QUIET };
    each_seed(200, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_apps_die_and_come_back() {
    let chaos = Chaos { operations: 120, breaks: true, deaths: true, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_among_old_peers_and_attackers() {
    let chaos = Chaos { operations: 120, old_peers: 2, attackers: 2, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_through_hub_kills_among_old_peers_and_attackers() {
    let chaos = Chaos { operations: 200, breaks: true, hub_kills: true, old_peers: 2, attackers: 2, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_apps_die_among_old_peers_and_attackers() {
    let chaos = Chaos { operations: 200, breaks: true, deaths: true, old_peers: 2, attackers: 2, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_hubs_and_apps_die() {
    // Without skew: a hub that dies together with an app takes along what it knew of that app's clock.
    let chaos = Chaos { operations: 200, breaks: true, hub_kills: true, deaths: true, skew: false, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_hubs_with_a_store_and_apps_die_among_old_peers() {
    let chaos = Chaos {
        operations: 200,
        breaks: true,
        hub_kills: true,
        store: true,
        deaths: true,
        skew: false,
        old_peers: 2,
        ..QUIET
    };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn the_promise_holds_when_hubs_with_a_store_die_among_attackers_whatever_the_clocks_say() {
    let chaos = Chaos { operations: 200, breaks: true, hub_kills: true, store: true, attackers: 2, ..QUIET };
    each_seed(100, 1000, |seed| chaos::run(seed, &chaos));
}

#[test]
fn a_receiver_that_keeps_up_gets_every_state_of_a_sender_in_order() {
    each_seed(20, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        let b = world.add_app_with("b", HUB, |app| app.log = Some(Vec::new()));
        world.settle();
        let mut expected = Vec::new();
        for i in 0..300 {
            let (name, kind) = (format!("n{}", i % 7), world.rng.pick(Kind::ALL));
            let size = world.rng.length(9000);
            world.publish(a, &name, kind, size).unwrap();
            expected.push(("a".to_owned(), name.clone(), world.app(a).sent[&name].1.clone()));
            if i % 20 == 0 {
                world.settle();
            }
        }
        world.settle();
        assert!(world.app(b).log.as_ref() == Some(&expected), "all of them, in order");
        assert_eq!(world.app(a).session.stats().conflated_out, 0);
    });
}

#[test]
fn two_writers_of_one_name_end_the_same_when_the_slower_one_comes_back_last() {
    each_seed(100, 1000, |seed| {
        let mut world = World::new(seed);
        let hub = world.add_hub(HUB, RouterConfig::default());
        let (a, b) = (world.add_app("a", HUB), world.add_app("b", HUB));
        world.settle();
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.settle();
        world.publish(b, "x", Kind::Int, 0).unwrap();
        world.settle();
        let last = world.app(b).sent["x"].1.clone();
        world.kill(hub);
        world.run_for(world.mono % SEC);
        let away = world.mono + 30 * SEC;
        world.stall(a, away);
        world.replace_hub(hub, HUB, RouterConfig::default());
        world.run_for(20 * SEC);
        world.settle();
        let newcomer = world.add_app("c", HUB);
        world.settle();
        world.check_promise();
        for id in [a, b, newcomer] {
            assert_eq!(world.app(id).session.get(None, "x").unwrap().msgpack(), last);
        }
    });
}

#[test]
fn a_sender_that_restarts_with_its_clock_behind_is_heard() {
    each_seed(50, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        world.set_skew(a, 20_000);
        let b = world.add_app("b", HUB);
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.settle();
        world.kill(a);
        world.settle();
        // Also if it takes no values of that kind.
        let accept = world.rng.pick(&[wire::ACCEPT_ANY, Kind::Text.mask(), 0]);
        let a = world.add_app_with("a", HUB, |app| app.accept = accept);
        // At once, before it knows anything of the others' clocks.
        world.publish(a, "x", Kind::Int, 0).unwrap();
        let last = world.app(a).sent["x"].1.clone();
        world.settle();
        let c = world.add_app("c", HUB);
        world.settle();
        for id in [b, c] {
            assert_eq!(world.app(id).newest[&("a".to_owned(), "x".to_owned())].1, last);
        }
        assert_eq!(world.app(a).session.get(None, "x").unwrap().msgpack(), last);
    });
}
