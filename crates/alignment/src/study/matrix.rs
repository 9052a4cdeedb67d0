//! A part of a logical matrix in memory: all columns of evenly spaced bands of rows.

use crate::PairPlan;
use stemmata_fingerprint::RowReader;
use stemmata_model::{ReadError, Weights};

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

/// The same rows of the candidate and the reference, of about `budget` elements or all.
pub(crate) fn read(
    pair: &PairPlan,
    weights: [&dyn Weights; 2],
    budget: u64,
) -> Result<[Matrix; 2], ReadError> {
    let bands = pair.rows.div_ceil(BAND);
    let wanted =
        if pair.rows * pair.cols <= budget { bands } else { (budget / (BAND * pair.cols)).clamp(1, bands) };
    let mut sides = [Vec::new(), Vec::new()];
    for (side, view) in [&pair.candidate, &pair.reference].into_iter().enumerate() {
        let mut reader = RowReader::default();
        for band in (0..wanted).map(|i| i * bands / wanted) {
            let first = band * BAND;
            let rows = BAND.min(pair.rows - first);
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
