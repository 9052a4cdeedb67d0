//! Which database? A file, or a server of PostgreSQL.

use super::StoreError;
use crate::error::WebError;
use std::path::{Path, PathBuf};
use stemmata_audit::printable;

/// Where votes are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of SQLite.
    File(PathBuf),
    /// A PostgreSQL server, which several servers of pages may share.
    Server {
        /// `postgres://user@host/name`; may hold a password.
        address: String,
        /// The password, where the address has none.
        password: Option<String>,
    },
}

impl Database {
    /// What a user means: an address that begins with `postgres://` or `postgresql://`, anything else is a file.
    pub fn new(given: PathBuf, password: Option<String>) -> Database {
        match given.to_str() {
            Some(text) if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Database::Server { address: text.to_owned(), password }
            }
            _ => Database::File(given),
        }
    }

    /// How it is called in messages: without user, password and options.
    pub fn shown(&self) -> String {
        match self {
            Database::File(path) => printable(&path.display().to_string()),
            Database::Server { address, .. } => {
                let rest = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
                let rest = rest.split('?').next().unwrap_or(rest);
                let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                printable(&format!("postgres://{rest}"))
            }
        }
    }

    /// Where the key of the server lies if nothing else is said: beside the file; in the working directory for a server.
    pub fn key(&self) -> PathBuf {
        match self {
            Database::File(path) => super::beside(path, ".key"),
            Database::Server { .. } => Path::new("stemmata.key").to_owned(),
        }
    }

    /// Whether other servers may add to it at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Database::Server { .. })
    }

    pub(crate) fn failed(&self, error: &StoreError) -> WebError {
        WebError::Database { path: self.shown(), what: printable(&error.to_string()) }
    }
}

// A password must not get into a log.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl From<PathBuf> for Database {
    fn from(path: PathBuf) -> Database {
        Database::new(path, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        let shown = |text: &str| Database::new(PathBuf::from(text), Some("hush".to_owned())).shown();
        for text in [
            "postgres://me:p%40ss@db.example:5433/votes?sslmode=disable",
            "postgresql://me:p@ss@db.example:5433/votes",
        ] {
            assert_eq!(shown(text), "postgres://db.example:5433/votes");
            assert!(!format!("{:?}", Database::new(PathBuf::from(text), None)).contains("ss@"));
        }
        assert_eq!(shown("postgres:votes"), "postgres:votes");
        assert_eq!(Database::from(PathBuf::from("a/votes.sqlite")).key(), Path::new("a/votes.sqlite.key"));
    }
}
