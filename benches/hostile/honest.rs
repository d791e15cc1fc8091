//! The honest programs beside the attack: a pair that exchanges round trips at a steady pace, and a sender of large
//! values. All use the Rust API, as any program.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nanostate::{App, Kind, Value};

use crate::support::PATIENCE;

/// Time from one round trip to the next. They do not wait for each other: what a stall delays counts with all its delay.
const PACE: Duration = Duration::from_millis(2);
/// Bytes of each value.
const SIZE: usize = 64;
/// Names, used in turn: so many that a value is back long before a newer one replaces it. All are published before the
/// attack begins, so that a full table does not keep them out.
const NAMES: usize = 4096;
/// Time from one value to the next before the attack.
const WARM_UP_PACE: Duration = Duration::from_micros(200);
/// A name whose newest value is not back so long after the last was sent has lost it.
const LATE: Duration = Duration::from_secs(20);

/// Bytes of a large value.
const LARGE: usize = 3_000_000;
/// Time from one large value to the next.
const LARGE_PACE: Duration = Duration::from_millis(200);

/// What honest programs met with.
#[derive(Clone, Default, Debug)]
pub struct Met {
    /// Round trips during the storm, in ascending order.
    pub trips: Vec<Duration>,
    /// The longest, also of those in the time after the storm.
    pub longest: Duration,
    /// Values that did not arrive.
    pub lost: u64,
    /// How often a link ended.
    pub closed: u64,
}

impl Met {
    /// The shortest round trip that is not exceeded by this share of all.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.trips.len() as f64).ceil() as usize;
        self.trips.get(rank.max(1) - 1).copied().unwrap_or(Duration::MAX)
    }
}

fn app(identity: &str, url: &str) -> nanostate::Result<App> {
    let app = App::new(identity)?;
    app.set_accept(Kind::Bytes.mask())?;
    app.connect(Some(url))?;
    app.wait_connected(Some(PATIENCE))?;
    Ok(app)
}

/// How often a link of the app ended.
fn closed(app: &App) -> u64 {
    app.stats().connects.saturating_sub(1)
}

/// The identity of the app whose round trips are timed. One attack asks for it.
pub const IDENTITY: &str = "honest";

/// Two apps, of which one answers the other.
pub struct Pair {
    asks: App,
    answers: App,
    next: usize,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pair {
    /// Connects both, and sends a few values to and fro.
    pub fn start(url: &str) -> nanostate::Result<Pair> {
        let (asks, answers) = (app(IDENTITY, url)?, app("honest-answers", url)?);
        let ends = Arc::new(AtomicBool::new(false));
        let (echo, ended) = (answers.clone(), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let Ok(state) = echo.recv(Some(Duration::from_millis(100))) else { continue };
                let (Ok(bytes), Some(number)) = (state.bytes(), state.name().strip_prefix("ask/")) else { continue };
                if state.sender() == IDENTITY {
                    // What is not sent is missing in the end.
                    let _ = echo.send(&format!("answer/{number}"), Value::Bytes(bytes));
                }
            }
        });
        let mut pair = Pair { asks, answers, next: 0, ends, thread: Some(thread) };
        pair.measure(NAMES, WARM_UP_PACE, || ());
        Ok(pair)
    }

    /// Sends at a steady pace for `storm` and then `after`; between the two it calls `over`.
    pub fn run(&mut self, storm: Duration, after: Duration, over: impl FnOnce()) -> Met {
        let trips = |time: Duration| (time.as_nanos() / PACE.as_nanos()) as usize;
        let mut met = self.measure(trips(storm), PACE, over);
        let quiet = self.measure(trips(after), PACE, || ());
        met.longest = met.longest.max(quiet.longest);
        met.lost += quiet.lost;
        met.closed = closed(&self.asks) + closed(&self.answers);
        met
    }

    /// Sends so many values, calls `over`, and waits for what is missing.
    fn measure(&mut self, count: usize, pace: Duration, over: impl FnOnce()) -> Met {
        let (first, begin) = (self.next, Instant::now());
        let due = |i: usize| begin + pace * (i - first) as u32;
        let end = due(first + count) + LATE;
        let (mut back, mut missing, mut over) = (vec![None; count], count, Some(over));
        while missing > 0 && Instant::now() < end {
            let now = Instant::now();
            if self.next < first + count && due(self.next) <= now {
                self.ask();
                continue;
            }
            let all_sent = self.next == first + count;
            if let Some(over) = over.take_if(|_| all_sent) {
                over();
            }
            let wake = if all_sent { end } else { due(self.next) };
            let Some(answered) = self.answer(wake.saturating_duration_since(now)) else { continue };
            // Those that it replaced on the way need not come any more.
            for i in (first..=answered.min(self.next - 1)).rev().step_by(NAMES) {
                let place: &mut Option<Duration> = &mut back[i - first];
                missing -= usize::from(place.is_none());
                place.get_or_insert_with(|| due(i).elapsed());
            }
        }
        if let Some(over) = over.take() {
            over();
        }
        // What is lost took at least as long as it was waited for.
        let waited = |i: usize| due(first + i).elapsed();
        let mut trips: Vec<_> = back.iter().enumerate().map(|(i, time)| time.unwrap_or_else(|| waited(i))).collect();
        trips.sort();
        Met { longest: trips.last().copied().unwrap_or_default(), trips, lost: missing as u64, closed: 0 }
    }

    /// Sends the next value.
    fn ask(&mut self) {
        let mut value = [0; SIZE];
        value[..8].copy_from_slice(&(self.next as u64).to_be_bytes());
        // What the app does not take is missing in the end.
        let _ = self.asks.send(&format!("ask/{}", self.next % NAMES), Value::Bytes(&value));
        self.next += 1;
    }

    /// The number of the next value that is back; none if that takes longer.
    fn answer(&self, timeout: Duration) -> Option<usize> {
        let state = self.asks.recv(Some(timeout)).ok()?;
        let number = state.bytes().ok()?.first_chunk().copied()?;
        state.name().starts_with("answer/").then_some(u64::from_be_bytes(number) as usize)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An app that sends large values and waits until the hub has each.
pub struct Large {
    app: App,
    ends: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Large {
    pub fn start(url: &str) -> nanostate::Result<Large> {
        let app = app("honest-large", url)?;
        let (ends, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (sender, ended, missing) = (app.clone(), Arc::clone(&ends), Arc::clone(&lost));
        let thread = thread::spawn(move || {
            let mut text = "x".repeat(LARGE);
            for n in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                text.replace_range(..8, &format!("{n:08}"));
                let sent = sender.send("large", Value::Text(&text)).and_then(|()| sender.flush(Some(LATE)));
                missing.fetch_add(u64::from(sent.is_err()), Ordering::Relaxed);
                thread::sleep(LARGE_PACE);
            }
        });
        Ok(Large { app, ends, lost, thread: Some(thread) })
    }

    /// Ends it; how many values the hub did not take, and how often its link ended.
    pub fn end(mut self) -> (u64, u64) {
        self.stop();
        (self.lost.load(Ordering::Relaxed), closed(&self.app))
    }

    fn stop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.stop();
    }
}
