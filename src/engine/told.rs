//! How a state is shown in the log.

use std::fmt;

use super::table::Entry;
use crate::visible::one_line;
use crate::wire::{Body, Kind};

/// `SENDER NAME (KIND, BYTES)`, without the value: others than those it is for may read a log.
pub struct Told<'a> {
    sender: &'a str,
    name: &'a str,
    kind: Kind,
    len: usize,
}

impl<'a> Told<'a> {
    /// A state in a table.
    pub fn entry(entry: &'a Entry) -> Told<'a> {
        Told { sender: entry.sender(), name: entry.name(), kind: entry.kind(), len: entry.meta_at() }
    }

    /// A state that came.
    pub fn body(body: &Body<'a>) -> Told<'a> {
        Told { sender: body.sender(), name: body.name(), kind: body.kind, len: body.meta_at }
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { sender, name, kind, len } = self;
        write!(f, "{} {} ({}, {len} bytes)", one_line(sender), one_line(name), kind.name())
    }
}
