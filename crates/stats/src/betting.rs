//! Evidence that may be looked at after every vote: a betting mixture.

use statrs::function::beta::{beta_reg, ln_beta};
use std::f64::consts::{LN_2, LN_10};

/// log10 of the e-value against "each time the chance of a win is at most one half", after `wins` and `losses`.
///
/// A bettor who believes in p > ½ multiplies the stake by 2p after a win and 2(1 − p) after a loss; under the null no such bet gains
/// on average, whatever came before. The value is the mean stake over bettors spread by Jeffreys' density on (½, 1) (Robbins
/// 1970; Krichevsky and Trofimov 1981), in closed form: 2^(n+1)·B(w + ½, l + ½)·P(Beta(w + ½, l + ½) > ½)/B(½, ½). It depends on
/// the counts alone. By Ville's inequality it ever exceeds 1/α with probability at most α.
pub fn betting_log10(wins: u64, losses: u64) -> f64 {
    let (a, b) = (wins as f64 + 0.5, losses as f64 + 0.5);
    // P(Beta(a, b) > ½) = P(Beta(b, a) < ½): the small side without cancellation.
    let upper = beta_reg(b, a, 0.5).clamp(f64::MIN_POSITIVE, 1.0);
    let log = (wins + losses + 1) as f64 * LN_2 + ln_beta(a, b) - ln_beta(0.5, 0.5) + upper.ln();
    log / LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_is_the_integral() {
        // Mean of (2p)^w (2(1−p))^l over Jeffreys' density on (½, 1), with p = sin²(t), so that the density is uniform in t.
        for (wins, losses) in [(0, 0), (1, 0), (0, 3), (12, 5), (40, 60)] {
            let steps = 200_000;
            let (low, high) = (std::f64::consts::FRAC_PI_4, std::f64::consts::FRAC_PI_2);
            let mean: f64 = (0..steps)
                .map(|k| {
                    let t: f64 = low + (high - low) * (f64::from(k) + 0.5) / f64::from(steps);
                    let p = t.sin().powi(2);
                    (2.0 * p).powi(wins) * (2.0 * (1.0 - p)).powi(losses)
                })
                .sum::<f64>()
                / f64::from(steps);
            let got = betting_log10(wins as u64, losses as u64);
            assert!((got - mean.log10()).abs() < 1e-8, "{wins} {losses}: {got} {}", mean.log10());
        }
    }

    #[test]
    fn no_bet_gains_on_average_under_the_null() {
        // E(w + 1, l)/2 + E(w, l + 1)/2 ≤ E(w, l), everywhere; with a smaller chance of winning it falls further.
        let e = |w, l| 10f64.powf(betting_log10(w, l));
        for wins in 0..40 {
            for losses in 0..40 {
                let (here, up, down) = (e(wins, losses), e(wins + 1, losses), e(wins, losses + 1));
                assert!(0.5 * (up + down) <= here * (1.0 + 1e-9) && up > down, "{wins} {losses}");
            }
        }
    }

    #[test]
    fn it_grows_without_bound_and_does_not_overflow() {
        assert!(betting_log10(1_000_000, 900_000) > 1100.0);
        assert!(betting_log10(900_000, 1_000_000).is_finite());
    }
}
