//! Results, and how they are printed.

use std::time::Duration;

use super::ROUND_TRIP;

/// A stream of states from one app to the other.
pub(super) struct Stream {
    pub(super) names: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Names whose newest state arrived.
    pub(super) complete: u64,
    /// From the first state that was sent to the last that arrived.
    pub(super) seconds: f64,
}

impl Stream {
    /// Figures that every stream has.
    pub(super) fn figures(&self, size: usize) -> Vec<Figure> {
        vec![
            Figure::new("size", "size", "bytes", size as f64, 0),
            Figure::new("count", "sent", "states", self.sent as f64, 0),
            Figure::new("names", "names", "", self.names as f64, 0),
            Figure::new("received", "received", "states", self.received as f64, 0),
        ]
    }
}

/// The times of round trips.
#[derive(Default)]
pub(super) struct Trips {
    pub(super) times: Vec<Duration>,
    pub(super) lost: u64,
}

impl Trips {
    /// The times are sorted.
    pub(super) fn measurement(&self, size: usize) -> Measurement {
        let time =
            |key, label, share| Figure::new(key, label, "µs", percentile(&self.times, share).as_secs_f64() * 1e6, 1);
        let figures = vec![
            Figure::new("size", "size", "bytes", size as f64, 0),
            Figure::new("count", "measured", "times", self.times.len() as f64, 0),
            Figure::new("lost", "lost", "", self.lost as f64, 0),
            time("p50_us", "p50", 0.5),
            time("p99_us", "p99", 0.99),
            time("p99_9_us", "p99.9", 0.999),
            time("max_us", "max", 1.0),
        ];
        Measurement { title: ROUND_TRIP, figures }
    }
}

/// The smallest time that at least this share of the times does not exceed.
pub(super) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// A result.
pub(super) struct Measurement {
    pub(super) title: &'static str,
    pub(super) figures: Vec<Figure>,
}

/// A number of a result: its key in JSON, and its name and unit in the table.
pub(super) struct Figure {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) unit: &'static str,
    pub(super) value: String,
}

impl Figure {
    pub(super) fn new(
        key: &'static str,
        label: &'static str,
        unit: &'static str,
        value: f64,
        decimals: usize,
    ) -> Figure {
        Figure { key, label, unit, value: format!("{value:.decimals$}") }
    }
}

impl Measurement {
    /// As a line of JSON.
    pub(super) fn json(&self) -> String {
        let figures: String =
            self.figures.iter().map(|figure| format!(r#","{}":{}"#, figure.key, figure.value)).collect();
        format!("{{\"measurement\":\"{}\"{figures}}}\n", self.title)
    }

    /// As lines, with the title at the first.
    pub(super) fn table(&self) -> String {
        let titles = [self.title].into_iter().chain(std::iter::repeat(""));
        let line = |(title, figure): (&str, &Figure)| {
            let text = format!("{title:<15} {:<14} {:>13} {}", figure.label, grouped(&figure.value), figure.unit);
            text.trim_end().to_owned() + "\n"
        };
        titles.zip(&self.figures).map(line).collect()
    }
}

/// A number with its thousands separated.
pub(super) fn grouped(number: &str) -> String {
    let digits = number.find('.').unwrap_or(number.len());
    let mut text = String::new();
    for (i, c) in number.chars().enumerate() {
        if i > 0 && i < digits && (digits - i) % 3 == 0 {
            text.push(',');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_time_that_this_share_does_not_exceed() {
        let times: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        for (share, micros) in [(0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000)] {
            assert_eq!(percentile(&times, share), Duration::from_micros(micros));
        }
        let one = [Duration::from_micros(7)];
        assert!([0.5, 0.999, 1.0].iter().all(|&share| percentile(&one, share) == one[0]));
    }

    #[test]
    fn thousands_are_set_apart_before_the_point_only() {
        for (number, shown) in
            [("0", "0"), ("999", "999"), ("1000", "1,000"), ("1234567.8901", "1,234,567.8901"), ("12.5", "12.5")]
        {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn a_table_is_aligned_and_json_has_the_keys() {
        let measurement = Measurement {
            title: ROUND_TRIP,
            figures: vec![
                Figure::new("count", "measured", "times", 12_345.0, 0),
                Figure::new("lost", "lost", "", 0.0, 0),
            ],
        };
        let table =
            "round trip      measured              12,345 times\n                lost                       0\n";
        assert_eq!(measurement.table(), table);
        assert_eq!(measurement.json(), "{\"measurement\":\"round trip\",\"count\":12345,\"lost\":0}\n");
    }
}
