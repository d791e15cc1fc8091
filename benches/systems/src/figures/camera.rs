//! One large state that is replaced as fast as possible, as by a camera.

use crate::figures::{fresh_transfer, percent, Load, Plan, Sampler, Scenario};
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, System};

pub struct Camera;

impl Scenario for Camera {
    fn figure(&self) -> Figure {
        Figure::Camera
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![1 << 20]
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        plan: &Plan,
    ) -> Result<Sampler<'a>> {
        let states = plan.choose(64, 128);
        let load = Load { states, payload: parameter as usize, names: 1, last_only: true, in_turn: false };
        Ok(Box::new(move || {
            let transfer = fresh_transfer(system, places, &load)?;
            transfer.has_last_values(&load)?;
            let megabytes = (transfer.arrived * parameter) as f64 / 1e6;
            Ok(transfer.values([
                (Metric::Throughput, megabytes / transfer.seconds),
                (Metric::Skipped, percent(load.states - transfer.arrived, load.states)),
            ]))
        }))
    }
}
