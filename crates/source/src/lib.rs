//! A reference to bytes.
//!
//! Answers: *where do the bytes of this model lie, and how are they read without trusting them?*
//! The only room that opens files for reading models, the only one that may map them, and the only one that opens sockets. Must not know:
//! statistics, architectures, reports.

mod access;
mod cache;
mod directory;
mod error;
mod file;
mod hash;
mod locate;
mod merge;
mod open;
mod pipeline;
#[cfg(feature = "net")]
mod remote;
mod scratch;
mod shards;
mod side;
mod store;
mod stored;
mod stores;
mod weights;

pub use access::{Access, HUB, MODELSCOPE, S3Keys, Secret};
pub use cache::{keep_sketch, kept_sketch};
pub use error::SourceError;
pub use file::{Backend, FileBytes, FileId};
pub use hash::{FileDigest, combined_digest, digest_files, inventory_digest};
pub use open::{OpenOptions, Opened, open, read_prefix, read_whole};
#[cfg(feature = "net")]
pub use remote::FetchError;
pub use scratch::Scratch;
pub use weights::CheckpointWeights;
