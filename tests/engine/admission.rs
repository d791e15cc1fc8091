//! Connections that a hub refuses or ends: no handshake, no frames, no progress, too many peers.

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::{PeerEvent, RouterConfig, RouterEvent};
use nanostate::framing::{frame_head, header, Framing, Version};
use nanostate::wire::{Form, HelloFlags, Kind, Meta};
use nanostate::{limits, Status};

use crate::sim::{body, each_seed, value, Direct, World, SEC};

const HUB: &str = "tcp://hub";

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let mut hub = Direct::new(RouterConfig::default());
    let silent = hub.open();
    let half = hub.open();
    hub.bytes(half, &header(Version::V1)[..5]);
    let no_hello = hub.open();
    hub.bytes(no_hello, &header(Version::V1));
    hub.pass(5 * SEC - 1);
    assert!(hub.closed.is_empty());
    hub.pass(1);
    assert_eq!(hub.closed, [silent, half, no_hello]);
    assert_eq!(hub.router.stats().refused_peers, 3);
    assert!(hub.events().iter().all(|event| *event == (PeerEvent::Refused, Status::Timeout)));
}

#[test]
fn what_is_no_bus_is_refused() {
    let mut hub = Direct::new(RouterConfig::default());
    for bytes in [b"GET / HT", b"\0SP\0\0\x10\0\0", b"\0SP\0\0\x70\x01\0"] {
        let conn = hub.open();
        hub.bytes(conn, bytes);
        assert!(hub.is_closed(conn));
    }
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    hub.send(conn, &body(Form::V1, "a", "x", &[1], &Meta::default()));
    assert!(hub.is_closed(conn), "a state before hello");
    assert_eq!(hub.router.stats().refused_peers, 4);
}

#[test]
fn a_frame_without_progress_ends_its_peer() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for conn in [a, b] {
        hub.bytes(conn, &frame_head(Framing::Tcp, 1000));
    }
    for _ in 0..29 {
        hub.pass(SEC);
        hub.bytes(a, &[0]);
    }
    hub.pass(SEC);
    assert!(hub.is_closed(b) && !hub.is_closed(a));
    hub.pass(29 * SEC);
    assert!(hub.is_closed(a));
    hub.open();
    assert_eq!(hub.router.stats().unfinished_bytes, 0);
}

#[test]
fn unfinished_frames_have_a_budget_together() {
    let mut hub = Direct::new(RouterConfig { unfinished: 100_000, ..RouterConfig::default() });
    let peers: Vec<_> = (0..4).map(|i| hub.open_v1(&format!("p{i}"), i + 1)).collect();
    for &peer in &peers {
        hub.bytes(peer, &frame_head(Framing::Tcp, 1 << 20));
        hub.bytes(peer, &[0; 30_000]);
    }
    assert_eq!(hub.closed, [peers[3]]);
    // A claim alone costs nothing.
    for i in 10..30 {
        let peer = hub.open_v1(&format!("p{i}"), i);
        hub.bytes(peer, &frame_head(Framing::Tcp, 16 << 20));
    }
    assert_eq!(hub.closed.len(), 1);
    assert!(hub.router.stats().unfinished_bytes <= 100_000);
}

#[test]
fn peers_that_drip_give_way_to_one_that_sends() {
    let config = RouterConfig { unfinished: 1_000_000, progress: 1000, ..RouterConfig::default() };
    let mut hub = Direct::new(config);
    let honest = hub.open_v1("honest", 99);
    let large = body(Form::V1, "honest", "x", &value(Kind::Bytes, 1, 300_000), &Meta::default());
    let mut drips = Vec::new();
    for round in 0..20 {
        // Those that were closed come back. Together they hold nearly all of the room.
        while drips.len() < 9 {
            let i = 10 * round + drips.len() as u8;
            let peer = hub.open_v1(&format!("drip{i}"), i);
            hub.bytes(peer, &frame_head(Framing::Tcp, 1 << 20));
            hub.bytes(peer, &[0; 100_000]);
            drips.push(peer);
        }
        hub.pass(9 * SEC);
        drips.iter().for_each(|&drip| hub.bytes(drip, &[0]));
        // In pieces, so that it needs room.
        hub.bytes(honest, &frame_head(Framing::Tcp, large.len()));
        large.chunks(10_000).for_each(|piece| hub.bytes(honest, piece));
        drips.retain(|drip| !hub.closed.contains(drip));
        assert!(drips.len() < 9, "one of them paid");
        assert!(hub.router.stats().unfinished_bytes <= 1_000_000);
    }
    assert!(!hub.is_closed(honest));
    assert_eq!(hub.peer(honest).messages_in, 20);
}

#[test]
fn a_hub_that_is_full_refuses_and_has_room_again_when_one_leaves() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let (a, _b) = (hub.open_v1("a", 1), hub.open_old());
    let c = hub.hello("c", 3, 1, HelloFlags(0));
    assert_eq!(hub.refusal(c), Some(Status::Full));
    assert!(hub.is_closed(c));
    assert!(hub.events().contains(&(PeerEvent::Refused, Status::Full)));
    hub.lose(a);
    hub.open_v1("c", 3);
}

#[test]
fn connections_without_a_hello_make_room_for_others() {
    let mut hub = Direct::new(RouterConfig { max_peers: 3, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    let [silent, no_hello] = [(); 2].map(|()| hub.open());
    hub.bytes(no_hello, &header(Version::V1));
    for (identity, number) in [("b", 2), ("c", 3)] {
        hub.open_v1(identity, number);
        assert_eq!([a, silent, no_hello].map(|conn| hub.is_closed(conn)), [false, true, number == 3]);
    }
    let d = hub.hello("d", 4, 1, HelloFlags(0));
    assert_eq!(hub.refusal(d), Some(Status::Full));
}

#[test]
fn an_app_that_a_full_hub_turned_away_is_a_v1_peer_once_there_is_room() {
    each_seed(20, 1000, |seed| {
        let mut world = World::new(seed);
        let hub = world.add_hub(HUB, RouterConfig { max_peers: 1, ..RouterConfig::default() });
        let a = world.add_app("a", HUB);
        world.settle();
        let b = world.add_app("b", HUB);
        world.run_for(3 * SEC);
        assert_ne!(world.app(b).session.link(), LinkState::Connected);
        world.kill(a);
        world.run_for(20 * SEC);
        assert_eq!(world.app(b).session.link(), LinkState::Connected);
        assert_eq!(world.hub(hub).stats().old_peers, 0);
    });
}

#[test]
fn connections_that_wait_to_be_refused_keep_nobody_out_and_are_few() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let a = hub.open_v1("a", 1);
    hub.open_v1("b", 2);
    let silent: Vec<_> = (0..200).map(|_| hub.open()).collect();
    let kept = silent.iter().filter(|&&conn| !hub.is_closed(conn)).count();
    assert_eq!(kept, limits::SURPLUS_PEERS);
    hub.lose(a);
    hub.open_v1("c", 3);
    // They have the time of a handshake, as everybody.
    hub.pass(5 * SEC);
    assert!(silent.iter().all(|&conn| hub.is_closed(conn)));
    let old = hub.open_old();
    assert!(hub.is_closed(old));
}

#[test]
fn a_length_that_no_limit_explains_ends_the_link_with_a_line_that_shows_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let (v1, old) = (hub.open_v1("a", 1), hub.open_old());
    hub.events();
    hub.bytes(v1, b"GET / HTTP/1.1\r\n");
    hub.bytes(old, &[0x7F; 8]);
    assert!(hub.is_closed(v1) && hub.is_closed(old));
    let told: Vec<_> = std::iter::from_fn(|| hub.router.next_event())
        .map(|event| match event {
            RouterEvent::Peer { event: PeerEvent::Left, why: Status::Invalid, text, .. } => text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(told[0].contains(r#""GET / HT""#), "{told:?}");
    assert!(told[1].contains("7F 7F 7F 7F 7F 7F 7F 7F"), "{told:?}");
    // One that is merely too large is skipped.
    let over = hub.open_v1("c", 3);
    hub.bytes(over, &frame_head(Framing::Tcp, 1 << 40));
    assert!(!hub.is_closed(over));
    assert_eq!(hub.router.stats().too_large, 1);
}
