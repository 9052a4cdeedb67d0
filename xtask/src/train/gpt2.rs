//! A GPT-2-style decoder: LayerNorm, learned positions, GELU, Conv1D weights of [in, out], tied head.

use candle_core::{D, Device, Result, Tensor};
use serde_json::{Value, json};

use super::fused::gelu;
use super::layers::{LayerNorm, attention, join_heads, linear, split_heads};
use super::parameters::Parameters;

/// The sizes of a decoder; the feed-forward block is four times as wide as the residual stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) vocabulary: usize,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) context: usize,
}

const EPSILON: f64 = 1e-5;

impl Shape {
    /// The fields of `config.json`.
    pub(crate) fn config(&self) -> Value {
        json!({
            "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "torch_dtype": "bfloat16",
            "vocab_size": self.vocabulary, "n_embd": self.hidden, "n_layer": self.layers,
            "n_head": self.heads, "n_positions": self.context, "n_ctx": self.context,
            "activation_function": "gelu_new", "layer_norm_epsilon": EPSILON, "tie_word_embeddings": true
        })
    }
}

/// The decoder.
#[derive(Debug)]
pub(crate) struct Gpt2 {
    shape: Shape,
    tokens: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

#[derive(Debug)]
struct Layer {
    attention_norm: LayerNorm,
    packed: Conv1D,
    output: Conv1D,
    feed_forward_norm: LayerNorm,
    up: Conv1D,
    down: Conv1D,
}

impl Gpt2 {
    /// A fresh model whose tensors are named as Hugging Face names them.
    pub(crate) fn new(parameters: &mut Parameters, shape: Shape) -> Result<Self> {
        let width = shape.hidden;
        let tokens = parameters.matrix("transformer.wte.weight", &[shape.vocabulary, width])?;
        let positions = parameters.matrix("transformer.wpe.weight", &[shape.context, width])?;
        let layers = (0..shape.layers)
            .map(|layer| Layer::new(parameters, &format!("transformer.h.{layer}."), width))
            .collect::<Result<_>>()?;
        let norm = LayerNorm::new(parameters, "transformer.ln_f", width, EPSILON)?;
        Ok(Self { shape, tokens, positions, layers, norm })
    }

    /// Logits of [batch * positions, vocabulary].
    pub(crate) fn logits(&self, ids: &[u32], batch: usize) -> Result<Tensor> {
        let length = ids.len() / batch;
        let rows = self.tokens.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?;
        let rows = rows.reshape((batch, length, self.shape.hidden))?;
        let mut x = rows.broadcast_add(&self.positions.narrow(0, 0, length)?)?;
        for layer in &self.layers {
            x = layer.forward(&x, self.shape.heads)?;
        }
        linear(&self.norm.forward(&x)?, &self.tokens)?.flatten_to(D::Minus2)
    }
}

impl Layer {
    fn new(parameters: &mut Parameters, prefix: &str, width: usize) -> Result<Self> {
        Ok(Self {
            attention_norm: LayerNorm::new(parameters, &format!("{prefix}ln_1"), width, EPSILON)?,
            packed: Conv1D::new(parameters, &format!("{prefix}attn.c_attn"), width, 3 * width)?,
            output: Conv1D::new(parameters, &format!("{prefix}attn.c_proj"), width, width)?,
            feed_forward_norm: LayerNorm::new(parameters, &format!("{prefix}ln_2"), width, EPSILON)?,
            up: Conv1D::new(parameters, &format!("{prefix}mlp.c_fc"), width, 4 * width)?,
            down: Conv1D::new(parameters, &format!("{prefix}mlp.c_proj"), 4 * width, width)?,
        })
    }

    fn forward(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        let width = x.dim(2)?;
        let packed = self.packed.forward(&self.attention_norm.forward(x)?)?;
        let part = |index: usize| split_heads(&packed.narrow(2, index * width, width)?.contiguous()?, heads);
        let mixed = join_heads(&attention(&part(0)?, &part(1)?, &part(2)?, true)?)?;
        let x = (x + self.output.forward(&mixed)?)?;
        let units = gelu(&self.up.forward(&self.feed_forward_norm.forward(&x)?)?)?;
        x + self.down.forward(&units)?
    }
}

/// GPT-2's linear layer, stored as [in, out].
#[derive(Debug)]
struct Conv1D {
    weight: Tensor,
    bias: Tensor,
}

impl Conv1D {
    fn new(parameters: &mut Parameters, name: &str, input: usize, output: usize) -> Result<Self> {
        let weight = parameters.matrix(&format!("{name}.weight"), &[input, output])?;
        Ok(Self { weight, bias: parameters.zeros(&format!("{name}.bias"), output)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight.t()?)?.broadcast_add(&self.bias)
    }
}
