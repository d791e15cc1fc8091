//! The command line, and what of it does not go together.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap_complete::Shell;

use crate::format::{self, Format};
use crate::protocol::{self, Protocol};
use crate::{Failure, FAILURE, TIMED_OUT, USAGE};

/// For how long a SURVEYOR takes answers unless told otherwise; nanocat's is the same.
const SURVEY_TIME: Duration = Duration::from_secs(1);
/// The largest message that is sent, and that is received unless told otherwise: more than a hub takes or sends, less
/// than what a stray program may claim.
pub const LARGEST: usize = 1 << 30;

/// Send and receive messages of the scalability protocols, nanomsg's and NNG's, from a shell
///
/// It does what nanocat and nngcat do, with their options. Needed are a protocol and an address.
#[derive(Parser, Debug)]
#[command(name = "nanostate-cat", version, arg_required_else_help = true, after_help = after_help())]
pub struct Arguments {
    #[command(flatten)]
    protocol: protocol::Chosen,

    /// Connect to this address, now or as soon as somebody listens there
    #[arg(long, value_name = "URL", visible_alias = "connect", help_heading = "Addresses")]
    dial: Vec<String>,
    /// Listen at this address: tcp://host:port, ipc:///path, ws://host:port/path
    #[arg(long, value_name = "URL", visible_alias = "bind", help_heading = "Addresses")]
    listen: Vec<String>,
    /// Connect to tcp://127.0.0.1:PORT
    #[arg(long, short = 'l', value_name = "PORT", help_heading = "Addresses", value_parser = port)]
    connect_local: Vec<u16>,
    /// Listen at tcp://127.0.0.1:PORT
    #[arg(long, short = 'L', value_name = "PORT", help_heading = "Addresses", value_parser = port)]
    bind_local: Vec<u16>,
    /// Connect to ipc://PATH
    #[arg(long, short = 'x', value_name = "PATH", help_heading = "Addresses")]
    connect_ipc: Vec<String>,
    /// Listen at ipc://PATH
    #[arg(long, short = 'X', value_name = "PATH", help_heading = "Addresses")]
    bind_ipc: Vec<String>,

    /// The message to send, the request, or the answer
    #[arg(long, short = 'D', value_name = "DATA", help_heading = "Sending", conflicts_with = "file")]
    data: Option<OsString>,
    /// The same from a file; - is standard input
    #[arg(long, short = 'F', value_name = "PATH", help_heading = "Sending")]
    file: Option<PathBuf>,
    /// Send again every SECONDS
    #[arg(long, short = 'i', value_name = "SECONDS", help_heading = "Sending", value_parser = seconds)]
    interval: Option<Duration>,
    /// Wait for so long before the first message, instead of for the first peer
    #[arg(long, short = 'd', value_name = "SECONDS", help_heading = "Sending", value_parser = seconds)]
    delay: Option<Duration>,
    /// Give up if a message cannot be sent for so long
    #[arg(long, value_name = "SECONDS", help_heading = "Sending", value_parser = seconds)]
    send_timeout: Option<Duration>,

    /// What a SUB socket takes: messages that begin with PREFIX; all without this option
    #[arg(long, value_name = "PREFIX", help_heading = "Receiving")]
    subscribe: Vec<OsString>,
    /// Give up if no message comes for so long; of a SURVEYOR, how long a survey takes [default: 1]
    #[arg(long, visible_alias = "receive-timeout", value_name = "SECONDS", help_heading = "Receiving")]
    #[arg(value_parser = seconds)]
    recv_timeout: Option<Duration>,
    /// The largest message that is received, in bytes; 0: any [default: 1 GiB]
    #[arg(long, short = 'Z', value_name = "BYTES", help_heading = "Receiving", default_value_t = LARGEST)]
    #[arg(hide_default_value = true)]
    recv_maxsz: usize,

    #[command(flatten)]
    format: format::Chosen,

    /// End after so many messages: received ones, or sent ones where none are received; 0 is none
    #[arg(long, short = 'C', value_name = "COUNT")]
    count: Option<u64>,
    /// Both --send-timeout and --recv-timeout
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    #[arg(conflicts_with_all = ["send_timeout", "recv_timeout"])]
    timeout: Option<Duration>,
    /// Also say where it listens, and when peers come and go
    #[arg(long, short = 'v', conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing of addresses that cannot be reached
    #[arg(long, short = 'q', visible_alias = "silent")]
    quiet: bool,

    /// Print a script that completes these options in a shell
    #[arg(long, value_name = "SHELL", exclusive = true)]
    pub completions: Option<Shell>,
    /// Print the names of links to this program that select a protocol
    #[arg(long, exclusive = true, hide = true)]
    pub names: bool,
    /// Write the manual page into this directory
    #[arg(long, value_name = "DIRECTORY", exclusive = true, hide = true)]
    pub man: Option<PathBuf>,
}

fn after_help() -> String {
    format!(
        "Exit codes: 0 done, {FAILURE} failed, {USAGE} wrong usage, {TIMED_OUT} timed out before COUNT messages \
         (without --count: before the first)"
    )
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds, like 5 or 0.5".to_owned())
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a port, 0 to 65535 (--dial and --listen take a URL)".to_owned())
}

/// Where the message to send comes from.
#[derive(Debug)]
pub enum Source {
    Data(Vec<u8>),
    File(PathBuf),
}

/// A checked command line.
#[derive(Debug)]
pub struct Plan {
    pub protocol: Protocol,
    pub dial: Vec<String>,
    pub listen: Vec<String>,
    pub source: Option<Source>,
    pub subscribe: Vec<Vec<u8>>,
    pub format: Format,
    pub interval: Option<Duration>,
    pub delay: Option<Duration>,
    pub send_timeout: Option<Duration>,
    pub recv_timeout: Option<Duration>,
    pub survey_time: Duration,
    pub largest: usize,
    pub count: Option<u64>,
    pub verbose: bool,
    pub quiet: bool,
}

impl Plan {
    /// Whether messages are received at all: BUS and PAIR only send if they are not to wait for any.
    pub fn receives(&self) -> bool {
        let sends_only = self.source.is_some() && self.recv_timeout == Some(Duration::ZERO);
        self.protocol.receives()
            && !(sends_only && matches!(self.protocol, Protocol::Bus | Protocol::Pair | Protocol::Pair1))
    }
}

impl Arguments {
    /// Checks what goes together. `link`: the protocol that the name selects under which this program was started.
    pub fn plan(self, link: Option<Protocol>) -> Result<Plan, Failure> {
        let protocol = match (link, self.protocol.0) {
            (Some(link), Some(other)) if link != other => {
                return Err(usage(format!("--{}: this name of the program selects --{}", other.name(), link.name())));
            }
            (Some(protocol), _) | (None, Some(protocol)) => protocol,
            (None, None) => {
                let options = Protocol::ALL.map(|protocol| format!("--{}", protocol.name())).join(", ");
                return Err(usage(format!("no protocol: one of {options}")));
            }
        };
        let local = |ports: Vec<u16>| ports.into_iter().map(|port| format!("tcp://127.0.0.1:{port}"));
        let ipc = |paths: Vec<String>| paths.into_iter().map(|path| format!("ipc://{path}"));
        let dial = self.dial.into_iter().chain(local(self.connect_local)).chain(ipc(self.connect_ipc));
        let listen = self.listen.into_iter().chain(local(self.bind_local)).chain(ipc(self.bind_ipc));
        let dial = dial.map(|url| address(&url)).collect::<Result<Vec<_>, _>>()?;
        let listen = listen.map(|url| address(&url)).collect::<Result<Vec<_>, _>>()?;
        if dial.is_empty() && listen.is_empty() {
            return Err(usage("no address: --dial URL, --listen URL, or both".to_owned()));
        }

        let source = match (self.data, self.file) {
            (Some(data), _) => Some(Source::Data(data.into_vec())),
            (None, file) => file.map(Source::File),
        };
        let name = protocol.name();
        let given = |option: &str, is_given: bool| is_given.then(|| option.to_owned());
        let data = given("--data", matches!(source, Some(Source::Data(_))))
            .or_else(|| given("--file", matches!(source, Some(Source::File(_)))));
        if let Some(option) = data.filter(|_| !protocol.sends()) {
            return Err(usage(format!("{option}: --{name} only receives")));
        }
        if source.is_none() && protocol.needs_data() {
            return Err(usage(format!("--{name} has nothing to send: --data DATA or --file PATH")));
        }
        let sending = given("--interval", self.interval.is_some()).or_else(|| given("--delay", self.delay.is_some()));
        if let Some(option) = sending {
            if protocol.answers() || !protocol.sends() {
                return Err(usage(format!("{option}: --{name} sends nothing by itself")));
            }
            if source.is_none() {
                return Err(usage(format!("{option}: there is nothing to send: --data DATA or --file PATH")));
            }
        }
        if !self.subscribe.is_empty() && protocol != Protocol::Sub {
            return Err(usage(format!("--subscribe: --{name} has no subscriptions, --sub has")));
        }
        let format = self.format.0.unwrap_or(Format::Quoted);
        if self.format.0.is_some_and(|format| format != Format::Json) && !protocol.receives() {
            return Err(usage(format!("--format: --{name} receives nothing to print; json is for what it sends")));
        }
        if let Some(option) = given("--recv-timeout", self.recv_timeout.is_some()).filter(|_| !protocol.receives()) {
            return Err(usage(format!("{option}: --{name} receives nothing")));
        }

        let recv_timeout = self.recv_timeout.or(self.timeout);
        Ok(Plan {
            protocol,
            dial,
            listen,
            source,
            subscribe: self.subscribe.into_iter().map(OsString::into_vec).collect(),
            format,
            interval: self.interval,
            delay: self.delay,
            send_timeout: self.send_timeout.or(self.timeout),
            survey_time: recv_timeout.unwrap_or(SURVEY_TIME),
            recv_timeout,
            largest: self.recv_maxsz,
            count: self.count.filter(|count| *count > 0),
            verbose: self.verbose,
            quiet: self.quiet,
        })
    }
}

/// An address as NNG takes it.
fn address(url: &str) -> Result<String, Failure> {
    let Some((scheme, rest)) = url.split_once("://") else {
        let words = "an address is like tcp://127.0.0.1:15011, ipc:///path or ws://host:port/path";
        return Err(usage(format!("{}: {words}", url)));
    };
    match scheme {
        "inproc" => Err(usage(format!("{}: inproc does not leave a process", url))),
        // As a hub prints them.
        "ipc" if rest.starts_with('@') => Ok(format!("abstract://{}", rest[1..].replace('%', "%25"))),
        _ => match scheme.split_once('+') {
            Some(("pub" | "pull" | "rep" | "respondent", transport)) => {
                let rest = rest.split('?').next().unwrap_or_default();
                let words =
                    format!("that is how the hub's own side of a gateway is written; here it is {transport}://{rest}");
                Err(usage(format!("{}: {words}", url)))
            }
            Some(("tls", _)) => Err(usage(format!("{}: TLS is not in this build of NNG", url))),
            _ => Ok(url.to_owned()),
        },
    }
}

fn usage(text: String) -> Failure {
    Failure::Usage(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        let arguments = Arguments::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        arguments.plan(None).map_err(|failure| match failure {
            Failure::Usage(text) => text,
            other => panic!("{other:?}"),
        })
    }

    fn wrong(line: &str) -> String {
        plan(line).expect_err(line)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn nanocats_and_nngcats_options_are_there() {
        for line in [
            "x --rep -L1234 -Dpong -A",
            "x --req -l1234 -Dping -A -i 1",
            "x --req0 -l 1234 -F- --format hex",
            "x --rep --connect ipc:///var/run/app/req.socket",
            "x --pub --bind tcp://*:1 -DI -i10 --delay 1 --count 3",
            "x --surveyor --dial ws://localhost:1/x --data who --recv-timeout 1.5 --send-timeout 2 -Q",
            "x --sub -x /tmp/a -X b --subscribe a --subscribe b --msgpack -Z 0 -C 5 --receive-timeout 3 -v",
            "x --pair1 --listen tcp://127.0.0.1:0 --hex --silent",
        ] {
            plan(line).expect(line);
        }
        let plan = plan("x --sub -l1 -L2 -x /a -X b --dial tcp://h:3 --bind ipc://@n%").unwrap();
        assert_eq!(plan.dial, ["tcp://h:3", "tcp://127.0.0.1:1", "ipc:///a"]);
        assert_eq!(plan.listen, ["abstract://n%25", "tcp://127.0.0.1:2", "ipc://b"]);
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        for (line, words) in [
            ("x --dial tcp://h:1", "no protocol: one of --pair, --pair1, --bus"),
            ("x --sub", "no address: --dial URL, --listen URL, or both"),
            ("x --sub --dial h:1", "h:1: an address is like tcp://"),
            ("x --sub --dial pub+tcp://h:1?structured=1", "here it is tcp://h:1"),
            ("x --sub --dial inproc://x", "inproc://x: inproc does not leave a process"),
            ("x --sub --dial tls+tcp://h:1", "TLS is not in this build"),
            ("x --sub --dial tcp://h:1 -D x", "--data: --sub only receives"),
            ("x --pull --dial tcp://h:1 -F x", "--file: --pull only receives"),
            ("x --pub --dial tcp://h:1", "--pub has nothing to send: --data DATA or --file PATH"),
            ("x --req --dial tcp://h:1", "--req has nothing to send"),
            ("x --rep --dial tcp://h:1 -D x -i 1", "--interval: --rep sends nothing by itself"),
            ("x --sub --dial tcp://h:1 -d 1", "--delay: --sub sends nothing by itself"),
            ("x --bus --dial tcp://h:1 -i 1", "--interval: there is nothing to send"),
            ("x --pull --dial tcp://h:1 --subscribe x", "--subscribe: --pull has no subscriptions"),
            ("x --push --dial tcp://h:1 -D x --ascii", "--format: --push receives nothing to print"),
            ("x --push --dial tcp://h:1 -D x --recv-timeout 1", "--recv-timeout: --push receives nothing"),
            ("x --pub --sub --dial tcp://h:1", "'--pub' cannot be used with '--sub'"),
            ("x --sub --dial tcp://h:1 --hex --ascii", "cannot be used with"),
            ("x --sub --dial tcp://h:1 --hex --format json", "cannot be used with"),
            ("x --push --dial tcp://h:1 -D x -F y", "cannot be used with"),
            ("x --sub -l tcp://h:1", "expected a port, 0 to 65535 (--dial and --listen take a URL)"),
            ("x --sub --dial tcp://h:1 --recv-timeout soon", "expected a number of seconds, like 5 or 0.5"),
            ("x --sub --dial tcp://h:1 --format pretty", "invalid value 'pretty' for '--format <FORMAT>'"),
        ] {
            let text = wrong(line);
            assert!(text.contains(words), "{line}: {text}");
        }
    }

    #[test]
    fn the_name_of_a_link_selects_the_protocol() {
        let parsed = |line: &str| Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(parsed("nn_sub -l1").plan(Some(Protocol::Sub)).unwrap().protocol, Protocol::Sub);
        assert_eq!(parsed("nn_sub --sub -l1").plan(Some(Protocol::Sub)).unwrap().protocol, Protocol::Sub);
        let Err(Failure::Usage(text)) = parsed("nn_sub --pull -l1").plan(Some(Protocol::Sub)) else { panic!() };
        assert_eq!(text, "--pull: this name of the program selects --sub");
    }

    #[test]
    fn bus_and_pair_send_only_if_they_are_not_to_wait() {
        for (line, receives) in [
            ("x --bus -l1 -D x --recv-timeout 0", false),
            ("x --pair -l1 -D x --timeout 0", false),
            ("x --bus -l1 -D x", true),
            ("x --bus -l1 --recv-timeout 0", true),
            ("x --req -l1 -D x --recv-timeout 0", true),
            ("x --push -l1 -D x", false),
        ] {
            assert_eq!(plan(line).unwrap().receives(), receives, "{line}");
        }
    }
}
