//! What honest programs notice of attacks on their hub: docs/security.md.
//!
//! ```text
//! cargo bench --bench hostile                      the table
//! cargo bench --bench hostile -- drip lists        the rows whose names begin with one of the words
//! cargo bench --bench hostile -- --list            the rows, and what attackers do in each
//! cargo bench --bench hostile -- --json            a JSON object for each row
//! cargo bench --bench hostile -- --pages 9         what 197 pages do beside three that attack, in 9 pairs of runs
//! cargo bench --bench hostile -- --stopped 5      what a receiver that is stopped costs the others, in 5 pairs of runs
//! cargo bench --bench hostile -- --page FILE       also writes the table into a page, between its marks
//! cargo bench --bench hostile -- --seconds 30      of each storm or run, instead of 10
//! ```
//!
//! For each row a hub is started as a process, beside it the attackers as another; the honest programs are in this one.

// Limits of the system, and children that end with this process.
#![allow(unsafe_code)]

mod attacks;
mod honest;
mod hub;
mod pages;
mod peer;
mod report;
mod stopped;
mod storm;
#[allow(dead_code, unused_imports)]
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use attacks::Attack;
use honest::{Large, Pair};
use hub::Hub;
use report::Row;
use storm::Attackers;

/// How long a storm lasts unless told otherwise.
const STORM: Duration = Duration::from_secs(10);
/// How long after it the memory is looked at.
const AFTER: Duration = Duration::from_secs(5);
/// Descriptors that the largest attack needs, in the hub and in the process of attackers.
const OPEN_FILES: usize = 4096;

/// What the command line says.
struct Arguments {
    words: Vec<String>,
    list: bool,
    json: bool,
    page: Option<PathBuf>,
    storm: Duration,
    pages: Option<usize>,
    stopped: Option<usize>,
}

impl Arguments {
    fn parse(arguments: Vec<String>) -> Result<Arguments, String> {
        let mut parsed = Arguments {
            words: Vec::new(),
            list: false,
            json: false,
            page: None,
            storm: STORM,
            pages: None,
            stopped: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                // From cargo.
                "--bench" => {}
                "--list" => parsed.list = true,
                "--json" => parsed.json = true,
                "--page" => parsed.page = Some(value()?.into()),
                "--seconds" | "--pages" | "--stopped" => {
                    let number: u32 = value()?.parse().unwrap_or(0);
                    if number == 0 {
                        return Err(format!("{argument} needs a number above 0"));
                    }
                    match argument.as_str() {
                        "--pages" => parsed.pages = Some(number as usize),
                        "--stopped" => parsed.stopped = Some(number as usize),
                        _ => parsed.storm = Duration::from_secs(number.into()),
                    }
                }
                word if word.starts_with('-') => return Err(format!("unknown: {word}")),
                _ => parsed.words.push(argument),
            }
        }
        Ok(parsed)
    }

    fn chosen(&self) -> Result<Vec<&'static Attack>, String> {
        let begins = |attack: &Attack, word: &String| attack.name.starts_with(word.as_str());
        if let Some(nothing) = self.words.iter().find(|word| !attacks::ALL.iter().any(|attack| begins(attack, word))) {
            return Err(format!("no row begins with {nothing:?}; --list lists them"));
        }
        let is_chosen = |attack: &&Attack| self.words.is_empty() || self.words.iter().any(|word| begins(attack, word));
        Ok(attacks::ALL.iter().filter(is_chosen).collect())
    }
}

/// Measures one row.
fn measure(attack: &'static Attack, storm: Duration) -> Result<Row, String> {
    let failed = |error: nanostate::Error| format!("{}: an honest program failed: {error}", attack.name);
    let mut hub = Hub::start();
    let mut pair = Pair::start(&hub.addresses.tcp).map_err(failed)?;
    let large = attack.large.then(|| Large::start(&hub.addresses.tcp)).transpose().map_err(failed)?;
    let mut attackers = Attackers::prepare(attack.name, &hub);
    let before = hub.resident();
    attackers.begin();
    let mut told = String::new();
    let mut met = pair.run(storm, AFTER, || told = attackers.end());
    let after = hub.resident();
    if let Some((lost, closed)) = large.map(Large::end) {
        met.lost += lost;
        met.closed += closed;
    }
    if !hub.is_running() {
        return Err(format!("{}: the hub ended\n{}", attack.name, hub.words()));
    }
    let (strikes, cut) = told.split_once(' ').unwrap_or_default();
    let number = |text: &str| text.parse().unwrap_or(0);
    let (peak, states) = (hub.peak(), hub.states());
    Ok(Row { attack, met, before, peak, after, states, strikes: number(strikes), cut: number(cut) })
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let chosen = arguments.chosen()?;
    if arguments.list {
        chosen.iter().for_each(|attack| println!("{:<16} {}", attack.name, attack.does));
        return Ok(());
    }
    if arguments.page.is_some() && chosen.len() < attacks::ALL.len() {
        return Err("a page gets all rows or none".to_owned());
    }
    support::allow_descriptors(OPEN_FILES)?;
    if let Some(pairs) = arguments.pages {
        return pages::compare(pairs, arguments.storm);
    }
    if let Some(pairs) = arguments.stopped {
        return stopped::compare(pairs, arguments.storm);
    }
    let mut rows = Vec::new();
    if !arguments.json {
        println!("{}", report::heading());
    }
    for attack in chosen {
        let row = measure(attack, arguments.storm)?;
        println!("{}", if arguments.json { row.json() } else { row.line() });
        rows.push(row);
        // The system takes back what the row had.
        thread::sleep(Duration::from_secs(1));
    }
    if let Some(page) = &arguments.page {
        report::write(page, &rows, arguments.storm)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first() {
        Some(first) if first == storm::ATTACK => storm::attack(&arguments[1..]),
        _ => Arguments::parse(arguments).and_then(|arguments| run(&arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
