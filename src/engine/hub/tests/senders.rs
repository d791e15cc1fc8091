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
