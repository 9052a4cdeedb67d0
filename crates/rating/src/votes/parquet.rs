//! Parquet: the columns that are asked for, a batch of rows at a time; the others are not decoded.
//!
//! Decoding is the format's official crate, which is careful with damaged files but has had panics on them: each call into it is guarded,
//! places outside the file are refused before memory is asked for, and headers are walked before they are decoded. What a page claims to hold
//! is bounded by the format at 2 GiB.

use super::columns::{Naming, Record, Style, Wanted, bounded, count, part, style, weight};
use super::error::shown;
use super::parquet_cell::{Kind, Values};
use super::parquet_headers;
use super::parts::instant;
use super::{Limits, VoteError};
use bytes::Bytes;
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;
use std::borrow::Cow;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows that are held at once.
const BATCH: usize = 4096;

/// A file that can be read at any place.
pub trait RandomRead: Read + Seek + Send {}

impl<T: Read + Seek + Send> RandomRead for T {}

/// Reads all rows; in errors, lines are rows, and 0 is the table as a whole.
pub(super) fn read(
    input: Box<dyn RandomRead>,
    wanted: &Wanted,
    limits: &Limits,
    keep: &mut dyn FnMut(&Record<'_>) -> Result<(), VoteError>,
) -> Result<(), VoteError> {
    let places = Places::new(input)?;
    guarded(0, || Ok(places.walk_footer()?))?;
    let file = guarded(0, || SerializedFileReader::new(places.clone()))?;
    let layout = Layout::of(file.metadata().file_metadata().schema_descr(), wanted, limits)?;
    let (mut row, mut stored) = (0, 0u64);
    for group in 0..file.num_row_groups() {
        let group = guarded(row, || file.get_row_group(group))?;
        let mut readers = Vec::with_capacity(layout.leaves.len());
        for leaf in &layout.leaves {
            let (start, length) = guarded(row, || Ok(group.metadata().column(leaf.place).byte_range()))?;
            // What is read twice could be read without end.
            stored = stored.saturating_add(length);
            if stored > places.length {
                return Err(broken(row, "its columns overlap"));
            }
            guarded(row, || Ok(places.walk_pages(start, length)?))?;
            readers.push(guarded(row, || group.get_column_reader(leaf.place))?);
        }
        loop {
            let mut columns = Vec::with_capacity(readers.len());
            for (reader, leaf) in readers.iter_mut().zip(&layout.leaves) {
                columns.push(Column::read(reader, leaf, row)?);
            }
            let rows = columns.first().map_or(0, |c| c.there.len());
            if columns.iter().any(|c| c.there.len() != rows) {
                return Err(broken(row, "its columns do not have the same number of rows"));
            }
            if rows == 0 {
                break;
            }
            for at in 0..rows {
                row += 1;
                record(&layout, &columns, at, wanted, limits, row, keep)?;
            }
        }
    }
    if row > 0 { Ok(()) } else { Err(VoteError::Empty) }
}

fn record(
    layout: &Layout,
    columns: &[Column<'_>],
    at: usize,
    wanted: &Wanted,
    limits: &Limits,
    row: u64,
    keep: &mut dyn FnMut(&Record<'_>) -> Result<(), VoteError>,
) -> Result<(), VoteError> {
    let text = |place: usize| columns[place].text(at, row);
    let mut cells: [Cow<'_, str>; 4] = Default::default();
    for (cell, place) in cells.iter_mut().zip(&layout.votes) {
        *cell = text(*place)?;
    }
    let cells: [&str; 4] = std::array::from_fn(|i| cells[i].as_ref());
    let mut clusters = Vec::with_capacity(layout.clusters.len());
    for (place, column) in layout.clusters.iter().zip(&wanted.clusters) {
        let value = text(*place)?;
        if value.is_empty() {
            return Err(VoteError::EmptyCluster { line: row, column: shown(column) });
        }
        bounded(&value, limits, row)?;
        clusters.push(value);
    }
    let mut styles = Vec::with_capacity(layout.styles.len());
    for (amounts, term) in layout.styles.iter().zip(&wanted.styles) {
        let mut numbers = Vec::with_capacity(2);
        for (amount, column) in amounts.iter().zip(term.columns()) {
            numbers.push(amount.of(columns, at, column, row)?);
        }
        styles.push(style(term, &numbers, row)?);
    }
    keep(&Record {
        line: row,
        first: bounded(cells[0], limits, row)?,
        second: bounded(cells[1], limits, row)?,
        outcome: layout.naming.outcome(&cells[..layout.votes.len()], row)?,
        count: match layout.count {
            Some(place) => count(&text(place)?, row)?,
            None => 1,
        },
        clusters: clusters.iter().map(AsRef::as_ref).collect(),
        styles,
        weight: match layout.weight.zip(wanted.weight.as_ref()) {
            Some((place, column)) => Some(weight(&text(place)?, column, row)?),
            None => None,
        },
        part: match layout.part.zip(wanted.part.as_ref()) {
            Some((place, wanted)) => Some(part(wanted, &text(place)?, limits, row)?),
            None => None,
        },
    })
}

/// A column of the file that is read.
struct Leaf {
    /// Its number in the file.
    place: usize,
    name: String,
    kind: Kind,
    /// The level at which a value is there.
    level: i16,
}

/// What is read, and where among it things stand.
struct Layout {
    leaves: Vec<Leaf>,
    naming: Naming,
    votes: Vec<usize>,
    count: Option<usize>,
    clusters: Vec<usize>,
    styles: Vec<Vec<Amount>>,
    weight: Option<usize>,
    part: Option<usize>,
}

impl Layout {
    fn of(schema: &SchemaDescriptor, wanted: &Wanted, limits: &Limits) -> Result<Layout, VoteError> {
        if schema.num_columns() > limits.columns {
            return Err(VoteError::TooMany { line: 0, what: "columns", limit: limits.columns as u64 });
        }
        let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
        let mut leaves: Vec<Leaf> = Vec::new();
        let mut take = |place: usize| -> Result<usize, VoteError> {
            if let Some(known) = leaves.iter().position(|leaf| leaf.place == place) {
                return Ok(known);
            }
            let column = &schema.columns()[place];
            let name = shown(&names[place]);
            if column.max_rep_level() > 0 {
                return Err(VoteError::Columns { line: 0, what: format!("the column `{name}` holds lists") });
            }
            let kind = Kind::of(column).ok_or_else(|| VoteError::Columns {
                line: 0,
                what: format!("the column `{name}` is of a type that is not read"),
            })?;
            leaves.push(Leaf { place, name, kind, level: column.max_def_level() });
            Ok(leaves.len() - 1)
        };
        let find = |column: &str| -> Result<usize, VoteError> {
            let mut found = (0..names.len()).filter(|at| names[*at] == column);
            match (found.next(), found.next()) {
                (Some(at), None) => Ok(at),
                (None, _) => Err(VoteError::MissingColumn { line: 0, column: shown(column) }),
                _ => Err(VoteError::Columns { line: 0, what: format!("two columns `{}`", shown(column)) }),
            }
        };
        let naming = Naming::find(|column| names.iter().any(|n| n == column), 0)?;
        let votes = naming.columns().iter().map(|c| take(find(c)?)).collect::<Result<_, _>>()?;
        let count = match names.iter().any(|n| n == "count") {
            true => Some(take(find("count")?)?),
            false => None,
        };
        let clusters = wanted.clusters.iter().map(|c| take(find(c)?)).collect::<Result<_, _>>()?;
        let weight = wanted.weight.as_deref().map(|c| take(find(c)?)).transpose()?;
        let part = wanted.part.as_ref().map(|p| take(find(&p.column)?)).transpose()?;
        let mut amount = |column: &str| -> Result<Amount, VoteError> {
            let below = format!("{column}.");
            let parts: Vec<usize> = (0..names.len()).filter(|at| names[*at].starts_with(&below)).collect();
            if parts.is_empty() || names.iter().any(|n| n == column) {
                return Ok(Amount::Value(take(find(column)?)?));
            }
            Ok(Amount::Sum(parts.into_iter().map(&mut take).collect::<Result<_, _>>()?))
        };
        let mut amounts = |term: &Style| term.columns().into_iter().map(&mut amount).collect();
        let styles = wanted.styles.iter().map(&mut amounts).collect::<Result<_, _>>()?;
        Ok(Layout { leaves, naming, votes, count, clusters, styles, weight, part })
    }
}

/// Where the number of a style term comes from.
enum Amount {
    /// One column.
    Value(usize),
    /// The columns of a group; one without a value adds nothing, as a field that an object lacks.
    Sum(Vec<usize>),
}

impl Amount {
    fn of(&self, columns: &[Column<'_>], at: usize, name: &str, row: u64) -> Result<f64, VoteError> {
        let bad = |text: &str| VoteError::Number { line: row, column: shown(name), value: shown(text) };
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| bad(text));
        match self {
            Amount::Value(place) => number(&columns[*place].text(at, row)?),
            Amount::Sum(places) => {
                let there: Vec<&usize> =
                    places.iter().filter(|p| columns[**p].there[at] != Column::NULL).collect();
                if there.is_empty() {
                    return Err(bad(""));
                }
                there.into_iter().map(|p| number(&columns[*p].text(at, row)?)).sum()
            }
        }
    }
}

/// A batch of one column.
struct Column<'l> {
    leaf: &'l Leaf,
    values: Values,
    /// For each row the place of its value.
    there: Vec<u32>,
}

impl<'l> Column<'l> {
    const NULL: u32 = u32::MAX;

    fn read(reader: &mut ColumnReader, leaf: &'l Leaf, row: u64) -> Result<Column<'l>, VoteError> {
        let mut levels = Vec::new();
        let (values, rows) = guarded(row, || Values::read(reader, BATCH, &mut levels))?;
        // A column in which every row has a value comes without levels.
        let mut there = Vec::with_capacity(rows);
        let mut next = 0;
        for at in 0..rows {
            let has = leaf.level == 0 || levels.get(at).is_some_and(|level| *level == leaf.level);
            there.push(if has { next } else { Column::NULL });
            next += u32::from(has);
        }
        if next as usize != values.len() {
            return Err(broken(row, "it does not hold the values that it lists"));
        }
        Ok(Column { leaf, values, there })
    }

    /// What stands in row `at` of the batch, as it would stand in CSV; empty without a value.
    fn text(&self, at: usize, row: u64) -> Result<Cow<'_, str>, VoteError> {
        if self.there[at] == Column::NULL {
            return Ok(Cow::Borrowed(""));
        }
        let text = self.values.text(self.there[at] as usize, self.leaf.kind, instant);
        text.ok_or_else(|| {
            let what = format!("the value in column `{}` is not UTF-8 text", self.leaf.name);
            VoteError::Syntax { line: row, what }
        })
    }
}

fn broken(row: u64, what: &str) -> VoteError {
    VoteError::Syntax { line: row, what: format!("the Parquet file cannot be read: {what}") }
}

/// Calls the decoder; its panics are errors of the file.
fn guarded<T>(row: u64, call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, VoteError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(broken(row, &shown(&error.to_string()))),
        Err(_) => Err(broken(row, "it is damaged")),
    }
}

/// The bytes of the file for the decoder; no place outside it is promised memory.
#[derive(Clone)]
struct Places {
    inner: Arc<Mutex<Box<dyn RandomRead>>>,
    length: u64,
}

impl Places {
    fn new(mut input: Box<dyn RandomRead>) -> Result<Places, VoteError> {
        let length = input.seek(SeekFrom::End(0)).map_err(|source| VoteError::Io { line: 0, source })?;
        Ok(Places { inner: Arc::new(Mutex::new(input)), length })
    }

    fn at(&self, place: u64) -> From {
        From { inner: Arc::clone(&self.inner), place }
    }

    /// What is no Parquet file is left to the decoder, which says so.
    fn walk_footer(&self) -> io::Result<()> {
        let Some(end) = self.length.checked_sub(8) else { return Ok(()) };
        let mut tail = [0; 8];
        self.at(end).read_exact(&mut tail)?;
        let [a, b, c, d, magic @ ..] = tail;
        match end.checked_sub(u64::from(u32::from_le_bytes([a, b, c, d]))) {
            Some(start) if magic == *b"PAR1" => {
                parquet_headers::footer(BufReader::new(self.at(start)).take(end - start))
            }
            _ => Ok(()),
        }
    }

    /// Walks the header of every page of a column.
    fn walk_pages(&self, start: u64, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let header = BufReader::with_capacity(512, self.at(start + (length - left))).take(left);
            let page = parquet_headers::page(header)?;
            left = left.checked_sub(page).ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        Ok(())
    }
}

impl Length for Places {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Places {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<BufReader<From>, ParquetError> {
        Ok(BufReader::new(self.at(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.length)));
        }
        let mut bytes = vec![0; length];
        self.at(start).read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads on from a place.
struct From {
    inner: Arc<Mutex<Box<dyn RandomRead>>>,
    place: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.place))?;
        let read = file.read(buffer)?;
        self.place += read as u64;
        Ok(read)
    }
}
