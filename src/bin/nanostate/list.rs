//! `nanostate list`

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nanostate::{Kind, State, Status};

use crate::arguments::{seconds, Deadline, Filter, Wanted};
use crate::observer::{Absent, Observer, Seen};
use crate::units::{age_of, size_of};
use crate::{output, stdio, Client, Failure};

/// The columns of the table.
const HEADINGS: [&str; 6] = ["NAME", "KIND", "SIZE", "AGE", "STALE", "SENDER"];

/// List the states that the hub holds: name, kind, size, age, whether stale, sender
///
/// Sorted by name, then by sender. The size is that of a text or of bytes, of other values that of their MessagePack. The
/// age is the time since the state was published, by the clock of this machine. A state is stale if the program that has
/// published it is gone, as far as the hub can say: in its first 10 s, none is.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, also if there are no such states; 1 failed; 2 wrong usage; 130 and 143 stopped by
SIGINT and SIGTERM."
)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// Print a JSON object per line: name, kind, size (bytes), time (ms since 1970, or null), age (ms, or null), stale,
    /// sender
    #[arg(long)]
    json: bool,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    client: Client,
}

/// Prints the list.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let wanted = arguments.filter.wanted()?;
    let deadline = Deadline::after(Some(arguments.timeout));
    let observer = Observer::connect("list", &arguments.client, Absent::Fail, deadline, wanted.patterns())?;
    let states = held(&observer, &wanted)?;
    observer.tell_losses();
    let mut out = BufWriter::new(stdio::output()?);
    if arguments.json {
        states.iter().try_for_each(|((name, sender), about)| writeln!(out, "{}", about.json(name, sender)))?;
    } else {
        table(&mut out, states.iter().map(|((name, sender), about)| about.row(name, sender)).collect())?;
    }
    Ok(out.flush()?)
}

/// What the list says of a state, beside its name and its sender.
struct About {
    kind: Kind,
    size: usize,
    /// In milliseconds since 1970, and in milliseconds.
    time_and_age: Option<(i64, u64)>,
    is_stale: bool,
}

/// All that the hub holds, by name and sender.
fn held(observer: &Observer, wanted: &Wanted) -> Result<BTreeMap<(String, String), About>, Failure> {
    let mut states = BTreeMap::new();
    observer.check_that_the_hub_tells()?;
    ask_who_is_there(observer)?;
    let app = observer.app().0;
    while let Seen::State(state) = observer.next()? {
        if wanted.takes(&state) {
            let key = (state.name().to_owned(), state.sender().to_owned());
            match state.kind() {
                Kind::Cleared => drop(states.remove(&key)),
                _ => drop(states.insert(key, About::of(&state, now(), app.is_stale(&state)))),
            }
        }
    }
    Ok(states)
}

/// The hub has told who is there, if it does: from here on it is known what is stale.
fn ask_who_is_there(observer: &Observer) -> Result<(), Failure> {
    let (app, left) = observer.app();
    match app.peers(left) {
        Err(error) if error.status() != Status::Unsupported => Err(observer.why(error.into())),
        _ => Ok(()),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(i64::MAX)
}

impl About {
    /// At a time in milliseconds since 1970.
    fn of(state: &State, now: i64, is_stale: bool) -> About {
        let size = match state.kind() {
            Kind::Text => state.text().map(str::len),
            Kind::Bytes => state.bytes().map(<[u8]>::len),
            _ => Ok(state.msgpack().len()),
        };
        // By a clock that is behind that of the hub, it is from the future.
        let since = |time: i64| now.saturating_sub(time).try_into().unwrap_or(0);
        let time = Some(state.time()).filter(|&time| time != 0);
        let time_and_age = time.map(|time| (time, since(time)));
        About { kind: state.kind(), size: size.unwrap_or(0), time_and_age, is_stale }
    }

    fn json(&self, name: &str, sender: &str) -> String {
        let (time, age) = match self.time_and_age {
            Some((time, age)) => (time.to_string(), age.to_string()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        let (name, sender, kind, size) = (output::string(name), output::string(sender), self.kind.name(), self.size);
        let stale = self.is_stale;
        output::json_line(&format!(
            r#"{{"name":{name},"kind":"{kind}","size":{size},"time":{time},"age":{age},"stale":{stale},"sender":{sender}}}"#
        ))
    }

    fn row(&self, name: &str, sender: &str) -> [String; 6] {
        let age = self.time_and_age.map_or("-".to_owned(), |(_, age)| age_of(age));
        let [name, sender] = [name, sender].map(|text| output::word(text).into_owned());
        let stale = if self.is_stale { "yes" } else { "-" };
        [name, self.kind.name().to_owned(), size_of(self.size), age, stale.to_owned(), sender]
    }
}

/// Prints rows below their headings, if there are any. Columns are as wide as their contents.
fn table(out: &mut impl Write, rows: Vec<[String; 6]>) -> std::io::Result<()> {
    let headings = (!rows.is_empty()).then(|| HEADINGS.map(str::to_owned));
    let rows: Vec<_> = headings.into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [of_name, of_kind, of_size, of_age, of_stale] = [0, 1, 2, 3, 4].map(width);
    for [name, kind, size, age, stale, sender] in &rows {
        write!(out, "{name:of_name$}  {kind:of_kind$}  {size:>of_size$}  {age:>of_age$}  ")?;
        writeln!(out, "{stale:of_stale$}  {sender}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them_and_names_are_whole() {
        let about = |size, age, is_stale| About { kind: Kind::Text, size, time_and_age: age, is_stale };
        let long = "n".repeat(60);
        let rows =
            vec![about(5, None, false).row("a", "me"), about(2048, Some((1, 61_000)), true).row(&long, "some one")];
        let mut out = Vec::new();
        table(&mut out, rows).unwrap();
        let pad = " ".repeat(59);
        let lines = [
            format!("NAME{}  KIND    SIZE   AGE  STALE  SENDER\n", " ".repeat(56)),
            format!("a{pad}  text      5B     -  -      me\n"),
            format!("{long}  text  2.0KiB  1min  yes    \"some one\"\n"),
        ];
        assert_eq!(String::from_utf8(out).unwrap(), lines.concat());
        let mut none = Vec::new();
        table(&mut none, Vec::new()).unwrap();
        assert!(none.is_empty());
    }
}
