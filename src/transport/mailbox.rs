//! What other threads hand to a loop.

use std::sync::Arc;

use parking_lot::Mutex;
use socket2::SockAddr;

use super::inproc;
use super::poller::Poller;
use crate::Result;

/// One thing handed over.
pub enum Letter {
    /// An in-memory connection can be read or written again.
    Ready(u64),
    /// A connection for the in-memory listener with this key.
    Accept(u64, inproc::End),
    /// The addresses of the name that the dial with this key asked for.
    Resolved(u64, Result<Vec<SockAddr>>),
}

/// Takes letters from any thread and wakes the loop.
pub struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    poller: Arc<Poller>,
}

impl Mailbox {
    /// The mailbox of the loop that waits on `poller`.
    pub fn new(poller: Arc<Poller>) -> Mailbox {
        Mailbox { letters: Mutex::new(Vec::new()), poller }
    }

    /// Hands a letter over. Called without the lock of any pipe.
    pub fn post(&self, letter: Letter) {
        self.letters.lock().push(letter);
        self.poller.wake();
    }

    /// Takes all letters, in the order of their posting, in exchange for an empty vector.
    pub fn take(&self, letters: &mut Vec<Letter>) {
        debug_assert!(letters.is_empty());
        std::mem::swap(&mut *self.letters.lock(), letters);
    }
}
