//! What an app and its hub can do, and what an app asks for: bits of hello and welcome.

use super::Meta;

/// What an app asks for in its hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HelloFlags(pub u32);

impl HelloFlags {
    /// Take the identity over from its holder.
    pub const TAKE_OVER: HelloFlags = HelloFlags(1);
    /// Hold the identity together with others that ask for the same.
    pub const SHARED: HelloFlags = HelloFlags(2);
    /// Send the app's own states back to it.
    pub const ECHO: HelloFlags = HelloFlags(4);
    /// The app was refused before and tries again: it never replaces a holder that is not lost.
    pub const RETRY: HelloFlags = HelloFlags(8);
    /// The app publishes nothing, and that it comes and goes is no news.
    pub const OBSERVER: HelloFlags = HelloFlags(16);
    /// The app is sent only what it subscribes to.
    pub const LISTED: HelloFlags = HelloFlags(32);

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: HelloFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for HelloFlags {
    type Output = HelloFlags;

    fn bitor(self, other: HelloFlags) -> HelloFlags {
        HelloFlags(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for HelloFlags {
    fn bitor_assign(&mut self, other: HelloFlags) {
        *self = *self | other;
    }
}

/// What an app or a hub can do beyond the first version. Flags and messages of a feature are used only where both sides
/// announced it, in hello and welcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features(pub u32);

impl Features {
    /// None of them.
    pub const NONE: Features = Features(0);
    /// The hub says by [`Control::Synced`](super::Control::Synced) when it has sent what it held.
    pub const SYNCED: Features = Features(1);
    /// Values may be cleared: bodies have [`Meta::CLEAR`].
    pub const CLEAR: Features = Features(2);
    /// The app says by [`Control::Subscribe`](super::Control::Subscribe) which names it is sent.
    pub const SUBSCRIBE: Features = Features(4);
    /// An app may withdraw values of senders that have departed, by [`Control::Forget`](super::Control::Forget).
    pub const FORGET: Features = Features(8);
    /// The hub says by [`Control::Presence`](super::Control::Presence) which apps are there, if it is asked to; and an app
    /// says goodbye by [`Control::Bye`](super::Control::Bye).
    pub const PRESENCE: Features = Features(16);
    /// An app leaves values for the time when it is lost, by [`Control::Will`](super::Control::Will); and it says goodbye.
    pub const WILL: Features = Features(32);
    /// Values may expire: bodies have a [`Meta::lifetime`].
    pub const LIFETIME: Features = Features(64);
    /// Values may be transient: bodies have [`Meta::TRANSIENT`].
    pub const TRANSIENT: Features = Features(128);
    /// The hub says by [`Control::Counted`](super::Control::Counted) what it counts, if it is asked to.
    pub const STATS: Features = Features(256);
    /// All that this version has.
    pub const ALL: Features = Features(
        Features::SYNCED.0
            | Features::CLEAR.0
            | Features::SUBSCRIBE.0
            | Features::FORGET.0
            | Features::PRESENCE.0
            | Features::WILL.0
            | Features::LIFETIME.0
            | Features::TRANSIENT.0
            | Features::STATS.0,
    );

    /// Whether all features of `other` are among them.
    pub const fn contains(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some of `other` are among them.
    pub const fn has_some(self, other: Features) -> bool {
        self.0 & other.0 != 0
    }

    /// Those that `other` has, too.
    pub const fn and(self, other: Features) -> Features {
        Features(self.0 & other.0)
    }

    /// The flags that states may have where both sides announced these.
    #[inline]
    pub const fn state_flags(self) -> u32 {
        let clear = if self.contains(Features::CLEAR) { Meta::CLEAR } else { 0 };
        let transient = if self.contains(Features::TRANSIENT) { Meta::TRANSIENT } else { 0 };
        clear | transient
    }
}
