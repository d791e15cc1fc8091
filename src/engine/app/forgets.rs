//! What the app has asked the hub to withdraw of senders that have departed.

use super::{Phase, Session};
use crate::wire::{Control, Features};
use crate::{Error, Result, Status};

/// Requests whose answers are waited for.
#[derive(Default)]
pub struct Forgets {
    sent: u64,
    waiting: Vec<(u64, Option<Result<()>>)>,
}

impl Forgets {
    /// The token of a request that is sent now.
    pub fn send(&mut self) -> u64 {
        self.sent += 1;
        self.waiting.push((self.sent, None));
        self.sent
    }

    /// An answer came.
    pub fn answered(&mut self, token: u64, outcome: &Result<()>) {
        for (_, answer) in self.waiting.iter_mut().filter(|(sent, answer)| *sent == token && answer.is_none()) {
            *answer = Some(outcome.clone());
        }
    }

    /// The link is gone: what was not answered never is.
    pub fn unlink(&mut self) {
        let text = "the link was lost before the hub answered: it may have withdrawn the value, or not";
        let lost = Err(Error::new(Status::Io, text));
        self.waiting.iter_mut().for_each(|(_, answer)| _ = answer.get_or_insert_with(|| lost.clone()));
    }

    /// What came of a request, once that is known.
    pub fn outcome(&self, token: u64) -> Option<Result<()>> {
        self.waiting.iter().find(|(sent, _)| *sent == token)?.1.clone()
    }

    /// Nobody waits for this one any more.
    pub fn drop(&mut self, token: u64) {
        self.waiting.retain(|(sent, _)| *sent != token);
    }
}

impl Session {
    /// Asks the hub to withdraw the value of a sender that has departed. Returns a token; `None` without a link.
    ///
    /// # Errors
    /// [`Status::Unsupported`]: the hub does not know of this.
    pub fn forget(&mut self, sender: &str, name: &str) -> Result<Option<u64>> {
        if !matches!(self.phase, Phase::Up) {
            return Ok(None);
        }
        if !self.hub.features.contains(Features::FORGET) {
            return Err(Error::new(Status::Unsupported, "the hub does not withdraw values of other senders"));
        }
        let token = self.hub.forgets.send();
        self.control(&Control::Forget { token, sender, name });
        Ok(Some(token))
    }

    /// What came of this request, once that is known.
    pub fn forgot(&self, token: u64) -> Option<Result<()>> {
        self.hub.forgets.outcome(token)
    }

    /// Nobody waits for the answer to this request any more.
    pub fn drop_forget(&mut self, token: u64) {
        self.hub.forgets.drop(token);
    }

    /// `$ns/forgotten`.
    pub(super) fn heard_forgotten(&mut self, token: u64, status: i32, text: &str) {
        let outcome = match Status::from_code(status) {
            Some(Status::Ok) => Ok(()),
            // A time-out, or an end of the handle, means something else to the call that returns it.
            Some(status) if !matches!(status, Status::Timeout | Status::Closed | Status::Interrupted) => {
                Err(Error::new(status, if text.is_empty() { status.text() } else { text }))
            }
            _ => Err(Error::new(Status::Refused, format!("the hub answers with {status}: {text}"))),
        };
        self.hub.forgets.answered(token, &outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_own_answer_and_none_after_its_link() {
        let mut forgets = Forgets::default();
        let [a, b, c] = [forgets.send(), forgets.send(), forgets.send()];
        forgets.answered(b, &Ok(()));
        forgets.answered(b, &Err(Status::NotFound.into()));
        forgets.answered(77, &Ok(()));
        assert_eq!((forgets.outcome(a), forgets.outcome(b)), (None, Some(Ok(()))));
        forgets.unlink();
        assert_eq!(forgets.outcome(b), Some(Ok(())));
        let lost = forgets.outcome(a).expect("it is known").unwrap_err();
        assert_eq!(lost.status(), Status::Io);
        forgets.drop(c);
        forgets.answered(a, &Ok(()));
        assert_eq!((forgets.outcome(c), forgets.outcome(a)), (None, Some(Err(lost))));
    }
}
