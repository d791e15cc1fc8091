//! `nanostate bench`

mod flow;
mod measurement;
mod progress;

use std::fmt::Display;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::sync::atomic::AtomicU64;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use clap::value_parser;
use log::LevelFilter;
use nanostate::{limits, App, AppOption, Error, Kind, LinkState, Status, Value};

use crate::signals::Stop;
use crate::{identity, logger, signals, stdio, Client, Failure};
use flow::{answer, follow, Flow, Incoming};
use measurement::{Figure, Measurement, Stream, Trips};
use progress::Progress;

/// The bytes of a value that hold its number.
const NUMBER: usize = 8;
/// Set in the number of the last state of a stream. Numbers begin at the time in nanoseconds, which lacks this bit
/// until 2262.
const LAST: u64 = 1 << 63;
/// Distinct names unless told otherwise: enough to keep the hub busy, few for its table.
const NAMES: usize = 1000;
/// Repeated names.
const REPEATED: usize = 100;
/// How long round trips run before those that count: the apps receive what the hub holds, and memory is touched.
const WARM_UP: Duration = Duration::from_millis(100);
/// Roughly how many bytes a state takes in a queue besides its value.
const OVERHEAD: usize = 256;
/// Roughly how many bytes of values are sent between two readings of the clock.
const STRIDE: usize = 64 << 10;
/// How long a wait may last before it is checked whether there is still something to wait for.
const SLICE: Duration = Duration::from_millis(100);
/// Limit of an app's own values: as much as a hub accepts from one sender.
const SEND_QUEUE: i64 = (limits::TABLE_BYTES / 2) as i64;

/// Measure round trip and throughput of a running hub
#[derive(clap::Args)]
#[command(long_about = long_about())]
#[command(after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage; 130 and 143 stopped by SIGINT and SIGTERM.")]
pub struct Arguments {
    #[arg(long, value_name = "BYTES", help = format!("Bytes of each value, at least {NUMBER}"))]
    #[arg(default_value_t = 64, value_parser = value_parser!(u32).range(NUMBER as i64..))]
    size: u32,
    /// How long each of the three measurements takes
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u32).range(1..))]
    duration: u32,
    /// Measure this many round trips, states and updates instead, however long it takes
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "duration", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[arg(long, value_name = "N", help = names_help())]
    #[arg(value_parser = value_parser!(u32).range(1..=limits::TABLE_STATES as i64))]
    names: Option<u32>,
    /// Give up after this many seconds without a hub, or without an answer from it
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    timeout: u32,
    #[arg(long, help = json_help())]
    json: bool,
    #[command(flatten)]
    client: Client,
}

fn long_about() -> String {
    format!(
        "Measure round trip and throughput of a running hub\n\nTwo apps in this process send each other states with \
         bytes through the hub, as two programs would.\n\nround trip: from one app to the other and back, one at a \
         time, in µs (microseconds).\n\ndistinct names: as fast as they arrive, none replaced by a newer one; MB are \
         1,000,000 bytes of values.\n\nrepeated names: updates of at most {REPEATED} names as fast as they can be \
         sent, until the newest of each has arrived; conflated are those that a newer one replaced on the way.\n\nThe \
         hub also passes these states on to all other apps. They are named bench/PID/… and emptied at the end, but \
         remain until the hub forgets departed apps (after {} h) or restarts.",
        limits::DEPARTED.as_secs() / 3600
    )
}

fn names_help() -> String {
    format!(
        "How many distinct names [default: {NAMES}, fewer if they take more than about {} MiB]",
        limits::OUTBOX >> 20
    )
}

fn json_help() -> String {
    let lines = [
        (ROUND_TRIP, "lost, p50_us, p99_us, p99_9_us, max_us"),
        (DISTINCT, "names, received, delivered_percent, seconds, states_per_second, mb_per_second"),
        (REPEATED_NAMES, "names, received, complete, conflated_percent, seconds, updates_per_second"),
    ];
    let keys: Vec<_> = lines.iter().map(|(title, keys)| format!("for \"{title}\" {keys}")).collect();
    format!("Print a JSON object per measurement: measurement, size, count; {}", keys.join("; "))
}

const ROUND_TRIP: &str = "round trip";
const DISTINCT: &str = "distinct names";
const REPEATED_NAMES: &str = "repeated names";

/// Measures, and prints each result as soon as it is known.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    logger::start(arguments.client.log, LevelFilter::Off)?;
    let run = identity::run()?;
    let (a, b) = (app(&run, "a")?, app(&run, "b")?);
    let waiting = [a.clone(), b.clone()];
    let stop = signals::on_stop(move || waiting.iter().for_each(App::interrupt))?;
    let timeout = Duration::from_secs(arguments.timeout.into());
    let result = match connect(&[&a, &b], &arguments.client, timeout) {
        Ok(()) => measure(&a, &b, &run, &stop, timeout, &arguments),
        Err(failure) => Err(failure),
    };
    for app in [a, b] {
        // Without a link there is nothing to wait for.
        app.close((app.link() != LinkState::Connected).then_some(Duration::ZERO))?;
    }
    match (result, stop.signal()) {
        (Err(Failure::Failed(_)), Some(signal)) => Err(Failure::Signal(signal)),
        (result, _) => result,
    }
}

fn app(run: &str, which: &str) -> Result<App, Failure> {
    let app = App::new(&identity::of("bench", &format!("{run}-{which}")))?;
    app.set(AppOption::SendQueue, SEND_QUEUE)?;
    // A small queue, so that few states of others have to be skipped.
    app.set_accept(Kind::Bytes.mask())?;
    Ok(app)
}

fn connect(apps: &[&App], client: &Client, timeout: Duration) -> Result<(), Failure> {
    for app in apps {
        client.connect(app)?;
    }
    let end = Instant::now() + timeout;
    for app in apps {
        app.wait_connected(Some(end.saturating_duration_since(Instant::now())))?;
    }
    Ok(())
}

fn measure(a: &App, b: &App, run: &str, stop: &Stop, timeout: Duration, arguments: &Arguments) -> Result<(), Failure> {
    let mut bench = Bench::new(a, b, run, stop, timeout, arguments);
    let done = [Bench::round_trip, Bench::distinct_names, Bench::repeated_names].into_iter().try_for_each(|measure| {
        let measurement = measure(&mut bench)?;
        bench.progress.clear();
        let text = if arguments.json { measurement.json() } else { measurement.table() };
        Ok(stdio::output()?.write_all(text.as_bytes())?)
    });
    bench.tidy();
    done
}

/// How much is measured.
#[derive(Clone, Copy)]
enum Extent {
    Count(u64),
    Time(Duration),
}

impl Extent {
    /// The part that is done, from 0 to 1.
    fn fraction(self, done: u64, elapsed: Duration) -> f64 {
        match self {
            Extent::Count(count) => done as f64 / count as f64,
            Extent::Time(time) => elapsed.as_secs_f64() / time.as_secs_f64(),
        }
    }
}

/// The measurements, and what they share.
struct Bench<'a> {
    a: &'a App,
    b: &'a App,
    stop: &'a Stop,
    extent: Extent,
    /// How long the apps wait before they count what is missing as lost.
    timeout: Duration,
    ping: String,
    pong: String,
    names: Vec<String>,
    /// How many of the names the hub already knows.
    used: usize,
    /// How many states are in flight at most where none may be replaced. If there were more than the hub queues for one
    /// app, they would come from its table.
    window: usize,
    /// The value that is sent; it begins with its number.
    value: Vec<u8>,
    /// The next number.
    next: u64,
    progress: Progress,
}

impl<'a> Bench<'a> {
    fn new(a: &'a App, b: &'a App, run: &str, stop: &'a Stop, timeout: Duration, arguments: &Arguments) -> Bench<'a> {
        let size = arguments.size as usize;
        let fitting = (limits::OUTBOX / (size + OVERHEAD)).max(1);
        let names = arguments.names.map_or(NAMES.min(fitting), |names| names as usize);
        let name = |last: &dyn Display| format!("bench/{run}/{last}");
        let extent = match arguments.count {
            Some(count) => Extent::Count(count),
            None => Extent::Time(Duration::from_secs(arguments.duration.into())),
        };
        Bench {
            a,
            b,
            stop,
            extent,
            timeout,
            ping: name(&"ping"),
            pong: name(&"pong"),
            names: (0..names).map(|i| name(&i)).collect(),
            used: 0,
            window: names.min(fitting),
            value: vec![0; size],
            next: 0,
            progress: Progress::new(),
        }
    }

    /// From `a` to `b` and back, one at a time.
    fn round_trip(&mut self) -> Result<Measurement, Failure> {
        let (a, b) = (self.a, self.b);
        let there = Incoming { app: b, sender: a.identity(), first: self.next };
        let pong = self.pong.clone();
        let trips = thread::scope(|scope| {
            let answering = spawn(scope, "pong", move || answer(&there, &pong))?;
            let asked = self.ask_often(|| answering.is_finished());
            // It waits for the next one.
            b.interrupt();
            join(answering)?;
            asked
        })?;
        // From here on it only sends.
        a.set_accept(0)?;
        Ok(trips.measurement(self.value.len()))
    }

    fn ask_often(&mut self, gave_up: impl Fn() -> bool) -> Result<Trips, Failure> {
        self.warm_up(&gave_up)?;
        let mut trips = Trips::default();
        let started = Instant::now();
        let mut lost_before = false;
        loop {
            let done = trips.times.len() as u64 + trips.lost;
            let now = Instant::now();
            let fraction = self.extent.fraction(done, now - started);
            if fraction >= 1.0 && !trips.times.is_empty() {
                break;
            }
            self.progress.show(ROUND_TRIP, fraction, now);
            match self.ask(self.next, self.timeout, &gave_up)? {
                Some(time) => {
                    trips.times.push(time);
                    lost_before = false;
                }
                None if lost_before => return Err(self.no_answer()),
                None => {
                    trips.lost += 1;
                    lost_before = true;
                }
            }
        }
        trips.times.sort_unstable();
        Ok(trips)
    }

    /// Sends again when nothing comes back: an original hub loses what it receives before it has accepted both apps,
    /// and their links are up slightly earlier.
    fn warm_up(&mut self, gave_up: &impl Fn() -> bool) -> Result<(), Failure> {
        let first = self.next;
        let started = Instant::now();
        let mut answered = None;
        self.progress.show(ROUND_TRIP, 0.0, started);
        while answered.is_none() || started.elapsed() < WARM_UP {
            match self.ask(first, SLICE, gave_up)? {
                Some(_) => answered = Some(Instant::now()),
                None if answered.unwrap_or(started).elapsed() >= self.timeout => return Err(self.no_answer()),
                None => {}
            }
        }
        Ok(())
    }

    /// One round trip, ended by the answer to any number from `first` on; `None` if nothing came within that time.
    fn ask(&mut self, first: u64, within: Duration, gave_up: &impl Fn() -> bool) -> Result<Option<Duration>, Failure> {
        self.value[..NUMBER].copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        let back = Incoming { app: self.a, sender: self.b.identity(), first };
        let started = Instant::now();
        self.a.send(&self.ping, Value::Bytes(&self.value))?;
        loop {
            if back.next()?.is_some() {
                return Ok(Some(started.elapsed()));
            }
            if gave_up() {
                // The reason is with it.
                return Err(Error::from(Status::Interrupted).into());
            }
            if started.elapsed() >= within {
                return Ok(None);
            }
        }
    }

    /// The reason why nothing comes back.
    fn no_answer(&self) -> Failure {
        let size = self.value.len();
        match self.not_taken() {
            Err(failure) => failure,
            Ok(()) => Failure::Failed(format!(
                "the hub is there, but a state of {size} bytes did not come back within {} s",
                self.timeout.as_secs()
            )),
        }
    }

    /// The error if the hub rejected states.
    fn not_taken(&self) -> Result<(), Failure> {
        let (sender, answerer) = (self.a.stats(), self.b.stats());
        if sender.withheld + answerer.withheld > 0 {
            return Err(Failure::Failed(format!("the hub does not take values of {} bytes", self.value.len())));
        }
        match sender.refused + answerer.refused {
            0 => Ok(()),
            n => Err(Failure::Failed(format!("the hub did not take {n} of the states: is its table full?"))),
        }
    }

    /// Sends as fast as states arrive: a name is sent again when its last value has arrived.
    fn distinct_names(&mut self) -> Result<Measurement, Failure> {
        let stream = self.stream(DISTINCT, self.names.len(), self.window as u64)?;
        let delivered = stream.received as f64 / stream.sent as f64;
        let rate = stream.received as f64 / stream.seconds;
        let mut figures = stream.figures(self.value.len());
        figures.extend([
            Figure::new("delivered_percent", "delivered", "%", 100.0 * delivered, 2),
            Figure::new("seconds", "time", "s", stream.seconds, 3),
            Figure::new("states_per_second", "rate", "states/s", rate, 0),
            Figure::new("mb_per_second", "", "MB/s", rate * self.value.len() as f64 / 1e6, 1),
        ]);
        Ok(Measurement { title: DISTINCT, figures })
    }

    /// Sends as fast as possible.
    fn repeated_names(&mut self) -> Result<Measurement, Failure> {
        let stream = self.stream(REPEATED_NAMES, REPEATED.min(self.names.len()), u64::MAX)?;
        let conflated = 1.0 - stream.received as f64 / stream.sent as f64;
        let mut figures = stream.figures(self.value.len());
        figures.extend([
            Figure::new("complete", "newest arrived", "names", stream.complete as f64, 0),
            Figure::new("conflated_percent", "conflated", "%", 100.0 * conflated, 2),
            Figure::new("seconds", "time", "s", stream.seconds, 3),
            Figure::new("updates_per_second", "rate", "updates/s", stream.sent as f64 / stream.seconds, 0),
        ]);
        Ok(Measurement { title: REPEATED_NAMES, figures })
    }

    /// Sends states from `a` to `b`, cycling through the first `names` names, with at most `window` in flight.
    fn stream(&mut self, title: &str, names: usize, window: u64) -> Result<Stream, Failure> {
        let (a, b) = (self.a, self.b);
        let there = Incoming { app: b, sender: a.identity(), first: self.next };
        let flow = Flow { settled: AtomicU64::new(0), wake_at: AtomicU64::new(u64::MAX), sender: thread::current() };
        let timeout = self.timeout;
        let started = Instant::now();
        let (sent, followed) = thread::scope(|scope| {
            let follower = spawn(scope, "receive", || follow(&there, names, &flow, timeout))?;
            let sent = self.send_stream(title, names, window, &flow, || follower.is_finished());
            if sent.is_err() {
                b.interrupt();
            }
            let followed = join(follower);
            Ok::<_, Failure>((sent?, followed?))
        })?;
        self.not_taken()?;
        if followed.received == 0 {
            return Err(self.no_answer());
        }
        let seconds = followed.ended.saturating_duration_since(started).as_secs_f64();
        Ok(followed.stream(sent, seconds))
    }

    /// Returns how many states it sent. `gave_up`: the receiver has ended, because too much was lost or because it
    /// failed.
    fn send_stream(
        &mut self,
        title: &str,
        names: usize,
        window: u64,
        flow: &Flow,
        gave_up: impl Fn() -> bool,
    ) -> Result<u64, Failure> {
        let stride = (STRIDE / self.value.len()).clamp(1, 64) as u64;
        let started = Instant::now();
        let (mut sent, mut settled) = (0, 0);
        loop {
            let mut last = matches!(self.extent, Extent::Count(count) if sent + 1 == count);
            if sent % stride == 0 {
                let now = Instant::now();
                let fraction = self.extent.fraction(sent, now - started);
                self.progress.show(title, fraction, now);
                last |= fraction >= 1.0;
                self.check_stop()?;
                if gave_up() {
                    return Ok(sent);
                }
            }
            while sent - settled >= window {
                if gave_up() {
                    return Ok(sent);
                }
                settled = flow.wait(sent - window / 2);
                self.check_stop()?;
            }
            let number = self.next | if last { LAST } else { 0 };
            self.value[..NUMBER].copy_from_slice(&number.to_be_bytes());
            let name = (sent % names as u64) as usize;
            self.used = self.used.max(name + 1);
            self.a.send(&self.names[name], Value::Bytes(&self.value))?;
            self.next += 1;
            sent += 1;
            if last {
                return Ok(sent);
            }
        }
    }

    fn check_stop(&self) -> Result<(), Failure> {
        self.stop.signal().map_or(Ok(()), |signal| Err(Failure::Signal(signal)))
    }

    /// Empties the values, since the hub keeps the newest value of each name. A failure here does not fail the
    /// measurement.
    fn tidy(&self) {
        let empty = Value::Bytes(&[]);
        let sent = self.names[..self.used].iter().chain([&self.ping]).try_for_each(|name| self.a.send(name, empty));
        if let Err(error) = sent.and(self.b.send(&self.pong, empty)) {
            log::warn!("the values of this run stay in the hub: {error}");
        }
    }
}

/// Starts a thread of the measurement.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Failure> {
    let started = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, run);
    started.map_err(|error| {
        Failure::Failed(format!("cannot start a thread for the measurement: {}", Error::words(&error)))
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
