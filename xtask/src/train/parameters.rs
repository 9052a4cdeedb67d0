//! The trainable tensors of a model, named, in the order in which the model asked for them.

use candle_core::{Device, Result, Tensor, Var};

use crate::layout::array::Array;
use crate::material::random::Random;

/// Standard deviation of the initial weights, GPT-2's.
const DEVIATION: f64 = 0.02;

/// Named variables. Each is initialised from the seed and its own name, whatever else the model holds.
#[derive(Debug)]
pub(crate) struct Parameters {
    seed: u64,
    entries: Vec<(String, Var)>,
}

impl Parameters {
    /// No variables yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, entries: Vec::new() }
    }

    /// A Gaussian matrix (or tensor of higher rank).
    pub(crate) fn matrix(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let mut random = Random::new(self.seed, name);
        let values = (0..shape.iter().product()).map(|_| (DEVIATION * random.normal()) as f32).collect();
        self.add(name, shape, values)
    }

    /// A vector of ones: a gain.
    pub(crate) fn ones(&mut self, name: &str, length: usize) -> Result<Tensor> {
        self.add(name, &[length], vec![1.0; length])
    }

    /// A vector of zeros: a bias.
    pub(crate) fn zeros(&mut self, name: &str, length: usize) -> Result<Tensor> {
        self.add(name, &[length], vec![0.0; length])
    }

    fn add(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<Tensor> {
        let variable = Var::from_vec(values, shape, &Device::Cpu)?;
        let tensor = variable.as_tensor().clone();
        self.entries.push((name.to_owned(), variable));
        Ok(tensor)
    }

    /// The variables in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Var> {
        self.entries.iter().map(|(_, variable)| variable)
    }

    /// Current values.
    pub(crate) fn arrays(&self) -> Result<Vec<Array>> {
        let read = |(name, variable): &(String, Var)| {
            let values = variable.flatten_all()?.to_vec1()?;
            Ok(Array { name: name.clone(), shape: variable.dims().to_vec(), values })
        };
        self.entries.iter().map(read).collect()
    }

    /// Takes over these values by name; what they do not name keeps its own.
    pub(crate) fn assign(&self, arrays: &[Array]) -> Result<()> {
        for array in arrays {
            let entry = self.entries.iter().find(|(name, _)| *name == array.name);
            let (_, variable) = entry.expect("the arrays are of the same model");
            variable.set(&Tensor::from_slice(&array.values, variable.shape(), &Device::Cpu)?)?;
        }
        Ok(())
    }
}
