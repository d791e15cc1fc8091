//! WebSockets from outside.

mod autobahn;
mod pages;
