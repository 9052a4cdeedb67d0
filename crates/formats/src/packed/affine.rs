//! Codes along each row as one stream of bits, lowest first, with a scale and an offset for each group of a row: MLX, and AWQ
//! for products with a vector.

use super::{Pieces, Scratch, parts, room, room_for_values, rows_of};
use stemmata_model::{ReadError, Tensor};

/// A matrix, or a stack of them, in this form; [`super::find`] has compared all shapes.
#[derive(Clone, Debug)]
pub(super) struct Affine {
    pub(super) bits: u32,
    pub(super) inputs: u64,
    /// Inputs that share a scale.
    pub(super) group: u64,
    /// Rows of whole words.
    pub(super) codes: Tensor,
    /// Rows of `stride` numbers, of which the first belong to the groups.
    pub(super) scales: Tensor,
    pub(super) stride: u64,
    pub(super) offsets: Offsets,
}

/// What is added.
#[derive(Clone, Debug)]
pub(super) enum Offsets {
    /// A number for each scale: `q·scale + offset`.
    Added(Tensor),
    /// A code for each scale, four bits, eight to a word: `(q − zero)·scale`.
    Zeros(Tensor),
}

impl Affine {
    pub(super) fn read(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        for (at, out) in parts(start, out) {
            self.read_piece(pieces, scratch, at, out)?;
        }
        Ok(())
    }

    fn read_piece(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let bits = u64::from(self.bits);
        let end = start + out.len() as u64;
        let first_row = start / self.inputs;
        let count = (((end - 1) / self.inputs - first_row + 1) * self.stride) as usize;
        let (scales, offsets) = room_for_values(&mut scratch.side, 2 * count).split_at_mut(count);
        let first_scale = first_row * self.stride;
        pieces.values(&self.scales, first_scale, scales)?;
        match &self.offsets {
            Offsets::Added(numbers) => pieces.values(numbers, first_scale, offsets)?,
            Offsets::Zeros(codes) => {
                // The stride is a multiple of eight.
                let bytes = room(&mut scratch.bytes, count / 2);
                pieces.bytes(codes, first_scale / 2, bytes)?;
                for (byte, pair) in bytes.iter().zip(offsets.as_chunks_mut::<2>().0) {
                    *pair = [f32::from(byte & 15), f32::from(byte >> 4)];
                }
            }
        }
        // Rows are whole words, so that all rows are one stream.
        let first_byte = start * bits / 8;
        let len = (end * bits).div_ceil(8) - first_byte;
        let bytes = room(&mut scratch.bytes, len as usize + 1);
        let (stream, behind) = bytes.split_at_mut(len as usize);
        pieces.bytes(&self.codes, first_byte, stream)?;
        behind.fill(0);
        let mask = (1u32 << self.bits) - 1;
        let zeros = matches!(self.offsets, Offsets::Zeros(_));
        let mut at = start;
        for (row, col, run) in rows_of(start, self.inputs, out) {
            let base = ((row - first_row) * self.stride) as usize;
            for (col, out) in (col..).zip(run) {
                let scale = base + (col / self.group) as usize;
                let bit = at * bits - first_byte * 8;
                let byte = (bit / 8) as usize;
                let pair = u32::from(bytes[byte]) | u32::from(bytes[byte + 1]) << 8;
                let code = (pair >> (bit % 8) & mask) as f32;
                *out = match zeros {
                    true => (code - offsets[scale]) * scales[scale],
                    false => code * scales[scale] + offsets[scale],
                };
                at += 1;
            }
        }
        Ok(())
    }
}
