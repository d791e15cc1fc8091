//! A large value that is encoded before anything is locked.

use super::super::table::SHARE_FROM;
use crate::wire::{self, Form, Kind, Meta, Stamp, Value};
use crate::{memory, Result};

/// A large value, encoded where it will stay, without its stamp: that takes a while, and needs no session.
pub struct Draft<'a> {
    pub(super) body: Vec<u8>,
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) lifetime: Option<u64>,
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
        let room = wire::max_head_len(identity, name, &value) + Stamp::META_LEN + Meta::LIFETIME_LEN;
        let mut body = memory::for_value(room, name)?;
        wire::encode_head(&mut body, Form::V1, identity, name, value);
        Ok(Draft { body, name, kind, lifetime: None })
    }

    /// After how many milliseconds it expires.
    pub fn lives_for(self, lifetime: Option<u64>) -> Draft<'a> {
        Draft { lifetime, ..self }
    }
}
