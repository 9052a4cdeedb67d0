//! MiniCPM-V's resampler: learned queries that read the image features in one cross-attention.

use candle_core::{Device, Result, Tensor};

use super::layers::{Affine, LayerNorm, attention, join_heads, linear, split_heads};
use super::parameters::Parameters;
use super::vision;

/// Visual tokens that an image becomes.
pub(crate) const QUERIES: usize = 16;

const EPSILON: f64 = 1e-6;
/// Width of an attention head, as in MiniCPM-V.
const HEAD_WIDTH: usize = 128;

/// The resampler.
#[derive(Debug)]
pub(crate) struct Resampler {
    width: usize,
    query: Tensor,
    kv_proj: Tensor,
    /// Query, key and value maps stacked: [3 width, width].
    packed: Tensor,
    packed_bias: Tensor,
    output: Affine,
    norm_query: LayerNorm,
    norm_input: LayerNorm,
    norm_output: LayerNorm,
    projection: Tensor,
    /// Fixed two-dimensional sines and cosines, added to the keys; never stored.
    positions: Tensor,
}

impl Resampler {
    /// A fresh resampler for a language model of this width.
    pub(crate) fn new(parameters: &mut Parameters, width: usize) -> Result<Self> {
        Ok(Self {
            width,
            query: parameters.matrix("resampler.query", &[QUERIES, width])?,
            kv_proj: parameters.matrix("resampler.kv_proj.weight", &[width, vision::WIDTH])?,
            packed: parameters.matrix("resampler.attn.in_proj_weight", &[3 * width, width])?,
            packed_bias: parameters.zeros("resampler.attn.in_proj_bias", 3 * width)?,
            output: Affine::new(parameters, "resampler.attn.out_proj", width, width)?,
            norm_query: LayerNorm::new(parameters, "resampler.ln_q", width, EPSILON)?,
            norm_input: LayerNorm::new(parameters, "resampler.ln_kv", width, EPSILON)?,
            norm_output: LayerNorm::new(parameters, "resampler.ln_post", width, EPSILON)?,
            projection: parameters.matrix("resampler.proj", &[width, width])?,
            positions: positions(width)?,
        })
    }

    /// Visual tokens of [pictures, queries, width] from features of [pictures, patches, vision width].
    pub(crate) fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let batch = features.dim(0)?;
        let heads = (self.width / HEAD_WIDTH).max(1);
        let input = self.norm_input.forward(&linear(features, &self.kv_proj)?)?;
        let query = self.norm_query.forward(&self.query)?;
        let q = self.map(0, &query)?.unsqueeze(0)?.broadcast_as((batch, QUERIES, self.width))?;
        let k = self.map(1, &input.broadcast_add(&self.positions)?)?;
        let v = self.map(2, &input)?;
        let (q, k, v) =
            (split_heads(&q.contiguous()?, heads)?, split_heads(&k, heads)?, split_heads(&v, heads)?);
        let mixed = self.output.forward(&join_heads(&attention(&q, &k, &v, false)?)?)?;
        // Used as `x @ proj`, without a transpose.
        linear(&self.norm_output.forward(&mixed)?, &self.projection.t()?)
    }

    fn map(&self, index: usize, x: &Tensor) -> Result<Tensor> {
        let weight = self.packed.narrow(0, index * self.width, self.width)?;
        linear(x, &weight)?.broadcast_add(&self.packed_bias.narrow(0, index * self.width, self.width)?)
    }
}

/// Half of the channels hold the column, half the row, each as sines then cosines (He et al., MAE).
fn positions(width: usize) -> Result<Tensor> {
    let quarter = width / 4;
    let value = |patch: usize, channel: usize| {
        let place = if channel < width / 2 { patch % vision::GRID } else { patch / vision::GRID };
        let within = channel % (width / 2);
        let angle = place as f64 * 10_000_f64.powf(-((within % quarter) as f64) / quarter as f64);
        (if within < quarter { angle.sin() } else { angle.cos() }) as f32
    };
    let patches = vision::GRID * vision::GRID;
    let values: Vec<f32> = (0..patches * width).map(|i| value(i / width, i % width)).collect();
    Tensor::from_vec(values, (patches, width), &Device::Cpu)
}
