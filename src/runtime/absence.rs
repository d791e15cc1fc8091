//! How long the loop leaves a connection alone whose thread has stopped reading it, since that thread is expected back.
//!
//! A program that receives and answers in turn comes back within microseconds. If the loop watched its connection
//! meanwhile, each message would cost two more system calls, and often wake the loop for nothing.

use std::time::Duration;

use crate::time::MonoTime;

/// A thread that stops reading twice within this time is expected back, from then on until it stays away for [`LONGEST`].
const SOON: Duration = Duration::from_millis(10);
/// After so long it is not expected any more.
const LONGEST: Duration = Duration::from_millis(50);
/// A look-up reads the connection only if nobody has for at least this long.
const FRESH: Duration = Duration::from_millis(1);
/// A call that asks [again](Again) for so long after a read does not read.
const JUST: Duration = Duration::from_micros(50);

/// When a thread last stopped reading. Expecting it back costs the loop one wake the first time, and then
/// one for each [`LONGEST`].
#[derive(Default)]
pub struct Absence {
    began: Option<MonoTime>,
    /// The last read, also of a look-up.
    read: Option<MonoTime>,
    /// The present read is that of a thread that would otherwise be away.
    comes: bool,
    /// When the loop looks whether it has lasted too long.
    alarm: Option<MonoTime>,
    again: Again,
}

/// Whether a program that has taken what was read asks again for the sole purpose of learning that this was all. Such a
/// call need not read. Most programs ask until there is nothing; others take one state, and wait again.
#[derive(Default)]
struct Again {
    /// The last read brought something, and all that there was.
    all_read: bool,
    /// The present read follows such a one.
    is_second: bool,
    /// Such a one found nothing when it was last tried.
    finds_nothing: bool,
    /// How often it was not tried.
    skipped: u8,
}

impl Again {
    /// Each so many times it is tried whether the habit is still the same.
    const TRIED: u8 = 64;

    fn has_read(&mut self, bytes: usize, more: bool) {
        if std::mem::take(&mut self.is_second) {
            self.finds_nothing = bytes == 0;
        }
        self.all_read = bytes > 0 && !more;
    }

    fn skips(&mut self) -> bool {
        self.is_second = std::mem::take(&mut self.all_read);
        if self.is_second && self.finds_nothing {
            self.skipped = (self.skipped + 1) % Again::TRIED;
            self.is_second = self.skipped == 0;
            return !self.is_second;
        }
        false
    }
}

/// What follows when a thread stops reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// It is not expected back: the loop reads.
    No,
    /// It is. The loop is to be woken, to see to the [alarm](Absence::alarm).
    Newly,
    /// It is, and the loop knows.
    Still,
}

impl Absence {
    /// A thread stops reading.
    pub fn begin(&mut self, now: MonoTime) -> Expected {
        let is_soon = self.began.replace(now).is_some_and(|before| now.since(before) <= SOON);
        self.read = Some(now);
        match self.alarm {
            Some(_) => Expected::Still,
            None if is_soon => {
                self.alarm = Some(now + LONGEST);
                Expected::Newly
            }
            None => Expected::No,
        }
    }

    /// Whether a call without time to wait is to read while a thread is away. `receives`: it takes what has come, as that
    /// thread does. Otherwise it is a look-up.
    pub fn reads(&mut self, receives: bool, now: impl FnOnce() -> MonoTime) -> bool {
        let least = match receives {
            true if !self.again.skips() => Duration::ZERO,
            true => JUST,
            false => FRESH,
        };
        let reads = least.is_zero() || self.read.is_none_or(|read| now().since(read) >= least);
        self.comes = receives && reads;
        reads
    }

    /// A thread has read so many bytes. `more`: there may be more.
    pub fn has_read(&mut self, now: MonoTime, bytes: usize, more: bool) {
        self.again.has_read(bytes, more);
        self.read = Some(now);
        if std::mem::take(&mut self.comes) {
            // And is away again.
            self.began = Some(now);
        }
    }

    /// When [`Absence::is_over`] is to be asked.
    pub fn alarm(&self) -> Option<MonoTime> {
        self.alarm
    }

    /// Whether no thread is expected back any more, after the alarm.
    pub fn is_over(&mut self, now: MonoTime) -> bool {
        if self.alarm.is_none_or(|at| at > now) {
            return false;
        }
        self.alarm = self.began.map(|began| began + LONGEST).filter(|&end| end > now);
        self.alarm.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_thread_is_expected_back_once_it_has_come_back_soon_and_until_it_stays_away() {
        let mut absence = Absence::default();
        assert_eq!((absence.begin(at(1000)), absence.alarm()), (Expected::No, None));
        assert_eq!((absence.begin(at(1011)), absence.alarm()), (Expected::No, None));
        assert_eq!((absence.begin(at(1021)), absence.alarm()), (Expected::Newly, Some(at(1071))));
        assert_eq!(absence.begin(at(1060)), Expected::Still);
        assert!(!absence.is_over(at(1070)) && !absence.is_over(at(1071)));
        assert_eq!(absence.alarm(), Some(at(1110)));
        assert!(absence.is_over(at(1110)) && absence.alarm().is_none());
        assert!(!absence.is_over(at(2000)), "it is over once");
        assert_eq!(absence.begin(at(2000)), Expected::No);
    }

    #[test]
    fn a_thread_that_reads_without_waiting_is_expected_from_then_on_and_a_look_up_changes_nothing() {
        let mut absence = Absence::default();
        absence.begin(at(1000));
        absence.begin(at(1001));
        assert!(absence.reads(true, || at(1040)));
        absence.has_read(at(1040), 64, false);
        assert!(!absence.is_over(at(1051)) && absence.alarm() == Some(at(1090)));
        assert!(absence.reads(false, || at(1060)));
        absence.has_read(at(1060), 64, false);
        assert!(absence.is_over(at(1090)));
    }

    #[test]
    fn a_look_up_reads_what_may_be_a_millisecond_old() {
        let mut absence = Absence::default();
        absence.begin(at(1000));
        assert!(!absence.reads(false, || at(1000)) && absence.reads(false, || at(1001)));
        absence.has_read(at(1001), 64, false);
        assert!(!absence.reads(false, || at(1001)) && absence.reads(false, || at(1002)));
    }

    /// How many of so many calls that follow a read of everything skip theirs, which would bring so many bytes.
    fn skipped(absence: &mut Absence, calls: usize, bytes: usize) -> usize {
        let mut skips = || {
            absence.has_read(at(0), 64, false);
            let reads = absence.reads(true, || at(0));
            if reads {
                absence.has_read(at(0), bytes, false);
            }
            !reads
        };
        (0..calls).filter(|_| skips()).count()
    }

    #[test]
    fn a_program_that_asks_until_there_is_nothing_skips_the_last_read_and_one_that_finds_something_reads_always() {
        let mut absence = Absence::default();
        assert_eq!(skipped(&mut absence, 1 + 63, 0), 63, "the first shows what it is like");
        assert_eq!(skipped(&mut absence, 1 + 63, 0), 63, "it is tried now and then");
        assert_eq!(skipped(&mut absence, 1 + 10, 0), 10);
        assert_eq!(skipped(&mut absence, 1000, 64), 53, "until one that is tried finds something");
        assert_eq!(skipped(&mut absence, 2, 0), 1, "until it finds nothing");
        absence.has_read(at(0), 0, false);
        assert!(absence.reads(true, || at(0)), "the last read brought nothing");
        absence.has_read(at(0), 64, true);
        assert!(absence.reads(true, || at(0)), "there may be more");
        absence.has_read(at(0), 64, false);
        assert!(absence.reads(true, || at(1)), "that was a while ago");
    }
}
