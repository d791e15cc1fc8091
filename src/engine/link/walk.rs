//! Where a connection that catches up stands in a table.

use std::collections::VecDeque;

use super::super::mutations::{is_on, Mutation};
use super::super::table::{Slot, Table};
use crate::effort::{did, Work};

/// A stretch of slots, up to `end`, and the version that has been sent of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    end: usize,
    version: u64,
}

impl Stretch {
    fn new(end: usize, version: u64) -> Stretch {
        Stretch { end, version }
    }
}

/// What a walk comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// An entry to send.
    Entry(Slot),
    /// It has no more steps for now.
    Pause,
    /// The end of the table.
    End,
}

/// Where a connection stands in the table.
#[derive(Debug)]
pub struct Walk {
    /// What earlier walks have sent; the first stretch is that of `slot`, the last has no end.
    seen: VecDeque<Stretch>,
    /// What this walk has sent.
    walked: VecDeque<Stretch>,
    slot: usize,
}

impl Walk {
    /// Marks where the cursor is: see [`Walk::mark`].
    pub fn pause(&mut self, table: &Table) {
        self.mark(table, self.slot);
    }

    /// The version of the table up to which everything has been sent.
    pub fn through(&self) -> u64 {
        self.seen.iter().map(|stretch| stretch.version).min().unwrap_or(0)
    }

    /// A walk for a peer that has seen everything up to `version`.
    pub fn from(version: u64) -> Walk {
        Walk { seen: VecDeque::from([Stretch::new(usize::MAX, version)]), walked: VecDeque::new(), slot: 0 }
    }

    /// The next entry that has not been sent, at or behind the cursor. Takes `steps`, one for
    /// each slot, or page of them, that is looked at.
    pub fn next(&mut self, table: &Table, steps: &mut usize) -> Met {
        while self.slot < table.slots() {
            let Some(&stretch) = self.seen.front() else { return Met::End };
            if stretch.end <= self.slot {
                self.seen.pop_front();
                continue;
            }
            if *steps == 0 {
                return Met::Pause;
            }
            *steps -= 1;
            did(Work::Look, 1);
            let (newest, end) = table.page(self.slot);
            if newest <= stretch.version {
                self.slot = end.min(stretch.end).min(table.slots());
                continue;
            }
            let slot = Slot(self.slot as u32);
            self.slot += 1;
            let Some(entry) = table.get(slot) else { continue };
            if entry.version() > stretch.version {
                self.slot += usize::from(is_on(Mutation::CursorOffByOne));
                return Met::Entry(slot);
            }
        }
        Met::End
    }

    /// All slots before the cursor have been sent as they are in `table` now.
    fn mark(&mut self, table: &Table, end: usize) {
        /// With more stretches a peer that takes little at a time would cost as much as a table. The last one then grows,
        /// and what changed meanwhile is sent with the next walk, even if this one has sent it.
        const MOST: usize = 256;
        let (version, full) = (table.version(), self.walked.len() >= MOST);
        match self.walked.back_mut() {
            // Nothing was sent since. A receiver that takes little at a time comes here often.
            Some(last) if last.end == end => {}
            Some(last) if last.version == version || full => last.end = end,
            _ => self.walked.push_back(Stretch::new(end, version)),
        }
    }

    /// Begins again. True: there is nothing that has not been sent.
    pub fn again(&mut self, table: &Table) -> bool {
        self.mark(table, usize::MAX);
        self.seen = std::mem::take(&mut self.walked);
        self.slot = 0;
        is_on(Mutation::WalkNotRepeated) || self.seen.iter().all(|stretch| stretch.version == table.version())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::table::{self, Capacity, Entry};
    use super::*;

    /// Puts a value with this stamp under this key.
    pub fn put(table: &mut Table, key: usize, bits: u64) -> Slot {
        table::tests::put(table, "a", &format!("k{key}"), bits)
    }

    #[test]
    fn a_walk_meets_each_change_once_and_ends() {
        let mut table = Table::new(Capacity::default());
        let slots: Vec<_> = (0..500).map(|key| put(&mut table, key, 1)).collect();
        let mut walk = Walk::from(0);
        let next = |walk: &mut Walk, table: &Table| match walk.next(table, &mut 1000) {
            Met::Entry(slot) => Some(slot),
            _ => None,
        };
        let first: Vec<_> = (0..300).map_while(|_| next(&mut walk, &table)).collect();
        assert_eq!(first, slots[..300]);
        walk.mark(&table, walk.slot);
        // One behind the cursor, one before it.
        put(&mut table, 10, 2);
        put(&mut table, 400, 2);
        let rest: Vec<_> = std::iter::from_fn(|| next(&mut walk, &table)).collect();
        assert_eq!(rest, slots[300..]);
        assert!(!walk.again(&table));
        let changed: Vec<_> = std::iter::from_fn(|| next(&mut walk, &table)).collect();
        assert_eq!(changed, [slots[10]]);
        assert!(walk.again(&table));
    }

    #[test]
    fn a_walk_that_makes_no_progress_takes_no_memory() {
        let mut table = Table::new(Capacity::default());
        let mut walk = Walk::from(0);
        for i in 0..1000 {
            put(&mut table, i % 100, i as u64 + 1);
            walk.mark(&table, 40);
        }
        assert_eq!(walk.walked.len(), 1);
    }

    #[test]
    fn a_walk_in_very_small_steps_takes_little_memory_and_misses_nothing() {
        const STATES: usize = 2000;
        let mut table = Table::new(Capacity::default());
        for key in 0..STATES {
            put(&mut table, key, 1);
        }
        let mut walk = Walk::from(0);
        let mut sent = vec![0; STATES];
        for bits in 2.. {
            // One entry at a time, and after each another one changes, until the first walk is over.
            match walk.next(&table, &mut { usize::MAX }) {
                Met::Entry(slot) => {
                    sent[slot.0 as usize] = table.get(slot).expect("an entry").version();
                    walk.mark(&table, walk.slot);
                    if bits < 2 * STATES as u64 {
                        put(&mut table, bits as usize * 7 % STATES, bits);
                    }
                }
                Met::Pause => unreachable!("it has steps enough"),
                Met::End if walk.again(&table) => break,
                Met::End => {}
            }
            assert!(walk.walked.len() <= 257 && walk.seen.len() <= 257);
        }
        let newest: Vec<_> = table.iter().map(Entry::version).collect();
        assert_eq!(sent, newest);
    }
}
