//! Whether a peer lives: what was heard of it, and when it is asked.

use std::time::Duration;

use super::super::Now;
use crate::limits;
use crate::time::MonoTime;

/// How long a peer over a network may be silent. Zero: for any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Silence {
    /// Then it counts as suspect.
    pub suspect: Duration,
    /// Then it counts as lost, and its connection is closed.
    pub lost: Duration,
}

impl Default for Silence {
    fn default() -> Silence {
        Silence { suspect: limits::SUSPECT, lost: limits::LOST }
    }
}

impl Silence {
    /// No app is asked, or lost for its silence.
    pub const ANY: Silence = Silence { suspect: Duration::ZERO, lost: Duration::ZERO };

    /// After how much silence a peer is asked. `None`: never.
    fn asked_after(self) -> Option<Duration> {
        let shorter = [self.suspect, self.lost].into_iter().filter(|time| !time.is_zero()).min()?;
        Some(shorter / 2)
    }
}

/// A hub that looks at a peer so much later than it meant to was held up itself: what the peer sent may be unread.
const HELD_UP: Duration = Duration::from_secs(1);

/// What is known of whether a peer lives. Its signs of life are known to its link.
#[derive(Default)]
pub struct Life {
    /// When it was first asked for its identity since it last sent bytes.
    probed: Option<MonoTime>,
    /// When it was asked because of its silence, if nothing has come since.
    asked: Option<MonoTime>,
    /// When it is looked at next.
    due: MonoTime,
    /// Whether it counts as suspect.
    pub is_suspect: bool,
    /// Whether it counts as lost.
    pub is_lost: bool,
    /// Whether it has said goodbye.
    pub said_bye: bool,
}

/// What a look at a peer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// Nothing new.
    Same,
    /// It is to be asked.
    Ask,
    /// It counts as suspect from now on.
    Suspect,
    /// It counts as lost.
    Lost,
}

impl Life {
    /// Notes that it is asked for its identity. The time counts from the first such question since it last sent bytes.
    pub fn probe(&mut self, now: Now, heard: MonoTime) {
        if self.probed.is_none_or(|at| heard > at) {
            self.probed = Some(now.mono);
        }
    }

    /// Whether it has left a question for its identity unanswered for so long that it counts as lost.
    pub fn has_left_probe_unanswered(&self, now: Now, heard: MonoTime) -> bool {
        self.probed.is_some_and(|at| heard <= at && now.mono >= at + limits::LOST)
    }

    /// When it is looked at first. `None`: never.
    pub fn first_look(&mut self, now: Now, silence: Silence) -> Option<MonoTime> {
        self.due = now.mono + silence.asked_after()?;
        Some(self.due)
    }

    /// It is time to look at it, whose last sign of life is known, and which is read or not. What that says, and when to look
    /// next.
    pub fn look(&mut self, now: Now, last: MonoTime, is_read: bool, silence: Silence) -> (Sign, MonoTime) {
        let Some(patience) = silence.asked_after() else { return (Sign::Same, now.mono + limits::SUSPECT) };
        let was_held_up = now.mono.since(self.due) >= HELD_UP || !is_read;
        self.asked = self.asked.filter(|&at| last < at && !was_held_up);
        let sign = match self.asked {
            None if now.mono.since(last) < patience || !is_read => Sign::Same,
            None => {
                self.asked = Some(now.mono);
                Sign::Ask
            }
            // It had as long for the answer as there was between the question and this limit, when asked in time.
            Some(at) => match (silence.suspect, silence.lost) {
                (_, lost) if !lost.is_zero() && is_over(now, last, at, lost, patience) => Sign::Lost,
                (suspect, _) if !suspect.is_zero() && is_over(now, last, at, suspect, patience) && !self.is_suspect => {
                    Sign::Suspect
                }
                _ => Sign::Same,
            },
        };
        self.is_suspect |= sign == Sign::Suspect;
        self.is_lost |= sign == Sign::Lost;
        self.due = match self.asked {
            None => (last + patience).max(now.mono + patience / 2),
            Some(at) => {
                let of = |limit: Duration| (last + limit).max(at + (limit - patience));
                let limits = [silence.suspect, silence.lost].into_iter().filter(|limit| !limit.is_zero()).map(of);
                limits.filter(|&limit| limit > now.mono).min().unwrap_or(now.mono + patience)
            }
        };
        (sign, self.due)
    }

    /// Bytes have come. Whether it counted as suspect before.
    #[inline]
    pub fn heard(&mut self) -> bool {
        std::mem::take(&mut self.is_suspect)
    }
}

/// Whether a limit is over for a peer of which nothing is known since `last`, and that was asked at `asked`.
fn is_over(now: Now, last: MonoTime, asked: MonoTime, limit: Duration, patience: Duration) -> bool {
    now.mono >= (last + limit).max(asked + (limit - patience))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Silence = Silence { suspect: Duration::from_secs(5), lost: Duration::from_secs(20) };

    fn at(millis: u64) -> Now {
        Now { mono: MonoTime::from_nanos(millis * 1_000_000), ..Now::default() }
    }

    /// Looks whenever it is time until something has happened `count` times: what, and when in milliseconds.
    fn looks(life: &mut Life, heard: u64, silence: Silence, count: usize) -> Vec<(Sign, u64)> {
        let mut due = life.first_look(at(heard), silence).expect("a limit");
        let mut said = Vec::new();
        while said.len() < count {
            let now = Now { mono: due, ..Now::default() };
            let (sign, next) = life.look(now, at(heard).mono, true, silence);
            assert!(next > due, "it comes to an end");
            if sign != Sign::Same {
                said.push((sign, due.as_nanos() / 1_000_000));
            }
            due = next;
        }
        said
    }

    #[test]
    fn a_silent_peer_is_asked_then_suspect_then_lost() {
        let said = looks(&mut Life::default(), 1000, SILENCE, 3);
        assert_eq!(said, [(Sign::Ask, 3500), (Sign::Suspect, 6000), (Sign::Lost, 21_000)]);
        let only_lost = Silence { suspect: Duration::ZERO, ..SILENCE };
        assert_eq!(looks(&mut Life::default(), 0, only_lost, 2), [(Sign::Ask, 10_000), (Sign::Lost, 20_000)]);
        let only_suspect = Silence { lost: Duration::ZERO, ..SILENCE };
        let said = looks(&mut Life::default(), 0, only_suspect, 2);
        assert_eq!(said, [(Sign::Ask, 2500), (Sign::Suspect, 5000)]);
        assert_eq!(Life::default().first_look(at(0), Silence::ANY), None);
    }

    #[test]
    fn one_that_answers_is_not_suspect_any_more_and_is_asked_again_when_it_is_silent_again() {
        let mut life = Life::default();
        looks(&mut life, 0, SILENCE, 2);
        assert!(life.heard(), "it was suspect");
        assert!(!life.heard(), "and is not any more");
        assert_eq!(looks(&mut life, 7000, SILENCE, 2), [(Sign::Ask, 9500), (Sign::Suspect, 12_000)]);
    }

    #[test]
    fn a_hub_that_was_held_up_or_does_not_read_asks_first() {
        let mut life = Life::default();
        life.first_look(at(0), SILENCE);
        assert_eq!(life.look(at(2500), at(0).mono, true, SILENCE).0, Sign::Ask);
        assert_eq!(life.look(at(60_000), at(0).mono, true, SILENCE), (Sign::Ask, at(62_500).mono));
        assert_eq!(life.look(at(62_500), at(0).mono, false, SILENCE).0, Sign::Same, "it is not read");
        let mut due = life.due;
        for _ in 0..10 {
            let (sign, next) = life.look(Now { mono: due, ..Now::default() }, at(0).mono, false, SILENCE);
            assert!(sign == Sign::Same && next > due);
            due = next;
        }
        assert_eq!(life.look(Now { mono: due, ..Now::default() }, at(0).mono, true, SILENCE).0, Sign::Ask);
    }

    #[test]
    fn what_was_asked_for_an_identity_counts_from_the_first_time_since_it_was_heard() {
        let mut life = Life::default();
        assert!(!life.has_left_probe_unanswered(at(90_000), at(0).mono));
        life.probe(at(1000), at(0).mono);
        life.probe(at(15_000), at(0).mono);
        assert!(!life.has_left_probe_unanswered(at(20_999), at(0).mono));
        assert!(life.has_left_probe_unanswered(at(21_000), at(0).mono));
        assert!(!life.has_left_probe_unanswered(at(21_000), at(2000).mono));
        life.probe(at(22_000), at(2000).mono);
        assert!(!life.has_left_probe_unanswered(at(41_000), at(2000).mono));
    }
}
