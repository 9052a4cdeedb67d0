//! Why a model cannot be opened.

use stemmata_formats::{AdapterError, FormatError};

/// How names of files end that belong to a model and are none.
const BESIDE_WEIGHTS: &[&str] = &[".json", ".md", ".txt", ".py", ".yaml", ".jinja", "tokenizer.model"];

/// Why a model cannot be opened. Hints are separate from the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No such file or directory, or not permitted.
    #[error("cannot open `{path}`: {reason}")]
    Open {
        /// As written, printable.
        path: String,
        /// The operating system's words.
        reason: String,
        /// The error itself.
        #[source]
        source: std::io::Error,
    },
    /// Something other than a regular file where a weight file was expected.
    #[error("cannot read `{path}`: it is {kind}, not a regular file")]
    NotAFile {
        /// Printable.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A directory without weights.
    #[error("no weights in `{path}`: no file of a format that is read was found")]
    NoWeights {
        /// Printable.
        path: String,
    },
    /// A weight file that leaves the checkpoint's directory.
    #[error("refusing `{path}`: it leads outside the checkpoint's directory")]
    Escapes {
        /// Printable.
        path: String,
    },
    /// A file that the shard map names is missing.
    #[error("cannot read `{file}`: the shard map names it, but it is not there")]
    MissingShard {
        /// Printable.
        file: String,
    },
    /// The same tensor in two shards.
    #[error("tensor `{tensor}` is in both `{first}` and `{second}`")]
    TensorTwice {
        /// Printable.
        tensor: String,
        /// Printable.
        first: String,
        /// Printable.
        second: String,
    },
    /// Too much to open.
    #[error("refusing `{path}`: {what} is above the limit of {limit}")]
    Limit {
        /// Printable.
        path: String,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A file could not be read to its end for its digest.
    #[error("cannot hash `{file}`: bytes {start}..{end}: {reason}")]
    Hash {
        /// Relative to the checkpoint, printable.
        file: String,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// The operating system's words.
        reason: String,
        /// The error itself.
        #[source]
        source: std::io::Error,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// After a `+` stands something other than an adapter.
    #[error("`{path}` is no adapter: `{file}` is missing")]
    NotAnAdapter {
        /// Printable.
        path: String,
        /// What an adapter has.
        file: String,
    },
    /// An adapter changes a tensor of its base that is not read as numbers.
    #[error("cannot add an adapter to tensor `{tensor}`: it is not stored as numbers that this build reads")]
    NotMergeable {
        /// Printable.
        tensor: String,
    },
    /// The adapter does not belong to the base, or asks for what is not read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The file is not what a reader can read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It lies elsewhere, and the network must not be touched.
    #[error("cannot open `{reference}`: it lies elsewhere, and `--offline` was asked for")]
    Offline {
        /// Printable.
        reference: String,
    },
    /// Something could not be fetched.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Fetch(#[from] crate::remote::FetchError),
    /// A reference that this build cannot open.
    #[error("cannot open `{reference}`: {reason}")]
    Unsupported {
        /// Printable.
        reference: String,
        /// Why.
        reason: &'static str,
    },
}

impl SourceError {
    /// What failed to be fetched, where a reader of bytes passed that on.
    pub(crate) fn of_fetching(self) -> SourceError {
        #[cfg(feature = "net")]
        if let SourceError::Format(FormatError::Io { source, .. }) | SourceError::Open { source, .. } = &self
            && let Some(fetch) = source.get_ref().and_then(|e| e.downcast_ref::<crate::remote::FetchError>())
        {
            return SourceError::Fetch(fetch.clone());
        }
        self
    }

    /// What the reader could do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SourceError::NoWeights { .. } => Some(
                "give the directory that holds the weight files, or one weight file; `stemmata inspect` lists what it reads",
            ),
            SourceError::MissingShard { .. } => {
                Some("the download looks incomplete; fetch the missing shard")
            }
            SourceError::Escapes { .. } => Some(
                "links may lead into the `blobs` folder of the same hub cache entry only; copy the file if you trust it",
            ),
            SourceError::NotAnAdapter { .. } => Some(
                "write `BASE+ADAPTER`, both directories; a path that exists is taken as it is, `+` or not",
            ),
            SourceError::Unsupported { .. } => {
                Some("download it with another tool and give the local directory")
            }
            SourceError::Open { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some("check the spelling; a model of the hub is written `hf:org/name`")
            }
            SourceError::Offline { .. } => Some(
                "fetch it with another tool first: the hub's cache and Ollama's store are read offline, too",
            ),
            #[cfg(feature = "net")]
            SourceError::Fetch(error) => error.hint,
            SourceError::Hash { .. } => {
                Some("the file looks truncated or changed while it was read; fetch it again")
            }
            SourceError::Format(FormatError::Unknown { file, .. })
                if BESIDE_WEIGHTS.iter().any(|end| file.to_lowercase().ends_with(end)) =>
            {
                Some("this file lies beside the weights; give the directory that holds them")
            }
            _ => None,
        }
    }
}
