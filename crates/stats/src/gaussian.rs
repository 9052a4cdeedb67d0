//! The normal distribution, in log10 where tails matter.

use statrs::distribution::{ContinuousCDF, Normal};
use std::f64::consts::{LN_10, PI};

/// z with P(Z ≤ z) = `probability`.
pub fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// log10 P(|Z| ≥ |z|), accurate in the far tail (continued fraction of Mills' ratio above 8).
pub fn normal_log10_two_sided(z: f64) -> f64 {
    let z = z.abs();
    if z < 8.0 {
        return (2.0 * Normal::standard().sf(z)).log10().min(0.0);
    }
    let mut fraction = z;
    for k in (1..=40).rev() {
        fraction = z + f64::from(k) / fraction;
    }
    ((2.0_f64).ln() - 0.5 * z * z - 0.5 * (2.0 * PI).ln() - fraction.ln()) / LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_against_scipy() {
        // scipy.stats.norm.logsf(z) + log(2), divided by log(10).
        for (z, want) in
            [(1.959_963_985, -1.301_030), (7.9, -14.554_546), (8.1, -15.259_960), (40.0, -349.135_976)]
        {
            assert!((normal_log10_two_sided(z) - want).abs() < 2e-6, "{z}: {}", normal_log10_two_sided(z));
        }
        assert!((normal_quantile(0.99) - 2.326_347_874).abs() < 1e-8);
    }
}
