//! An allocator that counts, and that refuses large allocations of the engines, one in each run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

/// The system's allocator, which counts and refuses what a test wants refused.
struct Refusing;

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// What is larger follows the size of a body or value. A buffer that grows by doubling may be this large for a small one.
const SMALL: usize = 128 << 10;
pub(super) const VALUE: usize = 3 * SMALL;

thread_local! {
    /// Whether allocations of this thread are those of an engine.
    pub(super) static ENGINE: Cell<bool> = const { Cell::new(false) };
    /// How many of them were large.
    static ASKED: Cell<u32> = const { Cell::new(0) };
    /// Which of these is refused.
    static REFUSED: Cell<u32> = const { Cell::new(u32::MAX) };
    /// Bytes that this thread has allocated and not freed.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that the allocator took for what this thread has allocated, with what it notes of them.
#[cfg(target_env = "gnu")]
pub(super) fn allocated() -> usize {
    ALLOCATED.get()
}

fn taken(place: *mut u8) -> usize {
    if place.is_null() {
        return 0;
    }
    // SAFETY: it was allocated with malloc, and is not freed yet.
    unsafe { libc::malloc_usable_size(place.cast()) + size_of::<usize>() }
}

/// Counts what stands at this place from now on.
fn count(place: *mut u8) -> *mut u8 {
    ALLOCATED.set(ALLOCATED.get().wrapping_add(taken(place)));
    place
}

/// What stands at this place counts no longer.
fn discount(place: *mut u8) {
    ALLOCATED.set(ALLOCATED.get().wrapping_sub(taken(place)));
}

fn is_refused(bytes: usize) -> bool {
    if bytes <= SMALL || !ENGINE.get() {
        return false;
    }
    let asked = ASKED.get();
    ASKED.set(asked + 1);
    asked == REFUSED.get()
}

// SAFETY: the system's allocator does what is asked for; null says that there is no memory.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        count(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        discount(place);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        count(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if bytes > layout.size() && is_refused(bytes) {
            return ptr::null_mut();
        }
        discount(place);
        // SAFETY: as the caller promises.
        let moved = unsafe { System.realloc(place, layout, bytes) };
        // Without memory it stays where it is.
        count(if moved.is_null() { place } else { moved });
        moved
    }
}

/// Runs what only an engine does.
pub(super) fn engine<T>(run: impl FnOnce() -> T) -> T {
    ENGINE.set(true);
    let done = run();
    ENGINE.set(false);
    done
}

/// Runs a scenario with each of its large allocations refused, one at a time. One that has to succeed ends the process.
pub(super) fn each_refused(scenario: impl Fn()) {
    let mut refused = 0;
    loop {
        ASKED.set(0);
        REFUSED.set(refused);
        scenario();
        if ASKED.get() <= refused {
            break;
        }
        refused += 1;
    }
    assert!(refused > 0, "it allocates something large");
    println!("{refused} large allocations");
}

/// Whether the one that is to be refused has been.
pub(super) fn was_refused() -> bool {
    ASKED.get() > REFUSED.get()
}
