//! What a hub and an app do with bodies, sans-IO: bytes and a time in, bytes and events out.
//!
//! A [`Router`](hub::Router) is a hub, a [`Session`](app::Session) an app. Both keep a [`table`] of newest values, and
//! both have a [`link`] for each connection, whose [feed](link::feed) writes them: what has been put into the table goes
//! straight into a bounded [outbox](link::outbox) while the other side keeps up, and is taken from the table later when it
//! does not. A [`gateway`], a socket of another protocol, is one peer of a router, which answers its
//! [requests](hub::queries).

pub mod app;
pub mod clock;
mod expiring;
pub mod gateway;
mod hash;
pub mod hub;
pub mod link;
pub mod mutations;
mod newest;
pub mod patterns;
mod protocol;
mod slots;
pub mod table;
mod timers;
mod told;

pub use gateway::{Gateway, Role};
pub use protocol::{Action, Closed, ConnId, ConnInfo, Now, Protocol, Web};
