//! A hub that sends anything to an app.

use super::*;

#[test]
fn an_app_bears_whatever_its_hub_sends() {
    each_seed(2_000, 100, |seed| {
        let mut rng = Rng::new(seed);
        let mut app = Session::new("app0", rng.instance());
        app.config.echo = rng.one_in(4);
        app.config.shared = rng.one_in(4);
        app.set_recv_queue(20_000);
        app.set_tells_rejects(rng.one_in(2));
        app.connect(vec!["tcp://one".into(), "tcp://two".into()]);
        let mut now = sim::beginning(SEC);
        let (mut conns, mut dials, mut next) = (Vec::new(), Vec::new(), 0);
        let (mut framing, mut taken, mut asked) = (Framing::Tcp, 0, 0);
        for step in 0..150 {
            now.mono += Duration::from_nanos(rng.below(300 * MS));
            now.wall = jumped(now.wall, &mut rng);
            now.boot += Duration::from_nanos(rng.below(400_000_000));
            turn(&mut app, now, &mut conns, &mut dials, usize::MAX);
            if let Some(token) = dials.pop() {
                next += 1;
                framing = rng.pick(&FRAMINGS);
                let info = ConnInfo { framing, from: "a hub".into(), host: None, gateway: None, web: None };
                conns.push(ConnId(next));
                app.opened(now, ConnId(next), info, Some(token));
                let mut first = if framing.has_handshake() {
                    header(rng.pick(&[Version::V1, Version::V1, Version::Old])).to_vec()
                } else {
                    Vec::new()
                };
                if rng.one_in(2) {
                    let mut welcome = Vec::new();
                    let max_message = rng.any() >> rng.below(64);
                    Control::Welcome {
                        instance: rng.instance(),
                        max_message,
                        wall: now.wall,
                        time: None,
                        features: rng.pick(&[Features::NONE, Features::ALL]),
                    }
                    .encode(wire::HUB_SENDER, &mut welcome);
                    first.extend(&*frame_head(framing, welcome.len()));
                    first.extend(welcome);
                }
                app.bytes(now, ConnId(next), &first);
            } else if let Some(&conn) = conns.last() {
                match rng.below(10) {
                    0 => {
                        conns.clear();
                        app.closed(now, conn, Closed::ByPeer);
                    }
                    1 => {
                        let (name, kind) = (format!("n{}", rng.below(3)), rng.pick(Kind::VALUES));
                        let _ = app.publish(now, &name, Value::Msgpack(&value(kind, step, 10)), kind);
                        app.request_ack();
                    }
                    2 if rng.one_in(3) => app.set_tells_stale(rng.one_in(2)),
                    2 if rng.one_in(2) => app.set_tells_others(rng.one_in(2)),
                    3 if rng.one_in(4) => asked = app.ask_stats(),
                    2 => app.set_accept(rng.any() as u32),
                    _ => {
                        let (v1, mut bytes) = (rng.one_in(2), Vec::new());
                        for _ in 0..rng.below(4) {
                            bytes.extend(chaos::attack(&mut rng, framing, v1));
                        }
                        app.bytes(now, conn, &bytes);
                    }
                }
            }
            if app.is_due(now) {
                app.tick(now);
            }
            if rng.one_in(10) {
                app.disconnect();
                dials.clear();
            }
            if matches!(app.link(), LinkState::Refused | LinkState::Idle) {
                conns.clear();
                app.connect(vec!["tcp://one".into()]);
            }
            if rng.one_in(4) {
                while let Some(state) = app.take_state() {
                    taken += 1;
                    assert!(!state.name().starts_with(wire::RESERVED));
                    let _ = (state.text(), state.int(), state.json(), app.is_stale(&state));
                }
            }
            while app.next_notice().is_some() {}
            while app.next_warning().is_some() {}
            let _ = app.counted(asked);
            let stats = app.stats();
            assert_eq!((stats.dropped_in, stats.received), (0, taken + stats.conflated_in + stats.queued));
        }
    });
}
