//! The same models by organisation, by country, by openness, and over time; best against best.

use super::reading::Tables;
use super::registry::{Registry, SurveyedModel, UNKNOWN};
use crate::{AuditError, printable};
use std::collections::BTreeMap;
use stemmata_rating::tables::{Date, Openness};
use stemmata_rating::{Rated, best_against_best};
use stemmata_stats::normal_quantile;

/// A condition on a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectionTerm {
    /// Weights can be had.
    Open,
    /// Openness is this.
    Openness(Openness),
    /// The publisher's country is this.
    Country(String),
    /// The publisher is this.
    Organisation(String),
}

/// Models that meet all conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// As written.
    pub text: String,
    /// Its conditions.
    pub terms: Vec<SelectionTerm>,
}

impl Selection {
    /// Reads `open,country=us`: terms with commas between them, each `open`, `openness=CLASS`, `country=NAME` or `organisation=NAME`.
    pub fn parse(text: &str) -> Result<Selection, String> {
        let term = |term: &str| match term.split_once('=') {
            None if term == "open" => Ok(SelectionTerm::Open),
            Some(("country", name)) if !name.is_empty() => Ok(SelectionTerm::Country(name.to_owned())),
            Some(("organisation", name)) if !name.is_empty() => {
                Ok(SelectionTerm::Organisation(name.to_owned()))
            }
            Some(("openness", name)) => {
                let class = Openness::ALL.into_iter().find(|o| o.name() == name);
                class
                    .map(SelectionTerm::Openness)
                    .ok_or("an openness is data, weights, licence or api".to_owned())
            }
            _ => Err(
                "a set of models is for instance `open,country=us`: open, openness=, country=, organisation="
                    .to_owned(),
            ),
        };
        Ok(Selection { text: text.to_owned(), terms: text.split(',').map(term).collect::<Result<_, _>>()? })
    }

    fn holds(&self, model: &SurveyedModel) -> bool {
        self.terms.iter().all(|term| match term {
            SelectionTerm::Open => model.openness.is_some_and(Openness::is_open),
            SelectionTerm::Openness(class) => model.openness == Some(*class),
            SelectionTerm::Country(name) => model.country == *name,
            SelectionTerm::Organisation(name) => model.organisation == *name,
        })
    }
}

/// The best of the first set against the best of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The first set and its best by rating.
    pub first: (String, String),
    /// The other one and its best.
    pub second: (String, String),
    /// How many rated models each has.
    pub rated: (u64, u64),
    /// Rating of the first minus that of the second, points.
    pub difference: f64,
    /// Interval of the difference between these two.
    pub interval: (f64, f64),
    /// Interval of the difference between the best of the sets, whoever they are.
    pub whoever: (f64, f64),
}

/// The first selection against each other one.
pub(super) fn contrasts(
    models: &[SurveyedModel],
    best: &[Selection],
    level: f64,
) -> Result<Vec<Best>, AuditError> {
    let Some((first, others)) = best.split_first() else { return Ok(Vec::new()) };
    let rated: Vec<(&SurveyedModel, Rated)> = models
        .iter()
        .filter_map(|m| {
            let r = m.rating.as_ref()?;
            // Published intervals are those of 95 %.
            let standard_error = (r.upper - r.lower) / (2.0 * normal_quantile(0.975));
            Some((m, Rated { rating: r.rating, standard_error }))
        })
        .collect();
    let numbers: Vec<Rated> = rated.iter().map(|(_, r)| *r).collect();
    let members = |selection: &Selection| -> Result<Vec<usize>, AuditError> {
        let list: Vec<usize> = (0..rated.len()).filter(|i| selection.holds(rated[*i].0)).collect();
        if list.is_empty() {
            return Err(AuditError::NobodyRated { set: printable(&selection.text) });
        }
        Ok(list)
    };
    let own = members(first)?;
    let mut out = Vec::with_capacity(others.len());
    for other in others {
        let list = members(other)?;
        let Some(found) = best_against_best(&numbers, &own, &list, level) else { continue };
        let name = |i: usize| rated[i].0.name.clone();
        out.push(Best {
            first: (first.text.clone(), name(found.first)),
            second: (other.text.clone(), name(found.second)),
            rated: (own.len() as u64, list.len() as u64),
            difference: found.difference,
            interval: found.interval,
            whoever: found.whoever,
        });
    }
    Ok(out)
}

/// Models by one of their properties.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// `organisation`, `country` or `openness`.
    pub by: &'static str,
    /// Most models first.
    pub rows: Vec<ViewRow>,
}

/// Models with one value of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewRow {
    /// The value.
    pub name: String,
    /// Models that a registry lists.
    pub models: u64,
    /// The best by published rating: its place in the list of models.
    pub best_rating: Option<usize>,
    /// The best by ability.
    pub best_ability: Option<usize>,
    /// Likes of all of them.
    pub likes: Option<u64>,
    /// The one with the most likes.
    pub most_liked: Option<usize>,
    /// Downloads of thirty days of all of them.
    pub downloads: Option<u64>,
    /// Downloads so far of all of them.
    pub downloads_all_time: Option<u64>,
}

/// Registered models only: the others have nothing to be grouped by.
pub(super) fn all(models: &[SurveyedModel]) -> Vec<View> {
    let openness = |m: &SurveyedModel| m.openness.map_or(UNKNOWN, Openness::name).to_owned();
    vec![
        view("country", models, &|m| m.country.clone()),
        view("openness", models, &openness),
        view("organisation", models, &|m| m.organisation.clone()),
    ]
}

fn view(by: &'static str, models: &[SurveyedModel], key: &dyn Fn(&SurveyedModel) -> String) -> View {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, model) in models.iter().enumerate().filter(|(_, m)| m.registered) {
        groups.entry(key(model)).or_default().push(i);
    }
    let mut rows: Vec<ViewRow> = groups
        .into_iter()
        .map(|(name, list)| {
            let best = |f: &dyn Fn(&SurveyedModel) -> Option<f64>| {
                let known = list.iter().filter_map(|i| Some((*i, f(&models[*i])?)));
                known.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(i, _)| i)
            };
            let sum = |f: &dyn Fn(&SurveyedModel) -> Option<u64>| {
                let known: Vec<u64> = list.iter().filter_map(|i| f(&models[*i])).collect();
                (!known.is_empty()).then(|| known.iter().sum())
            };
            ViewRow {
                name,
                models: list.len() as u64,
                best_rating: best(&|m| Some(m.rating.as_ref()?.rating)),
                best_ability: best(&|m| Some(m.ability.as_ref()?.value)),
                likes: sum(&|m| m.counts.as_ref()?.likes),
                most_liked: best(&|m| Some(m.counts.as_ref()?.likes? as f64)),
                downloads: sum(&|m| m.counts.as_ref()?.downloads),
                downloads_all_time: sum(&|m| m.counts.as_ref()?.downloads_all_time),
            }
        })
        .collect();
    rows.sort_by(|a, b| b.models.cmp(&a.models).then_with(|| a.name.cmp(&b.name)));
    View { by, rows }
}

/// Releases of one quarter in one country.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseRow {
    /// `2025-Q4`.
    pub quarter: String,
    /// The publisher's country.
    pub country: String,
    /// Models released in it.
    pub models: u64,
    /// Models released up to its end.
    pub so_far: u64,
    /// The best by rating released up to its end: its place in the list of models.
    pub best_rating: Option<usize>,
    /// The best by ability.
    pub best_ability: Option<usize>,
}

/// By quarter, then by country; rows without a release in the quarter are left out.
pub(super) fn releases(models: &[SurveyedModel]) -> Vec<ReleaseRow> {
    let mut groups: BTreeMap<(String, &str), Vec<usize>> = BTreeMap::new();
    for (i, model) in models.iter().enumerate() {
        if let Some(date) = &model.released {
            groups.entry((date.quarter(), &model.country)).or_default().push(i);
        }
    }
    let mut so_far: BTreeMap<&str, (u64, Option<usize>, Option<usize>)> = BTreeMap::new();
    let mut out = Vec::with_capacity(groups.len());
    for ((quarter, country), list) in groups {
        let (count, rated, able) = so_far.entry(country).or_default();
        *count += list.len() as u64;
        let better = |old: Option<usize>, f: &dyn Fn(usize) -> Option<f64>| {
            let known = old.iter().chain(&list).filter_map(|i| Some((*i, f(*i)?)));
            known.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(i, _)| i)
        };
        *rated = better(*rated, &|i| Some(models[i].rating.as_ref()?.rating));
        *able = better(*able, &|i| Some(models[i].ability.as_ref()?.value));
        out.push(ReleaseRow {
            quarter,
            country: country.to_owned(),
            models: list.len() as u64,
            so_far: *count,
            best_rating: *rated,
            best_ability: *able,
        });
    }
    out
}

/// Counts of one date in one country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// When; nothing where the table does not say.
    pub date: Option<Date>,
    /// The publisher's country.
    pub country: String,
    /// Models counted.
    pub models: u64,
    /// Likes.
    pub likes: Option<u64>,
    /// Downloads of thirty days.
    pub downloads: Option<u64>,
    /// Downloads so far.
    pub downloads_all_time: Option<u64>,
}

/// By date, then by country.
pub(super) fn snapshots(tables: &Tables, registry: &Registry) -> Vec<SnapshotRow> {
    let mut groups: BTreeMap<(Option<Date>, String), SnapshotRow> = BTreeMap::new();
    for (snapshot, _) in &tables.snapshots {
        let country = registry.country(registry.name(&snapshot.model));
        let row = groups.entry((snapshot.date.clone(), country.clone())).or_insert_with(|| SnapshotRow {
            date: snapshot.date.clone(),
            country,
            models: 0,
            likes: None,
            downloads: None,
            downloads_all_time: None,
        });
        row.models += 1;
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or(0) + more);
            }
        };
        add(&mut row.likes, snapshot.likes);
        add(&mut row.downloads, snapshot.downloads);
        add(&mut row.downloads_all_time, snapshot.downloads_all_time);
    }
    groups.into_values().collect()
}
