//! Byte streams, `tcp`, `ipc` and `inproc`, and the loop that drives an engine with them.
//!
//! A transport moves bytes and nothing else: it never looks into a message. A [`Driver`] owns an engine
//! (a [`Protocol`](crate::engine::Protocol)) and the connections and listeners of one handle; [`Shared`] keeps it
//! behind a lock, so that any thread may call the engine and write inline, and runs its loop on the handle's one
//! thread.
//!
//! * [`url`]: where to connect or listen;
//! * [`poller`]: which sockets are ready, and a wake from any thread;
//! * [`socket`], [`listener`], [`inproc`]: what carries the bytes; [`Carrier`]: or something else does;
//! * [`driver`]: the connections of a handle, and the loop;
//! * `token`, `sleeper`: how a thread of the program reads a connection in the loop's place;
//! * [`fork`]: whether this process is a child of the one that made a handle;
//! * [`thread`]: library threads and the clock; [`host_name`]: the machine.

#![allow(unsafe_code)]

mod access;
mod carrier;
mod descriptor;
pub mod driver;
pub mod fork;
mod host;
pub mod inproc;
pub mod listener;
mod mailbox;
pub mod poller;
mod sleeper;
pub mod socket;
mod socket_file;
mod sync;
#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
pub mod thread;
mod token;
pub mod url;
mod wake;

pub use carrier::{Carrier, Ready};
pub use descriptor::{above_standard, occupy_standard, Lenient};
pub use driver::{Driver, Loop, Shared};
pub use fork::PerProcess;
pub use host::host_name;
pub use poller::Backend;
pub use thread::{now, spawn, spawn_with_stack, STACK};
pub use url::{Address, Host};
