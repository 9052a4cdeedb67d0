//! One file with its name: bounded reads whose errors carry their subject, and a buffered forward reader.

use crate::{FormatError, ReadAt};
use stemmata_model::printable;

/// A file together with its printable name.
#[derive(Clone)]
pub(crate) struct Source<'a> {
    file: &'a dyn ReadAt,
    /// Printable.
    pub(crate) name: String,
    /// Bytes, asked for once so that all checks see the same number.
    pub(crate) len: u64,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a dyn ReadAt, name: &str) -> Self {
        Source { file, name: printable(name), len: file.len() }
    }

    /// Bytes `start .. start + len`, after checking that they exist and before allocating for them.
    pub(crate) fn read(&self, start: u64, len: u64, subject: &str) -> Result<Vec<u8>, FormatError> {
        let end = self.end(start, len, subject)?;
        let Ok(size) = usize::try_from(len) else {
            return Err(self.limit(subject, len, usize::MAX as u64));
        };
        let mut bytes = vec![0; size];
        self.fill(start, end, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills an array from `start` on.
    pub(crate) fn array<const N: usize>(&self, start: u64, subject: &str) -> Result<[u8; N], FormatError> {
        let end = self.end(start, N as u64, subject)?;
        let mut bytes = [0; N];
        self.fill(start, end, &mut bytes)?;
        Ok(bytes)
    }

    /// The first `N` bytes; zeros where the file is shorter.
    pub(crate) fn head<const N: usize>(&self) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        let size = self.len.min(N as u64);
        self.fill(0, size, &mut bytes[..size as usize])?;
        Ok(bytes)
    }

    fn fill(&self, start: u64, end: u64, buf: &mut [u8]) -> Result<(), FormatError> {
        if buf.is_empty() {
            return Ok(());
        }
        self.file.read_exact_at(start, buf).map_err(|source| FormatError::Io {
            file: self.name.clone(),
            start,
            end,
            source,
        })
    }

    /// The end of a range that must lie within the file.
    pub(crate) fn end(&self, start: u64, len: u64, subject: &str) -> Result<u64, FormatError> {
        match start.checked_add(len) {
            Some(end) if end <= self.len => Ok(end),
            end => Err(FormatError::Truncated {
                file: self.name.clone(),
                subject: subject.to_owned(),
                start,
                end: end.unwrap_or(u64::MAX),
                place: "the file",
                available: self.len,
            }),
        }
    }

    pub(crate) fn malformed(
        &self,
        subject: impl Into<String>,
        bytes: std::ops::Range<u64>,
        reason: impl Into<String>,
    ) -> FormatError {
        FormatError::Malformed {
            file: self.name.clone(),
            subject: subject.into(),
            start: bytes.start,
            end: bytes.end,
            reason: reason.into(),
        }
    }

    pub(crate) fn limit(&self, subject: impl Into<String>, claimed: u64, limit: u64) -> FormatError {
        FormatError::Limit { file: self.name.clone(), subject: subject.into(), claimed, limit }
    }

    pub(crate) fn unsupported(&self, subject: impl Into<String>, reason: impl Into<String>) -> FormatError {
        FormatError::Unsupported { file: self.name.clone(), subject: subject.into(), reason: reason.into() }
    }
}

/// Reads forward through a file in chunks, so that long sections never lie in memory as a whole.
pub(crate) struct Stream<'a, 's> {
    source: &'s Source<'a>,
    buffer: Vec<u8>,
    /// Position in the file of `buffer[0]`.
    base: u64,
    /// Next byte within `buffer`.
    next: usize,
    /// Whether numbers have their most significant byte first.
    pub(crate) big_endian: bool,
}

/// Large enough to amortise a read, small enough not to matter.
const CHUNK: u64 = 256 << 10;

impl<'a, 's> Stream<'a, 's> {
    pub(crate) fn new(source: &'s Source<'a>, start: u64) -> Self {
        Stream { source, buffer: Vec::new(), base: start, next: 0, big_endian: false }
    }

    /// Position of the next byte in the file.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.next as u64
    }

    /// Bytes from here to the end of the file.
    pub(crate) fn remaining(&self) -> u64 {
        self.source.len.saturating_sub(self.position())
    }

    /// The next `len` bytes; the caller has capped `len`.
    pub(crate) fn bytes(&mut self, len: u64, subject: &str) -> Result<&[u8], FormatError> {
        let start = self.position();
        let end = self.source.end(start, len, subject)?;
        let buffered = (self.buffer.len() - self.next) as u64;
        if buffered < len {
            let want = len.max(CHUNK).min(self.source.len - start);
            self.buffer = self.source.read(start, want, subject)?;
            self.base = start;
            self.next = 0;
        }
        let from = self.next;
        self.next += (end - start) as usize;
        Ok(&self.buffer[from..self.next])
    }

    /// Moves on by `len` bytes, which must exist.
    pub(crate) fn skip(&mut self, len: u64, subject: &str) -> Result<(), FormatError> {
        let end = self.source.end(self.position(), len, subject)?;
        if end <= self.base + self.buffer.len() as u64 {
            self.next = (end - self.base) as usize;
        } else {
            self.buffer.clear();
            self.base = end;
            self.next = 0;
        }
        Ok(())
    }

    /// A number of `N` bytes, lowest first.
    fn fixed<const N: usize>(&mut self, subject: &str) -> Result<[u8; N], FormatError> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N as u64, subject)?);
        if self.big_endian {
            out.reverse();
        }
        Ok(out)
    }

    pub(crate) fn u32(&mut self, subject: &str) -> Result<u32, FormatError> {
        self.fixed(subject).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, subject: &str) -> Result<u64, FormatError> {
        self.fixed(subject).map(u64::from_le_bytes)
    }
}
