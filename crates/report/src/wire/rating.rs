//! The wire format of ratings from blind votes.

use super::rating_beside::{self, Clones, LegacyElo, NextPair, RatedParts};
use super::{Remark, SCHEMA_VERSION, Tool, finite};
use crate::Context;
use crate::text::clean;
use serde::Serialize;
use stemmata_audit as audit;

/// Outcome of `rate`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratings {
    /// Version of this format.
    pub schema_version: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The command line that gives the result again.
    pub command: String,
    /// Seed of draws and samples.
    pub seed: u64,
    /// Files of votes, in the order given.
    pub inputs: Vec<Votes>,
    /// `bradley-terry`, `davidson` or `rao-kupper`.
    pub model: &'static str,
    /// What a vote that both are bad counts as: `tie` or `left-out`.
    pub both_bad: &'static str,
    /// Confidence level of intervals and ranks.
    pub level: f64,
    /// How many first places `top` of a rating speaks of.
    pub top: u32,
    /// Points per nat of strength.
    pub points_per_nat: f64,
    /// Whose rating is fixed; without it the mean of each component is 1000.
    pub anchor: Option<Anchor>,
    /// Columns by which votes are clustered; without any each vote is its own cluster.
    pub clusters: Vec<Cluster>,
    /// Votes that entered.
    pub votes: u64,
    /// Pairs of contestants with votes.
    pub pairs: u64,
    /// ln of the likelihood, over all components with a scale.
    pub log_likelihood: Option<f64>,
    /// By component, then by rating.
    pub ratings: Vec<Rating>,
    /// Strongly connected sets of contestants, the largest first; more than one means no common scale.
    pub components: Vec<Component>,
    /// Contestants that are not told apart from the first of their group.
    pub groups: Vec<Group>,
    /// Coefficients beside the strengths.
    pub terms: Vec<Term>,
    /// The penalty on them; when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<Penalty>,
    /// Pairs decided by direct votes in a way that holds however often one looks; when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequential: Option<Sequential>,
    /// The column that votes were weighted by; when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Contestants that were counted as one; when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clones: Option<Clones>,
    /// Ratings of parts of the votes; when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<RatedParts>,
    /// Pairs that further votes should be asked on; when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_pairs: Option<Vec<NextPair>>,
    /// Online Elo over random orders of the votes; when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_elo: Option<LegacyElo>,
    /// Remarks.
    pub findings: Vec<Remark>,
    /// Cost, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// A file of votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Votes {
    /// As written.
    #[serde(rename = "ref")]
    pub name: String,
    /// Content digest.
    pub digest: String,
    /// Length.
    pub bytes: u64,
    /// Rows read.
    pub rows: u64,
    /// Votes that they stand for.
    pub votes: u64,
    /// Rows of a contestant against itself, left out.
    pub against_itself: u64,
}

/// A fixed rating.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anchor {
    /// Whose.
    pub contestant: String,
    /// At which value, points.
    pub rating: f64,
}

/// A cluster column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Its name.
    pub column: String,
    /// Different values in it.
    pub clusters: u64,
}

/// One contestant. Without a scale the numbers are null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rating {
    /// Its name.
    pub contestant: String,
    /// Place of its component in `components`.
    pub component: u32,
    /// Points.
    pub rating: Option<f64>,
    /// Lower end of its interval, of the difference to the mean of the component.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Half-width over quantile.
    pub standard_error: Option<f64>,
    /// Lower end of the interval that holds together with all others.
    pub simultaneous_lower: Option<f64>,
    /// Upper end of that.
    pub simultaneous_upper: Option<f64>,
    /// Lowest rank in the component that the votes allow, together with all others; 1 is the best.
    pub rank_low: Option<u32>,
    /// Highest rank.
    pub rank_high: Option<u32>,
    /// Share of draws from the distribution of the errors in which it is among the first `top`.
    pub top: Option<f64>,
    /// Number of its group in the component.
    pub group: Option<u32>,
    /// Lower end of the percentile interval of the bootstrap.
    pub bootstrap_lower: Option<f64>,
    /// Upper end of that.
    pub bootstrap_upper: Option<f64>,
    /// Rating with the terms in the fit.
    pub adjusted: Option<Adjusted>,
    /// Votes it took part in.
    pub votes: u64,
    /// Won.
    pub wins: u64,
    /// Lost.
    pub losses: u64,
    /// Tied.
    pub ties: u64,
    /// Both bad.
    pub both_bad: u64,
    /// Share of its votes that both were bad.
    pub both_bad_rate: Option<f64>,
    /// Lower end of that share's Clopper-Pearson interval.
    pub both_bad_lower: Option<f64>,
    /// Upper end.
    pub both_bad_upper: Option<f64>,
}

/// A rating with position or style in the fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Adjusted {
    /// Points, same anchor or mean.
    pub rating: Option<f64>,
    /// Lower end.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Minus the rating without terms.
    pub change: Option<f64>,
    /// Standard error of the change, both fits on the same votes; of the difference to the mean of the component.
    pub change_error: Option<f64>,
}

/// A strongly connected set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Component {
    /// `rated`, `alone`, `no-finite-fit` or `not-converged`.
    pub status: &'static str,
    /// How many contestants.
    pub contestants: u32,
    /// Votes among them.
    pub votes: u64,
    /// Nobody outside beat or tied any of them, and some were beaten by them.
    pub undefeated: bool,
    /// They beat or tied nobody outside, and lost there.
    pub winless: bool,
    /// How its scale was found.
    pub fit: Option<Fit>,
}

/// A fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// ln of the likelihood.
    pub log_likelihood: Option<f64>,
    /// Fitted parameters.
    pub parameters: u32,
    /// ν of Davidson, η of Rao and Kupper.
    pub tie: Option<f64>,
    /// The same with the terms in the fit.
    pub adjusted_tie: Option<f64>,
    /// Newton steps.
    pub steps: u32,
    /// Largest element of the gradient at the end, votes.
    pub gradient: Option<f64>,
    /// Independent units behind the errors.
    pub units: u64,
    /// Standard errors on either side of one interval.
    pub quantile: Option<f64>,
    /// Of all intervals together.
    pub quantile_all: Option<f64>,
    /// Of the differences of all pairs together.
    pub quantile_pairs: Option<f64>,
    /// `max-t` or `bonferroni`: where the last one comes from.
    pub pairs_by: &'static str,
    /// Pairs whose order is certain together with all others.
    pub pairs_decided: u64,
    /// All pairs of contestants.
    pub pairs: u64,
    /// Pairs with enough votes to be held against the fit.
    pub checked_pairs: u64,
    /// Mean of (observed − expected score)² over its variance; near 1 where the model holds.
    pub mean_square: Option<f64>,
    /// Checked pairs beyond the 95 % point.
    pub pairs_beyond: u64,
    /// Cycles of three by majorities of at least fifty votes.
    pub cycles: u64,
    /// Those with every edge beyond 1.96 standard errors.
    pub certain_cycles: u64,
    /// The first of those; each beats the next.
    pub cycles_listed: Vec<[String; 3]>,
    /// Votes without which another would be first.
    pub flip: Option<Flip>,
    /// Bootstrap samples drawn.
    pub bootstrap_samples: u32,
    /// Those without finite ratings for all.
    pub bootstrap_without_fit: u32,
}

/// Votes that decide first place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// Who is first.
    pub first: String,
    /// Who would be.
    pub rival: String,
    /// Votes removed, proved by a new fit: an upper bound on the fewest.
    pub votes: u64,
}

/// Contestants that are not told apart from the first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Place of the component.
    pub component: u32,
    /// Number in the component; 1 is the best.
    pub group: u32,
    /// The best first.
    pub contestants: Vec<String>,
}

/// A coefficient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Term {
    /// Place of the component.
    pub component: u32,
    /// `position` or the name of a style.
    pub name: String,
    /// Nats: advantage of the first seat, or per standard deviation of the style.
    pub estimate: Option<f64>,
    /// Lower end.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Standard error.
    pub standard_error: Option<f64>,
    /// How much of its own effect the penalty leaves; when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<f64>,
    /// Mean of the style's values.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub standard_deviation: Option<f64>,
}

/// A penalty on the coefficients: estimates are shrunk, and intervals are of the coefficients as shrunk.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Penalty {
    /// `ridge`.
    pub kind: &'static str,
    /// λ of λ/2·Σβ² against the log-likelihood of all votes.
    pub lambda: f64,
    /// How many free coefficients those that are listed amount to.
    pub effective_terms: Option<f64>,
}

/// Decisions that hold at any time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sequential {
    /// Chance, at most, that any of them is ever wrong.
    pub alpha: f64,
    /// Ordered pairs among which it is divided.
    pub tests: u64,
    /// The most certain first.
    pub decisions: Vec<Decision>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Who is above.
    pub above: String,
    /// Who is below.
    pub below: String,
    /// Decided votes, or clusters, for the one above.
    pub wins: u64,
    /// For the one below.
    pub losses: u64,
    /// log10 of the e-value.
    pub log10_e: Option<f64>,
}

/// Cost of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Elapsed seconds.
    pub seconds_wall: f64,
    /// Peak resident memory.
    pub peak_memory_bytes: u64,
}

impl Ratings {
    pub(crate) fn new(rated: &audit::Rated, context: &Context) -> Ratings {
        let (standings, options) = (&rated.standings, &rated.settings.options);
        let scales = || standings.components.iter().filter_map(|c| c.scale.as_ref()?.as_ref().ok());
        let listed = terms(standings, options.ridge > 0.0);
        let columns = rated.settings.wanted.clusters.iter().zip(&standings.clusters);
        Ratings {
            schema_version: SCHEMA_VERSION,
            tool: Tool { name: "stemmata", version: context.version.clone() },
            command: clean(&context.command),
            seed: options.seed,
            inputs: rated.inputs.iter().map(input).collect(),
            model: standings.model.name(),
            both_bad: if options.drop_both_bad { "left-out" } else { "tie" },
            level: options.level,
            top: options.top,
            points_per_nat: audit::POINTS,
            anchor: options
                .anchor
                .as_ref()
                .map(|(name, value)| Anchor { contestant: clean(name), rating: *value }),
            clusters: columns
                .map(|(column, clusters)| Cluster { column: clean(column), clusters: *clusters })
                .collect(),
            votes: standings.votes,
            pairs: standings.pairs,
            log_likelihood: scales()
                .next()
                .and_then(|_| finite(scales().map(|s| s.log_likelihood).sum::<f64>())),
            ratings: standings.contestants.iter().map(rating).collect(),
            components: standings.components.iter().map(component).collect(),
            groups: groups(standings),
            penalty: penalty(options.ridge, &listed),
            terms: listed,
            sequential: standings.sequential.as_ref().map(sequential),
            weight: rated.settings.wanted.weight.as_deref().map(clean),
            clones: rating_beside::clones(rated),
            parts: rating_beside::parts(rated),
            next_pairs: rating_beside::next_pairs(rated),
            legacy_elo: rating_beside::legacy_elo(rated),
            findings: super::convert::remarks(&rated.findings),
            cost: context
                .timing
                .map(|t| Cost { seconds_wall: t.seconds_wall, peak_memory_bytes: t.peak_memory_bytes }),
        }
    }
}

fn input(file: &audit::VoteFile) -> Votes {
    Votes {
        name: clean(&file.name),
        digest: format!("sha256:{}", file.sha256),
        bytes: file.bytes,
        rows: file.tally.rows,
        votes: file.tally.votes,
        against_itself: file.tally.against_itself,
    }
}

fn rating(standing: &audit::Standing) -> Rating {
    let rating = standing.rating.as_ref();
    let number = |f: &dyn Fn(&audit::Rating) -> f64| rating.and_then(|r| finite(f(r)));
    let of_votes = |x: f64| if standing.votes > 0 { finite(x) } else { None };
    Rating {
        contestant: clean(&standing.name),
        component: standing.component,
        rating: number(&|r| r.value),
        lower: number(&|r| r.interval.0),
        upper: number(&|r| r.interval.1),
        standard_error: number(&|r| r.standard_error),
        simultaneous_lower: number(&|r| r.simultaneous.0),
        simultaneous_upper: number(&|r| r.simultaneous.1),
        rank_low: rating.map(|r| r.rank.0),
        rank_high: rating.map(|r| r.rank.1),
        top: number(&|r| r.top),
        group: rating.map(|r| r.group),
        bootstrap_lower: rating.and_then(|r| finite(r.bootstrap?.0)),
        bootstrap_upper: rating.and_then(|r| finite(r.bootstrap?.1)),
        adjusted: rating.and_then(|r| r.adjusted).map(|a| Adjusted {
            rating: finite(a.value),
            lower: finite(a.interval.0),
            upper: finite(a.interval.1),
            change: finite(a.change),
            change_error: a.change_error.and_then(finite),
        }),
        votes: standing.votes,
        wins: standing.wins,
        losses: standing.losses,
        ties: standing.ties,
        both_bad: standing.both_bad,
        both_bad_rate: of_votes(standing.both_bad as f64 / standing.votes.max(1) as f64),
        both_bad_lower: of_votes(standing.both_bad_rate.low),
        both_bad_upper: of_votes(standing.both_bad_rate.high),
    }
}

fn component(component: &audit::RatingComponent) -> Component {
    Component {
        status: match &component.scale {
            None => "alone",
            Some(Ok(_)) => "rated",
            Some(Err(audit::NoFit::Separated)) => "no-finite-fit",
            Some(Err(audit::NoFit::NotConverged)) => "not-converged",
        },
        contestants: component.contestants,
        votes: component.votes,
        undefeated: component.undefeated,
        winless: component.winless,
        fit: component.scale.as_ref().and_then(|s| s.as_ref().ok()).map(fit),
    }
}

fn fit(scale: &audit::Scale) -> Fit {
    let checks = &scale.checks;
    Fit {
        log_likelihood: finite(scale.log_likelihood),
        parameters: scale.parameters,
        tie: scale.tie.and_then(finite),
        adjusted_tie: scale.adjusted_tie.and_then(finite),
        steps: scale.steps,
        gradient: finite(scale.gradient),
        units: scale.units,
        quantile: finite(scale.limits.single),
        quantile_all: finite(scale.limits.all),
        quantile_pairs: finite(scale.limits.pairs),
        pairs_by: if scale.limits.bonferroni { "bonferroni" } else { "max-t" },
        pairs_decided: scale.decided.0,
        pairs: scale.decided.1,
        checked_pairs: checks.pairs,
        mean_square: checks.mean_square.and_then(finite),
        pairs_beyond: checks.beyond,
        cycles: checks.cycles,
        certain_cycles: checks.certain_cycles,
        cycles_listed: checks.names.iter().map(|names| names.each_ref().map(|name| clean(name))).collect(),
        flip: scale.flip.as_ref().map(|flip| Flip {
            first: clean(&flip.names[0]),
            rival: clean(&flip.names[1]),
            votes: flip.votes,
        }),
        bootstrap_samples: scale.resampled.as_ref().map_or(0, |r| r.samples),
        bootstrap_without_fit: scale.resampled.as_ref().map_or(0, |r| r.without_fit),
    }
}

fn groups(standings: &audit::Standings) -> Vec<Group> {
    let mut out: std::collections::BTreeMap<(u32, u32), Vec<String>> = std::collections::BTreeMap::new();
    for standing in &standings.contestants {
        if let Some(rating) = &standing.rating {
            out.entry((standing.component, rating.group)).or_default().push(clean(&standing.name));
        }
    }
    let each = out.into_iter();
    each.map(|((component, group), contestants)| Group { component, group, contestants }).collect()
}

fn penalty(lambda: f64, terms: &[Term]) -> Option<Penalty> {
    let effective_terms = terms.iter().map(|term| term.kept).sum::<Option<f64>>();
    (lambda > 0.0 && !terms.is_empty()).then_some(Penalty { kind: "ridge", lambda, effective_terms })
}

fn terms(standings: &audit::Standings, ridge: bool) -> Vec<Term> {
    let mut out = Vec::new();
    for (number, component) in standings.components.iter().enumerate() {
        let Some(Ok(scale)) = &component.scale else { continue };
        let Some(Ok(terms)) = &scale.terms else { continue };
        out.extend(terms.iter().map(|term| Term {
            component: number as u32,
            name: clean(&term.name),
            estimate: finite(term.estimate),
            lower: finite(term.interval.0),
            upper: finite(term.interval.1),
            standard_error: finite(term.standard_error),
            kept: finite(term.kept).filter(|_| ridge),
            mean: term.scale.and_then(|s| finite(s.0)),
            standard_deviation: term.scale.and_then(|s| finite(s.1)),
        }));
    }
    out
}

fn sequential(sequential: &audit::Sequential) -> Sequential {
    let decision = |d: &audit::Decision| Decision {
        above: clean(&d.above),
        below: clean(&d.below),
        wins: d.wins,
        losses: d.losses,
        log10_e: finite(d.log10_e),
    };
    Sequential {
        alpha: sequential.alpha,
        tests: sequential.tests,
        decisions: sequential.decisions.iter().map(decision).collect(),
    }
}
