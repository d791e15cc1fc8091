//! A gateway as a peer of the hub.

use nanostate::engine::gateway;
use nanostate::engine::hub::{PeerEvent, RouterConfig};
use nanostate::engine::{Protocol, Role};
use nanostate::framing::{header, Version};
use nanostate::wire::{self, HelloFlags};
use nanostate::{Kind, Status};

use super::old_state;
use crate::sim::{note, value, Direct, SEC};

#[test]
fn a_gateway_is_a_peer_with_its_clients_and_what_they_missed() {
    let mut hub = Direct::new(RouterConfig::default());
    let (publisher, pull) = (hub.open_gateway(Role::Pub, false), hub.open_gateway(Role::Pull, false));
    assert_eq!(hub.events(), [(PeerEvent::Joined, Status::Ok); 2]);
    hub.status(publisher, gateway::GatewayStatus { clients: 3, dropped: 10, again: true });
    hub.status(pull, gateway::GatewayStatus { clients: 2, dropped: 0, again: true });
    hub.status(publisher, gateway::GatewayStatus { clients: 2, dropped: 12, again: false });
    assert!(hub.frames(publisher).is_empty());
    let stats = hub.peer(publisher);
    assert_eq!((stats.clients, stats.dropped, stats.old, stats.live), (2, 12, true, true));
    assert_eq!((stats.identity.as_str(), stats.from), ("", format!("peer {}", publisher.0)));
    assert_eq!((hub.peer(pull).clients, hub.peer(pull).dropped), (2, 0));
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.old_peers, stats.joined, stats.dropped), (2, 2, 2, 12));
    // The number is of all since it was opened; what it was at last stays when the gateway is gone.
    hub.lose(publisher);
    assert_eq!(hub.events(), [(PeerEvent::Left, Status::Closed)]);
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.old_peers, stats.dropped), (1, 1, 12));
    let again = hub.open_gateway(Role::Pub, false);
    hub.status(again, gateway::GatewayStatus { clients: 1, dropped: 5, again: true });
    assert_eq!(hub.router.stats().dropped, 17);
    hub.lose(again);
    hub.lose(pull);
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.joined, stats.dropped), (0, 3, 17));
}

#[test]
fn a_hub_that_is_full_refuses_a_gateway() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let (a, gateway) = (hub.open_v1("a", 1), hub.open_gateway(Role::Rep, false));
    hub.events();
    for role in Role::ALL {
        let refused = hub.open_gateway(role, false);
        assert!(hub.is_closed(refused), "{role:?}");
        // What it still tells counts for nothing.
        hub.message(refused, b"", &old_state("s", "x", &[1]));
        hub.client_comes(refused, 1);
        assert!(hub.frames(refused).is_empty());
        assert_eq!(hub.events(), [(PeerEvent::Refused, Status::Full)], "{role:?}");
    }
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.refused_peers, stats.messages_in), (2, 4, 0));
    // It counts as one peer itself.
    let app = hub.hello("b", 2, 1, HelloFlags(0));
    assert_eq!(hub.refusal(app), Some(Status::Full));
    hub.lose(gateway);
    hub.open_gateway(Role::Pub, false);
    hub.lose(a);
    hub.open_v1("b", 2);
}

#[test]
fn a_gateway_needs_no_handshake_and_may_be_silent_for_ever() {
    let mut hub = Direct::new(RouterConfig::default());
    let gateways: Vec<_> = Role::ALL.iter().map(|&role| hub.open_gateway(role, false)).collect();
    assert_eq!(hub.router.deadline(), None);
    hub.pass(100 * 3600 * SEC);
    assert!(hub.closed.is_empty());
    assert_eq!(hub.router.stats().peers, gateways.len() as u64);
}

#[test]
fn what_is_no_note_is_left_alone() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, subscribers) = (hub.open_v1("a", 1), hub.open_pub(false));
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 1));
    hub.frames(subscribers);
    let gateways: Vec<_> = Role::ALL.iter().map(|&role| hub.open_gateway(role, false)).collect();
    let status = gateway::GatewayStatus { clients: 1, dropped: 9, again: true }.encode();
    let message = note(b"route", &old_state("s", "y", &value(Kind::Text, 1, 1)));
    let strange = [
        &[][..],
        &message[..1],
        &message[..5],
        &status[..13],
        &[&status[..], &[0]].concat(),
        &[&[2], &message[1..]].concat(),
        &old_state("s", "y", &value(Kind::Text, 1, 1)),
        &header(Version::Old),
    ];
    for &gateway in gateways.iter().chain([&subscribers]) {
        strange.iter().for_each(|bytes| hub.tell(gateway, bytes));
        assert!(hub.frames(gateway).is_empty() && !hub.is_closed(gateway));
        assert_eq!(hub.peer(gateway).malformed, 0);
    }
    // Nor does any client publish through a socket that only sends.
    hub.tell(subscribers, &message);
    let stats = hub.router.stats();
    assert_eq!((stats.messages_in, stats.malformed, stats.dropped), (1, 0, 0));
    assert!(hub.warnings().is_empty());
}

#[test]
fn a_message_that_a_gateway_could_not_hand_on_counts_once() {
    let mut hub = Direct::new(RouterConfig::default());
    let mut note = Vec::new();
    assert!(gateway::too_large(b"route", 1 << 40, &mut note));
    for (counted, role) in (1..).zip(Role::ALL) {
        let gateway = hub.open_gateway(role, false);
        hub.events();
        hub.tell(gateway, &note);
        let answers = hub.answers(gateway);
        assert_eq!(answers.len(), usize::from(role.answers()), "{role:?}");
        assert!(answers.iter().all(|(route, answer)| route == b"route" && wire::check(answer).is_ok()), "{role:?}");
        if role == Role::Rep {
            let text = wire::text(&answers[0].1).expect("a fault");
            assert!(text.contains("message of 1099511627776 bytes refused: the limit is"), "{text}");
        }
        let stats = hub.router.stats();
        assert_eq!((stats.too_large, stats.malformed, stats.messages_in), (counted, 0, 0), "{role:?}");
        assert_eq!((hub.peer(gateway).too_large, hub.warnings().len()), (1, 1), "{role:?}");
    }
}
