//! One TLS connection without its socket: records of the network on one side, bytes of the program on the other.
//!
//! Everything that it holds is bounded: a record or two that came and are not read yet, and of what goes out as much as
//! one [`write`](Machine::write) takes. What is empty takes no memory.

use std::fmt::Display;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::Error;

/// How much is received at a time: almost two of the largest records, so that there is room behind an unfinished one.
const CHUNK: usize = 32 << 10;
/// How much a hub may send before the handshake is over: its certificates may be many, and come as one message.
const HANDSHAKE: usize = 80 << 10;
/// How much one write takes: the contents of two of the largest records.
pub const BATCH: usize = 32 << 10;
/// A record has at most this much beside its contents.
const OVERHEAD: usize = 32;
/// The most that a record contains.
const RECORD: usize = 16 << 10;

/// Which side of the connection this is.
enum Side {
    App(Box<UnbufferedClientConnection>),
    Hub(Box<UnbufferedServerConnection>),
}

/// What a step has led to.
enum Step {
    /// There may be more to do.
    Again,
    /// Nothing more can be done before something is received.
    Waits,
    /// The same, but this side may send. Whether it did.
    MaySpeak { spoke: bool },
    /// The other side has said that it sends nothing more.
    Ended,
}

/// What is to be sent, if a step comes to it.
enum Say<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// That nothing follows.
    End,
}

/// Bytes that are taken from the front. Without any it has no memory.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    taken: usize,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    fn left(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, n: usize) {
        self.taken += n;
        if self.is_empty() {
            *self = Queue::default();
        }
    }

    /// As much as fits.
    fn move_to(&mut self, out: &mut [u8]) -> usize {
        let n = self.left().len().min(out.len());
        out[..n].copy_from_slice(&self.left()[..n]);
        self.take(n);
        n
    }
}

/// A connection.
pub struct Machine {
    side: Side,
    /// Records that came.
    incoming: Queue,
    /// What they contained, and was not read yet.
    plain: Queue,
    /// Records to be sent.
    outgoing: Queue,
    established: bool,
    ended: bool,
    failed: Option<Error>,
}

impl Machine {
    /// The side of an app.
    pub fn app(connection: UnbufferedClientConnection) -> Machine {
        Machine::new(Side::App(Box::new(connection)))
    }

    /// The side of a hub.
    pub fn hub(connection: UnbufferedServerConnection) -> Machine {
        Machine::new(Side::Hub(Box::new(connection)))
    }

    fn new(side: Side) -> Machine {
        Machine {
            side,
            incoming: Queue::default(),
            plain: Queue::default(),
            outgoing: Queue::default(),
            established: false,
            ended: false,
            failed: None,
        }
    }

    /// Whether this is an app.
    pub fn is_app(&self) -> bool {
        matches!(self.side, Side::App(_))
    }

    /// Whether the handshake is over, as far as this side is concerned.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Whether the other side has said that it sends nothing more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What came and is not understood: after an error, what it was about.
    pub fn unread(&self) -> &[u8] {
        &self.incoming.bytes
    }

    // ---- from the network to the program

    /// Where what comes next is appended, and how much of it at most.
    ///
    /// # Errors
    /// The other side sends more than it may before the handshake is over.
    pub fn room(&mut self) -> Result<(&mut Vec<u8>, usize), Error> {
        let most = if self.established || !self.is_app() { CHUNK } else { HANDSHAKE };
        let queue = &mut self.incoming;
        queue.bytes.drain(..std::mem::take(&mut queue.taken));
        match most.saturating_sub(queue.bytes.len()) {
            0 => Err(Error::General("the handshake is too long".to_owned())),
            left => {
                let room = left.min(CHUNK);
                queue.bytes.reserve_exact(room);
                Ok((&mut queue.bytes, room))
            }
        }
    }

    /// Nothing more comes for now: what waits to be read keeps no more memory than it takes.
    pub fn spare_memory(&mut self) {
        self.incoming.take(0);
        self.incoming.bytes.shrink_to_fit();
    }

    /// Reads what the other side's program has written, as far as its records came.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let mut n = 0;
        loop {
            n += self.plain.move_to(&mut out[n..]);
            if n == out.len() || self.ended {
                return Ok(n);
            }
            match self.step(&Say::Nothing) {
                Ok(Step::Again | Step::Ended) => {}
                Ok(Step::Waits | Step::MaySpeak { .. }) => return Ok(n),
                // Told the next time.
                Err(_) if n > 0 => return Ok(n),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether [`read`](Machine::read) would read nothing, and say nothing else, before more has come.
    pub fn needs_more(&self) -> bool {
        let whole = |record: &[u8]| match record {
            [_, _, _, high, low, rest @ ..] => rest.len() >= usize::from(u16::from_be_bytes([*high, *low])),
            _ => false,
        };
        self.plain.is_empty() && !self.ended && self.failed.is_none() && !whole(self.incoming.left())
    }

    // ---- from the program to the network

    /// Makes records of `bytes`, at most [`BATCH`] of them. False: the handshake goes on, and nothing was written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        self.say(Say::Bytes(bytes))
    }

    /// Says that this side sends nothing more.
    pub fn end(&mut self) {
        // A handshake that is not over ends without.
        let _ = self.say(Say::End);
    }

    /// Begins the handshake, if that is for this side to do, and goes on with it.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.say(Say::Nothing).map(drop)
    }

    /// Puts what an error leaves to be said into what is to be sent.
    pub fn last_words(&mut self) {
        self.failed = None;
        // As long as there are words, a step looks at nothing else.
        while self.wants_to_speak() && self.step(&Say::Nothing).is_ok() {}
    }

    fn wants_to_speak(&self) -> bool {
        match &self.side {
            Side::App(app) => app.wants_write(),
            Side::Hub(hub) => hub.wants_write(),
        }
    }

    /// Records that are to be sent.
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.left()
    }

    /// So many bytes of them are sent.
    pub fn sent(&mut self, n: usize) {
        self.outgoing.take(n);
    }

    fn say(&mut self, say: Say<'_>) -> Result<bool, Error> {
        loop {
            match self.step(&say)? {
                Step::Again | Step::Ended => {}
                Step::Waits => return Ok(false),
                Step::MaySpeak { spoke } => return Ok(spoke),
            }
        }
    }

    fn step(&mut self, say: &Say<'_>) -> Result<Step, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Machine { side, incoming, plain, outgoing, .. } = self;
        let unread = &mut incoming.bytes[incoming.taken..];
        let (taken, step) = match side {
            Side::App(app) => handle(app.process_tls_records(unread), plain, outgoing, say),
            Side::Hub(hub) => handle(hub.process_tls_records(unread), plain, outgoing, say),
        };
        match &step {
            // What is unread says what is wrong.
            Err(error) => self.failed = Some(error.clone()),
            Ok(step) => {
                incoming.take(taken);
                self.ended |= matches!(step, Step::Ended);
                self.established |= matches!(step, Step::MaySpeak { .. });
            }
        }
        step
    }
}

/// Carries out what the state of a connection asks for. Returns how much of the input is done with.
fn handle<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &mut Queue,
    outgoing: &mut Queue,
    say: &Say<'_>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Again),
                Some(Err(error)) => break Err(error),
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain.bytes.extend_from_slice(record.payload);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let most = match data.encode(&mut []) {
                Err(EncodeError::InsufficientSize(size)) => size.required_size,
                _ => 0,
            };
            append(outgoing, most, |out| data.encode(out)).map(|()| Step::Again)
        }
        // It is in the queue, and sent before everything else.
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::Ended),
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Ok(Step::Waits),
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match say {
            Say::Nothing => Ok(false),
            Say::Bytes(bytes) => {
                let most = bytes.len() + OVERHEAD * (2 + bytes.len() / RECORD);
                append(outgoing, most, |out| traffic.encrypt(bytes, out)).map(|()| true)
            }
            Say::End => append(outgoing, 2 * OVERHEAD, |out| traffic.queue_close_notify(out)).map(|()| true),
        }
        .map(|spoke| Step::MaySpeak { spoke }),
        Ok(state) => Err(Error::General(format!("unexpected state: {state:?}"))),
    };
    (discard, step)
}

/// Appends what `write` makes, which is at most so long.
fn append<E: Display>(
    queue: &mut Queue,
    most: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<(), Error> {
    let len = queue.bytes.len();
    queue.bytes.resize(len + most, 0);
    let written = write(&mut queue.bytes[len..]);
    queue.bytes.truncate(len + written.as_ref().map_or(0, |n| *n));
    written.map(drop).map_err(|error| Error::General(error.to_string()))
}
