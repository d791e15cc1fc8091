//! Apps and old programs that send anything to a hub.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

/// A request for a WebSocket, mostly valid, at times of a page that may only read.
fn any_upgrade(rng: &mut Rng) -> Vec<u8> {
    let mut request = Vec::new();
    let protocol = rng.pick(&["nanostate.v1", "nanostate.v1", "other", "bus.sp.nanomsg.org", "pub.sp.nanomsg.org"]);
    Request::write("hub", "/", protocol, [7; 16], &mut request);
    if rng.one_in(4) {
        let end = request.len() - 2;
        request.splice(end..end, *b"Origin: http://localhost:8000\r\n");
    }
    if rng.one_in(10) {
        let at = rng.index(request.len());
        request[at] = rng.any() as u8;
    }
    request
}

/// The token of those that name one.
const TOKEN: &str = "a-token-for-peers";

/// A message over a WebSocket, mostly of an app that says hello first; or a frame that is none.
fn any_frames(rng: &mut Rng, masks: &mut Masks) -> Vec<u8> {
    let (mut out, mut hello) = (Vec::new(), Vec::new());
    let flags = HelloFlags(rng.below(16) as u32);
    let (instance, time) = (rng.instance(), None);
    match rng.below(7) {
        6 => {
            let (name, len) = (rng.pick(&["n0", "n1", "x"]), rng.length(3000));
            let value = sim::value(rng.pick(Kind::VALUES), 7, len);
            let left = body(Form::V1, "evil", name, &value, &Meta::default());
            let will = match rng.below(6) {
                0 => WillMessage::Withdraws(name),
                1 => WillMessage::Complete,
                _ => WillMessage::Leaves(&left),
            };
            let mut said = Vec::new();
            Control::Will(will).encode("evil", &mut said);
            ws::message(&[&said], masks, &mut out);
        }
        0 => ws::ping(Some(masks), &mut out),
        1 => ws::text(&text(rng, 40), Some(masks), &mut out),
        2 => {
            let token = rng.one_in(2).then_some(Hidden(TOKEN));
            Control::Hello {
                instance,
                epoch: 1,
                accept: u32::MAX,
                flags,
                time,
                secret: None,
                token,
                features: rng.pick(&[Features::NONE, Features::ALL]),
            }
            .encode("evil", &mut hello);
            ws::message(&[&hello], masks, &mut out);
        }
        3 if rng.one_in(4) => {
            let len = rng.length(20);
            out = rng.bytes(len);
        }
        _ => {
            let form = rng.pick(&FORMS);
            ws::message(&[&any_body(rng, form)], masks, &mut out);
            // In two fragments: the first ends no message, and what follows continues it.
            if rng.one_in(4) {
                out[0] &= 0x7F;
                let at = out.len();
                ws::message(&[b"more"], masks, &mut out);
                out[at] &= 0xF0;
            }
        }
    }
    out
}

#[test]
fn a_hub_stays_within_its_limits_whatever_its_peers_send() {
    const OUTBOX: usize = 5000;
    const UNFINISHED: usize = 20_000;
    const TABLE: usize = 60_000;
    const PAGE: &str = "a page";
    let (mut runs, mut wills) = (0, 0);
    each_seed(1_500, 500, |seed| {
        runs += 1;
        let mut rng = Rng::new(seed);
        let config = RouterConfig {
            max_message: 8000,
            legacy_max: 3000,
            max_peers: 6,
            max_websockets: 3,
            http_rate: rng.pick(&[0, 1, 5]),
            outbox: OUTBOX,
            unfinished: UNFINISHED,
            messages: rng.pick(&[1, 100, 10_000]),
            echo: rng.one_in(4),
            legacy_structured: rng.one_in(2),
            legacy_snapshot: rng.one_in(2),
            ..RouterConfig::default()
        };
        let mut router = Router::new(rng.instance(), config);
        if rng.one_in(3) {
            let token = if rng.one_in(2) { TOKEN } else { "which-nobody-has" };
            let rights = rng.pick(&["read", "read-write"]);
            router.access_mut().read_without_token = rng.one_in(2);
            router.set_tokens(Now::default(), Some(Tokens::parse(&format!("a {rights} {token}")).unwrap()));
        }
        router.capacity_mut().bytes = TABLE;
        router.capacity_mut().states = 40;
        let mut now = sim::beginning(SEC);
        let (mut conns, mut next) = (Vec::new(), 0);
        let (mut webs, mut masks) = (BTreeSet::new(), Masks::new([9; 16]));
        for _ in 0..200 {
            now.mono += Duration::from_nanos(rng.below(200 * MS));
            now.wall = jumped(now.wall, &mut rng);
            now.boot += Duration::from_nanos(rng.below(400_000_000));
            match rng.below(12) {
                0 => {
                    next += 1;
                    let conn = ConnId(next);
                    let framing = rng.pick(&FRAMINGS);
                    let gateway = (framing.has_handshake() && rng.one_in(2))
                        .then(|| Gateway { role: rng.pick(&Role::ALL), structured: rng.one_in(2) });
                    let info = ConnInfo { framing, from: "a stranger".into(), host: None, gateway, web: None };
                    conns.push(conn);
                    router.opened(now, conn, info, None);
                    let first = match gateway {
                        Some(gateway) => client_header(&mut rng, gateway.role).to_vec(),
                        None => chaos::attackers_header(&mut rng, framing).0,
                    };
                    router.bytes(now, conn, &first);
                }
                3 if rng.one_in(2) => {
                    next += 1;
                    let conn = ConnId(next);
                    let site = Site { path: "/".into(), loopback: true, ..Site::default() };
                    let web = Some(Web::Site(Arc::new(site)));
                    let host = Some(rng.pick(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
                    let info = ConnInfo { framing: Framing::WsServer, from: PAGE.into(), host, gateway: None, web };
                    conns.push(conn);
                    webs.insert(conn);
                    router.opened(now, conn, info, None);
                    router.bytes(now, conn, &any_upgrade(&mut rng));
                }
                1 if !conns.is_empty() => {
                    let conn = conns.swap_remove(rng.index(conns.len()));
                    router.closed(now, conn, Closed::ByPeer);
                }
                2 if router.is_due(now) => router.tick(now),
                _ if !conns.is_empty() => {
                    let conn = rng.pick(&conns);
                    let (framing, v1) = (rng.pick(&FRAMINGS), rng.one_in(2));
                    let mut bytes = Vec::new();
                    for _ in 0..rng.below(6) {
                        if webs.contains(&conn) && !rng.one_in(20) {
                            bytes.extend(any_frames(&mut rng, &mut masks));
                        } else if rng.one_in(3) {
                            let message = [any_trace(&mut rng), any_request(&mut rng)].concat();
                            bytes.extend_from_slice(&frame_head(framing, message.len()));
                            bytes.extend(message);
                        } else {
                            bytes.extend(chaos::attack(&mut rng, framing, v1));
                        }
                    }
                    let mut rest = &bytes[..];
                    while !rest.is_empty() && conns.contains(&conn) && router.reads(conn) {
                        let (piece, behind) = rest.split_at(1 + rng.index(rest.len()));
                        rest = behind;
                        router.bytes(now, conn, piece);
                        turn(&mut router, now, &mut conns, &mut Vec::new(), 0);
                    }
                }
                _ => {}
            }
            let most = rng.pick(&[0, 0, 1, 100, usize::MAX]);
            turn(&mut router, now, &mut conns, &mut Vec::new(), most);
            while router.next_event().is_some() {}
            for peer in router.peer_stats() {
                assert!(peer.outbox_bytes as usize <= 2 * OUTBOX + 8000 + 4096, "{} bytes wait", peer.outbox_bytes);
            }
            assert!(router.peer_stats().count() <= 6);
            assert!(router.peer_stats().filter(|peer| peer.from == PAGE).count() <= 3);
            let table = router.table();
            assert!(table.bytes() <= TABLE && table.len() <= 40);
            assert!(table.reserved <= TABLE / 8, "wills take {} bytes", table.reserved);
            wills += usize::from(table.reserved > 0);
            assert_eq!(table.len(), table.iter().count());
            for entry in table.iter() {
                let body = wire::decode(entry.bytes(), Form::V1).expect("the table holds valid bodies");
                assert!(body.canonical && body.meta.stamp == Some(entry.stamp()));
                assert_eq!((body.sender(), body.name(), body.kind), (entry.sender(), entry.name(), entry.kind()));
                assert_eq!((body.data, body.meta_at), (entry.data(), entry.meta_at()));
            }
        }
        for conn in conns {
            router.closed(now, conn, Closed::ByPeer);
        }
        // What they sent last has its turns, and then they are gone; then what they left for that.
        for _ in 0..2 {
            while router.is_due(now) {
                router.tick(now);
                while router.next_action().is_some() {}
            }
            now.mono += limits::CUT;
        }
        assert_eq!(router.table().reserved, 0);
        now.mono += Duration::from_secs(25 * 3600);
        router.tick(now);
        let stats = router.stats();
        assert_eq!((stats.peers, stats.states, stats.table_bytes, stats.unfinished_bytes), (0, 0, 0, 0));
        assert_eq!(router.deadline(), None);
    });
    assert!(runs < 100 || wills > 0, "some leave wills");
}
