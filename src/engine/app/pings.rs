//! Pings by which a program measures how far away its hub is.

use std::time::Duration;

use super::super::link::Link;
use super::super::Now;
use super::{Phase, Session, Timer};
use crate::time::MonoTime;
use crate::wire::Control;
use crate::{Error, Result, Status};

/// Set in the tokens of these pings. Those that ask for acknowledgements are versions of a table, which do not get there.
const MARK: u64 = 1 << 63;

/// Pings whose answers are waited for.
#[derive(Default)]
pub struct Pings {
    sent: u64,
    waiting: Vec<Ping>,
    /// When the hub was asked because of its silence, if nothing has come since.
    unanswered: Option<MonoTime>,
    /// The ping that asked it last. No program forgets it.
    of_silence: Option<u64>,
}

struct Ping {
    token: u64,
    sent_at: MonoTime,
    /// Up to which version of the own values the hub was asked before it.
    asked: u64,
    took: Option<Duration>,
}

impl Pings {
    /// The token of a ping that is sent now, behind the question for all values up to `asked`.
    pub fn send(&mut self, now: Now, asked: u64) -> u64 {
        let token = MARK | self.sent;
        self.sent += 1;
        self.waiting.push(Ping { token, sent_at: now.mono, asked, took: None });
        token
    }

    /// As [`Pings::send`], because of the hub's silence. The answer counts for the own values, too, until there is another.
    fn send_for_silence(&mut self, now: Now, asked: u64) -> u64 {
        if let Some(last) = self.of_silence.take() {
            self.forget(last);
        }
        let token = self.send(now, asked);
        (self.of_silence, self.unanswered) = (Some(token), Some(now.mono));
        token
    }

    /// A pong came. `None`: it answers no ping of these. Else the version up to which it answers for the own values, too:
    /// a hub that has no room answers only the newest ping.
    pub fn answered(&mut self, now: Now, token: u64) -> Option<u64> {
        let number = token.checked_sub(MARK)?;
        if number >= self.sent {
            return None;
        }
        let mut asked = 0;
        for ping in self.waiting.iter_mut().filter(|ping| ping.token == token) {
            ping.took = Some(now.mono.since(ping.sent_at));
            asked = ping.asked;
        }
        Some(asked)
    }

    /// How long the answer took, if it has come.
    pub fn took(&self, token: u64) -> Option<Duration> {
        self.waiting.iter().find(|ping| ping.token == token)?.took
    }

    /// Nobody waits for this one any more.
    pub fn forget(&mut self, token: u64) {
        self.waiting.retain(|ping| ping.token != token);
    }
}

impl Session {
    /// Pings the hub. Returns the token of the ping; `None` without a link.
    ///
    /// # Errors
    /// [`Status::Unsupported`]: an old hub answers no pings.
    pub fn ping(&mut self, now: Now) -> Result<Option<u64>> {
        match &self.link {
            Some(link) if matches!(self.phase, Phase::Up) => {
                if link.is_old() {
                    return Err(Error::new(Status::Unsupported, "an old hub does not answer pings"));
                }
            }
            _ => return Ok(None),
        }
        let token = self.hub.pings.send(now, self.hub.acks.asked());
        self.control(&Control::Ping { token });
        Ok(Some(token))
    }

    /// There is a link: the hub is looked at from now on, if it can be gone without a word.
    pub(super) fn watch_over_hub(&mut self, now: Now) {
        let over = |link: &Link| link.may_vanish() && !link.is_old();
        if self.link.as_ref().is_some_and(over) && !self.config.silence.is_zero() {
            self.hub.pings.unanswered = None;
            self.timers.set(Timer::Silence, now.mono + self.config.silence / 2);
        }
    }

    /// It is time to look whether the hub lives. A hub of which nothing comes is asked, and has as long again to answer.
    pub(super) fn look_at_hub(&mut self, now: Now) {
        let Some(link) = &self.link else { return };
        let (heard, half) = (link.last_sign(), self.config.silence / 2);
        let asked = self.hub.pings.unanswered.take().filter(|&at| heard < at && !self.is_paused());
        let due = asked.unwrap_or(heard) + half;
        if self.is_paused() || now.mono < due {
            self.hub.pings.unanswered = asked;
            return self.timers.set(Timer::Silence, due.max(now.mono + half / 2));
        }
        // A program that was held up finds a silence that it made itself.
        let is_late = now.mono.since(due) >= half / 2;
        if asked.is_some() && !is_late {
            let text = format!("nothing was heard of the hub for {} s", now.mono.since(heard).as_secs());
            return self.drop_link(now, Error::new(Status::Timeout, text));
        }
        let token = self.hub.pings.send_for_silence(now, self.hub.acks.asked());
        self.control(&Control::Ping { token });
        self.timers.set(Timer::Silence, now.mono + half);
    }

    /// How long the answer to this ping took, if it has come.
    pub fn pinged(&self, token: u64) -> Option<Duration> {
        self.hub.pings.took(token)
    }

    /// Nobody waits for the answer to this ping any more.
    pub fn forget_ping(&mut self, token: u64) {
        self.hub.pings.forget(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono: u64) -> Now {
        Now { mono: MonoTime::from_nanos(mono), ..Now::default() }
    }

    #[test]
    fn each_ping_has_the_time_of_its_own_answer() {
        let mut pings = Pings::default();
        let (a, b) = (pings.send(at(10), 1), pings.send(at(20), 2));
        assert!(pings.took(a).is_none());
        assert_eq!((pings.answered(at(50), b), pings.answered(at(70), a)), (Some(2), Some(1)));
        assert_eq!(pings.took(a), Some(Duration::from_nanos(60)));
        assert_eq!(pings.took(b), Some(Duration::from_nanos(30)));
        pings.forget(a);
        assert!(pings.took(a).is_none() && pings.took(b).is_some());
    }

    #[test]
    fn the_answer_to_a_question_because_of_silence_counts_for_the_own_values_until_there_is_another() {
        let mut pings = Pings::default();
        let (first, second) = (pings.send_for_silence(at(1), 5), pings.send_for_silence(at(2), 6));
        assert_eq!((pings.answered(at(3), first), pings.answered(at(3), second)), (Some(0), Some(6)));
        assert_eq!((pings.waiting.len(), pings.unanswered), (1, Some(at(2).mono)));
    }

    #[test]
    fn an_answer_to_something_else_is_none_and_a_late_one_acknowledges_nothing() {
        let mut pings = Pings::default();
        let token = pings.send(at(0), 5);
        assert_eq!(pings.answered(at(1), 5), None);
        pings.forget(token);
        assert_eq!(pings.answered(at(1), token), Some(0));
        assert_eq!((pings.answered(at(1), token + 1), pings.answered(at(1), u64::MAX)), (None, None));
    }
}
