//! Order statistics.

/// The middle of the samples and the quartiles around it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// How many samples.
    pub n: usize,
}

/// The value below which a share of the samples lies, between the two nearest samples if it falls there; none without
/// samples. `sorted` is ascending, `share` between 0 and 1.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// Median and quartiles; none without samples.
pub fn spread(samples: &[f64]) -> Option<Spread> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(Spread {
        median: quantile(&sorted, 0.5)?,
        low: quantile(&sorted, 0.25)?,
        high: quantile(&sorted, 0.75)?,
        n: sorted.len(),
    })
}

/// The smallest sample that is not exceeded by a share of all of them; none without samples. `sorted` is ascending.
pub fn percentile(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_samples_is_between_the_middle_ones() {
        let spread = spread(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.5, low: 1.75, high: 3.25, n: 4 });
    }

    #[test]
    fn one_sample_is_its_own_median_and_quartiles() {
        assert_eq!(spread(&[7.0]), Some(Spread { median: 7.0, low: 7.0, high: 7.0, n: 1 }));
    }

    #[test]
    fn no_samples_have_no_median() {
        assert_eq!(spread(&[]), None);
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_percentile_is_a_sample_by_nearest_rank() {
        let trips: Vec<u64> = (1..=1000).collect();
        assert_eq!(percentile(&trips, 0.5), Some(500));
        assert_eq!(percentile(&trips, 0.99), Some(990));
        assert_eq!(percentile(&trips, 0.999), Some(999));
        assert_eq!(percentile(&trips, 1.0), Some(1000));
        assert_eq!(percentile(&trips, 0.0), Some(1));
        assert_eq!(percentile(&[3], 0.999), Some(3));
    }
}
