//! Rounding to floating-point formats, repeated.

use half::{bf16, f16};

pub(crate) fn to_bf16(x: f32) -> f32 {
    bf16::from_f32(x).to_f32()
}

pub(crate) fn to_f16(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

/// Distance between neighbours of `x` in a format with so many significand bits, the hidden one counted; 0 at 0.
pub(crate) fn spacing(x: f32, significand: u32) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    // The exponent field, so that a power of two belongs to the binade above it.
    let exponent = ((x.to_bits() >> 23) & 0xff) as i32 - 127;
    f64::from(exponent + 1 - significand as i32).exp2()
}
