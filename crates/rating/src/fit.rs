//! Which strengths make the votes most likely? Newton's method on pair counts; the likelihoods are concave.

use crate::components::components;
use crate::dense::{Cholesky, Square};
use crate::model::{Model, Terms};
use crate::sparse;
use stemmata_stats::Sum;

/// Votes with one difference of strengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// In the first seat.
    pub(crate) first: u32,
    /// In the second seat.
    pub(crate) second: u32,
    /// Wins of the first, wins of the second, ties.
    pub(crate) votes: (f64, f64, f64),
}

impl Row {
    /// Who beat or tied whom.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (win, loss, tie) = self.votes;
        let forth = (win + tie > 0.0).then_some((self.first, self.second));
        let back = (loss + tie > 0.0).then_some((self.second, self.first));
        forth.into_iter().chain(back)
    }
}

/// What is fitted: one strongly connected component, contestants numbered from 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Design {
    /// Contestants.
    pub(crate) contestants: usize,
    /// Votes.
    pub(crate) rows: Vec<Row>,
    /// How many terms beside the strengths.
    pub(crate) terms: usize,
    /// Values of the terms, `terms` for each row: what is added to the difference of strengths, per unit of the coefficient.
    pub(crate) values: Vec<f64>,
    /// λ of the penalty λ/2·Σβ² on the coefficients of the terms, votes; strengths and ties have none.
    pub(crate) ridge: f64,
}

impl Design {
    /// Whether the votes link all contestants both ways, which a finite fit needs.
    pub(crate) fn is_linked(&self) -> bool {
        let edges: Vec<(u32, u32)> = self.rows.iter().flat_map(Row::edges).collect();
        components(self.contestants, &edges).members.len() <= 1
    }

    /// Values of the terms in a row.
    pub(crate) fn values_of(&self, row: usize) -> &[f64] {
        &self.values[row * self.terms..][..self.terms]
    }
}

/// Parameters are strengths, then terms, then the tie where the model has one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fit {
    /// The model.
    pub(crate) model: Model,
    /// Strengths in nats; their mean is 0.
    pub(crate) strengths: Vec<f64>,
    /// Coefficients of the terms.
    pub(crate) terms: Vec<f64>,
    /// ln ν or ln η.
    pub(crate) tie: Option<f64>,
    /// λ of the penalty on the terms.
    pub(crate) ridge: f64,
    /// ln of the likelihood, counting coefficients left out, less the penalty.
    pub(crate) log_likelihood: f64,
    /// Largest element of the gradient at the end, in votes.
    pub(crate) gradient: f64,
    /// Newton steps taken.
    pub(crate) steps: u32,
}

/// Why there is no fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFit {
    /// The terms or ties leave a direction in which the likelihood never falls: there is no unique finite maximum.
    Separated,
    /// The gradient did not vanish within the steps allowed.
    NotConverged,
}

/// Steps at most; from a cold start 5 to 8 are usual.
const STEPS: u32 = 200;
/// A Newton step no longer than this, in nats, is the last one: convergence is quadratic, so what remains is below 1e-15.
const LAST: f64 = 1e-8;
/// A gradient of this share of the votes is rounding, after a step no longer than this.
const ROUNDING: f64 = 1e-15;
const SHORT: f64 = 1e-3;
/// No step moves a parameter further.
const LONGEST: f64 = 4.0;
/// Parameters up to which a step is solved by a dense factor.
const DENSE: usize = 512;

impl Fit {
    /// Number of parameters.
    pub(crate) fn parameters(&self) -> usize {
        self.strengths.len() + self.terms.len() + usize::from(self.tie.is_some())
    }

    /// The difference of strengths in a row, terms included.
    pub(crate) fn difference(&self, first: u32, second: u32, values: &[f64]) -> f64 {
        let terms: f64 = self.terms.iter().zip(values).map(|(b, x)| b * x).sum();
        self.strengths[first as usize] - self.strengths[second as usize] + terms
    }

    /// The information matrix −∂²ℓ, the penalty's part included, of side [`Fit::parameters`]. A shift of all strengths changes nothing: it is singular.
    pub(crate) fn information(&self, design: &Design) -> Square {
        assemble(self, design).information(design)
    }

    /// The inverse of the information, generalised: sums over strengths are 0.
    pub(crate) fn inverse_information(&self, design: &Design) -> Option<Square> {
        let (matrix, gauge) = regular(self.information(design), design.contestants);
        let mut inverse = Cholesky::new(matrix, false)?.inverse();
        let n = design.contestants;
        for i in 0..n {
            for j in 0..n {
                *inverse.at_mut(i, j) -= 1.0 / (gauge * n as f64);
            }
        }
        Some(inverse)
    }
}

/// Fits from strengths of 0, or from another fit of the same shape.
pub(crate) fn fit(design: &Design, model: Model, start: Option<&Fit>) -> Result<Fit, NoFit> {
    if model.has_tie() {
        // Without ties ν falls to 0 and η to 1, without decided votes both grow for ever.
        let ties: f64 = design.rows.iter().map(|row| row.votes.2).sum();
        let decided: f64 = design.rows.iter().map(|row| row.votes.0 + row.votes.1).sum();
        if ties == 0.0 || decided == 0.0 {
            return Err(NoFit::Separated);
        }
    }
    let mut fit = match start {
        Some(start) => start.clone(),
        None => cold(design, model),
    };
    let votes: f64 = design.rows.iter().map(|row| row.votes.0 + row.votes.1 + row.votes.2).sum();
    let mut here = assemble(&fit, design);
    for step in 1..=STEPS {
        let Some(mut direction) = here.newton(design) else { return Err(NoFit::Separated) };
        if direction.iter().any(|x| !x.is_finite()) {
            return Err(NoFit::Separated);
        }
        let length = direction.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let scale = if length > LONGEST { LONGEST / length } else { 1.0 };
        direction.iter_mut().for_each(|x| *x *= scale);
        let before = here.log_likelihood;
        let mut share = 1.0;
        let next = loop {
            let tried = moved(&fit, &direction, share);
            if let Some(tried) = tried {
                let there = assemble(&tried, design);
                // Rounding of the sum of that many terms may make a good last step look like a loss.
                let slack = 1e-12 * before.abs();
                if there.log_likelihood >= before - slack {
                    break Some((tried, there));
                }
            }
            share *= 0.5;
            if share < 1e-10 {
                break None;
            }
        };
        let Some((tried, there)) = next else { return Err(NoFit::NotConverged) };
        fit = tried;
        here = there;
        fit.steps = step;
        fit.gradient = here.gradient.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        // Where there is no maximum the gradient vanishes, too, but steps stay long.
        let rounding = fit.gradient <= ROUNDING * votes && length * share <= SHORT;
        if length * share <= LAST || rounding {
            fit.log_likelihood = here.log_likelihood;
            // A short step where the gradient has not vanished is a step that was cut, not an end.
            let ended = fit.gradient <= 1e-9 * votes.max(1.0);
            return if ended { Ok(fit) } else { Err(NoFit::NotConverged) };
        }
        // Strengths that run away have no finite maximum; 60 nats are a win rate of 1 − 1e-26.
        if fit.strengths.iter().chain(&fit.terms).chain(&fit.tie).any(|x| x.abs() > 60.0) {
            return Err(NoFit::Separated);
        }
    }
    Err(NoFit::NotConverged)
}

fn cold(design: &Design, model: Model) -> Fit {
    let (mut all, mut ties) = (0.0, 0.0);
    for row in &design.rows {
        all += row.votes.0 + row.votes.1 + row.votes.2;
        ties += row.votes.2;
    }
    Fit {
        model,
        strengths: vec![0.0; design.contestants],
        terms: vec![0.0; design.terms],
        tie: model.has_tie().then(|| model.tie_start(ties / f64::max(all, 1.0))),
        ridge: design.ridge,
        log_likelihood: 0.0,
        gradient: 0.0,
        steps: 0,
    }
}

/// The fit after a share of a step; `None` where the tie parameter would leave its range.
fn moved(fit: &Fit, direction: &[f64], share: f64) -> Option<Fit> {
    let mut next = fit.clone();
    let n = fit.strengths.len();
    let all = next.strengths.iter_mut().chain(&mut next.terms).chain(&mut next.tie);
    all.zip(direction).for_each(|(x, step)| *x += share * step);
    let mean = next.strengths.iter().copied().collect::<Sum>().value() / n.max(1) as f64;
    next.strengths.iter_mut().for_each(|x| *x -= mean);
    let valid = fit.model != Model::RaoKupper || next.tie.is_some_and(|t| t > 0.0);
    valid.then_some(next)
}

/// Everything a step needs at one point.
pub(crate) struct Assembled {
    pub(crate) log_likelihood: f64,
    pub(crate) gradient: Vec<f64>,
    pub(crate) rows: Vec<Terms>,
    has_tie: bool,
}

pub(crate) fn assemble(fit: &Fit, design: &Design) -> Assembled {
    let n = design.contestants;
    let mut gradient = vec![0.0; fit.parameters()];
    let mut log_likelihood = Sum::default();
    let mut tie = Sum::default();
    let mut rows = Vec::with_capacity(design.rows.len());
    for (i, row) in design.rows.iter().enumerate() {
        let values = design.values_of(i);
        let d = fit.difference(row.first, row.second, values);
        let terms = fit.model.terms(d, fit.tie.unwrap_or(0.0), row.votes);
        log_likelihood.add(terms.value);
        tie.add(terms.t);
        gradient[row.first as usize] += terms.d;
        gradient[row.second as usize] -= terms.d;
        for (slot, x) in gradient[n..].iter_mut().zip(values) {
            *slot += terms.d * x;
        }
        rows.push(terms);
    }
    for (slot, coefficient) in gradient[n..].iter_mut().zip(&fit.terms) {
        *slot -= design.ridge * coefficient;
        log_likelihood.add(-0.5 * design.ridge * coefficient * coefficient);
    }
    if fit.tie.is_some()
        && let Some(last) = gradient.last_mut()
    {
        *last = tie.value();
    }
    Assembled { log_likelihood: log_likelihood.value(), gradient, rows, has_tie: fit.tie.is_some() }
}

impl Assembled {
    fn newton(&self, design: &Design) -> Option<Vec<f64>> {
        if self.gradient.len() <= DENSE {
            let (matrix, _) = regular(self.information(design), design.contestants);
            return Some(Cholesky::new(matrix, false)?.solve(&self.gradient));
        }
        sparse::solve(design, &self.rows, self.has_tie, &self.gradient)
    }

    fn information(&self, design: &Design) -> Square {
        let n = design.contestants;
        let side = self.gradient.len();
        let mut out = Square::zero(side);
        for (i, (row, terms)) in design.rows.iter().zip(&self.rows).enumerate() {
            let (a, b) = (row.first as usize, row.second as usize);
            *out.at_mut(a, a) += terms.dd;
            *out.at_mut(b, b) += terms.dd;
            *out.at_mut(a, b) -= terms.dd;
            *out.at_mut(b, a) -= terms.dd;
            let values = design.values_of(i);
            for (k, x) in values.iter().enumerate() {
                *out.at_mut(n + k, a) += terms.dd * x;
                *out.at_mut(n + k, b) -= terms.dd * x;
                for (l, y) in values.iter().enumerate() {
                    *out.at_mut(n + k, n + l) += terms.dd * x * y;
                }
                if self.has_tie {
                    *out.at_mut(side - 1, n + k) += terms.dt * x;
                }
            }
            if self.has_tie {
                *out.at_mut(side - 1, a) += terms.dt;
                *out.at_mut(side - 1, b) -= terms.dt;
                *out.at_mut(side - 1, side - 1) += terms.tt;
            }
        }
        for k in n..n + design.terms {
            *out.at_mut(k, k) += design.ridge;
        }
        for i in n..side {
            for j in 0..i {
                *out.at_mut(j, i) = out.at(i, j);
            }
        }
        out
    }
}

/// Adds gauge/n · 11ᵀ on the strengths, which makes the matrix regular and changes no solution whose strengths sum to 0.
fn regular(mut matrix: Square, contestants: usize) -> (Square, f64) {
    let trace: f64 = (0..contestants).map(|i| matrix.at(i, i)).sum();
    let gauge = (trace / contestants.max(1) as f64).max(f64::MIN_POSITIVE);
    for i in 0..contestants {
        for j in 0..contestants {
            *matrix.at_mut(i, j) += gauge / contestants as f64;
        }
    }
    (matrix, gauge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(contestants: usize, rows: &[(u32, u32, f64, f64, f64)]) -> Design {
        let rows = rows.iter().map(|r| Row { first: r.0, second: r.1, votes: (r.2, r.3, r.4) }).collect();
        Design { contestants, rows, terms: 0, values: Vec::new(), ridge: 0.0 }
    }

    #[test]
    fn two_contestants_have_closed_forms() {
        let two = design(2, &[(0, 1, 30.0, 10.0, 20.0)]);
        let gap = |fit: &Fit| fit.strengths[0] - fit.strengths[1];
        let plain = fit(&two, Model::BradleyTerry, None).unwrap();
        assert!((gap(&plain) - (40.0_f64 / 20.0).ln()).abs() < 1e-12);
        // Davidson: ratio of wins is e^d, ν = ties/√(wins·losses).
        let davidson = fit(&two, Model::Davidson, None).unwrap();
        assert!((gap(&davidson) - 3.0_f64.ln()).abs() < 1e-12);
        assert!((davidson.tie.unwrap() - (20.0 / 300.0_f64.sqrt()).ln()).abs() < 1e-12);
        // Rao-Kupper: logit of the two shares are d − c and −d − c.
        let kupper = fit(&two, Model::RaoKupper, None).unwrap();
        let logit = |p: f64| (p / (1.0 - p)).ln();
        assert!((gap(&kupper) - (logit(0.5) - logit(1.0 / 6.0)) / 2.0).abs() < 1e-12);
        assert!((kupper.tie.unwrap() + (logit(0.5) + logit(1.0 / 6.0)) / 2.0).abs() < 1e-12);
        for fit in [plain, davidson, kupper] {
            assert!(fit.gradient < 1e-10 && fit.strengths.iter().sum::<f64>().abs() < 1e-15);
        }
    }

    #[test]
    fn the_dense_and_the_sparse_way_agree() {
        let n = 40_u32;
        let mut rows = Vec::new();
        for i in 0..n {
            for step in [1, 3, 11] {
                let j = (i + step) % n;
                rows.push((i, j, f64::from(3 + i % 5), f64::from(2 + j % 7), f64::from((i * j) % 3)));
            }
        }
        let mut design = design(n as usize, &rows);
        design.terms = 1;
        design.values = (0..rows.len()).map(|k| (k as f64 * 0.7).sin()).collect();
        let without = Design { terms: 0, values: Vec::new(), ..design.clone() };
        let here = assemble(&cold(&without, Model::BradleyTerry), &without);
        let dense = here.newton(&without).unwrap();
        let sparse = sparse::solve(&without, &here.rows, false, &here.gradient).unwrap();
        let shift = dense[0] - sparse[0];
        assert!(dense.iter().zip(&sparse).all(|(a, b)| (a - b - shift).abs() < 1e-6));
        for model in Model::ALL {
            let fitted = fit(&design, model, None).unwrap();
            assert!(fitted.gradient < 1e-9, "{model:?} {}", fitted.gradient);
            let here = assemble(&cold(&design, model), &design);
            let dense = here.newton(&design).unwrap();
            let mut sparse = sparse::solve(&design, &here.rows, model.has_tie(), &here.gradient).unwrap();
            let centre = |x: &mut [f64]| {
                let mean = x[..n as usize].iter().sum::<f64>() / f64::from(n);
                x[..n as usize].iter_mut().for_each(|x| *x -= mean);
            };
            centre(&mut sparse);
            let mut dense = dense;
            centre(&mut dense);
            for (a, b) in dense.iter().zip(&sparse) {
                assert!((a - b).abs() < 1e-6, "{model:?} {a} {b}");
            }
            let inverse = fitted.inverse_information(&design).unwrap();
            let back = inverse.sandwich(&fitted.information(&design));
            let worst =
                back.values.iter().zip(&inverse.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-10, "{worst}");
        }
    }

    #[test]
    fn ties_need_ties_and_decided_votes() {
        for model in [Model::Davidson, Model::RaoKupper] {
            for votes in [(3.0, 2.0, 0.0), (0.0, 0.0, 4.0)] {
                let two = design(2, &[(0, 1, votes.0, votes.1, votes.2)]);
                assert_eq!(fit(&two, model, None), Err(NoFit::Separated), "{model:?} {votes:?}");
            }
        }
    }

    #[test]
    fn what_has_no_finite_maximum_is_refused() {
        // The second seat never wins: no finite coefficient of the seat, whatever the strengths.
        let mut seat = design(2, &[(0, 1, 5.0, 0.0, 0.0), (1, 0, 5.0, 0.0, 0.0)]);
        seat.terms = 1;
        seat.values = vec![1.0, 1.0];
        assert_eq!(fit(&seat, Model::BradleyTerry, None), Err(NoFit::Separated));
        // A term that no row has.
        seat.values = vec![0.0, 0.0];
        assert_eq!(fit(&seat, Model::BradleyTerry, None), Err(NoFit::Separated));
    }
}
