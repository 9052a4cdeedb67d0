//! Stored tensors as numbers: bytes are fetched and decoded piece by piece.

use crate::file::plain;
use crate::stored::StoredFile;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stemmata_formats::packed::Pieces;
use stemmata_formats::{ReadAt, decode};
use stemmata_model::{ReadError, Tensor, printable};

thread_local! {
    /// Buffers for bytes on their way to being numbers. Two are out at once when two models are read side by side.
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes fetched at once, at most.
pub(crate) const PIECE: u64 = 1 << 18;

/// Buffers begin at a multiple of this.
const CACHE_LINE: usize = 64;

/// The open files of a checkpoint.
pub(crate) struct Store {
    pub(crate) files: Vec<StoredFile>,
    /// Printable.
    pub(crate) names: Vec<String>,
    pub(crate) read: AtomicU64,
}

impl Store {
    /// Fetches `len` bytes of a tensor from its byte `offset` on and hands them to `use_bytes`.
    pub(crate) fn with_bytes<T>(
        &self,
        tensor: &Tensor,
        offset: u64,
        len: u64,
        use_bytes: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, ReadError> {
        let storage = &tensor.storage;
        let file = &self.files[storage.file as usize];
        let start = storage.offset + offset;
        self.read.fetch_add(len, Ordering::Relaxed);
        // Places behind the end are not mapped.
        if let Some(map) = file.mapped().filter(|map| start < map.len()) {
            let bytes = usize::try_from(start).ok().and_then(|s| map.get(s..s.checked_add(len as usize)?));
            return bytes.map(use_bytes).ok_or_else(|| {
                self.io(tensor, start, len, std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
            });
        }
        let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        if buffer.len() < len as usize + CACHE_LINE {
            buffer.resize(len as usize + CACHE_LINE, 0);
        }
        // A vector register that crosses cache lines costs two loads.
        let aligned = buffer.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE);
        let bytes = &mut buffer[aligned..aligned + len as usize];
        let outcome = match file.read_exact_at(start, bytes) {
            Ok(()) => Ok(use_bytes(bytes)),
            Err(error) => Err(self.io(tensor, start, len, error)),
        };
        BUFFERS.with_borrow_mut(|buffers| buffers.push(buffer));
        outcome
    }

    /// Announces byte ranges of one file.
    pub(crate) fn announce(&self, file: usize, ranges: &[(u64, u64)]) -> Result<(), ReadError> {
        self.files[file].announce(ranges).map_err(|error| match error.kind() {
            std::io::ErrorKind::Interrupted => ReadError::Interrupted,
            _ => ReadError::Fetch {
                file: self.names[file].clone(),
                reason: error.to_string(),
                source: Some(Arc::new(error)),
            },
        })
    }

    fn io(&self, tensor: &Tensor, start: u64, len: u64, error: std::io::Error) -> ReadError {
        if error.kind() == std::io::ErrorKind::Interrupted {
            return ReadError::Interrupted;
        }
        ReadError::Io {
            file: self.names[tensor.storage.file as usize].clone(),
            tensor: printable(&tensor.name),
            start,
            end: start.saturating_add(len),
            reason: plain(&error),
            source: Some(Arc::new(error)),
        }
    }

    fn undecodable(&self, tensor: &Tensor) -> ReadError {
        ReadError::Undecodable {
            file: self.names[tensor.storage.file as usize].clone(),
            tensor: printable(&tensor.name),
            encoding: tensor.encoding.to_string(),
        }
    }

    /// Contiguous elements `start ..`, which need not fall on granule boundaries.
    fn read_contiguous(&self, tensor: &Tensor, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let (per, bytes) = tensor.encoding.granule().ok_or_else(|| self.undecodable(tensor))?;
        let (per, bytes) = (u64::from(per), u64::from(bytes));
        let most = (PIECE / bytes).max(1) * per;
        let mut at = start;
        let mut out = out;
        while !out.is_empty() {
            let lead = at % per;
            let wanted = (out.len() as u64).min(most - lead) as usize;
            let granules = (lead + wanted as u64).div_ceil(per);
            let (now, rest) = out.split_at_mut(wanted);
            let decoded = self.with_bytes(tensor, at / per * bytes, granules * bytes, |raw| {
                if lead == 0 && granules * per == wanted as u64 {
                    return decode(tensor.encoding, raw, now);
                }
                let mut whole = vec![0.0; (granules * per) as usize];
                let good = decode(tensor.encoding, raw, &mut whole);
                now.copy_from_slice(&whole[lead as usize..lead as usize + wanted]);
                good
            })?;
            if !decoded {
                return Err(self.undecodable(tensor));
            }
            at += wanted as u64;
            out = rest;
        }
        Ok(())
    }

    /// Elements of a strided view, in runs along the last axis.
    fn read_strided(
        &self,
        tensor: &Tensor,
        strides: &[u64],
        start: u64,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let Some((&last, outer)) = tensor.shape.split_last() else {
            return self.read_contiguous(tensor, 0, out);
        };
        let step = strides[outer.len()];
        let (mut at, mut out) = (start, out);
        while !out.is_empty() {
            let within = at % last;
            let mut index = at / last;
            let mut base = 0;
            for (extent, stride) in outer.iter().zip(strides).rev() {
                base += index % extent * stride;
                index /= extent;
            }
            let run = ((last - within) as usize).min(out.len());
            let (now, rest) = out.split_at_mut(run);
            let first = base + within * step;
            match step {
                1 => self.read_contiguous(tensor, first, now)?,
                0 => {
                    self.read_contiguous(tensor, first, &mut now[..1])?;
                    let value = now[0];
                    now.fill(value);
                }
                _ => {
                    let per_piece = (16_384 / step).max(1) as usize;
                    for (piece, now) in now.chunks_mut(per_piece).enumerate() {
                        let mut span = vec![0.0; ((now.len() as u64 - 1) * step + 1) as usize];
                        self.read_contiguous(tensor, first + (piece * per_piece) as u64 * step, &mut span)?;
                        for (now, value) in now.iter_mut().zip(span.iter().step_by(step as usize)) {
                            *now = *value;
                        }
                    }
                }
            }
            at += run as u64;
            out = rest;
        }
        Ok(())
    }
}

impl Pieces for Store {
    fn values(&self, tensor: &Tensor, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let end = start.saturating_add(out.len() as u64);
        if end > tensor.elements() {
            return Err(ReadError::OutOfRange { tensor: printable(&tensor.name), start, end });
        }
        if !tensor.encoding.is_decodable() {
            return Err(self.undecodable(tensor));
        }
        match &tensor.storage.strides {
            None => self.read_contiguous(tensor, start, out),
            Some(strides) => self.read_strided(tensor, strides, start, out),
        }
    }

    fn bytes(&self, tensor: &Tensor, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let end = offset.saturating_add(out.len() as u64);
        if end > tensor.storage.len {
            return Err(ReadError::OutOfRange { tensor: printable(&tensor.name), start: offset, end });
        }
        self.with_bytes(tensor, offset, out.len() as u64, |bytes| out.copy_from_slice(bytes))
    }

    fn contradiction(&self, tensor: &Tensor, reason: String) -> ReadError {
        ReadError::Contradiction {
            file: self.names[tensor.storage.file as usize].clone(),
            tensor: printable(&tensor.name),
            reason,
        }
    }
}
