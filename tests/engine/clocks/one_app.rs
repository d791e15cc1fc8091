//! One app, whose hub is played by the test.

use std::collections::BTreeMap;
use std::time::Duration;

use nanostate::engine::app::LinkState;
use nanostate::framing::{header, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, Instance, Meta, Stamp};
use nanostate::Status;

use crate::sim::{body, DirectApp, SEC};

const TIME: LogicalTime = LogicalTime::from_millis(1_800_000_000_000);

fn later(time: LogicalTime, millis: u64) -> LogicalTime {
    LogicalTime::from_millis(time.as_millis() + millis)
}

impl DirectApp {
    /// A hub that tells this time lets it in.
    fn welcome(&mut self, hub: u8, time: LogicalTime) {
        self.open();
        self.bytes(&header(Version::V1));
        let (instance, wall) = (Instance([hub; 16]), self.now.wall);
        self.hear(Control::Welcome {
            instance,
            max_message: 1 << 20,
            wall,
            time: Some(time),
            features: Features::NONE,
        });
    }

    /// The stamps of what it sends now, by name.
    fn sends(&mut self) -> Vec<(String, Stamp)> {
        let stamp = |bytes: Vec<u8>| {
            let body = wire::decode(&bytes, Form::V1).expect("a body");
            (!body.is_reserved()).then(|| (body.name().to_owned(), body.meta.stamp.expect("a stamp")))
        };
        self.bodies().into_iter().filter_map(stamp).collect()
    }

    fn is_stale(&mut self, name: &str, offered: Stamp, held: Option<Stamp>, time: LogicalTime) {
        self.hear(Control::Stale { name, offered, held, time });
    }
}

fn of_another(clock: LogicalTime) -> Stamp {
    Stamp { clock, instance: Instance([2; 16]) }
}

#[test]
fn what_was_set_before_the_first_welcome_is_stamped_then_by_its_age() {
    for shared in [false, true] {
        let mut app = DirectApp::new();
        app.session.config.shared = shared;
        for name in ["x", "y", "z"] {
            app.publish(name, &[1]).unwrap();
            app.pass(SEC);
        }
        app.publish("x", &[2]).unwrap();
        // A day ahead of the hub, and five years behind it.
        for time in [TIME - Duration::from_millis(86_400_000), later(TIME, 5 * 365 * 86_400_000)] {
            if app.session.link() == LinkState::Connected {
                app.closed();
                app.pass(10 * SEC);
                app.welcome(2, time);
                assert!(app.sends().iter().all(|(_, stamp)| stamp.clock < time), "they keep their stamps");
                continue;
            }
            app.welcome(1, time);
            let mut sent = app.sends();
            sent.sort_by_key(|(_, stamp)| *stamp);
            let (names, clocks): (Vec<_>, Vec<_>) = sent.into_iter().map(|(name, stamp)| (name, stamp.clock)).unzip();
            assert_eq!(names, ["y", "z", "x"]);
            let second = Duration::from_secs(1);
            for (clock, age) in clocks.into_iter().zip([2, 1, 0]) {
                let earliest = time - age * second;
                assert!((earliest..=later(earliest, 1)).contains(&clock), "{clock:?} {age}");
            }
        }
    }
}

#[test]
fn an_exclusive_app_stamps_anew_what_is_stale_three_times_and_then_says_so() {
    let mut app = DirectApp::new();
    app.welcome(1, TIME);
    app.publish("x", &[1]).unwrap();
    let mut clock = TIME;
    for round in 0..4 {
        let version = app.session.request_ack();
        let bodies = app.bodies();
        let bodies: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body")).collect();
        let stamp = bodies.iter().find_map(|body| body.meta.stamp).expect("the value");
        assert!(stamp.clock > clock || round == 0);
        let ping = bodies.iter().find_map(|body| match Control::decode(body) {
            Ok(Control::Ping { token }) => Some(token),
            _ => None,
        });
        clock = later(clock, 3_600_000);
        // Said of a stamp that is no longer its own it counts for nothing.
        app.is_stale("x", of_another(LogicalTime::from_bits(1)), Some(of_another(clock)), clock);
        app.is_stale("x", stamp, Some(of_another(clock)), clock);
        let token = ping.expect("a ping");
        app.hear(Control::Pong { token, time: Some(clock) });
        assert_eq!(app.session.is_acked(version), round == 3, "not held yet, or never");
        let taken = app.session.check_taken(version).map_err(|error| error.status());
        assert_eq!(taken, if round == 3 { Err(Status::IdentityTaken) } else { Ok(()) });
    }
    assert_eq!((app.session.stats().refused, app.session.stats().superseded), (1, 0));
    assert!(app.session.get(Some("a"), "x").is_some_and(|state| state.msgpack() == [1]), "its own word");
}

#[test]
fn an_app_that_shares_its_identity_drops_what_is_stale_for_what_the_hub_holds() {
    let mut app = DirectApp::new();
    app.session.config.shared = true;
    app.welcome(1, TIME);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    let (_, stamp) = app.sends().pop().expect("the value");
    let held = of_another(LogicalTime::from_bits(stamp.clock.to_bits() + 5));
    app.is_stale("x", stamp, Some(held), held.clock);
    let meta = Meta { stamp: Some(held), ..Meta::default() };
    app.receive(&body(Form::V1, "a", "x", &[2], &meta));
    app.hear(Control::Pong { token: version, time: Some(held.clock) });
    assert!(app.session.is_acked(version) && app.session.check_taken(version).is_ok());
    assert_eq!((app.session.stats().refused, app.session.stats().superseded), (0, 1));
    assert_eq!(app.session.take_state().expect("it is told").msgpack(), [2]);
    assert!(app.session.get(Some("a"), "x").is_some_and(|state| state.msgpack() == [2]));
    assert!(app.sends().is_empty());
    // Its next word is the last again.
    app.publish("x", &[3]).unwrap();
    assert!(app.sends().pop().expect("the value").1 > held);
}

#[test]
fn an_app_whose_clock_is_at_its_end_still_sends_and_a_good_hub_brings_it_back() {
    let mut app = DirectApp::new();
    app.welcome(1, TIME);
    app.publish("before", &[1]).unwrap();
    let before = app.sends().pop().expect("the value").1;
    let meta = Meta { stamp: Some(of_another(LogicalTime::MAX)), ..Meta::default() };
    app.receive(&body(Form::V1, "evil", "x", &[9], &meta));
    for _ in 0..3 {
        app.publish("x", &[1]).unwrap();
        app.publish("y", &[1]).unwrap();
        app.pass(SEC);
    }
    let bad: BTreeMap<_, _> = app.sends().into_iter().collect();
    assert!(bad["x"].clock == LogicalTime::MAX && bad["y"].clock == LogicalTime::MAX);
    let now = later(TIME, 3000);
    // On the same link, or by the welcome of the next one.
    app.is_stale("x", bad["x"], None, now);
    let good: BTreeMap<_, _> = app.sends().into_iter().collect();
    assert_eq!(good.keys().collect::<Vec<_>>(), ["x", "y"], "what had a good stamp keeps it");
    assert!(good.values().all(|stamp| *stamp > before && stamp.clock <= now));
    assert!(app.session.get(None, "x").is_some_and(|state| state.sender() == "a"), "nobody wins for ever");
    app.publish("y", &[2]).unwrap();
    assert!(app.sends().pop().expect("the value").1.clock.to_bits() <= now.to_bits() + 10);
    app.receive(&body(Form::V1, "evil", "x", &[8], &meta));
    app.publish("x", &[4]).unwrap();
    app.sends();
    app.closed();
    app.pass(10 * SEC);
    let now = later(now, 20_000);
    app.welcome(2, now);
    let again: BTreeMap<_, _> = app.sends().into_iter().collect();
    assert!(again["x"].clock <= now && again["x"] > good["x"] && again["before"] == before);
}

#[test]
fn a_value_that_the_hub_has_no_room_for_is_not_acknowledged() {
    let mut app = DirectApp::new();
    app.welcome(1, TIME);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    app.hear(Control::Rejected { status: Status::Full.code(), name: "x" });
    app.hear(Control::Pong { token: version, time: None });
    assert!(app.session.is_acked(version));
    let error = app.session.check_taken(version).unwrap_err();
    assert!(error.status() == Status::Full && error.to_string().contains("\"x\""), "{error}");
    app.publish("x", &[2]).unwrap();
    let version = app.session.request_ack();
    app.hear(Control::Pong { token: version, time: None });
    assert!(app.session.check_taken(version).is_ok(), "another value is another question");
}

#[test]
fn a_value_that_waited_for_the_first_welcome_and_is_not_taken_is_not_acknowledged() {
    let mut app = DirectApp::new();
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    app.welcome(1, TIME);
    assert_eq!(app.sends().len(), 1);
    app.hear(Control::Rejected { status: Status::Full.code(), name: "x" });
    app.hear(Control::Pong { token: u64::MAX, time: Some(TIME) });
    assert!(app.session.is_acked(version));
    assert_eq!(app.session.check_taken(version).map_err(|error| error.status()), Err(Status::Full));
}
