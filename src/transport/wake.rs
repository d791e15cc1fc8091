//! Whether a loop, or a thread that waits for a socket, has to be woken: the part of a wake that needs no system call.

use super::sync::{AtomicU8, Ordering};

/// The loop runs, and looks here again before it sleeps.
const AWAKE: u8 = 0;
/// The loop sleeps, or is about to.
const ASLEEP: u8 = 1;
/// Something was published since the loop last looked.
const NOTIFIED: u8 = 2;

/// What ended a wait for a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The socket is readable.
    Readable,
    /// The socket is readable, and the other side is gone.
    Broken,
    /// A wake, a signal, or the end of the time.
    Otherwise,
}

/// With it, many wakes cost one write to the loop's descriptor, and a wake of a running loop costs none.
///
/// What a thread publishes before [`wake`](WakeFlag::wake) is seen by the loop after its next
/// [`woke`](WakeFlag::woke): every operation is a read-modify-write of the one atomic, so the acquire of `woke` reads
/// from a chain that holds the release of each earlier `wake`.
#[derive(Debug)]
pub struct WakeFlag(AtomicU8);

impl WakeFlag {
    /// The flag of a loop that runs.
    pub fn new() -> WakeFlag {
        WakeFlag(AtomicU8::new(AWAKE))
    }

    /// Notes a wake. True if the caller has to write to the descriptor. Async-signal-safe.
    #[must_use]
    pub fn wake(&self) -> bool {
        self.0.swap(NOTIFIED, Ordering::AcqRel) == ASLEEP
    }

    /// Called when the loop wants to sleep. True if it may. It calls [`woke`](WakeFlag::woke) in either case.
    #[must_use]
    pub fn sleep(&self) -> bool {
        self.0.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The loop is about to look at what was published.
    pub fn woke(&self) {
        self.0.swap(AWAKE, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_wake_of_a_sleeping_loop_has_to_write() {
        let flag = WakeFlag::new();
        assert!(flag.sleep());
        assert!(flag.wake());
        assert!(!flag.wake());
        flag.woke();
        assert!(flag.sleep(), "no wake is left over");
    }

    #[test]
    fn a_loop_that_was_woken_while_it_ran_does_not_sleep() {
        let flag = WakeFlag::new();
        assert!(!flag.wake(), "a running loop needs no write");
        assert!(!flag.sleep());
        flag.woke();
        assert!(flag.sleep());
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::atomic::AtomicUsize;
    use loom::sync::{Arc, Notify};
    use loom::thread;

    /// A loop sleeps on `Notify`, which like an eventfd remembers one notification; loom reports a deadlock if a wake
    /// is lost.
    #[test]
    fn no_wake_is_lost() {
        // Three preemptions are enough for every known way to lose a wake; without a bound it takes half a minute.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let flag = Arc::new(WakeFlag::new());
            let descriptor = Arc::new(Notify::new());
            let work: Vec<_> = (0..2).map(|_| Arc::new(AtomicUsize::new(0))).collect();
            let wakers: Vec<_> = work
                .iter()
                .map(|work| {
                    let (flag, descriptor, work) = (flag.clone(), descriptor.clone(), work.clone());
                    thread::spawn(move || {
                        // Relaxed, since the flag alone has to make it visible.
                        work.store(1, Ordering::Relaxed);
                        if flag.wake() {
                            descriptor.notify();
                        }
                    })
                })
                .collect();
            while work.iter().any(|work| work.load(Ordering::Relaxed) == 0) {
                if flag.sleep() {
                    descriptor.wait();
                }
                flag.woke();
            }
            for waker in wakers {
                waker.join().unwrap();
            }
        });
    }
}
