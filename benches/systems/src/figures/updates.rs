//! Many updates of few names, as fast as possible, until the last value of each name was seen.

use crate::figures::{fresh_transfer, percent, Load, Plan, Sampler, Scenario, SMALL};
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, Subject, System};

pub struct Updates;

/// How many are updated.
const NAMES: usize = 100;

impl Scenario for Updates {
    fn figure(&self) -> Figure {
        Figure::Updates
    }

    fn parameters(&self, plan: &Plan) -> Vec<u64> {
        vec![plan.choose(200_000, 2_000_000)]
    }

    fn subject(&self, _parameter: u64, _plan: &Plan) -> Subject {
        Subject::KnownNames
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
        let load = Load { states: parameter, payload: SMALL, names: NAMES, last_only: true, in_turn: false };
        Ok(Box::new(move || {
            let transfer = fresh_transfer(system, places, &load)?;
            transfer.has_last_values(&load)?;
            Ok(transfer.values([
                (Metric::WallTime, transfer.seconds),
                (Metric::Skipped, percent(load.states - transfer.arrived, load.states)),
            ]))
        }))
    }
}
