//! The answer to a list, which takes as long as the table is large.

use super::super::super::table::{Entry, Slot, Table};
use super::parts::{old_form, Array, Takes};
use super::quoted;
use crate::pattern::Pattern;

/// A list that is being made, in as many parts as it takes.
///
/// A state that changes meanwhile is in it once, with one of its values.
pub struct Listing {
    pattern: Pattern,
    answer: Array,
    /// Where it goes on.
    slot: usize,
}

impl Listing {
    /// The list of all states whose name matches, of at most `limit` bytes.
    pub fn new(pattern: Pattern, limit: usize) -> Listing {
        Listing { pattern, answer: Array::new(limit), slot: 0 }
    }

    /// Goes on for so many `steps`. Leaves out what the asker may not have. Whether it has come to the table's end.
    pub fn go_on(&mut self, table: &Table, steps: &mut usize, takes: impl Fn(&Entry) -> Takes) -> bool {
        while self.slot < table.slots() {
            if *steps == 0 {
                return false;
            }
            let slot = Slot(self.slot as u32);
            self.slot += 1;
            *steps -= 1;
            let Some(entry) = table.get(slot) else { continue };
            *steps = steps.saturating_sub(self.pattern.steps(entry.name().len()));
            if self.pattern.matches(entry.name()) && takes(entry) == Takes::Yes {
                self.answer.push(old_form(entry));
            }
        }
        true
    }

    /// The answer, or the fault that it would be over the limit; nothing more is held in memory for it.
    pub fn finish(self) -> Vec<u8> {
        self.answer.finish(|| format!("states that match {}", quoted(self.pattern.as_str())))
    }

    /// Bytes that are allocated for it.
    pub fn allocated(&self) -> usize {
        self.answer.allocated()
    }
}
