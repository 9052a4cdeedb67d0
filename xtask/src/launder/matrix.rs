//! Small dense matrices in f64, and random ones of a kind.

use crate::material::random::Random;

/// A matrix in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) values: Vec<f64>,
}

impl Matrix {
    /// Element (i, j) is `f(i, j)`.
    pub(crate) fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> f64) -> Self {
        let values = (0..rows * cols).map(|at| f(at / cols, at % cols)).collect();
        Self { rows, cols, values }
    }

    /// Nothing but zeros.
    pub(crate) fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, values: vec![0.0; rows * cols] }
    }

    /// Independent normal deviates.
    pub(crate) fn gaussian(rows: usize, cols: usize, deviation: f64, random: &mut Random) -> Self {
        Self::from_fn(rows, cols, |_, _| deviation * random.normal())
    }

    /// A random orthogonal matrix: Gaussian rows made orthonormal one after the other, twice each against rounding.
    pub(crate) fn orthogonal(n: usize, random: &mut Random) -> Self {
        let mut q = Self::gaussian(n, n, 1.0, random);
        for i in 0..n {
            for _ in 0..2 {
                for j in 0..i {
                    let dot = dot(q.row(i), q.row(j));
                    let (before, rest) = q.values.split_at_mut(i * n);
                    let earlier = &before[j * n..][..n];
                    rest[..n].iter_mut().zip(earlier).for_each(|(x, y)| *x -= dot * y);
                }
            }
            let norm = dot(q.row(i), q.row(i)).sqrt();
            q.row_mut(i).iter_mut().for_each(|x| *x /= norm);
        }
        q
    }

    /// A random invertible matrix and its inverse: two rotations with a stretching between them.
    pub(crate) fn invertible(n: usize, random: &mut Random) -> (Self, Self) {
        let (left, right) = (Self::orthogonal(n, random), Self::orthogonal(n, random));
        let stretch: Vec<f64> = (0..n).map(|_| (0.5 * random.normal()).exp()).collect();
        let mut stretched = right.clone();
        let mut back = left.transposed();
        for (i, s) in stretch.iter().enumerate() {
            stretched.scale_row(i, *s);
            back.scale_row(i, 1.0 / s);
        }
        (left.times(&stretched), right.transposed().times(&back))
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.cols..][..self.cols]
    }

    pub(crate) fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.values[i * self.cols..][..self.cols]
    }

    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.cols + j]
    }

    /// The product with a matrix of as many rows as this one has columns.
    pub(crate) fn times(&self, other: &Self) -> Self {
        debug_assert_eq!(self.cols, other.rows);
        let mut product = Self::zeros(self.rows, other.cols);
        for i in 0..self.rows {
            for (k, x) in self.row(i).iter().enumerate() {
                let row = &mut product.values[i * other.cols..][..other.cols];
                row.iter_mut().zip(other.row(k)).for_each(|(sum, y)| *sum += x * y);
            }
        }
        product
    }

    pub(crate) fn transposed(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |i, j| self.at(j, i))
    }

    /// Row i of the result is row `which[i]`.
    pub(crate) fn pick_rows(&self, which: &[usize]) -> Self {
        Self::from_fn(which.len(), self.cols, |i, j| self.at(which[i], j))
    }

    /// Column j of the result is column `which[j]`.
    pub(crate) fn pick_cols(&self, which: &[usize]) -> Self {
        Self::from_fn(self.rows, which.len(), |i, j| self.at(i, which[j]))
    }

    pub(crate) fn scale_row(&mut self, i: usize, factor: f64) {
        self.row_mut(i).iter_mut().for_each(|x| *x *= factor);
    }

    pub(crate) fn scale_col(&mut self, j: usize, factor: f64) {
        self.values.iter_mut().skip(j).step_by(self.cols).for_each(|x| *x *= factor);
    }

    /// Column j times `factors[j]`.
    pub(crate) fn scale_cols(&mut self, factors: &[f64]) {
        for row in self.values.chunks_mut(self.cols) {
            row.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
        }
    }

    /// Root of the mean square.
    pub(crate) fn deviation(&self) -> f64 {
        (dot(&self.values, &self.values) / self.values.len().max(1) as f64).sqrt()
    }
}

/// The inner product.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// A random order of 0..n (Fisher and Yates).
pub(crate) fn permutation(n: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, random.below(i + 1));
    }
    order
}

/// 1 or -1.
pub(crate) fn sign(random: &mut Random) -> f64 {
    if random.below(2) == 0 { 1.0 } else { -1.0 }
}

/// A positive factor, log-normal with half a unit of deviation.
pub(crate) fn factor(random: &mut Random) -> f64 {
    (0.5 * random.normal()).exp()
}
