use super::*;
use crate::{DecisionRule, Kind, StorageFacts, judge};
use stemmata_alignment::SignOutcome;

const COMPONENT: Component = Component::LanguageModel;

/// A judged pair whose grid is telling exactly where `cells` says.
fn judged(rows: u32, columns: u32, cells: &[(usize, usize)]) -> Judgement {
    let telling = SignOutcome { statistic: 14.0, log10_p: -40.0, n: 192, effect: 0.9 };
    let silent = SignOutcome { statistic: 0.5, log10_p: 0.0, n: 192, effect: 0.0 };
    let width = columns as usize;
    let cell = |i: usize| {
        let signs = if cells.contains(&(i / width, i % width)) { telling } else { silent };
        LayerCell { signs: Some(signs), fixed: None }
    };
    let grid = LayerGrid {
        component: COMPONENT,
        candidate_layers: (0..rows).collect(),
        reference_layers: (0..columns).collect(),
        cells: (0..rows as usize * width).map(cell).collect(),
    };
    let reserved = (rows * columns) as usize;
    let structure = Structure { reserved, ..Structure::default() };
    let before = Measurement { structure: structure.clone(), ..Measurement::default() };
    let first = judge(&before, &StorageFacts::default(), &DecisionRule::default());
    let maps = map_layers(vec![grid], &first);
    let measurement = Measurement { structure: Structure { maps, ..structure }, ..Measurement::default() };
    judge(&measurement, &StorageFacts::default(), &DecisionRule::default())
}

fn diagonal(layers: &[usize]) -> Vec<(usize, usize)> {
    layers.iter().copied().enumerate().collect()
}

fn map(judgement: &Judgement) -> Vec<Option<u32>> {
    judgement.layers.iter().map(|l| l.reference_layer).collect()
}

#[test]
fn a_shorter_model_comes_from_the_longer_one() {
    // A component without pairs has no verdict of its own; the layers and the relation are what is looked at.
    let level = -3.0 - 24f64.log10();
    let of = |rows, columns, cells: &[usize]| {
        let j = judged(rows, columns, &diagonal(cells));
        assert_eq!(j.verdict.tests, (rows * columns) as usize);
        assert_eq!(map(&j), cells.iter().map(|l| Some(*l as u32)).collect::<Vec<_>>());
        assert!(j.layers.iter().all(|l| l.dependent && l.log10_p < level));
    };
    of(4, 6, &[0, 1, 4, 5]);
    of(6, 4, &[0, 1, 2, 1, 2, 3]);
}

fn relation_of(rows: u32, columns: u32, cells: &[(usize, usize)]) -> Option<(&'static str, Direction)> {
    let structure = structure_of(rows, columns, cells);
    structure.maps.iter().find_map(|m| relation(m, -5.0)).map(|found| (found.name, found.direction))
}

fn structure_of(rows: u32, columns: u32, cells: &[(usize, usize)]) -> Structure {
    let width = columns as usize;
    let of = |i: usize| {
        let told = cells.contains(&(i / width, i % width));
        let log10_p = if told { -40.0 } else { 0.0 };
        let effect = if told { 0.9 } else { 0.0 };
        LayerCell { signs: Some(SignOutcome { statistic: 0.0, log10_p, n: 9, effect }), fixed: None }
    };
    let grid = LayerGrid {
        component: COMPONENT,
        candidate_layers: (0..rows).collect(),
        reference_layers: (0..columns).collect(),
        cells: (0..rows as usize * width).map(of).collect(),
    };
    let rule = DecisionRule::default();
    let nothing = judge(&Measurement::default(), &StorageFacts::default(), &rule);
    Structure { reserved: 0, maps: map_layers(vec![grid], &nothing), along: Vec::new() }
}

#[test]
fn relations_and_their_order() {
    use Direction::{CandidateFromReference, ReferenceFromCandidate, Unknown};
    let dropped = diagonal(&[0, 1, 4, 5]);
    let turned = |cells: &[(usize, usize)]| cells.iter().map(|c| (c.1, c.0)).collect::<Vec<_>>();
    assert_eq!(relation_of(4, 6, &dropped), Some(("layers-dropped", Unknown)));
    assert_eq!(relation_of(6, 4, &turned(&dropped)), Some(("layers-dropped", Unknown)));
    let repeated = diagonal(&[0, 1, 2, 1, 2, 3]);
    assert_eq!(relation_of(6, 4, &repeated), Some(("layers-repeated", CandidateFromReference)));
    assert_eq!(relation_of(4, 6, &turned(&repeated)), Some(("layers-repeated", ReferenceFromCandidate)));
    assert_eq!(relation_of(4, 4, &diagonal(&[2, 3, 0, 1])), Some(("layers-reordered", Unknown)));
}

#[test]
fn where_several_histories_fit_there_is_no_relation() {
    assert_eq!(relation_of(4, 4, &diagonal(&[0, 1, 2, 3])), None);
    assert_eq!(relation_of(4, 4, &[]), None);
    // One layer of the shorter model is new.
    assert_eq!(relation_of(4, 6, &[(0, 0), (1, 1), (3, 5)]), None);
    // Both sides repeat themselves.
    let both: Vec<_> = (0..2).flat_map(|i| (0..3).map(move |j| (i, j))).collect();
    assert_eq!(relation_of(2, 3, &both), None);
}

#[test]
fn a_grid_without_a_telling_cell_moves_nothing_and_is_reported() {
    let judgement = judged(4, 6, &[]);
    assert_eq!(judgement.verdict.kind, Kind::Inconclusive, "there is no other test here");
    assert!(judgement.layers.is_empty());
    assert!(judgement.evidence.iter().any(|e| e.test == TestKind::LayerSigns));
    assert!(judgement.not_tested.iter().all(|n| !n.what.contains("dropped")));
}

#[test]
fn the_order_is_said_only_where_the_layers_are_equal() {
    use stemmata_alignment::PairKey;
    use stemmata_architecture::{Role, Term};
    let repeated = structure_of(6, 4, &diagonal(&[0, 1, 2, 1, 2, 3]));
    let dropped = structure_of(4, 6, &diagonal(&[0, 1, 4, 5]));
    let pair = |identical| PairMeasurement {
        key: PairKey {
            component: COMPONENT,
            layer: Some(0),
            expert: None,
            role: Role::Up,
            term: Term::Weight,
        },
        candidate: 0,
        reference: 0,
        candidate_shape: (2, 2),
        reference_shape: (2, 2),
        moments: None,
        identical,
    };
    let of = |structure: &Structure, pairs: &[&PairMeasurement], along| {
        read(structure, None, -5.0, pairs, Reading { direction: along, ..Reading::default() }).direction
    };
    let direction = |pairs: &[&PairMeasurement], along| of(&repeated, pairs, along);
    use Direction::{CandidateFromReference, ReferenceFromCandidate, Unknown};
    let (equal, tuned) = (pair(true), pair(false));
    assert_eq!(direction(&[&equal], Unknown), CandidateFromReference);
    // Both may come from an ancestor with six layers.
    assert_eq!(direction(&[&equal, &tuned], Unknown), Unknown);
    assert_eq!(direction(&[], Unknown), Unknown);
    assert_eq!(direction(&[&tuned], CandidateFromReference), CandidateFromReference);
    assert_eq!(direction(&[&tuned], ReferenceFromCandidate), Unknown);
    // Layers that write nothing can be put into a model, and all others stay equal.
    assert_eq!(of(&dropped, &[&equal], Unknown), Unknown);
    assert_eq!(of(&dropped, &[&tuned], ReferenceFromCandidate), ReferenceFromCandidate);
}

#[test]
fn residual_channels_place_no_layer() {
    use stemmata_alignment::Channel;
    let channels = vec![Channel { product: 0.9, reach: 1.0 }; 64];
    let of = |axis| {
        let group = ChannelGroup::new(COMPONENT, Some(2), axis, &channels);
        let measurement = Measurement { groups: vec![group], ..Measurement::default() };
        placed(&judge(&measurement, &StorageFacts::default(), &DecisionRule::default()), COMPONENT)
    };
    assert!(of(ChannelAxis::Residual).is_empty());
    assert_eq!(of(ChannelAxis::Value).into_keys().collect::<Vec<_>>(), [2]);
}
