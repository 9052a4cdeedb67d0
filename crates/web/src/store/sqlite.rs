//! SQLite: a file beside the server, and a lock that keeps a second server away.

use super::database::Database;
use super::sql::{Cell, Each, Sql};
use super::{StoreError, check_version, prepare};
use crate::error::WebError;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params_from_iter, types::ValueRef};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;
use stemmata_audit::printable;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            _ => StoreError::Other(error.to_string()),
        }
    }
}

impl rusqlite::ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Cell::Text(text) => text.to_sql(),
            Cell::Whole(number) => number.to_sql(),
        }
    }
}

impl Sql for Connection {
    fn run(&mut self, statement: &str, values: &[Cell]) -> Result<(), StoreError> {
        self.prepare_cached(statement)?.execute(params_from_iter(values))?;
        Ok(())
    }

    fn rows(&mut self, query: &str, values: &[Cell], each: Each<'_>) -> Result<(), StoreError> {
        let mut query = self.prepare_cached(query)?;
        let columns = query.column_count();
        let mut rows = query.query(params_from_iter(values))?;
        let mut cells = Vec::with_capacity(columns);
        while let Some(row) = rows.next()? {
            cells.clear();
            for place in 0..columns {
                cells.push(match row.get_ref(place)? {
                    ValueRef::Integer(number) => Cell::Whole(number),
                    ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                    other => {
                        let what = format!("a value of the type {} in column {place}", other.data_type());
                        return Err(StoreError::Other(what));
                    }
                });
            }
            each(&cells)?;
        }
        Ok(())
    }

    fn batch(&mut self, statements: &str) -> Result<(), StoreError> {
        Ok(self.execute_batch(statements)?)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        Ok(self.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn begin_to_read(&mut self) -> Result<(), StoreError> {
        Ok(self.execute_batch("BEGIN")?)
    }

    fn is_in_transaction(&self) -> bool {
        !self.is_autocommit()
    }

    fn why_ended(&self) -> StoreError {
        StoreError::Full
    }

    fn serialise(&mut self) -> Result<(), StoreError> {
        // An immediate transaction is the only one that writes.
        Ok(())
    }

    fn finish(&mut self) {
        // Leaves one file behind instead of three.
        let _ = self.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// Opens the file for a server; makes it where there is none.
pub(super) fn open(path: &Path) -> Result<(Connection, File), WebError> {
    let lock = lock(path)?;
    let failed = |error: rusqlite::Error| refused(path, &error);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    // A commit waits until the disk has the vote, also if the power goes a moment later.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
        .map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(failed)?;
    let database = Database::File(path.to_owned());
    if tables > 0 {
        check_version(&database, version(&connection).map_err(failed)?.as_deref())?;
    }
    prepare(&mut connection, None).map_err(|error| database.failed(&error))?;
    Ok((connection, lock))
}

/// Opens the file for reading beside a server.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, WebError> {
    let failed = |error: rusqlite::Error| refused(path, &error);
    // Reading a write-ahead log needs its index, which may have to be made: hence not the flag for reading only.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.execute_batch("PRAGMA query_only = ON").map_err(failed)?;
    let version = version(&connection).map_err(failed)?;
    check_version(&Database::File(path.to_owned()), version.as_deref())?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let tables: i64 =
        connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'meta'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(None);
    }
    connection.query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| row.get(0)).optional()
}

fn lock(path: &Path) -> Result<File, WebError> {
    let shown = printable(&path.display().to_string());
    let place = super::beside(path, ".lock");
    let failed = |what: std::io::Error| WebError::Database { path: shown.clone(), what: what.to_string() };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&place).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WebError::Locked { path: shown }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn refused(path: &Path, error: &rusqlite::Error) -> WebError {
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "the file is no SQLite database".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged".to_owned(),
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; are the folder and the file there, and writable?".to_owned()
        }
        Some(ErrorCode::ReadOnly) => "it is not writable".to_owned(),
        _ => printable(&error.to_string()),
    };
    WebError::Database { path: printable(&path.display().to_string()), what }
}
