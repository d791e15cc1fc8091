//! The senders of a table's entries: what each holds, which connection speaks for it, and since when none does.

use std::collections::{BTreeSet, VecDeque};
use std::mem::{self, size_of};
use std::time::Duration;

use super::super::hash::{KeyHash, KeyIndex};
use super::super::slots::{Slots, NONE};
use super::super::ConnId;
use super::since::Since;
use crate::memory;
use crate::time::MonoTime;

/// The place of an owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OwnerId(pub(super) u32);

/// A sender, and what the table holds of it.
pub struct Owner {
    name: Box<str>,
    /// Entries.
    pub states: usize,
    /// Bytes allocated for them, and for the sender itself.
    pub bytes: usize,
    /// The first of its entries, which form a list.
    pub first: u32,
    /// The connection that speaks for this sender now.
    holder: Option<ConnId>,
    departed: Option<Since>,
    /// It has departed, and its entries are to go.
    doomed: bool,
}

/// What an owner costs beside its name: its slot, and its places among those with a holder, which are half full, or
/// among those that have departed.
const OVERHEAD: usize =
    size_of::<Option<Owner>>() + KeyIndex::COST + 2 * size_of::<(ConnId, OwnerId)>() + size_of::<(Since, OwnerId)>();

impl Owner {
    /// Bytes allocated for the sender itself.
    fn cost(&self) -> usize {
        OVERHEAD + memory::allocated(self.name.len())
    }

    /// Whether nobody has spoken for it since somebody did.
    pub fn has_departed(&self) -> bool {
        self.departed.is_some() || self.doomed
    }

    /// Whether this connection, or none, speaks for it, and it has not departed.
    #[inline]
    pub fn is_held_by(&self, conn: Option<ConnId>) -> bool {
        self.holder == conn && self.departed.is_none() && !self.doomed
    }
}

/// All owners, by name and by the connection that speaks for them.
pub struct Owners {
    owners: Slots<Owner>,
    bytes: usize,
    /// By name.
    index: KeyIndex,
    /// The owners that have a holder.
    held: BTreeSet<(ConnId, OwnerId)>,
    /// Connections that are gone, and since when, for which some of these owners may not have departed yet.
    leaving: VecDeque<(MonoTime, ConnId)>,
    /// Owners for which nobody speaks, in the order of their departure.
    departed: BTreeSet<(Since, OwnerId)>,
    /// Owners whose entries are to go.
    doomed: BTreeSet<OwnerId>,
    /// If they are stored: the places of those that have departed, have come back or are gone since they were taken.
    changed: Option<BTreeSet<u32>>,
    /// How many owners were looked at because a connection had gone.
    #[cfg(test)]
    pub looked_at: usize,
}

impl Owners {
    /// None.
    pub fn new() -> Owners {
        Owners {
            owners: Slots::new(),
            bytes: 0,
            index: KeyIndex::new(),
            held: BTreeSet::new(),
            leaving: VecDeque::new(),
            departed: BTreeSet::new(),
            doomed: BTreeSet::new(),
            changed: None,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// An owner that was found or added, and not forgotten since.
    #[inline]
    pub fn get(&self, id: OwnerId) -> &Owner {
        self.owners.get(id.0).expect("an owner that is not forgotten")
    }

    /// The same.
    #[inline]
    pub fn get_mut(&mut self, id: OwnerId) -> &mut Owner {
        self.owners.get_mut(id.0).expect("an owner that is not forgotten")
    }

    /// Each of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Owner> {
        self.owners.iter_mut()
    }

    /// Bytes allocated for all of them, without their entries.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn hash(&self, name: &[u8]) -> KeyHash {
        self.index.hash_text(name)
    }

    fn find(&self, hash: KeyHash, name: &[u8]) -> Option<OwnerId> {
        let same = |slot| self.owners.get(slot).is_some_and(|owner| owner.name.as_bytes() == name);
        self.index.find(hash, same).map(OwnerId)
    }

    /// The owner with this name, added if there is none.
    pub fn find_or_add(&mut self, name: &[u8]) -> OwnerId {
        let hash = self.hash(name);
        if let Some(owner) = self.find(hash, name) {
            return owner;
        }
        // Checked when the body was decoded.
        let name = std::str::from_utf8(name).unwrap_or_default();
        let mut owner =
            Owner { name: name.into(), states: 0, bytes: 0, first: NONE, holder: None, departed: None, doomed: false };
        owner.bytes = owner.cost();
        self.bytes += owner.bytes;
        let slot = self.owners.insert(owner);
        self.index.insert(hash, slot);
        OwnerId(slot)
    }

    /// Forgets an owner that has no entries.
    pub fn forget_if_empty(&mut self, id: OwnerId) {
        if self.get(id).states == 0 {
            self.hold(id, None);
            let owner = self.owners.remove(id.0).expect("looked at above");
            self.bytes -= owner.cost();
            self.index.remove(self.hash(owner.name.as_bytes()), id.0);
        }
    }

    /// From here on this connection, or none, speaks for the owner, which has not departed.
    pub fn hold(&mut self, id: OwnerId, conn: Option<ConnId>) {
        let owner = self.get_mut(id);
        let departed = owner.departed.take();
        let doomed = mem::take(&mut owner.doomed);
        let before = mem::replace(&mut owner.holder, conn);
        if let Some(since) = departed {
            self.departed.remove(&(since, id));
        }
        if doomed {
            self.doomed.remove(&id);
        }
        if departed.is_some() || doomed {
            self.note(id);
        }
        if before != conn {
            if let Some(before) = before {
                self.held.remove(&(before, id));
            }
            self.held.extend(conn.map(|conn| (conn, id)));
        }
    }

    /// `sender` has a connection that speaks for it.
    pub fn arrived(&mut self, sender: &str, conn: ConnId) {
        if let Some(id) = self.find(self.hash(sender.as_bytes()), sender.as_bytes()) {
            self.hold(id, Some(conn));
        }
    }

    /// The owner has departed, unless somebody speaks for it or it has done so before.
    pub fn depart_if_new(&mut self, id: OwnerId, mono: MonoTime) {
        if self.get(id).is_held_by(None) {
            self.departs(id, mono.into());
        }
    }

    /// The connection that speaks for an owner, unless that one is gone.
    pub fn speaker(&self, id: OwnerId) -> Option<ConnId> {
        self.get(id).holder.filter(|holder| self.leaving.iter().all(|(_, gone)| gone != holder))
    }

    /// A connection is gone: the senders that it spoke for have departed, each after a call of [`Owners::depart_one`].
    pub fn departed(&mut self, mono: MonoTime, conn: ConnId) {
        self.leaving.push_back((mono, conn));
    }

    /// Whether connections are gone for which senders have not departed yet.
    pub fn are_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// One sender departs of a connection that is gone: which, if there is one left.
    pub fn depart_one(&mut self) -> Option<OwnerId> {
        const FIRST: OwnerId = OwnerId(0);
        let &(mono, conn) = self.leaving.front()?;
        #[cfg(test)]
        {
            self.looked_at += 1;
        }
        match self.held.range((conn, FIRST)..).next() {
            Some(&(holder, id)) if holder == conn => {
                self.departs(id, mono.into());
                Some(id)
            }
            _ => {
                self.leaving.pop_front();
                None
            }
        }
    }

    /// Nobody speaks for the owner, since then.
    fn departs(&mut self, id: OwnerId, since: Since) {
        self.hold(id, None);
        self.get_mut(id).departed = Some(since);
        self.departed.insert((since, id));
        self.note(id);
    }

    /// The owner's entries are to go, unless somebody speaks for it before.
    fn doom(&mut self, since: Since, id: OwnerId) -> OwnerId {
        self.departed.remove(&(since, id));
        let owner = self.get_mut(id);
        (owner.departed, owner.doomed) = (None, true);
        self.doomed.insert(id);
        id
    }

    /// An owner whose entries are to go, other than `but`.
    pub fn next_doomed(&self, but: Option<OwnerId>) -> Option<OwnerId> {
        self.doomed.iter().copied().find(|&id| Some(id) != but)
    }

    /// Whether there are owners whose entries are to go.
    pub fn are_doomed(&self) -> bool {
        !self.doomed.is_empty()
    }

    /// The entries of the owner that departed first, other than `but`, are to go.
    pub fn doom_first(&mut self, but: OwnerId) -> Option<OwnerId> {
        let &(since, id) = self.departed.iter().find(|(_, id)| *id != but)?;
        Some(self.doom(since, id))
    }

    /// When the next owner will have been gone for so long.
    pub fn next_expiry(&self, stays: Duration) -> Option<MonoTime> {
        self.departed.first().map(|&(since, _)| since.plus(stays))
    }

    /// The entries of an owner that has been gone for so long are to go.
    pub fn doom_expired(&mut self, mono: MonoTime, stays: Duration) -> Option<OwnerId> {
        let &(since, id) = self.departed.first().filter(|&&(since, _)| since.plus(stays) <= mono)?;
        Some(self.doom(since, id))
    }

    /// From here on it is noted which of them depart, come back or go. Those that there are count as changed.
    pub fn note_changes(&mut self) {
        self.changed = Some((0..self.owners.end() as u32).collect());
    }

    fn note(&mut self, id: OwnerId) {
        if let Some(changed) = &mut self.changed {
            changed.insert(id.0);
        }
    }

    /// Whether [`Owners::take_changed`] has any.
    pub fn have_changed(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| !changed.is_empty())
    }

    /// The next place whose owner has departed, has come back or is gone; with its name, and since when it has departed,
    /// if it has.
    pub fn take_changed(&mut self) -> Option<(OwnerId, Option<(&str, Since)>)> {
        let place = self.changed.as_mut()?.pop_first()?;
        let owner = self.owners.get(place);
        Some((OwnerId(place), owner.and_then(|owner| Some((&*owner.name, owner.departed?)))))
    }

    /// A sender for which nobody speaks yet has departed, since then.
    pub fn restore(&mut self, name: &str, since: Since) {
        let found = self.find(self.hash(name.as_bytes()), name.as_bytes());
        let absent = |id: &OwnerId| self.get(*id).is_held_by(None);
        if let Some(id) = found.filter(absent) {
            self.departs(id, since);
        }
    }

    /// All for which nobody speaks have departed, now unless it was before.
    pub fn restored(&mut self, mono: MonoTime) {
        for place in 0..self.owners.end() as u32 {
            if self.owners.get(place).is_some_and(|owner| owner.is_held_by(None)) {
                self.departs(OwnerId(place), mono.into());
            }
        }
    }

    /// How many there are for which nobody speaks any more.
    pub fn gone(&self) -> usize {
        self.departed.len() + self.doomed.len()
    }

    /// How many departures are remembered.
    #[cfg(test)]
    pub fn departures(&self) -> usize {
        self.departed.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn depart(owners: &mut Owners, mono: MonoTime, conn: u64) {
        owners.departed(mono, ConnId(conn));
        while owners.are_leaving() {
            owners.depart_one();
        }
    }

    #[test]
    fn a_departure_costs_what_departed_and_not_the_number_of_owners() {
        const OWNERS: usize = 10_000;
        let stays = Duration::from_nanos(5);
        let mut owners = Owners::new();
        for n in 0..OWNERS {
            let id = owners.find_or_add(n.to_string().as_bytes());
            owners.hold(id, Some(ConnId(n as u64 / 2)));
        }
        depart(&mut owners, at(1), 17);
        assert!(owners.looked_at <= 3, "{} owners were looked at", owners.looked_at);
        let but = owners.find_or_add(b"34");
        assert_eq!((owners.doom_first(but).map(|id| id.0), owners.doom_first(but)), (Some(35), None));
        assert_eq!(
            (owners.next_expiry(stays), owners.doom_expired(at(5), stays), owners.doom_expired(at(6), stays)),
            (Some(at(6)), None, Some(but))
        );
        depart(&mut owners, at(7), 17);
        assert_eq!(owners.next_expiry(stays), None, "nobody is left for whom it speaks");
    }

    fn at(nanos: u64) -> MonoTime {
        MonoTime::from_nanos(nanos)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Hold { name: u8, conn: Option<u64> },
        Arrived { name: u8, conn: u64 },
        Departed { conn: u64 },
        Forget { name: u8 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..9_u8, proptest::option::of(0..5_u64)).prop_map(|(name, conn)| Step::Hold { name, conn }),
            3 => (0..9_u8, 0..5_u64).prop_map(|(name, conn)| Step::Arrived { name, conn }),
            2 => (0..5_u64).prop_map(|conn| Step::Departed { conn }),
            1 => (0..9_u8).prop_map(|name| Step::Forget { name }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn who_departed_agrees_with_a_plain_model(steps in vec(step(), 0..200)) {
            let mut owners = Owners::new();
            // The holder of each, and since when it has none because that one left.
            let mut model: BTreeMap<u8, (Option<u64>, Option<MonoTime>)> = BTreeMap::new();
            for (mono, step) in (0..).map(at).zip(steps) {
                match step {
                    Step::Hold { name, conn } => {
                        let id = owners.find_or_add(name.to_string().as_bytes());
                        owners.get_mut(id).states = 1;
                        owners.hold(id, conn.map(ConnId));
                        model.insert(name, (conn, None));
                    }
                    Step::Arrived { name, conn } => {
                        owners.arrived(&name.to_string(), ConnId(conn));
                        model.entry(name).and_modify(|held| *held = (Some(conn), None));
                    }
                    Step::Departed { conn } => {
                        depart(&mut owners, mono, conn);
                        let left = model.values_mut().filter(|held| held.0 == Some(conn));
                        left.for_each(|held| *held = (None, Some(mono)));
                    }
                    Step::Forget { name } => {
                        if model.remove(&name).is_some() {
                            let id = owners.find_or_add(name.to_string().as_bytes());
                            owners.get_mut(id).states = 0;
                            owners.forget_if_empty(id);
                        }
                    }
                }
                let held = model.values().filter(|held| held.0.is_some()).count();
                prop_assert_eq!((owners.held.len(), owners.index.len()), (held, model.len()));
                prop_assert_eq!(owners.departed.len(), model.values().filter(|held| held.1.is_some()).count());
            }
            let mut gone: Vec<_> = model.iter().filter_map(|(name, held)| Some((held.1?, name.to_string()))).collect();
            gone.sort_unstable();
            let mut taken = Vec::new();
            while let Some(id) = owners.doom_expired(MonoTime::MAX, Duration::ZERO) {
                taken.push(owners.get(id).name.to_string());
            }
            let mut expected: Vec<_> = gone.into_iter().map(|(_, name)| name).collect();
            expected.sort_unstable();
            taken.sort_unstable();
            prop_assert_eq!(taken, expected);
        }
    }
}
