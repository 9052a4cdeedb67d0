//! One model, a small comparable summary.
//!
//! Answers: *what must be kept of a model so that it can be compared later without its weights?*
//! Must not know: files, other models, verdicts.
#![forbid(unsafe_code)]

mod blocks;
mod build;
mod clip;
mod count_sketch;
mod encoding;
mod rows;
mod self_check;
mod sketch;
mod spool;

pub use blocks::{BLOCK, Blocks, row_cost, salt, spans};
pub use build::{Builder, sketch_layers, sketch_model, spool_model};
pub use clip::{clip, clip_limit, content_salt, is_constant, mix};
pub use count_sketch::{CountSketch, picked, quantize};
pub use encoding::{DecodeError, MAGIC, decode, encode};
pub use rows::{RowReader, flipped};
pub use self_check::{Pattern, SelfCheck, SelfSums, check_labels, strongest};
pub use sketch::{Factor, GroupSketch, PartSummary, Sketch, SketchParams, UnitSketch, comparable};
pub use spool::{SpoolError, Spooled};
