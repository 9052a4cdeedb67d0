//! A part of a logical matrix in memory: all columns of evenly spaced bands of rows.

use crate::PairPlan;
use stemmata_fingerprint::{RowReader, row_cost, spans};
use stemmata_model::{ReadError, Span, Weights};

/// Rows that are read together, so that grids which span rows stay whole.
pub(crate) const BAND: u64 = 32;

/// Row-major values; what is not finite counts as zero.
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.cols..][..self.cols]
    }
}

/// (first row, rows) of the bands that are read: of about `budget` elements, or all.
fn bands(pair: &PairPlan, budget: u64) -> impl Iterator<Item = (u64, u64)> {
    let (rows, bands) = (pair.rows, pair.rows.div_ceil(BAND));
    let wanted =
        if rows * pair.cols <= budget { bands } else { (budget / (BAND * pair.cols)).clamp(1, bands) };
    (0..wanted).map(move |i| {
        let first = i * bands / wanted * BAND;
        (first, BAND.min(rows - first))
    })
}

/// Bytes of the dearer side that [`read`] fetches; more than there are where its rows do not lie together.
pub(crate) fn cost(pair: &PairPlan, weights: [&dyn Weights; 2], budget: u64) -> u64 {
    let rows: u64 = bands(pair, budget).map(|(_, rows)| rows).sum();
    let of = |side: usize, view| {
        row_cost(weights[side], view, pair.cols).map_or(u64::MAX, |cost| cost.saturating_mul(rows))
    };
    of(0, &pair.candidate).max(of(1, &pair.reference))
}

/// What [`read`] reads of a side.
pub(crate) fn wanted(pair: &PairPlan, side: usize, budget: u64) -> Vec<Span> {
    let view = [&pair.candidate, &pair.reference][side];
    bands(pair, budget).flat_map(|(first, rows)| spans(view, first, rows, pair.cols)).collect()
}

/// The same rows of the candidate and the reference, of about `budget` elements or all.
pub(crate) fn read(
    pair: &PairPlan,
    weights: [&dyn Weights; 2],
    budget: u64,
) -> Result<[Matrix; 2], ReadError> {
    let mut sides = [Vec::new(), Vec::new()];
    for (side, view) in [&pair.candidate, &pair.reference].into_iter().enumerate() {
        let mut reader = RowReader::default();
        for (first, rows) in bands(pair, budget) {
            let start = sides[side].len();
            sides[side].resize(start + (rows * pair.cols) as usize, 0.0);
            reader.read(weights[side], view, first, pair.cols as usize, &mut sides[side][start..])?;
        }
    }
    let cols = pair.cols as usize;
    Ok(sides.map(|mut values| {
        values.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
        Matrix { rows: values.len() / cols, cols, values }
    }))
}
