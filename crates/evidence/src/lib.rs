//! Measurements to tests to evidence to a verdict.
//!
//! Answers: *what may be said of this pair, under which null, with which error rate?*
//! Must not know: files, weights, formats. It can be run again years later on saved measurements.
#![forbid(unsafe_code)]

mod change;
mod direction;
mod judge;
mod search;
mod symmetry;
mod tests_of_dependence;
mod verdict;

pub use change::{Change, Noise};
pub use direction::{StorageFacts, rounding};
pub use judge::judge;
pub use search::{Basis, search_found, wants_search};
pub use symmetry::BrokenSymmetry;
pub use verdict::{
    ComponentVerdict, DecisionRule, Direction, Evidence, Judgement, Kind, LayerEffect, NotTested, Power,
    Scope, TestKind, Tier, Verdict,
};
