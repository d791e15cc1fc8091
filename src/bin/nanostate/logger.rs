//! What the library and the hub have to say, on standard error: one line per message, with the time.

use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, str::FromStr as _};

use log::{LevelFilter, Log, Metadata, Record};

use crate::{output, Failure};

/// The environment variable with the level.
pub const VARIABLE: &str = "NANOSTATE_LOG";

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = output::timestamp(since.as_millis().try_into().unwrap_or(0));
        let level = record.level().as_str().to_ascii_lowercase();
        // One write per line, so that lines of several processes on one terminal or file stay whole.
        let line = format!("{time} {level:<5} {}\n", output::one_line(&record.args().to_string()));
        let _ = io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// A level by its name.
pub fn level(text: &str) -> Result<LevelFilter, String> {
    LevelFilter::from_str(text).map_err(|_| "off, error, warn, info, debug or trace expected".to_owned())
}

/// Starts logging at `level`, else at that of the environment, else at `default`.
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
