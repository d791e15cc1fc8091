//! Closed connections whose last bytes are still in flight.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use hashbrown::HashMap;

use super::reactor::{Kind, Reactor};
use crate::engine::Now;
use crate::time::MonoTime;
use crate::transport::poller::Interest;
use crate::transport::socket::Stream;

/// Sockets that are closed for the engine, and are read to their end.
///
/// Over TCP, bytes that the other side has not read are lost if it sends something to a closed socket; over a Unix
/// socket, nanomsg discards what it has not read once it can no longer write.
#[derive(Default)]
pub(super) struct Closing {
    /// Each with the end of its wait.
    streams: HashMap<u64, (Stream, MonoTime)>,
}

impl Closing {
    /// Shuts `stream` down for writing, and closes it once the other side has closed it too, or time is up.
    pub fn begin(&mut self, reactor: &mut Reactor, now: Now, stream: Stream) {
        /// How long a closed connection waits for the other side to read what it was sent.
        const CLOSE_WITHIN: Duration = Duration::from_secs(1);
        stream.end();
        let key = reactor.key(Kind::Closing);
        if reactor.poller.add(stream.as_raw_fd(), key, Interest::READ).is_ok() {
            let until = now.mono + CLOSE_WITHIN;
            reactor.start_timer(until, key);
            self.streams.insert(key, (stream, until));
        }
    }

    /// Something arrived; it is discarded.
    pub fn ready(&mut self, reactor: &mut Reactor, key: u64, buffer: &mut [u8]) {
        let Some((stream, _)) = self.streams.get(&key) else { return };
        let over = match stream.read(buffer) {
            Ok(n) => n == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        if over {
            self.close(reactor, key);
        }
    }

    /// Its time is up, or the other side has closed it.
    pub fn close(&mut self, reactor: &mut Reactor, key: u64) {
        if let Some((stream, until)) = self.streams.remove(&key) {
            reactor.stop_timer(until, key);
            reactor.poller.remove(stream.as_raw_fd());
            stream.discard_unread();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Closes all of them at once.
    pub fn close_all(&mut self, reactor: &mut Reactor) {
        let keys: Vec<_> = self.streams.keys().copied().collect();
        keys.into_iter().for_each(|key| self.close(reactor, key));
    }

    /// In a child after `fork`: closes the descriptors and does nothing else.
    pub fn abandon(&mut self) {
        self.streams.clear();
    }
}
