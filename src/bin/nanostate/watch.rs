//! `nanostate watch`

use std::io::{BufWriter, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use log::LevelFilter;
use nanostate::pattern::Pattern;
use nanostate::{App, AppOption, LinkState, Status};

use crate::{complain, identity, logger, output, signals, stdio, Client, Failure};

/// How long the first connection may take before the user is informed that there is no hub.
const FIRST_CONNECT: Duration = Duration::from_secs(1);
/// Bytes that may wait to be printed: a terminal or a pipe may be slower than a burst, and nothing of it may be lost.
const RECV_QUEUE: i64 = 256 << 20;

/// Print states as they arrive, a line each: SENDER NAME VALUE
///
/// A text that is one printable line is printed as it is, any other in "quotes" with escapes; bytes that are not such a
/// line are printed as 0x…, timestamps like 2026-11-28T23:20:33.123Z, and arrays, maps and other extensions as JSON.
/// Runs until SIGINT or SIGTERM, and waits for a hub whenever there is none.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 done, or stopped by SIGINT or SIGTERM; 1 failed; 2 wrong usage;
130 and 143 stopped by SIGINT and SIGTERM before --count states had arrived.")]
pub struct Arguments {
    /// Print only states whose name matches; * stands for one segment between / or a part of one, ** for any number of
    /// segments
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Print a JSON object per line: sender, name, kind, time (ms since 1970, or null), data (bytes in base64)
    #[arg(long)]
    json: bool,
    /// Stop after this many states
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    client: Client,
}

/// Prints states.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    logger::start(arguments.client.log, LevelFilter::Off)?;
    let patterns = arguments.patterns.iter().map(|text| Pattern::new(text)).collect::<Result<Vec<_>, _>>()?;

    let app = App::new(&identity::of("watch", &identity::run()?))?;
    app.set(AppOption::Observer, 1)?;
    app.set(AppOption::RecvQueue, RECV_QUEUE)?;
    let waiting = app.clone();
    let stop = signals::on_stop(move || waiting.interrupt())?;
    let told = Arc::new(AtomicBool::new(false));
    tell_about_the_link(&app, &told)?;
    arguments.client.connect(&app)?;
    let result = match first_connect(&app, &told) {
        Ok(()) => print(&app, &patterns, &arguments),
        Err(failure) => Err(failure),
    };

    tell_losses(&app);
    app.on_link(None)?;
    match (result, stop.signal()) {
        (Ok(()) | Err(Failure::OutputClosed), _) => Ok(()),
        (Err(_), Some(signal)) if arguments.count.is_some() => Err(Failure::Signal(signal)),
        (Err(_), Some(_)) => Ok(()),
        (Err(failure), None) => Err(failure),
    }
}

/// Tells the user once when the link is lost, and when it is back. Refusals are errors of the call that waits.
fn tell_about_the_link(app: &App, told: &Arc<AtomicBool>) -> Result<(), Failure> {
    let told = told.clone();
    let mut was = LinkState::Idle;
    let tell = move |link, why: Status, text: &str| {
        let reason = if text.is_empty() { why.text() } else { text };
        match link {
            LinkState::Connecting if was == LinkState::Connected => {
                told.store(true, Ordering::Relaxed);
                complain(&format!("{reason}; connecting again"));
            }
            LinkState::Connected if told.swap(false, Ordering::Relaxed) => complain("connected"),
            _ => {}
        }
        was = link;
    };
    Ok(app.on_link(Some(Box::new(tell)))?)
}

/// Waits for the first connection, and tells the user if there is none soon.
fn first_connect(app: &App, told: &AtomicBool) -> Result<(), Failure> {
    match app.wait_connected(Some(FIRST_CONNECT)) {
        Err(error) if error.status() == Status::Timeout => {
            told.store(true, Ordering::Relaxed);
            complain(&format!("{error}; waiting for the hub"));
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Prints what arrives until there were enough states, or `recv` fails: interrupted, or refused by the hub.
fn print(app: &App, patterns: &[Pattern], arguments: &Arguments) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdio::output()?);
    let mut left = arguments.count;
    while left != Some(0) {
        let state = match app.recv(Some(Duration::ZERO)) {
            Err(error) if error.status() == Status::Timeout => {
                // Written out before the next wait, so that the reader has all of it.
                out.flush()?;
                app.recv(None)?
            }
            result => result?,
        };
        if !patterns.is_empty() && !patterns.iter().any(|pattern| pattern.matches(state.name())) {
            continue;
        }
        let line = if arguments.json { output::json(&state) } else { output::plain(&state)? };
        writeln!(out, "{line}")?;
        left = left.map(|n| n - 1);
    }
    Ok(out.flush()?)
}

/// Says how many states were not printed because they arrived faster than they were read.
fn tell_losses(app: &App) {
    let stats = app.stats();
    let losses = [("replaced by newer ones", stats.conflated_in), ("dropped", stats.dropped_in)];
    for (what, n) in losses.into_iter().filter(|(_, n)| *n > 0) {
        complain(&format!("{n} states arrived faster than they were read, and were {what}"));
    }
}
