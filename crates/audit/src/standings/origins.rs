//! Where is the publisher, and where were the weights made that it builds on? Two countries of one model.

use super::adoption::{Reports, belongs};
use super::registry::Registry;
use std::collections::BTreeMap;

/// A cell of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginCell {
    /// The publisher's country.
    pub publisher: String,
    /// The country of the publisher of the root weights; `several` where comparisons name roots of more than one.
    pub root: String,
    /// Models.
    pub models: u64,
}

/// The table, by what cards declare and by what comparisons found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// Models whose card names a base, by the last one that claims lead to.
    pub declared: Vec<OriginCell>,
    /// Models whose card names none.
    pub none_declared: u64,
    /// Models whose weights were found to depend on a model that they were compared with.
    pub verified: Vec<OriginCell>,
    /// Models that were compared, and no dependence was found on any.
    pub none_found: u64,
    /// Models whose comparisons gave no answer.
    pub no_answer: u64,
}

/// Nothing where no card names a base and nothing was compared.
pub(super) fn origins(registry: &Registry, reports: &Reports<'_>) -> Option<Origins> {
    let mut declared: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut none_declared = 0;
    for name in registry.facts.keys() {
        match registry.ancestors(name).last() {
            Some(root) => *declared.entry((registry.country(name), registry.country(root))).or_default() += 1,
            None => none_declared += 1,
        }
    }
    let mut answers: BTreeMap<&str, Vec<(Option<bool>, &str)>> = BTreeMap::new();
    for ((candidate, reference), kinship) in &reports.found {
        answers.entry(candidate).or_default().push((belongs(*kinship), reference));
    }
    if declared.is_empty() && answers.is_empty() {
        return None;
    }
    let mut verified: BTreeMap<(String, String), u64> = BTreeMap::new();
    let (mut none_found, mut no_answer) = (0, 0);
    for (name, list) in answers {
        // The root of a reference is what its own card names last: weights say that they depend, not how far back.
        let root = |reference: &str| {
            let root = registry.ancestors(reference).last().map_or(reference, |root| *root).to_owned();
            registry.country(&root)
        };
        let mut roots: Vec<String> =
            list.iter().filter(|(answer, _)| *answer == Some(true)).map(|(_, r)| root(r)).collect();
        roots.sort_unstable();
        roots.dedup();
        match roots.as_slice() {
            [] if list.iter().any(|(answer, _)| *answer == Some(false)) => none_found += 1,
            [] => no_answer += 1,
            [one] => *verified.entry((registry.country(name), one.clone())).or_default() += 1,
            _ => *verified.entry((registry.country(name), "several".to_owned())).or_default() += 1,
        }
    }
    let cells = |map: BTreeMap<(String, String), u64>| {
        map.into_iter().map(|((publisher, root), models)| OriginCell { publisher, root, models }).collect()
    };
    Some(Origins {
        declared: cells(declared),
        none_declared,
        verified: cells(verified),
        none_found,
        no_answer,
    })
}
