//! Byte streams: `tcp`, `ipc` and `inproc`.
//!
//! A transport moves bytes and nothing else: it never looks into a message, and knows no engine.
//! [`runtime`](crate::runtime) brings the two together.
//!
//! * [`url`]: where to connect or listen;
//! * [`poller`]: which sockets are ready, and a wake from any thread;
//! * [`socket`], [`listener`], [`inproc`]: what carries the bytes; [`Carrier`]: or something else does;
//! * `sleeper`: how a thread of the program waits for one socket;
//! * [`fork`]: whether this process is a child of the one that made a handle; [`host_name`]: the machine.

#![allow(unsafe_code)]

mod access;
mod carrier;
mod descriptor;
pub mod fork;
mod host;
pub mod inproc;
pub mod listener;
pub(crate) mod mailbox;
pub mod poller;
pub(crate) mod sleeper;
pub mod socket;
mod socket_file;
mod sync;
pub mod url;
mod wake;

pub use carrier::{Carrier, Ready};
pub use descriptor::{above_standard, occupy_standard, Lenient};
pub use fork::PerProcess;
pub use host::host_name;
pub use poller::Backend;
pub use url::{Address, Host};
