//! The attacks, each a small function: it fills the table as it needs, waits for the word, and strikes until the storm is
//! over.

mod connections;
mod floods;
pub mod pages;
mod readers;
mod requests;
mod senders;

use std::io;

use crate::hub::Addresses;
use crate::peer::{Peer, ACCEPT_NONE};
use crate::storm::Storm;

/// A row of the table.
pub struct Attack {
    /// In the table, and to choose it.
    pub name: &'static str,
    /// What the attackers do, in words for the page.
    pub does: &'static str,
    /// Whether an honest program sends large values meanwhile.
    pub large: bool,
    pub run: fn(&Addresses, &Storm) -> io::Result<()>,
}

const fn attack(name: &'static str, run: fn(&Addresses, &Storm) -> io::Result<()>, does: &'static str) -> Attack {
    Attack { name, does, large: false, run }
}

const fn with_large(attack: Attack) -> Attack {
    Attack { large: true, ..attack }
}

/// All rows, in the order of the table.
pub const ALL: &[Attack] = &[
    attack("none", none, "Nobody attacks: what the other rows are compared with."),
    with_large(attack("none, large", none, "Nobody attacks, and an honest app sends a value of 3 MB five times a second.")),
    with_large(attack(
        "drip 16",
        |to, storm| connections::drip(to, storm, 16),
        "16 apps each send a message of the largest size but for its end, then a byte every few seconds. An honest app \
         sends values of 3 MB.",
    )),
    with_large(attack(
        "drip 64",
        |to, storm| connections::drip(to, storm, 64),
        "64 apps do the same: together more than the hub has room for (`--unfinished`).",
    )),
    attack("silent", connections::silent, "2,000 connections that never say a word (`--handshake`)."),
    attack(
        "connects",
        connections::connects,
        "Apps that connect, say hello and close at once, over a table of 300,000 senders.",
    ),
    attack("junk", connections::junk, "50 connections send random bytes, and come again when the hub closes them."),
    attack("claims", connections::claims, "50 apps ask for the identity of an honest one, without its secret."),
    attack(
        "patterns",
        requests::patterns,
        "20 clients of a gateway list 120 names of 1 kB by the pattern that takes longest.",
    ),
    attack("lists", requests::lists, "20 clients list everything, which is 490,000 states."),
    attack("gets", requests::gets, "20 clients get a name that 300,000 senders have."),
    attack("unread answers", requests::unread, "100 clients keep asking and read no answer."),
    attack(
        "accepts",
        requests::accepts,
        "200 apps ask again and again for all 490,000 states, of a kind that none of them is (`$ns/accept`).",
    ),
    attack("pings", requests::pings, "200 apps ping at full speed and do not read."),
    attack(
        "departures",
        senders::departures,
        "An old program speaks for 300,000 senders and leaves, again and again.",
    ),
    attack(
        "long senders",
        senders::long_senders,
        "An old program sends states of ever new senders, each with the longest identity there is (`--table-bytes`).",
    ),
    attack("publishers", floods::publishers, "200 apps publish small states at full speed."),
    attack("subscribers", floods::subscribers, "One app updates 1,000 names at full speed, for 100 apps that read all."),
    attack("unread updates", floods::unread, "The same, for 500 apps that do not read (`--outbox`)."),
    attack(
        "large readers",
        readers::large,
        "40 apps read 1 kB of a state of the largest size and stop, each of another value of it.",
    ),
    attack("late readers", readers::late, "40 apps read 1 kB of all that the hub holds, 200 MB, and stop; then others come."),
    attack(
        "fragments",
        pages::fragments,
        "20 WebSockets each send a message in 130,000 fragments of one byte, again and again.",
    ),
    attack("web pings", pages::pings, "200 WebSockets send pings of the WebSocket at full speed and do not read."),
    attack(
        "three pages",
        pages::three,
        "Three WebSockets: one that stops reading, one that sends fragments, and one that pings.",
    ),
];

/// Costs the hub nothing.
fn none(_: &Addresses, storm: &Storm) -> io::Result<()> {
    storm.begins();
    storm.crowd(0, |_| Ok(()));
    Ok(())
}

/// Bytes that are written together.
const BATCH: usize = 64 << 10;

/// Fills the table with so many states of one app, and gives it: while it lives they are not those of a departed one.
fn fill(to: &Addresses, states: usize, text: &str) -> io::Result<Peer> {
    let mut peer = Peer::app(&to.tcp, "filler", ACCEPT_NONE)?;
    for i in 0..states {
        peer.put_state(&format!("filled/{i}"), text);
        if peer.waiting() >= BATCH {
            peer.write()?;
        }
    }
    peer.sync()?;
    Ok(peer)
}

/// Fills the table with one state of each of so many senders, all of this name. One old program speaks for them all.
fn fill_senders(to: &Addresses, senders: usize, name: &str) -> io::Result<Peer> {
    const LAST: &str = "the/last";
    let mut peer = Peer::old(&to.tcp)?;
    for i in 0..senders {
        peer.put_state_of(&format!("sender-{i}"), name, "x");
        if peer.waiting() >= BATCH {
            peer.write()?;
        }
    }
    peer.put_state_of("sender-0", LAST, "x");
    peer.write()?;
    let mut client = Peer::client(&to.rep, nanostate::framing::REQ)?;
    // An old program cannot ask whether the hub has read all. The answer to the last has more than a trace and nil.
    while client.ask(&format!("[\"get\", \"{LAST}\"]"))? <= 5 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(peer)
}
