//! When a wait ends.

use std::time::{Duration, Instant};

/// The end of a wait. The clock is read only when there is nothing to return yet.
pub struct Deadline {
    timeout: Option<Duration>,
    /// Set when it is first read.
    at: Option<Instant>,
}

impl Deadline {
    /// After this long; `None` for never.
    pub fn after(timeout: Option<Duration>) -> Deadline {
        Deadline { timeout, at: None }
    }

    /// The time of the end; `None` for never, or if it is beyond the range of the clock.
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

    /// Whether it has passed.
    pub fn is_over(&mut self) -> bool {
        self.timeout == Some(Duration::ZERO) || self.left() == Some(Duration::ZERO)
    }
}
