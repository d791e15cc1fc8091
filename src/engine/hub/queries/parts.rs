//! What answers are made of.

use super::super::super::table::Entry;
use super::cut;
use crate::effort::{did, Work};
use crate::wire::{Form, Value};
use crate::{visible, Status};

/// The longest text of a [`fault`], in characters.
pub(super) const MAX_FAULT: usize = 1000;

/// What the text of an answer says where the hub has no memory for more.
pub(super) const NO_MEMORY: &str = Status::NoMemory.text();

/// Appends the answer to what cannot be done: a str on one line, of at most `MAX_FAULT` characters.
pub fn fault(text: &str, out: &mut Vec<u8>) {
    let mut line = String::new();
    for char in cut(text, MAX_FAULT).chars() {
        visible::push(&mut line, char);
    }
    Value::Text(&cut(&line, MAX_FAULT)).encode(out);
}

/// Whether the asker may have a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// It may.
    Yes,
    /// There is no value that the asker could take.
    NotAtAll,
    /// It is of a kind that the asker does not take.
    NotKind,
    /// It has more bytes than this.
    TooLarge(usize),
}

/// The pieces of an entry's body with three elements.
pub(super) fn old_form(entry: &Entry) -> [&[u8]; 2] {
    const HEAD: &[u8] = &[Form::Old.head()];
    [HEAD, &entry.bytes()[1..entry.meta_at()]]
}

pub(super) fn array_head(count: u32, out: &mut Vec<u8>) {
    let written = rmp::encode::write_array_len(out, count);
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

/// An array that is written as far as a limit allows, and counted beyond.
pub(super) struct Array {
    out: Vec<u8>,
    limit: usize,
    count: u32,
    /// The bytes of its elements.
    len: usize,
    /// There was no memory for an element.
    no_memory: bool,
}

impl Array {
    /// An array of at most `limit` bytes.
    pub fn new(limit: usize) -> Array {
        let mut out = Vec::new();
        // The shortest head; most answers need no other.
        array_head(0, &mut out);
        Array { out, limit, count: 0, len: 0, no_memory: false }
    }

    /// Appends an element, whose pieces these are.
    pub fn push(&mut self, pieces: [&[u8]; 2]) {
        self.count = self.count.saturating_add(1);
        did(Work::Look, 1);
        self.len = pieces.iter().fold(self.len, |len, piece| len.saturating_add(piece.len()));
        if self.fits() && !self.no_memory {
            self.no_memory = self.out.try_reserve(pieces.iter().map(|piece| piece.len()).sum()).is_err();
        }
        if self.fits() && !self.no_memory {
            did(Work::Byte, pieces.iter().map(|piece| piece.len()).sum());
            pieces.iter().for_each(|piece| self.out.extend_from_slice(piece));
        }
    }

    fn fits(&self) -> bool {
        self.size() <= self.limit
    }

    /// How long it is with its head.
    fn size(&self) -> usize {
        let head = match self.count {
            0..=0xF => 1,
            0x10..=0xFFFF => 3,
            _ => 5,
        };
        self.len.saturating_add(head)
    }

    /// The array with its head, or the fault that so many of `what` are too much.
    pub fn finish(mut self, what: impl FnOnce() -> String) -> Vec<u8> {
        let (count, size, limit) = (self.count, self.size(), self.limit);
        let mut head = Vec::with_capacity(5);
        array_head(count, &mut head);
        if self.fits() && !self.no_memory && self.out.try_reserve(head.len()).is_ok() {
            did(Work::Byte, self.out.len());
            self.out.splice(..1, head);
            return self.out;
        }
        let text = if self.fits() {
            format!("the answer would have {size} bytes: {NO_MEMORY}: {count} {}", what())
        } else {
            format!("the answer would have {size} bytes, at most {limit} are allowed: {count} {}", what())
        };
        let mut answer = Vec::new();
        fault(&text, &mut answer);
        answer
    }

    /// Bytes that are allocated for it.
    pub fn allocated(&self) -> usize {
        self.out.capacity()
    }
}
