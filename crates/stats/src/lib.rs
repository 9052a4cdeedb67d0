//! Exact tests, corrections, intervals and power.
//!
//! Answers: *how surprising is this under the stated null, how large is it, and what could have been missed?*
//! Must not know: models, tensors, files. Does no I/O, reads no clock; randomness only from a passed seed.
#![forbid(unsafe_code)]

mod betting;
mod binomial;
mod correction;
mod fixed_points;
mod gaussian;
mod hypergeometric;
mod increasing;
mod interval;
mod kolmogorov;
mod pvalue;
mod random;
mod sequential;
mod sign_flip;
mod student;
mod sum;

pub use betting::betting_log10;
pub use binomial::binomial_tail;
pub use correction::{bonferroni, holm};
pub use fixed_points::{fixed_points, fixed_points_pooled};
pub use gaussian::{normal_log10_two_sided, normal_quantile};
pub use hypergeometric::hypergeometric_interval;
pub use increasing::{increasing_labels, longest_increasing};
pub use interval::{Interval, RatioSums, binomial_interval, ratio_interval};
pub use kolmogorov::{KolmogorovSmirnov, kolmogorov_smirnov_normal};
pub use pvalue::{PKind, PValue};
pub use random::SplitMix64;
pub use sequential::sequential_sign_flip;
pub use sign_flip::{SignFlip, detectable_share, sign_flip};
pub use student::student_quantile;
pub use sum::Sum;
