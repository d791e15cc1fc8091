//! A gateway's NNG socket, which carries the connection of one peer of the router.
//!
//! The byte stream to the router consists of [events](crate::engine::gateway::GatewayEvent), the one from it of
//! messages for subscribers, or of answers. Only the hub's loop reads, writes and sends; NNG's threads leave what
//! arrives in the [`Arrivals`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use super::arrivals::{Arrival, Arrivals, Changes, Taken};
use super::nng::{Cut, Library, Message, Receiver, Responder, SendError, Socket, Ticket, Timer};
use super::pace::{Pace, Step, Why};
use crate::engine::gateway::{self, GatewayStatus, Role};
use crate::framing::{frame_head, Decoder, Frame, Framing};
use crate::runtime::now;
use crate::time::MonoTime;
use crate::transport::{ByteStream, Ready};
use crate::Result;

/// How frames are cut out of both streams.
pub const FRAMING: Framing = Framing::Inproc;

/// How long messages go to NNG, or requests to the hub, before other peers have their turn, and after how many messages
/// the clock is read. With a hundred subscribers a message takes 50 µs and more, and a request may ask for a mebibyte.
const ROUND: Duration = Duration::from_millis(1);
const LOOK_EVERY: usize = 16;

/// Carries a gateway's connection.
pub struct GatewaySocket {
    role: Role,
    arrivals: Arc<Arrivals>,
    // In this order: each needs what follows it.
    receives: Receives,
    retry: Timer,
    looking: Timer,
    socket: Arc<Socket>,
    incoming: Incoming,
    outgoing: Outgoing,
}

/// Puts messages into the arrivals.
enum Receives {
    Nothing,
    Messages(Receiver),
    Requests(Responder),
}

/// Towards the router.
#[derive(Default)]
struct Incoming {
    /// The largest message that the router gets.
    limit: usize,
    messages: VecDeque<Arrival>,
    /// For the log.
    words: VecDeque<String>,
    status: GatewayStatus,
    /// The router does not know the newest status yet.
    changed: bool,
    /// The start of the frame that is being read, the message that follows, and how much of both was read.
    head: Vec<u8>,
    message: Option<Message>,
    read: usize,
    /// The frame is to be answered.
    asks: bool,
    /// When the first request of the present series was handed over.
    round: Option<MonoTime>,
}

/// Towards NNG.
struct Outgoing {
    /// Cuts the frames.
    decoder: Decoder,
    /// A state that is not to be sent yet.
    waiting: Option<Message>,
    pace: Pace,
    /// The last message; it is sent again to see which subscribers are behind.
    last: Vec<u8>,
}

/// A frame of the router.
enum Order {
    Publish(Message),
    Answer(Ticket, Message),
}

impl GatewaySocket {
    /// Carries what `socket` receives and sends. It listens already, and `arrivals` is notified of its connections.
    /// Messages above `limit` bytes are not handed over.
    pub fn new(
        library: &Library,
        role: Role,
        limit: usize,
        arrivals: Arc<Arrivals>,
        socket: Socket,
    ) -> Result<GatewaySocket> {
        let (put, socket) = (arrivals.clone(), Arc::new(socket));
        // The arrivals do not outlive what puts messages there: they are dropped with the socket.
        let receives = match role {
            Role::Pub => Receives::Nothing,
            Role::Pull => Receives::Messages(Receiver::new(&socket, move |message| put.put(None, message))?),
            Role::Rep | Role::Respondent => {
                Receives::Requests(Responder::new(&socket, move |ticket, message| put.put(Some(ticket), message))?)
            }
        };
        Ok(GatewaySocket {
            role,
            receives,
            retry: Timer::new(library, wake(&arrivals))?,
            looking: Timer::new(library, wake(&arrivals))?,
            arrivals,
            socket,
            incoming: Incoming { limit, ..Incoming::default() },
            outgoing: Outgoing {
                decoder: Decoder::new(FRAMING, usize::MAX),
                waiting: None,
                pace: Pace::default(),
                last: Vec::new(),
            },
        })
    }

    /// Takes what arrived. False if there was nothing.
    fn fetch(&mut self) -> bool {
        let Taken { changes, messages, was_full } = self.arrivals.take();
        match &self.receives {
            Receives::Messages(receiver) if was_full => receiver.resume(),
            Receives::Requests(responder) if was_full => responder.resume(),
            _ => {}
        }
        let some = changes.is_some() || !messages.is_empty();
        if let Some(changes) = changes {
            self.heard(changes);
        }
        self.incoming.messages = messages;
        some
    }

    fn heard(&mut self, Changes { clients, came, words }: Changes) {
        self.incoming.words.extend(words);
        self.incoming.status.clients = clients;
        self.incoming.changed = true;
        if self.role == Role::Pub {
            let pace = &mut self.outgoing.pace;
            if clients == 0 || (came && clients == 1) {
                // What was sent since the last subscriber left reached nobody.
                if let Some(counts) = self.socket.queue_counts() {
                    pace.nobody(counts.discarded);
                }
            }
            if came {
                pace.joined(now().mono.as_nanos());
            }
            self.look();
        }
    }

    /// Carries out a frame of the router. False if it has to wait; the timer then runs.
    fn send(&mut self, order: Order) -> io::Result<bool> {
        match order {
            Order::Publish(message) => self.publish(message),
            Order::Answer(ticket, message) => {
                if let Receives::Requests(responder) = &self.receives {
                    if let Some(cut) = responder.answer(ticket, message) {
                        self.cut(&cut);
                    }
                }
                Ok(true)
            }
        }
    }

    /// A connection was closed.
    fn cut(&mut self, Cut { address, answers, bytes }: &Cut) {
        self.incoming
            .words
            .push_back(format!("{address} disconnected: {answers} answers of {bytes} bytes waited for it"));
        self.incoming.status.dropped += *answers as u64;
        self.incoming.changed = true;
        // The loop is writing, and reads only when it is notified.
        self.arrivals.wake();
    }

    fn publish(&mut self, message: Message) -> io::Result<bool> {
        if self.incoming.status.clients == 0 {
            return Ok(true);
        }
        let step = self.outgoing.pace.step(now().mono.as_nanos());
        if let Step::Wait(time) = step {
            self.outgoing.waiting = Some(message);
            self.retry.start(time);
            return Ok(false);
        }
        self.outgoing.last.clear();
        // Without memory there is no probe until the next message.
        if self.outgoing.last.try_reserve(message.body().len()).is_ok() {
            self.outgoing.last.extend_from_slice(message.body());
        }
        self.transmit(message, (step == Step::Probe).then_some(Why::Turn))?;
        Ok(true)
    }

    /// Sends to all subscribers. If it is a probe, sees which of them are behind.
    fn transmit(&mut self, message: Message, probe: Option<Why>) -> io::Result<()> {
        self.outgoing.pace.sends(message.body().len());
        let before = probe.and_then(|why| Some((why, self.socket.queue_counts()?)));
        match self.socket.try_send(message) {
            // A PUB socket takes everything, or drops what is older.
            Ok(()) | Err((SendError::Full, _)) => {}
            Err((why, _)) => return Err(failed(why)),
        }
        let Some((why, before)) = before else { return Ok(()) };
        if let Some(after) = self.socket.queue_counts() {
            let busy = after.queued.saturating_sub(before.queued);
            let dropped = self.outgoing.pace.probed(now().mono.as_nanos(), why, busy, after.discarded);
            if dropped > 0 {
                self.incoming.status.dropped += dropped;
                self.incoming.changed = true;
            }
            self.look();
            if self.incoming.changed {
                // The loop may be writing, and read only when it is notified.
                self.arrivals.wake();
            }
        }
        Ok(())
    }

    /// Tells the router to send everything again when it is time, and sets the timer for that.
    fn look(&mut self) {
        let (pace, now) = (&mut self.outgoing.pace, now().mono.as_nanos());
        if pace.resends(now) {
            self.incoming.status.again = true;
            self.incoming.changed = true;
        }
        if let Some(time) = pace.look_in(now) {
            self.looking.start(time);
        }
    }

    /// Probes whether the subscribers that are behind have caught up, when it is time and nothing else is sent.
    fn ask(&mut self) -> io::Result<()> {
        if self.outgoing.waiting.is_none()
            && !self.outgoing.last.is_empty()
            && self.outgoing.pace.asks(now().mono.as_nanos())
        {
            match message(&self.outgoing.last) {
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => self.outgoing.last = Vec::new(),
                message => self.transmit(message?, Some(Why::Asked))?,
            }
        }
        Ok(())
    }
}

fn failed(why: SendError) -> io::Error {
    match why {
        SendError::Full => io::ErrorKind::WouldBlock.into(),
        SendError::Closed => io::ErrorKind::BrokenPipe.into(),
        SendError::Other(error) => io::Error::other(error),
    }
}

/// The content of a frame of the router; none if nobody waits for it.
fn order(role: Role, frame: &[u8]) -> io::Result<Option<Order>> {
    if role == Role::Pub {
        return message(frame).map(|message| Some(Order::Publish(message)));
    }
    let Some((route, answer)) = gateway::split_answer(frame) else { return Ok(None) };
    let Ok(route) = route.try_into() else { return Ok(None) };
    message(answer).map(|message| Some(Order::Answer(Ticket::from_be_bytes(route), message)))
}

fn message(body: &[u8]) -> io::Result<Message> {
    let mut message = Message::with_capacity(body.len()).map_err(|error| match error.status() {
        crate::Status::NoMemory => io::ErrorKind::OutOfMemory.into(),
        _ => io::Error::other(error),
    })?;
    message.append(body).map_err(io::Error::other)?;
    Ok(message)
}

/// What a [`Timer`] does.
fn wake(arrivals: &Arc<Arrivals>) -> impl Fn() {
    let arrivals = arrivals.clone();
    move || arrivals.wake()
}

impl Incoming {
    /// Fills `buffer`, or stops after the next message. Returns how much of it was filled.
    fn read(&mut self, buffer: &mut [u8], one: bool) -> usize {
        let mut filled = 0;
        loop {
            let message = self.message.as_ref().map_or(&[][..], Message::body);
            for (part, start) in [(&self.head[..], 0), (message, self.head.len())] {
                let rest = part.get(self.read.saturating_sub(start)..).unwrap_or_default();
                let n = rest.len().min(buffer.len() - filled);
                buffer[filled..filled + n].copy_from_slice(&rest[..n]);
                filled += n;
                self.read += n;
            }
            let whole = self.read == self.head.len() + message.len();
            if !whole || (one && filled > 0 && self.asks) || !self.next_frame() {
                return filled;
            }
        }
    }

    /// Begins the next frame, if there is one.
    fn next_frame(&mut self) -> bool {
        self.read = 0;
        self.message = None;
        self.asks = false;
        self.head.clear();
        if let Some(words) = self.words.pop_front() {
            let mut frame = Vec::with_capacity(words.len() + 1);
            gateway::words(&words, &mut frame);
            self.whole_frame(&frame);
        } else if std::mem::take(&mut self.changed) {
            self.whole_frame(&self.status.encode());
            self.status.again = false;
        } else if let Some((ticket, message)) = self.messages.pop_front() {
            self.asks = ticket.is_some();
            let route = ticket.map(Ticket::to_be_bytes);
            let route = route.as_ref().map_or(&[][..], |route| route);
            let (len, mut head) = (message.body().len(), Vec::with_capacity(gateway::MAX_MESSAGE_HEAD));
            if len > self.limit {
                gateway::too_large(route, len as u64, &mut head);
                self.whole_frame(&head);
            } else {
                gateway::message_head(route, &mut head);
                self.head.extend_from_slice(&frame_head(FRAMING, head.len() + len));
                self.head.extend_from_slice(&head);
                self.message = Some(message);
            }
        } else {
            return false;
        }
        true
    }

    fn whole_frame(&mut self, frame: &[u8]) {
        self.head.extend_from_slice(&frame_head(FRAMING, frame.len()));
        self.head.extend_from_slice(frame);
    }
}

impl ByteStream for GatewaySocket {
    fn attach(&mut self, ready: Ready) {
        self.arrivals.attach(ready);
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Notified for any reason: there may be nothing more to write after what waits.
        if let Some(message) = self.outgoing.waiting.take() {
            self.publish(message)?;
        }
        if self.role == Role::Pub {
            self.ask()?;
            self.look();
        }
        // One request at a time, so that before each the router is asked whether it has room for one more answer.
        let one = self.role.answers();
        if let Some(since) = self.incoming.round {
            if now().mono >= since + ROUND {
                self.incoming.round = None;
                self.arrivals.wake();
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let mut filled = self.incoming.read(buffer, one);
        while filled < buffer.len() && !(one && filled > 0) && self.fetch() {
            filled += self.incoming.read(&mut buffer[filled..], one);
        }
        if filled == 0 {
            self.incoming.round = None;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if one && self.incoming.round.is_none() {
            self.incoming.round = Some(now().mono);
        }
        Ok(filled)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(message) = self.outgoing.waiting.take() {
            if !self.publish(message)? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let until = now().mono + ROUND;
        let (mut taken, mut sent) = (0, 0);
        for slice in slices {
            let mut rest = &slice[..];
            loop {
                let order = match self.outgoing.decoder.next(&mut rest).map_err(io::Error::other)? {
                    Some(Frame::Body(frame)) => order(self.role, frame),
                    Some(Frame::Large(frame)) => order(self.role, &frame),
                    Some(Frame::TooLarge(_) | Frame::Text(_)) => Ok(None),
                    Some(Frame::NoMemory { .. }) => Err(io::ErrorKind::OutOfMemory.into()),
                    None => break,
                };
                let order = match order {
                    Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                        self.incoming.status.dropped += 1;
                        self.incoming.changed = true;
                        None
                    }
                    order => order?,
                };
                let Some(order) = order else { continue };
                let more = self.send(order)?;
                sent += 1;
                if !more || (sent % LOOK_EVERY == 0 && now().mono >= until) {
                    if more {
                        self.arrivals.wake();
                    }
                    return Ok(taken + slice.len() - rest.len());
                }
            }
            taken += slice.len();
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gateway::GatewayEvent;

    #[test]
    fn what_came_is_read_as_notes_whatever_the_reads_take() {
        let long = vec![7; 3000];
        let messages: [(Option<Ticket>, &[u8]); 5] =
            [(None, b"a body"), (Some(0x0102_0304), b""), (None, &long), (Some(7), &long), (None, b"")];
        let status = GatewayStatus { clients: 3, dropped: 1 << 40, again: true };
        for size in [1, 2, 7, 8, 9, 100, 4096, 100_000] {
            let mut incoming = Incoming { limit: 2999, changed: true, status, ..Incoming::default() };
            incoming.words.push_back("somebody came".to_owned());
            incoming.messages.extend(messages.map(|(ticket, body)| (ticket, message(body).unwrap())));
            let mut decoder = Decoder::new(FRAMING, usize::MAX);
            let (mut buffer, mut notes) = (vec![0; size], Vec::new());
            loop {
                let n = incoming.read(&mut buffer, false);
                let mut input = &buffer[..n];
                while let Some(frame) = decoder.next(&mut input).unwrap() {
                    let Frame::Body(frame) = frame else { panic!("{frame:?}") };
                    notes.push(frame.to_vec());
                }
                if n < size {
                    break;
                }
            }
            let expected = [
                GatewayEvent::Words("somebody came"),
                GatewayEvent::Status(status),
                GatewayEvent::Message { route: b"", message: b"a body" },
                GatewayEvent::Message { route: &[1, 2, 3, 4], message: b"" },
                GatewayEvent::TooLarge { route: b"", len: 3000 },
                GatewayEvent::TooLarge { route: &[0, 0, 0, 7], len: 3000 },
                GatewayEvent::Message { route: b"", message: b"" },
            ];
            let notes: Vec<_> = notes.iter().map(|frame| GatewayEvent::decode(frame).expect("a note")).collect();
            assert_eq!(notes, expected, "{size} bytes at a time");
            // Reported once.
            assert!(!incoming.status.again && !incoming.changed);
        }
    }

    #[test]
    fn requests_are_read_one_at_a_time_however_much_room_there_is() {
        let mut incoming = Incoming { limit: 10, changed: true, ..Incoming::default() };
        let bodies: [&[u8]; 3] = [b"first", b"longer than ten", b""];
        incoming.messages.extend(bodies.map(|body| (Some(7), message(body).unwrap())));
        let (mut buffer, mut notes) = ([0; 1000], Vec::new());
        for _ in 0..3 {
            let n = incoming.read(&mut buffer, true);
            let (mut decoder, mut input, mut frames) = (Decoder::new(FRAMING, usize::MAX), &buffer[..n], Vec::new());
            while let Some(frame) = decoder.next(&mut input).unwrap() {
                let Frame::Body(frame) = frame else { panic!("{frame:?}") };
                frames.push(GatewayEvent::decode(frame).map(|note| matches!(note, GatewayEvent::Status(_))).unwrap());
            }
            notes.push(frames);
        }
        assert_eq!(notes, [vec![true, false], vec![false], vec![false]]);
        assert_eq!(incoming.read(&mut buffer, true), 0);
    }

    #[test]
    fn a_state_goes_out_as_it_is_and_an_answer_with_its_ticket() {
        let state = b"cpu/load\0\x93\xa2me\xa8cpu/load\xa40.25";
        let Some(Order::Publish(published)) = order(Role::Pub, state).unwrap() else { panic!("not published") };
        assert_eq!(published.body(), state);
        for role in [Role::Rep, Role::Respondent] {
            let mut frame = Vec::new();
            gateway::answer_head(&[1, 2, 3, 4], &mut frame);
            frame.extend_from_slice(b"\xa2ok");
            let Some(Order::Answer(ticket, answer)) = order(role, &frame).unwrap() else { panic!("no answer") };
            assert_eq!((ticket, answer.body()), (0x0102_0304, &b"\xa2ok"[..]));
            // Nobody waits for it.
            assert!(order(role, b"\x03abcanswer").unwrap().is_none());
        }
    }
}
