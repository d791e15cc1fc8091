//! Memory whose size depends on one body or value: running out of it must not end the process. Small allocations may
//! abort, as in every Rust program.
//!
//! [`Bytes`] are those of one body: a large one lies in memory of its own, which is used again.

mod blocks;
mod bytes;
#[cfg(any(test, all(target_os = "linux", target_pointer_width = "64")))]
mod extents;

pub use blocks::release;
pub use bytes::Bytes;

use crate::visible::Quoted;
use crate::{Error, Result, Status};

/// Allocations for one body or value that may be larger than this are fallible; in bytes.
pub(crate) const LARGE: usize = 64 << 10;

/// There is no memory for a body or value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

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

/// What the usual allocators take for `len` bytes: a multiple of 16, with what they note of it.
#[inline]
pub(crate) const fn allocated(len: usize) -> usize {
    const NOTED: usize = 8;
    const LEAST: usize = 32 - NOTED;
    let len = if len < LEAST { LEAST } else { len };
    (len + NOTED).next_multiple_of(16)
}

/// Reserves exactly `more` bytes in `bytes`.
pub(crate) fn reserve(bytes: &mut Vec<u8>, more: usize) -> Result<(), NoMemory> {
    bytes.try_reserve_exact(more).map_err(|_| NoMemory)
}

/// An empty vector with a capacity of `len` bytes.
pub(crate) fn with_capacity(len: usize) -> Result<Vec<u8>, NoMemory> {
    let mut room = Vec::new();
    reserve(&mut room, len)?;
    Ok(room)
}

/// An empty vector with a capacity of `len` bytes, for the value of `name`.
///
/// # Errors
/// [`Status::NoMemory`].
pub(crate) fn for_value(len: usize, name: &str) -> Result<Vec<u8>> {
    with_capacity(len).map_err(|NoMemory| none_for(len, name))
}

/// The error if there are no `len` bytes for the value of `name`.
pub(crate) fn none_for(len: usize, name: &str) -> Error {
    let text = format!("{}: {len} bytes for the value of {}", Status::NoMemory.text(), Quoted(name));
    Error::new(Status::NoMemory, text)
}
