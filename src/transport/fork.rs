//! Whether this process is a child, by `fork`, of the one that made a handle.
//!
//! In a child the threads of the library are gone, and sockets, listeners and the poller belong to two processes. A
//! handle remembers the [`Birth`] of its process; what it then may do is close descriptors.

use std::sync::atomic::{AtomicU32, Ordering};
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
