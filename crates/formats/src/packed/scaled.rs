//! Numbers of eight bits, each times a scale that its tensor, its row or its rectangle shares.

use super::{PIECE, Pieces, Scratch, parts, room_for_values, rows_of};
use stemmata_model::{ReadError, Tensor};

/// A matrix, or a stack of them, in this form; [`super::find`] has compared all shapes.
#[derive(Clone, Debug)]
pub(super) struct Scaled {
    pub(super) codes: Tensor,
    pub(super) scales: Tensor,
    /// Rows of one matrix of the stack.
    pub(super) rows: u64,
    pub(super) cols: u64,
    /// (rows, columns) that share a scale.
    pub(super) tile: (u64, u64),
    /// What the product is multiplied with in the end.
    pub(super) factor: Option<f32>,
}

impl Scaled {
    /// Index of the row of scales that belongs to a row of the stack.
    fn scale_row(&self, row: u64) -> u64 {
        row / self.rows * self.rows.div_ceil(self.tile.0) + row % self.rows / self.tile.0
    }

    pub(super) fn read(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        for (at, out) in parts(start, out) {
            pieces.values(&self.codes, at, out)?;
            self.multiply(pieces, scratch, at, out)?;
        }
        Ok(())
    }

    fn multiply(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let per_row = self.cols.div_ceil(self.tile.1);
        let last = start + out.len() as u64 - 1;
        // Whole rows of scales where they are short; else the run that a row needs.
        let first_row = self.scale_row(start / self.cols);
        let rows = self.scale_row(last / self.cols) - first_row + 1;
        let at_once = rows.checked_mul(per_row).filter(|all| *all <= PIECE as u64);
        if let Some(all) = at_once {
            let scales = room_for_values(&mut scratch.side, all as usize);
            pieces.values(&self.scales, first_row * per_row, scales)?;
        }
        for (row, col, run) in rows_of(start, self.cols, out) {
            let scale_row = self.scale_row(row);
            let (first, end) = (col / self.tile.1, (col + run.len() as u64).div_ceil(self.tile.1));
            let needed = (end - first) as usize;
            let scales = match at_once {
                Some(_) => {
                    let from = ((scale_row - first_row) * per_row + first) as usize;
                    &scratch.side[from..from + needed]
                }
                None => {
                    let scales = room_for_values(&mut scratch.side, needed);
                    pieces.values(&self.scales, scale_row * per_row + first, scales)?;
                    &*scales
                }
            };
            let mut col = col;
            let mut rest = run;
            for scale in scales {
                let len = (self.tile.1 - col % self.tile.1).min(rest.len() as u64) as usize;
                let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
                match self.factor {
                    Some(factor) => now.iter_mut().for_each(|value| *value = *value * scale * factor),
                    None => now.iter_mut().for_each(|value| *value *= scale),
                }
                rest = later;
                col += len as u64;
            }
        }
        Ok(())
    }
}
