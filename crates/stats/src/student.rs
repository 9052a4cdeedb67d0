//! Student's distribution, for errors that are themselves estimated from few clusters.

use crate::normal_quantile;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Degrees of freedom beyond which the normal quantile is taken; they differ by less than 3e-6 relative there.
const MANY: f64 = 1e6;

/// t with P(T ≤ t) = `probability` for `freedom` > 0 degrees of freedom.
pub fn student_quantile(probability: f64, freedom: f64) -> f64 {
    if freedom >= MANY {
        return normal_quantile(probability);
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_against_scipy() {
        // scipy.stats.t.ppf(p, df).
        for (p, freedom, want) in [
            (0.975, 12.0, 2.178_812_829_7),
            (0.975, 999.0, 1.962_341_461_1),
            (0.9999, 5.0, 9.677_566_297_3),
            (0.025, 3.0, -3.182_446_305_3),
            (0.975, 1e9, 1.959_963_984_5),
        ] {
            assert!(
                (student_quantile(p, freedom) - want).abs() < 1e-6,
                "{p} {freedom}: {}",
                student_quantile(p, freedom)
            );
        }
    }
}
