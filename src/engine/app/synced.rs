//! Whether the hub has sent everything that it held.

use super::{LinkState, Notice, Session};
use crate::wire::Features;
use crate::{Error, Result, Status};

/// What the app asked the hub of this link for, and how much of it has come.
#[derive(Default)]
pub struct Synced {
    /// How many links there were.
    links: u64,
    /// How often this one began with asking for what was asked for on earlier ones.
    again: u64,
    /// How often more was asked for on this link.
    asks: u64,
    /// For how many of these everything has come. `None`: not even for the hello.
    answered: Option<u64>,
    /// Whether the program hears of it.
    pub tells: bool,
    /// The program is to be told, once it has taken so many states.
    due: Option<usize>,
}

/// What was asked for until some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    links: u64,
    asks: u64,
}

impl Synced {
    /// There is a link, on which the hub was asked so often beside the hello, for all that was asked for on earlier ones.
    pub fn begin(&mut self, asks: u64) {
        let (links, again) = (self.links + 1, asks);
        *self = Synced { links, asks, again, tells: self.tells, ..Synced::default() };
    }

    /// The link is gone.
    pub fn unlink(&mut self) {
        *self = Synced { links: self.links, tells: self.tells, ..Synced::default() };
    }

    /// More is asked for.
    pub fn ask(&mut self) {
        self.asks += 1;
        self.due = None;
    }

    /// Everything has come that was asked for by the hello, and so often afterwards; of which the program has not taken so
    /// many.
    pub fn answered(&mut self, asks: u64, waiting: usize) {
        self.answered = Some(asks.min(self.asks));
        self.tell(waiting);
    }

    /// The program is to be told if there is something to tell: once it has taken the states that wait.
    pub fn tell(&mut self, waiting: usize) {
        self.due = (self.tells && self.is_synced()).then_some(waiting);
    }

    /// The program has taken a state.
    pub fn took(&mut self) {
        self.due = self.due.map(|due| due.saturating_sub(1));
    }

    /// Whether the program is to be told now, for which so many states wait.
    pub fn is_due(&self, waiting: usize) -> bool {
        self.due.is_some_and(|due| due == 0 || waiting == 0)
    }

    /// It is told.
    pub fn told(&mut self) {
        self.due = None;
    }

    /// Whether everything has come that was asked for.
    pub fn is_synced(&self) -> bool {
        self.answered == Some(self.asks)
    }

    /// What was asked for until now.
    pub fn asked(&self) -> Asked {
        Asked { links: self.links, asks: self.asks }
    }

    /// Whether everything has come that was asked for until then, or again on a later link.
    fn has(&self, asked: Asked) -> bool {
        let wanted = if self.links > asked.links { self.again } else { asked.asks };
        self.answered.is_some_and(|asks| asks >= wanted)
    }
}

impl Session {
    /// Whether the hub has sent everything that it held, on this link.
    pub fn is_synced(&self) -> bool {
        self.hub.synced.is_synced()
    }

    /// What [`Session::has_synced`] takes for all that was asked for until now.
    pub fn asked(&self) -> Asked {
        self.hub.synced.asked()
    }

    /// Whether everything has come that was asked for until then; `None` if that may still be.
    pub fn has_synced(&self, asked: Asked) -> Option<Result<()>> {
        match self.link() {
            _ if self.hub.synced.has(asked) => Some(Ok(())),
            LinkState::Connected if !self.hub.features.contains(Features::SYNCED) => {
                let text = "the hub does not say when it has sent what it held";
                Some(Err(Error::new(Status::Unsupported, text)))
            }
            _ => None,
        }
    }

    /// The notice that everything has come, for a program that takes so many states first.
    pub fn next_synced(&mut self, waiting: usize) -> Option<Notice> {
        let due = self.hub.synced.is_due(waiting);
        due.then(|| {
            self.hub.synced.told();
            Notice::Synced
        })
    }

    /// Whether the program is told each time that everything has come; it is told at once if it has.
    pub fn set_tells_synced(&mut self, tells: bool) {
        self.hub.synced.tells = tells;
        self.hub.synced.tell(self.received.waiting());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_come_when_the_hub_has_answered_for_the_last_that_was_asked_for() {
        let mut synced = Synced::default();
        let before = synced.asked();
        assert!(!synced.is_synced() && !synced.has(before));
        synced.begin(0);
        assert!(!synced.is_synced());
        synced.answered(0, 0);
        assert!(synced.is_synced() && synced.has(before) && synced.has(synced.asked()));
        synced.ask();
        let asked = synced.asked();
        assert!(!synced.is_synced() && synced.has(before) && !synced.has(asked));
        synced.answered(9, 0);
        assert!(synced.is_synced() && synced.has(asked), "a hub cannot have answered for more");
        synced.ask();
        let asked = synced.asked();
        synced.unlink();
        assert!(!synced.is_synced() && !synced.has(before));
        synced.begin(0);
        synced.answered(0, 0);
        assert!(synced.has(asked), "the hello has asked for it again");
        synced.begin(2);
        synced.answered(1, 0);
        assert!(!synced.has(asked), "what follows the hello has asked for it");
        synced.answered(2, 0);
        assert!(synced.has(asked) && synced.is_synced());
    }

    #[test]
    fn the_program_is_told_behind_the_states_that_came_before() {
        let mut synced = Synced { tells: true, ..Synced::default() };
        synced.begin(0);
        synced.answered(0, 2);
        assert!(!synced.is_due(2));
        synced.took();
        assert!(!synced.is_due(5) && synced.is_due(0), "nothing waits: they were dropped");
        synced.took();
        assert!(synced.is_due(5));
        synced.told();
        assert!(!synced.is_due(0));
        synced.tell(0);
        assert!(synced.is_due(0));
        synced.ask();
        assert!(!synced.is_due(0), "it is not so any more");
        synced.answered(1, 0);
        assert!(synced.is_due(0));
        synced.unlink();
        assert!(!synced.is_due(0));
        synced.tells = false;
        synced.begin(0);
        synced.answered(0, 0);
        assert!(!synced.is_due(0));
    }
}
