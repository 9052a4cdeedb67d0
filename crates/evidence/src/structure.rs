//! Which layer comes from which: when to look for a map, which cells of a grid may be used, and what a map says.
//!
//! Method note: docs/methods/structure.md. Its tests belong to the one family of the pair: [`Structure::reserved`] of them are
//! counted before any weight is read, whether or not they are made later.

use crate::direction::Reading;
use crate::tests_of_dependence::LABEL_NULL;
use crate::{BrokenSymmetry, Direction, Evidence, Judgement, LayerEffect, Scope, TestKind};
use std::collections::BTreeMap;
use stemmata_alignment::{
    ChannelGroup, Column, Exclusion, LayerCell, LayerGrid, LayerMap, Measurement, PairMeasurement, Shapes,
    Structure, best_map,
};
use stemmata_architecture::{ChannelAxis, Component};
use stemmata_stats::{PKind, PValue, bonferroni, fixed_points};

/// METHODS 9. One sentence, quoted in every report.
pub(crate) const LAYER_NULL: &str = "this layer of the candidate and that layer of the reference grew from independent random \
     starts; then the signs of matching channels are fair coins, if at least one of the two models was trained by a recipe that \
     treats both signs of a channel alike";
/// How many decades a cosine of 1 is worth: p cannot fall below 2^−n, so among copies only the cosine tells which is nearer.
const COSINE_DECADES: f64 = 10.0;

/// The tests that the grid must leave out because they have no null.
pub fn exclusions(broken: &[BrokenSymmetry]) -> Vec<Exclusion> {
    let of = |symmetry: &BrokenSymmetry| match symmetry {
        BrokenSymmetry::Signs(component, axis) => (*component, Some(*axis)),
        BrokenSymmetry::Labels(component) => (*component, None),
    };
    broken.iter().map(of).collect()
}

/// Whether to look for a map: the layers of a component cannot be numbered alike, or some do not depend on the layer of
/// their number.
pub fn asks_for_map(judgement: &Judgement, candidate: &Shapes, reference: &Shapes) -> bool {
    Component::ALL.into_iter().any(|component| {
        let (layers, placed) = (candidate.layers(component), placed(judgement, component));
        candidate.tests_of(reference, component) > 0
            && (layers != reference.layers(component)
                || !layers.iter().all(|layer| placed.contains_key(layer)))
    })
}

/// The layers that depend on the layer of their number by tests that tell layers apart, with the smallest p of these, raised by
/// their number, log10. Residual channels are the same channels in every layer: they tie any layer of a relative to any other.
fn placed(judgement: &Judgement, component: Component) -> BTreeMap<u32, f64> {
    let level = judgement.verdict.level();
    let mut of_layer: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for e in judgement.evidence.iter().filter(|e| tells_layers_apart(e.test)) {
        if let (Scope::Layer(c, Some(layer)), Some(p)) = (e.scope, e.p)
            && c == component
        {
            of_layer.entry(layer).or_default().push(p.log10());
        }
    }
    of_layer.retain(|_, ps| ps.iter().any(|p| *p <= level));
    of_layer.into_iter().map(|(layer, ps)| (layer, bonferroni(&ps, ps.len()))).collect()
}

/// Whether a test of two layers of equal number could tell them from other layers.
fn tells_layers_apart(test: TestKind) -> bool {
    matches!(test, TestKind::SignFlip(ChannelAxis::Hidden | ChannelAxis::Value) | TestKind::FixedPoints)
}

/// Reads the maps off the grids. `judgement` is that of the layers of equal numbers: what it found there stays found.
pub fn map_layers(grids: Vec<LayerGrid>, judgement: &Judgement) -> Vec<LayerMap> {
    let level = judgement.verdict.level();
    let map = |grid: LayerGrid| {
        let known = placed(judgement, grid.component);
        let score = |row: usize, column: usize| {
            let (cell, layer) = (grid.cell(row, column), grid.candidate_layers[row]);
            let same = known.get(&layer).filter(|_| layer == grid.reference_layers[column]);
            let log10_p = cell.log10_p().min(same.copied().unwrap_or(0.0));
            (same.is_some() || cell.log10_p() <= level).then(|| cell_score(cell, log10_p))
        };
        let (from, to) = {
            let columns = |layers: &[u32]| -> Vec<Column> {
                layers.iter().map(|layer| Column { reference: 0, layer: *layer }).collect()
            };
            let (rows, cols) = (&grid.candidate_layers, &grid.reference_layers);
            (
                best_map(rows.len(), &columns(cols), &score),
                best_map(cols.len(), &columns(rows), &|column, row| score(row, column)),
            )
        };
        LayerMap { grid, from, to }
    };
    grids.into_iter().map(map).collect()
}

/// What a usable cell is worth to the map, decades.
pub fn cell_score(cell: &LayerCell, log10_p: f64) -> f64 {
    COSINE_DECADES * cell.effect().map_or(0.0, f64::abs) - log10_p
}

/// The tests that the report shows: of each component the most telling cell, and the cell of every mapped layer. All other
/// cells are in the family all the same.
pub(crate) fn evidence(structure: &Structure) -> Vec<Evidence> {
    let mut out = Vec::new();
    for map in &structure.maps {
        let telling = map.grid.cells.iter().min_by(|a, b| a.log10_p().total_cmp(&b.log10_p()));
        out.extend(telling.into_iter().flat_map(|cell| of_cell(cell, Scope::Component(map.grid.component))));
    }
    for map in &structure.maps {
        for (row, column) in map.from.iter().enumerate() {
            let scope = Scope::Layer(map.grid.component, Some(map.grid.candidate_layers[row]));
            out.extend(column.iter().flat_map(|column| of_cell(map.grid.cell(row, *column), scope)));
        }
    }
    out
}

fn of_cell(cell: &LayerCell, scope: Scope) -> Vec<Evidence> {
    let signs = cell.signs.map(|s| Evidence {
        test: TestKind::LayerSigns,
        scope,
        p: Some(PValue::new(s.log10_p, PKind::Exact, LAYER_NULL, s.n)),
        statistic: s.statistic,
        n: s.n,
        effect: Some(s.effect),
        interval: None,
        detectable: None,
    });
    let fixed = cell.fixed.map(|(fixed, units)| Evidence {
        test: TestKind::LayerFixedPoints,
        scope,
        p: Some(PValue::new(fixed_points(fixed), PKind::Exact, LABEL_NULL, units)),
        statistic: fixed as f64,
        n: units,
        effect: Some(fixed as f64 / units.max(1) as f64),
        interval: None,
        detectable: None,
    });
    signs.into_iter().chain(fixed).collect()
}

/// The groups that effects are taken from: those along the map where it moves layers.
pub(crate) fn effect_groups(
    measurement: &Measurement,
    component: Component,
) -> impl Iterator<Item = &ChannelGroup> + Clone {
    let along = measurement.structure.along.iter().any(|g| g.component == component && g.layer.is_some());
    let groups = if along { &measurement.structure.along } else { &measurement.groups };
    groups.iter().filter(move |g| g.component == component)
}

/// Whether a component's layers were paired with layers of other numbers.
pub(crate) fn moves(structure: &Structure, component: Component) -> bool {
    structure.maps.iter().any(|map| map.grid.component == component && !map.keeps_numbers())
}

/// Puts the layers of mapped components where the map says. The p of a layer is raised by all tests that could have made it.
pub(crate) fn place_layers(
    layers: &mut Vec<LayerEffect>,
    structure: &Structure,
    tests: &[Evidence],
    effect: &dyn Fn(Component, u32) -> Option<(f64, stemmata_stats::Interval)>,
) {
    for map in structure.maps.iter().filter(|map| map.from.iter().any(Option::is_some)) {
        let (component, grid) = (map.grid.component, &map.grid);
        for (row, &layer) in grid.candidate_layers.iter().enumerate() {
            let own =
                |e: &&Evidence| e.scope == Scope::Layer(component, Some(layer)) && tells_layers_apart(e.test);
            let mut log10_ps: Vec<f64> =
                tests.iter().filter(own).filter_map(|e| e.p.map(|p| p.log10())).collect();
            let cells = (0..grid.reference_layers.len()).map(|column| grid.cell(row, column));
            let made = log10_ps.len() + cells.clone().map(LayerCell::tests).sum::<usize>();
            log10_ps.extend(cells.map(LayerCell::log10_p));
            let column = map.from[row];
            let measured = column.and_then(|column| {
                let of_cell = || grid.cell(row, column).effect().map(|x| (x, None));
                effect(component, layer).map(|(x, interval)| (x, Some(interval))).or_else(of_cell)
            });
            let placed = LayerEffect {
                component,
                candidate_layer: Some(layer),
                reference_layer: column.map(|column| grid.reference_layers[column]),
                effect: measured.map(|m| m.0),
                interval: measured.and_then(|m| m.1),
                log10_p: bonferroni(&log10_ps, made),
                dependent: column.is_some(),
            };
            match layers.iter_mut().find(|l| (l.component, l.candidate_layer) == (component, Some(layer))) {
                Some(known) => *known = placed,
                None => layers.push(placed),
            }
        }
    }
    layers.sort_by_key(|l| (l.component, l.candidate_layer));
}

/// Lets the map speak beside the change along it: how layers were kept is the wider relation. `component` restricts it to one
/// of them; `pairs` are what was compared along the map.
///
/// A map shows that layers went missing or were repeated *on the way* between the two. That one came from the other, rather than
/// both from an ancestor that had all layers, is only said where the layers are equal value by value, or a noise order says so.
pub(crate) fn read(
    structure: &Structure,
    component: Option<Component>,
    level: f64,
    pairs: &[&PairMeasurement],
    along: Reading,
) -> Reading {
    let maps = structure.maps.iter().filter(|map| component.is_none_or(|c| map.grid.component == c));
    let Some((map, found)) = maps.filter_map(|map| Some((map, relation(map, level)?))).next() else {
        return along;
    };
    let layers = pairs.iter().filter(|p| p.key.component == map.grid.component && p.key.layer.is_some());
    let equal = layers.clone().count() > 0 && layers.clone().all(|p| p.identical);
    let direction = match (found.direction, along.direction) {
        (structural, Direction::Unknown) if equal => structural,
        (Direction::Unknown, noise) => noise,
        (structural, noise) if structural == noise => noise,
        _ => Direction::Unknown,
    };
    let mut cue = found.cue;
    if found.direction != Direction::Unknown && direction == Direction::Unknown {
        let (this, other) = match found.direction {
            Direction::CandidateFromReference => ("candidate", "reference"),
            _ => ("reference", "candidate"),
        };
        cue.push_str(&format!(
            "; the {this} came from the {other} or from a relative of it with the same layers"
        ));
    }
    if let Some(other) = along.cue {
        cue.push_str(&format!("; along the map: {other}"));
    }
    Reading { direction, relation: Some(found.name), cue: Some(cue), evidence: along.evidence }
}

/// Relation, direction and cue of one map; `None` where a layer of the smaller side has no counterpart, or the layers of both
/// sides repeat themselves: then several histories fit.
fn relation(map: &LayerMap, level: f64) -> Option<Relation> {
    let grid = &map.grid;
    let (rows, columns) = (grid.candidate_layers.len(), grid.reference_layers.len());
    let tells = |row: usize, column: usize| grid.cell(row, column).log10_p() <= level;
    // The same seen from either side: how one side's layers lie on the other's.
    let candidate = OnOther {
        map: &map.from,
        layers: &grid.candidate_layers,
        back: &map.to,
        other_layers: &grid.reference_layers,
        other_repeats: (0..rows).any(|row| (0..columns).filter(|column| tells(row, *column)).count() > 1),
        names: ["candidate", "reference"],
        from_other: Direction::CandidateFromReference,
    };
    let reference = OnOther {
        map: &map.to,
        layers: &grid.reference_layers,
        back: &map.from,
        other_layers: &grid.candidate_layers,
        other_repeats: (0..columns).any(|column| (0..rows).filter(|row| tells(*row, column)).count() > 1),
        names: ["reference", "candidate"],
        from_other: Direction::ReferenceFromCandidate,
    };
    let sides = [candidate, reference];
    let mut all = sides.iter().map(OnOther::repeated).chain(sides.iter().map(OnOther::dropped));
    all.find_map(|found| found).or_else(|| sides.iter().find_map(OnOther::reordered))
}

/// One side's layers on the other's.
struct OnOther<'a> {
    /// Per layer of this side, the index of its counterpart.
    map: &'a [Option<usize>],
    layers: &'a [u32],
    /// Per layer of the other side.
    back: &'a [Option<usize>],
    other_layers: &'a [u32],
    /// Whether a layer of this side has several counterparts.
    other_repeats: bool,
    names: [&'static str; 2],
    from_other: Direction,
}

/// What a map says of the way the layers went.
struct Relation {
    name: &'static str,
    /// Which way they went, if one of the two came from the other.
    direction: Direction,
    cue: String,
}

impl OnOther<'_> {
    /// The counterparts of all layers, if all have one.
    fn whole(&self) -> Option<Vec<usize>> {
        self.map.iter().copied().collect::<Option<Vec<usize>>>().filter(|map| !map.is_empty())
    }

    fn repeated(&self) -> Option<Relation> {
        let map = self.whole().filter(|_| !self.other_repeats)?;
        let twice = |i: &usize| map.iter().filter(|j| **j == map[*i]).count() > 1;
        let repeated: Vec<u32> = (0..map.len()).filter(twice).map(|i| self.layers[i]).collect();
        let [this, other] = self.names;
        let cue = format!(
            "layer map: {} of the {this} share layers of the {other} as counterparts",
            spans(&repeated)
        );
        (!repeated.is_empty()).then_some(Relation {
            name: "layers-repeated",
            direction: self.from_other,
            cue,
        })
    }

    /// All of this side lies on the other in order, and the other has layers that resemble none of this side. No direction: layers
    /// can be put in as well as left out, and even if all others are equal value by value, those put in may write nothing.
    fn dropped(&self) -> Option<Relation> {
        let map = self.whole().filter(|map| map.is_sorted_by(|a, b| a < b))?;
        let spare: Vec<usize> = (0..self.other_layers.len()).filter(|j| !map.contains(j)).collect();
        if spare.is_empty() || spare.iter().any(|j| self.back[*j].is_some()) {
            return None;
        }
        let [this, other] = self.names;
        let layers: Vec<u32> = spare.iter().map(|j| self.other_layers[*j]).collect();
        let cue = format!(
            "layer map: every layer of the {this} has its counterpart, in order, and nothing resembles {} of the {other}; \
             layers put into the {other} later, with a start of their own, would look the same",
            spans(&layers)
        );
        Some(Relation { name: "layers-dropped", direction: Direction::Unknown, cue })
    }

    fn reordered(&self) -> Option<Relation> {
        let map = self.whole().filter(|map| !map.is_sorted())?;
        let once = (0..map.len()).all(|i| !map[..i].contains(&map[i]));
        let cue =
            format!("layer map: every layer of the {} has its counterpart, in another order", self.names[0]);
        (once && !self.other_repeats).then_some(Relation {
            name: "layers-reordered",
            direction: Direction::Unknown,
            cue,
        })
    }
}

/// `layers 0-3, 7` for ascending numbers.
fn spans(numbers: &[u32]) -> String {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for &n in numbers {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => spans.push((n, n)),
        }
    }
    let word = if numbers.len() == 1 { "layer" } else { "layers" };
    let text = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    format!("{word} {}", spans.iter().map(text).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
#[path = "structure_tests.rs"]
mod tests;
