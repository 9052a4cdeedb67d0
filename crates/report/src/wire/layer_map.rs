//! The wire format of the map of layers that `compare` found.

use super::finite;
use serde::Serialize;
use stemmata_audit as audit;

/// The layers of one component, every one against every one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerMap {
    /// Component.
    pub component: &'static str,
    /// Tests made.
    pub tests: usize,
    /// The map in runs.
    pub runs: Vec<LayerRun>,
    /// Layers of the candidate: the rows below.
    pub candidate_layers: Vec<u32>,
    /// Layers of the reference: the columns below.
    pub reference_layers: Vec<u32>,
    /// p of every pair of layers before correction, log10; rows, then columns. Nothing where no test was possible.
    pub log10_p: Vec<Vec<Option<f64>>>,
}

/// Layers that follow one another and come from layers that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LayerRun {
    /// First and last layer of the candidate.
    pub candidate: [u32; 2],
    /// First and last layer of the reference; nothing for layers that none explains.
    pub reference: Option<[u32; 2]>,
}

impl LayerMap {
    /// Converts a map.
    pub(super) fn new(map: &audit::LayerMap) -> LayerMap {
        let grid = &map.grid;
        let cell = |cell: &audit::LayerCell| (cell.tests() > 0).then(|| cell.log10_p()).and_then(finite);
        let width = grid.reference_layers.len().max(1);
        let run = |run: audit::LayerRun| LayerRun {
            candidate: [run.candidate.0, run.candidate.1],
            reference: run.origin().map(|(first, last)| [first, last]),
        };
        LayerMap {
            component: grid.component.name(),
            tests: grid.tests(),
            runs: map.runs().into_iter().map(run).collect(),
            candidate_layers: grid.candidate_layers.clone(),
            reference_layers: grid.reference_layers.clone(),
            log10_p: grid.cells.chunks(width).map(|row| row.iter().map(cell).collect()).collect(),
        }
    }
}
