//! The counters of an app.

/// Counters of an app since it was made, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppStats {
    /// Own values taken by `send`.
    pub sent: u64,
    /// Bytes of their bodies.
    pub sent_bytes: u64,
    /// States received and accepted.
    pub received: u64,
    /// Bytes of their bodies.
    pub received_bytes: u64,
    /// Own values replaced by newer ones before they were written.
    pub conflated_out: u64,
    /// Received values replaced by newer ones before the program took them.
    pub conflated_in: u64,
    /// Received values dropped: newest ones, beyond all that the app keeps.
    pub dropped_in: u64,
    /// Received values of a kind that is not accepted.
    pub rejected: u64,
    /// Received values that were there already, or are older than an own one.
    pub stale: u64,
    /// Own values that came back from an old hub.
    pub echoes: u64,
    /// Own values that the hub did not take.
    pub refused: u64,
    /// Own values under a shared identity that gave way to a newer one of another app.
    pub superseded: u64,
    /// Own values withheld from an old hub, or larger than the hub takes.
    pub withheld: u64,
    /// Received bodies that are malformed.
    pub malformed: u64,
    /// Received frames over the limit, or larger than there was memory for.
    pub too_large: u64,
    /// Links that were established.
    pub connects: u64,
    /// Now: bytes of own values.
    pub own_bytes: u64,
    /// Now: states that wait to be taken.
    pub queued: u64,
    /// Now: their bytes.
    pub queued_bytes: u64,
}
