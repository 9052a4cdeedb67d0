//! A named array, between training and a file.

use half::bf16;

use crate::material::random::Random;

/// A tensor with its name, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl Array {
    /// The same values as bf16 holds them.
    pub(crate) fn rounded(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = bf16::from_f32(*value).to_f32());
        self
    }

    /// The same values with independent Gaussian noise of this standard deviation.
    pub(crate) fn noised(mut self, sigma: f64, seed: u64) -> Self {
        let mut random = Random::new(seed, &format!("noise of {}", self.name));
        self.values.iter_mut().for_each(|value| *value += (sigma * random.normal()) as f32);
        self
    }

    /// Little-endian bf16 bytes, rounded to nearest even.
    pub(crate) fn bf16_bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect()
    }
}
