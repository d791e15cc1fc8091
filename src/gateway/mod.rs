//! A hub's sockets of the other scalability protocols: `pub+tcp://…` and the like. Those on `ws` and `inproc` are
//! NNG's, and opened here; the others are the hub's own listeners.
//!
//! To the [router](crate::engine::hub::Router) a gateway is one peer, however many clients it has, and to the
//! [driver](crate::runtime::Driver) one connection, which a [`GatewaySocket`](socket::GatewaySocket) carries. NNG runs
//! while there is a gateway in the process; its threads only hand messages over.
//!
//! * `nng`: a safe interface to the parts of NNG that are used; the only place that calls C;
//! * `arrivals`: what NNG's threads leave for the hub's loop;
//! * `socket`: translates between messages and the router's events and answers;
//! * `pace`: how fast subscribers are fed;
//! * `origin`: which pages a browser may connect from.

mod arrivals;
#[allow(unsafe_code)]
mod nng;
mod origin;
mod pace;
mod socket;

use std::fmt;
use std::sync::Arc;

use self::arrivals::Arrivals;
use self::nng::{Library, Pipe, PipeEvent, Protocol, Socket};
use self::socket::GatewaySocket;
use crate::engine::hub::{Router, RouterConfig};
use crate::engine::Role;
use crate::options::HubOption;
use crate::runtime::gateway_address::{Endpoint, GatewayAddress};
use crate::runtime::{now, Shared};
use crate::transport::listener::candidates;
use crate::transport::{Address, Host};
use crate::{Error, Result, Status};

/// What NNG accepts beyond the length of a body: room for the bytes in front of a request. A state that is slightly too
/// large is then refused by the hub, which says so, and not by NNG, which ends the connection.
const HEADROOM: usize = 4096;

impl Role {
    fn protocol(self) -> Protocol {
        match self {
            Role::Pub => Protocol::Pub,
            Role::Pull => Protocol::Pull,
            Role::Rep => Protocol::Rep,
            Role::Respondent => Protocol::Respondent,
        }
    }
}

/// Opens a gateway of the hub `shared` on `ws` or `inproc`, which listens when this returns. Returns the actual URL.
/// Waits while a host name is resolved.
///
/// [`Status::Unsupported`] for other transports, [`Status::InUse`], [`Status::Permission`], [`Status::Resolve`],
/// [`Status::Full`] where the hub has no room for one more peer, or another failure of the system.
pub fn open(shared: &Shared<Router>, url: &str, address: &GatewayAddress) -> Result<String> {
    let role = address.gateway.role;
    let config = shared.lock().protocol.config().clone();
    let library = Library::start()?;
    let mut socket = Socket::open(&library, role.protocol())?;
    let limit = config.max_gateway();
    socket.set_max_message(limit + HEADROOM)?;
    if role == Role::Pub {
        socket.set_send_buffer(pace::QUEUE)?;
    }
    let arrivals = Arc::new(Arrivals::default());
    let doorman =
        Doorman { arrivals: arrivals.clone(), limit: ConnectionLimit::of(&config, role), own: host_of(&address.place) };
    socket.on_pipe(move |event, pipe| doorman.sees(event, pipe))?;
    let bound = listen(&socket, &address.place, limit + HEADROOM).map_err(|error| address.error(url, &error))?;
    let bound = format!("{}+{bound}", role.name());
    let carrier = GatewaySocket::new(&library, role, limit, arrivals, socket)?;
    let mut driver = shared.lock();
    if !driver.attach(now(), Box::new(carrier), &bound, address.gateway) {
        return Err(Error::new(Status::Full, format!("{}: {url}", Status::Full.text())));
    }
    Ok(bound)
}

/// Decides which connections are admitted.
struct Doorman {
    arrivals: Arc<Arrivals>,
    limit: ConnectionLimit,
    /// The host in the listener's URL.
    own: String,
}

impl Doorman {
    /// Whether the connection may stay. NNG holds locks during the call, so nothing is logged here.
    fn sees(&self, event: PipeEvent, pipe: &Pipe) -> bool {
        match event {
            PipeEvent::Adding => {
                let refused = self.refuses(pipe);
                if let Some(why) = &refused {
                    self.arrivals.refused(&pipe.address(), why);
                }
                return refused.is_none();
            }
            PipeEvent::Added => self.arrivals.came(pipe.id(), &pipe.address()),
            PipeEvent::Removed => self.arrivals.gone(pipe.id()),
        }
        true
    }

    fn refuses(&self, pipe: &Pipe) -> Option<String> {
        if self.arrivals.clients() >= self.limit.most {
            return Some(self.limit.to_string());
        }
        let (origin, host) = (pipe.header("Origin"), pipe.header("Host"));
        origin::check(origin.as_deref(), host.as_deref(), &self.own).err()
    }
}

/// How many connections are admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ConnectionLimit {
    most: usize,
    /// The bytes that all of them together may hold, and each of them, where that is the limit: NNG allocates a message
    /// as soon as its length is claimed.
    bytes: Option<(usize, usize)>,
}

impl ConnectionLimit {
    fn of(config: &RouterConfig, role: Role) -> ConnectionLimit {
        let each = config.max_gateway().max(1);
        let most = (config.unfinished / each).max(1);
        if role == Role::Pub || most >= config.max_peers {
            return ConnectionLimit { most: config.max_peers, bytes: None };
        }
        ConnectionLimit { most, bytes: Some((config.unfinished, each)) }
    }
}

impl fmt::Display for ConnectionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} may be connected", self.most)?;
        if let Some((all, each)) = self.bytes {
            write!(f, ": each may hold {each} of {all} bytes with an unfinished message")?;
            write!(f, " (a smaller {} allows more)", HubOption::LegacyMax.about().name)?;
        }
        Ok(())
    }
}

/// The host in a listener's URL, or nothing.
fn host_of(place: &Endpoint) -> String {
    match place {
        Endpoint::Web(Address::Tcp { host, .. }, _) => host.to_string(),
        _ => String::new(),
    }
}

/// Listens. Returns the actual URL.
fn listen(socket: &Socket, place: &Endpoint, max_frame: usize) -> Result<String> {
    match place {
        Endpoint::Inproc(_) => {
            let url = place.to_string();
            socket.listen(&url)?;
            Ok(url)
        }
        Endpoint::Web(Address::Tcp { host, port, .. }, path) => listen_at(socket, host, *port, path, max_frame),
        Endpoint::Web(..) | Endpoint::Stream(_) => {
            Err(Error::new(Status::Unsupported, format!("{}: {place}", Status::Unsupported.text())))
        }
    }
}

/// Listens at the first address of `host` that is available.
fn listen_at(socket: &Socket, host: &Host, port: u16, path: &str, max_frame: usize) -> Result<String> {
    let mut last = Err(Status::Resolve.into());
    for mut candidate in candidates(host, port)? {
        match socket.listen_web(&format!("ws://{candidate}{path}"), max_frame) {
            Ok(port) => {
                candidate.set_port(port);
                // NNG's own URL would lack a port that is the scheme's default.
                return Ok(match host {
                    Host::Any => format!("ws://{host}:{port}{path}"),
                    _ => format!("ws://{candidate}{path}"),
                });
            }
            Err(error) if error.status() == Status::InUse => return Err(error),
            Err(error) => last = Err(error),
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn bound(library: &Library, url: &str) -> String {
        let address = GatewayAddress::parse(url).expect("a gateway's").unwrap();
        let socket = Socket::open(library, address.gateway.role.protocol()).unwrap();
        listen(&socket, &address.place, 1 << 20).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_url_that_is_told_is_the_one_that_was_given_with_the_port() {
        let library = Library::start().unwrap();
        for (url, start, path) in [
            ("pub+ws://127.0.0.1:0/x", "ws://127.0.0.1:", "/x"),
            ("pub+ws://127.0.0.1:0", "ws://127.0.0.1:", "/"),
            ("pub+ws://[::1]:0/x/", "ws://[::1]:", "/x/"),
            ("pub+ws://*:0/a/../b", "ws://*:", "/a/../b"),
        ] {
            if url.contains("[::1]") && TcpListener::bind("[::1]:0").is_err() {
                // A machine without IPv6.
                continue;
            }
            let bound = bound(&library, url);
            let port = bound.strip_prefix(start).and_then(|rest| rest.strip_suffix(path));
            assert!(port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)), "{url}: {bound}");
        }
        assert_eq!(bound(&library, "pub+inproc://a name"), "inproc://a name");
    }

    /// NNG leaves it out of its own URLs.
    #[test]
    fn the_port_of_the_web_is_told_as_any_other() {
        let library = Library::start().unwrap();
        let socket = Socket::open(&library, Protocol::Pub).unwrap();
        match listen_at(&socket, &Host::V4(Ipv4Addr::LOCALHOST), 80, "/x", 1 << 20) {
            Ok(url) => assert_eq!(url, "ws://127.0.0.1:80/x"),
            // Another program has it, or this user may not.
            Err(error) => assert!(matches!(error.status(), Status::InUse | Status::Permission), "{error}"),
        }
    }

    #[test]
    fn a_url_of_the_web_that_nng_cannot_take_says_how_long_it_is() {
        let library = Library::start().unwrap();
        let at = |path: &str| {
            let socket = Socket::open(&library, Protocol::Pub).unwrap();
            listen_at(&socket, &Host::V4(Ipv4Addr::LOCALHOST), 0, path, 1 << 20)
        };
        let longest = format!("/{}", "a".repeat(127 - "ws://127.0.0.1:0/".len()));
        assert!(at(&longest).unwrap().ends_with(&longest));
        let error = at(&format!("{longest}a")).unwrap_err();
        assert_eq!(error.status(), Status::Url);
        assert_eq!(error.to_string(), format!("malformed URL: ws://127.0.0.1:0{longest}a: 128 bytes, at most 127"));
    }

    #[test]
    fn other_transports_are_not_of_nng() {
        let library = Library::start().unwrap();
        let socket = Socket::open(&library, Protocol::Pub).unwrap();
        let Some(Ok(address)) = GatewayAddress::parse("pub+tcp://127.0.0.1:0") else { panic!("not a gateway's") };
        let error = listen(&socket, &address.place, 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "not supported: tcp://127.0.0.1:0");
    }

    #[test]
    fn as_many_are_let_in_as_there_is_room_for_what_they_claim() {
        let config = RouterConfig { unfinished: 10 << 20, max_peers: 100, ..RouterConfig::default() };
        for role in [Role::Pull, Role::Rep, Role::Respondent] {
            let limit = ConnectionLimit::of(&config, role);
            assert_eq!(limit.most, 10);
            assert_eq!(
                limit.to_string(),
                "at most 10 may be connected: each may hold 1048576 of 10485760 bytes with an unfinished message (a \
                 smaller NS_OPT_HUB_LEGACY_MAX allows more)"
            );
            let small = RouterConfig { legacy_max: 1000, ..config.clone() };
            assert_eq!(ConnectionLimit::of(&small, role), ConnectionLimit { most: 100, bytes: None });
            let none = RouterConfig { unfinished: 1, ..config.clone() };
            assert_eq!(ConnectionLimit::of(&none, role).most, 1);
        }
        assert_eq!(ConnectionLimit::of(&config, Role::Pub).to_string(), "at most 100 may be connected");
    }
}
