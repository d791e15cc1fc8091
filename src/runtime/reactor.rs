//! What the parts of a driver share: the poller, keys, and timers.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::time::MonoTime;
use crate::transport::poller::Poller;
use crate::transport::{Ready, ReadyList};

/// The part of a driver that a key belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A connection: an entry of [`Conns`](super::conns::Conns).
    Conn,
    /// An entry of [`Listeners`](super::listeners::Listeners).
    Listener,
    /// An entry of [`Dialler`](super::dialler::Dialler).
    Dial,
    /// An entry of [`Closing`](super::closing::Closing).
    Closing,
}

/// The bits of a key that hold its [`Kind`].
const KIND_SHIFT: u32 = 60;

impl Kind {
    /// The kind of this key.
    pub fn of(key: u64) -> Kind {
        match key >> KIND_SHIFT {
            0 => Kind::Conn,
            1 => Kind::Listener,
            2 => Kind::Dial,
            _ => Kind::Closing,
        }
    }
}

/// The poller of a driver, the keys that it reports, and the timers.
pub(super) struct Reactor {
    pub poller: Arc<Poller>,
    pub ready: Arc<ReadyList>,
    /// Identifies connections, dials and listeners alike; no number is used twice.
    next_key: u64,
    timers: BTreeSet<(MonoTime, u64)>,
}

impl Reactor {
    pub fn new(poller: Arc<Poller>) -> Reactor {
        Reactor { ready: Arc::new(ReadyList::new(poller.clone())), poller, next_key: 0, timers: BTreeSet::new() }
    }

    /// A new key.
    pub fn key(&mut self, kind: Kind) -> u64 {
        self.next_key += 1;
        self.next_key | (kind as u64) << KIND_SHIFT
    }

    /// Reports to the loop that the owner of this key is ready.
    pub fn ready(&self, key: u64) -> Ready {
        Ready::new(&self.ready, key)
    }

    /// Starts a timer of the owner of this key, which may have several.
    pub fn start_timer(&mut self, until: MonoTime, key: u64) {
        self.timers.insert((until, key));
    }

    /// Cancels it.
    pub fn stop_timer(&mut self, until: MonoTime, key: u64) {
        self.timers.remove(&(until, key));
    }

    /// When the first timer expires.
    pub fn next_timer(&self) -> Option<MonoTime> {
        self.timers.first().map(|&(until, _)| until)
    }

    /// Removes a timer that has expired, and returns the key of its owner.
    pub fn take_due(&mut self, now: MonoTime) -> Option<u64> {
        let &(until, key) = self.timers.first()?;
        (until <= now).then(|| {
            self.timers.pop_first();
            key
        })
    }

    /// Forgets every timer, and everything that was reported ready.
    pub fn clear(&mut self) {
        self.timers.clear();
        self.ready.take(&mut Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Backend;

    #[test]
    fn a_key_tells_its_kind_and_a_timer_its_key() {
        let mut reactor = Reactor::new(Arc::new(Poller::new(Backend::Best).unwrap()));
        let at = MonoTime::from_nanos;
        let keys = [Kind::Conn, Kind::Listener, Kind::Dial, Kind::Closing].map(|kind| (reactor.key(kind), kind));
        for (i, (key, kind)) in keys.into_iter().enumerate() {
            assert_eq!(Kind::of(key), kind);
            reactor.start_timer(at(10 - i as u64), key);
        }
        reactor.stop_timer(at(8), keys[2].0);
        assert_eq!((reactor.next_timer(), reactor.take_due(at(6))), (Some(at(7)), None));
        assert_eq!([9, 9, 9].map(|now| reactor.take_due(at(now))), [Some(keys[3].0), Some(keys[1].0), None]);
    }
}
