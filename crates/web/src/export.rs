//! Votes out of the database, as a chain that can be checked and that `rate` reads.

use crate::chain::line;
use crate::error::WebError;
use crate::store::{self, Checked};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use stemmata_audit::printable;

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
pub fn export(database: &Path, voters: Voters, out: &mut dyn Write) -> Result<Exported, WebError> {
    let connection = store::open_to_read(database)?;
    let failed = |error: rusqlite::Error| WebError::Database {
        path: printable(&database.display().to_string()),
        what: printable(&error.to_string()),
    };
    let unwritten = |source| WebError::Export { doing: "write", source };
    // One state of the database, whatever is voted meanwhile.
    connection.execute_batch("BEGIN").map_err(failed)?;
    let flagged = flagged(&connection).map_err(failed)?;
    let mut exported = Exported { votes: 0, left_out: 0, flagged: flagged.len() as u64 };
    let mut query =
        connection.prepare("SELECT record, hash, voter FROM votes ORDER BY seq").map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let text = |place: usize| row.get::<_, String>(place).map_err(failed);
        if voters == Voters::Unflagged && flagged.contains(&text(2)?) {
            exported.left_out += 1;
            continue;
        }
        writeln!(out, "{}", line(&text(0)?, &text(1)?)).map_err(unwritten)?;
        exported.votes += 1;
    }
    out.flush().map_err(unwritten)?;
    Ok(exported)
}

/// Keyed hashes of the voters who missed too many checks.
pub(crate) fn flagged(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut query = connection.prepare(
        "SELECT v.voter, count(*), sum(CASE WHEN v.winner <> b.gold THEN 1 ELSE 0 END) FROM votes v JOIN battles b ON b.id = v.battle \
         WHERE b.gold <> '' GROUP BY v.voter",
    )?;
    let rows = query.query_map([], |row| {
        let checked = Checked { seen: row.get::<_, i64>(1)? as u64, missed: row.get::<_, i64>(2)? as u64 };
        Ok((row.get::<_, String>(0)?, checked))
    })?;
    let mut out = BTreeSet::new();
    for row in rows {
        let (voter, checked) = row?;
        if checked.is_flagged() {
            out.insert(voter);
        }
    }
    Ok(out)
}
