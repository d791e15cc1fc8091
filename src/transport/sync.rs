//! The atomics of what threads share, exchangeable for those of the model checker.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU8, Ordering};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU8, Ordering};
