//! What is sent to those who ask for all that the hub holds.

use std::collections::VecDeque;
use std::time::Duration;

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

const READERS: usize = 40;
/// What each reads before it stops.
const READ_A_LITTLE: usize = 1000;

/// Another app joins that reads a little and stops; of too many, the first leaves.
fn read_a_little(storm: &mut Storm, readers: &mut VecDeque<u64>, conn: u64) {
    if readers.len() == READERS {
        readers.pop_front().into_iter().for_each(|conn| storm.leave(conn));
    }
    storm.join(conn, Kind::Text.mask());
    storm.takes(conn, READ_A_LITTLE);
    readers.push_back(conn);
}

#[test]
fn large_values_that_some_have_begun_to_read_take_no_more_memory_than_there_is() {
    const LARGE: usize = 512 << 10;
    let mut storm = Storm::of("large readers", 8 << 20, RouterConfig::default());
    storm.join(10, 0);
    let mut readers = VecDeque::new();
    storm.begins();
    for n in 0..60 {
        let large = value(10, "large", &Value::Text(&"x".repeat(LARGE)), n + 1);
        large.chunks(READ).for_each(|input| _ = storm.bytes(10, input));
        read_a_little(&mut storm, &mut readers, 1000 + n);
        storm.now.mono += Duration::from_millis(100);
        storm.turn();
    }
    assert!(!storm.cut.is_empty(), "those that hold most for the longest are cut");
    storm.ends(CALL, CALL);
}

#[test]
fn those_who_read_a_little_of_all_that_the_hub_holds_cost_it_what_they_read() {
    // About as many as one sender may have.
    const STATES: u64 = 1_700;
    let mut storm = Storm::of("late readers", 8 << 20, RouterConfig::default());
    fill(&mut storm, STATES, &"x".repeat(1_000));
    let mut readers = VecDeque::new();
    storm.begins();
    for n in 0..120 {
        read_a_little(&mut storm, &mut readers, 1000 + n);
        storm.turn();
    }
    assert!(storm.cut.is_empty(), "{} were cut", storm.cut.len());
    storm.ends(CALL, CALL);
}
