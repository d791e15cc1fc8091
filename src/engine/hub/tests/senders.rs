//! Old programs that speak for many senders.

use super::super::turns::TURN;
use super::*;

#[test]
fn a_peer_that_spoke_for_many_senders_departs_and_its_values_expire_in_many_turns() {
    const SENDERS: usize = 20_000;
    let mut router = Router::new(Instance([9; 16]), RouterConfig::default());
    let mut now = Now::default();
    let (conn, other) = (ConnId(1), ConnId(2));
    for conn in [conn, other] {
        open(&mut router, now, conn);
        router.bytes(now, conn, &header(Version::Old));
    }
    for n in 0..SENDERS {
        let mut body = Vec::new();
        wire::encode(&mut body, Form::Old, &format!("s{n}"), "x", &[0xC3], &Meta::default());
        router.bytes(now, conn, &frame(&body));
    }
    let turns = |router: &mut Router, now: Now| {
        let mut turns = 0;
        while router.is_due(now) {
            let spent = router.core.turns.spent;
            router.tick(now);
            act(router);
            assert!(router.core.turns.spent - spent <= TURN, "{} steps in a turn", router.core.turns.spent - spent);
            turns += 1;
        }
        turns
    };
    turns(&mut router, now);
    router.closed(now, conn, Closed::ByPeer);
    assert!(turns(&mut router, now) > SENDERS / TURN, "one look at each");
    assert_eq!(router.table().len(), SENDERS, "they stay for a while");
    let expiry = router.deadline().expect("they expire");
    assert_eq!(expiry, now.mono + router.capacity().departed);
    now.mono = expiry;
    assert!(turns(&mut router, now) > SENDERS / TURN, "and more for each that is forgotten");
    assert_eq!((router.table().len(), router.table().bytes(), router.deadline()), (0, 0, None));
}

#[test]
fn an_old_program_that_speaks_for_many_and_leaves_again_and_again_takes_no_more_than_turns() {
    const SENDERS: u64 = 20_000;
    let mut storm = Storm::of("departures", 64 << 20, RouterConfig::default());
    storm.begins();
    for conn in 1000..1003 {
        storm.open_old(conn);
        of_senders(SENDERS).for_each(|input| {
            storm.bytes(conn, &input);
            storm.turn();
        });
        storm.leave(conn);
        assert_eq!(storm.router.table().len() as u64, SENDERS + 2, "they stay for a while");
    }
    storm.settle();
    let departed = storm.router.capacity().departed;
    storm.now.mono += departed;
    storm.settle();
    assert_eq!(storm.router.table().len(), 2, "those of the honest apps are left");
    storm.ends(CALL, CALL);
}

#[test]
fn ever_new_senders_fill_the_table_and_not_more_and_names_that_were_there_go_on() {
    let mut storm = Storm::of("long senders", 8 << 20, RouterConfig::default());
    let width = limits::MAX_SENDER;
    storm.begins();
    // The second one's states take the room of those that the first has left.
    for conn in [1000, 1001] {
        storm.open_old(conn);
        let frames = (0..20_000).map(|n| old(&format!("{conn}{n:0width$}")[4..], "x", &Value::Text("x")));
        batch(frames).for_each(|input| _ = storm.bytes(conn, &input));
        storm.settle();
        storm.leave(conn);
        let stats = storm.router.stats();
        assert!(stats.refused > 1000 && stats.table_bytes <= 4 << 20, "{stats:?}");
    }
    storm.ends(CALL, CALL);
}
