//! Attacks by WebSockets.

use std::io;
use std::time::Duration;

use super::BATCH;
use crate::hub::Addresses;
use crate::peer::{Peer, ACCEPT_NONE};
use crate::storm::Storm;

/// How many fragments each message has, about.
const FRAGMENTS: usize = 130_000;

/// Adds a message in fragments of one byte to what is written next, if that is all gone.
fn put_fragments(peer: &mut Peer, storm: &Storm, text: &str) {
    if peer.waiting() == 0 {
        peer.put_fragments("fragments", text);
        storm.strike(1);
    }
}

/// Adds pings to what is written next.
fn put_pings(peer: &mut Peer, storm: &Storm) {
    while peer.waiting() < BATCH {
        peer.put_web_ping();
        storm.strike(1);
    }
}

/// Has each add to what is written next, and writes what they take, until the storm is over.
fn flood(peers: &mut [Peer], storm: &Storm, mut put: impl FnMut(usize, &mut Peer)) -> io::Result<()> {
    while storm.is_on() {
        let mut written = 0;
        for (i, peer) in peers.iter_mut().enumerate() {
            put(i, peer);
            written += peer.write_some()?;
        }
        if written == 0 {
            storm.wait(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Costs the hub a frame for each byte.
pub fn fragments(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let page = |i| Peer::app(&to.ws, &format!("fragments-{i}"), ACCEPT_NONE);
    let mut peers = (0..20).map(page).collect::<io::Result<Vec<_>>>()?;
    let text = "x".repeat(FRAGMENTS);
    storm.begins();
    flood(&mut peers, storm, |_, peer| put_fragments(peer, storm, &text))
}

/// Costs the hub an answer to each.
pub fn pings(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let page = |i| Peer::app(&to.ws, &format!("web-pings-{i}"), ACCEPT_NONE);
    let mut peers = (0..200).map(page).collect::<io::Result<Vec<_>>>()?;
    storm.begins();
    flood(&mut peers, storm, |_, peer| put_pings(peer, storm))
}

/// The name of the row with [`three`].
pub const THREE: &str = "three pages";

/// One of each kind, and one that stops reading.
pub fn three(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let stopped = Peer::app(&to.ws, "stopped", u32::MAX)?;
    stopped.keep_little()?;
    let page = |name| Peer::app(&to.ws, name, ACCEPT_NONE);
    let mut peers = [page("fragments")?, page("web-pings")?];
    let text = "x".repeat(FRAGMENTS);
    storm.begins();
    flood(&mut peers, storm, |i, peer| match i {
        0 => put_fragments(peer, storm, &text),
        _ => put_pings(peer, storm),
    })
}
