//! Roles for names that no family knows.
//!
//! Answers: *what can repetition, shapes and words tell where names do not?* In this order: known names under unknown
//! prefixes, repeated blocks, what lies around them. Every result is marked as inferred, and guesses are noted.

mod blocks;
mod connector;
mod feed_forward;
mod hints;
mod prefix;
mod solve;
mod surroundings;

use crate::families::Match;
use crate::layout::element_count;
use crate::notes::Notes;
use crate::rule::Rule;
use crate::{Component, Term};
use blocks::{Signature, Slot, Tower, signature};
use solve::{Solution, residual_width, solve};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use stemmata_model::{Checkpoint, Tensor};
use surroundings::{Home, has_patches, has_vocabulary, place};

/// Matches for the tensors in `left`, which no family covers; `known` is what families cover.
pub(crate) fn infer(
    checkpoint: &Checkpoint,
    left: &[usize],
    known: &[Match],
    notes: &mut Notes,
) -> Vec<Match> {
    if left.is_empty() {
        return Vec::new();
    }
    let tensors = &checkpoint.tensors;
    let mut occupied: BTreeSet<Component> =
        known.iter().filter(|found| found.layer.is_some()).map(|found| found.component).collect();
    let mut found = prefix::infer(checkpoint, left, &|component| occupied.contains(&component), notes);
    occupied.extend(found.iter().filter(|found| found.layer.is_some()).map(|found| found.component));
    let mut done: HashSet<usize> = found.iter().map(|found| found.tensor).collect();
    let remaining =
        |done: &HashSet<usize>| left.iter().copied().filter(|i| !done.contains(i)).collect::<Vec<_>>();

    let towers = towers(tensors, &remaining(&done));
    done.extend(towers.iter().flat_map(|tower| tower.matches.iter().map(|found| found.tensor)));
    let outside = remaining(&done);
    let mut homes = Vec::new();
    let mut guessed = false;
    for (tower, component) in name_towers(tensors, &outside, towers, &occupied) {
        homes.push(Home { component, residual: tower.residual });
        guessed |= tower.guessed;
        if tower.by_order {
            notes.say(format!("layers of the {} were told apart by storage order alone", component.name()));
        }
        found.extend(tower.matches.into_iter().map(|known| Match { component, ..known }));
    }
    let (placed, tied) = place(tensors, &outside, &homes);
    if guessed || tied {
        notes.say("where neither shapes nor words tell two roles apart, storage order decided: a guess");
    }
    found.extend(
        placed.into_iter().map(|placed| inferred(placed.tensor, placed.component, placed.rule, placed.term)),
    );
    found
}

fn inferred(tensor: usize, component: Component, rule: Rule, term: Term) -> Match {
    let rule = Cow::Owned(rule);
    Match {
        tensor,
        component,
        layer: None,
        expert: None,
        rule,
        term,
        interleaved: false,
        norm: None,
        inferred: true,
    }
}

/// A tower whose layers have been solved, before it is known which component it is.
struct SolvedTower {
    prefix: String,
    residual: u64,
    gated: bool,
    norm_biases: bool,
    guessed: bool,
    by_order: bool,
    elements: u128,
    matches: Vec<Match>,
}

/// All towers among `left`; storage order is asked only when names show none.
fn towers(tensors: &[Tensor], left: &[usize]) -> Vec<SolvedTower> {
    let mut taken: HashSet<usize> = HashSet::new();
    let mut solved: Vec<SolvedTower> = Vec::new();
    for mut tower in blocks::by_names(tensors, left) {
        tower.layers.iter_mut().for_each(|(_, slots)| slots.retain(|slot| !taken.contains(&slot.tensor)));
        if let Some(tower) = solve_tower(tensors, &tower) {
            taken.extend(tower.matches.iter().map(|found| found.tensor));
            solved.push(tower);
        }
    }
    if solved.is_empty() {
        solved.extend(blocks::by_order(tensors, left).and_then(|tower| solve_tower(tensors, &tower)));
    }
    solved
}

fn solve_tower(tensors: &[Tensor], tower: &Tower<'_>) -> Option<SolvedTower> {
    let mut votes: HashMap<Signature<'_>, usize> = HashMap::new();
    for (_, slots) in &tower.layers {
        *votes.entry(signature(slots)).or_default() += 1;
    }
    let most = *votes.values().max()?;
    let (_, typical) = tower.layers.iter().find(|(_, slots)| votes.get(&signature(slots)) == Some(&most))?;
    let residual = residual_width(typical)?;
    let first = solve(typical, residual)?;
    let mut out = SolvedTower {
        prefix: tower.prefix.to_owned(),
        residual,
        gated: first.gated,
        norm_biases: first.norm_biases,
        guessed: false,
        by_order: tower.by_order,
        elements: 0,
        matches: Vec::new(),
    };
    // Layers of one make are solved once; without names, slots correspond by their place in the block.
    let mut known: HashMap<Signature<'_>, Vec<solve::Solved>> = HashMap::new();
    for (layer, slots) in &tower.layers {
        let ordered = in_name_order(slots, tower.by_order);
        let key = ordered.iter().map(|slot| (slot.suffix, slot.shape)).collect::<Vec<_>>();
        let solution = known.entry(key).or_insert_with(|| {
            let Some(Solution { solved, guessed, .. }) = solve(&ordered, residual) else {
                return Vec::new();
            };
            out.guessed |= guessed;
            solved
        });
        for one in solution.iter() {
            let tensor = ordered[one.slot].tensor;
            let plain = inferred(tensor, Component::Other, one.rule.clone(), one.term);
            out.elements += u128::from(element_count(&tensors[tensor].shape).unwrap_or(0));
            out.matches.push(Match { layer: Some(*layer), expert: one.expert, ..plain });
        }
    }
    Some(out)
}

/// Slots sorted so that equal layers have equal lists.
fn in_name_order<'a>(slots: &[Slot<'a>], by_order: bool) -> Vec<Slot<'a>> {
    let mut ordered = slots.to_vec();
    if !by_order {
        ordered.sort_by_key(|slot| slot.suffix);
    }
    ordered
}

/// Gives every tower a component: the most language-like free one is the decoder, the others are image encoders if they
/// look like it.
fn name_towers(
    tensors: &[Tensor],
    outside: &[usize],
    mut towers: Vec<SolvedTower>,
    occupied: &BTreeSet<Component>,
) -> Vec<(SolvedTower, Component)> {
    let language = |tower: &SolvedTower| {
        let words = hints::component_score(&tower.prefix, Component::LanguageModel) as i64
            - hints::component_score(&tower.prefix, Component::VisionTower) as i64;
        let vision = i64::from(has_patches(tensors, outside, tower.residual)) + i64::from(tower.norm_biases);
        let text = i64::from(tower.gated) + i64::from(has_vocabulary(tensors, outside, tower.residual));
        2 * words + 2 * text - 2 * vision
    };
    towers.sort_by_key(|tower| {
        std::cmp::Reverse((language(tower), tower.elements, std::cmp::Reverse(tower.prefix.clone())))
    });
    let alone = towers.len() == 1;
    let mut free: Vec<Component> = [Component::LanguageModel, Component::VisionTower, Component::Other]
        .into_iter()
        .filter(|component| !occupied.contains(component))
        .collect();
    let mut named = Vec::new();
    for tower in towers {
        let leaning = language(&tower);
        let fits = |component: &Component| match component {
            Component::LanguageModel => leaning >= 0 || (alone && leaning > -3),
            Component::VisionTower => leaning <= 2,
            _ => true,
        };
        if let Some(at) = free.iter().position(fits) {
            named.push((tower, free.remove(at)));
        }
    }
    named
}
