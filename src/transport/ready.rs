//! Readiness without a descriptor: other threads report it to the loop, or to the thread that reads in its place.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::poller::Poller;

/// What a thread sleeps on that waits for a connection.
pub trait Wake: Send + Sync {
    /// Ends the current or the next wait. Does not block.
    fn wake(&self);
}

/// The keys of what is ready, until the loop that waits on the poller takes them.
pub struct ReadyList {
    told: Mutex<Told>,
    poller: Arc<Poller>,
}

#[derive(Default)]
struct Told {
    keys: Vec<u64>,
    /// The connection that a thread reads in the loop's place, and what wakes that thread.
    lent: Option<(u64, Arc<dyn Wake>)>,
}

impl ReadyList {
    /// The list of the loop that waits on `poller`.
    pub fn new(poller: Arc<Poller>) -> ReadyList {
        ReadyList { told: Mutex::default(), poller }
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

    /// Reports it to a thread that reads, or on the list, which is returned.
    fn tell<'a>(&self, list: &'a ReadyList) -> Option<parking_lot::MutexGuard<'a, Told>> {
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

    /// Tells all of them.
    pub fn tell(&mut self) {
        self.0.drain(..).for_each(|reader| reader.notify_reader());
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
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
