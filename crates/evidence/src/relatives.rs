//! Which of two dependent models came first, by a third one that shares only their random start (METHODS 8).
//!
//! Training is a chain: what a child gained is independent of the start, given its parent. So of a parent and a child, only the parent holds
//! something of the start that the other does not. A model that was trained from the same start apart, an *outgroup*, shows which one
//! that is: its partial correlation with the parent, given the child, is positive, and with the child, given the parent, not
//! ([docs/methods/relatives.md](../../../docs/methods/relatives.md)).

use crate::merge::{Estimate, MergeMethod};
use crate::relation::{child, name};
use crate::{Direction, Evidence, Judgement, Kind, Scope, TestKind};
use stemmata_alignment::mixture::Gram;
use stemmata_stats::{Interval, ratio_interval};

/// Level of the intervals.
const LEVEL: f64 = 0.999;
/// Matrices that are needed.
const FEWEST: usize = 6;
/// How much of what the earlier one shares with the outgroup the later one may share, given the other. Training that goes on in the same
/// direction makes it negative.
const LEFT: f64 = 0.25;
/// Partial correlation of two models given a third that is no ancestor of both. Given true ancestors: at least 0.1 over 324 pairs of trained
/// models (relatives.md); rounding and noise give 0.
const OPPOSED: f64 = -0.05;

/// What an outgroup says of two models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// The place in the pair of the one that holds more of the common start.
    pub earlier: Option<usize>,
    /// Partial correlation of the outgroup with each, given the other.
    pub partial: [f64; 2],
    /// Their 99.9 % intervals, matrices being the sample.
    pub intervals: [Interval; 2],
    /// Matrices.
    pub matrices: usize,
}

/// Holds the two models of a pair against an outgroup; models are numbered as in the Gram matrices. Every matrix counts alike.
/// `None` with fewer than six matrices in which all three differ.
pub fn order(grams: &[Gram], outgroup: usize, pair: [usize; 2]) -> Option<Order> {
    let [first, second] = pair;
    let partials = [partial(grams, outgroup, first, second)?, partial(grams, outgroup, second, first)?];
    let [a, b] = partials.map(|(value, interval, _)| (value, interval));
    let before = |x: (f64, Interval), y: (f64, Interval)| x.1.low > 0.0 && y.0 <= LEFT * x.0;
    let earlier = match () {
        () if before(a, b) => Some(0),
        () if before(b, a) => Some(1),
        () => None,
    };
    let matrices = partials[0].2.min(partials[1].2);
    Some(Order { earlier, partial: [a.0, b.0], intervals: [a.1, b.1], matrices })
}

/// Whether a model cannot be an ancestor of both others: what they have beside it is opposed, and what two lines of training add to one
/// model is not. Every matrix counts alike; the 99.9 % interval must lie below zero. `false` with fewer than six matrices that differ.
pub fn is_opposed(grams: &[Gram], ancestor: usize, pair: [usize; 2]) -> bool {
    partial(grams, pair[0], pair[1], ancestor)
        .is_some_and(|(value, interval, _)| value <= OPPOSED && interval.high < 0.0)
}

/// Partial correlation of two models given a third, without means: weights have none. A ratio estimator over matrices.
fn partial(grams: &[Gram], x: usize, y: usize, given: usize) -> Option<(f64, Interval, usize)> {
    let of = |gram: &Gram| {
        let at = |a: usize, b: usize| gram.product(a, b);
        let rest = |a: usize, b: usize| at(a, b) - at(a, given) * at(given, b) / at(given, given);
        let scale = (rest(x, x) * rest(y, y)).sqrt();
        // Of two models that are equal but for rounding nothing is left.
        let left = rest(y, y) > f64::EPSILON * at(y, y) && rest(x, x) > f64::EPSILON * at(x, x);
        (left && scale > 0.0).then(|| (rest(x, y) / scale, 1.0))
    };
    let pairs: Vec<(f64, f64)> = grams.iter().filter_map(of).collect();
    if pairs.len() < FEWEST {
        return None;
    }
    let (value, interval) = ratio_interval(&pairs, LEVEL)?;
    Some((value, interval, pairs.len()))
}

/// Puts the direction that an outgroup shows of candidate and reference into the verdict.
pub fn admit_order(judgement: &mut Judgement, order: &Order, outgroup: &str) {
    let Some(earlier) = order.earlier else { return };
    let later = 1 - earlier;
    let show = |side: usize| {
        let Interval { low, high, .. } = order.intervals[side];
        format!("{:.3} [{low:.3}, {high:.3}]", order.partial[side])
    };
    let cue = format!(
        "common start with {outgroup}: partial correlation {} with the {}, given the other, and {} with the {}; of the models shown \
         none stands between",
        show(earlier),
        name(earlier),
        show(later),
        name(later),
    );
    assert_direction(judgement, None, child(later), cue);
    judgement.evidence.push(Evidence {
        test: TestKind::OutgroupOrder,
        scope: Scope::Model,
        p: None,
        statistic: order.partial[earlier],
        n: order.matrices as u64,
        effect: Some(order.partial[earlier]),
        interval: Some(order.intervals[earlier]),
        detectable: None,
    });
}

/// Puts into the verdict that one side is the later one, because the witness came from the other, and not from both.
pub fn admit_witness(judgement: &mut Judgement, later: usize, witness: &str) {
    let cue = format!(
        "exclusion: {witness} came after the {}, and the {} is no ancestor of both: what they have beside it is opposed; of the \
         models shown none stands between",
        name(1 - later),
        name(later),
    );
    assert_direction(judgement, None, child(later), cue);
}

/// Puts into the verdict that one side (0 for the candidate) is a merge of so many parents, the other one among them with `weight`.
pub fn admit_merge(
    judgement: &mut Judgement,
    side: usize,
    method: MergeMethod,
    parents: usize,
    weight: Estimate,
) {
    let method = match method {
        MergeMethod::Undetermined => String::new(),
        method => format!(" ({})", method.name()),
    };
    let error = match weight.standard_error {
        error if error.is_finite() && error > 0.0 => format!(" ± {error:.4}"),
        _ => String::new(),
    };
    let cue = format!(
        "merge: the {} is a merge{method} of {parents} of the models shown, the {} among them with weight {:.3}{error}",
        name(side),
        name(1 - side),
        weight.value,
    );
    assert_direction(judgement, Some("merge"), child(side), cue);
}

fn assert_direction(
    judgement: &mut Judgement,
    relation: Option<&'static str>,
    direction: Direction,
    cue: String,
) {
    let verdict = &mut judgement.verdict;
    verdict.relation = relation.or(verdict.relation);
    verdict.direction = direction;
    verdict.kind = Kind::Derived;
    verdict.cue = Some(match verdict.cue.take().filter(|_| relation.is_none()) {
        Some(before) => format!("{before}; {cue}"),
        None => cue,
    });
}

#[cfg(test)]
#[path = "relatives_tests.rs"]
mod tests;
