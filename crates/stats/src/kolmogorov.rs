//! The one-sample Kolmogorov–Smirnov test against the standard normal.

use statrs::distribution::{ContinuousCDF, Normal};

/// Outcome of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// Largest distance between the empirical and the normal distribution function.
    pub distance: f64,
    /// Asymptotic p-value with Stephens' finite-sample factor (Stephens 1970).
    pub p: f64,
    /// Sample size.
    pub n: usize,
}

/// Tests whether `sample` looks standard normal. O(n log n).
pub fn kolmogorov_smirnov_normal(sample: &[f64]) -> KolmogorovSmirnov {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let normal = Normal::standard();
    let distance = sorted
        .iter()
        .enumerate()
        .map(|(i, &x)| {
            let f = normal.cdf(x);
            (f - i as f64 / n).max((i as f64 + 1.0) / n - f)
        })
        .fold(0.0, f64::max);
    let lambda = (n.sqrt() + 0.12 + 0.11 / n.sqrt()) * distance;
    let tail: f64 = (1..=100)
        .map(|k| {
            let k = f64::from(k);
            2.0 * (-1f64).powf(k - 1.0) * (-2.0 * k * k * lambda * lambda).exp()
        })
        .sum();
    let p = if lambda < 0.2 { 1.0 } else { tail.clamp(0.0, 1.0) };
    KolmogorovSmirnov { distance, p, n: sorted.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SplitMix64;

    #[test]
    fn accepts_normal_and_rejects_shifted() {
        let mut random = SplitMix64::new(5);
        let sample: Vec<f64> = (0..2000).map(|_| random.normal()).collect();
        assert!(kolmogorov_smirnov_normal(&sample).p > 1e-3);
        let shifted: Vec<f64> = sample.iter().map(|x| x + 0.2).collect();
        assert!(kolmogorov_smirnov_normal(&shifted).p < 1e-8);
    }
}
