//! Two models side by side.
//!
//! Answers: *which tensor of the candidate answers to which of the reference, and how do they agree, channel by channel?*
//! Must not know: files, formats, verdicts. It measures; `evidence` judges.
#![forbid(unsafe_code)]

mod ahead;
mod channels;
mod cka;
mod controls;
mod fixed;
mod kernel;
mod layer_map;
mod measurement;
pub mod mixture;
mod plan;
mod rows;
mod sample;
mod search;
mod sketches;
mod stream;
pub mod study;
mod units;
mod window;
mod worker;

pub use stemmata_fingerprint::{Pattern, SelfCheck};

pub use channels::{PlacedChannels, channel_groups};
pub use cka::linear_cka;
pub use controls::Control;
pub use layer_map::{
    BlockMatch, Break, Column, Exclusion, GridFilling, LayerCell, LayerGrid, LayerMap, LayerRun, Shapes,
    SignOutcome, Structure, axis_outside_layers, best_map, experts_in_grid, experts_of, layer_grids,
    match_blocks, runs, sign_outside_layers,
};
pub use measurement::{
    Channel, ChannelGroup, FixedPoints, Fourths, Measurement, Moments, PairKey, PairMeasurement, Side,
    SymmetryCheck, Unmatched,
};
pub use plan::{PairPlan, Plan, plan, plan_along};
pub use rows::{EqualRows, equal_rows};
pub use sample::Sample;
pub use search::{
    Basis, ExpertMatch, HeadMap, HeadPick, Hypothesis, LayerMatch, Rescaled, Search, SearchPlan,
    SharedTokens, UntrainedTokens, search_plan,
};
pub use sketches::{measure_sketches, symmetry_checks};
pub use stream::{Options, Progress, measure};
