//! A file whose lock says that something is in use.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::descriptor::{above_standard, Lenient};
use super::fork::Birth;

/// The lock on a file, which stays when the lock is gone. The system takes the lock back when the process ends, however
/// it does.
#[derive(Debug)]
pub struct LockFile {
    file: Lenient<File>,
    birth: Birth,
}

impl LockFile {
    /// Takes the lock of this file, which is made if it is not there. `None`: it is taken, in this process or in another.
    pub fn take(path: &Path) -> io::Result<Option<LockFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path).and_then(above_standard)?;
        match flock(&file, libc::LOCK_EX | libc::LOCK_NB) {
            Ok(()) => Ok(Some(LockFile { file: Lenient::new(file), birth: Birth::here() })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Explicitly, since a child may hold a copy of the descriptor; in a child it is the lock of the parent.
        if !self.birth.forked() {
            let _ = flock(&self.file, libc::LOCK_UN);
        }
    }
}

/// `flock`, whatever signal comes meanwhile.
pub(super) fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_again_when_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("ns-{}-lock", std::process::id()));
        let first = LockFile::take(&path).unwrap();
        assert!(first.is_some() && LockFile::take(&path).unwrap().is_none());
        drop(first);
        assert!(LockFile::take(&path).unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
    }
}
