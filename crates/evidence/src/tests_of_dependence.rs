//! Runs the tests of dependence on every component and every layer. One family, corrected once.

use crate::{DecisionRule, Evidence, Scope, TestKind};
use stemmata_alignment::{Channel, ChannelGroup, Measurement};
use stemmata_architecture::Component;
use stemmata_stats::{
    Interval, PKind, PValue, RatioSums, detectable_share, fixed_points, fixed_points_pooled,
};

/// METHODS 2.2 and S1. One sentence, quoted in every report.
pub(crate) const SIGN_NULL: &str = "the two models grew from independent random starts; then the signs of matching channels \
     are fair coins, whatever data, order and tokenizer they share, if at least one of them was trained by a recipe that treats \
     both signs of a channel alike";
/// METHODS 2.2 and S2.
pub(crate) const LABEL_NULL: &str = "the two models grew from independent random starts; then the labels of feed-forward \
     units are a uniformly random permutation of one another, if at least one of them was trained by a recipe that treats all \
     units alike";

/// Size of the one family: the tests at equal indices and all that a map of layers and a search could add, whether they were
/// made or not. Known before
/// any weight is read.
pub(crate) fn family(at_equal_indices: usize, measurement: &Measurement) -> usize {
    at_equal_indices + measurement.structure.reserved + measurement.search_tests
}

/// All tests at equal indices: components first, then layers, each in a fixed order.
pub(crate) fn run(measurement: &Measurement, rule: &DecisionRule) -> Vec<Evidence> {
    let mut tests: Vec<(Evidence, Option<&ChannelGroup>)> = Vec::new();
    for component in Component::ALL {
        for group in measurement.pooled.iter().filter(|g| g.component == component) {
            tests.extend(sign_test(Scope::Component(component), group));
        }
        let points: Vec<_> = measurement.fixed_points.iter().filter(|f| f.component == component).collect();
        if !points.is_empty() {
            let (fixed, units) = points.iter().fold((0, 0), |(f, u), p| (f + p.fixed, u + p.units));
            let log10 = fixed_points_pooled(fixed, points.len() as u64);
            tests.push((fixed_test(Scope::Component(component), fixed, units, log10), None));
        }
    }
    for group in &measurement.groups {
        tests.extend(sign_test(Scope::Layer(group.component, group.layer), group));
    }
    for points in &measurement.fixed_points {
        let scope = Scope::Layer(points.component, points.layer);
        tests.push((fixed_test(scope, points.fixed, points.units, fixed_points(points.fixed)), None));
    }
    // Power needs the size of the family, which is known only now.
    let level = rule.alpha.log10() - (family(tests.len(), measurement).max(1) as f64).log10();
    tests
        .into_iter()
        .map(|(test, group)| {
            // Where dependence was found the fluctuation holds the signal and says nothing about power.
            let found = test.p.is_some_and(|p| p.log10() <= level);
            let detectable = group.filter(|_| !found).and_then(|g| {
                detectable_share(g.signs.sum_of_squares, g.reach, g.reach_squared, level, rule.power)
            });
            Evidence { detectable, ..test }
        })
        .collect()
}

pub(crate) fn add_up<'a>(groups: impl Iterator<Item = &'a [Channel]>) -> Vec<Channel> {
    let mut total: Vec<Channel> = Vec::new();
    for channels in groups {
        if total.len() < channels.len() {
            total.resize(channels.len(), Channel::default());
        }
        for (sum, channel) in total.iter_mut().zip(channels) {
            sum.product += channel.product;
            sum.reach += channel.reach;
        }
    }
    total
}

fn sign_test(scope: Scope, group: &ChannelGroup) -> Option<(Evidence, Option<&ChannelGroup>)> {
    let outcome = &group.signs;
    if outcome.n == 0 {
        return None;
    }
    let effect = cosine(&group.cosine);
    let evidence = Evidence {
        test: TestKind::SignFlip(group.axis),
        scope,
        p: Some(PValue::new(outcome.log10_p, PKind::Exact, SIGN_NULL, outcome.n)),
        statistic: outcome.statistic,
        n: outcome.n,
        effect: effect.map(|(ratio, _)| ratio),
        interval: effect.map(|(_, interval)| interval),
        detectable: None,
    };
    Some((evidence, Some(group)))
}

/// Mean cosine of channels from (product, reach), with its 95 % interval; cut at ±1, since the norms of column channels are
/// estimated and may come out a little short.
pub(crate) fn cosine(channels: &RatioSums) -> Option<(f64, Interval)> {
    let (ratio, interval) = channels.interval(0.95)?;
    let cut = |x: f64| x.clamp(-1.0, 1.0);
    Some((cut(ratio), Interval { low: cut(interval.low), high: cut(interval.high), ..interval }))
}

fn fixed_test(scope: Scope, fixed: u64, units: u64, log10: f64) -> Evidence {
    Evidence {
        test: TestKind::FixedPoints,
        scope,
        p: Some(PValue::new(log10, PKind::Exact, LABEL_NULL, units)),
        statistic: fixed as f64,
        n: units,
        effect: (units > 0).then(|| fixed as f64 / units as f64),
        interval: (units > 0).then(|| stemmata_stats::binomial_interval(fixed, units, 0.95)),
        detectable: None,
    }
}
