//! What is measured: one scenario each, the same for every system.

mod burst;
mod camera;
mod fan_out;
mod first_state;
mod large;
mod many_to_one;
mod memory;
mod round_trip;
mod round_trip_calls;
mod updates;

use std::time::{Duration, Instant};

use crate::children::{Actor, Stage, PATIENCE};
use crate::order::{names, Answer, Order};
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, Subject, System};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Shorter samples.
    pub quick: bool,
    /// Samples of each system, at most.
    pub rounds: u32,
    /// There are fewer where the run would take longer than this.
    pub budget: Option<Duration>,
}

impl Plan {
    pub fn choose<T>(&self, quick: T, full: T) -> T {
        if self.quick {
            quick
        } else {
            full
        }
    }
}

/// What one sample gives.
pub struct Values {
    pub numbers: Vec<(Metric, f64)>,
    /// What the numbers do not say.
    pub note: Option<String>,
}

impl<N: Into<Vec<(Metric, f64)>>> From<N> for Values {
    fn from(numbers: N) -> Values {
        Values { numbers: numbers.into(), note: None }
    }
}

/// Takes one sample.
pub type Sampler<'a> = Box<dyn FnMut() -> Result<Values> + 'a>;

/// One figure.
pub trait Scenario {
    fn figure(&self) -> Figure;

    /// What it is measured with.
    fn parameters(&self, plan: &Plan) -> Vec<u64>;

    /// Samples of each system.
    fn rounds(&self, _parameter: u64, plan: &Plan) -> u32 {
        plan.rounds
    }

    /// What it is about: configurations that have this in common are measured once.
    fn subject(&self, _parameter: u64, _plan: &Plan) -> Subject {
        Subject::Whole
    }

    /// Whether it also makes sense if the hub and all clients are in one process.
    fn in_one_process(&self) -> bool {
        false
    }

    /// Sets up what stays from sample to sample.
    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        plan: &Plan,
    ) -> Result<Sampler<'a>>;
}

/// Every figure, in the order of the results.
pub fn all() -> Vec<Box<dyn Scenario>> {
    vec![
        Box::new(round_trip::RoundTrip),
        Box::new(round_trip::PinnedRoundTrip),
        Box::new(round_trip_calls::RoundTripCalls),
        Box::new(burst::Burst),
        Box::new(burst::KnownNames),
        Box::new(updates::Updates),
        Box::new(fan_out::FanOut),
        Box::new(many_to_one::ManyToOne),
        Box::new(large::Large),
        Box::new(camera::Camera),
        Box::new(memory::Memory),
        Box::new(memory::StateMemory),
        Box::new(first_state::FirstState),
    ]
}

/// Samples of each system in figures that stand beside those that say how fast nanostate is to be.
const ROUNDS_BESIDE: u32 = 5;

/// Payload of small states, in bytes.
const SMALL: usize = 64;

/// Between two probes.
const PROBE: Duration = Duration::from_millis(50);

/// Has the sources publish probes until the receiver has got one of each.
fn settle(receiver: &Actor, sources: &[Actor]) -> Result<()> {
    receiver.tell(Order::Settle { sources: sources.len() })?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for source in sources {
            source.tell(Order::Probe)?;
        }
        for source in sources {
            source.ready()?;
        }
        match receiver.hear_within(PROBE)? {
            Some(Answer::Ready) => return Ok(()),
            Some(answer) => return Err(receiver.unexpected(&answer)),
            None => {}
        }
    }
    Err(format!("no probe of every source arrived within {} s", PATIENCE.as_secs()))
}

/// Milliseconds in which every connection of a crowd should have got a probe.
const CROWD_PROBE: u64 = 500;

/// Attempts at that.
const CROWD_PROBES: usize = 60;

/// Milliseconds without anything, after which nothing is on its way.
const CROWD_SILENCE: u64 = 100;

/// Connects a crowd, and has the source publish probes until each connection has got one.
fn gather(crowd: &Actor, source: &Actor, connections: u64) -> Result<()> {
    crowd.tell(Order::Connect { connections: connections as usize })?;
    crowd.ready()?;
    let mut most = 0;
    for _ in 0..CROWD_PROBES {
        // What the hub had for newcomers, and what was late in the last attempt, is not of this probe.
        drain(crowd, u32::MAX.into(), CROWD_SILENCE)?;
        crowd.tell(Order::Drain { states: 1, payload: SMALL, patience: CROWD_PROBE })?;
        source.tell(Order::Probe)?;
        source.ready()?;
        let arrived = drained(crowd)?;
        if arrived >= connections {
            return Ok(());
        }
        most = arrived.max(most);
    }
    Err(format!("a probe arrived at {most} of {connections} connections at most"))
}

/// Reads what each connection of a crowd gets; patience in milliseconds.
fn drain(crowd: &Actor, states: u64, patience: u64) -> Result<u64> {
    crowd.tell(Order::Drain { states, payload: SMALL, patience })?;
    drained(crowd)
}

/// What a newcomer took, for each time.
fn joined(latecomer: &Actor) -> Result<Vec<u64>> {
    match latecomer.hear()? {
        Answer::Joined { times } => Ok(times),
        answer => Err(latecomer.unexpected(&answer)),
    }
}

fn drained(crowd: &Actor) -> Result<u64> {
    match crowd.hear()? {
        Answer::Drained { arrived } => Ok(arrived),
        answer => Err(crowd.unexpected(&answer)),
    }
}

/// What came of publishing as fast as possible.
struct Transfer {
    /// Each state counts once.
    arrived: u64,
    /// How often one came that had come before.
    repeated: u64,
    missing: u64,
    /// From before the first state was published until the last one arrived.
    seconds: f64,
}

impl Transfer {
    /// That the last value of each name arrived.
    fn has_last_values(&self, load: &Load) -> Result<()> {
        if self.missing == 0 {
            return Ok(());
        }
        let (missing, names, arrived) = (self.missing, load.names, percent(self.arrived, load.states));
        Err(format!("the last value of {missing} of {names} names never came ({arrived:.1} % arrived)"))
    }

    /// Numbers of it, and what they do not say.
    fn values<const N: usize>(&self, numbers: [(Metric, f64); N]) -> Values {
        let note = (self.repeated > 0).then(|| format!("{} states came more than once", self.repeated));
        Values { note, ..numbers.into() }
    }
}

/// What the sources publish, and the sink waits for.
#[derive(Clone, Copy)]
struct Load {
    /// Of each source.
    states: u64,
    payload: usize,
    /// Of each source.
    names: usize,
    /// The sink waits for the last value of each name, not for all states.
    last_only: bool,
    /// A name is published again only after its state before was seen; for one source.
    in_turn: bool,
}

impl Load {
    /// Bytes of each name of the first source.
    fn name_length(&self) -> usize {
        names(&prefix(0), self.names).next().map_or(0, |name| name.len())
    }
}

/// What the names of a source begin with.
fn prefix(source: usize) -> String {
    format!("bench/{source}/")
}

/// One transfer, once all clients are connected.
fn transfer(sources: &[Actor], sink: &Actor, load: &Load) -> Result<Transfer> {
    settle(sink, sources)?;
    for (i, source) in sources.iter().enumerate() {
        source.tell(Order::Names { prefix: prefix(i), count: load.names })?;
        source.ready()?;
    }
    let names = if load.last_only { load.names as u64 } else { 0 };
    let states = load.states * sources.len() as u64;
    sink.tell(Order::Collect { states, names, payload: load.payload, tells: load.in_turn })?;
    for (i, source) in sources.iter().enumerate() {
        let (states, payload, first) = (load.states, load.payload, load.states * i as u64);
        source.tell(match load.in_turn {
            true => Order::PublishInTurn { states, payload },
            false => Order::Publish { states, first, payload, interval: 0 },
        })?;
    }
    let mut first = u64::MAX;
    for source in sources {
        match source.hear()? {
            Answer::Published { started, .. } => first = first.min(started),
            answer => return Err(source.unexpected(&answer)),
        }
    }
    sink.tell(Order::Finished)?;
    match sink.hear()? {
        Answer::Collected { arrived: 0, .. } => Err("nothing arrived".to_string()),
        Answer::Collected { arrived, repeated, missing, last } => {
            Ok(Transfer { arrived, repeated, missing, seconds: last.saturating_sub(first) as f64 / 1e9 })
        }
        answer => Err(sink.unexpected(&answer)),
    }
}

/// A transfer from one client to another over a hub that has seen nothing before.
fn fresh_transfer(system: &dyn System, places: &Places, load: &Load) -> Result<Transfer> {
    use crate::order::Job::{Sink, Source};

    let stage = Stage::new(system, places.place()?)?;
    let mut clients = stage.clients(&[Sink, Source])?;
    let sources = clients.split_off(1);
    stage.explain(transfer(&sources, &clients[0], load))
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}
