//! Stored bytes to numbers, exactly: every value that fits in an `f32` is that value, and block formats follow the
//! reference's order of operations so that results agree bit for bit.

mod blocks;
mod few_bits;
mod floats;
mod i_blocks;
mod k_blocks;
mod small;

pub(crate) use small::E2M1;
use stemmata_model::{Block, DType, Encoding};

/// Decodes whole granules into `out`. False, with `out` unspecified, if the encoding is not decodable or if `bytes`
/// and `out` do not span the same whole number of granules.
///
/// Integers decode to the nearest `f32`, truth values to 0 and 1, `F64` to the nearest `f32`.
pub fn decode(encoding: Encoding, bytes: &[u8], out: &mut [f32]) -> bool {
    match encoding.bytes_for(out.len() as u64) {
        Some(len) if len == bytes.len() as u64 => {}
        _ => return false,
    }
    match encoding {
        Encoding::Plain(dtype) => plain(dtype, bytes, out),
        Encoding::Quantized(block) => quantized(block, bytes, out),
        _ => false,
    }
}

fn plain(dtype: DType, bytes: &[u8], out: &mut [f32]) -> bool {
    match dtype {
        DType::F32 => each(bytes, out, f32::from_le_bytes),
        DType::BF16 => each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        DType::F16 => each(bytes, out, |b| floats::half(u16::from_le_bytes(b))),
        DType::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        DType::F8E4M3 => table(bytes, out, &small::E4M3),
        DType::F8E5M2 => table(bytes, out, &small::E5M2),
        DType::F8E8M0 => table(bytes, out, &small::E8M0),
        DType::F8E4M3Fnuz => table(bytes, out, &small::E4M3_FNUZ),
        DType::F8E5M2Fnuz => table(bytes, out, &small::E5M2_FNUZ),
        DType::F4 => halves(bytes, out, |code| small::E2M1[usize::from(code)]),
        // Two's complement.
        DType::I4 => halves(bytes, out, |code| f32::from(code.cast_signed() << 4 >> 4)),
        DType::U4 => halves(bytes, out, f32::from),
        DType::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
        DType::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
        DType::I16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
        DType::I8 => each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
        DType::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
        DType::U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
        DType::U16 => each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
        DType::U8 => each(bytes, out, |[b]: [u8; 1]| f32::from(b)),
        DType::Bool => each(bytes, out, |[b]: [u8; 1]| f32::from(u8::from(b != 0))),
        // The packing order of F6 is not fixed by the format; C64 is not a real number.
        _ => return false,
    }
    true
}

/// Two values for each byte, the lower half first.
fn halves(bytes: &[u8], out: &mut [f32], convert: impl Fn(u8) -> f32) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = convert(byte & 15);
        pair[1] = convert(byte >> 4);
    }
}

/// One value for each `N` bytes; compiles to vector code for the simple conversions.
#[inline]
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    let (pieces, _) = bytes.as_chunks::<N>();
    for (piece, value) in pieces.iter().zip(out) {
        *value = convert(*piece);
    }
}

#[inline]
fn table(bytes: &[u8], out: &mut [f32], values: &[f32; 256]) {
    for (byte, value) in bytes.iter().zip(out) {
        *value = values[usize::from(*byte)];
    }
}

fn quantized(block: Block, bytes: &[u8], out: &mut [f32]) -> bool {
    match block {
        Block::Q4_0 => blocks_of(bytes, out, blocks::q4_0),
        Block::Q4_1 => blocks_of(bytes, out, blocks::q4_1),
        Block::Q5_0 => blocks_of(bytes, out, blocks::q5_0),
        Block::Q5_1 => blocks_of(bytes, out, blocks::q5_1),
        Block::Q8_0 => blocks_of(bytes, out, blocks::q8_0),
        Block::Q2K => blocks_of(bytes, out, k_blocks::q2_k),
        Block::Q3K => blocks_of(bytes, out, k_blocks::q3_k),
        Block::Q4K => blocks_of(bytes, out, k_blocks::q4_k),
        Block::Q5K => blocks_of(bytes, out, k_blocks::q5_k),
        Block::Q6K => blocks_of(bytes, out, k_blocks::q6_k),
        Block::Iq4Nl => blocks_of(bytes, out, blocks::iq4_nl),
        Block::Iq4Xs => blocks_of(bytes, out, k_blocks::iq4_xs),
        Block::Iq1S => blocks_of(bytes, out, i_blocks::iq1_s),
        Block::Iq1M => blocks_of(bytes, out, i_blocks::iq1_m),
        Block::Iq2Xxs => blocks_of(bytes, out, i_blocks::iq2_xxs),
        Block::Iq2Xs => blocks_of(bytes, out, i_blocks::iq2_xs),
        Block::Iq2S => blocks_of(bytes, out, i_blocks::iq2_s),
        Block::Iq3Xxs => blocks_of(bytes, out, i_blocks::iq3_xxs),
        Block::Iq3S => blocks_of(bytes, out, i_blocks::iq3_s),
        Block::Tq1_0 => blocks_of(bytes, out, i_blocks::tq1_0),
        Block::Tq2_0 => blocks_of(bytes, out, i_blocks::tq2_0),
        Block::Mxfp4 => blocks_of(bytes, out, i_blocks::mxfp4),
        Block::Nvfp4 => blocks_of(bytes, out, few_bits::nvfp4),
        Block::Q1_0 => blocks_of(bytes, out, few_bits::q1_0),
        Block::Q2_0 => blocks_of(bytes, out, few_bits::q2_0),
        _ => return false,
    }
    true
}

/// `E` values for each `N` bytes.
#[inline]
fn blocks_of<const N: usize, const E: usize>(
    bytes: &[u8],
    out: &mut [f32],
    convert: impl Fn(&[u8; N], &mut [f32; E]),
) {
    let (pieces, _) = bytes.as_chunks::<N>();
    let (values, _) = out.as_chunks_mut::<E>();
    for (piece, values) in pieces.iter().zip(values) {
        convert(piece, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_granules() {
        let mut out = [0.0; 32];
        let q8 = Encoding::Quantized(Block::Q8_0);
        assert!(decode(q8, &[0; 34], &mut out));
        assert!(!decode(q8, &[0; 33], &mut out));
        assert!(!decode(q8, &[0; 34], &mut out[..31]));
        assert!(decode(q8, &[], &mut []));
        assert!(!decode(Encoding::Plain(DType::F4), &[0; 2], &mut out[..3]));
        assert!(!decode(Encoding::Plain(DType::F6E2M3), &[0; 3], &mut out[..4]));
        assert!(!decode(Encoding::Plain(DType::C64), &[0; 8], &mut out[..1]));
        assert!(!decode(Encoding::Opaque("q8_k"), &[], &mut []));
    }

    #[test]
    fn every_block_layout_matches_its_decoder() {
        use Block::*;
        let more = [Iq1S, Iq1M, Iq2Xxs, Iq2Xs, Iq2S, Iq3Xxs, Iq3S, Tq1_0, Tq2_0, Mxfp4, Nvfp4];
        let all = [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K, Iq4Nl, Iq4Xs];
        for block in all.into_iter().chain(more) {
            let (elements, bytes) = block.layout();
            let mut out = vec![f32::NAN; 3 * elements as usize];
            assert!(decode(Encoding::Quantized(block), &vec![0; 3 * bytes as usize], &mut out));
            assert!(out.iter().all(|value| *value == 0.0), "{}", block.name());
        }
    }
}
