//! How much was changed, and whether the change looks like added noise (METHODS 7.2).

use stemmata_alignment::{Fourths, Moments, PairMeasurement};

/// How much changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Elements compared.
    pub elements: u64,
    /// Share of elements that differ.
    pub changed: f64,
    /// ‖candidate − reference‖ / ‖reference‖.
    pub relative: f64,
    /// Cosine over all elements.
    pub cosine: f64,
    /// Least-squares scale α of candidate ≈ α·reference.
    pub scale: f64,
}

/// A change that was measured as additive noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation, storage rounding subtracted.
    pub sigma: f64,
    /// Excess kurtosis, mean over tensors weighted by size; 0 for a Gaussian.
    pub excess_kurtosis: f64,
    /// Correlation of squared change and squared weight; 0 when the noise ignores the weight it is added to.
    pub magnitude_correlation: f64,
    /// Coefficient of variation of sigma over tensors: near 0 for one absolute sigma everywhere.
    pub sigma_variation: f64,
    /// Whether the change of nearly all tensors, each by itself, has the kurtosis and correlation of Gaussian noise that was
    /// added without looking at the weight.
    pub gaussian: bool,
}

/// Largest excess kurtosis and magnitude correlation of *one tensor* that still count as Gaussian noise, beyond five
/// standard errors. Rounding to bf16 after adding noise of two rounding steps or more moves them by less than a
/// quarter of this; a fine-tune is outside in most tensors (its change follows the gradient).
const GAUSSIAN_KURTOSIS: f64 = 0.1;
const GAUSSIAN_CORRELATION: f64 = 0.05;
/// Share of the elements that must lie in tensors whose change passes. Judging tensor by tensor keeps one replaced
/// embedding, whose difference is the larger part of all differences, from deciding for the rest.
const GAUSSIAN_SHARE: f64 = 0.95;
/// Tensors below this size say little about kurtosis.
const SMALLEST_TENSOR: u64 = 256;

/// Sums over pairs of equal shape that carry moments.
pub(crate) fn total<'a>(pairs: impl Iterator<Item = &'a PairMeasurement>) -> Moments {
    let mut total = Moments::default();
    pairs.filter_map(|p| p.moments.as_ref()).for_each(|m| total.add(m));
    total
}

pub(crate) fn change(total: &Moments) -> Option<Change> {
    (total.n > 0).then(|| Change {
        elements: total.n,
        changed: total.changed as f64 / total.n as f64,
        relative: total.relative_change(),
        cosine: total.cosine(),
        scale: if total.reference_squares > 0.0 { total.dot / total.reference_squares } else { 0.0 },
    })
}

/// Describes the change as noise. `None` when nothing changed, all tensors are tiny, or the change is larger than the
/// weights themselves (then it is a replacement or another scale, not noise).
///
/// `significand_bits` of the coarser storage give the rounding variance.
pub(crate) fn noise(pairs: &[&PairMeasurement], significand_bits: Option<u32>) -> Option<Noise> {
    let large: Vec<&Moments> = pairs
        .iter()
        .filter_map(|p| p.moments.as_ref())
        .filter(|m| m.n >= SMALLEST_TENSOR && m.difference_squares > 0.0)
        .collect();
    let elements: u64 = large.iter().map(|m| m.n).sum();
    if elements == 0 || total(pairs.iter().copied()).relative_change() > 1.0 {
        return None;
    }
    let rounding = significand_bits.map_or(0.0, rounding_variance);
    let (mut variance, mut kurtosis, mut correlation, mut passing) = (0.0, 0.0, 0.0, 0.0);
    let mut sigmas = Vec::with_capacity(large.len());
    for m in &large {
        let n = m.n as f64;
        let of_tensor = (m.difference_squares - rounding * m.candidate_squares).max(0.0) / n;
        variance += of_tensor * n;
        sigmas.push((of_tensor.sqrt(), n));
        let shape = shape(m);
        kurtosis += n * shape.excess_kurtosis;
        correlation += n * shape.magnitude_correlation;
        passing += if shape.gaussian { n } else { 0.0 };
    }
    let n = elements as f64;
    let mean = sigmas.iter().map(|(s, w)| s * w).sum::<f64>() / n;
    let scatter = sigmas.iter().map(|(s, w)| w * (s - mean).powi(2)).sum::<f64>() / n;
    let (excess_kurtosis, magnitude_correlation) = (kurtosis / n, correlation / n);
    Some(Noise {
        sigma: (variance / n).sqrt(),
        excess_kurtosis,
        magnitude_correlation,
        sigma_variation: if mean > 0.0 { scatter.sqrt() / mean } else { 0.0 },
        gaussian: passing >= GAUSSIAN_SHARE * n,
    })
}

/// Variance that rounding to `bits` of significand (the hidden bit counts) leaves, as a share of the square: for a value of
/// magnitude w it is ulp(w)²/12 with ulp = 2·w·2^−bits/m for a mantissa m in 1..2, on average 4·0.541·w²·4^−bits/12 over a
/// log-uniform mantissa.
pub(crate) fn rounding_variance(bits: u32) -> f64 {
    0.541 * 4f64.powi(1 - bits as i32) / 12.0
}

/// How the change of one tensor is distributed.
struct ChangeShape {
    excess_kurtosis: f64,
    magnitude_correlation: f64,
    gaussian: bool,
}

fn shape(m: &Moments) -> ChangeShape {
    let Fourths { n, difference_squares, reference_squares, difference, difference_reference, reference } =
        m.fourths;
    let n = n as f64;
    let (d2, r2) = (difference_squares / n, reference_squares / n);
    // Rows that were looked at may have no change where others have.
    let excess_kurtosis = if d2 > 0.0 { difference / n / d2.powi(2) - 3.0 } else { f64::INFINITY };
    let covariance = difference_reference / n - d2 * r2;
    let spread = (difference / n - d2 * d2) * (reference / n - r2 * r2);
    let magnitude_correlation = if spread > 0.0 { covariance / spread.sqrt() } else { 0.0 };
    ChangeShape {
        excess_kurtosis,
        magnitude_correlation,
        gaussian: excess_kurtosis.abs() <= GAUSSIAN_KURTOSIS + 5.0 * (24.0 / n).sqrt()
            && magnitude_correlation.abs() <= GAUSSIAN_CORRELATION + 5.0 / n.sqrt()
            && 2 * m.changed >= m.n,
    }
}

/// Whether the change of one tensor, by itself, looks like Gaussian noise.
pub(crate) fn is_gaussian(m: &Moments) -> bool {
    m.n >= SMALLEST_TENSOR && m.difference_squares > 0.0 && shape(m).gaussian
}
