//! Why a use case could not be carried out.

use stemmata_fingerprint::DecodeError;
use stemmata_model::{ReadError, ReferenceError};
use stemmata_source::SourceError;

/// Why a use case could not be carried out. "Inconclusive" is a result, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The reference does not parse.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The model cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Weights cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A saved sketch cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Sketch {
        /// Printable.
        path: String,
        /// Why.
        source: DecodeError,
    },
    /// Two sketches of different make.
    #[error("the sketches are not comparable: their `{parameter}` differs")]
    NotComparable {
        /// The first parameter that differs.
        parameter: &'static str,
    },
    /// A use case that needs weights was given a sketch.
    #[error("`{path}` is a sketch; {verb} needs the weights")]
    NeedsWeights {
        /// Printable.
        path: String,
        /// The verb.
        verb: &'static str,
    },
    /// A use case that reads everything, where not everything may be read.
    #[error("{verb} reads all weights of `{path}`, and the budget does not allow that")]
    NeedsEverything {
        /// Printable.
        path: String,
        /// The verb.
        verb: &'static str,
    },
    /// The result would replace what it was made from.
    #[error("refusing to write `{path}`: it is a file of the model `{reference}`")]
    OutputIsInput {
        /// As written, printable.
        path: String,
        /// As written, printable.
        reference: String,
    },
}

impl AuditError {
    /// What the user could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            AuditError::Reference(error) => Some(error.hint.clone()),
            AuditError::Source(error) => error.hint().map(str::to_owned),
            AuditError::Read(ReadError::Io { .. }) => {
                Some("the file looks truncated or changed while it was read; fetch it again".to_owned())
            }
            AuditError::Sketch { .. } => Some("make the sketch again with `stemmata sketch`".to_owned()),
            AuditError::NotComparable { .. } => {
                Some("make both sketches with the same version and options".to_owned())
            }
            AuditError::NeedsEverything { .. } => {
                Some("allow it with `--budget full`, or fetch the model first".to_owned())
            }
            AuditError::Read(ReadError::Fetch { .. }) => {
                Some("what was fetched is kept; run it again to go on".to_owned())
            }
            AuditError::OutputIsInput { .. } => Some("name another file after `-o`".to_owned()),
            _ => None,
        }
    }

    /// Whether the user asked to stop.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            AuditError::Read(ReadError::Interrupted) | AuditError::Source(SourceError::Interrupted)
        )
    }
}
