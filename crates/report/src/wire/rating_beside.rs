//! The wire format of what stands beside ratings when asked for: parts, clones, proposals, online Elo.

use super::finite;
use crate::text::clean;
use serde::Serialize;
use stemmata_audit as audit;

/// Ratings of parts of the votes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RatedParts {
    /// The column.
    pub column: String,
    /// `value`, `month`, `quarter` or `year`.
    pub by: &'static str,
    /// In order of their names.
    pub list: Vec<RatedPart>,
}

/// One part, rated by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RatedPart {
    /// The value, or the time.
    pub part: String,
    /// Votes.
    pub votes: u64,
    /// Strongly connected sets; more than one means no common scale.
    pub components: u64,
    /// Whether the anchor stands where it was put; otherwise the mean is 1000.
    pub anchored: bool,
    /// By component, then by rating.
    pub ratings: Vec<PartRating>,
}

/// A contestant in a part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartRating {
    /// Its name.
    pub contestant: String,
    /// Number of its component.
    pub component: u32,
    /// Points.
    pub rating: Option<f64>,
    /// Lower end of its interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Lowest rank.
    pub rank_low: Option<u32>,
    /// Highest rank.
    pub rank_high: Option<u32>,
    /// Votes it took part in.
    pub votes: u64,
}

/// Contestants counted as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clones {
    /// The name that stands for each first.
    pub groups: Vec<Vec<String>>,
    /// Votes between them, left out.
    pub votes_left_out: u64,
}

/// A pair that a vote should be asked on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NextPair {
    /// Place of the component.
    pub component: u32,
    /// Who is rated higher.
    pub first: String,
    /// Who is rated lower.
    pub second: String,
    /// Share by which one vote is expected to reduce the variances of all undecided orders, on average.
    pub gain: Option<f64>,
    /// Votes that the pair has.
    pub votes: u64,
    /// Whether its own order is decided.
    pub decided: bool,
}

/// Online Elo over random orders of the votes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LegacyElo {
    /// Orders that were drawn.
    pub orders: u32,
    /// By median, the highest first.
    pub list: Vec<LegacyRow>,
}

/// A contestant's online Elo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LegacyRow {
    /// Its name.
    pub contestant: String,
    /// Median over the orders.
    pub median: f64,
    /// Lowest.
    pub low: f64,
    /// Highest.
    pub high: f64,
    /// Best place.
    pub place_best: u32,
    /// Worst place.
    pub place_worst: u32,
}

pub(super) fn parts(rated: &audit::Rated) -> Option<RatedParts> {
    let part = rated.settings.wanted.part.as_ref()?;
    let row = |s: &audit::Standing| {
        let r = s.rating.as_ref();
        PartRating {
            contestant: clean(&s.name),
            component: s.component,
            rating: r.and_then(|r| finite(r.value)),
            lower: r.and_then(|r| finite(r.interval.0)),
            upper: r.and_then(|r| finite(r.interval.1)),
            rank_low: r.map(|r| r.rank.0),
            rank_high: r.map(|r| r.rank.1),
            votes: s.votes,
        }
    };
    let each = rated.parts.iter().map(|p| RatedPart {
        part: clean(&p.name),
        votes: p.standings.votes,
        components: p.standings.components.len() as u64,
        anchored: p.anchored,
        ratings: p.standings.contestants.iter().map(row).collect(),
    });
    Some(RatedParts {
        column: clean(&part.column),
        by: match part.by {
            audit::PartBy::Value => "value",
            audit::PartBy::Month => "month",
            audit::PartBy::Quarter => "quarter",
            audit::PartBy::Year => "year",
        },
        list: each.collect(),
    })
}

pub(super) fn clones(rated: &audit::Rated) -> Option<Clones> {
    let groups = || rated.merged.groups.iter().map(|g| g.iter().map(|n| clean(n)).collect()).collect();
    (!rated.settings.clones.is_empty())
        .then(|| Clones { groups: groups(), votes_left_out: rated.merged.votes })
}

pub(super) fn next_pairs(rated: &audit::Rated) -> Option<Vec<NextPair>> {
    let each = rated.standings.components.iter().enumerate().flat_map(|(number, component)| {
        let scale = component.scale.as_ref().and_then(|s| s.as_ref().ok());
        scale.into_iter().flat_map(move |scale| {
            scale.next_pairs.iter().map(move |p| NextPair {
                component: number as u32,
                first: clean(&p.pair[0]),
                second: clean(&p.pair[1]),
                gain: finite(p.gain),
                votes: p.votes,
                decided: p.decided,
            })
        })
    });
    (rated.settings.options.next_pairs > 0).then(|| each.collect())
}

pub(super) fn legacy_elo(rated: &audit::Rated) -> Option<LegacyElo> {
    let list = rated.legacy_elo.as_ref()?;
    let row = |r: &audit::LegacyElo| LegacyRow {
        contestant: clean(&r.contestant),
        median: r.median,
        low: r.low,
        high: r.high,
        place_best: r.places.0,
        place_worst: r.places.1,
    };
    Some(LegacyElo { orders: rated.settings.legacy_elo, list: list.iter().map(row).collect() })
}
