//! What a program that sends and receives in turn asks of the system: calls, and changes of threads.

use crate::actors::ORDERS;
use crate::children::Stage;
use crate::figures::round_trip::{pair, time_trips};
use crate::figures::{Plan, Sampler, Scenario, SMALL};
use crate::place::Places;
use crate::procfs::switches;
use crate::results::{Figure, Metric};
use crate::system::{Result, System};

pub struct RoundTripCalls;

/// Trips in which calls are counted, which takes long.
const COUNTED: usize = 1_000;
/// Trips in which sleeps are.
const TRIPS: usize = 10_000;
/// These numbers hardly differ from sample to sample.
const ROUNDS: u32 = 3;

impl Scenario for RoundTripCalls {
    fn figure(&self) -> Figure {
        Figure::RoundTripCalls
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![SMALL as u64]
    }

    fn rounds(&self, _parameter: u64, plan: &Plan) -> u32 {
        plan.rounds.min(plan.choose(1, ROUNDS))
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        _plan: &Plan,
    ) -> Result<Sampler<'a>> {
        let stage = Stage::pinned(system, places.place()?)?;
        let clients = pair(&stage)?;
        let pinger = clients[1].id();
        Ok(Box::new(move || {
            let sample = || {
                let before = switches(pinger, ORDERS)?;
                time_trips(&clients, parameter, 0, TRIPS)?;
                let after = switches(pinger, ORDERS)?;
                let counter = stage.counter(&clients[1])?;
                time_trips(&clients, parameter, 0, COUNTED)?;
                let calls = counter.count()?;
                let all = after.all.saturating_sub(before.all);
                let others = after.asleep_beside_first.saturating_sub(before.asleep_beside_first);
                Ok([
                    (Metric::SystemCalls, calls as f64 / COUNTED as f64),
                    (Metric::Switches, all as f64 / TRIPS as f64),
                    (Metric::OtherThreads, others as f64),
                ]
                .into())
            };
            stage.explain(sample())
        }))
    }
}
