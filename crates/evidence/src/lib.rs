//! Measurements to tests to evidence to a verdict.
//!
//! Answers: *what may be said of this pair, under which null, with which error rate?*
//! Must not know: files, weights, formats. It can be run again years later on saved measurements.
#![forbid(unsafe_code)]

mod change;
mod context;
mod direction;
mod judge;
pub mod merge;
mod relation;
mod relatives;
mod search;
mod structure;
mod symmetry;
mod tests_of_dependence;
mod untrained;
mod verdict;

pub use change::{Change, Noise};
pub use context::{attention_profile, gain_cosine, norm_cosine};
pub use direction::{StorageFacts, rounding};
pub use judge::judge;
pub use relation::{refine, refine_heads, refine_moved, wants_heads};
pub use relatives::{Order, admit_merge, admit_order, admit_witness, is_opposed, order};
pub use search::{run as search_tests, search_found, wants_search};
pub use structure::{asks_for_map, cell_score, exclusions, map_layers};
pub use symmetry::{BrokenSymmetry, broken as broken_symmetries};
pub use verdict::{
    ComponentVerdict, DecisionRule, Direction, Evidence, Judgement, Kind, LayerEffect, NotTested, Power,
    Scope, TestKind, Tier, Verdict,
};
