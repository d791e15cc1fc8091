//! What a program takes: states and notices, in threads that may wait for them.

use std::os::fd::RawFd;
use std::time::Duration;

use super::{timed_out, App, Inner};
use crate::engine::app::{Notice, Session};
use crate::runtime::deadline::Deadline;
use crate::runtime::reader::{self, Monitor};
use crate::runtime::{self, Driver};
use crate::state::State;
use crate::{Error, Result, Status};

/// Something for the program.
pub(super) enum Item {
    State(State),
    Notice(Notice),
    /// The hub does not let the app in.
    Refusal(Error),
}

impl App {
    /// The next state. `None` waits for ever, zero tries. Blocks. Each state goes to one caller; callbacks for the link
    /// and for rejected states run in here. A program that is slower than its states are sent gets the newest of each
    /// (sender, name), in the place of the oldest that waited.
    ///
    /// # Errors
    /// [`Status::Timeout`]; the status of a refusal by the hub, once for each, for instance [`Status::IdentityTaken`];
    /// [`Status::State`]: callbacks have their own thread, or there is a callback for states; [`Status::Interrupted`];
    /// [`Status::Closed`].
    pub fn recv(&self, timeout: Option<Duration>) -> Result<State> {
        let inner = &self.inner;
        inner.check_no_callback_thread()?;
        self.wakeable(timeout)?;
        let mut deadline = Deadline::after(timeout);
        loop {
            let wants = || match inner.callbacks.takes_states() {
                true => Err(Error::new(Status::State, "states go to the callback: call dispatch, which runs it")),
                false => Ok(true),
            };
            match inner.next(&mut deadline, wants)? {
                Item::State(state) => return Ok(state),
                Item::Notice(notice) => inner.tell_notice(notice),
                Item::Refusal(error) => return Err(error),
            }
        }
    }

    /// Runs callbacks for what waits, at most `max`, in this thread; waits for the first one. Returns how many ran.
    ///
    /// # Errors
    /// [`Status::Timeout`]: nothing came; the status of a refusal by the hub, as of [`App::recv`]; [`Status::State`]:
    /// callbacks have their own thread, or inside a callback; [`Status::Interrupted`]; [`Status::Closed`].
    pub fn dispatch(&self, timeout: Option<Duration>, max: usize) -> Result<usize> {
        let inner = &self.inner;
        inner.check_no_callback_thread()?;
        if inner.callbacks.gate.inside() {
            return Err(Error::new(Status::State, "dispatch is not possible inside a callback"));
        }
        self.wakeable(timeout)?;
        let mut deadline = Deadline::after(timeout);
        let mut ran = 0;
        while ran < max {
            match inner.next(&mut deadline, || Ok(inner.callbacks.takes_states())) {
                Ok(Item::Refusal(error)) if ran > 0 => {
                    // For the next call.
                    if let Ok(mut driver) = inner.open() {
                        driver.protocol.keep_refusal(error);
                        inner.show(&mut driver);
                    }
                    break;
                }
                Ok(Item::Refusal(error)) => return Err(error),
                Ok(item) => inner.tell_item(item),
                Err(error) if ran > 0 => {
                    if error.status() == Status::Interrupted {
                        // For the next call that waits, or one of another thread.
                        self.interrupt();
                    }
                    break;
                }
                Err(error) => return Err(error),
            }
            ran += 1;
            deadline = Deadline::after(Some(Duration::ZERO));
        }
        Ok(ran)
    }

    /// A descriptor that is readable while recv or dispatch has something; it may also wake for nothing. It is for
    /// level-triggered pollers, so not for `EPOLLET`, nor, on Linux, for `EPOLLEXCLUSIVE`. It is the app's, the same for
    /// its life: never read, write or close it. While a program often takes what it tells of, these calls read the
    /// socket; otherwise the app's own thread does.
    ///
    /// # Errors
    /// [`Status::State`]: callbacks have their own thread; [`Status::Io`]: no descriptors left; [`Status::Closed`].
    pub fn fd(&self) -> Result<RawFd> {
        let inner = &self.inner;
        inner.check_no_callback_thread()?;
        let mut driver = inner.open()?;
        let fd = driver.readiness().map_err(|error| Error::io(&error, "creating the descriptor of ns_app_fd"))?;
        inner.show(&mut driver);
        Ok(fd)
    }
}

impl Inner {
    /// The next thing for the program: a notice, or a state if those are asked for.
    pub(super) fn next(&self, deadline: &mut Deadline, wants_states: impl Fn() -> Result<bool>) -> Result<Item> {
        let mut driver = self.open()?;
        // Asked each time: a callback may be set meanwhile.
        let look = |driver: &mut Driver<Session>| {
            self.ends_wait().or_else(|| match wants_states() {
                Ok(states) => take(driver, states).map(Ok),
                Err(error) => Some(Err(error)),
            })
        };
        let outcome = reader::wait_reading(self, &mut driver, deadline, look);
        outcome.unwrap_or_else(|| Err(timed_out(&driver)))
    }
}

/// The next thing for the program.
pub(super) fn take(driver: &mut Driver<Session>, states: bool) -> Option<Item> {
    if let Some(notice) = driver.protocol.next_notice() {
        return Some(Item::Notice(notice));
    }
    if let Some(refusal) = driver.protocol.take_refusal() {
        return Some(Item::Refusal(refusal));
    }
    if !states {
        // None will be taken before.
        return driver.protocol.next_synced(0).map(Item::Notice);
    }
    let was_paused = driver.protocol.is_paused();
    let state = driver.protocol.take_state();
    if was_paused && !driver.protocol.is_paused() {
        driver.run_actions(runtime::now());
    }
    state.map(Item::State)
}
