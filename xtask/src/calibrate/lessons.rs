//! What a model of the study learns from: text, a teacher's probabilities, pictures.

use std::rc::Rc;

use candle_core::{Result, Tensor};

use crate::material::glyphs::{BASE_ALPHABET, Picture, draw};
use crate::material::random::Random;
use crate::material::tokenizer::Tokenizer;
use crate::train::batches::Batch;
use crate::train::fused::{cross_entropy, softmax};
use crate::train::minicpm::MiniCpm;
use crate::train::optimizer::{Recipe, train};
use crate::train::parameters::Parameters;

/// Windows of text at each step.
const TEXTS: usize = 8;
/// Pictures at each step, where there are any.
const PICTURES: usize = 12;

/// From a batch to its logits of [rows, vocabulary].
pub(crate) type Logits = Box<dyn Fn(&Batch) -> Result<Tensor>>;

/// A model and how it learns.
pub(crate) struct Model {
    pub(crate) logits: Logits,
    pub(crate) lesson: Lesson,
}

/// What the loss is made of.
pub(crate) enum Lesson {
    /// The next token.
    Text,
    /// The teacher's probabilities of the next token, at temperature one and without the text's own
    /// (Hinton et al. 2015).
    Teacher(Logits),
    /// The next token, and the captions of pictures beside it.
    Pictures(Rc<MiniCpm>, Tokenizer),
}

/// How long a model learns, and in which order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) recipe: Recipe,
    /// Tokens of a window.
    pub(crate) context: usize,
    /// Seed of the order of the data.
    pub(crate) order: u64,
}

impl Model {
    /// Trains on windows of a text.
    pub(crate) fn fit(&self, parameters: &Parameters, course: Course, training: &[u32]) -> Result<()> {
        let mut random = Random::new(course.order, "data order");
        let mut pictures = Random::new(course.order, "pictures");
        train(parameters, course.recipe, || {
            let batch = Batch::draw(&mut random, training, TEXTS, course.context);
            let logits = (self.logits)(&batch)?;
            match &self.lesson {
                Lesson::Text => cross_entropy(&logits, &batch.targets, &batch.weights()),
                Lesson::Teacher(teacher) => imitation(&logits, &teacher(&batch)?),
                Lesson::Pictures(model, tokenizer) => {
                    let shown: Vec<Picture> =
                        (0..PICTURES).map(|_| draw(&mut pictures, BASE_ALPHABET)).collect();
                    cross_entropy(&logits, &batch.targets, &batch.weights())?
                        + model.picture_loss(tokenizer, &shown)?
                }
            }
        })?;
        Ok(())
    }

    /// Loss in nats per token of held-out text, whatever the model learned from.
    pub(crate) fn loss(&self, held_out: &[u32], context: usize) -> Result<f64> {
        let batch = Batch::draw(&mut Random::new(0, "evaluation"), held_out, 32, context);
        let loss = cross_entropy(&(self.logits)(&batch)?, &batch.targets, &batch.weights())?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    /// Nats of the caption of a held-out picture, if the model sees.
    pub(crate) fn picture_loss(&self) -> Result<Option<f64>> {
        let Lesson::Pictures(model, tokenizer) = &self.lesson else { return Ok(None) };
        let mut random = Random::new(0, "evaluation pictures");
        let shown: Vec<Picture> = (0..64).map(|_| draw(&mut random, BASE_ALPHABET)).collect();
        Ok(Some(model.read(tokenizer, &shown, &shown)?.nats))
    }
}

/// Mean cross-entropy from the teacher's distribution to the student's, in nats. No gradient reaches the teacher.
fn imitation(student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let expected = softmax(teacher, 1.0, false)?.detach();
    let picked = (&expected * student)?.sum(1)?;
    (student.log_sum_exp(1)? - picked)?.mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn imitation_is_least_at_the_teacher() {
        let teacher = Tensor::new(&[[0.5_f32, -1.0, 2.0], [0.0, 0.3, -0.4]], &Device::Cpu).unwrap();
        let student = Var::from_tensor(&(&teacher + 1.5).unwrap()).unwrap();
        let loss = imitation(&student, &teacher).unwrap();
        let gradients = loss.backward().unwrap();
        let at_rest = gradients.get(&student).unwrap().abs().unwrap().max_all().unwrap();
        assert!(at_rest.to_scalar::<f32>().unwrap() < 1e-6);
        let other = imitation(&teacher.neg().unwrap(), &teacher).unwrap();
        assert!(other.to_scalar::<f32>().unwrap() > loss.to_scalar::<f32>().unwrap());
    }
}
