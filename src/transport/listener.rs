//! Listening sockets: TCP, and Unix sockets with the lock file that decides who may replace a stale one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{self, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::fork::Birth;
use super::socket::Stream;
use super::url::{Address, Host};
use crate::{Error, Result, Status};

/// Connections that may wait to be accepted; the system takes less if it allows less.
const BACKLOG: libc::c_int = 4096;
/// How long nothing is accepted after the process ran out of descriptors.
pub const PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that listens. Dropping it closes it and removes its own socket file.
#[derive(Debug)]
pub struct Listener {
    // Before `file`: nobody can connect any more when the file goes.
    socket: Socket,
    tcp: bool,
    url: String,
    _file: Option<SocketFile>,
    birth: Birth,
}

/// What one attempt to accept gave.
#[derive(Debug)]
pub enum Accept {
    /// A connection.
    Connection(Stream),
    /// None waits.
    Empty,
    /// One went away before it was accepted; there may be more.
    Gone,
    /// Accepting fails for now, for instance for lack of descriptors: try again after [`PAUSE`].
    Pause(io::Error),
}

impl Listener {
    /// Binds and listens. `ipc_mode` are the permission bits of a socket file. A host name is resolved, which may take
    /// seconds; the others return at once.
    ///
    /// [`Status::InUse`] if somebody else has the address, [`Status::Permission`], [`Status::Resolve`], or another
    /// failure of the system. `inproc` has listeners of its own.
    pub fn bind(address: &Address, ipc_mode: u32) -> Result<Listener> {
        match address {
            Address::Tcp { host, port } => tcp(address, host, *port),
            Address::Ipc(path) => ipc(address, path, ipc_mode),
            Address::Abstract(name) => {
                let socket = unix_socket(address, &format!("\0{name}"), None)?;
                start(address, &socket)?;
                Ok(Listener { socket, tcp: false, url: address.to_string(), _file: None, birth: Birth::here() })
            }
            Address::Inproc(_) => Err(Error::new(Status::Invalid, format!("{address} is not a socket"))),
        }
    }

    /// Where it listens: the URL with the port that it got.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes the next connection, without waiting for one.
    pub fn accept(&self) -> Accept {
        match self.socket.accept() {
            Ok((socket, _)) => match Stream::accepted(socket, self.tcp) {
                Ok(stream) => Accept::Connection(stream),
                Err(_) => Accept::Gone,
            },
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Accept::Empty,
                // Linux also tells the network errors of a connection that is already over.
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
pub(super) fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let failed =
        |why: &dyn std::fmt::Display| Error::new(Status::Resolve, format!("{}: {name}: {why}", Status::Resolve.text()));
    let addresses: Vec<SocketAddr> = (name, port).to_socket_addrs().map_err(|error| failed(&error))?.collect();
    if addresses.is_empty() {
        return Err(failed(&"it has no address"));
    }
    Ok(addresses)
}

fn start(address: &Address, socket: &Socket) -> Result<()> {
    socket.listen(BACKLOG).map_err(|error| Error::io(&error, address))
}

/// What to bind for `host`, the best first; for every interface IPv6, which may take IPv4 too. Waits for a resolver.
pub(crate) fn candidates(host: &Host, port: u16) -> Result<Vec<SocketAddr>> {
    Ok(match host {
        Host::Any => vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
        Host::V4(ip) => vec![(*ip, port).into()],
        Host::V6(ip) => vec![(*ip, port).into()],
        Host::Name(name) => {
            // IPv4 first: it is all that the original's programs ask a resolver for.
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
                let url = if any { format!("tcp://*:{}", bound.port()) } else { format!("tcp://{bound}") };
                return Ok(Listener { socket, tcp: true, url, _file: None, birth: Birth::here() });
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
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Past connections of an earlier listener must not keep the port for minutes.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Makes and binds, and does not yet listen.
fn unix_socket(address: &Address, path: &str, mode: Option<u32>) -> Result<Socket> {
    let bound = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
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
    // Nobody could connect until here.
    start(address, &socket)?;
    Ok(Listener { socket, tcp: false, url: address.to_string(), _file: Some(file), birth: Birth::here() })
}

/// The file of a Unix socket, held by the lock on `<path>.lock`: whoever has the lock may remove the file.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    lock_path: PathBuf,
    lock: File,
    /// Device and inode of the socket once it is made: only this one is removed at the end.
    id: Option<(u64, u64)>,
    birth: Birth,
}

fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn in_use(address: &Address, why: &str) -> Error {
    Error::new(Status::InUse, format!("{}: {address}: {why}", Status::InUse.text()))
}

impl SocketFile {
    fn lock(address: &Address, path: &str) -> Result<SocketFile> {
        // Absolute: the working directory may be another one when they are removed.
        let path = path::absolute(path).map_err(|error| Error::io(&error, address))?;
        let mut lock_path = OsString::from(&path);
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let fail = |error: io::Error| Error::io(&error, format_args!("{address}: {}", lock_path.display()));
        loop {
            let lock = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&lock_path)
                .map_err(fail)?;
            if let Err(error) = flock(&lock, libc::LOCK_EX | libc::LOCK_NB) {
                return Err(match error.kind() {
                    io::ErrorKind::WouldBlock => in_use(address, "another listener holds its lock file"),
                    _ => fail(error),
                });
            }
            // The former holder may have removed it between the two calls: then another file has that name.
            let held = id(&lock.metadata().map_err(fail)?);
            if fs::symlink_metadata(&lock_path).is_ok_and(|named| id(&named) == held) {
                return Ok(SocketFile { path, lock_path, lock, id: None, birth: Birth::here() });
            }
        }
    }

    /// Removes a socket that nobody listens on, and nothing else. `given` is the path as the system has room for it.
    fn remove_stale(&self, address: &Address, given: &str) -> Result<()> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(&error, address)),
            Ok(found) if !found.file_type().is_socket() => return Err(in_use(address, "it is not a socket")),
            Ok(_) => {}
        }
        // A listener of another program has no lock file.
        match answers(given) {
            Ok(true) => Err(in_use(address, "another program listens on it")),
            Ok(false) => match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&error, address)),
                _ => Ok(()),
            },
            Err(error) => Err(Error::io(&error, address)),
        }
    }

    fn made(&mut self, mode: u32) -> io::Result<()> {
        self.id = Some(id(&fs::symlink_metadata(&self.path)?));
        // What the umask took away.
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A child closes its copy; the lock and the file are its parent's.
        if self.birth.forked() {
            return;
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|found| Some(id(&found)) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
        let _ = fs::remove_file(&self.lock_path);
        // Explicitly: a child may hold a copy of the descriptor.
        let _ = flock(&self.lock, libc::LOCK_UN);
    }
}

fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open; no pointers.
        if unsafe { libc::flock(file.as_raw_fd(), operation) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Whether somebody listens on this Unix socket.
fn answers(path: &str) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ENOENT) => Ok(false),
            // Its queue is full, or it is a socket of another type.
            Some(libc::EAGAIN | libc::EINPROGRESS | libc::EPROTOTYPE) => Ok(true),
            _ => Err(error),
        },
        Ok(()) => Ok(true),
    }
}
