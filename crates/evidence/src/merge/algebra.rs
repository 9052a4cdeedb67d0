//! Least squares from inner products alone, in units of the candidate's own rounding.

use crate::rounding;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use std::collections::BTreeMap;
use std::rc::Rc;
use stemmata_alignment::PairKey;
use stemmata_alignment::mixture::Gram;

/// Below this share of a matrix's energy the sums of f64 products say nothing.
const NUMERIC: f64 = 1e-12;
/// Directions of the references with less than this share of the largest one's energy are left undetermined.
const SINGULAR: f64 = 1e-13;
/// Grids of few levels have no spacing of their own here: their largest error, halved.
const OF_LARGEST: f64 = 0.5;
/// Vectors closer than this are interpolated on a straight line by mergekit.
const STRAIGHT: f64 = 0.9995;

/// Inner products over one matrix or several, divided by the candidate's rounding variance, so that a residual that is rounding
/// and nothing else has a sum of squares of `n`.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) n: f64,
    models: usize,
    products: Vec<f64>,
    /// Per model, the energy of its rounding where that is coarser than the candidate's.
    coarse: Vec<f64>,
    /// Products over the whole stored tensor that the matrix is a part of: mergekit takes angles there.
    stored: Rc<[f64]>,
}

/// A least-squares fit of the candidate.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub(super) weights: Vec<f64>,
    pub(super) squares: f64,
    /// Variance of each weight at unit residual variance; infinite where the references do not determine it.
    variances: Vec<f64>,
    /// What rounding alone leaves: that of the candidate, and of coarser references.
    pub(super) floor: f64,
    pub(super) determined: usize,
}

impl Fit {
    /// Squares in units of what rounding leaves.
    pub(super) fn excess(&self) -> f64 {
        self.squares / self.floor
    }

    pub(super) fn standard_errors(&self, n: f64) -> Vec<f64> {
        let variance = self.squares / (n - self.determined as f64).max(1.0);
        self.variances.iter().map(|v| (variance * v).sqrt()).collect()
    }
}

/// The inner products of every matrix where the candidate is not zero throughout.
pub(super) fn scaled(grams: &[Gram]) -> Vec<(PairKey, Pool)> {
    let mut stored: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for gram in grams {
        // A sample stands for its matrix.
        let share = gram.size as f64 / gram.n.max(1) as f64;
        let sums = stored.entry(gram.tensor).or_insert_with(|| vec![0.0; gram.products.len()]);
        sums.iter_mut().zip(&gram.products).for_each(|(sum, x)| *sum += share * x);
    }
    let stored: BTreeMap<usize, Rc<[f64]>> = stored.into_iter().map(|(k, v)| (k, v.into())).collect();
    grams.iter().filter_map(|gram| scaled_one(gram, stored.get(&gram.tensor)?)).collect()
}

fn scaled_one(gram: &Gram, stored: &Rc<[f64]>) -> Option<(PairKey, Pool)> {
    let models = gram.models();
    let energy = gram.product(0, 0);
    let of_grid =
        |model: usize| (OF_LARGEST * rounding(gram.encodings[model])).powi(2) * gram.product(model, model);
    let own = if gram.significands[0] > 0 { gram.roundings[0] } else { of_grid(0) };
    let own = own.max(NUMERIC * energy);
    if own <= 0.0 {
        return None;
    }
    let factor = gram.n as f64 / own;
    let coarse = |model: usize| match (gram.significands[model], gram.significands[0]) {
        (0, _) => of_grid(model),
        (theirs, ours) if theirs < ours => gram.roundings[model],
        _ => 0.0,
    };
    Some((
        gram.key,
        Pool {
            n: gram.n as f64,
            models,
            stored: Rc::clone(stored),
            products: gram.products.iter().map(|x| x * factor).collect(),
            coarse: (0..models).map(|model| if model == 0 { 0.0 } else { coarse(model) * factor }).collect(),
        },
    ))
}

impl Pool {
    /// The sum over several matrices of one set of models.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = &'a Pool>) -> Option<Pool> {
        parts.into_iter().fold(None, |total: Option<Pool>, part| {
            let Some(mut total) = total else { return Some(part.clone()) };
            total.n += part.n;
            total.products.iter_mut().zip(&part.products).for_each(|(a, b)| *a += b);
            total.coarse.iter_mut().zip(&part.coarse).for_each(|(a, b)| *a += b);
            Some(total)
        })
    }

    pub(super) fn product(&self, a: usize, b: usize) -> f64 {
        self.products[a * self.models + b]
    }

    pub(super) fn cosine(&self, a: usize, b: usize) -> f64 {
        let scale = (self.product(a, a) * self.product(b, b)).sqrt();
        if scale > 0.0 { self.product(a, b) / scale } else { 0.0 }
    }

    /// ‖c − Σ wᵢ·xᵢ‖².
    pub(super) fn squares(&self, set: &[usize], weights: &[f64]) -> f64 {
        let mut squares = self.product(0, 0);
        for (i, (&a, wa)) in set.iter().zip(weights).enumerate() {
            squares -= 2.0 * wa * self.product(0, a);
            squares += wa * wa * self.product(a, a);
            for (&b, wb) in set[..i].iter().zip(weights) {
                squares += 2.0 * wa * wb * self.product(a, b);
            }
        }
        squares.max(0.0)
    }

    pub(super) fn floor(&self, set: &[usize], weights: &[f64]) -> f64 {
        self.n + set.iter().zip(weights).map(|(&i, w)| w * w * self.coarse[i]).sum::<f64>()
    }

    /// Least squares over the models of `set`. O(|set|³).
    pub(super) fn fit(&self, set: &[usize]) -> Fit {
        let size = set.len();
        // Unit length first, so that what counts as singular does not depend on the sizes of the models.
        let length: Vec<f64> =
            set.iter().map(|&a| self.product(a, a).sqrt()).map(|x| if x > 0.0 { x } else { 1.0 }).collect();
        let at = |i: usize, j: usize| self.product(set[i], set[j]) / (length[i] * length[j]);
        let right = DVector::from_fn(size, |i, _| self.product(0, set[i]) / length[i]);
        let SymmetricEigen { eigenvalues, eigenvectors } =
            SymmetricEigen::new(DMatrix::from_fn(size, size, at));
        let largest = eigenvalues.iter().fold(0.0_f64, |a, b| a.max(*b));
        let mut weights = vec![0.0; size];
        let (mut variances, mut determined) = (vec![0.0; size], 0);
        for (value, vector) in eigenvalues.iter().zip(eigenvectors.column_iter()) {
            let kept = *value > SINGULAR * largest;
            determined += usize::from(kept);
            let along = if kept { vector.dot(&right) / value } else { 0.0 };
            for i in 0..size {
                weights[i] += vector[i] * along / length[i];
                variances[i] += match kept {
                    true => vector[i] * vector[i] / value / (length[i] * length[i]),
                    false if vector[i].abs() > 1e-6 => f64::INFINITY,
                    false => 0.0,
                };
            }
        }
        Fit {
            squares: self.squares(set, &weights),
            floor: self.floor(set, &weights),
            weights,
            variances,
            determined,
        }
    }

    /// Weights of spherical interpolation (Shoemake 1985) at `t` between two models, as mergekit forms them.
    pub(super) fn slerp(&self, set: [usize; 2], t: f64) -> [f64; 2] {
        let product = |a: usize, b: usize| self.stored[a * self.models + b];
        let [a, b] = set;
        let scale = (product(a, a) * product(b, b)).sqrt();
        let cosine = if scale > 0.0 { (product(a, b) / scale).clamp(-1.0, 1.0) } else { 1.0 };
        if cosine.abs() > STRAIGHT {
            return [1.0 - t, t];
        }
        let angle = cosine.acos();
        [((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()]
    }
}

/// The `t` of spherical interpolation that leaves least over several matrices: (t, standard error, squares, floor).
pub(super) fn fit_slerp(parts: &[&Pool], set: [usize; 2]) -> (f64, f64, f64, f64) {
    let squares = |t: f64| -> f64 { parts.iter().map(|p| p.squares(&set, &p.slerp(set, t))).sum() };
    // The sum is smooth with one minimum near the chord's: a coarse look, then golden section.
    let coarse = (0..=40).map(|i| f64::from(i) * 0.035 - 0.2);
    let best = coarse.min_by(|a, b| squares(*a).total_cmp(&squares(*b))).unwrap_or(0.5);
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (best - 0.035, best + 0.035);
    for _ in 0..40 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if squares(a) < squares(b) { high = b } else { low = a }
    }
    let t = (low + high) / 2.0;
    let (least, step) = (squares(t), 1e-3);
    let n: f64 = parts.iter().map(|p| p.n).sum();
    let curvature = (squares(t + step) - 2.0 * least + squares(t - step)) / (step * step) / 2.0;
    let error = if curvature > 0.0 { (least / (n - 1.0).max(1.0) / curvature).sqrt() } else { f64::INFINITY };
    let floor = parts.iter().map(|p| p.floor(&set, &p.slerp(set, t))).sum();
    (t, error, least, floor)
}
