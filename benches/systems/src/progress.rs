//! How far it is, on standard error: a bar on a terminal, else a line for each round.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use crate::results::Figure;

/// Characters of the bar.
const WIDTH: usize = 24;

/// Empties the line that the cursor is in.
const CLEAR: &str = "\r\x1b[K";

/// The width of a terminal that does not report one.
const COLUMNS: usize = 80;

/// Of a run.
pub struct Progress {
    terminal: bool,
    started: Instant,
    done: usize,
    total: usize,
}

impl Progress {
    /// For so many samples.
    pub fn new(total: usize) -> Progress {
        Progress { terminal: io::stderr().is_terminal(), started: Instant::now(), done: 0, total }
    }

    /// A round begins.
    pub fn round(&self, figure: Figure, parameter: u64, round: u32, rounds: u32) {
        if !self.terminal {
            let (percent, seconds) = (self.percent(), self.started.elapsed().as_secs());
            let unit = figure.parameter();
            eprintln!("{percent:3} % {seconds:4} s  {figure} {parameter} {unit}, round {round} of {rounds}");
        }
    }

    /// A sample begins.
    pub fn sample(&self, figure: Figure, parameter: u64, round: u32, rounds: u32, system: &str) {
        if self.terminal {
            let percent = self.percent();
            let full = "#".repeat(percent * WIDTH / 100);
            let seconds = self.started.elapsed().as_secs();
            let (minutes, seconds) = (seconds / 60, seconds % 60);
            let what = format!("{figure} {parameter} {}, round {round}/{rounds}: {system}", figure.parameter());
            let line = format!("[{full:.<WIDTH$}] {percent:3} % {minutes}:{seconds:02}  {what}");
            // A line that goes on below could not be written over.
            let line: String = line.chars().take(columns() - 1).collect();
            self.write(&format!("{CLEAR}{line}"));
        }
    }

    /// Samples are over, or will not be taken.
    pub fn advance(&mut self, samples: usize) {
        self.done += samples;
    }

    /// Something went wrong.
    pub fn note(&self, text: &str) {
        let clear = if self.terminal { CLEAR } else { "" };
        self.write(&format!("{clear}{text}\n"));
    }

    fn percent(&self) -> usize {
        100 * self.done.min(self.total) / self.total.max(1)
    }

    fn write(&self, text: &str) {
        // The runs of unit tests are made up: their progress does not belong in a test's output.
        if cfg!(test) {
            return;
        }
        let mut error = io::stderr().lock();
        // Measuring does not depend on anybody reading this.
        let _ = error.write_all(text.as_bytes()).and_then(|()| error.flush());
    }
}

/// The width of the terminal.
fn columns() -> usize {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the size's place is writable, and lives until the call returns.
    let told = unsafe { libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &mut size) };
    match usize::from(size.ws_col) {
        columns if told == 0 && columns > 0 => columns,
        _ => COLUMNS,
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            self.write(CLEAR);
        }
    }
}
