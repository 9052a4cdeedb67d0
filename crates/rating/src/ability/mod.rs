//! How able are models, on one scale, by benchmarks that not all of them were put to?
//!
//! A unit is a task under one harness; its scores are never mixed with those of the task under another. Score of model m on unit u:
//! σ(a_u·θ_m − b_u), with θ the ability, a the slope and b/a the difficulty of the unit (two-parameter logistic item response, Birnbaum
//! 1968, with benchmarks as items: Ho et al. 2025, arXiv 2512.00193). Items add binomial noise; that models differ in what they are
//! good at adds a variance on the logit scale (Williams 1982).

mod checks;
mod errors;
mod fit;
mod joint;
mod links;
mod weights;

pub use checks::{Omission, Surprise};
pub use weights::Weighting;

use crate::ranks::{self, Limits};
use fit::{Fit, State};
use stemmata_stats::student_quantile;

/// Most models and most units on one scale: their covariance takes 32 MB, and each unit is left out once.
pub const MOST: (usize, usize) = (2000, 300);

/// One score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Number of the model.
    pub model: u32,
    /// Number of the unit.
    pub unit: u32,
    /// Share of the full marks, 0 to 1.
    pub score: f64,
    /// Items that it is the mean of.
    pub items: f64,
}

/// Scores of models on units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Names of the models.
    pub models: Vec<String>,
    /// Names of the units.
    pub units: Vec<String>,
    /// At most one per model and unit.
    pub cells: Vec<Score>,
}

/// How to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct AbilityOptions {
    /// Confidence level of intervals and ranks.
    pub level: f64,
    /// How many first places `top` speaks of.
    pub top: u32,
    /// Two models whose abilities are fixed; without them the mean is 0 and the standard deviation 1.
    pub anchors: Option<[(String, f64); 2]>,
    /// Weightings to draw.
    pub weightings: u32,
    /// Seed of draws.
    pub seed: u64,
}

impl Default for AbilityOptions {
    fn default() -> AbilityOptions {
        AbilityOptions { level: 0.95, top: 1, anchors: None, weightings: 10_000, seed: 0 }
    }
}

/// Why a model or unit is on no scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// A unit with fewer than three models says nothing of any of them.
    FewModels,
    /// All scores are full marks: no finite ability.
    AllFull,
    /// All scores are 0.
    AllZero,
    /// A model none of whose units is on a scale.
    NoUnits,
}

/// Why a set of models has no scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoScale {
    /// No more scores than parameters: nothing is left to learn the noise from.
    NoFreedom,
    /// The fit runs away or stands still short of a maximum.
    NotConverged,
    /// More models or units than can be held.
    TooMany,
    /// An anchor is not on this scale, or both are equally able.
    Anchors,
}

/// Everything that the scores say.
#[derive(Clone, Debug, PartialEq)]
pub struct Abilities {
    /// Sets that are linked by at least two shared models between units, the largest first.
    pub groups: Vec<Group>,
    /// Models on no scale.
    pub models_unplaced: Vec<(String, Unplaced)>,
    /// Units on no scale.
    pub units_unplaced: Vec<(String, Unplaced)>,
}

/// Models and units with a common scale, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Names of its models, in byte order.
    pub models: Vec<String>,
    /// Names of its units, in byte order.
    pub units: Vec<String>,
    /// Scores.
    pub cells: u64,
    /// The scale.
    pub scale: Result<AbilityScale, NoScale>,
}

/// A scale.
#[derive(Clone, Debug, PartialEq)]
pub struct AbilityScale {
    /// Standard deviation on the logit scale of what models do on a unit beside their ability, τ.
    pub spread: f64,
    /// Scores minus parameters.
    pub freedom: u64,
    /// Σ (score − expected)² over its variance; as large as `freedom` by the choice of τ, smaller where τ is 0.
    pub chi_square: f64,
    /// Steps of the last fit.
    pub steps: u32,
    /// How many standard errors are enough.
    pub limits: Limits,
    /// Whether the limit for all intervals together is that of a bootstrap, not that of normal errors, which are short where there are few
    /// benchmarks or outliers.
    pub bootstrapped: bool,
    /// Pairs whose order is certain together, and all pairs.
    pub decided: (u64, u64),
    /// The most able first.
    pub models: Vec<Ability>,
    /// In byte order.
    pub units: Vec<UnitFit>,
    /// What each unit decides.
    pub omissions: Vec<Omission>,
    /// Scores that the scale does not expect, the furthest first.
    pub surprises: Vec<Surprise>,
    /// What weightings decide.
    pub weighting: Weighting,
}

/// A model on a scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Ability {
    /// Its name.
    pub model: String,
    /// Its ability.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Interval for this model alone.
    pub interval: (f64, f64),
    /// Interval that holds together with those of all others.
    pub simultaneous: (f64, f64),
    /// Lowest and highest rank, together with all others.
    pub rank: (u32, u32),
    /// Share of draws from the errors in which it is among the first `top`.
    pub top: f64,
    /// Group of models that are not told apart from its first one.
    pub group: u32,
    /// Units that it was put to.
    pub units: u32,
    /// Standard error over units: the jackknife of leaving out one at a time. Nothing where that cuts a model off.
    pub jackknife: Option<f64>,
    /// Lowest and highest place when one unit is left out.
    pub places: (u32, u32),
    /// Share of weightings of the units under which its mean score is the highest, missing scores taken from the scale.
    pub leads: f64,
}

/// A unit on a scale.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitFit {
    /// Its name.
    pub unit: String,
    /// Logits per unit of ability.
    pub slope: f64,
    /// Standard error of that.
    pub slope_error: f64,
    /// The ability that scores one half; nothing where the slope is 0.
    pub difficulty: Option<f64>,
    /// Models that were put to it.
    pub models: u32,
    /// Mean of (score − expected)² over its variance.
    pub misfit: f64,
}

/// Fits all abilities.
pub fn abilities(scores: &Scores, options: &AbilityOptions) -> Abilities {
    let linked = links::link(scores);
    let groups = linked.groups.iter().map(|group| {
        let local = Local::new(scores, group);
        Group {
            models: local.models.iter().map(|m| scores.models[*m as usize].clone()).collect(),
            units: local.units.iter().map(|u| scores.units[*u as usize].clone()).collect(),
            cells: local.cells.len() as u64,
            scale: scale(scores, &local, options),
        }
    });
    let names = |list: &[(u32, Unplaced)], names: &[String]| {
        list.iter().map(|(i, why)| (names[*i as usize].clone(), *why)).collect()
    };
    Abilities {
        groups: groups.collect(),
        models_unplaced: names(&linked.models, &scores.models),
        units_unplaced: names(&linked.units, &scores.units),
    }
}

/// The scores of one group, its models and units numbered from 0 in byte order of their names.
pub(crate) struct Local {
    models: Vec<u32>,
    units: Vec<u32>,
    /// Sorted by model, then unit.
    cells: Vec<Score>,
}

impl Local {
    fn new(scores: &Scores, group: &links::Linked) -> Local {
        let sorted = |list: &[u32], names: &[String]| {
            let mut list = list.to_vec();
            list.sort_by(|a, b| names[*a as usize].cmp(&names[*b as usize]));
            list
        };
        let (models, units) = (sorted(&group.models, &scores.models), sorted(&group.units, &scores.units));
        let places = |list: &[u32], all: usize| {
            let mut places = vec![u32::MAX; all];
            list.iter().enumerate().for_each(|(place, i)| places[*i as usize] = place as u32);
            places
        };
        let (of_model, of_unit) = (places(&models, scores.models.len()), places(&units, scores.units.len()));
        let mut cells: Vec<Score> = scores
            .cells
            .iter()
            .map(|c| Score { model: of_model[c.model as usize], unit: of_unit[c.unit as usize], ..*c })
            .filter(|c| c.model != u32::MAX && c.unit != u32::MAX)
            .collect();
        cells.sort_by_key(|c| (c.model, c.unit));
        Local { models, units, cells }
    }
}

fn scale(scores: &Scores, local: &Local, options: &AbilityOptions) -> Result<AbilityScale, NoScale> {
    let (m, u) = (local.models.len(), local.units.len());
    if m > MOST.0 || u > MOST.1 {
        return Err(NoScale::TooMany);
    }
    let freedom =
        (local.cells.len() + 2).checked_sub(m + 2 * u).filter(|f| *f > 0).ok_or(NoScale::NoFreedom)?;
    let fitted = Fit::with_spread(m, u, &local.cells, freedom as f64).ok_or(NoScale::NotConverged)?;
    let covariance = errors::covariance(&fitted, &local.cells).ok_or(NoScale::NotConverged)?;
    let name = |i: usize| &scores.models[local.models[i] as usize];
    let anchors = match &options.anchors {
        None => None,
        Some(pair) => {
            let find = |who: &str| (0..m).find(|i| name(*i) == who).ok_or(NoScale::Anchors);
            let (a, b) = (find(&pair[0].0)?, find(&pair[1].0)?);
            if fitted.state.theta[a] == fitted.state.theta[b] {
                return Err(NoScale::Anchors);
            }
            Some([(a, pair[0].1), (b, pair[1].1)])
        }
    };
    // Orders do not depend on where the scale begins and how long its unit is, so they are judged on the scale of mean 0.
    let standard = covariance.standard(freedom as u64).ok_or(NoScale::NotConverged)?;
    let ranked = ranks::ranks(&fitted.state.theta, &standard, options.level, options.top, options.seed);
    let shown = covariance.shown(anchors);
    let single = student_quantile(1.0 - (1.0 - options.level) / 2.0, freedom as f64);
    let enough = joint::limits(&fitted, &local.cells, freedom as f64, options.level, options.seed);
    let single = enough.map_or(single, |enough| enough.single.max(single));
    let all = enough.map_or(ranked.limits.all, |enough| enough.all.max(ranked.limits.all)).max(single);
    let limits = Limits { single, all, ..ranked.limits };
    let left_out = checks::leave_one_out(&fitted, &local.cells, freedom as f64);
    let weighting = weights::weigh(&fitted.state, &local.cells, (m, u), options.weightings, options.seed);
    let mut models: Vec<Ability> = (0..m)
        .map(|i| {
            let (value, standard_error) = (shown.value(i), shown.error(i));
            let around = |limit: f64| (value - limit * standard_error, value + limit * standard_error);
            Ability {
                model: name(i).clone(),
                value,
                standard_error,
                interval: around(limits.single),
                simultaneous: around(limits.all),
                rank: ranked.sets[i],
                top: ranked.top[i],
                group: ranked.groups[i],
                units: local.cells.iter().filter(|c| c.model as usize == i).count() as u32,
                jackknife: left_out.jackknife(i).map(|error| error * shown.unit()),
                places: left_out.places[i],
                leads: weighting.leads[i],
            }
        })
        .collect();
    models.sort_by(|a, b| b.value.total_cmp(&a.value).then_with(|| a.model.cmp(&b.model)));
    let unit_name = |i: usize| scores.units[local.units[i] as usize].clone();
    let surprises = checks::surprises(&fitted, &local.cells, &|i| name(i).clone(), &unit_name);
    Ok(AbilityScale {
        spread: fitted.variance.sqrt(),
        freedom: freedom as u64,
        chi_square: fitted.chi_square,
        steps: fitted.steps,
        limits,
        bootstrapped: enough.is_some(),
        decided: (ranked.decided, (m * (m - 1) / 2) as u64),
        models,
        units: (0..u).map(|i| unit(&fitted, &covariance, &local.cells, i, unit_name(i), &shown)).collect(),
        omissions: left_out.omissions(&|i| name(i).clone(), &unit_name, &shown),
        surprises,
        weighting: weighting.named(&|i| name(i).clone()),
    })
}

fn unit(
    fitted: &Fit,
    covariance: &errors::Covariance,
    cells: &[Score],
    i: usize,
    unit: String,
    shown: &errors::Shown,
) -> UnitFit {
    let State { alpha, beta, .. } = &fitted.state;
    let squares: Vec<f64> =
        cells.iter().filter(|c| c.unit as usize == i).map(|c| fitted.standardised(c).powi(2)).collect();
    let slope = alpha[i] / shown.unit();
    UnitFit {
        unit,
        slope,
        slope_error: covariance.slope_error(i) / shown.unit().abs(),
        difficulty: (alpha[i] != 0.0).then(|| shown.of(beta[i] / alpha[i])),
        models: squares.len() as u32,
        misfit: squares.iter().sum::<f64>() / squares.len().max(1) as f64,
    }
}

#[cfg(test)]
mod tests;
