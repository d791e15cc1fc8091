//! The hash of tables whose keys come from the network.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use foldhash::fast::SeedableRandomState;
use foldhash::SharedSeed;

/// A quick hash that nobody can foresee who does not know its seeds.
pub type KeyHasher = SeedableRandomState;

/// A hasher with a seed of its own, made of the system's randomness by way of the standard library: what `foldhash`
/// takes by itself, addresses and the time, can be guessed.
pub fn key_hasher() -> KeyHasher {
    static SHARED: OnceLock<SharedSeed> = OnceLock::new();
    let random = || RandomState::new().hash_one(());
    SeedableRandomState::with_seed(random(), SHARED.get_or_init(|| SharedSeed::from_u64(random())))
}
