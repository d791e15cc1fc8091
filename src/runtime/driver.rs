//! An engine with its connections and listeners.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::absence::{Absence, Expected};
use super::address::Encoding;
use super::channel::Channel;
use super::clock::now as this_moment;
use super::closing::Closing;
use super::conns::{Conn, Conns, Opened, Read, Written};
use super::dialler::{Dialled, Dialler};
use super::listeners::{Accepted, Listeners};
use super::reactor::{Kind, Reactor};
use super::reader::Reader;
use super::stint::Stint;
use crate::engine::{Action, Closed, ConnId, ConnInfo, Gateway, Now, Protocol};
use crate::repeats::Repeats;
use crate::time::MonoTime;
use crate::transport::fork::Birth;
use crate::transport::listener::Listener;
use crate::transport::poller::{Event, Poller};
use crate::transport::tls::{Acceptor, Connector};
use crate::transport::Notices;
use crate::{Error, Result};

/// Kinds of log lines about strangers and exhausted descriptors, which are not logged one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Accepting is paused.
    Pause,
    /// A user who may not connect.
    Denied,
    /// A connection cannot be watched.
    Unwatched,
}

/// The key of the timer for [`Driver::troubles`]; nothing else has it.
const TROUBLES: u64 = 0;

/// An engine with its connections and listeners.
///
/// It reports what its parts find to the engine, and has them carry out the engine's actions.
pub struct Driver<P> {
    /// The engine. After calls to it: [`Driver::run_actions`], or [`Shared::wake`](super::Shared::wake).
    pub protocol: P,
    pub(super) reactor: Reactor,
    pub(super) conns: Conns,
    dialler: Dialler,
    listeners: Listeners,
    closing: Closing,
    troubles: Repeats<Trouble>,
    /// The thread that reads an app's connection.
    pub(super) reader: Reader<Conns>,
    /// When that thread last stopped.
    absence: Absence,
    /// Until when the loop sleeps if nothing happens; `None` while it runs.
    pub(super) sleeps: Option<Sleep>,
    birth: Birth,
    /// Those that were read and have more; kept for its allocation.
    again: Vec<u64>,
    /// Keys that were reported, while another thread than the loop's takes them; kept for its allocation.
    told: Vec<u64>,
}

/// A sleep of the loop.
#[derive(Clone, Copy)]
pub(super) struct Sleep {
    pub until: Option<MonoTime>,
}

impl<P: Protocol> Driver<P> {
    pub(super) fn new(protocol: P, poller: Arc<Poller>) -> Driver<P> {
        let reactor = Reactor::new(poller.clone());
        Driver {
            protocol,
            conns: Conns::new(poller, reactor.ready.clone()),
            reactor,
            dialler: Dialler::default(),
            listeners: Listeners::default(),
            closing: Closing::default(),
            troubles: Repeats::default(),
            reader: Reader::default(),
            absence: Absence::default(),
            // Not yet started: as if it slept indefinitely.
            sleeps: Some(Sleep { until: None }),
            birth: Birth::here(),
            again: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Carries out the engine's actions until there are none left: writes what can be written without waiting, closes,
    /// begins to dial. Any thread that holds the lock may call it; it does not block.
    pub fn run_actions(&mut self, now: Now) {
        self.each_action(now, |driver, key| driver.flush(now, key));
        self.conns.resume(&self.protocol);
        if self.sleeps.is_some() && self.goes_on() {
            self.reactor.poller.wake();
        } else if let Some(time) = self.next_time() {
            self.wake_at(time);
        }
    }

    /// As [`Driver::run_actions`]. Returns the readers in this process that it wrote to, to be told once the lock is released.
    pub fn run_actions_and_tell_later(&mut self, now: Now) -> Notices {
        self.conns.keep_notices();
        self.run_actions(now);
        self.conns.take_notices()
    }

    /// As [`Conns::take_notices`].
    pub(super) fn take_notices(&mut self) -> Notices {
        self.conns.take_notices()
    }

    /// Sees to it that the loop does not sleep beyond this time.
    fn wake_at(&self, time: MonoTime) {
        if self.sleeps.is_some_and(|sleep| sleep.until.is_none_or(|until| time < until)) {
            self.reactor.poller.wake();
        }
    }

    /// Carries out the engine's actions until there are none left, and has `flush` see to what is to be written.
    fn each_action(&mut self, now: Now, mut flush: impl FnMut(&mut Driver<P>, u64)) {
        while let Some(action) = self.protocol.next_action() {
            match action {
                Action::Flush(conn) => flush(self, conn.0),
                Action::Close(conn) => self.finish(now, conn.0),
                Action::Dial { token, url } => {
                    let dialled = self.dialler.begin(&mut self.reactor, now, token, &url);
                    self.dialled(now, dialled);
                }
            }
        }
    }

    /// Carries out the engine's actions. Writing is left for when it is the connection's turn.
    fn begin_actions(&mut self, now: Now) {
        self.each_action(now, |driver, key| driver.conns.wait_to_write(key));
    }

    /// Whether the next turn has something to do at once.
    pub(super) fn goes_on(&self) -> bool {
        self.conns.are_waiting() || self.protocol.is_ready()
    }

    /// When the loop has to run its next turn at the latest.
    pub(super) fn next_time(&self) -> Option<MonoTime> {
        let times = [self.protocol.deadline(), self.reactor.next_timer(), self.absence.alarm()];
        times.into_iter().flatten().min()
    }

    /// How many connections there are, without those that are being closed.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.conns.len()
    }

    /// How many closed connections still wait, at most a second, for the other side to read what it was sent.
    pub fn closing(&self) -> usize {
        self.closing.len()
    }

    /// The parts that decide which thread reads.
    pub(crate) fn parts(&mut self) -> (&mut Reader<Conns>, &mut Conns) {
        (&mut self.reader, &mut self.conns)
    }

    /// As [`Monitor::is_expected_back`](super::reader::Monitor::is_expected_back).
    pub(crate) fn expects_reader(&mut self, now: Now) -> bool {
        let expected = self.absence.begin(now.mono);
        if let (Expected::Newly, Some(alarm)) = (expected, self.absence.alarm()) {
            self.wake_at(alarm);
        }
        expected != Expected::No
    }

    /// As [`Monitor::kept`](super::reader::Monitor::kept).
    pub(crate) fn kept(&mut self, receives: bool) -> Option<ConnId> {
        let conn = self.reader.kept()?;
        self.absence.reads(receives, || this_moment().mono).then_some(conn)
    }

    /// The descriptor for the program's own event loop, which is made when there is none.
    pub(crate) fn readiness(&mut self) -> io::Result<RawFd> {
        let fd = self.conns.readiness()?;
        self.reader.show(&mut self.conns);
        Ok(fd)
    }

    /// Makes it readable or not, as [`Conns::set_ready`].
    pub(crate) fn set_ready(&mut self, ready: bool) -> bool {
        self.conns.set_ready(ready)
    }

    /// The thread that reads an app's connection.
    pub(crate) fn reader(&self) -> &Reader<Conns> {
        &self.reader
    }

    // ---- connections

    /// `token`: that of the [`Action::Dial`] that it answers, unless a listener accepted it.
    fn open(&mut self, now: Now, opened: Opened, token: Option<u64>) -> Option<u64> {
        let key = self.reactor.key(Kind::Conn);
        let from = opened.from();
        let host = if token.is_none() { opened.channel.host() } else { None };
        let Opened { mut channel, encoding: Encoding { framing, web }, url, gateway } = opened;
        let polled = match &mut channel {
            Channel::Socket(_) | Channel::Tls(_) => true,
            Channel::Other(stream) => {
                stream.attach(self.reactor.ready(key));
                false
            }
        };
        if let Err(error) = self.conns.add(key, channel, from.clone()) {
            self.warn(now, Trouble::Unwatched, Error::io(&error, &from).to_string());
            if let Some(token) = token {
                self.protocol.dial_failed(now, token, Error::io(&error, url));
            }
            return None;
        }
        let info = ConnInfo { framing, from, host, gateway, web };
        self.protocol.opened(now, ConnId(key), info, token);
        if !polled {
            // Bytes that it already holds were not reported.
            self.conns.wait_to_read(key);
        }
        Some(key)
    }

    fn dialled(&mut self, now: Now, dialled: Option<Dialled>) {
        match dialled {
            Some(Dialled { token, result: Ok(opened) }) => drop(self.open(now, opened, Some(token))),
            Some(Dialled { token, result: Err(error) }) => self.protocol.dial_failed(now, token, error),
            None => {}
        }
    }

    /// Removes a connection, so that nothing more is reported of it.
    fn take(&mut self, key: u64) -> Option<Conn> {
        let conn = self.conns.take(key)?;
        if conn.lent {
            self.reader.close();
        }
        Some(conn)
    }

    /// Closes a connection that has ended, and informs the engine.
    fn ended(&mut self, now: Now, conn: ConnId, why: Closed) {
        if self.take(conn.0).is_some() {
            self.protocol.closed(now, conn, why);
        }
    }

    /// Reads at most `most` bytes of a connection, and some more, through `buffer`. Returns how many, and whether there
    /// may be more.
    fn read(&mut self, now: Now, conn: ConnId, buffer: &mut [u8], most: usize) -> (usize, bool) {
        let Read { bytes, more, ended } = self.conns.read(&mut self.protocol, now, conn, buffer, most);
        if let Some(why) = ended {
            self.ended(now, conn, why);
        }
        (bytes, more)
    }

    /// As [`Monitor::read`](super::reader::Monitor::read).
    pub(crate) fn read_borrowed(&mut self, conn: ConnId, broken: bool) {
        /// So many bytes are read before the loop goes on in the thread's place.
        const MOST: usize = 1 << 20;
        let now = this_moment();
        let mut buffer = self.conns.take_buffer();
        if broken {
            self.conns.mark_hung(conn.0);
        }
        let (bytes, more) = self.read(now, conn, &mut buffer, MOST);
        if more {
            self.conns.wait_to_read(conn.0);
        }
        self.absence.has_read(now.mono, bytes, more);
        self.conns.put_buffer(buffer);
        self.run_actions(now);
    }

    /// Writes what there is for a connection. Returns how many bytes, and whether there is more than one round takes.
    fn write(&mut self, now: Now, key: u64) -> (usize, bool) {
        let (bytes, result) = self.conns.write(&mut self.protocol, now, key);
        match result {
            Written::All => {}
            Written::Some => return (bytes, true),
            Written::Gone => self.conns.read_to_end(key),
            Written::Failed(error) => self.ended(now, ConnId(key), Closed::Failed(error)),
        }
        (bytes, false)
    }

    fn flush(&mut self, now: Now, key: u64) {
        if let (_, true) = self.write(now, key) {
            self.conns.wait_to_write(key);
        }
    }

    /// [`Action::Close`].
    fn finish(&mut self, now: Now, key: u64) {
        /// How many rounds are written of what is left.
        const ROUNDS: usize = 4;
        self.conns.unblock(key);
        for _ in 0..ROUNDS {
            if !matches!(self.conns.write(&mut self.protocol, now, key), (_, Written::Some)) {
                break;
            }
        }
        if let Some(Conn { channel, broken: false, .. }) = self.take(key) {
            if let Some(stream) = channel.end() {
                self.closing.begin(&mut self.reactor, now, stream);
            }
        }
    }

    /// Has the engine say `farewell`, writes it as far as that needs no waiting, and closes everything as
    /// [`Driver::close_all`] does.
    pub fn end(&mut self, now: Now, farewell: impl FnOnce(&mut P)) {
        // First, as there: who hears it may dial again at once.
        self.listeners.close_all(&self.reactor);
        farewell(&mut self.protocol);
        self.run_actions(now);
        self.close_all();
    }

    // ---- listening

    /// Binds in the calling thread; the loop accepts. The name is local to this process.
    pub(super) fn listen_inproc(&mut self, name: &str) -> Result<String> {
        self.listeners.bind_inproc(&mut self.reactor, name)
    }

    /// Has the loop accept connections of `listener`. Returns the URL with the actual port or path.
    pub(super) fn add_listener(
        &mut self,
        listener: Listener,
        encoding: Encoding,
        gateway: Option<Gateway>,
        tls: Option<Acceptor>,
    ) -> Result<String> {
        self.listeners.add(&mut self.reactor, listener, encoding, gateway, tls)
    }

    /// What the hubs are asked for that are dialled at addresses with TLS.
    pub fn set_connector(&mut self, connector: Option<Connector>) {
        self.dialler.connector = connector;
    }

    fn accept(&mut self, now: Now, key: u64) {
        /// Connections that one listener accepts in a round.
        const ACCEPT_ROUND: usize = 64;
        for _ in 0..ACCEPT_ROUND {
            match self.listeners.accept(&mut self.reactor, now, key) {
                Accepted::Connection(opened) => drop(self.open(now, opened, None)),
                Accepted::Empty => return,
                Accepted::Gone => {}
                Accepted::Denied(text) => self.warn(now, Trouble::Denied, text),
                Accepted::Paused(text) => return self.warn(now, Trouble::Pause, text),
            }
        }
        self.listeners.repeat(&self.reactor, key);
    }

    /// Logs a trouble; if others of its kind were logged recently, it is only counted.
    fn warn(&mut self, now: Now, trouble: Trouble, text: String) {
        if let Some(text) = self.troubles.say(now.mono, trouble, 1, text) {
            log::warn!("{text}");
        }
        if let Some(due) = self.troubles.due() {
            self.reactor.start_timer(due, TROUBLES);
        }
    }

    // ---- the loop's part

    /// Something is ready: does what is due, except that connections wait for their turn.
    pub(super) fn ready(&mut self, now: Now, event: Event, buffer: &mut [u8]) {
        let key = event.key;
        match Kind::of(key) {
            Kind::Conn => self.conn_ready(event),
            Kind::Listener => self.accept(now, key),
            Kind::Dial => {
                let dialled = self.dialler.ready(&mut self.reactor, now, key);
                self.dialled(now, dialled);
            }
            Kind::Closing => self.closing.ready(&mut self.reactor, key, buffer),
        }
    }

    fn conn_ready(&mut self, event: Event) {
        let key = event.key;
        // `None`: it was closed after this event was reported.
        let Some(lent) = self.conns.get(key).map(|conn| conn.lent) else { return };
        if event.write && self.conns.is_blocked(key) {
            self.conns.unblock(key);
            self.conns.wait_to_write(key);
        }
        if lent {
            // Reported before it was lent, because it is writable, or because the other side is gone.
            if event.broken {
                self.conns.mark_hung(key);
                self.reader.recall(&mut self.conns);
            }
            return self.conns.watch_lent(key);
        }
        if event.broken {
            self.conns.mark_hung(key);
        }
        if event.read || event.broken {
            self.conns.wait_to_read(key);
        }
    }

    /// Reads the connections that wait for it, those first that have had the least time, until it is time for others. Once
    /// that has taken a while, none is read again before the poller says who else has something by then.
    pub(super) fn read_some(&mut self, now: Now, buffer: &mut [u8], mut stint: Stint) {
        /// How many bytes are read before what they cause is written, so that it does not pile up in outboxes.
        const BYTES: usize = 1 << 20;
        let (mut read, mut again) = (0, std::mem::take(&mut self.again));
        while read < BYTES && !stint.is_over() {
            let Some((key, share)) = self.conns.next_to_read() else { break };
            let (bytes, more) = self.read(now, ConnId(key), buffer, share);
            self.begin_actions(now);
            self.conns.was_read(key, bytes, stint.lap());
            match more {
                true if stint.is_late() => again.push(key),
                true => self.conns.wait_to_read(key),
                false => {}
            }
            read += bytes;
        }
        again.drain(..).for_each(|key| self.conns.wait_to_read(key));
        self.again = again;
    }

    /// Writes the connections that wait for it, those first that have had the least time, until it is time for others.
    pub(super) fn write_some(&mut self, now: Now, mut stint: Stint) {
        self.begin_actions(now);
        while !stint.is_over() {
            let Some(key) = self.conns.next_to_write() else { break };
            let (bytes, more) = self.write(now, key);
            self.conns.wrote(key);
            self.begin_actions(now);
            stint.lap();
            self.conns.was_written(key, bytes, more);
        }
        self.conns.resume(&self.protocol);
    }

    /// A short turn, in the thread of somebody who has sent something, while the loop sleeps: reads what was reported, and
    /// writes. What else there is to do wakes the loop. `None`: the loop is behind, or has broken down, and has to do it all.
    pub(super) fn serve(&mut self, now: Now) -> Option<Notices> {
        let is_behind = self.goes_on() || self.protocol.has_news() || self.protocol.is_due(now);
        if is_behind || self.sleeps.is_none() {
            return None;
        }
        self.conns.keep_notices();
        let (mut told, mut buffer) = (std::mem::take(&mut self.told), self.conns.take_buffer());
        self.reactor.ready.take(&mut told);
        for key in told.drain(..) {
            match Kind::of(key) {
                Kind::Conn => self.conn_ready(Event { key, read: true, write: true, broken: false }),
                // It may have something to log.
                Kind::Listener | Kind::Dial | Kind::Closing => self.reactor.ready(key).notify(),
            }
        }
        self.told = told;
        self.read_some(now, &mut buffer, Stint::short());
        // Requests begin now, too, of which a part may be done.
        if self.protocol.is_due(now) {
            self.protocol.tick(now);
        }
        self.write_some(now, Stint::short());
        self.conns.put_buffer(buffer);
        if self.goes_on() || self.protocol.has_news() {
            self.reactor.poller.wake();
        } else if let Some(time) = self.next_time() {
            self.wake_at(time);
        }
        Some(self.conns.take_notices())
    }

    /// Runs the timers that have expired, and the engine's.
    pub(super) fn run_timers(&mut self, now: Now) {
        while let Some(key) = self.reactor.take_due(now.mono) {
            match Kind::of(key) {
                _ if key == TROUBLES => {
                    self.troubles.take_due(now.mono).into_iter().for_each(|(_, text)| log::warn!("{text}"));
                }
                Kind::Listener => self.listeners.resume(&self.reactor, key),
                Kind::Dial => {
                    let dialled = self.dialler.late(&mut self.reactor, now, key);
                    self.dialled(now, dialled);
                }
                Kind::Closing => self.closing.close(&mut self.reactor, key),
                Kind::Conn => {}
            }
        }
        if self.absence.is_over(now.mono) {
            self.reader.recall(&mut self.conns);
        }
        if self.protocol.is_due(now) {
            self.protocol.tick(now);
        }
    }
}

impl<P> Driver<P> {
    /// Closes every connection, listener and dial, without informing the engine and without writing what is queued.
    pub fn close_all(&mut self) {
        // First, or the system accepts a peer that dials again at once, and resets it.
        self.listeners.close_all(&self.reactor);
        self.conns.close_all();
        self.dialler.close_all(&self.reactor);
        self.closing.close_all(&mut self.reactor);
        self.reader.close();
        self.reactor.clear();
    }

    /// In a child after `fork`: closes the descriptors and does nothing else.
    pub(super) fn abandon(&mut self) {
        self.conns.abandon();
        self.listeners.abandon();
        self.dialler.abandon();
        self.closing.abandon();
        if let Some(waiter) = self.reader.waiter() {
            waiter.abandon();
        }
    }
}

impl<P> Drop for Driver<P> {
    fn drop(&mut self) {
        // In a child the parts close their descriptors and do nothing else.
        if !self.birth.forked() {
            self.close_all();
        }
    }
}
