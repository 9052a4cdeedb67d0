//! The hot loop: one pass over a tile of both matrices gives every sum that the tests need.
//!
//! Sums are formed in 16 logical lanes of f32 per (row, tile) whatever the vector width, with fused multiply-adds, and
//! folded to f64 in a fixed order, so the bits do not depend on the processor. A tile is at most [`TILE`] columns.

use pulp::{Arch, Simd, WithSimd};

/// Columns of one tile: two operands of f32 and the column sums fit in the first-level cache.
pub(crate) const TILE: usize = 512;
/// Columns between folds of the f32 lanes into f64: 1 024 terms a lane.
const FOLD: usize = 1 << 14;
/// Logical lanes.
const LANES: usize = 16;
/// Sums per row.
const SUMS: usize = 8;

/// Sums over one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RowSums {
    pub(crate) dot: f64,
    pub(crate) candidate: f64,
    pub(crate) reference: f64,
    pub(crate) difference: f64,
    pub(crate) fourth: f64,
    pub(crate) difference_reference: f64,
    pub(crate) reference_fourth: f64,
    pub(crate) changed: f64,
}

impl RowSums {
    fn add(&mut self, s: &[f64; SUMS]) {
        self.dot += s[0];
        self.candidate += s[1];
        self.reference += s[2];
        self.difference += s[3];
        self.fourth += s[4];
        self.difference_reference += s[5];
        self.reference_fourth += s[6];
        self.changed += s[7];
    }

    fn is_finite(&self) -> bool {
        // Every other sum is dominated by these or overflows only with them.
        (self.candidate + self.reference + self.difference + self.fourth + self.reference_fourth).is_finite()
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
            && self.value(row * width) == self.value(row * width + 1)
            && stemmata_fingerprint::is_constant(&self.row(row, width))
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

/// Adds the products of all rows of `rows_out` to it and to `columns`. Operands are row-major with `width` columns;
/// `columns` has `width` f32 sums of c·r. Returns how many elements were not finite.
pub(crate) fn accumulate(
    arch: Arch,
    candidate: Operand<'_>,
    reference: Operand<'_>,
    width: usize,
    columns: &mut [f32],
    rows_out: &mut [RowSums],
) -> u64 {
    arch.dispatch(Pass { candidate, reference, width, columns, rows: rows_out });
    let mut non_finite = 0;
    for (index, row) in rows_out.iter_mut().enumerate() {
        if !row.is_finite() {
            let (c, r) = (candidate.row(index, width), reference.row(index, width));
            non_finite += repair(&c, &r, columns, row);
        }
    }
    non_finite
}

/// The rare slow path: a row with NaN, infinity or overflow is summed again in f64 with bad elements as zero. The
/// column sums of the touched columns are made finite again; they lose what earlier rows of the chunk gave them, which
/// costs power and never validity (zero is a legal weight).
#[cold]
fn repair(candidate: &[f32], reference: &[f32], columns: &mut [f32], row: &mut RowSums) -> u64 {
    let mut bad = 0;
    *row = RowSums::default();
    for ((&c, &r), column) in candidate.iter().zip(reference).zip(columns.iter_mut()) {
        if !column.is_finite() {
            *column = 0.0;
        }
        if !(c.is_finite() && r.is_finite()) {
            bad += 1;
            row.changed += f64::from(u8::from(c.to_bits() != r.to_bits()));
            continue;
        }
        let (c, r) = (f64::from(c), f64::from(r));
        let d = c - r;
        row.add(&[
            c * r,
            c * c,
            r * r,
            d * d,
            d.powi(4),
            d * d * r * r,
            r.powi(4),
            f64::from(u8::from(d != 0.0)),
        ]);
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

struct Pass<'a> {
    candidate: Operand<'a>,
    reference: Operand<'a>,
    width: usize,
    columns: &'a mut [f32],
    rows: &'a mut [RowSums],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The number of vectors per 16 lanes is a constant of the instruction set.
        match S::F32_LANES {
            16 => pass::<S, 1>(simd, self),
            8 => pass::<S, 2>(simd, self),
            4 => pass::<S, 4>(simd, self),
            _ => pass::<S, 16>(simd, self),
        }
    }
}

#[inline(always)]
fn pass<S: Simd, const V: usize>(simd: S, job: Pass<'_>) {
    let Pass { candidate, reference, width, columns, rows } = job;
    let (mut c_tile, mut r_tile) = ([0.0; TILE], [0.0; TILE]);
    for (index, row) in rows.iter_mut().enumerate() {
        for (stretch_index, stretch) in columns.chunks_mut(FOLD).enumerate() {
            let mut lanes = [[simd.splat_f32s(0.0); V]; SUMS];
            let mut rest = [0.0; SUMS];
            for (tile_index, columns) in stretch.chunks_mut(TILE).enumerate() {
                let start = index * width + stretch_index * FOLD + tile_index * TILE;
                let c = candidate.tile(start, columns.len(), &mut c_tile);
                let r = reference.tile(start, columns.len(), &mut r_tile);
                tile::<S, V>(simd, c, r, columns, &mut lanes, &mut rest);
            }
            for (rest, lanes) in rest.iter_mut().zip(&lanes) {
                *rest += fold::<S, V>(lanes);
            }
            row.add(&rest);
        }
    }
}

/// One row of one tile. `V` vectors of the machine make 16 logical lanes; what does not fill them goes to `rest`.
#[inline(always)]
fn tile<S: Simd, const V: usize>(
    simd: S,
    c: &[f32],
    r: &[f32],
    columns: &mut [f32],
    lanes: &mut [[S::f32s; V]; SUMS],
    rest: &mut [f64; SUMS],
) {
    let whole = c.len() / LANES * LANES;
    let one = simd.splat_f32s(1.0);
    {
        let mut sums = *lanes;
        let (c, _) = S::as_simd_f32s(&c[..whole]);
        let (r, _) = S::as_simd_f32s(&r[..whole]);
        let (columns, _) = S::as_mut_simd_f32s(&mut columns[..whole]);
        for ((c, r), columns) in c.chunks_exact(V).zip(r.chunks_exact(V)).zip(columns.chunks_exact_mut(V)) {
            for v in 0..V {
                let (c, r) = (c[v], r[v]);
                columns[v] = simd.mul_add_f32s(c, r, columns[v]);
                sums[0][v] = simd.mul_add_f32s(c, r, sums[0][v]);
                sums[1][v] = simd.mul_add_f32s(c, c, sums[1][v]);
                let r2 = simd.mul_f32s(r, r);
                sums[2][v] = simd.add_f32s(r2, sums[2][v]);
                let d = simd.sub_f32s(c, r);
                let d2 = simd.mul_f32s(d, d);
                sums[3][v] = simd.add_f32s(d2, sums[3][v]);
                sums[4][v] = simd.mul_add_f32s(d2, d2, sums[4][v]);
                sums[5][v] = simd.mul_add_f32s(d2, r2, sums[5][v]);
                sums[6][v] = simd.mul_add_f32s(r2, r2, sums[6][v]);
                let same = simd.equal_f32s(c, r);
                // One masked addition on processors that have masks.
                sums[7][v] = simd.select_f32s(same, sums[7][v], simd.add_f32s(sums[7][v], one));
            }
        }
        *lanes = sums;
    }
    for i in whole..c.len() {
        let (c, r) = (c[i], r[i]);
        columns[i] = c.mul_add(r, columns[i]);
        let (r2, d) = (r * r, c - r);
        let d2 = d * d;
        let terms = [c * r, c * c, r2, d2, d2 * d2, d2 * r2, r2 * r2, f32::from(u8::from(c != r))];
        for (out, term) in rest.iter_mut().zip(terms) {
            *out += f64::from(term);
        }
    }
}

/// Sums 16 lanes in lane order.
#[inline(always)]
fn fold<S: Simd, const V: usize>(lanes: &[S::f32s; V]) -> f64 {
    let flat: &[f32] = pulp::bytemuck::cast_slice(lanes);
    flat.iter().map(|x| f64::from(*x)).sum()
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
