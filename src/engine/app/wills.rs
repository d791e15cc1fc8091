//! What the app leaves with its hub for the time when it is lost.

use std::collections::BTreeMap;

use log::debug;

use super::{Phase, Session};
use crate::visible::{one_line, Quoted};
use crate::wire::{self, Control, Features, Form, Meta, Value, WillMessage};
use crate::{limits, Error, Result, Status};

/// What the hub does with a name of an app that is lost.
#[derive(Clone, Copy, Debug)]
pub enum Will<'a> {
    /// Nothing: its value stays.
    None,
    /// Its value is withdrawn.
    Clear,
    /// It gets this value.
    Value(Value<'a>),
}

impl<'a> From<Value<'a>> for Will<'a> {
    fn from(value: Value<'a>) -> Will<'a> {
        Will::Value(value)
    }
}

struct Left {
    body: Box<[u8]>,
    meta_at: usize,
    is_clear: bool,
    /// The version of the table of own values when it was left.
    version: u64,
    /// The number with which it was told on this link.
    nth: u64,
    /// Why the hub of this link does not have it.
    refused: Option<Status>,
}

/// The wills of an app, by name.
#[derive(Default)]
pub struct Wills {
    left: BTreeMap<Box<str>, Left>,
    /// Of all bodies.
    bytes: usize,
    /// How many were told on this link.
    told: u64,
    /// Whether there ever was one: a hub may know of it.
    ever: bool,
    /// Whether it was said that the hub of this link keeps none.
    warned: bool,
}

impl Wills {
    fn remove(&mut self, name: &str) -> bool {
        let removed = self.left.remove(name);
        self.bytes -= removed.as_ref().map_or(0, |left| left.body.len());
        removed.is_some()
    }

    /// Whether there is room for a body of so many bytes under this name.
    fn check_room(&self, name: &str, len: usize) -> Result<()> {
        let before = self.left.get(name).map(|left| left.body.len());
        let (count, bytes) = (self.left.len() + usize::from(before.is_none()), self.bytes - before.unwrap_or(0) + len);
        if count > limits::WILLS {
            let text = format!("{} would be one will too many: {} are left", Quoted(name), limits::WILLS);
            return Err(Error::new(Status::Full, text));
        }
        if bytes > limits::WILL_BYTES {
            let text = format!("the will for {} does not fit: all may have {} bytes", Quoted(name), limits::WILL_BYTES);
            return Err(Error::new(Status::Full, text));
        }
        Ok(())
    }

    /// The name of a will, of those left up to `version`, that the hub of this link does not have, and why.
    pub fn refused(&self, version: u64) -> Option<(&str, Status)> {
        let mut left = self.left.iter().filter(|(_, left)| left.version <= version);
        left.find_map(|(name, left)| Some((&**name, left.refused?)))
    }

    /// On another link all are told again.
    pub fn unlink(&mut self) {
        (self.told, self.warned) = (0, false);
        self.left.values_mut().for_each(|left| left.refused = None);
    }
}

impl Session {
    /// Leaves with the hub, now and on every link, what it is to do with `name` when this app is lost.
    pub fn set_will(&mut self, name: &str, will: Will<'_>) -> Result<()> {
        wire::check_name(name)?;
        let is_clear = matches!(will, Will::Clear);
        let value = match will {
            Will::None => {
                if self.own.wills.remove(name) {
                    self.own.table.advance();
                    self.tell_of_wills(WillMessage::Withdraws(name));
                }
                return Ok(());
            }
            Will::Clear => Value::Nil,
            Will::Value(value) => value,
        };
        value.kind()?;
        // It would not be encoded in vain only to find that out.
        if value.max_encoded_len() > 2 * limits::WILL_BYTES {
            self.own.wills.check_room(name, value.max_encoded_len())?;
        }
        let flags = if is_clear { Meta::CLEAR } else { 0 };
        let mut body = Vec::new();
        let meta = Meta { flags, ..Meta::default() };
        let meta_at = wire::encode_value(&mut body, Form::V1, &self.identity, name, value, &meta);
        let limit = self.limit();
        if meta_at > limit {
            let text =
                format!("the will for {} would be a message of {meta_at} bytes; the limit is {limit}", Quoted(name));
            return Err(Error::new(Status::TooLarge, text));
        }
        let wills = &mut self.own.wills;
        wills.check_room(name, body.len())?;
        wills.remove(name);
        wills.bytes += body.len();
        wills.ever = true;
        self.own.table.advance();
        let (body, version) = (body.into(), self.own.table.version());
        let left = Left { body, meta_at, is_clear, version, nth: 0, refused: None };
        self.own.wills.left.insert(name.into(), left);
        self.tell_will(name);
        Ok(())
    }

    /// Whether the hub of this link, or of the last one, keeps wills.
    pub fn hub_keeps_wills(&self) -> bool {
        self.hub.features.contains(Features::WILL)
    }

    /// Whether there is a hub that keeps wills.
    fn has_hub_for_wills(&self) -> bool {
        matches!(self.phase, Phase::Up) && self.hub_keeps_wills()
    }

    /// Tells the hub of a change, if it knows of wills.
    fn tell_of_wills(&mut self, said: WillMessage<'_>) {
        if self.has_hub_for_wills() {
            self.control(&Control::Will(said));
        }
    }

    /// Tells the hub of one will, if it can have it.
    fn tell_will(&mut self, name: &str) {
        if !matches!(self.phase, Phase::Up) {
            return;
        }
        let (keeps, limit) = (self.has_hub_for_wills(), self.limit());
        let Session { own, hub, link, identity, buffers, actions, reports, .. } = self;
        let wills = &mut own.wills;
        let Some(left) = wills.left.get_mut(name) else { return };
        if !keeps {
            if !std::mem::replace(&mut wills.warned, true) {
                reports.warn(["the hub keeps no wills: nothing is published when this app is lost".to_owned()]);
            }
            return;
        }
        let unfit = match () {
            () if left.meta_at > limit => Some(Status::TooLarge),
            () if left.is_clear && !hub.features.contains(Features::CLEAR) => Some(Status::Unsupported),
            () => None,
        };
        if let Some(why) = unfit {
            left.refused = Some(why);
            return reports.will_not_taken(identity, name, why);
        }
        wills.told += 1;
        left.nth = wills.told;
        if let Some(link) = link {
            link.enqueue(identity, &Control::Will(WillMessage::Leaves(&left.body)), &mut buffers.scratch);
            link.flush(actions);
        }
    }

    /// The link is there: the hub is told all wills, before the first state.
    pub(super) fn tell_all_wills(&mut self) {
        if !self.own.wills.ever {
            return;
        }
        let names: Vec<_> = self.own.wills.left.keys().cloned().collect();
        names.iter().for_each(|name| self.tell_will(name));
        self.tell_of_wills(WillMessage::Complete);
        debug!("{}: leaves {} wills", one_line(&self.identity), names.len());
    }

    /// `$ns/will-rejected`: the will of this number, or one that has replaced it, is not with the hub.
    pub(super) fn will_was_rejected(&mut self, status: i32, name: &str, nth: u64) {
        let why = Status::from_code(status).filter(|&why| why != Status::Ok).unwrap_or(Status::Full);
        if let Some(left) = self.own.wills.left.get_mut(name).filter(|left| left.nth == nth) {
            left.refused = Some(why);
        }
        self.reports.will_not_taken(&self.identity, name, why);
    }
}
