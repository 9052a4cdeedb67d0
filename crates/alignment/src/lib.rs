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

pub use measurement::{
    Channel, ChannelGroup, FixedPoints, Measurement, Moments, PairKey, PairMeasurement, Unmatched,
};
pub use plan::{PairPlan, Plan, plan};
pub use sketches::measure_sketches;
pub use stream::{Options, Progress, measure};
