//! The callbacks of an app: how they are set and called.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::handlers::Handlers;
use super::receive::Item;
use super::{App, Inner};
use crate::callback::{Callback, Gate};
use crate::engine::app::{LinkState, Notice, Peer, PresenceEvent, Session};
use crate::state::State;
use crate::wire::Kind;
use crate::{Result, Status};

/// Gets a state.
pub type OnState = dyn FnMut(&State) + Send;
/// Hears of a change of the link, and of each new reason why it does not come about: to what, why, and why in words.
pub type OnLink = dyn FnMut(LinkState, Status, &str) + Send;
/// Hears that everything has come that the hub held.
pub type OnSynced = dyn FnMut() + Send;
/// Hears of other apps: what happened, and to which.
pub type OnPresence = dyn FnMut(PresenceEvent, &Peer) + Send;
/// Hears of a sender whose values may be stale now, or no longer: of all senders, if it is `None`.
pub type OnStale = dyn FnMut(Option<&str>) + Send;
/// Hears of a state of a kind that is not accepted: sender, name, kind.
pub type OnReject = dyn FnMut(&str, &str, Kind) + Send;

/// The functions that the program has set.
#[derive(Default)]
pub(super) struct Callbacks {
    /// One of them runs at a time.
    pub(super) gate: Arc<Gate>,
    state: Callback<OnState>,
    /// Those for the states of some names, which run behind `state`.
    pub(super) handlers: Handlers,
    /// Whether `state` is set, for threads that do not hold the gate.
    has_state: AtomicBool,
    link: Callback<OnLink>,
    reject: Callback<OnReject>,
    synced: Callback<OnSynced>,
    presence: Callback<OnPresence>,
    stale: Callback<OnStale>,
}

impl Callbacks {
    /// Whether states go to callbacks.
    pub(super) fn takes_states(&self) -> bool {
        self.has_state.load(Ordering::Relaxed) || self.handlers.are_any()
    }
}

impl App {
    /// Sets the callback for states, or none. When this returns the previous one is not running and will not run.
    ///
    /// # Errors
    /// [`Status::Closed`] unless it is `None`.
    pub fn on_state(&self, function: Option<Box<OnState>>) -> Result<()> {
        let inner = &self.inner;
        let set = function.is_some();
        let callbacks = &inner.callbacks;
        inner.set_callback(&callbacks.state, function, |_| callbacks.has_state.store(set, Ordering::Relaxed))
    }

    /// Sets the callback for changes of the link, or none. As [`App::on_state`].
    pub fn on_link(&self, function: Option<Box<OnLink>>) -> Result<()> {
        let inner = &self.inner;
        let set = function.is_some();
        inner.set_callback(&inner.callbacks.link, function, |session| session.set_tells_links(set))
    }

    /// Sets the callback for when everything has come that the hub held, or none. It runs behind the states that came
    /// before, on each link and each time more was asked for, as by [`App::set_accept`]; also for what is so already. As
    /// [`App::on_state`].
    pub fn on_synced(&self, function: Option<Box<OnSynced>>) -> Result<()> {
        let inner = &self.inner;
        let set = function.is_some();
        inner.set_callback(&inner.callbacks.synced, function, |session| session.set_tells_synced(set))
    }

    /// Sets the callback for other apps, or none. It runs for each that is there, and then when one comes, leaves, or falls
    /// silent. After a reconnect it runs for the differences. What passed before the callback had its turn is not told: an
    /// app that came and left in between. Losing the hub is nothing that happened to others. As [`App::on_state`].
    ///
    /// Old programs, observers and programs behind gateways are not told of. A hub without this tells nothing.
    pub fn on_presence(&self, function: Option<Box<OnPresence>>) -> Result<()> {
        let inner = &self.inner;
        let set = function.is_some();
        inner.set_callback(&inner.callbacks.presence, function, |session| session.set_tells_others(set))
    }

    /// Sets the callback for senders whose values may have become *stale* ([`App::is_stale`]) or fresh, or none. It runs once for
    /// all senders when the hub has told which apps are there, and then for each sender when one of its apps comes or goes.
    /// Losing the hub makes no value stale. As [`App::on_state`].
    pub fn on_stale(&self, function: Option<Box<OnStale>>) -> Result<()> {
        let inner = &self.inner;
        let set = function.is_some();
        inner.set_callback(&inner.callbacks.stale, function, |session| session.set_tells_stale(set))
    }

    /// Sets the callback for states of kinds that are not accepted, or none. As [`App::on_state`]. Without it a hub of
    /// ours does not even send them.
    pub fn on_reject(&self, function: Option<Box<OnReject>>) -> Result<()> {
        let inner = &self.inner;
        let set = function.is_some();
        inner.set_callback(&inner.callbacks.reject, function, |session| session.set_tells_rejects(set))
    }
}

impl Inner {
    pub(super) fn tell_item(&self, item: Item) {
        let Callbacks { gate, state: on_state, handlers, .. } = &self.callbacks;
        match item {
            Item::State(state) => {
                // Found first: what a function sets is for later states.
                let functions = handlers.of(state.name());
                on_state.call(gate, |function| function(&state));
                functions.iter().for_each(|function| function.call(gate, |function| function(&state)));
            }
            Item::Notice(notice) => self.tell_notice(notice),
            // Where callbacks have a thread of their own, the one for the link has told it.
            Item::Refusal(_) => {}
        }
    }

    pub(super) fn tell_notice(&self, notice: Notice) {
        let Callbacks {
            gate,
            link: on_link,
            reject: on_reject,
            synced: on_synced,
            presence: on_presence,
            stale: on_stale,
            ..
        } = &self.callbacks;
        match notice {
            Notice::Stale(sender) => on_stale.call(gate, |function| function(sender.as_deref())),
            Notice::Presence(event, peer) => on_presence.call(gate, |function| function(event, &peer)),
            Notice::Synced => on_synced.call(gate, |function| function()),
            Notice::Link { link, why, text } => on_link.call(gate, |function| function(link, why, &text)),
            Notice::Reject { sender, name, kind } => {
                on_reject.call(gate, |function| function(&sender, &name, kind));
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
                slot.set(&self.callbacks.gate, Some(function));
                self.tell_session(told)
            }
            None => {
                // A closed app need not be told.
                let _ = self.tell_session(told);
                if !self.shared.forked() {
                    slot.set(&self.callbacks.gate, None);
                }
                Ok(())
            }
        }
    }

    pub(super) fn tell_session(&self, told: impl FnOnce(&mut Session)) -> Result<()> {
        let mut driver = self.open()?;
        told(&mut driver.protocol);
        self.act(&mut driver);
        self.tell(&mut driver);
        // What it waits for may be another from now on.
        driver.reader().wake();
        // What waits may be for the new function.
        self.shared.wake();
        Ok(())
    }
}
