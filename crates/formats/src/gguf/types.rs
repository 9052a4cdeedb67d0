//! Tensor types of ggml by number.

use stemmata_model::{Block, DType, Encoding};

/// A tensor type: how it is stored, and (elements, bytes) of a block where that is known.
pub(super) struct TensorType {
    pub(super) encoding: Encoding,
    pub(super) block: Option<(u32, u32)>,
    /// Set for numbers that current ggml does not define.
    pub(super) oddity: Option<&'static str>,
}

/// The type with this number. Numbers never fail: a file may be newer than this table.
pub(super) fn tensor_type(id: i32) -> TensorType {
    use Block::*;
    let opaque = |name, elements, bytes| TensorType {
        encoding: Encoding::Opaque(name),
        block: Some((elements, bytes)),
        oddity: None,
    };
    let odd =
        |name, oddity| TensorType { encoding: Encoding::Opaque(name), block: None, oddity: Some(oddity) };
    let encoding = match id {
        0 => Encoding::Plain(DType::F32),
        1 => Encoding::Plain(DType::F16),
        2 => Encoding::Quantized(Q4_0),
        3 => Encoding::Quantized(Q4_1),
        6 => Encoding::Quantized(Q5_0),
        7 => Encoding::Quantized(Q5_1),
        8 => Encoding::Quantized(Q8_0),
        9 => return opaque("q8_1", 32, 36),
        10 => Encoding::Quantized(Q2K),
        11 => Encoding::Quantized(Q3K),
        12 => Encoding::Quantized(Q4K),
        13 => Encoding::Quantized(Q5K),
        14 => Encoding::Quantized(Q6K),
        15 => return opaque("q8_k", 256, 292),
        16 => Encoding::Quantized(Iq2Xxs),
        17 => Encoding::Quantized(Iq2Xs),
        18 => Encoding::Quantized(Iq3Xxs),
        19 => Encoding::Quantized(Iq1S),
        20 => Encoding::Quantized(Iq4Nl),
        21 => Encoding::Quantized(Iq3S),
        22 => Encoding::Quantized(Iq2S),
        23 => Encoding::Quantized(Iq4Xs),
        24 => Encoding::Plain(DType::I8),
        25 => Encoding::Plain(DType::I16),
        26 => Encoding::Plain(DType::I32),
        27 => Encoding::Plain(DType::I64),
        28 => Encoding::Plain(DType::F64),
        29 => Encoding::Quantized(Iq1M),
        30 => Encoding::Plain(DType::BF16),
        34 => Encoding::Quantized(Tq1_0),
        35 => Encoding::Quantized(Tq2_0),
        39 => Encoding::Quantized(Mxfp4),
        40 => Encoding::Quantized(Nvfp4),
        41 => Encoding::Quantized(Q1_0),
        42 => Encoding::Quantized(Q2_0),
        4 | 5 | 31..=33 | 36..=38 => return odd("withdrawn type", "has been withdrawn from ggml"),
        97..=400 => return odd("fork type", "belongs to a fork of ggml"),
        _ => return odd("unknown type", "is not known"),
    };
    TensorType { encoding, block: encoding.granule(), oddity: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_an_answer() {
        for id in -1..500 {
            let TensorType { encoding, block, oddity } = tensor_type(id);
            assert_eq!(block.is_none(), oddity.is_some(), "{id}");
            assert!(block.is_none_or(|(elements, bytes)| elements > 0 && bytes > 0));
            assert!(encoding.granule().is_none() || encoding.granule() == block);
        }
    }
}
