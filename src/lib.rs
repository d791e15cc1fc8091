//! Share states between programs, through a hub.
//!
//! A *state* is `(sender, name, data)`: a key and its newest value. An app publishes and receives states; a hub
//! forwards every state to the other apps and keeps the newest value of each key for those who come later.
//!
//! Where things are:
//!
//! * [`wire`]: message bodies, MessagePack to values and back;
//! * [`framing`]: byte streams to bodies and back;
//! * [`engine`]: what a hub and an app do with bodies: no sockets, no threads, no clock of its own;
//! * [`transport`]: `tcp`, `ipc` and `inproc` byte streams and the loop that drives an engine;

#![warn(missing_docs)]

pub mod engine;
mod error;
pub mod framing;
pub mod limits;
mod state;
pub mod transport;
pub mod wire;

pub use error::{Error, Result, Status};
pub use state::State;
pub use wire::{Kind, Value};
