//! All that a hub holds is counted together. When it is too much, the peer that has most waiting for the longest pays.

use nanostate::engine::hub::{RouterConfig, RouterEvent};
use nanostate::engine::{ConnId, Protocol};
use nanostate::wire::Kind;

use crate::sim::{value, Direct, MS, SEC};

const MIB: usize = 1 << 20;

/// A hub that may hold so many bytes.
fn hub_of(memory: usize) -> Direct {
    let mut hub = Direct::new(RouterConfig { memory, ..RouterConfig::default() });
    hub.router.capacity_mut().bytes = memory / 2;
    hub
}

#[test]
fn bodies_that_only_slow_peers_hold_are_counted_and_cost_those_peers_their_links() {
    let memory = 64 * MIB;
    let mut hub = hub_of(memory);
    let camera = hub.open_v1("camera", 1);
    let honest = hub.open_v1("honest", 2);
    let slow: Vec<ConnId> = (0..40).map(|i| hub.open_v1(&format!("slow{i}"), 10 + i)).collect();
    for round in 0..40 {
        hub.pass(MS);
        hub.publish(camera, "camera", "image", &value(Kind::Bytes, round, 4 * MIB));
        // One more of them stops in the middle of an image, and each in another one.
        for &peer in &slow[round as usize..] {
            hub.read(peer, usize::MAX);
        }
        hub.read(slow[round as usize], 1000);
        assert_eq!(hub.bodies(honest).len(), 1, "the honest peer has each image");
        hub.settle();
        let held = hub.router.stats().memory_bytes as usize;
        assert!(held <= memory + memory / 10, "{held} bytes in round {round}");
    }
    assert!(!hub.is_closed(honest) && !hub.is_closed(camera));
    assert!(hub.closed.len() > 20, "{} of 40 paid", hub.closed.len());
    assert!(hub.closed.contains(&slow[0]) && !hub.closed.contains(&slow[39]), "those that waited for the longest");
}

#[test]
fn what_is_held_is_given_back_when_slow_peers_leave() {
    let mut hub = hub_of(256 * MIB);
    let camera = hub.open_v1("camera", 1);
    let slow: Vec<ConnId> = (0..5).map(|i| hub.open_v1(&format!("slow{i}"), 10 + i)).collect();
    for round in 0..5 {
        hub.pass(MS);
        hub.bodies(camera);
        hub.publish(camera, "camera", "image", &value(Kind::Bytes, round, 4 * MIB));
        slow[round as usize + 1..].iter().for_each(|&peer| drop(hub.read(peer, usize::MAX)));
        hub.read(slow[round as usize], 1000);
    }
    let pinned = hub.router.stats().outbox_bytes as usize;
    assert!((16 * MIB..24 * MIB).contains(&pinned), "{pinned} bytes");
    slow.iter().for_each(|&peer| hub.lose(peer));
    assert_eq!(hub.router.stats().outbox_bytes, 0);
    let stats = hub.router.stats();
    assert_eq!(stats.memory_bytes, stats.table_bytes + stats.unfinished_bytes);
}

#[test]
fn with_many_peers_behind_each_has_a_share_of_what_is_left() {
    const PEERS: u16 = 200;
    let memory = 64 * MIB;
    let mut hub = hub_of(memory);
    let source = hub.open_v1("source", 1);
    let reader = hub.open_v1("reader", 2);
    let idle: Vec<ConnId> = (0..PEERS).map(|i| hub.open_v1(&format!("idle{i}"), 3)).collect();
    for i in 0..4000 {
        hub.pass(MS);
        hub.publish(source, "source", &format!("k{}", i % 50), &value(Kind::Text, i, 1000));
        if i % 50 == 49 {
            assert_eq!(hub.bodies(reader).len(), 50);
        }
        let held = hub.router.stats().memory_bytes as usize;
        assert!(held <= memory, "{held} bytes after {i} states");
    }
    // Nobody was closed: they get newest values only, when they read again.
    assert!(hub.closed.is_empty());
    for peer in idle {
        hub.settle();
        let mut bodies = hub.bodies(peer).len();
        while hub.router.is_ready() {
            hub.pass(0);
            bodies += hub.bodies(peer).len();
        }
        assert!((50..4000).contains(&bodies), "{bodies} bodies");
    }
    assert_eq!(hub.router.stats().outbox_bytes, 0);
}

#[test]
fn the_table_takes_half_of_the_memory_and_unfinished_messages_a_quarter() {
    let mut hub = Direct::new(RouterConfig { memory: 4 * MIB, ..RouterConfig::default() });
    let (a, b) = (hub.open_v1("a", 1), hub.open_v1("b", 2));
    for i in 0..8 {
        hub.pass(MS);
        hub.publish(a, "a", &format!("k{i}"), &value(Kind::Bytes, i, MIB / 2));
        hub.publish(b, "b", &format!("k{i}"), &value(Kind::Bytes, i, MIB / 2));
        hub.bodies(a);
        hub.bodies(b);
    }
    let stats = hub.router.stats();
    assert!((MIB as u64..=2 * MIB as u64).contains(&stats.table_bytes) && stats.refused > 0, "{stats:?}");
    hub.pass(SEC);
    assert!(!hub.is_closed(a) && !hub.is_closed(b), "they take what they are sent");
}

#[test]
fn memory_is_to_go_back_to_the_system_when_much_was_freed() {
    let mut hub = hub_of(256 * MIB);
    let source = hub.open_v1("source", 1);
    let slow: Vec<ConnId> = (0..20).map(|i| hub.open_v1(&format!("slow{i}"), 10 + i)).collect();
    assert_eq!(hub.router.deadline(), None);
    for i in 0..3000 {
        hub.pass(MS);
        hub.publish(source, "source", &format!("k{}", i % 50), &value(Kind::Text, i, 1000));
    }
    let freed = |hub: &mut Direct, seconds: u64| {
        hub.pass(seconds * SEC);
        std::iter::from_fn(|| hub.router.next_event()).filter(|event| *event == RouterEvent::Freed).count()
    };
    assert!(hub.router.stats().outbox_bytes as usize > 50 * MIB);
    assert_eq!(freed(&mut hub, 10), 0, "it is needed");
    slow.iter().for_each(|&peer| hub.lose(peer));
    assert_eq!(freed(&mut hub, 10), 1);
    assert_eq!((freed(&mut hub, 10), hub.router.deadline()), (0, None), "a quiet hub sleeps");
}
