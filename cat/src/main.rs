//! `nanostate cat`, or `nanostate-cat`: a peer of nanomsg's and NNG's protocols for a shell.

mod arguments;
mod format;
mod inbox;
mod nng;
mod protocol;
mod run;
// What the command `nanostate` has.
#[path = "../../src/bin/nanostate/stdio.rs"]
mod stdio;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, process, thread};

use clap::{CommandFactory as _, Parser as _};
use clap_mangen::Man;
use nanostate::visible::one_line;
use nanostate::Error;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use arguments::{Arguments, Plan};
use protocol::Protocol;

/// Exit code: the command failed.
const FAILURE: u8 = 1;
/// Exit code: the command line is wrong.
const USAGE: u8 = 2;
/// Exit code: not enough came in time, or not all was sent.
const TIMED_OUT: u8 = 3;

/// Why it ends without success.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong, for this reason.
    Usage(String),
    /// It failed, for this reason.
    Failed(String),
    /// The time was up before this.
    TimedOut(String),
    /// The reader of standard output has gone. That is no failure: `nanostate cat … | head -1`.
    OutputClosed,
}

/// An error when writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Failed(format!("standard output: {}", Error::words(&error))),
        }
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let code = match start(arguments) {
        Ok(()) | Err(Failure::OutputClosed) => 0,
        Err(Failure::Usage(text)) => {
            complain(&text);
            USAGE
        }
        Err(Failure::Failed(text)) => {
            complain(&text);
            FAILURE
        }
        Err(Failure::TimedOut(text)) => {
            complain(&format!("timed out: {text}"));
            TIMED_OUT
        }
    };
    // NNG's threads end with the process.
    ExitCode::from(code)
}

fn start(arguments: Arguments) -> Result<(), Failure> {
    if let Some(shell) = arguments.completions {
        // Not straight to standard output: a closed one makes it panic.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "nanostate-cat", &mut script);
        return Ok(stdio::output()?.write_all(&script)?);
    }
    if arguments.names {
        let names = Protocol::ALL.map(|protocol| protocol.link() + "\n").concat();
        return Ok(stdio::output()?.write_all(names.as_bytes())?);
    }
    if let Some(directory) = &arguments.man {
        let failed = |error| Failure::Failed(format!("{}: {}", directory.display(), Error::words(&error)));
        return Man::new(Arguments::command()).generate_to(directory).map(|_| ()).map_err(failed);
    }
    let name = env::args_os().next().unwrap_or_default();
    let link = Path::new(&name).file_name().and_then(OsStr::to_str).and_then(Protocol::of_link);
    let plan = arguments.plan(link)?;
    // NNG must not get the numbers of closed standard streams for its sockets.
    let occupied = nanostate::transport::occupy_standard();
    occupied.map_err(|error| Failure::Failed(format!("/dev/null: {}", Error::words(&error))))?;
    end_on_signals(&plan)?;
    let on_warning = if plan.quiet { |_: &str, _: &str| () } else { warn };
    let on_peers = if plan.verbose { tell_peers } else { |_: usize, _: bool| () };
    nng::start(on_warning, on_peers).map_err(|error| Failure::Failed(format!("NNG: {error}")))?;
    run::run(&plan)
}

/// From now on SIGINT and SIGTERM remove the Unix sockets at which it listens, and end the process at once.
fn end_on_signals(plan: &Plan) -> Result<(), Failure> {
    let sockets: Vec<_> = plan.listen.iter().filter_map(|url| url.strip_prefix("ipc://")).map(str::to_owned).collect();
    let cannot = |error| Failure::Failed(format!("cannot handle signals: {}", Error::words(&error)));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
    let watcher = move || {
        let Some(signal) = signals.forever().next() else { return };
        for socket in &sockets {
            let _ = fs::remove_file(socket);
        }
        let _ = emulate_default_handler(signal);
        process::exit(128 + signal);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watcher).map_err(cannot)?;
    Ok(())
}

/// The first warning of each kind that a user can do something about.
fn warn(id: &str, text: &str) {
    match id {
        "NNG-PEER-MISMATCH" => complain(&format!("a peer speaks another protocol: {}", names(text))),
        "NNG-PAIR-BUSY" => complain("a second peer was sent away: PAIR has one"),
        "NNG-RCVMAX" => complain(&format!("{}; its connection is closed", oversize(text))),
        _ => {}
    }
}

fn tell_peers(count: usize, came: bool) {
    complain(&format!("a peer {}; {count} connected", if came { "came" } else { "went" }));
}

/// What NNG says of another protocol, with names for its numbers.
fn names(text: &str) -> String {
    let name = |word: &str| {
        let number = word.trim_end_matches(',').parse::<u16>().ok()?;
        let found = Protocol::ALL.into_iter().find(|protocol| protocol.number() == number)?;
        Some(found.name().to_uppercase())
    };
    match text.split(' ').filter_map(name).collect::<Vec<_>>().as_slice() {
        [theirs, ours] => format!("{theirs}, where {ours} was expected"),
        _ => text.to_owned(),
    }
}

/// What NNG says of a message over the limit, without its numbers for sockets.
fn oversize(text: &str) -> String {
    let mut words = text.split(' ');
    let size = words.by_ref().find(|word| word.parse::<u64>().is_ok());
    match (size, words.next_back()) {
        (Some(size), Some(from)) => format!("a message of {size} bytes from {from} is over the limit (--recv-maxsz)"),
        _ => text.to_owned(),
    }
}

/// Prints a line for the user on standard error. If that is closed, nothing fails.
fn complain(text: &str) {
    let line = format!("nanostate-cat: {}\n", one_line(text));
    let _ = stdio::error().and_then(|mut error| error.write_all(line.as_bytes()));
}

/// Prints help, the version, or the error in the command line.
fn explain(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        let _ = stdio::output().and_then(|mut out| out.write_all(text.as_bytes()));
        return ExitCode::SUCCESS;
    }
    let text = match text.strip_prefix("error: ") {
        Some(words) => format!("nanostate-cat: {words}"),
        None => text,
    };
    let _ = stdio::error().and_then(|mut error| error.write_all(text.as_bytes()));
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::{names, oversize};

    #[test]
    fn protocols_are_named() {
        assert_eq!(names("Peer protocol mismatch: 32 != 48, rejected."), "PUB, where REQ was expected");
        assert_eq!(names("something else"), "something else");
    }

    #[test]
    fn a_message_over_the_limit_is_told_without_numbers_of_nng() {
        let text = "Oversize message of 21 bytes (> 10) on socket<1> pipe<86> from TCP 127.0.0.1:44730";
        assert_eq!(oversize(text), "a message of 21 bytes from 127.0.0.1:44730 is over the limit (--recv-maxsz)");
        assert_eq!(oversize("something else"), "something else");
    }

    #[test]
    fn the_version_is_that_of_nanostate() {
        let version = format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
        assert!(include_str!("../../Cargo.toml").contains(&version), "{version}");
    }
}
