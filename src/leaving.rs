//! Threads that end inside a callback: `pthread_exit` there, or a Python thread when the interpreter ends.
//!
//! Nothing between the callback and the thread's first frame runs any more, not even `Drop`. Whatever must still be
//! done is registered while a thread is inside, and runs when its thread-locals are destroyed.

use std::cell::RefCell;

thread_local! {
    static OPEN: Open = const { Open(RefCell::new(Vec::new())) };
}

struct Open(RefCell<Vec<Box<dyn FnOnce()>>>);

impl Drop for Open {
    fn drop(&mut self) {
        while let Some(close) = self.0.get_mut().pop() {
            close();
        }
    }
}

/// Runs `body`. If the thread ends inside it, `close` runs then; it must not rely on other thread-locals.
pub(crate) fn closing<T>(close: impl FnOnce() + 'static, body: impl FnOnce() -> T) -> T {
    struct Noted(bool);
    impl Drop for Noted {
        fn drop(&mut self) {
            if self.0 {
                let _ = OPEN.try_with(|open| open.0.borrow_mut().pop());
            }
        }
    }
    // A thread that is ending no longer has a list.
    let _noted = Noted(OPEN.try_with(|open| open.0.borrow_mut().push(Box::new(close))).is_ok());
    body()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn nothing_is_closed_where_a_body_returns_or_panics() {
        std::thread::spawn(|| {
            assert_eq!(closing(|| unreachable!(), || closing(|| unreachable!(), || 7)), 7);
            let panics = std::panic::AssertUnwindSafe(|| closing::<()>(|| unreachable!(), || panic!("on purpose")));
            std::panic::catch_unwind(panics).unwrap_err();
            // What it holds is dropped.
            let held = Rc::new(());
            let also = held.clone();
            closing(move || drop(also), || ());
            assert_eq!(Rc::strong_count(&held), 1);
        })
        .join()
        .unwrap();
    }
}
