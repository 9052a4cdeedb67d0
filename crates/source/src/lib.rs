//! A reference to bytes.
//!
//! Answers: *where do the bytes of this model lie, and how are they read without trusting them?*
//! The only room that opens files for reading models, and the only one that may map them. Must not know: statistics,
//! architectures, reports.

mod directory;
mod error;
mod file;
mod hash;
mod merge;
mod open;
mod shards;
mod side;
mod store;
mod weights;

pub use error::SourceError;
pub use file::{Backend, FileBytes, FileId};
pub use hash::{FileDigest, combined_digest, digest_files, inventory_digest};
pub use open::{OpenOptions, Opened, open, read_prefix, read_whole};
pub use weights::CheckpointWeights;
