//! Bases, their children, and how much retraining a change is.

use super::words;
use crate::calibrate::architectures::{LLAMA, SHAPE};
use crate::calibrate::lessons::{Course, Lesson, Model};
use crate::calibrate::{CONTEXT, Text};
use crate::launder::decoder::Decoder;
use crate::layout::array::Array;
use crate::train::batches::Batch;
use crate::train::llama::{EPSILON, Llama, Shape};
use crate::train::optimizer::{Recipe, Schedule, WEIGHT_DECAY};
use crate::train::parameters::Parameters;

/// Order of the data of every base.
const ORDER: u64 = 77;
/// Order of the data of a sibling, and of what is retrained.
const SIBLING_ORDER: u64 = 2_001;
const RETRAINING_ORDER: u64 = 2_002;

/// A column of the table.
pub(super) struct Level {
    pub(super) name: &'static str,
    pub(super) recipe: Option<Recipe>,
}

const fn recipe(steps: usize, learning_rate: f64) -> Option<Recipe> {
    Some(Recipe { steps, learning_rate, decay: WEIGHT_DECAY, schedule: Schedule::Cosine })
}

/// 2, 20 and 100 % of the steps of a base, the last with the base's own learning rate.
pub(super) const LEVELS: [Level; 4] = [
    Level { name: "none", recipe: None },
    Level { name: "light", recipe: recipe(6, 1e-3) },
    Level { name: "medium", recipe: recipe(60, 1e-3) },
    Level { name: "heavy", recipe: recipe(300, 3e-3) },
];

/// A base from its own start.
pub(super) fn base(seed: u64, text: &Text) -> Result<Decoder, String> {
    let shape = Shape { vocabulary: text.tokenizer.len(), ..SHAPE };
    let mut parameters = Parameters::new(seed);
    let model = llama(&mut parameters, shape).map_err(words)?;
    model.fit(&parameters, course(LLAMA.recipe, ORDER), &text.training).map_err(words)?;
    Ok(decoder(&parameters.arrays().map_err(words)?, shape))
}

/// A fresh Llama-like model of any sizes.
fn llama(parameters: &mut Parameters, shape: Shape) -> candle_core::Result<Model> {
    let model = Llama::new(parameters, "", shape)?;
    let logits = move |batch: &Batch| model.read(&batch.inputs, batch.size);
    Ok(Model { logits: Box::new(logits), lesson: Lesson::Text })
}

fn course(recipe: Recipe, order: u64) -> Course {
    Course { recipe, context: CONTEXT, order }
}

/// What a file of bf16 holds.
fn decoder(arrays: &[Array], shape: Shape) -> Decoder {
    let rounded: Vec<Array> = arrays.iter().cloned().map(Array::rounded).collect();
    Decoder::from_arrays(&rounded, (shape.layers, shape.heads, shape.kv_heads), EPSILON)
}

/// Another child of a base: half as many steps as the base had, on the base's text in another order.
pub(super) fn sibling(base: &Decoder, text: &Text) -> Result<Decoder, String> {
    let level = Level { name: "sibling", recipe: recipe(LLAMA.recipe.steps / 2, 1e-3) };
    Ok(train(base, &level, text, SIBLING_ORDER)?.0)
}

/// The model after the retraining of a level, on this text, and its loss on held-out text.
pub(super) fn retrain(model: &Decoder, level: &Level, text: &Text) -> Result<(Decoder, f64), String> {
    train(model, level, text, RETRAINING_ORDER)
}

fn train(model: &Decoder, level: &Level, text: &Text, order: u64) -> Result<(Decoder, f64), String> {
    let shape = Shape {
        vocabulary: model.embedding.rows,
        hidden: model.residual(),
        layers: model.blocks.len(),
        heads: model.heads,
        kv_heads: model.kv_heads,
        intermediate: model.units(),
        ..SHAPE
    };
    // Every variable is assigned, so the seed of the start does not matter.
    let mut parameters = Parameters::new(0);
    let network = llama(&mut parameters, shape).map_err(words)?;
    parameters.assign(&model.arrays()).map_err(words)?;
    let own = |ids: &[u32]| -> Vec<u32> { ids.iter().map(|id| model.rows[*id as usize] as u32).collect() };
    let none = Recipe { steps: 0, ..LLAMA.recipe };
    let recipe = level.recipe.unwrap_or(none);
    network.fit(&parameters, course(recipe, order), &own(&text.training)).map_err(words)?;
    let loss = network.loss(&own(&text.held_out), CONTEXT).map_err(words)?;
    let mut trained = decoder(&parameters.arrays().map_err(words)?, shape);
    trained.rows.clone_from(&model.rows);
    Ok((trained, loss))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launder::forward::log_probabilities;
    use crate::launder::structure;
    use crate::material::corpus::Mixture;
    use crate::material::random::Random;

    #[test]
    fn both_forward_passes_agree() {
        let shape = Shape { layers: 2, vocabulary: 30, ..SHAPE };
        let mut parameters = Parameters::new(3);
        let network = llama(&mut parameters, shape).unwrap();
        let arrays = parameters.arrays().unwrap();
        let ours = Decoder::from_arrays(&arrays, (2, shape.heads, shape.kv_heads), EPSILON);
        let tokens = [4_u32, 11, 29, 0, 7, 7];
        let batch = Batch { inputs: tokens.to_vec(), targets: tokens.to_vec(), size: 1 };
        let logits = (network.logits)(&batch).unwrap().to_vec2::<f32>().unwrap();
        let tokens: Vec<usize> = tokens.iter().map(|id| *id as usize).collect();
        for (theirs, ours) in logits.iter().zip(log_probabilities(&ours, &tokens)) {
            let shift = f64::from(theirs[0]) - ours[0];
            for (x, y) in theirs.iter().zip(&ours) {
                assert!((f64::from(*x) - y - shift).abs() < 1e-4);
            }
        }
        assert_eq!(ours.arrays(), arrays);
    }

    #[test]
    fn retraining_repeats_and_follows_the_tokenizer() {
        let text = Text::new(Mixture::FINE_TUNE, LLAMA.specials());
        let shape = Shape { layers: 1, vocabulary: text.tokenizer.len(), ..SHAPE };
        let mut parameters = Parameters::new(3);
        let _network = llama(&mut parameters, shape).unwrap();
        let base = decoder(&parameters.arrays().unwrap(), shape);
        let level = Level { name: "few", recipe: recipe(2, 1e-3) };
        let first = retrain(&base, &level, &text).unwrap();
        assert_eq!(first, retrain(&base, &level, &text).unwrap());
        // Shuffled tokens, nothing new: the same training in another numbering, but for rounding.
        let mut shuffled = base.clone();
        structure::replace_tokens(&mut shuffled, 0.0, &mut Random::new(1, "order"));
        let second = retrain(&shuffled, &level, &text).unwrap();
        assert!((first.1 - second.1).abs() < 1e-3, "{} {}", first.1, second.1);
    }
}
