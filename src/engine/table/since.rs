//! Since when something is so, also if that was before the machine was started.

use std::time::Duration;

use crate::time::MonoTime;

/// A time by the monotonic clock, or before that clock began: what a store remembers may be older than the machine is up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Since(u64);

/// What is added to the nanoseconds of the monotonic clock: 146 years.
const BEFORE: Duration = Duration::from_nanos(1 << 62);

impl Since {
    /// So long before this time.
    pub fn before(mono: MonoTime, age: Duration) -> Since {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        Since((mono + BEFORE).as_nanos().saturating_sub(age))
    }

    /// How long that is ago.
    pub fn age(self, mono: MonoTime) -> Duration {
        (mono + BEFORE).since(MonoTime::from_nanos(self.0))
    }

    /// When it will be so long ago; at the earliest when the clock began.
    pub fn plus(self, time: Duration) -> MonoTime {
        let at = MonoTime::from_nanos(self.0) + time;
        MonoTime::from_nanos(at.as_nanos().saturating_sub(1 << 62))
    }
}

impl From<MonoTime> for Since {
    fn from(mono: MonoTime) -> Since {
        Since::before(mono, Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_may_be_before_the_clock_began() {
        let (second, day) = (MonoTime::from_nanos(1_000_000_000), Duration::from_secs(24 * 3600));
        let since = Since::before(second, day);
        assert!(since < Since::from(MonoTime::default()));
        assert_eq!((since.age(second), since.plus(day)), (day, second));
        assert_eq!(since.plus(Duration::ZERO), MonoTime::default(), "that was before");
        let later = second + Duration::from_secs(5);
        assert_eq!(since.age(later), day + Duration::from_secs(5));
        assert_eq!((Since::from(later).age(second), Since::from(second).plus(day)), (Duration::ZERO, second + day));
        assert_eq!(
            Since::before(second, Duration::MAX).plus(Duration::MAX),
            MonoTime::from_nanos(u64::MAX - (1 << 62))
        );
    }
}
