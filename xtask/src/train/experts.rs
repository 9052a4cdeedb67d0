//! A sparse mixture of feed-forward blocks under Mixtral's names.

use candle_core::{D, Device, Result, Tensor};

use super::fused::softmax;
use super::layers::linear;
use super::llama::SwiGlu;
use super::parameters::Parameters;

/// Experts that each token uses.
pub(crate) const ACTIVE: usize = 2;

/// A router and its experts.
#[derive(Debug)]
pub(crate) struct Experts {
    /// [experts, hidden].
    router: Tensor,
    experts: Vec<SwiGlu>,
}

impl Experts {
    /// A fresh mixture of `count` experts.
    pub(crate) fn new(
        parameters: &mut Parameters,
        prefix: &str,
        hidden: usize,
        intermediate: usize,
        count: usize,
    ) -> Result<Self> {
        let router = parameters.matrix(&format!("{prefix}gate.weight"), &[count, hidden])?;
        let expert = |expert| {
            let names = ["w1", "w3", "w2"].map(|part| format!("{prefix}experts.{expert}.{part}.weight"));
            SwiGlu::new(parameters, names, hidden, intermediate)
        };
        Ok(Self { router, experts: (0..count).map(expert).collect::<Result<_>>()? })
    }

    /// The chosen experts' outputs, weighted by the softmax over the chosen (Jiang et al. 2024, section 2.1). Every
    /// expert is run on every token: at these sizes gathering costs more.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.flatten_to(D::Minus2)?;
        let open = softmax(&linear(&rows, &self.router)?, 1.0, false)?;
        let kept = (&open * chosen(&open)?)?;
        let weights = kept.broadcast_div(&kept.sum_keepdim(D::Minus1)?)?;
        let mut sum = rows.zeros_like()?;
        for (index, expert) in self.experts.iter().enumerate() {
            sum = (sum + expert.forward(&rows)?.broadcast_mul(&weights.narrow(1, index, 1)?)?)?;
        }
        sum.reshape(x.shape())
    }
}

/// One for the [`ACTIVE`] largest of each row, zero for the others; no gradient passes.
fn chosen(open: &Tensor) -> Result<Tensor> {
    let mask: Vec<f32> = open
        .to_vec2::<f32>()?
        .iter()
        .flat_map(|row| {
            let rank = |x: &f32| row.iter().filter(|other| *other > x).count();
            row.iter().map(move |x| if rank(x) < ACTIVE { 1.0 } else { 0.0 })
        })
        .collect();
    Tensor::from_vec(mask, open.shape(), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_uses_its_two_best_experts() {
        let open = Tensor::new(&[[0.1_f32, 0.4, 0.2, 0.3], [0.7, 0.1, 0.15, 0.05]], &Device::Cpu).unwrap();
        let mask = chosen(&open).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(mask, [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]);
    }

    #[test]
    fn experts_that_are_not_chosen_do_not_matter() {
        let mut parameters = Parameters::new(3);
        let experts = Experts::new(&mut parameters, "", 4, 6, 4).unwrap();
        let x = Tensor::new(&[[[0.9_f32, -0.2, 0.4, 0.3]]], &Device::Cpu).unwrap();
        let before = experts.forward(&x).unwrap();
        assert_eq!(before.dims(), x.dims());
        let open = linear(&x.flatten_to(D::Minus2).unwrap(), &experts.router).unwrap();
        let mask = chosen(&open).unwrap().to_vec2::<f32>().unwrap();
        for (index, chosen) in mask[0].iter().enumerate() {
            let mut arrays = parameters.arrays().unwrap();
            arrays.retain(|array| array.name == format!("experts.{index}.w2.weight"));
            let old = arrays.clone();
            arrays[0].values.iter_mut().for_each(|value| *value += 1.0);
            parameters.assign(&arrays).unwrap();
            let changed = (experts.forward(&x).unwrap() - &before).unwrap().sqr().unwrap();
            let changed = changed.sum_all().unwrap().to_scalar::<f32>().unwrap();
            assert_eq!(changed > 0.0, *chosen > 0.0, "expert {index}");
            parameters.assign(&old).unwrap();
        }
    }
}
