//! Connections: bytes, closes, many of them at once, and the loop that serves them.

use super::super::reader::Lender;
use super::*;

#[test]
fn both_sides_are_told_of_opening_bytes_and_close_in_order() {
    everywhere("order", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        let conn = app.dial(&url);
        app.act(|r| r.send(conn, b"hello "));
        app.act_later(|r| r.send(conn, b"hub"));
        let (accepted, info, token) = hub.opened(0);
        hub.received(accepted, b"hello hub");
        assert!(token.is_none());
        let framing = app.opened(0).1.framing;
        assert_eq!(framing, address::dialled(&Address::parse(&url).unwrap()).unwrap().framing);
        assert_eq!(framing, info.framing);
        match framing {
            Framing::Tcp => assert!(info.from.starts_with(url.split("//").next().unwrap()), "{}", info.from),
            Framing::Ipc if cfg!(any(target_os = "linux", target_os = "android", target_vendor = "apple")) => {
                assert_eq!(info.from, format!("pid {}", std::process::id()));
            }
            Framing::Ipc => assert_eq!(info.from, url),
            Framing::Inproc => assert_eq!(info.from, url),
            Framing::WsServer | Framing::WsClient => unreachable!("not among the URLs"),
        }
        hub.act(|r| r.send(accepted, b"hello app"));
        app.received(conn, b"hello app");
        app.act(|r| r.close(conn));
        assert_eq!(hub.closed(accepted), Closed::ByPeer);
        assert!(app.shared.lock().protocol.closed.is_empty(), "who closes is not told");
    });
}

#[test]
fn what_is_sent_before_a_close_arrives_before_it() {
    const LEN: usize = 100_000;
    everywhere("last-words", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        let conn = app.dial(&url);
        let (accepted, ..) = hub.opened(0);
        // With TLS nothing can be sent before the handshake is over.
        hub.act(|r| r.send(accepted, b"hello"));
        app.received(conn, b"hello");
        // Unread bytes of the other side must not take the last words back.
        hub.act(|r| {
            r.open.get_mut(&accepted).unwrap().checked = Some(0);
            r.send(accepted, &[1; 50_000]);
        });
        app.act(|r| {
            r.send(conn, &pattern(0)[..LEN]);
            r.close(conn);
        });
        assert_eq!(hub.closed(accepted), Closed::ByPeer);
        assert_eq!(hub.shared.lock().protocol.past[&accepted].checked, Some(LEN));
    });
}

#[test]
fn fifty_megabytes_come_back_through_an_echo_that_is_slower_than_the_sender() {
    const LEN: usize = 50 << 20;
    everywhere("echo", |url, backend| {
        let (hub, app) = (Node::echo(backend), Node::new(backend));
        let url = listen(&hub, url);
        let conn = app.dial(&url);
        app.act(|r| {
            r.open.get_mut(&conn).unwrap().checked = Some(0);
            r.send(conn, &pattern(0)[..LEN]);
        });
        app.wait("the echo", |r| (r.open[&conn].checked == Some(LEN)).then_some(()));
        let driver = app.shared.lock();
        assert!(driver.protocol.open[&conn].writes > 10, "the writes were partial");
        assert!(driver.protocol.open[&conn].queue.is_empty());
    });
}

#[test]
fn what_has_room_in_the_engine_is_read_there_and_the_rest_through_the_buffer() {
    const LEN: usize = 8 << 20;
    const ROOM: usize = 100_003;
    everywhere("room", |url, backend| {
        let (hub, app) = (Node::with(backend, Recorder { room: ROOM, ..Recorder::default() }), Node::new(backend));
        let url = listen(&hub, url);
        let conn = app.dial(&url);
        let (accepted, ..) = hub.opened(0);
        hub.act(|r| r.open.get_mut(&accepted).unwrap().checked = Some(0));
        app.act(|r| r.send(conn, &pattern(0)[..LEN]));
        let placed = hub.wait("all of it", |r| {
            let open = &r.open[&accepted];
            (open.checked == Some(LEN)).then_some(open.placed)
        });
        // What TLS and a pipe in memory give is not read from the system.
        let is_plain = url.starts_with("ipc") || url.starts_with("tcp:");
        assert_eq!(placed >= LEN / 4, is_plain, "{url}: {placed} bytes");
        assert!(is_plain || placed == 0, "{url}: {placed} bytes");
    });
}

#[test]
fn many_threads_write_inline_and_through_the_loop_at_once() {
    const THREADS: usize = 4;
    const EACH: usize = 2_500;
    everywhere("threads", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        let conn = app.dial(&url);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let app = &app;
                scope.spawn(move || {
                    for i in 0..EACH {
                        if i % 2 == 0 {
                            app.act(|r| r.send(conn, &[thread as u8]));
                        } else {
                            app.act_later(|r| r.send(conn, &[thread as u8]));
                        }
                    }
                });
            }
        });
        let (accepted, ..) = hub.opened(0);
        hub.wait("all of it", |r| (r.open[&accepted].received.len() == THREADS * EACH).then_some(()));
    });
}

#[test]
fn a_peer_that_does_not_read_blocks_nobody_and_gets_everything_in_the_end() {
    const LEN: usize = 20 << 20;
    everywhere("stalled", |url, backend| {
        let app = Node::new(backend);
        // This one has a loop that runs only when it is told to.
        let shared = Shared::new(Recorder::default(), backend).unwrap();
        let mut turns = Loop::new(&shared);
        shared.lock().protocol.full = true;
        let url = listen_at(&shared, &Address::parse(url).unwrap(), IPC_MODE).unwrap();
        let conn = app.dial(&url);
        app.act(|r| r.send(conn, &pattern(0)[..LEN]));
        while shared.lock().protocol.opened.is_empty() {
            turns.turn(Some(PATIENCE)).unwrap();
        }
        let (accepted, ..) = shared.lock().protocol.opened[0];
        shared.lock().protocol.open.get_mut(&accepted).unwrap().checked = Some(0);
        assert!(!app.shared.lock().protocol.open[&conn].queue.is_empty(), "the kernel or pipe has taken it all");
        // Others go on meanwhile.
        let other = Node::new(backend);
        let other_url = listen(&other, "tcp://127.0.0.1:0");
        app.act(|r| r.dial(6, &other_url));
        let (second, ..) = app.opened(1);
        app.act(|r| r.send(second, b"x"));
        let (at_other, ..) = other.opened(0);
        other.received(at_other, b"x");
        let mut driver = shared.lock();
        driver.protocol.full = false;
        driver.run_actions(now());
        drop(driver);
        while shared.lock().protocol.open[&accepted].checked != Some(LEN) {
            turns.turn(Some(PATIENCE)).unwrap();
        }
        assert!(shared.lock().protocol.wrong.is_empty());
    });
}

#[test]
fn a_connection_can_be_closed_from_within_the_call_that_opens_it() {
    everywhere("refuse", |url, backend| {
        let hub = Node::with(backend, Recorder { refuse: true, ..Recorder::default() });
        let app = Node::new(backend);
        let url = listen(&hub, url);
        let conn = app.dial(&url);
        assert_eq!(app.closed(conn), Closed::ByPeer);
        assert_eq!(hub.shared.lock().connections(), 0);
    });
}

#[test]
fn a_node_that_goes_away_closes_its_connections_in_either_order() {
    let _no_children = FORKS.read();
    everywhere("order-of-death", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let real = listen(&hub, url);
        let conn = app.dial(&real);
        let (accepted, ..) = hub.opened(0);
        drop(hub);
        assert_eq!(app.closed(conn), Closed::ByPeer);
        let error = app.dial_error(&real);
        assert!(matches!(error.status(), Status::Refused | Status::NotFound), "{error}");
        assert!(error.to_string().contains(&real), "{error}");

        let hub = Node::new(backend);
        let real = listen(&hub, url);
        drop(app);
        let app = Node::new(backend);
        app.dial(&real);
        let (second, ..) = hub.opened(0);
        assert_eq!(second, accepted, "a new driver counts from the beginning");
        drop(app);
        assert_eq!(hub.closed(second), Closed::ByPeer);
    });
}

#[test]
fn close_all_closes_everything_and_dialling_goes_on() {
    everywhere("close-all", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        app.dial(&url);
        let (first, ..) = hub.opened(0);
        app.shared.lock().close_all();
        assert_eq!(hub.closed(first), Closed::ByPeer);
        app.act(|r| r.dial(8, &url));
        let (conn, _, token) = app.opened(1);
        assert_eq!(token, Some(8));
        app.act(|r| r.send(conn, b"again"));
        let (second, ..) = hub.opened(1);
        hub.received(second, b"again");
    });
}

#[test]
fn a_driver_that_ends_writes_a_farewell_and_waits_for_nobody() {
    everywhere("end", |url, backend| {
        let (hub, app, slow) = (Node::new(backend), Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        slow.act(|r| r.full = true);
        slow.dial(&url);
        let (stuck, ..) = hub.opened(0);
        // More than any socket takes.
        hub.act(|r| r.send(stuck, &pattern(0)[..16 << 20]));
        let conn = app.dial(&url);
        let (accepted, ..) = hub.opened(1);
        app.act(|r| r.send(conn, b"it is open on both sides"));
        hub.received(accepted, b"it is open on both sides");
        hub.shared.lock().end(now(), |r| {
            r.send(accepted, b"farewell");
            r.send(stuck, b"farewell");
        });
        assert_eq!(app.closed(conn), Closed::ByPeer);
        assert_eq!(app.shared.lock().protocol.past[&conn].received, b"farewell");
        let error = app.dial_error(&url);
        assert!(matches!(error.status(), Status::Refused | Status::NotFound), "nobody listens any more: {error}");
    });
}

#[test]
fn a_tick_comes_when_its_time_has_come_also_when_another_thread_sets_it() {
    for backend in BACKENDS {
        let node = Node::new(backend);
        let begin = Instant::now();
        // The loop sleeps without a deadline; acting without bytes or connections must still reach it.
        node.act(|r| r.deadline = Some(now().mono + Duration::from_millis(30)));
        node.wait("the tick", |r| (r.ticks == 1).then_some(()));
        assert!(begin.elapsed() >= Duration::from_millis(30));
    }
}

#[test]
fn a_connection_whose_bytes_take_long_is_read_once_before_the_loop_looks_who_else_is_ready() {
    for backend in BACKENDS {
        // Longer than a connection may take before the others are asked.
        let recorder =
            Recorder { odd: Odd { nap: Duration::from_micros(300), ..Odd::default() }, ..Recorder::default() };
        let shared = Shared::new(recorder, backend).unwrap();
        let mut turns = Loop::new(&shared);
        let url = listen_at(&shared, &Address::parse("tcp://127.0.0.1:0").unwrap(), IPC_MODE).unwrap();
        let mut peer = std::net::TcpStream::connect(url.strip_prefix("tcp://").unwrap()).unwrap();
        peer.write_all(&pattern(0)[..256 << 10]).unwrap();
        let received = || shared.lock().protocol.open.values().map(|open| open.received.len()).sum::<usize>();
        let (mut before, mut most) = (0, 0);
        while before < 256 << 10 {
            turns.turn(Some(PATIENCE)).unwrap();
            most = most.max(received() - before);
            before = received();
        }
        // What one read takes at most.
        assert!(most < 128 << 10, "{most} bytes in a turn");
    }
}

#[test]
fn an_idle_loop_does_not_turn() {
    for backend in BACKENDS {
        let shared = Shared::new(Recorder::default(), backend).unwrap();
        let mut turns = Loop::new(&shared);
        let url = listen_at(&shared, &Address::parse("tcp://127.0.0.1:0").unwrap(), IPC_MODE).unwrap();
        let app = Node::new(backend);
        app.dial(&url);
        while shared.lock().protocol.opened.is_empty() {
            turns.turn(Some(PATIENCE)).unwrap();
        }
        turns.turn(Some(Duration::ZERO)).unwrap();
        let begin = Instant::now();
        turns.turn(Some(Duration::from_millis(50))).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(50), "it was woken by nothing");
    }
}

#[test]
fn a_flood_from_one_peer_does_not_keep_another_waiting() {
    everywhere("flood", |url, backend| {
        let hub = Shared::new(Recorder::default(), backend).unwrap();
        let mut turns = Loop::new(&hub);
        let url = listen_at(&hub, &Address::parse(url).unwrap(), IPC_MODE).unwrap();
        let (busy, quiet) = (Node::new(backend), Node::new(backend));
        let (flood, other) = (busy.dial(&url), quiet.dial(&url));
        while hub.lock().protocol.opened.len() < 2 {
            turns.turn(Some(PATIENCE)).unwrap();
        }
        busy.act(|r| r.send(flood, pattern(0)));
        // Written inline: it is at the hub when this returns, or as soon as the system hands it on.
        quiet.act(|r| r.send(other, b"me too"));
        let received = || {
            let driver = hub.lock();
            let mut all: Vec<usize> = driver.protocol.open.values().map(|open| open.received.len()).collect();
            all.sort();
            all
        };
        let mut turned = 0;
        while received()[0] == 0 || turned == 0 {
            turns.turn(Some(PATIENCE)).unwrap();
            turned += 1;
        }
        let before = received();
        assert!(before[1] < LONGEST / 2, "served after {turned} turns");
        assert_eq!(before[0], b"me too".len());
        turns.turn(Some(PATIENCE)).unwrap();
        assert!(received()[1] - before[1] <= 2 << 20, "a turn has an end");
    });
}

/// Waits until the system has handed something on to a socket, which it need not do at once.
fn is_readable(source: Option<Source>) {
    let Some(Source::Socket(fd)) = source else { return };
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: there is one of them.
    let ready = unsafe { libc::poll(&mut poll, 1, PATIENCE.as_millis() as libc::c_int) };
    assert_eq!(ready, 1, "nothing has come");
}

#[test]
fn who_sends_little_is_served_after_a_bounded_number_of_bytes_of_many_who_flood() {
    const FLOODS: usize = 50;
    const EACH: usize = 512 << 10;
    // What the rest of a stint may read, and one connection more. Once around would be 50 times 64 KiB.
    const MOST: usize = 2 << 20;
    everywhere("floods", |url, backend| {
        let hub = Shared::new(Recorder::default(), backend).unwrap();
        let mut turns = Loop::new(&hub);
        let url = listen_at(&hub, &Address::parse(url).unwrap(), IPC_MODE).unwrap();
        let (busy, quiet) = (Node::new(backend), Node::new(backend));
        let other = quiet.dial(&url);
        while hub.lock().protocol.opened.is_empty() {
            turns.turn(Some(PATIENCE)).unwrap();
        }
        let (little, ..) = hub.lock().protocol.opened[0];
        let floods: Vec<_> = (0..FLOODS).map(|_| busy.dial(&url)).collect();
        while hub.lock().protocol.opened.len() <= FLOODS {
            turns.turn(Some(PATIENCE)).unwrap();
        }
        busy.act(|r| floods.iter().for_each(|&flood| r.send(flood, &pattern(0)[..EACH])));
        let received = || {
            let driver = hub.lock();
            let of = |conn: &ConnId| driver.protocol.open[conn].received.len();
            (of(&little), driver.protocol.open.keys().map(of).sum::<usize>())
        };
        for round in 1..=3 {
            // Those who flood are known by then.
            (0..3).for_each(|_| turns.turn(Some(PATIENCE)).unwrap());
            let (_, before) = received();
            quiet.act(|r| r.send(other, &[7; 64]));
            is_readable(hub.lock().conns.source(little));
            while received().0 < round * 64 {
                turns.turn(Some(PATIENCE)).unwrap();
            }
            let others = received().1 - before;
            assert!(others <= MOST, "{others} bytes were read meanwhile");
        }
    });
}
