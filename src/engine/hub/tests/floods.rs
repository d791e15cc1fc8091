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

/// What the messages of one peer may cost in a turn, and one of them more.
const FLOOD: usize = MESSAGES + MESSAGES / 4;

#[test]
fn those_who_publish_at_full_speed_are_left_for_later_when_there_are_many_to_look_at() {
    const APPS: u64 = 10;
    const IDLE: u64 = 2400;
    let mut storm = Storm::of("publishers", 16 << 20, RouterConfig::default());
    (1000..1000 + APPS + IDLE).for_each(|conn| storm.join(conn, Kind::Nil.mask()));
    storm.begins();
    let text = "x".repeat(20);
    for round in 0..2 {
        for conn in 1000..1000 + APPS {
            let frames =
                (1..).map(|n| value(conn, &format!("flood/{}", n % 100), &Value::Text(&text), round << 20 | n));
            batch(frames).take(1).for_each(|input| _ = storm.bytes(conn, &input));
        }
        storm.turn();
    }
    storm.settle();
    assert_eq!(storm.router.table().len() as u64, 100 * APPS + 2);
    storm.ends(FLOOD, FLOOD);
}

/// One app updates 1,000 names with values of 1 kB, again and again. Returns how often.
fn update(storm: &mut Storm, turns: u64) -> u64 {
    storm.join(10, 0);
    storm.begins();
    let text = "x".repeat(1000);
    let mut n = 0;
    for _ in 0..turns {
        if storm.router.reads(ConnId(10)) {
            let more = n + 60;
            let frames = (n + 1..=more).map(|n| value(10, &format!("update/{}", n % 1000), &Value::Text(&text), n));
            storm.bytes(10, &frames.flatten().collect::<Vec<_>>());
            n = more;
        }
        storm.turn();
    }
    storm.settle();
    n
}

#[test]
fn what_goes_to_many_who_read_is_passed_on_in_parts() {
    const READERS: u64 = 300;
    let mut storm = Storm::of("subscribers", 64 << 20, RouterConfig::default());
    (1000..1000 + READERS).for_each(|conn| storm.join(conn, Kind::Text.mask()));
    let n = update(&mut storm, 120);
    let sent = storm.router.stats().messages_out;
    assert!(n > 1000 && sent >= n * READERS, "{sent} of {n} updates");
    storm.ends(FLOOD, FLOOD);
}

#[test]
fn what_goes_to_many_who_do_not_read_waits_in_no_more_memory_than_there_is() {
    const READERS: u64 = 100;
    let mut storm = Storm::of("unread updates", 16 << 20, RouterConfig::default());
    for conn in 1000..1000 + READERS {
        storm.join(conn, Kind::Text.mask());
        storm.takes(conn, 1000);
    }
    let n = update(&mut storm, 60);
    assert!(n > 2000, "{n} updates");
    assert_eq!(storm.cut.len(), 0, "they get newest values only, and stay");
    storm.ends(FLOOD, FLOOD);
}
