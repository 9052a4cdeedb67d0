//! The wire format of standings.

mod build;

use super::{Cost, Remark, Tool};
use serde::Serialize;

/// Outcome of `standings`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// Version of this format.
    pub schema_version: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The command line that gives the result again.
    pub command: String,
    /// Seed of draws.
    pub seed: u64,
    /// Confidence level of intervals and ranks.
    pub level: f64,
    /// Tables and reports, in the order given; `sources` elsewhere are places in this list.
    pub inputs: Vec<TableInput>,
    /// By published rating, then by ability, then by name.
    pub models: Vec<Model>,
    /// Abilities by benchmarks.
    pub abilities: Option<AbilityPart>,
    /// Best against best, by published ratings.
    pub contrasts: Vec<BestPart>,
    /// Models by country, openness and organisation.
    pub views: Vec<ViewPart>,
    /// Over time.
    pub time: Time,
    /// Families by declared and verified lineage.
    pub families: FamiliesPart,
    /// Publisher's country against that of the root weights.
    pub origins: Option<OriginsPart>,
    /// Remarks.
    pub findings: Vec<Remark>,
    /// Cost, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// A table or a saved report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableInput {
    /// `benchmarks`, `ratings`, `snapshot`, `models`, `regions`, `aliases` or `report`.
    pub kind: &'static str,
    /// As written, without the date.
    #[serde(rename = "ref")]
    pub name: String,
    /// Content digest.
    pub digest: String,
    /// Length.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// First date in it, or the one that was given.
    pub date_from: Option<String>,
    /// Last date.
    pub date_to: Option<String>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// Its name.
    pub model: String,
    /// Publisher.
    pub organisation: String,
    /// The publisher's country or region as the table names it.
    pub country: String,
    /// `data`, `weights`, `licence` or `api`.
    pub openness: Option<&'static str>,
    /// As named.
    pub licence: Option<String>,
    /// Date of release.
    pub released: Option<String>,
    /// What its card names as its base.
    pub base: Option<String>,
    /// Whether a registry lists it.
    pub registered: bool,
    /// Published rating.
    pub rating: Option<Published>,
    /// Ability on the largest scale.
    pub ability: Option<f64>,
    /// Likes at the latest date.
    pub likes: Option<u64>,
    /// Downloads of thirty days.
    pub downloads: Option<u64>,
    /// Downloads so far.
    pub downloads_all_time: Option<u64>,
    /// The hub's score of what is talked of.
    pub trending: Option<f64>,
}

/// A published rating.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Points.
    pub rating: f64,
    /// Lower end of its published interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// When.
    pub date: Option<String>,
}

/// Abilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AbilityPart {
    /// Inputs that they rest on.
    pub sources: Vec<u32>,
    /// Sets of linked benchmarks, the largest first; more than one means no common scale.
    pub groups: Vec<AbilityGroup>,
    /// Models and benchmarks on no scale, with the reason.
    pub unplaced: Vec<UnplacedPart>,
}

/// A set of linked benchmarks and models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AbilityGroup {
    /// `fitted`, `no-freedom`, `not-converged`, `too-many` or `anchors`.
    pub status: &'static str,
    /// Scores.
    pub scores: u64,
    /// Its models and benchmarks.
    pub names: Names,
    /// The scale.
    pub scale: Option<AbilityScalePart>,
}

/// Who is in a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Names {
    /// Models.
    pub models: Vec<String>,
    /// Benchmarks, each with its harness.
    pub units: Vec<String>,
}

/// A fitted scale.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AbilityScalePart {
    /// τ, logits.
    pub spread: f64,
    /// Scores minus parameters.
    pub freedom: u64,
    /// Σ squared standardised residuals.
    pub chi_square: f64,
    /// Standard errors on either side of one interval.
    pub quantile: Option<f64>,
    /// Of all intervals together.
    pub quantile_all: Option<f64>,
    /// Of the differences of all pairs together.
    pub quantile_pairs: Option<f64>,
    /// Pairs whose order is certain together.
    pub pairs_decided: u64,
    /// All pairs.
    pub pairs: u64,
    /// The most able first.
    pub abilities: Vec<AbilityRow>,
    /// Slope and difficulty of each benchmark.
    pub units: Vec<UnitRow>,
    /// Without each benchmark in turn.
    pub omissions: Vec<OmissionRow>,
    /// Scores that the scale does not expect.
    pub surprises: Vec<SurpriseRow>,
    /// Weightings drawn.
    pub weightings: u32,
    /// Missing scores that were taken from the scale to weigh.
    pub filled: u64,
    /// Who leads with equal weights.
    pub equal_weights: String,
}

/// A model on a scale.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AbilityRow {
    /// Its name.
    pub model: String,
    /// Ability.
    pub ability: Option<f64>,
    /// Lower end of its interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Standard error.
    pub standard_error: Option<f64>,
    /// Lower end of the interval that holds together with all others.
    pub simultaneous_lower: Option<f64>,
    /// Upper end of that.
    pub simultaneous_upper: Option<f64>,
    /// Lowest rank, together with all others.
    pub rank_low: u32,
    /// Highest rank.
    pub rank_high: u32,
    /// Share of draws from the errors in which it is first.
    pub top: f64,
    /// Group that is not told apart from its first.
    pub group: u32,
    /// Benchmarks that it was put to.
    pub units: u32,
    /// Standard error over benchmarks, by leaving out one at a time.
    pub jackknife: Option<f64>,
    /// Best place when one benchmark is left out.
    pub place_best: u32,
    /// Worst place.
    pub place_worst: u32,
    /// Share of weightings under which it leads.
    pub leads: f64,
}

/// A benchmark on a scale.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitRow {
    /// Task and harness.
    pub unit: String,
    /// Logits per unit of ability.
    pub slope: Option<f64>,
    /// Its standard error.
    pub slope_error: Option<f64>,
    /// Ability that scores one half.
    pub difficulty: Option<f64>,
    /// Models put to it.
    pub models: u32,
    /// Mean squared standardised residual.
    pub misfit: Option<f64>,
}

/// The scale without one benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OmissionRow {
    /// Which.
    pub unit: String,
    /// Who is first then.
    pub leader: Option<String>,
    /// Whose ability moves the most.
    pub moved: Option<String>,
    /// By how much.
    pub change: Option<f64>,
    /// Models that have no other benchmark.
    pub cut_off: u32,
}

/// A score out of line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SurpriseRow {
    /// Whose.
    pub model: String,
    /// On what.
    pub unit: String,
    /// The score, 0 to 1.
    pub score: f64,
    /// What the scale expects.
    pub expected: f64,
    /// The difference over its standard deviation.
    pub z: f64,
}

/// A model or benchmark on no scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnplacedPart {
    /// `model` or `unit`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// `few-models`, `all-full`, `all-zero` or `no-units`.
    pub reason: &'static str,
}

/// The best of one set against the best of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BestPart {
    /// Inputs that it rests on.
    pub sources: Vec<u32>,
    /// The first set.
    pub first_set: String,
    /// Its best.
    pub first: String,
    /// The other set.
    pub second_set: String,
    /// Its best.
    pub second: String,
    /// Rated models of the first set.
    pub first_rated: u64,
    /// Of the second.
    pub second_rated: u64,
    /// First minus second, points.
    pub difference: f64,
    /// Lower end of the interval of the difference of these two.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Lower end of the interval of the difference of the best, whoever they are.
    pub whoever_lower: f64,
    /// Upper end.
    pub whoever_upper: f64,
    /// Chance that the first wins a vote against the second, ties as halves.
    pub win_rate: f64,
}

/// Models by one property.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewPart {
    /// Inputs that it rests on.
    pub sources: Vec<u32>,
    /// `country`, `openness` or `organisation`.
    pub by: &'static str,
    /// Registered models.
    pub models: u64,
    /// Date of the counts.
    pub counted_at: Option<String>,
    /// Most models first.
    pub rows: Vec<ViewRow>,
}

/// Models with one value of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewRow {
    /// The value; `unknown` where no table says.
    pub name: String,
    /// Models.
    pub models: u64,
    /// Share of all registered models.
    pub share: f64,
    /// The best by rating.
    pub best_rating: Option<Named>,
    /// The best by ability.
    pub best_ability: Option<Named>,
    /// Likes of all of them.
    pub likes: Option<u64>,
    /// The one with the most likes.
    pub most_liked: Option<Named>,
    /// Downloads of thirty days.
    pub downloads: Option<u64>,
    /// Downloads so far.
    pub downloads_all_time: Option<u64>,
}

/// A model and its figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Its name.
    pub model: String,
    /// The figure.
    pub value: f64,
}

/// Over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Inputs that releases rest on.
    pub release_sources: Vec<u32>,
    /// By quarter, then by country.
    pub releases: Vec<ReleasePart>,
    /// Inputs that counts rest on.
    pub snapshot_sources: Vec<u32>,
    /// By date, then by country.
    pub snapshots: Vec<SnapshotPart>,
}

/// Releases of one quarter in one country.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReleasePart {
    /// `2025-Q4`.
    pub quarter: String,
    /// The publisher's country.
    pub country: String,
    /// Models released in it.
    pub models: u64,
    /// Up to its end.
    pub so_far: u64,
    /// The best by rating up to its end.
    pub best_rating: Option<Named>,
    /// The best by ability.
    pub best_ability: Option<Named>,
}

/// Counts of one date in one country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotPart {
    /// When.
    pub date: Option<String>,
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

/// Families.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FamiliesPart {
    /// Inputs that they rest on.
    pub sources: Vec<u32>,
    /// Those that were looked at first, then the largest.
    pub list: Vec<Family>,
}

/// One family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Family {
    /// The root.
    pub family: String,
    /// Models that name it.
    pub direct: u64,
    /// Models whose claims lead to it.
    pub declared: u64,
    /// Their downloads of thirty days.
    pub downloads: Option<u64>,
    /// Share of declared ones looked at whose weights depend on it.
    pub precision: Option<Precision>,
    /// How many there are by weights.
    pub corrected: Option<EstimatePart>,
    /// Of those, how many declare nothing.
    pub undeclared: Option<EstimatePart>,
    /// What was looked at.
    pub strata: Vec<StratumPart>,
}

/// A share with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Precision {
    /// Whose weights depend on it.
    pub hits: u64,
    /// Looked at.
    pub sampled: u64,
    /// Clopper-Pearson, lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// A total from a sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EstimatePart {
    /// Horvitz and Thompson's.
    pub total: f64,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// Lower end of its interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Members of strata of which nobody was looked at.
    pub unseen: u64,
}

/// A stratum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StratumPart {
    /// Its name.
    pub name: String,
    /// Members.
    pub members: u64,
    /// Drawn at random to be looked at; only where a sample says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<u64>,
    /// Looked at, with an answer.
    pub sampled: u64,
    /// Whose weights depend on the root.
    pub hits: u64,
    /// Looked at, without an answer.
    pub inconclusive: u64,
}

/// Publisher's country against that of the root weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginsPart {
    /// Inputs that it rests on.
    pub sources: Vec<u32>,
    /// By cards.
    pub declared: Vec<OriginPart>,
    /// Cards that name no base.
    pub none_declared: u64,
    /// By comparisons of weights.
    pub verified: Vec<OriginPart>,
    /// Compared, no dependence found.
    pub none_found: u64,
    /// Compared, no answer.
    pub no_answer: u64,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginPart {
    /// The publisher's country.
    pub publisher: String,
    /// The country of the root weights.
    pub root: String,
    /// Models.
    pub models: u64,
}
