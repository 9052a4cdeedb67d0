//! The wire format of an inspection.

use super::comparison::{Input, Remark, Tool};
use super::{SCHEMA_VERSION, convert};
use crate::Context;
use crate::text::clean;
use serde::Serialize;
use stemmata_audit as audit;

/// Outcome of `inspect`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Version of this format.
    pub schema_version: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The command line that gives the result again.
    pub command: String,
    /// The model; its `role` is `model`.
    pub input: Input,
    /// Weight files.
    pub files: Vec<StoredFile>,
    /// Components.
    pub components: Vec<Part>,
    /// Tokenizer, when one was found.
    pub tokenizer: Option<Tokenizer>,
    /// Stored tensors, in name order.
    pub tensors: Vec<Tensor>,
    /// Remarks.
    pub findings: Vec<Remark>,
}

/// A weight file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredFile {
    /// Relative to the checkpoint.
    pub name: String,
    /// Size.
    pub bytes: u64,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Which.
    pub name: &'static str,
    /// Parameters.
    pub parameters: u64,
    /// Logical tensors.
    pub tensors: usize,
    /// Layers.
    pub layers: u32,
    /// Width of the residual stream; nothing when unknown.
    pub width: Option<u64>,
    /// Query heads.
    pub query_heads: Option<u64>,
    /// Key-value heads.
    pub kv_heads: Option<u64>,
    /// Head width.
    pub head_width: Option<u64>,
    /// `rms`, `layer` or `unknown`.
    pub norm: &'static str,
    /// Whether its feed-forward block is gated.
    pub gated: bool,
}

/// A tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tokenizer {
    /// Tokens.
    pub tokens: usize,
    /// Kind, as its file says.
    pub kind: Option<String>,
}

/// A stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Outermost first.
    pub shape: Vec<u64>,
    /// Encoding.
    pub encoding: String,
    /// File.
    pub file: String,
    /// What it is for, or why nothing is known.
    pub purpose: String,
}

impl Inspection {
    /// Converts an inspection.
    pub fn new(i: &audit::Inspection, context: &Context) -> Inspection {
        let tensor = |t: &audit::TensorRow| Tensor {
            name: clean(&t.name),
            shape: t.shape.clone(),
            encoding: clean(&t.encoding),
            file: clean(&t.file),
            purpose: clean(&t.purpose),
        };
        Inspection {
            schema_version: SCHEMA_VERSION,
            tool: Tool::new(context),
            command: clean(&context.command),
            input: Input::new("model", &i.facts),
            files: i
                .files
                .iter()
                .map(|(name, bytes)| StoredFile { name: clean(name), bytes: *bytes })
                .collect(),
            components: i.components.iter().map(part).collect(),
            tokenizer: i
                .tokenizer
                .as_ref()
                .map(|(tokens, kind)| Tokenizer { tokens: *tokens, kind: kind.as_deref().map(clean) }),
            tensors: i.tensors.iter().map(tensor).collect(),
            findings: convert::remarks(&i.findings),
        }
    }
}

fn part(c: &audit::ComponentFacts) -> Part {
    let known = |n: u64| (n > 0).then_some(n);
    Part {
        name: c.info.component.name(),
        parameters: c.parameters,
        tensors: c.tensors,
        layers: c.info.layers,
        width: known(c.info.residual),
        query_heads: known(c.info.query_heads),
        kv_heads: known(c.info.kv_heads),
        head_width: known(c.info.head_dim),
        norm: match c.info.norm {
            audit::Norm::Rms => "rms",
            audit::Norm::Layer => "layer",
            audit::Norm::Unknown => "unknown",
        },
        gated: c.info.gated,
    }
}
