//! Publishers, with those who receive.

use super::super::turns::MESSAGES;
use super::*;

#[test]
fn messages_that_cost_much_are_left_for_later_and_others_follow_at_once() {
    const RECEIVERS: u64 = 500;
    const STATES: u64 = 1000;
    for leaves in [false, true] {
        let mut router = Router::new(Instance([9; 16]), RouterConfig::default());
        let (now, floods, little) = (Now::default(), ConnId(1000), ConnId(1001));
        (1..=RECEIVERS).for_each(|conn| join(&mut router, now, conn, wire::ACCEPT_ANY));
        [floods, little].iter().for_each(|conn| join(&mut router, now, conn.0, 0));
        let (input, spent) =
            ((1..=STATES).flat_map(|n| state(floods.0, n)).collect::<Vec<_>>(), router.core.turns.spent);
        router.bytes(now, floods, &input);
        let taken = router.table().len();
        assert!(taken > 10 && taken < STATES as usize / 2, "{taken} were taken");
        assert!(!router.reads(floods) && router.reads(little) && router.is_ready());
        router.bytes(now, little, &state(little.0, 1));
        assert_eq!(router.table().len(), taken + 1, "the other one is not held up");
        if leaves {
            router.closed(now, floods, Closed::ByPeer);
            assert_eq!(router.stats().peers, RECEIVERS + 2, "it leaves when it has had its turns");
        }
        let mut turns = 0;
        while router.is_ready() {
            let before = router.table().len();
            router.tick(now);
            let more = router.table().len() - before;
            assert!(more <= taken + 1, "{more} in a turn");
            turns += 1;
        }
        assert!(turns >= STATES as usize / taken, "{turns}");
        assert_eq!(router.table().len(), STATES as usize + 1, "and nothing is lost");
        assert_eq!(router.stats().peers, RECEIVERS + 2 - u64::from(leaves));
        assert_eq!(router.stats().unfinished_bytes, 0);
        assert!(
            router.core.turns.spent - spent >= (STATES as usize - taken) * RECEIVERS as usize,
            "and all is charged"
        );
        assert!(router.reads(floods), "it is read again, or gone");
        assert!(turns * MESSAGES >= router.core.turns.spent - spent);
    }
}
