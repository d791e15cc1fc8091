//! Many small states of distinct names, as fast as possible.

use crate::figures::{fresh_transfer, percent, Load, Plan, Sampler, Scenario, SMALL};
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, System};

pub struct Burst;

impl Scenario for Burst {
    fn figure(&self) -> Figure {
        Figure::Burst
    }

    fn parameters(&self, plan: &Plan) -> Vec<u64> {
        vec![plan.choose(50_000, 200_000)]
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
        let load = Load { states: parameter, payload: SMALL, names: parameter as usize, last_only: false };
        Ok(Box::new(move || {
            let transfer = fresh_transfer(system, places, &load)?;
            Ok(transfer.values([
                (Metric::Rate, transfer.arrived as f64 / transfer.seconds),
                (Metric::Delivered, percent(transfer.arrived, load.states)),
            ]))
        }))
    }
}
