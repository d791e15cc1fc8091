//! The stores of hubs: what would be on their disks.

use std::collections::BTreeMap;

use nanostate::engine::hub::{Batch, Restored, Router, StoredApp};
use nanostate::engine::Now;
use nanostate::time::{LogicalTime, WallTime};

use super::{Id, Process, World, MS};

/// What a store holds.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Shelf {
    pub entries: BTreeMap<u32, (Vec<u8>, Option<WallTime>)>,
    pub senders: BTreeMap<u32, (String, WallTime)>,
    pub apps: BTreeMap<u64, StoredApp>,
    pub reserved: LogicalTime,
}

impl Shelf {
    /// Stores a batch.
    pub fn put(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            self.entries.insert(entry.slot, (entry.body.to_vec(), entry.cleared));
        }
        for slot in &batch.freed {
            self.entries.remove(slot);
        }
        if batch.forget_others {
            self.senders.clear();
            self.apps.clear();
        }
        for (place, app) in &batch.apps {
            match app {
                Some(app) => drop(self.apps.insert(*place, app.clone())),
                None => drop(self.apps.remove(place)),
            }
        }
        for (place, sender) in &batch.senders {
            match sender {
                Some((name, departed)) => drop(self.senders.insert(*place, (name.to_string(), *departed))),
                None => drop(self.senders.remove(place)),
            }
        }
        self.reserved = batch.reserved;
    }

    /// Puts all of it into a hub that begins.
    pub fn restore(&self, now: Now, router: &mut Router) -> Restored {
        assert!(router.begin_restore(now, self.reserved));
        for (slot, (body, cleared)) in &self.entries {
            assert!(router.restore(now, *slot, body, *cleared), "what a hub held is what it takes back");
        }
        for (name, departed) in self.senders.values() {
            router.restore_sender(now, name, *departed);
        }
        for app in self.apps.values() {
            assert!(router.restore_app(app), "what a hub stored is what it takes back");
        }
        router.restored(now, true)
    }

    /// The same, and reserves the first times of the hub, which nobody has been let in to yet.
    pub fn begin(&mut self, now: Now, router: &mut Router) {
        self.restore(now, router);
        let first = router.take_batch(now).expect("times to reserve");
        self.put(&first);
        router.stored(first.entries.len() as u64);
    }
}

/// The store of a hub in this world, and what is being written to it.
#[derive(Default)]
pub(super) struct Disk {
    shelf: Shelf,
    writes: Option<(Batch, u64)>,
}

impl World {
    /// From here on the hub has a store, with this in it.
    pub fn give_store(&mut self, id: Id, mut shelf: Shelf) {
        let now = self.now(id);
        shelf.begin(now, self.hub(id));
        self.disks.insert(id, Disk { shelf, writes: None });
        self.act(id);
    }

    /// What is in the store of a hub, which may have been killed.
    pub fn shelf(&self, id: Id) -> &Shelf {
        &self.disks[&id].shelf
    }

    /// The store of a hub that was killed: what was being written is there or not.
    pub(super) fn take_shelf(&mut self, id: Id) -> Option<Shelf> {
        let Disk { mut shelf, writes } = self.disks.remove(&id)?;
        if let Some((batch, _)) = writes.filter(|_| self.rng.one_in(2)) {
            shelf.put(&batch);
        }
        Some(shelf)
    }

    /// Begins to write what a hub has for its store.
    pub(super) fn keep(&mut self, id: Id) {
        let now = self.now(id);
        let (Some(disk), Some(Process::Hub(router))) = (self.disks.get_mut(&id), &mut self.nodes[id].process) else {
            return;
        };
        if let Some(batch) = router.take_batch(now) {
            assert!(disk.writes.is_none(), "one batch at a time");
            disk.writes = Some((batch, self.mono + self.rng.below(10 * MS)));
        }
    }

    /// When the disk of a living hub has written what it was given.
    pub(super) fn written_at(&self, id: Id) -> Option<u64> {
        let disk = self.disks.get(&id).filter(|_| self.nodes[id].process.is_some())?;
        disk.writes.as_ref().map(|&(_, at)| at)
    }

    /// What was being written is stored.
    pub(super) fn written(&mut self, id: Id) {
        let Some(disk) = self.disks.get_mut(&id) else { return };
        if let Some((batch, _)) = disk.writes.take() {
            disk.shelf.put(&batch);
            self.hub(id).stored(batch.entries.len() as u64);
            self.act(id);
        }
    }
}
