//! Which members of a registry should be compared with a root, so that the count of its family is of all? A seeded draw from each stratum.

use super::adoption::stratum_of;
use super::reading::{self, Tables};
use super::registry::Registry;
use super::{StandingsSettings, TableInput};
use crate::{AuditError, printable};
use std::collections::{BTreeMap, BTreeSet};
use stemmata_rating::draw_without_replacement;
use stemmata_rating::tables::DrawnFacts;

/// A member that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnModel {
    /// The root to compare it with.
    pub family: String,
    /// The member.
    pub model: String,
    /// `declared` or `undeclared`, and the stratum that the registry gives.
    pub stratum: String,
    /// Members of the stratum.
    pub members: u64,
    /// Members of it that were drawn; each had the chance drawn/members.
    pub drawn: u64,
}

impl DrawnModel {
    /// The sample as the table that [`super::TableKind::Drawn`] reads back, with the seed in a comment.
    pub fn table(list: &[DrawnModel], seed: u64) -> String {
        let cell = |text: &str| match text.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let mut out = format!("# drawn without replacement within each stratum, seed {seed}\n");
        out.push_str("family,model,stratum,members,drawn,inclusion\n");
        for d in list {
            let [family, model, stratum] = [&d.family, &d.model, &d.stratum].map(|text| cell(text));
            let inclusion = d.drawn as f64 / d.members as f64;
            out.push_str(&format!("{family},{model},{stratum},{},{},{inclusion}\n", d.members, d.drawn));
        }
        out
    }
}

/// Draws at most `each` members of each stratum of each family in the settings, without replacement. The draw depends on the seed, the names and
/// the strata, not on the order of rows.
///
/// # Errors
/// A table cannot be read, or a family is in none.
pub fn draw_sample(
    inputs: Vec<TableInput<'_>>,
    settings: &StandingsSettings,
    each: u32,
) -> Result<Vec<DrawnModel>, AuditError> {
    let mut findings = Vec::new();
    let (_, tables) = reading::read(inputs, settings, &mut findings)?;
    let registry = Registry::new(&tables, &mut findings);
    let mut out = Vec::new();
    for (number, family) in settings.families.iter().enumerate() {
        let root = registry.name(family);
        let mut strata: BTreeMap<(bool, String), Vec<&str>> = BTreeMap::new();
        let mut declared = false;
        for (name, facts) in registry.facts.iter().filter(|(name, _)| *name != root) {
            let builds_on = registry.ancestors(name).contains(&root);
            declared |= builds_on;
            strata.entry((!builds_on, stratum_of(builds_on, facts))).or_default().push(name);
        }
        if !declared && !registry.facts.contains_key(root) {
            return Err(AuditError::NoFamily { name: printable(family) });
        }
        for (place, ((_, stratum), members)) in strata.into_iter().enumerate() {
            let stream = (number as u64) << 32 | place as u64;
            let drawn = draw_without_replacement(members.len(), each as usize, settings.ability.seed, stream);
            let count = drawn.len() as u64;
            out.extend(drawn.into_iter().map(|at| DrawnModel {
                family: root.to_owned(),
                model: members[at].to_owned(),
                stratum: stratum.clone(),
                members: members.len() as u64,
                drawn: count,
            }));
        }
    }
    Ok(out)
}

/// The samples that were read back.
#[derive(Default)]
pub(crate) struct Samples<'a> {
    /// Of each family, those that were drawn.
    models: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Of each family and stratum the first row: its size at the time of the draw, and how many were drawn.
    strata: BTreeMap<(&'a str, &'a str), &'a (DrawnFacts, usize)>,
}

impl<'a> Samples<'a> {
    /// # Errors
    /// A sample that does not hold together.
    pub(super) fn new(tables: &'a Tables, registry: &'a Registry) -> Result<Samples<'a>, AuditError> {
        let mut out = Samples::default();
        for row in &tables.drawn {
            let (facts, _) = row;
            let family = registry.name(&facts.family);
            let (known, _) = *out.strata.entry((family, facts.stratum.as_str())).or_insert(row);
            if (known.members, known.drawn) != (facts.members, facts.drawn) {
                return Err(refused(tables, row, "another size of the stratum than in an earlier row"));
            }
            if !out.models.entry(family).or_default().insert(registry.name(&facts.model)) {
                return Err(refused(tables, row, "the model was drawn twice"));
            }
        }
        Ok(out)
    }

    /// Whether a comparison with the root counts: all do where no sample was drawn.
    pub(super) fn counts(&self, root: &str, model: &str) -> bool {
        self.models.get(root).is_none_or(|models| models.contains(model))
    }

    /// How many were drawn of a stratum that has so many members now; nothing without a sample.
    ///
    /// # Errors
    /// The registry is not the one that the sample was drawn from.
    pub(super) fn drawn(
        &self,
        tables: &Tables,
        root: &str,
        stratum: &str,
        members: u64,
    ) -> Result<Option<u64>, AuditError> {
        let Some(models) = self.models.get(root) else { return Ok(None) };
        let (row, what) = match self.strata.get(&(root, stratum)) {
            Some((facts, _)) if facts.members == members => return Ok(Some(facts.drawn)),
            Some(row) => (Some(*row), format!("had {} members and has {members} now", row.0.members)),
            None => {
                let any = self.strata.iter().find(|((family, _), _)| *family == root).map(|(_, row)| *row);
                (any, format!("has {members} members, and none of them is among the {} drawn", models.len()))
            }
        };
        // INVARIANT: a family of which models were drawn has a stratum that they were drawn from.
        let Some(row) = row else { return Ok(None) };
        let stratum = printable(stratum);
        let what = format!("the stratum `{stratum}` {what}; draw again, or take the registry of then");
        Err(refused(tables, row, &what))
    }
}

fn refused(tables: &Tables, (facts, number): &(DrawnFacts, usize), what: &str) -> AuditError {
    AuditError::Sample { path: tables.names[*number].clone(), row: facts.row, what: what.to_owned() }
}
