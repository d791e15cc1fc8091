//! Places that stay where they are, and are used again.

use crate::effort::{did, Work};

/// The end of a list of slots that is linked by their numbers.
pub const NONE: u32 = u32::MAX;

/// Values of `T`, each in a slot that it keeps until it is removed. The slot that was freed last is the next to be used.
pub struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    /// No slots.
    pub const fn new() -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new() }
    }

    /// One past the last slot that was ever used.
    pub fn end(&self) -> usize {
        self.slots.len()
    }

    /// Puts a value into a free slot, which is returned.
    #[inline]
    pub fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(value);
                slot
            }
            None => {
                self.slots.push(Some(value));
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// The next value goes into this slot, which was never used, and those before it that were not used are free. False:
    /// it was used.
    pub fn use_next(&mut self, slot: u32) -> bool {
        let end = self.end() as u32;
        self.slots.resize_with(self.slots.len().max(slot as usize + 1), || None);
        self.free.extend(end..=slot);
        slot >= end
    }

    /// Takes the value out of a slot, which is free from then on.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    /// The value in a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&T> {
        did(Work::Look, 1);
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The value in a slot.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        did(Work::Look, 1);
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Each value, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().inspect(|_| did(Work::Look, 1)).flatten()
    }

    /// Each value, in the order of the slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().inspect(|_| did(Work::Look, 1)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_slot_and_a_free_slot_is_used_again() {
        let mut slots = Slots::new();
        assert_eq!(['a', 'b', 'c'].map(|value| slots.insert(value)), [0, 1, 2]);
        assert_eq!((slots.remove(1), slots.remove(1), slots.remove(3)), (Some('b'), None, None));
        assert_eq!((slots.get(1), slots.get(2), slots.get(9)), (None, Some(&'c'), None));
        assert_eq!(slots.remove(0), Some('a'));
        assert_eq!((slots.insert('d'), slots.insert('e'), slots.insert('f')), (0, 1, 3));
        slots.get_mut(1).into_iter().for_each(|value| *value = 'g');
        assert_eq!((slots.iter().collect::<String>(), slots.end()), ("dgcf".to_owned(), 4));
    }
}
