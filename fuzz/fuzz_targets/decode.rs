#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_formats::decode;
use stemmata_model::{Block, DType, Encoding};

fuzz_target!(|data: &[u8]| {
    use Block::*;
    use DType::*;
    let blocks = [
        Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K, Iq4Nl, Iq4Xs, Iq1S, Iq1M, Iq2Xxs, Iq2Xs, Iq2S,
        Iq3Xxs, Iq3S, Tq1_0, Tq2_0, Mxfp4, Nvfp4, Q1_0, Q2_0,
    ];
    let plain = [
        F64, F32, F16, BF16, F8E4M3, F8E5M2, F8E8M0, F8E4M3Fnuz, F8E5M2Fnuz, F6E2M3, F6E3M2, F4, I64, I32,
        I16, I8, U64, U32, U16, U8, Bool, C64,
    ];
    let all = blocks.map(Encoding::Quantized).into_iter().chain(plain.map(Encoding::Plain));
    for encoding in all {
        let Some((per, size)) = encoding.granule() else { continue };
        let mut out = vec![0.0; data.len() / size as usize * per as usize];
        let whole = data.len() / size as usize * size as usize;
        let done = decode(encoding, &data[..whole], &mut out);
        assert!(done || encoding == Encoding::Plain(C64));
        assert!(whole == data.len() || !decode(encoding, data, &mut out));
    }
});
