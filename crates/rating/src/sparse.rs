//! Newton steps for many contestants: conjugate gradients that never form the matrix.

use crate::fit::Design;
use crate::model::Terms;

/// The residual ends below this share of the right side. A step need not be exact: Newton's method then gains seven digits each
/// time instead of doubling them, and ends with a step shorter than 1e-8.
const TOLERANCE: f64 = 1e-7;

/// Solves information · x = `right` by conjugate gradients with the diagonal as preconditioner (Hestenes and Stiefel 1952). The
/// matrix is singular along a shift of all strengths, and `right` has no part in it, so the iteration stays where it is regular.
pub(crate) fn solve(design: &Design, rows: &[Terms], has_tie: bool, right: &[f64]) -> Option<Vec<f64>> {
    let n = design.contestants;
    let side = right.len();
    let mut diagonal = vec![0.0; side];
    for (i, (row, terms)) in design.rows.iter().zip(rows).enumerate() {
        diagonal[row.first as usize] += terms.dd;
        diagonal[row.second as usize] += terms.dd;
        for (k, x) in design.values_of(i).iter().enumerate() {
            diagonal[n + k] += terms.dd * x * x;
        }
        if has_tie {
            diagonal[side - 1] += terms.tt;
        }
    }
    diagonal[n..n + design.terms].iter_mut().for_each(|d| *d += design.ridge);
    if diagonal.iter().any(|d| d.is_nan() || *d <= 0.0) {
        return None;
    }
    let plain = design.terms == 0 && !has_tie;
    // What a product without terms needs lies close together: it is asked for hundreds of times.
    let edges: Vec<(u32, u32, f64)> = match plain {
        true => design.rows.iter().zip(rows).map(|(row, t)| (row.first, row.second, t.dd)).collect(),
        false => Vec::new(),
    };
    let product = |x: &[f64]| {
        let mut out = vec![0.0; side];
        for (a, b, weight) in &edges {
            let d = weight * (x[*a as usize] - x[*b as usize]);
            out[*a as usize] += d;
            out[*b as usize] -= d;
        }
        if plain {
            return out;
        }
        for (i, (row, terms)) in design.rows.iter().zip(rows).enumerate() {
            let (a, b) = (row.first as usize, row.second as usize);
            let values = design.values_of(i);
            let along: f64 = x[a] - x[b] + values.iter().zip(&x[n..]).map(|(v, x)| v * x).sum::<f64>();
            let tie = if has_tie { x[side - 1] } else { 0.0 };
            let d = terms.dd * along + terms.dt * tie;
            out[a] += d;
            out[b] -= d;
            for (k, v) in values.iter().enumerate() {
                out[n + k] += d * v;
            }
            if has_tie {
                out[side - 1] += terms.dt * along + terms.tt * tie;
            }
        }
        for k in n..n + design.terms {
            out[k] += design.ridge * x[k];
        }
        out
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scaled = |r: &[f64]| -> Vec<f64> { r.iter().zip(&diagonal).map(|(r, d)| r / d).collect() };
    let mut x = vec![0.0; side];
    let mut residual = right.to_vec();
    // Rounding leaves the right side a part along the shift, which no iteration could take away.
    let mean = residual[..n].iter().sum::<f64>() / n as f64;
    residual[..n].iter_mut().for_each(|r| *r -= mean);
    let mut z = scaled(&residual);
    let mut direction = z.clone();
    let mut size = dot(&residual, &z);
    let goal = size * TOLERANCE * TOLERANCE;
    for _ in 0..4 * side {
        if size <= goal {
            break;
        }
        let image = product(&direction);
        let curvature = dot(&direction, &image);
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let step = size / curvature;
        for i in 0..side {
            x[i] += step * direction[i];
            residual[i] -= step * image[i];
        }
        z = scaled(&residual);
        let next = dot(&residual, &z);
        let keep = next / size;
        size = next;
        direction.iter_mut().zip(&z).for_each(|(d, z)| *d = z + keep * *d);
    }
    Some(x)
}
