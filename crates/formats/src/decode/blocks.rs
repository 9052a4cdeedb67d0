//! ggml's blocks of 32 elements. Layouts: `ggml-common.h`; values agree bit for bit with `gguf.quants`.

use super::floats::half;

/// The non-linear 4-bit grid.
pub(super) const GRID: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

#[inline]
pub(super) fn half_at(bytes: &[u8], at: usize) -> f32 {
    half(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// `scale * (q - 8)`; low nibbles are elements 0..16, high nibbles 16..32, here and in all blocks below.
#[inline]
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for i in 0..16 {
        let byte = block[2 + i];
        out[i] = scale * (f32::from(byte & 15) - 8.0);
        out[i + 16] = scale * (f32::from(byte >> 4) - 8.0);
    }
}

/// `scale * q + minimum`.
#[inline]
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    for i in 0..16 {
        let byte = block[4 + i];
        out[i] = scale * f32::from(byte & 15) + minimum;
        out[i + 16] = scale * f32::from(byte >> 4) + minimum;
    }
}

/// The fifth bits: bit `j` of a word belongs to element `j`.
#[inline]
fn fifth_bits(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// `scale * (q - 16)`.
#[inline]
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let (scale, high) = (half_at(block, 0), fifth_bits(block, 2));
    for i in 0..16 {
        let byte = u32::from(block[6 + i]);
        let low = byte & 15 | (high >> i & 1) << 4;
        let top = byte >> 4 | (high >> (i + 16) & 1) << 4;
        out[i] = scale * (low as f32 - 16.0);
        out[i + 16] = scale * (top as f32 - 16.0);
    }
}

/// `scale * q + minimum`.
#[inline]
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (scale, minimum, high) = (half_at(block, 0), half_at(block, 2), fifth_bits(block, 4));
    for i in 0..16 {
        let byte = u32::from(block[8 + i]);
        let low = byte & 15 | (high >> i & 1) << 4;
        let top = byte >> 4 | (high >> (i + 16) & 1) << 4;
        out[i] = scale * low as f32 + minimum;
        out[i + 16] = scale * top as f32 + minimum;
    }
}

/// `scale * q`, q signed.
#[inline]
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for i in 0..32 {
        out[i] = scale * f32::from(block[2 + i].cast_signed());
    }
}

/// `scale * grid[q]`.
#[inline]
pub(super) fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for i in 0..16 {
        let byte = block[2 + i];
        out[i] = scale * f32::from(GRID[usize::from(byte & 15)]);
        out[i + 16] = scale * f32::from(GRID[usize::from(byte >> 4)]);
    }
}
