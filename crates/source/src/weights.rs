//! Tensors of an open checkpoint as numbers, packed ones included.

use crate::store::{PIECE, Store};
use crate::stored::StoredFile;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use stemmata_formats::packed::{Entry, Pieces, Scratch};
use stemmata_model::{Encoding, ReadError, Span, Tensor, Weights, printable};

/// Packed tensors that a thread keeps a decoded block of: two models, of which each may be a base with an adapter.
const KEPT: usize = 4;

thread_local! {
    /// Blocks of packed tensors, by (checkpoint, tensor), the last used at the end.
    static BLOCKS: RefCell<Vec<((u64, usize), Scratch)>> = const { RefCell::new(Vec::new()) };
}

/// Tells open checkpoints apart within this process.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// An open checkpoint's tensors.
pub struct CheckpointWeights {
    tensors: Vec<Tensor>,
    entries: Vec<Entry>,
    pub(crate) store: Store,
    id: u64,
}

impl CheckpointWeights {
    pub(crate) fn new(entries: Vec<Entry>, store: Store) -> CheckpointWeights {
        let tensors = entries.iter().map(|entry| entry.tensor.clone()).collect();
        CheckpointWeights { tensors, entries, store, id: OPENED.fetch_add(1, Ordering::Relaxed) }
    }

    /// Where each tensor's numbers come from, and the files.
    pub(crate) fn into_parts(self) -> (Vec<Entry>, Store) {
        (self.entries, self.store)
    }

    /// Names of files whose size or modification time changed since they were opened.
    pub fn changed_files(&self) -> Vec<String> {
        let files = self.store.files.iter().zip(&self.store.names);
        files.filter(|(f, _)| f.has_changed()).map(|(_, n)| n.clone()).collect()
    }

    /// Whether what was fetched could not be kept for the next run.
    pub fn cache_has_failed(&self) -> bool {
        self.store.files.iter().any(crate::stored::StoredFile::cache_has_failed)
    }

    /// Reads a packed tensor with the block that this thread kept of it.
    fn read_packed(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let key = (self.id, index);
        let kept = BLOCKS.with_borrow_mut(|blocks| {
            let place = blocks.iter().position(|(of, _)| *of == key);
            place.or((blocks.len() >= KEPT).then_some(0)).map(|place| blocks.remove(place))
        });
        let mut scratch = match kept {
            Some((of, scratch)) if of == key => scratch,
            Some((_, mut scratch)) => {
                scratch.clear();
                scratch
            }
            None => Scratch::default(),
        };
        let outcome = self.entries[index].read(&self.store, &mut scratch, start, out);
        BLOCKS.with_borrow_mut(|blocks| blocks.push((key, scratch)));
        outcome
    }
}

impl Weights for CheckpointWeights {
    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn read(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let tensor = &self.tensors[index];
        if self.entries[index].is_stored() {
            return self.store.values(tensor, start, out);
        }
        let end = start.saturating_add(out.len() as u64);
        if end > tensor.elements() {
            return Err(ReadError::OutOfRange { tensor: printable(&tensor.name), start, end });
        }
        self.read_packed(index, start, out)
    }

    fn with_stored(
        &self,
        index: usize,
        start: u64,
        len: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, ReadError> {
        let tensor = &self.tensors[index];
        let Encoding::Plain(dtype) = tensor.encoding else { return Ok(false) };
        let width = u64::from(dtype.bits() / 8);
        let end = start.saturating_add(len as u64);
        if tensor.storage.strides.is_some()
            || width == 0
            || end > tensor.elements()
            || len as u64 * width > PIECE
        {
            return Ok(false);
        }
        self.store.with_bytes(tensor, start * width, len as u64 * width, |bytes| take(bytes))?;
        Ok(true)
    }

    fn bytes_read(&self) -> u64 {
        self.store.read.load(Ordering::Relaxed)
    }

    fn cost(&self, index: usize, len: u64) -> Option<u64> {
        let tensor = self.tensors.get(index)?;
        let (per, bytes) = tensor.encoding.granule()?;
        let together = self.entries[index].is_stored() && tensor.storage.strides.is_none();
        together.then(|| len.div_ceil(u64::from(per)) * u64::from(bytes))
    }

    fn wants_announcement(&self) -> bool {
        self.store.files.iter().any(StoredFile::is_remote)
    }

    fn announce(&self, spans: &[Span]) -> Result<(), ReadError> {
        let mut wanted: Vec<Vec<(u64, u64)>> = vec![Vec::new(); self.store.files.len()];
        for span in spans {
            let tensor = &self.tensors[span.tensor];
            let Some((per, bytes)) = tensor.encoding.granule() else { continue };
            if !self.entries[span.tensor].is_stored() || tensor.storage.strides.is_some() {
                continue;
            }
            let (per, bytes) = (u64::from(per), u64::from(bytes));
            let place = |granule: u64| tensor.storage.offset + granule * bytes;
            let range = (place(span.start / per), place((span.start + span.len).div_ceil(per)));
            wanted[tensor.storage.file as usize].push(range);
        }
        for (file, ranges) in wanted.iter().enumerate() {
            self.store.announce(file, ranges)?;
        }
        Ok(())
    }
}
