//! nanostate: its hub in a process of its own, and apps that receive in each of the ways they can.

use std::ffi::{c_char, CStr};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nanostate::framing::{self, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance};
use nanostate::{App, AppOption, Hub, OnState, State, Status, Value};

use crate::drain::{Drain, FrameCounter};
use crate::system::{hub_role, Crowd, Flow, Handler, Place, Publisher, Result, Role, Subject, Subscriber, System};

/// A hub that starts is there by then, and what waits has gone to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// An app keeps its own newest values, to announce them again: room for all that a figure publishes.
const SEND_QUEUE: i64 = 512 << 20;

extern "C" {
    /// The version of the library, which only its C API reports.
    fn ns_version() -> *const c_char;
}

/// Its hub is that of all apps on this transport.
const IPC_RECV: &str = "nanostate ipc recv";

pub fn systems() -> Vec<Box<dyn System>> {
    let system = |name, transport, receive| Box::new(Nanostate { name, transport, receive }) as Box<dyn System>;
    vec![
        system(IPC_RECV, Transport::Ipc, Receive::Recv),
        system("nanostate ipc callback", Transport::Ipc, Receive::Callback),
        system("nanostate ipc fd", Transport::Ipc, Receive::Fd),
        system("nanostate tcp recv", Transport::Tcp, Receive::Recv),
        system("nanostate inproc recv", Transport::Inproc, Receive::Recv),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Transport {
    Ipc,
    Tcp,
    Inproc,
}

/// How an app gets what arrives.
#[derive(Clone, Copy)]
enum Receive {
    /// A thread waits in recv.
    Recv,
    /// In a callback on the app's own thread.
    Callback,
    /// A thread waits for the descriptor, then takes all there is.
    Fd,
}

struct Nanostate {
    name: &'static str,
    transport: Transport,
    receive: Receive,
}

/// The hub of a process whose clients are in it too.
static INPROC: OnceLock<Result<Hub>> = OnceLock::new();

impl Nanostate {
    fn url(&self, place: &Place) -> String {
        match self.transport {
            Transport::Ipc => format!("ipc://{}", place.directory.join("hub.sock").display()),
            Transport::Tcp => format!("tcp://127.0.0.1:{}", place.port),
            Transport::Inproc => "inproc://bench".to_string(),
        }
    }

    fn listen(&self, place: &Place) -> Result<Hub> {
        let hub = Hub::new().map_err(words)?;
        hub.listen(&self.url(place)).map_err(words)?;
        Ok(hub)
    }

    fn connect(&self, place: &Place, identity: &str, set: impl FnOnce(&App) -> nanostate::Result<()>) -> Result<App> {
        if self.transport == Transport::Inproc {
            INPROC.get_or_init(|| self.listen(place)).as_ref().map_err(Clone::clone)?;
        }
        let app = App::new(identity).map_err(words)?;
        app.set(AppOption::SendQueue, SEND_QUEUE).map_err(words)?;
        set(&app).map_err(words)?;
        app.connect(Some(&self.url(place))).map_err(words)?;
        app.wait_connected(Some(PATIENCE)).map_err(words)?;
        Ok(app)
    }
}

fn words(error: nanostate::Error) -> String {
    error.to_string()
}

impl System for Nanostate {
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        Role::Nanostate
    }

    fn version(&self) -> Result<String> {
        // SAFETY: it returns a text with a NUL behind it, which lives for ever.
        let version = unsafe { CStr::from_ptr(ns_version()) };
        Ok(version.to_string_lossy().into_owned())
    }

    fn same_as(&self, subject: Subject) -> Option<&'static str> {
        match (self.receive, subject) {
            (_, Subject::Whole) | (Receive::Recv, _) => None,
            // It has a thread more.
            (Receive::Callback, Subject::IdleApp) => None,
            (Receive::Callback | Receive::Fd, _) => Some(IPC_RECV),
        }
    }

    fn in_one_process(&self) -> bool {
        self.transport == Transport::Inproc
    }

    fn hub(&self, place: &Place) -> Option<Result<Command>> {
        (!self.in_one_process()).then(|| hub_role(self.name, place))
    }

    fn serve_hub(&self, place: &Place) -> Result<()> {
        let _hub = self.listen(place)?;
        loop {
            thread::park();
        }
    }

    fn publisher(&self, place: &Place, identity: &str) -> Result<Box<dyn Publisher>> {
        Ok(Box::new(Sender(self.connect(place, identity, |app| app.set_accept(0))?)))
    }

    fn subscriber(&self, place: &Place, identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
        let on_own_thread = matches!(self.receive, Receive::Callback);
        let set = |app: &App| app.set(AppOption::CallbackThread, on_own_thread.into());
        let sender = Sender(self.connect(place, identity, set)?);
        let names = names.iter().map(ToString::to_string).collect();
        Ok(Box::new(Receiver { sender, receive: self.receive, names }))
    }

    fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
        let path = place.directory.join("hub.sock");
        let connection = |i: usize| {
            let failed = |e: std::io::Error| format!("connection {i} of {n} to {}: {e}", path.display());
            let mut socket = match self.transport {
                Transport::Ipc => UnixStream::connect(&path).map_err(failed)?,
                Transport::Tcp => {
                    let stream = std::net::TcpStream::connect(("127.0.0.1", place.port)).map_err(failed)?;
                    // Only what both kinds of sockets can do is used.
                    UnixStream::from(OwnedFd::from(stream))
                }
                Transport::Inproc => return Err("an inproc hub has no sockets".to_string()),
            };
            let framing = if self.transport == Transport::Ipc { Framing::Ipc } else { Framing::Tcp };
            let counter = shake_hands(&mut socket, framing, i).map_err(failed)?;
            Ok((OwnedFd::from(socket), Box::new(counter) as Box<dyn FrameCounter>))
        };
        Ok(Box::new(Drain::new((0..n).map(connection).collect::<Result<Vec<_>>>()?)?))
    }
}

struct Sender(App);

impl Publisher for Sender {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        match self.0.send(name, Value::Bytes(payload)) {
            Err(error) if error.status() == Status::Full => {
                self.0.flush(Some(PATIENCE)).map_err(words)?;
                self.0.send(name, Value::Bytes(payload)).map_err(words)
            }
            sent => sent.map_err(words),
        }
    }
}

struct Receiver {
    sender: Sender,
    receive: Receive,
    names: Vec<String>,
}

impl Publisher for Receiver {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        self.sender.publish(name, payload)
    }
}

impl Receiver {
    /// Hands on a state that is wanted.
    fn give(&mut self, state: &State, handler: &mut Handler<'_>) -> Result<Flow> {
        if !self.names.is_empty() && self.names.iter().all(|name| name != state.name()) {
            return Ok(Flow::More);
        }
        let payload = state.bytes().map_err(words)?;
        Ok(handler(&mut self.sender, state.name(), payload))
    }

    fn serve_recv(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
        loop {
            match self.sender.0.recv(Some(patience)) {
                Ok(state) => {
                    if self.give(&state, handler)? == Flow::Stop {
                        return Ok(true);
                    }
                }
                Err(error) if error.status() == Status::Timeout => return Ok(false),
                Err(error) => return Err(words(error)),
            }
        }
    }

    fn serve_fd(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
        let fd = self.sender.0.fd().map_err(words)?;
        let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        loop {
            let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one element, which lives until the call returns.
            match unsafe { libc::poll(&mut poll, 1, timeout) } {
                0 => return Ok(false),
                1 => {}
                _ => {
                    let error = std::io::Error::last_os_error();
                    if error.kind() != std::io::ErrorKind::Interrupted {
                        return Err(format!("cannot wait for the app's descriptor: {error}"));
                    }
                }
            }
            if self.serve_recv(Duration::ZERO, handler)? {
                return Ok(true);
            }
        }
    }

    fn serve_callback(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
        let app = self.sender.0.clone();
        let arrived = AtomicU64::new(0);
        let (outcome, over) = (Mutex::new(None), Condvar::new());
        let lock = || outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stopped = false;
        let callback = |state: &State| {
            if stopped {
                return;
            }
            arrived.fetch_add(1, Ordering::Relaxed);
            match self.give(state, handler) {
                Ok(Flow::More) => return,
                Ok(Flow::Stop) => *lock() = Some(Ok(true)),
                Err(error) => *lock() = Some(Err(error)),
            }
            stopped = true;
            over.notify_one();
        };
        let callback: Box<dyn FnMut(&State) + Send + '_> = Box::new(callback);
        // SAFETY: only the lifetime changes. The callback is gone before what it borrows: Unset takes it back before
        // this function returns or unwinds, and when that has returned it is not running and will not run.
        let callback: Box<OnState> = unsafe { std::mem::transmute(callback) };
        let unset = Unset(&app);
        app.on_state(Some(callback)).map_err(words)?;
        let mut seen = 0;
        let mut guard = lock();
        let outcome = loop {
            if let Some(outcome) = guard.take() {
                break outcome;
            }
            let waited = over.wait_timeout(guard, patience).unwrap_or_else(PoisonError::into_inner);
            guard = waited.0;
            let now = arrived.load(Ordering::Relaxed);
            if waited.1.timed_out() && now == seen && guard.is_none() {
                break Ok(false);
            }
            seen = now;
        };
        drop(guard);
        drop(unset);
        outcome
    }
}

/// Takes the callback back.
struct Unset<'a>(&'a App);

impl Drop for Unset<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.on_state(None) {
            // It would run with what is gone.
            eprintln!("a callback cannot be taken back: {error}");
            std::process::abort();
        }
    }
}

impl Subscriber for Receiver {
    fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
        match self.receive {
            Receive::Recv => self.serve_recv(patience, handler),
            Receive::Callback => self.serve_callback(patience, handler),
            Receive::Fd => self.serve_fd(patience, handler),
        }
    }
}

/// Says hello as the `i`th app of a crowd, and waits to be welcome.
fn shake_hands(socket: &mut UnixStream, framing: Framing, i: usize) -> std::io::Result<States> {
    let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    let identity = format!("crowd-{i}");
    let mut instance = [0; 16];
    instance[..8].copy_from_slice(&(i as u64).to_be_bytes());
    let hello = Control::Hello {
        instance: Instance(instance),
        epoch: 1,
        accept: wire::ACCEPT_ANY,
        flags: HelloFlags::default(),
        time: None,
        secret: None,
        token: None,
        features: Features::NONE,
    };
    let mut body = Vec::new();
    hello.encode(&identity, &mut body);
    let mut bytes = framing::header(Version::V1).to_vec();
    bytes.extend_from_slice(&framing::frame_head(framing, body.len()));
    bytes.extend_from_slice(&body);
    socket.write_all(&bytes)?;

    socket.set_read_timeout(Some(PATIENCE))?;
    let mut header = [0; HEADER_LEN];
    socket.read_exact(&mut header)?;
    match framing::parse_header(&header) {
        Ok(Version::V1) => {}
        other => return Err(invalid(format!("the hub answers with the header {other:?}"))),
    }
    let mut states = States { decoder: Decoder::new(framing, usize::MAX), welcome: false };
    let mut byte = [0];
    // A byte at a time, so that nothing behind the welcome is taken.
    while !states.welcome {
        socket.read_exact(&mut byte)?;
        if states.count(&byte) > 0 {
            return Err(invalid("the hub sends states before its welcome".to_string()));
        }
    }
    Ok(states)
}

/// Counts states, and not what the hub says itself.
struct States {
    decoder: Decoder,
    welcome: bool,
}

impl FrameCounter for States {
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut count = 0;
        while let Ok(Some(frame)) = self.decoder.next(&mut bytes) {
            let Frame::Body(body) = frame else { continue };
            match wire::decode(body, Form::V1) {
                Ok(body) if body.is_reserved() => {
                    self.welcome |= matches!(Control::decode(&body), Ok(Control::Welcome { .. }));
                }
                Ok(_) => count += 1,
                Err(_) => {}
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanostate::wire::Meta;

    fn frame(body: &[u8]) -> Vec<u8> {
        [&framing::frame_head(Framing::Ipc, body.len())[..], body].concat()
    }

    #[test]
    fn states_count_and_what_the_hub_says_does_not() {
        let (mut state, mut ping, mut value) = (Vec::new(), Vec::new(), Vec::new());
        Value::Bytes(&[7; 64]).encode(&mut value);
        wire::encode(&mut state, Form::V1, "source", "name", &value, &Meta::default());
        Control::Ping { token: 1 }.encode(wire::HUB_SENDER, &mut ping);
        let stream = [frame(&state), frame(&ping), frame(&state)].concat();
        for size in 1..stream.len() {
            let mut states = States { decoder: Decoder::new(Framing::Ipc, usize::MAX), welcome: false };
            assert_eq!(stream.chunks(size).map(|chunk| states.count(chunk)).sum::<u64>(), 2, "{size} bytes at a time");
            assert!(!states.welcome);
        }
    }
}
