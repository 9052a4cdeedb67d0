//! What may be said of ranks? Simultaneous limits, ranks as sets, shares of draws at the top, groups that are tied.

use crate::sandwich::Errors;
use stemmata_stats::{SplitMix64, student_quantile};

/// Contestants up to which all pairs are followed through every draw; beyond it pairs take Bonferroni's limit.
const FOLLOWED: usize = 400;
/// Draws from the distribution of the errors, up to [`FOLLOWED`] contestants and beyond.
const DRAWS: (usize, usize) = (2000, 500);

/// How many standard errors are enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// For one interval.
    pub single: f64,
    /// For the intervals of all contestants together.
    pub all: f64,
    /// For the differences of all pairs together.
    pub pairs: f64,
    /// Whether `pairs` is Bonferroni's, not that of the largest of the drawn differences.
    pub bonferroni: bool,
}

/// What ranks may be said to be.
pub(crate) struct Ranks {
    pub(crate) limits: Limits,
    /// Lowest and highest rank, 1 is the best.
    pub(crate) sets: Vec<(u32, u32)>,
    /// Share of draws in which the contestant is among the `top` first.
    pub(crate) top: Vec<f64>,
    /// Group of contestants that are not told apart from its first one; 1 is the best.
    pub(crate) groups: Vec<u32>,
    /// Pairs whose order is certain.
    pub(crate) decided: u64,
}

/// Ranks of contestants with these strengths and errors. `freedom`: degrees of freedom of the errors.
pub(crate) fn ranks(strengths: &[f64], errors: &Errors, level: f64, top: u32, seed: u64) -> Ranks {
    let n = strengths.len();
    let freedom = errors.clusters.saturating_sub(1).max(1) as f64;
    let tail = (1.0 - level) / 2.0;
    let single = student_quantile(1.0 - tail, freedom);
    if !errors.is_known() {
        // Anybody may have any rank.
        let limits = Limits { single, all: single, pairs: single, bonferroni: false };
        let (sets, groups) = (vec![(1, n as u32); n], vec![1; n]);
        return Ranks { limits, sets, top: vec![f64::NAN; n], groups, decided: 0 };
    }
    let draws = Draws::new(n, errors, freedom, seed);
    let of_draws: Vec<f64> = (0..n).map(|i| draws.error(i)).collect();
    let all = draws.limit(level, |draw| {
        let each = draw.iter().zip(&of_draws).map(|(z, error)| z.abs() / error);
        each.fold(0.0, f64::max)
    });
    let bonferroni = n > FOLLOWED;
    let pairs = if bonferroni {
        let count = (n * (n - 1) / 2) as f64;
        student_quantile(1.0 - tail / count, freedom)
    } else {
        let precision = draws.precision();
        draws.limit(level, |draw| widest(draw, &precision))
    };
    let limits = Limits { single, all: all.max(single), pairs: pairs.max(single), bonferroni };
    let mut above = vec![0_u32; n];
    let mut below = vec![0_u32; n];
    let certain = |i: usize, j: usize| {
        let difference = strengths[i] - strengths[j];
        difference.abs() > limits.pairs * errors.contrast(i, j).sqrt()
    };
    let mut decided = 0;
    for i in 0..n {
        for j in 0..i {
            if certain(i, j) {
                decided += 1;
                let (better, worse) = if strengths[i] > strengths[j] { (i, j) } else { (j, i) };
                above[worse] += 1;
                below[better] += 1;
            }
        }
    }
    let sets = above.iter().zip(&below).map(|(a, b)| (1 + a, n as u32 - b)).collect();
    let groups = groups(strengths, certain);
    Ranks { limits, sets, top: draws.top(strengths, top), groups, decided }
}

/// Takes the best contestant that is in no group yet, and with it all those in none that are not certainly worse.
fn groups(strengths: &[f64], certain: impl Fn(usize, usize) -> bool) -> Vec<u32> {
    let mut left = order(strengths);
    let mut group = vec![0; strengths.len()];
    let mut number = 0;
    while let Some(&leader) = left.first() {
        number += 1;
        left.retain(|&member| {
            let worse = member != leader && certain(leader, member);
            if !worse {
                group[member] = number;
            }
            worse
        });
    }
    group
}

/// Numbers of contestants, the best first; equal strengths in order of their numbers.
pub(crate) fn order(strengths: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..strengths.len()).collect();
    order.sort_by(|&a, &b| strengths[b].total_cmp(&strengths[a]).then(a.cmp(&b)));
    order
}

/// Draws of the errors of all strengths.
struct Draws<'e> {
    contestants: usize,
    /// One draw after another.
    values: Vec<f64>,
    /// Where their covariance stands.
    errors: &'e Errors,
}

impl<'e> Draws<'e> {
    /// Normal vectors with the covariance of the errors, each divided by √(χ²/freedom): a multivariate t (Wilson and Hilferty's
    /// cube root of 1931 stands for χ²).
    fn new(contestants: usize, errors: &'e Errors, freedom: f64, seed: u64) -> Draws<'e> {
        let count = if contestants <= FOLLOWED { DRAWS.0 } else { DRAWS.1 };
        let side = errors.factor.side;
        let mut random = SplitMix64::new(seed ^ 0x7261_6e6b_7300_0000);
        let normals: Vec<f64> = (0..side * count).map(|_| random.normal()).collect();
        let drawn = errors.factor.times_many(&normals, count);
        let spread = 2.0 / (9.0 * freedom);
        let mut values = vec![0.0; contestants * count];
        for draw in 0..count {
            let chi = (1.0 - spread + random.normal() * spread.sqrt()).max(0.05).powi(3);
            let scale = 1.0 / chi.sqrt();
            for i in 0..contestants {
                values[draw * contestants + i] = drawn[i * count + draw] * scale;
            }
        }
        Draws { contestants, values, errors }
    }

    fn error(&self, i: usize) -> f64 {
        self.errors.drawn(i, i).sqrt().max(f64::MIN_POSITIVE)
    }

    /// One over the standard error of each difference, row after row; 0 on the diagonal.
    fn precision(&self) -> Vec<f64> {
        let n = self.contestants;
        let v = self.errors;
        let mut out = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                let variance = v.drawn(i, i) + v.drawn(j, j) - 2.0 * v.drawn(i, j);
                out[i * n + j] = if i != j && variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
            }
        }
        out
    }

    /// The smallest value that the share `level` of draws does not exceed, counted as if one more draw lay above all.
    fn limit(&self, level: f64, statistic: impl Fn(&[f64]) -> f64) -> f64 {
        let mut values: Vec<f64> = self.values.chunks_exact(self.contestants).map(statistic).collect();
        values.sort_by(f64::total_cmp);
        let place = ((values.len() + 1) as f64 * level).ceil() as usize;
        values.get(place.saturating_sub(1)).or(values.last()).copied().unwrap_or(f64::INFINITY)
    }

    fn top(&self, strengths: &[f64], top: u32) -> Vec<f64> {
        let n = self.contestants;
        let kept = (top as usize).min(n);
        let mut hits = vec![0_u32; n];
        let mut drawn: Vec<(f64, usize)> = Vec::with_capacity(n);
        for draw in self.values.chunks_exact(n) {
            drawn.clear();
            drawn.extend(strengths.iter().zip(draw).enumerate().map(|(i, (s, z))| (s + z, i)));
            if kept > 0 && kept < n {
                drawn.select_nth_unstable_by(kept - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            }
            drawn[..kept].iter().for_each(|(_, i)| hits[*i] += 1);
        }
        // Half a draw on either side: a finite number of draws shows no share of 0 or 1.
        let count = (self.values.len() / n.max(1)) as f64;
        hits.into_iter().map(|hits| (f64::from(hits) + 0.5) / (count + 1.0)).collect()
    }
}

/// The largest studentised difference of a draw. Eight lanes, so that the compiler can keep them in registers.
fn widest(draw: &[f64], precision: &[f64]) -> f64 {
    let n = draw.len();
    let mut lanes = [0.0_f64; 8];
    for (i, z) in draw.iter().enumerate() {
        let row = &precision[i * n..][..i];
        let (chunks, rest) = draw[..i].as_chunks::<8>();
        let (scales, rest_scales) = row.as_chunks::<8>();
        for (values, scales) in chunks.iter().zip(scales) {
            for k in 0..8 {
                let t = (z - values[k]).abs() * scales[k];
                lanes[k] = if t > lanes[k] { t } else { lanes[k] };
            }
        }
        for (value, scale) in rest.iter().zip(rest_scales) {
            lanes[0] = lanes[0].max((z - value).abs() * scale);
        }
    }
    lanes.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_start_at_the_best_that_is_left() {
        let strengths: [f64; 4] = [0.0, 3.0, 2.0, -1.0];
        let certain = |i: usize, j: usize| (strengths[i] - strengths[j]).abs() > 1.5;
        assert_eq!(groups(&strengths, certain), [2, 1, 1, 2]);
        assert_eq!(groups(&strengths, |_, _| false), [1; 4]);
        assert_eq!(groups(&[], |_, _| true), Vec::<u32>::new());
    }

    #[test]
    fn the_widest_difference_is_found_in_every_lane() {
        for n in [1_usize, 2, 9, 17, 30] {
            for far in 0..n {
                let mut draw = vec![0.0; n];
                draw[far] = -2.5;
                let precision = vec![2.0; n * n];
                assert_eq!(widest(&draw, &precision), if n > 1 { 5.0 } else { 0.0 });
            }
        }
    }
}
