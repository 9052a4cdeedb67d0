//! Every layer of the candidate against every layer of the reference.

use super::blocks::{add_products, experts_of, feed_forward};
use super::{LayerCell, SignOutcome};
use crate::fixed::count_fixed;
use std::collections::{BTreeMap, BTreeSet};
use stemmata_architecture::{
    Anatomy, ChannelAxis, ChannelMap, Component, Part, Role, channel_maps, labels_units,
};
use stemmata_fingerprint::{Factor, GroupSketch, Sketch, UnitSketch};

/// Larger grids are not made: 1024 layers on either side are beyond any model, and a hostile file could name millions.
const MOST_CELLS: usize = 1 << 20;
/// Experts per layer that take part in a cell. The value channels and eight experts place a layer; all of 256 would make
/// the grid of a large mixture cost more than reading it.
const EXPERTS: usize = 8;

/// Tests along an axis of a component that have no null (`None`: of the labels of units) and are left out.
pub type Exclusion = (Component, Option<ChannelAxis>);

/// The outcome for one component.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerGrid {
    /// Component.
    pub component: Component,
    /// Layers of the candidate, ascending: the rows.
    pub candidate_layers: Vec<u32>,
    /// Layers of the reference, ascending: the columns.
    pub reference_layers: Vec<u32>,
    /// Row-major.
    pub cells: Vec<LayerCell>,
}

impl LayerGrid {
    /// The cell of row `row` and column `column`.
    pub fn cell(&self, row: usize, column: usize) -> &LayerCell {
        &self.cells[row * self.reference_layers.len() + column]
    }

    /// Tests made in all cells.
    pub fn tests(&self) -> usize {
        self.cells.iter().map(LayerCell::tests).sum()
    }
}

/// What the number of possible tests depends on: layers and channel counts, no weight.
#[derive(Clone, Debug, Default)]
pub struct Shapes(BTreeMap<Component, ComponentShape>);

#[derive(Clone, Debug, Default)]
struct ComponentShape {
    layers: BTreeSet<u32>,
    /// Axis and channels of it.
    channels: BTreeSet<(ChannelAxisName, u64)>,
    /// Feed-forward units where there is no gate.
    units: BTreeSet<u64>,
}

/// Axes have no order of their own.
type ChannelAxisName = &'static str;

impl Shapes {
    /// Of a checkpoint.
    pub fn of_anatomy(anatomy: &Anatomy) -> Shapes {
        let mut shapes = Shapes::default();
        for part in &anatomy.parts {
            let (Some(info), Some(layer)) = (anatomy.component(part.component), part.layer) else { continue };
            let (rows, cols) = channel_maps(part, info);
            for (map, extent) in [(rows, part.view.rows), (cols, part.view.cols)] {
                if let Some(map) = map.filter(|m| m.axis.holds_for(info)) {
                    shapes.add(part.component, layer, map.axis, map.channels(extent));
                }
            }
            if !info.gated && labels_units(part, info) {
                let shape = shapes.0.entry(part.component).or_default();
                shape.layers.insert(layer);
                shape.units.insert(part.view.rows);
            }
        }
        shapes
    }

    /// Of a sketch.
    pub fn of_sketch(sketch: &Sketch) -> Shapes {
        let mut shapes = Shapes::default();
        for group in &sketch.groups {
            for factor in &group.factors {
                if let Some(layer) = group.layer {
                    shapes.add(group.component, layer, group.axis, factor.total);
                }
            }
        }
        for units in sketch.units.iter().filter(|u| !is_gated(sketch, u.component)) {
            if let Some(layer) = units.layer {
                let shape = shapes.0.entry(units.component).or_default();
                shape.layers.insert(layer);
                shape.units.insert(units.total);
            }
        }
        shapes
    }

    fn add(&mut self, component: Component, layer: u32, axis: ChannelAxis, channels: u64) {
        // Residual channels run through all layers: they say nothing of which layer is which.
        if axis != ChannelAxis::Residual {
            let shape = self.0.entry(component).or_default();
            shape.layers.insert(layer);
            shape.channels.insert((axis.name(), channels));
        }
    }

    /// Layers of a component, ascending.
    pub fn layers(&self, component: Component) -> Vec<u32> {
        self.0.get(&component).map(|shape| shape.layers.iter().copied().collect()).unwrap_or_default()
    }

    /// Tests that the grid of a component can have at most; 0 where no grid is made: no layers, channel counts
    /// that never agree, or too many layers.
    pub fn tests_of(&self, reference: &Shapes, component: Component) -> usize {
        let (Some(ours), Some(theirs)) = (self.0.get(&component), reference.0.get(&component)) else {
            return 0;
        };
        let cells = ours.layers.len().saturating_mul(theirs.layers.len());
        if cells == 0 || cells > MOST_CELLS {
            return 0;
        }
        let signs = ours.channels.intersection(&theirs.channels).next().is_some();
        let units = ours.units.intersection(&theirs.units).next().is_some();
        cells * (usize::from(signs) + usize::from(units))
    }

    /// The same over all components.
    pub fn tests(&self, reference: &Shapes) -> usize {
        Component::ALL.into_iter().map(|component| self.tests_of(reference, component)).sum()
    }
}

fn is_gated(sketch: &Sketch, component: Component) -> bool {
    sketch.components.iter().any(|info| info.component == component && info.gated)
}

/// What one model keeps of one layer.
#[derive(Default)]
struct Layer<'a> {
    hidden: Option<&'a GroupSketch>,
    value: Option<&'a GroupSketch>,
    units: Option<(u64, Vec<f32>)>,
}

fn layers<'a>(sketch: &'a Sketch, component: Component, excluded: &[Exclusion]) -> BTreeMap<u32, Layer<'a>> {
    let mut layers: BTreeMap<u32, Layer<'a>> = BTreeMap::new();
    for group in sketch.groups.iter().filter(|g| g.component == component) {
        let Some(layer) = group.layer else { continue };
        let kept = !excluded.contains(&(component, Some(group.axis)));
        match group.axis {
            ChannelAxis::Hidden => layers.entry(layer).or_default().hidden = kept.then_some(group),
            ChannelAxis::Value => layers.entry(layer).or_default().value = kept.then_some(group),
            ChannelAxis::Residual => {}
        }
    }
    let labelled = !is_gated(sketch, component) && !excluded.contains(&(component, None));
    for units in sketch.units.iter().filter(|u| u.component == component && labelled) {
        let Some(layer) = units.layer else { continue };
        let real = |units: &UnitSketch| units.codes.iter().map(|c| f32::from(*c)).collect();
        layers.entry(layer).or_default().units = Some((units.total, real(units)));
    }
    layers
}

/// Measures every pair of layers of every component for which [`Shapes::tests_of`] allows it.
///
/// Hidden and value channels of a pair of layers make one set of terms for one sign test; plain feed-forward blocks add a
/// test of fixed points. Experts meet the expert of their number, eight of them per layer.
/// O(L_A · L_B · channels · buckets) time, with fixed points O(L_A · L_B · units² · buckets); memory O(L_A · L_B).
/// `go_on` is asked once per row.
pub fn layer_grids(
    candidate: &Sketch,
    reference: &Sketch,
    excluded: &[Exclusion],
    go_on: &mut dyn FnMut() -> bool,
) -> Vec<LayerGrid> {
    let mut filling = GridFilling::new(candidate, reference, excluded);
    if filling.fill(candidate, reference, go_on) { filling.finish() } else { Vec::new() }
}

/// Grids that are filled some rows and columns at a time, for models whose sketches are not all in memory. The outcome is that of
/// [`layer_grids`], bit for bit, once every layer has met every other.
pub struct GridFilling {
    /// Each with the experts that take part.
    grids: Vec<(LayerGrid, Vec<Option<u32>>)>,
    excluded: Vec<Exclusion>,
}

impl GridFilling {
    /// Empty grids of the extents that two sketches ask for; their outlines ([`Sketch::outline`]) will do.
    pub fn new(candidate: &Sketch, reference: &Sketch, excluded: &[Exclusion]) -> GridFilling {
        let shapes = [Shapes::of_sketch(candidate), Shapes::of_sketch(reference)];
        let asked = |component: &Component| shapes[0].tests_of(&shapes[1], *component) > 0;
        let numbers =
            |sketch, component| layers(sketch, component, excluded).into_keys().collect::<Vec<u32>>();
        let grid = |component: Component| {
            let (rows, columns) = (numbers(candidate, component), numbers(reference, component));
            let experts = rows.iter().flat_map(|layer| experts_of(candidate, component, *layer)).collect();
            let cells = vec![LayerCell::default(); rows.len() * columns.len()];
            let grid = LayerGrid { component, candidate_layers: rows, reference_layers: columns, cells };
            (grid, picked_experts(experts))
        };
        GridFilling {
            grids: Component::ALL.into_iter().filter(asked).map(grid).collect(),
            excluded: excluded.to_vec(),
        }
    }

    /// Measures the layers of `candidate` against those of `reference`, each a whole sketch or some layers of it. Returns whether it
    /// went on to the end; `go_on` is asked once per row.
    pub fn fill(&mut self, candidate: &Sketch, reference: &Sketch, go_on: &mut dyn FnMut() -> bool) -> bool {
        for (grid, experts) in &mut self.grids {
            let ours = layers(candidate, grid.component, &self.excluded);
            let theirs = layers(reference, grid.component, &self.excluded);
            for (layer, c) in &ours {
                if !go_on() {
                    return false;
                }
                let Ok(row) = grid.candidate_layers.binary_search(layer) else { continue };
                for (layer, r) in &theirs {
                    if let Ok(column) = grid.reference_layers.binary_search(layer) {
                        grid.cells[row * grid.reference_layers.len() + column] =
                            cell(c, r, experts, candidate);
                    }
                }
            }
        }
        true
    }

    /// What was measured; cells that were never filled hold no test.
    pub fn finish(self) -> Vec<LayerGrid> {
        self.grids.into_iter().map(|(grid, _)| grid).collect()
    }
}

/// The experts of a component that take part in its grid, evenly spaced; known before anything is read.
pub fn experts_in_grid(candidate: &Anatomy, component: Component) -> Vec<Option<u32>> {
    let hidden = |part: &&Part| {
        let maps = candidate.component(component).map_or((None, None), |info| channel_maps(part, info));
        let shared = matches!(part.role, Role::SharedUp | Role::SharedDown);
        let is_hidden = |map: Option<ChannelMap>| map.is_some_and(|map| map.axis == ChannelAxis::Hidden);
        part.layer.is_some() && !shared && (is_hidden(maps.0) || is_hidden(maps.1))
    };
    let parts = candidate.parts.iter().filter(|part| part.component == component);
    picked_experts(parts.filter(hidden).map(|part| part.expert).collect())
}

fn picked_experts(all: BTreeSet<Option<u32>>) -> Vec<Option<u32>> {
    let step = all.len().div_ceil(EXPERTS).max(1);
    all.into_iter().step_by(step).collect()
}

fn cell(c: &Layer<'_>, r: &Layer<'_>, experts: &[Option<u32>], sketch: &Sketch) -> LayerCell {
    let buckets = sketch.params.buckets as usize;
    let mut channels = Vec::new();
    if let (Some(c), Some(r)) = (c.hidden, r.hidden) {
        for &expert in experts {
            // Unit i of every expert is one coin: experts that are copies of one block share their signs.
            add_products(&feed_forward(c, expert), &feed_forward(r, expert), buckets, 0, &mut channels);
        }
    }
    if let (Some(c), Some(r)) = (c.value, r.value) {
        let start = channels.len();
        add_products(&all(c), &all(r), buckets, start, &mut channels);
    }
    let fixed = match (&c.units, &r.units) {
        (Some((m, c)), Some((n, r))) if m == n => {
            Some(count_fixed(c, r, sketch.params.unit_buckets as usize)).filter(|(_, units)| *units > 0)
        }
        _ => None,
    };
    LayerCell { signs: SignOutcome::of(&channels), fixed }
}

fn all(group: &GroupSketch) -> Vec<&Factor> {
    group.factors.iter().collect()
}

/// The channels by which two models' tensors outside layers are held against each other: residual ones of embeddings and heads,
/// else the values of an attention that belongs to no layer, as in a resampler. A function of shapes.
pub fn axis_outside_layers(
    candidate: &Sketch,
    reference: &Sketch,
    component: Component,
) -> Option<ChannelAxis> {
    let both = |axis: &ChannelAxis| {
        [candidate, reference].iter().all(|sketch| group_outside(sketch, component, *axis).is_some())
    };
    [ChannelAxis::Residual, ChannelAxis::Value].into_iter().find(both)
}

fn group_outside(sketch: &Sketch, component: Component, axis: ChannelAxis) -> Option<&GroupSketch> {
    sketch.groups.iter().find(|g| (g.component, g.layer, g.axis) == (component, None, axis))
}

/// The sign test on those channels of tensors outside layers.
pub fn sign_outside_layers(
    candidate: &Sketch,
    reference: &Sketch,
    component: Component,
    axis: ChannelAxis,
) -> Option<SignOutcome> {
    let ours = group_outside(candidate, component, axis)?;
    let theirs = group_outside(reference, component, axis)?;
    let mut channels = Vec::new();
    add_products(&all(ours), &all(theirs), candidate.params.buckets as usize, 0, &mut channels);
    SignOutcome::of(&channels)
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
