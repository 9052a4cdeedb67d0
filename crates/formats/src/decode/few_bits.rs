//! Blocks of one and two bits, and of four-bit floats with small floats as scales. Layouts: `ggml-common.h`.

use super::blocks::half_at;
use super::i_blocks::DOUBLED;
use super::small::UE4M3;

/// One scale for 128 elements; a bit says which of scale and its negative an element is.
#[inline]
pub(super) fn q1_0(block: &[u8; 18], out: &mut [f32; 128]) {
    let scale = half_at(block, 0);
    for (byte, values) in block[2..].iter().zip(out.as_chunks_mut::<8>().0) {
        for (bit, value) in values.iter_mut().enumerate() {
            *value = if byte >> bit & 1 == 1 { scale } else { -scale };
        }
    }
}

/// `scale * (q - 1)`, 64 elements of two bits, the first in the lowest.
#[inline]
pub(super) fn q2_0(block: &[u8; 18], out: &mut [f32; 64]) {
    let scale = half_at(block, 0);
    for (byte, values) in block[2..].iter().zip(out.as_chunks_mut::<4>().0) {
        for (place, value) in values.iter_mut().enumerate() {
            *value = scale * (f32::from(byte >> (2 * place) & 3) - 1.0);
        }
    }
}

/// Four groups of 16, each with a float of eight bits without a sign as scale.
#[inline]
pub(super) fn nvfp4(block: &[u8; 36], out: &mut [f32; 64]) {
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = 0.5 * UE4M3[usize::from(block[group])];
        let bytes = &block[4 + group * 8..][..8];
        for i in 0..8 {
            values[i] = scale * DOUBLED[usize::from(bytes[i] & 15)];
            values[i + 8] = scale * DOUBLED[usize::from(bytes[i] >> 4)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_definition() {
        // 0x3c00 is one in half precision.
        let mut block = [0; 18];
        block[1] = 0x3c;
        (block[2], block[17]) = (0b101, 0x80);
        let mut out = [0.0; 128];
        q1_0(&block, &mut out);
        assert_eq!((out[0], out[1], out[2], out[126], out[127]), (1.0, -1.0, 1.0, -1.0, 1.0));
        block[2] = 0b11_10_01_00;
        let mut out = [0.0; 64];
        q2_0(&block, &mut out);
        assert_eq!(out[..4], [-1.0, 0.0, 1.0, 2.0]);
    }
}
