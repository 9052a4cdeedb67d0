//! Inner products of all models at one place.

use super::{MixturePass, Place};
use crate::PairKey;
use crate::study::rounding::{spacing, to_bf16, to_f16};
use stemmata_model::{DType, Encoding, ReadError};

/// Elements that are multiplied at a time: the values of all models stay in the second-level cache.
const CHUNK: usize = 1024;
/// Partial sums of one product.
const LANES: usize = 8;

/// The models at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    /// Which matrix.
    pub key: PairKey,
    /// The candidate's stored tensor that the matrix is all or a part of.
    pub tensor: usize,
    /// Elements of the matrix.
    pub size: u64,
    /// Elements that were looked at.
    pub n: u64,
    /// Inner products of the models, row-major, symmetric; the candidate is 0.
    pub products: Vec<f64>,
    /// Per model: how it is stored.
    pub encodings: Vec<Encoding>,
    /// Per model: significand bits (hidden bit included) of the coarsest of f32, f16 and bf16 that holds every value, or that it is
    /// stored in; 0 where it is stored as codes or in eight bits.
    pub significands: Vec<u32>,
    /// Per model: Σ spacing²/12 over the elements, what one rounding to that significand leaves on average; 0 with codes.
    pub roundings: Vec<f64>,
    /// Per model: elements that equal the candidate's.
    pub equal: Vec<u64>,
}

impl Gram {
    /// Models.
    pub fn models(&self) -> usize {
        self.encodings.len()
    }

    /// The inner product of two models.
    pub fn product(&self, a: usize, b: usize) -> f64 {
        self.products[a * self.models() + b]
    }
}

/// Reads the sample of every matrix of the plan in all models once. O(elements · models²) time, in memory
/// O(threads · models · largest sample).
pub fn grams(pass: MixturePass<'_>) -> Result<Vec<Gram>, ReadError> {
    let all: Vec<usize> = (0..pass.models.len()).collect();
    pass.each(|_, place| {
        let values = pass.read(place, &all)?;
        Ok(gram(place, &values, pass))
    })
}

fn gram(place: &Place, values: &[Vec<f32>], pass: MixturePass<'_>) -> Gram {
    let models = values.len();
    let encoding = |model: usize| {
        let tensor = pass.models[model].tensors().get(place.views[model].tensor);
        tensor.map_or(Encoding::Plain(DType::F32), |tensor| tensor.encoding)
    };
    let encodings: Vec<Encoding> = (0..models).map(encoding).collect();
    let significands: Vec<u32> = (0..models).map(|i| significand(encodings[i], &values[i])).collect();
    let rounding = |i: usize| match significands[i] {
        0 => 0.0,
        bits => values[i].iter().map(|x| spacing(*x, bits).powi(2)).sum::<f64>() / 12.0,
    };
    let equal = |other: &Vec<f32>| values[0].iter().zip(other).filter(|(a, b)| a == b).count() as u64;
    Gram {
        key: place.key,
        tensor: place.views[0].tensor,
        size: place.views[0].elements(),
        n: values[0].len() as u64,
        products: products(values),
        roundings: (0..models).map(rounding).collect(),
        significands,
        equal: values.iter().map(equal).collect(),
        encodings,
    }
}

fn significand(encoding: Encoding, values: &[f32]) -> u32 {
    let stored = match encoding {
        Encoding::Plain(DType::BF16) => return 8,
        Encoding::Plain(DType::F16) => 11,
        Encoding::Plain(DType::F32 | DType::F64) => 24,
        _ => return 0,
    };
    match () {
        () if values.iter().all(|x| to_bf16(*x) == *x) => 8,
        () if values.iter().all(|x| to_f16(*x) == *x) => 11,
        () => stored,
    }
}

/// All inner products. A product of two f32 is exact in f64, so the sums do not depend on fused instructions.
fn products(values: &[Vec<f32>]) -> Vec<f64> {
    let models = values.len();
    let mut sums = vec![0.0; models * models];
    let mut wide: Vec<Vec<f64>> = vec![Vec::with_capacity(CHUNK); models];
    let n = values[0].len();
    for start in (0..n).step_by(CHUNK) {
        let end = (start + CHUNK).min(n);
        for (wide, values) in wide.iter_mut().zip(values) {
            wide.clear();
            wide.extend(values[start..end].iter().map(|x| f64::from(*x)));
        }
        for a in 0..models {
            for b in a..models {
                sums[a * models + b] += dot(&wide[a], &wide[b]);
            }
        }
    }
    for a in 0..models {
        for b in 0..a {
            sums[a * models + b] = sums[b * models + a];
        }
    }
    sums
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (pieces_a, pieces_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = pieces_a.remainder().iter().zip(pieces_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in pieces_a.zip(pieces_b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f64>() + rest
}
