//! Memory that is kept after it was freed goes back to the system.

use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::thread;
use crate::memory;

/// Gives memory back, each time in a thread of its own: the allocator takes some 0.1 ms for each MiB, and a thread that
/// finds what it needs among its own free memory does not wait meanwhile.
#[derive(Default)]
pub struct Reclaimer {
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Reclaimer {
    /// Gives back what is kept and not needed, unless that is being done. Does not wait.
    pub fn start(&self) {
        let mut running = self.running.lock();
        if CAN_RECLAIM && running.as_ref().is_none_or(JoinHandle::is_finished) {
            running.take().into_iter().for_each(thread::join);
            // Without a thread it stays as it is.
            *running = thread::spawn("ns-reclaim", reclaim).ok();
        }
    }

    /// Waits until it is done.
    pub fn wait(&self) {
        self.running.lock().take().into_iter().for_each(thread::join);
    }
}

/// Elsewhere nothing is kept that could be asked for.
const CAN_RECLAIM: bool = cfg!(target_os = "linux");

fn reclaim() {
    memory::release();
    // Of the allocators only glibc's has to be asked, and offers the call.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no requirements. It only touches memory that nobody has.
    unsafe {
        libc::malloc_trim(0);
    }
}
