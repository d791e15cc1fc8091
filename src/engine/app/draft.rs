//! How a value is sent, and a large one that is encoded before anything is locked.

use super::super::table::SHARE_FROM;
use crate::memory::{self, Bytes, NoMemory};
use crate::wire::{self, Form, Kind, Meta, Stamp, Value};
use crate::Result;

/// How a value is sent.
#[derive(Clone, Copy, Default)]
pub struct Policy {
    /// After how many milliseconds it expires, if it does.
    pub lifetime: Option<u64>,
    /// Newcomers are not sent it, and it ends with its sender.
    pub is_transient: bool,
}

impl Policy {
    /// The most that it adds to a meta.
    pub(super) const LEN: usize = Meta::FLAGS_LEN + Meta::LIFETIME_LEN;

    /// What it adds to a meta, at most.
    #[inline]
    pub(super) fn len(self) -> usize {
        let flags = if self.is_transient { Meta::FLAGS_LEN } else { 0 };
        flags + self.lifetime.map_or(0, |_| Meta::LIFETIME_LEN)
    }

    /// The meta of a value that is sent so.
    pub(super) fn meta(self, stamp: Stamp) -> Meta<'static> {
        let flags = if self.is_transient { Meta::TRANSIENT } else { 0 };
        Meta { stamp: Some(stamp), flags, lifetime: self.lifetime, ..Meta::default() }
    }
}

/// A large value, encoded where it will stay, without its stamp: that takes a while, and needs no session.
pub struct Draft<'a> {
    pub(super) body: Bytes,
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) policy: Policy,
}

impl<'a> Draft<'a> {
    /// Whether a value should be encoded beforehand.
    pub fn is_worthwhile(value: &Value<'_>) -> bool {
        value.max_encoded_len() >= SHARE_FROM
    }

    /// Encodes a value, which is checked, for the session of this identity.
    ///
    /// # Errors
    /// [`Status::Name`]; [`Status::NoMemory`].
    pub fn new(identity: &str, name: &'a str, value: Value<'_>, kind: Kind) -> Result<Draft<'a>> {
        wire::check_name(name)?;
        let body = wire::encode_apart(Form::V1, identity, name, &value, Stamp::META_LEN + Policy::LEN);
        let body = body.map_err(|NoMemory| memory::none_for(value.max_encoded_len(), name))?;
        Ok(Draft { body, name, kind, policy: Policy::default() })
    }

    /// It is sent so.
    pub fn with_policy(self, policy: Policy) -> Draft<'a> {
        Draft { policy, ..self }
    }
}
