//! The vocabulary that every other room speaks.
//!
//! Answers: *what is a tensor, a checkpoint, a hazard, and how are weights asked for?*
//! Must not know: files, formats, architectures, statistics.

#![forbid(unsafe_code)]

mod checkpoint;
mod config;
mod encoding;
mod hazard;
mod reference;
mod tensor;
mod text;
mod weights;

pub use checkpoint::{Checkpoint, Container, Declared, FileEntry, Tokenizer};
pub use config::{Config, Value};
pub use encoding::{Block, DType, Encoding, Packing};
pub use hazard::{Hazard, Level};
pub use reference::{BucketStore, ModelRef, ReferenceError, Site};
pub use tensor::{Shape, Storage, Tensor};
pub use text::printable;
pub use weights::{Digest, InMemory, ReadError, Span, Weights};
