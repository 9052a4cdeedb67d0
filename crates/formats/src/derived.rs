//! Bytes that no range of a file holds as they are: compressed, in the other byte order, in pieces, or written as text
//! of numbers.
//!
//! They get places behind the end of the file, so that a tensor's storage is a range all the same. Nothing is expanded
//! before it is read, and of a compressed range only a window is held.

use crate::ReadAt;
use crate::inflate::Inflater;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Compressed ranges of one file that are kept open at once.
const OPEN: usize = 4;
/// Bytes that are turned at once.
const TURNED: u64 = 1 << 16;

/// Ranges behind the end of one file, and what stands in them.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    parts: Vec<Part>,
    /// Where the next part begins.
    next: u64,
    inflaters: Arc<Mutex<Vec<(u64, Inflater)>>>,
}

#[derive(Clone, Debug)]
struct Part {
    start: u64,
    len: u64,
    kind: Kind,
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A deflated range of the file.
    Deflated(Range<u64>),
    /// A range of the file, in blocks of so many bytes with fields (place, bytes) in the other byte order.
    Turned { offset: u64, block: u64, fields: &'static [(usize, usize)] },
    /// Ranges of the file one after the other.
    Joined(Vec<Range<u64>>),
    /// The bytes themselves.
    Held(Arc<[u8]>),
    /// Within a part that stands at that place: the numbers of a deflated array in the other byte order.
    TurnedPart { of: u64, block: u64, fields: &'static [(usize, usize)] },
}

impl Derived {
    /// None yet, behind a file of so many bytes.
    pub(crate) fn behind(len: u64) -> Derived {
        Derived { next: len, ..Derived::default() }
    }

    /// Whether the file holds everything as it is.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The place of `len` bytes of that kind; nothing where it does not fit in 64 bits.
    pub(crate) fn add(&mut self, len: u64, kind: Kind) -> Option<u64> {
        let start = self.next;
        self.next = start.checked_add(len).filter(|next| *next < 1 << 63)?;
        self.parts.push(Part { start, len, kind });
        Some(start)
    }

    /// One past the last place.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// Fills `buf` from the place `offset` on, which lies behind the end of `file`. A range that spans two parts, or none, is an error.
    pub fn read_exact_at(&self, file: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let outside = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let index = self.parts.partition_point(|part| part.start <= offset).checked_sub(1);
        // Empty parts share their place with the one behind them.
        let part = index.and_then(|index| self.parts.get(index)).ok_or_else(outside)?;
        let at = offset - part.start;
        if buf.is_empty() {
            return Ok(());
        }
        at.checked_add(buf.len() as u64).filter(|end| *end <= part.len).ok_or_else(outside)?;
        match &part.kind {
            Kind::Deflated(range) => self.inflate(file, part, range, at, buf),
            Kind::Turned { offset, block, fields } => turn(*block, fields, at, buf, |at, bytes| {
                file.read_exact_at(offset.saturating_add(at), bytes)
            }),
            Kind::TurnedPart { of, block, fields } => {
                turn(*block, fields, at, buf, |at, bytes| match self.deflated(of.saturating_add(at)) {
                    Some((part, range, at)) => self.inflate(file, part, range, at, bytes),
                    None => Err(outside()),
                })
            }
            Kind::Joined(ranges) => joined(ranges, at, buf, file),
            Kind::Held(bytes) => {
                let from = usize::try_from(at).map_err(|_| outside())?;
                buf.copy_from_slice(bytes.get(from..from + buf.len()).ok_or_else(outside)?);
                Ok(())
            }
        }
    }

    /// The compressed part at a place, and where in it that is.
    fn deflated(&self, place: u64) -> Option<(&Part, &Range<u64>, u64)> {
        let index = self.parts.partition_point(|part| part.start <= place).checked_sub(1)?;
        let part = self.parts.get(index)?;
        match &part.kind {
            Kind::Deflated(range) => Some((part, range, place - part.start)),
            _ => None,
        }
    }

    fn inflate(
        &self,
        file: &dyn ReadAt,
        part: &Part,
        range: &Range<u64>,
        at: u64,
        buf: &mut [u8],
    ) -> io::Result<()> {
        let kept = {
            // A panic elsewhere leaves nothing half-made here: an inflater is taken out while it is used.
            let mut open = self.inflaters.lock().unwrap_or_else(PoisonError::into_inner);
            let place = open.iter().position(|(start, _)| *start == part.start);
            place.map(|place| open.remove(place).1)
        };
        let mut inflater = kept.unwrap_or_else(|| Inflater::new(range.clone(), part.len));
        let outcome = inflater.read(file, at, buf);
        let mut open = self.inflaters.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push((part.start, inflater));
        outcome
    }
}

/// Fills `buf` from byte `at` on, with the fields of every block turned.
fn turn(
    block: u64,
    fields: &[(usize, usize)],
    at: u64,
    buf: &mut [u8],
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let block = block.max(1);
    let most = (TURNED / block).max(1) * block;
    let (mut at, mut rest) = (at, buf);
    let mut whole = Vec::new();
    while !rest.is_empty() {
        let first = at / block * block;
        let lead = (at - first) as usize;
        let wanted = (most - lead as u64).min(rest.len() as u64) as usize;
        let len = ((lead + wanted) as u64).next_multiple_of(block) as usize;
        whole.resize(len, 0);
        read(first, &mut whole)?;
        for bytes in whole.chunks_exact_mut(block as usize) {
            for (place, width) in fields {
                if let Some(field) = bytes.get_mut(*place..place + width) {
                    field.reverse();
                }
            }
        }
        let (now, later) = std::mem::take(&mut rest).split_at_mut(wanted);
        now.copy_from_slice(&whole[lead..lead + wanted]);
        rest = later;
        at += wanted as u64;
    }
    Ok(())
}

fn joined(ranges: &[Range<u64>], at: u64, buf: &mut [u8], file: &dyn ReadAt) -> io::Result<()> {
    let (mut skip, mut rest) = (at, buf);
    for range in ranges {
        let len = range.end - range.start;
        if skip >= len {
            skip -= len;
            continue;
        }
        let now = (len - skip).min(rest.len() as u64) as usize;
        let (here, later) = std::mem::take(&mut rest).split_at_mut(now);
        file.read_exact_at(range.start + skip, here)?;
        rest = later;
        skip = 0;
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_at_their_places() {
        let file: Vec<u8> = (0..40).collect();
        let mut derived = Derived::behind(40);
        let turned = derived.add(8, Kind::Turned { offset: 4, block: 4, fields: &[(0, 2)] }).unwrap();
        let joined = derived.add(5, Kind::Joined(vec![1..3, 30..33])).unwrap();
        let held = derived.add(2, Kind::Held(vec![7, 9].into())).unwrap();
        assert_eq!((turned, joined, held, derived.end()), (40, 48, 53, 55));
        let read = |at: u64, len: usize| {
            let mut out = vec![0; len];
            derived.read_exact_at(&file, at, &mut out).map(|()| out)
        };
        assert_eq!(read(40, 8).unwrap(), [5, 4, 6, 7, 9, 8, 10, 11]);
        assert_eq!(read(43, 3).unwrap(), [7, 9, 8]);
        assert_eq!(read(48, 5).unwrap(), [1, 2, 30, 31, 32]);
        assert_eq!(read(51, 1).unwrap(), [31]);
        assert_eq!(read(53, 2).unwrap(), [7, 9]);
        assert!(read(54, 2).is_err() && read(47, 2).is_err() && read(39, 1).is_err() && read(55, 1).is_err());
        assert!(derived.add(u64::MAX - 20, Kind::Held(Vec::new().into())).is_none());
    }
}
