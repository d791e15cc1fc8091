//! Where engines meet transports: the connections and listeners of a handle, and the loop that drives its engine.
//!
//! A [`Driver`] owns an engine (a [`Protocol`](crate::engine::Protocol)) and the connections and listeners of one
//! handle. [`Shared`] keeps it behind a lock, so that any thread may call the engine and write at once, and runs its
//! loop on the handle's one thread.
//!
//! * `conns`, `dialler`, `listeners`, `closing`: the parts of a driver, each with its own data; `reactor`: what they
//!   share; `channel`: what carries the bytes of a connection; `fair`, `share`, `stint`: which of the connections that are ready goes first, how much is read of it, and
//!   when it is time to look for others;
//! * `reader`: how a thread of the program waits, and reads a connection in the loop's place; `absence`: how long one that
//!   has stopped is expected back;
//! * [`address`], [`gateway_address`]: what engines need to know about addresses;
//! * [`thread`]: threads of the library; [`now`]: the clocks that engines receive.

#![allow(unsafe_code)]

mod absence;
pub mod address;
mod channel;
mod clock;
mod closing;
pub mod conns;
pub mod deadline;
mod dialler;
mod driver;
mod fair;
pub mod gateway_address;
pub mod listeners;
mod reactor;
pub mod reader;
pub mod reclaim;
mod share;
mod shared;
mod stint;
#[cfg(test)]
pub(crate) mod tests;
pub mod thread;

use crate::transport::wake;

pub use clock::now;
pub use driver::Driver;
pub use shared::Shared;
pub use thread::{spawn_with_stack, STACK};
