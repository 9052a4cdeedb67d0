//! Which layer of the candidate comes from which layer of the reference: every pair of layers is measured on sketches
//! ([`grid`]), and a dynamic programme reads the best map off the result ([`path`]).
//!
//! Method note: docs/methods/structure.md. It measures; whether a cell means anything is for `evidence` to say.

mod blocks;
mod cell;
mod grid;
mod path;

pub use blocks::{BlockMatch, experts_of, match_blocks};
pub use cell::{LayerCell, SignOutcome};
pub use grid::{
    Exclusion, GridFilling, LayerGrid, Shapes, axis_outside_layers, experts_in_grid, layer_grids,
    sign_outside_layers,
};
pub use path::{Break, Column, LayerRun, best_map, runs};

/// What came of looking for a map of layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Structure {
    /// Tests that the search may make, fixed by the shapes of the two models before any weight is read. They belong to the
    /// family whether or not they are made.
    pub reserved: usize,
    /// The maps, one per component; empty when the search was not made.
    pub maps: Vec<LayerMap>,
    /// Channel groups of the layers paired along the maps: how large the effect is, not whether there is one. Empty when
    /// every mapped layer has the number of its counterpart.
    pub along: Vec<crate::ChannelGroup>,
}

/// The layers of one component.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMap {
    /// Every pair of layers.
    pub grid: LayerGrid,
    /// Per row of the grid, the column that explains it, if one does.
    pub from: Vec<Option<usize>>,
    /// Per column of the grid, the row that it explains best, if it does.
    pub to: Vec<Option<usize>>,
}

impl LayerMap {
    /// The layer of the reference that `layer` of the candidate comes from.
    pub fn reference_layer(&self, layer: u32) -> Option<u32> {
        let row = self.grid.candidate_layers.iter().position(|l| *l == layer)?;
        self.from[row].map(|column| self.grid.reference_layers[column])
    }

    /// The map in runs.
    pub fn runs(&self) -> Vec<LayerRun> {
        let column = |layer: &u32| Column { reference: 0, layer: *layer };
        let columns: Vec<Column> = self.grid.reference_layers.iter().map(column).collect();
        runs(&self.from, &self.grid.candidate_layers, &columns)
    }

    /// Whether every layer that has a counterpart has one of the same number.
    pub fn keeps_numbers(&self) -> bool {
        self.grid
            .candidate_layers
            .iter()
            .zip(&self.from)
            .all(|(layer, column)| column.is_none_or(|column| self.grid.reference_layers[column] == *layer))
    }
}
