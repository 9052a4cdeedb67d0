//! Runs the tests of dependence on every component and every layer. One family, corrected once.

use crate::{DecisionRule, Evidence, Scope, TestKind};
use stemmata_alignment::{Channel, Measurement};
use stemmata_architecture::{ChannelAxis, Component};
use stemmata_stats::{
    Interval, PKind, PValue, detectable_share, fixed_points, fixed_points_pooled, ratio_interval, sign_flip,
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
    let mut tests: Vec<(Evidence, Option<Reach>)> = Vec::new();
    for component in Component::ALL {
        for axis in ChannelAxis::ALL {
            let groups: Vec<_> =
                measurement.groups.iter().filter(|g| g.component == component && g.axis == axis).collect();
            // A residual channel is the same channel in every layer: one coin for all of them. Hidden and value channels are
            // joined by their index too: layers that were made as copies of one another, in both models, share their signs.
            let channels = add_up(groups.iter().map(|g| g.channels.as_slice()));
            tests.extend(sign_test(axis, Scope::Component(component), &channels));
        }
        let points: Vec<_> = measurement.fixed_points.iter().filter(|f| f.component == component).collect();
        if !points.is_empty() {
            let (fixed, units) = points.iter().fold((0, 0), |(f, u), p| (f + p.fixed, u + p.units));
            let log10 = fixed_points_pooled(fixed, points.len() as u64);
            tests.push((fixed_test(Scope::Component(component), fixed, units, log10), None));
        }
    }
    for group in &measurement.groups {
        tests.extend(sign_test(group.axis, Scope::Layer(group.component, group.layer), &group.channels));
    }
    for points in &measurement.fixed_points {
        let scope = Scope::Layer(points.component, points.layer);
        tests.push((fixed_test(scope, points.fixed, points.units, fixed_points(points.fixed)), None));
    }
    // Power needs the size of the family, which is known only now.
    let level = rule.alpha.log10() - (family(tests.len(), measurement).max(1) as f64).log10();
    tests
        .into_iter()
        .map(|(test, reach)| {
            // Where dependence was found the fluctuation holds the signal and says nothing about power.
            let found = test.p.is_some_and(|p| p.log10() <= level);
            let detectable = reach.filter(|_| !found).and_then(|r| {
                detectable_share(r.products_squared, r.reach, r.reach_squared, level, rule.power)
            });
            Evidence { detectable, ..test }
        })
        .collect()
}

/// What power is computed from: Σ product², Σ reach, Σ reach².
struct Reach {
    products_squared: f64,
    reach: f64,
    reach_squared: f64,
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

fn sign_test(axis: ChannelAxis, scope: Scope, channels: &[Channel]) -> Option<(Evidence, Option<Reach>)> {
    let products: Vec<f64> = channels.iter().map(|c| c.product).collect();
    let outcome = sign_flip(&products);
    if outcome.n == 0 {
        return None;
    }
    let pairs: Vec<(f64, f64)> = channels.iter().map(|c| (c.product, c.reach)).collect();
    let effect = cosine(&pairs);
    let reach = Reach {
        products_squared: outcome.sum_of_squares,
        reach: channels.iter().map(|c| c.reach).sum(),
        reach_squared: channels.iter().map(|c| c.reach * c.reach).sum(),
    };
    let evidence = Evidence {
        test: TestKind::SignFlip(axis),
        scope,
        p: Some(PValue::new(outcome.log10_p, PKind::Exact, SIGN_NULL, outcome.n)),
        statistic: outcome.statistic,
        n: outcome.n,
        effect: effect.map(|(ratio, _)| ratio),
        interval: effect.map(|(_, interval)| interval),
        detectable: None,
    };
    Some((evidence, Some(reach)))
}

/// Mean cosine of channels from (product, reach), with its 95 % interval; cut at ±1, since the norms of column channels are
/// estimated and may come out a little short.
pub(crate) fn cosine(channels: &[(f64, f64)]) -> Option<(f64, Interval)> {
    let (ratio, interval) = ratio_interval(channels, 0.95)?;
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
