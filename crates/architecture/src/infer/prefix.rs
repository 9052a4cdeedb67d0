//! Known names under unknown prefixes.
//!
//! Answers: *would a family know these names if their first tokens were taken off?*

use super::hints;
use crate::families::{Choice, Match, Named, choose};
use crate::layout::element_count;
use crate::names::strip;
use crate::notes::Notes;
use std::collections::BTreeMap;
use stemmata_model::{Checkpoint, printable};

/// Tokens that are taken off at most.
const DROP_LIMIT: usize = 3;
/// A family must map this share of a prefix's elements, in percent; a lower share is more likely chance than a rename.
const SHARE: u128 = 90;
/// Prefixes that are tried; renamed checkpoints have a handful.
const PREFIX_LIMIT: usize = 32;

/// Matches under unknown prefixes; `occupied` says whether a component has layers already.
pub(crate) fn infer(
    checkpoint: &Checkpoint,
    left: &[usize],
    occupied: &dyn Fn(crate::Component) -> bool,
    notes: &mut Notes,
) -> Vec<Match> {
    let tensors = &checkpoint.tensors;
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &index in left {
        let name = tensors[index].name.as_str();
        groups.entry(name.split('.').next().unwrap_or(name)).or_default().push(index);
    }
    if groups.len() > PREFIX_LIMIT {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (prefix, group) in groups.iter().filter(|(_, group)| group.len() > 2) {
        let total: u128 =
            group.iter().map(|&index| u128::from(element_count(&tensors[index].shape).unwrap_or(0))).sum();
        let attempt = |drop: usize| {
            let named: Vec<Named<'_>> = group
                .iter()
                .filter_map(|&tensor| {
                    let (at, _) = tensors[tensor].name.match_indices('.').nth(drop - 1)?;
                    Some(Named { tensor, name: strip(&tensors[tensor].name[at + 1..])? })
                })
                .collect();
            choose(tensors, &named, &checkpoint.config)
        };
        let elements = |choices: &[Choice]| choices.iter().map(|choice| choice.elements).sum::<u128>();
        let best = (1..=DROP_LIMIT).map(attempt).rev().max_by_key(|choices| elements(choices));
        let Some(choices) = best.filter(|choices| elements(choices) * 100 >= total * SHARE && total > 0)
        else {
            continue;
        };
        let single = choices.len() == 1;
        for choice in choices {
            let stated =
                choice.matches.first().map(|first| first.component).unwrap_or(choice.family.component);
            // The dropped tokens name the component only where the rest of the name does not.
            let component = if single && stated == choice.family.component {
                hints::component(prefix).unwrap_or(stated)
            } else {
                stated
            };
            if occupied(component) {
                continue;
            }
            notes.say(format!(
                "names under `{}` are read as {} of family `{}`",
                printable(prefix),
                component.name(),
                choice.family.id
            ));
            found.extend(choice.matches.into_iter().map(|known| {
                let component = if known.component == stated { component } else { known.component };
                Match { component, inferred: true, ..known }
            }));
        }
    }
    found
}
