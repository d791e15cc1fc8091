//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

/// Small pieces are copied next to each other into chunks of this size, so that one write takes many.
const CHUNK: usize = 64 << 10;
/// How many slices one gather gives, and how many bytes make a write large enough.
const MAX_SLICES: usize = 64;
const MAX_GATHER: usize = 1 << 20;

enum Chunk {
    Copied(Vec<u8>),
    Shared(Arc<[u8]>, Range<usize>),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Copied(bytes) => bytes,
            Chunk::Shared(bytes, range) => &bytes[range.clone()],
        }
    }
}

/// A queue of bytes: small ones copied, large ones shared.
#[derive(Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk is written.
    written: usize,
    len: usize,
    /// A chunk that was written out, to be filled again.
    spare: Vec<u8>,
}

impl Outbox {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `bytes` to the end.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        if let Some(Chunk::Copied(last)) = self.chunks.back_mut() {
            if last.len() + bytes.len() <= last.capacity().max(CHUNK) {
                last.extend_from_slice(bytes);
                return;
            }
        }
        let mut chunk = std::mem::take(&mut self.spare);
        chunk.extend_from_slice(bytes);
        self.chunks.push_back(Chunk::Copied(chunk));
    }

    /// Puts `range` of `bytes` at the end without copying it.
    pub fn share(&mut self, bytes: Arc<[u8]>, range: Range<usize>) {
        self.len += range.len();
        if !range.is_empty() {
            self.chunks.push_back(Chunk::Shared(bytes, range));
        }
    }

    /// Appends what is to be written next to `slices`.
    pub fn gather<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        let mut skip = self.written;
        let mut total = 0;
        for chunk in self.chunks.iter().take(MAX_SLICES) {
            let bytes = &chunk.bytes()[skip..];
            skip = 0;
            total += bytes.len();
            slices.push(IoSlice::new(bytes));
            if total >= MAX_GATHER {
                break;
            }
        }
    }

    /// The first `n` bytes were written.
    pub fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.len);
        self.len -= n;
        self.written += n;
        while let Some(first) = self.chunks.front() {
            let size = first.bytes().len();
            if self.written < size {
                return;
            }
            self.written -= size;
            if let Some(Chunk::Copied(mut chunk)) = self.chunks.pop_front() {
                if chunk.capacity() <= CHUNK {
                    chunk.clear();
                    self.spare = chunk;
                }
            }
        }
    }

    /// Frees what only a busy connection needs.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Outbox::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(outbox: &mut Outbox, at_most: usize) -> Vec<u8> {
        let mut slices = Vec::new();
        outbox.gather(&mut slices);
        let mut bytes: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
        bytes.truncate(at_most);
        outbox.advance(bytes.len());
        bytes
    }

    #[test]
    fn bytes_come_out_in_order_whatever_the_writes_take() {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for i in 0..5000u32 {
            let piece = vec![i as u8; (i % 97) as usize];
            expected.extend_from_slice(&piece);
            if i % 5 == 0 {
                let len = piece.len();
                outbox.share(piece.into(), 0..len);
            } else {
                outbox.copy(&piece);
            }
        }
        assert_eq!(outbox.len(), expected.len());
        let mut written = Vec::new();
        let mut step = 1;
        while !outbox.is_empty() {
            written.extend(take(&mut outbox, step));
            step = step * 3 % 70_001 + 1;
        }
        assert!(written == expected);
    }

    #[test]
    fn a_chunk_is_filled_again_once_written() {
        let mut outbox = Outbox::default();
        outbox.copy(&[1; 1000]);
        assert_eq!(take(&mut outbox, 1000).len(), 1000);
        let spare = outbox.spare.as_ptr();
        outbox.copy(&[2; 1000]);
        assert_eq!(outbox.chunks[0].bytes().as_ptr(), spare);
    }
}
