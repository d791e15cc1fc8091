//! The command line of ours, as processes: its commands, and a hub with what is done on it.

use std::ffi::OsStr;
use std::process::Command;

use super::process::{run, Ended, Process};

/// The command line with these arguments.
pub fn nanostate<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanostate"));
    command.args(arguments);
    command
}

/// The next address that a hub tells.
fn address(hub: &mut Process) -> String {
    let line = hub.next_line();
    line.strip_prefix("listening on ").unwrap_or_else(|| panic!("not an address: {line:?}")).to_owned()
}

/// What `nanostate watch` complained of. That it waits for the hub is none: on a busy machine its first connection can
/// take longer than the second that it waits before it says so.
pub fn complaints(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.iter().map(String::as_str);
    lines.filter(|line| !line.ends_with("; waiting for the hub") && *line != "nanostate: connected").collect()
}

/// The command line of ours.
pub struct Cli;

impl Cli {
    pub fn run(arguments: &[&str]) -> Process {
        Process::spawn(nanostate(arguments))
    }

    /// A hub as a process of its own, and where it listens.
    pub fn hub(urls: &[&str]) -> (Process, Vec<String>) {
        let mut arguments = vec!["hub"];
        arguments.extend(urls.iter().flat_map(|url| ["--listen", url]));
        let mut hub = Cli::run(&arguments);
        let addresses = urls.iter().map(|_| address(&mut hub)).collect();
        (hub, addresses)
    }
}

/// A hub as a process of its own, for the commands that talk to it.
pub struct CliHub {
    pub process: Process,
    pub url: String,
}

impl CliHub {
    /// A hub on a free port.
    pub fn start() -> CliHub {
        CliHub::start_with(["--listen", "tcp://127.0.0.1:0"])
    }

    /// A hub with these arguments; its URL is the first address it names.
    pub fn start_with<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> CliHub {
        let mut command = nanostate(["hub"]);
        // So that observers are seen.
        command.args(arguments).env("NANOSTATE_LOG", "debug");
        let mut process = Process::spawn(command);
        let url = address(&mut process);
        CliHub { process, url }
    }

    /// `nanostate` with these arguments, on this hub.
    pub fn nanostate<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = nanostate(arguments);
        command.args(["--connect", &self.url]);
        command
    }

    /// Sends a state with the command, which has to succeed.
    pub fn send(&self, arguments: &[&str]) {
        self.send_input(arguments, b"");
    }

    /// The same with standard input.
    pub fn send_input(&self, arguments: &[&str], input: &[u8]) {
        let mut command = self.nanostate(["send", "--timeout", "50"]);
        command.args(arguments);
        let ended = run(command, input);
        assert!(
            ended.code == Some(0) && ended.stdout.is_empty() && ended.stderr.is_empty(),
            "{arguments:?}: {ended:?}"
        );
    }

    /// `nanostate watch` with these arguments, connected.
    pub fn watch(&mut self, arguments: &[&str]) -> Process {
        let mut command = self.nanostate(["watch"]);
        command.args(arguments);
        let watch = Process::spawn(command);
        self.joined_by("watch", watch.id());
        watch
    }

    /// Waits until an app joins that `nanostate COMMAND` made in that process; its identity.
    pub fn joined_by(&mut self, command: &str, process: u32) -> String {
        let (id, joined) = (format!("-{process}-"), ") joined");
        let line = self.process.next_error_line("who joins", |line| line.contains(&id) && line.ends_with(joined));
        let (_, identity) = line.split_once(&format!(" nanostate-{command}-")).unwrap_or_else(|| panic!("{line}"));
        format!("nanostate-{command}-{}", identity.split_once(" (").unwrap().0)
    }

    /// Waits until an app joins.
    pub fn joined(&mut self, identity: &str) {
        let who = format!(" {identity} (");
        self.process.next_error_line("who joins", |line| line.contains(&who) && line.ends_with(") joined"));
    }

    /// The lines of `nanostate watch` with these arguments until it ends by itself.
    pub fn watched(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = self.nanostate(["watch"]);
        command.args(arguments);
        let ended = run(command, b"");
        assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{arguments:?}: {ended:?}");
        ended.stdout
    }
}
