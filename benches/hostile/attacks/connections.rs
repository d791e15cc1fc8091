//! Attacks by connections: what they leave unfinished, and how they come and go.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nanostate::framing::{self, Version};
use nanostate::limits;
use nanostate::wire::ACCEPT_ANY;

use super::fill_senders;
use crate::honest;
use crate::hub::Addresses;
use crate::peer::{Peer, ACCEPT_NONE};
use crate::storm::Storm;

/// Costs the hub the memory of nearly whole frames: the frame of each of `n` apps lacks its last bytes.
pub fn drip(to: &Addresses, storm: &Storm, n: usize) -> io::Result<()> {
    const MISSING: usize = 1024;
    const EVERY: Duration = Duration::from_secs(3);
    let url = to.tcp.clone();
    let dripping = storm.clone();
    storm.begins();
    storm.crowd(n, move |i| {
        let mut peer = Peer::app(&url, &format!("drips-{i}"), ACCEPT_NONE)?;
        peer.put_head(limits::MAX_MESSAGE);
        peer.put_bytes(&vec![0x94; limits::MAX_MESSAGE - MISSING]);
        peer.write()?;
        while dripping.is_on() {
            dripping.wait(EVERY);
            peer.send(&[0])?;
            dripping.strike(1);
        }
        Ok(())
    });
    Ok(())
}

/// Costs the hub a place and a descriptor for each connection, until the time of the handshake is over.
pub fn silent(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const CONNECTIONS: usize = 2000;
    storm.begins();
    while storm.is_on() {
        let peers = (0..CONNECTIONS).map(|_| Peer::silent(&to.ipc)).collect::<io::Result<Vec<_>>>()?;
        storm.strike(peers.len() as u64);
        // The hub closes them meanwhile.
        storm.wait(limits::HANDSHAKE + Duration::from_secs(1));
    }
    Ok(())
}

/// Costs the hub a peer that joins, the beginning of all that it holds, and a peer that leaves, each time, and a line of
/// its log for each of the two.
pub fn connects(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let _filler = fill_senders(to, 300_000, "same")?;
    let (url, counted, next) = (to.ipc.clone(), storm.clone(), AtomicU64::new(0));
    storm.begins();
    storm.crowd(8, move |_| {
        // Each with an identity of its own.
        let n = next.fetch_add(1, Ordering::Relaxed);
        drop(Peer::app(&url, &format!("comes-and-goes-{n}"), ACCEPT_ANY)?);
        counted.strike(1);
        Ok(())
    });
    Ok(())
}

/// Costs the hub the check of every body, and a connection whenever the bytes cannot be frames.
pub fn junk(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const FRAMES: usize = 64;
    let (url, counted) = (to.ipc.clone(), storm.clone());
    storm.begins();
    storm.crowd(50, move |i| {
        let mut random = crate::support::Random::new(i as u64);
        let mut peer = Peer::silent(&url)?;
        peer.put_bytes(&framing::header(if i % 2 == 0 { Version::V1 } else { Version::Old }));
        while counted.is_on() {
            for _ in 0..FRAMES {
                let len = random.below(2000);
                peer.put(&random.bytes(len));
            }
            // One in many is no frame at all.
            if random.below(20) == 0 {
                peer.put_bytes(&random.bytes(100));
            }
            peer.write()?;
            counted.strike(FRAMES as u64);
        }
        Ok(())
    });
    Ok(())
}

/// Costs the hub a ping to the holder for each claim, and the holder a pong.
pub fn claims(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let (url, counted) = (to.ipc.clone(), storm.clone());
    storm.begins();
    storm.crowd(50, move |_| {
        let mut peer = Peer::app(&url, honest::IDENTITY, ACCEPT_NONE)?;
        counted.strike(1);
        // Until the hub has refused and closed.
        peer.skip(1 << 20)
    });
    Ok(())
}
