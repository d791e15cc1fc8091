//! Whether a handle has been freed, and whether this thread is inside one of its callbacks.
//!
//! A handle may be freed inside one of its own callbacks. Then no callback may be shown it again, also not the next of
//! the same batch; and what is behind it is closed when the callback has returned, not under its feet.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;

thread_local! {
    /// The handles whose callbacks this thread is in, outermost first.
    static INSIDE: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
}

/// One handle's guard, shared with its callbacks. `T` is what is behind the handle.
pub(super) struct FreeGuard<T>(Arc<Guarded<T>>);

struct Guarded<T> {
    freed: AtomicBool,
    /// What was behind a handle that was freed inside a callback, until that returns.
    parting: Mutex<Option<T>>,
}

impl<T> Clone for FreeGuard<T> {
    fn clone(&self) -> FreeGuard<T> {
        FreeGuard(self.0.clone())
    }
}

impl<T> FreeGuard<T> {
    pub(super) fn new() -> FreeGuard<T> {
        FreeGuard(Arc::new(Guarded { freed: AtomicBool::new(false), parting: Mutex::new(None) }))
    }

    /// The handle is freed: no callback starts from now on. What is behind it comes back if it can be closed now;
    /// inside a callback of its own it is kept for [`FreeGuard::callback`].
    pub(super) fn end(&self, behind: T) -> Option<T> {
        self.0.freed.store(true, Ordering::Release);
        if self.inside() {
            *self.0.parting.lock() = Some(behind);
            return None;
        }
        Some(behind)
    }

    pub(super) fn ended(&self) -> bool {
        self.0.freed.load(Ordering::Acquire)
    }

    /// Runs a callback, unless the handle is freed. What was behind one that was freed meanwhile goes to `close`.
    pub(super) fn callback<R>(&self, call: impl FnOnce() -> R, close: impl FnOnce(T)) {
        if self.ended() {
            return;
        }
        // A thread that is ending has lost the list. Its callbacks run all the same.
        let listed = INSIDE.try_with(|inside| inside.borrow_mut().push(self.id())).is_ok();
        let _ = call();
        if listed {
            let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
        }
        if self.ended() && !self.inside() {
            let behind = self.0.parting.lock().take();
            if let Some(behind) = behind {
                close(behind);
            }
        }
    }

    /// Whether this thread is inside a callback of the handle.
    fn inside(&self) -> bool {
        INSIDE.try_with(|inside| inside.borrow().contains(&self.id())).unwrap_or(false)
    }

    fn id(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_callback_starts_once_the_handle_is_freed() {
        let guard = FreeGuard::new();
        let mut ran = 0;
        guard.callback(|| ran += 1, |()| unreachable!());
        assert_eq!(guard.end(()), Some(()));
        guard.callback(|| ran += 1, |()| unreachable!());
        assert_eq!(ran, 1);
    }

    #[test]
    fn a_handle_freed_in_its_callback_is_closed_when_that_returns() {
        let guard = FreeGuard::new();
        let mut closed = Vec::new();
        guard.callback(
            || {
                // A callback inside a callback is not the end of the outer one.
                guard.callback(|| assert_eq!(guard.end(7), None), |_| unreachable!());
            },
            |behind| closed.push(behind),
        );
        assert_eq!(closed, [7]);
    }

    #[test]
    fn a_thread_knows_which_callbacks_it_is_in_also_when_they_nest() {
        let (a, b) = (FreeGuard::<()>::new(), FreeGuard::<()>::new());
        a.callback(
            || {
                assert!(a.inside() && !b.inside());
                b.callback(|| assert!(a.inside() && b.inside()), |()| ());
                assert!(!b.inside());
                std::thread::scope(|scope| scope.spawn(|| assert!(!a.inside())).join().unwrap());
            },
            |()| (),
        );
        assert!(!a.inside());
    }
}
