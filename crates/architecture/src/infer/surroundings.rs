//! Tensors outside the layers.
//!
//! Answers: *which are the embedding, the head, the final norm, the patches, the connector?*

use super::blocks::{Slot, slot};
use super::connector::connector;
use super::hints::{assign, bias_stem, component_score, score, weight_stem};
use crate::rule::Rule;
use crate::{Component, Role, Term};
use stemmata_model::Tensor;

/// A tower that has been given a component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    pub(crate) component: Component,
    pub(crate) residual: u64,
}

/// A tensor outside the layers with its role.
pub(crate) struct Placed {
    pub(crate) tensor: usize,
    pub(crate) component: Component,
    pub(crate) rule: Rule,
    pub(crate) term: Term,
}

/// Vocabulary matrices of width `residual`, the ones with most rows, in storage order.
fn vocabulary<'a>(slots: &[Slot<'a>], residual: u64) -> Vec<Slot<'a>> {
    let rows = |slot: &Slot<'_>| match *slot.shape {
        [rows, cols] if cols == residual && rows > residual => Some(rows),
        _ => None,
    };
    let largest = slots.iter().filter_map(rows).max();
    let mut found: Vec<Slot<'_>> =
        slots.iter().filter(|slot| rows(slot).is_some() && rows(slot) == largest).cloned().collect();
    found.sort_by_key(|slot| (slot.place, slot.tensor));
    found
}

/// Whether a matrix like a vocabulary's stands beside a tower of this width.
pub(crate) fn has_vocabulary(tensors: &[Tensor], left: &[usize], residual: u64) -> bool {
    let slots: Vec<Slot<'_>> = left.iter().map(|&index| slot(tensors, index)).collect();
    !vocabulary(&slots, residual).is_empty()
}

/// Whether a patch convolution into this width is there.
pub(crate) fn has_patches(tensors: &[Tensor], left: &[usize], residual: u64) -> bool {
    left.iter().any(|&index| matches!(tensors[index].shape[..], [out, _, _, _, ..] if out == residual))
}

/// Places what lies outside the layers of `homes`; says whether storage order decided anything.
pub(crate) fn place(tensors: &[Tensor], left: &[usize], homes: &[Home]) -> (Vec<Placed>, bool) {
    let mut slots: Vec<Slot<'_>> = left.iter().map(|&index| slot(tensors, index)).collect();
    let mut placed: Vec<Placed> = Vec::new();
    let mut guessed = false;
    let mut order: Vec<&Home> = homes.iter().collect();
    order.sort_by_key(|home| home.component);
    for home in order {
        // Where two components are equally wide, words of the name keep one's tensors from the other.
        let others = |slot: &Slot<'_>| {
            homes.iter().any(|other| {
                other.component != home.component
                    && component_score(slot.suffix, other.component)
                        > component_score(slot.suffix, home.component)
            })
        };
        let mine: Vec<Slot<'_>> = slots.iter().filter(|slot| !others(slot)).cloned().collect();
        let mut give = |slot: &Slot<'_>, role: Role| {
            placed.push(Placed {
                tensor: slot.tensor,
                component: home.component,
                rule: Rule::plain(role),
                term: Term::Weight,
            });
        };
        if home.component == Component::LanguageModel {
            let vocabulary = vocabulary(&mine, home.residual);
            let names: Vec<&str> = vocabulary.iter().map(|slot| slot.suffix).collect();
            match names.len() {
                1 => give(&vocabulary[0], Role::TokenEmbedding),
                2 => {
                    let (roles, tied) = assign(&names, &[Role::TokenEmbedding, Role::Head]);
                    guessed |= tied;
                    vocabulary.iter().zip(roles).for_each(|(slot, role)| give(slot, role));
                }
                _ => {}
            }
        }
        for slot in &mine {
            match *slot.shape {
                [out, _, _, _, ..] if out == home.residual => give(slot, Role::PatchEmbedding),
                [.., cols] if cols == home.residual && score(slot.suffix, Role::PositionEmbedding) > 0 => {
                    give(slot, Role::PositionEmbedding);
                }
                [.., cols] if cols == home.residual && score(slot.suffix, Role::ClassEmbedding) > 0 => {
                    give(slot, Role::ClassEmbedding);
                }
                _ => {}
            }
        }
        let is_gain = |slot: &Slot<'_>| matches!(*slot.shape, [len] if len == home.residual);
        let gains: Vec<Slot<'_>> = mine
            .iter()
            .filter(|slot| is_gain(slot) && bias_stem(slot.suffix).is_none())
            .filter(|slot| placed.iter().all(|done| done.tensor != slot.tensor))
            .cloned()
            .collect();
        let final_norm = match gains.as_slice() {
            [only] => Some(only),
            several => several
                .iter()
                .filter(|slot| score(slot.suffix, Role::FinalNorm) > score(slot.suffix, Role::EmbeddingNorm))
                .max_by_key(|slot| score(slot.suffix, Role::FinalNorm)),
        };
        if let Some(norm) = final_norm {
            placed.push(Placed {
                tensor: norm.tensor,
                component: home.component,
                rule: Rule::plain(Role::FinalNorm),
                term: Term::Weight,
            });
        }
        slots.retain(|slot| placed.iter().all(|done| done.tensor != slot.tensor));
    }
    let (connected, tied) = connector(&slots, homes);
    placed.extend(connected);
    guessed |= tied;
    placed.extend(biases(&slots, tensors, &placed));
    (placed, guessed)
}

/// Biases of what has been placed.
fn biases(slots: &[Slot<'_>], tensors: &[Tensor], placed: &[Placed]) -> Vec<Placed> {
    let owner = |stem: &str| placed.iter().find(|done| weight_stem(&tensors[done.tensor].name) == stem);
    slots
        .iter()
        .filter(|slot| slot.shape.len() == 1)
        .filter_map(|slot| {
            let owner = owner(bias_stem(slot.suffix)?)?;
            let rule = Rule { term: Some(Term::Bias), ..owner.rule.clone() };
            Some(Placed { tensor: slot.tensor, component: owner.component, rule, term: Term::Bias })
        })
        .collect()
}
