//! Flush: what an acknowledgement covers, and when it comes.

use nanostate::engine::app::LinkState;
use nanostate::engine::{ConnId, Protocol};
use nanostate::framing::{header, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::wire::{self, Control, Form};
use nanostate::Kind;

use crate::sim::{each_seed, value, DirectApp, OldHub, OldPeer, World, SEC};

const HUB: &str = "tcp://hub";

#[test]
fn an_acknowledgement_comes_behind_everything_it_covers() {
    let mut app = DirectApp::new();
    app.publish("x", &[1]).unwrap();
    app.link(1);
    app.publish("y", &[2]).unwrap();
    let version = app.session.request_ack();
    assert!(!app.session.is_acked(version));
    let bodies = app.bodies();
    let names: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).unwrap().name()).collect();
    assert_eq!(names.last(), Some(&"$ns/ping"));
    assert!(names.contains(&"x") && names.contains(&"y"));
    let Ok(Control::Ping { token }) = Control::decode(&wire::decode(bodies.last().unwrap(), Form::V1).unwrap()) else {
        panic!("a ping")
    };
    // What comes later is not covered.
    app.publish("z", &[3]).unwrap();
    let later = app.session.request_ack();
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version) && !app.session.is_acked(later));
}

#[test]
fn an_acknowledgement_that_a_break_took_is_asked_for_again() {
    let mut app = DirectApp::new();
    app.link(1);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    assert!(app.ping().is_some());
    app.closed();
    app.pass(SEC);
    app.link(1);
    let token = app.ping().expect("asked again");
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version));
}

#[test]
fn what_a_hub_acknowledged_is_not_acknowledged_by_the_one_that_took_its_place() {
    let mut app = DirectApp::new();
    app.link(1);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    let token = app.ping().unwrap();
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version));
    app.closed();
    app.pass(SEC);
    app.link(1);
    assert!(app.session.is_acked(version), "the same hub still has it");
    app.closed();
    app.pass(SEC);
    app.link(2);
    let version = app.session.request_ack();
    assert!(!app.session.is_acked(version), "another hub has to get it first");
    let token = app.ping().expect("asked again");
    app.hear(Control::Pong { token, time: None });
    assert!(app.session.is_acked(version));
}

#[test]
fn values_that_are_withheld_from_an_old_hub_do_not_hold_up_a_flush() {
    let mut app = DirectApp::new();
    app.publish("i", &[1]).unwrap();
    app.open();
    app.bytes(&header(Version::Old));
    // The v1 header may have been the reason why the hub closed, so the app returns as an old peer.
    if app.session.link() != LinkState::Connected {
        app.pass(SEC);
        app.open();
        app.bytes(&header(Version::Old));
    }
    assert_eq!(app.session.link(), LinkState::Connected);
    let version = app.session.request_ack();
    app.written();
    assert!(app.session.is_acked(version));
    app.publish("j", &[2]).unwrap();
    let version = app.session.request_ack();
    app.written();
    assert!(app.session.is_acked(version));
    assert_eq!(app.session.stats().withheld, 2);
}

#[test]
fn an_acknowledgement_comes_while_others_go_on_publishing_over_a_slow_link_and_covers_no_more_than_it_says() {
    const KEYS: usize = 6000;
    let mut app = DirectApp::new();
    // The key of each version; its value is the version.
    let mut published = Vec::new();
    let publish = |app: &mut DirectApp, published: &mut Vec<usize>, key: usize| {
        published.push(key);
        app.publish(&format!("k{key}"), &value(Kind::Text, published.len() as u64, 1000)).unwrap();
    };
    for key in 0..KEYS {
        publish(&mut app, &mut published, key);
    }
    app.link(1);
    let version = app.session.request_ack();
    assert_eq!(version, KEYS as u64);
    let mut reader = Decoder::new(Framing::Tcp, usize::MAX);
    let (mut header, mut seen, mut pings) = (HEADER_LEN, vec![0; KEYS], 0);
    for round in 0..1000 {
        // About as much as is read in that time, so that there is always more.
        for i in 0..30 {
            app.pass(1000);
            publish(&mut app, &mut published, (round * 40 + i * 131) % KEYS);
        }
        app.session.request_ack();
        let mut slices = Vec::new();
        app.session.gather(app.now, ConnId(app.conns), &mut slices);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(30_000).collect();
        app.session.wrote(app.now, ConnId(app.conns), bytes.len());
        let mut input = &bytes[header.min(bytes.len())..];
        header = header.saturating_sub(bytes.len());
        while let Ok(Some(Frame::Body(bytes))) = reader.next(&mut input) {
            let body = wire::decode(bytes, Form::V1).unwrap();
            if let Some(key) = body.name().strip_prefix('k') {
                let number = wire::text(body.data).unwrap().trim_end_matches('.');
                seen[key.parse::<usize>().unwrap()] = number.parse::<usize>().unwrap();
            } else if let Ok(Control::Ping { token }) = Control::decode(&body) {
                pings += 1;
                for (i, &key) in published[..token as usize].iter().enumerate() {
                    assert!(seen[key] > i, "ping {token} came before value {} of key {key}", i + 1);
                }
                assert!(token >= version || pings > 1);
            }
        }
    }
    assert!(pings > 1, "{pings} pings in several walks");
}

#[test]
fn what_is_acknowledged_on_an_old_hub_was_not_written_to_a_link_that_it_closes() {
    // NNG sends its header first and then closes the connection for what stands in ours.
    each_seed(30, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_old_hub(HUB, OldHub::new(false, true, true));
        let old = world.add_old_peer(OldPeer::new("old"), HUB);
        world.settle();
        let a = world.add_app("a", HUB);
        world.publish(a, "x", Kind::Text, 10).unwrap();
        let version = world.with(a, |app, _| app.session.request_ack());
        let end = world.mono + 20 * SEC;
        while !world.app(a).session.is_acked(version) {
            assert!(world.step(end), "it is written at last");
        }
        // `send` ends here.
        world.with(a, |app, _| app.session.disconnect());
        world.settle();
        assert_eq!(world.old_peer(old).newest.len(), 1);
    });
}
