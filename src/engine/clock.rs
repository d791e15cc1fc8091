//! The logical clock that orders values.
//!
//! It begins at the wall clock and runs with the boot clock, so that no later step of the wall clock matters. A later
//! reading of another clock raises it; nothing but [`Clock::rebase`] lowers it.

use super::Now;
use crate::time::{BootTime, LogicalTime};

/// A millisecond in nanoseconds.
const MS: u64 = 1_000_000;

/// 2200-01-01 in milliseconds since 1970. A stamp beyond it can be a fault of the clock that made it.
const YEAR_2200: u64 = 7_258_118_400_000;

/// How far a stamp beyond [`YEAR_2200`] may be ahead of a clock, and how far a clock may be ahead of the wall clock
/// before that is logged: in milliseconds.
const AHEAD: u64 = 60_000;

/// Its readings saturate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// None until the clock is first used.
    base: Option<Base>,
    /// The latest reading that was given out or observed.
    last: LogicalTime,
    /// Whether it was told that the clock is ahead of the wall clock.
    told_ahead: bool,
}

/// What is added to the boot clock. It is exact: with a base in full milliseconds, two clocks whose milliseconds begin
/// at different times would raise each other with each message, and run fast.
#[derive(Clone, Copy, Debug)]
struct Base {
    /// Added first, so that a millisecond began when the base was set. Nanoseconds, less than a millisecond.
    nanos: u64,
    /// Added to the full milliseconds.
    millis: i64,
}

impl Base {
    /// With it, the millisecond `millis` begins at `boot`.
    fn at(boot: BootTime, millis: u64) -> Base {
        let boot = boot.as_nanos();
        let nanos = (MS - boot % MS) % MS;
        // Both are far below 2^63: readings have 48 bits of milliseconds, the boot clock 64 bits of nanoseconds.
        Base { nanos, millis: millis as i64 - (boot.saturating_add(nanos) / MS) as i64 }
    }

    fn read(self, boot: BootTime) -> LogicalTime {
        LogicalTime::from_millis((boot.as_nanos().saturating_add(self.nanos) / MS).saturating_add_signed(self.millis))
    }
}

impl Clock {
    /// The time, not before anything that was given out or observed.
    pub fn read(&mut self, now: Now) -> LogicalTime {
        self.running(now).max(self.last)
    }

    /// A reading that is later than every earlier one and than everything observed, unless the clock is at its end.
    pub fn tick(&mut self, now: Now) -> LogicalTime {
        self.last = self.running(now).max(self.last.succ());
        self.last
    }

    /// Learns another clock's reading: what is given out from now on is later, and time goes on from there. Whether
    /// that raised this clock.
    pub fn observe(&mut self, now: Now, reading: LogicalTime) -> bool {
        if reading <= self.last {
            return false;
        }
        self.last = reading;
        let (millis, observed) = (self.running(now).as_millis(), reading.as_millis());
        let raised = observed > millis;
        if raised {
            self.base = Some(Base::at(now.boot, observed));
        }
        raised
    }

    /// The latest reading that was given out or observed.
    pub fn latest(&self) -> LogicalTime {
        self.last
    }

    /// Sets the clock to the reading of another, which may be earlier.
    pub fn rebase(&mut self, now: Now, reading: LogicalTime) {
        self.last = reading;
        self.base = Some(Base::at(now.boot, reading.as_millis()));
    }

    /// Whether a reading is too far in the future to be observed: beyond the year 2200, and more than a minute ahead of
    /// this clock.
    pub fn is_beyond(&mut self, now: Now, reading: LogicalTime) -> bool {
        // Asked for every stamp that comes in.
        reading.as_millis() > YEAR_2200 && is_beyond(reading, self.read(now))
    }

    /// Says once that this clock is more than a minute ahead of the wall clock.
    pub fn ahead_of_wall(&mut self, now: Now) -> Option<String> {
        if self.told_ahead {
            return None;
        }
        let ahead = self.read(now).as_millis().saturating_sub(now.wall.as_millis());
        self.told_ahead = ahead > AHEAD;
        let seconds = ahead / 1000;
        self.told_ahead.then(|| {
            format!("states are stamped {seconds} s ahead of this machine's clock, to follow those of other machines")
        })
    }

    /// The time that the base and the boot clock make.
    fn running(&mut self, now: Now) -> LogicalTime {
        let begin = || Base::at(now.boot, now.wall.as_millis().min(LogicalTime::LAST_MILLIS));
        self.base.get_or_insert_with(begin).read(now.boot)
    }
}

/// Whether a reading is beyond the year 2200, and more than a minute ahead of a clock that reads `time`.
pub fn is_beyond(reading: LogicalTime, time: LogicalTime) -> bool {
    reading.as_millis() > YEAR_2200.max(time.as_millis() + AHEAD)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::time::WallTime;

    const WALL: u64 = 1_800_000_000_000;

    fn at(millis: u64) -> Now {
        Now { boot: BootTime::from_nanos(millis * MS), wall: WallTime::from_millis(WALL), ..Now::default() }
    }

    fn with_wall(millis: u64, now: Now) -> Now {
        Now { wall: WallTime::from_millis(millis), ..now }
    }

    fn time(millis: u64, counter: u64) -> LogicalTime {
        LogicalTime::from_bits(millis << 16 | counter)
    }

    #[test]
    fn it_begins_at_the_wall_clock_and_runs_with_the_boot_clock() {
        let mut clock = Clock::default();
        assert_eq!(clock.tick(at(5_000)), time(WALL, 0));
        assert_eq!(clock.tick(at(5_000)), time(WALL, 1));
        for wall in [0, WALL - 3_600_000, WALL * 2] {
            assert_eq!(clock.tick(with_wall(wall, at(6_000))).as_millis(), WALL + 1_000);
        }
    }

    #[test]
    fn a_later_reading_raises_it_and_time_goes_on_from_there() {
        let mut clock = Clock::default();
        clock.tick(at(0));
        let later = time(WALL + 3_600_000, 7);
        clock.observe(at(0), later);
        assert_eq!(clock.read(at(0)), later);
        assert_eq!(clock.tick(at(0)), later.succ());
        assert_eq!(clock.tick(at(2_500)), time(WALL + 3_602_500, 0));
        clock.observe(at(2_500), time(WALL, 0));
        assert_eq!(clock.tick(at(2_500)), time(WALL + 3_602_500, 1));
    }

    #[test]
    fn clocks_that_hear_of_each_other_all_the_time_run_with_the_boot_clock() {
        let at = |micros: u64| Now { boot: BootTime::from_nanos(micros * 1_000), ..at(0) };
        // In microseconds: how far the boot clock of the second is ahead.
        for phase in [0, 1, 300, 500, 999] {
            let (mut a, mut b) = (Clock::default(), Clock::default());
            for time in (0..10_000_000).step_by(100) {
                let reading = a.tick(at(time));
                b.observe(at(time + 50 + phase), reading);
                let reading = b.tick(at(time + 50 + phase));
                a.observe(at(time + 100), reading);
            }
            for clock in [&mut a, &mut b] {
                let passed = clock.read(at(10_000_000)).as_millis() - WALL;
                assert!((9_999..=10_002).contains(&passed), "{passed} ms in 10 s, {phase} µs apart");
            }
        }
    }

    #[test]
    fn it_saturates_and_a_rebase_brings_it_back() {
        let mut clock = Clock::default();
        clock.observe(at(0), LogicalTime::MAX);
        assert_eq!((clock.tick(at(0)), clock.tick(at(u64::MAX / MS))), (LogicalTime::MAX, LogicalTime::MAX));
        clock.rebase(at(0), time(WALL, 0));
        assert_eq!(clock.tick(at(0)), time(WALL, 1));
        let mut late = Clock::default();
        assert_eq!(late.tick(with_wall(u64::MAX, at(9))).as_millis(), LogicalTime::LAST_MILLIS);
    }

    #[test]
    fn a_reading_is_beyond_only_after_2200_and_a_minute_ahead() {
        let mut clock = Clock::default();
        let minute = 60_000;
        assert!(!clock.is_beyond(at(0), time(YEAR_2200, 0xFFFF)));
        assert!(clock.is_beyond(at(0), time(YEAR_2200 + 1, 0)) && clock.is_beyond(at(0), LogicalTime::MAX));
        clock.observe(at(0), time(YEAR_2200, 0));
        assert!(!clock.is_beyond(at(0), time(YEAR_2200 + minute, 0)));
        assert!(clock.is_beyond(at(0), time(YEAR_2200 + minute + 1, 0)));
        assert!(!clock.is_beyond(at(1), time(YEAR_2200 + minute + 1, 0)), "its time goes on");
        clock.observe(at(0), LogicalTime::MAX);
        assert!(!clock.is_beyond(at(0), LogicalTime::MAX));
    }

    #[test]
    fn it_tells_once_that_it_is_ahead_of_the_wall_clock() {
        let mut clock = Clock::default();
        clock.observe(at(0), time(WALL + 60_000, 0));
        assert_eq!(clock.ahead_of_wall(at(0)), None);
        let text = clock.ahead_of_wall(with_wall(WALL - 3_540_000, at(0)));
        assert!(text.is_some_and(|text| text.contains(" 3600 s ")));
        assert_eq!(clock.ahead_of_wall(with_wall(0, at(0))), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever it observes and whatever the wall clock says: it never goes back, runs with the boot clock, and what
        /// it gives out is later than all before, up to its end.
        #[test]
        fn it_never_goes_back(steps in vec((0u8..3, any::<u64>(), 0u32..64, 0u64..5_000_000_000, any::<u64>()), 1..200)) {
            let mut clock = Clock::default();
            let mut now = at(1_000);
            let (mut latest, mut read) = (LogicalTime::default(), LogicalTime::default());
            for (what, reading, shift, passed, wall) in steps {
                now = with_wall(wall, Now { boot: now.boot + Duration::from_nanos(passed), ..now });
                let before = clock.read(now);
                prop_assert!(before >= read);
                match what {
                    0 => {
                        let tick = clock.tick(now);
                        prop_assert!(tick > latest || tick == LogicalTime::MAX);
                        latest = tick;
                    }
                    1 => {
                        let reading = LogicalTime::from_bits(reading >> shift);
                        clock.observe(now, reading);
                        latest = latest.max(reading);
                    }
                    _ => {}
                }
                read = clock.read(now);
                prop_assert!(read >= before && read >= latest);
                // One second later it is one second later, but for the counters that grew into the milliseconds.
                let mut later = clock;
                let next = later.read(Now { boot: now.boot + Duration::from_secs(1), ..now }).as_millis();
                prop_assert!(next + 200 >= (read.as_millis() + 1_000).min(LogicalTime::LAST_MILLIS));
            }
        }
    }
}
