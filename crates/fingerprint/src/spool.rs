//! A sketch that is written as it is made: what grows with the layers lies in a spool, not in memory.

use crate::Sketch;
use crate::build::Piece;
use crate::encoding::{back, front, piece};
use std::io::{self, Read, Seek, SeekFrom, Write};
use stemmata_model::ReadError;
use xxhash_rust::xxh3::Xxh3;

/// Bytes copied at once.
const COPIED: usize = 1 << 16;

/// Why a sketch could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Weights cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The spool cannot be written or read.
    #[error("the spool of the sketch failed: {0}")]
    Spool(io::Error),
}

/// A sketch whose groups and units lie, encoded, in a spool.
pub struct Spooled<S> {
    spool: S,
    /// Bytes of each piece in the spool, groups and units as they came.
    pieces: Vec<(Kind, u64)>,
    /// Everything else.
    sketch: Sketch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Group,
    Unit,
}

/// The pieces so far.
pub(crate) struct Spool<S> {
    spool: S,
    pieces: Vec<(Kind, u64)>,
}

impl<S: Read + Write + Seek> Spool<S> {
    pub(crate) fn new(spool: S) -> Spool<S> {
        Spool { spool, pieces: Vec::new() }
    }

    pub(crate) fn push(&mut self, done: &Piece) -> io::Result<()> {
        let bytes = piece(done);
        self.spool.write_all(&bytes)?;
        let kind = if matches!(done, Piece::Group(_)) { Kind::Group } else { Kind::Unit };
        self.pieces.push((kind, bytes.len() as u64));
        Ok(())
    }

    /// With everything else.
    pub(crate) fn finish(self, sketch: Sketch) -> Spooled<S> {
        Spooled { spool: self.spool, pieces: self.pieces, sketch }
    }
}

impl<S: Read + Write + Seek> Spooled<S> {
    /// Everything but groups and units, to be completed before it is written.
    pub fn sketch_mut(&mut self) -> &mut Sketch {
        &mut self.sketch
    }

    /// Writes the sketch, byte by byte what [`crate::encode`] makes of all of it.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut out = Checked { out, hash: Xxh3::new() };
        out.write(&front(&self.sketch))?;
        for kind in [Kind::Group, Kind::Unit] {
            let count = self.pieces.iter().filter(|piece| piece.0 == kind).count();
            out.write(&(count as u32).to_le_bytes())?;
            let mut at = 0;
            for &(of, len) in &self.pieces {
                if of == kind {
                    self.spool.seek(SeekFrom::Start(at))?;
                    copy(&mut self.spool, len, &mut out)?;
                }
                at += len;
            }
        }
        out.write(&back(&self.sketch))?;
        let checksum = out.hash.digest().to_le_bytes();
        out.write(&checksum)?;
        out.out.flush()
    }
}

fn copy(spool: &mut impl Read, len: u64, out: &mut Checked<'_>) -> io::Result<()> {
    let mut buffer = vec![0; COPIED];
    let mut left = len;
    while left > 0 {
        let now = left.min(COPIED as u64) as usize;
        spool.read_exact(&mut buffer[..now])?;
        out.write(&buffer[..now])?;
        left -= now as u64;
    }
    Ok(())
}

/// Hashes what it writes.
struct Checked<'a> {
    out: &'a mut dyn Write,
    hash: Xxh3,
}

impl Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use crate::{SketchParams, encode, sketch_model, spool_model};
    use std::io::Cursor;
    use stemmata_architecture::{Anatomy, Component, ComponentInfo, Norm, Part, Role, RowOrder, Term, View};
    use stemmata_model::{DType, Encoding, InMemory, Storage, Tensor};
    use stemmata_stats::SplitMix64;

    const D: u64 = 24;
    const H: u64 = 40;

    /// An embedding and two layers of feed-forward blocks.
    fn model() -> (InMemory, Anatomy) {
        let mut shapes = vec![(None, Role::TokenEmbedding, 60, D)];
        for layer in [Some(0), Some(1)] {
            shapes.extend([(layer, Role::Gate, H, D), (layer, Role::Up, H, D), (layer, Role::Down, D, H)]);
        }
        let mut random = SplitMix64::new(3);
        let (mut tensors, mut values, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for (tensor, (layer, role, rows, cols)) in shapes.into_iter().enumerate() {
            tensors.push(Tensor {
                name: format!("t{tensor}"),
                shape: vec![rows, cols],
                encoding: Encoding::Plain(DType::F32),
                storage: Storage { file: 0, offset: 0, len: 0, strides: None },
            });
            values.push((0..rows * cols).map(|_| random.normal() as f32).collect());
            let view = View {
                tensor,
                rows,
                cols,
                first: 0,
                row_stride: cols,
                col_stride: 1,
                order: RowOrder::Stored,
            };
            let component = Component::LanguageModel;
            parts.push(Part {
                component,
                layer,
                expert: None,
                role,
                term: Term::Weight,
                view,
                guessed: false,
            });
        }
        let info = ComponentInfo {
            component: Component::LanguageModel,
            norm: Norm::Rms,
            gated: true,
            layers: 2,
            residual: D,
            query_heads: 2,
            kv_heads: 2,
            head_dim: 12,
        };
        let anatomy = Anatomy {
            family: "llama".into(),
            inferred: false,
            components: vec![info],
            parts,
            unmapped: vec![],
            ignored: vec![],
            notes: vec![],
        };
        (InMemory { tensors, values }, anatomy)
    }

    #[test]
    fn what_was_spooled_is_what_is_encoded_in_memory() {
        let (weights, anatomy) = model();
        let params = SketchParams { channels: 16, ..SketchParams::default() };
        let whole = sketch_model(&weights, &anatomy, params, &mut |_, _| true).unwrap();
        assert!(whole.groups.len() >= 4 && whole.units.len() == 2);
        let spool = Cursor::new(Vec::new());
        let mut spooled = spool_model(&weights, &anatomy, params, spool, &mut |_, _| true).unwrap();
        spooled.sketch_mut().bytes_read = whole.bytes_read;
        for _ in 0..2 {
            let mut written = Vec::new();
            spooled.write_to(&mut written).unwrap();
            assert_eq!(written, encode(&whole));
        }
    }
}
