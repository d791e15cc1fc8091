//! What a hub does costs what is due.

mod connections;
mod floods;
mod readers;
mod senders;

use super::*;
use crate::framing::{frame_head, header, Framing};
use crate::time::LogicalTime;
use crate::wire::{self, Form, HelloFlags, Meta, Stamp};

fn open(router: &mut Router, now: Now, conn: ConnId) {
    let info = ConnInfo { framing: Framing::Tcp, from: String::new(), gateway: None };
    router.opened(now, conn, info, None);
}

fn act(router: &mut Router) -> Vec<Action> {
    let actions = std::iter::from_fn(|| router.next_action()).collect();
    while router.next_event().is_some() {}
    actions
}

/// A frame of TCP.
fn frame(body: &[u8]) -> Vec<u8> {
    [&frame_head(Framing::Tcp, body.len())[..], body].concat()
}

/// An app joins.
fn join(router: &mut Router, now: Now, conn: u64, accept: u32) {
    open(router, now, ConnId(conn));
    let instance = Instance([conn as u8; 16]);
    let hello = Control::Hello { instance, epoch: 1, accept, flags: HelloFlags(0), time: None, secret: None };
    let mut body = Vec::new();
    hello.encode(&format!("app{conn}"), &mut body);
    router.bytes(now, ConnId(conn), &header(Version::V1));
    router.bytes(now, ConnId(conn), &frame(&body));
}

/// The frame of a state of this app, under a name of its own.
fn state(conn: u64, n: u64) -> Vec<u8> {
    let stamp = Stamp { clock: LogicalTime::from_bits(n), instance: Instance([conn as u8; 16]) };
    let (mut body, meta) = (Vec::new(), Meta { stamp: Some(stamp), ..Meta::default() });
    wire::encode(&mut body, Form::V1, &format!("app{conn}"), &n.to_string(), &[0xC3], &meta);
    frame(&body)
}
