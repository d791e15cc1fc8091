//! Memory whose size comes from the program or a peer: there may be none left, which must not end the process.

use crate::visible::Quoted;
use crate::{Error, Result, Status};

/// An empty vector with room for `len` bytes of the value of `name`.
///
/// # Errors
/// [`Status::NoMemory`].
pub(crate) fn with_capacity(len: usize, name: &str) -> Result<Vec<u8>> {
    let mut room = Vec::new();
    match room.try_reserve_exact(len) {
        Ok(()) => Ok(room),
        Err(_) => {
            let text = format!("{}: {len} bytes for the value of {}", Status::NoMemory.text(), Quoted(name));
            Err(Error::new(Status::NoMemory, text))
        }
    }
}
