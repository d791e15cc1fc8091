//! The picture: small panels side by side, one for each number that a reader asks for first.

mod scale;
#[cfg(test)]
mod tests;

use scale::Scale;

use super::compare::Question;
use super::xml::Element;
use super::{number, table, title};
use crate::results::{Figure, Measured, Metric, Results};
use crate::stats::Spread;
use crate::system::Role;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 24.0;
const GUTTER: f64 = 40.0;
const COLUMNS: usize = 2;
/// From the top of a panel to its first bar.
const HEADER: f64 = 46.0;
const ROW: f64 = 20.0;
const BAR: f64 = 12.0;
/// Below the last bar: the numbers of the scale.
const AXIS: f64 = 24.0;
/// From the end of one row of panels to the next.
const BETWEEN: f64 = 28.0;
/// Between a label and what it stands at.
const GAP: f64 = 8.0;
/// A panel of lines is at least this high, without header and scale.
const LINES: f64 = 240.0;
const TEXT: f64 = 12.0;
const SMALL: f64 = 11.0;
/// How much wider than others bold letters are.
const BOLD: f64 = 1.12;
/// The class of what is said of nanostate.
const OURS: &str = "label ours";
/// The card has a ground of its own, so that it can be read on any page, whichever scheme the page has.
const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; fill: #1f2328; }
.head { font-size: 18px; font-weight: 600; }
.title { font-size: 14px; font-weight: 600; }
.label { font-size: 12px; font-variant-numeric: tabular-nums; }
.small { font-size: 11px; fill: #59636e; }
.ours { fill: #0550ae; font-weight: 600; }
.ground { fill: #ffffff; stroke: #d1d9e0; }
.grid { stroke: #dfe4ea; stroke-width: 1; }
.leader { stroke: #c2c9d1; stroke-width: 1; }
.whisker { stroke: #1f2328; stroke-width: 1.2; fill: none; }
.nanostate { fill: #0969da; stroke: #0969da; }
.floor { fill: #c2c9d1; stroke: #a8b1bb; }
.peer { fill: #6e7781; stroke: #6e7781; }
.line { fill: none; stroke-width: 1.5; }
.line.nanostate { stroke-width: 3; }
.stem { stroke-width: 3; }
.lossy { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small { fill: #9198a1; }
  .ours { fill: #79c0ff; }
  .ground { fill: #0d1117; stroke: #3d444d; }
  .grid { stroke: #2a313c; }
  .leader { stroke: #4b535d; }
  .whisker { stroke: #f0f6fc; }
  .nanostate { fill: #1f6feb; stroke: #4493f8; }
  .floor { fill: #3d444d; stroke: #656c76; }
  .peer { fill: #8b949e; stroke: #8b949e; }
  .lossy { fill: #0d1117; }
  .line { fill: none; }
}
";

/// One number of the picture, of all systems that have it.
struct Panel<'a> {
    title: String,
    metric: Metric,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Bars(Vec<Bar<'a>>),
    Lines(Vec<Line<'a>>),
}

/// One system with one number.
struct Bar<'a> {
    system: &'a Measured,
    spread: Spread,
    /// In percent.
    delivered: f64,
    is_complete: bool,
}

/// One system with a number for each parameter.
struct Line<'a> {
    system: &'a Measured,
    points: Vec<(u64, Bar<'a>)>,
}

/// The picture of a run.
pub fn draw(results: &Results) -> String {
    let panels = panels(results);
    let width = (WIDTH - 2.0 * MARGIN - GUTTER * (COLUMNS - 1) as f64) / COLUMNS as f64;
    let mut body = Element::new("g");
    let mut y = 92.0;
    for row in panels.chunks(COLUMNS) {
        let height = row.iter().map(Panel::height).fold(0.0, f64::max);
        for (column, panel) in row.iter().enumerate() {
            let x = MARGIN + column as f64 * (width + GUTTER);
            body.push(panel.draw(width, height).with("transform", format!("translate({x} {y})")));
        }
        y += height + BETWEEN;
    }
    let height = y;
    let ground = Element::new("rect").with("class", "ground").at("x", 0.5).at("y", 0.5).with("rx", 8);
    Element::new("svg")
        .with("xmlns", "http://www.w3.org/2000/svg")
        .with("viewBox", format!("0 0 {WIDTH} {height}"))
        .with("width", WIDTH)
        .with("height", height)
        .with("role", "img")
        .child(Element::new("title").text("nanostate beside other systems"))
        .child(Element::new("desc").text(description(results)))
        .child(Element::new("style").text(STYLE))
        .child(ground.at("width", WIDTH - 1.0).at("height", height - 1.0))
        .child(text("head", MARGIN, 36.0, "nanostate beside other systems"))
        .child(key(results))
        .child(text("small", MARGIN, 78.0, circumstances(results)))
        .child(body)
        .to_string()
}

/// What the picture shows, in words, for readers who cannot see it.
fn description(results: &Results) -> String {
    let mut out = format!("Measured on {}.", table::circumstances(results));
    for panel in panels(results) {
        let bars = match &panel.kind {
            Kind::Bars(bars) => bars.iter().map(|bar| (bar.system.name.clone(), bar)).collect::<Vec<_>>(),
            Kind::Lines(lines) => {
                let last = |line: &Line<'_>| Some((line.system.name.clone(), line.points.len().checked_sub(1)?));
                lines.iter().filter_map(|l| last(l).map(|(name, at)| (name, &l.points[at].1))).collect()
            }
        };
        let values: Vec<String> = bars.iter().map(|(name, bar)| format!("{name} {}", panel.value(bar))).collect();
        out += &format!(" {}, {}: {}.", panel.title, panel.hint(), values.join(", "));
    }
    out
}

/// Machine and date, short enough for one line.
fn circumstances(results: &Results) -> String {
    let machine = &results.machine;
    let day = machine.date.split('T').next().unwrap_or_default();
    let cores = format!("{} {}", machine.cores, if machine.cores == 1 { "core" } else { "cores" });
    let rounds = format!("{} rounds", results.run.rounds);
    let all = [machine.cpu.as_str(), &cores, &machine.kernel, day, &rounds].join(" · ");
    let mut kept = all.chars().count();
    let mut line = all.clone();
    while text_width("small", &line) > WIDTH - 2.0 * MARGIN {
        kept -= 1;
        line = all.chars().take(kept).chain(['…']).collect();
    }
    line
}

/// What colours and marks mean.
fn key(results: &Results) -> Element {
    let mut key = Element::new("g");
    let mut x = MARGIN;
    let is_lossy = results.series.iter().any(|s| {
        let q = Question { results, figure: s.figure, parameter: s.parameter, metric: s.metric };
        !q.is_complete(&s.system)
    });
    let entries = [
        ("nanostate", "nanostate"),
        ("floor", "floor: a plain relay without names, values or memory"),
        ("peer", "others"),
        ("peer lossy", "loses states (% that arrive)"),
    ];
    for (class, words) in entries.into_iter().take(if is_lossy { 4 } else { 3 }) {
        key.push(mark(class, x + 5.0, 52.0));
        key.push(text("small", x + 15.0, 56.0, words));
        x += 15.0 + text_width("small", words) + 16.0;
    }
    key.push(Element::new("path").with("class", "whisker").with("d", whisker(x, x + 18.0, 52.0)));
    key.push(text("small", x + 25.0, 56.0, "quartiles around the median"));
    key
}

/// The panels that there are samples for.
fn panels(results: &Results) -> Vec<Panel<'_>> {
    let bars = |figure, metric, words: &str| {
        let has = |s: &&crate::results::Series| s.figure == figure && s.metric == metric;
        let parameters = results.series.iter().filter(has).map(|s| s.parameter);
        let parameter = if figure == Figure::RoundTrip { parameters.min() } else { parameters.max() }?;
        let title = match figure {
            Figure::Memory => words.to_string(),
            Figure::Updates => format!("{}, {words}", number::parameter(figure, parameter)),
            _ => format!("{}, {}{words}", title(figure), number::parameter(figure, parameter)),
        };
        let mut bars: Vec<Bar> =
            results.systems.iter().filter_map(|s| bar(Question { results, figure, parameter, metric }, s)).collect();
        let value = |bar: &Bar| if metric.more_is_better() { -bar.spread.median } else { bar.spread.median };
        bars.sort_by(|a, b| b.is_complete.cmp(&a.is_complete).then(value(a).total_cmp(&value(b))));
        (!bars.is_empty()).then_some(Panel { title, metric, kind: Kind::Bars(bars) })
    };
    [
        bars(Figure::RoundTrip, Metric::P50, ", median"),
        bars(Figure::RoundTripPinned, Metric::P50, ", median"),
        bars(Figure::Burst, Metric::Rate, " of distinct names, 64 B"),
        bars(Figure::KnownNames, Metric::Rate, ""),
        bars(Figure::Updates, Metric::WallTime, "100 names: until the last is seen"),
        fan_out(results),
        bars(Figure::Large, Metric::Throughput, ""),
        bars(Figure::Camera, Metric::Throughput, ", replaced at full speed"),
        bars(Figure::FirstState, Metric::FirstState, ""),
        bars(Figure::Memory, Metric::AppMemory, "Private memory of an idle app"),
        bars(Figure::Memory, Metric::HubMemory, "Memory of the hub for an idle connection"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn fan_out(results: &Results) -> Option<Panel<'_>> {
    let (figure, metric) = (Figure::FanOut, Metric::HubCpu);
    let line = |system| {
        let point = |parameter| Some((parameter, bar(Question { results, figure, parameter, metric }, system)?));
        let points: Vec<_> = results.parameters(figure).into_iter().filter_map(point).collect();
        (!points.is_empty()).then_some(Line { system, points })
    };
    let lines: Vec<Line> = results.systems.iter().filter_map(line).collect();
    let title = format!("{}, CPU time of the hub per delivery", title(figure));
    (!lines.is_empty()).then_some(Panel { title, metric, kind: Kind::Lines(lines) })
}

fn bar<'a>(q: Question<'a>, system: &'a Measured) -> Option<Bar<'a>> {
    let (delivered, is_complete) = (q.delivered(&system.name), q.is_complete(&system.name));
    Some(Bar { system, spread: q.spread(&system.name)?, delivered, is_complete })
}

impl Bar<'_> {
    fn class(&self) -> String {
        let role = role(self.system);
        if self.is_complete {
            role.to_string()
        } else {
            format!("{role} lossy")
        }
    }
}

impl Panel<'_> {
    fn height(&self) -> f64 {
        let inside = match &self.kind {
            Kind::Bars(bars) => bars.len() as f64 * ROW,
            Kind::Lines(lines) => LINES.max(lines.len() as f64 * TEXT * 1.25),
        };
        HEADER + inside + AXIS
    }

    /// Which way is better, and what the scale is.
    fn hint(&self) -> String {
        let better = if self.metric.more_is_better() { "higher is better" } else { "lower is better" };
        let scale = if self.scale(0.0, 1.0).is_log { ", logarithmic scale" } else { "" };
        format!("{}, {better}{scale}", self.metric.unit())
    }

    /// A value beside its bar, with its unit.
    fn value(&self, bar: &Bar<'_>) -> String {
        let value = number::value(self.metric, bar.spread.median);
        let value = match self.metric {
            Metric::Rate => format!("{value}/s"),
            Metric::HubCpu => format!("{value} ns"),
            Metric::HubMemory => format!("{value} KiB"),
            metric => format!("{value} {}", metric.unit()),
        };
        match bar.is_complete {
            true => value,
            false => format!("{value} ({} %)", number::value(Metric::Delivered, bar.delivered)),
        }
    }

    fn scale(&self, from: f64, to: f64) -> Scale {
        let bars: Vec<&Bar> = match &self.kind {
            Kind::Bars(bars) => bars.iter().collect(),
            Kind::Lines(lines) => lines.iter().flat_map(|l| l.points.iter().map(|(_, bar)| bar)).collect(),
        };
        let is_lines = matches!(self.kind, Kind::Lines(_));
        Scale::new(bars.iter().flat_map(|bar| [bar.spread.low, bar.spread.median, bar.spread.high]), is_lines, from, to)
    }

    fn draw(&self, width: f64, height: f64) -> Element {
        let head =
            Element::new("g").child(text("title", 0.0, 14.0, &self.title)).child(text("small", 0.0, 31.0, self.hint()));
        match &self.kind {
            Kind::Bars(bars) => self.draw_bars(head, bars, width),
            Kind::Lines(lines) => self.draw_lines(head, lines, width, height - AXIS),
        }
    }

    fn draw_bars(&self, mut panel: Element, bars: &[Bar<'_>], width: f64) -> Element {
        let widest = |words: &dyn Fn(&Bar<'_>) -> String| {
            bars.iter().map(|bar| text_width(label(bar.system), &words(bar))).fold(0.0, f64::max)
        };
        let left = widest(&|bar| bar.system.name.clone()) + GAP;
        let right = width - widest(&|bar| self.value(bar)) - GAP;
        let scale = self.scale(left, right);
        let bottom = HEADER + bars.len() as f64 * ROW;
        for (at, words) in scale.ticks(self.metric) {
            panel.push(line("grid", at, HEADER, at, bottom));
            panel.push(text("small", at, bottom + 15.0, words).with("text-anchor", "middle"));
        }
        for (row, bar) in bars.iter().enumerate() {
            let middle = HEADER + (row as f64 + 0.5) * ROW;
            let (low, at, high) = (scale.at(bar.spread.low), scale.at(bar.spread.median), scale.at(bar.spread.high));
            let (name, class) = (&bar.system.name, bar.class());
            let mut group = Element::new("g").child(Element::new("title").text(format!(
                "{name}: {}, quartiles {}, n = {}",
                self.value(bar),
                number::range(self.metric, &bar.spread),
                bar.spread.n
            )));
            group.push(text(label(bar.system), left - GAP, middle + 4.0, name).with("text-anchor", "end"));
            // On a logarithmic scale there is no 0 for a bar to begin at.
            if scale.is_log {
                group.push(line(&format!("stem {class}"), left, middle, at, middle));
                group.push(mark(&class, at, middle));
            } else {
                let rect = Element::new("rect").with("class", &class).at("x", left).at("y", middle - BAR / 2.0);
                group.push(rect.at("width", (at - left).max(0.5)).at("height", BAR));
            }
            group.push(Element::new("path").with("class", "whisker").with("d", whisker(low, high, middle)));
            group.push(text(label(bar.system), width, middle + 4.0, self.value(bar)).with("text-anchor", "end"));
            panel.push(group);
        }
        panel
    }

    fn draw_lines(&self, mut panel: Element, lines: &[Line<'_>], width: f64, bottom: f64) -> Element {
        let label_of = |line: &Line<'_>| {
            let last = line.points.last().map_or(String::new(), |(_, bar)| self.value(bar));
            format!("{} {last}", line.system.name)
        };
        let labels: Vec<String> = lines.iter().map(label_of).collect();
        let widths = lines.iter().zip(&labels).map(|(line, words)| text_width(label(line.system), words));
        let labels_width = widths.fold(0.0, f64::max);
        let y = self.scale(bottom, HEADER);
        let ticks = y.ticks(self.metric);
        let left = ticks.iter().map(|(_, words)| text_width("small", words)).fold(0.0, f64::max) + GAP;
        let leader = 18.0;
        let right = width - labels_width - leader;
        for (at, words) in ticks {
            panel.push(line("grid", left, at, right, at));
            panel.push(text("small", left - GAP, at + 4.0, words).with("text-anchor", "end"));
        }
        let mut parameters: Vec<u64> = lines.iter().flat_map(|l| l.points.iter().map(|(p, _)| *p)).collect();
        parameters.sort_unstable();
        parameters.dedup();
        let x = Scale::new(parameters.iter().map(|p| *p as f64), true, left + GAP, right - GAP);
        for parameter in &parameters {
            let words = number::grouped(*parameter as f64);
            let text = text("small", x.at(*parameter as f64), bottom + 15.0, words);
            panel.push(text.with("text-anchor", "middle"));
        }
        panel.push(text("small", right + leader, bottom + 15.0, Figure::FanOut.parameter()));
        let ends = lines.iter().map(|l| l.points.last().map_or(bottom, |(_, bar)| y.at(bar.spread.median)));
        let places = apart(&ends.collect::<Vec<_>>(), TEXT * 1.25, HEADER, bottom);
        for ((one, words), place) in lines.iter().zip(labels).zip(places) {
            let role = role(one.system);
            let points: Vec<(f64, &Bar)> = one.points.iter().map(|(p, bar)| (x.at(*p as f64), bar)).collect();
            let path = points.iter().map(|(x, bar)| format!("{x:.1},{:.1}", y.at(bar.spread.median)));
            let mut group = Element::new("g").child(Element::new("title").text(one.system.name.as_str()));
            if let Some((x, bar)) = points.last() {
                let from = y.at(bar.spread.median);
                let d =
                    format!("M{:.1} {from:.1}L{right:.1} {from:.1}L{:.1} {place:.1}", x + GAP, right + leader - 4.0);
                group.push(Element::new("path").with("class", "line leader").with("d", d));
            }
            let path = path.collect::<Vec<_>>().join(" ");
            group.push(Element::new("polyline").with("class", format!("line {role}")).with("points", path));
            for (x, bar) in &points {
                let (low, high) = (y.at(bar.spread.low), y.at(bar.spread.high));
                group.push(line("whisker", *x, low, *x, high));
                group.push(mark(&bar.class(), *x, y.at(bar.spread.median)));
            }
            group.push(text(label(one.system), right + leader, place + 4.0, words));
            panel.push(group);
        }
        panel
    }
}

/// Places that are at least `least` apart, each as near to where it wants to be as the others let it.
fn apart(wanted: &[f64], least: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    // Blocks of labels that touch: the middle of each is at the mean of what its labels want.
    let mut blocks: Vec<(f64, Vec<usize>)> = Vec::new();
    let half = |block: &(f64, Vec<usize>)| block.1.len() as f64 * least / 2.0;
    let placed = |labels: Vec<usize>| {
        let room = labels.len() as f64 * least / 2.0;
        let mean = labels.iter().map(|at| wanted[*at]).sum::<f64>() / labels.len() as f64;
        (mean.min(bottom - room).max(top + room), labels)
    };
    for at in order {
        let mut block = placed(vec![at]);
        while blocks.last().is_some_and(|above| above.0 + half(above) > block.0 - half(&block)) {
            let above = blocks.pop().map_or(Vec::new(), |above| above.1);
            block = placed([above, block.1].concat());
        }
        blocks.push(block);
    }
    let mut places = vec![0.0; wanted.len()];
    for block in &blocks {
        for (nth, at) in block.1.iter().enumerate() {
            places[*at] = block.0 - half(block) + (nth as f64 + 0.5) * least;
        }
    }
    places
}

fn role(system: &Measured) -> &'static str {
    match system.role {
        Role::Nanostate => "nanostate",
        Role::Floor => "floor",
        Role::Peer => "peer",
    }
}

fn label(system: &Measured) -> &'static str {
    if system.role == Role::Nanostate {
        OURS
    } else {
        "label"
    }
}

fn text(class: &str, x: f64, y: f64, words: impl Into<String>) -> Element {
    Element::new("text").with("class", class).at("x", x).at("y", y).text(words)
}

fn line(class: &str, x1: f64, y1: f64, x2: f64, y2: f64) -> Element {
    Element::new("line").with("class", class).at("x1", x1).at("y1", y1).at("x2", x2).at("y2", y2)
}

fn mark(class: &str, x: f64, y: f64) -> Element {
    Element::new("circle").with("class", class).at("cx", x).at("cy", y).at("r", 4.0)
}

fn whisker(low: f64, high: f64, y: f64) -> String {
    let (top, bottom) = (y - 3.0, y + 3.0);
    format!("M{low:.1} {top:.1}V{bottom:.1}M{low:.1} {y:.1}H{high:.1}M{high:.1} {top:.1}V{bottom:.1}")
}

/// At most as wide as this in the fonts that a reader may have: taken from DejaVu Sans, the widest of the usual ones.
fn text_width(class: &str, text: &str) -> f64 {
    let size = match class {
        "head" => 18.0 * BOLD,
        "title" => 14.0 * BOLD,
        OURS => TEXT * BOLD,
        "small" => SMALL,
        _ => TEXT,
    };
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ' ' | '|' | '\'' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '/' | '-' => 0.43,
        'm' | 'w' | 'M' | 'W' | '%' | '…' => 1.0,
        c if c.is_uppercase() => 0.75,
        _ => 0.645,
    };
    text.chars().map(em).sum::<f64>() * size
}
