//! Changes of shape: more tokens, other embeddings, experts.

use super::{Finding, child, name, spectra};
use crate::Direction;
use stemmata_alignment::study::{Study, TensorStudy, TokenRows};
use stemmata_architecture::Component;

/// Cosine above which two matrices of equal shape are one the copy of the other, changed; independent ones of 256 elements or
/// more stay below 0.4 with more than six standard deviations.
const COPIED: f64 = 0.5;
/// Cosine below which token rows share nothing to speak of.
const REPLACED: f64 = 0.1;
/// Rows drawn at once have nearly equal norms; rows that were trained differ by how often they were seen.
const DRAWN_AT_ONCE: f64 = 0.5;
/// Share of values that must be equal for the rest to count as unchanged.
const UNCHANGED: f64 = 0.99;
/// Rows set to the mean of the others, up to a little noise.
const NEAR_MEAN: f64 = 0.9;

/// Experts that are all copies of one dense matrix.
pub(super) fn upcycled(study: &Study, components: &[Component], tensors: &[&TensorStudy]) -> Option<Finding> {
    let copies: Vec<_> = study.experts.iter().filter(|e| components.contains(&e.key.component)).collect();
    let side = copies.first()?.side;
    let each = |e: &&_| -> bool {
        let e: &stemmata_alignment::study::ExpertCopies = e;
        e.side == side && e.cosines.len() >= 2 && e.cosines.iter().all(|c| *c >= COPIED)
    };
    if !copies.iter().all(each) {
        return None;
    }
    let lowest = copies.iter().flat_map(|e| &e.cosines).fold(1.0, |a: f64, b| a.min(*b));
    let cue = format!(
        "copied experts: every expert of the {} that was looked at has a cosine of {lowest:.3} or more with the one feed-forward \
         of the {}",
        name(side),
        name(1 - side)
    );
    let direction = if unchanged(tensors) { child(side) } else { Direction::Unknown };
    Finding::new("upcycled", direction, cue)
}

/// The same rows and more of them.
pub(super) fn vocabulary_extended(tokens: &TokenRows, tensors: &[&TensorStudy]) -> Option<Finding> {
    let extra = tokens.extra?;
    if tokens.cosine < COPIED {
        return None;
    }
    let side = usize::from(tokens.rows[1] > tokens.rows[0]);
    let fresh = extra.norm_variation <= DRAWN_AT_ONCE * extra.common_norm_variation;
    let averaged = extra.mean_cosine >= NEAR_MEAN;
    let look = match (averaged, fresh) {
        (true, _) => "which lie near the mean of the others",
        (_, true) => "whose norms are as even as those of rows drawn at once",
        _ => "which look like the others; the other model may have been cut",
    };
    let cue = format!(
        "vocabulary: the {} has {} more token rows, {look}; cosine of the common rows {:.3}",
        name(side),
        extra.rows,
        tokens.cosine
    );
    // Where the rest was trained as well, the two may be children of one parent.
    let direction = if (averaged || fresh) && unchanged(tensors) { child(side) } else { Direction::Unknown };
    Finding::new("vocabulary-extended", direction, cue)
}

/// Whether nearly all values of the tensors of equal shape are equal.
fn unchanged(tensors: &[&TensorStudy]) -> bool {
    let sum = |of: fn(&TensorStudy) -> u64| tensors.iter().map(|t| of(t)).sum::<u64>() as f64;
    sum(|t| t.elements.equal) >= UNCHANGED * sum(|t| t.elements.n)
}

/// Layers that share training, and token rows that share nothing.
pub(super) fn re_embedded(tokens: &TokenRows, tensors: &[&TensorStudy]) -> Option<Finding> {
    if tokens.cosine.abs() > REPLACED || !spectra::share_training(tensors) {
        return None;
    }
    let cue = format!(
        "embeddings: cosine of the token rows {:.3}, while the layers share what they learned",
        tokens.cosine
    );
    Finding::new("re-embedded", Direction::Unknown, cue)
}
