//! Memory for large bodies, apart from the allocator's.
//!
//! A body of megabytes that is new to the process costs a page fault for each 4 KiB, more than all that is done with its bytes;
//! and an allocator returns it to the system when the body is gone, so that the next one costs the same. Here what is
//! freed is kept for the next body as far as it is worth it, and the system is asked for huge pages, which takes one fault
//! for 2 MiB. All of it lies in one range of addresses.
//!
//! Without this kind of memory, such as under a limit of address space or on another system, [`Block::new`] is `None`.

#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

/// A body that needs less memory is left to the allocator, in bytes: one that needs more fills much of a huge page.
pub const FROM: usize = 512 << 10;

/// The only size of pages with which this is done.
const PAGE: usize = 4 << 10;

/// So many bytes of memory, with any content, which are free again when this is dropped.
pub struct Block {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: nobody else refers to the memory.
unsafe impl Send for Block {}
// SAFETY: as of a slice.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `len` bytes, if it is one of the large ones and there is memory of this kind.
    pub fn new(len: usize) -> Option<Block> {
        if len < FROM {
            return None;
        }
        let at = system::take(len.div_ceil(PAGE))?;
        Some(Block { at, len })
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory is this block's alone, and the system has initialized it.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        system::give(self.at, self.len.div_ceil(PAGE));
    }
}

/// Gives the free memory that is kept back to the system.
pub fn release() {
    system::release();
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system {
    use std::ops::RangeInclusive;
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    use parking_lot::Mutex;

    use super::super::extents::{Extents, Pages};
    use super::*;

    /// As many free bytes are kept at the least and at the most; in between, half as many as are in use.
    const KEPT: RangeInclusive<usize> = 4 << 20..=32 << 20;

    /// Huge pages of this size lie at multiples of it.
    const HUGE: usize = 2 << 20;
    /// So much more is put to use at once.
    const STEP: usize = 8 << 20;
    /// How much address space there is for all blocks.
    const RANGE: usize = 4 << 30;

    static MEMORY: Mutex<Memory> = Mutex::new(Memory { range: Range::Unknown, extents: Extents::new(RANGE / PAGE) });

    /// This process is a child by `fork`: a thread of its parent may have held the lock. It has no blocks of its own, and
    /// keeps those that it has inherited.
    static IS_CHILD: AtomicBool = AtomicBool::new(false);

    struct Memory {
        range: Range,
        extents: Extents,
    }

    enum Range {
        /// Nobody has asked for a block yet.
        Unknown,
        /// There is none.
        None,
        /// It begins here.
        At(NonNull<u8>),
    }

    // SAFETY: the address is that of memory which this process never unmaps.
    unsafe impl Send for Memory {}

    extern "C" fn in_child() {
        IS_CHILD.store(true, Ordering::Relaxed);
    }

    pub(super) fn take(pages: usize) -> Option<NonNull<u8>> {
        if IS_CHILD.load(Ordering::Relaxed) || !children_are_told() {
            return None;
        }
        MEMORY.lock().take(pages)
    }

    /// Registers what sets [`IS_CHILD`], before any thread takes the lock. False also while another thread does that.
    fn children_are_told() -> bool {
        const BEGUN: u8 = 1;
        const DONE: u8 = 2;
        static STATE: AtomicU8 = AtomicU8::new(0);
        let begins = || STATE.compare_exchange(0, BEGUN, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // SAFETY: the handler is async-signal-safe, and stays mapped: the library is never unloaded.
        if begins() && unsafe { libc::pthread_atfork(None, None, Some(in_child)) } == 0 {
            STATE.store(DONE, Ordering::Release);
        }
        STATE.load(Ordering::Acquire) == DONE
    }

    pub(super) fn give(at: NonNull<u8>, pages: usize) {
        if !IS_CHILD.load(Ordering::Relaxed) {
            MEMORY.lock().give(at, pages);
        }
    }

    pub(super) fn release() {
        if !IS_CHILD.load(Ordering::Relaxed) {
            MEMORY.lock().release();
        }
    }

    impl Memory {
        fn take(&mut self, pages: usize) -> Option<NonNull<u8>> {
            if let Range::Unknown = self.range {
                self.range = reserve().map_or(Range::None, Range::At);
            }
            let Range::At(base) = self.range else { return None };
            let taken = self.extents.take(pages).or_else(|| {
                let new = self.extents.grow(pages, STEP / PAGE)?;
                if !open(base, &new) {
                    self.extents.shrink(new);
                    return None;
                }
                self.extents.take(pages)
            })?;
            Some(address(base, taken.start))
        }

        fn give(&mut self, at: NonNull<u8>, pages: usize) {
            let Range::At(base) = self.range else { return };
            let first = (at.as_ptr() as usize - base.as_ptr() as usize) / PAGE;
            self.extents.give(first..first + pages);
            let kept = KEPT.start() / PAGE..=KEPT.end() / PAGE;
            while let Some(pages) = self.extents.surplus(&kept) {
                if !self.vacate(base, pages) {
                    break;
                }
            }
        }

        fn release(&mut self) {
            let Range::At(base) = self.range else { return };
            for pages in self.extents.residents() {
                self.vacate(base, pages);
            }
        }

        /// False if the system does not take them.
        fn vacate(&mut self, base: NonNull<u8>, pages: Pages) -> bool {
            // SAFETY: these pages are mapped and free. They are zero when they are next used.
            let result = unsafe {
                libc::madvise(address(base, pages.start).as_ptr().cast(), pages.len() * PAGE, libc::MADV_DONTNEED)
            };
            if result == 0 {
                self.extents.vacate(pages);
            }
            result == 0
        }
    }

    fn address(base: NonNull<u8>, page: usize) -> NonNull<u8> {
        // SAFETY: it lies within the range.
        unsafe { base.add(page * PAGE) }
    }

    /// Addresses without memory, at a multiple of [`HUGE`].
    fn reserve() -> Option<NonNull<u8>> {
        // SAFETY: it has no requirements.
        if unsafe { libc::sysconf(libc::_SC_PAGESIZE) } != PAGE as libc::c_long {
            return None;
        }
        // What is reserved would be missing elsewhere.
        if is_limited() {
            return None;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: it is a new mapping.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), RANGE + HUGE, libc::PROT_NONE, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the mapping is as much larger.
        NonNull::new(unsafe { at.cast::<u8>().add(at.align_offset(HUGE)) })
    }

    /// Whether this process has a limit of its address space.
    fn is_limited() -> bool {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: it writes the limit.
        unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) != 0 || limit.rlim_cur != libc::RLIM_INFINITY }
    }

    /// Makes these pages memory. False if there is not so much, or if there is a limit by now, which does not count them.
    fn open(base: NonNull<u8>, pages: &Pages) -> bool {
        if is_limited() {
            return false;
        }
        let (at, len) = (address(base, pages.start).as_ptr().cast(), pages.len() * PAGE);
        // SAFETY: they lie within the reserved range, and nobody uses them yet.
        let is_open = unsafe { libc::mprotect(at, len, libc::PROT_READ | libc::PROT_WRITE) } == 0;
        if is_open {
            // SAFETY: as above. Without huge pages it is memory as well.
            unsafe { libc::madvise(at, len, libc::MADV_HUGEPAGE) };
        }
        is_open
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod system {
    use super::*;

    pub(super) fn take(_pages: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(super) fn give(_at: NonNull<u8>, _pages: usize) {}

    pub(super) fn release() {}
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn blocks_are_apart_and_hold_what_is_written() {
        if Block::new(FROM).is_none() {
            return;
        }
        assert!(Block::new(FROM - 1).is_none());
        let threads = [1, 2, 3].map(|thread: u8| {
            thread::spawn(move || {
                for round in 0..20 {
                    let mut blocks: Vec<_> = (0..4).map(|i| Block::new(FROM + i * 5000 + round).unwrap()).collect();
                    for (i, block) in blocks.iter_mut().enumerate() {
                        block.fill(thread * 10 + i as u8);
                    }
                    blocks.remove(round % 3);
                    for block in &blocks {
                        assert!(block.iter().all(|&byte| byte == block[0]) && block[0] / 10 == thread);
                    }
                    let values: std::collections::BTreeSet<_> = blocks.iter().map(|block| block[0]).collect();
                    assert_eq!(values.len(), 3);
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        release();
    }
}
