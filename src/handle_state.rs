//! Whether a handle can be used; shared by apps and hubs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use crate::engine::Protocol;
use crate::runtime::Shared;
use crate::{Error, Result, Status};

/// Whether a handle was closed, by its program or because its loop cannot go on.
#[derive(Default)]
pub(crate) struct HandleState {
    closed: AtomicBool,
    /// Why the loop ended.
    broken: OnceLock<Error>,
}

impl HandleState {
    /// The program closed it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Its loop cannot go on: [`Status::Internal`] after a panic. The first reason stays.
    pub fn break_down(&self, why: impl Into<Error>) {
        let _ = self.broken.set(why.into());
    }

    /// Whether the program closed it.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// An error if the handle, whose loop is that of `shared`, cannot be used.
    pub fn check<P: Protocol>(&self, shared: &Shared<P>) -> Result<()> {
        if shared.forked() {
            return Err(Error::new(Status::State, "made before fork: a child may only free it"));
        }
        if let Some(why) = self.broken.get() {
            return Err(why.clone());
        }
        if shared.is_deaf() {
            return Err(Error::new(Status::Io, "the descriptor that wakes its thread was closed by something else"));
        }
        if self.is_closed() {
            return Err(Status::Closed.into());
        }
        Ok(())
    }
}

/// Runs the loop of a handle (an app or a hub) to its end. If it ends early, the reason is logged and the handle is
/// closed.
pub(crate) fn run_loop(handle_state: &HandleState, who: &str, run: impl FnOnce() -> Result<()>) {
    let why = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(_) => Error::new(Status::Internal, "its thread panicked"),
    };
    log::error!("{who} is closed: {why}");
    handle_state.break_down(match why.status() {
        Status::Internal => Status::Internal.into(),
        _ => why,
    });
}
