//! Upper tail of the binomial distribution, to any depth.

use std::f64::consts::LN_10;

/// log10 of the bound `P(Bin(n, q) ≥ k) ≤ exp(−n·D(k/n ‖ q))` for k/n > q, with D the Kullback-Leibler divergence of two
/// coins (Chernoff 1952); 0 below. Never smaller than the tail itself, for every n.
pub fn binomial_tail(k: u64, n: u64, q: f64) -> f64 {
    if n == 0 || !(0.0..1.0).contains(&q) {
        return 0.0;
    }
    let share = k.min(n) as f64 / n as f64;
    if share <= q {
        return 0.0;
    }
    if q == 0.0 {
        return f64::NEG_INFINITY;
    }
    let rest = if share < 1.0 { (1.0 - share) * ((1.0 - share) / (1.0 - q)).ln() } else { 0.0 };
    -(n as f64) * (share * (share / q).ln() + rest) / LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_the_tail_and_is_close() {
        // P(Bin(20, 0.05) ≥ 5) = 0.002574 by summation.
        let tail: f64 = (5..=20_u64)
            .map(|k| {
                let choose: f64 = (0..k).map(|i| (20 - i) as f64 / (i + 1) as f64).product();
                choose * 0.05_f64.powi(k as i32) * 0.95_f64.powi(20 - k as i32)
            })
            .sum();
        let bound = binomial_tail(5, 20, 0.05);
        assert!(bound >= tail.log10() && bound < tail.log10() + 1.0, "{bound} {}", tail.log10());
        assert_eq!(binomial_tail(1, 20, 0.05), 0.0);
        assert!((binomial_tail(768, 768, 0.05) - 768.0 * 0.05_f64.log10()).abs() < 1e-9);
        assert_eq!(binomial_tail(3, 0, 0.05), 0.0);
    }
}
