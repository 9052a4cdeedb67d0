//! Families as data.
//!
//! Answers: *what is this tensor for, how is it laid out, and which rearrangements of it change nothing?*
//! Must not know: files, numbers (it sees names, shapes and configuration only), statistics.

#![forbid(unsafe_code)]

mod anatomy;
mod catalogue;
mod dimensions;
mod dissect;
mod families;
mod infer;
mod layout;
mod names;
mod notes;
mod role;
mod rule;
mod split;
mod summary;
mod symmetry;
mod trie;

pub use anatomy::{Anatomy, ComponentInfo, Norm, Part, RowOrder, View};
pub use dissect::dissect;
pub use role::{Axis, Component, Role, Term};
pub use symmetry::{ChannelAxis, ChannelMap, channel_maps, labels_units};
