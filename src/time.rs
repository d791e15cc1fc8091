//! Times, with a type for each clock, so that times of two clocks cannot be mixed up.
//!
//! * [`MonoTime`]: nanoseconds of the monotonic clock. Deadlines, and how long ago something happened.
//! * [`BootTime`]: nanoseconds of the boot clock, which also runs while the machine is suspended. The age of values.
//! * [`WallTime`]: milliseconds since 1970 by the wall clock, which may be set and so jump. A logical clock begins at it.
//! * [`LogicalTime`]: the time of a logical clock ([`crate::engine::clock`]). The order of values.
//!
//! Times of the first two are comparable on one machine and until it is restarted; logical times are comparable between
//! all hubs and apps. What lies between two times of one clock is a [`Duration`]. Sums and differences saturate.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A duration in nanoseconds. It saturates after 584 years.
#[inline]
const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

/// The full milliseconds of a duration.
#[inline]
const fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis() as u64)
}

/// A time of the monotonic clock, `CLOCK_MONOTONIC`. It never goes back, and stands still while the machine is
/// suspended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MonoTime(u64);

/// A time of the boot clock, `CLOCK_BOOTTIME`. It never goes back, and goes on while the machine is suspended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BootTime(u64);

/// What the two times in nanoseconds can do.
macro_rules! in_nanoseconds {
    ($name:ident) => {
        impl $name {
            /// The last time there is.
            pub const MAX: $name = $name(u64::MAX);

            /// The time at which the clock shows this number of nanoseconds.
            #[inline]
            pub const fn from_nanos(nanos: u64) -> $name {
                $name(nanos)
            }

            /// What the clock shows.
            #[inline]
            pub const fn as_nanos(self) -> u64 {
                self.0
            }

            /// How long ago `earlier` was at this time; nothing if it is later.
            #[inline]
            pub const fn since(self, earlier: $name) -> Duration {
                Duration::from_nanos(self.0.saturating_sub(earlier.0))
            }
        }

        impl Add<Duration> for $name {
            type Output = $name;

            #[inline]
            fn add(self, duration: Duration) -> $name {
                $name(self.0.saturating_add(nanos(duration)))
            }
        }

        impl AddAssign<Duration> for $name {
            #[inline]
            fn add_assign(&mut self, duration: Duration) {
                *self = *self + duration;
            }
        }
    };
}

in_nanoseconds!(MonoTime);
in_nanoseconds!(BootTime);

/// A time of the wall clock, `CLOCK_REALTIME`, in milliseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// The time so many milliseconds after the beginning of 1970.
    #[inline]
    pub const fn from_millis(millis: u64) -> WallTime {
        WallTime(millis)
    }

    /// Milliseconds since 1970.
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// A time of a logical clock: milliseconds since 1970 in the upper 48 bits, and a counter in the lower 16 that orders
/// what happens within a millisecond. On the wire it is the integer of these bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogicalTime(u64);

impl LogicalTime {
    /// The last time there is: clocks stop there.
    pub const MAX: LogicalTime = LogicalTime(u64::MAX);

    /// The last millisecond that it has room for.
    pub const LAST_MILLIS: u64 = u64::MAX >> 16;

    /// The beginning of a millisecond since 1970; of the last one, if that has no room.
    #[inline]
    pub const fn from_millis(millis: u64) -> LogicalTime {
        LogicalTime(if millis > LogicalTime::LAST_MILLIS { LogicalTime::LAST_MILLIS << 16 } else { millis << 16 })
    }

    /// The milliseconds since 1970, without the counter.
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.0 >> 16
    }

    /// The time of these bits.
    #[inline]
    pub const fn from_bits(bits: u64) -> LogicalTime {
        LogicalTime(bits)
    }

    /// Its bits.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The next time after it, of which [`LogicalTime::MAX`] has none.
    #[inline]
    #[must_use]
    pub const fn succ(self) -> LogicalTime {
        LogicalTime(self.0.saturating_add(1))
    }
}

impl Add<Duration> for LogicalTime {
    type Output = LogicalTime;

    /// The time later by the full milliseconds of a duration, with the same counter.
    #[inline]
    fn add(self, duration: Duration) -> LogicalTime {
        LogicalTime(self.0.saturating_add(LogicalTime::from_millis(millis(duration)).0))
    }
}

impl Sub<Duration> for LogicalTime {
    type Output = LogicalTime;

    /// The time earlier by the full milliseconds of a duration, with the same counter; not before 1970.
    #[inline]
    fn sub(self, duration: Duration) -> LogicalTime {
        LogicalTime(self.0.saturating_sub(LogicalTime::from_millis(millis(duration)).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_a_duration_saturate() {
        let at = MonoTime::from_nanos;
        assert_eq!(at(5) + Duration::from_secs(2), at(2_000_000_005));
        assert_eq!((at(1) + Duration::MAX, MonoTime::MAX + Duration::from_nanos(1)), (MonoTime::MAX, MonoTime::MAX));
        assert_eq!((at(7).since(at(5)), at(5).since(at(7))), (Duration::from_nanos(2), Duration::ZERO));
        assert_eq!(MonoTime::MAX.since(at(0)), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_logical_time_is_milliseconds_and_a_counter() {
        let time = LogicalTime::from_millis(1_700_000_000_000);
        assert_eq!((time.to_bits(), time.as_millis()), (1_700_000_000_000 << 16, 1_700_000_000_000));
        assert_eq!((time.succ().to_bits(), time.succ().as_millis()), (time.to_bits() + 1, time.as_millis()));
        assert_eq!(
            (LogicalTime::MAX.succ(), LogicalTime::MAX.as_millis()),
            (LogicalTime::MAX, LogicalTime::LAST_MILLIS)
        );
        assert_eq!(LogicalTime::from_millis(u64::MAX).to_bits(), LogicalTime::LAST_MILLIS << 16);
    }

    #[test]
    fn a_logical_time_goes_back_and_on_by_full_milliseconds() {
        let time = LogicalTime::from_bits(1_000 << 16 | 9);
        assert_eq!((time + Duration::from_micros(2_999)).to_bits(), 1_002 << 16 | 9);
        assert_eq!(time + Duration::MAX, LogicalTime::MAX);
        assert_eq!((time - Duration::from_micros(2_999)).to_bits(), 998 << 16 | 9);
        assert_eq!(
            (time - Duration::from_secs(2), time - Duration::MAX),
            (LogicalTime::default(), LogicalTime::default())
        );
    }
}
