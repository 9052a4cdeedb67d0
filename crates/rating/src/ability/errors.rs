//! How sure are abilities? The inverse of the information, on a scale whose zero and unit are fixed by what is asked for.

use super::Score;
use super::fit::{Fit, Normal};
use crate::dense::{Cholesky, Square};
use crate::sandwich::Errors;

/// Covariances of a fit. A shift and a stretch of all abilities change no score, so the information has two directions without
/// any; `loose` is one generalised inverse, and fixing zero and unit makes of it the covariance on that scale.
pub(crate) struct Covariance {
    theta: Vec<f64>,
    loose: Square,
    /// Covariance of each slope with abilities on the loose scale is not kept: slopes are shown with the mean of abilities at 0 and
    /// their standard deviation at 1.
    slopes: Vec<f64>,
}

/// The covariance of a fit, `None` where the information is singular beyond the two free directions.
pub(crate) fn covariance(fit: &Fit, cells: &[Score]) -> Option<Covariance> {
    let state = &fit.state;
    let (m, u) = (state.theta.len(), state.alpha.len());
    let normal = Normal::new(state, cells, fit.variance);
    if normal.models.iter().any(|a| *a <= 0.0) {
        return None;
    }
    let mut complement = normal.complement(&normal.models, 0.0);
    // Free directions on (alpha, beta): a shift moves beta by alpha, a stretch moves alpha by −alpha.
    let mut shift = vec![0.0; 2 * u];
    let mut stretch = vec![0.0; 2 * u];
    for (j, alpha) in state.alpha.iter().enumerate() {
        shift[2 * j + 1] = *alpha;
        stretch[2 * j] = -alpha;
    }
    let unit = |x: &mut [f64]| {
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        x.iter_mut().for_each(|x| *x /= length);
    };
    unit(&mut shift);
    unit(&mut stretch);
    let size = (0..2 * u).map(|j| complement.at(j, j)).sum::<f64>() / (2 * u) as f64;
    for j in 0..2 * u {
        for k in 0..2 * u {
            *complement.at_mut(j, k) += size * (shift[j] * shift[k] + stretch[j] * stretch[k]);
        }
    }
    let largest = (0..2 * u).map(|j| complement.at(j, j)).fold(0.0, f64::max);
    let factor = Cholesky::new(complement, false)?;
    // A pivot that only rounding keeps above 0 is a third free direction.
    if (0..2 * u).any(|j| factor.lower().at(j, j).powi(2) < 1e-11 * largest) {
        return None;
    }
    let inner = factor.inverse();
    // Rows of A⁻¹B, one per model; dense, because everything is near everything else.
    let mut rows = vec![0.0; m * 2 * u];
    for (i, j, xa, xb) in &normal.between {
        let at = *i as usize * 2 * u + 2 * *j as usize;
        rows[at] = xa / normal.models[*i as usize];
        rows[at + 1] = xb / normal.models[*i as usize];
    }
    let mut half = vec![0.0; m * 2 * u];
    for i in 0..m {
        let row = &rows[i * 2 * u..][..2 * u];
        for (k, x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            half[i * 2 * u..][..2 * u].iter_mut().zip(inner.row(k)).for_each(|(h, v)| *h += x * v);
        }
    }
    let mut loose = Square::zero(m);
    for i in 0..m {
        for k in 0..=i {
            let dot: f64 =
                half[i * 2 * u..][..2 * u].iter().zip(&rows[k * 2 * u..][..2 * u]).map(|(a, b)| a * b).sum();
            *loose.at_mut(i, k) = dot;
            *loose.at_mut(k, i) = dot;
        }
        *loose.at_mut(i, i) += 1.0 / normal.models[i];
    }
    // Slopes on the scale of mean 0 and standard deviation 1: alpha' = alpha·(1 + g), g = Σ theta·dtheta/M the change of the unit.
    let cross: Vec<f64> = (0..u)
        .map(|j| {
            let of = |i: usize| -half[i * 2 * u + 2 * j];
            (0..m).map(|i| state.theta[i] * of(i)).sum::<f64>() / m as f64
        })
        .collect();
    let stretched: f64 = (0..m)
        .map(|i| state.theta[i] * loose.row(i).iter().zip(&state.theta).map(|(v, t)| v * t).sum::<f64>())
        .sum::<f64>()
        / (m * m) as f64;
    let slopes = (0..u).map(|j| {
        let alpha = state.alpha[j];
        let variance = inner.at(2 * j, 2 * j) + 2.0 * alpha * cross[j] + alpha * alpha * stretched;
        variance.max(0.0).sqrt()
    });
    Some(Covariance { theta: state.theta.clone(), slopes: slopes.collect(), loose })
}

impl Covariance {
    /// P·V·Pᵀ with P = I − Z(CZ)⁻¹C: Z the two free directions (1 and theta), C the two equations that fix zero and unit (Silvey
    /// 1959).
    fn fixed(&self, first: &[f64], second: &[f64]) -> Square {
        let m = self.theta.len();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let ones = vec![1.0; m];
        let (a, b, c, d) =
            (dot(first, &ones), dot(first, &self.theta), dot(second, &ones), dot(second, &self.theta));
        let det = a * d - b * c;
        // Row i of Z(CZ)⁻¹C is x·first + y·second.
        let parts: Vec<(f64, f64)> =
            self.theta.iter().map(|t| ((d - t * c) / det, (t * a - b) / det)).collect();
        let of = |v: &dyn Fn(usize) -> f64, c: &[f64]| (0..m).map(|k| v(k) * c[k]).sum::<f64>();
        let with: Vec<(f64, f64)> = (0..m)
            .map(|i| (of(&|k| self.loose.at(i, k), first), of(&|k| self.loose.at(i, k), second)))
            .collect();
        let (ff, fs, ss) =
            (of(&|k| with[k].0, first), of(&|k| with[k].0, second), of(&|k| with[k].1, second));
        let mut out = Square::zero(m);
        for i in 0..m {
            for k in 0..=i {
                let ((xi, yi), (xk, yk)) = (parts[i], parts[k]);
                let value =
                    self.loose.at(i, k) - xk * with[i].0 - yk * with[i].1 - xi * with[k].0 - yi * with[k].1
                        + xi * xk * ff
                        + (xi * yk + yi * xk) * fs
                        + yi * yk * ss;
                *out.at_mut(i, k) = value;
                *out.at_mut(k, i) = value;
            }
        }
        out
    }

    /// On the scale of mean 0 and standard deviation 1.
    fn by_moments(&self) -> Square {
        let m = self.theta.len() as f64;
        let mean = vec![1.0 / m; self.theta.len()];
        let spread: Vec<f64> = self.theta.iter().map(|t| t / m).collect();
        self.fixed(&mean, &spread)
    }

    /// The same as errors that ranks are made from, with `freedom` degrees of freedom.
    pub(crate) fn standard(&self, freedom: u64) -> Option<Errors> {
        Errors::from_covariance(self.by_moments(), freedom + 1)
    }

    /// The standard error of a slope on that scale.
    pub(crate) fn slope_error(&self, unit: usize) -> f64 {
        self.slopes[unit]
    }

    /// On the scale that is shown: that one, or the one of two anchors.
    pub(crate) fn shown(&self, anchors: Option<[(usize, f64); 2]>) -> Shown {
        let (matrix, zero, unit) = match anchors {
            None => (self.by_moments(), 0.0, 1.0),
            Some([(a, at_a), (b, at_b)]) => {
                let m = self.theta.len();
                let one = |i: usize| (0..m).map(|k| f64::from(u8::from(k == i))).collect::<Vec<_>>();
                let unit = (at_a - at_b) / (self.theta[a] - self.theta[b]);
                (self.fixed(&one(a), &one(b)), at_a - unit * self.theta[a], unit)
            }
        };
        let errors = (0..self.theta.len()).map(|i| matrix.at(i, i).max(0.0).sqrt() * unit.abs()).collect();
        Shown { theta: self.theta.clone(), errors, zero, unit }
    }
}

/// Abilities as they are shown.
pub(crate) struct Shown {
    theta: Vec<f64>,
    errors: Vec<f64>,
    zero: f64,
    unit: f64,
}

impl Shown {
    pub(crate) fn value(&self, i: usize) -> f64 {
        self.of(self.theta[i])
    }

    /// Where an ability on the scale of mean 0 stands.
    pub(crate) fn of(&self, theta: f64) -> f64 {
        self.zero + self.unit * theta
    }

    pub(crate) fn error(&self, i: usize) -> f64 {
        self.errors[i]
    }

    /// How long a standard deviation of abilities is.
    pub(crate) fn unit(&self) -> f64 {
        self.unit
    }
}
