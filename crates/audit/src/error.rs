//! Why a use case could not be carried out.

use stemmata_fingerprint::{DecodeError, SpoolError};
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
    /// What is done of a sketch cannot be kept.
    #[error("cannot keep what is done of the sketch: {0}")]
    Spool(std::io::Error),
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
    /// Votes cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Votes {
        /// Printable.
        path: String,
        /// Why.
        source: stemmata_rating::votes::VoteError,
    },
    /// A table cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Table {
        /// Printable.
        path: String,
        /// Why.
        source: stemmata_rating::tables::TableError,
    },
    /// The result would replace a table that it was made from.
    #[error("refusing to write `{path}`: it is one of the tables")]
    OutputIsTable {
        /// As written, printable.
        path: String,
    },
    /// A set of models of which none has a rating.
    #[error("no model in `{set}` has a rating")]
    NobodyRated {
        /// As written, printable.
        set: String,
    },
    /// A family that no table names.
    #[error("no registry lists `{name}`, and no card names it")]
    NoFamily {
        /// Printable.
        name: String,
    },
    /// A sample of a registry does not hold together, or is of another registry.
    #[error("the sample `{path}`, row {row}: {what}")]
    Sample {
        /// Printable.
        path: String,
        /// Where.
        row: u64,
        /// In a sentence.
        what: String,
    },
    /// What was asked for does not fit the votes.
    #[error(transparent)]
    Rate(stemmata_rating::RateError),
    /// The scale cannot be fixed at a contestant without a rating.
    #[error("the votes allow no rating for the anchor `{name}`")]
    AnchorWithoutRating {
        /// Printable.
        name: String,
    },
    /// The result would replace the votes that it was made from.
    #[error("refusing to write `{path}`: it holds the votes")]
    OutputIsVotes {
        /// As written, printable.
        path: String,
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

impl From<SpoolError> for AuditError {
    fn from(error: SpoolError) -> AuditError {
        match error {
            SpoolError::Read(error) => error.into(),
            SpoolError::Spool(error) => AuditError::Spool(error),
        }
    }
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
            AuditError::Spool(_) => Some("name a place with more room after `-o`".to_owned()),
            AuditError::NotComparable { .. } => {
                Some("make both sketches with the same version and options".to_owned())
            }
            AuditError::Votes { source, .. } => source.hint().map(str::to_owned),
            AuditError::Table { source: stemmata_rating::tables::TableError::MissingColumn { .. }, .. } => {
                Some("docs/standings.md lists the columns of each kind of table".to_owned())
            }
            AuditError::NobodyRated { .. } => {
                Some("openness comes from `--models`, countries from `--regions`; names are compared letter by letter".to_owned())
            }
            AuditError::Rate(stemmata_rating::RateError::NoAnchor { .. }) => Some(
                "names are compared letter by letter; `--format tsv` without an anchor lists them".to_owned(),
            ),
            AuditError::Rate(stemmata_rating::RateError::Bootstrap { .. }) => {
                Some("name a column of clusters with `--cluster`, or rely on the sandwich".to_owned())
            }
            AuditError::AnchorWithoutRating { .. } => {
                Some("choose a contestant that was beaten and has beaten, or leave the anchor out".to_owned())
            }
            AuditError::OutputIsInput { .. }
            | AuditError::OutputIsVotes { .. }
            | AuditError::OutputIsTable { .. } => {
                Some("name another file after `-o`".to_owned())
            }
            AuditError::NeedsEverything { .. } => {
                Some("allow it with `--budget full`, or fetch the model first".to_owned())
            }
            AuditError::Read(ReadError::Fetch { .. }) => {
                Some("what was fetched is kept; run it again to go on".to_owned())
            }
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
