//! WebSockets from outside.

mod autobahn;
