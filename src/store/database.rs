//! The database of a store, in SQLite's format: entries by their slots, senders and apps by their places, and the clock.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{params, Connection, ErrorCode, OpenFlags, Row as SqlRow, TransactionBehavior};
use sha1_smol::Sha1;

use crate::engine::hub::{Batch, StoredApp, StoredEntry};
use crate::time::{LogicalTime, WallTime};
use crate::wire::{Digest, Instance};

/// "nsta": what `file` and SQLite can tell a store by.
const APPLICATION: i32 = 0x6E73_7461;
/// The form of the tables. One with another is of another version of nanostate.
const VERSION: i32 = 1;

/// `sum` is the checksum of the rest of a row. Times are in milliseconds since 1970; `cleared` is when an entry became a
/// tombstone, and NULL for others; `reserved` is the bits of a logical time. `wills` are bodies, each behind its length in
/// four bytes; `alone` is 1 for an app that does not share its identity.
const TABLES: &str = "
    CREATE TABLE states (slot INTEGER PRIMARY KEY, cleared INTEGER, body BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
    CREATE TABLE senders (place INTEGER PRIMARY KEY, name TEXT NOT NULL, departed INTEGER NOT NULL, sum INTEGER NOT NULL)
        STRICT;
    CREATE TABLE apps (place INTEGER PRIMARY KEY, identity TEXT NOT NULL, instance BLOB NOT NULL, digest BLOB,
        alone INTEGER NOT NULL, wills BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
    CREATE TABLE clock (id INTEGER PRIMARY KEY, reserved INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
";

/// A commit is in the system's hands when it returns, so that it outlives this process; `synchronous = NORMAL` has the
/// system write it to the device before older pages are overwritten, so that the file also outlives the system. Programs
/// that copy the database may read it meanwhile.
const SETTINGS: &str = "
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 16777216;
    PRAGMA cache_size = -1024;
";

/// How long another program may hold the database's lock, which copies it, say, before that is an error.
const BUSY: Duration = Duration::from_secs(2);

/// Why a database cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// What is in it is not what was written, in words.
    Damaged(String),
    /// The system denies something.
    System(io::Error),
}

/// An entry as it is stored.
pub struct Row<'a> {
    pub slot: u32,
    pub cleared: Option<WallTime>,
    pub body: &'a [u8],
}

/// An open database. Until [`Database::is_whole`] is called, closing it leaves its files as they are.
pub struct Database(Connection);

impl Database {
    /// Opens the database in this file, which may be empty.
    pub fn open(path: &Path) -> Result<Database, Fault> {
        // It is used by one thread at a time.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags);
        let mut database = Database(opened.map_err(|error| Fault::of(&error, None))?);
        database.leaves_journal(true)?;
        match prepare(&mut database.0) {
            Ok(()) => Ok(database),
            Err(Opening::Sql(error)) => Err(Fault::of(&error, Some(&database.0))),
            Err(Opening::Foreign(why)) => Err(Fault::Damaged(why.to_owned())),
        }
    }

    /// All of it could be read: from here on its journal may become a part of the file.
    pub fn is_whole(&self) -> Result<(), Fault> {
        self.leaves_journal(false)
    }

    /// Whether closing it leaves its files as they are.
    pub fn leaves_journal(&self, leaves: bool) -> Result<(), Fault> {
        let set = self.0.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leaves);
        set.map(drop).map_err(|error| Fault::of(&error, None))
    }

    /// The time up to which the hub may have stamped.
    pub fn reserved(&self) -> Result<LogicalTime, Fault> {
        let read = |row: &SqlRow<'_>| {
            let (reserved, sum): (i64, i64) = (get(row, 0)?, get(row, 1)?);
            let is_right = sum == checksum(&[&reserved.to_be_bytes()]);
            Ok::<_, rusqlite::Error>(is_right.then_some(LogicalTime::from_bits(reserved as u64)))
        };
        let mut found = None;
        self.each("SELECT reserved, sum FROM clock WHERE id = 0", |row| {
            found = Some(read(row)?);
            Ok(())
        })?;
        match found {
            // Nothing was ever stored.
            None => Ok(LogicalTime::default()),
            Some(Some(reserved)) => Ok(reserved),
            Some(None) => Err(Fault::Damaged("its clock is not as it was written".into())),
        }
    }

    /// Shows every entry, in the order of the slots; `None` for one that is damaged.
    pub fn each_entry(&self, mut entry: impl FnMut(Option<Row<'_>>)) -> Result<(), Fault> {
        self.each("SELECT slot, cleared, body, sum FROM states ORDER BY slot", |row| {
            let (slot, cleared, sum): (i64, Option<i64>, i64) = (get(row, 0)?, get(row, 1)?, get(row, 3)?);
            let body = row.get_ref(2)?.as_blob()?;
            let is_right = sum == sum_of_entry(slot, cleared, body);
            let slot = u32::try_from(slot).ok().filter(|_| is_right);
            entry(slot.map(|slot| Row { slot, cleared: cleared.map(wall), body }));
            Ok(())
        })
    }

    /// Shows every sender that has departed, and when; `None` for one that is damaged.
    pub fn each_sender(&self, mut sender: impl FnMut(Option<(&str, WallTime)>)) -> Result<(), Fault> {
        self.each("SELECT place, name, departed, sum FROM senders", |row| {
            let (place, departed, sum): (i64, i64, i64) = (get(row, 0)?, get(row, 2)?, get(row, 3)?);
            let name = row.get_ref(1)?.as_bytes()?;
            let name = std::str::from_utf8(name).ok().filter(|name| sum == sum_of_sender(place, name, departed));
            sender(name.map(|name| (name, wall(departed))));
            Ok(())
        })
    }

    /// Calls `app` for every stored app, in the order of their places; with `None` for one that is damaged.
    pub fn each_app(&self, mut app: impl FnMut(Option<StoredApp>)) -> Result<(), Fault> {
        let query = "SELECT place, identity, instance, digest, alone, wills, sum FROM apps ORDER BY place";
        self.each(query, |row| {
            let (place, alone, sum): (i64, i64, i64) = (get(row, 0)?, get(row, 4)?, get(row, 6)?);
            let (identity, wills) = (row.get_ref(1)?.as_bytes()?, row.get_ref(5)?.as_blob()?);
            let (instance, digest) = (row.get_ref(2)?.as_blob()?, row.get_ref(3)?.as_blob_or_null()?);
            let is_right = sum == sum_of_app(place, identity, instance, digest, alone, wills);
            let read = || {
                Some(StoredApp {
                    identity: std::str::from_utf8(identity).ok()?.into(),
                    instance: Instance(instance.try_into().ok()?),
                    digest: digest.map(|digest| digest.try_into().map(Digest)).transpose().ok()?,
                    is_alone: alone != 0,
                    wills: split(wills)?,
                })
            };
            app(is_right.then(read).flatten());
            Ok(())
        })
    }

    fn each(&self, query: &str, mut row: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<()>) -> Result<(), Fault> {
        let mut read = || {
            let mut statement = self.0.prepare(query)?;
            let mut rows = statement.query([])?;
            while let Some(next) = rows.next()? {
                row(next)?;
            }
            Ok(())
        };
        read().map_err(|error| Fault::of(&error, Some(&self.0)))
    }

    /// Stores a batch: all of it or nothing.
    pub fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let written = write(&mut self.0, batch);
        written.map_err(|error| Fault::of(&error, Some(&self.0)))
    }
}

/// Why a database cannot be opened.
enum Opening {
    Sql(rusqlite::Error),
    /// It is somebody else's.
    Foreign(&'static str),
}

impl From<rusqlite::Error> for Opening {
    fn from(error: rusqlite::Error) -> Opening {
        Opening::Sql(error)
    }
}

/// Makes the tables if there is nothing yet, and otherwise sees to it that they are ours.
fn prepare(connection: &mut Connection) -> Result<(), Opening> {
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(SETTINGS)?;
    let number = |connection: &Connection, query| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    let application = number(connection, "PRAGMA application_id")?;
    let version = number(connection, "PRAGMA user_version")?;
    let things = number(connection, "SELECT count(*) FROM sqlite_schema")?;
    if things > 0 && application != i64::from(APPLICATION) {
        return Err(Opening::Foreign("it is a database of another program"));
    }
    if things > 0 && version != i64::from(VERSION) {
        return Err(Opening::Foreign("it is of another version of nanostate"));
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    if things == 0 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLES)?;
        transaction
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}"))?;
        transaction.commit()?;
    }
    Ok(())
}

fn write(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut put = transaction.prepare("INSERT OR REPLACE INTO states VALUES (?1, ?2, ?3, ?4)")?;
        for StoredEntry { slot, body, cleared } in &batch.entries {
            let (slot, cleared, body) = (i64::from(*slot), cleared.map(millis), &**body);
            put.execute(params![slot, cleared, body, sum_of_entry(slot, cleared, body)])?;
        }
        let mut remove = transaction.prepare("DELETE FROM states WHERE slot = ?1")?;
        for slot in &batch.freed {
            remove.execute([slot])?;
        }
        if batch.forget_others {
            transaction.execute("DELETE FROM senders", [])?;
            transaction.execute("DELETE FROM apps", [])?;
        }
        let mut put = transaction.prepare("INSERT OR REPLACE INTO senders VALUES (?1, ?2, ?3, ?4)")?;
        let mut remove = transaction.prepare("DELETE FROM senders WHERE place = ?1")?;
        for (place, departed) in &batch.senders {
            match departed {
                Some((name, departed)) => {
                    let (place, departed) = (i64::from(*place), millis(*departed));
                    put.execute(params![place, name, departed, sum_of_sender(place, name, departed)])?;
                }
                None => drop(remove.execute([place])?),
            }
        }
        let mut put = transaction.prepare("INSERT OR REPLACE INTO apps VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        let mut remove = transaction.prepare("DELETE FROM apps WHERE place = ?1")?;
        for (place, app) in &batch.apps {
            let place = *place as i64;
            let Some(StoredApp { identity, instance, digest, is_alone, wills }) = app else {
                remove.execute([place])?;
                continue;
            };
            let (instance, digest) = (&instance.0[..], digest.as_ref().map(|digest| &digest.0[..]));
            let (alone, wills) = (i64::from(*is_alone), joined(wills));
            let sum = sum_of_app(place, identity.as_bytes(), instance, digest, alone, &wills);
            put.execute(params![place, identity, instance, digest, alone, wills, sum])?;
        }
        let reserved = batch.reserved.to_bits() as i64;
        let sum = checksum(&[&reserved.to_be_bytes()]);
        transaction.execute("INSERT OR REPLACE INTO clock VALUES (0, ?1, ?2)", [reserved, sum])?;
    }
    transaction.commit()
}

/// A column, with the rules of [`FromSql`]: another type is an error.
fn get<T: FromSql>(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<T> {
    row.get(column)
}

fn wall(millis: i64) -> WallTime {
    WallTime::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn millis(wall: WallTime) -> i64 {
    i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
}

fn sum_of_entry(slot: i64, cleared: Option<i64>, body: &[u8]) -> i64 {
    checksum(&[&slot.to_be_bytes(), &cleared.unwrap_or(-1).to_be_bytes(), body])
}

fn sum_of_sender(place: i64, name: &str, departed: i64) -> i64 {
    checksum(&[&place.to_be_bytes(), &departed.to_be_bytes(), name.as_bytes()])
}

fn sum_of_app(place: i64, identity: &[u8], instance: &[u8], digest: Option<&[u8]>, alone: i64, wills: &[u8]) -> i64 {
    let lens = [identity.len(), instance.len(), digest.map_or(usize::MAX, <[u8]>::len)].map(|len| len as u64);
    let numbers = [place as u64, alone as u64, lens[0], lens[1], lens[2]].map(u64::to_be_bytes);
    checksum(&[numbers.as_flattened(), identity, instance, digest.unwrap_or_default(), wills])
}

/// The bodies in a row, each after its length.
fn joined(bodies: &[Box<[u8]>]) -> Vec<u8> {
    let mut all = Vec::new();
    for body in bodies {
        all.extend((body.len() as u32).to_be_bytes());
        all.extend_from_slice(body);
    }
    all
}

/// The inverse of [`joined`]; `None` if `all` is not what that returns.
fn split(mut all: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let mut bodies = Vec::new();
    while !all.is_empty() {
        let (len, rest) = all.split_first_chunk()?;
        let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        bodies.push(body.into());
        all = rest;
    }
    Some(bodies)
}

/// The beginning of a SHA-1: against accidents, not against whoever may write to the file. SQLite sees damage only where
/// its own structure is hit.
fn checksum(parts: &[&[u8]]) -> i64 {
    let mut sum = Sha1::new();
    parts.iter().for_each(|part| sum.update(part));
    let bytes = sum.digest().bytes();
    i64::from_be_bytes(*bytes.first_chunk().expect("20 bytes"))
}

impl Fault {
    /// What an error of SQLite means.
    fn of(error: &rusqlite::Error, connection: Option<&Connection>) -> Fault {
        let rusqlite::Error::SqliteFailure(failure, text) = error else {
            // A value that is of another type or size than it was written.
            return Fault::Damaged(error.to_string());
        };
        let words = text.clone().unwrap_or_else(|| failure.to_string());
        match failure.code {
            ErrorCode::NotADatabase => Fault::Damaged("it is no database".into()),
            // `Unknown` is an error in the SQL: there are other tables than those that were made.
            ErrorCode::DatabaseCorrupt | ErrorCode::TooBig | ErrorCode::Unknown | ErrorCode::TypeMismatch => {
                Fault::Damaged(words)
            }
            ErrorCode::ConstraintViolation => Fault::Damaged(words),
            // It ends within a page. The number of the system's error may be that of an earlier call.
            ErrorCode::SystemIoFailure if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ => {
                Fault::Damaged("it is cut off".into())
            }
            ErrorCode::DiskFull => Fault::System(io::Error::from_raw_os_error(libc::ENOSPC)),
            // The file can be written, as was seen before: it says of itself that it must not.
            ErrorCode::ReadOnly => Fault::Damaged(words),
            ErrorCode::OutOfMemory => Fault::System(io::ErrorKind::OutOfMemory.into()),
            code => match (code, connection.map(system_error)) {
                // The file is there. It is the journal that is of no known form.
                (ErrorCode::CannotOpen, Some(0 | libc::ENOENT)) => Fault::Damaged(words),
                (ErrorCode::CannotOpen | ErrorCode::SystemIoFailure, Some(number)) if number != 0 => {
                    Fault::System(io::Error::from_raw_os_error(number))
                }
                _ => Fault::System(io::Error::other(words)),
            },
        }
    }
}

/// The number of the system's error behind the last failure; 0: there was none.
#[allow(unsafe_code)]
fn system_error(connection: &Connection) -> i32 {
    // SAFETY: the handle is that of an open connection, which is used by this thread alone.
    unsafe { rusqlite::ffi::sqlite3_system_errno(connection.handle()) }
}

#[cfg(test)]
impl Database {
    /// As if the disk had room for so many pages.
    pub fn limit_pages(&self, pages: u32) {
        self.0.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).expect("a number of pages");
    }
}
