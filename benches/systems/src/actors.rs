//! The clients of the figures, in the child processes: the same for every system.

use std::io::{self, BufRead as _, Write as _};
use std::ops::Range;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::calls;
use crate::order::Answer::Ready;
use crate::order::{self, Answer, Job, Line, Order};
use crate::procfs::monotonic;
use crate::seen::{Seen, Told};
use crate::stats::percentile;
use crate::system::{Flow, Place, Publisher, Result, Subscriber, System};

/// What the pinger publishes, and the echo receives.
const PING: &str = "ping";
/// What the echo publishes, and the pinger receives.
const PONG: &str = "pong";
/// Begins the names of what is published only to see whether it arrives; a number follows.
const PROBE: &str = "probe/";
/// Bytes of a probe.
const PROBE_PAYLOAD: usize = 64;

/// Nothing more comes after a pause this long.
const SILENCE: Duration = Duration::from_secs(1);
/// A trip that takes longer is lost.
const LOST: Duration = Duration::from_secs(5);
/// A ping that is not answered within this went out before the subscriptions were there.
const EARLY: Duration = Duration::from_millis(100);
/// Pings until it is given up.
const EARLY_PINGS: u32 = 100;
/// The wait of a process that ends by being killed.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// States between two looks at the clock, as long as they are small.
const CLOCK_EVERY: u64 = 64;
/// From here on a look at the clock costs nothing in comparison.
const LARGE: usize = 4096;

/// The name of the thread that reads orders: it is not part of what is measured.
pub const ORDERS: &str = "orders";

/// Where a client gets its orders, and answers.
struct Cue {
    job: usize,
    orders: Receiver<Order>,
}

impl Cue {
    /// Waits for an order; none when there will be no more.
    fn next(&self) -> Option<Order> {
        self.orders.recv().ok()
    }

    /// An order that is there already.
    fn pending(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    fn answer(&self, answer: Answer) -> Result<()> {
        let line = serde_json::to_string(&Line { job: self.job, says: answer }).map_err(|e| e.to_string())?;
        let mut output = io::stdout().lock();
        writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|e| format!("the driver is gone: {e}"))
    }
}

/// Does the jobs, the first in this thread, until standard input ends, which ends the process.
pub fn perform(system: &dyn System, place: &Place, jobs: &[Job]) -> Result<()> {
    // What the start of this program has freed would hide what a client needs.
    // SAFETY: only free memory is given back.
    unsafe { libc::malloc_trim(0) };
    let (senders, cues): (Vec<_>, Vec<_>) = (0..jobs.len())
        .map(|job| {
            let (sender, orders) = mpsc::channel();
            (sender, Cue { job, orders })
        })
        .unzip();
    calls::allow();
    let orders = thread::Builder::new().name(ORDERS.to_string());
    let started = orders.spawn(move || {
        for line in io::stdin().lock().lines().map_while(io::Result::ok) {
            match serde_json::from_str::<Line<Order>>(&line) {
                // A client that failed takes no more orders.
                Ok(Line { job, says }) => drop(senders.get(job).map(|sender| sender.send(says))),
                Err(error) => eprintln!("{line}: {error}"),
            }
        }
        std::process::exit(0);
    });
    started.map_err(|e| format!("cannot start a thread: {e}"))?;
    thread::scope(|scope| {
        let mut clients = jobs.iter().zip(cues).map(|(job, cue)| {
            move || {
                let identity = format!("{}-{}-{}", job.name(), cue.job, std::process::id());
                let client = Client { system, place, identity, cue };
                if let Err(text) = client.perform(*job) {
                    // A harness that does not read the answer sees the end of the process.
                    let _ = client.cue.answer(Answer::Failed { text });
                }
            }
        });
        let first = clients.next();
        clients.for_each(|client| drop(scope.spawn(client)));
        if let Some(first) = first {
            first();
        }
    });
    Ok(())
}

struct Client<'a> {
    system: &'a dyn System,
    place: &'a Place,
    identity: String,
    cue: Cue,
}

impl Client<'_> {
    fn perform(&self, job: Job) -> Result<()> {
        match job {
            Job::Echo => self.echo(),
            Job::Pinger => self.pinger(),
            Job::Source => self.source(),
            Job::Sink | Job::Idle => self.sink(),
            Job::Crowd => self.crowd(),
            Job::Empty => self.empty(),
            Job::Latecomer => self.latecomer(),
        }
    }

    fn subscriber(&self, names: &[&str]) -> Result<Box<dyn Subscriber>> {
        self.system.subscriber(self.place, &self.identity, names)
    }

    fn echo(&self) -> Result<()> {
        let mut client = self.subscriber(&[PING])?;
        self.cue.answer(Ready)?;
        let mut outcome = Ok(());
        while outcome.is_ok() {
            client.serve(FOREVER, &mut |publisher, name, payload| {
                if name == PING {
                    outcome = publisher.publish(PONG, payload).and_then(|()| publisher.flush());
                }
                if outcome.is_ok() {
                    Flow::More
                } else {
                    Flow::Stop
                }
            })?;
        }
        outcome
    }

    fn pinger(&self) -> Result<()> {
        let mut client = self.subscriber(&[PONG])?;
        self.cue.answer(Ready)?;
        let mut number = 0;
        while let Some(order) = self.cue.next() {
            match order {
                Order::Settle { .. } => settle_pings(&mut *client, &mut number)?,
                Order::Trips { payload, warm_up, trips } => {
                    calls::mark();
                    let mut times = trip_times(&mut *client, &mut number, payload, warm_up, trips)?;
                    calls::mark();
                    times.sort_unstable();
                    let share = |share| percentile(&times, share).ok_or("no trips");
                    let (p50, p99, p99_9) = (share(0.5)?, share(0.99)?, share(0.999)?);
                    self.cue.answer(Answer::Trips { p50, p99, p99_9 })?;
                    continue;
                }
                order => return Err(unknown(&order)),
            }
            self.cue.answer(Ready)?;
        }
        Ok(())
    }

    fn source(&self) -> Result<()> {
        let mut client = self.system.publisher(self.place, &self.identity)?;
        self.cue.answer(Ready)?;
        let probe = format!("{PROBE}{}", self.cue.job);
        let mut names = Vec::new();
        while let Some(order) = self.cue.next() {
            match order {
                Order::Probe => {
                    client.publish(&probe, &[0; PROBE_PAYLOAD])?;
                    client.flush()?;
                }
                Order::Names { prefix, count } => {
                    names = order::names(&prefix, count).collect();
                    client.declare(&names)?;
                }
                Order::PublishInTurn { states, payload } => {
                    let started = monotonic();
                    self.publish_in_turn(&mut *client, &names, states, payload)?;
                    self.cue.answer(Answer::Published { started, ended: monotonic() })?;
                    continue;
                }
                Order::Publish { states, first, payload, interval } => {
                    let numbers = first..first.saturating_add(states);
                    let started = monotonic();
                    if interval == 0 {
                        publish(&mut *client, &names, numbers, payload)?;
                    } else {
                        self.publish_paced(&mut *client, &names, numbers, payload, interval)?;
                    }
                    self.cue.answer(Answer::Published { started, ended: monotonic() })?;
                    continue;
                }
                // It came when the paced states were out already.
                Order::Finished => continue,
                order => return Err(unknown(&order)),
            }
            self.cue.answer(Ready)?;
        }
        Ok(())
    }

    fn publish_in_turn(&self, client: &mut dyn Publisher, names: &[String], states: u64, payload: usize) -> Result<()> {
        let mut told = Told::open(&self.place.directory)?;
        let mut payload = vec![0; payload];
        let mut allowed = names.len() as u64;
        for (number, (index, name)) in (0..states).zip(names.iter().enumerate().cycle()) {
            if number == allowed {
                client.flush()?;
                let lost = || format!("a state before the {number}th was not seen within {} s", LOST.as_secs());
                allowed = names.len() as u64 + told.hear(LOST)?.ok_or_else(lost)?;
            }
            put_number(&mut payload, number);
            client.publish_declared(index, name, &payload)?;
        }
        client.flush()
    }

    fn publish_paced(
        &self,
        client: &mut dyn Publisher,
        names: &[String],
        numbers: Range<u64>,
        payload: usize,
        interval: u64,
    ) -> Result<()> {
        let mut payload = vec![0; payload];
        let started = monotonic();
        for ((i, number), name) in (0..).zip(numbers).zip(names.iter().cycle()) {
            sleep_until(started + i * interval);
            put_number(&mut payload, number);
            client.publish(name, &payload)?;
            client.flush()?;
            if self.cue.pending().is_some() {
                break;
            }
        }
        Ok(())
    }

    fn sink(&self) -> Result<()> {
        let mut client = self.subscriber(&[])?;
        self.cue.answer(Ready)?;
        while let Some(order) = self.cue.next() {
            match order {
                Order::Settle { sources } => settle(&mut *client, sources)?,
                Order::Collect { states, names, payload, tells } => {
                    let mut told = if tells { Some(Told::open(&self.place.directory)?) } else { None };
                    let answer = self.collect(&mut *client, states, names, payload, told.as_mut())?;
                    self.cue.answer(answer)?;
                    continue;
                }
                Order::Rest => {
                    self.cue.answer(Ready)?;
                    while !client.serve(FOREVER, &mut |_, _, _| Flow::More)? {}
                    continue;
                }
                // It came when everything had arrived already.
                Order::Finished => continue,
                order => return Err(unknown(&order)),
            }
            self.cue.answer(Ready)?;
        }
        Ok(())
    }

    fn collect(
        &self,
        client: &mut dyn Subscriber,
        states: u64,
        names: u64,
        size: usize,
        mut told: Option<&mut Told>,
    ) -> Result<Answer> {
        let mut last = monotonic();
        let mut seen = Seen::new(states, if names == 0 { states } else { names });
        let mut outcome = Ok(());
        let mut finished = false;
        loop {
            let done = client.serve(SILENCE, &mut |_, name, payload| {
                if name.starts_with(PROBE) {
                    return Flow::More;
                }
                let number = number(payload).filter(|_| payload.len() == size);
                match number.and_then(|number| seen.insert(number)) {
                    Some(true) if seen.missing == 0 || seen.arrived % CLOCK_EVERY == 0 || size >= LARGE => {
                        last = monotonic();
                    }
                    Some(_) => {}
                    None => {
                        let found = payload.len();
                        outcome = Err(format!("{name} arrived as nobody published it, with {found} bytes of {size}"));
                    }
                }
                if let (Some(told), Ok(())) = (&mut told, &outcome) {
                    outcome = told.tell(seen.without_gap());
                }
                if seen.missing == 0 || outcome.is_err() {
                    Flow::Stop
                } else {
                    Flow::More
                }
            })?;
            outcome.clone()?;
            if done || finished {
                let Seen { arrived, repeated, missing, .. } = seen;
                return Ok(Answer::Collected { arrived, repeated, missing, last });
            }
            finished = self.cue.pending() == Some(Order::Finished);
        }
    }

    fn crowd(&self) -> Result<()> {
        self.cue.answer(Ready)?;
        let mut crowd = None;
        while let Some(order) = self.cue.next() {
            match (order, &mut crowd) {
                (Order::Connect { connections }, None) => {
                    crowd = Some(self.system.crowd(self.place, connections)?);
                    self.cue.answer(Ready)?;
                }
                (Order::Drain { states, payload, patience }, Some(crowd)) => {
                    let arrived = crowd.drain(states, payload, Duration::from_millis(patience))?;
                    self.cue.answer(Answer::Drained { arrived })?;
                }
                (order, _) => return Err(unknown(&order)),
            }
        }
        Ok(())
    }

    fn empty(&self) -> Result<()> {
        self.cue.answer(Ready)?;
        match self.cue.next() {
            Some(order) => Err(unknown(&order)),
            None => Ok(()),
        }
    }

    fn latecomer(&self) -> Result<()> {
        self.cue.answer(Ready)?;
        let mut number = 0;
        while let Some(order) = self.cue.next() {
            let Order::Join { times, states } = order else { return Err(unknown(&order)) };
            let mut all = Vec::with_capacity(times);
            for _ in 0..times {
                number += 1;
                let identity = format!("{}-{number}", self.identity);
                let started = monotonic();
                let mut client = self.system.subscriber(self.place, &identity, &[])?;
                let mut arrived = 0;
                let came = client.serve(LOST, &mut |_, _, _| {
                    arrived += 1;
                    match arrived == states {
                        true => Flow::Stop,
                        false => Flow::More,
                    }
                })?;
                let ended = monotonic();
                if !came {
                    let seconds = LOST.as_secs();
                    return Err(format!(
                        "{arrived} of {states} states came to a newcomer, and no more for {seconds} s"
                    ));
                }
                all.push(ended - started);
            }
            self.cue.answer(Answer::Joined { times: all })?;
        }
        Ok(())
    }
}

fn unknown(order: &Order) -> String {
    format!("not its job now: {order:?}")
}

/// Publishes as fast as it is taken, going through the names.
fn publish(client: &mut dyn Publisher, names: &[String], numbers: Range<u64>, payload: usize) -> Result<()> {
    let mut payload = vec![0; payload];
    for (number, (index, name)) in numbers.zip(names.iter().enumerate().cycle()) {
        put_number(&mut payload, number);
        client.publish_declared(index, name, &payload)?;
    }
    client.flush()
}

/// Receives until a probe of each source was there.
fn settle(client: &mut dyn Subscriber, sources: usize) -> Result<()> {
    let mut seen: Vec<String> = Vec::new();
    let done = client.serve(LOST, &mut |_, name, _| {
        if name.starts_with(PROBE) && seen.iter().all(|seen| seen != name) {
            seen.push(name.to_string());
        }
        if seen.len() == sources {
            Flow::Stop
        } else {
            Flow::More
        }
    })?;
    match done {
        true => Ok(()),
        false => Err(format!("probes of {} sources arrived, not of {sources}", seen.len())),
    }
}

/// Publishes until an echo comes.
fn settle_pings(client: &mut dyn Subscriber, number: &mut u64) -> Result<()> {
    let mut payload = vec![0; PROBE_PAYLOAD];
    for _ in 0..EARLY_PINGS {
        *number += 1;
        put_number(&mut payload, *number);
        client.publish(PING, &payload)?;
        client.flush()?;
        let awaited = *number;
        let answered = client.serve(EARLY, &mut |_, name, payload| {
            if name == PONG && self::number(payload) == Some(awaited) {
                Flow::Stop
            } else {
                Flow::More
            }
        })?;
        if answered {
            return Ok(());
        }
    }
    Err(format!("none of {EARLY_PINGS} pings was answered within {} ms", EARLY.as_millis()))
}

/// One trip after the other, each begun where the one before ended: in the handler. Nanoseconds, in their order.
fn trip_times(
    client: &mut dyn Subscriber,
    number: &mut u64,
    size: usize,
    warm_up: usize,
    trips: usize,
) -> Result<Vec<u64>> {
    let mut payload = vec![0; size];
    let mut times = Vec::with_capacity(trips);
    let mut outcome = Ok(());
    let mut done = 0;
    *number += 1;
    put_number(&mut payload, *number);
    let mut sent = Instant::now();
    client.publish(PING, &payload)?;
    client.flush()?;
    let finished = client.serve(LOST, &mut |publisher, name, echo| {
        if name != PONG || self::number(echo) != Some(*number) {
            return Flow::More;
        }
        let now = Instant::now();
        if echo.len() != size {
            outcome = Err(format!("{} of {size} bytes came back", echo.len()));
            return Flow::Stop;
        }
        if done >= warm_up {
            times.push((now - sent).as_nanos() as u64);
        }
        done += 1;
        if times.len() == trips {
            return Flow::Stop;
        }
        *number += 1;
        put_number(&mut payload, *number);
        sent = Instant::now();
        outcome = publisher.publish(PING, &payload).and_then(|()| publisher.flush());
        if outcome.is_ok() {
            Flow::More
        } else {
            Flow::Stop
        }
    })?;
    outcome?;
    if !finished {
        return Err(format!("trip {} of {} was not back within {} s", done + 1, warm_up + trips, LOST.as_secs()));
    }
    Ok(times)
}

fn put_number(payload: &mut [u8], number: u64) {
    if let Some(head) = payload.first_chunk_mut() {
        *head = number.to_le_bytes();
    }
}

fn number(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|head| u64::from_le_bytes(*head))
}

/// Sleeps until a time of [`monotonic`].
fn sleep_until(time: u64) {
    let until = libc::timespec {
        tv_sec: (time / 1_000_000_000) as libc::time_t,
        tv_nsec: (time % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: the time lives until the call returns; no rest is asked for.
    while unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &until, std::ptr::null_mut()) }
        == libc::EINTR
    {}
}
