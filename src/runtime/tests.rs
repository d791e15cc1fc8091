//! One suite for every transport and both pollers: two nodes with a small engine, each with its loop.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, MutexGuard, RwLock, RwLockWriteGuard};

use super::address;
use super::conns::Conns;
use super::reader::{read_borrowed, Monitor, Reader};
use super::shared::Loop;
use super::thread::spawn;
use super::*;
use crate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use crate::framing::Framing;
use crate::limits::IPC_MODE;
use crate::transport::{listener, Address, Backend};
use crate::{Error, Status};

/// Longer than anything here takes: waiting this long is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that records what it is told and echoes if asked to.
#[derive(Default)]
struct Recorder {
    echo: bool,
    /// Closes a connection from within the call that opens it.
    refuse: bool,
    /// Takes no bytes.
    full: bool,
    opened: Vec<(ConnId, ConnInfo, Option<u64>)>,
    failed: Vec<(u64, Error)>,
    closed: Vec<(ConnId, Closed)>,
    open: HashMap<ConnId, Open>,
    /// What connections that the other side closed had been.
    past: HashMap<ConnId, Open>,
    closing: Option<ConnId>,
    actions: VecDeque<Action>,
    deadline: Option<u64>,
    ticks: usize,
    /// What broke the contract of [`Protocol`].
    wrong: Vec<String>,
}

#[derive(Default)]
struct Open {
    received: Vec<u8>,
    /// Received bytes that were checked against [`pattern`] and not kept.
    checked: Option<usize>,
    queue: VecDeque<u8>,
    gathered: usize,
    writes: usize,
    flush_asked: bool,
}

/// The longest of the long streams, in bytes.
const LONGEST: usize = 64 << 20;

/// The bytes of a long stream from this place on; they do not repeat at any power of two.
fn pattern(at: usize) -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    &BYTES.get_or_init(|| (0..LONGEST).map(|at| (at % 251) as u8 ^ (at / 65_521) as u8).collect())[at..]
}

impl Recorder {
    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let open = self.open.get_mut(&conn).expect("an open connection");
        open.queue.extend(bytes);
        if !std::mem::replace(&mut open.flush_asked, true) {
            self.actions.push_back(Action::Flush(conn));
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.actions.push_back(Action::Close(conn));
    }

    fn dial(&mut self, token: u64, url: &str) {
        self.actions.push_back(Action::Dial { token, url: url.to_owned() });
    }
}

impl Protocol for Recorder {
    fn opened(&mut self, _: Now, conn: ConnId, info: ConnInfo, token: Option<u64>) {
        if self.opened.iter().any(|(known, _, _)| *known == conn) {
            self.wrong.push(format!("{conn:?} opened twice"));
        }
        self.opened.push((conn, info, token));
        self.open.insert(conn, Open::default());
        if self.refuse {
            self.close(conn);
        }
    }

    fn dial_failed(&mut self, _: Now, token: u64, error: Error) {
        self.failed.push((token, error));
    }

    fn bytes(&mut self, _: Now, conn: ConnId, input: &[u8]) {
        match self.open.get_mut(&conn) {
            None => self.wrong.push(format!("bytes of {conn:?}, which is not open")),
            Some(Open { checked: Some(checked), .. }) => {
                if !pattern(*checked).starts_with(input) {
                    self.wrong.push(format!("{} bytes differ after {checked}", input.len()));
                }
                *checked += input.len();
            }
            Some(open) if self.echo => {
                open.received.clear();
                self.send(conn, input);
            }
            Some(open) => open.received.extend_from_slice(input),
        }
    }

    fn reads(&self, _: ConnId) -> bool {
        !self.full
    }

    fn closed(&mut self, _: Now, conn: ConnId, why: Closed) {
        match self.open.remove(&conn) {
            Some(open) => drop(self.past.insert(conn, open)),
            None => self.wrong.push(format!("{conn:?} closed, which is not open")),
        }
        self.closed.push((conn, why));
    }

    fn gather<'a>(&'a mut self, _: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>) {
        let Some(open) = self.open.get_mut(&conn) else {
            self.wrong.push(format!("gather for {conn:?}, which is not open"));
            return;
        };
        open.flush_asked = false;
        // Small and many, so that writes end inside of them.
        let (a, b) = open.queue.as_slices();
        let before = slices.len();
        slices.extend(a.chunks(10_007).chain(b.chunks(4_099)).take(100).map(IoSlice::new));
        open.gathered = slices[before..].iter().map(|slice| slice.len()).sum();
    }

    fn wrote(&mut self, _: Now, conn: ConnId, n: usize) -> bool {
        let open = self.open.get_mut(&conn).expect("an open connection");
        if n > open.gathered {
            self.wrong.push(format!("wrote {n} of {}", open.gathered));
        }
        open.writes += 1;
        open.queue.drain(..n);
        !open.queue.is_empty()
    }

    fn next_action(&mut self) -> Option<Action> {
        // Between its close and the next action the driver may write what is left, and nothing after that.
        if let Some(conn) = self.closing.take() {
            self.open.remove(&conn);
        }
        let action = self.actions.pop_front();
        if let Some(Action::Close(conn)) = action {
            self.closing = Some(conn);
        }
        action
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    fn tick(&mut self, now: Now) {
        if self.deadline.is_none_or(|deadline| deadline > now.mono) {
            self.wrong.push("tick before its time".to_owned());
        }
        self.deadline = None;
        self.ticks += 1;
    }
}

/// A driver with its loop's thread.
struct Node {
    shared: Arc<Shared<Recorder>>,
    changed: Arc<Condvar>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn new(backend: Backend) -> Node {
        Node::with(backend, Recorder::default())
    }

    fn echo(backend: Backend) -> Node {
        Node::with(backend, Recorder { echo: true, ..Recorder::default() })
    }

    fn with(backend: Backend, recorder: Recorder) -> Node {
        let shared = Shared::new(recorder, backend).unwrap();
        let changed = Arc::new(Condvar::new());
        let thread = {
            let (shared, changed) = (shared.clone(), changed.clone());
            spawn("ns-test", move || {
                let ran = shared.run(|_| {
                    changed.notify_all();
                    None
                });
                ran.unwrap();
            })
        };
        Node { shared, changed, thread: Some(thread.unwrap()) }
    }

    /// Calls the engine and writes inline.
    fn act<T>(&self, f: impl FnOnce(&mut Recorder) -> T) -> T {
        let mut driver = self.shared.lock();
        let result = f(&mut driver.protocol);
        driver.run_actions(now());
        result
    }

    /// Calls the engine and leaves the writing to the loop.
    fn act_later<T>(&self, f: impl FnOnce(&mut Recorder) -> T) -> T {
        let result = f(&mut self.shared.lock().protocol);
        self.shared.wake();
        result
    }

    fn wait<T>(&self, what: &str, mut f: impl FnMut(&mut Recorder) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut driver = self.shared.lock();
        loop {
            if let Some(found) = f(&mut driver.protocol) {
                return found;
            }
            assert!(driver.protocol.wrong.is_empty(), "{:?}", driver.protocol.wrong);
            assert!(!self.changed.wait_until(&mut driver, end).timed_out(), "waited for {what}");
        }
    }

    fn opened(&self, at: usize) -> (ConnId, ConnInfo, Option<u64>) {
        self.wait("a connection", |r| r.opened.get(at).cloned())
    }

    fn dial(&self, url: &str) -> ConnId {
        self.act(|r| r.dial(77, url));
        self.wait("the dial", |r| match (r.opened.last(), r.failed.last()) {
            (_, Some((_, error))) => panic!("{error}"),
            (Some((conn, _, token)), _) => {
                assert!(*token == Some(77));
                Some(*conn)
            }
            _ => None,
        })
    }

    fn dial_error(&self, url: &str) -> Error {
        let before = self.shared.lock().protocol.failed.len();
        self.act(|r| r.dial(5, url));
        self.wait("the dial to fail", |r| r.failed.get(before).cloned()).1
    }

    fn received(&self, conn: ConnId, bytes: &[u8]) {
        self.wait("bytes", |r| (r.open.get(&conn)?.received.len() >= bytes.len()).then_some(()));
        assert_eq!(self.shared.lock().protocol.open[&conn].received, bytes);
    }

    fn closed(&self, conn: ConnId) -> Closed {
        self.wait("the close", |r| r.closed.iter().find(|(c, _)| *c == conn).map(|(_, why)| why.clone()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.stop();
        let result = self.thread.take().map(|thread| thread.join());
        if !std::thread::panicking() {
            assert!(matches!(result, Some(Ok(()))), "the loop panicked");
            let driver = self.shared.lock();
            assert!(driver.protocol.wrong.is_empty(), "{:?}", driver.protocol.wrong);
        }
    }
}

/// A directory of this test's own.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ns-unit-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Short enough for the names of sockets.
        let above = Some(std::env::temp_dir()).filter(|dir| dir.as_os_str().len() <= 60);
        let path = above.unwrap_or_else(|| "/tmp".into()).join(name);
        // Left behind by one that was killed and had the same process ID.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const BACKENDS: [Backend; 2] = [Backend::Best, Backend::Poll];

/// A port that is free and below those that the system gives away: nobody gets it while a test does not listen there.
fn free_port(host: &str) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (n % 20_000) as u16;
        if std::net::TcpListener::bind((host, port)).is_ok() {
            return port;
        }
    }
}

/// Runs `test` with a URL to listen on, for every transport and both pollers.
fn everywhere(name: &str, test: impl Fn(&str, Backend)) {
    for backend in BACKENDS {
        let directory = Directory::new();
        let mut urls = vec![
            format!("tcp://127.0.0.1:{}", free_port("127.0.0.1")),
            format!("ipc://{}", directory.path("s")),
            format!("inproc://{name}-{backend:?}"),
        ];
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            urls.push(format!("tcp://[::1]:{}", free_port("::1")));
        }
        if cfg!(any(target_os = "linux", target_os = "android")) {
            urls.push(format!("ipc://@{name}-{backend:?}-{}", std::process::id()));
        }
        for url in urls {
            eprintln!("{name}: {url}, {backend:?}");
            test(&url, backend);
        }
    }
}

fn listen(node: &Node, url: &str) -> String {
    node.shared.listen(&Address::parse(url).unwrap(), IPC_MODE).unwrap()
}

/// Held for reading by tests that a child with copies of their descriptors would disturb.
pub(crate) static FORKS: RwLock<()> = RwLock::new(());

/// A child process, which has ended when this is dropped.
struct Child {
    pid: libc::pid_t,
    status: Option<libc::c_int>,
    _alone: RwLockWriteGuard<'static, ()>,
}

impl Child {
    fn new(f: impl FnOnce()) -> Child {
        let alone = FORKS.write();
        // SAFETY: the child uses what a child of a process with threads may use of this system, and ends with _exit.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(result.is_err())) };
        }
        Child { pid, status: None, _alone: alone }
    }

    /// Waits for its end; 0 if `f` returned.
    fn status(&mut self) -> libc::c_int {
        let pid = self.pid;
        *self.status.get_or_insert_with(|| {
            let mut status = 0;
            // SAFETY: `status` is writable, and `pid` our child.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            status
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            // SAFETY: our child, which was not waited for.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            self.status();
        }
    }
}

/// Runs `f` in a child process; 0 if it returned.
fn in_child(f: impl FnOnce()) -> libc::c_int {
    Child::new(f).status()
}

/// Waits to be killed.
fn pause() {
    loop {
        // SAFETY: no pointers.
        unsafe { libc::pause() };
    }
}

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
        assert_eq!(framing, address::framing(&Address::parse(&url).unwrap()));
        assert_eq!(framing, info.framing);
        match framing {
            Framing::Tcp => assert!(info.from.starts_with("tcp://"), "{}", info.from),
            Framing::Ipc if cfg!(any(target_os = "linux", target_os = "android", target_vendor = "apple")) => {
                assert_eq!(info.from, format!("pid {}", std::process::id()));
            }
            Framing::Ipc => assert_eq!(info.from, url),
            Framing::Inproc => assert_eq!(info.from, url),
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
        let url = shared.listen(&Address::parse(url).unwrap(), IPC_MODE).unwrap();
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
fn an_address_that_is_taken_is_in_use_and_free_again_afterwards() {
    let _no_children = FORKS.read();
    everywhere("taken", |url, backend| {
        let (hub, other) = (Node::new(backend), Node::new(backend));
        let url = listen(&hub, url);
        let address = Address::parse(&url).unwrap();
        let error = other.shared.listen(&address, IPC_MODE).unwrap_err();
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
        for (url, status) in
            [("tcp://*:1", Status::Url), ("nonsense", Status::Url), ("ws://127.0.0.1:1/", Status::Unsupported)]
        {
            assert_eq!(app.dial_error(url).status(), status);
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
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            app.act(|r| r.dial(1, &url.replace('*', "[::1]")));
            assert!(hub.opened(1).1.from.starts_with("tcp://[::1]:"));
        }
    }
}

#[test]
fn a_tick_comes_when_its_time_has_come_also_when_another_thread_sets_it() {
    for backend in BACKENDS {
        let node = Node::new(backend);
        let begin = Instant::now();
        // The loop sleeps without a deadline; acting without bytes or connections must still reach it.
        node.act(|r| r.deadline = Some(now().mono + 30_000_000));
        node.wait("the tick", |r| (r.ticks == 1).then_some(()));
        assert!(begin.elapsed() >= Duration::from_millis(30));
    }
}

#[test]
fn an_idle_loop_does_not_turn() {
    for backend in BACKENDS {
        let shared = Shared::new(Recorder::default(), backend).unwrap();
        let mut turns = Loop::new(&shared);
        let url = shared.listen(&Address::parse("tcp://127.0.0.1:0").unwrap(), IPC_MODE).unwrap();
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
        let url = hub.listen(&Address::parse(url).unwrap(), IPC_MODE).unwrap();
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

/// Two nodes on a transport whose connections may be read by a thread: the accepting one with its connection, and the
/// other with its own.
fn lending(test: impl Fn(&Node, ConnId, &Node, ConnId)) {
    let directory = Directory::new();
    for url in ["tcp://127.0.0.1:0".to_owned(), format!("ipc://{}", directory.path("s"))] {
        let (hub, app) = (Node::new(Backend::Best), Node::new(Backend::Best));
        if !hub.shared.lock().reactor.poller.tells_once() {
            return;
        }
        let url = listen(&hub, &url);
        let conn = app.dial(&url);
        let (accepted, ..) = hub.opened(0);
        test(&hub, accepted, &app, conn);
    }
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
    reader.give_back(conns, conn)
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
        driver.conns.repeat(conn.0);
        // More is to be read or written, which only the loop can wait for.
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
fn an_ipc_socket_has_its_mode_and_is_removed_with_its_lock_file() {
    let directory = Directory::new();
    let path = directory.path("s");
    for mode in [0o600, 0o666, 0o660] {
        let node = Node::new(Backend::Best);
        node.shared.listen(&Address::Ipc(path.clone()), mode).unwrap();
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
    let error = node.shared.listen(&address, IPC_MODE).unwrap_err();
    assert_eq!(error.to_string(), format!("address in use: {address}: another program has it"));
    // It dies and leaves its socket.
    drop(foreign);
    listen(&node, &address.to_string());
    assert!(UnixStream::connect(&path).is_ok());
    drop(node);

    // What is no socket stays, whatever it is.
    std::fs::write(&path, "precious").unwrap();
    let node = Node::new(Backend::Best);
    let error = node.shared.listen(&address, IPC_MODE).unwrap_err();
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
    let error = node.shared.listen(&address, IPC_MODE).unwrap_err();
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
            let url = hub.listen(&Address::parse(&url).unwrap(), IPC_MODE).unwrap();
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
            let url = hub.listen(&Address::parse("tcp://127.0.0.1:0").unwrap(), IPC_MODE).unwrap();
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
            own.listen(&again, IPC_MODE).unwrap();
            if let Ok(Address::Inproc(_)) = Address::parse(&url) {
                own.listen(&Address::parse(&url).unwrap(), IPC_MODE).unwrap();
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
