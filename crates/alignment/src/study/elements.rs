//! Counts over the elements of a pair: zeros, equal values, roundings.

use super::matrix::Matrix;
use super::rounding::{to_bf16, to_f16};

/// Counts over the elements that were read. Index 0 is the candidate, 1 the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElementFacts {
    /// Elements.
    pub n: u64,
    /// Equal on both sides, zeros included.
    pub equal: u64,
    /// Zero on this side and not on the other.
    pub zero_here_only: [u64; 2],
    /// Not zero on either side.
    pub both_nonzero: u64,
    /// Not zero on either side, and equal.
    pub kept_equal: u64,
    /// Groups of four neighbours along a row.
    pub fours: u64,
    /// Groups of four of which at least two are zero.
    pub fours_half_zero: [u64; 2],
    /// Elements that are the other side's, rounded to bf16.
    pub bf16_of_other: [u64; 2],
    /// Elements that are the other side's, rounded to f16.
    pub f16_of_other: [u64; 2],
    /// Elements that bf16 holds exactly.
    pub bf16_exact: [u64; 2],
    /// Elements that f16 holds exactly.
    pub f16_exact: [u64; 2],
}

impl ElementFacts {
    /// Adds another set of counts.
    pub fn add(&mut self, other: &ElementFacts) {
        self.n += other.n;
        self.equal += other.equal;
        self.both_nonzero += other.both_nonzero;
        self.kept_equal += other.kept_equal;
        self.fours += other.fours;
        for side in 0..2 {
            self.zero_here_only[side] += other.zero_here_only[side];
            self.fours_half_zero[side] += other.fours_half_zero[side];
            self.bf16_of_other[side] += other.bf16_of_other[side];
            self.f16_of_other[side] += other.f16_of_other[side];
            self.bf16_exact[side] += other.bf16_exact[side];
            self.f16_exact[side] += other.f16_exact[side];
        }
    }

    /// Significand bits of the coarsest format that holds every value of a side.
    pub(crate) fn significand(&self, side: usize) -> u32 {
        match () {
            () if self.bf16_exact[side] == self.n => 8,
            () if self.f16_exact[side] == self.n => 11,
            () => 24,
        }
    }
}

pub(crate) fn count(c: &Matrix, r: &Matrix) -> ElementFacts {
    let mut facts = ElementFacts { n: c.values.len() as u64, ..ElementFacts::default() };
    let one = u64::from;
    for (&c, &r) in c.values.iter().zip(&r.values) {
        let (zero_c, zero_r) = (c == 0.0, r == 0.0);
        facts.equal += one(c == r);
        facts.both_nonzero += one(!zero_c && !zero_r);
        facts.kept_equal += one(!zero_c && c == r);
        for (side, (this, other)) in [(c, r), (r, c)].into_iter().enumerate() {
            facts.zero_here_only[side] += one(this == 0.0 && other != 0.0);
            facts.bf16_of_other[side] += one(to_bf16(other) == this);
            facts.f16_of_other[side] += one(to_f16(other) == this);
            facts.bf16_exact[side] += one(to_bf16(this) == this);
            facts.f16_exact[side] += one(to_f16(this) == this);
        }
    }
    for row in 0..c.rows {
        for (c, r) in c.row(row).chunks_exact(4).zip(r.row(row).chunks_exact(4)) {
            facts.fours += 1;
            for (side, four) in [c, r].into_iter().enumerate() {
                facts.fours_half_zero[side] += one(four.iter().filter(|x| **x == 0.0).count() >= 2);
            }
        }
    }
    facts
}
