//! Whether this process is a child, by `fork`, of the one that made a handle.
//!
//! In a child the threads of the library are gone, and sockets, listeners and the poller belong to two processes. A
//! handle remembers the [`Birth`] of its process; in a child it may only close descriptors.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::Once;

static GENERATION: AtomicU32 = AtomicU32::new(0);

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// How many `fork`s lie between this process and the one that first asked. Async-signal-safe after the first call.
pub fn generation() -> u32 {
    static REGISTERED: Once = Once::new();
    if !REGISTERED.is_completed() {
        REGISTERED.call_once(|| {
            // SAFETY: the handler is async-signal-safe, and stays mapped: the library is never unloaded.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
    }
    GENERATION.load(Ordering::Relaxed)
}

/// The process in which something was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Birth(u32);

impl Birth {
    /// This process.
    pub fn here() -> Birth {
        Birth(generation())
    }

    /// Whether this process is a child of that one. Async-signal-safe.
    pub fn forked(self) -> bool {
        GENERATION.load(Ordering::Relaxed) != self.0
    }
}

/// A static that is fresh in each child process. A lock in the inherited one may be held for ever, by a thread that is
/// not in this process.
pub struct PerProcess<T>(AtomicPtr<Made<T>>);

struct Made<T> {
    value: T,
    /// In which generation of `fork` it was made.
    generation: u32,
    /// Kept reachable, never used again.
    _inherited: *const Made<T>,
}

// SAFETY: what is shared is the value; the other pointer is never followed.
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}

impl<T: Default> PerProcess<T> {
    /// Nothing yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value of this process, made at the first call. It is never freed, so use this for statics only.
    pub fn get(&self) -> &'static T {
        let generation = generation();
        loop {
            let current = self.0.load(Ordering::Acquire);
            // SAFETY: what was published is never freed, and only the value itself changes it.
            match unsafe { current.as_ref() } {
                Some(made) if made.generation == generation => return &made.value,
                _ => {}
            }
            let fresh = Box::into_raw(Box::new(Made { value: T::default(), generation, _inherited: current }));
            if self.0.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: it was not published, so nobody else has it.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}
