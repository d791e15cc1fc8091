//! The command `nanostate`: run a hub, send states, look at them, measure.

mod arguments;
mod bench;
mod cat;
mod clear;
mod completions;
mod counters;
mod get;
mod hub;
mod hub_options;
mod identity;
mod list;
mod logger;
mod man;
mod observer;
mod output;
mod parent;
mod peers;
mod ping;
mod send;
mod signals;
mod stdio;
mod top;
mod units;
mod watch;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use log::LevelFilter;
use nanostate::{limits, App, AppOption, AppText, Error, Status};

/// Exit code: the command failed.
const FAILURE: u8 = 1;
/// Exit code: the command line is wrong.
const USAGE: u8 = 2;

/// Share states between programs, through a hub
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = after_help())]
struct Arguments {
    /// End, as by SIGTERM, with the program at the other end of this descriptor, a pipe or socket
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(i32).range(0..))]
    until_eof: Option<i32>,
    #[command(subcommand)]
    command: Command,
}

/// Help that belongs to no subcommand.
fn after_help() -> String {
    format!(
        "Environment:\n  {:<17} the hub's address, where --connect is not given\n  {:<17} the file, where --ca is not given\n  \
         {:<17} the pin, where --pin is not given\n  {:<17} the token, where --token is not given\n  {:<17} what to log, where --log is not given\n\nExit codes: 0 done, {FAILURE} failed, {USAGE} wrong usage",
        limits::URL_VARIABLE,
        AppText::TlsCa.about().variable,
        AppText::TlsPin.about().variable,
        AppText::Token.about().variable,
        nanostate::logging::VARIABLE
    )
}

#[derive(Subcommand)]
enum Command {
    Hub(hub::Arguments),
    Send(send::Arguments),
    Get(get::Arguments),
    Clear(clear::Arguments),
    List(list::Arguments),
    Watch(watch::Arguments),
    Peers(peers::Arguments),
    Top(top::Arguments),
    Ping(ping::Arguments),
    Bench(bench::Arguments),
    Cat(cat::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Arguments that all commands share which connect to a hub.
#[derive(clap::Args)]
pub struct Client {
    #[arg(long, short, value_name = "URL", help = connect_help())]
    connect: Option<String>,
    #[arg(long, value_name = "FILE", help = text_help(AppText::TlsCa))]
    ca: Option<String>,
    #[arg(long, value_name = "PIN", help = text_help(AppText::TlsPin))]
    pin: Option<String>,
    #[arg(long, value_name = "TOKEN", help = token_help())]
    token: Option<String>,
    #[arg(long, help = AppOption::ClearToken.about().text)]
    clear_token: bool,
    /// What to log on standard error: off (default), error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", value_parser = logger::level)]
    log: Option<LevelFilter>,
}

fn connect_help() -> String {
    format!("The hub's address [default: ${}, else {}]", limits::URL_VARIABLE, limits::DEFAULT_URL)
}

fn text_help(option: AppText) -> String {
    format!("{} [default: ${}]", option.about().text, option.about().variable)
}

/// Other users of the machine see the arguments of a command.
fn token_help() -> String {
    format!(
        "{}. Other users of this machine can see it in the list of processes: prefer the variable",
        text_help(AppText::Token)
    )
}

impl Client {
    /// Starts to connect an app.
    fn connect(&self, app: &App) -> Result<(), Failure> {
        let texts = [(AppText::TlsCa, &self.ca), (AppText::TlsPin, &self.pin), (AppText::Token, &self.token)];
        for (option, value) in texts.into_iter().filter(|(_, value)| value.is_some()) {
            app.set_text(option, value.as_deref())?;
        }
        app.set(AppOption::ClearToken, self.clear_token.into())?;
        Ok(app.connect(self.connect.as_deref())?)
    }
}

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong, for this reason.
    Usage(String),
    /// The command failed, for this reason.
    Failed(String),
    /// The time was over, for this reason.
    TimedOut(String),
    /// The reader of standard output has gone. That is no failure: `nanostate watch | head -1`.
    OutputClosed,
    /// Stopped by this signal before it was done.
    Signal(i32),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let text = error.to_string();
        let text = hub_options::with_flags(&text).into_owned();
        match error.status() {
            Status::Url | Status::Name | Status::Identity | Status::Invalid => Failure::Usage(text),
            Status::Timeout => Failure::TimedOut(text),
            _ => Failure::Failed(text),
        }
    }
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
    let result = arguments.until_eof.map_or(Ok(()), parent::watch).and_then(|()| match arguments.command {
        Command::Hub(arguments) => hub::run(arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::Get(arguments) => get::run(arguments),
        Command::Clear(arguments) => clear::run(arguments),
        Command::List(arguments) => list::run(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Peers(arguments) => peers::run(arguments),
        Command::Top(arguments) => top::run(arguments),
        Command::Ping(arguments) => ping::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Cat(arguments) => cat::run(arguments),
        Command::Completions(arguments) => completions::run(arguments, Arguments::command()),
        Command::Man(arguments) => man::run(arguments, Arguments::command()),
    });
    logger::flush();
    match result {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            complain(&text);
            ExitCode::from(USAGE)
        }
        Err(Failure::Failed(text) | Failure::TimedOut(text)) => {
            complain(&text);
            ExitCode::from(FAILURE)
        }
        Err(Failure::Signal(signal)) => ExitCode::from(signals::exit_code(signal)),
    }
}

/// Prints a line for the user on standard error. If that is closed, the command does not fail.
pub fn complain(text: &str) {
    let line = format!("nanostate: {}\n", output::one_line(text));
    let _ = stdio::error().and_then(|mut error| error.write_all(line.as_bytes()));
}

/// Prints help, the version, or the error in the command line.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = stdio::output().and_then(|mut out| out.write_all(error.render().to_string().as_bytes()));
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let text = match text.strip_prefix("error: ") {
        Some(words) => format!("nanostate: {words}"),
        None => text,
    };
    let _ = stdio::error().and_then(|mut error| error.write_all(text.as_bytes()));
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
