//! The logger of programs that install none: lines go to the function that the program has set, else to standard error.

// For a system call: `atexit`.
#![allow(unsafe_code)]

use std::sync::{Once, OnceLock};

use log::{LevelFilter, Log, Metadata, Record};

use super::queue::{write_to_stderr, Line, LogQueue, MOMENT};
use super::VARIABLE;

/// The lines that wait to be written.
static QUEUE: LogQueue = LogQueue::new(deliver);

/// The function that gets lines first.
static FORWARD: OnceLock<Forward> = OnceLock::new();

/// Takes a line, in the thread of the queue. False sends the line to standard error.
pub(crate) type Forward = fn(&Line) -> bool;

/// Writes one line, in the thread of the queue.
fn deliver(line: &Line) {
    // The level may have changed since the line was made.
    if line.level > log::max_level() {
        return;
    }
    if FORWARD.get().is_some_and(|forward| forward(line)) {
        return;
    }
    // One line per write, so that lines of several processes do not mix.
    let text = format!("nanostate {} {}\n", line.level.as_str().to_lowercase(), line.text);
    write_to_stderr(text.as_bytes());
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            QUEUE.push(record.level(), *record.args());
        }
    }

    fn flush(&self) {
        flush();
    }
}

/// See [`super::flush`].
pub(super) fn flush() {
    QUEUE.flush(MOMENT);
}

/// Sends the log to standard error if the environment says so; once.
pub(super) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let level = std::env::var(VARIABLE).ok().and_then(|level| level.trim().parse().ok());
        if let Some(level) = level.filter(|level| *level != LevelFilter::Off) {
            install(level);
        }
    });
}

/// Makes this module the logger, unless the program has installed one.
fn install(level: LevelFilter) {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let installed = log::set_logger(&Logger).is_ok();
        if installed {
            // SAFETY: the function stays mapped: the library is never unloaded. Without it lines can be lost.
            unsafe { libc::atexit(at_exit) };
        }
        installed
    });
    if *installed {
        log::set_max_level(level);
    }
}

/// Writes all lines before the process ends. From then on nothing is logged: that would run in a process that is partly
/// torn down.
extern "C" fn at_exit() {
    flush();
    log::set_max_level(LevelFilter::Off);
    QUEUE.end(MOMENT);
}

/// Whether this thread is writing a line.
pub(crate) fn is_inside() -> bool {
    QUEUE.is_inside()
}

/// Sets the level, and with `change` what `forward` does. Lines that were logged before are written first, unless that
/// takes too long. `change` runs while no line is being written, unless `quiet` is false: then a line in progress may
/// be written before or after it.
pub(crate) fn set(forward: Forward, level: LevelFilter, quiet: impl Fn() -> bool, change: impl FnOnce()) {
    // From now on the environment does not count.
    start();
    flush();
    QUEUE.while_held(quiet, || {
        FORWARD.get_or_init(|| forward);
        change();
        install(level);
    });
    if level == LevelFilter::Off {
        QUEUE.end(MOMENT);
    }
}
