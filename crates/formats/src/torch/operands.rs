//! Operands of pickle opcodes: bounded reads from the pickle's bytes.

use super::arena::Span;
use crate::FormatError;
use crate::source::Source;

/// Why a pickle could not be interpreted to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// Byte of the pickle.
    pub(super) offset: u64,
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The bytes end before the pickle does, or before `end`.
    Truncated {
        end: u64,
        available: u64,
    },
    Malformed,
    Limit {
        claimed: u64,
        limit: u64,
    },
}

impl Fault {
    /// As an error about `subject`, whose first byte is at `base` in the file.
    pub(super) fn into_format(self, source: &Source, subject: &str, base: u64) -> FormatError {
        let start = base + self.offset;
        match self.kind {
            FaultKind::Truncated { end, available } => FormatError::Truncated {
                file: source.name.clone(),
                subject: format!("{subject}: {}", self.reason),
                start,
                end: base.saturating_add(end),
                place: "the pickle",
                available: base + available,
            },
            FaultKind::Malformed => source.malformed(subject, start..start + 1, self.reason),
            FaultKind::Limit { claimed, limit } => {
                source.limit(format!("{subject}: {}", self.reason), claimed, limit)
            }
        }
    }
}

/// Reads operands in order.
pub(super) struct Operands<'a> {
    pub(super) code: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Operands<'a> {
    pub(super) fn fault<T>(&self, reason: impl Into<String>) -> Result<T, Fault> {
        let offset = self.position.saturating_sub(1) as u64;
        Err(Fault { kind: FaultKind::Malformed, offset, reason: reason.into() })
    }

    pub(super) fn limit<T>(&self, reason: &str, claimed: u64, limit: u64) -> Result<T, Fault> {
        let kind = FaultKind::Limit { claimed, limit };
        Err(Fault { kind, offset: self.position as u64, reason: reason.into() })
    }

    /// The next `len` bytes, after comparing `len` with what remains.
    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8], Fault> {
        let available = self.code.len() as u64;
        let start = self.position as u64;
        match start.checked_add(len) {
            Some(end) if end <= available => {
                let bytes = &self.code[self.position..end as usize];
                self.position = end as usize;
                Ok(bytes)
            }
            end => Err(Fault {
                kind: FaultKind::Truncated { end: end.unwrap_or(u64::MAX), available },
                offset: start,
                reason: "an opcode's operand".into(),
            }),
        }
    }

    /// The next `len` bytes as a span.
    pub(super) fn span(&mut self, len: u64) -> Result<Span, Fault> {
        let start = self.position as u32;
        self.take(len)?;
        Ok(Span { start, len: len as u32 })
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A little-endian unsigned number of `N` bytes.
    pub(super) fn unsigned<const N: usize>(&mut self) -> Result<u64, Fault> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.take(N as u64)?);
        Ok(u64::from_le_bytes(wide))
    }

    pub(super) fn int32(&mut self) -> Result<i64, Fault> {
        self.unsigned::<4>().map(|value| i64::from((value as u32).cast_signed()))
    }

    /// A text line without its end.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Fault> {
        let rest = &self.code[self.position..];
        let Some(len) = rest.iter().position(|b| *b == b'\n') else {
            // Asks for one byte more than there is.
            self.take(rest.len() as u64 + 1)?;
            return self.fault("a line without an end");
        };
        self.position += len + 1;
        let line = &rest[..len];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// A line that holds a number which fits into 64 bits.
    pub(super) fn number_line<T: std::str::FromStr>(&mut self) -> Result<Option<T>, Fault> {
        let line = self.line()?;
        Ok(std::str::from_utf8(line).ok().and_then(|text| text.trim().trim_end_matches('L').parse().ok()))
    }
}

/// A little-endian two's complement number; `None` beyond 64 bits.
pub(super) fn long(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 8 {
        return None;
    }
    let fill = if bytes.last().is_some_and(|top| top & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

/// The text of a protocol 0 string: `\n`-style escapes for byte strings, `\uXXXX` for text.
pub(super) fn unescape(line: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(line);
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let digits = match chars.next() {
            Some('n') => {
                out.push('\n');
                continue;
            }
            Some('t') => {
                out.push('\t');
                continue;
            }
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(other) => {
                out.push(other);
                continue;
            }
            None => break,
        };
        let mut code = 0u32;
        for _ in 0..digits {
            let digit = chars.next().and_then(|c| c.to_digit(16)).unwrap_or(0);
            code = code.wrapping_mul(16).wrapping_add(digit);
        }
        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs() {
        assert_eq!(long(&[]), Some(0));
        assert_eq!(long(&[0xff]), Some(-1));
        assert_eq!(long(&[0xff, 0]), Some(255));
        assert_eq!(long(&[0; 9]), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(&*unescape(b"a\\u00e9\\x41\\n\\\\"), "aéA\n\\");
        assert_eq!(&*unescape(b"a\\"), "a");
    }
}
