//! A run: every figure, every system, round after round.

use std::time::{Duration, Instant};

use crate::figures::{Plan, Sampler, Scenario};
use crate::machine;
use crate::place::Places;
use crate::progress::Progress;
use crate::results::{Figure, Measured, Note, Results, Run};
use crate::system::System;

/// A system whose sample takes longer...
const SLOW: Duration = Duration::from_secs(5);
/// ...gets no more rounds than these in that figure.
const SLOW_ROUNDS: u32 = 3;
/// The same where time is short.
const SLOW_IN_A_HURRY: Duration = Duration::from_secs(2);
const SLOW_ROUNDS_IN_A_HURRY: u32 = 1;
/// A system that fails so often in a row is left out of that figure.
const FAILURES: u32 = 2;

/// What is said of every system.
pub fn measured(system: &dyn System) -> Measured {
    let version = system.version();
    Measured {
        name: system.name().to_string(),
        role: system.role(),
        skipped: version.as_ref().err().cloned(),
        version: version.ok(),
        lossy: system.is_lossy(),
    }
}

/// Measures.
pub fn run(
    systems: &[Box<dyn System>],
    scenarios: &[Box<dyn Scenario>],
    plan: &Plan,
    seed: u64,
    places: &Places,
) -> Results {
    let started = Instant::now();
    let mut results = Results {
        machine: machine::describe(),
        run: Run { quick: plan.quick, rounds: plan.rounds, seed, seconds: 0.0 },
        systems: systems.iter().map(|system| measured(&**system)).collect(),
        series: Vec::new(),
        notes: Vec::new(),
    };
    let here: Vec<&dyn System> = systems
        .iter()
        .zip(&results.systems)
        .filter(|(_, measured)| measured.skipped.is_none())
        .map(|(system, _)| &**system)
        .collect();
    let parts: Vec<Part> = scenarios
        .iter()
        .flat_map(|scenario| scenario.parameters(plan).into_iter().map(move |parameter| (&**scenario, parameter)))
        .map(|(scenario, parameter)| Part { scenario, parameter, systems: suited(scenario, parameter, plan, &here) })
        .collect();
    let samples = |part: &Part| part.scenario.rounds(part.parameter, plan) as usize * part.systems.len();
    let progress = Progress::new(parts.iter().map(samples).sum());
    let random = fastrand::Rng::with_seed(seed);
    let mut runner = Runner { plan, places, results: &mut results, progress, random };
    for (i, part) in parts.iter().enumerate() {
        // Each may take an equal share of the time, and what those before it have left.
        let share = (i + 1) as f64 / parts.len() as f64;
        let end = plan.budget.map(|budget| started + budget.mul_f64(share));
        runner.measure(part, end);
    }
    drop(runner);
    results.run.seconds = started.elapsed().as_secs_f64();
    results
}

/// A figure with one parameter.
struct Part<'a> {
    scenario: &'a dyn Scenario,
    parameter: u64,
    systems: Vec<&'a dyn System>,
}

/// The systems that a figure makes sense for, without those that would only repeat another one.
fn suited<'a>(scenario: &dyn Scenario, parameter: u64, plan: &Plan, systems: &[&'a dyn System]) -> Vec<&'a dyn System> {
    let subject = scenario.subject(parameter, plan);
    let repeats = |system: &dyn System| {
        system.same_as(subject).is_some_and(|same| systems.iter().any(|other| other.name() == same))
    };
    systems
        .iter()
        .copied()
        .filter(|system| system.suits(scenario.figure()))
        .filter(|system| scenario.in_one_process() || !system.in_one_process())
        .filter(|system| !repeats(*system))
        .collect()
}

struct Runner<'a> {
    plan: &'a Plan,
    places: &'a Places,
    results: &'a mut Results,
    progress: Progress,
    random: fastrand::Rng,
}

/// A system in a figure.
struct Entry<'a> {
    system: &'a dyn System,
    sampler: Option<Sampler<'a>>,
    /// How many rounds it takes part in.
    rounds: u32,
    failures: u32,
}

impl<'a> Runner<'a> {
    /// Measures until `end`, and every system at least once.
    fn measure(&mut self, part: &Part<'a>, end: Option<Instant>) {
        let (scenario, parameter) = (part.scenario, part.parameter);
        let (figure, rounds) = (scenario.figure(), scenario.rounds(parameter, self.plan));
        let entry = |system: &&'a dyn System| Entry { system: *system, sampler: None, rounds, failures: 0 };
        let mut entries: Vec<Entry<'a>> = part.systems.iter().map(entry).collect();
        for round in 1..=rounds {
            if round > 1 && end.is_some_and(|end| Instant::now() >= end) {
                let done = round - 1;
                self.progress
                    .note(&format!("{figure} {parameter}: {done} of {rounds} rounds, the run would be too long"));
                self.progress.advance((rounds - done) as usize * entries.len());
                break;
            }
            self.progress.round(figure, parameter, round, rounds);
            self.random.shuffle(&mut entries);
            for entry in &mut entries {
                if round <= entry.rounds {
                    self.progress.sample(figure, parameter, round, rounds, entry.system.name());
                    self.sample(scenario, parameter, round, entry);
                }
                self.progress.advance(1);
            }
        }
    }

    fn sample(&mut self, scenario: &dyn Scenario, parameter: u64, round: u32, entry: &mut Entry<'a>) {
        let (figure, system) = (scenario.figure(), entry.system.name());
        if entry.sampler.is_none() {
            match scenario.sampler(entry.system, self.places, parameter, self.plan) {
                Ok(sampler) => entry.sampler = Some(sampler),
                Err(text) => return self.fail(figure, parameter, round, entry, text),
            }
        }
        let Some(sampler) = &mut entry.sampler else { return };
        let started = Instant::now();
        let outcome = sampler();
        let took = started.elapsed();
        let values = match outcome {
            Ok(values) => values,
            // It may be broken: the next round begins anew.
            Err(text) => return self.fail(figure, parameter, round, entry, text),
        };
        entry.failures = 0;
        for (metric, value) in values.numbers {
            self.results.add(figure, parameter, system, metric, round, value);
        }
        if let Some(text) = values.note {
            self.note(figure, parameter, system, Some(round), text);
        }
        let (slow, slow_rounds) = match self.plan.budget {
            Some(_) => (SLOW_IN_A_HURRY, SLOW_ROUNDS_IN_A_HURRY),
            None => (SLOW, SLOW_ROUNDS),
        };
        if took > slow && entry.rounds > slow_rounds.max(round) {
            let rounds = entry.rounds;
            entry.rounds = slow_rounds.max(round);
            let seconds = took.as_secs_f64();
            let words = if entry.rounds == 1 { "round" } else { "rounds" };
            let text = format!("{} {words} instead of {rounds}, since one took {seconds:.0} s", entry.rounds);
            self.note(figure, parameter, system, None, text);
        }
    }

    fn fail(&mut self, figure: Figure, parameter: u64, round: u32, entry: &mut Entry<'a>, text: String) {
        entry.sampler = None;
        entry.failures += 1;
        self.note(figure, parameter, entry.system.name(), Some(round), text);
        if entry.failures == FAILURES && round < entry.rounds {
            entry.rounds = round;
            let text = format!("left out from here on, since it failed {FAILURES} times in a row");
            self.note(figure, parameter, entry.system.name(), None, text);
        }
    }

    fn note(&mut self, figure: Figure, parameter: u64, system: &str, round: Option<u32>, text: String) {
        self.progress.note(&format!("{figure} {parameter}: {system}: {text}"));
        let (parameter, system) = (Some(parameter), system.to_string());
        self.results.notes.push(Note { figure, parameter, system, round, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::process::Command;

    use crate::figures::Values;
    use crate::results::Metric;
    use crate::system::{Crowd, Place, Publisher, Result, Subject, Subscriber};

    struct Fake(&'static str);

    impl System for Fake {
        fn name(&self) -> &'static str {
            self.0
        }

        fn version(&self) -> Result<String> {
            match self.0 {
                "absent" => Err("install it".to_string()),
                _ => Ok("1".to_string()),
            }
        }

        fn same_as(&self, subject: Subject) -> Option<&'static str> {
            match (self.0, subject) {
                ("a again", Subject::Hub) => Some("a"),
                ("e again", Subject::Hub) => Some("e"),
                _ => None,
            }
        }

        fn in_one_process(&self) -> bool {
            self.0 == "together"
        }

        fn hub(&self, _place: &Place) -> Option<Result<Command>> {
            None
        }

        fn publisher(&self, _place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
            Err("a fake".to_string())
        }

        fn subscriber(&self, _place: &Place, _identity: &str, _names: &[&str]) -> Result<Box<dyn Subscriber>> {
            Err("a fake".to_string())
        }

        fn crowd(&self, _place: &Place, _n: usize) -> Result<Box<dyn Crowd>> {
            Err("a fake".to_string())
        }
    }

    /// Notes which system was measured when; one system always fails, one now and then.
    #[derive(Default)]
    struct Notebook {
        is_about_hubs: bool,
        order: RefCell<Vec<&'static str>>,
    }

    impl Scenario for &'static Notebook {
        fn figure(&self) -> Figure {
            Figure::Burst
        }

        fn parameters(&self, _plan: &Plan) -> Vec<u64> {
            vec![7]
        }

        fn subject(&self, _parameter: u64, _plan: &Plan) -> Subject {
            match self.is_about_hubs {
                true => Subject::Hub,
                false => Subject::Whole,
            }
        }

        fn sampler<'a>(
            &self,
            system: &'a dyn System,
            _places: &'a Places,
            _parameter: u64,
            _plan: &Plan,
        ) -> Result<Sampler<'a>> {
            let notebook: &'static Notebook = self;
            Ok(Box::new(move || {
                let mut order = notebook.order.borrow_mut();
                order.push(system.name());
                let times = order.iter().filter(|name| **name == system.name()).count();
                match system.name() {
                    "broken" => Err("it broke".to_string()),
                    "shaky" if times % 2 == 1 => Err("it shook".to_string()),
                    "talkative" => Ok(Values { note: Some("one came twice".into()), ..[(Metric::Rate, 1.0)].into() }),
                    _ => Ok([(Metric::Rate, 1.0)].into()),
                }
            }))
        }
    }

    fn run_with(seed: u64) -> (Vec<&'static str>, Results) {
        let names = ["a", "b", "c", "d", "absent", "together", "broken", "shaky", "talkative"];
        run_of(&names, seed, Notebook::default(), None)
    }

    fn run_of(
        names: &[&'static str],
        seed: u64,
        notebook: Notebook,
        budget: Option<Duration>,
    ) -> (Vec<&'static str>, Results) {
        let notebook: &'static Notebook = Box::leak(Box::new(notebook));
        let systems: Vec<Box<dyn System>> = names.iter().map(|name| Box::new(Fake(name)) as _).collect();
        let root = std::env::temp_dir().join(format!("nanostate-run-test-{}-{seed}", std::process::id()));
        let places = Places::at(root).unwrap();
        let plan = Plan { quick: true, rounds: 6, budget };
        let results = run(&systems, &[Box::new(notebook)], &plan, seed, &places);
        let order = notebook.order.borrow().clone();
        (order, results)
    }

    #[test]
    fn each_system_is_measured_once_in_each_round_in_an_order_that_the_seed_gives() {
        let (order, results) = run_with(1);
        for name in ["a", "b", "c", "d"] {
            let rounds: Vec<u32> =
                results.samples(Figure::Burst, 7, name, Metric::Rate).iter().map(|sample| sample.round).collect();
            assert_eq!(rounds, [1, 2, 3, 4, 5, 6], "{name}");
        }
        let only = |order: &[&'static str]| -> Vec<&str> {
            order.iter().copied().filter(|name| ["a", "b", "c", "d"].contains(name)).collect()
        };
        let rounds: Vec<Vec<&str>> = only(&order).chunks(4).map(<[_]>::to_vec).collect();
        assert!(rounds.iter().any(|round| *round != rounds[0]), "{rounds:?}");
        let (other, _) = run_with(2);
        assert_ne!(only(&order), only(&other));
    }

    #[test]
    fn who_fails_twice_in_a_row_is_left_out_and_who_recovers_is_not() {
        let (order, results) = run_with(3);
        let count = |name| order.iter().filter(|other| **other == name).count();
        assert_eq!((count("broken"), count("shaky")), (2, 6));
        assert_eq!(results.samples(Figure::Burst, 7, "shaky", Metric::Rate).len(), 3);
        let notes = |name: &str| results.notes.iter().filter(|note| note.system == name).count();
        assert_eq!((notes("broken"), notes("shaky")), (3, 3));
    }

    #[test]
    fn what_a_sample_says_beside_its_numbers_is_noted_with_its_round() {
        let (_, results) = run_with(5);
        let notes = results.notes.iter().filter(|note| note.system == "talkative");
        let notes: Vec<_> = notes.map(|note| (note.round, note.text.as_str())).collect();
        assert_eq!(notes, [1, 2, 3, 4, 5, 6].map(|round| (Some(round), "one came twice")));
    }

    #[test]
    fn without_time_left_every_system_is_measured_once() {
        let (order, results) = run_of(&["a", "b", "broken"], 6, Notebook::default(), Some(Duration::ZERO));
        assert_eq!(order.len(), 3);
        assert_eq!(results.samples(Figure::Burst, 7, "b", Metric::Rate).len(), 1);
    }

    #[test]
    fn who_has_a_hub_in_common_with_another_is_not_measured_where_hubs_are_unless_the_other_is_not_there() {
        let names = ["a", "a again", "e again"];
        let count = |is_about_hubs, name| {
            let seed = 7 + u64::from(is_about_hubs);
            let (order, _) = run_of(&names, seed, Notebook { is_about_hubs, ..Notebook::default() }, None);
            order.iter().filter(|other| **other == name).count()
        };
        assert_eq!(names.map(|name| count(true, name)), [6, 0, 6]);
        assert_eq!(names.map(|name| count(false, name)), [6, 6, 6]);
    }

    #[test]
    fn who_is_absent_or_does_not_suit_a_figure_is_not_measured() {
        let (order, results) = run_with(4);
        assert!(!order.contains(&"absent") && !order.contains(&"together"));
        let absent = results.systems.iter().find(|system| system.name == "absent").unwrap();
        assert_eq!(absent.skipped.as_deref(), Some("install it"));
    }
}
