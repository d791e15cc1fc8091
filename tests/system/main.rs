//! The whole system from outside: apps and hubs over real sockets, the C API, the command as processes, programs of
//! other libraries, and what is installed.
//!
//! All tests share one process. A test that changes what belongs to the process (its working directory, its limits, its
//! environment) does that in a child; only `receive` installs a logger, which heeds nothing of the other tests.

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod admission;
mod c_api;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod cli_bench;
#[cfg(feature = "cli")]
mod cli_cat;
#[cfg(feature = "cli")]
mod cli_clear;
#[cfg(feature = "cli")]
mod cli_io;
#[cfg(feature = "cli")]
mod cli_observe;
#[cfg(feature = "cli")]
mod cli_parent;
#[cfg(feature = "cli")]
mod cli_peers;
#[cfg(feature = "cli")]
mod cli_ping;
#[cfg(feature = "cli")]
mod cli_stdin;
#[cfg(feature = "cli")]
mod cli_top;
#[cfg(feature = "cli")]
mod cli_transient;
#[cfg(feature = "cli")]
mod cli_ttl;
#[cfg(feature = "cli")]
mod cli_will;
mod crash;
mod docs;
#[cfg(all(feature = "cli", feature = "capi"))]
mod examples;
mod faults;
mod foreign_headers;
#[cfg(all(feature = "cli", feature = "capi"))]
mod gateways;
mod handles;
mod header;
mod inproc;
mod keys;
#[cfg(feature = "cli")]
mod log;
#[cfg(all(feature = "cli", target_os = "linux", target_env = "gnu"))]
mod memory;
#[cfg(feature = "cli")]
mod packaging;
mod peers;
mod receive;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod round_trips;
#[cfg(target_os = "linux")]
mod static_library;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod store;
#[cfg(feature = "cli")]
mod terminal;
#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod thread_ends;
#[cfg(all(feature = "cli", feature = "tls"))]
mod tls;
mod tokens;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod wall_clocks;
mod websocket;
mod wills;
