//! Listening sockets: TCP, Unix sockets with a file, and those without.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::access::Access;
use super::descriptor::{above_standard, Lenient};
use super::fork::Birth;
use super::socket::Stream;
use super::socket_file::SocketFile;
use super::url::{Address, Host};
use crate::{Error, Result, Status};

/// How long nothing is accepted after the process ran out of descriptors.
pub const PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that listens. Dropping it closes it and removes its own socket file.
#[derive(Debug)]
pub struct Listener {
    // Before `_file`, so that no program can connect any more when the file is removed.
    socket: Lenient<Socket>,
    tcp: bool,
    url: String,
    // Held for its drop.
    _file: Option<SocketFile>,
    /// The users that may connect, where no file determines it.
    access: Option<Access>,
    birth: Birth,
}

/// Result of one attempt to accept.
#[derive(Debug)]
pub enum Accept {
    /// A connection.
    Connection(Stream),
    /// None waits.
    Empty,
    /// One went away before it was accepted; there may be more.
    Gone,
    /// A connection was closed because its user, named here, may not connect.
    Denied(String),
    /// Accepting fails for now, for instance for lack of descriptors: try again after [`PAUSE`].
    Pause(io::Error),
}

impl Listener {
    /// Binds and listens. `ipc_mode` are the permission bits of a socket file; for a socket without a file they say who
    /// may connect. Resolving a host name may take seconds; all other addresses are bound at once.
    ///
    /// [`Status::InUse`] if somebody else has the address, [`Status::Permission`], [`Status::Resolve`], or another
    /// failure of the system. `inproc` has listeners of its own.
    pub fn bind(address: &Address, ipc_mode: u32) -> Result<Listener> {
        match address {
            Address::Tcp { host, port, .. } | Address::Ws { host, port, .. } => tcp(address, host, *port),
            Address::Ipc(path) => ipc(address, path, ipc_mode),
            Address::Abstract(name) => {
                let socket = unix_socket(address, &format!("\0{name}"), None)?;
                start(address, &socket)?;
                let mut listener = Listener::new(socket, false, address.to_string());
                listener.access = Some(Access::of_this_process(ipc_mode));
                Ok(listener)
            }
            Address::Inproc(_) => Err(Error::new(Status::Invalid, format!("{address} is not a socket"))),
        }
    }

    fn new(socket: Socket, tcp: bool, url: String) -> Listener {
        Listener { socket: Lenient::new(socket), tcp, url, _file: None, access: None, birth: Birth::here() }
    }

    /// Where it listens: the URL with the port that it got.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes the next connection, without waiting for one.
    pub fn accept(&self) -> Accept {
        match self.socket.accept() {
            Ok((socket, _)) => match Stream::accepted(socket, self.tcp) {
                Ok(stream) => match self.access.as_ref().map(|access| access.check(&stream)) {
                    None | Some(Ok(())) => Accept::Connection(stream),
                    Some(Err(who)) => Accept::Denied(who),
                },
                Err(_) => Accept::Gone,
            },
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Accept::Empty,
                // Linux also reports the network errors of a connection that is already over.
                Some(
                    libc::EINTR
                    | libc::ECONNABORTED
                    | libc::EPROTO
                    | libc::ENETDOWN
                    | libc::ENOPROTOOPT
                    | libc::EHOSTDOWN
                    | libc::EHOSTUNREACH
                    | libc::ENETUNREACH
                    | libc::ETIMEDOUT
                    | libc::EPERM,
                ) => Accept::Gone,
                _ => Accept::Pause(error),
            },
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A child that has a copy of the descriptor must not keep the address.
        if !self.birth.forked() {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Resolves a host name, waiting for it.
pub(crate) fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let failed =
        |why: &dyn std::fmt::Display| Error::new(Status::Resolve, format!("{}: {name}: {why}", Status::Resolve.text()));
    let addresses: Vec<SocketAddr> =
        (name, port).to_socket_addrs().map_err(|error| failed(&Error::words(&error)))?.collect();
    if addresses.is_empty() {
        return Err(failed(&"it has no address"));
    }
    Ok(addresses)
}

fn start(address: &Address, socket: &Socket) -> Result<()> {
    /// Connections that may wait to be accepted; the system takes less if it allows less.
    const BACKLOG: libc::c_int = 4096;
    socket.listen(BACKLOG).map_err(|error| Error::io(&error, address))
}

/// The addresses to try for `host`, the best first; for every interface that is IPv6, which may take IPv4 too. Waits
/// for a resolver.
pub(crate) fn candidates(host: &Host, port: u16) -> Result<Vec<SocketAddr>> {
    Ok(match host {
        Host::Any => vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
        Host::V4(ip) => vec![(*ip, port).into()],
        Host::V6(ip) => vec![(*ip, port).into()],
        Host::Name(name) => {
            // IPv4 first, because the original's programs ask a resolver for nothing else.
            let mut found = resolve(name, port)?;
            found.sort_by_key(SocketAddr::is_ipv6);
            found
        }
    })
}

fn tcp(address: &Address, host: &Host, port: u16) -> Result<Listener> {
    let any = *host == Host::Any;
    let mut last = None;
    for candidate in candidates(host, port)? {
        match bind_tcp(candidate, any) {
            Ok(socket) => {
                start(address, &socket)?;
                let bound = socket.local_addr().ok().and_then(|bound| bound.as_socket());
                let bound = bound.unwrap_or(candidate);
                let host = match bound {
                    _ if any => Host::Any,
                    SocketAddr::V4(bound) => Host::V4(*bound.ip()),
                    SocketAddr::V6(bound) if bound.scope_id() == 0 => Host::V6(*bound.ip()),
                    SocketAddr::V6(bound) => Host::Name(format!("{}%{}", bound.ip(), bound.scope_id())),
                };
                let url = address.clone().at(host, bound.port()).to_string();
                return Ok(Listener::new(socket, true, url));
            }
            Err(error) => {
                // Only a machine without IPv6 listens on the IPv4 interfaces alone.
                let in_use = error.kind() == io::ErrorKind::AddrInUse;
                last = Some(Error::io(&error, address));
                if in_use {
                    break;
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| Status::Resolve.into()))
}

fn bind_tcp(address: SocketAddr, dual: bool) -> io::Result<Socket> {
    let socket = above_standard(Socket::new(Domain::for_address(address), Type::STREAM, None)?)?;
    socket.set_nonblocking(true)?;
    // Past connections of an earlier listener must not keep the port for minutes.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Makes and binds a socket that does not listen yet.
fn unix_socket(address: &Address, path: &str, mode: Option<u32>) -> Result<Socket> {
    let bound = || {
        let socket = above_standard(Socket::new(Domain::UNIX, Type::STREAM, None)?)?;
        socket.set_nonblocking(true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(mode) = mode {
            // The file is then made with no more than these bits.
            // SAFETY: the descriptor is open; no pointers.
            unsafe { libc::fchmod(socket.as_raw_fd(), mode as libc::mode_t) };
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = mode;
        socket.bind(&SockAddr::unix(path)?)?;
        Ok(socket)
    };
    bound().map_err(|error: io::Error| Error::io(&error, address))
}

fn ipc(address: &Address, path: &str, mode: u32) -> Result<Listener> {
    let mut file = SocketFile::lock(address, path)?;
    file.remove_stale(address, path)?;
    let socket = unix_socket(address, path, Some(mode))?;
    file.made(mode).map_err(|error| Error::io(&error, address))?;
    // Until here no program could connect.
    start(address, &socket)?;
    let mut listener = Listener::new(socket, false, address.clone().absolute().to_string());
    listener._file = Some(file);
    Ok(listener)
}
