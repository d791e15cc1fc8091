//! `nanostate send`

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use log::LevelFilter;
use nanostate::{limits, wire, App, AppOption, Error, Value};

use crate::{logger, output, signals, stdio, Client, Failure};

/// The identity of runs without --as, which share it.
const IDENTITY: &str = "nanostate";
/// The argument that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Send one state, and return when the hub has it
#[derive(clap::Args)]
pub struct Arguments {
    /// The state's name, like cpu/load
    name: String,
    /// The value; - sends standard input as it is; put -- before a text that begins with -
    #[arg(allow_hyphen_values = true)]
    value: Option<OsString>,
    /// Type of the value
    #[arg(long = "type", short = 't', value_name = "TYPE", default_value = "text")]
    kind: Type,
    /// Send with this identity, which all runs of this command share
    #[arg(long = "as", value_name = "IDENTITY", default_value = IDENTITY)]
    identity: String,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    client: Client,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Type {
    Text,
    Bytes,
    Int,
    Double,
    Bool,
    Nil,
    Json,
}

impl Type {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds, like 5 or 0.5".to_owned())
}

/// Sends the state.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    logger::start(arguments.client.log, LevelFilter::Off)?;
    let from_input = arguments.value.as_deref().is_some_and(|value| value == STANDARD_INPUT);
    // A fault in an argument is wrong usage; a fault in standard input is a failure.
    let at_fault = |text: String| {
        if from_input {
            Failure::Failed(text)
        } else {
            Failure::Usage(text)
        }
    };
    if let Some(value) = arguments.value.as_deref().filter(|value| looks_like_an_option(value)) {
        let text = value.to_string_lossy();
        return Err(Failure::Usage(format!(
            "unexpected argument {} (put -- before a value that begins with -)",
            output::shown(&text)
        )));
    }
    // Checked before connecting: a wrong name is an error even without a hub.
    wire::check_name(&arguments.name)?;
    let bytes = match arguments.value {
        None if arguments.kind == Type::Nil => Vec::new(),
        None => return Err(Failure::Usage("VALUE is missing (- reads standard input)".to_owned())),
        Some(_) if from_input => read_input()?,
        Some(value) => value.into_vec(),
    };
    let value = parse(arguments.kind, &bytes).map_err(at_fault)?;

    let app = App::new(&arguments.identity)?;
    let waiting = app.clone();
    let stop = signals::on_stop(move || waiting.interrupt())?;
    let why = |error: Error| match stop.signal() {
        Some(signal) => Failure::Signal(signal),
        None => error.into(),
    };
    // A time-out beyond the range of the clock counts as none.
    let end = Instant::now().checked_add(arguments.timeout);
    let left = || end.map(|end| end.saturating_duration_since(Instant::now()));
    app.set(AppOption::Shared, 1)?;
    arguments.client.connect(&app)?;
    // The hub says how large a message may be, so the limit is known only once it has answered.
    app.wait_connected(left()).map_err(why)?;
    match value {
        Parsed::Value(value) => app.send(&arguments.name, value)?,
        Parsed::Json(text) => app.send_json(&arguments.name, text).map_err(|error| match Failure::from(error) {
            Failure::Usage(text) => at_fault(text),
            failure => failure,
        })?,
    }
    let flushed = app.flush(left()).map_err(why);

    // More precise than an error that the hub did not confirm it.
    let stats = app.stats();
    if stats.withheld > 0 {
        return Err(Failure::Failed(format!(
            "the hub does not accept this {} of {} bytes: an old hub accepts text and bytes, at most {}",
            arguments.kind.name(),
            bytes.len(),
            limits::LEGACY_MAX
        )));
    }
    if stats.refused > 0 {
        return Err(Failure::Failed(format!("the hub did not take the state: {}", arguments.name)));
    }
    flushed?;
    // The hub has it; an old hub gets the time to pass it on.
    app.close(None)?;
    Ok(())
}

/// Whether a value looks like a mistyped option: it begins with `-`, is neither a number nor `-` alone, and there is no
/// `--`.
fn looks_like_an_option(value: &OsStr) -> bool {
    let number = value.to_str().is_some_and(|text| text.parse::<f64>().is_ok());
    value.as_bytes().starts_with(b"-") && value != STANDARD_INPUT && !number && !env::args_os().any(|word| word == "--")
}

/// What to send.
#[derive(Debug)]
enum Parsed<'a> {
    Value(Value<'a>),
    Json(&'a str),
}

/// Reads `bytes` as a value of `kind`; the error names what is wrong with it.
fn parse(kind: Type, bytes: &[u8]) -> Result<Parsed<'_>, String> {
    if kind == Type::Bytes {
        return Ok(Parsed::Value(Value::Bytes(bytes)));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("not valid UTF-8 at byte {} (--type bytes sends any bytes)", error.valid_up_to()))?;
    // White space at the end is ignored, so that `echo 5 | nanostate send x - --type int` works.
    let word = text.trim_ascii();
    let wrong = |expected: &str| format!("expected {expected}, not {}", output::shown(word));
    Ok(Parsed::Value(match kind {
        Type::Text | Type::Bytes => Value::Text(text),
        Type::Int => match (word.parse(), word.parse()) {
            (Ok(int), _) => Value::Int(int),
            (_, Ok(uint)) => Value::Uint(uint),
            _ => return Err(wrong("a 64-bit integer")),
        },
        Type::Double => Value::Double(word.parse().map_err(|_| wrong("a number"))?),
        Type::Bool => Value::Bool(word.parse().map_err(|_| wrong("true or false"))?),
        Type::Nil if matches!(word, "" | "nil") => Value::Nil,
        Type::Nil => return Err(wrong("no value")),
        Type::Json => return Ok(Parsed::Json(text)),
    }))
}

/// All of standard input, or an error as soon as it is larger than a message may be.
fn read_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = limits::MAX_MESSAGE as u64;
    stdio::input()
        .and_then(|input| input.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::Failed(format!("standard input: {}", Error::words(&error))))?;
    if bytes.len() as u64 > most {
        return Err(Failure::Failed(format!("standard input is larger than a message of at most {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Type, text: &str) -> String {
        match parse(kind, text.as_bytes()) {
            Ok(parsed) => format!("{parsed:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn each_type_reads_its_values() {
        for (kind, text, value) in [
            (Type::Text, " 21.5\n", "Value(Text(\" 21.5\\n\"))"),
            (Type::Bytes, "ab\n", "Value(Bytes([97, 98, 10]))"),
            (Type::Int, "-5\n", "Value(Int(-5))"),
            (Type::Int, "18446744073709551615", "Value(Uint(18446744073709551615))"),
            (Type::Double, "2", "Value(Double(2.0))"),
            (Type::Bool, "true", "Value(Bool(true))"),
            (Type::Nil, "", "Value(Nil)"),
            (Type::Nil, "nil", "Value(Nil)"),
            (Type::Json, "[1]", "Json(\"[1]\")"),
        ] {
            assert_eq!(read(kind, text), value);
        }
    }

    #[test]
    fn a_value_of_another_type_is_named() {
        for (kind, text, error) in [
            (Type::Int, "1.5", "expected a 64-bit integer, not \"1.5\""),
            (Type::Int, "18446744073709551616", "expected a 64-bit integer, not \"18446744073709551616\""),
            (Type::Double, "warm", "expected a number, not \"warm\""),
            (Type::Bool, "yes", "expected true or false, not \"yes\""),
            (Type::Nil, "0", "expected no value, not \"0\""),
        ] {
            assert_eq!(read(kind, text), error);
        }
        assert!(parse(Type::Text, b"ab\xff").unwrap_err().contains("at byte 2"));
        assert_eq!(format!("{:?}", parse(Type::Bytes, b"\xff").unwrap()), "Value(Bytes([255]))");
    }

    #[test]
    fn a_time_out_is_a_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("soon").is_err() && seconds("inf").is_err());
    }
}
