//! The port through which measurements ask for numbers.

use crate::{Tensor, printable};
use std::fmt;
use std::sync::Arc;

/// A read that failed, with its subject.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read `{file}`: tensor `{tensor}`, bytes {start}..{end}: {reason}")]
    Io {
        /// File, relative to the checkpoint.
        file: String,
        /// Tensor, printable.
        tensor: String,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// The operating system's words.
        reason: String,
        /// The error itself.
        #[source]
        source: Option<Arc<std::io::Error>>,
    },
    /// Parts of the file could not be fetched.
    #[error("cannot read `{file}`: {reason}")]
    Fetch {
        /// File, relative to the checkpoint.
        file: String,
        /// Why, in the words of what fetches.
        reason: String,
        /// The error itself.
        #[source]
        source: Option<Arc<std::io::Error>>,
    },
    /// The numbers are stored in a way this build does not decode.
    #[error("cannot decode tensor `{tensor}` in `{file}`: {encoding} is not readable yet")]
    Undecodable {
        /// File, relative to the checkpoint.
        file: String,
        /// Tensor, printable.
        tensor: String,
        /// The encoding's name.
        encoding: String,
    },
    /// The stored numbers contradict each other, for instance a group index without a group.
    #[error("cannot decode tensor `{tensor}` in `{file}`: {reason}")]
    Contradiction {
        /// File, relative to the checkpoint.
        file: String,
        /// Tensor, printable.
        tensor: String,
        /// What contradicts what.
        reason: String,
    },
    /// Elements outside the tensor were asked for: a mistake of ours, not of the file.
    #[error("elements {start}..{end} lie outside tensor `{tensor}`")]
    OutOfRange {
        /// Tensor, printable.
        tensor: String,
        /// First element.
        start: u64,
        /// One past the last element.
        end: u64,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Elements that will be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index into the inventory.
    pub tensor: usize,
    /// First element.
    pub start: u64,
    /// Elements.
    pub len: u64,
}

/// "Give me these elements of that tensor." Implementations decode on the fly and never hold a whole tensor.
pub trait Weights: Sync {
    /// The inventory; indices into it name tensors below.
    fn tensors(&self) -> &[Tensor];

    /// Decodes elements `start .. start + out.len()` (row-major order of the tensor's shape) into `out`.
    fn read(&self, tensor: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError>;

    /// Hands the stored bytes of elements `start .. start + len` to `take` where they lie contiguous and plain, and returns
    /// true; otherwise returns false and does nothing. Lets the hot loop decode in registers what needs no more than a shift.
    fn with_stored(
        &self,
        tensor: usize,
        start: u64,
        len: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, ReadError> {
        let _ = (tensor, start, len, take);
        Ok(false)
    }

    /// Bytes fetched from storage so far.
    fn bytes_read(&self) -> u64;

    /// Bytes that reading `len` neighbouring elements takes from storage; `None` where elements do not lie together, so that a few of them
    /// cost as much as all.
    fn cost(&self, tensor: usize, len: u64) -> Option<u64> {
        let encoding = self.tensors().get(tensor)?.encoding;
        Some((len as f64 * encoding.bits_per_element() / 8.0).ceil() as u64)
    }

    /// Whether it pays to announce what will be read.
    fn wants_announcement(&self) -> bool {
        false
    }

    /// Announces what will be read next, in place of what was announced before the last time. Numbers are the same without.
    fn announce(&self, spans: &[Span]) -> Result<(), ReadError> {
        let _ = spans;
        Ok(())
    }
}

/// Weights that are already numbers: what a caller computed, or a test made up.
#[derive(Clone, Debug, Default)]
pub struct InMemory {
    /// The inventory; storage ranges mean nothing.
    pub tensors: Vec<Tensor>,
    /// Values of each tensor, row-major.
    pub values: Vec<Vec<f32>>,
}

impl Weights for InMemory {
    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn read(&self, tensor: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let end = start.saturating_add(out.len() as u64);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        match range.and_then(|(start, end)| self.values.get(tensor)?.get(start..end)) {
            Some(values) => out.copy_from_slice(values),
            None => {
                let name = self.tensors.get(tensor).map_or_else(String::new, |t| printable(&t.name));
                return Err(ReadError::OutOfRange { tensor: name, start, end });
            }
        }
        Ok(())
    }

    fn bytes_read(&self) -> u64 {
        0
    }
}

/// A 128-bit content digest. Identifies content against accident, not against an adversary; file-level SHA-256 does that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xxh3:{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_memory_is_an_error() {
        let weights = InMemory { tensors: Vec::new(), values: vec![vec![1.0, 2.0, 3.0]] };
        let mut out = [0.0; 2];
        weights.read(0, 1, &mut out).unwrap();
        assert_eq!(out, [2.0, 3.0]);
        for (tensor, start) in [(0, 2), (0, u64::MAX), (1, 0)] {
            assert!(matches!(weights.read(tensor, start, &mut out), Err(ReadError::OutOfRange { .. })));
        }
    }
}
