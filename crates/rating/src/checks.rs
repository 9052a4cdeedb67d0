//! Does the model describe the votes, and does anybody beat in a circle?

use crate::fit::{Fit, Row};
use crate::model::Model;

/// A pair with fewer votes is not held against the fit.
const PAIR_VOTES: f64 = 30.0;
/// A pair with fewer votes is no edge of a cycle.
const EDGE_VOTES: f64 = 50.0;
/// A cycle that is certain is listed; so many at most.
const LISTED: usize = 20;
/// Two-sided 5 % of the normal, for single pairs and single edges.
const SINGLE: f64 = 1.959_963_984_540_054;

/// How well one scale describes single pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Checks {
    /// Pairs with at least thirty votes.
    pub pairs: u64,
    /// Mean of (observed − expected score)² over its variance; about 1 where the model holds. Votes count as independent.
    pub mean_square: Option<f64>,
    /// Pairs for which it lies beyond the 95 % point of χ² with one degree of freedom; one in twenty where the model holds.
    pub beyond: u64,
    /// Cycles of three in which each beat the next in more than half of at least fifty votes, ties counted as halves.
    pub cycles: u64,
    /// Those of which each edge is beyond 1.96 standard errors.
    pub certain_cycles: u64,
    /// The first of the certain ones, as places in the component.
    pub(crate) listed: Vec<[u32; 3]>,
    /// The same by name.
    pub names: Vec<[String; 3]>,
}

/// Checks a fit against the votes of each pair.
pub(crate) fn checks(fit: &Fit, rows: &[Row]) -> Checks {
    let (mut pairs, mut beyond, mut sum) = (0_u64, 0_u64, 0.0);
    let n = fit.strengths.len();
    let (mut raw, mut certain) = (Beats::new(n), Beats::new(n));
    for row in rows {
        let (win, loss, tie) = row.votes;
        let all = win + loss + tie;
        let score = win + 0.5 * tie;
        if all >= PAIR_VOTES {
            let (expected, variance) = expectation(fit, row);
            if variance > 0.0 {
                let square = (score - expected).powi(2) / variance;
                pairs += 1;
                beyond += u64::from(square > SINGLE * SINGLE);
                sum += square;
            }
        }
        if all >= EDGE_VOTES {
            let share = score / all;
            let variance = ((win + 0.25 * tie) / all - share * share) / all;
            let lean = share - 0.5;
            let (better, worse) = if lean > 0.0 { (row.first, row.second) } else { (row.second, row.first) };
            if lean != 0.0 {
                raw.add(better, worse);
            }
            if lean.abs() > SINGLE * variance.sqrt() {
                certain.add(better, worse);
            }
        }
    }
    let mut listed = Vec::new();
    let cycles = raw.cycles(&mut |_| ());
    let certain_cycles = certain.cycles(&mut |cycle| {
        if listed.len() < LISTED {
            listed.push(cycle);
        }
    });
    let mean_square = (pairs > 0).then(|| sum / pairs as f64);
    Checks { pairs, mean_square, beyond, cycles, certain_cycles, listed, names: Vec::new() }
}

/// Expected score of the first and its variance. With ties as halves the model gives no variance of a tie, so that of the votes
/// around the expectation stands for it.
fn expectation(fit: &Fit, row: &Row) -> (f64, f64) {
    let d = fit.difference(row.first, row.second, &[]);
    let (win, loss, tie) = row.votes;
    let all = win + loss + tie;
    let chance = |votes| fit.model.terms(d, fit.tie.unwrap_or(0.0), votes).value.exp();
    let p = chance((1.0, 0.0, 0.0));
    if fit.model == Model::BradleyTerry {
        let variance = win * (1.0 - p).powi(2) + loss * p * p + tie * (0.5 - p).powi(2);
        return (all * p, variance);
    }
    let t = chance((0.0, 0.0, 1.0));
    let mean = p + 0.5 * t;
    (all * mean, all * (p + 0.25 * t - mean * mean))
}

/// Who beats whom, as bits.
struct Beats {
    words: usize,
    out: Vec<u64>,
    edges: Vec<(u32, u32)>,
    into: Vec<u64>,
}

impl Beats {
    fn new(n: usize) -> Beats {
        let words = n.div_ceil(64);
        Beats { words, out: vec![0; n * words], edges: Vec::new(), into: vec![0; n * words] }
    }

    fn add(&mut self, better: u32, worse: u32) {
        let (a, b) = (better as usize, worse as usize);
        self.out[a * self.words + b / 64] |= 1 << (b % 64);
        self.into[b * self.words + a / 64] |= 1 << (a % 64);
        self.edges.push((better, worse));
    }

    /// Cycles of three, each once, from its lowest member.
    fn cycles(&self, found: &mut dyn FnMut([u32; 3])) -> u64 {
        let mut count = 0;
        for &(a, b) in &self.edges {
            if a > b {
                continue;
            }
            let out = &self.out[b as usize * self.words..][..self.words];
            let into = &self.into[a as usize * self.words..][..self.words];
            for (word, (x, y)) in out.iter().zip(into).enumerate() {
                let mut bits = x & y;
                while bits != 0 {
                    let c = word as u32 * 64 + bits.trailing_zeros();
                    bits &= bits - 1;
                    if c > a {
                        count += 1;
                        found([a, b, c]);
                    }
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::{Design, fit};

    fn row(first: u32, second: u32, win: f64, loss: f64) -> Row {
        Row { first, second, votes: (win, loss, 0.0) }
    }

    #[test]
    fn a_circle_is_one_cycle_and_one_misfit_each() {
        let rows = vec![row(0, 1, 90.0, 10.0), row(1, 2, 90.0, 10.0), row(0, 2, 10.0, 90.0)];
        let design = Design { contestants: 3, rows: rows.clone(), terms: 0, values: Vec::new(), ridge: 0.0 };
        let fitted = fit(&design, Model::BradleyTerry, None).unwrap();
        let found = checks(&fitted, &rows);
        assert_eq!((found.cycles, found.certain_cycles, found.listed), (1, 1, vec![[0, 1, 2]]));
        // All strengths are equal: each pair is (90 − 50)²/25 = 64 away.
        assert_eq!((found.pairs, found.beyond), (3, 3));
        assert!((found.mean_square.unwrap() - 64.0).abs() < 1e-9);
        let other = vec![row(0, 1, 26.0, 24.0), row(1, 2, 26.0, 24.0), row(0, 2, 24.0, 26.0)];
        let found = checks(&fitted, &other);
        assert_eq!((found.cycles, found.certain_cycles), (1, 0));
    }
}
