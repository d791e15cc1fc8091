//! What is behind a handle, which a running call keeps: `_free` in another thread takes nothing away from it.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use crate::transport::fork::Birth;

/// A handle with a count of its holders: the program, until it frees it, and every running call.
#[repr(C)]
pub(super) struct Counted<T> {
    head: Header,
    value: ManuallyDrop<T>,
}

/// The part that does not depend on the type. It lies in front, and outlives the value.
#[repr(C)]
struct Header {
    /// How many hold the value. It never grows from 0 again: the value is gone.
    holders: AtomicUsize,
    /// [`Counted::glance`]s that are under way.
    glances: AtomicUsize,
    freed: AtomicBool,
    birth: Birth,
    /// Frees the memory.
    deallocate: unsafe fn(*mut Header),
}

/// How many handles keep their memory after they are gone. A call that has begun, and has not yet come to count itself,
/// then finds that the handle is gone.
const RESTING: usize = 64;

static REST: [AtomicPtr<Header>; RESTING] = [const { AtomicPtr::new(std::ptr::null_mut()) }; RESTING];
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl<T> Counted<T> {
    /// A handle, which [`Counted::free`] frees.
    pub(super) fn new(value: T) -> *mut Counted<T> {
        let head = Header {
            holders: AtomicUsize::new(1),
            glances: AtomicUsize::new(0),
            freed: AtomicBool::new(false),
            birth: Birth::here(),
            // SAFETY: a head is only ever told to free the `Counted` that it begins.
            deallocate: |head| drop(unsafe { Box::from_raw(head.cast::<Counted<T>>()) }),
        };
        Box::into_raw(Box::new(Counted { head, value: ManuallyDrop::new(value) }))
    }

    /// Holds the value for the time of a call; `None` if it is gone.
    ///
    /// # Safety
    /// `handle` is of [`Counted::new`], and not freed when the call begins.
    pub(super) unsafe fn hold(handle: NonNull<Counted<T>>) -> Option<HandleRef<T>> {
        // SAFETY: as the caller promises; the memory rests for a while when the value is gone.
        let holders = unsafe { &handle.as_ref().head.holders };
        holders.fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| (n > 0).then_some(n + 1)).ok()?;
        Some(HandleRef(handle))
    }

    /// Frees the handle: gives what the program held of it to the caller. `None` if it is freed already.
    ///
    /// # Safety
    /// As [`Counted::hold`].
    pub(super) unsafe fn free(handle: NonNull<Counted<T>>) -> Option<HandleRef<T>> {
        // SAFETY: as the caller promises.
        let freed = unsafe { handle.as_ref().head.freed.swap(true, Ordering::Relaxed) };
        (!freed).then(|| HandleRef(handle))
    }

    /// Looks at the value for a moment, in a signal handler: nothing is freed in here.
    ///
    /// # Safety
    /// As [`Counted::hold`].
    pub(super) unsafe fn glance(handle: NonNull<Counted<T>>, look: impl FnOnce(&T)) {
        // SAFETY: as the caller promises.
        let counted = unsafe { handle.as_ref() };
        // All of these have one order: the last holder sees the glance, or the glance sees that the value is gone.
        counted.head.glances.fetch_add(1, Ordering::SeqCst);
        if counted.head.holders.load(Ordering::SeqCst) > 0 {
            look(&counted.value);
        }
        counted.head.glances.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A hold on the value behind a handle. The last one drops it.
pub(super) struct HandleRef<T>(NonNull<Counted<T>>);

impl<T> Deref for HandleRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value is there as long as anybody holds it.
        unsafe { &self.0.as_ref().value }
    }
}

impl<T> Drop for HandleRef<T> {
    fn drop(&mut self) {
        // SAFETY: as above; the memory goes below at the earliest.
        let head = unsafe { &self.0.as_ref().head };
        if head.holders.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        // A glance of a thread that was not taken along by `fork` does not end.
        while head.glances.load(Ordering::SeqCst) > 0 && !head.birth.forked() {
            std::thread::yield_now();
        }
        // SAFETY: nobody holds the value any more, and nobody will again.
        unsafe { ManuallyDrop::drop(&mut self.0.as_mut().value) };
        let place = &REST[NEXT.fetch_add(1, Ordering::Relaxed) % RESTING];
        let rested = place.swap(self.0.as_ptr().cast(), Ordering::AcqRel);
        if let Some(rested) = NonNull::new(rested) {
            // SAFETY: it has rested, and is in no other place.
            unsafe { (rested.as_ref().deallocate)(rested.as_ptr()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    fn handle<T>(value: T) -> NonNull<Counted<T>> {
        NonNull::new(Counted::new(value)).unwrap()
    }

    /// One test: what rests is shared, and is to rest until the end.
    #[test]
    fn a_running_call_keeps_what_is_behind_the_handle() {
        a_call_keeps_the_value();
        calls_and_free_at_once_drop_the_value_once();
    }

    fn a_call_keeps_the_value() {
        let value = Arc::new(7);
        let handle = handle(value.clone());
        // SAFETY: calls on a handle that is there, and on one whose memory rests.
        unsafe {
            let call = Counted::hold(handle).unwrap();
            drop(Counted::free(handle));
            assert_eq!((**call, Arc::strong_count(&value)), (7, 2));
            drop(call);
            assert_eq!(Arc::strong_count(&value), 1);
            assert!(Counted::hold(handle).is_none());
            assert!(Counted::free(handle).is_none());
            Counted::glance(handle, |_| unreachable!());
        }
    }

    fn calls_and_free_at_once_drop_the_value_once() {
        struct Address(NonNull<Counted<Arc<()>>>);
        // SAFETY: it is made to be used by several threads.
        unsafe impl Sync for Address {}
        for _ in 0..500 {
            let value = Arc::new(());
            let (address, start) = (Address(handle(value.clone())), Barrier::new(4));
            std::thread::scope(|scope| {
                let address = &address;
                for _ in 0..2 {
                    scope.spawn(|| {
                        start.wait();
                        // SAFETY: the memory rests.
                        if let Some(held) = unsafe { Counted::hold(address.0) } {
                            assert!(Arc::strong_count(&held) > 1);
                        }
                    });
                }
                scope.spawn(|| {
                    start.wait();
                    // SAFETY: as above.
                    unsafe { Counted::glance(address.0, |value| assert!(Arc::strong_count(value) > 1)) };
                });
                start.wait();
                // SAFETY: freed once.
                drop(unsafe { Counted::free(address.0) });
            });
            assert_eq!(Arc::strong_count(&value), 1);
        }
    }
}
