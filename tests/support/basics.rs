//! What tests of any package of the workspace need: bounds, temporary directories, free addresses.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails: long enough for a machine that does other things as well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The two transports of the old programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    Tcp,
    Ipc,
}

pub const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Ipc];

impl Transport {
    /// A URL for a hub of ours to listen on; for TCP the port is up to the system.
    pub fn any(self, dir: &TempDir) -> String {
        match self {
            Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Transport::Ipc => dir.ipc(),
        }
    }

    /// A URL that is free now, for programs that cannot tell where they listen, and for hubs that come back.
    pub fn free(self, dir: &TempDir) -> String {
        match self {
            Transport::Tcp => eventually("a free port", || {
                // Below those that the system gives to connections: nobody gets it while a hub is away, and nobody who
                // dials it then meets himself.
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let n = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
                let free = TcpListener::bind(("127.0.0.1", 10_000 + (n % 20_000) as u16)).ok()?;
                Some(format!("tcp://{}", free.local_addr().unwrap()))
            }),
            Transport::Ipc => dir.ipc(),
        }
    }
}

/// A directory that goes with its test. Its path is short enough for a Unix socket.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let name = format!("ns-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            // Short enough for the names of sockets.
            let above = Some(env::temp_dir()).filter(|dir| dir.as_os_str().as_bytes().len() <= 60);
            let path = above.unwrap_or_else(|| "/tmp".into()).join(name);
            match fs::create_dir(&path) {
                Ok(()) => return TempDir(path),
                // Left behind by a test that was killed and had the same process ID.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn ipc(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("ipc://{}/{n}.sock", self.0.display())
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until `ready` returns something. It is polled, for conditions that notify nobody of a change.
pub fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `ready`.
pub fn until(what: &str, mut ready: impl FnMut() -> bool) {
    eventually(what, || ready().then_some(()));
}
