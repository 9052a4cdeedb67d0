//! Blind pairwise votes to ratings with intervals; benchmark scores to abilities; samples of lineage to counts.
//!
//! Answers: *who leads, by how much, and how sure is that?* Knows only opaque contestants. Must not know: models, files, the
//! network. Does no I/O, reads no clock and no environment; randomness only from a passed seed.
#![forbid(unsafe_code)]

pub mod ability;
mod bootstrap;
mod change;
mod checks;
mod components;
mod contrast;
mod dense;
mod fit;
mod flip;
mod legacy_elo;
mod model;
mod next_pairs;
mod ranks;
mod sample;
mod sandwich;
mod sequential;
mod sparse;
mod standings;
mod table;
pub mod tables;
mod terms;
pub mod votes;

pub use bootstrap::Resampled;
pub use checks::Checks;
pub use contrast::{Contrast, Rated, best_against_best, win_rate};
pub use fit::NoFit;
pub use flip::Flip;
pub use legacy_elo::{LegacyElo, legacy_elo};
pub use model::Model;
pub use next_pairs::NextPair;
pub use ranks::Limits;
pub use sample::{Estimate, Stratum, draw_without_replacement, stratified_total};
pub use sequential::{Decision, Sequential};
pub use standings::{Component, MEAN, Options, POINTS, RateError, Rating, Scale, Standing, Standings, rate};
pub use terms::{Adjusted, Term};
