//! Choosing which families' names a checkpoint uses.
//!
//! Answers: *which rule covers this tensor?* Names decide; the configuration only breaks ties.

use crate::catalogue::{Catalogue, Family};
use crate::layout::element_count;
use crate::names::{Stripped, split_term};
use crate::rule::Rule;
use crate::trie::{Captures, DEPTH};
use crate::{Component, Norm, Term};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use stemmata_model::{Config, Tensor};

/// A tensor for which a rule was found, by name or by inference.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) tensor: usize,
    pub(crate) component: Component,
    pub(crate) layer: Option<u32>,
    pub(crate) expert: Option<u32>,
    pub(crate) rule: Cow<'static, Rule>,
    pub(crate) term: Term,
    /// Whether q and k rows are in adjacent rotary pairs where the rule leaves it to the architecture.
    pub(crate) interleaved: bool,
    /// The normalisation of the family whose name this is.
    pub(crate) norm: Option<Norm>,
    /// Whether the role was inferred rather than known by name.
    pub(crate) inferred: bool,
}

/// A name to be matched.
pub(crate) struct Named<'a> {
    pub(crate) tensor: usize,
    pub(crate) name: Stripped<'a>,
}

/// A family at work on one group of names.
pub(crate) struct Choice {
    pub(crate) family: &'static Family,
    pub(crate) matches: Vec<Match>,
    /// Elements of the matched tensors.
    pub(crate) elements: u128,
}

/// What the configuration says the model is; never more than a tie-breaker.
pub(crate) fn declared_types(config: &Config) -> Vec<&str> {
    let keys = ["model_type", "text_config.model_type", "vision_config.model_type", "general.architecture"];
    keys.iter().filter_map(|key| config.first_text(key)).collect()
}

/// Groups names by what their prefixes say and picks the best family for each group.
///
/// Names without a component prefix are taken together with those of the language model: HF keeps `lm_head` outside.
pub(crate) fn choose(tensors: &[Tensor], named: &[Named<'_>], config: &Config) -> Vec<Choice> {
    let mut groups: BTreeMap<Component, Vec<&Named<'_>>> = BTreeMap::new();
    for name in named {
        groups.entry(name.name.component.unwrap_or(Component::LanguageModel)).or_default().push(name);
    }
    let declared = declared_types(config);
    groups
        .iter()
        .filter_map(|(component, group)| best(tensors, group, *component, &declared, config))
        .collect()
}

/// The family that maps most elements of `group`.
pub(crate) fn best(
    tensors: &[Tensor],
    group: &[&Named<'_>],
    component: Component,
    declared: &[&str],
    config: &Config,
) -> Option<Choice> {
    let scored = Catalogue::embedded().families.iter().enumerate().filter_map(|(order, family)| {
        let mut required = vec![false; family.requires.len()];
        let (mut elements, mut count) = (0u128, 0usize);
        for name in group {
            let Some((rule, ..)) = lookup(family, &name.name) else { continue };
            for (slot, wanted) in required.iter_mut().zip(&family.requires) {
                *slot |= rule == *wanted;
            }
            elements += u128::from(element_count(&tensors[name.tensor].shape).unwrap_or(0));
            count += 1;
        }
        let hinted = family.model_types.iter().any(|known| declared.contains(&known.as_str()));
        let rank = (elements, count, hinted, family.component == component, std::cmp::Reverse(order));
        (count > 0 && required.iter().all(|met| *met)).then_some((rank, family))
    });
    let ((elements, ..), family) = scored.max_by_key(|(rank, _)| *rank)?;
    let architecture = config.text("general.architecture").unwrap_or_default();
    let interleaved = family.interleaved.iter().any(|known| known == architecture);
    let component = |name: &Named<'_>, rule: usize| {
        // `text_model` is said of decoders and of encoders; a family of encoders knows which it is.
        let by_name = name
            .name
            .component
            .filter(|known| *known != Component::LanguageModel || family.component != Component::TextEncoder);
        family.rules[rule].component.or(by_name).unwrap_or(family.component)
    };
    let layers = numbers(family, group, &component);
    let matches = group
        .iter()
        .filter_map(|name| {
            let (rule, captures, term) = lookup(family, &name.name)?;
            let component = component(name, rule);
            Some(Match {
                tensor: name.tensor,
                component,
                layer: match family.stages[rule] {
                    Some(stage) => layers.get(&(component, stage, captures.layers)).copied(),
                    None => captures.layers[0],
                },
                expert: captures.expert,
                rule: Cow::Borrowed(&family.rules[rule]),
                term,
                interleaved,
                norm: family.norm,
                inferred: false,
            })
        })
        .collect();
    Some(Choice { family, matches, elements })
}

/// Where a layer of a family with stages stands: component, stage, the numbers in its name.
type Place = (Component, usize, [Option<u32>; DEPTH]);

/// Layer numbers through all stages of a family, in the order of stages and, inside one, of the numbers in names.
fn numbers(
    family: &Family,
    group: &[&Named<'_>],
    component: &dyn Fn(&Named<'_>, usize) -> Component,
) -> BTreeMap<Place, u32> {
    if family.stages.iter().all(Option::is_none) {
        return BTreeMap::new();
    }
    let place = |name: &&Named<'_>| {
        let (rule, captures, _) = lookup(family, &name.name)?;
        Some((component(name, rule), family.stages[rule]?, captures.layers))
    };
    let places: BTreeSet<Place> = group.iter().filter_map(place).collect();
    let mut next: BTreeMap<Component, u32> = BTreeMap::new();
    let numbered = places.into_iter().map(|place| {
        let number = next.entry(place.0).or_default();
        *number += 1;
        (place, *number - 1)
    });
    numbered.collect()
}

/// The rule for a name: the whole of it first (bare parameters), then without its term.
fn lookup(family: &Family, name: &Stripped<'_>) -> Option<(usize, Captures, Term)> {
    let (stem, term) = split_term(&name.tokens);
    let found = family.patterns.find(&name.tokens).filter(|_| !name.tokens.is_empty());
    let (rule, captures) = found.or_else(|| term.and_then(|_| family.patterns.find(stem)))?;
    let by_name = if found.is_some() { None } else { term };
    Some((rule, captures, family.rules[rule].term.or(by_name).unwrap_or(Term::Weight)))
}
