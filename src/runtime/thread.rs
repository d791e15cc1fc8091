//! Threads of the library.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::thread::JoinHandleExt;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle, ThreadId};

use parking_lot::Mutex;

/// The stack of a library thread, in bytes. It runs no code of the program unless its owner asks for more.
pub const STACK: usize = 256 << 10;

/// Starts a thread that gets no signals, with a stack of [`STACK`] bytes.
pub fn spawn<T: Send + 'static>(name: &str, f: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    spawn_with_stack(name, STACK, f)
}

/// [`spawn`] with a stack of `stack` bytes, for a thread that runs callbacks of the program.
///
/// Signals are blocked in it: the program's handlers run in the program's threads, and no system call of this one is
/// interrupted. Signals of a fault of the thread itself are not blocked, or the program's handler would be skipped.
pub fn spawn_with_stack<T: Send + 'static>(
    name: &str,
    stack: usize,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let f = || {
        // A callback may cancel the thread that it runs in.
        std::mem::forget(NotCancelled::here());
        f()
    };
    with_signals_blocked(|| Builder::new().name(name.to_owned()).stack_size(stack).spawn(f))
}

/// Waits until a thread has ended, however it ended: `JoinHandle::join` panics after `pthread_exit`.
pub fn join<T>(thread: JoinHandle<T>) {
    // SAFETY: the thread is joined once: its handle is gone.
    unsafe { libc::pthread_join(thread.into_pthread_t(), std::ptr::null_mut()) };
}

/// The thread that runs the loop of a handle, from its start to its end.
#[derive(Default)]
pub struct LoopThread {
    /// Stays when the thread has ended.
    id: OnceLock<ThreadId>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl LoopThread {
    /// Starts it, if it was not started, as [`spawn_with_stack`] does. Returns when [`LoopThread::is_current`] is right
    /// in it.
    pub fn start(&self, name: &str, stack: usize, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut handle = self.handle.lock();
        if !self.has_started() {
            let started = spawn_with_stack(name, stack, run)?;
            let _ = self.id.set(started.thread().id());
            *handle = Some(started);
        }
        Ok(())
    }

    /// Whether it was started.
    pub fn has_started(&self) -> bool {
        self.id.get().is_some()
    }

    /// Whether the calling thread is it.
    pub fn is_current(&self) -> bool {
        self.id.get() == Some(&std::thread::current().id())
    }

    /// Takes what joins it. The first caller gets that, if the thread was started.
    pub fn take(&self) -> Option<JoinHandle<()>> {
        self.handle.lock().take()
    }

    /// In a child after `fork`: leaves the thread alone, which is not in this process. Whether it was started.
    pub fn abandon(&self) -> bool {
        // The thread that held the lock, if one did, is not in this process either.
        let handle = self.handle.try_lock().and_then(|mut handle| handle.take());
        handle.map(std::mem::forget).is_some()
    }
}

/// Signals that report a fault of the thread that gets them.
const FAULTS: [libc::c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// The signals that are blocked in a thread.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// The mask of the calling thread.
    pub fn here() -> SignalMask {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: without a new set it only fills in `mask`, and cannot fail.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), mask.as_mut_ptr());
            SignalMask(mask.assume_init())
        }
    }

    /// Gives this thread the mask until the result is dropped.
    pub fn wear(&self) -> WornMask {
        WornMask(self.set())
    }

    fn set(&self) -> SignalMask {
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets live here; the call cannot fail, and fills in `before`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, before.as_mut_ptr());
            SignalMask(before.assume_init())
        }
    }
}

/// While this exists, the thread has the other mask.
pub struct WornMask(SignalMask);

impl Drop for WornMask {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// While this exists, the thread cannot be cancelled.
pub struct NotCancelled {
    #[cfg(target_os = "linux")]
    before: libc::c_int,
}

#[cfg(target_os = "linux")]
extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
}

impl NotCancelled {
    /// Keeps cancellation off in this thread. Async-signal-safe.
    #[cfg(target_os = "linux")]
    pub fn here() -> NotCancelled {
        const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;
        let mut before = 0;
        // SAFETY: the number is one of the two, and `before` is writable.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
        NotCancelled { before }
    }

    /// Elsewhere cancellation does not unwind.
    #[cfg(not(target_os = "linux"))]
    pub fn here() -> NotCancelled {
        NotCancelled {}
    }
}

impl Drop for NotCancelled {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: as above; without a place for the state before.
        unsafe {
            pthread_setcancelstate(self.before, std::ptr::null_mut());
        }
    }
}

/// Runs `f` with all signals but [`FAULTS`] blocked in this thread: threads that it starts inherit that.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: the set lives here; sigfillset initialises it, and the numbers are signals.
    let blocked = unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(set.as_mut_ptr());
        for signal in FAULTS {
            libc::sigdelset(set.as_mut_ptr(), signal);
        }
        SignalMask(set.assume_init())
    };
    let _worn = blocked.wear();
    f()
}

#[cfg(test)]
mod tests {
    use std::sync::{mpsc, Arc};

    use super::*;

    #[test]
    fn the_thread_of_a_loop_is_started_once_and_knows_itself() {
        let thread = Arc::new(LoopThread::default());
        assert!(!thread.has_started() && !thread.is_current() && thread.take().is_none() && !thread.abandon());
        let (go, told) = (mpsc::channel(), mpsc::channel());
        let inside = thread.clone();
        let run = move || {
            go.1.recv().unwrap();
            told.0.send(inside.is_current()).unwrap();
        };
        thread.start("ns-test", STACK, run).unwrap();
        thread.start("ns-test", STACK, || unreachable!()).unwrap();
        go.0.send(()).unwrap();
        assert_eq!((told.1.recv(), thread.is_current(), thread.has_started()), (Ok(true), false, true));
        join(thread.take().unwrap());
        // It is not started again, nor joined twice.
        thread.start("ns-test", STACK, || unreachable!()).unwrap();
        assert!(thread.has_started() && thread.take().is_none());
    }
}
