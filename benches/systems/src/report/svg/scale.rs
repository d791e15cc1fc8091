//! From values to places in a panel.

use super::{text_width, GAP, SMALL};
use crate::report::number;
use crate::results::Metric;

/// If the largest value is more than this many times the smallest, the bars of the small ones would not be visible.
const LINEAR: f64 = 15.0;

/// From values to places.
pub(super) struct Scale {
    pub(super) is_log: bool,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale that has room for all values between two places; logarithmic if it must be or the values are far apart.
    pub(super) fn new(values: impl Iterator<Item = f64>, must_be_log: bool, from: f64, to: f64) -> Scale {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|v| *v > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most == 0.0 {
            (least, most) = (1.0, 1.0);
        }
        let is_log = must_be_log || most / least > LINEAR;
        match is_log {
            true => Scale { is_log, least: least / 1.25, most: most * 1.1, from, to },
            false => Scale { is_log, least: 0.0, most: most * 1.02, from, to },
        }
    }

    /// The place of a value; what is below a logarithmic scale stands at its beginning.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = match self.is_log {
            true => (value.max(self.least) / self.least).ln() / (self.most / self.least).ln(),
            false => (value.max(self.least) - self.least) / (self.most - self.least),
        };
        self.from + share * (self.to - self.from)
    }

    /// The numbers of the scale with their places, so far apart that they do not touch.
    pub(super) fn ticks(&self, metric: Metric) -> Vec<(f64, String)> {
        let words = |value: f64| match metric {
            Metric::Rate if value == 0.0 => "0".to_string(),
            _ => short(value),
        };
        let tick = |value: f64| (self.at(value), words(value));
        let is_across = self.from < self.to;
        let room = |a: &(f64, String), b: &(f64, String)| match is_across {
            true => (text_width("small", &a.1) + text_width("small", &b.1)) / 2.0 + GAP,
            false => 2.0 * SMALL,
        };
        let fit = |values: Vec<f64>| {
            let ticks: Vec<(f64, String)> = values.into_iter().map(tick).collect();
            let fits = ticks.windows(2).all(|pair| (pair[1].0 - pair[0].0).abs() >= room(&pair[0], &pair[1]));
            (fits && ticks.len() > 1).then_some(ticks)
        };
        let inside = |value: &f64| (self.least..=self.most).contains(value);
        let decade = 10_f64.powf(self.most.log10().floor());
        let choices: Vec<Vec<f64>> = match self.is_log {
            true => {
                let exponents = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
                let with = |digits: &[f64]| {
                    let all = exponents.clone().flat_map(|e| digits.iter().map(move |d| d * 10_f64.powi(e)));
                    all.filter(inside).collect::<Vec<f64>>()
                };
                // Few numbers if the scale is long, then many if it is shorter than from 1 to 2.
                let digits: [&[f64]; 4] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]];
                digits.into_iter().map(with).chain([vec![self.least, self.most]]).collect()
            }
            false => {
                let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0].map(|step| step * decade);
                let upto = |step: f64| (0..).map(|n| f64::from(n) * step).take_while(|v| *v <= self.most).collect();
                // More than six numbers are a table.
                steps.into_iter().map(upto).filter(|v: &Vec<f64>| v.len() <= 6).collect()
            }
        };
        choices.into_iter().find_map(fit).unwrap_or_default()
    }
}

/// A number of a scale.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", trimmed(v / 1e6)),
        v if v >= 1e4 => format!("{} k", trimmed(v / 1e3)),
        v if v >= 1e3 => number::grouped(v),
        v => trimmed(v),
    }
}

/// Rounded, since steps of a tenth are not exact.
fn trimmed(value: f64) -> String {
    ((value * 1000.0).round() / 1000.0).to_string()
}
