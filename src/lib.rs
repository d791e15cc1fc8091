//! Share states between programs, through a hub.
//!
//! A *state* is `(sender, name, data)`: a key and its newest value. An [`App`] publishes and receives states; a
//! [`Hub`] forwards every state to the other apps and keeps the newest value of each key for those who come later.
//!
//! ```
//! use std::time::Duration;
//!
//! use nanostate::{App, Hub, Value};
//!
//! # fn main() -> nanostate::Result<()> {
//! let patience = Some(Duration::from_secs(60));
//!
//! let hub = Hub::new()?;
//! hub.listen("inproc://kitchen")?;
//!
//! let thermometer = App::new("thermometer")?;
//! thermometer.connect(Some("inproc://kitchen"))?;
//! thermometer.send("kitchen/temperature", Value::Double(21.5))?;
//! thermometer.flush(patience)?; // The hub has it.
//!
//! // An app that comes later gets the newest value all the same.
//! let display = App::new("display")?;
//! display.connect(Some("inproc://kitchen"))?;
//! let state = display.recv(patience)?;
//! assert_eq!((state.sender(), state.name()), ("thermometer", "kitchen/temperature"));
//! assert_eq!(state.double()?, 21.5);
//! # Ok(())
//! # }
//! ```
//!
//! By default a value stays until it is replaced or withdrawn ([`App::clear`]; [`App::forget`] for a sender that is gone). A
//! [`Key`] may have values that expire or that only connected apps are sent ([`KeyOption`]). The hub publishes a will
//! ([`App::set_will`]) when an app is lost, [`App::is_stale`] says whether the app that set a value is gone, and
//! [`App::hub_stats`] asks the hub for its counters. `docs/semantics.md` says what is promised.
//!
//! Where things are (`docs/architecture.md` has more):
//!
//! * [`App`], [`Key`], [`Hub`], [`State`]: the handles that a program uses, with [`options`], [`limits`] and [`pattern`];
//! * `wire`: message bodies, MessagePack to values and back;
//! * `framing`: byte streams to bodies and back;
//! * `engine`: what a hub and an app do with bodies, without sockets, threads or a clock of their own;
//! * `transport`: byte streams over `tcp`, `ipc` and `inproc`;
//! * `runtime`: joins engines and transports: connections, the loop, threads, clocks;
//! * `logging`, `visible`: log lines on their way out, and other programs' text in them;
//! * `time`: times, a type for each clock;
//! * `ffi`: the C API, which translates and holds no logic.
//!
//! Modules that this page does not link are public for the command, tests and benchmarks of this package only: they may
//! change in any version.

#![warn(missing_docs)]

mod app;
mod callback;
mod effort;
#[doc(hidden)]
pub mod engine;
mod error;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
#[doc(hidden)]
pub mod framing;
mod handle_state;
mod hub;
mod instance;
mod leaving;
pub mod limits;
#[doc(hidden)]
pub mod logging;
mod memory;
mod numbered;
pub mod options;
pub mod pattern;
mod random;
mod repeats;
#[cfg(test)]
mod rooms;
mod runtime;
mod state;
#[cfg(feature = "store")]
mod store;
#[doc(hidden)]
pub mod time;
#[doc(hidden)]
pub mod transport;
#[doc(hidden)]
pub mod visible;
#[doc(hidden)]
pub mod wire;

pub use app::{
    App, AppStats, Handler, Key, LinkState, OnLink, OnPresence, OnReject, OnStale, OnState, OnSynced, Peer,
    PresenceEvent, Will,
};
pub use error::{Error, Result, Status};
pub use hub::{Hub, HubStats, OnPeer, PeerEvent, PeerStats};
pub use options::{AppOption, AppText, HubOption, HubText, KeyOption};
pub use state::State;
pub use wire::{Kind, Value};
