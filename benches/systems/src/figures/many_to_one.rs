//! Small states of distinct names from several sources at once, as fast as possible.

use crate::children::Stage;
use crate::figures::{percent, transfer, Load, Plan, Sampler, Scenario, ROUNDS_BESIDE, SMALL};
use crate::order::Job;
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, System};

pub struct ManyToOne;

impl Scenario for ManyToOne {
    fn figure(&self) -> Figure {
        Figure::ManyToOne
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![8]
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
        let states = plan.choose(6_250, 25_000);
        let load = Load { states, payload: SMALL, names: states as usize, last_only: false, in_turn: false };
        Ok(Box::new(move || {
            let stage = Stage::new(system, places.place()?)?;
            let sink = stage.together(&[Job::Sink])?;
            // One process with a thread for each: as many processes would measure the scheduler.
            let sources = stage.together(&vec![Job::Source; parameter as usize])?;
            let transfer = stage.explain(transfer(&sources, &sink[0], &load))?;
            Ok(transfer.values([
                (Metric::Rate, transfer.arrived as f64 / transfer.seconds),
                (Metric::Delivered, percent(transfer.arrived, parameter * load.states)),
            ]))
        }))
    }
}
