//! What a hub has a store keep, and takes back from it when it starts again.
//!
//! [`Unstored`] is one more reader of the table: it has a cursor, as a peer that catches up, and no queue. What is written
//! slowly, or not at all for a while, costs nothing here; the newest values follow later. The clock's times are reserved
//! in advance, so that a hub that was killed does not stamp with a time twice.

use std::sync::Arc;
use std::time::Duration;

use log::debug;

use super::super::link::walk::{Met, Walk};
use super::super::mutations::{is_on, Mutation};
use super::super::table::{EntryBody, Slot, StoredSender, Table};
use super::super::Now;
use super::core::Core;
use super::intake::NotRestored;
use super::stored_wills::{NotPutBack, StoredApp};
use super::Router;
use crate::limits;
use crate::memory::Bytes;
use crate::time::{LogicalTime, MonoTime, WallTime};

/// The bytes of a body, which the table may have, too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoredBody {
    /// A copy.
    Small(Box<[u8]>),
    /// The table's own.
    Shared(Arc<Bytes>),
}

impl std::ops::Deref for StoredBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            StoredBody::Small(bytes) => bytes,
            StoredBody::Shared(bytes) => bytes,
        }
    }
}

/// An entry that is to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEntry {
    /// Its place; it takes that of the one that was stored there.
    pub slot: u32,
    /// A canonical v1 body with a stamp.
    pub body: StoredBody,
    /// When it became a tombstone, if it is one.
    pub cleared: Option<WallTime>,
}

/// The name of a sender, and when it departed.
pub type Departed = (Box<str>, WallTime);

/// What has changed since the last batch: to be stored all together or not at all.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    /// Entries.
    pub entries: Vec<StoredEntry>,
    /// Places that have no entry any more.
    pub freed: Vec<u32>,
    /// All stored senders and apps are to be removed first.
    pub forget_others: bool,
    /// Senders by their places; `None`: nothing is to be stored at this place.
    pub senders: Vec<(u32, Option<Departed>)>,
    /// Apps that have left wills, by their places; `None`: nothing is to be stored at this place.
    pub apps: Vec<(u64, Option<StoredApp>)>,
    /// The hub stamps with no later time before another batch is stored.
    pub reserved: LogicalTime,
}

impl Batch {
    /// Adds what is to be stored after this.
    pub fn append(&mut self, more: Batch) {
        let Batch { entries, freed, forget_others, senders, apps, reserved } = more;
        debug_assert!(!forget_others);
        self.entries.extend(entries);
        self.freed.extend(freed);
        self.senders.extend(senders);
        self.apps.extend(apps);
        self.reserved = reserved;
    }
}

/// How much was put back of what was stored, and how much was not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Restored {
    /// Entries that are in the table again.
    pub entries: u64,
    /// Entries that are not what a hub holds.
    pub damaged: u64,
    /// Entries for which there was no room.
    pub refused: u64,
    /// Apps for whose wills there was none.
    pub refused_apps: u64,
}

/// The cursor of a store in a hub's table.
pub struct Unstored {
    walk: Walk,
    /// Whether a pass over the table has begun, and is not over.
    is_passing: bool,
    /// The version of the table up to which nothing is left.
    through: Option<u64>,
    /// Whether the last batch had no room for all that there was.
    has_more: bool,
    forget_others: bool,
    /// Whether a batch is being stored.
    under_way: bool,
    /// No batch is taken before.
    next: MonoTime,
    reserved: LogicalTime,
    /// When more times are to be reserved, if peers take part.
    reserve: MonoTime,
    /// What was restored.
    restored: Restored,
}

impl Unstored {
    /// Nothing of a table is stored.
    fn new() -> Unstored {
        Unstored {
            walk: Walk::from(0),
            is_passing: false,
            through: None,
            has_more: false,
            forget_others: true,
            under_way: false,
            next: MonoTime::default(),
            reserved: LogicalTime::default(),
            reserve: MonoTime::default(),
            restored: Restored::default(),
        }
    }

    /// Whether there is something to store, beside times.
    fn is_behind(&self, core: &Core) -> bool {
        let table = &core.intake.table;
        self.through != Some(table.version()) || table.has_notes() || core.roster.has_notes()
    }

    /// When the next batch is to be taken.
    fn due(&self, core: &Core, has_peers: bool) -> Option<MonoTime> {
        if self.under_way {
            return None;
        }
        let half = limits::STORE_RESERVES / 2;
        if self.is_behind(core) || core.intake.latest() > self.reserved - half {
            return Some(if self.has_more { MonoTime::default() } else { self.next });
        }
        has_peers.then(|| self.reserve.max(self.next))
    }

    fn take(&mut self, now: Now, core: &mut Core) -> Batch {
        /// Slots, or pages of them, that are looked at for one batch.
        const LOOKS: usize = 16 << 10;
        /// What an entry counts for in bytes, beside those of its body.
        const EACH: usize = 128;
        let Core { intake, roster, .. } = core;
        let table = &mut intake.table;
        let wall = |age: Duration| WallTime::from_millis(now.wall.as_millis().saturating_sub(age.as_millis() as u64));
        let (mut batch, mut room, mut steps) = (Batch::default(), limits::STORE_BATCH, LOOKS);
        let mut met_end = self.through == Some(table.version());
        if !self.is_passing {
            roster.begin_pass();
            self.is_passing = !met_end;
        }
        // Others have half of it at least.
        while room > limits::STORE_BATCH / 2 {
            let Some((place, app)) = roster.take_unstored() else { break };
            room = room.saturating_sub(EACH + app.as_ref().map_or(0, StoredApp::size));
            batch.apps.push((place, app));
        }
        while !met_end && room > 0 {
            match self.walk.next(table, &mut steps) {
                Met::Pause => break,
                Met::End => {
                    (met_end, self.is_passing) = (true, false);
                    self.through = self.walk.again(table).then(|| table.version());
                }
                Met::Entry(slot) if is_on(Mutation::StoreSkips) && slot.0 % 2 == 1 => {}
                Met::Entry(slot) => {
                    let entry = table.get(slot).expect("the walk met it");
                    if entry.is_transient() {
                        // Nor is what it has replaced.
                        room = room.saturating_sub(EACH);
                        batch.freed.push(slot.0);
                        continue;
                    }
                    let body = match entry.body() {
                        EntryBody::Small(bytes) => StoredBody::Small(bytes.into()),
                        EntryBody::Shared(bytes) => StoredBody::Shared(bytes.clone()),
                    };
                    room = room.saturating_sub(body.len() + EACH);
                    let cleared = table.cleared_for(slot, now.mono).map(wall);
                    batch.entries.push(StoredEntry { slot: slot.0, body, cleared });
                }
            }
        }
        // Only once all entries have been looked at: one that was forgotten may be at another place by now, and must be
        // stored there first.
        if !met_end {
            self.walk.pause(table);
        } else {
            while room > 0 {
                let Some(Slot(slot)) = table.take_freed() else { break };
                room = room.saturating_sub(EACH);
                batch.freed.push(slot);
            }
        }
        batch.forget_others = std::mem::take(&mut self.forget_others);
        while room > 0 {
            let Some(StoredSender { place, departed }) = table.take_sender(now.mono) else { break };
            room = room.saturating_sub(EACH);
            batch.senders.push((place, departed.map(|(name, age)| (name.into(), wall(age)))));
        }
        // A published will is removed only once its value is stored, in this batch or an earlier one.
        while met_end && room > 0 {
            let Some((place, app)) = roster.take_published() else { break };
            room = room.saturating_sub(EACH + app.as_ref().map_or(0, StoredApp::size));
            batch.apps.push((place, app));
        }
        if !self.has_more {
            self.next = now.mono + limits::STORE_EVERY;
        }
        self.has_more = room == 0 || !met_end;
        batch.reserved = intake.time(now) + limits::STORE_RESERVES;
        self.reserved = batch.reserved;
        self.reserve = now.mono + limits::STORE_RESERVES / 2;
        self.under_way = true;
        batch
    }
}

/// A store, as the engine sees it: [`Router::take_batch`] says what is to be stored, the owner has it stored, and tells so by
/// [`Router::stored`]. Meanwhile there is no other batch.
impl Router {
    /// Begins to put back what an earlier hub has had stored: then come [`Router::restore`] for each entry in the order of
    /// the slots, [`Router::restore_sender`], [`Router::restore_app`] in the order of the places, and [`Router::restored`].
    /// Called before the first peer.
    pub fn begin_restore(&mut self, now: Now, reserved: LogicalTime) -> bool {
        self.core.intake.table.note_for_store();
        self.core.roster.note_for_store();
        // What is put back has the room that it had.
        self.core.set_ceilings();
        self.unstored = Some(Box::new(Unstored::new()));
        self.core.intake.resume_from(now, reserved)
    }

    /// Puts an entry back into the table. `cleared`: when it became a tombstone. False: it is damaged.
    pub fn restore(&mut self, now: Now, slot: u32, body: &[u8], cleared: Option<WallTime>) -> bool {
        let most = self.core.intake.table.capacity.cleared;
        let age = cleared.map_or(Duration::ZERO, |since| age(now.wall, since, most));
        let result = self.core.intake.restore(now, Slot(slot), body, age);
        let Some(unstored) = &mut self.unstored else { return true };
        let restored = &mut unstored.restored;
        match result {
            Ok(()) => restored.entries += 1,
            Err(NotRestored::Damaged) => restored.damaged += 1,
            Err(NotRestored::NoRoom) => restored.refused += 1,
            Err(NotRestored::Older) => {}
        }
        result != Err(NotRestored::Damaged)
    }

    /// A sender had departed at this time.
    pub fn restore_sender(&mut self, now: Now, name: &str, departed: WallTime) {
        let table = &mut self.core.intake.table;
        let age = age(now.wall, departed, table.capacity.departed);
        table.restore_sender(name, now.mono, age);
    }

    /// Puts back an app of the earlier hub, with its wills. False: it is damaged.
    pub fn restore_app(&mut self, app: &StoredApp) -> bool {
        let result = self.core.restore_app(app);
        let Some(unstored) = &mut self.unstored else { return true };
        unstored.restored.damaged += u64::from(result == Err(NotPutBack::Damaged));
        unstored.restored.refused_apps += u64::from(result == Err(NotPutBack::NoRoom));
        result != Err(NotPutBack::Damaged)
    }

    /// All has been put back. `is_whole`: what is stored is as it was read; otherwise all of it is to be stored anew.
    pub fn restored(&mut self, now: Now, is_whole: bool) -> Restored {
        let through = self.core.intake.table.restored(now.mono);
        let Some(unstored) = &mut self.unstored else { return Restored::default() };
        unstored.walk = Walk::from(if is_whole { through } else { 0 });
        let restored = unstored.restored;
        debug!("{restored:?} from the store");
        self.core.set_expiry();
        restored
    }

    /// What is to be stored now, if anything is. After that, when it is stored: [`Router::stored`].
    pub fn take_batch(&mut self, now: Now) -> Option<Batch> {
        let has_peers = self.peers.len() > 0;
        let unstored = self.unstored.as_mut()?;
        unstored.due(&self.core, has_peers).filter(|&due| due <= now.mono)?;
        Some(unstored.take(now, &mut self.core))
    }

    /// What is to be stored together with the batch that was taken last, which is not stored yet, if that had no room for it.
    pub fn take_next_batch(&mut self, now: Now) -> Option<Batch> {
        let has_notes = self.core.roster.has_notes();
        let unstored = self.unstored.as_mut().filter(|unstored| unstored.has_more || has_notes)?;
        Some(unstored.take(now, &mut self.core))
    }

    /// What is still to be stored when the hub ends: as [`Router::take_batch`], until there is nothing left. The hub stamps
    /// with no later time than that of the last of them.
    pub fn take_last_batch(&mut self, now: Now) -> Option<Batch> {
        let unstored = self.unstored.as_mut().filter(|unstored| !unstored.under_way)?;
        let latest = self.core.intake.latest();
        if !unstored.is_behind(&self.core) && unstored.reserved == latest {
            return None;
        }
        let mut batch = unstored.take(now, &mut self.core);
        (batch.reserved, unstored.reserved) = (latest, latest);
        Some(batch)
    }

    /// The batch that was taken last is stored.
    pub fn stored(&mut self, entries: u64) {
        let Some(unstored) = &mut self.unstored else { return };
        unstored.under_way = false;
        self.core.reports.stats.stored += entries;
    }

    /// It could not be stored, so many times more, and is tried again.
    pub fn not_stored(&mut self, times: u64) {
        self.core.reports.stats.store_failed += times;
    }

    /// Nothing is stored any more: all of it is to be stored again. The batch that was taken last is forgotten.
    pub fn store_anew(&mut self) {
        self.core.intake.table.note_for_store();
        self.core.roster.note_for_store();
        if let Some(unstored) = &mut self.unstored {
            **unstored = Unstored { next: unstored.next, restored: unstored.restored, ..Unstored::new() };
        }
    }

    /// Nothing is stored from here on.
    pub fn stop_storing(&mut self) {
        self.unstored = None;
        self.core.roster.stop_noting();
    }

    /// There is no store after all, and nothing was put back from it. Before the first peer.
    pub fn forget_store(&mut self) {
        self.stop_storing();
        let table = &mut self.core.intake.table;
        *table = Table::new(table.capacity);
        self.core.roster.forget_earlier();
    }

    /// Whether there is a store.
    pub fn has_store(&self) -> bool {
        self.unstored.is_some()
    }

    /// When [`Router::take_batch`] has something.
    pub fn next_batch(&self) -> Option<MonoTime> {
        self.unstored.as_ref()?.due(&self.core, self.peers.len() > 0)
    }
}

/// How long ago this was, if neither clock lies: not below 0, and at most what counts.
fn age(wall: WallTime, since: WallTime, most: Duration) -> Duration {
    Duration::from_millis(wall.as_millis().saturating_sub(since.as_millis())).min(most)
}
