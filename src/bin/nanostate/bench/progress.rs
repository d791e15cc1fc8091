//! A progress bar on standard error.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use log::LevelFilter;

/// How often it is drawn: often enough to be seen moving, too rarely to affect the measurement.
const EVERY: Duration = Duration::from_millis(100);
/// The width of the bar itself.
const BAR: usize = 30;
/// The width of the title.
const TITLE: usize = 15;
/// A line that is longer than the terminal is cut off instead of wrapped, since a wrapped line cannot be drawn over. So
/// the width of the terminal need not be known.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
const CLEAR_TO_END: &str = "\x1b[K";

/// The bar, which is removed when this is dropped.
pub struct Progress {
    /// When it was last drawn; `None` if it is not shown.
    drawn: Option<Instant>,
    visible: bool,
}

impl Progress {
    /// A bar, if standard error is a terminal that nothing else writes to: log lines would end up in its line.
    pub fn new() -> Progress {
        let able = env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb");
        let visible = able && io::stderr().is_terminal() && log::max_level() == LevelFilter::Off;
        Progress { drawn: None, visible }
    }

    /// Shows that `fraction` of `title` is done, unless it was just drawn.
    pub fn show(&mut self, title: &str, fraction: f64, now: Instant) {
        if self.visible && self.drawn.is_none_or(|drawn| now.saturating_duration_since(drawn) >= EVERY) {
            self.drawn = Some(now);
            // A terminal that is gone is no reason to fail.
            let _ = io::stderr().write_all(line(title, fraction).as_bytes());
        }
    }

    /// Removes it until it is shown again.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = io::stderr().write_all(format!("\r{CLEAR_TO_END}").as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One drawing, in one write, so that the terminal wraps again however the process ends.
fn line(title: &str, fraction: f64) -> String {
    let fraction = fraction.clamp(0.0, 1.0);
    let full = (fraction * BAR as f64) as usize;
    let bar = "#".repeat(full) + &"-".repeat(BAR - full);
    format!("\r{NO_WRAP}{title:<TITLE$} [{bar}] {:>3.0} %{CLEAR_TO_END}{WRAP}", (fraction * 100.0).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(fraction: f64) -> String {
        let controls = [NO_WRAP, WRAP, CLEAR_TO_END, "\r"];
        controls.iter().fold(line("round trip", fraction), |text, control| text.replace(control, ""))
    }

    #[test]
    fn the_bar_grows_from_nothing_to_all_of_it_and_not_further() {
        for (fraction, bar, percent) in [
            (0.0, "------------------------------", "  0"),
            (0.5, "###############---------------", " 50"),
            (0.999, "#############################-", " 99"),
            (1.0, "##############################", "100"),
            (1.7, "##############################", "100"),
        ] {
            assert_eq!(shown(fraction), format!("round trip      [{bar}] {percent} %"));
        }
    }

    #[test]
    fn every_drawing_begins_at_the_margin_and_leaves_the_terminal_wrapping() {
        let line = line("round trip", 0.5);
        assert!(line.starts_with("\r\x1b[?7l") && line.ends_with("\x1b[K\x1b[?7h"), "{line:?}");
        assert!(!line.contains('\n'));
    }
}
