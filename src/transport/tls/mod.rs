//! TLS 1.3 over a socket: [`TlsStream`], which an [`Acceptor`] makes of an accepted connection and a [`Connector`] of one
//! that was dialled.
//!
//! `machine` is a connection without its socket, and keeps what came and what goes out within bounds. `identity` is the
//! certificate of a hub and its key, `trust` what an app checks of them, `words` says what went wrong.

#[cfg(feature = "tls")]
mod identity;
#[cfg(feature = "tls")]
mod machine;
#[cfg(feature = "tls")]
mod stream;
#[cfg(all(test, feature = "tls"))]
pub(crate) mod tests;
#[cfg(feature = "tls")]
mod trust;
#[cfg(feature = "tls")]
mod words;

#[cfg(not(feature = "tls"))]
mod absent;

#[cfg(not(feature = "tls"))]
pub use self::absent::{Acceptor, Connector, TlsStream};
#[cfg(feature = "tls")]
pub use self::{identity::Acceptor, stream::TlsStream, trust::Connector};
