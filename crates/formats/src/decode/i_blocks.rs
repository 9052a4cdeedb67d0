//! ggml's blocks of 256 elements that are points of a grid (IQ1, IQ2, IQ3), of three values (TQ) or four-bit floats (MXFP4). Layouts:
//! `ggml-common.h`; values agree bit for bit with `gguf.quants`.

use super::blocks::half_at;

/// The points, as `data/README.md` says.
static GRIDS: &[u8; 9216] = include_bytes!("../../data/grids.bin");
/// Where each table of [`GRIDS`] begins.
const IQ2_XXS: usize = 0;
const IQ2_XS: usize = 512;
const IQ2_S: usize = 1536;
const IQ3_XXS: usize = 3584;
const IQ3_S: usize = 4096;
const IQ1: usize = 5120;

#[inline]
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
fn double_word(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) | u32::from(word(bytes, at + 2)) << 16
}

/// Point `index` of eight elements from the table at `table`, element by element through `map`.
#[inline]
fn eight(table: usize, index: usize, map: [f32; 4]) -> [f32; 8] {
    let bits = word(GRIDS, table + 2 * index);
    std::array::from_fn(|i| map[usize::from(bits >> (2 * i) & 3)])
}

/// Point `index` of four elements.
#[inline]
fn four(table: usize, index: usize, map: [f32; 8]) -> [f32; 4] {
    let bits = word(GRIDS, table + 2 * index);
    std::array::from_fn(|i| map[usize::from(bits >> (4 * i) & 7)])
}

const TWO: [f32; 4] = [8.0, 25.0, 43.0, 0.0];
const ONE: [f32; 4] = [-1.0, 0.0, 1.0, 0.0];
const THREE_XXS: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];
const THREE_S: [f32; 8] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0];
/// What IQ1 adds to every element of a point, or takes from it.
const DELTA: f32 = 0.125;

/// Seven stored signs and the eighth, which makes their number even.
#[inline]
fn even_signs(seven: u32) -> u8 {
    let seven = (seven & 127) as u8;
    seven | ((seven.count_ones() & 1) as u8) << 7
}

#[inline]
fn signed(value: f32, signs: u8, bit: usize) -> f32 {
    if signs >> bit & 1 == 0 { value } else { -value }
}

/// 8 groups of 32: four points of a byte, four times seven signs, a 4-bit scale.
#[inline]
pub(super) fn iq2_xxs(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let at = 2 + 8 * group;
        let rest = double_word(block, at + 4);
        let scale = d * (0.5 + (rest >> 28) as f32) * 0.25;
        for (k, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let point = eight(IQ2_XXS, usize::from(block[at + k]), TWO);
            let signs = even_signs(rest >> (7 * k));
            *values = std::array::from_fn(|i| signed(scale * point[i], signs, i));
        }
    }
}

/// 32 points of nine bits with seven signs each, sixteen 4-bit scales.
#[inline]
pub(super) fn iq2_xs(block: &[u8; 74], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (k, values) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let code = word(block, 2 + 2 * k);
        let scale = block[66 + k / 4] >> (4 * (k / 2 % 2)) & 15;
        let scale = d * (0.5 + f32::from(scale)) * 0.25;
        let point = eight(IQ2_XS, usize::from(code & 511), TWO);
        let signs = even_signs(u32::from(code >> 9));
        *values = std::array::from_fn(|i| signed(scale * point[i], signs, i));
    }
}

/// 32 points of ten bits with eight signs each, sixteen 4-bit scales.
#[inline]
pub(super) fn iq2_s(block: &[u8; 82], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (k, values) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let high = usize::from(block[66 + k / 4] >> (2 * (k % 4)) & 3);
        let scale = block[74 + k / 4] >> (4 * (k / 2 % 2)) & 15;
        let scale = d * (0.5 + f32::from(scale)) * 0.25;
        let point = eight(IQ2_S, usize::from(block[2 + k]) | high << 8, TWO);
        let signs = block[34 + k];
        *values = std::array::from_fn(|i| signed(scale * point[i], signs, i));
    }
}

/// 8 groups of 32: eight points of a byte, four times seven signs, a 4-bit scale.
#[inline]
pub(super) fn iq3_xxs(block: &[u8; 98], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let rest = double_word(block, 66 + 4 * group);
        let scale = d * (0.5 + (rest >> 28) as f32) * 0.5;
        for (k, values) in values.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let point = four(IQ3_XXS, usize::from(block[2 + 8 * group + k]), THREE_XXS);
            let signs = even_signs(rest >> (7 * (k / 2))) >> (4 * (k % 2));
            *values = std::array::from_fn(|i| signed(scale * point[i], signs, i));
        }
    }
}

/// 64 points of nine bits, a sign for each element, eight 4-bit scales.
#[inline]
pub(super) fn iq3_s(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (k, values) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let high = usize::from(block[66 + k / 8] >> (k % 8) & 1);
        let scale = block[106 + k / 16] >> (4 * (k / 8 % 2)) & 15;
        let scale = d * (1.0 + 2.0 * f32::from(scale));
        let point = four(IQ3_S, usize::from(block[2 + k]) | high << 8, THREE_S);
        let signs = block[74 + k / 2] >> (4 * (k % 2));
        *values = std::array::from_fn(|i| signed(scale * point[i], signs, i));
    }
}

/// 8 groups of 32: four points of eleven bits, a 3-bit scale, one direction of [`DELTA`].
#[inline]
pub(super) fn iq1_s(block: &[u8; 50], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let head = word(block, 34 + 2 * group);
        let scale = d * f32::from(2 * (head >> 12 & 7) + 1);
        let delta = if head & 0x8000 == 0 { DELTA } else { -DELTA };
        for (k, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let index = usize::from(block[2 + 4 * group + k]) | usize::from(head >> (3 * k) & 7) << 8;
            let point = eight(IQ1, index, ONE);
            *values = std::array::from_fn(|i| scale * (point[i] + delta));
        }
    }
}

/// 32 points of eleven bits with a direction of [`DELTA`] each, sixteen 3-bit scales; the half-precision scale lies in the
/// top nibbles of the scales' four words.
#[inline]
pub(super) fn iq1_m(block: &[u8; 56], out: &mut [f32; 256]) {
    let scales: [u16; 4] = std::array::from_fn(|i| word(block, 48 + 2 * i));
    let d = super::floats::half(
        scales[0] >> 12 | scales[1] >> 8 & 0x00f0 | scales[2] >> 4 & 0x0f00 | scales[3] & 0xf000,
    );
    for (k, values) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let scale = d * f32::from(2 * (scales[k / 8] >> (3 * (k / 2 % 4)) & 7) + 1);
        let high = block[32 + k / 2] >> (4 * (k % 2));
        let delta = if high & 8 == 0 { DELTA } else { -DELTA };
        let point = eight(IQ1, usize::from(block[k]) | usize::from(high & 7) << 8, ONE);
        *values = std::array::from_fn(|i| scale * (point[i] + delta));
    }
}

/// Three values a digit, five digits a byte (four in the last four bytes); digit `n` is the top of `byte * 3^n`.
#[inline]
pub(super) fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    let d = half_at(block, 52);
    let digit = |byte: u8, n: usize| {
        let top = (u16::from(byte.wrapping_mul(POWERS[n])) * 3) >> 8;
        d * (f32::from(top) - 1.0)
    };
    // (first byte, bytes, digits of each): digits are planes over their bytes.
    let mut at = 0;
    for (first, count, digits) in [(0, 32, 5), (32, 16, 5), (48, 4, 4)] {
        for n in 0..digits {
            for i in 0..count {
                out[at] = digit(block[first + i], n);
                at += 1;
            }
        }
    }
}

/// Two bits an element: -1, 0, 1 (and 2, which quantisers do not write).
#[inline]
pub(super) fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 64);
    for (at, value) in out.iter_mut().enumerate() {
        let (half, plane, i) = (at / 128, at % 128 / 32, at % 32);
        *value = d * (f32::from(block[32 * half + i] >> (2 * plane) & 3) - 1.0);
    }
}

/// Twice the value of each code of a four-bit float, as ggml has them: without a negative zero.
pub(super) const DOUBLED: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

/// Four-bit floats under a power of two; low nibbles are elements 0..16, high nibbles 16..32.
#[inline]
pub(super) fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    let exponent = u32::from(block[0]);
    // Half of 2^(e - 127); the first two are denormal.
    let scale = f32::from_bits(if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 });
    for i in 0..16 {
        let byte = block[1 + i];
        out[i] = scale * DOUBLED[usize::from(byte & 15)];
        out[i + 16] = scale * DOUBLED[usize::from(byte >> 4)];
    }
}
