//! Attacks by apps that read a little of large bodies and stop: the hub cannot let go of what is half written.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use nanostate::limits;

use super::fill;
use crate::hub::Addresses;
use crate::peer::{Peer, ACCEPT_ATTACKS, ACCEPT_NONE};
use crate::storm::Storm;

const READERS: usize = 40;
/// What each reads before it stops.
const READ: usize = 1000;

/// An app that reads a little of what the hub sends and stops.
fn reader(to: &Addresses, n: usize) -> io::Result<Peer> {
    let mut peer = Peer::app(&to.ipc, &format!("reads-a-little-{n}"), ACCEPT_ATTACKS)?;
    peer.keep_little()?;
    peer.skip(READ)?;
    Ok(peer)
}

/// Costs the hub the memory of every value of a large state that somebody has begun to read, also of those that were
/// replaced.
pub fn large(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const EVERY: Duration = Duration::from_millis(100);
    let mut publisher = Peer::app(&to.tcp, "changes", ACCEPT_NONE)?;
    let text = "x".repeat(limits::MAX_MESSAGE - 1000);
    let mut readers = VecDeque::new();
    storm.begins();
    for n in 0.. {
        publisher.put_state("large", &text);
        publisher.sync()?;
        storm.strike(1);
        if readers.len() == READERS {
            readers.pop_front();
        }
        readers.push_back(reader(to, n)?);
        storm.wait(EVERY);
        if !storm.is_on() {
            break;
        }
    }
    Ok(())
}

/// Costs the hub a walk for each app, and the copy of what waits for it.
pub fn late(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let _filler = fill(to, 20_000, &"x".repeat(10_000))?;
    let mut readers = VecDeque::new();
    storm.begins();
    for n in 0.. {
        if readers.len() == READERS {
            readers.pop_front();
        }
        readers.push_back(reader(to, n)?);
        storm.strike(1);
        if !storm.is_on() {
            break;
        }
    }
    Ok(())
}
