//! Votes out of the database, as a chain that can be checked and that `rate` reads.

use crate::chain::line;
use crate::error::WebError;
use crate::store::{self, Checked, Database, Sql, StoreError};
use std::collections::BTreeSet;
use std::io::Write;

/// Whose votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voters {
    /// Everybody's: the whole chain.
    All,
    /// Only of those who are not flagged: a selection, in which links of the chain are missing.
    Unflagged,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Votes in the file.
    pub votes: u64,
    /// Votes that were left out.
    pub left_out: u64,
    /// Voters who are flagged.
    pub flagged: u64,
}

/// Writes all votes, oldest first, one line each. A server may run meanwhile.
///
/// # Errors
/// A database that cannot be read, or an output that cannot be written.
pub fn export(database: &Database, voters: Voters, out: &mut dyn Write) -> Result<Exported, WebError> {
    let mut sql = store::open_to_read(database)?;
    let failed = |error: StoreError| database.failed(&error);
    // One state of the database, whatever is voted meanwhile.
    sql.begin_to_read().map_err(failed)?;
    let flagged = flagged(&mut *sql).map_err(failed)?;
    let mut exported = Exported { votes: 0, left_out: 0, flagged: flagged.len() as u64 };
    let mut unwritten = None;
    let query = "SELECT record, hash, voter FROM votes ORDER BY seq";
    let read = sql.rows(query, &[], &mut |row| {
        if voters == Voters::Unflagged && flagged.contains(row[2].text()) {
            exported.left_out += 1;
            return Ok(());
        }
        exported.votes += 1;
        writeln!(out, "{}", line(row[0].text(), row[1].text())).map_err(|source| {
            unwritten = Some(source);
            StoreError::Other("the export cannot be written".to_owned())
        })
    });
    let unwritable = |source| WebError::Export { doing: "write", source };
    match unwritten {
        Some(source) => return Err(unwritable(source)),
        None => read.map_err(failed)?,
    }
    out.flush().map_err(unwritable)?;
    Ok(exported)
}

/// Keyed hashes of the voters who missed too many checks.
pub(crate) fn flagged(sql: &mut dyn Sql) -> Result<BTreeSet<String>, StoreError> {
    let query = "SELECT v.voter, count(*), sum(CASE WHEN v.winner <> b.gold THEN 1 ELSE 0 END) FROM votes v JOIN battles b ON b.id = \
                 v.battle WHERE b.gold <> '' GROUP BY v.voter";
    let mut out = BTreeSet::new();
    sql.rows(query, &[], &mut |row| {
        let checked = Checked { seen: row[1].whole() as u64, missed: row[2].whole() as u64 };
        if checked.is_flagged() {
            out.insert(row[0].text().to_owned());
        }
        Ok(())
    })?;
    Ok(out)
}
