//! The callbacks of an app: how they are set and called.

use std::sync::atomic::Ordering;

use super::receive::Item;
use super::{App, Inner};
use crate::callback::Callback;
use crate::engine::app::{LinkState, Notice, Session};
use crate::state::State;
use crate::wire::Kind;
use crate::{Result, Status};

/// Gets a state.
pub type OnState = dyn FnMut(&State) + Send;
/// Hears of a change of the link, and of each new reason why it does not come about: to what, why, and why in words.
pub type OnLink = dyn FnMut(LinkState, Status, &str) + Send;
/// Hears of a state of a kind that is not accepted: sender, name, kind.
pub type OnReject = dyn FnMut(&str, &str, Kind) + Send;

impl App {
    /// Sets the callback for states, or none. When this returns the previous one is not running and will not run.
    ///
    /// # Errors
    /// [`Status::Closed`] unless it is `None`.
    pub fn on_state(&self, function: Option<Box<OnState>>) -> Result<()> {
        let inner = &self.0.inner;
        let set = function.is_some();
        inner.set_callback(&inner.on_state, function, |_| inner.has_on_state.store(set, Ordering::Relaxed))
    }

    /// Sets the callback for changes of the link, or none. As [`App::on_state`].
    pub fn on_link(&self, function: Option<Box<OnLink>>) -> Result<()> {
        let inner = &self.0.inner;
        let set = function.is_some();
        inner.set_callback(&inner.on_link, function, |session| session.set_tells_links(set))
    }

    /// Sets the callback for states of kinds that are not accepted, or none. As [`App::on_state`]. Without it a hub of
    /// ours does not even send them.
    pub fn on_reject(&self, function: Option<Box<OnReject>>) -> Result<()> {
        let inner = &self.0.inner;
        let set = function.is_some();
        inner.set_callback(&inner.on_reject, function, |session| session.set_tells_rejects(set))
    }
}

impl Inner {
    pub(super) fn tell_item(&self, item: Item) {
        match item {
            Item::State(state) => self.on_state.call(&self.gate, |function| function(&state)),
            Item::Notice(notice) => self.tell_notice(notice),
            // Where callbacks have a thread of their own, the one for the link has told it.
            Item::Refusal(_) => {}
        }
    }

    pub(super) fn tell_notice(&self, notice: Notice) {
        match notice {
            Notice::Link { link, why, text } => self.on_link.call(&self.gate, |function| function(link, why, &text)),
            Notice::Reject { sender, name, kind } => {
                self.on_reject.call(&self.gate, |function| function(&sender, &name, kind));
            }
        }
    }

    pub(super) fn set_callback<F: ?Sized>(
        &self,
        slot: &Callback<F>,
        function: Option<Box<F>>,
        told: impl FnOnce(&mut Session),
    ) -> Result<()> {
        // The session must not be told of a function before it is there, nor lose one before it is told.
        match function {
            Some(function) => {
                self.check_usable()?;
                slot.set(&self.gate, Some(function));
                self.tell_session(told)
            }
            None => {
                // A closed app need not be told.
                let _ = self.tell_session(told);
                if !self.shared.forked() {
                    slot.set(&self.gate, None);
                }
                Ok(())
            }
        }
    }

    pub(super) fn tell_session(&self, told: impl FnOnce(&mut Session)) -> Result<()> {
        let mut driver = self.open()?;
        told(&mut driver.protocol);
        self.act(&mut driver);
        self.tell(&driver);
        // What it waits for may be another from now on.
        driver.reader().wake();
        // What waits may be for the new function.
        self.shared.wake();
        Ok(())
    }
}
