//! Whether the rows of one model are the other's times a number, rounded: an operation that can be repeated.
//!
//! Multiplying what a unit reads (and dividing what it writes) leaves the function alone, and so does scaling a value channel. A row c
//! that was made from r by c = round(k r) can be made again: some k puts every k rᵢ within half a spacing of cᵢ. Going back
//! asks for |rᵢ − cᵢ/k| within half a spacing of rᵢ, and where the two lie at other places between powers of two the rounding of cᵢ is
//! too coarse for that: of a row of n numbers all pass with a probability that falls like qⁿ (slowly for k near a power of two). Two
//! roundings of a third row pass neither way.

use stemmata_architecture::Part;
use stemmata_fingerprint::RowReader;
use stemmata_model::{ReadError, Weights};

use crate::study::rounding::{spacing, to_bf16, to_f16};

/// Rows of one matrix that are looked at.
const ROWS: usize = 64;
/// Fewer numbers in a row say too little.
const SHORTEST: usize = 32;
/// Slack for numbers that were rounded to f32 on the way.
const SLACK: f64 = 1.0 + 1.0 / 4096.0;

/// Rows of candidate and reference that should be multiples of one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rescaled {
    /// Rows looked at.
    pub rows: u64,
    /// Rows of the candidate that are the reference's times a number, rounded, and not the other way round; then the reverse.
    pub of_other: [u64; 2],
    /// Rows that are so both ways: equal ones, and those scaled by powers of two.
    pub both: u64,
}

impl Rescaled {
    /// Holds a row of the candidate against one of the reference; `bits` are the significands of the two formats.
    pub(crate) fn look(&mut self, candidate: &[f32], reference: &[f32], bits: [u32; 2]) {
        self.rows += 1;
        let forward = is_multiple(candidate, reference, bits[0]);
        match (forward, is_multiple(reference, candidate, bits[1])) {
            (true, true) => self.both += 1,
            (true, false) => self.of_other[0] += 1,
            (false, true) => self.of_other[1] += 1,
            (false, false) => {}
        }
    }

    /// Adds other rows.
    pub fn merge(&mut self, other: Rescaled) {
        self.rows += other.rows;
        self.both += other.both;
        self.of_other[0] += other.of_other[0];
        self.of_other[1] += other.of_other[1];
    }
}

/// Whether one number k puts every k · source within half a spacing of the target, `bits` being the target's significand.
fn is_multiple(target: &[f32], source: &[f32], bits: u32) -> bool {
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for (&t, &s) in target.iter().zip(source) {
        if !t.is_finite() || !s.is_finite() || (s == 0.0 && t != 0.0) {
            return false;
        }
        // A zero may be a number below the smallest of the format: it bounds nothing.
        if t == 0.0 || s == 0.0 {
            continue;
        }
        let half = 0.5 * SLACK * spacing(t, bits);
        let ends = [(f64::from(t) - half) / f64::from(s), (f64::from(t) + half) / f64::from(s)];
        low = low.max(ends[0].min(ends[1]));
        high = high.min(ends[0].max(ends[1]));
    }
    low <= high && low.is_finite()
}

/// Significand bits (hidden bit included) of the coarsest format that holds all of `values`.
fn significand(values: &[f32]) -> u32 {
    match () {
        () if values.iter().all(|x| to_bf16(*x) == *x) => 8,
        () if values.iter().all(|x| to_f16(*x) == *x) => 11,
        () => 24,
    }
}

/// Holds rows of two matrices of equal length against one another; `pairs` are row numbers of candidate and reference, of which
/// at most [`ROWS`] are read, evenly spaced.
pub(crate) fn rescaled(
    weights: [&dyn Weights; 2],
    parts: [&Part; 2],
    pairs: &[(u64, u64)],
    stop: &dyn Fn() -> bool,
) -> Result<Rescaled, ReadError> {
    let width = parts[0].view.cols as usize;
    let inside = |&&(c, r): &&(u64, u64)| c < parts[0].view.rows && r < parts[1].view.rows;
    let pairs: Vec<(u64, u64)> = pairs.iter().filter(inside).copied().collect();
    let mut found = Rescaled::default();
    if parts[1].view.cols as usize != width || width < SHORTEST {
        return Ok(found);
    }
    let kept = pairs.len().min(ROWS);
    let mut values = [vec![0.0_f32; kept * width], vec![0.0_f32; kept * width]];
    let mut reader = RowReader::default();
    for at in 0..kept {
        if stop() {
            return Err(ReadError::Interrupted);
        }
        let (c, r) = pairs[at * pairs.len() / kept];
        for (side, row) in [c, r].into_iter().enumerate() {
            let out = &mut values[side][at * width..(at + 1) * width];
            reader.read(weights[side], &parts[side].view, row, width, out)?;
        }
    }
    let bits = [significand(&values[0]), significand(&values[1])];
    let [candidate, reference] = &values;
    for (c, r) in candidate.chunks_exact(width).zip(reference.chunks_exact(width)) {
        found.look(c, r, bits);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_stats::SplitMix64;

    fn normal(n: usize, seed: u64) -> Vec<f32> {
        let mut random = SplitMix64::new(seed);
        (0..n).map(|_| random.normal() as f32).collect()
    }

    fn seen(make: impl Fn(&[f32], f32) -> (Vec<f32>, Vec<f32>), bits: u32, width: usize) -> Rescaled {
        let mut found = Rescaled::default();
        for row in 0..200 {
            let k = (if row % 2 == 0 { 1.0 } else { -1.0 }) * (0.3 + 0.011 * row as f32);
            let (c, r) = make(&normal(width, row), k);
            found.look(&c, &r, [bits; 2]);
        }
        found
    }

    fn rounded(values: &[f32], k: f32, to: fn(f32) -> f32) -> Vec<f32> {
        values.iter().map(|x| to(k * x)).collect()
    }

    #[test]
    fn a_scaled_copy_can_be_made_again_and_its_parent_cannot() {
        for (bits, to) in [(8, to_bf16 as fn(f32) -> f32), (11, to_f16), (24, |x| x)] {
            let forward = seen(
                |x, k| {
                    let parent = rounded(x, 1.0, to);
                    (rounded(&parent, k, to), parent)
                },
                bits,
                64,
            );
            assert_eq!(forward.of_other[1], 0, "{bits}: {forward:?}");
            assert!(forward.of_other[0] + forward.both == 200 && forward.both <= 30, "{bits}: {forward:?}");
        }
    }

    #[test]
    fn two_scaled_copies_of_a_third_show_nothing() {
        let siblings = seen(
            |x, k| {
                let parent = rounded(x, 1.0, to_bf16);
                (rounded(&parent, k, to_bf16), rounded(&parent, 1.37, to_bf16))
            },
            8,
            64,
        );
        assert!(siblings.of_other.iter().sum::<u64>() + siblings.both <= 2, "{siblings:?}");
        // Both rounded from a finer parent.
        let finer = seen(|x, k| (rounded(x, k, to_bf16), rounded(x, 1.0, to_bf16)), 8, 64);
        assert!(finer.of_other.iter().sum::<u64>() + finer.both <= 2, "{finer:?}");
    }

    #[test]
    fn powers_of_two_and_equal_rows_have_no_order() {
        let equal = seen(|x, _| (rounded(x, -4.0, to_bf16), rounded(x, 1.0, to_bf16)), 8, 64);
        assert_eq!((equal.both, equal.of_other), (200, [0, 0]));
        let other = seen(|x, _| (x.to_vec(), x.iter().rev().copied().collect()), 24, 64);
        assert_eq!((other.both, other.of_other), (0, [0, 0]));
    }
}
