//! A Llama-style decoder: RMSNorm, rotary positions (half-split), grouped queries, SwiGLU, untied head.

use candle_core::{D, Device, Result, Tensor};
use serde_json::{Value, json};

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
}

/// Base of the rotary frequencies.
pub(crate) const THETA: f64 = 10_000.0;
/// Added to the mean square in RMSNorm.
pub(crate) const EPSILON: f64 = 1e-5;

impl Shape {
    /// The fields of `config.json` that every Llama-like configuration shares.
    pub(crate) fn config(&self) -> Value {
        json!({
            "vocab_size": self.vocabulary, "hidden_size": self.hidden,
            "intermediate_size": self.intermediate, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden / self.heads, "hidden_act": "silu",
            "max_position_embeddings": self.context, "rms_norm_eps": EPSILON, "rope_theta": THETA,
            "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false
        })
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
    output: Tensor,
    feed_forward_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
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
        let head = parameters.matrix(&format!("{prefix}lm_head.weight"), &[vocabulary, hidden])?;
        let rotary = rotary(shape.hidden / shape.heads, shape.context)?;
        Ok(Self { shape, embedding, layers, norm, head, rotary })
    }

    /// Embeddings of [batch, positions] ids, as [batch, positions, hidden].
    pub(crate) fn embed(&self, ids: &[u32], batch: usize) -> Result<Tensor> {
        let rows = self.embedding.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?;
        rows.reshape((batch, ids.len() / batch, self.shape.hidden))
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
        let Shape { hidden, intermediate, .. } = shape;
        let narrow = hidden / shape.heads * shape.kv_heads;
        let name = |inner: &str| format!("{prefix}{inner}.weight");
        Ok(Self {
            attention_norm: parameters.ones(&name("input_layernorm"), hidden)?,
            query: parameters.matrix(&name("self_attn.q_proj"), &[hidden, hidden])?,
            key: parameters.matrix(&name("self_attn.k_proj"), &[narrow, hidden])?,
            value: parameters.matrix(&name("self_attn.v_proj"), &[narrow, hidden])?,
            output: parameters.matrix(&name("self_attn.o_proj"), &[hidden, hidden])?,
            feed_forward_norm: parameters.ones(&name("post_attention_layernorm"), hidden)?,
            gate: parameters.matrix(&name("mlp.gate_proj"), &[intermediate, hidden])?,
            up: parameters.matrix(&name("mlp.up_proj"), &[intermediate, hidden])?,
            down: parameters.matrix(&name("mlp.down_proj"), &[hidden, intermediate])?,
        })
    }

    fn forward(&self, x: &Tensor, shape: Shape, rotary: &Tensor) -> Result<Tensor> {
        let normed = rms_norm(x, &self.attention_norm, EPSILON)?;
        let q = rotate(&split_heads(&linear(&normed, &self.query)?, shape.heads)?, rotary)?;
        let k = rotate(&split_heads(&linear(&normed, &self.key)?, shape.kv_heads)?, rotary)?;
        let v = split_heads(&linear(&normed, &self.value)?, shape.kv_heads)?;
        let (k, v) = (repeat(&k, shape.heads)?, repeat(&v, shape.heads)?);
        let mixed = join_heads(&attention(&q, &k, &v, true)?)?;
        let x = (x + linear(&mixed, &self.output)?)?;

        let normed = rms_norm(&x, &self.feed_forward_norm, EPSILON)?;
        let units = swiglu(&linear(&normed, &self.gate)?, &linear(&normed, &self.up)?)?;
        x + linear(&units, &self.down)?
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
