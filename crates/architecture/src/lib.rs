//! Families as data.
//!
//! Answers: *what is this tensor for, how is it laid out, and which rearrangements of it change nothing?*
//! Must not know: files, numbers (it sees names, shapes and configuration only), statistics.

mod anatomy;
mod role;

pub use anatomy::{Anatomy, ComponentInfo, Norm, Part, RowOrder, View};
pub use role::{Axis, Component, Role, Term};
