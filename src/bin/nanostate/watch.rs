//! `nanostate watch`

use std::io::{BufWriter, Write as _};
use std::time::Duration;

use crate::arguments::{seconds, Deadline, Filter, Wanted};
use crate::observer::{Absent, Observer, Seen};
use crate::{output, stdio, Client, Failure};

/// Print states as they arrive, a line each: SENDER NAME VALUE
///
/// First those that the hub holds, then each that is published. A text that is one printable line is printed as it is,
/// any other in "quotes" with escapes; bytes that are not such a line are printed as 0x…, timestamps like
/// 2026-11-28T23:20:33.123Z, and arrays, maps and other extensions as JSON. Runs until SIGINT or SIGTERM, and waits for a
/// hub whenever there is none.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, or stopped by SIGINT, SIGTERM or --timeout; 1 failed, or no hub at --timeout;
2 wrong usage.
With --count or --retained: 1, 130 and 143 stopped by --timeout, SIGINT and SIGTERM before all of
that had arrived."
)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// Print only what the hub holds, then stop
    #[arg(long)]
    retained: bool,
    /// Print only what is published from now on
    #[arg(long, conflicts_with = "retained")]
    no_retained: bool,
    /// Print a JSON object per line: sender, name, kind, time (ms since 1970, or null), retained (true if the hub held the
    /// state, else absent), data (bytes in base64)
    #[arg(long)]
    json: bool,
    /// Stop after this many states
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    client: Client,
}

/// Prints states.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { filter, retained, no_retained, json, count, timeout, client } = arguments;
    let wanted = filter.wanted()?;
    let deadline = Deadline::after(timeout);
    let watch = Watch { wanted, retained, no_retained, json, count };
    // If nothing particular was asked for, nothing is missing.
    let asks = count.is_some() || retained;
    let patterns = watch.wanted.patterns();
    let result = Observer::connect("watch", &client, Absent::Wait, deadline, patterns).and_then(|observer| {
        let result = watch.print(&observer);
        observer.tell_losses();
        match result {
            Err(Failure::TimedOut(_)) if !asks && observer.has_hub() => Ok(()),
            result => result,
        }
    });
    match result {
        Err(Failure::Signal(_)) if !asks => Ok(()),
        result => result,
    }
}

/// What is printed, and how.
struct Watch {
    wanted: Wanted,
    retained: bool,
    no_retained: bool,
    json: bool,
    count: Option<u64>,
}

impl Watch {
    /// Prints what arrives until that is all.
    fn print(&self, observer: &Observer) -> Result<(), Failure> {
        observer.ends_with_output()?;
        let mut out = BufWriter::new(stdio::output()?);
        let mut left = self.count;
        // What the hub held is skipped until all of it has come. What it held at a reconnect was published meanwhile: the
        // app drops what it knows already.
        let mut skips = self.no_retained;
        while left != Some(0) {
            let seen = match observer.next_now()? {
                Some(seen) => seen,
                None => {
                    // Written out before the next wait, so that the reader has all of it.
                    out.flush()?;
                    if self.retained {
                        observer.check_that_the_hub_tells()?;
                    }
                    observer.next()?
                }
            };
            let state = match seen {
                Seen::State(state) => state,
                Seen::Synced if self.retained => break,
                Seen::Synced => {
                    skips = false;
                    continue;
                }
            };
            let held = state.retained();
            if held && skips || !held && self.retained || !self.wanted.takes(&state) {
                continue;
            }
            let line = if self.json { output::json(&state) } else { output::plain(&state)? };
            writeln!(out, "{line}")?;
            left = left.map(|n| n - 1);
        }
        Ok(out.flush()?)
    }
}
