//! The random numbers that identify an app or a hub as long as it lives, and prove an app's identity.

use crate::wire::{Instance, Secret};
use crate::{Error, Result, Status};

/// A new instance, from the system's random source.
pub(crate) fn random_instance() -> Result<Instance> {
    random().map(Instance)
}

/// A new secret, from the same source.
pub(crate) fn random_secret() -> Result<Secret> {
    random().map(Secret)
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| match error.raw_os_error() {
        Some(number) => Error::io(&std::io::Error::from_raw_os_error(number), "reading random numbers"),
        None => Error::new(Status::Io, format!("reading random numbers: {error}")),
    })?;
    Ok(bytes)
}
