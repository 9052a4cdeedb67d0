//! Who builds on whom? What cards declare, and what a sample of comparisons by weights makes of that.

use super::StandingsSettings;
use super::findings::say;
use super::reading::Tables;
use super::registry::Registry;
use super::sampling::Samples;
use crate::finding::Finding;
use crate::{AuditError, printable};
use std::collections::BTreeMap;
use stemmata_model::Level;
use stemmata_rating::tables::{Kinship, ModelFacts};
use stemmata_rating::{Estimate, Stratum, stratified_total};
use stemmata_stats::{Interval, binomial_interval};

/// Families at most where none is named.
const FAMILIES: usize = 50;

/// One family: a model, and those that build on it.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyCount {
    /// The root.
    pub family: String,
    /// Models that name it as their base.
    pub direct: u64,
    /// Models that name it, or a model that names it, and so on.
    pub declared: u64,
    /// Downloads of thirty days of those, at the latest date.
    pub downloads: Option<u64>,
    /// What was looked at.
    pub strata: Vec<StratumCount>,
    /// Share of the declared ones looked at whose weights do depend on it, with its Clopper-Pearson interval.
    pub precision: Option<(u64, u64, Interval)>,
    /// How many there are by weights, from the sample.
    pub corrected: Option<Estimate>,
    /// Of those, how many declare nothing.
    pub undeclared: Option<Estimate>,
}

/// A part of the registry from which members were compared with the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StratumCount {
    /// `declared` or `undeclared`, and the stratum that the registry gives.
    pub name: String,
    /// Whether its members declare the root.
    pub declared: bool,
    /// Members.
    pub members: u64,
    /// Members that were drawn at random to be compared; nothing without a sample that says so.
    pub drawn: Option<u64>,
    /// Members compared with an answer.
    pub sampled: u64,
    /// Those whose weights depend on the root.
    pub hits: u64,
    /// Members compared without an answer; counted as not looked at.
    pub inconclusive: u64,
}

/// Saved comparisons of models that the registry lists.
pub(crate) struct Reports<'a> {
    /// (candidate, reference): what was found.
    pub(crate) found: BTreeMap<(&'a str, &'a str), Kinship>,
}

impl<'a> Reports<'a> {
    pub(super) fn new(
        tables: &'a Tables,
        registry: &'a Registry,
        findings: &mut Vec<Finding>,
    ) -> Reports<'a> {
        let mut found: BTreeMap<(&str, &str), Kinship> = BTreeMap::new();
        for (report, number) in &tables.reports {
            let candidate = listed(registry, &report.candidate);
            let reference = listed(registry, &report.reference);
            let (Some(candidate), Some(reference)) = (candidate, reference) else {
                let missing = if candidate.is_none() { &report.candidate } else { &report.reference };
                let text = format!(
                    "`{}` is in no registry of models; a table of aliases can name it",
                    printable(missing)
                );
                say(findings, Level::Warning, "report-unmatched", &tables.names[*number], text);
                continue;
            };
            // Weights that come from the candidate say of the reference what the caller asked of the candidate.
            let mut keep = |pair, kinship| {
                let old = found.get(&pair).copied();
                if old.is_none_or(|old| rank(kinship) > rank(old)) {
                    found.insert(pair, kinship);
                }
            };
            keep((candidate, reference), report.kinship);
            if report.kinship == Kinship::FromCandidate {
                keep((reference, candidate), Kinship::FromReference);
            }
        }
        Reports { found }
    }
}

/// Which of two answers on one pair says more.
fn rank(kinship: Kinship) -> u8 {
    match kinship {
        Kinship::Inconclusive => 0,
        Kinship::NoneFound => 1,
        Kinship::Related => 2,
        Kinship::FromReference | Kinship::FromCandidate => 3,
        Kinship::Identical => 4,
    }
}

/// The listed name of a reference as a report writes it: `hf:org/name@revision` is `org/name`.
fn listed<'a>(registry: &'a Registry, written: &'a str) -> Option<&'a str> {
    let whole = registry.name(written);
    let short = written.strip_prefix("hf:").unwrap_or(written);
    let short = registry.name(short.split('@').next().unwrap_or(short));
    [whole, short]
        .into_iter()
        .find_map(|name| registry.facts.get_key_value(name))
        .map(|(name, _)| name.as_str())
}

/// Whether a model is counted to the family of what it was compared with; nothing without an answer. Plain training leaves no direction,
/// so weights that depend on each other count unless they are known to have gone the other way.
pub(super) fn belongs(kinship: Kinship) -> Option<bool> {
    match kinship {
        Kinship::Identical | Kinship::FromReference | Kinship::Related => Some(true),
        Kinship::NoneFound | Kinship::FromCandidate => Some(false),
        Kinship::Inconclusive => None,
    }
}

pub(super) fn families(
    tables: &Tables,
    registry: &Registry,
    reports: &Reports<'_>,
    settings: &StandingsSettings,
    findings: &mut Vec<Finding>,
) -> Result<Vec<FamilyCount>, AuditError> {
    let mut declared: BTreeMap<&str, (u64, Vec<&str>)> = BTreeMap::new();
    for name in registry.facts.keys() {
        for (step, ancestor) in registry.ancestors(name).into_iter().enumerate() {
            let (direct, all) = declared.entry(ancestor).or_default();
            *direct += u64::from(step == 0);
            all.push(name);
        }
    }
    let roots: Vec<&str> = if settings.families.is_empty() {
        let mut roots: Vec<&str> = declared.keys().copied().collect();
        roots.extend(reports.found.keys().map(|(_, reference)| *reference));
        roots.sort_unstable();
        roots.dedup();
        // Those that were looked at first, then the largest.
        let looked_at = |root: &str| reports.found.keys().any(|(_, reference)| *reference == root);
        let size = |root: &str| declared.get(root).map_or(0, |(_, all)| all.len());
        roots.sort_by(|a, b| looked_at(b).cmp(&looked_at(a)).then(size(b).cmp(&size(a))).then(a.cmp(b)));
        if roots.len() > FAMILIES {
            let text = format!(
                "{} families are declared; the {FAMILIES} largest are shown (--family names others)",
                roots.len()
            );
            say(findings, Level::Note, "families-not-shown", "", text);
            roots.truncate(FAMILIES);
        }
        roots
    } else {
        let mut roots = Vec::new();
        for name in &settings.families {
            let name = registry.name(name);
            if !registry.facts.contains_key(name) && !declared.contains_key(name) {
                return Err(AuditError::NoFamily { name: printable(name) });
            }
            roots.push(name);
        }
        roots
    };
    let latest = tables.snapshots.iter().map(|(s, _)| &s.date).max();
    let mut downloads: BTreeMap<&str, u64> = BTreeMap::new();
    for (snapshot, _) in tables.snapshots.iter().filter(|(s, _)| Some(&s.date) == latest) {
        if let Some(count) = snapshot.downloads {
            downloads.insert(registry.name(&snapshot.model), count);
        }
    }
    let none = (0, Vec::new());
    let samples = Samples::new(tables, registry)?;
    let each = roots.into_iter().map(|root| {
        let (direct, all) = declared.get(root).unwrap_or(&none);
        let mut strata = strata(root, all, registry, reports, &samples, findings);
        for s in &mut strata {
            s.drawn = samples.drawn(tables, root, &s.name, s.members)?;
        }
        Ok(one(root, (*direct, all), strata, &downloads, settings.ability.level, findings))
    });
    each.collect()
}

/// The stratum of a member: whether it declares the root, and what the registry says.
pub(super) fn stratum_of(declared: bool, facts: &ModelFacts) -> String {
    let label = if declared { "declared" } else { "undeclared" };
    match &facts.stratum {
        Some(stratum) => format!("{label}, {stratum}"),
        None => label.to_owned(),
    }
}

fn strata(
    root: &str,
    declared: &[&str],
    registry: &Registry,
    reports: &Reports<'_>,
    samples: &Samples<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<StratumCount> {
    let mut chosen = 0_u64;
    let mut out: BTreeMap<(bool, String), StratumCount> = BTreeMap::new();
    for (name, facts) in registry.facts.iter().filter(|(name, _)| *name != root) {
        let is_declared = declared.binary_search(&name.as_str()).is_ok();
        let name_of = stratum_of(is_declared, facts);
        let stratum = out.entry((!is_declared, name_of.clone())).or_insert_with(|| StratumCount {
            name: name_of,
            declared: is_declared,
            members: 0,
            drawn: None,
            sampled: 0,
            hits: 0,
            inconclusive: 0,
        });
        stratum.members += 1;
        match reports.found.get(&(name.as_str(), root)).map(|k| belongs(*k)) {
            None => {}
            Some(_) if !samples.counts(root, name) => chosen += 1,
            Some(None) => stratum.inconclusive += 1,
            Some(Some(hit)) => {
                stratum.sampled += 1;
                stratum.hits += u64::from(hit);
            }
        }
    }
    if chosen > 0 {
        let text =
            format!("{chosen} comparisons of models that were not drawn are in no count of the family");
        say(findings, Level::Note, "comparisons-not-drawn", root, text);
    }
    out.into_values().collect()
}

fn one(
    root: &str,
    (direct, all): (u64, &[&str]),
    strata: Vec<StratumCount>,
    downloads: &BTreeMap<&str, u64>,
    level: f64,
    findings: &mut Vec<Finding>,
) -> FamilyCount {
    let plain = |wanted: &dyn Fn(&&StratumCount) -> bool| -> Vec<Stratum> {
        let kept = strata.iter().filter(wanted);
        kept.map(|s| Stratum { name: s.name.clone(), members: s.members, sampled: s.sampled, hits: s.hits })
            .collect()
    };
    let corrected = stratified_total(&plain(&|_| true), level);
    let undeclared = stratified_total(&plain(&|s| !s.declared), level);
    let looked: (u64, u64) =
        strata.iter().filter(|s| s.declared).fold((0, 0), |(hits, n), s| (hits + s.hits, n + s.sampled));
    if let Some(unseen) = corrected.as_ref().map(|e| e.unseen).filter(|n| *n > 0) {
        let text = format!(
            "nobody was compared of strata with {unseen} members; the interval counts all of them as possible"
        );
        say(findings, Level::Warning, "stratum-not-sampled", root, text);
    }
    let drawn: u64 = strata.iter().filter_map(|s| s.drawn).sum();
    let answered: u64 = strata.iter().map(|s| s.sampled).sum();
    if drawn > answered {
        let text = format!(
            "{answered} of {drawn} drawn models have an answer; the others count as not drawn, which is right only if that is by chance"
        );
        say(findings, Level::Warning, "sample-incomplete", root, text);
    }
    let without: u64 = strata.iter().map(|s| s.inconclusive).sum();
    if without > 0 {
        let text = format!(
            "{without} comparisons gave no answer and count as not made; if answers are missing for a reason the counts are off"
        );
        say(findings, Level::Warning, "comparisons-inconclusive", root, text);
    }
    let known: Vec<u64> = all.iter().filter_map(|name| downloads.get(name)).copied().collect();
    FamilyCount {
        family: root.to_owned(),
        direct,
        declared: all.len() as u64,
        downloads: (!known.is_empty()).then(|| known.iter().sum()),
        precision: (looked.1 > 0).then(|| (looked.0, looked.1, binomial_interval(looked.0, looked.1, level))),
        corrected,
        undeclared,
        strata,
    }
}
