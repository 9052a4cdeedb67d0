//! The sign-flip (Rademacher) test: exact, for every sample size, to any depth.
//!
//! Statement: given numbers `a_1 … a_m` whose *signs* are independent fair coins under the null, however large or
//! unequal their magnitudes, `P(S ≥ s) ≤ exp(min_λ [Σ log cosh(λ a_i) − λ s])` for `S = Σ a_i` (Chernoff's bound with the
//! exact moment generating function of a Rademacher sum). It is never looser than Hoeffding's `exp(−T²/2)` with
//! `T = S/√Σa²`, and tends to the exact `2^−m` when all signs agree. Method note: docs/methods/sign-flip.md.

use crate::Sum;
use std::f64::consts::{LN_2, LN_10};

/// Outcome of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignFlip {
    /// Studentised sum `Σa / √Σa²`; about standard normal under the null when no few terms dominate.
    pub statistic: f64,
    /// Two-sided bound, log10; at most 0.
    pub log10_p: f64,
    /// Terms that are not zero (a zero has no sign and carries no evidence).
    pub n: u64,
    /// `Σ a²`.
    pub sum_of_squares: f64,
}

/// Two-sided sign-flip test. Non-finite terms count as zero. O(m) per Newton step, at most 60 steps.
pub fn sign_flip(terms: &[f64]) -> SignFlip {
    let finite = || terms.iter().copied().filter(|a| a.is_finite() && *a != 0.0);
    let largest = finite().fold(0.0_f64, |m, a| m.max(a.abs()));
    if largest == 0.0 {
        return SignFlip { statistic: 0.0, log10_p: 0.0, n: 0, sum_of_squares: 0.0 };
    }
    // Scaling leaves signs alone and keeps λ·a in range.
    let total = finite().map(|a| a / largest).collect::<Sum>().value();
    let squares = finite().map(|a| (a / largest) * (a / largest)).collect::<Sum>().value();
    let n = finite().count() as u64;
    let log_tail = log_tail_bound(total.abs(), squares, n, || finite().map(|a| (a / largest).abs()));
    SignFlip {
        statistic: total / squares.sqrt(),
        // Both tails: at most twice one of them.
        log10_p: ((log_tail + LN_2) / LN_10).min(0.0),
        n,
        sum_of_squares: squares * largest * largest,
    }
}

/// `min_λ≥0 [Σ log cosh(λ a_i) − λ s]` for `s ≥ 0`. The objective is convex in λ and *every* λ gives a valid bound, so an
/// iteration that stops early is conservative, never wrong.
fn log_tail_bound<I: Iterator<Item = f64>>(s: f64, squares: f64, n: u64, magnitudes: impl Fn() -> I) -> f64 {
    let floor = -(n as f64) * LN_2;
    let reach = magnitudes().collect::<Sum>().value();
    if s >= reach * (1.0 - 1e-15) {
        return floor;
    }
    let objective =
        |lambda: f64| magnitudes().map(|a| log_cosh(lambda * a)).collect::<Sum>().value() - lambda * s;
    let slope = |lambda: f64| {
        let (mut first, mut second) = (Sum::default(), Sum::default());
        for a in magnitudes() {
            let t = (lambda * a).tanh();
            first.add(a * t);
            second.add(a * a * (1.0 - t * t));
        }
        (first.value() - s, second.value())
    };
    // Hoeffding's optimum is the first guess; Newton, kept inside a bracket by bisection.
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut lambda = s / squares;
    for _ in 0..60 {
        let (first, second) = slope(lambda);
        if first.abs() <= 1e-10 * (s + 1e-300) {
            break;
        }
        if first < 0.0 {
            low = lambda;
        } else {
            high = lambda;
        }
        let newton = lambda - first / second;
        let next = if newton > low && newton < high && second > 0.0 {
            newton
        } else if high.is_finite() {
            0.5 * (low + high)
        } else {
            lambda * 2.0
        };
        if (next - lambda).abs() <= 1e-14 * lambda || next > 1e15 {
            break;
        }
        lambda = next;
    }
    objective(lambda).min(objective(s / squares)).clamp(floor, 0.0)
}

/// `ln cosh x` without overflow.
fn log_cosh(x: f64) -> f64 {
    let x = x.abs();
    if x < 1e-4 { 0.5 * x * x - x.powi(4) / 12.0 } else { x + (-2.0 * x).exp().ln_1p() - LN_2 }
}

/// The smallest share ρ that the test would have found with probability `power` at level 10^`log10_alpha` (two-sided),
/// when term i is `ρ·reach_i` plus the fluctuation that was observed: `ρ = (√(2 ln(2/α)) + z_power)·√Σa² / Σ reach_i`.
/// Uses Hoeffding's threshold, so it understates the power slightly. `None` when nothing was testable or ρ exceeds 1.
pub fn detectable_share(sum_of_squares: f64, reach: f64, log10_alpha: f64, power: f64) -> Option<f64> {
    if !(reach > 0.0 && sum_of_squares > 0.0) {
        return None;
    }
    let threshold = (2.0 * (LN_2 - log10_alpha * LN_10)).sqrt();
    let share = (threshold + crate::normal_quantile(power)) * sum_of_squares.sqrt() / reach;
    (share <= 1.0).then_some(share)
}

#[cfg(test)]
#[path = "sign_flip_tests.rs"]
mod tests;
