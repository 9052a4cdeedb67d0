//! Is one side a rounding of the other to a grid of few levels? The rounding is repeated without knowing the format.
//!
//! Within a group of neighbours that share a grid, let q be the coarse values and f the fine ones. If q is f rounded, then no
//! f lies beyond half the distance to the next level, and, the error being spread evenly over the cell, |f − q| is on average
//! half of that half. A light change of a model that was made *from* q stays far inside the cells; a larger one leaves them.

use super::matrix::{BAND, Matrix};

/// Neighbours that may share a grid, along a row; blocks of 16 to 128 are what published formats use. 0: the whole row.
const SEGMENTS: [usize; 5] = [16, 32, 64, 128, 0];
/// Columns of tiles that span all rows of a band: square blocks of 64 and of 128 share one scale in eight-bit formats.
const TILES: [usize; 2] = [64, 128];
/// Rows that are looked at: a grid shows in a few of them.
const ROWS: usize = 4 * BAND as usize;
/// Bits per element below which a side is taken to be on a grid without looking at its levels.
const FEW_BITS: f64 = 15.0;
/// Otherwise groups of 32 must hold no more than this share of different values: bell-shaped weights take about a third with
/// 16 levels, half with 32, and nearly all as bf16.
const FEW_LEVELS: f64 = 0.7;
/// Steps that a grid may have between its ends: nine bits.
const MOST_STEPS: f64 = 512.0;
/// Beyond half a step by this share is still within: scales are rounded after the codes were chosen.
const SLACK: f64 = 1.03;

/// How well one side is the other, rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridFit {
    /// Neighbours in one group; 0 for a whole row.
    pub group: usize,
    /// Whether the levels are whole multiples of one step per group (else a code book).
    pub uniform: bool,
    /// Elements with a level on the side that they are off to.
    pub tested: u64,
    /// Of these, the ones within half a step (1.03 for rounded scales).
    pub within: u64,
    /// Mean of |f − q| over half the step: 0.5 for rounding, near 0 for a light change of the coarse side.
    pub fill: f64,
    /// Mean number of levels in a group.
    pub levels: f64,
}

#[derive(Default)]
struct Tally {
    tested: u64,
    within: u64,
    fill: f64,
    levels: u64,
    groups: u64,
}

/// The best fit over group sizes and both kinds of grid.
pub(crate) fn fit(coarse: &Matrix, fine: &Matrix, bits: f64) -> Option<GridFit> {
    let rows = coarse.rows.min(ROWS);
    if bits >= FEW_BITS && !few_levels(coarse, rows) {
        return None;
    }
    let mut best: Option<GridFit> = None;
    let mut offer = |group: usize, tallies: [Tally; 2]| {
        for (uniform, t) in [true, false].into_iter().zip(tallies) {
            if t.tested < 256 {
                continue;
            }
            let n = t.tested as f64;
            let fit = GridFit {
                group,
                uniform,
                tested: t.tested,
                within: t.within,
                fill: t.fill / n,
                levels: t.levels as f64 / t.groups.max(1) as f64,
            };
            // Closest to all within and evenly spread.
            let merit = |f: &GridFit| f.within as f64 / f.tested as f64 - (f.fill - 0.5).abs();
            if best.as_ref().is_none_or(|b| merit(&fit) > merit(b)) {
                best = Some(fit);
            }
        }
    };
    for segment in SEGMENTS {
        let width = if segment == 0 { coarse.cols } else { segment };
        let mut tallies = [Tally::default(), Tally::default()];
        for row in 0..rows {
            for (q, f) in coarse.row(row).chunks_exact(width).zip(fine.row(row).chunks_exact(width)) {
                add(&mut tallies, q, f);
            }
        }
        offer(segment, tallies);
    }
    for tile in TILES {
        let mut tallies = [Tally::default(), Tally::default()];
        for first in (0..rows).step_by(BAND as usize) {
            for column in (0..coarse.cols).step_by(tile) {
                let width = tile.min(coarse.cols - column);
                let cut = |m: &Matrix| -> Vec<f32> {
                    let rows = first..rows.min(first + BAND as usize);
                    rows.flat_map(|row| &m.row(row)[column..column + width]).copied().collect()
                };
                add(&mut tallies, &cut(coarse), &cut(fine));
            }
        }
        offer(tile * BAND as usize, tallies);
    }
    best
}

fn few_levels(m: &Matrix, rows: usize) -> bool {
    let (mut levels, mut elements) = (0, 0);
    for row in 0..rows {
        for group in m.row(row).chunks_exact(32.min(m.cols)) {
            // Zeros may come from pruning and say nothing of a grid.
            let nonzero: Vec<f32> = group.iter().copied().filter(|x| *x != 0.0).collect();
            levels += distinct(&nonzero).len();
            elements += nonzero.len();
        }
    }
    elements >= 256 && (levels as f64) < FEW_LEVELS * elements as f64
}

fn distinct(group: &[f32]) -> Vec<f32> {
    let mut levels = group.to_vec();
    levels.sort_by(f32::total_cmp);
    levels.dedup();
    levels
}

/// Adds a group to the tallies of uniform grids and of code books.
fn add(tallies: &mut [Tally; 2], q: &[f32], f: &[f32]) {
    let levels = distinct(q);
    if levels.len() < 3 {
        return;
    }
    let (low, high) = (levels[0], levels[levels.len() - 1]);
    let step = step(&levels);
    let [uniform, book] = tallies;
    for tally in [&mut *uniform, &mut *book] {
        tally.levels += levels.len() as u64;
        tally.groups += 1;
    }
    for (&q, &f) in q.iter().zip(f) {
        let off = f64::from(f) - f64::from(q);
        // Values beyond the ends are cut, not rounded.
        if (off > 0.0 && q == high) || (off < 0.0 && q == low) {
            continue;
        }
        if let Some(step) = step {
            uniform.take(off.abs() / (0.5 * step));
        }
        let at = levels.partition_point(|level| *level < q);
        let next = if off > 0.0 { levels[at + 1] } else { levels[at.max(1) - 1] };
        if off != 0.0 {
            book.take(off.abs() / (0.5 * (f64::from(next) - f64::from(q)).abs()));
        }
    }
}

impl Tally {
    fn take(&mut self, share: f64) {
        self.tested += 1;
        self.within += u64::from(share <= SLACK);
        self.fill += share.min(4.0);
    }
}

/// Greatest common divisor of the distances between levels, by Euclid with the tolerance of f32 products; `None` where there is
/// none of at most [`MOST_STEPS`] steps.
fn step(levels: &[f32]) -> Option<f64> {
    let low = f64::from(levels[0]);
    let span = f64::from(levels[levels.len() - 1]) - low;
    let tolerance = span * 2e-4;
    let mut divisor = span;
    for level in &levels[1..] {
        let mut rest = f64::from(*level) - low;
        while rest > tolerance {
            (divisor, rest) = (rest, divisor % rest);
            if (divisor - rest).abs() < tolerance {
                rest = 0.0;
            }
        }
    }
    let steps = (span / divisor).round();
    // The span is the best-known multiple.
    (steps <= MOST_STEPS).then(|| span / steps)
}
