//! The stamps that an app makes, and what it knows of its hub's time.

use std::mem;

use super::super::clock::{is_beyond, Clock};
use super::super::Now;
use crate::limits::REBASES;
use crate::time::{BootTime, LogicalTime};
use crate::wire::{Instance, Stamp};

/// Stamps values with the time of the hub, as far as it is known.
pub struct Stamper {
    /// Of this app.
    pub instance: Instance,
    clock: Clock,
    /// Whether a v1 hub told the time: until then own values have a stamp for now, and get theirs then.
    has_hub_time: bool,
    /// How often the hub of this link set the clock back.
    rebases: u32,
    /// When hello was said.
    hello_at: BootTime,
}

/// What to do with the time that came with a welcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Welcomed {
    /// Nothing: none came.
    Nothing,
    /// Learn it, as any other.
    Observe(LogicalTime),
    /// Go by it from now on. Own values are stamped by their age: all of them, or those with a later stamp.
    Rebase {
        /// The hub's time.
        time: LogicalTime,
        /// Whether all values are stamped anew.
        all: bool,
    },
}

impl Stamper {
    /// A stamper for the app of this instance, whose clock starts at the wall clock.
    pub fn new(instance: Instance) -> Stamper {
        Stamper { instance, clock: Clock::default(), has_hub_time: false, rebases: 0, hello_at: BootTime::default() }
    }

    /// A stamp that is later than all that is known.
    #[inline]
    pub fn next(&mut self, now: Now) -> Stamp {
        Stamp { clock: self.clock.tick(now), instance: self.instance }
    }

    /// Learns another clock's reading. Whether [`Stamper::ahead_of_wall`] may have something new to say.
    #[inline]
    pub fn observe(&mut self, now: Now, reading: LogicalTime) -> bool {
        self.clock.observe(now, reading)
    }

    /// What the operator should know, if the clock is ahead of the wall clock.
    pub fn ahead_of_wall(&mut self, now: Now) -> Option<String> {
        self.clock.ahead_of_wall(now)
    }

    /// Hello is said now. Returns the time that it tells.
    pub fn say_hello(&mut self, now: Now) -> LogicalTime {
        self.hello_at = now.boot;
        self.clock.read(now)
    }

    /// When hello was last said.
    pub fn hello_at(&self) -> BootTime {
        self.hello_at
    }

    /// The hub's welcome came, with its time.
    pub fn welcomed(&mut self, now: Now, time: Option<LogicalTime>) -> Welcomed {
        let all = !mem::replace(&mut self.has_hub_time, true);
        match time {
            None => Welcomed::Nothing,
            Some(time) if all || is_beyond(self.clock.read(now), time) => Welcomed::Rebase { time, all },
            Some(time) => Welcomed::Observe(time),
        }
    }

    /// The hub finds a stamp too far in the future. Whether its time is to be gone by once more on this link.
    pub fn may_rebase(&mut self) -> bool {
        let may = self.rebases < REBASES;
        self.rebases += u32::from(may);
        may
    }

    /// Goes by the hub's time, even if that is earlier.
    pub fn rebase(&mut self, now: Now, time: LogicalTime) {
        self.clock.rebase(now, time);
    }

    /// The latest stamp that was made by hand.
    pub fn made(&mut self, now: Now, clock: LogicalTime) {
        self.clock.observe(now, clock);
    }

    /// The link is gone.
    pub fn unlink(&mut self) {
        self.rebases = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MonoTime, WallTime};

    const NOW: Now = Now {
        mono: MonoTime::from_nanos(1),
        wall: WallTime::from_millis(1_800_000_000_000),
        boot: BootTime::from_nanos(1),
    };

    #[test]
    fn all_values_get_the_time_of_the_first_welcome_and_later_ones_only_if_the_clock_is_far_ahead() {
        let mut stamper = Stamper::new(Instance([1; 16]));
        let time = LogicalTime::from_millis(NOW.wall.as_millis());
        assert_eq!(stamper.welcomed(NOW, Some(time)), Welcomed::Rebase { time, all: true });
        stamper.rebase(NOW, time);
        assert_eq!(stamper.welcomed(NOW, Some(time.succ())), Welcomed::Observe(time.succ()));
        stamper.observe(NOW, LogicalTime::from_bits(u64::MAX - 1));
        assert_eq!(stamper.welcomed(NOW, Some(time)), Welcomed::Rebase { time, all: false });
        assert_eq!(stamper.welcomed(NOW, None), Welcomed::Nothing);
        // A first welcome without a time is the first all the same.
        let mut stamper = Stamper::new(Instance([1; 16]));
        assert_eq!(stamper.welcomed(NOW, None), Welcomed::Nothing);
        assert!(matches!(stamper.welcomed(NOW, Some(LogicalTime::MAX)), Welcomed::Observe(_)));
    }

    #[test]
    fn a_hub_sets_the_clock_back_three_times_on_a_link() {
        let mut stamper = Stamper::new(Instance([1; 16]));
        assert_eq!([(); 5].map(|()| stamper.may_rebase()), [true, true, true, false, false]);
        stamper.unlink();
        assert!(stamper.may_rebase());
    }

    #[test]
    fn a_stamp_is_later_than_all_that_is_known() {
        let mut stamper = Stamper::new(Instance([1; 16]));
        let first = stamper.next(NOW);
        let later = LogicalTime::from_bits(first.clock.to_bits() + 1000);
        stamper.observe(NOW, later);
        assert!(stamper.next(NOW).clock > later && first.instance == stamper.instance);
    }
}
