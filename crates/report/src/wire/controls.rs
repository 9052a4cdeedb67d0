//! The wire format of what stands beside a verdict: controls, and statistics that prove nothing.

use super::finite;
use serde::Serialize;
use stemmata_audit as audit;

/// The same tests under the same rule on pairs whose answer is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Controls {
    /// Seed of the draws.
    pub seed: u64,
    /// The candidate drawn again from the null, against the reference.
    pub negative: NegativeControls,
    /// The same with a share of the reference mixed in.
    pub positive: Vec<ControlRun>,
    /// The share that the tests state they would find with the probability below.
    pub detectable_share: Option<f64>,
    /// That probability.
    pub probability: Option<f64>,
    /// Bytes of weights fetched for the controls, part of those of the whole.
    pub bytes_read: u64,
}

/// All negative controls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NegativeControls {
    /// How many were made.
    pub made: usize,
    /// In how many of them dependence was found.
    pub found: usize,
    /// The smallest p-value of any of them, corrected within each, log10.
    pub smallest_log10_p: Option<f64>,
    /// Each of them.
    pub runs: Vec<ControlRun>,
}

/// One control.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ControlRun {
    /// Cosine with the reference that was built in.
    pub share: Option<f64>,
    /// Whether dependence was found.
    pub found: bool,
    /// Its verdict.
    pub kind: &'static str,
    /// Smallest p-value after correction, log10.
    pub log10_p: Option<f64>,
    /// Tests in its family.
    pub tests: usize,
}

/// One statistic that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ContextStatistic {
    /// Which.
    pub name: &'static str,
    /// Its value on this pair.
    pub value: Option<f64>,
    /// Tensors, layers, fields or tokens that it was formed over.
    pub n: u64,
    /// Its values among models that are known to be independent.
    pub background: Option<Background>,
    /// Why there is no value.
    pub reason: Option<&'static str>,
}

/// Quantiles among known-independent pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Background {
    /// Pairs.
    pub pairs: u64,
    /// 5 % quantile.
    pub low: Option<f64>,
    /// Median.
    pub median: Option<f64>,
    /// 95 % quantile.
    pub high: Option<f64>,
}

impl Controls {
    pub(super) fn new(controls: &audit::Controls) -> Controls {
        let negative = &controls.negative;
        let smallest = negative.iter().map(|run| run.log10_p).reduce(f64::min);
        Controls {
            seed: controls.seed,
            negative: NegativeControls {
                made: negative.len(),
                found: negative.iter().filter(|run| run.is_found()).count(),
                smallest_log10_p: smallest.and_then(finite),
                runs: negative.iter().map(ControlRun::new).collect(),
            },
            positive: controls.positive.iter().map(ControlRun::new).collect(),
            detectable_share: controls.power.and_then(|(share, _)| finite(share)),
            probability: controls.power.and_then(|(_, probability)| finite(probability)),
            bytes_read: controls.bytes_read,
        }
    }

    /// Passes over both models that they took.
    pub(crate) fn passes(&self) -> usize {
        self.negative.made + self.positive.len()
    }
}

impl ControlRun {
    fn new(run: &audit::ControlRun) -> ControlRun {
        ControlRun {
            share: finite(run.share),
            found: run.is_found(),
            kind: run.kind.name(),
            log10_p: finite(run.log10_p),
            tests: run.tests,
        }
    }
}

impl ContextStatistic {
    pub(super) fn new(statistic: &audit::ContextStatistic) -> ContextStatistic {
        let background = |b: audit::Background| Background {
            pairs: b.pairs,
            low: finite(b.low),
            median: finite(b.median),
            high: finite(b.high),
        };
        ContextStatistic {
            name: statistic.name,
            value: statistic.value.and_then(finite),
            n: statistic.n,
            background: statistic.background.map(background),
            reason: statistic.reason,
        }
    }
}
