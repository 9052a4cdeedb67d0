//! Protocol buffers as they lie in a file: fields, forward only, nothing held.

use crate::FormatError;
use crate::source::{Source, Stream};
use std::ops::Range;

/// The value of one field.
pub(super) enum Field {
    Number(u64),
    /// Eight bytes.
    Wide,
    /// Four bytes.
    Narrow,
    /// A text, bytes, a message or packed numbers: where they stand. They still have to be read or skipped.
    Bytes(Range<u64>),
}

/// Reads fields one after the other.
pub(super) struct Wire<'a, 's> {
    pub(super) source: &'s Source<'a>,
    pub(super) stream: Stream<'a, 's>,
}

impl<'a, 's> Wire<'a, 's> {
    pub(super) fn new(source: &'s Source<'a>) -> Self {
        Wire { source, stream: Stream::new(source, 0) }
    }

    /// The next field of a message that ends at byte `end`: its number and value. Nothing at the end.
    pub(super) fn field(&mut self, end: u64, subject: &str) -> Result<Option<(u64, Field)>, FormatError> {
        let at = self.stream.position();
        if at >= end {
            return Ok(None);
        }
        let tag = self.varint(end, subject)?;
        let fail = |reason: &str| Err(self.source.malformed(subject, at..end, reason));
        let value = match tag & 7 {
            0 => Field::Number(self.varint(end, subject)?),
            1 => {
                self.within(8, end, subject)?;
                self.stream.skip(8, subject)?;
                Field::Wide
            }
            2 => {
                let len = self.varint(end, subject)?;
                let start = self.stream.position();
                self.within(len, end, subject)?;
                Field::Bytes(start..start + len)
            }
            5 => {
                self.within(4, end, subject)?;
                self.stream.skip(4, subject)?;
                Field::Narrow
            }
            3 | 4 => return fail("a group, which the format does not have"),
            _ => return fail("a field of a kind that there is not"),
        };
        if tag >> 3 == 0 {
            return fail("a field with the number 0");
        }
        Ok(Some((tag >> 3, value)))
    }

    /// Whether so many bytes fit in what is left of a message.
    fn within(&self, len: u64, end: u64, subject: &str) -> Result<(), FormatError> {
        let start = self.stream.position();
        match start.checked_add(len) {
            Some(last) if last <= end => Ok(()),
            last => Err(FormatError::Truncated {
                file: self.source.name.clone(),
                subject: subject.to_owned(),
                start,
                end: last.unwrap_or(u64::MAX),
                place: if end == self.source.len { "the file" } else { "the message around it" },
                available: end,
            }),
        }
    }

    /// A number in groups of seven bits, lowest first, ten groups at most.
    pub(super) fn varint(&mut self, end: u64, subject: &str) -> Result<u64, FormatError> {
        let start = self.stream.position();
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            self.within(1, end, subject)?;
            let byte = self.stream.bytes(1, subject)?[0];
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        let range = start..self.stream.position();
        Err(self.source.malformed(subject, range, "a number of more than 64 bits"))
    }

    /// Passes over what stands up to `end`.
    pub(super) fn skip_to(&mut self, end: u64, subject: &str) -> Result<(), FormatError> {
        self.stream.skip(end.saturating_sub(self.stream.position()), subject)
    }

    /// A text of at most `most` bytes; longer ones are an error.
    pub(super) fn text(
        &mut self,
        range: &Range<u64>,
        most: u64,
        subject: &str,
    ) -> Result<String, FormatError> {
        let len = range.end - range.start;
        if len > most {
            return Err(self.source.limit(format!("the length in bytes of {subject}"), len, most));
        }
        Ok(String::from_utf8_lossy(self.stream.bytes(len, subject)?).into_owned())
    }
}
