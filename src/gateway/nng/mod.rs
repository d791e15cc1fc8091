//! What is needed of NNG, safe to use. Only here is C called for the gateways.
//!
//! # Who may call what, and when
//!
//! * Everything that NNG runs holds a [`Library`], so NNG's threads and memory outlive it. The order in which a
//!   [`Socket`] and its [`Receiver`]s are dropped does not matter; a [`Responder`] keeps its socket open.
//! * Functions given to [`Socket::on_pipe`], [`Receiver::new`], [`Responder::new`] and [`Timer::new`] are called in
//!   NNG's threads, of which there are few: they must return soon. Dropping what calls a function waits until it has
//!   returned, so a `Socket`, `Receiver`, `Responder` or `Timer`, and the last `Library`, must not be dropped in such a
//!   function, nor by who holds a lock that the function takes: it would wait for itself.
//! * The function of a socket's connections runs under a lock that NNG has for all sockets of the process.
//! * In a child of the process that made them nothing works and every drop does nothing: NNG ends a process that uses
//!   it after a `fork`.

mod aio;
mod library;
mod message;
mod responder;
mod socket;
#[cfg(test)]
mod tests;

pub use aio::{Receiver, Timer};
pub use library::Library;
pub use message::Message;
pub use responder::{Cut, Responder, Ticket};
pub use socket::{Pipe, PipeEvent, Protocol, SendError, Socket};
