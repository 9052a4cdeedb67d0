//! How uncertain is a fit when votes of one session, user or prompt depend on each other? The sandwich.

use crate::dense::{Cholesky, Square};
use crate::fit::{Design, Fit};
use crate::table::Same;

/// The votes that a fit rests on, as they depend on each other.
pub(crate) struct Ballots<'a> {
    /// Sorted by cluster.
    pub(crate) same: &'a [Same],
    /// Whether each vote is independent of every other one; cluster numbers mean nothing then.
    pub(crate) independent: bool,
    /// Contestant to its number in the fit; `u32::MAX` for those outside.
    pub(crate) local: &'a [u32],
    /// Writes the values of the terms for one vote.
    pub(crate) values: &'a dyn Fn(&Same, &mut Vec<f64>),
}

/// What a cluster structure adds up to.
pub(crate) struct Meat {
    /// Σ over clusters of score · scoreᵀ, times m/(m − 1).
    pub(crate) filling: Square,
    /// Clusters with at least one vote, m.
    pub(crate) clusters: u64,
}

/// Adds up the outer products of cluster scores (Liang and Zeger 1986; White 1980 where each vote is its own cluster), with the
/// usual correction m/(m − 1) for m clusters.
pub(crate) fn meat(fit: &Fit, ballots: &Ballots<'_>) -> Meat {
    let n = fit.strengths.len();
    let side = fit.parameters();
    let mut filling = Square::zero(side);
    let mut score = vec![0.0; side];
    let mut touched: Vec<usize> = Vec::new();
    let mut marked = vec![false; side];
    let mut values = Vec::new();
    let mut clusters = 0_u64;
    let mut at = 0;
    while at < ballots.same.len() {
        let cluster = ballots.same[at].cluster;
        let mut weight = 1.0;
        while let Some(same) = ballots.same.get(at).filter(|same| same.cluster == cluster) {
            at += 1;
            let (first, second) = (ballots.local[same.first as usize], ballots.local[same.second as usize]);
            if first == u32::MAX || second == u32::MAX {
                continue;
            }
            values.clear();
            (ballots.values)(same, &mut values);
            let d = fit.difference(first, second, &values);
            let (of_d, of_tie) = fit.model.score(d, fit.tie.unwrap_or(0.0), same.outcome);
            let votes = same.weight * if ballots.independent { 1.0 } else { same.votes };
            let mut add = |place: usize, value: f64| {
                if !marked[place] {
                    marked[place] = true;
                    touched.push(place);
                }
                score[place] += votes * value;
            };
            add(first as usize, of_d);
            add(second as usize, -of_d);
            for (k, x) in values.iter().enumerate() {
                add(n + k, of_d * x);
            }
            if fit.tie.is_some() {
                add(side - 1, of_tie);
            }
            if ballots.independent {
                weight = same.votes;
                clusters += same.votes as u64 - 1;
                break;
            }
        }
        if touched.is_empty() {
            continue;
        }
        clusters += 1;
        touched.sort_unstable();
        for (k, &i) in touched.iter().enumerate() {
            let row = &mut filling.values[i * side..][..=i];
            let factor = weight * score[i];
            for &j in &touched[..=k] {
                row[j] += factor * score[j];
            }
        }
        for &i in &touched {
            score[i] = 0.0;
            marked[i] = false;
        }
        touched.clear();
    }
    // Without a penalty the scores of a fit sum to 0. With one they sum to its pull, the same in every sample: no part of the spread.
    for (k, first) in fit.terms.iter().enumerate() {
        for (l, second) in fit.terms[..=k].iter().enumerate() {
            let pull = fit.ridge * fit.ridge * first * second;
            *filling.at_mut(n + k, n + l) -= pull / clusters.max(1) as f64;
        }
    }
    let correction = if clusters > 1 { clusters as f64 / (clusters - 1) as f64 } else { 1.0 };
    for i in 0..side {
        for j in 0..=i {
            let value = filling.at(i, j) * correction;
            *filling.at_mut(i, j) = value;
            *filling.at_mut(j, i) = value;
        }
    }
    Meat { filling, clusters }
}

/// Errors of a fit.
pub(crate) struct Errors {
    /// Covariances of the parameters in nats; a variance is the largest that any of them gives.
    covariances: Vec<Square>,
    /// Factor F with F·Fᵀ the covariance that draws follow.
    pub(crate) factor: Square,
    /// Fewest clusters in any way of clustering.
    pub(crate) clusters: u64,
}

impl Errors {
    /// From one way of clustering, or from two and their crossing. Two ways: V₁ + V₂ − V₁₂ (Cameron, Gelbach and Miller 2011);
    /// that need not be positive, so a variance is never taken below that of either way alone (MacKinnon, Nielsen and Webb 2024),
    /// and draws follow V₁ + V₂. `None` where the information is singular.
    pub(crate) fn new(fit: &Fit, design: &Design, ways: &[Meat]) -> Option<Errors> {
        let bread = fit.inverse_information(design)?;
        let clusters = ways.iter().take(2).map(|meat| meat.clusters).min()?;
        let mut filling = ways.first()?.filling.clone();
        if let [_, second, _] = ways {
            filling.values.iter_mut().zip(&second.filling.values).for_each(|(a, b)| *a += b);
        }
        let root = Cholesky::new(filling, true)?;
        let factor = bread.times_lower(root.lower());
        let [first, second, crossing] = ways else {
            return Some(Errors { covariances: vec![factor.gram()], factor, clusters });
        };
        let [first, second, crossing] = [first, second, crossing].map(|meat| bread.sandwich(&meat.filling));
        let sum = first.values.iter().zip(&second.values).map(|(a, b)| a + b);
        let values = sum.zip(&crossing.values).map(|(sum, both)| sum - both).collect();
        let both = Square { side: crossing.side, values };
        Some(Errors { covariances: vec![first, second, both], factor, clusters })
    }

    /// From a covariance that is known otherwise; `clusters` is one more than its degrees of freedom.
    pub(crate) fn from_covariance(covariance: Square, clusters: u64) -> Option<Errors> {
        let factor = Cholesky::new(covariance.clone(), true)?.lower().clone();
        Some(Errors { covariances: vec![covariance], factor, clusters })
    }

    /// Covariance of parameters `i` and `j` that draws follow.
    pub(crate) fn drawn(&self, i: usize, j: usize) -> f64 {
        match self.covariances.as_slice() {
            [first, second, _] => first.at(i, j) + second.at(i, j),
            all => all.first().map_or(f64::NAN, |v| v.at(i, j)),
        }
    }

    /// Whether there is more than one independent unit. The score of a single one is 0 at the fit: it would look like no error at all.
    pub(crate) fn is_known(&self) -> bool {
        self.clusters > 1
    }

    /// Variance of parameter `i`; infinite where no error can be learnt.
    pub(crate) fn variance(&self, i: usize) -> f64 {
        if !self.is_known() {
            return f64::INFINITY;
        }
        self.covariances.iter().map(|v| v.at(i, i)).fold(0.0, f64::max)
    }

    /// Variance of parameter `i` minus parameter `j`; infinite where no error can be learnt.
    pub(crate) fn contrast(&self, i: usize, j: usize) -> f64 {
        if !self.is_known() {
            return f64::INFINITY;
        }
        let of = |v: &Square| v.at(i, i) + v.at(j, j) - 2.0 * v.at(i, j);
        self.covariances.iter().map(of).fold(0.0, f64::max)
    }
}
