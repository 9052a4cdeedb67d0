//! Tests on units that were matched wherever they are.

use crate::change::rounding_variance;
use crate::relation::{child, name};
use crate::tests_of_dependence::{LABEL_NULL, SIGN_NULL, add_up, cosine};
use crate::{Direction, Evidence, Judgement, Kind, Scope, TestKind};
use std::collections::BTreeSet;
use stemmata_alignment::{Basis, Channel, Hypothesis, LayerMatch, Rescaled, SearchPlan};
use stemmata_architecture::{ChannelAxis, Component};
use stemmata_stats::{
    Interval, PKind, PValue, RatioSums, binomial_interval, binomial_tail, increasing_labels, sign_flip,
};

/// What is assumed of independent models, and from where on an agreement decides. The share is an assumption, not a theorem, so
/// no agreement below the second number decides, however many units there are. Features that every network learns make up one to
/// five per cent of units in the literature. Among our calibration pairs the largest share in one layer was 3.1 % with gates and
/// 10 % without, where two matrices have to agree instead of three (docs/methods/search.md).
pub(crate) struct Assumption {
    pub(crate) universal: f64,
    deciding: f64,
    null: &'static str,
}

pub(crate) const GATED: Assumption = Assumption {
    universal: 0.05,
    deciding: 0.2,
    null: "assumption: independent models share at most 5 % of their units; then gate, up and down rows, each matched by itself, \
           pick the same partner for no more units than a binomial count with that share",
};
const PLAIN: Assumption = Assumption {
    universal: 0.2,
    deciding: 0.5,
    null: "assumption: independent models share at most 20 % of their units; then up and down rows, each matched by itself, pick \
           the same partner for no more units than a binomial count with that share",
};

const CHANNEL_NULL: &str = "the two models grew from independent random starts; then the labels of residual channels are a uniformly random \
                            permutation of one another, if at least one of them was trained by a recipe that treats all channels alike";

/// All tests of a search: pooled per component and hypothesis, then layer by layer.
pub fn run(searched: &[LayerMatch]) -> Vec<Evidence> {
    let mut tests = Vec::new();
    for component in Component::ALL {
        for basis in Basis::ALL {
            let of: Vec<&LayerMatch> = searched
                .iter()
                .filter(|m| m.component == component && m.hypothesis.basis() == basis)
                .collect();
            if of.is_empty() {
                continue;
            }
            tests.extend(pair(Scope::Component(component), basis, &of));
            tests.extend(of.first().and_then(|m| channel_order(m)));
        }
    }
    for m in searched {
        tests.extend(pair(Scope::Layer(m.component, Some(m.layer)), m.hypothesis.basis(), &[m]));
        tests.extend(order(m));
    }
    tests
}

/// Whether the labels of residual channels that shared tokens match kept their order; one frame serves all layers.
fn channel_order(m: &LayerMatch) -> Option<Evidence> {
    let Hypothesis::ByTokens { labels: Some((matched, longest)), .. } = m.hypothesis else { return None };
    let channels = m.residual.0.min(m.residual.1);
    (channels > 0).then(|| Evidence {
        test: TestKind::ChannelOrder,
        scope: Scope::Component(m.component),
        p: Some(PValue::new(increasing_labels(longest, matched), PKind::Exact, CHANNEL_NULL, matched)),
        statistic: longest as f64,
        n: matched,
        effect: Some(longest as f64 / channels as f64),
        interval: Some(binomial_interval(longest.min(channels), channels, 0.95)),
        detectable: None,
    })
}

/// Whether the labels of matched units kept their order (docs/methods/search.md).
fn order(m: &LayerMatch) -> Option<Evidence> {
    let (longest, matched) = (m.in_order?, m.matched.0);
    let units = m.units.0.min(m.units.1);
    (units > 0).then(|| Evidence {
        test: TestKind::LabelOrder(m.hypothesis.basis()),
        scope: Scope::Layer(m.component, Some(m.layer)),
        p: Some(PValue::new(increasing_labels(longest, matched), PKind::Exact, LABEL_NULL, matched)),
        statistic: longest as f64,
        n: matched,
        effect: Some(longest as f64 / units as f64),
        interval: Some(binomial_interval(longest.min(units), units, 0.95)),
        detectable: None,
    })
}

/// The sign-flip test of what units read and write.
fn signs(test: TestKind, scope: Scope, channels: &[Channel]) -> Option<Evidence> {
    let products: Vec<f64> = channels.iter().map(|c| c.product).collect();
    let signs = sign_flip(&products);
    let pairs: Vec<(f64, f64)> = channels.iter().map(|c| (c.product, c.reach)).collect();
    let effect = cosine(&RatioSums::of(&pairs));
    (signs.n > 0).then(|| Evidence {
        test,
        scope,
        p: Some(PValue::new(signs.log10_p, PKind::Exact, SIGN_NULL, signs.n)),
        statistic: signs.statistic,
        n: signs.n,
        effect: effect.map(|(ratio, _)| ratio),
        interval: effect.map(|(_, interval)| interval),
        detectable: None,
    })
}

/// The exact tests and the effect size of one scope.
fn pair(scope: Scope, basis: Basis, matches: &[&LayerMatch]) -> Vec<Evidence> {
    let all = |of: fn(&LayerMatch) -> &[Channel]| add_up(matches.iter().map(|m| of(m)));
    let in_place = signs(TestKind::SignFlipByTokens, scope, &all(|m| &m.in_place));
    let matched = signs(TestKind::MatchThenSign(basis), scope, &all(|m| &m.channels));
    let mut tests: Vec<Evidence> = in_place.into_iter().chain(matched).collect();
    let units: u64 = matches.iter().map(|m| m.units.0.min(m.units.1)).sum();
    let agreeing = matches.iter().map(|m| m.agreeing).sum::<u64>().min(units);
    if units > 0 {
        let share = agreeing as f64 / units as f64;
        let assumed = if matches.iter().all(|m| m.gated) { GATED } else { PLAIN };
        let log10 =
            if share >= assumed.deciding { binomial_tail(agreeing, units, assumed.universal) } else { 0.0 };
        tests.push(Evidence {
            test: TestKind::UnitAgreement(basis),
            scope,
            p: Some(PValue::new(log10, PKind::Empirical, assumed.null, units)),
            statistic: agreeing as f64,
            n: units,
            effect: Some(share),
            interval: Some(binomial_interval(agreeing, units, 0.95)),
            detectable: None,
        });
    }
    tests
}

/// What a solved rotation leaves of a row, as a share of its square, even where storage leaves less.
const SMALLEST_RESIDUE: f64 = 1e-9;

/// What a search found, in words.
pub(crate) struct Moved {
    pub(crate) relation: &'static str,
    pub(crate) direction: Direction,
    pub(crate) cue: String,
}

/// What happened to the residual stream.
#[derive(Clone, Copy, PartialEq)]
enum Residual {
    AsStored,
    /// No channel has a counterpart, or nobody can tell.
    Rotated,
    /// Channels have counterparts (so many), and both models are as wide.
    Relabelled(u64),
    /// One model is narrower and its channels have counterparts.
    Cut(u64),
}

impl Residual {
    /// `ordered` says whether the labels of channels kept their order.
    fn of<'a>(mut matches: impl Iterator<Item = &'a LayerMatch>, ordered: bool) -> Residual {
        let Some(first) = matches.next() else { return Residual::AsStored };
        let (c, r) = first.residual;
        match first.hypothesis {
            Hypothesis::AsStored => Residual::AsStored,
            Hypothesis::ByTokens { channels: (found, in_order), .. } if 2 * found >= c.min(r) => match () {
                () if c != r => Residual::Cut(found),
                () if 10 * in_order >= 9 * found => Residual::AsStored,
                () => Residual::Relabelled(found),
            },
            Hypothesis::ByTokens { labels: Some((_, longest)), .. } if ordered => match () {
                () if c != r => Residual::Cut(longest),
                () => Residual::AsStored,
            },
            Hypothesis::ByTokens { .. } | Hypothesis::ByUnits { .. } => Residual::Rotated,
        }
    }
}

/// Names what was done to a candidate whose units were found elsewhere; `None` when they lie where they lay, or nothing was
/// found.
///
/// A rotation can be turned back, but gains that were folded into the weights cannot be told apart from them again: where all
/// that was searched is equal up to rounding and one side's gains are one number in every layer, that side was made from the other
/// (or from an exact copy). `significand_bits` are those of the coarser storage.
pub(crate) fn describe(
    searched: &[LayerMatch],
    evidence: &[Evidence],
    significand_bits: Option<u32>,
    rejected: &dyn Fn(&Evidence) -> bool,
) -> Option<Moved> {
    let narrower =
        |basis: Basis| searched.iter().any(|m| m.hypothesis.basis() == basis && m.hidden.0 != m.hidden.1);
    let found = |basis: Basis| {
        evidence.iter().any(|e| {
            use TestKind::{ChannelOrder, LabelOrder, MatchThenSign, SignFlipByTokens, UnitAgreement};
            // Among as many units the order of labels says no more than the labels themselves: that nothing was moved.
            let is_of = match e.test {
                MatchThenSign(b) | UnitAgreement(b) => b == basis,
                LabelOrder(b) => b == basis && narrower(basis),
                SignFlipByTokens | ChannelOrder => basis == Basis::ByTokens,
                _ => false,
            };
            is_of && rejected(e)
        })
    };
    let basis = Basis::ALL.into_iter().find(|basis| found(*basis))?;
    let of = || searched.iter().filter(|m| m.hypothesis.basis() == basis);
    let sum = |of_match: fn(&LayerMatch) -> u64| of().map(of_match).sum::<u64>();
    let (agreeing, unmoved) = (sum(|m| m.agreeing), sum(|m| m.unmoved));
    let (matched, opposed) = (sum(|m| m.matched.0), sum(|m| m.matched.1));
    // Units that are matched by chance have either sign.
    let flipped = 10 * opposed > matched && 2 * agreeing > matched;
    let ordered = evidence.iter().any(|e| e.test == TestKind::ChannelOrder && rejected(e));
    let residual = Residual::of(of(), ordered);
    let rotated = residual == Residual::Rotated;
    let in_order = of().filter_map(|m| m.in_order).sum::<u64>();
    let narrower = narrower(basis);
    let pruned = (narrower && 10 * in_order >= 9 * agreeing) || matches!(residual, Residual::Cut(_));
    let relabelled = 2 * unmoved < agreeing && !pruned;
    let mut words = Vec::new();
    match residual {
        Residual::AsStored => {}
        Residual::Rotated => {
            let telling = if basis == Basis::ByTokens { "shared tokens" } else { "gates of hidden units" };
            words.push(format!("the residual stream lies in another basis, as the {telling} tell"));
        }
        Residual::Relabelled(found) => {
            words.push(format!("residual channels carry other labels ({found} found by shared tokens)"));
        }
        Residual::Cut(found) => {
            words.push(format!(
                "{found} residual channels of the wider model, found by shared tokens, are all that is left"
            ));
        }
    }
    if narrower {
        let widths: BTreeSet<(u64, u64)> = of().map(|m| m.hidden).collect();
        let list: Vec<String> = widths.iter().map(|(c, r)| format!("{c} beside {r}")).collect();
        words.push(format!(
            "hidden units per layer: {}; of {matched} matched ones {in_order} lie in the same order",
            list.join(", ")
        ));
    } else if relabelled {
        words.push(format!("hidden units carry other labels ({unmoved} of {agreeing} kept theirs)"));
    }
    if flipped {
        words.push(format!("{opposed} of {matched} hidden units have the opposite sign"));
    }
    if of().any(|m| m.layer != m.reference_layer) {
        let map: BTreeSet<(u32, u32)> = of().map(|m| (m.layer, m.reference_layer)).collect();
        let list: Vec<String> = map.iter().map(|(c, r)| format!("{c} from {r}")).collect();
        words.push(format!("layers: {}", list.join(", ")));
    }
    let relation = match () {
        () if rotated => "rotated",
        () if pruned => "width-pruned",
        () if relabelled || matches!(residual, Residual::Relabelled(_)) => "relabelled",
        () if flipped => "rescaled",
        () => return None,
    };
    let mut direction = Direction::Unknown;
    if rotated
        && let Some(bits) = significand_bits
        && of().all(|m| {
            m.residue.is_some_and(|residue| residue <= 4.0 * rounding_variance(bits).max(SMALLEST_RESIDUE))
        })
    {
        let folded = |side: usize| of().all(|m| m.flat_gains[side] && !m.flat_gains[1 - side]);
        if let Some(side) = (0..2).find(|side| folded(*side)) {
            direction = [Direction::CandidateFromReference, Direction::ReferenceFromCandidate][side];
            let (child, parent) = [("candidate", "reference"), ("reference", "candidate")][side];
            words.push(format!(
                "folded gains: those of the {child} are one number, the units are the {parent}'s up to rounding; a copy \
                 of the {parent} would have done as well"
            ));
        }
    }
    if matches!(relation, "relabelled" | "rescaled") {
        let mut rows = Rescaled::default();
        of().for_each(|m| rows.merge(m.rescaled));
        if let Some((by, cue)) = by_scaling(&rows) {
            direction = by;
            words.push(cue);
        }
    }
    Some(Moved { relation, direction, cue: words.join("; ") })
}

/// Rows that must show the order of a scaling, and the share of rows that may be multiples in neither order.
const SCALED_ROWS: u64 = 16;
const NEITHER: f64 = 0.01;

/// The side that was scaled: its rows can be made again from the other's, and none the other way round.
fn scaled_side(rows: &Rescaled) -> Option<usize> {
    (0..2).find(|&side| {
        let neither = rows.rows - rows.both - rows.of_other[side];
        let all = neither as f64 <= NEITHER * rows.rows as f64;
        rows.of_other[side] >= SCALED_ROWS && rows.of_other[1 - side] == 0 && all
    })
}

/// The direction that repeated scaling shows, in words too.
pub(crate) fn by_scaling(rows: &Rescaled) -> Option<(Direction, String)> {
    let side = scaled_side(rows)?;
    let parent = name(1 - side);
    let cue = format!(
        "repeated scaling: {} of {} rows looked at are the {parent}'s times a number, rounded, and none of the {parent}'s is the \
         {}'s; a copy of the {parent} would have done as well",
        rows.of_other[side],
        rows.rows,
        name(side)
    );
    Some((child(side), cue))
}

/// The largest effect of a rejecting search test among those of one layer.
pub(crate) fn effect(
    of_layer: &[&Evidence],
    rejected: &dyn Fn(&Evidence) -> bool,
) -> Option<(f64, Interval)> {
    let found = of_layer.iter().filter(|e| e.test.is_search() && rejected(e));
    let effects = found.filter_map(|e| e.effect.zip(e.interval));
    effects.max_by(|a, b| a.0.total_cmp(&b.0))
}

/// Whether a search could add something: some layer that can be searched shows nothing in its hidden units at equal indices.
pub fn wants_search(judgement: &Judgement, plan: &SearchPlan) -> bool {
    // Where signs can be tested they are asked: units that only kept their labels may have been rescaled.
    let layers_with = |test: TestKind, all: bool| -> BTreeSet<(Component, u32)> {
        let of_test = judgement.evidence.iter().filter(|e| e.test == test);
        of_test
            .filter(|e| all || judgement.verdict.rejects(e))
            .filter_map(|e| match e.scope {
                Scope::Layer(component, Some(layer)) => Some((component, layer)),
                _ => None,
            })
            .collect()
    };
    let hidden = TestKind::SignFlip(ChannelAxis::Hidden);
    let (signed, by_sign) = (layers_with(hidden, true), layers_with(hidden, false));
    let by_label = layers_with(TestKind::FixedPoints, false);
    let found = |place: &(Component, u32)| {
        if signed.contains(place) { by_sign.contains(place) } else { by_label.contains(place) }
    };
    judgement.verdict.kind != Kind::Identical && plan.layers.iter().any(|place| !found(place))
}

/// Whether the search has found something so far.
pub fn search_found(judgement: &Judgement) -> bool {
    judgement.evidence.iter().any(|e| e.test.is_search() && judgement.verdict.rejects(e))
}
