//! What is sent to those who ask for all that the hub holds.

use super::super::turns::TURN;
use super::*;

#[test]
fn a_turn_costs_the_same_however_many_peers_ask_for_the_whole_table() {
    const STATES: u64 = 50_000;
    const PEERS: u64 = 50;
    let mut router = Router::new(Instance([9; 16]), RouterConfig::default());
    let now = Now::default();
    join(&mut router, now, 0, wire::ACCEPT_ANY);
    for n in 1..=STATES {
        router.bytes(now, ConnId(0), &state(0, n));
    }
    // They accept nothing: all of the table is looked at for each, and next to nothing is written.
    (1..=PEERS).for_each(|conn| join(&mut router, now, conn, 0));
    let (mut turns, before) = (0, router.core.turns.spent);
    while turns == 0 || router.is_ready() {
        let spent = router.core.turns.spent;
        router.tick(now);
        for action in act(&mut router) {
            let Action::Flush(conn) = action else { panic!("{action:?}") };
            let mut slices = Vec::new();
            router.gather(now, conn, &mut slices);
            let len = slices.iter().map(|slice| slice.len()).sum();
            drop(slices);
            if len > 0 {
                router.wrote(now, conn, len);
            }
        }
        let spent = router.core.turns.spent - spent;
        assert!(spent <= 2 * TURN, "{spent} steps in a turn");
        turns += 1;
    }
    let (spent, looks) = (router.core.turns.spent - before, (PEERS * STATES) as usize);
    assert!(spent >= looks && turns >= looks / TURN / 2, "{spent} steps in {turns} turns");
    assert!(router.peers.iter().all(|peer| peer.link.feed.is_live()), "each is at the end");
}
