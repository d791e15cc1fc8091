//! Addresses, files of sockets, and what the system refuses.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::transport::Host;

#[test]
fn an_address_that_is_taken_is_in_use_and_free_again_afterwards() {
    let _no_children = FORKS.read();
    everywhere("taken", |url, backend| {
        let (hub, other) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        let address = Address::parse(&url).unwrap();
        let error = listen_at(&other.shared, &address, IPC_MODE).unwrap_err();
        assert_eq!(error.status(), Status::InUse);
        assert!(error.to_string().starts_with(&format!("address in use: {url}")), "{error}");
        other.dial(&url);
        drop(hub);
        assert_eq!(listen(&other, &url), url);
    });
}

#[test]
fn nobody_there_is_refused() {
    let _no_children = FORKS.read();
    for backend in BACKENDS {
        let app = Node::new(backend);
        // Bound, and nobody listens: nobody else gets it.
        let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = bound.local_addr().unwrap().as_socket().unwrap().port();
        for url in [format!("tcp://127.0.0.1:{port}"), "inproc://nobody".to_owned()] {
            let error = app.dial_error(&url);
            assert_eq!(error.status(), Status::Refused);
            assert_eq!(error.to_string(), format!("connection refused: {url}"));
        }
        let error = app.dial_error("ipc:///nonexistent/socket");
        assert_eq!(error.to_string(), "not found: ipc:///nonexistent/socket");
        for url in ["tcp://*:1", "ws://*:1/", "nonsense"] {
            assert_eq!(app.dial_error(url).status(), Status::Url);
        }
    }
}

#[test]
fn a_host_name_is_resolved_and_each_of_its_addresses_is_tried() {
    for backend in BACKENDS {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        // Where localhost has two addresses, only one of them answers.
        let url = listen(&hub, "tcp://127.0.0.1:0");
        let name = url.replace("127.0.0.1", "localhost");
        let conn = app.dial(&name);
        app.act(|r| r.send(conn, b"by name"));
        let (accepted, ..) = hub.opened(0);
        hub.received(accepted, b"by name");
        // Listening by name too.
        let second = Node::new(backend);
        let url = listen(&second, "tcp://localhost:0");
        assert!(!url.contains("localhost") && !url.ends_with(":0"), "{url}");
        app.act(|r| r.dial(9, &url));
        second.opened(0);
        // RFC 2606: never exists; and no name of a host, so that no server need be asked, which may not answer.
        let error = app.dial_error("tcp://-no-such-host.invalid:1");
        assert_eq!(error.status(), Status::Resolve);
        let begin = "host name could not be resolved: -no-such-host.invalid: ";
        assert!(error.to_string().starts_with(begin), "{error}");
    }
}

#[test]
fn every_interface_is_both_ip_versions() {
    for backend in BACKENDS {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, "tcp://*:0");
        assert!(url.starts_with("tcp://*:") && !url.ends_with(":0"), "{url}");
        app.dial(&url.replace('*', "127.0.0.1"));
        let (_, info, _) = hub.opened(0);
        assert!(info.from.starts_with("tcp://127.0.0.1:"), "{}", info.from);
        assert_eq!(info.host, Some(Ipv4Addr::LOCALHOST.into()), "IPv4 on a socket that is IPv6");
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            app.act(|r| r.dial(1, &url.replace('*', "[::1]")));
            assert!(hub.opened(1).1.from.starts_with("tcp://[::1]:"));
        }
    }
}

#[test]
fn who_is_accepted_over_ip_has_an_address_and_who_is_dialled_has_none() {
    let _no_children = FORKS.read();
    everywhere("hosts", |url, backend| {
        let (hub, app) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        app.dial(&url);
        let loopback: Option<IpAddr> = match Address::parse(&url).unwrap().host() {
            Some((Host::V4(ip), _)) => Some((*ip).into()),
            Some((Host::V6(ip), _)) => Some((*ip).into()),
            _ => None,
        };
        assert_eq!((hub.opened(0).1.host, app.opened(0).1.host), (loopback, None), "{url}");
    });
}

#[test]
fn an_ipc_socket_has_its_mode_and_is_removed_with_its_lock_file() {
    let directory = Directory::new();
    let path = directory.path("s");
    for mode in [0o600, 0o666, 0o660] {
        let node = Node::new(Backend::Best);
        listen_at(&node.shared, &Address::Ipc(path.clone()), mode).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        drop(node);
        assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 0);
    }
}

#[test]
fn a_stale_ipc_socket_is_replaced_and_nothing_else_is() {
    let _no_children = FORKS.read();
    let directory = Directory::new();
    let path = directory.path("s");
    let address = Address::Ipc(path.clone());
    let node = Node::new(Backend::Best);

    // Another program listens, without a lock file of ours.
    let foreign = UnixListener::bind(&path).unwrap();
    let error = listen_at(&node.shared, &address, IPC_MODE).unwrap_err();
    assert_eq!(error.to_string(), format!("address in use: {address}: another program has it"));
    // It dies and leaves its socket.
    drop(foreign);
    listen(&node, &address.to_string());
    assert!(UnixStream::connect(&path).is_ok());
    drop(node);

    // What is no socket stays, whatever it is.
    std::fs::write(&path, "precious").unwrap();
    let node = Node::new(Backend::Best);
    let error = listen_at(&node.shared, &address, IPC_MODE).unwrap_err();
    assert_eq!(error.to_string(), format!("address in use: {address}: it is not a socket"));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();

    // Somebody replaced our socket: theirs stays when we go.
    listen(&node, &address.to_string());
    std::fs::remove_file(&path).unwrap();
    let foreign = UnixListener::bind(&path).unwrap();
    drop(node);
    assert!(UnixStream::connect(&path).is_ok());
    drop(foreign);
}

#[test]
fn a_killed_holder_of_an_ipc_socket_gives_it_up() {
    let directory = Directory::new();
    let path = directory.path("s");
    let address = Address::Ipc(path.clone());
    let (mut ready, mut child_ready) = UnixStream::pair().unwrap();
    let child = Child::new(|| {
        let _listener = listener::Listener::bind(&address, IPC_MODE);
        let _ = child_ready.write_all(b"x");
        pause();
    });
    ready.read_exact(&mut [0]).unwrap();
    let node = Node::new(Backend::Best);
    let error = listen_at(&node.shared, &address, IPC_MODE).unwrap_err();
    assert_eq!(error.to_string(), format!("address in use: {address}: another listener holds its lock file"));
    drop(child);
    assert!(std::fs::metadata(&path).is_ok(), "the killed one leaves its socket");
    listen(&node, &address.to_string());
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn a_write_to_a_closed_socket_does_not_raise_sigpipe() {
    for url in ["tcp://127.0.0.1:0", "ipc"] {
        let directory = Directory::new();
        let url = if url == "ipc" { format!("ipc://{}", directory.path("s")) } else { url.to_owned() };
        let status = in_child(|| {
            // SAFETY: sets the default action, which ends the process.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let hub = Shared::new(Recorder::default(), Backend::Best).unwrap();
            let mut turns = Loop::new(&hub);
            let url = listen_at(&hub, &Address::parse(&url).unwrap(), IPC_MODE).unwrap();
            let peer: Box<dyn std::any::Any> = match Address::parse(&url).unwrap() {
                Address::Ipc(path) => Box::new(UnixStream::connect(path).unwrap()),
                _ => Box::new(std::net::TcpStream::connect(url.strip_prefix("tcp://").unwrap()).unwrap()),
            };
            while hub.lock().protocol.opened.is_empty() {
                turns.turn(Some(PATIENCE)).unwrap();
            }
            let (conn, ..) = hub.lock().protocol.opened[0];
            drop(peer);
            // Written without reading, until the socket says that nobody is there.
            let mut tries = 0;
            while hub.lock().protocol.open.contains_key(&conn) {
                let mut driver = hub.lock();
                driver.protocol.send(conn, &[0; 1000]);
                driver.run_actions(now());
                drop(driver);
                tries += 1;
                if tries > 10 {
                    turns.turn(Some(PATIENCE)).unwrap();
                }
            }
            assert_eq!(hub.lock().protocol.closed, [(conn, Closed::ByPeer)]);
        });
        assert_eq!(status, 0, "{url}");
    }
}

#[test]
fn running_out_of_descriptors_pauses_accepting_and_closes_nothing() {
    for backend in BACKENDS {
        let status = in_child(|| {
            let hub = Shared::new(Recorder::default(), backend).unwrap();
            let mut turns = Loop::new(&hub);
            let url = listen_at(&hub, &Address::parse("tcp://127.0.0.1:0").unwrap(), IPC_MODE).unwrap();
            let mut peer = std::net::TcpStream::connect(url.strip_prefix("tcp://").unwrap()).unwrap();
            peer.write_all(b"x").unwrap();
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is writable.
            unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
            // The lowest that is free; below it everything is in use. Not 0: `poll` refuses more than the limit.
            // SAFETY: no pointers; standard input stays open.
            let free = unsafe { libc::dup(0) };
            // SAFETY: just opened, ours alone.
            unsafe { libc::close(free) };
            let none = libc::rlimit { rlim_cur: free as libc::rlim_t, ..limit };
            // SAFETY: `none` is readable. Open descriptors stay open.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) };
            // The system may take its time to hand the connection on.
            let waits = (0..10).any(|_| {
                let begin = Instant::now();
                turns.turn(Some(Duration::from_millis(20))).unwrap();
                begin.elapsed() >= Duration::from_millis(20)
            });
            assert!(waits, "the loop spins");
            assert!(hub.lock().protocol.opened.is_empty());
            // SAFETY: `limit` is readable.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
            while hub.lock().protocol.open.values().all(|open| open.received.is_empty()) {
                turns.turn(Some(PATIENCE)).unwrap();
            }
        });
        assert_eq!(status, 0, "{backend:?}");
    }
}
