//! A vision-language model in the layout of MiniCPM-Llama3-V 2.5.

use candle_core::{D, Result, Tensor};

use super::fused::cross_entropy;
use super::llama::{Llama, Shape};
use super::parameters::Parameters;
use super::resampler::Resampler;
use super::teacher::Teacher;
use super::vision::Vision;
use crate::layout::{BEGIN, END, IMAGE_BEGIN, IMAGE_END};
use crate::material::glyphs::Picture;
use crate::material::tokenizer::Tokenizer;

/// Language model, tower and resampler.
#[derive(Debug)]
pub(crate) struct MiniCpm {
    pub(crate) language: Llama,
    vision: Vision,
    resampler: Resampler,
    teacher: Teacher,
}

/// How well pictures are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// Nats for a whole caption.
    pub(crate) nats: f64,
    /// Part of the captions that greedy decoding (with the true prefix) gets right in every token.
    pub(crate) right: f64,
}

impl MiniCpm {
    /// A fresh model.
    pub(crate) fn new(parameters: &mut Parameters, shape: Shape) -> Result<Self> {
        Ok(Self {
            language: Llama::new(parameters, "llm.", shape)?,
            vision: Vision::new(parameters)?,
            resampler: Resampler::new(parameters, shape.hidden)?,
            teacher: Teacher::new(parameters)?,
        })
    }

    /// Loss per caption token plus the teacher's loss per character, in nats.
    pub(crate) fn picture_loss(&self, tokenizer: &Tokenizer, pictures: &[Picture]) -> Result<Tensor> {
        let captions = Captions::new(tokenizer, pictures);
        let features = self.vision.forward(pictures)?;
        let logits = self.caption_logits(tokenizer, &features, &captions)?;
        let told = cross_entropy(&logits, &captions.targets, &captions.weights)?;
        told + self.teacher.loss(&features, pictures)?
    }

    /// How well the captions of `texts` are predicted when `shown` is what the tower sees.
    pub(crate) fn read(
        &self,
        tokenizer: &Tokenizer,
        shown: &[Picture],
        texts: &[Picture],
    ) -> Result<Reading> {
        let captions = Captions::new(tokenizer, texts);
        let logits = self.caption_logits(tokenizer, &self.vision.forward(shown)?, &captions)?;
        let loss = cross_entropy(&logits, &captions.targets, &captions.weights)?.to_scalar::<f32>()?;
        let tokens: f32 = captions.weights.iter().sum();
        let best = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let wrong = |row: usize| {
            let at = row * captions.length..(row + 1) * captions.length;
            at.into_iter().any(|i| captions.weights[i] > 0.0 && best[i] != captions.targets[i])
        };
        let right = (0..texts.len()).filter(|row| !wrong(*row)).count();
        let count = texts.len() as f64;
        Ok(Reading { nats: f64::from(loss * tokens) / count, right: right as f64 / count })
    }

    /// Logits at the positions of `captions`, as [pictures * length, vocabulary].
    fn caption_logits(
        &self,
        tokenizer: &Tokenizer,
        features: &Tensor,
        captions: &Captions,
    ) -> Result<Tensor> {
        let batch = features.dim(0)?;
        let opening = [tokenizer.special(BEGIN), tokenizer.special(IMAGE_BEGIN)].repeat(batch);
        let parts = [
            self.language.embed(&opening, batch)?,
            self.resampler.forward(features)?,
            self.language.embed(&captions.inputs, batch)?,
        ];
        let hidden = self.language.hidden(&Tensor::cat(&parts, 1)?)?;
        let start = hidden.dim(1)? - captions.length;
        self.language.logits(&hidden.narrow(1, start, captions.length)?.contiguous()?)
    }
}

/// Captions after the visual tokens, padded to one length.
struct Captions {
    length: usize,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

impl Captions {
    fn new(tokenizer: &Tokenizer, pictures: &[Picture]) -> Self {
        let end = tokenizer.special(END);
        let texts: Vec<Vec<u32>> =
            pictures.iter().map(|picture| tokenizer.encode(&picture.caption())).collect();
        let length = 1 + texts.iter().map(Vec::len).max().unwrap_or(0);
        let mut captions = Self { length, inputs: Vec::new(), targets: Vec::new(), weights: Vec::new() };
        for text in texts {
            let padding = length - 1 - text.len();
            captions.inputs.push(tokenizer.special(IMAGE_END));
            captions.inputs.extend(&text);
            captions.inputs.extend(vec![end; padding]);
            captions.targets.extend(&text);
            captions.targets.extend(vec![end; padding + 1]);
            captions.weights.extend(vec![1.0; text.len() + 1]);
            captions.weights.extend(vec![0.0; padding]);
        }
        captions
    }
}
