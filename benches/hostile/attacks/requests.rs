//! Attacks by requests, each of which makes the hub look at much that it holds.

use std::io;
use std::time::Duration;

use nanostate::framing::REQ;
use nanostate::limits;
use nanostate::wire::Control;

use super::{fill, fill_senders, BATCH};
use crate::hub::Addresses;
use crate::peer::{Peer, ACCEPT_NONE};
use crate::storm::Storm;

const CLIENTS: usize = 20;
/// Nearly as many as one sender may have.
const STATES: usize = 490_000;

/// So many clients ask this and wait for the answer, again and again.
fn ask(to: &Addresses, storm: &Storm, request: String) {
    let (url, counted) = (to.rep.clone(), storm.clone());
    storm.begins();
    storm.crowd(CLIENTS, move |_| {
        let mut client = Peer::client(&url, REQ)?;
        while counted.is_on() {
            client.ask(&request)?;
            counted.strike(1);
        }
        Ok(())
    });
}

/// Costs the hub the comparison of a pattern with long names, at each segment of which most of it fits.
pub fn patterns(to: &Addresses, storm: &Storm) -> io::Result<()> {
    const NAMES: usize = 120;
    // Between two `**` as many segments as may be. All but the last fit everywhere, piece by piece.
    let fits = format!("{}/", "*".repeat(70)).repeat(7);
    let pattern = format!("**/{fits}b/**");
    let mut filler = Peer::app(&to.tcp, "filler", ACCEPT_NONE)?;
    for i in 0..NAMES {
        let end = format!("{i:03}");
        filler.put_state(&format!("{}{end}", "a/".repeat((limits::MAX_NAME - end.len()) / 2)), "x");
    }
    filler.sync()?;
    ask(to, storm, format!("[\"list\", \"{pattern}\"]"));
    Ok(())
}

/// Costs the hub a look at every state, and an answer that is as long as answers may be.
pub fn lists(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let _filler = fill(to, STATES, "x")?;
    ask(to, storm, "[\"list\", \"**\"]".to_owned());
    Ok(())
}

/// Costs the hub a look at every sender of a name, to find the newest.
pub fn gets(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let _filler = fill_senders(to, 300_000, "same")?;
    ask(to, storm, "[\"get\", \"same\"]".to_owned());
    Ok(())
}

/// Costs the hub the memory of answers that nobody takes.
pub fn unread(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let _filler = fill(to, 10_000, &"x".repeat(80))?;
    let mut clients = (0..100).map(|_| Peer::client(&to.rep, REQ)).collect::<io::Result<Vec<_>>>()?;
    storm.begins();
    pump(storm, &mut clients, |client| client.put_request("[\"list\", \"**\"]"));
    Ok(())
}

/// Costs the hub a walk through the whole table for each request, which sends nothing.
pub fn accepts(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let _filler = fill(to, STATES, "x")?;
    let app = |i| Peer::app(&to.tcp, &format!("accepts-{i}"), ACCEPT_NONE);
    let mut peers = (0..200).map(app).collect::<io::Result<Vec<_>>>()?;
    storm.begins();
    while storm.is_on() {
        for peer in &mut peers {
            peer.put_control(&Control::Accept { mask: ACCEPT_NONE });
            peer.write()?;
            storm.strike(1);
        }
        storm.wait(Duration::from_millis(5));
    }
    Ok(())
}

/// Costs the hub the memory of pongs that nobody takes.
pub fn pings(to: &Addresses, storm: &Storm) -> io::Result<()> {
    let app = |i| Peer::app(&to.tcp, &format!("pings-{i}"), ACCEPT_NONE);
    let mut peers = (0..200).map(app).collect::<io::Result<Vec<_>>>()?;
    storm.begins();
    pump(storm, &mut peers, |peer| peer.put_control(&Control::Ping { token: 1 }));
    Ok(())
}

/// Writes `put` on every connection, again and again, as fast as the hub takes it. The attackers never read.
fn pump(storm: &Storm, peers: &mut Vec<Peer>, put: impl Fn(&mut Peer)) {
    while storm.is_on() {
        let mut written = 0;
        peers.retain_mut(|peer| {
            let mut put_now = 0;
            while peer.waiting() < BATCH / 4 {
                put(peer);
                put_now += 1;
            }
            storm.strike(put_now);
            // One that the hub has cut off is gone.
            peer.write_some().inspect(|n| written += n).is_ok()
        });
        if written == 0 {
            storm.wait(Duration::from_millis(1));
        }
    }
}
