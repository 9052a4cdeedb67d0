//! PostgreSQL, where one machine is not enough: several servers of pages add to one chain.
//!
//! A commit is acknowledged after the server has it on disk (`synchronous_commit = on`, and `fsync` must be on); who adds to the chain holds an advisory
//! lock until the end of the transaction, so that two votes never follow the same one. The connection is not encrypted: other hosts than this one
//! need `sslmode=disable` in the address, so that nobody believes otherwise.

use super::database::Database;
use super::sql::{Cell, Each, Sql, first};
use super::{StoreError, check_version, prepare};
use crate::error::WebError;
use postgres::config::{Host, SslMode};
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, NoTls};
use std::time::Duration;
use stemmata_audit::printable;

/// Names the lock: the bytes of `stemmata`.
const LOCK: i64 = i64::from_be_bytes(*b"stemmata");
/// Battles of other servers are in work; what was asked this long ago, in milliseconds, was left by one that stopped.
const LEFT: i64 = 3_600_000;

/// A connection that is made again when it is lost.
pub(super) struct Server {
    config: Config,
    client: Client,
    /// Whether `begin` was called and neither `COMMIT` nor `ROLLBACK` after it.
    open: bool,
}

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> StoreError {
        match (error.code(), error.as_db_error()) {
            (Some(&SqlState::DISK_FULL), _) => StoreError::Full,
            (_, Some(told)) => StoreError::Other(format!("{} ({})", told.message(), told.code().code())),
            _ => StoreError::Other(error.to_string()),
        }
    }
}

/// Connects for a server of pages; makes the tables where there are none.
pub(super) fn open(address: &str, password: Option<&str>) -> Result<Server, WebError> {
    let database = Database::Server { address: address.to_owned(), password: None };
    let mut server = connect(address, password, &database)?;
    let failed = |error: StoreError| database.failed(&error);
    let fsync = first(&mut server, "SELECT current_setting('fsync')", &[]).map_err(failed)?;
    if fsync.is_none_or(|row| row[0].text() != "on") {
        return Err(WebError::Database {
            path: database.shown(),
            what: "its server runs with `fsync` off: votes that it acknowledges may be lost".to_owned(),
        });
    }
    if let Some(version) = version(&mut server).map_err(failed)? {
        check_version(&database, version.as_deref())?;
    }
    prepare(&mut server, Some(crate::app::now() - LEFT)).map_err(failed)?;
    Ok(server)
}

/// Connects for reading.
pub(super) fn open_to_read(address: &str, password: Option<&str>) -> Result<Server, WebError> {
    let database = Database::Server { address: address.to_owned(), password: None };
    let mut server = connect(address, password, &database)?;
    let version = version(&mut server).map_err(|error| database.failed(&error))?;
    check_version(&database, version.flatten().as_deref())?;
    Ok(server)
}

fn connect(address: &str, password: Option<&str>, database: &Database) -> Result<Server, WebError> {
    let refused = |what: String| WebError::Database { path: database.shown(), what: printable(&what) };
    // What is wrong with an address may quote the password in it.
    let mut config: Config =
        address.parse().map_err(|_| refused("this is no address of a database".to_owned()))?;
    if let (None, Some(password)) = (config.get_password(), password) {
        config.password(password);
    }
    let here = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|a: std::net::IpAddr| a.is_loopback())
        }
    };
    if !config.get_hosts().iter().all(here) && config.get_ssl_mode() != SslMode::Disable {
        return Err(refused(
            "the connection would not be encrypted: tunnel it, or add `?sslmode=disable` where the network is trusted"
                .to_owned(),
        ));
    }
    config.application_name("stemmata").connect_timeout(Duration::from_secs(10));
    // A server that was cut off is noticed, not waited for.
    config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(30));
    let client = session(&config).map_err(|error| refused(error.to_string()))?;
    Ok(Server { config, client, open: false })
}

fn session(config: &Config) -> Result<Client, StoreError> {
    let mut client = config.connect(NoTls)?;
    client.batch_execute(
        "SET synchronous_commit = on; SET lock_timeout = '10s'; SET statement_timeout = '60s'",
    )?;
    Ok(client)
}

/// The version of the tables: nothing where there are none, `Some(None)` where there are others of these names.
fn version(server: &mut Server) -> Result<Option<Option<String>>, StoreError> {
    let query = "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name IN ('meta', \
                 'battles', 'votes')";
    match first(server, query, &[])?.map_or(0, |row| row[0].whole()) {
        0 => Ok(None),
        3 => {
            let row = first(server, "SELECT value FROM meta WHERE name = 'schema'", &[])?;
            Ok(Some(row.map(|row| row[0].text().to_owned())))
        }
        _ => Ok(Some(None)),
    }
}

impl Sql for Server {
    fn run(&mut self, statement: &str, values: &[Cell]) -> Result<(), StoreError> {
        self.client.execute(&numbered(statement), &bound(values))?;
        Ok(())
    }

    fn rows(&mut self, query: &str, values: &[Cell], each: Each<'_>) -> Result<(), StoreError> {
        let mut rows = self.client.query_raw(&numbered(query), bound(values))?;
        let mut cells = Vec::new();
        while let Some(row) = rows.next()? {
            cells.clear();
            for (place, column) in row.columns().iter().enumerate() {
                cells.push(match *column.type_() {
                    Type::INT8 => Cell::Whole(row.try_get(place)?),
                    Type::INT4 => Cell::Whole(i64::from(row.try_get::<_, i32>(place)?)),
                    Type::TEXT | Type::VARCHAR | Type::NAME => Cell::Text(row.try_get(place)?),
                    ref other => {
                        let what = format!("a value of the type {other} in column {place}");
                        return Err(StoreError::Other(what));
                    }
                });
            }
            each(&cells)?;
        }
        Ok(())
    }

    fn batch(&mut self, statements: &str) -> Result<(), StoreError> {
        // Whatever becomes of a commit or a rollback, the transaction is over.
        self.open &= !matches!(statements, "COMMIT" | "ROLLBACK");
        Ok(self.client.batch_execute(statements)?)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if self.client.is_closed() || self.client.batch_execute("BEGIN").is_err() {
            self.client = session(&self.config)?;
            self.client.batch_execute("BEGIN")?;
        }
        self.open = true;
        Ok(())
    }

    fn begin_to_read(&mut self) -> Result<(), StoreError> {
        self.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.open = true;
        Ok(())
    }

    fn is_in_transaction(&self) -> bool {
        self.open && !self.client.is_closed()
    }

    fn why_ended(&self) -> StoreError {
        StoreError::Other("the connection to the database was lost".to_owned())
    }

    fn serialise(&mut self) -> Result<(), StoreError> {
        self.run("SELECT pg_advisory_xact_lock(?1)", &[Cell::Whole(LOCK)])
    }
}

/// `?1` as PostgreSQL writes it. No statement of this program has a question mark of its own.
fn numbered(statement: &str) -> String {
    statement.replace('?', "$")
}

fn bound(values: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    let each = values.iter().map(|value| -> &(dyn ToSql + Sync) {
        match value {
            Cell::Text(text) => text,
            Cell::Whole(number) => number,
        }
    });
    each.collect()
}
