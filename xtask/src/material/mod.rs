//! What the models are trained on: seeded text, rendered glyphs and the tokenizer that reads both.
//!
//! Everything here is made by the project, so that fixtures carry no third party's licence.
//! Must not know: tensors, models, files.

pub(crate) mod corpus;
pub(crate) mod glyphs;
pub(crate) mod random;
pub(crate) mod tokenizer;
