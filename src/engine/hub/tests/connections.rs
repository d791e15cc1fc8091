//! How connections come and go.

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
