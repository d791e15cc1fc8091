//! nanostate-cat as a process: against itself, against nanocat, and on the gateways of a hub.
//!
//! Needed: nanocat and valgrind, which `scripts/setup test` installs.

mod support;

mod command;
mod gateways;
mod page;
mod pairs;
mod with_nanocat;
