//! Connections inside one process: two bounded pipes of bytes, without a socket.
//!
//! A read or a write that would block is remembered, and the other side's next call wakes whoever waits: the loop, or a
//! thread that reads in its place. Nothing here takes the lock of a loop, so loops cannot wait for each other.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::fork::{Birth, PerProcess};
use super::ready::{Notices, Ready};
use super::stream::ByteStream;
use crate::{Error, Result, Status};

/// What a pipe holds, in bytes.
pub const CAPACITY: usize = 1 << 20;
/// What an empty pipe keeps allocated, in bytes.
const KEPT: usize = 16 << 10;

/// One direction.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// Set by a read that found nothing.
    reader_waits: Option<Ready>,
    /// Set by a write that did not take everything.
    writer_waits: Option<Ready>,
    writer_gone: bool,
    reader_gone: bool,
}

/// One end of a connection. Dropping it closes it: the other side reads what is in flight, then the end of the stream.
pub struct End {
    read: Arc<Mutex<Pipe>>,
    write: Arc<Mutex<Pipe>>,
    /// How this end learns that it can go on; none until it is attached.
    owner: Option<Ready>,
    birth: Birth,
}

fn pair() -> (End, End) {
    let (a, b) = <(Arc<Mutex<Pipe>>, Arc<Mutex<Pipe>>)>::default();
    let birth = Birth::here();
    let end = |read: &Arc<Mutex<Pipe>>, write: &Arc<Mutex<Pipe>>| End {
        read: read.clone(),
        write: write.clone(),
        owner: None,
        birth,
    };
    (end(&a, &b), end(&b, &a))
}

impl ByteStream for End {
    fn attach(&mut self, ready: Ready) {
        self.owner = Some(ready);
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.read.lock();
        if pipe.bytes.is_empty() {
            if pipe.writer_gone || buffer.is_empty() {
                return Ok(0);
            }
            pipe.reader_waits = self.owner.clone();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (first, second) = pipe.bytes.as_slices();
        let n = first.len().min(buffer.len());
        buffer[..n].copy_from_slice(&first[..n]);
        let more = second.len().min(buffer.len() - n);
        buffer[n..n + more].copy_from_slice(&second[..more]);
        let n = n + more;
        pipe.bytes.drain(..n);
        if pipe.bytes.is_empty() && pipe.bytes.capacity() > KEPT {
            pipe.bytes = VecDeque::new();
        }
        // Not after every byte: a writer that is woken finds room for a large write.
        let writer = if pipe.bytes.len() <= CAPACITY / 2 { pipe.writer_waits.take() } else { None };
        drop(pipe);
        if let Some(writer) = writer {
            writer.notify();
        }
        Ok(n)
    }

    fn is_drained(&self) -> bool {
        self.read.lock().reader_waits.is_some()
    }

    fn write(&mut self, slices: &[IoSlice<'_>], notices: &mut Notices) -> io::Result<usize> {
        let mut pipe = self.write.lock();
        if pipe.reader_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut n = 0;
        let mut whole = true;
        for slice in slices {
            let room = CAPACITY - pipe.bytes.len();
            let mut taken = slice.len().min(room);
            let (len, free) = (pipe.bytes.len(), pipe.bytes.capacity() - pipe.bytes.len());
            if taken > free && len + taken > KEPT && pipe.bytes.try_reserve(taken).is_err() {
                // Without memory for all of it, takes as much as fits into the existing allocation, or the smallest
                // piece into an empty pipe.
                taken = if len == 0 { taken.min(KEPT) } else { free };
            }
            pipe.bytes.extend(&slice[..taken]);
            n += taken;
            if taken < slice.len() {
                whole = false;
                break;
            }
        }
        if !whole {
            pipe.writer_waits = self.owner.clone();
        }
        let reader = if n > 0 { pipe.reader_waits.take() } else { None };
        drop(pipe);
        if let Some(reader) = reader {
            notices.add(reader);
        }
        if n == 0 && !whole {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(n)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // The parent's threads may have held these locks when the child was made.
        if self.birth.forked() {
            return;
        }
        let reader = {
            let mut pipe = self.write.lock();
            pipe.writer_gone = true;
            pipe.writer_waits = None;
            pipe.reader_waits.take()
        };
        let (writer, _unread) = {
            let mut pipe = self.read.lock();
            pipe.reader_gone = true;
            pipe.reader_waits = None;
            (pipe.writer_waits.take(), std::mem::take(&mut pipe.bytes))
        };
        if let Some(reader) = reader {
            reader.notify_reader();
        }
        if let Some(writer) = writer {
            writer.notify();
        }
    }
}

/// The listeners by name. A child of `fork` begins with an empty table, since the listeners that it inherits have no
/// threads.
static NAMES: PerProcess<Mutex<BTreeMap<String, Registered>>> = PerProcess::new();

struct Registered {
    id: u64,
    queue: Weak<Backlog>,
}

/// Connections that wait to be accepted.
struct Backlog {
    ends: Mutex<VecDeque<End>>,
    /// Wakes the loop that accepts.
    ready: Ready,
}

/// Holds a name of this process until it is dropped. Connections that were not accepted are closed then.
pub struct Listener {
    name: String,
    id: u64,
    queue: Arc<Backlog>,
    birth: Birth,
}

impl Listener {
    /// Takes the name; `ready` is notified of each connection. [`Status::InUse`] if it is taken.
    pub fn bind(name: &str, ready: Ready) -> Result<Listener> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let queue = Arc::new(Backlog { ends: Mutex::default(), ready });
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let registered = Registered { id, queue: Arc::downgrade(&queue) };
        match NAMES.get().lock().entry(name.to_owned()) {
            Entry::Occupied(mut held) if held.get().queue.strong_count() == 0 => {
                held.insert(registered);
            }
            Entry::Occupied(_) => {
                return Err(Error::new(Status::InUse, format!("{}: inproc://{name}", Status::InUse.text())));
            }
            Entry::Vacant(free) => {
                free.insert(registered);
            }
        }
        Ok(Listener { name: name.to_owned(), id, queue, birth: Birth::here() })
    }

    /// Takes the next connection, if one waits.
    pub fn accept(&self) -> Option<End> {
        self.queue.ends.lock().pop_front()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.birth.forked() {
            return;
        }
        let mut names = NAMES.get().lock();
        if names.get(&self.name).is_some_and(|held| held.id == self.id) {
            names.remove(&self.name);
        }
    }
}

/// Connects to the listener of this name; [`Status::Refused`] if there is none.
pub fn connect(name: &str) -> Result<End> {
    let queue = NAMES.get().lock().get(name).and_then(|held| held.queue.upgrade());
    let Some(queue) = queue else {
        return Err(Error::new(Status::Refused, format!("{}: inproc://{name}", Status::Refused.text())));
    };
    let (mine, theirs) = pair();
    queue.ends.lock().push_back(theirs);
    queue.ready.notify();
    Ok(mine)
}
