//! Faults that are put into the engine to see whether its tests find them.
//!
//! Only with the feature `mutations`, which no build for use has: without it each [`is_on`] is the constant `false`. Which
//! one is on is said by a variable of the environment when the process starts, so that one build has them all.

/// A fault of the engine, by which it breaks a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// A table takes the older of two values.
    StampsReversed,
    /// An app does not announce its values on a new link.
    AnnounceDropped,
    /// A walk over a table leaves out the entry behind each that it sends.
    CursorOffByOne,
    /// A receiver that fell behind is taken for live after one walk, whatever changed during it.
    WalkNotRepeated,
    /// A tombstone is forgotten at once.
    TombstoneForgotten,
    /// Who is sent a name is not looked up again when a pattern comes or goes.
    AudienceKept,
    /// A will is published twice.
    WillTwice,
    /// An app that comes back in time is lost all the same.
    ReturnIgnored,
    /// A value does not expire.
    LifetimeForgotten,
    /// The hub says that it has sent what it held before it has.
    SyncedEarly,
    /// An app asks for an acknowledgement of what it has not written yet.
    AckedEarly,
    /// A store writes every second of the entries that changed.
    StoreSkips,
    /// A store is not told of wills.
    WillsNotStored,
    /// A newcomer is sent transient values.
    TransientRetained,
    /// The values of an app stay fresh when it is gone.
    StaleMissed,
}

impl Mutation {
    /// All there are.
    pub const ALL: [Mutation; 15] = [
        Mutation::StampsReversed,
        Mutation::AnnounceDropped,
        Mutation::CursorOffByOne,
        Mutation::WalkNotRepeated,
        Mutation::TombstoneForgotten,
        Mutation::AudienceKept,
        Mutation::WillTwice,
        Mutation::ReturnIgnored,
        Mutation::LifetimeForgotten,
        Mutation::SyncedEarly,
        Mutation::AckedEarly,
        Mutation::StoreSkips,
        Mutation::WillsNotStored,
        Mutation::TransientRetained,
        Mutation::StaleMissed,
    ];

    /// The variable that has the name of the one that is on, as [`Debug`](std::fmt::Debug) writes it.
    pub const VARIABLE: &str = "NANOSTATE_MUTATION";
}

/// Whether this one is on.
#[cfg(feature = "mutations")]
pub fn is_on(mutation: Mutation) -> bool {
    use std::sync::OnceLock;
    static ON: OnceLock<Option<Mutation>> = OnceLock::new();
    let on = ON.get_or_init(|| {
        let name = std::env::var(Mutation::VARIABLE).ok()?;
        let named = Mutation::ALL.into_iter().find(|one| format!("{one:?}") == name);
        Some(named.unwrap_or_else(|| panic!("{} is {name:?}, which is none", Mutation::VARIABLE)))
    });
    *on == Some(mutation)
}

/// Whether this one is on.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn is_on(_: Mutation) -> bool {
    false
}
