//! The log: lines go through a queue to whatever writes them, and a logger for programs that have none.
//!
//! The library writes through the `log` crate. Where it has the C API, it is also the logger, unless the program
//! installs one of its own: from the first handle on if the environment says so, else once the program asks for it.

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

/// Lets what was logged out, before a handle or the process ends; for a moment at most.
pub(crate) fn flush() {
    #[cfg(feature = "capi")]
    logger::flush();
}
