//! How connections come and go.

use std::time::Duration;

use super::*;

#[test]
fn a_tick_and_a_departure_cost_what_is_due_and_not_the_number_of_peers() {
    const IDLE: u64 = 10_000;
    let config = RouterConfig { max_peers: 2 * IDLE as usize, ..RouterConfig::default() };
    let (handshake, stalled) = (config.handshake, config.stalled_frame);
    let mut router = Router::new(Instance([9; 16]), config);
    let mut now = Now { mono: MonoTime::from_nanos(1), ..Now::default() };
    let [silent, slow, leaving] = [IDLE, IDLE + 1, IDLE + 2].map(ConnId);
    for conn in (0..IDLE).map(ConnId).chain([slow, leaving]) {
        open(&mut router, now, conn);
        router.bytes(now, conn, &header(Version::Old));
    }
    assert_eq!(router.deadline(), None, "none of them has anything to wait for");
    open(&mut router, now, silent);
    router.bytes(now, slow, &[0]);
    act(&mut router);
    let cost = |router: &Router| router.core.timers.looked_at + router.peers.walks.get();
    let before = cost(&router);
    let opened = now.mono;
    for (wait, closed) in [(handshake, silent), (stalled, slow)] {
        now.mono = opened + wait;
        assert_eq!(router.deadline(), Some(now.mono));
        router.tick(now);
        assert_eq!(act(&mut router), [Action::Close(closed)]);
    }
    router.closed(now, leaving, Closed::ByPeer);
    assert_eq!((router.deadline(), router.stats().peers), (None, IDLE));
    let cost = cost(&router) - before - 1;
    assert!(cost <= 4, "{cost} looks, beside those for the stats");
}

/// Apps each send a message but for its end, and then a byte now and then. Meanwhile an honest app sends large values.
fn drip(mut storm: Storm, apps: u64) -> (usize, Storm) {
    const EVERY: Duration = Duration::from_secs(3);
    const TURNS: u64 = 60;
    let almost = [&frame_head(Framing::Tcp, READ)[..], &vec![0x94; READ - 1000]].concat();
    let mut next = 1000;
    let mut fresh = |storm: &mut Storm| {
        next += 1;
        storm.join(next, 0);
        next
    };
    let mut drips: Vec<_> = (0..apps).map(|_| fresh(&mut storm)).collect();
    storm.begins();
    for n in 1..=TURNS {
        for (part, conn) in drips.iter_mut().enumerate() {
            storm.send_large(n, READ - 1000, part, apps as usize);
            if n == 1 {
                storm.bytes(*conn, &almost);
            } else if !storm.bytes(*conn, &[0]) {
                *conn = fresh(&mut storm);
                storm.bytes(*conn, &almost);
            }
        }
        storm.now.mono += EVERY;
        storm.turn();
        assert_eq!(storm.large_values(), n as usize, "the honest app's large value arrives");
        let unfinished = storm.router.stats().unfinished_bytes as usize;
        assert!(unfinished <= storm.router.config().unfinished, "{unfinished} bytes");
    }
    (storm.cut.len(), storm)
}

/// What unfinished messages may take: sixteen as long as a driver reads at a time.
const UNFINISHED: usize = 16 * READ;

#[test]
fn messages_that_drip_take_the_room_that_there_is_and_no_honest_app_is_closed() {
    let config = || RouterConfig { unfinished: UNFINISHED, progress: READ / 4, ..RouterConfig::default() };
    let (_, storm) = drip(Storm::of("drip 16", 8 * UNFINISHED, config()), 16);
    storm.ends(CALL, CALL);
    let (cut, storm) = drip(Storm::of("drip 64", 8 * UNFINISHED, config()), 64);
    assert!(cut > 40, "{cut} were cut");
    storm.ends(CALL, CALL);
}

#[test]
fn connections_that_say_nothing_cost_a_look_each() {
    const SILENT: u64 = 2000;
    let mut storm = Storm::of("silent", 8 << 20, RouterConfig::default());
    storm.begins();
    for round in 1..=2 {
        (0..SILENT).for_each(|n| storm.open_silent(round * 10_000 + n));
        let handshake = storm.router.config().handshake;
        storm.now.mono += handshake;
        storm.turn();
        assert_eq!(storm.cut.len() as u64, round * SILENT);
    }
    assert_eq!(storm.events as u64, 2 * SILENT);
    storm.ends(64, 4 * SILENT as usize);
}

#[test]
fn apps_that_come_and_go_cost_no_look_at_all_that_the_hub_holds() {
    const SENDERS: u64 = 40_000;
    const APPS: u64 = 300;
    let mut storm = Storm::of("connects", 64 << 20, RouterConfig::default());
    storm.open_old(10);
    of_senders(SENDERS).for_each(|input| assert!(storm.bytes(10, &input)));
    storm.begins();
    for conn in 1000..1000 + APPS {
        storm.join(conn, wire::ACCEPT_ANY);
        storm.takes(conn, 1000);
        if conn % 3 > 0 {
            storm.turn();
        }
        storm.leave(conn);
    }
    assert_eq!(storm.events as u64, 2 * APPS, "one for each that comes, and one for each that goes");
    assert_eq!(storm.router.stats().peers, 3);
    storm.ends(CALL, CALL);
}

#[test]
fn junk_costs_its_bytes_and_one_event_for_each_connection() {
    const PEERS: u64 = 50;
    let mut storm = Storm::of("junk", 8 << 20, RouterConfig::default());
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut conns: Vec<_> = (1000..1000 + PEERS).collect();
    storm.begins();
    let mut opened = 0;
    for round in 0..20 {
        for conn in &mut conns {
            if round == 0 || storm.cut.contains(&ConnId(*conn)) {
                *conn += PEERS;
                opened += 1;
                if *conn % 2 == 0 {
                    storm.open_old(*conn);
                } else {
                    storm.join(*conn, 0);
                }
            }
            let mut bytes = |len| (0..len).map(|_| random(256) as u8).collect::<Vec<_>>();
            let frames: Vec<_> = (0..60).map(|i| frame(&bytes(i * 17 % 1000))).collect();
            let tail = if *conn % 7 == round % 7 { bytes(100) } else { Vec::new() };
            storm.bytes(*conn, &[frames.concat(), tail].concat());
        }
        storm.turn();
    }
    assert!(!storm.cut.is_empty() && storm.events <= 3 * opened, "{} events of {opened}", storm.events);
    storm.ends(CALL, CALL);
}

#[test]
fn claims_to_an_honest_app_s_identity_are_refused_when_it_answers() {
    const CLAIMS: u64 = 50;
    let mut storm = Storm::of("claims", 8 << 20, RouterConfig::default());
    storm.begins();
    for round in 1..=10 {
        for n in 0..CLAIMS {
            storm.join_as(1000 * round + n, "app1", 0);
            if n % 7 == 0 {
                storm.turn();
            }
        }
        storm.settle();
        assert_eq!(storm.cut.len() as u64, round * CLAIMS, "all are refused");
    }
    assert_eq!(storm.events as u64, 10 * CLAIMS);
    storm.ends(8 * CLAIMS as usize, CALL);
}
