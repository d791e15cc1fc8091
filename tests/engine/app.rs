//! An app: its queues, the kinds it accepts, and its way to a hub.

use std::time::Duration;

use nanostate::engine::app::{LinkState, Notice};
use nanostate::engine::hub::RouterConfig;
use nanostate::engine::{ConnId, Protocol};
use nanostate::framing::{header, Version};
use nanostate::wire::{self, Control, Form, Meta};
use nanostate::{Kind, Status};

use crate::sim::{body, each_seed, stamp, value, DirectApp, World, MS, SEC};

const HUB: &str = "tcp://hub";

#[test]
fn a_full_send_queue_refuses_and_loses_nothing_that_was_taken() {
    let mut world = World::new(1);
    let a = world.add_app_with("a", HUB, |app| app.session.set_send_queue(50_000));
    let mut taken = 0;
    for i in 0..100 {
        match world.publish(a, &format!("k{i}"), Kind::Bytes, 2000) {
            Ok(()) => taken += 1,
            Err(status) => assert_eq!(status, Status::Full),
        }
    }
    assert!((15..25).contains(&taken), "{taken} taken");
    assert!(world.app(a).session.stats().own_bytes <= 50_000);
    // A key that is there may still change.
    world.publish(a, "k0", Kind::Bytes, 2000).unwrap();
    world.add_hub(HUB, RouterConfig::default());
    world.add_app("b", HUB);
    world.settle();
    world.check_promise();
}

#[test]
fn a_message_over_the_hubs_limit_fails_at_send() {
    each_seed(5, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig { max_message: 5000, ..RouterConfig::default() });
        let (a, b) = (world.add_app("a", HUB), world.add_app("b", HUB));
        // Not known yet: taken, and withheld later.
        world.publish(a, "early", Kind::Text, 6000).unwrap();
        world.app(a).sent.clear();
        world.settle();
        assert_eq!(world.publish(a, "late", Kind::Text, 6000), Err(Status::TooLarge));
        world.publish(a, "fits", Kind::Text, 4000).unwrap();
        world.settle();
        assert_eq!(world.app(b).newest.len(), 1);
        assert_eq!(world.app(a).session.stats().withheld, 1);
        world.check_promise();
    });
}

#[test]
fn a_full_receive_queue_keeps_the_newest_value_of_each_key_however_many_these_are() {
    let mut app = DirectApp::new();
    app.session.set_recv_queue(20_000);
    app.link(1);
    let mut clock = 1_800_000_000_000;
    let mut send = |app: &mut DirectApp, name: &str, number: u64| {
        clock += 1;
        let meta = Meta { stamp: Some(stamp(clock)), ..Meta::default() };
        app.receive(&body(Form::V1, "b", name, &value(Kind::Bytes, number, 1000), &meta));
    };
    for i in 0..100 {
        send(&mut app, &format!("k{}", i % 5), i);
    }
    let stats = app.session.stats();
    assert!(stats.conflated_in >= 80 && stats.queued_bytes <= 20_000, "{stats:?}");
    assert_eq!(stats.received, stats.conflated_in + stats.queued);
    for i in 0..100 {
        send(&mut app, &format!("d{i}"), i);
    }
    let stats = app.session.stats();
    assert_eq!((stats.dropped_in, stats.queued), (0, 105));
    assert_eq!(stats.received, stats.conflated_in + stats.queued);
    let taken: Vec<_> = std::iter::from_fn(|| app.session.take_state()).collect();
    let names: Vec<_> = taken.iter().map(|state| state.name().to_owned()).collect();
    let expected: Vec<_> = (0..5).map(|i| format!("k{i}")).chain((0..100).map(|i| format!("d{i}"))).collect();
    assert_eq!(names, expected, "in the order in which they came first");
    let last: Vec<_> = (95..100).map(|i| value(Kind::Bytes, i, 1000)).collect();
    assert!(taken[..5].iter().map(|state| state.msgpack()).eq(&last), "the newest value of each");
    assert_eq!(app.session.stats().queued_bytes, 0);
}

#[test]
fn newest_values_beyond_all_that_an_app_keeps_are_dropped_counted_and_told() {
    const MIB: usize = 1 << 20;
    let mut app = DirectApp::new();
    app.session.set_recv_queue(MIB);
    app.link(1);
    for i in 0..100 {
        let meta = Meta { stamp: Some(stamp(1_800_000_000_000)), ..Meta::default() };
        app.receive(&body(Form::V1, "b", &format!("n{i}"), &value(Kind::Bytes, i, MIB), &meta));
    }
    let stats = app.session.stats();
    assert!(stats.dropped_in > 30 && stats.queued_bytes > 63 * MIB as u64, "{stats:?}");
    assert!(stats.queued_bytes <= 65 * MIB as u64, "{stats:?}");
    assert_eq!((stats.conflated_in, stats.received), (0, stats.dropped_in + stats.queued));
    let told: Vec<_> = std::iter::from_fn(|| app.session.next_warning()).collect();
    assert!(told.len() == 1 && told[0].contains("dropped"), "{told:?}");
    let left: Vec<_> = std::iter::from_fn(|| app.session.take_state()).map(|state| state.name().to_owned()).collect();
    let newest: Vec<_> = (100 - left.len()..100).map(|i| format!("n{i}")).collect();
    assert_eq!(left, newest, "the newest are left, in order");
}

#[test]
fn a_program_that_pauses_in_a_burst_is_given_the_newest_value_of_every_name() {
    const NAMES: usize = 200_000;
    let mut world = World::new(1);
    (world.pieces, world.capacity) = (false, 212_992);
    world.add_hub(HUB, RouterConfig::default());
    let sender = world.add_app_with("a", HUB, |app| app.session.set_send_queue(1 << 30));
    let receiver = world.add_app("b", HUB);
    world.settle();
    let burst = |world: &mut World, names: std::ops::Range<usize>| {
        for i in names {
            world.publish(sender, &format!("burst/{i}"), Kind::Bytes, 64).expect("there is room");
        }
        world.settle();
    };
    burst(&mut world, 0..NAMES / 4);
    assert_eq!(world.app(receiver).newest.len(), NAMES / 4);
    world.with(receiver, |app, _| app.pauses());
    burst(&mut world, NAMES / 4..NAMES);
    burst(&mut world, NAMES / 8..NAMES / 2);
    let stats = world.app(receiver).session.stats();
    assert!(stats.queued_bytes > 16 << 20, "more than its queue: {stats:?}");
    assert_eq!((stats.dropped_in, stats.queued), (0, NAMES as u64 * 7 / 8));
    world.with(receiver, |app, _| app.goes_on());
    assert_eq!(world.app(receiver).newest.len(), NAMES);
    world.check_promise();
}

#[test]
fn kinds_that_are_not_accepted_are_counted_and_told_if_asked() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let a = world.add_app("a", HUB);
        let b = world.add_app_with("b", HUB, |app| app.accept = Kind::Text.mask());
        world.publish(a, "t", Kind::Text, 5).unwrap();
        world.publish(a, "i", Kind::Int, 5).unwrap();
        world.settle();
        assert_eq!(world.app(b).newest.len(), 1);
        assert_eq!(world.app(b).session.stats().rejected, 0, "the hub did not even send it");
        world.with(b, |app, _| app.session.set_tells_rejects(true));
        world.settle();
        assert_eq!(world.app(b).session.stats().rejected, 1);
        world.with(b, |app, _| {
            app.accept = wire::ACCEPT_ANY;
            app.session.set_accept(wire::ACCEPT_ANY);
        });
        world.settle();
        world.check_promise();
    });
    let mut app = DirectApp::new();
    app.link(1);
    app.session.set_accept(0);
    app.session.set_tells_rejects(true);
    while app.session.next_notice().is_some() {}
    app.receive(&body(Form::V1, "b", "n", &[1], &Meta::default()));
    let told = Notice::Reject { sender: "b".into(), name: "n".into(), kind: Kind::Int };
    assert_eq!((app.session.next_notice(), app.session.stats().queued), (Some(told), 0));
}

#[test]
fn each_new_reason_why_there_is_no_link_is_told_once() {
    let mut app = DirectApp::new();
    app.session.set_tells_links(true);
    // Each attempt in turn, then the error that the program gets.
    let attempt = |app: &mut DirectApp, status: Status| {
        while app.dials.is_empty() {
            app.pass(SEC);
        }
        let token = app.dials.pop().unwrap();
        app.session.dial_failed(app.now, token, nanostate::Error::from(status));
        app.actions();
        let told = std::iter::from_fn(|| app.session.next_notice());
        told.map(|notice| match notice {
            Notice::Link { link: LinkState::Connecting, why, text } if text.starts_with(why.text()) => why,
            other => panic!("{other:?}"),
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);
    assert_eq!(attempt(&mut app, Status::Refused), []);
    assert_eq!(attempt(&mut app, Status::Refused), []);
    assert_eq!(attempt(&mut app, Status::Resolve), [Status::Resolve]);
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);

    // After a link they are news again.
    app.pass(10 * SEC);
    app.link(1);
    app.closed();
    while app.session.next_notice().is_some() {}
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);

    // Of several addresses that of the last, when all were tried.
    app.session.disconnect();
    app.session.connect(vec![HUB.into(), HUB.into()]);
    app.dials.clear();
    app.actions();
    while app.session.next_notice().is_some() {}
    assert_eq!(attempt(&mut app, Status::Resolve), []);
    assert_eq!(attempt(&mut app, Status::Refused), [Status::Refused]);
    assert_eq!(attempt(&mut app, Status::Resolve), []);
    assert_eq!(attempt(&mut app, Status::Refused), []);
}

#[test]
fn a_refused_app_does_not_fight() {
    let mut app = DirectApp::new();
    app.link(1);
    app.hear(Control::Refuse { status: Status::IdentityTaken.code(), text: "taken" });
    assert_eq!(app.session.link(), LinkState::Refused);
    assert_eq!(app.session.last_failure().map(|error| error.status()), Some(Status::IdentityTaken));
    // It asks again, now and then.
    let mut tries = 0;
    for _ in 0..360 {
        app.pass(10 * SEC);
        if !app.dials.is_empty() {
            tries += 1;
            app.open();
            app.bytes(&header(Version::V1));
            assert_eq!(app.session.link(), LinkState::Refused);
            app.hear(Control::Refuse { status: Status::IdentityTaken.code(), text: "taken" });
        }
    }
    assert!(tries > 100 && app.session.take_refusal().is_some() && app.session.take_refusal().is_none());
    app.session.connect(vec![HUB.into()]);
    app.actions();
    assert_eq!((app.dials.len(), app.session.link()), (1, LinkState::Connecting));
}

#[test]
fn the_waits_between_attempts_grow_to_the_longest_and_start_again_after_a_link() {
    let mut app = DirectApp::new();
    let refuse = |app: &mut DirectApp| {
        let token = app.dials.pop().expect("it dials");
        app.session.dial_failed(app.now, token, Status::Refused.into());
        app.actions();
        let wait = app.session.deadline().expect("it waits").since(app.now.mono).as_nanos() as u64;
        app.pass(wait);
        wait
    };
    let waits: Vec<_> = (0..20).map(|_| refuse(&mut app)).collect();
    for (i, wait) in waits.iter().enumerate() {
        let full = ((50 * MS) << i.min(20)).min(5 * SEC);
        assert!((full / 2..=full).contains(wait), "wait {i} is {wait}");
    }
    app.link(1);
    app.closed();
    assert!(app.session.deadline().unwrap().since(app.now.mono) <= Duration::from_millis(50));
}

#[test]
fn a_hub_that_does_not_answer_is_given_up_after_the_handshakes_time() {
    let mut app = DirectApp::new();
    let conn = app.open();
    app.pass(5 * SEC);
    assert_eq!(app.closed, [conn]);
    assert_eq!(app.session.last_failure().map(|error| error.status()), Some(Status::Timeout));
}

#[test]
fn an_app_whose_program_takes_nothing_comes_back_to_its_hub() {
    let mut app = DirectApp::new();
    app.session.set_recv_queue(10_000);
    app.link(1);
    for number in 0..20 {
        let meta = Meta { stamp: Some(stamp(1_800_000_000_000)), ..Meta::default() };
        app.receive(&body(Form::V1, "b", &format!("n{number}"), &value(Kind::Text, number, 300), &meta));
    }
    assert!(!app.session.reads(ConnId(app.conns)), "the program has enough to take");
    app.closed();
    app.pass(SEC);
    let conn = app.open();
    app.bytes(&header(Version::V1));
    app.pass(SEC);
    assert!(app.session.reads(conn), "the welcome is behind nothing that the program would have to take");
    app.pass(10 * SEC);
    assert_eq!(app.closed, [conn], "a hub that says nothing is given up all the same");
}

#[test]
fn the_addresses_of_a_hub_are_tried_in_order() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let a = world.add_app("a", "tcp://nobody,tcp://hub");
        world.run_for(SEC);
        assert_eq!(world.app(a).session.link(), LinkState::Connecting);
        world.add_hub(HUB, RouterConfig::default());
        world.settle();
        assert_eq!(world.app(a).session.link(), LinkState::Connected);
    });
}
