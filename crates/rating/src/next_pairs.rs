//! Which pair is worth a vote? Expected gain of information on the orders that are not decided.

use crate::dense::Square;
use crate::fit::{Design, Fit};
use crate::sandwich::Errors;

/// Contestants up to which this is done: every pair is held against every undecided order.
const MOST: usize = 300;

/// A pair that a vote should be asked on.
#[derive(Clone, Debug, PartialEq)]
pub struct NextPair {
    /// Names, the higher rated first.
    pub pair: [String; 2],
    pub(crate) places: (usize, usize),
    /// Share by which one vote is expected to reduce the variances of all undecided orders, added up.
    pub gain: f64,
    /// Votes that it has.
    pub votes: u64,
    /// Whether its own order is decided.
    pub decided: bool,
}

/// A vote on i and j adds the information w = p(1 − p) along their difference; the variance of another difference c falls by
/// w·(cᵀV(eᵢ − eⱼ))²/(1 + w·v_ij) (a rank-one update, Sherman and Morrison 1950). Pairs with the largest sum of these falls relative to
/// the variances, over all orders that are not decided (A-optimal design, one step ahead; Atkinson, Donev and Tobias 2007).
pub(crate) fn next_pairs(
    fit: &Fit,
    design: &Design,
    errors: &Errors,
    limit: f64,
    wanted: usize,
) -> Vec<NextPair> {
    let n = fit.strengths.len();
    if n > MOST || wanted == 0 || !errors.is_known() {
        return Vec::new();
    }
    let Some(v) = fit.inverse_information(design) else { return Vec::new() };
    let decided = |i: usize, j: usize| {
        (fit.strengths[i] - fit.strengths[j]).abs() > limit * errors.contrast(i, j).sqrt()
    };
    let spread = |v: &Square, i: usize, j: usize| v.at(i, i) + v.at(j, j) - 2.0 * v.at(i, j);
    let pairs = || (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    let open: Vec<(usize, usize, f64)> =
        pairs().filter(|(i, j)| !decided(*i, *j)).map(|(i, j)| (i, j, spread(&v, i, j))).collect();
    let counted = |i: usize, j: usize| -> u64 {
        let of = |row: &&crate::fit::Row| {
            let (a, b) = (row.first as usize, row.second as usize);
            (a, b) == (i, j) || (a, b) == (j, i)
        };
        design.rows.iter().filter(of).map(|row| (row.votes.0 + row.votes.1 + row.votes.2) as u64).sum()
    };
    let mut gains: Vec<(f64, usize, usize)> = pairs()
        .map(|(i, j)| {
            let p = 1.0 / (1.0 + (fit.strengths[j] - fit.strengths[i]).exp());
            let w = p * (1.0 - p);
            let along: Vec<f64> = (0..n).map(|k| v.at(k, i) - v.at(k, j)).collect();
            let sum: f64 = open.iter().map(|(k, l, own)| (along[*k] - along[*l]).powi(2) / own).sum();
            (sum * w / (1.0 + w * spread(&v, i, j)), i, j)
        })
        .collect();
    gains.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let each = gains.into_iter().take(wanted).map(|(gain, i, j)| {
        let (high, low) = if fit.strengths[i] >= fit.strengths[j] { (i, j) } else { (j, i) };
        NextPair {
            pair: Default::default(),
            places: (high, low),
            gain: gain / open.len().max(1) as f64,
            votes: counted(i, j),
            decided: decided(i, j),
        }
    });
    if open.is_empty() { Vec::new() } else { each.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::{Row, fit};
    use crate::model::Model;
    use crate::sandwich::{Ballots, meat};
    use crate::table::Same;
    use crate::votes::Outcome;

    #[test]
    fn close_contestants_with_few_votes_come_first() {
        // a and b are close with few votes, c is far below with many.
        let row = |first, second, win, loss| Row { first, second, votes: (win, loss, 0.0) };
        let rows = vec![row(0, 1, 11.0, 10.0), row(0, 2, 300.0, 30.0), row(1, 2, 290.0, 30.0)];
        let design = Design { contestants: 3, rows: rows.clone(), terms: 0, values: Vec::new(), ridge: 0.0 };
        let fitted = fit(&design, Model::BradleyTerry, None).unwrap();
        let mut same = Vec::new();
        for r in &rows {
            for (outcome, votes) in [(Outcome::First, r.votes.0), (Outcome::Second, r.votes.1)] {
                same.push(Same {
                    cluster: 0,
                    first: r.first,
                    second: r.second,
                    outcome,
                    votes,
                    weight: 1.0,
                    row: 0,
                });
            }
        }
        let ballots = Ballots { same: &same, independent: true, local: &[0, 1, 2], values: &|_, _| {} };
        let errors = Errors::new(&fitted, &design, &[meat(&fitted, &ballots)]).unwrap();
        let found = next_pairs(&fitted, &design, &errors, 1.96, 3);
        let (high, low) = found[0].places;
        assert_eq!((high.min(low), high.max(low), found[0].votes, found[0].decided), (0, 1, 21, false));
        assert!(found[0].gain > found[1].gain && found[1].gain > 0.0);
        // The gain is what a new fit of one more vote's worth of information shows.
        let more = {
            let mut inverse = fitted.information(&design);
            let d = fitted.strengths[0] - fitted.strengths[1];
            let p = 1.0 / (1.0 + (-d).exp());
            let w = p * (1.0 - p);
            for (i, j, s) in [(0, 0, 1.0), (1, 1, 1.0), (0, 1, -1.0), (1, 0, -1.0)] {
                *inverse.at_mut(i, j) += w * s;
            }
            // With c fixed at 0 the variance of a − b is that of the upper 2 × 2 block.
            let (a, b, c) = (inverse.at(0, 0), inverse.at(1, 1), inverse.at(0, 1));
            (a + b + 2.0 * c) / (a * b - c * c)
        };
        let v = fitted.inverse_information(&design).unwrap();
        let before = v.at(0, 0) + v.at(1, 1) - 2.0 * v.at(0, 1);
        assert!(
            (found[0].gain - (before - more) / before).abs() < 1e-9,
            "{} {}",
            found[0].gain,
            (before - more) / before
        );
    }
}
