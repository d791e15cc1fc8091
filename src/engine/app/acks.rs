//! What the hub has acknowledged of the own values. A value is named by the version that the table had with it.

use crate::limits;
use crate::time::MonoTime;

/// Which own values the hub is known to have dealt with, and which it is to be asked about.
#[derive(Default)]
pub struct Acks {
    /// Up to which version the program waits.
    wanted: u64,
    /// Up to which version the hub of this link was asked.
    asked: u64,
    /// Up to which version the hub has dealt with everything.
    acked: u64,
    /// When something was last written.
    wrote_at: MonoTime,
}

impl Acks {
    /// The program waits for the values up to `version`. Whether they are acknowledged already.
    pub fn request(&mut self, version: u64) -> bool {
        self.wanted = self.wanted.max(version);
        self.has(version)
    }

    /// Whether the hub has dealt with all values up to `version`.
    pub fn has(&self, version: u64) -> bool {
        self.acked >= version
    }

    /// Whether the program waits for the values up to `version`, and the hub has not acknowledged them.
    pub fn are_waited_for_by(&self, version: u64) -> bool {
        version <= self.wanted && !self.has(version)
    }

    /// Whether the program waits for something that the hub has not acknowledged.
    pub fn are_waited_for(&self) -> bool {
        self.wanted > self.acked
    }

    /// Up to which version the hub of this link was asked.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Whether the hub has to be asked once more, behind what is written next.
    pub fn is_to_be_asked(&self) -> bool {
        self.wanted > self.asked
    }

    /// Everything up to `through` is written, or waits to be. Whether the hub is to be asked about it now.
    pub fn ask(&mut self, through: u64) -> bool {
        let asks = self.is_to_be_asked() && through > self.asked;
        if asks {
            self.asked = through;
        }
        asks
    }

    /// The hub has answered for what it got up to `asked`; the newest version is `version`, and values up to `restamped`
    /// were stamped anew. Whether the program waits for one of these, so that the hub is to be asked again.
    pub fn answered(&mut self, asked: u64, version: u64, restamped: u64) -> bool {
        if asked >= restamped {
            self.acked = self.acked.max(asked.min(version));
            return false;
        }
        let again = self.are_waited_for();
        if again {
            // What the hub answers for has got another stamp since, and is on its way to it.
            self.wanted = self.wanted.max(restamped);
        }
        again
    }

    /// An old hub, which does not answer, was sent everything up to `version`.
    pub fn written_to_old(&mut self, version: u64) {
        self.acked = version;
    }

    /// Something was written.
    pub fn wrote(&mut self, mono: MonoTime) {
        self.wrote_at = mono;
    }

    /// Until when an old hub may need to hand on what was written.
    pub fn settles_until(&self) -> MonoTime {
        self.wrote_at + limits::OLD_HUB_SETTLES
    }

    /// The link is gone: what was asked on it is not answered any more.
    pub fn unlink(&mut self) {
        self.asked = self.acked;
    }

    /// What one hub has acknowledged another need not have.
    pub fn forget(&mut self) {
        self.acked = 0;
        self.asked = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_is_asked_once_for_what_is_waited_for_and_again_on_another_link() {
        let mut acks = Acks::default();
        assert!(!acks.ask(3), "nobody waits");
        assert!(!acks.request(3) && acks.is_to_be_asked() && acks.are_waited_for());
        // The feed is not that far yet.
        assert!(!acks.ask(0) && acks.ask(2) && !acks.ask(2) && acks.ask(4) && !acks.ask(5));
        acks.unlink();
        assert!(acks.ask(5));
        assert!(!acks.answered(5, 9, 0) && acks.has(5) && !acks.has(6) && !acks.are_waited_for());
        // A hub cannot have more than there is.
        acks.answered(u64::MAX, 9, 0);
        assert!(acks.has(9) && !acks.has(10));
        acks.forget();
        assert!(!acks.has(1));
    }

    #[test]
    fn an_answer_for_what_was_stamped_anew_since_does_not_count() {
        let mut acks = Acks::default();
        acks.request(3);
        acks.ask(3);
        assert!(acks.answered(3, 5, 5), "to be asked again");
        assert!(acks.is_to_be_asked() && acks.ask(5) && !acks.has(3));
        assert!(!acks.answered(5, 5, 5) && acks.has(5));
        // Nobody waits: nothing is to be asked.
        assert!(!acks.answered(6, 8, 7) && !acks.has(6));
    }
}
