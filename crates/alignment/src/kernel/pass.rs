//! The loops that run in vector registers.

use super::{ColumnOrder, FourthRows, Operand, RowSums};
use pulp::{Simd, WithSimd, bytemuck};

/// Columns of one tile: two operands of f32 and the column sums fit in the first-level cache.
pub(super) const TILE: usize = 512;
/// Columns between folds of the f32 lanes into f64: 256 terms a lane, few enough that the largest lane sum of squares bounds
/// the largest value well.
const FOLD: usize = 1 << 12;
/// Logical lanes.
const LANES: usize = 16;
/// Columns of one group of [`ColumnOrder::Split`].
const GROUP: usize = 2 * LANES;
/// Sums per row, in the order of [`RowSums::add`].
pub(super) const SUMS: usize = 8;

/// One pass over a chunk.
pub(super) struct Pass<'a> {
    pub(super) both: [Operand<'a>; 2],
    pub(super) width: usize,
    pub(super) fourths: FourthRows,
    pub(super) columns: &'a mut [f32],
    pub(super) rows: &'a mut [RowSums],
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

/// `V` vectors of the machine make 16 logical lanes.
struct Lanes<S: Simd, const V: usize> {
    sums: [[S::f32s; V]; SUMS],
    /// What does not fill the lanes.
    rest: [f64; SUMS],
}

#[inline(always)]
fn pass<S: Simd, const V: usize>(simd: S, job: Pass<'_>) {
    let Pass { both, width, fourths, columns, rows } = job;
    // Stretch by stretch, so that the column sums of a stretch stay in the first-level cache for all rows.
    for (stretch_index, columns) in columns.chunks_mut(FOLD).enumerate() {
        for (index, row) in rows.iter_mut().enumerate() {
            let mut lanes = Lanes::<S, V> { sums: [[simd.splat_f32s(0.0); V]; SUMS], rest: [0.0; SUMS] };
            let start = index * width + stretch_index * FOLD;
            if fourths.contains(index) {
                lanes.add::<true>(simd, both, start, columns);
            } else {
                lanes.add::<false>(simd, both, start, columns);
            }
            row.add(&lanes.fold());
            row.peaks = [row.peaks[0].max(lanes.peak(1)), row.peaks[1].max(lanes.peak(2))];
        }
    }
}

impl<S: Simd, const V: usize> Lanes<S, V> {
    /// A stretch of a row that begins at an element of both; with the sums of order four or without.
    #[inline(always)]
    fn add<const FOURTHS: bool>(
        &mut self,
        simd: S,
        both: [Operand<'_>; 2],
        start: usize,
        columns: &mut [f32],
    ) {
        if let [Operand::Bf16(c), Operand::Bf16(r)] = both {
            let range = 2 * start..2 * (start + columns.len());
            return self.add_bf16::<FOURTHS>(simd, &c[range.clone()], &r[range], columns);
        }
        let (mut c_tile, mut r_tile) = ([0.0; TILE], [0.0; TILE]);
        for (index, columns) in columns.chunks_mut(TILE).enumerate() {
            let start = start + index * TILE;
            let c = both[0].tile(start, columns.len(), &mut c_tile);
            let r = both[1].tile(start, columns.len(), &mut r_tile);
            self.add_decoded::<FOURTHS>(simd, c, r, columns);
        }
    }

    /// A tile of a row.
    #[inline(always)]
    fn add_decoded<const FOURTHS: bool>(&mut self, simd: S, c: &[f32], r: &[f32], columns: &mut [f32]) {
        let whole = c.len() / LANES * LANES;
        let (c_rest, r_rest) = (&c[whole..], &r[whole..]);
        let (columns, columns_rest) = columns.split_at_mut(whole);
        let mut sums = self.sums;
        let (c, _) = S::as_simd_f32s(&c[..whole]);
        let (r, _) = S::as_simd_f32s(&r[..whole]);
        let (columns, _) = S::as_mut_simd_f32s(columns);
        for ((c, r), columns) in c.chunks_exact(V).zip(r.chunks_exact(V)).zip(columns.chunks_exact_mut(V)) {
            for v in 0..V {
                columns[v] = step::<S, V, FOURTHS>(simd, c[v], r[v], columns[v], v, &mut sums);
            }
        }
        self.sums = sums;
        self.add_rest::<FOURTHS>(c_rest, r_rest, columns_rest);
    }

    /// A stretch of a row of bf16, split into even and odd columns by a mask and a shift.
    #[inline(always)]
    fn add_bf16<const FOURTHS: bool>(&mut self, simd: S, c: &[u8], r: &[u8], columns: &mut [f32]) {
        let whole = columns.len() / GROUP * GROUP;
        let (columns, columns_rest) = columns.split_at_mut(whole);
        let mut rest = [[0.0; GROUP]; 2];
        for (out, stored) in rest.iter_mut().zip([c, r]) {
            out.iter_mut().zip(stored[2 * whole..].chunks_exact(2)).for_each(|(out, b)| *out = bf16(b));
        }
        let mut copies = [[0_u32; TILE / 2]; 2];
        let [c_copy, r_copy] = &mut copies;
        let pieces = c[..2 * whole].chunks(2 * TILE).zip(r[..2 * whole].chunks(2 * TILE));
        let (high, shift) = (simd.splat_u32s(0xffff_0000), simd.splat_u32s(16));
        let mut sums = self.sums;
        for ((c, r), columns) in pieces.zip(columns.chunks_mut(TILE)) {
            let (c, _) = S::as_simd_u32s(words(c, c_copy));
            let (r, _) = S::as_simd_u32s(words(r, r_copy));
            let (columns, _) = S::as_mut_simd_f32s(columns);
            let groups = c.chunks_exact(V).zip(r.chunks_exact(V)).zip(columns.chunks_exact_mut(2 * V));
            for ((c, r), columns) in groups {
                for v in 0..V {
                    let even = |x| simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(x, shift));
                    columns[v] =
                        step::<S, V, FOURTHS>(simd, even(c[v]), even(r[v]), columns[v], v, &mut sums);
                }
                for v in 0..V {
                    let odd = |x| simd.transmute_f32s_u32s(simd.and_u32s(x, high));
                    columns[V + v] =
                        step::<S, V, FOURTHS>(simd, odd(c[v]), odd(r[v]), columns[V + v], v, &mut sums);
                }
            }
        }
        self.sums = sums;
        let len = columns_rest.len();
        self.add_rest::<FOURTHS>(&rest[0][..len], &rest[1][..len], columns_rest);
    }

    #[inline(always)]
    fn add_rest<const FOURTHS: bool>(&mut self, c: &[f32], r: &[f32], columns: &mut [f32]) {
        for ((&c, &r), column) in c.iter().zip(r).zip(columns) {
            *column = c.mul_add(r, *column);
            let (r2, d) = (r * r, c - r);
            let d2 = d * d;
            let same = f32::from(u8::from(c == r));
            let fourths = if FOURTHS { [d2 * d2, d2 * r2, r2 * r2] } else { [0.0; 3] };
            let terms = [c * r, c * c, r2, d2, same, fourths[0], fourths[1], fourths[2]];
            for (out, term) in self.rest.iter_mut().zip(terms) {
                *out += f64::from(term);
            }
        }
    }

    /// Sums the lanes, in f64 and always in the same tree.
    #[inline(always)]
    fn fold(&self) -> [f64; SUMS] {
        let mut out = self.rest;
        for (out, lanes) in out.iter_mut().zip(&self.sums) {
            *out += tree(lanes, |a, b| a + b);
        }
        out
    }

    /// The largest of what was added to a sum of squares, or more.
    #[inline(always)]
    fn peak(&self, sum: usize) -> f64 {
        // The lanes hold no NaN that matters: a row that has one is summed again.
        let larger = |a: f64, b: f64| if a > b { a } else { b };
        larger(self.rest[sum], tree(&self.sums[sum], larger))
    }
}

/// Joins 16 lanes in a tree: halves are joined lane by lane until one is left.
#[inline(always)]
fn tree<V: bytemuck::Pod>(lanes: &[V], join: impl Fn(f64, f64) -> f64) -> f64 {
    let flat: &[f32] = bytemuck::cast_slice(lanes);
    let mut sums = [0.0; LANES];
    sums.iter_mut().zip(flat).for_each(|(sum, x)| *sum = f64::from(*x));
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] = join(sums[i], sums[i + half]);
        }
        half /= 2;
    }
    sums[0]
}

/// One vector of both operands; returns the new column sums.
#[inline(always)]
fn step<S: Simd, const V: usize, const FOURTHS: bool>(
    simd: S,
    c: S::f32s,
    r: S::f32s,
    column: S::f32s,
    v: usize,
    sums: &mut [[S::f32s; V]; SUMS],
) -> S::f32s {
    sums[0][v] = simd.mul_add_f32s(c, r, sums[0][v]);
    sums[1][v] = simd.mul_add_f32s(c, c, sums[1][v]);
    sums[2][v] = simd.mul_add_f32s(r, r, sums[2][v]);
    let d = simd.sub_f32s(c, r);
    sums[3][v] = simd.mul_add_f32s(d, d, sums[3][v]);
    // One masked addition on processors that have masks.
    let more = simd.add_f32s(sums[4][v], simd.splat_f32s(1.0));
    sums[4][v] = simd.select_f32s(simd.equal_f32s(c, r), more, sums[4][v]);
    if FOURTHS {
        let (d2, r2) = (simd.mul_f32s(d, d), simd.mul_f32s(r, r));
        sums[5][v] = simd.mul_add_f32s(d2, d2, sums[5][v]);
        sums[6][v] = simd.mul_add_f32s(d2, r2, sums[6][v]);
        sums[7][v] = simd.mul_add_f32s(r2, r2, sums[7][v]);
    }
    simd.mul_add_f32s(c, r, column)
}

fn bf16(b: &[u8]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16)
}

/// Pairs of bf16 as words with the first of a pair in the low half: where they lie, or copied where that is not aligned.
#[inline(always)]
fn words<'t>(bytes: &'t [u8], copy: &'t mut [u32; TILE / 2]) -> &'t [u32] {
    match bytemuck::try_cast_slice(bytes) {
        Ok(words) if cfg!(target_endian = "little") => words,
        _ => {
            for (word, b) in copy.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
            &copy[..bytes.len() / 4]
        }
    }
}

/// Adds column sums of one chunk to the total, in the columns' own order.
pub(super) struct Merge<'a> {
    pub(super) order: ColumnOrder,
    pub(super) part: &'a [f32],
    pub(super) total: &'a mut [f32],
}

impl WithSimd for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let whole = match self.order {
            ColumnOrder::Natural => 0,
            ColumnOrder::Split => self.part.len() / GROUP * GROUP,
        };
        let (split, rest) = self.part.split_at(whole);
        let (total, total_rest) = self.total.split_at_mut(whole);
        for (total, split) in total.chunks_exact_mut(GROUP).zip(split.chunks_exact(GROUP)) {
            let (even, odd) = split.split_at(LANES);
            for ((pair, even), odd) in total.chunks_exact_mut(2).zip(even).zip(odd) {
                pair[0] += even;
                pair[1] += odd;
            }
        }
        total_rest.iter_mut().zip(rest).for_each(|(total, part)| *total += part);
    }
}
