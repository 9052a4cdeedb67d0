//! Two models side by side.
//!
//! Answers: *which tensor of the candidate answers to which of the reference, and how do they agree, channel by channel?*
//! Must not know: files, formats, verdicts. It measures; `evidence` judges.
#![forbid(unsafe_code)]

mod channels;
mod fixed;
mod kernel;
mod measurement;
mod plan;
mod sketches;
mod stream;
pub mod study;
mod units;
mod worker;

pub use stemmata_fingerprint::{Pattern, SelfCheck};

pub use measurement::{
    Channel, ChannelGroup, FixedPoints, Measurement, Moments, PairKey, PairMeasurement, Side, SymmetryCheck,
    Unmatched,
};
pub use plan::{PairPlan, Plan, plan};
pub use sketches::measure_sketches;
pub use stream::{Options, Progress, measure};
