//! What the page asks of a database: a little SQL that SQLite and PostgreSQL both take, with `?1`, `?2` for values.

use super::StoreError;

/// A value, in or out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Text.
    Text(String),
    /// A whole number; 0 and 1 for truth.
    Whole(i64),
}

impl Cell {
    /// The text; empty where it is a number.
    pub(crate) fn text(&self) -> &str {
        match self {
            Cell::Text(text) => text,
            Cell::Whole(_) => "",
        }
    }

    /// The number; 0 where it is text.
    pub(crate) fn whole(&self) -> i64 {
        match self {
            Cell::Text(_) => 0,
            Cell::Whole(number) => *number,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        Cell::Text(text.clone())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Whole(number)
    }
}

impl From<bool> for Cell {
    fn from(truth: bool) -> Cell {
        Cell::Whole(i64::from(truth))
    }
}

/// Takes a row; an error ends the query.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&[Cell]) -> Result<(), StoreError>;

/// A connection.
pub(crate) trait Sql: Send {
    /// Runs one statement.
    fn run(&mut self, statement: &str, values: &[Cell]) -> Result<(), StoreError>;
    /// Runs one query, a row at a time.
    fn rows(&mut self, query: &str, values: &[Cell], each: Each<'_>) -> Result<(), StoreError>;
    /// Runs statements without values.
    fn batch(&mut self, statements: &str) -> Result<(), StoreError>;
    /// Begins a transaction that writes, on a new connection where the old one is gone.
    fn begin(&mut self) -> Result<(), StoreError>;
    /// Begins a transaction that sees one state of the database, whatever is written meanwhile.
    fn begin_to_read(&mut self) -> Result<(), StoreError>;
    /// Whether a transaction is open; some failures end one.
    fn is_in_transaction(&self) -> bool;
    /// Why a transaction is no longer open that nobody ended.
    fn why_ended(&self) -> StoreError;
    /// Lets nobody else add to the chain until this transaction ends.
    fn serialise(&mut self) -> Result<(), StoreError>;
    /// Before the connection is closed for good.
    fn finish(&mut self) {}
}

/// The first row, if there is one.
pub(crate) fn first(
    sql: &mut dyn Sql,
    query: &str,
    values: &[Cell],
) -> Result<Option<Vec<Cell>>, StoreError> {
    let mut found = None;
    sql.rows(query, values, &mut |row| {
        found.get_or_insert_with(|| row.to_vec());
        Ok(())
    })?;
    Ok(found)
}
