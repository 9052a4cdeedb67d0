//! Quasi-likelihood fit of abilities, slopes and difficulties, and the spread that makes the residuals as large as they should be.

use super::Score;
use crate::dense::{Cholesky, Square};

/// Logits beyond this are bounded: a share of 1e-13 is no score of any benchmark.
const FAR: f64 = 30.0;
/// Most steps of a fit.
const STEPS: u32 = 500;
/// Most values of the spread that are tried.
const SPREADS: u32 = 60;

/// Where everything stands: the expected score of model m on unit u is σ(alpha_u·theta_m − beta_u).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    /// Abilities; their mean is 0, their standard deviation 1.
    pub(crate) theta: Vec<f64>,
    pub(crate) alpha: Vec<f64>,
    pub(crate) beta: Vec<f64>,
}

/// A fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fit {
    pub(crate) state: State,
    /// τ², of logits.
    pub(crate) variance: f64,
    pub(crate) chi_square: f64,
    pub(crate) steps: u32,
}

/// One score at a state.
pub(crate) struct At {
    pub(crate) expected: f64,
    /// Fisher information on the logit.
    pub(crate) weight: f64,
    /// (score − expected)/(p(1 − p)).
    pub(crate) residual: f64,
}

impl State {
    pub(crate) fn logit(&self, cell: &Score) -> f64 {
        let u = cell.unit as usize;
        (self.alpha[u] * self.theta[cell.model as usize] - self.beta[u]).clamp(-FAR, FAR)
    }

    pub(crate) fn at(&self, cell: &Score, variance: f64) -> At {
        let eta = self.logit(cell);
        let (p, q) = (1.0 / (1.0 + (-eta).exp()), 1.0 / (1.0 + eta.exp()));
        let slope = p * q;
        // Williams' third variance: p(1 − p)/n · (1 + (n − 1)·τ²·p(1 − p)).
        let weight = cell.items * slope / (1.0 + (cell.items - 1.0) * variance * slope);
        // Of s − p the part that does not cancel near the ends.
        let residual = (cell.score * q - (1.0 - cell.score) * p) / slope;
        At { expected: p, weight, residual }
    }

    /// Abilities of mean 0 and standard deviation 1, most slopes positive; the expected scores stay.
    fn normalise(&mut self) {
        let n = self.theta.len() as f64;
        let mean = self.theta.iter().sum::<f64>() / n;
        let spread = (self.theta.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n).sqrt();
        if !(spread.is_finite() && spread > 0.0) {
            return;
        }
        let unit = if self.alpha.iter().sum::<f64>() < 0.0 { -spread } else { spread };
        self.theta.iter_mut().for_each(|t| *t = (*t - mean) / unit);
        for (alpha, beta) in self.alpha.iter_mut().zip(&mut self.beta) {
            *beta -= *alpha * mean;
            *alpha *= unit;
        }
    }
}

/// The quasi-likelihood of one score, ∫ (s − t)/v(t) dt up to p, in closed form; up to a constant in s.
fn quasi(cell: &Score, eta: f64, variance: f64) -> f64 {
    // ln σ(η) and ln σ(−η), without cancellation.
    let ln = |eta: f64| -((-eta).exp().ln_1p());
    let (s, n) = (cell.score, cell.items);
    let plain = s * ln(eta) + (1.0 - s) * ln(-eta);
    let k = (n - 1.0) * variance;
    if k <= 1e-12 {
        return n * plain;
    }
    let (u, a) = (0.5 * (0.5 * eta).tanh(), 1.0 + 0.25 * k);
    let part = k * (s - 0.5) / (a * k).sqrt() * (u * (k / a).sqrt()).atanh() + 0.5 * (a - k * u * u).ln();
    n * (plain - part)
}

impl Fit {
    /// The fit whose residuals are as large as their degrees of freedom say (Williams 1982); a spread of 0 where they are smaller.
    pub(crate) fn with_spread(models: usize, units: usize, cells: &[Score], freedom: f64) -> Option<Fit> {
        let at_zero = Fit::at(start(models, units, cells), cells, 0.0)?;
        if at_zero.chi_square <= freedom {
            return Some(at_zero);
        }
        // X² falls as the variance grows. Bracket, then false position on ln X² (Illinois).
        let gap = |fit: &Fit| (fit.chi_square / freedom).ln();
        let (mut low, mut low_gap) = (0.0, gap(&at_zero));
        let mut fit = Fit::at(at_zero.state, cells, 0.01)?;
        let (mut high, mut high_gap) = (0.01, gap(&fit));
        let mut tried = 0;
        while high_gap > 0.0 {
            (low, low_gap) = (high, high_gap);
            high *= 8.0;
            fit = Fit::at(fit.state, cells, high)?;
            high_gap = gap(&fit);
            tried += 1;
            if tried > SPREADS {
                return None;
            }
        }
        for _ in 0..SPREADS {
            if fit.chi_square > 0.0 && gap(&fit).abs() < 1e-9 || (high - low) < 1e-12 * high {
                break;
            }
            let share = (low_gap / (low_gap - high_gap)).clamp(0.01, 0.99);
            let middle = low + share * (high - low);
            fit = Fit::at(fit.state, cells, middle)?;
            let here = gap(&fit);
            if here > 0.0 {
                (low, low_gap) = (middle, here);
                high_gap *= 0.5;
            } else {
                (high, high_gap) = (middle, here);
                low_gap *= 0.5;
            }
        }
        Some(fit)
    }

    /// The fit at a given variance, by damped Fisher scoring from `state` (Levenberg 1944; Marquardt 1963). `None` where it does
    /// not come to rest, or comes to rest at a logit that is bounded.
    pub(crate) fn at(mut state: State, cells: &[Score], variance: f64) -> Option<Fit> {
        let merit = |state: &State| cells.iter().map(|c| quasi(c, state.logit(c), variance)).sum::<f64>();
        state.normalise();
        let mut here = merit(&state);
        let mut damping = 1e-3;
        for step in 1..=STEPS {
            let normal = Normal::new(&state, cells, variance);
            let mut moved = false;
            // More damping until the quasi-likelihood rises.
            for _ in 0..40 {
                let Some((change, gain)) = normal.solve(damping) else {
                    damping = (damping * 10.0).max(1e-9);
                    continue;
                };
                let tried = state.moved(&change);
                let there = merit(&tried);
                let ended = gain < 1e-11 * cells.len() as f64;
                if there.is_finite() && there >= here - 1e-13 * here.abs() {
                    state = tried;
                    state.normalise();
                    here = there;
                    damping = (damping * 0.2).max(1e-12);
                    moved = true;
                    if ended {
                        return Fit::finish(state, cells, variance, step);
                    }
                    break;
                }
                if ended {
                    return Fit::finish(state, cells, variance, step);
                }
                damping = (damping * 10.0).max(1e-9);
            }
            if !moved {
                return None;
            }
        }
        None
    }

    fn finish(state: State, cells: &[Score], variance: f64, steps: u32) -> Option<Fit> {
        if cells.iter().any(|c| state.logit(c).abs() >= FAR) || state.theta.iter().any(|t| !t.is_finite()) {
            return None;
        }
        let mut fit = Fit { state, variance, chi_square: 0.0, steps };
        fit.chi_square = cells.iter().map(|c| fit.standardised(c).powi(2)).sum();
        Some(fit)
    }

    /// (score − expected) over its standard deviation.
    pub(crate) fn standardised(&self, cell: &Score) -> f64 {
        let at = self.state.at(cell, self.variance);
        at.residual * at.weight.sqrt()
    }
}

impl State {
    fn moved(&self, change: &State) -> State {
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        State {
            theta: sum(&self.theta, &change.theta),
            alpha: sum(&self.alpha, &change.alpha),
            beta: sum(&self.beta, &change.beta),
        }
    }
}

/// The normal equations: a diagonal for models, 2 × 2 blocks for units, and what lies between.
pub(crate) struct Normal {
    pub(crate) gradient: State,
    /// Information of each ability.
    pub(crate) models: Vec<f64>,
    /// Of (alpha, beta) of each unit: αα, αβ, ββ.
    pub(crate) units: Vec<[f64; 3]>,
    /// (model, unit, with alpha, with beta), sorted by model.
    pub(crate) between: Vec<(u32, u32, f64, f64)>,
}

impl Normal {
    pub(crate) fn new(state: &State, cells: &[Score], variance: f64) -> Normal {
        let (m, u) = (state.theta.len(), state.alpha.len());
        let mut out = Normal {
            gradient: State { theta: vec![0.0; m], alpha: vec![0.0; u], beta: vec![0.0; u] },
            models: vec![0.0; m],
            units: vec![[0.0; 3]; u],
            between: Vec::with_capacity(cells.len()),
        };
        for cell in cells {
            let (i, j) = (cell.model as usize, cell.unit as usize);
            let At { weight, residual, .. } = state.at(cell, variance);
            let (theta, alpha) = (state.theta[i], state.alpha[j]);
            let score = weight * residual;
            out.gradient.theta[i] += alpha * score;
            out.gradient.alpha[j] += theta * score;
            out.gradient.beta[j] -= score;
            out.models[i] += weight * alpha * alpha;
            out.units[j][0] += weight * theta * theta;
            out.units[j][1] -= weight * theta;
            out.units[j][2] += weight;
            out.between.push((cell.model, cell.unit, weight * alpha * theta, -weight * alpha));
        }
        out
    }

    /// The Schur complement of the models, on (alpha, beta) of each unit in turn. `models`: their diagonal.
    pub(crate) fn complement(&self, models: &[f64], damping: f64) -> Square {
        let mut out = Square::zero(2 * self.units.len());
        for (j, [aa, ab, bb]) in self.units.iter().enumerate() {
            *out.at_mut(2 * j, 2 * j) = aa * (1.0 + damping);
            *out.at_mut(2 * j, 2 * j + 1) = *ab;
            *out.at_mut(2 * j + 1, 2 * j) = *ab;
            *out.at_mut(2 * j + 1, 2 * j + 1) = bb * (1.0 + damping);
        }
        for list in self.between.chunk_by(|a, b| a.0 == b.0) {
            let own = models[list[0].0 as usize];
            for (_, j, xa, xb) in list {
                for (_, k, ya, yb) in list {
                    let (j, k) = (2 * *j as usize, 2 * *k as usize);
                    *out.at_mut(j, k) -= xa * ya / own;
                    *out.at_mut(j, k + 1) -= xa * yb / own;
                    *out.at_mut(j + 1, k) -= xb * ya / own;
                    *out.at_mut(j + 1, k + 1) -= xb * yb / own;
                }
            }
        }
        out
    }

    /// A damped step, and what the quasi-likelihood would gain by it if it were quadratic.
    fn solve(&self, damping: f64) -> Option<(State, f64)> {
        // Where a slope is 0 a model's ability is free for now; the floor keeps it where it is.
        let floor = 1e-9 * self.models.iter().sum::<f64>() / self.models.len().max(1) as f64;
        let models: Vec<f64> = self.models.iter().map(|a| a * (1.0 + damping) + floor).collect();
        let mut right: Vec<f64> =
            self.gradient.alpha.iter().zip(&self.gradient.beta).flat_map(|(a, b)| [*a, *b]).collect();
        for (i, j, xa, xb) in &self.between {
            let own = self.gradient.theta[*i as usize] / models[*i as usize];
            right[2 * *j as usize] -= xa * own;
            right[2 * *j as usize + 1] -= xb * own;
        }
        let solved = Cholesky::new(self.complement(&models, damping), false)?.solve(&right);
        let mut theta = self.gradient.theta.clone();
        for (i, j, xa, xb) in &self.between {
            theta[*i as usize] -= xa * solved[2 * *j as usize] + xb * solved[2 * *j as usize + 1];
        }
        theta.iter_mut().zip(&models).for_each(|(t, own)| *t /= own);
        let change = State {
            theta,
            alpha: solved.iter().step_by(2).copied().collect(),
            beta: solved.iter().skip(1).step_by(2).copied().collect(),
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let gain = dot(&change.theta, &self.gradient.theta)
            + dot(&change.alpha, &self.gradient.alpha)
            + dot(&change.beta, &self.gradient.beta);
        gain.is_finite().then_some((change, gain))
    }
}

/// Abilities from means of standardised logits, then lines of each unit on them, in turn.
fn start(models: usize, units: usize, cells: &[Score]) -> State {
    let logit = |c: &Score| {
        let share = (c.score * c.items + 0.5) / (c.items + 1.0);
        (share / (1.0 - share)).ln()
    };
    let mut state = State { theta: vec![0.0; models], alpha: vec![1.0; units], beta: vec![0.0; units] };
    let mut of_unit = vec![(0.0, 0.0, 0.0); units];
    for c in cells {
        let (n, sum, squares) = &mut of_unit[c.unit as usize];
        let x = logit(c);
        (*n, *sum, *squares) = (*n + 1.0, *sum + x, *squares + x * x);
    }
    for (u, (n, sum, squares)) in of_unit.iter().enumerate() {
        let mean = sum / f64::max(*n, 1.0);
        state.alpha[u] = (squares / f64::max(*n, 1.0) - mean * mean).max(1e-4).sqrt();
        state.beta[u] = -mean;
    }
    for _ in 0..30 {
        let mut sums = vec![(0.0, 0.0); models];
        for c in cells {
            let u = c.unit as usize;
            let (top, bottom) = &mut sums[c.model as usize];
            *top += state.alpha[u] * (logit(c) + state.beta[u]);
            *bottom += state.alpha[u].powi(2);
        }
        state.theta = sums.iter().map(|(top, bottom)| top / f64::max(*bottom, 1e-9)).collect();
        state.normalise();
        let mut lines = vec![[0.0; 5]; units];
        for c in cells {
            let (x, y) = (state.theta[c.model as usize], logit(c));
            let line = &mut lines[c.unit as usize];
            line.iter_mut().zip([1.0, x, y, x * x, x * y]).for_each(|(sum, more)| *sum += more);
        }
        for (u, [n, x, y, xx, xy]) in lines.into_iter().enumerate() {
            // A little of a slope of 1 keeps a unit with equal abilities from running away.
            let slope = (n * xy - x * y + 1e-3) / (n * xx - x * x + 1e-3);
            state.alpha[u] = slope;
            state.beta[u] = (slope * x - y) / f64::max(n, 1.0);
        }
    }
    state
}
