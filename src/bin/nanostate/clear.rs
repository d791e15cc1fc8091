//! `nanostate clear`

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use nanostate::{wire, Kind, Status};

use crate::arguments::{pattern_for, seconds, Deadline};
use crate::observer::{Absent, Observer, Role, Seen};
use crate::{complain, output, stdio, Client, Failure};

/// Withdraw a state whose sender has left: SENDER NAME cleared
///
/// The name has no value any more, in the hub and in every program that knows it, until it is sent again. If several senders
/// have left a value, all of them are withdrawn, with a line for each. A sender that is connected clears its values itself.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, or the hub holds no such state, or a sender of it is connected; 2 wrong usage;
130 and 143 stopped by SIGINT and SIGTERM."
)]
pub struct Arguments {
    /// The state's name, like cpu/load
    name: String,
    /// Only the state of this sender
    #[arg(long, value_name = "IDENTITY")]
    sender: Option<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    client: Client,
}

/// Withdraws the values of a name.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { name, sender, timeout, client } = arguments;
    wire::check_name(&name)?;
    sender.as_deref().map_or(Ok(()), wire::check_identity)?;
    let deadline = Deadline::after(Some(timeout));
    let patterns = pattern_for(&name);
    let observer = Observer::connect_as(Role::Withdraws, "clear", &client, Absent::Fail, deadline, &patterns)?;
    let senders = match sender {
        Some(sender) => BTreeSet::from([sender]),
        None => senders(&observer, &name)?,
    };
    let mut out = stdio::output()?;
    let (mut none, mut refusals) = (true, Vec::new());
    for sender in &senders {
        let (app, left) = observer.app();
        match app.forget(sender, &name, left) {
            Ok(()) => {
                none = false;
                writeln!(out, "{} {} {}", output::word(sender), output::word(&name), Kind::Cleared.name())?;
            }
            // Somebody else was faster, where it was there at all.
            Err(error) if error.status() == Status::NotFound => {}
            Err(error) if error.status() == Status::State => refusals.push(error.to_string()),
            Err(error) => return Err(observer.why(error.into())),
        }
    }
    match refusals.pop() {
        Some(last) => {
            refusals.iter().for_each(|text| complain(text));
            Err(Failure::Failed(last))
        }
        None if none => {
            let of = if senders.len() == 1 { senders.first() } else { None };
            let of = of.map(|sender| format!(" of {}", output::shown(sender))).unwrap_or_default();
            Err(Failure::Failed(format!("the hub holds no state {}{of}", output::shown(&name))))
        }
        None => Ok(()),
    }
}

/// Who has left a value of this name, or is there and has one.
fn senders(observer: &Observer, name: &str) -> Result<BTreeSet<String>, Failure> {
    let mut senders = BTreeSet::new();
    observer.check_that_the_hub_tells()?;
    while let Seen::State(state) = observer.next()? {
        if state.name() == name {
            match state.kind() {
                Kind::Cleared => drop(senders.remove(state.sender())),
                _ => drop(senders.insert(state.sender().to_owned())),
            }
        }
    }
    Ok(senders)
}
