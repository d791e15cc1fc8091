//! What several commands take on their command line.

use std::time::{Duration, Instant};

use nanostate::pattern::Pattern;
use nanostate::{wire, State};

use crate::Failure;

/// Reads a number of seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds, like 5 or 0.5".to_owned())
}

/// When a command gives up.
#[derive(Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// After this time; with `None`, never. A time beyond the range of the clock counts as never, too.
    pub fn after(time: Option<Duration>) -> Deadline {
        Deadline(time.and_then(|time| Instant::now().checked_add(time)))
    }

    /// How long it is until then; `None` if it never comes.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

/// Which states are shown.
#[derive(clap::Args)]
pub struct Filter {
    /// Only states whose name matches; * stands for one segment between / or a part of one, ** for any number of segments
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Only states of this sender
    #[arg(long, value_name = "IDENTITY")]
    sender: Option<String>,
}

impl Filter {
    /// Checks the patterns and the sender.
    pub fn wanted(self) -> Result<Wanted, Failure> {
        let patterns = self.patterns.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>()?;
        self.sender.as_deref().map_or(Ok(()), wire::check_identity)?;
        Ok(Wanted { patterns, sender: self.sender })
    }
}

/// The pattern for what has this name: for other names, too, if there is a star in it. None if the name is no pattern.
pub fn pattern_for(name: &str) -> Vec<Pattern> {
    Pattern::new(name).into_iter().collect()
}

/// A [`Filter`] that was checked.
pub struct Wanted {
    /// None: every name.
    patterns: Vec<Pattern>,
    sender: Option<String>,
}

impl Wanted {
    /// Which names are shown; with no pattern all are.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether this state is shown.
    pub fn takes(&self, state: &State) -> bool {
        let named = self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(state.name()));
        named && self.sender.as_deref().is_none_or(|sender| sender == state.sender())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_a_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("soon").is_err() && seconds("inf").is_err());
    }

    #[test]
    fn a_time_out_beyond_the_clock_never_comes() {
        assert!(Deadline::after(Some(Duration::MAX)).left().is_none() && Deadline::after(None).left().is_none());
        assert!(Deadline::after(Some(Duration::ZERO)).is_over() && !Deadline::after(None).is_over());
    }
}
