//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::effort::{did, Work};
use crate::framing::MAX_HEAD;
use crate::memory::Bytes;

/// Small pieces are copied next to each other into chunks of these sizes, so that one write takes many. A chunk is at
/// most of the size behind that of the full one before it, and of the first behind nothing, or behind something shared:
/// what is allocated follows what waits.
const SIZES: [usize; 4] = [1 << 10, 4 << 10, 16 << 10, 64 << 10];
/// A connection that is quiet keeps one of these and no more.
const FIRST: usize = SIZES[0];

/// A connection for which nothing waits keeps room for so many chunks.
const KEPT: usize = 16;

/// Written chunks of several outboxes, to be filled again by any of them. A clone is the same pool.
#[derive(Clone)]
pub struct Pool {
    free: Arc<Mutex<[Vec<Vec<u8>>; SIZES.len()]>>,
    most: usize,
    held: Arc<AtomicUsize>,
}

impl Pool {
    /// A pool that keeps at most `most` chunks of each size; those of the largest have 64 KiB.
    pub fn new(most: usize) -> Pool {
        Pool { free: Arc::default(), most, held: Arc::default() }
    }

    /// Bytes that are allocated for what waits in all outboxes of this pool, without the bodies that they share with the
    /// table.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn take(&self, size: usize) -> Vec<u8> {
        self.free.lock()[size].pop().unwrap_or_else(|| Vec::with_capacity(SIZES[size]))
    }

    fn give(&self, mut chunk: Vec<u8>) {
        let Some(size) = size_of(&chunk) else { return };
        let free = &mut self.free.lock()[size];
        if free.len() < self.most {
            chunk.clear();
            free.push(chunk);
        }
    }
}

/// Which size a chunk has; none that was made for one large piece.
fn size_of(chunk: &Vec<u8>) -> Option<usize> {
    SIZES.iter().position(|&size| size == chunk.capacity())
}

/// What stands before the body in a frame: the head, and what replaces the body's beginning for old peers.
#[derive(Clone, Copy, Default)]
struct Start {
    bytes: [u8; MAX_HEAD + 1],
    len: u8,
}

enum Chunk {
    Copied(Vec<u8>),
    Shared(Start, Arc<Bytes>, Range<usize>),
}

impl Chunk {
    /// Whether it is one of those that a quiet connection keeps.
    #[inline]
    fn is_first(&self) -> bool {
        matches!(self, Chunk::Copied(bytes) if bytes.capacity() == FIRST)
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Chunk::Copied(bytes) => bytes.len(),
            Chunk::Shared(start, _, range) => usize::from(start.len) + range.len(),
        }
    }

    fn parts(&self) -> [&[u8]; 2] {
        match self {
            Chunk::Copied(bytes) => [bytes, &[]],
            Chunk::Shared(start, bytes, range) => [&start.bytes[..start.len.into()], &bytes[range.clone()]],
        }
    }
}

/// A queue of bytes: small ones copied, large ones shared.
pub struct Outbox {
    /// While nothing waits: none, or an empty one to be filled again.
    chunks: VecDeque<Chunk>,
    /// How many places for chunks are counted.
    places: usize,
    /// How much of the first chunk is written.
    written: usize,
    len: usize,
    /// An empty one that made way for something else.
    spare: Vec<u8>,
    pool: Pool,
}

impl Outbox {
    /// An empty one.
    pub fn new(pool: Pool) -> Outbox {
        Outbox { chunks: VecDeque::new(), places: 0, written: 0, len: 0, spare: Vec::new(), pool }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `start` and `body` to the end.
    pub fn copy(&mut self, start: &[u8], body: &[u8]) {
        let more = start.len() + body.len();
        did(Work::Look, 1);
        did(Work::Byte, more);
        if let Some(Chunk::Copied(last)) = self.chunks.back_mut() {
            if last.len() + more <= last.capacity() {
                // An empty one counts from now on.
                if self.len == 0 && more > 0 {
                    self.pool.held.fetch_add(last.capacity(), Ordering::Relaxed);
                }
                self.len += more;
                last.extend_from_slice(start);
                last.extend_from_slice(body);
                return;
            }
        }
        self.copy_anew(start, body);
    }

    /// Into another chunk.
    #[inline(never)]
    fn copy_anew(&mut self, start: &[u8], body: &[u8]) {
        let more = start.len() + body.len();
        if more == 0 {
            return;
        }
        self.set_aside();
        self.len += more;
        let mut chunk = self.new_chunk(more);
        chunk.extend_from_slice(start);
        chunk.extend_from_slice(body);
        self.push_copied(chunk);
    }

    /// Puts `bytes` at the end without copying them.
    pub fn append(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.set_aside();
        self.len += bytes.len();
        self.push_copied(bytes);
    }

    fn push_copied(&mut self, chunk: Vec<u8>) {
        self.pool.held.fetch_add(chunk.capacity(), Ordering::Relaxed);
        self.push(Chunk::Copied(chunk));
    }

    #[inline]
    fn push(&mut self, chunk: Chunk) {
        let places = self.chunks.capacity();
        self.chunks.push_back(chunk);
        if self.chunks.capacity() != places {
            self.count_places();
        }
    }

    /// Counts the places of chunks beyond those that are kept.
    #[cold]
    fn count_places(&mut self) {
        let before = std::mem::replace(&mut self.places, self.chunks.capacity().saturating_sub(KEPT));
        self.pool.held.fetch_add(self.places * std::mem::size_of::<Chunk>(), Ordering::Relaxed);
        self.pool.held.fetch_sub(before * std::mem::size_of::<Chunk>(), Ordering::Relaxed);
    }

    #[cold]
    fn give_up_places(&mut self) {
        self.chunks.shrink_to(KEPT);
        self.count_places();
    }

    fn new_chunk(&mut self, len: usize) -> Vec<u8> {
        let next = match self.chunks.back() {
            Some(Chunk::Copied(full)) => size_of(full).map_or(0, |size| size + 1).min(SIZES.len() - 1),
            _ => 0,
        };
        match (next..SIZES.len()).find(|&size| SIZES[size] >= len) {
            Some(0) => {
                let mut chunk = std::mem::take(&mut self.spare);
                chunk.reserve_exact(FIRST);
                chunk
            }
            Some(size) => self.pool.take(size),
            None => Vec::with_capacity(len),
        }
    }

    /// Puts `start`, at most a frame's head and one byte, and `range` of `body` at the end without copying the latter.
    pub fn share(&mut self, start: &[u8], body: Arc<Bytes>, range: Range<usize>) {
        self.set_aside();
        let mut head = Start { len: start.len() as u8, ..Start::default() };
        head.bytes[..start.len()].copy_from_slice(start);
        self.len += start.len() + range.len();
        did(Work::Look, 1);
        self.push(Chunk::Shared(head, body, range));
    }

    /// Appends what is to be written next to `slices`.
    pub fn gather<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        /// How many slices one gather gives, and how many bytes make a write large enough.
        const MAX_SLICES: usize = 64;
        const MAX_GATHER: usize = 1 << 20;
        // As of nearly all that keep up.
        if let (Some(Chunk::Copied(only)), 1) = (self.chunks.front(), self.chunks.len()) {
            did(Work::Look, 1);
            if !self.is_empty() {
                slices.push(IoSlice::new(&only[self.written..]));
            }
            return;
        }
        let mut skip = self.written;
        let mut total = 0;
        for part in self.chunks.iter().flat_map(Chunk::parts) {
            did(Work::Look, 1);
            let skipped = skip.min(part.len());
            skip -= skipped;
            let part = &part[skipped..];
            if part.is_empty() {
                continue;
            }
            total += part.len();
            slices.push(IoSlice::new(part));
            if total >= MAX_GATHER || slices.len() >= MAX_SLICES {
                break;
            }
        }
    }

    /// The first `n` bytes were written.
    pub fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.len);
        if n == 0 {
            return;
        }
        self.len -= n;
        self.written += n;
        while let Some(first) = self.chunks.front() {
            did(Work::Look, 1);
            let size = first.len();
            if self.written < size {
                return;
            }
            self.written -= size;
            if self.chunks.len() == 1 && self.spare.capacity() == 0 {
                if let Some(Chunk::Copied(only)) = self.chunks.front_mut().filter(|chunk| chunk.is_first()) {
                    // It stays where it is for what comes next, and counts from then on.
                    self.pool.held.fetch_sub(FIRST, Ordering::Relaxed);
                    only.clear();
                    break;
                }
            }
            if let Some(Chunk::Copied(chunk)) = self.chunks.pop_front() {
                self.recycle(chunk);
            }
        }
        if self.chunks.capacity() > KEPT {
            self.give_up_places();
        }
    }

    /// Makes way for what is not put into the first chunk, which is empty.
    fn set_aside(&mut self) {
        if self.len == 0 {
            if let Some(Chunk::Copied(first)) = self.chunks.pop_front() {
                self.spare = first;
            }
        }
    }

    fn recycle(&mut self, mut chunk: Vec<u8>) {
        self.pool.held.fetch_sub(chunk.capacity(), Ordering::Relaxed);
        if chunk.capacity() == FIRST {
            chunk.clear();
            self.spare = chunk;
        } else {
            self.pool.give(chunk);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.pool.held.fetch_sub(self.places * std::mem::size_of::<Chunk>(), Ordering::Relaxed);
        self.set_aside();
        for chunk in self.chunks.drain(..) {
            if let Chunk::Copied(chunk) = chunk {
                self.pool.held.fetch_sub(chunk.capacity(), Ordering::Relaxed);
                self.pool.give(chunk);
            }
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
        let mut outbox = Outbox::new(Pool::new(1));
        let mut expected = Vec::new();
        for i in 0..5000u32 {
            let piece = vec![i as u8; (i % 97) as usize];
            let start = &b"frame head"[..(i % 11) as usize];
            expected.extend_from_slice(start);
            expected.extend_from_slice(&piece);
            if i % 5 == 0 {
                let len = piece.len();
                outbox.share(start, Arc::new(piece.into()), 0..len);
            } else {
                outbox.copy(start, &piece);
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
        let pool = Pool::new(4);
        let (mut outbox, mut other) = (Outbox::new(pool.clone()), Outbox::new(pool.clone()));
        let fill = |outbox: &mut Outbox| (0..200).for_each(|_| outbox.copy(&[1; 9], &[2; 1000]));
        // All but the first, which stays with its connection.
        let chunks = |outbox: &Outbox| -> Vec<_> {
            outbox.chunks.iter().skip(1).map(|chunk| chunk.parts()[0].as_ptr()).collect()
        };
        fill(&mut outbox);
        let mut first = chunks(&outbox);
        while !outbox.is_empty() {
            take(&mut outbox, 70_000);
        }
        fill(&mut other);
        let mut second = chunks(&other);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, second);
        drop(other);
        // And the first of it.
        assert_eq!(pool.free.lock().iter().map(Vec::len).sum::<usize>(), first.len() + 1);
    }

    #[test]
    fn what_is_allocated_follows_what_waits_whatever_stands_between_the_small_pieces() {
        for small in [0, 1, 20, 1000] {
            let mut outbox = Outbox::new(Pool::new(0));
            let large = Arc::new(Bytes::from(vec![1; 5000]));
            for _ in 0..100 {
                outbox.share(&[], large.clone(), 0..large.len());
                (0..small).for_each(|_| outbox.copy(&[2; 9], &[3; 60]));
            }
            let copied = |chunk: &Chunk| match chunk {
                Chunk::Copied(bytes) => bytes.capacity(),
                Chunk::Shared(..) => 0,
            };
            let allocated: usize = outbox.chunks.iter().map(copied).sum();
            assert!(allocated <= 5 * outbox.len(), "{allocated} bytes for {}", outbox.len());
        }
        let mut outbox = Outbox::new(Pool::new(0));
        outbox.copy(&[1; 9], &[2; 2000]);
        assert!(matches!(&outbox.chunks[0], Chunk::Copied(bytes) if bytes.capacity() == SIZES[1]));
    }

    #[test]
    fn a_pool_knows_what_its_outboxes_hold_until_it_is_written_or_given_up() {
        let pool = Pool::new(2);
        let (mut one, mut other) = (Outbox::new(pool.clone()), Outbox::new(pool.clone()));
        let body = Arc::new(Bytes::from(vec![1; 100_000]));
        for outbox in [&mut one, &mut other] {
            (0..100).for_each(|_| outbox.copy(&[1; 9], &[2; 1000]));
            outbox.append(vec![3; 50_000]);
            outbox.share(&[], body.clone(), 0..body.len());
        }
        let copied = 2 * (100 * 1009 + 50_000);
        assert!((copied..3 * copied).contains(&pool.held()), "{} bytes", pool.held());
        let before = pool.held();
        (0..1000).for_each(|_| one.share(&[], body.clone(), 0..1));
        let places = pool.held() - before;
        assert!(places >= 1000 * std::mem::size_of::<Chunk>(), "what is shared has a place, too: {places} bytes");
        while !one.is_empty() {
            take(&mut one, 999);
        }
        assert!((copied / 2..3 * copied / 2).contains(&pool.held()), "{} bytes", pool.held());
        assert!(one.chunks.capacity() <= KEPT, "{} places", one.chunks.capacity());
        drop(other);
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn what_is_small_is_put_where_the_last_was_and_counts_only_while_it_waits() {
        let pool = Pool::new(1);
        let mut outbox = Outbox::new(pool.clone());
        let large = Arc::new(Bytes::from(vec![5; 5000]));
        let mut place = None;
        for round in 0..20 {
            // Also behind and before what does not fit there.
            match round % 5 {
                3 => outbox.share(&[9], large.clone(), 0..large.len()),
                4 => outbox.copy(&[], &[6; 3000]),
                _ => {}
            }
            outbox.copy(&[1], &[round; 70]);
            assert!(pool.held() >= FIRST && !outbox.is_empty());
            let sent = take(&mut outbox, usize::MAX);
            assert_eq!((&sent[sent.len() - 70..], pool.held(), outbox.is_empty()), (&[round; 70][..], 0, true));
            assert!(take(&mut outbox, usize::MAX).is_empty());
            if let (0..3, Some(Chunk::Copied(chunk))) = (round % 5, outbox.chunks.front()) {
                assert_eq!(*place.get_or_insert(chunk.as_ptr()), chunk.as_ptr());
            } else {
                place = None;
            }
            outbox.copy(&[], &[]);
            outbox.append(Vec::new());
            assert_eq!((pool.held(), outbox.len()), (0, 0));
        }
        drop(outbox);
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn a_connection_that_was_busy_keeps_one_small_chunk() {
        let pool = Pool::new(0);
        let mut outbox = Outbox::new(pool.clone());
        (0..1000).for_each(|_| outbox.copy(&[1; 9], &[2; 1000]));
        outbox.copy(&[], &vec![3; 2 * SIZES[SIZES.len() - 1]]);
        while !outbox.is_empty() {
            take(&mut outbox, usize::MAX);
        }
        assert!(outbox.spare.capacity() <= FIRST && pool.free.lock().iter().all(Vec::is_empty));
    }
}
