//! The architectures of the calibration study, as data: a shape, a recipe, and where the random starts come from.

use std::rc::Rc;

use candle_core::Result;
use serde_json::{Value, json};

use super::CONTEXT;
use super::lessons::{Lesson, Model};
use crate::layout::{TEXT_SPECIALS, VISION_SPECIALS};
use crate::material::tokenizer::Tokenizer;
use crate::train::batches::Batch;
use crate::train::gpt2::{self, Gpt2};
use crate::train::llama::{self, Llama, Variant};
use crate::train::minicpm::MiniCpm;
use crate::train::optimizer::{Recipe, Schedule, WEIGHT_DECAY};
use crate::train::parameters::Parameters;
use crate::train::{resampler, vision};

/// What all models of an architecture share: everything but the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Architecture {
    /// Its models are called `NAME-s00`, `NAME-s01` and so on.
    pub(crate) name: &'static str,
    pub(crate) body: Body,
    pub(crate) recipe: Recipe,
    /// Tokens of a window.
    pub(crate) context: usize,
    /// Added to the number of a model for the seed of its weights. Tensors are initialised from the seed and their
    /// name, so that architectures whose tensors correspond need seeds apart.
    pub(crate) first_seed: u64,
    /// Models that the study asks for.
    pub(crate) models: u64,
    /// The architecture whose model of the same number is the teacher, if its models are students.
    pub(crate) teacher: Option<&'static str>,
}

/// What computes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    Gpt2(gpt2::Shape),
    /// A decoder of Llama's line, with its class and its type in `config.json`.
    Llama(llama::Shape, &'static str, &'static str),
    /// The same behind a vision tower and a resampler.
    MiniCpm(llama::Shape),
}

const fn recipe(steps: usize) -> Recipe {
    Recipe { steps, learning_rate: 3e-3, decay: WEIGHT_DECAY, schedule: Schedule::Cosine }
}

/// Tokens: 256 bytes and two specials; four specials more where there are pictures.
const BYTES: usize = 256 + TEXT_SPECIALS.len();

/// The sizes of the Llama-like models.
pub(crate) const SHAPE: llama::Shape = llama::Shape {
    vocabulary: BYTES,
    hidden: 64,
    layers: 4,
    heads: 4,
    kv_heads: 2,
    intermediate: 160,
    context: CONTEXT,
    variant: Variant::PLAIN,
};

/// Llama with grouped queries.
pub(crate) const LLAMA: Architecture = Architecture {
    name: "llama",
    body: Body::Llama(SHAPE, "LlamaForCausalLM", "llama"),
    recipe: recipe(300),
    context: CONTEXT,
    first_seed: 1_000,
    models: 24,
    teacher: None,
};

/// GPT-2. Its tensors correspond to no other architecture's by name, and its seeds are Llama's.
pub(crate) const GPT2: Architecture = Architecture {
    name: "gpt2",
    body: Body::Gpt2(gpt2::Shape { vocabulary: BYTES, hidden: 64, layers: 4, heads: 4, context: CONTEXT }),
    models: 8,
    ..LLAMA
};

const SHORT: Architecture = Architecture { recipe: recipe(240), context: 64, ..LLAMA };

/// All of them, teachers before their students.
pub(crate) const ALL: &[Architecture] = &[
    LLAMA,
    GPT2,
    Architecture {
        name: "tied",
        body: Body::Llama(
            llama::Shape { variant: Variant { is_tied: true, ..Variant::PLAIN }, ..SHAPE },
            "LlamaForCausalLM",
            "llama",
        ),
        first_seed: 2_000,
        models: 12,
        ..SHORT
    },
    Architecture {
        name: "qwen2",
        body: Body::Llama(
            llama::Shape { variant: Variant { has_biases: true, ..Variant::PLAIN }, ..SHAPE },
            "Qwen2ForCausalLM",
            "qwen2",
        ),
        first_seed: 3_000,
        models: 14,
        ..SHORT
    },
    // Deeper and with narrower feed-forward blocks, so that pairs with the others have a map of layers and a common corner.
    Architecture {
        name: "qwen3",
        body: Body::Llama(
            llama::Shape {
                layers: 5,
                intermediate: 128,
                variant: Variant { has_head_norms: true, ..Variant::PLAIN },
                ..SHAPE
            },
            "Qwen3ForCausalLM",
            "qwen3",
        ),
        first_seed: 4_000,
        models: 14,
        ..SHORT
    },
    Architecture {
        name: "mixtral",
        body: Body::Llama(
            llama::Shape {
                layers: 3,
                intermediate: 96,
                variant: Variant { experts: 4, ..Variant::PLAIN },
                ..SHAPE
            },
            "MixtralForCausalLM",
            "mixtral",
        ),
        first_seed: 5_000,
        models: 12,
        recipe: recipe(160),
        ..SHORT
    },
    Architecture {
        name: "student",
        first_seed: 6_000,
        models: 10,
        teacher: Some("llama"),
        recipe: recipe(240),
        context: 64,
        ..LLAMA
    },
    Architecture {
        name: "minicpm",
        body: Body::MiniCpm(llama::Shape { vocabulary: 256 + VISION_SPECIALS.len(), layers: 2, ..SHAPE }),
        first_seed: 7_000,
        models: 10,
        recipe: recipe(120),
        context: 64,
        ..LLAMA
    },
];

impl Architecture {
    /// The special tokens of its tokenizer.
    pub(crate) fn specials(&self) -> &'static [&'static str] {
        match self.body {
            Body::MiniCpm(_) => VISION_SPECIALS,
            Body::Llama(..) | Body::Gpt2(_) => TEXT_SPECIALS,
        }
    }

    /// A fresh model, with its configuration. Learns from text alone, or from pictures too if it sees.
    pub(crate) fn build(&self, parameters: &mut Parameters, tokenizer: &Tokenizer) -> Result<(Model, Value)> {
        Ok(match self.body {
            Body::Llama(shape, class, kind) => {
                let model = Llama::new(parameters, "", shape)?;
                let mut config = shape.config();
                config["architectures"] = json!([class]);
                config["model_type"] = json!(kind);
                config["torch_dtype"] = json!("bfloat16");
                let logits = move |batch: &Batch| model.read(&batch.inputs, batch.size);
                (Model { logits: Box::new(logits), lesson: Lesson::Text }, config)
            }
            Body::Gpt2(shape) => {
                let model = Gpt2::new(parameters, shape)?;
                let logits = move |batch: &Batch| model.logits(&batch.inputs, batch.size);
                (Model { logits: Box::new(logits), lesson: Lesson::Text }, shape.config())
            }
            Body::MiniCpm(shape) => {
                let model = Rc::new(MiniCpm::new(parameters, shape)?);
                let lesson = Lesson::Pictures(model.clone(), tokenizer.clone());
                let logits = move |batch: &Batch| model.language.read(&batch.inputs, batch.size);
                (Model { logits: Box::new(logits), lesson }, minicpm_config(shape))
            }
        })
    }
}

/// MiniCPM-V's way: the language model's fields at the top.
pub(crate) fn minicpm_config(shape: llama::Shape) -> Value {
    let mut config = json!({
        "architectures": ["MiniCPMV"], "model_type": "minicpmv", "version": "2.5",
        "torch_dtype": "bfloat16"
    });
    let pictures = json!({
        "query_num": resampler::QUERIES, "image_size": vision::PATCH * vision::GRID,
        "patch_size": vision::PATCH, "drop_vision_last_layer": false, "slice_mode": false,
        "vision_config": vision::config()
    });
    for part in [shape.config(), pictures] {
        if let (Value::Object(into), Value::Object(from)) = (&mut config, part) {
            into.extend(from);
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_architectures_of_one_layout_share_a_start() {
        let starts = ALL.iter().filter(|a| a.name != GPT2.name);
        let seeds: Vec<u64> = starts.flat_map(|a| (0..a.models).map(|i| a.first_seed + i)).collect();
        assert_eq!(seeds.iter().collect::<BTreeSet<_>>().len(), seeds.len());
    }

    #[test]
    fn every_student_has_its_teacher() {
        for student in ALL {
            let Some(name) = student.teacher else { continue };
            let teacher = ALL.iter().find(|a| a.name == name).expect("a teacher of the study");
            assert!(teacher.models >= student.models && teacher.teacher.is_none(), "{}", student.name);
        }
    }
}
