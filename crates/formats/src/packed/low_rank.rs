//! A low-rank change of a matrix, W + s·B·A, added row by row (LoRA).

use super::{Entry, Pieces, Scratch, room_for_values, rows_of};
use stemmata_model::{Encoding, Packing, ReadError, Tensor};

/// Elements of both factors of one matrix, at most: they are held while its rows stream by.
const MOST_FACTORS: u64 = 1 << 24;

/// A change whose shapes have been compared with the matrix.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// \[rank, inputs\].
    a: Tensor,
    /// \[outputs, rank\].
    b: Tensor,
    scale: f32,
    /// Whether the matrix is stored as \[inputs, outputs\].
    transposed: bool,
    rank: u64,
    rows: u64,
    cols: u64,
    /// \[rows\]: what the norm of each row becomes once the change was added (DoRA).
    magnitude: Option<Tensor>,
}

/// Why two factors do not change a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactorError {
    /// Something is no matrix, or empty.
    #[error("a matrix and two factors are needed")]
    NoMatrix,
    /// The extents do not meet.
    #[error("the extents of the factors and of the matrix differ")]
    Extents,
    /// More than is held at once.
    #[error("the factors have more than {MOST_FACTORS} elements")]
    TooLarge,
    /// There is not one magnitude for each row of the matrix as it is stored.
    #[error("there is not one magnitude for each stored row")]
    Magnitudes,
    /// The factors are codes, not numbers.
    #[error("the factors are not stored as numbers")]
    NotNumbers,
}

impl LowRank {
    /// A change of `base` by `scale`·B·A. Where the extents allow both orientations `transposed` decides.
    pub fn new(
        base: &Tensor,
        a: Tensor,
        b: Tensor,
        scale: f32,
        transposed: bool,
    ) -> Result<LowRank, FactorError> {
        // Kernels of convolutions are matrices of [out, everything else], and so are their factors.
        let (Some((rows, cols)), Some((rank, inputs)), Some((outputs, b_rank))) =
            (flat(&base.shape), flat(&a.shape), flat(&b.shape))
        else {
            return Err(FactorError::NoMatrix);
        };
        if [rows, cols, rank].contains(&0) {
            return Err(FactorError::NoMatrix);
        }
        let (upright, turned) =
            ((rows, cols) == (outputs, inputs), base.shape.len() == 2 && (cols, rows) == (outputs, inputs));
        if rank != b_rank || !upright && !turned {
            return Err(FactorError::Extents);
        }
        let elements = rows.checked_add(cols).and_then(|both| both.checked_mul(rank));
        if elements.is_none_or(|elements| elements > MOST_FACTORS) {
            return Err(FactorError::TooLarge);
        }
        let numbers = |t: &Tensor| t.encoding.is_float() && t.encoding.granule().is_some();
        if !numbers(&a) || !numbers(&b) {
            return Err(FactorError::NotNumbers);
        }
        let transposed = if upright && turned { transposed } else { turned };
        Ok(LowRank { a, b, scale, transposed, rank, rows, cols, magnitude: None })
    }

    /// The change with the norms that the rows have afterwards.
    pub(crate) fn with_magnitude(self, magnitude: Tensor) -> Result<LowRank, FactorError> {
        let number =
            magnitude.encoding.is_float() && magnitude.encoding.granule().is_some_and(|(per, _)| per == 1);
        if self.transposed || magnitude.elements() != self.rows || !number {
            return Err(FactorError::Magnitudes);
        }
        Ok(LowRank { magnitude: Some(magnitude), ..self })
    }

    /// The encoding of `base` with this change.
    pub(super) fn encoding(&self, base: &Tensor) -> Encoding {
        let factors = (self.a.storage.len as f64 + self.b.storage.len as f64) * 8.0;
        let bits = base.encoding.bits_per_element() + factors / (self.rows as f64 * self.cols as f64);
        // A float that is no number becomes zero, and bits beyond the range its end.
        Encoding::Packed(Packing { scheme: "lora", millibits: (bits * 1000.0).round() as u32 })
    }

    /// Adds the change of elements `start ..` to `out`.
    pub(super) fn add(
        &self,
        pieces: &dyn Pieces,
        factors: &mut Factors,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        if factors.left.is_empty() {
            self.fetch(pieces, factors)?;
        }
        let (rank, cols) = (self.rank as usize, self.cols as usize);
        let Factors { left, right, sums, .. } = factors;
        for (row, col, run) in rows_of(start, self.cols, out) {
            let sums = room_for_values(sums, run.len());
            sums.fill(0.0);
            for (r, weight) in left[row as usize * rank..][..rank].iter().enumerate() {
                let right = &right[r * cols + col as usize..][..run.len()];
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum += weight * right;
                }
            }
            for (out, sum) in run.iter_mut().zip(sums) {
                *out += self.scale * *sum;
            }
        }
        Ok(())
    }

    /// Gives the rows of elements `start ..`, to which the change was added, their norms.
    pub(super) fn rescale(
        &self,
        base: &Entry,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let Some(magnitude) = &self.magnitude else { return Ok(()) };
        let rows = self.rows as usize;
        if scratch.factors.ratios.len() != rows {
            scratch.factors.magnitudes.resize(rows, 0.0);
            let mut magnitudes = std::mem::take(&mut scratch.factors.magnitudes);
            pieces.values(magnitude, 0, &mut magnitudes)?;
            scratch.factors.magnitudes = magnitudes;
            scratch.factors.ratios = vec![None; rows];
        }
        for (row, _, run) in rows_of(start, self.cols, out) {
            let ratio = match scratch.factors.ratios[row as usize] {
                Some(ratio) => ratio,
                None => {
                    // The whole row, however little of it was asked for.
                    let mut whole = vec![0.0; self.cols as usize];
                    base.read(pieces, scratch, row * self.cols, &mut whole)?;
                    self.add(pieces, &mut scratch.factors, row * self.cols, &mut whole)?;
                    let norm =
                        whole.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
                    let ratio = scratch.factors.magnitudes[row as usize] / norm as f32;
                    scratch.factors.ratios[row as usize] = Some(ratio);
                    ratio
                }
            };
            run.iter_mut().for_each(|value| *value *= ratio);
        }
        Ok(())
    }

    fn fetch(&self, pieces: &dyn Pieces, factors: &mut Factors) -> Result<(), ReadError> {
        let values = |tensor: &Tensor| -> Result<Vec<f32>, ReadError> {
            let mut values = vec![0.0; tensor.elements() as usize];
            pieces.values(tensor, 0, &mut values)?;
            Ok(values)
        };
        let (a, b) = (values(&self.a)?, values(&self.b)?);
        let rank = self.rank as usize;
        (factors.left, factors.right) =
            if self.transposed { (turned(&a, rank), turned(&b, self.cols as usize)) } else { (b, a) };
        Ok(())
    }
}

/// The first extent and the product of the others, of a matrix or a kernel.
fn flat(shape: &[u64]) -> Option<(u64, u64)> {
    let (first, rest) = shape.split_first()?;
    let product = rest.iter().try_fold(1u64, |all, extent| all.checked_mul(*extent))?;
    (!rest.is_empty()).then_some((*first, product))
}

/// A row-major matrix of so many rows with rows and columns exchanged.
fn turned(values: &[f32], rows: usize) -> Vec<f32> {
    let cols = values.len() / rows;
    (0..values.len()).map(|at| values[at % rows * cols + at / rows]).collect()
}

/// Both factors of the matrix that is being read.
#[derive(Debug, Default)]
pub(super) struct Factors {
    /// \[rows, rank\] of the stored matrix; empty when nothing is held.
    left: Vec<f32>,
    /// \[rank, columns\].
    right: Vec<f32>,
    sums: Vec<f32>,
    magnitudes: Vec<f32>,
    /// Magnitude over norm of each row that was needed.
    ratios: Vec<Option<f32>>,
}

impl Factors {
    pub(super) fn clear(&mut self) {
        self.left.clear();
        self.right.clear();
        self.ratios.clear();
    }
}
