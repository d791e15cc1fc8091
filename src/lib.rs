//! Share states between programs, through a hub.
//!
//! A *state* is `(sender, name, data)`: a key and its newest value. An [`App`] publishes and receives states; a
//! [`Hub`] forwards every state to the other apps and keeps the newest value of each key for those who come later.
//!
//! Where things are:
//!
//! * [`wire`]: message bodies, MessagePack to values and back;
//! * [`framing`]: byte streams to bodies and back;
//! * [`engine`]: what a hub and an app do with bodies: no sockets, no threads, no clock of its own;
//! * [`transport`]: `tcp`, `ipc` and `inproc` byte streams;
//! * `runtime`: where engines meet transports: connections, the loop, threads, clocks;
//! * `gateway`: the other scalability protocols where NNG carries them, on `ws` and `inproc`;
//! * [`log_queue`], [`visible`]: lines of the log on their way out, and texts of others in them;
//! * [`App`], [`Hub`], [`State`]: the handles a program uses;
//! * `ffi`: the C API, which translates and holds no logic.

#![warn(missing_docs)]

mod app;
mod callback;
pub mod engine;
mod error;
#[cfg(feature = "capi")]
pub mod ffi;
pub mod framing;
#[cfg(feature = "nng")]
mod gateway;
mod handle_state;
mod hub;
mod instance;
mod leaving;
pub mod limits;
pub mod log_queue;
mod memory;
mod numbered;
pub mod options;
pub mod pattern;
mod repeats;
#[cfg(all(test, not(loom)))]
mod rooms;
mod runtime;
mod state;
pub mod transport;
pub mod visible;
pub mod wire;

/// Starts the log that the environment asks for, if the program has none of its own.
fn log_from_environment() {
    #[cfg(feature = "capi")]
    ffi::log::start_log();
}

/// Lets what was logged out, before a handle or the process ends; for a moment at most.
fn flush_log() {
    #[cfg(feature = "capi")]
    ffi::log::flush();
}

pub use app::{App, AppStats, LinkState, OnLink, OnReject, OnState};
pub use error::{Error, Result, Status};
pub use hub::{Hub, HubStats, OnPeer, PeerEvent, PeerStats};
pub use options::{AppOption, HubOption};
pub use state::State;
pub use wire::{Kind, Value};
