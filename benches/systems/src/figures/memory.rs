//! What being connected costs while nothing happens, and what a state costs that the hub keeps.

use std::thread;
use std::time::Duration;

use crate::children::Stage;
use crate::figures::{gather, joined, settle, transfer, Load, Plan, Sampler, Scenario, Values, SMALL};
use crate::order::{Job, Order};
use crate::place::Places;
use crate::procfs::{private_memory, voluntary_switches};
use crate::results::{Figure, Metric};
use crate::system::{Result, Subject, System};

pub struct Memory;

/// Of the hub, for states of 64 B; and what a state costs that joins so many, and a newcomer that gets them.
pub struct StateMemory;

/// One connection is that of an app; more are those of a hub.
const APP: u64 = 1;
/// Of a hub.
const CROWD: u64 = 1_000;
/// How long an app is watched.
const IDLE: Duration = Duration::from_secs(2);
/// Until what a start leaves behind is over.
const CALM: Duration = Duration::from_millis(300);
/// These numbers hardly differ from sample to sample.
const ROUNDS: u32 = 3;

impl Scenario for Memory {
    fn figure(&self) -> Figure {
        Figure::Memory
    }

    fn parameters(&self, _plan: &Plan) -> Vec<u64> {
        vec![APP, CROWD]
    }

    fn rounds(&self, _parameter: u64, plan: &Plan) -> u32 {
        plan.rounds.min(plan.choose(1, ROUNDS))
    }

    fn subject(&self, parameter: u64, plan: &Plan) -> Subject {
        match parameter {
            APP => plan.choose(Subject::Hub, Subject::IdleApp),
            _ => Subject::Hub,
        }
    }

    fn sampler<'a>(
        &self,
        system: &'a dyn System,
        places: &'a Places,
        parameter: u64,
        _plan: &Plan,
    ) -> Result<Sampler<'a>> {
        Ok(Box::new(move || {
            let stage = Stage::new(system, places.place()?)?;
            let values = match parameter {
                APP => app(&stage),
                connections => hub(&stage, connections),
            };
            stage.explain(values)
        }))
    }
}

/// An app that has got one state, over a process that has not connected.
fn app(stage: &Stage<'_>) -> Result<Values> {
    let empty = stage.together(&[Job::Empty])?;
    let idle = stage.together(&[Job::Idle])?;
    let sources = stage.together(&[Job::Source])?;
    settle(&idle[0], &sources)?;
    idle[0].tell(Order::Rest)?;
    idle[0].ready()?;
    thread::sleep(CALM);
    let before = voluntary_switches(idle[0].id())?;
    thread::sleep(IDLE);
    let wake_ups = voluntary_switches(idle[0].id())?.saturating_sub(before);
    let memory = private_memory(idle[0].id())? as f64 - private_memory(empty[0].id())? as f64;
    Ok([(Metric::AppMemory, memory / 1024.0), (Metric::WakeUps, wake_ups as f64)].into())
}

/// A hub with connections that have got one state each, over the same hub before.
fn hub(stage: &Stage<'_>, connections: u64) -> Result<Values> {
    let hub = stage.hub()?;
    let crowd = stage.together(&[Job::Crowd])?;
    // Lets the hub touch what it touches for the first state, before it is looked at.
    let sink = stage.together(&[Job::Sink])?;
    let sources = stage.together(&[Job::Source])?;
    settle(&sink[0], &sources)?;
    thread::sleep(CALM);
    let before = private_memory(hub)? as f64;
    gather(&crowd[0], &sources[0], connections)?;
    thread::sleep(CALM);
    let after = private_memory(hub)? as f64;
    Ok([(Metric::HubMemory, (after - before) / 1024.0 / connections as f64)].into())
}

impl Scenario for StateMemory {
    fn figure(&self) -> Figure {
        Figure::StateMemory
    }

    fn parameters(&self, plan: &Plan) -> Vec<u64> {
        // One sender may have half of what a hub keeps.
        plan.choose(vec![100_000], vec![10, 1_000, 10_000, 100_000, 400_000])
    }

    fn rounds(&self, _parameter: u64, plan: &Plan) -> u32 {
        plan.rounds.min(plan.choose(1, ROUNDS))
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
        let few = Load { states: 1, payload: SMALL, names: 1, last_only: false, in_turn: false };
        let load = Load { states: parameter, names: parameter as usize, ..few };
        Ok(Box::new(move || {
            let stage = Stage::new(system, places.place()?)?;
            let hub = stage.hub()?;
            let mut clients = stage.clients(&[Job::Sink, Job::Source])?;
            let sources = clients.split_off(1);
            stage.explain(transfer(&sources, &clients[0], &few))?;
            thread::sleep(CALM);
            let before = private_memory(hub)? as f64;
            let transfer = stage.explain(transfer(&sources, &clients[0], &load))?;
            thread::sleep(CALM);
            let each = (private_memory(hub)? as f64 - before) / parameter as f64;
            let name = load.name_length() as f64;
            let latecomer = stage.together(&[Job::Latecomer])?;
            latecomer[0].tell(Order::Join { times: 1, states: parameter })?;
            let took: u64 = stage.explain(joined(&latecomer[0]))?.into_iter().sum();
            Ok([
                (Metric::StateMemory, each - name - SMALL as f64),
                (Metric::Rate, transfer.arrived as f64 / transfer.seconds),
                (Metric::Join, took as f64 / 1e6),
            ]
            .into())
        }))
    }
}
