//! Weights that lie in several stored tensors: codes, scales, offsets, tables, and low-rank changes.
//!
//! Answers: *which stored tensors are one matrix, and what are its numbers?* [`inventory`] replaces the pieces of a
//! quantised matrix by the matrix that they stand for; [`Entry::read`] decodes any run of its elements, of which a
//! bounded block is held at a time. Numbers are asked for through [`Pieces`]. Must not know: files, architectures.

mod affine;
mod columns;
mod find;
mod float_blocks;
mod four_bit;
mod low_rank;
mod scaled;
mod state;
mod words;

pub use find::{Inventory, inventory};
pub use low_rank::{FactorError, LowRank};

use affine::Affine;
use columns::Columns;
use float_blocks::FloatBlocks;
use four_bit::FourBit;
use scaled::Scaled;
use stemmata_model::{ReadError, Tensor};
use words::Words;

/// Elements decoded between two requests for bytes, at most.
const PIECE: usize = 1 << 16;

/// How packed weights get at what is stored.
pub trait Pieces {
    /// Decodes elements `start .. start + out.len()` of a stored tensor.
    fn values(&self, tensor: &Tensor, start: u64, out: &mut [f32]) -> Result<(), ReadError>;

    /// Copies the stored bytes `offset .. offset + out.len()` of a contiguous tensor.
    fn bytes(&self, tensor: &Tensor, offset: u64, out: &mut [u8]) -> Result<(), ReadError>;

    /// The error of a tensor whose numbers contradict each other.
    fn contradiction(&self, tensor: &Tensor, reason: String) -> ReadError;
}

/// A tensor as others see it, and where its numbers come from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name, shape and encoding of the whole.
    pub tensor: Tensor,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    Stored,
    Columns(Columns),
    Affine(Affine),
    FourBit(Box<FourBit>),
    Scaled(Scaled),
    FloatBlocks(FloatBlocks),
    Words(Words),
    Sum(Box<Entry>, LowRank),
}

/// What reads of one entry keep between calls: a few megabytes. Must not be shared between entries.
#[derive(Debug, Default)]
pub struct Scratch {
    columns: columns::Block,
    factors: low_rank::Factors,
    bytes: Vec<u8>,
    side: Vec<f32>,
}

impl Scratch {
    /// Forgets the entry that was read and keeps the memory.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.factors.clear();
    }
}

impl Entry {
    /// A tensor that is as it is stored.
    pub fn stored(tensor: Tensor) -> Entry {
        Entry { tensor, origin: Origin::Stored }
    }

    /// Whether the numbers are one stored tensor's.
    pub fn is_stored(&self) -> bool {
        matches!(self.origin, Origin::Stored)
    }

    /// The entry with a low-rank change added on the fly.
    pub fn plus(self, change: LowRank) -> Entry {
        let tensor = Tensor { encoding: change.encoding(&self.tensor), ..self.tensor.clone() };
        Entry { tensor, origin: Origin::Sum(Box::new(self), change) }
    }

    /// Decodes elements `start .. start + out.len()` in row-major order; the caller has compared them with the shape.
    pub fn read(
        &self,
        pieces: &dyn Pieces,
        scratch: &mut Scratch,
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        match &self.origin {
            Origin::Stored => pieces.values(&self.tensor, start, out),
            Origin::Columns(form) => form.read(pieces, &mut scratch.columns, start, out),
            Origin::Sum(base, change) => {
                base.read(pieces, scratch, start, out)?;
                change.add(pieces, &mut scratch.factors, start, out)?;
                change.rescale(base, pieces, scratch, start, out)
            }
            Origin::Affine(form) => form.read(pieces, scratch, start, out),
            Origin::FourBit(form) => form.read(pieces, scratch, start, out),
            Origin::Scaled(form) => form.read(pieces, scratch, start, out),
            Origin::FloatBlocks(form) => form.read(pieces, scratch, start, out),
            Origin::Words(form) => form.read(pieces, scratch, start, out),
        }
    }
}

/// `scratch` with room for `len` bytes.
fn room(scratch: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    &mut scratch[..len]
}

/// The same for numbers.
fn room_for_values(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    &mut scratch[..len]
}

/// Parts of at most [`PIECE`] elements: (first element, part).
fn parts(start: u64, out: &mut [f32]) -> impl Iterator<Item = (u64, &mut [f32])> {
    (start..).step_by(PIECE).zip(out.chunks_mut(PIECE))
}

/// Runs of elements that lie in one row each: (row, first column, run).
fn rows_of(start: u64, cols: u64, out: &mut [f32]) -> impl Iterator<Item = (u64, u64, &mut [f32])> {
    let (mut at, mut rest) = (start, out);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (row, col) = (at / cols, at % cols);
        let run = ((cols - col).min(rest.len() as u64)) as usize;
        let (now, later) = std::mem::take(&mut rest).split_at_mut(run);
        rest = later;
        at += run as u64;
        Some((row, col, now))
    })
}
