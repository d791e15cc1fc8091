//! Memory whose size follows one body or value: there may be none left, which must not end the process. What is small may,
//! as in every Rust program.

use crate::visible::Quoted;
use crate::{Error, Result, Status};

/// Allocations for one body or value that may be larger than this are fallible; in bytes.
pub(crate) const LARGE: usize = 64 << 10;

/// There is no memory for a body or value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoMemory;

impl From<NoMemory> for Status {
    fn from(NoMemory: NoMemory) -> Status {
        Status::NoMemory
    }
}

impl From<NoMemory> for Error {
    fn from(NoMemory: NoMemory) -> Error {
        Status::NoMemory.into()
    }
}

/// Makes room for exactly `more` bytes in `bytes`.
pub(crate) fn reserve(bytes: &mut Vec<u8>, more: usize) -> Result<(), NoMemory> {
    bytes.try_reserve_exact(more).map_err(|_| NoMemory)
}

/// An empty vector with room for `len` bytes.
pub(crate) fn with_capacity(len: usize) -> Result<Vec<u8>, NoMemory> {
    let mut room = Vec::new();
    reserve(&mut room, len)?;
    Ok(room)
}

/// A copy of `bytes`.
pub(crate) fn copy(bytes: &[u8]) -> Result<Vec<u8>, NoMemory> {
    let mut copy = with_capacity(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// An empty vector with room for `len` bytes of the value of `name`.
///
/// # Errors
/// [`Status::NoMemory`].
pub(crate) fn for_value(len: usize, name: &str) -> Result<Vec<u8>> {
    with_capacity(len).map_err(|NoMemory| none_for(len, name))
}

/// There are no `len` bytes for the value of `name`.
pub(crate) fn none_for(len: usize, name: &str) -> Error {
    let text = format!("{}: {len} bytes for the value of {}", Status::NoMemory.text(), Quoted(name));
    Error::new(Status::NoMemory, text)
}
