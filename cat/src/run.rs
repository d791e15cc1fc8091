//! What is sent and received, in which order, and for how long.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nanostate::Error as Words;

use crate::arguments::{Plan, Source, LARGEST};
use crate::format::Format;
use crate::inbox::Inbox;
use crate::nng::{self, Dialler, Socket};
use crate::protocol::Protocol;
use crate::{complain, stdio, Failure};

/// How many messages of a SUB or a BUS may wait in NNG until they are taken; it allows no more.
const RECEIVE_QUEUE: i32 = 8192;
/// How many messages may wait for each peer of a PUB or a BUS.
const SEND_QUEUE: i32 = 128;
/// For how long a connection may make no progress with what is still to be written when the program ends.
const STALLED: Duration = Duration::from_secs(10);
/// The same limit where a peer need not take what is sent: one of many receivers, or a requester that has left.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two looks at what was written.
const LOOK: Duration = Duration::from_millis(2);
/// For how long connections stay open after the last message is written: nanomsg and NNG forget what they have received
/// but not handed on when a connection ends.
const LINGER: Duration = Duration::from_millis(200);
/// The same where NNG does not count what it wrote.
const LINGER_UNCOUNTED: Duration = Duration::from_millis(500);

/// Does what the plan says.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let message = match &plan.source {
        None => None,
        Some(source) => Some(message(plan, source)?),
    };
    let socket = Socket::open(plan.protocol).map_err(|error| Failure::Failed(format!("a socket: {error}")))?;
    // Before it dials: else the first messages are filtered out.
    if plan.protocol == Protocol::Sub {
        let all = [Vec::new()];
        for prefix in if plan.subscribe.is_empty() { &all[..] } else { &plan.subscribe } {
            socket.subscribe(prefix).map_err(|error| Failure::Failed(format!("--subscribe: {error}")))?;
        }
    }
    socket.limit(plan.largest).map_err(|error| Failure::Usage(format!("--recv-maxsz {}: {error}", plan.largest)))?;
    socket.receive_queue(RECEIVE_QUEUE);
    if plan.protocol.to_all() {
        socket.send_queue(SEND_QUEUE);
    }
    if plan.protocol == Protocol::Surveyor {
        let error = |error| Failure::Failed(format!("--recv-timeout: {error}"));
        socket.survey_time(plan.survey_time).map_err(error)?;
    }

    let result = exchange(plan, socket, message.as_deref());
    // However it ends: it removes its Unix sockets.
    socket.close();
    result
}

fn exchange(plan: &Plan, socket: Socket, message: Option<&[u8]>) -> Result<(), Failure> {
    for url in &plan.listen {
        listen(plan, socket, url)?;
    }
    for url in &plan.dial {
        dial(plan, socket, url)?;
    }
    let mut exchange = Exchange { plan, socket, inbox: None, counted: 0, sent: 0 };
    if matches!(plan.protocol, Protocol::Sub | Protocol::Bus) && plan.receives() {
        exchange.inbox = Some(Inbox::start(socket).map_err(no_thread)?);
    }
    exchange.run(message)?;
    exchange.drain()
}

fn no_thread(error: io::Error) -> Failure {
    Failure::Failed(format!("a thread: {}", Words::words(&error)))
}

/// The message to send.
fn message(plan: &Plan, source: &Source) -> Result<Vec<u8>, Failure> {
    let topic = plan.protocol == Protocol::Pub;
    match source {
        Source::Data(data) => {
            plan.format.message(data.clone(), topic).map_err(|error| Failure::Usage(format!("--data: {error}")))
        }
        Source::File(path) => {
            let shown = if is_standard_input(path) { "standard input".into() } else { path.to_string_lossy() };
            let failed = |words: String| Failure::Failed(format!("{shown}: {words}"));
            let data = read(path).map_err(|error| failed(Words::words(&error)))?;
            plan.format.message(data, topic).map_err(|error| failed(error.to_string()))
        }
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    let most = LARGEST as u64;
    if is_standard_input(path) {
        stdio::input()?.take(most + 1).read_to_end(&mut data)?;
    } else {
        File::open(path)?.take(most + 1).read_to_end(&mut data)?;
    }
    if data.len() > LARGEST {
        return Err(io::Error::other(format!("more than a message of at most {LARGEST} bytes")));
    }
    Ok(data)
}

fn listen(plan: &Plan, socket: Socket, url: &str) -> Result<(), Failure> {
    let port = socket.listen(url, plan.largest).map_err(|error| refused(url, error))?;
    // Whoever leaves the port to the system has no other way to learn it.
    let any_port = url.strip_suffix(":0").map(|host| (host, "")).or_else(|| url.split_once(":0/"));
    match any_port.zip(port) {
        Some(((host, ""), port)) => complain(&format!("listening on {host}:{port}")),
        Some(((host, path), port)) => complain(&format!("listening on {host}:{port}/{path}")),
        None if plan.verbose => complain(&format!("listening on {url}")),
        None => {}
    }
    Ok(())
}

/// Dials in the background. An address that does not answer is named once, and dialled again and again.
fn dial(plan: &Plan, socket: Socket, url: &str) -> Result<(), Failure> {
    let dialler = socket.dialler(url, plan.largest).map_err(|error| refused(url, error))?;
    let (quiet, url, peer) = (plan.quiet, url.to_owned(), plan.protocol.peer());
    let keep = move || keep_dialling(&dialler, &url, peer, quiet);
    thread::Builder::new().name("dial".to_owned()).spawn(keep).map_err(no_thread)?;
    Ok(())
}

fn keep_dialling(dialler: &Dialler, url: &str, peer: Protocol, quiet: bool) {
    let Err(error) = dialler.dial() else { return };
    if error == nng::Error::CLOSED {
        return;
    }
    if !quiet {
        let hint = match error {
            error if error.is_about_the_address() => " (does the name exist?)".to_owned(),
            nng::Error::SHUT => format!(" (does it speak {}?)", peer.name().to_uppercase()),
            _ => String::new(),
        };
        complain(&format!("{url}: {error}{hint}; waiting for it"));
    }
    if let Err(error) = dialler.keep_dialling() {
        complain(&format!("{url}: {error}"));
    }
}

/// An address that NNG does not take.
fn refused(url: &str, error: nng::Error) -> Failure {
    if error.is_about_the_address() {
        Failure::Usage(format!("{url}: not an address that NNG takes ({error})"))
    } else {
        Failure::Failed(format!("{url}: {error}"))
    }
}

/// The messages of one run.
struct Exchange<'a> {
    plan: &'a Plan,
    socket: Socket,
    /// Takes messages from NNG at once, where NNG would drop them.
    inbox: Option<Inbox>,
    /// How many messages count for `--count`.
    counted: u64,
    /// How many messages were sent.
    sent: u64,
}

/// Why no message came.
#[derive(PartialEq, Eq)]
enum Received {
    Message,
    /// The time is up, or the survey is over.
    Nothing,
}

impl Exchange<'_> {
    fn run(&mut self, message: Option<&[u8]>) -> Result<(), Failure> {
        match message {
            None => self.receive_all(),
            Some(message) if self.plan.protocol.answers() => self.answer_all(message),
            Some(message) => {
                self.wait_before_the_first()?;
                if self.plan.receives() {
                    self.converse(message)
                } else {
                    self.send_all(message)
                }
            }
        }
    }

    /// Whether `--count` is reached.
    fn is_done(&self) -> bool {
        self.plan.count.is_some_and(|count| self.counted >= count)
    }

    /// The end of a wait for messages: success unless more were wanted.
    fn timed_out(&self) -> Result<(), Failure> {
        match self.plan.count {
            None if self.counted > 0 => Ok(()),
            None => Err(Failure::TimedOut("no message came".to_owned())),
            Some(count) => Err(Failure::TimedOut(format!("{} of {count} messages came", self.counted))),
        }
    }

    fn receive_all(&mut self) -> Result<(), Failure> {
        while !self.is_done() {
            if self.receive(after(self.plan.recv_timeout))? == Received::Nothing {
                return self.timed_out();
            }
        }
        Ok(())
    }

    fn answer_all(&mut self, answer: &[u8]) -> Result<(), Failure> {
        while !self.is_done() {
            if self.receive(after(self.plan.recv_timeout))? == Received::Nothing {
                return self.timed_out();
            }
            self.send(answer)?;
        }
        Ok(())
    }

    fn send_all(&mut self, message: &[u8]) -> Result<(), Failure> {
        loop {
            let start = Instant::now();
            self.send(message)?;
            self.counted += 1;
            if self.is_done() || (self.plan.interval.is_none() && self.plan.count.is_none()) {
                return Ok(());
            }
            let next = self.plan.interval.unwrap_or_default();
            thread::sleep(next.saturating_sub(start.elapsed()));
        }
    }

    /// Sends, then receives until it is time to send again.
    fn converse(&mut self, message: &[u8]) -> Result<(), Failure> {
        let protocol = self.plan.protocol;
        loop {
            let start = Instant::now();
            self.send(message)?;
            let next = self.plan.interval.and_then(|interval| start.checked_add(interval));
            let answered = self.receive_until(next)?;
            if self.is_done() {
                return Ok(());
            }
            match (protocol, next) {
                // The next request at once, if more than one answer is wanted.
                (Protocol::Req, None) if answered && self.plan.count.is_some() => {}
                (_, None) if answered && self.plan.count.is_none() => return Ok(()),
                (_, None) => return self.timed_out(),
                (_, Some(next)) => thread::sleep(next.saturating_duration_since(Instant::now())),
            }
        }
    }

    /// Receives until `next`, or until nothing comes for too long, or until the answer to a request is there. Whether
    /// there was a message.
    ///
    /// An interval makes a time-out harmless: after it, it is tried again.
    fn receive_until(&mut self, next: Option<Instant>) -> Result<bool, Failure> {
        let mut answered = false;
        while !self.is_done() {
            // The survey itself ends in time.
            let timeout = self.plan.recv_timeout.filter(|_| self.plan.protocol != Protocol::Surveyor);
            let end = [after(timeout), next].into_iter().flatten().min();
            if self.receive(end)? == Received::Nothing {
                break;
            }
            answered = true;
            if self.plan.protocol == Protocol::Req {
                break;
            }
        }
        Ok(answered)
    }

    /// Receives a message and prints it.
    fn receive(&mut self, end: Option<Instant>) -> Result<Received, Failure> {
        let received = match &mut self.inbox {
            Some(inbox) => inbox.receive(end),
            None => self.socket.receive(end),
        };
        let message = match received {
            Ok(message) => message,
            Err(nng::Error::TIMED_OUT | nng::Error::STATE) => return Ok(Received::Nothing),
            Err(error) => return Err(Failure::Failed(format!("cannot receive: {error}"))),
        };
        if self.plan.format != Format::No {
            stdio::output()?.write_all(&self.plan.format.print(message.body()))?;
        }
        self.counted += 1;
        Ok(Received::Message)
    }

    /// Without `--delay`, waits for somebody to send the first message to: for a peer, or where each message goes to
    /// all, for every address that is dialled.
    fn wait_before_the_first(&self) -> Result<(), Failure> {
        if let Some(delay) = self.plan.delay {
            thread::sleep(delay);
            return Ok(());
        }
        let peers = if self.plan.protocol.to_all() { self.plan.dial.len().max(1) } else { 1 };
        if self.socket.wait_for_peers(peers, after(self.plan.send_timeout)) {
            return Ok(());
        }
        Err(Failure::TimedOut(match peers {
            1 => "no peer to send to".to_owned(),
            peers => format!("fewer than {peers} peers to send to"),
        }))
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.socket.send(message, after(self.plan.send_timeout)).map_err(|error| match error {
            nng::Error::TIMED_OUT => Failure::TimedOut("no peer takes the message".to_owned()),
            error => Failure::Failed(format!("cannot send {} bytes: {error}", message.len())),
        })?;
        self.sent += 1;
        // NNG drops what is too much for a peer. Those that read get all of it.
        if self.plan.protocol.to_all() && self.is_counted() && self.sent % (SEND_QUEUE as u64 / 2) == 0 {
            self.wait_until_written(PATIENCE);
        }
        Ok(())
    }

    /// Whether NNG counts what it writes.
    fn is_counted(&self) -> bool {
        !self.plan.dial.iter().chain(&self.plan.listen).any(|url| url.starts_with("ws"))
    }

    /// Waits until the last message is written, and stays for a moment so that the other side can hand it on.
    fn drain(&self) -> Result<(), Failure> {
        let protocol = self.plan.protocol;
        // An answer shows that its question was written, so there is nothing else to wait for.
        if self.sent == 0 || matches!(protocol, Protocol::Req | Protocol::Surveyor) {
            return Ok(());
        }
        if !self.is_counted() {
            return self.drain_uncounted();
        }
        // An answer is never written if its requester has left.
        let stalled = if protocol.answers() { PATIENCE } else { self.plan.send_timeout.unwrap_or(STALLED) };
        match self.wait_until_written(stalled) {
            Some(_) if protocol.answers() => {}
            Some(0) => return Err(Failure::Failed("the peer went away before it had the message".to_owned())),
            Some(_) => return Err(stuck()),
            None => {}
        }
        thread::sleep(LINGER);
        Ok(())
    }

    /// The same where NNG does not count. A PUSH or a PAIR tells that it has written by taking another message; how far
    /// it is with one, nobody knows.
    fn drain_uncounted(&self) -> Result<(), Failure> {
        if matches!(self.plan.protocol, Protocol::Push | Protocol::Pair | Protocol::Pair1) {
            let end = after(self.plan.send_timeout);
            let failed = |error| Failure::Failed(format!("cannot send: {error}"));
            // A peer that is gone may have read the message or not.
            while self.socket.peers() > 0 && !self.socket.takes_another(LINGER).map_err(failed)? {
                if end.is_some_and(|end| end <= Instant::now()) {
                    return Err(stuck());
                }
            }
        }
        thread::sleep(LINGER_UNCOUNTED);
        Ok(())
    }

    /// Waits until everything is written. If it does not go on for so long, or if nobody is left to write to, how many
    /// peers there are.
    fn wait_until_written(&self, stalled: Duration) -> Option<usize> {
        let (mut least, mut progress) = (u64::MAX, Instant::now());
        while let Some(unwritten) = self.socket.unwritten().filter(|unwritten| unwritten.messages > 0) {
            if unwritten.messages < least {
                (least, progress) = (unwritten.messages, Instant::now());
            }
            if unwritten.peers == 0 || progress.elapsed() >= stalled {
                return Some(unwritten.peers);
            }
            thread::sleep(LOOK);
        }
        None
    }
}

fn stuck() -> Failure {
    Failure::TimedOut("a peer does not read, and lacks messages".to_owned())
}

/// The instant so far from now; none if that is never.
fn after(time: Option<Duration>) -> Option<Instant> {
    time.and_then(|time| Instant::now().checked_add(time))
}
