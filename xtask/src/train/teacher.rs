//! A classifier on the tower that only training has: the place of the pre-training that real towers come with.
//!
//! Without it, captions alone leave resampler and tower at a plateau where attention is uniform and nothing is read.

use candle_core::{Result, Tensor};

use super::fused::cross_entropy;
use super::layers::Affine;
use super::parameters::Parameters;
use super::vision::{GRID, WIDTH};
use crate::layout::array::Array;
use crate::material::glyphs::{CHARACTERS, GLYPHS, Picture};

/// Before the names of its tensors, which no file holds.
const PREFIX: &str = "teacher.";

/// One linear map from the mean features of a character's columns to the character.
#[derive(Debug)]
pub(crate) struct Teacher {
    classes: Affine,
}

impl Teacher {
    /// A fresh classifier.
    pub(crate) fn new(parameters: &mut Parameters) -> Result<Self> {
        Ok(Self { classes: Affine::new(parameters, &format!("{PREFIX}classes"), WIDTH, CHARACTERS.len())? })
    }

    /// Loss per character for features of [pictures, patches, width].
    pub(crate) fn loss(&self, features: &Tensor, pictures: &[Picture]) -> Result<Tensor> {
        let columns = GRID / GLYPHS;
        let grid = features.reshape((pictures.len(), GRID, GRID, WIDTH))?;
        let mean = |slot| grid.narrow(2, slot * columns, columns)?.contiguous()?.flatten(1, 2)?.mean(1);
        let means = (0..GLYPHS).map(mean).collect::<Result<Vec<Tensor>>>()?;
        let class = |slot: usize, picture: &Picture| {
            let found = CHARACTERS.iter().position(|character| *character == picture.text[slot]);
            found.expect("pictures are drawn from these characters") as u32
        };
        let targets: Vec<u32> =
            (0..GLYPHS).flat_map(|slot| pictures.iter().map(move |picture| class(slot, picture))).collect();
        let logits = self.classes.forward(&Tensor::cat(&means, 0)?)?;
        cross_entropy(&logits, &targets, &vec![1.0; targets.len()])
    }
}

/// What of these belongs to the model.
pub(crate) fn dismiss(mut arrays: Vec<Array>) -> Vec<Array> {
    arrays.retain(|array| !array.name.starts_with(PREFIX));
    arrays
}
