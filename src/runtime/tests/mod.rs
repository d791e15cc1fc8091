//! One suite for every transport and both pollers: two nodes with a small engine, each with its loop.

mod lending;
mod process;
mod serving;
mod sockets;
mod streams;

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, MutexGuard, RwLock, RwLockWriteGuard};

use super::address;
use super::conns::lending::Source;
use super::conns::Conns;
use super::deadline::Deadline;
use super::listeners::Service;
use super::reader::{read_borrowed, wait, wait_reading, Monitor, Reader};
use super::shared::Loop;
use super::thread::spawn;
use super::*;
use crate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol};
use crate::framing::{Framing, Room};
use crate::limits::IPC_MODE;
use crate::memory::Bytes;
use crate::time::MonoTime;
use crate::transport::tls::{Acceptor, Connector};
use crate::transport::{listener, Address, Backend};
use crate::{Error, Status};

/// Longer than anything here takes: waiting this long is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that records its input and echoes if asked to.
#[derive(Default)]
struct Recorder {
    echo: bool,
    /// Closes a connection from within the call that opens it.
    refuse: bool,
    /// Takes no bytes.
    full: bool,
    /// Every second time it is asked, there is room for so many bytes.
    room: usize,
    odd: Odd,
    opened: Vec<(ConnId, ConnInfo, Option<u64>)>,
    failed: Vec<(u64, Error)>,
    closed: Vec<(ConnId, Closed)>,
    open: HashMap<ConnId, Open>,
    /// What connections that the other side closed had been.
    past: HashMap<ConnId, Open>,
    closing: Option<ConnId>,
    actions: VecDeque<Action>,
    deadline: Option<MonoTime>,
    ticks: usize,
    /// What broke the contract of [`Protocol`].
    wrong: Vec<String>,
}

/// What engines seldom do.
#[derive(Default)]
struct Odd {
    /// How long it takes for bytes, each time.
    nap: Duration,
    /// Panics when it gets bytes.
    panics: bool,
    /// It has something for the thread of its loop when it gets bytes.
    tells: bool,
    /// It has something for that thread.
    news: bool,
}

#[derive(Default)]
struct Open {
    received: Vec<u8>,
    /// Received bytes that were checked against [`pattern`] and not kept.
    checked: Option<usize>,
    /// What it gives as room, how often it was asked for that, and how many bytes came there.
    place: Bytes,
    asked: usize,
    placed: usize,
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
        assert!(!self.odd.panics, "on purpose");
        std::thread::sleep(self.odd.nap);
        self.odd.news |= self.odd.tells;
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

    fn room(&mut self, _: Now, conn: ConnId) -> Option<Room<'_>> {
        let (most, open) = (self.room, self.open.get_mut(&conn)?);
        open.asked += 1;
        open.place.reserve(most).unwrap();
        (most > 0 && open.asked % 2 == 0).then_some(Room { body: &mut open.place, most })
    }

    fn placed(&mut self, now: Now, conn: ConnId, n: usize) {
        let (room, open) = (self.room, self.open.get_mut(&conn).expect("an open connection"));
        let place = std::mem::take(&mut open.place);
        open.placed += n;
        if place.len() != n || n > room {
            self.wrong.push(format!("{n} bytes placed, {} are there, of {room}", place.len()));
        }
        self.bytes(now, conn, &place);
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

    fn deadline(&self) -> Option<MonoTime> {
        self.deadline
    }

    fn has_news(&self) -> bool {
        self.odd.news
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
        let shared = Arc::new(Shared::new(recorder, backend).unwrap());
        shared.lock().set_connector(tls().map(|(_, connector)| connector));
        let changed = Arc::new(Condvar::new());
        let thread = {
            let (shared, changed) = (shared.clone(), changed.clone());
            spawn("ns-test", move || {
                let ran = shared.run(|| {
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
        match self.wait("the close", |r| r.closed.iter().find(|(c, _)| *c == conn).map(|(_, why)| why.clone())) {
            // Before the two were sure of each other.
            Closed::Failed(error) if error.to_string().contains("was closed in the TLS handshake") => Closed::ByPeer,
            why => why,
        }
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
    // A child would have the port for a while longer. The caller may have done the same.
    let _no_children = FORKS.read_recursive();
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
        if cfg!(feature = "tls") {
            urls.push(format!("tls+tcp://127.0.0.1:{}", free_port("127.0.0.1")));
        }
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
    listen_at(&node.shared, &Address::parse(url).unwrap(), IPC_MODE).unwrap()
}

fn listen_at(shared: &Shared<Recorder>, address: &Address, mode: u32) -> Result<String, Error> {
    let tls = tls().map(|(acceptor, _)| acceptor).filter(|_| address.is_tls());
    shared.listen(address, mode, Service { tls, ..Service::default() })
}

/// Both sides of TLS, for this machine.
#[cfg(feature = "tls")]
fn tls() -> Option<(Acceptor, Connector)> {
    static MADE: OnceLock<(Acceptor, Connector)> = OnceLock::new();
    let make = || {
        let certificates = crate::transport::tls::tests::certificates::Certificates::new();
        let files = certificates.local("hub");
        let connector = Connector::new(Some(&certificates.authority()), None).unwrap();
        (Acceptor::load(&files.chain, &files.key).unwrap(), connector)
    };
    Some(MADE.get_or_init(make).clone())
}

#[cfg(not(feature = "tls"))]
fn tls() -> Option<(Acceptor, Connector)> {
    None
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
