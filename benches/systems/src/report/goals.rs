//! The figures that nanostate is to reach, and what a run says of them.

use std::fmt;

use super::compare::{self, Question};
use super::{number, title};
use crate::results::{Figure, Measured, Metric, Results};
use crate::stats::Spread;
use crate::system::Role;

/// A round trip may take this many times that of the floor.
const ROUND_TRIP_TO_FLOOR: f64 = 1.35;
/// A burst, and updates until the last is seen, are to be this many times as fast as over ZeroMQ.
const SPEED_TO_ZEROMQ: f64 = 3.0;
/// The hub may take this share of the CPU time of the best peer's for a delivery.
const HUB_CPU_TO_PEER: f64 = 0.5;
/// The CPU time for a delivery may differ by this between few and many receivers.
const HUB_CPU_FLATNESS: f64 = 1.5;
/// Large states are to be at least this fast, compared with the floor.
const LARGE_TO_FLOOR: f64 = 0.7;
/// What an idle app may have of private memory over an empty process, in KiB.
const APP_MEMORY: f64 = 1024.0;
/// What an idle connection may cost the hub, in KiB.
const HUB_MEMORY: f64 = 8.0;

/// The configuration that a goal is about where it names no other.
const NANOSTATE: &str = "nanostate ipc recv";
const NANOSTATE_CALLBACK: &str = "nanostate ipc callback";
const ZEROMQ: &str = "zeromq ";

/// One goal.
pub struct Goal {
    /// What is measured.
    pub figure: String,
    /// What it is to be.
    pub goal: String,
    /// What it is: a median, with its quartiles.
    pub measured: String,
    pub verdict: Verdict,
}

/// What a run says of a goal.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    Met,
    /// By how much it is missed, or in which other way.
    Missed(String),
    /// Why the run does not say.
    Unknown(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Met => f.write_str("met"),
            Verdict::Missed(how) => write!(f, "missed: {how}"),
            Verdict::Unknown(why) => write!(f, "not known: {why}"),
        }
    }
}

/// Which side of a limit is the right one; below means less than the other, whose ratio is 1.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    AtMost(f64),
    Below,
    AtLeast(f64),
}

impl Limit {
    fn judge(self, value: f64) -> Verdict {
        let (met, limit, word) = match self {
            Limit::AtMost(limit) => (value <= limit, limit, "over"),
            Limit::Below => (value < 1.0, 1.0, "over"),
            Limit::AtLeast(limit) => (value >= limit, limit, "short"),
        };
        if met {
            return Verdict::Met;
        }
        if limit == 0.0 {
            return Verdict::Missed(format!("{} too many", number::count(value)));
        }
        match ((value / limit - 1.0).abs() * 100.0).round() {
            0.0 => Verdict::Missed(format!("less than 1 % {word}")),
            percent => Verdict::Missed(format!("{percent} % {word}")),
        }
    }
}

/// Every goal, in the order of the figures.
pub fn goals(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for system in [NANOSTATE, NANOSTATE_CALLBACK] {
        goals.push(round_trip_to_floor(results, system));
        goals.push(round_trip_to_peers(results, system));
    }
    goals.push(burst_to_zeromq(results));
    goals.push(burst_delivered(results));
    goals.push(updates_to_zeromq(results));
    goals.push(hub_cpu_to_peers(results));
    goals.push(hub_cpu_flatness(results));
    goals.push(large_to_floor(results));
    goals.push(app_memory(results));
    goals.push(wake_ups(results));
    goals.push(hub_memory(results));
    goals
}

/// A ratio that was found, and to what; or what is said instead.
type Found = Result<(Spread, String), Verdict>;

fn round_trip_to_floor(results: &Results, system: &str) -> Goal {
    let figure = format!("{}, 64 B, {system}, p50", title(Figure::RoundTrip));
    let found = question(results, Figure::RoundTrip, Metric::P50, Some(64)).and_then(|q| to_floor(q, system));
    ratio_goal(figure, Limit::AtMost(ROUND_TRIP_TO_FLOOR), "the floor", found)
}

fn round_trip_to_peers(results: &Results, system: &str) -> Goal {
    let figure = format!("{}, 64 B, {system}, p50", title(Figure::RoundTrip));
    let found = question(results, Figure::RoundTrip, Metric::P50, Some(64)).and_then(|q| to_peers(q, system, is_peer));
    ratio_goal(figure, Limit::Below, "every peer", found)
}

fn burst_to_zeromq(results: &Results) -> Goal {
    let found = question(results, Figure::Burst, Metric::Rate, None).and_then(|q| to_peers(q, NANOSTATE, is_zeromq));
    let figure = format!("{}, states per second", name(results, Figure::Burst));
    ratio_goal(figure, Limit::AtLeast(SPEED_TO_ZEROMQ), "ZeroMQ", found)
}

fn burst_delivered(results: &Results) -> Goal {
    let figure = format!("{}, delivered", name(results, Figure::Burst));
    let samples = question(results, Figure::Burst, Metric::Delivered, None).and_then(|q| own(q, NANOSTATE).map(|_| q));
    let worst = samples.map(|q| q.samples(NANOSTATE).iter().map(|s| s.value).fold(100.0, f64::min));
    let goal = "100 % in every sample".to_string();
    match worst {
        Ok(worst) => Goal {
            figure,
            goal,
            measured: format!("{} % in the worst", number::value(Metric::Delivered, worst)),
            verdict: Limit::AtLeast(100.0).judge(worst),
        },
        Err(verdict) => Goal { figure, goal, measured: String::new(), verdict },
    }
}

fn updates_to_zeromq(results: &Results) -> Goal {
    let found = question(results, Figure::Updates, Metric::WallTime, None)
        .and_then(|q| to_peers(q, NANOSTATE, is_zeromq))
        .map(|(ratio, peer)| (inverse(ratio), peer));
    let figure = format!("{}, speed to the last value", name(results, Figure::Updates));
    ratio_goal(figure, Limit::AtLeast(SPEED_TO_ZEROMQ), "ZeroMQ", found)
}

fn hub_cpu_to_peers(results: &Results) -> Goal {
    let worst = each(results, Figure::FanOut, Metric::HubCpu, |q| {
        let (ratio, peer) = to_peers(q, NANOSTATE, is_peer)?;
        Ok((ratio, format!("{peer}, {}", number::parameter(q.figure, q.parameter))))
    });
    let found = worst.map(|all| all.into_iter().max_by(|(a, _), (b, _)| a.median.total_cmp(&b.median)));
    let found = found.and_then(|worst| worst.ok_or(unknown("no figure")));
    ratio_goal("Fan-out, hub CPU per delivery".into(), Limit::AtMost(HUB_CPU_TO_PEER), "the best peer", found)
}

fn hub_cpu_flatness(results: &Results) -> Goal {
    let questions = each(results, Figure::FanOut, Metric::HubCpu, |q| own(q, NANOSTATE).map(|_| q));
    let found = questions.and_then(|all| {
        let pairs =
            all.iter().flat_map(|a| all.iter().map(move |b| (a, b))).filter(|(a, b)| a.parameter != b.parameter);
        let ratios = pairs.filter_map(|(a, b)| {
            let ratio = compare::ratio(a.samples(NANOSTATE), b.samples(NANOSTATE))?;
            Some((
                ratio,
                format!("{} to {}", number::grouped(a.parameter as f64), number::parameter(b.figure, b.parameter)),
            ))
        });
        let worst = ratios.max_by(|(a, _), (b, _)| a.median.total_cmp(&b.median));
        worst.ok_or(unknown("measured with one number of receivers only"))
    });
    ratio_goal("Fan-out, from few to many receivers".into(), Limit::AtMost(HUB_CPU_FLATNESS), "any other", found)
}

fn large_to_floor(results: &Results) -> Goal {
    let found = question(results, Figure::Large, Metric::Throughput, None).and_then(|q| to_floor(q, NANOSTATE));
    let figure = format!("{}, bytes per second", name(results, Figure::Large));
    ratio_goal(figure, Limit::AtLeast(LARGE_TO_FLOOR), "the floor", found)
}

fn app_memory(results: &Results) -> Goal {
    let found = question(results, Figure::Memory, Metric::AppMemory, None).and_then(|q| own(q, NANOSTATE));
    value_goal("Idle app, private memory", APP_MEMORY, Metric::AppMemory, found)
}

fn wake_ups(results: &Results) -> Goal {
    let found = question(results, Figure::Memory, Metric::WakeUps, None).and_then(|q| own(q, NANOSTATE));
    value_goal("Idle app, wake-ups", 0.0, Metric::WakeUps, found)
}

fn hub_memory(results: &Results) -> Goal {
    let found = question(results, Figure::Memory, Metric::HubMemory, None).and_then(|q| own(q, NANOSTATE));
    value_goal("Hub, memory of an idle connection", HUB_MEMORY, Metric::HubMemory, found)
}

/// A figure with the largest parameter that it was measured with.
fn name(results: &Results, figure: Figure) -> String {
    let largest = results.parameters(figure).into_iter().next_back();
    let parameter = largest.map_or(String::new(), |p| format!(" of {}", number::parameter(figure, p)));
    match figure {
        // Their parameter says what they are.
        Figure::Updates => largest.map_or(title(figure).to_string(), |p| number::parameter(figure, p)),
        _ => format!("{}{parameter}", title(figure)),
    }
}

/// One number of a figure; with the largest parameter that has it if none is given.
fn question(
    results: &Results,
    figure: Figure,
    metric: Metric,
    parameter: Option<u64>,
) -> Result<Question<'_>, Verdict> {
    let has = |s: &&crate::results::Series| s.figure == figure && s.metric == metric;
    let largest = || results.series.iter().filter(has).map(|s| s.parameter).max();
    let parameter = parameter.or_else(largest).ok_or_else(|| unknown(&format!("{figure} was not measured")))?;
    Ok(Question { results, figure, parameter, metric })
}

/// What is found for each parameter that a metric of nanostate was measured with.
fn each<'a, T>(
    results: &'a Results,
    figure: Figure,
    metric: Metric,
    find: impl Fn(Question<'a>) -> Result<T, Verdict>,
) -> Result<Vec<T>, Verdict> {
    let questions =
        results.parameters(figure).into_iter().map(|parameter| Question { results, figure, parameter, metric });
    let all = questions.map(find).collect::<Result<Vec<T>, Verdict>>()?;
    if all.is_empty() {
        return Err(unknown(&format!("{figure} was not measured")));
    }
    Ok(all)
}

/// The samples of nanostate; a goal is missed if it lost states in them.
fn own(q: Question<'_>, system: &str) -> Result<Spread, Verdict> {
    let spread = q.spread(system).ok_or_else(|| absent(q, system))?;
    if q.metric != Metric::Delivered && !q.is_complete(system) {
        let delivered = number::value(Metric::Delivered, q.delivered(system));
        return Err(Verdict::Missed(format!("{delivered} % of the states arrived")));
    }
    Ok(spread)
}

fn to_floor(q: Question<'_>, system: &str) -> Found {
    own(q, system)?;
    let measured = q.results.systems.iter().find(|s| s.name == system);
    let floor = measured.and_then(|s| q.floor_of(s)).ok_or_else(|| unknown("there is no floor"))?;
    let ratio = q.ratio(system, &floor.name).ok_or_else(|| absent(q, &floor.name))?;
    Ok((ratio, floor.name.clone()))
}

/// The ratio to that peer which is the hardest to beat; peers that lose states are not compared.
fn to_peers(q: Question<'_>, system: &str, which: impl Fn(&Measured) -> bool) -> Found {
    own(q, system)?;
    let peers: Vec<&Measured> = q.results.systems.iter().filter(|s| which(s)).collect();
    let complete = peers.iter().filter(|peer| q.is_complete(&peer.name));
    let ratios = complete.filter_map(|peer| Some((q.ratio(system, &peer.name)?, peer.name.clone())));
    let sign = if q.metric.more_is_better() { -1.0 } else { 1.0 };
    let hardest = ratios.max_by(|(a, _), (b, _)| (a.median * sign).total_cmp(&(b.median * sign)));
    hardest.ok_or_else(|| peers.first().map_or(unknown("there is no peer"), |peer| absent(q, &peer.name)))
}

fn is_peer(system: &Measured) -> bool {
    system.role == Role::Peer
}

fn is_zeromq(system: &Measured) -> bool {
    is_peer(system) && system.name.starts_with(ZEROMQ)
}

fn inverse(ratio: Spread) -> Spread {
    Spread { median: 1.0 / ratio.median, low: 1.0 / ratio.high, high: 1.0 / ratio.low, n: ratio.n }
}

fn unknown(why: &str) -> Verdict {
    Verdict::Unknown(why.to_string())
}

/// Why there is no number of a system.
fn absent(q: Question<'_>, system: &str) -> Verdict {
    let reason = match q.results.systems.iter().find(|s| s.name == system) {
        None => "not one of the systems".to_string(),
        Some(Measured { skipped: Some(why), .. }) => why.clone(),
        Some(_) if q.spread(system).is_some() && !q.is_complete(system) => "loses states".to_string(),
        Some(_) if q.spread(system).is_some() => "in no round with the other".to_string(),
        Some(_) => format!("no sample, {}", number::parameter(q.figure, q.parameter)),
    };
    Verdict::Unknown(format!("{system}: {reason}"))
}

fn ratio_goal(figure: String, limit: Limit, to: &str, found: Found) -> Goal {
    let goal = match limit {
        Limit::AtMost(limit) => format!("≤ {limit} × {to}"),
        Limit::Below => format!("below {to}"),
        Limit::AtLeast(limit) => format!("≥ {limit} × {to}"),
    };
    match found {
        Ok((ratio, to)) => Goal {
            figure,
            goal,
            measured: format!("{} ({}), {to}", number::ratio(ratio.median), number::ratio_range(&ratio)),
            verdict: limit.judge(ratio.median),
        },
        Err(verdict) => Goal { figure, goal, measured: String::new(), verdict },
    }
}

fn value_goal(figure: &str, limit: f64, metric: Metric, found: Result<Spread, Verdict>) -> Goal {
    let (figure, unit) = (figure.to_string(), metric.unit());
    let goal = match limit {
        0.0 => "none".to_string(),
        limit => format!("≤ {} {unit}", number::value(metric, limit)),
    };
    match found {
        Ok(spread) => Goal {
            figure,
            goal,
            measured: format!("{} ({}) {unit}", number::value(metric, spread.median), number::range(metric, &spread)),
            verdict: Limit::AtMost(limit).judge(spread.median),
        },
        Err(verdict) => Goal { figure, goal, measured: String::new(), verdict },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up;

    fn shown(results: &Results) -> Vec<(String, String)> {
        goals(results).into_iter().map(|g| (g.measured, g.verdict.to_string())).collect()
    }

    fn met(measured: &str) -> (String, String) {
        (measured.to_string(), "met".to_string())
    }

    #[test]
    fn every_goal_is_computed_from_the_samples() {
        let expected = [
            met("1.25 (1.25–1.25), floor ipc"),
            met("0.67 (0.67–0.67), redis unix"),
            ("1.50 (1.50–1.50), floor ipc".to_string(), "missed: 11 % over".to_string()),
            met("0.80 (0.80–0.80), redis unix"),
            met("4.00 (4.00–4.00), zeromq ipc"),
            met("100 % in the worst"),
            ("2.00 (2.00–2.00), zeromq ipc".to_string(), "missed: 33 % short".to_string()),
            met("0.40 (0.40–0.40), zeromq ipc, 1,000 receivers"),
            met("1.33 (1.33–1.33), 1,000 to 32 receivers"),
            met("0.80 (0.80–0.80), floor ipc"),
            met("300 (300–300) KiB"),
            met("0 (0–0) in 2 s"),
            met("4.00 (4.00–4.00) KiB/connection"),
        ];
        assert_eq!(shown(&made_up::results()), expected);
    }

    #[test]
    fn ratios_are_of_samples_of_one_round_and_not_of_medians() {
        let results = made_up::with(Figure::RoundTrip, 64, "nanostate ipc recv", Metric::P50, &[64.0, 32.0 * 0.9]);
        assert_eq!(
            shown(&results)[0].0,
            "1.50 (1.25–1.75), floor ipc",
            "2 in one round, 1 in the other, none in the third"
        );
    }

    #[test]
    fn without_a_peer_the_goal_is_held_against_the_others_or_not_known() {
        let goals = shown(&made_up::without("redis unix"));
        assert_eq!(goals[1], met("0.17 (0.17–0.17), zeromq ipc"));
        let goals = shown(&made_up::without("zeromq ipc"));
        assert_eq!(goals[4], (String::new(), "not known: zeromq ipc: no sample, 200,000 states".to_string()));
    }

    #[test]
    fn a_goal_without_samples_of_nanostate_is_not_known_and_an_empty_run_knows_none() {
        let goals = shown(&made_up::without("nanostate ipc recv"));
        assert_eq!(goals[0].1, "not known: nanostate ipc recv: no sample, 64 B");
        assert_eq!(goals[9].1, "not known: nanostate ipc recv: no sample, 1 MiB");
        let empty = Results { series: Vec::new(), ..made_up::results() };
        assert!(goals_unknown(&empty), "{:?}", shown(&empty));
        let none = Results { systems: Vec::new(), ..empty };
        assert!(goals_unknown(&none), "{:?}", shown(&none));
    }

    fn goals_unknown(results: &Results) -> bool {
        goals(results).iter().all(|g| matches!(g.verdict, Verdict::Unknown(_)) && g.measured.is_empty())
    }

    #[test]
    fn the_reason_of_a_system_that_is_not_here_is_given() {
        let mut results = made_up::without("zeromq ipc");
        let zeromq = results.systems.iter_mut().find(|s| s.name == "zeromq ipc").unwrap();
        zeromq.skipped = Some("install libzmq3-dev".to_string());
        assert_eq!(shown(&results)[6].1, "not known: zeromq ipc: install libzmq3-dev");
    }

    #[test]
    fn one_state_that_does_not_arrive_misses_the_goal() {
        let results =
            made_up::with(Figure::Burst, 200_000, "nanostate ipc recv", Metric::Delivered, &[100.0, 99.9995, 100.0]);
        let goals = shown(&results);
        assert_eq!(goals[5].0, "99.99 % in the worst");
        assert_eq!(goals[5].1, "missed: less than 1 % short");
        let half = made_up::with(Figure::Burst, 200_000, "nanostate ipc recv", Metric::Delivered, &[50.0]);
        assert_eq!(shown(&half)[4].1, "missed: 50.0 % of the states arrived");
    }

    #[test]
    fn a_peer_that_loses_states_sets_no_mark() {
        let results = made_up::with(Figure::Burst, 200_000, "zeromq ipc", Metric::Delivered, &[80.0]);
        assert_eq!(shown(&results)[4].1, "not known: zeromq ipc: loses states");
    }

    #[test]
    fn wake_ups_that_should_not_be_are_counted() {
        let results = made_up::with(Figure::Memory, 1, "nanostate ipc recv", Metric::WakeUps, &[2.0, 2.0, 2.0]);
        assert_eq!(shown(&results)[11], ("2 (2–2) in 2 s".to_string(), "missed: 2 too many".to_string()));
    }
}
