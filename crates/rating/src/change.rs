//! How sure is the change that terms make to a rating? Both fits rest on the same votes, so their errors are not independent.

use crate::dense::Square;
use crate::fit::{Design, Fit};
use crate::sandwich::Ballots;

/// Contestants up to which this is done: the two fits are put side by side.
const MOST: usize = 1000;

/// Standard errors of the strengths of `adjusted` minus those of `plain`, from the joint sandwich: scores of both fits side by side in
/// each cluster, G·B·Gᵀ with G = [H⁻¹ of one, −H⁻¹ of the other] (stacked estimating equations; Stefanski and Boos 2002). Two ways of
/// clustering as for the fits themselves. `None` where a matrix is singular or there are too many contestants.
pub(crate) fn errors_of_change(
    adjusted: (&Fit, &Design),
    plain: (&Fit, &Design),
    ways: &[Ballots<'_>],
) -> Option<Vec<f64>> {
    let n = plain.0.strengths.len();
    if n > MOST {
        return None;
    }
    let (of_adjusted, of_plain) =
        (adjusted.0.inverse_information(adjusted.1)?, plain.0.inverse_information(plain.1)?);
    let (a, side) = (adjusted.0.parameters(), adjusted.0.parameters() + plain.0.parameters());
    let mut g = Square::zero(side);
    for i in 0..n {
        for (k, x) in of_adjusted.row(i).iter().enumerate() {
            *g.at_mut(i, k) = *x;
        }
        for (k, x) in of_plain.row(i).iter().enumerate() {
            *g.at_mut(i, a + k) = -x;
        }
    }
    let variances: Vec<Vec<f64>> = ways
        .iter()
        .map(|ballots| {
            let half = g.product(&filling(adjusted.0, plain.0, ballots));
            (0..n).map(|i| half.row(i).iter().zip(g.row(i)).map(|(x, y)| x * y).sum()).collect()
        })
        .collect();
    let combined = |i: usize| match variances.as_slice() {
        [one, two, both] => (one[i] + two[i] - both[i]).max(one[i]).max(two[i]),
        all => all.first().map_or(f64::NAN, |v| v[i]),
    };
    Some((0..n).map(|i| combined(i).max(0.0).sqrt()).collect())
}

/// Σ over clusters of the outer products of the stacked scores, times m/(m − 1).
fn filling(adjusted: &Fit, plain: &Fit, ballots: &Ballots<'_>) -> Square {
    let (n, a) = (plain.strengths.len(), adjusted.parameters());
    let side = a + plain.parameters();
    let mut out = Square::zero(side);
    let mut score: Vec<(usize, f64)> = Vec::new();
    let mut values = Vec::new();
    let (mut clusters, mut at) = (0_u64, 0);
    while at < ballots.same.len() {
        let cluster = ballots.same[at].cluster;
        let mut times = 1.0;
        score.clear();
        while let Some(same) = ballots.same.get(at).filter(|same| same.cluster == cluster) {
            at += 1;
            let (first, second) = (ballots.local[same.first as usize], ballots.local[same.second as usize]);
            if first == u32::MAX || second == u32::MAX {
                continue;
            }
            values.clear();
            (ballots.values)(same, &mut values);
            let votes = same.weight * if ballots.independent { 1.0 } else { same.votes };
            let mut add = |fit: &Fit, start: usize, values: &[f64]| {
                let d = fit.difference(first, second, values);
                let (of_d, of_tie) = fit.model.score(d, fit.tie.unwrap_or(0.0), same.outcome);
                score.push((start + first as usize, votes * of_d));
                score.push((start + second as usize, -votes * of_d));
                score.extend(values.iter().enumerate().map(|(k, x)| (start + n + k, votes * of_d * x)));
                if fit.tie.is_some() {
                    score.push((start + fit.parameters() - 1, votes * of_tie));
                }
            };
            add(adjusted, 0, &values);
            add(plain, a, &[]);
            if ballots.independent {
                times = same.votes;
                clusters += same.votes as u64 - 1;
                break;
            }
        }
        if score.is_empty() {
            continue;
        }
        clusters += 1;
        score.sort_by_key(|(place, _)| *place);
        let mut sums: Vec<(usize, f64)> = Vec::with_capacity(score.len());
        for (place, x) in &score {
            match sums.last_mut() {
                Some(last) if last.0 == *place => last.1 += x,
                _ => sums.push((*place, *x)),
            }
        }
        for (i, x) in &sums {
            for (j, y) in &sums {
                *out.at_mut(*i, *j) += times * x * y;
            }
        }
    }
    for (k, first) in adjusted.terms.iter().enumerate() {
        for (l, second) in adjusted.terms.iter().enumerate() {
            let pull = adjusted.ridge * adjusted.ridge * first * second;
            *out.at_mut(n + k, n + l) -= pull / clusters.max(1) as f64;
        }
    }
    let correction = if clusters > 1 { clusters as f64 / (clusters - 1) as f64 } else { 1.0 };
    out.values.iter_mut().for_each(|x| *x *= correction);
    out
}
