//! What does a public table say of models? Reads CSV and JSON into rows with line numbers, then into typed facts; a closed parser.
//!
//! Must not know: where the bytes come from, what the facts mean together. A cell that cannot be understood is an error with its
//! row, never a guess; every length is bounded before anything is kept.

mod facts;
mod json;
mod report;
#[cfg(test)]
mod tests;

pub use facts::{
    Alias, Benchmark, Date, DrawnFacts, ModelFacts, Openness, PublishedRating, RegionFacts, Snapshot,
    aliases, benchmarks, drawn, models, ratings, regions, snapshots,
};
pub use report::{Evidence, Kinship, evidence};

use crate::votes::csv::{Fields, Records};
use crate::votes::{Limits, VoteError, shown};
use std::io::{BufRead, Read};

/// Most bytes of a table.
const BYTES: u64 = 256 << 20;
/// Most rows, most columns, longest cell in bytes.
const ROWS: usize = 2_000_000;
const COLUMNS: usize = 512;
const CELL: usize = 64 << 10;

/// Why a table could not be read. Rows are counted from 1: lines of a CSV file, elements of a JSON list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The text is not in the syntax, or could not be fetched.
    #[error(transparent)]
    Text(#[from] VoteError),
    /// There is no header or no row.
    #[error("there are no rows in it")]
    Empty,
    /// It is neither a list of objects nor in one of the forms that are known.
    #[error("{what}")]
    Shape {
        /// In a sentence.
        what: String,
    },
    /// A column that is needed is not there.
    #[error("there is no column {names}")]
    MissingColumn {
        /// Its name in quotes, with the other names that it may have.
        names: String,
    },
    /// A row says something that cannot be.
    #[error("row {row}: {what}")]
    Row {
        /// Which.
        row: u64,
        /// In a sentence.
        what: String,
    },
}

pub(crate) fn wrong(row: u64, what: impl Into<String>) -> TableError {
    TableError::Row { row, what: what.into() }
}

/// A table as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows with their numbers; each has as many cells as there are columns.
    pub rows: Vec<(u64, Vec<String>)>,
}

impl Table {
    /// The place of the first of these columns that is there.
    fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|c| c == name))
    }

    fn need(&self, names: &[&str]) -> Result<usize, TableError> {
        self.find(names).ok_or_else(|| TableError::MissingColumn {
            names: names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "),
        })
    }
}

/// Reads a table: CSV with a header (lines before it that start with `#` are comments), a JSON list of flat objects, such a list
/// under the key `models`, or the Arena catalogue's object of categories of contestants.
///
/// # Errors
/// The first thing that is not understood, with its row.
pub fn read(mut input: impl BufRead) -> Result<Table, TableError> {
    let io = |source| VoteError::Io { line: 1, source };
    let mut bytes = Vec::new();
    (&mut input).take(BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > BYTES {
        return Err(VoteError::TooLong { line: 1, what: "the table", limit: BYTES }.into());
    }
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let table = match first {
        Some(b'[' | b'{') => json::read(&bytes)?,
        _ => csv(&bytes)?,
    };
    if table.rows.is_empty() { Err(TableError::Empty) } else { Ok(table) }
}

fn csv(bytes: &[u8]) -> Result<Table, TableError> {
    let limits = Limits { record_bytes: 1 << 20, columns: COLUMNS, ..Limits::default() };
    let (mut rest, mut skipped) = (bytes, 0);
    while rest.starts_with(b"#") {
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        rest = &rest[end..];
        skipped += 1;
    }
    let mut lines = Records::new(rest, &limits);
    let mut fields = Fields::default();
    let Some(line) = lines.header(&mut fields)? else { return Err(TableError::Empty) };
    let mut columns: Vec<String> = Vec::with_capacity(fields.len());
    for at in 0..fields.len() {
        let name = fields.text(at, line)?.trim().to_owned();
        if !name.is_empty() && columns.contains(&name) {
            return Err(wrong(line + skipped, format!("two columns `{}`", shown(&name))));
        }
        columns.push(name);
    }
    let mut rows = Vec::new();
    while let Some(line) = lines.next(&mut fields)? {
        let row = line + skipped;
        if fields.len() != columns.len() {
            let what = format!("{} fields where the header has {}", fields.len(), columns.len());
            return Err(wrong(row, what));
        }
        let cells = (0..fields.len()).map(|at| Ok(bounded(fields.text(at, line)?, row)?.trim().to_owned()));
        rows.push((row, cells.collect::<Result<_, TableError>>()?));
        if rows.len() > ROWS {
            return Err(wrong(row, format!("more than {ROWS} rows")));
        }
    }
    Ok(Table { columns, rows })
}

fn bounded(text: &str, row: u64) -> Result<&str, TableError> {
    if text.len() > CELL {
        return Err(wrong(row, format!("a cell is longer than {CELL} bytes")));
    }
    Ok(text)
}
