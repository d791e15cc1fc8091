//! Tables: what a reader compares, and how it looks on a terminal.

use super::compare::{self, Question};
use super::goals::{self, Goal};
use super::{number, title};
use crate::results::{Figure, Measured, Metric, Results};
use crate::system::Role;

/// Columns of a terminal that has not been made narrow.
const WIDTH: usize = 120;

/// What a cell shows that has nothing to show.
pub const NOTHING: &str = "–";

/// What the numbers and marks in tables mean.
pub const LEGEND: &str = "\
    The median of the samples, and their quartiles. A ratio is the median of the ratios within each round: to the \
    floor over the same kind of socket, or of one process, and to the peer with the best median. The best are marked among the \
    systems whose hub is a process of its own, without the floor. A system that loses states has no ratios and is \
    not among the best.";

/// One figure with one parameter.
pub struct Table<'a> {
    pub figure: Figure,
    pub parameter: u64,
    pub groups: Vec<Group<'a>>,
    pub rows: Vec<Row<'a>>,
}

/// The columns of one metric.
pub struct Group<'a> {
    question: Question<'a>,
    /// The peer that others are compared with.
    peer: Option<&'a Measured>,
    best: Option<&'a Measured>,
}

/// One system.
pub struct Row<'a> {
    pub system: &'a Measured,
    /// One for each group.
    pub cells: Vec<Option<Cell>>,
    /// Samples.
    pub n: usize,
}

/// One number of one system.
pub struct Cell {
    pub median: String,
    pub range: String,
    to_floor: Option<String>,
    to_peer: Option<String>,
    pub is_best: bool,
}

/// Whether a metric shows which system is better, and by how much: shares and counts, mostly all or none, do not.
fn is_compared(metric: Metric) -> bool {
    !matches!(metric, Metric::Delivered | Metric::Skipped | Metric::WakeUps | Metric::OtherThreads)
}

impl<'a> Group<'a> {
    fn new(question: Question<'a>) -> Group<'a> {
        let is_judged = |s: &&Measured| s.role != Role::Floor && !compare::is_in_one_process(s);
        let best = question.best(question.results.systems.iter().filter(is_judged));
        Group { question, peer: question.best_peer(), best }
    }

    pub fn metric(&self) -> Metric {
        self.question.metric
    }

    fn cell(&self, system: &Measured) -> Option<Cell> {
        let (q, name) = (&self.question, &system.name);
        let spread = q.spread(name)?;
        let to = |other: &Measured| q.ratio(name, &other.name).map(|ratio| number::ratio(ratio.median));
        let is_compared = is_compared(q.metric) && q.is_complete(name);
        Some(Cell {
            median: number::value(q.metric, spread.median),
            range: number::range(q.metric, &spread),
            to_floor: q.floor_of(system).filter(|_| is_compared).and_then(to),
            to_peer: self.peer.filter(|_| is_compared).and_then(to),
            is_best: is_compared && self.best.is_some_and(|best| best.name == *name),
        })
    }

    /// The headings of its ratios.
    pub fn ratio_headings(&self) -> Vec<String> {
        if !is_compared(self.metric()) {
            return Vec::new();
        }
        vec!["× floor".to_string(), format!("× {}", self.peer.map_or("peer", |peer| &peer.name))]
    }

    /// The ratios of a cell, as many as there are headings.
    pub fn ratios(&self, cell: Option<&Cell>) -> Vec<String> {
        if !is_compared(self.metric()) {
            return Vec::new();
        }
        let ratios = [cell.and_then(|c| c.to_floor.clone()), cell.and_then(|c| c.to_peer.clone())];
        ratios.map(|ratio| ratio.unwrap_or(NOTHING.to_string())).to_vec()
    }
}

impl<'a> Table<'a> {
    /// The table of a figure; systems without a sample have no row.
    pub fn new(results: &'a Results, figure: Figure, parameter: u64) -> Table<'a> {
        let of_this = results.series.iter().filter(|s| s.figure == figure && s.parameter == parameter);
        let mut metrics: Vec<Metric> = of_this.map(|s| s.metric).collect();
        metrics.sort_unstable();
        metrics.dedup();
        let group = |metric| Group::new(Question { results, figure, parameter, metric });
        let groups: Vec<Group> = metrics.into_iter().map(group).collect();
        let row = |system: &'a Measured| {
            let n = groups.iter().filter_map(|group| Some(group.question.spread(&system.name)?.n)).max()?;
            Some(Row { system, cells: groups.iter().map(|group| group.cell(system)).collect(), n })
        };
        let rows = results.systems.iter().filter_map(row).collect();
        Table { figure, parameter, groups, rows }
    }

    /// What stands above it.
    pub fn title(&self) -> String {
        format!("{}, {}", title(self.figure), number::parameter(self.figure, self.parameter))
    }
}

/// The tables of a run in the order of figures, those of a figure together.
pub fn tables(results: &Results) -> Vec<(Figure, Vec<Table<'_>>)> {
    let mut figures: Vec<Figure> =
        results.series.iter().map(|s| s.figure).chain(results.notes.iter().map(|n| n.figure)).collect();
    figures.sort_unstable();
    figures.dedup();
    let tables = |figure| results.parameters(figure).into_iter().map(move |p| Table::new(results, figure, p)).collect();
    figures.into_iter().map(|figure| (figure, tables(figure))).collect()
}

/// What is not a number in a figure: one line for each system and text, however many rounds say the same.
pub fn notes(results: &Results, figure: Figure) -> Vec<String> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for note in results.notes.iter().filter(|n| n.figure == figure) {
        let with = note.parameter.map_or(String::new(), |p| format!(", {}", number::parameter(figure, p)));
        let line = format!("{}{with}: {}", note.system, note.text);
        let round = note.round.map(|round| round.to_string());
        match lines.iter_mut().find(|(same, _)| *same == line) {
            Some((_, rounds)) => rounds.extend(round),
            None => lines.push((line, round.into_iter().collect())),
        }
    }
    let with_rounds = |(line, rounds): (String, Vec<String>)| match rounds.len() {
        0 => line,
        1 => format!("{line} (round {})", rounds[0]),
        _ => format!("{line} (rounds {})", rounds.join(", ")),
    };
    lines.into_iter().map(with_rounds).collect()
}

/// The systems that are not here, and why.
pub fn skipped(results: &Results) -> Vec<String> {
    let why = |s: &Measured| s.skipped.as_ref().map(|why| format!("{}: {why}", s.name));
    results.systems.iter().filter_map(why).collect()
}

/// Where, when and how it was measured.
pub fn circumstances(results: &Results) -> String {
    let (machine, run) = (&results.machine, &results.run);
    format!(
        "{}, {} {}, {} of memory, {}, {}, {}; {}{} rounds in {} min, {}",
        machine.cpu,
        machine.cores,
        if machine.cores == 1 { "core" } else { "cores" },
        format_args!("{:.1} GiB", machine.memory as f64 / f64::from(1 << 30)),
        machine.kernel,
        machine.system,
        machine.rustc,
        if run.quick { "quick run, " } else { "" },
        run.rounds,
        (run.seconds / 60.0).ceil(),
        machine.date,
    )
}

/// All of a run for a terminal.
pub fn text(results: &Results) -> String {
    let mut out = format!("{}\n", wrapped(&circumstances(results), WIDTH));
    for (figure, tables) in tables(results) {
        for table in tables {
            out += &format!("\n{}\n", table.title());
            for part in parts(&table) {
                out += &lines(&part);
            }
        }
        for note in notes(results, figure) {
            out += &format!("  {note}\n");
        }
    }
    out += &format!("\n{}\n", wrapped(&format!("* the best. {LEGEND}"), WIDTH));
    let skipped = skipped(results);
    if !skipped.is_empty() {
        out += "\nNot measured\n";
        skipped.iter().for_each(|line| out += &format!("  {line}\n"));
    }
    out += "\nGoals\n";
    out += &lines(&goal_rows(&goals::goals(results)));
    out
}

/// A table as rows of cells, the first being the heading.
type Grid = Vec<Vec<(String, Align)>>;

#[derive(Clone, Copy, PartialEq)]
enum Align {
    Left,
    Right,
}

/// The table beside itself or, where that is too wide, below itself.
fn parts(table: &Table<'_>) -> Vec<Grid> {
    let mut parts: Vec<Grid> = Vec::new();
    for at in 0..table.groups.len() {
        let group = grid(table, at);
        match parts.last_mut() {
            Some(part) if width(part) + width(&group) <= WIDTH => {
                part.iter_mut().zip(group).for_each(|(row, more)| row.extend(more));
            }
            _ => parts.push(names(table).into_iter().zip(group).map(|(name, cells)| [name, cells].concat()).collect()),
        }
    }
    parts
}

/// The columns that say whose row it is.
fn names(table: &Table<'_>) -> Grid {
    let heading = vec![("system".to_string(), Align::Left), ("n".to_string(), Align::Right)];
    let row = |row: &Row| vec![(row.system.name.clone(), Align::Left), (row.n.to_string(), Align::Right)];
    std::iter::once(heading).chain(table.rows.iter().map(row)).collect()
}

/// The columns of one metric.
fn grid(table: &Table<'_>, at: usize) -> Grid {
    let group = &table.groups[at];
    let mut heading = vec![format!("{} {}", group.metric(), group.metric().unit()), "quartiles".to_string()];
    heading.extend(group.ratio_headings());
    let row = |row: &Row| {
        let cell = row.cells[at].as_ref();
        let mark = |cell: &Cell| if cell.is_best { "* " } else { "" };
        let median = cell.map_or(NOTHING.to_string(), |cell| format!("{}{}", mark(cell), cell.median));
        let range = cell.map_or(NOTHING.to_string(), |cell| cell.range.clone());
        [vec![median, range], group.ratios(cell)].concat()
    };
    let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
    let right = |cells: Vec<String>| cells.into_iter().map(|cell| (cell, Align::Right)).collect();
    std::iter::once(heading).chain(rows).map(right).collect()
}

fn goal_rows(goals: &[Goal]) -> Grid {
    let heading = ["figure", "goal", "measured", "verdict"].map(String::from).to_vec();
    let row = |g: &Goal| vec![g.figure.clone(), g.goal.clone(), g.measured.clone(), g.verdict.to_string()];
    let left = |cells: Vec<String>| cells.into_iter().map(|cell| (cell, Align::Left)).collect();
    std::iter::once(heading).chain(goals.iter().map(row)).map(left).collect()
}

/// Blanks between two columns.
const GAP: usize = 2;

fn widths(grid: &Grid) -> Vec<usize> {
    let columns = grid.first().map_or(0, Vec::len);
    (0..columns).map(|at| grid.iter().map(|row| row[at].0.chars().count()).max().unwrap_or(0)).collect()
}

fn width(grid: &Grid) -> usize {
    widths(grid).iter().map(|w| w + GAP).sum()
}

fn lines(grid: &Grid) -> String {
    let widths = widths(grid);
    let line = |row: &Vec<(String, Align)>| {
        let cells = row.iter().zip(&widths).map(|((cell, align), width)| match align {
            Align::Left => format!("{:GAP$}{cell:<width$}", ""),
            Align::Right => format!("{:GAP$}{cell:>width$}", ""),
        });
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    grid.iter().map(line).collect()
}

/// A text in lines that are not longer than `width`.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => *line += &format!(" {word}"),
            _ => lines.push(word.to_string()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up;

    #[test]
    fn a_row_has_medians_ratios_to_the_floor_and_to_the_best_peer_and_the_best_is_marked() {
        let results = made_up::results();
        let table = Table::new(&results, Figure::RoundTrip, 64);
        assert_eq!(table.groups[0].peer.map(|peer| peer.name.as_str()), Some("redis unix"));
        let row = table.rows.iter().find(|row| row.system.name == "nanostate ipc recv").unwrap();
        let cell = row.cells[0].as_ref().unwrap();
        let shown = (row.n, cell.median.as_str(), cell.to_floor.as_deref(), cell.to_peer.as_deref(), cell.is_best);
        assert_eq!(shown, (3, "40.0", Some("1.25"), Some("0.67"), true));
    }

    #[test]
    fn who_loses_states_is_neither_best_nor_compared() {
        let results = made_up::results();
        let table = Table::new(&results, Figure::Burst, 200_000);
        let row = table.rows.iter().find(|row| row.system.name == "nanomsg ipc").unwrap();
        let cell = row.cells[0].as_ref().unwrap();
        assert_eq!((cell.is_best, &cell.to_floor, &cell.to_peer), (false, &None, &None));
        assert_eq!(
            table.groups[0].peer.map(|peer| peer.name.as_str()),
            Some("zeromq ipc"),
            "though nanomsg's rate is higher"
        );
    }

    #[test]
    fn a_table_too_wide_for_a_terminal_goes_on_below() {
        let text = text(&made_up::results());
        let tables = text.split("Goals").next().unwrap_or_default();
        assert!(tables.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("p99.9 µs"), "{text}");
    }

    #[test]
    fn what_is_skipped_or_failed_is_told_once_with_its_reason() {
        let text = text(&made_up::results());
        assert_eq!(text.matches("zenoh tcp: built without the feature zenoh").count(), 1, "{text}");
        assert_eq!(text.matches("nng ipc, 64 B: no answer in 120 s (rounds 1, 2)").count(), 1, "{text}");
    }
}
