//! Readiness without a descriptor: other threads report it to the loop.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::poller::Poller;

/// The keys of what is ready, until the loop that waits on the poller takes them.
pub struct ReadyList {
    keys: Mutex<Vec<u64>>,
    poller: Arc<Poller>,
}

impl ReadyList {
    /// The list of the loop that waits on `poller`.
    pub fn new(poller: Arc<Poller>) -> ReadyList {
        ReadyList { keys: Mutex::new(Vec::new()), poller }
    }

    /// Takes all keys, in the order in which they were reported, in exchange for an empty vector.
    pub fn take(&self, keys: &mut Vec<u64>) {
        debug_assert!(keys.is_empty());
        std::mem::swap(&mut *self.keys.lock(), keys);
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
            list.keys.lock().push(self.key);
            list.poller.wake();
        }
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
