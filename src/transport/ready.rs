//! Readiness without a descriptor: other threads report it to the loop, or to the thread that reads in its place.

use std::sync::{Arc, OnceLock, Weak};

use super::poller::Poller;
use super::sync::{Mutex, MutexGuard};

/// What a thread sleeps on that waits for a connection.
pub trait Wake: Send + Sync {
    /// Ends the current or the next wait. Does not block.
    fn wake(&self);
}

/// A loop whose turn another thread may run, when it has something for it.
pub trait Turns: Send + Sync {
    /// Takes what is on the list, and does a bounded part of what follows, in the calling thread, which holds no lock.
    /// False if the loop has to, since another thread may have taken the list without what has been reported since.
    fn turn(&self) -> bool;
}

/// The keys of what is ready, until the loop that waits on the poller takes them.
pub struct ReadyList {
    told: Mutex<Told>,
    poller: Arc<Poller>,
    turns: OnceLock<Weak<dyn Turns>>,
}

#[derive(Default)]
struct Told {
    keys: Vec<u64>,
    /// The connection that a thread reads in the loop's place, and what wakes that thread.
    lent: Option<(u64, Arc<dyn Wake>)>,
    /// A thread runs [`Turns`], and looks at the keys again before it stops.
    is_served: bool,
}

impl ReadyList {
    /// The list of the loop that waits on `poller`.
    pub fn new(poller: Arc<Poller>) -> ReadyList {
        ReadyList { told: Mutex::default(), poller, turns: OnceLock::new() }
    }

    /// Has threads that have something for the loop run its turns from now on.
    pub fn set_turns(&self, turns: Weak<dyn Turns>) {
        let _ = self.turns.set(turns);
    }

    /// Takes all keys, in the order in which they were reported, in exchange for an empty vector.
    pub fn take(&self, keys: &mut Vec<u64>) {
        debug_assert!(keys.is_empty());
        std::mem::swap(&mut self.told.lock().keys, keys);
    }

    /// That the connection with this key is readable is reported to a thread from now on.
    pub fn lend(&self, key: u64, thread: Arc<dyn Wake>) {
        self.told.lock().lent = Some((key, thread));
    }

    /// It is reported to the loop again.
    pub fn take_back(&self, key: u64) {
        let mut told = self.told.lock();
        let before = told.lent.take_if(|(lent, _)| *lent == key);
        drop(told);
        drop(before);
    }

    /// Runs turns in the calling thread, which has said that it serves, until nothing is left.
    fn serve(&self, turns: &dyn Turns) {
        /// So many turns, and the loop does the rest: whoever has sent something has other things to do.
        const MOST: usize = 4;
        for _ in 0..MOST {
            if !turns.turn() {
                break;
            }
            let mut told = self.told.lock();
            told.is_served = !told.keys.is_empty();
            if !told.is_served {
                return;
            }
        }
        self.told.lock().is_served = false;
        self.poller.wake();
    }
}

/// Reports to one loop that the thing with this key is ready. Does nothing once the loop is gone.
#[derive(Clone)]
pub struct Ready {
    list: Weak<ReadyList>,
    key: u64,
}

impl Ready {
    /// Reports to the loop that has this list.
    pub fn new(list: &Arc<ReadyList>, key: u64) -> Ready {
        Ready { list: Arc::downgrade(list), key }
    }

    /// Makes the loop read, write or accept. May be called from any thread that does not hold the lock of the loop;
    /// does not block.
    pub fn notify(&self) {
        if let Some(list) = self.list.upgrade() {
            list.told.lock().keys.push(self.key);
            list.poller.wake();
        }
    }

    /// As [`Ready::notify`] if there is something to read, of a connection that a thread may read in the loop's place.
    pub fn notify_reader(&self) {
        if let Some(list) = self.list.upgrade() {
            if self.tell(&list).is_some() {
                list.poller.wake();
            }
        }
    }

    /// As [`Ready::notify_reader`], and the calling thread, which holds no lock, runs the loop's turn if it may.
    fn serve(&self) {
        let Some(list) = self.list.upgrade() else { return };
        let Some(turns) = list.turns.get().and_then(Weak::upgrade) else { return self.notify_reader() };
        // The one that serves looks at the list again before it stops.
        if self.tell(&list).is_some_and(|mut told| !std::mem::replace(&mut told.is_served, true)) {
            list.serve(&*turns);
        }
    }

    /// Reports it to a thread that reads, or on the list, which is returned.
    fn tell<'a>(&self, list: &'a ReadyList) -> Option<MutexGuard<'a, Told>> {
        let mut told = list.told.lock();
        match &told.lent {
            Some((lent, thread)) if *lent == self.key => {
                let thread = thread.clone();
                drop(told);
                thread.wake();
                None
            }
            _ => {
                told.keys.push(self.key);
                Some(told)
            }
        }
    }
}

/// Whom writes have given something to read, and who is not told yet. Nobody is forgotten: what is left is told when this
/// is dropped.
#[derive(Default)]
pub struct Notices(Vec<Ready>);

impl Notices {
    /// `reader` is to be told.
    pub fn add(&mut self, reader: Ready) {
        self.0.push(reader);
    }

    /// Whether there is nobody to tell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all of them.
    pub fn tell(&mut self) {
        self.0.drain(..).for_each(|reader| reader.notify_reader());
    }

    /// Tells all of them, and runs the turn of a loop in the calling thread where that is possible. It holds no lock.
    pub fn serve(mut self) {
        self.0.drain(..).for_each(|reader| reader.serve());
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::super::poller::Backend;
    use super::*;

    #[test]
    fn a_key_that_is_told_ends_a_wait_and_is_taken_once() {
        let poller = Arc::new(Poller::new(Backend::Best).unwrap());
        let list = Arc::new(ReadyList::new(poller.clone()));
        let ready = [7, 3].map(|key| Ready::new(&list, key));
        let (mut events, mut keys) = (Vec::new(), Vec::new());
        ready.iter().for_each(Ready::notify);
        poller.wait(&mut events, Some(Duration::from_secs(60))).unwrap();
        list.take(&mut keys);
        assert_eq!(keys, [7, 3]);
        keys.clear();
        list.take(&mut keys);
        assert!(keys.is_empty());
        drop(list);
        ready[0].notify();
    }
}
