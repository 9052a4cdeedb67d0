//! Scores to one scale. Two harnesses of one task are two units, and said to be so.

use super::StandingsSettings;
use super::findings::say;
use super::reading::Tables;
use super::registry::Registry;
use crate::finding::Finding;
use crate::{AuditError, printable};
use std::collections::BTreeMap;
use stemmata_model::Level;
use stemmata_rating::ability::{Abilities, NoScale, Score, Scores, Unplaced, abilities};
use stemmata_rating::tables::{Benchmark, TableError};

/// Fewer degrees of freedom than this make a spread that is itself uncertain.
const FEW: u64 = 10;

pub(super) fn fit(
    tables: &Tables,
    registry: &Registry,
    settings: &StandingsSettings,
    findings: &mut Vec<Finding>,
) -> Result<Option<Abilities>, AuditError> {
    let kept = |b: &&(Benchmark, usize)| settings.harness.as_ref().is_none_or(|h| *h == b.0.harness);
    let mut newest: BTreeMap<(&str, &str, &str), &Benchmark> = BTreeMap::new();
    let mut older = 0_u64;
    for (score, number) in tables.benchmarks.iter().filter(kept) {
        let key = (registry.name(&score.model), score.task.as_str(), score.harness.as_str());
        match newest.get(&key) {
            None => drop(newest.insert(key, score)),
            Some(old) if old.date == score.date => {
                let what = format!(
                    "a second score of `{}` on `{}` by the same harness and of the same date",
                    printable(key.0),
                    printable(key.1)
                );
                let source = TableError::Row { row: score.row, what };
                return Err(AuditError::Table { path: tables.names[*number].clone(), source });
            }
            Some(old) => {
                older += 1;
                if score.date > old.date {
                    newest.insert(key, score);
                }
            }
        }
    }
    if older > 0 {
        let text = format!(
            "{older} scores are older than another of the same model, task and harness, and left out"
        );
        say(findings, Level::Note, "older-scores", "", text);
    }
    if newest.is_empty() {
        return Ok(None);
    }
    let mut harnesses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, task, harness) in newest.keys() {
        let list = harnesses.entry(task).or_default();
        if !list.contains(harness) {
            list.push(harness);
        }
    }
    for (task, list) in harnesses.iter().filter(|(_, list)| list.len() > 1) {
        let names: Vec<String> = list.iter().map(|h| stated(h)).collect();
        let text = format!(
            "run by {} harnesses ({}): each is a unit of its own, and their scores are not averaged",
            list.len(),
            names.join(", ")
        );
        say(findings, Level::Warning, "protocols-mixed", task, text);
    }
    let unstated = newest.keys().filter(|(_, _, harness)| harness.is_empty()).count();
    if unstated > 0 {
        let text = format!(
            "{unstated} scores come without a harness; scores of different harnesses may be among them"
        );
        say(findings, Level::Warning, "harness-unstated", "", text);
    }
    let mut scores = Scores::default();
    let mut models: BTreeMap<&str, u32> = BTreeMap::new();
    let mut units: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for ((model, task, harness), score) in &newest {
        let next = models.len() as u32;
        let model = *models.entry(model).or_insert_with(|| {
            scores.models.push((*model).to_owned());
            next
        });
        let next = units.len() as u32;
        let unit = *units.entry((task, harness)).or_insert_with(|| {
            scores.units.push(if harness.is_empty() {
                (*task).to_owned()
            } else {
                format!("{task} ({harness})")
            });
            next
        });
        scores.cells.push(Score { model, unit, score: score.score, items: score.items as f64 });
    }
    let found = abilities(&scores, &settings.ability);
    remarks(&found, findings);
    Ok(Some(found))
}

fn stated(harness: &str) -> String {
    if harness.is_empty() { "not stated".to_owned() } else { format!("`{}`", printable(harness)) }
}

fn remarks(found: &Abilities, findings: &mut Vec<Finding>) {
    if found.groups.len() > 1 {
        let text = format!(
            "{} sets of benchmarks that share fewer than two models with each other: abilities compare within a set only",
            found.groups.len()
        );
        say(findings, Level::Warning, "benchmarks-not-linked", "", text);
    }
    for (name, why) in found.models_unplaced.iter().chain(&found.units_unplaced) {
        let text = match why {
            Unplaced::FewModels => "fewer than three models were put to it: it says nothing of any of them",
            Unplaced::AllFull => "full marks throughout: no finite place on a scale",
            Unplaced::AllZero => "nothing right throughout: no finite place on a scale",
            Unplaced::NoUnits => "none of its benchmarks is on a scale",
        };
        say(findings, Level::Warning, "not-on-the-scale", name, text.to_owned());
    }
    for group in &found.groups {
        let subject = match group.units.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [first, ..] => format!("{first} and {} more", group.units.len() - 1),
        };
        let scale = match &group.scale {
            Ok(scale) => scale,
            Err(why) => {
                let text = match why {
                    NoScale::NoFreedom => {
                        "as many parameters as scores: nothing is left to learn the noise from"
                    }
                    NoScale::NotConverged => "the fit has no maximum that is finite and unique",
                    NoScale::TooMany => "more models or benchmarks than one scale can hold",
                    NoScale::Anchors => "the two anchors are not both on this scale, or equally able",
                };
                say(findings, Level::Warning, "no-ability-scale", &subject, text.to_owned());
                continue;
            }
        };
        if scale.freedom < FEW {
            let text =
                format!("{} degrees of freedom: too few for errors that can be relied on", scale.freedom);
            say(findings, Level::Warning, "few-degrees", &subject, text);
        }
        if !scale.bootstrapped {
            let text = "intervals that hold together rest on normal errors: too many scores for a bootstrap, or a level that it cannot reach";
            say(findings, Level::Note, "joint-limits-normal", &subject, text.to_owned());
        }
        for unit in scale.units.iter().filter(|u| u.slope < 0.0) {
            let text = "abler models score lower on it; it may measure something else, or not be a share of full marks";
            say(findings, Level::Warning, "slope-negative", &unit.unit, text.to_owned());
        }
        for s in &scale.surprises {
            let text = format!(
                "{:.1} % on {} where the scale expects {:.1} % ({:+.1} standard deviations)",
                100.0 * s.score,
                printable(&s.unit),
                100.0 * s.expected,
                s.z
            );
            say(findings, Level::Warning, "score-unexpected", &s.model, text);
        }
    }
}
