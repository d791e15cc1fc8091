//! The connections and listeners of one handle, and the loop that moves their bytes.
//!
//! [`Shared`] keeps a [`Driver`] behind a lock. Whoever holds the lock may call the engine, and then either
//! [`Driver::run_actions`], which writes at once in the calling thread, or [`Shared::wake`], which leaves that to the
//! loop. The loop waits without the lock.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use socket2::SockAddr;

use super::address::framing;
use super::clock::now;
use super::thread::spawn;
use super::token::{Left, Token};
use crate::engine::{Action, Closed, ConnId, ConnInfo, Gateway, Now, Protocol};
use crate::framing::Framing;
use crate::limits;
use crate::repeats::Repeats;
use crate::transport::fork::Birth;
use crate::transport::inproc;
use crate::transport::listener::{self, Accept, Listener};
use crate::transport::mailbox::{Letter, Mailbox};
use crate::transport::poller::{Backend, Event, Interest, Poller};
use crate::transport::sleeper::{Sleeper, Woken};
use crate::transport::socket::{Connect, Stream};
use crate::transport::{Address, Carrier, Host, Ready};
use crate::{Error, Result, Status};

/// What one read takes, in bytes.
const READ: usize = 64 << 10;
/// What is allocated for reading, in bytes: so much that malloc gives it back when the loop is idle. Only what is read
/// into takes memory.
const READ_BUFFER: usize = 256 << 10;
/// What one connection may read in a round, in bytes, before it is the others' turn.
const READ_ROUND: usize = 1 << 20;
/// And how long that may take, in nanoseconds: a mebibyte of small messages takes 50 ms and more.
const READ_TIME: u64 = 2_000_000;
/// What one connection may write in a round, in bytes, before it is the others' turn.
const WRITE_ROUND: usize = 4 << 20;
/// What a round reads, in bytes, before what came of it is written, so that it does not pile up in outboxes.
const FLUSH_AFTER: usize = 256 << 10;
/// Connections that one listener accepts in a round.
const ACCEPT_ROUND: usize = 64;
/// How long a closed TCP connection waits for the other side to have read what it was sent.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().min(u128::from(u64::MAX)) as u64
}

/// What carries the bytes of a connection.
enum Link {
    Socket(Stream),
    Inproc(inproc::End),
    Carried(Box<dyn Carrier>),
}

impl Link {
    fn is_socket(&self) -> bool {
        matches!(self, Link::Socket(_))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Socket(stream) => stream.read(buffer),
            Link::Inproc(end) => end.read(buffer),
            Link::Carried(carrier) => carrier.read(buffer),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Link::Socket(stream) => stream.write(slices),
            Link::Inproc(end) => end.write(slices),
            Link::Carried(carrier) => carrier.write(slices),
        }
    }
}

struct Conn {
    link: Link,
    /// The other side in words, for errors.
    from: String,
    /// The last write did not take everything: wait until it can go on.
    blocked: bool,
    /// Whether the poller tells when it can.
    watched: bool,
    /// Writing failed since the other side is gone: read what it said before.
    broken: bool,
    /// Whether it stands in [`Driver::again`].
    again: bool,
    /// The engine takes no bytes for now; it stands in [`Driver::paused`].
    paused: bool,
    /// Not read by the loop: see [`Driver::borrow`].
    lent: bool,
}

impl Conn {
    /// What the poller is to tell of it. That the other side is gone it tells in any case.
    fn interest(&self) -> Interest {
        Interest { read: !self.paused && !self.lent, write: self.watched }
    }

    fn watch(&self, poller: &Poller, key: u64) -> io::Result<()> {
        match &self.link {
            // Once, or the loop would be told of a dead connection until the thread that reads it has heard too.
            Link::Socket(stream) if self.lent => poller.set_once(stream.as_raw_fd(), key, self.interest()),
            Link::Socket(stream) => poller.set(stream.as_raw_fd(), key, self.interest()),
            Link::Inproc(_) | Link::Carried(_) => Ok(()),
        }
    }
}

/// A connection that is being made.
struct Dial {
    token: u64,
    address: Address,
    /// What is still to be tried, the next one last.
    left: Vec<SockAddr>,
    running: Option<Stream>,
    failed: Option<Error>,
    deadline: Option<u64>,
}

/// How a connection came about.
enum Origin {
    /// It answers the [`Action::Dial`] with this token.
    Dialled(u64),
    Accepted(Option<Gateway>),
}

enum Listening {
    /// For programs that speak BUS, or of a gateway.
    Socket(Listener, Option<Gateway>),
    Inproc {
        name: String,
        _listener: inproc::Listener,
    },
}

enum Entry {
    Conn(Conn),
    Listening(Listening),
    Dial(Box<Dial>),
    /// Closed for the engine; reads to the end, so that the other side gets what it was sent.
    Closing(Stream, u64),
}

/// What is logged of strangers and of a lack of descriptors: not a line for each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Accepting pauses.
    Pause,
    /// Somebody may not connect.
    Denied,
    /// A connection cannot be watched.
    Unwatched,
}

/// The key of the timer for [`Driver::troubles`]; no entry has it.
const TROUBLES: u64 = 0;

/// An engine with its connections and listeners.
pub struct Driver<P> {
    /// The engine. After calls to it: [`Driver::run_actions`], or [`Shared::wake`].
    pub protocol: P,
    entries: HashMap<u64, Entry>,
    /// Names connections, dials and listeners alike; never used twice.
    next_key: u64,
    pub(super) poller: Arc<Poller>,
    mailbox: Arc<Mailbox>,
    /// Connections that have more to read or write than one round allows.
    again: Vec<u64>,
    /// Connections whose bytes the engine does not take for now.
    paused: Vec<u64>,
    timers: BTreeSet<(u64, u64)>,
    troubles: Repeats<Trouble>,
    /// Until when the loop sleeps if nothing happens; none while it runs.
    sleeps: Option<Sleep>,
    /// Kept for its allocation.
    slices: Vec<IoSlice<'static>>,
    /// What reads go through, whoever reads.
    buffer: Vec<u8>,
    /// Who reads the connection `lent`, which is [`Conn::lent`] while it is not the loop.
    token: Token,
    pub(super) lent: Option<ConnId>,
    /// What a thread that reads sleeps on; made for the first one.
    sleeper: Option<Arc<Sleeper>>,
    birth: Birth,
}

#[derive(Clone, Copy)]
struct Sleep {
    until: Option<u64>,
}

/// The empty vector `slices` for another lifetime, with its allocation.
fn recycle<'a>(mut slices: Vec<IoSlice<'_>>) -> Vec<IoSlice<'a>> {
    slices.clear();
    slices.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}

/// Whether the other side closed the connection, as opposed to a failure on the way.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected)
}

/// How far a flush came.
enum Flushed {
    /// Everything is written, or will be once the poller says so.
    Done,
    /// The round is over.
    More,
    Gone,
    Failed(io::Error),
}

impl<P: Protocol> Driver<P> {
    fn new(protocol: P, poller: Arc<Poller>) -> Driver<P> {
        Driver {
            protocol,
            entries: HashMap::new(),
            next_key: 0,
            mailbox: Arc::new(Mailbox::new(poller.clone())),
            poller,
            again: Vec::new(),
            paused: Vec::new(),
            timers: BTreeSet::new(),
            troubles: Repeats::default(),
            // Not yet started: as if it slept for ever.
            sleeps: Some(Sleep { until: None }),
            slices: Vec::new(),
            buffer: Vec::new(),
            token: Token::default(),
            lent: None,
            sleeper: None,
            birth: Birth::here(),
        }
    }

    /// Binds in the calling thread; the loop accepts. `ipc_mode` are the permission bits of a socket file. Returns the
    /// URL where it really listens. For a host name it waits for the resolver with the lock held:
    /// [`Shared::listen`] does not.
    pub fn listen(&mut self, address: &Address, ipc_mode: u32) -> Result<String> {
        match address {
            Address::Inproc(name) => {
                let key = self.key();
                let listener = inproc::Listener::bind(name, &self.mailbox, key)?;
                let listening = Listening::Inproc { name: name.clone(), _listener: listener };
                self.entries.insert(key, Entry::Listening(listening));
                Ok(address.to_string())
            }
            _ => self.add_listener(Listener::bind(address, ipc_mode)?, None),
        }
    }

    fn add_listener(&mut self, listener: Listener, gateway: Option<Gateway>) -> Result<String> {
        let url = listener.url().to_owned();
        let key = self.key();
        self.poller.add(listener.as_raw_fd(), key, Interest::READ).map_err(|error| Error::io(&error, &url))?;
        self.entries.insert(key, Entry::Listening(Listening::Socket(listener, gateway)));
        Ok(url)
    }

    /// Does what the engine asks for, until it asks for nothing more: writes what can be written without waiting,
    /// closes, begins to dial. Any thread that holds the lock may call it; it does not block.
    pub fn run_actions(&mut self, now: Now) {
        while let Some(action) = self.protocol.next_action() {
            match action {
                Action::Flush(conn) => self.flush(now, conn.0),
                Action::Close(conn) => self.finish(now, conn.0),
                Action::Dial { token, url } => self.dial(now, token, &url),
            }
        }
        self.resume();
        if let Some(sleep) = self.sleeps {
            let sooner = match (self.next_time(), sleep.until) {
                (Some(time), Some(until)) => time < until,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if sooner || self.goes_on() {
                self.poller.wake();
            }
        }
    }

    /// Reads what `conn` has, at most one round of it, through `buffer` into the engine. Any thread that holds the
    /// lock may call it; it does not block. [`Driver::run_actions`] follows.
    pub fn read_conn(&mut self, now: Now, conn: ConnId, buffer: &mut [u8]) -> usize {
        self.read(now, conn, buffer, false)
    }

    /// `anyway`: also if the engine takes no bytes for now.
    fn read(&mut self, now: Now, conn: ConnId, buffer: &mut [u8], anyway: bool) -> usize {
        let mut total = 0;
        let n = buffer.len().min(READ);
        let buffer = &mut buffer[..n];
        loop {
            let Some(Entry::Conn(c)) = self.entries.get_mut(&conn.0) else { return total };
            if !anyway && !self.protocol.reads(conn) {
                if !c.paused {
                    c.paused = true;
                    self.paused.push(conn.0);
                    let _ = c.watch(&self.poller, conn.0);
                }
                return total;
            }
            match c.link.read(buffer) {
                Ok(0) => {
                    self.ended(now, conn, Closed::ByPeer);
                    return total;
                }
                Ok(n) => {
                    // A short read of a socket took all; if more comes the poller tells. Others remember who waits only
                    // once a read finds nothing.
                    let all = n < buffer.len() && c.link.is_socket() && !c.broken;
                    total += n;
                    self.protocol.bytes(now, conn, &buffer[..n]);
                    if all {
                        return total;
                    }
                    if total >= READ_ROUND || super::now().mono.saturating_sub(now.mono) >= READ_TIME {
                        self.repeat(conn.0);
                        return total;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if c.broken {
                        // It no longer reads, and says nothing either.
                        self.ended(now, conn, Closed::ByPeer);
                    }
                    return total;
                }
                Err(error) => {
                    let why = if is_gone(&error) { Closed::ByPeer } else { Closed::Failed(Error::io(&error, &c.from)) };
                    self.ended(now, conn, why);
                    return total;
                }
            }
        }
    }

    // ---- a thread of the program as reader

    /// Lets the calling thread read `conn` in the loop's place, with [`Shared::read_borrowed`], until it gives it back.
    /// No if another thread does so already, if the loop keeps it, and for what only the loop can wait for.
    pub fn borrow(&mut self, conn: ConnId) -> bool {
        if !self.token.is_free() {
            return false;
        }
        let lent = self.lend(conn);
        if lent {
            self.token.take();
        } else if self.token.decline() {
            self.return_to_loop();
        }
        lent
    }

    fn lend(&mut self, conn: ConnId) -> bool {
        let Some(Entry::Conn(c)) = self.entries.get_mut(&conn.0) else { return false };
        if c.paused || c.broken || c.again || !c.link.is_socket() || !self.poller.tells_once() {
            return false;
        }
        if self.sleeper.is_none() {
            self.sleeper = Sleeper::new().ok().map(Arc::new);
        }
        // Lent already if the token was passed on.
        if self.sleeper.is_none() || (!std::mem::replace(&mut c.lent, true) && c.watch(&self.poller, conn.0).is_err()) {
            c.lent = false;
            return false;
        }
        self.lent = Some(conn);
        true
    }

    /// Whether the calling thread, which borrowed `conn`, still reads it: not once it is closed, the loop wants it, or
    /// the engine takes no bytes.
    pub fn is_borrowed(&self, conn: ConnId) -> bool {
        self.lent == Some(conn) && !self.token.is_kept() && !self.is_paused(conn)
    }

    /// Ends the calling thread's [`Driver::borrow`] of `conn`, closed or not. Whether threads that
    /// [wait](Driver::wait_for_reader) have to be woken, to read in its place.
    #[must_use]
    pub fn give_back(&mut self, conn: ConnId) -> bool {
        if self.lent != Some(conn) {
            return false;
        }
        let waiters = self.token.leave() == Left::ToWaiters;
        if !waiters || (self.is_paused(conn) && self.token.decline()) {
            self.return_to_loop();
        }
        waiters
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        matches!(self.entries.get(&conn.0), Some(Entry::Conn(Conn { paused: true, .. })))
    }

    /// Counts the calling thread among those who wait while another reads.
    pub fn wait_for_reader(&mut self) {
        self.token.wait();
    }

    /// Counts it no more: it was woken, or its time is up.
    pub fn waited_for_reader(&mut self) {
        self.token.waited();
    }

    /// A thread that was woken goes its way without reading.
    pub fn settle_reader(&mut self) {
        if self.token.settle() {
            self.return_to_loop();
        }
    }

    /// From now on the loop reads, for good.
    pub fn keep_reading(&mut self) {
        if self.token.keep() {
            self.return_to_loop();
        }
        self.wake_reader();
    }

    /// Has a thread that reads look whether it has to go on.
    pub fn wake_reader(&self) {
        if let (true, Some(sleeper)) = (self.token.is_with_caller(), &self.sleeper) {
            sleeper.wake();
        }
    }

    /// The loop watches the connection again, and is told at once of what is there.
    fn return_to_loop(&mut self) {
        let Some(conn) = self.lent.take() else { return };
        if let Some(Entry::Conn(c)) = self.entries.get_mut(&conn.0) {
            c.lent = false;
            let _ = c.watch(&self.poller, conn.0);
        }
    }

    fn take_buffer(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            return vec![0; READ_BUFFER];
        }
        std::mem::take(&mut self.buffer)
    }

    /// How many connections there are, those that are being closed not counted.
    pub fn connections(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry, Entry::Conn(_))).count()
    }

    /// How many closed TCP connections still wait, a second at most, for the other side to take what it was sent.
    pub fn closing(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry, Entry::Closing(..))).count()
    }

    fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    pub(super) fn repeat(&mut self, key: u64) {
        if let Some(Entry::Conn(conn)) = self.entries.get_mut(&key) {
            if !std::mem::replace(&mut conn.again, true) {
                self.again.push(key);
            }
        }
    }

    /// Whether the next turn has something to do at once.
    fn goes_on(&self) -> bool {
        !self.again.is_empty() || self.protocol.is_ready()
    }

    fn next_time(&self) -> Option<u64> {
        let timer = self.timers.first().map(|&(time, _)| time);
        match (self.protocol.deadline(), timer) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    // ---- connections

    /// Opens a connection that `carrier` carries, for the gateway at `url`, and [runs](Driver::run_actions) what comes
    /// of that. Whether the engine wants it.
    pub fn attach(&mut self, now: Now, carrier: Box<dyn Carrier>, url: &str, gateway: Gateway) -> bool {
        let key = self.open(now, Link::Carried(carrier), Framing::Inproc, url, Origin::Accepted(Some(gateway)));
        self.run_actions(now);
        key.is_some_and(|key| self.entries.contains_key(&key))
    }

    fn open(&mut self, now: Now, mut link: Link, framing: Framing, url: &str, origin: Origin) -> Option<u64> {
        let (token, gateway) = match origin {
            Origin::Dialled(token) => (Some(token), None),
            Origin::Accepted(gateway) => (None, gateway),
        };
        let key = self.key();
        let (from, local) = match &link {
            Link::Socket(stream) => (stream.from(), stream.is_local()),
            Link::Inproc(_) | Link::Carried(_) => (None, true),
        };
        let from = match (from, gateway) {
            (Some(from), Some(gateway)) => format!("{from} ({})", gateway.role.hears()),
            (from, _) => from.unwrap_or_else(|| url.to_owned()),
        };
        match &mut link {
            Link::Socket(stream) => {
                if let Err(error) = self.poller.add(stream.as_raw_fd(), key, Interest::READ) {
                    self.warn(now, Trouble::Unwatched, Error::io(&error, &from).to_string());
                    if let Some(token) = token {
                        self.protocol.dial_failed(now, token, Error::io(&error, url));
                    }
                    return None;
                }
            }
            Link::Inproc(end) => end.attach(Ready::new(&self.mailbox, key)),
            Link::Carried(carrier) => carrier.attach(Ready::new(&self.mailbox, key)),
        }
        let polled = link.is_socket();
        let conn = Conn {
            link,
            from: from.clone(),
            blocked: false,
            watched: false,
            broken: false,
            again: false,
            paused: false,
            lent: false,
        };
        self.entries.insert(key, Entry::Conn(conn));
        let info = ConnInfo { framing, from, local, dialled: token.is_some(), gateway };
        self.protocol.opened(now, ConnId(key), info, token);
        if !polled {
            // What it holds already was not told.
            self.repeat(key);
        }
        Some(key)
    }

    /// Takes the connection out, so that nothing can be told of it any more.
    fn take(&mut self, key: u64) -> Option<Conn> {
        match self.entries.remove(&key) {
            Some(Entry::Conn(conn)) => {
                if let Link::Socket(stream) = &conn.link {
                    self.poller.remove(stream.as_raw_fd());
                }
                if conn.lent {
                    self.void_token();
                }
                Some(conn)
            }
            Some(other) => {
                self.entries.insert(key, other);
                None
            }
            None => None,
        }
    }

    fn ended(&mut self, now: Now, conn: ConnId, why: Closed) {
        if self.take(conn.0).is_some() {
            self.protocol.closed(now, conn, why);
        }
    }

    fn flush(&mut self, now: Now, key: u64) {
        match self.write(now, key) {
            Flushed::Done => {}
            Flushed::More => self.repeat(key),
            Flushed::Gone => {
                if let Some(Entry::Conn(conn)) = self.entries.get_mut(&key) {
                    conn.broken = true;
                }
                self.repeat(key);
            }
            Flushed::Failed(error) => {
                if let Some(conn) = self.take(key) {
                    self.protocol.closed(now, ConnId(key), Closed::Failed(Error::io(&error, &conn.from)));
                }
            }
        }
    }

    /// Writes what the engine has for the connection: one round, or until it would block.
    fn write(&mut self, now: Now, key: u64) -> Flushed {
        let Some(Entry::Conn(conn)) = self.entries.get_mut(&key) else { return Flushed::Done };
        if conn.blocked || conn.broken {
            return Flushed::Done;
        }
        let mut round = 0;
        loop {
            let mut slices = recycle(std::mem::take(&mut self.slices));
            self.protocol.gather(now, ConnId(key), &mut slices);
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            let written = if offered == 0 { Ok(0) } else { conn.link.write(&slices) };
            self.slices = recycle(slices);
            let whole = match written {
                Ok(n) => {
                    let more = n > 0 && self.protocol.wrote(now, ConnId(key), n);
                    if n == offered && !more {
                        return Flushed::Done;
                    }
                    round += n;
                    n == offered
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                Err(error) if is_gone(&error) => return Flushed::Gone,
                Err(error) => return Flushed::Failed(error),
            };
            if !whole {
                conn.blocked = true;
                if !conn.watched {
                    conn.watched = conn.link.is_socket();
                    if let Err(error) = conn.watch(&self.poller, key) {
                        return Flushed::Failed(error);
                    }
                }
                return Flushed::Done;
            }
            if round >= WRITE_ROUND {
                return Flushed::More;
            }
        }
    }

    /// The connection takes bytes again.
    fn writable(&mut self, now: Now, key: u64) {
        let Some(Entry::Conn(conn)) = self.entries.get_mut(&key) else { return };
        conn.blocked = false;
        self.flush(now, key);
        // Still watched if it blocked again: that costs a busy connection no call.
        if let Some(Entry::Conn(conn)) = self.entries.get_mut(&key) {
            if conn.watched && !conn.blocked {
                conn.watched = false;
                let _ = conn.watch(&self.poller, key);
            }
        }
    }

    /// Reads again what the engine takes again.
    fn resume(&mut self) {
        let mut paused = std::mem::take(&mut self.paused);
        paused.retain(|&key| {
            let Some(Entry::Conn(conn)) = self.entries.get_mut(&key) else { return false };
            if !self.protocol.reads(ConnId(key)) {
                return true;
            }
            conn.paused = false;
            let _ = conn.watch(&self.poller, key);
            if !std::mem::replace(&mut conn.again, true) {
                self.again.push(key);
            }
            false
        });
        self.paused = paused;
    }

    /// [`Action::Close`].
    fn finish(&mut self, now: Now, key: u64) {
        if let Some(Entry::Conn(conn)) = self.entries.get_mut(&key) {
            conn.blocked = false;
        }
        let _ = self.write(now, key);
        let Some(conn) = self.take(key) else { return };
        if let Link::Socket(stream) = conn.link {
            if !conn.broken {
                self.close_gently(now, key, stream);
            }
        }
    }

    /// What the other side was sent over TCP is lost if it sends something to a closed socket before it has read it;
    /// nanomsg over a Unix socket forgets what it has not read when it cannot write any more.
    fn close_gently(&mut self, now: Now, key: u64, stream: Stream) {
        stream.end();
        if self.poller.add(stream.as_raw_fd(), key, Interest::READ).is_ok() {
            let until = now.mono + nanoseconds(CLOSE_WITHIN);
            self.timers.insert((until, key));
            self.entries.insert(key, Entry::Closing(stream, until));
        }
    }

    fn discard(&mut self, key: u64, buffer: &mut [u8]) {
        let Some(Entry::Closing(stream, _)) = self.entries.get(&key) else { return };
        let over = match stream.read(buffer) {
            Ok(n) => n == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        if over {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            match &entry {
                Entry::Dial(dial) => {
                    if let Some(deadline) = dial.deadline {
                        self.timers.remove(&(deadline, key));
                    }
                }
                Entry::Closing(_, until) => {
                    self.timers.remove(&(*until, key));
                }
                Entry::Conn(_) | Entry::Listening(_) => {}
            }
            self.close(entry);
        }
    }

    // ---- dialling

    fn dial(&mut self, now: Now, token: u64, url: &str) {
        let address = match Address::parse(url).and_then(|address| address.check_dial().map(|()| address)) {
            Ok(address) => address,
            Err(error) => return self.protocol.dial_failed(now, token, error),
        };
        let key = self.key();
        let left = match &address {
            Address::Inproc(name) => {
                match inproc::connect(name) {
                    Ok(end) => drop(self.open(now, Link::Inproc(end), Framing::Inproc, url, Origin::Dialled(token))),
                    Err(error) => self.protocol.dial_failed(now, token, error),
                }
                return;
            }
            Address::Ipc(path) => SockAddr::unix(path).map(Some),
            Address::Abstract(name) => SockAddr::unix(format!("\0{name}")).map(Some),
            Address::Tcp { host: Host::V4(ip), port } => Ok(Some(SocketAddr::from((*ip, *port)).into())),
            Address::Tcp { host: Host::V6(ip), port } => Ok(Some(SocketAddr::from((*ip, *port)).into())),
            Address::Tcp { host: Host::Name(name), port } => self.resolve(key, name, *port).map(|()| None),
            Address::Tcp { host: Host::Any, .. } => Ok(None),
        };
        match left {
            Ok(left) => {
                let resolved = left.is_some();
                let left = left.into_iter().collect();
                let dial = Dial { token, address, left, running: None, failed: None, deadline: None };
                self.entries.insert(key, Entry::Dial(Box::new(dial)));
                if resolved {
                    self.dial_next(now, key);
                }
            }
            Err(error) => self.protocol.dial_failed(now, token, Error::io(&error, url)),
        }
    }

    /// Asks the resolver, which can take its time, in a thread of its own that nobody waits for.
    fn resolve(&self, key: u64, name: &str, port: u16) -> io::Result<()> {
        let (mailbox, name) = (Arc::downgrade(&self.mailbox), name.to_owned());
        spawn("ns-resolve", move || {
            let found = listener::resolve(&name, port);
            let found = found.map(|found| found.into_iter().map(SockAddr::from).collect());
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.post(Letter::Resolved(key, found));
            }
        })
        .map(drop)
    }

    fn resolved(&mut self, now: Now, key: u64, found: Result<Vec<SockAddr>>) {
        let Some(Entry::Dial(dial)) = self.entries.get_mut(&key) else { return };
        match found {
            Ok(mut found) => {
                found.reverse();
                dial.left = found;
            }
            Err(error) => dial.failed = Some(error),
        }
        self.dial_next(now, key);
    }

    /// Tries the addresses that are left, until one connects or has to be waited for.
    fn dial_next(&mut self, now: Now, key: u64) {
        loop {
            let Some(Entry::Dial(dial)) = self.entries.get_mut(&key) else { return };
            let Some(address) = dial.left.pop() else {
                let token = dial.token;
                let error = dial.failed.take();
                self.remove(key);
                self.protocol.dial_failed(now, token, error.unwrap_or_else(|| Status::Resolve.into()));
                return;
            };
            let stream = match Stream::connect(&address) {
                Ok((stream, Connect::Done)) => match stream.connected() {
                    Ok(()) => return self.dialled(now, key, stream),
                    Err(error) => Err(error),
                },
                Ok((stream, Connect::Running)) => {
                    self.poller.add(stream.as_raw_fd(), key, Interest::WRITE).map(|()| stream)
                }
                Err(error) => Err(error),
            };
            match stream {
                Ok(stream) => {
                    let deadline = now.mono + nanoseconds(limits::HANDSHAKE);
                    dial.running = Some(stream);
                    dial.deadline = Some(deadline);
                    self.timers.insert((deadline, key));
                    return;
                }
                Err(error) => dial.failed = Some(Error::io(&error, &dial.address)),
            }
        }
    }

    /// A connect that was running has ended, or its time is up.
    fn dial_ready(&mut self, now: Now, key: u64, late: bool) {
        let Some(Entry::Dial(dial)) = self.entries.get_mut(&key) else { return };
        let Some(stream) = dial.running.take() else { return };
        if let Some(deadline) = dial.deadline.take() {
            self.timers.remove(&(deadline, key));
        }
        self.poller.remove(stream.as_raw_fd());
        let result = if late { Err(io::ErrorKind::TimedOut.into()) } else { stream.connected() };
        match result {
            Ok(()) => self.dialled(now, key, stream),
            Err(error) => {
                dial.failed = Some(Error::io(&error, &dial.address));
                self.dial_next(now, key);
            }
        }
    }

    fn dialled(&mut self, now: Now, key: u64, stream: Stream) {
        let Some(Entry::Dial(dial)) = self.entries.remove(&key) else { return };
        let url = dial.address.to_string();
        self.open(now, Link::Socket(stream), framing(&dial.address), &url, Origin::Dialled(dial.token));
    }

    // ---- listening

    fn accept(&mut self, now: Now, key: u64) {
        for _ in 0..ACCEPT_ROUND {
            let Some(Entry::Listening(Listening::Socket(listener, gateway))) = self.entries.get(&key) else { return };
            match listener.accept() {
                Accept::Connection(stream) => {
                    let (url, gateway) = (listener.url().to_owned(), *gateway);
                    let framing = if stream.is_tcp() { Framing::Tcp } else { Framing::Ipc };
                    self.open(now, Link::Socket(stream), framing, &url, Origin::Accepted(gateway));
                }
                Accept::Empty => return,
                Accept::Gone => {}
                Accept::Denied(who) => {
                    let text = format!("{}: {who}", listener.url());
                    self.warn(now, Trouble::Denied, text);
                }
                Accept::Pause(error) => {
                    let text = format!("accepting pauses: {}", Error::io(&error, listener.url()));
                    let until = now.mono + nanoseconds(listener::PAUSE);
                    let _ = self.poller.set(listener.as_raw_fd(), key, Interest::NONE);
                    self.timers.insert((until, key));
                    return self.warn(now, Trouble::Pause, text);
                }
            }
        }
    }

    /// Logs a trouble, unless there were others of its kind: then it is counted.
    fn warn(&mut self, now: Now, trouble: Trouble, text: String) {
        if let Some(text) = self.troubles.say(now.mono, trouble, 1, text) {
            log::warn!("{text}");
        }
        if let Some(due) = self.troubles.due() {
            self.timers.insert((due, TROUBLES));
        }
    }

    // ---- the loop's part

    fn ready(&mut self, now: Now, event: Event, buffer: &mut [u8]) -> usize {
        let key = event.key;
        match self.entries.get(&key) {
            Some(Entry::Conn(conn)) => {
                let lent = conn.lent;
                if event.write && conn.blocked {
                    self.writable(now, key);
                }
                if lent {
                    // Told before it was lent, or of its writing. It was told once: the rest is to be asked for again.
                    if let Some(Entry::Conn(conn)) = self.entries.get(&key) {
                        if conn.watched {
                            let _ = conn.watch(&self.poller, key);
                        }
                    }
                    return 0;
                }
                if event.broken {
                    // Nothing more will come than what is there, and only reading it lets the poller be quiet.
                    return self.read(now, ConnId(key), buffer, true);
                }
                if event.read {
                    return self.read_conn(now, ConnId(key), buffer);
                }
            }
            Some(Entry::Listening(_)) => self.accept(now, key),
            Some(Entry::Dial(_)) => self.dial_ready(now, key, false),
            Some(Entry::Closing(..)) => self.discard(key, buffer),
            // It was closed while this event was on its way.
            None => {}
        }
        0
    }

    fn letter(&mut self, now: Now, letter: Letter, buffer: &mut [u8]) -> usize {
        match letter {
            Letter::Ready(key) => {
                return self.ready(now, Event { key, read: true, write: true, broken: false }, buffer)
            }
            Letter::Accept(key, end) => {
                if let Some(Entry::Listening(Listening::Inproc { name, .. })) = self.entries.get(&key) {
                    let url = Address::Inproc(name.clone()).to_string();
                    self.open(now, Link::Inproc(end), Framing::Inproc, &url, Origin::Accepted(None));
                }
            }
            Letter::Resolved(key, found) => self.resolved(now, key, found),
        }
        0
    }

    fn timer(&mut self, now: Now, key: u64) {
        if key == TROUBLES {
            self.troubles.take_due(now.mono).into_iter().for_each(|(_, text)| log::warn!("{text}"));
            return;
        }
        match self.entries.get_mut(&key) {
            Some(Entry::Dial(_)) => self.dial_ready(now, key, true),
            Some(Entry::Closing(..)) => self.remove(key),
            Some(Entry::Listening(Listening::Socket(listener, _))) => {
                let _ = self.poller.set(listener.as_raw_fd(), key, Interest::READ);
            }
            _ => {}
        }
    }
}

impl<P> Driver<P> {
    /// The connection that was lent is no more.
    fn void_token(&mut self) {
        self.lent = None;
        if self.token.void() {
            // The thread may still sleep on it when another reads the next connection: that one gets its own.
            if let Some(sleeper) = self.sleeper.take() {
                sleeper.wake();
            }
        }
    }

    /// Closes every connection, listener and dial, without a word to the engine and without writing what it has.
    pub fn close_all(&mut self) {
        for (_, entry) in std::mem::take(&mut self.entries) {
            self.close(entry);
        }
        self.void_token();
        self.timers.clear();
        self.again.clear();
        // An end of a pipe that nobody accepted closes here.
        let mut letters = Vec::new();
        self.mailbox.take(&mut letters);
    }

    /// Closes what was taken out.
    fn close(&self, entry: Entry) {
        match entry {
            Entry::Conn(Conn { link: Link::Socket(stream), .. }) | Entry::Closing(stream, _) => {
                self.poller.remove(stream.as_raw_fd());
                if stream.is_tcp() {
                    // What is still unread would turn the end of the stream into a reset.
                    stream.discard();
                }
            }
            Entry::Listening(Listening::Socket(listener, _)) => self.poller.remove(listener.as_raw_fd()),
            Entry::Dial(dial) => {
                if let Some(stream) = dial.running {
                    self.poller.remove(stream.as_raw_fd());
                }
            }
            Entry::Conn(_) | Entry::Listening(_) => {}
        }
    }
}

impl<P> Drop for Driver<P> {
    fn drop(&mut self) {
        // In a child the entries close their descriptors and do nothing else.
        if !self.birth.forked() {
            self.close_all();
        }
    }
}

/// A [`Driver`] that many threads share, one of which runs its loop.
pub struct Shared<P> {
    driver: Mutex<Driver<P>>,
    poller: Arc<Poller>,
    stopped: AtomicBool,
    birth: Birth,
}

impl<P: Protocol> Shared<P> {
    /// The engine, without connections. Fails for lack of descriptors or memory.
    pub fn new(protocol: P, backend: Backend) -> Result<Arc<Shared<P>>> {
        let birth = Birth::here();
        let poller = Poller::new(backend).map_err(|error| Error::io(&error, "the poller"))?;
        let poller = Arc::new(poller);
        let driver = Mutex::new(Driver::new(protocol, poller.clone()));
        Ok(Arc::new(Shared { driver, poller, stopped: AtomicBool::new(false), birth }))
    }

    /// The driver, once nobody else has it. Not to be called in a child after `fork`.
    pub fn lock(&self) -> MutexGuard<'_, Driver<P>> {
        self.driver.lock()
    }

    /// Has the loop do one more turn, which runs the engine's actions. Async-signal-safe; does nothing in a child
    /// after `fork`.
    pub fn wake(&self) {
        self.poller.wake();
    }

    /// Has [`Shared::run`] return after its turn. Async-signal-safe.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the loop can no longer be woken, because the program closed a descriptor that is not its own. Then its
    /// thread is not to be waited for.
    pub fn is_deaf(&self) -> bool {
        self.poller.is_deaf()
    }

    /// Whether [`Shared::stop`] was called.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether this process is a child, by `fork`, of the one that made this. Async-signal-safe.
    pub fn forked(&self) -> bool {
        self.birth.forked()
    }

    /// In a child after `fork`: closes the descriptors that it inherited, and nothing else. Those of connections stay
    /// open until `exec` if the loop was at work in the moment of the fork. Nothing is to be called afterwards. In the
    /// parent it does nothing.
    pub fn abandon(&self) {
        if !self.forked() {
            return;
        }
        // The thread that held the lock, if one did, is not in this process.
        if let Some(mut driver) = self.driver.try_lock() {
            driver.entries.clear();
            if let Some(sleeper) = &driver.sleeper {
                sleeper.abandon();
            }
        }
        self.poller.abandon();
    }

    /// [`Driver::listen`] which takes the lock only when it is bound.
    pub fn listen(&self, address: &Address, ipc_mode: u32) -> Result<String> {
        match address {
            Address::Inproc(_) => self.lock().listen(address, ipc_mode),
            _ => self.bind(None, address, ipc_mode),
        }
    }

    /// [`Shared::listen`] for programs that speak another protocol, at a `tcp` or `ipc` address.
    pub fn listen_as(&self, gateway: Gateway, address: &Address, ipc_mode: u32) -> Result<String> {
        self.bind(Some(gateway), address, ipc_mode)
    }

    fn bind(&self, gateway: Option<Gateway>, address: &Address, ipc_mode: u32) -> Result<String> {
        let listener = Listener::bind(address, ipc_mode)?;
        self.lock().add_listener(listener, gateway)
    }

    /// Sleeps without the lock until `conn`, which the calling thread [borrowed](Driver::borrow), has something, until
    /// it is [woken](Driver::wake_reader), or for `timeout`; then reads at most one round of it.
    pub fn read_borrowed(&self, driver: &mut MutexGuard<'_, Driver<P>>, conn: ConnId, timeout: Option<Duration>) {
        let Some(Entry::Conn(Conn { link: Link::Socket(stream), .. })) = driver.entries.get(&conn.0) else { return };
        let (fd, Some(sleeper)) = (stream.as_raw_fd(), driver.sleeper.clone()) else { return };
        // Should the connection be closed meanwhile, and its number be another's: then it is not read below.
        let woken = MutexGuard::unlocked(driver, || sleeper.wait(fd, timeout));
        let broken = match woken {
            Ok(Woken::Readable) => false,
            Ok(Woken::Broken) => true,
            Ok(Woken::Otherwise) => return,
            Err(error) => {
                // A program that may open no more descriptors cannot poll two: then the loop reads.
                log::debug!("the loop reads for good: poll: {}", Error::words(&error));
                return driver.keep_reading();
            }
        };
        if !driver.is_borrowed(conn) {
            return;
        }
        let now = now();
        let mut buffer = driver.take_buffer();
        driver.read(now, conn, &mut buffer, broken);
        driver.buffer = buffer;
        driver.run_actions(now);
    }

    /// The loop: waits, moves bytes, calls `after` without the lock, until [`Shared::stop`]. `after` says when it wants
    /// to be called again at the latest, in nanoseconds of [`now`]. A panic of the engine or of `after` passes through.
    ///
    /// # Errors
    /// [`Status::Io`]: waiting fails, because the program closed a descriptor that is not its own.
    pub fn run(self: &Arc<Self>, mut after: impl FnMut(&Arc<Shared<P>>) -> Option<u64>) -> Result<()> {
        let mut turns = Loop::new(self);
        let mut again = None;
        while !self.stopped() {
            turns.turn(again.map(|at: u64| Duration::from_nanos(at.saturating_sub(now().mono))))?;
            again = after(self);
        }
        Ok(())
    }
}

/// What the thread that runs the loop keeps for itself.
pub struct Loop<P> {
    shared: Arc<Shared<P>>,
    events: Vec<Event>,
    letters: Vec<Letter>,
    /// Until when the next turn may wait.
    until: Option<u64>,
    /// Whether the next turn waits at all.
    idle: bool,
}

impl<P: Protocol> Loop<P> {
    /// A loop for `shared`, which has no other.
    pub fn new(shared: &Arc<Shared<P>>) -> Loop<P> {
        Loop { shared: shared.clone(), events: Vec::new(), letters: Vec::new(), until: None, idle: false }
    }

    /// One turn: waits until something is ready, the engine's deadline has come, a wake, or `timeout`; then does it.
    ///
    /// # Errors
    /// [`Status::Io`]: waiting fails, because the program closed a descriptor that is not its own. It is no panic, and
    /// must not turn into a loop without a pause that nobody sees.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<()> {
        let until = match (self.idle, self.until) {
            (false, _) => Some(Duration::ZERO),
            (true, None) => None,
            (true, Some(until)) => Some(Duration::from_nanos(until.saturating_sub(now().mono))),
        };
        let timeout = match (timeout, until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let waited = self.shared.poller.wait(&mut self.events, timeout);
        waited.map_err(|error| Error::io(&error, "waiting for descriptors, which something else has closed"))?;

        let mut driver = self.shared.driver.lock();
        let driver = &mut *driver;
        driver.sleeps = None;
        let now = now();
        driver.mailbox.take(&mut self.letters);
        let idle = self.events.is_empty() && self.letters.is_empty() && driver.again.is_empty();
        let mut buffer = if idle { Vec::new() } else { driver.take_buffer() };
        let buffer = &mut buffer;
        let mut unwritten = 0;
        let mut write_some = |driver: &mut Driver<P>, read: usize| {
            unwritten += read;
            if unwritten >= FLUSH_AFTER {
                unwritten = 0;
                driver.run_actions(now);
            }
        };
        for key in std::mem::take(&mut driver.again) {
            if let Some(Entry::Conn(conn)) = driver.entries.get_mut(&key) {
                conn.again = false;
                // Nothing need tell the thread that reads of a connection that cannot be written to.
                let lent = conn.lent && !conn.broken;
                driver.flush(now, key);
                if !lent {
                    let read = driver.read_conn(now, ConnId(key), buffer);
                    write_some(driver, read);
                }
            }
        }
        for &event in &self.events {
            let read = driver.ready(now, event, buffer);
            write_some(driver, read);
        }
        for letter in self.letters.drain(..) {
            let read = driver.letter(now, letter, buffer);
            write_some(driver, read);
        }
        while let Some(&(time, key)) = driver.timers.first() {
            if time > now.mono {
                break;
            }
            driver.timers.pop_first();
            driver.timer(now, key);
        }
        if driver.protocol.is_due(now) {
            driver.protocol.tick(now);
        }
        driver.run_actions(now);
        if !idle {
            driver.buffer = std::mem::take(buffer);
        }
        self.until = driver.next_time();
        self.idle = !driver.goes_on();
        driver.sleeps = Some(Sleep { until: self.until });
        Ok(())
    }
}
