//! A new subscriber, while others are at it already: until it has something.

use crate::children::Stage;
use crate::figures::{joined, Plan, Sampler, Scenario, ROUNDS_BESIDE, SMALL};
use crate::order::{Job, Order};
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::stats::spread;
use crate::system::{Result, Subject, System};

pub struct FirstState;

/// Microseconds between two states of the publisher.
const INTERVAL: u64 = 200;
/// Connections of a sample, of which the median counts.
const TIMES: usize = 5;

impl Scenario for FirstState {
    fn figure(&self) -> Figure {
        Figure::FirstState
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![INTERVAL]
    }

    fn rounds(&self, _parameter: u64, plan: &Plan) -> u32 {
        plan.rounds.min(ROUNDS_BESIDE)
    }

    fn subject(&self, _parameter: u64, plan: &Plan) -> Subject {
        // How an app receives is the smaller part of it.
        plan.choose(Subject::Hub, Subject::Whole)
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        _plan: &Plan,
    ) -> Result<Sampler<'a>> {
        let stage = Stage::new(system, places.place()?)?;
        let clients = stage.clients(&[Job::Source, Job::Latecomer])?;
        clients[0].tell(Order::Names { prefix: "tick".to_string(), count: 1 })?;
        stage.explain(clients[0].ready())?;
        Ok(Box::new(move || {
            let (source, latecomer) = (&clients[0], &clients[1]);
            let sample = || {
                let interval = parameter * 1_000;
                source.tell(Order::Publish { states: u64::MAX, first: 0, payload: SMALL, interval })?;
                latecomer.tell(Order::Join { times: TIMES, states: 1 })?;
                let times = joined(latecomer)?;
                source.tell(Order::Finished)?;
                source.hear()?;
                let micros: Vec<f64> = times.iter().map(|nanos| *nanos as f64 / 1e3).collect();
                let median = spread(&micros).ok_or("no connections")?.median;
                Ok([(Metric::FirstState, median)].into())
            };
            stage.explain(sample())
        }))
    }
}
