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
/// A look-up reads the connection only if the thread has been away for at least this long.
const FRESH: Duration = Duration::from_millis(1);

/// When a thread last stopped reading. Expecting it back costs the loop one wake the first time, and then
/// one for each [`LONGEST`].
#[derive(Default)]
pub struct Absence {
    began: Option<MonoTime>,
    /// When the loop looks whether it has lasted too long.
    alarm: Option<MonoTime>,
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
        match self.alarm {
            Some(_) => Expected::Still,
            None if is_soon => {
                self.alarm = Some(now + LONGEST);
                Expected::Newly
            }
            None => Expected::No,
        }
    }

    /// Whether a thread that is away has been so for long enough to be noticed.
    pub fn is_noticeable(&self, now: MonoTime) -> bool {
        self.began.is_none_or(|began| now.since(began) >= FRESH)
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
    fn a_millisecond_is_noticed_and_less_is_not() {
        let mut absence = Absence::default();
        absence.begin(at(1000));
        assert!(!absence.is_noticeable(at(1000)) && absence.is_noticeable(at(1001)));
    }
}
