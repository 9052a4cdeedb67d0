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
    Gptq(Zeros),
    /// Along the outputs, in AWQ's order.
    Awq,
}

/// How GPTQ's zero points are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zeros {
    /// As they are: the second version of the format.
    Plain,
    /// Less one, taken from every place of a word at once.
    LessOne,
    /// Less one, taken from each before it was packed: three bits, which cross words.
    LessOneEach,
    /// Three bits as GPTQModel brings its second version into the first: less a word that is not one in every place, but comes back
    /// when the same word is added.
    LessOddWords,
}

/// What GPTQModel takes from the words of zero points of three bits, by their place modulo three.
const ODD_WORDS: [u32; 3] = [0x2492_4924, 0x9249_2492, 0x4924_9249];

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

/// Code `index` of a stream of three bits each.
fn three_bits(word_at: impl Fn(usize) -> u32, index: usize) -> u32 {
    let (word, shift) = (index * 3 / 32, (index * 3 % 32) as u32);
    let low = word_at(word) >> shift;
    let code = if shift > 29 { low | word_at(word + 1) << (32 - shift) } else { low };
    code & 7
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
            Order::Gptq(_) => 1,
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
            Order::Gptq(_) if self.bits == 3 => {
                for (input, out) in (col..).zip(out) {
                    *out = value(three_bits(|word| words.get(word).copied().unwrap_or(0), input), input);
                }
            }
            Order::Gptq(_) => {
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
        let wide = u64::from(self.bits);
        let across = self.zeros.shape[1];
        let groups = self.groups as usize;
        block.grid.clear();
        block.grid.resize(len as usize * groups, (0.0, 0.0));
        // With three bits the words of a place come in threes, which the odd ones are counted in.
        let (first_word, end_word) = match wide {
            3 => (block.first / 32 * 3, ((block.first + len) * 3).div_ceil(32)),
            _ => (block.first * wide / 32, ((block.first + len) * wide).div_ceil(32)),
        };
        for group in 0..self.groups {
            let scales = super::room_for_values(&mut block.values, len as usize);
            pieces.values(&self.scales, group * self.outputs + block.first, scales)?;
            let bytes = super::room(&mut block.bytes, ((end_word - first_word) * 4) as usize);
            pieces.bytes(&self.zeros, (group * across + first_word) * 4, bytes)?;
            for (i, scale) in scales.iter().enumerate() {
                let output = block.first + i as u64;
                let words = bytes.as_chunks::<4>().0;
                let word_at = |at: usize| words.get(at).map_or(0, |word| u32::from_le_bytes(*word));
                let zero = if self.bits == 3 {
                    self.zero_of_three(word_at, (output - first_word / 3 * 32) as usize)
                } else {
                    let per_word = u64::from(32 / self.bits);
                    let at = (output / per_word - first_word) as usize;
                    self.zero(word_at(at), (output % per_word) as u32)
                };
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
            Order::Gptq(Zeros::LessOne) => word.wrapping_add(u32::MAX / mask) >> (place * self.bits) & mask,
            Order::Gptq(_) => word >> (place * self.bits) & mask,
            Order::Awq => word >> (4 * AWQ_PLACE[place as usize]) & mask,
        };
        code as f32
    }

    /// Zero point `output` of words of three bits.
    fn zero_of_three(&self, word_at: impl Fn(usize) -> u32, output: usize) -> f32 {
        let code = match self.order {
            Order::Gptq(Zeros::LessOddWords) => {
                three_bits(|word| word_at(word).wrapping_add(ODD_WORDS[word % 3]), output)
            }
            Order::Gptq(Zeros::Plain) => three_bits(word_at, output),
            _ => (three_bits(word_at, output) + 1) & 7,
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
