//! `nanostate get`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use nanostate::{wire, Kind, State};

use crate::arguments::{pattern_for, seconds};
use crate::observer::{Absent, Observer, Seen};
use crate::{output, stdio, Client, Failure};

/// Print the newest value of a state that the hub holds
///
/// The value is printed as watch prints it. If several apps publish the name, it is the newest of them.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, or the hub holds no such state; 2 wrong usage; 130 and 143 stopped by
SIGINT and SIGTERM."
)]
pub struct Arguments {
    /// The state's name, like cpu/load
    name: String,
    /// Only the state of this sender
    #[arg(long, value_name = "IDENTITY")]
    sender: Option<String>,
    /// Wait for the state if the hub holds none, and for a hub if there is none
    #[arg(long)]
    wait: bool,
    /// Print a text or bytes as they are, and nothing behind the value
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print the JSON object that watch prints
    #[arg(long)]
    json: bool,
    /// Give up after this many seconds [default: 5; with --wait never]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    client: Client,
}

/// Prints the value.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    wire::check_name(&arguments.name)?;
    arguments.sender.as_deref().map_or(Ok(()), wire::check_identity)?;
    let (absent, deadline) = Absent::of(arguments.wait, arguments.timeout);
    let observer = Observer::connect("get", &arguments.client, absent, deadline, &pattern_for(&arguments.name))?;
    let state = find(&observer, &arguments)?.ok_or_else(|| {
        let of = arguments.sender.as_deref().map(|sender| format!(" of {}", output::shown(sender)));
        let (name, of) = (output::shown(&arguments.name), of.unwrap_or_default());
        Failure::Failed(format!("the hub holds no state {name}{of}"))
    })?;
    let bytes = match state.kind() {
        _ if arguments.json => output::json(&state) + "\n",
        Kind::Text if arguments.raw => state.text()?.to_owned(),
        Kind::Bytes if arguments.raw => return Ok(stdio::output()?.write_all(state.bytes()?)?),
        _ if arguments.raw => output::value(&state)?,
        _ => output::value(&state)? + "\n",
    };
    Ok(stdio::output()?.write_all(bytes.as_bytes())?)
}

/// The newest state of what the hub holds, else the first that comes if that is waited for.
fn find(observer: &Observer, arguments: &Arguments) -> Result<Option<State>, Failure> {
    let mut found = BTreeMap::new();
    let mut synced = false;
    observer.check_that_the_hub_tells()?;
    while !synced || arguments.wait && found.is_empty() {
        let state = match observer.next()? {
            Seen::State(state) => state,
            Seen::Synced => {
                synced = true;
                continue;
            }
        };
        let wanted =
            state.name() == arguments.name && arguments.sender.as_deref().is_none_or(|sender| sender == state.sender());
        if wanted && state.kind() == Kind::Cleared {
            found.remove(state.sender());
        } else if wanted {
            found.insert(state.sender().to_owned(), state);
        }
    }
    Ok(found.into_values().max_by_key(State::stamp))
}
