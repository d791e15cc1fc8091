//! Apps and old programs that send anything to a hub.

use super::*;

#[test]
fn a_hub_stays_within_its_limits_whatever_its_peers_send() {
    const OUTBOX: usize = 5000;
    const UNFINISHED: usize = 20_000;
    const TABLE: usize = 60_000;
    each_seed(1_500, 500, |seed| {
        let mut rng = Rng::new(seed);
        let config = RouterConfig {
            max_message: 8000,
            legacy_max: 3000,
            max_peers: 6,
            outbox: OUTBOX,
            unfinished: UNFINISHED,
            messages: rng.pick(&[1, 100, 10_000]),
            echo: rng.one_in(4),
            legacy_structured: rng.one_in(2),
            legacy_snapshot: rng.one_in(2),
            ..RouterConfig::default()
        };
        let mut router = Router::new(rng.instance(), config);
        router.capacity_mut().bytes = TABLE;
        router.capacity_mut().states = 40;
        let mut now = sim::beginning(SEC);
        let (mut conns, mut next) = (Vec::new(), 0);
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
                    let info = ConnInfo { framing, from: "a stranger".into(), gateway, web: None };
                    conns.push(conn);
                    router.opened(now, conn, info, None);
                    let first = match gateway {
                        Some(gateway) => client_header(&mut rng, gateway.role).to_vec(),
                        None => chaos::attackers_header(&mut rng, framing).0,
                    };
                    router.bytes(now, conn, &first);
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
                        if rng.one_in(3) {
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
            let table = router.table();
            assert!(table.bytes() <= TABLE && table.len() <= 40);
            assert_eq!(table.len(), table.iter().count());
            for entry in table.iter() {
                let body = wire::decode(entry.bytes(), Form::V1).expect("the table holds valid bodies");
                assert!(body.canonical && body.meta.stamp == Some(entry.stamp()));
                assert_eq!((body.sender, body.name, body.kind), (entry.sender(), entry.name(), entry.kind()));
                assert_eq!((body.data, body.meta_at), (entry.data(), entry.meta_at()));
            }
        }
        for conn in conns {
            router.closed(now, conn, Closed::ByPeer);
        }
        // What they sent last has its turns, and then they are gone.
        while router.is_ready() {
            router.tick(now);
            while router.next_action().is_some() {}
        }
        now.mono += Duration::from_secs(25 * 3600);
        router.tick(now);
        let stats = router.stats();
        assert_eq!((stats.peers, stats.states, stats.table_bytes, stats.unfinished_bytes), (0, 0, 0, 0));
        assert_eq!(router.deadline(), None);
    });
}
