//! compressed-tensors' integers of one to eight bits: codes along each row in 32-bit words, lowest bits first and across the ends of words, rows
//! padded to whole words.

use super::{PIECE, Pieces, Scratch, room, room_for_values, rows_of};
use stemmata_model::{ReadError, Tensor};

/// A matrix in this form; [`super::find`] has compared all shapes.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) bits: u32,
    pub(super) inputs: u64,
    /// \[outputs, words\].
    pub(super) codes: Tensor,
    /// \[outputs, groups\].
    pub(super) scales: Tensor,
    pub(super) groups: u64,
    /// \[words of outputs, groups\], packed along the outputs; without it the middle of the range is zero.
    pub(super) zeros: Option<Tensor>,
}

impl Words {
    pub(super) fn read(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        // Whole rows together where they are short.
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let col = at % self.inputs;
            let whole = PIECE as u64 / self.inputs * self.inputs;
            let most = if col == 0 && whole > 0 { whole } else { (self.inputs - col).min(PIECE as u64) };
            let (now, later) = rest.split_at_mut(most.min(rest.len() as u64) as usize);
            self.read_piece(pieces, scratch, at, now)?;
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// A run within one row, or from the start of a row on.
    fn read_piece(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let bits = u64::from(self.bits);
        let (across, group) = (self.codes.shape[1], self.inputs / self.groups);
        let (first_row, first_col) = (start / self.inputs, start % self.inputs);
        let last = start + out.len() as u64 - 1;
        let (last_row, last_col) = (last / self.inputs, last % self.inputs);
        let first_word = first_row * across + first_col * bits / 32;
        let words = last_row * across + (last_col * bits + bits - 1) / 32 - first_word + 1;
        let first_scale = first_row * self.groups + first_col / group;
        let scale_count = (last_row * self.groups + last_col / group - first_scale + 1) as usize;
        let (scales, zeros) = room_for_values(&mut scratch.side, 2 * scale_count).split_at_mut(scale_count);
        pieces.values(&self.scales, first_scale, scales)?;
        self.fetch_zeros(pieces, &mut scratch.bytes, first_scale, zeros)?;
        let bytes = room(&mut scratch.bytes, (words * 4) as usize);
        pieces.bytes(&self.codes, first_word * 4, bytes)?;
        let mask = (1u32 << self.bits) - 1;
        // A group is a row of its scale.
        for (scale, within, run) in rows_of(start, group, out) {
            let (row, col) = (scale / self.groups, scale % self.groups * group + within);
            let at = (scale - first_scale) as usize;
            // Negative where the run starts within a row; the sum is not.
            let first = (row * across).wrapping_sub(first_word);
            for (col, out) in (col..).zip(run) {
                let bit = col * bits;
                let byte = (first.wrapping_mul(4).wrapping_add(bit / 8)) as usize;
                // Little-endian words are bytes in order, and a code lies in two of them at most.
                let pair = [bytes[byte], bytes.get(byte + 1).copied().unwrap_or(0)];
                let code = u32::from(u16::from_le_bytes(pair)) >> (bit % 8) & mask;
                *out = (code as f32 - zeros[at]) * scales[at];
            }
        }
        Ok(())
    }

    /// Zero points that belong to the scales `first ..`.
    fn fetch_zeros(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Vec<u8>,
        first: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let Some(zeros) = &self.zeros else {
            out.fill((1u32 << (self.bits - 1)) as f32);
            return Ok(());
        };
        let mask = (1u64 << self.bits) - 1;
        for (row, group, run) in rows_of(first, self.groups, out) {
            let bit = row * u64::from(self.bits);
            let shift = (bit % 32) as u32;
            let crosses = shift + self.bits > 32;
            let len = run.len() * 4;
            let bytes = room(scratch, if crosses { 2 * len } else { len });
            let (low, high) = bytes.split_at_mut(len);
            pieces.bytes(zeros, (bit / 32 * self.groups + group) * 4, low)?;
            if crosses {
                pieces.bytes(zeros, ((bit / 32 + 1) * self.groups + group) * 4, high)?;
            }
            for (i, (word, out)) in low.as_chunks::<4>().0.iter().zip(run).enumerate() {
                let next = high.as_chunks::<4>().0.get(i).map_or(0, |word| u32::from_le_bytes(*word));
                let both = u64::from(u32::from_le_bytes(*word)) | u64::from(next) << 32;
                *out = (both >> shift & mask) as f32;
            }
        }
        Ok(())
    }
}
