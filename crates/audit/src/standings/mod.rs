//! Standings of models by what is public: benchmark scores, published ratings, counts of hubs, registries, saved comparisons.
//!
//! Reads the tables that a face opened, joins them by name, and says what they do not allow. Every figure can name its inputs.

mod abilities;
mod adoption;
mod findings;
mod origins;
mod reading;
mod registry;
mod sampling;
mod views;

pub use adoption::{FamilyCount, StratumCount};
pub use origins::{OriginCell, Origins};
pub use reading::{TableFile, TableInput, TableKind};
pub use registry::SurveyedModel;
pub use sampling::{DrawnModel, draw_sample};
pub use views::{Best, ReleaseRow, Selection, SelectionTerm, SnapshotRow, View, ViewRow};

use crate::AuditError;
use crate::finding::Finding;
use registry::Registry;
use stemmata_rating::ability::{Abilities, AbilityOptions};
use stemmata_rating::tables::Date;

/// What to make of the tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StandingsSettings {
    /// How to fit abilities; its level is that of all intervals.
    pub ability: AbilityOptions,
    /// The category of ratings that have several.
    pub category: Option<String>,
    /// Keep scores of this harness only.
    pub harness: Option<String>,
    /// Sets of models whose best are compared: the first with each other one.
    pub best: Vec<Selection>,
    /// Families to count; without any, all that are named as a base or were compared with.
    pub families: Vec<String>,
}

/// Outcome of `standings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Surveyed {
    /// What was read, in the order given.
    pub inputs: Vec<TableFile>,
    /// What was asked for.
    pub settings: StandingsSettings,
    /// All models, by rating, then ability, then name.
    pub models: Vec<SurveyedModel>,
    /// Abilities by benchmarks, where there are any.
    pub abilities: Option<Abilities>,
    /// Best against best.
    pub contrasts: Vec<Best>,
    /// By organisation, country and openness.
    pub views: Vec<View>,
    /// Releases by quarter and country.
    pub releases: Vec<ReleaseRow>,
    /// Counts by date and country.
    pub snapshots: Vec<SnapshotRow>,
    /// The date whose counts the views show.
    pub counted_at: Option<Date>,
    /// Families by declared and by verified lineage.
    pub families: Vec<FamilyCount>,
    /// Publisher's country against that of the weights.
    pub origins: Option<Origins>,
    /// Remarks.
    pub findings: Vec<Finding>,
}

/// Reads the tables and makes standings of them.
///
/// # Errors
/// A table cannot be read, or what was asked for is not in it.
pub fn standings(inputs: Vec<TableInput<'_>>, settings: &StandingsSettings) -> Result<Surveyed, AuditError> {
    let mut findings = Vec::new();
    let (files, tables) = reading::read(inputs, settings, &mut findings)?;
    let registry = Registry::new(&tables, &mut findings);
    let abilities = abilities::fit(&tables, &registry, settings, &mut findings)?;
    let mut models = registry::models(&tables, &registry, abilities.as_ref(), &mut findings)?;
    models.sort_by(registry::order);
    let contrasts = views::contrasts(&models, &settings.best, settings.ability.level)?;
    let counted_at = tables.snapshots.iter().map(|(s, _)| s.date.clone()).max().flatten();
    let (families, origins) = {
        let evidence = adoption::Reports::new(&tables, &registry, &mut findings);
        let families = adoption::families(&tables, &registry, &evidence, settings, &mut findings)?;
        (families, origins::origins(&registry, &evidence))
    };
    let has_facts = !tables.models.is_empty();
    let views = if has_facts { views::all(&models) } else { Vec::new() };
    findings::of_models(&models, &tables, &mut findings);
    Ok(Surveyed {
        views,
        releases: views::releases(&models),
        snapshots: views::snapshots(&tables, &registry),
        inputs: files,
        settings: settings.clone(),
        models,
        abilities,
        contrasts,
        counted_at,
        families,
        origins,
        findings,
    })
}

/// All facts with the number of the input that they come from.
pub(crate) type From<T> = Vec<(T, usize)>;

#[cfg(test)]
mod tests;
