//! What NNG's threads leave for the hub's loop.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::nng::{Message, Ticket};
use crate::transport::Ready;

/// Messages that may wait for the hub's loop, and their bytes; then NNG keeps them, and the other side feels it.
const MESSAGES: usize = 1024;
const BYTES: usize = 1 << 20;
/// Lines for the log that may wait.
const LINES: usize = 64;
/// How much of what the other side has said is told: a header may be long.
const TOLD: usize = 300;

/// What came, until the loop takes it. Any thread puts something in and the loop is told, if it waits.
#[derive(Default)]
pub struct Inbox {
    held: Mutex<Held>,
}

/// A message that came, and the ticket to answer it with if it is to be answered.
pub type Letter = (Option<Ticket>, Message);

#[derive(Default)]
struct Held {
    letters: VecDeque<Letter>,
    bytes: usize,
    /// Nothing is put until the loop has taken what is there.
    full: bool,
    /// Where each is.
    clients: HashMap<u32, String>,
    /// What the loop was not told of the connections.
    news: Option<News>,
    /// The loop found nothing.
    waits: bool,
    ready: Option<Ready>,
}

/// What changed with the connections of the other side.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct News {
    /// How many there are.
    pub clients: u32,
    /// Whether one of them is new.
    pub came: bool,
    /// Of each what happened, for the log, as far as there was room.
    pub words: Vec<String>,
}

/// What the loop takes.
#[derive(Default)]
pub struct Taken {
    /// What changed before these messages, or while they came.
    pub news: Option<News>,
    /// In the order in which they came.
    pub letters: VecDeque<Letter>,
    /// Whether the inbox was full: whoever fills it has stopped.
    pub was_full: bool,
}

impl Inbox {
    /// Gives it the loop that is to be told.
    pub fn attach(&self, ready: Ready) {
        self.held.lock().ready = Some(ready);
    }

    /// Puts a message in. False: the inbox is full, no more until the loop [has taken](Taken::was_full) it.
    pub fn put(&self, ticket: Option<Ticket>, message: Message) -> bool {
        let mut full = false;
        self.change(|held| {
            held.bytes += message.body().len();
            held.letters.push_back((ticket, message));
            held.full = held.letters.len() >= MESSAGES || held.bytes >= BYTES;
            full = held.full;
        });
        !full
    }

    /// How many connections there are.
    pub fn clients(&self) -> usize {
        self.held.lock().clients.len()
    }

    /// The connection `id` is there, to `address`.
    pub fn came(&self, id: u32, address: &str) {
        self.news(|clients| {
            clients.insert(id, address.to_owned());
            (true, format!("{address} joined"))
        });
    }

    /// The connection `id` is gone, if it was there.
    pub fn gone(&self, id: u32) {
        self.news(|clients| (false, clients.remove(&id).map_or(String::new(), |address| format!("{address} left"))));
    }

    /// A connection from `address` was not let in.
    pub fn refused(&self, address: &str, why: &str) {
        let why: String = why.chars().take(TOLD).collect();
        self.news(|_| (false, format!("{address} refused: {why}")));
    }

    fn news(&self, change: impl FnOnce(&mut HashMap<u32, String>) -> (bool, String)) {
        self.change(|held| {
            let (came, words) = change(&mut held.clients);
            let news = held.news.get_or_insert_with(News::default);
            news.clients = held.clients.len() as u32;
            news.came |= came;
            if !words.is_empty() && news.words.len() < LINES {
                news.words.push(format!("{words} (now {})", news.clients));
            }
        });
    }

    /// Has the loop look, whether there is something or not.
    pub fn wake(&self) {
        self.change(|held| held.waits = true);
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        let mut held = self.held.lock();
        change(&mut held);
        let ready = if std::mem::take(&mut held.waits) { held.ready.clone() } else { None };
        drop(held);
        if let Some(ready) = ready {
            ready.notify();
        }
    }

    /// Takes everything. The loop is told of what comes next if there was nothing.
    pub fn take(&self) -> Taken {
        let mut held = self.held.lock();
        held.bytes = 0;
        held.waits = held.letters.is_empty() && held.news.is_none();
        Taken {
            news: held.news.take(),
            letters: std::mem::take(&mut held.letters),
            was_full: std::mem::take(&mut held.full),
        }
    }
}
