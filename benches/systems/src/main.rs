//! Measures nanostate, a plain relay, and other systems that pass states on: see docs/benchmarks.md.

mod actors;
mod calls;
mod children;
mod cores;
mod drain;
mod figures;
mod machine;
mod order;
mod place;
mod procfs;
mod progress;
mod report;
mod results;
mod run;
mod seen;
mod stats;
mod system;
mod systems;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io, thread};

use clap::{Args, Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::figures::{Plan, Scenario};
use crate::order::Job;
use crate::place::Places;
use crate::results::{Figure, Results};
use crate::system::{Place, Result, System};

/// Measures nanostate, a plain relay, and other systems that pass states on
#[derive(Parser)]
#[command(version, infer_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, and print tables
    Run(RunArguments),
    /// Print the systems, and why those are missing that are not here; and the figures
    List,
    /// Print tables of an earlier run, draw it, or put it into a page
    Report {
        /// What `run --output` wrote
        #[arg(long, value_name = "FILE.json")]
        input: PathBuf,
        /// Draw the picture
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Replace the tables of this page
        #[arg(long, value_name = "FILE")]
        markdown: Option<PathBuf>,
    },
    /// Be a hub
    #[command(hide = true)]
    Hub {
        system: String,
        #[command(flatten)]
        at: At,
    },
    /// Count the system calls of a client
    #[command(hide = true)]
    CountCalls { pid: u32 },
    /// Be clients, which get their orders on standard input
    #[command(hide = true)]
    Client {
        system: String,
        #[command(flatten)]
        at: At,
        #[arg(required = true)]
        jobs: Vec<Job>,
    },
}

#[derive(Args)]
struct RunArguments {
    /// Shorter samples, at most 3 rounds
    #[arg(long)]
    quick: bool,
    /// Rounds: samples of each system in each figure, each a pair with that of every other system
    #[arg(long, visible_alias = "rounds", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pairs: Option<u32>,
    /// Only these, by name or by the first words of it
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    systems: Vec<String>,
    /// Only these
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    figures: Vec<Figure>,
    /// Of the order of the systems in each round
    #[arg(long, default_value_t = 4)]
    seed: u64,
    /// Write every sample here
    #[arg(long, value_name = "FILE.json")]
    output: Option<PathBuf>,
}

#[derive(Args)]
struct At {
    #[arg(long)]
    directory: PathBuf,
    #[arg(long)]
    port: u16,
}

impl From<At> for Place {
    fn from(at: At) -> Place {
        Place { directory: at.directory, port: at.port }
    }
}

/// Rounds of a quick run.
const QUICK_ROUNDS: u32 = 3;
/// A quick run on a machine that is busy or slow has fewer rounds rather than taking longer.
const QUICK_BUDGET: Duration = Duration::from_secs(160);
/// Rounds of any other.
const ROUNDS: u32 = 15;

/// Attempts to remove a directory that is in use.
const REMOVALS: u32 = 100;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run(arguments),
        Command::List => list(),
        Command::Report { input, svg, markdown } => report(&input, svg.as_deref(), markdown.as_deref()),
        Command::Hub { system, at } => find(&system).and_then(|system| system.serve_hub(&at.into())),
        Command::CountCalls { pid } => calls::serve_counter(pid),
        Command::Client { system, at, jobs } => {
            find(&system).and_then(|system| actors::perform(&*system, &at.into(), &jobs))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: RunArguments) -> Result<()> {
    raise_open_files()?;
    let systems = chosen_systems(&arguments.systems)?;
    let scenarios: Vec<Box<dyn Scenario>> = figures::all()
        .into_iter()
        .filter(|scenario| arguments.figures.is_empty() || arguments.figures.contains(&scenario.figure()))
        .collect();
    let plan = Plan {
        quick: arguments.quick,
        rounds: arguments.pairs.unwrap_or(if arguments.quick { QUICK_ROUNDS } else { ROUNDS }),
        // A number of pairs that is given is kept, whatever the time.
        budget: (arguments.quick && arguments.pairs.is_none()).then_some(QUICK_BUDGET),
    };
    let places = Places::new()?;
    remove_on_signal(places.root().to_owned())?;
    let results = run::run(&systems, &scenarios, &plan, arguments.seed, &places);
    if let Some(path) = &arguments.output {
        results.write(path)?;
    }
    print!("{}", report::text(&results));
    Ok(())
}

fn list() -> Result<()> {
    println!("Systems:");
    for system in systems::all() {
        match system.version() {
            Ok(version) => println!("  {:24} {version}", system.name()),
            Err(why) => println!("  {:24} skipped: {why}", system.name()),
        }
    }
    println!("Figures:");
    for scenario in figures::all() {
        println!("  {}", scenario.figure());
    }
    Ok(())
}

fn report(input: &Path, svg: Option<&Path>, markdown: Option<&Path>) -> Result<()> {
    let results = Results::read(input)?;
    if let Some(path) = svg {
        report::write_svg(&results, path)?;
    }
    if let Some(path) = markdown {
        report::update_markdown(&results, path)?;
    }
    if svg.is_none() && markdown.is_none() {
        print!("{}", report::text(&results));
    }
    Ok(())
}

fn find(name: &str) -> Result<Box<dyn System>> {
    systems::all().into_iter().find(|system| system.name() == name).ok_or_else(|| format!("no system {name:?}"))
}

/// Those whose names begin with one of these words; all if there are none.
fn chosen_systems(wanted: &[String]) -> Result<Vec<Box<dyn System>>> {
    let begins = |name: &str, wanted: &str| {
        name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let mut systems = systems::all();
    if let Some(nobody) = wanted.iter().find(|wanted| !systems.iter().any(|system| begins(system.name(), wanted))) {
        let names: Vec<_> = systems.iter().map(|system| system.name()).collect();
        return Err(format!("no system {nobody:?} among {}", names.join(", ")));
    }
    systems.retain(|system| wanted.is_empty() || wanted.iter().any(|wanted| begins(system.name(), wanted)));
    Ok(systems)
}

/// As many descriptors as are allowed, for this process and its children: a crowd has one for each connection.
fn raise_open_files() -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit's place is writable.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the limit lives until the call returns.
    if read < 0 || unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } < 0 {
        return Err(format!("cannot raise the number of open files: {}", io::Error::last_os_error()));
    }
    Ok(())
}

/// A run that is ended leaves no files; its children end with it.
fn remove_on_signal(root: PathBuf) -> Result<()> {
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM]);
    let mut signals = signals.map_err(|e| format!("cannot wait for signals: {e}"))?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // The run goes on meanwhile, and may make files until the directory itself is gone.
            for _ in 0..REMOVALS {
                if fs::remove_dir_all(&root).is_ok() || !root.exists() {
                    break;
                }
            }
            eprintln!();
            // As the shell does.
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}
