//! A small, seeded, deterministic trainer of decoders and of a vision-language model.
//!
//! Answers: *which weights does this recipe give from this seed?* Must not know: files.

pub(crate) mod batches;
pub(crate) mod experts;
pub(crate) mod fused;
pub(crate) mod gpt2;
pub(crate) mod layers;
pub(crate) mod llama;
pub(crate) mod minicpm;
pub(crate) mod optimizer;
pub(crate) mod parameters;
pub(crate) mod resampler;
pub(crate) mod teacher;
pub(crate) mod vision;
