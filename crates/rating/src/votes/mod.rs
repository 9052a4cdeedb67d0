//! Which votes were cast? Reads CSV, JSON Lines and (feature `parquet`) Parquet into a table of opaque contestants; a
//! closed parser.
//!
//! Must not know: where the bytes come from, what the votes mean. An outcome, a count or a cluster that cannot be read is an
//! error with its line, never a guess; every length is bounded before anything is kept.

mod columns;
pub(crate) mod csv;
mod error;
mod jsonl;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_cell;
#[cfg(feature = "parquet")]
mod parquet_headers;
mod parts;
#[cfg(test)]
mod tests;

pub use columns::{Style, Wanted};
pub use error::VoteError;
#[cfg(feature = "parquet")]
pub use parquet::RandomRead;
pub use parts::{Part, PartBy};

pub(crate) use error::shown;

use columns::Record;
use std::collections::HashMap;
use std::io::BufRead;

/// What a vote said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The first contestant was better.
    First,
    /// The second contestant was better.
    Second,
    /// Neither was better.
    Tie,
    /// Neither was better, and both were bad.
    BothBad,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Outcome; 4] = [Outcome::First, Outcome::Second, Outcome::Tie, Outcome::BothBad];
}

/// How votes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// RFC 4180 with a header; tabs separate where the header has tabs and no comma.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

/// Bounds on untrusted input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one record.
    pub record_bytes: u64,
    /// Bytes of one name or cluster value.
    pub name_bytes: usize,
    /// Columns.
    pub columns: usize,
    /// Different parts; each of them is rated.
    pub parts: usize,
    /// Different contestants; every pair of them has a place in the covariance.
    pub contestants: usize,
    /// Rows of all inputs together.
    pub rows: usize,
    /// Votes of all inputs together; below 2^53, so that sums of counts are exact.
    pub votes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            record_bytes: 32 << 20,
            name_bytes: 1024,
            columns: 4096,
            parts: 200,
            contestants: 5000,
            rows: 500_000_000,
            votes: 1 << 50,
        }
    }
}

/// A table of votes. All columns have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Votes {
    /// Names in byte order; the numbers below are places in this list.
    pub contestants: Vec<String>,
    /// The contestant in the first seat (left, `model_a`).
    pub first: Vec<u32>,
    /// The contestant in the second seat; never the same as in the first.
    pub second: Vec<u32>,
    /// What was said.
    pub outcome: Vec<Outcome>,
    /// How many votes a row stands for; empty where every row is one vote.
    pub count: Vec<u64>,
    /// One list per cluster column: numbers of its values in byte order.
    pub clusters: Vec<Vec<u32>>,
    /// One list per style term: its value for the first contestant minus that for the second, as read.
    pub styles: Vec<Vec<f64>>,
    /// How much each vote of a row counts in the fit; empty where all count 1.
    pub weight: Vec<f64>,
    /// The part that a row belongs to, as a place in `parts`; empty without parts.
    pub part: Vec<u32>,
    /// Names of the parts in byte order.
    pub parts: Vec<String>,
}

impl Votes {
    /// Rows.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Votes that row `row` stands for.
    pub fn count(&self, row: usize) -> u64 {
        self.count.get(row).copied().unwrap_or(1)
    }

    /// How much each vote of row `row` counts.
    pub fn weight(&self, row: usize) -> f64 {
        self.weight.get(row).copied().unwrap_or(1.0)
    }

    /// Votes of all rows.
    pub fn total(&self) -> u64 {
        if self.count.is_empty() { self.len() as u64 } else { self.count.iter().sum() }
    }
}

/// What one input held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that were read.
    pub rows: u64,
    /// Votes that they stand for.
    pub votes: u64,
    /// Rows of one contestant against itself; they say nothing of strength and are left out.
    pub against_itself: u64,
}

/// Collects votes from any number of inputs.
pub struct Reader {
    wanted: Wanted,
    limits: Limits,
    names: Interner,
    clusters: Vec<Interner>,
    parts: Interner,
    votes: Votes,
    total: u64,
}

impl Reader {
    /// A reader that keeps the columns in `wanted`.
    pub fn new(wanted: Wanted, limits: Limits) -> Reader {
        let clusters = wanted.clusters.iter().map(|_| Interner::default()).collect();
        let votes = Votes {
            clusters: vec![Vec::new(); wanted.clusters.len()],
            styles: vec![Vec::new(); wanted.styles.len()],
            ..Votes::default()
        };
        Reader {
            wanted,
            limits,
            names: Interner::default(),
            clusters,
            parts: Interner::default(),
            votes,
            total: 0,
        }
    }

    /// Reads one input to its end.
    ///
    /// # Errors
    /// The first record that cannot be understood, with its line; nothing of what was read before is a result then.
    pub fn read(&mut self, syntax: Syntax, input: impl BufRead) -> Result<Tally, VoteError> {
        let mut tally = Tally::default();
        let wanted = self.wanted.clone();
        let limits = self.limits;
        let mut keep = |record: &Record<'_>| self.keep(record, &mut tally);
        match syntax {
            Syntax::Csv => csv::read(input, &wanted, &limits, &mut keep)?,
            Syntax::JsonLines => jsonl::read(input, &wanted, &limits, &mut keep)?,
        }
        Ok(tally)
    }

    /// Reads a Parquet file to its end, the row groups one after another; of the columns only those that are needed.
    ///
    /// # Errors
    /// As [`Reader::read`], with rows for lines.
    #[cfg(feature = "parquet")]
    pub fn read_parquet(&mut self, input: Box<dyn RandomRead>) -> Result<Tally, VoteError> {
        let mut tally = Tally::default();
        let wanted = self.wanted.clone();
        let limits = self.limits;
        let mut keep = |record: &Record<'_>| self.keep(record, &mut tally);
        parquet::read(input, &wanted, &limits, &mut keep).map_err(|error| VoteError::Row(Box::new(error)))?;
        Ok(tally)
    }

    /// The table. Contestants and clusters are numbered by name, so that it does not matter in which order they came.
    pub fn finish(self) -> Votes {
        let Reader { names, clusters, parts, mut votes, .. } = self;
        let (contestants, places) = names.sorted();
        for column in [&mut votes.first, &mut votes.second] {
            column.iter_mut().for_each(|id| *id = places[*id as usize]);
        }
        votes.contestants = contestants;
        for (column, interner) in votes.clusters.iter_mut().zip(clusters) {
            let (_, places) = interner.sorted();
            column.iter_mut().for_each(|id| *id = places[*id as usize]);
        }
        let (names, places) = parts.sorted();
        votes.part.iter_mut().for_each(|id| *id = places[*id as usize]);
        votes.parts = names;
        if votes.count.iter().all(|n| *n == 1) {
            votes.count = Vec::new();
        }
        votes
    }

    fn keep(&mut self, record: &Record<'_>, tally: &mut Tally) -> Result<(), VoteError> {
        let line = record.line;
        let count = record.count;
        self.total = self.total.saturating_add(count);
        if self.total > self.limits.votes {
            return Err(VoteError::TooMany { line, what: "votes", limit: self.limits.votes });
        }
        if self.votes.len() >= self.limits.rows {
            return Err(VoteError::TooMany { line, what: "rows", limit: self.limits.rows as u64 });
        }
        for name in [record.first, record.second] {
            if name.is_empty() {
                return Err(VoteError::EmptyName { line });
            }
        }
        tally.rows += 1;
        tally.votes += count;
        let pair = [self.names.number(record.first), self.names.number(record.second)];
        if self.names.len() > self.limits.contestants {
            let limit = self.limits.contestants as u64;
            return Err(VoteError::TooMany { line, what: "contestants", limit });
        }
        if pair[0] == pair[1] {
            tally.against_itself += 1;
            return Ok(());
        }
        self.votes.first.push(pair[0]);
        self.votes.second.push(pair[1]);
        self.votes.outcome.push(record.outcome);
        self.votes.count.push(count);
        for (i, value) in record.clusters.iter().enumerate() {
            let number = self.clusters[i].number(value);
            self.votes.clusters[i].push(number);
        }
        if let Some(part) = &record.part {
            if self.parts.len() >= self.limits.parts && !self.parts.has(part) {
                return Err(VoteError::TooMany { line, what: "parts", limit: self.limits.parts as u64 });
            }
            let number = self.parts.number(part);
            self.votes.part.push(number);
        }
        if let Some(weight) = record.weight {
            self.votes.weight.push(weight);
        }
        for (column, value) in self.votes.styles.iter_mut().zip(&record.styles) {
            column.push(*value);
        }
        Ok(())
    }
}

/// Text to numbers, in order of appearance.
#[derive(Default)]
struct Interner {
    numbers: HashMap<Box<str>, u32>,
}

impl Interner {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        // INVARIANT: rows are bounded below 2^32, and every text comes with a row.
        let number = self.numbers.len() as u32;
        self.numbers.insert(text.into(), number);
        number
    }

    fn has(&self, text: &str) -> bool {
        self.numbers.contains_key(text)
    }

    fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The texts in byte order, and for each number of appearance its place among them.
    fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let mut texts: Vec<(Box<str>, u32)> = self.numbers.into_iter().collect();
        texts.sort_unstable();
        let mut places = vec![0; texts.len()];
        for (place, (_, number)) in texts.iter().enumerate() {
            places[*number as usize] = place as u32;
        }
        (texts.into_iter().map(|(text, _)| text.into()).collect(), places)
    }
}
