//! Who published what, where, on which terms: tables joined by name, and one row for each model.

use super::findings::say;
use super::reading::Tables;
use crate::finding::Finding;
use crate::{AuditError, printable};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use stemmata_model::Level;
use stemmata_rating::ability::{Abilities, Ability};
use stemmata_rating::tables::{Date, ModelFacts, Openness, PublishedRating, Snapshot};

/// What stands where a registry says nothing.
pub(crate) const UNKNOWN: &str = "unknown";

/// One model with everything that the tables say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SurveyedModel {
    /// Its name.
    pub name: String,
    /// Who published it; `unknown` where no table says.
    pub organisation: String,
    /// Where they are; `unknown` where no table says.
    pub country: String,
    /// What may be had of it.
    pub openness: Option<Openness>,
    /// The licence as named.
    pub licence: Option<String>,
    /// When it was published.
    pub released: Option<Date>,
    /// The base that its card names.
    pub base: Option<String>,
    /// Published rating.
    pub rating: Option<PublishedRating>,
    /// Ability on the scale of the largest group.
    pub ability: Option<Ability>,
    /// Counts at the latest date.
    pub counts: Option<Snapshot>,
    /// Whether a registry lists it.
    pub registered: bool,
}

/// Facts by name.
#[derive(Default)]
pub(crate) struct Registry {
    aliases: BTreeMap<String, String>,
    pub(crate) facts: BTreeMap<String, ModelFacts>,
    countries: BTreeMap<String, String>,
}

impl Registry {
    pub(super) fn new(tables: &Tables, findings: &mut Vec<Finding>) -> Registry {
        let mut out = Registry::default();
        let mut conflicts = Vec::new();
        for (alias, number) in &tables.aliases {
            let old = out.aliases.insert(alias.name.clone(), alias.model.clone());
            if old.is_some_and(|old| old != alias.model) {
                conflicts.push((*number, format!("`{}` stands for two models", printable(&alias.name))));
            }
        }
        for (region, number) in &tables.regions {
            let old = out.countries.insert(region.organisation.clone(), region.country.clone());
            if old.is_some_and(|old| old != region.country) {
                conflicts
                    .push((*number, format!("`{}` is in two countries", printable(&region.organisation))));
            }
        }
        for (facts, number) in &tables.models {
            let name = out.name(&facts.model).to_owned();
            let known = out
                .facts
                .entry(name.clone())
                .or_insert_with(|| ModelFacts { model: name, ..ModelFacts::default() });
            let mut differs = join(&mut known.organisation, &facts.organisation);
            differs |= join(&mut known.licence, &facts.licence);
            differs |= join(&mut known.openness, &facts.openness);
            differs |= join(&mut known.base, &facts.base);
            differs |= join(&mut known.released, &facts.released);
            differs |= join(&mut known.stratum, &facts.stratum);
            if differs {
                conflicts.push((
                    *number,
                    format!("row {} says otherwise of `{}`", facts.row, printable(&facts.model)),
                ));
            }
        }
        for (number, text) in conflicts.iter().take(10) {
            say(
                findings,
                Level::Warning,
                "tables-disagree",
                &tables.names[*number],
                format!("{text}; what was read first stands"),
            );
        }
        if conflicts.len() > 10 {
            let more = format!("{} more rows disagree with what was read before them", conflicts.len() - 10);
            say(findings, Level::Warning, "tables-disagree", "", more);
        }
        out
    }

    /// The name that stands for a model.
    pub(crate) fn name<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// Who published a model. The first half of a hub's name is its owner.
    pub(crate) fn organisation(&self, name: &str) -> String {
        let listed = self.facts.get(name).and_then(|f| f.organisation.clone());
        listed.unwrap_or_else(|| match name.split('/').collect::<Vec<_>>().as_slice() {
            [owner, rest] if !owner.is_empty() && !rest.is_empty() => (*owner).to_owned(),
            _ => UNKNOWN.to_owned(),
        })
    }

    /// Where they are.
    pub(crate) fn country(&self, name: &str) -> String {
        self.countries.get(&self.organisation(name)).cloned().unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// The base that a model's card names.
    pub(crate) fn base(&self, name: &str) -> Option<&str> {
        let base = self.name(self.facts.get(name)?.base.as_deref()?);
        (base != name).then_some(base)
    }

    /// The declared ancestors, nearest first; a circle of claims ends where it closes.
    pub(crate) fn ancestors<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let mut out: Vec<&str> = Vec::new();
        let mut at = name;
        while let Some(base) = self.base(at) {
            if base == name || out.contains(&base) {
                break;
            }
            out.push(base);
            at = base;
        }
        out
    }
}

/// Takes what is new; whether both say something, and not the same.
fn join<T: Clone + PartialEq>(known: &mut Option<T>, more: &Option<T>) -> bool {
    match (&known, more) {
        (Some(a), Some(b)) => a != b,
        (None, Some(b)) => {
            *known = Some(b.clone());
            false
        }
        _ => false,
    }
}

/// One row for each name in any table.
pub(super) fn models(
    tables: &Tables,
    registry: &Registry,
    abilities: Option<&Abilities>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<SurveyedModel>, AuditError> {
    let mut ratings: BTreeMap<&str, &PublishedRating> = BTreeMap::new();
    for (rating, number) in &tables.ratings {
        let name = registry.name(&rating.model);
        let newer = |old: &&PublishedRating| rating.date > old.date;
        match ratings.get(name) {
            Some(old) if old.date == rating.date => {
                return Err(AuditError::Table {
                    path: tables.names[*number].clone(),
                    source: stemmata_rating::tables::TableError::Row {
                        row: rating.row,
                        what: format!(
                            "a second rating of `{}` of the same date; boards share no scale",
                            printable(name)
                        ),
                    },
                });
            }
            Some(old) if !newer(old) => {}
            _ => drop(ratings.insert(name, rating)),
        }
    }
    let latest = tables.snapshots.iter().map(|(s, _)| &s.date).max().cloned();
    let mut counts: BTreeMap<&str, &Snapshot> = BTreeMap::new();
    for (snapshot, _) in tables.snapshots.iter().filter(|(s, _)| Some(&s.date) == latest.as_ref()) {
        counts.insert(registry.name(&snapshot.model), snapshot);
    }
    let able: BTreeMap<&str, &Ability> = abilities
        .and_then(|a| a.groups.first()?.scale.as_ref().ok())
        .map(|scale| scale.models.iter().map(|a| (a.model.as_str(), a)).collect())
        .unwrap_or_default();
    let mut names: Vec<&str> = registry.facts.keys().map(String::as_str).collect();
    names.extend(ratings.keys());
    names.extend(counts.keys());
    names.extend(tables.benchmarks.iter().map(|(b, _)| registry.name(&b.model)));
    names.sort_unstable();
    names.dedup();
    let mut unknown_licences: BTreeMap<&str, u64> = BTreeMap::new();
    let rows = names
        .iter()
        .map(|name| {
            let facts = registry.facts.get(*name);
            let licence = facts.and_then(|f| f.licence.clone());
            let of_licence = licence.as_deref().and_then(Openness::of_licence);
            let openness = facts.and_then(|f| f.openness).or(of_licence);
            if let (None, Some(licence)) = (openness, facts.and_then(|f| f.licence.as_deref())) {
                *unknown_licences.entry(licence).or_default() += 1;
            }
            SurveyedModel {
                name: (*name).to_owned(),
                organisation: registry.organisation(name),
                country: registry.country(name),
                openness,
                licence,
                released: facts.and_then(|f| f.released.clone()),
                base: registry.base(name).map(str::to_owned),
                rating: ratings.get(name).map(|r| (*r).clone()),
                ability: able.get(name).map(|a| (*a).clone()),
                counts: counts.get(name).map(|c| (*c).clone()),
                registered: facts.is_some(),
            }
        })
        .collect();
    for (licence, count) in unknown_licences {
        let text = format!(
            "{count} models under a licence of a name that is not known: no openness is taken from it"
        );
        say(findings, Level::Warning, "licence-unknown", licence, text);
    }
    Ok(rows)
}

/// By rating, then by ability, then by name.
pub(super) fn order(a: &SurveyedModel, b: &SurveyedModel) -> Ordering {
    let rating = |m: &SurveyedModel| m.rating.as_ref().map_or(f64::NEG_INFINITY, |r| r.rating);
    let ability = |m: &SurveyedModel| m.ability.as_ref().map_or(f64::NEG_INFINITY, |a| a.value);
    rating(b).total_cmp(&rating(a)).then(ability(b).total_cmp(&ability(a))).then_with(|| a.name.cmp(&b.name))
}
