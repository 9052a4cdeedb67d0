//! A named array, between training and a file.

use half::{bf16, f16};

use crate::material::random::Random;

/// A tensor with its name, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// How numbers are stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Bf16,
    F16,
    F32,
}

impl Stored {
    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Stored::Bf16 | Stored::F16 => 2,
            Stored::F32 => 4,
        }
    }
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

    /// Little-endian bytes, rounded to nearest even.
    pub(crate) fn bytes(&self, stored: Stored) -> Vec<u8> {
        let values = self.values.iter();
        match stored {
            Stored::Bf16 => values.flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
            Stored::F16 => values.flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
            Stored::F32 => values.flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}
