//! One model against fixed patterns: does it have the symmetry that the tests of a pair rest on?
//!
//! The sign test of a pair is exact when at least one of the two models treats both signs of a channel alike. Such a model
//! shows no dependence on *any* fixed pattern either, and the same exact test says whether it does. Two patterns are common in
//! practice: all ones (one-signed or shifted weights) and the identity (blocks that start as, or drift to, a copy of their
//! input). For the labels of feed-forward units the pattern is "unit i reads coordinate i most".

use stemmata_architecture::{ChannelAxis, ChannelMap};
use stemmata_stats::{fixed_points, sign_flip};

/// The pattern that a model was held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// The all-ones matrix, along the channels of an axis.
    Ones(ChannelAxis),
    /// The identity matrix, along the channels of an axis.
    Diagonal(ChannelAxis),
    /// "Unit i reads coordinate i most."
    Labels,
}

/// Outcome for one tensor of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfCheck {
    /// Against what.
    pub pattern: Pattern,
    /// Bound on the two-sided p-value, log10.
    pub log10_p: f64,
}

/// Sums of one tensor of one model; rows that are looked at may be a sample.
#[derive(Clone, Debug, Default)]
pub struct SelfSums {
    /// (row, sum of the row).
    rows: Vec<(u64, f64)>,
    /// Sum of each column over the rows that were looked at, which are few.
    cols: Vec<f32>,
    /// (i, element (i, i)).
    diagonal: Vec<(u64, f64)>,
}

impl SelfSums {
    /// Adds one row, finite throughout. Rows come in order.
    pub fn add_row(&mut self, index: u64, row: &[f32]) {
        // Lanes, so that the sum is the same whatever the width of the processor's vectors.
        let mut lanes = [0.0_f32; 16];
        for piece in row.chunks(16) {
            lanes.iter_mut().zip(piece).for_each(|(lane, x)| *lane += x);
        }
        self.rows.push((index, lanes.iter().map(|x| f64::from(*x)).sum()));
        self.cols.resize(row.len(), 0.0);
        self.cols.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }

    /// Adds element (`index`, `index`).
    pub fn add_diagonal(&mut self, index: u64, value: f32) {
        if value.is_finite() {
            self.diagonal.push((index, f64::from(value)));
        }
    }

    /// Adds the sums of later rows of the same tensor.
    pub fn merge(&mut self, later: SelfSums) {
        self.rows.extend(later.rows);
        self.diagonal.extend(later.diagonal);
        if self.cols.is_empty() {
            self.cols = later.cols;
        } else {
            self.cols.iter_mut().zip(later.cols).for_each(|(sum, x)| *sum += x);
        }
    }

    /// The tests along the axes that the rows and columns are channels of.
    pub fn finish(&self, row_map: Option<ChannelMap>, col_map: Option<ChannelMap>) -> Vec<SelfCheck> {
        let mut checks = Vec::new();
        let mut test = |pattern, log10_p| checks.push(SelfCheck { pattern, log10_p });
        let cols = (0..).zip(self.cols.iter().map(|x| f64::from(*x)));
        for (map, sums) in [(row_map, self.rows.clone()), (col_map, cols.collect())] {
            let Some(map) = map else { continue };
            test(Pattern::Ones(map.axis), along(map, &sums));
            test(Pattern::Diagonal(map.axis), along(map, &self.diagonal));
        }
        checks
    }
}

/// The sign test over the channels that the indices belong to.
fn along(map: ChannelMap, terms: &[(u64, f64)]) -> f64 {
    let extent = terms.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
    let mut channels = vec![0.0; map.channels(extent) as usize];
    for (index, term) in terms {
        channels[map.channel(*index) as usize] += term;
    }
    sign_flip(&channels).log10_p
}

/// The first coordinate of largest magnitude; `u64::MAX` if there is none above zero.
pub fn strongest(unit: &[f32]) -> (f32, u64) {
    let mut lanes = [0.0_f32; 16];
    for piece in unit.chunks(16) {
        lanes.iter_mut().zip(piece).for_each(|(lane, x)| *lane = lane.max(x.abs()));
    }
    let largest = lanes.iter().fold(0.0_f32, |m, x| m.max(*x));
    let at = unit.iter().position(|x| largest > 0.0 && x.abs() == largest);
    (largest, at.map_or(u64::MAX, |at| at as u64))
}

/// The label check: `strongest` holds for each unit that was looked at its label and the coordinate it reads most. Under
/// exchangeable labels k coincidences have probability at most 1/k! (docs/methods/fixed-points.md).
pub fn check_labels(strongest: impl Iterator<Item = (u64, u64)>) -> SelfCheck {
    let coincidences = strongest.filter(|(unit, coordinate)| unit == coordinate).count();
    SelfCheck { pattern: Pattern::Labels, log10_p: fixed_points(coincidences as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_stats::SplitMix64;

    fn checks(element: impl Fn(u64, u64, f64) -> f64) -> Vec<SelfCheck> {
        let mut random = SplitMix64::new(6);
        let mut sums = SelfSums::default();
        for i in 0..96_u64 {
            let row: Vec<f32> = (0..64).map(|j| element(i, j, random.normal()) as f32).collect();
            sums.add_row(i, &row);
            if i < 64 {
                sums.add_diagonal(i, row[i as usize]);
            }
        }
        let map = |axis| Some(ChannelMap::direct(axis));
        sums.finish(map(ChannelAxis::Value), map(ChannelAxis::Residual))
    }

    #[test]
    fn a_symmetric_model_passes_and_shifted_or_identity_like_ones_do_not() {
        assert!(checks(|_, _, x| x).iter().all(|c| c.log10_p > -3.0));
        let worst = |checks: Vec<SelfCheck>, wanted: fn(&Pattern) -> bool| {
            checks.iter().filter(|c| wanted(&c.pattern)).map(|c| c.log10_p).fold(0.0, f64::min)
        };
        assert!(worst(checks(|_, _, x| x.abs()), |p| matches!(p, Pattern::Ones(_))) < -15.0);
        assert!(worst(checks(|_, _, x| x + 0.2), |p| matches!(p, Pattern::Ones(_))) < -6.0);
        let identity = checks(|i, j, x| 0.3 * x + f64::from(u8::from(i == j)));
        assert!(worst(identity, |p| matches!(p, Pattern::Diagonal(_))) < -10.0);
    }

    #[test]
    fn labels_that_coincide_are_counted() {
        assert!(check_labels((0..40).map(|i| (i, i))).log10_p < -40.0);
        assert_eq!(check_labels((0..40).map(|i| (i, i + 1))).log10_p, 0.0);
    }
}
