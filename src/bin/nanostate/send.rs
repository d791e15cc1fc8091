//! `nanostate send`

mod lines;
mod wills;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use clap::ValueEnum;
use log::LevelFilter;
use nanostate::{limits, wire, App, AppOption, Error, KeyOption, Value};

use self::lines::Input;
use crate::arguments::{seconds, Deadline};
use crate::hub_options::with_flags;
use crate::signals::Stop;
use crate::{complain, logger, output, signals, stdio, Client, Failure};

/// The identity of runs without --as, which share it.
const IDENTITY: &str = "nanostate";
/// The argument that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Send one state, or one for each line of standard input, and return when the hub has them
///
/// With --stdin each line is NAME VALUE, with one blank between them; the name may be a JSON string, for instance if there
/// is a blank in it. States are sent as their lines come. If lines come faster than the hub takes them, it gets the newest
/// value of each name. A line with a fault is named by its number, and the others are sent.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, or a line or a state was not sent; 2 wrong usage; 130 and 143 stopped by\nSIGINT and SIGTERM."
)]
pub struct Arguments {
    /// The state's name, like cpu/load
    #[arg(required_unless_present = "stdin")]
    name: Option<String>,
    /// The value; - sends standard input as it is; put -- before a text that begins with -
    #[arg(allow_hyphen_values = true)]
    value: Option<OsString>,
    /// Send a state for each line of standard input: NAME VALUE
    #[arg(long, conflicts_with_all = ["name", "value"])]
    stdin: bool,
    /// Type of the value, or of all values
    #[arg(long = "type", short = 't', value_name = "TYPE", default_value = "text")]
    kind: Type,
    /// Send with this identity, which all runs of this command share
    #[arg(long = "as", value_name = "IDENTITY", default_value = IDENTITY)]
    identity: String,
    /// Withdraw the value, or each of them, unless it is sent again within this time, like 30s; at most 1000d
    #[arg(long, value_name = "DURATION", value_parser = time_to_live)]
    ttl: Option<i64>,
    /// Send only to programs that are there: those that come later are not sent the value, or any of them
    #[arg(long)]
    transient: bool,
    #[command(flatten)]
    wills: wills::WillArguments,
    /// Give up after this many seconds without a hub, or without its confirmation at the end
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
    /// Like 2026-11-28T23:20:33.123Z
    Time,
    Json,
}

impl Type {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Reads a time to live. Who says one wants an end: zero, which stands for ever, is none.
fn time_to_live(text: &str) -> Result<i64, String> {
    let mut about = KeyOption::TtlMs.about().clone();
    about.low = 1;
    about.parse(text)
}

/// Sends the state, or those of all lines.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    logger::start(arguments.client.log, LevelFilter::Off)?;
    match &arguments.name {
        Some(name) => run_one(name, &arguments),
        None => run_lines(&arguments),
    }
}

/// Sends one state.
fn run_one(name: &str, arguments: &Arguments) -> Result<(), Failure> {
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
    wire::check_name(name)?;
    let input = if from_input { read_input()? } else { Vec::new() };
    let bytes = match &arguments.value {
        None if arguments.kind == Type::Nil => &[][..],
        None => return Err(Failure::Usage("VALUE is missing (- reads standard input)".to_owned())),
        Some(_) if from_input => &input,
        Some(value) => value.as_bytes(),
    };
    let value = parse(arguments.kind, bytes).map_err(at_fault)?;

    let sender = Sender::connect(arguments, || ())?;
    sender.send(name, value).map_err(|error| match Failure::from(error) {
        Failure::Usage(text) => at_fault(text),
        failure => failure,
    })?;
    let flushed = sender.flush(sender.deadline);
    // More precise than an error that the hub did not confirm it.
    let stats = sender.app.stats();
    if stats.withheld > 0 {
        return Err(Failure::Failed(format!(
            "the hub does not accept this {} of {} bytes: {}",
            arguments.kind.name(),
            bytes.len(),
            old_hub()
        )));
    }
    if stats.refused > 0 {
        return Err(Failure::Failed(format!("the hub did not take the state: {name}")));
    }
    flushed?;
    sender.check_hub()?;
    sender.close()
}

/// Sends a state for each line of standard input, as it comes. Lines with a fault are named, and the others sent.
fn run_lines(arguments: &Arguments) -> Result<(), Failure> {
    let wills = arguments.wills.read(arguments.kind)?;
    if !wills.is_empty() && arguments.identity == IDENTITY {
        // The hub would publish none as long as another run is there, nor after one has said goodbye.
        return Err(Failure::Usage(format!("--will and --will-clear need an identity other than {IDENTITY} (--as)")));
    }
    let (input, stopper) = lines::channel();
    // If there is no room for it, a line is there that ends the wait as well.
    let sender = Sender::connect(arguments, move || drop(stopper.try_send(Input::Stop)))?;
    let sent = send_lines(&sender, &wills, input, arguments);
    // A goodbye, whatever came of it: the hub would publish the wills.
    let closed = sender.close();
    sent.and(closed)
}

fn send_lines(
    sender: &Sender,
    wills: &[wills::Left<'_>],
    input: lines::Unread,
    arguments: &Arguments,
) -> Result<(), Failure> {
    if !wills.is_empty() {
        wills::leave(&sender.app, wills)?;
        sender.flush(Deadline::after(Some(arguments.timeout)))?;
    }
    let reader = input.read()?;
    let (mut number, mut faults, mut unread) = (0_u64, 0_u64, None);
    loop {
        let next = reader.recv().unwrap_or(Input::End);
        number += 1;
        let fault = match next {
            _ if sender.stop.signal().is_some() => break,
            Input::Line(line) => sender.send_line(arguments.kind, &line).err(),
            Input::TooLong => Some("longer than a message may be".to_owned()),
            Input::Failed(why) => {
                unread = Some(why);
                break;
            }
            Input::End | Input::Stop => break,
        };
        if let Some(fault) = fault {
            complain(&format!("line {number}: {fault}"));
            faults += 1;
        }
    }
    if let Some(signal) = sender.stop.signal() {
        return Err(Failure::Signal(signal));
    }
    // The input may have taken any time.
    let flushed = sender.flush(Deadline::after(Some(arguments.timeout)));
    let stats = sender.app.stats();
    let failures = [
        (faults, "lines were not sent".to_owned()),
        (stats.withheld, format!("states were not accepted: {}", old_hub())),
        (stats.refused, "states were not taken by the hub".to_owned()),
    ];
    let failures: Vec<_> =
        failures.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).chain(unread).collect();
    if !failures.is_empty() {
        return Err(Failure::Failed(failures.join("; ")));
    }
    flushed?;
    sender.check_hub()
}

/// What an old hub accepts, which everything else is withheld from.
fn old_hub() -> String {
    format!("an old hub accepts text and bytes, at most {}", limits::LEGACY_MAX)
}

/// An app that sends.
struct Sender {
    app: App,
    ttl: Option<i64>,
    transient: bool,
    has_wills: bool,
    stop: Stop,
    deadline: Deadline,
}

impl Sender {
    /// Waits for the hub, since only that says how large a message may be. A signal calls `stop`.
    fn connect(arguments: &Arguments, stop: impl FnOnce() + Send + 'static) -> Result<Sender, Failure> {
        let app = App::new(&arguments.identity)?;
        let waiting = app.clone();
        let stop = signals::on_stop(move || {
            waiting.interrupt();
            stop();
        })?;
        app.set(AppOption::Shared, 1)?;
        // What others publish is of no use here.
        app.subscribe(None)?;
        app.set_accept(0)?;
        arguments.client.connect(&app)?;
        let deadline = Deadline::after(Some(arguments.timeout));
        let Arguments { ttl, transient, .. } = *arguments;
        let sender = Sender { app, ttl, transient, has_wills: arguments.wills.are_any(), stop, deadline };
        sender.app.wait_connected(sender.deadline.left()).map_err(|error| sender.why(error))?;
        sender.check_hub()?;
        Ok(sender)
    }

    /// Fails if an option asks for something that the hub cannot do. Where a hub does not let values expire, the app withdraws
    /// them itself, but this one ends before that.
    fn check_hub(&self) -> Result<(), Failure> {
        let fails = |text: &str| Err(Failure::Failed(text.to_owned()));
        if self.ttl.is_some() && !self.app.hub_expires_values() {
            return fails("the hub does not let values expire (--ttl)");
        }
        if self.transient && !self.app.hub_knows_transient_values() {
            return fails("the hub would keep the values (--transient)");
        }
        if self.has_wills && !self.app.hub_keeps_wills() {
            return fails("the hub keeps no wills (--will, --will-clear)");
        }
        Ok(())
    }

    /// A failure, or the signal that led to it.
    fn why(&self, error: Error) -> Failure {
        self.stop.signal().map_or_else(|| error.into(), Failure::Signal)
    }

    fn send(&self, name: &str, value: Parsed<'_>) -> Result<(), Error> {
        let key = self.app.key(name)?;
        self.ttl.map_or(Ok(()), |ttl| key.set(KeyOption::TtlMs, ttl))?;
        key.set(KeyOption::Transient, self.transient.into())?;
        match value {
            Parsed::Value(value) => key.send(value),
            Parsed::Json(text) => key.send_json(text),
        }
    }

    /// Sends the state of a line, or says what is wrong with it.
    fn send_line(&self, kind: Type, line: &[u8]) -> Result<(), String> {
        let Some((name, value)) = lines::split(line)? else { return Ok(()) };
        let bytes = match (value, kind) {
            (Some(value), _) => value,
            (None, Type::Nil) => &[],
            (None, _) => return Err("VALUE is missing".to_owned()),
        };
        let value = parse(kind, bytes)?;
        wire::check_name(&name)
            .and_then(|()| self.send(&name, value))
            .map_err(|error| with_flags(&error.to_string()).into_owned())
    }

    /// Waits until the hub has everything.
    fn flush(&self, deadline: Deadline) -> Result<(), Failure> {
        self.app.flush(deadline.left()).map_err(|error| self.why(error))
    }

    /// Ends the connection; an old hub gets the time to pass on what it has.
    fn close(&self) -> Result<(), Failure> {
        Ok(self.app.close(None)?)
    }
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
        Type::Time => Value::Time(word.parse().map_err(|error: Error| error.to_string())?),
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
            (Type::Time, "1970-01-01T00:00:01.5+00:00\n", "Value(Time(Time { seconds: 1, nanos: 500000000 }))"),
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
            (Type::Time, "today", "expected a time like 2026-11-28T23:20:33.123Z, not \"today\""),
            (Type::Nil, "0", "expected no value, not \"0\""),
        ] {
            assert_eq!(read(kind, text), error);
        }
        assert!(parse(Type::Text, b"ab\xff").unwrap_err().contains("at byte 2"));
        assert_eq!(format!("{:?}", parse(Type::Bytes, b"\xff").unwrap()), "Value(Bytes([255]))");
    }
}
