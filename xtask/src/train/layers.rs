//! The arithmetic that the models share, from operations that have a gradient.

use candle_core::{D, Result, Tensor};

use super::fused::{rms_norm, softmax};
use super::parameters::Parameters;

/// `x w^T` for weights stored as [out, in].
pub(crate) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (mut shape, width) = (x.dims().to_vec(), weight.dim(0)?);
    let rows = x.flatten_to(D::Minus2)?;
    *shape.last_mut().expect("a tensor of rank two or more") = width;
    rows.matmul(&weight.t()?)?.reshape(shape)
}

/// A linear map with a bias.
#[derive(Debug)]
pub(crate) struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    /// `name.weight` of [out, in] and `name.bias`.
    pub(crate) fn new(parameters: &mut Parameters, name: &str, input: usize, output: usize) -> Result<Self> {
        let weight = parameters.matrix(&format!("{name}.weight"), &[output, input])?;
        Ok(Self { weight, bias: parameters.zeros(&format!("{name}.bias"), output)? })
    }

    /// `x w^T + b`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight)?.broadcast_add(&self.bias)
    }
}

/// LayerNorm with gain and bias.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    gain: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// `name.weight` and `name.bias`.
    pub(crate) fn new(parameters: &mut Parameters, name: &str, width: usize, epsilon: f64) -> Result<Self> {
        let gain = parameters.ones(&format!("{name}.weight"), width)?;
        Ok(Self { gain, bias: parameters.zeros(&format!("{name}.bias"), width)?, epsilon })
    }

    /// Normalises the last axis.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        rms_norm(&centred, &self.gain, self.epsilon)?.broadcast_add(&self.bias)
    }
}

/// Attention of [batch, heads, positions, width] tensors.
pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, is_causal: bool) -> Result<Tensor> {
    let scale = 1.0 / (q.dim(D::Minus1)? as f32).sqrt();
    softmax(&q.matmul(&k.t()?)?, scale, is_causal)?.matmul(v)
}

/// [batch, positions, heads * width] to [batch, heads, positions, width].
pub(crate) fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, positions, width) = x.dims3()?;
    x.reshape((batch, positions, heads, width / heads))?.transpose(1, 2)?.contiguous()
}

/// [batch, heads, positions, width] to [batch, positions, heads * width].
pub(crate) fn join_heads(x: &Tensor) -> Result<Tensor> {
    x.transpose(1, 2)?.flatten_from(2)
}
