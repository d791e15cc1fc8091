//! `nanostate top`

mod keys;
mod screen;
mod table;
mod view;

use std::io::{BufWriter, Read as _, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use log::LevelFilter;
use nanostate::{limits, App, AppOption, Error, PeerStats, Status};
use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};

use self::keys::Key;
use self::screen::Screen;
use self::table::{Column, Flow, COLUMNS};
use self::view::{summary, Meter, Sample, View};
use crate::arguments::{seconds, Deadline};
use crate::observer::{Absent, Observer, Role};
use crate::{identity, logger, output, signals, stdio, Client, Failure};

/// How long the first connection may take before the table is shown without one.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer may take, which has many parts where there are many peers.
const ANSWER: Duration = Duration::from_secs(5);
/// The shortest time between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Show what the hub does, and its peers, in a table that is renewed each second
///
/// Of each peer: states that it sends and is sent in a second, bytes that wait for it, states that it was not sent since
/// newer ones took their place (conflated), its states that the hub refused, for how long it is connected, and its state:
/// ok, suspect (nothing is heard of it), behind (it does not keep up), old. A wide terminal also shows bytes in a second (of
/// states in, and out), states withheld from it, its faults (malformed, too large, in the name of others, reserved, too far
/// ahead) and its address. Keys: q ends; s sorts by the next column, r the other way round; / filters by identity or address
/// (Enter, Escape); space pauses; arrows, page keys, Home and End scroll. When there is no hub, it waits for one.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 done, or stopped by SIGINT or SIGTERM; 1 failed; 2 wrong usage.
With --once: 130 and 143 stopped by SIGINT and SIGTERM.")]
pub struct Arguments {
    /// Print one table and end: what was counted since the hub was started, and since each peer is connected
    #[arg(long)]
    once: bool,
    /// Print a JSON object: url, hub, peers. The counters are those of docs/counters.md
    #[arg(long, requires = "once")]
    json: bool,
    /// Sort by this column
    #[arg(long, value_name = "COLUMN", default_value = "peer", value_parser = column_parser())]
    sort: Column,
    /// Sort the other way round: numbers from the smallest on, texts from the end of the alphabet
    #[arg(long)]
    reverse: bool,
    /// Only peers that have this in their identity or address
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    filter: String,
    /// From one look at the hub to the next, in seconds; 0.1 at least
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = seconds, conflicts_with = "once")]
    interval: Duration,
    /// With --once, give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, requires = "once")]
    timeout: Duration,
    #[command(flatten)]
    client: Client,
}

fn column_parser() -> impl clap::builder::TypedValueParser<Value = Column> {
    let names = PossibleValuesParser::new(COLUMNS.map(Column::name));
    names.map(|name| COLUMNS.into_iter().find(|column| column.name() == name).unwrap_or(Column::Peer))
}

/// Shows the table.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.once {
        return once(&arguments);
    }
    screen::check().map_err(|stream| {
        Failure::Usage(format!("{stream} is no terminal: --once prints one table, --once --json one JSON object"))
    })?;
    show(arguments)
}

fn once(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { json, sort, reverse, filter, client, .. } = arguments;
    let deadline = Deadline::after(Some(arguments.timeout));
    let observer = Observer::connect_as(Role::LooksAtApps, "top", client, Absent::Fail, deadline, &[])?;
    let (app, left) = observer.app();
    let sample = app.hub_stats(left).map_err(|error| observer.why(error.into()))?;
    let mut view = View::new(client.url(), *sort, *reverse, filter.clone());
    view.counts(Meter::default().take(sample));
    let mut out = BufWriter::new(stdio::output()?);
    if *json {
        writeln!(out, "{}", view.json())?;
    } else {
        for line in view.table() {
            writeln!(out, "{line}")?;
        }
    }
    Ok(out.flush()?)
}

/// What happens.
enum Event {
    Key(Key),
    /// The hub has answered, or why it has not.
    Counted(Result<Box<Sample>, Error>),
    /// Another size of the terminal, or a stop for a while.
    Signal(i32),
    /// It is over: a signal, or there is no terminal any more.
    Stop,
    /// The thread of this name has panicked.
    Broken(&'static str),
}

fn show(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { sort, reverse, filter, interval, client, .. } = arguments;
    logger::start(client.log, LevelFilter::Off)?;
    let app = App::new(&identity::of("top", &identity::run()?))?;
    app.set(AppOption::Observer, 1)?;
    app.subscribe(None)?;
    // Somebody looks, and wants to see at once that the hub is back.
    app.set(AppOption::BackoffMaxMs, PATIENCE.as_millis() as i64)?;
    let (sender, events) = mpsc::channel();
    let (stopper, others, waiting) = (sender.clone(), sender.clone(), app.clone());
    let stop = signals::on_signals(
        &[SIGWINCH, SIGTSTP, SIGCONT],
        move |signal| drop(others.send(Event::Signal(signal))),
        move || {
            waiting.interrupt();
            let _ = stopper.send(Event::Stop);
        },
    )?;
    client.connect(&app)?;
    match app.wait_connected(Some(PATIENCE)) {
        Err(_) if stop.signal().is_some() => return Ok(()),
        Err(error) if error.status() != Status::Timeout => return Err(error.into()),
        _ => {}
    }
    let screen = Screen::enter()?;
    read_keys(sender.clone())?;
    sample(app, interval, sender)?;
    follow(View::new(client.url(), sort, reverse, filter), &screen, &events)
}

/// Shows what comes, until the user or a signal ends it.
fn follow(mut view: View, screen: &Screen, events: &Receiver<Event>) -> Result<(), Failure> {
    let mut meter = Meter::default();
    loop {
        screen.show(&view.lines(screen::size()))?;
        // All that has come is shown at once.
        let first = events.recv().unwrap_or(Event::Stop);
        for event in std::iter::once(first).chain(events.try_iter()) {
            match event {
                Event::Stop => return Ok(()),
                Event::Broken(name) => return Err(Failure::Failed(format!("the thread of {name} has panicked"))),
                Event::Key(key) if view.press(key) => return Ok(()),
                Event::Counted(Ok(sample)) => view.counts(meter.take(*sample)),
                Event::Counted(Err(error)) if error.status() == Status::Unsupported => return Err(error.into()),
                Event::Counted(Err(error)) => {
                    meter.reset();
                    view.lacks(error.to_string());
                }
                Event::Signal(SIGTSTP) => screen.suspend()?,
                Event::Key(_) | Event::Signal(_) => {}
            }
        }
    }
}

/// Reads the keys in a thread, which ends with the terminal.
fn read_keys(events: Sender<Event>) -> Result<(), Failure> {
    /// How soon the rest of a sequence follows the escape character. If nothing does, Escape was pressed.
    const SEQUENCE: Duration = Duration::from_millis(50);
    let mut input = stdio::input()?;
    start("keys", events, move |events| {
        let (mut buffer, mut read) = ([0; 256], Vec::new());
        while let Ok(length @ 1..) = input.read(&mut buffer) {
            read.extend_from_slice(&buffer[..length]);
            let mut keys = keys::keys(&mut read, true);
            if !read.is_empty() && !screen::has_key(SEQUENCE) {
                keys.extend(keys::keys(&mut read, false));
            }
            keys.into_iter().for_each(|key| drop(events.send(Event::Key(key))));
        }
        let _ = events.send(Event::Stop);
    })
}

/// Asks the hub again and again, in a thread.
fn sample(app: App, interval: Duration, events: Sender<Event>) -> Result<(), Failure> {
    start("samples", events, move |events| loop {
        let next = Deadline::after(Some(interval.max(PAUSE)));
        if events.send(Event::Counted(app.hub_stats(Some(interval.max(ANSWER))).map(Box::new))).is_err() {
            return;
        }
        thread::sleep(next.left().unwrap_or(Duration::MAX));
    })
}

/// Calls `run` in a thread. If that panics, it is an event.
fn start(
    name: &'static str,
    events: Sender<Event>,
    run: impl FnOnce(&Sender<Event>) + Send + 'static,
) -> Result<(), Failure> {
    let run = move || {
        let ran = panic::catch_unwind(AssertUnwindSafe(|| run(&events)));
        if ran.is_err() {
            let _ = events.send(Event::Broken(name));
        }
    };
    let started = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|error| Failure::Failed(format!("starting a thread: {}", Error::words(&error))))
}

impl Client {
    /// Where the hub is.
    fn url(&self) -> String {
        let of_environment = std::env::var(limits::URL_VARIABLE).ok().filter(|url| !url.is_empty());
        self.connect.clone().or(of_environment).unwrap_or_else(|| limits::DEFAULT_URL.to_owned())
    }
}

impl View {
    /// All of it, as lines of any length.
    fn table(&self) -> Vec<String> {
        let Some(counted) = self.counted() else { return Vec::new() };
        let mut lines = summary(counted);
        lines.push(String::new());
        lines.extend(table::lines(&COLUMNS, &self.rows(Flow::Total), Flow::Total, None));
        lines
    }

    /// All of it, as JSON.
    fn json(&self) -> String {
        let hub = self.counted().map(|counted| numbers(counted.hub.numbers())).unwrap_or_default();
        let peers: Vec<_> = self.rows(Flow::Total).into_iter().map(|row| json_of(&row.peer)).collect();
        let url = output::string(&self.url);
        output::json_line(&format!(r#"{{"url":{url},"hub":{{{hub}}},"peers":[{}]}}"#, peers.join(",")))
    }
}

fn numbers(numbers: impl Iterator<Item = (&'static str, u64)>) -> String {
    numbers.map(|(name, number)| format!(r#""{name}":{number}"#)).collect::<Vec<_>>().join(",")
}

fn json_of(peer: &PeerStats) -> String {
    let [identity, from] = [&peer.identity, &peer.from].map(|text| output::string(text));
    let PeerStats { old, live, suspect, .. } = peer;
    let numbers = numbers(peer.numbers());
    format!(r#"{{"identity":{identity},"from":{from},"old":{old},"live":{live},"suspect":{suspect},{numbers}}}"#)
}
