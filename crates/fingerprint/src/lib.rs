//! One model, a small comparable summary.
//!
//! Answers: *what must be kept of a model so that it can be compared later without its weights?*
//! Must not know: files, other models, verdicts.
#![forbid(unsafe_code)]

mod build;
mod count_sketch;
mod encoding;
mod rows;
mod sketch;

pub use build::{Builder, sketch_model};
pub use count_sketch::{CountSketch, picked, quantize};
pub use encoding::{DecodeError, MAGIC, decode, encode};
pub use rows::{RowReader, flipped};
pub use sketch::{Factor, GroupSketch, PartSummary, Sketch, SketchParams, UnitSketch, comparable};
