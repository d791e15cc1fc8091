//! The directory of a store: who has it, and what in it is set aside.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{self, Path, PathBuf};

use log::warn;

use super::database::{Database, Fault};
use crate::transport::LockFile;
use crate::visible::Quoted;
use crate::{Error, Result, Status};

/// The file of the database. SQLite has two more beside it, with `-wal` and `-shm` behind their names.
const DATABASE: &str = "states.db";
/// The files of a database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];
/// Held while a hub uses the directory.
const LOCK: &str = "lock";

/// The directory of a store, which nobody else uses.
pub struct Directory {
    path: PathBuf,
    name: String,
    _lock: LockFile,
}

impl Directory {
    /// Makes the directory if it is not there, and takes its lock.
    pub fn lock(path: &Path) -> Result<Directory> {
        let name = path.display().to_string();
        let error = |error: &io::Error| Error::io(error, format_args!("the store in {}", Quoted(&name)));
        // The working directory may change.
        let path = path::absolute(path).map_err(|why| error(&why))?;
        // For this user alone: it has everything that anybody has published.
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|why| error(&why))?;
        match LockFile::take(&path.join(LOCK)).map_err(|why| error(&why))? {
            Some(lock) => Ok(Directory { path, name, _lock: lock }),
            None => {
                let text = format!("{}: another hub uses the store in {}", Status::InUse.text(), Quoted(&name));
                Err(Error::new(Status::InUse, text))
            }
        }
    }

    /// As it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    fn part(&self, part: &str) -> PathBuf {
        self.path.join(format!("{DATABASE}{part}"))
    }

    /// An error of the store, in the system's words.
    pub fn error(&self, why: &io::Error) -> Error {
        Error::io(why, format_args!("the store in {}", Quoted(&self.name)))
    }

    /// Sees to it that the files of the database are files, for this user alone.
    pub fn check(&self) -> Result<(), Fault> {
        for part in PARTS {
            match fs::symlink_metadata(self.part(part)) {
                Ok(found) if !found.is_file() => {
                    return Err(Fault::Damaged(format!("{DATABASE}{part} is not a file")));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Fault::System(error)),
            }
        }
        // The others get its permissions.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.open(self.database()).map(drop).map_err(Fault::System)
    }

    /// Sets the database aside, which is closed, and makes an empty one.
    pub fn replace(&self, why: &str) -> Result<Database> {
        let to = self.set_aside().map_err(|error| self.error(&error))?;
        warn!(
            "the store in {} is damaged ({why}): it was moved to {to}, and a new one takes its place",
            Quoted(&self.name)
        );
        let made = self.check().and_then(|()| Database::open(&self.database()));
        made.map_err(|fault| self.fault(&fault))
    }

    /// The error that a fault is where it is not to be expected.
    pub fn fault(&self, fault: &Fault) -> Error {
        match fault {
            Fault::System(error) => self.error(error),
            Fault::Damaged(why) => Error::new(Status::Io, format!("{why}: the store in {}", Quoted(&self.name))),
        }
    }

    /// Gives the files of the database other names, which no files have yet. Returns that of the first.
    fn set_aside(&self) -> io::Result<String> {
        let taken =
            |name: &str| PARTS.iter().any(|part| fs::symlink_metadata(self.path.join(format!("{name}{part}"))).is_ok());
        let mut names = (1_u32..).map(|n| format!("{DATABASE}.damaged-{n}"));
        let name = names.find(|name| !taken(name)).unwrap_or_default();
        for part in PARTS {
            match fs::rename(self.part(part), self.path.join(format!("{name}{part}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(name)
    }
}
