//! CSV with a header (RFC 4180), one record at a time.

use super::columns::{Naming, Record, Wanted, bounded, count, part, style, weight};
use super::error::shown;
use super::{Limits, VoteError};
use std::io::BufRead;

/// Reads all records.
pub(super) fn read(
    input: impl BufRead,
    wanted: &Wanted,
    limits: &Limits,
    keep: &mut dyn FnMut(&Record<'_>) -> Result<(), VoteError>,
) -> Result<(), VoteError> {
    let mut lines = Records::new(input, limits);
    let mut fields = Fields::default();
    let Some(line) = lines.header(&mut fields)? else { return Err(VoteError::Empty) };
    let layout = Layout::of(&fields, wanted, line)?;
    let mut seen = false;
    while let Some(line) = lines.next(&mut fields)? {
        if fields.len() != layout.columns {
            let what = format!("{} fields where the header has {}", fields.len(), layout.columns);
            return Err(VoteError::Syntax { line, what });
        }
        let cell = |at: usize| fields.text(at, line);
        let mut cells = [""; 4];
        for (cell_of, at) in cells.iter_mut().zip(&layout.votes) {
            *cell_of = cell(*at)?;
        }
        let outcome = layout.naming.outcome(&cells[..layout.votes.len()], line)?;
        let mut clusters = Vec::with_capacity(layout.clusters.len());
        for (at, column) in layout.clusters.iter().zip(&wanted.clusters) {
            let value = bounded(cell(*at)?, limits, line)?;
            if value.is_empty() {
                return Err(VoteError::EmptyCluster { line, column: shown(column) });
            }
            clusters.push(value);
        }
        let mut styles = Vec::with_capacity(layout.styles.len());
        for (places, term) in layout.styles.iter().zip(&wanted.styles) {
            let mut numbers = Vec::with_capacity(2);
            for (at, column) in places.iter().zip(term.columns()) {
                let text = cell(*at)?;
                let number = text.trim().parse().map_err(|_| VoteError::Number {
                    line,
                    column: shown(column),
                    value: shown(text),
                })?;
                numbers.push(number);
            }
            styles.push(style(term, &numbers, line)?);
        }
        keep(&Record {
            line,
            first: bounded(cells[0], limits, line)?,
            second: bounded(cells[1], limits, line)?,
            outcome,
            count: layout.count.map_or(Ok(1), |at| count(cell(at)?, line))?,
            clusters,
            styles,
            weight: match layout.weight.zip(wanted.weight.as_ref()) {
                Some((at, column)) => Some(weight(cell(at)?, column, line)?),
                None => None,
            },
            part: match layout.part.zip(wanted.part.as_ref()) {
                Some((at, wanted)) => Some(part(wanted, cell(at)?, limits, line)?),
                None => None,
            },
        })?;
        seen = true;
    }
    if seen { Ok(()) } else { Err(VoteError::Empty) }
}

/// Where in a record things stand.
struct Layout {
    columns: usize,
    naming: Naming,
    votes: Vec<usize>,
    count: Option<usize>,
    clusters: Vec<usize>,
    styles: Vec<Vec<usize>>,
    weight: Option<usize>,
    part: Option<usize>,
}

impl Layout {
    fn of(header: &Fields, wanted: &Wanted, line: u64) -> Result<Layout, VoteError> {
        let mut names = Vec::with_capacity(header.len());
        for at in 0..header.len() {
            names.push(header.text(at, line)?.trim());
        }
        let place = |column: &str| -> Result<usize, VoteError> {
            let mut places = (0..names.len()).filter(|at| names[*at] == column);
            match (places.next(), places.next()) {
                (Some(at), None) => Ok(at),
                (None, _) => Err(VoteError::MissingColumn { line, column: shown(column) }),
                _ => Err(VoteError::Columns { line, what: format!("two columns `{}`", shown(column)) }),
            }
        };
        let all = |columns: &[&str]| columns.iter().map(|c| place(c)).collect::<Result<Vec<_>, _>>();
        let naming = Naming::find(|column| names.contains(&column), line)?;
        let clusters: Vec<&str> = wanted.clusters.iter().map(String::as_str).collect();
        Ok(Layout {
            columns: names.len(),
            naming,
            votes: all(naming.columns())?,
            count: if names.contains(&"count") { Some(place("count")?) } else { None },
            clusters: all(&clusters)?,
            styles: wanted.styles.iter().map(|s| all(&s.columns())).collect::<Result<_, _>>()?,
            weight: wanted.weight.as_deref().map(place).transpose()?,
            part: wanted.part.as_ref().map(|p| place(&p.column)).transpose()?,
        })
    }
}

/// The fields of one record, unquoted, one after another.
#[derive(Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn text(&self, at: usize, line: u64) -> Result<&str, VoteError> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        std::str::from_utf8(&self.bytes[start..self.ends[at]])
            .map_err(|_| VoteError::Syntax { line, what: "a field is not UTF-8".to_owned() })
    }
}

/// The records of one input, one after another.
pub(crate) struct Records<'l, R> {
    input: R,
    limits: &'l Limits,
    line: u64,
    raw: Vec<u8>,
    separator: u8,
}

impl<'l, R: BufRead> Records<'l, R> {
    pub(crate) fn new(input: R, limits: &'l Limits) -> Records<'l, R> {
        Records { input, limits, line: 1, raw: Vec::new(), separator: b',' }
    }

    /// The first record; it decides what separates fields.
    pub(crate) fn header(&mut self, fields: &mut Fields) -> Result<Option<u64>, VoteError> {
        let line = self.line;
        if !self.append()? {
            return Ok(None);
        }
        if self.raw.starts_with(b"\xef\xbb\xbf") {
            self.raw.drain(..3);
        }
        if self.raw.contains(&b'\t') && !self.raw.contains(&b',') {
            self.separator = b'\t';
        }
        self.split(fields, line)?;
        Ok(Some(line))
    }

    /// The next record that is not an empty line, and the line where it begins.
    pub(crate) fn next(&mut self, fields: &mut Fields) -> Result<Option<u64>, VoteError> {
        loop {
            let line = self.line;
            self.raw.clear();
            if !self.append()? {
                return Ok(None);
            }
            if trimmed(&self.raw).is_empty() {
                continue;
            }
            self.split(fields, line)?;
            return Ok(Some(line));
        }
    }

    /// Appends one line to what is there; `false` at the end of the input.
    fn append(&mut self) -> Result<bool, VoteError> {
        let limit = self.limits.record_bytes;
        let room = limit.saturating_sub(self.raw.len() as u64) + 1;
        let mut bounded = std::io::Read::take(&mut self.input, room);
        let read = bounded
            .read_until(b'\n', &mut self.raw)
            .map_err(|source| VoteError::Io { line: self.line, source })?;
        if self.raw.len() as u64 > limit {
            return Err(VoteError::TooLong { line: self.line, what: "a record", limit });
        }
        self.line += u64::from(read > 0);
        Ok(read > 0)
    }

    /// Splits the raw record, fetching further lines while a quotation is open.
    fn split(&mut self, fields: &mut Fields, line: u64) -> Result<(), VoteError> {
        fields.clear();
        let end = |fields: &mut Fields| fields.ends.push(fields.bytes.len());
        let bad = |what: &str| VoteError::Syntax { line, what: what.to_owned() };
        let mut at = 0;
        loop {
            if fields.ends.len() >= self.limits.columns {
                let limit = self.limits.columns as u64;
                return Err(VoteError::TooMany { line, what: "columns", limit });
            }
            if self.raw.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    match self.raw.get(at).copied() {
                        Some(b'"') if self.raw.get(at + 1) == Some(&b'"') => {
                            fields.bytes.push(b'"');
                            at += 2;
                        }
                        Some(b'"') => break,
                        Some(byte) => {
                            fields.bytes.push(byte);
                            at += 1;
                        }
                        None => {
                            if !self.append()? {
                                return Err(bad("a quotation is not closed"));
                            }
                        }
                    }
                }
                at += 1;
                end(fields);
                match self.raw.get(at..).map(trimmed) {
                    None | Some([]) => return Ok(()),
                    _ if self.raw[at] == self.separator => at += 1,
                    _ => return Err(bad("text after a closing quotation mark")),
                }
            } else {
                let rest = trimmed(&self.raw[at..]);
                let length = rest.iter().position(|b| *b == self.separator);
                let field = &rest[..length.unwrap_or(rest.len())];
                if field.contains(&b'"') {
                    return Err(bad("a quotation mark inside a field that is not quoted"));
                }
                fields.bytes.extend_from_slice(field);
                end(fields);
                match length {
                    Some(length) => at += length + 1,
                    None => return Ok(()),
                }
            }
        }
    }
}

/// Without the end of the line.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
