//! What a hub remembers when it is restarted: a directory with a database.
//!
//! A [`Store`] is read when the hub begins, and written by a thread of its own (a [`Writer`]), a [`Batch`] in each
//! transaction. What is in it is not trusted: each row has a checksum, and what cannot be read is set aside.

mod database;
mod directory;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use log::{info, warn};

use self::database::{Database, Fault};
use self::directory::Directory;
pub use self::writer::{Report, Writer};
use crate::engine::hub::{Batch, Restored, Router};
use crate::engine::Now;
use crate::time::LogicalTime;
use crate::visible::Quoted;
use crate::Result;

/// The store of one hub, which nobody else has.
pub struct Store {
    directory: Directory,
    /// None: it was set aside, and no other could be made.
    database: Option<Database>,
}

impl Store {
    /// The store in this directory, which is made if it is not there, with all that it has put into `router`: a hub without
    /// peers. What is damaged is set aside; what of it can be read is used all the same.
    ///
    /// # Errors
    /// [`Status::InUse`]: another hub has it; [`Status::Permission`], [`Status::NotFound`], [`Status::Io`]: it cannot be
    /// made, read or written.
    pub fn open(path: &Path, now: Now, router: &mut Router) -> Result<Store> {
        let directory = Directory::lock(path)?;
        let opened = directory.check().and_then(|()| Database::open(&directory.database()));
        let loaded = opened.and_then(|database| Ok((load(&database, now, router)?, database)));
        let is_whole = matches!(loaded, Ok((0, _)));
        let (database, restored) = match loaded {
            Ok((0, database)) => (database, router.restored(now, true)),
            Ok((damaged, database)) => {
                drop(database);
                let entries = if damaged == 1 { "1 entry is" } else { &format!("{damaged} entries are") };
                let database = directory.replace(&format!("{entries} not as written"))?;
                (database, router.restored(now, false))
            }
            Err(Fault::Damaged(why)) => {
                let database = directory.replace(&why)?;
                // If it could not be opened, nothing of it was read.
                if !router.has_store() {
                    router.begin_restore(now, LogicalTime::default());
                }
                (database, router.restored(now, false))
            }
            Err(fault) => return Err(directory.fault(&fault)),
        };
        let Restored { entries, refused, refused_apps, .. } = restored;
        info!("{entries} states from the store in {}", Quoted(directory.name()));
        if refused > 0 {
            warn!("{refused} states of the store in {} are forgotten: no room for them", Quoted(directory.name()));
        }
        if refused_apps > 0 {
            let name = Quoted(directory.name());
            warn!("the wills of {refused_apps} apps in the store in {name} are forgotten: no room for them");
        }
        database.is_whole().map_err(|fault| directory.fault(&fault))?;
        let mut store = Store { directory, database: Some(database) };
        // The times of the first stamps are reserved before anybody is let in; and it shows whether it can be written. What is
        // to be removed and written anew of a store is so in one transaction. A new one is filled later, as far as there is room.
        let mut first = router.take_batch(now);
        while let Some(batch) = first.as_mut().filter(|_| is_whole) {
            let Some(more) = router.take_next_batch(now) else { break };
            batch.append(more);
        }
        if let Some(batch) = first {
            store.write(&batch).map_err(|fault| store.directory.fault(&fault))?;
            router.stored(batch.entries.len() as u64);
        }
        Ok(store)
    }

    /// Stores a batch, all of it or nothing.
    fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        match &mut self.database {
            Some(database) => database.write(batch),
            None => Err(Fault::Damaged("there is none".into())),
        }
    }

    /// Begins again with nothing, since what there was is damaged.
    fn start_over(&mut self, why: &str) -> Result<()> {
        // Closed first: SQLite removes the files beside a database that it closes, by their names.
        if let Some(database) = self.database.take() {
            let _ = database.leaves_journal(true);
        }
        self.database = Some(self.directory.replace(why)?);
        Ok(())
    }
}

/// Puts all of a database into a hub's table. Returns how many entries are damaged.
fn load(database: &Database, now: Now, router: &mut Router) -> Result<u64, Fault> {
    // Beside a clock that is damaged there may be entries that are not, by whose stamps the time is known.
    let reserved = database.reserved();
    let time = reserved.as_ref().copied().unwrap_or_default();
    let mut damaged = u64::from(!router.begin_restore(now, time));
    let mut each = |entry: Option<database::Row<'_>>| {
        let taken = entry.is_some_and(|entry| router.restore(now, entry.slot, entry.body, entry.cleared));
        damaged += u64::from(!taken);
    };
    database.each_entry(&mut each)?;
    database.each_sender(|sender| match sender {
        Some((name, departed)) => router.restore_sender(now, name, departed),
        None => damaged += 1,
    })?;
    database.each_app(|app| {
        let taken = app.is_some_and(|app| router.restore_app(&app));
        damaged += u64::from(!taken);
    })?;
    reserved.map(|_| damaged)
}

#[cfg(test)]
impl Store {
    /// As [`Database::limit_pages`].
    fn limit_pages(&self, pages: u32) {
        self.database.iter().for_each(|database| database.limit_pages(pages));
    }

    /// Where the database is.
    fn path(&self) -> std::path::PathBuf {
        self.directory.database()
    }
}
