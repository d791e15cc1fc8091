//! Byte streams: `tcp`, `ipc` and `inproc`.
//!
//! A transport moves bytes and nothing else: it never looks into a message, and knows no engine. `runtime` joins the
//! two.
//!
//! * [`url`]: where to connect or listen;
//! * [`poller`]: which sockets are ready, and a wake from any thread;
//! * [`socket`], [`listener`], [`inproc`]: what carries the bytes; [`tls`]: the same, encrypted; [`ByteStream`]: streams
//!   that are not sockets;
//! * [`Ready`]: how a loop learns of readiness of what is not a socket; `waiter`: how a thread of the program waits for
//!   one socket; `readiness`: what a program waits for in its own event loop;
//! * [`fork`]: whether this process is a child of the one that made a handle; [`host_name`]: the machine.

#![allow(unsafe_code)]

mod access;
mod descriptor;
pub mod fork;
mod host;
pub mod inproc;
pub mod listener;
mod lock_file;
pub mod poller;
pub mod readiness;
mod ready;
pub mod socket;
mod socket_file;
mod stream;
mod sync;
pub mod tls;
pub mod url;
pub(crate) mod waiter;
pub(crate) mod wake;

pub use descriptor::{above_standard, occupy_standard, Lenient};
pub use fork::PerProcess;
pub use host::host_name;
pub use lock_file::LockFile;
pub use poller::Backend;
pub use ready::{Notices, Ready, ReadyList, Turns, Wake};
pub use stream::ByteStream;
pub use url::{Address, Host};
