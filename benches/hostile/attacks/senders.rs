//! Attacks by one old program that speaks for many senders.

use std::io;

use nanostate::limits;

use super::{fill_senders, BATCH};
use crate::hub::Addresses;
use crate::peer::Peer;
use crate::storm::Storm;

/// Costs the hub a new owner for each sender, and when the program leaves a change of each.
pub fn departures(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const SENDERS: usize = 300_000;
    fill_senders(to, SENDERS, "same")?.leave()?;
    storm.begins();
    while storm.is_on() {
        let mut peer = Peer::old(&to.tcp)?;
        for i in 0..SENDERS {
            peer.put_state_of(&format!("sender-{i}"), "same", "x");
            if peer.waiting() >= BATCH {
                peer.write()?;
                if !storm.is_on() {
                    return Ok(());
                }
            }
        }
        peer.write()?;
        peer.leave()?;
        storm.strike(1);
    }
    Ok(())
}

/// Costs the hub the most memory for each state that it holds, and an eviction for each that comes once it is full.
pub fn long_senders(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let mut peer = Peer::old(&to.tcp)?;
    storm.begins();
    let width = limits::MAX_SENDER;
    for i in 0_u64.. {
        peer.put_state_of(&format!("{i:0width$}"), "x", "x");
        storm.strike(1);
        if peer.waiting() >= BATCH {
            peer.write()?;
            if !storm.is_on() {
                break;
            }
        }
    }
    Ok(())
}
