//! The log: lines go through a queue to whatever writes them, and a logger for programs that have none.
//!
//! The library logs through the `log` crate. If it is built with the C API, it is also the logger, unless the program
//! installs one: from the first handle on if the environment says so, otherwise once the program requests it.

#[cfg(feature = "capi")]
mod logger;
mod queue;

#[cfg(feature = "capi")]
pub(crate) use logger::{is_inside, set};
pub use queue::{write_to_stderr, Line, LogQueue, MOMENT};

/// The environment variable with the level of the log.
pub const VARIABLE: &str = "NANOSTATE_LOG";

/// Starts the log that the environment asks for, if the program has none of its own.
pub(crate) fn start() {
    #[cfg(feature = "capi")]
    logger::start();
}

/// Waits briefly until the log is written, before a handle or the process ends.
pub(crate) fn flush() {
    #[cfg(feature = "capi")]
    logger::flush();
}
