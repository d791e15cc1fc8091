//! The random number that names an app or a hub for its life.

use crate::wire::Instance;
use crate::{Error, Result, Status};

/// A new one, from the system's random source.
pub(crate) fn random_instance() -> Result<Instance> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(Status::Io, format!("random numbers: {error}")))?;
    Ok(Instance(bytes))
}
