//! Library threads, and the clock they tell engines.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use crate::engine::Now;

/// The stack of a library thread, in bytes. It runs no code of the program unless its owner asks for more.
pub const STACK: usize = 256 << 10;

/// Starts a thread that gets no signals, with a stack of [`STACK`] bytes.
pub fn spawn<T: Send + 'static>(name: &str, f: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    spawn_with_stack(name, STACK, f)
}

/// [`spawn`] with a stack of `stack` bytes, for a thread that runs callbacks of the program.
///
/// All signals are blocked in it: the program's handlers run in the program's threads, and none of its system calls
/// is interrupted.
pub fn spawn_with_stack<T: Send + 'static>(
    name: &str,
    stack: usize,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    with_signals_blocked(|| Builder::new().name(name.to_owned()).stack_size(stack).spawn(f))
}

/// Runs `f` with all signals blocked in this thread: threads that it starts inherit that.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets live here; sigfillset initialises `all`, and pthread_sigmask, which cannot fail with these
    // arguments, `before`.
    let before = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    let result = f();
    // SAFETY: `before` is the set that was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    result
}

/// This moment: nanoseconds of `CLOCK_MONOTONIC`, milliseconds since 1970, and milliseconds of `CLOCK_BOOTTIME`, which
/// goes on while the machine is suspended.
///
/// The other clocks are read again once a millisecond is over: they are the first one and an offset until then.
pub fn now() -> Now {
    /// Nanoseconds that a look at the other clocks is good for.
    const GOOD_FOR: u64 = 1_000_000;
    static WALL: AtomicU64 = AtomicU64::new(0);
    static BOOT: AtomicU64 = AtomicU64::new(0);
    static UNTIL: AtomicU64 = AtomicU64::new(0);
    let mono = clock(libc::CLOCK_MONOTONIC);
    // Acquire: what is read are the offsets of that look or, at worst, of one that another thread began earlier.
    if mono >= UNTIL.load(Ordering::Acquire) {
        WALL.store(clock(libc::CLOCK_REALTIME).wrapping_sub(mono), Ordering::Relaxed);
        BOOT.store(clock(SUSPENDED_TOO).wrapping_sub(mono), Ordering::Relaxed);
        UNTIL.store(mono + GOOD_FOR, Ordering::Release);
    }
    let millis = |offset: &AtomicU64| mono.wrapping_add(offset.load(Ordering::Relaxed)) / 1_000_000;
    Now { mono, wall: millis(&WALL), boot: millis(&BOOT) }
}

/// The clock that goes on while the machine is suspended. Elsewhere than on Linux that of `CLOCK_MONOTONIC` has to do.
#[cfg(target_os = "linux")]
const SUSPENDED_TOO: libc::clockid_t = libc::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const SUSPENDED_TOO: libc::clockid_t = libc::CLOCK_MONOTONIC;

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is writable; the clocks exist on every system, so the call fills it in.
    let time = unsafe {
        libc::clock_gettime(id, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
