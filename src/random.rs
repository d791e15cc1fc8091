//! Random numbers of the system.

use crate::{Error, Result, Status};

/// 16 bytes from the system's random source.
pub(crate) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| match error.raw_os_error() {
        Some(number) => Error::io(&std::io::Error::from_raw_os_error(number), "reading random numbers"),
        None => Error::new(Status::Io, format!("reading random numbers: {error}")),
    })?;
    Ok(bytes)
}
