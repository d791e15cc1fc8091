//! Headers: who takes part, and who is refused.

use nanostate::engine::hub::{PeerEvent, RouterConfig};
use nanostate::engine::Role;
use nanostate::framing::{gateway_header, header, Framing, Version, HEADER_LEN};
use nanostate::{limits, Kind, Status};

use super::{asked, number, request, trace, PROTOCOLS};
use crate::gateways::{json, old_state};
use crate::sim::{value, whole_frames, Direct, SEC};

#[test]
fn a_client_of_each_protocol_exchanges_headers_and_takes_part() {
    for (framing, role) in Role::ALL.into_iter().flat_map(|role| [(Framing::Tcp, role), (Framing::Ipc, role)]) {
        let mut hub = Direct::new(RouterConfig { legacy_snapshot: true, ..RouterConfig::default() });
        let a = hub.open_v1("a", 1);
        hub.publish(a, "a", "x", &value(Kind::Text, 1, 10));
        hub.events();
        let client = hub.open_client(framing, role, false);
        let header = gateway_header(role.hears());
        let (most, last) = header.split_at(HEADER_LEN - 1);
        hub.bytes(client, most);
        assert!(hub.read(client, usize::MAX).is_empty() && hub.events().is_empty(), "{role:?}");
        assert_eq!(hub.router.stats().peers, 1);
        hub.bytes(client, last);
        assert_eq!(hub.events(), [(PeerEvent::Joined, Status::Ok)], "{role:?}");
        let written = hub.read(client, usize::MAX);
        let (theirs, rest) = written.split_at(HEADER_LEN);
        assert_eq!(theirs, gateway_header(role.speaks()), "{role:?}");
        let states = whole_frames(framing, rest).len();
        assert_eq!(states, usize::from(role == Role::Pub), "only who listens is sent states");
        hub.publish(a, "a", "y", &value(Kind::Text, 1, 10));
        hub.publish(a, "a", "m", &value(Kind::Map, 1, 10));
        assert_eq!(whole_frames(framing, &hub.read(client, usize::MAX)).len(), states);
        let stats = hub.peer(client);
        assert_eq!((stats.identity.as_str(), stats.old, stats.live), ("", true, true), "{role:?}");
        assert_eq!(stats.conflated, 0, "{role:?}");
        assert_eq!((stats.messages_out, stats.withheld), (2 * states as u64, states as u64), "{role:?}");
        let stats = hub.router.stats();
        assert_eq!((stats.peers, stats.old_peers, stats.joined, stats.refused_peers), (2, 1, 2, 0));
        // From here on it may be silent.
        hub.pass(100 * 3600 * SEC);
        assert!(hub.closed.is_empty(), "{role:?}");
        hub.lose(client);
        assert_eq!(hub.events(), [(PeerEvent::Left, Status::Closed)]);
        assert_eq!((hub.router.stats().peers, hub.router.stats().old_peers), (1, 0));
    }
}

#[test]
fn who_does_not_speak_a_gateways_protocol_is_refused_with_what_is_wrong() {
    let mut hub = Direct::new(RouterConfig::default());
    let a = hub.open_v1("a", 1);
    hub.publish(a, "a", "x", &value(Kind::Text, 1, 10));
    hub.events();
    for role in Role::ALL {
        let hears = gateway_header(role.hears());
        let with = |at: usize, byte: u8| {
            let mut bytes = hears;
            bytes[at] = byte;
            bytes
        };
        let others = PROTOCOLS.into_iter().filter(|&protocol| protocol != role.hears());
        let other = |protocol| {
            let (number, hears) = (number(protocol), number(role.hears()));
            (gateway_header(protocol), format!("protocol {number:#04x}, not "), format!(" ({hears:#04x})"))
        };
        let own = |bytes: [u8; HEADER_LEN], words: &str| (bytes, words.to_owned(), String::new());
        let cases = others.map(other).chain([
            own(with(7, 1), "the reserved bytes of the SP header are 00 01"),
            own(with(6, 1), "the reserved bytes of the SP header are 01 00"),
            own(with(3, 1), "not an SP header: it begins with 00 53 50 01"),
            own(*b"GET / HT", "not an SP header: it begins with \"GET \""),
            // Apps, and what they would say to a hub of their own.
            own(header(Version::V1), "protocol 0x70, not "),
        ]);
        for (bytes, words, more) in cases {
            let client = hub.open_client(Framing::Tcp, role, false);
            // What comes behind it, at once or later, counts for nothing.
            let state = old_state("s", "y", &[1]);
            let behind = match bytes {
                [b'G', ..] => [&bytes[..], b"TP/1.1\r\nHost: hub\r\n\r\n"].concat(),
                _ => [&bytes[..], &request(&[], &state), &request(&trace(1, 1), &state)].concat(),
            };
            hub.bytes(client, &behind);
            assert!(hub.is_closed(client), "{role:?}: {bytes:02X?}");
            hub.send(client, &state);
            assert!(hub.read(client, usize::MAX).is_empty(), "it is told nothing");
            let refusals = hub.refusals();
            let [(Status::Invalid, text)] = &refusals[..] else { panic!("{role:?}: {bytes:02X?}: {refusals:?}") };
            assert!(text.contains(&words) && text.contains(&more), "{role:?}: {text}, not {words}");
        }
    }
    let stats = hub.router.stats();
    assert_eq!((stats.peers, stats.messages_in, stats.malformed, stats.too_large), (1, 1, 0, 0));
    assert_eq!((stats.joined, stats.refused_peers), (1, 4 * 13));
}

#[test]
fn a_client_that_does_not_say_what_it_speaks_is_refused_in_time() {
    let mut hub = Direct::new(RouterConfig::default());
    let clients: Vec<_> = Role::ALL
        .into_iter()
        .flat_map(|role| {
            let (silent, half) =
                (hub.open_client(Framing::Tcp, role, false), hub.open_client(Framing::Ipc, role, false));
            hub.bytes(half, &gateway_header(role.hears())[..7]);
            [silent, half]
        })
        .collect();
    hub.pass(limits::HANDSHAKE.as_nanos() as u64 - 1);
    assert!(hub.closed.is_empty());
    hub.pass(1);
    assert_eq!(hub.closed, clients);
    let refusals = hub.refusals();
    assert_eq!(refusals, vec![(Status::Timeout, "no handshake in time".to_owned()); clients.len()]);
    assert!(clients.iter().all(|&client| hub.read(client, usize::MAX).is_empty()));
}

#[test]
fn a_hub_that_is_full_refuses_clients_until_one_leaves() {
    let mut hub = Direct::new(RouterConfig { max_peers: 2, ..RouterConfig::default() });
    let (client, _app) = (hub.join_client(Role::Rep, false), hub.open_v1("a", 1));
    hub.events();
    for role in Role::ALL {
        let refused = hub.open_client(Framing::Tcp, role, false);
        assert!(hub.is_closed(refused), "{role:?}");
        hub.bytes(refused, &gateway_header(role.hears()));
        assert!(hub.read(refused, usize::MAX).is_empty());
        assert_eq!(
            hub.refusals(),
            [(Status::Full, "at most 2 peers may be connected (NS_OPT_HUB_MAX_PEERS)".to_owned())],
            "{role:?}"
        );
    }
    assert_eq!(asked(&mut hub, client, &json(r#"["get", "x"]"#)), json("null"), "who is there stays");
    hub.lose(client);
    hub.join_client(Role::Pub, false);
    assert_eq!((hub.router.stats().peers, hub.router.stats().refused_peers), (2, 4));
}
