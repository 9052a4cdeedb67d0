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
    RatioSums::of(pairs).interval(level)
}

/// What a ratio and its interval need of pairs (y, x) that are not kept. Squares are those of residuals against the pairs' own ratio, so
/// that nothing cancels: sets that are joined have ratios that are close to each other or residuals that are large.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RatioSums {
    pairs: u64,
    y: Sum,
    x: Sum,
    /// Against this ratio: Σ(y − ratio·x)², Σ(y − ratio·x)·x, Σx².
    ratio: f64,
    squares: f64,
    slopes: f64,
    x_squares: f64,
}

impl RatioSums {
    /// The sums of `pairs` (y, x).
    pub fn of(pairs: &[(f64, f64)]) -> RatioSums {
        let x = pairs.iter().map(|(_, x)| *x).collect::<Sum>();
        let y = pairs.iter().map(|(y, _)| *y).collect::<Sum>();
        let ratio = if x.value() > 0.0 { y.value() / x.value() } else { 0.0 };
        let residual = |(y, x): &(f64, f64)| y - ratio * x;
        RatioSums {
            pairs: pairs.len() as u64,
            y,
            x,
            ratio,
            squares: pairs.iter().map(|pair| residual(pair).powi(2)).collect::<Sum>().value(),
            slopes: pairs.iter().map(|pair| residual(pair) * pair.1).collect::<Sum>().value(),
            x_squares: pairs.iter().map(|(_, x)| x * x).collect::<Sum>().value(),
        }
    }

    /// The sums of both sets of pairs.
    #[must_use]
    pub fn joined(self, other: &RatioSums) -> RatioSums {
        if self.pairs == 0 {
            return *other;
        }
        let other = other.against(self.ratio);
        RatioSums {
            pairs: self.pairs + other.pairs,
            y: self.y.joined(other.y),
            x: self.x.joined(other.x),
            ratio: self.ratio,
            squares: self.squares + other.squares,
            slopes: self.slopes + other.slopes,
            x_squares: self.x_squares + other.x_squares,
        }
    }

    /// The same with residuals against another ratio.
    fn against(self, ratio: f64) -> RatioSums {
        let by = ratio - self.ratio;
        let squares = self.squares - by * (2.0 * self.slopes - by * self.x_squares);
        RatioSums { ratio, squares: squares.max(0.0), slopes: self.slopes - by * self.x_squares, ..self }
    }

    /// The ratio and its interval; `None` when Σx is not positive or there is only one pair.
    pub fn interval(&self, level: f64) -> Option<(f64, Interval)> {
        let x = self.x.value();
        if x.is_nan() || x <= 0.0 || self.pairs < 2 {
            return None;
        }
        let ratio = self.y.value() / x;
        let squares = self.against(ratio).squares;
        let n = self.pairs as f64;
        let small_sample = n / (n - 1.0);
        let half = normal_quantile(0.5 + level / 2.0) * (squares * small_sample).sqrt() / x;
        Some((ratio, Interval { low: ratio - half, high: ratio + half, level }))
    }
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
    fn sums_that_are_joined_say_what_all_pairs_say() {
        let mut random = crate::SplitMix64::new(8);
        for (share, noise) in [(0.9, 0.1), (0.0, 1.0), (1.0, 1e-9), (1.0, 0.0)] {
            let pairs: Vec<(f64, f64)> = (0..3000)
                .map(|i| {
                    let x = 1.0 + random.normal().abs() * if i < 1000 { 1.0 } else { 30.0 };
                    (share * x + noise * random.normal(), x)
                })
                .collect();
            let (ratio, whole) = ratio_interval(&pairs, 0.95).unwrap();
            let joined = pairs
                .chunks(700)
                .map(RatioSums::of)
                .fold(RatioSums::default(), |sum, part| sum.joined(&part));
            let (other, parts) = joined.interval(0.95).unwrap();
            let (width, error) = (whole.high - whole.low, 4.0 * f64::EPSILON);
            assert!((ratio - other).abs() <= error && joined.pairs == 3000);
            assert!((parts.high - parts.low - width).abs() <= 1e-12 * width + error, "{share} {noise}");
        }
    }

    #[test]
    fn a_constant_ratio_has_no_width() {
        let (ratio, interval) = ratio_interval(&[(0.5, 1.0), (1.0, 2.0), (2.0, 4.0)], 0.95).unwrap();
        assert!((ratio - 0.5).abs() < 1e-15 && interval.high - interval.low < 1e-12);
    }
}
