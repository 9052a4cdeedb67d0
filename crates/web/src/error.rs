//! Why the page cannot be served, or a vote cannot be taken.

use std::io;

/// Why a use case of this room could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// The configuration cannot be read.
    #[error("cannot read `{path}`: {source}")]
    ConfigFile {
        /// Printable.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The configuration does not say what it must.
    #[error("`{path}`: {what}")]
    Config {
        /// Printable.
        path: String,
        /// What is wrong, with the place.
        what: String,
    },
    /// A recorded answer cannot be used.
    #[error("the recorded answer `{path}`: {what}")]
    Recorded {
        /// Printable.
        path: String,
        /// Why.
        what: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As asked for.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be opened or used.
    #[error("the database `{path}`: {what}")]
    Database {
        /// Printable.
        path: String,
        /// Why.
        what: String,
    },
    /// The address of a server where this build knows files only.
    #[error("the database `{path}`: this program was built without PostgreSQL")]
    NoServer {
        /// Printable.
        path: String,
    },
    /// Another process serves the same database.
    #[error("the database `{path}` is served by another process")]
    Locked {
        /// Printable.
        path: String,
    },
    /// The file of the server's key cannot be made or read.
    #[error("the server's key `{path}`: {what}")]
    Key {
        /// Printable.
        path: String,
        /// Why.
        what: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// The export does not hold together.
    #[error("line {line}: {what}")]
    Chain {
        /// From one.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// An export cannot be written or read.
    #[error("cannot {doing} the export: {source}")]
    Export {
        /// `read` or `write`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The votes cannot be rated.
    #[error(transparent)]
    Rating(#[from] stemmata_audit::AuditError),
    /// The runtime cannot start.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl WebError {
    /// What the user could do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            WebError::ConfigFile { .. } => Some("docs/serve.md has a configuration to start from"),
            WebError::Config { .. } => Some("docs/serve.md lists every key"),
            WebError::Listen { source, .. } => Some(match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program listens there; choose another port with `--listen`"
                }
                io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose one above",
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address; 127.0.0.1 is always there"
                }
                _ => "choose another address with `--listen`",
            }),
            WebError::Locked { .. } => Some("stop it first, or name another file with `--database`"),
            WebError::Database { .. } => Some("name another one with `--database`, or restore this one"),
            WebError::NoServer { .. } => {
                Some("build it with `cargo build --release --features postgres`, or name a file")
            }
            WebError::Key { .. } => Some(
                "the file holds 64 hexadecimal digits; without it a new key is made, and voters get new names",
            ),
            WebError::Chain { .. } => {
                Some("the file was changed or cut after it was exported; export it again")
            }
            _ => None,
        }
    }
}
