//! What the systems that nanostate is compared with have in common.
#![allow(dead_code)] // What is used depends on the libraries that are here.

use std::ffi::{CStr, CString};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::drain::{Drain, FrameCounter};
use crate::system::{Crowd, Flow, Handler, Place, Publisher, Result, Subscriber, System};

/// How long a hub may take to start, and a connection to be made.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between two attempts to reach a hub that is still starting.
const PAUSE: Duration = Duration::from_millis(1);

/// Why a system is not here.
pub fn missing(package: &str) -> String {
    format!("not here: install {package}")
}

/// A system whose library was not here when this program was built.
pub struct Absent {
    pub name: &'static str,
    pub reason: String,
}

impl Absent {
    pub fn boxed(name: &'static str, package: &str) -> Box<dyn System> {
        Box::new(Absent { name, reason: missing(package) + " and build again" })
    }
}

impl System for Absent {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> Result<String> {
        Err(self.reason.clone())
    }

    fn hub(&self, _place: &Place) -> Option<Result<Command>> {
        Some(Err(self.reason.clone()))
    }

    fn publisher(&self, _place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
        Err(self.reason.clone())
    }

    fn subscriber(&self, _place: &Place, _identity: &str, _names: &[&str]) -> Result<Box<dyn Subscriber>> {
        Err(self.reason.clone())
    }

    fn crowd(&self, _place: &Place, _n: usize) -> Result<Box<dyn Crowd>> {
        Err(self.reason.clone())
    }
}

/// A server program, also where the PATH of a user has no directory for servers.
fn program(name: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| missing(package))
}

/// The version in what a server prints: the word after `before`.
pub fn server_version(name: &str, package: &str, argument: &str, before: &str) -> Result<String> {
    let program = program(name, package)?;
    // Some end with a status that is not 0 after they have printed their usage.
    let output = Command::new(&program)
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_once(before)
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .map(str::to_string)
        .ok_or_else(|| format!("{} {argument} does not tell its version", program.display()))
}

/// A server with a configuration file of its own, which is the last argument.
pub fn server(name: &str, package: &str, place: &Place, configuration: &str, arguments: &[&str]) -> Result<Command> {
    let file = place.directory.join(name).with_extension("conf");
    std::fs::write(&file, configuration).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let mut command = Command::new(program(name, package)?);
    command.args(arguments).arg(file).current_dir(&place.directory);
    Ok(command)
}

/// A path as text for URLs and configuration files.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// A name or path for C.
pub fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| format!("{text:?} has a NUL in it"))
}

/// A text that a library returned.
///
/// # Safety
/// It is NULL or points to a text with a NUL at its end.
pub unsafe fn words(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return "no reason given".into();
    }
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The name of a state that arrived.
pub fn name_text(name: &[u8]) -> Result<&str> {
    std::str::from_utf8(name).map_err(|_| format!("the name {:?} is not UTF-8", String::from_utf8_lossy(name)))
}

/// Whole milliseconds for C, at least 1, so that a short wait is none that is for ever or not at all.
pub fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX).max(1)
}

/// Tries until it works, or until a hub that is starting should have been there.
pub fn until_there<T>(mut connect: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match connect() {
            Ok(there) => return Ok(there),
            Err(why) if Instant::now() >= end => return Err(why),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Whether a descriptor has one of `events` within `patience`.
pub fn wait_for(descriptor: i32, events: libc::c_short, patience: Duration) -> Result<bool> {
    let entry = libc::pollfd { fd: descriptor, events, revents: 0 };
    poll(&mut [entry], patience, "cannot wait for a socket")
}

/// Waits until one of `entries` is ready; false if none is within `patience`.
fn poll(entries: &mut [libc::pollfd], patience: Duration, failure: &str) -> Result<bool> {
    loop {
        // SAFETY: the entries live until the call returns.
        match unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, milliseconds(patience)) } {
            0 => return Ok(false),
            1.. => return Ok(true),
            _ => interrupted_or(failure)?,
        }
    }
}

/// Ok when a signal ended the last call.
fn interrupted_or(what: &str) -> Result<()> {
    let error = std::io::Error::last_os_error();
    match error.kind() {
        std::io::ErrorKind::Interrupted => Ok(()),
        _ => Err(format!("{what}: {error}")),
    }
}

// One state as one message, for systems whose messages have no name of their own.

/// The bytes of a message: the name, a NUL, the payload.
pub fn message_size(name: &str, payload: &[u8]) -> usize {
    name.len() + 1 + payload.len()
}

/// Writes a message into `message`, which has [`message_size`] bytes.
pub fn put_message(message: &mut [u8], name: &str, payload: &[u8]) {
    let (head, tail) = message.split_at_mut(name.len() + 1);
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[name.len()] = 0;
    tail.copy_from_slice(payload);
}

/// The name and the payload of a message.
pub fn split_message(message: &[u8]) -> Result<(&str, &[u8])> {
    let end = message.iter().position(|&byte| byte == 0).ok_or("a message without a name arrived")?;
    Ok((name_text(&message[..end])?, &message[end + 1..]))
}

/// The size of the payload of a message.
pub fn payload_size(message: &[u8]) -> Result<usize> {
    split_message(message).map(|(_, payload)| payload.len())
}

/// Whether a client that asked for `names` wants this one; none are all.
pub fn wants(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

// Crowds of raw sockets.

/// Connections that have spoken `request` and got what ends with one of the `answers`.
pub fn raw_crowd<S: Read + Write + Into<OwnedFd>>(
    n: usize,
    connect: impl Fn() -> std::io::Result<S>,
    handshake: impl Fn(usize, &mut S) -> Result<()>,
    counter: impl Fn() -> Box<dyn FrameCounter>,
) -> Result<Box<dyn Crowd>> {
    let connections = (0..n)
        .map(|index| {
            let mut socket = until_there(|| connect().map_err(|e| format!("cannot make connection {index}: {e}")))?;
            handshake(index, &mut socket).map_err(|why| format!("connection {index} of {n}: {why}"))?;
            Ok((socket.into(), counter()))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Box::new(Drain::new(connections)?))
}

/// Writes `request` and reads until the answer ends with `end`. Byte by byte, so that nothing after it is taken.
pub fn ask<S: Read + Write>(socket: &mut S, request: &[u8], end: &[u8]) -> Result<()> {
    socket.write_all(request).map_err(|e| format!("cannot write: {e}"))?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(end) {
        match socket.read(&mut byte) {
            Ok(0) => return Err(format!("closed by the hub after {:?}", String::from_utf8_lossy(&answer))),
            Ok(_) => answer.push(byte[0]),
            Err(e) => return Err(format!("no answer after {:?}: {e}", String::from_utf8_lossy(&answer))),
        }
    }
    Ok(())
}

// Crowds of library sockets.

/// Sockets of a library that has no wire of its own to be read here.
pub trait Sockets {
    fn len(&self) -> usize;

    /// Tells of each state that is there the index of its socket and the size of its payload; waits for at most
    /// `patience` when there is none. False: none came.
    fn receive(&mut self, patience: Duration, take: &mut dyn FnMut(usize, usize)) -> Result<bool>;
}

/// A crowd of such sockets.
pub struct SocketCrowd<T>(T);

/// The name of the states that find out which sockets are connected. They have no payload, and are not counted.
const PROBE: &str = "probe";

impl<T: Sockets> SocketCrowd<T> {
    /// Publishes until each socket has received something: nothing else shows that the hub knows of it.
    pub fn new(mut sockets: T, mut publisher: Box<dyn Publisher>) -> Result<Self> {
        let mut reached = vec![false; sockets.len()];
        let mut missing = sockets.len();
        let end = Instant::now() + PATIENCE;
        while missing > 0 {
            if Instant::now() >= end {
                return Err(format!("{missing} of {} sockets were not connected after {PATIENCE:?}", reached.len()));
            }
            publisher.publish(PROBE, &[])?;
            publisher.flush()?;
            while sockets.receive(Duration::from_millis(20), &mut |index, _| {
                missing -= usize::from(!std::mem::replace(&mut reached[index], true));
            })? {}
        }
        Ok(SocketCrowd(sockets))
    }
}

impl<T: Sockets> Crowd for SocketCrowd<T> {
    fn drain(&mut self, states: u64, payload: usize, patience: Duration) -> Result<u64> {
        let wanted = states * self.0.len() as u64;
        let mut arrived = 0;
        while arrived < wanted {
            if !self.0.receive(patience, &mut |_, size| arrived += u64::from(size == payload))? {
                break;
            }
        }
        Ok(arrived)
    }
}

// The bus of nanomsg and of NNG.

/// A socket of a bus, which delivers everything that others publish.
pub trait BusSocket: Publisher {
    type Message: AsRef<[u8]>;

    /// The next message, or None when none comes within `patience`.
    fn receive(&mut self, patience: Duration) -> Result<Option<Self::Message>>;

    /// The next message, or None when there is none.
    fn receive_now(&self) -> Result<Option<Self::Message>>;

    /// What is readable while there is a message.
    fn descriptor(&self) -> Result<i32>;
}

/// A client with such a socket.
pub struct BusClient<S> {
    socket: S,
    names: Vec<String>,
}

impl<S: BusSocket> BusClient<S> {
    /// A client that wants the states of `names`; none are all.
    pub fn new(socket: S, names: &[&str]) -> BusClient<S> {
        BusClient { socket, names: names.iter().map(|name| name.to_string()).collect() }
    }
}

impl<S: BusSocket> Publisher for BusClient<S> {
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
        self.socket.publish(name, payload)
    }
}

impl<S: BusSocket> Subscriber for BusClient<S> {
    fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
        while let Some(message) = self.socket.receive(patience)? {
            let (name, payload) = split_message(message.as_ref())?;
            if wants(&self.names, name) && handler(&mut self.socket, name, payload) == Flow::Stop {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

struct BusSockets<S> {
    sockets: Vec<S>,
    entries: Vec<libc::pollfd>,
}

impl<S: BusSocket> Sockets for BusSockets<S> {
    fn len(&self) -> usize {
        self.sockets.len()
    }

    fn receive(&mut self, patience: Duration, take: &mut dyn FnMut(usize, usize)) -> Result<bool> {
        let ready = poll(&mut self.entries, patience, "cannot wait for the sockets of a crowd")?;
        for (index, (socket, entry)) in self.sockets.iter().zip(&self.entries).enumerate() {
            if entry.revents != 0 {
                while let Some(message) = socket.receive_now()? {
                    take(index, payload_size(message.as_ref())?);
                }
            }
        }
        Ok(ready)
    }
}

/// A crowd of such sockets; `publisher` finds out when they are connected.
pub fn bus_crowd<S: BusSocket + 'static>(sockets: Vec<S>, publisher: Box<dyn Publisher>) -> Result<Box<dyn Crowd>> {
    let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let entries = sockets.iter().map(|socket| socket.descriptor().map(entry)).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(SocketCrowd::new(BusSockets { sockets, entries }, publisher)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gives_its_name_and_payload_back() {
        let mut message = vec![0xff; message_size("a/b", b"x\0y")];
        put_message(&mut message, "a/b", b"x\0y");
        assert_eq!(split_message(&message), Ok(("a/b", &b"x\0y"[..])));
    }

    #[test]
    fn a_message_without_a_name_is_refused() {
        assert!(split_message(b"no end").is_err());
        assert!(split_message(b"\xff\0x").unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn a_short_wait_is_never_zero_and_a_long_one_fits() {
        assert_eq!(milliseconds(Duration::from_micros(10)), 1);
        assert_eq!(milliseconds(Duration::from_secs(u64::MAX)), i32::MAX);
    }
}
