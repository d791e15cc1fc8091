//! Where engines meet transports: the connections and listeners of a handle, and the loop that drives its engine.
//!
//! A [`Driver`] owns an engine (a [`Protocol`](crate::engine::Protocol)) and the connections and listeners of one
//! handle. [`Shared`] keeps it behind a lock, so that any thread may call the engine and write at once, and runs its
//! loop on the handle's one thread.
//!
//! * [`driver`]: the connections of a handle, and the loop;
//! * `token`: how a thread of the program reads a connection in the loop's place;
//! * [`address`]: what engines have to know of addresses;
//! * [`thread`]: threads of the library; [`now`]: the clocks that engines are told.

#![allow(unsafe_code)]

pub mod address;
mod clock;
pub mod driver;
#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
pub mod thread;
mod token;

pub use clock::now;
pub use driver::{Driver, Loop, Shared};
pub use thread::{spawn, spawn_with_stack, STACK};
