//! Remarks on tables.

use super::reading::Tables;
use super::registry::{SurveyedModel, UNKNOWN};
use crate::finding::Finding;
use crate::printable;
use stemmata_model::Level;

pub(super) fn say(
    findings: &mut Vec<Finding>,
    level: Level,
    code: &'static str,
    subject: &str,
    message: String,
) {
    findings.push(Finding { code, level, side: "", subject: printable(subject), message });
}

/// What the registry leaves open of the models that have figures.
pub(super) fn of_models(models: &[SurveyedModel], tables: &Tables, findings: &mut Vec<Finding>) {
    if tables.models.is_empty() {
        return;
    }
    let rated = || models.iter().filter(|m| m.rating.is_some());
    let unlisted = rated().filter(|m| !m.registered).count();
    if unlisted > 0 {
        let text = format!(
            "{unlisted} of {} rated models are in no registry of models and in no view by organisation, country or openness",
            rated().count()
        );
        say(findings, Level::Warning, "models-unlisted", "", text);
    }
    if !tables.regions.is_empty() {
        let mut nowhere: Vec<&str> = models
            .iter()
            .filter(|m| m.registered && m.country == UNKNOWN && m.organisation != UNKNOWN)
            .map(|m| m.organisation.as_str())
            .collect();
        nowhere.sort_unstable();
        nowhere.dedup();
        if !nowhere.is_empty() {
            let some = nowhere.iter().take(8).map(|o| printable(o)).collect::<Vec<_>>().join(", ");
            let text = format!("{} organisations have no country: {some}", nowhere.len());
            say(findings, Level::Note, "country-unknown", "", text);
        }
    }
}
