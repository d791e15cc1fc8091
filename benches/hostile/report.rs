//! The table: for people, as JSON, and in docs/security.md.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::attacks::Attack;
use crate::honest::Met;
use crate::hub;

/// What the 99th percentile of honest round trips stays under.
const GOAL: Duration = Duration::from_millis(20);
/// What the hub's memory stays under: its limit, and a tenth of it for what is not counted.
const MEMORY: u64 = hub::MEMORY + hub::MEMORY / 10;

const BEGIN: &str = "<!-- rows: begin -->";
const END: &str = "<!-- rows: end -->";

/// One row.
pub struct Row {
    pub attack: &'static Attack,
    pub met: Met,
    /// Memory of the hub when the storm began, at most, and some seconds after the storm.
    pub before: u64,
    pub peak: u64,
    pub after: u64,
    /// States that the hub held in the end.
    pub states: u64,
    /// What the attackers did, by the attack's own count, and connections that they lost.
    pub strikes: u64,
    pub cut: u64,
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

impl Row {
    /// What it misses of the goal, in words.
    fn missed(&self) -> Vec<&'static str> {
        let goals = [
            (self.met.percentile(0.99) >= GOAL, "time"),
            (self.peak > MEMORY, "memory"),
            (self.met.lost > 0, "lost"),
            (self.met.closed > 0, "closed"),
        ];
        goals.iter().filter(|(missed, _)| *missed).map(|(_, what)| *what).collect()
    }

    fn verdict(&self) -> String {
        match self.missed().as_slice() {
            [] => "yes".to_owned(),
            missed => format!("no: {}", missed.join(", ")),
        }
    }

    fn times(&self) -> [String; 3] {
        let times = [self.met.percentile(0.5), self.met.percentile(0.99), self.met.longest];
        times.map(|time| format!("{:.1}", milliseconds(time)))
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.attack.name.to_owned()];
        cells.extend(self.times());
        cells.extend([self.before, self.peak, self.after].map(|bytes| mebibytes(bytes).to_string()));
        cells.extend([self.states, self.met.lost, self.met.closed, self.strikes, self.cut].map(|n| n.to_string()));
        cells.push(self.verdict());
        cells
    }

    /// A line of the table for people.
    pub fn line(&self) -> String {
        aligned(&self.cells())
    }

    pub fn json(&self) -> String {
        let met = &self.met;
        json!({
            "attack": self.attack.name,
            "round_trips": met.trips.len(),
            "p50_ms": milliseconds(met.percentile(0.5)),
            "p99_ms": milliseconds(met.percentile(0.99)),
            "max_ms": milliseconds(met.longest),
            "memory_before": self.before,
            "memory_peak": self.peak,
            "memory_after": self.after,
            "states": self.states,
            "lost": met.lost,
            "closed": met.closed,
            "strikes": self.strikes,
            "cut": self.cut,
            "missed": self.missed(),
        })
        .to_string()
    }
}

const HEADING: [&str; 13] = [
    "attack",
    "p50 ms",
    "p99 ms",
    "max ms",
    "MiB before",
    "peak",
    "after",
    "states",
    "lost",
    "closed",
    "strikes",
    "cut",
    "goal met",
];

/// The cells in columns: the names to the left, the numbers to the right.
fn aligned(cells: &[String]) -> String {
    let widths = [16, 8, 8, 8, 11, 6, 6, 8, 6, 7, 10, 6];
    let mut line = String::new();
    for (i, cell) in cells.iter().enumerate() {
        line += &match widths.get(i) {
            Some(&width) if i == 0 => format!("{cell:<width$}"),
            Some(&width) => format!("{cell:>width$}"),
            None => format!("  {cell}"),
        };
    }
    line
}

/// The line above the rows.
pub fn heading() -> String {
    aligned(&HEADING.map(str::to_owned))
}

/// Replaces the table of a page.
pub fn write(page: &Path, rows: &[Row], storm: Duration) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", page.display());
    let text = fs::read_to_string(page).map_err(failed)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else { return Err(format!("{} has no {BEGIN} and {END}", page.display())) };
    let table = markdown(rows, storm);
    fs::write(page, format!("{before}{BEGIN}\n\n{table}\n{END}{after}")).map_err(failed)
}

fn markdown(rows: &[Row], storm: Duration) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut out = format!("{}; storms of {} s.\n\n", machine(), storm.as_secs());
    out += &line(&HEADING.map(str::to_owned));
    out += &format!("|---|{}---|\n", "---:|".repeat(HEADING.len() - 2));
    rows.iter().for_each(|row| out += &line(&row.cells()));
    out += "\n| attack | what the attackers do |\n|---|---|\n";
    rows.iter().for_each(|row| out += &line(&[row.attack.name.to_owned(), row.attack.does.to_owned()]));
    out
}

/// When and where.
fn machine() -> String {
    let output = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(2).unwrap_or("unknown").to_owned();
    let (date, kernel) = (output("date", "+%F"), output("uname", "-sr"));
    format!("Measured on {date} on {model}, {cores} cores, {kernel}; average load of the last 15 minutes {load}")
}
