//! The sign-flip test for terms whose sizes depend on earlier signs: exact, one-sided.
//!
//! Statement: let the sign of `t_i`, given everything that decides `|t_i|` and given `t_1 … t_{i−1}`, be a coin, and let the conditional
//! means of all terms sum to at most `a`. Then, for a tilt λ that is fixed beforehand, `exp(λ(S − a) − Σ log cosh(λ t_i))` with
//! `S = Σ t_i` has mean at most 1, so that its inverse is a p-value (Ville 1939; de la Peña 1999 for symmetric terms): for a coin of bias
//! δ, `E e^(λt) = cosh λ|t| + 2δ sinh λ|t| ≤ cosh(λ|t|) e^(2δλ|t|)`, and `2δ|t|` is the mean. Method note: docs/methods/untrained-tokens.md.

use crate::{SignFlip, Sum};
use std::f64::consts::{LN_2, LN_10};

/// Tilt in standard deviations: where the bound is tightest, which is at p of about 10^−5.4, what a family of some hundred tests needs.
/// Elsewhere it is looser: a p of 10^−9 is given as 10^−8.
const TILT: f64 = 5.0;

/// One-sided test for agreement. `sum_of_squares` is the variance of the sum under the null, of numbers that no sign changes; `allowance` is
/// what the sum may be on average under the null, 0 for fair coins. The statistic is the studentised sum, without the allowance. O(m).
pub fn sequential_sign_flip(terms: &[f64], sum_of_squares: f64, allowance: f64) -> SignFlip {
    let n = terms.iter().filter(|t| **t != 0.0).count() as u64;
    let scale = sum_of_squares.sqrt();
    let total = terms.iter().copied().collect::<Sum>().value();
    if n == 0 || !(scale > 0.0 && total.is_finite() && scale.is_finite() && allowance >= 0.0) {
        return SignFlip { statistic: 0.0, log10_p: 0.0, n: 0, sum_of_squares: 0.0 };
    }
    // log cosh(x) − x = ln(1 + e^(−2|x|)) − ln 2, and 2|x| more where x < 0: nothing cancels.
    let term = |t: &f64| {
        let x = TILT * t / scale;
        (-2.0 * x.abs()).exp().ln_1p() - LN_2 + 2.0 * (-x).max(0.0)
    };
    let log_p = terms.iter().filter(|t| **t != 0.0).map(term).collect::<Sum>().value();
    SignFlip {
        statistic: total / scale,
        log10_p: ((log_p + TILT * allowance / scale) / LN_10).min(0.0),
        n,
        sum_of_squares,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SplitMix64;

    /// Each size depends on the signs before it; the coins have the bias that makes the means sum to `allowance`.
    fn terms(random: &mut SplitMix64, m: usize, allowance: f64) -> (Vec<f64>, f64) {
        let mut terms: Vec<f64> = Vec::new();
        let mut walk = 0.0_f64;
        for _ in 0..m {
            let size = 0.2 + (walk.sin() + 1.0) * random.uniform();
            let bias = (allowance / (2.0 * m as f64 * size)).min(0.5);
            let sign = if random.uniform() < 0.5 + bias { 1.0 } else { -1.0 };
            walk += sign;
            terms.push(sign * size);
        }
        let squares = m as f64 * 1.5;
        (terms, squares)
    }

    #[test]
    fn p_is_a_bound_with_and_without_an_allowance() {
        let mut random = SplitMix64::new(5);
        let draws = 40_000;
        for allowance in [0.0, 8.0] {
            let below = (0..draws)
                .filter(|_| {
                    let (terms, squares) = terms(&mut random, 60, allowance);
                    sequential_sign_flip(&terms, squares, allowance).log10_p <= -2.0
                })
                .count();
            // 1 % of the draws and four standard deviations.
            assert!(
                below as f64 <= 0.01 * f64::from(draws) + 4.0 * (0.01 * f64::from(draws)).sqrt(),
                "{below}"
            );
        }
        // Without the allowance the same draws are far too often below: the test can fail.
        let accused = (0..4000)
            .filter(|_| {
                let (terms, squares) = terms(&mut random, 60, 30.0);
                sequential_sign_flip(&terms, squares, 0.0).log10_p <= -2.0
            })
            .count();
        assert!(accused > 400, "{accused}");
    }

    #[test]
    fn strong_agreement_tends_to_one_half_for_each_term() {
        let found = sequential_sign_flip(&[90.0; 40], 40.0, 0.0);
        assert!((found.log10_p + 40.0 * 2.0_f64.log10()).abs() < 1e-6, "{}", found.log10_p);
        assert_eq!(found.n, 40);
        let opposed = sequential_sign_flip(&[-90.0; 40], 40.0, 0.0);
        assert_eq!(opposed.log10_p, 0.0);
    }

    #[test]
    fn nothing_or_none_says_nothing() {
        for (terms, squares) in
            [(vec![], 1.0), (vec![0.0; 3], 1.0), (vec![1.0], 0.0), (vec![f64::NAN, 1.0], 1.0)]
        {
            let found = sequential_sign_flip(&terms, squares, 0.0);
            assert_eq!((found.log10_p, found.n), (0.0, 0));
        }
    }
}
