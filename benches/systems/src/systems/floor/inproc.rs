//! The floor of one process: threads that hand messages to each other under a mutex, and wait for a condition variable.
//! A message is copied once, into the memory of its receiver.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::relay::FULL;
use super::{first_body, parts, put_head, LENGTH};
use crate::system::{Crowd, Flow, Handler, Place, Publisher, Result, Role, Subscriber, System};

/// Everybody in this process who receives.
static ROOM: Mutex<Vec<Arc<Mailbox>>> = Mutex::new(Vec::new());
/// How many these are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What a receiver has not taken.
#[derive(Default)]
struct Mailbox {
    messages: Mutex<Vec<u8>>,
    arrived: Condvar,
    taken: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// Waits while there is too much.
    fn put(&self, head: &[u8], payload: &[u8]) {
        let mut messages = lock(&self.messages);
        while messages.len() > FULL {
            messages = self.taken.wait(messages).unwrap_or_else(PoisonError::into_inner);
        }
        let was_empty = messages.is_empty();
        messages.extend_from_slice(head);
        messages.extend_from_slice(payload);
        drop(messages);
        // The receiver waits only while there is nothing.
        if was_empty {
            self.arrived.notify_one();
        }
    }

    /// Exchanges all there is for `empty`; leaves it if nothing comes within the time.
    fn take(&self, empty: &mut Vec<u8>, patience: Duration) {
        let messages = lock(&self.messages);
        let waited = self.arrived.wait_timeout_while(messages, patience, |messages| messages.is_empty());
        let (mut messages, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let was_full = messages.len() > FULL;
        std::mem::swap(&mut *messages, empty);
        drop(messages);
        if was_full {
            self.taken.notify_all();
        }
    }
}

pub(super) struct Inproc;

impl System for Inproc {
    fn name(&self) -> &'static str {
        "floor inproc"
    }

    fn role(&self) -> Role {
        Role::Floor
    }

    fn version(&self) -> Result<String> {
        Ok(env!("CARGO_PKG_VERSION").to_string())
    }

    fn in_one_process(&self) -> bool {
        true
    }

    fn hub(&self, _place: &Place) -> Option<Result<Command>> {
        None
    }

    fn publisher(&self, _place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
        Ok(Box::<Writer>::default())
    }

    fn subscriber(&self, _place: &Place, _identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
        let own = Arc::<Mailbox>::default();
        let writer = Writer { own: Some(own.clone()), ..Writer::default() };
        let mut room = lock(&ROOM);
        room.push(own.clone());
        COUNT.store(room.len(), Ordering::Release);
        drop(room);
        let names = names.iter().map(ToString::to_string).collect();
        Ok(Box::new(Reader { writer, own, names, input: Vec::new(), start: 0 }))
    }

    fn crowd(&self, _place: &Place, _n: usize) -> Result<Box<dyn Crowd>> {
        Err("threads of one process have no connections".to_string())
    }
}

/// Puts messages where everybody else takes them.
#[derive(Default)]
struct Writer {
    own: Option<Arc<Mailbox>>,
    others: Vec<Arc<Mailbox>>,
    /// How many were in the room when the others were looked up.
    count: usize,
    head: Vec<u8>,
}

impl Publisher for Writer {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        if COUNT.load(Ordering::Acquire) != self.count {
            let room = lock(&ROOM);
            self.count = room.len();
            let is_other = |mailbox: &&Arc<Mailbox>| self.own.as_ref().is_none_or(|own| !Arc::ptr_eq(own, mailbox));
            self.others = room.iter().filter(is_other).cloned().collect();
        }
        put_head(&mut self.head, name, payload)?;
        self.others.iter().for_each(|mailbox| mailbox.put(&self.head, payload));
        Ok(())
    }
}

struct Reader {
    writer: Writer,
    own: Arc<Mailbox>,
    names: Vec<String>,
    input: Vec<u8>,
    /// Of what has not been handed on.
    start: usize,
}

impl Publisher for Reader {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        self.writer.publish(name, payload)
    }
}

impl Subscriber for Reader {
    fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
        loop {
            while let Ok(body) = first_body(&self.input[self.start..]) {
                self.start += LENGTH + body.len();
                let (name, payload) = parts(body)?;
                let ours = self.names.is_empty() || self.names.iter().any(|wanted| wanted == name);
                if ours && handler(&mut self.writer, name, payload) == Flow::Stop {
                    return Ok(true);
                }
            }
            self.input.clear();
            self.start = 0;
            self.own.take(&mut self.input, patience);
            if self.input.is_empty() {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_get_what_others_publish_in_its_order_and_nothing_of_their_own() {
        let place = Place { directory: std::env::temp_dir(), port: 0 };
        let mut asks = Inproc.subscriber(&place, "asks", &[]).unwrap();
        let (joined, has_joined) = std::sync::mpsc::channel();
        let echoes = std::thread::spawn(move || {
            let mut echo = Inproc.subscriber(&place, "echo", &["ping"]).unwrap();
            joined.send(()).unwrap();
            echo.serve(Duration::from_secs(60), &mut |publisher, name, payload| {
                assert_eq!(name, "ping");
                publisher.publish("pong", payload).unwrap();
                match payload {
                    b"end" => Flow::Stop,
                    _ => Flow::More,
                }
            })
        });
        has_joined.recv().unwrap();
        // More than fits at once.
        let large = vec![7; FULL / 2];
        let sent: Vec<&[u8]> = vec![b"1", &large, &large, &large, b"", b"end"];
        sent.iter().for_each(|payload| asks.publish("ping", payload).unwrap());
        asks.publish("other", b"").unwrap();
        let mut seen = Vec::new();
        let finished = asks.serve(Duration::from_secs(60), &mut |_, name, payload| {
            seen.push((name.to_string(), payload.to_vec()));
            if payload == b"end" {
                Flow::Stop
            } else {
                Flow::More
            }
        });
        assert_eq!((finished, echoes.join().unwrap()), (Ok(true), Ok(true)));
        assert!(seen
            .iter()
            .map(|(name, payload)| (name.as_str(), payload.as_slice()))
            .eq(sent.iter().map(|p| ("pong", *p))));
        assert_eq!(asks.serve(Duration::ZERO, &mut |_, _, _| Flow::Stop), Ok(false));
    }
}
