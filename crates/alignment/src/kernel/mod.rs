//! The hot loop: one pass over a tile of both matrices gives every sum that the tests need.
//!
//! Sums are formed in 16 logical lanes of f32 per (row, tile) whatever the vector width, with fused multiply-adds, and
//! folded to f64 in a fixed order, so the bits do not depend on the processor.

mod pass;

use pass::{Merge, Pass, SUMS, TILE};
use pulp::Arch;

/// Sums over one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RowSums {
    pub(crate) dot: f64,
    pub(crate) candidate: f64,
    pub(crate) reference: f64,
    pub(crate) difference: f64,
    pub(crate) unchanged: f64,
    /// Sums of order four, if they were asked for.
    pub(crate) difference_fourth: f64,
    pub(crate) difference_reference: f64,
    pub(crate) reference_fourth: f64,
    /// No square of the candidate, of the reference is larger than these.
    pub(crate) peaks: [f64; 2],
}

/// Every how many-th row of a chunk has its sums of order four formed, beginning with which.
#[derive(Clone, Copy)]
pub(crate) struct FourthRows {
    pub(crate) first: usize,
    pub(crate) every: usize,
}

impl FourthRows {
    pub(crate) const NONE: FourthRows = FourthRows { first: usize::MAX, every: 1 };

    /// Whether a row of the chunk is one of them.
    pub(crate) fn contains(self, row: usize) -> bool {
        row >= self.first && (row - self.first).is_multiple_of(self.every)
    }
}

impl RowSums {
    fn add(&mut self, s: &[f64; SUMS]) {
        self.dot += s[0];
        self.candidate += s[1];
        self.reference += s[2];
        self.difference += s[3];
        self.unchanged += s[4];
        self.difference_fourth += s[5];
        self.difference_reference += s[6];
        self.reference_fourth += s[7];
    }

    fn is_finite(&self) -> bool {
        // Every other sum is dominated by these or overflows only with them.
        let squares = self.candidate + self.reference + self.difference;
        (squares + self.difference_fourth + self.reference_fourth).is_finite()
    }
}

/// Rows of one operand: decoded, or bf16 as stored, which a shift in registers decodes.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    Decoded(&'a [f32]),
    Bf16(&'a [u8]),
}

impl<'a> Operand<'a> {
    /// Elements `start .. start + len`, decoded into `tile` if they are not already.
    #[inline(always)]
    fn tile<'t>(self, start: usize, len: usize, tile: &'t mut [f32; TILE]) -> &'t [f32]
    where
        'a: 't,
    {
        match self {
            Operand::Decoded(values) => &values[start..start + len],
            Operand::Bf16(bytes) => {
                let pairs = bytes[2 * start..2 * (start + len)].chunks_exact(2);
                for (x, b) in tile.iter_mut().zip(pairs) {
                    *x = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
                }
                &tile[..len]
            }
        }
    }

    /// Element `i`.
    #[inline]
    pub(crate) fn value(self, i: usize) -> f32 {
        match self {
            Operand::Decoded(values) => values[i],
            Operand::Bf16(bytes) => {
                f32::from_bits(u32::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])) << 16)
            }
        }
    }

    /// Whether every value of a row is finite and at most `limit` in magnitude.
    pub(crate) fn within(self, row: usize, width: usize, limit: f32) -> bool {
        let mut tile = [0.0; TILE];
        (0..width).step_by(TILE).all(|start| {
            let values = self.tile(row * width + start, TILE.min(width - start), &mut tile);
            // Written so that NaN fails.
            values.iter().fold(true, |all, x| all & (x.abs() <= limit) & x.is_finite())
        })
    }

    /// Whether one number other than zero fills a row; nearly always known from its first two values.
    pub(crate) fn is_constant(self, row: usize, width: usize) -> bool {
        width > 1
            && self.value(row * width) != 0.0
            && self.value(row * width) == self.value(row * width + 1)
            && stemmata_fingerprint::is_constant(&self.row(row, width))
    }

    /// Whether all values are zero; mostly known from the first.
    pub(crate) fn is_zero(self) -> bool {
        match self {
            Operand::Decoded(values) => values.iter().all(|x| *x == 0.0),
            Operand::Bf16(bytes) => bytes.iter().all(|x| *x == 0),
        }
    }

    /// One row, decoded.
    pub(crate) fn row(self, row: usize, width: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(width);
        let mut tile = [0.0; TILE];
        for start in (0..width).step_by(TILE) {
            out.extend_from_slice(self.tile(row * width + start, TILE.min(width - start), &mut tile));
        }
        out
    }
}

/// In which order the column sums of one chunk lie.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum ColumnOrder {
    /// As the columns.
    Natural,
    /// In whole groups of 32 columns the 16 even ones before the odd ones, as a register of bf16 pairs splits.
    Split,
}

impl ColumnOrder {
    fn of(both: [Operand<'_>; 2]) -> ColumnOrder {
        match both {
            [Operand::Bf16(_), Operand::Bf16(_)] => ColumnOrder::Split,
            _ => ColumnOrder::Natural,
        }
    }
}

/// Column sums Σc·r of one chunk, in f32, waiting to be kept or dropped.
#[derive(Default)]
pub(crate) struct ColumnSums {
    sums: Vec<f32>,
    order: Option<ColumnOrder>,
}

impl ColumnSums {
    /// Adds them to `total`, in the columns' own order.
    pub(crate) fn merge_into(&self, arch: Arch, total: &mut [f32]) {
        if let Some(order) = self.order {
            arch.dispatch(Merge { order, part: &self.sums, total });
        }
    }
}

/// Forms the sums over all rows (`rows_out` is as long as there are rows) and columns of a chunk. Operands are row-major with
/// `width` columns. Returns how many elements were not finite.
pub(crate) fn accumulate(
    arch: Arch,
    both: [Operand<'_>; 2],
    width: usize,
    fourths: FourthRows,
    columns: &mut ColumnSums,
    rows_out: &mut [RowSums],
) -> u64 {
    columns.order = Some(ColumnOrder::of(both));
    columns.sums.clear();
    columns.sums.resize(width, 0.0);
    rows_out.fill(RowSums::default());
    arch.dispatch(Pass { both, width, fourths, columns: &mut columns.sums, rows: rows_out });
    let mut non_finite = 0;
    let mut repaired = false;
    for (index, row) in rows_out.iter_mut().enumerate() {
        if !row.is_finite() {
            non_finite += repair(&both[0].row(index, width), &both[1].row(index, width), row);
            repaired = true;
        }
    }
    if repaired {
        // Touched columns lose what other rows of the chunk gave them, which costs power and never validity: zero is a
        // legal weight.
        columns.sums.iter_mut().filter(|sum| !sum.is_finite()).for_each(|sum| *sum = 0.0);
    }
    non_finite
}

/// The rare slow path: a row with NaN, infinity or overflow is summed again in f64 with bad elements as zero.
#[cold]
fn repair(candidate: &[f32], reference: &[f32], row: &mut RowSums) -> u64 {
    let mut bad = 0;
    *row = RowSums::default();
    for (&c, &r) in candidate.iter().zip(reference) {
        if !(c.is_finite() && r.is_finite()) {
            bad += 1;
            row.unchanged += f64::from(u8::from(c.to_bits() == r.to_bits()));
            continue;
        }
        let (c, r) = (f64::from(c), f64::from(r));
        let d = c - r;
        row.add(&[
            c * r,
            c * c,
            r * r,
            d * d,
            f64::from(u8::from(d == 0.0)),
            d.powi(4),
            d * d * r * r,
            r.powi(4),
        ]);
        row.peaks = [row.peaks[0].max(c * c), row.peaks[1].max(r * r)];
    }
    bad
}

/// Adds Σx² per column over one row; used on a sample of rows for the reach of column channels. A column with an
/// element that is not finite ends up not finite and is dropped when the sums are used.
pub(crate) fn column_squares(row: &[f32], out: &mut [f32]) {
    for (&x, sum) in row.iter().zip(out) {
        *sum += x * x;
    }
}

#[cfg(test)]
mod tests;
