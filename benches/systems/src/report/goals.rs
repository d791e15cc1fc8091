//! The figures that nanostate is to reach, and what a run says of them.

use std::fmt;

use super::compare::{self, Question};
use super::{number, title};
use crate::results::{Figure, Measured, Metric, Results};
use crate::stats::Spread;
use crate::system::Role;

/// What a round trip on one core may take, as a multiple of what the floor takes.
const ROUND_TRIPS: [(&str, f64); 5] = [
    (NANOSTATE, 1.1),
    ("nanostate ipc callback", 1.1),
    ("nanostate ipc fd", 1.25),
    ("nanostate tcp recv", 1.15),
    ("nanostate inproc recv", 1.3),
];
/// Those of them that are to be faster than every peer.
const FASTER_THAN_PEERS: usize = 3;
/// System calls of a round trip: one each to wait, to read and to write, and those of the app's own thread when it looks
/// whether the program still receives.
const SYSTEM_CALLS: f64 = 3.05;
/// How often that thread may wake up in 10,000 round trips.
const OTHER_THREADS: f64 = 10.0;
/// The configurations that leave it asleep.
const READERS: [&str; 2] = [NANOSTATE, "nanostate ipc fd"];
/// Updates until the last is seen are to be this many times as fast as over ZeroMQ: by keys, and by name.
const UPDATES_TO_ZEROMQ: [(&str, f64); 2] = [("nanostate ipc key", 3.0), (NANOSTATE, 2.0)];
/// The same for a burst over names that are known, and for one of new names.
const KNOWN_NAMES_TO_ZEROMQ: f64 = 1.5;
const BURST_TO_ZEROMQ: f64 = 1.0;
/// CPU time of the hub for a delivery, compared with the best peer's and with the floor's.
const HUB_CPU_TO_PEER: f64 = 0.7;
const HUB_CPU_TO_FLOOR: f64 = 1.1;
/// The CPU time for a delivery may differ by this between few and many receivers.
const HUB_CPU_FLATNESS: f64 = 1.5;
/// Large states are to be at least this fast, compared with the floor.
const LARGE_TO_FLOOR: f64 = 0.7;
/// What an idle app may have of private memory over an empty process, in KiB.
const APP_MEMORY: f64 = 1024.0;
/// What an idle connection may cost the hub, in KiB.
const HUB_MEMORY: [(&str, f64); 3] = [(NANOSTATE, 4.0), ("nanostate ws recv", 8.0), ("nanostate wss recv", 16.0)];
/// What the hub may need for a state of 64 B, over its name and its payload, in bytes, where it keeps so many: with few the
/// size of pages decides, and in between how far its table has just grown.
const STATE_MEMORY: f64 = 200.0;
const STATES: u64 = 100_000;

/// The configuration that a goal is about where it names no other.
const NANOSTATE: &str = "nanostate ipc recv";
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

/// Which side of a limit is the right one; below means less than the other, whose ratio is 1, and above more.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    AtMost(f64),
    Below,
    AtLeast(f64),
    Above,
}

impl Limit {
    fn judge(self, value: f64) -> Verdict {
        let (met, limit, word) = match self {
            Limit::AtMost(limit) => (value <= limit, limit, "over"),
            Limit::Below => (value < 1.0, 1.0, "over"),
            Limit::AtLeast(limit) => (value >= limit, limit, "short"),
            Limit::Above => (value > 1.0, 1.0, "short"),
        };
        if met {
            return Verdict::Met;
        }
        if limit == 0.0 {
            return Verdict::Missed(format!("{} too many", number::count(value)));
        }
        match ((value / limit - 1.0).abs() * 100.0).round() {
            0.0 => Verdict::Missed(format!("less than 1 % {word}")),
            percent => Verdict::Missed(format!("{} % {word}", number::grouped(percent))),
        }
    }
}

/// Every goal, in the order of the figures.
pub fn goals(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (system, limit) in ROUND_TRIPS {
        goals.push(round_trip_to_floor(results, system, limit));
    }
    for (system, _) in &ROUND_TRIPS[..FASTER_THAN_PEERS] {
        goals.push(round_trip_to_peers(results, system));
    }
    for system in READERS {
        goals.push(round_trip_calls(results, system, Metric::SystemCalls, SYSTEM_CALLS));
        goals.push(round_trip_calls(results, system, Metric::OtherThreads, OTHER_THREADS));
    }
    for (system, limit) in UPDATES_TO_ZEROMQ {
        goals.push(updates_to_zeromq(results, system, limit));
    }
    for (figure, limit) in [(Figure::KnownNames, KNOWN_NAMES_TO_ZEROMQ), (Figure::Burst, BURST_TO_ZEROMQ)] {
        goals.push(burst_to_zeromq(results, figure, limit));
        goals.push(burst_delivered(results, figure));
    }
    goals.push(hub_cpu(results, "the best peer", HUB_CPU_TO_PEER, |q| to_peers(q, NANOSTATE, is_peer)));
    goals.push(hub_cpu(results, "the floor", HUB_CPU_TO_FLOOR, |q| to_floor(q, NANOSTATE)));
    goals.push(hub_cpu_flatness(results));
    goals.push(large_to_floor(results, Figure::Camera));
    goals.push(camera_to_peers(results));
    goals.push(large_to_floor(results, Figure::Large));
    goals.push(app_memory(results));
    goals.push(wake_ups(results));
    for (system, limit) in HUB_MEMORY {
        goals.push(hub_memory(results, system, limit));
    }
    goals.push(state_memory(results));
    goals
}

/// A ratio that was found, and to what; or what is said instead.
type Found = Result<(Spread, String), Verdict>;

fn round_trip<'a>(results: &'a Results, system: &str) -> (String, Result<Question<'a>, Verdict>) {
    let figure = Figure::RoundTripPinned;
    (format!("{}, {system}", name(results, figure)), question(results, figure, Metric::P50, None))
}

fn round_trip_to_floor(results: &Results, system: &str, limit: f64) -> Goal {
    let (figure, question) = round_trip(results, system);
    ratio_goal(figure, Limit::AtMost(limit), "the floor", question.and_then(|q| to_floor(q, system)))
}

fn round_trip_to_peers(results: &Results, system: &str) -> Goal {
    let (figure, question) = round_trip(results, system);
    ratio_goal(figure, Limit::Below, "every peer", question.and_then(|q| to_peers(q, system, is_peer)))
}

fn round_trip_calls(results: &Results, system: &str, metric: Metric, limit: f64) -> Goal {
    let found = question(results, Figure::RoundTripCalls, metric, None).and_then(|q| own(q, system));
    value_goal(&format!("Round trip, {metric}, {system}"), limit, metric, found)
}

fn burst_to_zeromq(results: &Results, figure: Figure, limit: f64) -> Goal {
    let found = question(results, figure, Metric::Rate, None).and_then(|q| to_peers(q, NANOSTATE, is_zeromq));
    ratio_goal(format!("{}, states per second", name(results, figure)), Limit::AtLeast(limit), "ZeroMQ", found)
}

fn burst_delivered(results: &Results, figure: Figure) -> Goal {
    let found = question(results, figure, Metric::Delivered, None).and_then(|q| own(q, NANOSTATE).map(|_| q));
    let worst = found.map(|q| q.samples(NANOSTATE).iter().map(|s| s.value).fold(100.0, f64::min));
    let figure = format!("{}, delivered", name(results, figure));
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

fn updates_to_zeromq(results: &Results, system: &str, limit: f64) -> Goal {
    let found = question(results, Figure::Updates, Metric::WallTime, None)
        .and_then(|q| to_peers(q, system, is_zeromq))
        .map(|(ratio, peer)| (inverse(ratio), peer));
    let figure = format!("{}, speed to the last value, {system}", name(results, Figure::Updates));
    ratio_goal(figure, Limit::AtLeast(limit), "ZeroMQ", found)
}

/// The worst of all numbers of receivers.
fn hub_cpu<'a>(results: &'a Results, to: &str, limit: f64, find: impl Fn(Question<'a>) -> Found) -> Goal {
    let ratios = each(results, Figure::FanOut, Metric::HubCpu, |q| {
        let (ratio, other) = find(q)?;
        Ok((ratio, format!("{other}, {}", number::parameter(q.figure, q.parameter))))
    });
    let found = ratios.map(|all| all.into_iter().max_by(|(a, _), (b, _)| a.median.total_cmp(&b.median)));
    let found = found.and_then(|worst| worst.ok_or(unknown("no figure")));
    ratio_goal("Fan-out, hub CPU per delivery".into(), Limit::AtMost(limit), to, found)
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

fn large_to_floor(results: &Results, figure: Figure) -> Goal {
    let found = question(results, figure, Metric::Throughput, None).and_then(|q| to_floor(q, NANOSTATE));
    let figure = format!("{}, bytes per second", name(results, figure));
    ratio_goal(figure, Limit::AtLeast(LARGE_TO_FLOOR), "the floor", found)
}

fn camera_to_peers(results: &Results) -> Goal {
    let found = question(results, Figure::Camera, Metric::Throughput, None);
    let found = found.and_then(|q| to_peers(q, NANOSTATE, is_peer));
    let figure = format!("{}, bytes per second", name(results, Figure::Camera));
    ratio_goal(figure, Limit::Above, "every peer", found)
}

fn app_memory(results: &Results) -> Goal {
    let found = question(results, Figure::Memory, Metric::AppMemory, None).and_then(|q| own(q, NANOSTATE));
    value_goal("Idle app, private memory", APP_MEMORY, Metric::AppMemory, found)
}

fn wake_ups(results: &Results) -> Goal {
    let found = question(results, Figure::Memory, Metric::WakeUps, None).and_then(|q| own(q, NANOSTATE));
    value_goal("Idle app, wake-ups", 0.0, Metric::WakeUps, found)
}

fn hub_memory(results: &Results, system: &str, limit: f64) -> Goal {
    let found = question(results, Figure::Memory, Metric::HubMemory, None).and_then(|q| own(q, system));
    value_goal(&format!("Hub, memory of an idle connection, {system}"), limit, Metric::HubMemory, found)
}

fn state_memory(results: &Results) -> Goal {
    let found = question(results, Figure::StateMemory, Metric::StateMemory, Some(STATES));
    let found = found.and_then(|q| own(q, NANOSTATE));
    let figure = format!("Hub, memory of one of {}", number::parameter(Figure::StateMemory, STATES));
    value_goal(&figure, STATE_MEMORY, Metric::StateMemory, found)
}

/// A figure with the largest parameter that it was measured with.
fn name(results: &Results, figure: Figure) -> String {
    let Some(largest) = results.parameters(figure).into_iter().next_back() else { return title(figure).to_string() };
    let parameter = number::parameter(figure, largest);
    match figure {
        // Their parameter says what they are.
        Figure::Updates => parameter,
        Figure::RoundTripPinned | Figure::KnownNames => format!("{}, {parameter}", title(figure)),
        _ => format!("{} of {parameter}", title(figure)),
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
        Limit::Above => format!("above {to}"),
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

    /// The measured and the verdict of the only goal whose figure and goal contain these words.
    fn shown(results: &Results, figure: &str, goal: &str) -> (String, String) {
        let mut found: Vec<Goal> = goals(results);
        found.retain(|g| g.figure.contains(figure) && g.goal.contains(goal));
        assert_eq!(found.len(), 1, "{figure}, {goal}: {:?}", found.iter().map(|g| &g.figure).collect::<Vec<_>>());
        (found[0].measured.clone(), found[0].verdict.to_string())
    }

    fn met(measured: &str) -> (String, String) {
        (measured.to_string(), "met".to_string())
    }

    fn missed(measured: &str, how: &str) -> (String, String) {
        (measured.to_string(), format!("missed: {how}"))
    }

    #[test]
    fn every_goal_is_computed_from_the_samples() {
        let expected = [
            ("one core, 64 B, nanostate ipc recv", "1.1 × the floor", met("1.05 (1.05–1.05), floor ipc")),
            ("ipc callback", "1.1 × the floor", missed("1.25 (1.25–1.25), floor ipc", "14 % over")),
            ("ipc fd", "1.25 × the floor", missed("2.00 (2.00–2.00), floor ipc", "60 % over")),
            ("tcp recv", "1.15 × the floor", met("1.10 (1.10–1.10), floor tcp")),
            ("inproc recv", "1.3 × the floor", missed("2.00 (2.00–2.00), floor inproc", "54 % over")),
            ("one core, 64 B, nanostate ipc recv", "below every peer", met("0.84 (0.84–0.84), redis unix")),
            ("ipc callback", "below every peer", missed("1.00 (1.00–1.00), redis unix", "less than 1 % over")),
            ("ipc fd", "below every peer", missed("1.60 (1.60–1.60), redis unix", "60 % over")),
            ("system calls, nanostate ipc recv", "≤ 3.05 per trip", met("3.00 (3.00–3.00) per trip")),
            ("system calls, nanostate ipc fd", "≤ 3.05", missed("6.10 (6.10–6.10) per trip", "100 % over")),
            ("other threads, nanostate ipc recv", "≤ 10 in 10,000 trips", met("4 (4–4) in 10,000 trips")),
            ("other threads, nanostate ipc fd", "≤ 10", missed("30 (30–30) in 10,000 trips", "200 % over")),
            (
                "2,000,000 updates, speed to the last value, nanostate ipc key",
                "3 × ZeroMQ",
                met("4.00 (4.00–4.00), zeromq ipc"),
            ),
            ("value, nanostate ipc recv", "2 × ZeroMQ", missed("1.60 (1.60–1.60), zeromq ipc", "20 % short")),
            (
                "known names, 200,000 states, states per",
                "1.5 × ZeroMQ",
                missed("1.20 (1.20–1.20), zeromq ipc", "20 % short"),
            ),
            ("known names, 200,000 states, delivered", "100 %", met("100 % in the worst")),
            ("Burst of 200,000 states, states per", "1 × ZeroMQ", met("4.00 (4.00–4.00), zeromq ipc")),
            ("Burst of 200,000 states, delivered", "100 %", met("100 % in the worst")),
            ("Fan-out", "the best peer", met("0.40 (0.40–0.40), zeromq ipc, 1,000 receivers")),
            ("Fan-out", "the floor", met("0.24 (0.24–0.24), floor ipc, 1,000 receivers")),
            ("Fan-out", "any other", met("1.33 (1.33–1.33), 1,000 to 32 receivers")),
            ("Camera of 1 MiB", "0.7 × the floor", missed("0.50 (0.50–0.50), floor ipc", "29 % short")),
            ("Camera of 1 MiB", "above every peer", met("1.25 (1.25–1.25), zeromq ipc")),
            ("Large states of 1 MiB", "0.7 × the floor", met("0.80 (0.80–0.80), floor ipc")),
            ("Idle app, private memory", "", met("300 (300–300) KiB")),
            ("Idle app, wake-ups", "none", met("0 (0–0) in 2 s")),
            ("connection, nanostate ipc recv", "≤ 4.00", met("4.00 (4.00–4.00) KiB/connection")),
            ("connection, nanostate ws recv", "≤ 8.00", met("6.00 (6.00–6.00) KiB/connection")),
            ("connection, nanostate wss recv", "≤ 16.0", missed("20.0 (20.0–20.0) KiB/connection", "25 % over")),
            ("Hub, memory of one of 100,000 states", "≤ 200 B/state", met("190 (190–190) B/state")),
        ];
        let results = made_up::results();
        assert_eq!(goals(&results).len(), expected.len());
        for (figure, goal, expected) in expected {
            assert_eq!(shown(&results, figure, goal), expected, "{figure}, {goal}");
        }
    }

    const RECV: (&str, &str) = ("one core, 64 B, nanostate ipc recv", "the floor");

    #[test]
    fn ratios_are_of_samples_of_one_round_and_not_of_medians() {
        let samples = [64.0, 32.0 * 0.9];
        let results = made_up::with(Figure::RoundTripPinned, 64, "nanostate ipc recv", Metric::P50, &samples);
        assert_eq!(
            shown(&results, RECV.0, RECV.1).0,
            "1.50 (1.25–1.75), floor ipc",
            "2 in one round, 1 in the other, none in the third"
        );
    }

    #[test]
    fn without_a_peer_the_goal_is_held_against_the_others_or_not_known() {
        let results = made_up::without("redis unix");
        assert_eq!(shown(&results, RECV.0, "every peer"), met("0.14 (0.14–0.14), zeromq ipc"));
        let results = made_up::without("zeromq ipc");
        let unknown = "not known: zeromq ipc: no sample, 200,000 states".to_string();
        assert_eq!(shown(&results, "Burst of 200,000", "ZeroMQ"), (String::new(), unknown));
    }

    #[test]
    fn a_goal_without_samples_of_nanostate_is_not_known_and_an_empty_run_knows_none() {
        let results = made_up::without("nanostate ipc recv");
        assert_eq!(shown(&results, RECV.0, RECV.1).1, "not known: nanostate ipc recv: no sample, 64 B");
        assert_eq!(shown(&results, "Large", "").1, "not known: nanostate ipc recv: no sample, 1 MiB");
        let empty = Results { series: Vec::new(), ..made_up::results() };
        assert!(knows_none(&empty));
        let none = Results { systems: Vec::new(), ..empty };
        assert!(knows_none(&none));
    }

    fn knows_none(results: &Results) -> bool {
        goals(results).iter().all(|g| matches!(g.verdict, Verdict::Unknown(_)) && g.measured.is_empty())
    }

    #[test]
    fn the_reason_of_a_system_that_is_not_here_is_given() {
        let mut results = made_up::without("zeromq ipc");
        let zeromq = results.systems.iter_mut().find(|s| s.name == "zeromq ipc").unwrap();
        zeromq.skipped = Some("install libzmq3-dev".to_string());
        assert_eq!(shown(&results, "updates", "2 ×").1, "not known: zeromq ipc: install libzmq3-dev");
    }

    #[test]
    fn one_state_that_does_not_arrive_misses_the_goal() {
        let burst =
            |values: &[f64]| made_up::with(Figure::Burst, 200_000, "nanostate ipc recv", Metric::Delivered, values);
        let goal = shown(&burst(&[100.0, 99.9995, 100.0]), "Burst of 200,000 states, delivered", "");
        assert_eq!(goal, missed("99.99 % in the worst", "less than 1 % short"));
        let goal = shown(&burst(&[50.0]), "Burst of 200,000 states, states per", "");
        assert_eq!(goal, missed("", "50.0 % of the states arrived"));
    }

    #[test]
    fn a_peer_that_loses_states_sets_no_mark() {
        let results = made_up::with(Figure::Burst, 200_000, "zeromq ipc", Metric::Delivered, &[80.0]);
        assert_eq!(shown(&results, "Burst of 200,000", "ZeroMQ").1, "not known: zeromq ipc: loses states");
    }

    #[test]
    fn wake_ups_that_should_not_be_are_counted() {
        let results = made_up::with(Figure::Memory, 1, "nanostate ipc recv", Metric::WakeUps, &[2.0, 2.0, 2.0]);
        assert_eq!(shown(&results, "Idle app, wake-ups", ""), missed("2 (2–2) in 2 s", "2 too many"));
    }
}
