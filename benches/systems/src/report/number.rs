//! Numbers as a reader wants them: three digits that count, and units that fit.

use crate::results::{Figure, Metric};
use crate::stats::Spread;

/// A value, in the unit that [`Metric::unit`] names.
pub fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Rate => scaled(value),
        Metric::Delivered | Metric::Skipped => share(value),
        Metric::WakeUps | Metric::OtherThreads => count(value),
        _ => plain(value),
    }
}

/// A number of things, of which a median may be between two.
pub fn count(value: f64) -> String {
    ((value * 10.0).round() / 10.0).to_string()
}

/// The quartiles of values.
pub fn range(metric: Metric, spread: &Spread) -> String {
    format!("{}–{}", value(metric, spread.low), value(metric, spread.high))
}

/// A ratio.
pub fn ratio(ratio: f64) -> String {
    match ratio {
        r if r < 9.995 => format!("{r:.2}"),
        r if r < 99.95 => format!("{r:.1}"),
        r => grouped(r),
    }
}

/// The quartiles of ratios.
pub fn ratio_range(spread: &Spread) -> String {
    format!("{}–{}", ratio(spread.low), ratio(spread.high))
}

/// What a figure was measured with: `64 KiB`, `200,000 states`.
pub fn parameter(figure: Figure, parameter: u64) -> String {
    match figure {
        Figure::RoundTrip | Figure::RoundTripPinned | Figure::RoundTripCalls => bytes(parameter),
        Figure::Large | Figure::Camera => bytes(parameter),
        Figure::FirstState => format!("{} {}", grouped(parameter as f64), figure.parameter()),
        _ if parameter == 1 => format!("1 {}", figure.parameter().trim_end_matches('s')),
        _ => format!("{} {}", grouped(parameter as f64), figure.parameter()),
    }
}

/// A size in the largest binary unit that divides it.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        b if b != 0 && b % (1 << 20) == 0 => format!("{} MiB", b >> 20),
        b if b != 0 && b % (1 << 10) == 0 => format!("{} KiB", b >> 10),
        b => format!("{b} B"),
    }
}

fn plain(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        v if v < 0.9995 => format!("{value:.3}"),
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

fn scaled(value: f64) -> String {
    match value {
        v if v < 9_999.5 => plain(v),
        v if v < 999_500.0 => format!("{} k", three(v / 1e3)),
        v => format!("{} M", three(v / 1e6)),
    }
}

fn three(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => grouped(v),
    }
}

/// Percent that says 0 or 100 only of exactly that.
fn share(value: f64) -> String {
    match value {
        v if v <= 0.0 => "0".to_string(),
        v if v >= 100.0 => "100".to_string(),
        v if v < 1.0 => format!("{:.2}", v.max(0.01)),
        v if v <= 99.0 => format!("{v:.1}"),
        v => format!("{:.2}", v.min(99.99)),
    }
}

/// A whole number with commas between thousands.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let groups: Vec<&str> = {
        let first = (digits.len() - 1) % 3 + 1;
        let rest = (first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]);
        std::iter::once(&digits[..first]).chain(rest).collect()
    };
    let sign = if value < 0.0 && digits != "0" { "-" } else { "" };
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_of_a_value_are_shown() {
        let shown = |metric, list: &[f64]| list.iter().map(|v| value(metric, *v)).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(Metric::P50, &[0.0, 1.234, 31.25, 131.4, 12345.6]), "0 1.23 31.2 131 12,346");
        assert_eq!(
            shown(Metric::Rate, &[312.4, 9_999.0, 61_250.0, 999_400.0, 1_234_567.0]),
            "312 9,999 61.2 k 999 k 1.23 M"
        );
        assert_eq!(shown(Metric::HubMemory, &[-0.2, 9.999]), "-0.200 10.0");
    }

    #[test]
    fn only_all_is_100_percent_and_only_nothing_0() {
        let shown = |v| value(Metric::Delivered, v);
        assert_eq!(
            [100.0, 99.9999, 99.5, 14.25, 0.0001, 0.0].map(shown),
            ["100", "99.99", "99.50", "14.2", "0.01", "0"]
        );
    }

    #[test]
    fn parameters_are_shown_with_what_they_count() {
        assert_eq!(parameter(Figure::RoundTrip, 65536), "64 KiB");
        assert_eq!(parameter(Figure::RoundTrip, 64), "64 B");
        assert_eq!(parameter(Figure::Burst, 200_000), "200,000 states");
        assert_eq!(parameter(Figure::Memory, 1), "1 connection");
        assert_eq!(parameter(Figure::FirstState, 200), "200 µs between states");
    }
}
