//! What one system is beside another: medians of the ratios of samples that were taken in the same round.

use std::collections::HashMap;

use crate::results::{Figure, Measured, Metric, Results, Sample};
use crate::stats::{self, Spread};
use crate::system::Role;

/// A system that lost more than this share of its states, in percent, is not compared in other numbers of that sample:
/// what was not delivered costs nothing.
const COMPLETE: f64 = 99.9;

/// One number of one figure, of all systems.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub results: &'a Results,
    pub figure: Figure,
    pub parameter: u64,
    pub metric: Metric,
}

impl<'a> Question<'a> {
    /// The samples of a system.
    pub fn samples(&self, system: &str) -> &'a [Sample] {
        self.results.samples(self.figure, self.parameter, system, self.metric)
    }

    /// Median and quartiles of a system.
    pub fn spread(&self, system: &str) -> Option<Spread> {
        let values: Vec<f64> = self.samples(system).iter().map(|s| s.value).collect();
        stats::spread(&values)
    }

    /// The ratios of one system to another, from each round that has both.
    pub fn ratio(&self, system: &str, to: &str) -> Option<Spread> {
        ratio(self.samples(system), self.samples(to))
    }

    /// How much of what was published arrived, in percent; everything where that is not counted.
    pub fn delivered(&self, system: &str) -> f64 {
        Question { metric: Metric::Delivered, ..*self }.spread(system).map_or(100.0, |s| s.median)
    }

    /// Whether it lost so little that its other numbers mean the same as those of the others.
    pub fn is_complete(&self, system: &str) -> bool {
        self.delivered(system) >= COMPLETE
    }

    /// Of these systems, the one with the best median. Systems that lose states are left out.
    pub fn best<'b>(&self, of: impl Iterator<Item = &'b Measured>) -> Option<&'b Measured> {
        let better = |a: &f64, b: &f64| if self.metric.more_is_better() { b.total_cmp(a) } else { a.total_cmp(b) };
        of.filter(|s| self.is_complete(&s.name))
            .filter_map(|s| Some((s, self.spread(&s.name)?.median)))
            .min_by(|(_, a), (_, b)| better(a, b))
            .map(|(s, _)| s)
    }

    /// The best of the systems that a user would pick instead.
    pub fn best_peer(&self) -> Option<&'a Measured> {
        self.best(self.results.systems.iter().filter(|s| s.role == Role::Peer))
    }

    /// The plain relay over the same kind of socket, or what threads of one process can do.
    pub fn floor_of(&self, system: &Measured) -> Option<&'a Measured> {
        let kind = |system: &Measured| (is_over_tcp(system), is_in_one_process(system));
        self.results.systems.iter().find(|floor| floor.role == Role::Floor && kind(floor) == kind(system))
    }
}

/// Whether a system is measured over TCP, as all WebSockets are; the others use Unix sockets, or none.
fn is_over_tcp(system: &Measured) -> bool {
    system.name.split(' ').any(|word| ["tcp", "ws", "wss"].contains(&word))
}

/// Whether hub and clients are one process: not what the others do.
pub fn is_in_one_process(system: &Measured) -> bool {
    system.name.split(' ').any(|word| word == "inproc")
}

/// The ratios of samples that were taken in the same round; there is none to nothing, nor to less.
pub fn ratio(of: &[Sample], to: &[Sample]) -> Option<Spread> {
    let to: HashMap<u32, f64> = to.iter().map(|s| (s.round, s.value)).collect();
    let pairs = of.iter().filter_map(|s| Some(s.value / to.get(&s.round).filter(|v| **v > 0.0)?));
    stats::spread(&pairs.collect::<Vec<f64>>())
}
