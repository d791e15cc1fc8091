//! Share states between programs, through a hub.
//!
//! A *state* is `(sender, name, data)`: a key and its newest value. An app publishes and receives states; a hub
//! forwards every state to the other apps and keeps the newest value of each key for those who come later.
//!
//! Where things are:
//!
//! * [`wire`]: message bodies, MessagePack to values and back;
//! * [`framing`]: byte streams to bodies and back;

#![warn(missing_docs)]

mod error;
pub mod framing;
pub mod limits;
pub mod wire;

pub use error::{Error, Result, Status};
pub use wire::{Kind, Value};
