//! What a hub does costs what is due.

use super::turns::{MESSAGES, TURN};
use super::*;
use crate::framing::{frame_head, header, Framing};
use crate::time::LogicalTime;
use crate::wire::{self, Form, HelloFlags, Meta, Stamp};

fn open(router: &mut Router, now: Now, conn: ConnId) {
    let info = ConnInfo { framing: Framing::Tcp, from: String::new(), gateway: None };
    router.opened(now, conn, info, None);
}

fn act(router: &mut Router) -> Vec<Action> {
    let actions = std::iter::from_fn(|| router.next_action()).collect();
    while router.next_event().is_some() {}
    actions
}

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

/// A frame of TCP.
fn frame(body: &[u8]) -> Vec<u8> {
    [&frame_head(Framing::Tcp, body.len())[..], body].concat()
}

/// An app joins.
fn join(router: &mut Router, now: Now, conn: u64, accept: u32) {
    open(router, now, ConnId(conn));
    let instance = Instance([conn as u8; 16]);
    let hello = Control::Hello { instance, epoch: 1, accept, flags: HelloFlags(0), time: None, secret: None };
    let mut body = Vec::new();
    hello.encode(&format!("app{conn}"), &mut body);
    router.bytes(now, ConnId(conn), &header(Version::V1));
    router.bytes(now, ConnId(conn), &frame(&body));
}

/// The frame of a state of this app, under a name of its own.
fn state(conn: u64, n: u64) -> Vec<u8> {
    let stamp = Stamp { clock: LogicalTime::from_bits(n), instance: Instance([conn as u8; 16]) };
    let (mut body, meta) = (Vec::new(), Meta { stamp: Some(stamp), ..Meta::default() });
    wire::encode(&mut body, Form::V1, &format!("app{conn}"), &n.to_string(), &[0xC3], &meta);
    frame(&body)
}

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
