//! How likely is each outcome? Three models of a vote between contestants whose strengths differ by d.

use crate::votes::Outcome;

/// A model of one vote. d is the difference of strengths in nats, first minus second, terms included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// Bradley and Terry 1952: P(first) = σ(d); a tie counts as half a win for each.
    BradleyTerry,
    /// Davidson 1970: P(first) : P(tie) : P(second) = e^(d/2) : ν : e^(−d/2).
    Davidson,
    /// Rao and Kupper 1967: P(first) = σ(d − ln η), P(second) = σ(−d − ln η), the rest is a tie.
    RaoKupper,
}

impl Model {
    /// All models.
    pub const ALL: [Model; 3] = [Model::BradleyTerry, Model::Davidson, Model::RaoKupper];

    /// As on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Model::BradleyTerry => "bradley-terry",
            Model::Davidson => "davidson",
            Model::RaoKupper => "rao-kupper",
        }
    }

    /// Whether the tie has a parameter: ln ν, or ln η above 0.
    pub fn has_tie(self) -> bool {
        self != Model::BradleyTerry
    }

    /// The tie parameter that gives contestants of equal strength the share `ties` of ties, 0 < ties < 1.
    pub(crate) fn tie_start(self, ties: f64) -> f64 {
        let ties = ties.clamp(1e-3, 0.999);
        match self {
            Model::BradleyTerry => 0.0,
            Model::Davidson => (2.0 * ties / (1.0 - ties)).ln(),
            // At d = 0: 1 − 2σ(−c) = ties.
            Model::RaoKupper => ((1.0 + ties) / (1.0 - ties)).ln(),
        }
    }
}

/// Log-likelihood of some votes at one d, and its derivatives in d and the tie parameter t.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// ℓ.
    pub(crate) value: f64,
    /// ∂ℓ/∂d.
    pub(crate) d: f64,
    /// ∂ℓ/∂t.
    pub(crate) t: f64,
    /// −∂²ℓ/∂d².
    pub(crate) dd: f64,
    /// −∂²ℓ/∂d∂t.
    pub(crate) dt: f64,
    /// −∂²ℓ/∂t².
    pub(crate) tt: f64,
}

/// ln σ(x) without overflow.
fn log_sigma(x: f64) -> f64 {
    if x >= 0.0 { -(-x).exp().ln_1p() } else { x - x.exp().ln_1p() }
}

fn sigma(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

impl Model {
    /// Terms of `votes` = (wins of the first, wins of the second, ties).
    pub(crate) fn terms(self, d: f64, t: f64, (win, loss, tie): (f64, f64, f64)) -> Terms {
        let n = win + loss + tie;
        match self {
            Model::BradleyTerry => {
                let p = sigma(d);
                let q = sigma(-d);
                let half = 0.5 * tie;
                Terms {
                    value: (win + half) * log_sigma(d) + (loss + half) * log_sigma(-d),
                    d: (win + half) * q - (loss + half) * p,
                    dd: n * p * q,
                    ..Terms::default()
                }
            }
            Model::Davidson => {
                // Normalised by the largest of the three exponents.
                let top = (0.5 * d.abs()).max(t);
                let parts = [0.5 * d - top, -0.5 * d - top, t - top].map(f64::exp);
                let sum = parts[0] + parts[1] + parts[2];
                let [p, q, e] = parts.map(|x| x / sum);
                let log_sum = top + sum.ln();
                let lean = p - q;
                Terms {
                    value: 0.5 * d * (win - loss) + t * tie - n * log_sum,
                    d: 0.5 * (win - loss - n * lean),
                    t: tie - n * e,
                    dd: 0.25 * n * (p + q - lean * lean),
                    dt: -0.5 * n * lean * e,
                    tt: n * e * (1.0 - e),
                }
            }
            Model::RaoKupper => {
                let (up, down) = (d - t, -d - t);
                let (p, q) = (sigma(up), sigma(down));
                let (p_not, q_not) = (sigma(-up), sigma(-down));
                let (a, b) = (win + tie, loss + tie);
                // ln(η² − 1) with η = e^t, its first derivative, and minus its second.
                let square = (2.0 * t).exp_m1();
                let first = 2.0 * (square + 1.0) / square;
                let second = 4.0 * (square + 1.0) / (square * square);
                let of_ties = if tie == 0.0 { (0.0, 0.0, 0.0) } else { (square.ln(), first, second) };
                Terms {
                    value: a * log_sigma(up) + b * log_sigma(down) + tie * of_ties.0,
                    d: a * p_not - b * q_not,
                    t: -a * p_not - b * q_not + tie * of_ties.1,
                    dd: a * p * p_not + b * q * q_not,
                    dt: -a * p * p_not + b * q * q_not,
                    tt: a * p * p_not + b * q * q_not + tie * of_ties.2,
                }
            }
        }
    }

    /// (∂ℓ/∂d, ∂ℓ/∂t) of one vote.
    pub(crate) fn score(self, d: f64, t: f64, outcome: Outcome) -> (f64, f64) {
        let terms = self.terms(d, t, single(outcome));
        (terms.d, terms.t)
    }
}

/// One vote as (wins of the first, wins of the second, ties).
pub(crate) fn single(outcome: Outcome) -> (f64, f64, f64) {
    match outcome {
        Outcome::First => (1.0, 0.0, 0.0),
        Outcome::Second => (0.0, 1.0, 0.0),
        Outcome::Tie | Outcome::BothBad => (0.0, 0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_value() {
        let votes = (3.0, 5.0, 4.0);
        for model in Model::ALL {
            for (d, t) in [(0.3, 0.4), (-2.0, 1.1), (30.0, 0.2)] {
                let at = |d: f64, t: f64| model.terms(d, t, votes);
                let h = 1e-5;
                let slope = |f: &dyn Fn(f64) -> f64| (f(h) - f(-h)) / (2.0 * h);
                let here = at(d, t);
                let close = |got: f64, want: f64| (got - want).abs() < 1e-6 * (1.0 + want.abs());
                assert!(close(here.d, slope(&|x| at(d + x, t).value)), "{model:?} d");
                assert!(close(here.dd, -slope(&|x| at(d + x, t).d)), "{model:?} dd");
                if model.has_tie() {
                    assert!(close(here.t, slope(&|x| at(d, t + x).value)), "{model:?} t");
                    assert!(close(here.tt, -slope(&|x| at(d, t + x).t)), "{model:?} tt");
                    assert!(close(here.dt, -slope(&|x| at(d + x, t).t)), "{model:?} dt");
                    assert!(close(here.dt, -slope(&|x| at(d, t + x).d)), "{model:?} td");
                }
            }
        }
    }

    #[test]
    fn tie_starts_give_the_share_of_ties() {
        for model in [Model::Davidson, Model::RaoKupper] {
            let t = model.tie_start(0.3);
            let tie = model.terms(0.0, t, (0.0, 0.0, 1.0)).value.exp();
            assert!((tie - 0.3).abs() < 1e-12, "{model:?} {tie}");
        }
    }

    #[test]
    fn nothing_overflows() {
        for model in Model::ALL {
            for d in [-800.0, 800.0] {
                let terms = model.terms(d, 0.5, (1.0, 1.0, 1.0));
                assert!(terms.value.is_finite() && terms.d.is_finite() && terms.dd >= 0.0, "{model:?}");
            }
        }
    }
}
