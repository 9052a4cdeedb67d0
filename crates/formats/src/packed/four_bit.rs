//! bitsandbytes' four bits: a table of sixteen values, times the largest magnitude of each block of elements.

use super::{Pieces, Scratch, parts, room, room_for_values, rows_of};
use stemmata_model::{ReadError, Tensor};

/// A tensor in this form; [`super::find`] has compared all lengths.
#[derive(Clone, Debug)]
pub(super) struct FourBit {
    /// Two codes to a byte, the first in the high bits; the stored type says nothing.
    pub(super) codes: Tensor,
    pub(super) table: [f32; 16],
    /// Elements of a block.
    pub(super) block: u64,
    /// One for each block: its magnitude, or the code of it.
    pub(super) magnitudes: Tensor,
    pub(super) nested: Option<Nested>,
}

/// Magnitudes that are quantised themselves.
#[derive(Clone, Debug)]
pub(super) struct Nested {
    pub(super) table: Box<[f32; 256]>,
    /// Magnitudes of a block of magnitudes.
    pub(super) block: u64,
    /// One for each block of magnitudes.
    pub(super) magnitudes: Tensor,
    pub(super) offset: f32,
}

impl FourBit {
    pub(super) fn read(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        for (at, out) in parts(start, out) {
            let first = at / self.block;
            let blocks = (at + out.len() as u64 - 1) / self.block - first + 1;
            self.magnitudes(pieces, scratch, first, blocks as usize)?;
            let first_byte = at / 2;
            let len = (at + out.len() as u64).div_ceil(2) - first_byte;
            let bytes = room(&mut scratch.bytes, len as usize);
            pieces.bytes(&self.codes, first_byte, bytes)?;
            // A block is a row of its magnitudes.
            for (block, within, run) in rows_of(at, self.block, out) {
                let magnitude = scratch.side[(block - first) as usize];
                for (element, out) in (block * self.block + within..).zip(run) {
                    let byte = bytes[(element / 2 - first_byte) as usize];
                    let code = if element % 2 == 0 { byte >> 4 } else { byte & 15 };
                    *out = self.table[usize::from(code)] * magnitude;
                }
            }
        }
        Ok(())
    }

    /// Puts the magnitudes of blocks `first ..` in front of `scratch.side`.
    fn magnitudes(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        first: u64,
        len: usize,
    ) -> Result<(), ReadError> {
        let Some(nested) = &self.nested else {
            return pieces.values(&self.magnitudes, first, room_for_values(&mut scratch.side, len));
        };
        let outer_first = first / nested.block;
        let outer = ((first + len as u64 - 1) / nested.block - outer_first + 1) as usize;
        let (inner, outer) = room_for_values(&mut scratch.side, len + outer).split_at_mut(len);
        pieces.values(&nested.magnitudes, outer_first, outer)?;
        let codes = room(&mut scratch.bytes, len);
        pieces.bytes(&self.magnitudes, first, codes)?;
        for ((index, code), magnitude) in (first..).zip(codes.iter()).zip(inner) {
            let outer = outer[(index / nested.block - outer_first) as usize];
            *magnitude = nested.table[usize::from(*code)] * outer + nested.offset;
        }
        Ok(())
    }
}
