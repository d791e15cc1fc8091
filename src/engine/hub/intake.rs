//! Why a body is not taken.

use crate::visible::Quoted;
use crate::wire::Malformed;

/// Why a body is not published.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken<'a> {
    #[error("malformed message: {0}")]
    Malformed(Malformed),
    #[error("message of {len} bytes refused: the limit is {max}")]
    TooLarge { len: u64, max: usize },
    #[error("states sent as {} refused: not its identity", Quoted(.0))]
    ForeignSender(&'a str),
    #[error("{} refused: stamped by another instance than its own", Quoted(.0))]
    ForeignInstance(&'a str),
    #[error("{} refused: reserved", Quoted(.0))]
    Reserved(&'a str),
    #[error("{} not taken: the hub holds a newer value", Quoted(.0))]
    Stale(&'a str),
    #[error("{} not taken: the hub's table is full", Quoted(.0))]
    Full(&'a str),
    #[error("{} not taken: no memory for a message of {len} bytes", Quoted(.name))]
    NoMemory { name: &'a str, len: u64 },
    #[error("message of {0} bytes not taken: no memory for it")]
    NoMemoryForFrame(u64),
    #[error("{} not taken: its stamp is too far in the future", Quoted(.0))]
    Ahead(&'a str),
}
