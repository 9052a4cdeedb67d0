//! What sparse merges leave in single elements: the base's value, the base plus a multiple of one difference, or of both.

use super::MixturePass;
use crate::study::rounding::spacing;
use stemmata_model::ReadError;

/// A difference must be so many spacings of the candidate to say by which factor it was taken.
const TELLING: f64 = 8.0;
/// An element is explained if it is off by less than this many spacings: its own rounding leaves a half, arithmetic in 16 bits another.
const WITHIN: f64 = 1.0;
/// Half a spacing with room for the last bit of f32 arithmetic.
const HALF: f64 = 0.51;
/// Histogram of factors.
const LOW: f64 = -0.5;
const STEP: f64 = 0.02;
const BINS: usize = 825;
/// How far away an element is taken from to see what is explained by chance.
const SHIFT: usize = 37;

/// By how much residuals exceed half a spacing, per member of a linear relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overshoot {
    /// Elements.
    pub n: u64,
    /// Per model, the candidate first and then the set: elements whose residual, in units of that model, is beyond half of its spacing.
    pub beyond: Vec<u64>,
}

/// Counts elements whose residual cannot be the rounding of one member: c = Σ wᵢ·xᵢ + e, solved for xᵢ, leaves e/wᵢ. `weights` has one
/// set per matrix, in the order of `set`; `significands` one number per model, the candidate first and then the set.
pub fn overshoot(
    pass: MixturePass<'_>,
    set: &[usize],
    weights: &[Vec<f64>],
    significands: &[u32],
) -> Result<Overshoot, ReadError> {
    let models: Vec<usize> = std::iter::once(0).chain(set.iter().copied()).collect();
    let parts = pass.each(|i, place| {
        let (values, weights) = (pass.read(place, &models)?, &weights[i]);
        let mut out = Overshoot { n: values[0].len() as u64, beyond: vec![0; models.len()] };
        for (e, value) in values[0].iter().enumerate() {
            let fit: f64 = weights.iter().zip(&values[1..]).map(|(w, x)| w * f64::from(x[e])).sum();
            let off = (f64::from(*value) - fit).abs();
            for (m, beyond) in out.beyond.iter_mut().enumerate() {
                let share = if m == 0 { 1.0 } else { weights[m - 1].abs() };
                *beyond += u64::from(off > share * HALF * spacing(values[m][e], significands[m]));
            }
        }
        Ok(out)
    })?;
    let mut total = Overshoot { n: 0, beyond: vec![0; models.len()] };
    for part in parts {
        total.n += part.n;
        total.beyond.iter_mut().zip(part.beyond).for_each(|(a, b)| *a += b);
    }
    Ok(total)
}

/// The most common factors of two differences.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratios {
    /// Factor of each difference.
    pub factors: [f64; 2],
    /// Elements in the bins that they come from.
    pub counts: [u64; 2],
}

/// Looks for α in c − b = α·(x − b), for each of two models x, b being `base`: the fullest bin of a histogram over elements where
/// the difference is large and c is not b.
pub fn ratios(
    pass: MixturePass<'_>,
    base: usize,
    others: [usize; 2],
    significand: u32,
) -> Result<Ratios, ReadError> {
    let models = [0, base, others[0], others[1]];
    let parts = pass.each(|_, place| {
        let values = pass.read(place, &models)?;
        let mut bins = [vec![(0_u64, 0.0_f64); BINS], vec![(0, 0.0); BINS]];
        for (e, value) in values[0].iter().enumerate() {
            let unit = spacing(*value, significand);
            let from_base = |m: usize| f64::from(values[m][e]) - f64::from(values[1][e]);
            if from_base(0).abs() <= unit {
                continue;
            }
            for (bins, m) in bins.iter_mut().zip([2, 3]) {
                let difference = from_base(m);
                let factor = from_base(0) / difference;
                if difference.abs() >= TELLING * unit && (LOW..LOW + STEP * BINS as f64).contains(&factor) {
                    let bin = &mut bins[(((factor - LOW) / STEP) as usize).min(BINS - 1)];
                    *bin = (bin.0 + 1, bin.1 + factor);
                }
            }
        }
        Ok(bins)
    })?;
    let mut total = [vec![(0_u64, 0.0_f64); BINS], vec![(0, 0.0); BINS]];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            total.iter_mut().zip(part).for_each(|(a, b)| *a = (a.0 + b.0, a.1 + b.1));
        }
    }
    let mut out = Ratios::default();
    for (i, bins) in total.iter().enumerate() {
        // Three bins, so that a factor between two of them is not split.
        let of_three = |at: usize| bins[at - 1..=at + 1].iter().fold((0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        let best = (1..BINS - 1).max_by_key(|&at| (of_three(at).0, BINS - at));
        if let Some((count, sum)) = best.map(of_three).filter(|(count, _)| *count > 0) {
            out.factors[i] = sum / count as f64;
            out.counts[i] = count;
        }
    }
    Ok(out)
}

/// Elements by what explains them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AtomCounts {
    /// Elements where at least one difference is more than two spacings of the candidate.
    pub n: u64,
    /// Of these, the base's value.
    pub base: u64,
    /// The base and one of the differences.
    pub single: [u64; 2],
    /// The base and both differences.
    pub joint: u64,
    /// Elements beside the base's value, if every candidate value is taken from another element.
    pub shifted: u64,
    /// Of these, explained: by chance.
    pub shifted_explained: u64,
    /// Elements with two differences of the same sign, both below their median size in this matrix, and both above.
    pub same_sign: [u64; 2],
    /// Of these, the base's value.
    pub same_sign_base: [u64; 2],
    /// Elements with two large differences of opposite sign that neither the base nor one difference explains.
    pub opposed: u64,
    /// Of these, the sum of both explains.
    pub opposed_joint: u64,
    /// Elements of all sizes.
    pub all: u64,
    /// Of these, the ones whose difference is at least as large as that of nine in ten elements of its matrix that it alone explains.
    pub above: [u64; 2],
    /// Normal equations of c − b over both differences, over elements that neither the base nor one difference explains and whose
    /// differences have the same sign: Σ d₁², Σ d₁d₂, Σ d₂², Σ d₁c, Σ d₂c.
    pub rest: [f64; 5],
}

impl AtomCounts {
    fn add(&mut self, o: &AtomCounts) {
        self.n += o.n;
        self.all += o.all;
        self.base += o.base;
        self.joint += o.joint;
        self.shifted += o.shifted;
        self.shifted_explained += o.shifted_explained;
        self.opposed += o.opposed;
        self.opposed_joint += o.opposed_joint;
        for i in 0..2 {
            self.single[i] += o.single[i];
            self.same_sign[i] += o.same_sign[i];
            self.same_sign_base[i] += o.same_sign_base[i];
            self.above[i] += o.above[i];
        }
        self.rest.iter_mut().zip(o.rest).for_each(|(a, b)| *a += b);
    }

    /// Share of the elements beside the base's value that a difference or both explain.
    pub fn explained(&self) -> f64 {
        let beside = self.n - self.base;
        let explained = self.single[0] + self.single[1] + self.joint;
        if beside > 0 { explained as f64 / beside as f64 } else { 0.0 }
    }

    /// The same by chance.
    pub fn explained_by_chance(&self) -> f64 {
        if self.shifted > 0 { self.shifted_explained as f64 / self.shifted as f64 } else { 1.0 }
    }

    /// The factors that explain the rest best, where they are determined.
    pub fn rest_factors(&self) -> Option<[f64; 2]> {
        let [a, b, c, u, v] = self.rest;
        let determinant = a * c - b * b;
        (determinant > 1e-6 * a * c).then(|| [(u * c - v * b) / determinant, (v * a - u * b) / determinant])
    }
}

/// Sorts elements by what explains c − b: nothing, `single[i]` times a difference, or both times `joint`.
pub fn atoms(
    pass: MixturePass<'_>,
    base: usize,
    others: [usize; 2],
    single: [f64; 2],
    joint: [f64; 2],
    significand: u32,
) -> Result<AtomCounts, ReadError> {
    let models = [0, base, others[0], others[1]];
    let parts = pass.each(|_, place| {
        let values = pass.read(place, &models)?;
        let n = values[0].len();
        let from_base = |m: usize, e: usize| f64::from(values[m][e]) - f64::from(values[1][e]);
        let unit = |e: usize| spacing(values[0][e], significand);
        let medians = [2, 3].map(|m| {
            let mut sizes: Vec<f64> = (0..n).map(|e| from_base(m, e).abs()).collect();
            let middle = n / 2;
            *sizes.select_nth_unstable_by(middle, f64::total_cmp).1
        });
        let mut out = AtomCounts { all: n as u64, ..AtomCounts::default() };
        let mut alone = [Vec::new(), Vec::new()];
        for e in 0..n {
            let (c, d, unit) = (from_base(0, e), [from_base(2, e), from_base(3, e)], unit(e));
            if d[0].abs().max(d[1].abs()) <= 2.0 * unit {
                continue;
            }
            let near = |value: f64, atom: f64| (value - atom).abs() <= WITHIN * unit;
            let one = |value: f64| (0..2).find(|&i| near(value, single[i] * d[i]));
            let both = |value: f64| near(value, joint[0] * d[0] + joint[1] * d[1]);
            let is_base = near(c, 0.0);
            out.n += 1;
            out.base += u64::from(is_base);
            match one(c) {
                _ if is_base => {}
                Some(i) => {
                    out.single[i] += 1;
                    alone[i].push(d[i].abs());
                }
                None => out.joint += u64::from(both(c)),
            }
            let other = from_base(0, (e + SHIFT) % n);
            if !near(other, 0.0) {
                out.shifted += 1;
                out.shifted_explained += u64::from(one(other).is_some() || both(other));
            }
            let sizes = [d[0].abs() > medians[0], d[1].abs() > medians[1]];
            if d[0] * d[1] > 0.0 && sizes[0] == sizes[1] {
                out.same_sign[usize::from(sizes[0])] += 1;
                out.same_sign_base[usize::from(sizes[0])] += u64::from(is_base);
            }
            let unexplained = !is_base && one(c).is_none();
            if d[0] * d[1] < 0.0 && d[0].abs().min(d[1].abs()) > TELLING * unit && unexplained {
                out.opposed += 1;
                out.opposed_joint += u64::from(both(c));
            }
            if d[0] * d[1] > 0.0 && unexplained {
                let terms = [d[0] * d[0], d[0] * d[1], d[1] * d[1], d[0] * c, d[1] * c];
                out.rest.iter_mut().zip(terms).for_each(|(a, b)| *a += b);
            }
        }
        for (i, sizes) in alone.iter_mut().enumerate().filter(|(_, sizes)| !sizes.is_empty()) {
            let tenth = sizes.len() / 10;
            let least = *sizes.select_nth_unstable_by(tenth, f64::total_cmp).1;
            out.above[i] = (0..n).filter(|&e| from_base(2 + i, e).abs() >= least).count() as u64;
        }
        Ok(out)
    })?;
    let mut total = AtomCounts::default();
    parts.iter().for_each(|part| total.add(part));
    Ok(total)
}
