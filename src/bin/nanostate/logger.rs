//! The log of the library and the hub on standard error: one line per message, with the time.

use std::time::UNIX_EPOCH;
use std::{env, str::FromStr as _};

use log::{LevelFilter, Log, Metadata, Record};
use nanostate::logging::{self, Line, LogQueue, VARIABLE};

use crate::{hub_options, output, Failure};

/// How long a slow reader of standard error may delay the end of the command.
static QUEUE: LogQueue = LogQueue::new(write);

fn write(line: &Line) {
    let since = line.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = output::timestamp(since.as_millis().try_into().unwrap_or(0));
    let level = line.level.as_str().to_ascii_lowercase();
    let text = hub_options::with_flags(&line.text);
    // One write per line, so that lines of several processes on one terminal or file stay whole.
    logging::write_to_stderr(format!("{time} {level:<5} {text}\n").as_bytes());
}

/// Waits briefly until the log is written; its reader may have stopped reading.
pub fn flush() {
    QUEUE.flush(logging::MOMENT);
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            QUEUE.push(record.level(), *record.args());
        }
    }

    fn flush(&self) {
        flush();
    }
}

/// Reads the name of a level.
pub fn level(text: &str) -> Result<LevelFilter, String> {
    LevelFilter::from_str(text).map_err(|_| "expected off, error, warn, info, debug or trace".to_owned())
}

/// Starts logging at `level`, else at the level in the environment, else at `default`.
pub fn start(level: Option<LevelFilter>, default: LevelFilter) -> Result<(), Failure> {
    let level = match (level, env::var(VARIABLE)) {
        (Some(level), _) => level,
        (None, Ok(text)) if !text.is_empty() => {
            self::level(&text).map_err(|error| Failure::Usage(format!("{VARIABLE}={text}: {error}")))?
        }
        (None, _) => default,
    };
    log::set_logger(&Logger).map_err(|error| Failure::Failed(error.to_string()))?;
    log::set_max_level(level);
    Ok(())
}
