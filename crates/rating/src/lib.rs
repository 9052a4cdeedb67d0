//! Blind pairwise votes to ratings with intervals.
//!
//! Answers: *who leads, by how much, and how sure is that?* Knows only opaque contestants. Must not know: models, files, the
//! network. Does no I/O, reads no clock and no environment; randomness only from a passed seed.
#![forbid(unsafe_code)]

mod components;
mod dense;
mod fit;
mod model;
mod sparse;
mod table;
pub mod votes;

pub use components::{Components, components};
pub use dense::{Cholesky, Square};
pub use fit::{Design, Fit, NoFit, Row, fit};
pub use model::Model;
pub use table::{Cell, Same, by_cluster, cells, crossed, pairs};
