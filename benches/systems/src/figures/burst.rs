//! Many small states as fast as possible: of distinct names, and of names that everybody knows.

use crate::children::Stage;
use crate::figures::{fresh_transfer, percent, transfer, Load, Plan, Sampler, Scenario, SMALL};
use crate::order::Job;
use crate::place::Places;
use crate::results::{Figure, Metric};
use crate::system::{Result, Subject, System};

/// Of distinct names.
pub struct Burst;

/// Of names that were published before.
pub struct KnownNames;

/// How many are known.
const KNOWN: u64 = 1_000;

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
        let load =
            Load { states: parameter, payload: SMALL, names: parameter as usize, last_only: false, in_turn: false };
        Ok(Box::new(move || {
            let transfer = fresh_transfer(system, places, &load)?;
            Ok(transfer.values([
                (Metric::Rate, transfer.arrived as f64 / transfer.seconds),
                (Metric::Delivered, percent(transfer.arrived, load.states)),
            ]))
        }))
    }
}

impl Scenario for KnownNames {
    fn figure(&self) -> Figure {
        Figure::KnownNames
    }

    fn parameters(&self, plan: &Plan) -> Vec<u64> {
        vec![plan.choose(50_000, 200_000)]
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
        let once = Load { states: KNOWN, payload: SMALL, names: KNOWN as usize, last_only: false, in_turn: false };
        let load = Load { states: parameter, in_turn: true, ..once };
        Ok(Box::new(move || {
            let stage = Stage::new(system, places.place()?)?;
            let mut clients = stage.clients(&[Job::Sink, Job::Source])?;
            let sources = clients.split_off(1);
            stage.explain(transfer(&sources, &clients[0], &once))?;
            let transfer = stage.explain(transfer(&sources, &clients[0], &load))?;
            Ok(transfer.values([
                (Metric::Rate, transfer.arrived as f64 / transfer.seconds),
                (Metric::Delivered, percent(transfer.arrived, load.states)),
            ]))
        }))
    }
}
