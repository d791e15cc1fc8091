//! Forks and signals.

use super::*;

#[test]
fn a_child_that_abandons_what_it_inherited_takes_nothing_from_its_parent() {
    everywhere("fork", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        let conn = app.dial(&url);
        let (accepted, ..) = hub.opened(0);
        let status = in_child(|| {
            assert!(hub.shared.forked() && app.shared.forked());
            hub.shared.wake();
            hub.shared.abandon();
            app.shared.abandon();
            // A new handle works here, under the same in-memory name too.
            let own = Shared::new(Recorder::default(), backend).unwrap();
            let mut turns = Loop::new(&own);
            let again = Address::parse("inproc://fork-child").unwrap();
            listen_at(&own, &again, IPC_MODE).unwrap();
            if let Ok(Address::Inproc(_)) = Address::parse(&url) {
                listen_at(&own, &Address::parse(&url).unwrap(), IPC_MODE).unwrap();
            }
            own.lock().protocol.dial(1, "inproc://fork-child");
            own.wake();
            while own.lock().protocol.opened.len() < 2 {
                turns.turn(Some(PATIENCE)).unwrap();
            }
        });
        assert_eq!(status, 0);
        assert!(!hub.shared.forked());
        app.act(|r| r.send(conn, b"still here"));
        hub.received(accepted, b"still here");
        let third = Node::new(backend);
        third.dial(&url);
    });
}

#[test]
fn a_close_is_one_though_a_child_has_copies_of_the_sockets() {
    everywhere("copies", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let real = listen(&hub, url);
        let conn = app.dial(&real);
        hub.opened(0);
        let child = Child::new(pause);
        drop(hub);
        assert_eq!(app.closed(conn), Closed::ByPeer);
        let error = app.dial_error(&real);
        assert!(matches!(error.status(), Status::Refused | Status::NotFound), "{error}");
        // An abstract name is taken as long as anybody has a copy.
        if !real.starts_with("ipc://@") {
            let hub = Node::new(backend);
            assert_eq!(listen(&hub, &real), real);
        }
        drop(child);
    });
}

#[test]
fn library_threads_block_all_signals_and_their_creator_none() {
    fn blocked() -> bool {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: without a new set the call fills in the present one.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), set.as_mut_ptr());
            libc::sigismember(set.as_ptr(), libc::SIGTERM) == 1
        }
    }
    assert!(spawn("ns-test", blocked).unwrap().join().unwrap());
    assert!(!blocked());
}
