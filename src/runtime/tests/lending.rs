//! Connections that a thread of the program reads.

use super::*;

/// Two nodes for each transport whose connections may be read by a thread, and the address at which the first listens.
fn transports(test: impl Fn(&Node, &Node, &str)) {
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    sockets(&test);
    let (hub, app) = (Node::new(Backend::Best), Node::new(Backend::Best));
    let url = listen(&hub, &format!("inproc://lending-{}", NAMES.fetch_add(1, Ordering::Relaxed)));
    test(&hub, &app, &url);
}

/// As [`transports`], for those with sockets, which also the program's own event loop can watch.
fn sockets(test: impl Fn(&Node, &Node, &str)) {
    let directory = Directory::new();
    let mut urls = vec!["tcp://127.0.0.1:0".to_owned(), format!("ipc://{}", directory.path("s"))];
    if cfg!(feature = "tls") {
        urls.push("tls+tcp://127.0.0.1:0".to_owned());
    }
    for url in urls {
        let (hub, app) = (Node::new(Backend::Best), Node::new(Backend::Best));
        if !hub.shared.lock().reactor.poller.tells_once() {
            return;
        }
        let url = listen(&hub, &url);
        test(&hub, &app, &url);
    }
}

/// The accepting node of a connection with its side of it, and the other with its own. Neither has anything to read, not
/// even of a TLS handshake.
fn connected(hub: &Node, app: &Node, url: &str, test: impl Fn(&Node, ConnId, &Node, ConnId)) {
    let conn = app.dial(url);
    let (accepted, ..) = hub.opened(0);
    hub.act(|r| r.send(accepted, b"welcome"));
    app.received(conn, b"welcome");
    app.act(|r| r.open.get_mut(&conn).unwrap().received.clear());
    test(hub, accepted, app, conn);
}

fn lending(test: impl Fn(&Node, ConnId, &Node, ConnId)) {
    transports(|hub, app, url| connected(hub, app, url, &test));
}

fn showing(test: impl Fn(&Node, ConnId, &Node, ConnId)) {
    sockets(|hub, app, url| connected(hub, app, url, &test));
}

type Guard<'a> = MutexGuard<'a, Driver<Recorder>>;

impl Monitor for Node {
    type Conns = Conns;
    type Driver = Driver<Recorder>;
    type Guard<'a> = Guard<'a>;

    fn parts(driver: &mut Driver<Recorder>) -> (&mut Reader<Conns>, &mut Conns) {
        driver.parts()
    }

    fn connection(&self, driver: &Driver<Recorder>) -> Option<ConnId> {
        driver.protocol.opened.last().map(|(conn, ..)| *conn)
    }

    fn unlocked<T>(&self, driver: &mut Guard<'_>, f: impl FnOnce() -> T) -> T {
        MutexGuard::unlocked(driver, f)
    }

    fn wait(&self, driver: &mut Guard<'_>, until: Option<Instant>) {
        match until {
            Some(until) => drop(self.changed.wait_until(driver, until)),
            None => self.changed.wait(driver),
        }
    }

    fn notify(&self) {
        self.changed.notify_all();
    }

    fn read(&self, driver: &mut Guard<'_>, conn: ConnId, broken: bool) {
        driver.read_borrowed(conn, broken);
    }

    fn is_expected_back(&self, driver: &mut Driver<Recorder>) -> bool {
        driver.expects_reader(now())
    }

    fn kept(&self, driver: &mut Driver<Recorder>, receives: bool) -> Option<ConnId> {
        driver.kept(receives)
    }

    fn show(&self, driver: &mut Driver<Recorder>) -> bool {
        driver.set_ready(false)
    }

    fn cannot_wait(&self, error: &io::Error) {
        panic!("{error}");
    }
}

fn borrow(driver: &mut Guard<'_>, conn: ConnId) -> bool {
    let (reader, conns) = driver.parts();
    reader.borrow(conns, conn)
}

fn is_borrowed(driver: &Guard<'_>, conn: ConnId) -> bool {
    driver.reader.is_borrowed(&driver.conns, conn)
}

fn give_back(driver: &mut Guard<'_>, conn: ConnId) -> bool {
    let (reader, conns) = driver.parts();
    reader.give_back(conns, conn, false)
}

fn leave(driver: &mut Guard<'_>) {
    let (reader, conns) = driver.parts();
    reader.leave(conns);
}

fn keep(driver: &mut Guard<'_>) {
    let (reader, conns) = driver.parts();
    reader.keep(conns);
}

#[test]
fn a_thread_that_borrows_a_connection_gets_what_comes_and_the_loop_what_comes_later() {
    lending(|hub, accepted, app, conn| {
        let mut driver = app.shared.lock();
        assert!(borrow(&mut driver, conn) && !borrow(&mut driver, conn));
        MutexGuard::unlocked(&mut driver, || hub.act(|r| r.send(accepted, b"first ")));
        read_borrowed(app, &mut driver, conn, None);
        assert_eq!(driver.protocol.open[&conn].received, b"first ");
        assert!(!give_back(&mut driver, conn) && !is_borrowed(&driver, conn));
        drop(driver);
        hub.act(|r| r.send(accepted, b"second"));
        app.received(conn, b"first second");
    });
}

#[test]
fn a_connection_that_was_passed_on_is_the_loops_again_when_nobody_takes_it() {
    lending(|hub, accepted, app, conn| {
        let mut driver = app.shared.lock();
        driver.reader.begin_wait();
        assert!(borrow(&mut driver, conn));
        assert!(give_back(&mut driver, conn), "there is one who waits");
        driver.reader.end_wait();
        leave(&mut driver);
        drop(driver);
        hub.act(|r| r.send(accepted, b"bytes"));
        app.received(conn, b"bytes");
    });
}

#[test]
fn a_connection_that_was_passed_on_and_cannot_be_taken_is_the_loops_again() {
    lending(|hub, accepted, app, conn| {
        let mut driver = app.shared.lock();
        driver.reader.begin_wait();
        assert!(borrow(&mut driver, conn) && give_back(&mut driver, conn));
        driver.conns.wait_to_read(conn.0);
        // More is to be read, which is the loop's from then on.
        assert!(!borrow(&mut driver, conn) && !driver.reader.is_lent());
        drop(driver);
        app.shared.wake();
        hub.act(|r| r.send(accepted, b"bytes"));
        app.received(conn, b"bytes");
        app.shared.lock().reader.end_wait();
    });
}

#[test]
fn a_connection_whose_engine_takes_no_bytes_is_not_read_by_a_thread_and_goes_back_to_the_loop() {
    lending(|hub, accepted, app, conn| {
        let mut driver = app.shared.lock();
        driver.reader.begin_wait();
        assert!(borrow(&mut driver, conn));
        driver.protocol.full = true;
        MutexGuard::unlocked(&mut driver, || hub.act(|r| r.send(accepted, b"bytes")));
        read_borrowed(app, &mut driver, conn, None);
        assert!(!is_borrowed(&driver, conn), "it would be told again and again");
        assert!(give_back(&mut driver, conn) && !driver.reader.is_lent());
        assert!(!borrow(&mut driver, conn));
        driver.reader.end_wait();
        driver.protocol.full = false;
        driver.run_actions(now());
        drop(driver);
        app.received(conn, b"bytes");
    });
}

#[test]
fn closing_a_connection_wakes_the_thread_that_reads_it_which_reads_nothing_else() {
    lending(|_, _, app, conn| {
        let mut driver = app.shared.lock();
        assert!(borrow(&mut driver, conn));
        let closes = {
            let shared = app.shared.clone();
            spawn("ns-closes", move || {
                let mut driver = shared.lock();
                driver.protocol.close(conn);
                driver.run_actions(now());
            })
        };
        read_borrowed(app, &mut driver, conn, Some(PATIENCE));
        assert!(!is_borrowed(&driver, conn) && !give_back(&mut driver, conn));
        assert!(driver.protocol.closed.is_empty(), "it was closed from this side");
        drop(driver);
        closes.unwrap().join().unwrap();
    });
}

#[test]
fn a_loop_that_keeps_reading_takes_a_connection_back_from_the_thread_that_has_it() {
    lending(|hub, accepted, app, conn| {
        let mut driver = app.shared.lock();
        assert!(borrow(&mut driver, conn));
        keep(&mut driver);
        assert!(!is_borrowed(&driver, conn) && !give_back(&mut driver, conn) && !borrow(&mut driver, conn));
        drop(driver);
        hub.act(|r| r.send(accepted, b"bytes"));
        app.received(conn, b"bytes");
    });
}

#[test]
fn a_connection_that_a_thread_reads_is_written_to_the_end() {
    const LEN: usize = 20 << 20;
    lending(|hub, accepted, app, conn| {
        hub.act(|r| r.open.get_mut(&accepted).unwrap().checked = Some(0));
        let mut driver = app.shared.lock();
        assert!(borrow(&mut driver, conn));
        driver.protocol.send(conn, &pattern(0)[..LEN]);
        driver.run_actions(now());
        drop(driver);
        hub.wait("all of it", |r| (r.open[&accepted].checked == Some(LEN)).then_some(()));
    });
}

#[test]
fn a_thread_that_reads_a_connection_in_the_handshake_has_written_what_waited_for_it() {
    sockets(|hub, app, url| {
        let waits = hub.shared.lock();
        let conn = app.dial(url);
        let mut driver = app.shared.lock();
        assert!(borrow(&mut driver, conn));
        driver.protocol.send(conn, b"bytes");
        driver.run_actions(now());
        drop(waits);
        let end = Instant::now() + PATIENCE;
        let came = || hub.shared.lock().protocol.open.values().any(|open| open.received == b"bytes");
        while !came() {
            assert!(Instant::now() < end, "waited for the bytes");
            read_borrowed(app, &mut driver, conn, Some(Duration::from_millis(10)));
        }
    });
}

/// Has a thread receive from the hub in turn until it keeps the connection while it is away. Returns how many bytes came.
fn go_away<'a>(hub: &Node, accepted: ConnId, app: &'a Node, conn: ConnId) -> (Guard<'a>, usize) {
    let (end, mut sent, mut driver) = (Instant::now() + PATIENCE, 0, app.shared.lock());
    // On a busy machine it comes back too late at first.
    while !driver.reader.is_away() {
        assert!(Instant::now() < end, "it is never expected back");
        MutexGuard::unlocked(&mut driver, || hub.act(|r| r.send(accepted, b"x")));
        sent += 1;
        let has_come = |driver: &mut Driver<Recorder>| (received(driver, conn) == sent).then_some(());
        assert_eq!(wait_reading(app, &mut driver, &mut Deadline::after(Some(PATIENCE)), has_come), Some(()));
    }
    (driver, sent)
}

fn received(driver: &Driver<Recorder>, conn: ConnId) -> usize {
    driver.protocol.open[&conn].received.len()
}

#[test]
fn what_comes_while_a_thread_is_away_is_read_by_the_loop_in_the_end() {
    lending(|hub, accepted, app, conn| {
        let (driver, came) = go_away(hub, accepted, app, conn);
        drop(driver);
        hub.act(|r| r.send(accepted, b"x"));
        app.received(conn, &b"x".repeat(came + 1));
        let driver = app.shared.lock();
        assert!(!driver.reader.is_lent() && driver.next_time().is_none(), "the loop has nothing to look at any more");
    });
}

#[test]
fn a_call_without_time_to_wait_finds_what_came_while_a_thread_is_away() {
    type Waits =
        fn(&Node, &mut Guard<'_>, &mut Deadline, &mut dyn FnMut(&mut Driver<Recorder>) -> Option<()>) -> Option<()>;
    let waits: [Waits; 2] = [
        |app, driver, at, look| wait(app, driver, at, look),
        |app, driver, at, look| wait_reading(app, driver, at, look),
    ];
    for wait in waits {
        lending(|hub, accepted, app, conn| {
            // The lock is held from here on, so that the loop does nothing.
            let (mut driver, came) = go_away(hub, accepted, app, conn);
            let end = Instant::now() + PATIENCE;
            hub.act(|r| r.send(accepted, b"x"));
            let mut has_come = |driver: &mut Driver<Recorder>| (received(driver, conn) > came).then_some(());
            while wait(app, &mut driver, &mut Deadline::after(Some(Duration::ZERO)), &mut has_come).is_none() {
                assert!(Instant::now() < end, "nobody reads it");
            }
        });
    }
}

/// Whether the descriptor for the program's own event loop is readable within this time.
fn is_readable(fd: RawFd, timeout: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one element, for the length of the call.
    (unsafe { libc::poll(&mut poll, 1, timeout.as_millis() as i32) }) == 1
}

/// The program's own event loop has found the descriptor readable, and takes what there is.
fn take(app: &Node, driver: &mut Guard<'_>) {
    assert_eq!(wait_reading(app, driver, &mut Deadline::after(Some(Duration::ZERO)), |_| None::<()>), None);
}

/// Has a program with an event loop of its own take what comes, after so many bytes, until the connection is kept for
/// it. Returns its descriptor, and how many bytes have come by then.
fn poll_until_away<'a>(
    hub: &Node,
    accepted: ConnId,
    app: &'a Node,
    conn: ConnId,
    mut sent: usize,
) -> (Guard<'a>, RawFd, usize) {
    let end = Instant::now() + PATIENCE;
    let fd = app.shared.lock().readiness().unwrap();
    loop {
        hub.act(|r| r.send(accepted, b"x"));
        sent += 1;
        app.received(conn, &b"x".repeat(sent));
        let mut driver = app.shared.lock();
        // As the app does when its loop has read something for the program.
        driver.set_ready(true);
        assert!(is_readable(fd, Duration::ZERO));
        take(app, &mut driver);
        if driver.reader.is_away() {
            return (driver, fd, sent);
        }
        assert!(Instant::now() < end, "it is never expected back");
    }
}

#[test]
fn a_program_with_an_event_loop_of_its_own_reads_what_its_descriptor_tells_of() {
    showing(|hub, accepted, app, conn| {
        // The lock is held from here on, so that the loop does nothing.
        let (mut driver, fd, mut came) = poll_until_away(hub, accepted, app, conn, 0);
        assert!(!is_readable(fd, Duration::ZERO));
        for _ in 0..10 {
            hub.act(|r| r.send(accepted, b"x"));
            came += 1;
            while received(&driver, conn) < came {
                assert!(is_readable(fd, PATIENCE));
                take(app, &mut driver);
            }
            assert!(driver.reader.is_away() && !is_readable(fd, Duration::ZERO));
        }
    });
}

#[test]
fn what_comes_while_such_a_program_stays_away_is_read_by_the_loop_and_the_end_of_the_connection_too() {
    showing(|hub, accepted, app, conn| {
        let (driver, fd, came) = poll_until_away(hub, accepted, app, conn, 0);
        drop(driver);
        hub.act(|r| r.send(accepted, b"x"));
        app.received(conn, &b"x".repeat(came + 1));
        assert!(!is_readable(fd, Duration::ZERO), "it does not watch any more");
        drop(poll_until_away(hub, accepted, app, conn, came + 1));
        hub.act(|r| r.close(accepted));
        app.closed(conn);
        assert!(!is_readable(fd, Duration::ZERO));
    });
}

#[test]
fn a_descriptor_that_is_made_while_a_thread_is_away_tells_of_what_comes() {
    showing(|hub, accepted, app, conn| {
        let (mut driver, came) = go_away(hub, accepted, app, conn);
        let fd = driver.readiness().unwrap();
        assert!(!is_readable(fd, Duration::ZERO));
        hub.act(|r| r.send(accepted, b"x"));
        while received(&driver, conn) == came {
            assert!(is_readable(fd, PATIENCE));
            take(app, &mut driver);
        }
    });
}

#[test]
fn a_program_with_an_event_loop_of_its_own_is_told_by_the_loop_of_what_comes_in_memory() {
    let (hub, app) = (Node::new(Backend::Best), Node::new(Backend::Best));
    let url = listen(&hub, "inproc://lending-with-a-descriptor");
    connected(&hub, &app, &url, |hub, accepted, app, conn| {
        let (driver, came) = go_away(hub, accepted, app, conn);
        drop(driver);
        app.shared.lock().readiness().unwrap();
        assert!(!app.shared.lock().reader.is_lent(), "nothing but the loop can tell it");
        for sent in came + 1..came + 10 {
            hub.act(|r| r.send(accepted, b"x"));
            app.received(conn, &b"x".repeat(sent));
            let mut driver = app.shared.lock();
            driver.set_ready(true);
            take(app, &mut driver);
        }
    });
}
