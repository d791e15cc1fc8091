//! SIGINT and SIGTERM: a command stops cleanly, and is killed if it cannot.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::Arc;
use std::time::Duration;
use std::{io, process, thread};

use nanostate::Error;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{logger, Failure};

/// How long a command may take to stop; it may be blocked by a reader that does not read its output.
const GRACE: Duration = Duration::from_secs(2);

/// The signal that came, if any.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicI32>);

impl Stop {
    /// The signal that asked this command to stop.
    pub fn signal(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Acquire)).filter(|&signal| signal != 0)
    }
}

/// The exit code with which shells report a program that `signal` killed.
pub fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// From now on SIGINT and SIGTERM set the result and call `stop`, on a separate thread. A second signal, or the end of
/// the grace period, ends the process.
pub fn on_stop(stop: impl FnOnce() + Send + 'static) -> Result<Stop, Failure> {
    on_signals(&[], |_| (), stop)
}

/// The same; in addition each of the signals `others` calls `other`, on that thread.
pub fn on_signals(
    others: &'static [i32],
    mut other: impl FnMut(i32) + Send + 'static,
    stop: impl FnOnce() + Send + 'static,
) -> Result<Stop, Failure> {
    let flag = Stop::default();
    let seen = flag.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM].iter().chain(others)).map_err(cannot)?;
    let watcher = move || {
        let mut signals = signals.forever();
        let signal = loop {
            match signals.next() {
                Some(signal) if others.contains(&signal) => other(signal),
                Some(signal) => break signal,
                None => return,
            }
        };
        seen.0.store(signal, Ordering::Release);
        stop();
        let end = move || {
            logger::flush();
            process::exit(exit_code(signal).into())
        };
        let timer = move || {
            thread::sleep(GRACE);
            end()
        };
        if thread::Builder::new().name("grace".to_owned()).spawn(timer).is_err()
            || signals.any(|signal| !others.contains(&signal))
        {
            end();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watcher).map_err(cannot)?;
    Ok(flag)
}

fn cannot(error: io::Error) -> Failure {
    Failure::Failed(format!("cannot handle signals: {}", Error::words(&error)))
}
