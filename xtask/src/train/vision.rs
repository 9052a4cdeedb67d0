//! A SigLIP-style image encoder under MiniCPM-V's names.

use candle_core::{Device, Result, Tensor};
use serde_json::{Value, json};

use super::fused::gelu;
use super::layers::{Affine, LayerNorm, attention, join_heads, split_heads};
use super::parameters::Parameters;
use crate::material::glyphs::{IMAGE, Picture};

/// Width of the residual stream.
pub(crate) const WIDTH: usize = 96;
/// Transformer layers.
pub(crate) const LAYERS: usize = 2;
/// Attention heads.
pub(crate) const HEADS: usize = 4;
/// Hidden units of a feed-forward block.
pub(crate) const INTERMEDIATE: usize = 192;
/// Pixels along a side of a patch.
pub(crate) const PATCH: usize = 4;
/// Patches along a side of the image.
pub(crate) const GRID: usize = IMAGE / PATCH;

const CHANNELS: usize = 3;
const EPSILON: f64 = 1e-6;

/// The fields of `vision_config`.
pub(crate) fn config() -> Value {
    json!({
        "model_type": "siglip_vision_model", "hidden_size": WIDTH, "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_channels": CHANNELS,
        "image_size": IMAGE, "patch_size": PATCH, "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": EPSILON
    })
}

/// The encoder.
#[derive(Debug)]
pub(crate) struct Vision {
    /// [width, channels, patch, patch], a convolution whose stride is its size.
    patches: Tensor,
    patch_bias: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

#[derive(Debug)]
struct Layer {
    norm_1: LayerNorm,
    query: Affine,
    key: Affine,
    value: Affine,
    output: Affine,
    norm_2: LayerNorm,
    up: Affine,
    down: Affine,
}

impl Vision {
    /// A fresh encoder.
    pub(crate) fn new(parameters: &mut Parameters) -> Result<Self> {
        let embedding = "vpm.embeddings.patch_embedding";
        let patches = parameters.matrix(&format!("{embedding}.weight"), &[WIDTH, CHANNELS, PATCH, PATCH])?;
        let patch_bias = parameters.zeros(&format!("{embedding}.bias"), WIDTH)?;
        let positions =
            parameters.matrix("vpm.embeddings.position_embedding.weight", &[GRID * GRID, WIDTH])?;
        let layers = (0..LAYERS)
            .map(|layer| Layer::new(parameters, &format!("vpm.encoder.layers.{layer}.")))
            .collect::<Result<_>>()?;
        let norm = LayerNorm::new(parameters, "vpm.post_layernorm", WIDTH, EPSILON)?;
        Ok(Self { patches, patch_bias, positions, layers, norm })
    }

    /// Features of [pictures, patches, width].
    pub(crate) fn forward(&self, pictures: &[Picture]) -> Result<Tensor> {
        let kernel = self.patches.reshape((WIDTH, CHANNELS * PATCH * PATCH))?;
        let pixels = cut(pictures)?;
        let embedded = pixels.matmul(&kernel.t()?)?.broadcast_add(&self.patch_bias)?;
        let embedded = embedded.reshape((pictures.len(), GRID * GRID, WIDTH))?;
        let mut x = embedded.broadcast_add(&self.positions)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.norm.forward(&x)
    }
}

impl Layer {
    fn new(parameters: &mut Parameters, prefix: &str) -> Result<Self> {
        let name = |inner: &str| format!("{prefix}{inner}");
        Ok(Self {
            norm_1: LayerNorm::new(parameters, &name("layer_norm1"), WIDTH, EPSILON)?,
            query: Affine::new(parameters, &name("self_attn.q_proj"), WIDTH, WIDTH)?,
            key: Affine::new(parameters, &name("self_attn.k_proj"), WIDTH, WIDTH)?,
            value: Affine::new(parameters, &name("self_attn.v_proj"), WIDTH, WIDTH)?,
            output: Affine::new(parameters, &name("self_attn.out_proj"), WIDTH, WIDTH)?,
            norm_2: LayerNorm::new(parameters, &name("layer_norm2"), WIDTH, EPSILON)?,
            up: Affine::new(parameters, &name("mlp.fc1"), WIDTH, INTERMEDIATE)?,
            down: Affine::new(parameters, &name("mlp.fc2"), INTERMEDIATE, WIDTH)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.norm_1.forward(x)?;
        let heads = |map: &Affine| split_heads(&map.forward(&normed)?, HEADS);
        let mixed = attention(&heads(&self.query)?, &heads(&self.key)?, &heads(&self.value)?, false)?;
        let x = (x + self.output.forward(&join_heads(&mixed)?)?)?;
        let units = gelu(&self.up.forward(&self.norm_2.forward(&x)?)?)?;
        x + self.down.forward(&units)?
    }
}

/// Patches of [pictures * patches, channels * patch * patch], the grey level repeated over the channels.
fn cut(pictures: &[Picture]) -> Result<Tensor> {
    let mut values: Vec<f32> = Vec::with_capacity(pictures.len() * CHANNELS * IMAGE * IMAGE);
    for picture in pictures {
        for patch in 0..GRID * GRID {
            let corner = patch / GRID * PATCH * IMAGE + patch % GRID * PATCH;
            for _ in 0..CHANNELS {
                for row in 0..PATCH {
                    values.extend(&picture.pixels[corner + row * IMAGE..][..PATCH]);
                }
            }
        }
    }
    Tensor::from_vec(values, (pictures.len() * GRID * GRID, CHANNELS * PATCH * PATCH), &Device::Cpu)
}
