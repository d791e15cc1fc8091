//! The atomics of data that threads share; the model checker replaces them with its own.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU8, Ordering};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU8, Ordering};
