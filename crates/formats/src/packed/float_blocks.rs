//! Four-bit floats in blocks of 32 with a power of two as scale (MXFP4), codes and scales apart.

use super::{PIECE, Pieces, Scratch, room, room_for_values};
use crate::decode::E2M1;
use stemmata_model::{DType, Encoding, ReadError, Tensor};

/// Elements of a block.
pub(super) const BLOCK: u64 = 32;

/// A tensor in this form; [`super::find`] has compared all lengths.
#[derive(Clone, Debug)]
pub(super) struct FloatBlocks {
    /// Two codes to a byte, the first in the low bits.
    pub(super) codes: Tensor,
    /// One byte for each block, an exponent; the stored type is a plain byte.
    pub(super) scales: Tensor,
}

impl FloatBlocks {
    pub(super) fn new(codes: Tensor, scales: Tensor) -> FloatBlocks {
        FloatBlocks { codes, scales: Tensor { encoding: Encoding::Plain(DType::F8E8M0), ..scales } }
    }

    pub(super) fn read(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let mut at = start;
        for out in out.chunks_mut(PIECE) {
            let end = at + out.len() as u64;
            let (first, first_byte) = (at / BLOCK, at / 2);
            let scales = room_for_values(&mut scratch.side, (end.div_ceil(BLOCK) - first) as usize);
            pieces.values(&self.scales, first, scales)?;
            let bytes = room(&mut scratch.bytes, (end.div_ceil(2) - first_byte) as usize);
            pieces.bytes(&self.codes, first_byte, bytes)?;
            for (element, out) in (at..).zip(out.iter_mut()) {
                let byte = bytes[(element / 2 - first_byte) as usize];
                let code = if element % 2 == 0 { byte & 15 } else { byte >> 4 };
                *out = E2M1[usize::from(code)] * scales[(element / BLOCK - first) as usize];
            }
            at = end;
        }
        Ok(())
    }
}
