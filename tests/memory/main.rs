//! What is counted of memory is what is allocated; and a process that may have no more of it: calls say so, and it goes
//! on. A program of its own, for its allocator.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // prlimit, and an allocator

#[path = "../sim/mod.rs"]
mod sim;
#[cfg_attr(all(feature = "cli", feature = "capi"), allow(dead_code, unused_imports))] // Part of it is not used here.
#[path = "../support/mod.rs"]
mod support;

#[cfg(target_env = "gnu")]
mod accounts;
mod allocator;
mod engines;
mod processes;
