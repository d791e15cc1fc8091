//! The file of a Unix socket, which may lie in a directory that others can write to. So no path is followed twice, and
//! nothing is removed that does not belong to this socket.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{self, Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::descriptor::{above_standard, Lenient};
use super::fork::Birth;
use super::lock_file::flock;
use super::url::Address;
use crate::{Error, Result, Status};

/// The file of a Unix socket, held by the lock on `<path>.lock`: the holder of the lock may remove the file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    lock_path: PathBuf,
    lock: Lenient<File>,
    /// Device and inode of the socket once it is made: only this one is removed at the end.
    id: Option<(u64, u64)>,
    birth: Birth,
}

fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether a path names this file, and not a link to it.
fn names(path: &Path, file: (u64, u64)) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| id(&found) == file)
}

fn in_use(address: &Address, why: impl fmt::Display) -> Error {
    Error::new(Status::InUse, format!("{}: {address}: {why}", Status::InUse.text()))
}

impl SocketFile {
    /// Takes the lock of the socket at `path`.
    pub fn lock(address: &Address, path: &str) -> Result<SocketFile> {
        // Absolute, since the working directory may have changed when they are removed.
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
                .and_then(above_standard)
                .map_err(fail)?;
            if let Err(error) = flock(&lock, libc::LOCK_EX | libc::LOCK_NB) {
                return Err(match error.kind() {
                    io::ErrorKind::WouldBlock => in_use(address, "another listener holds its lock file"),
                    _ => fail(error),
                });
            }
            // The former holder may have removed it between the two calls, so that another file has that name.
            if names(&lock_path, id(&lock.metadata().map_err(fail)?)) {
                return Ok(SocketFile { path, lock_path, lock: Lenient::new(lock), id: None, birth: Birth::here() });
            }
        }
    }

    /// Removes a socket that no program has bound any more, and nothing else. `given` is the path in a form that fits
    /// the system's limit.
    pub fn remove_stale(&self, address: &Address, given: &str) -> Result<()> {
        let stale = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(&error, address)),
            Ok(found) if !found.file_type().is_socket() => return Err(in_use(address, "it is not a socket")),
            Ok(found) => found,
        };
        // A listener of another program has no lock file.
        match is_bound(given) {
            Ok(true) => Err(in_use(address, "another program has it")),
            Ok(false) if !names(&self.path, id(&stale)) => Err(in_use(address, "another program has just made it")),
            Ok(false) => match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&error, address)),
                _ => Ok(()),
            },
            Err(error) => Err(Error::io(&error, address)),
        }
    }

    /// Called once the socket is bound. Gives its file the bits of `mode` that the umask took away, and remembers the
    /// file.
    pub fn made(&mut self, mode: u32) -> io::Result<()> {
        let pinned = Pinned::open(&self.path)?;
        let found = pinned.metadata()?;
        // SAFETY: no arguments; it cannot fail.
        let mine = found.file_type().is_socket() && found.uid() == unsafe { libc::geteuid() } && found.nlink() == 1;
        if !mine {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "something else took its place"));
        }
        self.id = Some(id(&found));
        if found.mode() & 0o777 == mode {
            return Ok(());
        }
        pinned.set_mode(mode)
    }
}

/// What a path names, without following a link at its end. It stays the same even if the path names something else
/// later.
#[cfg(any(target_os = "linux", target_os = "android"))]
struct Pinned(File);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Pinned {
    fn open(path: &Path) -> io::Result<Pinned> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)?;
        Ok(Pinned(above_standard(file)?))
    }

    fn metadata(&self) -> io::Result<fs::Metadata> {
        self.0.metadata()
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        // `fchmod` does not accept such a descriptor, but this name stands for it and nothing else.
        fs::set_permissions(format!("/proc/self/fd/{}", self.0.as_raw_fd()), fs::Permissions::from_mode(mode))
    }
}

/// Elsewhere a socket cannot be opened, so the path is looked up twice, without following a link at its end.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
struct Pinned(PathBuf);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Pinned {
    fn open(path: &Path) -> io::Result<Pinned> {
        Ok(Pinned(path.to_owned()))
    }

    fn metadata(&self) -> io::Result<fs::Metadata> {
        fs::symlink_metadata(&self.0)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(self.0.as_os_str().as_bytes())?;
        let (at, mode, flags) = (libc::AT_FDCWD, mode as libc::mode_t, libc::AT_SYMLINK_NOFOLLOW);
        // SAFETY: the path ends with a NUL and lives during the call.
        match unsafe { libc::fchmodat(at, path.as_ptr(), mode, flags) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A child closes its copy; the lock and the file are its parent's.
        if self.birth.forked() {
            return;
        }
        if self.id.is_some_and(|made| names(&self.path, made)) {
            let _ = fs::remove_file(&self.path);
        }
        // If somebody removed it, another listener has made one of its own by now.
        if self.lock.metadata().is_ok_and(|held| names(&self.lock_path, id(&held))) {
            let _ = fs::remove_file(&self.lock_path);
        }
        // Explicitly: a child may hold a copy of the descriptor.
        let _ = flock(&self.lock, libc::LOCK_UN);
    }
}

/// Whether a program has bound this Unix socket, listening on it or not yet.
///
/// It connects a socket of another type, which disturbs no listener: the system refuses the type only if the socket is
/// bound.
fn is_bound(path: &str) -> io::Result<bool> {
    let socket = above_standard(Socket::new(Domain::UNIX, Type::DGRAM, None)?)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ENOENT) => Ok(false),
            Some(libc::EPROTOTYPE | libc::EAGAIN | libc::EINPROGRESS) => Ok(true),
            _ => Err(error),
        },
        Ok(()) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{symlink, PermissionsExt};

    use super::super::listener::Listener;
    use super::*;

    /// A directory that is removed with its test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = PathBuf::from(format!("/tmp/ns-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Directory(path)
        }

        fn address(&self) -> (Address, String) {
            let path = self.0.join("s").display().to_string();
            (Address::Ipc(path.clone()), path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bound(path: &str) -> Socket {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
        socket
    }

    #[test]
    fn a_link_in_the_place_of_the_socket_is_not_followed() {
        let directory = Directory::new("link");
        let (address, path) = directory.address();
        let precious = directory.0.join("precious");
        fs::write(&precious, "").unwrap();
        fs::set_permissions(&precious, fs::Permissions::from_mode(0o600)).unwrap();
        let mut file = SocketFile::lock(&address, &path).unwrap();
        let _socket = bound(&path);
        // An attacker who may write to the directory is quick.
        fs::remove_file(&path).unwrap();
        symlink(&precious, &path).unwrap();
        assert_eq!(file.made(0o666).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::metadata(&precious).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(precious.exists() && fs::symlink_metadata(&path).is_ok(), "what is not the socket stays");
    }

    #[test]
    fn the_bits_that_the_umask_took_are_given_back() {
        let directory = Directory::new("bits");
        let (address, path) = directory.address();
        let mut file = SocketFile::lock(&address, &path).unwrap();
        let _socket = bound(&path);
        for mode in [0o666, 0o600, 0o060, 0o777] {
            file.made(mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn the_socket_of_a_program_that_does_not_listen_yet_is_left_alone() {
        let directory = Directory::new("early");
        let (address, path) = directory.address();
        let socket = bound(&path);
        let error = Listener::bind(&address, 0o600).unwrap_err();
        assert_eq!(error.to_string(), format!("address in use: {address}: another program has it"));
        assert!(fs::symlink_metadata(&path).is_ok());
        // Its program is gone.
        drop(socket);
        Listener::bind(&address, 0o600).unwrap();
    }

    #[test]
    fn a_listener_leaves_the_lock_of_its_successor() {
        let directory = Directory::new("lock");
        let (address, path) = directory.address();
        let lock = directory.0.join("s.lock");
        let first = Listener::bind(&address, 0o600).unwrap();
        // Somebody cleans up.
        fs::remove_file(&lock).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Listener::bind(&address, 0o600).unwrap();
        drop(first);
        assert!(lock.exists() && Path::new(&path).exists());
        drop(second);
        assert!(!lock.exists() && !Path::new(&path).exists());
    }
}
