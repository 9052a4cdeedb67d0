//! One stored state of a model: its inventory and what it says of itself.

use crate::{Config, Tensor};

/// The container the weights were found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// safetensors, one file or sharded.
    Safetensors,
    /// GGUF, one file or split.
    Gguf,
    /// PyTorch zip archive (1.6 and later).
    TorchZip,
    /// PyTorch legacy stream (before 1.6).
    TorchLegacy,
    /// One array of NumPy.
    Npy,
    /// A zip archive of arrays of NumPy.
    Npz,
    /// ONNX, with or without external data.
    Onnx,
    /// Flax, in MessagePack.
    Msgpack,
}

impl Container {
    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Container::Safetensors => "safetensors",
            Container::Gguf => "gguf",
            Container::TorchZip => "torch-zip",
            Container::TorchLegacy => "torch-legacy",
            Container::Npy => "npy",
            Container::Npz => "npz",
            Container::Onnx => "onnx",
            Container::Msgpack => "flax-msgpack",
        }
    }
}

/// One weight file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path relative to the checkpoint's directory; for a single file its own name.
    pub name: String,
    /// Bytes.
    pub len: u64,
}

/// What the card and the metadata claim. Never evidence (STYLE, invariant 10).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// `base_model` entries of the card, or GGUF's `general.base_model.*`.
    pub base_model: Vec<String>,
    /// `base_model_relation` of the card.
    pub base_model_relation: Option<String>,
    /// `license` of the card or of the GGUF metadata.
    pub license: Option<String>,
    /// The name the file gives itself.
    pub name: Option<String>,
}

/// A tokenizer as a value: enough to compare vocabularies, no encoder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokenizer {
    /// Tokens in id order; holes are empty.
    pub tokens: Vec<String>,
    /// `BPE`, `Unigram`, `gpt2`, … as the file says.
    pub kind: Option<String>,
}

/// One stored state: tensor inventory, configuration, tokenizer, claims.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Container format.
    pub container: Container,
    /// Weight files, in name order.
    pub files: Vec<FileEntry>,
    /// All tensors, in name order (bytewise); names are unique.
    pub tensors: Vec<Tensor>,
    /// `config.json` or the GGUF keys.
    pub config: Config,
    /// What the card claims.
    pub declared: Declared,
    /// The tokenizer, where one was found.
    pub tokenizer: Option<Tokenizer>,
}

impl Checkpoint {
    /// Total number of stored elements in float-like tensors.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().filter(|t| t.encoding.is_float()).map(Tensor::elements).sum()
    }
}
