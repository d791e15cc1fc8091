//! The random numbers that identify an app or a hub as long as it lives, and prove an app's identity.

use crate::random::random;
use crate::wire::{Instance, Secret};
use crate::Result;

/// A new instance, from the system's random source.
pub(crate) fn random_instance() -> Result<Instance> {
    random().map(Instance)
}

/// A new secret, from the same source.
pub(crate) fn random_secret() -> Result<Secret> {
    random().map(Secret)
}
