//! Apps at a hub that is run by hand, and what they are sent, in words.

use nanostate::engine::ConnId;
use nanostate::framing::{header, Version};
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta};

use crate::sim::Direct;

/// An app of this identity joins.
pub fn join(hub: &mut Direct, identity: &str, flags: HelloFlags, features: Features) -> ConnId {
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    let (instance, accept) = (Instance([2; 16]), wire::ACCEPT_ANY);
    let hello = Control::Hello { instance, epoch: 1, accept, flags, time: None, secret: None, token: None, features };
    hub.control(conn, identity, hello);
    conn
}

/// What a peer is sent: the names of states, with a mark if they are retained, and the numbers of markers.
pub fn said(hub: &mut Direct, conn: ConnId) -> Vec<String> {
    hub.bodies(conn).iter().filter_map(|bytes| words(bytes)).collect()
}

/// What one body says.
pub fn words(bytes: &[u8]) -> Option<String> {
    let body = wire::decode(bytes, Form::V1).expect("a body");
    match Control::decode(&body) {
        Ok(Control::Synced { asks }) => Some(format!("synced {asks}")),
        _ if body.is_reserved() => None,
        _ if body.meta.flags & Meta::RETAINED != 0 => Some(format!("{} held", body.name())),
        _ => Some(body.name().to_owned()),
    }
}
