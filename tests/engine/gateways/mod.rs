//! What the hub says to clients of its gateways, and makes of what they say.

mod publish;
mod push;
mod requests;

use nanostate::engine::ConnId;
use nanostate::framing::Framing;
use nanostate::wire::{self, Form, Meta};
use nanostate::Value;

use crate::sim::{body, whole_frames, Direct};

/// A state as clients of gateways send it.
pub fn old_state(sender: &str, name: &str, value: &[u8]) -> Vec<u8> {
    body(Form::Old, sender, name, value, &Meta::default())
}

/// A message for subscribers: the name, a NUL, the body.
pub fn named(name: &str, body: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\0", body].concat()
}

/// The state in a message for subscribers.
fn published(message: &[u8]) -> wire::Body<'_> {
    let nul = message.iter().position(|&byte| byte == 0).expect("a NUL behind the name");
    let body = wire::decode(&message[nul + 1..], Form::Old).expect("three elements");
    assert_eq!(body.name().as_bytes(), &message[..nul]);
    body
}

/// The names in the frames of a pub gateway, in order.
fn names(frames: &[Vec<u8>]) -> Vec<&str> {
    frames.iter().map(|frame| published(frame).name()).collect()
}

/// A value from its JSON.
pub fn json(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::to_msgpack(json, &mut out).expect(json);
    out
}

/// A str.
pub fn str_value(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Value::Text(text).encode(&mut out);
    out
}

/// An answer as JSON.
pub fn answered(hub: &mut Direct, gateway: ConnId, request: &str) -> String {
    let answer = hub.ask(gateway, &json(request));
    assert!(wire::check(&answer).is_ok(), "{request} is answered with one value");
    wire::from_msgpack(&answer)
}

/// The text of a fault.
fn fault(hub: &mut Direct, gateway: ConnId, request: &[u8]) -> String {
    let answer = hub.ask(gateway, request);
    wire::text(&answer).unwrap_or_else(|| panic!("no fault: {}", wire::from_msgpack(&answer))).to_owned()
}

/// What has come out of a gateway that is read in pieces.
pub struct Outgoing {
    gateway: ConnId,
    bytes: Vec<u8>,
}

impl Outgoing {
    pub fn new(gateway: ConnId) -> Outgoing {
        Outgoing { gateway, bytes: Vec::new() }
    }

    pub fn read(&mut self, hub: &mut Direct, most: usize) {
        let more = hub.read(self.gateway, most);
        self.bytes.extend(more);
    }

    /// Everything, up to the end of what waits, as frames.
    pub fn frames(mut self, hub: &mut Direct) -> Vec<Vec<u8>> {
        self.read(hub, usize::MAX);
        whole_frames(Framing::Tcp, &self.bytes)
    }
}
