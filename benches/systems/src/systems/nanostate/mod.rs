//! nanostate: its hub in a process of its own, and apps that receive in each of the ways they can.

mod crowd;

use std::ffi::{c_char, CStr};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nanostate::framing::Framing;
use nanostate::{App, AppOption, AppText, Hub, HubOption, HubText, Key, OnState, State, Status, Value};

use crate::results::Figure;
use crate::system::{hub_role, Crowd, Flow, Handler, Place, Publisher, Result, Role, Subject, Subscriber, System};

/// A hub that starts is there by then, and what waits has gone to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// An app keeps its own newest values, to announce them again: room for all that a figure publishes.
const SEND_QUEUE: i64 = 512 << 20;

extern "C" {
    /// The version of the library, which only its C API reports.
    fn ns_version() -> *const c_char;
}

/// Makes certificates.
const OPENSSL: &str = "openssl";

/// Its hub is that of all apps on this transport.
const IPC_RECV: &str = "nanostate ipc recv";

pub fn systems() -> Vec<Box<dyn System>> {
    let system =
        |name, transport, receive| Box::new(Nanostate { name, transport, receive, keys: false }) as Box<dyn System>;
    vec![
        system(IPC_RECV, Transport::Ipc, Receive::Recv),
        system("nanostate ipc callback", Transport::Ipc, Receive::Callback),
        system("nanostate ipc fd", Transport::Ipc, Receive::Fd),
        Box::new(Nanostate {
            name: "nanostate ipc key",
            transport: Transport::Ipc,
            receive: Receive::Recv,
            keys: true,
        }),
        system("nanostate tcp recv", Transport::Tcp, Receive::Recv),
        system("nanostate ws recv", Transport::Ws, Receive::Recv),
        system("nanostate wss recv", Transport::Wss, Receive::Recv),
        system("nanostate inproc recv", Transport::Inproc, Receive::Recv),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Transport {
    Ipc,
    Tcp,
    Ws,
    Wss,
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
    /// Sends what it has declared by keys.
    keys: bool,
}

/// The hub of a process whose clients are in it too.
static INPROC: OnceLock<Result<Hub>> = OnceLock::new();

impl Nanostate {
    fn url(&self, place: &Place) -> String {
        match self.transport {
            Transport::Ipc => format!("ipc://{}", place.directory.join("hub.sock").display()),
            Transport::Tcp => format!("tcp://127.0.0.1:{}", place.port),
            Transport::Ws => format!("ws://127.0.0.1:{}/ws", place.port),
            Transport::Wss => format!("wss://127.0.0.1:{}/ws", place.port),
            Transport::Inproc => "inproc://bench".to_string(),
        }
    }

    fn listen(&self, place: &Place) -> Result<Hub> {
        let hub = Hub::new().map_err(words)?;
        // All of a crowd come at once, from one address.
        hub.set(HubOption::HttpRate, 0).map_err(words)?;
        if self.transport == Transport::Wss {
            for (option, file) in [(HubText::TlsCert, certificate(place)), (HubText::TlsKey, key(place))] {
                hub.set_text(option, file.to_str()).map_err(words)?;
            }
        }
        hub.listen(&self.url(place)).map_err(words)?;
        Ok(hub)
    }

    fn connect(&self, place: &Place, identity: &str, set: impl FnOnce(&App) -> nanostate::Result<()>) -> Result<App> {
        if self.transport == Transport::Inproc {
            INPROC.get_or_init(|| self.listen(place)).as_ref().map_err(Clone::clone)?;
        }
        let app = App::new(identity).map_err(words)?;
        app.set(AppOption::SendQueue, SEND_QUEUE).map_err(words)?;
        if self.transport == Transport::Wss {
            app.set_text(AppText::TlsCa, certificate(place).to_str()).map_err(words)?;
        }
        set(&app).map_err(words)?;
        app.connect(Some(&self.url(place))).map_err(words)?;
        app.wait_connected(Some(PATIENCE)).map_err(words)?;
        Ok(app)
    }
}

/// What the hub shows that it is.
fn certificate(place: &Place) -> PathBuf {
    place.directory.join("hub.pem")
}

/// What it proves it with.
fn key(place: &Place) -> PathBuf {
    place.directory.join("hub.key")
}

/// Makes a certificate for this machine.
fn certify(place: &Place) -> Result<()> {
    let mut command = Command::new(OPENSSL);
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=nanostate", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]).arg(key(place));
    let output = command.arg("-out").arg(certificate(place)).output().map_err(|e| format!("no {OPENSSL}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{OPENSSL} makes no certificate: {}", String::from_utf8_lossy(&output.stderr))),
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
        if self.transport == Transport::Wss && Command::new(OPENSSL).arg("version").output().is_err() {
            return Err(format!("needs the command {OPENSSL}, of the package {OPENSSL}"));
        }
        // SAFETY: it returns a text with a NUL behind it, which lives for ever.
        let version = unsafe { CStr::from_ptr(ns_version()) };
        Ok(version.to_string_lossy().into_owned())
    }

    fn same_as(&self, subject: Subject) -> Option<&'static str> {
        match (self.receive, subject) {
            (_, Subject::KnownNames) => None,
            _ if self.keys => Some(IPC_RECV),
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
        if self.transport == Transport::Wss {
            // Before any client looks for it.
            if let Err(error) = certify(place) {
                return Some(Err(error));
            }
        }
        (!self.in_one_process()).then(|| hub_role(self.name, place))
    }

    fn serve_hub(&self, place: &Place) -> Result<()> {
        let _hub = self.listen(place)?;
        loop {
            thread::park();
        }
    }

    fn publisher(&self, place: &Place, identity: &str) -> Result<Box<dyn Publisher>> {
        let sender = Sender(self.connect(place, identity, |app| app.set_accept(0))?);
        match self.keys {
            true => Ok(Box::new(KeySender { sender, keys: Vec::new() })),
            false => Ok(Box::new(sender)),
        }
    }

    fn subscriber(&self, place: &Place, identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
        let on_own_thread = matches!(self.receive, Receive::Callback);
        let set = |app: &App| app.set(AppOption::CallbackThread, on_own_thread.into());
        let sender = Sender(self.connect(place, identity, set)?);
        let names = names.iter().map(ToString::to_string).collect();
        Ok(Box::new(Receiver { sender, receive: self.receive, names }))
    }

    fn suits(&self, figure: Figure) -> bool {
        match self.transport {
            Transport::Ws | Transport::Wss => matches!(figure, Figure::RoundTripPinned | Figure::Memory),
            Transport::Tcp | Transport::Inproc if figure == Figure::StateMemory => false,
            _ => true,
        }
    }

    fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
        let path = place.directory.join("hub.sock");
        match self.transport {
            Transport::Ipc => crowd::raw(n, Framing::Ipc, || UnixStream::connect(&path)),
            Transport::Tcp => {
                let connect = || TcpStream::connect(("127.0.0.1", place.port));
                crowd::raw(n, Framing::Tcp, || connect().map(|stream| UnixStream::from(OwnedFd::from(stream))))
            }
            // A WebSocket is more than a socket, and what its hub needs is looked at, not what it takes to read it.
            Transport::Ws | Transport::Wss => {
                let app = |i| self.connect(place, &format!("crowd-{i}"), |_| Ok(()));
                Ok(Box::new(crowd::Apps((0..n).map(app).collect::<Result<Vec<_>>>()?)))
            }
            Transport::Inproc => Err("an inproc hub has no sockets".to_string()),
        }
    }
}

struct Sender(App);

impl Sender {
    /// Sends; where there is no room, once there is.
    fn send(&self, send: impl Fn() -> nanostate::Result<()>) -> Result<()> {
        match send() {
            Err(error) if error.status() == Status::Full => {
                self.0.flush(Some(PATIENCE)).map_err(words)?;
                send().map_err(words)
            }
            sent => sent.map_err(words),
        }
    }
}

impl Publisher for Sender {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        self.send(|| self.0.send(name, Value::Bytes(payload)))
    }
}

/// Sends what was declared by keys.
struct KeySender {
    sender: Sender,
    keys: Vec<Key>,
}

impl Publisher for KeySender {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        self.sender.publish(name, payload)
    }

    fn declare(&mut self, names: &[String]) -> Result<()> {
        let keys = names.iter().map(|name| self.sender.0.key(name).map_err(words));
        self.keys = keys.collect::<Result<_>>()?;
        Ok(())
    }

    fn publish_declared(&mut self, index: usize, _name: &str, payload: &[u8]) -> Result<()> {
        self.sender.send(|| self.keys[index].send(Value::Bytes(payload)))
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
