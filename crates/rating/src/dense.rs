//! Dense symmetric systems: Cholesky factor, inverse, products. Row-major squares of f64.
//!
//! Answers the same bits on every processor: each output element is one sum in a fixed order, wider vectors only work on
//! more elements at once, and multiplication and addition stay separate roundings.

/// Rows and columns of a block; 64 rows of 64 numbers fit the first-level cache.
const BLOCK: usize = 64;
/// Outputs that the inner loop keeps in registers.
const TILE: (usize, usize) = (4, 16);

/// A square matrix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Square {
    /// Rows.
    pub(crate) side: usize,
    /// Row after row.
    pub(crate) values: Vec<f64>,
}

impl Square {
    /// All zero.
    pub(crate) fn zero(side: usize) -> Square {
        Square { side, values: vec![0.0; side * side] }
    }

    /// One element.
    #[inline]
    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.side + j]
    }

    /// One element to write.
    #[inline]
    pub(crate) fn at_mut(&mut self, i: usize, j: usize) -> &mut f64 {
        &mut self.values[i * self.side + j]
    }

    /// One row.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.side..][..self.side]
    }

    /// The product with a vector.
    #[cfg(test)]
    pub(crate) fn times(&self, vector: &[f64]) -> Vec<f64> {
        (0..self.side).map(|i| self.row(i).iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
    }

    /// The product with another square.
    pub(crate) fn product(&self, right: &Square) -> Square {
        let n = self.side;
        Square { side: n, values: self.times_many(&right.values, n) }
    }

    /// The product with a lower triangular square, which takes half the work.
    pub(crate) fn times_lower(&self, right: &Square) -> Square {
        let n = self.side;
        let mut out = Square::zero(n);
        for p in (0..n).step_by(BLOCK) {
            let depth = BLOCK.min(n - p);
            let left = Panel { values: &self.values[p..], stride: n };
            let right = Panel { values: &right.values[p * n..], stride: n };
            // These rows of the right factor end at the diagonal.
            accumulate(1.0, left, right, &mut out.values, n, (n, depth, p + depth));
        }
        out
    }

    /// M · Mᵀ, exactly symmetric.
    pub(crate) fn gram(&self) -> Square {
        let n = self.side;
        let mut out = Square::zero(n);
        let mut turned = vec![0.0; 4 * BLOCK * n];
        for p in (0..n).step_by(4 * BLOCK) {
            let depth = (4 * BLOCK).min(n - p);
            for i in 0..n {
                for (k, value) in self.row(i)[p..p + depth].iter().enumerate() {
                    turned[k * n + i] = *value;
                }
            }
            for i in (0..n).step_by(BLOCK) {
                let rows = BLOCK.min(n - i);
                let left = Panel { values: &self.values[i * n + p..], stride: n };
                let right = Panel { values: &turned, stride: n };
                accumulate(1.0, left, right, &mut out.values[i * n..], n, (rows, depth, i + rows));
            }
        }
        for i in 0..n {
            for j in 0..i {
                *out.at_mut(j, i) = out.at(i, j);
            }
        }
        out
    }

    /// The product with a matrix of `columns` columns, row after row.
    pub(crate) fn times_many(&self, right: &[f64], columns: usize) -> Vec<f64> {
        let n = self.side;
        let mut out = vec![0.0; n * columns];
        for p in (0..n).step_by(4 * BLOCK) {
            let depth = (4 * BLOCK).min(n - p);
            let left = Panel { values: &self.values[p..], stride: n };
            let right = Panel { values: &right[p * columns..], stride: columns };
            accumulate(1.0, left, right, &mut out, columns, (n, depth, columns));
        }
        out
    }

    /// M · S · Mᵀ for M symmetric: the sandwich. Made exactly symmetric.
    pub(crate) fn sandwich(&self, filling: &Square) -> Square {
        let mut out = self.product(&filling.product(self));
        for i in 0..out.side {
            for j in 0..i {
                let mean = 0.5 * (out.at(i, j) + out.at(j, i));
                *out.at_mut(i, j) = mean;
                *out.at_mut(j, i) = mean;
            }
        }
        out
    }
}

/// The lower factor L of a positive definite matrix, L·Lᵀ.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    lower: Square,
}

impl Cholesky {
    /// Factors; `None` where a pivot is not positive. `semidefinite`: such a pivot and its column count as zero instead, which
    /// gives a factor of a positive semidefinite matrix up to rounding.
    pub(crate) fn new(mut a: Square, semidefinite: bool) -> Option<Cholesky> {
        let n = a.side;
        let largest = (0..n).map(|i| a.at(i, i)).fold(0.0, f64::max);
        let floor = if semidefinite { largest * 1e-12 } else { 0.0 };
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            for j in start..end {
                let pivot = a.at(j, j) - squares(&a.row(j)[start..j]);
                // NaN is not above the floor either.
                let root = if pivot > floor { pivot.sqrt() } else { 0.0 };
                if root == 0.0 && !semidefinite {
                    return None;
                }
                *a.at_mut(j, j) = root;
                for i in j + 1..n {
                    let (above, below) = a.values.split_at_mut(i * n);
                    let (row_j, row_i) = (&above[j * n..][start..j], &mut below[..n]);
                    let dot: f64 = row_j.iter().zip(&row_i[start..j]).map(|(x, y)| x * y).sum();
                    row_i[j] = if root == 0.0 { 0.0 } else { (row_i[j] - dot) / root };
                }
            }
            // What is left of the matrix, a band of columns at a time: A22 −= L21·L21ᵀ, lower part.
            let width = end - start;
            let rest = n - end;
            let mut panel = vec![0.0; rest * width];
            let mut turned = vec![0.0; rest * width];
            for i in 0..rest {
                for p in 0..width {
                    let value = a.at(end + i, start + p);
                    panel[i * width + p] = value;
                    turned[p * rest + i] = value;
                }
            }
            for i in (0..rest).step_by(BLOCK) {
                let rows = BLOCK.min(rest - i);
                let left = Panel { values: &panel[i * width..], stride: width };
                let right = Panel { values: &turned, stride: rest };
                let columns = (i + rows).min(rest);
                let out = &mut a.values[(end + i) * n + end..];
                accumulate(-1.0, left, right, out, n, (rows, width, columns));
            }
        }
        for i in 0..n {
            a.values[i * n + i + 1..(i + 1) * n].fill(0.0);
        }
        Some(Cholesky { lower: a })
    }

    /// The factor, lower triangular.
    pub(crate) fn lower(&self) -> &Square {
        &self.lower
    }

    /// Solves L·Lᵀ·x = `right`.
    pub(crate) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let (n, l) = (self.lower.side, &self.lower);
        let mut x = right.to_vec();
        for i in 0..n {
            let dot: f64 = l.row(i)[..i].iter().zip(&x).map(|(a, b)| a * b).sum();
            x[i] = (x[i] - dot) / l.at(i, i);
        }
        for i in (0..n).rev() {
            x[i] /= l.at(i, i);
            let xi = x[i];
            for (slot, a) in x[..i].iter_mut().zip(l.row(i)) {
                *slot -= xi * a;
            }
        }
        x
    }

    /// The inverse of the matrix that was factored.
    pub(crate) fn inverse(&self) -> Square {
        let (n, l) = (self.lower.side, &self.lower);
        // X = L⁻¹, one band of rows at a time: L_bb·X_b = I_b − Σ L_bq·X_q.
        let mut x = Square::zero(n);
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let (above, band) = x.values.split_at_mut(start * n);
            if start > 0 {
                let left = Panel { values: &l.values[start * n..], stride: n };
                let right = Panel { values: above, stride: n };
                accumulate(-1.0, left, right, band, n, (end - start, start, start));
            }
            for i in start..end {
                let (before, row) = band.split_at_mut((i - start) * n);
                let row = &mut row[..n];
                row[i] += 1.0;
                for q in start..i {
                    let factor = l.at(i, q);
                    let other = &before[(q - start) * n..][..=q];
                    row.iter_mut().zip(other).for_each(|(slot, value)| *slot -= factor * value);
                }
                let pivot = l.at(i, i);
                row[..=i].iter_mut().for_each(|slot| *slot /= pivot);
            }
        }
        // (L·Lᵀ)⁻¹ = Xᵀ·X; rows of X below a block's start are the only ones that reach it.
        let mut out = Square::zero(n);
        let mut turned = vec![0.0; n * BLOCK];
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let (rows, depth) = (end - start, n - start);
            for p in 0..depth {
                for i in 0..rows {
                    turned[i * depth + p] = x.at(start + p, start + i);
                }
            }
            for p in (0..depth).step_by(4 * BLOCK) {
                let deep = (4 * BLOCK).min(depth - p);
                let left = Panel { values: &turned[p..], stride: depth };
                let right = Panel { values: &x.values[(start + p) * n..], stride: n };
                accumulate(1.0, left, right, &mut out.values[start * n..], n, (rows, deep, end));
            }
        }
        for i in 0..n {
            for j in 0..i {
                *out.at_mut(j, i) = out.at(i, j);
            }
        }
        out
    }
}

fn squares(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum()
}

/// Rows `stride` apart.
#[derive(Clone, Copy)]
struct Panel<'a> {
    values: &'a [f64],
    stride: usize,
}

/// out += sign · left · right, for `shape` = (rows of left, columns of left, columns of right); rows of `out` lie `stride` apart.
fn accumulate(
    sign: f64,
    left: Panel<'_>,
    right: Panel<'_>,
    out: &mut [f64],
    stride: usize,
    shape: (usize, usize, usize),
) {
    pulp::Arch::new().dispatch(Accumulate { sign, left, right, out, stride, shape });
}

struct Accumulate<'a> {
    sign: f64,
    left: Panel<'a>,
    right: Panel<'a>,
    out: &'a mut [f64],
    stride: usize,
    shape: (usize, usize, usize),
}

impl pulp::NullaryFnOnce for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Accumulate { sign, left, right, out, stride, shape: (rows, depth, columns) } = self;
        let (tall, wide) = TILE;
        let mut j = 0;
        while j < columns {
            if columns - j >= wide {
                let mut i = 0;
                while i + tall <= rows {
                    tile(sign, left, right, out, stride, (i, j, depth));
                    i += tall;
                }
                while i < rows {
                    single(sign, left, right, out, stride, (i, j, depth), wide);
                    i += 1;
                }
                j += wide;
            } else {
                for i in 0..rows {
                    single(sign, left, right, out, stride, (i, j, depth), columns - j);
                }
                j = columns;
            }
        }
    }
}

#[inline(always)]
fn tile(
    sign: f64,
    left: Panel<'_>,
    right: Panel<'_>,
    out: &mut [f64],
    stride: usize,
    (i, j, depth): (usize, usize, usize),
) {
    let mut sums = [[0.0_f64; TILE.1]; TILE.0];
    let [a0, a1, a2, a3]: [&[f64]; TILE.0] =
        std::array::from_fn(|r| &left.values[(i + r) * left.stride..][..depth]);
    for (p, (((f0, f1), f2), f3)) in a0.iter().zip(a1).zip(a2).zip(a3).enumerate() {
        let b: Option<&[f64; TILE.1]> = right.values[p * right.stride + j..].first_chunk();
        let Some(b) = b else { return };
        for (sums, factor) in sums.iter_mut().zip([f0, f1, f2, f3]) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += factor * b;
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let row = &mut out[(i + r) * stride + j..][..TILE.1];
        for (slot, sum) in row.iter_mut().zip(sums) {
            *slot += sign * sum;
        }
    }
}

#[inline(always)]
fn single(
    sign: f64,
    left: Panel<'_>,
    right: Panel<'_>,
    out: &mut [f64],
    stride: usize,
    (i, j, depth): (usize, usize, usize),
    width: usize,
) {
    let mut sums = [0.0_f64; TILE.1];
    for p in 0..depth {
        let factor = left.values[i * left.stride + p];
        let b = &right.values[p * right.stride + j..][..width];
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum += factor * b;
        }
    }
    let row = &mut out[i * stride + j..][..width];
    for (slot, sum) in row.iter_mut().zip(sums) {
        *slot += sign * sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_stats::SplitMix64;

    fn random(side: usize, seed: u64) -> Square {
        let mut random = SplitMix64::new(seed);
        Square { side, values: (0..side * side).map(|_| random.normal()).collect() }
    }

    fn plain_product(a: &Square, b: &Square) -> Square {
        let n = a.side;
        let mut out = Square::zero(n);
        for i in 0..n {
            for j in 0..n {
                *out.at_mut(i, j) = (0..n).map(|p| a.at(i, p) * b.at(p, j)).sum();
            }
        }
        out
    }

    fn gap(a: &Square, b: &Square) -> f64 {
        a.values.iter().zip(&b.values).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn products_factors_and_inverses_of_all_sizes() {
        for n in [1, 2, 5, 17, 63, 64, 65, 130, 300] {
            let a = random(n, n as u64);
            let turned = Square { side: n, values: (0..n * n).map(|k| a.at(k % n, k / n)).collect() };
            assert!(gap(&a.product(&turned), &plain_product(&a, &turned)) < 1e-11 * n as f64, "{n}");
            let mut positive = a.product(&turned);
            (0..n).for_each(|i| *positive.at_mut(i, i) += n as f64);
            let factor = Cholesky::new(positive.clone(), false).unwrap();
            let l = factor.lower();
            let turned = Square { side: n, values: (0..n * n).map(|k| l.at(k % n, k / n)).collect() };
            assert!(gap(&l.product(&turned), &positive) < 1e-10 * n as f64, "{n}");
            let inverse = factor.inverse();
            let mut identity = Square::zero(n);
            (0..n).for_each(|i| *identity.at_mut(i, i) = 1.0);
            assert!(gap(&inverse.product(&positive), &identity) < 1e-10, "{n}");
            let lower = factor.lower();
            assert!(gap(&a.times_lower(lower), &plain_product(&a, lower)) < 1e-9 * n as f64, "{n}");
            assert!(gap(&lower.gram(), &positive) < 1e-10 * n as f64, "{n}");
            let x = factor.solve(&positive.times(&vec![1.0; n]));
            assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-10));
            assert!(gap(&inverse.sandwich(&positive), &inverse) < 1e-10);
        }
    }

    #[test]
    fn a_matrix_that_is_not_definite_is_seen() {
        let indefinite = Square { side: 2, values: vec![1.0, 2.0, 2.0, 1.0] };
        assert!(Cholesky::new(indefinite, false).is_none());
        let flat = Square { side: 2, values: vec![1.0, 1.0, 1.0, 1.0] };
        assert!(Cholesky::new(flat.clone(), false).is_none());
        let factor = Cholesky::new(flat, true).unwrap();
        assert_eq!(factor.lower().values, [1.0, 0.0, 1.0, 0.0]);
    }
}
