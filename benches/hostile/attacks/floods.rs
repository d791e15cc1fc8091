//! Attacks by publishers, with those who receive.

use std::io;
use std::time::Duration;

use super::BATCH;
use crate::hub::Addresses;
use crate::peer::{Peer, ACCEPT_ATTACKS, ACCEPT_NONE};
use crate::storm::Storm;

/// Costs the hub all the time that it gives to publishers. Nobody is sent what they publish.
pub fn publishers(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const NAMES: usize = 100;
    let app = |i| Peer::app(&to.tcp, &format!("publishes-{i}"), ACCEPT_NONE);
    let mut peers = (0..200).map(app).collect::<io::Result<Vec<_>>>()?;
    let text = "x".repeat(64);
    storm.begins();
    let mut n = 0;
    while storm.is_on() {
        let mut written = 0;
        for peer in &mut peers {
            while peer.waiting() < BATCH / 4 {
                peer.put_state(&format!("flood/{}", n % NAMES), &text);
                n += 1;
                storm.strike(1);
            }
            written += peer.write_some()?;
        }
        if written == 0 {
            storm.wait(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// One app updates many names at full speed.
fn update(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const NAMES: usize = 1000;
    let mut peer = Peer::app(&to.tcp, "updates", ACCEPT_NONE)?;
    let text = "x".repeat(1000);
    let mut n = 0;
    while storm.is_on() {
        while peer.waiting() < BATCH {
            peer.put_state(&format!("update/{}", n % NAMES), &text);
            n += 1;
            storm.strike(1);
        }
        peer.write()?;
    }
    Ok(())
}

/// Costs the hub a copy of each update for each of those that do not keep up, up to the limit of what waits for one.
pub fn unread(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let app = |i| {
        let peer = Peer::app(&to.ipc, &format!("does-not-read-{i}"), ACCEPT_ATTACKS)?;
        peer.keep_little().map(|()| peer)
    };
    let _peers = (0..500).map(app).collect::<io::Result<Vec<_>>>()?;
    storm.begins();
    update(to, storm)
}

/// Costs the hub a write of each update for each receiver.
pub fn subscribers(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const SUBSCRIBERS: usize = 100;
    let (publisher, to) = (storm.clone(), to.clone());
    storm.begins();
    storm.crowd(SUBSCRIBERS + 1, move |i| {
        if i == SUBSCRIBERS {
            return update(&to, &publisher);
        }
        let mut peer = Peer::app(&to.ipc, &format!("reads-{i}"), ACCEPT_ATTACKS)?;
        while publisher.is_on() {
            peer.skip(BATCH)?;
        }
        Ok(())
    });
    Ok(())
}
