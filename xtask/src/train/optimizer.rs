//! AdamW with a warm-up, a cosine or constant learning rate and clipping of the global norm.

use std::f64::consts::PI;

use candle_core::{Device, Result, Tensor};

use super::parameters::Parameters;

/// How a model is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) steps: usize,
    pub(crate) learning_rate: f64,
    /// Weight decay of matrices, decoupled.
    pub(crate) decay: f64,
    pub(crate) schedule: Schedule,
}

/// What the learning rate does after a warm-up over the first twentieth of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    Constant,
    /// Down to a tenth.
    Cosine,
}

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.95;
const EPSILON: f64 = 1e-8;
/// What most open recipes use.
pub(crate) const WEIGHT_DECAY: f64 = 0.1;
const LARGEST_NORM: f64 = 1.0;

impl Recipe {
    fn rate(&self, step: usize) -> f64 {
        let warm_up = (self.steps / 20).max(1);
        if step < warm_up {
            return self.learning_rate * (step + 1) as f64 / warm_up as f64;
        }
        let done = (step - warm_up) as f64 / (self.steps - warm_up).max(1) as f64;
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine => self.learning_rate * (0.1 + 0.45 * (1.0 + (PI * done).cos())),
        }
    }
}

/// Trains in place. `loss` is asked for once a step. Returns the mean loss of the last twentieth of the steps.
pub(crate) fn train(
    parameters: &Parameters,
    recipe: Recipe,
    mut loss: impl FnMut() -> Result<Tensor>,
) -> Result<f64> {
    let mut moments: Vec<Moments> =
        parameters.variables().map(|variable| Moments::new(variable.elem_count())).collect();
    let tail = (recipe.steps / 20).max(1);
    let mut last = 0.0;
    for step in 0..recipe.steps {
        let loss = loss()?;
        let gradients = loss.backward()?;
        let gradients: Vec<Vec<f32>> = parameters
            .variables()
            .map(|variable| match gradients.get(variable) {
                Some(gradient) => gradient.flatten_all()?.to_vec1(),
                None => Ok(vec![0.0; variable.elem_count()]),
            })
            .collect::<Result<_>>()?;
        let clip = (LARGEST_NORM / (norm(&gradients) + 1e-6)).min(1.0);
        for ((variable, gradient), moments) in parameters.variables().zip(&gradients).zip(&mut moments) {
            let decay = if variable.rank() > 1 { recipe.decay } else { 0.0 };
            let mut values = variable.flatten_all()?.to_vec1()?;
            moments.update(&mut values, gradient, Update { clip, rate: recipe.rate(step), decay, step });
            variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu)?)?;
        }
        if step + tail >= recipe.steps {
            last += f64::from(loss.to_scalar::<f32>()?) / tail as f64;
        }
    }
    Ok(last)
}

fn norm(gradients: &[Vec<f32>]) -> f64 {
    gradients.iter().flatten().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

struct Update {
    clip: f64,
    rate: f64,
    decay: f64,
    step: usize,
}

impl Moments {
    fn new(length: usize) -> Self {
        Self { first: vec![0.0; length], second: vec![0.0; length] }
    }

    /// Loshchilov and Hutter 2019, algorithm 2. Odd in the gradient and free of sums over elements, so that it
    /// commutes with signs and permutations of units.
    fn update(&mut self, values: &mut [f32], gradient: &[f32], update: Update) {
        let count = update.step as i32 + 1;
        let step = (update.rate / (1.0 - BETA_1.powi(count))) as f32;
        let unbias = (1.0 / (1.0 - BETA_2.powi(count))) as f32;
        let keep = (1.0 - update.rate * update.decay) as f32;
        let (clip, epsilon) = (update.clip as f32, EPSILON as f32);
        let (beta_1, beta_2) = (BETA_1 as f32, BETA_2 as f32);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            let gradient = gradient * clip;
            *first = beta_1 * *first + (1.0 - beta_1) * gradient;
            *second = beta_2 * *second + (1.0 - beta_2) * gradient * gradient;
            *value = *value * keep - step * *first / ((*second * unbias).sqrt() + epsilon);
        }
    }
}
