//! Connections that are being made.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use socket2::SockAddr;

use super::address::dialled;
use super::channel::Channel;
use super::conns::Opened;
use super::reactor::{Kind, Reactor};
use super::thread::spawn;
use crate::engine::Now;
use crate::limits;
use crate::time::MonoTime;
use crate::transport::poller::Interest;
use crate::transport::socket::{Connect, Stream};
use crate::transport::tls::Connector;
use crate::transport::{inproc, listener, Address, Host, Ready};
use crate::{Error, Result, Status};

/// What a resolver thread returns.
type Found = Arc<Mutex<Option<Result<Vec<SockAddr>>>>>;

struct Dial {
    token: u64,
    address: Address,
    /// Receives the addresses of its host.
    resolves: Option<Found>,
    /// Addresses still to be tried, the next one last.
    left: Vec<SockAddr>,
    /// And until when it is waited for.
    running: Option<(Stream, MonoTime)>,
    /// Why the last address failed.
    failed: Option<Error>,
}

/// The end of an attempt.
pub(super) struct Dialled {
    /// That of the [`Action::Dial`](crate::engine::Action::Dial).
    pub token: u64,
    pub result: Result<Opened>,
}

/// The connections that a driver is making: resolves names, tries one address after the other, each for a limited time.
#[derive(Default)]
pub(super) struct Dialler {
    dials: HashMap<u64, Dial>,
    /// Makes secure connections.
    pub connector: Option<Connector>,
}

impl Dialler {
    /// Begins to connect to `url`. `None`: it is in progress, and ends in [`Dialler::ready`] or [`Dialler::late`].
    pub fn begin(&mut self, reactor: &mut Reactor, now: Now, token: u64, url: &str) -> Option<Dialled> {
        let ended = |result| Some(Dialled { token, result });
        let address = match Address::parse(url).and_then(|address| address.check_dial().map(|()| address)) {
            Ok(address) => address,
            Err(error) => return ended(Err(error)),
        };
        let key = reactor.key(Kind::Dial);
        let mut resolves = None;
        let left = match &address {
            Address::Inproc(name) => {
                return ended(inproc::connect(name).map(|end| Opened::in_memory(end, url.to_owned())));
            }
            Address::Ipc(path) => SockAddr::unix(path).map(Some),
            Address::Abstract(name) => SockAddr::unix(format!("\0{name}")).map(Some),
            Address::Tcp { host, port, .. } | Address::Ws { host, port, .. } => match host {
                Host::V4(ip) => Ok(Some(SocketAddr::from((*ip, *port)).into())),
                Host::V6(ip) => Ok(Some(SocketAddr::from((*ip, *port)).into())),
                Host::Name(name) => {
                    resolve(reactor.ready(key), name, *port).map(|found| resolves = Some(found)).map(|()| None)
                }
                // Refused above.
                Host::Any => Ok(None),
            },
        };
        match left {
            Ok(left) => {
                let waits = resolves.is_some();
                let dial =
                    Dial { token, address, resolves, left: left.into_iter().collect(), running: None, failed: None };
                self.dials.insert(key, dial);
                if waits {
                    None
                } else {
                    self.next(reactor, now, key)
                }
            }
            Err(error) => ended(Err(Error::io(&error, url))),
        }
    }

    /// A connect or the resolver has ended.
    pub fn ready(&mut self, reactor: &mut Reactor, now: Now, key: u64) -> Option<Dialled> {
        let dial = self.dials.get_mut(&key)?;
        let found = dial.resolves.as_ref().and_then(|found| found.lock().take());
        match found {
            Some(found) => {
                dial.resolves = None;
                match found {
                    Ok(mut found) => {
                        found.reverse();
                        dial.left = found;
                    }
                    Err(error) => dial.failed = Some(error),
                }
                self.next(reactor, now, key)
            }
            None => self.ended(reactor, now, key, false),
        }
    }

    /// The connect in progress has timed out.
    pub fn late(&mut self, reactor: &mut Reactor, now: Now, key: u64) -> Option<Dialled> {
        self.ended(reactor, now, key, true)
    }

    fn ended(&mut self, reactor: &mut Reactor, now: Now, key: u64, late: bool) -> Option<Dialled> {
        let dial = self.dials.get_mut(&key)?;
        let (stream, deadline) = dial.running.take()?;
        reactor.stop_timer(deadline, key);
        reactor.poller.remove(stream.as_raw_fd());
        let result = if late { Err(io::ErrorKind::TimedOut.into()) } else { stream.connected() };
        match result {
            Ok(()) => self.connected(key, stream),
            Err(error) => {
                dial.failed = Some(Error::io(&error, &dial.address));
                self.next(reactor, now, key)
            }
        }
    }

    /// Tries the remaining addresses, until one connects or has to be waited for.
    fn next(&mut self, reactor: &mut Reactor, now: Now, key: u64) -> Option<Dialled> {
        loop {
            let dial = self.dials.get_mut(&key)?;
            let Some(address) = dial.left.pop() else {
                let Dial { token, failed, .. } = self.dials.remove(&key)?;
                return Some(Dialled { token, result: Err(failed.unwrap_or_else(|| Status::Resolve.into())) });
            };
            let stream = match Stream::connect(&address) {
                Ok((stream, Connect::Done)) => match stream.connected() {
                    Ok(()) => return self.connected(key, stream),
                    Err(error) => Err(error),
                },
                Ok((stream, Connect::Running)) => {
                    reactor.poller.add(stream.as_raw_fd(), key, Interest::WRITE).map(|()| stream)
                }
                Err(error) => Err(error),
            };
            match stream {
                Ok(stream) => {
                    let deadline = now.mono + limits::HANDSHAKE;
                    reactor.start_timer(deadline, key);
                    dial.running = Some((stream, deadline));
                    return None;
                }
                Err(error) => dial.failed = Some(Error::io(&error, &dial.address)),
            }
        }
    }

    fn connected(&mut self, key: u64, stream: Stream) -> Option<Dialled> {
        let Dial { token, address, .. } = self.dials.remove(&key)?;
        let channel = match (address.host().filter(|_| address.is_tls()), &self.connector) {
            (None, _) => Ok(Channel::Socket(stream)),
            (Some((host, _)), Some(tls)) => tls.connect(stream, host).map(|stream| Channel::Tls(Box::new(stream))),
            (Some(_), None) => Err(Error::new(Status::Tls, "nothing says which hub to trust")),
        };
        let opened = |channel| {
            let (encoding, url) = (dialled(&address)?, address.to_string());
            Ok(Opened { channel, encoding, url, gateway: None })
        };
        Some(Dialled { token, result: channel.and_then(opened) })
    }

    /// Gives all of them up.
    pub fn close_all(&mut self, reactor: &Reactor) {
        for (stream, _) in self.dials.drain().filter_map(|(_, dial)| dial.running) {
            reactor.poller.remove(stream.as_raw_fd());
        }
    }

    /// In a child after `fork`: closes the descriptors and does nothing else.
    pub fn abandon(&mut self) {
        self.dials.clear();
    }
}

/// Resolves the name in a separate thread, which may take long and which nothing waits for.
fn resolve(ready: Ready, name: &str, port: u16) -> io::Result<Found> {
    let found = Found::default();
    let (left, name) = (found.clone(), name.to_owned());
    spawn("ns-resolve", move || {
        let resolved = listener::resolve(&name, port);
        *left.lock() = Some(resolved.map(|found| found.into_iter().map(SockAddr::from).collect()));
        ready.notify();
    })?;
    Ok(found)
}
