//! An app's own newest values: when each was sent, and what the hub said of it.

use std::time::Duration;

use hashbrown::HashMap;

use super::super::newest::Place;
use super::super::table::{Capacity, Entry, Offer, Refusal, Rewrite, Slot, Table};
use super::super::Now;
use super::wills::Wills;
use crate::limits::{RESTAMPS, TRANSIENT};
use crate::time::{BootTime, LogicalTime, MonoTime};
use crate::wire::{Instance, Stamp};
use crate::Status;

/// An app's own newest values.
pub struct Own {
    /// What it leaves for the time when it is lost.
    pub wills: Wills,
    /// The values, all of one sender, each with a meta that begins with its stamp.
    pub table: Table,
    /// When each was sent, by slot.
    sent: Vec<Sent>,
    /// How often those of each name were stamped anew on this link.
    retries: HashMap<Box<str>, u32>,
    /// Values that the hub of this link did not take, and why: each counts while it is the newest of its key.
    refused: HashMap<Slot, (Stamp, Status)>,
    /// The version of the last value that was stamped anew on this link: the hub holds it no sooner than it answers for
    /// this version.
    restamped: u64,
}

/// When a value was sent: a new stamp does not change that.
#[derive(Clone, Copy, Default)]
struct Sent {
    /// By the boot clock.
    boot: BootTime,
    /// The version of the table.
    version: u64,
}

impl Own {
    /// None yet, and never more than `bytes`.
    pub fn new(bytes: usize) -> Own {
        Own {
            wills: Wills::default(),
            table: Table::new(Capacity { states: usize::MAX, bytes, share: 1, ..Capacity::default() }),
            sent: Vec::new(),
            retries: HashMap::new(),
            refused: HashMap::new(),
            restamped: 0,
        }
    }

    /// Takes a value that is sent now, whatever the stamp of the one before it.
    ///
    /// # Errors
    /// [`Refusal::Full`]; [`Refusal::NoMemory`].
    pub fn put(&mut self, now: Now, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let slot = self.table.replace(offer)?;
        self.note_sent(now, slot);
        Ok(slot)
    }

    /// As [`Own::put`], where the place of the key is known.
    ///
    /// # Errors
    /// [`Refusal::Full`]; [`Refusal::NoMemory`].
    pub fn put_at(&mut self, now: Now, place: Place, offer: Offer<'_>) -> Result<Slot, Refusal> {
        let slot = self.table.replace_at(place, offer)?;
        self.note_sent(now, slot);
        Ok(slot)
    }

    /// As [`Table::rewrite`], of a value that is sent now.
    #[inline]
    pub fn rewrite(&mut self, now: Now, slot: Slot, new: &Rewrite<'_>, most: usize) -> Option<usize> {
        let len = self.table.rewrite(slot, new, most)?;
        self.note_sent(now, slot);
        Some(len)
    }

    #[inline]
    fn note_sent(&mut self, now: Now, slot: Slot) {
        let at = slot.0 as usize;
        if at >= self.sent.len() {
            self.sent.resize(at + 1, Sent::default());
        }
        self.sent[at] = Sent { boot: now.boot, version: self.table.version() };
    }

    /// The value of this name has this stamp: where it is. Anything that is said of another stamp is out of date.
    pub fn current(&self, sender: &str, name: &str, stamp: Stamp) -> Option<Slot> {
        let slot = self.table.find_at(sender, name)?;
        self.table.get(slot).filter(|entry| entry.stamp() == stamp).map(|_| slot)
    }

    /// Stamps a value anew.
    ///
    /// # Errors
    /// [`Status::IdentityTaken`]: that was done too often on this link, since another program stamps values of this key
    /// as fast; [`Status::NoMemory`].
    pub fn restamp(&mut self, slot: Slot, stamp: Stamp) -> Result<(), Status> {
        let Some(entry) = self.table.get(slot) else { return Ok(()) };
        let retries = self.retries.entry_ref(entry.name()).or_insert(0);
        if *retries == RESTAMPS {
            return Err(Status::IdentityTaken);
        }
        *retries += 1;
        self.table.restamp(slot, stamp)?;
        self.restamped = self.table.version();
        Ok(())
    }

    /// Stamps values by their age, in the order in which they were sent: all of them, or those with a stamp after
    /// `time`, which is what it is at `boot`. Returns those that got another, and the
    /// latest clock of all.
    pub fn rebase(
        &mut self,
        boot: BootTime,
        instance: Instance,
        time: LogicalTime,
        all: bool,
    ) -> (Vec<Slot>, LogicalTime) {
        let mut slots: Vec<_> = (0..self.table.slots() as u32)
            .filter_map(|slot| {
                self.table.get(Slot(slot)).map(|entry| (entry.version(), Slot(slot), entry.stamp().clock))
            })
            .collect();
        slots.sort_unstable();
        let mut last = LogicalTime::default();
        let mut changed = Vec::new();
        for (_, slot, clock) in slots {
            if !all && clock <= time {
                last = last.max(clock);
                continue;
            }
            // A millisecond less: a value that was sent before this one may have a counter in the same millisecond.
            let age = boot.since(self.sent[slot.0 as usize].boot).saturating_sub(Duration::from_millis(1));
            let clock = (time - age).max(last.succ());
            // Without memory it keeps its stamp, which the hub of this link has not taken.
            if self.table.restamp(slot, Stamp { clock, instance }).is_err() {
                self.refuse(slot, Status::NoMemory);
                continue;
            }
            last = clock;
            changed.push(slot);
        }
        self.restamped = self.table.version();
        (changed, last)
    }

    /// Forgets a value: another program's value of its key is newer.
    pub fn forget(&mut self, slot: Slot) {
        if let Some(entry) = self.table.get(slot) {
            self.retries.remove(entry.name());
        }
        self.refused.remove(&slot);
        self.table.forget(slot);
    }

    /// Forgets what was cleared too long ago.
    pub fn expire(&mut self, mono: MonoTime) {
        self.table.expire(mono);
        self.table.tidy(&mut { usize::MAX });
    }

    /// Forgets the transient values that mean nothing any more, before all are announced on a new link: those that were sent
    /// too long ago, unless the program waits for their acknowledgement. `is_waited_for`: for what was sent up to a version.
    pub fn forget_transient(&mut self, boot: BootTime, is_waited_for: impl Fn(u64) -> bool) {
        for slot in (0..self.table.slots() as u32).map(Slot) {
            let Some(sent) = self.sent.get(slot.0 as usize).copied() else { return };
            let is_over = boot.since(sent.boot) > TRANSIENT && !is_waited_for(sent.version);
            if is_over && self.table.get(slot).is_some_and(Entry::is_transient) {
                self.forget(slot);
            }
        }
    }

    /// The hub did not take this value.
    pub fn refuse(&mut self, slot: Slot, why: Status) {
        if let Some(entry) = self.table.get(slot) {
            self.refused.insert(slot, (entry.stamp(), why));
        }
    }

    /// The name of a value, of those sent up to `version`, that the hub of this link did not take, and why.
    pub fn refused(&self, version: u64) -> Option<(&str, Status)> {
        self.refused.iter().find_map(|(&slot, &(stamp, why))| {
            let entry = self.sent_until(version, slot)?;
            (entry.stamp() == stamp).then(|| (entry.name(), why))
        })
    }

    /// A value of those sent up to `version` that is over this limit.
    pub fn over(&self, version: u64, limit: usize) -> Option<&Entry> {
        let mut sent = (0..self.table.slots() as u32).filter_map(|slot| self.sent_until(version, Slot(slot)));
        sent.find(|entry| entry.meta_at() > limit)
    }

    fn sent_until(&self, version: u64, slot: Slot) -> Option<&Entry> {
        self.table.get(slot).filter(|_| self.sent[slot.0 as usize].version <= version)
    }

    /// Up to which version the hub has to answer before an answer says that it holds everything.
    pub fn restamped(&self) -> u64 {
        self.restamped
    }

    /// On another link all is offered again.
    pub fn unlink(&mut self) {
        self.wills.unlink();
        self.retries.clear();
        self.refused.clear();
        self.restamped = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{self, Form, Kind, Meta};

    const INSTANCE: Instance = Instance([1; 16]);
    const TIME: LogicalTime = LogicalTime::from_millis(1_800_000_000_000);

    fn boot(millis: u64) -> BootTime {
        BootTime::default() + Duration::from_millis(millis)
    }

    /// At `millis` of the boot clock.
    fn put(own: &mut Own, millis: u64, name: &str, clock: LogicalTime) -> Slot {
        let stamp = Stamp { clock, instance: INSTANCE };
        let mut body = Vec::new();
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        let (meta_at, mono) = (wire::encode(&mut body, Form::V1, "a", name, &[0xC3], &meta), MonoTime::default());
        let offer = Offer {
            body: &body,
            shared: None,
            meta_at,
            sender: b"a",
            name: name.as_bytes(),
            kind: Kind::Bool,
            stamp,
            origin: None,
            mono,
        };
        own.put(Now { boot: boot(millis), ..Now::default() }, offer).expect("there is room")
    }

    fn clock_of(own: &Own, name: &str) -> LogicalTime {
        let entry = own.table.find("a", name).expect("there");
        let meta = wire::decode(entry.bytes(), Form::V1).expect("a body").meta;
        assert_eq!(meta.stamp, Some(entry.stamp()), "the body says the same");
        entry.stamp().clock
    }

    #[test]
    fn values_are_stamped_by_their_age_in_their_order() {
        let mut own = Own::new(1 << 20);
        for (millis, name) in [(100, "x"), (100, "y"), (4_100, "z"), (4_100, "x")] {
            put(&mut own, millis, name, LogicalTime::MAX);
        }
        let second = Duration::from_secs(1);
        let (changed, last) = own.rebase(boot(5_101), INSTANCE, TIME, true);
        assert_eq!((changed.len(), last), (3, (TIME - second).succ()));
        assert_eq!(clock_of(&own, "y"), TIME - 5 * second);
        assert_eq!((clock_of(&own, "z"), clock_of(&own, "x")), (TIME - second, (TIME - second).succ()));
        // Once more, of none that is not ahead.
        let later = LogicalTime::from_millis(TIME.as_millis() + 1000);
        assert!(own.rebase(boot(6_101), INSTANCE, later, false).0.is_empty());
    }

    #[test]
    fn a_value_is_stamped_anew_three_times_on_a_link() {
        let mut own = Own::new(1 << 20);
        let slot = put(&mut own, 1, "x", LogicalTime::from_bits(5));
        let stamp = |bits| Stamp { clock: LogicalTime::from_bits(bits), instance: INSTANCE };
        assert!((6..9).all(|clock| own.restamp(slot, stamp(clock)) == Ok(())));
        assert_eq!(own.restamp(slot, stamp(9)), Err(Status::IdentityTaken));
        assert_eq!((clock_of(&own, "x"), own.restamped()), (LogicalTime::from_bits(8), 4));
        own.unlink();
        assert_eq!(own.restamp(slot, stamp(9)), Ok(()));
    }

    #[test]
    fn a_refusal_counts_while_the_value_is_the_newest() {
        let mut own = Own::new(1 << 20);
        let slot = put(&mut own, 1, "x", LogicalTime::from_bits(5));
        own.refuse(slot, Status::Full);
        assert_eq!(own.refused(0), None);
        assert_eq!(own.refused(1), Some(("x", Status::Full)));
        put(&mut own, 1, "x", LogicalTime::from_bits(6));
        assert_eq!(own.refused(2), None);
        let slot =
            own.current("a", "x", Stamp { clock: LogicalTime::from_bits(6), instance: INSTANCE }).expect("there");
        assert!(own.current("a", "x", Stamp { clock: LogicalTime::from_bits(5), instance: INSTANCE }).is_none());
        own.refuse(slot, Status::Full);
        own.forget(slot);
        assert!(own.refused(9).is_none() && own.table.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// After a rebase the values have the order in which they were sent, none is in the future by more than the
        /// counters need, and none is older than it is.
        #[test]
        fn a_rebase_keeps_the_order(
            sent in vec((0usize..9, 0u64..100, any::<u64>(), 0u32..64), 1..60),
            time in (0u64..1 << 60).prop_map(LogicalTime::from_bits),
            all in any::<bool>(),
        ) {
            let (mut own, mut millis) = (Own::new(1 << 20), 1_000);
            let mut order: Vec<(String, u64)> = Vec::new();
            let mut stamp = LogicalTime::default();
            for (name, passed, ahead, shift) in sent {
                millis += passed;
                // As a clock does it: later every time.
                stamp = LogicalTime::from_bits(ahead >> shift).max(stamp.succ());
                let name = format!("n{name}");
                put(&mut own, millis, &name, stamp);
                order.retain(|(other, _)| *other != name);
                order.push((name, millis));
            }
            let (_, last) = own.rebase(boot(millis), INSTANCE, time, all);
            let mut before = LogicalTime::default();
            for (name, sent) in &order {
                let clock = clock_of(&own, name);
                prop_assert!(clock > before && clock.to_bits() <= time.to_bits().max(1) + 60);
                prop_assert!(!all || clock >= time - Duration::from_millis(millis - sent));
                before = clock;
            }
            prop_assert_eq!(last, before);
        }
    }
}
