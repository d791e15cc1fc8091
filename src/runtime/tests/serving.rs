//! Threads that send something to an engine in their own process, and run its turn.

use super::*;

/// A hub whose loop runs only when the test has it run, and an app that is connected to it in memory.
fn serving(name: &str, test: impl Fn(&Arc<Shared<Recorder>>, &mut Loop<Recorder>, ConnId, &Node, ConnId)) {
    let hub = Arc::new(Shared::new(Recorder::default(), Backend::Best).unwrap());
    hub.serve_in_senders();
    let mut turns = Loop::new(&hub);
    let url = listen_at(&hub, &Address::parse(&format!("inproc://serving-{name}")).unwrap(), IPC_MODE).unwrap();
    let app = Node::new(Backend::Best);
    let conn = app.dial(&url);
    while hub.lock().protocol.opened.is_empty() {
        turns.turn(Some(PATIENCE)).unwrap();
    }
    let (accepted, ..) = hub.lock().protocol.opened[0];
    // Reads nothing, and waits for the app.
    turns.turn(Some(Duration::ZERO)).unwrap();
    test(&hub, &mut turns, accepted, &app, conn);
}

/// As a program does that sends in its own thread.
fn send(app: &Node, conn: ConnId, bytes: &[u8]) {
    let mut driver = app.shared.lock();
    driver.protocol.send(conn, bytes);
    let notices = driver.run_actions_and_tell_later(now());
    drop(driver);
    notices.serve();
}

fn received(hub: &Shared<Recorder>, conn: ConnId) -> Vec<u8> {
    hub.lock().protocol.open[&conn].received.clone()
}

#[test]
fn a_thread_that_sends_runs_the_turn_of_a_loop_that_sleeps_and_gets_the_answer() {
    serving("echo", |hub, _, _, app, conn| {
        hub.lock().protocol.echo = true;
        send(app, conn, b"question");
        app.received(conn, b"question");
    });
}

#[test]
fn what_is_sent_while_another_thread_has_the_lock_is_left_to_the_loop_which_is_woken() {
    serving("busy", |hub, turns, accepted, app, conn| {
        let held = hub.lock();
        send(app, conn, b"bytes");
        drop(held);
        assert!(received(hub, accepted).is_empty());
        turns.turn(Some(PATIENCE)).unwrap();
        assert_eq!(received(hub, accepted), b"bytes");
        // And later ones are not.
        send(app, conn, b" more");
        assert_eq!(received(hub, accepted), b"bytes more");
    });
}

#[test]
fn what_a_thread_sends_in_the_loops_place_and_what_the_loop_reads_stays_in_order() {
    serving("order", |hub, turns, accepted, app, conn| {
        let all: Vec<u8> = (0..200).collect();
        for byte in &all {
            match byte % 3 {
                0 => app.act(|r| r.send(conn, &[*byte])),
                1 => send(app, conn, &[*byte]),
                _ => {
                    let held = hub.lock();
                    send(app, conn, &[*byte]);
                    drop(held);
                    turns.turn(Some(Duration::ZERO)).unwrap();
                }
            }
        }
        turns.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(received(hub, accepted), all);
    });
}

#[test]
fn a_loop_is_woken_for_what_its_thread_alone_tells_and_for_an_earlier_deadline() {
    serving("news", |hub, turns, accepted, app, conn| {
        let began = Instant::now();
        hub.lock().protocol.odd.tells = true;
        send(app, conn, b"x");
        assert_eq!(received(hub, accepted), b"x");
        turns.turn(Some(PATIENCE)).unwrap();
        // Until that has been told, its own thread goes on.
        send(app, conn, b"w");
        assert_eq!(received(hub, accepted), b"x");
        turns.turn(Some(PATIENCE)).unwrap();
        assert_eq!(received(hub, accepted), b"xw");
        let mut driver = hub.lock();
        (driver.protocol.odd.tells, driver.protocol.odd.news) = (false, false);
        driver.protocol.deadline = Some(now().mono + PATIENCE / 10);
        drop(driver);
        send(app, conn, b"y");
        turns.turn(Some(PATIENCE)).unwrap();
        assert!(began.elapsed() < PATIENCE / 20, "it was not woken");
    });
}

#[test]
fn a_loop_that_is_behind_does_it_all() {
    serving("behind", |hub, turns, accepted, app, conn| {
        hub.lock().conns.wait_to_read(accepted.0);
        send(app, conn, b"bytes");
        assert!(received(hub, accepted).is_empty());
        turns.turn(Some(PATIENCE)).unwrap();
        assert_eq!(received(hub, accepted), b"bytes");
    });
}

#[test]
fn an_engine_that_panics_in_a_senders_thread_ends_its_own_loop_and_nothing_else() {
    serving("panic", |hub, turns, accepted, app, conn| {
        hub.lock().protocol.odd.panics = true;
        send(app, conn, b"bytes");
        hub.lock().protocol.odd.panics = false;
        send(app, conn, b"more");
        assert!(received(hub, accepted).is_empty(), "it runs no more");
        assert_eq!(turns.turn(Some(PATIENCE)).unwrap_err().status(), Status::Internal);
    });
}

#[test]
fn a_loop_that_has_stopped_is_not_run_and_one_that_is_gone_neither() {
    serving("stopped", |hub, _, accepted, app, conn| {
        hub.stop();
        send(app, conn, b"bytes");
        assert!(received(hub, accepted).is_empty());
        hub.lock().close_all();
        app.closed(conn);
    });
    let (hub, app) = (Arc::new(Shared::new(Recorder::default(), Backend::Best).unwrap()), Node::new(Backend::Best));
    hub.serve_in_senders();
    let url = listen_at(&hub, &Address::parse("inproc://serving-gone").unwrap(), IPC_MODE).unwrap();
    let conn = app.dial(&url);
    send(&app, conn, b"bytes");
    drop(hub);
    app.closed(conn);
}

#[test]
fn a_connection_that_ends_in_a_turn_of_its_sender_is_closed_for_it() {
    serving("ends", |hub, _, accepted, app, conn| {
        let mut driver = hub.lock();
        driver.protocol.close(accepted);
        drop(driver);
        send(app, conn, b"bytes");
        app.closed(conn);
        assert!(hub.lock().protocol.wrong.is_empty());
    });
}
