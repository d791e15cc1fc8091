//! The clocks that engines receive.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Now;
use crate::time::{BootTime, MonoTime, WallTime};

/// The present time, by `CLOCK_MONOTONIC`, `CLOCK_REALTIME` and `CLOCK_BOOTTIME`.
///
/// The two other clocks are read again after a millisecond; until then they are derived from the first one by an
/// offset.
pub fn now() -> Now {
    /// How long the offsets of the other clocks are used, in nanoseconds.
    const GOOD_FOR: u64 = 1_000_000;
    static WALL: AtomicU64 = AtomicU64::new(0);
    static BOOT: AtomicU64 = AtomicU64::new(0);
    static UNTIL: AtomicU64 = AtomicU64::new(0);
    let mono = clock(libc::CLOCK_MONOTONIC);
    // Acquire: the offsets that are read are those of that update or, at worst, of one that another thread began
    // earlier.
    if mono >= UNTIL.load(Ordering::Acquire) {
        WALL.store(clock(libc::CLOCK_REALTIME).wrapping_sub(mono), Ordering::Relaxed);
        BOOT.store(clock(SUSPENDED_TOO).wrapping_sub(mono), Ordering::Relaxed);
        UNTIL.store(mono + GOOD_FOR, Ordering::Release);
    }
    let nanos = |offset: &AtomicU64| mono.wrapping_add(offset.load(Ordering::Relaxed));
    Now {
        mono: MonoTime::from_nanos(mono),
        wall: WallTime::from_millis(nanos(&WALL) / 1_000_000),
        boot: BootTime::from_nanos(nanos(&BOOT)),
    }
}

/// The clock that goes on while the machine is suspended. Systems other than Linux use `CLOCK_MONOTONIC` instead.
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
    nanoseconds(time)
}

/// A time in nanoseconds. A time before 1970, which only a library that fakes the clock reports, becomes 1970.
fn nanoseconds(time: libc::timespec) -> u64 {
    /// The last second that Linux knows, in 2262.
    const LAST: u64 = i64::MAX as u64 / 1_000_000_000;
    let (seconds, rest) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.min(LAST) * 1_000_000_000 + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_or_beyond_all_times_is_no_fault() {
        let at = |tv_sec| {
            // SAFETY: a time of all zeros is valid.
            let mut time: libc::timespec = unsafe { MaybeUninit::zeroed().assume_init() };
            (time.tv_sec, time.tv_nsec) = (tv_sec, 7);
            nanoseconds(time)
        };
        assert_eq!((at(-1), at(libc::time_t::MIN), at(0), at(2)), (7, 7, 7, 2_000_000_007));
        assert!(at(libc::time_t::MAX) >= at(2_000_000_000));
    }
}
