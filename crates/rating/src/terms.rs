//! What do seat and style add to a vote? Terms beside the strengths, without a penalty or with a ridge that is shown.

use crate::fit::{Design, Fit, Row};
use crate::model::single;
use crate::sandwich::Errors;
use crate::standings::{Options, POINTS};
use crate::table::Same;
use crate::votes::Votes;
use stemmata_stats::Sum;

/// A coefficient.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// `position`, or the name of a style.
    pub name: String,
    /// Nats: for the position the advantage of the first seat, for a style that of one standard deviation.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Its interval. Under a ridge it is of the coefficient as shrunk, not of the one without a ridge.
    pub interval: (f64, f64),
    /// How much of its own effect the ridge leaves, 1 without one: 1 − λ·[H⁻¹]ₖₖ, H with the ridge. Their sum over the terms is the
    /// effective number of terms.
    pub kept: f64,
    /// Mean and standard deviation that the values of a style were divided by.
    pub scale: Option<(f64, f64)>,
}

/// A rating with the terms in the fit, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adjusted {
    /// On the scale of the rating beside it: the same anchor or the same mean.
    pub value: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// This minus the rating without terms.
    pub change: f64,
    /// Standard error of that, from both fits on the same votes; nothing for more than a thousand contestants.
    pub change_error: Option<f64>,
}

pub(crate) struct WithTerms {
    pub(crate) list: Vec<Term>,
    /// ν or η of this fit.
    pub(crate) tie: Option<f64>,
    strengths: Vec<f64>,
    plain: Vec<f64>,
    errors: Vec<f64>,
    changes: Option<Vec<f64>>,
    limit: f64,
}

impl WithTerms {
    pub(crate) fn new(
        options: &Options,
        plain: &Fit,
        (fitted, kept): (Fit, Vec<f64>),
        errors: &Errors,
        scales: &[(f64, f64)],
        limit: f64,
        changes: Option<Vec<f64>>,
    ) -> WithTerms {
        let n = fitted.strengths.len();
        let position = options.position.then(|| ("position".to_owned(), None));
        let styles = options.styles.iter().cloned().zip(scales.iter().map(|s| Some(*s)));
        let list = position
            .into_iter()
            .chain(styles)
            .zip(fitted.terms.iter().zip(kept))
            .enumerate()
            .map(|(k, ((name, scale), (estimate, kept)))| {
                let standard_error = errors.variance(n + k).sqrt();
                let half = limit * standard_error;
                let interval = (estimate - half, estimate + half);
                Term { name, estimate: *estimate, standard_error, interval, kept, scale }
            })
            .collect();
        WithTerms {
            list,
            tie: fitted.tie.map(f64::exp),
            errors: (0..n).map(|i| errors.variance(i).sqrt()).collect(),
            strengths: fitted.strengths,
            plain: plain.strengths.clone(),
            changes,
            limit,
        }
    }

    /// The adjusted rating of contestant `i`; `base` gives where a strength of 0 stands.
    pub(crate) fn rating(&self, i: usize, base: &dyn Fn(&[f64]) -> f64) -> Adjusted {
        let value = base(&self.strengths) + POINTS * self.strengths[i];
        let half = self.limit * POINTS * self.errors[i];
        let plain = base(&self.plain) + POINTS * self.plain[i];
        let change_error = self.changes.as_ref().map(|errors| POINTS * errors[i]);
        Adjusted { value, interval: (value - half, value + half), change: value - plain, change_error }
    }
}

/// Mean and standard deviation of each style over all votes; (0, 1) where it does not vary, and the fit will refuse it.
pub(crate) fn scales(votes: &Votes, same: &[Same]) -> Vec<(f64, f64)> {
    let total: f64 = same.iter().map(|s| s.votes).sum();
    let each = votes.styles.iter().map(|column| {
        let moment = |f: &dyn Fn(f64) -> f64| {
            same.iter().map(|s| s.votes * f(column[s.row as usize])).collect::<Sum>().value() / total
        };
        let mean = moment(&|x| x);
        let spread = moment(&|x| (x - mean).powi(2)).sqrt();
        if spread > 0.0 { (mean, spread) } else { (mean, 1.0) }
    });
    each.collect()
}

/// The share of each term's own effect that the penalty leaves: the diagonal of H⁻¹·(H − λ·1) at the terms (Gray 1992), whose sum over all
/// parameters is the effective number of them.
pub(crate) fn kept(fitted: &Fit, design: &Design) -> Option<Vec<f64>> {
    let n = fitted.strengths.len();
    if design.ridge == 0.0 {
        return Some(vec![1.0; design.terms]);
    }
    let inverse = fitted.inverse_information(design)?;
    Some((n..n + design.terms).map(|k| 1.0 - design.ridge * inverse.at(k, k)).collect())
}

/// One row for each vote whose values differ from those of others.
pub(crate) fn design(
    same: &[Same],
    local: &[u32],
    contestants: usize,
    values: &dyn Fn(&Same, &mut Vec<f64>),
) -> Design {
    let mut out = Design { contestants, rows: Vec::new(), terms: 0, values: Vec::new(), ridge: 0.0 };
    for same in same {
        let (first, second) = (local[same.first as usize], local[same.second as usize]);
        if first == u32::MAX || second == u32::MAX {
            continue;
        }
        let before = out.values.len();
        values(same, &mut out.values);
        out.terms = out.values.len() - before;
        let (win, loss, tie) = single(same.outcome);
        let count = same.votes * same.weight;
        let votes = (win * count, loss * count, tie * count);
        out.rows.push(Row { first, second, votes });
    }
    out
}
