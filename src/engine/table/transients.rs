//! Transient values: whose they are, and that they go with their senders.

use std::collections::BTreeSet;
use std::mem::size_of;

use super::owners::OwnerId;
use super::{Slot, Table, FORGET};

/// What a transient value costs beside its entry: its place in a set that is half full.
const COST: usize = 2 * size_of::<(OwnerId, Slot)>();

/// Where a table has transient values.
#[derive(Default)]
pub struct Transients {
    places: BTreeSet<(OwnerId, Slot)>,
    /// Owners that have departed, and some of whose transient values may still be there.
    departed: BTreeSet<OwnerId>,
}

impl Transients {
    /// Bytes allocated for all of them, without their entries.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.places.len() * COST
    }

    /// Whether the entry of this owner at `slot` is transient from here on.
    #[cold]
    pub fn set(&mut self, owner: OwnerId, slot: Slot, is_transient: bool) {
        if is_transient {
            self.places.insert((owner, slot));
        } else {
            self.places.remove(&(owner, slot));
        }
    }

    fn first_of(&self, owner: OwnerId) -> Option<Slot> {
        let first = self.places.range((owner, Slot(0))..).next();
        first.filter(|&&(other, _)| other == owner).map(|&(_, slot)| slot)
    }

    /// Whether [`Table::forget_transient`] has something to do.
    pub fn are_leaving(&self) -> bool {
        !self.departed.is_empty()
    }
}

impl Table {
    /// A sender departs of a connection that is gone.
    pub(super) fn depart_one(&mut self) {
        if let Some(owner) = self.owners.depart_one().filter(|&owner| self.transients.first_of(owner).is_some()) {
            self.transients.departed.insert(owner);
        }
    }

    /// Forgets a transient value of a sender that has departed, unless that is back.
    pub(super) fn forget_transient(&mut self, steps: &mut usize) {
        let Some(&owner) = self.transients.departed.first() else { return };
        match self.transients.first_of(owner) {
            // Otherwise nothing is left that would tell whether there still is such an owner.
            Some(slot) if self.owners.get(owner).has_departed() => {
                *steps = steps.saturating_sub(FORGET);
                self.forget(slot);
            }
            _ => {
                *steps -= 1;
                self.transients.departed.remove(&owner);
            }
        }
    }
}
