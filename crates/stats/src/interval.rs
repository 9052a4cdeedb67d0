//! Intervals.

use crate::{Sum, normal_quantile};
use statrs::distribution::{Beta, ContinuousCDF};

/// A closed interval with its confidence level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence level, for instance 0.95.
    pub level: f64,
}

/// Trials beyond which the beta quantiles below are neither accurate nor quick to find.
const MANY: u64 = 10_000_000;

/// Clopper–Pearson interval for a proportion: `hits` of `trials`. Exact, conservative. Beyond ten million trials Wilson's score
/// interval (1927), which differs by less than one in a million there.
pub fn binomial_interval(hits: u64, trials: u64, level: f64) -> Interval {
    let tail = (1.0 - level) / 2.0;
    let (k, n) = (hits as f64, trials as f64);
    if trials > MANY {
        let z = normal_quantile(1.0 - tail);
        let (share, spread) = (k / n, z * z / n);
        let middle = (share + 0.5 * spread) / (1.0 + spread);
        let half = (spread * (share * (1.0 - share) + 0.25 * spread)).sqrt() / (1.0 + spread);
        return Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0), level };
    }
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
    let low = if hits == 0 { 0.0 } else { quantile(k, n - k + 1.0, tail) };
    let high = if hits >= trials { 1.0 } else { quantile(k + 1.0, n - k, 1.0 - tail) };
    Interval { low, high, level }
}

/// The ratio Σy/Σx with the linearised interval of a ratio estimator over independent pairs (Cochran 1977, 2.11).
/// `None` when Σx is not positive or there is only one pair.
pub fn ratio_interval(pairs: &[(f64, f64)], level: f64) -> Option<(f64, Interval)> {
    let reach = pairs.iter().map(|(_, x)| *x).collect::<Sum>().value();
    if reach.is_nan() || reach <= 0.0 || pairs.len() < 2 {
        return None;
    }
    let ratio = pairs.iter().map(|(y, _)| *y).collect::<Sum>().value() / reach;
    let squares = pairs.iter().map(|(y, x)| (y - ratio * x).powi(2)).collect::<Sum>().value();
    let n = pairs.len() as f64;
    let small_sample = n / (n - 1.0);
    let half = normal_quantile(0.5 + level / 2.0) * (squares * small_sample).sqrt() / reach;
    Some((ratio, Interval { low: ratio - half, high: ratio + half, level }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clopper_pearson_against_scipy() {
        // scipy.stats.binomtest(3, 100).proportion_ci(0.95, "exact"): 0.0062299715, 0.0851760530.
        let interval = binomial_interval(3, 100, 0.95);
        assert!((interval.low - 0.006_229_972).abs() < 1e-6 && (interval.high - 0.085_176_053).abs() < 1e-6);
        assert_eq!(binomial_interval(0, 10, 0.95).low, 0.0);
        assert_eq!(binomial_interval(10, 10, 0.95).high, 1.0);
        for hits in [3_000_000, MANY / 2] {
            let (exact, score) =
                (binomial_interval(hits, MANY, 0.95), binomial_interval(hits + 1, MANY + 1, 0.95));
            assert!((exact.low - score.low).abs() < 1e-6 && (exact.high - score.high).abs() < 1e-6);
        }
        // No count keeps it busy.
        assert!(binomial_interval(0, 1 << 50, 0.95).high < 1e-14);
    }

    #[test]
    fn a_constant_ratio_has_no_width() {
        let (ratio, interval) = ratio_interval(&[(0.5, 1.0), (1.0, 2.0), (2.0, 4.0)], 0.95).unwrap();
        assert!((ratio - 0.5).abs() < 1e-15 && interval.high - interval.low < 1e-12);
    }
}
