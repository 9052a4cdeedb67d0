//! Why a file cannot be read. Hostile but readable content is a hazard, not an error.

use std::io;

/// A file that cannot be read. Text from the file has been made printable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The content is of no format that this crate reads.
    #[error("`{file}` is not a checkpoint in a known format: {seen}")]
    Unknown {
        /// File, printable.
        file: String,
        /// What the content looks like.
        seen: &'static str,
    },
    /// The file ends before something it declares.
    #[error("`{file}`: {subject} claims bytes {start}..{end}, {place} ends at {available}")]
    Truncated {
        /// File, printable.
        file: String,
        /// What claims the bytes, for instance a tensor with its name.
        subject: String,
        /// First byte, from the start of `place`.
        start: u64,
        /// One past the last byte, from the start of `place`.
        end: u64,
        /// What ends too early: `file`, or a part of it such as `header`.
        place: &'static str,
        /// Where it ends.
        available: u64,
    },
    /// The content contradicts its format.
    #[error("`{file}`: {subject} (bytes {start}..{end}): {reason}")]
    Malformed {
        /// File, printable.
        file: String,
        /// What is wrong, for instance a tensor with its name.
        subject: String,
        /// First byte of the part concerned, from the start of the file.
        start: u64,
        /// One past its last byte.
        end: u64,
        /// Why.
        reason: String,
    },
    /// Something is larger than [`crate::Limits`] allow.
    #[error("`{file}`: {subject} is {claimed}, the limit is {limit}")]
    Limit {
        /// File, printable.
        file: String,
        /// What is too large, with its unit.
        subject: String,
        /// What the file claims, or how far reading got.
        claimed: u64,
        /// The limit.
        limit: u64,
    },
    /// The content is well-formed as far as seen, but this build does not read it.
    #[error("`{file}`: {subject} is not supported: {reason}")]
    Unsupported {
        /// File, printable.
        file: String,
        /// What is not supported.
        subject: String,
        /// Why, and what would help.
        reason: String,
    },
    /// The bytes could not be obtained.
    #[error("cannot read bytes {start}..{end} of `{file}`")]
    Io {
        /// File, printable.
        file: String,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}
