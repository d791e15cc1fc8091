//! Where a driver listens.

use std::os::fd::AsRawFd;

use hashbrown::HashMap;

use super::address::Encoding;
use super::channel::Channel;
use super::conns::Opened;
use super::reactor::{Kind, Reactor};
use crate::engine::{Gateway, Now};
use crate::framing::http::server::Pages;
use crate::transport::inproc;
use crate::transport::listener::{Accept, Listener, PAUSE};
use crate::transport::poller::Interest;
use crate::transport::tls::Acceptor;
use crate::transport::Address;
use crate::{Error, Result};

/// Whom a listener is for.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Programs that speak another protocol.
    pub gateway: Option<Gateway>,
    /// The pages of browsers that may connect, if it is one for WebSockets.
    pub pages: Pages,
    /// What an address with TLS shows.
    pub tls: Option<Acceptor>,
}

enum Bound {
    /// The encoding of its connections, the gateway if it is not for BUS programs, and the certificate if it is secure.
    Socket(Listener, Encoding, Option<Gateway>, Option<Acceptor>),
    Inproc(inproc::Listener, String),
}

/// Result of an accept.
pub(super) enum Accepted {
    /// A connection.
    Connection(Opened),
    /// No connection waits.
    Empty,
    /// A connection went away before it was accepted; there may be more.
    Gone,
    /// A connection was closed because its user may not connect; the text is to be logged.
    Denied(String),
    /// Accepting is paused for a while; the text is to be logged.
    Paused(String),
}

/// The listeners of a driver.
#[derive(Default)]
pub(super) struct Listeners {
    bound: HashMap<u64, Bound>,
}

impl Listeners {
    /// Listens in memory, under this name. Returns the URL.
    pub fn bind_inproc(&mut self, reactor: &mut Reactor, name: &str) -> Result<String> {
        let key = reactor.key(Kind::Listener);
        let listener = inproc::Listener::bind(name, reactor.ready(key))?;
        let url = Address::Inproc(name.to_owned()).to_string();
        self.bound.insert(key, Bound::Inproc(listener, url.clone()));
        Ok(url)
    }

    /// Accepts connections of `listener`, which is bound and whose connections have this encoding. Returns the URL with
    /// the actual port or path.
    pub fn add(
        &mut self,
        reactor: &mut Reactor,
        listener: Listener,
        encoding: Encoding,
        gateway: Option<Gateway>,
        tls: Option<Acceptor>,
    ) -> Result<String> {
        let url = listener.url().to_owned();
        let key = reactor.key(Kind::Listener);
        reactor.poller.add(listener.as_raw_fd(), key, Interest::READ).map_err(|error| Error::io(&error, &url))?;
        self.bound.insert(key, Bound::Socket(listener, encoding, gateway, tls));
        Ok(url)
    }

    /// Takes the next connection.
    pub fn accept(&mut self, reactor: &mut Reactor, now: Now, key: u64) -> Accepted {
        let (listener, encoding, gateway, tls) = match self.bound.get(&key) {
            None => return Accepted::Empty,
            Some(Bound::Inproc(listener, url)) => {
                return match listener.accept() {
                    Some(end) => Accepted::Connection(Opened::in_memory(end, url.clone())),
                    None => Accepted::Empty,
                }
            }
            Some(Bound::Socket(listener, encoding, gateway, tls)) => (listener, encoding, *gateway, tls),
        };
        match listener.accept() {
            Accept::Connection(stream) => {
                let channel = match tls {
                    None => Channel::Socket(stream),
                    Some(tls) => match tls.accept(stream) {
                        Ok(stream) => Channel::Tls(Box::new(stream)),
                        // There are no random numbers.
                        Err(_) => return Accepted::Gone,
                    },
                };
                Accepted::Connection(Opened {
                    channel,
                    encoding: encoding.clone(),
                    url: listener.url().to_owned(),
                    gateway,
                })
            }
            Accept::Empty => Accepted::Empty,
            Accept::Gone => Accepted::Gone,
            Accept::Denied(who) => Accepted::Denied(format!("{}: {who}", listener.url())),
            Accept::Pause(error) => {
                let _ = reactor.poller.set(listener.as_raw_fd(), key, Interest::NONE);
                reactor.start_timer(now.mono + PAUSE, key);
                Accepted::Paused(format!("accepting is paused: {}", Error::io(&error, listener.url())))
            }
        }
    }

    /// Has the loop return to a listener with which more connections may wait. The poller reports sockets by itself.
    pub fn repeat(&self, reactor: &Reactor, key: u64) {
        if let Some(Bound::Inproc(..)) = self.bound.get(&key) {
            reactor.ready(key).notify();
        }
    }

    /// The pause is over.
    pub fn resume(&self, reactor: &Reactor, key: u64) {
        if let Some(Bound::Socket(listener, ..)) = self.bound.get(&key) {
            let _ = reactor.poller.set(listener.as_raw_fd(), key, Interest::READ);
        }
    }

    /// Closes all of them.
    pub fn close_all(&mut self, reactor: &Reactor) {
        for (_, bound) in self.bound.drain() {
            if let Bound::Socket(listener, ..) = bound {
                reactor.poller.remove(listener.as_raw_fd());
            }
        }
    }

    /// In a child after `fork`: closes the descriptors and does nothing else.
    pub fn abandon(&mut self) {
        self.bound.clear();
    }
}
