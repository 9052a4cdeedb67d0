//! compressed-tensors' integers: codes along each row in 32-bit words, lowest bits first, rows padded to whole words.

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
    /// \[words of outputs, groups\]; without it the middle of the range is zero.
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
        let per_word = u64::from(32 / self.bits);
        let (across, group) = (self.codes.shape[1], self.inputs / self.groups);
        let (first_row, first_col) = (start / self.inputs, start % self.inputs);
        let last = start + out.len() as u64 - 1;
        let (last_row, last_col) = (last / self.inputs, last % self.inputs);
        let first_word = first_row * across + first_col / per_word;
        let words = last_row * across + last_col / per_word - first_word + 1;
        let first_scale = first_row * self.groups + first_col / group;
        let scale_count = (last_row * self.groups + last_col / group - first_scale + 1) as usize;
        let (scales, zeros) = room_for_values(&mut scratch.side, 2 * scale_count).split_at_mut(scale_count);
        pieces.values(&self.scales, first_scale, scales)?;
        self.fetch_zeros(pieces, &mut scratch.bytes, first_scale, zeros)?;
        let bytes = room(&mut scratch.bytes, (words * 4) as usize);
        pieces.bytes(&self.codes, first_word * 4, bytes)?;
        let mask = (1u32 << self.bits) - 1;
        let (log, last) = (per_word.trailing_zeros(), per_word - 1);
        // A group is a row of its scale.
        for (scale, within, run) in rows_of(start, group, out) {
            let (row, col) = (scale / self.groups, scale % self.groups * group + within);
            let at = (scale - first_scale) as usize;
            // Negative where the run starts within a row; the sum is not.
            let first = (row * across).wrapping_sub(first_word);
            for (col, out) in (col..).zip(run) {
                let at_word = (first.wrapping_add(col >> log)) as usize * 4;
                let word = [bytes[at_word], bytes[at_word + 1], bytes[at_word + 2], bytes[at_word + 3]];
                let code = u32::from_le_bytes(word) >> ((col & last) as u32 * self.bits) & mask;
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
        let per_word = u64::from(32 / self.bits);
        let mask = (1u32 << self.bits) - 1;
        for (row, group, run) in rows_of(first, self.groups, out) {
            let bytes = room(scratch, run.len() * 4);
            pieces.bytes(zeros, (row / per_word * self.groups + group) * 4, bytes)?;
            let shift = (row % per_word) as u32 * self.bits;
            for (word, out) in bytes.as_chunks::<4>().0.iter().zip(run) {
                *out = (u32::from_le_bytes(*word) >> shift & mask) as f32;
            }
        }
        Ok(())
    }
}
