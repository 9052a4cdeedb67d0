//! What kind of change lies between two dependent models, and in which direction (METHODS 7 and 8).
//!
//! Each rule asks for something that only one kind of change leaves. A direction is stated where the operation was repeated
//! or cannot be undone; a change that training left has none ([docs/methods/change.md](../../../../docs/methods/change.md)).

mod rounding;
mod spectra;
mod structure;
mod symmetry;

use crate::{Direction, Evidence, Judgement, Kind};
use std::collections::BTreeSet;
use stemmata_alignment::study::{Study, TensorStudy};
use stemmata_alignment::{HeadMap, Measurement, PairMeasurement, Unmatched};
use stemmata_architecture::Component;

/// What training leaves, the last resort: a cast, a grid, a scale or a noise order says more.
const TRAINING: [&str; 3] = ["trained-further", "common-ancestor", "shared-initialisation"];

/// What a rule says.
pub(crate) struct Finding {
    relation: Option<&'static str>,
    direction: Direction,
    cue: String,
    evidence: Option<Evidence>,
}

impl Finding {
    fn new(relation: &'static str, direction: Direction, cue: String) -> Option<Finding> {
        Some(Finding { relation: Some(relation), direction, cue, evidence: None })
    }
}

/// The direction in which a side (0 for the candidate, 1 for the reference) is the child.
pub(crate) fn child(side: usize) -> Direction {
    [Direction::CandidateFromReference, Direction::ReferenceFromCandidate][side]
}

/// What a side is called.
pub(crate) fn name(side: usize) -> &'static str {
    ["candidate", "reference"][side]
}

/// Adds what the second look found to a judgement that found dependence. Pure, like [`judge`](crate::judge()).
///
/// A relation of the whole pair is stated only if the tensors that were looked at are at least half of what either model has
/// in its dependent components, or if the rule is about what only one of them has.
pub fn refine(judgement: &mut Judgement, measurement: &Measurement, study: &Study) {
    if !matches!(judgement.verdict.kind, Kind::Related | Kind::Derived) {
        return;
    }
    let dependent: Vec<Component> =
        judgement.components.iter().filter(|c| c.kind.is_dependence()).map(|c| c.component).collect();
    let found = read(study, measurement, &dependent);
    if let Some(found) = found {
        apply(judgement, found);
    }
    for verdict in &mut judgement.components {
        if matches!(verdict.kind, Kind::Related | Kind::Derived)
            && let Some(found) = read(study, measurement, &[verdict.component])
            && found.direction != Direction::Unknown
        {
            verdict.kind = Kind::Derived;
        }
    }
}

/// Whether attention heads are worth a search: nothing but training is said of the pair, and attention has less in common than that leaves.
pub fn wants_heads(judgement: &Judgement, study: &Study) -> bool {
    let open = judgement.verdict.relation.is_none_or(|relation| TRAINING.contains(&relation));
    let tensors: Vec<&TensorStudy> = study.tensors.iter().collect();
    open && judgement.verdict.direction == Direction::Unknown && symmetry::wants_heads(&tensors)
}

/// Says where heads were found.
pub fn refine_heads(judgement: &mut Judgement, study: &Study, maps: &[HeadMap]) {
    let tensors: Vec<&TensorStudy> = study.tensors.iter().collect();
    if let Some(found) = symmetry::heads(&tensors, maps) {
        apply(judgement, found);
    }
}

/// Says so where models whose layers or units were found elsewhere have their random start in common and no training. The study is
/// of what lies side by side all the same.
pub fn refine_moved(judgement: &mut Judgement, study: &Study) {
    let verdict = &mut judgement.verdict;
    let tensors: Vec<&TensorStudy> = study.tensors.iter().collect();
    if verdict.direction != Direction::Unknown {
        return;
    }
    if let Some(found) = spectra::start_alone(&tensors) {
        verdict.relation = found.relation;
        verdict.cue = Some(match verdict.cue.take() {
            Some(before) => format!("{}; {before}", found.cue),
            None => found.cue,
        });
    }
}

/// Puts a finding into the verdict.
fn apply(judgement: &mut Judgement, found: Finding) {
    let verdict = &mut judgement.verdict;
    if verdict.relation.is_some() && found.relation.is_none_or(|relation| TRAINING.contains(&relation)) {
        return;
    }
    if found.relation.is_some() {
        verdict.relation = found.relation;
        verdict.direction = found.direction;
        verdict.cue = Some(found.cue);
        verdict.kind = if found.direction == Direction::Unknown { Kind::Related } else { Kind::Derived };
    } else if verdict.cue.is_none() {
        verdict.cue = Some(found.cue);
    }
    judgement.evidence.extend(found.evidence);
}

/// The first rule that applies to these components.
fn read(study: &Study, measurement: &Measurement, components: &[Component]) -> Option<Finding> {
    let inside = |component: Component| components.contains(&component);
    let tensors: Vec<&TensorStudy> = study.tensors.iter().filter(|t| inside(t.key.component)).collect();
    let pairs: Vec<&PairMeasurement> = measurement.pairs.iter().filter(|p| inside(p.key.component)).collect();
    if let Some(found) = structure::upcycled(study, components, &tensors) {
        return Some(found);
    }
    if !covers_most(&pairs, measurement, components) {
        // What lies side by side says nothing of the rest, except that it had the same start.
        return spectra::start_alone(&tensors);
    }
    let embeddings =
        || components.contains(&Component::LanguageModel).then_some(&study.tokens).into_iter().flatten();
    rounding::cast(&tensors)
        .or_else(|| rounding::quantized(&tensors))
        .or_else(|| rounding::pruned(&tensors))
        .or_else(|| embeddings().find_map(|tokens| structure::vocabulary_extended(tokens, &tensors)))
        .or_else(|| embeddings().find_map(|tokens| structure::re_embedded(tokens, &tensors)))
        .or_else(|| spectra::low_rank(&tensors))
        .or_else(|| symmetry::rescaled(&tensors))
        .or_else(|| {
            spectra::trained(&tensors, embeddings().next()).filter(|_| same_layers(measurement, components))
        })
}

/// Whether the pairs with a common corner are at least half of what either model has in these components.
pub(crate) fn covers_most(
    pairs: &[&PairMeasurement],
    measurement: &Measurement,
    components: &[Component],
) -> bool {
    let corner = |p: &&PairMeasurement| {
        p.candidate_shape.0.min(p.reference_shape.0) * p.candidate_shape.1.min(p.reference_shape.1)
    };
    let compared: u64 = pairs.iter().map(corner).sum();
    compared > 0
        && [&measurement.candidate_only, &measurement.reference_only].iter().all(|only| {
            let alone: u64 =
                only.iter().filter(|u| components.contains(&u.key.component)).map(|u| u.elements).sum();
            compared >= alone
        })
}

/// Whether neither side has layers of its own: else equal numbers need not mean equal layers.
fn same_layers(measurement: &Measurement, components: &[Component]) -> bool {
    let own = |u: &Unmatched| components.contains(&u.key.component) && u.key.layer.is_some();
    let paired: BTreeSet<_> = measurement.pairs.iter().map(|p| (p.key.component, p.key.layer)).collect();
    [&measurement.candidate_only, &measurement.reference_only]
        .iter()
        .all(|only| only.iter().filter(|u| own(u)).all(|u| paired.contains(&(u.key.component, u.key.layer))))
}

#[cfg(test)]
mod tests;
