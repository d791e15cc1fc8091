//! Bytes of one body.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use super::blocks::Block;
use super::NoMemory;

/// Bytes in one allocation, as in a [`Vec`]: a large one is a [`Block`] where there are any.
#[derive(Default)]
pub struct Bytes(Place);

enum Place {
    Heap(Vec<u8>),
    /// Boxed, so that the other kind costs what a vector does.
    Block(Box<Within>),
}

/// The first `len` bytes of a block.
struct Within {
    block: Block,
    len: usize,
}

// A frame that is not large is handed on in as few steps as one with a vector.
const _: () = assert!(size_of::<Bytes>() == size_of::<Vec<u8>>());

impl Default for Place {
    fn default() -> Place {
        Place::Heap(Vec::new())
    }
}

impl Bytes {
    /// None. Does not allocate.
    pub const fn new() -> Bytes {
        Bytes(Place::Heap(Vec::new()))
    }

    /// None, with room for `len`.
    pub fn with_capacity(len: usize) -> Result<Bytes, NoMemory> {
        let mut bytes = Bytes::new();
        bytes.reserve(len)?;
        Ok(bytes)
    }

    /// A copy of `bytes`.
    pub fn copy(bytes: &[u8]) -> Result<Bytes, NoMemory> {
        let mut copy = Bytes::with_capacity(bytes.len())?;
        copy.extend_from_slice(bytes);
        Ok(copy)
    }

    /// How many there is room for.
    pub fn capacity(&self) -> usize {
        match &self.0 {
            Place::Heap(bytes) => bytes.capacity(),
            Place::Block(within) => within.block.len(),
        }
    }

    /// Makes room for exactly `more`, if there is less. Without memory all stays as it is.
    pub fn reserve(&mut self, more: usize) -> Result<(), NoMemory> {
        let len = self.len();
        if more <= self.capacity() - len {
            return Ok(());
        }
        let needed = len.checked_add(more).ok_or(NoMemory)?;
        if let Some(mut block) = Block::new(needed) {
            block[..len].copy_from_slice(self);
            self.0 = Place::Block(Box::new(Within { block, len }));
            return Ok(());
        }
        match &mut self.0 {
            Place::Heap(bytes) => bytes.try_reserve_exact(more).map_err(|_| NoMemory),
            Place::Block(within) => {
                let mut bytes = super::with_capacity(needed)?;
                bytes.extend_from_slice(&within.block[..len]);
                self.0 = Place::Heap(bytes);
                Ok(())
            }
        }
    }

    /// Appends `more`, for which there must be room.
    ///
    /// # Panics
    /// If there is none.
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        assert!(more.len() <= self.capacity() - self.len(), "no room was reserved");
        match &mut self.0 {
            Place::Heap(bytes) => bytes.extend_from_slice(more),
            Place::Block(within) => {
                within.block[within.len..within.len + more.len()].copy_from_slice(more);
                within.len += more.len();
            }
        }
    }

    /// Removes all but the first `most`.
    pub fn truncate(&mut self, most: usize) {
        match &mut self.0 {
            Place::Heap(bytes) => bytes.truncate(most),
            Place::Block(within) => within.len = most.min(within.len),
        }
    }

    /// Removes all, and keeps the room.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Appends what `read` puts into room for `most`, which must be there. It returns how many that are.
    ///
    /// # Safety
    /// `read` initializes as many bytes as it returns, at the beginning of the room; that are at most `most`. It puts nothing
    /// there that is not initialized.
    ///
    /// # Panics
    /// If there is no room.
    #[allow(unsafe_code)]
    pub unsafe fn append_with(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match &mut self.0 {
            Place::Heap(bytes) => {
                let n = read(&mut bytes.spare_capacity_mut()[..most])?;
                // SAFETY: so many are initialized behind those that there were.
                unsafe { bytes.set_len(bytes.len() + n) };
                Ok(n)
            }
            Place::Block(within) => {
                let Within { block, len } = &mut **within;
                let room: *mut [u8] = &mut block[*len..*len + most];
                // SAFETY: nothing that is not initialized is put there.
                let n = read(unsafe { &mut *(room as *mut [MaybeUninit<u8>]) })?;
                *len += n;
                Ok(n)
            }
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Heap(bytes) => bytes,
            Place::Block(within) => &within.block[..within.len],
        }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Heap(bytes) => bytes,
            Place::Block(within) => &mut within.block[..within.len],
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(Place::Heap(bytes))
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::FROM;
    use super::*;

    #[test]
    fn bytes_stay_what_they_are_while_they_grow_into_a_block_and_beyond() {
        let mut bytes = Bytes::new();
        let mut expected = Vec::new();
        for (i, len) in [10, 1000, FROM - 2000, 4096, FROM, 3 * FROM].into_iter().enumerate() {
            let more = vec![i as u8; len];
            bytes.reserve(len).unwrap();
            assert!(bytes.capacity() >= bytes.len() + len);
            bytes.extend_from_slice(&more);
            expected.extend_from_slice(&more);
            assert!(bytes[..] == expected[..]);
        }
        assert_eq!(bytes.capacity(), bytes.len(), "exactly what was asked for");
        bytes.truncate(5);
        bytes.truncate(10);
        assert_eq!((&bytes[..], bytes.len()), (&[0; 5][..], 5));
        bytes.clear();
        assert!(bytes.is_empty() && bytes.capacity() == expected.len());
    }

    #[test]
    #[allow(unsafe_code)]
    fn what_is_read_is_appended_and_what_fails_is_not() {
        for capacity in [100, FROM] {
            let mut bytes = Bytes::with_capacity(capacity).unwrap();
            bytes.extend_from_slice(b"ab");
            // SAFETY: as many are initialized as it says.
            let n = unsafe {
                bytes.append_with(90, |room| {
                    assert_eq!(room.len(), 90);
                    room[..2].copy_from_slice(&[MaybeUninit::new(b'c'), MaybeUninit::new(b'd')]);
                    Ok(2)
                })
            };
            assert_eq!((n.unwrap(), &bytes[..]), (2, &b"abcd"[..]));
            // SAFETY: it initializes none.
            let failed = unsafe { bytes.append_with(1, |_| Err(io::ErrorKind::WouldBlock.into())) };
            assert_eq!((failed.unwrap_err().kind(), bytes.len()), (io::ErrorKind::WouldBlock, 4));
        }
    }

    #[test]
    fn more_than_there_is_memory_for_is_an_error_and_changes_nothing() {
        let mut bytes = Bytes::copy(b"abc").unwrap();
        assert_eq!(bytes.reserve(usize::MAX), Err(NoMemory));
        assert_eq!(bytes.reserve(isize::MAX as usize - 10), Err(NoMemory));
        assert_eq!(&bytes[..], b"abc");
    }
}
