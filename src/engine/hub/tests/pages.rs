//! WebSockets that attack.

use super::*;

/// The frame of TCP as a message of a WebSocket.
fn web(frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ws::message(&[&frame[frame_head(Framing::Tcp, 0).len()..]], &mut Masks::new([7; 16]), &mut out);
    out
}

/// The frame of TCP as a message of a WebSocket, in fragments of one byte.
fn in_fragments(frame: &[u8]) -> Vec<u8> {
    let body = &frame[frame_head(Framing::Tcp, 0).len()..];
    let mut out: Vec<u8> = body.iter().flat_map(|&byte| [0, 0x81, 0, 0, 0, 0, byte]).collect();
    out[0] = 0x02;
    let last = out.len() - 7;
    out[last] |= 0x80;
    out
}

/// An app joins by a WebSocket.
fn join_web(storm: &mut Storm, conn: u64, accept: u32) {
    storm.open_web(conn);
    let mut request = Vec::new();
    Request::write("hub", "/", PROTOCOL, [7; 16], &mut request);
    assert!(storm.bytes(conn, &request));
    assert!(storm.bytes(conn, &web(&hello(conn, &format!("app{conn}"), accept))));
}

/// Pings of a WebSocket, as many as are read together.
fn pings() -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() + 6 <= READ {
        ws::ping(Some(&mut Masks::new([7; 16])), &mut out);
    }
    out
}

/// Hands over a message in pieces that are read together, and waits until more would be read. Returns how long that took.
fn hand(storm: &mut Storm, conn: u64, message: &[u8]) -> Duration {
    let piece = |input| {
        assert!(storm.bytes(conn, input));
        storm.turn();
        storm.wait_until_read(conn)
    };
    message.chunks(READ).map(piece).sum()
}

/// So much beside messages took as long as it has to, less the second that may come at once.
fn assert_slow(waited: Duration, overhead: usize) {
    let least = overhead as f64 / f64::from(limits::OVERHEAD) - 1.0;
    assert!((0.999 * least..1.001 * least).contains(&waited.as_secs_f64()), "{waited:?} instead of {least} s");
}

#[test]
fn a_message_in_fragments_costs_what_its_bytes_cost() {
    const PAGES: u64 = 4;
    let mut storm = Storm::of("fragments", 16 << 20, RouterConfig::default());
    (1000..1000 + PAGES).for_each(|conn| join_web(&mut storm, conn, 0));
    storm.begins();
    let text = "x".repeat(130_000);
    for conn in 1000..1000 + PAGES {
        let message = |round| in_fragments(&value(conn, "fragments", &Value::Text(&text), round));
        let waited = (1..4).map(|round| hand(&mut storm, conn, &message(round))).sum::<Duration>();
        assert_slow(waited, 3 * text.len());
    }
    assert_eq!(storm.router.table().len() as u64, PAGES + 2, "and it is taken");
    storm.ends(CALL, CALL);
}

#[test]
fn pings_of_web_sockets_that_do_not_read_are_answered_by_the_newest() {
    const PAGES: u64 = 20;
    let mut storm = Storm::of("web pings", 8 << 20, RouterConfig { outbox: 64 << 10, ..RouterConfig::default() });
    for conn in 1000..1000 + PAGES {
        join_web(&mut storm, conn, 0);
        storm.takes(conn, 0);
    }
    storm.begins();
    let pings = pings();
    const ROUNDS: usize = 40;
    for conn in 1000..1000 + PAGES {
        let waited = (0..ROUNDS).map(|_| hand(&mut storm, conn, &pings)).sum();
        assert_slow(waited, 16 * ROUNDS * (pings.len() / 6));
    }
    let waiting = storm.router.stats().outbox_bytes / PAGES;
    assert!((64 << 10..2 * (64 << 10)).contains(&waiting), "{waiting} bytes of answers for each");
    storm.ends(CALL, CALL);
}

#[test]
fn three_pages_that_attack_cost_the_others_nothing() {
    const PAGES: u64 = 197;
    const ATTACKERS: [u64; 3] = [2000, 2001, 2002];
    let mut storm = Storm::of("three pages", 16 << 20, RouterConfig { outbox: 64 << 10, ..RouterConfig::default() });
    (1000..1000 + PAGES).chain(ATTACKERS).for_each(|conn| join_web(&mut storm, conn, Kind::Text.mask()));
    let [stopped, fragments, web_pings] = ATTACKERS;
    storm.takes(stopped, 1000);
    storm.join(10, 0);
    storm.begins();
    let (text, part) = ("x".repeat(1000), "x".repeat(130_000));
    for round in 1..20 {
        assert!(storm.bytes(10, &value(10, &format!("shown/{}", round % 10), &Value::Text(&text), round)));
        hand(&mut storm, fragments, &in_fragments(&value(fragments, "fragments", &Value::Text(&part), round)));
        hand(&mut storm, web_pings, &pings());
        storm.turn();
    }
    assert!(storm.cut.is_empty(), "nobody is cut");
    let live = storm.router.peer_stats().filter(|peer| peer.live).count() as u64;
    assert_eq!(live, PAGES + 2 + 3, "only the one that stopped is behind");
    storm.ends(CALL, CALL);
}
