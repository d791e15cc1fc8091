//! What NNG's threads leave for the hub's loop.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::nng::{Message, Ticket};
use crate::transport::Ready;

/// Messages that arrived, until the loop takes them. Any thread may put something in; the loop is notified if it waits.
#[derive(Default)]
pub struct Arrivals {
    waiting: Mutex<Waiting>,
}

/// A message that arrived, and the ticket for its answer if it needs one.
pub type Arrival = (Option<Ticket>, Message);

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Arrival>,
    bytes: usize,
    /// Nothing more is put in until the loop has taken what is there.
    full: bool,
    /// The address of each connection.
    clients: HashMap<u32, String>,
    /// Changes of connections that the loop has not taken yet.
    changes: Option<Changes>,
    /// The loop found nothing.
    waits: bool,
    ready: Option<Ready>,
}

/// Changes of the other side's connections.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// How many there are.
    pub clients: u32,
    /// Whether one of them is new.
    pub came: bool,
    /// A line for the log about each change, as far as there was room.
    pub words: Vec<String>,
}

/// What the loop takes.
#[derive(Default)]
pub struct Taken {
    /// What changed before these messages, or while they came.
    pub changes: Option<Changes>,
    /// In the order in which they came.
    pub messages: VecDeque<Arrival>,
    /// Whether the inbox was full, so that the threads that fill it have stopped.
    pub was_full: bool,
}

impl Arrivals {
    /// Sets the loop that is notified.
    pub fn attach(&self, ready: Ready) {
        self.waiting.lock().ready = Some(ready);
    }

    /// Puts a message in. False if the inbox is now full: no more until the loop [has taken](Taken::was_full) it.
    pub fn put(&self, ticket: Option<Ticket>, message: Message) -> bool {
        /// Messages that may wait for the hub's loop, and their bytes. Beyond that NNG keeps them, and the other side
        /// has to wait.
        const MESSAGES: usize = 1024;
        const BYTES: usize = 1 << 20;
        let mut full = false;
        self.change(|waiting| {
            waiting.bytes += message.body().len();
            waiting.messages.push_back((ticket, message));
            waiting.full = waiting.messages.len() >= MESSAGES || waiting.bytes >= BYTES;
            full = waiting.full;
        });
        !full
    }

    /// How many connections there are.
    pub fn clients(&self) -> usize {
        self.waiting.lock().clients.len()
    }

    /// There is a connection `id`, to `address`.
    pub fn came(&self, id: u32, address: &str) {
        self.changes(|clients| {
            clients.insert(id, address.to_owned());
            (true, format!("{address} joined"))
        });
    }

    /// The connection `id` is gone, if it was there.
    pub fn gone(&self, id: u32) {
        self.changes(|clients| (false, clients.remove(&id).map_or(String::new(), |address| format!("{address} left"))));
    }

    /// A connection from `address` was not let in.
    pub fn refused(&self, address: &str, why: &str) {
        /// How much of the other side's text is logged, since a header may be long.
        const TOLD: usize = 300;
        let why: String = why.chars().take(TOLD).collect();
        self.changes(|_| (false, format!("{address} refused: {why}")));
    }

    fn changes(&self, change: impl FnOnce(&mut HashMap<u32, String>) -> (bool, String)) {
        /// Lines for the log that may wait.
        const LINES: usize = 64;
        self.change(|waiting| {
            let (came, words) = change(&mut waiting.clients);
            let changes = waiting.changes.get_or_insert_with(Changes::default);
            changes.clients = waiting.clients.len() as u32;
            changes.came |= came;
            if !words.is_empty() && changes.words.len() < LINES {
                changes.words.push(format!("{words} (now {})", changes.clients));
            }
        });
    }

    /// Makes the loop look, whether there is something or not.
    pub fn wake(&self) {
        self.change(|waiting| waiting.waits = true);
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting.lock();
        change(&mut waiting);
        let ready = if std::mem::take(&mut waiting.waits) { waiting.ready.clone() } else { None };
        drop(waiting);
        if let Some(ready) = ready {
            ready.notify();
        }
    }

    /// Takes everything. If there was nothing, the loop is notified of the next arrival.
    pub fn take(&self) -> Taken {
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        waiting.waits = waiting.messages.is_empty() && waiting.changes.is_none();
        Taken {
            changes: waiting.changes.take(),
            messages: std::mem::take(&mut waiting.messages),
            was_full: std::mem::take(&mut waiting.full),
        }
    }
}
