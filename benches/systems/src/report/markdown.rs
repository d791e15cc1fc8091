//! The tables of docs/benchmarks.md, between two marks; what is around them is written by hand.

use super::goals::{self, Goal};
use super::table::{self, Cell, Group, Table, NOTHING};
use super::title;
use crate::results::{Measured, Results};
use crate::system::Result;

const BEGIN: &str = "<!-- results: begin -->";
const END: &str = "<!-- results: end -->";

/// The page with other tables between its marks.
pub fn replace(page: &str, tables: &str) -> Result<String> {
    let at = |mark: &str| match page.matches(mark).count() {
        1 => Ok(page.find(mark).unwrap_or_default()),
        n => Err(format!("the line {mark} is there {n} times, not once")),
    };
    let (begin, end) = (at(BEGIN)? + BEGIN.len(), at(END)?);
    if end < begin {
        return Err(format!("{END} comes before {BEGIN}"));
    }
    Ok(format!("{}\n\n{}\n\n{}", &page[..begin], tables.trim(), &page[end..]))
}

/// All of a run as Markdown.
pub fn tables(results: &Results) -> String {
    let mut out = format!("{}.\n\n### Goals\n\n", escaped(&table::circumstances(results)));
    out +=
        &rows(&["figure", "goal", "measured", "verdict"].map(String::from), "", goals::goals(results).iter().map(goal));
    for (figure, tables) in table::tables(results) {
        out += &format!("\n### {}\n", title(figure));
        for table in &tables {
            out += &format!("\n**{}**\n\n{}", table.title(), figure_table(table));
        }
        out += &list(&table::notes(results, figure));
    }
    out += &format!("\nBold: the best. {}\n\n### Versions\n\n", table::LEGEND);
    let heading = ["system", "version"].map(String::from);
    out += &rows(&heading, "", results.systems.iter().filter(|s| s.skipped.is_none()).map(version));
    let skipped = table::skipped(results);
    if !skipped.is_empty() {
        out += &format!("\nNot measured:\n{}", list(&skipped));
    }
    out
}

fn goal(goal: &Goal) -> Vec<String> {
    let verdict = goal.verdict.to_string();
    let verdict = if goal.verdict == goals::Verdict::Met { verdict } else { format!("**{verdict}**") };
    let measured = if goal.measured.is_empty() { NOTHING } else { &goal.measured };
    vec![goal.figure.clone(), goal.goal.clone(), measured.to_string(), verdict]
}

fn version(system: &Measured) -> Vec<String> {
    vec![system.name.clone(), system.version.clone().unwrap_or(NOTHING.to_string())]
}

fn figure_table(table: &Table<'_>) -> String {
    let mut heading = vec!["system".to_string()];
    for group in &table.groups {
        heading.push(format!("{}, {}", group.metric(), group.metric().unit()));
        heading.extend(group.ratio_headings());
    }
    heading.push("n".to_string());
    let right = "r".repeat(heading.len() - 1);
    let row = |row: &table::Row| {
        let cells = table.groups.iter().zip(&row.cells).flat_map(|(group, cell)| cells(group, cell.as_ref()));
        let name = [row.system.name.clone()].into_iter();
        name.chain(cells).chain([row.n.to_string()]).collect()
    };
    rows(&heading, &format!("l{right}"), table.rows.iter().map(row))
}

/// Median with its quartiles, and the ratios.
fn cells(group: &Group<'_>, cell: Option<&Cell>) -> Vec<String> {
    let number = |cell: &Cell| match cell.is_best {
        true => format!("**{}** ({})", cell.median, cell.range),
        false => format!("{} ({})", cell.median, cell.range),
    };
    let mut cells = vec![cell.map_or(NOTHING.to_string(), number)];
    cells.extend(group.ratios(cell));
    cells
}

/// A table; `aligned` has `l` or `r` for each column, or nothing if all are as they are.
fn rows(heading: &[String], aligned: &str, rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell).replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut aligned = aligned.chars();
    let rule = heading.iter().map(|_| if aligned.next() == Some('r') { "---:|" } else { "---|" });
    let rule = format!("|{}\n", rule.collect::<String>());
    [line(heading), rule].into_iter().chain(rows.map(|row| line(&row))).collect()
}

fn list(lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("* {}\n", escaped(line))).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n{lines}")
    }
}

/// A text that is not ours as one line that is no markup.
fn escaped(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up;

    #[test]
    fn what_is_around_the_marks_stays_and_writing_twice_is_writing_once() {
        let page = format!("# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n");
        let once = replace(&page, "new\n").unwrap();
        assert_eq!(once, format!("# Before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"));
        assert_eq!(replace(&once, "new\n").unwrap(), once);
    }

    #[test]
    fn a_page_without_its_marks_is_refused() {
        for page in ["", BEGIN, END, &format!("{END}{BEGIN}"), &format!("{BEGIN}{BEGIN}{END}")] {
            assert!(replace(page, "new").is_err(), "{page:?}");
        }
    }

    #[test]
    fn the_page_in_docs_has_the_marks() {
        let page = include_str!("../../../../docs/benchmarks.md");
        assert_eq!(replace(page, "new").map(|p| p.matches("new\n\n<!--").count()), Ok(1));
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_heading() {
        let tables = tables(&made_up::results());
        let mut columns = 0;
        for line in tables.lines() {
            let bars = line.matches('|').count() - line.matches("\\|").count();
            assert!(columns == 0 || bars == 0 || bars == columns, "{line}");
            columns = bars;
        }
        assert!(tables.contains("| nanostate ipc recv | **40.0** (38.0–42.0) | 1.25 | 0.67 |"), "{tables}");
        assert!(tables.contains("Imaginary &amp; Sons &lt;64&gt;"), "{tables}");
    }
}
