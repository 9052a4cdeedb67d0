//! Four-bit floats in blocks that share a scale, codes and scales apart: MXFP4, whose scales are powers of two, and NVFP4, whose
//! scales are floats of eight bits with one more for the whole.

use super::{Pieces, Scratch, parts, room, room_for_values};
use crate::decode::E2M1;
use stemmata_model::{DType, Encoding, ReadError, Tensor};

/// Elements of a block of MXFP4.
pub(super) const BLOCK: u64 = 32;
/// Elements of a block of NVFP4.
pub(super) const SHORT_BLOCK: u64 = 16;

/// A tensor in this form; [`super::find`] has compared all lengths.
#[derive(Clone, Debug)]
pub(super) struct FloatBlocks {
    /// Two codes to a byte, the first in the low bits.
    codes: Tensor,
    /// One byte for each block; the stored type may be a plain byte.
    scales: Tensor,
    block: u64,
    whole: Whole,
}

/// What is done to every scale first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whole {
    Nothing,
    /// compressed-tensors stores what scales were multiplied with.
    Divide(f32),
    /// ModelOpt stores its inverse.
    Multiply(f32),
}

impl FloatBlocks {
    /// Powers of two for each 32.
    pub(super) fn new(codes: Tensor, scales: Tensor) -> FloatBlocks {
        let scales = Tensor { encoding: Encoding::Plain(DType::F8E8M0), ..scales };
        FloatBlocks { codes, scales, block: BLOCK, whole: Whole::Nothing }
    }

    /// Floats for each 16.
    pub(super) fn short(codes: Tensor, scales: Tensor, whole: Whole) -> FloatBlocks {
        let scales = Tensor { encoding: Encoding::Plain(DType::F8E4M3), ..scales };
        FloatBlocks { codes, scales, block: SHORT_BLOCK, whole }
    }

    pub(super) fn read(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        for (at, out) in parts(start, out) {
            let end = at + out.len() as u64;
            let (first, first_byte) = (at / self.block, at / 2);
            let scales = room_for_values(&mut scratch.side, (end.div_ceil(self.block) - first) as usize);
            pieces.values(&self.scales, first, scales)?;
            match self.whole {
                Whole::Nothing => {}
                Whole::Divide(by) => scales.iter_mut().for_each(|scale| *scale /= by),
                Whole::Multiply(by) => scales.iter_mut().for_each(|scale| *scale *= by),
            }
            let bytes = room(&mut scratch.bytes, (end.div_ceil(2) - first_byte) as usize);
            pieces.bytes(&self.codes, first_byte, bytes)?;
            for (element, out) in (at..).zip(out.iter_mut()) {
                let byte = bytes[(element / 2 - first_byte) as usize];
                let code = if element % 2 == 0 { byte & 15 } else { byte >> 4 };
                *out = E2M1[usize::from(code)] * scales[(element / self.block - first) as usize];
            }
        }
        Ok(())
    }
}
