//! Whether a handle can be used: what apps and hubs have in common.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result, Status};

/// Whether a handle was closed, by its program or by a panic in its thread.
#[derive(Default)]
pub(crate) struct Health {
    closed: AtomicBool,
    /// The loop panicked.
    broken: AtomicBool,
}

impl Health {
    /// Says that the program closed it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Says that its loop panicked.
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    /// Whether the program closed it.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses a handle that cannot be used. `forked`: this process is a child of the one that made it.
    pub fn check(&self, forked: bool) -> Result<()> {
        if forked {
            return Err(Error::new(Status::State, "made before fork: a child may only free it"));
        }
        if self.broken.load(Ordering::Relaxed) {
            return Err(Status::Internal.into());
        }
        if self.is_closed() {
            return Err(Status::Closed.into());
        }
        Ok(())
    }
}

/// Refuses a value that an option cannot take.
pub(crate) fn check_option(option: impl Debug, value: i64, allowed: RangeInclusive<i64>) -> Result<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let text = format!("{option:?} cannot be {value}: {} to {}", allowed.start(), allowed.end());
    Err(Error::new(Status::Invalid, text))
}
