//! Why something could not be fetched.

use stemmata_model::printable;

/// Why something could not be fetched, with its subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot fetch `{subject}`: {reason}")]
pub struct FetchError {
    /// File or repository, printable.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// What the user could do about it.
    pub hint: Option<&'static str>,
    /// Whether the user asked to stop.
    pub(crate) interrupted: bool,
}

impl FetchError {
    pub(crate) fn new(subject: &str, reason: impl Into<String>) -> FetchError {
        FetchError {
            subject: printable(subject),
            reason: printable(&reason.into()),
            hint: None,
            interrupted: false,
        }
    }

    pub(crate) fn with_hint(self, hint: &'static str) -> FetchError {
        FetchError { hint: Some(hint), ..self }
    }

    pub(crate) fn interrupted(subject: &str) -> FetchError {
        FetchError { interrupted: true, ..FetchError::new(subject, "interrupted") }
    }

    /// As the port for bytes tells it.
    pub(crate) fn into_io(self) -> std::io::Error {
        let kind = if self.interrupted { std::io::ErrorKind::Interrupted } else { std::io::ErrorKind::Other };
        std::io::Error::new(kind, self)
    }
}
