//! Client → hub → echo → hub → client, one state at a time: where the kernel places them, and all on one core.

use std::time::Duration;

use crate::children::{Actor, Stage};
use crate::figures::{Plan, Sampler, Scenario, ROUNDS_BESIDE, SMALL};
use crate::order::{Answer, Job, Order};
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, System};

/// Each process on the core that the kernel gives it.
pub struct RoundTrip;

/// The hub and all clients on one core: what it costs, whatever the kernel's luck.
pub struct PinnedRoundTrip;

/// Trips of a sample that do not count.
const WARM_UP: usize = 200;

/// From this size on a sample has fewer trips.
const LARGE: u64 = 64 << 10;

impl Scenario for RoundTrip {
    fn figure(&self) -> Figure {
        Figure::RoundTrip
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![SMALL as u64, 1 << 10, LARGE]
    }

    fn rounds(&self, parameter: u64, plan: &Plan) -> u32 {
        match parameter as usize {
            SMALL => plan.rounds,
            _ => plan.rounds.min(ROUNDS_BESIDE),
        }
    }

    fn in_one_process(&self) -> bool {
        true
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        _plan: &Plan,
    ) -> Result<Sampler<'a>> {
        let stage = Stage::new(system, places.place()?)?;
        trips_sampler(stage, parameter)
    }
}

impl Scenario for PinnedRoundTrip {
    fn figure(&self) -> Figure {
        Figure::RoundTripPinned
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![SMALL as u64]
    }

    fn in_one_process(&self) -> bool {
        true
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        _plan: &Plan,
    ) -> Result<Sampler<'a>> {
        let stage = Stage::pinned(system, places.place()?)?;
        trips_sampler(stage, parameter)
    }
}

/// Trips with so many bytes of payload.
fn trips_sampler(stage: Stage<'_>, payload: u64) -> Result<Sampler<'_>> {
    let trips = if payload >= LARGE { 500 } else { 2000 };
    let clients = pair(&stage)?;
    Ok(Box::new(move || {
        let (p50, p99, p99_9) = stage.explain(time_trips(&clients, payload, WARM_UP, trips))?;
        let micros = |nanos| nanos as f64 / 1e3;
        let values = [(Metric::P50, p50), (Metric::P99, p99), (Metric::P999, p99_9)];
        Ok(values.map(|(metric, nanos)| (metric, micros(nanos))).into())
    }))
}

/// An echo and a pinger that get each other's states.
pub(super) fn pair(stage: &Stage<'_>) -> Result<[Actor; 2]> {
    let clients = stage.clients(&[Job::Echo, Job::Pinger])?;
    let settled = clients[1].tell(Order::Settle { sources: 1 }).and_then(|()| clients[1].ready());
    stage.explain(settled)?;
    clients.try_into().map_err(|_| "two jobs have not two clients".to_string())
}

/// Percentiles of trips, in nanoseconds: half, 99 of 100, 999 of 1000.
pub(super) fn time_trips(
    [echo, pinger]: &[Actor; 2],
    payload: u64,
    warm_up: usize,
    trips: usize,
) -> Result<(u64, u64, u64)> {
    pinger.tell(Order::Trips { payload: payload as usize, warm_up, trips })?;
    // An echo that has failed does not answer pings: its words are the better ones.
    let answer = pinger.hear().map_err(|error| echo.hear_within(Duration::ZERO).err().unwrap_or(error))?;
    match answer {
        Answer::Trips { p50, p99, p99_9 } => Ok((p50, p99, p99_9)),
        answer => Err(pinger.unexpected(&answer)),
    }
}
