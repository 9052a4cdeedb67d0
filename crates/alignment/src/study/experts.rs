//! Experts beside the dense feed-forward of the other model: were they copied from it?

use super::matrix;
use crate::{PairKey, PairPlan, Plan};
use stemmata_architecture::{Anatomy, Part, Role, Term};
use stemmata_model::{ReadError, Weights};

/// Layers that are looked at.
const MOST_LAYERS: usize = 4;
/// Elements of one matrix that are looked at.
const ELEMENTS: u64 = 1 << 16;

/// One dense matrix and the experts of the other model in the same place.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertCopies {
    /// Side with the experts: 0 for the candidate, 1 for the reference.
    pub side: usize,
    /// The dense matrix.
    pub key: PairKey,
    /// Cosine of each expert with it.
    pub cosines: Vec<f64>,
}

pub(crate) fn copies(
    plan: &Plan,
    anatomies: [&Anatomy; 2],
    weights: [&dyn Weights; 2],
) -> Result<Vec<ExpertCopies>, ReadError> {
    let mut found = Vec::new();
    for side in 0..2 {
        let alone = [&plan.reference_only, &plan.candidate_only][side];
        let is_dense = |key: &PairKey| {
            key.expert.is_none()
                && key.term == Term::Weight
                && matches!(key.role, Role::Gate | Role::Up | Role::Down)
        };
        let mut layers: Vec<_> = alone.iter().filter(|u| is_dense(&u.key)).map(|u| u.key.layer).collect();
        layers.dedup();
        for unmatched in alone.iter().filter(|u| is_dense(&u.key)) {
            if !layers.iter().take(MOST_LAYERS).any(|layer| *layer == unmatched.key.layer) {
                continue;
            }
            let same_place = |part: &&Part, expert: bool| {
                let key = unmatched.key;
                (part.component, part.layer, part.role, part.term)
                    == (key.component, key.layer, key.role, key.term)
                    && part.expert.is_some() == expert
            };
            let Some(dense) = anatomies[1 - side].parts.iter().find(|p| same_place(p, false)) else {
                continue;
            };
            let mut cosines = Vec::new();
            for expert in anatomies[side].parts.iter().filter(|p| same_place(p, true)) {
                if (expert.view.rows, expert.view.cols) != (dense.view.rows, dense.view.cols) {
                    continue;
                }
                let pair = PairPlan {
                    key: unmatched.key,
                    candidate: expert.view,
                    reference: dense.view,
                    flipped: false,
                    rows: dense.view.rows,
                    cols: dense.view.cols,
                    row_map: None,
                    col_map: None,
                    units: false,
                    guessed: [false; 2],
                    sample: None,
                };
                let [e, d] = matrix::read(&pair, [weights[side], weights[1 - side]], ELEMENTS)?;
                cosines.push(cosine(&e.values, &d.values));
            }
            if !cosines.is_empty() {
                found.push(ExpertCopies { side, key: unmatched.key, cosines });
            }
        }
    }
    Ok(found)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let scale = (dot(a, a) * dot(b, b)).sqrt();
    if scale > 0.0 { dot(a, b) / scale } else { 0.0 }
}
