//! What is shown, by what was counted and which keys were pressed.

use std::collections::HashMap;

use nanostate::{HubStats, PeerStats};

use super::keys::Key;
use super::table::{self, elided, Column, Flow, Rates, Row};
use crate::counters::not_passed_on;
use crate::output;
use crate::units::{age_of, count_of, size_of};

/// What a hub has said of its counters.
pub type Sample = (HubStats, Vec<PeerStats>);

/// What one sample says, with the rates since the one before.
pub struct Counted {
    pub hub: HubStats,
    pub rates: Option<Rates>,
    pub rows: Vec<Row>,
}

/// Makes rates of counters.
#[derive(Default)]
pub struct Meter(Option<(HubStats, HashMap<u64, PeerStats>)>);

impl Meter {
    /// The next sample.
    pub fn take(&mut self, (hub, peers): Sample) -> Counted {
        let before = self.0.take().filter(|(before, _)| is_same_hub(before, &hub));
        let elapsed = |before: &HubStats| hub.uptime_ms.saturating_sub(before.uptime_ms);
        let rates = before.as_ref().map(|(before, _)| {
            let now = (hub.messages_in, hub.bytes_in, hub.messages_out, hub.bytes_out);
            rates_of(elapsed(before), (before.messages_in, before.bytes_in, before.messages_out, before.bytes_out), now)
        });
        let of_peer = |peer: &PeerStats| {
            let flow = |peer: &PeerStats| (peer.messages_in, peer.bytes_in, peer.messages_out, peer.bytes_out);
            let (before, peers) = before.as_ref()?;
            // One that came in between has counted from nothing.
            Some(rates_of(elapsed(before), peers.get(&peer.connection).map_or((0, 0, 0, 0), flow), flow(peer)))
        };
        let rows = peers.iter().map(|peer| Row { rates: of_peer(peer), peer: peer.clone() }).collect();
        self.0 = Some((hub.clone(), peers.into_iter().map(|peer| (peer.connection, peer)).collect()));
        Counted { hub, rates, rows }
    }

    /// What comes next may be of another hub.
    pub fn reset(&mut self) {
        self.0 = None;
    }
}

/// Whether these may be two samples of one hub, and time has passed between them.
fn is_same_hub(before: &HubStats, after: &HubStats) -> bool {
    let grew = |of: fn(&HubStats) -> u64| of(before) <= of(after);
    before.uptime_ms < after.uptime_ms && grew(|hub| hub.joined) && grew(|hub| hub.messages_in)
}

type Flows = (u64, u64, u64, u64);

fn rates_of(elapsed_ms: u64, before: Flows, after: Flows) -> Rates {
    let rate = |before: u64, after: u64| {
        let per_second = u128::from(after.saturating_sub(before)) * 1000 / u128::from(elapsed_ms.max(1));
        per_second.try_into().unwrap_or(u64::MAX)
    };
    Rates {
        messages_in: rate(before.0, after.0),
        bytes_in: rate(before.1, after.1),
        messages_out: rate(before.2, after.2),
        bytes_out: rate(before.3, after.3),
    }
}

/// The lines about the hub.
pub fn summary(counted: &Counted) -> Vec<String> {
    let Counted { hub, rates, .. } = counted;
    let old = if hub.old_peers > 0 { format!(", {} old", hub.old_peers) } else { String::new() };
    let flow = match rates {
        Some(Rates { messages_in, bytes_in, messages_out, bytes_out }) => format!(
            "in {}/s {}/s, out {}/s {}/s",
            count_of(*messages_in),
            size_of(*bytes_in as usize),
            count_of(*messages_out),
            size_of(*bytes_out as usize)
        ),
        None => format!("in {}, out {}", count_of(hub.messages_in), count_of(hub.messages_out)),
    };
    let lost = match &*not_passed_on(hub.numbers()) {
        "" => "nothing".to_owned(),
        words => words.to_owned(),
    };
    vec![
        format!("Peers:  {} of {}{old}; {} refused", hub.peers, hub.max_peers, hub.refused_peers),
        format!("States: {} of {}; {flow}", hub.states, hub.max_states),
        format!(
            "Memory: {} of {}; states {}, queued {}, unfinished {}",
            size_of(hub.memory_bytes as usize),
            size_of(hub.max_memory_bytes as usize),
            size_of(hub.table_bytes as usize),
            size_of(hub.outbox_bytes as usize),
            size_of(hub.unfinished_bytes as usize)
        ),
        format!("Not passed on: {lost}"),
    ]
}

/// What the user has chosen, and what is known.
pub struct View {
    pub url: String,
    pub sort: Column,
    pub reversed: bool,
    pub filter: String,
    /// The filter is being written.
    is_writing: bool,
    pub is_paused: bool,
    /// How many rows are above those that are shown.
    above: usize,
    counted: Option<Counted>,
    /// Why nothing newer is known.
    trouble: Option<String>,
    /// The size of the terminal when it was last filled.
    size: (usize, usize),
}

impl View {
    /// Nothing is known yet.
    pub fn new(url: String, sort: Column, reversed: bool, filter: String) -> View {
        View {
            url,
            sort,
            reversed,
            filter,
            is_writing: false,
            is_paused: false,
            above: 0,
            counted: None,
            trouble: None,
            size: (80, 24),
        }
    }

    /// What the hub counts now. Not shown while it is paused.
    pub fn counts(&mut self, counted: Counted) {
        self.trouble = None;
        if !self.is_paused || self.counted.is_none() {
            self.counted = Some(counted);
        }
    }

    /// The hub does not answer, for this reason.
    pub fn lacks(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// A key was pressed. Whether that ends the command.
    pub fn press(&mut self, key: Key) -> bool {
        if self.is_writing {
            match key {
                Key::Enter => self.is_writing = false,
                Key::Escape => (self.is_writing, self.filter) = (false, String::new()),
                Key::Backspace => drop(self.filter.pop()),
                Key::Char(char) => self.filter.push(char),
                _ => {}
            }
            self.above = 0;
            return false;
        }
        let page = self.room().max(1);
        match key {
            Key::Char('q') => return true,
            Key::Char('s') => self.sort_by_next(),
            Key::Char('r') => self.reversed = !self.reversed,
            Key::Char('/') => self.is_writing = true,
            Key::Char(' ') => self.is_paused = !self.is_paused,
            Key::Escape => self.filter.clear(),
            Key::Up => self.above = self.above.saturating_sub(1),
            Key::Down => self.above += 1,
            Key::PageUp => self.above = self.above.saturating_sub(page),
            Key::PageDown => self.above += page,
            Key::Home => self.above = 0,
            Key::End => self.above = usize::MAX,
            _ => {}
        }
        self.above = self.above.min(self.rows(Flow::PerSecond).len().saturating_sub(page));
        false
    }

    /// By the next of the columns that are shown.
    fn sort_by_next(&mut self) {
        let columns = table::that_fit(self.size.0);
        let at = columns.iter().position(|column| *column == self.sort).map_or(0, |at| at + 1);
        self.sort = columns[at % columns.len()];
        self.reversed = false;
    }

    /// What the hub counts, if it has said so.
    pub fn counted(&self) -> Option<&Counted> {
        self.counted.as_ref()
    }

    /// The rows that pass the filter, sorted.
    pub fn rows(&self, flow: Flow) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let passes =
            |row: &&Row| [&row.peer.identity, &row.peer.from].iter().any(|text| text.to_lowercase().contains(&filter));
        let mut rows: Vec<_> = self.counted.iter().flat_map(|counted| &counted.rows).filter(passes).collect();
        table::sort(&mut rows, self.sort, self.reversed, flow);
        rows
    }

    /// How many rows there is room for.
    fn room(&self) -> usize {
        self.size.1.saturating_sub(if self.is_high() { 8 } else { 3 })
    }

    /// Whether there is room for all that is said of the hub.
    fn is_high(&self) -> bool {
        self.size.1 >= 12
    }

    /// All lines, for a terminal of so many columns and lines.
    pub fn lines(&mut self, size: (usize, usize)) -> Vec<String> {
        self.size = size;
        let (width, height) = size;
        let rows = self.rows(Flow::PerSecond);
        let above = self.above.min(rows.len().saturating_sub(self.room()));
        let shown: Vec<_> = rows.iter().skip(above).take(self.room()).copied().collect();
        let columns = table::that_fit(width);
        let up = self.counted.as_ref().map(|counted| format!(", up {}", age_of(counted.hub.uptime_ms)));
        let mut lines = vec![format!("nanostate top: {}{}", output::one_line(&self.url), up.unwrap_or_default())];
        if self.is_high() {
            lines.extend(self.counted.as_ref().map_or_else(|| vec![String::new(); 4], summary));
        }
        lines.push(self.status(above, shown.len(), rows.len()));
        let mut table = table::lines(&columns, &shown, Flow::PerSecond, Some(width));
        let heading = table.remove(0);
        lines.push(heading);
        lines.extend(table);
        for line in &mut lines {
            *line = cut(line, width);
        }
        let heading = lines.len() - shown.len() - 1;
        lines[heading] = format!("\x1b[7m{:width$}\x1b[m", lines[heading]);
        if self.is_high() {
            lines.resize(height.max(1) - 1, String::new());
            lines.push(cut("q quit  s next column  r reverse  / filter  space pause  arrows scroll", width));
        }
        lines.truncate(height);
        lines
    }

    /// What is special at the moment.
    fn status(&self, above: usize, shown: usize, all: usize) -> String {
        let mut said = Vec::new();
        if let Some(why) = &self.trouble {
            said.push(format!("NO HUB: {}", output::one_line(why)));
        }
        if self.is_paused {
            said.push("PAUSED".to_owned());
        }
        if self.is_writing || !self.filter.is_empty() {
            let cursor = if self.is_writing { "_" } else { "" };
            said.push(format!("filter: {}{cursor}", output::one_line(&self.filter)));
        }
        let falls = if self.sort.falls() != self.reversed { "falling" } else { "rising" };
        said.push(format!("sorted by {}, {falls}", self.sort.name()));
        if shown < all {
            said.push(format!("{} to {} of {all}", above + 1, above + shown));
        }
        said.join("; ")
    }
}

/// The beginning of a line.
fn cut(line: &str, width: usize) -> String {
    match line.chars().count() > width {
        true if width > 0 => line.chars().take(width - 1).chain(['…']).collect(),
        _ => elided(line, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(uptime_ms: u64, peers: &[(u64, &str, u64)]) -> Sample {
        let mut hub = HubStats::default();
        (hub.uptime_ms, hub.messages_out) = (uptime_ms, peers.iter().map(|(_, _, out)| out).sum());
        let peer = |&(connection, identity, out): &(u64, &str, u64)| {
            let mut peer = PeerStats::default();
            (peer.connection, peer.identity, peer.messages_out, peer.live) =
                (connection, identity.to_owned(), out, true);
            peer
        };
        (hub, peers.iter().map(peer).collect())
    }

    fn out(counted: &Counted) -> Vec<Option<u64>> {
        let all = std::iter::once(counted.rates).chain(counted.rows.iter().map(|row| row.rates));
        all.map(|rates| rates.map(|rates| rates.messages_out)).collect()
    }

    fn view(counted: Counted) -> View {
        let mut view = View::new("tcp://hub".into(), Column::Peer, false, String::new());
        view.counts(counted);
        view
    }

    fn shown(view: &mut View, size: (usize, usize)) -> Vec<String> {
        let lines = view.lines(size);
        assert!(lines.len() <= size.1, "{lines:?}");
        for line in &lines {
            let seen = line.replace("\x1b[7m", "").replace("\x1b[m", "");
            assert!(seen.chars().count() <= size.0 && !seen.contains('\x1b'), "{size:?}: {line:?}");
        }
        let heading = lines.iter().position(|line| line.starts_with("\x1b[7m")).map_or(lines.len(), |at| at + 1);
        lines[heading..].iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    #[test]
    fn rates_are_those_of_the_last_interval_of_one_hub() {
        let mut meter = Meter::default();
        assert_eq!(out(&meter.take(sample(1000, &[(1, "a", 50)]))), [None, None]);
        assert_eq!(out(&meter.take(sample(3000, &[(1, "a", 70), (2, "b", 10)]))), [Some(15), Some(10), Some(5)]);
        assert_eq!(out(&meter.take(sample(2000, &[(1, "a", 90)]))), [None, None], "another hub");
        assert_eq!(out(&meter.take(sample(2000, &[(1, "a", 90)]))), [None, None], "no time has passed");
        meter.reset();
        assert_eq!(out(&meter.take(sample(9000, &[(1, "a", 99)]))), [None, None]);
    }

    #[test]
    fn a_table_fits_into_any_terminal() {
        let peers: Vec<_> = (0..50).map(|n| (n, "an app with a long name and blanks in it", n)).collect();
        let mut view = view(Meter::default().take(sample(1000, &peers)));
        view.lacks("a reason\nthat is long ".repeat(9));
        for columns in 0..100 {
            for lines in 0..40 {
                shown(&mut view, (columns, lines));
            }
        }
        view.counted = None;
        for size in [(0, 0), (10, 3), (80, 24)] {
            assert!(shown(&mut view, size).len() <= 1, "{size:?}");
        }
    }

    #[test]
    fn keys_sort_filter_pause_and_end() {
        let peers = [(1, "b", 10), (2, "A/x", 30), (3, "c/x", 20)];
        let mut meter = Meter::default();
        meter.take(sample(1000, &[]));
        let mut view = view(meter.take(sample(2000, &peers)));
        let mut press = |keys: &[Key]| {
            assert!(keys.iter().all(|key| !view.press(*key)));
            let mut peers = shown(&mut view, (80, 24));
            assert_eq!(peers.pop().as_deref(), Some("q"), "the help");
            peers.join(" ")
        };
        assert_eq!(press(&[]), "A/x b c/x");
        assert_eq!(press(&[Key::Char('r')]), "c/x b A/x");
        assert_eq!(press(&[Key::Char('s'), Key::Char('s')]), "A/x c/x b", "by out/s");
        assert_eq!(press(&[Key::Char('/'), Key::Char('a'), Key::Char('/')]), "A/x");
        assert_eq!(press(&[Key::Backspace, Key::Backspace, Key::Char('X'), Key::Enter]), "A/x c/x");
        assert_eq!(press(&[Key::Escape]), "A/x c/x b");
        assert_eq!(press(&[Key::Char('/'), Key::Char('q'), Key::Escape]), "A/x c/x b");
        assert_eq!(press(&[Key::Char(' ')]), "A/x c/x b");
        assert!(view.is_paused);
        view.counts(meter.take(sample(3000, &[(9, "new", 1)])));
        assert!(shown(&mut view, (80, 24)).contains(&"b".to_owned()), "it stands still");
        view.press(Key::Char(' '));
        view.counts(meter.take(sample(4000, &[(9, "new", 1)])));
        assert_eq!(shown(&mut view, (80, 24)), ["new", "q"]);
        assert!(view.press(Key::Char('q')));
    }

    #[test]
    fn more_rows_than_fit_are_scrolled() {
        let names: Vec<_> = (10..60).map(|n| n.to_string()).collect();
        let peers: Vec<_> = (0..).zip(&names).map(|(n, name)| (n, &**name, 0)).collect();
        let mut view = view(Meter::default().take(sample(1000, &peers)));
        let first = |view: &mut View| shown(view, (80, 18))[0].clone();
        assert_eq!(first(&mut view), "10");
        for (key, expected) in [
            (Key::Down, "11"),
            (Key::PageDown, "21"),
            (Key::Up, "20"),
            (Key::PageUp, "10"),
            (Key::End, "50"),
            (Key::Down, "50"),
            (Key::Home, "10"),
            (Key::Up, "10"),
        ] {
            view.press(key);
            assert_eq!(first(&mut view), expected, "{key:?}");
        }
    }
}
