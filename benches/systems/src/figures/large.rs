//! Large states of distinct names, as fast as possible.

use crate::figures::{fresh_transfer, percent, Load, Plan, Sampler, Scenario, ROUNDS_BESIDE};
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, System};

pub struct Large;

impl Scenario for Large {
    fn figure(&self) -> Figure {
        Figure::Large
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![1 << 20]
    }

    fn rounds(&self, _parameter: u64, plan: &Plan) -> u32 {
        plan.rounds.min(ROUNDS_BESIDE)
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        plan: &Plan,
    ) -> Result<Sampler<'a>> {
        let states = plan.choose(32, 128);
        let load =
            Load { states, payload: parameter as usize, names: states as usize, last_only: false, in_turn: false };
        Ok(Box::new(move || {
            let transfer = fresh_transfer(system, places, &load)?;
            let megabytes = (transfer.arrived * parameter) as f64 / 1e6;
            Ok(transfer.values([
                (Metric::Throughput, megabytes / transfer.seconds),
                (Metric::Delivered, percent(transfer.arrived, load.states)),
            ]))
        }))
    }
}
