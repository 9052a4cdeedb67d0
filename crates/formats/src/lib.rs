//! Answers: *which tensors does this file hold, how are they stored, and what is odd or dangerous about the file?*
//!
//! Bytes in, inventory and hazards out. The crate never opens a file: it asks for bytes through [`ReadAt`].
//! It never executes anything a file contains and never trusts a length it has not compared with what remains.
//! Must not know: paths, networks, architectures, statistics.
#![forbid(unsafe_code)]

mod adapter;
mod card;
mod config;
mod decode;
mod derived;
mod detect;
mod document;
mod error;
pub mod gguf;
mod hazards;
mod inflate;
mod json;
mod limits;
pub mod msgpack;
pub mod npy;
pub mod onnx;
pub mod packed;
mod port;
pub mod safetensors;
mod shard_map;
mod source;
mod template;
mod tokenizer;
pub mod torch;
mod zip;

pub use adapter::{AdapterConfig, AdapterError, Change};
pub use card::parse_card;
pub use config::parse_config;
pub use decode::decode;
pub use derived::Derived;
pub use detect::{Detected, detect};
pub use error::FormatError;
pub use limits::Limits;
pub use port::ReadAt;
pub use shard_map::{ShardMap, parse_shard_map};
pub use template::{parse_template, parse_templates};
pub use tokenizer::parse_tokenizer;

use std::collections::BTreeMap;
use stemmata_model::{Config, Container, Declared, Hazard, Tensor, Tokenizer};

/// What one weight file holds.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The container format.
    pub container: Container,
    /// Tensors in name order (bytewise); names are unique. `storage.file` is the index the caller gave, or that of a file of
    /// external data. Ranges end where the file does, or where `derived` does.
    pub tensors: Vec<Tensor>,
    /// GGUF keys; empty for the other containers.
    pub config: Config,
    /// What the file claims about its origin.
    pub declared: Declared,
    /// The tokenizer, where the container holds one.
    pub tokenizer: Option<Tokenizer>,
    /// Free text that the container carries beside the tensors (`__metadata__` of safetensors).
    pub metadata: BTreeMap<String, String>,
    /// Odd and dangerous things.
    pub hazards: Vec<Hazard>,
    /// What is read from places behind the end of the file.
    pub derived: Derived,
    /// Files of the same directory, as plain relative paths, that hold numbers of tensors: the first has the index behind the
    /// caller's, and so on. Nothing is known of them but their names.
    pub external: Vec<String>,
}

impl Parsed {
    /// A file without tensors.
    pub(crate) fn of(container: Container, hazards: Vec<Hazard>) -> Parsed {
        Parsed {
            container,
            tensors: Vec::new(),
            config: Config::default(),
            declared: Declared::default(),
            tokenizer: None,
            metadata: BTreeMap::new(),
            hazards,
            derived: Derived::default(),
            external: Vec::new(),
        }
    }
}

/// Reads the inventory of one weight file, whatever container its content says it is.
pub fn parse(file: &dyn ReadAt, name: &str, file_index: u32, limits: &Limits) -> Result<Parsed, FormatError> {
    let source = source::Source::new(file, name);
    match detect::detect_in(&source)? {
        Detected::Safetensors => safetensors::parse(file, name, file_index, limits),
        Detected::Gguf => gguf::parse(file, name, file_index, limits),
        Detected::TorchZip | Detected::TorchLegacy => torch::parse(file, name, file_index, limits),
        Detected::Npy | Detected::Npz => npy::parse(file, name, file_index, limits),
        Detected::Onnx => onnx::parse(file, name, file_index, limits),
        Detected::Msgpack => msgpack::parse(file, name, file_index, limits),
        Detected::Unknown(seen) => Err(FormatError::Unknown { file: source.name.clone(), seen }),
    }
}

/// Interprets `bytes` as one pickle and walks the result; for fuzzing only.
#[doc(hidden)]
pub fn fuzz_pickle(bytes: &[u8]) -> usize {
    torch::fuzz(bytes)
}
