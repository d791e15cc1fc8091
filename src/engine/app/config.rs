//! What can be set of an app's engine.

use std::time::Duration;

use crate::limits;
use crate::wire::{Features, Hidden, Secret};

/// What can be set.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The largest body without its meta.
    pub max_message: usize,
    /// The shortest wait before a reconnect.
    pub backoff_min: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// Whether own states come back.
    pub echo: bool,
    /// Whether the identity is taken from a live holder.
    pub take_over: bool,
    /// Whether the identity is held together with others that say the same.
    pub shared: bool,
    /// Whether nothing is published.
    pub observer: bool,
    /// What proves to the hub that a new connection belongs to this app; random.
    pub secret: Option<Secret>,
    /// The access token.
    pub token: Option<Hidden<Box<str>>>,
    /// How long the hub may be silent over a network before the link is given up. Zero: for any time.
    pub silence: Duration,
    /// What it tells the hub that it can do.
    pub features: Features,
    /// While more than this waits to be written, the hub gets newest values only.
    pub outbox: usize,
}

impl Default for SessionConfig {
    fn default() -> SessionConfig {
        SessionConfig {
            max_message: limits::MAX_MESSAGE,
            backoff_min: limits::BACKOFF_MIN,
            backoff_max: limits::BACKOFF_MAX,
            echo: false,
            take_over: false,
            shared: false,
            observer: false,
            secret: None,
            token: None,
            silence: limits::LOST,
            features: Features::ALL,
            outbox: limits::OUTBOX,
        }
    }
}
