//! The connections of a driver: reads and writes them in rounds.

pub mod lending;

use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::address::Encoding;
use super::channel::Channel;
use super::clock::now as this_moment;
use super::fair::{Fair, Served};
use super::share::Share;
use super::stint::{cost_of_reading, cost_of_writing};
use crate::engine::{Closed, ConnId, Gateway, Now, Protocol};
use crate::framing::Framing;
use crate::transport::inproc;
use crate::transport::poller::{Interest, Poller};
use crate::transport::readiness::Readiness;
use crate::transport::{Notices, ReadyList};
use crate::Error;

/// How many bytes one read takes at most.
pub const READ: usize = 64 << 10;

/// How many bytes of a large body one read takes at most: as many as there can be, in most systems.
const READ_BODY: usize = 256 << 10;

/// A connection that is new to the driver.
pub struct Opened {
    pub channel: Channel,
    /// How its bytes are read and written.
    pub encoding: Encoding,
    /// The address that was dialled or listened at.
    pub url: String,
    /// The protocol that its listener speaks, if it is not BUS.
    pub gateway: Option<Gateway>,
}

impl Opened {
    pub fn in_memory(end: inproc::End, url: String) -> Opened {
        let encoding = Encoding { framing: Framing::Inproc, web: None };
        Opened { channel: Channel::Other(Box::new(end)), encoding, url, gateway: None }
    }

    /// The other side in words.
    pub fn from(&self) -> String {
        let from = match &self.channel {
            Channel::Socket(stream) => stream.from(),
            Channel::Tls(stream) => stream.from(),
            Channel::Other(_) => None,
        };
        // A socket knows its peer, and the URL what is spoken over it.
        let from = from.map(|from| match (from.split_once("://"), self.url.split_once("://")) {
            (Some((_, peer)), Some((scheme, _))) => format!("{scheme}://{peer}"),
            _ => from,
        });
        match (from, self.gateway) {
            (Some(from), Some(gateway)) => format!("{from} ({})", gateway.role.hears()),
            (from, _) => from.unwrap_or_else(|| self.url.clone()),
        }
    }
}

/// A connection of the driver.
pub struct Conn {
    pub channel: Channel,
    /// The other side in words, for errors.
    pub from: String,
    /// The last write did not take everything: writing goes on when the socket is writable again.
    blocked: bool,
    /// Whether the poller reports that it is writable.
    watched: bool,
    /// Writing failed because the other side is gone; what it sent before is still read.
    pub broken: bool,
    /// What it has had of [`Conns::reading`].
    reads: Served,
    /// How many bytes the loop reads of it when it is its turn.
    share: Share,
    /// What it has had of [`Conns::writing`].
    writes: Served,
    /// The poller reported that nothing more will come than what is there.
    hung: bool,
    /// The engine accepts no bytes for now; the connection is in [`Conns::paused`].
    paused: bool,
    /// Lent to a thread that reads it: see [`Lender`].
    pub lent: bool,
    /// [`Conns::readiness`] watches it.
    shown: bool,
}

impl Conn {
    /// What the poller is to report of it. It reports in any case that the other side is gone.
    fn interest(&self) -> Interest {
        Interest { read: !self.paused && !self.lent, write: self.watched }
    }

    fn watch(&self, poller: &Poller, key: u64) -> io::Result<()> {
        match self.channel.fd() {
            // Once only, or a dead connection would be reported to the loop until the thread that reads it has noticed
            // too.
            Some(fd) if self.lent => poller.set_once(fd, key, self.interest()),
            Some(fd) => poller.set(fd, key, self.interest()),
            None => Ok(()),
        }
    }

    /// A write goes on when the poller reports that it is writable, or by itself after a read.
    fn block(&mut self, poller: &Poller, key: u64) -> io::Result<()> {
        self.blocked = true;
        if std::mem::replace(&mut self.watched, self.channel.waits_to_be_writable()) != self.watched {
            self.watch(poller, key)?;
        }
        Ok(())
    }
}

/// Result of a round of reading.
pub struct Read {
    /// How many bytes were read.
    pub bytes: usize,
    /// Whether there may be more to read.
    pub more: bool,
    /// Why nothing more will come, if that is so: the connection is to be closed.
    pub ended: Option<Closed>,
}

/// Result of a round of writing.
pub enum Written {
    /// Everything is written, or will be once the socket is writable.
    All,
    /// The round is over, and more waits.
    Some,
    /// The other side is gone; what it sent before is still to be read.
    Gone,
    /// The connection is to be closed.
    Failed(Error),
}

/// The connections of a driver. The engine whose bytes they carry is passed in.
pub struct Conns {
    poller: Arc<Poller>,
    /// What those report to that the poller does not watch.
    ready: Arc<ReadyList>,
    conns: HashMap<u64, Conn>,
    /// Those that wait to be read.
    reading: Fair,
    /// Those that wait to be written.
    writing: Fair,
    /// Those whose bytes the engine does not accept for now.
    paused: Vec<u64>,
    /// Kept for its allocation.
    slices: Vec<IoSlice<'static>>,
    /// The buffer of all reads, of any thread.
    buffer: Vec<u8>,
    /// What the program waits for in its own event loop, if it does.
    readiness: Option<Readiness>,
    /// Readers in this process that were written to and have not been told.
    notices: Notices,
    /// They are kept until [`Conns::take_notices`].
    keeps_notices: bool,
}

/// The empty vector `slices` with another lifetime, to reuse its allocation.
fn recycle<'a>(mut slices: Vec<IoSlice<'_>>) -> Vec<IoSlice<'a>> {
    slices.clear();
    slices.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}

/// Whether the other side closed the connection, as opposed to a failure in between.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected)
}

impl Conns {
    pub fn new(poller: Arc<Poller>, ready: Arc<ReadyList>) -> Conns {
        Conns {
            poller,
            ready,
            conns: HashMap::new(),
            reading: Fair::default(),
            writing: Fair::default(),
            paused: Vec::new(),
            slices: Vec::new(),
            buffer: Vec::new(),
            readiness: None,
            notices: Notices::default(),
            keeps_notices: false,
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.conns.len()
    }

    pub fn get(&self, key: u64) -> Option<&Conn> {
        self.conns.get(&key)
    }

    /// Starts to move the bytes of a connection. Fails if the poller cannot add it.
    pub fn add(&mut self, key: u64, channel: Channel, from: String) -> io::Result<()> {
        if let Some(fd) = channel.fd() {
            self.poller.add(fd, key, Interest::READ)?;
        }
        let conn = Conn {
            channel,
            from,
            blocked: false,
            watched: false,
            broken: false,
            reads: Served::default(),
            share: Share::new(READ),
            writes: Served::default(),
            hung: false,
            paused: false,
            lent: false,
            shown: false,
        };
        self.conns.insert(key, conn);
        Ok(())
    }

    /// Removes a connection, so that nothing more is reported of it.
    pub fn take(&mut self, key: u64) -> Option<Conn> {
        let conn = self.conns.remove(&key)?;
        if let Some(fd) = conn.channel.fd() {
            self.poller.remove(fd);
            if let (true, Some(readiness)) = (conn.shown, &self.readiness) {
                readiness.unwatch(fd);
            }
        }
        if conn.lent {
            self.ready.take_back(key);
        }
        Some(conn)
    }

    /// Closes all of them, without writing what is queued.
    pub fn close_all(&mut self) {
        for (key, conn) in self.conns.drain() {
            if conn.lent {
                self.ready.take_back(key);
            }
            if let Some(fd) = conn.channel.fd() {
                self.poller.remove(fd);
                if let (true, Some(readiness)) = (conn.shown, &self.readiness) {
                    readiness.unwatch(fd);
                }
            }
            if let Some(stream) = conn.channel.end() {
                stream.discard_unread();
            }
        }
        self.reading.clear();
        self.writing.clear();
    }

    /// In a child after `fork`: closes the descriptors and does nothing else.
    pub fn abandon(&mut self) {
        self.conns.clear();
        self.readiness = None;
    }

    // ---- rounds

    /// Has the loop read it, when it is its turn.
    pub fn wait_to_read(&mut self, key: u64) {
        if let Some(conn) = self.conns.get_mut(&key) {
            self.reading.wait(key, &mut conn.reads);
        }
    }

    /// Has the loop write it, when it is its turn.
    pub fn wait_to_write(&mut self, key: u64) {
        if let Some(conn) = self.conns.get_mut(&key) {
            self.writing.wait(key, &mut conn.writes);
        }
    }

    /// Whether any of them waits for the loop.
    pub fn are_waiting(&self) -> bool {
        !self.reading.is_empty() || !self.writing.is_empty()
    }

    /// The next that is to be read, and how many bytes. Its time is to be [counted](Conns::was_read).
    pub fn next_to_read(&mut self) -> Option<(u64, usize)> {
        loop {
            let key = self.reading.next()?;
            let Some(conn) = self.conns.get_mut(&key) else { continue };
            conn.reads.begin();
            // A thread that reads it need not know that it cannot be written to.
            if !conn.lent || conn.broken {
                let alone = self.reading.is_empty();
                return Some((key, conn.share.bytes(alone)));
            }
        }
    }

    /// Reading so many bytes of it took so long.
    pub fn was_read(&mut self, key: u64, bytes: usize, time: Duration) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.share.took(bytes, time);
            self.reading.took(&mut conn.reads, cost_of_reading(bytes, time));
        }
    }

    /// The next that is to be written. What it takes is to be [counted](Conns::was_written).
    pub fn next_to_write(&mut self) -> Option<u64> {
        loop {
            let key = self.writing.next()?;
            let Some(conn) = self.conns.get_mut(&key) else { continue };
            conn.writes.begin();
            return Some(key);
        }
    }

    /// So many bytes of it were written. `more`: it waits again.
    pub fn was_written(&mut self, key: u64, bytes: usize, more: bool) {
        if let Some(conn) = self.conns.get_mut(&key) {
            self.writing.took(&mut conn.writes, cost_of_writing(bytes));
            if more {
                self.writing.wait(key, &mut conn.writes);
            }
        }
    }

    /// The buffer for reading, until it is [given back](Conns::put_buffer).
    pub fn take_buffer(&mut self) -> Vec<u8> {
        /// Size of the buffer for reading, in bytes: so large that malloc returns it to the system when the loop is
        /// idle. Only the part that is read into takes memory.
        const READ_BUFFER: usize = 256 << 10;
        if self.buffer.is_empty() {
            return vec![0; READ_BUFFER];
        }
        std::mem::take(&mut self.buffer)
    }

    /// Gives it back. An empty one releases the memory.
    pub fn put_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Reads `most` bytes, and less than [`READ`] more, through `buffer` into the engine.
    pub fn read<P: Protocol>(
        &mut self,
        engine: &mut P,
        now: Now,
        conn: ConnId,
        buffer: &mut [u8],
        most: usize,
    ) -> Read {
        /// How long that may take: a mebibyte of small messages takes 50 ms and more.
        const TIME: Duration = Duration::from_millis(2);
        let n = buffer.len().min(READ).min(most);
        // What others wait for is not held up by more.
        let body = if n == READ { READ_BODY } else { n };
        let buffer = &mut buffer[..n];
        let mut bytes = 0;
        let Some(c) = self.conns.get_mut(&conn.0) else { return Read { bytes, more: false, ended: None } };
        let (more, ended) = loop {
            // Of one that is hung the poller reports so until all is read.
            if !c.hung && !engine.reads(conn) {
                if !c.paused {
                    c.paused = true;
                    self.paused.push(conn.0);
                    let _ = c.watch(&self.poller, conn.0);
                }
                break (false, None);
            }
            let room = c.channel.plain().and_then(|stream| Some((stream, engine.room(now, conn)?)));
            let (read, asked, placed) = match room {
                Some((stream, room)) => {
                    let most = room.most.min(body);
                    (stream.read_body(room.body, most), most, true)
                }
                None => (c.channel.read(buffer), buffer.len(), false),
            };
            match read {
                Ok(0) => break (false, Some(Closed::ByPeer)),
                Ok(n) => {
                    // The poller reports what comes later.
                    let all = !c.broken && c.channel.is_drained(n, asked);
                    bytes += n;
                    if placed {
                        engine.placed(now, conn, n);
                    } else {
                        engine.bytes(now, conn, &buffer[..n]);
                    }
                    if all {
                        break (false, None);
                    }
                    if bytes >= most || this_moment().mono >= now.mono + TIME {
                        break (true, None);
                    }
                }
                // A broken connection is no longer readable, and reports nothing either.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    break (false, c.broken.then_some(Closed::ByPeer));
                }
                Err(error) if is_gone(&error) => break (false, Some(Closed::ByPeer)),
                Err(error) => break (false, Some(Closed::Failed(Error::io(&error, &c.from)))),
            }
        };
        if ended.is_none() && !c.channel.is_flushed() {
            // What the read had to write. If that fails, so does the next write.
            let _ = c.block(&self.poller, conn.0);
        } else if c.blocked && !c.watched && matches!(c.channel, Channel::Tls(_)) {
            // The write waited for a read.
            c.blocked = false;
            self.writing.wait(conn.0, &mut c.writes);
        }
        Read { bytes: c.channel.received(bytes), more, ended }
    }

    /// Writes what the engine has for it: one round, or until the socket is full. Returns how many bytes that were.
    pub fn write<P: Protocol>(&mut self, engine: &mut P, now: Now, key: u64) -> (usize, Written) {
        /// How many bytes one connection may write in a round before it is the turn of the others.
        const WRITE_ROUND: usize = 1 << 20;
        let mut round = 0;
        let Some(conn) = self.conns.get_mut(&key) else { return (round, Written::All) };
        if conn.blocked || conn.broken {
            return (round, Written::All);
        }
        let result = loop {
            let mut slices = recycle(std::mem::take(&mut self.slices));
            engine.gather(now, ConnId(key), &mut slices);
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            let written = if offered == 0 {
                conn.channel.flush().map(|()| 0)
            } else {
                conn.channel.write(&slices, &mut self.notices)
            };
            self.slices = recycle(slices);
            let whole = match written {
                Ok(n) => {
                    let more = n > 0 && engine.wrote(now, ConnId(key), n);
                    round += n;
                    let whole = n == offered && conn.channel.is_flushed();
                    if whole && !more {
                        break Written::All;
                    }
                    whole
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                Err(error) if is_gone(&error) => break Written::Gone,
                Err(error) => break Written::Failed(Error::io(&error, &conn.from)),
            };
            if !whole {
                if let Err(error) = conn.block(&self.poller, key) {
                    break Written::Failed(Error::io(&error, &conn.from));
                }
                break Written::All;
            }
            if round >= WRITE_ROUND {
                break Written::Some;
            }
        };
        if !self.keeps_notices {
            self.notices.tell();
        }
        (round, result)
    }

    /// From now on readers in this process are not told of what is written: see [`Conns::take_notices`].
    pub fn keep_notices(&mut self) {
        self.keeps_notices = true;
    }

    /// The readers that were written to since then, to be told once the lock of the driver is released.
    pub fn take_notices(&mut self) -> Notices {
        self.keeps_notices = false;
        std::mem::take(&mut self.notices)
    }

    /// Writes nothing more; what the other side sent before it was gone is read in the next turn.
    pub fn read_to_end(&mut self, key: u64) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.broken = true;
        }
        self.wait_to_read(key);
    }

    /// Nothing more will come of it than what is there: that is read even if the engine accepts no bytes for now.
    pub fn mark_hung(&mut self, key: u64) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.hung = true;
        }
    }

    /// It is writable, whether or not the last write took everything.
    pub fn unblock(&mut self, key: u64) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.blocked = false;
        }
    }

    /// Whether a write waits for it to become writable.
    pub fn is_blocked(&self, key: u64) -> bool {
        self.conns.get(&key).is_some_and(|conn| conn.blocked)
    }

    /// It was written to since the poller reported it writable. If that blocked again, the poller keeps reporting it,
    /// so that a busy connection costs no extra call.
    pub fn wrote(&mut self, key: u64) {
        if let Some(conn) = self.conns.get_mut(&key) {
            if conn.watched && !conn.blocked {
                conn.watched = false;
                let _ = conn.watch(&self.poller, key);
            }
        }
    }

    /// The poller reported it although a thread reads it. It reports once, and is now set again to what the loop needs.
    pub fn watch_lent(&self, key: u64) {
        if let Some(conn) = self.conns.get(&key).filter(|conn| conn.watched) {
            let _ = conn.watch(&self.poller, key);
        }
    }

    /// Reads again the connections whose bytes the engine accepts again.
    pub fn resume(&mut self, engine: &impl Protocol) {
        let mut paused = std::mem::take(&mut self.paused);
        paused.retain(|&key| {
            let Some(conn) = self.conns.get_mut(&key) else { return false };
            if !engine.reads(ConnId(key)) {
                return true;
            }
            conn.paused = false;
            let _ = conn.watch(&self.poller, key);
            self.reading.wait(key, &mut conn.reads);
            false
        });
        self.paused = paused;
    }

    // ---- the program's own event loop

    /// The descriptor for it, which is made when there is none.
    pub fn readiness(&mut self) -> io::Result<RawFd> {
        if let Some(readiness) = &self.readiness {
            return Ok(readiness.fd());
        }
        Ok(self.readiness.insert(Readiness::new()?).fd())
    }

    /// Makes it readable, or not, as far as that depends on what was read. True if that ends with this call.
    pub fn set_ready(&mut self, ready: bool) -> bool {
        self.readiness.as_mut().is_some_and(|readiness| readiness.set(ready))
    }
}
