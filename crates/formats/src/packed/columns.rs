//! GPTQ and AWQ: 32-bit words of codes, one column of words for each output (GPTQ) or for eight of them (AWQ).
//!
//! A row of the logical \[out, in\] matrix is spread over the whole stored tensor, so a block of columns is fetched at
//! once, turned, and kept for the rows that follow.

use super::Pieces;
use stemmata_model::{ReadError, Tensor};

/// Words of codes held at once, unless a single column has more.
const BLOCK_WORDS: u64 = 1 << 20;
/// Bytes asked for at once where whole stored rows are wanted.
const PIECE_BYTES: u64 = 1 << 18;
/// Inputs, at most: bounds what one column of words can be.
pub(super) const MOST_INPUTS: u64 = 1 << 22;

/// The place of output `i` of eight in an AWQ word, in nibbles: the inverse of 0, 2, 4, 6, 1, 3, 5, 7.
const AWQ_PLACE: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// How codes lie in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Along the inputs, lowest bits first.
    Gptq {
        /// Zero points are stored less one (the first version of the format).
        less_one: bool,
    },
    /// Along the outputs, in AWQ's order.
    Awq,
}

/// A matrix in either form; [`super::find`] has compared all shapes.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) order: Order,
    pub(super) bits: u32,
    pub(super) outputs: u64,
    pub(super) inputs: u64,
    pub(super) groups: u64,
    /// \[word rows, word columns\].
    pub(super) codes: Tensor,
    /// \[groups, words of outputs\].
    pub(super) zeros: Tensor,
    /// \[groups, outputs\].
    pub(super) scales: Tensor,
    /// Group of each input; without it groups are runs of equal length.
    pub(super) group_of: Option<Tensor>,
}

/// Consecutive outputs, decoded as far as is cheap to keep.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Outputs `first ..` that are held; empty when nothing is.
    first: u64,
    len: u64,
    /// Words of one word column after the other.
    words: Vec<u32>,
    /// (scale, zero point) of each group, output after output.
    grid: Vec<(f32, f32)>,
    /// Group of each input.
    groups: Vec<u32>,
    bytes: Vec<u8>,
    values: Vec<f32>,
}

impl Block {
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.groups.clear();
    }
}

impl Columns {
    /// Outputs in one word column.
    fn outputs_per_word(&self) -> u64 {
        match self.order {
            Order::Gptq { .. } => 1,
            Order::Awq => 8,
        }
    }

    fn words_down(&self) -> u64 {
        self.codes.shape[0]
    }

    pub(super) fn read(
        &self,
        pieces: &dyn Pieces,
        block: &mut Block,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        for (row, col, run) in super::rows_of(start, self.inputs, out) {
            if row < block.first || row >= block.first + block.len {
                self.fetch(pieces, block, row)?;
            }
            self.decode(block, row, col as usize, run);
        }
        Ok(())
    }

    fn decode(&self, block: &Block, row: u64, col: usize, out: &mut [f32]) {
        let within = row - block.first;
        let groups = self.groups as usize;
        let grid = &block.grid[within as usize * groups..][..groups];
        let down = self.words_down() as usize;
        let words = &block.words[(within / self.outputs_per_word()) as usize * down..][..down];
        let mask = (1u32 << self.bits) - 1;
        let value = |code: u32, input: usize| {
            let (scale, zero) = grid[block.groups[input] as usize];
            scale * (code as f32 - zero)
        };
        match self.order {
            Order::Gptq { .. } => {
                // Codes in a word are a power of two.
                let (log, last) = ((32 / self.bits).trailing_zeros(), (32 / self.bits - 1) as usize);
                for (input, out) in (col..).zip(out) {
                    let shift = (input & last) as u32 * self.bits;
                    *out = value(words[input >> log] >> shift & mask, input);
                }
            }
            Order::Awq => {
                let shift = 4 * AWQ_PLACE[(row % 8) as usize];
                for (input, out) in (col..).zip(out) {
                    *out = value(words[input] >> shift & mask, input);
                }
            }
        }
    }

    /// Makes `block` the one that holds output `row`.
    fn fetch(&self, pieces: &dyn Pieces, block: &mut Block, row: u64) -> Result<(), ReadError> {
        block.len = 0;
        let (down, across) = (self.words_down(), self.codes.shape[1]);
        let by_grid = 2 * BLOCK_WORDS / (self.groups * self.outputs_per_word());
        let width = (BLOCK_WORDS / down).min(by_grid).clamp(1, across);
        let first_word = row / self.outputs_per_word() / width * width;
        let width = width.min(across - first_word);
        self.fetch_words(pieces, block, first_word, width)?;
        block.first = first_word * self.outputs_per_word();
        let len = (width * self.outputs_per_word()).min(self.outputs - block.first);
        self.fetch_grid(pieces, block, len)?;
        if block.groups.is_empty() {
            self.fetch_groups(pieces, block)?;
        }
        block.len = len;
        Ok(())
    }

    fn fetch_words(
        &self,
        pieces: &dyn Pieces,
        block: &mut Block,
        first: u64,
        width: u64,
    ) -> Result<(), ReadError> {
        let (down, across) = (self.words_down(), self.codes.shape[1]);
        block.words.resize((down * width) as usize, 0);
        // Whole stored rows are contiguous; parts of them are asked for one by one.
        let at_once = if width == across { (PIECE_BYTES / (4 * across)).clamp(1, down) } else { 1 };
        let mut r = 0;
        while r < down {
            let rows = at_once.min(down - r);
            let bytes = super::room(&mut block.bytes, (rows * width * 4) as usize);
            pieces.bytes(&self.codes, (r * across + first) * 4, bytes)?;
            for (i, word) in bytes.as_chunks::<4>().0.iter().enumerate() {
                let (row, column) = (r as usize + i / width as usize, i % width as usize);
                block.words[column * down as usize + row] = u32::from_le_bytes(*word);
            }
            r += rows;
        }
        Ok(())
    }

    /// Scales and zero points of outputs `block.first .. + len`.
    fn fetch_grid(&self, pieces: &dyn Pieces, block: &mut Block, len: u64) -> Result<(), ReadError> {
        let per_word = u64::from(32 / self.bits);
        let across = self.zeros.shape[1];
        let groups = self.groups as usize;
        block.grid.clear();
        block.grid.resize(len as usize * groups, (0.0, 0.0));
        let (first_word, end_word) = (block.first / per_word, (block.first + len).div_ceil(per_word));
        for group in 0..self.groups {
            let scales = super::room_for_values(&mut block.values, len as usize);
            pieces.values(&self.scales, group * self.outputs + block.first, scales)?;
            let bytes = super::room(&mut block.bytes, ((end_word - first_word) * 4) as usize);
            pieces.bytes(&self.zeros, (group * across + first_word) * 4, bytes)?;
            for (i, scale) in scales.iter().enumerate() {
                let output = block.first + i as u64;
                let at = (output / per_word - first_word) as usize * 4;
                let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
                let zero = self.zero(u32::from_le_bytes(word), (output % per_word) as u32);
                block.grid[i * groups + group as usize] = (*scale, zero);
            }
        }
        Ok(())
    }

    /// Zero point `place` of a word.
    fn zero(&self, word: u32, place: u32) -> f32 {
        let mask = (1u32 << self.bits) - 1;
        let code = match self.order {
            // One in every place, added to the word as a whole: the inverse of how the reference takes it away, carries
            // between places included.
            Order::Gptq { less_one: true } => {
                word.wrapping_add(u32::MAX / mask) >> (place * self.bits) & mask
            }
            Order::Gptq { less_one: false } => word >> (place * self.bits) & mask,
            Order::Awq => word >> (4 * AWQ_PLACE[place as usize]) & mask,
        };
        code as f32
    }

    fn fetch_groups(&self, pieces: &dyn Pieces, block: &mut Block) -> Result<(), ReadError> {
        let inputs = self.inputs as usize;
        let Some(group_of) = &self.group_of else {
            let size = self.inputs.div_ceil(self.groups);
            block.groups.extend((0..self.inputs).map(|input| (input / size) as u32));
            return Ok(());
        };
        let bytes = super::room(&mut block.bytes, inputs * 4);
        pieces.bytes(group_of, 0, bytes)?;
        for (input, word) in bytes.as_chunks::<4>().0.iter().enumerate() {
            let group = u32::from_le_bytes(*word);
            if u64::from(group) >= self.groups {
                block.groups.clear();
                let (group, groups) = (group.cast_signed(), self.groups);
                let reason = format!("input {input} is in group {group}, there are {groups}");
                return Err(pieces.contradiction(group_of, reason));
            }
            block.groups.push(group);
        }
        Ok(())
    }
}
