//! How many standard errors hold for all abilities together? A bootstrap of the largest of them, so that neither the tails of what models do
//! beside their ability nor few benchmarks need to be normal.

use super::Score;
use super::errors::covariance;
use super::fit::{Fit, State};
use stemmata_stats::SplitMix64;

/// Samples drawn.
const SAMPLES: usize = 499;
/// A sample is fitted where the squares of the numbers of units of all models add up to no more than this: about two seconds.
const MOST: usize = 200_000;

/// How many standard errors are enough for one ability, whichever, and for all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Enough {
    pub(crate) single: f64,
    pub(crate) all: f64,
}

/// The share `level` of samples has its largest |ability − fitted ability| within `all` of its own standard errors, and the share `level` of all
/// abilities of all samples lies within `single` (bootstrap-t, also of a maximum: Efron 1979; Hall 1988). Residuals are drawn with replacement from
/// those of the fit, made as large as their variance says, which the fit took part of away. Nothing where there are too many scores, or too few
/// samples have a fit.
pub(crate) fn limits(fitted: &Fit, cells: &[Score], freedom: f64, level: f64, seed: u64) -> Option<Enough> {
    let work: usize = cells.chunk_by(|a, b| a.model == b.model).map(|list| list.len() * list.len()).sum();
    if work > MOST {
        return None;
    }
    let residuals = residuals(fitted, cells);
    let mut random = SplitMix64::new(seed ^ 0x6a6f_696e);
    let mut sample = cells.to_vec();
    let (mut largest, mut each) = (Vec::with_capacity(SAMPLES), Vec::new());
    for _ in 0..SAMPLES {
        for (cell, drawn) in sample.iter_mut().zip(cells) {
            let at = fitted.state.at(drawn, fitted.variance);
            let p = at.expected;
            // The weight is (p(1 − p))² over the variance of the score.
            let error = p * (1.0 - p) / at.weight.sqrt();
            let residual = residuals[random.below(residuals.len() as u64) as usize];
            cell.score = (p + residual * error).clamp(0.0, 1.0);
        }
        // A sample without a fit is one beyond any limit.
        let far = distances(fitted, &sample, freedom)
            .unwrap_or_else(|| vec![f64::INFINITY; fitted.state.theta.len()]);
        largest.push(far.iter().copied().fold(0.0, f64::max));
        each.extend(far);
    }
    Some(Enough { single: quantile(each, level)?, all: quantile(largest, level)? })
}

/// The order statistic that a further value exceeds with probability 1 − `level`.
fn quantile(mut values: Vec<f64>, level: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() + 1) as f64 * level).ceil() as usize;
    values.get(place.checked_sub(1)?).copied().filter(|limit| limit.is_finite())
}

/// Standardised residuals of mean 0 and mean square 1.
fn residuals(fitted: &Fit, cells: &[Score]) -> Vec<f64> {
    let mut list: Vec<f64> = cells.iter().map(|cell| fitted.standardised(cell)).collect();
    let n = list.len() as f64;
    let mean = list.iter().sum::<f64>() / n;
    let size = (list.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt().max(f64::MIN_POSITIVE);
    list.iter_mut().for_each(|r| *r = (*r - mean) / size);
    list
}

/// Distances of the abilities of a sample from those of the fit, in standard errors that the sample gives: those at the spread of the
/// fit, times what the sample's residuals say of it. Where the fit has no spread beyond the items' noise, they say nothing below that noise.
fn distances(fitted: &Fit, sample: &[Score], freedom: f64) -> Option<Vec<f64>> {
    let again = Fit::at(fitted.state.clone(), sample, fitted.variance)?;
    let scale = again.chi_square / freedom;
    let scale = if fitted.variance > 0.0 { scale } else { scale.max(1.0) };
    let errors = covariance(&again, sample)?.shown(None);
    let State { theta, .. } = &again.state;
    let each = theta.iter().zip(&fitted.state.theta).enumerate();
    let far: Vec<f64> =
        each.map(|(i, (own, truth))| (own - truth).abs() / (errors.error(i) * scale.sqrt())).collect();
    far.iter().all(|x| x.is_finite()).then_some(far)
}

#[cfg(test)]
mod tests {
    #[test]
    fn quantiles_are_those_of_a_further_value() {
        let values: Vec<f64> = (1..=499).rev().map(f64::from).collect();
        assert_eq!(super::quantile(values.clone(), 0.95), Some(475.0));
        assert_eq!(super::quantile(values, 0.9999), None);
        assert_eq!(super::quantile(vec![1.0, f64::INFINITY, 2.0], 0.75), None);
    }
}
