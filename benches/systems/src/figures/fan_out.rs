//! One source, many receivers, at a rate that every system can keep up with: what a delivery costs the hub.

use crate::children::Stage;
use crate::figures::{drained, gather, percent, Plan, Sampler, Scenario, SMALL};
use crate::order::{Answer, Job, Order};
use crate::place::Places;
use crate::procfs::cpu_time;
use crate::results::{Figure, Metric};
use crate::system::{Result, Subject, System};

pub struct FanOut;

/// Deliveries per second that are aimed at.
const DELIVERIES: u64 = 40_000;
/// States per second at most.
const RATE: u64 = 1_000;
/// Milliseconds of a sample.
const LENGTH: u64 = 300;
/// Milliseconds without a delivery after which none comes.
const SILENCE: u64 = 1_000;

impl Scenario for FanOut {
    fn figure(&self) -> Figure {
        Figure::FanOut
    }

    fn parameters(&self, plan: &Plan) -> Vec<u64> {
        plan.choose(vec![8, 128], vec![8, 32, 128, 1_000])
    }

    fn subject(&self, _parameter: u64, _plan: &Plan) -> Subject {
        Subject::Hub
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        _plan: &Plan,
    ) -> Result<Sampler<'a>> {
        let rate = (DELIVERIES / parameter).clamp(1, RATE);
        let states = (rate * LENGTH / 1_000).max(1);
        let stage = Stage::new(system, places.place()?)?;
        let hub = stage.hub()?;
        let clients = stage.together(&[Job::Crowd])?.into_iter().chain(stage.together(&[Job::Source])?);
        let clients: Vec<_> = clients.collect();
        stage.explain(gather(&clients[0], &clients[1], parameter))?;
        let named = clients[1].tell(Order::Names { prefix: "fan".to_string(), count: 1 });
        named.and_then(|()| clients[1].ready())?;
        Ok(Box::new(move || {
            let (crowd, source) = (&clients[0], &clients[1]);
            let sample = || {
                let before = cpu_time(hub)?;
                crowd.tell(Order::Drain { states, payload: SMALL, patience: SILENCE })?;
                source.tell(Order::Publish { states, first: 0, payload: SMALL, interval: 1_000_000_000 / rate })?;
                match source.hear()? {
                    Answer::Published { .. } => {}
                    answer => return Err(source.unexpected(&answer)),
                }
                let arrived = drained(crowd)?;
                let used = cpu_time(hub)?.saturating_sub(before);
                if arrived == 0 {
                    return Err("nothing arrived".to_string());
                }
                Ok([
                    (Metric::HubCpu, used as f64 / arrived as f64),
                    (Metric::Delivered, percent(arrived, states * parameter)),
                ]
                .into())
            };
            stage.explain(sample())
        }))
    }
}
