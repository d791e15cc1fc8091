//! `nanostate peers`

use std::io::{self, BufWriter, Write};
use std::sync::mpsc;
use std::time::Duration;

use nanostate::{Peer, PresenceEvent, Status};

use crate::arguments::seconds;
use crate::observer::{Absent, Observer, Role};
use crate::{output, stdio, Client, Failure};

/// List the apps that are connected to the hub, a line each: IDENTITY PRESENCE
///
/// Sorted by identity, which several apps may share. PRESENCE is here, or suspect: nothing is heard of the app, or its
/// connection has broken. Old programs, programs behind gateways and commands that only look are not among them. For 10 s
/// after a hub was started, apps may be on their way to it; these are here when they come.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, also if there are no apps; 1 failed; 2 wrong usage; 130 and 143 stopped by SIGINT
and SIGTERM.
With --watch: 0 stopped by SIGINT, SIGTERM or --timeout; 1 failed, or no hub at --timeout."
)]
pub struct Arguments {
    /// Then print each change: joined, suspect, recovered, left, lost. Waits for a hub whenever there is none
    #[arg(long, short)]
    watch: bool,
    /// Print a JSON object per line: identity, presence, instance (32 hexadecimal digits, which no other app has)
    #[arg(long)]
    json: bool,
    /// Give up after this many seconds; with --watch, stop [default: 5; with --watch never]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    client: Client,
}

/// Prints which apps are there.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { watch, json, timeout, client } = arguments;
    let (absent, deadline) = Absent::of(watch, timeout);
    let observer = Observer::connect_as(Role::LooksAtApps, "peers", &client, absent, deadline, &[]);
    if !watch {
        return list(&observer?, json);
    }
    let result = observer.and_then(|observer| match follow(&observer, json) {
        Err(Failure::TimedOut(_)) if observer.has_hub() => Ok(()),
        result => result,
    });
    match result {
        Err(Failure::Signal(_)) => Ok(()),
        result => result,
    }
}

fn list(observer: &Observer, json: bool) -> Result<(), Failure> {
    let (app, left) = observer.app();
    let peers = app.peers(left).map_err(|error| observer.why(error.into()))?;
    let mut out = BufWriter::new(stdio::output()?);
    for peer in peers {
        let event = if peer.is_suspect { PresenceEvent::Suspect } else { PresenceEvent::Here };
        print(&mut out, json, event, &peer)?;
    }
    Ok(out.flush()?)
}

/// Prints who is there, and then each change, until a signal or the time ends it.
fn follow(observer: &Observer, json: bool) -> Result<(), Failure> {
    observer.ends_with_output()?;
    let (app, _) = observer.app();
    let (sender, changes) = mpsc::channel();
    let tell = move |event, peer: &Peer| drop(sender.send((event, peer.clone())));
    app.on_presence(Some(Box::new(tell)))?;
    let mut out = BufWriter::new(stdio::output()?);
    loop {
        match app.peers(Some(Duration::ZERO)) {
            Err(error) if error.status() == Status::Unsupported => return Err(error.into()),
            _ => {}
        }
        observer.dispatch()?;
        for (event, peer) in changes.try_iter() {
            print(&mut out, json, event, &peer)?;
        }
        out.flush()?;
    }
}

fn print(out: &mut impl Write, json: bool, event: PresenceEvent, peer: &Peer) -> io::Result<()> {
    let event = event.name();
    if !json {
        return writeln!(out, "{} {event}", output::word(&peer.identity));
    }
    let instance: String = peer.instance.iter().map(|byte| format!("{byte:02x}")).collect();
    let identity = output::string(&peer.identity);
    let line = format!(r#"{{"identity":{identity},"presence":"{event}","instance":"{instance}"}}"#);
    writeln!(out, "{}", output::json_line(&line))
}
