//! What a SUB or a BUS has received, taken from NNG at once: NNG drops what is too much for its queues.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::nng::{Error, Message, Socket};

/// How many bytes may wait for standard output. What is more stays with NNG, which then drops messages.
const ROOM: usize = 128 << 20;

/// Messages on their way from a thread that only receives.
pub struct Inbox {
    shared: Arc<Shared>,
    /// Those that were taken out together.
    taken: VecDeque<Message>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// The first message came, or there is room again.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Why no more come.
    end: Option<Error>,
}

impl Inbox {
    /// Begins to receive.
    pub fn start(socket: Socket) -> io::Result<Inbox> {
        let shared = Arc::new(Shared::default());
        let puts = shared.clone();
        let receive = move || loop {
            match socket.receive_next() {
                Ok(message) => puts.put(message),
                Err(error) => return puts.end(error),
            }
        };
        thread::Builder::new().name("receive".to_owned()).spawn(receive)?;
        Ok(Inbox { shared, taken: VecDeque::new() })
    }

    /// As [`Socket::receive`].
    pub fn receive(&mut self, end: Option<Instant>) -> Result<Message, Error> {
        if let Some(message) = self.taken.pop_front() {
            return Ok(message);
        }
        let changed = &self.shared.changed;
        let mut waiting = self.shared.lock();
        loop {
            if !waiting.messages.is_empty() {
                mem::swap(&mut waiting.messages, &mut self.taken);
                waiting.bytes = 0;
                changed.notify_all();
                return self.taken.pop_front().ok_or(Error::CLOSED);
            }
            if let Some(error) = waiting.end {
                return Err(error);
            }
            waiting = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Err(Error::TIMED_OUT),
                Some(left) => changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, message: Message) {
        let mut waiting = self.lock();
        while waiting.bytes >= ROOM {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.bytes += message.body().len();
        waiting.messages.push_back(message);
        if waiting.messages.len() == 1 {
            self.changed.notify_all();
        }
    }

    fn end(&self, error: Error) {
        self.lock().end = Some(error);
        self.changed.notify_all();
    }
}
