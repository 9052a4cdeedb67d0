//! Vision towers for the rows in which parts of a model pass into another one: trained to read pictures, on their own.

use serde_json::{Value, json};

use super::retrain::Level;
use super::words;
use crate::calibrate::architectures::LLAMA;
use crate::launder::decoder::Decoder;
use crate::layout::array::Array;
use crate::material::glyphs::{BASE_ALPHABET, FINE_TUNE_ALPHABET, Picture, draw};
use crate::material::random::Random;
use crate::train::optimizer::{Recipe, Schedule, WEIGHT_DECAY, train};
use crate::train::parameters::Parameters;
use crate::train::resampler::{QUERIES, Resampler};
use crate::train::teacher::{Teacher, dismiss};
use crate::train::vision::{GRID, PATCH, Vision, config};

/// Pictures at each step.
const PICTURES: usize = 8;
/// Order of the pictures of every base.
const ORDER: u64 = 77;
const RECIPE: Recipe =
    Recipe { steps: 150, learning_rate: 2e-3, decay: WEIGHT_DECAY, schedule: Schedule::Cosine };

/// A tower with the classifier that it is trained by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tower {
    arrays: Vec<Array>,
}

impl Tower {
    /// A tower from its own start.
    pub(super) fn base(seed: u64) -> Result<Self, String> {
        fit(seed, RECIPE, BASE_ALPHABET, None)
    }

    /// After the retraining of a level, on other characters; as many of its own steps as the level has of a decoder's.
    pub(super) fn retrained(&self, level: &Level) -> Result<Self, String> {
        let Some(recipe) = level.recipe else { return Ok(self.clone()) };
        let steps = recipe.steps * RECIPE.steps / LLAMA.recipe.steps;
        let recipe = Recipe { steps, ..recipe };
        fit(0, recipe, FINE_TUNE_ALPHABET, Some(&self.arrays))
    }

    /// The arrays of a vision-language model in MiniCPM-V's layout: this tower, that decoder, a resampler from its start.
    pub(super) fn with(&self, decoder: &Decoder, seed: u64) -> Result<Vec<Array>, String> {
        let mut fresh = Parameters::new(seed);
        Resampler::new(&mut fresh, decoder.residual()).map_err(words)?;
        let language = decoder.arrays().into_iter();
        let language = language.map(|array| Array { name: format!("llm.{}", array.name), ..array });
        let tower = dismiss(self.arrays.clone());
        Ok(language.chain(tower).chain(fresh.arrays().map_err(words)?).collect())
    }
}

/// The configuration of such a model.
pub(super) fn whole_config(decoder: &Decoder) -> Value {
    let mut whole = decoder.config();
    whole["architectures"] = json!(["MiniCPMV"]);
    whole["model_type"] = json!("minicpmv");
    whole["version"] = json!("2.5");
    whole["query_num"] = json!(QUERIES);
    whole["image_size"] = json!(PATCH * GRID);
    whole["patch_size"] = json!(PATCH);
    whole["vision_config"] = config();
    whole
}

fn fit(seed: u64, recipe: Recipe, alphabet: &[u8], start: Option<&[Array]>) -> Result<Tower, String> {
    let mut parameters = Parameters::new(seed);
    let made = Vision::new(&mut parameters).and_then(|tower| Ok((tower, Teacher::new(&mut parameters)?)));
    let (tower, teacher) = made.map_err(words)?;
    if let Some(arrays) = start {
        parameters.assign(arrays).map_err(words)?;
    }
    let mut random = Random::new(ORDER, "pictures of a tower");
    let loss = || {
        let pictures: Vec<Picture> = (0..PICTURES).map(|_| draw(&mut random, alphabet)).collect();
        teacher.loss(&tower.forward(&pictures)?, &pictures)
    };
    train(&parameters, recipe, loss).map_err(words)?;
    let arrays = parameters.arrays().map_err(words)?;
    Ok(Tower { arrays: arrays.into_iter().map(Array::rounded).collect() })
}
