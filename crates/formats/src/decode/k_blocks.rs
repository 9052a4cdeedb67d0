//! ggml's blocks of 256 elements. Layouts: `ggml-common.h`; values agree bit for bit with `gguf.quants`.

use super::blocks::{GRID, half_at};

/// 16 groups of 16: 4-bit scale and 4-bit minimum a group, 2 bits an element.
#[inline]
pub(super) fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (d, d_min) = (half_at(block, 80), half_at(block, 82));
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = d * f32::from(block[group] & 15);
        let minimum = d_min * f32::from(block[group] >> 4);
        let (bytes, shift) = two_bit_group(&block[16..80], group);
        for i in 0..16 {
            values[i] = scale * f32::from(bytes[i] >> shift & 3) - minimum;
        }
    }
}

/// The 16 bytes and the shift that hold the 2-bit fields of `group`: 128 elements share 32 bytes, four planes of 32.
#[inline]
fn two_bit_group(bytes: &[u8], group: usize) -> (&[u8; 16], u32) {
    let at = group / 8 * 32 + group % 2 * 16;
    let bytes = bytes[at..].first_chunk().expect("a group of two planes has 32 bytes or more");
    (bytes, 2 * (group as u32 % 8 / 2))
}

/// 16 groups of 16: 6-bit signed scale a group, 3 bits an element with the third bit inverted.
#[inline]
pub(super) fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 108);
    let scales = &block[96..108];
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let low = scales[group % 8] >> (4 * (group / 8)) & 15;
        let high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        let (bytes, shift) = two_bit_group(&block[32..96], group);
        let mask = &block[group % 2 * 16..];
        for i in 0..16 {
            let low = i16::from(bytes[i] >> shift & 3);
            let high = i16::from(mask[i] >> (group / 2) & 1);
            values[i] = scale * f32::from(low - 4 * (1 - high));
        }
    }
}

/// The 6-bit scale and minimum of one of eight groups, packed into 12 bytes.
#[inline]
fn scale_and_minimum(packed: &[u8], group: usize) -> (f32, f32) {
    let (scale, minimum) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let shared = packed[group + 4];
        (shared & 15 | packed[group - 4] >> 6 << 4, shared >> 4 | packed[group] >> 6 << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

/// Eight groups of 32: 6-bit scale and minimum a group, 4 bits an element.
#[inline]
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, d_min) = (half_at(block, 0), half_at(block, 2));
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(&block[4..16], group);
        let (scale, minimum) = (d * scale, d_min * minimum);
        let bytes = &block[16 + group / 2 * 32..][..32];
        let shift = 4 * (group % 2);
        for i in 0..32 {
            values[i] = scale * f32::from(bytes[i] >> shift & 15) - minimum;
        }
    }
}

/// As `q4_k` with a fifth bit: bit `group` of byte `i` belongs to element `i` of that group.
#[inline]
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, d_min) = (half_at(block, 0), half_at(block, 2));
    let high = &block[16..48];
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(&block[4..16], group);
        let (scale, minimum) = (d * scale, d_min * minimum);
        let bytes = &block[48 + group / 2 * 32..][..32];
        let shift = 4 * (group % 2);
        for i in 0..32 {
            let q = bytes[i] >> shift & 15 | (high[i] >> group & 1) << 4;
            values[i] = scale * f32::from(q) - minimum;
        }
    }
}

/// 16 groups of 16: 8-bit signed scale a group, 6 bits an element.
#[inline]
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half_at(block, 208);
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = d * f32::from(scales[group].cast_signed());
        // Within 128 elements: two planes of 64 in the low nibbles, four planes of 32 in the high pairs.
        let (part, within) = (group / 8, group % 8);
        let low = &low[part * 64 + within % 4 * 16..][..16];
        let (high, shift) = two_bit_group(high, part * 8 + within);
        for i in 0..16 {
            let q = low[i] >> (4 * (within / 4)) & 15 | (high[i] >> shift & 3) << 4;
            values[i] = scale * (f32::from(q) - 32.0);
        }
    }
}

/// Eight groups of 32: 6-bit signed scale a group, 4 bits an element on a non-linear grid.
#[inline]
pub(super) fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let low = block[4 + group / 2] >> (4 * (group % 2)) & 15;
        let scale = d * (f32::from(u16::from(low) | (high >> (2 * group) & 3) << 4) - 32.0);
        let bytes = &block[8 + group * 16..][..16];
        for i in 0..16 {
            values[i] = scale * f32::from(GRID[usize::from(bytes[i] & 15)]);
            values[i + 16] = scale * f32::from(GRID[usize::from(bytes[i] >> 4)]);
        }
    }
}
