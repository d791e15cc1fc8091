//! Clients of gateways that have connections of their own.

mod handshake;
mod requests;
mod states;

use nanostate::engine::ConnId;
use nanostate::framing::{self, frame_head, gateway_header, Framing, Sp};

use crate::sim::Direct;

/// Every protocol that has a name here.
const PROTOCOLS: [Sp; 9] = [
    framing::BUS,
    framing::PUB,
    framing::SUB,
    framing::REQ,
    framing::REP,
    framing::PUSH,
    framing::PULL,
    framing::SURVEYOR,
    framing::RESPONDENT,
];

/// The number of a protocol, as its header has it.
fn number(protocol: Sp) -> u16 {
    let header = gateway_header(protocol);
    u16::from_be_bytes([header[4], header[5]])
}

/// A trace of so many steps, told from others by `tag`.
fn trace(steps: usize, tag: u8) -> Vec<u8> {
    let mut trace: Vec<u8> = (0..steps).flat_map(|step| [0x7F, step as u8, tag, 0xFF]).collect();
    if let Some(last) = steps.checked_sub(1) {
        trace[4 * last] = 0x80;
    }
    trace
}

/// A request over TCP, in its frame.
fn request(trace: &[u8], asks: &[u8]) -> Vec<u8> {
    [&frame_head(Framing::Tcp, trace.len() + asks.len())[..], trace, asks].concat()
}

/// What waits for a client that asked with a trace of one step, without the traces; these are those of `tags`.
fn answers_to(hub: &mut Direct, client: ConnId, tags: impl IntoIterator<Item = u8>) -> Vec<Vec<u8>> {
    let bodies = hub.bodies(client);
    let tags: Vec<_> = tags.into_iter().collect();
    assert_eq!(bodies.len(), tags.len(), "an answer to each");
    let behind = |(body, tag): (&Vec<u8>, u8)| body.strip_prefix(&trace(1, tag)[..]).expect("its trace").to_vec();
    bodies.iter().zip(tags).map(behind).collect()
}

/// The answer to a request, the only one that waits.
fn asked(hub: &mut Direct, client: ConnId, asks: &[u8]) -> Vec<u8> {
    hub.bytes(client, &request(&trace(1, 9), asks));
    hub.settle();
    answers_to(hub, client, [9]).remove(0)
}
