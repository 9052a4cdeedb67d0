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
    /// Bound of the test that made it (`sign_flip`: two sides, `sequential_sign_flip`: one), log10; at most 0.
    pub log10_p: f64,
    /// Terms that are not zero (a zero has no sign and carries no evidence).
    pub n: u64,
    /// `Σ a²`.
    pub sum_of_squares: f64,
}

/// Two-sided sign-flip test. Non-finite terms count as zero. O(m) per Newton step, at most 60 steps; O(m) in all where
/// Hoeffding's bound already shows that nothing was found.
pub fn sign_flip(terms: &[f64]) -> SignFlip {
    let mut scaled: Vec<f64> = terms.iter().copied().filter(|a| a.is_finite() && *a != 0.0).collect();
    let largest = scaled.iter().fold(0.0_f64, |m, a| m.max(a.abs()));
    if largest == 0.0 {
        return SignFlip { statistic: 0.0, log10_p: 0.0, n: 0, sum_of_squares: 0.0 };
    }
    // Scaling leaves signs alone and keeps λ·a in range.
    scaled.iter_mut().for_each(|a| *a /= largest);
    let total = scaled.iter().copied().collect::<Sum>().value();
    let squares = scaled.iter().map(|a| a * a).collect::<Sum>().value();
    let towards = total.signum();
    scaled.iter_mut().for_each(|a| *a *= towards);
    SignFlip {
        statistic: total / squares.sqrt(),
        // Both tails: at most twice one of them.
        log10_p: ((log_tail_bound(&scaled, total.abs(), squares) + LN_2) / LN_10).min(0.0),
        n: scaled.len() as u64,
        sum_of_squares: squares * largest * largest,
    }
}

/// `min_λ≥0 [Σ log cosh(λ a_i) − λ s]` for terms of sum `s ≥ 0`. The objective is convex in λ and *every* λ gives a valid
/// bound, so an iteration that stops early is conservative, never wrong.
fn log_tail_bound(terms: &[f64], s: f64, squares: f64) -> f64 {
    let floor = -(terms.len() as f64) * LN_2;
    if terms.iter().all(|a| *a > 0.0) {
        return floor;
    }
    // Hoeffding's optimum is the first guess.
    let hoeffding = s / squares;
    if 0.5 * s * hoeffding <= LN_2 {
        return 0.0;
    }
    // log cosh(x) − x = ln(1 + e^(−2x)) − ln 2 term by term: nothing cancels, however large λ grows.
    let objective = |lambda: f64| {
        let term = |a: &f64| {
            let x = lambda * a.abs();
            (-2.0 * x).exp().ln_1p() - LN_2 + if *a < 0.0 { 2.0 * x } else { 0.0 }
        };
        terms.iter().map(term).collect::<Sum>().value()
    };
    // Slope and curvature only say where to look, so plain sums do.
    let slope = |lambda: f64| {
        let (mut first, mut second) = (0.0, 0.0);
        for a in terms.iter().map(|a| a.abs()) {
            let t = (lambda * a).tanh();
            first += a * t;
            second += a * a * (1.0 - t * t);
        }
        (first - s, second)
    };
    // Newton, kept inside a bracket by bisection.
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut lambda = hoeffding;
    for _ in 0..60 {
        let (first, second) = slope(lambda);
        // The bound is within first²/(2·second) of its minimum.
        if first * first <= 1e-9 * second || first.abs() <= 1e-10 * s {
            return objective(lambda).clamp(floor, 0.0);
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
    objective(lambda).min(objective(hoeffding)).clamp(floor, 0.0)
}

/// The smallest share ρ that the test would have found with probability `power` at level 10^`log10_alpha` (two-sided),
/// when term i is `ρ·reach_i` plus the fluctuation that was observed. The effect enlarges Σa² as well, so ρ solves
/// `ρ·R / √(Σa² + ρ²·Q) = t` with `R = Σ reach`, `Q = Σ reach²` and `t = √(2 ln(2/α)) + z_power`:
/// `ρ = t·√Σa² / √(R² − t²·Q)`. Uses Hoeffding's threshold, so the true power is a little higher. `None` when nothing was
/// testable, when there are too few channels (R² ≤ t²·Q), or when ρ exceeds 1.
pub fn detectable_share(
    sum_of_squares: f64,
    reach: f64,
    reach_squared: f64,
    log10_alpha: f64,
    power: f64,
) -> Option<f64> {
    let threshold = (2.0 * (LN_2 - log10_alpha * LN_10)).sqrt() + crate::normal_quantile(power);
    let room = reach * reach - threshold * threshold * reach_squared;
    if !(reach > 0.0 && sum_of_squares > 0.0 && room > 0.0) {
        return None;
    }
    let share = threshold * sum_of_squares.sqrt() / room.sqrt();
    (share <= 1.0).then_some(share)
}

#[cfg(test)]
#[path = "sign_flip_tests.rs"]
mod tests;
