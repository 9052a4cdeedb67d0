//! Reads logical rows of a view, whatever its layout in storage, without holding the tensor.

use stemmata_architecture::{RowOrder, View};
use stemmata_model::{ReadError, Weights};

/// The same matrix with rows and columns exchanged; `None` when the row order forbids it.
pub fn flipped(view: &View) -> Option<View> {
    (view.order == RowOrder::Stored).then_some(View {
        rows: view.cols,
        cols: view.rows,
        row_stride: view.col_stride,
        col_stride: view.row_stride,
        ..*view
    })
}

/// Reads rows; keeps a scratch buffer between calls.
#[derive(Default)]
pub struct RowReader {
    scratch: Vec<f32>,
}

impl RowReader {
    /// Fills `out` (row-major, `cols` wide) with logical rows `first ..` of `view`, columns `0..cols`.
    ///
    /// One storage read for dense rows, one per row for spread rows, one per column for transposed storage; memory is
    /// O(out) plus the stride gaps of one read.
    pub fn read(
        &mut self,
        weights: &dyn Weights,
        view: &View,
        first: u64,
        cols: usize,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let rows = (out.len() / cols) as u64;
        if view.col_stride == 1 || (view.col_stride < view.row_stride && view.rows > 1) || rows == 1 {
            let dense =
                view.order == RowOrder::Stored && view.col_stride == 1 && view.row_stride == cols as u64;
            if dense {
                return weights.read(view.tensor, view.first + first * view.row_stride, out);
            }
            for (row, out) in (first..).zip(out.chunks_exact_mut(cols)) {
                let start = view.first + view.stored_row(row) * view.row_stride;
                self.read_spread(weights, view.tensor, start, view.col_stride, out)?;
            }
            return Ok(());
        }
        self.read_transposed(weights, view, first, cols, out)
    }

    /// Elements `start, start + stride, …` of a tensor.
    fn read_spread(
        &mut self,
        weights: &dyn Weights,
        tensor: usize,
        start: u64,
        stride: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        if stride == 1 {
            return weights.read(tensor, start, out);
        }
        // In pieces, so that a wide stride cannot ask for a large buffer.
        let per_piece = (65_536 / stride).max(1) as usize;
        for (piece, out) in out.chunks_mut(per_piece).enumerate() {
            let span = (out.len() as u64 - 1) * stride + 1;
            self.scratch.resize(span as usize, 0.0);
            weights.read(tensor, start + (piece * per_piece) as u64 * stride, &mut self.scratch)?;
            for (out, value) in out.iter_mut().zip(self.scratch.iter().step_by(stride as usize)) {
                *out = *value;
            }
        }
        Ok(())
    }

    fn read_transposed(
        &mut self,
        weights: &dyn Weights,
        view: &View,
        first: u64,
        cols: usize,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let rows = out.len() / cols;
        let mut column = vec![0.0; rows];
        for c in 0..cols {
            let start = view.first + c as u64 * view.col_stride;
            match view.order {
                RowOrder::Stored => {
                    let start = start + first * view.row_stride;
                    self.read_spread(weights, view.tensor, start, view.row_stride, &mut column)?;
                }
                RowOrder::RotaryInterleaved { .. } | RowOrder::Blocks { .. } => {
                    for (row, value) in (first..).zip(column.iter_mut()) {
                        let at = start + view.stored_row(row) * view.row_stride;
                        weights.read(view.tensor, at, std::slice::from_mut(value))?;
                    }
                }
            }
            for (out, value) in out[c..].iter_mut().step_by(cols).zip(&column) {
                *out = *value;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_model::Tensor;

    /// Element i of every tensor is i.
    struct Counting;

    impl Weights for Counting {
        fn tensors(&self) -> &[Tensor] {
            &[]
        }
        fn read(&self, _: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
            for (i, out) in out.iter_mut().enumerate() {
                *out = (start + i as u64) as f32;
            }
            Ok(())
        }
        fn bytes_read(&self) -> u64 {
            0
        }
    }

    fn check(view: View, first: u64, rows: usize, cols: usize) {
        let mut out = vec![0.0; rows * cols];
        RowReader::default().read(&Counting, &view, first, cols, &mut out).unwrap();
        for r in 0..rows {
            for c in 0..cols {
                let at = view.first
                    + view.stored_row(first + r as u64) * view.row_stride
                    + c as u64 * view.col_stride;
                assert_eq!(out[r * cols + c], at as f32, "{view:?} ({r}, {c})");
            }
        }
    }

    #[test]
    fn every_layout_reads_the_elements_of_its_formula() {
        let dense = View {
            tensor: 0,
            rows: 12,
            cols: 5,
            first: 7,
            row_stride: 5,
            col_stride: 1,
            order: RowOrder::Stored,
        };
        check(dense, 2, 6, 5);
        check(dense, 2, 6, 3);
        check(View { order: RowOrder::RotaryInterleaved { head_dim: 6 }, ..dense }, 0, 12, 5);
        check(View { order: RowOrder::Blocks { block: 3, step: 7 }, ..dense }, 2, 8, 5);
        check(View { row_stride: 10, ..dense }, 1, 4, 5);
        let transposed = View { row_stride: 1, col_stride: 40, ..dense };
        check(transposed, 3, 5, 4);
        check(View { row_stride: 2, col_stride: 40, ..dense }, 3, 5, 5);
        check(flipped(&View { row_stride: 2, col_stride: 40, ..dense }).unwrap(), 1, 3, 12);
        check(
            View {
                row_stride: 1,
                col_stride: 40,
                order: RowOrder::RotaryInterleaved { head_dim: 4 },
                ..dense
            },
            4,
            5,
            5,
        );
        let turned = RowOrder::Blocks { block: 2, step: 30 };
        check(View { row_stride: 1, col_stride: 2, order: turned, ..dense }, 3, 6, 5);
    }
}
