//! A Llama-style decoder: RMSNorm, rotary positions (half-split), grouped queries, SwiGLU, untied head.
//!
//! What Qwen2, Qwen3 and Mixtral add to it, and a tied head, are fields of [`Variant`].

use candle_core::{D, Device, Result, Tensor};
use serde_json::{Value, json};

use super::experts::{ACTIVE, Experts};
use super::fused::{rms_norm, rotate, swiglu};
use super::layers::{attention, join_heads, linear, split_heads};
use super::parameters::Parameters;

/// The sizes of a decoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) vocabulary: usize,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) intermediate: usize,
    pub(crate) context: usize,
    pub(crate) variant: Variant,
}

/// What a decoder has beyond Llama.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    /// The query, key and value maps have biases (Qwen2).
    pub(crate) has_biases: bool,
    /// Every head of queries and of keys is normalised (Qwen3).
    pub(crate) has_head_norms: bool,
    /// The head is the embedding.
    pub(crate) is_tied: bool,
    /// Experts of a feed-forward block, of which every token uses two (Mixtral); 0 for one dense block.
    pub(crate) experts: usize,
}

impl Variant {
    /// Llama itself.
    pub(crate) const PLAIN: Self =
        Self { has_biases: false, has_head_norms: false, is_tied: false, experts: 0 };
}

/// Base of the rotary frequencies.
pub(crate) const THETA: f64 = 10_000.0;
/// Added to the mean square in RMSNorm.
pub(crate) const EPSILON: f64 = 1e-5;

impl Shape {
    /// The fields of `config.json` that every Llama-like configuration shares.
    pub(crate) fn config(&self) -> Value {
        let mut config = json!({
            "vocab_size": self.vocabulary, "hidden_size": self.hidden,
            "intermediate_size": self.intermediate, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden / self.heads, "hidden_act": "silu",
            "max_position_embeddings": self.context, "rms_norm_eps": EPSILON, "rope_theta": THETA,
            "tie_word_embeddings": self.variant.is_tied, "attention_bias": self.variant.has_biases,
            "mlp_bias": false
        });
        if self.variant.experts > 0 {
            config["num_local_experts"] = json!(self.variant.experts);
            config["num_experts_per_tok"] = json!(ACTIVE);
        }
        config
    }
}

/// The decoder.
#[derive(Debug)]
pub(crate) struct Llama {
    shape: Shape,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Tensor,
    /// Cosines and sines of [context, head width / 2, 2].
    rotary: Tensor,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    /// Of query, key and value.
    biases: Option<[Tensor; 3]>,
    /// Gains of the norms of query and key heads.
    head_norms: Option<[Tensor; 2]>,
    output: Tensor,
    feed_forward_norm: Tensor,
    feed_forward: FeedForward,
}

#[derive(Debug)]
enum FeedForward {
    Dense(SwiGlu),
    Sparse(Experts),
}

/// A gated feed-forward block: `down (silu(gate x) * up x)`.
#[derive(Debug)]
pub(crate) struct SwiGlu {
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

impl SwiGlu {
    /// A fresh block; `names` are those of the gate, the way up and the way down.
    pub(crate) fn new(
        parameters: &mut Parameters,
        names: [String; 3],
        hidden: usize,
        intermediate: usize,
    ) -> Result<Self> {
        let [gate, up, down] = names;
        Ok(Self {
            gate: parameters.matrix(&gate, &[intermediate, hidden])?,
            up: parameters.matrix(&up, &[intermediate, hidden])?,
            down: parameters.matrix(&down, &[hidden, intermediate])?,
        })
    }

    /// Of the shape of `x`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(&swiglu(&linear(x, &self.gate)?, &linear(x, &self.up)?)?, &self.down)
    }
}

impl Llama {
    /// A fresh model whose tensors are named as Hugging Face names them, behind `prefix`.
    pub(crate) fn new(parameters: &mut Parameters, prefix: &str, shape: Shape) -> Result<Self> {
        let Shape { vocabulary, hidden, .. } = shape;
        let embedding =
            parameters.matrix(&format!("{prefix}model.embed_tokens.weight"), &[vocabulary, hidden])?;
        let layers = (0..shape.layers)
            .map(|layer| Layer::new(parameters, &format!("{prefix}model.layers.{layer}."), shape))
            .collect::<Result<_>>()?;
        let norm = parameters.ones(&format!("{prefix}model.norm.weight"), hidden)?;
        let head = if shape.variant.is_tied {
            embedding.clone()
        } else {
            parameters.matrix(&format!("{prefix}lm_head.weight"), &[vocabulary, hidden])?
        };
        let rotary = rotary(shape.hidden / shape.heads, shape.context)?;
        Ok(Self { shape, embedding, layers, norm, head, rotary })
    }

    /// Embeddings of [batch, positions] ids, as [batch, positions, hidden].
    pub(crate) fn embed(&self, ids: &[u32], batch: usize) -> Result<Tensor> {
        let rows = self.embedding.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?;
        rows.reshape((batch, ids.len() / batch, self.shape.hidden))
    }

    /// Logits of [batch * positions, vocabulary] for [batch, positions] ids.
    pub(crate) fn read(&self, ids: &[u32], batch: usize) -> Result<Tensor> {
        self.logits(&self.hidden(&self.embed(ids, batch)?)?)
    }

    /// The normed output of the last layer for embeddings of [batch, positions, hidden].
    pub(crate) fn hidden(&self, embeddings: &Tensor) -> Result<Tensor> {
        let rotary = self.rotary.narrow(0, 0, embeddings.dim(1)?)?;
        let mut x = embeddings.clone();
        for layer in &self.layers {
            x = layer.forward(&x, self.shape, &rotary)?;
        }
        rms_norm(&x, &self.norm, EPSILON)
    }

    /// Logits of [rows, vocabulary] for hidden states of any leading shape.
    pub(crate) fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        linear(hidden, &self.head)?.flatten_to(D::Minus2)
    }
}

impl Layer {
    fn new(parameters: &mut Parameters, prefix: &str, shape: Shape) -> Result<Self> {
        let Shape { hidden, intermediate, variant, .. } = shape;
        let narrow = hidden / shape.heads * shape.kv_heads;
        let name = |inner: &str| format!("{prefix}{inner}.weight");
        let attention_norm = parameters.ones(&name("input_layernorm"), hidden)?;
        let mut map = |inner: &str, rows| parameters.matrix(&name(inner), &[rows, hidden]);
        let query = map("self_attn.q_proj", hidden)?;
        let key = map("self_attn.k_proj", narrow)?;
        let value = map("self_attn.v_proj", narrow)?;
        let output = map("self_attn.o_proj", hidden)?;
        let mut bias = |inner, rows| parameters.zeros(&format!("{prefix}self_attn.{inner}.bias"), rows);
        let biases = match variant.has_biases {
            true => Some([bias("q_proj", hidden)?, bias("k_proj", narrow)?, bias("v_proj", narrow)?]),
            false => None,
        };
        let mut gain = |inner| parameters.ones(&name(inner), hidden / shape.heads);
        let head_norms = match variant.has_head_norms {
            true => Some([gain("self_attn.q_norm")?, gain("self_attn.k_norm")?]),
            false => None,
        };
        let feed_forward_norm = parameters.ones(&name("post_attention_layernorm"), hidden)?;
        let feed_forward = if variant.experts > 0 {
            let prefix = format!("{prefix}block_sparse_moe.");
            FeedForward::Sparse(Experts::new(parameters, &prefix, hidden, intermediate, variant.experts)?)
        } else {
            let names = ["gate", "up", "down"].map(|part| name(&format!("mlp.{part}_proj")));
            FeedForward::Dense(SwiGlu::new(parameters, names, hidden, intermediate)?)
        };
        Ok(Self {
            attention_norm,
            query,
            key,
            value,
            biases,
            head_norms,
            output,
            feed_forward_norm,
            feed_forward,
        })
    }

    fn forward(&self, x: &Tensor, shape: Shape, rotary: &Tensor) -> Result<Tensor> {
        let normed = rms_norm(x, &self.attention_norm, EPSILON)?;
        let heads = |weight: &Tensor, index: usize, heads| {
            let mapped = linear(&normed, weight)?;
            let mapped = match &self.biases {
                Some(biases) => mapped.broadcast_add(&biases[index])?,
                None => mapped,
            };
            let split = split_heads(&mapped, heads)?;
            match self.head_norms.as_ref().and_then(|gains| gains.get(index)) {
                Some(gain) => rms_norm(&split, gain, EPSILON),
                None => Ok(split),
            }
        };
        let q = rotate(&heads(&self.query, 0, shape.heads)?, rotary)?;
        let k = rotate(&heads(&self.key, 1, shape.kv_heads)?, rotary)?;
        let v = heads(&self.value, 2, shape.kv_heads)?;
        let (k, v) = (repeat(&k, shape.heads)?, repeat(&v, shape.heads)?);
        let mixed = join_heads(&attention(&q, &k, &v, true)?)?;
        let x = (x + linear(&mixed, &self.output)?)?;

        let normed = rms_norm(&x, &self.feed_forward_norm, EPSILON)?;
        x + match &self.feed_forward {
            FeedForward::Dense(block) => block.forward(&normed)?,
            FeedForward::Sparse(experts) => experts.forward(&normed)?,
        }
    }
}

/// Each key-value head for its whole group of query heads.
fn repeat(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, groups, positions, width) = x.dims4()?;
    x.unsqueeze(2)?
        .broadcast_as((batch, groups, heads / groups, positions, width))?
        .contiguous()?
        .reshape((batch, heads, positions, width))
}

/// Cosine and sine of every position's angle at every frequency, as [positions, width / 2, 2].
fn rotary(width: usize, positions: usize) -> Result<Tensor> {
    let half = width / 2;
    let angle = |i: usize| (i / half) as f64 * THETA.powf(-((i % half) as f64) / half as f64);
    let values: Vec<f32> =
        (0..positions * half).flat_map(|i| [angle(i).cos() as f32, angle(i).sin() as f32]).collect();
    Tensor::from_vec(values, (positions, half, 2), &Device::Cpu)
}
