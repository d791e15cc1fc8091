//! The table of peers: its columns, which of them there is room for, and the order of its rows.

use std::cmp::Ordering;

use nanostate::PeerStats;

use crate::output;
use crate::units::{age_of, count_of, size_of};

/// What happens in a second.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Rates {
    pub messages_in: u64,
    pub bytes_in: u64,
    pub messages_out: u64,
    pub bytes_out: u64,
}

/// One peer.
pub struct Row {
    pub peer: PeerStats,
    /// Of the last interval, once they are known.
    pub rates: Option<Rates>,
}

/// What is shown of what a peer sends and is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// How much in a second.
    PerSecond,
    /// How much since it connected.
    Total,
}

/// A column. The first ones are shown before the others where there is little room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Column {
    Peer,
    Out,
    In,
    Queued,
    Conflated,
    State,
    Refused,
    Connected,
    BytesIn,
    BytesOut,
    Withheld,
    Faults,
    Address,
}

/// In the order from left to right.
pub const COLUMNS: [Column; 13] = [
    Column::Peer,
    Column::In,
    Column::Out,
    Column::BytesIn,
    Column::BytesOut,
    Column::Queued,
    Column::Conflated,
    Column::Withheld,
    Column::Refused,
    Column::Faults,
    Column::Connected,
    Column::State,
    Column::Address,
];

/// Between two columns.
const GAP: usize = 2;
/// The least width for the name of a peer.
const PEER: usize = 16;

/// What rows are ordered by.
enum Order {
    Text(String),
    Number(u64),
}

impl Column {
    /// What stands above it.
    pub fn heading(self, flow: Flow) -> &'static str {
        match (self, flow) {
            (Column::Peer, _) => "PEER",
            (Column::In, Flow::PerSecond) => "IN/s",
            (Column::In, Flow::Total) => "IN",
            (Column::Out, Flow::PerSecond) => "OUT/s",
            (Column::Out, Flow::Total) => "OUT",
            (Column::BytesIn, Flow::PerSecond) => "B-IN/s",
            (Column::BytesIn, Flow::Total) => "B-IN",
            (Column::BytesOut, Flow::PerSecond) => "B-OUT/s",
            (Column::BytesOut, Flow::Total) => "B-OUT",
            (Column::Queued, _) => "QUEUED",
            (Column::Conflated, _) => "CONFLATED",
            (Column::Withheld, _) => "WITHHELD",
            (Column::Refused, _) => "REFUSED",
            (Column::Faults, _) => "FAULTS",
            (Column::Connected, _) => "UP",
            (Column::State, _) => "STATE",
            (Column::Address, _) => "ADDRESS",
        }
    }

    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Column::Peer => "peer",
            Column::In => "in",
            Column::Out => "out",
            Column::BytesIn => "bytes-in",
            Column::BytesOut => "bytes-out",
            Column::Queued => "queued",
            Column::Conflated => "conflated",
            Column::Withheld => "withheld",
            Column::Refused => "refused",
            Column::Faults => "faults",
            Column::Connected => "up",
            Column::State => "state",
            Column::Address => "address",
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Column::Peer | Column::State | Column::Address)
    }

    /// Whether the largest comes first unless told otherwise.
    pub fn falls(self) -> bool {
        !self.is_text()
    }

    /// How wide it is at least, which is enough for all but texts.
    fn width(self) -> usize {
        match self {
            Column::Peer => PEER,
            Column::In | Column::Out | Column::Faults => 6,
            Column::BytesIn | Column::BytesOut | Column::Queued | Column::Conflated => 9,
            Column::Withheld => 8,
            Column::Refused | Column::State | Column::Address => 7,
            Column::Connected => 5,
        }
    }

    fn order(self, row: &Row, flow: Flow) -> Order {
        if self.is_text() {
            return Order::Text(self.text(row, flow));
        }
        let Row { peer, .. } = row;
        Order::Number(match self {
            Column::Queued => peer.outbox_bytes,
            Column::Conflated => peer.conflated,
            Column::Withheld => peer.withheld,
            Column::Refused => peer.refused,
            Column::Faults => [peer.malformed, peer.too_large, peer.foreign_sender, peer.reserved, peer.ahead]
                .into_iter()
                .fold(0, u64::saturating_add),
            Column::Connected => peer.connected_ms,
            _ => self.flow(row, flow).unwrap_or(0),
        })
    }

    /// How much flows, if that is known.
    fn flow(self, row: &Row, flow: Flow) -> Option<u64> {
        let rates = match flow {
            Flow::PerSecond => row.rates?,
            Flow::Total => {
                let PeerStats { messages_in, bytes_in, messages_out, bytes_out, .. } = row.peer;
                Rates { messages_in, bytes_in, messages_out, bytes_out }
            }
        };
        match self {
            Column::In => Some(rates.messages_in),
            Column::Out => Some(rates.messages_out),
            Column::BytesIn => Some(rates.bytes_in),
            Column::BytesOut => Some(rates.bytes_out),
            _ => None,
        }
    }

    fn text(self, row: &Row, flow: Flow) -> String {
        let peer = &row.peer;
        match self {
            Column::Peer => match (&*peer.identity, &*peer.from) {
                ("", "") => "(old)".to_owned(),
                ("", from) => output::word(&format!("({from})")).into_owned(),
                (identity, _) => output::word(identity).into_owned(),
            },
            Column::Address if peer.from.is_empty() => "-".to_owned(),
            Column::Address => output::word(&peer.from).into_owned(),
            Column::State => {
                let states = [(peer.suspect, "suspect"), (!peer.live, "behind"), (peer.old, "old")];
                states.iter().find(|(is_so, _)| *is_so).map_or("ok", |(_, state)| state).to_owned()
            }
            Column::In | Column::Out => self.flow(row, flow).map_or_else(|| "-".to_owned(), count_of),
            Column::BytesIn | Column::BytesOut => {
                self.flow(row, flow).map_or_else(|| "-".to_owned(), |bytes| size_of(bytes as usize))
            }
            Column::Queued => size_of(peer.outbox_bytes as usize),
            Column::Connected => age_of(peer.connected_ms),
            _ => match self.order(row, flow) {
                Order::Number(number) => count_of(number),
                Order::Text(text) => text,
            },
        }
    }
}

/// Sorts rows by a column, and then by connection.
pub fn sort(rows: &mut [&Row], column: Column, reversed: bool, flow: Flow) {
    let falls = column.falls() != reversed;
    rows.sort_by_cached_key(|row| row.peer.connection);
    let compare = |a: &Order, b: &Order| match (a, b) {
        (Order::Text(a), Order::Text(b)) => a.cmp(b),
        (Order::Number(a), Order::Number(b)) => a.cmp(b),
        _ => Ordering::Equal,
    };
    rows.sort_by(|a, b| {
        let order = compare(&column.order(a, flow), &column.order(b, flow));
        if falls {
            order.reverse()
        } else {
            order
        }
    });
}

/// The columns for which there is room in a terminal of this width, from left to right.
pub fn that_fit(width: usize) -> Vec<Column> {
    let mut left = width;
    let mut columns = COLUMNS;
    columns.sort_unstable();
    let fit = columns.iter().take_while(|column| {
        let needed = column.width() + if **column == Column::Peer { 0 } else { GAP };
        let fits = needed <= left || **column == Column::Peer;
        left = left.saturating_sub(needed);
        fits
    });
    let fit = fit.count();
    let mut columns = columns[..fit].to_vec();
    columns.sort_unstable_by_key(|column| COLUMNS.iter().position(|other| other == column));
    columns
}

/// The heading and the rows, each in a line. With `width`, texts are cut so that lines are no longer.
pub fn lines(columns: &[Column], rows: &[&Row], flow: Flow, width: Option<usize>) -> Vec<String> {
    let headings = columns.iter().map(|column| column.heading(flow).to_owned()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|column| column.text(row, flow)).collect());
    let table: Vec<Vec<String>> = std::iter::once(headings).chain(cells).collect();
    let longest = |i: usize| table.iter().map(|cells| cells[i].chars().count()).max().unwrap_or(0);
    let mut widths: Vec<_> = columns.iter().map(|column| column.width()).collect();
    let mut left = width.map(|width| {
        let fixed = widths.iter().sum::<usize>() + GAP * columns.len().saturating_sub(1);
        width.saturating_sub(fixed)
    });
    for (i, column) in columns.iter().enumerate() {
        let more = longest(i).saturating_sub(widths[i]);
        match &mut left {
            None => widths[i] += more,
            Some(left) if column.is_text() => {
                let more = more.min(*left);
                widths[i] += more;
                *left -= more;
            }
            Some(_) => {}
        }
    }
    let line = |cells: &Vec<String>| {
        let mut line = String::new();
        for ((cell, column), &width) in cells.iter().zip(columns).zip(&widths) {
            let cell = elided(cell, width);
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            line += match line.is_empty() {
                true => "",
                false => "  ",
            };
            line += &if column.is_text() { cell + &pad } else { pad + &cell };
        }
        line.trim_end().to_owned()
    };
    table.iter().map(line).collect()
}

/// A text of at most so many characters: of a longer one the middle is left out.
pub fn elided(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let Some(shown) = width.checked_sub(1) else { return String::new() };
    let tail = shown / 2;
    let head: String = text.chars().take(shown - tail).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{head}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(connection: u64, identity: &str, rate: Option<u64>) -> Row {
        let mut peer = PeerStats::default();
        (peer.identity, peer.from) = (identity.to_owned(), format!("127.0.0.1:{connection}"));
        (peer.connection, peer.live, peer.messages_out) = (connection, true, 100 * connection);
        Row { peer, rates: rate.map(|messages_out| Rates { messages_out, ..Rates::default() }) }
    }

    #[test]
    fn what_is_most_important_is_shown_first_where_there_is_little_room() {
        let names = |width| that_fit(width).iter().map(|column| column.name()).collect::<Vec<_>>().join(" ");
        assert_eq!(names(0), "peer");
        assert_eq!(names(40), "peer in out");
        assert_eq!(names(80), "peer in out queued conflated refused up state");
        assert_eq!(that_fit(200), COLUMNS);
        for width in 16..200 {
            let rows = [row(1, &"i".repeat(100), None)];
            let lines = lines(&that_fit(width), &[&rows[0]], Flow::PerSecond, Some(width));
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
        }
    }

    #[test]
    fn rows_are_sorted_by_any_column_and_otherwise_by_connection() {
        let rows = [row(1, "b", Some(5)), row(2, "a", None), row(3, "c", Some(7)), row(4, "d", Some(5))];
        let order = |column, reversed, flow| {
            let mut sorted: Vec<_> = rows.iter().collect();
            sort(&mut sorted, column, reversed, flow);
            sorted.iter().map(|row| row.peer.connection).collect::<Vec<_>>()
        };
        assert_eq!(order(Column::Out, false, Flow::PerSecond), [3, 1, 4, 2]);
        assert_eq!(order(Column::Out, true, Flow::PerSecond), [2, 1, 4, 3]);
        assert_eq!(order(Column::Out, false, Flow::Total), [4, 3, 2, 1]);
        assert_eq!(order(Column::Peer, false, Flow::PerSecond), [2, 1, 3, 4]);
        assert_eq!(order(Column::Peer, true, Flow::PerSecond), [4, 3, 1, 2]);
        for column in COLUMNS {
            assert_eq!(order(column, false, Flow::PerSecond).len(), 4, "{column:?}");
        }
    }

    #[test]
    fn cells_say_what_a_peer_is() {
        let mut old = row(7, "", Some(12_345));
        (old.peer.old, old.peer.live, old.peer.outbox_bytes, old.peer.malformed) = (true, false, 2048, 1);
        let mut suspect = row(8, "a b\x1b", None);
        (suspect.peer.suspect, suspect.peer.connected_ms) = (true, 61_000);
        suspect.peer.from.clear();
        let text = lines(&COLUMNS, &[&old, &suspect], Flow::PerSecond, None);
        let words: Vec<Vec<_>> = text.iter().map(|line| line.split_whitespace().collect()).collect();
        let cells =
            ["(127.0.0.1:7)", "0", "12k", "0B", "0B", "2.0KiB", "0", "0", "0", "1", "0ms", "behind", "127.0.0.1:7"];
        assert_eq!(words[1], cells);
        let cells = ["\"a", "b\\x1b\"", "-", "-", "-", "-", "0B", "0", "0", "0", "0", "1min", "suspect", "-"];
        assert_eq!(words[2], cells);
        assert_eq!((words[0].len(), text[0].starts_with("PEER")), (13, true));
    }

    #[test]
    fn a_text_that_is_too_long_loses_its_middle() {
        assert_eq!(["abcdefg", "abcdefgh", "a"].map(|text| elided(text, 7)), ["abcdefg", "abc…fgh", "a"]);
        assert_eq!((elided("abc", 1), elided("abc", 0)), ("…".to_owned(), String::new()));
    }
}
