//! When a wait ends.

use std::time::{Duration, Instant};

/// The end of a wait. The clock is read when there is nothing to return with, not before.
pub struct Deadline {
    timeout: Option<Duration>,
    /// Fixed by the first look.
    at: Option<Instant>,
}

impl Deadline {
    /// After this long; `None`: never.
    pub fn after(timeout: Option<Duration>) -> Deadline {
        Deadline { timeout, at: None }
    }

    /// The moment; `None`: never, or beyond what the clock can say.
    pub fn at(&mut self) -> Option<Instant> {
        if let (None, Some(timeout)) = (self.at, self.timeout) {
            self.at = Instant::now().checked_add(timeout);
        }
        self.at
    }

    /// How long it is until then.
    pub fn left(&mut self) -> Option<Duration> {
        self.at().map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has come.
    pub fn is_over(&mut self) -> bool {
        self.timeout == Some(Duration::ZERO) || self.left() == Some(Duration::ZERO)
    }
}
