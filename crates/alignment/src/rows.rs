//! Rows of embeddings and heads that two models have in common, bit by bit.

use stemmata_architecture::View;
use stemmata_fingerprint::RowReader;
use stemmata_model::{ReadError, Weights};

/// Elements read at once.
const CHUNK: u64 = 1 << 16;

/// How many rows of equal index are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EqualRows {
    /// Rows that both have, those that hold one number throughout in the candidate left out.
    pub compared: u64,
    /// Rows of which every value is equal.
    pub equal: u64,
}

impl EqualRows {
    /// Share of the compared rows; `None` without any.
    pub fn share(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.equal as f64 / self.compared as f64)
    }
}

/// Compares rows of equal index as f32, so a lossless copy in a wider format is equal. Rows of one number throughout (unused
/// tokens with a default) are equal too easily to mean anything. Nothing is compared where the widths differ.
/// O(elements) time, O(largest row) memory; `go_on` is asked once per chunk.
pub fn equal_rows(
    candidate: (&dyn Weights, &View),
    reference: (&dyn Weights, &View),
    go_on: &mut dyn FnMut() -> bool,
) -> Result<EqualRows, ReadError> {
    let (ours, theirs) = (candidate.1, reference.1);
    let mut out = EqualRows::default();
    if ours.cols != theirs.cols || ours.cols == 0 {
        return Ok(out);
    }
    let (rows, cols) = (ours.rows.min(theirs.rows), ours.cols as usize);
    let mut readers = [RowReader::default(), RowReader::default()];
    let mut buffers = [Vec::new(), Vec::new()];
    let mut first = 0;
    while first < rows {
        if !go_on() {
            return Err(ReadError::Interrupted);
        }
        let count = (CHUNK / ours.cols).max(1).min(rows - first);
        for (i, (weights, view)) in [candidate, reference].into_iter().enumerate() {
            buffers[i].resize(count as usize * cols, 0.0_f32);
            readers[i].read(weights, view, first, cols, &mut buffers[i])?;
        }
        let [c, r] = &buffers;
        for (c, r) in
            c.chunks_exact(cols).zip(r.chunks_exact(cols)).filter(|(c, _)| c.iter().any(|x| *x != c[0]))
        {
            out.compared += 1;
            out.equal += u64::from(c == r);
        }
        first += count;
    }
    Ok(out)
}
