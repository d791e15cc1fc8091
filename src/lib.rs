//! Share states between programs, through a hub.
//!
//! A *state* is `(sender, name, data)`: a key and its newest value. An app publishes and receives states; a hub
//! forwards every state to the other apps and keeps the newest value of each key for those who come later.
//!
//! Where things are:
//!

#![warn(missing_docs)]

mod error;
pub mod limits;

pub use error::{Error, Result, Status};
