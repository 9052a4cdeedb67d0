//! Operations with a hand-written gradient, where a chain of elementary ones would be several times slower.
//!
//! Each works row by row in a fixed order, so that results do not depend on the number of threads.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// Row-wise softmax of `scale * x`; of [.., n, n] only on and below the diagonal if `is_causal`.
pub(crate) fn softmax(x: &Tensor, scale: f32, is_causal: bool) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Softmax { scale, is_causal })
}

/// `x / rms(x) * gain` over the last axis.
pub(crate) fn rms_norm(x: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    x.contiguous()?.apply_op2(gain, RmsNorm { epsilon: epsilon as f32 })
}

/// `silu(gate) * up`.
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.contiguous()?.apply_op2(&up.contiguous()?, SwiGlu)
}

/// GELU in its tanh form, as GPT-2 and SigLIP use it.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu)
}

/// Turns the pairs (i, i + width / 2) of [.., positions, width] by the angle whose cosine and sine the table of
/// [positions, width / 2, 2] holds.
pub(crate) fn rotate(x: &Tensor, table: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(table, Rotate { direction: 1.0 })
}

/// Mean negative log-probability of the targets; `weights` says how much each row counts.
pub(crate) fn cross_entropy(logits: &Tensor, targets: &[u32], weights: &[f32]) -> Result<Tensor> {
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let weights = weights.iter().map(|weight| (f64::from(*weight) / total) as f32).collect();
    logits.contiguous()?.apply_op1(CrossEntropy { targets: targets.to_vec(), weights })
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) =
        layout.contiguous_offsets().expect("every argument is made contiguous before the call");
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn width(layout: &Layout) -> usize {
    *layout.dims().last().expect("no scalars here")
}

struct Softmax {
    scale: f32,
    is_causal: bool,
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, width) = (slice(storage, layout)?, width(layout));
        let mut result = vec![0.0; x.len()];
        for (row, (x, y)) in x.chunks(width).zip(result.chunks_mut(width)).enumerate() {
            let seen = if self.is_causal { row % width + 1 } else { width };
            let largest = x[..seen].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (x, y) in x[..seen].iter().zip(y.iter_mut()) {
                *y = (self.scale * (x - largest)).exp();
            }
            let inverse = 1.0 / y[..seen].iter().sum::<f32>();
            y.iter_mut().for_each(|y| *y *= inverse);
        }
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backward = SoftmaxBackward { scale: self.scale };
        Ok(Some(result.apply_op2_no_bwd(&gradient.contiguous()?, &backward)?))
    }
}

struct SoftmaxBackward {
    scale: f32,
}

impl CustomOp2 for SoftmaxBackward {
    fn name(&self) -> &'static str {
        "softmax-backward"
    }

    fn cpu_fwd(
        &self,
        y: &CpuStorage,
        y_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (y, g, width) = (slice(y, y_layout)?, slice(g, g_layout)?, width(y_layout));
        let mut result = vec![0.0; y.len()];
        for ((y, g), r) in y.chunks(width).zip(g.chunks(width)).zip(result.chunks_mut(width)) {
            let mean: f32 = y.iter().zip(g).map(|(y, g)| y * g).sum();
            for ((y, g), r) in y.iter().zip(g).zip(r) {
                *r = self.scale * y * (g - mean);
            }
        }
        Ok((CpuStorage::F32(result), y_layout.shape().clone()))
    }
}

struct RmsNorm {
    epsilon: f32,
}

impl RmsNorm {
    fn inverse(&self, x: &[f32]) -> f32 {
        let squares: f32 = x.iter().map(|x| x * x).sum();
        1.0 / (squares / x.len() as f32 + self.epsilon).sqrt()
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gain) = (slice(x, x_layout)?, slice(gain, gain_layout)?);
        let mut result = Vec::with_capacity(x.len());
        for x in x.chunks(gain.len()) {
            let inverse = self.inverse(x);
            result.extend(x.iter().zip(gain).map(|(x, gain)| x * inverse * gain));
        }
        Ok((CpuStorage::F32(result), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let part = |wants_gain| {
            let backward = RmsNormBackward { norm: RmsNorm { epsilon: self.epsilon }, wants_gain };
            x.apply_op3_no_bwd(gain, &gradient, &backward)
        };
        Ok((Some(part(false)?), Some(part(true)?)))
    }
}

struct RmsNormBackward {
    norm: RmsNorm,
    /// The gradient of the gain instead of that of the input.
    wants_gain: bool,
}

impl CustomOp3 for RmsNormBackward {
    fn name(&self) -> &'static str {
        "rms-norm-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gain, g) = (slice(x, x_layout)?, slice(gain, gain_layout)?, slice(g, g_layout)?);
        let width = gain.len();
        let rows = x.chunks(width).zip(g.chunks(width));
        if self.wants_gain {
            let mut result = vec![0.0; width];
            for (x, g) in rows {
                let inverse = self.norm.inverse(x);
                for ((x, g), r) in x.iter().zip(g).zip(&mut result) {
                    *r += x * inverse * g;
                }
            }
            return Ok((CpuStorage::F32(result), gain_layout.shape().clone()));
        }
        let mut result = Vec::with_capacity(x.len());
        for (x, g) in rows {
            let inverse = self.norm.inverse(x);
            let dot: f32 = x.iter().zip(g).zip(gain).map(|((x, g), gain)| x * g * gain).sum();
            let shared = dot * inverse * inverse / width as f32;
            result.extend(x.iter().zip(g).zip(gain).map(|((x, g), gain)| inverse * (g * gain - x * shared)));
        }
        Ok((CpuStorage::F32(result), x_layout.shape().clone()))
    }
}

struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (slice(gate, layout)?, slice(up, up_layout)?);
        let result = gate.iter().zip(up).map(|(gate, up)| gate * sigmoid(*gate) * up).collect();
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let part = |wants_up| gate.apply_op3_no_bwd(up, &gradient, &SwiGluBackward { wants_up });
        Ok((Some(part(false)?), Some(part(true)?)))
    }
}

struct SwiGluBackward {
    /// The gradient of `up` instead of that of `gate`.
    wants_up: bool,
}

impl CustomOp3 for SwiGluBackward {
    fn name(&self) -> &'static str {
        "swiglu-backward"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up, g) = (slice(gate, layout)?, slice(up, up_layout)?, slice(g, g_layout)?);
        let elements = gate.iter().zip(up).zip(g);
        let result = elements
            .map(|((gate, up), g)| {
                let open = sigmoid(*gate);
                if self.wants_up { g * gate * open } else { g * up * open * (1.0 + gate * (1.0 - open)) }
            })
            .collect();
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

struct Gelu;

/// The tanh in GELU, and the derivative of its argument.
fn gelu_parts(x: f32) -> (f32, f32) {
    const FACTOR: f32 = 0.797_884_6; // sqrt(2 / pi)
    const CUBIC: f32 = 0.044_715;
    // tanh(z) = 2 sigmoid(2 z) - 1, one exponential instead of a call that is several times slower.
    let open = sigmoid(2.0 * FACTOR * (x + CUBIC * x * x * x));
    (2.0 * open - 1.0, FACTOR * (1.0 + 3.0 * CUBIC * x * x))
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let result = x.iter().map(|x| 0.5 * x * (1.0 + gelu_parts(*x).0)).collect();
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.apply_op2_no_bwd(&gradient.contiguous()?, &GeluBackward)?))
    }
}

struct GeluBackward;

impl CustomOp2 for GeluBackward {
    fn name(&self) -> &'static str {
        "gelu-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, g) = (slice(x, layout)?, slice(g, g_layout)?);
        let slope = |x: f32| {
            let (tanh, inner) = gelu_parts(x);
            0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner
        };
        let result = x.iter().zip(g).map(|(x, g)| g * slope(*x)).collect();
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }
}

struct Rotate {
    /// 1 forwards, -1 for the inverse, which is the gradient's way back.
    direction: f32,
}

impl CustomOp2 for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, table, width) = (slice(x, layout)?, slice(table, table_layout)?, width(layout));
        let (half, positions) = (width / 2, layout.dims()[layout.dims().len() - 2]);
        let mut result = vec![0.0; x.len()];
        for (row, (x, y)) in x.chunks(width).zip(result.chunks_mut(width)).enumerate() {
            let angles = &table[row % positions * width..][..width];
            for i in 0..half {
                let (cosine, sine) = (angles[2 * i], self.direction * angles[2 * i + 1]);
                y[i] = x[i] * cosine - x[i + half] * sine;
                y[i + half] = x[i + half] * cosine + x[i] * sine;
            }
        }
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        table: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let back = Rotate { direction: -self.direction };
        Ok((Some(gradient.contiguous()?.apply_op2_no_bwd(table, &back)?), None))
    }
}

struct CrossEntropy {
    targets: Vec<u32>,
    /// Adding up to one.
    weights: Vec<f32>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, width) = (slice(storage, layout)?, width(layout));
        let mut loss = 0.0_f64;
        for (x, (target, weight)) in x.chunks(width).zip(self.targets.iter().zip(&self.weights)) {
            let (largest, sum) = normaliser(x);
            loss += f64::from(weight * (sum.ln() + largest - x[*target as usize]));
        }
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backward = CrossEntropyBackward {
            targets: self.targets.clone(),
            weights: self.weights.clone(),
            gradient: gradient.to_scalar()?,
        };
        Ok(Some(x.apply_op1_no_bwd(&backward)?))
    }
}

struct CrossEntropyBackward {
    targets: Vec<u32>,
    weights: Vec<f32>,
    gradient: f32,
}

impl CustomOp1 for CrossEntropyBackward {
    fn name(&self) -> &'static str {
        "cross-entropy-backward"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, width) = (slice(storage, layout)?, width(layout));
        let mut result = Vec::with_capacity(x.len());
        for (x, (target, weight)) in x.chunks(width).zip(self.targets.iter().zip(&self.weights)) {
            let (largest, sum) = normaliser(x);
            let factor = self.gradient * weight;
            let row = result.len();
            result.extend(x.iter().map(|x| factor * (x - largest).exp() / sum));
            result[row + *target as usize] -= factor;
        }
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }
}

/// The largest element, and the sum of the exponentials of the distances from it.
fn normaliser(x: &[f32]) -> (f32, f32) {
    let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (largest, x.iter().map(|x| (x - largest).exp()).sum())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Compares the gradient of `sum(f(x) * c)` for fixed random c with central differences.
    fn check(shape: &[usize], f: impl Fn(&Tensor) -> Result<Tensor>) {
        let count: usize = shape.iter().product();
        let mut random = crate::material::random::Random::new(1, "gradient");
        let mut draw = |n| (0..n).map(|_| random.normal() as f32).collect::<Vec<f32>>();
        let x = draw(count);
        let at = |x: &[f32]| Var::from_slice(x, shape, &Device::Cpu).unwrap();
        let outputs = f(at(&x).as_tensor()).unwrap();
        let c = Tensor::from_vec(draw(outputs.elem_count()), outputs.shape(), &Device::Cpu).unwrap();
        let objective = |x: &Var| (f(x.as_tensor()).unwrap() * &c).unwrap().sum_all().unwrap();
        let variable = at(&x);
        let gradients = objective(&variable).backward().unwrap();
        let gradient: Vec<f32> = gradients.get(&variable).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        for i in 0..count {
            let value = |shift| {
                let mut x = x.clone();
                x[i] += shift;
                objective(&at(&x)).to_scalar::<f32>().unwrap()
            };
            let numeric = (value(1e-2) - value(-1e-2)) / 2e-2;
            assert!((numeric - gradient[i]).abs() < 5e-3, "{i}: {numeric} and {}", gradient[i]);
        }
    }

    fn constant(shape: &[usize]) -> Tensor {
        let mut random = crate::material::random::Random::new(2, "constant");
        let values = (0..shape.iter().product()).map(|_| random.normal() as f32).collect::<Vec<_>>();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients_agree_with_differences() {
        check(&[2, 3, 3], |x| softmax(x, 0.7, true));
        check(&[2, 4], |x| softmax(x, 0.7, false));
        check(&[3, 4], |x| rms_norm(x, &constant(&[4]), 1e-5));
        check(&[4], |gain| rms_norm(&constant(&[3, 4]), gain, 1e-5));
        check(&[3, 4], |gate| swiglu(gate, &constant(&[3, 4])));
        check(&[3, 4], |up| swiglu(&constant(&[3, 4]), up));
        check(&[3, 4], gelu);
        check(&[2, 3, 4], |x| rotate(x, &constant(&[3, 2, 2])));
        check(&[3, 4], |x| cross_entropy(x, &[1, 0, 3], &[1.0, 0.0, 2.0]));
    }
}
