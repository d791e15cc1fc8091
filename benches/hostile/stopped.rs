//! A receiver that is stopped under a stream at full speed: what the others notice of it, what it costs the hub, and what
//! it has once it goes on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nanostate::{App, Kind};
use serde_json::Value as Json;

use crate::honest::{Met, Pair};
use crate::hub::{ended_with_us, Hub};
use crate::peer::{Peer, ACCEPT_NONE};
use crate::report::{mebibytes, milliseconds};
use crate::support::{nanostate, run as run_to_its_end, Process, PATIENCE};

/// The names of the stream.
const NAMES: usize = 100;
/// Bytes of the stream that are written together.
const BATCH: usize = 64 << 10;
/// Apps that take all of it, beside the one that is stopped.
const RECEIVERS: usize = 2;

/// What one run came to.
struct Run {
    /// States of the stream that the hub took in a second.
    taken: f64,
    /// States of the stream that each receiver was given in a second.
    given: f64,
    /// What a pair of other apps met with meanwhile.
    pair: Met,
    /// The most memory that the hub had, in bytes.
    peak: u64,
    /// None if there was nobody to stop.
    woken: Option<Woken>,
}

/// The receiver that was stopped, when it went on.
struct Woken {
    /// The time until it had the newest value of each name.
    after: Duration,
    /// States that it was given.
    given: usize,
    /// States that the hub counts as conflated for it.
    conflated: u64,
}

/// Runs with and without a stopped receiver in turn, and prints what the others had.
pub fn compare(pairs: usize, time: Duration) -> Result<(), String> {
    println!(
        "{:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>5} {:>5}   woken: ms, given, conflated",
        "taken/s", "stopped", "given/s", "stopped", "p50 ms", "stopped", "MiB", "MiB"
    );
    let mut factors = [Vec::new(), Vec::new(), Vec::new()];
    for pair in 0..pairs {
        // Either comes first as often.
        let first = pair % 2 == 1;
        let (a, b) = (run(first, time)?, run(!first, time)?);
        let (without, with) = if first { (b, a) } else { (a, b) };
        let median = |run: &Run| milliseconds(run.pair.percentile(0.5));
        let woken = with.woken.as_ref().ok_or("nobody was stopped")?;
        println!(
            "{:>9.0} {:>9.0} {:>8.0} {:>8.0} {:>8.2} {:>8.2} {:>5} {:>5}   {:.0}, {}, {}",
            without.taken,
            with.taken,
            without.given,
            with.given,
            median(&without),
            median(&with),
            mebibytes(without.peak),
            mebibytes(with.peak),
            milliseconds(woken.after),
            woken.given,
            woken.conflated,
        );
        let lost = with.pair.lost + with.pair.closed;
        if lost > 0 {
            return Err(format!("the pair lost {} values and {} links", with.pair.lost, with.pair.closed));
        }
        factors[0].push(without.taken / with.taken);
        factors[1].push(without.given / with.given);
        factors[2].push(median(&with) / median(&without));
    }
    println!("Slower beside the stopped one, median of {pairs} pairs of {} s each (lowest, highest):", time.as_secs());
    for (what, factors) in ["what the hub took", "what receivers were given", "round trips"].iter().zip(&mut factors) {
        factors.sort_by(f64::total_cmp);
        let [low, middle, high] = [0, factors.len() / 2, factors.len() - 1].map(|i| factors[i]);
        println!("{what:>26}: {middle:.3} ({low:.3}, {high:.3})");
    }
    Ok(())
}

fn run(stops: bool, time: Duration) -> Result<Run, String> {
    let mut hub = Hub::start();
    let failed = |error: nanostate::Error| format!("an honest program failed: {error}");
    let mut publisher = Publisher::start(&hub.addresses.ipc)?;
    let stopped = stops.then(|| Stopped::start(&hub, &mut publisher)).transpose()?;
    let receivers = (0..RECEIVERS).map(|i| Receiver::start(&hub, i)).collect::<nanostate::Result<Vec<_>>>();
    let receivers = receivers.map_err(failed)?;
    let mut pair = Pair::start(&hub.addresses.tcp).map_err(failed)?;

    let ends = Arc::new(AtomicBool::new(false));
    let (ended, begin) = (Arc::clone(&ends), Instant::now());
    let stream = thread::spawn(move || publisher.run(&ended));
    let met = pair.run(time, Duration::ZERO, || ends.store(true, Ordering::Relaxed));
    let publisher = stream.join().map_err(|_| "the publisher panicked")??;
    let given = receivers.into_iter().map(|receiver| receiver.ends(publisher.sent)).collect::<Result<Vec<_>, _>>()?;
    let elapsed = begin.elapsed().as_secs_f64();
    let woken = stopped.map(|stopped| stopped.goes_on(&hub, publisher.sent)).transpose()?;
    if !hub.is_running() {
        return Err(format!("the hub ended\n{}", hub.words()));
    }
    Ok(Run {
        taken: publisher.sent as f64 / elapsed,
        given: given.iter().sum::<u64>() as f64 / RECEIVERS as f64 / elapsed,
        pair: met,
        peak: hub.peak(),
        woken,
    })
}

fn name(number: u64) -> String {
    format!("stream/{}", number % NAMES as u64)
}

/// The numbers of the newest values, of which each is the newest of another name.
fn newest(sent: u64) -> impl Iterator<Item = u64> {
    sent - NAMES as u64..sent
}

/// Sends numbers at full speed: as fast as the hub reads.
struct Publisher {
    peer: Peer,
    sent: u64,
}

impl Publisher {
    fn start(url: &str) -> Result<Publisher, String> {
        let peer = Peer::app(url, "streams", ACCEPT_NONE).map_err(|error| error.to_string())?;
        Ok(Publisher { peer, sent: 0 })
    }

    fn round(&mut self) {
        for _ in 0..NAMES {
            self.peer.put_state(&name(self.sent), &self.sent.to_string());
            self.sent += 1;
        }
    }

    /// Sends until it is told to end, and waits until the hub has all.
    fn run(mut self, ends: &AtomicBool) -> Result<Publisher, String> {
        let failed = |error| format!("the publisher failed: {error}");
        while !ends.load(Ordering::Relaxed) {
            while self.peer.waiting() < BATCH {
                self.round();
            }
            self.peer.write().map_err(failed)?;
        }
        self.peer.sync().map_err(failed)?;
        Ok(self)
    }
}

/// An app that takes all of the stream.
struct Receiver {
    /// How many states were sent, as soon as that is known.
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Result<u64, String>>,
}

impl Receiver {
    fn start(hub: &Hub, number: usize) -> nanostate::Result<Receiver> {
        let app = App::new(&format!("receives-{number}"))?;
        app.set_accept(Kind::Text.mask())?;
        app.connect(Some(&hub.addresses.ipc))?;
        app.wait_connected(Some(PATIENCE))?;
        let sent = Arc::new(AtomicU64::new(0));
        let known = Arc::clone(&sent);
        Ok(Receiver { sent, thread: thread::spawn(move || receive(&app, &known)) })
    }

    /// Waits until it has the newest value of each name, and says how many states it was given.
    fn ends(self, sent: u64) -> Result<u64, String> {
        self.sent.store(sent, Ordering::Relaxed);
        self.thread.join().map_err(|_| "a receiver panicked")?
    }
}

fn receive(app: &App, sent: &AtomicU64) -> Result<u64, String> {
    const LOOK: Duration = Duration::from_millis(50);
    let (mut given, mut last, mut values) = (0, Instant::now(), HashMap::new());
    loop {
        match app.recv(Some(LOOK)) {
            Ok(state) => {
                let number: u64 = state.text().ok().and_then(|text| text.parse().ok()).ok_or("not of the stream")?;
                values.insert(number % NAMES as u64, number);
                (given, last) = (given + 1, Instant::now());
                if number % NAMES as u64 != NAMES as u64 - 1 {
                    continue;
                }
            }
            Err(_) if last.elapsed() > PATIENCE => return Err(format!("{}: nothing more came", app.identity())),
            Err(_) => {}
        }
        let sent = sent.load(Ordering::Relaxed);
        if sent > 0 && newest(sent).all(|number| values.get(&(number % NAMES as u64)) == Some(&number)) {
            return Ok(given);
        }
    }
}

/// The receiver that is stopped: `nanostate watch`, a process of its own.
struct Stopped(Process);

impl Stopped {
    fn start(hub: &Hub, publisher: &mut Publisher) -> Result<Stopped, String> {
        let mut command = nanostate(["watch", "stream/*", "--connect", &hub.addresses.ipc]);
        ended_with_us(&mut command);
        let mut process = Process::start("the stopped receiver", &mut command);
        publisher.round();
        publisher.peer.sync().map_err(|error| error.to_string())?;
        for _ in 0..NAMES {
            process.next_line_with("stream/");
        }
        process.signal("STOP");
        Ok(Stopped(process))
    }

    fn goes_on(mut self, hub: &Hub, sent: u64) -> Result<Woken, String> {
        let conflated = Stopped::conflated(hub)?;
        let begin = Instant::now();
        self.0.signal("CONT");
        let (mut given, mut values) = (0, HashMap::new());
        while !newest(sent).all(|number| values.get(&name(number)) == Some(&number)) {
            let line = self.0.next_line_with("stream/");
            let mut words = line.split(' ').skip(1);
            let (Some(name), Some(number)) = (words.next(), words.next().and_then(|number| number.parse().ok())) else {
                return Err(format!("not of the stream: {line}"));
            };
            let before = values.insert(name.to_owned(), number);
            if before.is_some_and(|before| before >= number) {
                return Err(format!("{line} after {before:?}"));
            }
            given += 1;
        }
        Ok(Woken { after: begin.elapsed(), given, conflated })
    }

    /// What the hub says of it.
    fn conflated(hub: &Hub) -> Result<u64, String> {
        let command =
            nanostate(["top", "--once", "--json", "--filter", "nanostate-watch", "--connect", &hub.addresses.ipc]);
        let told = run_to_its_end(command, b"");
        let json: Json = serde_json::from_str(&told.stdout.concat()).map_err(|error| error.to_string())?;
        json["peers"][0]["conflated"].as_u64().ok_or(format!("no counters of the stopped receiver: {json}"))
    }
}
