//! What hangs on one unit, and which scores does the scale not expect?

use super::Score;
use super::errors::Shown;
use super::fit::{Fit, State};
use crate::ranks::order;
use stemmata_stats::normal_quantile;

/// The scale without one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Omission {
    /// Which unit.
    pub unit: String,
    /// Who is first then; nothing where the rest has no scale.
    pub leader: Option<String>,
    /// Largest change of an ability, and whose.
    pub moved: Option<(String, f64)>,
    /// Models that have no other unit.
    pub cut_off: u32,
}

/// A score that the scale does not expect.
#[derive(Clone, Debug, PartialEq)]
pub struct Surprise {
    /// Whose.
    pub model: String,
    /// On what.
    pub unit: String,
    /// The score, 0 to 1.
    pub score: f64,
    /// What the scale expects.
    pub expected: f64,
    /// The difference over its standard deviation.
    pub z: f64,
}

/// Surprises at most.
const LISTED: usize = 20;
/// Level of all surprises together.
const ALPHA: f64 = 0.05;

/// Scores beyond Bonferroni's limit of all of them. The variance that a fitted score takes off its residual is not given back, so the
/// level is not exceeded.
pub(super) fn surprises(
    fit: &Fit,
    cells: &[Score],
    model: &dyn Fn(usize) -> String,
    unit: &dyn Fn(usize) -> String,
) -> Vec<Surprise> {
    let limit = normal_quantile(1.0 - ALPHA / (2.0 * cells.len().max(1) as f64));
    let mut out: Vec<Surprise> = cells
        .iter()
        .map(|c| (c, fit.standardised(c)))
        .filter(|(_, z)| z.abs() > limit)
        .map(|(c, z)| Surprise {
            model: model(c.model as usize),
            unit: unit(c.unit as usize),
            score: c.score,
            expected: fit.state.at(c, fit.variance).expected,
            z,
        })
        .collect();
    out.sort_by(|a, b| b.z.abs().total_cmp(&a.z.abs()));
    out.truncate(LISTED);
    out
}

pub(super) struct LeftOut {
    full: Vec<f64>,
    /// Abilities without each unit, on the scale of mean 0 and standard deviation 1 of the models that are left.
    without: Vec<Option<Vec<Option<f64>>>>,
    cut_off: Vec<u32>,
    /// Lowest and highest place of each model.
    pub(super) places: Vec<(u32, u32)>,
}

/// Fits without each unit in turn, at the spread of the whole.
pub(super) fn leave_one_out(fit: &Fit, cells: &[Score], freedom: f64) -> LeftOut {
    let full = &fit.state;
    let (m, u) = (full.theta.len(), full.alpha.len());
    let mut counts = vec![0_u32; m];
    cells.iter().for_each(|c| counts[c.model as usize] += 1);
    let place = |theta: &[Option<f64>]| {
        let known: Vec<f64> = theta.iter().map(|t| t.unwrap_or(f64::NEG_INFINITY)).collect();
        let mut places = vec![0; known.len()];
        order(&known).into_iter().enumerate().for_each(|(place, i)| places[i] = place as u32 + 1);
        places
    };
    let all: Vec<Option<f64>> = full.theta.iter().copied().map(Some).collect();
    let mut places: Vec<(u32, u32)> = place(&all).into_iter().map(|p| (p, p)).collect();
    let (mut without, mut cut_off) = (Vec::with_capacity(u), Vec::with_capacity(u));
    for unit in 0..u {
        let gone: Vec<bool> = (0..m)
            .map(|i| counts[i] == 1 && cells.iter().any(|c| c.model as usize == i && c.unit as usize == unit))
            .collect();
        cut_off.push(gone.iter().filter(|g| **g).count() as u32);
        let refit = refit(fit, cells, unit, &gone, freedom);
        if let Some(theta) = &refit {
            for ((low, high), place) in places.iter_mut().zip(place(theta)) {
                (*low, *high) = ((*low).min(place), (*high).max(place));
            }
        }
        without.push(refit);
    }
    LeftOut { full: full.theta.clone(), without, cut_off, places }
}

fn refit(fit: &Fit, cells: &[Score], unit: usize, gone: &[bool], freedom: f64) -> Option<Vec<Option<f64>>> {
    let mut numbers = vec![u32::MAX; gone.len()];
    let mut kept = 0;
    for (i, gone) in gone.iter().enumerate() {
        if !gone {
            numbers[i] = kept;
            kept += 1;
        }
    }
    let rest: Vec<Score> = cells
        .iter()
        .filter(|c| c.unit as usize != unit && numbers[c.model as usize] != u32::MAX)
        .map(|c| Score {
            model: numbers[c.model as usize],
            unit: c.unit - u32::from(c.unit as usize > unit),
            ..*c
        })
        .collect();
    let drop_unit =
        |x: &[f64]| x.iter().enumerate().filter(|(j, _)| *j != unit).map(|(_, x)| *x).collect::<Vec<_>>();
    let start = State {
        theta: fit.state.theta.iter().zip(gone).filter(|(_, gone)| !**gone).map(|(t, _)| *t).collect(),
        alpha: drop_unit(&fit.state.alpha),
        beta: drop_unit(&fit.state.beta),
    };
    // Fewer scores than parameters: the rest is no scale.
    let parameters = start.theta.len() + 2 * start.alpha.len();
    if start.alpha.is_empty() || rest.len() + 2 <= parameters || freedom <= 0.0 {
        return None;
    }
    let fitted = Fit::at(start, &rest, fit.variance)?;
    super::errors::covariance(&fitted, &rest)?;
    let theta = &fitted.state.theta;
    Some(numbers.iter().map(|n| theta.get(*n as usize).copied()).collect())
}

impl LeftOut {
    /// The jackknife's standard error of an ability over units.
    pub(super) fn jackknife(&self, i: usize) -> Option<f64> {
        let values: Option<Vec<f64>> = self.without.iter().map(|w| w.as_ref()?[i]).collect();
        let values = values.filter(|v| v.len() > 2)?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        Some(((n - 1.0) / n * values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()).sqrt())
    }

    pub(super) fn omissions(
        &self,
        model: &dyn Fn(usize) -> String,
        unit: &dyn Fn(usize) -> String,
        shown: &Shown,
    ) -> Vec<Omission> {
        let each = self.without.iter().zip(&self.cut_off).enumerate();
        each.map(|(j, (theta, cut_off))| {
            let known = || theta.iter().flatten().enumerate().filter_map(|(i, t)| Some((i, (*t)?)));
            let best = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0));
            let moved = known().map(|(i, t)| (i, t - self.full[i]));
            let moved = moved.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()).then(b.0.cmp(&a.0)));
            Omission {
                unit: unit(j),
                leader: known().max_by(best).map(|(i, _)| model(i)),
                moved: moved.map(|(i, change)| (model(i), change * shown.unit())),
                cut_off: *cut_off,
            }
        })
        .collect()
    }
}
