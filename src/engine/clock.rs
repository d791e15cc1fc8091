//! The logical clock that orders values.
//!
//! It begins at the wall clock and runs with the boot clock, so that no later step of the wall clock matters. A later
//! reading of another clock raises it; nothing but [`Clock::rebase`] lowers it.

use super::{Now, MS};

/// 2200-01-01 in milliseconds since 1970. A stamp beyond it can be a fault of the clock that made it.
const YEAR_2200: u64 = 7_258_118_400_000;

/// How far a stamp beyond [`YEAR_2200`] may be ahead of a clock, and how far a clock may be ahead of the wall clock
/// before that is logged: in milliseconds.
const AHEAD: u64 = 60_000;

/// The last millisecond that a reading has room for.
const LAST_MILLIS: u64 = u64::MAX >> 16;

/// A reading has milliseconds since 1970 in the upper 48 bits and a counter in the lower 16. It saturates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// None until the clock is first used.
    base: Option<Base>,
    /// The latest reading that was given out or observed.
    last: u64,
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
    fn at(boot: u64, millis: u64) -> Base {
        let nanos = (MS - boot % MS) % MS;
        // Both are far below 2^63: readings have 48 bits of milliseconds, the boot clock 64 bits of nanoseconds.
        Base { nanos, millis: millis as i64 - (boot.saturating_add(nanos) / MS) as i64 }
    }

    fn millis(self, boot: u64) -> u64 {
        (boot.saturating_add(self.nanos) / MS).saturating_add_signed(self.millis).min(LAST_MILLIS)
    }
}

impl Clock {
    /// The time, not before anything that was given out or observed.
    pub fn read(&mut self, now: Now) -> u64 {
        (self.millis(now) << 16).max(self.last)
    }

    /// A reading that is later than every earlier one and than everything observed, unless the clock is at its end.
    pub fn tick(&mut self, now: Now) -> u64 {
        self.last = (self.millis(now) << 16).max(self.last.saturating_add(1));
        self.last
    }

    /// Learns another clock's reading: what is given out from now on is later, and time goes on from there. Whether
    /// that raised this clock.
    pub fn observe(&mut self, now: Now, reading: u64) -> bool {
        if reading <= self.last {
            return false;
        }
        self.last = reading;
        let (millis, observed) = (self.millis(now), reading >> 16);
        let raised = observed > millis;
        if raised {
            self.base = Some(Base::at(now.boot, observed));
        }
        raised
    }

    /// Sets the clock to the reading of another, which may be earlier.
    pub fn rebase(&mut self, now: Now, reading: u64) {
        self.last = reading;
        self.base = Some(Base::at(now.boot, reading >> 16));
    }

    /// Whether a reading is too far in the future to be observed: beyond the year 2200, and more than a minute ahead of
    /// this clock.
    pub fn is_beyond(&mut self, now: Now, reading: u64) -> bool {
        // Asked for every stamp that comes in.
        reading >> 16 > YEAR_2200 && is_beyond(reading, self.read(now))
    }

    /// Says once that this clock is more than a minute ahead of the wall clock.
    pub fn ahead_of_wall(&mut self, now: Now) -> Option<String> {
        if self.told_ahead {
            return None;
        }
        let ahead = (self.read(now) >> 16).saturating_sub(now.wall);
        self.told_ahead = ahead > AHEAD;
        let seconds = ahead / 1000;
        self.told_ahead.then(|| format!("states are stamped {seconds} s ahead of this machine's clock, as others' are"))
    }

    fn millis(&mut self, now: Now) -> u64 {
        self.base.get_or_insert_with(|| Base::at(now.boot, now.wall.min(LAST_MILLIS))).millis(now.boot)
    }
}

/// Whether a reading is beyond the year 2200, and more than a minute ahead of a clock that reads `time`.
pub fn is_beyond(reading: u64, time: u64) -> bool {
    reading >> 16 > YEAR_2200.max((time >> 16) + AHEAD)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const WALL: u64 = 1_800_000_000_000;

    fn at(millis: u64) -> Now {
        Now { mono: 0, wall: WALL, boot: millis * MS }
    }

    #[test]
    fn it_begins_at_the_wall_clock_and_runs_with_the_boot_clock() {
        let mut clock = Clock::default();
        assert_eq!(clock.tick(at(5_000)), WALL << 16);
        assert_eq!(clock.tick(at(5_000)), WALL << 16 | 1);
        for wall in [0, WALL - 3_600_000, WALL * 2] {
            assert_eq!(clock.tick(Now { wall, ..at(6_000) }) >> 16, WALL + 1_000);
        }
    }

    #[test]
    fn a_later_reading_raises_it_and_time_goes_on_from_there() {
        let mut clock = Clock::default();
        clock.tick(at(0));
        let later = (WALL + 3_600_000) << 16 | 7;
        clock.observe(at(0), later);
        assert_eq!(clock.read(at(0)), later);
        assert_eq!(clock.tick(at(0)), later + 1);
        assert_eq!(clock.tick(at(2_500)), (WALL + 3_602_500) << 16);
        clock.observe(at(2_500), WALL << 16);
        assert_eq!(clock.tick(at(2_500)), (WALL + 3_602_500) << 16 | 1);
    }

    #[test]
    fn clocks_that_hear_of_each_other_all_the_time_run_with_the_boot_clock() {
        let at = |micros: u64| Now { mono: 0, wall: WALL, boot: micros * 1_000 };
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
                let passed = (clock.read(at(10_000_000)) >> 16) - WALL;
                assert!((9_999..=10_002).contains(&passed), "{passed} ms in 10 s, {phase} µs apart");
            }
        }
    }

    #[test]
    fn it_saturates_and_a_rebase_brings_it_back() {
        let mut clock = Clock::default();
        clock.observe(at(0), u64::MAX);
        assert_eq!((clock.tick(at(0)), clock.tick(at(u64::MAX / MS))), (u64::MAX, u64::MAX));
        clock.rebase(at(0), WALL << 16);
        assert_eq!(clock.tick(at(0)), WALL << 16 | 1);
        let mut late = Clock::default();
        assert_eq!(late.tick(Now { wall: u64::MAX, ..at(9) }) >> 16, LAST_MILLIS);
    }

    #[test]
    fn a_reading_is_beyond_only_after_2200_and_a_minute_ahead() {
        let mut clock = Clock::default();
        let minute = 60_000;
        assert!(!clock.is_beyond(at(0), YEAR_2200 << 16 | 0xFFFF));
        assert!(clock.is_beyond(at(0), (YEAR_2200 + 1) << 16) && clock.is_beyond(at(0), u64::MAX));
        clock.observe(at(0), YEAR_2200 << 16);
        assert!(!clock.is_beyond(at(0), (YEAR_2200 + minute) << 16));
        assert!(clock.is_beyond(at(0), (YEAR_2200 + minute + 1) << 16));
        assert!(!clock.is_beyond(at(1), (YEAR_2200 + minute + 1) << 16), "its time goes on");
        clock.observe(at(0), u64::MAX);
        assert!(!clock.is_beyond(at(0), u64::MAX));
    }

    #[test]
    fn it_tells_once_that_it_is_ahead_of_the_wall_clock() {
        let mut clock = Clock::default();
        clock.observe(at(0), (WALL + 60_000) << 16);
        assert_eq!(clock.ahead_of_wall(at(0)), None);
        let text = clock.ahead_of_wall(Now { wall: WALL - 3_540_000, ..at(0) });
        assert!(text.is_some_and(|text| text.contains(" 3600 s ")));
        assert_eq!(clock.ahead_of_wall(Now { wall: 0, ..at(0) }), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever it observes and whatever the wall clock says: it never goes back, runs with the boot clock, and what
        /// it gives out is later than all before, up to its end.
        #[test]
        fn it_never_goes_back(steps in vec((0u8..3, any::<u64>(), 0u32..64, 0u64..5_000 * MS, any::<u64>()), 1..200)) {
            let mut clock = Clock::default();
            let mut now = at(1_000);
            let (mut latest, mut read) = (0, 0);
            for (what, reading, shift, passed, wall) in steps {
                now = Now { wall, boot: now.boot + passed, ..now };
                let before = clock.read(now);
                prop_assert!(before >= read);
                match what {
                    0 => {
                        let tick = clock.tick(now);
                        prop_assert!(tick > latest || tick == u64::MAX);
                        latest = tick;
                    }
                    1 => {
                        clock.observe(now, reading >> shift);
                        latest = latest.max(reading >> shift);
                    }
                    _ => {}
                }
                read = clock.read(now);
                prop_assert!(read >= before && read >= latest);
                // One second later it is one second later, but for the counters that grew into the milliseconds.
                let mut later = clock;
                let next = later.read(Now { boot: now.boot + 1_000 * MS, ..now }) >> 16;
                prop_assert!(next + 200 >= ((read >> 16) + 1_000).min(LAST_MILLIS));
            }
        }
    }
}
