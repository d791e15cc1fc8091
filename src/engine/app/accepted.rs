//! Which states a program takes.

use super::subscribed::Subscribed;
use crate::wire;

/// The kinds and names that a program takes, and whether it hears of other kinds.
pub struct Accepted {
    mask: u32,
    /// The kinds that the hub was told last.
    told: u32,
    tells_rejects: bool,
    /// Of which names.
    pub names: Subscribed,
}

impl Accepted {
    /// Every kind.
    pub fn all() -> Accepted {
        Accepted { mask: wire::ACCEPT_ANY, told: wire::ACCEPT_ANY, tells_rejects: false, names: Subscribed::default() }
    }

    /// Takes only these kinds from now on. Returns whether the hub has to learn of it.
    pub fn set(&mut self, mask: u32) -> bool {
        let (before, wider) = (self.for_hub(), mask & !self.mask != 0);
        self.mask = mask;
        // Said again although it is the same for the hub, it brings what was rejected here.
        wider || self.for_hub() != before
    }

    /// Sets whether states of other kinds are reported to the program. Returns whether the hub has to learn of it.
    pub fn set_tells_rejects(&mut self, tells: bool) -> bool {
        let before = self.for_hub();
        self.tells_rejects = tells;
        self.for_hub() != before
    }

    /// Whether the program hears of states of other kinds.
    pub fn tells_rejects(&self) -> bool {
        self.tells_rejects
    }

    /// Whether a kind with this bit is taken.
    pub fn takes(&self, bit: u32) -> bool {
        bit & self.mask != 0
    }

    /// The kinds that the hub is told now.
    pub fn tell(&mut self) -> u32 {
        self.told = self.for_hub();
        self.told
    }

    /// Whether the hub was told other kinds than those that it has to send.
    pub fn is_to_be_told(&self) -> bool {
        self.told != self.for_hub()
    }

    /// The kinds that the hub has to send, those included that are only reported as rejected.
    fn for_hub(&self) -> u32 {
        if self.tells_rejects {
            wire::ACCEPT_ANY
        } else {
            self.mask
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_is_told_what_changes_for_it_and_what_brings_rejected_states() {
        let mut accepted = Accepted::all();
        assert!(!accepted.set(wire::ACCEPT_ANY) && accepted.set(2) && accepted.for_hub() == 2);
        assert!(accepted.takes(2) && !accepted.takes(4));
        assert!(accepted.set_tells_rejects(true) && accepted.for_hub() == wire::ACCEPT_ANY);
        assert!(accepted.set(6), "wider: the states of kind 4 come again");
        assert!(!accepted.set(4), "narrower: the hub sends all anyway");
        assert!(accepted.set_tells_rejects(false) && accepted.for_hub() == 4);
        assert!(accepted.is_to_be_told() && accepted.tell() == 4 && !accepted.is_to_be_told());
    }
}
