//! What a hub tells of the apps that are there.

use super::Instance;
use crate::numbered::numbered;

numbered! {
    /// How another app is. The numbers are those on the wire.
    pub enum PeerState {
        /// It is there.
        Present = 1, "present";
        /// Nothing is heard of it, or its connection has broken.
        Suspect = 2, "suspect";
        /// It has said goodbye, or another took its place.
        Left = 3, "left";
        /// It was suspect for too long.
        Lost = 4, "lost";
    }
}

impl PeerState {
    /// Whether the app is not there any more.
    pub const fn is_gone(self) -> bool {
        matches!(self, PeerState::Left | PeerState::Lost)
    }
}

/// One message of what a hub tells: a list of all apps that are there, and then each change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence<'a> {
    /// A list follows, of all that are there.
    Begins,
    /// This app is in this state now.
    Peer {
        /// How it is.
        state: PeerState,
        /// Its identity.
        identity: &'a str,
        /// Which app it is, of those that hold this identity or held it.
        instance: Instance,
    },
    /// The list is complete.
    Complete {
        /// Whether the hub was started a short time ago: apps may still be on their way to it, and it says so again when
        /// they had their time.
        young: bool,
    },
}
